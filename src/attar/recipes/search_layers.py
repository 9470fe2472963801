"""The layers of a teacher's network and of the student that a search found, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from attar.network.cost import cost
from attar.network.spec import Spec
from attar.search.n2n.describe import state_of
from attar.search.n2n.surgery import built
from attar.search.n2n.trace import layers_of


def layers_side_by_side(teacher: Spec | None, student: Spec, example: Tensor) -> dict[str, Any]:
    """What layers both networks have, as plain values.

    Args:
        teacher: How the teacher is built; None where it is not one network.
        student: How the student is built.
        example: One input, ``[1, ...]``.

    Returns:
        ``teacher`` and ``student``, a list of layers each: ``name``, ``kind``, ``kernel``, ``stride``, ``inputs`` and
        ``outputs`` (0 where a layer has none of its own), ``parameters``, and ``macs`` of one example. Where the
        student is made of the teacher's layers, each of the teacher's says in ``became`` what became of it:
        ``removed``, ``narrower``, ``smaller kernel``, ``fewer inputs`` or ``kept``.
    """
    ours = _layers(built(student), example)
    if teacher is None:
        return {"teacher": [], "student": ours}
    theirs = _layers(built(teacher), example)
    if teacher.reference == student.reference and dict(teacher.arguments) == dict(student.arguments):
        left = {layer["name"]: layer for layer in ours}
        theirs = [{**layer, "became": _became(layer, left.get(layer["name"]))} for layer in theirs]
    return {"teacher": theirs, "student": ours}


def _layers(network: nn.Module, example: Tensor) -> list[dict[str, Any]]:
    by_layer = cost(network, example).by_layer
    found = []
    for name, module in layers_of(network).items():
        state = state_of(name, module)
        inside = f"{name}."
        found.append(
            {
                "name": name,
                "kind": state.kind,
                "kernel": state.kernel,
                "stride": state.stride,
                "inputs": state.inputs,
                "outputs": state.outputs,
                "parameters": sum(one.numel() for one in module.parameters()),
                "macs": sum(macs for one, macs in by_layer.items() if one == name or one.startswith(inside)),
            }
        )
    return found


def _became(layer: Mapping[str, Any], now: Mapping[str, Any] | None) -> str:
    """What became of a layer of the teacher."""
    if now is None:
        return "removed"
    less = [word for word, key in _LESS.items() if now[key] < layer[key]]
    return ", ".join(less) if less else "kept"


_LESS = {"narrower": "outputs", "smaller kernel": "kernel", "fewer inputs": "inputs"}
