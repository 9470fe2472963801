"""What a recipe need not say: its name is that of its file, its objective follows from the task of the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attar import read_recipe
from attar.pipeline.objective import usual_objective
from attar.recipes.plan import plan
from attar.recipes.start import open_run
from attar.tasks.classification import Classification
from attar.tasks.regression import Regression
from attar.tasks.task import Task
from attar.training import fit as fitting
from attar.training.objective import reads

THREE_LINES = """
data.use = "rows.npz"
teacher.network = { use = "attar.network.architectures:mlp", arguments = { inputs = 2, classes = 2, hidden = [8] } }
student = { start = "teacher", steps = [{ use = "prune", to = { macs = "0.5x" } }] }
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = np.arange(80, dtype="float32")
    np.savez("rows.npz", x=np.stack([rows, -rows], axis=1), y=(rows > 40).astype(int))
    Path("my pruned net.toml").write_text(THREE_LINES, encoding="utf-8")
    return tmp_path


def test_three_lines_are_a_recipe() -> None:
    recipe = read_recipe(Path("my pruned net.toml"))
    assert recipe.name == "my-pruned-net"
    assert recipe.objective is None
    assert plan(recipe).student_parameters == 42
    with open_run(recipe, Path("run"), "cpu", fitting.silent) as context:
        assert set(context.recipe.terms.terms) == {"hard", "soft"}


@pytest.mark.parametrize("task", [Classification(("a", "b")), Regression(("y",))])
def test_the_usual_objective_is_half_of_labels_half_of_the_teacher(task: Task) -> None:
    terms = usual_objective(task).terms
    assert {name: reads(term.loss) for name, term in terms.items()} == {"soft": {"targets"}, "hard": {"labels"}}
    assert [term.weight for term in terms.values()] == [0.5, 0.5]
    assert list(usual_objective(task, labels=False).terms) == ["soft"]
