"""Losses on outputs where the targets are the likeliest classes alone."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from attar.errors import BadInput
from attar.ops.top_k import TopK, top_k_kl
from attar.training.batch import Batch
from attar.training.fit import fit
from attar.training.losses.outputs import CenteredLogits, HardLabels, SoftTargets, SquaredError
from attar.training.objective import Objective, Term
from attar.training.schedule import Ramp
from attar.training.settings import Training

ROWS, CLASSES, KEPT = 24, 12, 3


def numbers(seed: int, *shape: int) -> Tensor:
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch_of() -> Batch:
    top = TopK.of(numbers(0, ROWS, CLASSES), KEPT)
    targets = TopK(top.index, top.log_probabilities.float(), top.rest.float(), CLASSES)
    labels = torch.arange(ROWS) % CLASSES
    return Batch(inputs=numbers(1, ROWS, 5), labels=labels, targets=targets, ids=torch.arange(ROWS))


def densely(batch: Batch) -> Batch:
    return replace(batch, targets=batch.full_targets("the test"))


TERMS = [
    SoftTargets(),
    SoftTargets(temperature=1.0, scale_by_t2=False),
    SoftTargets(temperature=20.0),
    CenteredLogits(),
    SquaredError(),
    HardLabels(),
]


@pytest.mark.parametrize("loss", TERMS, ids=repr)
def test_every_term_gives_what_it_gives_for_the_full_targets(loss):
    batch, output = batch_of(), numbers(2, ROWS, CLASSES)
    found = []
    for targets in (batch, densely(batch)):
        z = output.clone().requires_grad_()
        values = loss(z, targets)
        assert values.shape == (ROWS,)
        found.append((values.detach(), torch.autograd.grad(values.sum(), z)[0]))
    (value, gradient), (expected, slope) = found
    # Float32 rounds terms of about 1, and T squared magnifies that.
    magnified = getattr(loss, "temperature", 1.0) ** 2
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6 * max(1.0, magnified))
    torch.testing.assert_close(gradient, slope, rtol=1e-5, atol=1e-6)


def test_the_rest_may_be_a_bucket():
    batch, output = batch_of(), numbers(2, ROWS, CLASSES)
    assert isinstance(batch.targets, TopK)
    expected = 16 * top_k_kl(output, batch.targets, temperature=4.0, rest="bucket")
    assert torch.equal(SoftTargets(temperature=4.0, rest="bucket")(output, batch), expected)
    assert (expected < SoftTargets(temperature=4.0)(output, batch)).all()


def test_without_a_rest_the_bucket_changes_nothing():
    batch, output = densely(batch_of()), numbers(2, ROWS, CLASSES)
    assert torch.equal(SoftTargets(rest="bucket")(output, batch), SoftTargets()(output, batch))


def test_a_scheduled_temperature_keeps_the_rest():
    moving = SoftTargets(temperature=Ramp(start=8.0, end=2.0, epochs=3.0), rest="bucket")
    active = Objective({"soft": Term(loss=moving)}).at(1.0)[0]
    assert active.loss == SoftTargets(temperature=6.0, rest="bucket")


def test_an_unknown_rest_is_refused():
    asked = SoftTargets()
    # Set past the checker of annotations that only tests have.
    object.__setattr__(asked, "rest", "bin")
    with pytest.raises(BadInput, match="rest of SoftTargets must be 'spread' or 'bucket'; got 'bin'"):
        asked.__post_init__()


class Rows:
    """A source of one batch's rows."""

    def __init__(self, batch: Batch, dense: bool) -> None:
        self.everything = densely(batch) if dense else batch

    def __len__(self) -> int:
        return len(self.everything)

    def batch(self, rows: Tensor, epoch: int) -> Batch:
        def choose(tensor: Tensor) -> Tensor:
            return tensor.index_select(0, rows)

        targets, ids, labels = self.everything.targets, self.everything.ids, self.everything.labels
        assert targets is not None and ids is not None and labels is not None
        chosen = targets.map(choose) if isinstance(targets, TopK) else choose(targets)
        return Batch(inputs=choose(self.everything.inputs), targets=chosen, ids=choose(ids), labels=choose(labels))


@pytest.mark.parametrize("micro", [None, 5])
def test_the_loop_trains_alike_on_both_forms_also_in_micro_batches(micro):
    def trained(dense: bool) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            student = nn.Linear(5, CLASSES)
        settings = Training(epochs=2, batch_size=12, micro_batch_size=micro, learning_rate=0.05)
        both = {"soft": Term(loss=SoftTargets()), "hard": Term(loss=HardLabels(), weight=0.1)}
        return fit(student, Objective(both), Rows(batch_of(), dense), settings=settings).model

    one, other = trained(dense=False), trained(dense=True)
    for name, value in one.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name], rtol=1e-5, atol=1e-6)


def test_squared_errors_of_float64_keep_its_digits():
    batch = densely(batch_of())
    targets, output = batch.targets.double(), numbers(2, ROWS, CLASSES).double()
    value = SquaredError()(output, replace(batch, targets=targets))
    expected = (output.softmax(-1) - targets.softmax(-1)).square().mean(-1)
    torch.testing.assert_close(value, expected, rtol=1e-14, atol=0)
