"""What the evidence was measured on, without anything that names the machine, its user or a path on it."""

from __future__ import annotations

import os
import platform
import re
from importlib import metadata
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from attar.deployment import backends

PACKAGES = ("attar", *backends.PACKAGES, "numpy")
"""Packages whose version changes what is measured."""

FLAGS = (
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx_vnni",
    "avx512f",
    "avx512bw",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
)
"""Instruction sets that decide how fast, and how exactly, a network runs; those with vnni, amx_int8, asimddp or i8mm
add int8 products without saturation."""


def machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, object]:
    """Processor, memory, system and versions.

    Args:
        cpuinfo: Where Linux describes its processors; without that file the model is what Python knows, and ``flags``
            is None.

    Returns:
        ``cpu`` (model), ``cores`` (physical ones; None where the system does not tell), ``threads`` (logical ones that
        this process may use), ``flags`` (those of `FLAGS` that are present), ``memory_bytes``, ``os``, ``python`` and
        ``versions``, where a package that is not installed has None. Never a host name, a user name or a path.

    Example:
        >>> sorted(machine())
        ['cores', 'cpu', 'flags', 'memory_bytes', 'os', 'python', 'threads', 'versions']
    """
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.is_file() else ""
    model = _field(text, "model name") or platform.processor() or platform.machine()
    flags = _field(text, "flags") or _field(text, "Features")
    return {
        "cpu": model,
        "cores": psutil.cpu_count(logical=False),
        "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "flags": None if flags is None else [flag for flag in FLAGS if flag in flags.split()],
        "memory_bytes": psutil.virtual_memory().total,
        "os": _system(),
        "python": platform.python_version(),
        "versions": {package: _version(package) for package in PACKAGES},
    }


def _field(text: str, name: str) -> str | None:
    """The first value of a field of /proc/cpuinfo."""
    found = re.search(rf"^{re.escape(name)}[ \t]*:[ \t]*(.+)$", text, flags=re.MULTILINE)
    return None if found is None else found.group(1).strip()


def _system() -> str:
    """System and the numbers of its release; what follows them may be the name of whoever built the kernel."""
    release = re.match(r"[0-9.]*[0-9]", platform.release())
    return platform.system() if release is None else f"{platform.system()} {release.group()}"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
