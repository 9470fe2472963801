"""Copies of estimators before they are fitted, also of those whose constructor copies its parameters, as CatBoost's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from attar.estimators.mimic import Mimic
from attar.estimators.teachers import fitted
from attar.recipes.fitting import unfitted
from attar.teachers.unfitted_copy import unfitted_copy


class Trees(ClassifierMixin, BaseEstimator):
    """What a ``CatBoostClassifier`` is: it copies the list of its columns of names, which may be given to fit, too."""

    def __init__(self, cat_features: list[int] | None = None) -> None:
        self.cat_features = None if cat_features is None else list(cat_features)

    def fit(self, X: pd.DataFrame, y: Any, cat_features: list[int] | None = None) -> Trees:
        self.names_ = cat_features or self.cat_features or []
        numbers = X.drop(columns=X.columns[self.names_])
        numbers.astype(float)  # as CatBoost, which takes texts in these columns alone
        self.classes_ = np.unique(y)
        self.rows_ = len(X)
        return self

    def is_fitted(self) -> bool:
        return hasattr(self, "names_")

    def get_cat_feature_indices(self) -> list[int]:
        if not self.is_fitted():
            raise ValueError("Model is not fitted")
        return self.names_

    def get_text_feature_indices(self) -> list[int]:
        return []

    def get_embedding_feature_indices(self) -> list[int]:
        return []

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        yes = np.where(X["color"] == "red", 0.9, 0.2)
        return np.stack([1 - yes, yes], axis=1)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.classes_[self.predict_proba(X).argmax(1)]


DRAWS = np.random.default_rng(0)
FRAME = pd.DataFrame({"width": DRAWS.normal(size=60), "color": DRAWS.choice(["red", "blue"], 60)})
LABELS = np.where(FRAME["color"] == "red", "yes", "no")


def test_a_constructor_may_copy_its_parameters():
    with pytest.raises(RuntimeError, match="Cannot clone"):
        clone(Trees([1]))
    copy = unfitted_copy(Trees([1]))
    assert copy.cat_features == [1] and not copy.is_fitted()
    inner = unfitted_copy(make_pipeline(StandardScaler(with_mean=False), Trees([1])))
    assert inner[-1].cat_features == [1] and inner[0].with_mean is False
    assert unfitted(Trees([1]), seed=0).cat_features == [1], "as a run fits it"


def test_columns_of_names_that_fit_was_told_stay_that():
    told = Trees().fit(FRAME, LABELS, cat_features=[1])
    assert unfitted_copy(told).cat_features == [1] and told.cat_features is None
    assert unfitted_copy(Trees().fit(FRAME[["width"]], LABELS)).cat_features is None
    assert unfitted_copy(Trees()).cat_features is None


def test_others_are_cloned():
    copy = unfitted_copy(LogisticRegression(C=3.0).fit([[0.0], [1.0]], [0, 1]))
    assert copy.C == 3.0 and not hasattr(copy, "classes_")
    with pytest.raises(TypeError, match="get_params"):
        unfitted_copy(object())


def test_a_mimic_fits_such_a_teacher():
    mimic = Mimic(Trees([1]), hidden=(4,), rows=20, steps=20, curves=0, random_state=0).fit(FRAME, LABELS)
    assert mimic.teacher_.rows_ == 60 and mimic.teacher_.cat_features == [1]
    copy = fitted(Trees().fit(FRAME, LABELS, cat_features=[1]), FRAME[:40], LABELS[:40], None)
    assert copy.rows_ == 40 and copy.names_ == [1], "as the choice of what is learned makes one"
