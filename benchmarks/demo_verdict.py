"""Does the demo's verdict hold: for other seeds, numbers of threads and instruction sets of the processor?

    python benchmarks/demo_verdict.py                          # every run of the plan, one after the other
    python benchmarks/demo_verdict.py --go-on                  # those that are not in the result yet
    python benchmarks/demo_verdict.py --seeds 2 --out demo.json

Each run is the shipped recipe without deployment and timing: the teacher, five students and five baselines are trained,
and the verdict is that of a whole run. Each is a process of its own, because torch reads ATEN_CPU_CAPABILITY when it
starts. The result is written after every run, so that one that is stopped says what was seen until then.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from result import RESULTS, write

WHAT = (
    "The recipe of the demo, trained without deployment for several seeds, on one and two threads and with the kernels "
    "of several instruction sets. 'difference' is the accuracy on test of five students minus that of five baselines, "
    "with the 95% interval and the sentence that the report of such a run would have; 'lost_on_validation' is what the "
    "best student loses against the teacher."
)

CHILD = """
import json, sys
from pathlib import Path
import torch
from attar.recipes.start import open_run
from attar.recipes.against import against_baseline
from attar.recipes.read import read
from attar.recipes.students import train_all
from attar.evidence.measure import labels_of, predict_all
from attar.training.progress import silent

recipe, seed, threads, folder = sys.argv[1:]
with open_run(read(recipe, [f"seed={seed}", f"threads={threads}"]), Path(folder), "cpu", silent) as context:
    trainings = train_all(context)
    test, validation = context.dataset.test, context.dataset.validation
    ask = lambda inputs: trainings.teacher.predict(torch.from_numpy(inputs)).numpy()
    found = against_baseline(context, trainings, labels_of(test), predict_all(ask, test), None, [])
    known = float(validation.task.scores(predict_all(ask, validation), labels_of(validation)).mean())
print(json.dumps({
    **found["verdict"], **{key: found["seeds"][key] for key in ("baseline", "student", "teacher")},
    "lost_on_validation": known - trainings.student.score, "kernels": torch.backends.cpu.get_cpu_capability(),
}))
"""


def plan(seeds: int) -> list[tuple[int, int, str]]:
    """Seed, threads and instruction set of every run: all seeds on one thread, some of them in other ways as well."""
    ways = [(2, "avx2"), (1, "default"), (2, "default"), (1, "avx2")]
    few = [(seed, *way) for seed in range(min(seeds, 3)) for way in ways]
    return [*((seed, 1, "native") for seed in range(seeds)), *few]


def trained(recipe: str, seed: int, threads: int, kernels: str) -> dict[str, Any]:
    """One run in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    environment.pop("ATEN_CPU_CAPABILITY", None)
    if kernels != "native":
        environment["ATEN_CPU_CAPABILITY"] = kernels
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-c", CHILD, recipe, str(seed), str(threads), f"{folder}/run"]
        said = subprocess.run(line, env=environment, check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return {"seed": seed, "threads": threads, "asked": kernels, **found}


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The spread over all runs."""
    return {
        "runs": len(runs),
        "sentences": {one: sum(run["sentence"] == one for run in runs) for one in {run["sentence"] for run in runs}},
        "difference": {
            "smallest": min(run["difference"] for run in runs),
            "mean": sum(run["difference"] for run in runs) / len(runs),
            "largest": max(run["difference"] for run in runs),
        },
        "lowest_bound": min(run["interval"][0] for run in runs),
        "largest_p_value": max(run["p_value"] for run in runs),
        "largest_loss_on_validation": max(run["lost_on_validation"] for run in runs),
    }


def claims(seen: dict[str, Any], wanted: int) -> list[dict[str, Any]]:
    """What was aimed at, and what came out."""
    spread = seen["difference"]
    helped = seen["sentences"].get("distillation helped", 0)
    return [
        {
            "claim": "the verdict that distillation helped, in every run: seeds, threads and instruction sets",
            "aim": wanted,
            "reached": helped,
            "interval": None,
            "met": helped == wanted == seen["runs"],
        },
        {
            "claim": "gain in accuracy on test, mean of the runs with the smallest and the largest; above 0.05",
            "aim": 0.05,
            "reached": spread["mean"],
            "interval": [spread["smallest"], spread["largest"]],
            "met": spread["smallest"] > 0.05,
        },
        {
            "claim": "the lowest end of a run's 95% interval is far above no gain; above 0.05",
            "aim": 0.05,
            "reached": seen["lowest_bound"],
            "interval": None,
            "met": seen["lowest_bound"] > 0.05,
        },
    ]


def main() -> None:
    """Do every run of the plan."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="digits", help="the recipe (digits)")
    parser.add_argument("--seeds", type=int, default=10, help="how many seeds (10)")
    parser.add_argument("--go-on", action="store_true", help="do only those that the result does not have yet")
    parser.add_argument("--out", type=Path, default=RESULTS / "demo_verdict.json", help="where to write")
    given = parser.parse_args()
    wanted = plan(given.seeds)
    done = json.loads(given.out.read_text(encoding="utf-8"))["runs"] if given.go_on else []
    found = {(run["seed"], run["threads"], run["asked"]) for run in done}
    for seed, threads, kernels in [one for one in wanted if one not in found]:
        done.append(trained(given.recipe, seed, threads, kernels))
        seen = summary(done)
        write(given.out, what=WHAT, seed=0, summary=seen, claims=claims(seen, len(wanted)), runs=done)
        print(
            f"seed {seed}, {threads} threads, {kernels}: {done[-1]['sentence']}, {done[-1]['difference']:+.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
