"""What must hold of divergences for any logits."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from attar.ops.divergence import centered_squared_error, cross_entropy, forward_kl, soft_cross_entropy

VALUES = st.floats(-50, 50, width=32)
SHAPES = st.tuples(st.integers(1, 4), st.integers(2, 6))
TEMPERATURES = st.floats(0.25, 30)
QUICK = settings(deadline=None, max_examples=40)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor]:
    """Student's and teacher's logits of one shape, in float64."""
    shape = draw(SHAPES)
    one, other = (draw(arrays.arrays("float32", shape, elements=VALUES)) for _ in range(2))
    return torch.from_numpy(one).double(), torch.from_numpy(other).double()


@QUICK
@given(pair=pairs(), temperature=TEMPERATURES)
def test_kl_is_never_negative(pair, temperature):
    assert (forward_kl(*pair, temperature=temperature) >= -1e-12).all()
    assert (forward_kl(*(x.float() for x in pair), temperature=temperature) >= -1e-5).all()


@QUICK
@given(pair=pairs(), temperature=TEMPERATURES)
def test_kl_is_exactly_zero_at_agreement(pair, temperature):
    assert torch.equal(forward_kl(pair[0], pair[0], temperature=temperature), torch.zeros(len(pair[0])).double())


@QUICK
@given(pair=pairs())
def test_kl_is_zero_only_where_the_distributions_agree(pair):
    distance = (pair[0].softmax(-1) - pair[1].softmax(-1)).abs().sum(-1)
    # Pinsker's inequality: KL >= distance² / 2.
    assert (forward_kl(*pair) >= distance.square() / 2 - 1e-12).all()


@QUICK
@given(pair=pairs(), shift=st.floats(-100, 100), temperature=TEMPERATURES)
def test_a_constant_added_to_the_logits_changes_nothing(pair, shift, temperature):
    student, teacher = pair
    for loss in (forward_kl, soft_cross_entropy):
        expected = loss(student, teacher, temperature=temperature)
        for shifted in ((student + shift, teacher), (student, teacher + shift)):
            torch.testing.assert_close(loss(*shifted, temperature=temperature), expected, atol=1e-8, rtol=1e-8)
    expected = centered_squared_error(student, teacher)
    torch.testing.assert_close(centered_squared_error(student + shift, teacher), expected, atol=1e-8, rtol=1e-8)


@QUICK
@given(pair=pairs(), temperature=TEMPERATURES)
def test_cross_entropy_and_kl_pull_the_student_the_same_way(pair, temperature):
    student = pair[0].requires_grad_()
    pulls = [
        torch.autograd.grad(loss(student, pair[1], temperature=temperature).sum(), student)[0]
        for loss in (forward_kl, soft_cross_entropy)
    ]
    torch.testing.assert_close(*pulls, atol=1e-12, rtol=1e-9)


@QUICK
@given(pair=pairs(), temperature=TEMPERATURES)
def test_the_gradient_times_t2_is_t_times_the_difference_of_the_probabilities(pair, temperature):
    student, teacher = pair[0].requires_grad_(), pair[1]
    loss = temperature**2 * forward_kl(student, teacher, temperature=temperature).sum()
    expected = temperature * ((student / temperature).softmax(-1) - (teacher / temperature).softmax(-1))
    torch.testing.assert_close(torch.autograd.grad(loss, student)[0], expected.detach(), atol=1e-12, rtol=1e-9)


@QUICK
@given(seed=st.integers(0, 2**31), classes=st.integers(2, 20))
def test_at_high_temperature_the_gradient_is_that_of_the_logits(seed, classes):
    draw = torch.Generator().manual_seed(seed)
    student, teacher = (3 * torch.randn(4, classes, generator=draw, dtype=torch.float64) for _ in range(2))
    student, teacher = (x - x.mean(-1, keepdim=True) for x in (student, teacher))
    student.requires_grad_()
    loss = 1e6 * forward_kl(student, teacher, temperature=1e3).sum()
    gradient = torch.autograd.grad(loss, student)[0]
    limit = (student.detach() - teacher) / classes
    # Relative to the largest: where the two nearly agree the relative error of one element says nothing.
    assert (gradient - limit).abs().max() < 0.01 * limit.abs().max()
    # And it is the gradient of the term that is the limit, centered or not.
    pull = torch.autograd.grad(centered_squared_error(student + 5, teacher).sum(), student)[0]
    torch.testing.assert_close(pull, limit, atol=1e-12, rtol=1e-9)
    torch.testing.assert_close(
        loss.detach(), centered_squared_error(student.detach(), teacher).sum(), rtol=0.02, atol=1e-9
    )


def test_t2_keeps_the_size_of_the_gradient_about_constant():
    draw = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(64, 10, generator=draw, dtype=torch.float64) for _ in range(2))
    student.requires_grad_()
    sizes, bare = {}, {}
    for temperature in (2.0, 4.0, 8.0, 16.0):
        loss = forward_kl(student, teacher, temperature=temperature).sum()
        bare[temperature] = float(torch.autograd.grad(loss, student)[0].norm())
        sizes[temperature] = temperature**2 * bare[temperature]
    assert max(sizes.values()) < 1.3 * min(sizes.values())
    # Without the factor it falls as 1/T²: by about 64 from 2 to 16.
    assert 50 < bare[2.0] / bare[16.0] < 80


@pytest.mark.parametrize("loss", [forward_kl, soft_cross_entropy, centered_squared_error])
def test_gradcheck(loss):
    draw = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(3, 4, generator=draw, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(loss, (student, teacher))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_gradcheck_of_cross_entropy(smoothing):
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([1, -1, 3])
    assert torch.autograd.gradcheck(lambda x: cross_entropy(x, labels, smoothing=smoothing), (x,))
