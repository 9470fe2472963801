"""Several named inputs of a network, such as an image and what is known beside it, as one row of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from attar.errors import BadInput, Words, must, near

EXACT = 2**24
"""Up to here float32 holds every whole number."""

_TYPES = ("float32", "int64", "bool")
_PAIRS = (("ids", "mask"), ("input_ids", "attention_mask"))
_MOST = 2**31
"""Numbers of one example, at most: what a file may say."""


@dataclass(frozen=True, slots=True)
class NamedInput:
    """One of the inputs.

    Attributes:
        name: By which ``forward`` of a network takes it.
        shape: Of one example.
        dtype: ``float32``, ``int64`` or ``bool``: what a network gets.
        scale: What uint8 numbers are divided by; None where none are taken.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None

    @property
    def size(self) -> int:
        """How many numbers one example has."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class NamedInputs:
    """What the named inputs of a data set are.

    So a batch stays one tensor ``[n, width]`` wherever examples are drawn, moved, cut and stored. It has names where a
    network is called, where one is exported, and where an artifact is asked.

    Attributes:
        inputs: In the order in which their numbers follow each other in a row.

    Example:
        >>> named, rows = NamedInputs.of({"ids": np.array([[5, 6]]), "age": np.array([[0.5]])}, "a case")
        >>> rows
        array([[5. , 6. , 0.5]], dtype=float32)
        >>> named.unpacked(rows)["ids"]
        array([[5, 6]])
    """

    inputs: tuple[NamedInput, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the inputs, in order."""
        return tuple(one.name for one in self.inputs)

    @property
    def width(self) -> int:
        """How many numbers one example has."""
        return sum(one.size for one in self.inputs)

    @property
    def images(self) -> int:
        """How many of the inputs are images, ``[channels, height, width]``."""
        return sum(_is_image(one) for one in self.inputs)

    def image(self, of: str) -> tuple[slice, tuple[int, ...]]:
        """Where the one image among the inputs is.

        Args:
            of: Who changes it; for messages.

        Returns:
            Its place in a row, and its shape, ``[channels, height, width]``.

        Raises:
            BadInput: If there is none, or there are several.
        """
        if self.images != 1:
            found = "several are" if self.images else "none is"
            raise BadInput(
                f"{of} change an image, and of the inputs of the data ({self}) {found} one [channels, height, width]. "
                "Leave them out."
            )
        start = 0
        for one in self.inputs:
            if _is_image(one):
                break
            start += one.size
        return slice(start, start + one.size), one.shape

    def __str__(self) -> str:
        return ", ".join(f"{one.name} {one.dtype} {list(one.shape)}" for one in self.inputs)

    @classmethod
    def of(cls, arrays: Mapping[str, Any], of: str) -> tuple[NamedInputs, npt.NDArray[np.float32]]:
        """What some arrays are, and their rows.

        Args:
            arrays: By name, ``[n, ...]`` floats, whole numbers, bools, or uint8 pixels, which are scaled to 0..1.
            of: What holds them; for messages.

        Returns:
            The description, and ``[n, width]``.

        Raises:
            BadInput: If there are none, they have different numbers of rows, or numbers are not finite or too large.
        """
        found = []
        for name, values in arrays.items():
            if not isinstance(name, str) or not name.isidentifier():
                raise must("the name of an input", of, "a word, as an argument of forward", name, "Call it otherwise")
            array = np.asarray(values)
            if array.dtype.kind not in "biuf" or array.ndim < 1:
                got = Words(f"{list(array.shape)} {array.dtype}")
                raise must(f"input {name}", of, "an array [n, ...] of numbers", got, "Pad what has different lengths")
            kind = {"f": "float32", "b": "bool"}.get(array.dtype.kind, "int64")
            pixels = array.dtype == np.uint8
            shape = tuple(int(size) for size in array.shape[1:])
            found.append(NamedInput(name, shape, "float32" if pixels else kind, 255.0 if pixels else None))
        if len(found) < 2:
            remedy = "Give one as an array: x, and not a dict"
            raise must("inputs", of, "two or more", Words(", ".join(arrays) or "none"), remedy)
        named = cls(tuple(found))
        for ids, mask in _PAIRS:
            shapes = {one.name: one.shape for one in found}
            if ids in shapes and mask in shapes and shapes[ids] != shapes[mask]:
                rule = f"of the shape of {ids}, {list(shapes[ids])} for each row"
                raise must(f"input {mask}", of, rule, list(shapes[mask]), "Give one number for each token")
            if ids in shapes and next(one.dtype for one in found if one.name == ids) == "float32":
                got = Words(str(np.asarray(arrays[ids]).dtype))
                raise must(f"input {ids}", of, "whole numbers", got, "Convert them with .astype('int64')")
        return named, named.packed(arrays, of)

    def packed(self, arrays: Mapping[str, Any], of: str) -> npt.NDArray[np.float32]:
        """Arrays as rows.

        Args:
            arrays: By name, as `of` takes them.
            of: What holds them; for messages.

        Returns:
            ``[n, width]``.

        Raises:
            BadInput: If a name is missing or unknown, or an array has another shape, type or number of rows.
        """
        for name in arrays:
            if name not in self.names:
                raise must("inputs", of, ", ".join(self.names), name, near(str(name), self.names))
        if missing := [name for name in self.names if name not in arrays]:
            raise must("inputs", of, f"complete: {', '.join(self.names)}", list(arrays), f"Add {missing[0]}")
        columns: list[npt.NDArray[np.float32]] = []
        for one in self.inputs:
            array, who = np.asarray(arrays[one.name]), f"input {one.name}"
            if array.shape[1:] != one.shape or array.ndim < 1:
                rule = f"of shape [n{''.join(f', {size}' for size in one.shape)}]"
                raise must(who, of, rule, list(array.shape), "Give all rows this shape")
            if array.dtype == np.uint8 and one.scale is not None:
                array = array.astype(np.float32) / np.float32(one.scale)
            elif array.dtype.kind not in ("fiu" if one.dtype == "float32" and one.scale is None else _KINDS[one.dtype]):
                rule = {"float32": "floats", "int64": "whole numbers", "bool": "True and False"}[one.dtype]
                raise must(who, of, rule, Words(str(array.dtype)), f"Convert it with .astype('{one.dtype}')")
            rows = array.reshape(len(array), -1)
            if rows.dtype.kind in "iu" and rows.size and max(int(rows.max()), -int(rows.min())) > EXACT:
                row = int(np.argwhere(np.abs(rows.astype(np.float64)) > EXACT)[0][0])
                raise must(who, of, f"whole numbers up to {EXACT:,}", Words(f"a larger one in row {row}"), "Renumber")
            rows = rows.astype(np.float32)
            if not np.isfinite(rows).all():
                row = int(np.argwhere(~np.isfinite(rows))[0][0])
                raise must(who, of, "finite", Words(f"NaN or infinity in row {row}"), "Remove or repair such rows")
            if columns and len(rows) != len(columns[0]):
                rule = f"of as many rows as {self.names[0]} ({len(columns[0])})"
                raise must(who, of, rule, Words(f"{len(rows)}"), "Give one row for each example")
            columns.append(rows)
        return np.ascontiguousarray(np.concatenate(columns, axis=1))

    def unpacked(self, rows: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """Rows ``[n, width]`` as arrays by their names, each ``[n, ...]`` in its own type."""
        found, start = {}, 0
        for one in self.inputs:
            values = rows[:, start : start + one.size].reshape(len(rows), *one.shape)
            found[one.name] = np.ascontiguousarray(values.astype(one.dtype, copy=False))
            start += one.size
        return found

    def to_json(self) -> list[dict[str, Any]]:
        """The description as plain values, which TOML can hold, too."""
        return [
            {"name": one.name, "shape": list(one.shape), "dtype": one.dtype}
            | ({} if one.scale is None else {"scale": one.scale})
            for one in self.inputs
        ]

    @classmethod
    def from_json(cls, document: object) -> NamedInputs:
        """Read what `to_json` gave.

        Raises:
            BadInput: If it is something else.
        """
        entries = document if isinstance(document, Sequence) and not isinstance(document, str) else ()
        found = []
        for entry in entries:
            right = isinstance(entry, Mapping) and entry.keys() - {"scale"} == {"name", "shape", "dtype"}
            given = entry["shape"] if right else None
            shape = (
                [size for size in given if type(size) is int and 0 < size < _MOST] if isinstance(given, list) else []
            )
            if not right or shape != given or not str(entry["name"]).isidentifier() or entry["dtype"] not in _TYPES:
                raise must("inputs", "the document", "names, shapes and types", entry, "Write it again")
            if (scale := entry.get("scale")) not in (None, 255.0):
                raise must("scale", "an input", "255, or left out", scale, "Write it again")
            found.append(NamedInput(str(entry["name"]), tuple(shape), entry["dtype"], scale))
        if not found or len({one.name for one in found}) < len(found) or sum(one.size for one in found) >= _MOST:
            raise must("inputs", "the document", "a list of different inputs", document, "Write it again")
        return cls(tuple(found))


def _is_image(one: NamedInput) -> bool:
    return len(one.shape) == 3 and one.dtype == "float32"


_KINDS = {"float32": "f", "int64": "iu", "bool": "b"}
"""The kinds of array that an input takes, by its type."""
