"""What all tables of a recipe have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_type_hints

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    TypeAdapter,
    ValidationError,
)

from attar.errors import near, rule_of, shown
from attar.training.schedule import Ramp
from attar.training.settings import Training


class Section(BaseModel):
    """A table of a recipe: unknown keys are errors, and numbers are not read from strings."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)


def _floats(value: Any) -> Any:
    """TOML writes 1 where 1.0 is meant; strict reading would refuse it."""
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(f"must be a number that fits into a float; got {shown(value)}") from error


Number = Annotated[float, BeforeValidator(_floats), Field(allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Fraction = Annotated[Number, Field(ge=0, le=1)]


def each_once(values: list[Any]) -> list[Any]:
    """A list that names nothing twice."""
    for place, value in enumerate(values):
        if value in values[:place]:
            raise ValueError(f"must name each once; got {value!r} twice. Leave one out")
    return values


def build(kind: type[Any], document: Any) -> Any:
    """A dataclass of the library from a table: its fields are the keys, its own checks the rules.

    Raises:
        ValueError: If a key is unknown or a value has the wrong type; the message names the key.
    """
    if isinstance(document, kind):
        return document
    if not isinstance(document, Mapping):
        raise ValueError(f"must be a table; got {shown(document)}")
    hints = get_type_hints(kind)
    values = {}
    for key, value in document.items():
        if key not in hints:
            raise ValueError(f"unknown key {key!r}. {near(str(key), hints)}")
        if isinstance(value, Mapping) and Ramp in get_args(hints[key]):
            value = build(Ramp, value)
        try:
            values[key] = TypeAdapter(hints[key]).validate_python(value, strict=True)
        except ValidationError as error:
            problem = {**error.errors()[0], "input": value}
            raise ValueError(f"{key} {rule_of(problem)}") from error
        if isinstance(value, list):
            values[key] = tuple(value)
    missing = [f.name for f in dataclasses.fields(kind) if _required(f) and f.name not in values]
    if missing:
        raise ValueError(f"key {missing[0]} is missing. Add it")
    return kind(**values)


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def as_table(value: Any) -> Any:
    """A dataclass of the library as a table again, defaults included, absent values left out."""
    table = dataclasses.asdict(value)
    return {key: list(item) if isinstance(item, tuple) else item for key, item in table.items() if item is not None}


def _training(table: Any) -> Any:
    if isinstance(table, Mapping) and "seed" in table:
        raise ValueError("unknown key 'seed'. There is one seed: seed at the top, or teacher.seed")
    return build(Training, table)


def training_table(settings: Training) -> dict[str, Any]:
    """Settings of a training as a table again, without the seed."""
    return {key: value for key, value in as_table(settings).items() if key != "seed"}


TrainingSettings = Annotated[Training, PlainValidator(_training), PlainSerializer(training_table)]
