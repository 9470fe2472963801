"""Regression: for each example one or several numbers, which a network gives in the units of the labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict
from scipy.special import ndtri  # type: ignore[import-untyped]
from torch import Tensor

from attar.errors import Words, must
from attar.formatting import significant
from attar.tasks.chance import LEVEL, is_larger, judged
from attar.tasks.checks import check_judged, check_names, check_shapes
from attar.tasks.intervals import root_mean_interval
from attar.tasks.labels import LabelKind
from attar.tasks.metrics.metric import Floats, Metric
from attar.tasks.metrics.regression import RMSE_OF_VALUES, absolute_errors, r2, squared_errors
from attar.tasks.target import Target
from attar.tasks.task import Chance, Constant, Losses

_MAE = Metric(name="mae", title="mean absolute error", higher_is_better=False, unit="target", of_each=absolute_errors)
_R2 = Metric(name="r2", title="R²", higher_is_better=True, unit="number", of_all=r2)


@dataclass(frozen=True, slots=True)
class RegressionQuality:
    """How good a model is on examples whose values are known.

    Attributes:
        examples: How many were judged.
        rmse: Root of the mean squared error, in the unit of the values; of several values over all of them.
        interval: Its 95% interval: roots of the ends of Student's t interval of the mean squared error, each example
            one observation. Of one example both ends are its error.
        mae: Mean absolute error, in the unit of the values.
        r2: Share of the variance of the true values that is explained, at most 1, mean over the values; below 0 for
            what is worse than their mean.
        per_value: RMSE of each value by name; None for one that is known of no example.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    examples: int
    rmse: float
    interval: tuple[float, float]
    mae: float
    r2: float
    per_value: dict[str, float | None]

    def __str__(self) -> str:
        low, high = map(significant, self.interval)
        return (
            f"RMSE {significant(self.rmse)} (95% interval {low} to {high}, {self.examples} examples), mean absolute "
            f"error {significant(self.mae)}, R² {significant(self.r2)}"
        )


@dataclass(frozen=True, slots=True)
class Regression:
    """One or several numbers for each example, each with a unit of its own.

    Labels are ``[n, values]`` float32, NaN where a number is not known; an output is ``[values]``, in the same units.
    The error of an example is the mean over its known values, so that values of very different size are better
    predicted by one model each, or divided by their spread first.

    Attributes:
        names: What the values are called.

    Raises:
        BadInput: If there is no name, or one stands there twice.

    Example:
        >>> task = Regression(("price",))
        >>> task.quality(np.array([[3.0], [5.0]]), np.array([[4.0], [5.0]])).mae
        0.5
    """

    use: ClassVar[str] = "regression"
    target: ClassVar[Target] = "values"
    label_kind: ClassVar[LabelKind] = "values"
    label_dtype: ClassVar[str] = "float32"
    losses: ClassVar[Losses] = Losses(labels={"use": "hard_values"}, teacher={"use": "squared_error", "kind": "values"})
    metrics: ClassVar[Mapping[str, Metric]] = MappingProxyType({one.name: one for one in (RMSE_OF_VALUES, _MAE, _R2)})

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        check_names(self.names, "names", "a regression", "value")

    @property
    def shape(self) -> tuple[int]:
        """Of the values of one example."""
        return (len(self.names),)

    def __str__(self) -> str:
        return f"{len(self.names)} values" if len(self.names) > 1 else f"values of {self.names[0]!r}"

    def to_json(self) -> dict[str, Any]:
        """The task as plain values."""
        return {"use": self.use, "names": list(self.names)}

    # -- labels --------------------------------------------------------------------------------------------------------

    def check_labels(self, labels: Tensor, rows: int, of: str) -> None:
        """See that labels are float32 numbers, finite or NaN, one for each value of each example."""
        if labels.dtype != torch.float32:
            raise must("labels", of, "float32", labels.dtype, "Convert them with .float()")
        if labels.shape != (rows, *self.shape):
            rule = f"[{rows}, {len(self.names)}], a number for each value of each row"
            raise must("labels", of, rule, tuple(labels.shape), "Give one value a second axis with .reshape(-1, 1)")
        if bool(labels.isinf().any()):
            row = int(labels.isinf().any(1).nonzero()[0])
            raise must("labels", of, "finite, or NaN where unknown", Words(f"infinity in row {row}"), "Repair it")

    def check_enough(self, labels: Tensor, of: str) -> None:
        """See that every value varies, where any is known."""
        if not bool(self.known(labels).any()):
            return
        for place, name in enumerate(self.names):
            known = labels[~labels[:, place].isnan(), place]
            if not len(known) or bool((known == known[0]).all()):
                got = Words(f"{significant(float(known[0]))} in every row" if len(known) else "no known one")
                raise must(f"value {name!r}", f"the train split of {of}", "one that varies", got, "Leave it out")

    def known(self, labels: Tensor) -> Tensor:
        """``[n]`` bool: of which examples some value is known."""
        return ~labels.isnan().all(1)

    def unknown_labels(self, rows: int) -> Tensor:
        """``[rows, values]`` times NaN."""
        return torch.full((rows, *self.shape), math.nan)

    def strata(self, labels: Tensor) -> Tensor:
        """All examples are alike, but for those of which nothing is known."""
        return (~self.known(labels)).long()

    def mask(self, labels: Tensor) -> None:
        """Every example counts; what is not known of one costs nothing, where a term is about labels."""
        return None

    # -- outputs -------------------------------------------------------------------------------------------------------

    def quality(self, outputs: Floats, labels: NDArray[Any]) -> RegressionQuality:
        """How good values are; see `attar.tasks.task.Task.quality`."""
        known = self._known(outputs, labels)
        check_judged(outputs, known, "outputs")
        values, truth = outputs[known], labels[known]
        columns = range(len(self.names))
        return RegressionQuality(
            examples=len(truth),
            rmse=RMSE_OF_VALUES.figure(values, truth),
            interval=root_mean_interval(squared_errors(values, truth)),
            mae=_MAE.figure(values, truth),
            r2=_R2.figure(values, truth),
            per_value={self.names[one]: _rmse_of_column(values[:, one], truth[:, one]) for one in columns},
        )

    def scores(self, outputs: Floats, labels: NDArray[Any]) -> NDArray[np.float64]:
        """Squared error of each example of which a value is known, with a minus."""
        known = self._known(outputs, labels)
        return -squared_errors(outputs[known], labels[known])

    def agreement(self, outputs_a: Floats, outputs_b: Floats) -> None:
        """Nothing is named; how far outputs are apart is their parity."""
        return None

    def best_constant(self, labels: NDArray[Any]) -> Constant:
        """The mean of each value."""
        truth = labels[~np.isnan(labels).all(axis=1)]
        return Constant("their mean", -squared_errors(np.broadcast_to(_means(truth), truth.shape), truth))

    def chance(self, outputs: Floats, labels: NDArray[Any], split: str, constant: Constant | None = None) -> Chance:
        """Compare a model's predictions with always giving the mean of the labels, and with guessing.

        Better than the constant means that a one-sided t test of the paired squared errors says so at 0.05. Guessing
        means that the predictions, dealt out to the examples at random, would be as near in 1 of 20 cases (mean and
        variance of a random permutation; where values are missing their mean stands).
        """
        known = self._known(outputs, labels)
        values, truth = outputs[known], labels[known]
        centered = np.nan_to_num(truth - _means(truth))
        if len(truth) < 2 or not centered.any():  # nothing to tell apart
            return Chance(None, False)
        best, mine = self.best_constant(labels) if constant is None else constant, -squared_errors(values, truth)
        root, of_best = (significant(-RMSE_OF_VALUES.score(one)) for one in (mine, best.scores))
        return judged(
            is_better=is_larger(mine - best.scores),
            is_guessing=not _goes_with(values, centered),
            same=f" (RMSE {root})" if bool((values == values[0]).all()) else None,
            compared=f"RMSE {root} on {len(truth):,} {split} examples, and always predicting {best.name} gives "
            f"{of_best}",
            split=split,
        )

    def label_in_words(self, label: Tensor) -> str:
        """The values, each with its name where there are several."""
        shown = ["unknown" if math.isnan(one) else significant(one) for one in label.tolist()]
        if len(shown) == 1:
            return shown[0]
        return ", ".join(f"{name} {one}" for name, one in zip(self.names, shown, strict=True))

    def _known(self, outputs: Floats, labels: NDArray[Any]) -> NDArray[np.bool_]:
        """``[n]``, of which examples a value is known.

        Raises:
            BadInput: If outputs and labels do not fit each other or the names.
        """
        check_shapes(outputs, labels, self.shape, self.shape, "outputs")
        return np.asarray(~np.isnan(labels).all(axis=1))


def _rmse_of_column(outputs: Floats, values: Floats) -> float | None:
    """Of one value, over the examples in which it is known; None where it is in none."""
    known = ~np.isnan(values)
    return RMSE_OF_VALUES.figure(outputs[known, None], values[known, None]) if known.any() else None


def _means(values: Floats) -> NDArray[np.float64]:
    """``[values]``, of each over the examples in which it is known; 0 where it is in none."""
    known = ~np.isnan(values)
    sums = np.where(known, values, 0.0).sum(axis=0, dtype=np.float64)
    return np.asarray(sums / np.maximum(1, known.sum(axis=0)))


def _goes_with(outputs: Floats, centered: NDArray[np.float64]) -> bool:
    """Whether predictions go with the truth further than all but 1 in 20 of their random permutations do.

    Args:
        outputs: ``[n, values]``.
        centered: ``[n, values]``, the truth less its mean.
    """
    apart = outputs.astype(np.float64) - outputs.mean(axis=0, dtype=np.float64)
    variance = float(((apart.T @ apart) * (centered.T @ centered)).sum()) / (len(apart) - 1)
    together = float((apart * centered).sum())
    return together > float(ndtri(1 - LEVEL)) * math.sqrt(variance)
