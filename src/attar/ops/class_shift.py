"""One number that is added to the logits of some classes: the one with which most examples are right."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attar.errors import must


@dataclass(frozen=True)
class ClassShift:
    """A shift of the logits of some classes, and what it was chosen by.

    Attributes:
        shift: What is added to their logits.
        before: Examples that are right without it.
        after: Examples that are right with it.
    """

    shift: float
    before: int
    after: int


def best_class_shift(
    logits: Float[Tensor, "rows classes"], labels: Int[Tensor, " rows"], chosen: Int[Tensor, " some"]
) -> ClassShift:
    """The shift of the chosen classes' logits with which the most rows have their label's logit largest.

    It is found exactly, not by trial: each row goes over from its best class of the others to its best class of the
    chosen ones at one value of the shift, so that sorting these values gives the number of right rows between any two
    of them. Of equally good stretches the one nearest to 0 is taken, and of it the middle (0 itself if it lies within,
    or if no stretch is better than 0; where logits tie at 0, the first class counts as the largest).

    Args:
        logits: Finite.
        labels: The true classes.
        chosen: Numbers of the classes whose logits are shifted: some, not all.

    Raises:
        BadInput: If no class or every class is chosen, or there are no rows.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0], [3.0, 1.5], [2.0, -1.0]])
        >>> best_class_shift(logits, torch.tensor([1, 1, 0]), torch.tensor([1]))
        ClassShift(shift=2.5, before=1, after=3)

    References:
        Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, 2015, section 3: the bias of a class that
        the transfer set lacks is raised. The paper chose the amount on test data.
    """
    mask = torch.zeros(logits.shape[1], dtype=torch.bool).index_fill_(0, chosen.long(), True)
    if not mask.any() or mask.all():
        raise must("chosen", "best_class_shift", "some of the classes, not all", chosen.tolist(), "Name fewer or more")
    if len(logits) == 0:
        raise must("logits", "best_class_shift", "of one row or more", 0, "Give validation data")
    logits = logits.double()
    theirs, their_class = logits.masked_fill(~mask, -torch.inf).max(dim=1)
    others, other_class = logits.masked_fill(mask, -torch.inf).max(dim=1)
    turns, order = (others - theirs).sort()
    gain = (their_class == labels).long() - (other_class == labels).long()
    start = int((other_class == labels).sum())
    # Rows that turn at the same value turn together: only the last of them ends a stretch.
    right = start + torch.cat([torch.zeros(1, dtype=torch.long), gain[order].cumsum(0)])
    ends = torch.cat([torch.tensor([True]), turns.diff() > 0, torch.tensor([True])])
    right = right[ends.nonzero()[:, 0]]
    edges = turns[torch.cat([torch.tensor([True]), turns.diff() > 0])]
    endless = torch.tensor([torch.inf], dtype=edges.dtype)
    low, high = torch.cat([-endless, edges]), torch.cat([edges, endless])
    away = torch.where((low < 0) & (high > 0), 0.0, torch.minimum(low.abs(), high.abs()))
    place = int(torch.where(right == right.max(), away, torch.inf).argmin())
    # An outermost stretch has no middle: one past its end is well within it.
    left = float(low[place] if low[place].isfinite() else high[place] - 2)
    end = float(high[place] if high[place].isfinite() else low[place] + 2)
    shift = 0.0 if float(low[place]) < 0 < float(high[place]) else (left + end) / 2
    before = int((logits.argmax(1) == labels).sum())
    after = int(((logits + shift * mask).argmax(1) == labels).sum())
    if after <= before:
        return ClassShift(shift=0.0, before=before, after=before)
    return ClassShift(shift=shift, before=before, after=after)
