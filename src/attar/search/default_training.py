"""How a student is trained where nobody says: so that few examples get enough steps, and many do not take hours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from attar.data.split import Dataset
from attar.data.views import Views
from attar.pipeline.section import build
from attar.search.kinds import DataKind
from attar.training.settings import Training


@dataclass(frozen=True, kw_only=True)
class _Style:
    """How networks of a kind are trained, apart from for how long.

    Attributes:
        optimizer: Its name.
        learning_rate: Its peak value; of ``sgd`` with batches of 128 and more, and in proportion with smaller ones.
        weight_decay: As `Training` has it; of ``sgd`` a fifth of it where examples are many.
        steps: Of the optimizer, as far as epochs allow.
        epochs: At least and at most.
    """

    optimizer: Literal["sgd", "adam", "adamw"]
    learning_rate: float
    weight_decay: float
    steps: int
    epochs: tuple[int, int]


_PERCEPTRON = _Style(optimizer="adamw", learning_rate=0.005, weight_decay=0.01, steps=20_000, epochs=(5, 100))
_CONVOLUTIONAL = _Style(optimizer="sgd", learning_rate=0.1, weight_decay=5e-4, steps=7_500, epochs=(5, 60))
_PER_PIXEL = _Style(optimizer="adam", learning_rate=0.005, weight_decay=0.0, steps=3_000, epochs=(5, 40))
_TOKENS = _Style(optimizer="adamw", learning_rate=0.003, weight_decay=0.01, steps=3_000, epochs=(5, 40))

_STYLES: Mapping[DataKind, _Style] = {
    "table": _PERCEPTRON,
    "vectors": _PERCEPTRON,
    "images": _CONVOLUTIONAL,
    "tokens": _TOKENS,
    "maps": _PER_PIXEL,
    "gaze": _PER_PIXEL,
}

_BATCHES = ((2_000, 32), (20_000, 64), (200_000, 128))
"""Batch sizes for up to so many examples."""

_LARGEST_BATCH = 256

_FULL_RATE, _MANY = 128, 20_000
"""Batch size from which on steps of ``sgd`` are as long as they may be; examples from which on little decays."""

_LABELED = 300_000
"""Examples that a teacher labels, views counted, about at most, unless there are more without views."""

_MOST_VIEWS = 16

_OTHERWISE: Mapping[str, tuple[float, float]] = {"sgd": (0.1, 5e-4), "adam": (0.003, 0.0), "adamw": (0.003, 0.01)}
"""Learning rate and weight decay that suit an optimizer which somebody asks for."""


def default_training(kind: DataKind, examples: int, given: Mapping[str, Any] | None = None) -> Training:
    """How a student is trained on so many examples of a kind.

    Args:
        kind: Of the data.
        examples: In the transfer set.
        given: Settings that stay as they are; the others go with them.

    Raises:
        BadInput: If settings do not go together.
    """
    given, style = given or {}, _STYLES[kind]
    batch = given.get("batch_size", next((size for most, size in _BATCHES if examples <= most), _LARGEST_BATCH))
    fewest, most = style.epochs
    optimizer = given.get("optimizer", style.optimizer)
    own = optimizer == style.optimizer
    rate, decay = (style.learning_rate, style.weight_decay) if own else _OTHERWISE[optimizer]
    if optimizer == "sgd":
        rate *= min(1.0, batch / _FULL_RATE)
        decay *= 1.0 if examples <= _MANY else 0.2
    table = {
        "epochs": min(max(round(style.steps / math.ceil(examples / batch)), fewest), most),
        "batch_size": batch,
        "optimizer": optimizer,
        "learning_rate": rate,
        "weight_decay": decay,
        "schedule": "cosine" if given.get("warmup_epochs") else "one_cycle",  # which has a rise of its own
    }
    settings: Training = build(Training, table | dict(given))
    return settings


def default_views(kind: DataKind, dataset: Dataset, examples: int, epochs: int) -> Views:
    """How training examples are varied: images are moved by a few pixels, where that leaves their labels what they are.

    They are never mirrored: a mirrored letter is another letter. Where numbers are to be told, moves may change them.

    Args:
        kind: Of the data.
        dataset: Whose task and shape count.
        examples: In the transfer set.
        epochs: Of the training.
    """
    count = min(_MOST_VIEWS, _LABELED // examples, epochs)
    if kind not in ("images", "maps") or dataset.task.target == "values" or count < 2:
        return Views()
    side = min(dataset.train.inputs.shape[2:])
    return Views(count=count, shift=1 if side < 16 else 2 if side < 64 else 4)
