"""Fitted models from the files of their own packages: the same answers, columns by their names, nothing run."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import skops.io
import torch
import xgboost
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.preprocessing import FunctionTransformer

from attar.errors import BadInput, CorruptFile, MissingExtra
from attar.estimators.mimic import Mimic
from attar.tables.columns import Columns
from attar.teachers.as_teacher import as_teacher
from attar.teachers.estimator_checks import check_lightgbm, check_model, check_xgboost
from attar.teachers.labels import LabelsTeacher
from attar.teachers.model_file import read_model

DRAWS = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "petal width": DRAWS.normal(size=90),
        "color": pd.Categorical(DRAWS.choice(["red", "green", "blue"], 90), categories=["red", "green", "blue"]),
        "shape": pd.Categorical(DRAWS.choice(list("vwxyz"), 90)),
    }
)
LABELS = ((FRAME["petal width"] > 0) & (FRAME["color"] != "red") & (FRAME["shape"] != "v")).to_numpy().astype(int)
# A table as a file has it: columns in another order, categories numbered in another way.
TABLE = FRAME.astype({"color": str, "shape": str})[["shape", "petal width", "color"]]
COLUMNS = Columns.infer(TABLE)
ROWS = torch.from_numpy(COLUMNS.encode(TABLE)).float()


def lightgbm_file(path: Path, frame: pd.DataFrame = FRAME) -> Any:
    settings = {"objective": "binary", "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 2, "cat_smooth": 0}
    booster = lightgbm.train({**settings, "min_data_per_group": 1}, lightgbm.Dataset(frame, LABELS), 5)
    booster.save_model(path)
    return booster.predict(frame)


def xgboost_file(path: Path, frame: pd.DataFrame = FRAME) -> Any:
    settings = {"objective": "binary:logistic", "nthread": 1, "max_depth": 3}
    rows = xgboost.DMatrix(frame, LABELS, enable_categorical=True)
    booster = xgboost.train(settings, rows, 5)
    booster.save_model(path)
    return booster.predict(rows)


FILES = {"model.txt": lightgbm_file, "model.json": xgboost_file, "model.ubj": xgboost_file}


@pytest.mark.parametrize("name", FILES)
def test_boosters_get_their_columns_by_name_and_their_categories(name: str, tmp_path: Path) -> None:
    expected = FILES[name](tmp_path / name)
    teacher = as_teacher(tmp_path / name, columns=COLUMNS, classes=2)
    assert teacher.classes == 2
    np.testing.assert_allclose(teacher.predict(ROWS).softmax(1)[:, 1].numpy(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", FILES)
def test_numbers_without_names_go_by_place(name: str, tmp_path: Path) -> None:
    frame = FRAME[["petal width"]].rename(columns={"petal width": "w"})
    expected = FILES[name](tmp_path / name, frame)
    # Without a table, what counts is where a number stands.
    teacher = as_teacher(str(tmp_path / name))
    given = teacher.predict(torch.from_numpy(frame.to_numpy(copy=True)).float())
    np.testing.assert_allclose(given.softmax(1)[:, 1].numpy(), expected, rtol=1e-4, atol=1e-6)


def test_columns_that_a_booster_does_not_know_are_named(tmp_path: Path) -> None:
    lightgbm_file(tmp_path / "model.txt")
    others = TABLE.rename(columns={"shape": "form"})
    with pytest.raises(
        BadInput, match=r"those that the estimator was fitted on; got \['form'\] beside them, \['shape'\]"
    ):
        as_teacher(tmp_path / "model.txt", columns=Columns.infer(others), classes=2)


def test_what_a_file_of_skops_holds_answers_as_before(tmp_path: Path) -> None:
    numbers = FRAME[["petal width"]].to_numpy(copy=True)
    for model in (HistGradientBoostingClassifier(max_iter=3), HistGradientBoostingRegressor(max_iter=3)):
        model.fit(numbers, LABELS)
        skops.io.dump(model, tmp_path / "model.skops")
        teacher = as_teacher(tmp_path / "model.skops")
        given = teacher.predict(torch.from_numpy(numbers).float())
        inputs = numbers.astype(np.float32).astype(np.float64)
        if isinstance(model, HistGradientBoostingRegressor):
            np.testing.assert_allclose(given[:, 0].numpy(), model.predict(inputs), rtol=1e-5)
        else:
            np.testing.assert_allclose(given.softmax(1).numpy(), model.predict_proba(inputs), rtol=1e-4)


@pytest.mark.parametrize("field", ["left", "right", "feature_idx"])
def test_binned_trees_point_nowhere_else(field: str) -> None:
    model = HistGradientBoostingClassifier(max_iter=2).fit(FRAME[["petal width"]].to_numpy(), LABELS)
    check_model(model)
    model._predictors[1][0].nodes[field][0] = 10**6
    with pytest.raises(BadInput, match="points outside itself or outside the columns"):
        check_model(model)


def test_sets_of_categories_lie_within(tmp_path: Path) -> None:
    model = HistGradientBoostingClassifier(max_iter=2, categorical_features=[1]).fit(
        FRAME.assign(color=FRAME["color"].cat.codes)[["petal width", "color"]].to_numpy(), LABELS
    )
    check_model(model)
    tree = next(tree for (tree,) in model._predictors if tree.nodes["is_categorical"].any())
    tree.nodes["bitset_idx"] = 99
    with pytest.raises(BadInput, match="outside its sets of categories"):
        check_model(model)
    lightgbm_file(tmp_path / "model.txt")
    text = (tmp_path / "model.txt").read_text()
    assert "num_cat=0" not in text.split("end of trees")[0], "all trees split by categories"
    check_lightgbm(_Says(text))
    for old, new in (("cat_boundaries=0 1", "cat_boundaries=0 9"), ("num_cat=1", "num_cat=3")):
        assert old in text
        with pytest.raises(BadInput, match="sets of categories"):
            check_lightgbm(_Says(text.replace(old, new)))
    xgboost_file(tmp_path / "model.json")
    text = (tmp_path / "model.json").read_text()
    check_xgboost(_Says(text))
    document = json.loads(text)
    tree = next(t for t in document["learner"]["gradient_booster"]["model"]["trees"] if t["categories"])
    tree["categories_sizes"][0] = 10**6
    with pytest.raises(BadInput, match="sets of categories"):
        check_xgboost(_Says(json.dumps(document)))


class _Says:
    """What a Booster says of itself."""

    def __init__(self, text: str) -> None:
        self.text = text

    def model_to_string(self, num_iteration: int) -> str:
        return self.text

    def save_raw(self, form: str) -> bytearray:
        return bytearray(self.text.encode())


def test_types_that_nobody_trusts_are_named(tmp_path: Path) -> None:
    skops.io.dump(FunctionTransformer(json.dumps), tmp_path / "model.skops")
    with pytest.raises(BadInput, match=r"'model.skops' holds json.dumps, .* add --allow json \(in Python, allow="):
        read_model(tmp_path / "model.skops")
    assert read_model(tmp_path / "model.skops", trusts=lambda module: module == "json").func is json.dumps


NOTHING = {
    "model.skops": "must be an estimator that skops saved",
    "model.txt": "does not begin with 'tree'",
    "model.json": "it is no JSON",
    "model.ubj": "cannot be read as a model of XGBoost",
}


@pytest.mark.parametrize("name", NOTHING)
def test_a_file_that_is_something_else(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"no file '.*{name}'"):
        read_model(tmp_path / name)
    (tmp_path / name).write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(CorruptFile, match=NOTHING[name]):
        read_model(tmp_path / name)


def test_a_cut_model_of_lightgbm_and_a_dump_of_it(tmp_path: Path) -> None:
    lightgbm_file(tmp_path / "model.txt")
    text = (tmp_path / "model.txt").read_text()
    size = text.partition("tree_sizes=")[2].partition(" ")[0]
    for spoilt in (text[:40], text[:900], text[:-400].partition("end of trees")[0], text.replace(size, "9", 1)):
        (tmp_path / "model.txt").write_text(spoilt)  # LightGBM itself would end the process
        with pytest.raises(CorruptFile, match="cannot be read as a model of LightGBM"):
            read_model(tmp_path / "model.txt")
    xgboost_file(tmp_path / "model.ubj")
    whole = (tmp_path / "model.ubj").read_bytes()
    for length in (10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "model.ubj").write_bytes(whole[:length])
        with pytest.raises(CorruptFile, match="cannot be read as a model of XGBoost"):
            read_model(tmp_path / "model.ubj")
    (tmp_path / "model.json").write_text('{"name": "tree", "tree_info": []}')
    with pytest.raises(CorruptFile, match="what LightGBM's dump_model gives"):
        read_model(tmp_path / "model.json")
    with pytest.raises(BadInput, match=r"model.pkl'?, which is a pickle, .*skops.io.dump"):
        as_teacher("model.pkl")


class _CatBoost:
    """What CatBoost's models have in common with what is read here, with a model of one tree."""

    feature_names_ = ["color", "petal width"]
    classes_ = np.array(["no", "yes"], object)
    goal = "Logloss"
    names = [0]

    def load_model(self, path: str, format: str) -> None:
        assert format == "cbm" and Path(path).read_bytes() == b"CBM1"

    def save_model(self, path: str) -> None:
        Path(path).write_bytes(b"CBM1")

    def is_fitted(self) -> bool:
        return bool(self.goal)

    def get_all_params(self) -> dict[str, str]:
        return {"loss_function": self.goal}

    def get_cat_feature_indices(self) -> list[int]:
        return self.names

    def predict(self, rows: Any, prediction_type: str) -> Any:
        self.asked = rows
        if prediction_type == "RawFormulaVal":
            return np.arange(len(rows), dtype=np.float64)
        assert prediction_type == "Probability"
        if self.goal == "MultiLogloss":
            return np.tile([0.9, 0.2, 0.7], (len(rows), 1))
        if self.goal == "MultiClassOneVsAll":
            return np.tile([0.8, 0.8], (len(rows), 1))
        assert list(rows.columns) == self.feature_names_ and set(rows["color"]) == {"red", "green", "blue"}
        yes = np.where(rows["color"] == "red", 0.1, 0.7)
        return np.stack([1 - yes, yes], axis=1)


@pytest.fixture
def catboost(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package, with one kind of model, which is changed back."""
    package = ModuleType("catboost")
    package.CatBoost = type("CatBoost", (_CatBoost,), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "catboost", package)
    return package


def test_catboost_by_a_model_that_has_its_manners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.cbm").write_bytes(b"CBM1")
    monkeypatch.setitem(sys.modules, "catboost", None)
    with pytest.raises(MissingExtra, match=r"needs the package 'catboost', which is not installed. Run: pip install"):
        read_model(tmp_path / "model.cbm")
    package = ModuleType("catboost")
    package.CatBoost = _CatBoost  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "catboost", package)
    table = TABLE[["petal width", "color"]]
    columns = Columns.infer(table)
    teacher = as_teacher(tmp_path / "model.cbm", columns=columns, classes=["yes", "no"])
    given = teacher.predict(torch.from_numpy(columns.encode(table)).float()).softmax(1)[:, 0]
    np.testing.assert_allclose(given.numpy(), np.where(table["color"] == "red", 0.1, 0.7), rtol=1e-5)


def test_catboost_takes_for_names_what_it_was_fitted_on(tmp_path: Path, catboost: Any) -> None:
    catboost.CatBoost.feature_names_ = ["flag", "branch", "width", "color"]
    catboost.CatBoost.names = [0, 1, 3]
    catboost.CatBoost.goal = "RMSE"
    (tmp_path / "model.cbm").write_bytes(b"CBM1")
    table = pd.DataFrame({
        "flag": [True, False, True], "branch": [7.0, 12.0, None], "width": [0.5, 2.0, 3.0],
        "color": ["red", None, "blue"],
    })  # fmt: skip
    model = read_model(tmp_path / "model.cbm")
    rows = Columns.infer(table).decode(Columns.infer(table).encode(table), like="pandas")
    np.testing.assert_array_equal(model.predict(rows), [0.0, 1.0, 2.0])
    assert model.trees.model.asked["flag"].tolist() == ["1", "0", "1"], "a bool is 1 or 0 to CatBoost, and not True"
    assert model.trees.model.asked["branch"].tolist() == ["7", "12", "nan"]
    assert model.trees.model.asked["color"].tolist() == ["red", "nan", "blue"]
    assert model.trees.model.asked["width"].tolist() == [0.5, 2.0, 3.0]
    model.predict(table.to_numpy(object))
    assert model.trees.model.asked.tolist() == [
        ["1", "7", 0.5, "red"],
        ["0", "12", 2.0, "nan"],
        ["1", "nan", 3.0, "blue"],
    ]


def test_catboost_of_rows_without_names(tmp_path: Path, catboost: Any) -> None:
    catboost.CatBoost.feature_names_, catboost.CatBoost.names = ["0", "1"], []
    (tmp_path / "model.cbm").write_bytes(b"CBM1")
    catboost.CatBoost.goal = "RMSE"
    values = as_teacher(tmp_path / "model.cbm").predict(torch.ones(3, 2))
    assert values.tolist() == [[0.0], [1.0], [2.0]]
    catboost.CatBoost.goal = "MultiClassOneVsAll"
    logits = as_teacher(tmp_path / "model.cbm").predict(torch.ones(3, 2))
    np.testing.assert_allclose(logits.softmax(1), np.full((3, 2), 0.5), rtol=1e-6)
    catboost.CatBoost.goal = "MultiLogloss"
    catboost.CatBoost.classes_ = np.arange(3)
    labels = as_teacher(tmp_path / "model.cbm")
    assert isinstance(labels, LabelsTeacher) and labels.classes == 3
    np.testing.assert_allclose(labels.predict(torch.ones(2, 2)).sigmoid(), [[0.9, 0.2, 0.7]] * 2, rtol=1e-5)


def test_what_catboost_train_gives_is_a_teacher(catboost: Any) -> None:
    catboost.CatBoost.feature_names_, catboost.CatBoost.names = ["0", "1"], []
    catboost.CatBoost.goal, catboost.CatBoost.classes_ = "MultiLogloss", np.arange(3)
    rows = np.random.default_rng(0).normal(size=(30, 2))
    mimic = Mimic(catboost.CatBoost(), hidden=(4,), rows=20, steps=20, random_state=0, curves=0).fit(rows)
    assert mimic.predict_proba(rows).shape == (30, 3)
    assert as_teacher(catboost.CatBoost()).fingerprint() == as_teacher(catboost.CatBoost()).fingerprint()
    catboost.CatBoost.goal = ""
    with pytest.raises(BadInput, match=r"The CatBoost model is not fitted. Call its fit first, or catboost.train"):
        as_teacher(catboost.CatBoost())
