"""How much of a teacher's outputs the store holds, and how soft they are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float32
from torch import Tensor

from attar.errors import must
from attar.ops.maps import classes_last
from attar.ops.top_k import TopK, full
from attar.tasks.target import Target


@dataclass(frozen=True, slots=True)
class Fidelity:
    """What storing lost of some targets, and how soft they were, at one temperature.

    Attributes:
        temperature: The softening T of all other figures, greater than 0.
        kl_mean: KL(teacher's outputs || stored targets), in nats, mean over examples and views.
        kl_largest: The largest of them.
        top_probability: The teacher's largest probability, mean over examples and views; near 1, its targets are hardly
            more than labels.
        entropy: Entropy of the teacher's distribution in nats, mean over examples and views.
    """

    temperature: float
    kl_mean: float
    kl_largest: float
    top_probability: float
    entropy: float

    @classmethod
    def over(cls, shards: Sequence[tuple[int, Fidelity]]) -> Fidelity:
        """That of several shards together, given with their numbers of examples; all at one temperature."""
        rows = sum(count for count, _ in shards)

        def mean(numbers: Iterable[float]) -> float:
            return math.fsum(count * number for (count, _), number in zip(shards, numbers, strict=True)) / rows

        return cls(
            temperature=shards[0][1].temperature,
            kl_mean=mean(one.kl_mean for _, one in shards),
            kl_largest=max(one.kl_largest for _, one in shards),
            top_probability=mean(one.top_probability for _, one in shards),
            entropy=mean(one.entropy for _, one in shards),
        )


def temperatures(requested: float | int, of: str) -> tuple[float, ...]:
    """The temperatures to measure at: 1, and the one that is asked for.

    Raises:
        BadInput: If it is not finite and greater than 0.
    """
    if not 0 < requested < math.inf:
        remedy = "Use that of the loss, or leave it out"
        raise must("temperature", of, "finite and greater than 0", requested, remedy)
    return tuple(sorted({1.0, float(requested)}))


def measure(
    outputs: Float32[Tensor, "batch classes *size"],
    stored: Tensor | TopK,
    temperatures: Sequence[float],
    target: Target = "logits",
) -> list[Fidelity]:
    """Hold what comes out of the store against what went in, in float64: a KL is small against its terms.

    Each position of a map has a distribution, and of log-odds each label: of yes and no.

    Args:
        outputs: The teacher's outputs, one row or more.
        stored: The same, as it comes back.
        temperatures: One figure for each.
        target: What they are; no values, which have no distribution.
    """
    given, back = (distributions(one.double(), target) for one in (outputs, full(stored)))
    found = []
    for temperature in temperatures:
        log_p, log_q = (
            torch.log_softmax(given / temperature, dim=1),
            torch.log_softmax(back / temperature, dim=1),
        )
        p = log_p.exp()
        kl = (p * (log_p - log_q)).sum(dim=1).clamp_min(0.0)
        found.append(
            Fidelity(
                temperature=temperature,
                kl_mean=float(kl.mean()),
                kl_largest=float(kl.max()),
                top_probability=float(p.amax(dim=1).mean()),
                entropy=float(-(p * log_p).sum(dim=1).mean()),
            )
        )
    return found


def distributions(outputs: Tensor, target: Target) -> Tensor:
    """Logits ``[distributions, classes]`` of all that outputs say: of yes and no where these are log-odds.

    Args:
        outputs: ``[batch, classes]``, or maps ``[batch, classes, height, width]``.
        target: What they are.
    """
    if target == "log_odds":
        return torch.stack([torch.zeros_like(outputs), outputs], dim=-1).flatten(0, -2)
    return classes_last(outputs).flatten(0, -2)
