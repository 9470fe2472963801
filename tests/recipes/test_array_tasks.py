"""Runs whose labels are several, or a map for each example: from a recipe to artifact, evidence and report."""

from pathlib import Path

import numpy as np
import pytest

import attar
from attar.errors import BadInput
from attar.recipes.check_task import check_task
from attar.recipes.read import read
from attar.tasks.dense import Dense
from attar.tasks.multilabel import MultiLabel

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
QUICK = [
    "artifacts.runtimes=['onnxruntime']",
    "artifacts.seconds=0.01",
    "teacher.training.epochs=2",
    "student.training.epochs=2",
    "data.limit=120",
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("hurried")
def test_several_labels_go_from_a_recipe_to_a_report(folder: Path):
    run = attar.compress(attar.read_recipe(EXAMPLES / "multilabel.toml", [*QUICK, "artifacts.int8=false"]), "out")
    figures = run.evidence
    assert figures["task"]["use"] == "multilabel" and figures["task"]["metrics"][0]["name"] == "f1"
    winner = next(model for model in figures["models"] if model["name"] == figures["winner"])
    assert 0 <= winner["quality"]["f1"] <= 1 and set(winner["quality"]["per_class"]) == set(run.artifact.classes)
    assert winner["parity"]["max_difference"] < 1e-3 and winner["parity"]["top1_agreement"] == 1
    assert figures["targets"]["kind"] == "log_odds"
    assert run.artifact.manifest["output"]["kind"] == "log_odds"
    x = np.zeros((3, 24), np.float32)
    np.testing.assert_allclose(run.artifact.predict_proba(x), 1 / (1 + np.exp(-run.artifact(x))), rtol=1e-5)
    assert run.predict(x).dtype == np.int64
    np.testing.assert_array_equal(run.predict(x), run.predict_proba(x) > 0.5)
    example = figures["examples"][0]
    assert len(example["soft"]) == len(example["holds"]) == 5
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert "F1 per example" in page and "Outlined boxes are the labels that hold." in page


@pytest.mark.usefixtures("hurried")
def test_maps_go_from_a_recipe_to_a_report(folder: Path):
    run = attar.compress(attar.read_recipe(EXAMPLES / "segmentation.toml", QUICK), "out")
    figures = run.evidence
    assert figures["task"]["use"] == "dense" and figures["task"]["size"] == [16, 16]
    winner = next(model for model in figures["models"] if model["name"] == figures["winner"])
    assert winner["quality"]["interval"][0] <= winner["quality"]["iou"] <= winner["quality"]["interval"][1]
    whole = [model for model in figures["models"] if model.get("parity") and model["precision"] == "fp32"]
    assert whole and all(model["parity"]["max_difference"] < 1e-3 for model in whole)
    assert any(model["precision"] == "int8" and model.get("quality") for model in figures["models"])
    assert run.artifact.manifest["output"]["shape"] == ["batch", 3, 16, 16]
    x = np.zeros((2, 1, 16, 16), np.float32)
    assert run.artifact(x).shape == (2, 3, 16, 16)
    np.testing.assert_allclose(run.artifact.predict_proba(x).sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(run.predict(x), run.logits(x).argmax(axis=1))
    example = figures["examples"][0]
    assert np.shape(example["maps"]["true"]) == np.shape(example["maps"]["teacher"]) == (16, 16)
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert "IoU per image" in page and "ground is black, disc is orange, square is sky blue" in page


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "transfer.top_k=2",
            "transfer.top_k of the recipe is for one class of each example, and the task is multilabel",
        ),
        ("transfer.only=['flute']", "transfer.only of the recipe is for one class of each example"),
        ("transfer.dtype='int8'", "transfer.dtype of the recipe is for one class of each example"),
        ("objective.soft.use='soft_targets'", "objective.soft of the recipe is soft_targets, which is for one class"),
    ],
)
def test_what_is_for_one_class_of_each_example_is_told(given: str, message: str):
    with pytest.raises(BadInput, match=message):
        check_task(read(EXAMPLES / "multilabel.toml", [given]), MultiLabel(("flute", "drum")))


def test_what_does_not_fit_maps_is_told():
    task = Dense(("a", "b", "c"), (16, 16))
    with pytest.raises(BadInput, match=r"transfer.label_views of the recipe is false, and flip and shift would move"):
        check_task(read(EXAMPLES / "segmentation.toml", ["transfer.label_views=false"]), task)
    with pytest.raises(
        BadInput, match=r"objective.hard of the recipe is binary_labels, which is for labels of which any"
    ):
        check_task(read(EXAMPLES / "segmentation.toml", ["objective.hard.use='binary_labels'"]), task)
