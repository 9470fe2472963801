"""Formats as plain data: a name, and the settings of its class. Nothing else is ever built from a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from attar.errors import BadInput, CorruptFile, near
from attar.ops.granularity import PerAxis, PerGroup, PerTensor
from attar.quantization.format import Format
from attar.quantization.formats.affine import Affine
from attar.quantization.formats.clipped import Clipped
from attar.quantization.formats.codebook import Codebook
from attar.quantization.formats.dorefa import DoReFa
from attar.quantization.formats.fixed_point import DynamicFixedPoint
from attar.quantization.formats.power_of_two import PowerOfTwo
from attar.quantization.formats.ternary import Ternary
from attar.quantization.formats.uniform import Uniform
from attar.quantization.formats.wrpn import Wrpn

FORMATS: Mapping[str, type[Any]] = MappingProxyType(
    {
        "affine": Affine,
        "clipped": Clipped,
        "codebook": Codebook,
        "dorefa": DoReFa,
        "dynamic_fixed_point": DynamicFixedPoint,
        "power_of_two": PowerOfTwo,
        "ternary": Ternary,
        "uniform": Uniform,
        "wrpn": Wrpn,
    }
)
"""Every format that a file may name."""

_GRANULARITIES: Mapping[str, type[Any]] = MappingProxyType(
    {"per_tensor": PerTensor, "per_axis": PerAxis, "per_group": PerGroup}
)


def name_of(form: Format) -> str:
    """What files call the class of a format.

    Raises:
        BadInput: If no file can say it: it is a class of the user's own.
    """
    for name, kind in FORMATS.items():
        if type(form) is kind:
            return name
    raise BadInput(
        f"format of a packed file must be one of {', '.join(FORMATS)}; got {type(form).__name__}. "
        "A format of your own has no name in files."
    )


def to_json(form: Format) -> dict[str, Any]:
    """A format as plain data; all settings are said, so that later defaults change nothing.

    Example:
        >>> to_json(Ternary())["use"]
        'ternary'
    """
    name = name_of(form)
    return {"use": name, **_fields(form)}


def from_json(document: Any) -> Format:
    """The format that `to_json` was given.

    Raises:
        CorruptFile: If there is no such format, or it has no such setting or value.
    """
    return _built(document, FORMATS, "format")  # type: ignore[no-any-return]


def _fields(value: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for field in dataclasses.fields(value):
        entry = getattr(value, field.name)
        if field.name == "granularity":
            name = next(name for name, kind in _GRANULARITIES.items() if type(entry) is kind)
            entry = {"use": name, **_fields(entry)}
        plain[field.name] = list(entry) if isinstance(entry, tuple) else entry
    return plain


def _built(document: Any, known: Mapping[str, type[Any]], what: str) -> Any:
    if not isinstance(document, dict) or not isinstance(document.get("use"), str):
        raise CorruptFile(f"A {what} of the packed file has no name. Restore the file, or deploy again.")
    name = document["use"]
    if name not in known:
        raise CorruptFile(f"{what} of the packed file must be a known one; got {name!r}. {near(name, known)}")
    settings = {key: value for key, value in document.items() if key != "use"}
    if "granularity" in settings:
        settings["granularity"] = _built(settings["granularity"], _GRANULARITIES, "granularity")
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
    # A codebook says its bits even where its points settle them.
    try:
        built = known[name](**settings)
        _check_kinds(built, known[name])
    except (BadInput, TypeError, ValueError) as error:
        raise CorruptFile(f"{what} {name!r} of the packed file cannot be had: {error}") from error
    return built


def _check_kinds(built: Any, kind: type[Any]) -> None:
    """Values are of the type of the default, as a setting such as "4" would only be found out later."""
    for field in dataclasses.fields(kind):
        value, default = getattr(built, field.name), field.default
        if isinstance(default, bool) != isinstance(value, bool):
            raise TypeError(f"{field.name} is {value!r}")
        if isinstance(default, int) and not isinstance(value, int):
            raise TypeError(f"{field.name} is {value!r}")
        if isinstance(default, float) and not isinstance(value, int | float):
            raise TypeError(f"{field.name} is {value!r}")
