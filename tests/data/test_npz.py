"""Archives that say something else of themselves than they are."""

from __future__ import annotations

import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from attar.data.files import load_npz
from attar.data.npz import read_npz
from attar.errors import BadInput, CorruptFile


def described(shape: str, descr: str = "'<f4'", length: int | None = None) -> bytes:
    """The beginning of an array of NumPy."""
    head = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(head) if length is None else length) + head


def archive(folder: Path, **members: bytes) -> Path:
    """An archive with these members."""
    with zipfile.ZipFile(folder / "mine.npz", "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return folder / "mine.npz"


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_what_is_written_is_read(tmp_path: Path, write: object):
    arrays = {
        "x": np.arange(12, dtype=">f8").reshape(3, 4),
        "order": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
        "names": np.array(["red", "größe"]),
        "none": np.zeros((0, 3)),
        "single": np.array(3),
        "logical": np.array([True, False]),
    }
    write(tmp_path / "mine.npz", **arrays)  # type: ignore[operator]
    read = read_npz(tmp_path / "mine.npz")
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype and np.array_equal(read[name], array) and read[name].flags.writeable


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (described("(1000000, 1000000)") + b"\0" * 100, "the size that they say; got 100 bytes for"),
        (described("(25,)") + b"\0" * 99, "the size that they say; got 99 bytes"),
        (described("(-1,)"), "of whole sizes"),
        (described("(10**6, 10**6)"), "a whole .npz archive"),
        (described("(1,)", "'|O'") + b"abc", "without Python objects; got some in 'x'"),
        (described("(1,)", "[('a', '<f4')]") + b"abcd", "of numbers or strings"),
        (described("(1,)", "'<m8'") + b"\0" * 8, "of numbers or strings; got timedelta64 in 'x'"),
        (described("(1,)", length=60000), "described in at most 10000 bytes"),
        (b"\x93NUMPY\x01\0" + struct.pack("<H", 9000) + b"(" * 9000, "a whole .npz archive"),
        (b"\x93NUMPY\x01\0" + struct.pack("<H", 9000) + b"-" * 9000, "a whole .npz archive"),
        (b"\x93NUMPY\x09\0", "arrays of NumPy"),
        (b"", "arrays of NumPy"),
        (b"__import__('os').abort()", "arrays of NumPy"),
    ],
)
def test_damaged_arrays(tmp_path: Path, content: bytes, message: str):
    with pytest.raises(CorruptFile, match=rf"^mine\.npz must be .*{message}.*Write it again with numpy\.savez"):
        read_npz(archive(tmp_path, x=content))


def test_what_inflates_beyond_what_is_allowed(tmp_path: Path):
    path = archive(tmp_path, x=described("(4000000,)") + b"\0" * 16_000_000, y=b"")
    tracemalloc.start()
    with pytest.raises(
        BadInput, match=r"^The arrays of mine\.npz take 16,000,\d+ bytes in memory, and 1,000,000 are allowed"
    ):
        load_npz(path, max_bytes=1_000_000)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_a_member_that_says_more_than_it_can_inflate_to(tmp_path: Path):
    path = archive(tmp_path, x=described("(25,)") + b"\0" * 100)
    content = path.read_bytes()
    size = struct.pack("<I", len(described("(25,)")) + 100)
    path.write_bytes(content.replace(size, struct.pack("<I", 4_000_000_000)))
    with pytest.raises(
        CorruptFile, match=r"^mine\.npz must be possible for a file of .*; got 4,000,000,000 bytes in 'x"
    ):
        read_npz(path, max_bytes=10**12)


@pytest.mark.parametrize("count", [1001, 10**9])
def test_many_members(tmp_path: Path, count: int):
    path = tmp_path / "mine.npz"
    if count == 10**9:  # said by the last record of the archive alone
        path.write_bytes(
            b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, 46 * count, 0)
            + b"PK\x06\x07" + struct.pack("<IQI", 0, 0, 1)
            + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
        )  # fmt: skip
    else:
        archive(tmp_path, **{f"a{place}": b"" for place in range(count)})
    with pytest.raises(CorruptFile, match=r"^mine\.npz must be"):
        read_npz(path)


def test_two_members_of_one_name(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "mine.npz", "w") as file, pytest.warns(UserWarning, match="Duplicate"):
        for _ in range(2):
            file.writestr("x.npy", described("(0,)"))
    with pytest.raises(CorruptFile, match=r"^mine\.npz must be arrays of different names; got 'x\.npy' twice"):
        read_npz(tmp_path / "mine.npz")
