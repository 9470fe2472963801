"""The shipped recipe of gaze, shrunk and really run: from simulated observers to artifact, evidence and report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

from attar.errors import BadInput
from attar.network.architectures import gaze_network
from attar.recipes.check_task import check_task
from attar.recipes.compress import compress
from attar.recipes.data import data_of
from attar.recipes.read import read
from attar.tasks.gaze import Gaze
from attar.training.progress import silent

NAME = "papers/fisher-pruning-2018/gaze"
SHRUNK = [
    "data.use='simulated-gaze-generated'",
    "data.limit=60",
    "baseline=false",
    "teacher.members=1",
    "teacher.network.arguments.widths=[4,6]",
    "teacher.network.arguments.depth=1",
    "student.network.arguments.widths=[4,6]",
    "student.network.arguments.readout=[4]",
    "teacher.training.epochs=1",
    "student.training.epochs=1",
    "student.steps.1.training.epochs=1",
    "student.steps.1.to.macs='0.7x'",
    "student.steps.1.every=1",
    "transfer.views.count=1",
    "budget.latency=100x",
    "artifacts.seconds=0.01",
]


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.usefixtures("hurried")
def test_gaze_goes_from_a_recipe_to_a_report(tmp_path: Path):
    run = compress(read(NAME, SHRUNK), tmp_path / "run")
    figures = run.evidence
    assert figures["task"]["use"] == "gaze" and figures["task"]["size"] == [48, 64]
    assert figures["task"]["metrics"][0] == {
        "name": "information_gain", "title": "information gain", "higher_is_better": True, "unit": "bits",
    }  # fmt: skip
    winner = next(model for model in figures["models"] if model["name"] == figures["winner"])
    quality = winner["quality"]
    assert quality["interval"][0] <= quality["information_gain"] <= quality["interval"][1]
    assert 0 < quality["auc"] < 1 and winner["parity"]["max_difference"] < 1e-3
    unpruned = gaze_network((48, 64), widths=[4, 6], readout=[4])
    assert parameters(run.artifact.network()) < parameters(unpruned)
    assert list(figures["steps"]["student"]) == ["1-distill", "2-prune"]
    x = np.zeros((2, 3, 48, 64), np.float32)
    np.testing.assert_allclose(np.exp(run.artifact(x)).sum(1), 1, rtol=1e-4)
    limit = next(one for one in figures["budget"]["limits"] if one["limit"] == "quality_loss")
    assert limit["asked"] == "0.05 bits" and limit["what"].startswith("information gain lost against the teacher")
    assert limit["reached"].endswith(" bits")
    example = figures["examples"][0]
    assert np.shape(example["densities"]["teacher"]) == np.shape(example["densities"]["student"]) == (48, 64)
    assert np.max(example["densities"]["teacher"]) == 1 and example["label"] == "40 fixations"
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert "Where people look" in page and "information gain" in page.lower()


def test_what_is_for_classes_is_told():
    task = Gaze((48, 64))
    with pytest.raises(BadInput, match=r"objective.hard of the recipe is hard_labels, which is for one class among"):
        check_task(read(NAME, ["objective.hard.use='hard_labels'"]), task)
    with pytest.raises(BadInput, match=r"transfer.top_k of the recipe is for one class of each example"):
        check_task(read(NAME, ["transfer.top_k=20"]), task)
    check_task(read(NAME), task)


def test_a_recipe_names_photographs_by_their_folder_and_their_size(tmp_path: Path):
    for folder, ending in (("ALLSTIMULI", ".jpeg"), ("ALLFIXATIONMAPS", "_fixPts.jpg")):
        (tmp_path / folder).mkdir()
        for number in range(9):
            Image.fromarray(np.full((24, 32), 200, np.uint8)).save(tmp_path / folder / f"i{number}{ending}")
    found = data_of(read(NAME, [f"data.use='{tmp_path}'", "data.size=[6,8]", "data.test=0.25", "data.limit=5"]), silent)
    assert found.name == "MIT1003" and found.task.size == (6, 8)
    assert [len(split) for split in found.splits().values()] == [5, 1, 2]
