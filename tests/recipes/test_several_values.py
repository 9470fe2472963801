"""A fitted regressor of several values, from its file through a recipe to the store, an artifact and the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
import torch
from sklearn.multioutput import MultiOutputRegressor
from sklearn.tree import DecisionTreeRegressor

import attar
from attar.data.datasets import load
from attar.recipes.compress import label
from attar.recipes.from_data import recipe_from_data

DRAWS = np.random.default_rng(0)
FRAME = pd.DataFrame({"width": DRAWS.normal(size=300), "color": DRAWS.choice([0.0, 1.0], 300)})
VALUES = np.column_stack([FRAME["width"] * FRAME["color"], 1000 * FRAME["width"].abs()])


@pytest.mark.usefixtures("hurried")
def test_a_file_of_skops_with_two_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    model = MultiOutputRegressor(DecisionTreeRegressor(max_depth=6, random_state=0)).fit(FRAME, VALUES)
    skops.io.dump(model, "two.skops")
    table = FRAME.assign(product=VALUES[:, 0], size=VALUES[:, 1], count=DRAWS.random(300))
    table.to_csv("rows.csv", index=False)
    recipe = recipe_from_data(
        "rows.csv",
        "two.skops",
        [
            'data.target=["product", "size"]',
            'data.weights="count"',
            'student.network={use="attar.network.architectures:tabular", arguments={hidden=[16]}}',
            'student.training={epochs=12, optimizer="adam", learning_rate=0.02, batch_size=64}',
            "transfer.synthesis={rows=600, p=0.5, s=1.0}",
            "artifacts.int8=false",
            "artifacts.seconds=0.01",
            'artifacts.runtimes=["onnxruntime"]',
        ],
    )
    stored = label(recipe, tmp_path / "run")
    train = load("rows.csv", target=["product", "size"], weights="count").train
    expected = model.predict(pd.DataFrame(train.inputs.double().numpy(), columns=["width", "color"]))
    targets = stored(None, torch.arange(len(train)), 0)
    np.testing.assert_allclose(targets.numpy(), expected, rtol=1e-6, atol=1e-6)
    run = attar.compress(recipe, tmp_path / "run")
    winner = next(one for one in run.evidence["models"] if one["name"] == run.evidence["winner"])
    assert list(winner["quality"]["per_value"]) == ["product", "size"]
    assert winner["quality"]["r2"] > 0.5, "both values are learned, though the one is a thousand times the other"
    artifact = run.artifact
    assert artifact.classes == ("product", "size")
    predicted = artifact.predict(FRAME[:7])
    assert predicted.shape == (7, 2)
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert "product" in page and "size" in page
