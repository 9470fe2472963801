"""How much data may be read at once, and files that are there: asked before anything is opened or allocated."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from attar.errors import BadInput
from attar.memory import installed

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp")
"""How the names of pictures end."""

DEFLATED = 1032
"""Bytes that deflate can make of one, at most."""

_SEEN = 10_000
"""Names in a folder that are looked at, at most."""


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
    """The error for a folder where a file belongs: how pictures in it become an archive, where there are some."""
    try:
        names = [file.suffix.lower() for _, file in zip(range(_SEEN), path.rglob("*"), strict=False)]
    except OSError:
        names = []
    text = printable(path)
    if not any(name in IMAGE_ENDINGS for name in names):
        return BadInput(f"{key}: {text!r} is a folder without data that are read. Name a .npz, .csv or .parquet file.")
    return BadInput(
        f"{key}: {text!r} is a folder of pictures, which are not read yet. Make an archive of it and name that; here "
        "for pictures of one size in one folder a class:\n"
        f"    files = sorted(pathlib.Path({text!r}).glob('*/*.*')); names = sorted({{f.parent.name for f in files}})\n"
        "    x = numpy.stack([numpy.asarray(PIL.Image.open(f).convert('RGB')).transpose(2, 0, 1) for f in files])\n"
        "    numpy.savez('pictures.npz', x=x, y=[names.index(f.parent.name) for f in files], classes=names)"
    )


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
