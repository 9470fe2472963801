"""Rows of other kinds than numbers and names: sparse ones, and dates."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

import attar
from attar.errors import BadInput
from attar.estimators import mimic, rows
from attar.estimators.mimic import Mimic

QUICK: dict[str, Any] = {"hidden": (8,), "rows": 200, "p": 0.5, "s": 1.0, "steps": 30, "random_state": 0}

X = np.random.default_rng(0).normal(size=(120, 3)).round(1) * (np.random.default_rng(1).random((120, 3)) > 0.5)
Y = (X.sum(1) > 0).astype(int)


@pytest.mark.parametrize("form", ["csr_matrix", "csc_array", "coo_array"])
def test_sparse_rows_are_those_of_the_array(form: str, monkeypatch: pytest.MonkeyPatch):
    sparse = getattr(scipy.sparse, form)(X)
    teacher = LogisticRegression().fit(sparse, Y)
    dense = Mimic(teacher, **QUICK).fit(X)
    fitted = Mimic(teacher, **QUICK).fit(sparse)
    expected = dense.predict_proba(X)
    assert (fitted.predict_proba(X) == expected).all()
    monkeypatch.setattr(mimic, "_BLOCK", 100)  # 33 rows at once
    np.testing.assert_allclose(fitted.predict_proba(sparse), expected, rtol=1e-12)
    assert fitted.predict(sparse).tolist() == dense.predict(X).tolist()
    unfitted = Mimic(LogisticRegression(), **QUICK).fit(sparse, Y)
    assert (unfitted.predict_proba(X) == Mimic(LogisticRegression(), **QUICK).fit(X, Y).predict_proba(X)).all()


def test_sparse_rows_that_no_memory_holds(monkeypatch: pytest.MonkeyPatch):
    wide = scipy.sparse.csr_array((1_000_000, 10_000_000))
    with pytest.raises(
        BadInput, match=r"^X is sparse, .* 1,000,000 rows of 10,000,000 columns take 80\.0.TB, more than half"
    ):
        Mimic(LogisticRegression(), **QUICK).fit(wide, np.zeros(1_000_000))
    taken = []
    monkeypatch.setattr(rows, "allowed", lambda most: 100 * X.shape[1] * 8)
    fitted = Mimic(LogisticRegression(), **QUICK).fit(scipy.sparse.csr_array(X[:100]), Y[:100])
    monkeypatch.setattr(mimic, "_BLOCK", 100)
    monkeypatch.setattr(rows, "dense", lambda block: taken.append(block.shape) or block.toarray())
    assert fitted.predict(scipy.sparse.csr_array(X)).shape == (120,)
    assert taken == [(33, 3), (33, 3), (33, 3), (21, 3)]


class OfDates:
    """A stranger that tells the months of summer from the others; it wants dates as they are."""

    classes_ = np.array(["summer", "winter"])

    def predict_proba(self, frame: pd.DataFrame) -> Any:
        assert str(frame["when"].dtype).startswith("datetime64") and (frame["when"].dt.minute == 0).all()
        summer = frame["when"].dt.month.between(4, 9).to_numpy(float)
        return np.c_[summer, 1 - summer]


def test_dates_from_a_frame_to_the_deployed_file(tmp_path: Path):
    hours = np.random.default_rng(0).integers(0, 4 * 365 * 24, 600)
    frame = pd.DataFrame({"when": pd.Timestamp("2020-01-01") + pd.to_timedelta(hours, unit="h"), "noise": hours % 7})
    fitted = Mimic(OfDates(), **{**QUICK, "steps": 400, "rows": 1000}).fit(frame)
    assert str(fitted.columns_[0]).startswith("date from 2020-01-01")
    # Later than all that it saw: a trend alone could not know the seasons of another year.
    later = pd.DataFrame(
        {"when": pd.to_datetime(["2024-01-15 00:00", "2024-07-15 12:00", "2025-02-01 00:00"]), "noise": [1, 2, 3]}
    )
    assert fitted.predict(later).tolist() == ["winter", "summer", "winter"]
    fitted.save(tmp_path / "artifact")
    model = attar.load(tmp_path / "artifact")
    np.testing.assert_allclose(model.predict_proba(later), fitted.predict_proba(later), atol=1e-4)
    for form in ("2024-07-15T12:00", datetime.datetime(2024, 7, 15, 12), pd.Timestamp("2024-07-15 12:00")):
        assert list(model.predict({"when": form, "noise": 2})) == ["summer"]
    with pytest.raises(BadInput, match=r"^column 'when' of the rows must be of dates"):
        model.predict({"when": 3, "noise": 2})


def test_a_frame_of_sparse_columns():
    frame = pd.DataFrame.sparse.from_spmatrix(scipy.sparse.csr_matrix(X), columns=list("abc"))
    teacher = DecisionTreeClassifier(max_depth=2).fit(pd.DataFrame(X, columns=list("abc")), Y)
    assert Mimic(teacher, **QUICK).fit(frame).predict(frame).shape == (120,)


def test_gaps_among_objects_reach_an_imputer_as_they_are():
    names = np.where(X[:, 0] > 0, "few", "many").astype(object)
    names[::7] = np.nan  # which the imputer takes for the name that most rows have
    rows, labels = np.c_[names, X[:, 1]], (names == "few").astype(int)
    encoded = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())
    teacher = make_pipeline(make_column_transformer((encoded, [0]), remainder="passthrough"), DecisionTreeClassifier())
    fitted = Mimic(teacher, **QUICK).fit(rows, labels)
    assert fitted.report_.teacher == {"accuracy": 1.0, "rmse": pytest.approx(0.0, abs=1e-6)}


def test_a_teacher_that_adds_columns_to_what_it_is_given():
    def with_sum(frame: pd.DataFrame) -> pd.DataFrame:
        frame["sum"] = frame["a"] + frame["b"] + frame["c"]
        return frame

    frame = pd.DataFrame(X, columns=list("abc"))
    teacher = make_pipeline(FunctionTransformer(with_sum), DecisionTreeClassifier(max_depth=1))
    fitted = Mimic(teacher, **QUICK).fit(frame, Y)
    assert list(frame.columns) == list("abc") and fitted.n_features_in_ == 3
    assert fitted.report_.teacher["accuracy"] == 1.0


def test_columns_that_are_called_by_numbers_are_found_by_name():
    frame = pd.DataFrame(X)
    fitted = Mimic(DecisionTreeClassifier(max_depth=2), **QUICK).fit(frame, Y)
    expected = fitted.predict_proba(frame)
    assert (fitted.predict_proba(frame[[2, 0, 1]]) == expected).all()  # as the deployed file finds them
    assert (fitted.predict_proba(X) == expected).all()
    with pytest.raises(BadInput, match=r"^The rows have no column '0'"):
        fitted.predict(frame.set_axis([3, 4, 5], axis=1))
