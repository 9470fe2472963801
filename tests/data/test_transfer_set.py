"""The transfer set: batches depend on rows and epoch alone, and stored targets equal live ones."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from attar.data.datasets import Split
from attar.data.store import label, round_through_store
from attar.data.transfer_set import Live, TargetSource, TransferSet
from attar.data.views import Views
from attar.errors import BadInput
from attar.ops.top_k import TopK
from attar.tasks.classification import Classification
from attar.teachers.teacher import NetworkTeacher
from attar.training.batch import Source

VIEWS = Views(count=3, flip=True, shift=1, noise=0.05, seed=2)
CLASSES = ("a", "b", "c", "d")


def pixels(rows: int = 20, first_id: int = 100) -> Split:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(0, 256, (rows, 1, 6, 6), generator=generator, dtype=torch.uint8)
    return Split(inputs, torch.arange(rows) % 4, torch.arange(rows).flip(0) + first_id, Classification(CLASSES))


def teacher(classes: int = 4) -> NetworkTeacher:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = nn.Sequential(nn.Flatten(), nn.Linear(36, classes))
    return NetworkTeacher(network, classes=classes)


def test_a_batch_is_the_rows_asked_for():
    split, rows = pixels(), torch.tensor([7, 0, 19])
    data: Source = TransferSet(split)
    batch = data.batch(rows, epoch=5)
    assert len(data) == 20
    assert torch.equal(batch.inputs, split.inputs[rows].float() / 255)
    assert torch.equal(batch.labels, split.labels[rows]) and torch.equal(batch.ids, split.ids[rows])
    assert batch.targets is None and batch.mask is None


@settings(deadline=None, max_examples=30)
@given(rows=st.lists(st.integers(0, 19), max_size=8), epoch=st.integers(0, 50))
def test_epochs_go_round_the_views(rows, epoch):
    split, rows = pixels(), torch.tensor(rows, dtype=torch.int64)
    batch = TransferSet(split, VIEWS, Live(teacher())).batch(rows, epoch)
    seen = VIEWS(split.floats(rows), split.ids[rows], epoch % 3)
    assert torch.equal(batch.inputs, seen)
    assert torch.equal(batch.targets, round_through_store(teacher().predict(seen)))


@settings(deadline=None, max_examples=30)
@given(order=st.permutations(range(20)), cut=st.integers(0, 20), epoch=st.integers(0, 5))
def test_a_batch_is_the_sum_of_its_parts(order, cut, epoch):
    rows, data = torch.tensor(order), TransferSet(pixels(), VIEWS)
    whole = data.batch(rows, epoch)
    parts = [data.batch(part, epoch) for part in (rows[:cut], rows[cut:])]
    for name in ("inputs", "labels", "ids"):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(part, name) for part in parts]))


def test_stored_and_live_targets_give_the_same_batches(tmp_path):
    split = pixels()
    stored = TransferSet(split, VIEWS, label(teacher(), split, tmp_path, views=VIEWS, batch_size=7))
    live = TransferSet(split, VIEWS, Live(teacher()))
    for epoch in range(4):
        rows = torch.randperm(20, generator=torch.Generator().manual_seed(epoch))
        one, other = stored.batch(rows, epoch), live.batch(rows, epoch)
        assert torch.equal(one.inputs, other.inputs) and torch.equal(one.ids, other.ids)
        # Matrix products of other batch sizes may differ in their last bit, and so may what they round to.
        assert torch.allclose(one.targets, other.targets, atol=0, rtol=2**-10)
        assert one.targets.dtype == torch.float32
        assert (one.targets == other.targets).float().mean() > 0.9


def test_the_likeliest_classes_are_handed_on_as_they_are(tmp_path):
    split = pixels()
    stored = label(teacher(), split, tmp_path, views=VIEWS, top_k=2)
    rows = torch.tensor([7, 0, 19])
    batch = TransferSet(split, VIEWS, stored).batch(rows, epoch=4)
    assert isinstance(batch.targets, TopK) and batch.targets.shape == (3, 4)
    said = teacher().predict(batch.inputs)
    assert torch.equal(batch.targets.index, said.topk(2).indices)
    torch.testing.assert_close(batch.full_targets("the test"), stored(None, rows, 1).full())
    torch.testing.assert_close(
        batch.targets.log_probabilities, said.log_softmax(1).topk(2).values, rtol=2**-10, atol=1e-4
    )


def test_likeliest_classes_of_other_classes_are_refused():
    def three(inputs, rows, view):
        return TopK.of(torch.zeros(len(rows), 3), 1)

    with pytest.raises(BadInput, match=r"^targets of TransferSet must be of shape \(2, 4\), .*got \(2, 3\)"):
        TransferSet(pixels(), targets=three).batch(torch.arange(2), 0)


def test_labels_can_be_hidden_or_absent():
    split, rows = pixels(), torch.arange(3)
    bare = Split(split.inputs, None, split.ids, Classification(CLASSES))
    assert TransferSet(split, targets=Live(teacher()), labelled=False).batch(rows, 0).labels is None
    assert TransferSet(bare, targets=Live(teacher())).batch(rows, 0).labels is None


def test_nothing_to_learn_from_is_refused():
    split = pixels()
    message = "^targets of TransferSet must be given where there are no labels; got None. Give labels, or targets"
    with pytest.raises(BadInput, match=message):
        TransferSet(split, labelled=False)
    with pytest.raises(BadInput, match=message):
        TransferSet(Split(split.inputs, None, split.ids, Classification(CLASSES)))


def test_an_empty_split_is_refused():
    with pytest.raises(BadInput, match=r"^split of TransferSet must be at least one example; got none"):
        TransferSet(pixels().rows(slice(0, 0)))


def test_a_function_is_a_source_of_targets():
    def zeros(inputs, rows, view):
        return torch.zeros(len(rows), 4)

    source: TargetSource = zeros
    assert TransferSet(pixels(), targets=source).batch(torch.arange(2), 0).targets.tolist() == [[0] * 4] * 2


def test_targets_of_another_shape_are_refused():
    message = r"^targets of TransferSet must be of shape \(2, 4\), for 4 classes; got \(2, 5\)\. Use a teacher"
    with pytest.raises(BadInput, match=message):
        TransferSet(pixels(), targets=Live(teacher(classes=5))).batch(torch.arange(2), 0)


def test_stored_targets_of_other_rows_are_refused(tmp_path):
    split = pixels()
    targets = label(teacher(), split, tmp_path)
    with pytest.raises(
        BadInput, match=r"^targets of TransferSet must be about the 19 rows of the split; got targets of 20"
    ):
        TransferSet(split.rows(slice(0, 19)), targets=targets)
    with pytest.raises(
        BadInput, match=r"^targets .* about the 20 rows of the split; got targets of other examples. Label"
    ):
        TransferSet(pixels(first_id=0), targets=targets)


def test_stored_targets_of_other_classes_are_refused(tmp_path):
    split = pixels()
    targets = label(teacher(), split, tmp_path)
    renamed = Split(split.inputs, split.labels, split.ids, Classification(("b", "a", "c", "d")))
    with pytest.raises(BadInput, match=r"^targets of TransferSet must be for 4 classes: b, a, c, d; got \['a'"):
        TransferSet(renamed, targets=targets)


def test_stored_targets_of_another_number_of_views_are_refused(tmp_path):
    split = pixels()
    targets = label(teacher(), split, tmp_path, views=Views(count=2, shift=1))
    with pytest.raises(BadInput, match=r"^targets of TransferSet must be of 3 views; got 2. Label with the same views"):
        TransferSet(split, VIEWS, targets)


def test_it_prints_what_it_is_made_of():
    text = repr(TransferSet(pixels(), Views(), Live(teacher())))
    assert text.startswith("TransferSet(Split(20 examples of 1 x 6 x 6 uint8, 4 classes), Views(count=1")
    assert text.endswith("targets from Live, labelled=True)")
