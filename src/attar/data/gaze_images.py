"""Photographs of any size, and where people looked at them, as arrays of one size."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from attar.data.image_files import pillow
from attar.data.limits import printable
from attar.errors import CorruptFile

T = TypeVar("T")

SIZE = (48, 64)
"""Height and width of images and densities, where nobody says another."""

_FINER = 4
"""Of a JPEG no more is read than so many times the size that is wanted."""

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""Formats that are read, as Pillow calls them. PostScript it would run."""


@dataclass(frozen=True)
class Images:
    """Images of one split.

    Attributes:
        files: Where they lie.
        places: Where the fixations of an image lie, ``[n, 2]`` shares of height and width, by its number and its own
            height and width in pixels; outside of 0..1 where they are not on it.
    """

    files: Sequence[Path]
    places: Callable[[int, tuple[int, int]], NDArray[np.float64]]


def places_of(rows: NDArray[Any], columns: NDArray[Any], size: Sequence[int]) -> NDArray[np.float64]:
    """``[n, 2]`` shares of height and width, of the middles of pixels that are counted from 0.

    Example:
        >>> places_of(np.array([0]), np.array([3]), (2, 4))
        array([[0.25 , 0.875]])
    """
    pixels = np.stack([np.floor(np.asarray(one, np.float64)) for one in (rows, columns)], axis=1)
    found: NDArray[np.float64] = (pixels + 0.5) / np.asarray(size[:2], np.float64)
    return found


def read_images(
    images: Images, size: tuple[int, int], advance: Callable[[int], object]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images ``[n, 3, height, width]`` and how many fixations each pixel has, ``[n, height, width]``.

    Args:
        images: Which.
        size: Height and width.
        advance: Told each image that is read.

    Raises:
        CorruptFile: If a file is no image, or damaged.
        MissingExtra: If Pillow is not installed.
    """
    pixels = np.empty((len(images.files), 3, *size), np.uint8)
    counts = np.zeros((len(images.files), *size), np.int64)
    for number, path in enumerate(images.files):
        pixels[number], own = _scaled(path, size)
        places = images.places(number, own)
        on_it = places[((places >= 0) & (places < 1)).all(axis=1)]
        rows, columns = (on_it * size).astype(np.int64).T
        np.add.at(counts[number], (rows, columns), 1)
        advance(1)
    return pixels, counts


def gray(path: Path) -> NDArray[np.uint8]:
    """Brightness of an image, ``[height, width]``."""
    return _read(path, lambda opened: np.asarray(opened.convert("L")))


def _scaled(path: Path, size: tuple[int, int]) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """An image ``[3, height, width]``, and what its height and width were."""

    def read(opened: Any) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        own = (int(opened.height), int(opened.width))
        opened.draft("RGB", (_FINER * size[1], _FINER * size[0]))
        found = opened.convert("RGB").resize((size[1], size[0]), pillow("gaze", "Reading photographs").Resampling.BOX)
        return np.asarray(found).transpose(2, 0, 1), own

    return _read(path, read)


def _read(path: Path, read: Callable[[Any], T]) -> T:
    library = pillow("gaze", "Reading photographs")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", library.DecompressionBombWarning)  # larger than any photograph
            with library.open(path, formats=_FORMATS) as opened:
                return read(opened)
    except MemoryError:
        raise
    except Exception as error:  # damaged files make it raise anything
        raise CorruptFile(f"{printable(path)} cannot be read as an image. Get it again.") from error
