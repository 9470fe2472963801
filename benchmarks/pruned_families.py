"""Depthwise convolutions, and a transformer encoder: pruned to a share of their latency, reloaded, deployed, raced.

    python benchmarks/pruned_families.py prune --out runs/pruning     # two minutes a network and seed
    python benchmarks/pruned_families.py race --out runs/pruning      # a minute, on quiet cores

What is there already is not made again.
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
from lenet_pruning import OBJECTIVE, Stored, over_seeds, quality
from result import RESULTS, write
from torch import Tensor, nn

from attar.data.datasets import load as load_data
from attar.data.split import Dataset
from attar.data.views import UNCHANGED
from attar.deployment.artifact import load
from attar.deployment.deploy import deploy
from attar.evidence.latency import race
from attar.evidence.measure import predict_all
from attar.models.model import Model, load_model, save_model
from attar.network.cost import cost
from attar.network.spec import Spec
from attar.pipeline.step import TeacherTools, Tools
from attar.pipeline.steps.distill import Distill
from attar.pipeline.steps.prune import Prune
from attar.pipeline.turns import Turns
from attar.training.settings import Training

EXAMPLES = 8_000
TRAINING = {
    "depthwise": Training(epochs=4, batch_size=64, learning_rate=0.05, weight_decay=5e-4, schedule="one_cycle"),
    "encoder": Training(epochs=6, batch_size=64, optimizer="adamw", learning_rate=0.002, schedule="one_cycle"),
}
PRUNING = {
    "depthwise": Training(epochs=4, batch_size=64, learning_rate=0.02, weight_decay=5e-4, schedule="cosine"),
    "encoder": Training(epochs=6, batch_size=64, optimizer="adamw", learning_rate=0.001, schedule="cosine"),
}
STEP: dict[str, Any] = {"until": 0.5, "every": 20}
TARGETS = {"depthwise": "0.5x", "encoder": "0.75x"}
"""Of the latency; half of the encoder's is in normalization and softmax, which stay."""
BATCHES = (1, 64)

WHAT = (
    "Two networks on 8,000 images of Fashion-MNIST, each pruned by the step prune to a share of its measured latency "
    "(ONNX Runtime, one thread, one image; .5 and .75), saved, read again from its file, deployed to ONNX Runtime and "
    "timed in turns with the unpruned one: a network of inverted residual blocks (depthwise convolutions, batch "
    "normalization, shortcuts) and torch's transformer encoder on the rows of an image, whose heads and hidden "
    "units go. Errors are those of the deployed files on all test images. The unpruned network was trained on "
    "with the same objective for as long, to compare with."
)


class Inverted(nn.Module):
    """1x1 to more channels, 3x3 on each, 1x1 to fewer (Sandler et al., *MobileNetV2*, 2018), beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, factor: int = 4) -> None:
        super().__init__()
        inner = factor * inputs
        self.body = nn.Sequential(
            nn.Conv2d(inputs, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, inner, 3, stride, padding=1, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.beside = stride == 1 and inputs == outputs

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.body(inputs)
        return outputs + inputs if self.beside else outputs


def depthwise(classes: int = 10) -> nn.Module:
    """A small MobileNetV2 for images of 28 pixels."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, 2, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        Inverted(32, 32, 1),
        Inverted(32, 48, 2),
        Inverted(48, 48, 1),
        Inverted(48, 48, 1),
        nn.Conv2d(48, 192, 1, bias=False),
        nn.BatchNorm2d(192),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(192, classes),
    )


class Encoder(nn.Module):
    """Torch's transformer encoder on the rows of an image."""

    def __init__(self, classes: int = 10, width: int = 128, heads: int = 8, inner: int = 512, blocks: int = 2) -> None:
        super().__init__()
        self.rows = nn.Linear(28, width)
        self.positions = nn.Parameter(0.02 * torch.randn(28, width))
        block = nn.TransformerEncoderLayer(width, heads, inner, dropout=0.0, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, blocks, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        seen = self.blocks(self.rows(inputs.squeeze(1)) + self.positions)
        logits: Tensor = self.head(self.norm(seen).mean(1))
        return logits


def encoder(classes: int = 10) -> nn.Module:
    """An encoder of two blocks with 8 heads and 512 hidden units each."""
    return Encoder(classes)


FAMILIES = {"depthwise": depthwise, "encoder": encoder}


def few(seed: int) -> Dataset:
    """Fashion-MNIST with some of its training images."""
    dataset = load_data("fashion-mnist", validation=3_000, seed=seed)
    rows = torch.randperm(len(dataset.train), generator=torch.Generator().manual_seed(seed))[:EXAMPLES]
    return replace(dataset, train=dataset.train.rows(rows))


def prune_one(family: str, seed: int, folder: Path) -> None:
    """Train, prune, save, read again, deploy both; once."""
    place = folder / "families" / f"{family}-{seed}"
    if (place / "facts.json").exists():
        return
    start = time.perf_counter()
    dataset = few(seed)
    torch.manual_seed(seed)
    fresh = Model(FAMILIES[family](), Spec(f"pruned_families:{family}"))
    tools = Tools(
        dataset=dataset,
        dataset_key=dataset.fingerprint(),
        views=UNCHANGED,
        seed=seed,
        run_seed=seed,
        turns=Turns(place / "times"),
    )
    whole = step(Distill(), TRAINING[family], tools).run(fresh, tools).model
    taught = replace(tools, teacher=TeacherTools(key={}, targets=Stored(whole.module, dataset.train)))
    made = step(
        Prune.model_validate({"use": "prune", "to": {"latency": TARGETS[family]}, **STEP}), PRUNING[family], taught
    ).run(whole, taught)
    further = step(Distill(), PRUNING[family], taught).run(whole, taught).model
    save_model(made.model, place)
    again = load_model(place, allow=("attar", "pruned_families"))
    with torch.inference_mode():
        given, gives = made.model.module.eval()(tools.example), again.module(tools.example)
    task = dataset.task
    for name, model in (("whole", whole), ("pruned", again)):
        deploy(model.module, "onnxruntime", place / name, task=task, example=tools.example, spec=model.spec)
    prune = made.facts["prune"]
    facts = {
        "family": family,
        "seed": seed,
        "seconds": time.perf_counter() - start,
        "reloaded_off": float((gives - given).abs().max()),
        "trained_on": {"test": quality(further.module, dataset.test)},
        "validation": quality(again.module, dataset.validation),
        "macs": cost(again.module, tools.example).macs / cost(whole.module, tools.example).macs,
        "measured_in_step": prune["measured"],
        "groups": [[one["group"], one["kind"], one["units"], one["kept"]] for one in prune["groups"]],
        "untouched": prune["untouched"],
    }
    (place / "facts.json").write_text(json.dumps(facts))
    print(family, seed, facts, flush=True)


def step(made: Any, training: Training, tools: Tools) -> Any:
    """A step with its objective and settings, on labels alone where there is no teacher."""
    return made.completed(OBJECTIVE, training).resolved(tools)


def race_all(folder: Path, out: Path) -> None:
    """Race each pruned file against its unpruned one, and write the result."""
    raw = []
    for place in sorted((folder / "families").iterdir()):
        facts = json.loads((place / "facts.json").read_text())
        test = few(facts["seed"]).test
        artifacts = {name: load(place / name) for name in ("pruned", "whole")}
        facts["latency"] = {}
        for batch in BATCHES:
            rows = np.ascontiguousarray(test.floats(slice(0, batch)).numpy())
            raced = race(artifacts, rows, batch, threads=1, seconds=1.0)
            facts["latency"][str(batch)] = {
                **{name: latency.to_json() for name, latency in raced.latencies.items()},
                "ratio": raced.ratio("pruned", "whole").to_json(),
            }
        for name, artifact in artifacts.items():
            found = test.task.quality(predict_all(artifact, test), test.labels.numpy())
            facts[name] = {"error": 1 - found.accuracy, "log_loss": found.log_loss, "bytes": artifact.size_bytes}
        print(facts["family"], facts["seed"], facts["latency"]["1"]["ratio"], facts["pruned"], flush=True)
        raw.append(facts)
    summary, claims = {}, []
    for family in FAMILIES:
        found = [one for one in raw if one["family"] == family]
        if not found:
            continue
        ratios = {batch: [one["latency"][str(batch)]["ratio"] for one in found] for batch in BATCHES}
        summary[family] = {
            "seeds": len(found),
            "error": {name: over_seeds([one[name]["error"] for one in found]) for name in ("whole", "pruned")},
            "error_trained_on": over_seeds([one["trained_on"]["test"]["error"] for one in found]),
            "lost": over_seeds([one["pruned"]["error"] - one["whole"]["error"] for one in found]),
            "latency": {str(batch): [one["ratio"] for one in of] for batch, of in ratios.items()},
            "macs": [one["macs"] for one in found],
            "bytes": [one["pruned"]["bytes"] / one["whole"]["bytes"] for one in found],
        }
        for batch, of in ratios.items():
            slowest = max(of, key=lambda one: one["ratio"])
            claims.append(
                {
                    "claim": f"{family}: times the latency of the unpruned one, batch {batch}; the slowest seed",
                    "aim": 1.0,
                    "reached": slowest["ratio"],
                    "interval": slowest["interval"],
                    "met": slowest["interval"][1] < 1.0,
                }
            )
        claims.append(
            {
                "claim": f"{family}: error above that of the unpruned one",
                "aim": None,
                "reached": summary[family]["lost"]["mean"],
                "interval": summary[family]["lost"]["interval"],
                "met": None,
            }
        )
    off = max(one["reloaded_off"] for one in raw)
    claim = "read again, each gives the logits that it gave, but for"
    claims.append({"claim": claim, "aim": 1e-5, "reached": off, "met": off <= 1e-5})
    settings = {
        "training": {name: asdict(one) for name, one in TRAINING.items()},
        "pruning": {name: asdict(one) for name, one in PRUNING.items()},
        "step": STEP,
        "targets": TARGETS,
        "examples": EXAMPLES,
    }
    path = write(out, what=WHAT, seed=0, settings=settings, claims=claims, summary=summary, raw=raw)
    print(f"written to {path}")


def main() -> None:
    """Prune, or race and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["prune", "race"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--families", nargs="+", choices=list(FAMILIES), default=list(FAMILIES))
    parser.add_argument("--out", type=Path, default=Path("runs/pruning"))
    parser.add_argument("--result", type=Path, default=RESULTS / "pruned_families.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.what == "race":
        race_all(given.out, given.result)
        return
    for seed in range(given.seeds):
        for family in given.families:
            prune_one(family, seed, given.out)


if __name__ == "__main__":
    main()
