"""What a metric is: a figure by which models are judged, and what a reader has to know of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Unit = Literal["share", "nats", "bits", "number", "target"]
"""What a figure is counted in: a share of 1, which people read in percent; nats or bits; a plain number; what is
predicted."""


AT_ONCE = 2**22
"""Numbers that are worked on at once, where all of them would take much memory."""

OfEach = Callable[[Any, Any], NDArray[Any]]
"""Outputs ``[n, ...]`` and labels ``[n, ...]`` in, one value for each example out, floats or bools."""

OfAll = Callable[[Any, Any], float]
"""The same in, all labels known, and one number out."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A figure by which models are judged, and what a reader has to know of it.

    Attributes:
        name: The key under which evidence has it, and by which a recipe chooses.
        title: What tables and charts call it.
        higher_is_better: Whether the larger of two is the better one.
        unit: What it is counted in.
        of_each: Its value for each example, whose mean it is; None for what is defined for all examples together.
        root: Whether it is the root of that mean.
        of_all: Its value for all examples together; None where it is a mean.
    """

    name: str
    title: str
    higher_is_better: bool
    unit: Unit
    of_each: OfEach | None = None
    root: bool = False
    of_all: OfAll | None = None

    def figure(self, outputs: Floats, labels: NDArray[Any]) -> float:
        """The figure of some examples, at least one.

        Args:
            outputs: ``[n, ...]``.
            labels: ``[n, ...]``, all known.
        """
        if self.of_all is not None:
            return self.of_all(outputs, labels)
        assert self.of_each is not None, "a metric is a mean, or one number for all"
        return self.of(self.of_each(outputs, labels))

    def of(self, values: NDArray[Any]) -> float:
        """The figure of its values for some examples, at least one: their mean, or its root.

        Args:
            values: ``[n]``, what ``of_each`` gives.
        """
        mean = float(values.mean())
        return math.sqrt(mean) if self.root else mean

    def score(self, scores: NDArray[Any]) -> float:
        """The same of scores, for which higher is better, as is the score: an error has a minus.

        Args:
            scores: ``[n]``, at least one, what ``scores`` gives.

        Example:
            >>> rmse = Metric(name="rmse", title="RMSE", higher_is_better=False, unit="target", root=True)
            >>> rmse.score(np.array([-9.0, -7.0]))
            -2.8284271247461903
        """
        mean = float(scores.mean())
        return -math.sqrt(-mean) if self.root else mean

    def scores(self, outputs: Floats, labels: NDArray[Any]) -> NDArray[Any]:
        """Its value for each example, turned so that higher is better: bools as they are, errors with a minus.

        Args:
            outputs: ``[n, ...]``.
            labels: ``[n, ...]``.
        """
        assert self.of_each is not None, f"{self.name} is not a mean over examples"
        values = self.of_each(outputs, labels)
        return values if self.higher_is_better else -values

    def to_json(self) -> dict[str, Any]:
        """What a reader has to know, as plain values."""
        return {
            "name": self.name,
            "title": self.title,
            "higher_is_better": self.higher_is_better,
            "unit": self.unit,
        }


def validation_figure(score: float, chosen_by: Metric) -> dict[str, float]:
    """A score on validation as a reader knows it, with its name: scores grow with quality, errors do not."""
    figure = score if chosen_by.higher_is_better else -score
    return {f"validation_{chosen_by.name}": math.sqrt(figure) if chosen_by.root else figure}


def shares(counts: NDArray[Any], totals: NDArray[Any]) -> NDArray[np.float64]:
    """Counts as shares of their totals; 0 where the total is 0."""
    quotients: NDArray[np.float64] = counts / np.maximum(totals, 1)
    return quotients


def blocks(count: int, numbers: int) -> Iterator[slice]:
    """Slices of rows of so many numbers each, as many rows at once as `AT_ONCE` allows.

    Args:
        count: Rows.
        numbers: Of one row.

    Example:
        >>> list(blocks(3, AT_ONCE // 2))
        [slice(0, 2, None), slice(2, 4, None)]
    """
    step = max(1, AT_ONCE // max(1, numbers))
    yield from (slice(start, start + step) for start in range(0, count, step))
