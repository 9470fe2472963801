"""The errors that users meet: one sentence that says which parameter of what, the rule, the value, the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class AttarError(Exception):
    """Base of every error that Attar raises on purpose."""


class BadInput(AttarError, ValueError):
    """Something that the user gave breaks a rule."""


class NothingMatched(BadInput):
    """A filter selected nothing, so that going on would have done nothing."""


class StaleStore(BadInput):
    """Stored targets were made from another teacher, other data or other view rules."""


class CorruptFile(BadInput):
    """A file is truncated, altered or not what its name says."""


class MissingExtra(AttarError, ImportError):
    """An optional package is needed and not installed."""


class Diverged(AttarError, ArithmeticError):
    """A loss or a gradient became NaN or infinite."""


def must(parameter: str, of: str, rule: str, got: object, remedy: str) -> BadInput:
    """The one formatter of rule violations; raise what it returns.

    Args:
        parameter: Name of the parameter that breaks the rule.
        of: What it is a parameter of: a function, a section of a recipe, a file.
        rule: What the value must be.
        got: The value itself; shown shortened.
        remedy: What to do, as a sentence without its period.

    Example:
        >>> print(must("temperature", "SoftTargets", "greater than 0", -1, "Use 1 for plain probabilities"))
        temperature of SoftTargets must be greater than 0; got -1. Use 1 for plain probabilities.
    """
    end = "" if remedy.endswith("?") else "."
    return BadInput(f"{parameter} of {of} must be {rule}; got {shown(got)}. {remedy}{end}")


def shown(value: object, limit: int = 120) -> str:
    """A value as it appears in an error message: strings and paths quoted, long ones cut."""
    text = repr(str(value)) if isinstance(value, Path) else repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def near(name: str, valid: Iterable[str]) -> str:
    """A remedy for a misspelt name: the close matches, else all that is valid.

    Example:
        >>> near("temprature", ["temperature", "weight"])
        "Did you mean 'temperature'?"
        >>> near("x", ["temperature", "weight"])
        "Choose from 'temperature', 'weight'"
    """
    choices = sorted(valid)
    close = difflib.get_close_matches(name, choices, n=2)
    if close:
        return f"Did you mean {' or '.join(map(repr, close))}?"
    return f"Choose from {', '.join(map(repr, choices))}"


def missing_extra(package: str, extra: str, purpose: str) -> MissingExtra:
    """The error for an optional package that is not installed, naming the extra that brings it."""
    return MissingExtra(
        f"{purpose} needs the package {package!r}, which is not installed. Run: pip install 'attar[{extra}]'."
    )
