"""Schedules and terms: when each counts, with what weight, and what is refused."""

import math

import pytest
import torch
from torch import Tensor

from attar.errors import BadInput
from attar.training.batch import Batch
from attar.training.losses.outputs import CenteredLogits, HardLabels, HardValues, SoftTargets, SquaredError
from attar.training.objective import Objective, Term, in_units
from attar.training.schedule import Ramp, value_at


@pytest.mark.parametrize(("epoch", "value"), [(0.0, 8.0), (2.0, 8.0), (3.0, 6.5), (4.0, 5.0), (6.0, 2.0), (99.0, 2.0)])
def test_a_ramp_waits_moves_and_stays(epoch, value):
    # From 8 to 2 in four epochs that begin at 2: 1.5 an epoch.
    assert Ramp(start=8.0, end=2.0, epochs=4.0, begin=2.0).at(epoch) == pytest.approx(value)


def test_a_cosine_ramp_is_slow_at_both_ends():
    ramp = Ramp(start=0.0, end=1.0, epochs=4.0, shape="cosine")
    # (1 - cos(pi/4)) / 2 a quarter of the way.
    assert ramp.at(1.0) == pytest.approx((1 - math.sqrt(0.5)) / 2)
    assert [ramp.at(e) for e in (0.0, 2.0, 4.0)] == pytest.approx([0.0, 0.5, 1.0])
    assert ramp.at(0.1) < 0.1 / 4 and 1 - ramp.at(3.9) < 0.1 / 4


def test_a_number_is_its_own_schedule():
    assert value_at(0.25, 7.5) == 0.25
    assert value_at(Ramp(start=0.0, end=1.0, epochs=2.0), 1.0) == 0.5


def test_a_term_counts_from_its_start_until_before_its_end():
    objective = Objective(
        {"soft": Term(loss=SoftTargets(), end_epoch=3), "hard": Term(loss=HardLabels(), start_epoch=2)}
    )
    found = {epoch: [term.name for term in objective.at(epoch)] for epoch in (0.0, 1.99, 2.0, 2.5, 2.99, 3.0, 50.0)}
    assert found[0.0] == found[1.99] == ["soft"]
    assert found[2.0] == found[2.5] == found[2.99] == ["soft", "hard"]
    assert found[3.0] == found[50.0] == ["hard"]


def test_weights_and_settings_follow_their_schedules():
    weight, temperature = Ramp(start=1.0, end=0.0, epochs=4.0), Ramp(start=8.0, end=2.0, epochs=3.0)
    objective = Objective({"soft": Term(loss=SoftTargets(temperature=temperature, scale_by_t2=False), weight=weight)})
    (active,) = objective.at(2.0)
    assert active.weight == 0.5 and active.loss == SoftTargets(temperature=4.0, scale_by_t2=False)
    # The objective itself stays as it was.
    assert objective.terms["soft"].loss == SoftTargets(temperature=temperature, scale_by_t2=False)


def test_a_plain_function_is_a_loss():
    def margin(output: Tensor, batch: Batch) -> Tensor:
        return output.logsumexp(-1)

    (active,) = Objective({"margin": Term(loss=margin, weight=2.0)}).at(0.5)
    assert active.loss is margin and active.weight == 2.0


def test_epochs_without_any_term_are_refused():
    objective = Objective({"soft": Term(loss=SoftTargets(), start_epoch=1, end_epoch=2)})
    assert len(objective.at(1.5)) == 1
    for epoch in (0.0, 2.0):
        with pytest.raises(BadInput, match=rf"in force in every epoch, also {int(epoch)}; got \['soft'\]"):
            objective.at(epoch)


def test_soft_targets_are_scaled_by_t2_unless_switched_off():
    batch = Batch(inputs=torch.zeros(1, 1), targets=torch.tensor([[4 * math.log(3), 0.0]]))
    # At T = 4 the teacher says (3/4, 1/4) and the student (1/2, 1/2): 3/4 ln 3 - ln 2 nats.
    kl = 0.75 * math.log(3) - math.log(2)
    output = torch.zeros(1, 2)
    assert SoftTargets(temperature=4.0, scale_by_t2=False)(output, batch).item() == pytest.approx(kl, abs=1e-6)
    assert SoftTargets(temperature=4.0)(output, batch).item() == pytest.approx(16 * kl, abs=1e-5)


def test_targets_and_labels_enter_where_they_should():
    batch = Batch(inputs=torch.zeros(1, 1), labels=torch.tensor([1]), targets=torch.tensor([[3.0, 1.0, 2.0]]))
    assert CenteredLogits()(torch.zeros(1, 3), batch).item() == pytest.approx(1 / 3)
    assert HardLabels()(torch.zeros(1, 3), batch).item() == pytest.approx(math.log(3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ramp(start=0.0, end=1.0, epochs=0.0), "epochs of Ramp must be greater than 0; got 0.0"),
        (lambda: Ramp(start=0.0, end=1.0, epochs=math.nan), "epochs of Ramp must be greater than 0; got nan"),
        (lambda: SoftTargets(temperature=0.0), "temperature of SoftTargets must be finite and greater than 0; got 0.0"),
        (lambda: SoftTargets(temperature=math.inf), "temperature of SoftTargets must be .*; got inf"),
        (lambda: SoftTargets(temperature=Ramp(start=4.0, end=0.0, epochs=2.0)), "temperature of .*; got 0.0"),
        (lambda: SoftTargets(temperature=Ramp(start=4.0, end=math.nan, epochs=2.0)), "end of Ramp .*; got nan"),
        (lambda: HardValues(scale=0.0), "scale of HardValues must be positive; got 0.0"),
        (lambda: SquaredError(kind="values", scale=()), r"scale of SquaredError must be positive; got \(\)"),
        (lambda: HardLabels(smoothing=1.0), "smoothing of HardLabels must be from 0 up to but not 1; got 1.0"),
        (lambda: HardLabels(smoothing=-0.1), "smoothing of HardLabels must be .*; got -0.1"),
        (lambda: Term(loss=HardLabels(), weight=-1.0), "weight of a loss term must be finite and at least 0; got -1.0"),
        (lambda: Term(loss=HardLabels(), weight=math.nan), "weight of a loss term must be .*; got nan"),
        (lambda: Term(loss=HardLabels(), weight=Ramp(start=1.0, end=math.inf, epochs=1.0)), "end of Ramp .*; got inf"),
        (lambda: Term(loss=HardLabels(), start_epoch=-1), "start_epoch of a loss term must be at least 0; got -1"),
        (lambda: Term(loss=HardLabels(), start_epoch=3, end_epoch=3), r"end_epoch .* after start_epoch \(3\); got 3"),
        (lambda: Objective({}), "terms of an objective must be at least one; got {}"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(BadInput, match=message):
        make()


def test_squared_errors_hand_worked():
    batch = Batch(
        inputs=torch.zeros(2, 1),
        targets=torch.log(torch.tensor([[0.75, 0.25], [0.5, 0.5]])),
        labels=torch.tensor([[1.0, 2.0], [0.0, 0.0]]),
    )
    # Softmax of equal logits is a half: the first row differs by a quarter in both classes.
    even = torch.zeros(2, 2)
    torch.testing.assert_close(SquaredError()(even, batch), torch.tensor([0.0625, 0.0]))
    torch.testing.assert_close(HardValues()(even, batch), torch.tensor([2.5, 0.0]))
    reference = SquaredError(kind="values")(batch.targets + torch.tensor([[1.0, 3.0], [0.0, 2.0]]), batch)
    torch.testing.assert_close(reference, torch.tensor([5.0, 2.0]))


def test_errors_of_values_are_divided_by_their_scale_and_unknown_ones_cost_nothing():
    output = torch.tensor([[4.0, 9.0], [1.0, 5.0], [7.0, 7.0]], requires_grad=True)
    batch = Batch(
        inputs=torch.zeros(3, 1),
        targets=torch.tensor([[0.0, 9.0], [1.0, 2.0], [7.0, 7.0]]),
        labels=torch.tensor([[2.0, math.nan], [0.0, 3.0], [math.nan, math.nan]]),
    )
    losses = HardValues(scale=(2.0, 4.0))(output, batch)
    torch.testing.assert_close(losses, torch.tensor([1.0, (0.25 + 0.25) / 2, 0.0]))
    (gradient,) = torch.autograd.grad(losses.sum(), output)
    torch.testing.assert_close(gradient, torch.tensor([[1.0, 0.0], [0.25, 0.125], [0.0, 0.0]]))
    of_teacher = SquaredError(kind="values", scale=2.0)(output, batch)
    torch.testing.assert_close(of_teacher, torch.tensor([2.0, 1.125, 0.0]))


def test_losses_of_values_take_units_where_they_have_no_scale_of_their_own():
    assert in_units(HardValues(), [2.0, 4.0]) == HardValues(scale=(2.0, 4.0))
    assert in_units(SquaredError(kind="values"), [2.0]) == SquaredError(kind="values", scale=(2.0,))
    for one in (HardValues(scale=3.0), SquaredError(kind="values", scale=3.0), SquaredError(), SoftTargets()):
        assert in_units(one, [2.0, 4.0]) is one


def test_squared_errors_say_what_they_lack():
    batch = Batch(inputs=torch.zeros(1, 1))
    with pytest.raises(BadInput, match="targets of the batch must be present for SquaredError"):
        SquaredError()(torch.zeros(1, 2), batch)
    with pytest.raises(BadInput, match="labels of the batch must be present for HardValues"):
        HardValues()(torch.zeros(1, 2), batch)
