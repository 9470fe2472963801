"""What may lose all its units, and what is left of the groups when it has."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from attar.pruning.edit import prune
from attar.pruning.emptied import may_be_emptied, still_there
from attar.pruning.groups import find_groups
from attar.pruning.verify import masked


class Branch(nn.Module):
    """Two layers beside a shortcut, between two more."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.stem, self.inner = nn.Linear(3, 4), nn.Linear(4, 5)
        self.outer, self.head = nn.Linear(5, 4, bias=bias), nn.Linear(4, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.tanh(self.stem(inputs))
        return self.head(hidden + self.outer(torch.tanh(self.inner(hidden))))


EXAMPLES = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))


def test_a_branch_may_be_emptied_and_a_chain_may_not() -> None:
    torch.manual_seed(0)
    network = Branch()
    groups = find_groups(network, EXAMPLES)
    assert may_be_emptied(network, groups, EXAMPLES) == {"inner"}
    chain = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    assert may_be_emptied(chain, find_groups(chain, EXAMPLES), EXAMPLES) == frozenset()


@pytest.mark.parametrize("bias", [True, False])
def test_what_is_left_is_pruned_on(bias: bool) -> None:
    torch.manual_seed(0)
    network = Branch(bias).eval()
    groups = find_groups(network, EXAMPLES)
    with masked(network, groups, {"inner": range(5), "stem": [1]}), torch.no_grad():
        expected = network(EXAMPLES)
    prune(network, groups, {"inner": range(5)}).apply(network)
    left = still_there(groups.without({"inner": range(5)}), network)
    assert [group.name for group in left.groups] == ["stem"]
    assert {slot.tensor for slot in left.groups[0].slots} <= set(network.state_dict())
    prune(network, left, {"stem": [1]}).apply(network)
    with torch.no_grad():
        torch.testing.assert_close(network(EXAMPLES), expected, rtol=0, atol=1e-6)
