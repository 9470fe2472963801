"""How far one distribution over classes is from another, per example, from logits.

All functions take logits, compute in float32 or wider, return one value per example and never reduce over the batch.
"""

from __future__ import annotations

import math

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from attar.errors import must
from attar.ops.dtypes import at_least_float32


def _check(student: Tensor, teacher: Tensor, temperature: float, of: str) -> None:
    if not 0 < temperature < math.inf:
        raise must(
            "temperature", of, "finite and greater than 0", temperature, "1 is plain probabilities; 2 to 8 is usual"
        )
    if student.shape != teacher.shape:
        raise must(
            "teacher_logits",
            of,
            f"of the student's shape {tuple(student.shape)}",
            tuple(teacher.shape),
            "Teacher and student need the same classes in the same order",
        )


def forward_kl(
    student_logits: Float[Tensor, "*batch classes"],
    teacher_logits: Float[Tensor, "*batch classes"],
    *,
    temperature: float = 1.0,
) -> Float[Tensor, "*batch"]:
    r"""KL(teacher || student) of the softened distributions, per example, in nats.

    :math:`\sum_c p_c (\log p_c - \log q_c)` with p and q the softmax of teacher and student over T. Zero exactly where
    they agree. Not scaled by T²: that is the business of the loss term.

    Args:
        student_logits: Gradients flow here.
        teacher_logits: Pass them detached, unless the teacher is to learn too.
        temperature: Softening T, greater than 0.

    Raises:
        BadInput: If ``temperature`` is not positive and finite, or the shapes differ.

    Example:
        >>> import torch
        >>> x = torch.tensor([[2.0, 0.0]])
        >>> forward_kl(x, x)
        tensor([0.])

    References:
        Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, 2015, section 2. arXiv:1503.02531
    """
    _check(student_logits, teacher_logits, temperature, "forward_kl")
    log_q = functional.log_softmax(at_least_float32(student_logits) / temperature, dim=-1)
    log_p = functional.log_softmax(at_least_float32(teacher_logits) / temperature, dim=-1)
    # exp(log p) is exactly 0 where log p underflows, and 0 * finite is 0: no special case is needed.
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def soft_cross_entropy(
    student_logits: Float[Tensor, "*batch classes"],
    teacher_logits: Float[Tensor, "*batch classes"],
    *,
    temperature: float = 1.0,
) -> Float[Tensor, "*batch"]:
    r"""Cross-entropy :math:`-\sum_c p_c \log q_c` of the softened distributions, per example, in nats.

    It is `forward_kl` plus the teacher's entropy: the same gradient for the student, but not zero at agreement.

    Args:
        student_logits: Gradients flow here.
        teacher_logits: Pass them detached.
        temperature: Softening T, greater than 0.

    Raises:
        BadInput: If ``temperature`` is not positive and finite, or the shapes differ.
    """
    _check(student_logits, teacher_logits, temperature, "soft_cross_entropy")
    log_q = functional.log_softmax(at_least_float32(student_logits) / temperature, dim=-1)
    return -(functional.softmax(at_least_float32(teacher_logits) / temperature, dim=-1) * log_q).sum(-1)


def centered_squared_error(
    student_logits: Float[Tensor, "*batch classes"],
    teacher_logits: Float[Tensor, "*batch classes"],
) -> Float[Tensor, "*batch"]:
    r"""Half the mean squared difference of logits, each example's logits centered first.

    Centering makes it blind to the constant that softmax ignores; at high temperature :math:`T^2` times `forward_kl`
    tends to this value.

    Args:
        student_logits: Gradients flow here.
        teacher_logits: Pass them detached.

    Raises:
        BadInput: If the shapes differ.

    References:
        Hinton, Vinyals, Dean, 2015, section 2.1.
    """
    _check(student_logits, teacher_logits, 1.0, "centered_squared_error")
    difference = at_least_float32(student_logits) - at_least_float32(teacher_logits)
    return 0.5 * (difference - difference.mean(-1, keepdim=True)).square().mean(-1)


def squared_error(
    outputs: Float[Tensor, "*batch outputs"], targets: Float[Tensor, "*batch outputs"]
) -> Float[Tensor, "*batch"]:
    """Mean squared difference over the last axis, per example.

    Args:
        outputs: Gradients flow here.
        targets: Pass them detached.

    Raises:
        BadInput: If the shapes differ.

    Example:
        >>> import torch
        >>> squared_error(torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 1.0]]))
        tensor([2.])
    """
    _check(outputs, targets, 1.0, "squared_error")
    return (at_least_float32(outputs) - at_least_float32(targets)).square().mean(-1)


def cross_entropy(
    logits: Float[Tensor, "*batch classes"],
    labels: Int[Tensor, "*batch"],
    *,
    absent: int = -1,
    smoothing: float = 0.0,
) -> Float[Tensor, "*batch"]:
    """Cross-entropy with class numbers, per example, in nats; 0 where the label is ``absent``.

    Args:
        logits: Gradients flow here.
        labels: Class numbers.
        absent: The label that means "not known".
        smoothing: Share of the probability that is spread evenly over all classes, 0 to 1.
    """
    logits = at_least_float32(logits)
    flat = (logits, labels) if labels.dim() == 1 else (logits.reshape(-1, logits.shape[-1]), labels.reshape(-1))
    losses = functional.cross_entropy(*flat, ignore_index=absent, reduction="none", label_smoothing=smoothing)
    return losses if labels.dim() == 1 else losses.reshape(labels.shape)
