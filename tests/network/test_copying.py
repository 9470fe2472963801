from __future__ import annotations

import threading
import warnings

import pytest
import torch
from torch import nn

from attar.errors import BadInput
from attar.network.copying import copied

ROWS = torch.tensor([[1.0, -2.0]])


def normalized(layer: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return nn.utils.weight_norm(layer)  # type: ignore[no-any-return]


@pytest.mark.parametrize("asked", [False, True])
def test_a_network_with_computed_weights_is_copied_with_weights_of_its_own(asked: bool) -> None:
    network = nn.Sequential(normalized(nn.Linear(2, 3)), nn.ReLU(), nn.Linear(3, 1))
    if asked:
        network(ROWS).sum().backward()
    expected = network(ROWS)
    other = copied(network)
    assert torch.equal(other(ROWS), expected)
    with torch.no_grad():
        other[0].weight_g.mul_(3.0)
        other[0].weight_v.mul_(-1.0)
    assert not torch.equal(other(ROWS), expected)
    assert torch.equal(network(ROWS), expected)
    other(ROWS).sum().backward()
    assert other[0].weight_g.grad is not None


def test_shared_weights_stay_shared() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network[1].weight = network[0].weight
    other = copied(network)
    assert other[1].weight is other[0].weight
    assert other[0].weight is not network[0].weight


class Locked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.layer.lock = threading.Lock()  # type: ignore[assignment]


def test_what_cannot_be_copied_is_named() -> None:
    with pytest.raises(BadInput, match=r"Locked cannot be copied: cannot pickle '_thread\.lock' object, which is in"):
        copied(Locked())
    with pytest.raises(BadInput, match=r"in its 'layer\.lock'\. Make that where it is used, or give the class a __"):
        copied(Locked())
