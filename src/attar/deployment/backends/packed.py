"""Attar's own file of low-bit codes, entropy coded; it is expanded to float32 and run by torch, or as a graph.

The weights are exactly those of the quantized student: each format decodes its codes with the arithmetic that training
computed with, which is torch's. Reading the codes therefore takes torch, whatever runs what they stand for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attar.deployment.backends import onnxruntime, openvino, torch
from attar.deployment.backends.backend import ROUNDED, TOLERANCE, Opened, Precision, Precisions, Runner, Written
from attar.deployment.backends.onnxruntime import open_onnxruntime
from attar.deployment.backends.openvino import open_openvino
from attar.deployment.packed.settings import CODERS, FLOATS
from attar.deployment.weight_files import PACKED
from attar.errors import CorruptFile

if TYPE_CHECKING:
    from torch import Tensor, nn

    from attar.deployment.candidate import Candidate
    from attar.deployment.packed.content import Content
    from attar.deployment.prepared import Prepared

_NOTE = (
    "The weights are packed on disk and expanded to float32 when the file is opened: this saves bytes of the file, and "
    "neither memory nor time."
)

TITLES: Mapping[str, str] = {**torch.TITLES, **onnxruntime.TITLES, **openvino.TITLES}
PRECISIONS: Mapping[str, Precision] = {
    "packed": Precision(
        PACKED,
        {"coder": CODERS, "floats": FLOATS},
        quantized=True,
        exact=True,
        aside="packed; float32 when opened",
    )
}


def precisions(student: Prepared | None) -> Precisions:
    """One, for students that are quantized."""
    return {"packed": ("packed", {})} if student is not None and student.is_quantized else {}


def write(student: Prepared, candidate: Candidate, folder: Path, calibration: Tensor | None) -> Written:
    """Write the one file; with the graph of the network, unless the network itself is run."""
    from attar.deployment.packed.container import write_packed

    form = student.quantized
    packed = form.content if rebuilds(candidate) else form.content_with_graph
    write_packed(packed, folder / PACKED, **candidate.settings)
    network = form.rebuilt(candidate.settings.get("floats", FLOATS[0]))
    return Written((PACKED,), (_NOTE,), weights=PACKED, network=network)


def open(folder: Path, candidate: Candidate, threads: int, rebuild: Callable[[], nn.Module]) -> Runner:
    """Run what the codes stand for."""
    preload(candidate)
    if rebuilds(candidate):
        return torch.open(folder, candidate, threads, rebuild)
    from attar.deployment.packed.container import read_packed

    path = folder / PACKED
    packed = read_packed(path)
    if packed.graph is None:
        raise CorruptFile(f"{path} has no graph for {candidate.runtime}. Restore it, or deploy again.")
    return _GRAPHS[candidate.runtime](packed, packed.graph, path, threads)


def rebuilds(candidate: Candidate) -> bool:
    """In torch."""
    return candidate.runtime not in _GRAPHS


def preload(candidate: Candidate) -> None:
    """Import what decodes, and what runs."""
    from attar.deployment.backends import backend_of

    torch.preload(candidate)
    import attar.deployment.packed.container
    import attar.deployment.packed.graph  # noqa: F401

    runs = backend_of(candidate.runtime, "fp32")
    if runs is not None:
        runs.preload(candidate)


def tolerance(candidate: Candidate) -> float | None:
    """The weights are exact, unless floats are rounded to 16 bits."""
    return ROUNDED if candidate.settings.get("floats") == "float16" else TOLERANCE


def _in_onnxruntime(packed: Content, graph: bytes, path: Path, threads: int) -> Runner:
    from attar.deployment.packed.graph import missing_weights

    return open_onnxruntime(path, threads, graph=graph, weights=missing_weights(graph, packed.state(), path))


def _in_openvino(packed: Content, graph: bytes, path: Path, threads: int) -> Runner:
    from attar.deployment.packed.graph import with_weights

    return open_openvino(path, threads, graph=with_weights(graph, packed.state(), path).SerializeToString())


_GRAPHS: Mapping[str, Callable[[Any, bytes, Path, int], Runner]] = {
    "onnxruntime": _in_onnxruntime,
    "openvino": _in_openvino,
}
"""The runtimes that run a graph with weights from elsewhere."""

RUNTIMES: tuple[str, ...] = ("torch", *_GRAPHS)
PACKAGES: tuple[str, ...] = ()
PORTABLE = False


def title(candidate: Candidate) -> str:
    """Packed, however its codes are coded."""
    return "packed low-bit weights"


def without_attar(candidate: Candidate, folder: str) -> Opened | None:
    """The codes are decoded by Attar."""
    return None
