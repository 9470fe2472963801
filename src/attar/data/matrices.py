"""Arrays that grow row by row: in memory, or in a file of their own that is mapped into it."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attar.data.download import cache_folder
from attar.errors import BadInput
from attar.formatting import size

LARGE = 1 << 28
"""Bytes from which on an array is in a file."""

AT_ONCE = 1 << 24
"""Bytes of an array that are worked on at once, about."""


class Growing:
    """Rows of known number and shape, written one block after the other.

    A large array lies in a file without a name, which takes room on the disk while something of it is used, and which
    the system takes back when the process ends in whatever way. What of it is in memory is the system's to choose.
    """

    def __init__(self, shape: Sequence[int], dtype: Any = np.float32) -> None:
        """Make room.

        Args:
            shape: ``[rows, ...]`` of all of it.
            dtype: Of its numbers.

        Raises:
            BadInput: If the disk has no room.
        """
        self._shape, self._dtype = tuple(shape), np.dtype(dtype)
        self._filled = 0
        self._file: Any = None
        self._array: Any = None
        taken = math.prod(self._shape) * self._dtype.itemsize
        if taken < LARGE:
            self._array = np.empty(self._shape, self._dtype)
            return
        home = cache_folder() / "arrays"
        try:
            home.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(home).free
            if taken > free:
                raise BadInput(
                    f"The rows take {size(taken)} as numbers, and {size(free)} are free in {str(home)!r}. Make room "
                    "there, or set XDG_CACHE_HOME to another folder."
                )
            self._file = tempfile.TemporaryFile(dir=home)  # closed once it is mapped
        except OSError as error:
            raise _no_room(error) from error

    def __del__(self) -> None:
        if getattr(self, "_file", None) is not None:  # an error came before all rows did
            self._file.close()

    def append(self, block: Any) -> None:
        """Write the next rows.

        Raises:
            BadInput: If the disk has no room left.
        """
        rows = np.ascontiguousarray(block, self._dtype)
        if self._file is None:
            self._array[self._filled : self._filled + len(rows)] = rows
        else:
            try:
                self._file.write(rows.tobytes())
            except OSError as error:
                raise _no_room(error) from error
        self._filled += len(rows)

    def array(self) -> Any:
        """All rows, once they are there.

        Raises:
            BadInput: If the disk has no room left.
        """
        assert self._filled == self._shape[0], "as many as were announced"
        if self._file is not None:
            try:
                self._file.flush()  # the last of it may be what does not fit
                self._array = np.memmap(self._file, self._dtype, "r+", shape=self._shape)
            except OSError as error:
                raise _no_room(error) from error
            self._file.close()
            self._file = None
        return self._array


def gathered(values: Tensor, rows: Tensor) -> Tensor:
    """Some rows of a tensor, by their positions: itself where these are all, and in a file where they are many.

    Args:
        values: ``[n, ...]``.
        rows: ``[chosen]`` int64, ascending.

    Raises:
        BadInput: If the disk has no room.
    """
    if len(rows) == len(values):
        return values
    each = max(1, math.prod(values.shape[1:]) * values.element_size())
    if each * len(rows) < LARGE:
        return values.index_select(0, rows)
    taken = Growing((len(rows), *values.shape[1:]), values.numpy().dtype)
    for some in torch.split(rows, max(1, AT_ONCE // each)):
        taken.append(values.index_select(0, some).numpy())
    return torch.from_numpy(taken.array())


def _no_room(error: OSError) -> BadInput:
    home = str(cache_folder() / "arrays")
    return BadInput(
        f"The rows cannot be kept in {home!r} ({error.strerror}). Make room there, or set XDG_CACHE_HOME to another "
        "folder."
    )
