"""Metrics of where people look, from logits over the pixels of an image and the fixations that were seen there.

A density is the softmax of ``[n, height * width]`` logits, row by row. Fixations are counts ``[n, height, width]``: how
many fell on each pixel, of all observers together; -1 where none could be seen. All is computed in float64, one value
for each image: the mean over its fixations, where it is of such. An image without a fixation has 0.

References:
    Bylinskii, Judd, Oliva, Torralba, Durand, *What do different evaluation metrics tell us about saliency models?*,
    2019. arXiv:1604.03605; Kümmerer, Wallis, Bethge, *Information-theoretic model comparison unifies saliency metrics*,
    2015.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax  # type: ignore[import-untyped]

from attar.tasks.metrics.metric import Floats, blocks

Center = tuple[float, float, float, float]
"""A Gaussian over an image: the row and the column of its mean, and its standard deviation down and across, as shares
of height and width."""

SPREAD = 0.035
"""Standard deviation by which fixations are smoothed to a map, as a share of the longer side: about one degree of what
is seen where images are looked at as in MIT1003."""

_FINEST = 0.25
"""Pixels of standard deviation below which nothing is smoothed."""

_NARROWEST = 1e-3
"""Least standard deviation of a center bias, as a share of an image."""


def log_densities(logits: Floats) -> NDArray[np.float64]:
    """The log of the probability of each pixel, ``[n, positions]``."""
    found: NDArray[np.float64] = log_softmax(np.asarray(logits, np.float64), axis=1)
    return found


def shares_of_fixations(fixations: NDArray[np.integer]) -> NDArray[np.float64]:
    """The share of an image's fixations that each pixel has, ``[n, positions]``; zeros where there is none.

    Args:
        fixations: ``[n, height, width]`` counts.
    """
    counts = np.maximum(fixations.reshape(len(fixations), -1), 0).astype(np.float64)
    found: NDArray[np.float64] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return found


def center_bias(size: tuple[int, int], center: Center | None) -> NDArray[np.float64]:
    """The log density of a Gaussian over an image, ``[height * width]``.

    Args:
        size: Height and width.
        center: The Gaussian; None for all pixels alike.

    Example:
        >>> center_bias((1, 2), None).round(4)
        array([-0.6931, -0.6931])
    """
    return _center_bias(size, center)


@lru_cache(maxsize=16)
def _center_bias(size: tuple[int, int], center: Center | None) -> NDArray[np.float64]:
    logits = np.zeros(size)
    if center is not None:
        for axis in (0, 1):
            places = (np.arange(size[axis]) + 0.5) / size[axis]
            line = -0.5 * np.square((places - center[axis]) / max(_NARROWEST, center[2 + axis]))
            logits += line[:, None] if axis == 0 else line
    density: NDArray[np.float64] = log_softmax(logits.ravel())
    density.flags.writeable = False
    return density


def fitted_center(fixations: NDArray[np.integer]) -> Center:
    """The Gaussian of all fixations of all images: their mean and standard deviation, to four digits.

    An axis along which they do not vary has half a pixel.

    Args:
        fixations: ``[n, height, width]`` counts, one fixation at least.

    Example:
        >>> fitted_center(np.array([[[1, 0, 0, 1]]]))
        (0.5, 0.5, 0.5, 0.375)
    """
    counts = np.maximum(fixations, 0).sum(axis=0).astype(np.float64)
    means, spreads = [], []
    for axis in (0, 1):
        places = (np.arange(counts.shape[axis]) + 0.5) / counts.shape[axis]
        weights = counts.sum(axis=1 - axis) / counts.sum()
        mean = float(weights @ places)
        spread = math.sqrt(max(0.0, float(weights @ np.square(places - mean))))
        means.append(round(mean, 4))
        spreads.append(round(spread or 0.5 / counts.shape[axis], 4))
    return means[0], means[1], spreads[0], spreads[1]


def log_losses(logits: Floats, fixations: NDArray[np.integer]) -> NDArray[np.float64]:
    """Negative log-likelihood of a fixation in nats.

    Args:
        logits: ``[n, positions]``.
        fixations: ``[n, height, width]`` counts.
    """
    return _over_images(lambda some, shares: -(log_densities(some) * shares).sum(axis=1), logits, fixations)


def information_gains(
    logits: Floats, fixations: NDArray[np.integer], baseline: NDArray[np.float64]
) -> NDArray[np.float64]:
    """By how many bits a fixation is more likely than under a baseline.

    Args:
        logits: ``[n, positions]``.
        fixations: ``[n, height, width]`` counts.
        baseline: ``[positions]`` log density, the same for all images; see `center_bias`.

    Example:
        >>> logits = np.log([[0.5, 0.25, 0.25, 0.0001]])
        >>> information_gains(logits, np.array([[[1, 0], [0, 0]]]), center_bias((2, 2), None)).round(3)
        array([1.])
    """

    def gains(some: Floats, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = ((log_densities(some) - baseline) * shares).sum(axis=1) / math.log(2)
        return found

    return _over_images(gains, logits, fixations)


def aucs(logits: Floats, fixations: NDArray[np.integer]) -> NDArray[np.float64]:
    """Area under the curve of telling fixations from all pixels of the same image, these included.

    It is the share of the pixels that are less likely than that of a fixation, and half of those that are as likely. A
    fixation's own pixel is among them, so that 1 is never quite reached.

    Args:
        logits: ``[n, positions]``.
        fixations: ``[n, height, width]`` counts.

    Example:
        >>> aucs(np.array([[3.0, 2.0, 1.0, 0.0]]), np.array([[[1, 0], [0, 0]]]))
        array([0.875])
    """

    from scipy.stats import rankdata  # type: ignore[import-untyped]  # it takes half a second to import

    def areas(some: Floats, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = ((rankdata(some, axis=1) - 0.5) * shares).sum(axis=1) / some.shape[1]
        return found

    return _over_images(areas, logits, fixations)


def nss(logits: Floats, fixations: NDArray[np.integer]) -> NDArray[np.float64]:
    """Normalized scanpath saliency: the density at fixations, in standard deviations of the image's from its mean.

    A density that is the same everywhere has 0.

    Args:
        logits: ``[n, positions]``.
        fixations: ``[n, height, width]`` counts.
    """

    def scores(some: Floats, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        densities = np.exp(log_densities(some))
        apart = densities - densities.mean(axis=1, keepdims=True)
        spread = densities.std(axis=1)
        flat = spread <= 1e-12 / some.shape[1]
        found: NDArray[np.float64] = np.where(flat, 0.0, (apart * shares).sum(axis=1) / np.where(flat, 1.0, spread))
        return found

    return _over_images(scores, logits, fixations)


def kl_divergences(logits: Floats, fixations: NDArray[np.integer], spread: float = SPREAD) -> NDArray[np.float64]:
    """KL from the map of fixations to the density, in nats.

    Args:
        logits: ``[n, positions]``.
        fixations: ``[n, height, width]`` counts.
        spread: Standard deviation of the Gaussian that makes a map of them, as a share of the longer side.
    """

    def divergences(some: Floats, maps: NDArray[np.float64]) -> NDArray[np.float64]:
        logs = np.log(np.where(maps > 0, maps, 1.0))
        found: NDArray[np.float64] = (maps * (logs - log_densities(some))).sum(axis=1)
        return found

    return _over_images(divergences, logits, fixations, spread)


def similarities(logits: Floats, fixations: NDArray[np.integer], spread: float = SPREAD) -> NDArray[np.float64]:
    """How much the map of fixations and the density have in common: the sum of the smaller of both, in 0..1.

    Args:
        logits: ``[n, positions]``.
        fixations: ``[n, height, width]`` counts.
        spread: As for `kl_divergences`.
    """

    def common(some: Floats, maps: NDArray[np.float64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = np.minimum(np.exp(log_densities(some)), maps).sum(axis=1)
        return found

    return _over_images(common, logits, fixations, spread)


def squared_errors(logits: Floats, fixations: NDArray[np.integer]) -> NDArray[np.float64]:
    """Squared difference of the density and the share of the fixations that each pixel has, sum over the pixels.

    Args:
        logits: ``[n, positions]``.
        fixations: ``[n, height, width]`` counts.
    """

    def errors(some: Floats, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = np.square(np.exp(log_densities(some)) - shares).sum(axis=1)
        return found

    return _over_images(errors, logits, fixations)


def _over_images(
    of_each: Callable[[Floats, NDArray[np.float64]], NDArray[np.float64]],
    logits: Floats,
    fixations: NDArray[np.integer],
    spread: float = 0.0,
) -> NDArray[np.float64]:
    """A function of logits and shares of fixations, ``[some, positions]`` both, for all images, some at once."""
    found = np.zeros(len(fixations))
    for rows in blocks(len(fixations), math.prod(fixations.shape[1:])):
        shares = shares_of_fixations(fixations[rows])
        there = shares.any(axis=1)
        if spread:
            shares = _smoothed(shares.reshape(fixations[rows].shape), spread)
        found[rows] = np.where(there, of_each(logits[rows], shares), 0.0)
    return found


def _smoothed(shares: NDArray[Any], spread: float) -> NDArray[np.float64]:
    """Maps ``[n, positions]`` that sum to 1, of shares ``[n, height, width]``."""
    from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]  # as above

    deviation = spread * max(shares.shape[1:])
    maps = shares if deviation < _FINEST else gaussian_filter(shares, (0, deviation, deviation), mode="constant")
    flat = maps.reshape(len(maps), -1)
    found: NDArray[np.float64] = flat / np.maximum(flat.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return found
