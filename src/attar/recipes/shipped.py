"""The recipes and studies that come with Attar, listed without importing what runs them."""

from __future__ import annotations

import tomllib
from pathlib import Path

from attar.errors import must
from attar.recipes.files import check_recipe_file, usable

STUDY = "study.toml"
"""What a file is called that puts several recipes side by side; see `attar.recipes.study`."""

_ROOT = Path(__file__).parent


def shipped() -> dict[str, Path]:
    """The recipes that come with Attar: name to file."""
    files = [path for path in _ROOT.rglob("*.toml") if path.name != STUDY]
    return dict(sorted((path.relative_to(_ROOT).with_suffix("").as_posix(), path) for path in files))


def studies() -> dict[str, Path]:
    """The studies that come with Attar: name to file."""
    return {path.parent.relative_to(_ROOT).as_posix(): path for path in sorted(_ROOT.rglob(STUDY))}


def file_of(path: str | Path) -> tuple[Path, bool]:
    """The file of a recipe, and whether it is one that ships.

    Args:
        path: A TOML file, or the name of a shipped recipe.

    Raises:
        BadInput: If it can be neither.
    """
    file, ready = usable(path), shipped()
    if not file.is_file() and str(path) in ready:
        return ready[str(path)], True
    if not file.is_file() and str(path) in studies():
        raise must("RECIPE", "attar compress", "a recipe, not a study", str(path), f"Use attar study {path}")
    check_recipe_file(file, ready)
    return file, False


def title_of(path: Path) -> str:
    """What one of them says of itself in its ``title``; empty where it says nothing.

    Example:
        >>> title_of(shipped()["digits-budget"]) != ""
        True
    """
    return str(tomllib.loads(path.read_text(encoding="utf-8")).get("title", ""))
