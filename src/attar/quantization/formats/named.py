"""Formats by name, with their settings as plain values: as recipes and files say them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from attar.errors import BadInput, must, near, rule_of
from attar.ops.granularity import Granularity, PerAxis, PerGroup, PerTensor
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
        "uniform": Uniform,
        "codebook": Codebook,
        "ternary": Ternary,
        "power_of_two": PowerOfTwo,
        "fixed_point": DynamicFixedPoint,
        "affine": Affine,
        "clipped": Clipped,
        "wrpn": Wrpn,
        "dorefa": DoReFa,
    }
)
"""Every format, by the name that ``use`` gives."""


def to_table(form: Format) -> dict[str, Any]:
    """A format as plain values: its name and all of its settings, those left out that are None.

    Raises:
        BadInput: If no file can name it, as it is a class of the user's own.

    Example:
        >>> to_table(Ternary())
        {'use': 'ternary', 'scale': 'twn', 'threshold': 0.7, 'granularity': 'tensor'}
    """
    anything: Any = form
    names = {kind: name for name, kind in FORMATS.items()}
    if type(anything) not in names:
        rule, remedy = f"one of {', '.join(FORMATS)}", "A format of your own has no name in files"
        raise must("format", "a file", rule, type(anything).__name__, remedy)
    table: dict[str, Any] = {"use": names[type(anything)]}
    for field in dataclasses.fields(anything):
        value = getattr(anything, field.name)
        if isinstance(value, PerTensor | PerAxis | PerGroup):
            value = _granularity_to_table(value)
        if value is not None:
            table[field.name] = list(value) if isinstance(value, tuple) else value
    return table


def from_table(table: Any) -> Format:
    """The format that a table describes; what it leaves out is as the format comes.

    ``granularity`` is ``"tensor"``, ``{group_size = 256}``, ``{axis = 1}`` or ``"channel"``, which is axis 0: that of
    the outputs of a layer, but of the inputs in a transposed convolution.

    Args:
        table: A mapping with ``use``, a name of `FORMATS`, and settings.

    Raises:
        BadInput: If there is no such format or setting, or a value breaks its rule; nothing is built from it then.

    Example:
        >>> from_table({"use": "uniform", "bits": 2, "granularity": {"group_size": 64}})
        Uniform(bits=2, granularity=PerGroup(group_size=64), scaling='linear', rounding='deterministic', \
gradient='identity')
    """
    if not isinstance(table, Mapping):
        raise must("a format", "quantize", "a table", table, 'Write { use = "uniform", bits = 4 }')
    use = table.get("use")
    if not isinstance(use, str) or use not in FORMATS:
        raise must("use", "a format", "a known format", use, near(str(use), FORMATS))
    kind = FORMATS[use]
    hints = get_type_hints(kind)
    known = {field.name for field in dataclasses.fields(kind)}
    settings = {}
    for key, value in table.items():
        if key == "use":
            continue
        if key not in known:
            raise must("a setting", f"format {use!r}", "known", key, near(str(key), known or {"(none)"}))
        if key == "granularity":
            settings[key] = _granularity(value)
            continue
        if isinstance(value, list) and _holds_tuple(hints[key]):
            value = tuple(value)
        try:
            settings[key] = TypeAdapter(hints[key]).validate_python(value, strict=True)
        except ValidationError as error:
            rule = rule_of({**error.errors()[0], "input": value})
            rule += ". Leave it out for its default." if ". " not in rule else "."
            raise BadInput(f"{key} of format {use!r} {rule}") from error
    built: Format = kind(**settings)
    return built


def _granularity_to_table(granularity: Granularity) -> Any:
    if isinstance(granularity, PerTensor):
        return "tensor"
    if isinstance(granularity, PerGroup):
        return {"group_size": granularity.group_size}
    return "channel" if granularity.axis == 0 else {"axis": granularity.axis}


def _granularity(given: Any) -> Granularity:
    if given == "tensor":
        return PerTensor()
    if given == "channel":
        return PerAxis(0)
    if isinstance(given, Mapping) and len(given) == 1:
        ((key, value),) = given.items()
        if key in ("group_size", "axis") and isinstance(value, int) and not isinstance(value, bool):
            return PerGroup(value) if key == "group_size" else PerAxis(value)
    rule = '"tensor", "channel", { group_size = 256 } or { axis = 1 }'
    raise must("granularity", "a format", rule, given, "Leave it out for the format's own")


def _holds_tuple(hint: Any) -> bool:
    return get_origin(hint) is tuple or any(get_origin(choice) is tuple for choice in get_args(hint))
