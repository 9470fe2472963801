"""What every number format must hold to. A new format is one new row."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest
import torch

from attar.errors import BadInput
from attar.ops.granularity import PerAxis, PerGroup, PerTensor
from attar.quantization.attach import WeightFormat
from attar.quantization.format import Encoded, Format, Learned, Random, Ranged, straight_through
from attar.quantization.formats.affine import Affine
from attar.quantization.formats.clipped import Clipped
from attar.quantization.formats.codebook import Codebook
from attar.quantization.formats.dorefa import DoReFa
from attar.quantization.formats.fixed_point import DynamicFixedPoint
from attar.quantization.formats.power_of_two import PowerOfTwo
from attar.quantization.formats.ternary import Ternary
from attar.quantization.formats.uniform import Uniform
from attar.quantization.formats.wrpn import Wrpn

Bound = Callable[[Any, torch.Tensor, Encoded], torch.Tensor]


@dataclass(frozen=True)
class Row:
    """One format with one setting.

    Attributes:
        form: The format.
        bound: The largest error of each value that the format allows.
        idempotent: Whether numbers of the format are encoded to themselves.
        remeasured: Whether they are even when the table is measured on them.
        constant: Whether a constant tensor is kept exactly; 0.3 is.
        unbiased: The same rounding by chance; the mean of what it gives is the value.
    """

    form: Any
    bound: Bound
    idempotent: bool = True
    remeasured: bool = True
    constant: bool = False
    unbiased: Any = None


def half_step(form: Any, tensor: torch.Tensor, encoded: Encoded) -> torch.Tensor:
    step = encoded.table["scale"][:, None].expand_as(form.granularity.rows(tensor)) / 2
    return form.granularity.from_rows(step, encoded.shape)


def one_step(form: Any, tensor: torch.Tensor, encoded: Encoded) -> torch.Tensor:
    """Half a step, and another half where the largest saturates just below a power of two."""
    step = 2.0 ** -encoded.table["fraction"][:, None].float()
    return form.granularity.from_rows(step.expand_as(form.granularity.rows(tensor)), encoded.shape)


def to_the_next_point(form: Any, tensor: torch.Tensor, encoded: Encoded) -> torch.Tensor:
    """Half the widest gap of the points, or how far the ends of the group are outside them."""
    points = encoded.table["points"]
    far = torch.stack([*(points.diff() / 2), points[0].abs(), (1 - points[-1]).abs()]).amax()
    rows = form.granularity.rows(tensor)
    return form.granularity.from_rows((encoded.table["span"] * far)[:, None].expand_as(rows), encoded.shape)


def clipped_half_step(size: float) -> Bound:
    """Half a step within [-1, 1], and what is outside."""
    return lambda form, tensor, encoded: size / 2 + (tensor.abs() - 1).clamp(min=0)


def relative(share: float, lowest: int, largest: float = 1.0) -> Bound:
    """A share of the size between the smallest and the largest power; what is beyond otherwise."""

    def bound(form: Any, tensor: torch.Tensor, encoded: Encoded) -> torch.Tensor:
        return share * tensor.abs() + 2.0**lowest + (tensor.abs() - largest).clamp(min=0)

    return bound


def unlimited(form: Any, tensor: torch.Tensor, encoded: Encoded) -> torch.Tensor:
    """No value moves further than the size of the largest: all that two or three numbers can promise."""
    return tensor.abs().amax().expand_as(tensor)


ROWS = [
    Row(Uniform(4), half_step, constant=True, unbiased=Uniform(4, rounding="stochastic")),
    Row(Uniform(1), half_step, constant=True),
    Row(Uniform(16), half_step, constant=True),
    Row(Uniform(2, PerGroup(7)), half_step, constant=True),
    Row(Uniform(3, PerTensor()), half_step, constant=True),
    Row(Uniform(3, PerAxis(1)), half_step, constant=True),
    Row(Uniform(3, gradient="exact"), half_step, constant=True),
    Row(
        Uniform(4, gradient="truncated"), lambda f, t, e: half_step(f, t, e) + (t.abs() - 1).clamp(min=0), constant=True
    ),
    Row(
        Uniform(4, scaling="absmax"),
        half_step,
        constant=True,
        unbiased=Uniform(4, scaling="absmax", rounding="stochastic"),
    ),
    # By its length a group of many values is far from the ends of its grid.
    Row(Uniform(4, PerGroup(7), scaling="absnorm"), half_step, remeasured=False),
    Row(Affine(4), half_step, constant=True),
    Row(Affine(8, PerAxis(0), symmetric=True), half_step, constant=True),
    Row(Affine(4, range="percentile", percentile=90.0), unlimited, remeasured=False),
    Row(Affine(3, range="mse"), unlimited, remeasured=False),
    Row(Clipped(4), lambda f, t, e: 1 / 30 - t.clamp(max=0) + (t - 1).clamp(min=0)),
    Row(Clipped(4, range="max"), lambda f, t, e: e.table["scale"] / 2 - t.clamp(max=0), constant=True),
    Row(Clipped(2, range="mse"), unlimited, remeasured=False),
    Row(DynamicFixedPoint(8), one_step, unbiased=DynamicFixedPoint(8, fraction=4, rounding="stochastic")),
    # The largest saturates to half of the power of two above it, which then fits into fewer bits.
    Row(DynamicFixedPoint(2), one_step, remeasured=False),
    Row(DynamicFixedPoint(8, fraction=4), one_step),
    Row(DynamicFixedPoint(4, range="mse", granularity=PerAxis(0)), unlimited, remeasured=False),
    # Points at quantiles are elsewhere when the values are points already.
    Row(Codebook(4), to_the_next_point, remeasured=False, constant=True),
    Row(Codebook(2, trains="both"), to_the_next_point, remeasured=False, constant=True),
    Row(Codebook(levels=5, trains="weights", init="uniform"), to_the_next_point, constant=True),
    Row(Codebook(2, init="kmeans"), to_the_next_point, constant=True),
    Row(Codebook(points=(0.1, 0.5, 0.8)), to_the_next_point, remeasured=False),
    Row(Codebook(levels=60, granularity=PerTensor()), to_the_next_point, remeasured=False, constant=True),
    Row(Ternary(), unlimited, constant=True),
    Row(Ternary(granularity=PerAxis(0)), unlimited, constant=True),
    Row(Ternary("learned"), unlimited, constant=True),
    # From 2^(e+1/2) on up, below it down: at worst 1 - 1/sqrt(2), or sqrt(2) - 1 of the size.
    Row(PowerOfTwo(), relative(0.4143, -7)),
    Row(PowerOfTwo(zero=True), relative(0.4143, -7)),
    Row(
        PowerOfTwo((-6, 2), "nearest", zero=True),
        relative(1 / 3 + 1e-6, -6, 4.0),
        unbiased=PowerOfTwo((-6, 2), "stochastic", zero=True),
    ),
    Row(PowerOfTwo((-3, -3), gradient="truncated"), relative(0.4143, -3, 0.125)),
    Row(Wrpn(2), clipped_half_step(1.0)),
    Row(Wrpn(8), clipped_half_step(1 / 127)),
    # tanh bends numbers of the format, so that it is no rounding of them; and it moves them by itself.
    Row(DoReFa(4), lambda f, t, e: 1 / 15 + (t - t.tanh() / t.tanh().abs().amax()).abs(), idempotent=False),
    Row(DoReFa(1), unlimited, constant=True),
]
EVERY = pytest.mark.parametrize("row", ROWS, ids=lambda row: repr(row.form))
SHAPES = [(6, 5, 3, 3), (300,), (1, 1)]
DRAWS = 300


def tensor_of(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return (0.7 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))).to(dtype)


def fit_for(row: Row, tensor: torch.Tensor) -> torch.Tensor:
    """A second axis for the format that has a scale along it."""
    granularity = getattr(row.form, "granularity", None)
    return tensor.reshape(1, -1) if isinstance(granularity, PerAxis) and tensor.dim() < 2 else tensor


def test_every_format_has_a_row():
    kinds = {Uniform, Affine, Clipped, DynamicFixedPoint, Codebook, Ternary, PowerOfTwo, Wrpn, DoReFa}
    assert {type(row.form) for row in ROWS} == kinds
    assert kinds == {type(row.form) for row in ROWS if isinstance(row.form, Format)}


def test_every_format_of_activations_has_a_grid():
    for row in ROWS:
        assert ("activations" in row.form.supports) == isinstance(row.form, Ranged)


@EVERY
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_codes_are_few_and_in_the_tensors_shape(row, shape):
    encoded = row.form.encode(fit_for(row, tensor_of(*shape)))
    assert encoded.shape == fit_for(row, tensor_of(*shape)).shape
    assert not encoded.codes.is_floating_point()
    assert row.form.codes.start <= int(encoded.codes.min()) and int(encoded.codes.max()) < row.form.codes.stop
    assert len(row.form.codes) <= 2**row.form.bits
    assert len(row.form.codes) > 2 ** (row.form.bits - 1)


@EVERY
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_error_is_within_the_bound(row, shape):
    tensor = fit_for(row, tensor_of(*shape))
    encoded = row.form.encode(tensor)
    bound = row.bound(row.form, tensor, encoded)
    assert ((row.form.decode(encoded) - tensor).abs() <= bound * 1.0001 + 1e-6).all()


@pytest.mark.parametrize("row", [row for row in ROWS if row.idempotent], ids=lambda row: repr(row.form))
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numbers_of_the_format_stay_what_they_are(row, shape):
    form = row.form
    first = form.encode(fit_for(row, tensor_of(*shape)))
    again = form.encode(form.decode(first), first.table)
    assert torch.equal(again.codes, first.codes)
    assert torch.equal(form.decode(again), form.decode(first))
    if row.remeasured:
        measured = form.encode(form.decode(first))
        torch.testing.assert_close(form.decode(measured), form.decode(first), atol=1e-6, rtol=1e-5)


def test_the_one_that_is_not_idempotent_could_not_be():
    form = DoReFa(4)
    first = form.decode(form.encode(torch.tensor([5.0, 0.94])))
    assert not torch.equal(form.decode(form.encode(first)), first)


@EVERY
def test_training_uses_what_is_stored(row):
    tensor = tensor_of(6, 5, 3, 3).requires_grad_()
    table = row.form.initial_table(tensor) if isinstance(row.form, Learned) else {}
    used = straight_through(row.form, tensor, table)
    assert torch.equal(used, row.form.decode(row.form.encode(tensor.detach(), table)))
    if "weights" in row.form.supports:
        attached = WeightFormat(row.form, {name: entry.detach() for name, entry in table.items()})
        assert torch.equal(attached(tensor), row.form.decode(attached.encode(tensor)))


@EVERY
@pytest.mark.parametrize("shape", [(), (7,), (6, 5), (40, 13), (2, 3, 0)])
def test_what_is_kept_has_the_shapes_that_are_known_before(row, shape):
    if not isinstance(row.form, Learned) or (not shape and row.form.granularity == PerAxis(1)):
        return
    start = row.form.initial_table(torch.rand(shape))
    assert {name: tuple(entry.shape) for name, entry in start.items()} == row.form.table_shapes(shape)
    assert set(row.form.learned) <= set(start)


@EVERY
def test_the_layout_of_the_tensor_stays_and_changes_no_number(row):
    tensor = tensor_of(6, 5, 3, 3)
    last = tensor.to(memory_format=torch.channels_last).requires_grad_()
    used = straight_through(row.form, last, {})
    assert used.stride() == last.stride()
    assert torch.equal(used, straight_through(row.form, tensor, {}))
    one = tensor_of(6, 1, 3, 3).to(memory_format=torch.channels_last).requires_grad_()
    assert straight_through(row.form, one, {}).stride() == one.stride()


@EVERY
def test_a_gradient_reaches_what_learns(row):
    tensor = (0.3 * tensor_of(40, 13)).requires_grad_()
    table = {}
    if isinstance(row.form, Learned):
        table = {name: entry.requires_grad_() for name, entry in row.form.initial_table(tensor.detach()).items()}
    straight_through(row.form, tensor, table).square().sum().backward()
    learns, trains = getattr(row.form, "learned", ()), getattr(row.form, "trains_weights", True)
    for name in learns:
        assert table[name].grad is not None and table[name].grad.isfinite().all() and table[name].grad.any()
    assert (tensor.grad is not None) == trains
    if trains:
        assert tensor.grad.isfinite().all()
        assert tensor.grad.any()


@EVERY
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_what_comes_out_has_the_type_that_went_in(row, dtype):
    tensor = tensor_of(40, 13, dtype=dtype)
    encoded = row.form.encode(tensor)
    assert row.form.decode(encoded).dtype == dtype
    large = row.form.encode(tensor.float() if dtype != torch.float64 else tensor)
    assert torch.equal(encoded.codes, large.codes)
    used = straight_through(row.form, tensor.requires_grad_(), {})
    assert used.dtype == dtype and torch.equal(used, row.form.decode(encoded))


@EVERY
@pytest.mark.parametrize("shape", [(0,), (0, 4), (3, 0)], ids=str)
def test_nothing_becomes_nothing(row, shape):
    tensor = fit_for(row, torch.zeros(shape))
    decoded = row.form.decode(row.form.encode(tensor))
    assert decoded.shape == tensor.shape and decoded.dtype == tensor.dtype


@EVERY
@pytest.mark.parametrize("value", [0.0, 0.3, -0.3, 1e-35], ids=str)
def test_a_constant_tensor_gives_numbers(row, value):
    tensor = torch.full((40, 13), value)
    decoded = row.form.decode(row.form.encode(tensor))
    assert decoded.isfinite().all()
    assert len(decoded.unique()) == 1
    if row.constant and value == 0.3:
        torch.testing.assert_close(decoded, tensor, rtol=1e-6, atol=0)


@EVERY
@pytest.mark.parametrize("scale", [1e-20, 1e20], ids=str)
def test_sizes_far_from_one_give_numbers(row, scale):
    decoded = row.form.decode(row.form.encode(scale * tensor_of(40, 13)))
    assert decoded.isfinite().all()


@EVERY
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf], ids=str)
def test_numbers_that_are_none_are_refused(row, bad):
    tensor = tensor_of(40, 13)
    tensor[3, 4] = bad
    with pytest.raises(BadInput, match=r"tensor of \w+ must be finite everywhere; got 1 of 520 values .* Repair"):
        row.form.encode(tensor)
    with pytest.raises(BadInput, match=r"of floating-point numbers; got 'torch.int64'"):
        row.form.encode(torch.zeros(4, 4, dtype=torch.int64))


@EVERY
def test_the_table_is_as_large_as_it_says(row):
    for shape in ((6, 5, 3, 3), (40, 13)):
        assert row.form.encode(tensor_of(*shape)).table_bytes == row.form.table_bytes(shape)


@EVERY
def test_it_changes_nothing_of_what_it_is_given(row):
    tensor = tensor_of(40, 13)
    encoded = row.form.encode(tensor)
    remaining = {name: entry.clone() for name, entry in encoded.table.items()}, encoded.codes.clone()
    row.form.decode(encoded)
    straight_through(row.form, tensor.requires_grad_(), dict(encoded.table))
    assert torch.equal(tensor, tensor_of(40, 13))
    assert torch.equal(encoded.codes, remaining[1])
    assert all(torch.equal(entry, remaining[0][name]) for name, entry in encoded.table.items())


@EVERY
def test_rounding_by_chance_is_right_on_average(row):
    if row.unbiased is None:
        assert getattr(row.form, "rounding", "") != "stochastic"
        return
    form, tensor = row.unbiased, tensor_of(8, 25)
    torch.manual_seed(0)
    draws = torch.stack([form.decode(form.encode(tensor)) for _ in range(DRAWS)])
    assert draws.std(0).amax() > 0
    # Five standard errors of the value that varies most: by chance alone one in a million.
    assert ((draws.mean(0) - tensor).abs() <= 5 * draws.std(0).amax() / DRAWS**0.5).all()
    assert isinstance(form, Random) and form.deterministic().rounding != "stochastic"
    once, twice = (form.deterministic().encode(tensor).codes for _ in range(2))
    assert torch.equal(once, twice)


@EVERY
def test_settings_are_values(row):
    assert replace(row.form) == row.form and hash(replace(row.form)) == hash(row.form)
    assert eval(repr(row.form), {**globals(), "PerAxis": PerAxis}) == row.form


def artifact(kind: Any, **settings: Any) -> Any:
    """A format as a program makes it whose types nobody checks: the tests' own check would come first."""
    form = object.__new__(kind)
    for each in fields(kind):
        object.__setattr__(form, each.name, settings.get(each.name, each.default))
    form.__post_init__()
    return form


@pytest.mark.parametrize(
    "kind, settings, lowest",
    [
        (Uniform, {}, 1),
        (Uniform, {"scaling": "absmax"}, 2),
        (Affine, {}, 1),
        (Affine, {"symmetric": True}, 2),
        (Clipped, {}, 1),
        (DynamicFixedPoint, {}, 2),
        (Codebook, {}, 1),
        (Wrpn, {}, 2),
        (DoReFa, {}, 1),
    ],
)
def test_bits_that_there_are_not_are_refused(kind, settings, lowest):
    assert kind(bits=lowest, **settings).bits == lowest and kind(bits=16, **settings).bits == 16
    for bits in (lowest - 1, 17, 2.5, True):
        with pytest.raises(BadInput, match=rf"bits of \w+ must be a whole number from {lowest} to 16; got .*usual\."):
            artifact(kind, bits=bits, **settings)


@pytest.mark.parametrize(
    "kind, settings, message",
    [
        (Uniform, {"scaling": "linaer"}, "scaling of Uniform .* Did you mean 'linear'"),
        (Uniform, {"rounding": "up"}, "rounding of Uniform"),
        (Uniform, {"gradient": "exakt"}, "Did you mean 'exact'"),
        (Affine, {"range": "maks"}, "range of Affine must be one of max, percentile, mse; got 'maks'"),
        (Affine, {"percentile": 40.0}, "percentile of Affine must be above 50"),
        (Clipped, {"range": "all"}, "range of Clipped"),
        (DynamicFixedPoint, {"fraction": 99}, "fraction of DynamicFixedPoint"),
        (DynamicFixedPoint, {"rounding": "down"}, "rounding of DynamicFixedPoint"),
        (PowerOfTwo, {"exponents": (0, -7)}, "exponents of PowerOfTwo must be a lowest and a highest"),
        (PowerOfTwo, {"rounding": "ln"}, "rounding of PowerOfTwo"),
        (PowerOfTwo, {"gradient": "exact"}, "gradient of PowerOfTwo"),
        (Ternary, {"scale": "ttq"}, "scale of Ternary must be 'twn' or 'learned'"),
        (Ternary, {"threshold": -1.0}, "threshold of Ternary"),
        (Codebook, {"init": "even"}, "init of Codebook"),
        (Codebook, {"trains": "codebooks"}, "Did you mean 'codebook'"),
        (Codebook, {"levels": 1}, "levels of Codebook must be from 2"),
        (Codebook, {"levels": 3, "points": (0.0, 1.0)}, "left out where points are given"),
        (Codebook, {"points": (0.0, float("nan"))}, "points of Codebook"),
        (PerGroup, {"group_size": 0}, "group_size of PerGroup must be at least 1"),
    ],
)
def test_settings_that_there_are_not_are_refused(kind, settings, message):
    with pytest.raises(BadInput, match=message):
        artifact(kind, **settings)


def test_an_axis_that_there_is_not_is_refused():
    with pytest.raises(BadInput, match=r"axis of PerAxis must be an axis of a tensor of shape \(3, 3\); got 2"):
        Uniform(4, PerAxis(2)).encode(torch.zeros(3, 3))
