"""Torch: the student itself, built again from its spec and filled with its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from attar.deployment.backends.backend import TOLERANCE, Opened, Precision, Precisions, Runner, Written
from attar.deployment.torch_needed import need_torch
from attar.deployment.weight_files import WEIGHTS

if TYPE_CHECKING:
    from torch import Tensor, nn

    from attar.deployment.candidate import Candidate
    from attar.deployment.prepared import Prepared

RUNTIMES: tuple[str, ...] = ("torch",)
PACKAGES: tuple[str, ...] = ("torch",)
PORTABLE = False
TITLES: Mapping[str, str] = {"torch": "PyTorch"}
PRECISIONS: Mapping[str, Precision] = {"fp32": Precision(WEIGHTS, exact=True, named=True)}


def precisions(student: Prepared | None) -> Precisions:
    """Float32 alone."""
    return {"fp32": ("fp32", {})}


def write(student: Prepared, candidate: Candidate, folder: Path, calibration: Tensor | None) -> Written:
    """Write the weights."""
    from attar.network.weights import save_weights

    save_weights(student.floats.network, folder / WEIGHTS)
    return Written((WEIGHTS,), weights=WEIGHTS)


def open(folder: Path, candidate: Candidate, threads: int, rebuild: Callable[[], nn.Module]) -> Runner:
    """Run the network that was built again."""
    preload(candidate)
    from attar.deployment.torch_runner import open_torch

    return open_torch(rebuild(), threads, own=True)


def rebuilds(candidate: Candidate) -> bool:
    """Always."""
    return True


def preload(candidate: Candidate) -> None:
    """Import torch, and what builds a network and reads its weights.

    Raises:
        MissingExtra: If torch is not installed.
    """
    need_torch(f"Running {candidate.name!r}")
    import attar.deployment.rebuilt
    import attar.deployment.torch_runner  # noqa: F401


def tolerance(candidate: Candidate) -> float | None:
    """The weights are the same, and so is the arithmetic but for the layout in memory."""
    return TOLERANCE


def title(candidate: Candidate) -> str:
    """Float32 alone."""
    return "float32"


def without_attar(candidate: Candidate, folder: str) -> Opened | None:
    """The network is built again by Attar."""
    return None
