"""Layers that somebody reads keep their width: which groups that leaves."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from attar.errors import BadInput
from attar.pruning.groups import find_groups
from attar.pruning.read_layers import without_changes_of

EXAMPLE = torch.ones(2, 4)


def test_groups_that_would_make_a_layer_narrower_are_named() -> None:
    network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    groups = find_groups(network, EXAMPLE)
    found = without_changes_of(groups, network, EXAMPLE, {"1": "the term 'hint'"})
    assert list(found.named()) == ["2"]
    assert found.untouched == {**groups.untouched, "0": "the term 'hint' reads '1', which it would make narrower"}
    assert without_changes_of(groups, network, EXAMPLE, {"4": "the term 'hint'"}).groups == groups.groups
    with pytest.raises(BadInput, match="'9'"):
        without_changes_of(groups, network, EXAMPLE, {"9": "the term 'hint'"})
