"""What does it cost a program to open an artifact: time and memory of a whole process, beside its runtime alone?

    python benchmarks/open_artifact.py

A process imports Attar, loads an ONNX artifact, which checks every byte, and asks it about one input; another one
imports ONNX Runtime and does the same with the file itself. They take turns. An artifact of images and one of rows of a
table, given by name.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from result import RESULTS, write

from attar import interpreter
from attar.deployment.deploy import deploy
from attar.network.spec import Spec
from attar.tables.columns import Columns
from attar.tasks.classification import Classification

AIM_SECONDS, AIM_BYTES = 0.6, 80_000_000

WHAT = (
    "Seconds from the start of a process to its end, and its largest resident memory in bytes (Linux's VmHWM, read "
    "at the end), in a process that opens an artifact and asks it about one input. 'image' and 'table' are attar.load "
    "and a call; 'onnxruntime' is an InferenceSession of the image's file and a call; 'python' does nothing. Medians "
    "over rounds in which all take turns, with the 2.5th and 97.5th percentile. Files are in the page cache after a "
    "first round that does not count."
)

ENDING = """
status = open("/proc/self/status", encoding="ascii", errors="replace").read()
print(int(status.partition("VmHWM:")[2].split()[0]) * 1024)
"""

PROGRAMS = {
    "image": "import sys, numpy, attar\n"
    "attar.load(sys.argv[1] + '/image')(numpy.zeros((1, 1, 28, 28), numpy.float32))\n",
    "table": "import sys, attar\n"
    "attar.load(sys.argv[1] + '/table')({'color': 'red', 'age': 3.5, 'size': None})\n",
    "onnxruntime": "import sys, numpy, onnxruntime\n"
    "session = onnxruntime.InferenceSession(sys.argv[1] + '/image/model.onnx', providers=['CPUExecutionProvider'])\n"
    "session.run(None, {'input': numpy.zeros((1, 1, 28, 28), numpy.float32)})\n",
    "python": "",
}  # fmt: skip


def make(folder: Path) -> None:
    """Deploy both artifacts."""
    torch.manual_seed(0)
    spec = Spec("attar.network.architectures:convnet", {"classes": 10, "widths": [16, 32]})
    image = torch.rand(1, 1, 28, 28)
    task = Classification(tuple(map(str, range(10))))
    deploy(spec.build().eval(), "onnxruntime", folder / "image", example=image, task=task, spec=spec)
    rows = {"color": ["red", "blue", "red"], "age": [3.5, -1.0, 2.0], "size": [1, 7, 2]}
    columns = Columns.infer(rows)
    spec = Spec("attar.network.architectures:tabular", {"columns": columns.to_json(), "outputs": 2, "hidden": [32]})
    example = torch.from_numpy(columns.encode(rows)).float()[:1]
    deploy(
        spec.build().eval(), "onnxruntime", folder / "table", example=example, task=Classification(("a", "b")),
        spec=spec, columns=columns,
    )  # fmt: skip


def measured(program: str, folder: Path) -> tuple[float, int]:
    """Seconds and bytes of one process."""
    command = [sys.executable, "-c", program + ENDING, str(folder)]
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=interpreter.environment())
    return time.perf_counter() - begun, int(done.stdout)


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=RESULTS / "open_artifact.json")
    asked = parser.parse_args()
    taken: dict[str, list[tuple[float, int]]] = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory() as place:
        make(Path(place))
        for turn in range(asked.rounds + 1):
            for name, program in PROGRAMS.items():
                found = measured(program, Path(place))
                if turn:
                    taken[name].append(found)
    summary = {name: {"seconds": around([s for s, _ in all_]), "bytes": around([b for _, b in all_])}
               for name, all_ in taken.items()}  # fmt: skip
    claims = [
        {
            "claim": f"a process opens an ONNX artifact ({name}) and asks it once {how}",
            "aim": aim,
            "reached": summary[name][figure]["median"],
            "interval": summary[name][figure]["interval"],
            "met": summary[name][figure]["median"] <= aim,
        }
        for name in ("image", "table")
        for figure, aim, how in (
            ("seconds", AIM_SECONDS, f"in at most {AIM_SECONDS} s"),
            ("bytes", AIM_BYTES, f"with at most {AIM_BYTES // 10**6} MB of memory"),
        )
    ]
    path = write(
        asked.out,
        what=WHAT,
        seed=0,
        settings={"rounds": asked.rounds, "threads": 1},
        claims=claims,
        summary=summary,
        raw={"load_average": os.getloadavg()[0], "taken": taken},
    )
    print(json.dumps(summary, indent=1))
    print(f"claims met: {sum(claim['met'] for claim in claims)} of {len(claims)}; written to {path}")


def around(values: list[Any]) -> dict[str, Any]:
    """The median and where the middle 95 in 100 lie."""
    ordered = sorted(values)
    last = len(ordered) - 1
    ends = [ordered[round(share * last)] for share in (0.025, 0.975)]
    return {"median": statistics.median(ordered), "interval": ends}


if __name__ == "__main__":
    main()
