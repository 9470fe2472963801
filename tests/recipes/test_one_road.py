"""A recipe, `Mimic` and the functions of Python are one road: from the same settings comes the same network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
import torch
from sklearn.naive_bayes import CategoricalNB
from torch import Tensor

import attar
from attar.data.in_memory import InMemory, outputs_of
from attar.estimators.mimic import Mimic
from attar.models.fresh import fresh
from attar.pipeline.nodes import Nodes
from attar.recipes.context import Context
from attar.recipes.students import prepare_teacher, student_of
from attar.training.progress import silent

SEED, ROWS, SYNTHETIC = 3, 200, 150

RECIPE = f"""
name = "road"
seed = {SEED}
data = {{ use = "rows.csv", target = "y", nominal = ["a", "b", "c"], test = "test.csv", validation = 0.1 }}
teacher.estimator = "teacher.skops"
transfer.synthesis = {{ rows = {SYNTHETIC}, p = 0.5, s = 1.0 }}
[student]
network = {{ use = "attar.network.architectures:tabular", arguments = {{ hidden = [8] }} }}
training = {{ epochs = 1, batch_size = 64, optimizer = "adam", learning_rate = 0.01, schedule = "one_cycle" }}
[objective.soft]
use = "soft_targets"
temperature = 1.0
"""


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, weight in one.items():
        torch.testing.assert_close(weight, other[name], rtol=1e-5, atol=1e-6)


def test_three_roads_lead_to_the_same_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    x = pd.DataFrame(np.random.default_rng(0).integers(0, 4, (ROWS, 3)), columns=["a", "b", "c"])
    teacher = CategoricalNB().fit(x, (x.sum(axis=1) > 4).astype(int))
    skops.io.dump(teacher, "teacher.skops")
    truth = teacher.predict(x)  # so that the teacher's classes, by which Mimic draws, are those of the labels
    x.assign(y=truth).to_csv("rows.csv", index=False)
    x.assign(y=truth)[:30].to_csv("test.csv", index=False)
    Path("road.toml").write_text(RECIPE)

    recipe = attar.read_recipe(Path("road.toml"))
    data = attar.load_data("rows.csv", target="y", nominal=["a", "b", "c"], test="test.csv", validation=0.1, seed=SEED)
    context = Context(recipe, data, data.fingerprint(), Nodes(tmp_path / "run"), "cpu", silent)
    by_recipe = student_of(context, 0, prepare_teacher(context)).network.state_dict()

    settings = {"batch_size": 64, "learning_rate": 0.01, "validation": 0.1, "curves": 0, "nominal": ["a", "b", "c"]}
    mimic = Mimic(teacher, hidden=(8,), rows=SYNTHETIC, p=0.5, s=1.0, steps=1, random_state=SEED, **settings).fit(x)
    same(mimic.network_.state_dict(), by_recipe)

    # By hand: rows made, the teacher asked, the first weights drawn, the network trained.
    train, columns = data.train, data.columns
    assert columns is not None
    table = columns.decode(train.inputs.double().numpy(), like="pandas")
    made = attar.synthesize(table, SYNTHETIC, columns=columns, p=0.5, s=1.0, seed=SEED)
    rows = torch.cat([train.inputs, torch.from_numpy(columns.encode(made)).float()])
    examples = attar.Split(rows, None, torch.arange(len(rows)), data.task, columns)
    targets = InMemory(outputs_of(attar.as_teacher(teacher, columns=columns, classes=data.classes), rows))
    arguments = {"columns": columns.to_json(), "outputs": 2, "hidden": [8]}
    first = fresh(attar.Spec("attar.network.architectures:tabular", arguments), SEED)
    fitted = attar.fit(
        first.module,
        attar.Objective({"soft": attar.Term(loss=attar.SoftTargets(temperature=1.0))}),
        attar.TransferSet(examples, targets=targets),
        settings=attar.Training(
            epochs=1, batch_size=64, optimizer="adam", learning_rate=0.01, schedule="one_cycle", seed=SEED
        ),
    )
    same(fitted.model.state_dict(), by_recipe)
