"""Records: the JSON files that Attar writes and reads back, and the one guarded way to read them.

A record carries a checksum of itself, so that one that was altered is refused instead of changing what is computed or
shown. The checksum finds damage, not forgery: whoever can write the file can write the checksum, too.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attar.errors import CorruptFile, shown

CHECKSUM = "checksum"
"""The key of a record under which the SHA-256 of all its other keys is."""

LARGEST = 2**28
"""Bytes of a record at most, unless its reader asks for another limit."""

LARGEST_FILE = 2**40
"""Bytes that a file may have which a record names with its SHA-256: as many as there are, where it is a file."""

_DEEPEST = 100
"""Levels of nesting at most. Records have ten; code that walks over them is recursive."""

_INTEGERS = range(-(2**63), 2**64)
"""What arrays and tensors can hold."""


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document with its checksum, in place of an earlier one.

    Args:
        document: Plain JSON values.

    Raises:
        TypeError: If there is something in it that JSON does not have.
    """
    rest = {key: value for key, value in document.items() if key != CHECKSUM}
    return {**rest, CHECKSUM: _checksum(rest)}


def to_text(document: Mapping[str, Any], indent: int | None = 1) -> str:
    """A document as the text of a record, with its checksum.

    Halves of characters, which names of files can hold and no text can, become question marks.

    Args:
        document: Plain JSON values.
        indent: Spaces by which each level is moved in; None for one line.

    Raises:
        TypeError: If there is something in it that JSON does not have.
    """
    text = json.dumps(document)
    if "\\ud" in text:
        document = json.loads(_text_of(json.loads(text)))
    return json.dumps(sealed(document), indent=indent) + "\n"


def read_record(
    path: Path, remedy: str, *, finite: bool = True, follow: bool = True, largest: int = LARGEST
) -> dict[str, Any]:
    """Read a record that `to_text` gave, and see that it is what was written.

    Args:
        path: The file.
        remedy: What to do about a damaged one, as a sentence.
        finite: Whether NaN and infinities are damage; records of trainings may have them.
        follow: Whether the file may be a symbolic link.
        largest: Bytes that it may have.

    Returns:
        The document without its checksum.

    Raises:
        CorruptFile: If it is no regular file, too large, no JSON object, or not what was written.
    """
    document = read_json(path, remedy, finite=finite, follow=follow, largest=largest)
    return unsealed(document, str(path), remedy)


def unsealed(document: Any, of: str, remedy: str) -> dict[str, Any]:
    """A document without its checksum, once it is sure that it is what was written.

    Args:
        document: What was read.
        of: Where; for the message.
        remedy: What to do about a damaged one, as a sentence.

    Raises:
        CorruptFile: If it is no JSON object, has no checksum, or another.
    """
    if not isinstance(document, dict):
        raise CorruptFile(f"{of} must hold a JSON object; it holds {_kind(document)}. {remedy}")
    rest = {key: value for key, value in document.items() if key != CHECKSUM}
    if CHECKSUM not in document:
        raise CorruptFile(f"{of} has no {CHECKSUM!r}, which every file of its kind is written with. {remedy}")
    if document[CHECKSUM] != _checksum(rest):
        raise CorruptFile(f"{of} is not what was written: its {CHECKSUM!r} differs. {remedy}")
    return rest


def read_json(path: Path, remedy: str, *, finite: bool = True, follow: bool = True, largest: int = LARGEST) -> Any:
    """Read a JSON file that may be damaged or hostile, at a cost that its size bounds.

    Args:
        path: The file.
        remedy: What to do about a damaged one, as a sentence.
        finite: Whether NaN and infinities are damage.
        follow: Whether the file may be a symbolic link.
        largest: Bytes that it may have.

    Raises:
        CorruptFile: If it is no regular file, too large, or as `parse_json` says.
    """
    return parse_json(read_bytes(path, remedy, follow=follow, largest=largest), str(path), remedy, finite=finite)


def read_bytes(path: Path, remedy: str, *, follow: bool = True, largest: int = LARGEST) -> bytes:
    """All bytes of a regular file; nothing else is waited for or read.

    Args:
        path: The file.
        remedy: What to do about a damaged one, as a sentence.
        follow: Whether the file may be a symbolic link.
        largest: Bytes that it may have.

    Raises:
        CorruptFile: If there is none, it cannot be read, it is a folder, a pipe or a device, or it is too large.
    """
    # A pipe that nobody writes to would keep a reader waiting for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    if not follow and path.is_symlink():
        raise CorruptFile(f"{path} is a symbolic link, which may lead anywhere. Put the file itself there.")
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CorruptFile(f"{shown(path)} cannot be read: {why}. {remedy}") from error
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise CorruptFile(f"{path} must be a file; it is a {_place(about.st_mode)}. {remedy}")
        if about.st_size > largest:
            raise CorruptFile(f"{path} has {about.st_size} bytes, more than the {largest} that are read. {remedy}")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(about.st_size)
    finally:
        os.close(descriptor)


def parse_json(data: bytes | str, of: str, remedy: str, *, finite: bool = True) -> Any:
    """JSON that may be damaged or hostile.

    Args:
        data: The text, in UTF-8.
        of: What it is, for the message.
        remedy: What to do about a damaged one, as a sentence.
        finite: Whether NaN and infinities are damage.

    Raises:
        CorruptFile: If it is no JSON, nested too deep, names a key twice, or holds half a character or a number
            beyond 64 bits.
    """
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        document = json.loads(text, object_pairs_hook=_unique)
        flaw = _flaw(document, finite)
    except RecursionError:
        flaw = f"it is nested more than {_DEEPEST} levels deep"
    except MemoryError:
        flaw = "it wants more memory than there is"
    except UnicodeDecodeError as error:
        flaw = f"it is not UTF-8 at byte {error.start}"
    except json.JSONDecodeError as error:
        flaw = f"it is not JSON at line {error.lineno}, column {error.colno} ({error.msg})"
    except ValueError as error:  # a key that is there twice, or a number of thousands of digits
        limit = sys.get_int_max_str_digits()
        flaw = str(error) if isinstance(error, _TwiceError) else f"it has a number of more than {limit} digits"
    if flaw is not None:
        raise CorruptFile(f"{of} is damaged: {flaw}. {remedy}".rstrip())
    return document


class _TwiceError(ValueError):
    """A key is there twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _TwiceError(f"it names the key {twice!r} twice")
    return found


def _flaw(document: Any, finite: bool) -> str | None:
    """What makes a document unfit, level by level, so that depth costs no recursion."""
    level, depth = [document], 0
    while level:
        depth += 1
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += value.values()
                below += (key for key in value if not key.isascii())
            elif isinstance(value, list):
                below += value
            elif isinstance(value, str):
                if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
                    return f"it has half a character in {value!r}"[:200]
            elif isinstance(value, float):
                if finite and not -sys.float_info.max <= value <= sys.float_info.max:
                    return f"it has the number {value}"
            elif isinstance(value, int) and value not in _INTEGERS:
                return "it has a whole number beyond 64 bits"
        if below and depth >= _DEEPEST and any(isinstance(value, dict | list) for value in below):
            return f"it is nested more than {_DEEPEST} levels deep"
        level = below
    return None


def _checksum(document: Mapping[str, Any]) -> str:
    """Of names, values and their order; white space does not count."""
    text = json.dumps(document, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _text_of(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False).encode("utf-8", errors="replace").decode("utf-8")


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "a truth value", type(None): "nothing"}
    return names.get(type(value), "a number")


def _place(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "folder"), (stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"))
    return next((name for test, name in kinds if test(mode)), "device")
