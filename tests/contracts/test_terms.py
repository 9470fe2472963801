"""What every loss term of a recipe must hold to. A new term is one new row."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from attar.recipes.schema import LOSSES
from attar.training.batch import Batch
from attar.training.losses.outputs import CenteredLogits, HardLabels, SoftTargets, SquaredError
from attar.training.objective import Objective, Term
from attar.training.schedule import Ramp, value_at

BATCH, CLASSES = 6, 5


@dataclass(frozen=True)
class Row:
    """One term with one setting.

    Attributes:
        name: Its name in a recipe.
        loss: The term.
        perfect: Logits at which the term is minimal for a batch.
        minimum: Its value there, per example.
        scheduled: The term with a setting on a schedule, and with the schedule's value at epoch 1; None if it has none.
    """

    name: str
    loss: Any
    perfect: Callable[[Batch], torch.Tensor]
    minimum: float = 0.0
    scheduled: tuple[Any, Any] | None = None


def targets_of(batch: Batch) -> torch.Tensor:
    assert batch.targets is not None
    return batch.targets.clone()


def certain_of(batch: Batch) -> torch.Tensor:
    assert batch.labels is not None
    return 50.0 * torch.nn.functional.one_hot(batch.labels, CLASSES).float()


def smooth_of(batch: Batch) -> torch.Tensor:
    """The probabilities that smoothing by 0.1 asks for: 0.92 for the label's class, 0.02 for each other."""
    assert batch.labels is not None
    hot = torch.nn.functional.one_hot(batch.labels, CLASSES).float()
    return (hot * 0.9 + 0.1 / CLASSES).log()


# Entropy of (0.92, 0.02, 0.02, 0.02, 0.02): the least that cross-entropy with smoothed labels can be.
SMOOTH = 0.3896

ROWS = [
    Row("soft_targets", SoftTargets(), targets_of),
    Row(
        "soft_targets",
        SoftTargets(temperature=1.0, scale_by_t2=False),
        targets_of,
        scheduled=(SoftTargets(temperature=Ramp(start=8.0, end=2.0, epochs=3.0)), SoftTargets(temperature=6.0)),
    ),
    Row("hard_labels", HardLabels(), certain_of),
    Row("hard_labels", HardLabels(smoothing=0.1), smooth_of, minimum=SMOOTH),
    Row("centered_logits", CenteredLogits(), targets_of),
    Row("squared_error", SquaredError(), targets_of),
]
EVERY = pytest.mark.parametrize("row", ROWS, ids=lambda row: repr(row.loss))


def batch_of(scale: float = 3.0) -> Batch:
    draw = torch.Generator().manual_seed(0)
    return Batch(
        inputs=torch.randn(BATCH, 2, generator=draw),
        labels=torch.randint(0, CLASSES, (BATCH,), generator=draw),
        targets=scale * torch.randn(BATCH, CLASSES, generator=draw),
        ids=torch.arange(BATCH),
    )


def output_of(scale: float = 3.0) -> torch.Tensor:
    return scale * torch.randn(BATCH, CLASSES, generator=torch.Generator().manual_seed(1))


def test_every_term_has_a_row():
    assert {row.name for row in ROWS} == set(LOSSES)
    assert all(type(row.loss) is LOSSES[row.name] for row in ROWS)


@EVERY
def test_it_is_least_where_student_and_teacher_agree(row):
    batch = batch_of()
    best = row.perfect(batch).requires_grad_()
    losses = row.loss(best, batch)
    torch.testing.assert_close(losses, torch.full((BATCH,), row.minimum), atol=1e-4, rtol=0)
    assert torch.autograd.grad(losses.sum(), best)[0].abs().max() < 1e-5
    assert (row.loss(output_of(), batch) > losses + 1e-3).all()


@EVERY
def test_it_gives_one_value_per_example_that_no_other_example_changes(row):
    batch, output = batch_of(), output_of()
    losses = row.loss(output, batch)
    assert losses.shape == (BATCH,)
    alone = torch.cat([row.loss(output[i : i + 1], batch.rows(i, i + 1)) for i in range(BATCH)])
    torch.testing.assert_close(losses, alone)


@EVERY
def test_it_gives_one_value_per_position(row):
    flat, output = batch_of(), output_of()
    assert flat.labels is not None and flat.targets is not None
    folded = replace(
        flat, inputs=flat.inputs.view(2, 3, -1), labels=flat.labels.view(2, 3), targets=flat.targets.view(2, 3, -1)
    )
    losses = row.loss(output.view(2, 3, -1), folded)
    torch.testing.assert_close(losses, row.loss(output, flat).view(2, 3))


@EVERY
def test_the_gradient_reaches_the_student(row):
    output = output_of().requires_grad_()
    gradient = torch.autograd.grad(row.loss(output, batch_of()).sum(), output)[0]
    assert (gradient.abs().amax(-1) > 1e-4).all()
    # A constant on all logits changes nothing, so that no term pulls that way.
    assert gradient.sum(-1).abs().max() < 1e-5


@EVERY
@pytest.mark.parametrize("agree", [False, True])
def test_value_and_gradient_are_finite_at_extreme_logits(row, agree):
    sign = torch.where(torch.arange(BATCH * CLASSES).view(BATCH, CLASSES) % 2 == 0, 1e4, -1e4)
    output = sign.clone().requires_grad_()
    batch = replace(batch_of(), targets=sign if agree else -sign)
    losses = row.loss(output, batch)
    gradient = torch.autograd.grad(losses.sum(), output)[0]
    assert losses.isfinite().all() and gradient.isfinite().all()
    assert (losses >= 0).all()


@EVERY
def test_the_order_of_the_examples_does_not_matter(row):
    batch, output = batch_of(), output_of()
    order = torch.randperm(BATCH, generator=torch.Generator().manual_seed(2))
    assert batch.labels is not None and batch.targets is not None
    mixed = replace(batch, inputs=batch.inputs[order], labels=batch.labels[order], targets=batch.targets[order])
    torch.testing.assert_close(row.loss(output[order], mixed), row.loss(output, batch)[order])


@EVERY
def test_the_order_of_the_classes_does_not_matter(row):
    batch, output = batch_of(), output_of()
    order = torch.randperm(CLASSES, generator=torch.Generator().manual_seed(2))
    assert batch.labels is not None and batch.targets is not None
    mixed = replace(batch, labels=order.argsort()[batch.labels], targets=batch.targets[:, order])
    torch.testing.assert_close(row.loss(output[:, order], mixed), row.loss(output, batch))


@EVERY
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_goes_in_and_float32_comes_out(row, dtype):
    batch, output = batch_of(), output_of().to(dtype).requires_grad_()
    losses = row.loss(output, batch)
    gradient = torch.autograd.grad(losses.sum(), output)[0]
    assert losses.dtype == torch.float32 and gradient.dtype == dtype and gradient.isfinite().all()
    torch.testing.assert_close(losses, row.loss(output.detach().float(), batch))


@EVERY
def test_it_changes_nothing_of_what_it_is_given(row):
    batch, output = batch_of(), output_of()
    row.loss(output, batch)
    same = batch_of()
    assert torch.equal(output, output_of())
    for name in ("inputs", "labels", "targets", "ids"):
        assert torch.equal(getattr(batch, name), getattr(same, name))


@EVERY
def test_it_says_what_it_misses(row):
    bare = Batch(inputs=torch.zeros(BATCH, 2))
    with pytest.raises(ValueError, match=r"of the batch must be present for .*; got none\. .*drop the term\."):
        row.loss(output_of(), bare)


@EVERY
def test_its_schedules_are_resolved(row):
    if row.scheduled is None:
        active = Objective({"it": Term(loss=row.loss)}).at(1.0)[0]
        assert active.loss == row.loss
        return
    moving, still = row.scheduled
    active = Objective({"it": Term(loss=moving)}).at(1.0)[0]
    assert active.loss == still
    assert torch.equal(active.loss(output_of(), batch_of()), still(output_of(), batch_of()))


def test_every_setting_that_can_move_has_a_row():
    movable = {name for name, kind in LOSSES.items() if any("Schedule" in str(f.type) for f in _fields(kind))}
    assert movable == {row.name for row in ROWS if row.scheduled is not None}
    assert value_at(Ramp(start=8.0, end=2.0, epochs=3.0), 1.0) == 6.0


def _fields(kind: Any) -> Any:
    return kind.__dataclass_fields__.values()
