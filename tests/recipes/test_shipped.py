"""Every recipe that ships is read, shrunk and really run."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from attar.recipes.compress import compress
from attar.recipes.read import STUDY, read, shipped
from attar.recipes.study import read_study, studies, study
from attar.transfer import fashion_mnist

FILES = sorted(Path(str(resources.files("attar"))).rglob("*.toml"))
RECIPES = [path for path in FILES if path.name != STUDY]

QUICK = [
    "student.training.epochs=2",
    "student.seeds=1",
    "keep.accuracy_loss=1",
    "keep.smaller=0.001",
    "keep.faster=0.001",
    'artifacts.runtimes=["onnxruntime"]',
    "artifacts.int8=false",
    "artifacts.seconds=0.02",
]
SHRUNK = [
    *QUICK,
    "data.limit=120",
    "teacher.members=2",
    "teacher.training.epochs=2",
    "teacher.views.count=2",
    "transfer.views.count=2",
]
SHRUNK_TABLE = [
    *QUICK,
    "data.limit=200",
    "teacher.library.families=['tree', 'logistic']",
    "teacher.library.bags=2",
    "teacher.library.max_steps=3",
    "transfer.synthesis.rows=300",
    "student.network.arguments.hidden=[8]",
]
TABLES = [name for name in sorted(shipped()) if read(name).teacher.library is not None]


def images(path: Path) -> Path:
    """Pictures of Fashion-MNIST's form where its files are not: ten classes, each a noisy patch."""
    draws = np.random.default_rng(0)
    y = np.arange(400) % 10
    patches = draws.integers(0, 200, size=(10, 28, 28))
    x = (patches[y] + draws.integers(0, 56, size=(400, 28, 28))).astype("uint8")
    np.savez(path, x=x, y=y)
    return path


def test_all_of_them_are_listed() -> None:
    assert len(RECIPES) == 4
    assert sorted(shipped().values()) == RECIPES
    assert len(FILES) == len(RECIPES) + 1
    assert sorted(studies().values()) == [path for path in FILES if path.name == STUDY]


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_shipped_recipe_is_named_after_its_file_and_says_what_it_shows(name: str) -> None:
    text = shipped()[name].read_text(encoding="utf-8")
    assert tomllib.loads(text)["name"] == name
    assert len(read(name).title.split()) > 3
    header = text[: text.index("name =")]
    assert f"attar compress {name}" in header
    assert "Data:" in header


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("name", TABLES)
def test_a_shipped_recipe_on_a_table_runs_when_it_is_shrunk(name: str, tmp_path: Path) -> None:
    run = compress(read(name, SHRUNK_TABLE), tmp_path / "run")
    assert run.met
    kinds = [model["kind"] for model in run.evidence["models"]]
    assert kinds == ["candidate", "teacher", "member", "control"]
    assert len(run.evidence["synthesis"]["tried"]) > 1
    assert run.artifact(torch.zeros(3, 16)).shape == (3, 2)


@pytest.mark.usefixtures("hurried")
def test_the_shipped_study_runs_when_it_is_shrunk(tmp_path: Path) -> None:
    asked = read_study("papers/model-compression-2006")
    sweeps = [sweep.model_copy(update={"points": sweep.points[:2]}) for sweep in asked.sweeps]
    few = [*SHRUNK_TABLE, "transfer.synthesis.rows=60"]
    done = study(asked.model_copy(update={"sweeps": sweeps}), tmp_path / "out", changes=few)
    (table,) = done.document["tables"]
    for row in table["rows"]:
        assert all(cell["mean"] is not None or key == "ratio" for key, cell in row["cells"].items())
    assert [len(chart["series"]) for chart in done.document["charts"]] == [3, 1]
    assert done.page.stat().st_size > 100_000


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("name", sorted(set(shipped()) - set(TABLES)))
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
