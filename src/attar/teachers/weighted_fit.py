"""Fitting an estimator on rows of which some count more than others."""

from __future__ import annotations

import inspect
from typing import Any

from attar.errors import BadInput


def weight_argument(estimator: Any, of: str, key: str) -> str:
    """The argument by which the ``fit`` of an estimator takes weights: ``sample_weight``, or that of an inner one.

    A pipeline hands what is called ``STEP__sample_weight`` to the step of that name, here its last; a search over
    settings, and a regressor of a transformed target, hand all on to the estimator within.

    Args:
        estimator: Not fitted.
        of: What it is, for the message.
        key: Where the user gave the weights.

    Raises:
        BadInput: If it takes none.
    """
    found = _argument(estimator)
    if found is None:
        raise BadInput(
            f"{of}, a {type(estimator).__name__}, takes no sample_weight when it is fitted, and {key} is given. Fit it "
            f"before, with weights as it takes them, and give it fitted; or leave {key} out."
        )
    return found


def _argument(estimator: Any) -> str | None:
    from sklearn.utils.validation import has_fit_parameter  # scikit-learn takes a second, and most runs do without

    if not callable(getattr(estimator, "fit", None)):
        return None
    if has_fit_parameter(estimator, "sample_weight"):
        return "sample_weight"
    if steps := getattr(estimator, "steps", None):
        name, last = steps[-1]
        inner = _argument(last)
        return None if inner is None else f"{name}__{inner}"
    handed = any(one.kind is one.VAR_KEYWORD for one in inspect.signature(estimator.fit).parameters.values())
    within = getattr(estimator, "estimator", None) or getattr(estimator, "regressor", None)
    return _argument(within) if handed and within is not None else None
