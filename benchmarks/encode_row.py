"""Rows given by name to an artifact: what does it cost to encode them, beside the model itself?

    python benchmarks/encode_row.py

One row of ten mixed columns, as a DataFrame, a dict, a list with a dict, a Series, a dict of lists and an array of
objects; and batches, for which the same rows are also encoded column by column.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch
from result import RESULTS, write

from attar.deployment.deploy import deploy
from attar.network.spec import Spec
from attar.tables.columns import Columns
from attar.tasks.classification import Classification

AIM_MS = 0.15
BATCHES = (64, 1000)

WHAT = (
    "Milliseconds of CPU time to encode rows of a table of ten columns (four floats, three whole numbers, three of "
    "names) as the float32 matrix that a runtime takes: Artifact.encode. Each figure is the median over rounds of the "
    "mean of the calls in a round, with the 2.5th and 97.5th percentile of the rounds; forms take turns. 'model' is "
    "the artifact's runner (ONNX Runtime, one thread) on the encoded row."
)


def table(rows: int, seed: int) -> pd.DataFrame:
    """Rows of mixed columns."""
    draw = np.random.default_rng(seed)
    floats = {f"float {place}": draw.normal(size=rows) for place in range(4)}
    whole = {f"whole {place}": draw.integers(0, 99, size=rows) for place in range(3)}
    names = {f"name {place}": draw.choice(["red", "green", "blue"], size=rows) for place in range(3)}
    return pd.DataFrame(floats | whole | names)


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "encode_row.json")
    asked = parser.parse_args()
    rows = table(1000, asked.seed)
    columns = Columns.infer(rows)
    spec = Spec("attar.network.architectures:tabular", {"columns": columns.to_json(), "outputs": 2, "hidden": [32]})
    torch.manual_seed(asked.seed)
    with tempfile.TemporaryDirectory() as place:
        example = torch.from_numpy(columns.encode(rows[:1])).float()
        student = spec.build().eval()
        artifact = deploy(
            student, "onnxruntime", Path(place) / "artifact", example=example, task=Classification(("a", "b")),
            spec=spec, columns=columns,
        )  # fmt: skip
        runner, record = artifact.open(), rows.iloc[0].to_dict()
        row, records, series, array = rows.iloc[:1], [record], rows.iloc[0], rows.iloc[:1].to_numpy(dtype=object)
        lists = {name: [value] for name, value in record.items()}
        encoded = artifact.encode(rows[:1])
        forms: dict[str, Callable[[], Any]] = {
            "DataFrame": lambda: artifact.encode(row),
            "dict": lambda: artifact.encode(record),
            "list of one dict": lambda: artifact.encode(records),
            "Series": lambda: artifact.encode(series),
            "dict of lists": lambda: artifact.encode(lists),
            "array of objects": lambda: artifact.encode(array),
            "model": lambda: runner(encoded),
        }
        single = measured(forms, asked.rounds, asked.calls)
        batches = {f"DataFrame of {count}": (lambda one=rows.iloc[:count]: artifact.encode(one)) for count in BATCHES}
        many = measured(batches, asked.rounds, max(1, asked.calls // 20))
    claims = [
        {
            "claim": f"one row given as {form} is encoded in at most {AIM_MS} ms",
            "aim": AIM_MS,
            "reached": single[form]["median_ms"],
            "interval": single[form]["interval_ms"],
            "met": single[form]["interval_ms"][1] <= AIM_MS,
        }
        for form in forms
        if form != "model"
    ]
    path = write(
        asked.out,
        what=WHAT,
        seed=asked.seed,
        packages=("pandas", "pyarrow"),
        settings={"rounds": asked.rounds, "calls": asked.calls, "threads": 1},
        claims=claims,
        summary={"one row": single, "batches": many},
        raw={"load_average": os.getloadavg()[0]},
    )
    for name, one in {**single, **many}.items():
        low, high = one["interval_ms"]
        print(f"{name:<20}{one['median_ms']:9.4f} ms  ({low:.4f} to {high:.4f})")
    print(f"claims met: {sum(claim['met'] for claim in claims)} of {len(claims)}; written to {path}")


def measured(forms: dict[str, Callable[[], Any]], rounds: int, calls: int) -> dict[str, dict[str, Any]]:
    """Milliseconds of CPU time for a call of each, which take turns."""
    taken: dict[str, list[float]] = {name: [] for name in forms}
    for call in forms.values():
        call()
    for _ in range(rounds):
        for name, call in forms.items():
            begun = time.process_time()
            for _ in range(calls):
                call()
            taken[name].append(1000 * (time.process_time() - begun) / calls)
    return {
        name: {
            "median_ms": float(np.median(values)),
            "interval_ms": [float(np.quantile(values, share)) for share in (0.025, 0.975)],
        }
        for name, values in taken.items()
    }


if __name__ == "__main__":
    main()
