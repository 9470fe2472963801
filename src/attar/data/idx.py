"""Reading IDX files: the format of MNIST and of the data sets that took its place."""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from attar.data.limits import DEFLATED
from attar.errors import CorruptFile

_UNSIGNED_BYTES = 8
_REMEDY = "Delete the file and get it again"
_LARGEST = 1 << 30


def read_idx(path: Path, *, dimensions: int, sha256: str | None = None) -> UInt8[Tensor, " ..."]:
    """The array of unsigned bytes in an IDX file, gzipped (by its name) or not.

    Args:
        path: The file.
        dimensions: How many axes the array must have: 1 for labels, 3 for pictures.
        sha256: Hex digest that the content, decompressed, must have; None checks the form only.

    Raises:
        CorruptFile: If the file is not gzip, is truncated or too long, holds another type or another number of axes,
            or has another digest.

    References:
        LeCun, Cortes, Burges, *The MNIST database of handwritten digits*, section "File formats".
    """
    content = bytearray(_content(path, 4 + 4 * dimensions))
    if len(content) < 4 or content[:2] != b"\0\0":
        raise CorruptFile(f"{path.name} must begin with two zero bytes; got {bytes(content[:4])!r}. {_REMEDY}: {path}")
    kind, axes = content[2], content[3]
    if (kind, axes) != (_UNSIGNED_BYTES, dimensions):
        raise CorruptFile(
            f"{path.name} must hold unsigned bytes (type 8) with {dimensions} axes; got type {kind} with {axes} axes. "
            f"{_REMEDY}: {path}"
        )
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise CorruptFile(
            f"{path.name} must have {header} bytes of header; got {len(content)} bytes. {_REMEDY}: {path}"
        )
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    if len(content) != header + math.prod(shape):
        raise CorruptFile(
            f"{path.name} must have {header + math.prod(shape)} bytes for its shape {list(shape)}; got {len(content)}. "
            f"{_REMEDY}: {path}"
        )
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise CorruptFile(f"{path.name} must have the published content; got another SHA-256 digest. {_REMEDY}: {path}")
    if math.prod(shape) == 0:
        return torch.empty(shape, dtype=torch.uint8)
    return torch.frombuffer(content, dtype=torch.uint8, offset=header).view(shape)


def _content(path: Path, header: int) -> bytes:
    """The content of a file, gzipped or not; no more of it than its header asks for, and a byte that shows if there is.

    Raises:
        CorruptFile: As `decompressed`.
    """
    if path.suffix != ".gz":
        return path.read_bytes()
    begin = decompressed(path, header)
    sizes = begin[4 : 4 * (len(begin) // 4)]
    expected_size = header + math.prod(struct.unpack(f">{len(sizes) // 4}I", sizes)) if len(begin) == header else header
    if expected_size > DEFLATED * path.stat().st_size:
        raise CorruptFile(
            f"{path.name} must have {expected_size} bytes for its shape; a gzip file of {path.stat().st_size} bytes "
            f"cannot. {_REMEDY}: {path}"
        )
    return decompressed(path, expected_size + 1)


def decompressed(path: Path, most: int | None = None) -> bytes:
    """The content of a gzip file.

    Args:
        path: The file.
        most: Read so many bytes at most; None for all, which must not be more than fits a published file (1 GiB).

    Raises:
        CorruptFile: If it is not gzip, is truncated or altered, or has more than that.
    """
    limit = _LARGEST + 1 if most is None else most
    pieces, read = [], 0
    try:
        with gzip.open(path) as file:
            while read < limit and (piece := file.read(min(limit - read, 1 << 20))):
                pieces.append(piece)
                read += len(piece)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CorruptFile(f"{path.name} must be a whole gzip file; got: {error}. {_REMEDY}: {path}") from error
    if most is None and read > _LARGEST:
        raise CorruptFile(f"{path.name} must have at most {_LARGEST:,} bytes; it inflates to more. {_REMEDY}: {path}")
    return b"".join(pieces)
