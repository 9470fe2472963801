"""``attar measure``: an artifact's quality, bytes, memory and latency on some data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer


def measure(
    artifact: Annotated[Path, typer.Argument(metavar="ARTIFACT", help="The artifact's folder.")],
    data: Annotated[
        str,
        typer.Option(
            "--data",
            help="A data set such as digits, a path to .npz, a folder of images, which get the size that the artifact "
            "takes, package.module:function, or a recipe (.toml) that names the data: RUN/recipe.toml names those of a "
            "run, tables too.",
        ),
    ],
    split: Annotated[
        str, typer.Option("--split", help="Which part to measure on: train, validation or test.")
    ] = "test",
    threads: Annotated[int, typer.Option("--threads", min=1, help="Threads of the runtime.")] = 1,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow",
            metavar="PACKAGE",
            help="A package whose functions the recipe in --data or a torch artifact may name. May be repeated.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Measure an artifact on this machine.

    Example: attar measure runs/digits/artifact --data runs/digits/recipe.toml
    """
    from attar.cli.progress import announce, errors, watched

    if not as_json or errors.is_terminal:
        announce(f"measure {artifact}")
    from attar.data.arrow_files import table_files
    from attar.data.datasets import load as load_data
    from attar.data.files import TABLES
    from attar.deployment.artifact import load
    from attar.errors import BadInput, shown
    from attar.evidence.measure import measure as do
    from attar.network.references import findable, folder_of, names_function
    from attar.recipes.data import data_of
    from attar.recipes.read import packages_of, read
    from attar.recipes.trusted import trusted
    from attar.tasks.task import OfClasses

    splits: tuple[Literal["train"], Literal["validation"], Literal["test"]] = ("train", "validation", "test")
    if split not in splits:
        raise BadInput(f"--split of attar measure is {shown(split)}. Choose train, validation or test.")
    ending = Path(data).suffix.lower()
    if ending in TABLES or table_files(Path(data)):
        raise BadInput(
            f"{data} does not say which of its columns holds the classes. Give --data the recipe that says it, such as "
            "the recipe.toml in the folder of the run."
        )
    allowed = ["attar", *(allow or [])]
    # Who types the name of a function lets it run; what an artifact names runs only where it is allowed.
    typed = [data.partition(":")[0]] if names_function(data) else []
    with (
        findable(folder_of(module, Path.cwd()) for module in (*packages_of(allow or []), *typed)),
        watched(terminal_only=as_json) as progress,
    ):
        opened = load(artifact, threads=threads, allow=allowed)
        if ending == ".toml":
            recipe = read(data, allow=allow or [])
            with trusted(recipe):
                dataset = data_of(recipe, progress)
        else:
            dataset = load_data(data, progress=progress, **_images(data, opened.manifest["input"]["shape"][1:]))
        chosen = dataset.splits()[split]
        what = "classes" if isinstance(chosen.task, OfClasses) else "values"
        if tuple(opened.classes) != chosen.task.names:
            raise BadInput(
                f"The data has the {what} {shown(chosen.task.names)}, and the artifact knows {shown(opened.classes)}. "
                "Give --data the data that the artifact was made for."
            )
        evidence = do(opened, chosen, threads=threads, allow=allowed, progress=progress)
    print(json.dumps(evidence.to_json(), indent=1) if as_json else evidence)
    return 0


def _images(data: str, shape: list[int]) -> dict[str, Any]:
    """How the images of a folder are read for an artifact that takes one of some shape; nothing for other data."""
    from attar.data.gaze_folders import is_gaze_folder
    from attar.data.image_folder import is_image_folder
    from attar.data.saved_dataset import is_saved_dataset

    place = Path(data)
    if len(shape) != 3 or is_saved_dataset(place):
        return {}
    if is_gaze_folder(place):
        return {"size": shape[1:]}
    return {"size": shape[1:], "channels": shape[0]} if is_image_folder(place) else {}
