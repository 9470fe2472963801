"""How much memory an artifact needs to run, measured in a fresh interpreter.

``python -m attar.evidence.memory FOLDER BATCH`` is that interpreter. It first imports everything that running the
artifact will import: the artifact's own runtime with its CPU plugin, and torch with the code of the network where torch
runs it. Then it reads its resident memory: the baseline. Then it opens the artifact, runs it, and reports by how much
its memory peaked above the baseline: what this model adds to a program that has its runtime loaded. What a runtime sets
up for its first model, however small, is part of that: around 10 MB in ONNX Runtime and 30 MB in OpenVINO.

The peak is Linux's VmHWM, set back to the present before loading so that no import can hide in it. getrusage's
ru_maxrss would not do there: a new process inherits it from its parent, which may just have trained something big.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from attar import interpreter
from attar.errors import AttarError, must

_CALLS = 3


def peak_memory(
    folder: Path | str,
    batch: int = 1,
    *,
    threads: int = 1,
    allow: Sequence[str] = ("attar",),
    timeout: float = 300.0,
) -> int | None:
    """Bytes by which memory peaks above an idle interpreter while an artifact is loaded and run three times.

    Resident memory, in pages: differences below some hundred kilobytes mean nothing. The interpreter is this one
    (``sys.executable``) with this one's import path.

    Args:
        folder: The artifact's folder.
        batch: Examples in one call.
        threads: Threads that the runtime is allowed; each may bring a buffer of its own.
        allow: Packages from which a torch artifact's network may be built, as for `attar.deployment.artifact.load`.
        timeout: Seconds after which the measurement is given up.

    Returns:
        The bytes, or None on a system that does not tell (neither Linux nor macOS).

    Raises:
        BadInput: If ``batch`` or ``threads`` is below 1.
        AttarError: If the other interpreter could not load or run the artifact; its last line of output is in the
            message.
    """
    for name, value in (("batch", batch), ("threads", threads)):
        if value < 1:
            raise must(name, "peak_memory", "at least 1", value, "Use 1")
    if not measurable():
        return None
    arguments = [str(Path(folder).resolve()), str(batch), "--threads", str(threads), "--allow", ",".join(allow)]
    command = interpreter.command("attar.evidence.memory", arguments)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=interpreter.environment())
    except subprocess.TimeoutExpired as error:
        raise _failed(folder, f"no answer in {timeout:g} seconds") from error
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise _failed(folder, f"the measuring process was ended by {name}; SIGKILL often means that memory ran out")
    if done.returncode > 0:
        error_lines = done.stderr.strip().splitlines()
        raise _failed(
            folder, error_lines[-1].strip() if error_lines else f"exit status {done.returncode} without a message"
        )
    try:
        # A runtime may have printed before; the answer is the last line.
        return int(json.loads(done.stdout.strip().splitlines()[-1])["peak_memory_bytes"])
    except (ValueError, LookupError, TypeError) as error:
        raise _failed(folder, f"its answer was not understood ({error})") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure in this process and write one line of JSON.

    Its keys are ``peak_memory_bytes``, ``baseline_bytes``, ``batch`` and ``threads``.

    Args:
        arguments: FOLDER BATCH [--threads N] [--allow PACKAGE,PACKAGE]; None takes the command line's.

    Returns:
        The exit status: 0, or 1 after a message on standard error.
    """
    parser = argparse.ArgumentParser(prog="python -m attar.evidence.memory", description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("batch", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--allow", default="attar")
    given = parser.parse_args(arguments)
    try:
        report = _measure(given.folder, given.batch, given.threads, tuple(given.allow.split(",")))
    except (AttarError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps(report) + "\n")
    return 0


def _measure(folder: Path, batch: int, threads: int, allow: tuple[str, ...]) -> dict[str, int]:
    import numpy as np
    import psutil  # type: ignore[import-untyped]

    from attar.deployment.artifact import load

    artifact = load(folder, threads=threads, allow=allow)
    inputs = artifact.examples(batch)
    if artifact.tokens is None and artifact.named is None:
        inputs = np.random.default_rng(0).random(inputs.shape, dtype=np.float32)
    candidate, described = artifact.candidate, artifact.manifest["network"]
    candidate.backend.preload(candidate)
    if candidate.backend.rebuilds(candidate) and "reference" in described:
        from attar.network.references import resolve

        resolve(described["reference"])
    baseline = int(psutil.Process().memory_info().rss)
    _forget_peak()
    runner = artifact.open(threads)
    for _ in range(_CALLS):
        runner(inputs)
    peak = max(0, _peak() - baseline)
    return {"peak_memory_bytes": peak, "baseline_bytes": baseline, "batch": batch, "threads": threads}


def measurable() -> bool:
    """Whether this system tells how much memory a process has had."""
    return sys.platform in ("linux", "darwin")


def _forget_peak() -> None:
    """Set the process's peak back to its present memory; where that is forbidden the peak of importing stays in it."""
    if sys.platform == "linux":
        try:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        except OSError as error:
            sys.stderr.write(f"The peak of importing may be counted too: {error}\n")


def _peak() -> int:
    """Highest resident memory of this process, in bytes."""
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    else:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _failed(folder: Path | str, why: str) -> AttarError:
    return AttarError(
        f"The memory of the artifact in {str(folder)!r} could not be measured: {why.rstrip('.')}. "
        "Load and run the artifact by itself to see the whole error."
    )


if __name__ == "__main__":
    sys.exit(main())
