"""Files of weights: named tensors as safetensors, nothing of which is unpickled, and the digest of a network."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from attar.errors import BadInput, CorruptFile, must
from attar.records import parse_json
from attar.workspace import new_file


def digest(network: nn.Module) -> str:
    """SHA-256 of a network's parameters and buffers: names, types, shapes and bytes.

    Example:
        >>> one = torch.nn.Linear(2, 1)
        >>> digest(one) == digest(one)
        True
    """
    total = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        _digest_into(total, name, value)
    return total.hexdigest()


def _digest_into(total: Any, name: str, value: object) -> None:
    """Add one entry of a state to a digest: a tensor, or what quantized layers hold of them."""
    if isinstance(value, Tensor) and value.is_quantized:
        # Its scales are a part of its numbers, which these are with the codes.
        _digest_into(total, f"{name}.codes", value.int_repr())
        _digest_into(total, f"{name}.values", value.dequantize())
    elif isinstance(value, Tensor):
        data = value.detach().cpu().contiguous()
        total.update(f"{name}|{data.dtype}|{tuple(data.shape)}|".encode())
        total.update(data.reshape(-1).view(torch.uint8).numpy().data)
    elif isinstance(value, tuple | list):
        for place, inner in enumerate(value):
            _digest_into(total, f"{name}.{place}", inner)
    elif value is not None:
        total.update(f"{name}|{value!r}|".encode())


def save_weights(network: nn.Module, path: Path, about: Mapping[str, Any] | None = None) -> None:
    """Write a network's parameters and buffers as safetensors, whole or not at all.

    Args:
        network: Any module.
        path: The file to write.
        about: A JSON document kept in the file's header.
    """
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in network.state_dict().items()}
    write_tensors(tensors, path, about)


def write_tensors(tensors: Mapping[str, Tensor], path: Path, about: Mapping[str, Any] | None = None) -> None:
    """Write named tensors and a JSON document as one safetensors file; a crash leaves the old file or the new one."""
    with new_file(path) as unfinished:
        try:
            save_file(dict(tensors), unfinished, metadata={"attar": json.dumps(about or {})})
        except SafetensorError as error:
            # The library hides which system error it was; a full disk is the one that happens.
            full = "No space left" in str(error) or "too large" in str(error)
            raise OSError(errno.ENOSPC if full else errno.EIO, str(error), str(path)) from error


_PICKLED = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")
"""How files are called that torch.save wrote."""


def read_tensors(
    path: Path, remedy: str = "Restore it, or write it again."
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote.

    Args:
        path: The file.
        remedy: What to do about a damaged one, as a sentence.

    Raises:
        CorruptFile: If the file is truncated or is no safetensors file of ours.
        BadInput: If there is no such file.
    """
    if not path.is_file():
        raise must("path", "the weights", "an existing safetensors file", path, "Check the path")
    if path.suffix.lower() in _PICKLED:
        raise BadInput(
            f"{path} is a file of torch.save, which is not read here, since loading one can run code. If you trust it, "
            f"convert it once: from safetensors.torch import save_file; "
            f"save_file(torch.load({path.name!r}, weights_only=True), {path.stem + '.safetensors'!r})."
        )
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("attar", "{}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError) as error:
        raise CorruptFile(f"{path} is not a whole safetensors file ({error}). {remedy}") from error
    about = parse_json(text, f"The header of {path}", remedy, finite=False)
    if not isinstance(about, dict):
        raise CorruptFile(f"The header of {path} must hold a JSON object. {remedy}")
    return tensors, about


def load_weights(network: nn.Module, path: Path) -> nn.Module:
    """Fill a network from a safetensors file, and return it.

    Raises:
        CorruptFile: If the file is truncated.
        BadInput: If names or shapes are not the network's.
    """
    return fill(network, read_tensors(path)[0], path)


def fill(network: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> nn.Module:
    """Fill a network with tensors that were read already, and return it.

    Args:
        network: The network; changed in place.
        tensors: Its parameters and buffers, by name.
        path: Where they were read; for messages.

    Raises:
        BadInput: If names or shapes are not the network's.
    """
    must_fit(network.state_dict(), tensors, path, "Build the network that was saved")
    network.load_state_dict(dict(tensors))
    return network


def must_fit(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path, remedy: str) -> None:
    """See that names and shapes of weights are those of a network.

    Args:
        wanted: The network's, by name.
        found: Those of the file.
        path: Where they were read; for messages.
        remedy: What to do, as a sentence without its period.

    Raises:
        BadInput: If they are not.
    """
    missing, extra = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if missing or extra:
        raise BadInput(
            f"weights of {path} must have the network's tensor names; missing {missing[:3]}, unknown {extra[:3]} "
            f"({len(missing)} and {len(extra)} in all). {remedy}."
        )
    for name, tensor in found.items():
        if tensor.shape != wanted[name].shape:
            rule = f"of shape {tuple(wanted[name].shape)}"
            raise must(f"tensor {name!r}", str(path), rule, tuple(tensor.shape), remedy)
