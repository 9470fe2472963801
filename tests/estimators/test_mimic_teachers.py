"""Teachers of other packages, by stand-ins: AutoGluon's, CatBoost's, and models that take few rows at once."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from attar.errors import BadInput
from attar.estimators.mimic import Mimic
from attar.recipes.compress import label
from attar.tables.columns import Columns
from attar.teachers import EstimatorTeacher, RegressorTeacher, as_teacher

QUICK: dict[str, Any] = {"hidden": (8,), "rows": 200, "p": 0.5, "s": 1.0, "steps": 200, "random_state": 0}

BRIEF = QUICK | {"steps": 20}

DRAWS = np.random.default_rng(0)
FRAME = pd.DataFrame({"width": DRAWS.normal(size=120), "color": DRAWS.choice(["red", "blue"], 120)})
HIGH = (FRAME["width"] + (FRAME["color"] == "red") > 0.5).to_numpy()


class Predictor:
    """What a ``TabularPredictor`` of AutoGluon is: no estimator of scikit-learn, with classes under another name."""

    class_labels: list[str] | None = ["low", "high"]
    original_features = ["color", "width"]
    problem_type = "binary"

    def fit(self, train_data: pd.DataFrame) -> Predictor:
        raise AssertionError("it is fitted")

    def _score(self, data: Any) -> Any:
        if not isinstance(data, pd.DataFrame) or set(data.columns) != {"width", "color"}:
            raise KeyError("1 required columns are missing")
        return data["width"].astype(float) + (data["color"].astype(str) == "red") - 0.5

    def predict_proba(self, data: pd.DataFrame) -> pd.DataFrame:
        if self.problem_type == "regression":
            raise AssertionError('`predict_proba` is only supported when problem_type is "binary" or "multiclass"')
        high = 1 / (1 + np.exp(-3 * self._score(data)))
        return pd.DataFrame({"low": 1 - high, "high": high})

    def predict(self, data: pd.DataFrame) -> pd.Series:
        score = self._score(data)
        return score if self.problem_type == "regression" else pd.Series(np.where(score > 0, "high", "low"))


class Regressor(Predictor):
    """One for values, which has ``predict_proba`` all the same."""

    problem_type = "regression"
    class_labels = None


class Trees(BaseEstimator, ClassifierMixin):
    """What a fitted ``CatBoostClassifier`` is: names of columns under its own name, texts for categories."""

    def __init__(self) -> None:
        self.classes_ = np.array([False, True])
        self.feature_names_ = ["color", "width"]

    def fit(self, X: Any, y: Any) -> Trees:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        assert all(isinstance(one, str) for one in X["color"]), "cat_features must be integer or string"
        high = 1 / (1 + np.exp(-3 * (X["width"].astype(float) + (X["color"] == "red") - 0.5).to_numpy()))
        return np.stack([1 - high, high], axis=1)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.predict_proba(X)[:, 1] > 0.5


@pytest.mark.parametrize("teacher", [Predictor(), Trees()])
def test_classifiers_of_other_packages(teacher: Any):
    fitted = Mimic(teacher, **QUICK).fit(FRAME)
    assert np.mean(fitted.predict(FRAME) == np.asarray(teacher.predict(FRAME))) > 0.9
    assert fitted.classes_.tolist() == sorted(fitted.classes_.tolist())
    expected = teacher.predict_proba(FRAME)
    columns = Columns.infer(FRAME)
    wrapped = as_teacher(teacher, columns=columns)
    assert isinstance(wrapped, EstimatorTeacher)
    given = wrapped.predict(torch.from_numpy(columns.encode(FRAME)).float()).softmax(1).numpy()
    np.testing.assert_allclose(given, np.asarray(expected), atol=1e-5)


def test_a_regressor_that_has_probabilities_in_name_alone():
    teacher = Regressor()
    fitted = Mimic(teacher, **QUICK).fit(FRAME)
    assert not hasattr(fitted, "classes_") and not hasattr(fitted, "predict_proba")
    assert np.corrcoef(fitted.predict(FRAME), teacher.predict(FRAME))[0, 1] > 0.9
    columns = Columns.infer(FRAME)
    wrapped = as_teacher(teacher, columns=columns, classes=1)
    assert isinstance(wrapped, RegressorTeacher)
    given = wrapped.predict(torch.from_numpy(columns.encode(FRAME)).float())[:, 0]
    np.testing.assert_allclose(given.numpy(), teacher.predict(FRAME), atol=1e-5)


def test_other_columns_than_it_was_fitted_on_are_told():
    with pytest.raises(
        BadInput, match=r"those that the estimator was fitted on; got \['size'\] beside them, \['width'\]"
    ):
        as_teacher(Predictor(), columns=Columns.infer(FRAME.rename(columns={"width": "size"})))


def test_what_knows_no_columns_is_asked_about_frames_as_they_are():
    """As a model file that `as_teacher` has read without columns."""
    first = make_column_transformer((OneHotEncoder(), ["color"]), ("passthrough", ["width"]))
    pipeline = make_pipeline(first, LogisticRegression()).fit(FRAME, HIGH)
    found = [Mimic(one, **BRIEF).fit(FRAME).predict_proba(FRAME) for one in (EstimatorTeacher(pipeline), pipeline)]
    np.testing.assert_array_equal(*found)


OF_FEW_ROWS = '''
import numpy as np

class Foundation:
    """What a foundation model for tables is: at most 50 rows at once, each of them dear."""
    classes_ = np.array(["high", "low"])
    feature_names_in_ = ["width", "color"]
    asked = []

    def predict_proba(self, frame):
        if len(frame) > 50:
            raise MemoryError(f"{len(frame)} rows")
        self.asked += frame["width"].tolist()
        high = 1 / (1 + np.exp(-3 * (frame["width"].astype(float) + (frame["color"] == "red") - 0.5).to_numpy()))
        return np.stack([high, 1 - high], axis=1)

    def fingerprint(self):
        return "of November 27"

model = Foundation()

def teacher():
    return model
'''


def test_a_model_that_takes_few_rows_is_asked_once_about_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few_rows.py").write_text(OF_FEW_ROWS)
    FRAME.assign(y=np.where(HIGH, "high", "low")).to_csv("rows.csv", index=False)
    text = 'name = "few"\ndata.use = "rows.csv"\ndata.target = "y"\nteacher.estimator = "few_rows:teacher"\n'
    Path("few.toml").write_text(text + "teacher.rows_at_once = 50\n")
    stored = label("few.toml", "run")
    import few_rows  # type: ignore[import-not-found]

    asked = few_rows.model.asked
    counts = {width: asked.count(width) for width in asked}
    looked_at = sum(1 for count in counts.values() if count > 1)
    assert len(counts) == len(stored) and looked_at <= 32, "beside a look at a few, each row is asked about once"
    asked.clear()
    again = label("few.toml", "run")
    assert torch.equal(again(None, torch.arange(len(again)), 0), stored(None, torch.arange(len(stored)), 0))
    assert len(set(asked)) <= 32, "what is in the store is not asked for again"


class FewAtOnce:
    """At most 25 rows at once, and it remembers which."""

    classes_ = np.array([0, 1])
    unfit_for_more: int = 25

    def __init__(self) -> None:
        self.asked: list[float] = []

    def predict_proba(self, rows: np.ndarray) -> list[list[float]]:
        if len(rows) > self.unfit_for_more:
            raise MemoryError(f"{len(rows)} rows")
        self.asked += rows[:, 0].tolist()
        return [[1 / (1 + np.exp(one)), 1 / (1 + np.exp(-one))] for one in 3 * rows[:, 0]]


def test_mimic_asks_about_as_many_rows_at_once_as_suit_its_teacher_and_once_about_each():
    rows, teacher = DRAWS.normal(size=(60, 2)), FewAtOnce()
    with pytest.raises(MemoryError, match="60 rows") as raised:
        Mimic(teacher, **BRIEF).fit(rows)
    assert raised.value.__notes__ == [
        "EstimatorTeacher(FewAtOnce) was asked about 60 rows; rows_at_once asks about fewer at once."
    ]
    fitted = Mimic(teacher, **BRIEF, rows_at_once=25).fit(rows)
    assert len(teacher.asked) == 60 + 200
    teacher.unfit_for_more = 1000
    np.testing.assert_array_equal(Mimic(teacher, **BRIEF).fit(rows).predict_proba(rows), fitted.predict_proba(rows))


def test_values_may_be_objects_and_probabilities_lists():
    class Objects:
        def predict(self, rows: np.ndarray) -> Any:
            return [Fraction(round(1000 * one), 1000) for one in rows[:, 0]]

    rows = DRAWS.normal(size=(60, 2))
    assert Mimic(Objects(), **BRIEF).fit(rows).report_.fidelity["r2"] > 0

    class Short(FewAtOnce):
        def predict_proba(self, rows: np.ndarray) -> list[list[float]]:
            return super().predict_proba(rows)[1:]

    with pytest.raises(BadInput, match=r"must be \[20, 2\]; got \[19, 2\]. Let predict_proba give a row for each"):
        Mimic(Short(), **BRIEF).fit(rows[:20])


class AgainstRest(BaseEstimator, ClassifierMixin):
    """What LightGBM and CatBoost give where each class was told apart from all others: no sum of 1."""

    def __init__(self, objective: str = "multiclassova") -> None:
        self.objective = objective

    classes_ = np.array([0, 1, 2])

    def fit(self, X: Any, y: Any) -> AgainstRest:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        return np.tile([0.6, 0.6, 0.3], (len(X), 1))

    def predict(self, X: np.ndarray) -> np.ndarray:
        return np.zeros(len(X), int)


@pytest.mark.parametrize("wrapped", [False, True])
def test_probabilities_of_one_class_against_the_rest_are_divided_by_their_sum(wrapped: bool):
    teacher = make_pipeline(StandardScaler().fit(np.eye(3)), AgainstRest()) if wrapped else AgainstRest()
    given = EstimatorTeacher(teacher).predict(torch.eye(3)).softmax(1)
    np.testing.assert_allclose(given, np.tile([0.4, 0.4, 0.2], (3, 1)), rtol=1e-6)
    with pytest.raises(BadInput, match=r"probabilities that sum to 1, also for row 0; got .*, which sum to 1\.5"):
        EstimatorTeacher(AgainstRest("multiclass")).predict(torch.eye(3))


class Quantiles(BaseEstimator, RegressorMixin):
    """Three quantiles of one value, as CatBoost's and XGBoost's regressors give them."""

    def fit(self, X: Any, y: Any) -> Quantiles:
        self.middle_ = float(np.mean(y))
        assert np.ndim(y) == 1
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return X[:, :1] + self.middle_ + np.array([[-1.0, 0.0, 1.0]])


def test_quantiles_of_a_value_are_judged_by_the_teacher(caplog: pytest.LogCaptureFixture):
    rows = DRAWS.normal(size=(60, 2))
    values = rows[:, 0] + DRAWS.normal(size=60)
    for teacher in (Quantiles(), Quantiles().fit(rows, values)):
        caplog.clear()
        mimic = Mimic(teacher, **QUICK).fit(rows, values)
        assert mimic.predict(rows).shape == (60, 3) and mimic.report_.judged_by == "teacher"
        assert "a Quantiles, predicts 3 numbers for the one value of each row, such as its quantiles" in caplog.text
    far = Mimic(Quantiles(), **BRIEF).fit(rows, values + 1e9)
    assert np.abs(far.predict(rows) - 1e9).max() < 100, "each is counted from the same number"


def test_other_values_than_the_teacher_predicts_are_refused():
    class Three:
        def predict(self, rows: np.ndarray) -> np.ndarray:
            return rows[:, :1] + np.arange(3.0)

    class Fitted(Quantiles):
        def __sklearn_tags__(self) -> Any:
            tags = super().__sklearn_tags__()
            tags.target_tags.multi_output = True
            return tags

        def __sklearn_is_fitted__(self) -> bool:
            return True

        predict = Three.predict  # type: ignore[assignment]

    with pytest.raises(BadInput, match=r"y of Mimic.fit has 2 columns, and the teacher, a Fitted, predicts 3 values"):
        Mimic(Fitted(), **BRIEF).fit(DRAWS.normal(size=(60, 2)), DRAWS.normal(size=(60, 2)))


def test_rows_in_a_form_of_another_package_are_named():
    class Pool:
        shape = (60, 2)

    with pytest.raises(BadInput, match=r"X of Mimic must be an array, .*; got a Pool. Give the rows themselves"):
        Mimic(Quantiles(), **BRIEF).fit(Pool(), np.zeros(60))
