"""The settings of torch and NumPy that hold for all of a process, as these libraries come, while Attar works.

A program that uses Attar may have set others for its own ends: another type or place of new tensors, no gradients, an
error where a number underflows. What Attar computes does not depend on them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import ParamSpec, TypeVar

import numpy as np
import torch

from attar.errors import BadInput
from attar.renamed import unknown_argument

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


def _call(name: str, signature: inspect.Signature) -> str:
    """How a function is called: what it takes by place, and what by name."""
    parameters = [one for one in signature.parameters.values() if one.name != "self"]
    by_place = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    by_name = [one for one in parameters if one.kind == one.KEYWORD_ONLY]
    needed = [one.name for one in by_name if one.default is one.empty]
    listed = [*(one.name for one in by_place), *(f"{one}=..." for one in needed)]
    rest = [f"{one.name}=..." for one in by_name if one.name not in needed]
    more = f", and by name {', '.join(rest[:6])}{', ...' if len(rest) > 6 else ''}" if rest else ""
    return f"{name} takes ({', '.join(listed)}){more}"


def _words(args: tuple[object, ...], kwargs: dict[str, object], error: TypeError) -> str:
    """What was given that does not fit."""
    text = str(error)
    if text.startswith("missing a required"):
        return f"no {text.partition(': ')[2]}"
    return f"{len(args)} values by place" if text.startswith("too many") else text


def with_library_defaults(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """The same function, which works with `library_defaults`, and says what it takes where it is called otherwise.

    Raises:
        BadInput: From the function: if it has no such argument, one is missing, or too many are given by place.
    """
    signature = inspect.signature(function)
    parameters = signature.parameters
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())

    @functools.wraps(function)
    def working(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        for name in kwargs:
            if name not in parameters and not takes_any:
                raise unknown_argument(function.__name__, name, [one for one in parameters if one != "self"])
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:  # too many by their places, or one missing
            raise BadInput(f"{_call(function.__name__, signature)}; got {_words(args, kwargs, error)}.") from error
        with library_defaults():
            return function(*args, **kwargs)

    return working
