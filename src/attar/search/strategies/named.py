"""Strategies by name, with their settings as plain values: as recipes say them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from attar.errors import BadInput, must, near, rule_of
from attar.search.strategies.evolutionary import Evolutionary
from attar.search.strategies.given import Given
from attar.search.strategies.grid import Grid
from attar.search.strategies.halving import Halving
from attar.search.strategies.n2n import N2N
from attar.search.strategies.random import Random
from attar.search.strategies.tpe import TPE
from attar.search.strategy import Strategy


@dataclass(frozen=True)
class Known:
    """A strategy that a recipe can name.

    Attributes:
        strategy: Its class.
        purpose: What it is for, in a sentence.
    """

    strategy: type[Any]
    purpose: str


STRATEGIES: Mapping[str, Known] = MappingProxyType(
    {
        "given": Known(Given, "Students that you name, each tried once."),
        "grid": Known(Grid, "Every combination of a few values, where there are few of them."),
        "random": Known(Random, "Draws from the whole space; what the others have to be better than."),
        "halving": Known(Halving, "Begins many short trainings and goes on with the best; for spaces that are large."),
        "tpe": Known(TPE, "Learns from each trial where good ones are; for trainings that are dear."),
        "evolutionary": Known(Evolutionary, "Changes and crosses the best so far; for long searches."),
        "n2n": Known(N2N, "Removes layers of the teacher's own network, then shrinks the others, by learned policies."),
    }
)
"""Every strategy, by the name that ``use`` gives."""


def strategy_of(table: Any, known: Mapping[str, Any], of: str = "search") -> Strategy:
    """The strategy that a table describes; what it leaves out is as the strategy comes.

    Args:
        table: A mapping with ``use``, a name of `STRATEGIES`, and settings.
        known: What no table holds, by the name of the field: the ``space``, the ``goal``, ``proposals``, and N2N's
            ``layers``, ``teacher`` and ``reward``. A strategy takes what it has use for. A setting among them, such as
            the ``seed``, gives way to that of the table.
        of: What errors call the place of the table.

    Raises:
        BadInput: If there is no such strategy or setting, or a value breaks its rule.
    """
    use = table.get("use") if isinstance(table, Mapping) else None
    if not isinstance(use, str) or use not in STRATEGIES:
        raise must("use", of, "a known strategy", use, near(str(use), STRATEGIES))
    kind = STRATEGIES[use].strategy
    hints = get_type_hints(kind)
    fields = {one.name: one for one in dataclasses.fields(kind) if one.init}
    given = {name: value for name, value in known.items() if name in fields}
    settings = fields.keys() - _NO_SETTINGS
    for key, value in table.items():
        if key == "use":
            continue
        if key not in settings:
            raise must("a setting", f"the strategy {use}", "known", key, near(str(key), settings))
        try:
            given[key] = TypeAdapter(hints[key]).validate_python(value, strict=True)
        except ValidationError as error:
            rule = rule_of({**error.errors()[0], "input": value})
            rule += "." if ". " in rule else ". Leave it out for its default."
            raise BadInput(f"{key} of the strategy {use} {rule}") from error
    for name, one in fields.items():
        if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING and name not in given:
            remedy = "Choose another strategy, or give them"
            raise must(name, f"the strategy {use}", "given", None, remedy)
    built: Strategy = kind(**given)
    return built


_NO_SETTINGS = {"space", "goal", "proposals", "layers", "teacher", "reward"}
"""Fields that no table holds."""
