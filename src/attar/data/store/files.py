"""Files of a store: written whole or not at all, and the errors about them."""

from __future__ import annotations

from pathlib import Path

from attar.errors import BadInput, CorruptFile
from attar.workspace import write_file


def write_store_file(path: Path, data: bytes, of: str) -> str:
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


def corrupt(path: Path, why: str, *, unusable: bool = False) -> CorruptFile:
    """The error for a file that is not what was written; ``unusable`` if nothing of its store can be used."""
    remedy = "Delete the folder and label again"
    if not unusable:
        remedy = "Delete this file if it is there, and label again: only this shard is computed anew"
    return CorruptFile(f"{str(path)!r} of the stored targets cannot be used: {why}. {remedy}.")


def unwritable(folder: Path, error: OSError, of: str) -> BadInput:
    """The error for a folder that cannot be written to."""
    return BadInput(
        f"The folder {str(folder)!r} of {of} cannot be written: {error.strerror or error}. Free space or choose "
        f"another folder, and {of} again: the shards that are there are reused."
    )
