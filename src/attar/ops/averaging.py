"""The outputs of several models, averaged: from the members' logits to the logits of the ensemble.

Written so that ``torch.export`` can follow them: weights are plain numbers, known before the tensors are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from attar.errors import must


def mean_of_probabilities(
    logits: Float[Tensor, "members *batch classes"], weights: Sequence[float | int] | None = None
) -> Float[Tensor, "*batch classes"]:
    r"""Log of the weighted arithmetic mean of the members' probabilities.

    :math:`\log \sum_m w_m \, \mathrm{softmax}(z_m)` with the weights scaled to sum to 1. The result is a
    log-probability, so its softmax is the mean itself. Worked out in the log domain: finite for every finite logit.

    Args:
        logits: Unnormalized scores of every member.
        weights: One positive number per member, on any scale; None counts all the same.

    Raises:
        BadInput: If there are no members, or ``weights`` breaks its rule.

    Example:
        >>> members = torch.tensor([[[0.9, 0.1]], [[0.5, 0.5]]]).log()
        >>> mean_of_probabilities(members).exp()
        tensor([[0.7000, 0.3000]])

    References:
        Dietterich, *Ensemble Methods in Machine Learning*, 2000. Caruana, Niculescu-Mizil, Crew, Ksikes, *Ensemble
        Selection from Libraries of Models*, 2004, section 2. Bucila, Caruana, Niculescu-Mizil, *Model Compression*,
        2006.
    """
    shares = _column([math.log(share) for share in _shares(logits, weights, "mean_of_probabilities")], logits)
    return torch.logsumexp(torch.log_softmax(logits, dim=-1) + shares, dim=0)


def mean_of_logits(
    logits: Float[Tensor, "members *batch classes"], weights: Sequence[float | int] | None = None
) -> Float[Tensor, "*batch classes"]:
    r"""Weighted arithmetic mean of the members' logits, :math:`\sum_m w_m z_m` with the weights scaled to sum to 1.

    Args:
        logits: Unnormalized scores of every member.
        weights: One positive number per member, on any scale; None counts all the same.

    Raises:
        BadInput: If there are no members, or ``weights`` breaks its rule.

    Example:
        >>> mean_of_logits(torch.tensor([[[2.0, 0.0]], [[0.0, 4.0]]]), weights=[3, 1])
        tensor([[1.5000, 1.0000]])

    References:
        Ba, Caruana, *Do Deep Nets Really Need to be Deep?*, 2014, section 2.1. arXiv:1312.6184
    """
    return (logits * _column(_shares(logits, weights, "mean_of_logits"), logits)).sum(dim=0)


def geometric_mean(
    logits: Float[Tensor, "members *batch classes"], weights: Sequence[float | int] | None = None
) -> Float[Tensor, "*batch classes"]:
    r"""Log of the normalized weighted geometric mean of the members' probabilities.

    :math:`\log(\prod_m p_m^{w_m} / Z)` with the weights scaled to sum to 1. It differs from `mean_of_logits` by one
    number per example, so both have the same softmax at every temperature; a loss on the logits themselves tells them
    apart, because here no member weighs more for having a larger constant added to its logits.

    Args:
        logits: Unnormalized scores of every member.
        weights: One positive number per member, on any scale; None counts all the same.

    Raises:
        BadInput: If there are no members, or ``weights`` breaks its rule.

    Example:
        >>> members = torch.tensor([[[0.9, 0.1]], [[0.5, 0.5]]]).log()
        >>> geometric_mean(members).exp()
        tensor([[0.7500, 0.2500]])

    References:
        Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, 2015, section 2. arXiv:1503.02531
    """
    shares = _column(_shares(logits, weights, "geometric_mean"), logits)
    return torch.log_softmax((torch.log_softmax(logits, dim=-1) * shares).sum(dim=0), dim=-1)


def mean_of_sigmoids(
    logits: Float[Tensor, "members *batch labels"], weights: Sequence[float | int] | None = None
) -> Float[Tensor, "*batch labels"]:
    r"""Log-odds of the weighted arithmetic mean of the members' probabilities, each the sigmoid of its logit.

    :math:`\log \bar p - \log (1 - \bar p)` with :math:`\bar p = \sum_m w_m \, \sigma(z_m)`. Worked out in the log
    domain: finite for every finite logit.

    Args:
        logits: Log-odds of every member.
        weights: One positive number per member, on any scale; None counts all the same.

    Raises:
        BadInput: If there are no members, or ``weights`` breaks its rule.

    Example:
        >>> mean_of_sigmoids(torch.tensor([[[0.9]], [[0.5]]]).logit()).sigmoid()
        tensor([[0.7000]])
    """
    shares = _column([math.log(share) for share in _shares(logits, weights, "mean_of_sigmoids")], logits)
    yes, no = (torch.nn.functional.logsigmoid(one) + shares for one in (logits, -logits))
    return torch.logsumexp(yes, dim=0) - torch.logsumexp(no, dim=0)


def _shares(logits: Tensor, weights: Sequence[float | int] | None, caller: str) -> list[float]:
    """The weights scaled to sum to 1."""
    members = logits.shape[0]
    if members < 1:
        raise must(
            "logits", caller, "of at least one member", list(logits.shape), "Give the logits of one member or more"
        )
    weights = [1.0] * members if weights is None else list(weights)
    if len(weights) != members:
        raise must(
            "weights", caller, f"one number for each of the {members} members", weights, "Give as many as members"
        )
    if not all(math.isfinite(weight) and weight > 0 for weight in weights):
        raise must(
            "weights", caller, "positive and finite", weights, "Leave a member out rather than give it the weight 0"
        )
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def _column(numbers: list[float], logits: Tensor) -> Tensor:
    """The numbers as a tensor that scales or shifts whole members."""
    return torch.tensor(numbers, dtype=logits.dtype, device=logits.device).reshape(-1, *[1] * (logits.dim() - 1))
