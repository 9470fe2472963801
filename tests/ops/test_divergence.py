"""Divergences: values worked out by hand, masks, dtypes, extremes, and two independent implementations."""

import inspect
import math

import pytest
import torch
from torch.nn import functional

from attar.errors import BadInput
from attar.ops.divergence import centered_squared_error, cross_entropy, forward_kl, soft_cross_entropy

PAIRS = [forward_kl, soft_cross_entropy, centered_squared_error]


def logits(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_kl_of_two_coins():
    # Teacher logits (ln 3, 0) are probabilities (3/4, 1/4); the student's (0, 0) are (1/2, 1/2).
    # KL = 3/4 ln(3/4 / 1/2) + 1/4 ln(1/4 / 1/2) = 3/4 ln 3 - ln 2.
    value = forward_kl(torch.zeros(1, 2), torch.tensor([[math.log(3), 0.0]]))
    assert value.item() == pytest.approx(0.75 * math.log(3) - math.log(2), abs=1e-7)


def test_kl_is_not_symmetric():
    # The other way round: 1/2 ln(1/2 / 3/4) + 1/2 ln(1/2 / 1/4) = ln 2 - 1/2 ln 3.
    value = forward_kl(torch.tensor([[math.log(3), 0.0]]), torch.zeros(1, 2))
    assert value.item() == pytest.approx(math.log(2) - 0.5 * math.log(3), abs=1e-7)


def test_temperature_softens_before_comparing():
    # Logits (4 ln 3, 0) at T = 4 are the coin above.
    value = forward_kl(torch.zeros(1, 2), torch.tensor([[4 * math.log(3), 0.0]]), temperature=4.0)
    assert value.item() == pytest.approx(0.75 * math.log(3) - math.log(2), abs=1e-7)


def test_soft_cross_entropy_of_two_coins():
    # -3/4 ln 1/2 - 1/4 ln 1/2 = ln 2, whatever the teacher says, as the student is even.
    assert soft_cross_entropy(torch.zeros(1, 2), torch.tensor([[math.log(3), 0.0]])).item() == pytest.approx(
        math.log(2), abs=1e-7
    )


def test_soft_cross_entropy_is_kl_plus_the_entropy_of_the_teacher():
    student, teacher = logits(5, 7), logits(5, 7, seed=1)
    entropy = torch.distributions.Categorical(logits=teacher / 2).entropy()
    expected = forward_kl(student, teacher, temperature=2.0) + entropy
    torch.testing.assert_close(soft_cross_entropy(student, teacher, temperature=2.0), expected)
    assert (soft_cross_entropy(teacher, teacher) > 0.05).all()


def test_centered_squared_error_by_hand():
    # Differences (3, 1, 2) have mean 2; centered (1, -1, 0); squares sum to 2; half of the mean over 3 is 1/3.
    value = centered_squared_error(torch.tensor([[3.0, 1.0, 2.0]]), torch.zeros(1, 3))
    assert value.item() == pytest.approx(1 / 3, abs=1e-7)


def test_cross_entropy_by_hand():
    # -ln 3/4, and with 0.2 of the probability spread over both classes -(0.9 ln 3/4 + 0.1 ln 1/4).
    x, label = torch.tensor([[math.log(3), 0.0]]), torch.tensor([0])
    assert cross_entropy(x, label).item() == pytest.approx(-math.log(0.75), abs=1e-7)
    smooth = -(0.9 * math.log(0.75) + 0.1 * math.log(0.25))
    assert cross_entropy(x, label, smoothing=0.2).item() == pytest.approx(smooth, abs=1e-7)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_kl_agrees_with_two_other_implementations(temperature):
    student, teacher = logits(9, 11), logits(9, 11, seed=1)
    ours = forward_kl(student, teacher, temperature=temperature)
    by_torch = functional.kl_div(
        functional.log_softmax(student / temperature, -1),
        functional.softmax(teacher / temperature, -1),
        reduction="none",
    ).sum(-1)
    p = torch.distributions.Categorical(logits=teacher.double() / temperature)
    q = torch.distributions.Categorical(logits=student.double() / temperature)
    torch.testing.assert_close(ours, by_torch, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.double(), torch.distributions.kl_divergence(p, q), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_an_absent_label_costs_nothing_and_pulls_nowhere(smoothing):
    x = logits(4, 3).requires_grad_()
    loss = cross_entropy(x, torch.tensor([0, -1, 2, -1]), smoothing=smoothing)
    loss.sum().backward()
    assert loss[1] == 0 and loss[3] == 0 and (loss[[0, 2]] > 0).all()
    assert x.grad is not None and not x.grad[[1, 3]].any() and x.grad[[0, 2]].abs().sum() > 0.1


def test_all_labels_absent_gives_zeros():
    assert torch.equal(cross_entropy(logits(3, 4), torch.full((3,), -1)), torch.zeros(3))


def test_positions_keep_their_place():
    student, teacher = logits(2, 5, 3), logits(2, 5, 3, seed=1)
    labels = torch.randint(-1, 3, (2, 5), generator=torch.Generator().manual_seed(2))
    for loss in (
        forward_kl(student, teacher),
        centered_squared_error(student, teacher),
        cross_entropy(student, labels),
    ):
        assert loss.shape == (2, 5)
    torch.testing.assert_close(forward_kl(student, teacher)[1, 3], forward_kl(student[1, 3], teacher[1, 3]))
    assert cross_entropy(student, labels)[0, 1] == cross_entropy(student[:1, 1], labels[:1, 1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("loss", PAIRS)
def test_half_precision_is_computed_in_float32(loss, dtype):
    student, teacher = logits(4, 6).to(dtype), logits(4, 6, seed=1).to(dtype)
    assert loss(student, teacher).dtype == torch.float32
    assert torch.equal(loss(student, teacher), loss(student.float(), teacher.float()))


@pytest.mark.parametrize("loss", PAIRS)
def test_float64_stays_float64(loss):
    assert loss(logits(2, 3, dtype=torch.float64), logits(2, 3, seed=1, dtype=torch.float64)).dtype == torch.float64


def test_certain_but_different_costs_the_difference_of_the_logits():
    # p is all on class 0, q all on class 1: KL = log p_0 - log q_0 = 0 - (-2e4).
    value = forward_kl(torch.tensor([[-1e4, 1e4]]), torch.tensor([[1e4, -1e4]]))
    assert value.item() == pytest.approx(2e4)


@pytest.mark.parametrize("loss", PAIRS)
def test_no_examples_give_no_losses(loss):
    assert loss(torch.zeros(0, 3), torch.zeros(0, 3)).shape == (0,)


@pytest.mark.parametrize("loss", [forward_kl, soft_cross_entropy])
@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_must_be_positive(loss, temperature):
    with pytest.raises(BadInput, match=rf"temperature of {loss.__name__} must be .*greater than 0.*; got"):
        loss(torch.zeros(1, 2), torch.zeros(1, 2), temperature=temperature)


@pytest.mark.parametrize("loss", PAIRS)
def test_other_classes_are_refused(loss):
    # Past the shape hook of the tests, which users do not have; broadcasting would give a number for it.
    bare = inspect.unwrap(loss)
    with pytest.raises(BadInput, match=r"teacher_logits of .* must be of the student's shape \(4, 3\); got \(4, 1\)"):
        bare(torch.zeros(4, 3), torch.zeros(4, 1))
