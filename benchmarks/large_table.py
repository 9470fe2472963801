"""How much memory do a table of ten million rows in a Parquet file, and a training on it, take?

    python benchmarks/large_table.py

A process writes the table, a million rows at a time. Another one reads it with attar.load_data, as an engineer would,
and trains a small student for an epoch; a third does nothing but import what that needs. Their memory is looked at
from within: all that is resident, and of it what no file stands behind, which is what a system cannot take back.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from result import RESULTS, write

from attar import interpreter

AIM_BYTES = 2_000_000_000
COLUMNS = 10

WHAT = (
    "A Parquet file of the given rows: seven columns of normal float64 numbers, one of 50 names, one of whole numbers "
    "up to 100, one of texts such as '17,50 EUR', and two classes, of which the first three numbers decide. 'read' is "
    "attar.load_data with its target named, 'train' attar.fit of a perceptron of the columns, one epoch of batches of "
    "8,192 rows, 'test' its accuracy on the test rows. 'resident' is the largest resident memory of the process until "
    "the end of it (Linux's VmHWM), 'anonymous' the largest of RssAnon, looked at every 20 ms. Bytes and seconds, of "
    "one thread; the machine may do other work beside it. 'matrix' are the bytes of all encoded rows, of which "
    "those of train lie in a file."
)

TABLE = """
import sys
import numpy as np, pyarrow as pa, pyarrow.parquet
path, rows, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
random = np.random.default_rng(seed)
shops = np.array([f"shop {place}" for place in range(50)], object)
prices = np.array([f"{place},50 EUR" for place in range(1000)], object)
writer = None
for start in range(0, rows, 1_000_000):
    count = min(1_000_000, rows - start)
    numbers = random.normal(size=(7, count))
    table = pa.table({
        **{f"x{place}": values for place, values in enumerate(numbers)},
        "shop": pa.array(shops[random.integers(0, 50, count)]),
        "count": random.integers(0, 100, count),
        "price": pa.array(prices[random.integers(0, 1000, count)]),
        "kind": pa.array(np.where(numbers[0] + numbers[1] * numbers[2] > 0, "yes", "no")),
    })
    writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema)
    writer.write_table(table)
writer.close()
"""

WATCH = """
import json, sys, threading, time
def status(key):
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return int(file.read().partition(key + ":")[2].split()[0]) * 1024
anonymous = 0
def watch():
    global anonymous
    while True:
        anonymous = max(anonymous, status("RssAnon"))
        time.sleep(0.02)
threading.Thread(target=watch, daemon=True).start()
found, begun = {}, time.perf_counter()
def stage(name):
    found[name] = {"seconds": round(time.perf_counter() - begun, 1), "resident": status("VmHWM"),
                   "anonymous": anonymous}
import torch, attar
from attar.data.datasets import load
from attar.network.spec import Spec
from attar.training.fit import fit
import pyarrow.parquet
time.sleep(0.1)
stage("import")
"""

TRAIN = """
data = attar.load_data(sys.argv[1], target="kind")
stage("read")
torch.manual_seed(0)
spec = Spec("attar.network.architectures:tabular",
            {"columns": data.columns.to_json(), "outputs": 2, "hidden": [32]})
objective = attar.Objective({"hard": attar.Term(loss=attar.HardLabels())})
settings = attar.Training(epochs=1, batch_size=8192, optimizer="adam", learning_rate=0.003)
student = fit(spec.build(), objective, attar.TransferSet(data.train), settings=settings).model
stage("train")
right = known = 0
with torch.no_grad():
    for start in range(0, len(data.test), 1 << 16):
        some = slice(start, start + (1 << 16))
        right += int((student(data.test.floats(some)).argmax(1) == data.test.labels[some]).sum())
        known += len(data.test.labels[some])
stage("test")
found["rows"] = {role: len(split) for role, split in data.splits().items()}
found["matrix"] = sum(split.inputs.numel() * 4 for split in data.splits().values())
found["accuracy"] = right / known
"""

END = "\nprint(json.dumps(found))\n"


def ran(program: str, *arguments: object) -> Any:
    """What a process of its own prints as JSON; None if it prints nothing."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=interpreter.environment())
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else None


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--out", type=Path, default=RESULTS / "large_table.json")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "large.parquet"
        ran(TABLE, file, asked.rows, 0)
        size = file.stat().st_size
        found = ran(WATCH + TRAIN + END, file)
    nothing = ran(WATCH + END)
    peak = found["test"]["resident"]
    claims = [
        {
            "claim": f"a table of {asked.rows:,} rows and {COLUMNS} columns is read, and a student trained on it, with "
            f"at most {AIM_BYTES // 10**9} GB of resident memory",
            "aim": AIM_BYTES,
            "reached": peak,
            "met": peak <= AIM_BYTES,
        },
    ]
    summary = {
        "file": size,
        "matrix": found["matrix"],
        "import": nothing["import"],
        **{name: found[name] for name in ("read", "train", "test")},
        "accuracy": found["accuracy"],
    }
    path = write(
        asked.out,
        what=WHAT,
        seed=0,
        packages=["pyarrow"],
        settings={"rows": asked.rows, "columns": COLUMNS, "epochs": 1, "batch": 8192, "threads": 1},
        claims=claims,
        summary=summary,
        raw={"load_average": os.getloadavg()[0], "found": found, "nothing": nothing},
    )
    print(json.dumps(summary, indent=1))
    print(f"claims met: {sum(claim['met'] for claim in claims)} of {len(claims)}; written to {path}")


if __name__ == "__main__":
    main()
