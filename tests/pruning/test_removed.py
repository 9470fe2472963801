"""What stands where a layer was gives what the layer gave of zeros."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from attar.network.copying import copied
from attar.network.evaluating import evaluating
from attar.pruning.edit import prune
from attar.pruning.groups import find_groups
from attar.pruning.removed import Biases, Nothing, replacement
from attar.pruning.verify import masked

CONVOLUTIONS = [
    nn.Conv2d(3, 4, 3),
    nn.Conv2d(3, 4, (3, 5), stride=(2, 3), padding=(1, 2), dilation=(2, 1)),
    nn.Conv2d(3, 4, 3, padding="same", bias=False),
    nn.Conv2d(3, 4, 3, padding="valid"),
    nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"),
    nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1),
    nn.ConvTranspose2d(3, 4, (2, 4), stride=(2, 3), dilation=2, bias=False),
]


def zeros_of(layer: nn.Module, inputs: Tensor) -> Tensor:
    with evaluating(layer):
        return layer(torch.zeros_like(inputs))


@pytest.mark.parametrize("layer", CONVOLUTIONS)
def test_convolutions(layer):
    inputs = torch.randn(2, 3, 11, 13)
    wanted = zeros_of(layer, inputs)
    assert torch.equal(Biases(layer)(inputs[:, :1]), wanted)
    assert torch.equal(Nothing(layer)(inputs), torch.zeros_like(wanted[:, :1]))


@pytest.mark.parametrize("bias", [True, False])
def test_linear_layers_and_embeddings(bias):
    layer, inputs = nn.Linear(5, 4, bias=bias), torch.randn(2, 3, 5)
    assert torch.equal(Biases(layer)(inputs), zeros_of(layer, inputs))
    assert Nothing(layer)(inputs).shape == (2, 3, 1)
    assert Nothing(nn.Embedding(7, 5))(torch.ones(2, 3, dtype=torch.int64)).tolist() == torch.zeros(2, 3, 1).tolist()


def test_biases_that_were_not_there_do_not_learn():
    assert not Biases(nn.Linear(2, 3, bias=False)).bias.requires_grad
    layer = nn.Linear(2, 3)
    assert Biases(layer).bias is layer.bias


def test_what_passes_units_on_passes_all():
    assert isinstance(replacement("a", nn.BatchNorm2d(3), True), nn.Identity)
    assert isinstance(replacement("a", nn.Conv2d(4, 4, 3, groups=4), True), Nothing)


class Branch(nn.Module):
    """A branch with a bias inside, normalized behind, beside a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Conv2d(1, 4, 1)
        self.first, self.norm, self.second = (
            nn.Conv2d(4, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.Conv2d(6, 4, 3, padding=1),
        )
        self.behind, self.last = nn.BatchNorm2d(4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(x)
        return self.last((x + self.behind(self.second(torch.relu(self.norm(self.first(x)))))).mean((2, 3)))


@pytest.mark.parametrize("training", [True, False])
def test_a_branch_without_channels_gives_what_its_biases_give(training):
    torch.manual_seed(0)
    network, inputs = Branch(), torch.randn(4, 1, 5, 5)
    found = find_groups(network, inputs)
    removed = {"first": range(6), "before": [1]}
    slim = prune(network, found, removed).apply(copied(network)).train(training)
    with masked(network.train(training), found, removed), torch.no_grad():
        wanted = network(inputs)
    with torch.no_grad():
        torch.testing.assert_close(slim(inputs), wanted, rtol=1e-5, atol=1e-6)
    assert {name for name, _ in slim.named_parameters()} == {
        *("before.weight", "before.bias", "second.bias", "behind.weight", "behind.bias", "last.weight", "last.bias")
    }


def test_a_network_without_a_branch_is_pruned_further():
    network, inputs = Branch(), torch.randn(4, 1, 5, 5)
    prune(network, find_groups(network, inputs), {"first": range(6)}).apply(network)
    found = find_groups(network, inputs)
    (group,) = found.groups
    assert group.producers == ("before",) and {slot.tensor for slot in group.slots} >= {"second.bias", "behind.weight"}
    with masked(network, found, {"before": [0, 3]}):
        with evaluating(network):
            wanted = network(inputs)
    slim = prune(network, found, {"before": [0, 3]}).apply(network)
    with evaluating(slim):
        torch.testing.assert_close(slim(inputs), wanted, rtol=1e-5, atol=1e-6)
