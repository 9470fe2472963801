"""Entropy coding of whole numbers within a hundredth or so of their entropy: interleaved asymmetric numeral systems.

A word of a Huffman code has at least one bit, which costs a tenth and more where one code is likely, as zero is in
ternary weights. Here a code costs its share of a bit. Many states take turns, so that both directions are a few
operations on whole arrays for each thousandth of the codes, and the bytes are the same on every machine: there is
nothing but whole numbers in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, Integer, UInt8, UInt32
from numpy import ndarray

from attar.errors import CorruptFile, must
from attar.ops.packing import pack, unpack

LARGEST_ALPHABET = 4096
"""Codes of more kinds than this are not worth a table of their frequencies."""

_LOW = 1 << 16
"""States are from here to ``2**32 - 1``; below it they read a word of 16 bits."""

_WORD = np.uint32(16)

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
    precision, states, per, in_states = _plan(kinds, len(flat))
    body, last = flat[: len(flat) - in_states], flat[len(flat) - in_states :]
    shares = _shares(np.bincount(body, minlength=kinds), precision)
    digits = np.zeros(states * per, dtype=np.int64)
    digits[:in_states] = last
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
    (codes,) = expand_all([(packed, kinds, count)])
    return codes


def expand_all(
    coded: Sequence[tuple[UInt8[ndarray, " _"], int, int]],
) -> list[Integer[ndarray, " _"]]:
    """The same for many at once: their states take their turns together, so that each does not cost a thousand steps.

    Args:
        coded: Bytes, kinds and count of each, as `expand` takes them.

    Raises:
        CorruptFile: Likewise.
    """
    streams = [_read(*each) for each in coded]
    if not streams:
        return []
    bodies = _decoded(streams)
    return [_ended(stream, body) for stream, body in zip(streams, bodies, strict=True)]


@dataclass(frozen=True)
class _Stream:
    """What `compress` wrote, taken apart."""

    kinds: int
    precision: int
    per: int
    in_states: int
    length: int  # Of what is read from words.
    shares: Integer[ndarray, " kinds"]
    state: UInt32[ndarray, " states"]
    words: UInt32[ndarray, " words"]


def _read(packed: UInt8[ndarray, " bytes"], kinds: int, count: int) -> _Stream:
    precision, states, per, in_states = _plan(kinds, count)
    table = -(-kinds * (precision + 1) // 8)
    begin = table + 4 * states
    if len(packed) < begin or (len(packed) - begin) % 2:
        raise _broken("there are too few or too many")
    shares = unpack(packed[:table], precision + 1, kinds).astype(np.int64)
    if int(shares.sum()) != 1 << precision:
        raise _broken("their frequencies do not add up")
    state = np.frombuffer(packed[table:begin].tobytes(), dtype="<u4").astype(np.uint32)
    words = np.frombuffer(packed[begin:].tobytes(), dtype="<u2").astype(np.uint32)
    return _Stream(kinds, precision, per, in_states, count - in_states, shares, state, words)


def _ended(stream: _Stream, body: Int32[ndarray, " length"]) -> Int32[ndarray, " count"]:
    """With the last codes, which are what the states have become."""
    rest = stream.state.astype(np.int64) - _LOW
    if int(rest.min()) < 0 or int(rest.max()) >= stream.kinds**stream.per:
        raise _broken("they do not end where they began")
    last = (rest[:, None] // stream.kinds ** np.arange(stream.per) % stream.kinds).reshape(-1)
    return np.concatenate([body, last[: stream.in_states].astype(np.int32)])


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
    total_shares, total = 1 << precision, int(counts.sum())
    if not total:
        counts, total = np.eye(1, len(counts), dtype=np.int64)[0], 1
    present = counts > 0
    shares = np.where(present, np.maximum(np.rint(counts * (total_shares / total)), 1), 0).astype(np.int64)
    # What is over or missing goes where it costs the fewest bits, one by one.
    while over := int(shares.sum()) - total_shares:
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


def _decoded(streams: Sequence[_Stream]) -> list[Int32[ndarray, " _"]]:
    """The codes of each; its states are moved to where writing began, in place."""
    kinds, inside, share_of = (np.concatenate(each) for each in zip(*map(_slots, streams), strict=True))
    first_slot = _before(np.array([1 << each.precision for each in streams]))
    lengths = np.array([len(each.words) for each in streams])
    at = _before(lengths)
    end = at + lengths
    words = np.concatenate([*(each.words for each in streams), np.zeros(1, dtype=np.uint32)])
    out = [np.empty(each.length, dtype=np.int32) for each in streams]
    for begin, stop, lanes in _phases(streams):
        # All states that take part, one stream behind the other, and of each what its stream has.
        stream = np.repeat(np.arange(len(streams)), lanes)
        active = np.concatenate([each.state[:many] for each, many in zip(streams, lanes, strict=True)])
        shift = np.array([each.precision for each in streams], dtype=np.uint32)[stream]
        mask = (np.uint32(1) << shift) - np.uint32(1)
        offset = first_slot[stream]
        codes = np.empty((stop - begin, len(active)), dtype=np.int32)
        for row in codes:
            slots = (active & mask) + offset
            row[:] = kinds[slots]
            active >>= shift
            active *= share_of[slots]
            active += inside[slots]
            hungry = np.flatnonzero(active < _LOW)
            if len(hungry):
                # The hungry states of a stream read its next words, in their order. Where there are none left,
                # anything is read: what was read is counted below.
                whose = stream[hungry]
                many = np.bincount(whose, minlength=len(streams))
                places = (at - np.cumsum(many) + many)[whose] + np.arange(len(hungry))
                active[hungry] = (active[hungry] << _WORD) | words.take(places, mode="clip")
                at += many
        columns = np.cumsum(lanes)
        for each, numbers, many, right in zip(streams, out, lanes, columns, strict=True):
            each.state[:many] = active[right - many : right]
            place = begin * len(each.state)
            numbers[place : place + many * len(codes)] = codes[:, right - many : right].reshape(-1)
    if np.any(at > end):
        raise _broken("there are too few")
    if np.any(at < end):
        raise _broken("there are too many")
    return out


def _slots(stream: _Stream) -> tuple[Int32[ndarray, " slots"], UInt32[ndarray, " slots"], UInt32[ndarray, " slots"]]:
    """Of each slot of a stream's table: the code, how far it is inside its code's part, how long that part is."""
    kind_of = np.repeat(np.arange(stream.kinds, dtype=np.int32), stream.shares)
    inside = np.arange(len(kind_of)) - _before(stream.shares)[kind_of]
    return kind_of, inside.astype(np.uint32), stream.shares[kind_of].astype(np.uint32)


def _phases(streams: Sequence[_Stream]) -> Iterator[tuple[int, int, Integer[ndarray, " streams"]]]:
    """Steps from and to which the same states take part, and how many of each stream these are.

    A stream's last step may be one of its first states alone.
    """
    states = np.array([len(each.state) for each in streams])
    longest, rest = np.divmod(np.array([each.length for each in streams]), states)
    ends = np.unique(np.concatenate([longest, longest + (rest > 0)]))
    begin = 0
    for stop in ends[ends > 0].tolist():
        yield begin, stop, np.where(begin < longest, states, np.where(begin == longest, rest, 0))
        begin = stop


def _before(sizes: Integer[ndarray, " sizes"]) -> Integer[ndarray, " sizes"]:
    """Where each part begins if they stand one behind the other."""
    begin: Integer[ndarray, " sizes"] = np.cumsum(sizes) - sizes
    return begin


def _broken(why: str) -> CorruptFile:
    return CorruptFile(f"the coded bytes are broken: {why}")
