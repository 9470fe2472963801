"""Strategies by name, with their settings as plain values: as recipes say them."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from attar.errors import BadInput, must, near, rule_of
from attar.search.n2n.layers import RULES, Rules
from attar.search.strategies.evolutionary import Evolutionary
from attar.search.strategies.given import Given
from attar.search.strategies.grid import Grid
from attar.search.strategies.halving import Halving, Rung, rungs_of
from attar.search.strategies.n2n import N2N
from attar.search.strategies.random import Random
from attar.search.strategies.tpe import TPE
from attar.search.strategy import Strategy

STRATEGIES: Mapping[str, type[Any]] = MappingProxyType(
    {
        "evolutionary": Evolutionary,
        "random": Random,
        "halving": Halving,
        "tpe": TPE,
        "grid": Grid,
        "given": Given,
        "n2n": N2N,
    }
)
"""Every strategy that a table can name, by what ``use`` says."""

_GIVEN = {"space", "goal", "layers", "teacher", "reward"}
"""Fields of strategies that no table holds."""

_BEFORE: Mapping[str, Collection[str]] = MappingProxyType({"n2n": ("rules",)})
"""Settings that are no field: by them goes whoever makes what a strategy is given, see `rules_of`."""


def settings_of(use: str) -> set[str]:
    """What a table may set of a strategy.

    Args:
        use: A name of `STRATEGIES`.
    """
    return {one.name for one in dataclasses.fields(STRATEGIES[use]) if one.init} - _GIVEN | set(_BEFORE.get(use, ()))


def trainings_of(table: Mapping[str, Any], trials: int, epochs: int, most: int) -> list[Rung]:
    """What a strategy trains, at most: how many networks, for how long; with halving those that go on as well.

    Args:
        table: Of the strategy.
        trials: Networks that it begins with.
        epochs: Of each of these.
        most: Epochs of a network in all, unless the table says so.

    Example:
        >>> sum(one.networks * one.epochs for one in trainings_of({"use": "halving"}, 27, 4, 40))
        256
        >>> sum(one.networks * one.epochs for one in trainings_of({"use": "random"}, 27, 4, 40))
        108
        >>> trainings_of({"use": "given", "students": [{"width": 8}, {"width": 64}]}, 27, 4, 40)
        [Rung(networks=2, epochs=4, total=4)]
    """
    if table["use"] == "given":
        trials = min(trials, len(table["students"]))
    if table["use"] != "halving":
        return [Rung(trials, epochs, epochs)]
    given = {"most": most, **{name: table[name] for name in ("eta", "rungs", "most") if name in table}}
    return rungs_of(trials, epochs, **given)


def rules_of(table: Mapping[str, Any]) -> Rules:
    """What n2n may make of a network, as its table says: ``rules`` is a name of `RULES`, or a table of what differs.

    Args:
        table: Of the strategy.

    Raises:
        BadInput: If there are no such rules, or a value breaks its own.

    Example:
        >>> rules_of({"use": "n2n", "rules": {"fixed": ["first", "last", "0.*"], "min_channels": 4}}).min_channels
        4
    """
    given = table.get("rules", "usual")
    if isinstance(given, Mapping):
        return Rules(**_valid(Rules, given, {one.name for one in dataclasses.fields(Rules)}, "the rules of n2n"))
    if not isinstance(given, str) or given not in RULES:
        remedy = f'Use {", ".join(map(repr, RULES))} or a table such as {{ fixed = ["first", "last"] }}'
        raise must("rules", "the strategy n2n", "known rules, or a table", given, remedy)
    return RULES[given]


def strategy_of(table: Any, known: Mapping[str, Any], of: str = "search") -> Strategy:
    """The strategy that a table describes; what it leaves out is as the strategy comes.

    Args:
        table: A mapping with ``use``, a name of `STRATEGIES`, and settings.
        known: What no table holds, by the name of the field: the ``space``, the ``goal``, and N2N's ``layers``,
            ``teacher`` and ``reward``. A strategy takes what it has use for. A setting among them, such as the
            ``seed``, gives way to that of the table.
        of: What errors call the place of the table.

    Raises:
        BadInput: If there is no such strategy or setting, or a value breaks its rule.
    """
    use = table.get("use") if isinstance(table, Mapping) else None
    if not isinstance(use, str) or use not in STRATEGIES:
        raise must("use", of, "a known strategy", use, near(str(use), STRATEGIES))
    kind, before = STRATEGIES[use], ("use", *_BEFORE.get(use, ()))
    fields = {one.name: one for one in dataclasses.fields(kind) if one.init}
    given = {name: value for name, value in known.items() if name in fields}
    own = {key: value for key, value in table.items() if key not in before}
    given |= _valid(kind, own, settings_of(use), f"the strategy {use}")
    for name, one in fields.items():
        if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING and name not in given:
            remedy = "Choose another strategy, or give it"
            raise must(name, f"the strategy {use}", "given", None, remedy)
    built: Strategy = kind(**given)
    return built


def _valid(kind: type[Any], table: Mapping[str, Any], settings: Collection[str], of: str) -> dict[str, Any]:
    """Values of a table for fields of a dataclass.

    Raises:
        BadInput: If it has no such field, or a value is not of its type.
    """
    hints, found = get_type_hints(kind), dict[str, Any]()
    for key, value in table.items():
        if key not in settings:
            raise must("a setting", of, "known", key, near(str(key), settings))
        try:
            found[key] = TypeAdapter(hints[key]).validate_python(value, strict=True)
        except ValidationError as error:
            rule = rule_of({**error.errors()[0], "input": value})
            rule += "." if ". " in rule else ". Leave it out for its default."
            raise BadInput(f"{key} of {of} {rule}") from error
    return found
