"""The command that was typed, as reports repeat it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def as_typed() -> str | None:
    """The command line of this process as ``attar ...``, with every option; None where another program calls Attar.

    ``python -m attar`` is the same command: its first word is the file ``attar/__main__.py``.
    """
    if not sys.argv:
        return None
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.stem
    return shlex.join(["attar", *sys.argv[1:]]) if name == "attar" else None
