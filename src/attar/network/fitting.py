"""Building the network that weights belong to, when both came with a file: nothing is allocated before they fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from attar.errors import BadInput, CorruptFile, must, shown
from attar.network.copying import without_memory
from attar.network.references import ARCHITECTURES
from attar.network.spec import Edit, Spec
from attar.network.weights import must_fit

_MOST_OF_A_LAYER = 8
"""Parameters that a layer has at most; for those that a function makes, and an edit takes out again."""


def build_to_fit(spec: Spec, weights: Mapping[str, Tensor], path: Path, seed: int = 0) -> nn.Module:
    """The network of a spec, once it is sure that these weights are its own.

    A few bytes can ask for any number of layers of any width. So Attar's architectures are first built without
    memory, with no more parameters than weights and layers that edits name allow, and compared. Functions of packages
    that the user allowed are trusted, and called once; what edits make of it is compared before it gets memory.

    Args:
        spec: How to build it.
        weights: What it will be filled with.
        path: Where the weights are; for messages.
        seed: Of what the function draws and no weight holds, such as buffers that are not saved.

    Returns:
        The network, not filled yet. The caller's random numbers are left as they are.

    Raises:
        BadInput: If names or shapes of the weights are not the network's, or the spec cannot be built.
        CorruptFile: If the arguments of one of Attar's architectures are none.
    """
    if spec.reference.partition(":")[0] == ARCHITECTURES:
        must_fit(_declared(spec, len(weights), path), weights, path, "Build the network that was saved")
    # The weights drawn here are overwritten later: the caller's random numbers must not depend on it.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        if spec.reference.partition(":")[0] == ARCHITECTURES or not spec.edits:
            return spec.build()
        network = spec.standardized(spec.called())
        edited = spec.edited(without_memory(network)).state_dict()
        must_fit(edited, weights, path, "Build the network that was saved")
        return spec.edited(network)


def _declared(spec: Spec, most: int, path: Path) -> dict[str, Tensor]:
    """Names and shapes of what the network will hold, as tensors without memory."""
    try:
        with torch.device("meta"), _parameters(most + _MOST_OF_A_LAYER * _named(spec.edits), path):
            network = spec.called()
        network = spec.standardized(network)
    except BadInput:
        raise
    except Exception as error:  # whatever arguments of any other type, sign or size make of an architecture
        raise CorruptFile(
            f"The network of {path} cannot be built: {spec.reference} does not take {shown(dict(spec.arguments))} "
            f"({type(error).__name__}: {shown(str(error))}). Restore the files, or deploy again."
        ) from error
    return dict(spec.edited(network).state_dict())


def _named(edits: Sequence[Edit]) -> int:
    """How many layers edits can take out: they name each."""
    return sum(len(one) for edit in edits for one in edit.to_json().values() if isinstance(one, list))


@contextmanager
def _parameters(most: int, path: Path) -> Iterator[None]:
    """Let no more than so many parameters be made."""
    parameters = 0

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal parameters
        parameters += 1
        if parameters > most:
            remedy = "Restore the files, or deploy again"
            raise must("network", str(path), f"one of {most} tensors, as its weights are", "one of more", remedy)

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()
