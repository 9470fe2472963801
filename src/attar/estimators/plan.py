"""The parameters of a mimic, checked once, before anything is done."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from sklearn.utils import check_random_state

from attar.data.synthesis.synthesize import Method
from attar.duration import read_duration
from attar.errors import BadInput, must, near
from attar.training.losses.outputs import CenteredLogits, SoftTargets, SquaredError
from attar.training.objective import Loss

LOSSES: Mapping[str, Loss] = {
    "kl_divergence": SoftTargets(temperature=1.0),
    "squared_error": SquaredError(kind="probabilities"),
    "logits": CenteredLogits(),
}
"""How far a classifier's mimic is from its teacher; of regressors it is always the squared error of the values, and of
several labels the divergence of each label's probability."""

METHODS: tuple[Method, ...] = get_args(Method)
"""How rows can be synthesized."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a mimic is built; the attributes are the parameters of `attar.estimators.mimic.Mimic`."""

    hidden: tuple[int, ...]
    rows: int | None
    method: Method
    p: float | None
    s: float | None
    loss: str
    steps: int | None
    batch_size: int
    learning_rate: float
    validation: float
    nominal: tuple[str | int, ...]
    embed: int | None
    curves: int | None
    labels: float | None
    time: float | None
    include_original: bool
    rows_at_once: int | None
    seed: int


def seed_of(state: Any) -> int:
    """The seed of everything that is drawn: a number itself, as in a recipe, and one that a generator draws.

    Args:
        state: A number, a generator of NumPy or None, as scikit-learn's estimators take it.

    Raises:
        ValueError: If it is nothing of that, as scikit-learn finds.
    """
    most = 2**31 - 1
    if isinstance(state, np.random.Generator):
        return int(state.integers(most))
    drawn = int(check_random_state(state).randint(most))
    return int(state) if isinstance(state, numbers.Integral) else drawn


def checked(*, seed: int, **given: Any) -> Plan:
    """The plan that parameters make.

    Args:
        seed: Of everything that is drawn.
        given: The parameters of a mimic by name, of any type; those that are not in a plan are only checked.

    Raises:
        BadInput: If one of them breaks its rule.
    """
    for name, choices in (("loss", LOSSES), ("unseen", ("error", "missing")), ("method", METHODS)):
        if not isinstance(given[name], str) or given[name] not in choices:
            remedy = near(str(given[name]), choices)
            raise must(name, "Mimic", f"one of {', '.join(choices)}", given[name], remedy)
    hidden, nominal = given["hidden"], given["nominal"]
    if isinstance(hidden, str) or not hasattr(hidden, "__len__"):
        raise must("hidden", "Mimic", "a list of widths", hidden, "(256,) is one hidden layer")
    if isinstance(nominal, str) or not hasattr(nominal, "__len__"):
        raise must("nominal", "Mimic", "a list of names or positions of columns", nominal, "For example [0, 3]")
    if not isinstance(given["include_original"], bool | np.bool_):
        remedy = "True learns from the real rows too"
        raise must("include_original", "Mimic", "True or False", given["include_original"], remedy)
    rows = _integer_or_none("rows", given["rows"], least=0)
    if rows == 0 and not given["include_original"]:
        raise BadInput("Mimic has nothing to learn from with rows=0 and include_original=False. Change one of the two.")
    share = _number("validation", given["validation"], "a share below 1, or a number of rows", least=0.0)
    return Plan(
        hidden=tuple(_integer("a width in hidden", width, least=1) for width in hidden),
        rows=rows,
        method=given["method"],
        p=_p(given["p"]),
        s=None if given["s"] is None else _number("s", given["s"], "greater than 0, or None", least=0.0),
        loss=given["loss"],
        steps=_integer_or_none("steps", given["steps"], least=1),
        batch_size=_integer("batch_size", given["batch_size"], least=1),
        learning_rate=_number("learning_rate", given["learning_rate"], "greater than 0", least=0.0),
        validation=share if share < 1 else float(_integer("validation", given["validation"], least=1)),
        nominal=tuple(
            each if isinstance(each, str) else _integer("a position in nominal", each, least=0) for each in nominal
        ),
        embed=_integer_or_none("embed", given["embed"], least=1),
        curves=_integer_or_none("curves", given["curves"], least=0),
        labels=_labels(given["labels"], given["loss"], given["include_original"]),
        time=_time(given["time"]),
        include_original=bool(given["include_original"]),
        rows_at_once=_integer_or_none("rows_at_once", given["rows_at_once"], least=1),
        seed=seed,
    )


def _p(given: object) -> float | None:
    if given is None:
        return None
    rule = "above 0 and up to 1, or None"
    p = _number("p", given, rule, least=0.0)
    if p > 1:
        raise must("p", "Mimic", rule, given, "It is a probability")
    return p


def _labels(given: object, loss: object, real: object) -> float | None:
    if given is None:
        return None
    rule = "from 0 to 1, or None"
    if not _is_number(given) or not 0 <= given <= 1:  # type: ignore[operator]
        raise must("labels", "Mimic", rule, given, "It is a share; leave it out to have it chosen")
    if given and loss == "logits":
        remedy = "Take kl_divergence, or leave labels out"
        raise must("labels", "Mimic", "0 with the loss of logits, of which labels have none", given, remedy)
    if given and not real:
        rule = "0 with include_original=False, as synthetic rows have no labels"
        raise must("labels", "Mimic", rule, given, "Leave one of the two out")
    return float(given)  # type: ignore[arg-type]


def _time(given: object) -> float | None:
    if given is None:
        return None
    if isinstance(given, str):
        try:
            return read_duration(given)
        except ValueError as error:
            raise BadInput(f"time of Mimic {error}.") from error
    if not _is_number(given) or not 0 <= given < math.inf:  # type: ignore[operator]
        raise must(
            "time", "Mimic", "seconds, or a text such as '2m'", given, "0 chooses nothing, None takes what it takes"
        )
    return float(given)  # type: ignore[arg-type]


def _number(name: str, value: Any, rule: str, *, least: float) -> float:
    if not _is_number(value) or not least < value < math.inf:
        raise must(name, "Mimic", rule, value, "Leave it out for its default")
    return float(value)


def _integer(name: str, value: Any, *, least: int) -> int:
    if not _is_number(value) or value != value // 1 or value < least:
        raise must(name, "Mimic", f"a whole number, at least {least}", value, f"{least} or more will do")
    return int(value)


def _integer_or_none(name: str, value: Any, *, least: int) -> int | None:
    return None if value is None else _integer(name, value, least=least)


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
