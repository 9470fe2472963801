"""Bare boosters of LightGBM and XGBoost, and estimators that are neither classifiers nor regressors."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
import pytest
import torch
import xgboost
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from attar.data.split import Split
from attar.data.store import label
from attar.errors import BadInput
from attar.tasks.regression import Regression
from attar.teachers import EstimatorTeacher, RegressorTeacher, as_teacher

DRAWS = np.random.default_rng(0)
X = DRAWS.normal(size=(120, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
ROWS = torch.from_numpy(X[:20])


def lgb(objective: Any, classes: int = 1, target: Any = None) -> Any:
    settings = {"objective": objective, "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 5}
    settings |= {"num_class": classes} if classes > 1 else {}
    return lightgbm.train(settings, lightgbm.Dataset(X, Y if target is None else target), 4)


def xgb(objective: str, classes: int = 0, target: Any = None, **more: Any) -> Any:
    settings = {"objective": objective, "verbosity": 0, "nthread": 1, "max_depth": 3, **more}
    settings |= {"num_class": classes} if classes else {}
    return xgboost.train(settings, xgboost.DMatrix(X, Y if target is None else target), 4)


BINARY = (Y > 0).astype(int)
CLASSIFIERS = {
    "lightgbm binary": (lambda: lgb("binary", target=BINARY), lambda one: one.predict(X[:20])),
    "lightgbm multiclass": (lambda: lgb("multiclass", 3), lambda one: one.predict(X[:20])),
    "lightgbm one against the rest": (lambda: lgb("multiclassova", 3), lambda one: one.predict(X[:20])),
    "xgboost binary": (lambda: xgb("binary:logistic", target=BINARY), lambda one: one.predict(xgboost.DMatrix(X[:20]))),
    "xgboost margins": (
        lambda: xgb("binary:logitraw", target=BINARY),
        lambda one: 1 / (1 + np.exp(-one.predict(xgboost.DMatrix(X[:20])))),
    ),
    "xgboost softprob": (lambda: xgb("multi:softprob", 3), lambda one: one.predict(xgboost.DMatrix(X[:20]))),
    "xgboost softmax": (lambda: xgb("multi:softmax", 3), None),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_boosters_for_classes_give_probabilities(name):
    make, own = CLASSIFIERS[name]
    booster = make()
    teacher = as_teacher(booster)
    assert isinstance(teacher, EstimatorTeacher)
    said = teacher.predict(ROWS).softmax(1).numpy()
    if own is None:
        assert (said.argmax(1) == booster.predict(xgboost.DMatrix(X[:20]))).all()
    else:
        right = own(booster)
        right = np.stack([1 - right, right], 1) if right.ndim == 1 else right
        np.testing.assert_allclose(said, right / right.sum(1, keepdims=True), rtol=1e-4, atol=1e-6)
    assert teacher.fingerprint() == as_teacher(make()).fingerprint()
    assert as_teacher(booster, classes=["no", "yes", "both"][: teacher.classes]).classes == teacher.classes


@pytest.mark.parametrize(
    "make", [lambda: lgb("regression", target=X[:, 2].copy()), lambda: xgb("reg:squarederror", target=X[:, 2].copy())]
)
def test_boosters_for_values_are_regressors(make):
    teacher = as_teacher(make())
    assert isinstance(teacher, RegressorTeacher) and teacher.target == "values"
    assert float((teacher.predict(ROWS)[:, 0] - ROWS[:, 2]).abs().mean()) < 0.8


def _own_loss(predictions: np.ndarray, data: Any) -> tuple[np.ndarray, np.ndarray]:
    return predictions - data.get_label(), np.ones_like(predictions)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: lgb(_own_loss), "The LightGBM Booster was trained for an objective of its own"),
        (
            lambda: xgb("binary:hinge", target=BINARY),
            "The XGBoost Booster was trained for the objective 'binary:hinge'",
        ),
    ],
)
def test_boosters_that_are_neither(make, said):
    with pytest.raises(BadInput, match=said):
        as_teacher(make())


def test_a_booster_that_stopped_early_uses_its_best_trees():
    data = xgboost.DMatrix(X, BINARY)
    noise = xgboost.DMatrix(X, 1 - BINARY)
    settings = {"objective": "binary:logistic", "verbosity": 0, "nthread": 1}
    booster = xgboost.train(settings, data, 6, evals=[(noise, "v")], early_stopping_rounds=3, verbose_eval=False)
    best = booster.predict(xgboost.DMatrix(X[:20]), iteration_range=(0, booster.best_iteration + 1))
    np.testing.assert_allclose(as_teacher(booster).predict(ROWS).softmax(1)[:, 1].numpy(), best, rtol=1e-5)


@pytest.mark.parametrize(
    ("estimator", "does"),
    [
        (IsolationForest(n_estimators=5, random_state=0), "finds outliers"),
        (OneClassSVM(), "finds outliers"),
        (KMeans(3, n_init=1, random_state=0), "finds clusters"),
        (make_pipeline(StandardScaler(), KMeans(3, n_init=1, random_state=0)), "finds clusters"),
    ],
    ids=str,
)
def test_estimators_that_say_nothing_to_learn(estimator, does):
    with pytest.raises(BadInput, match=f"{does}, and says nothing that a student could learn"):
        as_teacher(estimator.fit(X))


def test_an_estimator_that_changes_rows_is_no_teacher():
    with pytest.raises(BadInput, match="teacher of as_teacher must be a module"):
        as_teacher(PCA(2).fit(X))


def test_estimators_around_others_are_taken():
    for estimator in (
        make_pipeline(StandardScaler(), LogisticRegression()),
        GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2),
    ):
        with pytest.raises(BadInput, match="must be fitted"):
            as_teacher(estimator)
        teacher = as_teacher(estimator.fit(X, Y))
        np.testing.assert_allclose(teacher.predict(ROWS).softmax(1).numpy(), estimator.predict_proba(X[:20]), rtol=1e-4)


def test_a_regressors_values_keep_their_mean(tmp_path):
    regressor = LinearRegression().fit(X, 1e5 * X[:, 2] + 7.0)
    split = Split(ROWS, None, torch.arange(20), Regression(("y",)))
    stored = label(as_teacher(regressor), split, tmp_path)
    np.testing.assert_allclose(stored(None, torch.arange(20), 0)[:, 0].numpy(), regressor.predict(X[:20]), rtol=1e-5)
