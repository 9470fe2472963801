"""Small whole numbers packed into bytes, and back: b bits each, or digits to a base such as 3."""

from __future__ import annotations

import numpy as np
from jaxtyping import Integer, UInt8
from numpy import ndarray

from attar.errors import must


def pack(codes: Integer[ndarray, "..."], bits: int) -> UInt8[ndarray, " bytes"]:
    """Codes one after the other, ``bits`` bits each, the lowest bit first; the last byte is filled up with zeros.

    Byte order plays no role: bit i of code j is bit ``i + j * bits`` of the whole, counted from the lowest bit of the
    first byte.

    Args:
        codes: From 0 to ``2**bits - 1``; flattened.
        bits: 1 to 16.

    Raises:
        BadInput: If a code does not fit.

    Example:
        >>> pack(np.array([1, 2, 3, 0]), 2).tolist()
        [57]
    """
    flat = _checked(codes, bits, 2**bits)
    if bits == 8:
        return flat.astype(np.uint8)
    if bits == 16:
        return flat.astype("<u2").view(np.uint8)
    if bits in (1, 2, 4):
        per = 8 // bits
        cells = _filled(flat.astype(np.uint8), per)
        out = np.zeros(len(cells), dtype=np.uint8)
        for place in range(per):
            out |= cells[:, place] << np.uint8(place * bits)
        return out
    # Eight codes fill whole bytes, whatever the number of bits.
    cells = np.unpackbits(flat.astype("<u2").view(np.uint8).reshape(-1, 2), axis=1, count=bits, bitorder="little")
    return np.packbits(cells.reshape(-1), bitorder="little")


def unpack(packed: UInt8[ndarray, " bytes"], bits: int, count: int) -> Integer[ndarray, " count"]:
    """What `pack` was given.

    Args:
        packed: Its bytes.
        bits: As given to `pack`.
        count: How many codes.

    Returns:
        int32 codes.

    Raises:
        BadInput: If there are fewer or more bytes than that many codes take.

    Example:
        >>> unpack(np.array([57], dtype=np.uint8), 2, 4).tolist()
        [1, 2, 3, 0]
    """
    _checked(np.zeros(0, dtype=np.int64), bits, 2)
    _check_length(packed, -(-bits * count // 8), "unpack")
    if bits == 8:
        return packed.astype(np.int32)
    if bits == 16:
        return np.ascontiguousarray(packed).view("<u2").astype(np.int32)
    if bits in (1, 2, 4):
        places = np.arange(0, 8, bits, dtype=np.uint8)
        cells = (packed[:, None] >> places) & np.uint8(2**bits - 1)
        return cells.reshape(-1)[:count].astype(np.int32)
    raw = np.unpackbits(packed, count=bits * count, bitorder="little").reshape(count, bits)
    padded = np.packbits(np.pad(raw, ((0, 0), (0, 16 - bits))), axis=1, bitorder="little")
    return padded.reshape(-1).view("<u2").astype(np.int32)


def pack_digits(codes: Integer[ndarray, "..."], base: int = 3) -> UInt8[ndarray, " bytes"]:
    """Codes as digits, as many to a byte as fit: five to the base 3, which is 1.6 bits each, the first is the lowest.

    Args:
        codes: From 0 to ``base - 1``; flattened.
        base: 2 to 256.

    Raises:
        BadInput: If a code is no such digit.

    Example:
        >>> pack_digits(np.array([2, 0, 1, 0, 0, 1])).tolist()
        [11, 1]
    """
    per = _digits_per_byte(base)
    cells = _filled(_checked(codes, 8, base), per)
    packed: UInt8[ndarray, " bytes"] = (cells * base ** np.arange(per)).sum(1).astype(np.uint8)
    return packed


def unpack_digits(packed: UInt8[ndarray, " bytes"], count: int, base: int = 3) -> Integer[ndarray, " count"]:
    """What `pack_digits` was given.

    Args:
        packed: Its bytes.
        count: How many codes.
        base: As given to `pack_digits`.

    Returns:
        int32 codes.

    Raises:
        BadInput: If there are fewer or more bytes than that many codes take, or a byte that it never writes.
    """
    per = _digits_per_byte(base)
    _check_length(packed, -(-count // per), "unpack_digits")
    if packed.size and int(packed.max()) >= base**per:
        raise must(
            "bytes", "unpack_digits", f"below {base**per}", int(packed.max()), "Read the file again, it is broken"
        )
    cells = packed.astype(np.int32)[:, None] // base ** np.arange(per, dtype=np.int32) % base
    digits: Integer[ndarray, " count"] = cells.reshape(-1)[:count].astype(np.int32)
    return digits


def _digits_per_byte(base: int) -> int:
    if not 2 <= base <= 256:
        raise must("base", "pack_digits", "from 2 to 256", base, "3 is that of ternary weights")
    per = 1
    while base ** (per + 1) <= 256:
        per += 1
    return per


def _filled(flat: Integer[ndarray, " count"], per: int) -> Integer[ndarray, "cells per"]:
    return np.pad(flat, (0, -len(flat) % per)).reshape(-1, per)


def _checked(codes: Integer[ndarray, "..."], bits: int, kinds: int) -> Integer[ndarray, " count"]:
    if not 1 <= bits <= 16:
        raise must("bits", "pack", "from 1 to 16", bits, "Give the bits of the format")
    flat = np.asarray(codes).reshape(-1).astype(np.int64)
    if flat.size and not 0 <= int(flat.min()) <= int(flat.max()) < kinds:
        ends = (int(flat.min()), int(flat.max()))
        raise must("codes", "pack", f"from 0 to {kinds - 1}", ends, "Subtract the format's lowest code first")
    return flat


def _check_length(packed: UInt8[ndarray, " bytes"], length: int, of: str) -> None:
    if len(packed) != length:
        raise must("bytes", of, f"{length} for so many codes", len(packed), "Give the count that was packed")
