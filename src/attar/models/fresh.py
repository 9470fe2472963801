"""Untrained models: first weights from a seed, and values that come out in their units."""

from __future__ import annotations

import torch
from torch import Tensor

from attar.models.model import Model
from attar.network.defaults import with_library_defaults
from attar.network.scaled_outputs import ScaleOutputs, scaled_to
from attar.network.spec import Spec


@with_library_defaults
def fresh(spec: Spec, seed: int, values: Tensor | None = None) -> Model:
    """An untrained model, its first weights drawn from a seed; the caller's random state stays as it is.

    Args:
        spec: How the network is built.
        seed: Another seed, other weights.
        values: ``[n, outputs]``, NaN where not known: those that a regression is to learn, by whose mean and standard
            deviation it scales its outputs. None for classes.

    Example:
        >>> spec = Spec("attar.network.architectures:mlp", {"inputs": 2, "classes": 1})
        >>> model = fresh(spec, 0, values=torch.tensor([[10.0], [30.0]]))
        >>> model.module.center, model.spec.edits
        (tensor([20.]), (ScaleOutputs(outputs=1),))
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = spec.build()
    if values is None:
        return Model(network, spec)
    return Model(scaled_to(network, values), spec.with_edit(ScaleOutputs(values.shape[1])))
