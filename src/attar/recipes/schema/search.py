"""The table of a recipe that says how a student is looked for where the recipe names none."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainValidator

from attar.errors import near, shown
from attar.network.references import check_written
from attar.pipeline.section import Section, each_once
from attar.recipes.schema.duration import Duration
from attar.search.spaces import FORMATS, PRUNING
from attar.search.strategies.named import STRATEGIES, settings_of

_KEYS_OF_THE_SEARCH = {"trials", "epochs"}
"""Settings of a strategy that keys beside it say: ``search.proposals`` and ``search.epochs``."""


def _strategy(given: Any) -> dict[str, Any]:
    """A strategy by its name, or a table with its name and its settings."""
    table = {"use": given} if isinstance(given, str) else given
    if not isinstance(table, Mapping):
        raise ValueError(f"must be the name of a strategy, or a table with use; got {shown(given)}")
    use = table.get("use")
    if not isinstance(use, str) or use not in STRATEGIES:
        raise ValueError(f"must be a strategy that there is; got {shown(use)}. {near(str(use), STRATEGIES)}")
    settings = settings_of(use) - _KEYS_OF_THE_SEARCH
    for name in table:
        if name != "use" and name not in settings:
            raise ValueError(f"must have settings of {use}; got {shown(name)}. {near(str(name), settings)}")
    return dict(table)


def _known(all_names: Collection[str]) -> Any:
    """A type: a list of some names, each once."""

    def checked(names: list[str]) -> list[str]:
        for name in names:
            if name not in all_names:
                raise ValueError(f"must be names that there are; got {shown(name)}. {near(name, all_names)}")
        return each_once(names)

    return Annotated[list[str], Field(min_length=1), AfterValidator(checked)]


class SpaceSection(Section):
    """Students to choose from: those of a function of the user's, whose arguments are ranges and lists."""

    use: Annotated[str, AfterValidator(check_written)] = Field(
        description="package.module:function that returns a torch.nn.Module"
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict,
        description="each a range { from = 8, to = 128, log = true }, a list of values to choose from, or one value",
    )


class SearchSection(Section):
    """How a student is looked for where the recipe names none."""

    strategy: Annotated[dict[str, Any], PlainValidator(_strategy)] = Field(
        {"use": "evolutionary"}, description="what makes proposals: a name, or a table with use and settings"
    )
    proposals: Annotated[int, Field(ge=1, le=100_000)] = Field(
        32, description="students that are trained, for a short time; those beyond the budget are not"
    )
    epochs: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="of each such training; a tenth of the student's if left out"
    )
    examples: Annotated[int, Field(ge=1)] | None = Field(
        None, description="of each such training, drawn at random; all if left out. Finalists are trained on all"
    )
    finalists: Annotated[int, Field(ge=1, le=100)] = Field(
        3, description="of the best so many are trained again, from several seeds"
    )
    seeds: Annotated[int, Field(ge=1, le=20)] = Field(2, description="of each finalist")
    pareto: Annotated[int, Field(ge=0, le=20)] = Field(
        2, description="others of the Pareto set that are trained, deployed and measured, too; 0 for none"
    )
    time: Duration | None = Field(None, description="for all of the run, such as 20m; no limit if left out")
    time_each: Duration | None = Field(
        None,
        description="for a proposal, all that is measured before its training included, such as 5m; if left out, 20 "
        "times what the training of one from the middle should take, and 5 minutes at least",
    )
    space: SpaceSection | None = Field(
        None, description="what is chosen from; if left out, networks that suit the data, up to the teacher's size"
    )
    formats: _known(FORMATS) = Field(  # type: ignore[valid-type]
        ["float32"], description=f"number formats of weights to choose from: {', '.join(FORMATS)}"
    )
    pruning: _known(PRUNING) = Field(  # type: ignore[valid-type]
        ["none"],
        description=f"how far students may be pruned after their training, to choose from: {', '.join(PRUNING)}",
    )
