"""Nodes: pieces of work that are done once, finished whole or not at all, and found again.

A node is known by its key, which follows from its name and from all that its result depends on. Its folder holds its
files and, written last, a record: what the work returned, and the size and digest of every file. Several processes may
fill one folder: who needs a node that another is making waits for it, and takes over should that one be killed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from attar import processes
from attar.errors import CorruptFile
from attar.records import read_record, to_text
from attar.training.progress import Progress, silent
from attar.workspace import LOCK, digest_of, flush, locked, sweep, write_file

log = logging.getLogger(__name__)

RECORD = "node.json"
"""Written last into a node's folder: where it is, the node is finished."""

FOLDER = "nodes"
"""Where nodes lie in the folder of a run."""

_RULE = 1
"""Part of every key: raise it when the same inputs come to mean another computation everywhere."""

_KEY_DIGITS = 12
"""Of a key, in the name of its folder; the record has all of it."""


@dataclass(frozen=True)
class Node:
    """One finished piece of work.

    Attributes:
        name: What was done, such as ``student/0``.
        key: What it is known by: it follows from its name and all that its result depends on.
        folder: Where its files are.
        result: The plain document that the work returned.
        seconds: How long the work took, over the last of its attempts.
        reused: Whether it was found finished.
    """

    name: str
    key: str
    folder: Path
    result: Mapping[str, Any]
    seconds: float
    reused: bool


@dataclass(frozen=True)
class PackedNode:
    """A finished node on its way to another folder.

    Attributes:
        folder: Where it lies among the nodes of a run, with slashes.
        files: Its files and its record: their bytes by their names.
    """

    folder: str
    files: Mapping[str, bytes]


class NotFinished(Exception):
    """A node is not there yet; only who asked for finished ones alone is told so.

    Attributes:
        name: Of the node.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not finished")
        self.name = name


class Nodes:
    """The nodes in the folder of a run.

    Where torchrun started several processes, all of them must ask for the same nodes in the same order.

    Attributes:
        folder: The folder of the run; nodes lie in its folder ``nodes``.
        done: What this process did or found so far, in order, as often as it was asked for.
        reuse_from: Folders of other runs, from which finished nodes are taken over instead of being made again.
        from_workers: Names of nodes, and of folders of nodes, that were made for this process: none of them counts
            as reused.
    """

    def __init__(self, folder: Path, reuse_from: Sequence[Path] = (), *, progress: Progress = silent) -> None:
        self.folder = folder
        self.done: list[Node] = []
        self.reuse_from = tuple(reuse_from)
        self.from_workers: set[str] = set()
        self._progress = progress
        self._finished_only = False

    @property
    def pieces(self) -> list[Node]:
        """What is done, each piece of work once, as it was when it was first asked for."""
        first: dict[tuple[str, str], Node] = {}
        for node in self.done:
            first.setdefault((node.name, node.key), node)
        return list(first.values())

    @property
    def seconds(self) -> float:
        """How long all that is done took."""
        return sum(node.seconds for node in self.pieces)

    def node(
        self,
        name: str,
        inputs: Mapping[str, Any],
        work: Callable[[Path], Mapping[str, Any]],
        *,
        version: int = 1,
        parents: Sequence[Node] = (),
        resumable: Sequence[str] = (),
        scratch: Sequence[str] = (),
        collective: bool = False,
    ) -> Node:
        """Do a piece of work, or find it done.

        Args:
            name: What it is called; a slash makes a subfolder.
            inputs: Plain JSON values: all that the result depends on besides ``parents``.
            work: Gets the node's folder, writes its files there and returns a plain document. It runs only if no
                finished result of the same inputs is there. It finds the folder empty but for ``resumable`` and
                ``scratch``, however an earlier attempt ended.
            version: Of the work: raise it when the same inputs come to mean another result.
            parents: Nodes whose results go into this one.
            resumable: Files and folders that a killed attempt leaves and the next one goes on with, such as a store
                that is filled part by part; they are part of the result.
            scratch: Files and folders that a killed attempt leaves and the next one goes on with, and that are no part
                of the result: they are deleted once the node is finished.
            collective: All processes that torchrun started do the work, such as a training; that of rank 0 writes the
                files and returns what counts. Otherwise it works `alone` and the others wait.

        Raises:
            CorruptFile: If the node is there and damaged.
            OSError: If the folder cannot be written.
        """
        about = {"name": name, "version": version, "inputs": inputs, "parents": [parent.key for parent in parents]}
        key = hashlib.sha256(json.dumps({"rule": _RULE, **about}, sort_keys=True).encode()).hexdigest()
        folder = self.folder / FOLDER / f"{name}-{key[:_KEY_DIGITS]}"
        if self._finished_only and not any(_finished(place) for place in (folder, *self._elsewhere(folder))):
            raise NotFinished(name)
        if processes.rank() > 0:
            reused = bool(processes.broadcast(None))
            if not reused and collective:
                work(folder)
        else:
            reused = _finished(folder) and not (folder / LOCK).exists()
            if not reused:  # or whoever finished it was killed just after
                with locked(folder, lambda: self._waiting(name)):
                    # It may have become finished while this process waited.
                    reused = _finished(folder) or self._taken_over(folder, key)
                    sweep(folder, all_but=None if reused else (*resumable, *scratch))
                    if not reused:
                        processes.broadcast(False)
                        with nullcontext() if collective else processes.alone():
                            _make(folder, key, about, work, scratch)
                    for one in scratch:
                        _delete(folder / one)
            if reused:
                processes.broadcast(True)
        processes.barrier()
        record = _read(folder, key)
        reused = reused and not any(name == one or name.startswith(f"{one}/") for one in self.from_workers)
        node = Node(name, key, folder, record["result"], record["seconds"], reused)
        self.done.append(node)
        return node

    def finished_only(self) -> Nodes:
        """The same nodes for a look at what there is: asking for one that is not finished raises `NotFinished`."""
        look = Nodes(self.folder, self.reuse_from)
        look._finished_only = True
        return look

    def packed(self) -> list[PackedNode]:
        """All finished nodes with their files, to be taken in elsewhere."""
        found = sorted(record.parent for record in (self.folder / FOLDER).rglob(RECORD))
        return [
            PackedNode(
                folder.relative_to(self.folder / FOLDER).as_posix(),
                {name: (folder / name).read_bytes() for name in [*_files(folder), RECORD]},
            )
            for folder in found
        ]

    def take_in(self, packed: Sequence[PackedNode]) -> None:
        """Keep nodes that were made in another folder, of another machine perhaps; one that is there stays.

        Args:
            packed: What `packed` gave there. Whoever asks for one of them finds it, once its files are those that its
                record names.

        Raises:
            CorruptFile: If one would be written elsewhere than among the nodes.
            OSError: If the folder cannot be written.
        """
        for one in packed:
            for name in (one.folder, *one.files):
                if not _inside(name):
                    raise CorruptFile(f"A worker sent the file {name!r}, which is none of a node. Use another worker.")
            folder = self.folder / FOLDER / one.folder
            with locked(folder):
                if _finished(folder):
                    continue
                sweep(folder, all_but=())
                for name in sorted(
                    one.files, key=lambda name: name == RECORD
                ):  # the record last, which makes it a node
                    write_file(folder / name, one.files[name])

    def _elsewhere(self, folder: Path) -> list[Path]:
        """Where a node would lie in the other runs."""
        return [other / folder.relative_to(self.folder) for other in self.reuse_from]

    @contextmanager
    def _waiting(self, name: str) -> Iterator[None]:
        """While another process makes a node."""
        log.info("%s is being made by another process: waiting for it", name)
        with self._progress(f"wait for {name}", 1) as advance:
            yield
            advance(1)

    def _taken_over(self, folder: Path, key: str) -> bool:
        """Take a finished node over from another run, whole or not at all."""
        for theirs in self._elsewhere(folder):
            if not _finished(theirs):
                continue
            record = _read(theirs, key)  # what is damaged is named where it is
            sweep(folder, all_but=())
            for name in [*record["files"], RECORD]:  # the record last, which makes it a node
                if name == RECORD:
                    flush(folder)
                _linked(theirs / name, folder / name)
            flush(folder)
            return True
        return False


def _make(
    folder: Path,
    key: str,
    about: Mapping[str, Any],
    work: Callable[[Path], Mapping[str, Any]],
    scratch: Collection[str],
) -> None:
    """Do the work of a node in its folder, whose lock is held, and write its record."""
    start = time.perf_counter()
    result = work(folder)
    seconds = time.perf_counter() - start
    sweep(folder)
    flush(folder)
    names = [name for name in _files(folder) if PurePosixPath(name).parts[0] not in scratch]
    files = {name: [(folder / name).stat().st_size, digest_of(folder / name)] for name in names}
    record = {**about, "key": key, "result": result, "seconds": seconds, "files": files}
    write_file(folder / RECORD, to_text(record))


def _delete(path: Path) -> None:
    """A file, a folder with all that is in it, or nothing."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _finished(folder: Path) -> bool:
    return (folder / RECORD).is_file()


def _read(folder: Path, key: str) -> dict[str, Any]:
    """The record of a finished node, once all of its files are what was written.

    Raises:
        CorruptFile: If anything differs, naming it and what to delete.
    """
    path, remedy = folder / RECORD, f"Delete the folder {folder} to do this step anew."
    try:
        record = read_record(path, remedy, finite=False)
        files = {str(name): (int(size), str(digest)) for name, (size, digest) in record["files"].items()}
        record["result"], record["seconds"] = dict(record["result"]), float(record["seconds"])
        known = record["key"]
    except CorruptFile:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise CorruptFile(f"{path} is not the record of a finished step ({error!r}). {remedy}") from error
    if known != key:
        raise CorruptFile(f"{path} is the record of another step than of the one that belongs there. {remedy}")
    for name, (size, digest) in files.items():
        file = folder / name
        if not _inside(name):
            raise CorruptFile(f"{path} names {name!r}, which is not in its folder. {remedy}")
        if not file.is_file() or file.stat().st_size != size or digest_of(file) != digest:
            raise CorruptFile(f"{file} is missing or not what was written. {remedy}")
    return record


def _files(folder: Path) -> list[str]:
    """The names of a node's files, with slashes; its record and its lock are none of them."""
    found = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    return [name for name in found if name not in (LOCK, RECORD)]


def _inside(name: str) -> bool:
    """Whether the name of a file stays within the folder that it is in."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and path.parts != ()


def _linked(source: Path, target: Path) -> None:
    """The same file at another place, as a hard link where the system has them; nodes are never written again."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
