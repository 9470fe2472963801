"""Budgets that name no student: are they met on test data, and is what is found better than chance and than a hand?

    python benchmarks/search_budgets.py digits letter --out runs/budgets         # an hour on a core
    python benchmarks/search_budgets.py fashion-mnist --seeds 1 --ways searched random by-hand --out runs/budgets

For each data set and seed the shipped recipe is run four ways, with the same teacher, training and data: as it ships;
with draws at random instead, of as many trainings; with the student that another shipped recipe has, made by hand; and
searched within the bytes of that student. What is in the folder already is not done again; each result
is written as it comes, and results of other data sets stay in the file.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from result import RESULTS, write

from attar.evidence.compare import spread
from attar.recipes.compress import compress
from attar.recipes.read import from_document, read

ARCHITECTURES = "attar.network.architectures"
BY_HAND: Mapping[str, dict[str, Any]] = {
    "digits": {
        "use": f"{ARCHITECTURES}:convnet",
        "arguments": {"classes": 10, "widths": [12, 24], "strides": [1, 2]},
    },
    "letter": {"use": f"{ARCHITECTURES}:tabular", "arguments": {"hidden": [256]}},
    "fashion-mnist": {
        "use": f"{ARCHITECTURES}:convnet",
        "arguments": {"classes": 10, "widths": [16, 32, 64, 128], "pools": [2, 2, 2, 1], "hidden": [96], "side": 28},
    },
}
"""Students of the recipes digits, model-compression-2006 and fashion-mnist."""

ONE_TEACHER = ("fashion-mnist",)
"""Where split and teacher are the same for all seeds, which are of the search alone: the teacher takes long."""

WHAT = (
    "Recipes that name no student, each run four ways with the same teacher, training of students and data: as it "
    "ships (searched); with draws at random instead of its strategy, and as many trainings (random); with the student "
    "of another shipped recipe, which was made by hand (by-hand); searched within the bytes of that student, for "
    "the best quality (in-its-place). Accuracies are of the student that ships, on test data, "
    "which chose nothing; each seed draws another split, other first weights and another search; on Fashion-MNIST "
    "another search alone, and the student by hand is trained once."
)


def ways(data: str, seed: int, hand: Mapping[str, Any] | None) -> dict[str, list[str]]:
    """What is changed of the recipe, by name; the last of them needs figures of the student by hand."""
    own = data not in ONE_TEACHER
    found = {
        name: [f"seed={seed}" if own else f"search.strategy={{use='{use}', seed={seed}}}"]
        for name, use in (("searched", "evolutionary"), ("in-its-place", "evolutionary"), ("random", "random"))
    }
    if own:
        found["random"].append("search.strategy=random")
    found |= {
        "by-hand": [f"seed={seed}"] if own else [],
    }
    if hand is not None:
        found["in-its-place"].append(f"budget.bytes={hand['bytes']} B")
    return found


def row_of(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """What counts of a run."""
    models = {one["name"]: one for one in evidence["models"]}
    winner = models[evidence["winner"]]
    teacher = next(one for one in evidence["models"] if one["kind"] == "teacher")
    looked = evidence.get("search")
    return {
        "outcome": evidence["budget"]["outcome"],
        "limits": [
            {key: one[key] for key in ("limit", "asked", "reached", "outcome", "at", "found", "test")}
            for one in evidence["budget"]["limits"]
        ],
        "test": winner["quality"]["accuracy"],
        "teacher_test": teacher["quality"]["accuracy"],
        "seeds": evidence["seeds"]["student"],
        "bytes": winner["size_bytes"],
        "parameters": winner["parameters"],
        "macs": winner["macs"],
        "latency_ms": winner["latency"]["1"]["median_ms"],
        "smaller": evidence["ratios"]["smaller"],
        "faster": evidence["ratios"]["faster_batch1"]["ratio"],
        "network": evidence["recipe"]["student"]["network"],
        "trained": None if looked is None else sum(one["state"] == "trained" for one in looked["trials"]),
        "seconds": None if looked is None else looked["seconds"],
    }


def main() -> None:
    """Run what is asked for, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", choices=[*BY_HAND])
    parser.add_argument("--ways", nargs="+", default=["searched", "random", "by-hand", "in-its-place"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--reuse", type=Path, nargs="*", default=[], help="run folders whose finished work serves")
    parser.add_argument(
        "--set", nargs="*", default=[], dest="changes", help="changes of the recipe, to try the program"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--result", type=Path, default=RESULTS / "search_budgets.json")
    asked = parser.parse_args()
    for data in asked.data:
        for seed in range(asked.seeds):
            done(data, seed, asked)


def done(data: str, seed: int, asked: argparse.Namespace) -> None:
    """All ways of one seed; the student by hand may be there from an earlier time, or of the first seed."""
    there = json.loads(asked.result.read_text(encoding="utf-8"))["raw"] if asked.result.is_file() else {}
    hand = there.get(data, {}).get("by-hand", {}).get(str(0 if data in ONE_TEACHER else seed))
    for way in ("searched", "random", "by-hand", "in-its-place"):
        if way not in asked.ways or (way == "by-hand" and seed and data in ONE_TEACHER):
            continue
        if way == "in-its-place" and hand is None:
            raise SystemExit(f"{data} in-its-place is within the bytes of the student by hand: add by-hand to --ways.")
        folder = asked.out / f"{data}-{seed}"
        changes = ways(data, seed, hand)[way]
        recipe = read(f"{data}-budget", [*changes, *asked.changes])
        before = [] if way == "searched" else [folder / "searched"]
        if data in ONE_TEACHER:
            before += [asked.out / f"{data}-0" / "searched"] if seed else asked.reuse
        if way == "by-hand":
            document = {key: table for key, table in recipe.document().items() if key != "search"}
            student = {**document["student"], "network": BY_HAND[data]}
            recipe = from_document({**document, "student": student})
        run = compress(recipe, folder / way, workers=asked.workers, reuse_from=before)
        row = row_of(run.evidence)
        hand = row if way == "by-hand" else hand
        shown = {key: value for key, value in row.items() if key not in ("network", "limits", "seeds")}
        print(data, seed, way, shown, flush=True)
        keep(data, seed, way, row, asked)


def keep(data: str, seed: int, way: str, row: Mapping[str, Any], asked: argparse.Namespace) -> None:
    """Write one row beside those that are there."""
    there = json.loads(asked.result.read_text(encoding="utf-8")) if asked.result.is_file() else {"raw": {}}
    raw = there["raw"]
    raw.setdefault(data, {}).setdefault(way, {})[str(seed)] = row
    write(
        asked.result,
        what=WHAT,
        seed=0,
        settings={"aim": "all budgets met; in its place, no less accurate than the student by hand"},
        claims=[claim for name, one in raw.items() for claim in claims(name, one)],
        summary={name: summary(one) for name, one in raw.items()},
        raw=raw,
    )


def summary(found: Mapping[str, Any]) -> dict[str, Any]:
    """Means over seeds."""
    keys = ("test", "teacher_test", "bytes", "latency_ms", "smaller", "faster")
    return {
        way: {"seeds": len(rows)} | {key: float(np.mean([row[key] for row in rows.values()])) for key in keys}
        for way, rows in found.items()
    }


def claims(name: str, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was aimed at, and what came out."""
    rows = found.get("searched", {})
    words = f"{name}: of {len(rows)} seeds, those that meet the recipe's budget, on test data where it is about quality"
    made: list[dict[str, Any]] = [
        {
            "claim": words,
            "aim": len(rows),
            "reached": sum(_met(row) for row in rows.values()),
            "met": all(_met(row) for row in rows.values()),
        }
    ]
    pairs: Sequence[tuple[str, str, str, Callable[[Any], float], float]] = (
        ("searched", "random", "test accuracy above that of random search", lambda row: row["test"], 0.0),
        ("in-its-place", "by-hand", "test accuracy above the student by hand, in no more bytes", _mean, 0.0),
        ("searched", "by-hand", "test accuracy above the student by hand", _mean, 0.0),
        ("by-hand", "searched", "times fewer bytes than the student by hand", lambda row: row["bytes"], 1.0),
    )
    for first, second, words, figure, aim in pairs:
        seeds = sorted(found.get(first, {}).keys() & found.get(second, {}).keys())
        if not seeds:
            continue
        ones, others = ([figure(found[way][seed]) for seed in seeds] for way in (first, second))
        each = [a / b if aim else a - b for a, b in zip(ones, others, strict=True)]
        interval = list(spread(each).interval or []) or None if len(each) > 1 else None
        made.append(
            {
                "claim": f"{name}: {words}, seed by seed, {len(seeds)} seeds",
                "aim": aim,
                "reached": float(np.mean(each)),
                "interval": interval,
                "met": interval is not None and interval[0] >= aim,
            }
        )
    return made


def _met(row: Mapping[str, Any]) -> bool:
    """Whether a run has met its budget: what may be used as it says itself, what may be lost on test data."""
    return all(
        one["test"] <= one["at"] if one["limit"] == "quality_loss" else one["outcome"] == "met" for one in row["limits"]
    )


def _mean(row: Mapping[str, Any]) -> float:
    """Over all students of a run."""
    return float(np.mean(row["seeds"]))


if __name__ == "__main__":
    main()
