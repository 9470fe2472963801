"""Targets that a teacher gave once for all rows, kept in memory: for trials, and where no file is wanted."""

from __future__ import annotations

import torch
from torch import Tensor

from attar.data.store import round_through_store
from attar.teachers.in_blocks import InBlocks
from attar.teachers.teacher import Teacher, ask, target_of
from attar.training.progress import Progress, silent

_CHUNK = 4096
"""Rows in one call: enough for a teacher to be quick, few enough for its memory."""


class InMemory:
    """Targets of the rows of a split, found by position.

    Attributes:
        outputs: ``[rows, *shape]`` float32, in the order of the split.

    Example:
        >>> from attar.teachers.teacher import NetworkTeacher
        >>> teacher, rows = NetworkTeacher(torch.nn.Identity(), classes=2), torch.tensor([[3.0, 1.0], [0.0, 4.0]])
        >>> InMemory(outputs_of(teacher, rows))(rows[1:], torch.tensor([1]), 0)
        tensor([[-2.,  2.]])
    """

    def __init__(self, outputs: Tensor) -> None:
        """Keep what `outputs_of` gave."""
        self.outputs = outputs

    def __call__(self, inputs: Tensor, rows: Tensor, view: int) -> Tensor:
        """The targets of some rows; ``inputs`` and ``view`` do not matter."""
        return self.outputs.index_select(0, rows)


def outputs_of(
    teacher: Teacher, inputs: Tensor, *, progress: Progress = silent, title: str = "ask the teacher"
) -> Tensor:
    """A teacher's outputs, rounded as the store rounds them, so that training on either is the same.

    Args:
        teacher: Whom to ask.
        inputs: ``[rows, ...]`` float32, at least one.
        progress: Told of every row.
        title: Of that work.

    Returns:
        ``[rows, *shape]`` float32: logits less their mean over the classes, or values as they are.

    Raises:
        BadInput: If a number is not finite, or a logit does not fit float16.
    """
    outputs, size = [], min(_CHUNK, teacher.rows) if isinstance(teacher, InBlocks) else _CHUNK
    with progress(title, len(inputs)) as advance:
        for some in torch.split(inputs, size):
            outputs.append(round_through_store(ask(teacher, some), target_of(teacher)))
            advance(len(some))
    return torch.cat(outputs)
