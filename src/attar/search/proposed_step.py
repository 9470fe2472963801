"""A step of a proposal, from its table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from attar.errors import BadInput, must, near, rule_of
from attar.pipeline.step import Step
from attar.pipeline.steps import STEPS, AnyStep

_STEP: TypeAdapter[Step] = TypeAdapter(AnyStep)

_OF = "a step of a proposal"


def step_of(table: Mapping[str, Any]) -> Step:
    """What is done to the model of a proposal, as its table says.

    Raises:
        BadInput: If the table is none of a step.
    """
    try:
        return _STEP.validate_python(dict(table))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(key) for key in first["loc"][1:])
        if first["type"].startswith("union_tag"):
            raise must("use", _OF, "one of the steps", table.get("use"), near(str(table.get("use")), STEPS)) from error
        if first["type"] == "extra_forbidden":
            raise BadInput(f"A step of a proposal has the unknown key {key!r}. Leave it out.") from error
        what = f"{key} of {_OF}" if key else f"The step {table['use']} of a proposal:"
        raise BadInput(f"{what} {rule_of(first)}.") from error
