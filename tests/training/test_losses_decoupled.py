"""Decoupled and standardized logits: closed forms, the identity with plain soft targets, and what they refuse."""

import math

import numpy as np
import pytest
import torch

from attar.errors import BadInput
from attar.ops.top_k import TopK
from attar.tasks.labels import ABSENT
from attar.training.batch import Batch
from attar.training.losses.decoupled import Decoupled, StandardizedLogits
from attar.training.losses.outputs import SoftTargets
from attar.training.schedule import Ramp


def logits(seed: int, rows: int = 8, classes: int = 5) -> torch.Tensor:
    return 3 * torch.randn(rows, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def batch_of(targets: torch.Tensor, labels: torch.Tensor | None = None) -> Batch:
    labels = torch.arange(len(targets)) % targets.shape[1] if labels is None else labels
    return Batch(inputs=torch.zeros(len(targets), 1), labels=labels, targets=targets)


def softmax(values: np.ndarray) -> np.ndarray:
    e = np.exp(values - values.max())
    return e / e.sum()


def kl(p: np.ndarray, q: np.ndarray) -> float:
    return float(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_decoupled_is_that_of_loops(temperature):
    student, teacher = logits(0), logits(1)
    batch = batch_of(teacher)
    losses = Decoupled(alpha=0.7, beta=3.0, temperature=temperature)(student, batch)
    assert batch.labels is not None
    for row, label in enumerate(batch.labels.tolist()):
        p, q = (softmax(x[row].numpy() / temperature) for x in (teacher, student))
        target = kl(np.array([p[label], 1 - p[label]]), np.array([q[label], 1 - q[label]]))
        others = kl(np.delete(p, label) / (1 - p[label]), np.delete(q, label) / (1 - q[label]))
        assert losses[row].item() == pytest.approx((0.7 * target + 3 * others) * temperature**2, rel=1e-9)


def test_with_the_papers_weights_it_is_plain_distillation():
    # KL = KL of (label, rest) + (1 - p of the label) * KL among the rest: equation 6 of the paper.
    student, teacher = logits(0), logits(1)
    batch = batch_of(teacher)
    assert batch.labels is not None
    target = Decoupled(alpha=1.0, beta=0.0)(student, batch)
    others = Decoupled(alpha=0.0, beta=1.0)(student, batch)
    sure = (teacher / 4).softmax(-1).gather(1, batch.labels[:, None]).squeeze(1)
    torch.testing.assert_close(target + (1 - sure) * others, SoftTargets(temperature=4.0)(student, batch))


def test_two_classes_have_no_others():
    student, teacher = logits(0, classes=2), logits(1, classes=2)
    losses = Decoupled(beta=100.0)(student, batch_of(teacher))
    torch.testing.assert_close(losses, SoftTargets(temperature=4.0)(student, batch_of(teacher)))


def test_an_absent_label_costs_nothing():
    labels = torch.tensor([0, ABSENT, 2, ABSENT, 4, 0, 1, 2])
    student = logits(0).requires_grad_()
    losses = Decoupled()(student, batch_of(logits(1), labels))
    absent = labels == ABSENT
    assert (losses[absent] == 0).all() and (losses[~absent] > 0).all()
    assert (torch.autograd.grad(losses.sum(), student)[0][absent] == 0).all()


def test_standardized_is_the_kl_of_standardized_logits():
    student, teacher = logits(0), logits(1)
    losses = StandardizedLogits(temperature=2.0)(student, batch_of(teacher))
    for row in range(len(student)):
        p, q = (softmax((x - x.mean()) / x.std(ddof=1) / 2) for x in (teacher[row].numpy(), student[row].numpy()))
        assert losses[row].item() == pytest.approx(4 * kl(p, q), rel=1e-9)


def test_the_size_of_the_logits_does_not_matter():
    student, batch = logits(0), batch_of(logits(1))
    torch.testing.assert_close(StandardizedLogits()(7 * student + 2, batch), StandardizedLogits()(student, batch))


@pytest.mark.parametrize("term", [Decoupled(), StandardizedLogits()])
def test_targets_of_the_likeliest_classes_alone_are_enough(term):
    top = TopK.of(logits(1), 2)
    batch = batch_of(logits(1))
    few = Batch(inputs=batch.inputs, labels=batch.labels, targets=top)
    dense = Batch(inputs=batch.inputs, labels=batch.labels, targets=top.full())
    assert torch.equal(term(logits(0), few), term(logits(0), dense))


def test_decoupled_needs_labels():
    with pytest.raises(BadInput, match="labels of the batch must be present for Decoupled; got none"):
        Decoupled()(logits(0), Batch(inputs=torch.zeros(8, 1), targets=logits(1)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": -1.0}, "alpha of Decoupled must be finite and at least 0"),
        ({"beta": math.inf}, "beta of Decoupled must be finite and at least 0"),
        ({"beta": math.nan}, "beta of Decoupled must be finite and at least 0"),
        ({"alpha": 0.0, "beta": 0.0}, "alpha of Decoupled must be greater than 0 where beta is 0"),
        ({"temperature": 0.0}, "temperature of Decoupled must be finite and greater than 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(BadInput, match=message):
        Decoupled(**settings)


def test_a_temperature_that_falls_to_nothing_is_refused():
    with pytest.raises(BadInput, match="temperature of StandardizedLogits"):
        StandardizedLogits(temperature=Ramp(start=2.0, end=0.0, epochs=3.0))
