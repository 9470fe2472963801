"""Torch: the student itself, built again from its spec and filled with its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from attar.deployment.backends.backend import TOLERANCE, Precision, Precisions, Runner, Written
from attar.errors import MissingExtra

if TYPE_CHECKING:
    from torch import Tensor, nn

    from attar.deployment.candidate import Candidate
    from attar.deployment.prepared import Prepared

WEIGHTS = "student.safetensors"
"""The weights of a network; other runtimes have them beside their own file, to rebuild it."""

RUNTIMES: tuple[str, ...] = ("torch",)
PRECISIONS: Mapping[str, Precision] = {"fp32": Precision(WEIGHTS)}


def precisions(student: Prepared | None) -> Precisions:
    """Float32 alone."""
    return {"fp32": ("fp32", {})}


def write(student: Prepared, candidate: Candidate, folder: Path, calibration: Tensor | None) -> Written:
    """Write the weights."""
    from attar.network.weights import save_weights

    save_weights(student.floats.network, folder / WEIGHTS)
    return Written((WEIGHTS,))


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


def need_torch(purpose: str) -> None:
    """Import torch, without which Attar is installed where it only runs artifacts of another runtime.

    Args:
        purpose: What needs it; the subject of the error when it is absent.

    Raises:
        MissingExtra: If it is not installed.
    """
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtra(f"{purpose} needs torch, which is not installed. Run: pip install attar.") from error


def tolerance(candidate: Candidate) -> float | None:
    """The weights are the same, and so is the arithmetic but for the layout in memory."""
    return TOLERANCE
