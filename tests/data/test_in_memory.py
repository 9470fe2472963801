"""Targets in memory are those of the store, found by position."""

from __future__ import annotations

import torch
from sklearn.linear_model import LinearRegression

from attar.data.in_memory import InMemory, outputs_of
from attar.data.transfer_set import Live
from attar.teachers.estimator import RegressorTeacher
from attar.teachers.teacher import NetworkTeacher


def test_the_same_as_a_live_teacher_by_position() -> None:
    torch.manual_seed(0)
    teacher = NetworkTeacher(torch.nn.Linear(3, 4), classes=4)
    inputs, rows = torch.randn(9, 3), torch.tensor([5, 0, 8])
    kept = InMemory(outputs_of(teacher, inputs))
    torch.testing.assert_close(kept(inputs[rows], rows, 0), Live(teacher)(inputs[rows], rows, 0))


def test_values_are_not_rounded() -> None:
    estimator = LinearRegression().fit([[0.0], [1.0]], [1e6, 1e6 + 1])
    outputs = outputs_of(RegressorTeacher(estimator), torch.tensor([[0.0], [1.0]]))
    torch.testing.assert_close(outputs, torch.tensor([[1e6], [1e6 + 1]]), rtol=0, atol=0.1)
