"""How many points or bits each tensor gets, by how much the loss feels its weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from attar.errors import must
from attar.network.evaluating import evaluating
from attar.network.forward import forward
from attar.quantization.attach import formats
from attar.quantization.format import Format
from attar.quantization.formats.codebook import Codebook
from attar.quantization.formats.uniform import Uniform
from attar.quantization.quantize import quantize

MOST_BITS = 8
"""Bits that one tensor gets at most: beyond them a network does not tell the difference."""


def gradient_norms(
    student: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
    names: Sequence[str],
) -> dict[str, float]:
    """Euclidean length of the mean gradient of some tensors over some batches.

    Args:
        student: A float network; run in evaluation mode, and not changed.
        batches: Inputs ``[batch, ...]`` and labels ``[batch]``.
        loss: Outputs and labels to the mean loss.
        names: Which parameters, as ``named_parameters`` has them.

    Raises:
        BadInput: If there is no batch, or a gradient is not finite.

    References:
        Polino, Pascanu, Alistarh, *Model compression via distillation and quantization*, 2018: the code takes five
        batches and the cross-entropy with the labels.
    """
    known = dict(student.named_parameters())
    # A copy would do as well, but gradients need none: autograd.grad leaves .grad alone.
    chosen = [known[name] for name in names]
    wanted = [parameter.requires_grad for parameter in chosen]
    sums = [torch.zeros_like(parameter) for parameter in chosen]
    count = 0
    try:
        for parameter in chosen:
            parameter.requires_grad_(True)
        with evaluating(student), torch.enable_grad():
            for inputs, labels in batches:
                gradients = torch.autograd.grad(loss(forward(student, inputs), labels), chosen, allow_unused=True)
                for total, gradient in zip(sums, gradients, strict=True):
                    if gradient is not None:
                        total += gradient
                count += 1
    finally:
        for parameter, before in zip(chosen, wanted, strict=True):
            parameter.requires_grad_(before)
    if not count:
        raise must("batches", "gradient_norms", "at least one", 0, "Give some training examples")
    norms = {name: float(torch.linalg.vector_norm(total / count)) for name, total in zip(names, sums, strict=True)}
    for name, norm in norms.items():
        if not math.isfinite(norm):
            raise must(f"the gradient of {name!r}", "gradient_norms", "finite", norm, "Look at weights and inputs")
    return norms


def allocate(norms: Mapping[str, float], mean: int, least: int, most: int) -> dict[str, int]:
    """Whole numbers with a given mean: each gets ``least``, and the rest is shared out in proportion to the norms.

    The sum is exactly ``mean`` times their number. What a tensor cannot take, as it has ``most``, goes to the others;
    what is left of the fractions goes to the largest of them, the first of equals.

    Args:
        norms: Lengths of gradients, at least 0; equal shares if all are 0.
        mean: What each tensor gets on average.
        least: What each gets at least, at most the mean.
        most: What each gets at most, at least the mean.

    Raises:
        BadInput: If there is nothing to share out to, a norm is negative or not finite, or the limits do not fit.

    Example:
        >>> allocate({"a": 1.0, "b": 3.0}, mean=8, least=4, most=256)
        {'a': 6, 'b': 10}
    """
    if not norms:
        raise must("norms", "allocate", "at least one", {}, "Name the tensors")
    if not least <= mean <= most:
        raise must("mean", "allocate", f"from {least} to {most}", mean, "Widen the limits")
    for name, norm in norms.items():
        if not 0 <= norm < math.inf:
            raise must(f"norm of {name!r}", "allocate", "finite and at least 0", norm, "Look at the gradients")
    left = float(len(norms) * (mean - least))
    given = dict.fromkeys(norms, float(least))
    open_ = {name: norm for name, norm in norms.items()}
    while left > 1e-9 and open_:
        largest = max(open_.values())
        # Divided by the largest first: norms may be so small that their sum has no digits left.
        weights = {name: norm / largest if largest > 0 else 1.0 for name, norm in open_.items()}
        total = sum(weights.values())
        shares = {name: left * weight / total for name, weight in weights.items()}
        full = [name for name, share in shares.items() if given[name] + share > most]
        for name in full or list(open_):
            share = min(shares[name], most - given[name])
            given[name] += share
            left -= share
            if full:
                del open_[name]
        if not full:
            break
    numbers = {name: math.floor(value + 1e-9) for name, value in given.items()}
    rest = len(norms) * mean - sum(numbers.values())
    by_fraction = sorted(norms, key=lambda name: numbers[name] - given[name])
    room = [name for name in by_fraction if numbers[name] < most]
    for name in room[:rest]:
        numbers[name] += 1
    assert sum(numbers.values()) == len(norms) * mean, "limits on either side of the mean leave room"
    return numbers


def allocate_bits(
    student: nn.Module,
    form: Format,
    batches: Iterable[tuple[Tensor, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    skip: Sequence[str] = (),
    tensors: Literal["weights", "all"] = "weights",
) -> dict[str, Format]:
    """A format for each tensor, with more points or bits where the gradient is long.

    A codebook's points are its tensors' on average: each has half of them at least. Of a uniform format it is the bits,
    and each tensor has one less at least. Averages are over tensors, as published, and not over weights: a large
    tensor that gets more makes the file larger than equal shares do.

    Args:
        student: A float network, trained.
        form: `Codebook` or `Uniform`: what every tensor would get in equal shares.
        batches: Inputs and labels, training examples.
        loss: Outputs and labels to the mean loss.
        skip: As of `attar.quantization.quantize.quantize`.
        tensors: Likewise.

    Returns:
        What ``weights`` of `attar.quantization.quantize.quantize` takes.

    Raises:
        BadInput: If the format is of another kind, or its points are given.

    References:
        Polino, Pascanu, Alistarh, *Model compression via distillation and quantization*, 2018, section 4, and its code.
    """
    if not isinstance(form, Codebook | Uniform) or getattr(form, "points", None) is not None:
        rule = "a Codebook without given points, or Uniform"
        raise must("form", "allocate_bits", rule, form, "Leave the points out, or use equal shares")
    names = list(formats(quantize(student, weights=form, skip=skip, tensors=tensors)))
    norms = gradient_norms(student, batches, loss, names)
    if isinstance(form, Codebook):
        points = len(form.codes)
        numbers = allocate(norms, points, max(points // 2, 2), max(2**MOST_BITS, points))
        return {name: replace(form, levels=number) for name, number in numbers.items()}
    least = max(form.bits - 1, 1 if form.scaling == "linear" else 2)
    numbers = allocate(norms, form.bits, least, max(MOST_BITS, form.bits))
    return {name: replace(form, bits=number) for name, number in numbers.items()}
