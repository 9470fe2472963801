"""The pixels of a folder of images on disk, decoded once and mapped into memory.

The cache of a folder is a file of bytes ``[images, channels, height, width]`` in an order of its own, and the places of
its rows in the listing. It appears complete or not at all: a killed process leaves nothing that counts, and the next
one decodes anew. Other images, sizes or orders have another cache; those of images that have changed go when one of the
changed images is made.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from attar.data.download import cache_folder
from attar.data.image_files import Fault, Header, UnusableImage, decoding, header, pixels
from attar.data.image_listing import Listing
from attar.data.limits import printable
from attar.errors import BadInput, CorruptFile
from attar.formatting import grouped, size
from attar.training.progress import Progress
from attar.workspace import locked, new_folder, sweep

T = TypeVar("T")

_VERSION = 1
"""Of the way in which pixels are made of files: another one has other caches."""

_PIXELS, _ROWS = "images.npy", "rows.npy"

_BLOCK_BYTES = 1 << 24
"""Pixels that are decoded before they are written, about."""

_THREADS = 4
"""That decode at once, at most."""

_WORTH_THREADS = 1 << 16
"""Pixels of an image from which on threads decode faster than one does."""

_AT_ONCE = 4096
"""Files that wait for a thread, at most."""

_SHOWN = 3
"""Images of one kind that an error names, at most."""

_NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)
"""The memory for changes that nobody makes is not counted: the file may be larger than the memory."""


@dataclass(frozen=True)
class Wanted:
    """What the pixels shall be like.

    Attributes:
        size: Height and width; None for that of the images, which must be one.
        channels: 1 for grey and 3 for colors; None for colors where any image has some.
    """

    size: tuple[int, int] | None
    channels: int | None

    def digest(self) -> str:
        """Of other wishes it is another."""
        return hashlib.sha256(f"{_VERSION} {self.size} {self.channels}".encode()).hexdigest()


def mapped_images(listing: Listing, wanted: Wanted, order: NDArray[np.int64], progress: Progress) -> NDArray[np.uint8]:
    """The pixels of all images, ``[images, channels, height, width]``, mapped from the cache, which is made if need be.

    Changes of the array are its own, and do not reach the file.

    Args:
        listing: Which images.
        wanted: What their pixels shall be like.
        order: ``[images]`` places in the listing, in the order of the rows.
        progress: Told the images as they are read.

    Raises:
        BadInput: If the images are of several sizes, or do not go onto the disk.
        CorruptFile: If some cannot be used.
        MissingExtra: If Pillow is not installed.
    """
    called = re.sub(r"[^A-Za-z0-9_-]+", "-", listing.folder.resolve().name)[:40]
    place = hashlib.sha256(os.fsencode(listing.folder.resolve())).hexdigest()[:16]
    home = cache_folder() / "images" / f"{called}-{place}"
    images = listing.digest()[:16]
    pixels_key = f"{images}-{wanted.digest()[:8]}"
    entry = home / f"{pixels_key}-{hashlib.sha256(order.tobytes()).hexdigest()[:16]}"
    if (found := _opened(entry, len(order))) is not None:
        return found
    try:
        with locked(home, lambda: _waiting(progress, home)):
            if (found := _opened(entry, len(order))) is not None:
                return found
            sweep(home, deep=False)
            there = [one for one in home.iterdir() if one.name.startswith(images)]
            others = [one for one in there if one.name.startswith(f"{pixels_key}-") and one != entry]
            with new_folder(entry) as unfinished:
                np.save(unfinished / _ROWS, order)
                with (unfinished / _PIXELS).open("wb") as file:
                    if not any(_reordered(other, order, file) for other in others):
                        _decoded(listing, wanted, order, file, progress)
            # Another order can be had from this one, and who has mapped what goes keeps it.
            sweep(home, all_but={entry.name} | {one.name for one in there if one not in others}, deep=False)
            found = _opened(entry, len(order))
    except OSError as error:
        raise BadInput(
            f"The pixels of {str(listing.folder)!r} cannot be kept in {printable(home)!r} ({error.strerror}). Make "
            "room there, or set XDG_CACHE_HOME to another folder."
        ) from error
    assert found is not None, "it was written while nobody else could"
    return found


def _waiting(progress: Progress, home: Path) -> AbstractContextManager[Callable[[int], None]]:
    return progress(f"wait for another process that reads {home.name.rpartition('-')[0]}", 1)


def _opened(entry: Path, count: int) -> NDArray[np.uint8] | None:
    """What a cache holds, mapped; None if it is not there, or damaged."""
    try:
        about = np.load(entry / _PIXELS, mmap_mode="r", allow_pickle=False)
        if about.dtype != np.uint8 or about.ndim != 4 or about.shape[0] != count:
            return None
        with (entry / _PIXELS).open("rb") as file:
            memory = mmap.mmap(
                file.fileno(), 0, flags=mmap.MAP_PRIVATE | _NO_RESERVE, prot=mmap.PROT_READ | mmap.PROT_WRITE
            )
        return np.ndarray(about.shape, np.uint8, buffer=memory, offset=about.offset)
    except (OSError, ValueError, EOFError):
        return None


def _reordered(other: Path, order: NDArray[np.int64], file: BinaryIO) -> bool:
    """Write the rows of a cache of the same images in another order; False if it is damaged."""
    source = _opened(other, len(order))
    try:
        rows = np.load(other / _ROWS, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    if source is None or not np.array_equal(np.sort(rows), np.arange(len(order))):
        return False
    places = np.empty_like(order)
    places[rows] = np.arange(len(order))
    _begin(file, source.shape)
    for block in _blocks(len(order), source[0].nbytes):
        file.write(source[places[order[block]]].tobytes())
    return True


def _decoded(listing: Listing, wanted: Wanted, order: NDArray[np.int64], file: BinaryIO, progress: Progress) -> None:
    """Write the images as they are decoded."""
    names = [image.path for image in listing.images]
    paths = [os.path.join(listing.folder, name) for name in names]  # noqa: PTH118  # a hundred thousand of them
    shown = printable(listing.folder)
    with decoding():
        with progress(f"look at {grouped(len(paths))} images", len(paths)) as advance:
            headers = _each(map, header, paths, advance)
        _refuse_unusable(shown, names, headers)
        usable = [one for one in headers if isinstance(one, Header)]
        height, width = wanted.size or _only_size(shown, names, usable)
        channels = wanted.channels or (1 if all(one.grey for one in usable) else 3)
        shape = (len(paths), channels, height, width)
        total, free = int(np.prod(shape, dtype=np.int64)), shutil.disk_usage(Path(file.name).parent).free
        if total > free:
            raise BadInput(
                f"The {grouped(len(paths))} images of {shown!r} would take {size(total)} at {height} x {width} pixels, "
                f"and {size(free)} are free in {str(cache_folder())!r}. Set data.size to fewer pixels, or "
                "XDG_CACHE_HOME to another folder."
            )
        _begin(file, shape)
        faults: dict[int, Fault] = {}
        with (
            ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool,
            progress(f"read {grouped(len(paths))} images", len(paths)) as advance,
        ):
            # Of small images most of the work is Python's, which one thread at a time does.
            large = max(one.height * one.width for one in usable) >= _WORTH_THREADS
            for block in _blocks(len(paths), channels * height * width):
                places = order[block].tolist()
                decoded = _each(
                    pool.map if large else map,
                    lambda path: pixels(path, (height, width), channels),
                    [paths[one] for one in places],
                    advance,
                )
                for place, one in zip(places, decoded, strict=True):
                    if isinstance(one, Fault):
                        faults[place] = one
                    elif not faults:
                        file.write(one.tobytes())
        _refuse_unusable(shown, names, [faults.get(place) for place in range(len(names))])


def _each(
    mapping: Callable[[Callable[[str], T | Fault], Sequence[str]], Iterable[T | Fault]],
    read: Callable[[str], T],
    paths: Sequence[str],
    advance: Callable[[int], None],
) -> list[T | Fault]:
    """What is read of each file, or why it cannot be used; ``mapping`` may be that of a pool of threads."""

    def attempt(path: str) -> T | Fault:
        try:
            return read(path)
        except UnusableImage as error:
            return error.fault

    found: list[T | Fault] = []
    for start in range(0, len(paths), _AT_ONCE):
        for one in mapping(attempt, paths[start : start + _AT_ONCE]):
            found.append(one)
            advance(1)
    return found


def _begin(file: BinaryIO, shape: Sequence[int]) -> None:
    np.lib.format.write_array_header_1_0(
        file, {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": tuple(shape)}
    )


def _blocks(count: int, row_bytes: int) -> Iterator[slice]:
    """Rows that are worked on at once."""
    step = max(1, _BLOCK_BYTES // row_bytes)
    return (slice(start, start + step) for start in range(0, count, step))


def _refuse_unusable(folder: str, names: Sequence[str], found: Sequence[object]) -> None:
    """Raise where some images cannot be used, with the first of each kind and what to do."""
    kinds: dict[Fault, list[str]] = {}
    for name, one in zip(names, found, strict=True):
        if isinstance(one, Fault):
            kinds.setdefault(one, []).append(name)
    if not kinds:
        return
    total = sum(map(len, kinds.values()))
    each = []
    for fault, its in kinds.items():
        first = ", ".join(f"'{printable(name)}'" for name in its[:_SHOWN])
        more = f" and {grouped(len(its) - _SHOWN)} more" if len(its) > _SHOWN else ""
        each.append(f"{first}{more}: it {fault}" if len(its) == 1 else f"{first}{more}: each {fault}")
    remedies = ". ".join(fault.remedy for fault in kinds)
    kind = CorruptFile if Fault.UNREADABLE in kinds else BadInput
    raise kind(
        f"{grouped(total)} of the {grouped(len(names))} images of {folder!r} cannot be used. "
        f"{'; '.join(each)}. {remedies}."
    )


def _only_size(folder: str, names: Sequence[str], headers: Sequence[Header]) -> tuple[int, int]:
    """Height and width of all images.

    Raises:
        BadInput: If they have several, with what to write.
    """
    sizes = Counter((one.height, one.width) for one in headers)
    if len(sizes) == 1:
        return next(iter(sizes))
    first = {(one.height, one.width): name for one, name in zip(reversed(headers), reversed(names), strict=True)}
    shown = "; ".join(
        f"{height} x {width} ({grouped(count)}, such as '{printable(first[height, width])}')"
        for (height, width), count in sizes.most_common(_SHOWN)
    )
    more = f"; and {grouped(len(sizes) - _SHOWN)} other sizes" if len(sizes) > _SHOWN else ""
    (height, width), count = sizes.most_common(1)[0]
    if 2 * count < len(headers):
        height, width = (int(np.median([getattr(one, side) for one in headers])) for side in ("height", "width"))
    raise BadInput(
        f"The images of {folder!r} must be of one size where data.size names none; got, height x width, {shown}{more}. "
        f"Write size = [{height}, {width}] below [data], or --set data.size=[{height},{width}], and all of them are "
        "stretched to it."
    )
