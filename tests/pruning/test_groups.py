"""Groups of channels that go together: in Attar's architectures, and in networks as people write them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import pytest
import torch
from handmade_networks import (
    Auxiliary,
    Branching,
    ByExample,
    ByName,
    Counting,
    Described,
    Direct,
    Experts,
    Gated,
    Noisy,
    Odd,
    PaddedShortcut,
    Recurrent,
    Several,
    Shuffled,
    Sliced,
    Tied,
    Twice,
    UNet,
    dense,
    mobile,
    noise,
    normalized,
    preactivated,
    rows,
    tokens,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from attar.errors import BadInput
from attar.network import architectures
from attar.network.copying import copied
from attar.network.evaluating import evaluating
from attar.network.forward import output_of
from attar.network.named import Named
from attar.network.scaled_outputs import ScaledOutputs
from attar.network.standardize import Standardize
from attar.network.weights import digest
from attar.pruning.edit import prune
from attar.pruning.group import Groups
from attar.pruning.groups import find_groups
from attar.pruning.verify import masked, stirred

# -- what is found -----------------------------------------------------------------------------------------------------


@dataclass
class Case:
    build: Callable[[], nn.Module]
    example: Tensor
    groups: dict[str, tuple[str, int]]
    untouched: dict[str, str] = field(default_factory=dict)


OUT = "its units are outputs of the network"
MIXED = (
    "each of its units acts on all that the next layer takes, as a normalization across them, or a multiplication "
    "outside of layers, makes it"
)
WRONG = "without some of its units the network gives something else than with a mask on them"
BROKEN = "the network cannot be computed without some of its units"


CASES = {
    "mlp": Case(
        lambda: architectures.mlp(8, 3, [6, 5], dropout=0.1),
        noise(2, 8),
        {"1": ("units", 6), "4": ("units", 5)},
        {"7": OUT},
    ),
    "convnet": Case(
        lambda: architectures.convnet(10, [4, 6], pools=[2, 2], hidden=[5], side=8),
        noise(2, 1, 8, 8),
        {"0": ("channels", 4), "4": ("channels", 6), "9": ("units", 5)},
        {"11": OUT},
    ),
    "segmenter": Case(
        lambda: architectures.segmenter(3, [4, 5]),
        noise(2, 1, 8, 8),
        {"0": ("channels", 4), "3": ("channels", 5)},
        {"6": OUT},
    ),
    "resnet": Case(
        lambda: architectures.resnet(5, [4, 6], blocks=2),
        noise(2, 1, 8, 8),
        {"0": ("channels", 4), "4": ("channels", 6), "7.body.0": ("channels", 6), "8.body.0": ("channels", 6)},
        {"11": OUT},
    ),
    "tabular": Case(
        lambda: architectures.tabular(rows()[0], 2, hidden=[6], embed=3),
        rows()[1],
        {"0.embedding": ("embedding", 3), "1": ("units", 6)},
        {"3": OUT},
    ),
    "token_mean": Case(
        lambda: architectures.token_mean(12, 3, width=4, hidden=5, window=3),
        tokens(),
        {"network.embedding": ("embedding", 4), "network.windows": ("channels", 5)},
        {"network.output": OUT},
    ),
    "token_encoder": Case(
        lambda: architectures.token_encoder(12, 7, 3, width=8, heads=2, blocks=1),
        tokens(),
        {"network.blocks.0.queries_keys_values": ("heads", 2), "network.blocks.0.inner.0": ("units", 16)},
        {
            "network.embedding": MIXED,
            "network.blocks.0.mixed": MIXED,
            "network.blocks.0.inner.2": MIXED,
            "network.output": OUT,
        },
    ),
    "mobile": Case(
        mobile,
        noise(2, 1, 12, 12),
        {
            "0": ("channels", 4),
            "3.body.0": ("channels", 8),
            "4.body.0": ("channels", 8),
            "4.body.6": ("channels", 6),
            "5.down": ("channels", 3),
        },
        {"8": OUT},
    ),
    "dense": Case(
        dense,
        noise(2, 1, 8, 8),
        {
            "0": ("channels", 4),
            "1.layers.0.2": ("channels", 3),
            "1.layers.1.2": ("channels", 3),
            "4": ("channels", 4),
            "6.layers.0.2": ("channels", 2),
        },
        {"8": OUT},
    ),
    "preactivated": Case(
        preactivated,
        noise(2, 1, 8, 8),
        {"0": ("channels", 4), "1.first": ("channels", 4), "2.shortcut": ("channels", 6), "2.first": ("channels", 6)},
        {"7": OUT},
    ),
    "unet": Case(
        UNet,
        noise(2, 2, 8, 8),
        {"down": ("channels", 4), "middle": ("channels", 6), "up": ("channels", 3), "joined": ("channels", 5)},
        {"last": OUT},
    ),
    "normalized": Case(
        normalized,
        noise(2, 2, 8, 8),
        {"0": ("channels", 4), "3": ("channels", 3), "9": ("channels", 2)},
        {"12": OUT},
    ),
    "direct": Case(Direct, noise(2, 3, 5), {"first": ("units", 6)}, {"second": MIXED, "last": OUT}),
    "gated": Case(Gated, noise(2, 4), {"both": ("units", 6)}, {"last": OUT}),
    "counting": Case(Counting, noise(2, 1, 4, 4), {"conv": ("channels", 6)}, {"last": OUT}),
    "shuffled": Case(Shuffled, noise(2, 1, 4, 4), {"first": ("channels", 4)}, {"last": OUT}),
    "several": Case(Several, noise(2, 4), {"first": ("units", 6)}, {"second": OUT, "last": OUT}),
    "described": Case(
        lambda: Described(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)), noise(2, 4), {"0": ("units", 6)}, {"2": OUT}
    ),
    "padded": Case(
        PaddedShortcut,
        noise(2, 1, 4, 4),
        {"second": ("channels", 6)},
        {"first": BROKEN, "third": BROKEN, "last": OUT},
    ),
    "twice": Case(
        Twice,
        noise(2, 4),
        {"inner": ("units", 5)},
        {
            "first": "it feeds 'again', which stays as it is: it is used more than once",
            "again": "it is used more than once",
            "last": OUT,
        },
    ),
    "tied": Case(
        Tied,
        noise(2, 4),
        {},
        {
            "first": "it feeds 'one', which stays as it is: it shares weights with 'other'",
            "one": "it shares weights with 'other'",
            "other": "it shares weights with 'one'",
            "last": OUT,
        },
    ),
    "recurrent": Case(
        Recurrent,
        noise(2, 3, 4),
        {"inner": ("units", 4)},
        {
            "first": "it feeds 'memory', which stays as it is: nothing is known of the sizes of GRU",
            "memory": "nothing is known of the sizes of GRU",
            "last": OUT,
        },
    ),
    "odd": Case(
        lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(), Odd(5, 6), nn.Tanh(), nn.Linear(6, 2)),
        noise(2, 4),
        {"0": ("units", 5)},
        {"2": WRONG, "4": OUT},
    ),
    "parametrized": Case(
        lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(), weight_norm(nn.Linear(5, 6)), nn.Tanh(), nn.Linear(6, 2)),
        noise(2, 4),
        {},
        {
            "0": "it feeds '2', which stays as it is: a number format or another parametrization is attached to it",
            "2": "a number format or another parametrization is attached to it",
            "4": OUT,
        },
    ),
    "sliced": Case(Sliced, noise(2, 1, 4, 4), {"some": ("channels", 6)}, {"all": BROKEN, "last": OUT}),
    "by example": Case(
        ByExample,
        torch.tensor([[2.0] * 4, [-1.0] * 4]),
        {},
        {
            "first": BROKEN,
            "bright": BROKEN,
            "last": OUT,
            "dark": "it is not called as a layer: it is unused, or only its tensors are used",
        },
    ),
    "by name": Case(ByName, noise(2, 4), {"first": ("units", 6)}, {"last": OUT}),
    "auxiliary": Case(
        Auxiliary,
        noise(2, 4),
        {"inner": ("units", 5)},
        {
            "first": BROKEN,
            "last": OUT,
            "other": "it is not called as a layer: it is unused, or only its tensors are used",
        },
    ),
    "one layer": Case(lambda: nn.Linear(4, 2), noise(2, 4), {}, {"": OUT}),
    "no signal": Case(  # of which nothing is left by convolutions without biases: other weights have some
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2)),
        torch.zeros(1, 1, 4, 4),
        {"0": ("channels", 4)},
        {"3": OUT},
    ),
}


def test_a_network_that_draws_random_numbers_gives_what_it_gave_with_the_same_ones() -> None:
    torch.manual_seed(0)
    network, before = Noisy(), torch.get_rng_state()
    assert [group.name for group in find_groups(network, noise(2, 4)).groups] == ["first"]
    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_that_fails_with_other_values_of_a_layer_is_pruned_elsewhere() -> None:
    torch.manual_seed(0)
    found = find_groups(Experts(), noise(8, 4))
    assert "inner" in found.named()
    assert found.untouched["choice"].startswith("the network cannot be computed with other values of its units (")


@cache
def built(name: str) -> tuple[nn.Module, Groups]:
    """The network with weights that hide nothing, and its groups."""
    torch.manual_seed(0)
    network = stirred(CASES[name].build(), seed=7)
    return network, find_groups(network, CASES[name].example)


@pytest.mark.parametrize("name", CASES)
def test_groups_of_an_architecture(name):
    case = CASES[name]
    found = built(name)[1]
    assert {group.name: (group.kind, group.units) for group in found.groups} == case.groups
    # Torch's own words about sizes that do not fit may follow.
    assert {layer: reason.partition(" ('")[0] for layer, reason in found.untouched.items()} == case.untouched


@pytest.mark.parametrize("name", CASES)
def test_every_layer_with_units_is_in_a_group_or_named_with_a_reason(name):
    network, found = built(name)
    grouped = {producer for group in found.groups for producer in group.producers}
    kinds = nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding
    layers = {
        name for name, layer in network.named_modules() if isinstance(layer, kinds) and getattr(layer, "groups", 1) == 1
    }
    assert layers - grouped <= found.untouched.keys()
    assert not grouped & found.untouched.keys()


def output(network: nn.Module, example: Tensor) -> Tensor:
    with evaluating(network):
        given = network(example.clone())
    return output_of(given, "the network")


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.groups])
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_a_slim_network_gives_what_the_masked_one_gives(name, data):
    network, found = built(name)
    removed = {
        group.name: data.draw(
            st.sets(st.integers(0, group.units - 1), max_size=group.units - (not group.removable))
            | st.just(set(range(group.units)) if group.removable else {0})
        )
        for group in found.groups
    }
    if not any(removed.values()):
        removed[found.groups[0].name] = {0}
    example = CASES[name].example
    with masked(network, found, removed):
        wanted = output(network, example)
    slim = prune(network, found, removed).apply(copied(network))
    assert sum(p.numel() for p in slim.parameters()) < sum(p.numel() for p in network.parameters())
    torch.testing.assert_close(output(slim, example), wanted, rtol=1e-5, atol=1e-5)


# -- what goes with what -----------------------------------------------------------------------------------------------


def test_a_residual_addition_couples_what_it_adds():
    group = built("resnet")[1].named()["4"]
    assert group.producers == ("4", "7.body.3", "8.body.3")
    assert {consumer.layer for consumer in group.consumers} == {"7.body.0", "8.body.0", "11"}
    assert {slot.tensor for slot in group.slots} == {
        *("4.weight", "5.weight", "5.bias", "5.running_mean", "5.running_var", "7.body.0.weight", "7.body.3.weight"),
        *(
            f"{block}.body.4.{tensor}"
            for block in (7, 8)
            for tensor in ("weight", "bias", "running_mean", "running_var")
        ),
        *("8.body.0.weight", "8.body.3.weight", "11.weight"),
    }


def test_a_concatenation_keeps_its_parts_apart():
    found = built("dense")[1].named()
    places = {
        name: next(c.positions for c in found[name].consumers if c.layer == "4") for name in ("0", "1.layers.1.2")
    }
    assert places == {"0": ((0,), (1,), (2,), (3,)), "1.layers.1.2": ((7,), (8,), (9,))}


def test_flattened_maps_take_all_of_their_pixels_along():
    (consumer,) = built("convnet")[1].named()["4"].consumers
    assert (consumer.layer, consumer.axis) == ("9", -1)
    assert consumer.positions[1] == (4, 5, 6, 7)


def test_the_image_beside_the_maps_stays():
    (joined,) = (c for c in built("unet")[1].named()["down"].consumers if c.layer == "joined")
    assert joined.positions == ((3,), (4,), (5,), (6,))


def test_a_head_is_its_queries_keys_and_values_and_the_number_of_heads():
    group = built("token_encoder")[1].named()["network.blocks.0.queries_keys_values"]
    slots = {slot.tensor: slot for slot in group.slots}
    assert slots["network.blocks.0.queries_keys_values.bias"].positions[1] == (
        *range(4, 8),
        *range(12, 16),
        *range(20, 24),
    )
    assert slots["network.blocks.0.mixed.weight"].axis == 1
    assert [size.attribute for size in group.sizes if size.layer == "network.blocks.0"] == ["heads"]


def test_grouped_convolutions_lose_whole_groups():
    group = built("normalized")[1].named()["3"]
    slots = {(slot.tensor, slot.axis): slot.positions for slot in group.slots}
    assert slots["3.weight", 0] == ((0, 1), (2, 3), (4, 5))
    assert slots["5.weight", 0] == ((0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11))
    assert slots["8.weight", 0] == ((0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11))
    assert slots["8.bias", 0] == ((0, 1), (2, 3), (4, 5))
    sizes = {(size.layer, size.attribute): size.counts for size in group.sizes}
    assert sizes["5", "groups"] == sizes["8", "groups"] == (1, 1, 1)
    assert sizes["6", "num_features"] == (4, 4, 4)


def test_parameters_that_are_used_directly_go_along_where_each_number_is_of_one_unit():
    slots = {(slot.tensor, slot.axis) for slot in built("direct")[1].named()["first"].slots}
    assert {("shift", 1), ("places", 1)} <= slots
    assert not any(tensor in ("scale", "matrix") for tensor, _ in slots)


@pytest.mark.parametrize("name", ["convnet", "resnet", "mobile", "preactivated"])
def test_another_library_finds_the_same_groups(name):
    torch_pruning = pytest.importorskip("torch_pruning")
    network, found = built(name)
    network = copied(network).requires_grad_(True)
    names = {module: name for name, module in network.named_modules()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = torch_pruning.DependencyGraph().build_dependency(network, CASES[name].example)
        theirs = set()
        for members in graph.get_all_groups():
            made = [dep.target.module for dep, _ in members if graph.is_out_channel_pruning_fn(dep.handler)]
            layers = {names[m] for m in made if isinstance(m, nn.Conv2d | nn.Linear) and getattr(m, "groups", 1) == 1}
            theirs.add(frozenset(layers))
    outputs = frozenset(name for name, reason in found.untouched.items() if reason == OUT)
    assert {frozenset(group.producers) for group in found.groups} | {outputs} == theirs


def test_units_that_lie_beside_others_cannot_all_go():
    removable = {
        name: [g.name for g in built(name)[1].groups if g.removable] for name in ("unet", "token_encoder", "resnet")
    }
    assert removable == {
        "unet": ["middle", "joined"],
        "token_encoder": ["network.blocks.0.inner.0"],
        "resnet": ["0", "4", "7.body.0", "8.body.0"],
    }


# -- rules, wrappers, wrong input --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["7.body.3", "8.*", "7"])
def test_protected_layers_keep_their_outputs_and_all_that_goes_with_them(rule):
    network = architectures.resnet(5, [4, 6], blocks=2)
    found = find_groups(network, CASES["resnet"].example, [rule])
    assert "4" not in found.named()
    assert f"protected by the rule {rule!r}" in found.untouched["4"]
    inner = {"7.body.3": {"7.body.0", "8.body.0"}, "8.*": {"7.body.0"}, "7": {"8.body.0"}}[rule]
    assert set(found.named()) == {"0", *inner}


def test_a_rule_that_protects_nothing_is_an_error():
    with pytest.raises(BadInput, match=r"protect of find_groups must be names .* got 'boddy'\. (Choose|Did you)"):
        find_groups(architectures.mlp(4, 2), torch.ones(1, 4), ["1", "boddy"])


def test_an_example_on_which_the_network_does_not_run_is_an_error():
    with pytest.raises(BadInput, match="example of find_groups must be what the network runs on"):
        find_groups(architectures.mlp(4, 2), torch.ones(1, 5))


def test_a_network_that_torch_compiles_is_refused():
    network = nn.Module()
    network._orig_mod = architectures.mlp(4, 2)  # what torch.compile makes, which takes seconds to import
    with pytest.raises(BadInput, match="network of find_groups must be one that is not compiled; got one that is"):
        find_groups(network, torch.ones(1, 4))


def test_groups_are_found_inside_of_wrappers():
    wrapped = ScaledOutputs(Standardize(architectures.mlp(4, 2, [5]), 0.5, 2.0), torch.zeros(2), torch.ones(2))
    found = find_groups(wrapped, torch.rand(2, 4))
    assert list(found.named()) == ["network.network.1"]
    assert find_groups(Named(Direct(), ("x",)), noise(2, 1, 3, 5)).groups[0].producers == ("network.first",)


def test_the_network_stays_as_it_was():
    network = architectures.resnet(5, [4, 6], blocks=1).train()
    before, state = digest(network), torch.get_rng_state()
    find_groups(network, CASES["resnet"].example)
    assert digest(network) == before and network.training and torch.equal(torch.get_rng_state(), state)
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_the_layout_in_memory_does_not_matter():
    network, found = built("resnet")
    turned = copied(network).to(memory_format=torch.channels_last)
    example = CASES["resnet"].example.to(memory_format=torch.channels_last)
    assert find_groups(turned, example) == found


def test_the_same_groups_each_time():
    network = CASES["dense"].build()
    assert find_groups(network, CASES["dense"].example) == find_groups(network, CASES["dense"].example)


def test_compiled_parts_stay():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inner = torch.jit.script(nn.Sequential(nn.Linear(6, 6), nn.ReLU()))
        network = nn.Sequential(nn.Linear(4, 6), inner, nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
        found = find_groups(network, noise(2, 4))
    assert set(found.named()) == {"2"}
    assert {"0", "1.0"} <= found.untouched.keys()


def test_a_network_takes_another_way_with_the_weights_that_it_has() -> None:
    torch.manual_seed(0)
    found = find_groups(Branching(), noise(2, 4))
    assert set(found.named()) == {"third"}
    assert found.untouched["first"].startswith(BROKEN)


@pytest.mark.parametrize("numbers", [torch.float64, torch.bfloat16])
def test_a_network_of_other_numbers_is_tried_as_it_is_called(numbers: torch.dtype) -> None:
    class Converts(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.to(self[0].weight.dtype)).float()

    network = Converts(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2)).to(numbers)
    assert list(find_groups(network, noise(2, 4)).named()) == ["0"]
    assert {parameter.dtype for parameter in network.parameters()} == {numbers}


def test_outputs_that_are_infinite_stay_so() -> None:
    class Masked(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = super().forward(x)
            return logits.masked_fill(torch.tensor([False, True, False]), float("-inf"))

    found = find_groups(Masked(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)), noise(2, 4))
    assert set(found.named()) == {"0"}


def test_a_filter_below_zero_before_an_activation_hides_no_unit() -> None:
    # Whatever comes into such a channel, nothing comes out; its place in the next layer goes with it all the same.
    network = nn.Sequential(
        nn.Conv2d(1, 32, 1), nn.ReLU(), nn.Conv2d(32, 32, 1, groups=32, bias=False), nn.ReLU(), nn.Conv2d(32, 2, 1)
    )
    (group,) = find_groups(network, torch.ones(1, 1, 4, 4)).groups
    assert group.units == 32
    assert [one.positions for one in group.consumers] == [tuple((place,) for place in range(32))]
