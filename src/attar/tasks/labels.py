"""What says that a label is not known, and which examples are alike in what they have."""

from typing import Literal

import torch
from torch import Tensor

LabelKind = Literal["class", "labels", "values", "map", "fixations"]
"""What the label of one example is, by which data are read and examples are shown: the number of one class of several;
1 or 0 for each label; numbers with a unit; a map of class numbers; or a map of how many fixations a pixel has."""

ABSENT = -1
"""The label of an example (or a position) whose class is not known. Terms that need a label give it the loss 0."""


def rarest(there: Tensor) -> Tensor:
    """Of what each example has, that which fewest examples have: examples alike in what is hardest to have enough of.

    Args:
        there: ``[n, classes]`` bool.

    Returns:
        ``[n]`` int64: its number, the first of equals; `ABSENT` for examples that have nothing.

    Example:
        >>> rarest(torch.tensor([[True, True], [True, False], [False, False]])).tolist()
        [1, 0, -1]
    """
    if not there.numel():
        return torch.full((len(there),), ABSENT)
    counts = there.sum(0).expand_as(there).masked_fill(~there, len(there) + 1)
    return torch.where(there.any(1), counts.argmin(1), ABSENT)
