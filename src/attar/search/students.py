"""Students for those who name none: in three sizes a network that suits the data, and how it is trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from attar.data.split import Dataset
from attar.data.views import Views
from attar.network.references import ARCHITECTURES
from attar.network.spec import Spec
from attar.search.default_training import default_training, default_views
from attar.search.image_stages import pooled_stages
from attar.search.input_statistics import input_statistics
from attar.search.kinds import DataKind, kind_of
from attar.tasks.gaze import Gaze
from attar.tasks.target import has_units
from attar.training.settings import Training

StudentSize = Literal["tiny", "small", "medium"]
SIZES: tuple[StudentSize, ...] = get_args(StudentSize)


@dataclass(frozen=True, kw_only=True)
class DefaultStudent:
    """What a size comes to with some data.

    Attributes:
        size: That was asked for.
        kind: Of the data.
        spec: The network, but for what its function takes of the data: columns, or vocabulary and length.
        training: How it is trained.
        views: How examples are varied in it.
    """

    size: StudentSize
    kind: DataKind
    spec: Spec
    training: Training
    views: Views

    def __str__(self) -> str:
        name = self.spec.reference.partition(":")[2]
        numbers = (f"{key} {value}" for key, value in self.spec.arguments.items() if isinstance(value, list))
        return (
            f"{self.size}, the default for {_WORDS[self.kind]}: {', '.join([name, *numbers])}; "
            f"{self.training.epochs} epochs with {self.training.optimizer}"
        )


def default_student(
    size: StudentSize, dataset: Dataset, examples: int | None = None, given: Mapping[str, Any] | None = None
) -> DefaultStudent:
    """The student of a size for a data set, which it needs no test data for.

    Args:
        size: Of the network.
        dataset: Whose kind, shapes and training inputs count.
        examples: How many are in the transfer set; those of the training split if left out.
        given: Settings of the training that stay as they are; the others go with them.

    Raises:
        BadInput: If there is none for such data, or settings do not go together.
    """
    kind = kind_of(dataset)
    count = len(dataset.train) if examples is None else examples
    training = default_training(kind, count, given)
    name, arguments = _NETWORKS[kind](SIZES.index(size), dataset)
    mean, std = input_statistics(kind, dataset) or (None, None)
    return DefaultStudent(
        size=size,
        kind=kind,
        spec=Spec(f"{ARCHITECTURES}:{name}", arguments, mean, std),
        training=training,
        views=default_views(kind, dataset, count, training.epochs),
    )


def _table(size: int, dataset: Dataset) -> tuple[str, dict[str, Any]]:
    return "tabular", {"hidden": list(_HIDDEN[size])}


def _vectors(size: int, dataset: Dataset) -> tuple[str, dict[str, Any]]:
    inputs = math.prod(dataset.train.inputs.shape[1:])
    return "mlp", {"inputs": inputs, "classes": dataset.task.shape[0], "hidden": list(_HIDDEN[size])}


def _images(size: int, dataset: Dataset) -> tuple[str, dict[str, Any]]:
    channels, height, width = dataset.train.inputs.shape[1:]
    strides, pools = pooled_stages(min(height, width))
    widths = [_FIRST_WIDTH[size] * 2 ** min(stage, 3) for stage in range(len(strides))]
    arguments = {"classes": dataset.task.shape[0], "channels": channels, "widths": widths}
    arguments |= {"strides": strides} if max(strides) > 1 else {}
    # Numbers may depend on where something is, which an average over the map forgets.
    arguments |= {"side": height} if has_units(dataset.task.target) and height == width else {}
    return "convnet", {**arguments, "pools": pools}


def _tokens(size: int, dataset: Dataset) -> tuple[str, dict[str, Any]]:
    if size == len(SIZES) - 1:
        return "token_encoder", {"width": 64, "heads": 4, "blocks": 2}
    return "token_mean", [{"width": 8, "hidden": 32, "window": 3}, {"width": 32, "hidden": 64, "window": 3}][size]


def _maps(size: int, dataset: Dataset) -> tuple[str, dict[str, Any]]:
    widths = [_FIRST_WIDTH[size]] * (size + 3)
    return "segmenter", {
        "classes": dataset.task.shape[0],
        "channels": dataset.train.inputs.shape[1],
        "widths": widths,
    }


def _gaze(size: int, dataset: Dataset) -> tuple[str, dict[str, Any]]:
    task = dataset.task
    assert isinstance(task, Gaze), "what the kind says"
    channels, height, width = dataset.train.inputs.shape[1:]
    stages = min(3, int(math.log2(min(height, width))))
    widths = [_FIRST_WIDTH[size] * 2**stage for stage in range(stages)]
    return "gaze_network", {"size": list(task.size), "channels": channels, "widths": widths}


_HIDDEN = ((32,), (64, 64), (256, 256))
"""Units of perceptrons, by size."""

_FIRST_WIDTH = (8, 16, 32)
"""Channels of the first convolution, by size."""

_NETWORKS: Mapping[DataKind, Callable[[int, Dataset], tuple[str, dict[str, Any]]]] = {
    "table": _table,
    "vectors": _vectors,
    "images": _images,
    "tokens": _tokens,
    "maps": _maps,
    "gaze": _gaze,
}

_WORDS: Mapping[DataKind, str] = {
    "table": "tables",
    "vectors": "rows of numbers",
    "images": "images",
    "tokens": "sequences of tokens",
    "maps": "maps of images",
    "gaze": "gaze",
}
