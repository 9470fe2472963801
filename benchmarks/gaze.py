"""Where people look: an ensemble of wide networks, a slim student of it, and this student pruned further and further.

    ATTAR_PHOTOGRAPHS=/usr/share/backgrounds python benchmarks/gaze.py     # about six minutes on one core of its own

The observers are simulated, over photographs of Debian's packages, or over generated images (--generated).
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from result import RESULTS, write
from state_claims import claim
from torch import Tensor, nn

from attar.data.simulated_gaze import TEST, generated, photographs, true_log_densities
from attar.data.split import Dataset
from attar.data.store import label
from attar.data.transfer_set import TransferSet
from attar.data.views import Views
from attar.deployment.artifact import Artifact
from attar.deployment.deploy import deploy
from attar.evidence.latency import race
from attar.network.architectures import gaze_network
from attar.network.cost import cost
from attar.pipeline.costs import costs_of
from attar.pipeline.pruner import Plan, Pruner
from attar.pruning.groups import find_groups
from attar.pruning.importance.named import IMPORTANCE
from attar.pruning.select import knapsack
from attar.pruning.structure import Structure
from attar.tasks.intervals import student_interval
from attar.teachers.ensemble import Ensemble
from attar.teachers.teacher import NetworkTeacher
from attar.training.fit import fit
from attar.training.losses.fixations import Fixations
from attar.training.losses.outputs import SoftTargets
from attar.training.objective import Objective, Term
from attar.training.settings import Training

MEMBERS, VIEWS = 3, 4
TARGETS = (0.5, 0.25)
"""Shares of the student's multiply-adds."""

WHAT = (
    "Information gain in bits per fixation over the center bias of the training fixations, AUC against all pixels and "
    "NSS on test, means over images; multiply-adds of one image; median milliseconds of one image in ONNX Runtime with "
    "one thread, all models in turns. The fixations are simulated: of a density that is known, whose own score is "
    "'truth', the best that there is. Teacher: the mean map of three wide networks, trained on the fixations. Student: "
    "a slim network that learns the teacher's maps (0.9) and the fixations (0.1); baseline: the same without the maps. "
    "Pruned: the student, trained on while units go by group Fisher until so much of its multiply-adds is left. Test "
    "images are crops of a few photographs, so that the intervals are of the means of each photograph (Student's t): "
    "of the difference to the teacher. Where images are generated, each stands for itself."
)


def trained(network: nn.Module, objective: Objective, data: TransferSet, dataset: Dataset, **more: Any) -> nn.Module:
    """A network, trained; the best epoch on validation is not asked for."""
    settings = Training(batch_size=32, optimizer="adam", schedule="one_cycle", **more.pop("settings"))
    validation = TransferSet(dataset.validation)
    return fit(network, objective, data, settings=settings, validation=validation, **more).model.eval()


def pruned(network: nn.Module, share: float, objective: Objective, data: TransferSet, dataset: Dataset, epochs: int,
           seed: int) -> nn.Module:  # fmt: skip
    """The network with a share of its multiply-adds, trained on meanwhile."""
    example = dataset.train.floats(slice(0, 1))
    groups = find_groups(network, example)
    structure = Structure.of(network, groups, example)
    costs = costs_of("macs", structure, network, example, None)
    full = costs.cost.total({})
    steps = epochs * -(-len(dataset.train) // 32)
    plan = Plan.gradual(full, share * full, last=steps // 2, every=20)
    pruner = Pruner(groups, IMPORTANCE["group_fisher"], costs, knapsack, plan, seed=seed)
    settings = {"epochs": epochs, "learning_rate": 0.002}
    return trained(network, objective, data, dataset, settings=settings, callbacks=[pruner])


def fresh(seed: int, widths: Sequence[int], depth: int) -> nn.Module:
    """An untrained network."""
    torch.manual_seed(seed)
    return gaze_network((48, 64), widths=widths, depth=depth)


def outputs_of(network: nn.Module, inputs: Tensor) -> np.ndarray:
    """``[n, positions]`` log densities."""
    with torch.inference_mode():
        return torch.cat([network(some) for some in inputs.split(64)]).numpy()


def main() -> None:
    """Train, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generated", action="store_true", help="generated images in place of photographs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--teacher-epochs", type=int, default=5)
    parser.add_argument("--student-epochs", type=int, default=12)
    parser.add_argument("--pruning-epochs", type=int, default=8)
    parser.add_argument("--out", type=Path, default=RESULTS / "gaze.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    dataset = generated() if given.generated else photographs()
    views = Views(count=VIEWS, flip=True)
    labels_alone = Objective({"hard": Term(loss=Fixations())})
    both = Objective(
        {"soft": Term(loss=SoftTargets(temperature=1.0), weight=0.9), "hard": Term(loss=Fixations(), weight=0.1)}
    )
    example = dataset.train.floats(slice(0, 1))
    learned = partial(trained, dataset=dataset)
    plain = TransferSet(dataset.train, views)
    wide = {"epochs": given.teacher_epochs, "learning_rate": 0.004}
    members = [
        learned(fresh(given.seed + 100 + one, [16, 32, 64], 2), labels_alone, plain, settings=wide)
        for one in range(MEMBERS)
    ]
    print("members trained", flush=True)
    teachers = [NetworkTeacher(one, classes=48 * 64, example=example, output="logits") for one in members]
    teacher = Ensemble(teachers)
    slim = {"epochs": given.student_epochs, "learning_rate": 0.005}
    with tempfile.TemporaryDirectory() as folder:
        targets = label(teacher, dataset.train, Path(folder) / "targets", views=views)
        transfer = TransferSet(dataset.train, views, targets)
        networks = {"student": learned(fresh(given.seed, [12, 24, 48], 1), both, transfer, settings=slim)}
        networks["baseline"] = learned(fresh(given.seed, [12, 24, 48], 1), labels_alone, plain, settings=slim)
        print("students trained", flush=True)
        for share in TARGETS:
            networks[f"pruned to {share:g}x"] = pruned(
                networks["student"], share, both, transfer, dataset, given.pruning_epochs, given.seed
            )
            print("pruned", share, flush=True)
        module = teacher.module
        assert module is not None, "all members are networks"
        networks = {"teacher": module, **networks}
        runners = {}
        for number, (name, network) in enumerate(networks.items()):
            artifact: Artifact = deploy(
                network, "onnxruntime", Path(folder) / f"a{number}", task=dataset.task, example=example
            )
            runners[name] = artifact.open(threads=1)
        times = race(runners, example.numpy(), 1, seconds=1.0)
    labels = dataset.test.labels
    assert labels is not None, "it has"
    truth = labels.numpy()
    inputs = dataset.test.floats(slice(0, len(dataset.test)))
    clusters = len(dataset.test) if given.generated else len(TEST)
    outputs = {name: outputs_of(network, inputs) for name, network in networks.items()}
    outputs["truth"] = true_log_densities(dataset.test.inputs.numpy())
    scores = {name: dataset.task.scores(one, truth).reshape(clusters, -1).mean(axis=1) for name, one in outputs.items()}
    summary: dict[str, dict[str, Any]] = {}
    for name, one in outputs.items():
        quality: Any = dataset.task.quality(one, truth)
        apart = scores[name] - scores["teacher"]
        summary[name] = {
            "information_gain": quality.information_gain,
            "auc": quality.auc,
            "nss": quality.nss,
            "kl": quality.kl,
            "sim": quality.sim,
            "to_teacher": float(apart.mean()),
            "to_teacher_interval": list(student_interval(apart)),
        }
        if name in networks:
            summary[name] |= {
                "macs": cost(networks[name], example).macs,
                "milliseconds": times.latencies[name].median_ms,
                "faster": times.ratio("teacher", name).ratio,
            }
        print(name, {key: np.round(value, 4).tolist() for key, value in summary[name].items()}, flush=True)
    note = "one seed"
    claims = []
    for name in [one for one in summary if one == "student" or one.startswith("pruned")]:
        row = summary[name]
        gain = "bits of information gain more than the teacher's"
        claims += [
            claim(f"{name}: times faster than the teacher at batch 1", row["faster"], 10.0, note=note),
            claim(f"{name}: {gain}", row["to_teacher"], -0.05, interval=row["to_teacher_interval"], surely=True,
                  note=note),
            claim(f"{name}: AUC more than the teacher's", row["auc"] - summary["teacher"]["auc"], -0.005, note=note),
        ]  # fmt: skip
    settings = {
        "data": dataset.source,
        "train": len(dataset.train),
        "test": len(dataset.test),
        "clusters": clusters,
        "members": MEMBERS,
        "epochs": [given.teacher_epochs, given.student_epochs, given.pruning_epochs],
    }
    write(given.out, what=WHAT, seed=given.seed, settings=settings, summary=summary, claims=claims,
          packages=["onnxruntime", "pillow"], raw={name: one.tolist() for name, one in scores.items()})  # fmt: skip


if __name__ == "__main__":
    main()
