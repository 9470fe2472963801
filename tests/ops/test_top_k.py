"""The k likeliest classes: what they stand for, and a loss that gives what the dense one gives without its targets."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from attar.errors import BadInput
from attar.ops.divergence import forward_kl
from attar.ops.top_k import TopK, full, top_k_kl

TEMPERATURES = [0.25, 1.0, 4.0, 20.0]


def logits(*shape: int, seed: int = 0, scale: float = 3.0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def narrow(top: TopK) -> TopK:
    """The same in float32."""
    return TopK(top.index, top.log_probabilities.float(), top.rest.float(), top.classes)


def both(student: torch.Tensor, top: TopK, temperature: float) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Value and gradient of the dense loss and of the one that reads the top k."""
    found = []
    for loss in (
        lambda z: forward_kl(z, top.full(), temperature=temperature),
        lambda z: top_k_kl(z, top, temperature=temperature),
    ):
        z = student.clone().requires_grad_()
        values = loss(z)
        found.append((values.detach(), torch.autograd.grad(values.sum(), z)[0]))
    return found


def explicit_bucket(student: torch.Tensor, top: TopK, temperature: float) -> torch.Tensor:
    """KL over k + 1 probabilities, those of teacher and student written out class by class."""
    p = (top.full() / temperature).softmax(-1)
    q = (student / temperature).softmax(-1)
    total = torch.zeros(len(student), dtype=student.dtype)
    for row in range(len(student)):
        kept = top.index[row].tolist()
        others = [label for label in range(top.classes) if label not in kept]
        said = [p[row, label] for label in kept] + [p[row, others].sum()]
        heard = [q[row, label] for label in kept] + [q[row, others].sum()]
        total[row] = sum(one * (one.log() - other.log()) for one, other in zip(said, heard, strict=True))
    return total


# What it stands for


def test_hand_worked():
    # Keep 0.5 and 0.3; the three others share 0.2.
    top = TopK.of(torch.tensor([[0.05, 0.5, 0.1, 0.3, 0.05]]).log(), k=2)
    assert top.index.tolist() == [[1, 3]] and (top.k, top.others, top.shape, len(top)) == (2, 3, (1, 5), 1)
    torch.testing.assert_close(top.log_probabilities.exp(), torch.tensor([[0.5, 0.3]], dtype=torch.double))
    torch.testing.assert_close(top.rest.exp(), torch.tensor([0.2], dtype=torch.double))
    third = 0.2 / 3
    expected = torch.tensor([[third, 0.5, third, 0.3, third]], dtype=torch.double)
    torch.testing.assert_close(top.full().exp(), expected)


@given(seed=st.integers(0, 1000), classes=st.integers(2, 12), data=st.data(), temperature=st.sampled_from(TEMPERATURES))
@settings(deadline=None, max_examples=50)
def test_softened_is_the_softmax_of_the_dense_logits(seed, classes, data, temperature):
    top = TopK.of(logits(5, classes, seed=seed), data.draw(st.integers(1, classes - 1)))
    kept, each = top.softened(temperature)
    expected = (top.full() / temperature).log_softmax(-1)
    torch.testing.assert_close(kept, expected.gather(-1, top.index))
    others = torch.ones_like(expected, dtype=torch.bool).scatter(-1, top.index, False)
    torch.testing.assert_close(each[:, None].expand_as(expected)[others], expected[others])


def test_the_dense_softmax_has_the_probabilities_that_were_kept():
    said = logits(7, 9)
    top = TopK.of(said, 4)
    torch.testing.assert_close(top.full().softmax(-1).gather(-1, top.index), said.softmax(-1).gather(-1, top.index))


def test_dense_takes_either_form():
    plain, top = logits(2, 5), TopK.of(logits(2, 5), 2)
    assert full(plain) is plain and torch.equal(full(top), top.full())


def test_rows_share_the_memory_and_move_together():
    top = TopK.of(logits(6, 5), 2)
    part = top.rows(2, 4)
    assert len(part) == 2 and torch.equal(part.full(), top.full()[2:4])
    part.rest[0] = -9.0
    assert top.rest[2] == -9.0
    assert part.to(torch.device("meta")).device.type == "meta"
    order = torch.tensor([5, 0])
    assert torch.equal(top.map(lambda tensor: tensor[order]).full(), top.full()[order])


@pytest.mark.parametrize(
    ("index", "kept", "rest", "classes", "match"),
    [
        ((3, 2), (3, 1), (3,), 5, r"index, log_probabilities and rest of TopK must be \[\*batch, k\] twice"),
        ((3, 2), (3, 2), (2,), 5, r"and \[\*batch\]; got \[\(3, 2\), \(3, 2\), \(2,\)\]"),
        ((3, 5), (3, 5), (3,), 5, "k of TopK must be from 1 to 4, for 5 classes; got 5. Use dense logits"),
        ((3, 0), (3, 0), (3,), 5, "k of TopK must be from 1 to 4, for 5 classes; got 0"),
    ],
)
def test_what_does_not_fit_together(index, kept, rest, classes, match):
    with pytest.raises(BadInput, match=match):
        TopK.__post_init__(_Bare(torch.zeros(index), torch.zeros(kept), torch.zeros(rest), classes))


class _Bare:
    """The fields alone: under test a checker of annotations would see the shapes before our own rule does."""

    def __init__(self, index, log_probabilities, rest, classes):
        self.index, self.log_probabilities, self.rest, self.classes = index, log_probabilities, rest, classes
        self.k = index.shape[-1]


# The loss, the rest shared evenly


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("k", [1, 3, 8])
def test_value_and_gradient_are_those_of_the_dense_loss(temperature, k):
    student, top = logits(16, 9, seed=1), TopK.of(logits(16, 9), k)
    (dense_value, dense_gradient), (value, gradient) = both(student, top, temperature)
    torch.testing.assert_close(value, dense_value, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient, dense_gradient, rtol=1e-12, atol=1e-12)


@given(
    seed=st.integers(0, 10_000),
    classes=st.integers(2, 40),
    data=st.data(),
    temperature=st.floats(0.2, 50.0),
    scale=st.sampled_from([1e-3, 1.0, 30.0]),
)
@settings(deadline=None, max_examples=60)
def test_equal_to_dense_in_float32(seed, classes, data, temperature, scale):
    top = narrow(TopK.of(logits(6, classes, seed=seed, scale=scale), data.draw(st.integers(1, classes - 1))))
    student = logits(6, classes, seed=seed + 1, scale=scale, dtype=torch.float32)
    (dense_value, dense_gradient), (value, gradient) = both(student, top, temperature)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, dense_value, rtol=2e-5, atol=2e-5)
    torch.testing.assert_close(gradient, dense_gradient, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("rest", ["spread", "bucket"])
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_gradients_are_those_of_finite_differences(rest, temperature):
    top, student = TopK.of(logits(3, 6), 2), logits(3, 6, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: top_k_kl(z, top, temperature=temperature, rest=rest), student)
    assert torch.autograd.gradgradcheck(lambda z: top_k_kl(z, top, temperature=temperature, rest=rest), student)


@pytest.mark.parametrize("rest", ["spread", "bucket"])
@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("agree", [False, True])
def test_extreme_logits_are_finite_and_as_dense(rest, temperature, agree):
    sign = torch.where(torch.arange(6 * 5).view(6, 5) % 2 == 0, 1e4, -1e4)
    top = narrow(TopK.of(sign, 2))
    student = (sign if agree else -sign).clone()
    z = student.requires_grad_()
    values = top_k_kl(z, top, temperature=temperature, rest=rest)
    gradient = torch.autograd.grad(values.sum(), z)[0]
    assert values.isfinite().all() and gradient.isfinite().all() and (values >= 0).all()
    if rest == "spread":
        expected, slope = both(student.detach(), top, temperature)[0]
        torch.testing.assert_close(values.detach(), expected, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(gradient, slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("rest", ["spread", "bucket"])
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_the_whole_mass_in_the_top_k(rest, temperature):
    kept = torch.tensor([[0.75, 0.25]]).log()
    top = TopK(torch.tensor([[3, 1]]), kept, torch.tensor([-math.inf]), 5)
    student = logits(1, 5, dtype=torch.float32).requires_grad_()
    value = top_k_kl(student, top, temperature=temperature, rest=rest)
    p = (kept / temperature).softmax(-1)
    expected = (p * (p.log() - (student / temperature).log_softmax(-1)[:, [3, 1]])).sum(-1)
    torch.testing.assert_close(value, expected)
    gradient = torch.autograd.grad(value.sum(), student, retain_graph=True)[0]
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), student)[0])
    assert top.full().isfinite().all() and top.full().softmax(-1)[0, 0] == 0


def test_positions_are_examples():
    top, student = TopK.of(logits(6, 5), 2), logits(6, 5, seed=1)
    folded = top.map(lambda tensor: tensor.view(2, 3, *tensor.shape[1:]))
    assert folded.shape == (2, 3, 5)
    torch.testing.assert_close(top_k_kl(student.view(2, 3, 5), folded), top_k_kl(student, top).view(2, 3))


@pytest.mark.parametrize("rest", ["spread", "bucket"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_goes_in_and_float32_comes_out(rest, dtype):
    top, student = narrow(TopK.of(logits(4, 9), 3)), logits(4, 9, seed=1).to(dtype)
    value = top_k_kl(student, top, rest=rest)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, top_k_kl(student.float(), top, rest=rest))


# The loss, the rest in a bucket


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("k", [1, 3, 8])
def test_bucket_is_the_kl_of_an_explicit_bucket(temperature, k):
    student, top = logits(8, 9, seed=1).requires_grad_(), TopK.of(logits(8, 9), k)
    values, expected = (
        top_k_kl(student, top, temperature=temperature, rest="bucket"),
        explicit_bucket(student, top, temperature),
    )
    torch.testing.assert_close(values, expected, rtol=1e-10, atol=1e-12)
    gradient, slope = (torch.autograd.grad(found.sum(), student)[0] for found in (values, expected))
    torch.testing.assert_close(gradient, slope, rtol=1e-10, atol=1e-12)
    # In closed form: q_j - p_j of a class that was kept, q_j - p_rest q_j / q_rest of another.
    p, q = ((z.detach() / temperature).softmax(-1) for z in (top.full(), student))
    others = torch.ones_like(q, dtype=torch.bool).scatter(-1, top.index, False)
    p_rest, q_rest = ((one * others).sum(-1, keepdim=True) for one in (p, q))
    closed = torch.where(others, q - p_rest * q / q_rest, q - p)
    torch.testing.assert_close(gradient * temperature, closed, rtol=1e-10, atol=1e-12)


@given(seed=st.integers(0, 10_000), k=st.integers(1, 8), temperature=st.sampled_from(TEMPERATURES))
@settings(deadline=None, max_examples=40)
def test_bucket_asks_for_no_more_than_spread(seed, k, temperature):
    student, top = logits(6, 9, seed=seed + 1), TopK.of(logits(6, 9, seed=seed), k)
    spread, bucket = (top_k_kl(student, top, temperature=temperature, rest=rest) for rest in ("spread", "bucket"))
    assert (bucket <= spread + 1e-12).all() and (bucket >= -1e-12).all()


def test_bucket_does_not_mind_how_the_student_shares_the_rest_out():
    said = logits(5, 9)
    top = TopK.of(said, 3)
    # At T = 1 the student that says what the teacher said, all of it, is one of those that cost nothing.
    torch.testing.assert_close(top_k_kl(said, top, rest="bucket"), torch.zeros(5, dtype=torch.double))
    assert (top_k_kl(said, top, rest="spread") > 1e-3).all()


@pytest.mark.parametrize("rest", ["spread", "bucket"])
def test_agreement_is_the_minimum(rest):
    top = TopK.of(logits(5, 9), 3)
    best = top.full().requires_grad_()
    values = top_k_kl(best, top, temperature=3.0, rest=rest)
    torch.testing.assert_close(values, torch.zeros_like(values))
    assert torch.autograd.grad(values.sum(), best)[0].abs().max() < 1e-12


# What it does not do


class _Largest(TorchDispatchMode):
    """Counts the tensors of as many numbers as the student's output that are made."""

    def __init__(self, numel: int) -> None:
        super().__init__()
        self.numel, self.made = numel, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.made += isinstance(out, torch.Tensor) and out.numel() >= self.numel and not func.is_view
        return out


def test_no_target_of_all_classes_is_built():
    student, top = logits(8, 1000, dtype=torch.float32), narrow(TopK.of(logits(8, 1000), 5))

    def made(loss) -> int:
        with _Largest(student.numel()) as counted:
            loss()
        return counted.made

    # The student divided by T, and its log-softmax; the dense loss makes the same of the targets, and products of both.
    assert made(lambda: top_k_kl(student, top, temperature=2.0)) == 2
    assert made(lambda: forward_kl(student, top.full(), temperature=2.0)) > 5


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"temperature": 0.0}, "temperature of top_k_kl must be finite and greater than 0; got 0.0"),
        ({"temperature": math.inf}, "temperature of top_k_kl must be finite"),
        ({"rest": "buckets"}, "rest of top_k_kl must be 'spread' or 'bucket'; got 'buckets'. Did you mean 'bucket'"),
        ({"student_logits": torch.zeros(3, 6)}, r"teacher of top_k_kl must be of the student's shape \(3, 6\); got"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "".join(value),
)
def test_bad_arguments(change, match):
    with pytest.raises(BadInput, match=match):
        top_k_kl(**{"student_logits": torch.zeros(3, 5), "teacher": TopK.of(logits(3, 5), 2), **change})


def test_against_numpy():
    """An independent implementation, probability by probability."""
    student, said = logits(4, 7, seed=3), logits(4, 7, seed=4)
    top = TopK.of(said, 3)
    value = top_k_kl(student, top, temperature=2.0).numpy()
    for row in range(4):
        p = np.exp(said[row].numpy() - said[row].numpy().max())
        p /= p.sum()
        kept = np.argsort(-p)[:3]
        spread = np.full(7, (1 - p[kept].sum()) / 4)
        spread[kept] = p[kept]
        soft = spread**0.5 / (spread**0.5).sum()
        q = np.exp(student[row].numpy() / 2)
        q /= q.sum()
        assert value[row] == pytest.approx(float((soft * np.log(soft / q)).sum()), rel=1e-9)
