"""What a student takes, before it is worth training: counted, written as the files that would ship, and timed."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from attar.budget import What
from attar.data.split import Dataset
from attar.deployment.artifact import Artifact
from attar.deployment.backends import PORTABLE
from attar.deployment.backends.backend import Runner
from attar.deployment.candidate import Candidate
from attar.deployment.candidates import candidates
from attar.deployment.prepared import Prepared, prepared
from attar.deployment.refused import DeploymentError
from attar.errors import MissingExtra
from attar.evidence.latency import race
from attar.evidence.layer_timer import open_reference
from attar.evidence.machine import machine
from attar.evidence.memory import peak_memory
from attar.models.model import Model
from attar.network.cost import cost
from attar.network.weights import digest
from attar.pipeline.deploying import calibration_for, deploy_for
from attar.pipeline.nodes import Node, Nodes
from attar.pipeline.turns import Turns
from attar.search.goal import Goal
from attar.workspace import scratch

log = logging.getLogger(__name__)

_UNSURE = 1.3
"""How far apart the ends of the interval of a ratio may be before it is taken again."""

_RATIO, _NARROW = ("student", "reference"), 0.15
"""What is measured, and how wide its interval may be for timing to end early: all others stand still meanwhile."""

_CALIBRATION = 256
"""Training examples by which low-bit forms are written."""

_LARGE_BATCH = 64
"""Examples of the call whose memory is measured, as it is in the evidence of a run."""

TAKES: tuple[What, ...] = ("macs", "bytes", "memory", "latency")
"""What may be limited and is known before a student is trained, what is known soonest first."""


@dataclass(frozen=True, kw_only=True)
class Meter:
    """Measures students for a goal, each once: what was measured is a node of the run.

    A latency is measured against a reference that is timed in the same moments, while nobody else of the run computes,
    so that a busy moment does not decide; it is told in milliseconds of the moment in which the reference was timed
    first.

    Attributes:
        dataset: What students are for.
        dataset_key: Its fingerprint: of other data the same network may take something else.
        goal: Whose budget says where measuring may end: what is beyond it in one thing is not measured in the next.
        nodes: Where what was measured is kept.
        turns: By which others wait while something is timed.
        runtimes: In which students may ship; of several forms the one that suits the goal best counts.
        int8: Whether students may ship in int8 as well: such a form counts where none in full precision is within the
            goal.
        threads: Of a runtime.
        seconds: For which a student is timed.
        seed: By which examples for calibration are drawn.
        allow: Packages whose functions may build networks.
    """

    dataset: Dataset
    dataset_key: str
    goal: Goal
    nodes: Nodes
    turns: Turns
    runtimes: Sequence[str] = (PORTABLE,)
    int8: bool = False
    threads: int = 1
    seconds: float = 0.2
    seed: int = 0
    allow: Sequence[str] = ("attar",)

    @property
    def settings(self) -> Mapping[str, Any]:
        """How it measures, as plain values."""
        return {
            "runtimes": list(self.runtimes),
            "threads": self.threads,
            "seconds": self.seconds,
            "int8": self.int8,
        }

    def figures(self, model: Model, *, trained: bool, complete: bool = False) -> Node:
        """What a model takes.

        Args:
            model: It is not changed.
            trained: Whether its weights matter: files of low-bit codes are as large as these make them.
            complete: Whether everything is measured, however far it is beyond the goal.

        Returns:
            A node whose result is ``figures``: ``parameters``, ``macs``, ``bytes``, ``memory`` (where it is limited)
            and ``latency``, in own units, up to the first that is beyond the goal; and ``form``, the one of the forms
            in which it may ship that this is about.

        Raises:
            DeploymentError: If it can be deployed in none of the runtimes.
        """
        inputs = {
            "spec": model.spec.to_json(),
            "weights": digest(model.module) if trained else None,
            "data": self.dataset_key,
            **self.settings,
            "seed": self.seed,
            "bounds": {
                limit.what: limit.at(self.goal.teacher.get(limit.what))
                for limit in self.goal.limits
                if limit.what in TAKES
            },
            "prefer": self.goal.prefer,
            "complete": complete,
            **self._conditions,
        }
        name = hashlib.sha256(json.dumps(model.spec.to_json(), sort_keys=True).encode()).hexdigest()[:12]
        return self.nodes.node(f"search/figures/{name}", inputs, lambda folder: self._measured(model, complete, folder))

    def latency(self, runner: Runner) -> float:
        """Milliseconds of one example, taken against the reference while nobody else of the run computes.

        Of one that is unsure the middle one of three counts.

        Args:
            runner: Opened with as many threads as this has.
        """
        unit = self.reference_ms
        ratio, sure = self._against_reference(runner)
        if not sure:
            ratio = sorted([ratio, *(self._against_reference(runner)[0] for _ in range(2))])[1]
        return ratio * unit

    @cached_property
    def reference_ms(self) -> float:
        """Milliseconds of the reference, measured once in a run."""
        return float(self.nodes.node("search/reference", self._conditions, self._reference).result["median_ms"])

    @cached_property
    def _conditions(self) -> Mapping[str, Any]:
        """What a time holds for."""
        here = {key: value for key, value in machine().items() if key != "memory_bytes"}
        return {"machine": here, "threads": self.threads}

    def _reference(self, _: Path) -> dict[str, Any]:
        runners = {"reference": open_reference(self.threads)}
        with self.turns.alone():
            taken = [
                race(runners, self._rows, 1, threads=self.threads, seconds=self.seconds)
                .latencies["reference"]
                .median_ms
                for _ in range(5)
            ]
        return {"median_ms": float(np.median(taken))}

    def _against_reference(self, runner: Runner) -> tuple[float, bool]:
        """How many times as long a call takes, and whether that is sure."""
        runners = {"student": runner, "reference": open_reference(self.threads)}
        with self.turns.alone():
            raced = race(
                runners,
                self._rows,
                1,
                threads=self.threads,
                seconds=self.seconds,
                ratios=[_RATIO],
                narrow=_NARROW,
            )
        ratio = raced.ratio(*_RATIO)
        return ratio.ratio, ratio.interval[1] <= _UNSURE * ratio.interval[0]

    @cached_property
    def _rows(self) -> Any:
        return np.ascontiguousarray(self.dataset.train.floats(slice(0, 1)).numpy())

    def _measured(self, model: Model, complete: bool, folder: Path) -> dict[str, Any]:
        example = self.dataset.train.floats(slice(0, 1))
        with scratch(folder) as aside, prepared(model.module, example, aside) as ready:
            with self.turns.working():
                counted = cost(ready.floats.network, example)
            figures: dict[str, float] = {"parameters": float(counted.parameters), "macs": float(counted.macs)}
            if not complete and self.goal.beyond(figures, so_far=True):
                return {"figures": figures, "form": ""}
            found = [
                (self._of_form(model, ready, form, figures, complete, aside / str(place)), form.name)
                for place, form in enumerate(self._forms(ready))
            ]
            form = self._in_int8(ready)
            if form is not None and all(self._rank(one)[0] > 0 for one, _ in found):
                try:
                    found.append((self._of_form(model, ready, form, figures, complete, aside / "int8"), form.name))
                except (DeploymentError, MissingExtra) as error:
                    log.info("a student cannot ship in int8: %s", error)
        figures, name = min(found, key=lambda one: self._rank(one[0]))
        return {"figures": figures, "form": name}

    def _forms(self, student: Prepared) -> list[Candidate]:
        """The ways to deploy it in which it computes with the numbers that it was trained to have."""
        every = candidates(self.runtimes, int8=False, student=student)
        return [one for one in every if one.kind.exact and one.kind.quantized == student.is_quantized] or every[:1]

    def _in_int8(self, student: Prepared) -> Candidate | None:
        """The way to deploy it in int8, the first of several, whose files are alike; None where it may not ship so."""
        if not self.int8 or student.is_quantized:
            return None
        every = candidates(self.runtimes, student=student)
        return next((one for one in every if one.precision == "int8"), None)

    def _of_form(
        self,
        model: Model,
        student: Prepared,
        form: Candidate,
        counted: Mapping[str, float],
        complete: bool,
        folder: Path,
    ) -> dict[str, float]:
        with self.turns.working():
            calibration = calibration_for(self.dataset, form, _CALIBRATION, self.seed)
            artifact = deploy_for(self.dataset, student, form, folder, model.spec, calibration)
        figures = {**counted, "bytes": float(artifact.size_bytes)}

        def goes_on() -> bool:
            return complete or not self.goal.beyond(figures, so_far=True)

        if goes_on() and self._limits("memory"):
            with self.turns.working():
                peak = self._memory(artifact)
            figures |= {} if peak is None else {"memory": float(peak)}
        if goes_on():
            with self.turns.working():
                runner = artifact.open(self.threads)
            figures["latency"] = self.latency(runner)
        return figures

    def _memory(self, artifact: Artifact) -> int | None:
        return peak_memory(artifact.folder, _LARGE_BATCH, threads=self.threads, allow=self.allow)

    def _limits(self, what: What) -> bool:
        return any(limit.what == what for limit in self.goal.limits)

    def _rank(self, figures: Mapping[str, float]) -> tuple[float, ...]:
        """The better of two forms comes first: what is least beyond, then what is preferred."""
        by = "latency" if self.goal.prefer == "quality" else self.goal.prefer
        return (self.goal.worst(figures), figures.get(by, math.inf))
