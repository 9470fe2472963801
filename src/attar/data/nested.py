"""Columns of lists, as Arrow has them, as arrays of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64, Shaped

from attar.data.limits import too_large
from attar.errors import Words, must


def is_list(kind: Any) -> bool:
    """Whether values of a type are lists: of any length, or of one."""
    kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    return any(one(kind) for one in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list))


def is_number(kind: Any) -> bool:
    """Whether values of a type are numbers or bools."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def dense(column: Any, where: str, most: int | None = None) -> Shaped[np.ndarray, "rows ..."]:
    """Lists of numbers, or of lists of numbers, as an array ``[rows, ...]``.

    Args:
        column: A `pyarrow.ChunkedArray`.
        where: What it is called in errors.
        most: Bytes that the array may take; None for any.

    Raises:
        BadInput: If lists differ in length, one is missing, or they hold something else than numbers.
    """
    if most is not None and column.nbytes > most:
        raise too_large(f"{where} takes", column.nbytes, most)
    done, found = 0, []
    for chunk in column.chunks:
        found.append(_dense(chunk, where, done))
        done += len(chunk)
    for one in found[1:]:
        if one.shape[1:] != found[0].shape[1:]:
            raise _ragged(where, found[0].shape[1:], one.shape[1:])
    return np.concatenate(found) if len(found) > 1 else found[0]


def _dense(array: Any, where: str, first: int) -> Any:
    array = array.storage if isinstance(array.type, pa.BaseExtensionType) else array
    if array.null_count:
        row = first + int(np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))[0])
        raise must("a value", where, "there in every row", Words(f"none in row {row}"), "Leave such rows out")
    if not is_list(array.type):
        if not is_number(array.type):
            raise must("the values", where, "numbers", Words(str(array.type)), "Convert them, or leave the column out")
        return array.to_numpy(zero_copy_only=False)
    lengths = np.asarray(pc.list_value_length(array))
    if lengths.size and lengths.min() != lengths.max():
        row = int(np.flatnonzero(lengths != lengths[0])[0])
        raise _ragged(where, int(lengths[0]), f"{int(lengths[row])} in row {first + row}")
    inner = _dense(array.flatten(), where, first)
    return inner.reshape(len(array), int(lengths[0]) if lengths.size else 0, *inner.shape[1:])


def _ragged(where: str, wanted: Any, got: Any) -> Exception:
    return must(
        "lists", where, f"of one length, {wanted} as in row 0", Words(str(got)), "Pad or cut them to one length"
    )


def padded(column: Any, where: str, most: int) -> tuple[Int64[np.ndarray, "rows length"], Int64[np.ndarray, " rows"]]:
    """Lists of whole numbers as rows of one length, 0 behind the shorter ones; and how long each is.

    Args:
        column: A `pyarrow.ChunkedArray`.
        where: What it is called in errors.
        most: Bytes that the array may take.

    Raises:
        BadInput: If they hold something else, one is missing, or the array is larger than allowed.
    """
    if not is_list(column.type) or not pa.types.is_integer(column.type.value_type):
        rule, got = "lists of whole numbers", Words(str(column.type))
        raise must("the values", where, rule, got, "Give the numbers of tokens")
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0])
        raise must("a value", where, "there in every row", Words(f"none in row {row}"), "Leave such rows out")
    counts = np.concatenate([np.asarray(pc.list_value_length(chunk), np.int64) for chunk in column.chunks])
    length = int(counts.max())
    taken = 8 * length * len(counts)
    if taken > most:
        raise too_large(f"{where} takes", taken, most)
    found, row = np.zeros((len(counts), length), np.int64), 0
    for chunk in column.chunks:
        here = counts[row : row + len(chunk)]
        values = chunk.flatten()
        if values.null_count:
            raise must("a token", where, "a whole number", Words("none"), "Leave such rows out")
        rows = np.repeat(np.arange(row, row + len(chunk)), here)
        found[rows, np.arange(len(values)) - np.repeat(here.cumsum() - here, here)] = values.to_numpy()
        row += len(chunk)
    return found, counts
