"""Formats against values worked out by hand, loops that do what the papers say, and the papers' gradients."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from attar.ops.entropy import histogram, huffman_bits
from attar.ops.granularity import PerAxis, PerGroup, PerTensor
from attar.ops.packing import pack, unpack
from attar.quantization.format import Encoded, straight_through
from attar.quantization.formats.affine import Affine
from attar.quantization.formats.clipped import Clipped
from attar.quantization.formats.codebook import Codebook
from attar.quantization.formats.dorefa import DoReFa
from attar.quantization.formats.fixed_point import DynamicFixedPoint
from attar.quantization.formats.power_of_two import PowerOfTwo
from attar.quantization.formats.ternary import Ternary
from attar.quantization.formats.uniform import Uniform
from attar.quantization.formats.wrpn import Wrpn


def weights(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def bucketed(values: np.ndarray, bits: int, size: int) -> np.ndarray:
    """The 2018 algorithm, a bucket and a value at a time."""
    flat, out = values.reshape(-1), []
    for start in range(0, len(flat), size):
        bucket = flat[start : start + size]
        alpha, beta = bucket.max() - bucket.min(), bucket.min()
        for value in bucket:
            out.append(beta + alpha * round((value - beta) / (alpha or 1) * (2**bits - 1)) / (2**bits - 1))
    return np.array(out).reshape(values.shape)


def gradient_of(form: Any, tensor: torch.Tensor, pull: torch.Tensor, table: Any = None) -> torch.Tensor:
    leaf = tensor.clone().requires_grad_()
    straight_through(form, leaf, table or {}).backward(pull)
    assert leaf.grad is not None
    return leaf.grad


@pytest.mark.parametrize("bits, size", list(itertools.product([1, 2, 4, 8], [7, 64, 1000])))
def test_uniform_is_the_2018_algorithm(bits, size):
    tensor = weights(4, 5, 3, 3)
    form = Uniform(bits, PerGroup(size))
    expected = bucketed(tensor.numpy(), bits, size)
    np.testing.assert_allclose(form.decode(form.encode(tensor)).numpy(), expected, atol=1e-12)


def test_uniform_takes_the_bits_that_the_paper_counts():
    """k f / (k b + 2 f) with k = 256, b = 4, f = 32: 7.53 times smaller."""
    encoded = Uniform(4).encode(torch.randn(256 * 100))
    size = len(pack(encoded.codes.numpy(), 4)) + encoded.table_bytes
    assert size * 8 == 100 * (256 * 4 + 2 * 32)
    assert 256 * 100 * 32 / (size * 8) == pytest.approx(7.53, abs=0.01)
    counts = histogram(encoded.codes.numpy(), Uniform(4).codes)
    assert huffman_bits(counts) <= 4 * 256 * 100
    held = unpack(pack(encoded.codes.numpy(), 4), 4, 256 * 100)
    assert np.array_equal(held, encoded.codes.numpy())


def test_the_exact_gradient_is_that_of_the_scale():
    """Against finite differences of the rounded values, where no code changes: rounding is then constant."""
    form, tensor = Uniform(2, PerGroup(5), gradient="exact"), weights(10)
    pull = weights(10, seed=1)
    found = gradient_of(form, tensor, pull)
    codes = form.encode(tensor).codes
    for i in range(10):
        step = torch.zeros(10, dtype=torch.float64)
        step[i] = 1e-6
        ends = [form.decode(form.encode(tensor + way * step)) for way in (1, -1)]
        assert all(torch.equal(form.encode(tensor + way * step).codes, codes) for way in (1, -1))
        slope = float(((ends[0] - ends[1]) / 2e-6 * pull).sum())
        # The identity in place of rounding's own slope, which is none.
        assert float(found[i]) == pytest.approx(slope + float(pull[i]) - _moved_by_scaling(tensor, pull, i), abs=1e-5)


def _moved_by_scaling(tensor: torch.Tensor, pull: torch.Tensor, i: int) -> float:
    """What the surrogate counts of value i moving itself: its own scaled place times the scale's slope, per bucket."""
    bucket = slice(i // 5 * 5, i // 5 * 5 + 5)
    values, pulls = tensor[bucket], pull[bucket]
    place = (values - values.min()) / (values.max() - values.min())
    if tensor[i] == values.max():
        return float((pulls * place).sum())
    return float((pulls * (1 - place)).sum()) if tensor[i] == values.min() else 0.0


@pytest.mark.parametrize(
    "form, inside",
    [
        (Uniform(4), lambda w: w == w),
        (Uniform(4, gradient="truncated"), lambda w: w.abs() <= 1),
        (Wrpn(4), lambda w: w.abs() <= 1),
        (PowerOfTwo(), lambda w: w == w),
        (PowerOfTwo((-4, -1), gradient="truncated"), lambda w: w.abs() <= 0.5),
        (Ternary(), lambda w: w == w),
        (DoReFa(1), lambda w: w == w),
        (Affine(4), lambda w: w == w),
        (Codebook(2, trains="weights"), lambda w: w == w),
        # Codes from -8 to 7 eighths; half a step beyond is still rounded, not clipped.
        (DynamicFixedPoint(4, fraction=3), lambda w: (w > -8.5 / 8) & (w < 7.5 / 8)),
        (Clipped(1), lambda w: (w > -0.5) & (w < 1.5)),
    ],
    ids=lambda value: repr(value).partition(" at 0x")[0],
)
def test_the_gradient_is_the_identity_where_the_paper_lets_it_through(form, inside):
    tensor, pull = weights(60), weights(60, seed=1)
    assert torch.equal(gradient_of(form, tensor, pull), pull * inside(tensor))


def test_a_weight_of_exactly_one_goes_on_learning():
    for form in (Wrpn(2), Uniform(4, gradient="truncated"), PowerOfTwo(gradient="truncated")):
        assert gradient_of(form, torch.tensor([1.0, -1.0]), torch.ones(2)).tolist() == [1, 1]


def test_dorefas_gradient_goes_through_tanh_and_its_largest():
    tensor, pull = weights(12), weights(12, seed=1)
    leaf = tensor.clone().requires_grad_()
    (2 * (leaf.tanh() / (2 * leaf.tanh().abs().max()) + 0.5) - 1).backward(pull)
    torch.testing.assert_close(gradient_of(DoReFa(3), tensor, pull), leaf.grad)


def test_dorefa_is_its_formula():
    tensor = weights(50).float()
    x = tensor.tanh() / (2 * tensor.tanh().abs().max()) + 0.5
    form = DoReFa(3)
    torch.testing.assert_close(form.decode(form.encode(tensor)), 2 * (x * 7).round() / 7 - 1)
    form = DoReFa(1)
    torch.testing.assert_close(form.decode(form.encode(tensor)), tensor.sign() * tensor.abs().mean())


def test_wrpn_and_clipped_are_their_formulas():
    tensor = weights(50).float()
    for bits in (2, 4, 8):
        form = Wrpn(bits)
        levels = 2 ** (bits - 1) - 1
        torch.testing.assert_close(form.decode(form.encode(tensor)), (tensor.clamp(-1, 1) * levels).round() / levels)
        small = Clipped(bits)
        levels = 2**bits - 1
        torch.testing.assert_close(small.decode(small.encode(tensor)), (tensor.clamp(0, 1) * levels).round() / levels)
    assert set(Wrpn(2).decode(Wrpn(2).encode(tensor)).tolist()) == {-1.0, 0.0, 1.0}


def test_ternary_is_its_formula():
    tensor = weights(3, 20).float()
    form = Ternary(granularity=PerAxis(0))
    expected = torch.zeros_like(tensor)
    for row, out in zip(tensor, expected, strict=True):
        large = row.abs() > 0.7 * row.abs().mean()
        out[large] = row[large].sign() * row[large].abs().mean()
    torch.testing.assert_close(form.decode(form.encode(tensor)), expected)


def test_learned_ternary_scales_have_the_papers_gradient():
    form, tensor, pull = Ternary("learned"), weights(30), weights(30, seed=1)
    table = {"positive": torch.tensor([0.9]).double(), "negative": torch.tensor([1.3]).double()}
    leaves = {name: entry.requires_grad_() for name, entry in table.items()}
    slope = gradient_of(form, tensor, pull, leaves)
    codes = form.encode(tensor).codes
    assert float(leaves["positive"].grad) == pytest.approx(float(pull[codes > 0].sum()))
    assert float(leaves["negative"].grad) == pytest.approx(-float(pull[codes < 0].sum()))
    torch.testing.assert_close(slope, pull * (0.9 * (codes > 0) + 1.3 * (codes < 0) + (codes == 0)))
    used = form.decode(form.encode(tensor, table))
    assert set(np.round(used.detach().numpy(), 6)) == {0.9, 0.0, -1.3}


def test_points_have_the_gradient_of_finite_differences():
    form, tensor, pull = Codebook(3, granularity=PerGroup(16)), weights(5, 10), weights(5, 10, seed=1)
    # In any order, as they may cross.
    points = form.initial_table(tensor)["points"][torch.tensor([3, 1, 0, 2, 7, 5, 6, 4])].requires_grad_()
    straight_through(form, tensor, {"points": points}).backward(pull)
    codes = form.encode(tensor, {"points": points.detach()}).codes
    for j in range(8):
        step = torch.zeros(8, dtype=torch.float64)
        step[j] = 1e-7
        ends = []
        for way in (1, -1):
            held = form.encode(tensor, {"points": points.detach() + way * step})
            assert torch.equal(held.codes, codes)
            ends.append(form.decode(held))
        assert float(points.grad[j]) == pytest.approx(float(((ends[0] - ends[1]) / 2e-7 * pull).sum()), abs=1e-5)


def test_points_and_weights_may_learn_together():
    form, tensor, pull = Codebook(2, trains="both"), weights(40), weights(40, seed=1)
    table = form.initial_table(tensor)
    table["points"].requires_grad_()
    assert torch.equal(gradient_of(form, tensor, pull, table), pull)
    alone = form.initial_table(tensor)
    alone["points"].requires_grad_()
    straight_through(Codebook(2), tensor, alone).backward(pull)
    torch.testing.assert_close(table["points"].grad, alone["points"].grad)


def test_points_begin_at_quantiles_of_the_scaled_weights():
    tensor = weights(500)
    scaled = ((tensor - tensor.min()) / (tensor.max() - tensor.min())).numpy()
    points = Codebook(3, granularity=PerTensor()).initial_table(tensor)["points"]
    np.testing.assert_allclose(points.numpy(), np.percentile(scaled, np.linspace(0, 100, 8)), atol=1e-12)
    even = Codebook(3, init="uniform").initial_table(tensor)["points"]
    np.testing.assert_allclose(even.numpy(), np.linspace(0, 1, 8))


def test_points_of_kmeans_are_means_of_what_is_nearest():
    # Scaled they are 0, .1, .9, 1: two pairs, whose means are half way.
    tensor = torch.tensor([1.0, 3.0, 0.0, 10.0, 9.0, 1.0]) / 10
    points = Codebook(1, init="kmeans").initial_table(tensor)["points"]
    torch.testing.assert_close(points, torch.tensor([0.125, 0.95]))
    tensor = weights(5000)
    form = Codebook(3, init="kmeans", granularity=PerTensor())
    scaled = ((tensor - tensor.min()) / (tensor.max() - tensor.min())).numpy().reshape(-1)
    points = form.initial_table(tensor)["points"].numpy()
    nearest = np.abs(scaled[:, None] - points).argmin(1)
    np.testing.assert_allclose(points, [scaled[nearest == place].mean() for place in range(8)], atol=1e-9)
    errors = {at: float((codes_off(tensor, at) ** 2).mean()) for at in ("kmeans", "quantile", "uniform")}
    assert errors["kmeans"] < min(errors["quantile"], errors["uniform"])


def codes_off(tensor: torch.Tensor, init: str) -> torch.Tensor:
    form = Codebook(3, init=init, granularity=PerTensor())
    return form.decode(form.encode(tensor)) - tensor


def test_points_begin_where_they_should_in_tensors_beyond_what_float32_counts():
    many = torch.linspace(0, 1, 2**24 + 4).reshape(4, -1)
    points = Codebook(1, granularity=PerTensor()).initial_table(many)["points"]
    assert points.tolist() == [0, 1]


@pytest.mark.parametrize("tensor", [torch.zeros(0), torch.full((7,), 2.5), torch.tensor([1.0, 2.0])])
def test_points_of_kmeans_where_values_are_few(tensor: torch.Tensor):
    form = Codebook(3, init="kmeans")
    points = form.initial_table(tensor)["points"]
    assert points.shape == (8,) and bool(points.isfinite().all()) and bool((points.diff() >= 0).all())
    torch.testing.assert_close(form.decode(form.encode(tensor)), tensor)


def test_powers_of_two_are_shifts():
    form = PowerOfTwo((-7, 0))
    assert form.bits == 4 and PowerOfTwo((-7, 0), zero=True).bits == 5 and PowerOfTwo((-2, 0), zero=True).bits == 3
    encoded = form.encode(weights(1000).float())
    codes = encoded.codes.int()
    shift, negative = codes % 8, codes >= 8
    # An 8-bit activation times the weight, in units of 2^-7 of it: shifts and signs alone.
    activation = 93
    shifted = torch.where(negative, -1, 1) * (activation << (7 - shift))
    assert torch.equal(shifted.float() / 2**7, activation * form.decode(encoded))
    assert not (form.decode(encoded) == 0).any()


def test_fixed_point_is_its_formula_and_saturates():
    tensor = weights(200).float()
    tensor[0] = 3.999
    form = DynamicFixedPoint(8)
    encoded = form.encode(tensor)
    assert encoded.table["fraction"].tolist() == [5]  # One bit for the sign, two before the point.
    expected = (tensor * 2**5).round().clamp(-128, 127) / 2**5
    assert torch.equal(form.decode(encoded), expected) and float(expected[0]) == 127 / 32


def test_affine_has_zero_among_its_numbers():
    for low, high in ((0.3, 0.9), (-0.9, -0.3), (-0.2, 0.7)):
        tensor = torch.linspace(low, high, 50)
        encoded = Affine(3).encode(torch.cat([tensor, torch.zeros(1)]))
        assert Affine(3).decode(encoded)[-1] == 0
        assert 0 <= int(encoded.table["zero_point"]) <= 7


@pytest.mark.parametrize(
    "make", [lambda **s: Affine(3, **s), lambda **s: Clipped(3, **s), lambda **s: DynamicFixedPoint(3, **s)]
)
def test_the_range_of_least_error_is_better_than_the_others(make):
    tensor = weights(4000).float().abs() ** 3
    errors = {}
    for rule in ("max", "percentile", "mse"):
        form = make(range=rule, percentile=99.5)
        errors[rule] = float((form.decode(form.encode(tensor)) - tensor).square().mean())
    assert errors["mse"] <= errors["max"] * 0.9 and errors["mse"] <= errors["percentile"]


def test_more_bits_are_nearer():
    tensor = 0.5 * weights(2000).float()
    for make in (Uniform, Affine, DynamicFixedPoint, Codebook, lambda b: Wrpn(b)):
        errors = []
        for bits in range(2, 9):
            form = make(bits)
            errors.append(float((form.decode(form.encode(tensor)) - tensor).square().mean()))
        assert all(more < 0.5 * fewer for fewer, more in itertools.pairwise(errors)) or make.__name__ == "<lambda>"
        assert errors == sorted(errors, reverse=True)


def test_an_encoding_says_its_size():
    encoded = Encoded(torch.zeros(2, 3, dtype=torch.uint8), {"scale": torch.zeros(4)}, torch.float32)
    assert encoded.shape == (2, 3) and encoded.table_bytes == 16


@pytest.mark.parametrize(
    "form", [Affine(4, PerAxis(0), range="mse"), DynamicFixedPoint(4, granularity=PerAxis(0))], ids=repr
)
def test_a_tensor_of_no_rows_has_no_groups(form):
    empty = torch.zeros(0, 5)
    encoded = form.encode(empty)
    assert form.decode(encoded).shape == form.surrogate(empty, encoded.table, encoded).shape == (0, 5)


def test_what_fills_up_the_last_group_does_not_count():
    tensor = weights(44)
    tensor[-1] = 1e-4
    complete, grouped = Ternary(granularity=PerTensor()), Ternary(granularity=PerGroup(40))
    encoded = grouped.encode(tensor)
    torch.testing.assert_close(encoded.table["scale"][1:], complete.encode(tensor[40:]).table["scale"])
    assert torch.equal(encoded.codes[40:], complete.encode(tensor[40:]).codes)
