"""The verb that does all of it: a recipe in; an artifact, its evidence and a report out."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any

import tomli_w
from numpy.typing import NDArray

from attar.data.store import Targets
from attar.data.unaugmented import UnaugmentedTargets
from attar.deployment.artifact import Artifact, load
from attar.errors import must
from attar.evidence.document import EVIDENCE, EvidenceDocument
from attar.evidence.machine import machine
from attar.network.entry_point import entry_point
from attar.outcome import Outcome
from attar.processes import alone, barrier, rank
from attar.recipes.contenders import deploy_candidates
from attar.recipes.context import Context
from attar.recipes.document import document, headline, reason
from attar.recipes.folder import RECIPE, still_says, writing
from attar.recipes.from_data import Limits, Models, asked_recipe
from attar.recipes.measured import measure
from attar.recipes.pareto_set import Other, pareto_set, publish
from attar.recipes.read import recipe_of
from attar.recipes.schema.recipe import Recipe
from attar.recipes.search import Searched, found_student
from attar.recipes.search_time import exceeded
from attar.recipes.stages import DEPLOY, MEASURE, PARETO, PREDICT, REPORT, stages_of, stages_to_targets
from attar.recipes.start import ENVIRONMENT, open_run
from attar.recipes.students import Trainings, prepare_teacher, train_all
from attar.recipes.winner import beaten_of, chosen
from attar.records import to_text
from attar.tasks.task import metric_of
from attar.training.progress import Progress, silent
from attar.workspace import new_folder, write_file

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: Where everything is.
        evidence: The evidence document, as ``evidence.json`` holds it; ``evidence.to_frame()`` has its models as a
            table.
    """

    folder: Path
    evidence: EvidenceDocument

    @property
    def outcome(self) -> Outcome | None:
        """What became of the budget: ``met``, ``met on validation only`` or ``not met``.

        None where it is met and sets no limit that says anything about the quality.
        """
        outcome: Outcome | None = self.evidence["budget"]["outcome"]
        return outcome

    @property
    def met(self) -> bool:
        """Whether nothing that the recipe asks is missing, on validation and on test."""
        return self.outcome in ("met", None)

    @property
    def artifact(self) -> Artifact:
        """What ships."""
        return load(self.folder / "artifact", allow=self.evidence["allow"])

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.folder / "report.html"

    def predict(self, inputs: Any = None, **named: Any) -> NDArray[Any]:
        """Classes in the type of the labels, or values; see `attar.deployment.artifact.Artifact.predict`."""
        return self._opened.predict(inputs, **named)

    def predict_proba(self, inputs: Any = None, **named: Any) -> NDArray[Any]:
        """Probabilities; see `attar.deployment.artifact.Artifact.predict_proba`."""
        return self._opened.predict_proba(inputs, **named)

    def logits(self, inputs: Any = None, **named: Any) -> NDArray[Any]:
        """Logits; see `attar.deployment.artifact.Artifact.logits`."""
        return self._opened.logits(inputs, **named)

    @cached_property
    def _opened(self) -> Artifact:
        """The artifact whose runtime is kept from one prediction to the next."""
        return self.artifact

    def __repr__(self) -> str:
        return f"Run({self.evidence['name']}: {self.evidence.in_short()})"

    def _repr_html_(self) -> str:
        """The models of the run as a table, for notebooks."""
        return self.evidence._repr_html_()

    def __str__(self) -> str:
        return f"{headline(self.evidence)} {reason(self.evidence)} Report: {self.report}"


@entry_point
def compress(
    recipe: Recipe | Mapping[str, Any] | Path | str | None = None,
    out: Path | str | None = None,
    *,
    data: Path | str | None = None,
    teacher: Models | None = None,
    student: str | None = None,
    search: Mapping[str, Any] | None = None,
    budget: Limits | None = None,
    allow: Sequence[str] = (),
    device: str = "cpu",
    progress: Progress = silent,
    command: str | None = None,
    reuse_from: Sequence[Path] = (),
    workers: int | None = None,
    ray: str | None = None,
) -> Run:
    """Do a recipe: teacher, targets, student, baseline, artifacts, evidence, report.

    Steps that an earlier run finished in the folder are found again; a killed one continues where it was. Several
    processes may do the same recipe into one folder at once: each step is done by one of them.

    Args:
        recipe: What to do: what `attar.recipes.read.read` gives, the path of a recipe, the name of a shipped one, or a
            recipe as plain values. Left out where data and teacher are given: then a student is looked for.
        out: The run folder; by default ``runs/NAME``.
        data: What ``data.use`` of a recipe takes, a file or the name of a data set; with ``teacher``.
        teacher: An ONNX file, several as an ensemble; a file of a fitted model, the folder of one of transformers; or
            ``package.module:function`` that returns a fitted estimator or a network.
        student: With data and teacher: ``tiny``, ``small`` or ``medium``, and nothing is looked for.
        search: With data and teacher: what is other than usual in the table ``[search]``.
        budget: Limits that go over those of the recipe: ``"quality_loss<=1%, bytes<=50kB"``, or as in its table
            ``[budget]``, ``{"bytes": "50 kB"}``.
        allow: Packages whose functions the recipe may name, besides Attar's architectures and modules beside its file.
        device: Where networks are trained: ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        progress: Sees every long step.
        command: What the user typed, for the report.
        reuse_from: Other run folders, whose finished steps serve where they are the same.
        workers: Processes that train what does not depend on each other (members of the teacher, seeds, baselines), one
            thread each, to the same result; by default one for each core, where the trainings are long enough.
        ray: Address of a Ray cluster (``auto``, ``local``, ``host:port``, ``ray://host:port``), whose cores train the
            proposals of a search and label the transfer set, ``workers`` of them, to the same result; nothing else is
            done there, and nothing is timed there. It needs the extra ``ray``.

    Raises:
        BadInput: If anything that the recipe names breaks a rule. Finished steps are kept.
        AttarError: If the cluster cannot be reached within a minute.
        Diverged: If a loss becomes NaN.
    """
    recipe = asked_recipe(
        recipe, data=data, teacher=teacher, student=student, search=search, budget=budget, allow=allow
    )
    with open_run(
        recipe, out, device, progress, reuse_from=reuse_from, workers=workers, ray=ray, stages=stages_of
    ) as context:
        recipe = context.recipe  # completed by its data
        searched = None if recipe.search is None else found_student(context)
        if searched is not None:
            context = searched.context
        began = perf_counter()
        trainings = train_all(context, None if searched is None else searched.prepared)
        folder = context.nodes.folder
        context.trackers.catch_up(
            [(one, metric_of(context.dataset.task)) for one in trainings.members]
            + [(one, context.metric) for one in (*trainings.students, *trainings.baselines)]
        )
        if rank() == 0:
            with alone():  # whose times are measured, while the others wait
                typed = command or f"attar compress {recipe.name}"
                evidence = _evaluated(context, trainings, typed, recipe, searched, began)
        barrier()
        if rank() > 0:
            evidence = EvidenceDocument.read(folder)
        run = Run(folder, EvidenceDocument(evidence))
        known = context.trackers.failures  # these the report has
        context.trackers.finish(folder, evidence)
        run.evidence["warnings"] += [one for one in context.trackers.failures if one not in known]
        log.info("%s", run)
        return run


def _evaluated(
    context: Context, trainings: Trainings, command: str, recipe: Recipe, searched: Searched | None, began: float
) -> Mapping[str, Any]:
    """Deploy and measure what was trained since a moment, choose what ships, and write it down; the evidence."""
    context.stages.begin(DEPLOY)
    contenders = deploy_candidates(context, trainings)
    context.stages.begin(PREDICT)
    contenders, validation_logits = contenders.first_run(context)
    beaten = beaten_of(context, contenders, validation_logits)
    context.stages.begin(MEASURE)
    measured = measure(context, contenders, validation_logits, beaten)
    choice = chosen(context, contenders, validation_logits, measured, beaten)
    most = None if recipe.search is None else recipe.search.time
    others: list[Other] = []
    if searched is not None:
        context.stages.begin(PARETO)
        known_by, busy = searched.known_by, searched.busy
        others = pareto_set(context, searched.prepared, searched.pareto, most, measured["memory"], known_by, busy)
        spent = searched.spent + perf_counter() - began
        contenders.warnings.extend(exceeded(most, searched.before, spent))
    context.stages.begin(REPORT)
    evidence = document(
        context,
        trainings,
        contenders,
        validation_logits,
        measured,
        choice,
        command,
        None if searched is None else searched.figures,
        others,
    )
    winner = contenders.by_name[choice.winner].artifact
    assert winner is not None, "candidates are artifacts"
    _publish(Run(context.nodes.folder, EvidenceDocument(evidence)), recipe, winner.folder, others)
    return evidence


@entry_point
def label(
    recipe: Recipe | Mapping[str, Any] | Path | str,
    out: Path | str | None = None,
    *,
    allow: Sequence[str] = (),
    device: str = "cpu",
    progress: Progress = silent,
) -> Targets:
    """Do a recipe up to its targets; `compress` with the same folder finds them and goes on.

    Args:
        recipe: What to do, as for `compress`.
        out: The run folder; by default ``runs/NAME``.
        allow: Packages whose functions the recipe may name, as for `compress`.
        device: Where networks are trained and the teacher is run.
        progress: Sees every long step.

    Raises:
        BadInput: If the recipe stores no targets, or anything that it names breaks a rule.
    """
    recipe = recipe_of(recipe, allow)
    if recipe.teacher.learns or not recipe.transfer.cached:
        key, wanted = ("teacher.learns", False) if recipe.teacher.learns else ("transfer.cached", True)
        rule = f"{str(wanted).lower()} where targets are to be stored"
        raise must(key, "the recipe", rule, not wanted, "Use attar compress")
    with open_run(recipe, out, device, progress, stages=stages_to_targets) as context:
        source = prepare_teacher(context).source
        targets = source.targets if isinstance(source, UnaugmentedTargets) else source
        assert isinstance(targets, Targets)
        return targets


def _publish(run: Run, recipe: Recipe, artifact: Path, others: Sequence[Other]) -> None:
    """Put what was found into the run's folder, all of it of one run; of several at once the last one's stays."""
    folder = run.folder
    with writing(folder):
        if not still_says(folder, recipe):
            log.warning("A run with other settings is using %s: what it finds will replace what this one found", folder)
            write_file(folder / RECIPE, tomli_w.dumps(recipe.document()))
            write_file(folder / ENVIRONMENT, json.dumps(machine(), indent=1))
        with new_folder(folder / "artifact") as copy:
            shutil.copytree(artifact, copy, dirs_exist_ok=True)
        publish(folder, others)
        write_file(folder / EVIDENCE, to_text(run.evidence))
        # Charts and templates are a second of imports, which only the drawing needs.
        from attar.report.page import render

        render(run.evidence, run.report)
