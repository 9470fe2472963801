"""What torch's ONNX exporter makes anew in every export, made once for a process."""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_LOCK = threading.RLock()


@contextmanager
def tables_shared() -> Iterator[None]:
    """Exports within find tables that earlier ones of this process made.

    Torch parses the source of some 500 functions for its table of ONNX operations, in each export anew, which takes
    longer than the export of a small network; and it looks up each of its 900 composite operations some fifty times in
    one, lest somebody has added one meanwhile. An export does not change a table; each gets lists of its own all the
    same. Where a torch has no such tables, its exports take what they take.
    """
    try:
        from torch._export import utils
        from torch.onnx._internal.exporter import _registration
    except ImportError:
        yield
        return
    owners: tuple[tuple[Any, str], ...] = (
        (_registration.ONNXRegistry, "from_torchlib"),
        (utils, "_materialize_cpp_cia_ops"),
    )
    there = [(owner, name) for owner, name in owners if name in vars(owner)]
    with _LOCK:
        before = [vars(owner)[name] for owner, name in there]
        for owner, name in there:
            setattr(owner, name, _once(owner, name))
        try:
            yield
        finally:
            for (owner, name), found in zip(there, before, strict=True):
                setattr(owner, name, found)


@functools.cache
def _once(owner: Any, name: str) -> Any:
    """What takes the place of a function of torch, the same one each time."""
    make = getattr(owner, name)
    return staticmethod(_copying(make)) if isinstance(owner, type) else functools.cache(make)


def _copying(make: Callable[..., Any]) -> Callable[..., Any]:
    """The table that a function makes, made once and copied for each."""
    cached = functools.cache(make)

    def copied(*args: Any, **kwargs: Any) -> Any:
        table = copy.copy(cached(*args, **kwargs))
        table.functions = {name: list(found) for name, found in table.functions.items()}
        return table

    return copied
