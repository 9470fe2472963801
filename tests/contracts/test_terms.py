"""What every loss term of a recipe must hold to. A new term is one new row."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, get_args

import pytest
import torch

from attar.pipeline.objective import LOSSES
from attar.tasks.labels import ABSENT
from attar.tasks.target import Target
from attar.training.batch import Batch
from attar.training.features import Features
from attar.training.losses.decoupled import Decoupled, StandardizedLogits
from attar.training.losses.features import AttentionMaps, HiddenMatch
from attar.training.losses.outputs import CenteredLogits, HardLabels, SoftTargets, SquaredError
from attar.training.losses.relations import RelationalAngles, RelationalDistances
from attar.training.objective import Objective, Term, reads, softening, suits
from attar.training.schedule import Ramp, value_at

BATCH, CLASSES = 6, 5
MAPS = (4, 3, 3)
"""Channels, height and width of the features that hidden layers give here."""


@dataclass(frozen=True)
class Row:
    """One term with one setting.

    Attributes:
        name: Its name in a recipe.
        loss: The term.
        perfect: What the student must say for the term to be minimal for a batch.
        minimum: Its value there, per example.
        hidden: Whether it judges what a hidden layer says, and not the output.
        alone: Whether an example's value depends on no other example; relations are between examples.
        labels: Whether it needs labels.
        scheduled: The term with a setting on a schedule, and with the schedule's value at epoch 1; None if it has none.
    """

    name: str
    loss: Any
    perfect: Callable[[Batch], torch.Tensor]
    minimum: float = 0.0
    hidden: bool = False
    alone: bool = True
    labels: bool = False
    scheduled: tuple[Any, Any] | None = None

    def said(self, scale: float = 3.0) -> torch.Tensor:
        """What a student says that has not learned anything: logits, or features."""
        shape = MAPS if self.hidden else (CLASSES,)
        return scale * torch.randn(BATCH, *shape, generator=torch.Generator().manual_seed(1))

    def judge(self, said: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The losses of what the student says."""
        if not self.hidden:
            return self.loss(said, batch)
        assert batch.features is not None
        # A term of hidden layers has no business with the output.
        output = torch.full((len(batch), CLASSES), torch.nan)
        return self.loss(output, replace(batch, features=Features(said, batch.features.teacher)))

    def with_targets(self, teacher: torch.Tensor, batch: Batch) -> Batch:
        """The batch with another word of the teacher."""
        if self.hidden:
            return replace(batch, features=Features(torch.zeros_like(teacher), teacher))
        return replace(batch, targets=teacher)


def targets_of(batch: Batch) -> torch.Tensor:
    return batch.full_targets("this test").clone()


def features_of(batch: Batch) -> torch.Tensor:
    assert batch.features is not None
    return batch.features.teacher.clone()


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
MOVING = Ramp(start=8.0, end=2.0, epochs=3.0)
"""It is 6 at epoch 1."""
LAYERS = {"student_layer": "mine", "teacher_layer": "yours"}

ROWS = [
    Row("soft_targets", SoftTargets(), targets_of),
    Row(
        "soft_targets",
        SoftTargets(temperature=1.0, scale_by_t2=False),
        targets_of,
        scheduled=(SoftTargets(temperature=MOVING), SoftTargets(temperature=6.0)),
    ),
    Row("hard_labels", HardLabels(), certain_of, labels=True),
    Row("hard_labels", HardLabels(smoothing=0.1), smooth_of, minimum=SMOOTH, labels=True),
    Row("centered_logits", CenteredLogits(), targets_of),
    Row("squared_error", SquaredError(), targets_of),
    Row("decoupled", Decoupled(), targets_of, labels=True),
    Row(
        "decoupled",
        Decoupled(alpha=2.0, beta=0.5, temperature=1.0, scale_by_t2=False),
        targets_of,
        labels=True,
        scheduled=(Decoupled(temperature=MOVING), Decoupled(temperature=6.0)),
    ),
    Row("standardized_logits", StandardizedLogits(), targets_of),
    Row(
        "standardized_logits",
        StandardizedLogits(temperature=1.0, scale_by_t2=False),
        targets_of,
        scheduled=(StandardizedLogits(temperature=MOVING), StandardizedLogits(temperature=6.0)),
    ),
    Row("hidden_match", HiddenMatch(**LAYERS), features_of, hidden=True),
    Row("attention_maps", AttentionMaps(**LAYERS), features_of, hidden=True),
    Row("attention_maps", AttentionMaps(**LAYERS, power=4.0), features_of, hidden=True),
    Row("relational_distances", RelationalDistances(), targets_of, alone=False),
    Row("relational_distances", RelationalDistances(**LAYERS), features_of, hidden=True, alone=False),
    Row("relational_angles", RelationalAngles(), targets_of, alone=False),
    Row("relational_angles", RelationalAngles(**LAYERS), features_of, hidden=True, alone=False),
]


def those(choose: Callable[[Row], bool]) -> Any:
    return pytest.mark.parametrize("row", list(filter(choose, ROWS)), ids=lambda row: repr(row.loss))


EVERY = those(lambda row: True)


def batch_of(scale: float = 3.0) -> Batch:
    draw = torch.Generator().manual_seed(0)
    return Batch(
        inputs=torch.randn(BATCH, 2, generator=draw),
        labels=torch.randint(0, CLASSES, (BATCH,), generator=draw),
        targets=scale * torch.randn(BATCH, CLASSES, generator=draw),
        ids=torch.arange(BATCH),
        features=Features(torch.zeros(BATCH, *MAPS), scale * torch.randn(BATCH, *MAPS, generator=draw)),
    )


def of(batch: Batch, order: torch.Tensor) -> Batch:
    """Some examples of a batch, in an order."""
    assert batch.labels is not None and batch.features is not None and batch.ids is not None
    return replace(
        batch,
        inputs=batch.inputs[order],
        labels=batch.labels[order],
        targets=targets_of(batch)[order],
        ids=batch.ids[order],
        features=batch.features.map(lambda tensor: tensor[order]),
    )


def test_every_term_has_a_row():
    # Those of values, of labels by themselves and of fixations have no classes, of which most contracts are.
    others = {"hard_values", "binary_labels", "binary_targets", "fixations"}
    assert {row.name for row in ROWS} | others == set(LOSSES)
    assert all(type(row.loss) is LOSSES[row.name] for row in ROWS)


@EVERY
def test_it_says_what_it_reads_and_for_what_outputs_it_is(row):
    assert ("labels" in reads(row.loss)) == row.labels
    if row.hidden or not row.alone:  # whatever outputs mean
        assert not reads(row.loss) and suits(row.loss) == set(get_args(Target))
    else:
        assert reads(row.loss) and suits(row.loss) == {"logits"}


@those(lambda row: softening(row.loss) is not None)
def test_what_it_softens_by_is_what_logits_are_divided_by(row):
    warm, cold = (replace(row.loss, temperature=one, scale_by_t2=False) for one in (5.0, 1.0))
    assert softening(warm) == 5.0
    batch, said = batch_of(), row.said()
    divided = replace(batch, targets=targets_of(batch) / 5)
    torch.testing.assert_close(warm(said, batch), cold(said / 5, divided))


@EVERY
def test_it_is_least_where_student_and_teacher_agree(row):
    batch = batch_of()
    best = row.perfect(batch).requires_grad_()
    losses = row.judge(best, batch)
    torch.testing.assert_close(losses, torch.full((BATCH,), row.minimum), atol=1e-4, rtol=0)
    assert torch.autograd.grad(losses.sum(), best)[0].abs().max() < 1e-5
    assert (row.judge(row.said(), batch) > losses + 1e-3).all()


@those(lambda row: row.alone)
def test_it_gives_one_value_per_example_that_no_other_example_changes(row):
    batch, said = batch_of(), row.said()
    losses = row.judge(said, batch)
    assert losses.shape == (BATCH,)
    alone = torch.cat([row.judge(said[i : i + 1], batch.rows(i, i + 1)) for i in range(BATCH)])
    torch.testing.assert_close(losses, alone)


@those(lambda row: not row.alone)
def test_relations_are_those_among_the_examples_that_count(row):
    batch, said = batch_of(), row.said()
    losses = row.judge(said, batch)
    assert losses.shape == (BATCH,)
    few = torch.tensor([0, 2, 3])
    among = row.judge(said[few], of(batch, few))
    assert ((among - losses[few]).abs() > 1e-4).all(), "they must depend on who is there"
    mask = torch.zeros(BATCH, dtype=torch.bool)
    mask[few] = True
    torch.testing.assert_close(row.judge(said, replace(batch, mask=mask))[few], among)
    assert (row.judge(said, replace(batch, mask=mask))[~mask] == 0).all()
    assert row.judge(said[:1], batch.rows(0, 1)).tolist() == [0.0]
    # Where none counts, the loop still asks for a gradient.
    nobody = said.clone().requires_grad_()
    none = row.judge(nobody, replace(batch, mask=torch.zeros(BATCH, dtype=torch.bool)))
    assert none.tolist() == [0.0] * BATCH and (torch.autograd.grad(none.sum(), nobody)[0] == 0).all()


@those(lambda row: row.alone and not row.hidden)
def test_it_gives_one_value_per_position(row):
    flat, output = batch_of(), row.said()
    assert flat.labels is not None
    folded = replace(
        flat, inputs=flat.inputs.view(2, 3, -1), labels=flat.labels.view(2, 3), targets=targets_of(flat).view(2, 3, -1)
    )
    losses = row.judge(output.view(2, 3, -1), folded)
    torch.testing.assert_close(losses, row.judge(output, flat).view(2, 3))


@EVERY
def test_the_gradient_reaches_the_student(row):
    said = row.said().requires_grad_()
    gradient = torch.autograd.grad(row.judge(said, batch_of()).sum(), said)[0]
    assert (gradient.abs().flatten(1).amax(1) > 1e-4).all()
    # A constant on all logits changes nothing, so that no term pulls that way.
    assert row.hidden or gradient.sum(-1).abs().max() < 1e-5


@those(lambda row: row.name != "squared_error")  # It works in float32, too coarse for differences.
def test_the_gradient_is_that_of_the_values(row):
    """Against differences of values, in float64."""
    batch = batch_of(1.0)
    batch = row.with_targets((features_of if row.hidden else targets_of)(batch).double(), batch)
    assert torch.autograd.gradcheck(lambda said: row.judge(said, batch), row.said(1.0).double().requires_grad_())


@EVERY
@pytest.mark.parametrize("agree", [False, True])
def test_value_and_gradient_are_finite_at_extreme_values(row, agree):
    # Rows 0, 2, 4 and 1, 3, 5 are the same: distances of 0 too.
    sign = torch.where(torch.arange(row.said().numel()).view(row.said().shape) % 2 == 0, 1e4, -1e4)
    said = sign.clone().requires_grad_()
    losses = row.judge(said, row.with_targets(sign if agree else -sign, batch_of()))
    gradient = torch.autograd.grad(losses.sum(), said)[0]
    assert losses.isfinite().all() and gradient.isfinite().all()
    assert (losses >= 0).all()


@EVERY
def test_a_student_that_says_the_same_of_everything_can_learn(row):
    """A last layer that begins at 0, or a layer of dead units: no gradient may be huge, or no number."""
    for value in (0.0, 1.0):
        said = torch.full_like(row.said(), value).requires_grad_()
        losses = row.judge(said, batch_of())
        gradient = torch.autograd.grad(losses.sum(), said)[0]
        assert losses.isfinite().all() and gradient.abs().max() < 100


@EVERY
def test_the_order_of_the_examples_does_not_matter(row):
    batch, said = batch_of(), row.said()
    order = torch.randperm(BATCH, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(row.judge(said[order], of(batch, order)), row.judge(said, batch)[order])


@EVERY
def test_the_order_of_the_classes_does_not_matter(row):
    batch, said = batch_of(), row.said()
    order = torch.randperm(said.shape[1], generator=torch.Generator().manual_seed(2))
    mixed = row.with_targets((features_of if row.hidden else targets_of)(batch)[:, order], batch)
    if not row.hidden:
        assert batch.labels is not None
        mixed = replace(mixed, labels=order.argsort()[batch.labels])
    torch.testing.assert_close(row.judge(said[:, order], mixed), row.judge(said, batch))


@EVERY
def test_an_absent_label_costs_nothing_where_one_is_needed_and_matters_nowhere_else(row):
    batch, said = batch_of(), row.said().requires_grad_()
    assert batch.labels is not None
    some = replace(batch, labels=batch.labels.clone())
    absent = torch.tensor([1, 4])
    some.labels[absent] = ABSENT
    losses, gradient = (x := row.judge(said, some)).detach(), torch.autograd.grad(x.sum(), said)[0]
    expected, whole = (x := row.judge(said, batch)).detach(), torch.autograd.grad(x.sum(), said)[0]
    if row.labels:
        expected[absent] = 0
        whole[absent] = 0
    torch.testing.assert_close(losses, expected)
    torch.testing.assert_close(gradient, whole)


@EVERY
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_goes_in_and_float32_comes_out(row, dtype):
    batch, said = batch_of(), row.said().to(dtype).requires_grad_()
    losses = row.judge(said, batch)
    gradient = torch.autograd.grad(losses.sum(), said)[0]
    assert losses.dtype == torch.float32 and gradient.dtype == dtype and gradient.isfinite().all()
    torch.testing.assert_close(losses, row.judge(said.detach().float(), batch))


@EVERY
def test_it_changes_nothing_of_what_it_is_given(row):
    batch, said = batch_of(), row.said()
    row.judge(said, batch)
    same = batch_of()
    assert torch.equal(said, row.said())
    for name in ("inputs", "labels", "targets", "ids"):
        assert torch.equal(getattr(batch, name), getattr(same, name))
    assert torch.equal(features_of(batch), features_of(same))


@EVERY
def test_it_says_what_it_misses(row):
    bare = Batch(inputs=torch.zeros(BATCH, 2))
    with pytest.raises(ValueError, match=r"of the batch must be present for .*; got none\. .*drop the term\."):
        row.loss(torch.zeros(BATCH, CLASSES), bare)


@EVERY
def test_its_schedules_are_resolved(row):
    if row.scheduled is None:
        active = Objective({"it": Term(loss=row.loss)}).at(1.0)[0]
        assert active.loss == row.loss
        return
    moving, still = row.scheduled
    active = Objective({"it": Term(loss=moving)}).at(1.0)[0]
    assert active.loss == still
    assert torch.equal(active.loss(row.said(), batch_of()), still(row.said(), batch_of()))


def test_every_setting_that_can_move_has_a_row():
    movable = {name for name, kind in LOSSES.items() if any("Schedule" in str(f.type) for f in _fields(kind))}
    assert movable - {"binary_targets"} == {row.name for row in ROWS if row.scheduled is not None}
    assert value_at(MOVING, 1.0) == 6.0


def _fields(kind: Any) -> Any:
    return kind.__dataclass_fields__.values()
