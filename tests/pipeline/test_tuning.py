"""The search for p and s: brief trainings on few rows, each judged on validation data."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from attar.data.split import Dataset, Split
from attar.data.synthesis.synthesize import Synthesis
from attar.data.views import UNCHANGED
from attar.models.model import Model
from attar.network.spec import Spec
from attar.network.weights import digest
from attar.pipeline.step import Tools
from attar.pipeline.tuning import Tuning
from attar.tables.columns import Columns
from attar.tasks.classification import Classification
from attar.teachers.teacher import NetworkTeacher
from attar.training.losses.outputs import SoftTargets
from attar.training.objective import Objective, Term
from attar.training.settings import Training

TRAINING = Training(
    epochs=50, batch_size=20, optimizer="adam", learning_rate=0.05, schedule="cosine", patience=2, warmup_epochs=1.0
)
OPEN = Synthesis(rows=400, p=None, s=2.0)


@pytest.mark.parametrize(
    ("asked", "rows", "steps", "few", "epochs"),
    [
        (400, 50, 100, 150, 10),  # three for each row; 100 steps of 20 are 2,000 rows, and an epoch has 200
        (100, 50, 100, 100, 13),
        (400, 50, 1, 150, 1),
    ],
)
def test_a_trial_is_small(
    asked: int, rows: int, steps: int, few: int, epochs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attar.pipeline.tuning.TUNING_STEPS", 2000)  # other tests hurry all session long
    tuning = Tuning.of(Synthesis(rows=asked, p=None, s=None), TRAINING, rows, most_steps=steps)
    assert tuning.synthesis.rows == few
    assert (tuning.training.epochs, tuning.training.patience, tuning.training.warmup_epochs) == (epochs, None, 0.0)
    assert tuning.training.schedule == "cosine"


def test_key_has_what_changes_the_result_and_no_more() -> None:
    usual = Tuning.of(OPEN, TRAINING, 50).key
    assert usual["training"]["epochs"] == Tuning.of(OPEN, TRAINING, 50).training.epochs
    assert "checkpoint_seconds" not in usual["training"]
    assert Tuning.of(OPEN, TRAINING, 60).key != usual


def test_best_pair_is_that_of_the_best_trial() -> None:
    inputs = torch.from_numpy(np.random.default_rng(0).normal(size=(60, 2))).float()
    labels, columns = (inputs[:, 0] > 0).long(), Columns.infer(inputs.double().numpy())
    split = Split(inputs, labels, torch.arange(60), Classification(("a", "b")), columns)
    data = Dataset("points", split.rows(slice(0, 40)), split.rows(slice(40, 50)), split.rows(slice(50, 60)), "a draw")
    network = torch.nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[-4.0, 0.0], [4.0, 0.0]]))
    spec = Spec("attar.network.architectures:tabular", {"columns": columns.to_json(), "outputs": 2, "hidden": [4]})
    first = Model(spec.build(), spec)
    before = digest(first.module)
    tools = Tools(dataset=data, dataset_key="", views=UNCHANGED, with_labels=False, choose_by="rmse")
    best, tried = Tuning.of(OPEN, TRAINING, 40, most_steps=16).best(
        first, Objective({"soft": Term(loss=SoftTargets(temperature=1.0))}), NetworkTeacher(network, classes=2), tools
    )
    assert [(one["p"], one["s"]) for one in tried] == [(0.2, 2.0), (0.5, 2.0), (0.8, 2.0)]
    assert best.p == max(tried, key=lambda one: one["score"])["p"]
    assert len({one["score"] for one in tried}) > 1, "other rows, other students"
    assert digest(first.module) == before
