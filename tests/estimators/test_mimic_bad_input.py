"""What a mimic is given that it cannot take, or not as it is: told, and where it is."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
import skops.io
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import attar
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
        (GAPS, "must be the class of every row; got None in row 3 and 1 more such row. Leave such rows out"),
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


class Quantiles:
    """Three numbers for one value."""

    def predict(self, rows: Any) -> Any:
        return np.asarray(rows)[:, :1] + np.array([-1.0, 0.0, 1.0])


def test_a_share_of_labels_that_there_are_not_is_refused():
    teacher = LogisticRegression().fit(X, NAMES)
    told = r"^labels of Mimic must be 0 or None where fit gets no y; got 0\.5\. Pass y to fit, or leave labels out\.$"
    with pytest.raises(BadInput, match=told):
        Mimic(teacher, labels=0.5, **QUICK).fit(X)
    assert Mimic(teacher, labels=0, **QUICK).fit(X).report_.labels == 0
    assert Mimic(teacher, labels=0.5, **QUICK).fit(X, NAMES).report_.labels == 0.5
    told = (
        "^labels of Mimic must be 0 or None of a teacher that predicts 3 numbers for the one value of each row; got 1"
    )
    with pytest.raises(BadInput, match=told):
        Mimic(Quantiles(), labels=1, **QUICK).fit(X, X[:, 0])


def test_dates_and_spans_of_time_are_no_labels():
    # As numbers they are in whatever unit they are stored in.
    dates, spans = pd.Series(pd.date_range("2024-05-31", periods=60)), pd.to_timedelta(np.arange(60), unit="h")
    told = r"^y of Mimic.fit must hold classes; got dates \(datetime64\[[a-z]+\]\)\. Make them texts"
    with pytest.raises(BadInput, match=told):
        Mimic(DecisionTreeClassifier(), **QUICK).fit(X, dates)
    told = r"^y of Mimic.fit must hold numbers; got spans of time \(timedelta64\[[a-z]+\]\)\. Give the days or seconds"
    with pytest.raises(BadInput, match=told):
        Mimic(DecisionTreeRegressor(), **QUICK).fit(X, spans)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (np.where(np.arange(60) % 20 == 7, np.nan, X[:, 0]), "got nan in row 7 and 2 more such rows. Leave such rows"),
        (pd.Series([None, *X[1:, 0]], dtype="Float64", index=range(60, 120)), "got nan in row 0. Leave"),
        ([None if row == 59 else float(row) for row in range(60)], "got nan in row 59. Leave"),
        (np.where(np.arange(120).reshape(60, 2) == 9, np.inf, 0.0), "got inf in row 4, column 1. Leave"),
        (np.where(np.arange(60) == 2, -2e38, X[:, 0]), r"got -2e\+38 in row 2. Leave"),
    ],
)
def test_a_value_that_is_missing_or_no_number_is_told_with_its_row(given: Any, told: str):
    with pytest.raises(BadInput, match=f"^y of Mimic.fit must be a number for every row, from -1e38 to 1e38; {told}"):
        Mimic(LinearRegression().fit(X, X), **QUICK).fit(X, given)


def test_a_class_that_is_a_missing_number_is_told_with_its_row():
    classes = (X[:, 0] > 0).astype(float)
    gaps = np.where(np.arange(60) == 7, np.nan, classes)
    told = "^y of Mimic.fit must be the class of every row, a finite number; got nan in row 7. Leave such rows out"
    for given in (gaps, pd.Series(gaps, dtype="Int64"), pd.Series(gaps, dtype="category")):
        with pytest.raises(BadInput, match=told):
            Mimic(LogisticRegression(), **QUICK).fit(X, given)


def test_y_of_other_length_or_complex_is_told_in_a_line():
    with pytest.raises(BadInput, match=r"^y of Mimic.fit must be \[60\], one for each row; got \(59,\)\. Give those"):
        Mimic(LogisticRegression(), **QUICK).fit(X, NAMES[:59])
    for teacher, what in ((LogisticRegression(), "classes"), (LinearRegression(), "numbers")):
        with pytest.raises(BadInput, match=rf"must hold {what}; got complex numbers \(complex128\)\. Give their parts"):
            Mimic(teacher, **QUICK).fit(X, X[:, 0] + 1j)


@pytest.mark.parametrize(
    ("teacher", "told"),
    [
        (
            "big.onnx",
            r"the path 'big\.onnx'. Give attar\.as_teacher\('big\.onnx', columns=attar\.Columns\.infer\(X\)\)",
        ),
        (Path("trees.skops"), r"Give attar\.as_teacher\('trees\.skops', "),
        ("forest.joblib", "that of a pickle. Give what it holds: load it with joblib"),
        ("forest", "'forest'. Give a classifier or regressor with predict_proba or predict"),
        (LogisticRegression, r"Give an instance of this class, such as LogisticRegression\(\)\."),
        (torch.nn.Linear(2, 2), r"a Linear\. Give attar\.as_teacher of it\."),
    ],
)
def test_what_is_given_in_place_of_a_teacher_is_told(teacher: Any, told: str):
    with pytest.raises(BadInput, match=rf"^teacher of Mimic must be a classifier or a regressor; got .*{told}"):
        Mimic(teacher, **QUICK).fit(X)


def test_a_teacher_in_a_file_is_read_in_the_way_that_the_error_says(tmp_path: Path):
    frame = pd.DataFrame({"size": X[:, 0], "color": np.where(X[:, 1] > 0, "red", "blue")})
    encoded = make_column_transformer((OneHotEncoder(), ["color"]), remainder="passthrough")
    skops.io.dump(make_pipeline(encoded, DecisionTreeClassifier(max_depth=1)).fit(frame, NAMES), tmp_path / "a.skops")
    teacher = attar.as_teacher(str(tmp_path / "a.skops"), columns=attar.Columns.infer(frame))
    assert Mimic(teacher, **QUICK).fit(frame, NAMES).report_.teacher["accuracy"] == 1.0


class Repeating(ClassifierMixin, BaseEstimator):
    """One that says the same of every row, or of every second: the last column has their numbers."""

    def __init__(self, shares: Any) -> None:
        self.shares, self.classes_ = shares, np.array(["no", "yes"])

    def predict_proba(self, rows: Any) -> Any:
        shares = np.asarray(self.shares, float).reshape(-1, 2)
        return shares[rows[:, -1].round().astype(int) % len(shares)]


@pytest.mark.parametrize(
    ("shares", "told"),
    [
        ([0.3, 0.7], "gives every given example the same prediction, 'yes' (50.0%)"),
        ([[0.2, 0.8], [0.8, 0.2]], "is at chance: 50.0% of 60 given examples are right, and always predicting 'no' "),
        ([[0.8, 0.2], [0.8, 0.2], [0.2, 0.8], [0.2, 0.8]], None),
    ],
)
def test_a_teacher_that_answers_by_chance_is_told(shares: Any, told: str | None, caplog: pytest.LogCaptureFixture):
    rows, labels = np.column_stack([X, np.arange(60)]), np.resize(["no", "no", "yes", "yes"], 60)
    with caplog.at_level(logging.WARNING, "attar"):
        Mimic(Repeating(shares), **QUICK).fit(rows, labels)
        found = [one for one in caplog.messages if "given example" in one]
        assert len(found) == (told is not None) and all(f"the teacher, a Repeating, {told}" in one for one in found)
        caplog.clear()
        Mimic(Repeating(shares), **QUICK).fit(rows)
        assert not [one for one in caplog.messages if "given example" in one], "nothing is known of them"


def test_a_regressor_that_is_no_better_than_the_mean_is_told(caplog: pytest.LogCaptureFixture):
    # Of 0 to 59 the standard deviation is the root of (60 * 60 - 1) / 12, which is 17.3.
    line = LinearRegression().fit(np.arange(60).reshape(-1, 1), np.arange(60))
    with caplog.at_level(logging.WARNING, "attar"):
        Mimic(line, **QUICK).fit(np.arange(60.0).reshape(-1, 1), np.arange(60)[::-1])
    (told,) = [one for one in caplog.messages if "the teacher" in one]
    assert told.startswith("the teacher, a LinearRegression, is at chance: RMSE 34.6 on 60 given examples, and always")
    assert "predicting their mean gives 17.3: see whether it was fitted on such rows" in told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], r"^X must have at least 1 row; got 0 sample\(s\)\. Give more rows\.$"),
        (np.zeros((0, 2)), "^X must have at least 1 row"),
        (
            X[:, :1],
            r"^X has 1 features, .* expecting 2 .*Give the columns of the rows .*, in their order, \['a', 'b'\]\.$",
        ),
        (np.zeros((2, 2, 2)), r"^X of Mimic must be \[rows, columns\]; got \(2, 2, 2\)\. Lay each row flat"),
        ("rows.csv", r"got a str\. Read the file before, for instance with pandas\.read_csv"),
        (pd.DataFrame({"a": [1.0]}), r"^The rows have no column 'b'; they have \['a'\]\. Add 'b', with None where"),
        (pd.DataFrame({"a": [1.0], "b": 1.0, "c": 1.0}), r"^The rows have columns that are not known: \['c'\]\. Leave"),
        (
            pd.DataFrame(X),
            r"^The rows have no column 'a' or 'b'; they have \['0', '1'\]\. If they are the same columns",
        ),
        (pd.DataFrame({"c": [1.0]}), r"'a' or 'b'; they have \['c'\]\. Add them, with None where a value is not known"),
    ],
)
def test_rows_that_are_not_those_of_the_fit_are_told(given: Any, told: str):
    frame = pd.DataFrame(X, columns=["a", "b"])
    fitted = Mimic(LogisticRegression().fit(frame, NAMES), **QUICK).fit(frame)
    with pytest.warns() if isinstance(given, np.ndarray) and given.shape == (60, 1) else nullcontext():
        with pytest.raises(BadInput, match=told):
            fitted.predict(given)
    assert fitted.predict(frame[["b", "a"]]).tolist() == fitted.predict(frame).tolist()


def test_names_are_told_that_columns_of_an_array_have_not():
    fitted = Mimic(LogisticRegression().fit(X, NAMES), **QUICK).fit(X)
    with pytest.raises(BadInput, match=r"read off an array, which has no names: give an array of 2 columns\.$"):
        fitted.predict({"a": 1.0, "b": 2.0})


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


def test_rows_without_weight_are_as_if_they_were_not_there():
    labels = (X[:, 0] > 0).astype(int)
    counts = np.where(np.arange(60) < 40, 2.0, 0.0)
    frame, half = pd.DataFrame(X, columns=["a", "b"]), pd.DataFrame(X[:40], columns=["a", "b"])
    weighted = Mimic(LogisticRegression(), **QUICK).fit(frame, labels, counts)
    alone = Mimic(LogisticRegression(), **QUICK).fit(half, labels[:40], counts[:40])
    np.testing.assert_array_equal(weighted.teacher_.coef_, alone.teacher_.coef_)
    np.testing.assert_array_equal(weighted.predict_proba(frame), alone.predict_proba(frame))
    assert weighted.report_.rows == 40
    with pytest.raises(
        BadInput, match=r"sample_weight of Mimic.fit must be above zero for 3 rows at least; got 2 of 60"
    ):
        Mimic(LogisticRegression(), **QUICK).fit(X, labels, np.arange(60) < 2)


def test_what_is_neither_yes_nor_no_is_told():
    with pytest.raises(BadInput, match="include_original of Mimic must be True or False; got 'no'"):
        Mimic(LogisticRegression(), **QUICK, include_original="no").fit(X, NAMES)
    with pytest.raises(BadInput, match="rows_at_once of Mimic must be a whole number, at least 1; got 0"):
        Mimic(LogisticRegression(), **QUICK, rows_at_once=0).fit(X, NAMES)


@pytest.mark.parametrize("teacher", [KMeans(2), IsolationForest(n_estimators=2)])
def test_numbers_of_clusters_and_of_outliers_are_no_values(teacher: Any):
    with pytest.raises(BadInput, match="Give a classifier or regressor with predict_proba or predict"):
        Mimic(teacher.fit(X), **QUICK).fit(X)


def test_numbers_near_the_end_of_float32_are_told():
    rows = np.column_stack([X, np.where(X[:, 0] > 0, 1.0, -np.finfo(np.float32).max)])
    told = r"column 'column 2' of the rows must be from -1e38 to 1e38; got -3.4\S+ in row \d+. Leave it empty where"
    with pytest.raises(BadInput, match=told):
        Mimic(LinearRegression().fit(X, X), **QUICK).fit(rows)


def test_values_that_float32_does_not_hold_are_told_as_they_are():
    class Huge:
        def predict(self, rows: Any) -> Any:
            return np.full(len(rows), 2e39)

    with pytest.raises(BadInput, match=r"must be finite, also for row 0, in float32; got \[2e\+39\]"):
        Mimic(Huge(), **QUICK).fit(X)


def test_forms_that_are_no_rows_and_forms_that_are(tmp_path: Path):
    frame = pd.DataFrame(X, columns=["a", "b"])
    fitted = Mimic(LogisticRegression().fit(frame, NAMES), **QUICK).fit(pa.RecordBatchReader.from_stream(frame))
    expected = fitted.predict_proba(frame)
    artifact = fitted.save(tmp_path / "artifact")
    for model in (fitted, artifact):
        np.testing.assert_allclose(model.predict_proba(pa.RecordBatchReader.from_stream(frame)), expected, atol=1e-5)
        with pytest.raises(BadInput, match=r"got a Series. Convert them, for instance with to_frame\(\)"):
            model.predict(frame["a"])
    with pytest.raises(BadInput, match=r"got a csr_array. Make them dense with toarray\(\)"):
        artifact.predict(scipy.sparse.csr_array(X))
    extended = frame.astype({"a": np.longdouble})
    np.testing.assert_allclose(fitted.predict_proba(extended.iloc[:1]), expected[:1], atol=1e-9)
    sparse = scipy.sparse.dok_matrix(np.where(X > 0, X, 0))
    of_sparse = Mimic(LogisticRegression().fit(sparse, NAMES), **QUICK).fit(sparse)
    assert of_sparse.predict_proba(sparse).tolist() == of_sparse.predict_proba(sparse.toarray()).tolist()


def test_bools_are_told_apart_in_a_deployed_file_too(tmp_path: Path):
    fitted = Mimic(LogisticRegression().fit(X > 0, NAMES), **QUICK).fit(X > 0)
    artifact = fitted.save(tmp_path / "artifact")
    np.testing.assert_allclose(artifact.predict_proba(X > 0), fitted.predict_proba(X > 0), atol=1e-6)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (np.zeros(60, [("a", float), ("b", float)]), r"an array of records of 'a', 'b'. Give pandas.DataFrame\(rows\)"),
        ([[1, 2], [3]] * 30, "X of Mimic must be of one shape; got lists of different lengths"),
        (
            {"a": [1, 2, 3], "b": [1, 2, 3]},
            r"X of Mimic must be an array, .*; got a dict by name. Give pandas.DataFrame",
        ),
        ([{"a": 1, "b": 2}] * 60, "got a list by name. Give pandas.DataFrame"),
    ],
)
def test_forms_that_cannot_be_fitted_on_are_told(rows: Any, told: str):
    with pytest.raises(BadInput, match=told):
        Mimic(LogisticRegression(), **QUICK).fit(rows, NAMES)


def test_what_is_masked_is_missing():
    masked = np.ma.array(X, mask=X > 1)
    fitted = Mimic(DecisionTreeClassifier(max_depth=2), **QUICK).fit(masked, NAMES)
    holes = np.where(X > 1, np.nan, X)
    assert (fitted.predict_proba(masked) == fitted.predict_proba(holes)).all()
    assert [column.missing for column in fitted.columns_] == [True, True]
    with pytest.raises(BadInput, match="must be finite and at least 0; got nan in row 1"):
        Mimic(LogisticRegression(), **QUICK).fit(X, NAMES, np.ma.array(np.ones(60), mask=np.arange(60) == 1))


def test_one_class_among_the_rows_that_count_is_told():
    with pytest.raises(BadInput, match="1 class only among the rows whose weight is above 0, and a classifier needs"):
        Mimic(LogisticRegression(), **QUICK).fit(X, NAMES, NAMES == "yes")


def test_values_come_in_the_form_in_which_the_teacher_gives_them():
    column = X[:, :1]
    line, tree = LinearRegression().fit(X, column), DecisionTreeRegressor(max_depth=2)
    frame = pd.DataFrame({"y": X[:, 0]})
    for teacher, truth in ((line, None), (line, column), (line, X[:, 0]), (tree, frame), (tree, X[:, 0])):
        fitted = Mimic(teacher, **QUICK).fit(X, truth)
        expected = fitted.teacher_.predict(X).shape if truth is None or truth.ndim == 2 else (60,)
        assert fitted.predict(X).shape == expected
