"""What is trained: a copy of the caller's network in which everything can learn."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from attar.errors import BadInput
from attar.network.consistency import check_consistent
from attar.network.copying import copied
from attar.network.evaluating import evaluating
from attar.network.float32 import in_float32, number_types
from attar.network.forward import forward
from attar.network.layout import suits_channels_last
from attar.training.batch import Source

log = logging.getLogger(__name__)

_ROWS = 4
"""How many rows a network is tried on before it is trained."""

_TOLERANCE = 5e-2
"""Largest difference of answers that may come of numbers alone, as a share of the largest answer; what depends on
chance or on the batch is far beyond it. Deployment draws the line where the runtime does."""


def probed(data: Source) -> Tensor:
    """Inputs of a few examples from all over the data, ``[rows, ...]``."""
    count = min(_ROWS, len(data))
    return data.batch(torch.arange(count) * (len(data) // count), 0).inputs.detach().clone()


def prepared(network: nn.Module, data: Source, of: str) -> nn.Module:
    """A copy that can be trained: in float32, and with the weights that lazy layers make of their first inputs.

    Args:
        network: The caller's; not changed.
        data: Which inputs it is going to get; only asked for some where that matters.
        of: What errors call it: the student, or the teacher.

    Raises:
        BadInput: If weights that are to learn have 16 bits and the network does not run in float32.
    """
    network = copied(network)
    lazy = any(is_lazy(tensor) for tensor in network.parameters())
    if not (lazy or number_types(network)):
        return network
    rows = probed(data)
    rows = rows.to(next((weight.device for weight in network.parameters()), rows.device))
    if lazy:
        with evaluating(network):
            forward(network, rows)
    kinds = number_types(network)
    if not kinds or (kinds == ("float64",) and rows.dtype == torch.float64):
        return network
    floats = in_float32(network, rows)
    if floats is not None:
        log.info("%s has numbers of %s; float32 is trained, and returned", of, " and ".join(kinds))
        return floats
    coarse = [kind for kind in kinds if kind != "float64"]
    for name, weight in network.named_parameters():
        if weight.requires_grad and str(weight.dtype).removeprefix("torch.") in coarse:
            raise BadInput(
                f"{of} has weights of {' and '.join(coarse)} ({name!r}), in which small steps are lost, and its "
                "forward does not run in float32. Keep weights in float32, and leave the types of numbers out of "
                "forward; Training(precision='bf16-mixed') computes in bfloat16."
            )
    return network


def learn_channels_last(networks: Sequence[nn.Module], data: Source) -> bool:
    """Whether networks that learn together all can do so channels last, and one of them gains by it."""
    if not any(isinstance(layer, nn.Conv2d) for network in networks for layer in network.modules()):
        return False
    rows = probed(data)
    return all(suits_channels_last(network, rows, learns=True) for network in networks)


def check_student(student: nn.Module, inputs: Tensor) -> None:
    """Refuse a student that could not be deployed after its training, since its answers depend on chance or the batch.

    Args:
        student: It is asked in evaluation mode and not changed.
        inputs: ``[rows, ...]``, at least one row, on its device; a few are used.

    Raises:
        BadInput: If they do.
    """
    rows = inputs[:_ROWS]
    with evaluating(student), torch.random.fork_rng(devices=[rows.device] if rows.is_cuda else []):
        check_consistent(lambda some: forward(student, some), rows, of="The student", tolerance=_TOLERANCE)
