"""The ways to write a student as files and to run these, one file each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attar.deployment.backends import onnxruntime, openvino, packed, torch
from attar.deployment.backends.backend import Backend

BACKENDS: Mapping[str, Backend] = {
    "torch": torch,
    "onnxruntime": onnxruntime,
    "openvino": openvino,
    "packed": packed,
}
"""Every backend. Their order is that of candidates, and of runtimes where a recipe names none."""

RUNTIMES = tuple(dict.fromkeys(runtime for backend in BACKENDS.values() for runtime in backend.RUNTIMES))
"""Everything that executes files of ours."""

PORTABLE = next(runtime for backend in BACKENDS.values() if backend.PORTABLE for runtime in backend.RUNTIMES)
"""The runtime that every installation has, and that needs nothing but its files."""

EAGER = torch.RUNTIMES[0]
"""What runs a network that is a module in memory, deployed or not."""

PACKAGES = tuple(dict.fromkeys(package for backend in BACKENDS.values() for package in backend.PACKAGES))
"""Distributions whose versions change what is written or measured."""


def backends_of(runtime: str) -> Iterator[Backend]:
    """The backends whose files a runtime executes."""
    return (backend for backend in BACKENDS.values() if runtime in backend.RUNTIMES)


def backend_of(runtime: str, precision: str) -> Backend | None:
    """The backend that writes for a runtime in a precision; None if there is none."""
    return next((backend for backend in backends_of(runtime) if precision in backend.PRECISIONS), None)
