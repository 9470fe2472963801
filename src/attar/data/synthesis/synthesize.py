"""Made-up rows in the form of the ones given: which method, with which settings, and what is put right afterwards."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from attar import formatting
from attar.data.synthesis.marginal import marginal_in_chunks
from attar.data.synthesis.mixture import FLOOR, fit_mixture
from attar.data.synthesis.munge import Distance, Neighbors, chosen_of_round, munge_in_rounds
from attar.errors import BadInput, Words, must, near
from attar.memory import installed
from attar.tables.columns import Columns
from attar.training.progress import Progress, silent

Method = Literal["munge", "random", "nbe"]
"""MUNGE; every attribute by itself; or a mixture of naive-Bayes components."""

Integers = Literal["round", "keep"]
"""What becomes of numbers in whole-number columns: rounded to whole ones, or left as they were drawn."""

DEFAULT_GRID: tuple[tuple[float, float], ...] = tuple((p, s) for p in (0.2, 0.5, 0.8) for s in (0.5, 1.0, 3.0, 10.0))
"""Pairs of ``p`` and ``s`` that are tried when nothing else is said; the paper does not give the ones it used."""

_RULE = 1
"""Number of the drawing rule, a part of the fingerprint: change it whenever the same settings would make other rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesis:
    """How made-up rows come about.

    Args:
        rows: How many to make, besides the originals.
        method: ``"munge"``, ``"random"`` or ``"nbe"``; see the files `munge`, `marginal` and `mixture`. The settings of
            the other methods are not looked at.
        p: MUNGE's probability that an attribute changes; None to be tuned.
        s: MUNGE's local variance parameter; None to be tuned.
        neighbors: When MUNGE looks for a row's neighbor: at its turn (the paper), or once (cheaper).
        symmetric: Whether MUNGE changes the neighbor too (the paper).
        distance: How MUNGE joins numbers and nominals to one distance.
        nominal_weight: What a different nominal counts in MUNGE's distance.
        components: How many components NBE has; None to choose on rows held out.
        integers: Whether numbers in whole-number columns are rounded.
        clip: Whether numbers beyond the range that a column had are moved to its end.
        include_original: Whether the original rows come first.

    Raises:
        BadInput: If a value is out of its range.
    """

    rows: int
    method: Method = "munge"
    p: float | None = 0.5
    s: float | None = 1.0
    neighbors: Neighbors = "dynamic"
    symmetric: bool = True
    distance: Distance = "squares"
    nominal_weight: float = 1.0
    components: int | None = None
    integers: Integers = "round"
    clip: bool = True
    include_original: bool = False

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise must("rows", "Synthesis", "at least 1", self.rows, "Say how many rows to make")
        kinds: dict[str, Any] = {
            "method": Method,
            "neighbors": Neighbors,
            "distance": Distance,
            "integers": Integers,
        }
        for name, kind in kinds.items():
            value, valid = getattr(self, name), get_args(kind)
            if value not in valid:
                raise must(name, "Synthesis", f"one of {', '.join(map(repr, valid))}", value, near(str(value), valid))
        if self.p is not None and not 0 < self.p <= 1:
            raise must("p", "Synthesis", "a probability above 0 and at most 1", self.p, "0.5 is usual")
        if self.s is not None and not (self.s > 0 and math.isfinite(self.s)):
            raise must("s", "Synthesis", "greater than 0 and finite", self.s, "1 is usual")
        if not (self.nominal_weight >= 0 and math.isfinite(self.nominal_weight)):
            remedy = "1 counts a nominal as much as the whole range of a number"
            raise must("nominal_weight", "Synthesis", "at least 0 and finite", self.nominal_weight, remedy)
        if self.components is not None and self.components < 1:
            raise must("components", "Synthesis", "at least 1", self.components, "Leave it out to have it chosen")

    @property
    def tuned(self) -> bool:
        """Whether nothing is left to be tuned."""
        return self.method != "munge" or (self.p is not None and self.s is not None)

    def fingerprint(self) -> dict[str, bool | int | float | str | None]:
        """The plain values that fix every draw from a table, besides the seed; those of other methods are None."""
        values: dict[str, bool | int | float | str | None] = dataclasses.asdict(self)
        mine = {
            "munge": {"p", "s", "neighbors", "symmetric", "distance", "nominal_weight"},
            "random": set[str](),
            "nbe": {"components"},
        }
        for name in set().union(*mine.values()) - mine[self.method]:
            values[name] = None
        return {**values, "rule": _RULE}

    def draw(
        self,
        matrix: Float64[np.ndarray, "rows columns"],
        columns: Columns,
        *,
        seed: int = 0,
        progress: Progress = silent,
    ) -> Float64[np.ndarray, "made columns"]:
        """Make the rows.

        Args:
            matrix: The original rows as ``columns.encode`` gives them.
            columns: What they are.
            seed: Another seed, other rows; at least 0.
            progress: Told of every row.

        Raises:
            BadInput: If the matrix is not one of these columns, something is left to be tuned, or the rows take more
                than half of the memory.
        """
        size = self.rows * len(columns) * np.dtype(np.float64).itemsize
        if size > installed() // 2:
            raise BadInput(
                f"{self.rows:,} synthetic rows of {len(columns)} columns take {formatting.size(size)}, more than half "
                "of the memory. Ask for fewer rows."
            )
        return np.concatenate(list(self.in_chunks(matrix, columns, seed=seed, progress=progress)))

    def origins(self, count: int, *, seed: int = 0) -> Int64[np.ndarray, " made"] | None:
        """Which original row each of the rows that `draw` gives was made from; None where a row is made from all.

        Args:
            count: How many original rows there are.
            seed: As in `draw`.
        """
        if self.method != "munge":
            return None
        rounds = [np.arange(count)] * (self.rows // count)
        if left := self.rows % count:
            rounds.append(chosen_of_round(seed, self.rows // count, count, left))
        before = [np.arange(count)] if self.include_original else []
        found: NDArray[np.int64] = np.concatenate([np.zeros(0, np.int64), *before, *rounds])
        return found

    def in_chunks(
        self,
        matrix: Float64[np.ndarray, "rows columns"],
        columns: Columns,
        *,
        seed: int = 0,
        progress: Progress = silent,
    ) -> Iterator[NDArray[np.float64]]:
        """The same rows as `draw`, some at a time, so that all of them need not fit into memory."""
        if matrix.shape[1] != len(columns):
            rule = f"[rows, {len(columns)}], as there are {len(columns)} columns"
            raise must("matrix", "Synthesis", rule, matrix.shape, "Use the columns that it was encoded with")
        if not self.tuned:
            rule = "numbers before rows are made"
            raise must("p and s", "Synthesis", rule, (self.p, self.s), "Set them, or let tune choose them")
        return self._finished(matrix, columns, self._raw(matrix, columns, seed, progress))

    def _raw(
        self, matrix: NDArray[np.float64], columns: Columns, seed: int, progress: Progress
    ) -> Iterator[NDArray[np.float64]]:
        if self.method == "random":
            return marginal_in_chunks(matrix, rows=self.rows, seed=seed, progress=progress)
        if self.method == "nbe":
            mixture = fit_mixture(
                matrix,
                columns.mask,
                components=self.components,
                floors=np.array([_floor(column.kind, column.scale) for column in columns]),
                seed=seed,
                progress=progress,
            )
            return mixture.sample_in_chunks(self.rows, seed=seed, progress=progress)
        assert self.p is not None and self.s is not None
        return munge_in_rounds(
            matrix,
            columns.mask,
            rows=self.rows,
            p=self.p,
            s=self.s,
            neighbors=self.neighbors,
            symmetric=self.symmetric,
            distance=self.distance,
            nominal_weight=self.nominal_weight,
            seed=seed,
            progress=progress,
        )

    def _finished(
        self, matrix: NDArray[np.float64], columns: Columns, chunks: Iterator[NDArray[np.float64]]
    ) -> Iterator[NDArray[np.float64]]:
        if self.include_original:
            yield matrix.copy()
        for chunk in chunks:
            for place, column in enumerate(columns):
                if column.kind == "integer" and self.integers == "round":
                    chunk[:, place] = np.rint(chunk[:, place]) + 0.0  # and no negative zero
                if self.clip and column.low is not None:
                    chunk[:, place] = np.clip(chunk[:, place], column.low, column.high)
            yield chunk


def _floor(kind: str, scale: float) -> float:
    """The least standard deviation of a component of NBE: that of rounding where numbers are whole."""
    return max(FLOOR * scale, 1 / math.sqrt(12)) if kind == "integer" else math.nan


def synthesize(
    data: Any,
    rows: int,
    *,
    method: Method = "munge",
    columns: Columns | None = None,
    nominal: Sequence[str | int] = (),
    p: float = 0.5,
    s: float = 1.0,
    neighbors: Neighbors = "dynamic",
    symmetric: bool = True,
    distance: Distance = "squares",
    nominal_weight: float = 1.0,
    components: int | None = None,
    integers: Integers = "round",
    clip: bool = True,
    include_original: bool = False,
    seed: int = 0,
    progress: Progress = silent,
) -> Any:
    """Make rows like those of a table, without labels, for a student to imitate its teacher on.

    Args:
        data: A NumPy array ``[rows, columns]``, a pandas DataFrame, an Arrow table or anything that Arrow can read as
            one; without the label.
        rows: How many rows to make, besides the originals.
        method: ``"munge"``, ``"random"`` or ``"nbe"``.
        columns: What the columns are; read from the data when None.
        nominal: Columns of numbers that are mere names, by name or by place; for when ``columns`` is None.
        p: As in `Synthesis`, like all that follow.
        s: As there.
        neighbors: As there.
        symmetric: As there.
        distance: As there.
        nominal_weight: As there.
        components: As there.
        integers: As there.
        clip: As there.
        include_original: As there.
        seed: Another seed, other rows; at least 0.
        progress: Told of every row.

    Returns:
        The rows in the form of ``data``, with its columns and their types.

    Raises:
        BadInput: If the data are no table or a value is out of its range.

    Example:
        >>> table = np.array([["red", 3], ["blue", 4], ["red", 5]], dtype=object)
        >>> made = synthesize(table, 4, s=5.0)
        >>> made.shape, set(made[:, 0]) <= {"red", "blue"}, {type(value) for value in made[:, 1]}
        ((4, 2), True, {<class 'int'>})
    """
    if columns is None:
        columns = Columns.infer(data, nominal=nominal)
    elif len(nominal):
        remedy = "Leave one of them out"
        raise must("nominal", "synthesize", "left out where columns are given", list(nominal), remedy)
    synthesis = Synthesis(
        rows=rows,
        method=method,
        p=p,
        s=s,
        neighbors=neighbors,
        symmetric=symmetric,
        distance=distance,
        nominal_weight=nominal_weight,
        components=components,
        integers=integers,
        clip=clip,
        include_original=include_original,
    )
    return columns.decode(synthesis.draw(columns.encode(data), columns, seed=seed, progress=progress), like=data)


def tune(
    score: Callable[[Synthesis], float],
    synthesis: Synthesis,
    grid: Sequence[tuple[float, float]] = DEFAULT_GRID,
    progress: Progress = silent,
) -> tuple[Synthesis, list[dict[str, float]]]:
    """Choose MUNGE's ``p`` and ``s`` where they are None.

    Args:
        score: How good the rows of a synthesis are; higher is better. Usually it trains a small student on them, as its
            teacher labels them, and measures it on validation rows.
        synthesis: What is to be tuned. A ``p`` or ``s`` that it has stays.
        grid: Pairs of ``p`` and ``s`` to try.
        progress: Told of every pair.

    Returns:
        The synthesis with the best pair, the first one of equals; and every pair with its score, in order.

    Raises:
        BadInput: If there is nothing to tune or to try, or a score is not a number.

    Example:
        >>> best, tried = tune(lambda found: -abs(found.s - 3), Synthesis(rows=10, p=0.5, s=None))
        >>> best.s, len(tried)
        (3.0, 4)
    """
    if synthesis.tuned:
        got = Words(f"method {synthesis.method!r}, p {synthesis.p}, s {synthesis.s}")
        raise must("synthesis", "tune", "of MUNGE with p or s None", got, "Set what is to be tuned to None")
    pairs = dict.fromkeys(
        (p if synthesis.p is None else synthesis.p, s if synthesis.s is None else synthesis.s) for p, s in grid
    )
    if not pairs:
        raise must("grid", "tune", "at least one pair of p and s", list(grid), "Leave it out for a usual one")
    candidates = [dataclasses.replace(synthesis, p=p, s=s) for p, s in pairs]
    tried: list[dict[str, float]] = []
    with progress("tune", len(candidates)) as advance:
        for candidate, (p, s) in zip(candidates, pairs, strict=True):
            found = float(score(candidate))
            if math.isnan(found):
                remedy = "Check what score computes"
                raise must("score", "tune", "a number", found, f"p was {p} and s {s}. {remedy}")
            tried.append({"p": p, "s": s, "score": found})
            advance(1)
    best = max(range(len(tried)), key=lambda index: tried[index]["score"])
    return candidates[best], tried
