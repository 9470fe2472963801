"""NBE: a mixture of components within which all attributes are independent, fitted by EM, and rows drawn from it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import NDArray
from scipy.special import logsumexp  # type: ignore[import-untyped]

from attar.errors import Words, must
from attar.training.progress import Progress, silent

FLOOR = 0.01
"""No component's standard deviation goes below this share of the column's own, if nothing else is said."""

_ROWS = 1 << 13
"""Rows at work at once, in EM and in drawing. Another number here would be other draws."""

_FIRST = 8
"""How many components are added first; each time after, twice as many as the time before."""

_SPREAD = 0.25
"""Variance of a component that begins at one row, as a share of the column's."""

_CYCLES = 100
"""No stage of EM goes on for longer."""

_ENOUGH = 1e-4
"""EM and the adding of components go on while they better the mean log-likelihood of a row by more, in nats."""

_HELD_OUT = 0.1
"""Share of the rows by which the number of components is chosen."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a table's columns appear in a mixture."""

    nominal: NDArray[np.bool_]
    """``[columns]`` which columns are nominal."""
    values: tuple[NDArray[np.float64], ...]
    """The values of each nominal column, ascending."""
    lacking: NDArray[np.int64]
    """Which columns have missing values, ascending."""
    center: NDArray[np.float64]
    """``[numbers]`` what is taken off a number,"""
    scale: NDArray[np.float64]
    """``[numbers]`` and what it is divided by then, so that a column has mean 0 and variance 1."""
    least: NDArray[np.float64]
    """``[numbers]`` no component's variance is below, on that scale."""

    @classmethod
    def of(cls, matrix: NDArray[np.float64], nominal: NDArray[np.bool_], floors: NDArray[np.float64]) -> Scheme:
        """The scheme of a table; ``floors`` are standard deviations in the unit of each column, or NaN."""
        absent = np.isnan(matrix)
        numbers, gone = matrix[:, ~nominal], absent[:, ~nominal]
        seen = np.maximum((~gone).sum(axis=0), 1)
        center = np.where(gone, 0.0, numbers).sum(axis=0) / seen
        spread = np.sqrt((np.where(gone, 0.0, numbers - center) ** 2).sum(axis=0) / seen)
        scale = np.where(spread > 0, spread, 1.0)
        floor = floors[~nominal] / scale
        return cls(
            nominal=nominal,
            values=tuple(np.unique(column[~np.isnan(column)]) for column in matrix[:, nominal].T),
            lacking=np.flatnonzero(absent.any(axis=0)),
            center=center,
            scale=scale,
            least=np.where(np.isnan(floor), FLOOR, floor) ** 2,
        )

    @property
    def kinds(self) -> list[int]:
        """How many probabilities each attribute has that is no number: nominals, then whether a value is missing."""
        return [max(len(values), 1) for values in self.values] + [2] * len(self.lacking)

    def features(self, matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Scaled numbers, 0 where missing; 1 where a number is there; and 1 for the kind that each attribute is.

        A nominal value that the scheme does not know is taken for one that is not known: all its kinds are 0.
        """
        numbers = (matrix[:, ~self.nominal] - self.center) / self.scale
        there = ~np.isnan(numbers)
        starts = np.cumsum([0, *self.kinds])
        kinds = np.zeros((len(matrix), starts[-1]))
        for start, values, column in zip(starts, self.values, matrix[:, self.nominal].T, strict=False):
            if len(values):
                code = np.minimum(np.searchsorted(values, column), len(values) - 1)
                known = np.flatnonzero(values[code] == column)
                kinds[known, start + code[known]] = 1.0
        for start, column in zip(starts[len(self.values) :], self.lacking, strict=False):
            kinds[np.arange(len(matrix)), start + np.isnan(matrix[:, column])] = 1.0
        return np.where(there, numbers, 0.0), there.astype(np.float64), kinds


@dataclass(frozen=True, slots=True)
class Mixture:
    """A distribution of rows: first a component is drawn, then each attribute, independently, from the component's.

    Numbers are Gaussian, nominals categorical. In columns that have missing values, whether a value is missing is an
    attribute of its own; a value that is missing is marginalized, that is left out of the likelihood.
    """

    scheme: Scheme
    """How columns appear in it."""
    weights: NDArray[np.float64]
    """``[components]`` their probabilities."""
    means: NDArray[np.float64]
    """``[components, numbers]`` on the scheme's scale."""
    variances: NDArray[np.float64]
    """``[components, numbers]`` on the scheme's scale."""
    chances: NDArray[np.float64]
    """``[components, kinds]`` the probabilities of the values of the first nominal column, then of the next one, and so
    on; then of being there and of being missing for each column that lacks some."""

    def __len__(self) -> int:
        return len(self.weights)

    def log_likelihood(self, matrix: Float64[np.ndarray, "rows columns"]) -> Float64[np.ndarray, " rows"]:
        """Logarithm of each row's density (of its numbers, in their units) times probability (of the rest), in nats."""
        found = np.empty(len(matrix))
        for chunk in _chunks(len(matrix)):
            features = self.scheme.features(matrix[chunk])
            found[chunk] = logsumexp(self._joint(features), axis=1) - features[1] @ np.log(self.scheme.scale)
        return found

    def sample(self, rows: int, *, seed: int = 0, progress: Progress = silent) -> Float64[np.ndarray, "rows columns"]:
        """Rows drawn from the mixture; values are missing (NaN) as often as the components have it.

        Args:
            rows: How many.
            seed: Another seed, other rows; at least 0.
            progress: Told of every row.

        Raises:
            BadInput: If ``rows`` or ``seed`` is out of its range.
        """
        return np.concatenate(list(self.sample_in_chunks(rows, seed=seed, progress=progress)))

    def sample_in_chunks(
        self, rows: int, *, seed: int = 0, progress: Progress = silent
    ) -> Iterator[NDArray[np.float64]]:
        """The same rows as `sample`, some at a time."""
        if rows < 1:
            raise must("rows", "sample", "at least 1", rows, "Say how many rows to make")
        if seed < 0:
            raise must("seed", "sample", "at least 0", seed, "Any whole number from 0 on will do")
        return self._chunks(rows, seed, progress)

    def _chunks(self, rows: int, seed: int, progress: Progress) -> Iterator[NDArray[np.float64]]:
        with progress("draw", rows) as advance:
            for number, chunk in enumerate(_chunks(rows)):
                some = chunk.stop - chunk.start
                yield self._drawn(some, np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,))))
                advance(some)

    def _drawn(self, rows: int, generator: np.random.Generator) -> NDArray[np.float64]:
        scheme = self.scheme
        of = generator.choice(len(self), rows, p=self.weights)
        rows_drawn = np.full((rows, len(scheme.nominal)), np.nan)
        noise = generator.standard_normal((rows, len(scheme.scale)))
        scaled = self.means[of] + np.sqrt(self.variances)[of] * noise
        rows_drawn[:, ~scheme.nominal] = scaled * scheme.scale + scheme.center
        starts = np.cumsum([0, *scheme.kinds]).tolist()

        def kind(start: int, end: int) -> NDArray[np.int64]:
            upto = np.cumsum(self.chances[:, start:end], axis=1)
            which: NDArray[np.int64] = (generator.random((rows, 1)) * upto[of, -1:] >= upto[of, :-1]).sum(axis=1)
            return which

        spans = list(pairwise(starts))
        columns = np.flatnonzero(scheme.nominal).tolist()
        for column, values, span in zip(columns, scheme.values, spans, strict=False):
            drawn = kind(*span)
            if len(values):
                rows_drawn[:, column] = values[drawn]
        for column, span in zip(scheme.lacking.tolist(), spans[len(columns) :], strict=True):
            rows_drawn[kind(*span) == 1, column] = np.nan
        return rows_drawn

    def _joint(self, features: tuple[NDArray[np.float64], ...]) -> NDArray[np.float64]:
        """``[rows, components]`` logarithms of the probability of a component times that of a row from it.

        Of the Gaussians' exponents, the square is multiplied out, so that everything is a product of matrices.
        """
        numbers, there, kinds = features
        precise = 1.0 / self.variances
        constant = self.means**2 * precise + np.log(2 * math.pi * self.variances)
        joint: NDArray[np.float64] = np.log(self.weights) + kinds @ np.log(self.chances).T
        joint += numbers @ (self.means * precise).T - 0.5 * (numbers**2 @ precise.T + there @ constant.T)
        return joint


def fit_mixture(
    matrix: Float64[np.ndarray, "rows columns"],
    nominal: Bool[np.ndarray, " columns"],
    *,
    components: int | None = None,
    floors: Float64[np.ndarray, " columns"] | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Mixture:
    """Fit a mixture to a table.

    With a number of components, each begins at one row, and EM goes on until the table's likelihood rises no more.
    Without, it is chosen in the way of Lowd and Domingos: components are added at random rows, first a few and then
    ever twice as many; after each addition EM goes on while the likelihood of rows held out (a tenth) rises; components
    that have become very light are dropped; and when an addition does not help, the best mixture so far gets two cycles
    on all rows. How many come first, how they are spread, when to stop and when to drop are our own choices, and rows
    where components began stay in the table.

    Probabilities have Laplace's correction: every kind counts one row more. Matrix products may round differently on
    another number of threads, and so may the mixture.

    Args:
        matrix: The table. Nominals are numbers that stand for categories, any numbers; NaN is missing.
        nominal: Which columns are nominal.
        components: How many, or None to choose.
        floors: For each column the least standard deviation of a component, in the column's unit; NaN for `FLOOR`
            times the column's own. Of a column of whole numbers it should not be much below the ``1 / sqrt(12)`` that
            rounding makes, lest components sit on single numbers.
        seed: Another seed, other rows to begin with and to hold out; at least 0.
        progress: Told of every cycle of EM.

    Raises:
        BadInput: If there are fewer than two rows or no column, a value is infinite, or an argument is out of range.

    Example:
        >>> draws = np.random.default_rng(0)
        >>> table = np.concatenate([draws.normal(0, 1, (100, 2)), draws.normal(9, 1, (100, 2))])
        >>> mixture = fit_mixture(table, np.array([False, False]), components=2)
        >>> mixture.sample(1000).mean(axis=0).round()
        array([4., 5.])

    References:
        Lowd, Domingos, *Naive Bayes Models for Probability Estimation*, ICML 2005, section 3.
    """
    rows, columns = matrix.shape
    if len(nominal) != columns or (floors is not None and len(floors) != columns):
        got = len(nominal) if len(nominal) != columns else len(floors if floors is not None else ())
        remedy = f"The matrix has {columns} columns: give as many values"
        raise must("nominal and floors", "fit_mixture", "one value per column", Words(f"{got} values"), remedy)
    if rows < 2 or columns == 0:
        rule = "at least two rows long and one column wide"
        raise must("matrix", "fit_mixture", rule, matrix.shape, "One row has no distribution")
    if np.isinf(matrix).any():
        raise must("matrix", "fit_mixture", "finite or NaN in every cell", Words("infinite values"), "Replace them")
    if floors is not None and (floors <= 0).any():
        raise must("floors", "fit_mixture", "greater than 0, or NaN", floors.min(), "Leave it out for a usual one")
    if components is not None and not 1 <= components <= rows:
        rule = f"from 1 to {rows}, the number of rows"
        raise must("components", "fit_mixture", rule, components, "Leave it out to have it chosen")
    if seed < 0:
        raise must("seed", "fit_mixture", "at least 0", seed, "Any whole number from 0 on will do")
    scheme = Scheme.of(matrix, nominal, np.full(columns, np.nan) if floors is None else floors)
    generator = np.random.default_rng(seed)
    shuffled = matrix[generator.permutation(rows)]
    if components is not None:
        statistics = _added(None, scheme, shuffled, shuffled[:components])
        return _improved(statistics, shuffled, shuffled, progress)[0]
    out = max(1, round(_HELD_OUT * rows))
    return _grown(scheme, shuffled[out:], shuffled[:out], generator, progress)


def _grown(
    scheme: Scheme,
    train: NDArray[np.float64],
    held_out: NDArray[np.float64],
    generator: np.random.Generator,
    progress: Progress,
) -> Mixture:
    """A mixture with as many components as the held-out rows ask for."""
    best, best_score = _improved(_added(None, scheme, train, train[:1]), train, held_out, progress)
    adding = _FIRST
    while len(best) + adding <= len(train):
        seeds = train[generator.choice(len(train), adding, replace=False)]
        found, score = _improved(_added(best, scheme, train, seeds), train, held_out, progress)
        if score <= best_score + _ENOUGH:
            break
        best, best_score = _pruned(found, len(train)), score
        adding *= 2
    everything = np.concatenate([train, held_out])
    return _cycle(_cycle(best, everything), everything)


def _improved(
    mixture: Mixture, train: NDArray[np.float64], held_out: NDArray[np.float64], progress: Progress
) -> tuple[Mixture, float]:
    """EM on one table until the likelihood of the other rises no more: the best mixture, and its score there."""
    best, best_score = mixture, -math.inf
    with progress(f"EM of {len(mixture)} components", _CYCLES) as advance:
        for cycle in range(_CYCLES):
            mixture = _cycle(mixture, train)
            score = float(mixture.log_likelihood(held_out).mean())
            if score <= best_score + _ENOUGH:
                advance(_CYCLES - cycle)
                break
            best, best_score = mixture, score
            advance(1)
    return best, best_score


def _cycle(mixture: Mixture, matrix: NDArray[np.float64]) -> Mixture:
    """One E step and one M step of EM."""
    scheme, components = mixture.scheme, len(mixture)
    rows = np.zeros(components)
    seen, sums, squares = (np.zeros_like(mixture.means) for _ in range(3))
    kinds = np.zeros_like(mixture.chances)
    for chunk in _chunks(len(matrix)):
        features = scheme.features(matrix[chunk])
        joint = mixture._joint(features)
        share = np.exp(joint - logsumexp(joint, axis=1, keepdims=True)).T
        rows += share.sum(axis=1)
        sums += share @ features[0]
        squares += share @ features[0] ** 2
        seen += share @ features[1]
        kinds += share @ features[2]
    # A component that hardly any row belongs to has no mean of its own: it gets the column's, 0 on this scale.
    known = seen > 1e-9
    count = np.where(known, seen, 1.0)
    means = np.where(known, sums / count, 0.0)
    variances = np.where(known, squares / count - means**2, 1.0)
    weights = np.maximum(rows, 1e-300)
    return replace(
        mixture,
        weights=weights / weights.sum(),
        means=means,
        variances=np.maximum(variances, scheme.least),
        chances=_smoothed(kinds, scheme),
    )


def _smoothed(counts: NDArray[np.float64], scheme: Scheme) -> NDArray[np.float64]:
    """Probabilities from counts, every kind counted once more."""
    chances = np.empty_like(counts)
    end = 0
    for size in scheme.kinds:
        start, end = end, end + size
        more = counts[:, start:end] + 1.0
        chances[:, start:end] = more / more.sum(axis=1, keepdims=True)
    return chances


def _added(mixture: Mixture | None, scheme: Scheme, train: NDArray[np.float64], seeds: NDArray[np.float64]) -> Mixture:
    """The mixture and one more component at each of some rows: half that row, half the whole table.

    Each new component is as probable as the average of all.
    """
    counts = np.zeros(sum(scheme.kinds))
    for chunk in _chunks(len(train)):
        counts += scheme.features(train[chunk])[2].sum(axis=0)
    overall = _smoothed(counts[None], scheme)
    numbers, there, kinds = scheme.features(seeds)
    # Where a row does not say what it is, its kinds are all 0 and smoothing makes them equal: take the table's.
    chances, end = np.empty_like(kinds), 0
    for size in scheme.kinds:
        start, end = end, end + size
        known = kinds[:, start:end].sum(axis=1, keepdims=True) > 0
        own = np.where(known, kinds[:, start:end], overall[:, start:end])
        chances[:, start:end] = 0.5 * own + 0.5 * overall[:, start:end]
    variances = np.maximum(np.where(there > 0, _SPREAD, 1.0), scheme.least)
    new = Mixture(scheme, np.full(len(seeds), 1.0 / len(seeds)), numbers, variances, chances)
    if mixture is None:
        return new
    share = len(seeds) / (len(mixture) + len(seeds))
    return Mixture(
        scheme,
        np.concatenate([mixture.weights * (1 - share), new.weights * share]),
        np.concatenate([mixture.means, new.means]),
        np.concatenate([mixture.variances, new.variances]),
        np.concatenate([mixture.chances, new.chances]),
    )


def _pruned(mixture: Mixture, rows: int) -> Mixture:
    """Without the components that stand for less than one of so many rows."""
    heavy = mixture.weights >= min(1.0 / rows, mixture.weights.max())
    weights = mixture.weights[heavy]
    return replace(
        mixture,
        weights=weights / weights.sum(),
        means=mixture.means[heavy],
        variances=mixture.variances[heavy],
        chances=mixture.chances[heavy],
    )


def _chunks(rows: int) -> Iterator[slice]:
    """Rows that are at work at once."""
    for first in range(0, rows, _ROWS):
        yield slice(first, min(first + _ROWS, rows))
