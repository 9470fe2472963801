"""LeNet-5 on Fashion-MNIST, pruned in several ways to the same multiply-adds: what each loses.

    python benchmarks/lenet_pruning.py --out runs/pruning     # ten minutes on one core
    python benchmarks/lenet_pruning.py --seeds 1 --targets 0.1 --ways "beta*" knapsack --result quick.json

What is there already is not pruned again. The unpruned networks are those of residual_networks.py.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from residual_networks import EXAMPLES, data, rows_of, trained
from result import RESULTS, write
from torch import Tensor, nn

from attar.data.split import Dataset, Split
from attar.data.views import UNCHANGED
from attar.deployment.torch_runner import open_torch
from attar.evidence.compare import spread
from attar.evidence.measure import labels_of, predict_all
from attar.models.model import Model
from attar.network.spec import Spec
from attar.pipeline.step import TeacherTools, Tools
from attar.pipeline.steps.distill import Distill
from attar.pipeline.steps.prune import Prune
from attar.training.losses.outputs import HardLabels, SoftTargets
from attar.training.objective import Objective, Term
from attar.training.settings import Training

WAYS: dict[str, dict[str, Any]] = {
    "beta 0": {"importance": "group_fisher", "select": "greedy", "beta": 0.0},
    "beta": {"importance": "group_fisher", "select": "greedy", "beta": 3e-8},
    "beta*": {"importance": "group_fisher", "select": "greedy", "beta": "auto"},
    "magnitude": {"importance": "magnitude_l2", "select": "greedy", "beta": "auto"},
    "taylor": {"importance": "taylor", "select": "greedy", "beta": "auto"},
    "random": {"importance": "random", "select": "greedy", "beta": "auto"},
    "knapsack": {"importance": "group_fisher", "select": "knapsack"},
}
OURS = ("beta 0", "beta", "beta*", "knapsack")
"""Ways by Fisher information; the one that is best on validation at the smallest target is held against the aim."""

TARGETS = (0.3, 0.1)
AIM = 0.002
TRAINING = Training(epochs=16, batch_size=64, learning_rate=0.05, weight_decay=5e-4, schedule="cosine")
OBJECTIVE = Objective(
    {"soft": Term(loss=SoftTargets(temperature=4.0), weight=0.5), "hard": Term(loss=HardLabels(), weight=0.5)}
)
STEP: dict[str, Any] = {"until": 0.25, "every": 10}

WHAT = (
    "Error on Fashion-MNIST's test images of LeNet-5 (20, 50 and 500 units, trained for 6 epochs on 10,000 "
    "images) after the step prune has brought it down to a share of its multiply-adds, in seven ways: Fisher "
    "information of groups with the loss alone (beta 0), with a price for each multiply-add (beta, 3e-8 nats), by "
    "their ratio (beta*), and all layers at once (knapsack); and, by the same ratio, magnitude (L2), Taylor and "
    "chance. All have these same examples, epochs, objective (the unpruned network's soft targets and labels) and "
    "schedule of removals. Beside them the unpruned network, and the unpruned network trained on for as long with "
    "the same objective. Differences are taken seed by seed; intervals are of Student's t over seeds."
)


class Stored:
    """What the unpruned network says of each training example, computed once."""

    def __init__(self, network: nn.Module, rows: Split) -> None:
        self.logits = torch.from_numpy(predict_all(open_torch(network), rows))

    def __call__(self, inputs: Tensor, rows: Tensor, view: int) -> Tensor:
        return self.logits[rows]


def quality(network: nn.Module, split: Split) -> dict[str, float]:
    """Error and log loss."""
    found = split.task.quality(predict_all(open_torch(network), split), labels_of(split))
    return {"error": 1 - found.accuracy, "log_loss": found.log_loss}


def step_of(way: str, target: float | None) -> Prune | Distill:
    """The step of a way; without a target training alone."""
    step = (
        Distill()
        if target is None
        else Prune.model_validate({"use": "prune", "to": {"macs": f"{target}x"}, **STEP, **WAYS[way]})
    )
    done = step.completed(OBJECTIVE, TRAINING)
    assert isinstance(done, Prune | Distill)
    return done


def tools_of(seed: int, dataset: Dataset, network: nn.Module) -> Tools:
    """Of one seed: its examples and its teacher, which is the unpruned network."""
    few = replace(dataset, train=dataset.train.rows(rows_of("lenet5", seed, dataset)))
    return Tools(
        dataset=few,
        dataset_key=few.fingerprint(),
        views=UNCHANGED,
        teacher=TeacherTools(key={}, targets=Stored(network, few.train)),
        seed=seed,
        run_seed=seed,
    )


def prune_seed(seed: int, ways: list[str], target: float, folder: Path) -> None:
    """All ways at a target for a seed, the results a file each."""
    dataset = data("lenet5", seed)
    model = Model(trained("lenet5", seed, folder, dataset).eval(), Spec("attar.network.architectures:lenet5"))
    tools = tools_of(seed, dataset, model.module)
    for way, share in (("trained on", None), *((way, target) for way in ways)):
        path = folder / "lenet" / f"{way}-{share}-{seed}.json"
        if path.exists():
            continue
        start = time.perf_counter()
        made = step_of(way, share).run(model, tools)
        facts = {
            "way": way,
            "target": share,
            "seed": seed,
            "seconds": time.perf_counter() - start,
            "unpruned": {"test": quality(model.module, dataset.test)},
            "validation": quality(made.model.module, dataset.validation),
            "test": quality(made.model.module, dataset.test),
        }
        if share is not None:
            prune = made.facts["prune"]
            facts["macs"] = prune["cost"] / prune["full"]
            facts["kept"] = {one["group"]: one["kept"] for one in prune["groups"]}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(facts))
        print(
            f"seed {seed} {way} {share}: error {100 * facts['test']['error']:.2f}% on test, "
            f"{100 * facts['validation']['error']:.2f}% on validation, {facts.get('kept')}, {facts['seconds']:.0f} s",
            flush=True,
        )


def over_seeds(values: list[float]) -> dict[str, Any]:
    """Mean and interval, as plain values."""
    found = spread(values)
    return {"mean": found.mean, "interval": None if found.interval is None else list(found.interval), "raw": values}


def summarized(raw: list[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What each way loses at each target, and what is claimed; of seeds that all ways have at a target."""
    seeds: dict[tuple[str, float | None], set[int]] = {}
    for one in raw:
        seeds.setdefault((one["way"], one["target"]), set()).add(one["seed"])
    raw = [
        one
        for one in raw
        if all(one["seed"] in found for (_, target), found in seeds.items() if target == one["target"])
    ]
    by: dict[tuple[str, float | None], list[dict[str, Any]]] = {}
    for one in sorted(raw, key=lambda one: one["seed"]):
        by.setdefault((one["way"], one["target"]), []).append(one)
    longer = by["trained on", None]
    summary: dict[str, Any] = {
        "unpruned": over_seeds([one["unpruned"]["test"]["error"] for one in longer]),
        "trained on": over_seeds([one["test"]["error"] for one in longer]),
        "pruned": [],
    }
    further = {one["seed"]: one["test"]["error"] for one in longer}
    for (way, target), found in by.items():
        if target is None:
            continue
        summary["pruned"].append(
            {
                "way": way,
                "target": target,
                "macs": max(one["macs"] for one in found),
                "error": over_seeds([one["test"]["error"] for one in found]),
                "validation": float(np.mean([one["validation"]["error"] for one in found])),
                "lost": over_seeds([one["test"]["error"] - one["unpruned"]["test"]["error"] for one in found]),
                "lost_against_trained_on": over_seeds(
                    [one["test"]["error"] - further[one["seed"]] for one in found if one["seed"] in further]
                ),
            }
        )
    return summary, claims_of(summary)


def claims_of(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """The aim, and how the ways compare at the smallest target."""
    rows = summary["pruned"]
    least = min(one["target"] for one in rows)
    at_least = {one["way"]: one for one in rows if one["target"] == least}
    best = min((way for way in at_least if way in OURS), key=lambda way: at_least[way]["validation"])
    found = at_least[best]
    claims = []
    for key, of in (("lost", "the unpruned network"), ("lost_against_trained_on", "it trained on for as long")):
        aim = AIM if key == "lost" else None
        claims.append(
            {
                "claim": f"error at {least}x of the multiply-adds above that of {of} ({best}, best on validation)",
                "aim": aim,
                "reached": found[key]["mean"],
                "interval": found[key]["interval"],
                "met": None if aim is None else found[key]["mean"] <= aim,
            }
        )
    for way, other in at_least.items():
        if way in OURS:
            continue
        gain = over_seeds(
            [theirs - ours for theirs, ours in zip(other["error"]["raw"], found["error"]["raw"], strict=True)]
        )
        claims.append(
            {
                "claim": f"error of {way} above that of {best}, at {least}x; the interval above 0",
                "aim": 0.0,
                "reached": gain["mean"],
                "interval": gain["interval"],
                "met": gain["interval"] is not None and gain["interval"][0] > 0,
            }
        )
    return claims


def main() -> None:
    """Prune and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--targets", type=float, nargs="+", default=list(TARGETS))
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--out", type=Path, default=Path("runs/pruning"), help="folder of networks and results")
    parser.add_argument("--result", type=Path, default=RESULTS / "lenet_pruning.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for target in sorted(given.targets):
        for seed in range(given.seeds):
            prune_seed(seed, given.ways, target, given.out)
    raw = [json.loads(path.read_text()) for path in sorted((given.out / "lenet").glob("*.json"))]
    summary, claims = summarized(raw)
    settings = {"training": asdict(TRAINING), "examples": EXAMPLES["lenet5"], "step": STEP, "ways": WAYS}
    path = write(given.result, what=WHAT, seed=0, settings=settings, claims=claims, summary=summary, raw=raw)
    print(f"written to {path}")


if __name__ == "__main__":
    main()
