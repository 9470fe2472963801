"""Networks as lists of layers: what is seen of them, what may become of each layer, and why the others stay."""

from __future__ import annotations

import pytest
import torch
from networks_to_shrink import IMAGE, NETWORKS, described, noise
from torch import nn

from attar.errors import BadInput, NothingMatched
from attar.network.spec import Spec
from attar.search.n2n.describe import describe
from attar.search.n2n.layers import FEATURES, KINDS, Layers, LayerState, Rules
from attar.search.n2n.surgery import student


def state(layers: Layers, name: str) -> LayerState:
    return next(one for one in layers.states if one.name == name)


def test_a_perceptron_is_its_layers_in_order() -> None:
    layers = described("mlp")
    assert [(one.name, one.kind, one.inputs, one.outputs) for one in layers.states] == [
        ("0", "flatten", 0, 0),
        ("1", "linear", 16, 24),
        ("2", "activation", 0, 0),
        ("3", "linear", 24, 16),
        ("4", "activation", 0, 0),
        ("5", "linear", 16, 12),
        ("6", "activation", 0, 0),
        ("7", "linear", 12, 4),
    ]
    assert [one.name for one in layers.states if one.removable] == ["2", "3", "4", "5", "6"]
    assert [one.name for one in layers.states if one.shrinkable] == ["1", "3", "5"]
    assert state(layers, "1").stays == "the rule 'first' fixes it"
    assert state(layers, "7").stays == "the rule 'last' fixes it"
    assert state(layers, "7").full == "its units are outputs of the network"
    assert state(layers, "2").full == "it makes no channels of its own"
    assert layers.parameters == 16 * 24 + 24 + 24 * 16 + 16 + 16 * 12 + 12 + 12 * 4 + 4


def test_what_is_as_narrow_as_rules_let_it_be_is_not_narrowed() -> None:
    layers = describe(*NETWORKS["mlp"], Rules(min_channels=16))
    assert [one.name for one in layers.states if one.shrinkable] == ["1"], "of 24 units; the others have 16 and 12"
    assert state(layers, "3").full == "it has 16, and rules let no fewer than 16 stay"


def test_of_channels_that_go_in_groups_as_many_groups_stay_as_have_the_channels_that_have_to() -> None:
    layers = describe(Spec("networks_to_shrink:in_groups"), IMAGE)
    assert state(layers, "0").shrinkable  # of 4 groups of 8, of which 2 have the 10 that stay
    shares = [0.1 if one.name == "0" else 1.0 for one in layers.states]
    small = student(layers, [True] * len(layers.states), shares)
    assert isinstance(small, Spec)
    network = small.build()
    assert isinstance(network, nn.Sequential)
    assert [(one.in_channels, one.out_channels, one.groups) for one in network if isinstance(one, nn.Conv2d)] == [
        (3, 16, 1),
        (16, 16, 2),
        (16, 12, 1),
    ]
    assert network(IMAGE).shape == (1, 4)
    assert state(describe(layers.spec, IMAGE, Rules(min_channels=25)), "0").full == (
        "it has 4, and rules let no fewer than 4 stay"
    )


def test_kernels_strides_paddings_and_skips_are_seen() -> None:
    layers = described("bottlenecks")
    names = [one.name for one in layers.states]
    inner = state(layers, "4.conv2")
    assert (inner.kernel, inner.stride, inner.padding, inner.inputs, inner.outputs) == (3, 2, 1, 14, 14)
    assert (names[inner.skip_start - 1], names[inner.skip_end - 1]) == ("4.conv1", "4.bn3")
    assert (state(layers, "0").skip_start, state(layers, "0").skip_end) == (0, 0)
    assert (state(layers, "4.downsample.0").skip_start, state(layers, "4.downsample.0").skip_end) == (0, 0)
    assert inner.stays == "the rule 'strided' fixes it"
    assert state(described("vgg"), "network.3").kernel == 2


def test_channels_that_are_added_get_fewer_together_or_not_at_all() -> None:
    layers = described("resnet")
    assert [one.name for one in layers.states if one.group == "4"] == ["4", "7.body.3"]
    assert state(layers, "4").shrinkable
    assert state(layers, "7.body.3").full == "it gets narrower with '4'"
    inner = describe(*NETWORKS["resnet"], Rules(tie="inner"))
    assert [one.name for one in inner.states if one.shrinkable] == ["0", "7.body.0"]
    assert state(inner, "4").full == "its channels are added to those of '7.body.3'"
    assert state(inner, "7.body.3").full == "its channels are added to those of '4'"


def test_features_are_as_many_for_every_network() -> None:
    mlp, vgg = described("mlp").features(), described("vgg").features()
    assert mlp.shape == (8, FEATURES) and vgg.shape == (16, FEATURES)
    conv = vgg[4]  # 12 to 16 channels, 3 x 3, padding of 1
    assert KINDS[int(conv[: len(KINDS)].argmax())] == "convolution" and conv[: len(KINDS)].sum() == 1
    torch.testing.assert_close(conv[len(KINDS) :], torch.tensor([0.3, 0.1, 0.1, 4.087463 / 10, 0.0, 0.0]))
    resnet = described("resnet")
    place = [one.name for one in resnet.states].index("7.body.1")
    torch.testing.assert_close(resnet.features()[place, -2:], torch.tensor([8 / 15, 12 / 15]))


def test_what_cannot_be_left_out_says_why() -> None:
    assert state(described("vgg"), "network.11").stays == "what comes after it takes one row for each example"
    attention = state(described("token_encoder"), "network.blocks.0.queries_keys_values")
    assert attention.stays.startswith("without it the network cannot be computed in layer 'network.blocks.0' (")
    assert state(described("token_encoder"), "network.embedding").stays == "the rule 'first' fixes it"


def test_what_makes_maps_too_small_or_sums_unequal_says_so() -> None:
    layers = describe(Spec("networks_to_shrink:upward"), noise(1, 2, 4, 4), Rules(fixed=("first", "last")))
    assert state(layers, "1").stays == (
        "without it the kernel of layer '2' reaches over 5, and finds a map of 4 x 4: what is before it makes maps too "
        "small"
    )
    free = describe(*NETWORKS["bottlenecks"], Rules(fixed=("last",)))
    assert state(free, "4.downsample.0").stays == (
        "without it sizes [1, 24, 4, 4] of what '4.bn3' gives and [1, 16, 8, 8] of what '4.downsample.1' gives do not "
        "fit where they meet"
    )


def test_rules_fix_layers_by_name_and_pattern() -> None:
    rules = Rules(fixed=["7.body.?", "10"], fixed_widths=["7.body.3", "first"])
    layers = describe(*NETWORKS["resnet"], rules)
    assert state(layers, "7.body.0").stays == "the rule '7.body.?' fixes it"
    assert state(layers, "8").removable and not state(layers, "10").removable
    assert state(layers, "7.body.3").full == "the rule '7.body.3' fixes it"
    assert state(layers, "4").full == "its channels go with those of '7.body.3': the rule '7.body.3' fixes it"
    assert [one.name for one in layers.states if one.shrinkable] == ["7.body.0"]
    with pytest.raises(NothingMatched, match=r"fixed must fit a layer of the network; '7.bodi.0' fits none. Did you "):
        describe(*NETWORKS["resnet"], Rules(fixed=["7.bodi.0"]))
    # Of a network whose layers may have gone it is no error: the other rules still hold.
    left = describe(*NETWORKS["resnet"], Rules(fixed=["7.bodi.0", "7.body.0"]), some_gone=True)
    assert not state(left, "7.body.0").removable and state(left, "7.body.3").removable


def test_a_network_that_cannot_be_described_is_named_with_the_layer_and_what_to_do() -> None:
    with pytest.raises(
        BadInput, match=r"^No layer of the network can be removed .*: the network stays, as .*Opaque do"
    ):
        describe(Spec("networks_to_shrink:opaque"), noise(1, 8))
    with pytest.raises(
        BadInput,
        match=r"layer 'steps' stays, as the rule 'first' fixes it; its width stays, as nothing is known of the sizes "
        r"of GRU\. Build .*, fix fewer of its layers, or use another strategy\.$",
    ):
        describe(Spec("networks_to_shrink:recurrent"), noise(1, 5, 6))
    with pytest.raises(BadInput, match="example of describe must be what the network runs on; got RuntimeError"):
        describe(NETWORKS["mlp"][0], IMAGE)
    with pytest.raises(BadInput, match=r"^network of describe must be one whose layers know their sizes; got one that"):
        describe(Spec("networks_to_shrink:lazy"), noise(1, 8))


def test_describing_and_changing_leave_random_numbers_alone() -> None:
    before = torch.random.get_rng_state()
    student(described("mlp"), [True, True, True, False, True, True, True, True], [0.5] * 8)
    torch.testing.assert_close(torch.random.get_rng_state(), before)
