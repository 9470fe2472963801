"""A mimic says what its teacher says, in scikit-learn's form and as an artifact, and refuses what it cannot do."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
import xgboost
from sklearn.base import BaseEstimator, ClassifierMixin, clone, is_classifier, is_regressor
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_blobs
from sklearn.ensemble import HistGradientBoostingClassifier, StackingClassifier
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

import attar
from attar.data.synthesis.synthesize import Synthesis
from attar.deployment.refused import DeploymentError
from attar.errors import BadInput
from attar.estimators.mimic import Mimic
from attar.teachers.estimator import EstimatorTeacher
from attar.teachers.teacher import NetworkTeacher

SMALL: dict[str, Any] = {
    "hidden": (8,),
    "rows": 300,
    "p": 0.5,
    "s": 1.0,
    "steps": 60,
    "batch_size": 64,
    "learning_rate": 0.03,
    "random_state": 0,
}
Rows = np.ndarray


@pytest.fixture(scope="module")
def blobs() -> tuple[Rows, Rows]:
    """Three classes of 20 rows each that hardly overlap."""
    x, y = make_blobs(60, centers=[[0, 0], [4, 0], [0, 4]], random_state=0)
    return x, np.array(["ant", "bee", "cat"])[y]


@pytest.fixture(scope="module")
def teacher(blobs: tuple[Rows, Rows]) -> LogisticRegression:
    return LogisticRegression().fit(*blobs)


@pytest.fixture(scope="module")
def mimic(blobs: tuple[Rows, Rows], teacher: LogisticRegression) -> Mimic:
    return Mimic(teacher, **SMALL).fit(blobs[0])


@pytest.fixture(scope="module")
def frame() -> tuple[pd.DataFrame, Rows]:
    """Numbers with gaps, whole numbers and names; the classes follow from them."""
    draw = np.random.default_rng(0)
    size = draw.normal(size=80)
    legs = draw.integers(2, 9, 80)
    color = draw.choice(["black", "red", "white"], 80)
    y = np.where((size + (color == "red") > 0.3) | (legs > 7), "yes", "no")
    size[::9] = np.nan
    table = pd.DataFrame({"size": size, "legs": legs, "color": pd.Categorical(color)})
    return table, y


@pytest.fixture(scope="module")
def of_frame(frame: tuple[pd.DataFrame, Rows]) -> Mimic:
    boosted = HistGradientBoostingClassifier(max_iter=10, categorical_features="from_dtype", random_state=0)
    return Mimic(boosted, **SMALL).fit(*frame)


# -- what it says ------------------------------------------------------------------------------------------------------


def test_classifier_of_several_classes(mimic: Mimic, teacher: LogisticRegression, blobs: tuple[Rows, Rows]) -> None:
    x, y = blobs
    assert is_classifier(mimic)
    assert not is_regressor(mimic)
    assert mimic.classes_.tolist() == ["ant", "bee", "cat"]
    assert np.mean(mimic.predict(x) == teacher.predict(x)) > 0.9
    said = mimic.predict_proba(x)
    assert said.dtype == np.float64
    np.testing.assert_allclose(said.sum(1), 1, atol=1e-12)
    assert np.sqrt(np.mean((said - teacher.predict_proba(x)) ** 2)) < 0.15
    assert mimic.score(x, y) == np.mean(mimic.predict(x) == y)
    assert mimic.teacher_ is teacher, "a fitted teacher is used as it is"


def test_a_row_is_judged_alike_wherever_it_stands(mimic: Mimic, blobs: tuple[Rows, Rows]) -> None:
    together = mimic.predict_proba(blobs[0])
    alone = np.concatenate([mimic.predict_proba(row[None]) for row in blobs[0][:5]])
    np.testing.assert_allclose(alone, together[:5], rtol=0, atol=1e-12)


@pytest.mark.parametrize("loss", ["squared_error", "kl_divergence", "logits"])
def test_classifier_of_two_classes(loss: str, blobs: tuple[Rows, Rows]) -> None:
    two = blobs[1] != "cat"
    x, y = blobs[0][two], (blobs[1][two] == "bee").astype(int)
    mimic = Mimic(LogisticRegression(), **SMALL | {"loss": loss}).fit(x, y)
    assert mimic.predict_proba(x).shape == (len(x), 2)
    assert mimic.predict(x).dtype == y.dtype
    assert mimic.score(x, y) > 0.9


def test_margins_of_two_classes_count_as_log_odds(blobs: tuple[Rows, Rows]) -> None:
    two = blobs[1] != "cat"
    mimic = Mimic(LinearSVC(), **SMALL).fit(blobs[0][two], blobs[1][two])
    assert mimic.score(blobs[0][two], blobs[1][two]) > 0.9


def test_regressor_in_units_far_from_one(blobs: tuple[Rows, Rows]) -> None:
    x = blobs[0]
    y = 5e5 + 1e4 * x[:, 0] - 2e4 * x[:, 1]
    mimic = Mimic(LinearRegression(), **SMALL | {"steps": 150}).fit(x, y)
    assert is_regressor(mimic)
    assert not hasattr(mimic, "predict_proba")
    assert not hasattr(mimic, "classes_")
    assert mimic.predict(x).shape == (60,)
    assert mimic.score(x, y) > 0.95
    assert mimic.report_.fidelity["r2"] > 0.9


def test_regressor_of_several_values(blobs: tuple[Rows, Rows], tmp_path: Path) -> None:
    x = blobs[0]
    y = np.stack([x[:, 0] - 100, 1000 * x[:, 1], np.full(60, 7.0)], axis=1)
    mimic = Mimic(LinearRegression(), **SMALL | {"steps": 150}).fit(x, y)
    said = mimic.predict(x)
    assert said.shape == y.shape
    assert mimic.report_.fidelity["rmse"] < 300
    assert r2_score(y[:, :2], said[:, :2]) > 0.95
    np.testing.assert_allclose(said[:, 2], 7, atol=0.2)
    artifact = mimic.save(tmp_path / "values")
    assert artifact.classes == ("value 0", "value 1", "value 2")
    np.testing.assert_allclose(artifact(x.astype(np.float32)), said, rtol=1e-4, atol=1e-4)


def test_same_seed_same_mimic_and_the_caller_keeps_its_random_state(
    mimic: Mimic, teacher: LogisticRegression, blobs: tuple[Rows, Rows]
) -> None:
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    again = Mimic(teacher, **SMALL).fit(blobs[0])
    other = Mimic(teacher, **SMALL | {"random_state": np.random.RandomState(3)}).fit(blobs[0])
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])
    np.testing.assert_array_equal(again.predict_proba(blobs[0]), mimic.predict_proba(blobs[0]))
    assert not np.array_equal(other.predict_proba(blobs[0]), mimic.predict_proba(blobs[0]))


def test_constant_column_changes_nothing_and_breaks_nothing(blobs: tuple[Rows, Rows]) -> None:
    x = np.column_stack([blobs[0], np.full(60, 3.0)])
    mimic = Mimic(LogisticRegression(), **SMALL).fit(x, blobs[1])
    assert mimic.score(x, blobs[1]) > 0.9


def test_real_rows_alone_and_synthetic_rows_alone(teacher: LogisticRegression, blobs: tuple[Rows, Rows]) -> None:
    real = Mimic(teacher, **SMALL | {"rows": 0}).fit(blobs[0])
    assert real.synthesis_ is None
    assert real.report_.synthetic_rows == 0
    assert "p =" not in str(real.report_)
    made = Mimic(teacher, **SMALL | {"include_original": False}).fit(blobs[0])
    assert made.report_.synthetic_rows == 300
    assert min(one.score(*blobs) for one in (real, made)) > 0.8


@pytest.mark.parametrize("method", ["random", "nbe"])
def test_baselines_of_the_paper(method: str, teacher: LogisticRegression, blobs: tuple[Rows, Rows]) -> None:
    mimic = Mimic(teacher, **SMALL | {"method": method, "p": None, "s": None}).fit(blobs[0])
    assert mimic.synthesis_.method == method
    assert mimic.report_.p is None
    assert mimic.score(*blobs) > 0.8


def test_p_and_s_are_tuned_where_they_are_not_given(teacher: LogisticRegression, blobs: tuple[Rows, Rows]) -> None:
    both = Mimic(teacher, **SMALL | {"p": None, "s": None, "steps": 20}).fit(blobs[0])
    assert len(both.report_.trials) == 12
    assert (both.report_.p, both.report_.s) in [(p, s) for p in (0.2, 0.5, 0.8) for s in (0.5, 1.0, 3.0, 10.0)]
    assert both.report_.synthetic_rows == 300
    assert "tuned" in str(both.report_)
    only_s = Mimic(teacher, **SMALL | {"s": None, "steps": 20}).fit(blobs[0])
    assert only_s.report_.p == 0.5
    assert len(only_s.report_.trials) == 4


# -- which teachers ----------------------------------------------------------------------------------------------------


class Reversed(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Names its classes in the order opposite to scikit-learn's."""

    def fit(self, X: Any, y: Any) -> Reversed:
        self.inner_ = LogisticRegression().fit(X, y)
        self.classes_ = self.inner_.classes_[::-1]
        return self

    def predict_proba(self, X: Any) -> Any:
        return self.inner_.predict_proba(X)[:, ::-1]


def test_classes_in_another_order(mimic: Mimic, blobs: tuple[Rows, Rows]) -> None:
    backwards = Mimic(Reversed().fit(*blobs), **SMALL).fit(blobs[0])
    assert backwards.classes_.tolist() == ["ant", "bee", "cat"]
    np.testing.assert_allclose(backwards.predict_proba(blobs[0]), mimic.predict_proba(blobs[0]), atol=1e-5)


def test_labels_beside_a_fitted_teacher_judge_it(teacher: LogisticRegression, blobs: tuple[Rows, Rows]) -> None:
    x, y = blobs
    some = y != "cat"  # not all of the teacher's classes need to occur
    mimic = Mimic(teacher, **SMALL).fit(x[some], y[some])
    assert mimic.report_.judged_by == "truth"
    assert mimic.classes_.tolist() == ["ant", "bee", "cat"]
    assert mimic.report_.mimic is not None
    assert mimic.report_.mimic["accuracy"] > 0.5
    assert "against the truth" in str(mimic.report_)
    with pytest.raises(BadInput, match=r"y of Mimic.fit must hold classes that the teacher knows.*got 'dog' in row 1"):
        Mimic(teacher, **SMALL).fit(x, np.where(np.arange(60) == 1, "dog", y))


def test_teacher_without_fit(blobs: tuple[Rows, Rows], teacher: LogisticRegression) -> None:
    class Service:
        classes_ = teacher.classes_

        def predict_proba(self, x: Rows) -> Rows:
            return teacher.predict_proba(x)  # type: ignore[no-any-return]

    class Values:
        def predict(self, x: Rows) -> Rows:
            return x[:, 0]

    assert Mimic(Service(), **SMALL).fit(blobs[0]).score(*blobs) > 0.9
    regressor = Mimic(Values(), **SMALL).fit(blobs[0])
    assert is_regressor(regressor)
    assert regressor.score(blobs[0], blobs[0][:, 0]) > 0.8


def test_teachers_of_attar(blobs: tuple[Rows, Rows], teacher: LogisticRegression) -> None:
    network = torch.nn.Linear(2, 3)
    with torch.no_grad():
        network.weight.copy_(torch.from_numpy(teacher.coef_))
        network.bias.copy_(torch.from_numpy(teacher.intercept_))
    nameless = Mimic(NetworkTeacher(network, classes=3), **SMALL).fit(blobs[0])
    assert nameless.classes_.tolist() == [0, 1, 2]
    named = Mimic(NetworkTeacher(network, classes=3), **SMALL).fit(*blobs)
    assert named.classes_.tolist() == ["ant", "bee", "cat"]
    assert named.score(*blobs) > 0.9
    with pytest.raises(BadInput, match="has 3 classes, and y has 2"):
        Mimic(NetworkTeacher(network, classes=3), **SMALL).fit(blobs[0], blobs[1] == "ant")
    reversed_ = EstimatorTeacher(teacher, classes=["cat", "bee", "ant"])
    assert Mimic(reversed_, **SMALL).fit(blobs[0]).score(*blobs) > 0.9


def test_cloning_forgets_a_fit_unless_it_is_frozen(teacher: LogisticRegression, blobs: tuple[Rows, Rows]) -> None:
    with pytest.raises(BadInput, match="is not fitted, and there is no y"):
        clone(Mimic(teacher, **SMALL)).fit(blobs[0])
    search = GridSearchCV(Mimic(FrozenEstimator(teacher), **SMALL), {"hidden": [(4,), (8,)]}, cv=2)
    search.fit(*blobs)
    assert search.best_estimator_.teacher_.estimator is teacher
    assert search.best_score_ > 0.8


# -- tables ------------------------------------------------------------------------------------------------------------


def test_frame_with_names_and_gaps(of_frame: Mimic, frame: tuple[pd.DataFrame, Rows]) -> None:
    x = frame[0]
    assert of_frame.feature_names_in_.tolist() == ["size", "legs", "color"]
    assert of_frame.n_features_in_ == 3
    said = of_frame.predict_proba(x)
    assert np.mean(of_frame.predict(x) == of_frame.teacher_.predict(x)) > 0.75
    np.testing.assert_array_equal(of_frame.predict_proba(x[["color", "size", "legs"]]), said, "by name, in any order")
    np.testing.assert_array_equal(of_frame.predict_proba(pa.Table.from_pandas(x)), said)


def test_teacher_gets_the_types_that_it_was_fitted_on(frame: tuple[pd.DataFrame, Rows]) -> None:
    x, y = frame
    seen: list[dict[str, str]] = []

    class Looking(HistGradientBoostingClassifier):  # type: ignore[misc]
        def predict_proba(self, X: Any) -> Any:
            seen.append({name: str(kind) for name, kind in X.dtypes.items()})
            return super().predict_proba(X)

    looking = Looking(max_iter=2, categorical_features="from_dtype").fit(x, y)
    Mimic(looking, **SMALL).fit(x)
    assert len(seen) >= 2
    assert all(kinds == {name: str(kind) for name, kind in x.dtypes.items()} for kinds in seen)


def _pipeline() -> Any:
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), [1]), remainder="passthrough")
    return make_pipeline(encoder, LogisticRegression())


def test_arrays_of_objects_with_none() -> None:
    draw = np.random.default_rng(0)
    x = np.array(
        [[float(value), name] for value, name in zip(draw.normal(size=60), ["a", "b", None] * 20, strict=True)]
    )
    x = x.astype(object)
    x[:, 0] = draw.normal(size=60)
    y = np.where([name == "a" for name in x[:, 1]], 1, 0)
    mimic = Mimic(_pipeline(), **SMALL).fit(x, y)
    assert [column.kind for column in mimic.columns_] == ["number", "nominal"]
    assert mimic.columns_[1].missing
    assert mimic.score(x, y) > 0.9
    assert mimic.predict_proba(x.tolist()).tolist() == mimic.predict_proba(x).tolist(), "lists of mixed types too"


def test_one_missing_value_refuses_no_batch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    x = pd.DataFrame({"age": np.arange(40) % 7 * 1.0, "color": ["red", "blue"] * 20})
    teacher = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["color"]), remainder="passthrough"), LogisticRegression()
    )
    mimic = Mimic(teacher, **SMALL | {"steps": 20}).fit(x, np.arange(40) % 2)
    artifact = mimic.save(tmp_path / "artifact")
    gap = x.astype({"age": object}).copy()
    gap.loc[3, "age"] = None
    records = gap.to_dict("records")
    expected = mimic.predict_proba(pd.DataFrame({"age": [x["age"].mean()], "color": ["blue"]}))
    for rows in (gap, records, {"age": gap["age"].tolist(), "color": x["color"].tolist()}):
        caplog.clear()
        assert np.allclose(mimic.predict_proba(rows)[3], expected, atol=1e-6)
        assert "of 40 rows, 1 values are missing or names never seen" in caplog.text
        assert "(1 of 'age')" in caplog.text
        assert np.allclose(artifact.predict_proba(rows)[3], expected, atol=1e-3)
    for row in (records[3], gap.iloc[3], {"age": "", "color": "blue"}, {"age": float("nan"), "color": "blue"}):
        assert np.allclose(mimic.predict_proba(row), expected, atol=1e-6)
        assert np.allclose(artifact.predict_proba(row), expected, atol=1e-3)


def test_numbers_that_the_teacher_would_take_for_names(caplog: pytest.LogCaptureFixture) -> None:
    x = np.array([[f"{i},5", float(i % 2)] for i in range(40)], dtype=object)
    teacher = make_pipeline(
        make_column_transformer((OneHotEncoder(handle_unknown="ignore"), [0]), remainder="passthrough"),
        LogisticRegression(),
    )
    Mimic(teacher, **SMALL | {"steps": 20}).fit(x, np.arange(40) % 2)
    assert "column 'column 0' is read as names, 40 of them, though its values are written like numbers" in caplog.text


def test_value_that_was_not_there_in_training(tmp_path: Path) -> None:
    x = np.array([[float(i % 7), "ab"[i % 2]] for i in range(40)], dtype=object)
    y = np.arange(40) % 2
    strict = Mimic(_pipeline(), **SMALL | {"steps": 20}).fit(x, y)
    lenient = Mimic(_pipeline(), **SMALL | {"steps": 20, "unseen": "missing"}).fit(x, y)
    new = np.array([[1.0, "z"], [None, "a"]], dtype=object)
    with pytest.raises(BadInput, match=r"column 'column 1' .* got .*'z' in row 0.*unseen='missing'"):
        strict.predict(new[:1])
    middle = np.array([[x[:, 0].mean(), "a"]], dtype=object)
    assert np.allclose(strict.predict_proba(new[1:]), strict.predict_proba(middle), atol=1e-6)
    assert lenient.predict(new).shape == (2,)
    for mimic in (strict, lenient):
        artifact = mimic.save(tmp_path / mimic.unseen)
        assert artifact.manifest["input"]["unseen"] == mimic.unseen


def test_numbers_that_are_names(blobs: tuple[Rows, Rows], tmp_path: Path) -> None:
    x = np.column_stack([blobs[0], np.arange(60) % 4 + 1])
    mimic = Mimic(LogisticRegression(), nominal=[2], embed=2, **SMALL).fit(x, blobs[1])
    assert mimic.columns_.mask.tolist() == [False, False, True]
    assert mimic.score(x, blobs[1]) > 0.9
    artifact = mimic.save(tmp_path / "artifact")
    for rows in (x, x.astype(np.float32), torch.from_numpy(x), x.tolist()):
        with pytest.raises(
            BadInput, match=r"^column 'column 2' of artifact must be a code .*; got 4\.0 in row 3\. Give"
        ):
            artifact.predict(rows)
    for rows in (artifact.encode(x), torch.from_numpy(artifact.encode(x)), x.astype(object)):
        assert (artifact.predict(rows) == mimic.predict(x)).all()
    with pytest.raises(BadInput, match="nominal"):
        Mimic(LogisticRegression(), nominal=[3], **SMALL).fit(x, blobs[1])


def test_frame_given_to_a_mimic_of_arrays_and_back(
    mimic: Mimic, of_frame: Mimic, blobs: tuple[Rows, Rows], frame: tuple[pd.DataFrame, Rows]
) -> None:
    named = pd.DataFrame(blobs[0], columns=["u", "v"])
    with pytest.warns(UserWarning, match="X has feature names, but Mimic was fitted without"):
        assert np.array_equal(mimic.predict(named), mimic.predict(blobs[0]))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        assert of_frame.predict(frame[0].to_numpy(dtype=object)).tolist() == of_frame.predict(frame[0]).tolist()


# -- artifacts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_artifact_says_the_same_of_float32_rows(
    runtime: str, mimic: Mimic, blobs: tuple[Rows, Rows], tmp_path: Path
) -> None:
    mimic.save(tmp_path / "artifact", runtime)
    for wrong in ("", "tflite"):
        with pytest.raises(
            BadInput, match=rf"^runtime of Mimic\.save must be a known name; got {wrong!r}\. Choose from"
        ):
            mimic.save(tmp_path / "other", wrong)
    artifact = attar.load(tmp_path / "artifact")
    assert artifact.classes == ("ant", "bee", "cat")
    assert artifact.candidate.runtime == runtime
    rows = blobs[0].astype(np.float32)
    np.testing.assert_allclose(artifact.predict_proba(rows), mimic.predict_proba(rows), rtol=0, atol=1e-6)
    np.testing.assert_allclose(artifact.predict_proba(rows[:1]), mimic.predict_proba(rows[:1]), rtol=0, atol=1e-6)
    assert artifact.predict(rows).tolist() == mimic.predict(rows).tolist()
    np.testing.assert_allclose(artifact.logits(rows), mimic.logits(rows), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", [lambda x: x, pa.Table.from_pandas], ids=["pandas", "arrow"])
def test_artifact_says_the_same_of_tables(
    form: Callable[[pd.DataFrame], Any], of_frame: Mimic, frame: tuple[pd.DataFrame, Rows], tmp_path: Path
) -> None:
    of_frame.save(tmp_path / "artifact")
    artifact = attar.load(tmp_path / "artifact")
    rows = frame[0]
    np.testing.assert_allclose(artifact.predict_proba(form(rows)), of_frame.predict_proba(rows), rtol=0, atol=1e-6)
    cells = rows.astype(object).to_numpy().tolist()  # texts among them, of which NumPy would make nothing but texts
    np.testing.assert_allclose(artifact.predict_proba(cells), of_frame.predict_proba(rows), rtol=0, atol=1e-6)
    codes = of_frame.columns_.encode(rows).astype(np.float32)
    np.testing.assert_allclose(artifact.predict_proba(codes), of_frame.predict_proba(rows), rtol=0, atol=1e-6)


def test_artifact_of_a_regressor(blobs: tuple[Rows, Rows], tmp_path: Path) -> None:
    x = blobs[0].astype(np.float32)
    mimic = Mimic(LinearRegression(), **SMALL).fit(x, 1000 + 50 * x[:, 0])
    artifact = mimic.save(tmp_path / "artifact")
    np.testing.assert_allclose(artifact(x)[:, 0], mimic.predict(x), rtol=1e-5)
    with pytest.raises(BadInput):
        artifact.predict_proba(x)


def test_unknown_runtime(mimic: Mimic, tmp_path: Path) -> None:
    with pytest.raises((BadInput, DeploymentError), match="onnxruntime"):
        mimic.save(tmp_path / "artifact", "onnxruntim")


def test_pickle_and_state(mimic: Mimic, blobs: tuple[Rows, Rows]) -> None:
    again = pickle.loads(pickle.dumps(mimic))
    np.testing.assert_array_equal(again.predict_proba(blobs[0]), mimic.predict_proba(blobs[0]))
    assert again.report_ == mimic.report_


# -- what it refuses ---------------------------------------------------------------------------------------------------


def test_teacher_not_fitted_and_no_labels(blobs: tuple[Rows, Rows]) -> None:
    with pytest.raises(BadInput, match="a LogisticRegression, is not fitted, and there is no y"):
        Mimic(LogisticRegression(), **SMALL).fit(blobs[0])


def test_mimic_not_fitted(blobs: tuple[Rows, Rows], tmp_path: Path) -> None:
    for use in (lambda m: m.predict(blobs[0]), lambda m: m.predict_proba(blobs[0]), lambda m: m.save(tmp_path / "a")):
        with pytest.raises(NotFittedError):
            use(Mimic(LogisticRegression(), **SMALL))


def test_a_failed_fit_leaves_nothing_that_looks_fitted(blobs: tuple[Rows, Rows]) -> None:
    mimic = Mimic(LogisticRegression(), **SMALL | {"validation": 59})
    earlier = Mimic(LogisticRegression(), **SMALL | {"steps": 1}).fit(*blobs).set_params(validation=59)
    for one in (mimic, earlier):
        with pytest.raises(BadInput, match="validation of Mimic takes 59 of the 60 rows"):
            one.fit(*blobs)
        with pytest.raises(NotFittedError):
            one.predict(blobs[0])


def test_a_stack_knows_when_it_is_fitted_whether_it_gives_probabilities(blobs: tuple[Rows, Rows]) -> None:
    models = [("tree", DecisionTreeClassifier(max_depth=2)), ("linear", LogisticRegression())]
    stack = StackingClassifier(models, cv=2)
    assert not hasattr(stack, "predict_proba")
    mimic = Mimic(make_pipeline(StandardScaler(), stack), **SMALL).fit(*blobs)
    assert mimic.score(*blobs) > 0.9
    with pytest.raises(BadInput, match="a Pipeline, gives no probabilities"):
        Mimic(make_pipeline(StackingClassifier(models, RidgeClassifier(), cv=2)), **SMALL).fit(
            np.tile(blobs[0], (2, 1)), np.tile(np.arange(3), 40)
        )
    with pytest.raises(BadInput, match="a Pipeline, gives no probabilities"):
        Mimic(make_pipeline(StandardScaler(), LinearSVC()), **SMALL).fit(blobs[0], np.tile(np.arange(3), 20))


def test_no_probabilities(blobs: tuple[Rows, Rows]) -> None:
    fits: list[int] = []

    class Silent(RidgeClassifier):  # type: ignore[misc]
        def fit(self, X: Any, y: Any) -> Any:
            fits.append(len(X))
            return super().fit(X, y)

    with pytest.raises(BadInput, match=r"a Silent, gives no probabilities.*CalibratedClassifierCV"):
        Mimic(Silent(), **SMALL).fit(*blobs)
    assert not fits, "no time is spent on a teacher of no use"
    with pytest.raises(BadInput, match="predict_proba"):
        Mimic(RidgeClassifier().fit(*blobs), **SMALL).fit(blobs[0])


@pytest.mark.parametrize("teacher", [None, 3, "forest", LogisticRegression, object()])
def test_what_is_no_teacher(teacher: object, blobs: tuple[Rows, Rows]) -> None:
    with pytest.raises(BadInput, match=r"^teacher of Mimic must be a classifier or a regressor; got .*Give a"):
        Mimic(teacher, **SMALL).fit(*blobs)


def test_one_class_only(blobs: tuple[Rows, Rows]) -> None:
    with pytest.raises(BadInput, match="has 1 class only"):
        Mimic(LogisticRegression(), **SMALL).fit(blobs[0], np.zeros(60, int))

    class Sure:
        classes_ = np.array([1])

        def predict_proba(self, x: Rows) -> Rows:
            return np.ones((len(x), 1))

    with pytest.raises(BadInput, match="knows one class only"):
        Mimic(Sure(), **SMALL).fit(blobs[0])


def test_infinite_values(mimic: Mimic, teacher: LogisticRegression, blobs: tuple[Rows, Rows]) -> None:
    x = blobs[0].copy()
    x[3, 1] = np.inf
    for use in (lambda: Mimic(teacher, **SMALL).fit(x), lambda: mimic.predict(x)):
        with pytest.raises(BadInput, match=r"column 'column 1' .*finite.*got inf in row 3"):
            use()


def test_other_columns_than_those_of_the_fit(
    mimic: Mimic, of_frame: Mimic, blobs: tuple[Rows, Rows], frame: tuple[pd.DataFrame, Rows]
) -> None:
    with pytest.raises(ValueError, match="X has 1 features, but Mimic is expecting 2"):
        mimic.predict(blobs[0][:, :1])
    with pytest.raises(BadInput, match="have no column 'color'"):
        of_frame.predict(frame[0].drop(columns="color"))
    with pytest.raises(BadInput, match="'age'"):
        of_frame.predict(frame[0].assign(age=1))


def test_too_few_rows(teacher: LogisticRegression, frame: tuple[pd.DataFrame, Rows], blobs: tuple[Rows, Rows]) -> None:
    with pytest.raises(ValueError, match="X must have at least 3 rows; got 2"):
        Mimic(teacher, **SMALL).fit(blobs[0][:2])
    with pytest.raises(BadInput, match=r"X must have at least 3 rows; got 2 sample\(s\)"):
        Mimic(LogisticRegression(), **SMALL).fit(frame[0][:2], frame[1][:2])
    assert Mimic(teacher, **SMALL | {"steps": 5}).fit(blobs[0][:3]).report_.validation_rows == 1


def test_labels_that_do_not_fit(blobs: tuple[Rows, Rows]) -> None:
    x, y = blobs
    for wrong, says in (
        (y[:-1], r"y of Mimic.fit must be \[60\], one for each row; got \(59,\)"),
        (np.linspace(0, 1, 60), "continuous"),
        (np.full(60, np.nan), "got nan in row 0 and 59 more such rows"),
        (np.stack([y, y], axis=1), "one for each of several labels, so that all of them must be 1 or 0"),
    ):
        with pytest.raises(ValueError, match=says):
            Mimic(LogisticRegression(), **SMALL).fit(x, wrong)
    with pytest.warns(DataConversionWarning, match="column-vector"):
        Mimic(LogisticRegression(), **SMALL | {"steps": 5}).fit(x, y[:, None])
    with pytest.raises(ValueError, match="got nan in row 0 and 59 more such rows"):
        Mimic(LinearRegression(), **SMALL).fit(x, np.full(60, np.nan))


# -- what others see ---------------------------------------------------------------------------------------------------


def test_progress_is_told_of_every_part(teacher: LogisticRegression, blobs: tuple[Rows, Rows]) -> None:
    told: dict[str, int] = {}

    def progress(title: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        @contextmanager
        def bar() -> Any:
            told.setdefault(title, 0)

            def advance(steps: int) -> None:
                told[title] += steps

            yield advance

        return bar()

    Mimic(teacher, **SMALL).fit(blobs[0], progress=progress)
    assert told["label real rows"] == 60
    assert told["label synthetic rows"] == 300
    assert told["train the mimic"] == 60


def test_report(mimic: Mimic, of_frame: Mimic) -> None:
    report = mimic.report_
    assert (report.rows, report.validation_rows, report.synthetic_rows) == (60, 6, 300)
    assert report.judged_by == "teacher"
    assert report.mimic is None
    assert not report.teacher_fitted_here
    assert report.steps == 60
    assert report.epochs == 10
    # Two columns with four curves each of sixteen pieces.
    assert report.parameters == 2 * 16 * 4 + (2 + 2 * 4) * 8 + 8 + 8 * 3 + 3
    assert set(report.seconds) == {"labelling", "choice", "tuning", "synthesis", "training"}
    assert (report.curves, report.labels, report.temperature, report.candidates) == (4, 0.0, 1.0, ())
    assert "6 validation rows" in str(report)
    document = of_frame.report_.to_json()
    assert document["teacher_fitted_here"]
    assert document["judged_by"] == "teacher", "labels that the teacher has learned say nothing more than the teacher"
    assert "which was fitted on these rows" in str(of_frame.report_)


@pytest.mark.parametrize("package", ["lightgbm", "xgboost"])
@pytest.mark.parametrize("objective", ["binary", "multiclass", "regression"])
def test_a_bare_booster_is_imitated_as_what_it_was_trained_for(
    package: str, objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws = np.random.default_rng(0)
    x = draws.normal(size=(120, 3))
    y = (x[:, 0] > 0).astype(int) + (x[:, 1] > 0.5) * (objective == "multiclass")
    classes = {"num_class": 3} if objective == "multiclass" else {}
    booster: Any
    if package == "lightgbm":
        settings = {"objective": objective, "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 5, **classes}
        booster = lightgbm.train(settings, lightgbm.Dataset(x, y), 4)
        said = booster.predict(x)
    else:
        goal = {"binary": "binary:logistic", "multiclass": "multi:softprob", "regression": "reg:squarederror"}[
            objective
        ]
        settings = {"objective": goal, "verbosity": 0, "nthread": 1, "max_depth": 2, **classes}
        booster = xgboost.train(settings, xgboost.DMatrix(x, y), 4)
        said = booster.predict(xgboost.DMatrix(x))
    # A booster of XGBoost that was trained on an array knows no names of columns.
    rows = pd.DataFrame(x, columns=["a", "b", "c"]) if package == "lightgbm" and objective == "binary" else x
    mimic = Mimic(booster, **SMALL).fit(rows)
    assert is_regressor(mimic) == (objective == "regression") == (not is_classifier(mimic))
    if objective == "regression":
        assert np.corrcoef(mimic.predict(rows), said)[0, 1] > 0.7
        return
    wanted = said.argmax(1) if said.ndim == 2 else (said > 0.5).astype(int)
    again = pickle.loads(pickle.dumps(mimic.teacher_))
    np.testing.assert_array_equal(again.predict_proba(x), mimic.teacher_.predict_proba(x))
    monkeypatch.delattr("attar.estimators.teachers.estimator_of_booster")  # it is read once, when it is fitted
    assert mimic.predict_proba(rows).argmax(1).tolist() == mimic.logits(rows).argmax(1).tolist()
    assert mimic.classes_.tolist() == list(range(3 if objective == "multiclass" else 2))
    assert np.mean(mimic.predict(rows) == wanted) > 0.7


def test_a_booster_with_an_objective_of_its_own_is_refused() -> None:
    settings = {"objective": "lambdarank", "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 2}
    x = np.random.default_rng(0).normal(size=(60, 3))
    booster = lightgbm.train(settings, lightgbm.Dataset(x, (x[:, 0] > 0).astype(int), group=[30, 30]), 2)
    mimic = Mimic(booster, **SMALL)
    assert not hasattr(mimic, "predict_proba")
    with pytest.raises(BadInput, match="LightGBM Booster was trained for the objective 'lambdarank'"):
        mimic.fit(x)


def test_columns_of_one_name_are_told():
    rows = pd.DataFrame(np.ones((9, 2)), columns=["a", "a"])
    with pytest.raises(BadInput, match="Two columns of the rows have one name: 'a' at positions 0 and 1"):
        Mimic(LogisticRegression()).fit(rows, [0, 1, 0] * 3)


@pytest.mark.parametrize("runtime", ["onnx", None, ["torch"]])
def test_a_runtime_that_is_none_is_told_before_anything_is_fitted(runtime: Any):
    told = (
        rf"^runtime of Mimic must be a known name; got {re.escape(repr(runtime))}. (Choose|Did you mean '(onnx|torch))"
    )
    with pytest.raises(BadInput, match=told):
        Mimic(LogisticRegression(), runtime=runtime).fit(np.ones((9, 2)), [0, 1, 0] * 3)


def test_more_rows_than_there_is_room_for_are_told():
    columns = attar.Columns.infer(np.ones((3, 2)))
    with pytest.raises(BadInput, match=r"synthetic rows of 2 columns take .*, more than half of the memory"):
        Synthesis(rows=10**15, p=0.5, s=1.0).draw(np.ones((3, 2)), columns)
