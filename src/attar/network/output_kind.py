"""What the numbers are that a network gives: logits, or probabilities already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attar.network.standardize import Standardize

Kind = Literal["logits", "probabilities", "log_probabilities", "values", "sigmoids", "log_odds"]
"""What a model is found to give: sigmoids are probabilities that were made of each number alone, log-odds what they
were made of."""

TOLERANCES = {torch.float16: 5e-3, torch.bfloat16: 3e-2}
"""How far the sum of probabilities in coarse numbers may be from 1."""

_ENOUGH = 8
"""Rows from which on it is no accident that all add up to the same."""

_PROBES = 32
"""Rows of noise at each of two scales that a model is asked about where the rows at hand leave open what it gives."""


def recognized(
    numbers: Float[Tensor, "rows width *size"], precision: torch.dtype = torch.float32, *, few: bool = False
) -> Kind:
    """What some rows look like; what looks like probabilities may still be logits that happen to.

    Rows with a NaN say nothing.

    Args:
        numbers: What a model gave; of maps each position is a row.
        precision: The type that it computed in: how exactly probabilities can add up to 1.
        few: Whether rows that are all the same may be of a sigmoid; an untrained head that gives zeros has such too.
    """
    tolerance = TOLERANCES.get(precision, 1e-4)
    rows = numbers.detach().double().movedim(1, -1).flatten(0, -2)
    rows = rows[~rows.isnan().any(dim=1)]
    if not rows.numel():
        return "logits"
    if bool((rows >= -tolerance).all()) and bool((rows <= 1 + tolerance).all()):
        if rows.shape[1] > 1 and bool(((rows.sum(dim=1) - 1).abs() <= tolerance).all()):
            return "probabilities"
        return "sigmoids" if few or bool((rows.amax(dim=0) - rows.amin(dim=0) > tolerance).any()) else "logits"
    logs = rows.shape[1] > 1 and bool((rows <= tolerance).all())
    return "log_probabilities" if logs and bool((rows.logsumexp(dim=1).abs() <= tolerance).all()) else "logits"


def constant_total(numbers: Float[Tensor, "rows width *size"]) -> float | None:
    """What each row adds up to, where none has a number below 0 and all add up to the same; None otherwise.

    Such rows are probabilities in other units: percentages add up to 100. Fewer than eight rows may do so by chance,
    and rows that are all alike say nothing.

    Args:
        numbers: What a model gave; of maps each position is a row.

    Example:
        >>> constant_total(torch.tensor([[25.0, 75.0], [50.0, 50.0]]).repeat(4, 1))
        100.0
    """
    rows = numbers.detach().double().movedim(1, -1).flatten(0, -2)
    if len(rows) < _ENOUGH or rows.shape[1] < 2 or not bool((rows >= 0).all()):
        return None
    if bool((rows == rows[:1]).all()):
        return None
    sums = rows.sum(dim=1)
    total = float(sums.mean())
    apart = float((sums - total).abs().max())
    # Coarser than the numbers are: a total of 100.00001 is meant to be 100.
    return float(f"{total:.4g}") if 0 < total < float("inf") and apart <= 1e-4 * total else None


def found_kind(
    ask: Callable[[Tensor], Tensor], inputs: Tensor, numbers: Tensor, precision: torch.dtype = torch.float32
) -> Kind:
    """What a model gives, whatever rows happen to be at hand.

    Where the rows at hand look like anything but logits, the model is asked about noise in the place of its inputs, of
    their size and a hundred times as large: numbers that are probabilities there as well are so for every input.

    Args:
        ask: From inputs to the numbers of the model, ``[batch, width]``, or maps of them.
        inputs: ``[batch, ...]``, at least one row.
        numbers: What it gave for these.
        precision: As in `recognized`.
    """
    kind = recognized(numbers, precision, few=True)
    if kind == "logits":
        return kind
    generator = torch.Generator().manual_seed(0)
    finite = inputs[inputs.isfinite()].double()
    center, spread = (float(finite.mean()), float(finite.std(correction=0)) or 1.0) if finite.numel() else (0.0, 1.0)
    noise = torch.randn(_PROBES, *inputs.shape[1:], generator=generator)
    random = torch.cat([noise, noise.flip(0) * 100.0]) * spread + center
    # Inputs such as the numbers of words must be what they are: their places are exchanged instead.
    flat = inputs.detach().cpu().reshape(len(inputs), -1)
    source = torch.randint(len(flat), (_PROBES,), generator=generator)
    order = torch.rand(_PROBES, flat.shape[1], generator=generator).argsort(dim=1)
    shuffled = flat[source].gather(1, order).reshape(_PROBES, *inputs.shape[1:])
    for probe in (random, shuffled):
        try:
            outputs = ask(probe.to(inputs.device, inputs.dtype))
        except Exception:  # whatever a model raises about inputs that it was never meant for
            continue
        if outputs.shape[1:] == numbers.shape[1:]:
            return kind if recognized(outputs, precision) == kind else "logits"
    return recognized(numbers, precision)


def last_layer(module: nn.Module) -> Kind | None:
    """What a network gives by the layer that it ends in; None where its modules do not say."""
    while True:
        inner = module.network if isinstance(module, Standardize) else module
        if isinstance(inner, nn.Sequential):
            behind = [layer for layer in inner if not isinstance(layer, nn.Identity | nn.Dropout | nn.Flatten)]
            if not behind:
                return None
            inner = behind[-1]
        if inner is module:
            break
        module = inner
    if isinstance(module, nn.Softmax) and module.dim in (1, -1, None):
        return "probabilities"
    if isinstance(module, nn.LogSoftmax) and module.dim in (1, -1, None):
        return "log_probabilities"
    if isinstance(module, nn.Sigmoid):
        return "sigmoids"
    return None
