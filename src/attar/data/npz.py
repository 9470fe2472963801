"""Reading NumPy archives: what they say of themselves is held against their size before anything is allocated."""

from __future__ import annotations

import ast
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from attar.data.limits import DEFLATED, allowed, is_file, printable, too_large
from attar.errors import AttarError, CorruptFile

_REMEDY = "Write it again with numpy.savez, with plain numbers and strings only"

_MEMBERS = 1000
"""Arrays in one archive, at most."""

_HEAD = 10_000
"""Bytes of the description of an array, at most."""

_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError, ArithmeticError, AttributeError, LookupError, MemoryError),
    *(NotImplementedError, RuntimeError, SyntaxError, TypeError, ValueError),
)
"""What NumPy and zipfile raise for damaged archives, for a compression or an encryption that they do not know."""


def read_npz(path: Path, *, max_bytes: int | None = None) -> dict[str, np.ndarray]:
    """The arrays in a NumPy archive, by their names. Nothing is unpickled.

    Args:
        path: An ``.npz`` file.
        max_bytes: Bytes that the arrays may take together; None for half of the memory.

    Raises:
        CorruptFile: If it is no whole ``.npz`` file, an array says another size than it has, or holds Python objects.
        BadInput: If the arrays are larger than allowed.
    """
    name, most = printable(path.name), allowed(max_bytes)
    assert is_file(path), "looked for before"
    try:
        with path.open("rb") as file:
            if file.read(6) == b"\x93NUMPY":
                raise _wrong(name, "an .npz archive", "a single array")
            file.seek(0)
            with zipfile.ZipFile(file) as archive:
                return _arrays(name, archive, path.stat().st_size, most)
    except AttarError:
        raise
    except _UNREADABLE as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        reason = printable(reason.rstrip("."))
        raise CorruptFile(
            f"{name} must be a whole .npz archive without Python objects; got: {reason}. {_REMEDY}."
        ) from error


def _arrays(name: str, archive: zipfile.ZipFile, size: int, most: int) -> dict[str, np.ndarray]:
    members = archive.infolist()
    if len(members) > _MEMBERS:
        raise _wrong(name, f"at most {_MEMBERS} arrays", f"{len(members):,}")
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        raise _wrong(name, "arrays of different names", f"{printable(max(names, key=names.count))!r} twice")
    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _wrong(name, "stored or deflated", f"another compression of {printable(member.filename)!r}")
        if member.file_size > DEFLATED * min(member.compress_size, size) + 64:
            got = f"{member.file_size:,} bytes in {printable(member.filename)!r}"
            raise _wrong(name, f"possible for a file of {size:,} bytes", got)
    total = sum(member.file_size for member in members)
    if total > most:
        raise too_large(f"The arrays of {name} take", total, most)
    arrays = {}
    for member in members:
        key = member.filename.removesuffix(".npy")
        with archive.open(member) as stream:
            arrays[key] = _array(name, key, stream, member.file_size)
    return arrays


def _array(name: str, key: str, stream: Any, size: int) -> np.ndarray:
    """One array, once its description fits the bytes that are there."""
    magic = stream.read(8)
    if magic[:6] != b"\x93NUMPY" or len(magic) < 8 or magic[6] not in (1, 2, 3):
        raise _wrong(name, "arrays of NumPy", f"something else in {printable(key)!r}")
    width = 2 if magic[6] == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    if length > _HEAD:
        raise _wrong(name, f"arrays described in at most {_HEAD} bytes", f"{length:,} in {printable(key)!r}")
    described: Any = ast.literal_eval(stream.read(length).decode("latin-1" if magic[6] < 3 else "utf-8").strip())
    if not isinstance(described, dict) or described.keys() != {"descr", "fortran_order", "shape"}:
        raise _wrong(name, "arrays with descr, fortran_order and shape", f"another description of {printable(key)!r}")
    shape, descr = described["shape"], described["descr"]
    if not isinstance(descr, str) or not isinstance(shape, tuple) or len(shape) > 32:
        raise _wrong(name, "arrays of numbers or strings", f"another description of {printable(key)!r}")
    if not all(type(one) is int and one >= 0 for one in shape):
        raise _wrong(name, "arrays of whole sizes", f"{printable(repr(shape))} in {printable(key)!r}")
    dtype = np.dtype(descr)
    if dtype.hasobject:
        raise _wrong(name, "without Python objects", f"some in {printable(key)!r}")
    count, rest = math.prod(shape), size - 8 - width - length
    if dtype.kind not in "biufcUS":
        raise _wrong(name, "arrays of numbers or strings", f"{printable(dtype.name)} in {printable(key)!r}")
    if count * dtype.itemsize != rest:
        got = f"{rest:,} bytes for {printable(repr(shape))} of {printable(descr)} in {printable(key)!r}"
        raise _wrong(name, "an archive whose arrays have the size that they say", got)
    raw = np.empty(rest, np.uint8)
    done = 0
    while done < rest and (piece := stream.read(min(rest - done, 1 << 20))):
        raw[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
        done += len(piece)
    if done != rest or stream.read(1):
        raise _wrong(name, f"whole: {rest:,} bytes in {printable(key)!r}", f"{done:,}")
    array = raw.view(dtype) if rest else np.empty(count, dtype)
    return array.reshape(shape, order="F" if described["fortran_order"] is True else "C")


def _wrong(name: str, rule: str, got: str) -> CorruptFile:
    return CorruptFile(f"{name} must be {rule}; got {got}. {_REMEDY}.")
