"""Wrong groups do not pass."""

from __future__ import annotations

from dataclasses import replace

import torch
from handmade_networks import noise
from torch import Tensor, nn

from attar.pruning.group import Group
from attar.pruning.groups import find_groups
from attar.pruning.verify import Verifier, stirred

WRONG = "without some of its units the network gives something else than with a mask on them"
BROKEN = "the network cannot be computed without some of its units"


def squares() -> tuple[nn.Module, Tensor, Group]:
    """A network in which any axis of any matrix has the same length, and its first group."""
    torch.manual_seed(0)
    network = stirred(nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)))
    example = noise(3, 4)
    return network, example, find_groups(network, example).groups[0]


def test_a_wrong_position_is_seen():
    network, example, group = squares()
    assert Verifier(network, example).verified([group])[1] == {}
    turned = [replace(slot, positions=slot.positions[::-1]) if slot.axis else slot for slot in group.slots]
    passed, failed = Verifier(network, example).verified([replace(group, slots=tuple(turned))])
    assert passed == ()
    assert failed == {"0": WRONG}


def test_a_wrong_axis_is_seen():
    network, example, group = squares()
    turned = [replace(slot, axis=1 - slot.axis) if slot.tensor.endswith("weight") else slot for slot in group.slots]
    passed, failed = Verifier(network, example).verified([replace(group, slots=tuple(turned))])
    assert passed == () and failed["0"].startswith(BROKEN)


def test_a_missing_slot_is_seen():
    network, example, group = squares()
    without = tuple(slot for slot in group.slots if slot.tensor != "0.bias")
    passed, failed = Verifier(network, example).verified([replace(group, slots=without)])
    assert passed == () and failed["0"].startswith(BROKEN)
