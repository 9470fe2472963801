"""What steps may use: by what models are chosen."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from attar.data.in_memory import InMemory
from attar.data.split import Dataset, Split
from attar.data.views import UNCHANGED
from attar.pipeline.step import ByLoss, Tools
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
