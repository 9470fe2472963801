"""How far a network is pruned: to a cost, or as far as a loss of quality allows."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, get_args

from pydantic import Field, PlainSerializer, PlainValidator, model_validator

from attar.budget import Limit
from attar.pipeline.costs import What
from attar.pipeline.section import Section

_ROUNDS = 8
"""Trainings at most, by default."""


def _rounded_up(value: float, digits: int) -> float:
    """A number above 0 to some significant digits, never less than it is."""
    decimals = digits - 1 - math.floor(math.log10(value))
    nearest = round(value, decimals)
    return nearest if nearest >= value else round(nearest + 10.0**-decimals, decimals)


def _limit(what: Any) -> Any:
    return Annotated[Limit, PlainValidator(partial(Limit.read, what)), PlainSerializer(str)]


class PruneTarget(Section):
    """How far a network is pruned: one of these, absolute or, as "0.5x", relative to the network before the step."""

    latency: _limit("latency") | None = Field(  # type: ignore[valid-type]
        None, description="of one example in ONNX Runtime with one thread, measured on this machine: 0.5x, 2 ms"
    )
    macs: _limit("macs") | None = Field(None, description="multiply-adds: 0.1x, 3 M")  # type: ignore[valid-type]
    bytes: _limit("bytes") | None = Field(None, description="of float32 weights: 0.2x, 50 kB")  # type: ignore[valid-type]
    parameters: _limit("macs") | None = Field(None, description="how many: 0.2x, 10 k")  # type: ignore[valid-type]
    activations: _limit("bytes") | None = Field(  # type: ignore[valid-type]
        None, description="bytes of what layers give for one example: 0.5x"
    )
    quality_loss: _limit("quality_loss") | None = Field(  # type: ignore[valid-type]
        None,
        description="of the score on validation, against the network before the step: as much goes as keeps it "
        "within 0.3% or 0.003, a third of a point",
    )
    of: What | None = Field(None, description="the cost that comes down where quality_loss is given; else latency")
    rounds: Annotated[int, Field(ge=1, le=100)] | None = Field(
        None, description=f"trainings at most where quality_loss is given; {_ROUNDS} if left out"
    )

    @model_validator(mode="after")
    def _one(self) -> PruneTarget:
        names = (*get_args(What), "quality_loss")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"must name one of {', '.join(names)}; got {' and '.join(given) or 'none'}. "
                'Write for example to = { latency = "0.5x" }'
            )
        limit = getattr(self, given[0])
        if limit.relative and limit.amount >= 1 and given[0] != "quality_loss":
            raise ValueError(
                f"{given[0]} must be less than that of the network before the step, which 1x is; got {str(limit)!r}. "
                "Write for example '0.5x' for half of it"
            )
        for name in ("of", "rounds"):
            if getattr(self, name) is not None and self.quality_loss is None:
                raise ValueError(f"{name} is for quality_loss; leave it out where {given[0]} is the target")
        return self

    @property
    def what(self) -> What:
        """What is to be brought down."""
        if self.quality_loss is not None:
            return self.of or "latency"
        found: What = next(name for name in get_args(What) if getattr(self, name) is not None)
        return found

    @property
    def limit(self) -> Limit:
        """To how much; of a target that is no loss of quality."""
        found: Limit = getattr(self, self.what)
        return found

    def nearest(self, full: float, least: float) -> str:
        """The target to ask for where nothing below an amount can be reached, as a recipe has it.

        Args:
            full: What the network takes before the step.
            least: The amount, less than that.

        Example:
            >>> PruneTarget(macs="0.001x").nearest(1000.0, 5.41), PruneTarget(parameters=20).nearest(604.0, 68.0)
            ("macs = '0.0055x'", "parameters = '68'")
        """
        limit = self.limit
        of = full if limit.relative else 1.0
        rounded = (_rounded_up(least / of, digits) for digits in range(2, 17))
        amount = next((one for one in rounded if one * of < full), least / of)
        return f"{self.what} = {str(replace(limit, amount=amount))!r}"

    @property
    def most_rounds(self) -> int:
        """How often is trained at most, for a loss of quality."""
        return self.rounds or _ROUNDS
