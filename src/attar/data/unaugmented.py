"""Targets of the unaugmented examples, for every view of them."""

from __future__ import annotations

from torch import Tensor

from attar.data.split import Split
from attar.data.transfer_set import TargetSource
from attar.ops.top_k import TopK


class UnaugmentedTargets:
    """The teacher's targets for the unaugmented examples, whatever view of them the student gets.

    The teacher labels each example once instead of once per view. Its targets for a view might differ.

    Example:
        >>> import torch
        >>> from attar.teachers.teacher import NetworkTeacher
        >>> from attar.tasks.classification import Classification
        >>> from attar.data.transfer_set import Live
        >>> split = Split(torch.tensor([[3.0, 1.0]]), None, torch.tensor([0]), Classification(("a", "b")))
        >>> targets = UnaugmentedTargets(Live(NetworkTeacher(torch.nn.Identity(), classes=2)), split)
        >>> targets(torch.tensor([[9.0, 9.0]]), torch.tensor([0]), 5)
        tensor([[ 1., -1.]])
    """

    def __init__(self, targets: TargetSource, split: Split) -> None:
        """Take the targets of the examples as they are.

        Args:
            targets: Stored targets with one view, or a live teacher.
            split: The examples.
        """
        self.targets = targets
        self.split = split

    def __call__(self, inputs: Tensor, rows: Tensor, view: int) -> Tensor | TopK:
        """The targets of view 0 of some rows; ``inputs`` and ``view`` do not matter."""
        return self.targets(self.split.floats(rows), rows, 0)
