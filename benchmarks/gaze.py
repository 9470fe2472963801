"""Where people look: an ensemble of wide networks, a slim student of it, and this student pruned further and further.

    python benchmarks/gaze.py train    # a quarter of an hour
    python benchmarks/gaze.py race     # two minutes, on quiet cores

What is there already is not trained again. The observers are simulated, over photographs of Debian's packages, or over
generated images (--generated). The photographs are looked for in /usr/share/backgrounds or $ATTAR_PHOTOGRAPHS, more for
the test beside that folder, in wallpapers and palapeli: packages plasma-workspace-wallpapers and palapeli-data.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from numpy.typing import NDArray
from result import RESULTS, write
from state_claims import claim
from torch import nn

from attar.data.datasets import shrink
from attar.data.simulated_gaze import (
    CROPS,
    DEBIAN,
    SIZE,
    TEST,
    crops,
    generated,
    observed,
    photographs,
    true_log_densities,
)
from attar.data.split import Dataset, Split
from attar.data.store import label
from attar.data.transfer_set import TransferSet
from attar.data.views import Views
from attar.deployment.artifact import load
from attar.deployment.deploy import deploy
from attar.evidence.latency import race
from attar.evidence.measure import labels_of, predict_all
from attar.models.fresh import fresh
from attar.models.model import Model, load_model, save_model
from attar.network.architectures import gaze_network
from attar.network.cost import cost
from attar.network.spec import Spec
from attar.network.weights import load_weights, save_weights
from attar.pipeline.step import Step, TeacherTools, Tools
from attar.pipeline.steps.distill import Distill
from attar.pipeline.steps.prune import Prune
from attar.tasks.intervals import student_interval
from attar.teachers.ensemble import Ensemble
from attar.teachers.teacher import NetworkTeacher
from attar.training.fit import fit
from attar.training.losses.fixations import Fixations
from attar.training.losses.outputs import SoftTargets
from attar.training.objective import Objective, Term
from attar.training.settings import Training

MEMBERS = 3
WIDE: dict[str, Any] = {"size": list(SIZE), "widths": [24, 48, 96], "depth": 2, "readout": [32]}
STUDENTS: dict[str, tuple[list[int], tuple[float, ...]]] = {
    "student": ([16, 32, 64], (0.5, 0.25, 0.125)),
    "wider student": ([24, 48, 96], (0.5,)),
}
"""Widths, and to which shares of its multiply-adds each is pruned."""
VIEWS = Views(count=4, flip=True)
TRAINING = Training(batch_size=32, optimizer="adam", schedule="one_cycle")
TEACHER = replace(TRAINING, epochs=6, learning_rate=0.003)
STUDENT = replace(TRAINING, epochs=12, learning_rate=0.005)
PRUNING = replace(TRAINING, epochs=8, learning_rate=0.002)
LABELS = Objective({"hard": Term(loss=Fixations())})
BOTH = Objective(
    {"soft": Term(loss=SoftTargets(temperature=1.0), weight=0.9), "hard": Term(loss=Fixations(), weight=0.1)}
)
METRICS = ("information_gain", "auc", "nss", "kl", "sim")

MORE = tuple(
    place.format(name)
    for place, names in {
        "wallpapers/{}/contents/images/2560x1600.jpg": (
            "BytheWater ColdRipple ColorfulCups DarkestHour EveningGlow FallenLeaf "
            "Grey Kite OneStandsOut Path summer_1am"
        ),
        "palapeli/collection/{}.jpg": (
            "castle-maintenon cincinnati-bridge citrus-fruits european-honey-bee panther-chameleon-female"
        ),
    }.items()
    for name in names.split()
)
"""More photographs for the test: all of both packages, and none of their drawings."""

TIMES, BITS, AREA = 10.0, -0.05, -0.005
"""Aims: times faster than the teacher, and bits and area under the curve more than it."""

WHAT = (
    "Information gain in bits per fixation over the center bias of the training fixations, AUC against all pixels and "
    "NSS on test, of the deployed files; multiply-adds of one image; median milliseconds of one image in ONNX Runtime "
    "with one thread, all models in turns. The fixations are simulated: of a density that is known, whose own score is "
    "'truth', the best that there is. Teacher: the mean map of three wide networks, trained on the fixations. Student: "
    "a slim network that learns the teacher's maps (0.9) and the fixations (0.1); baseline: the same without the maps. "
    "Pruned: the student, trained on while units go by group Fisher until so much of its multiply-adds is left. Test "
    "images are crops of 23 photographs, so that scores are means of each photograph, then over the seeds of the "
    "student, and intervals are Student's t over the photographs, of the difference to the teacher. Where images are "
    "generated, each stands for itself. There is one teacher for all seeds."
)


def taught(dataset: Dataset, folder: Path, epochs: int | None) -> tuple[Ensemble, TeacherTools]:
    """The teacher, its members read from the folder or trained, and what it says of each view of each image."""
    members = []
    for number in range(MEMBERS):
        torch.manual_seed(100 + number)
        network, path = gaze_network(**WIDE), folder / f"member-{number}.safetensors"
        if path.exists():
            network = load_weights(network, path)
        else:
            start = time.process_time()
            settings = replace(TEACHER, seed=100 + number, epochs=epochs or TEACHER.epochs)
            fitted = fit(
                network,
                LABELS,
                TransferSet(dataset.train, VIEWS),
                settings=settings,
                validation=TransferSet(dataset.validation),
                checkpoint_file=folder / f"member-{number}.checkpoint",
            )
            network = fitted.model
            save_weights(network, path)
            print(f"member {number}: {fitted}, {time.process_time() - start:.0f} s of CPU", flush=True)
        members.append(network.eval())
    example = dataset.train.floats(slice(0, 1))
    teacher = Ensemble([NetworkTeacher(one, classes=SIZE[0] * SIZE[1], example=example) for one in members])
    targets = label(teacher, dataset.train, folder / "targets", views=VIEWS)
    if not (folder / "teacher" / "facts.json").exists():
        module = teacher.module
        assert module is not None, "all members are networks"
        keep(module, None, dataset, folder / "teacher", {})
    return teacher, TeacherTools(key={}, targets=targets)


def keep(module: nn.Module, spec: Spec | None, dataset: Dataset, place: Path, facts: Mapping[str, Any]) -> None:
    """Deploy a network, and write what is known of it; the last is what says that it is there."""
    example = dataset.train.floats(slice(0, 1))
    deploy(module, "onnxruntime", place / "artifact", task=dataset.task, example=example, spec=spec)
    found = dataset.task.quality(predict_all(load(place / "artifact").open(threads=1), dataset.validation),
                                 labels_of(dataset.validation))  # fmt: skip
    facts = {"macs": cost(module, example).macs, "validation": asdict(found), **facts}
    (place / "facts.json").write_text(json.dumps(facts))
    print(place.name, f"{facts['macs']:,} multiply-adds, on validation {found}", facts.get("seconds", ""), flush=True)


def made(name: str, seed: int, step: Step, before: Model, tools: Tools, folder: Path) -> Model:
    """What a step makes of a model, read from the folder or made."""
    place = folder / f"{name}-{seed}"
    if (place / "facts.json").exists():
        return load_model(place)
    start = time.process_time()
    result = step.run(before, tools)
    save_model(result.model, place)
    facts = {"name": name, "seed": seed, "seconds": time.process_time() - start}
    keep(result.model.module, result.model.spec, tools.dataset, place, facts)
    return load_model(place)


def train(seeds: Sequence[int], dataset: Dataset, folder: Path, epochs: int | None) -> None:
    """The teacher, and for each seed students, each of them pruned, and a baseline."""
    _, teacher = taught(dataset, folder, epochs)
    student, pruning = (replace(one, epochs=epochs or one.epochs) for one in (STUDENT, PRUNING))
    for name, (widths, targets) in STUDENTS.items():
        spec = Spec("attar.network.architectures:gaze_network", {"size": list(SIZE), "widths": widths})
        for seed in seeds:
            tools = Tools(
                dataset=dataset,
                dataset_key=dataset.fingerprint(),
                views=VIEWS,
                seed=seed,
                run_seed=seed,
                teacher=teacher,
            )
            untrained = fresh(spec, seed)
            whole = made(name, seed, Distill().completed(BOTH, student), untrained, tools, folder)
            for share in targets:
                step = Prune.model_validate({"use": "prune", "to": {"macs": f"{share}x"}}).completed(BOTH, pruning)
                made(f"{name} pruned to {share:g}x", seed, step, whole, tools, folder)
            if name == "student":
                alone = Distill().completed(LABELS, student)
                made("baseline", seed, alone, untrained, replace(tools, teacher=None), folder)


def with_more(dataset: Dataset) -> Split:
    """The test images and crops of more photographs, as many of each."""
    root = Path(os.environ.get("ATTAR_PHOTOGRAPHS", DEBIAN)).resolve().parent
    draw = np.random.default_rng(1)
    images = np.concatenate([crops(root / one, CROPS["test"], draw) for one in MORE])
    inputs = torch.cat([dataset.test.inputs, torch.from_numpy(images)])
    labels = torch.cat([torch.from_numpy(labels_of(dataset.test)), torch.from_numpy(observed(images, 3))])
    return Split(inputs, labels, torch.arange(len(inputs)), dataset.task)


def race_all(dataset: Dataset, folder: Path, out: Path, seconds: float, photographed: bool) -> None:
    """Ask and time all files of the folder, and write the result."""
    places = {one.parent.name: one.parent for one in sorted(folder.glob("*/facts.json"))}
    facts = {key: json.loads((place / "facts.json").read_text()) for key, place in places.items()}
    runners = {key: load(place / "artifact").open(threads=1) for key, place in places.items()}
    test = with_more(dataset) if photographed else dataset.test
    truth = labels_of(test)
    outputs: dict[str, NDArray[Any]] = {key: predict_all(runner, test) for key, runner in runners.items()}
    outputs["truth"] = true_log_densities(test.inputs.numpy())
    clusters = len(TEST) + len(MORE) if photographed else len(test)
    metrics = dataset.task.metrics
    scores = {
        metric: {key: of_each(one, truth).reshape(clusters, -1).mean(axis=1) for key, one in outputs.items()}
        for metric, of_each in ((name, metrics[name].of_each) for name in METRICS)
        if of_each is not None
    }
    times = race(runners, test.floats(slice(0, 1)).numpy(), 1, threads=1, seconds=seconds)
    kinds = [
        *(
            one
            for name, (_, targets) in STUDENTS.items()
            for one in (name, *(f"{name} pruned to {x:g}x" for x in targets))
        ),
        "baseline",
    ]
    there = {one["name"] for one in facts.values() if "name" in one}
    names = ["teacher", *(one for one in kinds if one in there), "truth"]
    summary: dict[str, Any] = {}
    for name in names:
        keys = [key for key in outputs if key == name or facts.get(key, {}).get("name") == name]
        row: dict[str, Any] = {"seeds": len(keys)}
        for metric, of in scores.items():
            apart = np.mean([of[key] - of["teacher"] for key in keys], axis=0)
            row[metric] = float(np.mean([of[key].mean() for key in keys]))
            row[f"{metric}_more"] = float(apart.mean())
            row[f"{metric}_more_interval"] = list(student_interval(apart))
            row[f"{metric}_by_seed"] = [float(of[key].mean()) for key in keys]
        if name != "truth":
            row["macs"] = [facts[key]["macs"] for key in keys]
            row["milliseconds"] = [times.latencies[key].median_ms for key in keys]
            row["faster"] = [times.ratio("teacher", key).to_json() for key in keys]
        summary[name] = row
        print(name, json.dumps({key: one for key, one in row.items() if key != "faster"}), flush=True)
    claims = []
    for name in [one for one in names if "student" in one]:
        row = summary[name]
        note = f"simulated observers; {row['seeds']} seeds of the student, one teacher"
        if name.startswith("wider"):
            note += "; it was tried after a look at the others on test"
        slowest = min(row["faster"], key=lambda one: one["ratio"])
        claims += [
            claim(f"{name}: times faster than the teacher at batch 1, the slowest seed", slowest["ratio"], TIMES,
                  interval=slowest["interval"], surely=True, note=note),
            claim(f"{name}: bits of information gain more than the teacher's", row["information_gain_more"], BITS,
                  interval=row["information_gain_more_interval"], surely=True, note=note),
            claim(f"{name}: AUC more than the teacher's", row["auc_more"], AREA, interval=row["auc_more_interval"],
                  note=note),
        ]  # fmt: skip
    gains, whole = scores["information_gain"], [key for key, one in facts.items() if one.get("name") == "student"]
    apart = np.mean([gains[key] - gains[f"baseline-{facts[key]['seed']}"] for key in whole], axis=0)
    claims.append(claim("student: bits of information gain more than without the teacher", float(apart.mean()), 0.0,
                        interval=list(student_interval(apart)), surely=True, note="simulated observers"))  # fmt: skip
    settings = {
        "data": dataset.source,
        "train": len(dataset.train),
        "test": len(test),
        "photographs of test": clusters,
        "members": MEMBERS,
        "networks": {"teacher": WIDE, **{name: widths for name, (widths, _) in STUDENTS.items()}},
        "training": {"teacher": asdict(TEACHER), "student": asdict(STUDENT), "pruning": asdict(PRUNING)},
    }
    raw = {
        key: {**facts.get(key, {}), "information gain of each photograph": scores["information_gain"][key].tolist()}
        for key in outputs
    }
    path = write(out, what=WHAT, seed=0, settings=settings, summary=summary, claims=claims,
                 packages=["onnxruntime", "pillow"], raw=raw)  # fmt: skip
    print(f"written to {path}")


def main() -> None:
    """Train, or race and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "race"])
    parser.add_argument("--generated", action="store_true", help="generated images in place of photographs")
    parser.add_argument("--seeds", type=int, default=3, help="how many students")
    parser.add_argument("--epochs", type=int, help="of every training; for a quick look")
    parser.add_argument("--limit", type=int, help="images of each part at most; for a quick look")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each model in the race")
    parser.add_argument("--out", type=Path, default=Path("runs/gaze"))
    parser.add_argument("--result", type=Path, default=RESULTS / "gaze.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    dataset = generated() if given.generated else photographs()
    if given.limit is not None:
        dataset = shrink(dataset, given.limit)
    if given.what == "race":
        whole = not given.generated and given.limit is None
        race_all(dataset, given.out, given.result, given.seconds, photographed=whole)
        return
    given.out.mkdir(parents=True, exist_ok=True)
    train(range(given.seeds), dataset, given.out, given.epochs)


if __name__ == "__main__":
    main()
