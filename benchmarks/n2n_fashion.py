"""N2N on Fashion-MNIST, with a teacher that is no larger than need be, against uniformly narrower networks.

    python benchmarks/n2n_fashion.py --out runs/n2n-fashion     # five hours on a core

The recipe papers/n2n-2017/fashion-mnist as it ships; then the teacher's own network
with all its widths scaled to as many parameters, with the same teacher, training and seeds. "removal" is the first
stage alone, within 300 kB; "random" draws as many students at random from the space that Attar makes for such images,
for the same budget. What is there is not done again, and results of other stages stay in the file.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from result import RESULTS, write

from attar.evidence.compare import spread
from attar.network.cost import cost
from attar.network.spec import Spec
from attar.recipes.compress import compress
from attar.recipes.networks import network_of
from attar.recipes.read import read
from attar.recipes.schema.network import NetworkSection

RECIPE = "papers/n2n-2017/fashion-mnist"
CHANGES = ["threads=1", "baseline=false", "search.pareto=0"]
STAGES: Mapping[str, list[str]] = {
    "removal": [
        "search.strategy={use='n2n', stages=['removal'], removal_rate=0.005, entropy=0.02}",
        "budget.bytes=300 kB",
    ],
    "removal-and-shrinkage": [],
    "random": ["search.strategy=random"],
}
SMALLER, POINTS = 20.0, 0.5

WHAT = (
    "A convolutional network of 468,000 parameters on Fashion-MNIST made small by N2N: with layers removed, and with "
    "layers removed and the others made narrower. Students of the search are trained for an epoch on 18,000 images, "
    "begin with the teacher's weights and are scored on validation; what is found is trained with three seeds on all "
    "of them and measured on test, once. Beside it the teacher's network with all widths scaled by one factor to as "
    "many parameters, with the same training, targets and seeds."
)


def main() -> None:
    """Search, train, scale, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--stages", nargs="+", choices=[*STAGES], default=["removal-and-shrinkage", "removal", "random"]
    )
    parser.add_argument("--set", nargs="*", default=[], dest="changes", help="changes of the recipe")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--reuse", type=Path, nargs="*", default=[], help="run folders whose finished work serves")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--result", type=Path, default=RESULTS / "n2n_fashion.json")
    asked = parser.parse_args()
    raw: dict[str, Any] = json.loads(asked.result.read_text(encoding="utf-8"))["raw"] if asked.result.exists() else {}
    for stages in asked.stages:
        for rows in compared(stages, asked):
            raw[stages] = rows
            write(
                asked.result,
                what=WHAT,
                seed=0,
                settings={"changes": [*CHANGES, *asked.changes]},
                claims=[claim for name, one in raw.items() for claim in claims(name, one)] + against_random(raw),
                raw=raw,
            )


def compared(stages: str, asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What is found, and then the scaled network with it."""
    recipe = read(RECIPE, [*CHANGES, *STAGES[stages], *asked.changes])
    first = asked.out / "removal-and-shrinkage"
    folder = asked.out / stages
    run = compress(
        recipe, folder, workers=asked.workers, reuse_from=[*asked.reuse, *([] if folder == first else [first])]
    )
    found = _row(run.evidence)
    search = run.evidence["search"]
    found |= {
        "search_seconds": search["seconds"],
        "trained": sum(one["state"] == "trained" for one in search["trials"]),
        "validation_of_the_search": search["trials"][search["winner"]]["quality"],
        "updates": [
            {key: one[key] for key in ("stage", "rewards", "compression", "trained")}
            for one in search.get("course", [])
        ],
        "best": best_so_far(search["trials"]),
    }
    if stages == "random":
        print(stages, {key: found[key] for key in ("parameters", "bytes", "seeds", "teacher")}, flush=True)
        yield {"random": found}
        return
    yield {"n2n": found}
    document = {key: table for key, table in recipe.document().items() if key != "search"}
    document["student"] = {
        **document["student"],
        "network": scaled(document["teacher"]["network"], found["parameters"]),
    }
    narrower = compress(
        document, asked.out / f"{stages}-scaled", workers=asked.workers, reuse_from=[*asked.reuse, first]
    )
    rows = {"n2n": found, "scaled": _row(narrower.evidence)}
    for name, row in rows.items():
        print(stages, name, {key: row[key] for key in ("parameters", "macs", "fewer", "seeds", "teacher")}, flush=True)
    yield rows


def best_so_far(trials: Sequence[Mapping[str, Any]]) -> list[float | None]:
    """The best accuracy on validation within the budget, after each training of a search."""
    best: float | None = None
    found = []
    for one in trials:
        if one["state"] != "trained":
            continue
        if not one["beyond"]:
            best = one["quality"] if best is None else max(best, one["quality"])
        found.append(best)
    return found


def scaled(network: Mapping[str, Any], parameters: int) -> dict[str, Any]:
    """The network with all widths scaled by one factor, of at most so many parameters."""
    import torch

    arguments = network["arguments"]

    def at(share: float) -> dict[str, Any]:
        narrow = {key: [max(1, round(share * one)) for one in arguments[key]] for key in ("widths", "hidden")}
        return {**network, "arguments": {**arguments, **narrow}}

    def size(share: float) -> int:
        module = network_of(NetworkSection.of(Spec(network["use"], at(share)["arguments"])), 0)
        return cost(module, torch.zeros(1, 1, arguments["side"], arguments["side"])).parameters

    return at(max(share for share in np.linspace(0.02, 1, 491).tolist() if size(share) <= parameters))


def _row(evidence: Mapping[str, Any]) -> dict[str, Any]:
    models = {one["name"]: one for one in evidence["models"]}
    student, teacher = models[evidence["winner"]], next(m for m in models.values() if m["kind"] == "teacher")
    return {
        "parameters": student["parameters"],
        "fewer": teacher["parameters"] / student["parameters"],
        "macs": student["macs"],
        "teacher": evidence["seeds"]["teacher"],
        "seeds": evidence["seeds"]["student"],
        "bytes": student["size_bytes"],
        "faster": evidence["ratios"]["faster_batch1"],
        "network": evidence["recipe"]["student"]["network"],
    }


def claims(stages: str, rows: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Compression and loss against the aims, and accuracy against the scaled network."""
    if "n2n" not in rows:
        return []
    found = rows["n2n"]
    lost = [100 * (found["teacher"] - one) for one in found["seeds"]]
    within = list(spread(lost).interval or [])
    made = [
        {
            "claim": f"{stages}: times fewer parameters than the teacher, with at most {POINTS} point of accuracy lost",
            "aim": SMALLER,
            "reached": found["fewer"],
            "met": found["fewer"] >= SMALLER and float(np.mean(lost)) <= POINTS,
        },
        {
            "claim": f"{stages}: points of test accuracy lost against the teacher, {len(lost)} seeds",
            "aim": POINTS,
            "reached": float(np.mean(lost)),
            "interval": within or None,
            "met": float(np.mean(lost)) <= POINTS,
        },
        {
            "claim": f"{stages}: seconds of the search on one core, an hour on two at most",
            "aim": 7200.0,
            "reached": found["search_seconds"],
            "met": found["search_seconds"] <= 7200.0,
        },
    ]
    if "scaled" in rows:
        better = [100 * (a - b) for a, b in zip(found["seeds"], rows["scaled"]["seeds"], strict=True)]
        over = list(spread(better).interval or [])
        made.append(
            {
                "claim": f"{stages}: points of test accuracy above uniformly narrower networks of as many parameters",
                "aim": 0.0,
                "reached": float(np.mean(better)),
                "interval": over or None,
                "met": bool(over) and over[0] >= 0.0,
            }
        )
    return made


def against_random(raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    """N2N against random draws within the same bytes, as many trainings, one search each."""
    if not {"random", "removal-and-shrinkage"} <= raw.keys():
        return []
    one, other = raw["removal-and-shrinkage"]["n2n"], raw["random"]["random"]
    better = [100 * (a - b) for a, b in zip(one["seeds"], other["seeds"], strict=True)]
    within = list(spread(better).interval or [])
    return [
        {
            "claim": "points of test accuracy above what as many random draws find within 95 kB, one search each, "
            f"{len(better)} seeds of the final training",
            "aim": 0.0,
            "reached": float(np.mean(better)),
            "interval": within or None,
            "met": bool(within) and within[0] >= 0.0,
        }
    ]


if __name__ == "__main__":
    main()
