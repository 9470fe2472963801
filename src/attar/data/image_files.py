"""Single images: what a PNG or JPEG file holds, and its pixels as bytes of one size."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from enum import Enum
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.errors import missing_extra

FORMATS = ("PNG", "JPEG")
"""Formats that are read, as Pillow calls them."""

MOST_PIXELS = 89_478_485
"""Pixels of one image, at most: where Pillow suspects a small file that fills the memory."""

_LARGE = 1 << 24
"""Of images with more pixels than these one is decoded at a time."""

_ORIENTATION = 0x0112
"""The tag in which a camera says how it was held."""

_TURNED = (5, 6, 7, 8)
"""Orientations in which height and width change places."""

_SIXTEEN_BITS = 16

_FOREIGN = re.compile(rb"GIF8|BM|II\*\0|MM\0\*|RIFF....WEBP|\0\0\0.ftyp|P[1-6]\s", re.DOTALL)
"""How files of other formats begin: GIF, BMP, TIFF, WebP, AVIF and HEIC, and netpbm's."""

_alone = threading.Lock()


class Fault(Enum):
    """Why an image cannot be used: what is wrong with it, and what to do."""

    UNREADABLE = ("cannot be read as PNG or JPEG", "Get such files again, or remove them")
    FOREIGN = (
        "holds another format than PNG and JPEG, whatever its name says",
        "Convert such images, for instance with PIL.Image.open(...).convert('RGB').save('1.png')",
    )
    MISSING = ("cannot be opened", "Remove links that lead nowhere, and give yourself the right to read all files")
    DEEP = ("has 16 bits a channel, and 8 are read", "Save such images with 8 bits a channel")
    TRANSPARENT = (
        "has transparent pixels, and nothing says what is behind them",
        "Save such images on a background, without an alpha channel",
    )
    LARGE = (f"has more than {MOST_PIXELS:,} pixels", "Make such images smaller")
    ANIMATED = ("has several frames", "Save one frame of such images")

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return str(self.value[1])

    def __str__(self) -> str:
        return str(self.value[0])


class UnusableImage(Exception):
    """An image that cannot be used."""

    def __init__(self, fault: Fault) -> None:
        """Say why."""
        super().__init__(str(fault))
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of an image before it is decoded.

    Attributes:
        height: Of the image as it is looked at, in pixels.
        width: Likewise.
        grey: Whether it has no colors.
    """

    height: int
    width: int
    grey: bool


def pillow(extra: str, purpose: str) -> ModuleType:
    """Pillow's module ``Image``.

    Args:
        extra: Which of Attar's extras brings it.
        purpose: What it is needed for, as the subject of a sentence.

    Raises:
        MissingExtra: If it is not installed.
    """
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise missing_extra("pillow", extra, purpose) from error
    return Image


@contextmanager
def decoding() -> Iterator[None]:
    """Within it images may be read by several threads: what Pillow warns of is silent, or an error.

    The filters of warnings belong to the process, so that a thread must not change them.
    """
    image = pillow("images", "Reading a folder of images")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", image.DecompressionBombWarning)
        yield


def header(path: str) -> Header:
    """What an image holds, without its pixels. Only within `decoding`.

    Raises:
        UnusableImage: If it cannot be used.
    """
    with _opened(path) as image:
        height, width = int(image.height), int(image.width)
        if _orientation(image) in _TURNED:
            height, width = width, height
        return Header(height, width, image.mode in ("1", "L", "LA"))


def pixels(path: str, size: tuple[int, int], channels: int) -> NDArray[np.uint8]:
    """An image as ``[channels, height, width]`` bytes. Only within `decoding`.

    It is turned as the camera says, its colors become red, green and blue or its brightness alone, and it is stretched
    by linear interpolation, over all pixels of the image where it becomes smaller.

    Args:
        path: The file.
        size: Height and width.
        channels: 1 for grey, 3 for colors.

    Raises:
        UnusableImage: If it cannot be used.
    """
    library = pillow("images", "Reading a folder of images")
    with _opened(path) as image, _alone if image.height * image.width > _LARGE else nullcontext():
        if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
            lowest, _ = image.convert("RGBA").getchannel("A").getextrema()
            if lowest < 255:
                raise UnusableImage(Fault.TRANSPARENT)
        turned = _upright(library, image, _orientation(image)).convert("L" if channels == 1 else "RGB")
        if turned.size != (size[1], size[0]):
            turned = turned.resize((size[1], size[0]), library.Resampling.BILINEAR)
        found: NDArray[np.uint8] = np.asarray(turned, np.uint8).reshape(*size, channels)
        return found.transpose(2, 0, 1)


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    """An image whose header was read.

    Raises:
        UnusableImage: If it cannot be used; also for what is raised within.
    """
    library = pillow("images", "Reading a folder of images")
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # a name of bytes that are no text stays one
            beginning = file.read(26)
            if beginning.startswith(b"\x89PNG") and beginning[24:25] == bytes([_SIXTEEN_BITS]):
                raise UnusableImage(Fault.DEEP)
            if _FOREIGN.match(beginning):
                raise UnusableImage(Fault.FOREIGN)
            file.seek(0)
            with library.open(file, formats=FORMATS) as image:
                if image.height * image.width > MOST_PIXELS:
                    raise UnusableImage(Fault.LARGE)
                if image.format == "PNG" and getattr(image, "is_animated", False):
                    raise UnusableImage(Fault.ANIMATED)
                yield image
    except (UnusableImage, MemoryError):
        raise
    except (library.DecompressionBombWarning, library.DecompressionBombError) as error:
        raise UnusableImage(Fault.LARGE) from error
    except (FileNotFoundError, PermissionError) as error:
        raise UnusableImage(Fault.MISSING) from error
    except Exception as error:  # damaged files make it raise anything
        raise UnusableImage(Fault.UNREADABLE) from error


def _orientation(image: Any) -> int:
    """How the camera was held, 1 to 8; 1 where nothing says so before the pixels.

    To look for it behind them would decode the image.
    """
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    found = image.getexif().get(_ORIENTATION, 1)
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _upright(library: Any, image: Any, orientation: int) -> Any:
    """An image as it is looked at."""
    turns = library.Transpose
    turn = {
        2: turns.FLIP_LEFT_RIGHT,
        3: turns.ROTATE_180,
        4: turns.FLIP_TOP_BOTTOM,
        5: turns.TRANSPOSE,
        6: turns.ROTATE_270,
        7: turns.TRANSVERSE,
        8: turns.ROTATE_90,
    }.get(orientation)
    return image if turn is None else image.transpose(turn)
