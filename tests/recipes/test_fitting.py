"""Estimators that are fitted in the run, and what is said of teachers and columns before it."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import IsolationForest, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from attar.data.datasets import Dataset, from_arrays, load
from attar.errors import BadInput
from attar.recipes.data import data_of, rows_in_words
from attar.recipes.data_guards import (
    dates_among_names,
    either,
    many_names,
    numbers_among_names,
    of_data,
    repeated_rows,
    row_numbers,
    seen_by_teacher,
)
from attar.recipes.fitting import fit_estimator, unfitted
from attar.recipes.plan import plan
from attar.recipes.read import recipe_of
from attar.recipes.schema.data import DataSection
from attar.recipes.schema.teacher import TeacherSection
from attar.tables.column import Column
from attar.tables.columns import Columns
from attar.teachers.digest import digest
from attar.teachers.estimator import EstimatorTeacher
from attar.training.progress import silent


def dataset() -> Dataset:
    """Rows of a table with names, of which some have no label."""
    draw = np.random.default_rng(0)
    x = pd.DataFrame({"size": draw.normal(size=80), "color": draw.choice(["red", "blue"], 80)})
    return from_arrays(x, np.where(np.arange(80) < 8, -1, (x["size"] > 0) ^ (x["color"] == "red")))


def pipeline() -> Any:
    """Fits names as users do, with a random part."""
    encoder = make_column_transformer((OneHotEncoder(), ["color"]), remainder="passthrough")
    return make_pipeline(encoder, RandomForestClassifier(5, max_features=1))


def test_the_same_rows_and_seed_give_the_same_estimator():
    train = dataset().train
    state = np.random.get_state()[1].copy()  # type: ignore[index,union-attr]
    fitted = [fit_estimator(unfitted(pipeline(), 3), train, 3) for _ in range(2)]
    assert digest(fitted[0]) == digest(fitted[1])
    assert digest(fitted[0]) != digest(fit_estimator(unfitted(pipeline(), 4), train, 4))
    assert (np.random.get_state()[1] == state).all()  # type: ignore[index]
    teacher = EstimatorTeacher(fitted[0], columns=train.columns, classes=2)
    assert float((teacher.predict(train.inputs).argmax(1) == train.labels)[train.labels >= 0].float().mean()) > 0.9


def test_weights_of_rows_are_those_of_the_estimator():
    train = dataset().train
    weights = torch.linspace(0.0, 2.0, len(train))
    weighted = replace(train, weights=weights / weights.mean())
    fitted = fit_estimator(DummyClassifier(), weighted, 0)
    assert train.labels is not None and weighted.weights is not None
    known = train.labels >= 0
    shares = [float(weighted.weights[known & (train.labels == one)].sum()) for one in (0, 1)]
    assert fitted.class_prior_.tolist() == pytest.approx([one / sum(shares) for one in shares], rel=1e-5)
    encoded = make_column_transformer((OneHotEncoder(), ["color"]), remainder="passthrough")
    for outer in (
        make_pipeline(encoded, DummyClassifier()),
        make_pipeline(encoded, make_pipeline(DummyClassifier())),
        GridSearchCV(make_pipeline(encoded, DummyClassifier()), {}, cv=2),
    ):
        inner = getattr(fit_estimator(outer, weighted, 0), "best_estimator_", None) or fit_estimator(outer, weighted, 0)
        while hasattr(inner, "steps"):
            inner = inner.steps[-1][1]
        assert inner.class_prior_.tolist() == pytest.approx(fitted.class_prior_.tolist())
    with pytest.raises(
        BadInput, match=r"^teacher.estimator of the recipe, a Pipeline, takes no sample_weight .*data.wei"
    ):
        fit_estimator(make_pipeline(encoded, KNeighborsClassifier()), weighted, 0)


def test_what_is_to_be_fitted_is_looked_at_in_a_dry_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"a": np.arange(40) * 1.5, "w": 1.0, "y": ["no", "yes"] * 20}).to_csv("rows.csv", index=False)
    Path("mine.py").write_text(
        "from sklearn.neighbors import KNeighborsClassifier\n\n\ndef near():\n    return KNeighborsClassifier()\n"
    )
    text = 'name = "mine"\nteacher = { estimator = "mine:near", fit = true }\n'
    Path("mine.toml").write_text(f'{text}data = {{ use = "rows.csv", target = "y", weights = "w" }}\n')
    with pytest.raises(BadInput, match=r"a KNeighborsClassifier, takes no sample_weight when it is fitted"):
        plan("mine.toml")


def test_only_labeled_training_rows_are_seen():
    train = dataset().train
    seen = fit_estimator(unfitted(DummyClassifier(), 0), train, 0)
    assert train.labels is not None
    known = train.labels[train.labels >= 0].numpy()
    assert len(known) < len(train) and np.allclose(seen.class_prior_, np.bincount(known) / len(known))


def test_a_fit_that_came_along_is_forgotten():
    fitted = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    assert not hasattr(unfitted(fitted, 0), "coef_") and hasattr(fitted, "coef_")


@pytest.mark.parametrize("given", [RandomForestClassifier, object(), None])
def test_what_cannot_be_fitted(given: object):
    with pytest.raises(
        BadInput, match=r"^teacher\.estimator of the recipe must be a function that returns an estimator"
    ):
        unfitted(given, 0)


@pytest.mark.parametrize(
    ("given", "does"),
    [
        (RandomForestRegressor(), "predicts values"),
        (make_pipeline(PCA(1), LinearRegression()), "predicts values"),
        (KMeans(2), "finds clusters"),
        (IsolationForest(), "finds outliers"),
        (PCA(1), "is no classifier"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
def test_what_is_no_classifier_is_not_fitted_at_all(given: Any, does: str):
    with pytest.raises(BadInput, match=f", which {does}, and the data have classes"):
        unfitted(given, 0)


def test_an_estimator_that_does_not_take_the_rows():
    with pytest.raises(
        BadInput, match=r"^teacher\.estimator of the recipe: LogisticRegression cannot be fitted on the"
    ):
        fit_estimator(unfitted(LogisticRegression(), 0), dataset().train, 0)


class TestWhatTheTeacherHasSeen:
    def said(self, drawn: tuple[str, ...], **teacher: Any) -> str | None:
        return seen_by_teacher(TeacherSection.model_validate(teacher), replace(dataset(), drawn=drawn))

    @pytest.mark.parametrize("teacher", [{"onnx": ["t.onnx"]}, {"estimator": "mine:make"}])
    def test_a_given_one_is_doubted_where_no_test_rows_are_named(self, teacher: dict[str, Any]):
        assert "Nothing says which rows" in str(self.said(("validation", "test"), **teacher))
        assert self.said((), **teacher) is None

    def test_validation_rows_drawn_out_of_those_it_may_have_seen_are_doubted_too(self):
        said = str(self.said(("validation",), estimator="mine:make"))
        assert "has seen the validation rows" in said and said.endswith(
            "or let the run fit it with teacher.fit = true."
        )

    @pytest.mark.parametrize(
        "teacher", [{"estimator": "mine:make", "fit": True}, {"network": {"use": "mine:make"}}, {"library": {}}]
    )
    def test_one_that_is_fitted_here_is_not(self, teacher: dict[str, Any]):
        assert self.said(("validation", "test"), **teacher) is None

    def test_only_estimators_are_fitted(self):
        with pytest.raises(ValueError, match="fit = true is for an estimator"):
            TeacherSection.model_validate({"onnx": ["t.onnx"], "fit": True})


def test_columns_that_are_doubtful():
    frame = pd.DataFrame({"name": [f"n{place % 30}" for place in range(40)], "size": ["1,234", "5,678"] * 20})
    name, size = Columns.infer(frame, texts=True)
    assert "30 different values in 40 training rows" in str(many_names(name, 40))
    assert many_names(name, 100) is None and either(name) is None
    assert "integer from 1234 to 5678, written with commas between thousands" in str(either(size))


def test_a_column_that_counts_the_rows_is_told():
    (column,) = Columns.infer(pd.DataFrame({"Unnamed: 0": np.arange(40)}))
    ids = torch.arange(120)[::3].clone()
    assert "'Unnamed: 0' counts the rows of the file" in str(row_numbers(column, ids + 1.0, ids))
    assert row_numbers(column, ids[:5] + 1.0, ids[:5]) is None
    assert row_numbers(column, ids.flip(0) + 1.0, ids) is None


def test_dates_that_are_not_read_as_dates_are_told():
    days = pd.date_range("2024-01-01", periods=40)
    frame = pd.DataFrame({
        "us": days.strftime("%m/%d/%Y"),
        "mixed": [*days.strftime("%Y-%m-%d")[:39], "soon"],
        "version": [f"1.{place}.13" for place in range(40)],
    })  # fmt: skip
    us, mixed, version = Columns.infer(frame)
    assert "taken for 40 names, which are dates such as '01/01/2024'. Write all" in str(dates_among_names(us))
    assert "dates such as '2024-01-01' but for 'soon'." in str(dates_among_names(mixed))
    assert dates_among_names(version) is None


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (lambda draw: {"a": draw.normal(size=100)}, None),
        (lambda draw: {"a": np.tile(draw.normal(size=50), 2), "b": np.zeros(100)}, True),
        (lambda draw: {"a": draw.integers(0, 3, 100), "b": draw.integers(0, 3, 100)}, None),
    ],
    ids=["new", "copies", "few values"],
)
def test_rows_that_are_in_train_and_in_test_are_told(frame: Any, told: bool | None):
    draw = np.random.default_rng(0)
    dataset = from_arrays(pd.DataFrame(frame(draw)), np.arange(100) % 2)
    found = repeated_rows(dataset)
    if told is None:
        assert found is None
        return
    train = set(dataset.train.inputs[:, 0].tolist())
    both = sum(one in train for one in dataset.test.inputs[:, 0].tolist())
    assert both > 10 and f"Of the 20 test rows {both} stand among the training rows" in str(found)


def test_a_file_of_test_rows_that_are_the_training_rows_is_told(tmp_path: Path):
    draw = np.random.default_rng(0)
    few = pd.DataFrame({"a": draw.integers(0, 3, 80), "b": draw.integers(0, 3, 80), "y": np.arange(80) % 2})
    few.to_csv(tmp_path / "few.csv", index=False)
    same = load(tmp_path / "few.csv", target="y", test=str(tmp_path / "few.csv"))
    assert "Of the 80 test rows 80 stand among the training rows" in str(repeated_rows(same))


def test_what_is_said_while_data_are_read_is_among_the_warnings(tmp_path: Path):
    rows = pd.DataFrame({"id": 10**12 + np.arange(80), "y": ["yes", " yes"] * 40})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    data = {"use": str(tmp_path / "rows.csv"), "target": "y"}
    recipe = recipe_of({"name": "rows", "data": data, "teacher": {"estimator": "mine:forest", "fit": True}})
    dataset = data_of(recipe, silent)
    first, second = dataset.remarks
    assert first.startswith("Target column 'y' of rows.csv has the classes ' yes' and 'yes', which are two")
    assert second.startswith("Column 'id' has numbers up to 1,000,000,000,0") and second.endswith("are names.")
    assert of_data(recipe, dataset)[:2] == [first, second]
    logging.getLogger("attar.data").warning("later")
    assert len(dataset.remarks) == 2


def test_rows_without_a_label_and_what_rows_count_are_said(tmp_path: Path):
    labels = ["" if row < 30 else ("yes", "no")[row % 2] for row in range(80)]
    rows = pd.DataFrame({"a": np.arange(80) / 7, "count": [1, 2] * 40, "y": labels})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    data = {"use": str(tmp_path / "rows.csv"), "target": "y"}
    teacher = {"estimator": "mine:forest", "fit": True}
    plain = recipe_of({"name": "rows", "data": {**data, "ignore": ["count"]}, "teacher": teacher})
    weighted = recipe_of({"name": "rows", "data": {**data, "weights": "count"}, "teacher": teacher})
    without = "30 training rows have no label: what the teacher says of them is all that is learned there"
    assert rows_in_words(plain, data_of(plain, silent)) == [without]
    assert rows_in_words(weighted, data_of(weighted, silent))[1:] == ["training rows count by 'count', test rows once"]
    one = data_of(plain, silent).train.rows(slice(29, None))
    labeled = replace(data_of(plain, silent), train=one)
    assert rows_in_words(plain, labeled) == [without.replace("30", "1").replace("rows have", "row has")]


@pytest.mark.parametrize("value", ["rows.csv", 0.3])
def test_test_rows_are_a_share_or_a_file(value: object):
    assert DataSection.model_validate({"use": "digits", "test": value}).test == value


@pytest.mark.parametrize("value", [20, 20.0, "20%", "20 %"])
def test_a_share_in_percent_is_told_how_it_is_written(value: object):
    with pytest.raises(ValueError, match=r"got '?20.*\. Write 0\.2 for 20%"):
        DataSection.model_validate({"use": "digits", "test": value})


def test_a_split_that_is_no_name_is_told_how_rows_are_divided():
    with pytest.raises(ValueError, match=r"the name of a column .*; got \[80, 20\]\. To divide .*test = 0\.2"):
        DataSection.model_validate({"use": "digits", "split": [80, 20]})


@pytest.mark.parametrize("value", [0, 1, 1.5, "", True, None])
def test_other_parts_are_refused(value: object):
    with pytest.raises(ValueError, match="must be a share between 0 and 1, or the name of a file with the rows; got"):
        DataSection.model_validate({"use": "digits", "validation": value})


def test_a_recipe_fits_and_tells_the_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):

    (tmp_path / "rows.csv").write_text(
        "a;y\n" + "".join(f"{place},5;{('no', 'yes')[place % 2]}\n" for place in range(60))
    )
    (tmp_path / "fitting_teacher.py").write_text(
        "from sklearn.dummy import DummyClassifier\n\ndef make():\n    return DummyClassifier()\n"
    )
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\ndata.use = "rows.csv"\ndata.target = "y"\nteacher.estimator = "fitting_teacher:make"\n'
        'teacher.fit = true\n[student.network]\nuse = "attar.network.architectures:tabular"\n'
        '[objective.soft]\nuse = "soft_targets"\n[artifacts]\nruntimes = ["onnxruntime"]\n'
    )
    monkeypatch.chdir(tmp_path)
    found = plan("mine.toml")
    assert found.columns == {"a": "number from 0.5 to 59.5, written with decimal comma"} or "decimal comma" in str(
        found
    )
    assert not any("Nothing says" in text for text in found.warnings)


@pytest.mark.parametrize(
    ("categories", "said"),
    [
        (("0.5", "1.5", "2.5", "3.5", "Total"), "which are numbers such as '0.5' but for 'Total'"),
        (("0,5", "1.5", "2,5", "3.5"), "which are numbers such as '0,5' in more than one way"),
        (("1", "2", "unknown"), None),
        (("4", "5", "a", "b", "c"), None),
        ((1, 2, 3, 4, 5), None),
    ],
)
def test_numbers_among_names_are_told(categories: tuple[Any, ...], said: str | None) -> None:
    sentence = numbers_among_names(Column("size", "nominal", categories=categories))
    assert sentence is None if said is None else said in str(sentence)
