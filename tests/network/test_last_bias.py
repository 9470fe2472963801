"""Shifted biases: the logits move by the shift and by nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from attar.errors import BadInput
from attar.network.architectures import convnet, mlp
from attar.network.last_bias import shifted
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
        moved = shifted(network, SHIFT, inputs[:1])
        torch.testing.assert_close(moved(inputs), before + SHIFT)
        assert torch.equal(network(inputs), before), "the network that was given stays"
    assert moved.state_dict().keys() == network.state_dict().keys()


def test_a_network_without_a_last_bias_is_refused() -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3, bias=False)).eval()
    with pytest.raises(BadInput, match="bias for each of the 3 classes"):
        shifted(network, SHIFT, torch.ones(1, 4))
