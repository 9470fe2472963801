"""Student and baseline: what is done to each of them, step by step, each step a stage of its own."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from attar.deployment.runtimes import open_torch
from attar.errors import BadInput, must
from attar.evidence.measure import correct, predict_all
from attar.models.rebuild import rebuild
from attar.network.spec import Spec
from attar.network.weights import digest, save_weights
from attar.quantization.allocation import allocated
from attar.quantization.attach import input_formats, is_quantized, only_tables_learn_, unquantized
from attar.quantization.edit import Quantize
from attar.quantization.quantize import quantize
from attar.quantization.sharing import share_points_
from attar.recipes.networks import fitted_to, network_of
from attar.recipes.schema.objective import labels_alone
from attar.recipes.schema.recipe import Recipe
from attar.recipes.schema.student import DistillStep, QuantizeStep
from attar.recipes.stages import Context, Trained, named_dtype, train
from attar.teachers.teacher import NetworkTeacher
from attar.training.losses.outputs import HardLabels
from attar.training.objective import Objective
from attar.training.scoring import METRICS
from attar.training.settings import Training
from attar.transfer.datasets import Dataset, Split
from attar.transfer.transfer_set import Live, TargetSource, TransferSet
from attar.transfer.views import Views

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Lesson:
    """What a network learns from in every step.

    Attributes:
        role: ``student`` or ``baseline``: how stages are called.
        data: The examples, with what the teacher says of them; other targets where they are given.
        depends: What they depend on.
        objective: Terms of a step, from the recipe's.
        training: Settings of a step, from the recipe's.
        learning: Builds the teacher that learns along.
        feature_teacher: The teacher as a network, where a term reads its layers.
    """

    role: str
    data: Callable[[TargetSource | None], TransferSet]
    depends: Mapping[str, Any]
    objective: Callable[[Objective], Objective]
    training: Callable[[Training], Training]
    learning: Callable[[], nn.Module] | None = None
    feature_teacher: nn.Module | None = None


def student_of(
    context: Context,
    index: int,
    targets: TargetSource | None,
    views: Views,
    heard: str,
    learning: Callable[[], nn.Module] | None,
    split: Split | None = None,
    feature_teacher: nn.Module | None = None,
    labeled: Split | None = None,
) -> Trained:
    """The student of one seed, taught by targets or beside a teacher that learns.

    Args:
        context: The run.
        index: Number of the seed.
        targets: What the teacher says; None for one that learns along.
        views: How the examples are seen.
        heard: Fingerprint of the teacher.
        learning: Builds the teacher that learns along.
        split: What the student imitates on; the training examples if left out.
        feature_teacher: The teacher as a network, where a term reads its layers.
        labeled: What it learns from in steps on labels alone; the training examples if left out.
    """
    recipe = context.recipe
    rows = context.dataset.train if split is None else split
    taught = _Lesson(
        role="student",
        data=lambda others: TransferSet(rows, views, others or targets, labelled=recipe.transfer.labels),
        depends={
            **({} if split is None else {"transfer": split.fingerprint()}),
            "views": views.fingerprint(),
            "teacher": heard,
            "top_k": recipe.transfer.top_k,
            **named_dtype(recipe.transfer),
            **({"per_teacher": True} if recipe.transfer.per_teacher else {}),
            "detach": recipe.teacher.detach,
            **({} if recipe.transfer.label_views else {"label_views": False}),
        },
        objective=lambda objective: objective,
        training=lambda training: training,
        learning=learning,
        feature_teacher=feature_teacher,
    )
    return _walked(context, index, taught, _on_labels(context, None, labeled))


def baseline_of(context: Context, index: int, examples: int | None = None, labeled: Split | None = None) -> Trained:
    """The same network with the same steps and budget and no teacher: labels alone, on the same views.

    Args:
        context: The run.
        index: Number of the seed.
        examples: How many the student sees in an epoch, where these are not the baseline's; the baseline then gets so
            many more epochs that it takes as many steps.
        labeled: What it learns from; the training examples if left out.
    """
    alone = _on_labels(context, examples, labeled)
    return _walked(context, index, alone, alone)


def _on_labels(context: Context, examples: int | None, labeled: Split | None) -> _Lesson:
    """Learning without a teacher."""
    rows = context.dataset.train if labeled is None else labeled
    views = context.recipe.transfer.views.views(context.recipe.seed)

    def longer(training: Training) -> Training:
        if examples is None:
            return training
        steps = [math.ceil(count / training.batch_size) for count in (examples, len(rows))]
        times = max(1, round(steps[0] / steps[1]))
        patience = None if training.patience is None else training.patience * times
        return replace(training, epochs=training.epochs * times, patience=patience)

    return _Lesson(
        role="baseline",
        data=lambda _: TransferSet(rows, views),
        depends={"views": views.fingerprint(), **({} if labeled is None else {"transfer": labeled.fingerprint()})},
        objective=labels_alone,
        training=longer,
    )


# -- the walk ----------------------------------------------------------------------------------------------------------


def _walked(context: Context, index: int, lesson: _Lesson, alone: _Lesson) -> Trained:
    """All steps of one network, one after the other."""
    recipe, seed = context.recipe, context.recipe.seed + index
    course = recipe.student.course
    network: nn.Module | None = None  # fresh
    spec = context.network.spec()
    plain: nn.Module | None = None  # as it was before it was quantized
    done: list[Trained] = []
    for place, step in enumerate(course, start=1):
        if isinstance(step, QuantizeStep):
            before = network_of(context.network, seed) if network is None else network
            made = _quantized(context, step, before)
            edited = spec.with_edit(Quantize.of(made))
            name = f"{lesson.role}/{index}/{place}-quantize"
            trained = _scored(context, name, step, made, edited, before, spec, seed)
            spec = edited
        else:
            objective = recipe.objective_of(step)
            # A step of the student that hears nobody is the baseline's.
            chosen = alone if _needs_no_teacher(objective) and lesson.learning is None else lesson
            name = f"{chosen.role}/{index}" if network is None else f"{chosen.role}/{index}/{place}-distill"
            trained = _distilled(context, name, step, chosen, network, spec, plain, seed)
        network = trained.network
        if not is_quantized(network):
            plain = network
        done.append(trained)
    return replace(done[-1], earlier=tuple(done[:-1]))


def _distilled(
    context: Context,
    name: str,
    step: DistillStep,
    lesson: _Lesson,
    network: nn.Module | None,
    spec: Spec,
    plain: nn.Module | None,
    seed: int,
) -> Trained:
    """One training, of a fresh network or of one that earlier steps left."""
    recipe, section = context.recipe, context.network
    depends: dict[str, Any] = {"network": section.model_dump(), "seed": seed, **lesson.depends}
    if network is not None:
        depends["before"] = _described(network, spec)
    if step.train != "all":
        depends["train"] = step.train
    if step.freeze_bn_stats:
        depends["freeze_bn_stats"] = True
    own: TargetSource | None = None
    if step.teacher == "float_student" and lesson.role == "student":
        assert plain is not None, "the schema wants a step before it"
        teacher = NetworkTeacher(copy.deepcopy(plain), example=context.example, device=context.device)
        depends["teacher"], own = teacher.fingerprint(), Live(teacher)

    def start() -> nn.Module:
        return network_of(section, seed) if network is None else copy.deepcopy(network)

    def prepared(fresh: nn.Module) -> nn.Module:
        if step.train == "codebook":
            only_tables_learn_(fresh)
        if step.freeze_bn_stats:
            freeze_bn_stats_(fresh)
        return fresh

    return train(
        name,
        context,
        start,
        lesson.objective(recipe.objective_of(step)),
        lambda: lesson.data(own),
        replace(lesson.training(recipe.training_of(step)), seed=seed),
        depends,
        lesson.learning,
        recipe.teacher.detach,
        recipe.student.choose_by,
        lesson.feature_teacher,
        prepared,
        spec,
    )


def _quantized(context: Context, step: QuantizeStep, network: nn.Module) -> nn.Module:
    """A copy in the formats of a step, instead of those that it may have."""
    network = unquantized(network, leave="float") if is_quantized(network) else network
    train = context.dataset.train
    weights = step.weights
    if step.allocation == "gradient":
        batches = _labelled_batches(context, step)
        weights = allocated(network, weights, batches, functional.cross_entropy, skip=step.skip, tensors=step.tensors)
    made = quantize(
        network,
        weights=weights,
        activations=step.activations,
        skip=step.skip,
        tensors=step.tensors,
        calibration=train.floats(_drawn(train, step.calibration, context.recipe.seed)) if step.measures else None,
    )
    return share_points_(made) if step.share_points else made


def _labelled_batches(context: Context, step: QuantizeStep) -> Iterator[tuple[Tensor, Tensor]]:
    """Training examples that have a label, in batches of the training's size."""
    train = context.dataset.train
    labels = _check_labelled(train)
    known = (labels >= 0).nonzero()[:, 0]
    size = context.recipe.student.training.batch_size
    order = _drawn(train.rows(known), step.allocation_batches * size, context.recipe.seed)
    for rows in torch.split(known[order], size):
        yield train.floats(rows), labels[rows]


def _check_labelled(train: Split) -> Tensor:
    """The labels, of which there must be some."""
    if train.labels is None or not bool((train.labels >= 0).any()):
        raise must("allocation", "the recipe", "equal where there are no labels", "gradient", "Leave it out")
    return train.labels


def _drawn(split: Split, count: int, seed: int) -> Tensor:
    """So many rows of a split, or all, in an order that depends on the seed."""
    return torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))[:count]


def _scored(
    context: Context,
    name: str,
    step: QuantizeStep,
    made: nn.Module,
    spec: Spec,
    before: nn.Module,
    spec_before: Spec,
    seed: int,
) -> Trained:
    """A quantized network as a stage: its weights and its score on validation."""
    metric = METRICS[context.recipe.student.choose_by]

    def work(folder: Path) -> dict[str, Any]:
        save_weights(made, folder / "weights.safetensors")
        runner, total = made.eval(), 0.0
        with torch.inference_mode():
            for rows in torch.split(torch.arange(len(context.validation)), 512):
                batch = context.validation.batch(rows, 0)
                total += float(metric(runner(batch.inputs), batch).sum())
        return {"score": total / len(context.validation)}

    depends = {"before": _described(before, spec_before), "after": spec.to_json(), "seed": seed}
    if input_formats(made):
        depends["data"] = context.fingerprint  # ranges were measured on it
    if step.measures:
        depends["calibration"] = step.calibration
    depends["validation"] = context.dataset.validation.fingerprint()
    if context.recipe.student.choose_by != "accuracy":
        depends["choose_by"] = context.recipe.student.choose_by
    stage = context.nodes.node(name, depends, work)
    # What was written is what counts: another machine measures ranges with other rounding.
    network = rebuild(spec, stage.folder / "weights.safetensors", seed=seed)
    log.info("%s: score %.4f on validation", name, stage.result["score"])
    return Trained(name, network, (), float(stage.result["score"]), use="quantize", spec=spec)


def _described(network: nn.Module, spec: Spec) -> dict[str, Any]:
    """A network as plain values: its weights, and how it is built."""
    return {"digest": digest(network), "spec": spec.to_json()}


def _needs_no_teacher(objective: Objective) -> bool:
    return all(isinstance(term.loss, HardLabels) and term.of == "student" for term in objective.terms.values())


def freeze_bn_stats_(network: nn.Module) -> nn.Module:
    """Let the running statistics of batch normalization stay as they are while the network is trained, in place.

    Each batch is normalized by its own statistics as ever; evaluation uses those that there were before. The code of
    Polino et al. (2018) has that effect: it saves them before its points learn and puts them back.
    """
    for layer in network.modules():
        if isinstance(layer, _BatchNorm):
            layer.momentum = 0.0
    return network


# -- what is checked before, and told afterwards -----------------------------------------------------------------------


def check_steps(recipe: Recipe, dataset: Dataset) -> nn.Module:
    """See that the steps of a recipe fit its network, before any training.

    Returns:
        The student as it would be in the end, but for its numbers.

    Raises:
        BadInput: Naming the step, if a pattern fits no layer, a layer cannot be quantized, or nothing would learn.
    """
    network = network_of(fitted_to(recipe.student.network, dataset), recipe.seed)
    example = dataset.train.floats(slice(0, 64))
    for place, step in enumerate(recipe.student.course):
        try:
            if isinstance(step, QuantizeStep):
                plain = unquantized(network, leave="float") if is_quantized(network) else network
                network = quantize(
                    plain,
                    weights=step.weights,
                    activations=step.activations,
                    skip=step.skip,
                    tensors=step.tensors,
                    calibration=example,
                )
                if step.share_points:
                    share_points_(network)
                if step.allocation == "gradient":
                    _check_labelled(dataset.train)
            elif step.train == "codebook":
                only_tables_learn_(copy.deepcopy(network))
        except BadInput as error:
            raise type(error)(f"student.steps.{place} of the recipe: {error}") from error
    return network


def told(context: Context, students: Sequence[Trained], baselines: Sequence[Trained]) -> dict[str, Any] | None:
    """Every step of students and baselines: score on validation, accuracy on test, one figure a seed.

    None where the student is trained in one step.
    """
    course = context.recipe.student.steps
    if course is None:
        return None
    test = context.dataset.test
    assert test.labels is not None, "data sets have labels in test"
    labels = test.labels.numpy()

    def rows(trainings: Sequence[Trained]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for place, step in enumerate(course, start=1):
            of_step = [(*one.earlier, one)[place - 1] for one in trainings]
            rights = [float(correct(predict_all(open_torch(one.network), test), labels).mean()) for one in of_step]
            found[f"{place}-{step.use}"] = {
                "names": [one.name for one in of_step],
                "score": [one.score for one in of_step],
                "accuracy": rights,
            }
        return found

    return {"student": rows(students), "baseline": rows(baselines) if baselines else None}
