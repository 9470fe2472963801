"""Panels written as plain values, and read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from attar.errors import BadInput, shown
from attar.evidence.panel import Panel

_PANELS: TypeAdapter[list[Panel]] = TypeAdapter(list[Panel])


def to_json(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """Panels as plain values; what is as it is by default is left out.

    Raises:
        BadInput: If they could not be read back, such as a chart with a NaN; with the place of the first such value.
    """
    document = [_as_json(panel) for panel in panels]
    _checked(document, "a report", "Correct the panels of the step that gave it")
    return document


def from_json(document: Any, of: str) -> list[Panel]:
    """Panels from plain values.

    Args:
        document: A list, as `to_json` gives it.
        of: Where they stand, for the message of the error.

    Raises:
        BadInput: If they are of another form, with the place of the first such value.
    """
    return _checked(document, of, "Run attar compress again: it writes the evidence anew")


def _checked(document: Any, of: str, remedy: str) -> list[Panel]:
    try:
        return _PANELS.validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, ("panels", *first["loc"])))
        message = first["msg"][:1].lower() + first["msg"][1:].rstrip(".")
        raise BadInput(f"{place} of {of} cannot be drawn; {message}; got {shown(first['input'])}. {remedy}.") from error


def _as_json(value: Any) -> Any:
    if is_dataclass(value):
        stated = ((one.name, getattr(value, one.name), one) for one in fields(value))
        return {name: _as_json(inner) for name, inner, one in stated if name == "kind" or inner != _default(one)}
    if isinstance(value, Mapping):
        return {key: _as_json(inner) for key, inner in value.items()}
    return [_as_json(inner) for inner in value] if isinstance(value, list | tuple) else value


def _default(one: Any) -> Any:
    return one.default if one.default_factory is MISSING else one.default_factory()
