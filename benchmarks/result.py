"""How a benchmark writes what it found: one JSON file, with all that is needed to judge it and to do it again."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from attar.evidence.machine import machine

RESULTS = Path(__file__).parent / "results"


def write(path: Path, *, what: str, seed: int, packages: Sequence[str] = (), **document: Any) -> Path:
    """Write one result.

    Args:
        path: The file; its folder is made.
        what: What was measured, in sentences.
        seed: Where every random draw of the benchmark comes from.
        packages: Packages besides Attar's own whose versions matter.
        document: ``settings``, ``summary`` and ``raw`` by custom; plain values.
    """
    here = machine()
    versions: Mapping[str, Any] = here["versions"]  # type: ignore[assignment]
    head = {
        "benchmark": Path(sys.argv[0]).stem,
        "what": what,
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "seed": seed,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {**versions, **{name: _version(name) for name in packages}},
        "machine": here,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**head, **document}, indent=1) + "\n", encoding="utf-8")
    return path


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
