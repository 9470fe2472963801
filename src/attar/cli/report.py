"""``attar report``: draw a run's page again from its evidence."""

from __future__ import annotations

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
    from attar.evidence.document import EvidenceDocument
    from attar.report.page import render

    document = EvidenceDocument.read(run)
    path = out or run / "report.html"
    render(document, path)
    print(path)
    return 0
