"""How many threads a training gets: for small networks one, whatever the machine has and however busy it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from attar.network.cost import cost

ONE_THREAD_BELOW = 1_000_000_000
"""Multiply-adds of a batch, forward, below which a step is over so soon that threads mostly wait for each other.

At a tenth of it a step takes about 10 ms on one thread; two threads then save some milliseconds where both cores are
free, and cost several times the step where one of them is not.
"""


def threads_for(*networks: nn.Module, example: Tensor, batch_size: int) -> int:
    """The threads of a training where nobody sets a number: one, or as many as torch has.

    It follows from the networks and the batch alone, so that a small training adds up its numbers in the same order on
    every machine.

    Args:
        networks: All that run in a step.
        example: ``[1, ...]``, one input.
        batch_size: Examples in one step.

    Example:
        >>> threads_for(nn.Linear(64, 10), example=torch.zeros(1, 64), batch_size=256)
        1
    """
    devices = [next((one.device for one in network.parameters()), example.device) for network in networks]
    each = [cost(network, example.to(device)).macs for network, device in zip(networks, devices, strict=True)]
    macs = sum(each) * batch_size
    return 1 if macs < ONE_THREAD_BELOW else torch.get_num_threads()


@contextmanager
def using_threads(count: int) -> Iterator[None]:
    """Hold torch to some threads, and give the caller's number back."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
