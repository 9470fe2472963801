"""Data sets from arrays and tables in memory: checked, divided into splits, described by their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attar.errors import must
from attar.tables import cells
from attar.tables.columns import Columns
from attar.training.batch import ABSENT
from attar.transfer.split import Dataset, Split
from attar.transfer.stratify import stratified

TEST, VALIDATION = -1, -2
"""Streams of the draws that divide a data set; those of the views are 0 and above."""

_KEYS = {"train": "train", "validation": "val", "test": "test"}


def from_arrays(
    name: str,
    arrays: Mapping[str, object],
    *,
    source: str = "arrays in memory",
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
) -> Dataset:
    """The data set in NumPy arrays or tensors.

    Args:
        name: What the data set is called.
        arrays: Either ``x`` and ``y``, or ``x_train`` and ``y_train`` and, where they exist, ``x_val``, ``y_val``,
            ``x_test``, ``y_test``; also ``classes``, the names. Inputs are ``[n, ...]`` floats, or uint8 pixels (one of
            ``[n, height, width]`` gets a channel axis); labels are ``[n]`` integers, in train -1 where unknown. Without
            names the classes are called by their numbers.
            Inputs are taken for the rows of a table if they are DataFrames or Arrow tables, or if there is ``columns``,
            the names of the columns, or ``nominal``, the names of those of which numbers are mere names (or places, as
            in ``column 3``, without ``columns``). Then values may be missing, see `from_tables`.
        source: Where the data came from, in words.
        validation: As in `load`.
        test: As in `load`.
        seed: As in `load`.

    Raises:
        BadInput: If an array is missing, not known or breaks a rule of `Split` or `Dataset`.

    Example:
        >>> x, y = np.zeros((40, 3), dtype="float32"), np.arange(40) % 2
        >>> from_arrays("zeros", {"x": x, "y": y})
        Dataset(zeros: train 29, validation 3, test 8; inputs 3; 2 classes; from arrays in memory)
    """
    pairs = {"train": ("x", "y")} if "x" in arrays else {role: (f"x_{key}", f"y_{key}") for role, key in _KEYS.items()}
    given = {role: keys for role, keys in pairs.items() if role == "train" or not arrays.keys().isdisjoint(keys)}
    needed = {key for keys in given.values() for key in keys}
    if missing := sorted(needed - arrays.keys()):
        remedy = f"Add {' and '.join(map(repr, missing))}"
        raise must("arrays", name, f"complete: {', '.join(sorted(needed))}", sorted(arrays), remedy)
    if unknown := sorted(arrays.keys() - needed - {"classes", "columns", "nominal"}):
        rule = (
            "x and y, or x_train, y_train, x_val, y_val, x_test and y_test, with or without classes, columns, nominal"
        )
        raise must("arrays", name, rule, unknown, f"Leave out {' and '.join(map(repr, unknown))}")
    tables = "columns" in arrays or "nominal" in arrays or cells.is_table(arrays[given["train"][0]])
    inputs: dict[str, Any] = {
        role: _rows(arrays[x]) if tables else _inputs(x, name, arrays[x]) for role, (x, _) in given.items()
    }
    labels = {role: _labels(y, name, arrays[y]) for role, (_, y) in given.items()}
    for role, (x, y) in given.items():
        if len(labels[role]) != len(inputs[role]):
            rule = f"as long as {x} ({len(inputs[role])} rows)"
            raise must(y, name, rule, f"{len(labels[role])} rows", "Give one label for each row, -1 where unknown")
    classes = _class_names(name, arrays.get("classes"), labels["train"])
    for role, (_, y) in given.items():
        least = ABSENT if role == "train" else 0
        for label in (int(labels[role].min()), int(labels[role].max())) if len(labels[role]) else ():
            if not least <= label < len(classes):
                rule = f"from {least} to {len(classes) - 1} (there are {len(classes)} classes)"
                raise must(y, name, rule, label, "Number the classes from 0, or name all of them in classes")
    if tables:
        named = _names("columns", name, arrays.get("columns"))
        columns = Naming(named, _names("nominal", name, arrays.get("nominal")) or ())
        return from_tables(
            name, inputs, labels, classes, columns, source=source, validation=validation, test=test, seed=seed
        )
    splits = {role: numbered(inputs[role], labels[role], classes) for role in given}
    return divided(name, source, splits, validation, test, seed)


@dataclass(frozen=True, slots=True)
class Naming:
    """What a user says of the columns of a table.

    Attributes:
        names: What the columns of an array are called; None for their places, and for tables that name them.
        nominal: Names of the columns of which numbers are mere names.
    """

    names: Sequence[str] | None = None
    nominal: Sequence[str] = ()


def from_tables(
    name: str,
    tables: Mapping[str, Any],
    labels: Mapping[str, Tensor],
    classes: tuple[str, ...],
    naming: Naming = Naming(),
    *,
    source: str,
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
) -> Dataset:
    """The data set of the rows of tables.

    What the columns hold is inferred from the training rows alone, as they are once validation and test are taken: a
    nominal value that occurs in the others only is missing there.

    Args:
        name: What the data set is called.
        tables: By split, what `Columns.infer` takes; ``train`` must be there.
        labels: By split, ``[n]`` int64 class numbers, in train `ABSENT` where unknown.
        classes: Names of the classes.
        naming: What the user says of the columns.
        source: Where the data came from, in words.
        validation: As in `load`.
        test: As in `load`.
        seed: As in `load`.

    Raises:
        BadInput: If tables or labels break a rule of `Columns`, `Split` or `Dataset`.
    """
    shares = _shares(name, labels, validation, test, seed)
    train = cells.take(tables["train"], shares["train"][1].numpy())
    columns = Columns.infer(train, nominal=naming.nominal, names=naming.names)
    splits = {
        role: numbered(
            torch.from_numpy(columns.encode(table, unseen="missing")).float(), labels[role], classes, columns
        )
        for role, table in tables.items()
    }
    parts = {role: splits[origin].rows(rows) for role, (origin, rows) in shares.items()}
    return Dataset(name=name, classes=classes, source=source, **parts)


def numbered(inputs: Tensor, labels: Tensor, classes: tuple[str, ...], columns: Columns | None = None) -> Split:
    """A split whose rows are numbered as they come."""
    return Split(inputs, labels, torch.arange(len(inputs)), classes, columns)


def divided(
    name: str, source: str, splits: Mapping[str, Split], validation: float | int, test: float | int, seed: int
) -> Dataset:
    """The data set of numbered splits; test and validation are taken from train where they are missing.

    Raises:
        BadInput: If a share leaves nothing, or the splits break a rule of `Dataset`.
    """
    labels = {role: split.labels for role, split in splits.items() if split.labels is not None}
    shares = _shares(name, labels, validation, test, seed)
    parts = {
        role: splits[origin] if len(rows) == len(splits[origin]) else splits[origin].rows(rows)
        for role, (origin, rows) in shares.items()
    }
    return Dataset(name=name, classes=splits["train"].classes, source=source, **parts)


def _shares(
    name: str, labels: Mapping[str, Tensor], validation: float | int, test: float | int, seed: int
) -> dict[str, tuple[str, Tensor]]:
    """For each of the three splits: out of which of the given ones it comes, and which rows of it they are."""
    shares = {role: (role, torch.arange(len(own))) for role, own in labels.items()}
    for role, share, drawn, stream in (("test", test, 0, TEST), ("validation", validation, seed, VALIDATION)):
        if role not in shares:
            rows = shares["train"][1]
            taken = _taken(name, role, labels["train"][rows], rows, share, drawn, stream)
            shares["train"], shares[role] = ("train", rows[~taken]), ("train", rows[taken])
    return shares


def _taken(name: str, role: str, labels: Tensor, ids: Tensor, share: float | int, seed: int, stream: int) -> Tensor:
    """True for the rows that a split takes from the labeled ones."""
    labeled = (labels != ABSENT).nonzero().flatten()
    amount = share if isinstance(share, int) else round(share * len(labeled))
    right = 0 < share < 1 if isinstance(share, float) else share >= 1
    if not right or isinstance(share, bool) or not 0 < amount < len(labeled):
        rule = f"a share between 0 and 1, or a number of examples, that leaves some of the {len(labeled)} labeled ones"
        raise must(role, name, rule, share, "Use 0.1 for a tenth")
    mask = torch.zeros(len(labels), dtype=torch.bool)
    mask[labeled[stratified(labels[labeled], ids[labeled], amount, seed=seed, stream=stream)]] = True
    return mask


def _rows(values: object) -> Any:
    """The rows of a table in a form that `Columns` takes."""
    if isinstance(values, Tensor):
        return values.detach().cpu().numpy()
    return cells.kept(values) if cells.is_table(values) else np.asarray(values)


def _names(key: str, name: str, given: object) -> list[str] | None:
    """A list of the names of columns."""
    if given is None:
        return None
    names = None if isinstance(given, str) else np.asarray(given)
    if names is None or names.ndim != 1 or (names.dtype.kind != "U" and names.size):
        raise must(key, name, "a list of names of columns", given, "Write them as an array of strings")
    return [str(one) for one in names]


def _inputs(key: str, name: str, values: object) -> Tensor:
    """An array of inputs as a Split takes it: float32 or uint8, pictures with a channel axis."""
    tensor = _tensor(key, name, values)
    if tensor.is_floating_point():
        tensor = tensor.float()
        if not tensor.isfinite().all():
            row = int((~tensor.isfinite()).reshape(len(tensor), -1).any(1).nonzero()[0])
            raise must(key, name, "finite in float32", f"NaN or infinity in row {row}", "Remove or repair such rows")
    elif tensor.dtype != torch.uint8:
        remedy = "Convert it, for instance with .astype('float32')"
        raise must(key, name, "floats, or uint8 for pixels", str(tensor.dtype).removeprefix("torch."), remedy)
    shape = tuple(tensor.shape)
    if len(shape) < 2:
        raise must(key, name, "[n, ...] with at least two axes", shape, "Give each example at least one value")
    if tensor.dtype == torch.uint8 and len(shape) == 3:
        return tensor.unsqueeze(1)
    if tensor.dtype == torch.uint8 and len(shape) == 4 and shape[1] > 4 >= shape[3]:
        remedy = "Move the channels with .transpose(0, 3, 1, 2)"
        raise must(key, name, "[n, channels, height, width]", shape, remedy)
    return tensor


def _labels(key: str, name: str, values: object) -> Tensor:
    """An array of labels as int64."""
    tensor = _tensor(key, name, values)
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        got = str(tensor.dtype).removeprefix("torch.")
        raise must(key, name, "whole numbers", got, "Number the classes from 0 and convert with .astype('int64')")
    if tensor.dim() != 1:
        remedy = "Use .argmax(1) for one-hot rows, .reshape(-1) for a column"
        raise must(key, name, "[n], one number for each row", tuple(tensor.shape), remedy)
    return tensor.long()


def _tensor(key: str, name: str, values: object) -> Tensor:
    """An array or tensor as a tensor on the CPU, without a copy where possible."""
    if isinstance(values, Tensor):
        return values.detach().cpu()
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise must(
            key, name, "an array of numbers", f"{type(values).__name__} of {array.dtype}", "Convert it to numbers"
        )
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _class_names(name: str, given: object, labels: Tensor) -> tuple[str, ...]:
    """The names given, or the numbers up to the largest label in train."""
    if given is None:
        return tuple(map(str, range(int(labels.max()) + 1 if len(labels) else 0)))
    if isinstance(given, str) or np.ndim(given) != 1:  # type: ignore[arg-type]
        raise must("classes", name, "a list of names", given, "Name the classes in the order of their numbers")
    return tuple(map(str, np.asarray(given).tolist()))
