"""Kill runs, let them go on, let two share a folder, and compare what comes out with a run that was left alone.

    python benchmarks/kill_resume.py                     # 50 kills, 5 pairs, 10 pairs of which one is killed
    python benchmarks/kill_resume.py --kills 3 --pairs 1 --runtimes torch

Runs are forked from one process that has everything imported, so that what is killed is work and not importing. Each
kill is SIGKILL, at a moment drawn evenly over the time that the run takes when it is left alone, into a folder of its
own; another run in the same folder follows it.
"""

from __future__ import annotations

import argparse
import functools
import gc
import hashlib
import json
import os
import random
import re
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from result import RESULTS, write

LEFT_OUT = {
    r"created": "the date",
    r"stages\[\d+\]\.(seconds|reused)": "how long a step took, and whether it was found finished",
    r"targets\.seconds": "how long the label pass took",
    r"models\[\d+\]\.latency\b.*": "timings",
    r"checksum": "of all the other keys, these among them",
    r"ratios\.faster_batch\d+\b.*": "ratios of timings",
    r"panels\b.*": "they show all of this",
}
"""Dotted keys of evidence.json that are not compared, and why."""

CHOICE = r"(winner|why|alerts|met|budget|ratios|models\[\d+\]\.refused)\b.*"
"""Dotted keys that follow from the timings too: compared, and reported apart."""

WHAT = (
    "A small recipe (a teacher, its stored targets, a student and a baseline, deployed to the runtimes and "
    "measured) is run alone; killed with SIGKILL and run again, once per kill, each time in a new folder; by "
    "two processes at once in one folder; and by two of which one is killed. Counted are those whose evidence.json is "
    "equal but for left_out and choice, which follow from timings; whose folder has the same files, the names in "
    "artifact/ aside, and nothing else (no lock, nothing unfinished); and whose networks, targets and artifacts below "
    "nodes/ are equal byte for byte. Of two processes, every node must have been made by one. Peak memory, "
    "which fresh interpreters measure, is a constant here, and the page is not drawn."
)


def recipe_of(folder: Path, runtimes: Sequence[str], int8: bool) -> dict[str, Any]:
    """A recipe of some seconds, on made-up data."""
    draws, classes = np.random.default_rng(0), ("ant", "bee", "cat")
    y = np.arange(240) % len(classes)
    x = (draws.normal(size=(len(classes), 6))[y] + draws.normal(scale=0.7, size=(len(y), 6))).astype("float32")
    np.savez(folder / "blobs.npz", x=x, y=y, classes=np.array(classes))

    def network(hidden: int) -> dict[str, Any]:
        return {
            "use": "attar.network.architectures:mlp",
            "arguments": {"inputs": 6, "classes": len(classes), "hidden": [hidden]},
        }

    training = {"epochs": 25, "batch_size": 16, "checkpoint_seconds": 0.05}
    return {
        "name": "small",
        "title": "A small run",
        "data": {"use": str(folder / "blobs.npz"), "validation": 0.25},
        "teacher": {"network": network(24), "training": training},
        "student": {"network": network(4), "training": training},
        "objective": {
            "soft": {"use": "soft_targets", "temperature": 2.0, "weight": 0.5},
            "hard": {"use": "hard_labels", "weight": 0.5},
        },
        "budget": {"quality_loss": "100%"},
        "artifacts": {"runtimes": list(runtimes), "int8": int8, "seconds": 0.02},
    }


def started(recipe: dict[str, Any], folder: Path) -> int:
    """Start a run in a process of its own; its number."""
    sys.stdout.flush()
    process = os.fork()
    if process:
        return process
    code = 70
    try:
        from attar.recipes.compress import compress
        from attar.recipes.read import from_document

        compress(from_document(recipe), folder)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(process: int) -> int:
    """Wait for a run; its exit code, negative where a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and plain values of a document."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from flat(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from flat(item, f"{key}[{index}]")
    else:
        yield key, value


def found_in(folder: Path) -> dict[str, Any]:
    """What a finished run left: its evidence, the names of its files, and digests of what its nodes made."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = [path.relative_to(folder).as_posix() for path in files]
    evidence = json.loads((folder / "evidence.json").read_text(encoding="utf-8"))
    return {
        "evidence": dict(flat(evidence)),
        "steps": {one["name"]: one["reused"] for one in evidence["stages"] if one["name"] != "data"},
        "names": {name for name in names if not name.startswith("artifact/")},
        "digests": {
            name: hashlib.sha256(path.read_bytes()).hexdigest()
            for name, path in zip(names, files, strict=True)
            if name.startswith("nodes/") and path.name != "node.json"  # which has the time that it took
        },
    }


def compared(alone: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """What differs between two finished runs."""
    one, two = alone["evidence"], other["evidence"]
    absent = object()
    differing = [
        key
        for key in sorted(one.keys() | two.keys())
        if one.get(key, absent) != two.get(key, absent) and not any(re.fullmatch(p, key) for p in LEFT_OUT)
    ]
    choice = [key for key in differing if re.fullmatch(CHOICE, key)]
    return {
        "differences": {key: [one.get(key), two.get(key)] for key in differing if key not in choice},
        "choice_differences": len(choice),
        "litter": sorted(other["names"] - alone["names"]),
        "absent": sorted(alone["names"] - other["names"]),
        "other_bytes": sorted(
            name for name, digest in alone["digests"].items() if other["digests"].get(name, digest) != digest
        ),
    }


def same(found: dict[str, Any]) -> bool:
    return not (found["differences"] or found["litter"] or found["absent"] or found["other_bytes"])


def killed(recipe: dict[str, Any], folder: Path, alone: dict[str, Any], seconds: float) -> dict[str, Any] | None:
    """A run killed after so many seconds, and gone on with; None if it came to its end before."""
    process = started(recipe, folder)
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)
    if ended(process) != -signal.SIGKILL:
        return None
    left = sum(path.is_file() for path in folder.rglob("*"))
    done = len(list(folder.glob("nodes/**/node.json")))
    code = ended(started(recipe, folder))
    return {
        "seconds": seconds,
        "nodes_done": done,
        "files_left": left,
        "code": code,
        **(compared(alone, found_in(folder)) if code == 0 else {"differences": {"code": code}}),
    }


def paired(recipe: dict[str, Any], folder: Path, alone: dict[str, Any], seconds: float | None) -> dict[str, Any]:
    """Two runs in one folder at once, the first of which is killed after so many seconds."""
    processes = [started(recipe, folder) for _ in range(2)]
    if seconds is not None:
        time.sleep(seconds)
        os.kill(processes[0], signal.SIGKILL)
    codes = [ended(process) for process in processes]
    log = (folder / "log.txt").read_text(encoding="utf-8")
    times = {name: log.count(f": {name}: 25 epochs") for name in alone["steps"]}
    twice = sorted(name for name, count in times.items() if count > 1) if seconds is None else []
    return {"seconds": seconds, "codes": codes, "made_twice": twice, **compared(alone, found_in(folder))}


def trials(
    folder: Path, runtimes: Sequence[str], int8: bool, kills: int, pairs: int, halves: int, seed: int
) -> dict[str, Any]:
    """Everything: ``alone`` (seconds, steps) and the lists ``kills``, ``pairs`` and ``halves``."""
    recipe, draw = recipe_of(folder, runtimes, int8), random.Random(seed)
    began = time.monotonic()
    if code := ended(started(recipe, folder / "alone")):
        raise SystemExit(f"the run that is left alone ended with exit code {code}")
    length = time.monotonic() - began
    alone = found_in(folder / "alone")
    print(f"left alone: {length:.1f} s, {len(alone['steps'])} steps", flush=True)
    # In one more run that is left alone nothing differs either, or the comparison would say nothing.
    if code := ended(started(recipe, folder / "again")) or not same(compared(alone, found_in(folder / "again"))):
        raise SystemExit(f"two runs that are left alone differ: {compared(alone, found_in(folder / 'again'))}")
    found: dict[str, Any] = {"alone": {"seconds": length, "steps": list(alone["steps"])}, "kills": []}
    attempt = 0
    while len(found["kills"]) < kills:
        attempt += 1
        one = killed(recipe, folder / f"killed-{attempt}", alone, draw.uniform(0, length))
        if one is not None:
            found["kills"].append(one)
            print(f"{len(found['kills'])}: {one['seconds']:.2f} s, {'same' if same(one) else one}", flush=True)
    found["pairs"] = [paired(recipe, folder / f"pair-{number}", alone, None) for number in range(pairs)]
    found["halves"] = [
        paired(recipe, folder / f"half-{number}", alone, draw.uniform(0, length)) for number in range(halves)
    ]
    return found


def warm(runtimes: Sequence[str]) -> None:
    """Have everything imported and looked up in this process that each run would do again, and start no thread."""
    import torch
    import torch._dynamo  # by the first optimizer, or to count multiply-adds: half the time of a run
    from torch.onnx._internal.exporter import _registration

    import attar.recipes.compress
    import attar.recipes.measured
    import attar.report.page
    from attar.deployment.export import to_onnx
    from attar.network.architectures import mlp
    from attar.workspace import write_file

    attar.recipes.measured.peak_memory = lambda *_, **__: 123_456
    attar.report.page.render = lambda _, path: write_file(path, "a page")
    if {"onnxruntime", "openvino"} & set(runtimes):
        registry = _registration.ONNXRegistry
        registry.from_torchlib = staticmethod(functools.cache(registry.from_torchlib))  # half the time of an export
        with tempfile.TemporaryDirectory() as place:
            to_onnx(mlp(6, 3, [4]), torch.zeros(1, 6), Path(place) / "model.onnx")
    if "openvino" in runtimes:
        import openvino  # noqa: F401
    gc.collect()
    gc.freeze()  # a race begins with a collection of garbage, of which none is here


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtimes", nargs="*", default=["torch", "onnxruntime", "openvino"])
    parser.add_argument("--int8", action="store_true", help="deploy to int8 as well")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--pairs", type=int, default=5, help="of two processes on one folder")
    parser.add_argument("--halves", type=int, default=10, help="pairs of which one is killed")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, default=RESULTS / "kill_resume.json")
    asked = parser.parse_args()
    warm(asked.runtimes)
    with tempfile.TemporaryDirectory() as place:
        found = trials(Path(place), asked.runtimes, asked.int8, asked.kills, asked.pairs, asked.halves, asked.seed)
    pairs, halves = found["pairs"], found["halves"]
    figures = [
        ("killed runs that came to the same", sum(map(same, found["kills"])), asked.kills),
        (
            "pairs at once that both ended, came to the same, and made no node twice",
            sum(same(one) and one["codes"] == [0, 0] and not one["made_twice"] for one in pairs),
            asked.pairs,
        ),
        (
            "pairs of which one was killed, and the other came to the same",
            sum(same(one) and one["codes"][1] == 0 for one in halves),
            asked.halves,
        ),
    ]
    claims = [{"claim": name, "aim": aim, "reached": count, "met": count == aim} for name, count, aim in figures]
    path = write(
        asked.out,
        what=WHAT,
        seed=asked.seed,
        packages=["onnx"],
        settings={key: value for key, value in vars(asked).items() if key not in ("out", "seed")},
        left_out=LEFT_OUT,
        claims=claims,
        raw=found,
    )
    for one in claims:
        print(f"{'met    ' if one['met'] else 'NOT MET'} {one['claim']}: {one['reached']} of {one['aim']}")
    print(f"written to {path}")


if __name__ == "__main__":
    main()
