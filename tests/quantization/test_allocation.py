"""Points and bits by gradients, and points that all tensors share."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from attar.errors import BadInput
from attar.network.weights import digest, load_weights, save_weights
from attar.ops.granularity import PerTensor
from attar.quantization.allocation import MOST_BITS, allocate, allocate_bits, gradient_norms
from attar.quantization.attach import encode, formats, train_codebooks_only_
from attar.quantization.formats.codebook import Codebook
from attar.quantization.formats.ternary import Ternary
from attar.quantization.formats.uniform import Uniform
from attar.quantization.quantize import quantize
from attar.quantization.sharing import share_codebook_

NORMS = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=3), st.floats(0, 1e9, allow_subnormal=True), min_size=1, max_size=12
)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Dropout(0.5), nn.Linear(7, 3)).train()


def batches(count: int = 3) -> list[tuple[Tensor, Tensor]]:
    draws = torch.Generator().manual_seed(1)
    return [(torch.randn(8, 5, generator=draws), torch.randint(0, 3, (8,), generator=draws)) for _ in range(count)]


# -- sharing out -------------------------------------------------------------------------------------------------------


@given(norms=NORMS, mean=st.integers(4, 40), over=st.integers(0, 60))
def test_the_mean_is_exact_and_the_limits_hold(norms: Mapping[str, float], mean: int, over: int) -> None:
    least, most = mean // 2, mean + over
    given_ = allocate(norms, mean, least, most)
    assert list(given_) == list(norms)
    assert sum(given_.values()) == mean * len(norms)
    assert all(least <= number <= most for number in given_.values())


@given(norms=NORMS, mean=st.integers(4, 40))
def test_a_longer_gradient_never_gets_less_than_a_shorter_one_by_more_than_rounding(
    norms: Mapping[str, float], mean: int
) -> None:
    given_ = allocate(norms, mean, mean // 2, 256)
    rising = sorted(norms, key=lambda name: norms[name])
    assert all(given_[high] >= given_[low] - 1 for low, high in itertools.pairwise(rising))


def test_shares_are_in_proportion() -> None:
    # 4 each, and of the other 12 a sixth, two sixths, three sixths.
    assert allocate({"a": 1.0, "b": 2.0, "c": 3.0}, 8, 4, 256) == {"a": 6, "b": 8, "c": 10}
    assert allocate({"a": 0.0, "b": 0.0}, 8, 4, 256) == {"a": 8, "b": 8}


def test_what_one_tensor_cannot_take_goes_to_the_others() -> None:
    assert allocate({"a": 1e9, "b": 1.0, "c": 1.0}, 8, 4, 10) == {"a": 10, "b": 7, "c": 7}


@pytest.mark.parametrize(
    ("norms", "mean", "least", "most"),
    [({}, 4, 2, 8), ({"a": -1.0}, 4, 2, 8), ({"a": math.nan}, 4, 2, 8), ({"a": 1.0}, 1, 2, 8), ({"a": 1.0}, 9, 2, 8)],
)
def test_what_cannot_be_shared_out_is_refused(norms: dict[str, float], mean: int, least: int, most: int) -> None:
    with pytest.raises(BadInput, match="allocate"):
        allocate(norms, mean, least, most)


# -- gradients ---------------------------------------------------------------------------------------------------------


def test_norms_are_those_of_the_mean_gradient() -> None:
    net, message = network(), batches()
    before, modes = digest(net), [layer.training for layer in net.modules()]
    norms = gradient_norms(net, message, functional.cross_entropy, ["0.weight", "4.weight"])
    assert digest(net) == before
    assert [layer.training for layer in net.modules()] == modes
    assert all(parameter.grad is None for parameter in net.parameters())
    still = copy.deepcopy(net).eval()
    # Equal batches: the mean of the gradients is the gradient of all examples together.
    functional.cross_entropy(still(torch.cat([x for x, _ in message])), torch.cat([y for _, y in message])).backward()
    for name, parameter in still.named_parameters():
        if name in norms:
            assert parameter.grad is not None
            assert norms[name] == pytest.approx(float(parameter.grad.norm()), rel=1e-5)


def test_gradients_come_also_where_weights_are_frozen_and_where_autograd_is_off() -> None:
    net = network().requires_grad_(False)
    with torch.no_grad():
        norms = gradient_norms(net, batches(), functional.cross_entropy, ["4.weight"])
    assert norms["4.weight"] > 0
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_no_batch_and_no_number_are_refused() -> None:
    with pytest.raises(BadInput, match="batches"):
        gradient_norms(network(), [], functional.cross_entropy, ["0.weight"])
    with pytest.raises(BadInput, match=r"0\.weight"):
        gradient_norms(network(), batches(), lambda output, _: output.sum() * math.inf, ["0.weight"])


# -- formats -----------------------------------------------------------------------------------------------------------


def test_points_are_shared_out_and_every_tensor_has_half_of_them_at_least() -> None:
    norms = gradient_norms(network(), batches(), functional.cross_entropy, ["0.weight", "4.weight"])
    chosen = allocate_bits(network(), Codebook(bits=6), batches(), functional.cross_entropy)
    counts = {name: len(form.codes) for name, form in chosen.items()}
    assert sum(counts.values()) == 128
    assert min(counts.values()) >= 32
    assert max(counts, key=counts.__getitem__) == max(norms, key=norms.__getitem__)
    assert len(set(counts.values())) == 2
    attached = quantize(network(), weights=chosen)
    assert {name: len(form.codes) for name, form in formats(attached).items()} == counts
    for name, codes in encode(attached).items():
        assert int(codes.codes.max()) < len(chosen[name].codes)


def test_bits_are_shared_out_and_every_tensor_has_one_less_at_least() -> None:
    chosen = allocate_bits(network(), Uniform(bits=4), batches(), functional.cross_entropy, skip=["0"])
    assert {name: form.bits for name, form in chosen.items()} == {"4.weight": 4}
    both = allocate_bits(network(), Uniform(bits=4), batches(), functional.cross_entropy)
    assert sorted(form.bits for form in both.values()) in ([3, 5], [4, 4])
    assert max(form.bits for form in both.values()) <= MOST_BITS


@pytest.mark.parametrize("form", [Ternary(), Codebook(points=(0.0, 1.0))])
def test_formats_without_a_number_of_points_are_refused(form: Ternary | Codebook) -> None:
    with pytest.raises(BadInput, match="allocate_bits"):
        allocate_bits(network(), form, batches(), functional.cross_entropy)


# -- shared points -----------------------------------------------------------------------------------------------------


def points_of(student: nn.Module) -> list[Tensor]:
    return [codes.table["points"] for codes in encode(student).values()]


@pytest.mark.parametrize("init", ["quantile", "uniform"])
def test_shared_points_are_one_parameter_that_begins_on_all_weights(init: str) -> None:
    form = Codebook(bits=2, init=init, granularity=PerTensor())
    student = share_codebook_(quantize(network(), weights=form))
    learned = [parameter for name, parameter in student.named_parameters() if name.endswith("points")]
    assert len(learned) == 1
    scaled = torch.cat(
        [((w - w.min()) / (w.max() - w.min())).flatten() for w in (network()[0].weight, network()[4].weight)]
    )
    even = torch.linspace(0, 1, 4)
    torch.testing.assert_close(learned[0].detach(), scaled.quantile(even).detach() if init == "quantile" else even)
    assert all(torch.equal(points, learned[0].detach()) for points in points_of(student))


def test_the_gradient_of_shared_points_is_the_sum_of_those_of_the_tensors() -> None:
    form = Codebook(bits=2)
    apart, together = (quantize(network(), weights=form) for _ in range(2))
    share_codebook_(together)
    points = next(p for name, p in together.named_parameters() if name.endswith("points"))
    with torch.no_grad():
        for name, parameter in apart.named_parameters():
            if name.endswith("points"):
                parameter.copy_(points)
    inputs, labels = batches()[0]
    for student in (apart, together):
        functional.cross_entropy(train_codebooks_only_(student).eval()(inputs), labels).backward()
    total = sum(p.grad for name, p in apart.named_parameters() if name.endswith("points") and p.grad is not None)
    assert points.grad is not None
    torch.testing.assert_close(points.grad, total)


def test_shared_points_stay_shared_through_a_copy_and_a_file(tmp_path: Path) -> None:
    student = share_codebook_(quantize(network(), weights=Codebook(bits=2)))
    save_weights(student, tmp_path / "weights.safetensors")
    again = load_weights(copy.deepcopy(student), tmp_path / "weights.safetensors")
    learned = [parameter for name, parameter in again.named_parameters() if name.endswith("points")]
    assert len(learned) == 1
    with torch.no_grad():
        learned[0].copy_(torch.tensor([0.0, 0.25, 0.5, 1.0]))
    assert all(torch.equal(points, learned[0].detach()) for points in points_of(again))


def test_points_that_differ_or_are_not_there_are_not_shared() -> None:
    with pytest.raises(BadInput, match="share_codebook_"):
        share_codebook_(quantize(network(), weights={"0": Codebook(bits=2), "4": Codebook(bits=3)}))
    with pytest.raises(BadInput, match="share_codebook_"):
        share_codebook_(quantize(network(), weights=Uniform()))
