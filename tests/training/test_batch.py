"""A batch: its parts, its count, and that nothing is copied for a slice."""

import pytest
import torch

from attar.errors import BadInput
from attar.ops.top_k import TopK
from attar.tasks.labels import ABSENT
from attar.training.batch import Batch


def full_batch() -> Batch:
    return Batch(
        inputs=torch.arange(12.0).view(4, 3),
        labels=torch.tensor([0, ABSENT, 2, 1]),
        targets=torch.arange(8.0).view(4, 2),
        ids=torch.tensor([10, 11, 12, 13]),
        mask=torch.tensor([True, False, True, True]),
    )


def test_rows_cut_every_part_alike():
    part = full_batch().rows(1, 3)
    assert len(part) == 2
    for name in ("inputs", "labels", "targets", "ids", "mask"):
        assert torch.equal(getattr(part, name), getattr(full_batch(), name)[1:3])


def test_rows_past_the_end_are_the_rest():
    assert len(full_batch().rows(3, 9)) == 1


def test_rows_share_the_memory():
    batch = full_batch()
    batch.rows(0, 2).inputs[0, 0] = 99
    assert batch.inputs[0, 0] == 99


def test_absent_parts_stay_absent():
    part = Batch(inputs=torch.zeros(3, 1)).rows(0, 2).to(torch.device("cpu"))
    assert len(part) == 2
    assert part.labels is None and part.targets is None and part.ids is None and part.mask is None


def test_it_moves_as_a_whole():
    moved = full_batch().to(torch.device("meta"))
    for name in ("inputs", "labels", "targets", "ids", "mask"):
        assert getattr(moved, name).device.type == "meta"


def test_what_counts():
    # Everything without a mask, also what has no label; else what the mask says, positions too.
    assert Batch(inputs=torch.zeros(3, 1), labels=torch.tensor([ABSENT, 1, ABSENT])).count() == 3
    assert full_batch().count() == 3
    assert Batch(inputs=torch.zeros(2, 4), mask=torch.tensor([[True, True, False], [False, True, False]])).count() == 3
    assert Batch(inputs=torch.zeros(0, 1)).count() == 0


def likeliest() -> Batch:
    """A batch whose targets are the two likeliest of five classes."""
    logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    return Batch(inputs=torch.arange(12.0).view(4, 3), targets=TopK.of(logits, 2))


def test_targets_of_the_likeliest_classes_are_cut_and_moved_with_the_rest():
    batch = likeliest()
    part = batch.rows(1, 3)
    assert isinstance(part.targets, TopK) and isinstance(batch.targets, TopK) and len(part.targets) == 2
    assert torch.equal(part.targets.index, batch.targets.index[1:3])
    assert torch.equal(part.targets.full(), batch.targets.full()[1:3])
    moved = batch.to(torch.device("meta"))
    assert moved.targets is not None and moved.targets.device.type == "meta"


def test_targets_are_given_as_they_are_or_dense():
    reference, top = full_batch(), likeliest()
    assert reference.targets_for("it") is reference.targets and reference.full_targets("it") is reference.targets
    assert isinstance(top.targets, TopK) and top.targets_for("it") is top.targets
    assert torch.equal(top.full_targets("it"), top.targets.full())


@pytest.mark.parametrize("ask", [Batch.targets_for, Batch.full_targets])
def test_absent_targets_name_who_asks(ask):
    with pytest.raises(
        BadInput, match=r"targets of the batch must be present for my term; got none. Give a teacher or"
    ):
        ask(Batch(inputs=torch.zeros(3, 1)), "my term")
