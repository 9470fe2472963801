"""The edit that takes layers out and gives others other sizes: plain data, the same each time, at a bounded cost."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from attar.errors import BadInput
from attar.network.copying import copied, without_memory
from attar.pruning.passed import Passed, Zeros
from attar.pruning.resize import Resize

SMALLER = Resize(
    removed=("1",),
    numbers={"0.out_features": 2, "2.in_features": 2},
    shapes={"0.weight": (2, 3), "0.bias": (2,), "2.weight": (1, 2)},
)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def test_layers_go_and_others_get_other_sizes() -> None:
    module = SMALLER.apply(network())
    assert isinstance(module[1], Passed) and module[0].out_features == module[2].in_features == 2
    inputs = torch.rand(5, 3)
    torch.testing.assert_close(module(inputs), module[2](module[0](inputs)))
    assert torch.equal(Resize(zeroed=("1",)).apply(network())(inputs), network()[2].bias.detach().expand(5, 1))
    assert isinstance(Resize(zeroed=("1",)).apply(network())[1], Zeros)


def test_it_survives_json_and_needs_no_memory() -> None:
    document = json.loads(json.dumps(SMALLER.to_json()))
    assert Resize.from_json(document) == SMALLER
    module = SMALLER.apply(without_memory(network()))
    assert {name: tuple(one.shape) for name, one in module.named_parameters()} == {
        "0.weight": (2, 3),
        "0.bias": (2,),
        "2.weight": (1, 2),
        "2.bias": (1,),
    }
    assert all(one.is_meta for one in module.parameters())


def test_a_layer_that_several_modules_share_goes_everywhere() -> None:
    act = nn.Tanh()
    module = nn.ModuleDict({"a": nn.Sequential(nn.Linear(2, 2), act), "b": nn.Sequential(nn.Linear(2, 2), act)})
    Resize(removed=("a.1",)).apply(module)
    assert isinstance(module["a"][1], Passed) and isinstance(module["b"][1], Passed)


def test_a_layer_that_wrote_over_its_inputs_leaves_them_to_the_one_before() -> None:
    """ReLU needs its outputs for the gradient, and Hardtanh behind it would write over them."""
    network = nn.Sequential(
        nn.Linear(3, 3), nn.ReLU(inplace=True), nn.Linear(3, 3), nn.Hardtanh(inplace=True), nn.Linear(3, 1)
    )
    edited = Resize(removed=("2",)).apply(network)
    edited(torch.randn(4, 3)).sum().backward()
    assert edited[0].weight.grad is not None
    kept = Resize(numbers={"0.in_features": 2}, shapes={"0.weight": (3, 2)}).apply(
        nn.Sequential(nn.Linear(3, 3), nn.ReLU(True))
    )
    assert kept[1].inplace  # of a network that loses no layer nothing else changes


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("gone", ["self_attn", "norm1", "linear1", "dropout"])
def test_any_layer_of_torchs_encoder_can_go(gone: str, norm_first: bool) -> None:
    encoder = nn.TransformerEncoderLayer(6, 2, 6, batch_first=True, norm_first=norm_first)
    module = Resize(removed=(gone,)).apply(encoder).eval()
    inputs = torch.rand(2, 3, 6)
    with torch.no_grad():
        assert module(inputs).shape == inputs.shape
    if gone == "self_attn" and norm_first:
        seen = inputs + module.norm1(inputs)
        torch.testing.assert_close(
            module(inputs), seen + module.linear2(torch.relu(module.linear1(module.norm2(seen))))
        )


def test_attention_of_fewer_heads_begins_with_new_weights() -> None:
    attention = nn.Sequential(nn.MultiheadAttention(8, 4, batch_first=True))
    fewer = Resize(
        numbers={"0.num_heads": 1, "0.out_proj.in_features": 2},
        shapes={"0.in_proj_weight": (6, 8), "0.in_proj_bias": (6,), "0.out_proj.weight": (8, 2)},
    )
    layer = fewer.apply(attention)[0]
    inputs = torch.rand(1, 5, 8)
    assert layer(inputs, inputs, inputs)[0].shape == inputs.shape
    assert bool((layer.in_proj_weight != 0).all()) and not bool(layer.in_proj_bias.any())


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Resize(removed=("7",)), "removed of Resize must be names of the network's layers; got '7'"),
        (Resize(zeroed=("",)), "removed of Resize must be names of the network's layers; got ''"),
        (Resize(numbers={"0.width": 2}), "numbers of Resize must be names of whole numbers that"),
        (Resize(numbers={"0.in_features": (2,)}), "numbers of Resize must be names of whole numbers that"),
        (Resize(numbers={"0.training": 1}), "numbers of Resize must be names of whole numbers that"),
        (Resize(numbers={"3.depth": 9}), "number '3.depth' of Resize must be no more than 2, which it is; got 9"),
        (Resize(shapes={"0.weights": (2, 3)}), "shapes of Resize must be names of the network's tensors; got '0.weigh"),
        (Resize(shapes={"0.bias": (2, 3)}), r"shape '0.bias' of Resize must be as many sizes as its shape \(4,\) has"),
        (Resize(shapes={"4.weight": (2, 2)}), "shapes of Resize must be names of tensors that one layer has alone"),
        (Resize(shapes={"6.weight": (2, 2)}), "names of tensors that no number format or other parametrization is"),
    ],
)
def test_what_a_network_has_not_is_a_sentence_and_changes_nothing(edit: Resize, message: str) -> None:
    module = network()
    counting, tied, again = nn.Identity(), nn.Linear(2, 2), nn.Linear(2, 2)
    counting.depth = 2
    again.weight = tied.weight
    module.extend([counting, tied, again, weight_norm(nn.Linear(2, 2))])
    before = copied(module)
    with pytest.raises(BadInput, match=message) as caught:
        Resize(("1",), (), edit.numbers, edit.shapes).apply(module) if edit.numbers or edit.shapes else edit.apply(
            module
        )
    assert "\n" not in str(caught.value) and str(module) == str(before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"more": 1}, "resize of the spec must be names of layers that are removed and zeroed"),
        ({"removed": "1"}, "removed and zeroed of the spec must be lists of different names of layers"),
        ({"zeroed": ["1"]}, "removed and zeroed of the spec must be lists of different names of layers"),
        ({"numbers": []}, "numbers and shapes of the spec must be tables by name"),
        ({"numbers": {"0.in_features": True}}, "number '0.in_features' of the spec must be whole numbers from 0 to"),
        ({"numbers": {"0.in_features": -1}}, "number '0.in_features' of the spec must be whole numbers from 0 to"),
        ({"shapes": {"0.weight": [0, 3]}}, "shape '0.weight' of the spec must be whole numbers from 1 to 16777216"),
        ({"shapes": {"0.weight": []}}, "shape '0.weight' of the spec must be whole numbers from 1 to 16777216"),
        ({"shapes": {"0.weight": [2**24] * 9}}, "shape '0.weight' of the spec must be whole numbers from 1 to"),
    ],
)
def test_documents_of_another_form_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        Resize.from_json(SMALLER.to_json() | change)
    assert "\n" not in str(caught.value)
