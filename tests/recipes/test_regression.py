"""A run that predicts values, from pixels to an artifact and its report: the same road as for classes."""

from __future__ import annotations

import contextlib
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest

import attar
from attar.cli.main import app
from attar.cli.table import models_table, verdict_line
from attar.errors import BadInput
from attar.recipes.compress import Run
from attar.recipes.document import headline

RECIPE = """
name = "bright"
data.use = "bright.npz"
[teacher]
network = { use = "attar.network.architectures:mlp", arguments = { inputs = 36, classes = 2, hidden = [24] } }
members = 2
training = { epochs = 12, batch_size = 32, optimizer = "adam", learning_rate = 0.01 }
[student]
network = { use = "attar.network.architectures:mlp", arguments = { inputs = 36, classes = 2, hidden = [8] } }
training = { epochs = 8, batch_size = 32, optimizer = "adam", learning_rate = 0.01 }
seeds = 2
steps = [
  { use = "distill" },
  { use = "quantize", weights = { use = "uniform", bits = 8 } },
  { use = "distill", training = { epochs = 2 } },
]
[objective.soft]
use = "squared_error"
kind = "values"
[objective.hard]
use = "hard_values"
[budget]
quality_loss = "90%"
[artifacts]
runtimes = ["onnxruntime"]
int8 = false
seconds = 0.01
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, hurried: None) -> Run:
    """Images whose mean brightness and position of it, in units of very different size, are the values."""
    folder = tmp_path_factory.mktemp("regression")
    x = np.random.default_rng(0).integers(0, 256, (500, 6, 6)).astype("uint8")
    light = x.astype("float64")
    y = np.stack([light.mean(axis=(1, 2)), 1000 * (light * np.arange(6)).sum(axis=(1, 2)) / light.sum(axis=(1, 2))], 1)
    y[:20, 0] = np.nan
    np.savez(folder / "bright.npz", x=x, y=y, names=["brightness", "position"], task="regression",
             split=["train"] * 380 + ["validation"] * 60 + ["test"] * 60)  # fmt: skip
    (folder / "bright.toml").write_text(RECIPE, encoding="utf-8")
    with contextlib.chdir(folder):
        return attar.compress(attar.read_recipe(Path("bright.toml")), folder / "run")


def test_values_come_out_in_their_units(run: Run):
    artifact = run.artifact
    data = np.load(run.folder.parent / "bright.npz")
    values = artifact(data["x"][-60:, None].astype("float32") / 255)
    assert artifact.classes == ("brightness", "position") and values.shape == (60, 2)
    assert "-> 2 values; " in str(artifact)
    assert values.mean(axis=0) == pytest.approx(data["y"][-60:].mean(axis=0), rel=0.05)
    winner = next(one for one in run.evidence["models"] if one["name"] == run.evidence["winner"])
    rmse = math.sqrt(np.square(values - data["y"][-60:]).mean())
    assert winner["quality"]["rmse"] == pytest.approx(rmse, rel=1e-3)
    assert winner["quality"]["r2"] > 0.3, "it has learned"
    assert winner["parity"]["max_difference"] < 1e-3 * values.max() and winner["parity"]["top1_agreement"] is None
    np.testing.assert_array_equal(artifact.predict(data["x"][-60:, None]), values)
    with pytest.raises(BadInput, match=r"logits must be a classifier; got a regression. Call predict\(inputs\)"):
        artifact.logits(data["x"][:1, None])


def test_what_it_says_is_of_errors(run: Run):
    evidence = run.evidence
    assert evidence["task"]["use"] == "regression" and evidence["task"]["metrics"][0]["name"] == "rmse"
    told = [headline(evidence), verdict_line(evidence), evidence["budget"]["sentence"], evidence["why"]]
    told += [column.header for column in models_table(evidence).columns]  # type: ignore[misc]
    told += evidence["warnings"]
    assert "test RMSE" in told[0] and "squared error" in told[1] and "more RMSE" in told[2] and "RMSE" in told
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert "What the teacher says" in page and "teacher: brightness" in page
    for text in (*told, page):
        assert "accuracy" not in text.lower().replace('"accuracy"', "").replace("accuracy_level", ""), text[:200]


def test_it_is_measured_again_by_the_command_line(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(run.folder.parent)
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as ended:
        app(["measure", "run/artifact", "--data", "bright.toml", "--json"])
    assert ended.value.code in (0, None)
    winner = next(one for one in run.evidence["models"] if one["name"] == run.evidence["winner"])
    assert json.loads(out.getvalue())["quality"] == winner["quality"]
