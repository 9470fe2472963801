"""The processes that share one run, as torchrun starts them: which one this is, and what they agree on.

With one process everything here costs nothing, and `torch.distributed` is not imported.
"""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

from attar.errors import BadInput

_SET_BY_TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")

_LONGEST_WAIT = timedelta(days=7)
"""Others wait while one process does work of its own, for hours at times. If one dies, torchrun ends them all."""

_ALONE = ContextVar("_ALONE", default=False)


def world_size() -> int:
    """How many processes share the run: 1 unless torchrun started this one.

    Raises:
        BadInput: If the environment gives no number.

    Example:
        >>> world_size()
        1
    """
    several = not _ALONE.get() and all(name in os.environ for name in _SET_BY_TORCHRUN)
    return _number("WORLD_SIZE") if several else 1


def rank() -> int:
    """Which of them this one is, from 0; the process of rank 0 writes what they share.

    Raises:
        BadInput: If the environment gives no number.

    Example:
        >>> rank()
        0
    """
    return _number("RANK") if world_size() > 1 else 0


def local_world_size() -> int:
    """How many of them run on this machine."""
    several = world_size() > 1 and "LOCAL_WORLD_SIZE" in os.environ
    return _number("LOCAL_WORLD_SIZE") if several else world_size()


@contextmanager
def alone() -> Iterator[None]:
    """While this process does work of its own: all that is asked here is answered as if there were no other.

    Example:
        >>> with alone():
        ...     world_size()
        1
    """
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


def connect() -> None:
    """Connect the processes, unless there is one alone, or they are connected; each of them must call it."""
    if world_size() == 1:
        return
    import torch
    import torch.distributed as distributed

    if not distributed.is_initialized():
        # Small values travel between CPUs whatever device the training has.
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, timeout=_LONGEST_WAIT)
        atexit.register(_disconnect)


def broadcast(value: Any) -> Any:
    """The value that the process of rank 0 has, in every process; each of them must call it.

    Args:
        value: What JSON can hold, and small; that of the other processes does not matter.

    Returns:
        The value itself where there is one process; else what JSON makes of it (tuples become lists).

    Example:
        >>> broadcast({"go on": True})
        {'go on': True}
    """
    if world_size() == 1:
        return value
    import torch
    import torch.distributed as distributed

    connect()
    content = json.dumps(value).encode() if rank() == 0 else b""
    size = torch.tensor([len(content)])
    distributed.broadcast(size, src=0)
    data = torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.zeros(0, dtype=torch.uint8)
    if rank() != 0:
        data = torch.zeros(int(size), dtype=torch.uint8)
    distributed.broadcast(data, src=0)
    return json.loads(bytes(data.tolist()))


def by_first(work: Callable[[], Any]) -> Any:
    """What the process of rank 0 works out by itself, in every process; each of them must call it.

    The others wait until it is done: such a decision is one, and what is measured for it is measured alone.

    Args:
        work: Gives what JSON can hold.

    Returns:
        As `broadcast`.

    Example:
        >>> by_first(lambda: 2 + 3)
        5
    """
    barrier()
    if rank() > 0:
        return broadcast(None)
    with alone():
        found = work()
    return broadcast(found)


def barrier() -> None:
    """Wait until every process has come here."""
    if world_size() == 1:
        return
    import torch
    import torch.distributed as distributed

    connect()
    distributed.all_reduce(torch.zeros(1))  # its own barrier() wants to know the device


def _number(name: str) -> int:
    try:
        return int(os.environ[name])
    except ValueError:
        raise BadInput(
            f"The environment variable {name} must be a whole number, as torchrun sets it; got {os.environ[name]!r}. "
            "Start several processes with torchrun, or unset it."
        ) from None


def _disconnect() -> None:
    import torch.distributed as distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()
