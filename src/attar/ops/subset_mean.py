"""The mean of the outputs of several models that know some of the classes each."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from attar.errors import must

_STEPS = 100
_TOLERANCE = 1e-10
_HALVINGS = 30
_LONGEST = 4.0


def mean_of_subsets(
    logits: Sequence[Float[Tensor, "batch _"]],
    sets: Sequence[Sequence[int]],
    classes: int,
    weights: Sequence[float | int] | None = None,
) -> Float[Tensor, "batch classes"]:
    r"""The q that minimizes :math:`\sum_m w_m KL(p^m \| q^m)` for each row, as log-probabilities.

    :math:`q^m` is q of the classes that member m knows, scaled to sum to 1. Where every member knows every class, it is
    the weighted arithmetic mean of their probabilities. It is convex in the logits of q, and has one minimum if any two
    classes are connected by members that share classes.

    The minimum has :math:`q_j = \sum_{m \ni j} w_m p^m_j / \sum_{m \ni j} u_m` with one number u for each member, so
    that these are what is searched for, by Newton's method with steps halved until the objective falls, in float64.
    Where members hardly give the classes that they share any probability, they hardly determine how much
    each side has together; it then stays near where the search began, with all u equal to the weights.

    Args:
        logits: Of each member, ``[batch, its classes]``.
        sets: The classes that each knows, in the order of its logits.
        classes: How many there are.
        weights: One positive number per member, on any scale; None counts all the same.

    Raises:
        BadInput: If sizes do not fit, ``weights`` breaks its rule, or the members leave a class out or fall apart into
            groups that share no class.

    Example:
        >>> left, right = torch.tensor([[0.8, 0.2]]).log(), torch.tensor([[0.5, 0.5]]).log()
        >>> mean_of_subsets([left, right], [(0, 1), (1, 2)], 3).exp()
        tensor([[0.6667, 0.1667, 0.1667]])

    References:
        Hunter, *MM algorithms for generalized Bradley-Terry models*, 2004 (the same likelihood, for rankings).
    """
    check_subsets(sets, classes)
    shares = _shares(weights, len(sets))
    if len(logits) != len(sets) or any(one.shape[1] != len(known) for one, known in zip(logits, sets, strict=False)):
        rule = f"of as many classes as they know, {[len(one) for one in sets]}"
        raise must("logits", "mean_of_subsets", rule, [list(one.shape) for one in logits], "Give one for each member")
    device, batch = logits[0].device, len(logits[0])
    member = torch.zeros(len(sets), classes, dtype=torch.float64, device=device)
    weighted = torch.full((len(sets), batch, classes), -torch.inf, dtype=torch.float64, device=device)
    for place, (one, known) in enumerate(zip(logits, sets, strict=True)):
        member[place, list(known)] = 1.0
        weighted[place][:, list(known)] = torch.log_softmax(one.double(), dim=1) + math.log(shares[place])
    log_mass = weighted.logsumexp(0)
    if bool((member == 1).all()):
        return torch.log_softmax(log_mass, dim=1).float()
    weight = torch.tensor(shares, dtype=torch.float64, device=device)
    mass = log_mass.exp()
    log_u = weight.log().expand(batch, -1).clone()

    def objective(a: Tensor) -> Tensor:
        return (mass * (a.exp() @ member).log()).sum(1) - (weight * a).sum(1)

    value = objective(log_u)
    for _ in range(_STEPS):
        u = log_u.exp()
        ratio = mass / (u @ member)
        gradient = u * (ratio @ member.T) - weight
        if float(gradient.abs().max()) <= _TOLERANCE:
            break
        curvature = -torch.einsum("bm,bn,bj,mj,nj->bmn", u, u, ratio / (u @ member), member, member)
        curvature += torch.diag_embed(gradient + weight)
        # A common factor of all u changes nothing; this keeps it where it is.
        curvature += weight[:, None] * weight
        ridge = 1e-14 * torch.eye(len(sets), dtype=torch.float64, device=device)
        step = torch.linalg.solve(curvature + ridge, gradient)
        step = step * (_LONGEST / step.abs().amax(1, keepdim=True).clamp_min(_LONGEST))
        length = torch.ones(batch, 1, dtype=torch.float64, device=device)
        for _ in range(_HALVINGS):
            tried = log_u - length * step
            its = objective(tried)
            worse = its > value
            if not bool(worse.any()):
                break
            length = torch.where(worse[:, None], length / 2, length)
        log_u = torch.where(worse[:, None], log_u, tried)
        moved = value - torch.where(worse, value, its)
        value = torch.where(worse, value, its)
        if float(moved.max()) <= 0:
            break
    return torch.log_softmax(log_mass - (log_u.exp() @ member).log(), dim=1).float()


def check_subsets(sets: Sequence[Sequence[int]], classes: int, names: Sequence[str] | None = None) -> None:
    """See that members who know some classes each cover all, and that shared classes connect them.

    Args:
        sets: The classes that each knows.
        classes: How many there are.
        names: What to call the classes in an error.

    Raises:
        BadInput: If not, naming the classes.
    """
    called = [str(number) for number in range(classes)] if names is None else list(names)
    covered = set().union(*sets)
    if covered and not (min(covered) >= 0 and max(covered) < classes):
        raise must("sets", "the members", f"of class numbers below {classes}", sorted(covered), "Name the data's")
    if missing := [called[number] for number in range(classes) if number not in covered]:
        raise must("members", "Ensemble", "such that each class is known to one", missing, "Add a member that knows it")
    groups: list[set[int]] = []
    for one in map(set, sets):
        touching = [group for group in groups if group & one]
        groups = [group for group in groups if not group & one] + [one.union(*touching)]
    if len(groups) > 1:
        got = [[called[number] for number in sorted(group)] for group in groups]
        rule = "connected by classes that they share, for without these nothing determines how likely one group is"
        raise must("members", "Ensemble", rule, got, "Add a member that knows classes of both")


def _shares(weights: Sequence[float | int] | None, members: int) -> list[float]:
    given = [1.0] * members if weights is None else [float(one) for one in weights]
    if len(given) != members or not all(math.isfinite(one) and one > 0 for one in given):
        rule = f"one positive number for each of the {members} members"
        raise must("weights", "mean_of_subsets", rule, weights, "Leave a member out rather than give it the weight 0")
    return [one / math.fsum(given) for one in given]
