"""The settings of torch and NumPy that hold for all of a process, as these libraries come, while Attar works.

A program that uses Attar may have set others for its own ends: another type or place of new tensors, no gradients, an
error where a number underflows. What Attar computes does not depend on them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import ParamSpec, TypeVar

import numpy as np
import torch

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")

_AUTOCAST = ("cpu", "cuda")


@contextmanager
def library_defaults() -> Iterator[None]:
    """New tensors are float32 and on the CPU, gradients are recorded, nothing is cast, and underflow is no error."""
    with ExitStack() as stack:
        stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if not torch.is_grad_enabled():
            stack.enter_context(torch.enable_grad())
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if (kind := torch.get_default_dtype()) != torch.float32:
            torch.set_default_dtype(torch.float32)
            stack.callback(torch.set_default_dtype, kind)
        for device in _AUTOCAST:
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield


def with_library_defaults(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """The same function, which works with `library_defaults`."""

    @functools.wraps(function)
    def working(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        with library_defaults():
            return function(*args, **kwargs)

    return working
