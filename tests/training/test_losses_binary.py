"""Losses on a logit for each label, and who may be trained with them."""

import math

import pytest
import torch
from torch import Tensor, nn

from attar.data.split import Split
from attar.data.transfer_set import TransferSet
from attar.errors import BadInput
from attar.tasks.classification import Classification
from attar.tasks.multilabel import MultiLabel
from attar.training.batch import Batch
from attar.training.fit import fit
from attar.training.losses.binary import BinaryLabels, BinaryTargets
from attar.training.losses.outputs import HardLabels, SoftTargets, SquaredError
from attar.training.objective import Loss, Objective, Term
from attar.training.settings import Training

LABELS = torch.tensor([[1, 0, 1], [0, -1, 1], [-1, -1, -1], [0, 0, 0]])
THREE = math.log(3)


def batch(targets: Tensor | None = None) -> Batch:
    return Batch(inputs=torch.zeros(4, 2), labels=LABELS, targets=targets)


def test_labels_are_averaged_over_those_that_are_known():
    output = torch.tensor([[THREE, THREE, THREE], [THREE, 9.0, THREE], [5.0, 5.0, 5.0], [-THREE] * 3])
    right, wrong = -math.log(3 / 4), -math.log(1 / 4)
    expected = [(2 * right + wrong) / 3, (wrong + right) / 2, 0.0, right]
    torch.testing.assert_close(BinaryLabels()(output, batch()), torch.tensor(expected))


def test_targets_by_hand():
    output, targets = torch.full((4, 3), -2 * THREE), torch.full((4, 3), 2 * THREE)
    plain = BinaryTargets(temperature=2.0, scale_by_t2=False)(output, batch(targets))
    torch.testing.assert_close(plain, torch.full((4,), THREE / 2))
    torch.testing.assert_close(BinaryTargets(temperature=2.0)(output, batch(targets)), 4 * plain)
    assert (BinaryTargets()(targets, batch(targets)) == 0).all()


def test_a_common_shift_of_the_logits_counts():
    targets = torch.zeros(4, 3)
    assert (BinaryTargets()(targets + 1, batch(targets)) > 0.1).all()


def split_of(task: MultiLabel | Classification) -> Split:
    labels = LABELS if isinstance(task, MultiLabel) else torch.tensor([0, 1, 2, 0])
    inputs = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    return Split(inputs, labels, torch.arange(4), task)


@pytest.mark.parametrize("loss", [HardLabels(), SoftTargets(), SquaredError()], ids=repr)
def test_losses_of_one_class_are_refused_where_any_label_may_hold(loss: Loss):
    data = TransferSet(split_of(MultiLabel(("a", "b", "c"))))
    with pytest.raises(BadInput, match="is for one class among several, and the task is multilabel"):
        fit(nn.Linear(2, 3), Objective({"it": Term(loss=loss)}), data)


def test_losses_of_labels_are_refused_for_classes():
    data = TransferSet(split_of(Classification(("a", "b", "c"))))
    with pytest.raises(BadInput, match="BinaryLabels is for labels of which any may hold, and the task is classif"):
        fit(nn.Linear(2, 3), Objective({"it": Term(loss=BinaryLabels())}), data)


def test_the_number_of_logits_must_be_that_of_the_labels():
    data = TransferSet(split_of(MultiLabel(("a", "b", "c"))))
    with pytest.raises(BadInput, match=r"outputs of shape \[4, 2\] for 4 rows, where \[4, 3\] is needed: one logit"):
        fit(nn.Linear(2, 2), Objective({"it": Term(loss=BinaryLabels())}), data)


def test_a_network_learns_labels_and_is_chosen_by_their_f1():
    task = MultiLabel(("a", "b", "c"))
    inputs = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    labels = (inputs[:, :3] + inputs[:, 1:] > 0).long()
    data = TransferSet(Split(inputs, labels, torch.arange(200), task))
    settings = Training(epochs=30, batch_size=50, optimizer="adam", learning_rate=0.05)
    torch.manual_seed(0)
    fitted = fit(
        nn.Linear(4, 3), Objective({"it": Term(loss=BinaryLabels())}), data, settings=settings, validation=data
    )
    quality = task.quality(fitted.model(inputs).detach().numpy(), labels.numpy())
    assert fitted.score == pytest.approx(quality.f1) and quality.f1 > 0.9
