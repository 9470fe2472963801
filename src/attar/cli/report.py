"""``attar report``: draw a run's page again from its evidence."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, as attar compress leaves it.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to write; by default RUN/report.html.")
    ] = None,
) -> int:
    """Draw the report of a finished run again.

    Example: attar report runs/digits
    """
    from attar.errors import BadInput, shown
    from attar.records import read_record
    from attar.report.page import render

    evidence = run / "evidence.json"
    if not os.path.lexists(evidence):
        raise BadInput(
            f"{shown(str(run))} is not the folder of a finished run: there is no evidence.json in it. "
            "Finish the run with attar compress."
        )
    document = read_record(evidence, "Run attar compress again: it writes it anew.")
    path = out or run / "report.html"
    render(document, path)
    print(path)
    return 0
