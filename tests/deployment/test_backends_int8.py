"""Int8: near float32, smaller where weights are most of a file, and honest about what it cannot do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from attar.deployment.backends import onnxruntime, openvino
from attar.deployment.backends.onnxruntime import open_onnxruntime, quantize_onnxruntime
from attar.deployment.backends.openvino import open_openvino, quantize_openvino
from attar.deployment.export import to_onnx
from attar.deployment.refused import DeploymentError
from attar.errors import BadInput
from attar.network.architectures import mlp

GRID = {"onnxruntime": onnxruntime.GRID, "openvino": openvino.GRID}
QUANTIZERS: dict[str, tuple[Callable[..., None], Callable[..., Any], str]] = {
    "onnxruntime": (quantize_onnxruntime, open_onnxruntime, "q.onnx"),
    "openvino": (quantize_openvino, open_openvino, "q.xml"),
}
EVERY = [(runtime, name) for runtime, grid in GRID.items() for name in grid]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tensor, np.ndarray]:
    """A float32 file of 150 kB, rows, and its logits."""
    torch.manual_seed(0)
    path, rows = tmp_path_factory.mktemp("float") / "m.onnx", torch.rand(200, 64)
    to_onnx(mlp(64, 10, [192, 128]), rows[:1], path)
    return path, rows, open_onnxruntime(path)(rows.numpy())


@pytest.mark.parametrize(("runtime", "name"), EVERY)
def test_near_float_and_a_third_of_its_size(
    exported: tuple[Path, Tensor, np.ndarray], tmp_path: Path, runtime: str, name: str, saturating: frozenset[str]
) -> None:
    source, rows, expected = exported
    quantize, opened, file = QUANTIZERS[runtime]
    quantize(source, tmp_path / file, rows[:100], **GRID[runtime][name])
    logits = opened(tmp_path / file)(rows.numpy())
    assert np.isfinite(logits).all()
    assert name in saturating or np.linalg.norm(logits - expected) < 0.05 * np.linalg.norm(expected)
    assert not np.array_equal(logits, expected), "nothing was quantized"
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert size < source.stat().st_size / 2


@pytest.mark.parametrize("reduce_range", [False, True])
def test_reduced_weights_have_seven_bits(
    exported: tuple[Path, Tensor, np.ndarray], tmp_path: Path, reduce_range: bool
) -> None:
    source, rows, _ = exported
    quantize_onnxruntime(source, tmp_path / "q.onnx", rows[:50], reduce_range=reduce_range)
    weights = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(tmp_path / "q.onnx").graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 2
    ]
    assert len(weights) == 3
    assert max(int(np.abs(weight.astype(int)).max()) for weight in weights) == (64 if reduce_range else 127)


@pytest.mark.parametrize("runtime", list(GRID))
def test_ranges_clip_no_row_that_was_handed_in(tmp_path: Path, runtime: str) -> None:
    """One row in a hundred is ten times as large; an average over rows would cut it off."""
    torch.manual_seed(0)
    student = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))
    rows = torch.rand(100, 16)
    rows[7] *= 10
    to_onnx(student, rows[:1], tmp_path / "m.onnx")
    quantize, opened, file = QUANTIZERS[runtime]
    quantize(tmp_path / "m.onnx", tmp_path / file, rows)
    expected = open_onnxruntime(tmp_path / "m.onnx")(rows[7:8].numpy())
    logits = opened(tmp_path / file)(rows[7:8].numpy())
    assert np.abs(logits - expected).max() < 0.05 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("quantize", "setting", "message"),
    [
        (quantize_onnxruntime, {"activations": "int4"}, "activations of quantize_onnxruntime must be uint8 or int8"),
        (quantize_openvino, {"preset": "mix"}, "preset of quantize_openvino .* 'mixed'"),
        (quantize_openvino, {"overflow_fix": "on"}, "overflow_fix of quantize_openvino"),
        (quantize_openvino, {"ranges": "minmx"}, "ranges of quantize_openvino .* 'minmax'"),
    ],
)
def test_unknown_settings_are_refused(
    exported: tuple[Path, Tensor, np.ndarray],
    tmp_path: Path,
    quantize: Callable[..., None],
    setting: dict[str, str],
    message: str,
) -> None:
    source, rows, _ = exported
    with pytest.raises(BadInput, match=message):
        quantize(source, tmp_path / "q.xml", rows[:1], **setting)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("runtime", list(GRID))
def test_a_file_that_is_no_graph_is_refused(tmp_path: Path, runtime: str) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no graph")
    quantize, _, file = QUANTIZERS[runtime]
    with pytest.raises(DeploymentError, match=r"The student cannot be deployed to .* in int8"):
        quantize(tmp_path / "m.onnx", tmp_path / file, torch.rand(4, 64))
