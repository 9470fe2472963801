"""How files are damaged: bytes, the structure of JSON and TOML documents, and whole folders. All draws have a seed."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import tomli_w

EXTREMES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2**31,
    2**63 - 1,
    -(2**63),
    2**64,
    10**12,
    10**30,
    10**400,
    0.0,
    -0.5,
    0.5,
    1e-320,
    1e308,
    float("nan"),
    float("inf"),
    "",
    " ",
    "x",
    "\0",
    "\ud800",
    "\N{SNOWMAN}" * 3,
    "../../etc/passwd",
    "/dev/zero",
    "os:system",
    "a" * 5000,
    [],
    [[]],
    [0] * 5000,
    [10**9, 10**9],
    {},
    {"": None},
)
"""Values that no reader expects."""

_INTEGERS = (0, 1, 2**15, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1)


# -- bytes -----------------------------------------------------------------------------------------------------------


def damaged(data: bytes, draw: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """One to four changes of bytes.

    Args:
        data: What to change.
        draw: Where chance comes from.
        others: Other files, parts of which may come in.
    """
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        data = draw.choice(_BYTES)(data, draw, others)
    return data


def _flip(data: bytes, draw: random.Random, others: Sequence[bytes]) -> bytes:
    changed = bytearray(data or b"\0")
    for _ in range(draw.choice((1, 1, 8))):
        changed[_place(len(changed), draw)] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _cut(data: bytes, draw: random.Random, others: Sequence[bytes]) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


def _without(data: bytes, draw: random.Random, others: Sequence[bytes]) -> bytes:
    begin = _place(len(data), draw)
    return data[:begin] + data[begin + draw.choice((1, 4, 64, 1024)) :]


def _splice(data: bytes, draw: random.Random, others: Sequence[bytes]) -> bytes:
    source = draw.choice([data, *others])
    begin, at = _place(len(source), draw), _place(len(data), draw)
    part = source[begin : begin + draw.choice((1, 8, 256, 8192))]
    return data[:at] + part + data[at + draw.choice((0, len(part))) :]


def _random(data: bytes, draw: random.Random, others: Sequence[bytes]) -> bytes:
    at, part = _place(len(data), draw), draw.randbytes(draw.choice((1, 4, 32)))
    return data[:at] + part + data[at + len(part) :]


def _huge(data: bytes, draw: random.Random, others: Sequence[bytes]) -> bytes:
    """A number where a size may be."""
    at, size = _place(len(data), draw), draw.choice((2, 4, 8))
    number = (draw.choice(_INTEGERS) & (2 ** (8 * size) - 1)).to_bytes(size, draw.choice(("little", "big")))
    return data[:at] + number + data[at + size :]


def _digits(data: bytes, draw: random.Random, others: Sequence[bytes]) -> bytes:
    """A number in text becomes another."""
    places = [place for place, byte in enumerate(data[:200_000]) if 48 <= byte <= 57]
    if not places:
        return _flip(data, draw, others)
    at = draw.choice(places)
    return (
        data[:at] + draw.choice((b"-1", b"0", b"99999999999999999999", b"1e309", b"NaN", b"9" * 5000)) + data[at + 1 :]
    )


def _again(data: bytes, draw: random.Random, others: Sequence[bytes]) -> bytes:
    return data * draw.choice((2, 3)) if len(data) < 1 << 20 else data


def _nothing(data: bytes, draw: random.Random, others: Sequence[bytes]) -> bytes:
    return draw.choice([b"", b"\0" * 64, *others])


def _place(length: int, draw: random.Random) -> int:
    """Anywhere, and often near the beginning or the end, where headers are."""
    if length < 2:
        return 0
    near = min(length, 256)
    return draw.choice((draw.randrange(length), draw.randrange(near), length - 1 - draw.randrange(near)))


_BYTES: tuple[Callable[[bytes, random.Random, Sequence[bytes]], bytes], ...] = (
    *(_flip,) * 4,
    *(_cut,) * 2,
    _without,
    *(_splice,) * 2,
    _random,
    *(_huge,) * 2,
    _digits,
    _again,
    _nothing,
)


# -- documents -------------------------------------------------------------------------------------------------------


def changed(document: Any, draw: random.Random) -> Any:
    """A copy of a document of dicts, lists and plain values with one to three changes of its structure."""
    document = copy.deepcopy(document)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        places = list(_places(document))
        if not places:
            return document
        table, key = draw.choice(places)
        draw.choice(_STRUCTURE)(table, key, draw, places)
    return document


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container with each of its keys; of long lists three."""
    keys: Sequence[Any] = ()
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = range(len(value)) if len(value) < 8 else (0, len(value) // 2, len(value) - 1)
    for key in keys:
        yield value, key
        yield from _places(value[key])


_Places = Sequence[tuple[Any, Any]]


def _set(table: Any, key: Any, draw: random.Random, places: _Places) -> None:
    table[key] = copy.deepcopy(draw.choice(EXTREMES))


def _remove(table: Any, key: Any, draw: random.Random, places: _Places) -> None:
    del table[key]


def _rename(table: Any, key: Any, draw: random.Random, places: _Places) -> None:
    if isinstance(table, dict):
        table[draw.choice((key + "x", "use", "", key[:-1], key.upper()))] = table.pop(key)


def _nudge(table: Any, key: Any, draw: random.Random, places: _Places) -> None:
    value = table[key]
    if isinstance(value, bool):
        table[key] = not value
    elif isinstance(value, int | float):
        table[key] = draw.choice((value + 1, value * 10, -value, value * 10**9, value / 3, str(value)))
    elif isinstance(value, str):
        table[key] = draw.choice((value + "x", value[:-1], value.swapcase(), value * 40, value[::-1]))
    elif isinstance(value, list):
        table[key] = draw.choice((value[::-1], value * 2, value[:-1], dict(enumerate(map(str, value)))))
    else:
        table[key] = [value]


def _swap(table: Any, key: Any, draw: random.Random, places: _Places) -> None:
    other, name = draw.choice(places)
    mine, theirs = copy.deepcopy(table[key]), copy.deepcopy(other[name])
    table[key] = theirs
    if draw.random() < 0.5 and isinstance(other, dict):
        other[name] = mine


def _more(table: Any, key: Any, draw: random.Random, places: _Places) -> None:
    if isinstance(table, dict):
        table[draw.choice(("extra", "arguments", "use", "path", "class"))] = copy.deepcopy(draw.choice(EXTREMES))
    else:
        table.insert(key, copy.deepcopy(draw.choice([*EXTREMES, table[key]])))


def _deep(table: Any, key: Any, draw: random.Random, places: _Places) -> None:
    value = table[key]
    for _ in range(draw.choice((3, 60, 300))):
        value = [value] if draw.random() < 0.5 else {"a": value}
    table[key] = value


_STRUCTURE: tuple[Callable[[Any, Any, random.Random, _Places], None], ...] = (
    *(_set,) * 4,
    _remove,
    _rename,
    *(_nudge,) * 3,
    _swap,
    _more,
    _deep,
)


def json_text(document: Any, draw: random.Random) -> bytes:
    """A document as JSON, at times with a key twice, nested too deep, or with what JSON has not."""
    text = json.dumps(document)
    chance = draw.random()
    if chance < 0.05:
        return b"[" * draw.choice((200, 100_000)) + text.encode()
    if chance < 0.08 and text.startswith('{"'):
        return (text[:1] + text[1:].split(",", 1)[0] + "," + text[1:]).encode()
    return text.encode()


def toml_text(document: Any, draw: random.Random) -> bytes:
    """A document as TOML as far as TOML can say it, at times with lines that are there twice or in other places."""
    try:
        text = tomli_w.dumps(_sayable(document)).encode("utf-8", errors="surrogatepass")
    except (TypeError, ValueError, AttributeError, RecursionError):
        text = json.dumps(document).encode()
    chance = draw.random()
    lines = text.splitlines(keepends=True)
    if chance < 0.1 and lines:
        lines.insert(draw.randrange(len(lines)), draw.choice(lines))
        return b"".join(lines)
    if chance < 0.15:
        draw.shuffle(lines)
        return b"".join(lines)
    if chance < 0.2:
        deep = draw.choice(
            (b"a = " + b"[" * 2000, b"[" + b"a." * 2000 + b"a]\n", b"a = " + b"{a=" * 500, b"n = " + b"9" * 9000)
        )
        return text + b"\n" + deep
    return text


def _sayable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _sayable(part) for key, part in value.items() if part is not None}
    if isinstance(value, list):
        return [_sayable(part) for part in value if part is not None]
    return value


# -- folders ---------------------------------------------------------------------------------------------------------


def rearranged(folder: Path, draw: random.Random) -> None:
    """Change what is where: a file is gone, swapped with another, a link, a pipe or a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = draw.choice(files)
    kind = draw.choice(("gone", "swapped", "link", "away", "pipe", "folder", "empty", "zero"))
    if kind == "swapped":
        other = draw.choice(files)
        mine, theirs = path.read_bytes(), other.read_bytes()
        path.write_bytes(theirs)
        other.write_bytes(mine)
        return
    data = path.read_bytes()
    path.unlink()
    if kind == "link":
        path.with_name(path.name + ".real").write_bytes(data)
        path.symlink_to(path.name + ".real")
    elif kind == "away":
        path.symlink_to(draw.choice(("/etc/passwd", "/dev/zero", "../../..", path.name)))
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "zero":
        path.write_bytes(bytes(len(data)))
