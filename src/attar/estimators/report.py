"""The result of a fit: how close the mimic is to its teacher, and how it was built."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64, Int64
from scipy.special import expit, softmax  # type: ignore[import-untyped]

from attar.estimators.rows import Kind
from attar.tasks.metrics import multilabel
from attar.tasks.metrics.regression import RMSE_OF_VALUES, r2


@dataclass(frozen=True, kw_only=True)
class Report:
    """A mimic beside its teacher, on validation rows that the mimic did not learn from.

    The figures chose the best epoch and, where they were tuned, p and s; so they flatter the mimic a little, as every
    validation figure does. Where the teacher was fitted on the same rows, its figures against the truth flatter
    the teacher far more.

    Attributes:
        rows: Real rows that were given.
        validation_rows: How many of them were set aside for these figures.
        synthetic_rows: Rows that were synthesized and labelled by the teacher.
        p: Probability with which MUNGE changes a value; None for other methods.
        s: Its local variance parameter; None likewise.
        trials: What was tried while p and s were tuned, each with its score; empty where they were given.
        curves: Functions of each column of numbers that training chose; 0 for standardized numbers.
        labels: Share of the labels in what was learned of real rows.
        temperature: What the logits were divided by, so that probabilities fit labels that neither the mimic nor a copy
            of the teacher had seen; 1 where there are none.
        candidates: What was tried on such rows, each with its curves, rows, labels, temperature, loss and
            errors; empty where nothing was chosen.
        judged_by: ``truth`` where something was learned from labels, or the teacher was not fitted on those given; else
            ``teacher``.
        parameters: Numbers in the network.
        steps: Optimizer steps of the training.
        best_epoch: Epoch whose weights were taken, from 0.
        epochs: How many there were.
        teacher_fitted_here: Whether `fit` fitted the teacher, on all rows, validation rows among them.
        fidelity: Mimic against teacher: for classifiers ``agreement`` (share of equal decisions, about each label where
            there are several) and ``rmse`` of the probabilities; for regressors ``r2`` and ``rmse``.
        mimic: Mimic against truth: ``accuracy`` and ``rmse``; of several labels ``f1`` (mean over the rows),
            ``accuracy`` (share of labels) and ``rmse``; or ``r2`` and ``rmse``. None without labels.
        teacher: Teacher against truth, likewise.
        seconds: Time of each phase of the fit.
    """

    rows: int
    validation_rows: int
    synthetic_rows: int
    p: float | None
    s: float | None
    trials: Sequence[Mapping[str, Any]]
    curves: int
    labels: float
    temperature: float
    candidates: Sequence[Mapping[str, Any]]
    judged_by: str
    parameters: int
    steps: int
    best_epoch: int
    epochs: int
    teacher_fitted_here: bool
    fidelity: Mapping[str, float]
    mimic: Mapping[str, float] | None
    teacher: Mapping[str, float] | None
    seconds: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """The report as values that JSON can hold."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"mimic against teacher on {self.validation_rows} validation rows: {_as_text(self.fidelity)}"]
        if self.mimic is not None and self.teacher is not None:
            seen = " (which was fitted on these rows)" if self.teacher_fitted_here else ""
            lines.append(f"against the truth: mimic {_as_text(self.mimic)}; teacher{seen} {_as_text(self.teacher)}")
        description = f"{self.synthetic_rows:,} synthetic rows from {self.rows - self.validation_rows:,} real ones"
        if self.p is not None and self.s is not None:
            description += f", p = {self.p:g} and s = {self.s:g}{' (tuned)' if self.trials else ''}"
        if self.labels:
            description += f", labels as {self.labels:.0%} of what real rows teach"
        if self.temperature != 1:
            description += f", temperature {self.temperature:.2f}"
        lines.append(description)
        if self.candidates:
            lines.append(f"chosen of {len(self.candidates)} on rows that a copy of the teacher had not seen")
        lines.append(
            f"{self.parameters:,} parameters, {self.steps:,} steps, epoch {self.best_epoch + 1} of {self.epochs} "
            "chosen; " + ", ".join(f"{name} {spent:.1f} s" for name, spent in self.seconds.items())
        )
        return "\n".join(lines)


def _as_text(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in figures.items())


def of_probabilities(
    predictions: Float64[np.ndarray, "rows classes"], against: Float64[np.ndarray, "rows classes"]
) -> dict[str, float]:
    """Two sources of probabilities compared.

    The root mean square is over rows and classes: for two classes, that of the positive one.
    """
    agreement = float((predictions.argmax(1) == against.argmax(1)).mean())
    return {"agreement": agreement, "rmse": RMSE_OF_VALUES.figure(predictions, against)}


def of_labels(predictions: Float64[np.ndarray, "rows classes"], labels: Int64[np.ndarray, " rows"]) -> dict[str, float]:
    """Probabilities compared with the true classes; the root mean square is that of `of_probabilities`."""
    truth = np.eye(predictions.shape[1])[labels]
    figures = of_probabilities(predictions, truth)
    return {"accuracy": figures["agreement"], "rmse": figures["rmse"]}


def of_log_odds(
    outputs: Float64[np.ndarray, "rows labels"], labels: Int64[np.ndarray, "rows labels"]
) -> dict[str, float]:
    """Log-odds of several labels compared with the truth of 1 and 0; ``f1`` is the mean of that of each row."""
    return {
        "f1": float(multilabel.f1_scores(outputs, labels).mean()),
        "accuracy": float(multilabel.label_accuracies(outputs, labels).mean()),
        "rmse": float(np.sqrt(multilabel.binary_brier_scores(outputs, labels).mean())),
    }


def of_values(
    predictions: Float64[np.ndarray, "rows outputs"], against: Float64[np.ndarray, "rows outputs"]
) -> dict[str, float]:
    """Predicted values compared with others."""
    return {"r2": r2(predictions, against), "rmse": RMSE_OF_VALUES.figure(predictions, against)}


def figures(
    kind: Kind,
    mine: npt.NDArray[np.float64],
    its: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64] | None,
    values: npt.NDArray[np.float64] | None,
) -> dict[str, Any]:
    """The mimic's outputs beside the teacher's, and both beside the truth where it is known, as a `Report` has them.

    Args:
        kind: Of the mimic.
        mine: Its outputs, ``[rows, outputs]`` logits, log-odds or values.
        its: The teacher's.
        labels: ``[rows]`` true classes of a classifier's rows, or ``[rows, labels]``, 1 where one holds.
        values: ``[rows, outputs]`` true values of a regressor's.
    """
    if kind == "labels":
        judged = [of_log_odds(one, labels) if labels is not None else None for one in (mine, its)]
        apart = RMSE_OF_VALUES.figure(expit(mine), expit(its))
        agreement = float(((mine > 0) == (its > 0)).mean())
        return {"fidelity": {"agreement": agreement, "rmse": apart}, "mimic": judged[0], "teacher": judged[1]}
    if kind == "classifier":
        mine, its = softmax(mine, axis=1), softmax(its, axis=1)
        judged = [of_labels(one, labels) if labels is not None else None for one in (mine, its)]
        return {"fidelity": of_probabilities(mine, its), "mimic": judged[0], "teacher": judged[1]}
    judged = [of_values(one, values) if values is not None else None for one in (mine, its)]
    return {"fidelity": of_values(mine, its), "mimic": judged[0], "teacher": judged[1]}


class Clock:
    """Seconds spent on each phase of the work."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.spent[phase] = self.spent.get(phase, 0.0) + time.perf_counter() - start
