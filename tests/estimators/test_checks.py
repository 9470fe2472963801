"""A mimic is an estimator as scikit-learn has them: its own checks say so, for a classifier and for a regressor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils.estimator_checks import parametrize_with_checks

from attar.estimators.mimic import Mimic

SMALL: dict[str, Any] = {
    "hidden": (8,),
    "rows": 200,
    "p": 0.5,
    "s": 1.0,
    "steps": 40,
    "batch_size": 64,
    "learning_rate": 0.05,
    "random_state": 0,
}


EXPECTED = {
    "check_dtype_object": "it wants NumPy's TypeError for a dict among the values; a column of anything but bools, "
    "numbers and strings is refused with BadInput, a ValueError that names the column and the row",
    "check_sample_weight_equivalence_on_dense_data": "a row of weight 2 is not the row twice to what is drawn by its "
    "place: batches, rows set aside to judge by, synthetic rows",
    "check_sample_weight_equivalence_on_sparse_data": "likewise",
    "check_estimators_nan_inf": "it wants an error for a missing value in a row that is to be predicted; one counts as "
    "the column's middle, as it does in artifacts, and how many did is logged",
}
"""The checks that do not apply, each with its reason."""


def _expected(estimator: BaseEstimator) -> dict[str, str]:
    return EXPECTED


@pytest.mark.slow
@pytest.mark.usefixtures("briefly_chosen")
@parametrize_with_checks(
    [Mimic(LogisticRegression(), **SMALL), Mimic(Ridge(), **SMALL)], expected_failed_checks=_expected
)
def test_check_of_scikit_learn(estimator: BaseEstimator, check: Callable[[BaseEstimator], None]) -> None:
    check(estimator)
