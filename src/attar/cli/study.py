"""``attar study``: several runs and sweeps side by side, beside a paper's own figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attar.cli.compress import AllowOption, DeviceOption, DryRunOption, SetOption, WorkersOption


def study(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="STUDY", help="A TOML file, or the name of a shipped study; without it they are listed."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder; by default runs/NAME.")] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="RUN", help="Do this run of it only. May be repeated.")
    ] = None,
    changes: SetOption = None,
    allow: AllowOption = None,
    device: DeviceOption = "cpu",
    workers: WorkersOption = None,
    dry_run: DryRunOption = False,
) -> int:
    """Do the runs and sweeps of a study and draw them on one page, with the figures of the paper beside ours.

    The folder then holds study.html, study.json, and a run folder with a report of its own for each run. The same
    command continues a study that was stopped. A setting changed with --set holds for every recipe of the study.

    Example: attar study papers/model-compression-2006 --only letter.p2
    """
    if name is None:
        from attar.cli.titles import print_titles
        from attar.recipes.shipped import studies

        print_titles(studies())
        return 0
    from attar.cli.outcome import code
    from attar.cli.progress import announce, errors, watched
    from attar.cli.typed import as_typed

    announce(name)
    from attar.recipes.study import plans, read_study
    from attar.recipes.study import study as do

    if dry_run:
        asked = read_study(name)
        with watched(terminal_only=True) as progress:
            found = plans(
                asked, out, changes=changes or [], only=only or [], allow=allow or [], device=device, progress=progress
            )
        for planned in found:
            print(f"{planned}\n")
        sweeps = f"{len(asked.sweeps) or 'no'} sweep{'' if len(asked.sweeps) == 1 else 's'}"
        print(f"{sweeps} besides, in none of these figures")
        return 0
    command = as_typed() or f"attar study {name}"
    with watched() as progress:
        done = do(
            read_study(name),
            out,
            changes=changes or [],
            only=only or [],
            allow=allow or [],
            device=device,
            workers=workers,
            progress=progress,
            command=command,
        )
    from attar.cli.table import say

    for run in done.document["runs"]:
        print(f"{run['name']}: {run['headline']}")
    for warning in done.document["warnings"]:
        say(errors, f"warning: {warning}")
    print(f"Page: {done.page}")
    return code(run["outcome"] for run in done.document["runs"])
