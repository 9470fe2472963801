"""Distributions over very many classes, known by their k likeliest and by what all others share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from attar.errors import must, near
from attar.ops.dtypes import at_least_float32

RESTS = ("spread", "bucket")
"""What a loss makes of the classes that were not kept: each has an even share of the rest, or all are one class."""

_LEAST = -1e20
"""Stands for the logarithm of nothing: its probability is exactly 0, and 0 times it is 0, which 0 * -inf is not."""


@dataclass(frozen=True, slots=True, eq=False)
class TopK:
    """Some distributions over classes, each known by its k likeliest classes and the probability of the rest.

    Attributes:
        index: ``[*batch, k]`` int64, the classes that are kept, each once, the likeliest first; 1 <= k < classes.
        log_probabilities: ``[*batch, k]``, the logarithms of their probabilities, in nats.
        rest: ``[*batch]``, the logarithm of the probability that all other classes share; -inf if there is none left.
        classes: How many classes there are.

    Raises:
        BadInput: If the shapes do not fit each other, or as many classes are kept as there are.

    Example:
        >>> half = TopK(torch.tensor([[2]]), torch.tensor([[0.5]]).log(), torch.tensor([0.5]).log(), classes=3)
        >>> half.full().exp()
        tensor([[0.2500, 0.2500, 0.5000]])
    """

    index: Int64[Tensor, "*batch k"]
    log_probabilities: Float[Tensor, "*batch k"]
    rest: Float[Tensor, "*batch"]
    classes: int

    def __post_init__(self) -> None:
        shapes = [tuple(tensor.shape) for tensor in (self.index, self.log_probabilities, self.rest)]
        if shapes[0] != shapes[1] or shapes[0][:-1] != shapes[2]:
            remedy = "Give an index and a logarithm for each class that is kept, and one rest for all others"
            raise must("index, log_probabilities and rest", "TopK", "[*batch, k] twice, and [*batch]", shapes, remedy)
        if not 1 <= self.k < self.classes:
            rule, remedy = f"from 1 to {self.classes - 1}, for {self.classes} classes", "Use dense logits to keep all"
            raise must("k", "TopK", rule, self.k, remedy)

    @classmethod
    def of(cls, logits: Float[Tensor, "*batch classes"], k: int) -> TopK:
        """The k likeliest classes of some logits.

        Args:
            logits: On any scale; worked with in float64, since among very many classes the rest is so near to 1 that
                what it leaves drowns in float32's rounding.
            k: How many classes to keep, 1 <= k < classes.

        Returns:
            Logarithms in float64.
        """
        log_probabilities = torch.log_softmax(logits.double(), dim=-1)
        top, index = log_probabilities.topk(k, dim=-1)
        rest = log_probabilities.scatter(-1, index, -math.inf).logsumexp(dim=-1)
        return cls(index, top, rest, logits.shape[-1])

    @property
    def k(self) -> int:
        """How many classes are kept."""
        return self.index.shape[-1]

    @property
    def others(self) -> int:
        """How many classes are not kept."""
        return self.classes - self.k

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of what `dense` gives."""
        return (*self.rest.shape, self.classes)

    @property
    def device(self) -> torch.device:
        """Where the numbers are."""
        return self.rest.device

    def __len__(self) -> int:
        """Number of examples."""
        return self.rest.shape[0]

    def rows(self, start: int, stop: int) -> TopK:
        """The examples from ``start`` up to ``stop``, without a copy."""
        return self.map(lambda tensor: tensor[start:stop])

    def to(self, device: torch.device, *, non_blocking: bool = False) -> TopK:
        """The same on a device."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def map(self, change: Callable[[Tensor], Tensor]) -> TopK:
        """The same with something done to each of the three tensors, such as choosing among the examples."""
        return TopK(change(self.index), change(self.log_probabilities), change(self.rest), self.classes)

    def full(self) -> Float[Tensor, "*batch classes"]:
        """Logits ``[*batch, classes]``: the logarithms, with the rest shared evenly among the other classes.

        They are finite also where nothing is left to share.
        """
        each = self.rest.clamp_min(_LEAST) - math.log(self.others)
        logits = each[..., None].expand(self.shape)
        return logits.scatter(-1, self.index, self.log_probabilities.clamp_min(_LEAST).to(each.dtype))

    def softened(self, temperature: float = 1.0) -> tuple[Float[Tensor, "*batch k"], Float[Tensor, "*batch"]]:
        """Log-probabilities at a temperature: of each class that is kept, and of each one that is not.

        It is what ``full().div(temperature).log_softmax(-1)`` holds, without the other classes written out.
        """
        count = math.log(self.others)
        top = self.log_probabilities.clamp_min(_LEAST) / temperature
        each = (self.rest.clamp_min(_LEAST) - count) / temperature
        total = torch.cat([top, (each + count)[..., None]], dim=-1).logsumexp(dim=-1)
        return top - total[..., None], each - total


def full(targets: Tensor | TopK) -> Tensor:
    """Logits ``[*batch, classes]`` of targets in either form; plain logits are given back as they are."""
    return targets.full() if isinstance(targets, TopK) else targets


def top_k_kl(
    student_logits: Float[Tensor, "*batch classes"],
    teacher: TopK,
    *,
    temperature: float = 1.0,
    rest: str = "spread",
) -> Float[Tensor, "*batch"]:
    r"""KL(teacher || student) of the softened distributions, per example, in nats, the teacher known by its top k.

    With p the teacher's distribution over T, its rest shared evenly among the classes that were not kept, and q the
    student's, ``spread`` is :math:`\sum_c p_c (\log p_c - \log q_c)` over all classes: what `forward_kl` gives with
    ``teacher.full()``, without those logits. ``bucket`` takes all classes that were not kept for one,
    :math:`\sum_{c\,\mathrm{kept}} p_c (\log p_c - \log q_c) + p_r (\log p_r - \log q_r)` with :math:`q_r` the sum of
    the student's over them, so that nothing is asked of how the student shares it out; it is never more than
    ``spread``. For a class j that was not kept, the gradient with respect to :math:`z_j / T` is
    :math:`q_j - p_r q_j / q_r`.

    Args:
        student_logits: Gradients flow here.
        teacher: Computed with as it is; gradients would flow into it too.
        temperature: Softening T, greater than 0.
        rest: One of `RESTS`.

    Raises:
        BadInput: If ``temperature`` is not positive and finite, the shapes differ, or ``rest`` is not known.

    Example:
        >>> teacher = TopK.of(torch.tensor([[2.0, 0.0, 0.0]]), k=1)
        >>> top_k_kl(teacher.full(), teacher).abs() < 1e-12
        tensor([True])

    References:
        Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, 2015, section 2 (the loss) and section 5
        (a dustbin for all classes but some). arXiv:1503.02531
    """
    check_rest(rest, "top_k_kl")
    if not 0 < temperature < math.inf:
        remedy = "1 is plain probabilities; 2 to 8 is usual"
        raise must("temperature", "top_k_kl", "finite and greater than 0", temperature, remedy)
    if tuple(student_logits.shape) != teacher.shape:
        rule = f"of the student's shape {tuple(student_logits.shape)}"
        raise must("teacher", "top_k_kl", rule, teacher.shape, "Both need the same classes in the same order")
    student_logits = at_least_float32(student_logits)
    log_top, log_each = teacher.softened(temperature)
    if rest == "bucket":
        scaled = student_logits / temperature
        # The k classes and the bucket are all that has to be normalized: their logsumexp is that of all classes.
        bucket = scaled.scatter(-1, teacher.index, -math.inf).logsumexp(dim=-1, keepdim=True)
        log_q = functional.log_softmax(torch.cat([scaled.gather(-1, teacher.index), bucket], dim=-1), dim=-1)
        log_p = torch.cat([log_top, (log_each + math.log(teacher.others))[..., None]], dim=-1)
        return (log_p.exp() * (log_p - log_q)).sum(-1)
    log_q = functional.log_softmax(student_logits / temperature, dim=-1)
    chosen = log_q.gather(-1, teacher.index)
    unchosen = log_q.sum(-1) - chosen.sum(-1)
    top = (log_top.exp() * (log_top - chosen)).sum(-1)
    return top + log_each.exp() * (teacher.others * log_each - unchosen)


def check_rest(rest: str, of: str) -> None:
    """Raise BadInput unless ``rest`` is one of `RESTS`."""
    if rest not in RESTS:
        raise must("rest", of, " or ".join(map(repr, RESTS)), rest, near(rest, RESTS))
