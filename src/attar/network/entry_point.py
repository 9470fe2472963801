"""Functions that users call: they compute the same whatever a program has set, and say how they are called."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from attar.errors import BadInput
from attar.network.defaults import library_defaults
from attar.renamed import unknown_argument

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def entry_point(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """The same function, which works with `library_defaults`, and says what it takes where it is called otherwise.

    Raises:
        BadInput: From the function: if it has no such argument, one is missing, or too many are given by place.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def working(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise _misfit(function.__name__, signature, args, kwargs, str(error)) from None
        with library_defaults():
            return function(*args, **kwargs)

    return working


def _misfit(
    name: str, signature: inspect.Signature, args: tuple[object, ...], kwargs: dict[str, object], found: str
) -> BadInput:
    """The error for a call that does not fit a function.

    Args:
        name: Of the function.
        signature: What it takes.
        args: What was given by place.
        kwargs: What was given by name.
        found: What Python says of it.
    """
    parameters = [one for one in signature.parameters.values() if one.name != "self"]
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters)
    unknown = [] if takes_any else [one for one in kwargs if one not in signature.parameters]
    if unknown:
        return unknown_argument(name, unknown[0], [one.name for one in parameters])
    by_place = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    by_name = [one for one in parameters if one.kind == one.KEYWORD_ONLY]
    needed = [one.name for one in by_name if one.default is one.empty]
    listed = [*(one.name for one in by_place), *(f"{one}=..." for one in needed)]
    rest = [f"{one.name}=..." for one in by_name if one.name not in needed]
    more = f", and by name {', '.join(rest[:6])}{', ...' if len(rest) > 6 else ''}" if rest else ""
    got = found
    if found.startswith("missing a required"):
        got = f"no {found.partition(': ')[2]}"
    elif found.startswith("too many"):
        got = f"{len(args)} values by place"
    return BadInput(f"{name} takes ({', '.join(listed)}){more}; got {got}.")
