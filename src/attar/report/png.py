"""A small array as an image inside the page: a PNG in a data URI."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from numpy.typing import ArrayLike

from attar.errors import Words, must

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GRAY, _RGB = 0, 2


def data_uri(pixels: ArrayLike) -> str:
    """A PNG of some pixels, as the text of a ``data:`` URI.

    Args:
        pixels: ``[height, width]`` gray or ``[height, width, 3]`` colors; 0 is black, 1 is full,
            values outside are clipped.

    Raises:
        BadInput: If the array has another shape or holds NaN.

    References:
        *Portable Network Graphics (PNG) Specification (Third Edition)*, W3C 2025, sections 5 and 11.
    """
    array = np.asarray(pixels, dtype=np.float32)
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)):
        raise must("pixels", "data_uri", "[height, width] or [height, width, 3]", array.shape, "Move the channels last")
    if not np.isfinite(array).all():
        raise must("pixels", "data_uri", "finite", Words("NaN or infinity"), "Check the array where it was computed")
    levels = np.clip(np.rint(array * 255), 0, 255).astype(np.uint8)
    height, width = levels.shape[:2]
    # Each row begins with the number of its filter; 0 stores the bytes as they are.
    rows = np.pad(levels.reshape(height, -1), ((0, 0), (1, 0)))
    header = struct.pack(">IIBBBBB", width, height, 8, _GRAY if array.ndim == 2 else _RGB, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)) + _chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(_SIGNATURE + chunks).decode("ascii")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
