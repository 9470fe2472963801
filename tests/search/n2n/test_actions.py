"""What actions mean: which layers have one, and which follow another layer's."""

from __future__ import annotations

import torch
from networks_to_shrink import IMAGE
from torch import nn

from attar.network.spec import Spec
from attar.search.n2n.actions import Removal, Shrinkage
from attar.search.n2n.describe import describe
from attar.search.n2n.layers import FEATURES, Invalid
from attar.search.n2n.policy import ShrinkagePolicy
from attar.search.n2n.surgery import student

CONVNET = "attar.network.architectures:convnet"


def test_what_follows_a_layer_goes_with_it() -> None:
    """Convolution, batch norm and activation three times, pooling, and a linear layer: the first and the last stay."""
    spec = Spec(CONVNET, {"classes": 3, "widths": [4, 4, 8], "pools": [1, 2, 1]})
    layers = describe(spec, torch.zeros(1, 1, 8, 8))
    kinds = [state.kind for state in layers.states]
    blocks, each = Removal(layers, blocks=True), Removal(layers)
    acted = [kinds[place] for place in blocks.mask.nonzero().flatten().tolist()]
    assert acted == ["convolution", "max_pool", "convolution"]
    assert each.mask.tolist() == [state.removable for state in layers.states] and int(each.mask.sum()) > 6
    actions = torch.ones(len(kinds), dtype=torch.int64)
    second = kinds.index("convolution", 1)
    actions[second] = 0
    assert kinds[second : second + 3] == ["convolution", "batch_norm", "activation"]
    names = [state.name for state in layers.states[second : second + 3]]
    assert blocks.choices(actions) == {"removed": names} and each.choices(actions) == {"removed": names[:1]}
    student = blocks.student(actions)
    assert not isinstance(student, Invalid)
    left = [name for name, _ in student.build().named_parameters()]
    assert not any(one.startswith(f"{name}.") for one in left for name in names)


def test_the_activations_of_a_layer_that_stays_stay() -> None:
    spec = Spec("attar.network.architectures:mlp", {"inputs": 6, "classes": 3, "hidden": [5, 5]})
    layers = describe(spec, torch.zeros(1, 6))
    blocks = Removal(layers, blocks=True)
    assert [layers.states[place].kind for place in blocks.mask.nonzero().flatten().tolist()] == ["linear"]
    assert blocks.choices(torch.zeros(len(layers.states), dtype=torch.int64))["removed"] == [
        state.name for state in layers.states[-3:-1]
    ]


def test_what_takes_a_sum_follows_none_of_its_terms() -> None:
    """The last layer that is called before it is that of the shortcut, which may go and leave the activation."""
    layers = describe(Spec("networks_to_shrink:projected"), IMAGE)
    blocks = Removal(layers, blocks=True)
    names = [state.name for state in layers.states]
    actions = torch.ones(len(names), dtype=torch.int64)
    actions[names.index("shortcut.0")] = 0
    assert names[names.index("shortcut.0") :][:3] == ["shortcut.0", "shortcut.1", "after"]
    assert blocks.choices(actions) == {"removed": ["shortcut.0", "shortcut.1"]}
    assert bool(blocks.mask[names.index("after")])


def test_only_kernels_that_can_get_smaller_have_an_action() -> None:
    """Neither even ones do, nor those with a stride, or with something other than zeros around their maps."""
    layers = describe(Spec("networks_to_shrink:kernels"), IMAGE)
    policy = ShrinkagePolicy(FEATURES + 1, seed=0)
    mask = Shrinkage(layers, policy, ["kernels"]).mask.tolist()
    assert [state.name for state, free in zip(layers.states, mask, strict=True) if free] == ["0", "1"]
    halved = student(layers, [True] * len(mask), (), [0.5] * len(mask))
    assert not isinstance(halved, Invalid)
    sides = {name: one.kernel_size for name, one in halved.build().named_modules() if isinstance(one, nn.Conv2d)}
    assert sides == {"0": (1, 1), "1": (3, 1), "2": (3, 3), "3": (3, 3), "4": (2, 2)}
