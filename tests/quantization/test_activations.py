"""What goes into layers: ranges measured once, rounding and gradients as the formats say."""

import copy

import pytest
import torch
from torch import nn

from attar.errors import BadInput
from attar.network.architectures import convnet
from attar.ops.granularity import PerAxis
from attar.quantization.activations import InputFormat
from attar.quantization.attach import dequantize, formats, input_formats
from attar.quantization.format import straight_through
from attar.quantization.formats.affine import Affine
from attar.quantization.formats.clipped import Clipped
from attar.quantization.formats.fixed_point import DynamicFixedPoint
from attar.quantization.formats.uniform import Uniform
from attar.quantization.quantize import quantize

FORMS = [
    Affine(4),
    Affine(8, symmetric=True),
    Affine(4, range="percentile", percentile=99.0),
    Affine(4, range="mse"),
    Clipped(2),
    Clipped(8, range="max"),
    DynamicFixedPoint(8),
    DynamicFixedPoint(4, fraction=2),
    DynamicFixedPoint(4, range="mse"),
    DynamicFixedPoint(4, fraction=2, rounding="stochastic"),
]
EVERY = pytest.mark.parametrize("form", FORMS, ids=repr)


def network() -> nn.Module:
    torch.manual_seed(0)
    return convnet(classes=3, widths=[4, 5], pools=[2, 1], hidden=[6], side=8)  # layers 0, 4, 8 and 10 have weights


def images(count: int = 16) -> torch.Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@EVERY
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_fast_way_is_the_formats_own(form, dtype):
    attached = InputFormat(form)
    sample = images()
    if form.needs_calibration:
        attached.calibrate_(sample)
    inputs = (1.5 * images(4)).to(dtype).requires_grad_()
    pull = torch.randn(inputs.shape, generator=torch.Generator().manual_seed(2)).to(dtype)
    torch.manual_seed(3)
    out = attached(inputs)
    torch.manual_seed(3)
    expected = straight_through(form, inputs, attached.table)
    assert out.dtype == dtype and torch.equal(out, expected)
    ours, theirs = (torch.autograd.grad(each, inputs, pull)[0] for each in (out, expected))
    assert torch.equal(ours, theirs) and ours.any()


@EVERY
def test_layers_see_rounded_inputs(form):
    small = quantize(network(), activations=form, calibration=images()).eval()
    seen: list[torch.Tensor] = []
    # After the hook that rounds, as it is registered later.
    small[8].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    small(images())
    rounded = small[8].input_format.deterministic
    assert torch.equal(seen[0], rounded.decode(rounded.encode(seen[0], small[8].input_format.table)))
    assert len(seen[0].unique()) <= 2**form.bits


def test_ranges_are_of_what_comes_when_the_weights_are_quantized():
    student = network().eval()
    small = quantize(student, weights=Uniform(2), activations=Affine(8), calibration=[images()[:8], images()[8:]])
    dequantized = dequantize(small)
    for place in (0, 4, 8, 10):
        came = dequantized[:place](images()) if place else images()
        table = Affine(8).calibrate(came)
        torch.testing.assert_close(small[place].input_format.table, table)
    assert not formats(student) and not hasattr(student[0], "input_format")


def test_a_calibration_leaves_no_trace_on_the_network():
    student = network().train()
    before = copy.deepcopy(student.state_dict())
    small = quantize(student, activations=Affine(4), calibration=images())
    assert small.training and small[1].training
    for name, tensor in before.items():
        assert torch.equal(small.state_dict()[name], tensor)
    assert torch.is_grad_enabled() and all(p.grad is None for p in small.parameters())


def test_many_values_are_thinned_evenly_and_the_range_is_still_near():
    draw = torch.Generator().manual_seed(0)
    batches = [torch.randn(300_000, 1, generator=draw) for _ in range(6)]
    every = torch.cat(batches)
    for form in (Affine(8), Affine(8, range="percentile", percentile=99.0)):
        small = quantize(nn.Linear(1, 1), activations=form, calibration=batches)
        expected = form.calibrate(every)["scale"]
        close = 0.0 if form.range == "max" else 0.02
        torch.testing.assert_close(small.input_format.scale, expected, rtol=close, atol=0)


def test_the_range_is_kept_with_the_weights():
    small = quantize(network(), activations=Affine(4), calibration=images())
    other = quantize(network(), activations=Affine(4), calibration=3 * images())
    assert not torch.equal(other[0].input_format.scale, small[0].input_format.scale)
    other.load_state_dict(small.state_dict())
    assert torch.equal(other.eval()(images()), small.eval()(images()))


def test_skipped_layers_and_patterns_count_for_inputs_too():
    small = quantize(network(), weights=Uniform(4), activations=Clipped(), skip=["first", "last"])
    assert list(input_formats(small)) == ["4", "8"]
    small = quantize(network(), activations={"8": Clipped(2), "*": Clipped(8)})
    assert input_formats(small) == {"0": Clipped(8), "4": Clipped(8), "8": Clipped(2), "10": Clipped(8)}
    assert not formats(small)
    both = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2))
    assert list(input_formats(quantize(both, activations=Clipped()))) == ["1"]


def test_what_is_missing_is_said():
    with pytest.raises(
        BadInput, match=r"calibration of quantize must be given, as Affine.* measures its range; got None"
    ):
        quantize(network(), activations=Affine())
    with pytest.raises(BadInput, match=r"calibration of quantize must be inputs that reach layer '0'"):
        quantize(network(), activations=Affine(), calibration=[])


def test_a_value_that_is_none_is_not_hidden():
    small = quantize(network(), activations=Clipped(2)).eval()
    inputs = images()
    inputs[3, 0, 1, 1] = torch.nan
    lost = small(inputs).isnan()
    assert lost[3].all() and not lost[:3].any() and not lost[4:].any()


@pytest.mark.parametrize("range_", ["percentile", "mse"])
def test_a_range_is_that_of_whole_pictures(range_):
    # All that there is is far from the first columns; 2**20 and more values are thinned.
    pictures = torch.zeros(80, 16, 32, 32)
    pictures[..., 20:28] = torch.rand(80, 16, 32, 8, generator=torch.Generator().manual_seed(0))
    form = Affine(8, range=range_)
    small = quantize(nn.Sequential(nn.Conv2d(16, 2, 1)), activations=form, calibration=pictures)
    expected = form.calibrate(pictures)
    torch.testing.assert_close(small[0].input_format.scale, expected["scale"], rtol=0.02, atol=0)


@pytest.mark.parametrize("spoiled", [torch.nan, torch.inf, 0.0])
def test_what_no_range_comes_from_is_said_with_its_layer(spoiled):
    bad = images()
    bad[:] = spoiled
    with pytest.raises(BadInput, match=r"calibration of quantize must be finite, .*layer '0'; got values from"):
        quantize(network(), activations=Affine(8), calibration=bad)


def test_inputs_have_one_range():
    with pytest.raises(BadInput, match=r"granularity of quantize, activations must be the whole tensor.*PerAxis"):
        quantize(network(), activations=Affine(8, PerAxis(0)), calibration=images())


def test_inputs_are_given_by_their_place():
    small = quantize(nn.Linear(2, 1), activations=Clipped(8))
    with pytest.raises(BadInput, match=r"inputs of forward must be given by their place to Linear"):
        small(input=torch.ones(1, 2))
    with pytest.raises(BadInput, match=r"one whose only input is its first argument; got 'Bilinear'"):
        quantize(nn.Bilinear(2, 2, 1), activations=Clipped(8))


def test_a_fixed_range_is_where_its_layer_is():
    small = quantize(nn.Linear(2, 1, device="meta"), activations=Clipped(8))
    assert {entry.device.type for entry in small.input_format.table.values()} == {"meta"}
