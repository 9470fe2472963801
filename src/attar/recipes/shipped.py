"""The recipes and studies that come with Attar, listed without importing what runs them."""

from __future__ import annotations

import tomllib
from pathlib import Path

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


def title_of(path: Path) -> str:
    """What one of them says of itself in its ``title``; empty where it says nothing.

    Example:
        >>> title_of(shipped()["digits-budget"]) != ""
        True
    """
    return str(tomllib.loads(path.read_text(encoding="utf-8")).get("title", ""))
