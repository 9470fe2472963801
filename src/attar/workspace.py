"""Files and folders that a crash leaves whole or not at all, locks that end with their holder, and digests of files.

This is the one place that flushes to the disk. Whatever is being written has a name that begins with `TEMPORARY`, and
its own name only once it is whole and on the disk. A killed process leaves at most such names: they are part of
nothing, and whoever next uses their folder under its lock sweeps them away.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path

TEMPORARY = ".unfinished-"
"""Begins the name of every file and folder that is being written."""

_SCRATCH = f"{TEMPORARY}scratch-"
"""The same of folders that are gone afterwards; no name that is being written has it, as a number stands there."""

UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOTDIR)
"""What the system says of a folder that cannot be written, or a disk that is full."""

LOCK = ".lock"
"""Name of the file that is locked by whoever writes into its folder; it is there only as long."""

_POLL_SECONDS = 0.1
"""Between two looks at a lock that another process holds."""


def is_temporary(path: Path) -> bool:
    """Whether a name is that of something that was being written."""
    return path.name.startswith(TEMPORARY)


def write_file(path: Path, data: str | bytes) -> str:
    """Write a file whole or not at all; its folder is made.

    Args:
        path: The file.
        data: All that is in it; text is written as UTF-8.

    Returns:
        The SHA-256 of its bytes, in hexadecimal.

    Raises:
        OSError: If it cannot be written. What was there before stays.
    """
    content = data.encode("utf-8") if isinstance(data, str) else data
    with new_file(path) as unfinished:
        unfinished.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A file that something else writes, such as a library: it gets its name at the end, or is gone after an error.

    Args:
        path: The file; its folder is made.

    Yields:
        Where to write it: an empty file in the same folder.

    Raises:
        OSError: If it cannot be written. What was there before stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = _beside(path)
    try:
        unfinished.touch(exist_ok=False)
        mode = unfinished.stat().st_mode
        yield unfinished
        unfinished.chmod(mode)  # some libraries make files that only their owner can read
        _flush(unfinished)
        unfinished.replace(path)
        _flush(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder that gets its name once everything in it is written, or is gone after an error.

    Args:
        path: The folder. What is there before is replaced at the end, and stays after an error.

    Yields:
        Where to write: an empty folder in the same place.

    Raises:
        OSError: If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished, retired = _beside(path), _beside(path)
    try:
        unfinished.mkdir()
        yield unfinished
        flush(unfinished)
        if path.exists():
            path.replace(retired)
        unfinished.replace(path)
        _flush(path.parent)
    finally:
        for rest in (unfinished, retired):
            _remove(rest)


@contextmanager
def scratch(inside: Path) -> Iterator[Path]:
    """A folder for what is needed for a while, which is gone afterwards.

    What a killed process left goes when somebody next asks for one in the same place, or sweeps it.

    Args:
        inside: Where it is made; made itself if need be.

    Yields:
        The folder, with nothing in it but a lock that says that it is in use.

    Raises:
        OSError: If it cannot be made.
    """
    inside.mkdir(parents=True, exist_ok=True)
    for entry in inside.glob(f"{_SCRATCH}*"):
        if (entry / LOCK).exists() and not _in_use(entry):
            _remove(entry)
    path = inside / f"{_SCRATCH}{secrets.token_hex(6)}"
    try:
        with locked(path):
            yield path
    finally:
        _remove(path)


def flush(folder: Path) -> None:
    """See that everything in a folder is on the disk, the folder itself included."""
    for place, _, names in os.walk(folder):
        for name in names:
            if (Path(place) / name).is_file():
                _flush(Path(place) / name)
        _flush(Path(place))


def sweep(folder: Path, *, all_but: Collection[str] | None = None, deep: bool = True) -> None:
    """Remove what killed processes left in a folder. Only for the holder of its lock.

    A `scratch` that is in use stays.

    Args:
        folder: The folder; it need not exist.
        all_but: Names in it that stay, less the temporary ones inside of them, while everything else goes; None for
            temporary names alone.
        deep: Whether to look into its folders, too; they must have no locks of their own.
    """
    if not folder.is_dir():
        return
    for entry in sorted(folder.iterdir()):
        if entry.name == LOCK:
            continue
        if is_temporary(entry) or (all_but is not None and entry.name not in all_but):
            if not _in_use(entry):
                _remove(entry)
        elif deep and entry.is_dir() and not entry.is_symlink():
            sweep(entry)


@contextmanager
def locked(folder: Path, waiting: Callable[[], AbstractContextManager[object]] = nullcontext) -> Iterator[None]:
    """Keep other processes (and threads) that do the same out of a folder, which is made.

    The kernel lets go of the lock however its holder ends.

    Args:
        folder: The folder.
        waiting: Entered once if somebody else holds the lock, and left when it is had.

    Raises:
        OSError: If the folder cannot be written.
    """
    path = folder / LOCK
    with ExitStack() as stack:
        announced = False
        while (held := _held(path)) is None:
            if not announced:
                stack.enter_context(waiting())
                announced = True
            time.sleep(_POLL_SECONDS)
        stack.close()
        try:
            yield
        finally:
            # Removed while it is held: whoever waits for this file sees that it is no longer the one in the folder.
            path.unlink(missing_ok=True)
            os.close(held)


def digest_of(file: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal; memory does not grow with its size."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _in_use(folder: Path) -> bool:
    """Whether it is a scratch folder whose process is alive."""
    if not folder.name.startswith(_SCRATCH) or not (folder / LOCK).exists():
        return False
    held = _held(folder / LOCK)
    if held is not None:
        os.close(held)
    return held is None


def _held(path: Path) -> int | None:
    """The descriptor of the lock that is now ours; None if it is another's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        there, ours = path.stat(), os.fstat(descriptor)
        if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
            return descriptor
    except (BlockingIOError, FileNotFoundError):  # another's, or removed by who had it
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder with all that is in it, if it is there.

    Workers of a killed process may still be writing what has a temporary name: it need not go at once.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=is_temporary(path))
    else:
        path.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    """A fresh temporary name in the folder of a path, which ends like it where a name may be so long."""
    name = path.name if len(os.fsencode(path.name)) < 200 else path.suffix[-20:]
    return path.with_name(f"{TEMPORARY}{secrets.token_hex(6)}-{name}")


def _flush(path: Path) -> None:
    """Through to the disk; a folder's names where folders can be opened."""
    if os.name != "posix" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
