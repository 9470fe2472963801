"""Scores by which epochs are chosen: hand-worked, higher is better, and clear about what they lack."""

import math

import pytest
import torch

from attar.data.split import Split
from attar.data.transfer_set import TransferSet
from attar.errors import BadInput
from attar.tasks.classification import ACCURACY, Classification
from attar.tasks.metrics.regression import RMSE_OF_VALUES
from attar.tasks.task import metric_of
from attar.training.batch import Batch
from attar.training.scoring import score_by, total_score, usual_score

TASK = Classification(("no", "yes"))
LOGITS = torch.log(torch.tensor([[0.8, 0.2], [0.4, 0.6], [0.5, 0.5]]))
BATCH = Batch(inputs=torch.zeros(3, 1), labels=torch.tensor([0, 0, -1]))
CHOOSE_BY = ("accuracy", "log_loss", "rmse")


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("accuracy", [1.0, 0.0, 0.0]),
        ("rmse", [-0.04, -0.36, 0.0]),
        ("log_loss", [math.log(0.8), math.log(0.4), 0.0]),
    ],
)
def test_scores_hand_worked(by, expected):
    found = score_by(metric_of(TASK, by))(LOGITS, BATCH)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), atol=1e-6, rtol=0)


def test_values_are_scored_by_their_squared_error():
    batch = Batch(inputs=torch.zeros(1, 1), labels=torch.tensor([[1.0, 3.0]]))
    assert score_by(RMSE_OF_VALUES)(torch.tensor([[2.0, 1.0]]), batch).tolist() == [-2.5]


@pytest.mark.parametrize("by", CHOOSE_BY)
def test_a_better_output_scores_higher(by):
    batch, score = Batch(inputs=torch.zeros(2, 1), labels=torch.tensor([0, 1])), score_by(metric_of(TASK, by))
    right = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    assert (score(right, batch) > score(-right, batch)).all()


@pytest.mark.parametrize("by", CHOOSE_BY)
def test_labels_must_be_there(by):
    with pytest.raises(BadInput, match="labels of the validation data must be present for the "):
        score_by(metric_of(TASK, by))(torch.zeros(1, 2), Batch(inputs=torch.zeros(1, 1)))


def test_the_usual_score_is_that_of_the_task_of_the_data():
    data = TransferSet(Split(torch.eye(2), torch.tensor([0, 1]), torch.arange(2), TASK))
    assert usual_score(data)(torch.eye(2), data.batch(torch.arange(2), 0)).tolist() == [1.0, 1.0]


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
        total_score(student, data, rows, score_by(ACCURACY), torch.device("cpu"))
        for rows in torch.arange(len(data)).split([700, 0, 500])
    ]
    # Rows of the classes 1 and 2 count, 800; a quarter of them has label 0 instead of its own.
    assert scores[1] == (0.0, 0)
    assert [sum(each) for each in zip(*scores, strict=True)] == [600.0, 800]
