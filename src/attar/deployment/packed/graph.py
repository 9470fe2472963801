"""The network as an ONNX graph without its weights: they are decoded from the packed file when it is opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from torch import Tensor

from attar.errors import CorruptFile

_ELSEWHERE = "packed"
"""What an initializer without its values names as the place of them."""


def without_weights(graph: Path, packed: Mapping[str, Tensor]) -> bytes:
    """The graph of a network, with all left out that the packed file has.

    Args:
        graph: The ONNX file of what `exportable` gave, with its weights as they are; not changed.
        packed: Parameters and buffers of the packed file, by name.
    """
    model = onnx.load(graph)
    for initializer in model.graph.initializer:
        tensor = packed.get(initializer.name)
        if tensor is None or not _equal(numpy_helper.to_array(initializer), tensor):
            continue
        initializer.ClearField("raw_data")
        for numbers in ("float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
            initializer.ClearField(numbers)
        initializer.data_location = TensorProto.EXTERNAL
        initializer.external_data.add(key="location", value=_ELSEWHERE)
    return bytes(model.SerializeToString())


def with_weights(graph: bytes, state: Mapping[str, Tensor], path: Path) -> Any:
    """The whole graph, an `onnx.ModelProto`.

    Args:
        graph: What `without_weights` gave.
        state: The parameters and buffers, by name.
        path: Where both were read; for messages.

    Raises:
        CorruptFile: If the graph cannot be read, or needs what is not there.
    """
    model = _parsed(graph, path)
    for initializer in model.graph.initializer:
        if initializer.data_location != TensorProto.EXTERNAL:
            continue
        values = _values(initializer, state, path)
        initializer.CopyFrom(numpy_helper.from_array(values, initializer.name))
    return model


def missing_weights(graph: bytes, state: Mapping[str, Tensor], path: Path) -> dict[str, NDArray[Any]]:
    """What the graph lacks, by name.

    Raises:
        CorruptFile: As `with_weights`.
    """
    lacking = (each for each in _parsed(graph, path).graph.initializer if each.data_location == TensorProto.EXTERNAL)
    return {initializer.name: _values(initializer, state, path) for initializer in lacking}


def _parsed(graph: bytes, path: Path) -> Any:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(graph)
    except Exception as error:  # protobuf's own error, which has moved between its versions
        raise CorruptFile(f"{path} has a graph that cannot be read ({error}). Restore it, or deploy again.") from error
    return model


def _values(initializer: Any, state: Mapping[str, Tensor], path: Path) -> NDArray[Any]:
    tensor = state.get(initializer.name)
    if tensor is None or list(tensor.shape) != list(initializer.dims):
        found = "is not there" if tensor is None else f"has shape {tuple(tensor.shape)}"
        raise CorruptFile(
            f"{path} has a graph that needs the tensor {initializer.name!r} {list(initializer.dims)}, which {found}. "
            "Restore it, or deploy again."
        )
    values: NDArray[Any] = tensor.detach().contiguous().numpy()
    if onnx.helper.np_dtype_to_tensor_dtype(values.dtype) != initializer.data_type:
        raise CorruptFile(f"{path} has a graph that needs {initializer.name!r} in another type. Deploy again.")
    return values


def _equal(values: NDArray[Any], tensor: Tensor) -> bool:
    if tensor.dtype == torch.bfloat16:
        return False
    known = tensor.detach().cpu().contiguous().numpy()
    return values.dtype == known.dtype and values.shape == known.shape and values.tobytes() == known.tobytes()
