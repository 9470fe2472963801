"""Mean and standard deviation of inputs, by which networks of a data set standardize them."""

from __future__ import annotations

import math

import torch

from attar.data.split import Dataset
from attar.search.kinds import DataKind

_LOOKED_AT = 10_000
"""Training examples that are looked at, at most."""

_MOST_FEATURES = 4096
"""Features that have a mean of their own, at most; more of them have one together."""

_FAR = 10.0
"""Units from zero from which on, and down to a share of which, pixels are standardized."""


def input_statistics(kind: DataKind, dataset: Dataset) -> tuple[list[float], list[float]] | None:
    """Mean and standard deviation of the training inputs, per channel; None where inputs are taken as they come.

    A table is scaled by its network. Images go into batch normalization after the first layer, so that pixels are left
    alone unless they are in another unit altogether.
    """
    if kind in ("table", "tokens"):
        return None
    count = len(dataset.train)
    rows = dataset.train.floats(torch.arange(0, count, math.ceil(count / _LOOKED_AT))).double()
    channels = rows.transpose(0, 1).flatten(1)  # [channels, values]
    if len(channels) > _MOST_FEATURES:
        channels = channels.reshape(1, -1)
    mean, std = channels.mean(1), channels.std(1, correction=0)
    constant = std <= 1e-6 * (mean.abs() + 1)
    if kind != "vectors":
        usual = constant | ((mean.abs() <= _FAR) & (std >= 1 / _FAR) & (std <= _FAR))
        if bool(usual.all()):
            return None
    return _rounded(mean), _rounded(std.masked_fill(constant, 1.0))


def _rounded(values: torch.Tensor) -> list[float]:
    return [float(f"{value:.4g}") for value in values.tolist()]
