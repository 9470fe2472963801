"""What the numbers are that a model gives, and how they become logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from attar.errors import BadInput, must, near
from attar.network.forward import forward
from attar.network.standardize import Standardize

Output = Literal["logits", "probabilities", "log_probabilities", "values"]
"""What a model may be said to give: scores before a softmax, probabilities, their logarithms, or values."""

Kind = Literal["logits", "probabilities", "log_probabilities", "values", "sigmoids"]
"""What a model is found to give: as `Output`, and probabilities apart that a sigmoid made of each number alone."""

SMALLEST = 1e-7
"""Probabilities below this count as this: the logarithm of 0 is of no use to anybody."""

MASKED = 30.0
"""How far a logit of minus infinity is put below the largest of its row: its probability is 1e-13 then."""

_PROBES = 32
"""Rows of noise at each of two scales that a model is asked about where the rows at hand leave open what it gives."""


def check_output(output: str | None, of: str) -> None:
    """Raise unless it is one of `Output`, or None.

    Raises:
        BadInput: If it is not.
    """
    if output is not None and output not in get_args(Output):
        raise must("output", of, "what the teacher gives", output, near(str(output), get_args(Output)))


def rows_of(numbers: Tensor, *, batch: int, classes: int | None, of: str) -> Float[Tensor, "batch width"]:
    """A model's output as ``[batch, width]``: width is ``classes``, or 1 where one logit stands for two classes.

    An output without the axis of the batch where the batch is 1, without that of the classes where there is one number,
    or with axes of size 1 behind, has one added or taken away.

    Args:
        numbers: What the model gave.
        batch: How many rows went in.
        classes: How many classes it is to tell apart; None where that is not known.
        of: What errors call the model.

    Raises:
        BadInput: If it is anything else.
    """
    found = numbers
    while found.dim() > 2 and found.shape[-1] == 1:
        found = found.squeeze(-1)
    if found.dim() < 2 and found.numel() == batch:
        found = found.reshape(batch, 1)
    elif found.dim() == 1 and batch == 1:
        found = found.unsqueeze(0)
    fits = found.dim() == 2 and found.shape[0] == batch
    if fits and (classes in (None, found.shape[1]) or (classes == 2 and found.shape[1] == 1)):
        return found
    if fits:
        raise BadInput(
            f"{of} gives {found.shape[1]} number{'s' if found.shape[1] > 1 else ''} for each row, and {classes} are "
            f"needed, one for each class. Use a teacher of these {classes} classes, or data of the teacher's."
        )
    wanted = f"[{batch}, {'classes' if classes is None else classes}]"
    raise BadInput(
        f"{of} gives an output of shape {list(numbers.shape)} for {batch} row{'s' if batch > 1 else ''}, where "
        f"{wanted} is needed: one row of logits for each row of inputs. Wrap it so that it returns these alone."
    )


def as_logits(numbers: Float32[Tensor, "batch width"], kind: Kind, classes: int) -> Float32[Tensor, "batch classes"]:
    """Logits whose softmax is what the numbers say; values come back as they are.

    Args:
        numbers: What a model gave, one row for each of its inputs. Where there are two classes, its one number may be
            the logit or the probability of the second.
        kind: What they are.
        classes: How many classes there are.

    Example:
        >>> as_logits(torch.tensor([[0.25, 0.75]]), "probabilities", 2).softmax(1)
        tensor([[0.2500, 0.7500]])
        >>> as_logits(torch.tensor([[0.75]]), "sigmoids", 2).softmax(1)
        tensor([[0.2500, 0.7500]])
    """
    if kind == "values":
        return numbers
    if numbers.shape[1] == 1 and classes == 2:
        if kind == "logits":
            return torch.cat([torch.zeros_like(numbers), numbers], dim=1)
        second = numbers.exp() if kind == "log_probabilities" else numbers
        numbers, kind = torch.cat([1.0 - second, second], dim=1), "probabilities"
    if kind == "probabilities":
        least = numbers.clamp(SMALLEST, 1.0)
        return (least / least.sum(dim=1, keepdim=True)).log()
    if kind == "sigmoids":
        return torch.logit(numbers, eps=SMALLEST)
    masked = numbers == -torch.inf
    return torch.where(masked, numbers.amax(dim=1, keepdim=True) - MASKED, numbers)


def recognized(
    numbers: Float[Tensor, "rows width"], precision: torch.dtype = torch.float32, *, few: bool = False
) -> Kind:
    """What some rows look like; what looks like probabilities may still be logits that happen to.

    Rows with a NaN say nothing.

    Args:
        numbers: What a model gave.
        precision: The type that it computed in: how exactly probabilities can add up to 1.
        few: Whether rows that are all the same may be of a sigmoid; an untrained head that gives zeros has such too.
    """
    tolerance = {torch.float16: 5e-3, torch.bfloat16: 3e-2}.get(precision, 1e-4)
    rows = numbers.detach().double()
    rows = rows[~rows.isnan().any(dim=1)]
    if not rows.numel():
        return "logits"
    if bool((rows >= -tolerance).all()) and bool((rows <= 1 + tolerance).all()):
        if rows.shape[1] > 1 and bool(((rows.sum(dim=1) - 1).abs() <= tolerance).all()):
            return "probabilities"
        return "sigmoids" if few or bool((rows.amax(dim=0) - rows.amin(dim=0) > tolerance).any()) else "logits"
    logs = rows.shape[1] > 1 and bool((rows <= tolerance).all())
    return "log_probabilities" if logs and bool((rows.logsumexp(dim=1).abs() <= tolerance).all()) else "logits"


def found_kind(
    ask: Callable[[Tensor], Tensor], inputs: Tensor, numbers: Tensor, precision: torch.dtype = torch.float32
) -> Kind:
    """What a model gives, whatever rows happen to be at hand.

    Where the rows at hand look like anything but logits, the model is asked about noise in the place of its inputs, of
    their size and a hundred times as large: numbers that are probabilities there as well are so for every input.

    Args:
        ask: From inputs to the numbers of the model, ``[batch, width]``.
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
    wide = torch.cat([noise, noise.flip(0) * 100.0]) * spread + center
    # Inputs such as the numbers of words must be what they are: their places are exchanged instead.
    flat = inputs.detach().cpu().reshape(len(inputs), -1)
    source = torch.randint(len(flat), (_PROBES,), generator=generator)
    order = torch.rand(_PROBES, flat.shape[1], generator=generator).argsort(dim=1)
    shuffled = flat[source].gather(1, order).reshape(_PROBES, *inputs.shape[1:])
    for probe in (wide, shuffled):
        try:
            said = ask(probe.to(inputs.device, inputs.dtype))
        except Exception:  # whatever a model raises about inputs that it was never meant for
            continue
        if said.shape[1:] == numbers.shape[1:]:
            return kind if recognized(said, precision) == kind else "logits"
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


class AsLogits(nn.Module):
    """A network with what makes logits ``[batch, classes]`` float32 of its output, as one module.

    Attributes:
        network: The network.
    """

    def __init__(self, network: nn.Module, kind: Kind, classes: int) -> None:
        """Put a conversion behind a network.

        Args:
            network: Maps ``[batch, ...]`` to one number for each class, or to a structure that holds them.
            kind: What these are.
            classes: How many classes there are.
        """
        super().__init__()
        self.network = network
        self.kind: Kind = kind
        self.classes = classes

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits of ``[batch, ...]`` inputs."""
        numbers = forward(self.network, inputs)
        return as_logits(numbers.reshape(inputs.shape[0], -1), self.kind, self.classes)
