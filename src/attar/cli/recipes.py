"""``attar recipes`` and ``attar copy``: what ships, and how to begin from it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer


def recipes() -> int:
    """List the recipes that ship.

    Example: attar recipes
    """
    from attar.cli.titles import print_titles
    from attar.recipes.shipped import shipped

    print_titles(shipped())
    return 0


def copy(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A shipped recipe (see: attar recipes).")],
    to: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Where to write; by default NAME.toml here.")
    ] = None,
) -> int:
    """Copy a shipped recipe, to change it.

    Example: attar copy digits mine.toml
    """
    from attar.errors import BadInput, near, shown
    from attar.recipes.folder import unwritable
    from attar.recipes.shipped import shipped

    ready = shipped()
    if name not in ready:
        raise BadInput(f"No shipped recipe is called {shown(name)}. {near(name, ready)}")
    path = to or Path(f"{Path(name).name}.toml")
    if path.exists():
        raise BadInput(f"{shown(str(path))} exists already. Name another FILE, or delete it.")
    try:
        shutil.copyfile(ready[name], path)
    except OSError as error:
        raise unwritable(path.parent, error, "FILE") from error
    print(path)
    return 0
