"""The distribution over all classes that fits a generalist and some specialists best, found for many rows at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attar.errors import must, near

Parametrization = Literal["probabilities", "logits"]
"""What is moved while the minimum is searched for."""

_CHUNK = 1 << 19
"""Numbers of rows times classes that are worked on at once: more would leave the caches of a CPU."""

_LOWEST = -690.0
"""Log of the smallest probability that is followed; float64 ends at -745."""


@dataclass(frozen=True, eq=False)
class Inferred:
    """The result of `kl_inference`.

    Attributes:
        logits: ``[batch, classes]`` float32, log-probabilities.
        steps: ``[batch]``, how many steps each row took; 0 where no specialist was asked.
        residual: ``[batch]``, the largest component of the gradient with respect to the logits, where the search ended;
            in ``probabilities``, for a row that was done before the last of the allowed steps, ahead of its own last
            step, which is what the tolerance is held against.
    """

    logits: Float[Tensor, "batch classes"]
    steps: Int[Tensor, " batch"]
    residual: Float[Tensor, " batch"]


@dataclass(frozen=True, eq=False)
class SpecialistLogits:
    """The logits of one specialist for the rows that were routed to it.

    Attributes:
        specialist: Its number among the specialists.
        classes: ``[special]``, numbers of the classes that it tells apart, each once.
        rows: ``[asked]``, positions of the rows in the batch, each once.
        logits: ``[asked, special + 1]``, of these classes in this order, and last of all others together.
    """

    specialist: int
    classes: Int[Tensor, " special"]
    rows: Int[Tensor, " asked"]
    logits: Float[Tensor, "asked outputs"]


def kl_inference(
    generalist: Float[Tensor, "batch classes"],
    specialists: Sequence[SpecialistLogits],
    *,
    parametrization: Parametrization = "probabilities",
    max_steps: int = 200,
    tolerance: float = 1e-6,
) -> Inferred:
    r"""The q that minimizes :math:`KL(p^g \| q) + \sum_m KL(p^m \| q^m)` for each row, as log-probabilities.

    :math:`q^m` is q with all the classes that specialist m does not know summed into one. The sum is over those that
    were asked about the row; a row for which none was keeps the generalist's distribution. The objective is convex in q
    and falls in every step. Its gradient with respect to the logits of q is, for each specialist, :math:`q_j - p_j` for
    the classes that it knows and :math:`q_j - p_{rest} q_j / q_{rest}` for the others.

    - ``probabilities``: q becomes the mean of the distributions that generalist and specialists would have, were each
      to share its rest out as q does. That is the gradient step of length 1/(1 + specialists) in q; it is also
      expectation maximization, so that it needs no step length. One step is enough where one specialist was asked.
    - ``logits``: gradient descent on the logits of q, as in the paper. Each component of the gradient is divided by the
      larger of the probability that the class has and the one that it is drawn to, without which unlikely classes
      hardly move; the step length of a row grows by half after a step that lowered the objective, and is halved, the
      step undone, after one that would have raised it.

    Computed in float64; no sum in it takes a difference, so that small probabilities are exact too.

    Args:
        generalist: Logits.
        specialists: The outputs of the specialists, each for the rows that were routed to it.
        parametrization: What is moved. Both come to the same q.
        max_steps: Steps of a row at most.
        tolerance: Largest component of the gradient at which a row is done.

    Raises:
        BadInput: If the output of a specialist does not fit the generalist, or a setting breaks its rule.

    Example:
        >>> generalist = torch.tensor([[0.5, 0.3, 0.2]]).log()
        >>> sure = SpecialistLogits(0, torch.tensor([0, 1]), torch.tensor([0]), torch.tensor([[0.1, 0.7, 0.2]]).log())
        >>> kl_inference(generalist, [sure]).logits.exp()
        tensor([[0.3000, 0.5000, 0.2000]])

    References:
        Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, 2015, section 5.4, equation 5.
        arXiv:1503.02531
    """
    if parametrization not in get_args(Parametrization):
        rule = f"one of {', '.join(map(repr, get_args(Parametrization)))}"
        raise must(
            "parametrization",
            "kl_inference",
            rule,
            parametrization,
            near(str(parametrization), get_args(Parametrization)),
        )
    if max_steps < 1:
        raise must("max_steps", "kl_inference", "at least 1", max_steps, "50 to 200 is usual")
    if not 0 < tolerance < math.inf:
        raise must("tolerance", "kl_inference", "finite and greater than 0", tolerance, "1e-6 is usual")
    batch, classes = generalist.shape
    _check(specialists, batch, classes)
    log_g = torch.log_softmax(generalist.double(), dim=1)
    active, others, rest = _pairs(specialists, batch, classes, log_g)
    logits = log_g.clone()
    steps = torch.zeros(batch, dtype=torch.int64, device=log_g.device)
    residual = torch.zeros(batch, dtype=torch.float64, device=log_g.device)
    search = _in_probabilities if parametrization == "probabilities" else _in_logits
    # Rows by the number of specialists asked: those of one chunk take about equally many steps.
    asked = active.sum(1)
    order = asked.argsort()
    order = order[asked[order] > 0]
    known = _known(specialists, batch, classes, log_g)
    for rows in torch.split(order, max(1, _CHUNK // classes)):
        problem = _Problem(log_g[rows], known[rows], active[rows], rest[rows], others)
        logits[rows], steps[rows], residual[rows] = search(problem, max_steps, tolerance)
    return Inferred(logits.float(), steps, residual)


def kl_objective(
    log_q: Float[Tensor, "batch classes"],
    generalist: Float[Tensor, "batch classes"],
    specialists: Sequence[SpecialistLogits],
) -> Float[Tensor, " batch"]:
    """What `kl_inference` minimizes, in nats per row; gradients flow to ``log_q``.

    Args:
        log_q: Log-probabilities, or logits.
        generalist: Logits.
        specialists: The outputs of the specialists.

    Raises:
        BadInput: If the output of a specialist does not fit the generalist.
    """
    batch, classes = generalist.shape
    _check(specialists, batch, classes)
    log_q = torch.log_softmax(log_q.double(), dim=1)
    log_g = torch.log_softmax(generalist.double(), dim=1)
    total = (log_g.exp() * (log_g - log_q)).sum(1)
    for one in specialists:
        log_p = torch.log_softmax(one.logits.double(), dim=1)
        log_q_rows = log_q.index_select(0, one.rows)
        unknown = torch.ones(classes, dtype=torch.bool, device=log_q.device).index_fill_(0, one.classes, False)
        folded = torch.cat([log_q_rows[:, one.classes], log_q_rows[:, unknown].logsumexp(1, keepdim=True)], dim=1)
        total = total.index_add(0, one.rows, (log_p.exp() * (log_p - folded)).sum(1))
    return total


@dataclass(frozen=True, eq=False)
class _Problem:
    """Some rows to search for: with r rows, c classes and m specialists.

    Attributes:
        log_g: ``[r, c]``, the generalist's log-probabilities.
        known: ``[r, c]``, the sum of the specialists' probabilities for the classes that they know.
        active: ``[r, m]``, who was asked.
        rest: ``[r, m]``, the probability that a specialist leaves for all other classes; 0 where not asked.
        others: ``[m, c]``, 1 for the classes that a specialist does not know.
    """

    log_g: Tensor
    known: Tensor
    active: Tensor
    rest: Tensor
    others: Tensor

    @property
    def weight(self) -> Tensor:
        """``[r, 1]``, how many distributions are fitted."""
        return 1.0 + self.active.sum(1, keepdim=True)

    def rows(self, keep: Tensor) -> _Problem:
        return _Problem(self.log_g[keep], self.known[keep], self.active[keep], self.rest[keep], self.others)

    def shares(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """What each specialist's rest is in q, ``[r, m]``, and what factor the shared-out rests have, ``[r, c]``."""
        inside = (q @ self.others.T).clamp_min(math.exp(_LOWEST))
        return inside, (self.rest / inside) @ self.others


_Found = tuple[Tensor, Tensor, Tensor]


def _in_probabilities(problem: _Problem, max_steps: int, tolerance: float) -> _Found:
    found = torch.empty_like(problem.log_g)
    steps = torch.zeros(len(found), dtype=torch.int64, device=found.device)
    residual = torch.zeros(len(found), dtype=found.dtype, device=found.device)
    alive = torch.arange(len(found), device=found.device)
    q = problem.log_g.clamp_min(_LOWEST).exp()
    fixed = q + problem.known
    weight = problem.weight

    def stepped() -> tuple[Tensor, Tensor]:
        _, factor = problem.shares(q)
        fresh = factor.mul_(q).add_(fixed).div_(weight)
        return fresh, (fresh - q).abs_().amax(1) * weight[:, 0]

    for step in range(1, max_steps + 1):
        q, residuals = stepped()
        going = residuals > tolerance
        if step == max_steps:
            going = torch.zeros_like(going)
            # No tolerance bounds these rows' residual, so that it is looked at once more, where they are now.
            _, residuals = stepped()
        count = int(going.sum())
        if count <= 0.7 * len(alive):
            done = ~going
            at = alive[done]
            found[at] = _logs(q[done], problem.rows(done))
            steps[at], residual[at] = step, residuals[done]
            if count == 0:
                break
            problem, q, fixed = problem.rows(going), q[going], fixed[going]
            alive, weight = alive[going], weight[going]
    return found, steps, residual


def _logs(q: Tensor, problem: _Problem) -> Tensor:
    """Log-probabilities; those below what was followed keep their ratios to each other, as the minimum has them."""
    logs = q.log()
    below = problem.log_g < _LOWEST
    if bool(below.any()):
        logs = torch.where(below & (problem.known == 0), logs + (problem.log_g - _LOWEST), logs)
    return logs


def _in_logits(problem: _Problem, max_steps: int, tolerance: float) -> _Found:
    weight = problem.weight
    fixed = problem.log_g.exp() + problem.known

    def look(z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        log_q = torch.log_softmax(z, dim=1)
        q = log_q.exp()
        inside, factor = problem.shares(q)
        objective = -(fixed * log_q).sum(1) - (problem.rest * inside.log()).sum(1)
        drawn = factor.mul_(q).add_(fixed)
        q = weight * q
        gradient = q - drawn
        return log_q, objective, gradient / torch.maximum(q, drawn).clamp_min(1e-300), gradient.abs().amax(1)

    z, objective, direction, residuals = look(problem.log_g)
    length = torch.ones_like(weight)
    steps = torch.zeros(len(z), dtype=torch.int64, device=z.device)
    for _ in range(max_steps):
        going = residuals > tolerance
        if not bool(going.any()):
            break
        candidate, candidate_objective, candidate_direction, candidate_residual = look(z - length * direction)
        better = (candidate_objective <= objective) & going
        z = torch.where(better[:, None], candidate, z)
        direction = torch.where(better[:, None], candidate_direction, direction)
        objective, residuals = (
            torch.where(better, candidate_objective, objective),
            torch.where(better, candidate_residual, residuals),
        )
        length = torch.where(better[:, None], length * 1.5, length * 0.5)
        steps += going
    return z, steps, residuals


def _pairs(
    specialists: Sequence[SpecialistLogits], batch: int, classes: int, like: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Who was asked ``[batch, m]``, who does not know what ``[m, classes]``, and what is left ``[batch, m]``."""
    active = torch.zeros(batch, len(specialists), dtype=torch.bool, device=like.device)
    rest = torch.zeros(batch, len(specialists), dtype=like.dtype, device=like.device)
    others = torch.ones(len(specialists), classes, dtype=like.dtype, device=like.device)
    for place, one in enumerate(specialists):
        active[one.rows, place] = True
        others[place, one.classes] = 0.0
        rest[one.rows, place] = torch.log_softmax(one.logits.double(), dim=1)[:, -1].exp()
    return active, others, rest


def _known(specialists: Sequence[SpecialistLogits], batch: int, classes: int, like: Tensor) -> Tensor:
    """The sum ``[batch, classes]`` of the specialists' probabilities for the classes that they know."""
    known = torch.zeros(batch, classes, dtype=like.dtype, device=like.device)
    for one in specialists:
        # Each row and each class is there once, so that nothing is written twice.
        known[one.rows[:, None], one.classes] += torch.softmax(one.logits.double(), dim=1)[:, :-1]
    return known


def _check(specialists: Sequence[SpecialistLogits], batch: int, classes: int) -> None:
    for place, one in enumerate(specialists):
        of = f"specialist output {place}"
        sizes = (len(one.rows), len(one.classes) + 1)
        if tuple(one.logits.shape) != sizes:
            rule = f"of shape {sizes}, [asked, special + 1]"
            raise must(
                "logits", of, rule, tuple(one.logits.shape), "Give one logit for each class and a last one for the rest"
            )
        if not 1 <= len(one.classes) < classes or int(one.classes.min()) < 0 or int(one.classes.max()) >= classes:
            rule = f"some of the {classes} classes, not all"
            raise must("classes", of, rule, one.classes.tolist(), "Name class numbers")
        if len(one.rows) and (int(one.rows.min()) < 0 or int(one.rows.max()) >= batch):
            raise must("rows", of, f"positions below {batch}", one.rows.tolist(), "Name rows of the batch")
        for name, values in (("classes", one.classes), ("rows", one.rows)):
            if len(set(values.tolist())) < len(values):
                raise must(name, of, "named once each", values.tolist(), "Name each only once")
