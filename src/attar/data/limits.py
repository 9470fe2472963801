"""How much data may be read at once, and files that are there: asked before anything is opened or allocated."""

from __future__ import annotations

import difflib
import os
from contextlib import suppress
from pathlib import Path

from attar.errors import BadInput
from attar.memory import installed

IMAGE_ENDINGS = (
    *(".png", ".jpg", ".jpeg"),
    *(".jfif", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".avif", ".heic", ".jp2", ".ppm", ".pgm"),
)
"""How the names of images end, those first that are read."""

DEFLATED = 1032
"""Bytes that deflate can make of one, at most."""

_SEEN = 10_000
"""Names in a folder that are looked at, at most."""

_DEPTH = 4
"""Folders inside of each other in which images are looked for: the one that is named, splits, classes, one more."""


def allowed(most: int | None = None) -> int:
    """Bytes that data may take in memory: what the user says, else half of what this machine (or container) has."""
    return installed() // 2 if most is None else most


def too_large(what: str, size: int, most: int) -> BadInput:
    """The error for data that are larger than allowed.

    Args:
        what: Which data, with their verb: ``mine.npz would take``.
        size: Their bytes.
        most: The bytes that are allowed.
    """
    return BadInput(
        f"{what} {size:,} bytes in memory, and {most:,} are allowed. Use less of them, or set data.max_bytes "
        "(max_bytes in Python) if there is room."
    )


def printable(path: Path | str) -> str:
    """A name as it can be written anywhere: what is no valid text is escaped, the middle of a long one cut."""
    text = str(path).encode("utf-8", "backslashreplace").decode("utf-8")
    text = "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in text)
    return text if len(text) <= 200 else f"{text[:80]}...{text[-80:]}"


def existing(path: Path | str, key: str) -> Path:
    """A file that is there.

    Args:
        path: Where.
        key: Which setting names it.

    Raises:
        BadInput: If there is no such file; the names near to it in its folder are given.
    """
    found = Path(path)
    if is_file(found):
        return found
    text = printable(path)
    if is_folder(found):
        raise folder(found, key)
    around = found.parent
    if not is_folder(around):
        remedy = "Check the path; it is relative to the working folder"
        raise BadInput(f"{key}: there is no file {text!r}, and no folder {printable(around)!r}. {remedy}.")
    with os.scandir(around) as entries:
        names = [entry.name for _, entry in zip(range(_SEEN), entries, strict=False)]
    close = difflib.get_close_matches(found.name[:200], names, n=2, cutoff=0.6)
    alike = close or sorted(name for name in names if Path(name).suffix == found.suffix)[:3]
    remedy = f"Did you mean {' or '.join(repr(printable(name)) for name in alike)}?" if alike else "Check the path."
    place = "the working folder" if str(around) == "." else f"the folder {printable(around)!r}"
    raise BadInput(f"{key}: there is no file {printable(found.name)!r} in {place}. {remedy}")


def folder(path: Path, key: str) -> BadInput:
    """The error for a folder where a file belongs."""
    text = printable(path)
    if not holds_images(path):
        if any(one.suffix.lower() in (".csv", ".tsv") for one in path.iterdir()):
            return BadInput(
                f"{key}: {text!r} is a folder of .csv or .tsv files, of which one alone is read. Put all rows into one "
                "file, or save each as .parquet, of which a folder is one table."
            )
        return BadInput(
            f"{key}: {text!r} is a folder without data that are read. Name a .npz, .csv or .parquet file, or a folder "
            "with PNG or JPEG images in one folder for each class."
        )
    return BadInput(
        f"{key}: {text!r} is a folder of images, which data.use alone takes. Name the folder above it there: images to "
        "validate and to test lie in its folders validation and test, beside train."
    )


def holds_images(path: Path | str) -> bool:
    """Whether a folder holds images, itself or up to three folders below: as far as some thousand names tell."""
    left, level = _SEEN, [os.fspath(path)]
    for _ in range(_DEPTH):
        below: list[str] = []
        for one in level:
            try:
                with os.scandir(one) as entries:
                    for entry in entries:
                        left -= 1
                        if left < 0:
                            return False
                        if entry.name.startswith("."):
                            continue
                        if entry.name.lower().endswith(IMAGE_ENDINGS):
                            return True
                        with suppress(OSError):  # a link that leads to itself
                            if entry.is_dir():
                                below.append(entry.path)
            except (OSError, ValueError):
                continue
        level = below
    return False


def is_file(path: Path) -> bool:
    """Whether there is such a file; False for what can be no path at all."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; False for what can be no path at all."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
