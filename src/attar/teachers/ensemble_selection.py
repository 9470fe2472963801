"""Ensemble selection with the face of a scikit-learn classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from attar.errors import Words, must
from attar.teachers.selection import select
from attar.teachers.selection_metrics import Scorer


class EnsembleSelection(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """The average of those of some fitted classifiers that do best together on validation data.

    Unlike other ensembles of scikit-learn it does not fit its members: `fit` gets validation data, which they must not
    have seen. (`sklearn.base.clone` takes the fit off the members as well; wrap them in
    `sklearn.frozen.FrozenEstimator` where it must not.)

    Attributes:
        classes_: The classes, in the order of `predict_proba`.
        weights_: ``[estimators]``, 1 in sum; most are 0.
        curve_: The score of the start and after each step, as a mean over the bags.
        selection_: All that `select` says.

    Example:
        >>> from sklearn.naive_bayes import GaussianNB
        >>> from sklearn.tree import DecisionTreeClassifier
        >>> x, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array(["no", "no", "yes", "yes"])
        >>> fitted = [("bayes", GaussianNB().fit(x, y)), ("tree", DecisionTreeClassifier(max_depth=1).fit(x, y))]
        >>> EnsembleSelection(fitted).fit(x, y).predict([[0.5]]).tolist()
        ['no']
    """

    def __init__(
        self,
        estimators: Sequence[tuple[str, Any]] = (),
        *,
        metric: str | Scorer = "log_loss",
        sorted_init: int | str = "best",
        max_steps: int = 100,
        bags: int = 20,
        bag_fraction: float = 0.5,
        random_state: int = 0,
    ) -> None:
        """Say what to select from, and how; the parameters are those of `select`.

        Args:
            estimators: Names and fitted classifiers of the same classes, with ``predict_proba``.
            metric: What to select by.
            sorted_init: With how many of the best single models to start, or ``"best"``.
            max_steps: How many models to add after that.
            bags: From how many parts of the library to select.
            bag_fraction: Which share of the models each part has.
            random_state: Which parts are drawn.
        """
        self.estimators = estimators
        self.metric = metric
        self.sorted_init = sorted_init
        self.max_steps = max_steps
        self.bags = bags
        self.bag_fraction = bag_fraction
        self.random_state = random_state

    def fit(self, X: Any, y: ArrayLike) -> EnsembleSelection:
        """Choose the weights on validation data.

        Args:
            X: Rows, as the estimators take them.
            y: ``[n]`` classes.

        Raises:
            BadInput: If there are no estimators, they differ in their classes, or y has others.
        """
        if not len(self.estimators):
            remedy = "Give names and fitted classifiers"
            raise must("estimators", "EnsembleSelection", "one or more", list(self.estimators), remedy)
        for _, estimator in self.estimators:
            check_is_fitted(estimator)
        classes = np.asarray(self.estimators[0][1].classes_)
        for name, estimator in self.estimators:
            if not np.array_equal(estimator.classes_, classes):
                got = Words(f"{name!r} with {np.asarray(estimator.classes_).tolist()}")
                remedy = "Fit all on the same classes"
                raise must("estimators", "EnsembleSelection", f"of the classes {classes.tolist()}", got, remedy)
        given = np.asarray(y)
        if not np.isin(given, classes).all():
            others = sorted(set(given.tolist()) - set(classes.tolist()))
            raise must(
                "y", "EnsembleSelection.fit", f"of the classes {classes.tolist()}", others, "Leave these rows out"
            )
        order = np.argsort(classes)
        labels = order[np.searchsorted(classes, given, sorter=order)]
        self.classes_ = classes
        self.selection_ = select(
            np.stack([estimator.predict_proba(X) for _, estimator in self.estimators]),
            labels,
            metric=self.metric,
            sorted_init=self.sorted_init,
            max_steps=self.max_steps,
            bags=self.bags,
            bag_fraction=self.bag_fraction,
            names=[name for name, _ in self.estimators],
            seed=self.random_state,
        )
        self.weights_, self.curve_ = self.selection_.weights, self.selection_.curve
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities ``[n, classes]``; estimators of weight 0 are not asked."""
        check_is_fitted(self)
        probabilities = np.zeros(())
        for (_, estimator), weight in zip(self.estimators, self.weights_, strict=True):
            if weight > 0:
                probabilities = probabilities + weight * np.asarray(estimator.predict_proba(X), np.float64)
        return probabilities

    def predict(self, X: Any) -> NDArray[Any]:
        """The likeliest class of each row."""
        likeliest: NDArray[Any] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return likeliest

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "weights_")
