"""A network and data of your own, as own_model.toml names them: functions of a module that Python can import."""

from collections.abc import Sequence

import numpy as np
from torch import nn


def network(hidden: Sequence[int]) -> nn.Module:
    """Any torch module that maps inputs ``[batch, ...]`` to logits ``[batch, classes]``."""
    widths = [3, *hidden]
    layers = [layer for i, o in zip(widths, hidden, strict=False) for layer in (nn.Linear(i, o), nn.GELU())]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 2))


def data() -> dict[str, object]:
    """Points of space, near the origin or far from it; Attar carves validation and test off."""
    x = np.random.default_rng(0).normal(size=(2000, 3)).astype("float32")
    return {"x": x, "y": (np.linalg.norm(x, axis=1) > 1.5).astype("int64"), "classes": ["near", "far"]}
