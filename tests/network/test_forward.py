from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from attar.errors import BadInput
from attar.network.forward import forward, number_type, output_of

Named = namedtuple("Named", "hidden logits")


@dataclass
class Record:
    logits: Tensor
    hidden: Tensor | None = None


class ModelOutput(OrderedDict):  # type: ignore[type-arg]
    """As the models of Hugging Face give it: a mapping."""


LOGITS = torch.tensor([[1.0, 2.0]])
HIDDEN = torch.zeros(1, 8)


@pytest.mark.parametrize(
    "result",
    [
        LOGITS,
        {"hidden": HIDDEN, "logits": LOGITS},
        {"scores": LOGITS, "note": "no tensor"},
        Named(HIDDEN, LOGITS),
        Record(LOGITS, HIDDEN),
        ModelOutput(loss=None, logits=LOGITS, hidden=HIDDEN),
        (LOGITS, HIDDEN),
        [LOGITS],
    ],
)
def test_the_logits_are_found(result: object) -> None:
    assert output_of(result, "the network") is LOGITS


@pytest.mark.parametrize("result", ["text", None, (), ("text", LOGITS), {}, {"a": LOGITS, "b": HIDDEN}, 3.0])
def test_an_output_without_a_tensor_of_its_own_is_told(result: object) -> None:
    with pytest.raises(BadInput, match="the network gives a"):
        output_of(result, "the network")


class Shifts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        inputs -= 5
        return torch.as_tensor(self.layer(inputs))


def test_a_network_that_works_in_place_leaves_its_inputs_alone() -> None:
    network, inputs = Shifts(), torch.ones(4, 3)
    expected = network.layer(torch.ones(4, 3) - 5)
    assert torch.equal(forward(network, inputs), expected)
    assert torch.equal(forward(network, inputs), expected)
    assert torch.equal(inputs, torch.ones(4, 3))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_inputs_come_in_the_type_of_the_network_and_float32_goes_out(kind: torch.dtype) -> None:
    network = nn.Linear(3, 2).to(kind)
    inputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    got = forward(network, inputs)
    assert got.dtype == torch.float32
    assert torch.equal(got, network(inputs.to(kind)).float())


def test_a_network_of_several_types_converts_by_itself() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(3, 4).double(), nn.Linear(4, 2)

        def forward(self, inputs: Tensor) -> Tensor:
            assert inputs.dtype == torch.float32
            return torch.as_tensor(self.last(self.first(inputs.double()).float()))

    assert number_type(Mixed()) is None
    assert forward(Mixed(), torch.ones(2, 3)).shape == (2, 2)


def test_whole_numbers_stay_whole() -> None:
    tokens = torch.tensor([[0, 1], [2, 2]])
    network = nn.Sequential(nn.Embedding(3, 4), nn.Flatten()).double()
    assert torch.equal(forward(network, tokens), network(tokens).float())


@pytest.mark.parametrize("wrap", [lambda tensor: tensor, lambda tensor: (tensor, None), lambda tensor: {"x": tensor}])
def test_complex_numbers_are_no_logits(wrap) -> None:
    with pytest.raises(BadInput, match="The network gives complex numbers"):
        output_of(wrap(torch.zeros(2, 3, dtype=torch.complex64)), "The network")
