"""Constants that were spread over a map only to be added to one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from attar.deployment.backends.onnxruntime import open_onnxruntime
from attar.deployment.export import to_onnx
from attar.pruning.removed import Biases


class Beside(nn.Module):
    """What a layer without inputs gives, through some layers, added to what came in."""

    def __init__(self, layer: nn.Module, *after: nn.Module) -> None:
        super().__init__()
        self.branch = nn.Sequential(Biases(layer), *after)
        for norm in self.branch.modules():
            if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
                nn.init.normal_(norm.running_mean)
                nn.init.uniform_(norm.running_var, 0.5, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = torch.relu(inputs + self.branch(inputs))
        return outputs


def maps() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        Beside(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()),
        Beside(nn.Conv2d(4, 4, 1)),
        nn.Flatten(),
        nn.Linear(4 * 36, 3),
    )


def rows() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 5), Beside(nn.Linear(5, 5), nn.BatchNorm1d(5)), nn.Linear(5, 3))


def pooled() -> nn.Module:
    branch = Biases(nn.Conv2d(1, 4, 3, padding=1))
    return nn.Sequential(branch, nn.AvgPool2d(3, count_include_pad=False), nn.Flatten(), nn.Linear(16, 3))


@pytest.mark.parametrize(("made", "small"), [(maps, True), (rows, True), (pooled, False)])
def test_they_stay_small_where_they_may_and_the_network_gives_the_same(
    made: object, small: bool, tmp_path: Path
) -> None:
    assert callable(made)
    torch.manual_seed(0)
    network, path = made().eval(), tmp_path / "network.onnx"
    to_onnx(network, torch.zeros(1, 1, 6, 6), path)
    kinds = {node.op_type for node in onnx.load(path).graph.node}
    if small:
        assert not kinds & {"Expand", "BatchNormalization", "Shape"}
    inputs = torch.randn(5, 1, 6, 6)
    with torch.inference_mode():
        wanted = network(inputs).numpy()
    np.testing.assert_allclose(open_onnxruntime(path, 1)(inputs.numpy()), wanted, rtol=1e-5, atol=1e-6)
