"""MUNGE: rows like those of a table, made by letting each row and its nearest neighbor trade values."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from numpy.typing import NDArray

from attar.data.synthesis.blocks import Blocks, pack
from attar.errors import Words, must, near
from attar.training.progress import Progress, silent

Neighbors = Literal["dynamic", "static"]
"""When the nearest row is looked for: at the row's turn, among the rows as they are then; or once, in the original."""

Distance = Literal["squares", "sum", "roots"]
"""How the numbers (Euclidean) and the nominals (Hamming) make one distance; see `munge`."""

_CELLS = 1 << 16
"""Cells whose random numbers are drawn at once. Another number here would be other draws."""

_TURNS = 1024
"""Rows whose neighbors are looked for in one piece of work."""


def munge(
    matrix: Float64[np.ndarray, "rows columns"],
    nominal: Bool[np.ndarray, " columns"],
    *,
    rows: int,
    p: float = 0.5,
    s: float = 1.0,
    neighbors: Neighbors = "dynamic",
    symmetric: bool = True,
    distance: Distance = "squares",
    nominal_weight: float = 1.0,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress = silent,
) -> Float64[np.ndarray, "made columns"]:
    """Rows that are spread as those of a table are, made from it by the algorithm MUNGE.

    A round takes a fresh copy of the table and goes through its rows in order. At its turn, a row and the row nearest
    to it trade values: each of their attributes with probability ``p``. A nominal attribute is swapped. Of a number,
    the row gets a normal draw around the neighbor's value and the neighbor one around the row's, both with the standard
    deviation ``|difference| / s``. Neighbors are looked for among the rows as they are by then, changed ones included.
    Every round gives as many rows as the table has; of the last one, as many as are still wanted are kept, drawn at
    random and in the table's order.

    The distance is taken over numbers, each scaled so that its range in the table is 0 to 1, and over nominals, which
    are the same or not. The paper says "Euclidean" for the one and "Hamming" for the other and leaves open how they
    join, with x the sum of squared differences and h the number of nominals that differ times ``nominal_weight``:
    ``"squares"`` is x + h (a different nominal counts as the whole range of a number), ``"sum"`` is sqrt(x) + h, and
    ``"roots"`` is sqrt(x) + sqrt(h). Of equally near rows the first is taken, and it is never the row itself. A row
    that occurs twice has its double as the neighbor: as long as they are equal, neither changes at its turn.

    The paper says nothing of missing values (NaN). Here, missing is one more value. Where one of two rows lacks a
    number, their difference counts as its whole range, where both do, as nothing; a missing nominal differs from every
    other one. Values of which one is missing are swapped.

    A round's random numbers are a function of ``(seed, number of the round)``, so the result depends on the arguments
    but not on threads, and of two calls that differ in ``rows`` alone the smaller one's whole rounds are in the other.

    Args:
        matrix: The table. Nominals are numbers that stand for categories, any numbers; NaN is missing.
        nominal: Which columns are nominal.
        rows: How many rows to make.
        p: The probability that an attribute changes at its row's turn, above 0 and at most 1.
        s: Local variance parameter, above 0: the greater, the closer numbers stay to those of the table.
        neighbors: ``"static"`` looks for every row's neighbor once, in the original table: a cheaper algorithm that is
            not the paper's.
        symmetric: Whether the neighbor changes too, as in the paper. Without, and with static neighbors, the neighbor's
            values are those of the original table and each row stands alone: this is the variant of AutoGluon.
        distance: How numbers and nominals make one distance.
        nominal_weight: What a different nominal counts, at least 0.
        seed: Another seed, other rows; at least 0.
        threads: Rounds at work at the same time; as many as torch uses when None. Memory grows with it.
        progress: Told of every row.

    Returns:
        ``rows`` rows. Numbers may lie outside of the table's range, and whole numbers do not stay whole: see
        `attar.data.synthesis.synthesize.synthesize` for both.

    Raises:
        BadInput: If the table has fewer than two rows, no column or infinite values, or if a value is out of its range.

    Example:
        >>> table = np.array([[0.0, 1.0], [0.1, 1.0], [5.0, 2.0], [5.1, 2.0]])
        >>> made = munge(table, np.array([False, True]), rows=8, p=0.5, s=5.0)
        >>> made.shape
        (8, 2)
        >>> np.unique(made[:, 1])
        array([1., 2.])

    References:
        Bucila, Caruana, Niculescu-Mizil, *Model Compression*, KDD 2006, section 3 and algorithm 1.
    """
    rounds = munge_in_rounds(
        matrix,
        nominal,
        rows=rows,
        p=p,
        s=s,
        neighbors=neighbors,
        symmetric=symmetric,
        distance=distance,
        nominal_weight=nominal_weight,
        seed=seed,
        threads=threads,
        progress=progress,
    )
    synthetic, start = np.empty((rows, matrix.shape[1])), 0
    for chunk in rounds:
        synthetic[start : start + len(chunk)] = chunk
        start += len(chunk)
    return synthetic


def munge_in_rounds(
    matrix: Float64[np.ndarray, "rows columns"],
    nominal: Bool[np.ndarray, " columns"],
    *,
    rows: int,
    p: float = 0.5,
    s: float = 1.0,
    neighbors: Neighbors = "dynamic",
    symmetric: bool = True,
    distance: Distance = "squares",
    nominal_weight: float = 1.0,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress = silent,
) -> Iterator[NDArray[np.float64]]:
    """The same rows as `munge`, round by round, so that all of them need not fit into memory.

    Errors come at once, the work is done while the rounds are taken: at most one round more than there are threads is
    held. An iterator that is left early stops what is at work.
    """
    if threads is not None and threads < 1:
        raise must("threads", "munge", "at least 1", threads, "Leave it out for as many as torch uses")
    _check_settings(rows, p, s, neighbors, distance, nominal_weight, seed)
    _check_table(matrix, nominal)
    walker = _walker(matrix, nominal, p, s, neighbors, symmetric, distance, nominal_weight, seed)
    return _rounds(walker, rows, threads or torch.get_num_threads(), progress)


def draws_of_round(
    seed: int, number: int, rows: int, columns: int
) -> Iterator[tuple[int, Float64[np.ndarray, "some columns"], Float64[np.ndarray, "2 some columns"]]]:
    """All random numbers of a round, some rows at a time: a function of the arguments and of nothing else.

    Yields:
        The first row that the draws are for; uniform draws from 0 up to 1 (not included), each of which decides whether
        an attribute changes; and standard normal draws for the row and for its neighbor.
    """
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number, 0)))
    step = max(1, _CELLS // columns)
    for first in range(0, rows, step):
        some = min(step, rows - first)
        yield first, generator.random((some, columns)), generator.standard_normal((2, some, columns))


def chosen_of_round(seed: int, number: int, rows: int, wanted: int) -> Int64[np.ndarray, " wanted"]:
    """Which rows of a round that is only partly wanted are kept, in ascending order."""
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number, 1)))
    return np.sort(generator.choice(rows, wanted, replace=False))


def _rounds(walker: _Walker, rows: int, at_once: int, progress: Progress) -> Iterator[NDArray[np.float64]]:
    """The rounds in order, a few of them at work ahead of the one that is asked for."""
    size = len(walker.matrix)
    total = -(-rows // size)
    stop = threading.Event()
    lock = threading.Lock()
    turns = (total + walker.static) * size
    with progress("munge", turns) as advance, ThreadPoolExecutor(at_once, "munge") as pool:

        def moved(steps: int) -> None:
            with lock:
                advance(steps)

        working: deque[Future[NDArray[np.float64]]] = deque()
        try:
            known = walker.known(pool, moved, stop)
            for number in range(total + at_once):
                if number < total:
                    working.append(pool.submit(walker.round, number, known, moved, stop))
                if number >= at_once:
                    synthetic = working.popleft().result()
                    wanted = min(size, rows - (number - at_once) * size)
                    yield (
                        synthetic
                        if wanted == size
                        else synthetic[chosen_of_round(walker.seed, total - 1, size, wanted)]
                    )
        finally:
            stop.set()
            for future in working:
                future.cancel()


@dataclass(frozen=True, slots=True)
class _Walker:
    """What the rounds share: the settings and the table, packed once."""

    matrix: NDArray[np.float64]
    blocks: Blocks
    number_columns: NDArray[np.int64]
    nominal_columns: NDArray[np.int64]
    low: NDArray[np.float64]
    span: NDArray[np.float64]
    p: float
    s: float
    static: bool
    symmetric: bool
    weight: float
    how: int
    seed: int

    def known(self, pool: ThreadPoolExecutor, moved: Callable[[int], None], stop: threading.Event) -> NDArray[np.int64]:
        """Each row's neighbor in the original when neighbors are static, else nothing."""
        from attar.data.synthesis.kernel import nearest

        rows = len(self.matrix)
        found = np.empty(rows if self.static else 0, np.int64)

        def look(first: int) -> None:
            if not stop.is_set():
                last = min(first + _TURNS, rows)
                nearest(first, last, self.blocks, self.weight, self.how, found)
                moved(last - first)

        try:
            list(pool.map(look, range(0, len(found), _TURNS)))
        except BaseException:
            stop.set()
            raise
        return found

    def round(
        self, number: int, known: NDArray[np.int64], moved: Callable[[int], None], stop: threading.Event
    ) -> NDArray[np.float64]:
        """The table after one round, a new one."""
        from attar.data.synthesis.kernel import DONE, walk

        table = self.matrix.copy()
        blocks = self.blocks if self.static else self.blocks.copy()
        source = self.matrix if self.static and not self.symmetric else table
        for first, chances, noise in draws_of_round(self.seed, number, *table.shape):
            if stop.is_set():
                break
            ended = walk(
                first,
                table,
                blocks,
                source,
                known,
                self.number_columns,
                self.nominal_columns,
                self.low,
                self.span,
                self.p,
                self.s,
                self.symmetric,
                self.weight,
                self.how,
                chances,
                noise,
            )
            if ended != DONE:
                remedy = "With so small an s, differences grow with every trade; 1 is usual"
                raise must("s", "munge", "great enough that numbers stay finite", self.s, remedy)
            moved(len(chances))
        return table


def _walker(
    matrix: NDArray[np.float64],
    nominal: NDArray[np.bool_],
    p: float,
    s: float,
    neighbors: Neighbors,
    symmetric: bool,
    distance: Distance,
    weight: float,
    seed: int,
) -> _Walker:
    from attar.data.synthesis.kernel import ROOTS, SQUARES, SUM

    numbers = matrix[:, ~nominal]
    seen = ~np.isnan(numbers)
    some = seen.any(axis=0)
    low = np.where(some, np.where(seen, numbers, np.inf).min(axis=0), 0.0)
    high = np.where(some, np.where(seen, numbers, -np.inf).max(axis=0), 0.0)
    span = np.where(high > low, high - low, 1.0)
    codes = np.empty((len(matrix), int(nominal.sum())), np.int32)
    for m, column in enumerate(matrix[:, nominal].T):
        codes[:, m] = np.unique(column, return_inverse=True)[1]
    return _Walker(
        matrix=np.ascontiguousarray(matrix),
        blocks=pack((numbers - low) / span, codes),
        number_columns=np.flatnonzero(~nominal),
        nominal_columns=np.flatnonzero(nominal),
        low=low,
        span=span,
        p=float(p),
        s=float(s),
        static=neighbors == "static",
        symmetric=symmetric,
        weight=float(weight),
        how={"squares": SQUARES, "sum": SUM, "roots": ROOTS}[distance],
        seed=seed,
    )


def _check_settings(rows: int, p: float, s: float, neighbors: str, distance: str, weight: float, seed: int) -> None:
    if rows < 1:
        raise must("rows", "munge", "at least 1", rows, "Say how many rows to make")
    if not 0 < p <= 1:
        raise must("p", "munge", "a probability above 0 and at most 1", p, "0.5 is usual")
    if not (s > 0 and math.isfinite(s)):
        raise must("s", "munge", "greater than 0 and finite", s, "The greater, the closer to the table; 1 is usual")
    for name, value, kinds in (("neighbors", neighbors, Neighbors), ("distance", distance, Distance)):
        if value not in get_args(kinds):
            raise must(
                name, "munge", f"one of {', '.join(map(repr, get_args(kinds)))}", value, near(value, get_args(kinds))
            )
    if not (weight >= 0 and math.isfinite(weight)):
        raise must("nominal_weight", "munge", "at least 0 and finite", weight, "1 counts a nominal as much as a number")
    if seed < 0:
        raise must("seed", "munge", "at least 0", seed, "Any whole number from 0 on will do")


def _check_table(matrix: NDArray[np.float64], nominal: NDArray[np.bool_]) -> None:
    rows, columns = matrix.shape
    if len(nominal) != columns:
        remedy = f"The matrix has {columns} columns: give as many"
        raise must("nominal", "munge", "one truth value per column", Words(f"{len(nominal)} values"), remedy)
    if columns == 0:
        raise must("matrix", "munge", "at least one column wide", matrix.shape, "Give the columns without the label")
    if rows < 2:
        raise must("matrix", "munge", "at least two rows long", matrix.shape, "A row needs another one to trade with")
    infinite = np.argwhere(np.isinf(matrix))
    if len(infinite):
        row, column = infinite[0].tolist()
        rule = "finite or NaN in every cell"
        raise must("matrix", "munge", rule, Words(f"{matrix[row, column]} in row {row}, column {column}"), "Replace it")
    with np.errstate(over="ignore"):
        unbounded = np.flatnonzero(np.isinf(np.nan_to_num(matrix).max(axis=0) - np.nan_to_num(matrix).min(axis=0)))
    if len(unbounded):
        remedy = "Divide the column by its largest value"
        raise must(
            "matrix",
            "munge",
            "of finite range in every column",
            Words(f"an infinite one in column {unbounded[0]}"),
            remedy,
        )
