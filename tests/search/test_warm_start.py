"""First weights from another network: which are taken, and how many."""

from __future__ import annotations

import torch
from torch import nn

from attar.network.weights import digest
from attar.pruning.groups import find_groups
from attar.search.warm_start import warm_start


def perceptron(hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, hidden), nn.ReLU(), nn.Linear(hidden, 3))


def test_the_units_of_the_largest_weights_are_taken_in_every_tensor() -> None:
    parent, child = perceptron(4), perceptron(2)
    with torch.no_grad():
        parent[0].weight.copy_(torch.tensor([[0.1, 0.0], [3.0, 0.0], [0.0, 0.2], [0.0, -2.0]]))
    before = digest(parent)
    assert warm_start(child, parent, find_groups(parent, torch.rand(1, 2))) == 1
    assert digest(parent) == before
    torch.testing.assert_close(child[0].weight, parent[0].weight[[1, 3]])
    torch.testing.assert_close(child[0].bias, parent[0].bias[[1, 3]])
    torch.testing.assert_close(child[2].weight, parent[2].weight[:, [1, 3]])


def test_without_groups_first_positions_are_taken() -> None:
    parent, child = perceptron(4), perceptron(2)
    assert warm_start(child, parent) == 1
    torch.testing.assert_close(child[2].weight, parent[2].weight[:, :2])


def test_a_larger_network_keeps_what_the_parent_has_not() -> None:
    parent, child = perceptron(2), perceptron(4)
    first = child[0].weight.detach().clone()
    assert warm_start(child, parent, find_groups(parent, torch.rand(1, 2))) == (4 + 2 + 6 + 3) / (8 + 4 + 12 + 3)
    torch.testing.assert_close(child[0].weight, torch.cat([parent[0].weight, first[2:]]))


def test_statistics_of_channels_go_with_them_and_other_kinds_of_tensors_stay() -> None:
    def convolutions(width: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.Flatten(), nn.Linear(width * 4, 2))

    parent, child = convolutions(5), convolutions(3)
    with torch.no_grad():
        parent[0].weight.copy_(torch.tensor([1.0, 5, 2, 4, 3]).reshape(5, 1, 1, 1).expand(5, 1, 3, 3))
        parent[1].running_mean.copy_(torch.arange(5.0))
    assert warm_start(child, parent, find_groups(parent, torch.rand(1, 1, 4, 4))) == 1
    assert child[1].running_mean.tolist() == [1, 3, 4]
    torch.testing.assert_close(child[3].weight, parent[3].weight[:, [4, 5, 6, 7, *range(12, 20)]])
    assert warm_start(nn.Sequential(nn.Conv1d(1, 2, 3)), parent) == 2 / 8  # biases; the weights have other axes
    assert warm_start(nn.Flatten(), parent) == 0
