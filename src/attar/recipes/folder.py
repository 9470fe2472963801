"""The run folder: stages named by what they depend on, finished whole or not at all, found again after a crash."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from attar.errors import BadInput, CorruptFile, must
from attar.recipes.files import usable
from attar.recipes.schema.recipe import Recipe
from attar.records import read_record, to_text

_DONE = "done.json"
_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOTDIR)
_BEFORE_RECIPE = (".lock", "recipe.toml.part")
"""What a run leaves in its folder that stopped before it wrote its recipe, as on a full disk."""
_HASHED = 1 << 26
"""Largest file, in bytes, whose content is checked when its stage is found again."""

_RULE = 1
"""Part of every stage's name: raise it when the same settings come to mean another computation."""


def run_folder(recipe: Recipe, out: Path | str | None) -> Path:
    """Where a run is written: where the user says, else ``runs/NAME``.

    Raises:
        BadInput: If what the user says cannot be a path.
    """
    return Path("runs") / recipe.name if out is None else usable(out, "--out")


@dataclass(frozen=True)
class Stage:
    """One finished stage.

    Attributes:
        name: What was done, such as ``student/0``.
        folder: Where its files are.
        said: The plain document that the work returned.
        seconds: How long the work took, over the last of its attempts.
        reused: Whether it was found finished.
    """

    name: str
    folder: Path
    said: Mapping[str, Any]
    seconds: float
    reused: bool


class RunFolder:
    """A folder that holds one recipe's run.

    Attributes:
        path: The folder.
        stages: What was done or found so far, in order.
        lenders: Other run folders, from which finished stages are taken over instead of being done again.
    """

    def __init__(self, path: Path, lenders: Sequence[Path] = ()) -> None:
        self.path = path
        self.stages: list[Stage] = []
        self.lenders = tuple(lenders)

    @contextmanager
    def opened(self, recipe: Recipe, *, visiting: bool = False) -> Iterator[RunFolder]:
        """Make the folder if need be, see that it is this recipe's, and keep other processes out.

        Settings may differ from an earlier run's: stages that they do not concern are found again. Another recipe's
        name is an error.

        Args:
            recipe: The run's recipe.
            visiting: Leave the folder's own recipe as it is, and only use and add stages.

        Raises:
            BadInput: If the folder is another recipe's or no run folder, cannot be written, or is in use.
        """
        mine = self.path / "recipe.toml"
        if self.path.exists() and not self.path.is_dir():
            raise must("--out", "attar compress", "a folder", self.path, "Name another place")
        if mine.is_file():
            try:
                name = tomllib.loads(mine.read_text(encoding="utf-8")).get("name")
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                raise CorruptFile(
                    f"{mine} is not a TOML file ({error}). Delete the run folder or name another."
                ) from error
            if name != recipe.name:
                raise must(
                    "--out",
                    "attar compress",
                    f"a folder of recipe {recipe.name!r}",
                    f"{self.path} of {name!r}",
                    "Name another place",
                )
        elif self.path.is_dir() and any(entry.name not in _BEFORE_RECIPE for entry in self.path.iterdir()):
            raise must(
                "--out", "attar compress", "a new or empty folder, or an earlier run's", self.path, "Name another place"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with (self.path / ".lock").open("w") as lock:
                try:
                    # The kernel lets go of it however the process ends.
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise BadInput(
                        f"{self.path} is in use by another run. Wait for it, or name another place with --out."
                    ) from error
                if not visiting:
                    write_whole(mine, tomli_w.dumps(recipe.document()))
                yield self
        except OSError as error:
            if error.errno not in _UNWRITABLE:
                raise
            raise unwritable(self.path, error) from error

    def stage(self, name: str, depends: Mapping[str, Any], work: Callable[[Path], Mapping[str, Any]]) -> Stage:
        """Do a piece of work, or find it done.

        Args:
            name: What it is called; a slash makes a subfolder.
            depends: Plain values, all that the result depends on.
            work: Gets the stage's folder, in which it may find what an earlier attempt left, and returns a plain
                document. It runs only if no finished result of the same ``depends`` is there.
        """
        text = json.dumps({"rule": _RULE, "name": name, **depends}, sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:12]
        folder = self.path / "stages" / f"{name}-{key}"
        done = folder / _DONE
        reused = done.is_file() or self._borrowed(f"{name}-{key}", folder)
        if not reused:
            folder.mkdir(parents=True, exist_ok=True)
            start = time.perf_counter()
            said = work(folder)
            written: dict[str, Any] = {
                "said": said,
                "seconds": time.perf_counter() - start,
                "files": {str(file.relative_to(folder)): _described(file) for file in _files(folder)},
                "depends": depends,
            }
            write_whole(done, to_text(written))
        record = _finished(done)
        stage = Stage(name, folder, record["said"], record["seconds"], reused)
        self.stages.append(stage)
        return stage

    def _borrowed(self, name: str, folder: Path) -> bool:
        """Take a finished stage over from another run, whole or not at all."""
        for lender in self.lenders:
            theirs = lender / "stages" / name
            if not (theirs / _DONE).is_file():
                continue
            _finished(theirs / _DONE)  # what is damaged is named where it is
            fresh = folder.with_name(f".{folder.name}.new")
            for stale in (fresh, folder):
                shutil.rmtree(stale, ignore_errors=True)
            fresh.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(theirs, fresh)
            fresh.replace(folder)
            return True
        return False


def _finished(done: Path) -> dict[str, Any]:
    remedy = f"Delete the folder {done.parent} to do this stage anew."
    try:
        record = read_record(done, remedy, finite=False)
        files = {str(name): list(described) for name, described in record["files"].items()}
        record["said"], record["seconds"] = dict(record["said"]), float(record["seconds"])
    except CorruptFile:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise CorruptFile(f"{done} is not the record of a stage ({error!r}). {remedy}") from error
    for name, described in files.items():
        file = done.parent / name
        if not file.is_file() or _described(file) != described:
            raise CorruptFile(f"{file} is missing or not what was written. {remedy}")
    return record


def _files(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.rglob("*")) if file.is_file()]


def _described(file: Path) -> list[Any]:
    """Bytes and SHA-256 of a file; of a large one the bytes alone, since stored targets carry digests of their own."""
    size = file.stat().st_size
    return [size, hashlib.sha256(file.read_bytes()).hexdigest() if size <= _HASHED else None]


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that a crash leaves the old one or the new one."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def unwritable(path: Path, error: OSError, flag: str = "--out") -> BadInput:
    """The error for a folder that cannot be written or a disk that is full; ``flag`` is what names another place."""
    why = error.strerror or error
    return BadInput(
        f"{path} must be a folder that can be written; {why}. Free space or name another place with {flag}."
    )
