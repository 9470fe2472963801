"""Asking a network: what goes in stays as it is, and what comes out is one tensor of float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from attar.errors import BadInput

LOGITS = "logits"
"""The name by which an output among several is known."""


def forward(module: nn.Module, inputs: Tensor, *, of: str | None = None) -> Tensor:
    """The output of a network in float32, its inputs left as they are.

    The network gets a copy of the inputs, since many networks begin with an operation in place, in the type of its own
    numbers. Its mode and whether gradients are recorded are up to the caller (see `attar.network.evaluating`).

    Args:
        module: The network.
        inputs: ``[batch, ...]``, on the device of the network.
        of: What errors call the network; None for the name of its class.

    Returns:
        What `output_of` finds in the output, as float32.

    Raises:
        BadInput: If the output has no tensor that can be told from the others.
    """
    numbers = number_type(module)
    copied = inputs.clone() if numbers in (None, inputs.dtype) or not inputs.is_floating_point() else inputs.to(numbers)
    return output_of(module(copied), of or type(module).__name__).float()


def number_type(module: nn.Module) -> torch.dtype | None:
    """The one type of all floating parameters and buffers of a network; None where there are none, or several types.

    A network of several types converts its inputs itself.

    Example:
        >>> number_type(nn.Linear(2, 1).half())
        torch.float16
        >>> number_type(nn.Sequential(nn.Linear(2, 1).half(), nn.Linear(1, 1))) is None
        True
    """
    found = floating_types(module)
    return found.pop() if len(found) == 1 else None


def floating_types(module: nn.Module) -> set[torch.dtype]:
    """The types of all floating parameters and buffers of a network."""
    # parameters() and buffers() take twice as long, to name each tensor and to give it once: this runs for each batch.
    tensors = chain.from_iterable(
        chain(child._parameters.values(), child._buffers.values()) for child in module.modules()
    )
    return {tensor.dtype for tensor in tensors if tensor is not None and tensor.is_floating_point()}


def output_of(result: object, of: str) -> Tensor:
    """The one tensor that is meant by the output of a network.

    A tensor is meant itself. Of a mapping, a named tuple or a dataclass it is the entry ``logits``, else the only
    tensor in it; of any other tuple or list the first entry.

    Args:
        result: What the network returned.
        of: What errors call the network.

    Raises:
        BadInput: If there is no tensor, none can be told from the others, or its numbers are complex.

    Example:
        >>> output_of({"logits": torch.zeros(1, 2), "hidden": torch.ones(1, 8)}, "the network").shape
        torch.Size([1, 2])
    """
    if isinstance(result, Tensor):
        return _real(result, of)
    named = _named(result)
    if named is not None:
        tensors = {name: value for name, value in named.items() if isinstance(value, Tensor)}
        if LOGITS in tensors:
            return _real(tensors[LOGITS], of)
        if len(tensors) == 1:
            return _real(next(iter(tensors.values())), of)
        among = f" among the tensors {', '.join(map(repr, tensors))}" if tensors else ""
        raise BadInput(
            f"{of} gives a {type(result).__name__} without an entry 'logits'{among}. "
            "Wrap the network so that it returns the tensor of its logits alone."
        )
    if isinstance(result, Sequence) and not isinstance(result, str) and result and isinstance(result[0], Tensor):
        return _real(result[0], of)
    raise BadInput(
        f"{of} gives a {type(result).__name__} where a tensor is needed. "
        "Wrap the network so that it returns the tensor of its logits alone."
    )


def _real(output: Tensor, of: str) -> Tensor:
    if output.layout != torch.strided:
        output = output.to_dense()
    if output.is_complex():
        raise BadInput(
            f"{of} gives complex numbers, of which logits cannot be made. Let its forward return their real part, or "
            "their size."
        )
    return output


def _named(result: Any) -> Mapping[str, Any] | None:
    """The entries of an output by name; None where they have none."""
    if isinstance(result, Mapping):  # the outputs of Hugging Face's models are mappings and dataclasses at once
        return {str(name): value for name, value in result.items()}
    if is_dataclass(result) and not isinstance(result, type):
        return {field.name: getattr(result, field.name) for field in fields(result)}
    names = getattr(result, "_fields", None) if isinstance(result, tuple) else None
    if names is not None:
        return dict(zip(names, result, strict=True))
    return None
