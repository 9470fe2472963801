"""The models that are measured side by side: candidates of the student and of the baseline, and the teacher."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from attar.deployment.artifact import Artifact
from attar.deployment.backends import BACKENDS, EAGER, PORTABLE, RUNTIMES
from attar.deployment.backends.backend import Inputs, Runner
from attar.deployment.candidate import Candidate
from attar.deployment.candidates import candidate_of, candidates, full_precision
from attar.deployment.prepared import Prepared, prepared
from attar.deployment.refused import DeploymentError
from attar.deployment.torch_runner import open_torch
from attar.errors import AttarError, BadInput, Words
from attar.evidence.compare import HELPED, verdict
from attar.evidence.evidence import Kind
from attar.evidence.measure import labels_of, predict_all
from attar.network.cost import Cost, cost
from attar.network.weights import save_weights
from attar.recipes.artifacts import Deployed, artifact_of, refused
from attar.recipes.context import Context
from attar.recipes.students import Trainings
from attar.recipes.targets import outputs_on
from attar.teachers.in_blocks import InBlocks
from attar.teachers.onnx import OnnxTeacher
from attar.teachers.onnx_files import onnx_files
from attar.teachers.specialists.specialists import Specialists
from attar.teachers.teacher import NetworkTeacher, Teacher, ask
from attar.workspace import scratch

Logits = NDArray[np.float32]

BATCHES = (1, 64)
"""Batch sizes that are timed."""


@dataclass(frozen=True)
class Contender:
    """One model that is measured: how to run it, and what is known of it before.

    Attributes:
        name: What tables call it.
        kind: ``candidate`` (of the student), ``teacher``, ``member`` or ``baseline`` (a candidate of the baseline).
        runtime: What executes it; ``python`` for a teacher that runs as its own library does.
        precision: ``fp32``, ``int8``, ``packed`` or low-bit.
        runner: Logits of float32 arrays.
        size_bytes: Bytes on disk of what is needed to run; None if nothing on disk is known.
        cost: Parameters and multiply-adds; None for files from elsewhere.
        artifact: Its files; None for what is run without being deployed.
        slow: The teacher where it is asked in blocks, once.
    """

    name: str
    kind: Kind
    runtime: str
    precision: str
    runner: Runner
    size_bytes: int | None
    cost: Cost | None = None
    artifact: Artifact | None = None
    slow: InBlocks | None = None

    @classmethod
    def deployed(cls, name: str, kind: Kind, built: Deployed, figures: Cost) -> Contender:
        """A contender that is an artifact."""
        how, size_bytes = built.artifact.candidate, built.artifact.size_bytes
        return cls(name, kind, how.runtime, how.precision, built.runner, size_bytes, figures, built.artifact)

    @property
    def title(self) -> str:
        """What people call it: its part in the run unless it is the student, and how it is deployed."""
        if self.kind == "member":
            return self.name
        words = [] if self.kind == "candidate" else [self.kind.capitalize()]
        if self.artifact is not None:
            return ", ".join([*words, self.artifact.candidate.title])
        runtimes = {name: title for backend in BACKENDS.values() for name, title in backend.TITLES.items()}
        return ", ".join([*words, *([runtimes[self.runtime]] if self.runtime in runtimes else [])]) or self.name

    @property
    def form(self) -> str | None:
        """How it is deployed: what the candidates of student and baseline in one runtime and precision share."""
        return None if self.artifact is None else self.artifact.candidate.name


@dataclass(frozen=True)
class Contenders:
    """All contenders of a run.

    Attributes:
        by_name: By name, candidates first.
        refused: Candidates that could not be deployed, with the reason.
        warnings: What the user should know.
        reference: The form in which student and baseline are always measured side by side; None without a baseline.
        prepared: The student's and the baseline's network by kind of contender, with what was computed to deploy them.
    """

    by_name: Mapping[str, Contender]
    refused: Mapping[str, str]
    warnings: list[str] = field(default_factory=list)
    reference: str | None = None
    prepared: Mapping[str, Prepared] = field(default_factory=dict)

    @property
    def titles(self) -> dict[str, str]:
        """What people call each, by name; those that were refused are called as they are where they have no other."""
        titles = {name: one.title for name, one in self.by_name.items()}
        for name in self.refused:
            try:
                titles[name] = candidate_of(name).title
            except BadInput:  # of what was left out together
                titles[name] = name
        return titles

    def candidates(self) -> list[Contender]:
        """Those that may ship: the student's and the baseline's."""
        return [one for one in self.by_name.values() if one.kind in ("candidate", "baseline")]

    def beaten(self, score: Mapping[str, float]) -> dict[str, str]:
        """Candidates whose counterpart in the same form is the better one, with the reason.

        Student and baseline take the same bytes and the same time in one form, so that their scores alone decide; where
        these are equal, the baseline does without a teacher what the student needs one for.

        Args:
            score: Of every candidate on validation, higher is better.
        """
        found = {}
        forms = {one.form: one for one in self.by_name.values() if one.kind == "baseline"}
        for student in self.by_name.values():
            baseline = forms.get(student.form) if student.kind == "candidate" else None
            if baseline is None:
                continue
            if score[baseline.name] >= score[student.name]:
                found[student.name] = (
                    "the same network trained without the teacher is at least as good on validation in this form"
                )
            else:
                found[baseline.name] = "the student is better on validation in this form"
        return found

    def timed(self, beaten: Collection[str]) -> dict[str, Contender]:
        """Whom the clock is for: all that may ship, the teachers, and student and baseline in the reference form."""
        return {name: one for name, one in self.by_name.items() if name not in beaten or one.form == self.reference}

    def teacher_of(self, contender: Contender) -> Contender | None:
        """The teacher in the contender's runtime; the teacher as it is, where it runs in no runtime of ours."""
        same = self.by_name.get(f"teacher {contender.runtime}")
        if same is not None:
            return same
        teachers = [one for one in self.by_name.values() if one.kind == "teacher"]
        return teachers[0] if len(teachers) == 1 and teachers[0].runtime not in RUNTIMES else None

    def predictions(self, context: Context, split_name: str) -> dict[str, Logits]:
        """Logits ``[n, classes]`` of every contender on one part of the data."""
        with self._one_bar(context, split_name) as bar:
            return {name: outputs_on(bar, one.runner, one.slow, split_name) for name, one in self.by_name.items()}

    @contextmanager
    def _one_bar(self, context: Context, split_name: str) -> Iterator[Context]:
        """The run as predictions see it: one bar for those of all contenders, whichever asks for one."""
        with context.progress("predict", len(self.by_name) * len(context.dataset.splits()[split_name])) as advance:

            @contextmanager
            def progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
                yield advance

            yield replace(context, progress=progress)

    def first_run(self, context: Context) -> tuple[Contenders, dict[str, Logits]]:
        """The contenders that answer all of validation, and their logits; candidates that cannot are refused.

        Raises:
            AttarError: If no candidate of the student is left, or a teacher cannot answer.
        """
        split, logits, failed = context.dataset.splits()["validation"], {}, {}
        with self._one_bar(context, "validation") as bar:
            for name, one in self.by_name.items():
                try:
                    logits[name] = outputs_on(bar, one.runner, one.slow, "validation")
                    if (wrong := ~np.isfinite(logits[name]).reshape(len(split), -1).all(axis=1)).any():
                        row = int(np.flatnonzero(wrong)[0])
                        got = Words(logits[name][row])
                        raise DeploymentError(f"Its logits of row {row} of validation are not finite: {got}.")
                except Exception as error:  # each runtime raises types of its own
                    if one.kind not in ("candidate", "baseline"):
                        raise
                    failed[name] = refused(name, error)
        if not failed:
            return self, logits
        left = {name: one for name, one in self.by_name.items() if name not in failed}
        students = {name: why for name, why in failed.items() if self.by_name[name].kind == "candidate"}
        if not any(one.kind == "candidate" for one in left.values()):
            raise nothing_left(students)
        lost = [f"The baseline cannot be run: {why}" for name, why in failed.items() if name not in students]
        found = replace(self, by_name=left, refused={**self.refused, **students}, warnings=[*self.warnings, *lost])
        return found, {name: logits[name] for name in left}


def nothing_left(refused: Mapping[str, str]) -> AttarError:
    """The error of a run in which every candidate was refused."""
    name, why = next(iter(refused.items()))
    return AttarError(f"no candidate could be deployed; {name}: {why} Choose other runtimes in artifacts.runtimes.")


def deploy_candidates(context: Context, trainings: Trainings) -> Contenders:
    """Deploy everything that is to be measured.

    Raises:
        AttarError: If not one candidate could be deployed.
    """
    settings, student = context.recipe.artifacts, trainings.student.network
    found: dict[str, Contender] = {}
    out: dict[str, str] = {}
    with prepared(student, context.example, context.nodes.folder) as ready:
        networks = {"candidate": ready}
        figures = cost(ready.floats.network, context.example)
        grid = candidates(settings.runtimes, int8=settings.int8, student=ready)
        with context.progress("deploy", len(grid)) as advance:
            for candidate in grid:
                built = artifact_of(context, candidate.name, ready, candidate, trainings.student.model.spec)
                if isinstance(built, str):
                    out[candidate.name] = built
                else:
                    found[candidate.name] = Contender.deployed(candidate.name, "candidate", built, figures)
                advance(1)
    if not found:
        raise nothing_left(out)
    runtimes = list(dict.fromkeys(one.runtime for one in found.values()))
    teachers, warnings = teacher_contenders(context, trainings, runtimes)
    found |= teachers
    if trainings.baseline is None:
        return Contenders(found, out, warnings, prepared=networks)
    baseline = trainings.baseline.network
    deployed = [one for one in grid if one.name in found]
    # As the student was trained, in the runtime that every machine has, as far as there is such.
    reference = min(deployed, key=lambda one: (not _as_trained(one, ready), one.runtime != PORTABLE))
    ways = deployed if _within_reach(context, trainings) else [reference]
    with (
        context.progress("deploy the baseline", len(ways)) as advance,
        prepared(baseline, context.example, context.nodes.folder) as ready,
    ):
        networks["baseline"] = ready
        for candidate in ways:
            name = f"baseline {candidate.name}"
            built = artifact_of(context, name, ready, candidate, trainings.baseline.model.spec)
            if not isinstance(built, str):
                found[name] = Contender.deployed(name, "baseline", built, figures)
            elif candidate is reference:
                warnings.append(f"The baseline could not be deployed: {built}")
            advance(1)
    return Contenders(found, out, warnings, reference.name, networks)


def _as_trained(candidate: Candidate, student: Prepared) -> bool:
    """Whether a candidate computes with the numbers that the student was trained to have."""
    return candidate.kind.exact and candidate.kind.quantized == student.is_quantized


def _within_reach(context: Context, trainings: Trainings) -> bool:
    """Whether the baseline may be as good as the student: one that is clearly worse on validation is no candidate."""
    assert trainings.baseline is not None
    validation = context.dataset.validation
    student, baseline = (
        validation.task.scores(predict_all(open_torch(one.network), validation), labels_of(validation))
        for one in (trainings.student, trainings.baseline)
    )
    return verdict(student, baseline).sentence != HELPED


def teacher_contenders(
    context: Context, trainings: Trainings, runtimes: Sequence[str]
) -> tuple[dict[str, Contender], list[str]]:
    """The teacher in each runtime that it can be had in, and what has to be said of others."""
    module = getattr(trainings.teacher, "module", None)
    if not isinstance(module, nn.Module):
        only = _as_it_is(context, trainings)
        return {only.name: only, **_best_member(trainings)}, []
    module = module.to("cpu")
    figures = cost(module, context.example)
    found: dict[str, Contender] = {}
    warnings = []
    # Its weights do not say how members are averaged, nor with which arguments given networks are built.
    identity = [trainings.teacher.fingerprint(), context.recipe.teacher.given_networks]
    with prepared(module, context.example, context.nodes.folder) as ready:
        for runtime in dict.fromkeys([*runtimes, *([] if set(runtimes) & {PORTABLE, EAGER} else [EAGER])]):
            name, full = f"teacher {runtime}", full_precision(runtime)
            if runtime == EAGER:  # as it is: a teacher has no spec by which a file could be built again
                found[name] = _in_memory(context, module, figures)
                continue
            if full is None:
                warnings.append(f"The teacher is not measured in {runtime}, which has no precision for every network.")
                continue
            built = artifact_of(context, name, ready, full, None, identity)
            if isinstance(built, str):
                warnings.append(f"The teacher could not be deployed to {runtime}: {built}")
            else:
                found[name] = Contender.deployed(name, "teacher", built, figures)
    return found or {f"teacher {EAGER}": _in_memory(context, module, figures)}, warnings


def _in_memory(context: Context, module: nn.Module, figures: Cost) -> Contender:
    """A teacher's own network, run as it is."""
    runner, size_bytes = open_torch(module, context.recipe.artifacts.threads), _bytes_of(module, context.nodes.folder)
    return Contender(f"teacher {EAGER}", "teacher", EAGER, "fp32", runner, size_bytes, figures)


def _as_it_is(context: Context, trainings: Trainings) -> Contender:
    """A teacher that is no network of ours: ONNX files, or whatever predicts."""
    teacher = trainings.teacher
    files = onnx_files(teacher)
    runtime = OnnxTeacher.runtime if files else "python"
    size_bytes = sum(file.size_bytes for file in files) or None
    if trainings.selected is not None:
        size_bytes = trainings.selected.teacher_bytes
    if isinstance(teacher, Specialists):
        networks = [teacher.generalist, *(one.teacher for one in teacher.specialists)]
        modules = [network.module for network in networks if isinstance(network, NetworkTeacher)]
        size_bytes = sum(_bytes_of(module, context.nodes.folder) for module in modules)
    direct = isinstance(teacher, OnnxTeacher)
    runner = files[0].runner(context.recipe.artifacts.threads) if direct else _asking(teacher)
    how, slow = "fp32" if files else "as it is", teacher if isinstance(teacher, InBlocks) else None
    return Contender(f"teacher {runtime}", "teacher", runtime, how, runner, size_bytes, slow=slow)


def _asking(teacher: Teacher) -> Runner:
    """A teacher as a function on arrays."""

    def runner(inputs: Inputs) -> Logits:
        logits: Logits = ask(teacher, torch.from_numpy(inputs)).numpy()
        return logits

    return runner


def _best_member(trainings: Trainings) -> dict[str, Contender]:
    """The best single model of a library: it shows whether an ensemble and its mimic are worth their while."""
    if trainings.selected is None:
        return {}
    name = f"best single model ({trainings.selected.member_name})"
    member = trainings.selected.member
    return {name: Contender(name, "member", "python", "as it is", _asking(member), trainings.selected.member_bytes)}


def _bytes_of(module: nn.Module, inside: Path) -> int:
    """Bytes of a module's weights as a safetensors file, which is in a folder for a moment."""
    with scratch(inside) as folder:
        path = folder / "weights.safetensors"
        save_weights(module, path)
        return path.stat().st_size
