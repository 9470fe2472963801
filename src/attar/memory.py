"""How much memory this machine, or the container that this process is in, has."""

from __future__ import annotations

from pathlib import Path

import psutil  # type: ignore[import-untyped]

_GROUP = Path("/sys/fs/cgroup/memory.max")


def installed() -> int:
    """Bytes of memory that this process may use together with all others."""
    here = int(psutil.virtual_memory().total)
    try:
        text = _GROUP.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        text = ""
    return min(here, int(text)) if text.isdigit() else here
