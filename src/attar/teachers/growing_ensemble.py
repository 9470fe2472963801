"""An ensemble that grows: what its loss would be with each of some models added, by each metric.

Each metric has a way to try all candidates of a step at once that touches every number at most once, and reads a
memory-mapped library in pieces.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.errors import must
from attar.teachers.selection_metrics import (
    SMALLEST,
    Floats,
    Scorer,
    areas_under_roc,
    of_label,
    of_second_class,
    right_predictions,
)

_PIECE = 2**16
"""How many numbers are worked on at once: half a megabyte, which stays in the cache."""
READ_AT_ONCE = 2**21
"""How many numbers of a library on disk are read at once."""


class GrowingEnsemble(ABC):
    """One metric at work: an ensemble that grows, and the loss that it would have with each of some models added."""

    def __init__(self, predictions: NDArray[Any], labels: NDArray[Any]) -> None:
        self.predictions, self.labels = predictions, labels
        self.count = 0

    def alone(self) -> Floats:
        """The loss of every model on its own."""
        self.empty()
        return self.with_each(np.arange(len(self.predictions)))

    @abstractmethod
    def empty(self) -> None:
        """Begin again, with no model."""

    @abstractmethod
    def with_each(self, models: NDArray[np.intp]) -> Floats:
        """The loss of the ensemble with each of these models added, one at a time; lower is better."""

    @abstractmethod
    def add(self, model: int) -> None:
        """Add a model for good."""

    @abstractmethod
    def score(self, loss: float) -> float:
        """The loss as the metric itself puts it."""


class _Squared(GrowingEnsemble):
    r"""Mean squared error, from inner products of the models' errors alone.

    With :math:`e_m` the errors of model m and :math:`r` their sum over the k models of the ensemble, the loss with m
    added is :math:`|r + e_m|^2 / (k + 1)^2 = (|r|^2 + 2 r e_m + |e_m|^2) / (k + 1)^2`; and :math:`r e_m` is a sum of
    columns of the matrix of inner products, of which only those of models that were ever added are worked out.
    """

    def __init__(self, predictions: NDArray[Any], labels: NDArray[Any], *, root: bool) -> None:
        super().__init__(predictions, labels)
        self.root = root
        self.truth = right_predictions(predictions.shape[1:], labels).reshape(-1)
        self.squares = np.concatenate([np.einsum("mw,mw->m", errors, errors) for errors in self._errors()])
        self.columns: dict[int, Floats] = {}

    def _errors(self) -> Iterator[Floats]:
        rows = max(1, READ_AT_ONCE // max(1, self.truth.size))
        for start in range(0, len(self.predictions), rows):
            piece = self.predictions[start : start + rows]
            yield np.asarray(piece, np.float64).reshape(len(piece), -1) - self.truth

    def _column(self, model: int) -> Floats:
        if model not in self.columns:
            error = np.asarray(self.predictions[model], np.float64).reshape(-1) - self.truth
            if (len(self.columns) + 1) * len(self.squares) > 4 * READ_AT_ONCE:
                del self.columns[next(iter(self.columns))]
            self.columns[model] = np.concatenate([errors @ error for errors in self._errors()])
        return self.columns[model]

    def empty(self) -> None:
        self.count, self.square = 0, 0.0
        self.products = np.zeros(len(self.squares))

    def with_each(self, models: NDArray[np.intp]) -> Floats:
        squares = self.square + 2 * self.products[models] + self.squares[models]
        losses: Floats = np.maximum(squares, 0) / ((self.count + 1) ** 2 * self.truth.size)
        return losses

    def add(self, model: int) -> None:
        self.square += 2 * float(self.products[model]) + float(self.squares[model])
        self.products = self.products + self._column(model)
        self.count += 1

    def score(self, loss: float) -> float:
        return math.sqrt(loss) if self.root else loss


class _Rows(GrowingEnsemble):
    """A metric that needs one number per model and row: they are gathered once, and summed as the ensemble grows."""

    def __init__(self, predictions: NDArray[Any], labels: NDArray[Any], width: int) -> None:
        super().__init__(predictions, labels)
        self.numbers = np.ones((len(predictions), width))
        for position, model in enumerate(predictions):
            self.numbers[position, : len(labels)] = self.gather(np.asarray(model, np.float64))

    @abstractmethod
    def gather(self, predictions: Floats) -> Floats:
        """The number of each row, ``[n]``, from one model's predictions."""

    @abstractmethod
    def losses(self, sums: Floats) -> Floats:
        """Losses ``[models]`` of ensembles, of whose sums ``[models, width]`` nothing is needed any more."""

    def empty(self) -> None:
        self.count, self.total = 0, np.zeros(self.numbers.shape[1])

    def with_each(self, models: NDArray[np.intp]) -> Floats:
        rows = max(1, _PIECE // self.numbers.shape[1])
        found = np.empty(len(models))
        for start in range(0, len(models), rows):
            sums = self.numbers[models[start : start + rows]]
            sums += self.total
            found[start : start + rows] = self.losses(sums)
        return found

    def add(self, model: int) -> None:
        self.total = self.total + self.numbers[model]
        self.count += 1


class _LogLoss(_Rows):
    """Log loss, from the probabilities of the labels; one logarithm for sixteen of them multiplied."""

    TOGETHER = 16

    def __init__(self, predictions: NDArray[Any], labels: NDArray[Any]) -> None:
        # Filled up with ones, whose logarithm is 0, to a multiple of how many are multiplied.
        super().__init__(predictions, labels, -(-len(labels) // self.TOGETHER) * self.TOGETHER)

    def gather(self, predictions: Floats) -> Floats:
        return of_label(predictions, self.labels)

    def losses(self, sums: Floats) -> Floats:
        sums /= self.count + 1
        np.maximum(sums, SMALLEST, out=sums)
        # At least (1e-7)^16 = 1e-112: no product comes near the smallest number.
        products = np.multiply.reduce(sums.reshape(len(sums), self.TOGETHER, -1), axis=1)
        losses: Floats = -np.log(products, out=products).sum(axis=1) / len(self.labels)
        return losses

    def score(self, loss: float) -> float:
        return loss


class _Auc(_Rows):
    def __init__(self, predictions: NDArray[Any], labels: NDArray[Any]) -> None:
        super().__init__(predictions, labels, len(labels))

    def gather(self, predictions: Floats) -> Floats:
        return of_second_class(predictions)

    def losses(self, sums: Floats) -> Floats:
        return 1 - areas_under_roc(sums, self.labels == 1)

    def score(self, loss: float) -> float:
        return 1 - loss


class _FromAllPredictions(GrowingEnsemble):
    """A metric that needs all of the predictions: a piece of the library is read at a time, in every step."""

    def empty(self) -> None:
        self.count, self.total = 0, np.zeros(self.predictions.shape[1:])

    def with_each(self, models: NDArray[np.intp]) -> Floats:
        rows = max(1, _PIECE // max(1, self.total.size))
        found = np.empty(len(models))
        for start in range(0, len(models), rows):
            sums = self.predictions[models[start : start + rows]].astype(np.float64)
            sums += self.total
            found[start : start + rows] = self.losses(sums)
        return found

    @abstractmethod
    def losses(self, sums: Floats) -> Floats:
        """Losses ``[models]`` of ensembles with these sums of predictions ``[models, n, ...]``."""

    def add(self, model: int) -> None:
        self.total = self.total + self.predictions[model]
        self.count += 1


class _Accuracy(_FromAllPredictions):
    def losses(self, sums: Floats) -> Floats:
        likeliest = sums.argmax(axis=-1) if sums.ndim == 3 else sums > 0.5 * (self.count + 1)
        losses: Floats = 1 - (likeliest == self.labels).mean(axis=1)
        return losses

    def score(self, loss: float) -> float:
        return 1 - loss


class _Own(_FromAllPredictions):
    """A metric of the caller's, for which higher is better."""

    def __init__(self, predictions: NDArray[Any], labels: NDArray[Any], metric: Scorer) -> None:
        super().__init__(predictions, labels)
        self.metric = metric

    def losses(self, sums: Floats) -> Floats:
        scores = np.array([float(self.metric(each / (self.count + 1), self.labels)) for each in sums])
        if not np.isfinite(scores).all():
            remedy = "Let it give a finite number for every ensemble"
            raise must("metric", "select", "finite", float(scores[~np.isfinite(scores)][0]), remedy)
        return -scores

    def score(self, loss: float) -> float:
        return -loss


def growing_ensemble(metric: str | Scorer, predictions: NDArray[Any], labels: NDArray[Any]) -> GrowingEnsemble:
    """An empty ensemble that is judged by a metric.

    Args:
        metric: A key of `METRICS`, or a function for which higher is better.
        predictions: ``[models, n, classes]`` or ``[models, n]``; may be memory-mapped.
        labels: ``[n]``.
    """
    match metric:
        case "log_loss":
            return _LogLoss(predictions, labels)
        case "rmse" | "brier":
            return _Squared(predictions, labels, root=metric == "rmse")
        case "auc":
            return _Auc(predictions, labels)
        case "accuracy":
            return _Accuracy(predictions, labels)
    assert callable(metric)
    return _Own(predictions, labels, metric)
