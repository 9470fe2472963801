"""What follows when the student gets another shape in the middle of a training: its optimizer, and stored weights.

An edit works on a network. So whatever has the shape of its weights follows by taking their place in a copy of the
network as it was, to which the edit is then applied.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from attar.network.copying import copied
from attar.training.callbacks import Edit
from attar.training.train_module import TrainModule


def rebuild_(
    edit: Edit,
    module: TrainModule,
    optimizer: torch.optim.Optimizer,
    average: AveragedModel | None,
    weights: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """Apply an edit to the student, to the average of its weights, and to the optimizer's state, all in place.

    Args:
        edit: Changes a network of the student's shape in place.
        module: Holds the student.
        optimizer: Of the module's parameters; it is left with those that the module has afterwards. Parameters that
            were not there before join its first group.
        average: The averaged copy of the module.
        weights: A state of the module as it was, such as its best one; it may be empty.

    Returns:
        The weights after the edit.
    """
    before = copied(module)
    names = {parameter: name for name, parameter in module.named_parameters()}
    states = {name: dict(optimizer.state.get(parameter, {})) for parameter, name in names.items()}
    groups = [[names[parameter] for parameter in group["params"]] for group in optimizer.param_groups]

    edit(module.student)
    if average is not None:
        averaged = average.module
        assert isinstance(averaged, TrainModule)
        edit(averaged.student)

    after = dict(module.named_parameters())
    groups[0] += [name for name in after if name not in states]
    for group, members in zip(optimizer.param_groups, groups, strict=True):
        group["params"] = [after[name] for name in members if name in after]
    optimizer.state = defaultdict(dict)
    for name, state in _edited_states(edit, before, states).items():
        if name in after and state:
            optimizer.state[after[name]] = state
    for parameter in after.values():
        parameter.grad = None  # of the former shape, where the edit left the parameter and changed its data
    if not weights:
        return {}
    before.load_state_dict(weights)
    edit(before.student)
    return {name: tensor.detach().cpu().clone() for name, tensor in before.state_dict().items()}


def _edited_states(edit: Edit, module: TrainModule, states: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The optimizer's states by the names of parameters, what has a parameter's shape as it is after the edit."""
    shapes = {name: parameter.shape for name, parameter in module.named_parameters()}
    found: dict[str, dict[str, Any]] = {name: dict(state) for name, state in states.items()}
    kinds = dict.fromkeys(kind for state in states.values() for kind in state)
    for kind in kinds:
        holders = [name for name, state in states.items() if _is_shaped(state.get(kind), shapes[name])]
        if not holders:
            continue
        shadow = copied(module)
        with torch.no_grad():
            for name, parameter in shadow.named_parameters():
                parameter.copy_(states[name][kind]) if name in holders else parameter.zero_()
        edit(shadow.student)
        edited = dict(shadow.named_parameters())
        for name in holders:
            if name in edited:
                found[name][kind] = edited[name].detach().clone()
    return found


def _is_shaped(value: object, shape: torch.Size) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0 and value.shape == shape
