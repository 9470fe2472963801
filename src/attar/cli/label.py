"""``attar label``: the teacher's outputs on the transfer set, written to the store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attar.cli.compress import AllowOption, DeviceOption, RecipeArgument, SeedOption, SetOption


def label(
    recipe: RecipeArgument,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Run folder; by default runs/NAME.")] = None,
    changes: SetOption = None,
    allow: AllowOption = None,
    device: DeviceOption = "cpu",
    seed: SeedOption = None,
) -> int:
    """Do a recipe up to its targets: make or load the teacher and label the transfer set once.

    attar compress with the same run folder finds the targets and goes on from there.

    Example: attar label digits --out runs/digits
    """
    from attar.cli.progress import announce, watched
    from attar.recipes.shipped import file_of

    file_of(recipe)
    announce(recipe)
    from attar.recipes.compress import label as do
    from attar.recipes.read import read

    chosen = read(recipe, [*(changes or []), *([] if seed is None else [f"seed={seed}"])], allow=allow or [])
    with watched() as progress:
        stored = do(chosen, out, device=device, progress=progress)
    print(stored)
    return 0
