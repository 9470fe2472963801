"""A second interpreter like this one: it finds the modules that this one finds, and no others."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path


def command(module: str, arguments: Sequence[str] = ()) -> list[str]:
    """The command that runs a module in it. What lies in the working folder takes no module's place.

    Args:
        module: Its name, with dots.
        arguments: What it gets on its command line.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def environment(**changes: str) -> dict[str, str]:
    """Its environment variables: those of this process, and the folders in which this one looks for modules.

    Args:
        **changes: Variables that differ.

    Raises:
        OSError: If this process looks for modules in a working folder that is gone.
    """
    search = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)
    return {**os.environ, "PYTHONPATH": search, **changes}
