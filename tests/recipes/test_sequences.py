"""A recipe of sequences, from data to report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import attar
from attar.errors import BadInput

RECIPE = Path(__file__).parents[2] / "examples" / "sequence.toml"
SHRUNK = [
    "data.limit=80",
    "teacher.training.epochs=1",
    "student.training.epochs=1",
    'artifacts.runtimes=["onnxruntime"]',
    "artifacts.int8=false",
    "artifacts.seconds=0.01",
    "budget.quality_loss=100%",
    "budget.bytes=1000x",
]


@pytest.mark.usefixtures("hurried")
def test_the_shipped_recipe_runs(tmp_path: Path) -> None:
    run = attar.compress(attar.read_recipe(RECIPE, SHRUNK), tmp_path / "run")
    task = run.evidence["task"]
    assert task["tokens"]["length"] == 12 and task["tokens"]["words"][1] == "not"
    assert "a dict of ids and mask" in run.evidence["how_to_load"]
    artifact = attar.load(tmp_path / "run" / "artifact")
    assert artifact.predict(ids=[[1, 2], [3, 4, 5]])[0] in ("unkind", "kind")
    network = artifact.network()
    rows = artifact.tokens.stacked([[1, 2], [3, 4, 5]]) if artifact.tokens else np.empty(0)
    np.testing.assert_allclose(network(torch.from_numpy(rows)).detach().numpy(), artifact(rows), atol=1e-4)
    assert json.loads((tmp_path / "run" / "artifact" / "manifest.json").read_text())["input"]["name"] == ["ids", "mask"]
    assert "not" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("transfer.views.noise=0.1", "The views of the recipe (transfer.views) move or blur pixels"),
        ("teacher.views.flip=true", "The views of the recipe (teacher.views) move or blur pixels"),
        ("student.network.mean=[0.0]", "mean"),
        (
            "transfer.synthesis.rows=100",
            "transfer.synthesis of the recipe must be left out where the data are no table",
        ),
    ],
)
def test_what_is_not_for_tokens_is_refused(key: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        attar.compress(attar.read_recipe(RECIPE, [*SHRUNK, "transfer.labeled_share=1.0", key]), tmp_path / "run")
    assert said in str(caught.value)
