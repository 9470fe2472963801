"""Logits taken apart: the class of the label against all others, and the others among themselves; and standardized.

All functions compute in float32 or wider and never reduce over the batch.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attar.errors import must
from attar.ops.dtypes import at_least_float32


def decoupled(
    logits: Float[Tensor, "*batch classes"], labels: Int[Tensor, "*batch"]
) -> tuple[Float[Tensor, "*batch 2"], Float[Tensor, "*batch others"]]:
    """Logits as two sets: of the label's class against the rest together, and of the other classes.

    The softmax of the first is (p of the label, 1 - p), that of the second the distribution over the other classes,
    given that it is one of them. Divide logits by the temperature first.

    Args:
        logits: Logits of two classes or more.
        labels: Class numbers; all of them valid.

    Raises:
        BadInput: If there is one class only.

    Example:
        >>> pair, others = decoupled(torch.tensor([[1.0, 2.0, 2.0]]), torch.tensor([0]))
        >>> pair, others  # two classes at 2 are together at 2 + ln 2
        (tensor([[1.0000, 2.6931]]), tensor([[2., 2.]]))

    References:
        Zhao, Cui, Song, Qiu, Liang, *Decoupled Knowledge Distillation*, 2022, section 3.1. arXiv:2203.08679
    """
    classes = logits.shape[-1]
    if classes < 2:
        raise must("logits", "decoupled", "of two classes at least", tuple(logits.shape), "Use another term")
    logits = at_least_float32(logits)
    its = labels.unsqueeze(-1)
    places = torch.arange(classes - 1, device=logits.device).expand(*labels.shape, -1)
    others = logits.gather(-1, places + (places >= its))
    return torch.cat([logits.gather(-1, its), others.logsumexp(-1, keepdim=True)], dim=-1), others


def standardized(logits: Float[Tensor, "*batch classes"]) -> Float[Tensor, "*batch classes"]:
    """Logits less their mean, over their standard deviation (of one degree of freedom less), for each example.

    Those that are all equal stay at 0.

    Args:
        logits: Logits of two classes or more; of two classes, only which one is larger remains.

    Raises:
        BadInput: If there is one class only.

    Example:
        >>> standardized(torch.tensor([[1.0, 2.0, 3.0], [7.0, 7.0, 7.0]]))
        tensor([[-1.,  0.,  1.],
                [ 0.,  0.,  0.]])

    References:
        Sun, Ren, Li, Wang, Cao, *Logit Standardization in Knowledge Distillation*, 2024, algorithm 1. arXiv:2403.01427
    """
    classes = logits.shape[-1]
    if classes < 2:
        raise must("logits", "standardized", "of two classes at least", tuple(logits.shape), "Use another term")
    logits = at_least_float32(logits)
    centered = logits - logits.mean(-1, keepdim=True)
    variance = centered.square().sum(-1, keepdim=True) / (classes - 1)
    # Logits that are all equal have no scale; 1 keeps their gradient that of the centered ones.
    return centered / variance.masked_fill(variance == 0, 1).sqrt()
