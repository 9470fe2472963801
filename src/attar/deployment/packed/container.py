"""One file with a network in it: low-bit codes, the tables that they are read with, and all that stays float.

The file is safetensors with the tensors ``index`` (JSON, deflated) and ``payload`` (bytes, one part after the other),
and an optional ``graph``. Its header says the version and the SHA-256 of all of them. Decoding gives the weights that
were trained, bit for bit.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Integer, UInt8
from numpy import ndarray
from torch import Tensor

from attar.deployment.packed.ans import expand_all
from attar.deployment.packed.content import Content, shared
from attar.deployment.packed.settings import CODERS, FLOATS
from attar.errors import BadInput, CorruptFile, Words, must, near
from attar.network.weights import read_tensors, write_tensors
from attar.ops.packing import unpack, unpack_digits
from attar.quantization.format import Encoded, Format, stored
from attar.quantization.formats.named import from_table, to_table
from attar.records import parse_json

VERSION = 2
"""Of the form of the file; raised when an older reader would misread a newer one."""

_LARGEST_INDEX, _LARGEST_GRAPH = 2**24, 2**28
"""Bytes of an index and of a graph at most: deflated bytes can claim to be anything."""

_INDEX_GROWTH, _INDEX_ALWAYS = 64, 2**16
"""Times that a deflated index may grow, and bytes that it may have in any case. That of layers of one size, which
deflates best, grows twenty times."""

_LARGEST_GROWTH, _ALWAYS = 1024, 2**26
"""Times that a file may grow when it is read, and bytes that it may take in any case. What would grow further, as
many codes do that are nearly all the same, is written in plain bits."""

_CODE = 8
"""Bytes of a code while it is read."""

_DTYPES: Mapping[str, torch.dtype] = {
    "float64": torch.float64,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "int64": torch.int64,
    "int32": torch.int32,
    "int16": torch.int16,
    "int8": torch.int8,
    "uint8": torch.uint8,
    "bool": torch.bool,
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def write_packed(content: Content, path: Path, *, coder: str = "smallest", floats: str = "float32") -> None:
    """Write a file; a crash leaves the old one or the new one.

    Args:
        content: What to write.
        path: The file.
        coder: How codes are packed: one of `CODERS`.
        floats: How the float32 tensors that are not quantized are stored: one of `FLOATS`.

    Raises:
        BadInput: If a setting is unknown, a value is NaN or too large for ``floats`` or its own type, or a format has
            no name.
    """
    for name, value, valid in (("coder", coder, CODERS), ("floats", floats, FLOATS)):
        if value not in valid:
            raise must(name, "write_packed", "a known one", value, near(value, valid))
    index, payload = _written(content, coder, floats)
    if _growth(content) > _most(len(payload)):
        index, payload = _written(content, "bits", floats)
    tensors = {
        "index": _bytes(zlib.compress(json.dumps(index, separators=(",", ":")).encode(), 9)),
        "payload": _bytes(payload),
    }
    if content.graph is not None:
        tensors["graph"] = _bytes(zlib.compress(content.graph, 9))
    write_tensors(tensors, path, {"packed": VERSION, "sha256": _digest(tensors)})


def _written(content: Content, coder: str, floats: str) -> tuple[dict[str, Any], bytes]:
    """The index and the payload."""
    pieces: list[bytes] = []
    index: dict[str, Any] = {"codes": [], "tensors": []}
    for name, (form, codes) in content.codes.items():
        how, raw = content.coded(name, coder)
        pieces.append(raw.tobytes())
        entry = {"name": name, "shape": list(codes.shape), "dtype": _NAMES[codes.dtype], "format": to_table(form)}
        index["codes"].append(entry | {"bits": form.bits, "coder": how, "bytes": len(raw)})
        index["codes"][-1]["table"] = _put_table(name, codes.table, pieces)
        _check_decoded(name, content.decoded()[name])
    same = shared(content.tensors)
    for name, tensor in content.tensors.items():
        if name in same:
            index["tensors"].append({"name": name, "same": same[name]})
            continue
        _check_numbers(name, tensor)
        written = content.written(name, tensor, floats)
        if written is not tensor and not torch.equal(written.isfinite(), tensor.isfinite()):
            raise must("floats", "write_packed", "wide enough", f"float16 for {name!r}", "Use float32")
        entry = {"name": name, "shape": list(tensor.shape), "dtype": _NAMES[tensor.dtype]}
        index["tensors"].append(entry | _put(written, pieces))
    return index, b"".join(pieces)


def _growth(content: Content) -> int:
    """Bytes that a reader counts as taken for less than they are, at most."""
    tables = sum(t.numel() * t.element_size() for _, codes in content.codes.values() for t in codes.table.values())
    return tables + sum(_CODE * codes.codes.numel() for _, codes in content.codes.values())


def read_packed(path: Path) -> Content:
    """Read what `write_packed` wrote.

    Raises:
        BadInput: If the file is not there, or is one of a newer version.
        CorruptFile: If it is truncated, altered, or says something that cannot be.
    """
    tensors, about = read_tensors(path)
    if not isinstance(about, dict) or not isinstance(about.get("packed"), int):
        raise CorruptFile(f"{path} is not a packed network. Restore it, or deploy again.")
    if about["packed"] != VERSION:
        remedy = "Install a newer Attar" if about["packed"] > VERSION else "Deploy again: this one is of an older Attar"
        raise must("version", str(path), str(VERSION), about["packed"], remedy)
    pieces = {name: tensor for name, tensor in tensors.items() if tensor.dtype == torch.uint8 and tensor.dim() == 1}
    if not pieces.keys() >= {"index", "payload"} or len(pieces) != len(tensors):
        raise CorruptFile(f"{path} has not the parts of a packed network. Restore it, or deploy again.")
    if _digest(pieces) != about.get("sha256"):
        raise CorruptFile(f"{path} is not what was written (its SHA-256 differs). Restore it, or deploy again.")
    try:
        most = min(_LARGEST_INDEX, max(_INDEX_ALWAYS, _INDEX_GROWTH * len(pieces["index"])))
        index = parse_json(_inflated(pieces["index"], "index", most), "the index", "", finite=False)
        reader = _Reader(pieces["payload"].numpy())
        codes, decoded = _all_encoded(index["codes"], reader)
        others = {str(entry["name"]): _tensor(entry, reader) for entry in index["tensors"] if "same" not in entry}
        others |= {str(entry["name"]): others[entry["same"]] for entry in index["tensors"] if "same" in entry}
        reader.must_be_done()
        if len(codes) + len(others) != len(index["codes"]) + len(index["tensors"]) or codes.keys() & others.keys():
            raise CorruptFile("a tensor is there twice")
        graph = _inflated(pieces["graph"], "graph", _LARGEST_GRAPH) if "graph" in pieces else None
    except CorruptFile as error:
        why = str(error).rstrip(".")
        raise CorruptFile(f"{path} cannot be read: {why}. Restore it, or deploy again.") from error
    except BadInput as error:
        raise CorruptFile(f"{path} cannot be read: {error}") from error
    except MemoryError as error:
        raise CorruptFile(f"{path} cannot be read: it wants more memory than there is.") from error
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError, OverflowError, AttributeError) as error:
        # Whatever a document of another form makes of the lines above.
        raise CorruptFile(
            f"{path} cannot be read: its index has another form ({type(error).__name__}: {error}). "
            "Restore it, or deploy again."
        ) from error
    return Content(codes, others, graph, _decoded=decoded)


# -- codes -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Raw:
    """Codes as they lie in the file, and what they are of."""

    form: Format
    shape: tuple[int, ...]
    dtype: torch.dtype
    how: str
    bytes: UInt8[ndarray, " bytes"]
    table: dict[str, Tensor]

    @property
    def kinds(self) -> int:
        return len(self.form.codes)

    @property
    def count(self) -> int:
        return math.prod(self.shape)


def _all_encoded(
    entries: Sequence[Mapping[str, Any]], reader: _Reader
) -> tuple[dict[str, tuple[Format, Encoded]], dict[str, Tensor]]:
    """All codes, and what they stand for."""
    raw = {str(entry["name"]): _raw(entry, reader) for entry in entries}
    coded = {name: each for name, each in raw.items() if each.how == "ans"}
    expanded = expand_all([(each.bytes, each.kinds, each.count) for each in coded.values()])
    found = dict(zip(coded, expanded, strict=True))
    codes = {
        name: (each.form, _encoded(name, each, found[name] if name in found else _unpacked(each)))
        for name, each in raw.items()
    }
    decoded = {name: form.decode(each) for name, (form, each) in codes.items()}
    for name, weights in decoded.items():
        if not bool(weights.isfinite().all()):
            raise CorruptFile(f"{name!r} has weights that are NaN or infinite")
    return codes, decoded


def _raw(entry: Mapping[str, Any], reader: _Reader) -> _Raw:
    form, shape, dtype = from_table(entry["format"]), _shape(entry), _DTYPES[entry["dtype"]]
    if "weights" not in form.supports or not dtype.is_floating_point:
        raise CorruptFile(f"{entry['name']!r} is no tensor for {form}")
    reader.grow(_CODE * math.prod(shape))
    codes = reader.take(entry["bytes"])
    return _Raw(form, shape, dtype, entry["coder"], codes, _table(entry, reader, form.table_bytes(shape) // 4))


def _unpacked(raw: _Raw) -> Integer[ndarray, " count"]:
    if raw.how == "bits":
        return unpack(raw.bytes, raw.form.bits, raw.count)
    if raw.how == "digits":
        return unpack_digits(raw.bytes, raw.count, raw.kinds)
    raise CorruptFile(f"the coder {raw.how!r} is unknown")


def _encoded(name: str, raw: _Raw, codes: Integer[ndarray, " count"]) -> Encoded:
    if codes.size and int(codes.max()) >= raw.kinds:
        raise CorruptFile(f"a code of {name!r} is {int(codes.max())}, beyond the {raw.kinds} that {raw.form} has")
    integers = torch.from_numpy(codes + raw.form.codes.start)
    return Encoded(stored(integers, raw.form.codes).reshape(raw.shape), raw.table, raw.dtype)


# -- tables and floats -----------------------------------------------------------------------------------------------


def table_bytes(table: Mapping[str, Tensor]) -> int:
    """Bytes of a table in a file."""
    pieces: list[bytes] = []
    _put_table("", table, pieces)
    return sum(map(len, pieces))


def _put_table(name: str, table: Mapping[str, Tensor], pieces: list[bytes]) -> list[dict[str, Any]]:
    """Entries in the smallest type that holds them exactly; one value where all are the same."""
    described = []
    for key, entry in table.items():
        _check_numbers(f"{name} {key}", entry, finite=True)
        flat = entry.detach().cpu().reshape(-1)
        # Zeros of both signs are equal and are not the same.
        alike = len(flat) > 1 and bool((flat == flat[0]).all()) and (bool(flat[0]) or not entry.is_floating_point())
        header = {"name": key, "shape": list(entry.shape), "dtype": _NAMES[entry.dtype]}
        written = _put(_exact(flat[:1] if alike else flat), pieces)
        described.append(header | ({"repeated": True} if alike else {}) | written)
    return described


def _exact(flat: Tensor) -> Tensor:
    """The same values in the smallest type that has them all."""
    if flat.dtype in (torch.float32, torch.float64):
        smaller: tuple[torch.dtype, ...] = (torch.float16, torch.float32)
    else:
        smaller = _INTEGERS if flat.dtype in _INTEGERS else ()
    for dtype in smaller:
        if dtype.itemsize < flat.dtype.itemsize and torch.equal(flat.to(dtype).to(flat.dtype), flat):
            return flat.to(dtype)
    return flat


def _put(tensor: Tensor, pieces: list[bytes]) -> dict[str, Any]:
    raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    pieces.append(raw)
    return {"stored": _NAMES[tensor.dtype], "bytes": len(raw)}


def _taken(entry: Mapping[str, Any], shape: tuple[int, ...], reader: _Reader) -> Tensor:
    kind, dtype = _DTYPES[entry["stored"]], _DTYPES[entry["dtype"]]
    count = math.prod(shape)
    raw = reader.take(entry["bytes"])
    if len(raw) != kind.itemsize * count:
        raise CorruptFile(f"{entry['name']!r} has {len(raw)} bytes where {shape} of {entry['stored']} were expected")
    flat = torch.from_numpy(raw.copy()).view(kind) if count else torch.zeros(0, dtype=kind)
    return flat.to(dtype).reshape(shape)


def _tensor(entry: Mapping[str, Any], reader: _Reader) -> Tensor:
    tensor = _taken(entry, _shape(entry), reader)
    if tensor.is_floating_point() and bool(tensor.isnan().any()):
        raise CorruptFile(f"{entry['name']!r} has values that are NaN")
    return tensor


def _table(entry: Mapping[str, Any], reader: _Reader, entries: int) -> dict[str, Tensor]:
    """A table of so many entries, which is checked before memory is taken for them."""
    found = sum(math.prod(_shape(each)) for each in entry["table"])
    if found != entries:
        raise CorruptFile(f"the table of {entry['name']!r} has {found} entries where {entries} belong to its format")
    table = {}
    for each in entry["table"]:
        shape = _shape(each)
        repeated = each.get("repeated", False)
        if repeated:
            reader.grow(_DTYPES[each["dtype"]].itemsize * math.prod(shape))
        value = _taken(each, (1,) if repeated else shape, reader)
        table[str(each["name"])] = value.expand(math.prod(shape)).reshape(shape).clone() if repeated else value
    return table


def _shape(entry: Mapping[str, Any]) -> tuple[int, ...]:
    shape = tuple(entry["shape"])
    if not all(isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in shape):
        raise CorruptFile(f"the shape of {entry['name']!r} is {shape}")
    if math.prod(shape) > sys.maxsize or len(shape) > 64:
        raise CorruptFile(f"{entry['name']!r} would have {math.prod(shape)} numbers")
    return shape


def _check_numbers(name: str, tensor: Tensor, *, finite: bool = False) -> None:
    if tensor.dtype not in _NAMES:
        raise must(f"tensor {name!r}", "a packed file", f"one of {', '.join(_DTYPES)}", tensor.dtype, "Convert it")
    if tensor.is_floating_point() and bool(tensor.isnan().any()):
        raise must(f"tensor {name!r}", "a packed file", "numbers", Words("NaN"), "Repair the weights")
    if finite and tensor.is_floating_point() and not bool(tensor.isfinite().all()):
        raise must(f"tensor {name!r}", "a packed file", "finite", Words("infinity"), "Repair the weights")


def _check_decoded(name: str, weights: Tensor) -> None:
    """Steps times codes may be beyond a type in which each of them fits."""
    if not bool(weights.isfinite().all()):
        rule, remedy = f"finite when it is decoded to {weights.dtype}", "Scale the weights, or train in float32"
        raise must(f"tensor {name!r}", "a packed file", rule, Words("infinity or NaN"), remedy)


# -- bytes -----------------------------------------------------------------------------------------------------------


class _Reader:
    """The payload, part by part."""

    def __init__(self, payload: UInt8[ndarray, " bytes"]) -> None:
        self._payload, self._at, self._grown = payload, 0, 0
        self._most = _most(len(payload))

    def grow(self, taken: int) -> None:
        """Count bytes that are about to be taken for less than they are."""
        self._grown += taken
        if self._grown > self._most:
            raise CorruptFile(f"{len(self._payload)} bytes would grow to more than {self._most}")

    def take(self, length: Any) -> UInt8[ndarray, " bytes"]:
        if not isinstance(length, int) or not 0 <= length <= len(self._payload) - self._at:
            raise CorruptFile(f"a part of {length} bytes is not there")
        piece = self._payload[self._at : self._at + length]
        self._at += length
        return piece

    def must_be_done(self) -> None:
        if self._at != len(self._payload):
            raise CorruptFile(f"{len(self._payload) - self._at} bytes belong to nothing")


def _most(length: int) -> int:
    """Bytes that a payload may grow to."""
    return max(_ALWAYS, _LARGEST_GROWTH * length)


def _bytes(raw: bytes) -> Tensor:
    return torch.frombuffer(bytearray(raw), dtype=torch.uint8) if raw else torch.zeros(0, dtype=torch.uint8)


def _inflated(deflated: Tensor, what: str, most: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(deflated.numpy().tobytes(), most)
    except zlib.error as error:
        raise CorruptFile(f"the {what} cannot be inflated ({error})") from error
    if not inflater.eof:
        raise CorruptFile(f"the {what} has no end, or more than {most} bytes")
    return raw


def _digest(pieces: Mapping[str, Tensor]) -> str:
    total = hashlib.sha256()
    for name, tensor in sorted(pieces.items()):
        total.update(f"{name}|{tensor.numel()}|".encode())
        total.update(tensor.numpy().tobytes())
    return total.hexdigest()
