"""Scores on validation as people read them: accuracies in percent, errors without their minus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from attar import formatting
from attar.budget import Score
from attar.evidence.panel import Axis
from attar.pipeline.step import ByLoss, Tools
from attar.tasks.metrics.metric import Metric
from attar.tasks.task import metric_of


@dataclass(frozen=True, kw_only=True)
class Judged:
    """By what networks are judged on validation.

    Attributes:
        title: What people call it.
        share: Whether it is a share of 1, read in percent.
        higher_is_better: Whether the larger of two figures is the better one.
        examples: How many it is the mean of.
        unit: What its differences are counted in where more is better and it is no share.
    """

    title: str
    share: bool
    higher_is_better: bool
    examples: int
    unit: str = "units"

    @classmethod
    def by(cls, tools: Tools) -> Judged:
        """As a step's models are."""
        examples = len(tools.validation)
        if isinstance(tools.choose_by, ByLoss):
            return cls(title="loss", share=False, higher_is_better=False, examples=examples)
        return cls.of(metric_of(tools.dataset.task, tools.choose_by), examples)

    @classmethod
    def of(cls, metric: Metric, examples: int) -> Judged:
        """By a metric."""
        return cls(
            title=metric.title,
            share=metric.unit == "share",
            higher_is_better=metric.higher_is_better,
            examples=examples,
            unit="bits" if metric.unit == "bits" else "units",
        )

    @property
    def score(self) -> Score:
        """What a budget has to know of it."""
        if not self.higher_is_better or self.share:
            return Score(self.title, points=self.higher_is_better)
        return Score(self.title, points=False, unit=self.unit)

    def lost(self, before: float, after: float) -> float:
        """How much worse one figure is than another; below 0 where it is better."""
        return before - after if self.higher_is_better else after - before

    def text(self, figure: float) -> str:
        """A figure for people."""
        return formatting.percent(figure, self.examples) if self.share else formatting.significant(figure, 4)

    def axis(self) -> Axis:
        """Of a chart."""
        return Axis(title=f"{self.title} on validation", unit="%" if self.share else "")

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Judged:
        """Back from plain values."""
        return cls(**document)


def figure_of(tools: Tools, score: float) -> float:
    """The figure that a mean score stands for: an error has no minus, and what is the root of a mean is one.

    Args:
        tools: Which say what models are judged by.
        score: Of a network on validation, higher is better.
    """
    if isinstance(tools.choose_by, ByLoss):
        return -score
    metric = metric_of(tools.dataset.task, tools.choose_by)
    turned = metric.score(np.array([score]))
    return turned if metric.higher_is_better else -turned
