from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from attar.network.unchanged import Unchanged


class Changes(nn.Module):
    """Doubles its inputs, in one of several ways to change them on the way."""

    def __init__(self, change: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.change = change

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = inputs * 2
        self.change(inputs)
        return outputs


def by_numpy(inputs: Tensor) -> None:
    inputs.numpy()[0] = 7.0


WAYS: dict[str, Callable[[Tensor], object]] = {
    "subtracts": lambda inputs: inputs.sub_(5),
    "a view": lambda inputs: inputs[1:].relu_(),
    "its shape": lambda inputs: inputs.unsqueeze_(1),
    "its data": lambda inputs: inputs.data.sub_(5),
    "numpy": by_numpy,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("inference", [False, True])
def test_a_network_that_works_in_place_gets_copies(way: str, inference: bool) -> None:
    ask, network = Unchanged(), Changes(WAYS[way])
    for _ in range(3):
        inputs = torch.tensor([[-1.0, 2.0], [-3.0, 4.0]])
        before = inputs.clone()
        with torch.inference_mode(inference):
            assert torch.equal(ask(network, inputs), before * 2)
        assert inputs.shape == before.shape
        assert torch.equal(inputs, before)
        assert ask.copies


def test_other_networks_get_the_inputs_themselves_after_the_first_question() -> None:
    got: list[Tensor] = []
    ask, network = Unchanged(), Changes(got.append)
    inputs = torch.tensor([[1.0, float("nan")]])
    for _ in range(3):
        ask(network, inputs)
    assert [each is inputs for each in got] == [False, True, True]


def test_a_network_that_begins_to_work_in_place_gets_copies_from_then_on() -> None:
    ask = Unchanged()
    network = nn.Sequential(nn.Dropout(inplace=True))
    inputs = torch.ones(2, 3)
    for mode in (False, False, True):
        ask(network.train(mode), inputs)
    assert ask.copies
    before = inputs.clone()
    ask(network, inputs)
    assert torch.equal(inputs, before)
