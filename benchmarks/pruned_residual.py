"""ResNet-20 pruned to equal measured latency: Attar's step against Torch-Pruning, with the same training after it.

    python benchmarks/residual_networks.py --network resnet20 --seeds 5 --out runs/pruning     # 8 minutes a seed
    python benchmarks/pruned_residual.py ratios --out runs/pruning      # 5 minutes, on quiet cores
    python benchmarks/pruned_residual.py prune --seed 0 --out runs/pruning    # 10 minutes; several at once
    python benchmarks/pruned_residual.py race --out runs/pruning        # minutes, on quiet cores; writes the result

The network is the unpruned one, trained; every contender takes 125 steps of 64 examples to make up for what was taken
out, distilled from it by the same objective, and nothing of it is chosen on test data. Torch-Pruning prunes at once
and then trains; Attar's removals are within the 125 steps. Of its ratios, Torch-Pruning has the one whose network is
the slowest within the latency; where none is, it does not take part.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from residual_networks import ResNet20, data, trained
from result import RESULTS, write
from torch import nn
from torch.nn import functional

from attar.data.datasets import Dataset
from attar.data.transfer_set import Live
from attar.data.views import UNCHANGED
from attar.deployment.backends.onnxruntime import open_onnxruntime
from attar.deployment.export import to_onnx
from attar.evidence.latency import race
from attar.models.model import Model
from attar.network.spec import Spec
from attar.pipeline.step import TeacherTools, Tools
from attar.pipeline.steps.distill import Distill
from attar.pipeline.steps.prune import Prune
from attar.pipeline.turns import Turns
from attar.teachers.teacher import NetworkTeacher
from attar.training.losses.outputs import HardLabels, SoftTargets
from attar.training.objective import Objective, Term
from attar.training.settings import Training

TARGETS = {0.75: 3, 0.55: 3, 0.35: 5}
"""Share of the unpruned latency, and how many seeds."""

STEPS, BATCH = 125, 64
SLACK = 1.03
"""Times the latency up to which a shape of Torch-Pruning counts as within: two measurements differ by as much."""

SEEN = 10
"""Batches from which Torch-Pruning's data-driven importances are taken."""

RIVALS = ("l2", "taylor", "hessian")
ROUNDED = (1, 8)
OBJECTIVE = Objective(
    {"soft": Term(loss=SoftTargets(temperature=2.0), weight=0.5), "hard": Term(loss=HardLabels(), weight=0.5)}
)
TRAINING = Training(epochs=1, batch_size=BATCH, learning_rate=0.05, schedule="one_cycle", checkpoint="last")

WHAT = (
    "Test accuracy of ResNet-20 (width 16) on Fashion-MNIST, pruned to a share of its latency in ONNX Runtime (batch "
    "1, one thread), after 125 steps of 64 examples distilled from the unpruned network (half KL at T = 2, half "
    "labels; SGD, one cycle up to 0.05). 'attar' is the step prune (group Fisher, knapsack over measured times), whose "
    "removals are within these steps. 'torch-pruning' prunes every layer by one ratio, at once, with its L2, Taylor or "
    "Hessian importance, channels rounded to 1 or 8; its ratio is the one of 63 whose network is the slowest within "
    "1.03 times the latency, and rounded to 8 none is within .35 of it; "
    "Taylor and Hessian see 10 batches of 64 labelled examples. Latencies are ratios to the "
    "unpruned network raced in the same process, median over rounds. Seeds differ in the unpruned network, the "
    "examples and their order."
)


def named(importance: str, rounded: int) -> str:
    return f"torch-pruning {importance} round_to={rounded}"


def rival(module: nn.Module, importance: str, rounded: int, ratio: float, rows: Any = None) -> nn.Module:
    """A copy pruned by Torch-Pruning."""
    import torch_pruning as tp

    network = copy.deepcopy(module).eval()
    kinds = {
        "l2": tp.importance.GroupMagnitudeImportance,
        "taylor": tp.importance.GroupTaylorImportance,
        "hessian": tp.importance.GroupHessianImportance,
    }
    scorer = kinds[importance]()
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    pruner = tp.pruner.BasePruner(
        network,
        torch.zeros(1, 1, 28, 28),
        importance=scorer,
        pruning_ratio=ratio,
        round_to=None if rounded == 1 else rounded,
        ignored_layers=[network.head],
    )
    if importance == "taylor":
        for inputs, labels in rows:
            functional.cross_entropy(network(inputs), labels).backward()
    if importance == "hessian":
        scorer.zero_grad()
        for inputs, labels in rows:
            for loss in functional.cross_entropy(network(inputs), labels, reduction="none"):
                network.zero_grad()
                loss.backward(retain_graph=True)
                scorer.accumulate_grad(network)
    pruner.step()
    for parameter in network.parameters():
        parameter.grad = None
    return network


def export(network: nn.Module, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    to_onnx(copy.deepcopy(network).eval(), torch.zeros(1, 1, 28, 28), path)
    return path


def ratio_of(path: Path, whole: Path, seconds: float = 0.6) -> float:
    rows = np.zeros((1, 1, 28, 28), np.float32)
    runners = {"it": open_onnxruntime(path, 1), "whole": open_onnxruntime(whole, 1)}
    return race(runners, rows, 1, threads=1, seconds=seconds).ratio("it", "whole").ratio


def ratios(folder: Path) -> None:
    """The share of every layer whose network is the slowest within each latency: weights do not matter.

    Rounded to 8, a larger share may leave more: a layer that would lose all of its channels keeps them. So all
    shares are tried, in steps of 1/64, each shape once; where no shape is within, nothing is written.
    """
    whole, file = export(ResNet20(), folder / "whole.onnx"), folder / "ratios.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    for rounded in ROUNDED:
        if any(name.startswith(f"{rounded}-") for name in found):
            continue
        seen: dict[tuple[int, ...], tuple[float, float]] = {}
        for share in np.arange(1, 64) / 64:
            network = rival(ResNet20(), "l2", rounded, float(share))
            shape = tuple(one.out_channels for one in network.modules() if isinstance(one, nn.Conv2d))
            if shape not in seen:
                with tempfile.TemporaryDirectory() as place:
                    path = export(network, Path(place) / "network.onnx")
                    seen[shape] = ratio_of(path, whole), float(share)
        for target in TARGETS:
            within = [one for one in seen.values() if one[0] <= SLACK * target]
            if within:
                found[f"{rounded}-{target}"] = max(within)[1]
            print(rounded, target, max(within, default="no shape is within"), flush=True)
        file.write_text(json.dumps(found))


def tools_of(seed: int, dataset: Dataset, network: nn.Module, folder: Path) -> Tools:
    drawn = torch.randperm(len(dataset.train), generator=torch.Generator().manual_seed(1000 + seed))[: STEPS * BATCH]
    few = replace(dataset, train=dataset.train.rows(drawn), validation=dataset.validation.rows(slice(0, 2000)))
    teacher = NetworkTeacher(copy.deepcopy(network), classes=10)  # which is frozen
    return Tools(
        dataset=few,
        dataset_key=few.fingerprint(),
        views=UNCHANGED,
        teacher=TeacherTools(key={}, targets=Live(teacher)),
        seed=seed,
        run_seed=seed,
        turns=Turns(folder / "times"),
    )


def accuracy(network: nn.Module, dataset: Dataset, split: str = "test") -> float:
    rows, right = getattr(dataset, split), 0
    network.eval()
    with torch.inference_mode():
        for part in torch.split(torch.arange(len(rows)), 500):
            right += int((network(rows.floats(part)).argmax(1) == rows.labels[part]).sum())
    return right / len(rows)


def one(folder: Path, seed: int, contender: str, target: float, make: Any, dataset: Dataset) -> None:
    """One contender at one target, if it is not there."""
    place = folder / "pruned" / f"{contender.replace(' ', '_')}-{target}-{seed}"
    if (place / "facts.json").exists():
        return
    start = time.perf_counter()
    network, facts = make()
    facts |= {"seconds": time.perf_counter() - start}
    export(network, place / "network.onnx")
    facts |= {"validation": accuracy(network, dataset, "validation"), "test": accuracy(network, dataset)}
    (place / "facts.json").write_text(json.dumps(facts))
    print(f"{contender} {target} seed {seed}: {facts['test']:.4f} in {facts['seconds']:.0f} s", flush=True)


def attar_step(target: float, **fields: Any) -> Prune:
    table = {"use": "prune", "to": {"latency": f"{target}x"}, **STEP, **fields}
    return Prune.model_validate(table).completed(OBJECTIVE, TRAINING)  # type: ignore[return-value]


STEP: Mapping[str, Any] = {"until": 0.4, "every": 10}


def prune_all(folder: Path, seed: int, only: str | None) -> None:
    torch.set_num_threads(1)
    dataset = data("resnet20", seed)
    module = trained("resnet20", seed, folder, dataset).eval()
    tools = tools_of(seed, dataset, module, folder)
    rows = [
        (tools.dataset.train.floats(slice(at, at + BATCH)), tools.dataset.train.labels[at : at + BATCH])
        for at in range(0, SEEN * BATCH, BATCH)
    ]
    one(folder, seed, "whole", 1.0, lambda: (module, {}), dataset)
    found = json.loads((folder / "ratios.json").read_text())
    model = Model(module, Spec("residual_networks:ResNet20"))
    for target, seeds in sorted(TARGETS.items()):  # the one that is claimed most of first
        if seed >= seeds:
            continue

        def ours(target: float = target) -> tuple[nn.Module, dict[str, Any]]:
            made = attar_step(target).run(model, tools)
            return made.model.module, {"prune": made.facts["prune"]}

        if only in (None, "attar"):
            one(folder, seed, "attar", target, ours, dataset)
        for rounded in ROUNDED:
            for importance in RIVALS if f"{rounded}-{target}" in found else ():

                def theirs(
                    target: float = target, rounded: int = rounded, importance: str = importance
                ) -> tuple[nn.Module, dict[str, Any]]:
                    share = found[f"{rounded}-{target}"]
                    slim = rival(module, importance, rounded, share, rows)
                    step = Distill().completed(OBJECTIVE, TRAINING)
                    return step.run(Model(slim, model.spec), tools).model.module, {"ratio": share}

                if only in (None, "rivals"):
                    one(folder, seed, named(importance, rounded), target, theirs, dataset)


def interval(values: list[float]) -> list[float]:
    """Mean and its 95% interval over seeds, by Student's t."""
    from scipy.stats import t

    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return [mean, mean, mean]
    half = float(t.ppf(0.975, count - 1) * np.std(values, ddof=1) / np.sqrt(count))
    return [mean, mean - half, mean + half]


def race_all(folder: Path, out: Path) -> None:
    """Race what was pruned against the unpruned network, and write the result."""
    raw: list[dict[str, Any]] = []
    for place in sorted((folder / "pruned").iterdir()):
        contender, target, seed = place.name.replace("_", " ").rsplit("-", 2)
        raw.append({"contender": contender, "target": float(target), "seed": int(seed), "place": place})
    whole = {one["seed"]: one["place"] / "network.onnx" for one in raw if one["contender"] == "whole"}
    rows = {batch: np.random.default_rng(0).random((batch, 1, 28, 28), np.float32) for batch in (1, 64)}
    for entry in raw:
        place = entry.pop("place")
        facts = json.loads((place / "facts.json").read_text())
        entry |= {name: facts[name] for name in ("test", "validation", "seconds")}
        if "prune" in facts:
            entry["measured_in_step"] = facts["prune"]["measured"]
            entry["groups"] = [[one["units"], one["kept"]] for one in facts["prune"]["groups"]]
        runners = {
            "it": open_onnxruntime(place / "network.onnx", 1),
            "whole": open_onnxruntime(whole[entry["seed"]], 1),
        }
        for batch, inputs in rows.items():
            raced = race(runners, inputs, batch, threads=1, seconds=0.8).ratio("it", "whole")
            entry[f"latency_{batch}"] = [raced.ratio, *raced.interval]
        print(entry["contender"], entry["target"], entry["seed"], entry["test"], entry["latency_1"][0], flush=True)
    write(out, what=WHAT, seed=0, packages=["torch-pruning"], settings=settings(), **summary(raw), raw=raw)


def settings() -> dict[str, Any]:
    return {
        "targets": {str(key): value for key, value in TARGETS.items()},
        "steps": STEPS,
        "batch": BATCH,
        "step": STEP,
    }


def summary(raw: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds, differences seed by seed, and the claims."""
    table: dict[str, Any] = {}
    claims: list[dict[str, Any]] = []
    by = {(one["contender"], one["target"], one["seed"]): one for one in raw}
    contenders = sorted({one["contender"] for one in raw} - {"whole"})
    for target, seeds in TARGETS.items():
        rows = {
            name: [by[name, target, seed] for seed in range(seeds) if (name, target, seed) in by] for name in contenders
        }
        table[str(target)] = {
            name: {
                "test": interval([one["test"] for one in found]),
                "latency_1": [one["latency_1"][0] for one in found],
                "latency_64": [one["latency_64"][0] for one in found],
                "seeds": len(found),
            }
            for name, found in rows.items()
            if found
        }
        others = {name: table[str(target)][name]["test"][0] for name in rows if name != "attar" and rows[name]}
        if not others or not rows.get("attar"):
            continue
        best = max(others, key=others.__getitem__)
        pairs = [
            by["attar", target, seed]["test"] - by[best, target, seed]["test"]
            for seed in range(seeds)
            if ("attar", target, seed) in by and (best, target, seed) in by
        ]
        mean, low, high = interval(pairs)
        aim = 0.01 if target == 0.35 else 0.0
        words = f" by {100 * aim:g} point" if aim else ""
        claims.append(
            {
                "claim": f"at {target}x of the latency more accurate than the best of Torch-Pruning{words} ({best})",
                "aim": aim,
                "reached": mean,
                "interval": [low, high],
                "met": low > 0 and mean >= aim,
            }
        )
    ours = [one for one in raw if one["contender"] == "attar"]
    slowest = max(one["latency_1"][0] for one in ours)
    claims.append({"claim": "never slower than unpruned", "aim": 1.0, "reached": slowest, "met": slowest < 1.0})
    over = max(one["latency_1"][0] / one["target"] for one in ours)
    claims.append(
        {"claim": "times the latency that was asked for, at most", "aim": 1.05, "reached": over, "met": over <= 1.05}
    )
    first = [one["measured_in_step"][1] for one in ours if len(one["measured_in_step"]) > 1]
    off = max(abs(one["predicted_ms"] / one["measured_ms"] - 1) for one in first)
    claims.append(
        {
            "claim": "by how much the prediction is off, before the pruned network is measured",
            "aim": 0.1,
            "reached": off,
            "met": off <= 0.1,
        }
    )
    return {"claims": claims, "summary": table}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["ratios", "prune", "race"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=["attar", "rivals"])
    parser.add_argument("--out", type=Path, default=Path("runs/pruning"))
    parser.add_argument("--result", type=Path, default=RESULTS / "pruned_residual.json")
    given = parser.parse_args()
    if given.what == "ratios":
        ratios(given.out)
    elif given.what == "prune":
        prune_all(given.out, given.seed, given.only)
    else:
        race_all(given.out, given.result)
