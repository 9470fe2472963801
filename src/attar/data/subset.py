"""Which of the training examples are in the transfer set, and examples without labels beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from attar.data.split import Split
from attar.data.stratify import stratified
from attar.data.synthesis.synthesize import Synthesis
from attar.errors import BadInput, NothingMatched, must, near, shown
from attar.tasks.labels import ABSENT

_SHARE = -4
"""Stream of the draw that keeps a share of the examples."""


def subset_of(
    split: Split,
    *,
    only: Sequence[str] | None = None,
    without: Sequence[str] | None = None,
    share: float = 1.0,
    seed: int = 0,
) -> Split:
    """Some of the examples, with their ids; the classes stay what they are, also those of which none is left.

    Args:
        split: The examples.
        only: Keep the examples of these classes; None keeps all.
        without: Leave out the examples of these classes.
        share: Keep this share of what is left, 0 < share <= 1, stratified by class.
        seed: Draws the share; of two shares the smaller lies within the larger.

    Raises:
        NothingMatched: If a class is not in the data, or no example is left.
        BadInput: If ``only`` and ``without`` are both given, the share breaks its rule, or classes are named where
            there are no labels.
    """
    if only is not None and without is not None:
        raise BadInput("only and without are both given, and each of them chooses the classes. Leave one of them out.")
    if not 0 < share <= 1:
        raise must("share", "subset_of", "greater than 0 and at most 1", share, "0.03 keeps three in a hundred")
    named = only if only is not None else without
    if named is not None:
        if split.labels is None:
            name = "only" if only is not None else "without"
            raise BadInput(
                f"{name} names the classes {shown(list(named))}, and the examples have no labels. Give labels, or "
                "leave it out."
            )
        for name in named:
            if name not in split.classes:
                close = near(name, split.classes)
                raise NothingMatched(f"{name!r} is no class of the data. {close}{'' if close.endswith('?') else '.'}")
        chosen = torch.isin(split.labels, torch.tensor([split.classes.index(name) for name in named]))
        split = split.rows(chosen if only is not None else ~chosen)
    if share < 1:
        strata = torch.zeros(len(split), dtype=torch.int64) if split.labels is None else split.task.strata(split.labels)
        amount = round(share * len(split))
        split = split.rows(stratified(strata, split.ids, amount, seed=seed, stream=_SHARE))
    if len(split) == 0:
        chosen_by = [f"only = {list(only)}"] if only is not None else []
        chosen_by += [f"without = {list(without)}"] if without is not None else []
        chosen_by += [f"share = {share:g}"] if share < 1 else []
        of = f"{' and '.join(chosen_by)} of " if chosen_by else ""
        raise NothingMatched(f"{of}the examples leaves none. Keep more." if of else "There are no examples. Give some.")
    return split


def joined(split: Split, inputs: Tensor, *, original: bool = True, origins: Tensor | None = None) -> Split:
    """Inputs as examples without labels, after those of a split or alone, with ids of their own.

    Args:
        split: The examples that are there.
        inputs: ``[n, ...]`` of the same shape and type.
        original: False leaves the examples of ``split`` out.
        origins: ``[n]`` int64 positions in ``split``: which example each of the inputs was made from, whose weight it
            has, too. None gives them the mean weight.
    """
    first = int(split.ids.max()) + 1 if len(split) else 0
    ids, labels = torch.arange(first, first + len(inputs)), split.task.unknown_labels(len(inputs))
    weights: Tensor | None = None
    if split.weights is not None:
        mean = split.weights.mean().expand(len(inputs))
        weights = mean.clone() if origins is None else split.weights[origins]
    if original:
        known = split.task.unknown_labels(len(split)) if split.labels is None else split.labels
        inputs, labels = torch.cat([split.inputs, inputs]), torch.cat([known, labels])
        ids = torch.cat([split.ids, ids])
        if weights is not None and split.weights is not None:
            weights = torch.cat([split.weights, weights])
    return replace(split, inputs=inputs, labels=labels, ids=ids, weights=weights)


def with_synthetic(split: Split, rows: Tensor, synthesis: Synthesis, *, seed: int, original: bool = True) -> Split:
    """Synthetic rows after the ones that they were made from; one counts what the row that it was made from counts.

    Args:
        split: The original rows.
        rows: What ``synthesis`` drew from all of them, as inputs of a split.
        synthesis: How.
        seed: With which seed.
        original: False leaves the originals out.
    """
    origins = None if split.weights is None else synthesis.origins(len(split), seed=seed)
    return joined(split, rows, original=original, origins=None if origins is None else torch.from_numpy(origins))


def absent_classes(split: Split) -> list[int]:
    """Numbers of the classes of which a split has no labeled example.

    Raises:
        BadInput: If the split has no labels to tell by.
    """
    if split.labels is None:
        raise must("labels", "absent_classes", "given", None, "Name the classes yourself")
    known = split.labels[split.labels != ABSENT]
    counts = torch.bincount(known, minlength=len(split.classes))
    return [number for number, count in enumerate(counts.tolist()) if count == 0]
