"""Recording what the layers inside a network give while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from attar.errors import BadInput, must, near


class LayerOutputs:
    """The outputs of some layers in the latest forward pass of a network.

    Example:
        >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True), nn.Linear(3, 1))
        >>> with tapped(network, ["1"]) as outputs:
        ...     output = network(torch.zeros(4, 2))
        >>> tuple(outputs["1"].shape)
        (4, 3)
    """

    def __init__(self) -> None:
        self._outputs: dict[str, torch.Tensor] = {}

    def __getitem__(self, name: str) -> torch.Tensor:
        """What the layer gave, with its gradient.

        Raises:
            BadInput: If it did not run.
        """
        if name not in self._outputs:
            rule = "one that runs in a forward pass"
            raise must(f"layer {name!r}", "the network", rule, "no output", "Name another layer")
        return self._outputs[name]

    def _clear(self) -> None:
        self._outputs.clear()

    def _record(self, name: str, output: Any) -> None:
        if not isinstance(output, torch.Tensor):
            remedy = "Name a layer inside of it, or the one after it"
            raise must(f"layer {name!r}", "the network", "one that gives one tensor", type(output).__name__, remedy)
        if name in self._outputs:
            raise BadInput(
                f"layer {name!r} of the network must be one that runs once in a forward pass; it ran again. "
                "Name the layer around it, or the one before it."
            )
        # A copy, as what follows may work in place: a ReLU would turn this output into its own.
        self._outputs[name] = output.clone()


@contextmanager
def tapped(network: nn.Module, names: Iterable[str]) -> Iterator[LayerOutputs]:
    """Record what layers give, for as long as the context lasts.

    A wrapper around the network may be what is called, and a copy of the network that is made meanwhile records
    nothing. Afterwards, also after an error, the network has no hook that it had not before.

    Args:
        network: The network; each of its forward passes starts the record anew.
        names: Layers by their dotted names, as ``network.named_modules()`` gives them.

    Raises:
        BadInput: If the network has no layer of such a name; in the forward pass, if a layer gives no tensor or runs
            twice.
    """
    outputs = LayerOutputs()
    layers = {name: find_layer(network, name) for name in dict.fromkeys(names)}
    hooks = [network.register_forward_pre_hook(_starter(outputs, network))]
    try:
        hooks += [layer.register_forward_hook(_recorder(outputs, name, layer)) for name, layer in layers.items()]
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


def find_layer(network: nn.Module, name: str, *, parameter: str = "layer", of: str = "the network") -> nn.Module:
    """The layer of a network that has a dotted name.

    Args:
        network: The network.
        name: Name of a submodule, such as ``"body.3"``.
        parameter: What the name is called where the user gave it.
        of: What that is a parameter of.

    Raises:
        BadInput: If there is none; the message has close names, or all.
    """
    layers: dict[str, nn.Module] = {known: layer for known, layer in network.named_modules() if known}
    if not layers:
        raise must(parameter, of, "a layer of a network that has some", name, f"{type(network).__name__} has none")
    if name not in layers:
        every = ", ".join(map(repr, layers))
        remedy = near(str(name), layers)
        if not remedy.startswith("Choose"):
            remedy += f" The layers are {every}"
        raise must(parameter, of, f"the name of a layer of {type(network).__name__}", name, remedy)
    return layers[name]


# A copy of a module takes its hooks along, and they would record for the original: hence the check of who calls.


def _starter(outputs: LayerOutputs, network: nn.Module) -> Any:
    def start(module: nn.Module, inputs: Any) -> None:
        if module is network:
            outputs._clear()

    return start


def _recorder(outputs: LayerOutputs, name: str, layer: nn.Module) -> Any:
    def record(module: nn.Module, inputs: Any, output: Any) -> None:
        if module is layer:
            outputs._record(name, output)

    return record
