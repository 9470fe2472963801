"""What an artifact takes and gives, as its manifest says it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.deployment.export import INPUT, OUTPUT
from attar.errors import Words, must
from attar.named_inputs import NamedInputs
from attar.tables.column import Unseen
from attar.tables.columns import Columns
from attar.tables.tokens import NAMES, Tokens
from attar.tasks.task import Task

_OF_FLOATS = (
    "as the student was trained on them: uint8 numbers divided by 'scale' (null: none are taken), images with their "
    "channels first, names in 'columns' as their places in 'categories'. What 'in_graph' has is done by the model "
    "itself. 'seen' is the range of the rows used here."
)
_OF_TOKENS = (
    "two inputs [batch, length]: the numbers of tokens, and 1 where one counts or 0 for padding. 'shape' is that of "
    "both, stacked along axis 1."
)

_OF_NAMED = (
    "several inputs [batch, ...], as 'named' has them by name, shape and type; uint8 numbers are divided by 'scale'. "
    "'shape' is that of all their numbers in one row."
)

_OF_ORIGIN = "Add 'origin' to what the model gives, in float64: it counts its values from there."


@dataclass(frozen=True, kw_only=True)
class Interface:
    """What an artifact takes and gives; the fields are those of `attar.deployment.deploy.deploy`."""

    task: Task
    columns: Columns | None = None
    tokens: Tokens | None = None
    named: NamedInputs | None = None
    unseen: Unseen = "error"
    scale: float | int | None = None
    origin: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Refuse what could not be deployed whatever the student is.

        Raises:
            BadInput: If the scale is no positive number, or the origin is not one finite number for each value.
        """
        if self.scale is not None and not 0 < self.scale < math.inf:
            raise must("scale", "deploy", "a positive number", self.scale, "Pass 255 for pixels")
        origin = self.origin
        fits = origin is None or (origin.shape == self.task.shape and bool(np.isfinite(origin).all()))
        if not fits or (origin is not None and self.task.target != "values"):
            remedy = "Leave it out where float32 tells the values apart"
            raise must("origin", "deploy", "one finite number for each value of a regression", origin, remedy)

    def check(self, example: Tensor, calibration: Tensor | None) -> None:
        """See that inputs are what the artifact takes.

        Args:
            example: One input, ``[1, ...]``.
            calibration: Training inputs, ``[rows, ...]``.

        Raises:
            BadInput: If they are not, or a table has another number of columns.
        """
        self._check_rows("example", example, None)
        if calibration is not None:
            self._check_rows("calibration", calibration, example)
        if self.columns is not None and tuple(example.shape[1:]) != (len(self.columns),):
            rule = f"of the example's {list(example.shape[1:])} values"
            got = f"{len(self.columns)} columns"
            raise must("columns", "deploy", rule, got, "Pass the columns of the training table")

    def _check_rows(self, name: str, rows: Tensor, like: Tensor | None) -> None:
        """Rows are finite (or NaN where values may be missing), shaped like the example, which is a single one.

        They are float32; where there are tokens, sequences of these.
        """
        got = f"{rows.dtype} {list(rows.shape)}"
        if rows.dtype == torch.int64 and self.tokens is None:
            remedy = "Pass tokens=dataset.tokens, or floats where they are no tokens"
            raise must("tokens", "deploy", f"given where {name} is int64", None, remedy)
        if self.tokens is not None:
            self.tokens.check(rows.numpy(force=True), f"deploy ({name})")
        elif rows.dtype != torch.float32 or rows.dim() < 2 or len(rows) == 0:
            raise must(name, "deploy", "float32 [rows, ...]", got, "Pass inputs as the student was trained on them")
        if (like is None and len(rows) != 1) or not len(rows):
            raise must(name, "deploy", "a single input, [1, ...]", got, "Pass inputs[:1]")
        if like is not None and rows.shape[1:] != like.shape[1:]:
            raise must(name, "deploy", f"[rows, ...] like the example {list(like.shape)}", got, "Pass training inputs")
        if not bool((rows.isfinite() | (rows.isnan() & (self.columns is not None))).all()):
            raise must(name, "deploy", "finite", Words("NaN or infinity"), "Clean the inputs")

    def input_document(self, rows: Tensor, in_graph: dict[str, Any]) -> dict[str, Any]:
        """What the manifest says of inputs.

        Args:
            rows: Some of them, checked.
            in_graph: What the model itself does with inputs.
        """
        document: dict[str, Any] = {
            "name": INPUT if self.tokens is None else list(NAMES),
            "shape": ["batch", *rows.shape[1:]],
            "dtype": "float32" if self.tokens is None else "int64",
            "seen": _range(rows),
            "scale": self.scale,
            "in_graph": in_graph,
            "note": _OF_FLOATS if self.tokens is None else _OF_TOKENS,
        }
        if self.columns is not None:
            document |= {"columns": self.columns.to_json(), "unseen": self.unseen}
        if self.named is not None:
            document |= {"name": list(self.named.names), "named": self.named.to_json(), "note": _OF_NAMED}
        if self.tokens is not None:
            document["tokens"] = self.tokens.to_json()
        return document

    def output_document(self) -> dict[str, Any]:
        """What the manifest says of outputs."""
        origin = {} if self.origin is None else {"origin": self.origin.tolist(), "note": _OF_ORIGIN}
        return origin | {
            "name": OUTPUT,
            "shape": ["batch", *self.task.shape],
            "dtype": "float32",
            "classes": list(self.task.names),
            "kind": self.task.target,
            "label_dtype": self.task.label_dtype,
        }


def _range(rows: Tensor) -> list[float] | None:
    """Smallest and largest number; None where all are missing."""
    known = rows[~rows.isnan()]
    return [float(known.min()), float(known.max())] if len(known) else None
