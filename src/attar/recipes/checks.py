"""What a recipe says held against its data and this machine, before any training."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from attar.data.datasets import Dataset
from attar.deployment.backends import EAGER, RUNTIMES
from attar.errors import BadInput, must, near
from attar.evidence.memory import measurable
from attar.recipes import paths
from attar.recipes.check_task import check_task
from attar.recipes.networks import check_network, fitted_to, fresh, network_of, spec_of
from attar.recipes.schema.recipe import Recipe
from attar.recipes.schema.teacher import SpecialistsSection
from attar.recipes.transfer_examples import without_synthesis
from attar.teachers.ensemble import Ensemble
from attar.teachers.onnx import OnnxTeacher
from attar.teachers.outputs import stated_output
from attar.teachers.teacher import NetworkTeacher
from attar.training import device as devices
from attar.training.train_module import feature_taps, reads_layers


def check_device(recipe: Recipe, device: str) -> None:
    """See that the device is there and computes as all trainings want it.

    Raises:
        BadInput: If it is not, or does not.
    """
    for training in (*recipe.all_training, recipe.teacher.training):
        devices.check_device(device, training.precision)


def check_paths(recipe: Recipe) -> None:
    """See that no file is missing that the recipe names, see `attar.recipes.paths.check_paths`."""
    paths.check_paths(recipe.document(), recipe.trust.beside)


def check_networks(recipe: Recipe, dataset: Dataset) -> None:
    """See that what the recipe says of networks and targets fits the data, before any training.

    Raises:
        BadInput: Naming the table of the recipe.
    """
    check_task(recipe, dataset.task)
    top_k, classes = recipe.transfer.top_k, dataset.task.shape[0]
    if top_k is not None and top_k >= classes:
        raise must("transfer.top_k", "the recipe", f"below {classes}, the classes", top_k, "Leave it out for all")
    labels = dataset.train.labels
    if (labels is None or not bool(dataset.task.known(labels).any())) and recipe.baseline:
        raise must(
            "baseline", "the recipe", "false where no training example has a label", True, "Set baseline = false"
        )
    check_tables(recipe, dataset)
    check_settings(recipe, dataset)
    if recipe.teacher.specialists is not None:
        check_specialists(recipe.teacher.specialists, dataset.classes)
    without_synthesis(recipe, dataset)
    student = fresh(fitted_to(recipe.network, dataset), recipe.seed, dataset).module
    check_network(student, "student.network", dataset)
    teacher: nn.Module | None = None
    if recipe.teacher.network is not None:
        section = fitted_to(recipe.teacher.network, dataset)
        seed, trained = recipe.teacher.seed, not recipe.teacher.weights

        def member() -> nn.Module:
            return fresh(section, seed, dataset).module if trained else network_of(section, seed)

        teacher = member()
        check_network(teacher, "teacher.network", dataset)
        if recipe.teacher.count > 1:
            alike = [member() for _ in range(recipe.teacher.count)]
            output = stated_output(dataset.task.target)
            teacher = Ensemble([NetworkTeacher(one, classes=classes, output=output) for one in alike]).module
    for terms in (terms for terms, _ in recipe.trainings if reads_layers(terms)):
        if teacher is None:
            rule = "networks where a term of the objective reads hidden layers"
            raise must("teacher", "the recipe", rule, "another kind", "Give teacher.network, or drop the term")
        feature_taps(terms, student, None, teacher)


def check_budget(recipe: Recipe) -> None:
    """See that limits can be met and that what they limit will be measured, of the teacher too where relative to it.

    Raises:
        BadInput: Naming the limit, and what to write in its place.
    """
    teacher, runtimes = recipe.teacher, recipe.artifacts.runtimes
    network = (teacher.network or teacher.transformers) is not None and teacher.specialists is None
    elsewhere = bool(teacher.onnx) and OnnxTeacher.runtime not in runtimes
    for limit in recipe.budget.limits:
        why = None
        least, words = _LEAST.get(limit.what, (0.0, ""))
        if not limit.relative and limit.amount < least:
            raise BadInput(f'budget.{limit.what} of the recipe: "{limit}" cannot be met: {words}. Allow more.')
        if limit.what == "memory" and not measurable():
            why = "the memory of a process is not measured on this system. Leave it out"
        elif not limit.relative or limit.what == "quality_loss":
            continue
        elif limit.what == "bytes" and (teacher.estimator or teacher.use) is not None:
            returned = teacher.use is not None or teacher.may_be_network
            what = "what a function returns" if returned else "an estimator"
            why = f"nothing is known of the size of {what}. Write it in bytes, such as '50 kB'"
        elif limit.what == "macs" and not network:
            why = "the multiply-adds of a teacher are known only where it is a torch network. Write them, such as '3 M'"
        elif limit.what == "memory" and not (network and set(runtimes) - {EAGER}):
            others = " or ".join(runtime for runtime in RUNTIMES if runtime != EAGER)
            why = (
                f"the memory of a teacher is measured only where it is a torch network, in {others}. Write it in "
                "bytes, such as '20 MB'"
            )
        elif limit.what in ("bytes", "latency") and elsewhere:
            why = (
                f"ONNX files are measured in {OnnxTeacher.runtime}, which artifacts.runtimes leaves out. Add it, or "
                "write the limit with its unit"
            )
        if why is not None:
            raise BadInput(f'budget.{limit.what} of the recipe: "{limit}" cannot be judged; {why}.')


_LEAST: Mapping[str, tuple[float, str]] = {
    "bytes": (100.0, "no file that a runtime executes has less than a hundred"),
    "latency": (1e-4, "no runtime answers within a ten-thousandth of a millisecond"),
    "macs": (1.0, "a model without a single multiply-add knows nothing of its inputs"),
}
"""What every model takes, in own units, and that in words: a limit below it is a slip."""


def check_steps(recipe: Recipe, dataset: Dataset) -> nn.Module:
    """See that the steps of a recipe fit its network, before any training.

    Returns:
        The student as it would be in the end, but for its numbers.

    Raises:
        BadInput: Naming the step, if it cannot be done with this network or these data.
    """
    spec = spec_of(fitted_to(recipe.network, dataset), dataset)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        for place, step in enumerate(recipe.steps):
            try:
                spec = step.check(spec, dataset)
            except BadInput as error:
                raise type(error)(f"student.steps.{place} of the recipe: {error}") from error
        return spec.build()


def check_settings(recipe: Recipe, dataset: Dataset) -> None:
    """See that what the recipe says of views and threads can be done with these data and on this machine.

    Raises:
        BadInput: Naming the key of the recipe.
    """
    shape = tuple(dataset.train.floats(slice(0, 1)).shape[1:])
    if dataset.tokens is not None:
        recipe.transfer.views.views(recipe.seed).check_tokens("the recipe (transfer.views)")
        recipe.teacher.views.views(recipe.teacher.seed).check_tokens("the recipe (teacher.views)")
        for key, network in (("student", recipe.network), ("teacher", recipe.teacher.network)):
            if network is not None and network.mean is not None:
                rule = "left out where the data are tokens, which have no mean"
                raise must(f"{key}.network.mean", "the recipe", rule, network.mean, "Leave mean and std out")
    if dataset.named is not None:
        recipe.transfer.views.views(recipe.seed).check_named(dataset.named, "the recipe (transfer.views)")
        recipe.teacher.views.views(recipe.teacher.seed).check_named(dataset.named, "the recipe (teacher.views)")
        check_named(recipe)
        shape = dataset.named.image("Views")[1] if dataset.named.images == 1 else shape
    recipe.transfer.views.views(recipe.seed).check_shape(shape, "transfer.views of the recipe")
    if recipe.teacher.network is not None and not recipe.teacher.weights and not recipe.teacher.learns:
        recipe.teacher.views.views(recipe.teacher.seed).check_shape(shape, "teacher.views of the recipe")
    available = os.cpu_count() or 1
    if recipe.artifacts.threads > available:
        rule = f"at most {available} on this machine"
        raise must("artifacts.threads", "the recipe", rule, recipe.artifacts.threads, "Use 1")


def check_named(recipe: Recipe) -> None:
    """See that a recipe for data of several named inputs has no part that knows of one input alone.

    Raises:
        BadInput: Naming the key of the recipe.
    """
    given = {
        "teacher.estimator": None if recipe.teacher.may_be_network else recipe.teacher.estimator,
        "teacher.library": recipe.teacher.library,
        "teacher.each": recipe.teacher.each,
        "transfer.synthesis": recipe.transfer.synthesis,
        "student.network.mean": recipe.network.mean,
        "teacher.network.mean": None if recipe.teacher.network is None else recipe.teacher.network.mean,
    }
    for key, value in given.items():
        if value:
            rule = "left out where the data have several named inputs"
            remedy = "Give a network, a model of transformers or an ONNX file as the teacher"
            raise must(key, "the recipe", rule, value, _INSTEAD.get(key, remedy))


_INSTEAD = {
    "transfer.synthesis": "Leave it out: rows of several inputs are not made up",
    "teacher.each": "Give one teacher, or several files of teacher.onnx",
    "student.network.mean": "Standardize inside the network",
    "teacher.network.mean": "Standardize inside the network",
}
"""What to do about a key that is for data of one input, where it is not to take another teacher."""


def check_tables(recipe: Recipe, dataset: Dataset) -> None:
    """See that what is only for tables meets one.

    Raises:
        BadInput: Naming the key of the recipe.
    """
    if dataset.columns is not None:
        return
    given = {
        "transfer.synthesis": recipe.transfer.synthesis,
        "teacher.library": recipe.teacher.library,
        "data.target": recipe.data.target,
    }
    for key, value in given.items():
        if value is not None:
            rule = "left out where the data are no table"
            raise must(key, "the recipe", rule, dataset.name, "Use a .csv or .parquet file, or a table such as letter")


def check_specialists(section: SpecialistsSection, names: Sequence[str]) -> None:
    """See that sets of classes can be as the recipe wants them.

    Raises:
        BadInput: Naming the key of the recipe.
    """
    classes = len(names)
    limits = {"clusters": classes, "set_size": classes - 1, "top": classes}
    for key, most in limits.items():
        value = getattr(section, key)
        if value is not None and value > most:
            rule = f"at most {most}, where the data have {classes} classes"
            raise must(f"teacher.specialists.{key}", "the recipe", rule, value, "Ask for fewer")
    for one in section.sets or ():
        for name in one:
            if name not in names:
                raise must("teacher.specialists.sets", "the recipe", "of the data's classes", name, near(name, names))
        if len(set(one)) < len(one) or len(one) >= classes:
            rule = "sets of some of the classes, not all, each named once"
            raise must("teacher.specialists.sets", "the recipe", rule, one, "Leave one out at least")
