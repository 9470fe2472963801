"""Every recipe that ships is read, shrunk and really run."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from attar.recipes.compress import compress
from attar.recipes.read import read, shipped
from attar.transfer import fashion_mnist

RECIPES = sorted(Path(str(resources.files("attar"))).rglob("*.toml"))

SHRUNK = [
    "data.limit=120",
    "teacher.members=2",
    "teacher.training.epochs=2",
    "teacher.views.count=2",
    "transfer.views.count=2",
    "student.training.epochs=2",
    "student.seeds=1",
    "keep.accuracy_loss=1",
    "keep.smaller=0.001",
    "keep.faster=0.001",
    'artifacts.runtimes=["onnxruntime"]',
    "artifacts.int8=false",
    "artifacts.seconds=0.02",
]


def images(path: Path) -> Path:
    """Pictures of Fashion-MNIST's form where its files are not: ten classes, each a noisy patch."""
    draws = np.random.default_rng(0)
    y = np.arange(400) % 10
    patches = draws.integers(0, 200, size=(10, 28, 28))
    x = (patches[y] + draws.integers(0, 56, size=(400, 28, 28))).astype("uint8")
    np.savez(path, x=x, y=y)
    return path


def test_all_of_them_are_listed() -> None:
    assert len(RECIPES) == 2
    assert sorted(shipped().values()) == RECIPES


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_shipped_recipe_is_named_after_its_file_and_says_what_it_shows(name: str) -> None:
    text = shipped()[name].read_text(encoding="utf-8")
    assert tomllib.loads(text)["name"] == name
    assert len(read(name).title.split()) > 3
    header = text[: text.index("name =")]
    assert f"attar compress {name}" in header
    assert "Data:" in header


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_shipped_recipe_runs_when_it_is_shrunk(name: str, tmp_path: Path) -> None:
    changes = list(SHRUNK)
    if name == "fashion-mnist":
        try:
            fashion_mnist.find(download=False)
        except ValueError:
            changes.append(f"data.use='{images(tmp_path / 'images.npz')}'")
    recipe = read(name, changes)
    run = compress(recipe, tmp_path / "run")
    assert run.met
    assert run.report.stat().st_size > 100_000  # the page carries its charts with it
    names = [model["name"] for model in run.evidence["models"]]
    assert names == ["onnxruntime fp32", "teacher onnxruntime", "control"]
    example = torch.zeros(3, *run.evidence["task"]["input_shape"])
    assert run.artifact(example).shape == (3, 10)
    assert set(run.evidence["curves"]) == {"teacher/0", "teacher/1", "student/0", "control/0"}
