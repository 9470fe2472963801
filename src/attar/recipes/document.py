"""The evidence document of a run: plain values from which the table and the report are drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from attar.budget import asked as in_words
from attar.data.datasets import Dataset
from attar.deployment.packed.report import size_report
from attar.deployment.snippet import without_attar
from attar.deployment.torch_runner import open_torch
from attar.evidence.evidence import Evidence
from attar.evidence.machine import machine
from attar.evidence.measure import labels_of, parity, predict_all
from attar.evidence.panel_json import to_json
from attar.formatting import compared, significant
from attar.outcome import sentence
from attar.quantization.attach import is_quantized
from attar.recipes.against import against_baseline, against_member
from attar.recipes.choose import Choice, judged_on_test
from attar.recipes.contenders import Contenders, Logits
from attar.recipes.context import Context, allowed
from attar.recipes.data import weights_of
from attar.recipes.guards import guarded
from attar.recipes.mistakes import confusion, mistakes
from attar.recipes.pareto_set import Other, figures_of
from attar.recipes.schema.recipe import BudgetSection
from attar.recipes.step_figures import bias_correction, step_figures, step_panels
from attar.recipes.students import Trainings
from attar.recipes.training_figures import curve, examples, stored
from attar.recipes.winner import score_of, teacher_name
from attar.report.panels.common import metrics_of
from attar.report.panels.run import run_panels
from attar.tasks.task import metric_of


def document(
    context: Context,
    trainings: Trainings,
    contenders: Contenders,
    validation_logits: Mapping[str, Logits],
    measured: Mapping[str, Any],
    choice: Choice,
    command: str,
    search: Mapping[str, Any] | None = None,
    others: Sequence[Other] = (),
) -> dict[str, Any]:
    """Read the test data, once, now that every choice is made, and put the evidence together.

    Args:
        context: The run.
        trainings: What was trained.
        contenders: What was measured.
        validation_logits: Logits of every contender on validation.
        measured: What `attar.recipes.measured.measure` returned.
        choice: What ships, and why.
        command: What the user typed.
        search: How the student was looked for; None where the recipe names one.
        others: Of the search's Pareto set.
    """
    recipe, dataset = context.recipe, context.dataset
    tested = contenders.predictions(context, "test")
    labels = labels_of(dataset.test)
    teacher_output = teacher_logits(tested)
    its, ours = (score_of(dataset.task, one, labels) for one in (teacher_output, tested[choice.winner]))
    choice = judged_on_test(choice, its - ours)
    shipped = contenders.by_name[choice.winner]
    network = trainings.trained(shipped.kind).network
    warnings = [*contenders.warnings, *guarded(context, trainings, teacher_logits(validation_logits))]
    warnings += context.trackers.failures
    single = next((one.name for one in contenders.by_name.values() if one.kind == "member"), None)
    member = None if single is None else tested[single]
    prepared = trainings.prepared
    synthetic = None if prepared is None else prepared.examples.synthetic
    specialized = None if prepared is None else prepared.specialized
    figures = {
        "name": recipe.name,
        "recipe": recipe.document(),
        "command": command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "attar": version("attar"),
        "allow": allowed(recipe.network.use),
        "task": {
            "data": dataset.name,
            "source": dataset.source,
            **{name: len(split) for name, split in dataset.splits().items()},
            "unlabeled": dataset.unlabeled,
            "weights": weights_of(recipe, dataset),
            **dataset.task.to_json(),
            "metrics": [one.to_json() for one in dataset.task.metrics.values()],
            "input_shape": list(dataset.train.inputs.shape[1:]),
            "drawn": list(dataset.drawn),
            "columns": None if dataset.columns is None else {one.name: str(one) for one in dataset.columns},
            "tokens": None if dataset.tokens is None else dataset.tokens.to_json(),
        },
        "models": _models(context, contenders, validation_logits, tested, trainings, measured, choice),
        "titles": contenders.titles,
        "winner": choice.winner,
        "why": choice.why,
        "alerts": list(choice.alerts),
        "budget": _budget(recipe.budget, choice),
        **against_baseline(context, trainings, labels, teacher_output, member, warnings),
        "against_single": None
        if single is None or member is None
        else against_member(dataset.task, single, tested[choice.winner], member, labels, warnings),
        "bias_correction": bias_correction(context, trainings.students, trainings.baselines),
        "selection": None if trainings.selected is None else trainings.selected.facts,
        "synthesis": None if synthetic is None else synthetic.facts,
        "specialists": None if specialized is None else specialized.evidence(context),
        "search": None
        if search is None
        else {**search, "pareto": [figures_of(context, one, measured["latency"], its) for one in others]},
        "ratios": _ratios(contenders, measured, choice.winner),
        "curves": {one.name: curve(one, metric_of(dataset.task)) for one in trainings.members}
        | {
            one.name: curve(one, context.metric)
            for last in (*trainings.students, *trainings.baselines)
            for one in last.steps
            if one.history
        },
        "steps": step_figures(context, trainings.students, trainings.baselines),
        "precision": size_report(contenders.prepared[shipped.kind]) if is_quantized(network) else None,
        "examples": examples(context, trainings),
        "confusion": confusion(dataset.test, tested[choice.winner]),
        "mistakes": mistakes(dataset.test, teacher_output, tested[choice.winner]),
        "temperature": recipe.temperature,
        "targets": stored(context, trainings),
        "warnings": warnings,
        "machine": machine(),
        "stages": [{"name": s.name, "seconds": s.seconds, "reused": s.reused} for s in context.nodes.pieces],
        "artifact": "artifact",
        "how_to_load": _how_to_load(allowed(recipe.network.use), dataset),
        "without_attar": None if shipped.artifact is None else without_attar(shipped.artifact),
    }
    known: dict[str, Any] = finite(figures)
    return {**known, "panels": to_json(run_panels(known, step_panels(context, trainings.trained(shipped.kind))))}


def _budget(asked: BudgetSection, choice: Choice) -> dict[str, Any]:
    """What was asked and what became of it, in words and as numbers."""
    return {
        "outcome": choice.outcome,
        "sentence": sentence(choice.budget, choice.outcome, choice.score),
        "asked": in_words(asked.limits, asked.prefer, choice.score),
        "prefer": asked.prefer,
        "score": choice.score.name,
        "limits": [row.to_json(choice.score) for row in choice.budget],
    }


def headline(evidence: Mapping[str, Any]) -> str:
    """What came out, in one sentence, after those that have to come first."""
    models = {model["name"]: model for model in evidence["models"]}
    winner = models[evidence["winner"]]
    teachers = [model for model in evidence["models"] if model["kind"] == "teacher"]
    teacher = next((one for one in teachers if one["runtime"] == winner["runtime"]), teachers[0])
    ratios = evidence["ratios"]
    better = []
    if ratios["smaller"]:
        better.append(compared(ratios["smaller"], "smaller", "larger"))
    if ratios["faster_batch1"]:
        better.append(f"{compared(ratios['faster_batch1']['ratio'], 'faster', 'slower')} at batch 1")
    same = "the teacher in the same runtime" if teacher["runtime"] == winner["runtime"] else "the teacher as it is"
    gains = f"{' and '.join(better)} than {same}, " if better else ""
    metric = metrics_of(evidence)[0]
    ours, its = (_shown(one["quality"][metric.name], metric.is_share) for one in (winner, teacher))
    scores = f"test {metric.title} {ours} against {its}"
    name = f"Nearest, {winner['name']}" if winner.get("refused") else winner["name"]
    return " ".join([*evidence.get("alerts", []), f"{name}: {gains}{scores}."])


def _shown(figure: float, share: bool) -> str:
    return f"{figure:.2%}" if share else significant(figure, 4)


def reason(evidence: Mapping[str, Any]) -> str:
    """Why the winner was chosen, without the sentences that the headline begins with."""
    why: str = evidence["why"]
    return why.removeprefix(" ".join(evidence.get("alerts", []))).strip()


def teacher_logits(logits: Mapping[str, Logits]) -> Logits:
    """The teacher's logits, in whichever runtime comes first."""
    return logits[teacher_name(logits)]


def finite(value: Any) -> Any:
    """The same plain value with None for NaN and infinity, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _models(
    context: Context,
    contenders: Contenders,
    validation_logits: Mapping[str, Logits],
    tested: Mapping[str, Logits],
    trainings: Trainings,
    measured: Mapping[str, Any],
    choice: Choice,
) -> list[dict[str, Any]]:
    """One entry per model; candidates that could not be deployed come last, with the reason alone."""
    dataset = context.dataset
    teacher_output = teacher_logits(tested)
    entries = []
    graphs = {
        kind: predict_all(open_torch(trainings.trained(kind).network), dataset.test)
        for kind in dict.fromkeys(one.kind for one in contenders.candidates())
    }
    for name, one in contenders.by_name.items():
        entry = Evidence(
            name=name,
            kind=one.kind,
            runtime=one.runtime,
            precision=one.precision,
            quality=dataset.task.quality(tested[name], labels_of(dataset.test)),
            validation=dataset.task.quality(validation_logits[name], labels_of(dataset.validation)),
            size_bytes=one.size_bytes,
            parameters=None if one.cost is None else one.cost.parameters,
            macs=None if one.cost is None else one.cost.macs,
            peak_memory_bytes=measured["memory"].get(name),
            agreement_with_teacher=dataset.task.agreement(teacher_output, tested[name]),
            parity=parity(graphs[one.kind], tested[name], dataset.task) if one.kind in graphs else None,
            refused=choice.refused.get(name),
        )
        entries.append({**entry.to_json(), "latency": measured["latency"].get(name, {})})
    for name, why in contenders.refused.items():
        runtime, _, precision = name.partition(" ")
        entries.append(Evidence(name, "candidate", runtime, precision.partition(" ")[0], refused=why).to_json())
    return entries


def _ratios(contenders: Contenders, measured: Mapping[str, Any], winner: str) -> dict[str, Any]:
    """The winner against the teacher in the same runtime, and against the student's float32 file in it."""
    chosen = contenders.by_name[winner]
    teacher = contenders.teacher_of(chosen)
    ratios: dict[str, Any] = {
        "runtime": chosen.runtime,
        "smaller": None,
        "smaller_than_float32": None,
        "fewer_macs": None,
    }
    if teacher is not None and teacher.size_bytes and chosen.size_bytes:
        ratios["smaller"] = teacher.size_bytes / chosen.size_bytes
    float32 = next(
        (one for one in contenders.candidates() if one.kind == chosen.kind and one.form == f"{chosen.runtime} fp32"),
        None,
    )
    if float32 is not None and float32.size_bytes and chosen.size_bytes:
        ratios["smaller_than_float32"] = float32.size_bytes / chosen.size_bytes
    if teacher is not None and teacher.cost is not None and chosen.cost is not None and chosen.cost.macs:
        ratios["fewer_macs"] = teacher.cost.macs / chosen.cost.macs
    for batch in ("1", "64"):
        ratios[f"faster_batch{batch}"] = measured["faster"][winner].get(batch)
    return ratios


def _how_to_load(allow: Sequence[str], dataset: Dataset) -> str:
    task = dataset.task
    trust = f", allow={list(allow)!r}" if list(allow) != ["attar"] else ""
    given = "float32 array [batch, ...]"
    if dataset.named is not None:
        given = f"a dict of {', '.join(dataset.named.names)}, arrays [batch, ...]"
    elif dataset.tokens is not None:
        given = "a dict of ids and mask, int64 [batch, length] each"
    elif dataset.columns is not None:
        given = "dicts, a DataFrame, or an array with the columns in their order"
    what, more = "classes", "probabilities = model.predict_proba(inputs)"
    if task.target == "values":
        what, more = "values", ""
    elif task.target == "log_odds":
        what, more = "labels", f"{more}  # of each label by itself"
    elif task.label_kind == "map":
        what, more = "numbers", "names = model.classes  # of the class that each position has the number of"
    call = "maps = model.logits(inputs)" if task.label_kind == "fixations" else f"{what} = model.predict(inputs)"
    return (
        "import attar\n\n"
        f'model = attar.load("artifact"{trust})  # every file is checked\n'
        f"{call}  # {given}\n"
        f"{'' if task.label_kind == 'fixations' else more}"
    ).rstrip() + "\n"
