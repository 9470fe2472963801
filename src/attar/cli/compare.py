"""``attar compare``: finished runs side by side, a row each."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Run folders, as attar compress leaves them.")],
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the same as a page, with a chart.")
    ] = None,
) -> int:
    """Show finished runs side by side: what ships, its quality, size and latency, and whether the budget was met.

    Nothing is trained or measured: the figures are those of each run's evidence.json. Where runs are of different data
    or were measured on different machines, a warning says which figures cannot be compared.

    Example: attar compare runs/digits runs/digits-4-bits --html compared.html
    """
    from rich.console import Console

    from attar.cli.progress import errors
    from attar.cli.table import panel_table, say
    from attar.errors import must
    from attar.evidence.document import EvidenceDocument
    from attar.report.compare import Comparison

    if html is not None and (html.suffix.lower() not in (".html", ".htm") or html.is_dir()):
        # It replaces what is there, which may be anything.
        raise must("--html", "attar compare", "the name of an .html file", str(html), "For example compared.html")
    names = [run.resolve().name for run in runs]
    named = dict(zip(names if len(set(names)) == len(runs) else map(str, runs), runs, strict=True))
    compared = Comparison({name: EvidenceDocument.read(run) for name, run in named.items()})
    console = Console(highlight=False)
    console.print(panel_table(compared.table, console.width))
    for warning in compared.warnings:
        say(errors, f"warning: {warning}")
    if html is not None:
        from importlib.metadata import version

        from attar.evidence.panel_json import to_json
        from attar.report.page import render

        document = {
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "attar": version("attar"),
            "command": shlex.join(["attar", "compare", *map(str, runs), "--html", str(html)]),
            "panels": to_json(compared.panels),
        }
        render(document, html)
        console.print(f"Page: {html}", soft_wrap=True, markup=False)
    return 0
