"""Entropy coding of whole numbers within a hundredth or so of their entropy: interleaved asymmetric numeral systems.

A word of a Huffman code has at least one bit, which costs a tenth and more where one code is likely, as zero is in
ternary weights. Here a code costs its share of a bit. Many states take turns, so that both directions are a few
operations on whole arrays for each thousandth of the codes, and the bytes are the same on every machine: there is
nothing but whole numbers in it.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int32, Integer, UInt8, UInt32
from numpy import ndarray

from attar.errors import CorruptFile, must
from attar.ops.packing import pack, unpack

LARGEST_ALPHABET = 4096
"""Codes of more kinds than this are not worth a table of their frequencies."""

_LOW = 1 << 16
"""States are from here to ``2**32 - 1``; below it they read a word of 16 bits."""

_STEPS = 1024
"""Codes of one state: each step takes the time of some operations on arrays of all states."""


def compress(codes: Integer[ndarray, "..."], kinds: int) -> UInt8[ndarray, " bytes"]:
    """Codes as few bytes, with the frequencies that they are read with.

    First come the frequencies, in as many bits as their precision needs, then the states (32 bits each) and the words
    that they read (16 bits each), lowest byte first. The last codes, as many as 16 bits hold for each state, are what
    the states are when all others have been read.

    Args:
        codes: From 0 to ``kinds - 1``; flattened.
        kinds: How many codes there are, at most `LARGEST_ALPHABET`.

    Raises:
        BadInput: If a code is outside, or there are too many kinds.

    Example:
        >>> few = compress(np.array([0, 0, 0, 1] * 1000), 2)
        >>> len(few) < 430, expand(few, 2, 4000)[:4].tolist()
        (True, [0, 0, 0, 1])

    References:
        Duda, *Asymmetric numeral systems*, 2013, arXiv:1311.2540. Giesen, *Interleaved entropy coders*, 2014,
        arXiv:1402.3392, section 2.
    """
    flat = np.asarray(codes).reshape(-1).astype(np.int64)
    if not 1 <= kinds <= LARGEST_ALPHABET:
        raise must("kinds", "compress", f"from 1 to {LARGEST_ALPHABET}", kinds, "Pack the bits of the codes instead")
    if flat.size and not 0 <= int(flat.min()) <= int(flat.max()) < kinds:
        ends = (int(flat.min()), int(flat.max()))
        raise must("codes", "compress", f"from 0 to {kinds - 1}", ends, "Subtract the format's lowest code first")
    precision, states, per, kept = _plan(kinds, len(flat))
    body, last = flat[: len(flat) - kept], flat[len(flat) - kept :]
    shares = _shares(np.bincount(body, minlength=kinds), precision)
    digits = np.zeros(states * per, dtype=np.int64)
    digits[:kept] = last
    state = _LOW + (digits.reshape(states, per) * kinds ** np.arange(per)).sum(1)
    words = _encoded(body, shares, precision, state)
    return np.concatenate(
        [
            pack(shares, precision + 1),
            state.astype("<u4").view(np.uint8),
            words.astype("<u2").view(np.uint8),
        ]
    )


def expand(packed: UInt8[ndarray, " bytes"], kinds: int, count: int) -> Integer[ndarray, " count"]:
    """What `compress` was given.

    Args:
        packed: Its bytes.
        kinds: As given to `compress`.
        count: How many codes.

    Returns:
        int32 codes.

    Raises:
        CorruptFile: If these are not the bytes of that many codes of so many kinds.
    """
    precision, states, per, kept = _plan(kinds, count)
    table = -(-kinds * (precision + 1) // 8)
    begin = table + 4 * states
    if len(packed) < begin or (len(packed) - begin) % 2:
        raise _broken("there are too few or too many")
    shares = unpack(packed[:table], precision + 1, kinds).astype(np.int64)
    if int(shares.sum()) != 1 << precision:
        raise _broken("their frequencies do not add up")
    state = np.frombuffer(packed[table:begin].tobytes(), dtype="<u4").astype(np.uint32)
    words = np.frombuffer(packed[begin:].tobytes(), dtype="<u2").astype(np.uint32)
    body = _decoded(words, state, shares, precision, count - kept)
    rest = state.astype(np.int64) - _LOW
    if int(rest.min()) < 0 or int(rest.max()) >= kinds**per:
        raise _broken("they do not end where they began")
    last = (rest[:, None] // kinds ** np.arange(per) % kinds).reshape(-1)
    return np.concatenate([body, last[:kept].astype(np.int32)])


def _plan(kinds: int, count: int) -> tuple[int, int, int, int]:
    """Bits of a frequency, number of states, last codes that each of them holds, and those of all."""
    precision = min(max((kinds - 1).bit_length() + 4, 12), 15)
    states = max(-(-count // _STEPS), 1)
    per = 1
    while kinds > 1 and kinds ** (per + 1) <= _LOW:
        per += 1
    return precision, states, per, min(states * per, count)


def _shares(counts: Integer[ndarray, " kinds"], precision: int) -> Integer[ndarray, " kinds"]:
    """Frequencies that add up to ``2**precision``, at least 1 of each code that occurs, nearly those of the counts."""
    whole, total = 1 << precision, int(counts.sum())
    if not total:
        counts, total = np.eye(1, len(counts), dtype=np.int64)[0], 1
    present = counts > 0
    shares = np.where(present, np.maximum(np.rint(counts * (whole / total)), 1), 0).astype(np.int64)
    # What is over or missing goes where it costs the fewest bits, one by one.
    while over := int(shares.sum()) - whole:
        move = -1 if over > 0 else 1
        able = present & (shares + move >= 1)
        cost = np.full(len(shares), np.inf)
        cost[able] = counts[able] * np.log2(shares[able] / (shares[able] + move))
        shares[int(cost.argmin())] += move
    return shares


def _encoded(
    body: Integer[ndarray, " count"],
    shares: Integer[ndarray, " kinds"],
    precision: int,
    state: Integer[ndarray, " states"],
) -> Integer[ndarray, " words"]:
    """Words in the order of reading; the states are moved to where reading begins, in place."""
    first = np.cumsum(shares) - shares
    written = [np.zeros(0, dtype=np.int64)]
    for begin in range((len(body) - 1) // len(state) * len(state), -1, -len(state)):
        codes = body[begin : begin + len(state)]
        active, share = state[: len(codes)], shares[codes]
        full = active >= share << (32 - precision)
        written.append(active[full] & 0xFFFF)
        active[full] >>= 16
        active[:] = ((active // share) << precision) + active % share + first[codes]
    return np.concatenate(written[::-1])


def _decoded(
    words: UInt32[ndarray, " words"],
    state: UInt32[ndarray, " states"],
    shares: Integer[ndarray, " kinds"],
    precision: int,
    count: int,
) -> Int32[ndarray, " count"]:
    """The codes; the states are moved to where writing began, in place."""
    kind_of = np.repeat(np.arange(len(shares), dtype=np.int32), shares)
    # How far a slot is inside its code's part of the table, and how long that part is.
    inside = (np.arange(1 << precision) - (np.cumsum(shares) - shares)[kind_of]).astype(np.uint32)
    share_of = shares[kind_of].astype(np.uint32)
    mask, shift, low, word = (np.uint32(each) for each in ((1 << precision) - 1, precision, _LOW, 16))
    out = np.empty(count, dtype=np.int32)
    at = 0
    for begin in range(0, count, len(state)):
        active = state[: count - begin]
        slots = active & mask
        out[begin : begin + len(active)] = kind_of[slots]
        active >>= shift
        active *= share_of[slots]
        active += inside[slots]
        hungry = np.flatnonzero(active < low)
        if len(hungry):
            read = words[at : at + len(hungry)]
            if len(read) < len(hungry):
                raise _broken("there are too few")
            active[hungry] = (active[hungry] << word) | read
            at += len(hungry)
    if at != len(words):
        raise _broken("there are too many")
    return out


def _broken(why: str) -> CorruptFile:
    return CorruptFile(f"the coded bytes are broken: {why}")
