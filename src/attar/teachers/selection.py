"""Ensemble selection: which models of a library to average, chosen greedily on validation data.

`select` works on what the models predicted, never on the models themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attar.errors import BadInput, Words, must, near
from attar.teachers.growing_ensemble import READ_AT_ONCE, GrowingEnsemble, growing_ensemble
from attar.teachers.selection_metrics import METRICS, Floats, Scorer
from attar.training.progress import Progress, silent

_TIE = 1e-12
"""Losses that differ by less are equal: rounding must not choose."""
_LONGEST_START = 25
"""The most models with which an ensemble starts, where their number is chosen."""


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
    ensemble = growing_ensemble(metric, predictions, true)
    alone = ensemble.alone()

    subsets = [np.arange(count)]
    if bags:
        size = max(1, round(bag_fraction * count))
        draws = [np.random.default_rng([seed, bag]) for bag in range(bags)]
        subsets = [np.sort(draw.choice(count, size, replace=False)) for draw in draws]
    chosen = []
    with progress("select", total=len(subsets) * max_steps) as advance:
        for subset in subsets:
            ordered = subset[np.argsort(precedence[subset], kind="stable")]
            chosen.append(_grow(ensemble, ordered, alone, sorted_init, max_steps, advance))

    weights = np.mean([np.bincount(bag.models, minlength=count) / len(bag.models) for bag in chosen], axis=0)
    best = _best(alone)
    return Selection(
        weights=weights,
        names=called,
        metric=metric if isinstance(metric, str) else getattr(metric, "__name__", "metric"),
        score=(METRICS[metric] if isinstance(metric, str) else metric)(average(predictions, weights), true),
        single=ensemble.score(float(alone[best])),
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
    ensemble: GrowingEnsemble,
    models: NDArray[np.intp],
    alone: Floats,
    sorted_init: int | str,
    max_steps: int,
    advance: Callable[[int], None],
) -> Bag:
    """One greedy selection from some models, of which the earlier wins a tie."""
    order: list[int] = []
    losses: list[float] = []
    ensemble.empty()
    start = 0
    if sorted_init:
        ranking = models[np.argsort(np.round(alone[models] / _TIE), kind="stable")]
        head = ranking[: sorted_init if isinstance(sorted_init, int) else _LONGEST_START]
        together = []
        for model in head:
            together.append(float(ensemble.with_each(np.array([model]))[0]))
            ensemble.add(int(model))
        start = _best(np.array(together)) + 1 if sorted_init == "best" else len(head)
        ensemble.empty()
        for model in head[:start]:
            ensemble.add(int(model))
        order, losses = [int(model) for model in head[:start]], [together[start - 1]]
    for _ in range(max_steps):
        tried = ensemble.with_each(models)
        model = int(models[_best(tried)])
        losses.append(float(tried.min()))
        order.append(model)
        ensemble.add(model)
        advance(1)
    best = _best(np.array(losses))
    size = start + best if start else best + 1
    return Bag(
        models=tuple(order[:size]),
        start=start,
        curve=tuple(ensemble.score(loss) for loss in losses),
        score=ensemble.score(losses[best]),
    )


def _best(losses: Floats) -> int:
    """The first of the lowest losses, where hardly different is equal."""
    lowest = losses.min()
    return int(np.argmax(losses <= lowest + _TIE * max(1.0, abs(lowest))))


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
    pieces = max(1, READ_AT_ONCE // max(1, predictions[0].size))
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
