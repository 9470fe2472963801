"""Training towards a teacher's outputs: rounds, units, and what chooses the round."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from attar.errors import BadInput
from attar.network.spec import Spec
from attar.tabular.train import LOSSES, ROUNDS, LabeledRows, Rounds, train_student, unstandardize_

NUMBER = {"name": "x", "kind": "number", "categories": [], "low": -1.0, "high": 1.0, "missing": False}
SPEC = Spec(
    "attar.network.architectures:tabular",
    {"columns": [NUMBER | {"center": 0.0, "scale": 1.0}], "outputs": 2, "hidden": [4]},
)


def _data(rows: int) -> LabeledRows:
    x = torch.linspace(-1, 1, rows)[:, None]
    return LabeledRows(x, torch.cat([-4 * x, 4 * x], dim=1), labels=(x[:, 0] > 0).long())


def test_rounds_go_through_all_rows_equally_often() -> None:
    rounds = Rounds(_data(7), 5)
    assert len(rounds) == 5
    seen = torch.cat([rounds.batch(torch.arange(5), epoch).inputs[:, 0] for epoch in range(7)])
    values, counts = seen.unique(return_counts=True)
    assert len(values) == 7
    assert counts.tolist() == [5] * 7


def test_a_round_longer_than_the_rows_repeats_them() -> None:
    batch = Rounds(_data(3), 8).batch(torch.arange(8), 0)
    assert batch.inputs[:, 0].tolist() == [-1.0, 0.0, 1.0, -1.0, 0.0, 1.0, -1.0, 0.0]
    assert batch.labels is not None
    assert batch.labels.tolist() == [0, 0, 1, 0, 0, 1, 0, 0]
    assert batch.targets is not None
    assert batch.targets[2].tolist() == [-4.0, 4.0]


@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("by", ["teacher", "truth"])
def test_learns_the_outputs_of_the_teacher(loss: str, by: str) -> None:
    fitted = train_student(
        SPEC,
        _data(50),
        _data(21),
        loss=LOSSES[loss],
        by=by,  # type: ignore[arg-type]
        steps=120,
        batch_size=32,
        learning_rate=0.05,
        seed=0,
    )
    assert len(fitted.history) == ROUNDS
    assert fitted.steps == 120
    probabilities = fitted.model(torch.tensor([[-0.8], [0.8]])).softmax(-1)[:, 1]
    assert probabilities.tolist() == pytest.approx([0.002, 0.998], abs=0.1)
    scores = [epoch.score for epoch in fitted.history if epoch.score is not None]
    assert fitted.score == max(scores)


@pytest.mark.parametrize(("steps", "taken"), [(1, 1), (7, 7), (50, 60)])
def test_steps_are_rounded_up_to_whole_rounds(steps: int, taken: int) -> None:
    fitted = train_student(
        SPEC,
        _data(9),
        _data(3),
        loss=LOSSES["squared_error"],
        by="teacher",
        steps=steps,
        batch_size=4,
        learning_rate=0.01,
        seed=0,
    )
    assert fitted.steps == taken


def test_units_of_the_last_layer() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
    x = torch.randn(5, 2)
    center, scale = torch.tensor([100.0, -3.0]), torch.tensor([10.0, 0.5])
    before = network(x).detach()
    unstandardize_(network, center, scale)
    torch.testing.assert_close(network(x).detach(), before * scale + center)


def test_units_need_a_linear_layer_of_that_many_outputs() -> None:
    with pytest.raises(BadInput, match="last linear layer has 1 outputs"):
        unstandardize_(nn.Linear(2, 3), torch.zeros(1), torch.ones(1))
    with pytest.raises(BadInput, match="last linear layer"):
        unstandardize_(nn.Tanh(), torch.zeros(1), torch.ones(1))
