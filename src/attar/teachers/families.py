"""The families of models that a library is made of, and the settings of each."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import BernoulliNB, GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

Parameters = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Family:
    """One kind of model.

    Attributes:
        make: Makes an estimator from its parameters and a seed.
        small: The settings of a small library.
        full: The settings that a full library has beside those.
        scaled: Whether numbers are brought to mean 0 and deviation 1 first.
        package: The package that it needs beside scikit-learn.
    """

    build: Callable[[Parameters, int], Any]
    small: tuple[Parameters, ...]
    full: tuple[Parameters, ...] = ()
    scaled: bool = False
    package: str | None = None

    @property
    def installed(self) -> bool:
        """Whether what it needs is there."""
        return self.package is None or importlib.util.find_spec(self.package) is not None

    def estimator(self, parameters: Parameters, seed: int, nominal: NDArray[np.bool_]) -> Pipeline:
        """An estimator, not fitted, for rows as codes and numbers, in which missing values are NaN.

        Numbers that are missing become the mean; categories become one column each, missing ones have their own.

        Args:
            parameters: One of its settings.
            seed: The seed of all that is random in it.
            nominal: ``[columns]``, which columns hold codes of categories.
        """
        numbers: list[tuple[str, Any]] = [("fill", SimpleImputer(keep_empty_features=True))]
        if self.scaled:
            numbers.append(("scale", StandardScaler()))
        transformers: list[tuple[str, Any, Any]] = []
        if not nominal.all():
            transformers.append(("numbers", Pipeline(numbers), np.flatnonzero(~nominal)))
        if nominal.any():
            one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
            transformers.append(("categories", one_hot, np.flatnonzero(nominal)))
        return Pipeline([("rows", ColumnTransformer(transformers)), ("model", self.build(parameters, seed))])


def _each(**settings: Sequence[Any]) -> tuple[Parameters, ...]:
    """Every combination of some values."""
    return tuple(dict(zip(settings, values, strict=True)) for values in itertools.product(*settings.values()))


def _calibrated(estimator: Any, seed: int) -> CalibratedClassifierCV:
    """Platt's scaling, fitted on held-out thirds; the model itself is then fitted on all rows.

    What `SVC(probability=True)` did until scikit-learn 1.9 deprecated it in favor of this.
    """
    folds = StratifiedKFold(3, shuffle=True, random_state=seed)
    return CalibratedClassifierCV(estimator, method="sigmoid", ensemble=False, cv=folds)


def _svm(given: Parameters, seed: int) -> Any:
    return _calibrated(SVC(cache_size=200, random_state=seed, **given), seed)


def _boosted(given: Parameters, seed: int) -> Any:
    tree = DecisionTreeClassifier(max_depth=given["max_depth"], random_state=seed)
    rest = {name: value for name, value in given.items() if name != "max_depth"}
    return _calibrated(AdaBoostClassifier(tree, random_state=seed, **rest), seed)


def _bagged(given: Parameters, seed: int) -> Any:
    inner = {name: value for name, value in given.items() if name != "n_estimators"}
    tree = DecisionTreeClassifier(random_state=seed, **inner)
    return BaggingClassifier(tree, given["n_estimators"], random_state=seed)


def _naive_bayes(given: Parameters, seed: int) -> Any:
    rest = {name: value for name, value in given.items() if name != "of"}
    return {"normal": GaussianNB, "binary": BernoulliNB}[given["of"]](**rest)


def _xgboost(given: Parameters, seed: int) -> Any:
    import xgboost

    return xgboost.XGBClassifier(tree_method="hist", n_jobs=1, verbosity=0, random_state=seed, **given)


def _lightgbm(given: Parameters, seed: int) -> Any:
    import lightgbm

    return lightgbm.LGBMClassifier(
        n_jobs=1, verbosity=-1, random_state=seed, deterministic=True, force_row_wise=True, **given
    )


def _seeded(kind: Callable[..., Any], **always: Any) -> Callable[[Parameters, int], Any]:
    return lambda given, seed: kind(random_state=seed, **always, **given)


FAMILIES: dict[str, Family] = {
    "svm": Family(
        build=_svm,
        scaled=True,
        small=(
            *_each(kernel=["rbf"], gamma=[0.03, 0.1, 0.3], C=[1.0, 10.0, 100.0]),
            *_each(kernel=["poly"], degree=[2, 3], coef0=[1.0], C=[0.1, 1.0, 10.0]),
            *_each(kernel=["linear"], C=[0.01, 0.1]),
        ),
        full=(
            *_each(kernel=["rbf"], gamma=[0.001, 0.003, 0.01, 1.0], C=[0.1, 1.0, 10.0, 100.0, 1000.0]),
            *_each(kernel=["rbf"], gamma=[0.03, 0.1, 0.3], C=[0.1, 1000.0]),
            *_each(kernel=["poly"], degree=[4, 5], coef0=[1.0], C=[0.01, 0.1, 1.0]),
            *_each(kernel=["linear"], C=[0.001, 1.0]),
        ),
    ),
    "bagged_trees": Family(
        build=_bagged,
        small=_each(n_estimators=[100], criterion=["gini", "entropy"], min_samples_leaf=[1, 5]),
        full=(
            *_each(n_estimators=[100], criterion=["gini", "entropy"], min_samples_leaf=[2, 10, 25]),
            *_each(n_estimators=[500], criterion=["gini", "entropy"], min_samples_leaf=[1, 2]),
        ),
    ),
    "boosted_trees": Family(
        build=_boosted,
        small=_each(max_depth=[4, 8, 12], n_estimators=[16, 64]),
        full=(
            *_each(max_depth=[4, 8, 12], n_estimators=[8, 32, 128, 256, 512]),
            *_each(max_depth=[3, 6, 10], n_estimators=[64, 256]),
            *_each(max_depth=[8], n_estimators=[64, 256], learning_rate=[0.1, 0.3]),
        ),
    ),
    "boosted_stumps": Family(
        build=_boosted,
        small=_each(max_depth=[1], n_estimators=[32, 128, 512]),
        full=_each(max_depth=[1], n_estimators=[8, 16, 64, 256, 1024, 2048]),
    ),
    "gradient_boosting": Family(
        build=_seeded(GradientBoostingClassifier),
        small=_each(n_estimators=[100], max_depth=[3, 6], learning_rate=[0.1, 0.3], subsample=[0.5]),
        full=(
            *_each(n_estimators=[300], max_depth=[3, 6, 9], learning_rate=[0.03, 0.1, 0.3], subsample=[0.5]),
            *_each(n_estimators=[1000], max_depth=[3, 6], learning_rate=[0.03, 0.1], subsample=[0.5]),
        ),
    ),
    "forest": Family(
        build=_seeded(RandomForestClassifier, n_jobs=1),
        small=_each(
            n_estimators=[128], max_features=["sqrt", 0.5], min_samples_leaf=[1, 3], criterion=["gini", "entropy"]
        ),
        full=(
            *_each(n_estimators=[1024], max_features=[1, "sqrt", 0.5], criterion=["gini", "entropy"]),
            *_each(n_estimators=[256], max_features=[1, 0.33, 0.75], min_samples_leaf=[1, 2, 5, 10]),
        ),
    ),
    "extra_trees": Family(
        build=_seeded(ExtraTreesClassifier, n_jobs=1),
        small=_each(
            n_estimators=[128], max_features=["sqrt", 0.5], min_samples_leaf=[1, 3], criterion=["gini", "entropy"]
        ),
        full=(
            *_each(n_estimators=[1024], max_features=[1, "sqrt", 0.5, 1.0], criterion=["gini", "entropy"]),
            *_each(n_estimators=[256], max_features=[1, 0.33, 0.75], min_samples_leaf=[1, 2, 5, 10]),
        ),
    ),
    "tree": Family(
        build=_seeded(DecisionTreeClassifier),
        small=_each(criterion=["gini", "entropy"], min_samples_leaf=[1, 5, 20]),
        full=(
            *_each(criterion=["gini", "entropy"], min_samples_leaf=[2, 10, 50]),
            *_each(criterion=["gini", "entropy"], max_depth=[2, 4, 6, 8, 12], min_samples_leaf=[2]),
            *_each(criterion=["gini", "entropy"], ccp_alpha=[0.0003, 0.001, 0.003]),
        ),
    ),
    "mlp": Family(
        build=_seeded(MLPClassifier, max_iter=60, batch_size=64),
        scaled=True,
        small=_each(hidden_layer_sizes=[[16], [64], [128]], alpha=[1e-4, 1e-2], learning_rate_init=[3e-3]),
        full=(
            *_each(
                hidden_layer_sizes=[[8], [32], [256], [64, 64]], alpha=[1e-4, 1e-2, 1e-1], learning_rate_init=[3e-3]
            ),
            *_each(hidden_layer_sizes=[[64], [128]], alpha=[1e-4, 1e-2], learning_rate_init=[1e-3, 1e-2]),
        ),
    ),
    "logistic": Family(
        build=_seeded(LogisticRegression, max_iter=1000),
        scaled=True,
        small=_each(C=[0.01, 0.1, 1.0, 10.0]),
        full=_each(C=[0.0001, 0.001, 100.0, 1000.0]),
    ),
    "neighbors": Family(
        # By brute force: the files of search trees cannot be checked, and up to some ten thousand rows it is as fast.
        build=lambda given, seed: KNeighborsClassifier(algorithm="brute", **given),
        scaled=True,
        small=_each(n_neighbors=[1, 3, 5, 9, 17, 33, 65], weights=["uniform", "distance"]),
        full=(
            *_each(n_neighbors=[2, 7, 13, 25, 49, 97, 129, 257], weights=["uniform", "distance"]),
            *_each(n_neighbors=[1, 3, 5, 9, 17, 33], weights=["distance"], p=[1]),
        ),
    ),
    "naive_bayes": Family(
        build=_naive_bayes,
        scaled=True,
        small=(
            *_each(of=["normal"], var_smoothing=[1e-9, 1e-3, 1e-1]),
            *_each(of=["binary"], alpha=[1.0]),
        ),
    ),
    "xgboost": Family(
        build=_xgboost,
        package="xgboost",
        small=_each(n_estimators=[50, 200], max_depth=[3, 6, 10], learning_rate=[0.1, 0.3]),
        full=(
            *_each(n_estimators=[500], max_depth=[3, 6, 10], learning_rate=[0.03, 0.1], subsample=[0.5]),
            *_each(n_estimators=[200], max_depth=[6, 10], learning_rate=[0.1], colsample_bytree=[0.3, 0.6]),
        ),
    ),
    "lightgbm": Family(
        build=_lightgbm,
        package="lightgbm",
        small=_each(n_estimators=[50, 200], num_leaves=[7, 31, 127], learning_rate=[0.1]),
        full=(
            *_each(n_estimators=[500], num_leaves=[7, 31, 127], learning_rate=[0.03, 0.1], min_child_samples=[5, 20]),
            *_each(n_estimators=[200], num_leaves=[31, 127], learning_rate=[0.1], feature_fraction=[0.3, 0.6]),
        ),
    ),
}
"""The families, by name; those of Bucila, Caruana, Niculescu-Mizil, *Model Compression*, 2006, section 3, and newer
kinds of boosted trees. Boosted trees and support vector machines, whose own probabilities are poor, are calibrated."""
