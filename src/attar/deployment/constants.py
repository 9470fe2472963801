"""Constants of an ONNX graph that were spread over a whole map, only to be added to one."""

from __future__ import annotations

from typing import Any

_OF_EACH = frozenset(
    {"BatchNormalization", "Clip", "Elu", "HardSigmoid", "HardSwish", "LeakyRelu", "Relu", "Sigmoid", "Tanh"}
)
"""Operators that give the same for one position as for all, where their other inputs are constants."""

_OF_PAIRS = frozenset({"Add", "Div", "Mul", "Sub"})


def keep_small(model: Any) -> None:
    """Let constants that are expanded to a map be broadcast where they meet one, and compute what then depends on none.

    A branch of a network that was emptied gives its biases everywhere: as long as they are a map, every call fills it
    and works on it.

    Args:
        model: An ``onnx_ir`` model; changed in place.
    """
    from onnxscript import optimizer

    found = [node for node in model.graph if node.op_type == "Expand" and _is_constant(node.inputs[0])]
    found = [node for node in found if _axes(node.inputs[0]) == _axes(node.outputs[0])]
    changed = False
    for node in found:
        passed: list[Any] = []
        if _meets_maps(node.outputs[0], passed):
            for value in passed:
                value.shape = None  # smaller than it was
            node.outputs[0].replace_all_uses_with(node.inputs[0])
            changed = True
    if changed:
        optimizer.fold_constants_ir(model)
        optimizer.remove_unused_nodes(model)


def _meets_maps(value: Any, passed: list[Any]) -> bool:
    """Whether all that is made of a value works alike on one position of it, up to where it meets what is a map."""
    if value.is_graph_output():
        return False
    for node, place in value.uses():
        others = [one for at, one in enumerate(node.inputs) if at != place and one is not None]
        given = all(map(_is_constant, others))
        output = node.outputs[0]
        if node.op_type in _OF_PAIRS and not given:
            if len(others) != 1 or others[0].shape is None or others[0].shape != output.shape:
                return False
        elif not given or (node.op_type not in _OF_EACH and not _of_pair(node, others)):
            return False
        else:
            passed.append(output)
            if len(node.outputs) > 1 or not _meets_maps(output, passed):
                return False
    return True


def _of_pair(node: Any, others: list[Any]) -> bool:
    """Whether one number is added, or the like."""
    return node.op_type in _OF_PAIRS and all(one.const_value.size == 1 for one in others)


def _axes(value: Any) -> int | None:
    return None if value.shape is None else len(value.shape)


def _is_constant(value: Any) -> bool:
    return value is not None and value.const_value is not None
