"""Every recipe that ships is read, shrunk and really run."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from attar.data.fashion_mnist import CLASSES
from attar.network.spec import Spec
from attar.recipes.compress import compress
from attar.recipes.read import read
from attar.recipes.schema.network import NetworkSection
from attar.recipes.schema.recipe import Recipe
from attar.recipes.shipped import STUDY, shipped, studies
from attar.recipes.study import read_study, study

FILES = sorted(Path(str(resources.files("attar"))).rglob("*.toml"))
RECIPES = [path for path in FILES if path.name != STUDY]

QUICK = [
    "student.training.epochs=2",
    "student.seeds=1",
    "budget.quality_loss=100%",
    "budget.bytes=1000x",
    "budget.latency=1000x",
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
STEPPED = [name for name in sorted(shipped()) if read(name).student.steps is not None]
"""Recipes whose student goes through steps: `test_steps` runs them, with all runs of their studies."""
TABLES = [name for name in sorted(shipped()) if read(name).teacher.library is not None]
SEARCHED = [name for name in sorted(shipped()) if read(name).search is not None]


SHRUNK_SEARCH = [
    *("search.proposals=2", "search.epochs=1", "search.finalists=1", "search.seeds=1"),
    *("artifacts.runtimes=['torch']", "budget.latency='1 s'", "budget.bytes='10 MB'"),
]

GLYPHS = [
    # Ten classes stand for the 583, which would need thousands of examples.
    "teacher.network.arguments.classes=10",
    "student.network.arguments.classes=10",
]
SPECIALISTS = [
    "teacher.specialists.clusters=2",
    "teacher.specialists.set_size=4",
    "teacher.specialists.training.epochs=1",
]
STANDING_IN = {"fashion-mnist": 28, "glyphs": 16}
"""Data that need not be on the machine, and the side of their pictures."""


SIDES = {**STANDING_IN, "digits": 8}


def images(path: Path, side: int) -> Path:
    """Pictures of the form of data that are not there: ten classes, each a noisy patch."""
    draws = np.random.default_rng(0)
    y = np.arange(400) % 10
    names = np.array(CLASSES) if side == 28 else np.arange(10).astype(str)
    patches = draws.integers(0, 200, size=(10, side, side))
    x = (patches[y] + draws.integers(0, 56, size=(400, side, side))).astype("uint8")
    np.savez(path, x=x, y=y, classes=names)
    return path


def networks_of(recipe: Recipe) -> dict[str, NetworkSection]:
    """The networks that a recipe describes, by whose they are."""
    networks = {"teacher": recipe.teacher.network, "student": recipe.student.network}
    return {who: network for who, network in networks.items() if isinstance(network, NetworkSection)}


def shrunk(name: str, folder: Path) -> list[str]:
    """Changes that make a recipe on pictures run in seconds on any machine."""
    asked = read(name)
    changes = list(SHRUNK)
    if asked.teacher.specialists is not None:
        changes = [*(change for change in changes if not change.startswith("teacher.members")), *SPECIALISTS]
    elif asked.teacher.members == 1:
        changes = [change for change in changes if not change.startswith("teacher.members")]
    # Narrow networks, as most of the time went into how fast the wide ones are; these are built by a test of their own.
    # Where a policy takes away from each layer it has little to take from narrow ones, and they stay.
    by_policy = asked.search is not None and asked.search.strategy["use"] == "n2n"
    for who, network in ({} if by_policy else networks_of(asked)).items():
        for key in sorted(network.arguments.keys() & {"widths", "hidden"}):
            narrow = [max(4, width // 8) for width in network.arguments[key]]
            changes.append(f"{who}.network.arguments.{key}={narrow}")
    if asked.data.use in STANDING_IN:
        side = STANDING_IN[asked.data.use]
        changes += [f"data.use='{images(folder / f'{side}.npz', side)}'", *(GLYPHS if side == 16 else [])]
    return changes


def test_all_of_them_are_listed() -> None:
    assert sorted(shipped().values()) == RECIPES
    assert len(FILES) == len(RECIPES) + len(studies())
    assert sorted(studies().values()) == [path for path in FILES if path.name == STUDY]


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_shipped_recipe_is_named_after_its_file_and_says_what_it_shows(name: str) -> None:
    text = shipped()[name].read_text(encoding="utf-8")
    assert tomllib.loads(text)["name"] == name
    assert len(read(name).title.split()) > 3
    header = text[: text.index("name =")]
    assert f"attar compress {name}" in header
    assert "Data:" in header


@pytest.mark.parametrize("name", [name for name in sorted(shipped()) if read(name).data.use in SIDES])
def test_networks_of_a_shipped_recipe_take_its_pictures(name: str) -> None:
    asked = read(name)
    picture = torch.zeros(2, 1, SIDES[asked.data.use], SIDES[asked.data.use])
    networks = networks_of(asked).values()
    assert networks
    for network in networks:
        built = Spec(network.use, network.arguments).build().eval()
        assert built(picture).shape == (2, 583 if asked.data.use == "glyphs" else 10)


@pytest.mark.usefixtures("hurried", "undrawn")
@pytest.mark.parametrize("name", TABLES)
def test_a_shipped_recipe_on_a_table_runs_when_it_is_shrunk(name: str, tmp_path: Path) -> None:
    run = compress(read(name, SHRUNK_TABLE), tmp_path / "run")
    # Two epochs on a few rows may teach nothing; then the run says so, and all the same leaves what is asked below.
    assert all(row["outcome"] != "not met" for row in run.evidence["budget"]["limits"])
    kinds = [model["kind"] for model in run.evidence["models"]]
    assert kinds == ["candidate", "teacher", "member", "baseline"]
    assert len(run.evidence["synthesis"]["tried"]) > 1
    assert run.artifact(torch.zeros(3, 16)).shape == (3, 2)


@pytest.mark.usefixtures("hurried", "undrawn")
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


@pytest.mark.usefixtures("hurried", "undrawn")
def test_the_study_of_soft_targets_runs_when_it_is_shrunk(tmp_path: Path) -> None:
    """Its runs on Fashion-MNIST, on pictures of its form, with its tables; those on glyphs are recipes of their own."""
    asked = read_study("papers/distillation-2015")
    runs = ["perceptron", "no-dress", "sneakers-and-bags", "three-percent"]
    few = [change for change in shrunk("papers/distillation-2015/perceptron", tmp_path) if "limit" not in change]
    few += ["student.network.arguments.hidden=[8]", "teacher.network.arguments.hidden=[8]", "data.test=0.3"]
    sweeps = [
        sweep.model_copy(update={"points": sweep.points[:2], "series": sweep.series[2:]}) for sweep in asked.sweeps
    ]
    done = study(asked.model_copy(update={"sweeps": sweeps}), tmp_path / "out", changes=few, only=runs)
    tables = {table["title"]: table["rows"] for table in done.document["tables"]}
    assert [row["name"] for row in tables["Classes that the transfer set lacks"]] == runs[1:3]
    for row in tables["Classes that the transfer set lacks"]:
        assert all(cell["mean"] is not None for cell in row["cells"].values())
        assert row["cells"]["after"]["mean"] >= 0.1
    (chart,) = done.document["charts"]
    assert [len(series["points"]) for series in chart["series"]] == [2]


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("name", sorted(set(shipped()) - set(TABLES) - set(STEPPED) - set(SEARCHED)))
def test_a_shipped_recipe_runs_when_it_is_shrunk(name: str, tmp_path: Path) -> None:
    changes = shrunk(name, tmp_path)
    recipe = read(name, changes)
    run = compress(recipe, tmp_path / "run")
    # Two epochs on a few rows may teach nothing; then the run says so, and all the same leaves what is asked below.
    assert all(row["outcome"] != "not met" for row in run.evidence["budget"]["limits"])
    assert run.report.stat().st_size > 100_000  # the page carries its charts with it
    names = [model["name"] for model in run.evidence["models"]]
    deployed = recipe.teacher.specialists is None
    assert names == [
        "onnxruntime fp32",
        f"teacher {'onnxruntime' if deployed else 'python'}",
        "baseline onnxruntime fp32",
    ]
    assert deployed or run.evidence["specialists"]["overall"]["examples"] > 0
    assert all(model["size_bytes"] for model in run.evidence["models"])
    example = torch.zeros(3, *run.evidence["task"]["input_shape"])
    assert run.artifact(example).shape == (3, 10)
    members = {f"teacher/{index}" for index in range(recipe.teacher.count)}
    assert set(run.evidence["curves"]) == {*members, "student/0", "baseline/0"}


@pytest.mark.slow
@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("name", SEARCHED)
def test_a_shipped_recipe_that_looks_for_its_student_runs_when_it_is_shrunk(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    search = read(name).search
    if search is None or search.strategy["use"] != "n2n":  # whose page has more than any other
        request.getfixturevalue("undrawn")
    changes = [change for change in shrunk(name, tmp_path) if not change.startswith("artifacts.runtimes")]
    if read(name).transfer.synthesis is not None:
        changes = [change for change in changes if "views" not in change] + ["transfer.synthesis.rows=300"]
    run = compress(read(name, [*changes, *SHRUNK_SEARCH]), tmp_path / "run", workers=1)
    assert all(row["outcome"] != "not met" for row in run.evidence["budget"]["limits"])
    found = run.evidence["search"]
    assert [trial["state"] for trial in found["trials"]] == ["trained"] * 2
    assert "search" in [panel.get("name") for panel in run.evidence["panels"]]
    example = torch.zeros(3, *run.evidence["task"]["input_shape"])
    assert run.artifact(example).shape == (3, len(run.evidence["task"]["classes"]))
