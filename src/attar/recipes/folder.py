"""The folder of a run: one recipe's, filled by any number of processes, with what the last finished one found."""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tomli_w

from attar.errors import BadInput, CorruptFile, must
from attar.processes import rank
from attar.recipes.files import usable
from attar.recipes.schema.recipe import Recipe
from attar.workspace import LOCK, UNWRITABLE, is_temporary, locked, sweep, write_file

log = logging.getLogger(__name__)

RECIPE = "recipe.toml"
"""The resolved recipe: written before all else, and once more with what was found."""


def run_folder(recipe: Recipe, out: Path | str | None) -> Path:
    """Where a run is written: where the user says, else ``runs/NAME``.

    Raises:
        BadInput: If what the user says cannot be a path.
    """
    return Path("runs") / recipe.name if out is None else usable(out, "--out")


@contextmanager
def opened(path: Path, recipe: Recipe, *, write_recipe: bool = True) -> Iterator[None]:
    """Make the folder of a run if need be, and see that it is this recipe's.

    Settings may differ from an earlier run's, and from those of one that is under way: steps that they do not concern
    are found again. Another recipe's name is an error.

    Of several processes that torchrun started, that of rank 0 does it.

    Args:
        path: The folder.
        recipe: The run's recipe.
        write_recipe: Whether the folder shall say that it is a run of this recipe; otherwise what it says stays.

    Raises:
        BadInput: If the folder is another recipe's or no run folder, or cannot be written.
    """
    try:
        if rank() == 0:
            _check(path, recipe)
            if write_recipe:
                with writing(path):
                    write_file(path / RECIPE, tomli_w.dumps(recipe.document()))
        yield
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise unwritable(path, error) from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """While files of the run as a whole are written: one process at a time, so that they fit together."""
    with locked(path):
        sweep(path, deep=False)  # nodes have locks of their own
        yield


def still_says(path: Path, recipe: Recipe) -> bool:
    """Whether the recipe in the folder is still this one, with these settings."""
    return (path / RECIPE).is_file() and (path / RECIPE).read_text(encoding="utf-8") == tomli_w.dumps(recipe.document())


def _check(path: Path, recipe: Recipe) -> None:
    """See that a folder is new, or one of this recipe."""
    if path.exists() and not path.is_dir():
        raise must("--out", "attar compress", "a folder", path, "Name another place")
    entries = list(path.iterdir()) if path.is_dir() else []
    mine = path / RECIPE
    if mine.is_file():  # asked after the entries were listed: another process writes it before all others
        try:
            name = tomllib.loads(mine.read_text(encoding="utf-8")).get("name")
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise CorruptFile(f"{mine} is not a TOML file ({error}). Delete the run folder or name another.") from error
        if name != recipe.name:
            raise must(
                "--out",
                "attar compress",
                f"a folder of recipe {recipe.name!r}",
                f"{path} of {name!r}",
                "Name another place",
            )
    elif any(entry.name != LOCK and not is_temporary(entry) for entry in entries):
        raise must("--out", "attar compress", "a new or empty folder, or an earlier run's", path, "Name another place")


def unwritable(path: Path, error: OSError, flag: str = "--out") -> BadInput:
    """The error for a folder that cannot be written or a disk that is full; ``flag`` is what names another place."""
    why = error.strerror or error
    return BadInput(
        f"{path} must be a folder that can be written; {why}. Free space or name another place with {flag}."
    )
