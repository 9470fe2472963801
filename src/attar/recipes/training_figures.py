"""How trainings went, what targets are stored, and examples with them, for the evidence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

import torch

from attar.data.datasets import Split
from attar.data.store import Fidelity
from attar.deployment.torch_runner import open_torch
from attar.network.scaled_outputs import center_and_scale
from attar.ops.top_k import full
from attar.pipeline.objective import known_labels
from attar.pipeline.trained import Trained
from attar.recipes.array_examples import of_fixations, of_labels, of_maps
from attar.recipes.context import Context
from attar.recipes.students import Trainings
from attar.tasks.metrics.metric import Metric, validation_figure

MOST_SIDE = 96
"""Pixels of an example's longer side that the evidence holds at most: more than the page shows."""

_MOST_EPOCHS = 400
"""Epochs of one training that the evidence holds at most; more than a chart can show."""


def curve(trained: Trained, chosen_by: Metric) -> list[dict[str, Any]]:
    """A training's history as the report draws it: of a long one evenly spread epochs, with the last."""
    step = math.ceil(len(trained.history) / _MOST_EPOCHS)
    entries = trained.history[::-1][::step][::-1]
    return [{**entry, **validation_figure(entry["score"], chosen_by)} for entry in entries]


def stored(context: Context, trainings: Trainings) -> dict[str, Any] | None:
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


def examples(context: Context, trainings: Trainings, most: int = 6) -> list[dict[str, Any]]:
    """Some training examples with their stored targets.

    Of classes, labels and maps those of which the teacher is least sure, one per class or label at most; of values
    those in which it is farthest from what is true; of densities of gaze those that are the least alike.
    """
    if trainings.prepared is None or trainings.targets is None or context.dataset.train.labels is None:
        return []
    train = trainings.prepared.examples.transfer
    train = context.dataset.train if train is None else train
    assert train.labels is not None, "a transfer set has labels where the training examples have"
    kind = train.task.label_kind
    if kind == "values":
        return _of_values(context, train, full(trainings.targets(None, torch.arange(len(train)), 0)), most)
    logits = full(trainings.targets(None, torch.arange(len(train)), 0))
    if kind == "labels":
        return of_labels(train, logits, context.recipe.temperature, most, lambda row: _seen(context, train, row))
    if kind == "fixations":
        student = _densities(context, trainings, train)
        return of_fixations(
            train, logits, student, _moving(context, train), most, lambda row: _seen(context, train, row)
        )
    if kind == "map":
        return of_maps(train, logits, _moving(context, train), most, lambda row: _seen(context, train, row))
    soft = (logits / context.recipe.temperature).softmax(-1)
    unsure = -(soft * soft.clamp_min(1e-12).log()).sum(-1)
    rows = []
    for label in range(len(train.classes)):
        of_class = (train.labels == label).nonzero()[:, 0]
        if len(of_class):
            rows.append(int(of_class[unsure[of_class].argmax()]))
    rows = sorted(rows, key=lambda row: -float(unsure[row]))[:most]
    return [
        {**_seen(context, train, row), "label": train.classes[int(train.labels[row])], "soft": soft[row].tolist()}
        for row in rows
    ]


def _of_values(context: Context, train: Split, targets: torch.Tensor, most: int) -> list[dict[str, Any]]:
    """Examples in which a teacher's values are farthest from the true ones, with both in words."""
    assert train.labels is not None, "seen to before"
    _, scale = center_and_scale(known_labels(context.dataset))
    apart = ((targets - train.labels) / scale).square().nan_to_num(0.0).mean(1)
    rows = apart.argsort(descending=True)[:most].tolist()
    words = train.task.label_in_words
    return [
        {**_seen(context, train, row), "label": words(train.labels[row]), "teacher": words(targets[row])}
        for row in rows
    ]


def _densities(context: Context, trainings: Trainings, train: Split) -> Callable[[list[int]], torch.Tensor]:
    """What the first student gives for some rows, as they are seen first: ``[rows, positions]`` logits."""
    views = context.recipe.transfer.views.views(context.recipe.seed)

    def densities(rows: list[int]) -> torch.Tensor:
        seen = views.of(train, torch.tensor(rows), 0)
        return torch.from_numpy(open_torch(trainings.students[0].network)(seen.numpy()))

    return densities


def _moving(context: Context, train: Split) -> Callable[[int], torch.Tensor]:
    """The true map of a row, moved as the example is where it is seen first."""
    views = context.recipe.transfer.views.views(context.recipe.seed)

    def moved(row: int) -> torch.Tensor:
        assert train.labels is not None, "seen to before"
        return views.of_maps(train.labels[[row]], train.ids[[row]], 0)[0]

    return moved


def _seen(context: Context, train: Split, row: int) -> dict[str, Any]:
    """An example as it is seen first."""
    if train.tokens is not None:
        return {
            "image": None,
            "values": [],
            "text": train.tokens.in_words(train.inputs[row].numpy()),
            "id": int(train.ids[row]),
        }
    views = context.recipe.transfer.views.views(context.recipe.seed)
    pixels = views.of(train, torch.tensor([row]), 0)[0]
    if train.named is not None and train.named.images == 1:
        place, shape = train.named.image("Figures")
        pixels = pixels[place].reshape(shape)
    image: list[Any] | None = None
    if pixels.dim() == 3 and pixels.shape[0] in (1, 3):
        if train.task.label_kind not in ("map", "fixations"):  # whose maps are as large as the image
            pixels = at_most(pixels, MOST_SIDE)
        image = (pixels[0] if pixels.shape[0] == 1 else pixels.permute(1, 2, 0)).tolist()
    return {
        "image": image,
        "values": None if image is not None else pixels.flatten()[:64].tolist(),
        "id": int(train.ids[row]),
    }


def at_most(image: torch.Tensor, side: int) -> torch.Tensor:
    """An image ``[channels, height, width]`` of at most so many pixels a side: a smaller one holds means of areas."""
    height, width = image.shape[1:]
    longer = max(height, width)
    if longer <= side:
        return image
    size = (max(1, height * side // longer), max(1, width * side // longer))
    return torch.nn.functional.adaptive_avg_pool2d(image, size)
