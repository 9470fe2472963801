"""Whether one model is really better than another: paired tests on the same examples, and spread over seeds.

Everything here starts from which examples each model got right, in the same order. Two models are mostly wrong on the
same hard examples, so paired tests see differences that two separate intervals would hide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, stdtrit  # type: ignore[import-untyped]

from attar.errors import must
from attar.evidence.units import points, small

HELPED = "distillation helped"
NO_DIFFERENCE = "distillation made no difference that can be seen"
HURT = "distillation hurt"


@dataclass(frozen=True, slots=True)
class McNemar:
    """How often two models were right on the same examples, and how surprising the imbalance is.

    Attributes:
        both: Examples that both models got right.
        only_a: Examples that only the first model got right.
        only_b: Examples that only the second model got right.
        neither: Examples that both got wrong.
        p_value: Two-sided probability of an imbalance at least this large if the models were equally good.
    """

    both: int
    only_a: int
    only_b: int
    neither: int
    p_value: float

    @property
    def examples(self) -> int:
        """How many examples were compared."""
        return self.both + self.only_a + self.only_b + self.neither


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of two accuracies, first minus second, in -1..1, with its interval."""

    difference: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a distilled student beats the same network trained without a teacher.

    Attributes:
        sentence: `HELPED`, `NO_DIFFERENCE` or `HURT`.
        difference: Accuracy of the student minus accuracy of the control, in -1..1.
        interval: 95% bootstrap interval of the difference.
        p_value: Of McNemar's exact test.
        examples: How many examples both were judged on.
    """

    sentence: str
    difference: float
    interval: tuple[float, float]
    p_value: float
    examples: int

    def __str__(self) -> str:
        low, high = (points(end, self.examples) for end in self.interval)
        return (
            f"{self.sentence}: {points(self.difference, self.examples)} points of accuracy "
            f"(95% interval {low} to {high}, p = {small(self.p_value)}, {self.examples} examples)"
        )

    def to_json(self) -> dict[str, object]:
        """The verdict as plain values."""
        return {
            "sentence": self.sentence,
            "difference": self.difference,
            "interval": list(self.interval),
            "p_value": self.p_value,
            "examples": self.examples,
        }


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over several seeds.

    Attributes:
        mean: Mean over the seeds.
        sd: Standard deviation over the seeds (divisor ``n - 1``); None for one seed.
        interval: 95% interval of the mean by Student's t; None for one seed.
        seeds: How many seeds.
    """

    mean: float
    sd: float | None
    interval: tuple[float, float] | None
    seeds: int

    def __str__(self) -> str:
        if self.sd is None or self.interval is None:
            return f"{self.mean:.4f} (one seed)"
        return f"{self.mean:.4f} +- {self.sd:.4f} (sd over {self.seeds} seeds, 95% interval {_span(self.interval)})"

    def to_json(self) -> dict[str, object]:
        """The spread as plain values."""
        interval = None if self.interval is None else list(self.interval)
        return {"mean": self.mean, "sd": self.sd, "interval": interval, "seeds": self.seeds}


def mcnemar(correct_a: NDArray[np.bool_], correct_b: NDArray[np.bool_]) -> McNemar:
    """McNemar's exact test of two models on the same examples.

    Of the examples on which exactly one model is right, each model should win half if they were equally good: the
    p-value is that of a fair coin, two-sided. It is 1 when the models are never right alone.

    Args:
        correct_a: ``[n]`` bool, whether the first model got each example right.
        correct_b: ``[n]`` bool, the same examples in the same order for the second model.

    Raises:
        BadInput: If the two do not hold the same number of examples, at least one.

    Example:
        >>> mcnemar(np.array([True, True, True, False]), np.array([True, False, False, False])).p_value
        0.5

    References:
        McNemar, *Note on the sampling error of the difference between correlated proportions or percentages*,
        Psychometrika 12, 1947; the exact form is the sign test on the discordant pairs.
    """
    both, only_a, only_b, neither = _table(correct_a, correct_b, "mcnemar")
    discordant = only_a + only_b
    tail = float(bdtr(min(only_a, only_b), discordant, 0.5)) if discordant else 1.0
    return McNemar(both, only_a, only_b, neither, min(1.0, 2 * tail))


def paired_bootstrap(correct_a: NDArray[np.bool_], correct_b: NDArray[np.bool_], *, level: float = 0.95) -> Difference:
    """Difference of two accuracies, first minus second, with its percentile bootstrap interval over examples.

    Resampling examples with replacement makes the difference a sum of ``n`` draws from -1, 0 and +1, whose distribution
    is known: it is computed exactly (an n-fold convolution by FFT) instead of being sampled. This is the bootstrap with
    infinitely many resamples. It needs no seed, and exchanging the models negates the interval exactly. When
    the models are never right alone the interval has no width: then say how many examples there were.

    Args:
        correct_a: ``[n]`` bool, whether the first model got each example right.
        correct_b: ``[n]`` bool, the same examples in the same order for the second model.
        level: Coverage of the interval, between 0 and 1.

    Raises:
        BadInput: If the two do not hold the same number of examples, at least one, or ``level`` is out of range.

    Example:
        >>> paired_bootstrap(np.array([True, True, True, False]), np.array([True, True, False, False]))
        Difference(difference=0.25, interval=(0.0, 0.75))

    References:
        Efron, Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 13 (the percentile interval).
    """
    if not 0 < level < 1:
        raise must("level", "paired_bootstrap", "between 0 and 1", level, "Use 0.95")
    both, only_a, only_b, neither = _table(correct_a, correct_b, "paired_bootstrap")
    examples = both + only_a + only_b + neither
    tail = (1 - level) / 2
    low = _lower_quantile(only_a, only_b, examples, tail)
    high = -_lower_quantile(only_b, only_a, examples, tail)
    return Difference((only_a - only_b) / examples, (low / examples, high / examples))


def verdict(student_correct: NDArray[np.bool_], control_correct: NDArray[np.bool_]) -> Verdict:
    """Whether distillation helped: the student against the control, the same network trained without a teacher.

    A difference is claimed only when McNemar's exact p-value is below 0.05 and the 95% bootstrap interval leaves out 0.
    The claim is about these two trained networks; for a claim about the method, use several seeds and `gap_closed`.

    Args:
        student_correct: ``[n]`` bool, whether the student got each test example right.
        control_correct: ``[n]`` bool, the same for the control.

    Raises:
        BadInput: If the two do not hold the same number of examples, at least one.

    Example:
        >>> print(verdict(np.arange(1000) < 910, np.arange(1000) < 880))
        distillation helped: +3.0 points of accuracy (95% interval +2.0 to +4.1, p = 1.9·10⁻⁹, 1000 examples)
    """
    test = mcnemar(student_correct, control_correct)
    bootstrap = paired_bootstrap(student_correct, control_correct)
    low, high = bootstrap.interval
    if test.p_value < 0.05 and low > 0:
        sentence = HELPED
    elif test.p_value < 0.05 and high < 0:
        sentence = HURT
    else:
        sentence = NO_DIFFERENCE
    return Verdict(sentence, bootstrap.difference, bootstrap.interval, test.p_value, test.examples)


def spread(values: Sequence[float], *, level: float = 0.95) -> Spread:
    """Mean over seeds, standard deviation and Student's t interval of the mean.

    Args:
        values: One figure for each seed.
        level: Coverage of the interval, between 0 and 1.

    Raises:
        BadInput: If there is no value, one is not finite, or ``level`` is out of range.

    Example:
        >>> print(spread([0.90, 0.92, 0.94]))
        0.9200 +- 0.0200 (sd over 3 seeds, 95% interval 0.8703 to 0.9697)
    """
    if not 0 < level < 1:
        raise must("level", "spread", "between 0 and 1", level, "Use 0.95")
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array) or not np.isfinite(array).all():
        raise must("values", "spread", "one finite number for each seed", values, "Leave out the seeds that failed")
    mean, seeds = float(array.mean()), len(array)
    if seeds == 1:
        return Spread(mean, None, None, seeds)
    sd = float(array.std(ddof=1))
    half = float(stdtrit(seeds - 1, (1 + level) / 2)) * sd / math.sqrt(seeds)
    return Spread(mean, sd, (mean - half, mean + half), seeds)


def gap_closed(control: Sequence[float], student: Sequence[float], teacher: float) -> Spread | None:
    """How much of the gap between the control and the teacher distillation closes: 0 is none, 1 is all.

    For each seed, accuracy of the student minus accuracy of the control, divided by the gap between the teacher and the
    mean control. The gap is common to all seeds, so that one lucky control cannot blow up its own ratio; its own
    uncertainty is not part of the interval.

    Args:
        control: Accuracy of the control for each seed.
        student: Accuracy of the student for the same seeds in the same order.
        teacher: Accuracy of the teacher.

    Returns:
        The fraction closed over seeds, or None when the teacher is not better than the mean control: then there is no
        gap to close.

    Raises:
        BadInput: If the seeds of student and control do not pair, or an accuracy is not in 0..1.

    Example:
        >>> gap_closed([0.80, 0.82], [0.85, 0.87], teacher=0.91).mean
        0.5
    """
    if len(control) != len(student) or not len(control):
        rule = f"one accuracy for each seed of control ({len(control)})"
        raise must("student", "gap_closed", rule, list(student), "Give both the same seeds in the same order")
    for name, values in (("control", control), ("student", student), ("teacher", [teacher])):
        if not all(0 <= value <= 1 for value in values):
            raise must(name, "gap_closed", "accuracies from 0 to 1", list(values), "Divide percentages by 100")
    gap = teacher - float(np.mean(control))
    # Below a billionth the gap is rounding of equal accuracies.
    if gap < 1e-9:
        return None
    return spread([(s - c) / gap for s, c in zip(student, control, strict=True)])


def _table(correct_a: NDArray[np.bool_], correct_b: NDArray[np.bool_], of: str) -> tuple[int, int, int, int]:
    """Counts of both right, only the first, only the second, neither."""
    if correct_a.ndim != 1 or correct_a.shape != correct_b.shape or not len(correct_a):
        got = (correct_a.shape, correct_b.shape)
        remedy = "Judge both models on the same examples in the same order"
        raise must("correct_a and correct_b", of, "two [n] arrays of one length, at least 1", got, remedy)
    both = int(np.count_nonzero(correct_a & correct_b))
    right_a, right_b = int(np.count_nonzero(correct_a)), int(np.count_nonzero(correct_b))
    return both, right_a - both, right_b - both, len(correct_a) - right_a - right_b + both


def _lower_quantile(wins: int, losses: int, examples: int, tail: float) -> int:
    """Largest sum of which at most ``tail`` of the bootstrap distribution lies strictly below.

    The sum of ``examples`` draws, +1 with probability wins/examples and -1 with losses/examples, lies in
    -examples..examples. Its distribution is the inverse transform of its characteristic function.
    """
    size = 2 * examples + 1
    turn = np.exp(-2j * np.pi * np.arange(examples + 1) / size)
    characteristic = (examples - wins - losses + wins * turn + losses * turn.conj()) / examples
    mass = np.fft.irfft(characteristic**examples, size)
    below = np.cumsum(np.fft.fftshift(mass))
    # The smallest sum at which the cumulated mass passes the tail; the margin is far above the transform's rounding.
    return int(np.searchsorted(below, tail + 1e-12, side="right")) - examples


def _span(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.4f} to {interval[1]:.4f}"
