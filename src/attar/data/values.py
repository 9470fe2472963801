"""Labels that are numbers with a unit, as a regression has them: from arrays, and from columns of a table."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.errors import BadInput, Words, must
from attar.formatting import significant
from attar.regular_arrays import unmasked
from attar.tables.column import Column
from attar.tables.columns import Columns, written
from attar.tables.notation import Decimal

FEW_VALUES = 20
"""So many different numbers with a fraction may be grades, or mistakes among classes; more of them are values."""

_REMEDY = "Give numbers, NaN where one is not known"

_ROUNDED, _LOST = 0.01, 0.1
"""What rounding to float32 changes a value by at most, as a share of their standard deviation: from which on that is
told, and from which on they are refused."""

log = logging.getLogger(__name__)


def values_of(
    name: str, given: Mapping[str, tuple[str, object]], names: object = None
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Arrays of true values as labels, and what the values are called.

    Args:
        name: What the data set is called.
        given: By the role of a split, the key of its values and the values, ``[n]`` or ``[n, values]`` numbers, NaN or
            None where one is not known; ``train`` must be there.
        names: What the values are called; None takes the names of a table's columns, and else ``value``.

    Returns:
        By role, float32 ``[n, values]``; and the names.

    Raises:
        BadInput: If they are no numbers, or one is infinite.
    """
    labels = {role: _numbers(key, name, values) for role, (key, values) in given.items()}
    count = labels["train"].shape[1]
    for role, (key, _) in given.items():
        if labels[role].shape[1] != count:
            rule, got = f"[n, {count}], as in train", tuple(labels[role].shape)
            raise must(key, name, rule, got, "Give the same values in every split")
    return labels, _names(name, names, given["train"][1], count)


def are_values(values: object) -> bool | None:
    """Whether labels can only be numbers with a unit: True or False, and None where they may also be classes.

    Args:
        values: Labels of any kind.
    """
    array: NDArray[Any] = _as_array(values)
    if array.dtype.kind != "f" or not array.size:
        return False
    finite = array[np.isfinite(array)]
    broken = finite[finite != np.rint(finite)]
    if not len(broken):
        return False
    return True if len(np.unique(broken)) > FEW_VALUES else None


def doubtful(key: str, name: str, task_key: str) -> BadInput:
    """The error for labels that are numbers with fractions, but only a few different ones."""
    return BadInput(
        f"{key} of {name} has numbers with a fraction, and so few different ones that they may be classes or values. "
        f'Set {task_key} to "regression" for values, or make them whole numbers or names for classes.'
    )


def columns_of_values(
    name: str, table: Any, targets: Sequence[str], decimal: Decimal | None, key: str = "target"
) -> NDArray[np.float64]:
    """The numbers in some columns of a table, ``[rows, values]``, NaN where one is missing; 1 for True and 0 for False.

    Args:
        name: What the table is called.
        table: With the columns.
        targets: Their names.
        decimal: What stands before fractions in texts that could be read in two ways.
        key: What the columns are to the user.

    Raises:
        BadInput: If a column holds neither numbers nor bools.
    """
    chosen = table.select(list(targets))
    columns = Columns.infer(chosen, written=written([chosen], digits=True, decimal=decimal))
    for column in columns:
        if column.kind in ("nominal", "date") and not _is_logical(column):
            names = ", ".join(map(repr, column.categories[:3]))
            got = Words("dates" if column.kind == "date" else names or "no values")
            raise must(f"{key} column {column.name!r}", name, "of numbers, or of true and false", got, "Name another")
    return columns.encode(chosen)


def _is_logical(column: Column) -> bool:
    """Whether a column holds bools, whose codes are 0 and 1."""
    return column.categories == (False, True) and isinstance(column.categories[0], bool)


def values_as_labels(key: str, name: str, values: NDArray[Any]) -> Tensor:
    """Numbers ``[n, values]`` as labels of a regression.

    Raises:
        BadInput: If one is infinite in float32, or that tells them hardly apart; where it loses less, that is logged.
    """
    with np.errstate(over="ignore"):
        numbers = np.ascontiguousarray(values, dtype=np.float32)
    if np.isinf(numbers).any():
        row = int(np.flatnonzero(np.isinf(numbers).any(axis=1))[0])
        raise must(key, name, "finite in float32, NaN where not known", Words(f"infinity in row {row}"), _REMEDY)
    _check_rounding(key, name, values, numbers)
    return torch.from_numpy(numbers if numbers is not values else numbers.copy())


_TINY = 1e-30
"""Standard deviation of values below which they need another unit, and no other zero."""


def _check_rounding(key: str, name: str, values: NDArray[Any], rounded: NDArray[np.float32]) -> None:
    """See that large values that differ by little stay apart in float32, in which networks compute."""
    for given, column in zip(values.T, rounded.T, strict=True):
        known = ~np.isnan(column)
        exact = given[known].astype(np.float64)
        if len(exact) < FEW_VALUES or exact.min() == exact.max():
            continue
        lost, spread = float(np.abs(column[known] - exact).max()), float(exact.std())
        if lost <= _ROUNDED * spread:
            continue
        step = float(np.spacing(np.float32(np.abs(exact).max())))
        found = (
            f"some around {exact.mean():.15g}, with a standard deviation of {significant(spread)}, of which float32 "
        )
        found += f"keeps steps of {step:g}"
        remedy = (
            f"Subtract a number such as {exact.min():.15g} from all of them first, and add it to what the model gives"
        )
        if spread < _TINY:
            factor = f"1e{-math.floor(math.log10(np.abs(exact).max()))}"
            remedy = f"Multiply all of them by a number such as {factor} first, and divide what the model gives by it"
        if lost > _LOST * spread:
            raise must(key, name, "values that float32, in which networks compute, tells apart", Words(found), remedy)
        log.warning("%s of %s holds %s. %s", key, name, found, remedy)


def numbers_of(key: str, name: str, values: object, rule: str, remedy: str) -> NDArray[Any]:
    """What the user gives as an array of numbers, of any shape.

    Args:
        key: What the user calls it.
        name: What it is of.
        values: An array, a tensor, a list.
        rule: What it must be, for the error.
        remedy: What to do otherwise.

    Raises:
        BadInput: If they are no numbers.
    """
    array: NDArray[Any] = _as_array(values)
    if array.dtype.kind == "O":
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise must(key, name, rule, Words(f"others ({error})"), remedy) from error
    if array.dtype.kind not in "biuf":
        raise must(key, name, rule, Words(f"{type(values).__name__} of {array.dtype}"), remedy)
    return array


def _as_array(values: object) -> NDArray[Any]:
    if isinstance(values, Tensor):
        tensor: NDArray[Any] = values.detach().cpu().numpy()
        return tensor
    return unmasked(values) if isinstance(values, np.ma.MaskedArray) else np.asarray(values)


def _numbers(key: str, name: str, values: object) -> Tensor:
    array = numbers_of(key, name, values, "numbers, as it is a regression", _REMEDY)
    if array.ndim not in (1, 2) or 0 in array.shape[1:]:
        raise must(key, name, "[n] or [n, values]", tuple(array.shape), "Flatten what is one value of many axes")
    return values_as_labels(key, name, array.reshape(len(array), -1))


def _names(name: str, given: object, train: Any, count: int) -> tuple[str, ...]:
    """What the values are called."""
    if given is None:
        own = getattr(train, "columns", None)
        own = [train.name] if own is None and getattr(train, "name", None) is not None else own
        if own is not None and len(own) == count:
            return tuple(map(str, own))
        return ("value",) if count == 1 else tuple(f"value {place}" for place in range(count))
    if isinstance(given, str) or np.ndim(given) != 1 or len(given) != count:  # type: ignore[arg-type]
        raise must("names", name, f"a list of {count} names, one for each value", given, "Name all or none")
    return tuple(map(str, np.asarray(given).tolist()))
