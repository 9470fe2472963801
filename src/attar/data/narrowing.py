"""Fewer examples of a data set: those of some classes, or a limited number of each split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from attar.data.split import Dataset, Split
from attar.data.stratify import stratified
from attar.data.truth import refused_classes
from attar.errors import NothingMatched, must, near
from attar.tasks.classification import Classification
from attar.tasks.labels import ABSENT

_LIMIT = -3
"""Stream of the draw that makes a data set smaller."""


def keep_classes(dataset: Dataset, classes: Sequence[str]) -> Dataset:
    """The examples of some classes only, numbered in the order given; unlabeled examples are left out.

    Raises:
        NothingMatched: If a class is not in the data set.
        BadInput: If fewer than two classes are named, or one twice.
    """
    if dataset.task.label_kind != "class":
        raise refused_classes(dataset.name, dataset.task.use)
    for name in classes:
        if name not in dataset.classes:
            remedy = near(str(name), dataset.classes)
            raise NothingMatched(str(must("classes", dataset.name, "classes of the data", name, remedy)))
    assert isinstance(dataset.task, Classification), "the one task with a class for each example"
    task = replace(dataset.task, classes=tuple(classes))
    renumbered = torch.full((len(dataset.classes) + 1,), ABSENT)
    for label, name in enumerate(task.classes):
        renumbered[dataset.classes.index(name)] = label

    def subset(split: Split) -> Split:
        # The last entry is never renumbered: it is where the label -1 of an unknown class points.
        labels = torch.full((len(split),), ABSENT) if split.labels is None else renumbered[split.labels]
        rows = labels != ABSENT
        weights = None if split.weights is None else split.weights[rows]
        return replace(
            split, inputs=split.inputs[rows], labels=labels[rows], ids=split.ids[rows], task=task, weights=weights
        )

    train, validation, test = map(subset, (dataset.train, dataset.validation, dataset.test))
    return replace(dataset, train=train, validation=validation, test=test)


def shrink(dataset: Dataset, limit: int) -> Dataset:
    """At most ``limit`` examples of each split, stratified, with at least one of each class that is there.

    Raises:
        BadInput: If ``limit`` leaves no room for one of each class (and one unlabeled example, where there are some).
    """

    def subset(split: Split) -> Split:
        strata = split.ids.new_zeros(len(split)) if split.labels is None else split.task.strata(split.labels)
        least = int((strata.sort().values.diff() != 0).sum()) + 1
        if limit < least:
            rule = f"at least {least}, one for each class"
            raise must("limit", dataset.name, rule, limit, "Use more, or fewer classes")
        if len(split) <= limit:
            return split
        return split.rows(stratified(strata, split.ids, limit, seed=0, stream=_LIMIT, least=1))

    train, validation, test = map(subset, (dataset.train, dataset.validation, dataset.test))
    return replace(dataset, train=train, validation=validation, test=test)
