"""MUNGE's inner loop in machine code: nearest rows, and the walk that changes rows. Import it where it is called.

Importing this file imports numba, which takes a second. Floating-point numbers are added in the order that is written
here and nothing is contracted, so that the results are those of a plain loop, bit for bit.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from attar.data.synthesis import blocks as packed
from attar.data.synthesis.blocks import Blocks

_Function = TypeVar("_Function", bound=Callable[..., Any])

SIZE, AT_ONCE = 32, 4
"""As in `blocks`, written again: machine code is kept on disk until this file changes, whatever happens to others."""
assert (SIZE, AT_ONCE) == (packed.SIZE, packed.AT_ONCE)

SQUARES, SUM, ROOTS = 0, 1, 2
"""How the distances over numbers and over nominals become one."""

DONE, OVERFLOW = 0, 1
"""How a walk ended."""

_LOOK = 32
"""After every so many columns it is looked whether any row of the block is still near enough."""

_ONE, _TWO, _THREE = np.uint64(SIZE), np.uint64(2 * SIZE), np.uint64(3 * SIZE)
"""From a column of a block to those after it."""


def _compiled(function: _Function) -> _Function:
    """The function in machine code, kept on disk between processes where some folder for it can be written."""
    unwrapped = inspect.unwrap(function)  # the tests' check of types wraps it
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": False}
    try:
        return cast(_Function, numba.njit(unwrapped, cache=True, **options))
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return cast(_Function, numba.njit(unwrapped, **options))


@_compiled
def _joined(squares: float, different: float, weight: float, how: int) -> float:
    """One distance from the sum of squares over numbers and the count of different nominals."""
    if how == SQUARES:
        return squares + weight * different
    if how == SUM:
        return math.sqrt(squares) + weight * different
    return math.sqrt(squares) + math.sqrt(weight * different)


@_compiled
def _any_within(squares: NDArray[np.float64], best: float, how: int) -> bool:
    """Whether some row may still be as near as the best, by the numbers that were added so far."""
    for lane in range(SIZE):
        if _joined(squares[lane], 0.0, 0.0, how) <= best:
            return True
    return False


@_compiled
def _add_squares(
    tiles: NDArray[np.float64],
    block: int,
    lacking: NDArray[np.bool_],
    numbers: NDArray[np.float64],
    best: float,
    how: int,
    distances: NDArray[np.float64],
) -> bool:
    """The sum of squared differences for every row of a block; False when it shows that none is within ``best``.

    A sum is made in the order of the columns. Unsigned indices and four columns at a time let the compiler put rows
    side by side in vector registers (three times as fast, measured); signed ones would be tested for being negative.
    """
    for lane in range(SIZE):
        distances[np.uint64(lane)] = 0.0
    start = block * len(numbers) * SIZE
    for k in range(0, len(numbers), AT_ONCE):
        at = np.uint64(start + k * SIZE)
        if lacking[k] or lacking[k + 1] or lacking[k + 2] or lacking[k + 3]:
            for column in range(k, k + AT_ONCE):
                at, mine = np.uint64(start + column * SIZE), numbers[column]
                if np.isnan(mine):
                    for lane in range(SIZE):
                        i = np.uint64(lane)
                        distances[i] += 0.0 if np.isnan(tiles[at + i]) else 1.0
                else:
                    for lane in range(SIZE):
                        i = np.uint64(lane)
                        apart = tiles[at + i] - mine
                        distances[i] += 1.0 if np.isnan(apart) else apart * apart
        else:
            mine_a, mine_b, mine_c, mine_d = numbers[k], numbers[k + 1], numbers[k + 2], numbers[k + 3]
            for lane in range(SIZE):
                i = np.uint64(lane)
                a = tiles[at + i] - mine_a
                b = tiles[at + i + _ONE] - mine_b
                c = tiles[at + i + _TWO] - mine_c
                d = tiles[at + i + _THREE] - mine_d
                distances[i] = (((distances[i] + a * a) + b * b) + c * c) + d * d
        if k % _LOOK == _LOOK - AT_ONCE and not _any_within(distances, best, how):
            return False
    return True


@_compiled
def _count_different(
    tiles: NDArray[np.int32], block: int, codes: NDArray[np.int32], different: NDArray[np.float64]
) -> None:
    """For every row of a block how many nominals differ."""
    for lane in range(SIZE):
        different[np.uint64(lane)] = 0.0
    start = block * len(codes) * SIZE
    for m in range(0, len(codes), AT_ONCE):
        at = np.uint64(start + m * SIZE)
        mine_a, mine_b, mine_c, mine_d = codes[m], codes[m + 1], codes[m + 2], codes[m + 3]
        for lane in range(SIZE):
            i = np.uint64(lane)
            different[i] += (
                (1.0 if tiles[at + i] != mine_a else 0.0)
                + (1.0 if tiles[at + i + _ONE] != mine_b else 0.0)
                + (1.0 if tiles[at + i + _TWO] != mine_c else 0.0)
                + (1.0 if tiles[at + i + _THREE] != mine_d else 0.0)
            )


@_compiled
def _bound(
    blocks: Blocks,
    numbers: NDArray[np.float64],
    codes: NDArray[np.int32],
    weight: float,
    how: int,
    bounds: NDArray[np.float64],
    different: NDArray[np.float64],
) -> None:
    """For each block a distance that none of its rows comes below.

    It holds for the rounded distances too: every step here rounds as the same step of `_measure` does, the operands are
    no larger, and rounding keeps the order.
    """
    among = len(bounds)
    for b in range(among):
        bounds[b] = 0.0
    for k in range(len(blocks.low)):
        mine = numbers[k]
        low, high, gone = blocks.low[k], blocks.high[k], blocks.gone[k]
        if not blocks.lacking[k]:
            for b in range(among):
                beyond = max(max(low[b] - mine, mine - high[b]), 0.0)
                bounds[b] += beyond * beyond
        elif np.isnan(mine):
            for b in range(among):
                bounds[b] += 0.0 if gone[b] else 1.0
        else:
            for b in range(among):
                beyond = max(max(low[b] - mine, mine - high[b]), 0.0)
                square = beyond * beyond
                bounds[b] += min(square, 1.0) if gone[b] else square
    for b in range(among):
        different[b] = 0.0
    for m in range(len(blocks.held)):
        held, shift = blocks.held[m], np.uint64(codes[m] % 64)
        for b in range(among):
            different[b] += 1.0 - float((held[b] >> shift) & np.uint64(1))
    if how != SQUARES or len(blocks.held) > 0:
        for b in range(among):
            bounds[b] = _joined(bounds[b], different[b], weight, how)


@_compiled
def _nearest(
    me: int,
    blocks: Blocks,
    weight: float,
    how: int,
    numbers: NDArray[np.float64],
    codes: NDArray[np.int32],
    bounds: NDArray[np.float64],
    apart: NDArray[np.float64],
    distances: NDArray[np.float64],
    different: NDArray[np.float64],
) -> int:
    """The row nearest to row ``me`` and not itself; of equally near ones the first.

    Its own block is looked through first, then the one with the least bound, then all others that their bounds do not
    rule out. The last six arguments are memory to work in.
    """
    # Taken out of the tuple once: to take one out counts references, which costs as much as a block.
    tiles, kinds, row_at, counts, lacking = blocks.numbers, blocks.codes, blocks.row, blocks.counts, blocks.lacking
    own, lane = blocks.place[me] // SIZE, blocks.place[me] % SIZE
    for k in range(len(numbers)):
        numbers[k] = tiles[(own * len(numbers) + k) * SIZE + lane]
    for m in range(len(codes)):
        codes[m] = kinds[(own * len(codes) + m) * SIZE + lane]
    _bound(blocks, numbers, codes, weight, how, bounds, apart)
    joins = how != SQUARES or len(codes) > 0
    best, found = np.inf, len(row_at)
    for step in range(-2, len(bounds)):
        if step == -2:
            block = own
        elif step == -1:
            block = 0
            for b in range(len(bounds)):
                if bounds[b] < bounds[block]:
                    block = b
        else:
            block = step
        if not bounds[block] <= best:
            continue
        bounds[block] = np.inf  # looked through
        if not _add_squares(tiles, block, lacking, numbers, best, how, distances):
            continue
        if joins:
            _count_different(kinds, block, codes, different)
            for other in range(SIZE):
                distances[other] = _joined(distances[other], different[other], weight, how)
        for other in range(counts[block]):
            distance = distances[other]
            if distance <= best:
                row = row_at[block * SIZE + other]
                if row != me and (distance < best or row < found):
                    best, found = distance, row
    return found


@_compiled
def nearest(first: int, last: int, blocks: Blocks, weight: float, how: int, found: NDArray[np.int64]) -> None:
    """The nearest other row of each of the rows from ``first`` up to ``last`` (not included), into ``found``."""
    numbers = np.empty(len(blocks.numbers) // (len(blocks.counts) * SIZE))
    codes = np.empty(len(blocks.codes) // (len(blocks.counts) * SIZE), np.int32)
    bounds, apart = np.empty(len(blocks.counts)), np.empty(len(blocks.counts))
    distances, different = np.empty(SIZE), np.empty(SIZE)
    for row in range(first, last):
        found[row] = _nearest(row, blocks, weight, how, numbers, codes, bounds, apart, distances, different)


@_compiled
def _at(tiles: NDArray[Any], blocks: Blocks, row: int, column: int) -> int:
    """Where in the tiles a row's value of a column is."""
    columns = len(tiles) // (len(blocks.counts) * SIZE)
    place = blocks.place[row]
    return int((place // SIZE * columns + column) * SIZE + place % SIZE)


@_compiled
def _move_number(blocks: Blocks, row: int, k: int, value: float) -> bool:
    """Give a row another scaled number; False when it is infinite, which distances could not bear."""
    block = blocks.place[row] // SIZE
    blocks.numbers[_at(blocks.numbers, blocks, row, k)] = value
    if np.isnan(value):
        blocks.gone[k, block] = True
    else:
        blocks.low[k, block] = min(blocks.low[k, block], value)
        blocks.high[k, block] = max(blocks.high[k, block], value)
    return not math.isinf(value)


@_compiled
def _move_code(blocks: Blocks, row: int, m: int, code: int) -> None:
    """Give a row another code."""
    blocks.codes[_at(blocks.codes, blocks, row, m)] = code
    blocks.held[m, blocks.place[row] // SIZE] |= np.uint64(1) << np.uint64(code % 64)


@_compiled
def walk(
    first: int,
    table: NDArray[np.float64],
    blocks: Blocks,
    source: NDArray[np.float64],
    known: NDArray[np.int64],
    number_columns: NDArray[np.int64],
    nominal_columns: NDArray[np.int64],
    low: NDArray[np.float64],
    span: NDArray[np.float64],
    p: float,
    s: float,
    symmetric: bool,
    weight: float,
    how: int,
    chances: NDArray[np.float64],
    noise: NDArray[np.float64],
) -> int:
    """Change some rows in order, each together with its nearest row.

    Args:
        first: The row to begin with; there are as many as ``chances`` has rows.
        table: ``[rows, columns]`` the values, changed in place.
        blocks: The same rows packed, changed in step when ``known`` is empty.
        source: ``[rows, columns]`` where a neighbor's values are read: ``table`` itself or the original.
        known: ``[rows]`` each row's neighbor, or empty: then it is looked for when the row's turn comes.
        number_columns: Which columns are numbers, in order.
        nominal_columns: Which columns are nominal, in order.
        low: ``[numbers]`` what is taken off a number to scale it.
        span: ``[numbers]`` what it is divided by then.
        p: The probability that an attribute changes.
        s: What a difference is divided by to give a standard deviation.
        symmetric: Whether the neighbor changes too.
        weight: What a different nominal counts.
        how: `SQUARES`, `SUM` or `ROOTS`.
        chances: ``[some rows, columns]`` uniform draws from 0 to 1.
        noise: ``[2, some rows, columns]`` standard normal draws, for the row and for its neighbor.

    Returns:
        `DONE`, or `OVERFLOW` when a number became infinite.
    """
    numbers = np.empty(len(blocks.numbers) // (len(blocks.counts) * SIZE))
    codes = np.empty(len(blocks.codes) // (len(blocks.counts) * SIZE), np.int32)
    bounds, apart = np.empty(len(blocks.counts)), np.empty(len(blocks.counts))
    distances, different = np.empty(SIZE), np.empty(SIZE)
    search = len(known) == 0
    for turn in range(len(chances)):
        row = first + turn
        if search:
            other = _nearest(row, blocks, weight, how, numbers, codes, bounds, apart, distances, different)
        else:
            other = known[row]
        for k in range(len(number_columns)):
            column = number_columns[k]
            if chances[turn, column] < p:
                mine, its = table[row, column], source[other, column]
                if np.isnan(mine) or np.isnan(its):
                    my_new, its_new = its, mine
                else:
                    deviation = abs(mine - its) / s
                    my_new = its + deviation * noise[0, turn, column]
                    its_new = mine + deviation * noise[1, turn, column]
                    if not (math.isfinite(my_new) and math.isfinite(its_new)):
                        return OVERFLOW
                table[row, column] = my_new
                if search and not _move_number(blocks, row, k, (my_new - low[k]) / span[k]):
                    return OVERFLOW
                if symmetric:
                    table[other, column] = its_new
                    if search and not _move_number(blocks, other, k, (its_new - low[k]) / span[k]):
                        return OVERFLOW
        for m in range(len(nominal_columns)):
            column = nominal_columns[m]
            if chances[turn, column] < p:
                mine, its = table[row, column], source[other, column]
                table[row, column] = its
                if symmetric:
                    table[other, column] = mine
                if search:
                    my_code = blocks.codes[_at(blocks.codes, blocks, row, m)]
                    its_code = blocks.codes[_at(blocks.codes, blocks, other, m)]
                    _move_code(blocks, row, m, its_code)
                    if symmetric:
                        _move_code(blocks, other, m, my_code)
    return DONE
