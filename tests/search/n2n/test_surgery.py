"""From actions to networks: each can be computed and built again, or there is a reason why there is none."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks_to_shrink import ANY_SIZE, IMAGE, NETWORKS, described, noise
from torch import nn

from attar.errors import BadInput
from attar.models.fresh import fresh
from attar.models.model import load_model, save_model
from attar.network.spec import Spec
from attar.search.n2n.describe import describe
from attar.search.n2n.layers import PAPER, Invalid, Layers, Rules
from attar.search.n2n.surgery import student


def without(layers: Layers, *names: str, shares: dict[str, float] | None = None) -> Spec | Invalid:
    assert {*names} <= {state.name for state in layers.states}
    keep = [state.name not in names for state in layers.states]
    return student(layers, keep, [(shares or {}).get(state.name, 1.0) for state in layers.states])


def network(found: Spec | Invalid) -> nn.Module:
    assert isinstance(found, Spec), found
    return fresh(found, 0).module.eval()


def shapes(found: Spec | Invalid) -> dict[str, tuple[int, ...]]:
    return {name: tuple(one.shape) for name, one in network(found).named_parameters()}


def parameters(module: nn.Module) -> int:
    return sum(one.numel() for one in module.parameters())


@pytest.mark.parametrize("name", NETWORKS)
def test_each_removable_layer_can_go_alone(name: str) -> None:
    layers = described(name)
    removable = [state.name for state in layers.states if state.removable]
    assert removable
    for one in removable:
        module = network(without(layers, one))
        assert module(layers.example).shape == layers.output
        assert one not in {left for left, inner in module.named_modules() if any(True for _ in inner.parameters())}


@pytest.mark.parametrize("name", NETWORKS)
def test_to_keep_all_is_the_teachers_own_network(name: str) -> None:
    layers = described(name)
    assert without(layers) == layers.spec
    found = student(replace(layers, rules=Rules()), [True] * len(layers.states))
    count = f"{layers.parameters:,}"
    assert found == Invalid(f"The network has {count} parameters, and is no smaller than its teacher of {count}.")


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=8)
@given(data=st.data())
def test_any_actions_give_a_network_or_a_reason(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    layers = replace(described(name), rules=data.draw(st.sampled_from([ANY_SIZE, Rules()])))
    count = len(layers.states)
    removes = data.draw(st.sampled_from([True, True, False]))
    keep = data.draw(st.lists(st.booleans(), min_size=count, max_size=count)) if removes else [True] * count
    some = st.sampled_from([0.25, 0.5, 0.9, 1.0])
    shares = [] if removes else data.draw(st.lists(some, min_size=count, max_size=count))
    kernels = data.draw(st.lists(some, min_size=count, max_size=count)) if removes else []
    found = student(layers, keep, shares, kernels)
    if isinstance(found, Invalid):
        assert found.reason[0].isupper() and found.reason.endswith(".")
        return
    model = fresh(found, 3)
    module = model.module.eval()
    outputs = module(layers.example)
    assert outputs.shape == layers.output and bool(outputs.isfinite().all())
    assert layers.rules.smaller is False or parameters(module) < layers.parameters
    folder = tmp_path_factory.mktemp("model")
    save_model(model, folder)
    read = load_model(folder, allow=("attar", "networks_to_shrink"))
    assert read.spec.to_json() == found.to_json()
    assert torch.equal(read.module(layers.example), outputs)
    assert parameters(read.module) == parameters(module)


def test_removal_and_shares_count_together() -> None:
    found = without(described("mlp"), "3", shares={"1": 0.5, "5": 0.9})
    assert shapes(found) == {
        "1.weight": (12, 16),
        "1.bias": (12,),
        "5.weight": (11, 12),
        "5.bias": (11,),
        "7.weight": (4, 11),
        "7.bias": (4,),
    }


def test_no_fewer_channels_stay_than_rules_say() -> None:
    layers = described("mlp")
    assert shapes(without(layers, shares={"1": 0.25, "3": 0.25}))["3.weight"] == (10, 10)
    few = replace(layers, rules=Rules(min_channels=2))
    assert shapes(without(few, shares={"1": 0.25, "3": 0.25, "5": 0.01}))["5.weight"] == (2, 4)


def test_a_linear_layer_takes_the_map_that_a_missing_pool_leaves() -> None:
    found = shapes(without(described("vgg"), "network.7", "network.8", "network.10"))
    assert found["network.12.weight"] == (24, 16 * 16) and "network.7.weight" not in found
    few = replace(described("vgg"), rules=Rules(smaller=False, most_inputs=300))
    assert without(few, "network.10") == Invalid(
        "Layer 'network.12' would take 320 inputs, and at most 300 are let through."
    )


def test_a_linear_layer_that_would_take_too_little_is_a_reason() -> None:
    layers = replace(described("vgg"), rules=Rules(smaller=False, least_inputs=70))
    assert without(layers, "network.7") == Invalid(
        "Layer 'network.12' would take 64 inputs, and at least 70 are asked for."
    )


def test_tied_channels_get_fewer_together() -> None:
    found = shapes(without(described("resnet"), shares={"4": 0.75, "7.body.0": 0.7}))
    assert found["4.weight"] == (12, 12, 3, 3)
    assert found["7.body.0.weight"] == (11, 12, 3, 3) and found["7.body.3.weight"] == (12, 11, 3, 3)
    assert found["7.body.4.bias"] == (12,) and found["10.weight"] == (4, 12)


def test_of_inner_ties_only_inner_layers_get_narrower() -> None:
    layers = describe(*NETWORKS["resnet"], PAPER)
    found = shapes(without(layers, shares={state.name: 0.5 for state in layers.states}))
    assert found["4.weight"] == (16, 10, 3, 3)  # its outputs are added to others; no fewer than 10 stay of 12 inputs
    assert found["7.body.0.weight"] == (10, 16, 3, 3) and found["7.body.3.weight"] == (16, 10, 3, 3)


def test_a_branch_of_which_nothing_is_left_is_passed_by() -> None:
    layers = described("resnet")
    inside = [state.name for state in layers.states if state.name.startswith("7.")]
    module = network(without(layers, *inside))
    assert not any(name.startswith("7.") for name, _ in module.named_parameters())
    seen = torch.rand(1, 16, 4, 4)
    assert module[7](seen) is seen
    weighted = network(without(layers, "7.body.0", "7.body.1", "7.body.3", "7.body.4"))  # an activation is no branch
    torch.testing.assert_close(weighted[7](seen), seen)
    half = network(without(layers, "7.body.3", "7.body.4"))
    assert not torch.allclose(half[7](seen), seen)


def test_attention_without_anything_left_is_passed_by() -> None:
    layers = described("encoder")
    inside = [state.name for state in layers.states if "attn" in state.name or "dropout1" in state.name]
    module = network(without(layers, *inside, "encoder.layers.0.norm1"))
    block = module.encoder.layers[0]
    seen = torch.rand(1, 5, 16)
    torch.testing.assert_close(block(seen), block.norm2(seen + block._ff_block(seen)))
    heads = network(without(layers, shares={"encoder.layers.0.self_attn": 0.5}))
    assert heads.encoder.layers[0].self_attn.num_heads == 2
    assert heads.encoder.layers[0].self_attn.in_proj_weight.shape == (3 * 8, 16)


def test_a_linear_layer_that_takes_more_than_rules_let_through_may_take_less() -> None:
    """Of 900 inputs at first, and 300 at most: 400 are fewer, and no reason to refuse the network."""
    spec = Spec("attar.network.architectures:mlp", {"inputs": 16, "classes": 4, "hidden": [400, 900]})
    layers = describe(spec, noise(1, 16), Rules(most_inputs=300))
    last = layers.states[-1].name
    assert shapes(without(layers, "3"))[f"{last}.weight"] == (4, 400)


def test_layers_that_nobody_calls_stay_as_they_are() -> None:
    """Such as a second classifier, which training alone has a use for."""
    layers = describe(Spec("networks_to_shrink:projected"), IMAGE)
    assert "unused" not in {state.name for state in layers.states}
    found = shapes(without(layers, "shortcut.0", "shortcut.1"))
    assert "shortcut.0.weight" not in found and found["unused.weight"] == (9, 14)


def test_a_branch_makes_as_many_channels_as_what_it_is_added_to() -> None:
    found = shapes(without(described("bottlenecks"), "3.conv3", "3.bn3"))
    assert found["3.conv2.weight"] == (16, 12, 3, 3) and found["3.bn2.weight"] == (16,)
    expanded = shapes(without(described("encoder"), "encoder.layers.0.linear2"))
    assert expanded["encoder.layers.0.linear1.weight"] == (16, 16)


def test_branches_side_by_side_give_what_is_left_of_them() -> None:
    found = shapes(without(described("inception"), "3.three.0", "3.three.2"))
    taken = found["0.weight"][0]
    assert found["6.weight"] == (4, 12 + taken + 13)


def test_kernels_get_smaller_and_maps_stay() -> None:
    layers = described("vgg")
    found = student(layers, [True] * len(layers.states), (), [0.5] * len(layers.states))
    module = network(found)
    assert module.network[4].kernel_size == (1, 1) and module.network[4].padding == (0, 0)
    assert module.network[12].in_features == 80
    resnet = described("resnet")
    found = student(resnet, [True] * len(resnet.states), (), [0.5] * len(resnet.states))
    assert network(found)[4].kernel_size == (1, 1) and network(found)[7].body[0].kernel_size == (3, 3)


def test_a_student_can_be_a_teacher() -> None:
    layers = described("resnet")
    first = without(layers, "7.body.0", "7.body.1", "7.body.2")
    assert isinstance(first, Spec)
    again = describe(first, layers.example)
    assert "7.body.0" not in {state.name for state in again.states}
    second = student(again, [True] * len(again.states), [0.7] * len(again.states))
    assert shapes(second)["7.body.3.weight"] == (11, 11, 3, 3)
    assert [type(edit).__name__ for edit in second.edits] == ["Resize", "Resize"]


def test_wrong_actions_are_named() -> None:
    layers = described("mlp")
    with pytest.raises(BadInput, match=r"keep of student must be one for each of 8 layers; got \[True\]"):
        student(layers, [True])
    with pytest.raises(BadInput, match="shares of student must be above 0 and at most 1; got 0"):
        student(layers, [True] * 8, [0.0] * 8)


def test_what_is_resized_begins_as_torch_begins_a_layer_of_that_size() -> None:
    spec = Spec("attar.network.architectures:mlp", {"inputs": 900, "classes": 4, "hidden": [400]})
    layers = describe(spec, noise(1, 900), Rules(min_channels=1))
    module = network(without(layers, shares={"1": 0.04}))
    bound = module[3].in_features ** -0.5
    assert 0.8 * bound < float(module[3].weight.abs().max().detach()) <= bound
    assert not bool((module[1].weight == 0).any())
