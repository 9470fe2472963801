"""What steps may use: by what models are chosen."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from attar.data.in_memory import InMemory
from attar.data.split import Dataset, Split
from attar.data.views import UNCHANGED
from attar.pipeline.step import ByLoss, TeacherTools, Tools
from attar.tasks.regression import Regression
from attar.training.losses.outputs import HardValues, SquaredError


def _tools() -> Tools:
    """Two rows to judge by, (0, 1); the network gives them back as they are."""
    split = Split(torch.tensor([[0.0], [1.0]]), torch.tensor([[4.0], [1.0]]), torch.arange(2), Regression(("value",)))
    return Tools(dataset=Dataset("pairs", split, split, split, "a test"), dataset_key="", views=UNCHANGED)


def test_a_loss_against_labels_or_teacher_takes_the_place_of_the_metric() -> None:
    tools = _tools()
    assert tools.score(nn.Identity()) == -16 / 2
    by_labels = replace(tools, choose_by=ByLoss(loss=HardValues(scale=2.0)))
    assert by_labels.score(nn.Identity()) == -4 / 2
    targets = InMemory(torch.tensor([[0.0], [3.0]]))
    by_teacher = replace(tools, choose_by=ByLoss(loss=SquaredError(kind="values"), targets=targets))
    assert by_teacher.score(nn.Identity()) == -4 / 2
    keys = [one.key["choose_by"] for one in (tools, by_labels, by_teacher)]
    assert len(set(keys)) == 3


def test_a_part_has_the_targets_of_its_own_examples() -> None:
    """Rows 0 to 99; the teacher gives ten times what an input is."""
    inputs, ids = torch.arange(100.0)[:, None], torch.arange(100)
    split = Split(inputs, inputs, ids, Regression(("value",)))
    whole = replace(
        _tools(),
        dataset=Dataset("numbers", split, split, split, "a test"),
        teacher=TeacherTools(key={"fingerprint": "ten"}, targets=InMemory(10 * inputs)),
    )
    less, more = whole.subset(10), whole.subset(30)
    for subset, count in ((less, 10), (more, 30)):
        batch = subset.transfer_set().batch(torch.arange(count), epoch=0)
        assert batch.targets is not None and torch.equal(batch.targets, 10 * batch.inputs)
        assert len(subset.transfer_set()) == count
    few, many = (set(subset.transfer_set().split.ids.tolist()) for subset in (less, more))
    assert few < many and len({str(subset.key) for subset in (less, more, whole)}) == 3
    assert whole.subset(100) is whole
    alone = replace(whole, teacher=None).subset(10)
    assert len(alone.transfer_set()) == 10 and set(alone.transfer_set().split.ids.tolist()) == few
