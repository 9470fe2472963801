"""Drawing part of a data set so that every class keeps its share."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from attar.data import draws


def stratified(
    labels: Int64[Tensor, " rows"], ids: Int64[Tensor, " rows"], amount: int, *, seed: int, stream: int, least: int = 0
) -> Bool[Tensor, " rows"]:
    """Which rows are drawn: ``amount`` of them, each class by its share (largest remainders get what is left over).

    A row's rank within its class is a function of ``(seed, stream, id)``: the draw does not depend on the order of the
    rows, and of two amounts the smaller draw lies within the larger one up to the rounding of shares.

    Args:
        labels: Class of each row; any integers.
        ids: Identity of each row.
        amount: How many rows, at most all of them.
        seed: Another seed, other rows.
        stream: Which use of the seed this is.
        least: Rows that each class gets before the rest is shared: 0 or 1.

    Example:
        >>> labels = torch.tensor([0, 0, 0, 0, 1, 1])
        >>> labels[stratified(labels, torch.arange(6), 3, seed=0, stream=1)]
        tensor([0, 0, 1])
    """
    rows = len(labels)
    assert 0 <= amount <= rows
    strata, stratum, sizes = torch.unique(labels, return_inverse=True, return_counts=True)
    assert amount >= least * len(strata)
    free, spare = amount - least * len(strata), rows - least * len(strata)
    exact = (sizes - least) * free
    take = least + exact // max(spare, 1)
    left_over = amount - int(take.sum())
    take[torch.argsort(exact % max(spare, 1), descending=True, stable=True)[:left_over]] += 1

    by_word = torch.argsort(draws.words(ids, seed=seed, stream=stream), stable=True)
    order = by_word[torch.argsort(stratum[by_word], stable=True)]
    rank = torch.empty_like(order)
    rank[order] = torch.arange(rows) - (sizes.cumsum(0) - sizes)[stratum[order]]
    drawn: Tensor = rank < take[stratum]
    return drawn
