"""What the numbers are that a model gives, and how they become logits."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from attar.errors import BadInput, must, near
from attar.network.forward import forward
from attar.network.output_kind import Kind
from attar.tasks.target import Target

Output = Literal["logits", "probabilities", "log_probabilities", "log_odds", "values"]
"""What a model may be said to give: scores before a softmax, probabilities, their logarithms, log-odds of labels of
which any may hold (or their sigmoids, which shows), or values."""

SMALLEST = 1e-7
"""Probabilities below this count as this: the logarithm of 0 is of no use to anybody."""

MASKED = 30.0
"""How far a logit of minus infinity is put below the largest of its row: its probability is 1e-13 then."""


def check_output(output: str | None, of: str) -> None:
    """Raise unless it is one of `Output`, or None.

    Raises:
        BadInput: If it is not.
    """
    if output is not None and output not in get_args(Output):
        raise must("output", of, "what the teacher gives", output, near(str(output), get_args(Output)))


def stated_output(target: Target, given: Output | None = None) -> Output | None:
    """What to say of the output of a model that is asked for the outputs of a task.

    Args:
        target: What these are. A model of classes may give logits in many forms; others have one.
        given: What is known of the form; None to find out.
    """
    return given if target == "logits" else target


def rows_of(numbers: Tensor, *, batch: int, classes: int | None, of: str) -> Float[Tensor, "batch width *size"]:
    """A model's output as ``[batch, width]``: width is ``classes``, or 1 where one logit stands for two classes.

    Maps, ``[batch, width, height, width]`` of more than one position, stay maps.

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
    fits = found.dim() in (2, 4) and found.shape[0] == batch
    if fits and (classes in (None, found.shape[1]) or (classes == 2 and found.shape[1] == 1)):
        return found
    if fits:
        raise BadInput(
            f"{of} gives {found.shape[1]} number{'s' if found.shape[1] > 1 else ''} for each "
            f"{'row' if found.dim() == 2 else 'position'}, and {classes} are "
            f"needed, one for each class. Use a teacher of these {classes} classes, or data of the teacher's."
        )
    wanted = f"[{batch}, {'classes' if classes is None else classes}]"
    raise BadInput(
        f"{of} gives an output of shape {list(numbers.shape)} for {batch} row{'s' if batch > 1 else ''}, where "
        f"{wanted} is needed: one row of logits for each row of inputs. Wrap it so that it returns these alone."
    )


def as_logits(
    numbers: Float32[Tensor, "batch width *size"], kind: Kind, classes: int
) -> Float32[Tensor, "batch classes *size"]:
    """Logits whose softmax is what the numbers say; values and log-odds come back as they are.

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
    if kind in ("values", "log_odds"):
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
        maps = numbers.dim() == 4 and numbers.shape[2:] != (1, 1)
        return as_logits(numbers if maps else numbers.reshape(inputs.shape[0], -1), self.kind, self.classes)
