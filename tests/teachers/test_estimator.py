"""Estimators as teachers."""

from __future__ import annotations

import copy
import importlib
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from attar.errors import BadInput
from attar.tables.columns import Columns
from attar.teachers import Ensemble, EstimatorTeacher, RegressorTeacher, Teacher, as_teacher

DRAWS = np.random.default_rng(0)
MATRIX = DRAWS.normal(size=(60, 4)).astype(np.float32)
INPUTS = torch.from_numpy(MATRIX)
LABELS = DRAWS.permutation(np.arange(60) % 3)
ANIMALS = np.array(["cat", "ant", "bee"])[LABELS]


class Says(ClassifierMixin, BaseEstimator):
    """A classifier that says the same in every row."""

    def __init__(self, said=(0.5, 0.5), classes=(0, 1)):
        self.said = said
        self.classes = classes

    def fit(self, X=None, y=None):
        self.classes_ = np.array(self.classes)
        return self

    def predict_proba(self, X):
        return np.tile(np.array(self.said), (len(X), 1))


def test_is_a_teacher():
    teacher = EstimatorTeacher(GaussianNB().fit(MATRIX, LABELS))
    assert isinstance(teacher, Teacher)
    assert teacher.classes == 3 and teacher.names == (0, 1, 2)
    said = teacher.predict(INPUTS)
    assert said.dtype == torch.float32 and said.shape == (60, 3)
    torch.testing.assert_close(said.exp().sum(1), torch.ones(60))


def test_logits_are_logs_of_what_the_estimator_says():
    estimator = LogisticRegression().fit(MATRIX, LABELS)
    said = EstimatorTeacher(estimator).predict(INPUTS).double().softmax(1).numpy()
    np.testing.assert_allclose(said, estimator.predict_proba(MATRIX.astype(np.float64)), rtol=1e-5)


def test_zero_becomes_a_ten_millionth_and_the_rest_is_scaled():
    # 1e-7 beside 1: the sum is 1 + 1e-7, by which both are divided.
    said = EstimatorTeacher(Says((1.0, 0.0)).fit()).predict(INPUTS[:2]).double().exp()
    torch.testing.assert_close(said[0], torch.tensor([1 / (1 + 1e-7), 1e-7 / (1 + 1e-7)]).double(), rtol=1e-5, atol=0)


@given(st.permutations(["ant", "bee", "cat"]))
def test_columns_are_brought_into_the_order_of_the_data(order):
    estimator = GaussianNB().fit(MATRIX, ANIMALS)  # sorted: ant, bee, cat
    plain, ordered = EstimatorTeacher(estimator), EstimatorTeacher(estimator, classes=order)
    assert ordered.names == tuple(order)
    for place, animal in enumerate(order):
        torch.testing.assert_close(
            ordered.predict(INPUTS)[:, place], plain.predict(INPUTS)[:, sorted(order).index(animal)]
        )


def test_numbers_may_be_called_by_words():
    teacher = EstimatorTeacher(Says((0.1, 0.2, 0.7), (0, 1, 2)).fit(), classes=["2", "0", "1"])
    torch.testing.assert_close(teacher.predict(INPUTS[:1]).exp(), torch.tensor([[0.7, 0.1, 0.2]]))


@pytest.mark.parametrize(
    ("own", "classes"),
    [(("a", "b"), ["a", "c"]), (("a", "b"), ["a", "b", "c"]), (("a", "b"), 2), ((0, 2), 2), ((0, 1), 3)],
    ids=str,
)
def test_other_classes_are_an_error_that_names_them(own, classes):
    with pytest.raises(BadInput, match=r"classes of EstimatorTeacher.*the estimator has .* besides, and lacks"):
        EstimatorTeacher(Says((0.5, 0.5), own).fit(), classes=classes)


def test_numbers_of_classes():
    assert EstimatorTeacher(Says().fit(), classes=2).names == (0, 1)


def test_margin_counts_as_log_odds():
    estimator = LinearSVC().fit(MATRIX, LABELS == 1)
    said = EstimatorTeacher(estimator).predict(INPUTS)
    torch.testing.assert_close(
        (said[:, 1] - said[:, 0]).numpy(), estimator.decision_function(MATRIX).astype("float32"), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (GaussianNB(), "must be fitted; got 'GaussianNB'"),
        (GaussianNB, "must be a fitted estimator; got the class GaussianNB"),
        (LinearSVC().fit(MATRIX, LABELS), "must be one with predict_proba, or of two classes.*CalibratedClassifierCV"),
        (SVC().fit(MATRIX, LABELS), "must be one with predict_proba"),
        (LinearRegression().fit(MATRIX, LABELS), "must be a classifier with classes_; got no classes_"),
        (
            RandomForestClassifier(2).fit(MATRIX, np.stack([LABELS, LABELS], 1)),
            "classes_ of several.*LabelsTeacher takes",
        ),
        (Says((1.0,), (0,)).fit(), "at least two"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_no_classifier(estimator, message):
    with pytest.raises(BadInput, match=message):
        EstimatorTeacher(estimator)


@pytest.mark.parametrize("said", [(np.nan, 1.0), (-0.5, 1.5), (0.0, 0.0), (np.inf, 0.0)], ids=str)
def test_no_probabilities(said):
    with pytest.raises(BadInput, match=r"output of EstimatorTeacher.* must be probabilities, also for row 0"):
        EstimatorTeacher(Says(said).fit()).predict(INPUTS)


def test_wrong_size_of_output():
    with pytest.raises(BadInput, match=r"output of EstimatorTeacher.* must be \[60, 2\]; got \[60, 3\]"):
        EstimatorTeacher(Says((0.2, 0.2, 0.6)).fit()).predict(INPUTS)


@pytest.mark.parametrize("columns", [None, Columns.infer(MATRIX)], ids=["plain", "columns"])
def test_wrong_number_of_columns(columns):
    teacher = EstimatorTeacher(GaussianNB().fit(MATRIX, LABELS), columns=columns)
    with pytest.raises(BadInput, match=r"inputs of EstimatorTeacher.* must be \[batch, 4\]; got \[60, 3\]"):
        teacher.predict(INPUTS[:, :3])


def test_columns_that_the_estimator_does_not_have():
    with pytest.raises(BadInput, match=r"columns of EstimatorTeacher.* must be 4 of them; got 3"):
        EstimatorTeacher(GaussianNB().fit(MATRIX, LABELS), columns=Columns.infer(MATRIX[:, :3]))
    frame = pd.DataFrame(MATRIX, columns=list("abcd"))
    with pytest.raises(BadInput, match=r"must be those that the estimator was fitted on; got .*'e'.*'d'"):
        EstimatorTeacher(GaussianNB().fit(frame, LABELS), columns=Columns.infer(frame.rename(columns={"d": "e"})))
    with pytest.raises(
        BadInput, match=r"got \['id'\] beside them\. Leave out the others; .* data\.ignore = \[\"id\"\]"
    ):
        EstimatorTeacher(GaussianNB().fit(frame, LABELS), columns=Columns.infer(frame.assign(id=np.arange(60.0))))


def test_pictures_are_laid_flat():
    estimator = GaussianNB().fit(MATRIX, LABELS)
    torch.testing.assert_close(
        EstimatorTeacher(estimator).predict(INPUTS.reshape(60, 1, 2, 2)), EstimatorTeacher(estimator).predict(INPUTS)
    )


FRAME = pd.DataFrame(
    {
        "size": DRAWS.normal(size=60).astype(np.float32),
        "color": DRAWS.choice(["red", "green", "blue"], size=60),
        "legs": DRAWS.integers(0, 9, size=60),
    }
)
COLUMNS = Columns.infer(FRAME)
CODES = torch.from_numpy(COLUMNS.encode(FRAME)).float()


def on_table():
    first = make_column_transformer((OneHotEncoder(), ["color"]), (StandardScaler(), ["size", "legs"]))
    return make_pipeline(first, LogisticRegression()).fit(FRAME, ANIMALS)


def test_categories_come_back_as_the_estimator_saw_them():
    estimator = on_table()
    said = EstimatorTeacher(estimator, columns=COLUMNS).predict(CODES).exp()
    np.testing.assert_allclose(said, estimator.predict_proba(FRAME), rtol=1e-4)


def test_columns_in_another_order():
    estimator = on_table()
    turned = FRAME[["legs", "size", "color"]]
    columns = Columns.infer(turned)
    said = EstimatorTeacher(estimator, columns=columns).predict(torch.from_numpy(columns.encode(turned)).float())
    np.testing.assert_allclose(said.exp(), estimator.predict_proba(FRAME), rtol=1e-4)


def test_fitted_on_a_matrix_of_objects():
    rows = FRAME.to_numpy(object)
    estimator = make_pipeline(OneHotEncoder(handle_unknown="error"), LogisticRegression()).fit(rows, ANIMALS)
    columns = Columns.infer(rows)
    said = EstimatorTeacher(estimator, columns=columns).predict(torch.from_numpy(columns.encode(rows)).float())
    assert said.shape == (60, 3) and bool(said.isfinite().all())


def test_fitted_on_codes():
    estimator = DecisionTreeClassifier(max_depth=3, random_state=0).fit(COLUMNS.encode(FRAME), ANIMALS)
    said = EstimatorTeacher(estimator, columns=COLUMNS, decode=False).predict(CODES).exp()
    np.testing.assert_allclose(said, estimator.predict_proba(CODES.numpy()), atol=1e-6)


def test_fitted_on_a_table_of_codes():
    codes = pd.DataFrame(COLUMNS.encode(FRAME), columns=list(COLUMNS.names))[["legs", "size", "color"]]
    estimator = DecisionTreeClassifier(max_depth=3, random_state=0).fit(codes, ANIMALS)
    said = EstimatorTeacher(estimator, columns=COLUMNS, decode=False).predict(CODES).exp()
    np.testing.assert_allclose(said, estimator.predict_proba(codes), atol=1e-6)


def test_names_that_only_the_estimator_knows():
    """Warnings are errors here: scikit-learn warns about a matrix where it was fitted on a table."""
    named = GaussianNB().fit(pd.DataFrame(MATRIX, columns=list("abcd")), LABELS)
    plain = GaussianNB().fit(MATRIX, LABELS)
    expected = EstimatorTeacher(plain).predict(INPUTS)
    for columns in (None, Columns.infer(MATRIX)):
        torch.testing.assert_close(
            EstimatorTeacher(named, columns=columns).predict(INPUTS), expected, rtol=1e-3, atol=1e-3
        )


def test_missing_values_reach_the_estimator():
    rows = MATRIX.copy()
    rows[0, 0] = np.nan
    estimator = DecisionTreeClassifier(max_depth=3, random_state=0).fit(rows, LABELS)
    said = EstimatorTeacher(estimator).predict(torch.from_numpy(rows)).exp()
    np.testing.assert_allclose(said, estimator.predict_proba(rows), atol=1e-6)


def test_inputs_stay_as_they_are():
    before = INPUTS.clone()
    EstimatorTeacher(GaussianNB().fit(MATRIX, LABELS)).predict(INPUTS)
    assert torch.equal(INPUTS, before)


def forest(seed=0):
    return RandomForestClassifier(5, random_state=seed).fit(MATRIX, LABELS)


def test_fingerprint_follows_the_estimator():
    teacher = EstimatorTeacher(forest())
    before = teacher.fingerprint()
    teacher.predict(INPUTS)
    assert teacher.fingerprint() == before, "predicting changes nothing"
    assert EstimatorTeacher(forest()).fingerprint() == before
    assert EstimatorTeacher(forest(1)).fingerprint() != before
    assert EstimatorTeacher(forest(), classes=[2, 1, 0]).fingerprint() != before
    assert EstimatorTeacher(forest(), columns=Columns.infer(MATRIX)).fingerprint() != before
    teacher.estimator.fit(MATRIX, LABELS[::-1])
    assert teacher.fingerprint() != before, "fitted again, it is another teacher"


def test_fingerprint_is_the_same_in_another_process():
    code = (
        "import numpy as np\n"
        "from sklearn.ensemble import RandomForestClassifier\n"
        "from attar.teachers import EstimatorTeacher\n"
        "x = np.arange(40.0).reshape(10, 4); y = np.arange(10) % 3\n"
        "print(EstimatorTeacher(RandomForestClassifier(3, random_state=0).fit(x, y)).fingerprint())"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    x, y = np.arange(40.0).reshape(10, 4), np.arange(10) % 3
    here = EstimatorTeacher(RandomForestClassifier(3, random_state=0).fit(x, y)).fingerprint()
    assert seen == here + "\n"


def test_copy_has_the_same_fingerprint():
    estimator = forest()
    assert EstimatorTeacher(copy.deepcopy(estimator)).fingerprint() == EstimatorTeacher(estimator).fingerprint()


class TestRegressor:
    VALUES = MATRIX @ np.array([[1.0, 2.0], [0.5, -1.0], [0.0, 3.0], [2.0, 0.0]], np.float32)

    def test_values(self):
        one = RegressorTeacher(LinearRegression().fit(MATRIX, self.VALUES[:, 0]))
        both = RegressorTeacher(LinearRegression().fit(MATRIX, self.VALUES), outputs=2)
        assert isinstance(one, Teacher) and one.classes == 1 and both.classes == 2
        np.testing.assert_allclose(one.predict(INPUTS), self.VALUES[:, :1], atol=1e-4)
        np.testing.assert_allclose(both.predict(INPUTS), self.VALUES, atol=1e-4)

    def test_fingerprint(self):
        fit = LinearRegression().fit
        first, second = (RegressorTeacher(fit(MATRIX, self.VALUES[:, place])).fingerprint() for place in (0, 1))
        first_again = RegressorTeacher(LinearRegression().fit(MATRIX, self.VALUES[:, 0])).fingerprint()
        assert first_again != second and len(first) == 64

    def test_wrong_outputs(self):
        with pytest.raises(BadInput, match=r"must be numbers \[60, 1\]; got float64 \[60, 2\]"):
            RegressorTeacher(LinearRegression().fit(MATRIX, self.VALUES)).predict(INPUTS)
        with pytest.raises(BadInput, match="outputs of RegressorTeacher must be at least 1"):
            RegressorTeacher(LinearRegression().fit(MATRIX, self.VALUES), outputs=0)

    def test_no_numbers(self):
        with pytest.raises(BadInput, match=r"must be numbers \[60, 1\]; got <U3"):
            RegressorTeacher(GaussianNB().fit(MATRIX, ANIMALS)).predict(INPUTS)

    def test_not_finite(self):
        estimator = LinearRegression().fit(MATRIX, self.VALUES[:, 0])
        estimator.coef_ = estimator.coef_ * np.nan
        with pytest.raises(BadInput, match="must be finite, also for row 0"):
            RegressorTeacher(estimator).predict(INPUTS)

    def test_no_predict(self):
        with pytest.raises(
            BadInput, match="estimator of RegressorTeacher must be one with predict; got 'StandardScaler'"
        ):
            RegressorTeacher(StandardScaler().fit(MATRIX))


class TestAsTeacher:
    def test_classifier(self):
        teacher = as_teacher(GaussianNB().fit(MATRIX, ANIMALS), classes=["cat", "bee", "ant"])
        assert isinstance(teacher, EstimatorTeacher) and teacher.names == ("cat", "bee", "ant")

    def test_regressor(self):
        teacher = as_teacher(RandomForestRegressor(2).fit(MATRIX, TestRegressor.VALUES), classes=2)
        assert isinstance(teacher, RegressorTeacher) and teacher.predict(INPUTS).shape == (60, 2)

    def test_columns(self):
        teacher = as_teacher(on_table(), columns=COLUMNS, classes=["ant", "bee", "cat"])
        assert isinstance(teacher, EstimatorTeacher) and teacher.columns is COLUMNS

    def test_list(self):
        both = as_teacher([GaussianNB().fit(MATRIX, LABELS), KNeighborsClassifier().fit(MATRIX, LABELS)])
        assert isinstance(both, Ensemble) and both.classes == 3

    def test_without_probabilities(self):
        with pytest.raises(BadInput, match="CalibratedClassifierCV"):
            as_teacher(LinearSVC().fit(MATRIX, LABELS))

    def test_not_fitted(self):
        with pytest.raises(BadInput, match="must be fitted"):
            as_teacher(RandomForestClassifier())


@pytest.mark.parametrize("package", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("form", ["matrix", "table"])
def test_boosters(package, form):
    module = importlib.import_module(package)
    kind = {"xgboost": "XGBClassifier", "lightgbm": "LGBMClassifier"}[package]
    quiet = {"verbosity": 0} if package == "xgboost" else {"verbosity": -1, "min_child_samples": 2}
    rows = MATRIX if form == "matrix" else pd.DataFrame(MATRIX, columns=list("abcd"))
    estimator = getattr(module, kind)(n_estimators=3, n_jobs=1, **quiet).fit(rows, LABELS)
    columns = Columns.infer(rows)
    teacher = EstimatorTeacher(estimator, columns=columns, classes=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it says about names where it is asked in another way
        expected = estimator.predict_proba(rows)
    np.testing.assert_allclose(teacher.predict(INPUTS).exp(), expected, rtol=1e-4)
    assert teacher.fingerprint() == teacher.fingerprint()


class Answers:
    """An estimator that gives what it was made with."""

    def __init__(self, classes: list[object], given: object) -> None:
        self.classes_, self.given = np.array(classes, object), given

    def predict_proba(self, rows: Any) -> Any:
        return self.given


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.array([[0.7, 0.9]]), r"probabilities that sum to 1, also for row 0; got \[0\.7, 0\.9\], which sum to 1\.6"),
        (np.array([[np.nan, 0.5]]), r"must be probabilities, also for row 0; got \[nan, 0\.5\]"),
        (np.array([[0.2, 0.3, 0.5]]), r"must be \[1, 2\]; got \[1, 3\]"),
        (np.array(["no"]), r"must be numbers; got \['no'\]. Let predict_proba return probabilities"),
    ],
)
def test_what_cannot_be_probabilities(answer: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        EstimatorTeacher(Answers(["no", "yes"], answer)).predict(torch.zeros(1, 2))


def test_classes_that_are_numbers_in_another_form_and_frames_in_another_order() -> None:
    frame = pd.DataFrame({"1.0": [0.9], "0.0": [0.1]})
    teacher = EstimatorTeacher(Answers([0.0, 1.0], frame), classes=["1", "0"])
    torch.testing.assert_close(teacher.predict(torch.zeros(1, 2)).exp(), torch.tensor([[0.9, 0.1]]))


def test_an_estimator_that_cannot_be_taken_apart_says_what_it_is_known_by() -> None:
    one = Answers(["no", "yes"], np.array([[0.5, 0.5]]))
    one.wire = (part for part in "ab")  # type: ignore[attr-defined]
    with pytest.raises(BadInput, match="one that can be saved"):
        EstimatorTeacher(one).fingerprint()
    one.fingerprint = lambda: "of today"  # type: ignore[attr-defined]
    assert EstimatorTeacher(one).fingerprint() == EstimatorTeacher(one).fingerprint()
