"""What an evidence document may hold: checked before a page is drawn, so that no figure is drawn from anything else.

Only what the page reads is in it; every part may be absent or None, and what else a document has is nobody's business.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from attar.errors import must

_REMEDY = "Run attar compress again: it writes the evidence anew"

_LARGEST, _SMALLEST = 1e18, 1e-9
"""Between these lie all figures that are drawn by their ratios: bytes, and milliseconds."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value that is no container of others, or one that is checked as a whole."""

    rule: str
    fits: Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Some:
    """Any number of values of one form: of a list, or under any names."""

    each: Any
    named: bool = False
    holes: bool = False
    """Whether one of them may be None."""


@dataclass(frozen=True, slots=True)
class Both:
    """Values under names, as ``fields`` has them, that fit together as ``leaf`` says."""

    fields: Any
    leaf: Leaf


def _having(*names: str) -> Leaf:
    """A table in which some names must be there."""
    rule = f"a table with {' and '.join(names)}"
    return Leaf(rule, lambda value: isinstance(value, Mapping) and all(value.get(name) is not None for name in names))


def check(document: Mapping[str, Any]) -> None:
    """Refuse a document that the page cannot be drawn from.

    Raises:
        BadInput: With the dotted key of the first value that is of another kind.
    """
    _check(document, FORM, "")


def _check(value: Any, form: Any, place: str) -> None:
    if isinstance(form, Leaf):
        if not form.fits(value):
            raise must(place, "the evidence", form.rule, value, _REMEDY)
    elif isinstance(form, Both):
        _check(value, form.leaf, place)
        _check(value, form.fields, place)
    elif isinstance(form, Some) and not form.named:
        if not isinstance(value, list):
            raise must(place, "the evidence", "a list", value, _REMEDY)
        for number, inner in enumerate(value):
            if inner is not None or not form.holes:
                _check(inner, form.each, f"{place}.{number}")
    else:
        if not isinstance(value, Mapping):
            raise must(place or "the document", "the evidence", "a table", value, _REMEDY)
        for name, inner in value.items():
            below = form.each if isinstance(form, Some) else form.get(name)
            if below is not None and inner is not None:
                _check(inner, below, f"{place}.{name}" if place else str(name))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(one is None or _is_number(one) for one in value)


def _is_image(value: Any) -> bool:
    """``[height, width]`` or ``[height, width, 3]`` numbers."""
    if not isinstance(value, list) or not value or not all(isinstance(row, list) and row for row in value):
        return False
    if len({len(row) for row in value}) > 1:
        return False
    pixels = [pixel for row in value for pixel in row]
    if all(map(_is_number, pixels)):
        return True
    return all(isinstance(pixel, list) and len(pixel) == 3 and all(map(_is_number, pixel)) for pixel in pixels)


def _is_recipe(value: Any) -> bool:
    """What TOML can say."""
    if isinstance(value, Mapping):
        return all(inner is None or _is_recipe(inner) for inner in value.values())
    if isinstance(value, list):
        return all(map(_is_recipe, value))
    return isinstance(value, str | bool | int | float)


def _is_fact(value: Any) -> bool:
    """Facts of a machine; a name that ends in ``_bytes`` has a number."""
    if not isinstance(value, Mapping):
        return isinstance(value, str | bool | int | float | list)
    return all(
        inner is None or (_is_number(inner) if str(name).endswith("_bytes") else _is_fact(inner))
        for name, inner in value.items()
    )


def _is_timed(value: Any) -> bool:
    return isinstance(value, Mapping) and all(name.isascii() and name.isdecimal() and len(name) < 10 for name in value)


def _is_pair_of_lists(value: Any) -> bool:
    """Errors of baselines and students, seed by seed."""
    if not isinstance(value, Mapping):
        return False
    one, other = value.get("baseline"), value.get("student")
    return isinstance(one, list) and isinstance(other, list) and len(one) == len(other)


def _is_row(value: Any) -> bool:
    """A row of a table: texts, finite numbers, and gaps."""
    return isinstance(value, list) and all(
        cell is None
        or isinstance(cell, str)
        or (isinstance(cell, int | float) and not isinstance(cell, bool) and abs(cell) < math.inf)
        for cell in value
    )


TEXT = Leaf("text", lambda value: isinstance(value, str))
FLAG = Leaf("true or false", lambda value: isinstance(value, bool))
NUMBER = Leaf("a number", _is_number)
AMOUNT = Leaf("a number of at least 0", lambda value: _is_number(value) and value >= 0)
FRACTION = Leaf("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1)
POSITIVE = Leaf("a number above 0", lambda value: _is_number(value) and value >= _SMALLEST)
COST = Leaf("0 or more", lambda value: _is_number(value) and (value == 0 or value >= _SMALLEST))
COUNT = Leaf("a whole number of at least 0", _is_count)
PAIR = Leaf("two numbers", _is_pair)
TWO = Leaf("two numbers that are known", lambda value: _is_pair(value) and None not in value)
WORD = Leaf("text or a number", lambda value: isinstance(value, str) or _is_number(value))

_ACCURACY = {"accuracy": FRACTION, "examples": COUNT, "interval": PAIR}
_QUALITY = {**_ACCURACY, "calibration_error": AMOUNT, "rmse": AMOUNT, "per_class": Some(_ACCURACY, named=True)}
_LATENCY = {"median_ms": COST, "p90_ms": COST, "threads": COUNT}
_CLOSED = {"mean": NUMBER, "sd": NUMBER, "interval": PAIR}
_COMPARED = {"examples": COUNT, "generalist": FRACTION, "with_specialists": FRACTION, "relative_gain": NUMBER}
_SHIFT = {"shift": NUMBER, **dict.fromkeys(("before", "after", "absent_before", "absent_after"), FRACTION)}
_HOLED = Some(NUMBER, holes=True)
_BITS = {"format": {"use": TEXT}, "bits": AMOUNT, "range": _HOLED}
_BYTES = dict.fromkeys(("bytes_packed", "bytes_coded", "bytes_table", "bytes_float32"), COUNT)

FORM: Mapping[str, Any] = {
    **dict.fromkeys(("name", "created", "attar", "command", "winner", "why", "how_to_load", "artifact"), TEXT),
    **dict.fromkeys(("met", "baseline"), FLAG),
    "task": {
        "data": TEXT,
        "source": TEXT,
        "classes": Some(WORD),
        "input_shape": Some(COUNT),
        "drawn": Some(WORD),
        "columns": Some(WORD, named=True),
        **dict.fromkeys(("train", "validation", "test"), COUNT),
    },
    "asked": {"accuracy_loss": NUMBER, "smaller": NUMBER, "faster": NUMBER, "prefer": TEXT},
    "models": Some(
        {
            **dict.fromkeys(("name", "kind", "runtime", "precision", "refused"), TEXT),
            "quality": _QUALITY,
            "validation": _QUALITY,
            "size_bytes": COST,
            "parameters": COUNT,
            "macs": COUNT,
            "peak_memory_bytes": NUMBER,
            "latency": Both(Some(_LATENCY, named=True), Leaf("a table of batch sizes", _is_timed)),
            "agreement_with_teacher": FRACTION,
            "parity": {"max_difference": AMOUNT, "top1_agreement": FRACTION},
        }
    ),
    "budget": Some({"what": TEXT, "asked": WORD, "reached": WORD, "met": FLAG}),
    "verdict": {
        "sentence": TEXT,
        "difference": NUMBER,
        "interval": PAIR,
        "p_value": FRACTION,
        "examples": COUNT,
        "seeds": COUNT,
    },
    "ratios": {
        "smaller": POSITIVE,
        "faster_batch1": {"ratio": POSITIVE, "interval": PAIR},
        "faster_batch64": {"ratio": POSITIVE, "interval": PAIR},
    },
    "curves": Some(
        Some(
            {
                **dict.fromkeys(("epoch", "loss", "learning_rate"), NUMBER),
                **dict.fromkeys(("validation_accuracy", "validation_rmse", "validation_log_loss"), NUMBER),
                "terms": Some(NUMBER, named=True),
            }
        ),
        named=True,
    ),
    "seeds": {
        "baseline": Some(FRACTION, holes=True),
        "student": Some(FRACTION, holes=True),
        "teacher": FRACTION,
        "gap_closed": _CLOSED,
        "rmse": Both(
            {"baseline": _HOLED, "student": _HOLED, "teacher": AMOUNT, "member": AMOUNT, "gap_closed": _CLOSED},
            Leaf("a table with as many errors of baselines as of students", _is_pair_of_lists),
        ),
    },
    "examples": Some(
        {
            "image": Leaf("[height, width] or [height, width, 3] numbers", _is_image),
            "values": _HOLED,
            "label": WORD,
            "soft": Some(FRACTION, holes=True),
            "id": WORD,
        }
    ),
    "temperature": POSITIVE,
    "selection": {
        "chosen": Some(POSITIVE, named=True),
        "models": COUNT,
        "metric": TEXT,
        "score": NUMBER,
        "best_single": TEXT,
        "best_single_score": NUMBER,
    },
    "synthesis": {
        "method": TEXT,
        "rows": COUNT,
        **dict.fromkeys(("p", "s", "components"), NUMBER),
        "neighbors": TEXT,
        "original": FLAG,
        "tried": Some(Both({"p": NUMBER, "s": NUMBER, "score": NUMBER}, _having("score"))),
    },
    "against_single": Both(
        {
            "name": TEXT,
            "squared_error": Both({"interval": TWO}, _having("interval")),
            "accuracy": Both({"difference": NUMBER}, _having("difference")),
        },
        _having("name", "squared_error", "accuracy"),
    ),
    "specialists": {
        **dict.fromkeys(("specialists", "classes_covered"), COUNT),
        **dict.fromkeys(("training_seconds", "asked_mean", "steps_mean", "residual_largest"), AMOUNT),
        "inference": {"top": COUNT, "correction": TEXT},
        "validation": Some({"correction": TEXT, "top": COUNT, "accuracy": FRACTION, "log_loss": NUMBER}),
        "overall": _COMPARED,
        "conditional": _COMPARED,
        "difference": {"difference": NUMBER, "interval": PAIR, "p_value": FRACTION},
        "by_coverage": Some({**_COMPARED, "specialists": COUNT, "classes": COUNT}),
        "each": Some({**_COMPARED, "classes": Some(WORD), **dict.fromkeys(("share", "validation", "alone"), FRACTION)}),
        "seconds_per_1000": {**dict.fromkeys(("inference", "generalist", "predict"), AMOUNT), "threads": COUNT},
    },
    "bias_correction": {"classes": Some(WORD), "students": Some(_SHIFT), "baselines": Some(_SHIFT)},
    "steps": dict.fromkeys(("baseline", "student"), Some({"accuracy": Some(FRACTION, holes=True)}, named=True)),
    "panels": Some(
        {
            **dict.fromkeys(("step", "title", "note"), TEXT),
            "columns": Some(TEXT),
            "rows": Some(Leaf("a list of texts and numbers", _is_row)),
        }
    ),
    "precision": Some(
        {
            "name": TEXT,
            "shape": Some(COUNT, holes=True),
            "values": COUNT,
            "entropy_bits": AMOUNT,
            **_BITS,
            **_BYTES,
            "inputs": _BITS,
            "weights": {"edges": _HOLED, "counts": Some(COUNT, holes=True)},
            "numbers": {"counts": Some(COUNT, holes=True), **dict.fromkeys(("mean", "lowest", "highest"), _HOLED)},
            "points": _HOLED,
        },
        holes=True,
    ),
    "targets": {
        **dict.fromkeys(("size_bytes", "bytes_per_example", "kl_mean", "kl_largest", "entropy", "seconds"), NUMBER),
        **dict.fromkeys(("rows", "views", "top_k"), COUNT),
        **dict.fromkeys(("kind", "dtype"), TEXT),
        "top_probability": FRACTION,
        "temperature": POSITIVE,
    },
    **dict.fromkeys(("warnings", "alerts"), Some(TEXT)),
    "stages": Some({"name": TEXT, "seconds": AMOUNT, "reused": FLAG}),
    "machine": Leaf("a table of facts, where bytes are numbers", lambda v: isinstance(v, Mapping) and _is_fact(v)),
    "recipe": Leaf("a table that TOML can hold", lambda v: isinstance(v, Mapping) and _is_recipe(v)),
}
"""What the page reads, key by key."""
