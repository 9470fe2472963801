"""The teacher of a recipe: given as files, returned by a function, or trained and fitted as nodes of the run."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn

from attar.data.datasets import Dataset
from attar.errors import BadInput, Words, must
from attar.models.model import Model
from attar.named_inputs import NamedInputs
from attar.network.references import call, findable, names_function
from attar.network.standardize import Standardize
from attar.network.unpacked import Unpacked
from attar.network.weights import load_weights
from attar.pipeline.objective import against_labels
from attar.pipeline.runner import run_steps
from attar.pipeline.steps.distill import Distill
from attar.pipeline.trained import Trained
from attar.recipes.context import Context, allowed
from attar.recipes.fitting import ESTIMATOR, fit_estimator, to_fit
from attar.recipes.networks import check_network, fitted_to, fresh, network_of
from attar.recipes.schema.network import NetworkSection
from attar.recipes.schema.recipe import Recipe
from attar.recipes.schema.teacher import InputsSection, MemberSection
from attar.recipes.teacher_classes import classes_of_data
from attar.search.evaluate import begin_with_
from attar.tasks.task import OfClasses
from attar.teachers.as_teacher import as_teacher, estimator_teacher
from attar.teachers.digest import digest as estimator_digest
from attar.teachers.ensemble import Ensemble
from attar.teachers.estimator import EstimatorTeacher, RegressorTeacher
from attar.teachers.estimator_file import from_bytes, to_bytes
from attar.teachers.image_inputs import ChangeImages, ChangeOneImage, ImageInputs, change_to, wanted_by, wanted_in
from attar.teachers.in_blocks import InBlocks
from attar.teachers.labels import LabelsTeacher
from attar.teachers.model_file import read_model
from attar.teachers.onnx import OnnxTeacher
from attar.teachers.outputs import Output, stated_output
from attar.teachers.pretrained import read_pretrained
from attar.teachers.resized import Resize, ResizedTeacher
from attar.teachers.sampled import SampledTeacher
from attar.teachers.subset import SubsetTeacher
from attar.teachers.teacher import NetworkTeacher, Teacher
from attar.teachers.trial import ROWS, settle

log = logging.getLogger(__name__)

_ASKED = 2
"""Examples by which it is seen which channels of a teacher belong together."""


def teacher_of(context: Context) -> tuple[Teacher, list[Trained]]:
    """The recipe's teacher, its networks trained here where no weights are given, and the trainings that took place."""
    section = context.recipe.teacher
    device = context.device
    members: list[Teacher] = []
    trained: list[Trained] = []
    given = given_model(context)
    if section.estimator is not None and not isinstance(given, nn.Module):
        fitted = fitted_here(context) if section.fit else estimator_of(context.recipe, context.dataset, given)
        return fitted if section.rows_at_once is None else InBlocks(fitted, section.rows_at_once), []
    for path in section.onnx:
        classes = context.dataset.task.shape[0]
        change = _change(section.inputs, context.dataset)
        named = change.after if isinstance(change, ChangeOneImage) else context.dataset.named
        file = _onnx_of(path, context, classes, section.output, section.output_name, named)
        members.append(file if change is None else ResizedTeacher(file, change))
    if given is not None:
        members.append(_teacher_of_model(context, given))
    if section.network is not None:
        for index in range(section.count):
            if section.weights:
                network = _loaded(fitted_to(section.network, context.dataset), section.seed, section.weights[index])
                check_network(network, "teacher.network", context.dataset)
            else:
                trained.append(train_member(context, index))
                network = trained[-1].network
            # What was trained here was trained for its outputs to be logits, whatever they look like.
            target, classes = context.dataset.task.target, context.dataset.task.shape[0]
            output = stated_output(target, section.output) if section.weights else target
            members.append(
                NetworkTeacher(network, classes=classes, example=context.example, device=device, output=output)
            )
    votes = section.votes
    if section.each is not None:
        for index, one in enumerate(section.each):
            try:
                members.append(_given(context, one))
            except BadInput as error:
                raise type(error)(f"teacher.each.{index} of the recipe: {error}") from error
        votes = [one.vote for one in section.each]
    alone = len(members) == 1 and not isinstance(members[0], SubsetTeacher)
    try:
        teacher = members[0] if alone else Ensemble(members, mean=section.mean, weights=votes)
    except BadInput as error:
        raise type(error)(f"teacher of the recipe: {error}") from error
    if section.rows_at_once is not None:
        teacher = InBlocks(teacher, section.rows_at_once)
    if section.samples is not None:
        teacher = SampledTeacher(teacher, section.samples, context.recipe.seed)
    settle(teacher, context.dataset.train.floats(slice(0, ROWS)))
    classes = context.dataset.task.shape[0]
    if teacher.classes != classes:
        raise must(
            "teacher",
            "the recipe",
            f"a model of the data's {context.dataset.task}",
            teacher.classes,
            "Use a teacher of the same classes, or values",
        )
    return teacher, trained


def _loaded(section: NetworkSection, seed: int, weights: str) -> nn.Module:
    """A network with given weights, which know nothing of what standardizes the inputs before it."""
    network = network_of(section, seed)
    load_weights(network.network if isinstance(network, Standardize | Unpacked) else network, Path(weights))
    return network


def _onnx_of(
    path: str,
    context: Context,
    classes: int | None,
    output: Output | None,
    output_name: str | None,
    named: NamedInputs | None,
) -> OnnxTeacher:
    """The teacher that a file is."""
    return OnnxTeacher(
        path,
        threads=torch.get_num_threads(),
        classes=classes,
        output=stated_output(context.dataset.task.target, output),
        output_name=output_name,
        names=context.dataset.task.names if isinstance(context.dataset.task, OfClasses) else None,
        named=named,
        columns=context.dataset.columns,
    )


def _given(context: Context, section: MemberSection) -> Teacher:
    """One given model of a teacher whose models differ."""
    example, names = context.example, context.dataset.task.names
    if section.inputs is not None:
        example = ChangeImages(section.inputs.wanted)(example)
    task = context.dataset.task
    classes = None if section.classes is None else len(section.classes)
    if task.target == "values":
        classes = task.shape[0]
    teacher: Teacher
    if section.onnx is not None:
        teacher = _onnx_of(section.onnx, context, classes, section.output, section.output_name, None)
    else:
        assert section.network is not None and section.weights is not None, "the schema sees to it"
        network = _loaded(fitted_to(section.network, context.dataset), context.recipe.teacher.seed, section.weights)
        try:
            teacher = NetworkTeacher(
                network,
                classes=classes,
                example=example,
                device=context.device,
                output=stated_output(task.target, section.output),
            )
        except BadInput as error:
            raise type(error)(
                f"{error} Set inputs.size where it takes images of another, or change its arguments."
            ) from error
    if (change := _change(section.inputs, context.dataset)) is not None:
        teacher = ResizedTeacher(teacher, change)
    return teacher if section.classes is None else SubsetTeacher(teacher, knows=section.classes, names=names)


def _change(section: InputsSection | None, dataset: Dataset) -> Resize | ChangeImages | ChangeOneImage | None:
    """What changes images to what a teacher wants."""
    if section is None:
        return None
    change = change_to(section.wanted)
    return change if dataset.named is None else ChangeOneImage(change, dataset.named)


def given_model(context: Context) -> Any:
    """The model that the recipe's function returns, or that lies in its file or folder; None where it names none.

    Raises:
        BadInput: If there is no such function or file.
    """
    section = context.recipe.teacher
    if section.estimator is not None and not section.fit:
        in_file = not names_function(section.estimator)
        return _estimator_in_file(context.recipe, context.dataset) if in_file else call(section.estimator)
    if section.use is not None:
        return call(section.use)
    return None if section.transformers is None else read_pretrained(section.transformers)


def _teacher_of_model(context: Context, given: Any) -> Teacher:
    """The teacher that a model of transformers is, or what the recipe's function returns.

    Raises:
        BadInput: If it is no teacher of these data.
    """
    section, dataset = context.recipe.teacher, context.dataset
    key = next(one for one in ("transformers", "use", "estimator") if getattr(section, one) is not None)
    if section.classes is not None and section.transformers is None:
        rule, got = "left out for a network", Words(f"{section.classes} for a {type(given).__name__}")
        raise must("teacher.classes", "the recipe", rule, got, "Its outputs are in the order of the data's classes")
    if section.classes is not None:
        count = given.config.num_labels
        if len(section.classes) != count:
            rule = f"one name for each of the {count} classes of the model"
            raise must("teacher.classes", "the recipe", rule, section.classes, "Name them in the order of its outputs")
        given.config.id2label = dict(enumerate(section.classes))
    wanted = ImageInputs() if section.inputs is None else section.inputs.wanted
    if section.transformers is not None and (described := wanted_by(given)):
        wanted = wanted.over(wanted_in(Path(section.transformers))).over(described)
    try:
        return as_teacher(
            given,
            classes=dataset.task.names if isinstance(dataset.task, OfClasses) else dataset.task.shape[0],
            example=context.example,
            columns=dataset.columns,
            mean=wanted.mean,
            std=wanted.std,
            device=context.device,
            size=wanted.size,
            channels=wanted.channels,
            output=stated_output(dataset.task.target, section.output),
            named=dataset.named,
        )
    except BadInput as error:
        raise type(error)(f"teacher.{key} of the recipe: {error}") from error


def inputs_of(teacher: Teacher | None) -> str:
    """What images are changed to before a teacher sees them, in words; empty where it is nothing."""
    if isinstance(teacher, Ensemble):
        return "; ".join(dict.fromkeys(text for one in teacher.members if (text := inputs_of(one))))
    if not isinstance(teacher, ResizedTeacher | SampledTeacher | SubsetTeacher | InBlocks):
        return ""
    inner = teacher.teacher
    network = inner.network if isinstance(inner, NetworkTeacher) else None
    mean = std = None
    if isinstance(network, Standardize):
        mean, std = (tuple(one.flatten().tolist()) for one in (network.mean, network.std))
    described = ImageInputs(mean=mean, std=std)
    change = teacher.change if isinstance(teacher, ResizedTeacher) else None
    match change.change if isinstance(change, ChangeOneImage) else change:
        case Resize(size=size):
            return str(ImageInputs(size=size).over(described))
        case ChangeImages(wanted=wanted):
            return str(wanted.over(described))
    return inputs_of(inner)


def estimator_of(recipe: Recipe, dataset: Dataset, found: Any) -> EstimatorTeacher | LabelsTeacher | RegressorTeacher:
    """The teacher that a fitted model is.

    Args:
        recipe: Names its file, or the function that returned it.
        dataset: What it is to teach on.
        found: The model.

    Raises:
        BadInput: If it is no fitted model of the data's classes or values.
    """
    assert recipe.teacher.estimator is not None
    verb = "returns" if names_function(recipe.teacher.estimator) else "holds"
    if dataset.named is not None:
        rule, got = "a network where the data have several named inputs", Words(f"a {type(found).__name__}")
        remedy = "Give a network, a model of transformers or an ONNX file as the teacher"
        raise must("teacher.estimator", "the recipe", rule, got, remedy)
    if len(dataset.task.shape) > 1:
        raise BadInput(
            f"teacher.estimator of the recipe {verb} a {type(found).__name__}, which is for classes, labels or values "
            f"of each example, and the task is {dataset.task.use}. Give a network."
        )
    try:
        known = classes_of_data(recipe.teacher, found, dataset.task)
        labels = dataset.task.target == "log_odds"
        teacher = estimator_teacher(found, columns=dataset.columns, classes=known, labels=labels)
    except BadInput as error:
        from sklearn.exceptions import NotFittedError

        if not isinstance(error.__cause__, NotFittedError):
            raise
        raise BadInput(
            f"teacher.estimator of the recipe {verb} a {type(found).__name__} that is not fitted. Set teacher.fit = "
            "true to have it fitted on the training rows, or return it fitted."
        ) from error
    if not isinstance(teacher, RegressorTeacher) and dataset.task.target == "values":
        raise BadInput(
            f"teacher.estimator of the recipe {verb} a {type(found).__name__}, which predicts classes, and the task is "
            f"{dataset.task.use}. Give a fitted regressor."
        )
    if isinstance(teacher, RegressorTeacher) and dataset.task.target != "values":
        raise BadInput(
            f"teacher.estimator of the recipe {verb} a {type(found).__name__}, which predicts values, and the data "
            "have classes. Give a fitted classifier."
        )
    return teacher


def _estimator_in_file(recipe: Recipe, dataset: Dataset) -> Any:
    """The fitted model in a file of its package."""
    section, trust = recipe.teacher, recipe.trust
    columns = () if dataset.columns is None else dataset.columns.names
    with findable([trust.beside, Path.cwd() if trust.packages else None]):
        return read_model(str(section.estimator), columns, trust.trusts)


def fitted_here(context: Context) -> EstimatorTeacher | LabelsTeacher | RegressorTeacher:
    """The model that the recipe's function returns, fitted on the training rows of the run and nothing else.

    Raises:
        BadInput: If there is no such function, or what it returns cannot be fitted on these rows.
    """
    section, dataset = context.recipe.teacher, context.dataset
    first = to_fit(section, dataset.train)

    def work(folder: Path) -> dict[str, Any]:
        estimator = fit_estimator(first, dataset.train, section.seed)
        try:
            (folder / ESTIMATOR).write_bytes(to_bytes(estimator))
        except BadInput as error:
            # What cannot be saved is fitted again, with the same seed, when the run goes on.
            log.info("the estimator is not saved: %s", error)
        return {"estimator": type(estimator).__name__}

    inputs = {"estimator": estimator_digest(first), "data": dataset.train.fingerprint(), "seed": section.seed}
    path = context.nodes.node("teacher/estimator", inputs, work).folder / ESTIMATOR
    if path.is_file():
        estimator = from_bytes(path.read_bytes(), str(path), boosters=True)
    else:
        estimator = fit_estimator(first, dataset.train, section.seed)
    if dataset.task.target == "values":
        return RegressorTeacher(estimator, columns=dataset.columns, outputs=dataset.task.shape[0])
    if dataset.task.target == "log_odds":
        return LabelsTeacher(estimator, columns=dataset.columns, labels=dataset.task.shape[0])
    return EstimatorTeacher(estimator, columns=dataset.columns, classes=dataset.task.shape[0])


def first_model(context: Context, seed: int) -> Model:
    """What the steps of a student or baseline begin with: an untrained network, or the teacher's as it is.

    Args:
        context: The run.
        seed: Of the first weights of an untrained one.
    """
    if context.recipe.student.start == "fresh":
        return fresh(context.network, seed, context.dataset)
    teacher = teacher_model(context)
    assert teacher is not None, "the schema wants one network as the teacher"
    if context.recipe.network.edits is None:
        return teacher
    # One that a search took layers and channels from begins with the weights of those that it has, as it did there.
    first = fresh(context.network, seed, context.dataset)
    begin_with_(first.module, teacher.module, context.dataset.train.floats(slice(0, _ASKED)))
    return first


def teacher_model(context: Context) -> Model | None:
    """The teacher as a model, given or trained here; None where it is anything but one network."""
    section = context.recipe.teacher
    if section.network is None or section.count != 1 or section.learns:
        return None
    if not section.weights:
        return train_member(context, 0).model
    described = fitted_to(section.network, context.dataset)
    return Model(_loaded(described, section.seed, section.weights[0]), described.spec())


def train_member(context: Context, index: int) -> Trained:
    """One network of the teacher, trained on the labels."""
    section = context.recipe.teacher
    assert section.network is not None
    described, seed = fitted_to(section.network, context.dataset), section.seed + index
    step = Distill(objective=dict(against_labels(context.dataset.task).terms), training=section.training)
    tools = context.tools(section.views.views(seed), seed)
    allow = allowed(described.use)
    return run_steps(
        [step], fresh(described, seed, context.dataset), tools, context.nodes, name=f"teacher/{index}", allow=allow
    )
