"""Dividing a data set: which rows are for train, validation and test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from attar.data.matrices import gathered
from attar.data.split import Dataset, Split
from attar.data.stratify import stratified
from attar.errors import BadInput, Words, as_share, must
from attar.named_inputs import NamedInputs
from attar.tables.cells import as_python
from attar.tables.columns import Columns
from attar.tables.tokens import Tokens
from attar.tasks.task import Task

TEST, VALIDATION = -1, -2
"""Streams of the draws that divide a data set; those of the views are 0 and above."""

SPLITS = ("train", "validation", "test")


def rows_by_role(name: str, key: str, given: object, rows: int, others: Sequence[str]) -> dict[str, Tensor]:
    """Which rows of the training data are for train, validation and test, as a column says.

    Args:
        name: What the data set is called.
        key: Which column or array says it.
        given: ``[rows]`` strings: ``train``, ``validation`` (or ``val``, ``valid``, ``dev``) and ``test``.
        rows: How many there must be.
        others: The splits that are given by themselves.

    Raises:
        BadInput: If a value is another one, no row is for train or test, or a split is named in two ways.
    """
    values = np.asarray(given.tolist() if hasattr(given, "tolist") else given, object)
    if values.shape != (rows,):
        raise must(
            key, name, f"[{rows}], with train, validation or test for each row", values.shape, "Give one for each row"
        )
    roles = [ROLES.get(value.strip().lower()) if isinstance(value, str) else None for value in values.tolist()]
    if None in roles:
        row = roles.index(None)
        rule = "train, validation or test in every row"
        remedy = "Write one of them there, or divide the rows by data.test = 0.2"
        raise must(key, name, rule, Words(f"{as_python(values[row])!r} in row {row}"), remedy)
    places = np.array(roles, object)
    role_rows = {role: torch.from_numpy(np.flatnonzero(places == role)) for role in SPLITS}
    for role, one in role_rows.items():
        if not len(one) and (role == "train" or (role == "test" and role not in others)):
            raise BadInput(
                f"{key} of {name} names no row for {role}. Name the rows to learn from (train) and those to report on "
                "(test)."
            )
        if len(one) and role in others and role != "train":
            raise BadInput(
                f"{role} of {name} is given twice: as rows of its own, and as {len(one)} rows in {key}. Drop one of "
                "them."
            )
    return {role: one for role, one in role_rows.items() if len(one)}


ROLES = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "te", "holdout"), "test"),
}
"""What a split may be called in data."""


def numbered(
    inputs: Tensor,
    labels: Tensor,
    task: Task,
    columns: Columns | None = None,
    tokens: Tokens | None = None,
    named: NamedInputs | None = None,
    weights: Tensor | None = None,
) -> Split:
    """A split whose rows are numbered as they come."""
    return Split(inputs, labels, torch.arange(len(inputs)), task, columns, tokens, named, weights)


def divided(
    name: str,
    source: str,
    splits: Mapping[str, Split],
    validation: float | int,
    test: float | int,
    seed: int,
    role_rows: Mapping[str, Tensor] | None = None,
) -> Dataset:
    """The data set of numbered splits; test and validation are taken from train where they are missing.

    Weights stay with the examples of train and validation: what is reported counts every example once.

    Raises:
        BadInput: If a share leaves nothing, or the splits break a rule of `Dataset`.
    """
    labels = {role: split.labels for role, split in splits.items() if split.labels is not None}
    shares, drawn = shares_of(name, splits["train"].task, labels, validation, test, seed, role_rows)
    taken = {
        role: splits[origin]
        if len(rows) == len(splits[origin])
        else replace(
            splits[origin],
            inputs=gathered(splits[origin].inputs, rows),
            labels=labels[origin][rows],
            ids=splits[origin].ids[rows],
            weights=weights_for(splits[origin].weights, role, rows),
        )
        for role, (origin, rows) in shares.items()
    }
    return Dataset(name, taken["train"], taken["validation"], taken["test"], source, drawn)


def weights_for(weights: Tensor | None, role: str, rows: Tensor) -> Tensor | None:
    """What some rows count in training and where it chooses its best epoch; None for those of test."""
    return None if weights is None or role == "test" else weights[rows]


def shares_of(
    name: str,
    task: Task,
    labels: Mapping[str, Tensor],
    validation: float | int,
    test: float | int,
    seed: int,
    role_rows: Mapping[str, Tensor] | None,
) -> tuple[dict[str, tuple[str, Tensor]], tuple[str, ...]]:
    """For each of the three splits, out of which given one and which rows of it; and those that are drawn by chance.

    Args:
        name: What the data set is called.
        task: What labels mean.
        labels: By split, of those that are given.
        validation: As in `attar.data.datasets.load`.
        test: The same.
        seed: The same.
        role_rows: What `rows_by_role` gives; None where rows of train are drawn for the splits that are not there.

    Raises:
        BadInput: If a share leaves nothing.
    """
    shares = {role: (role, torch.arange(len(own))) for role, own in labels.items()}
    shares |= {role: ("train", rows) for role, rows in (role_rows or {}).items()}
    drawn = tuple(role for role in ("validation", "test") if role not in shares)
    for role, share, by, stream in (("test", test, 0, TEST), ("validation", validation, seed, VALIDATION)):
        if role not in shares:
            rows = shares["train"][1]
            taken = _taken(name, task, role, labels["train"][rows], rows, share, by, stream)
            shares["train"], shares[role] = ("train", rows[~taken]), ("train", rows[taken])
    return shares, drawn


def _taken(
    name: str, task: Task, role: str, labels: Tensor, ids: Tensor, share: float | int, seed: int, stream: int
) -> Tensor:
    """True for the rows that a split takes from the labeled ones."""
    labeled = task.known(labels).nonzero().flatten()
    if len(labeled) < 2:
        found = f"{'one' if len(labeled) else 'none'} of its rows has a label that is known"
        raise BadInput(
            f"{role} of {name} cannot be taken from train, as {found}. Give more labels, or {role} as rows of its own."
        )
    is_share = isinstance(share, float) and 0 < share < 1
    amount = round(share * len(labeled)) if is_share else share if type(share) is int else 0
    if not 0 < amount < len(labeled):
        rule = f"a share between 0 and 1, or a number of examples, that leaves some of the {len(labeled)} labeled ones"
        few = is_share and amount == 0
        remedy = as_share(share) or "Use 0.1 for a tenth"
        if few:
            remedy = "Give more examples, or write 1 for one of them"
        raise must(role, name, rule, share, remedy)
    mask = torch.zeros(len(labels), dtype=torch.bool)
    strata = task.strata(labels[labeled])
    mask[labeled[stratified(strata, ids[labeled], amount, seed=seed, stream=stream)]] = True
    return mask
