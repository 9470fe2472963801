"""How much sooner are the trainings of a recipe over, when worker processes share them?

    python benchmarks/workers.py                       # the recipe digits, one process and as many as there are cores
    python benchmarks/workers.py --rounds 1 --out workers.json

Each round trains everything of the recipe twice, in turn, into folders of their own: with one process, and with
workers. The clock runs from the first training to the last: teacher, students and baselines, and the labelling between
them, during which workers train baselines; starting the workers is part of it, loading the data is not. All weights are
compared: they must be the same.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from result import RESULTS, write

from attar.pipeline.workers import available
from attar.recipes.read import read
from attar.recipes.start import open_run
from attar.recipes.students import train_all
from attar.training.progress import silent

AIM = 0.6
WHAT = (
    "Wall-clock seconds of all trainings of a recipe, from the first to the last with the labelling between them, in "
    "one process ('alone') and in several ('workers'), in turns; ratios are workers over alone, a round each. The "
    "claim is met where the worst round is."
)


def trained(recipe: str, changes: list[str], workers: int, folder: Path) -> tuple[float, dict[str, str]]:
    """Seconds, and a digest of every trained model by the name of its node."""
    with open_run(read(recipe, changes), folder, "cpu", silent, workers=workers) as context:
        start = time.perf_counter()
        train_all(context)
        taken = time.perf_counter() - start
    files = sorted((folder / "nodes").rglob("model.safetensors"))
    return taken, {str(one.parent.relative_to(folder)): hashlib.sha256(one.read_bytes()).hexdigest() for one in files}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="digits")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--workers", type=int, default=available())
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS / "workers.json")
    asked = parser.parse_args()
    seconds: dict[str, list[float]] = {"alone": [], "workers": []}
    models: list[dict[str, str]] = []
    for round_ in range(asked.rounds):
        for name, count in (("alone", 1), ("workers", asked.workers)):
            with tempfile.TemporaryDirectory() as folder:
                taken, found = trained(asked.recipe, asked.changes, count, Path(folder) / "run")
            seconds[name].append(taken)
            models.append(found)
            print(f"round {round_}, {name}: {taken:.1f} s, {len(found)} models", flush=True)
    ratios = [with_them / alone for alone, with_them in zip(seconds["alone"], seconds["workers"], strict=True)]
    same = all(one == models[0] for one in models)
    path = write(
        asked.out,
        what=WHAT,
        seed=read(asked.recipe, asked.changes).seed,
        settings={"recipe": asked.recipe, "changes": asked.changes, "workers": asked.workers, "rounds": asked.rounds},
        claims=[
            {
                "claim": f"the trainings of {asked.recipe} take at most {AIM} of the time on {asked.workers} cores",
                "aim": AIM,
                "reached": sorted(ratios)[len(ratios) // 2],
                "interval": [min(ratios), max(ratios)],
                "met": max(ratios) <= AIM,
            },
            {"claim": "with workers all models are the same", "aim": True, "reached": same, "met": same},
        ],
        summary={"ratios": ratios, "models": len(models[0])},
        raw={"seconds": seconds, "load_average": os.getloadavg()[0]},
    )
    print(f"written to {path}")


if __name__ == "__main__":
    main()
