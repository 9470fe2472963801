"""Glyphs: the classes and parts are what they are said to be, and pictures are centered and fill their room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import ImageFont

from attar.data import glyphs
from attar.data.datasets import load
from attar.data.glyphs import DEBIAN, PACKAGES, TEST, TRAIN, VALIDATION, load_glyphs, syllables
from attar.errors import BadInput


def test_the_classes_are_syllables_of_the_standard() -> None:
    names = syllables()
    assert len(names) == len(set(names)) == 583 and list(names) == sorted(names)
    assert {"가", "각", "곡", "힘"} <= set(names)
    assert "갂" not in names, "a double consonant is none of the chosen ones"


def test_no_file_and_no_family_is_in_two_parts() -> None:
    files = (*TRAIN, *VALIDATION, *TEST)
    assert len(set(files)) == len(files)
    # What a foundry calls by one name, without weight and folder.
    families = [
        {Path(font).stem.replace("_", "").removesuffix("ttf").removesuffix("Bold").removesuffix("R") for font in part}
        for part in (TRAIN, VALIDATION, TEST)
    ]
    assert not families[0] & families[1] and not families[0] & families[2] and not families[1] & families[2]
    assert min(len(VALIDATION), len(TEST)) > 5


def test_fonts_that_are_missing_are_told_with_their_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput) as error:
        load_glyphs(tmp_path)
    assert all(package in str(error.value) for package in PACKAGES.values())
    for font in (*TRAIN, *VALIDATION, *TEST):
        (tmp_path / font).parent.mkdir(parents=True, exist_ok=True)
        if font != "nanum/NanumPen.ttf":
            (tmp_path / font).touch()
    monkeypatch.setenv("ATTAR_FONTS", str(tmp_path))
    with pytest.raises(BadInput, match=r"without 1 of them, such as nanum/NanumPen.ttf.*Debian's fonts-nanum-extra,"):
        load("glyphs")


def test_pictures_are_centered_and_the_largest_fills_its_room(monkeypatch: pytest.MonkeyPatch) -> None:
    # The font that Pillow carries stands for one of Debian's.
    monkeypatch.setattr(glyphs, "_font", lambda _, size: ImageFont.load_default(size))
    pictures = glyphs._drawn(Path("none.ttf"), ("H", "x", "W"))
    assert pictures.shape == (3, 16, 16) and pictures.dtype == np.uint8
    for picture in pictures:
        rows, columns = (np.flatnonzero(picture.max(axis=axis) > 64) for axis in (1, 0))
        for inked in (rows, columns):
            assert abs((inked[0] + inked[-1]) / 2 - 7.5) <= 1
    assert 12 <= np.ptp(np.flatnonzero(pictures[2].max(axis=0) > 64)) + 1 <= 15
    assert np.array_equal(pictures, glyphs._drawn(Path("none.ttf"), ("H", "x", "W")))
    with pytest.raises(BadInput, match="draws every syllable"):
        glyphs._drawn(Path("none.ttf"), ("H", " "))


@pytest.mark.skipif(not (DEBIAN / TEST[-1]).is_file(), reason="the fonts are not installed")
def test_all_fonts_draw_all_classes_differently(monkeypatch: pytest.MonkeyPatch) -> None:
    few = (("train", TRAIN[:1]), ("validation", VALIDATION[:1]), ("test", TEST[:1]))
    for part, fonts in few:
        monkeypatch.setattr(glyphs, part.upper(), fonts)
    found = load("glyphs")
    assert found.classes == syllables()
    for split in found.splits().values():
        assert len(np.unique(split.inputs.flatten(1).numpy(), axis=0)) == len(split) == 583
    assert found.fingerprint() == load_glyphs().fingerprint()
