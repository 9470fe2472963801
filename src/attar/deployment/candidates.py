"""Every way to deploy a student, and the one that a name means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from attar.deployment.backends import RUNTIMES, backends_of
from attar.deployment.candidate import Candidate
from attar.deployment.prepared import Prepared
from attar.errors import must, near


def candidates(
    runtimes: Sequence[str] = RUNTIMES, int8: bool = True, student: nn.Module | Prepared | None = None
) -> list[Candidate]:
    """Every way to deploy that is worth measuring on the machine at hand.

    Args:
        runtimes: Which runtimes to consider.
        int8: Whether to add the int8 settings of those runtimes that have them.
        student: What is to be deployed. If `quantize` made it, its packed files are added, and low-bit execution where
            ONNX Runtime has it for all quantized weights. Where it was prepared, its codes are computed no second time.

    Raises:
        BadInput: If a runtime is unknown, none is given, or they can do nothing but int8 and that is left out.

    Example:
        >>> [candidate.name for candidate in candidates(["torch", "onnxruntime"], int8=False)]
        ['torch fp32', 'onnxruntime fp32']
    """
    if not runtimes:
        raise must("runtimes", "candidates", "at least one runtime", list(runtimes), near("", RUNTIMES))
    for runtime in runtimes:
        if runtime not in RUNTIMES:
            raise must("runtimes", "candidates", "known runtimes", runtime, near(runtime, RUNTIMES))
    ready = Prepared(student) if isinstance(student, nn.Module) else student
    found = [
        candidate
        for runtime in dict.fromkeys(runtimes)
        for candidate in _offered(runtime, ready)
        if int8 or candidate.precision != "int8"
    ]
    if not found:
        rule = "some that have another precision than int8, which is left out"
        raise must("runtimes", "candidates", rule, list(runtimes), "Allow int8, or add another runtime")
    return found


def candidate_of(name: object, parameter: str = "candidate", of: str = "deploy") -> Candidate:
    """The candidate that a name means: of one for every student, or of a precision for those that `quantize` made.

    Args:
        name: A candidate's, or a runtime's, which means the first that the runtime has.
        parameter: What the user calls it.
        of: Of what it is a parameter.

    Raises:
        BadInput: If no candidate is called so.
    """
    known: dict[str, Candidate] = {}
    for runtime in RUNTIMES:
        every = [*_offered(runtime, None), *_quantized(runtime)]
        known |= {candidate.name: candidate for candidate in every} | {runtime: every[0]}
    if not isinstance(name, str) or name not in known:
        raise must(parameter, of, "a known name", name, near(str(name), known))
    return known[name]


def full_precision(runtime: str) -> Candidate | None:
    """The candidate of a runtime that computes with the very numbers of any student; None where it has none."""
    return next((one for one in _offered(runtime, None) if one.kind.exact), None)


def _offered(runtime: str, student: Prepared | None) -> Iterator[Candidate]:
    for backend in backends_of(runtime):
        for name, (precision, settings) in backend.precisions(student).items():
            yield Candidate(f"{runtime} {name}", runtime, precision, settings)


def _quantized(runtime: str) -> Iterator[Candidate]:
    for backend in backends_of(runtime):
        for precision, kind in backend.PRECISIONS.items():
            if kind.quantized:
                yield Candidate(f"{runtime} {precision}", runtime, precision)
