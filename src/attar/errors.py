"""The errors that users meet: one sentence that says which parameter of what, the rule, the value, the remedy."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


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


class Words(str):
    """Prose in the place of a value, such as which value it is of many: an error message does not quote it."""

    def __repr__(self) -> str:
        return str(self)


def must(parameter: str, of: str, rule: str, got: object, remedy: str) -> BadInput:
    """The one formatter of rule violations; raise what it returns.

    Args:
        parameter: Name of the parameter that breaks the rule.
        of: What it is a parameter of: a function, a section of a recipe, a file.
        rule: What the value must be.
        got: The value itself, or `Words` about it; shown shortened.
        remedy: What to do, as a sentence without its period.

    Example:
        >>> print(must("temperature", "SoftTargets", "greater than 0", -1, "Use 1 for plain probabilities"))
        temperature of SoftTargets must be greater than 0; got -1. Use 1 for plain probabilities.
    """
    end = "" if remedy.endswith("?") else "."
    return BadInput(f"{parameter} of {of} must be {rule}; got {shown(got)}. {remedy}{end}")


def shown(value: object, limit: int = 120) -> str:
    """A value as it appears in an error message: strings and paths quoted, long ones without their middle.

    Example:
        >>> shown("a" * 50 + "b" * 50, 20)
        "'aaaaaaaaa ... bbbb'"
    """
    try:
        text = repr(str(value)) if isinstance(value, Path) else repr(value)
    except Exception:  # a number of too many digits, or an object that cannot say what it is
        text = f"a {type(value).__name__}"
    if isinstance(value, Words):  # prose, of which nothing is cut but what could not be read anyway
        limit = max(limit, 500)
    if len(text) <= limit:
        return text
    end = limit // 4
    return f"{text[: limit - end - 5]} ... {text[-end:]}"


def rule_of(problem: Mapping[str, Any]) -> str:
    """What a check of types and ranges found, as what follows a name: the rule, the value, and what to write.

    Args:
        problem: One of the problems that pydantic lists in a `ValidationError`.

    Example:
        >>> rule_of({"type": "int_type", "msg": "Input should be a valid integer", "input": "3"})
        "must be a whole number; got '3'. Leave the quotes out"
        >>> rule_of({"type": "greater_than_equal", "msg": "", "input": -1, "ctx": {"ge": 0}})
        'must be at least 0; got -1'
        >>> rule_of({"type": "string_type", "msg": "", "input": 5})
        'must be a text; got 5. Write "5", with the quotes, if that is its name'
        >>> rule_of({"type": "value_error", "msg": "Value error, names need letters.", "input": "1"})
        'names need letters'
    """
    kind, given, about = problem["type"], problem["input"], problem.get("ctx", {})
    message = problem["msg"].removeprefix("Value error, ").rstrip(".")
    if kind == "value_error":
        return str(message)
    if kind in _LENGTHS:
        most, what = _LENGTHS[kind]
        bound = about["min_length" if most == "at least" else "max_length"]
        return f"must have {most} {bound} {what if bound == 1 else _MANY[what]}; got {shown(given)}"
    bounds = (f"{words} {_shortest(about[key])}" for key, words in _BOUNDS.items() if key in about)
    names = re.findall(r"'([^']*)'", str(about.get("expected", ""))) if kind == "literal_error" else []
    rule = _TYPES.get(kind) or next(bounds, None) or str(about.get("expected", ""))
    if not rule:
        return f"is not right: {message[:1].lower()}{message[1:]}; got {shown(given)}"
    close = near(given, names) if names and isinstance(given, str) else ""
    hint = close if close.endswith("?") else as_share(given) if about.get("le", about.get("lt")) == 1 else ""
    hint = hint or _as_written(kind, given)
    return f"must be {rule}; got {shown(given)}{'. ' if hint else ''}{hint}"


def _shortest(bound: object) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


def as_share(given: object) -> str:
    """What to write for a share of 1 that is given in percent; empty for what is none.

    Example:
        >>> as_share(20), as_share(0.2), as_share("12.5 %"), as_share(1.5), as_share(250)
        ('Write 0.2 for 20%', '', 'Write 0.125 for 12.5%', '', '')
    """
    if isinstance(given, str):
        found = re.fullmatch(r"\s*(\d{1,3}(?:\.\d{1,9})?)\s*%\s*", given, re.ASCII)
        percent = float(found[1]) if found else 0.0
    else:
        percent = float(given) if isinstance(given, int | float) and _LEAST_PERCENT <= given < 100 else 0.0
    return f"Write {percent / 100:.12g} for {percent:.12g}%" if percent else ""


_LEAST_PERCENT = 5
"""A number that is meant in percent; what is smaller is rather a slip."""


def _as_written(kind: str, given: object) -> str:
    """How a value is written that stands there in another form; empty where that is not known."""
    if kind == "string_type" and isinstance(given, int | float) and not isinstance(given, bool):
        return f'Write "{given}", with the quotes, if that is its name'
    if not isinstance(given, str) or len(given) > 60:
        return ""
    if kind in ("list_type", "sequence_str"):
        return f"Write [{json.dumps(given, ensure_ascii=False)}]"
    if kind == "bool_type":
        return "Leave the quotes out" if given in ("true", "false") else ""
    if kind == "float_type" and (share := as_share(given)):
        return share
    number = r"\s*[+-]?\d+\s*" if kind == "int_type" else r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*"
    return (
        "Leave the quotes out" if kind in ("int_type", "float_type") and re.fullmatch(number, given, re.ASCII) else ""
    )


_TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a text",
    "list_type": "a list",
    "sequence_str": "a list",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "dataclass_type": "a table",
    "none_required": "left out",
}
"""Rules by pydantic's name of what breaks them."""

_BOUNDS = {"ge": "at least", "gt": "greater than", "le": "at most", "lt": "less than"}
"""Rules by pydantic's name of the bound."""

_LENGTHS = {
    "too_short": ("at least", "entry"),
    "too_long": ("at most", "entry"),
    "string_too_short": ("at least", "character"),
    "string_too_long": ("at most", "character"),
}
_MANY = {"entry": "entries", "character": "characters"}


def near(name: str, valid: Iterable[str]) -> str:
    """A remedy for a misspelt name: what other libraries call it, else the close matches, else all that is valid.

    Example:
        >>> near("temprature", ["temperature", "weight"])
        "Did you mean 'temperature'?"
        >>> near("lr", ["learning_rate", "epochs"])
        "Did you mean 'learning_rate'?"
        >>> near("x", ["temperature", "weight"])
        "Choose from 'temperature', 'weight'"
        >>> near("Weight", ["temperature", "weight"]), near("temp", ["temperature_of_it", "weight"])
        ("Did you mean 'weight'?", "Did you mean 'temperature_of_it'?")
    """
    choices = sorted(valid)
    close = [one for one in choices if name.lower() in _ELSEWHERE.get(one, ())]
    lowered = name[:100].strip().casefold()
    close = close or [one for one in choices if one.strip().casefold() == lowered][:2]
    close = close or difflib.get_close_matches(name[:100], choices, n=2)
    if not close and len(lowered) >= _ENOUGH_OF_A_NAME:
        close = sorted((one for one in choices if one.casefold().startswith(lowered)), key=len)[:1]
    if close:
        return f"Did you mean {' or '.join(map(repr, close))}?"
    left = len(choices) - _LISTED
    more = f", ... ({left} more)" if left > 0 else ""
    return f"Choose from {', '.join(map(repr, choices[:_LISTED]))}{more}"


_ENOUGH_OF_A_NAME = 4
"""Letters with which a name begins that mean it."""

_LISTED = 40
"""Names that a remedy lists, at most: a table may have thousands of columns."""


_ELSEWHERE = {
    "learning_rate": ("lr", "eta", "step_size", "max_lr", "base_lr"),
    "batch_size": ("bs", "batch", "batchsize", "train_batch_size"),
    "micro_batch_size": ("micro_batch", "gradient_accumulation", "accumulate_grad_batches"),
    "epochs": ("n_epochs", "num_epochs", "max_epochs", "nb_epochs", "num_train_epochs", "iterations", "steps"),
    "weight_decay": ("wd", "l2", "decay"),
    "optimizer": ("opt", "optim", "optimiser"),
    "schedule": ("scheduler", "lr_scheduler", "lr_schedule"),
    "warmup_epochs": ("warmup", "warm_up"),
    "max_gradient_norm": ("clip", "grad_clip", "clip_grad", "clip_grad_norm", "gradient_clip_val", "max_grad_norm"),
    "ema_decay": ("ema", "ema_rate"),
    "patience": ("early_stopping", "early_stop"),
    "precision": ("dtype", "amp", "fp16", "bf16"),
    "seed": ("random_state", "random_seed", "rng"),
    "temperature": ("t", "temp", "tau"),
    "weight": ("alpha", "lambda", "lambda_", "coefficient", "w"),
    "loss": ("criterion", "use", "loss_fn"),
    "quality_loss": ("accuracy_loss", "max_accuracy_loss", "accuracy_drop", "quality", "accuracy"),
    "bytes": ("size", "size_bytes", "max_size", "model_size", "disk", "smaller"),
    "latency": ("time", "speed", "latency_ms", "max_latency", "faster"),
    "memory": ("ram", "peak_memory", "max_memory", "memory_bytes"),
    "macs": ("flops", "mac", "multiply_adds", "madds", "max_macs"),
    "hidden": ("hidden_sizes", "hidden_layer_sizes", "layers"),
}
"""What other libraries call some of our parameters."""


def missing_extra(package: str, extra: str | None, purpose: str) -> MissingExtra:
    """The error for a package that is not installed, naming the extra that brings it; None where Attar itself does."""
    wanted = "attar" if extra is None else f"'attar[{extra}]'"
    alone = f", or {_ALONE[package]}" if package in _ALONE else ""
    return MissingExtra(
        f"{purpose} needs the package {package!r}, which is not installed. Run: pip install {wanted}{alone}."
    )


_ALONE = {
    "lightgbm": "for this one alone pip install lightgbm",
    "xgboost": "for this one alone pip install xgboost-cpu, which leaves out hundreds of megabytes for GPUs",
}
"""How packages are got without the others of their extra."""
