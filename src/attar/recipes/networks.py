"""Networks as a recipe describes them, and teachers, asked about a few examples before anything else."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor, nn

from attar.data.datasets import Dataset
from attar.errors import BadInput
from attar.models.fresh import fresh as fresh_model
from attar.models.model import Model
from attar.network.forward import forward
from attar.network.references import located, summary
from attar.network.scaled_outputs import ScaledOutputs, ScaleOutputs
from attar.network.spec import Spec
from attar.network.unpacked import UnpackInputs
from attar.pipeline.data_arguments import data_arguments
from attar.pipeline.objective import known_labels
from attar.recipes.schema.network import NetworkSection
from attar.tasks.target import has_units
from attar.tasks.task import OfClasses
from attar.teachers.teacher import Teacher, ask

log = logging.getLogger(__name__)

_ASKED = 4
"""Examples on which a network is tried."""


def fitted_to(section: NetworkSection, dataset: Dataset) -> NetworkSection:
    """The network for a data set: the columns of a table, or the tokens of sequences, go to one that takes them.

    As ``outputs`` it gets the classes. Where the data have several named inputs, it takes them by their names.
    """
    found = data_arguments(section.use, dataset, section.arguments)
    if dataset.named is not None:
        unpack = UnpackInputs(dataset.named).to_json()
        rest = [edit for edit in section.edits or [] if edit != unpack]
        return section.model_copy(update={"edits": [unpack, *rest]})
    return section.model_copy(update={"arguments": {**found, **section.arguments}}) if found else section


def unfitted(section: NetworkSection, dataset: Dataset) -> NetworkSection:
    """The network without what `fitted_to` adds: a recipe says what the data do not, and its file has no nulls."""
    found = data_arguments(section.use, dataset, section.arguments)
    rest = {key: value for key, value in section.arguments.items() if key not in found or value != found[key]}
    return section.model_copy(update={"arguments": rest})


def network_of(section: NetworkSection, seed: int) -> nn.Module:
    """A fresh network, its first weights drawn from the seed; raw inputs go in."""
    return fresh_model(section.spec(), seed).module


def spec_of(section: NetworkSection, dataset: Dataset) -> Spec:
    """How a network is built that is trained here: values, which it learns standardized, come out in their units."""
    spec = section.spec()
    return spec.with_edit(ScaleOutputs(dataset.task.shape[0])) if has_units(dataset.task.target) else spec


def fresh(section: NetworkSection, seed: int, dataset: Dataset) -> Model:
    """An untrained model of a recipe's network, its first weights drawn from the seed."""
    return fresh_model(section.spec(), seed, known_labels(dataset) if has_units(dataset.task.target) else None)


def check_network(network: nn.Module, key: str, dataset: Dataset) -> None:
    """See that one network takes the data's inputs, and gives one finite number for each class or value of the data.

    Raises:
        BadInput: Naming the key of the recipe.
    """
    for name, layer in network.named_modules():
        if isinstance(layer, nn.modules.dropout._DropoutNd) and layer.p >= 1:
            raise BadInput(f"{key} of the recipe: dropout {name} drops everything (p = {layer.p}). Use less than 1.")
    network.eval()
    # What stands before a scale says itself what is wrong with its outputs, but not in the words of a recipe.
    inner = network.network if isinstance(network, ScaledOutputs) else network

    def predict(examples: Tensor) -> Tensor:
        with torch.no_grad():
            return forward(inner, examples, of=f"{key} of the recipe")

    _check_answers(predict, key, dataset, "its arguments")


def check_teacher(teacher: Teacher, dataset: Dataset) -> None:
    """See that a teacher answers a few of the examples with one finite number for each class or value.

    Raises:
        BadInput: If it does not.
    """
    _check_answers(lambda examples: ask(teacher, examples), "teacher", dataset, "the teacher")


def _check_answers(predict: Callable[[Tensor], Tensor], key: str, dataset: Dataset, change: str) -> None:
    """Ask about a few examples.

    Args:
        predict: Whom to ask.
        key: Of the recipe.
        dataset: Whose examples and classes count.
        change: What the user can change besides the data.
    """
    examples, task = dataset.train.floats(slice(0, _ASKED)), dataset.task
    shape = tuple(examples.shape[1:])
    try:
        output = predict(examples)
    except BadInput:
        raise
    except (Exception, SystemExit) as error:
        log.error("%s failed on the data", key, exc_info=error)
        raise BadInput(
            f"{key} of the recipe must answer inputs of shape {shape}; it raised {summary(error)}{located(error)}. "
            f"Change {change}, or the data."
        ) from error
    if tuple(output.shape) != (len(examples), *task.shape):
        if len(task.shape) > 1:
            raise BadInput(
                f"{key} of the recipe gives an output of shape {tuple(output.shape)} for {len(examples)} examples of "
                f"the data; it must give {(len(examples), *task.shape)}, as the labels are {task}. Change {change}, or "
                "the data."
            )
        rows, classes = output.dim() == 2 and len(output) == len(examples), task.shape[0]
        of_classes = isinstance(dataset.task, OfClasses)
        what, have, change_data = ("logits", "classes", "data.classes") if of_classes else (
            "values", "values to predict", "data.target"
        )  # fmt: skip
        if classes == 1:
            have, each = have.replace("values", "value"), what.removesuffix("s")
        else:
            each = what
        got = (
            f"{output.shape[1]} {what if output.shape[1] != 1 else what.removesuffix('s')}"
            if rows
            else (f"an output of shape {tuple(output.shape)}")
        )
        raise BadInput(
            f"{key} of the recipe gives {got} for {len(examples)} examples of the data, which have {classes} {have}; "
            f"it must give {classes} {each} for each. Change {change}, or {change_data}."
        )
    if not bool(output.isfinite().all()):
        what = "NaN" if bool(output.isnan().any()) else "infinite numbers"
        raise BadInput(
            f"{key} of the recipe gives {what} for examples of the data. Scale the inputs as it expects them, or "
            "correct its weights."
        )
