"""How far probabilities of yes or no are apart, each from a logit of its own: the sigmoid of the logit.

All functions compute in float32 or wider and return one value for each logit; nothing is reduced.
"""

from __future__ import annotations

import math

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from attar.errors import must
from attar.ops.dtypes import at_least_float32


def binary_cross_entropy(
    logits: Float[Tensor, "*batch labels"], labels: Int[Tensor, "*batch labels"], *, absent: int = -1
) -> Float[Tensor, "*batch labels"]:
    """Cross-entropy with labels of 1 and 0, in nats; 0 where the label is ``absent``.

    Args:
        logits: Gradients flow here.
        labels: 1 for yes, 0 for no.
        absent: The label that means "not known".

    Raises:
        BadInput: If the shapes differ.

    Example:
        >>> import torch
        >>> binary_cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([[1, -1]]))
        tensor([[0.6931, 0.0000]])
    """
    if logits.shape != labels.shape:
        rule = f"of the logits' shape {tuple(logits.shape)}"
        raise must("labels", "binary_cross_entropy", rule, tuple(labels.shape), "Give one label for each logit")
    logits = at_least_float32(logits)
    known = labels != absent
    truth = (labels == 1).to(logits.dtype)
    losses = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return losses * known


def binary_kl(
    student_logits: Float[Tensor, "*batch labels"],
    teacher_logits: Float[Tensor, "*batch labels"],
    *,
    temperature: float = 1.0,
) -> Float[Tensor, "*batch labels"]:
    r"""KL(teacher || student) of the softened probabilities of yes and no, for each label, in nats.

    :math:`p \log \frac{p}{q} + (1 - p) \log \frac{1 - p}{1 - q}` with p and q the sigmoids of teacher and student over
    T. Zero exactly where they agree. It is the forward KL of the two classes with the logits 0 and the logit.

    Args:
        student_logits: Gradients flow here.
        teacher_logits: Pass them detached, unless the teacher is to learn too.
        temperature: Softening T, greater than 0.

    Raises:
        BadInput: If ``temperature`` is not positive and finite, or the shapes differ.

    Example:
        >>> import torch
        >>> binary_kl(torch.tensor([[2.0, 0.0]]), torch.tensor([[2.0, 0.0]]))
        tensor([[0., 0.]])
    """
    if not 0 < temperature < math.inf:
        remedy = "1 is plain probabilities; 2 to 8 is usual"
        raise must("temperature", "binary_kl", "finite and greater than 0", temperature, remedy)
    if student_logits.shape != teacher_logits.shape:
        rule = f"of the student's shape {tuple(student_logits.shape)}"
        got = tuple(teacher_logits.shape)
        raise must("teacher_logits", "binary_kl", rule, got, "Teacher and student need the same labels in one order")
    student, teacher = at_least_float32(student_logits) / temperature, at_least_float32(teacher_logits) / temperature
    yes = teacher.sigmoid() * (functional.logsigmoid(teacher) - functional.logsigmoid(student))
    no = (-teacher).sigmoid() * (functional.logsigmoid(-teacher) - functional.logsigmoid(-student))
    return yes + no
