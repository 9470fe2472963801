"""What a backend is: one way to write a student as files, and to run these files. Each module beside this one is one.

A module is imported by whoever runs an artifact, so that it imports at its top nothing but what is light: NumPy, the
standard library, and errors. What writes, and the runtime itself, is imported inside of the function that needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from attar.errors import must

if TYPE_CHECKING:
    from torch import Tensor, nn

    from attar.deployment.candidate import Candidate
    from attar.deployment.prepared import Prepared

Array = npt.NDArray[np.float32]
Inputs = Array | npt.NDArray[np.int64]
"""Float32 ``[batch, ...]``; of sequences of tokens int64 ``[batch, 2, length]``, see `attar.tables.tokens`."""

Runner = Callable[[Any], Array]
"""Takes `Inputs` and gives logits, float32 ``[batch, classes]``, in memory of their own."""

TOLERANCE = 1e-3
"""Largest difference of a float32 export from torch, as a share of the largest logit (at least 1)."""

ROUNDED = 5e-2
"""The same where numbers are rounded once more: to 16 bits, or inputs of layers to 8, for each block."""

Precisions = Mapping[str, tuple[str, Mapping[str, Any]]]
"""What a student can be written as, by what it is called after its runtime: a precision, and its settings."""


@dataclass(frozen=True)
class Precision:
    """One precision of a backend.

    Attributes:
        file: The file that is opened, by its name in the artifact's folder.
        settings: The values of each setting; the first is what it is where it is not given.
        quantized: Whether it has the formats of a student that `quantize` made, and is for such students alone. All
            others are written from decoded weights.
        exact: Whether it computes with the very numbers of the student, or of its decoded weights.
        named: Whether students of several inputs can be written.
        calibrated: Whether it needs training inputs, from which it takes ranges.
        aside: What a line about an artifact says of its files.
    """

    file: str
    settings: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    quantized: bool = False
    exact: bool = False
    named: bool = False
    calibrated: bool = False
    aside: str = ""


class Written(NamedTuple):
    """What a backend wrote.

    Attributes:
        files: The names of the files that are needed to run.
        notes: What the manifest says of them, in sentences.
        weights: The one of them that the network is built again from, one of `weight_files`; None if none is.
        network: The student as the files give it back; None where that is what Attar keeps.
    """

    files: tuple[str, ...]
    notes: tuple[str, ...] = ()
    weights: str | None = None
    network: nn.Module | None = None


class Opened(NamedTuple):
    """How a program of a user runs files that were written, with a package of its own and nothing else.

    Attributes:
        package: What it imports.
        opening: The line that opens the files.
        asking: The line that makes ``outputs`` of ``inputs``, a dict of arrays by name.
    """

    package: str
    opening: str
    asking: str


@runtime_checkable
class Backend(Protocol):
    """One way to write a student and to run what was written.

    Attributes:
        RUNTIMES: What executes its files; most backends are named after their one runtime.
        PACKAGES: Distributions whose versions change what is written or measured.
        PORTABLE: Whether every installation of Attar runs its files, without the code that built the student.
        PRECISIONS: Everything that it can write, by name.
        TITLES: What people call its runtimes.
    """

    RUNTIMES: tuple[str, ...]
    PACKAGES: tuple[str, ...]
    PORTABLE: bool
    PRECISIONS: Mapping[str, Precision]
    TITLES: Mapping[str, str]

    def precisions(self, student: Prepared | None) -> Precisions:
        """What is worth trying with a student; with None, what is for every student."""
        ...

    def write(self, student: Prepared, candidate: Candidate, folder: Path, calibration: Tensor | None) -> Written:
        """Write a student.

        Args:
            student: With its graphs and its codes, of which only those are made that are asked for.
            candidate: One of this backend's.
            folder: An empty one.
            calibration: Training inputs, ``[rows, ...]``; always there for a precision that is calibrated.

        Raises:
            DeploymentError: If this student cannot be written this way.
            MissingExtra: If a package is not installed.
        """
        ...

    def open(self, folder: Path, candidate: Candidate, threads: int, rebuild: Callable[[], nn.Module]) -> Runner:
        """What runs files that were written.

        Args:
            folder: Where they lie.
            candidate: As what they were written.
            threads: Threads inside one operation, > 0.
            rebuild: Gives the student as a torch module of the caller's own, for backends that say they rebuild it.

        Raises:
            CorruptFile: If the runtime cannot read them.
            MissingExtra: If it is not installed.
        """
        ...

    def rebuilds(self, candidate: Candidate) -> bool:
        """Whether the student itself is run, built again from its spec, so that there must be one."""
        ...

    def preload(self, candidate: Candidate) -> None:
        """Import the runtime, and have it set up what it sets up once: what does not count as memory of a model."""
        ...

    def tolerance(self, candidate: Candidate) -> float | None:
        """How far outputs may be from those of torch, as a share of the largest; None for what only measuring tells."""
        ...

    def title(self, candidate: Candidate) -> str:
        """What people call a candidate, behind its runtime: its numbers, and how it differs from its neighbors."""
        ...

    def without_attar(self, candidate: Candidate, folder: str) -> Opened | None:
        """How a program without Attar runs files that lie in a folder; None where none can."""
        ...


def check_threads(threads: int, of: str) -> None:
    """Refuse fewer threads than one.

    Raises:
        BadInput: If there are.
    """
    if threads < 1:
        raise must("threads", of, "at least 1", threads, "Use 1 for timings that can be compared")
