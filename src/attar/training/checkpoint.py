"""Nested state (tensors, numbers, strings, lists, dicts) in one safetensors file: nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attar.errors import CorruptFile
from attar.network.weights import read_tensors, write_tensors

_TENSOR, _PAIRS, _TUPLE, _LARGE = "__tensor__", "__pairs__", "__tuple__", "__integer__"

_IN_JSON = range(-(2**63), 2**64)
"""Whole numbers that records hold; NumPy's generators have larger ones in their state."""


def save_state(state: Any, path: Path) -> None:
    """Write nested state; a crash at any moment leaves the old file or the new one.

    Args:
        state: Tensors, None, bools, numbers and strings in any nesting of dicts, lists and tuples.
        path: The file.
    """
    tensors: dict[str, Tensor] = {}
    skeleton = _flatten(state, tensors)
    write_tensors(tensors, path, {"state": skeleton, "sha256": _digest(tensors, skeleton)})


def load_state(path: Path) -> Any:
    """Read what `save_state` wrote.

    Raises:
        CorruptFile: If the file is truncated or altered.
    """
    remedy = "Delete it to start that training anew."
    tensors, about = read_tensors(path, remedy)
    try:
        if _digest(tensors, about["state"]) != about["sha256"]:
            raise ValueError("its checksum differs")
        return _restore(about["state"], tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptFile(f"{path} is not a checkpoint of Attar ({error!r}). {remedy}") from error


def _digest(tensors: dict[str, Tensor], skeleton: Any) -> str:
    total = hashlib.sha256(json.dumps(skeleton).encode())
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _flatten(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        name = f"{len(tensors):06d}"
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {_TENSOR: name}
    if isinstance(value, dict):
        # JSON has string keys only, and optimizers number their parameters.
        return {_PAIRS: [[_flatten(key, tensors), _flatten(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list):
        return [_flatten(item, tensors) for item in value]
    if isinstance(value, tuple):
        return {_TUPLE: [_flatten(item, tensors) for item in value]}
    if isinstance(value, int) and value not in _IN_JSON:
        return {_LARGE: hex(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a checkpoint holds tensors and plain values; got {type(value).__name__}")


def _restore(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_restore(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if _TENSOR in value:
        return tensors[value[_TENSOR]]
    if _LARGE in value:
        return int(value[_LARGE], 16)
    if _TUPLE in value:
        return tuple(_restore(item, tensors) for item in value[_TUPLE])
    return {_restore(key, tensors): _restore(item, tensors) for key, item in value[_PAIRS]}
