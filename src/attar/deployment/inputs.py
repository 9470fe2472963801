"""What an artifact takes: inputs in any form that users have, as the one array that its runtime gets."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.deployment.backends.backend import Array, Inputs
from attar.errors import Words, must
from attar.named_inputs import NamedInputs
from attar.regular_arrays import regular_array
from attar.tables.columns import Columns
from attar.tables.tokens import NAMES, Tokens, of_tokenizer


@dataclass(frozen=True)
class ArtifactInputs:
    """What an artifact takes.

    Attributes:
        of: What errors call the artifact.
        about: What its manifest says of ``input``.
    """

    of: str
    about: Mapping[str, Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input."""
        return tuple(self.about["shape"][1:])

    @cached_property
    def columns(self) -> Columns | None:
        """The columns of the table whose rows it takes; None for anything but tables."""
        described = self.about.get("columns")
        return None if described is None else Columns.from_json(described)

    @cached_property
    def tokens(self) -> Tokens | None:
        """What the sequences of tokens hold that it takes; None for anything else."""
        described = self.about.get("tokens")
        return None if described is None else Tokens.from_json(described)

    @cached_property
    def named(self) -> NamedInputs | None:
        """What the inputs are where there are several; None for one."""
        described = self.about.get("named")
        return None if described is None else NamedInputs.from_json(described)

    def __str__(self) -> str:
        return f"{self.about['dtype']} [batch, {', '.join(map(str, self.shape))}]"

    def examples(self, count: int) -> Inputs:
        """Inputs that mean nothing, of the shape and the type that a runtime gets."""
        if self.tokens is not None:  # of token 0
            return np.stack((np.zeros((count, self.tokens.length), int), np.ones((count, self.tokens.length), int)), 1)
        return np.zeros((count, *self.shape), np.float32)

    def encoded(self, table: Any) -> Array:
        """Rows of a table, float32 ``[rows, columns]``.

        Raises:
            BadInput: If it takes no rows of a table, or the columns differ.
        """
        if self.columns is None:
            remedy = "Give an array of numbers"
            raise must("inputs", self.of, "an array or a tensor", type(table).__name__, remedy)
        with np.errstate(over="ignore"):  # what float32 does not hold is infinite in it
            return self.columns.encode(table, unseen=self.about["unseen"]).astype(np.float32)

    def array(self, inputs: Any, named: Mapping[str, Any]) -> Inputs:
        """What the runtime gets for what a user gives.

        Args:
            inputs: An array, a tensor, a table or a dict; None where all are given by their names.
            named: Inputs by their names.

        Raises:
            BadInput: If the shape or the type is another one, or a name in an array of numbers is no code.
        """
        if self.tokens is not None:
            return self._sequences(self.tokens, inputs, named)
        if self.named is not None:
            if inputs is not None and not isinstance(inputs, Mapping):
                rule, got = f"a dict of {', '.join(self.named.names)}", Words(f"a {type(inputs).__name__}")
                raise must("inputs", self.of, rule, got, "Give each input by its name")
            return self.named.packed({**(inputs or {}), **named}, self.of)
        if named:
            remedy = "Give one array: model(inputs)"
            raise must("inputs", self.of, "one array", Words(f"some named {', '.join(named)}"), remedy)
        torch = sys.modules.get("torch")  # whoever has a tensor has loaded it
        if torch is not None and isinstance(inputs, torch.Tensor):
            return self._checked(self._floats(inputs.detach().cpu().numpy()))
        if isinstance(inputs, np.ndarray | list | tuple):
            rows = regular_array(inputs, "inputs", self.of)
            if rows.dtype.kind in "biuf":
                return self._checked(self._floats(rows))
            if not isinstance(inputs, np.ndarray) and rows.ndim == 2 and rows.shape[1] > 0 and self.columns is not None:
                inputs = np.array(inputs, object)  # lists of cells, of which NumPy would make texts
        return self._floats(self.encoded(inputs))

    def _floats(self, rows: NDArray[Any]) -> Array:
        """Numbers of any type as float32 of the right shape."""
        scale = self.about.get("scale")
        if rows.dtype == np.uint8 and scale is not None:
            rows = rows.astype(np.float32) / np.float32(scale)
        elif rows.dtype.kind in "biu" and self.columns is not None:
            rows = rows.astype(np.float32)
        shape = self.shape
        if rows.shape[1:] != shape or rows.ndim != len(shape) + 1:
            rule = f"of shape (batch, {', '.join(map(str, shape))})"
            raise must("inputs", self.of, rule, rows.shape, _brought_to(shape, rows.shape))
        if not np.issubdtype(rows.dtype, np.floating):
            pixels = "Scale as in training first: pixels are divided by 255"
            hint = pixels if scale is None else f"Give uint8, or divide by {scale:g} first"
            raise must("inputs", self.of, "floating numbers", str(rows.dtype), hint)
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(rows, dtype=np.float32)

    @cached_property
    def _sizes(self) -> tuple[list[int], list[int]]:
        """Which columns hold names, and how many."""
        nominal = [(place, one) for place, one in enumerate(self.columns or ()) if one.kind == "nominal"]
        return [place for place, _ in nominal], [len(one.categories) for _, one in nominal]

    def _checked(self, rows: Array) -> Array:
        """The same rows, if what stands for names are codes: numbers that are names themselves would be taken for some.

        Raises:
            BadInput: If one is no code.
        """
        places, sizes = self._sizes
        if not places:
            return rows
        codes = rows[:, places]
        wrong = ~(np.isnan(codes) | ((codes >= 0) & (codes < sizes) & (codes == np.floor(codes))))
        if wrong.any():
            row, which = (int(one) for one in np.argwhere(wrong)[0])
            column = self.about["columns"][places[which]]["name"]
            rule = f"a code in an array of numbers, a place among its {sizes[which]} names from 0, or NaN"
            got = Words(f"{float(codes[row, which])} in row {row}")
            remedy = "Give rows as they are with model.encode(rows), as a DataFrame, or as an array of objects"
            raise must(f"column {column!r}", self.of, rule, got, remedy)
        return rows

    def _sequences(self, tokens: Tokens, inputs: Any, named: Mapping[str, Any]) -> Inputs:
        """Sequences in any of the forms that a call takes."""
        given = of_tokenizer({**(inputs if isinstance(inputs, Mapping) else {}), **named}, self.of)
        if (inputs is not None and not isinstance(inputs, Mapping)) or NAMES[0] not in given or given.keys() - NAMES:
            rows = np.asarray(inputs)
            if given or rows.dtype.kind not in "iu" or rows.shape[1:] != tokens.shape:
                got = Words(f"{list(rows.shape)} {rows.dtype}" if not given else f"{', '.join(map(str, given))}")
                rule = f"ids and mask, whole numbers [batch, up to {tokens.length}] each"
                raise must("inputs", self.of, rule, got, "Call it as model(ids=ids, mask=mask)")
            rows = np.ascontiguousarray(rows, dtype=np.int64)
            tokens.check(rows, self.of)
            return rows
        return tokens.stacked(given[NAMES[0]], given.get(NAMES[1]), self.of)


def _brought_to(shape: tuple[int, ...], given: tuple[int, ...]) -> str:
    """What to do with inputs of another shape than one input's ``shape`` and a batch before it."""
    if given == shape:
        return "Add the batch dimension: inputs[None]"
    last = (*shape[1:], shape[0])
    if len(shape) > 1 and given == last:
        return "Put its channels first and add the batch dimension: np.moveaxis(inputs, -1, 0)[None]"
    if len(shape) > 1 and given[1:] == last:
        return "Its channels come first, and those of the inputs last: give np.moveaxis(inputs, -1, 1)"
    if len(shape) == 3 and shape[0] == 1 and given[1:] == shape[1:]:
        return "Add the one channel: inputs[:, None]"
    if math.prod(given[1:]) == math.prod(shape) and len(given) == 2:
        return f"Give its rows their form: inputs.reshape(-1, {', '.join(map(str, shape))})"
    return "Give inputs as in training"
