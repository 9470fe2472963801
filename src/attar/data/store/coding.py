"""How a teacher's outputs become columns of small numbers, and how they come back.

Of kind ``logits``, every class has its number; of kind ``top-k``, there are ``index``, a fixed-size list of int32, the
k likeliest classes, the likeliest first, and ``rest`` float32, the log of the probability that all other classes share.
Of kind ``values``, which are a regression's and no logits, every number is kept as it is: ``values``, a fixed-size list
of float32. Of kind ``log_odds``, of labels of which any may hold, it is kept as it is in float16: ``log_odds``. The
numbers of a map lie one after the other, those of a class together. The numbers of all others, logits or the
log-probabilities of the k classes, are kept in one of two types:

- ``float16``: a fixed-size list of float16, named ``logits`` (less their mean over the classes) or ``logit``;
- ``int8``: ``code``, a fixed-size list of uint8, and ``scale`` float16: a number is the row's largest less code times
  scale. The largest has the code 0, and 255 reaches the smallest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float16, Float32
from torch import Tensor

from attar.errors import Words, must, near
from attar.ops.top_k import TopK
from attar.tasks.target import Target

DTYPES = ("float16", "int8")
"""The ways to keep a logit."""

VALUES = "float32"
"""The way to keep a value: nothing may be taken from it, and its size may be any."""

RowName = Callable[[int], str]
"""Names a row, for the error."""

_LARGEST = 65504
"""The largest float16."""
_STEPS = 255
"""The largest code: that of the number that is furthest below the largest."""


@dataclass(frozen=True, slots=True)
class Coding:
    """In what form targets are kept.

    Attributes:
        classes: How many classes there are.
        top_k: How many of them are kept of each example; None keeps all.
        dtype: How a number is kept; one of `DTYPES` for logits, `VALUES` for values.
        target: What the numbers are: logits, which mean the same when a number is added to all classes, log-odds, of
            which each means a probability by itself, or values.
        size: Height and width of a map; empty where an output is a row.
    """

    classes: int
    top_k: int | None
    dtype: str
    target: Target = "logits"
    size: tuple[int, ...] = ()

    def check(self, of: str) -> None:
        """Raise BadInput unless all of it holds together.

        Args:
            of: Who was asked for it; named in the error.
        """
        if self.dtype == VALUES:
            if self.top_k is not None:
                remedy = "Leave it out: values are no classes, and all are kept"
                raise must("top_k", of, "left out for a teacher that gives values", self.top_k, remedy)
            return
        if self.target == "log_odds" or self.size:
            what = "maps" if self.size else "labels of which any may hold"
            if self.top_k is not None:
                raise must("top_k", of, f"left out for {what}", self.top_k, "Leave it out: all numbers are kept")
            if self.dtype != "float16":
                raise must("dtype", of, f"'float16' for {what}", self.dtype, "Leave it out")
            return
        if self.top_k is not None and not 1 <= self.top_k < self.classes:
            rule = f"from 1 to {self.classes - 1}, for a teacher of {self.classes} classes"
            raise must("top_k", of, rule, self.top_k, "Leave it out to keep the logits of all classes")
        if self.dtype not in DTYPES:
            raise must("dtype", of, " or ".join(map(repr, DTYPES)), self.dtype, near(self.dtype, DTYPES))

    @property
    def columns(self) -> list[tuple[str, np.dtype[Any], int]]:
        """The columns of a shard beside id and view: name, type, and length of its lists (0: a single number)."""
        width = self.classes * math.prod(self.size) if self.top_k is None else self.top_k
        if self.dtype == VALUES:
            return [("values", np.dtype(np.float32), width)]
        float16_dtype: np.dtype[Any] = np.dtype(np.float16)
        numbers: list[tuple[str, np.dtype[Any], int]]
        if self.target == "log_odds":
            return [("log_odds", float16_dtype, width)]
        if self.dtype == "int8":
            numbers = [("code", np.dtype(np.uint8), width), ("scale", float16_dtype, 0)]
        else:
            numbers = [("logits" if self.top_k is None else "logit", float16_dtype, width)]
        if self.top_k is None:
            return numbers
        return [("index", np.dtype(np.int32), width), *numbers, ("rest", np.dtype(np.float32), 0)]

    def encode(self, logits: Float32[Tensor, "batch classes *size"], row_name: RowName) -> dict[str, Tensor]:
        """What is kept of some logits, as columns.

        Raises:
            BadInput: If a number is not finite, or a logit does not fit float16.
        """
        if self.dtype == VALUES:
            check_values(logits, row_name)
            return {"values": logits}
        if self.target == "log_odds":
            return {"log_odds": _float16(logits, logits, row_name, "log-odds")}
        if self.top_k is None:
            rounded = _centered_float16(logits, row_name).flatten(1)
            return {"logits": rounded} if self.dtype == "float16" else _steps_below(logits)
        top = TopK.of(logits, self.top_k)
        rounded, rest = top.log_probabilities.half(), top.rest.float()
        _check_finite(rounded.isfinite().all(dim=1) & rest.isfinite() & logits.isfinite().all(dim=1), logits, row_name)
        numbers = {"logit": rounded} if self.dtype == "float16" else _steps_below(top.log_probabilities)
        return {"index": top.index.int(), **numbers, "rest": rest}

    def decode(self, columns: Mapping[str, Tensor]) -> Tensor | TopK:
        """Logits float32, centered, or log-odds, the top k, or values, from the columns of some rows.

        Returns:
            ``[batch, classes]``, or maps ``[batch, classes, height, width]``.
        """
        if self.dtype == VALUES:
            return columns["values"]
        if self.target == "log_odds":
            return columns["log_odds"].float()
        if self.dtype == "int8":
            numbers = columns["code"].float() * -columns["scale"].float()[:, None]
            if self.top_k is None:
                return numbers - numbers.mean(dim=1, keepdim=True)
        else:
            numbers = columns["logits" if self.top_k is None else "logit"].float()
            if self.top_k is None:
                return numbers.reshape(-1, self.classes, *self.size) if self.size else numbers
        rest = columns["rest"]
        # The rounded log-probabilities, scaled to what the rest leaves: log(1 - exp(rest)), exact for every rest < 0.
        log_probabilities = torch.log_softmax(numbers, dim=-1) + torch.log(-torch.expm1(rest))[:, None]
        return TopK(columns["index"].long(), log_probabilities, rest, self.classes)


def round_through_store(logits: Tensor, target: Target = "logits") -> Float32[Tensor, "batch classes *size"]:
    """Outputs as they come back from the store: logits less their mean over the classes, in float16.

    The softmax stays, up to the rounding: the log-odds of two classes move by at most ``2**-11`` of their centred
    logits. Log-odds are rounded as they are, and values not at all.

    Args:
        logits: ``[batch, classes]``, or maps ``[batch, classes, height, width]``.
        target: What they are.

    Raises:
        BadInput: If a number is not finite, or is further than 65504 from the mean over the classes (log-odds: from 0).

    Example:
        >>> round_through_store(torch.tensor([[3.0, 1.0, 2.0]]))
        tensor([[ 1., -1.,  0.]])
    """

    def row_name(row: int) -> str:
        return f"row {row} of round_through_store"

    if target == "values":
        check_values(logits, row_name)
        return logits
    if target == "log_odds":
        return _float16(logits, logits, row_name, "log-odds").float()
    return _centered_float16(logits, row_name).float()


def _centered_float16(logits: Tensor, row_name: RowName) -> Float16[Tensor, "batch classes *size"]:
    """Logits less their mean over the classes, in float16; ``row_name`` names a row for the error."""
    return _float16(logits - logits.mean(dim=1, keepdim=True), logits, row_name)


def _float16(
    numbers: Tensor, given: Tensor, row_name: RowName, what: str = "logits"
) -> Float16[Tensor, "batch classes *size"]:
    """Numbers in float16, which come of those that a teacher gave."""
    rounded = numbers.to(torch.float16)
    _check_finite(rounded.isfinite().flatten(1).all(dim=1), given, row_name, what)
    return rounded


def _steps_below(numbers: Float[Tensor, "batch n"]) -> dict[str, Tensor]:
    """How many steps each number is below the largest of its row, and how long a step is."""
    below = numbers.amax(dim=1, keepdim=True) - numbers
    furthest = below.amax(dim=1)
    scale = (furthest / _STEPS).half()
    # Rounded up, so that 255 steps reach the furthest: the bits of a float16 above 0, read as a number, plus 1.
    short = scale.to(furthest.dtype) * _STEPS < furthest
    scale = torch.where(short, (scale.view(torch.int16) + 1).view(torch.float16), scale)
    # Where all numbers are the same the step is 0, and so is what is divided.
    steps = below / scale.to(below.dtype).clamp_min(torch.finfo(torch.float16).smallest_normal * 2**-10)[:, None]
    return {"code": steps.round().clamp_(max=_STEPS).to(torch.uint8), "scale": scale}


def check_values(values: Tensor, row_name: RowName) -> None:
    """Raise BadInput unless all values are finite; ``row_name`` names a row for the error."""
    finite = values.isfinite().flatten(1).all(dim=1)
    if not bool(finite.all()):
        row = int((~finite).nonzero()[0])
        remedy = "Check that the teacher was trained and gets the inputs it was trained on"
        raise must("values", row_name(row), "finite", values[row].tolist(), remedy)


def _check_finite(finite: Tensor, given: Tensor, row_name: RowName, what: str = "logits") -> None:
    if bool(finite.all()):
        return
    row = int((~finite).nonzero()[0])
    rule = f"finite and at most {_LARGEST} from {'their mean' if what == 'logits' else '0'}"
    remedy = "Check that the teacher was trained and gets the inputs it was trained on"
    numbers = given[row].flatten().tolist()
    got = Words(f"{sum(not math.isfinite(one) for one in numbers)} of {len(numbers)} that are not, or larger")
    shown = [round(value, 4) for value in numbers]
    raise must(what, row_name(row), rule, got if given.dim() > 2 else shown, remedy)
