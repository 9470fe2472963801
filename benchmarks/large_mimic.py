"""How much memory and time does `Mimic` take for a million rows of fifty columns?

    python benchmarks/large_mimic.py

The rows lie in a DataFrame, the teacher is LightGBM, fitted before or by `Mimic`. All is in one process, whose memory
is looked at from within.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import lightgbm
import numpy as np
import pandas as pd
import torch
from result import RESULTS, write

from attar import Mimic

AIM_BYTES = 4_000_000_000
NAMES, NUMBERS, TEST = 5, 45, 50_000

WHAT = (
    "A DataFrame of the given rows and fifty columns: 45 of float64 numbers, half of them with long tails, and five of "
    "20 names each (categories); two classes by products and steps of some of them, with noise. 'data' is that frame, "
    "'teacher' LightGBM's fit of 100 rounds with the names as it takes them, 'mimic' `Mimic(teacher)` with its "
    "defaults, fitted on the same rows and labels. 'resident' is the largest resident memory of the process until the "
    "end of each (Linux's VmHWM), so that the last one is that of all; 'seconds' are CPU time of one thread; the "
    "machine may do other work beside it. Accuracy and log-loss are those of 50,000 further rows."
)


def table(rows: int, seed: int) -> tuple[pd.DataFrame, Any]:
    """Rows and their classes."""
    draws = np.random.default_rng(seed)
    numbers = draws.normal(size=(rows, NUMBERS))
    codes = draws.integers(0, 20, (rows, NAMES))
    effects = np.random.default_rng(0).normal(size=(NAMES, 20))
    score = numbers[:, 0] * numbers[:, 1] + np.where(numbers[:, 2] > 0.5, 1.5, 0) - np.abs(numbers[:, 3])
    score += effects[np.arange(NAMES), codes].sum(1) * 0.6 + draws.logistic(0, 0.5, rows)
    np.exp(numbers[:, ::2], out=numbers[:, ::2])
    frame = pd.DataFrame(numbers, columns=[f"x{place}" for place in range(NUMBERS)])
    kinds = [f"kind {place}" for place in range(20)]
    for place in range(NAMES):
        frame[f"name{place}"] = pd.Categorical.from_codes(codes[:, place], kinds)
    return frame, np.where(score > 0, "yes", "no")


def resident() -> int:
    """The largest resident memory of this process until now, in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def losses(model: Any, rows: pd.DataFrame, truth: Any) -> dict[str, float]:
    """Accuracy, and log-loss of probabilities that are at least 1e-7."""
    likely = model.predict_proba(rows)
    places = {value: place for place, value in enumerate(model.classes_.tolist())}
    numbers = np.array([places[one] for one in truth.tolist()])
    of_truth = np.clip(likely[np.arange(len(numbers)), numbers], 1e-7, 1.0)
    return {"accuracy": float((likely.argmax(1) == numbers).mean()), "log_loss": float(-np.log(of_truth).mean())}


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, Any] = {}

    def note(what: str, start: float) -> None:
        found[what] = {"seconds": round(time.process_time() - start, 1), "resident": resident()}
        print(what, json.dumps(found[what]), flush=True)

    start = time.process_time()
    rows, truth = table(given.rows, given.seed)
    note("data", start)
    start = time.process_time()
    teacher = lightgbm.LGBMClassifier(n_estimators=100, n_jobs=1, verbose=-1).fit(rows, truth)
    note("teacher", start)
    start = time.process_time()
    mimic = Mimic(teacher, random_state=given.seed).fit(rows, truth)
    note("mimic", start)
    test, test_truth = table(TEST, given.seed + 1)
    found["quality"] = {"teacher": losses(teacher, test, test_truth), "mimic": losses(mimic, test, test_truth)}
    report = mimic.report_
    found["built"] = {name: getattr(report, name) for name in ("parameters", "steps", "synthetic_rows", "labels")}
    print(json.dumps(found["quality"]), flush=True)
    most = found["mimic"]["resident"]
    claims = [
        {
            "claim": f"a mimic of a boosted ensemble on {given.rows:,} rows of fifty columns takes at most 4 GB of "
            "resident memory, with the rows and the fit of the teacher",
            "aim": AIM_BYTES,
            "reached": most,
            "interval": None,
            "met": most <= AIM_BYTES,
        }
    ]
    settings = {"rows": given.rows, "columns": NAMES + NUMBERS}
    write(
        RESULTS / "large_mimic.json",
        what=WHAT,
        seed=given.seed,
        packages=("lightgbm", "pandas"),
        settings=settings,
        summary=found,
        claims=claims,
    )


if __name__ == "__main__":
    main()
