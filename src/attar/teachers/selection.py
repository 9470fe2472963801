"""Ensemble selection: which models of a library to average, chosen greedily on validation data.

`select` works on what the models predicted, never on the models themselves. Each metric has a way to try all candidates
of a step at once that touches every number at most once, and reads a memory-mapped library in pieces.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attar.errors import BadInput, Words, must, near
from attar.training.progress import Progress, silent

Floats = NDArray[np.float64]
Scorer = Callable[[Floats, NDArray[Any]], float]
"""Predictions ``[n, classes]`` (or ``[n]``) and labels in, one number out."""

_SMALLEST = 1e-7
"""Probabilities below this count as this in the log loss."""
_TIE = 1e-12
"""Losses that differ by less are equal: rounding must not choose."""
_LONGEST_START = 25
"""The most models with which an ensemble starts, where their number is chosen."""
_PIECE = 2**16
"""How many numbers are worked on at once: half a megabyte, which stays in the cache."""
_READ = 2**21
"""How many numbers of a library on disk are read at once."""


def log_loss(predictions: Floats, labels: NDArray[Any]) -> float:
    """Mean of minus the log of the label's probability, in nats; probabilities below 1e-7 count as 1e-7."""
    return float(-np.log(np.maximum(_of_label(predictions, labels), _SMALLEST)).mean())


def brier(predictions: Floats, labels: NDArray[Any]) -> float:
    """Mean over examples and classes of the squared difference of probability and one-hot label.

    For two classes that is the squared error of the second one's probability.
    """
    return float(np.mean((predictions - _truth(predictions.shape, labels)) ** 2))


def rmse(predictions: Floats, labels: NDArray[Any]) -> float:
    """Root of the mean squared difference of probabilities and one-hot labels, or of values and true values."""
    return math.sqrt(brier(predictions, labels))


def accuracy(predictions: Floats, labels: NDArray[Any]) -> float:
    """Share of examples whose likeliest class is the label; of equally likely ones the first counts."""
    return float(np.mean(_likeliest(predictions) == labels))


def auc(predictions: Floats, labels: NDArray[Any]) -> float:
    """Area under the ROC curve of two classes: how often the second ranks above the first; ties count half."""
    return float(_areas(_second(predictions)[None], labels == 1)[0])


METRICS: dict[str, Scorer] = {"log_loss": log_loss, "rmse": rmse, "brier": brier, "accuracy": accuracy, "auc": auc}
"""What a selection may go by. `log_loss`, `rmse` and `brier` are the better the lower."""

_HIGHER_IS_BETTER = {"accuracy", "auc"}


@dataclass(frozen=True, kw_only=True)
class Bag:
    """One greedy selection, from one random part of the library.

    Attributes:
        models: Positions in the library, in the order in which they were added; the same one may stand there often.
            Only those of the best step are kept.
        start: How many of them were there from the start: the best single ones.
        curve: The score of the start (where there is one) and after each step, also after the best.
        score: The score of the best step.
    """

    models: tuple[int, ...]
    start: int
    curve: tuple[float, ...]
    score: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Selection:
    """Which models to average, and with what weights.

    Attributes:
        weights: ``[models]``, from 0 to 1 and 1 in sum; most are 0.
        names: What each model of the library is called.
        metric: What it was selected by.
        score: The score of the weighted average, on the data that it was selected on.
        single: The best score of a single model on the same data.
        best: The position of that model.
        curve: The score of the start (where there is one) and after each step, as a mean over the bags.
        by_bag: What was selected in each bag.
    """

    weights: Floats
    names: tuple[str, ...]
    metric: str
    score: float
    single: float
    best: int
    curve: tuple[float, ...]
    by_bag: tuple[Bag, ...]

    @property
    def positions(self) -> NDArray[np.int64]:
        """The positions of the chosen models, the heaviest first."""
        order = np.argsort(-self.weights, kind="stable")
        return order[self.weights[order] > 0]

    @property
    def chosen(self) -> dict[str, float]:
        """The weights of the chosen models by name, the heaviest first."""
        return {self.names[position]: float(self.weights[position]) for position in self.positions}

    def __str__(self) -> str:
        count, best = len(self.positions), self.names[self.best]
        return (
            f"{count} of {len(self.names)} models: {self.metric} {self.score:.4g}, "
            f"against {self.single:.4g} of the best single one, {best!r}"
        )


def select(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    metric: str | Scorer = "log_loss",
    sorted_init: int | str = "best",
    max_steps: int = 100,
    bags: int = 20,
    bag_fraction: float = 0.5,
    tie: str = "first",
    sizes: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Selection:
    """Choose the models of a library whose average does best on validation data.

    Starting from the best single models, each step adds the model, chosen before or not, whose addition makes the
    average best; the average of the best step of all is kept. That is done in several random parts of the library
    ("bags"), and the ensembles are averaged, which keeps the choice from fitting the validation data too closely.

    Args:
        predictions: ``[models, n, classes]`` probabilities, or ``[models, n]`` probabilities of the second of two
            classes, or (for ``rmse``) any values. A memory-mapped array is read in pieces; ``log_loss`` and ``auc``
            then hold one number per model and row, ``rmse`` and ``brier`` less, the others next to nothing.
        labels: ``[n]`` class numbers from 0; for ``rmse`` of values the true values, in the shape of one model's.
        metric: A key of `METRICS`, or a function of predictions and labels for which higher is better.
        sorted_init: With how many of the best single models to start; ``"best"`` takes as many, up to 25, as do best
            together; 0 starts from nothing.
        max_steps: How many models to add after that.
        bags: How many parts of the library to select from; 0 selects once from the whole library.
        bag_fraction: Which share of the models each part has, greater than 0 and at most 1.
        tie: Which of equally good models is added: the ``"first"`` in the library, or the ``"smallest"`` by ``sizes``.
        sizes: A size for each model, for ``tie="smallest"``.
        names: What each model is called; None calls them "model 0" and so on.
        seed: Which parts are drawn; part b depends on the seed and b alone.
        progress: Told about every step.

    Raises:
        BadInput: If a parameter breaks its rule, or the predictions or labels are not of the form above.

    Example:
        >>> said = [[0.9, 0.4, 0.2, 0.1], [0.4, 0.9, 0.1, 0.2], [0.5, 0.5, 0.5, 0.5]]
        >>> selection = select(said, [1, 1, 0, 0], bags=0)
        >>> selection.weights
        array([0.5, 0.5, 0. ])

    References:
        Caruana, Niculescu-Mizil, Crew, Ksikes, *Ensemble Selection from Libraries of Models*, 2004, section 2
        (selection with replacement, sorted initialization, bagging). Used by Bucila, Caruana, Niculescu-Mizil, *Model
        Compression*, 2006, section 3, to make the teacher.
    """
    predictions = predictions if isinstance(predictions, np.ndarray) else np.asarray(predictions)
    true = np.asarray(labels)
    _check_settings(metric, sorted_init, max_steps, bags, bag_fraction)
    _check_predictions(predictions, true, metric, names)
    count = len(predictions)
    called = tuple(f"model {position}" for position in range(count)) if names is None else tuple(names)
    precedence = _precedence(count, tie, sizes)
    trial = _trial(metric, predictions, true)
    alone = trial.alone()

    subsets = [np.arange(count)]
    if bags:
        size = max(1, round(bag_fraction * count))
        draws = [np.random.default_rng([seed, bag]) for bag in range(bags)]
        subsets = [np.sort(draw.choice(count, size, replace=False)) for draw in draws]
    chosen = []
    with progress("select", total=len(subsets) * max_steps) as advance:
        for subset in subsets:
            ordered = subset[np.argsort(precedence[subset], kind="stable")]
            chosen.append(_grow(trial, ordered, alone, sorted_init, max_steps, advance))

    weights = np.mean([np.bincount(bag.models, minlength=count) / len(bag.models) for bag in chosen], axis=0)
    best = _best(alone)
    return Selection(
        weights=weights,
        names=called,
        metric=metric if isinstance(metric, str) else getattr(metric, "__name__", "metric"),
        score=(METRICS[metric] if isinstance(metric, str) else metric)(average(predictions, weights), true),
        single=trial.score(float(alone[best])),
        best=best,
        curve=tuple(np.mean([bag.curve for bag in chosen], axis=0).tolist()),
        by_bag=tuple(chosen),
    )


def average(predictions: NDArray[Any], weights: ArrayLike) -> Floats:
    """The weighted mean ``[n, ...]`` of predictions ``[models, n, ...]``; models of weight 0 are not read.

    Args:
        predictions: What each model predicts; may be memory-mapped.
        weights: One number per model, not all 0, on any scale.
    """
    shares = np.asarray(weights, np.float64)
    total = np.zeros(predictions.shape[1:])
    for position in np.flatnonzero(shares):
        total += shares[position] * np.asarray(predictions[position], np.float64)
    mean: Floats = total / shares.sum()
    return mean


def _grow(
    trial: _Trial,
    models: NDArray[np.intp],
    alone: Floats,
    sorted_init: int | str,
    max_steps: int,
    advance: Callable[[int], None],
) -> Bag:
    """One greedy selection from some models, of which the earlier wins a tie."""
    order: list[int] = []
    losses: list[float] = []
    trial.empty()
    start = 0
    if sorted_init:
        ranking = models[np.argsort(np.round(alone[models] / _TIE), kind="stable")]
        head = ranking[: sorted_init if isinstance(sorted_init, int) else _LONGEST_START]
        together = []
        for model in head:
            together.append(float(trial.with_each(np.array([model]))[0]))
            trial.add(int(model))
        start = _best(np.array(together)) + 1 if sorted_init == "best" else len(head)
        trial.empty()
        for model in head[:start]:
            trial.add(int(model))
        order, losses = [int(model) for model in head[:start]], [together[start - 1]]
    for _ in range(max_steps):
        tried = trial.with_each(models)
        model = int(models[_best(tried)])
        losses.append(float(tried.min()))
        order.append(model)
        trial.add(model)
        advance(1)
    best = _best(np.array(losses))
    size = start + best if start else best + 1
    return Bag(
        models=tuple(order[:size]),
        start=start,
        curve=tuple(trial.score(loss) for loss in losses),
        score=trial.score(losses[best]),
    )


def _best(losses: Floats) -> int:
    """The first of the lowest losses, where hardly different is equal."""
    lowest = losses.min()
    return int(np.argmax(losses <= lowest + _TIE * max(1.0, abs(lowest))))


class _Trial(ABC):
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


class _Squared(_Trial):
    r"""Mean squared error, from inner products of the models' errors alone.

    With :math:`e_m` the errors of model m and :math:`r` their sum over the k models of the ensemble, the loss with m
    added is :math:`|r + e_m|^2 / (k + 1)^2 = (|r|^2 + 2 r e_m + |e_m|^2) / (k + 1)^2`; and :math:`r e_m` is a sum of
    columns of the matrix of inner products, of which only those of models that were ever added are worked out.
    """

    def __init__(self, predictions: NDArray[Any], labels: NDArray[Any], *, root: bool) -> None:
        super().__init__(predictions, labels)
        self.root = root
        self.truth = _truth(predictions.shape[1:], labels).reshape(-1)
        self.squares = np.concatenate([np.einsum("mw,mw->m", errors, errors) for errors in self._errors()])
        self.columns: dict[int, Floats] = {}

    def _errors(self) -> Iterator[Floats]:
        rows = max(1, _READ // max(1, self.truth.size))
        for start in range(0, len(self.predictions), rows):
            piece = self.predictions[start : start + rows]
            yield np.asarray(piece, np.float64).reshape(len(piece), -1) - self.truth

    def _column(self, model: int) -> Floats:
        if model not in self.columns:
            error = np.asarray(self.predictions[model], np.float64).reshape(-1) - self.truth
            if (len(self.columns) + 1) * len(self.squares) > 4 * _READ:
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


class _Rows(_Trial):
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
        return _of_label(predictions, self.labels)

    def losses(self, sums: Floats) -> Floats:
        sums /= self.count + 1
        np.maximum(sums, _SMALLEST, out=sums)
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
        return _second(predictions)

    def losses(self, sums: Floats) -> Floats:
        return 1 - _areas(sums, self.labels == 1)

    def score(self, loss: float) -> float:
        return 1 - loss


class _FromAllPredictions(_Trial):
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


def _trial(metric: str | Scorer, predictions: NDArray[Any], labels: NDArray[Any]) -> _Trial:
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


def _of_label(predictions: Floats, labels: NDArray[Any]) -> Floats:
    """The probability of each row's label."""
    known = predictions if predictions.ndim == 2 else np.stack([1 - predictions, predictions], axis=1)
    given: Floats = known[np.arange(len(labels)), labels]
    return given


def _truth(shape: Sequence[int], labels: NDArray[Any]) -> Floats:
    """What one model should say, in the shape of what it says."""
    if len(shape) == labels.ndim:
        return labels.astype(np.float64)
    one_hot: Floats = np.eye(shape[1])[labels]
    return one_hot


def _likeliest(predictions: Floats) -> NDArray[Any]:
    return predictions.argmax(axis=1) if predictions.ndim == 2 else predictions > 0.5


def _second(predictions: Floats) -> Floats:
    """The probability of the second of two classes."""
    return predictions[:, 1] if predictions.ndim == 2 else predictions


def _areas(scores: Floats, positive: NDArray[np.bool_]) -> Floats:
    """Areas under the ROC curves of ``[models, n]`` scores, from the ranks of the positives; equal scores share one."""
    order = np.argsort(scores, axis=1, kind="stable")
    ranked = np.take_along_axis(scores, order, axis=1)
    places = np.arange(scores.shape[1], dtype=np.float64)
    new = np.ones(scores.shape, bool)
    new[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    first = np.maximum.accumulate(np.where(new, places, 0.0), axis=1)
    last = np.ones(scores.shape, bool)
    last[:, :-1] = new[:, 1:]
    ends = np.where(last, places, np.inf)[:, ::-1]
    final = np.minimum.accumulate(ends, axis=1)[:, ::-1]
    ranks = (first + final) / 2 + 1
    pluses = int(positive.sum())
    total = np.where(positive[order], ranks, 0.0).sum(axis=1)
    areas: Floats = (total - pluses * (pluses + 1) / 2) / (pluses * (len(positive) - pluses))
    return areas


def _precedence(count: int, tie: str, sizes: Sequence[int] | None) -> NDArray[Any]:
    """A number for each model, of which the lower wins a tie."""
    if tie not in ("first", "smallest"):
        raise must("tie", "select", "'first' or 'smallest'", tie, near(tie, ["first", "smallest"]))
    if tie == "first":
        return np.arange(count)
    if sizes is None or len(sizes) != count:
        got = Words("none") if sizes is None else len(sizes)
        raise must("sizes", "select", f"one number for each of the {count} models", got, "Pass sizes, or tie='first'")
    return np.asarray(sizes)


def _check_settings(
    metric: str | Scorer, sorted_init: int | str, max_steps: int, bags: int, bag_fraction: float
) -> None:
    if isinstance(metric, str) and metric not in METRICS:
        raise must("metric", "select", "a known metric or a function", metric, near(metric, METRICS))
    if sorted_init != "best" and (isinstance(sorted_init, str) or sorted_init < 0):
        raise must("sorted_init", "select", "at least 0, or 'best'", sorted_init, "5 to 25 is usual")
    if max_steps < 0 or (max_steps == 0 and sorted_init == 0):
        raise must("max_steps", "select", "at least 1", max_steps, "100 is usual")
    if bags < 0:
        raise must("bags", "select", "at least 0", bags, "20 is usual; 0 selects once from the whole library")
    if not 0 < bag_fraction <= 1:
        raise must("bag_fraction", "select", "greater than 0 and at most 1", bag_fraction, "0.5 is usual")


def _check_predictions(
    predictions: NDArray[Any], labels: NDArray[Any], metric: str | Scorer, names: Sequence[str] | None
) -> None:
    """The rules about the form and the values of predictions and labels, looked at in pieces."""
    values = metric == "rmse" and predictions.ndim == labels.ndim + 1
    if predictions.dtype.kind not in "fiub" or predictions.ndim not in (2, 3) or 0 in predictions.shape:
        got = Words(f"{predictions.dtype} {list(predictions.shape)}")
        remedy = "Stack the models' predictions for the validation rows"
        raise must("predictions", "select", "numbers [models, n, classes] or [models, n]", got, remedy)
    count, rows = predictions.shape[:2]
    if names is not None and (len(names) != count or len(set(names)) != count):
        got = Words(f"{len(names)}, {len(set(names))} of them different")
        raise must("names", "select", f"{count} different ones", got, "Give one name for each model")
    if values or not isinstance(metric, str):
        if labels.dtype.kind not in "fiub" or labels.shape[:1] != (rows,) or not np.isfinite(labels).all():
            got = Words(f"{labels.dtype} {list(labels.shape)}")
            raise must("labels", "select", f"{rows} finite numbers", got, "Give one for each row of the predictions")
        if values and labels.shape != predictions.shape[1:]:
            shape = list(labels.shape)
            raise must(
                "labels", "select", f"{list(predictions.shape[1:])}", shape, "Give true values as the models give them"
            )
    else:
        classes = predictions.shape[2] if predictions.ndim == 3 else 2
        fits = labels.dtype.kind in "iub" and labels.shape == (rows,)
        if not fits or labels.min() < 0 or labels.max() >= classes:
            rule = f"{rows} class numbers from 0 to {classes - 1}"
            seen = labels.tolist() if labels.shape == (rows,) else list(labels.shape)
            raise must("labels", "select", rule, seen, "Give the position of each row's class")
        if metric == "auc" and (classes != 2 or len(np.unique(labels)) != 2):
            got = Words(f"{len(np.unique(labels))} of {classes}")
            raise BadInput(
                f"The metric 'auc' needs labels of two classes, both present; here are {got} classes. Choose another "
                "metric."
            )
    pieces = max(1, _READ // max(1, predictions[0].size))
    for start in range(0, count, pieces):
        piece = np.asarray(predictions[start : start + pieces], np.float64)
        valid = np.isfinite(piece)
        rule, remedy = "finite", "Leave this model out"
        if not values and isinstance(metric, str):
            rule, remedy = "probabilities", "Give probabilities, not logits, or leave this model out"
            valid &= (piece >= -1e-6) & (piece <= 1 + 1e-6)
            if piece.ndim == 3:
                valid &= np.abs(piece.sum(axis=2, keepdims=True) - 1) < 1e-3
        if not valid.all():
            model, row = (int(place) for place in np.argwhere(~valid)[0][:2])
            name = names[start + model] if names is not None else f"model {start + model}"
            raise must("predictions", repr(name), f"{rule}, also for row {row}", piece[model, row].tolist(), remedy)
