"""What examples count in a step: weights are rows that are there several times, or not at all."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from attar.data.split import Split
from attar.data.transfer_set import TransferSet
from attar.tasks.classification import Classification
from attar.training.batch import Batch, of_counted, weighted
from attar.training.fit import fit
from attar.training.losses.outputs import HardLabels
from attar.training.objective import Objective, Term
from attar.training.scoring import total_score
from attar.training.settings import Training

TASK = Classification(("a", "b", "c"))
HARD = Objective({"hard": Term(loss=HardLabels())})


def examples(rows: list[int], weights: list[float] | None = None) -> TransferSet:
    inputs = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))[rows]
    labels = torch.tensor([0, 1, 2, 1])[rows]
    counts = None if weights is None else torch.tensor(weights)
    return TransferSet(Split(inputs, labels, torch.arange(len(rows)), TASK, weights=counts))


def step_of(data: TransferSet, micro_batch_size: int | None = None) -> torch.Tensor:
    torch.manual_seed(0)
    net = nn.Linear(5, 3)
    settings = Training(epochs=1, batch_size=4, optimizer="sgd", learning_rate=0.5, micro_batch_size=micro_batch_size)
    fitted = fit(copy.deepcopy(net), HARD, data, settings=settings)
    return fitted.model.weight.detach()


@pytest.mark.parametrize("micro_batch_size", [None, 1, 3])
def test_a_step_with_weights_is_that_of_repeated_rows(micro_batch_size: int | None):
    repeated = step_of(examples([0, 0, 1, 2]))
    torch.testing.assert_close(step_of(examples([0, 1, 2, 3], [20.0, 10.0, 10.0, 0.0]), micro_batch_size), repeated)
    assert not torch.allclose(step_of(examples([0, 1, 2, 3])), repeated)


def test_every_position_of_an_example_counts_what_the_example_does():
    mask = torch.tensor([[True, False], [True, True]])
    batch = Batch(inputs=torch.zeros(2, 1), mask=mask, weights=torch.tensor([3.0, 0.5]))
    losses = torch.tensor([[1.0, 9.0], [1.0, 2.0]])
    assert weighted(of_counted(losses, batch), batch).tolist() == [3.0, 0.5, 1.0]
    plain = Batch(inputs=torch.zeros(2, 1), weights=torch.tensor([3.0, 0.5]))
    assert weighted(of_counted(losses, plain), plain).tolist() == [15.0, 0.75]
    assert plain.rows(1, 2).weights is not None


def test_the_best_epoch_is_chosen_by_weights():
    def metric(output: torch.Tensor, batch: Batch) -> torch.Tensor:
        return batch.inputs[:, 0]

    inputs, mask = torch.tensor([[1.0], [4.0]]), torch.tensor([[True, True], [False, True]])

    class Two:
        def __len__(self) -> int:
            return 2

        def batch(self, rows: torch.Tensor, epoch: int) -> Batch:
            return Batch(inputs=inputs[rows], mask=self.mask, weights=self.weights)

        mask: torch.Tensor | None = None
        weights: torch.Tensor | None = torch.tensor([3.0, 1.0])

    data, rows, device = Two(), torch.arange(2), torch.device("cpu")
    assert total_score(nn.Identity(), data, rows, metric, device) == (7.0, 4.0)
    data.mask = mask  # the score of an example counts once, of however many positions it is
    assert total_score(nn.Identity(), data, rows, metric, device) == (7.0, 4.0)
    data.weights = None
    assert total_score(nn.Identity(), data, rows, metric, device) == (5.0, 2.0)
