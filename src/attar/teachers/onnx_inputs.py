"""What an ONNX file takes: one tensor, the two of a sequence of tokens, or several by the names that the data have.

A pipeline of scikit-learn as its converter writes it takes the columns of a table, each by its name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from attar.errors import BadInput, shown
from attar.named_inputs import NamedInputs
from attar.network.named import PAIRS
from attar.tables.columns import Columns

FLOATS = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}
"""Floats that a file may take or give, as ONNX Runtime calls them."""

_INTEGERS = {f"tensor({name})": np.dtype(name) for name in ("int64", "int32", "int16", "int8", "uint8", "uint16")}
_BOOL = "tensor(bool)"
_TEXT = "tensor(string)"


@dataclass(frozen=True)
class FileInput:
    """One tensor that a file takes.

    Attributes:
        name: By which it is fed.
        type: As ONNX Runtime calls it, such as ``tensor(float)``.
        shape: With the axis of the batch; a number, or anything else where a size is free.
    """

    name: str
    type: str
    shape: tuple[Any, ...]

    def __str__(self) -> str:
        sizes = [size if isinstance(size, int) else "any" for size in self.shape[1:]]
        return f"{self.name} {self.type.removeprefix('tensor(').removesuffix(')')} {str(sizes).replace(chr(39), '')}"

    def misses(self, shape: Sequence[int]) -> bool:
        """Whether an array of a shape, batch and all, is none that this takes."""
        sizes = zip(self.shape[1:], shape[1:], strict=False)
        fits = len(self.shape) == len(shape) and all(not isinstance(one, int) or one == size for one, size in sizes)
        return bool(self.shape) and not fits

    def converted(self, array: npt.NDArray[Any], of: str) -> npt.NDArray[Any]:
        """Numbers in the type that the file takes.

        Raises:
            BadInput: If the type does not hold them.
        """
        if self.type in FLOATS:
            return np.ascontiguousarray(array, FLOATS[self.type])
        with np.errstate(invalid="ignore"):
            converted = np.ascontiguousarray(array).astype(np.bool_ if self.type == _BOOL else _INTEGERS[self.type])
        if not np.array_equal(converted, array):
            raise BadInput(
                f"{of} takes {self.type.removeprefix('tensor(').removesuffix(')')} inputs, and the data are numbers "
                "that this type does not hold. Export it to take float32, as the data are read (pixels from 0 to 1)."
            )
        return converted


@dataclass(frozen=True)
class FileInputs:
    """What a file takes for a batch, which is one array wherever examples are drawn, moved, cut and stored.

    Attributes:
        inputs: The tensors that it takes.
        of: The file, for messages.
        named: What the rows of the data hold; None where they are one input, or stacked along axis 1.
        columns: Of the table that the rows are of, where the file takes names as texts, or each column by its name.
    """

    inputs: tuple[FileInput, ...]
    of: str
    named: NamedInputs | None = None
    columns: Columns | None = None

    @classmethod
    def read(cls, session: Any, of: str, named: NamedInputs | None, columns: Columns | None = None) -> FileInputs:
        """What an open file takes.

        Args:
            session: Of ONNX Runtime.
            of: The file, for messages.
            named: What rows of the data hold, where they have several inputs. Those that the file does not take are
                left out: whoever exports a network drops what it does not use.
            columns: What the columns of the rows are, where these are of a table; None for plain numbers.

        Raises:
            BadInput: If data cannot be fed to it.
        """
        inputs = tuple(FileInput(one.name, one.type, tuple(one.shape)) for one in session.get_inputs())
        listed = ", ".join(repr(one.name) for one in inputs[:8]) + (", ..." if len(inputs) > 8 else "")
        known = {*FLOATS, *_INTEGERS, _BOOL}
        if columns is not None and (len(inputs) > 1 or (inputs and inputs[0].type == _TEXT)):
            if all(one.type in {*known, _TEXT} for one in inputs):
                return cls(inputs, of, columns=columns)._by_column()
        for one in inputs:
            if one.type == _TEXT:
                raise BadInput(
                    f"{of} takes texts ({listed}), and the data are numbers. Give a table, whose columns it gets by "
                    "their names; in Python, as_teacher takes columns, those of a data set."
                )
            if one.type not in known:
                kind = "an input" if len(inputs) == 1 else f"{one.name!r}"
                raise BadInput(
                    f"{of} takes {kind} of type {one.type}, which the data cannot be converted to. Export it with one "
                    "float32 input."
                )
        if named is not None:
            return cls(inputs, of, named)._by_name()
        pair = next((names for names in PAIRS if {*names} == {one.name for one in inputs}), None)
        if pair is not None:
            if len({(one.type, len(one.shape)) for one in inputs}) == 1 and inputs[0].type in _INTEGERS:
                return cls(tuple(sorted(inputs, key=lambda one: pair.index(one.name))), of)
            raise BadInput(
                f"{of} takes {' and '.join(pair)} of types {' and '.join(one.type for one in inputs)}. Export it with "
                "two int64 inputs [batch, length]."
            )
        if not inputs:
            raise BadInput(f"{of} takes no input, so that it gives the same for every row. Export the network itself.")
        if len(inputs) != 1:
            raise BadInput(
                f"{of} takes {len(inputs)} inputs ({listed}), and the data have one. Give data with these inputs by "
                f"name, such as arrays {' and '.join(f'x.{one.name}' for one in inputs[:2])} of an .npz, or export it "
                "with one input (a scikit-learn pipeline: one matrix of all columns)."
            )
        return cls(inputs, of)

    def _by_name(self) -> FileInputs:
        """These, where the data have inputs of the same names and shapes."""
        assert self.named is not None, "seen to before"
        for one in self.inputs:
            if one.name not in self.named.names:
                taken = ", ".join(each.name for each in self.inputs)
                raise BadInput(
                    f"{self.of} takes {taken}, and the inputs of the data are called {', '.join(self.named.names)}. "
                    "Give both the same names."
                )
            (given,) = (each for each in self.named.inputs if each.name == one.name)
            if one.misses((1, *given.shape)) and one.misses((1, *given.shape, 1)):
                raise BadInput(
                    f"{self.of} takes {one}, and {one.name} of the data is {given.dtype} {list(given.shape)} for each "
                    "row. Give it the shape that the file takes."
                )
        return self

    def _by_column(self) -> FileInputs:
        """These, where the table has columns of the same names; or as many as one matrix of texts."""
        assert self.columns is not None, "seen to before"
        names, places = self.columns.names, _places(self.columns)
        if len(self.inputs) == 1 and self.first.name not in places and not self.first.misses((1, len(names))):
            return self
        missing = [one.name for one in self.inputs if one.name not in places]
        if missing:
            raise BadInput(
                f"{self.of} takes {shown([one.name for one in self.inputs], 80)}, and the table has no column "
                f"{shown(missing, 80)}, but {shown(list(names), 80)}. Give the columns the names of the file's inputs."
            )
        for one in self.inputs:
            if one.misses((1, 1)) and one.misses((1,)):
                raise BadInput(
                    f"{self.of} takes {one}, and a column of a table is one value for each row. Export it with an "
                    "input [None, 1] for each column."
                )
        return self

    @property
    def first(self) -> FileInput:
        """The one input, or the first of several."""
        return self.inputs[0]

    @property
    def is_fed_as_given(self) -> bool:
        """Whether rows are fed as they are."""
        return self.named is None and self.columns is None

    @property
    def batch(self) -> int | None:
        """The one size of a batch that the file takes; None if it takes any."""
        sizes = (one.shape[0] for one in self.inputs if one.shape)
        return next((size for size in sizes if isinstance(size, int) and size > 0), None)  # to some exporters 0 is free

    @property
    def of_half_precision(self) -> bool:
        """Whether one of them is float16."""
        return any("float16" in one.type for one in self.inputs)

    @property
    def stacked(self) -> FileInput:
        """What an array of the data is held against where the data are not rows of named inputs."""
        if len(self.inputs) == 1:
            return self.first
        return replace(self.first, shape=(self.first.shape[0], len(self.inputs), *self.first.shape[1:]))

    def check(self, shape: Sequence[int]) -> None:
        """See that inputs of a shape, batch and all, can be fed.

        Raises:
            BadInput: If they cannot, but for a fixed batch.
        """
        given = list(shape)
        if self.columns is not None:
            if given[1:] != [len(self.columns)]:
                raise BadInput(f"{self.of} takes rows of {len(self.columns)} columns, and gets {given[1:]}.")
            return
        if self.named is not None:
            if given[1:] != [self.named.width]:
                raise BadInput(f"{self.of} takes rows of {self.named}, and gets inputs of shape {given[1:]}.")
            return
        taken = self.stacked
        if not taken.misses(given):
            return
        wanted = taken.shape
        size = [one if isinstance(one, int) else "any" for one in wanted[1:]]
        remedy = "Give the inputs that the network was exported for"
        if len(wanted) == len(given) == 4 and [given[2], given[3], given[1]] == [
            size if isinstance(size, int) else have
            for size, have in zip(wanted[1:], (given[2], given[3], given[1]), strict=True)
        ]:
            remedy = (
                "It takes images with the channels last, as Keras writes them, and the data have them first: export it "
                "with channels first (tf2onnx --inputs-as-nchw), or in Python pass "
                "size=lambda images: images.permute(0, 2, 3, 1) to as_teacher"
            )
        elif len(wanted) == 2 and isinstance(wanted[1], int) and int(np.prod(given[1:])) == wanted[1]:
            remedy = "It takes them flat: in Python pass size=lambda rows: rows.flatten(1) to as_teacher"
        raise BadInput(f"{self.of} takes inputs of shape {size} for each row, and gets {given[1:]}. {remedy}.")

    def feed(self, array: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """A batch as what ONNX Runtime is fed.

        Raises:
            BadInput: If a type of the file does not hold the numbers.
        """
        if self.columns is not None:
            return self._fed_by_column(array)
        if self.named is not None:
            arrays = self.named.unpacked(array)
            found = {}
            for one in self.inputs:
                values = arrays[one.name]
                values = values[..., None] if one.misses(values.shape) else values
                found[one.name] = one.converted(values, f"{self.of} for {one.name}")
            return found
        if len(self.inputs) == 1:
            return {self.first.name: self.first.converted(array, self.of)}
        return {
            one.name: np.ascontiguousarray(one.converted(array[:, place], self.of))
            for place, one in enumerate(self.inputs)
        }

    def _fed_by_column(self, array: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """Rows of a table, each column in the type that the file takes; a text that is missing is an empty one."""
        assert self.columns is not None, "seen to before"
        table, places = np.asarray(self.columns.decode(array), object), _places(self.columns)
        if self.first.name not in places:  # one matrix of all
            return {self.first.name: np.array([[_text(one) for one in row] for row in table.tolist()], object)}
        found = {}
        for one in self.inputs:
            values = table[:, places[one.name]]
            if one.type == _TEXT:
                column = np.array([_text(value) for value in values.tolist()], object)
            else:
                try:
                    numbers = values.astype(np.float64)
                except (TypeError, ValueError) as error:
                    held = self.columns[places[one.name]]
                    raise BadInput(
                        f"{self.of} takes {one}, and the column of the table is {held}. Export it with an input of "
                        "texts for this column, or read the column as numbers."
                    ) from error
                column = one.converted(numbers, f"{self.of} for {one.name}")
            found[one.name] = column if len(one.shape) == 1 else column[:, None]
        return found


def _places(columns: Columns) -> dict[str, int]:
    """Where each column stands, by its name, and by what scikit-learn's converter makes of this for an input."""
    places: dict[str, int] = {}
    for place, name in enumerate(columns.names):
        spelt = re.sub(r"[^\w+]", "_", name)
        places.setdefault(f"_{spelt}" if spelt[:1].isdigit() else spelt, place)
    return places | {name: place for place, name in enumerate(columns.names)}


def _text(value: Any) -> str:
    """A cell as a pipeline was fitted on it: whole numbers without a fraction."""
    if value is None or value != value:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
