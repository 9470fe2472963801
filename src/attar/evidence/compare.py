"""Whether one model is really better than another: paired tests on the same examples, and spread over seeds.

Everything here starts from a score of each model for each example, such as whether it got it right, in the same order.
Two models are mostly wrong on the same hard examples, so paired tests see differences that two separate intervals would
hide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, betaincinv, ndtri, stdtr, stdtrit  # type: ignore[import-untyped]

from attar.errors import must
from attar.formatting import points, small

HELPED = "distillation helped"
NO_DIFFERENCE = "no measurable difference"
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
    """Whether distilled students beat the same networks trained without a teacher.

    The interval leaves out 0 exactly when the p-value is below 0.05, and the sentence says which of the two it is.

    Attributes:
        sentence: `HELPED`, `NO_DIFFERENCE` or `HURT`.
        difference: Score of the students minus score of the baselines, mean over the seeds: of accuracies in -1..1.
        interval: Its 95% interval.
        p_value: Two-sided, of the test that the interval comes from.
        examples: How many examples they were judged on.
        seeds: How many students there were, each with its baseline.
        shares: Whether scores say of each example whether it is right, so that their means are accuracies.
    """

    sentence: str
    difference: float
    interval: tuple[float, float]
    p_value: float
    examples: int
    seeds: int = 1
    shares: bool = True

    def __str__(self) -> str:
        numbers = (self.difference, *self.interval)
        shown = [points(one, self.examples) if self.shares else f"{one:+.3g}" for one in numbers]
        difference, low, high = shown
        over = f", {self.seeds} seeds" if self.seeds > 1 else ""
        return (
            f"{self.sentence}: {difference} {'points of accuracy' if self.shares else 'in score'} "
            f"(95% interval {low} to {high}, p = {small(self.p_value)}, {self.examples} examples{over})"
        )

    def to_json(self) -> dict[str, object]:
        """The verdict as plain values."""
        return {
            "sentence": self.sentence,
            "difference": self.difference,
            "interval": list(self.interval),
            "p_value": self.p_value,
            "examples": self.examples,
            "seeds": self.seeds,
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


def paired_difference(correct_a: NDArray[np.bool_], correct_b: NDArray[np.bool_], *, level: float = 0.95) -> Difference:
    """Difference of two accuracies on the same examples, first minus second, with an interval that McNemar's test fits.

    At each end the interval is the wider one of two: Tango's score interval, which covers well whatever the
    difference is, and the exact one that holds fixed how often just one model is right, as McNemar's exact test does.
    Hence it leaves out 0 exactly when the p-value of `mcnemar` is below ``1 - level``, and it has a width even where
    the models agree everywhere. Exchanging the models negates it.

    Args:
        correct_a: ``[n]`` bool, whether the first model got each example right.
        correct_b: ``[n]`` bool, the same examples in the same order for the second model.
        level: Coverage of the interval, between 0 and 1.

    Raises:
        BadInput: If the two do not hold the same number of examples, at least one, or ``level`` is out of range.

    Example:
        >>> found = paired_difference(np.arange(100) < 90, np.arange(100) < 80)
        >>> print(f"{found.difference:.2f}, {found.interval[0]:.3f} to {found.interval[1]:.3f}")
        0.10, 0.038 to 0.174

    References:
        Tango, *Equivalence test and confidence interval for the difference in proportions for the paired-sample
        design*, Statistics in Medicine 17, 1998.
        Clopper, Pearson, *The use of confidence or fiducial limits illustrated in the case of the binomial*, 1934.
    """
    if not 0 < level < 1:
        raise must("level", "paired_difference", "between 0 and 1", level, "Use 0.95")
    both, only_a, only_b, neither = _table(correct_a, correct_b, "paired_difference")
    examples = both + only_a + only_b + neither
    low = min(_score_bound(only_a, only_b, examples, level), _exact_bound(only_a, only_b, examples, level))
    high = -min(_score_bound(only_b, only_a, examples, level), _exact_bound(only_b, only_a, examples, level))
    return Difference((only_a - only_b) / examples, (low, high))


def verdict(student: NDArray[Any], baseline: NDArray[Any]) -> Verdict:
    """Whether distillation helped: students against baselines, the same networks trained without a teacher.

    One test decides sentence, p-value and interval. For one student it is McNemar's exact test, with the interval of
    `paired_difference`; the claim is then about these two trained networks. For several seeds it is a t test of the
    mean difference whose variance is the sum of two: that of the seeds' differences, and that of the examples' mean
    differences over the seeds. The claim then is about other seeds and other examples of the same kind. Scores that are
    no bools are compared by such a t test for one seed, too: then only the examples vary.

    Args:
        student: ``[n]`` or ``[seeds, n]``, for each test example whether each student got it right (bool), or a score,
            higher for what is better.
        baseline: The same for the baselines, seeds and examples in the same order.

    Raises:
        BadInput: If the two are not of one such shape, with at least one example.

    Example:
        >>> print(verdict(np.arange(1000) < 910, np.arange(1000) < 880))
        distillation helped: +3.0 points of accuracy (95% interval +2.1 to +4.3, p = 1.9·10⁻⁹, 1000 examples)
    """
    if student.ndim == 2 and student.shape == baseline.shape and student.size:
        if len(student) > 1:
            return _verdict_over_seeds(student, baseline)
        student, baseline = student[0], baseline[0]
    if student.dtype != np.bool_ and student.ndim == 1 and student.shape == baseline.shape and student.size:
        return _verdict_over_seeds(student[None], baseline[None])
    test = mcnemar(student, baseline)
    found = paired_difference(student, baseline)
    return Verdict(_sentence(found.interval), found.difference, found.interval, test.p_value, test.examples)


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
    margin = float(stdtrit(seeds - 1, (1 + level) / 2)) * sd / math.sqrt(seeds)
    return Spread(mean, sd, (mean - margin, mean + margin), seeds)


def gap_closed(baseline: Sequence[float], student: Sequence[float], teacher: float) -> Spread | None:
    """How much of the gap between the baseline and the teacher distillation closes: 0 is none, 1 is all.

    For each seed, score of the student minus score of the baseline, divided by the gap between the teacher and the mean
    baseline; scores, such as accuracies, are higher for what is better. The gap is common to all seeds, so that one
    lucky baseline cannot blow up its own ratio; its own uncertainty is not part of the interval.

    Args:
        baseline: Score of the baseline for each seed.
        student: Score of the student for the same seeds in the same order.
        teacher: Score of the teacher.

    Returns:
        The fraction closed over seeds, or None when the teacher is not better than the mean baseline: then there is no
        gap to close.

    Raises:
        BadInput: If the seeds of student and baseline do not pair, or a score is not finite.

    Example:
        >>> gap_closed([0.80, 0.82], [0.85, 0.87], teacher=0.91).mean
        0.5
    """
    if len(baseline) != len(student) or not len(baseline):
        rule = f"one score for each seed of baseline ({len(baseline)})"
        raise must("student", "gap_closed", rule, list(student), "Give both the same seeds in the same order")
    for name, values in (("baseline", baseline), ("student", student), ("teacher", [teacher])):
        if not all(math.isfinite(value) for value in values):
            raise must(name, "gap_closed", "finite", list(values), "Leave out the seeds that failed")
    gap = teacher - float(np.mean(baseline))
    # Below a billionth the gap is rounding of equal scores.
    if gap < 1e-9:
        return None
    return spread([(s - c) / gap for s, c in zip(student, baseline, strict=True)])


def _table(correct_a: NDArray[np.bool_], correct_b: NDArray[np.bool_], of: str) -> tuple[int, int, int, int]:
    """Counts of both right, only the first, only the second, neither."""
    if correct_a.ndim != 1 or correct_a.shape != correct_b.shape or not len(correct_a):
        got = (correct_a.shape, correct_b.shape)
        remedy = "Judge both models on the same examples in the same order"
        raise must("correct_a and correct_b", of, "two [n] arrays of one length, at least 1", got, remedy)
    both = int(np.count_nonzero(correct_a & correct_b))
    right_a, right_b = int(np.count_nonzero(correct_a)), int(np.count_nonzero(correct_b))
    return both, right_a - both, right_b - both, len(correct_a) - right_a - right_b + both


def _verdict_over_seeds(student: NDArray[Any], baseline: NDArray[Any]) -> Verdict:
    """The verdict of seeds, ``[seeds, n]`` each; of one seed only where scores are no bools."""
    apart, shares = student.astype(np.float64) - baseline, student.dtype == np.bool_
    seeds, examples = apart.shape
    difference = float(apart.mean())
    of_seeds = float(apart.mean(axis=1).var(ddof=1)) / seeds if seeds > 1 else 0.0
    squares = float(np.square(apart.mean(axis=0) - difference).sum())
    # Of right and wrong one more squared point: examples that all differ alike are few, not without chance.
    of_examples = (squares + 1) / examples**2 if shares else squares / (examples * max(1, examples - 1))
    error = math.sqrt(of_seeds + of_examples)
    if error == 0:
        certain = (difference, difference)
        return Verdict(_sentence(certain), difference, certain, float(difference == 0), examples, seeds, shares)
    # Degrees of freedom of a sum of two variances (Welch, Satterthwaite).
    freedom = (of_seeds + of_examples) ** 2 / (of_seeds**2 / max(1, seeds - 1) + of_examples**2 / max(1, examples - 1))
    margin = float(stdtrit(freedom, 0.975)) * error
    low, high = difference - margin, difference + margin
    interval = (max(-1.0, low), min(1.0, high)) if shares else (low, high)
    p_value = 2 * float(stdtr(freedom, -abs(difference) / error))
    return Verdict(_sentence(interval), difference, interval, p_value, examples, seeds, shares)


def _sentence(interval: tuple[float, float]) -> str:
    """What an interval of the difference says."""
    return HELPED if interval[0] > 0 else HURT if interval[1] < 0 else NO_DIFFERENCE


def _score_bound(wins: int, losses: int, examples: int, level: float) -> float:
    """Lower end of Tango's interval: the smallest difference that its score test does not reject."""
    from scipy.optimize import brentq  # type: ignore[import-untyped]  # it takes half a second to import

    surprise = float(ndtri((1 + level) / 2))

    def excess(difference: float) -> float:
        # The probability of a loss that is likeliest, given the difference: the larger root of a x^2 + b x + c.
        a = 2 * examples
        b = (2 * examples - wins + losses) * difference - wins - losses
        c = -losses * difference * (1 - difference)
        lost = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
        variance = examples * (2 * lost + difference * (1 - difference))
        return wins - losses - examples * difference - surprise * math.sqrt(max(0.0, variance))

    seen = (wins - losses) / examples
    # Where the variance is 0 at the difference seen, that is a root, too, but not the one that is looked for.
    return -1.0 if seen == -1 else float(brentq(excess, -1.0, seen - 1e-9, xtol=1e-12))


def _exact_bound(wins: int, losses: int, examples: int, level: float) -> float:
    """Lower end of the interval that holds fixed how often one model alone is right: Clopper and Pearson's of wins."""
    share = 0.0 if wins == 0 else float(betaincinv(wins, losses + 1, (1 - level) / 2))
    return (wins + losses) / examples * (2 * share - 1)


def _span(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.4f} to {interval[1]:.4f}"
