"""The evidence document of a run: plain values from which the table and the report are drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from attar.budget import asked as in_words
from attar.budget import sentence
from attar.deployment.packed.report import size_report
from attar.deployment.torch_runner import open_torch
from attar.evidence.compare import gap_closed, verdict
from attar.evidence.machine import machine
from attar.evidence.measure import Evidence, labels_of, parity, predict_all
from attar.evidence.panel import to_json
from attar.ops.top_k import dense
from attar.pipeline.trained import Trained
from attar.quantization.attach import is_quantized
from attar.recipes.choose import Choice, judged_on_test
from attar.recipes.contenders import Contenders, Logits
from attar.recipes.context import Context, allowed
from attar.recipes.guards import guarded
from attar.recipes.schema.recipe import BudgetSection
from attar.recipes.step_figures import bias_correction, step_figures, step_panels
from attar.recipes.students import Trainings
from attar.recipes.winner import teacher_name
from attar.report.panels.run import run_panels
from attar.tasks.metrics import Metric
from attar.tasks.task import Task, metric_of
from attar.transfer.datasets import Split
from attar.transfer.store import Fidelity

_MOST_EPOCHS = 400
"""Epochs of one training that the evidence holds at most; more than a chart can show."""


def document(
    context: Context,
    trainings: Trainings,
    contenders: Contenders,
    validation_logits: Mapping[str, Logits],
    measured: Mapping[str, Any],
    choice: Choice,
    command: str,
) -> dict[str, Any]:
    """Read the test data, once, now that every choice is made, and put the evidence together.

    Args:
        context: The run.
        trainings: What was trained.
        contenders: What was measured.
        validation_logits: Logits of every contender on validation.
        measured: What `attar.recipes.contenders.measure` returned.
        choice: What ships, and why.
        command: What the user typed.
    """
    recipe, dataset = context.recipe, context.dataset
    tested = contenders.predictions(context, "test")
    labels = labels_of(dataset.test)
    teacher_output = teacher_logits(tested)
    its, ours = (dataset.task.scores(one, labels).mean() for one in (teacher_output, tested[choice.winner]))
    choice = judged_on_test(choice, float(its - ours))
    shipped = contenders.by_name[choice.winner]
    network = trainings.trained(shipped.kind).network
    warnings = [*contenders.warnings, *guarded(context, trainings, teacher_logits(validation_logits))]
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
        "allow": allowed(recipe.student.network.use),
        "task": {
            "data": dataset.name,
            "source": dataset.source,
            **{name: len(split) for name, split in dataset.splits().items()},
            **dataset.task.to_json(),
            "metrics": [one.to_json() for one in dataset.task.metrics.values()],
            "input_shape": list(dataset.train.inputs.shape[1:]),
            "drawn": list(dataset.drawn),
            "columns": None if dataset.columns is None else {one.name: str(one) for one in dataset.columns},
        },
        "models": _models(context, contenders, validation_logits, tested, trainings, measured, choice),
        "winner": choice.winner,
        "why": choice.why,
        "alerts": list(choice.alerts),
        "budget": _budget(recipe.budget, choice),
        **against_baseline(context, trainings, labels, teacher_output, member, warnings),
        "against_single": None
        if single is None or member is None
        else _against_member(dataset.task, single, tested[choice.winner], member, labels, warnings),
        "bias_correction": bias_correction(context, trainings.students, trainings.baselines),
        "selection": None if trainings.selected is None else trainings.selected.facts,
        "synthesis": None if synthetic is None else synthetic.facts,
        "specialists": None if specialized is None else specialized.evidence(context),
        "ratios": _ratios(contenders, measured, choice.winner),
        "curves": {one.name: _curve(one, metric_of(dataset.task)) for one in trainings.members}
        | {
            one.name: _curve(one, context.metric)
            for last in (*trainings.students, *trainings.baselines)
            for one in last.steps
            if one.history
        },
        "steps": step_figures(context, trainings.students, trainings.baselines),
        "precision": size_report(contenders.prepared[shipped.kind]) if is_quantized(network) else None,
        "examples": _examples(context, trainings),
        "temperature": recipe.temperature,
        "targets": _stored(context, trainings),
        "warnings": warnings,
        "machine": machine(),
        "stages": [{"name": s.name, "seconds": s.seconds, "reused": s.reused} for s in context.nodes.done],
        "artifact": "artifact",
        "how_to_load": _how_to_load(allowed(recipe.student.network.use)),
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
        "score": choice.score,
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
        better.append(f"{ratios['smaller']:.1f}x smaller")
    if ratios["faster_batch1"]:
        better.append(f"{ratios['faster_batch1']['ratio']:.1f}x faster at batch 1")
    same = "the teacher in the same runtime" if teacher["runtime"] == winner["runtime"] else "the teacher as it is"
    gains = f"{' and '.join(better)} than {same}, " if better else ""
    accuracies = f"test accuracy {winner['quality']['accuracy']:.2%} against {teacher['quality']['accuracy']:.2%}"
    name = f"Nearest, {winner['name']}" if winner.get("refused") else winner["name"]
    return " ".join([*evidence.get("alerts", []), f"{name}: {gains}{accuracies}."])


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


def against_baseline(
    context: Context,
    trainings: Trainings,
    labels: NDArray[Any],
    teacher_output: Logits,
    member: Logits | None,
    warnings: list[str],
) -> dict[str, Any]:
    """The verdict over all seeds, and their scores: of each the mean of the task's first metric, higher is better.

    Args:
        context: The run.
        trainings: What was trained.
        labels: ``[n, ...]``, of the test data.
        teacher_output: ``[n, ...]`` outputs of the teacher on test.
        member: The same of its best single model, where it has several.
        warnings: Takes what there is to warn of.
    """
    if trainings.baseline is None:
        warnings.append("No baseline was trained, so whether distillation helped is not known (baseline = false).")
        return {"baseline": False, "verdict": None, "seeds": None}

    task = context.dataset.task

    def measured(trained: Sequence[Trained]) -> tuple[NDArray[Any], list[float]]:
        outputs = [predict_all(open_torch(one.network), context.dataset.test) for one in trained]
        return np.stack([task.scores(one, labels) for one in outputs]), [_rmse(task, one, labels) for one in outputs]

    (baselines, baseline_errors), (students, student_errors) = (
        measured(trainings.baselines),
        measured(trainings.students),
    )
    wrong = baseline_errors, student_errors, _rmse(task, teacher_output, labels)
    ruling = verdict(students, baselines)
    teacher = float(task.scores(teacher_output, labels).mean())
    of_baselines, of_students = baselines.mean(axis=1).tolist(), students.mean(axis=1).tolist()
    closed = gap_closed(of_baselines, of_students, teacher)
    if closed is None:
        warnings.append("The teacher is not better than the baseline on test: there is no gap to close.")
    return {
        "baseline": True,
        "verdict": ruling.to_json(),
        "seeds": {
            "baseline": of_baselines,
            "student": of_students,
            "teacher": teacher,
            "gap_closed": None if closed is None else closed.to_json(),
            "rmse": _errors(*wrong, None if member is None else _rmse(task, member, labels)),
        },
    }


def _rmse(task: Task, outputs: Logits, labels: NDArray[Any]) -> float:
    return task.metrics["rmse"].figure(outputs, labels)


def _errors(baselines: list[float], students: list[float], teacher: float, member: float | None) -> dict[str, Any]:
    """Errors of the probabilities, and how much of the gap between baseline and teacher the students close."""
    # The share of a gap is the same for errors as for their opposites, which grow with quality as accuracies do.
    closed = gap_closed([1 - one for one in baselines], [1 - one for one in students], 1 - teacher)
    return {
        "baseline": baselines,
        "student": students,
        "teacher": teacher,
        "member": member,
        "gap_closed": None if closed is None else closed.to_json(),
    }


def _against_member(
    task: Task, name: str, shipped: Logits, member: Logits, labels: NDArray[Any], warnings: list[str]
) -> dict[str, Any]:
    """What ships against the best single model of the teacher; a warning where it is worse."""
    ruling = verdict(task.scores(shipped, labels), task.scores(member, labels))
    squared_errors = task.metrics["rmse"].of_each
    assert squared_errors is not None, "it is the root of a mean"
    mine, theirs = squared_errors(shipped, labels), squared_errors(member, labels)
    difference = float((mine - theirs).mean())
    half = 1.96 * float((mine - theirs).std(ddof=1)) / math.sqrt(len(mine))
    if difference - half > 0 or ruling.interval[1] < 0:
        warnings.append(
            f"What ships is worse than the {name}: RMSE {math.sqrt(mine.mean()):.4f} against "
            f"{math.sqrt(theirs.mean()):.4f}, accuracy {100 * ruling.difference:+.2f} points."
        )
    return {
        "name": name,
        "accuracy": ruling.to_json(),
        "squared_error": {"difference": difference, "interval": [difference - half, difference + half]},
    }


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


def _curve(trained: Trained, chosen_by: Metric) -> list[dict[str, Any]]:
    """A training's history as the report draws it: of a long one evenly spread epochs, with the last."""
    step = math.ceil(len(trained.history) / _MOST_EPOCHS)
    entries = trained.history[::-1][::step][::-1]
    return [{**entry, **_validation(entry["score"], chosen_by)} for entry in entries]


def _validation(score: float, chosen_by: Metric) -> dict[str, float]:
    """A score on validation as a reader knows it: scores grow with quality, errors do not."""
    figure = score if chosen_by.higher_is_better else -score
    return {f"validation_{chosen_by.name}": math.sqrt(figure) if chosen_by.root else figure}


def _stored(context: Context, trainings: Trainings) -> dict[str, Any] | None:
    """What there is to say of stored targets; how soft they are only at the temperature of this recipe.

    Targets do not depend on the temperature at which students get them, so that a run finds those of another.
    """
    store = None if trainings.prepared is None else trainings.prepared.store
    if store is None or trainings.targets is None:
        return None
    figures = {**store.result, "seconds": store.seconds}
    temperature = context.recipe.temperature
    if figures.get("temperature", temperature) != temperature:
        for field in fields(Fidelity):
            figures.pop(field.name, None)
        fidelity = trainings.targets.fidelity(temperature)
        figures |= {} if fidelity is None else asdict(fidelity)
    return figures


def _examples(context: Context, trainings: Trainings, most: int = 6) -> list[dict[str, Any]]:
    """Training examples of which the teacher is least sure, one per class at most, with its soft targets."""
    if trainings.prepared is None or trainings.targets is None or context.dataset.train.labels is None:
        return []
    train = trainings.prepared.examples.transfer
    train = context.dataset.train if train is None else train
    assert train.labels is not None, "a transfer set has labels where the training examples have"
    logits = dense(trainings.targets(None, torch.arange(len(train)), 0))
    soft = (logits / context.recipe.temperature).softmax(-1)
    unsure = -(soft * soft.clamp_min(1e-12).log()).sum(-1)
    rows = []
    for label in range(len(train.classes)):
        of_class = (train.labels == label).nonzero()[:, 0]
        if len(of_class):
            rows.append(int(of_class[unsure[of_class].argmax()]))
    rows = sorted(rows, key=lambda row: -float(unsure[row]))[:most]
    views = context.recipe.transfer.views.views(context.recipe.seed)
    return [
        _example(train, row, views(train.floats(torch.tensor([row])), train.ids[[row]], 0)[0], soft) for row in rows
    ]


def _example(train: Split, row: int, pixels: torch.Tensor, soft: torch.Tensor) -> dict[str, Any]:
    assert train.labels is not None
    image: list[Any] | None = None
    if pixels.dim() == 3 and pixels.shape[0] in (1, 3):
        image = (pixels[0] if pixels.shape[0] == 1 else pixels.permute(1, 2, 0)).tolist()
    return {
        "image": image,
        "values": None if image is not None else pixels.flatten()[:64].tolist(),
        "label": train.classes[int(train.labels[row])],
        "soft": soft[row].tolist(),
        "id": int(train.ids[row]),
    }


def _how_to_load(allow: Sequence[str]) -> str:
    trust = f", allow={list(allow)!r}" if list(allow) != ["attar"] else ""
    return (
        "import attar\n\n"
        f'model = attar.load("artifact"{trust})  # checks every file, unpickles nothing\n'
        "logits = model(inputs)  # float32 array [batch, ...]\n"
        "names = model.predict_classes(inputs)\n"
    )
