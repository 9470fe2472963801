"""Parameters are judged in `fit`, each with an error that names it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from attar.errors import BadInput
from attar.estimators.mimic import Mimic
from attar.estimators.plan import checked

DEFAULTS = Mimic(LogisticRegression()).get_params(deep=False)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("loss", "squared", "Did you mean 'squared_error'"),
        ("loss", 3, "one of kl_divergence, squared_error, logits"),
        ("method", "mung", "Did you mean 'munge'"),
        ("unseen", "ignore", "one of error, missing"),
        ("hidden", 256, "a list of widths"),
        ("hidden", "256", "a list of widths"),
        ("hidden", (0,), "a width in hidden of Mimic must be a whole number, at least 1; got 0"),
        ("hidden", (8, True), "a width in hidden"),
        ("rows", -1, "at least 0"),
        ("rows", 2.5, "a whole number"),
        ("rows", np.nan, "a whole number"),
        ("steps", 0, "at least 1"),
        ("steps", "many", "a whole number"),
        ("batch_size", 0, "at least 1"),
        ("learning_rate", 0.0, "greater than 0"),
        ("learning_rate", np.inf, "greater than 0"),
        ("validation", 0, "a share below 1, or a number of rows"),
        ("validation", 1.5, "a whole number"),
        ("validation", None, "a share below 1, or a number of rows"),
        ("p", 0.0, "above 0 and up to 1"),
        ("p", 1.1, "above 0 and up to 1"),
        ("s", 0, "greater than 0"),
        ("s", "1", "greater than 0"),
        ("nominal", "color", "a list of names or positions of columns"),
        ("nominal", [1.5], "a position in nominal"),
        ("embed", 0, "at least 1"),
        ("curves", -1, "at least 0"),
        ("labels", 1.5, "from 0 to 1, or None"),
        ("labels", "half", "from 0 to 1, or None"),
        ("time", -1, "seconds, or a text such as '2m'"),
        ("time", "soon", "must be a time above nothing with its unit"),
    ],
)
def test_parameter_that_breaks_its_rule(name: str, value: Any, says: str) -> None:
    mimic = Mimic(LogisticRegression(), **{name: value})
    with pytest.raises(BadInput, match=name) as caught:
        mimic.fit([[0.0], [1.0], [2.0]], [0, 1, 0])
    assert says in str(caught.value)


def test_nothing_to_learn_from() -> None:
    with pytest.raises(BadInput, match="nothing to learn from with rows=0 and include_original=False"):
        checked(seed=0, **DEFAULTS | {"rows": 0, "include_original": False})


def test_logits_have_no_labels() -> None:
    with pytest.raises(BadInput, match="labels of Mimic must be 0 with the loss of logits"):
        checked(seed=0, **DEFAULTS | {"labels": 0.5, "loss": "logits"})


def test_synthetic_rows_have_no_labels() -> None:
    with pytest.raises(BadInput, match="labels of Mimic must be 0 with include_original=False, as synthetic rows have"):
        checked(seed=0, **DEFAULTS | {"labels": 0.5, "include_original": False})
    assert checked(seed=0, **DEFAULTS | {"labels": 0, "include_original": False}).labels == 0


def test_time_is_seconds_or_a_text() -> None:
    assert [checked(seed=0, **DEFAULTS | {"time": one}).time for one in (None, 0, 90, "1m 30s")] == [None, 0, 90, 90]


def test_numbers_of_numpy_and_lists_are_welcome() -> None:
    given = {"hidden": np.array([8, 4]), "rows": np.int64(5), "steps": 3.0, "nominal": ["a", np.int32(1)], "p": 1}
    plan = checked(seed=1, **DEFAULTS | given)
    assert plan.hidden == (8, 4)
    assert (plan.rows, plan.steps, plan.nominal, plan.p, plan.seed) == (5, 3, ("a", 1), 1.0, 1)
    assert all(type(width) is int for width in plan.hidden)


def test_defaults_are_a_plan() -> None:
    plan = checked(seed=0, **DEFAULTS)
    assert plan.rows is None
    assert (plan.p, plan.s) == (0.5, 1.0)
    assert plan.curves is None
    assert (plan.labels, plan.steps, plan.time) == (None, None, None)
    assert plan.validation == 0.1
