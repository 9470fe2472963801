from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from attar.network.float32 import in_float32, number_types

ROWS = torch.tensor([[1.0, -2.0], [0.5, 3.0]])


class Converts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1).half()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(inputs.half())  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_a_network_of_one_type_runs_in_float32_with_the_same_weights(kind: torch.dtype) -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)).to(kind).train()
    floats = in_float32(network, ROWS)
    assert floats is not None
    assert floats.training
    assert number_types(floats) == ()
    assert number_types(network) == (str(kind).removeprefix("torch."),)
    for name, tensor in network.state_dict().items():
        assert torch.equal(floats.state_dict()[name], tensor.float() if tensor.is_floating_point() else tensor)


def test_a_network_that_converts_its_inputs_itself_does_not() -> None:
    assert in_float32(Converts(), ROWS) is None
