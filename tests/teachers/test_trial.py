"""Asking a teacher a few times before anything is built on what it says."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from sklearn.tree import DecisionTreeClassifier
from torch import Tensor, nn
from torch.nn import functional

from attar.data.split import Split
from attar.data.store import label
from attar.data.transfer_set import Live
from attar.errors import BadInput
from attar.tasks.classification import Classification
from attar.tasks.regression import Regression
from attar.teachers import NetworkTeacher, as_teacher
from attar.teachers.sampled import SampledTeacher
from attar.teachers.trial import remarks, settle, trial

ROWS = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
SPLIT = Split(ROWS, None, torch.arange(40), Classification(("a", "b", "c")))


class _Net(nn.Module):
    """A linear network, and something behind it."""

    def __init__(self, behind: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.behind = nn.Linear(6, 3), behind
        self.norm = nn.BatchNorm1d(3, track_running_stats=False)

    def forward(self, inputs: Tensor) -> Tensor:
        logits = self.linear(inputs)
        match self.behind:
            case "dropout":
                return functional.dropout(logits, 0.5, training=True)
            case "noise":
                return logits + torch.randn_like(logits)
            case "numpy":
                return logits * float(np.random.normal())
            case "norm":
                return self.norm(logits)
            case "mean":
                return logits - logits.mean(0)
            case "first":
                return logits * logits[:1]
            case "softmax over rows":
                return logits.softmax(0)
            case "squeeze":
                return logits[..., None].squeeze()
            case _:
                return logits


class _Own:
    """A teacher of the user's."""

    classes = 3

    def __init__(self, said: object) -> None:
        self.said = said

    def predict(self, inputs: Tensor) -> Tensor:
        return self.said(inputs[:, :3])  # type: ignore[operator]

    def fingerprint(self) -> str:
        return "own"


FINE = {
    "network": lambda: as_teacher(_Net(""), classes=3),
    "squeeze": lambda: as_teacher(_Net("squeeze"), classes=3),
    "half": lambda: as_teacher(_Net("").half(), classes=3),
    "bfloat16": lambda: as_teacher(_Net("").bfloat16(), classes=3),
    "probabilities": lambda: as_teacher(nn.Sequential(_Net(""), nn.Softmax(1)), classes=3),
    "estimator": lambda: as_teacher(DecisionTreeClassifier(max_depth=3).fit(ROWS.numpy(), np.arange(40) % 3)),
    "own": lambda: _Own(lambda inputs: inputs),
    "own that says zeros": lambda: _Own(torch.zeros_like),
    "ensemble": lambda: as_teacher([_Net(""), _Own(lambda inputs: inputs)], classes=3),
    "sampled": lambda: as_teacher(_Net("dropout"), classes=3, samples=4),
}


@pytest.mark.parametrize("name", FINE)
def test_teachers_that_answer_alike_pass_and_nobodys_random_numbers_move(name):
    teacher, rows = FINE[name](), ROWS.clone()
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    trial(teacher, rows)
    assert torch.equal(before[0], torch.get_rng_state()) and before[2] == random.getstate()
    assert (before[1] == np.random.get_state()[1]).all()
    assert torch.equal(rows, ROWS)


@pytest.mark.parametrize("behind", ["dropout", "noise", "numpy"])
def test_chance_is_refused_with_its_size(behind):
    for teacher in (as_teacher(_Net(behind), classes=3), as_teacher([_Net(""), _Net(behind)], classes=3)):
        with pytest.raises(
            BadInput, match=r"gives other outputs for the same rows each time it is run: by [\d.]+ of its"
        ):
            trial(teacher, ROWS)


@pytest.mark.parametrize("behind", ["norm", "mean", "first", "softmax over rows"])
def test_mixing_rows_is_refused_with_its_size(behind):
    own = _Own(lambda inputs: _Net(behind)(torch.cat([inputs, inputs], 1)).detach())
    for teacher in (as_teacher(_Net(behind), classes=3), own):
        with pytest.raises(BadInput, match=r"gives a row other outputs when other rows are in its batch: by "):
            trial(teacher, ROWS)


def test_probabilities_of_a_users_own_teacher_are_refused_unless_stated():
    own = _Own(lambda inputs: inputs.softmax(1))
    for teacher in (own, as_teacher([own, own])):
        with pytest.raises(BadInput, match=r"gives probabilities .*as_teacher\(teacher, output='probabilities'\)"):
            trial(teacher, ROWS)
    stated = as_teacher(own, output="probabilities")
    trial(stated, ROWS)
    torch.testing.assert_close(stated.predict(ROWS).softmax(1), ROWS[:, :3].softmax(1))
    as_they_are = as_teacher(own, output="logits")
    trial(as_they_are, ROWS)
    torch.testing.assert_close(as_they_are.predict(ROWS), ROWS[:, :3].softmax(1))
    assert len({own.fingerprint(), stated.fingerprint(), as_they_are.fingerprint()}) == 3


def test_nothing_is_stored_of_a_teacher_that_is_refused(tmp_path):
    with pytest.raises(BadInput, match="for the same rows each time"):
        label(as_teacher(_Net("dropout"), classes=3), SPLIT, tmp_path / "t")
    assert not (tmp_path / "t").exists()


def test_a_live_teacher_is_tried_once():
    with pytest.raises(BadInput, match="when other rows are in its batch"):
        Live(as_teacher(_Net("mean"), classes=3))(ROWS, torch.arange(40), 0)
    asked = []
    live = Live(_Own(lambda inputs: asked.append(len(inputs)) or inputs))
    for _ in range(3):
        live(ROWS, torch.arange(40), 0)
    assert asked.count(40) == 3


def test_the_mean_of_several_answers():
    net = _Net("dropout")
    once, again = (SampledTeacher(NetworkTeacher(net, classes=3), 400, seed=1) for _ in range(2))
    torch.manual_seed(5)
    state = torch.get_rng_state()
    said = once.predict(ROWS[:8])
    assert torch.equal(state, torch.get_rng_state()), "the caller's random numbers go on"
    torch.manual_seed(6)
    torch.testing.assert_close(again.predict(ROWS[3:5]), said[3:5], rtol=0, atol=1e-5)
    # Each of the three logits is doubled or 0, so that the mean probabilities are those of 8 equally likely answers.
    masks = torch.cartesian_prod(*[torch.tensor([0.0, 2.0])] * 3)
    with torch.no_grad():
        right = (masks[:, None] * net.linear(ROWS[:8])).softmax(-1).mean(0)
    torch.testing.assert_close(said.softmax(1), right, rtol=0, atol=0.06)
    prints = {SampledTeacher(NetworkTeacher(net, classes=3), n, s).fingerprint() for n in (2, 3) for s in (0, 1)}
    assert len(prints) == 4
    with pytest.raises(BadInput, match="samples of as_teacher must be at least 2; got 1"):
        as_teacher(net, classes=3, samples=1)


def test_what_the_user_should_know_is_collected():
    inner = nn.Sequential(_Net(""), nn.Softmax(1))
    both = as_teacher([inner, as_teacher(inner, classes=3, size=lambda rows: rows)], classes=3)
    assert [("gives probabilities" in text) for text in remarks(both)] == [True], "said once"
    assert remarks(_Own(lambda inputs: inputs)) == []


class _Soft(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs[:, :3].softmax(1)


def test_a_teacher_that_was_settled_keeps_its_fingerprint():
    teacher = as_teacher([_Soft(), _Net("")], classes=3)
    settle(teacher, ROWS)
    before = teacher.fingerprint()
    teacher.predict(ROWS)
    assert teacher.fingerprint() == before


@pytest.mark.parametrize("outputs", [1, 2])
def test_values_are_nobodys_to_shift(tmp_path, outputs):
    class Values(_Own):
        target = "values"
        classes = outputs

    teacher = Values(lambda inputs: 1e6 * inputs[:, :outputs] + 3.0)
    split = Split(ROWS, None, torch.arange(40), Regression(("a", "b")[:outputs]))
    right = 1e6 * ROWS[:, :outputs] + 3.0
    assert torch.equal(Live(teacher)(ROWS, torch.arange(40), 0), right)
    stored = label(teacher, split, tmp_path / "t")
    assert torch.equal(stored(None, torch.arange(40), 0), right)
    assert (stored.kind, stored.dtype, stored.fidelity()) == ("values", "float32", None)
    assert str(stored).startswith("values of 40 examples")
    both = as_teacher([teacher, Values(lambda inputs: inputs[:, :outputs])])
    torch.testing.assert_close(both.predict(ROWS), (right + ROWS[:, :outputs]) / 2)
    with pytest.raises(BadInput, match="dtype of label must be left out for a teacher that gives values"):
        label(teacher, split, tmp_path / "u", dtype="int8")
    if outputs == 2:
        with pytest.raises(BadInput, match="top_k of label must be left out for a teacher that gives values"):
            label(teacher, split, tmp_path / "u", top_k=1)


def test_a_network_may_be_said_to_give_values(tmp_path):
    network = nn.Linear(6, 1)
    stored = label(
        as_teacher(network, classes=1, output="values"),
        Split(ROWS, None, torch.arange(40), Regression(("y",))),
        tmp_path,
    )
    torch.testing.assert_close(stored(None, torch.arange(40), 0), network(ROWS).detach())
