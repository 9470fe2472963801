"""How a network is named, identified, saved and rebuilt without unpickling anything."""

from __future__ import annotations

import errno
import hashlib
import inspect
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from attar.errors import BadInput, CorruptFile, must
from attar.network.references import ARCHITECTURES, check_architecture, raised, summary, within
from attar.network.references import resolve as resolve
from attar.network.standardize import Standardize
from attar.records import parse_json
from attar.workspace import new_file


@dataclass(frozen=True)
class Spec:
    """What is needed to build a network anew: a function and its arguments, both as plain data.

    Attributes:
        reference: ``package.module:function``; called with ``arguments`` it returns a `torch.nn.Module`.
        arguments: Keyword arguments; anything that JSON can hold.
        mean: Per channel, taken from the inputs before the network; None for inputs as they come.
        std: Per channel, by which the inputs are divided then; goes with ``mean``.
    """

    reference: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if (self.mean is None) != (self.std is None):
            given = {"mean": self.mean, "std": self.std}
            raise must("mean and std", "the spec", "given together", given, "Give both or neither")

    def build(self) -> nn.Module:
        """Call the function.

        Raises:
            BadInput: If there is no such function, it does not take these arguments, it raises anything, or it returns
                no module.
        """
        make = resolve(self.reference)
        try:
            network = make(**self.arguments)
        except BadInput:
            raise
        except (Exception, SystemExit) as error:
            # What Attar's own functions and torch say (of a negative width) is about the arguments; what the user's
            # own code says may be about anything.
            module = self.reference.partition(":")[0]
            if module != ARCHITECTURES and _takes(make, self.arguments):
                raise raised(self.reference, error) from error
            raise must(
                "arguments", self.reference, "what the function takes", dict(self.arguments), summary(error)
            ) from error
        if not isinstance(network, nn.Module):
            raise must("network", self.reference, "a torch.nn.Module", type(network).__name__, "Return the module")
        return network if self.mean is None or self.std is None else Standardize(network, self.mean, self.std)

    def to_json(self) -> dict[str, Any]:
        """The spec as a plain document."""
        plain: dict[str, Any] = {"reference": self.reference, "arguments": dict(self.arguments)}
        if self.mean is not None and self.std is not None:
            plain |= {"mean": list(self.mean), "std": list(self.std)}
        return plain

    @classmethod
    def from_json(cls, document: Mapping[str, Any], allow: Collection[str] = ("attar",)) -> Spec:
        """Read a spec that came with a file, which may come from anywhere.

        Args:
            document: What `to_json` gave.
            allow: Packages or modules whose functions the file may name; ``attar`` stands for its architectures
                alone. Nothing else is imported, so that a file cannot choose what code runs.

        Raises:
            BadInput: If the document is no spec, or names a function outside ``allow``.
        """
        reference, arguments = document.get("reference"), document.get("arguments", {})
        if not isinstance(reference, str) or not isinstance(arguments, Mapping):
            raise must("spec", "the file", "a reference and its arguments", document, "Write the artifact again")
        module = reference.partition(":")[0]
        package = module.partition(".")[0]
        if package == "attar" and "attar" in allow and module == ARCHITECTURES:
            check_architecture(reference, "network of the file")
        elif not within(module, [name for name in allow if name != "attar"]):
            raise must(
                "network",
                "the file",
                f"a function of {', '.join(sorted(allow)) or 'no package'}",
                reference,
                f"If you trust it, pass allow=[{package!r}], or pass the network itself",
            )
        return cls(reference, dict(arguments), document.get("mean"), document.get("std"))


def _takes(make: Callable[..., Any], arguments: Mapping[str, Any]) -> bool:
    """Whether a function can be called with these arguments at all."""
    try:
        inspect.signature(make).bind(**arguments)
    except TypeError:
        return False
    except ValueError:  # a function of C that does not say
        return True
    return True


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
        for place, part in enumerate(value):
            _digest_into(total, f"{name}.{place}", part)
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
    tensors, _ = read_tensors(path)
    must_fit(network.state_dict(), tensors, path, "Build the network that was saved")
    network.load_state_dict(tensors)
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
