"""What a mimic is given that it cannot take, or not as it is: told, and where it is."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from attar.errors import BadInput
from attar.estimators.mimic import Mimic

QUICK: dict[str, Any] = {"hidden": (4,), "rows": 100, "p": 0.5, "s": 1.0, "steps": 20, "random_state": 0}

X = np.random.default_rng(0).normal(size=(60, 2))
NAMES = np.where(X[:, 0] > 0, "yes", "no").astype(object)
GAPS = NAMES.copy()
GAPS[[3, 7]] = None


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (GAPS, "must name the class of every row; got None in row 3 and 1 more such rows. Leave them out"),
        (pd.Series(GAPS), "got (None|nan) in row 3"),
        (pd.Series(GAPS, dtype="string"), "got <NA> in row 3"),
        (pd.Series(GAPS, dtype="category"), "got nan in row 3"),
        (np.array(["a", 1] * 30, object), r"classes of one type; got 1 \(a number\) and 'a' \(str\)"),
        (np.array([[1, None], [0, 1]] * 30, object), "must be 1 or 0; got None in row 0, column 1"),
    ],
)
@pytest.mark.parametrize("fitted", [False, True])
def test_labels_that_cannot_be_sorted(labels: Any, told: str, fitted: bool):
    teacher = DecisionTreeClassifier()
    with pytest.raises(BadInput, match=told):
        Mimic(teacher.fit(X, NAMES) if fitted else teacher, **QUICK).fit(X, labels)


def test_texts_are_no_values():
    with pytest.raises(BadInput, match="must hold numbers, as the teacher predicts values; got 'yes'"):
        Mimic(DecisionTreeRegressor(), **QUICK).fit(X, NAMES)


def test_numbers_that_float32_takes_for_one_are_told(caplog: pytest.LogCaptureFixture):
    rows = np.column_stack([X, 1_000_000_000 + np.arange(60)])
    teacher = DecisionTreeClassifier(max_depth=1).fit(rows, NAMES)
    with caplog.at_level(logging.WARNING, "attar"):
        Mimic(teacher, **QUICK).fit(rows)
    (told,) = [one for one in caplog.messages if "float32" in one]
    assert told.startswith("column 'column 2' has numbers up to 1,000,000,059, which float32")
    assert "in steps of 64: of 60 different ones 2 are left. Subtract the smallest of them" in told
    caplog.clear()
    with caplog.at_level(logging.WARNING, "attar"):
        Mimic(teacher, **QUICK).fit(np.column_stack([X, 20_000_000 + 1000 * np.arange(60)]))
        Mimic(teacher, **QUICK, nominal=[2]).fit(rows)
    assert not [one for one in caplog.messages if "float32" in one]


def test_weights_reach_the_teacher_and_the_mimic():
    labels = (X[:, 0] > 0).astype(int)
    counts = np.where(X[:, 1] > 0, 5.0, 0.1)
    fitted = Mimic(LogisticRegression(), **QUICK).fit(X, labels, counts)
    expected = LogisticRegression().fit(X, labels, sample_weight=counts)
    np.testing.assert_array_equal(fitted.teacher_.coef_, expected.coef_)

    # A line cannot follow the kink: it follows the side that counts.
    kink = LinearRegression().fit(np.abs(X[:, :1]), np.abs(X[:, 0]))
    kink.predict = lambda rows: np.abs(np.asarray(rows)[:, 0]) * 3
    settings = QUICK | {"hidden": (), "rows": 0, "steps": 300, "curves": 0, "learning_rate": 0.05}
    right = X[:, 0] > 0
    errors = {}
    for side, where in (("right", right), ("left", ~right)):
        line = Mimic(kink, **settings).fit(X[:, :1], sample_weight=np.where(where, 1.0, 0.01))
        errors[side] = np.abs(line.predict(X[right][:, :1]) - 3 * X[right, 0]).mean()
    assert errors["right"] < errors["left"] / 3, errors


def test_a_teacher_that_takes_no_weights_is_told():
    with pytest.raises(BadInput, match="a KNeighborsClassifier, takes no sample_weight when it is fitted"):
        Mimic(KNeighborsClassifier(), **QUICK).fit(X, NAMES, np.ones(60))
    with pytest.raises(BadInput, match=r"sample_weight of Mimic.fit must be \[60\], one for each row; got \(59,\)"):
        Mimic(KNeighborsClassifier(), **QUICK).fit(X, NAMES, np.ones(59))
