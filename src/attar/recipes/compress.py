"""The verb that does all of it: a recipe in; an artifact, its evidence and a report out."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from attar.deployment.artifact import Artifact, Candidate, candidates, load
from attar.deployment.runtimes import Runner, open_onnxruntime, open_torch
from attar.errors import AttarError, must
from attar.evidence.compare import gap_closed, verdict
from attar.evidence.latency import Race, race
from attar.evidence.machine import machine
from attar.evidence.measure import Evidence, agreement, correct, parity, predict_all, quality
from attar.evidence.memory import peak_memory
from attar.evidence.report import render
from attar.network.cost import cost
from attar.network.describe import save_weights
from attar.recipes.choose import Choice, Measured, choose
from attar.recipes.folder import RunFolder, Stage, write_whole
from attar.recipes.schema import Recipe
from attar.recipes.stages import (
    Context,
    Trained,
    artifact_of,
    check_networks,
    control_of,
    data_of,
    network_of,
    student_of,
    targets_of,
    teacher_of,
)
from attar.teachers.ensemble import Ensemble
from attar.teachers.onnx import OnnxTeacher
from attar.teachers.teacher import NetworkTeacher, Teacher
from attar.training.fit import make_fabric
from attar.training.progress import Progress, silent
from attar.transfer.datasets import Split
from attar.transfer.store import Targets

log = logging.getLogger(__name__)

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: Where everything is.
        evidence: The evidence document, as ``evidence.json`` holds it.
    """

    folder: Path
    evidence: Mapping[str, Any]

    @property
    def met(self) -> bool:
        """Whether all that the recipe asks was reached."""
        return bool(self.evidence["met"])

    @property
    def artifact(self) -> Artifact:
        """What ships."""
        return load(self.folder / "artifact", allow=self.evidence["allow"])

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.folder / "report.html"

    def __str__(self) -> str:
        return f"{headline(self.evidence)} {self.evidence['why']} Report: {self.report}"


@dataclass(frozen=True)
class _Model:
    """One model that is measured: how to run it, and what is known of it before."""

    name: str
    kind: str
    runtime: str
    precision: str
    runner: Runner
    size_bytes: int | None
    parameters: int | None
    macs: int | None
    artifact: Artifact | None = None


def compress(
    recipe: Recipe,
    out: Path | str | None = None,
    *,
    device: str = "cpu",
    progress: Progress = silent,
    command: str | None = None,
) -> Run:
    """Do a whole recipe: teacher, targets, student, control, artifacts, evidence, report.

    Stages that an earlier run finished in the folder are found again; a killed one continues where it was.

    Args:
        recipe: What to do; see `attar.recipes.read.read`.
        out: The run folder; by default ``runs/NAME``.
        device: Where networks are trained: ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        progress: Sees every long stage.
        command: What the user typed, for the report.

    Raises:
        BadInput: If anything that the recipe names breaks a rule. Finished stages are kept.
        Diverged: If a loss becomes NaN.
    """
    with _begun(recipe, out, device, progress) as context:
        return _Compression(context, command or f"attar compress {recipe.name}").go()


def label(
    recipe: Recipe, out: Path | str | None = None, *, device: str = "cpu", progress: Progress = silent
) -> Targets:
    """Do a recipe up to its targets; `compress` with the same folder finds them and goes on.

    Args:
        recipe: What to do.
        out: The run folder; by default ``runs/NAME``.
        device: Where networks are trained and the teacher is run.
        progress: Sees every long stage.

    Raises:
        BadInput: If the recipe stores no targets, or anything that it names breaks a rule.
    """
    if recipe.teacher.learns or not recipe.transfer.cached:
        key = "teacher.learns" if recipe.teacher.learns else "transfer.cached"
        raise must(
            key,
            "the recipe",
            "such that targets are stored",
            True if recipe.teacher.learns else False,
            "Use attar compress",
        )
    with _begun(recipe, out, device, progress) as context:
        teacher, _ = teacher_of(context)
        targets, _, _ = targets_of(context, teacher)
        assert isinstance(targets, Targets)
        return targets


@contextmanager
def _begun(recipe: Recipe, out: Path | str | None, device: str, progress: Progress) -> Iterator[Context]:
    """The run folder opened and the data loaded; what the recipe names is checked before anything is trained."""
    fabric = make_fabric(device, recipe.student.training.precision)
    folder = RunFolder(Path(out) if out is not None else Path("runs") / recipe.name)
    with folder.opened(recipe), _logging(folder.path / "log.txt"), _threads(recipe.threads):
        log.info("recipe %s, version %s", recipe.name, version("attar"))
        write_whole(folder.path / "environment.json", json.dumps(machine(), indent=1))
        start = time.perf_counter()
        dataset = data_of(recipe, progress)
        context = Context(recipe, dataset, dataset.fingerprint(), folder, fabric, progress)
        folder.stages.append(Stage("data", folder.path, {}, time.perf_counter() - start, False))
        check_networks(context.recipe, context.dataset)
        yield context


class _Compression:
    """One run under way, once data and folder are in order."""

    def __init__(self, context: Context, command: str) -> None:
        self.context, self.command = context, command
        self.recipe, self.dataset = context.recipe, context.dataset
        self.warnings: list[str] = []
        self.allow = sorted({"attar", self.recipe.student.network.spec().reference.partition(":")[0].partition(".")[0]})

    def go(self) -> Run:
        self._train()
        models, refused = self._deploy()
        judged = {name: self._predict(model, "validation") for name, model in models.items()}
        measured = self._race(models, judged)
        choice = self._choose(models, judged, measured)
        document = self._document(models, refused, judged, measured, choice)
        return self._finish(document, models[choice.winner])

    # -- teacher, student, control -----------------------------------------------------------------------------------

    def _train(self) -> None:
        context, recipe = self.context, self.recipe
        self.store: Stage | None = None
        self.targets: Targets | None = None
        seeds = range(recipe.student.seeds)
        if recipe.teacher.learns:
            section = recipe.teacher
            assert section.network is not None
            described = section.network

            def learning() -> nn.Module:
                if section.weights:
                    taught, _ = teacher_of(context)
                    assert isinstance(taught, NetworkTeacher)
                    return taught.module
                return network_of(described, section.seed)

            heard = json.dumps([described.model_dump(), section.seed, list(section.weights)])
            views = recipe.transfer.views.views(recipe.seed)
            self.members: list[Trained] = []
            self.students = [student_of(context, index, None, views, heard, learning) for index in seeds]
            beside = self._best(self.students).teacher
            assert beside is not None
            self.teacher: Teacher = NetworkTeacher(beside, example=context.example)
        else:
            self.teacher, self.members = teacher_of(context)
            targets, views, self.store = targets_of(context, self.teacher)
            self.targets = targets if isinstance(targets, Targets) else None
            heard = self.teacher.fingerprint()
            self.students = [student_of(context, index, targets, views, heard, None) for index in seeds]
        self.controls = [control_of(context, index) for index in seeds] if recipe.control else []
        self.student = self._best(self.students)
        self.control = self._best(self.controls) if self.controls else None

    @staticmethod
    def _best(trained: Sequence[Trained]) -> Trained:
        """The one with the best validation accuracy; the first of equals."""
        return max(trained, key=lambda one: one.score)

    # -- artifacts ---------------------------------------------------------------------------------------------------

    def _deploy(self) -> tuple[dict[str, _Model], dict[str, str]]:
        """Everything that is measured, by name, and what could not be deployed, with the reason."""
        recipe, context = self.recipe, self.context
        models: dict[str, _Model] = {}
        refused: dict[str, str] = {}
        figures = cost(self.student.network, context.example)
        grid = candidates(recipe.artifacts.runtimes, int8=recipe.artifacts.int8)
        with context.progress("deploy", len(grid)) as advance:
            for candidate in grid:
                made = artifact_of(
                    context, candidate.name, self.student.network, candidate, recipe.student.network.spec()
                )
                if isinstance(made, str):
                    refused[candidate.name] = made
                else:
                    models[candidate.name] = _Model(
                        candidate.name,
                        "candidate",
                        candidate.runtime,
                        candidate.precision,
                        made.open(),
                        made.size_bytes,
                        figures.parameters,
                        figures.macs,
                        made,
                    )
                advance(1)
        if not models:
            name, why = next(iter(refused.items()))
            raise AttarError(
                f"no candidate could be deployed; {name}: {why} Choose other runtimes in artifacts.runtimes."
            )
        shipped = [
            runtime for runtime in recipe.artifacts.runtimes if any(m.runtime == runtime for m in models.values())
        ]
        models |= self._teachers(shipped)
        if self.control is not None:
            runtime = "onnxruntime" if "onnxruntime" in shipped else shipped[0]
            made = artifact_of(
                context,
                "control",
                self.control.network,
                Candidate(f"{runtime} fp32", runtime),
                recipe.student.network.spec(),
            )
            if not isinstance(made, str):
                models["control"] = _Model(
                    "control",
                    "control",
                    runtime,
                    "fp32",
                    made.open(),
                    made.size_bytes,
                    figures.parameters,
                    figures.macs,
                    made,
                )
        return models, refused

    def _teachers(self, runtimes: Sequence[str]) -> dict[str, _Model]:
        """The whole teacher in each runtime that it can be had in."""
        context, teacher, threads = self.context, self.teacher, self.recipe.artifacts.threads
        module = getattr(teacher, "module", None)
        found: dict[str, _Model] = {}
        if isinstance(module, nn.Module):
            module = module.to("cpu")
            figures = cost(module, context.example)
            for runtime in runtimes:
                name = f"teacher {runtime}"
                if runtime == "torch":
                    size = _bytes_of(module)
                    found[name] = _Model(
                        name,
                        "teacher",
                        runtime,
                        "fp32",
                        open_torch(module, threads),
                        size,
                        figures.parameters,
                        figures.macs,
                    )
                    continue
                made = artifact_of(context, name, module, Candidate(f"{runtime} fp32", runtime), None)
                if isinstance(made, str):
                    self.warnings.append(f"The teacher could not be deployed to {runtime}: {made}")
                else:
                    found[name] = _Model(
                        name,
                        "teacher",
                        runtime,
                        "fp32",
                        made.open(),
                        made.size_bytes,
                        figures.parameters,
                        figures.macs,
                        made,
                    )
            return found
        members = teacher.members if isinstance(teacher, Ensemble) else (teacher,)
        files = [member.path for member in members if isinstance(member, OnnxTeacher)]
        size_bytes = sum(Path(file).stat().st_size for file in files) if len(files) == len(members) else None
        if len(members) == 1 and files:
            runner = open_onnxruntime(Path(files[0]), threads)
        else:

            def runner(inputs: Logits) -> Logits:
                said: Logits = teacher.predict(torch.from_numpy(inputs)).numpy()
                return said

        runtime = "onnxruntime" if files and len(files) == len(members) else "torch"
        return {
            f"teacher {runtime}": _Model(
                f"teacher {runtime}", "teacher", runtime, "fp32", runner, size_bytes, None, None
            )
        }

    # -- measuring ---------------------------------------------------------------------------------------------------

    def _predict(self, model: _Model, part: str) -> Logits:
        split: Split = getattr(self.dataset, part)
        return predict_all(model.runner, split, progress=self.context.progress)

    def _race(self, models: Mapping[str, _Model], judged: Mapping[str, Logits]) -> Mapping[str, Any]:
        """Latencies, ratios to the teacher, and memory; a stage of its own, so that a resumed run keeps its timings."""
        settings = self.recipe.artifacts

        def work(_: Path) -> dict[str, Any]:
            runners = {name: model.runner for name, model in models.items()}
            rows = np.ascontiguousarray(self.dataset.validation.floats(slice(0, 64)).numpy())
            said: dict[str, Any] = {
                "latency": {name: {} for name in models},
                "faster": {name: {} for name in models},
                "memory": {},
            }
            with self.context.progress("measure", 2 + len(models)) as advance:
                for batch in (1, 64):
                    # With fewer rows than the batch the data are too small to time it.
                    if len(rows) < batch:
                        advance(1)
                        continue
                    timed: Race = race(runners, rows, batch, threads=settings.threads, seconds=settings.seconds)
                    for name, model in models.items():
                        said["latency"][name][str(batch)] = vars_of(timed.latencies[name])
                        slow = f"teacher {model.runtime}"
                        if slow in models and model.kind != "teacher":
                            said["faster"][name][str(batch)] = vars_of(timed.ratio(slow, name))
                    advance(1)
                for name, model in models.items():
                    if model.artifact is not None and (model.runtime != "torch" or model.kind != "teacher"):
                        said["memory"][name] = peak_memory(
                            model.artifact.folder, 64, threads=settings.threads, allow=self.allow
                        )
                    advance(1)
            return said

        depends = {
            "models": {
                name: [
                    model.size_bytes,
                    _digest(judged[name]),
                    model.artifact.manifest["files"] if model.artifact else None,
                ]
                for name, model in models.items()
            },
            "threads": settings.threads,
            "seconds": settings.seconds,
        }
        return self.context.folder.stage("measure", depends, work).said

    def _choose(
        self, models: Mapping[str, _Model], judged: Mapping[str, Logits], measured: Mapping[str, Any]
    ) -> Choice:
        labels = _labels(self.dataset.validation)
        options = []
        for name, model in models.items():
            if model.kind != "candidate":
                continue
            reference = models.get(f"teacher {model.runtime}")
            smaller = None
            if reference is not None and reference.size_bytes and model.size_bytes:
                smaller = reference.size_bytes / model.size_bytes
            faster = measured["faster"][name].get("1")
            options.append(
                Measured(
                    name=name,
                    runtime=model.runtime,
                    precision=model.precision,
                    accuracy=float(correct(judged[name], labels).mean()),
                    size_bytes=model.size_bytes or 0,
                    latency_ms=measured["latency"][name]["1"]["median_ms"],
                    smaller=smaller,
                    faster=None if faster is None else faster["ratio"],
                )
            )
        return choose(options, self.recipe.keep, float(correct(self._heard(judged), labels).mean()))

    def _heard(self, said: Mapping[str, Logits]) -> Logits:
        """The teacher's logits, in whichever runtime comes first."""
        return next(logits for name, logits in said.items() if name.startswith("teacher "))

    # -- evidence ----------------------------------------------------------------------------------------------------

    def _document(
        self,
        models: Mapping[str, _Model],
        refused: Mapping[str, str],
        judged: Mapping[str, Logits],
        measured: Mapping[str, Any],
        choice: Choice,
    ) -> dict[str, Any]:
        recipe, dataset = self.recipe, self.dataset
        validation, test = _labels(dataset.validation), _labels(dataset.test)
        # Every choice is made: from here on, and only here, the test data are read.
        tested = {name: self._predict(model, "test") for name, model in models.items()}
        heard = self._heard(tested)
        student = predict_all(open_torch(self.student.network, 1), dataset.test)
        entries = []
        for name, model in models.items():
            entry = Evidence(
                name=name,
                kind=model.kind,  # type: ignore[arg-type]
                runtime=model.runtime,
                precision=model.precision,
                quality=quality(tested[name], test, dataset.classes),
                validation=quality(judged[name], validation, dataset.classes),
                size_bytes=model.size_bytes,
                parameters=model.parameters,
                macs=model.macs,
                peak_memory_bytes=measured["memory"].get(name),
                agreement_with_teacher=agreement(heard, tested[name]),
                parity=parity(student, tested[name]) if model.kind == "candidate" else None,
                refused=choice.refused.get(name),
            ).to_json()
            entries.append({**entry, "latency": measured["latency"][name]})
        for name, why in refused.items():
            runtime, _, precision = name.partition(" ")
            shown = Evidence(name, "candidate", runtime, precision.partition(" ")[0], refused=why)
            entries.append(shown.to_json())
        return {
            "name": recipe.name,
            "recipe": recipe.document(),
            "command": self.command,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "attar": version("attar"),
            "allow": self.allow,
            "task": {
                "data": dataset.name,
                "source": dataset.source,
                **{part: len(split) for part, split in dataset.splits().items()},
                "classes": list(dataset.classes),
                "input_shape": list(dataset.train.inputs.shape[1:]),
            },
            "asked": recipe.keep.model_dump(),
            "models": entries,
            "winner": choice.winner,
            "why": choice.why,
            "met": choice.met,
            "budget": list(choice.budget),
            **self._against_control(test, student, heard),
            "ratios": self._ratios(models, measured, choice.winner),
            "curves": {one.name: _curve(one) for one in (*self.members, *self.students, *self.controls)},
            "examples": self._examples(),
            "temperature": self._temperature(),
            "targets": None if self.store is None else {**self.store.said, "seconds": self.store.seconds},
            "warnings": self.warnings,
            "machine": machine(),
            "stages": [{"name": s.name, "seconds": s.seconds, "reused": s.reused} for s in self.context.folder.stages],
            "artifact": "artifact",
            "how_to_load": _how_to_load(self.allow),
        }

    def _against_control(self, labels: NDArray[np.int64], student: Logits, heard: Logits) -> dict[str, Any]:
        if self.control is None:
            self.warnings.append(
                "No control was trained, so whether distillation helped is not known (control = false)."
            )
            return {"control": False, "verdict": None, "seeds": None}
        control = predict_all(open_torch(self.control.network, 1), self.dataset.test)
        ruling = verdict(correct(student, labels), correct(control, labels))

        def accuracies(trained: Sequence[Trained]) -> list[float]:
            said = [predict_all(open_torch(one.network, 1), self.dataset.test) for one in trained]
            return [float(correct(logits, labels).mean()) for logits in said]

        teacher = float(correct(heard, labels).mean())
        seeds = {"control": accuracies(self.controls), "student": accuracies(self.students), "teacher": teacher}
        closed = gap_closed(seeds["control"], seeds["student"], teacher)  # type: ignore[arg-type]
        if closed is None:
            self.warnings.append("The teacher is not better than the control on test: there is no gap to close.")
        return {
            "control": True,
            "verdict": vars_of(ruling),
            "seeds": {**seeds, "gap_closed": None if closed is None else vars_of(closed)},
        }

    def _ratios(self, models: Mapping[str, _Model], measured: Mapping[str, Any], winner: str) -> dict[str, Any]:
        chosen = models[winner]
        teacher = models.get(f"teacher {chosen.runtime}")
        ratios: dict[str, Any] = {"smaller": None, "fewer_macs": None, "runtime": chosen.runtime}
        if teacher is not None and teacher.size_bytes and chosen.size_bytes:
            ratios["smaller"] = teacher.size_bytes / chosen.size_bytes
        if teacher is not None and teacher.macs and chosen.macs:
            ratios["fewer_macs"] = teacher.macs / chosen.macs
        for batch in ("1", "64"):
            ratios[f"faster_batch{batch}"] = measured["faster"][winner].get(batch)
        return ratios

    def _temperature(self) -> float:
        """The temperature at which targets are shown: that of the first term that has one, at the end of training."""
        last = self.recipe.student.training.epochs
        losses = [term.loss for term in self.recipe.terms.at(max(last - 1e-6, 0.0))]
        return float(next((loss.temperature for loss in losses if hasattr(loss, "temperature")), 1.0))

    def _examples(self, most: int = 6) -> list[dict[str, Any]]:
        """Training examples about which the teacher is least sure, one per class, with its soft targets."""
        train = self.dataset.train
        if self.targets is None or train.labels is None:
            return []
        rows = torch.arange(len(train))
        logits = self.targets(None, rows, 0)
        soft = (logits / self._temperature()).softmax(-1)
        unsure = -(soft * soft.clamp_min(1e-12).log()).sum(-1)
        chosen = []
        for label in range(len(train.classes)):
            of_class = (train.labels == label).nonzero()[:, 0]
            if len(of_class):
                chosen.append(int(of_class[unsure[of_class].argmax()]))
        views = self.recipe.transfer.views.views(self.recipe.seed)
        shown = []
        for row in sorted(chosen, key=lambda row: -float(unsure[row]))[:most]:
            one = torch.tensor([row])
            pixels = views(train.floats(one), train.ids[one], 0)[0]
            flat = pixels[0] if pixels.dim() == 3 and pixels.shape[0] == 1 else None
            shown.append(
                {
                    "image": None if flat is None else flat.tolist(),
                    "values": None if flat is not None else pixels.flatten()[:64].tolist(),
                    "label": train.classes[int(train.labels[row])],
                    "soft": soft[row].tolist(),
                    "id": int(train.ids[row]),
                }
            )
        return shown

    def _finish(self, document: dict[str, Any], winner: _Model) -> Run:
        folder = self.context.folder.path
        assert winner.artifact is not None
        _replace_folder(winner.artifact.folder, folder / "artifact")
        write_whole(folder / "evidence.json", json.dumps(_finite(document), indent=1))
        render(document, folder / "report.html")
        log.info("%s %s", headline(document), document["why"])
        return Run(folder, document)


def headline(evidence: Mapping[str, Any]) -> str:
    """What came out, in one sentence."""
    models = {model["name"]: model for model in evidence["models"]}
    winner = models[evidence["winner"]]
    teacher = next(model for model in evidence["models"] if model["kind"] == "teacher")
    ratios = evidence["ratios"]
    parts = []
    if ratios["smaller"]:
        parts.append(f"{ratios['smaller']:.1f}x smaller")
    if ratios["faster_batch1"]:
        parts.append(f"{ratios['faster_batch1']['ratio']:.1f}x faster at batch 1")
    gains = " and ".join(parts) + " than the teacher in the same runtime, " if parts else ""
    accuracies = f"test accuracy {winner['quality']['accuracy']:.2%} against {teacher['quality']['accuracy']:.2%}"
    return f"{winner['name']}: {gains}{accuracies}."


def vars_of(value: Any) -> dict[str, Any]:
    """The fields of a small dataclass as plain values."""
    names = value.__dataclass_fields__
    return {name: list(item) if isinstance(item := getattr(value, name), tuple) else item for name in names}


def _curve(trained: Trained) -> list[dict[str, Any]]:
    """A training's history as the report draws it."""
    return [{**entry, "validation_accuracy": entry["score"]} for entry in trained.history]


def _labels(split: Split) -> NDArray[np.int64]:
    assert split.labels is not None, "datasets have labels in validation and test"
    labels: NDArray[np.int64] = split.labels.numpy()
    return labels


def _digest(logits: Logits) -> str:
    return hashlib.sha256(np.ascontiguousarray(logits).tobytes()).hexdigest()[:16]


def _bytes_of(module: nn.Module) -> int:
    """Bytes of a module's weights as a safetensors file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_weights(module, path)
        return path.stat().st_size


def _finite(value: Any) -> Any:
    """JSON has no NaN: such a figure was not measured."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _replace_folder(source: Path, target: Path) -> None:
    """Put a copy of a folder in place of another; a crash leaves no half of one."""
    fresh = target.with_name(f".{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(source, fresh)
    if target.exists():
        shutil.rmtree(target)
    fresh.replace(target)


def _how_to_load(allow: Sequence[str]) -> str:
    others = [package for package in allow if package != "attar"]
    trust = f", allow={['attar', *others]!r}" if others else ""
    return (
        "import attar\n\n"
        f'model = attar.load("artifact"{trust})  # checks every file, unpickles nothing\n'
        "logits = model(inputs)  # float32 array [batch, ...]\n"
        "names = model.predict_classes(inputs)\n"
    )


@contextmanager
def _logging(path: Path) -> Iterator[None]:
    """Write what Attar logs into the run folder as well."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("attar")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Train with so many threads, and give the caller's number back."""
    if count > (available := os.cpu_count() or 1):
        raise must("threads", "the recipe", f"at most {available} on this machine", count, "Use 0 for all")
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
