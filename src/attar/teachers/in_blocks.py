"""A teacher that takes its time, asked about as many examples at once as suit it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attar.errors import must
from attar.tasks.target import Target
from attar.teachers.teacher import Teacher, ask, target_of


class InBlocks:
    """A teacher that is never asked about more examples at once than it can take.

    Attributes:
        teacher: The teacher itself.
        rows: How many examples it is asked about at once, at most.
        classes: How many classes it tells apart.

    Example:
        >>> from attar.teachers.teacher import NetworkTeacher
        >>> slow = InBlocks(NetworkTeacher(nn.Linear(4, 3), classes=3), 2)
        >>> slow.predict(torch.zeros(5, 4)).shape
        torch.Size([5, 3])
    """

    def __init__(self, teacher: Teacher, rows: int) -> None:
        """Ask a teacher in blocks.

        Args:
            teacher: The teacher.
            rows: How many examples it can be asked about at once, at least 1.

        Raises:
            BadInput: If ``rows`` is below 1.
        """
        if rows < 1:
            raise must("rows_at_once", "a teacher", "at least 1", rows, "1000 is usual")
        self.teacher, self.rows, self.classes = teacher, rows, teacher.classes

    @property
    def module(self) -> nn.Module | None:
        """The teacher as a module, if it is one."""
        inner = getattr(self.teacher, "module", None)
        return inner if isinstance(inner, nn.Module) else None

    @property
    def target(self) -> Target:
        """What `predict` gives."""
        return target_of(self.teacher)

    def predict(self, inputs: Tensor) -> Tensor:
        """Logits ``[batch, classes]`` of ``[batch, ...]`` inputs."""
        return torch.cat([ask(self.teacher, block) for block in torch.split(inputs, self.rows)])

    def fingerprint(self) -> str:
        """That of the teacher, as its answers do not depend on what is asked together."""
        return self.teacher.fingerprint()

    def __repr__(self) -> str:
        return repr(self.teacher)
