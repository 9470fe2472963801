"""Reading IDX files, and every way in which one can be wrong."""

import gzip
import hashlib
import struct

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attar.data.idx import read_idx
from attar.errors import CorruptFile


def idx(array: torch.Tensor, kind: int = 8) -> bytes:
    """The array as the bytes of an IDX file."""
    header = bytes([0, 0, kind, array.dim()]) + struct.pack(f">{array.dim()}I", *array.shape)
    return header + bytes(array.flatten().tolist())


PICTURES = torch.arange(24, dtype=torch.uint8).view(2, 3, 4)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(shape=st.lists(st.integers(0, 4), min_size=1, max_size=4), zipped=st.booleans())
def test_what_is_written_is_read(tmp_path, shape, zipped):
    size = int(torch.tensor(shape).prod())
    array = torch.arange(size, dtype=torch.uint8).view(shape)
    path = tmp_path / ("array.gz" if zipped else "array")
    path.write_bytes(gzip.compress(idx(array)) if zipped else idx(array))
    read = read_idx(path, dimensions=len(shape))
    assert read.dtype == torch.uint8 and torch.equal(read, array)


def test_the_digest_is_of_the_decompressed_content(tmp_path):
    sha256 = hashlib.sha256(idx(PICTURES)).hexdigest()
    for level in (1, 9):
        path = tmp_path / f"level-{level}.gz"
        path.write_bytes(gzip.compress(idx(PICTURES), compresslevel=level))
        assert torch.equal(read_idx(path, dimensions=3, sha256=sha256), PICTURES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"data must begin with two zero bytes; got b''\."),
        (b"\0\0\x08", r"data must begin with two zero bytes; got b'\\x00\\x00\\x08'\."),
        (b"GIF89a", r"data must begin with two zero bytes; got b'GIF8'\."),
        (idx(PICTURES, kind=13), r"data must hold unsigned bytes \(type 8\) with 3 axes; got type 13 with 3 axes\."),
        (idx(PICTURES.flatten()), r"data must hold unsigned bytes \(type 8\) with 3 axes; got type 8 with 1 axes\."),
        (idx(PICTURES)[:10], r"data must have 16 bytes of header; got 10 bytes\."),
        (idx(PICTURES)[:-1], r"data must have 40 bytes for its shape \[2, 3, 4\]; got 39\."),
        (idx(PICTURES) + b"!", r"data must have 40 bytes for its shape \[2, 3, 4\]; got 41\."),
    ],
)
def test_wrong_content_is_named(tmp_path, content, message):
    (tmp_path / "data").write_bytes(content)
    with pytest.raises(CorruptFile, match=f"^{message} Delete the file and get it again: .*data$"):
        read_idx(tmp_path / "data", dimensions=3)


def test_another_digest_is_named(tmp_path):
    (tmp_path / "data").write_bytes(idx(PICTURES))
    with pytest.raises(CorruptFile, match=r"^data must have the published content; got another SHA-256 digest\."):
        read_idx(tmp_path / "data", dimensions=3, sha256="0" * 64)


@pytest.mark.parametrize("damage", ["truncated", "altered", "not gzip"])
def test_a_damaged_gzip_file_is_named(tmp_path, damage):
    content = bytearray(gzip.compress(idx(PICTURES)))
    if damage == "truncated":
        del content[-12:]
    elif damage == "altered":
        content[-5] ^= 255
    else:
        content[:2] = b"PK"
    (tmp_path / "data.gz").write_bytes(content)
    with pytest.raises(
        CorruptFile, match=r"^data\.gz must be a whole gzip file; got: .*Delete the file and get it again"
    ):
        read_idx(tmp_path / "data.gz", dimensions=3)
