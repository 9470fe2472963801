"""Which classes are often taken for each other: from predictions alone, clustered into sets of classes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from attar.errors import Words, must, near

Clustering = Literal["online", "batch"]
"""The ways to cluster: one that looks at a few columns at a time, and one that looks at all of them."""

Columns = Literal["correlation", "covariance"]
"""What is clustered: the columns of which matrix."""

_PASSES = 20
_AT_ONCE = 32


def covariance(probabilities: Iterable[Float[Tensor, "_ classes"]]) -> Float64[Tensor, "classes classes"]:
    """Covariance of predicted probabilities over all batches, in one pass.

    Args:
        probabilities: Batches of predictions; each row sums to 1.

    Raises:
        BadInput: If there are fewer than two rows.

    Example:
        >>> covariance([torch.tensor([[1.0, 0.0], [0.0, 1.0]])])
        tensor([[ 0.2500, -0.2500],
                [-0.2500,  0.2500]], dtype=torch.float64)
    """
    count, sums, products = 0, torch.zeros(()), torch.zeros(())
    for batch in probabilities:
        predictions = batch.double().cpu()
        count, sums, products = (
            count + len(predictions),
            sums + predictions.sum(0),
            products + predictions.T @ predictions,
        )
    if count < 2:
        raise must("probabilities", "covariance", "of two rows or more", count, "Give a sample of predictions")
    mean = sums / count
    return products / count - mean[:, None] * mean


def cluster_classes(
    covariances: Float[Tensor, "classes classes"],
    n_clusters: int,
    *,
    set_size: int | None = None,
    columns: Columns = "correlation",
    clustering: Clustering = "online",
    seed: int = 0,
) -> tuple[tuple[int, ...], ...]:
    """Sets of classes that are often predicted together: k-means on the columns of the covariance of predictions.

    The paper clusters the covariances as they are. Their columns are long for classes that are often predicted and
    short for others, and k-means goes by length first: a few classes become sets of their own, and all others one large
    set. Correlations, which are the covariances over the deviations of both classes, are free of that; their columns
    are brought to length 1.

    Args:
        covariances: Of the predictions, as `covariance` gives it.
        n_clusters: How many sets, from 2 up to the number of classes.
        set_size: None puts each class into the set of its cluster, so that the sets share none and cover all. A number
            makes each set of so many classes, those whose columns are nearest to the cluster's center: sets overlap,
            and a class may be in none.
        columns: ``correlation``, or ``covariance`` as in the paper.
        clustering: ``online`` goes through the columns in random order, a few at a time, as in the paper; ``batch``
            looks at all of them in each step (Lloyd's algorithm, the best of ten starts).
        seed: Of the first centers and the order.

    Returns:
        The class numbers of each set in ascending order, the sets by their first class.

    Raises:
        BadInput: If a setting breaks its rule, or a covariance is not finite.

    Example:
        >>> pairs = torch.block_diag(*[torch.tensor([[2.0, 1.0], [1.0, 2.0]])] * 2)
        >>> cluster_classes(pairs, 2)
        ((0, 1), (2, 3))

    References:
        Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, 2015, section 5.3. MacQueen, *Some
        methods for classification and analysis of multivariate observations*, 1967 (online k-means).
    """
    classes = len(covariances)
    if clustering not in get_args(Clustering):
        rule = f"one of {', '.join(map(repr, get_args(Clustering)))}"
        raise must("clustering", "cluster_classes", rule, clustering, near(str(clustering), get_args(Clustering)))
    if not 2 <= n_clusters <= classes:
        raise must("n_clusters", "cluster_classes", f"from 2 to the {classes} classes", n_clusters, "Ask for others")
    if set_size is not None and not 1 <= set_size < classes:
        rule = f"at least 1 and below the {classes} classes"
        raise must("set_size", "cluster_classes", rule, set_size, "Leave it out for sets that share no class")
    if not bool(covariances.isfinite().all()):
        raise must("covariances", "cluster_classes", "finite", Words("NaN or infinite ones"), "Look at the predictions")
    if columns not in get_args(Columns):
        rule = f"one of {', '.join(map(repr, get_args(Columns)))}"
        raise must("columns", "cluster_classes", rule, columns, near(str(columns), get_args(Columns)))
    matrix = covariances.double().cpu()
    # Numbers of ordinary size; the covariances of many classes are tiny. A class that is never predicted has none.
    deviations = (
        matrix.diag().clamp_min(0).sqrt() if columns == "correlation" else matrix.abs().amax().sqrt().expand(classes)
    )
    deviations = deviations.clamp_min(1e-12)
    points = np.ascontiguousarray(_unit_columns(matrix / deviations[:, None] / deviations, columns).T.numpy())
    centers = _centers(points, n_clusters, clustering, seed)
    distances = _distances(points, centers)
    if set_size is None:
        members = _filled(distances)
        sets = [np.flatnonzero(members == cluster) for cluster in range(n_clusters)]
    else:
        sets = [np.argsort(distances[:, cluster], kind="stable")[:set_size] for cluster in range(n_clusters)]
    return tuple(sorted(tuple(sorted(int(number) for number in one)) for one in sets))


def _unit_columns(square: Tensor, columns: str) -> Tensor:
    """Correlations with columns of length 1: else the classes that are never taken for others, whose columns are the
    shortest, would be near to every center and fill every set.
    """
    return square / square.norm(dim=0).clamp_min(1e-12) if columns == "correlation" else square


def _centers(
    columns: np.ndarray[tuple[int, int], np.dtype[np.float64]], count: int, clustering: Clustering, seed: int
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    from sklearn.cluster import KMeans, MiniBatchKMeans, kmeans_plusplus
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Classes that are never predicted have equal columns; clusters left empty by that are filled afterwards.
        warnings.simplefilter("ignore", ConvergenceWarning)
        if clustering == "batch":
            return np.asarray(KMeans(count, n_init=10, random_state=seed).fit(columns).cluster_centers_)
        first, _ = kmeans_plusplus(columns, count, random_state=seed)
        online = MiniBatchKMeans(
            count, init=first, n_init=1, batch_size=_AT_ONCE, reassignment_ratio=0.0, random_state=seed
        )
        draws = np.random.default_rng(seed)
        for _ in range(_PASSES):
            order = draws.permutation(len(columns))
            # The first call wants at least as many columns as there are clusters.
            for some in np.array_split(order, max(1, len(order) // max(_AT_ONCE, count))):
                online.partial_fit(columns[some])
        return np.asarray(online.cluster_centers_)


def _distances(
    columns: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    centers: np.ndarray[tuple[int, int], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Squared distances ``[classes, clusters]``."""
    return np.asarray(torch.cdist(torch.from_numpy(columns), torch.from_numpy(centers)).square().numpy())


def _filled(
    distances: np.ndarray[tuple[int, int], np.dtype[np.float64]],
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The nearest cluster of each class; a cluster that is nobody's nearest gets the class farthest from its own."""
    members: np.ndarray[tuple[int], np.dtype[np.int64]] = distances.argmin(1).astype(np.int64)
    for cluster in range(distances.shape[1]):
        if not (members == cluster).any():
            counts = np.bincount(members, minlength=distances.shape[1])
            own = np.where(counts[members] > 1, distances[np.arange(len(members)), members], -1.0)
            members[int(own.argmax())] = cluster
    return members
