"""Taps: what is recorded is what the layer gave, under wrappers and copies, and no hook stays."""

from __future__ import annotations

import copy

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from attar.errors import BadInput
from attar.network.taps import find_layer, tapped


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Nested(nn.Module):
    """Layers in layers, one of which runs twice, one never, and one that gives a pair."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(inplace=True))
        self.again = nn.Linear(4, 4)
        self.idle = nn.Linear(4, 4)
        self.memory = nn.LSTM(4, 4, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.again(self.again(self.body(x)))
        x, _ = self.memory(x.unsqueeze(1))
        logits: torch.Tensor = self.head(x.squeeze(1))
        return logits


def hooks(network: nn.Module) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in network.modules())


def test_it_hears_what_the_layers_say():
    network, inputs = Nested().eval(), normal(5, 3)
    with tapped(network, ["body", "body.0", "head"]) as outputs:
        output = network(inputs)
    assert torch.equal(outputs["body.0"], network.body[0](inputs))
    assert torch.equal(outputs["body"], network.body(inputs))
    assert torch.equal(outputs["head"], output)


def test_what_comes_after_does_not_change_what_was_heard():
    network, inputs = Nested().eval(), normal(5, 3)
    with tapped(network, ["body.1"]) as outputs:
        network(inputs)
    # The ReLU behind it works in place.
    assert (outputs["body.1"] < 0).any()
    assert torch.equal(outputs["body.1"], network.body[1](network.body[0](inputs)))


def test_the_gradient_flows():
    network = Nested()
    with tapped(network, ["body.1"]) as outputs:
        network(normal(5, 3))
    outputs["body.1"].square().sum().backward()
    assert network.body[0].weight.grad is not None and network.head.weight.grad is None


def test_each_forward_pass_begins_anew():
    network = Nested().eval()
    with tapped(network, ["head"]) as outputs:
        network(normal(5, 3))
        output = network(normal(2, 3, seed=1))
    assert torch.equal(outputs["head"], output)


def test_no_hook_stays():
    network = Nested()
    with tapped(network, ["body", "head"]):
        assert hooks(network) == 3
        network(normal(5, 3))
    assert hooks(network) == 0


@pytest.mark.parametrize("names", [["body"], ["again"], ["memory"], ["nowhere"]])
def test_no_hook_stays_after_an_error(names):
    network = Nested()
    with pytest.raises((BadInput, RuntimeError)), tapped(network, names):
        network(normal(5, 3) if names != ["body"] else normal(5, 7))
    assert hooks(network) == 0


def test_a_hook_of_somebody_else_stays():
    network, calls = Nested(), []
    network.head.register_forward_hook(lambda *_: calls.append(1))
    with tapped(network, ["head"]):
        network(normal(5, 3))
    network(normal(5, 3))
    assert hooks(network) == 1 and calls == [1, 1]


def test_taps_may_be_within_taps():
    network = Nested().eval()
    with tapped(network, ["head"]) as outer, tapped(network, ["head", "body"]) as inner:
        network(normal(5, 3))
    assert torch.equal(outer["head"], inner["head"]) and inner["body"].shape == (5, 4)


def test_a_copy_of_a_tapped_network_is_not_heard():
    network = Nested().eval()
    with tapped(network, ["head"]) as outputs:
        network(normal(5, 3))
        mine = outputs["head"]
        copy.deepcopy(network)(normal(2, 3, seed=1))
        assert outputs["head"] is mine
    # A copy from before is tapped like any network.
    other = copy.deepcopy(network)
    with tapped(other, ["head"]) as outputs:
        assert torch.equal(other(normal(5, 3)), mine) and torch.equal(outputs["head"], mine)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_wrapped_network_is_heard(precision):
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    wrapped = Fabric(accelerator="cpu", precision=precision).setup_module(network)
    with tapped(network, ["0"]) as outputs:
        wrapped(normal(5, 3))
    torch.testing.assert_close(outputs["0"].float(), network[0](normal(5, 3)), rtol=0.02, atol=0.02)


def test_a_parametrized_layer_is_heard():
    network = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), nn.Linear(4, 2))
    with tapped(network, ["0"]) as outputs:
        network(normal(5, 3))
    assert torch.equal(outputs["0"], network[0](normal(5, 3)))


def test_a_layer_that_does_not_exist_names_those_that_do():
    with pytest.raises(
        BadInput, match=r"layer of the network must be the name of a layer of Nested; got 'bodi'\."
    ) as e:
        find_layer(Nested(), "bodi")
    assert (
        "Did you mean 'body'" in str(e.value)
        and "? The layers are 'body', 'body.0'" in str(e.value)
        and "'head'" in str(e.value)
    )
    with pytest.raises(BadInput, match=r"teacher_layer of term 'hint' must be .* Choose from 'again', 'body'"):
        find_layer(Nested(), "xyz", parameter="teacher_layer", of="term 'hint'")
    with pytest.raises(BadInput, match="Linear has none"):
        find_layer(nn.Linear(2, 2), "0")


def test_the_network_itself_is_no_layer():
    with pytest.raises(BadInput, match="got ''"):
        find_layer(Nested(), "")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("again", "layer 'again' of the network must be one that runs once in a forward pass; it ran again"),
        ("memory", "layer 'memory' of the network must be one that gives one tensor; got 'tuple'"),
    ],
)
def test_what_cannot_be_heard_is_said(name, message):
    network = Nested()
    with pytest.raises(BadInput, match=message), tapped(network, [name]):
        network(normal(5, 3))


def test_a_layer_that_did_not_run_is_said():
    network = Nested()
    with tapped(network, ["idle"]) as outputs:
        network(normal(5, 3))
    with pytest.raises(BadInput, match="layer 'idle' of the network must be one that runs in a forward pass"):
        outputs["idle"]
