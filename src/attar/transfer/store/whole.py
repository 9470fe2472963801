"""Files of a store: written whole or not at all, and what is said of one that will not do."""

from __future__ import annotations

from pathlib import Path

from attar.errors import BadInput, CorruptFile, must
from attar.workspace import write_file


def write_whole(path: Path, data: bytes, of: str) -> str:
    """Write a file whole or not at all, through to the disk; return the SHA-256 of its bytes.

    Args:
        path: The file; its folder is made.
        data: All of its bytes.
        of: Who writes; named in the error.

    Raises:
        BadInput: If it cannot be written.
    """
    try:
        return write_file(path, data)
    except OSError as error:
        raise unwritable(path.parent, error, of) from error


def corrupt(path: Path, why: str, *, whole: bool = False) -> CorruptFile:
    """The error for a file that is not what was written; ``whole`` if nothing of its store can be used."""
    remedy = "Delete the folder and label again"
    if not whole:
        remedy = "Delete this file if it is there, and label again: only this part is computed anew"
    return CorruptFile(f"file of stored targets must be as label wrote it; got {str(path)!r}: {why}. {remedy}.")


def unwritable(folder: Path, error: OSError, of: str) -> BadInput:
    """The error for a folder that cannot be written to."""
    got = f"{folder} ({error.strerror or error})"
    remedy = f"Free space or choose another folder, and {of} again: the parts that are there are kept"
    return must("folder", of, "a folder that can be written to, with room", got, remedy)
