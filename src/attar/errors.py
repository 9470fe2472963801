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


def near(name: str, valid: Iterable[str]) -> str:
    """A remedy for a misspelt name: what other libraries call it, else the close matches, else all that is valid.

    Example:
        >>> near("temprature", ["temperature", "weight"])
        "Did you mean 'temperature'?"
        >>> near("lr", ["learning_rate", "epochs"])
        "Did you mean 'learning_rate'?"
        >>> near("x", ["temperature", "weight"])
        "Choose from 'temperature', 'weight'"
    """
    choices = sorted(valid)
    close = [one for one in choices if name.lower() in _ELSEWHERE.get(one, ())]
    close = close or difflib.get_close_matches(name[:100], choices, n=2)
    if close:
        return f"Did you mean {' or '.join(map(repr, close))}?"
    return f"Choose from {', '.join(map(repr, choices))}"


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
    return MissingExtra(f"{purpose} needs the package {package!r}, which is not installed. Run: pip install {wanted}.")
