"""What a network scores without the least worthy units of one layer."""

import pytest
import torch
from torch import nn

from attar.errors import BadInput
from attar.network.weights import digest
from attar.pruning.groups import find_groups
from attar.pruning.sensitivity import sensitivity


def test_the_least_worthy_units_of_one_layer_are_masked_and_nothing_stays_of_it() -> None:
    network = nn.Sequential(nn.Linear(2, 4, bias=False), nn.Linear(4, 3, bias=False), nn.Linear(3, 1, bias=False))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0, 0.0], [10.0, 0.0], [100.0, 0.0], [1000.0, 0.0]]))
        network[1].weight.copy_(torch.tensor([[1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 2.0, 2.0], [4.0, 4.0, 4.0, 4.0]]))
        network[2].weight.fill_(1.0)
    example = torch.tensor([[1.0, 0.0]])
    groups, before = find_groups(network, example), digest(network)
    worth = {"0": torch.tensor([3.0, 1.0, 4.0, 2.0]), "1": torch.tensor([0.2, 0.1, 0.3])}
    found = sensitivity(network, groups, worth, lambda one: float(one(example)), [0.25, 0.5, 1.0])
    assert found == {
        "0": [7 * (1 + 100 + 1000), 7 * (1 + 100), 0],
        "1": [5 * 1111, 4 * 1111, 0],  # a quarter of three is one, half of three two
    }
    assert digest(network) == before and float(network(example).detach()) == 7 * 1111


def test_what_does_not_fit_is_told() -> None:
    network = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 1))
    groups = find_groups(network, torch.ones(1, 2))
    with pytest.raises(BadInput, match=r"worth of sensitivity must be of shape \(4,\) for '0'; got None"):
        sensitivity(network, groups, {}, lambda one: 0.0)
    with pytest.raises(BadInput, match="shares of sensitivity must be from 0 to 1; got 10"):
        sensitivity(network, groups, {"0": torch.ones(4)}, lambda one: 0.0, [10.0])
