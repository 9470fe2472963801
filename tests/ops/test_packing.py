"""Codes as bytes and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.errors import BadInput
from attar.ops.packing import pack, pack_digits, unpack, unpack_digits

QUICK = settings(deadline=None, max_examples=30)


@pytest.mark.parametrize("bits", range(1, 17))
@QUICK
@given(count=st.integers(0, 70), seed=st.integers(0, 2**31))
def test_codes_come_back(bits, count, seed):
    codes = np.random.default_rng(seed).integers(0, 2**bits, size=count)
    packed = pack(codes, bits)
    assert packed.dtype == np.uint8 and len(packed) == -(-count * bits // 8)
    assert np.array_equal(unpack(packed, bits, count), codes)


@pytest.mark.parametrize("bits", range(1, 17))
def test_bits_lie_where_it_says(bits):
    codes = np.random.default_rng(0).integers(0, 2**bits, size=13)
    packed = pack(codes, bits)
    whole = int.from_bytes(packed.tobytes(), "little")
    assert [whole >> (j * bits) & (2**bits - 1) for j in range(13)] == codes.tolist()
    assert whole >> (13 * bits) == 0


@pytest.mark.parametrize("base", [2, 3, 5, 6, 7, 16, 17, 256])
@QUICK
@given(count=st.integers(0, 40), seed=st.integers(0, 2**31))
def test_digits_come_back(base, count, seed):
    codes = np.random.default_rng(seed).integers(0, base, size=count)
    packed = pack_digits(codes, base)
    assert np.array_equal(unpack_digits(packed, count, base), codes)


def test_five_ternary_codes_fit_into_a_byte():
    assert pack_digits(np.full(5, 2)).tolist() == [242]
    assert len(pack_digits(np.zeros(1001, dtype=np.int64))) == 201


def test_what_does_not_fit_is_refused():
    for codes in ([4], [-1]):
        with pytest.raises(BadInput, match="codes of pack must be from 0 to 3"):
            pack(np.array(codes), 2)
    with pytest.raises(BadInput, match="codes of pack must be from 0 to 2"):
        pack_digits(np.array([3]))
    with pytest.raises(BadInput, match="bits of pack must be from 1 to 16; got 17"):
        pack(np.array([0]), 17)
    with pytest.raises(BadInput, match="base of pack_digits"):
        pack_digits(np.array([0]), 1)
    with pytest.raises(BadInput, match="bytes of unpack must be 3 for so many codes; got 2"):
        unpack(np.zeros(2, dtype=np.uint8), 4, 5)
    with pytest.raises(BadInput, match="bytes of unpack_digits must be 2"):
        unpack_digits(np.zeros(1, dtype=np.uint8), 6)
    with pytest.raises(BadInput, match="bytes of unpack_digits must be below 243; got 250"):
        unpack_digits(np.array([250], dtype=np.uint8), 5)
