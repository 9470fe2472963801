"""Single settings of a recipe changed, as by ``--set``, before anything knows what they mean."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Sequence
from typing import Any

from attar.errors import must
from attar.recipes.files import DEEPEST, DIGITS, DIGITS_RULE, MOST_BYTES


def apply(document: dict[str, Any], change: str) -> None:
    """Set one value of a recipe's document in place, from ``dotted.key=value``.

    Example:
        >>> recipe = {"budget": {"quality_loss": "1%"}}
        >>> apply(recipe, "budget.quality_loss=2%")
        >>> recipe
        {'budget': {'quality_loss': '2%'}}

    A number counts the tables of a list, from 0: ``student.steps.1.weights.bits=2``.
    """
    key, equals, text = change.partition("=")
    names = [name.strip() for name in key.split(".")]
    if len(names) > DEEPEST:
        raise must("--set", "attar compress", f"of at most {DEEPEST} keys", change, "Shorten the key")
    if not equals or not all(names):
        raise must(
            "--set", "attar compress", "written dotted.key=value", change, "For example --set student.training.epochs=5"
        )
    if len(change) > MOST_BYTES:
        raise must(
            "--set", "attar compress", f"at most {MOST_BYTES:,} characters long", change, "Write it into the recipe"
        )
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except RecursionError as error:
        raise must("--set", "attar compress", "less deeply nested", change, "Flatten the value") from error
    except ValueError as error:
        if DIGITS in str(error):
            raise must("--set", "attar compress", f"without a {DIGITS_RULE}", change, "Shorten it") from error
        value = text.strip()
    table: Any = document
    for name, below in itertools.pairwise(names):
        table = table[int(name)] if isinstance(table, list) else table.setdefault(name, {})
        if isinstance(table, list) and not _counts(table, below):
            rule = f"a number from 0 to {len(table) - 1} after {name!r}, which is a list"
            raise must("--set", "attar compress", rule, change, "Count from 0")
        if not isinstance(table, dict | list):
            raise must(
                "--set", "attar compress", f"a key below a table; {name!r} is a value", change, "Shorten the key"
            )
    table[int(names[-1]) if isinstance(table, list) else names[-1]] = value


def _counts(table: Sequence[Any], name: str) -> bool:
    return name.isascii() and name.isdecimal() and int(name) < len(table)
