"""Settings as dataclasses: an unknown name, or a value of another type, is refused in one sentence."""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from attar.errors import BadInput, must, near, shown
from attar.renamed import unknown_argument

Settings = TypeVar("Settings", bound=type)


def named(kind: Settings) -> Settings:
    """A dataclass of keyword arguments whose constructor refuses an unknown name, and suggests close ones."""
    settings_class: Any = kind
    construct = settings_class.__init__
    names = [field.name for field in dataclasses.fields(settings_class)]

    @functools.wraps(construct)
    def checked(self: Any, *given: Any, **settings: Any) -> None:
        if given:
            first = shown(given[0], 60)
            raise BadInput(f"{kind.__name__} takes its settings by name; got {first}. Write {names[0]}=... instead.")
        for name in settings:
            if name not in names:
                raise unknown_argument(kind.__name__, name, names)
        missing = [
            one.name for one in dataclasses.fields(settings_class) if _required(one) and one.name not in settings
        ]
        if missing:
            raise BadInput(f"{kind.__name__} needs {' and '.join(map(repr, missing))}. Give {missing[0]}=...")
        construct(self, **settings)

    settings_class.__init__ = checked
    return kind


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def check_types(settings: Any) -> None:
    """See that every field of a dataclass holds what its annotation says.

    Raises:
        BadInput: Naming the first field that does not.
    """
    kind = type(settings)
    hints = get_type_hints(kind)
    for field in dataclasses.fields(settings):
        value, hint = getattr(settings, field.name), hints[field.name]
        if not _fits(value, hint):
            choices = [one for one in _choices(hint) if isinstance(one, str)]
            remedy = near(value, choices) if isinstance(value, str) and choices else "Give another value"
            raise must(field.name, kind.__name__, _words(hint), value, remedy)


def _fits(value: Any, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in get_args(hint))
    if origin is Literal:
        return isinstance(value, str | bool | int | None) and value in get_args(hint)
    if hint is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, Real) and not isinstance(value, bool)
    if hint is None or hint is type(None):
        return value is None
    if origin is not None and isinstance(origin, type) and issubclass(origin, Sequence):
        inner = get_args(hint)[0]
        return isinstance(value, Sequence) and not isinstance(value, str) and all(_fits(one, inner) for one in value)
    return isinstance(value, hint) if isinstance(hint, type) else True


def _choices(hint: Any) -> list[Any]:
    return list(get_args(hint)) if get_origin(hint) is Literal else []


def _words(hint: Any) -> str:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_words(one) for one in get_args(hint))
    if origin is Literal:
        return f"one of {', '.join(map(repr, get_args(hint)))}"
    if origin is not None and isinstance(origin, type) and issubclass(origin, Sequence):
        inner = {int: "whole numbers", float: "numbers", str: "texts"}.get(get_args(hint)[0], "values")
        return f"a list of {inner}"
    names = {int: "a whole number", float: "a number", bool: "True or False", str: "a text", type(None): "None"}
    return names.get(hint, f"a {getattr(hint, '__name__', hint)}")
