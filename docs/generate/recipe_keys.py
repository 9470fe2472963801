"""Every key of a recipe, from the schema that reads recipes."""

from __future__ import annotations

import dataclasses
import inspect
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from attar.budget import Limit
from attar.pipeline.objective import LOSSES
from attar.pipeline.steps import STEPS
from attar.pruning.importance.named import IMPORTANCE
from attar.quantization.formats.named import FORMATS, to_table
from attar.recipes.schema.recipe import Recipe
from attar.recipes.shipped import shipped
from attar.search.strategies.named import STRATEGIES, settings_of
from attar.training.objective import Term
from attar.training.schedule import Ramp
from attar.training.settings import Training
from generate.markdown import attributes, code, prose, references, summary, table

_WORDS: dict[Any, str] = {str: "text", int: "whole number", float: "number", bool: "true or false", Any: "any value"}

_COLUMNS = ("key", "value", "if left out", "what it is")

_NOT_OF_A_FILE = {"seed"}
"""What a training in a recipe does not say: there is one seed."""


def recipe_keys() -> str:
    """All tables of a recipe, then the families from which ``use`` picks, then what ships."""
    return "\n".join(
        [*_sections(), _steps(), _training(), _terms(), _formats(), _strategies(), _importance(), _ready()]
    )


# -- tables of a recipe ------------------------------------------------------------------------------------------------


def _sections() -> Iterator[str]:
    yield "## Tables\n"
    yield f"### The top of the file\n\n{_keys(Recipe, '')}"
    for path, section in tables_of(Recipe):
        yield f"### `[{path}]`\n\n{summary(section)}\n\n{_keys(section, path)}"


def tables_of(section: type[BaseModel], path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """The tables inside of a table, each with its dotted key, in the order in which a file has them."""
    for name, info in section.model_fields.items():
        for inner in _inner(info.annotation):
            if inner in STEPS.values():
                continue  # described as steps
            here = f"{path}.{name}".lstrip(".")
            yield here, inner
            yield from tables_of(inner, here)


def _inner(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for one in typing.get_args(annotation):
        yield from _inner(one)


def _keys(section: type[BaseModel], path: str) -> str:
    return table(
        _COLUMNS, [_row(name, info, path) for name, info in section.model_fields.items() if name != "use" or path]
    )


def _row(name: str, info: FieldInfo, path: str) -> tuple[str, str, str, str]:
    what = prose(info.description or "")
    inner = list(_inner(info.annotation))
    if inner and not any(one in STEPS.values() for one in inner):
        here = f"{path}.{name}".lstrip(".")
        what = f"{what}; see `[{here}]`" if what else f"see `[{here}]`"
    return code(name), _value(info), _default(info), what


def _value(info: FieldInfo) -> str:
    bounds = _bounds(info.metadata)
    return f"{kind(info.annotation)}{f', {bounds}' if bounds else ''}"


def kind(annotation: Any) -> str:
    """What stands for a type in a file, in words."""
    if annotation in _WORDS:
        return _WORDS[annotation]
    if annotation is Limit:
        return "limit"
    if annotation in (Term, Ramp):
        return annotation.__name__.lower()
    if inspect.isclass(annotation) and (issubclass(annotation, BaseModel) or annotation is Training):
        return "table"
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return ", ".join(code(_toml(one)) for one in inner)
    if origin is typing.Annotated:
        bounds = _bounds(inner[1:])
        return f"{kind(inner[0])}{f' ({bounds})' if bounds else ''}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(kind(one) for one in inner if one is not types.NoneType))
    if origin in (list, tuple) or (origin is not None and "Sequence" in str(origin)):
        return f"list of {kind(inner[0])}"
    if origin is dict or (origin is not None and issubclass(origin, Mapping)):
        return "table" if inner[1] is Any else f"table of {kind(inner[1])}"
    return "table"


def _bounds(metadata: Any) -> str:
    words = {Ge: "at least", Gt: "above", Le: "at most", Lt: "below"}
    found = []
    for one in metadata:
        if isinstance(one, FieldInfo):
            found.append(_bounds(one.metadata))
        for bound, word in words.items():
            if isinstance(one, bound):
                (limit,) = dataclasses.astuple(one)
                found.append(f"{word} {limit:,}" if isinstance(limit, int) else f"{word} {limit:g}")
    return ", ".join(filter(None, found))


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "must be given"
    if (
        info.default_factory is not None
        or info.default in (None, PydanticUndefined)
        or isinstance(info.default, BaseModel)
    ):
        return ""
    return code(_toml(info.default))


def _toml(value: Any) -> str:
    """A value as a file has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Limit):
        return f'"{value}"'
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{name} = {_toml(one)}' for name, one in value.items())} }}"
    return str(value)


# -- what "use" picks from ---------------------------------------------------------------------------------------------


def _steps() -> str:
    found = ["## Steps\n", "Tables of `student.steps`, each done to what the one before it gave.\n"]
    for use, step in STEPS.items():
        rows = [_row(name, info, "") for name, info in step.model_fields.items() if name != "use"]
        found.append(f"### `use = {_toml(use)}`\n\n{summary(step)}\n\n{table(_COLUMNS, rows)}")
        for name, info in step.model_fields.items():
            for inner in _inner(info.annotation):
                found.append(f"`{name}` of `{use}` has\n\n{_keys(inner, name)}")
    return "\n".join(found)


def _settings(thing: Any, leave_out: set[str]) -> list[tuple[str, str, str, str]]:
    """Rows of a dataclass of the library, whose docstring says what its fields are."""
    described, hints = attributes(thing), typing.get_type_hints(thing, include_extras=True)
    rows = []
    for field in dataclasses.fields(thing):
        if not field.init or field.name in leave_out:
            continue
        default = ""
        if field.default is not dataclasses.MISSING and field.default is not None:
            default = code(_toml(field.default) if field.name != "granularity" else _granularity(thing))
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        what = described.get(field.name, "")
        rows.append((code(field.name), kind(hints[field.name]), "must be given" if needed else default, what))
    return rows


def _granularity(form: Any) -> str:
    return _toml(to_table(form())["granularity"])


def _family(things: Mapping[str, Any], leave_out: Mapping[str, set[str]]) -> Iterator[str]:
    for use, thing in things.items():
        source = references(thing)
        about = f"{summary(thing)}\n\n{f'Source: {source}' if source else ''}"
        yield f"### `{use}`\n\n{about}\n\n{table(_COLUMNS, _settings(thing, leave_out.get(use, set())))}"


def _training() -> str:
    rows = _settings(Training, _NOT_OF_A_FILE)
    return f"## How a training goes\n\nThe tables called `training`.\n\n{table(_COLUMNS, rows)}"


def _terms() -> str:
    shared = table(_COLUMNS, _settings(Term, {"loss"}))
    moving = table(_COLUMNS, _settings(Ramp, set()))
    return "\n".join(
        [
            "## Terms of an objective\n",
            "Tables `[objective.NAME]`, each with a name of yours. All of them have\n",
            shared,
            "A weight or temperature may be a table that moves it over the epochs:\n",
            moving,
            *_family(LOSSES, {}),
        ]
    )


def _formats() -> str:
    intro = "What `weights` and `activations` of a step `quantize` pick from."
    return "\n".join(["## Low-bit formats\n", f"{intro}\n", *_family(FORMATS, {})])


def _strategies() -> str:
    """A search hands over how many trials there are and how long they take: keys beside the strategy say these."""
    given = {
        use: {field.name for field in dataclasses.fields(strategy)} - settings_of(use) | {"trials", "epochs"}
        for use, strategy in STRATEGIES.items()
    }
    intro = "What `search.strategy` picks from; [search](searching.md) says what each is for."
    return "\n".join(["## Strategies of a search\n", f"{intro}\n", *_family(STRATEGIES, given)])


def _importance() -> str:
    rows = [(code(name), summary(type(one)), references(type(one))) for name, one in IMPORTANCE.items()]
    head = "## What a unit is worth\n\nThe key `importance` of a step `prune`.\n"
    return f"{head}\n{table(('name', 'what it is', 'source'), rows)}"


def _ready() -> str:
    rows = []
    for name, path in shipped().items():
        rows.append((code(name), prose(tomllib.loads(path.read_text(encoding="utf-8")).get("title", ""))))
    head = "## Recipes that ship\n\n`attar compress NAME` runs one, `attar copy NAME` gives you its file.\n"
    return f"{head}\n{table(('name', 'what it shows'), rows)}"
