"""What MUNGE costs: Attar's against the two loops that one would write, in plain Python and in NumPy.

    python benchmarks/munge.py            # about four minutes on two cores
    python benchmarks/munge.py --rounds 6 --rows 40000 --python-turns 20 --numpy-turns 200 --out munge.json

All three take the same random numbers and must give the same rows, bit for bit; this is checked before anything is
timed. The loops would need from half a minute to an hour for all rows. They are timed on some turns of a round,
alternating with Attar's whole calls, and the time of a turn is compared.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from result import RESULTS, write

from attar.data.letter import load_letter
from attar.data.synthesis.munge import draws_of_round, munge
from attar.evidence.latency import FEWEST_ROUNDS, Race

P, S = 0.5, 1.0

WHAT = (
    "Time per made row of MUNGE as in the paper (dynamic neighbors, both rows change) on the 4,000 training rows of "
    "Letter Recognition, 16 numbers, p 0.5, s 1. 'attar' is attar.data.synthesis.munge.munge, whole calls of ten "
    "rounds (40,000 rows) on one thread: checks, packing and random numbers included. 'python' is a loop over lists of "
    "floats; 'numpy' computes the distances from one row to all others at once, columns in the outer dimension. Both "
    "loops get their random numbers for nothing and are timed on some turns of a round, which go on from where the "
    "last ones ended; the time of a turn is theirs per made row. 'hours for all rows' scales it up; only Attar's whole "
    "job was run. A ratio is the median over the rounds of timing of the ratio within one, with its 95% interval. CPU "
    "time is the process's own and the figure to read, wall time stands beside it. 'start' is what the first call of a "
    "fresh interpreter takes beyond importing Attar, with and without machine code from an earlier run."
)

Clocks = tuple[float, float]
Loop = Callable[[np.ndarray, int], Iterator[np.ndarray]]


def python(matrix: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """MUNGE on lists; yields after each turn, and gives the rows after each round."""
    size, columns = matrix.shape
    low = matrix.min(axis=0).tolist()
    span = [high - least or 1.0 for high, least in zip(matrix.max(axis=0).tolist(), low, strict=True)]
    number = 0
    while True:
        rows = matrix.tolist()
        scaled = [[(x - a) / b for x, a, b in zip(row, low, span, strict=True)] for row in rows]
        for first, chances, noise in draws_of_round(seed, number, size, columns):
            for turn, (chance, mine, its) in enumerate(zip(chances.tolist(), *noise.tolist(), strict=True)):
                me = first + turn
                query, best, other = scaled[me], math.inf, -1
                for place, row in enumerate(scaled):
                    if place == me:
                        continue
                    distance = 0.0
                    for x, y in zip(row, query, strict=True):
                        apart = x - y
                        distance += apart * apart
                    if distance < best:
                        best, other = distance, place
                for a in range(columns):
                    if chance[a] < P:
                        x, y = rows[me][a], rows[other][a]
                        deviation = abs(x - y) / S
                        rows[me][a], rows[other][a] = y + deviation * mine[a], x + deviation * its[a]
                        scaled[me][a] = (rows[me][a] - low[a]) / span[a]
                        scaled[other][a] = (rows[other][a] - low[a]) / span[a]
                yield np.empty(0)
        number += 1
        yield np.array(rows)


def numpy(matrix: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """MUNGE with all distances of a row computed at once; yields as `python` does."""
    size, columns = matrix.shape
    low, span = matrix.min(axis=0), np.ptp(matrix, axis=0)
    span[span == 0] = 1.0
    number = 0
    while True:
        rows = matrix.copy()
        scaled = np.ascontiguousarray(((rows - low) / span).T)
        apart = np.empty_like(scaled)
        for first, chances, noise in draws_of_round(seed, number, size, columns):
            for turn in range(len(chances)):
                me = first + turn
                np.subtract(scaled, scaled[:, me, None], out=apart)
                np.multiply(apart, apart, out=apart)
                distances = apart.sum(axis=0)  # over the outer dimension it adds in order, as the others do
                distances[me] = np.inf
                other = int(distances.argmin())
                change = chances[turn] < P
                x, y = rows[me], rows[other]
                deviation = np.abs(x - y) / S
                mine = np.where(change, y + deviation * noise[0, turn], x)
                its = np.where(change, x + deviation * noise[1, turn], y)
                rows[me], rows[other] = mine, its
                scaled[:, me], scaled[:, other] = (mine - low) / span, (its - low) / span
                yield np.empty(0)
        number += 1
        yield rows.copy()


def whole_round(loop: Loop, matrix: np.ndarray, seed: int) -> np.ndarray:
    """The rows that the first round of a loop gives."""
    return next(made for made in loop(matrix, seed) if made.size)


def check(matrix: np.ndarray, seed: int) -> dict[str, Any]:
    """That all give the same: Python on some rows, NumPy on all of them."""
    few, nominal = matrix[:400], np.zeros(matrix.shape[1], bool)
    same = {
        "python, 400 rows": np.array_equal(
            whole_round(python, few, seed), munge(few, nominal, rows=len(few), p=P, s=S, seed=seed)
        ),
        f"numpy, {len(matrix)} rows": np.array_equal(
            whole_round(numpy, matrix, seed), munge(matrix, nominal, rows=len(matrix), p=P, s=S, seed=seed)
        ),
    }
    if not all(same.values()):
        raise SystemExit(f"the rows differ: {same}")
    return same


def timed(work: Callable[[], object]) -> Clocks:
    """Wall and CPU seconds of some work."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def go_on(turns: Iterator[np.ndarray], count: int) -> None:
    """Some turns of a loop."""
    done = 0
    while done < count:
        done += not next(turns).size


def start() -> dict[str, dict[str, float]]:
    """What the first call takes in a fresh interpreter: compiling, and then from what the first one kept."""
    code = (
        "import time, numpy as np\n"
        "from attar.data.synthesis.munge import munge\n"
        "wall, cpu = time.perf_counter(), time.process_time()\n"
        "munge(np.eye(2), np.zeros(2, bool), rows=2)\n"
        "print(time.perf_counter() - wall, time.process_time() - cpu)"
    )
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("compiling", "from the cache"):
            done = subprocess.run(
                [sys.executable, "-c", code],
                env=os.environ | {"NUMBA_CACHE_DIR": folder},
                capture_output=True,
                text=True,
                check=True,
            )
            wall, cpu = map(float, done.stdout.split())
            found[name] = {"wall_s": wall, "cpu_s": cpu}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="rounds of timing")
    parser.add_argument("--rows", type=int, default=400_000, help="rows of the whole job")
    parser.add_argument("--jobs", type=int, default=3, help="how often the whole job is done on one and on two threads")
    parser.add_argument("--python-turns", type=int, default=100)
    parser.add_argument("--numpy-turns", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "munge.json")
    asked = parser.parse_args()
    if asked.rounds < FEWEST_ROUNDS:
        parser.error(f"--rounds must be at least {FEWEST_ROUNDS}")
    columns = load_letter(seed=asked.seed).train
    matrix = columns.floats().double().numpy()
    nominal = np.zeros(matrix.shape[1], bool)
    same = check(matrix, asked.seed)

    def attar(rows: int, threads: int) -> None:
        munge(matrix, nominal, rows=rows, p=P, s=S, seed=asked.seed, threads=threads)

    ten = 10 * len(matrix)
    going = {"python": python(matrix, asked.seed), "numpy": numpy(matrix, asked.seed)}
    contenders: dict[str, tuple[int, Callable[[], None]]] = {
        "python": (asked.python_turns, lambda: go_on(going["python"], asked.python_turns)),
        "numpy": (asked.numpy_turns, lambda: go_on(going["numpy"], asked.numpy_turns)),
        "attar": (ten, lambda: attar(ten, 1)),
    }
    before = os.getloadavg()[0]
    clocks: dict[str, list[Clocks]] = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(asked.rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            rows, work = contenders[name]
            wall, cpu = timed(work)
            clocks[name].append((wall / rows, cpu / rows))
    jobs = {
        f"{threads} threads" if threads > 1 else "1 thread": [
            timed(lambda threads=threads: attar(asked.rows, threads)) for _ in range(asked.jobs)
        ]
        for threads in (1, 2)
    }
    summary: dict[str, Any] = {"the same rows": same}
    for place, clock in enumerate(("wall", "cpu")):
        rounds = {name: 1000 * np.array(values)[:, place] for name, values in clocks.items()}
        race = Race({}, rounds)
        summary[clock] = {
            "us_per_row": {name: float(np.median(values)) * 1000 for name, values in rounds.items()},
            "hours_for_all_rows": {
                name: float(np.median(values)) * asked.rows / 3.6e6 for name, values in rounds.items()
            },
            "times_as_long_as_attar": {name: race.ratio(name, "attar").to_json() for name in ("python", "numpy")},
            "whole_job_s": {name: float(np.median(values, axis=0)[place]) for name, values in jobs.items()},
        }
    summary["start"] = start()
    for clock in ("cpu", "wall"):
        found = summary[clock]
        print(f"{clock}: whole job {found['whole_job_s']}, microseconds per row {found['us_per_row']}")
        for name, ratio in found["times_as_long_as_attar"].items():
            print(f"  {name} / attar: {ratio['ratio']:.1f} ({ratio['interval'][0]:.1f} to {ratio['interval'][1]:.1f})")
    path = write(
        asked.out,
        what=WHAT,
        seed=asked.seed,
        packages=("numba", "llvmlite"),
        settings={
            "table": list(matrix.shape),
            "rows_of_whole_job": asked.rows,
            "p": P,
            "s": S,
            "rounds": asked.rounds,
            "rows_per_round_of_timing": {name: rows for name, (rows, _) in contenders.items()},
        },
        summary=summary,
        raw={
            "load_average": {"before": before, "after": os.getloadavg()[0]},
            "order": ["wall", "cpu"],
            "s_per_row": {name: [[round(x, 9) for x in pair] for pair in pairs] for name, pairs in clocks.items()},
            "whole_job_s": {name: [[round(x, 4) for x in pair] for pair in pairs] for name, pairs in jobs.items()},
        },
    )
    print(f"written to {path}")


if __name__ == "__main__":
    main()
