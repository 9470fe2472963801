"""What is for classes is refused where values are predicted, and the other way round, before anything is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attar import read_recipe
from attar.errors import BadInput
from attar.recipes.check_task import check_task
from attar.recipes.from_data import recipe_from_data
from attar.recipes.plan import plan
from attar.tasks.dense import Dense
from attar.tasks.multilabel import MultiLabel

ROWS = np.arange(80, dtype="float32")
RECIPE = """
name = "values"
data.use = "values.npz"
teacher.network = { use = "attar.network.architectures:mlp", arguments = { inputs = 2, classes = 1, hidden = [4] } }
student.network = { use = "attar.network.architectures:mlp", arguments = { inputs = 2, classes = 1, hidden = [2] } }
[objective.soft]
use = "squared_error"
kind = "values"
"""
MLP = "'attar.network.architectures:mlp'"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.savez("values.npz", x=np.stack([ROWS, -ROWS], axis=1), y=ROWS / 3)
    np.savez("classes.npz", x=np.stack([ROWS, -ROWS], axis=1), y=ROWS.astype(int) % 2)
    (tmp_path / "mine.toml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


def test_a_regression_can_be_planned():
    told = plan(read_recipe(Path("mine.toml")))
    assert "values of 'value'" in told.data and told.student_parameters == 2 * 2 + 2 + 2 + 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "objective.soft={use='soft_targets'}",
            "objective.soft of the recipe is soft_targets, which is for one class among",
        ),
        (
            "objective.soft={use='squared_error'}",
            "objective.soft of the recipe is squared_error, which is for one class among several",
        ),
        ("objective.hard={use='hard_labels'}", "objective.hard of the recipe is hard_labels, which is for one class"),
        (
            "transfer.top_k=1",
            "transfer.top_k of the recipe is for one class of each example, and the task is regression. Leave it out.",
        ),
        ("transfer.without=['1']", "transfer.without of the recipe is for one class of each example"),
        ("transfer.dtype='int8'", "transfer.dtype of the recipe is for one class of each example"),
        ("teacher.specialists={clusters=2}", "teacher.specialists of the recipe is for one class of each example"),
        (
            "student.steps=[{use='distill'},{use='correct'}]",
            "student.steps.1, correct, of the recipe is for one class of each example",
        ),
        (
            f"student.network={{use={MLP},arguments={{inputs=2,classes=3,hidden=[2]}}}}",
            "student.network of the recipe gives 3 values for .* which have 1 value to predict",
        ),
        ("data.classes=['1','2']", "classes of values are named, and the task is regression"),
        ("student.choose_by='accuracy'", "choose_by of the recipe must be what regression is chosen by"),
    ],
)
def test_what_is_for_classes_is_refused(change: str, message: str):
    with pytest.raises(BadInput, match=message):
        plan(read_recipe(Path("mine.toml"), [change]))


def test_what_is_for_values_is_refused_where_there_are_classes():
    changes = ["data.use='classes.npz'", "teacher.network.arguments.classes=2", "student.network.arguments.classes=2"]
    with pytest.raises(
        BadInput,
        match=r"objective.soft of the recipe is squared_error, which is for values, .*data.task = \"regression\"",
    ):
        plan(read_recipe(Path("mine.toml"), changes))


def test_an_estimator_teaches_classes_labels_and_values_and_no_maps(folder: Path):
    recipe = read_recipe(
        Path("mine.toml"), ["teacher={estimator='mine:forest'}", "objective.soft={use='binary_targets'}"]
    )
    check_task(recipe, MultiLabel(("warm", "loud")))
    recipe = read_recipe(
        Path("mine.toml"), ["teacher={estimator='mine:forest'}", "objective.soft={use='soft_targets'}"]
    )
    maps = Dense(("disc", "square"), (4, 4))
    check_task(recipe, maps)  # the function may return a network
    (folder / "forest.skops").write_bytes(b"")
    for estimator in ("estimator='mine:forest', fit=true", "estimator='forest.skops'"):
        fitted = read_recipe(Path("mine.toml"), [f"teacher={{{estimator}}}", "objective.soft={use='soft_targets'}"])
        with pytest.raises(
            BadInput, match=r"teacher.estimator of the recipe is for classes, labels or values of each example"
        ):
            check_task(fitted, maps)


def test_a_function_named_on_the_command_line_may_return_a_network_of_maps(folder: Path):
    rng = np.random.default_rng(0)
    np.savez("maps.npz", x=rng.integers(0, 255, (60, 4, 4), dtype=np.uint8), y=rng.integers(0, 3, (60, 4, 4)))
    (folder / "of_maps.py").write_text(
        "from torch import nn\nfrom sklearn.naive_bayes import GaussianNB\n"
        "def net():\n    return nn.Conv2d(1, 3, 3, padding=1)\n"
        "def model():\n    return GaussianNB().fit([[0] * 16, [1] * 16], [0, 1])\n",
        encoding="utf-8",
    )
    changes = ["student='tiny'"]
    assert "maps" in plan(recipe_from_data("maps.npz", "of_maps:net", changes)).data
    with pytest.raises(BadInput, match=r"returns a GaussianNB, which is for classes, .*task is dense\. Give a network"):
        plan(recipe_from_data("maps.npz", "of_maps:model", changes))
