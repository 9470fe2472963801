"""Recipes whose data are a folder of images: what names it, what is said of it, and a run of one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from attar.cli.main import run as attar_run
from attar.data.split import Split
from attar.deployment.export import to_onnx
from attar.errors import BadInput
from attar.recipes import fitting
from attar.recipes.checks import check_paths
from attar.recipes.compress import compress
from attar.recipes.files import named_after
from attar.recipes.fitting import fit_estimator
from attar.recipes.from_data import recipe_from_data
from attar.recipes.read import from_document, read
from attar.recipes.training_figures import at_most
from attar.tasks.classification import Classification

QUICK = [
    "student.network=tiny",
    "student.training.epochs=2",
    "artifacts.runtimes=['onnxruntime']",
    "artifacts.int8=false",
    "artifacts.seconds=0.01",
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with ``images``, of which those of ``left`` are bright on the left, and a teacher of them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    draws = np.random.default_rng(0)
    for split, count in (("train", 40), ("test", 20)):
        for number in range(count):
            name = ("left", "right")[number % 2]
            pixels = draws.integers(0, 80, (8 + number % 3, 10), np.uint8)
            pixels[:, slice(5) if name == "left" else slice(5, None)] += 120
            path = tmp_path / "images" / split / name / f"{number:03}.{('png', 'jpg')[number % 4 // 2]}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    with torch.no_grad():
        sides = torch.tensor([1.0] * 4 + [-1.0] * 4).repeat(8)
        linear[1].weight.copy_(torch.stack([sides, -sides]) / 4)  # type: ignore[operator]
        linear[1].bias.zero_()  # type: ignore[operator]
    to_onnx(linear, torch.zeros(1, 1, 8, 8), tmp_path / "big.onnx")
    return tmp_path


@pytest.mark.usefixtures("hurried")
def test_from_a_folder_to_predictions_in_the_names_of_its_folders(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = compress(recipe_from_data("images/", "big.onnx", [*QUICK, "data.size=8"]))
    assert run.folder == Path("runs/images") and run.artifact.classes == ("left", "right")
    assert run.evidence["task"]["input_shape"] == [1, 8, 8]
    teacher = next(one for one in run.evidence["models"] if one["kind"] == "teacher")
    assert teacher["quality"]["accuracy"] == 1
    page = run.report.read_text(encoding="utf-8")
    assert "left" in page and "from 60 images in images" in page and page.count("data:image/png") >= 2
    bright = np.zeros((1, 1, 8, 8), np.uint8)
    bright[..., 4:] = 200
    answer = run.artifact.predict(bright)
    assert answer.tolist()[0] in ("left", "right") and answer.dtype.kind == "U"
    again = read(run.folder / "recipe.toml")
    assert again.data.size == [8, 8] and again.data.use == "images"
    capsys.readouterr()
    assert attar_run(["measure", "runs/images/artifact", "--data", "images/", "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)["quality"]  # its images are of several sizes, and nobody named one
    (shipped,) = [one["quality"] for one in run.evidence["models"] if one["name"] == run.evidence["winner"]]
    assert measured["accuracy"] == shipped["accuracy"] and measured["examples"] == 20


def test_a_run_is_called_after_its_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert recipe_from_data("images/", "big.onnx").name == "images"
    assert recipe_from_data(folder / "images" / "train", "big.onnx").name == "train"
    (folder / "digits").mkdir()
    assert recipe_from_data("digits/", "big.onnx").data.use == "./digits", "the folder, and not the data set"
    assert recipe_from_data("digits", "big.onnx").data.use == "digits"
    monkeypatch.chdir(folder / "images")
    assert recipe_from_data(".", "big.onnx").name == "images"
    assert named_after("images/") == "images" and named_after("a b/c/") == "a-b-c" and named_after("-") == "recipe"


def test_images_without_a_teacher_say_what_to_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert attar_run(["compress", "images/"]) == 2
    assert (
        'images is a folder of images, and attar compress needs a recipe, which names it as data.use = "images". Name '
        "data and teacher: attar compress images --teacher big.onnx."
    ) in " ".join(capsys.readouterr().err.split())
    assert attar_run(["compress", "images/", "--teacher", "big.onnx"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "The images of 'images' must be of one size" in said and "--set data.size=[" in said


def test_a_folder_beside_the_recipe_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tiny: dict[str, Any]
) -> None:
    (folder / "mine.toml").write_text('data.use = "images"\n[teacher]\nonnx = ["big.onnx"]\n', encoding="utf-8")
    recipe = read(folder / "mine.toml")
    (folder / "big.onnx").write_bytes(b"")
    check_paths(recipe)
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    with pytest.raises(BadInput, match=r"^data\.use of the recipe: there is no folder 'images' in the working folder"):
        check_paths(recipe)


@pytest.mark.parametrize(("given", "read_as"), [(64, [64, 64]), ([48, 64], [48, 64]), (None, None)])
def test_one_number_is_height_and_width(given: object, read_as: object, tiny: dict[str, Any]) -> None:
    if given is not None:
        tiny["data"]["size"] = given
    recipe = from_document(tiny)
    assert recipe.data.size == read_as
    assert from_document(recipe.document()).data.size == read_as


@pytest.mark.parametrize("given", [0, -8, True, [8], [8, 0], [8, 8, 8], "64", 6.5, [True, 8]])
def test_other_sizes_are_refused(given: object, tiny: dict[str, Any]) -> None:
    tiny["data"]["size"] = given
    with pytest.raises(BadInput, match=r"data\.size must be height and width in pixels, such as \[48, 64\], or 64 for"):
        from_document(tiny)


class Remembering:
    """An estimator that keeps what it was fitted on."""

    def fit(self, rows: Any, truth: Any) -> None:
        Remembering.seen = (rows, truth)


def bytes_of(count: int, change: Callable[[torch.Tensor], object] = lambda labels: None) -> Split:
    labels = torch.arange(count) % 2
    change(labels)
    inputs = (torch.arange(count * 12) % 256).to(torch.uint8).reshape(count, 1, 3, 4)
    return Split(inputs, labels, torch.arange(count), Classification(("a", "b")))


def test_estimators_are_fitted_on_the_same_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_unknown(labels: torch.Tensor) -> None:
        labels[3] = -1

    for split in (bytes_of(10), bytes_of(10, one_unknown)):
        known = split.labels != -1
        expected = split.inputs[known].float().div(255).double().flatten(1).numpy()
        for block in (3, 4096):
            monkeypatch.setattr(fitting, "_BLOCK", block)
            fit_estimator(Remembering(), split, 0)
            rows, truth = Remembering.seen
            np.testing.assert_array_equal(rows, expected)
            assert rows.dtype == np.float64 and truth.tolist() == split.labels[known].tolist()


def test_an_estimator_of_more_rows_than_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "installed", lambda: 8 * 10 * 12 - 1)
    with pytest.raises(BadInput, match=r"10 rows of 12 values would take 960\sB of memory; this machine has 959\sB\."):
        fit_estimator(Remembering(), bytes_of(10), 0)


def test_large_examples_are_shown_small() -> None:
    image = torch.arange(16.0).reshape(1, 4, 4)
    assert torch.equal(at_most(image, 4), image)
    # Means of 2 x 2: (0 + 1 + 4 + 5) / 4 = 2.5, and so on.
    assert at_most(image, 2).tolist() == [[[2.5, 4.5], [10.5, 12.5]]]
    assert at_most(torch.zeros(3, 400, 100), 96).shape == (3, 96, 24)
    assert at_most(torch.zeros(3, 1000, 1), 96).shape == (3, 96, 1)
