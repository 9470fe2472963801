"""How examples stand to each other in a space of features: distances of pairs, angles of triplets.

All functions compute in float32 or wider, and coincident examples give no gradient that is not finite.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from attar.ops.dtypes import at_least_float32


def relative_distances(points: Float[Tensor, "n features"]) -> Float[Tensor, "n n"]:
    """Euclidean distances of all pairs, over the mean of those that are not 0.

    Args:
        points: One row per example.

    Example:
        >>> relative_distances(torch.tensor([[0.0], [1.0], [3.0]]))  # 1, 2 and 3 over their mean
        tensor([[0.0000, 0.5000, 1.5000],
                [0.5000, 0.0000, 1.0000],
                [1.5000, 1.0000, 0.0000]])

    References:
        Park, Kim, Lu, Cho, *Relational Knowledge Distillation*, 2019, equations 6 and 7. arXiv:1904.05068
    """
    points = at_least_float32(points)
    # Differences, and not products: those lose all digits where points are close together and far from 0.
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    apart = (distances > 0).sum()
    mean = distances.sum() / apart.clamp_min(1)
    return distances / mean.masked_fill(apart == 0, 1)


def angles(points: Float[Tensor, "n features"]) -> Float[Tensor, "n n n"]:
    """Cosines of the angles of all triplets: entry ``[i, j, k]`` is that at i between j and k, 0 where i is j or k.

    It takes n * n * (n + features) numbers of memory.

    Args:
        points: One row per example.

    Example:
        >>> angles(torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 5.0]]))[0]
        tensor([[0., 0., 0.],
                [0., 1., 0.],
                [0., 0., 1.]])

    References:
        Park et al., 2019, equation 9.
    """
    points = at_least_float32(points)
    ways = points.unsqueeze(0) - points.unsqueeze(1)
    length = ways.square().sum(-1, keepdim=True)
    ways = ways / length.masked_fill(length == 0, 1).sqrt()
    return ways @ ways.transpose(1, 2)


def huber(student: Float[Tensor, "*shape"], teacher: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Half the squared difference up to a difference of 1, from there on the difference less one half.

    Args:
        student: Gradients flow here.
        teacher: Pass it detached.

    Example:
        >>> huber(torch.tensor([0.5, 3.0]), torch.zeros(2))
        tensor([0.1250, 2.5000])

    References:
        Park et al., 2019, equation 8.
    """
    return functional.smooth_l1_loss(at_least_float32(student), at_least_float32(teacher), reduction="none")
