"""Scores by which epochs are chosen: hand-worked, higher is better, and clear about what they lack."""

import math

import pytest
import torch

from attar.errors import BadInput
from attar.training.batch import Batch
from attar.training.scoring import (
    METRICS,
    accuracy,
    negative_brier,
    negative_log_loss,
    negative_squared_error,
    total_score,
)

LOGITS = torch.log(torch.tensor([[0.8, 0.2], [0.4, 0.6], [0.5, 0.5]]))
BATCH = Batch(inputs=torch.zeros(3, 1), labels=torch.tensor([0, 0, -1]))


def test_scores_hand_worked():
    torch.testing.assert_close(accuracy(LOGITS, BATCH), torch.tensor([1.0, 0.0, 0.0]))
    torch.testing.assert_close(negative_brier(LOGITS, BATCH), torch.tensor([-0.04, -0.36, 0.0]))
    torch.testing.assert_close(negative_log_loss(LOGITS, BATCH), torch.tensor([math.log(0.8), math.log(0.4), 0.0]))
    values = Batch(inputs=torch.zeros(1, 1), values=torch.tensor([[1.0, 3.0]]))
    torch.testing.assert_close(negative_squared_error(torch.tensor([[2.0, 1.0]]), values), torch.tensor([-2.5]))


@pytest.mark.parametrize("metric", METRICS.values())
def test_a_better_output_scores_higher(metric):
    batch = Batch(inputs=torch.zeros(2, 1), labels=torch.tensor([0, 1]))
    right = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    assert (metric(right, batch) > metric(-right, batch)).all()


@pytest.mark.parametrize("metric", METRICS.values())
def test_labels_must_be_there(metric):
    with pytest.raises(BadInput, match="labels of the validation data must be present"):
        metric(torch.zeros(1, 2), Batch(inputs=torch.zeros(1, 1)))


def test_values_must_be_there():
    with pytest.raises(BadInput, match="values of the validation data must be present"):
        negative_squared_error(torch.zeros(1, 2), Batch(inputs=torch.zeros(1, 1)))


def test_parts_of_the_data_add_up_to_all_of_it():
    class Rows:
        inputs = torch.eye(3).repeat(400, 1)
        labels = torch.arange(3).repeat(400) * (torch.arange(1200) % 4 > 0)

        def __len__(self) -> int:
            return len(self.inputs)

        def batch(self, rows: torch.Tensor, epoch: int) -> Batch:
            return Batch(self.inputs[rows], self.labels[rows], mask=self.inputs[rows, 0] == 0)

    data, student = Rows(), torch.nn.Identity()
    scores = [
        total_score(student, data, rows, accuracy, torch.device("cpu"))
        for rows in torch.arange(len(data)).split([700, 0, 500])
    ]
    # Rows of the classes 1 and 2 count, 800; a quarter of them has label 0 instead of its own.
    assert scores[1] == (0.0, 0)
    assert [sum(each) for each in zip(*scores, strict=True)] == [600.0, 800]
