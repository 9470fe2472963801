"""Multiply-adds against values worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.errors import BadInput
from attar.network.cost import Cost, cost
from attar.network.weights import digest

HAND = {
    # 8 inputs to each of 4 outputs.
    "linear": (nn.Linear(8, 4), (1, 8), 8 * 4),
    # Applied at each of 5 positions.
    "linear at positions": (nn.Linear(8, 4), (1, 5, 8), 5 * 8 * 4),
    # Maps of (9 + 2 - 3) // 2 + 1 = 5; each of 5 * 5 * 6 outputs sees 3 * 3 values of 4 channels.
    "conv, stride 2, padding 1": (nn.Conv2d(4, 6, 3, stride=2, padding=1), (1, 4, 9, 9), 5 * 5 * 6 * 3 * 3 * 4),
    # Without padding maps are 7; in 2 groups each output sees half of the 4 channels.
    "conv, 2 groups": (nn.Conv2d(4, 6, 3, groups=2), (1, 4, 9, 9), 7 * 7 * 6 * 3 * 3 * 2),
    # Depthwise: one channel each.
    "conv, depthwise": (nn.Conv2d(4, 4, 3, padding=1, groups=4), (1, 4, 9, 9), 9 * 9 * 4 * 3 * 3),
    # Dilation spreads the window to 5: maps are 9 - 4 = 5.
    "conv, dilation 2": (nn.Conv2d(1, 1, 3, dilation=2), (1, 1, 9, 9), 5 * 5 * 3 * 3),
    # (10 - 4) // 3 + 1 = 3 outputs of 5 channels, each 4 wide over 2 channels.
    "conv 1-D": (nn.Conv1d(2, 5, 4, stride=3), (1, 2, 10), 3 * 5 * 4 * 2),
    "conv 3-D": (nn.Conv3d(2, 3, 2), (1, 2, 3, 3, 3), 2 * 2 * 2 * 3 * 2 * 2 * 2 * 2),
    # Each of 5 * 5 inputs of 4 channels is spread over 2 * 2 outputs of 6 channels.
    "transposed conv": (nn.ConvTranspose2d(4, 6, 2, stride=2), (1, 4, 5, 5), 5 * 5 * 4 * 2 * 2 * 6),
    # Per step 4 gates of 3, each from 5 inputs and 3 states; 7 steps.
    "lstm": (nn.LSTM(5, 3, batch_first=True), (1, 7, 5), 7 * 4 * 3 * (5 + 3)),
    "gru": (nn.GRU(5, 3, batch_first=True), (1, 7, 5), 7 * 3 * 3 * (5 + 3)),
    "nothing to multiply": (nn.ReLU(), (1, 8), 0),
}


@pytest.mark.parametrize("name", HAND)
def test_hand_worked(name: str) -> None:
    module, shape, macs = HAND[name]
    counted = cost(module, torch.randn(shape))
    assert counted.macs == macs
    assert counted.by_layer == ({"": macs} if macs else {})


class Attention(nn.Module):
    """Self-attention on 5 positions of width 8, two heads."""

    def __init__(self, weights: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.weights = weights

    def forward(self, inputs: Tensor) -> Tensor:
        out: Tensor = self.attention(inputs, inputs, inputs, need_weights=self.weights)[0]
        return out


# Per position: queries, keys and values 3 * 8 * 8, and the output 8 * 8. Per head (width 4) and pair of positions: 4
# for the score and 4 for the sum, so 2 * 5 * 5 * (4 + 4) in both heads.
ATTENTION = 5 * 4 * 8 * 8 + 2 * 5 * 5 * 8


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("frozen", [False, True], ids=["trainable", "frozen"])
def test_attention(weights: bool, frozen: bool) -> None:
    module = Attention(weights).requires_grad_(not frozen)
    counted = cost(module, torch.randn(1, 5, 8))
    assert counted.macs == ATTENTION
    assert counted.by_layer == {"attention": ATTENTION}


def test_scaled_dot_product_attention() -> None:
    class Dot(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return functional.scaled_dot_product_attention(x, x, x)

    # 2 heads, 5 x 5 pairs, 4 + 4 multiply-adds each.
    assert cost(Dot(), torch.randn(1, 2, 5, 4)).macs == 2 * 5 * 5 * 8


def test_transformer_layer_is_the_sum_of_its_parts() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True).eval()
    counted = cost(layer, torch.randn(1, 5, 8))
    assert counted.by_layer == {"self_attn": ATTENTION, "linear1": 5 * 8 * 16, "linear2": 5 * 16 * 8}
    assert counted.macs == sum(counted.by_layer.values())


def test_by_layer_names_the_innermost_and_adds_up() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(8, 8), nn.ReLU())

        def forward(self, x: Tensor) -> Tensor:
            return self.body(self.body(x)) @ torch.ones(8, 3)

    counted = cost(Mixed(), torch.randn(1, 8))
    assert counted.by_layer == {"body.0": 2 * 64, "": 24}
    assert counted.macs == 2 * 64 + 24


def test_parameters_count_shared_ones_once() -> None:
    shared = nn.Linear(4, 4)
    assert cost(nn.Sequential(shared, nn.ReLU(), shared), torch.randn(1, 4)).parameters == 20


def test_leaves_the_module_alone() -> None:
    module = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout())
    module[2].eval()
    before, modes = digest(module), [part.training for part in module.modules()]
    example = torch.randn(1, 1, 5, 5)
    remaining = example.clone()
    state = torch.get_rng_state()
    cost(module, example)
    assert digest(module) == before
    assert [part.training for part in module.modules()] == modes
    assert all(not part._forward_hooks and not part._forward_pre_hooks for part in module.modules())
    assert torch.equal(example, remaining)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_layer_may_give_a_part_of_its_weights() -> None:
    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.zeros(9, 4))

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.table[: inputs.shape[1]]

    class Placed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.positions, self.head = Positions(), nn.Linear(4, 2)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.head(inputs + self.positions(inputs)).mean(1)

    network = Placed()
    assert cost(network, torch.zeros(1, 5, 4)).macs == 5 * 4 * 2
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_hooks_go_when_the_forward_fails() -> None:
    module = nn.Linear(8, 4)
    with pytest.raises(RuntimeError, match="shapes"):
        cost(module, torch.randn(1, 7))
    assert not module._forward_hooks
    assert not module._forward_pre_hooks


def test_more_than_one_example_is_refused() -> None:
    with pytest.raises(BadInput, match=r"example of cost must be a single input, \[1, \.\.\.\]; got \[2, 8\]"):
        cost(nn.Linear(8, 4), torch.randn(2, 8))


def test_prints_well() -> None:
    assert str(Cost(1234, 56789, {})) == "1,234 parameters, 56,789 multiply-adds an example"
