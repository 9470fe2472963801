"""Labels in columns of a table: classes, values, or 1 and 0 for each of several labels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.data.arrow_files import ArrowFiles
from attar.data.label_arrays import label_rows
from attar.data.limits import printable
from attar.data.truth import guessed
from attar.data.values import FEW_VALUES, are_values, columns_of_values, values_as_labels
from attar.errors import BadInput, Words, must, near
from attar.tables.notation import Decimal
from attar.tables.read import read_cells
from attar.tasks.known import TASKS
from attar.tasks.labels import ABSENT
from attar.tasks.task import Task

log = logging.getLogger(__name__)


def in_memory(table: Any, names: Sequence[str]) -> Any:
    """Some columns, in memory."""
    chosen = table.select(list(names))
    return chosen.table() if isinstance(chosen, ArrowFiles) and names else chosen


def truth_of_table(name: str, first: Any, targets: Sequence[str], use: str | None) -> Numbers | Classes:
    """How labels are read, once it is clear what they mean.

    Args:
        name: What the table is called.
        first: Its rows, and what stands before fractions in them.
        targets: Names of the columns.
        use: What the user calls the task; None for what the columns say: several of bools are labels, others values.

    Raises:
        BadInput: If the target is not what its task wants.
    """
    if use is None and len(targets) > 1:
        logical = all(column.values.dtype.kind == "b" for column in read_cells(in_memory(first.rows, targets)))
        use = "multilabel" if logical else "regression"
    if use is None:
        (column,) = read_cells(in_memory(first.rows, targets))
        numbers = column.numbers() if column.kind == "number" else _written_numbers(name, first, targets)
        use = guessed(name, f"target column {targets[0]!r}", numbers, "data.task (task in Python)")
    kind = TASKS[use]
    if kind.label_kind == "class":
        return Classes(kind, targets[0], tuple(_classes(name, in_memory(first.rows, targets), targets[0])))
    return Numbers(kind, tuple(targets), first.decimal)


def _written_numbers(name: str, first: Any, targets: Sequence[str]) -> NDArray[np.float64] | None:
    """Values in a column that people wrote as texts, such as "1.234,50"; None where they may be names of classes."""
    try:
        numbers = columns_of_values(name, in_memory(first.rows, targets), targets, first.decimal)[:, 0]
    except BadInput:
        return None
    return numbers if are_values(numbers) else None


@dataclass(frozen=True)
class Numbers:
    """Columns of numbers: values, or 1 and 0 for labels of which any may hold."""

    kind: type[Any]
    targets: tuple[str, ...]
    decimal: Decimal | None

    @property
    def task(self) -> Task:
        """What these columns mean."""
        task: Task = self.kind(self.targets)
        return task

    def of(self, path: Path, table: Any) -> Tensor:
        """The labels of each row of a file."""
        name = printable(path.name)
        if self.kind.label_kind == "values":
            return values_as_labels("the target", name, self.numbers(name, table))
        labels, _ = label_rows(name, {"train": ("the target", self.numbers(name, table))}, self.targets)
        return labels["train"]

    def numbers(self, name: str, table: Any) -> NDArray[np.float64]:
        """The numbers ``[rows, columns]`` of a file, NaN where one is missing."""
        return columns_of_values(name, table, self.targets, self.decimal)


@dataclass(frozen=True)
class Classes:
    """A column of classes."""

    kind: type[Any]
    target: str
    classes: tuple[Any, ...]

    @property
    def task(self) -> Task:
        """Telling these classes apart."""
        kinds = {type(value) for value in self.classes}
        dtype = {int: "int64", bool: "bool"}.get(kinds.pop(), "str") if len(kinds) == 1 else "str"
        task: Task = self.kind(tuple(str(value) for value in self.classes), dtype)
        return task

    def of(self, path: Path, table: Any) -> Tensor:
        """The class of each row of a file."""
        return _labels_of(path, table, self.target, self.classes)


def _classes(name: str, table: Any, target: str) -> list[Any]:
    """The classes, sorted by their values.

    Raises:
        BadInput: If the column holds no classes.
    """
    values, codes = _target(name, table, target)
    seen = np.unique(codes[codes >= 0])
    if len(seen) < 2:
        got = Words(f"only {values[int(seen[0])]!r}" if len(seen) else "no values")
        raise must(f"target column {target!r}", name, "of two or more classes", got, "Name another column")
    labeled = int((codes >= 0).sum())
    if len(seen) > labeled / 2:
        got = Words(f"{len(seen)} different values in {labeled} rows")
        remedy = "Name the column with the classes"
        if not isinstance(values[int(seen[0])], str):
            remedy += ', or set data.task = "regression" (task in Python) to predict numbers'
        raise must(f"target column {target!r}", name, "of a few classes", got, remedy)
    found = [values[int(place)] for place in seen]
    _warn_of_alike(name, target, found)
    _warn_of_values(name, target, found)
    return found


def _warn_of_alike(name: str, target: str, classes: Sequence[Any]) -> None:
    """Log classes that differ in the spaces around them, or in capitals, alone."""
    first: dict[str, str] = {}
    for one in classes:
        if isinstance(one, str) and (other := first.setdefault(one.strip().casefold(), one)) != one:
            log.warning(
                "target column %r of %s has the classes %r and %r, which are two: if they are meant as one, write them "
                "alike", target, name, other, one,
            )  # fmt: skip


def _warn_of_values(name: str, target: str, classes: Sequence[Any]) -> None:
    """Log classes that are many whole numbers with gaps between them, as prices have and numbers of classes do not."""
    if len(classes) <= FEW_VALUES or not isinstance(classes[0], int) or classes[-1] - classes[0] < len(classes):
        return
    log.warning(
        "target column %r of %s has %d different whole numbers from %d to %d, which are taken for classes: where they "
        'are values, set data.task = "regression" (task in Python)',
        target,
        name,
        len(classes),
        classes[0],
        classes[-1],
    )


def _target(name: str, table: Any, target: str) -> tuple[tuple[Any, ...], np.ndarray]:
    """The different values of the target, sorted, and each row's place among them, -1 where missing."""
    (column,) = read_cells(table.select([target]))
    if column.kind == "date":
        remedy = "Name the column with the classes, or save the dates as names"
        raise must(
            f"target column {target!r}", name, "classes: strings, whole numbers or bools", Words("dates"), remedy
        )
    if column.kind != "number":
        return column.nominals()
    numbers = column.numbers()
    there = ~np.isnan(numbers)
    if not there.any():
        remedy = "Name another column, or write what is known of some rows into it"
        raise must(f"target column {target!r}", name, "of two or more classes", Words("no values"), remedy)
    if (numbers[there] != np.rint(numbers[there])).any():
        rule, got = "classes: strings, whole numbers or bools", Words("numbers with a fraction")
        remedy = 'Name the column with the classes, or set data.task = "regression" (task in Python) to predict numbers'
        raise must(f"target column {target!r}", name, rule, got, remedy)
    codes = np.full(len(numbers), -1, np.int64)
    found, codes[there] = np.unique(numbers[there].astype(np.int64), return_inverse=True)
    return tuple(found.tolist()), codes


def _labels_of(path: Path, table: Any, target: str, classes: Sequence[Any]) -> Tensor:
    """The class of each row of a further file.

    Raises:
        BadInput: If a value is none of the classes.
    """
    name = printable(path.name)
    values, codes = _target(name, table, target)
    # By their names: a file of whole numbers may have them as floats in the other.
    places = {str(value): place for place, value in enumerate(classes)}
    lookup = np.array([*(places.get(str(value), -2) for value in values), ABSENT], np.int64)
    found = lookup[codes]
    if (found == -2).any():
        row = int(np.flatnonzero(found == -2)[0])
        got = Words(f"{values[int(codes[row])]!r} in row {row}")
        remedy = near(str(values[int(codes[row])]), places) if len(places) <= 20 else "Leave such rows out"
        raise must(f"target column {target!r}", name, "of the classes in the training data", got, remedy)
    return torch.from_numpy(found)
