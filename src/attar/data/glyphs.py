"""Korean syllables in many typefaces: a task of many classes that are easily taken for each other.

Nothing is downloaded: the fonts are those of Debian packages, and the pictures are drawn by Pillow. No family of
typefaces is in two parts, so that validation and test ask about typefaces that were never seen. Of designs that are
nearly the same one is taken: D2Coding, for instance, is left out for its likeness to NanumBarunGothic.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from attar.data.split import Dataset, Split
from attar.errors import BadInput, Words, missing_extra, must
from attar.tasks.classification import Classification

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

SIDE = 16
"""Height and width of a picture in pixels."""

_FINE = 2
"""How many times finer the pictures are drawn than they are kept."""

_ROOM = 28
"""Fine pixels that the tallest or widest syllable of a font fills."""

_INITIALS = (0, 2, 3, 5, 6, 7, 9, 11, 12, 14, 15, 16, 17, 18)
_VOWELS = (0, 4, 8, 13, 18, 20)
_FINALS = (0, 1, 4, 8, 16, 17, 19)
"""The plain consonants, the vowels a eo o u eu i, and no final consonant or g n l m b s: Unicode's numbers of them."""

DEBIAN = Path("/usr/share/fonts/truetype")
"""Where Debian's packages put the fonts."""

PACKAGES: Mapping[str, str] = {
    "alee": "fonts-alee",
    "baekmuk": "fonts-baekmuk",
    "lexi/LexiGulim.ttf": "fonts-lexi-gulim",
    "lexi/LexiSaebomR.ttf": "fonts-lexi-saebom",
    "nanum": "fonts-nanum",
    "nanum/NanumBrush": "fonts-nanum-extra",
    "nanum/NanumPen": "fonts-nanum-extra",
    "nanum/NanumBarunpen": "fonts-nanum-extra",
    "unfonts-core": "fonts-unfonts-core",
    "unfonts-extra": "fonts-unfonts-extra",
    "woowa-bm": "fonts-woowa-bm",
}
"""The Debian package of each font, by how its path begins; the longest beginning counts."""

TRAIN = (
    "alee/Bangwool.ttf",
    "baekmuk/hline.ttf",
    "lexi/LexiGulim.ttf",
    "nanum/NanumBarunGothic.ttf",
    "nanum/NanumBrush.ttf",
    "nanum/NanumMyeongjo.ttf",
    "nanum/NanumSquareR.ttf",
    "unfonts-core/UnDotumBold.ttf",
    "unfonts-core/UnPilgi.ttf",
    "unfonts-extra/UnPenheulim.ttf",
    "unfonts-extra/UnVada.ttf",
    "woowa-bm/BMDOHYEON_ttf.ttf",
)
VALIDATION = (
    "alee/Bandal.ttf",
    "baekmuk/gulim.ttf",
    "nanum/NanumBarunpenR.ttf",
    "nanum/NanumGothic.ttf",
    "unfonts-core/UnGraphic.ttf",
    "unfonts-extra/UnShinmun.ttf",
    "unfonts-extra/UnYetgul.ttf",
    "woowa-bm/BMHANNAPro.ttf",
    "woowa-bm/BMYEONSUNG_ttf.ttf",
)
TEST = (
    "alee/Eunjin.ttf",
    "alee/Guseul.ttf",
    "baekmuk/batang.ttf",
    "baekmuk/dotum.ttf",
    "lexi/LexiSaebomR.ttf",
    "nanum/NanumPen.ttf",
    "unfonts-core/UnBatang.ttf",
    "unfonts-core/UnDinaru.ttf",
    "unfonts-core/UnGungseo.ttf",
    "unfonts-extra/UnTaza.ttf",
    "woowa-bm/BMEULJIROTTF.ttf",
    "woowa-bm/BMJUA_ttf.ttf",
    "woowa-bm/BMKIRANGHAERANG-TTF.ttf",
)
"""Files of the three parts, below the folder of the fonts."""


def load_glyphs(folder: str | Path | None = None) -> Dataset:
    """Pictures of 583 Korean syllables, 16 x 16 pixels (uint8), one per syllable and font.

    The syllables are those of the consonants and vowels named above that the standard KS X 1001 has; many differ by
    one short stroke. Each font is drawn in the size in which its largest syllable fills 14 pixels (28 fine ones, of
    which four are averaged), each syllable in the middle. Typefaces to train on are few, so that there is something to
    learn from. The same versions of the fonts, of Pillow and of its FreeType give the same bytes.

    Args:
        folder: The folder of the fonts. None takes ``$ATTAR_FONTS``, or else where Debian puts them.

    Raises:
        MissingExtra: If Pillow is not installed.
        BadInput: If a font is not there; the message names the Debian packages.
    """
    given = folder or os.environ.get("ATTAR_FONTS")
    root = DEBIAN if given is None else Path(given)
    _check_present(root, (*TRAIN, *VALIDATION, *TEST))
    names = syllables()
    splits, first = {}, 0
    for role, fonts in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST)):
        images = np.concatenate([_drawn(root / font, names) for font in fonts])
        labels = torch.arange(len(names)).repeat(len(fonts))
        ids = torch.arange(first, first + len(images))
        splits[role] = Split(torch.from_numpy(images[:, None]), labels, ids, Classification(tuple(names)))
        first += len(images)
    source = f"{len(TRAIN)} + {len(VALIDATION)} + {len(TEST)} fonts of Debian, drawn by {_versions()}"
    return Dataset("glyphs", splits["train"], splits["validation"], splits["test"], source)


def syllables() -> tuple[str, ...]:
    """The classes, in Unicode's order: what KS X 1001 lacks is not in all fonts."""
    every = (chr(0xAC00 + (i * 21 + v) * 28 + f) for i in _INITIALS for v in _VOWELS for f in _FINALS)
    # Python writes what the standard lacks as a sequence of eight bytes.
    return tuple(one for one in every if len(one.encode("euc_kr")) == 2)


def _drawn(path: Path, names: Sequence[str]) -> NDArray[np.uint8]:
    """Every syllable in one font: ``[syllables, 16, 16]``."""
    from PIL import Image, ImageDraw

    size = _ROOM
    for _ in range(2):  # Hinting makes sizes uneven: the second look is at the size itself.
        font = _font(path, size)
        boxes = [font.getbbox(name) for name in names]
        largest = max(max(right - left, bottom - top) for left, top, right, bottom in boxes)
        size = max(4, int(size * _ROOM / largest))
    font = _font(path, size)
    fine_size = SIDE * _FINE
    images = np.empty((len(names), fine_size, fine_size), np.uint8)
    for number, name in enumerate(names):
        left, top, right, bottom = font.getbbox(name)
        image = Image.new("L", (fine_size, fine_size))
        place = ((fine_size - (right - left)) // 2 - left, (fine_size - (bottom - top)) // 2 - top)
        ImageDraw.Draw(image).text(place, name, fill=255, font=font)
        images[number] = np.asarray(image)
    if not images.any(axis=(1, 2)).all():
        raise must("font", "load_glyphs", "one that draws every syllable", path, "Install Debian's version of it")
    averaged: NDArray[np.float64] = images.reshape(len(names), SIDE, _FINE, SIDE, _FINE).mean(axis=(2, 4))
    return averaged.round().astype(np.uint8)


def _font(path: Path, size: int) -> FreeTypeFont:
    from PIL import ImageFont

    # The basic layout: another needs a library that is not everywhere, and places single syllables no better.
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def _versions() -> str:
    from PIL import __version__, features

    return f"Pillow {__version__} with FreeType {features.version('freetype2')}"


def _check_present(root: Path, fonts: Sequence[str]) -> None:
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise missing_extra("pillow", "glyphs", "Drawing glyphs") from error
    missing = [font for font in fonts if not (root / font).is_file()]
    if missing:
        raise _not_there(root, missing)


def _not_there(root: Path, missing: Sequence[str]) -> BadInput:
    packages = sorted({_package(font) for font in missing})
    got = Words(f"{root} without {len(missing)} of them, such as {missing[0]}")
    remedy = f"Install Debian's {' '.join(packages)}, or set ATTAR_FONTS to a folder with their files"
    return must("folder", "load_glyphs", "one with the fonts", got, remedy)


def _package(font: str) -> str:
    return PACKAGES[max((beginning for beginning in PACKAGES if font.startswith(beginning)), key=len)]
