"""Rows of a table packed so that a nearest row is found fast: blocks of rows that lie close, each with its bounds."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float64, Int32, Int64
from numpy.typing import NDArray

_Value = TypeVar("_Value", bound=np.generic)

SIZE = 32
"""Rows of a block: enough for whole vector registers, few enough for tight bounds."""

AT_ONCE = 4
"""Columns that are read at once: every block holds a multiple of it, the last ones zeros, which are at no distance."""


class Blocks(NamedTuple):
    """A table in blocks of `SIZE` rows; within a block all rows' values of a column lie side by side.

    The rows of a block lie close to each other, so that its bounds rule it out for most queries. Bounds may be wider
    than the rows need, never narrower: a row that moves widens those of its block. Unused places of the last block hold
    zeros and are never read as rows.
    """

    numbers: NDArray[np.float64]
    """``[blocks * columns * SIZE]`` every number on the scale where its column's range in the original is 0 to 1."""
    codes: NDArray[np.int32]
    """``[blocks * columns * SIZE]`` which of its column's values a nominal is; missing is one of them."""
    low: NDArray[np.float64]
    """``[numbers, blocks]`` no row of the block has less."""
    high: NDArray[np.float64]
    """``[numbers, blocks]`` no row of the block has more."""
    gone: NDArray[np.bool_]
    """``[numbers, blocks]`` some row of the block may lack the number."""
    held: NDArray[np.uint64]
    """``[nominals, blocks]`` bit ``code % 64`` is set when some row of the block may have the code."""
    counts: NDArray[np.int64]
    """``[blocks]`` number of rows."""
    place: NDArray[np.int64]
    """``[rows]`` where each row is: block times `SIZE` plus lane."""
    row: NDArray[np.int64]
    """``[rows]`` which row is at each place: the inverse of ``place``."""
    lacking: NDArray[np.bool_]
    """``[numbers, to a multiple of AT_ONCE]`` whether the column has missing values at all."""

    def copy(self) -> Blocks:
        """The same, with memory of its own for what changes as rows move."""
        moving = {name: getattr(self, name).copy() for name in ("numbers", "codes", "low", "high", "gone", "held")}
        return self._replace(**moving)


def pack(numbers: Float64[np.ndarray, "rows numbers"], codes: Int32[np.ndarray, "rows nominals"]) -> Blocks:
    """Pack rows into blocks.

    Args:
        numbers: Scaled numbers; NaN is missing.
        codes: Codes of the nominals, from 0 on.
    """
    rows = len(numbers)
    row = _close_together(numbers, codes)
    place = np.empty(rows, np.int64)
    place[row] = np.arange(rows)
    blocks = -(-rows // SIZE)
    counts = np.full(blocks, SIZE)
    counts[-1] = rows - (blocks - 1) * SIZE
    starts = np.arange(0, rows, SIZE)
    sorted_numbers, sorted_codes = numbers[row], codes[row]
    absent = np.isnan(sorted_numbers)
    bits = np.left_shift(np.uint64(1), (sorted_codes % 64).astype(np.uint64))
    return Blocks(
        numbers=_tiled(sorted_numbers, blocks),
        codes=_tiled(sorted_codes, blocks),
        low=_by_block(np.minimum, np.where(absent, np.inf, sorted_numbers), starts),
        high=_by_block(np.maximum, np.where(absent, -np.inf, sorted_numbers), starts),
        gone=_by_block(np.logical_or, absent, starts),
        held=_by_block(np.bitwise_or, bits, starts),
        counts=counts,
        place=place,
        row=row,
        lacking=np.pad(absent.any(axis=0), (0, -numbers.shape[1] % AT_ONCE)),
    )


def _tiled(values: NDArray[_Value], blocks: int) -> NDArray[_Value]:
    """``[rows, columns]`` as ``[blocks * columns * SIZE]`` with zeros for columns and rows that are not there."""
    rows, columns = values.shape
    padded = np.zeros((blocks * SIZE, columns + -columns % AT_ONCE), values.dtype)
    padded[:rows, :columns] = values
    return np.ascontiguousarray(padded.reshape(blocks, SIZE, padded.shape[1]).transpose(0, 2, 1)).ravel()


def _by_block(reduction: np.ufunc, values: NDArray[_Value], starts: NDArray[np.int64]) -> NDArray[_Value]:
    """``[columns, blocks]``: the rows of each block made one."""
    return np.ascontiguousarray(reduction.reduceat(values, starts, axis=0).T)


def _close_together(
    numbers: Float64[np.ndarray, "rows numbers"], codes: Int32[np.ndarray, "rows nominals"]
) -> Int64[np.ndarray, " rows"]:
    """The rows in an order in which blocks of `SIZE` lie close: halved along the widest column, again and again."""
    order = np.arange(len(numbers))
    waiting = [(0, len(order))]
    while waiting:
        first, last = waiting.pop()
        blocks = -(-(last - first) // SIZE)
        if blocks == 1:
            continue
        here = order[first:last]
        keys = _widest(numbers[here], codes[here])
        middle = blocks // 2 * SIZE
        order[first:last] = here[np.argpartition(keys, middle)]
        waiting += [(first, first + middle), (first + middle, last)]
    return order


def _widest(numbers: NDArray[np.float64], codes: NDArray[np.int32]) -> NDArray[np.float64] | NDArray[np.int32]:
    """The column along which the rows differ most: for numbers by variance, for nominals by half the Gini index.

    Both are half the mean squared distance of two rows in that column, drawn with replacement.
    """
    centered = numbers - np.nanmean(np.where(np.isnan(numbers).all(axis=0), 0.0, numbers), axis=0)
    spread = np.nan_to_num(centered**2, posinf=0.0).sum(axis=0) / len(numbers)
    disorder = [0.5 - 0.5 * ((np.bincount(column) / len(column)) ** 2).sum() for column in codes.T]
    widest = int(np.argmax([*spread, *disorder]))
    return numbers[:, widest] if widest < len(spread) else codes[:, widest - len(spread)]
