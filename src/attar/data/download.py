"""Fetching one published file over the network: checked, and either whole in its place or not there at all."""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

from attar.data.idx import decompressed
from attar.errors import CorruptFile
from attar.training.progress import Progress, silent
from attar.workspace import new_file

_PIECE = 1 << 16
_TIMEOUT_SECONDS = 30.0


def fetch_gzip(address: str, path: Path, *, sha256: str, progress: Progress = silent) -> None:
    """Write the gzip file at an address to ``path``, once its content proved to be the published one.

    The digest is that of the decompressed content, so that a mirror may compress otherwise.

    Args:
        address: The URL of the file.
        path: Where it goes; folders are made. An interrupted or wrong download leaves nothing here.
        sha256: Hex digest of the decompressed content.
        progress: Told the bytes as they arrive.

    Raises:
        OSError: If the address cannot be reached, or the connection breaks off.
        CorruptFile: If what arrived is another content than the published one.
    """
    with new_file(path) as unfinished:
        with unfinished.open("wb") as file:
            _receive(address, path.name, file.write, progress)
        try:
            right = hashlib.sha256(decompressed(unfinished)).hexdigest() == sha256
        except CorruptFile:
            right = False
        if not right:
            raise CorruptFile(
                f"the download of {path.name} must have the published content; got another from {address}. "
                "Try again, or get the file from elsewhere."
            )


def _receive(address: str, title: str, write: Callable[[bytes], object], progress: Progress) -> None:
    """Stream the bytes at an address into a writer."""
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS) as response:
            expected = int(response.headers.get("Content-Length", 0))
            received = 0
            with progress(f"download {title}", total=expected) as advance:
                while piece := response.read(_PIECE):
                    write(piece)
                    received += len(piece)
                    advance(len(piece))
    except http.client.HTTPException as error:
        raise ConnectionError(f"{type(error).__name__}: {error}") from error
    if received < expected:
        raise ConnectionError(f"the connection broke off after {received} of {expected} bytes")


def cache_folder() -> Path:
    """The folder for what can be fetched again, by the custom of the system."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home()))) / "attar"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "attar"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "attar"
