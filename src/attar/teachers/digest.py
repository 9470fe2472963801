"""The digest of any Python object's content, whatever it is made of."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np

from attar.errors import Words, must


def digest(value: object) -> str:
    """SHA-256 over everything that an object holds, found as pickling would find it.

    Two objects of equal content have the same digest, also where one of them shares its parts and the other has copies:
    an estimator read back from a file is the one that was written. Functions count by their name and their own code.

    Raises:
        BadInput: If a part of it cannot be taken apart, such as an open file.

    Example:
        >>> shared = [1.0]
        >>> digest([shared, shared]) == digest([[1.0], [1.0]])
        True
        >>> digest({"a": 1}) == digest({"a": 1.0})
        False
    """
    return _digest(value, ()).hex()


def _digest(value: Any, above: tuple[int, ...]) -> bytes:
    """The digest of one part; ``above`` are the ids of the objects that it is a part of."""
    if id(value) in above:  # A circle: the distance to where it closes says which one.
        return _of("circle", [struct.pack("<q", len(above) - above.index(id(value)))])
    inner = (*above, id(value))
    match value:
        case None | bool() | int() | float() | complex() | str() if type(value).__module__ == "builtins":
            return _of(type(value).__name__, [repr(value).encode()])
        case bytes() | bytearray() | memoryview():
            return _of("bytes", [bytes(value)])
        case np.ndarray() | np.generic():
            array = np.asarray(value)
            head = [array.dtype.str.encode(), str(array.dtype.descr).encode(), str(array.shape).encode()]
            if array.dtype.names is not None:  # Field by field: what lies between them is whatever was in memory.
                return _of("fields", [*head, *(_digest(array[name], inner) for name in array.dtype.names)])
            if array.dtype.hasobject:
                return _of("objects", [*head, *(_digest(element, inner) for element in array.reshape(-1).tolist())])
            return _of("array", [*head, np.ascontiguousarray(array).tobytes()])
        case np.dtype():
            return _of("dtype", [value.str.encode(), str(value.descr).encode()])
        case np.random.RandomState():  # What it will draw; how it was seeded does not survive all kinds of files.
            return _of("random state", [_digest(value.get_state(legacy=False), inner)])
        case list() | tuple() if type(value).__module__ == "builtins":
            return _of(type(value).__name__, (_digest(element, inner) for element in value))
        case dict() if type(value) is dict:
            return _of("dict", (_digest(element, inner) for item in value.items() for element in item))
        case set() | frozenset():
            return _of("set", sorted(_digest(element, inner) for element in value))
        case type() | BuiltinFunctionType() | np.ufunc():
            return _of("name", [_name(value).encode()])
        case FunctionType():
            return _of("function", [_name(value).encode(), value.__code__.co_code])
    try:
        reduced = value.__reduce_ex__(4)
    except TypeError as error:
        remedy = "Drop that part, or give the estimator a method fingerprint that returns a text of what it is"
        raise must(
            "a part", "the estimator", "one that can be saved", Words(f"{type(value).__name__}: {error}"), remedy
        ) from error
    if isinstance(reduced, str):  # A name in its module.
        return _of("name", [_name(type(value)).encode(), reduced.encode()])
    elements = [*reduced[:3], *(list(more) if more is not None else None for more in reduced[3:5])]
    return _of("object", [_name(type(value)).encode(), *(_digest(element, inner) for element in elements)])


def _of(kind: str, elements: Iterable[bytes]) -> bytes:
    """The digest of some parts; each is measured first, so that no two lists of parts look alike."""
    total = hashlib.sha256(kind.encode() + b"\0")
    for element in elements:
        total.update(struct.pack("<Q", len(element)))
        total.update(element)
    return total.digest()


def _name(value: Any) -> str:
    return f"{getattr(value, '__module__', None)}.{getattr(value, '__qualname__', None) or value.__name__}"
