"""Shifted biases: the logits move by the shift and by nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from attar.errors import BadInput
from attar.network.architectures import convnet, mlp
from attar.network.shift_bias import ShiftBias, shift_bias
from attar.network.standardize import Standardize

SHIFT = torch.tensor([0.0, 2.5, -1.0])


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (mlp(4, 3, hidden=(3, 3)), (5, 4)),  # hidden layers with as many biases as there are classes
        (convnet(3, widths=[3, 3]), (5, 1, 8, 8)),
        (Standardize(mlp(4, 3), 0.5, 2.0), (5, 4)),
    ],
    ids=["mlp", "convnet", "standardized"],
)
def test_logits_move_by_the_shift(network: nn.Module, shape: tuple[int, ...]) -> None:
    network.eval()
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = network(inputs)
        moved, _ = shift_bias(network, SHIFT, inputs[:1])
        torch.testing.assert_close(moved(inputs), before + SHIFT)
        assert torch.equal(network(inputs), before), "the network that was given stays"
    assert moved.state_dict().keys() == network.state_dict().keys()


def test_a_last_layer_without_biases_gets_them() -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3, bias=False)).eval()
    inputs = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        moved, edit = shift_bias(network, SHIFT, inputs[:1])
        torch.testing.assert_close(moved(inputs), network(inputs) + SHIFT)
    assert edit == ShiftBias("2")
    assert torch.equal(moved[2].bias, SHIFT) and network[2].bias is None
    fresh = edit.apply(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3, bias=False)))
    assert fresh.load_state_dict(moved.state_dict()) and fresh[2].bias.requires_grad


def test_biases_that_are_there_are_left_to_the_weights() -> None:
    network = mlp(4, 3)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    after = ShiftBias("1").apply(network).state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_a_network_whose_end_is_no_layer_is_refused() -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1)).eval()
    with pytest.raises(BadInput, match="can have, a bias for each of the 3 classes"):
        shift_bias(network, SHIFT, torch.ones(1, 4))
