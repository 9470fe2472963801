"""Images with where people looked, and the densities that models give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.evidence.panel import Example, Examples, Panel, Text
from attar.report.panels.common import Figures

_MARK = (0.90, 0.35, 0.0)
_COLORS = np.array([(0, 0, 4), (86, 16, 110), (187, 55, 84), (249, 142, 9), (252, 255, 164)], np.float64) / 255
"""From nothing to the largest probability, even to the eye and to those who do not see all colors."""

_GAP = 1
"""Pixels between image and densities."""


def gaze(found: Sequence[Figures]) -> list[Panel]:
    """Images with fixations, and the densities of teacher and student beside them.

    Args:
        found: Each ``fixations`` (row and column of each pixel that has some), ``densities`` (``teacher`` and
            ``student``, ``[height, width]`` shares of the largest number), ``image`` of the same size, if there is one,
            ``label`` and ``id``.
    """
    examples = [
        Example(title=str(one.get("label", "")), note=f"no. {one.get('id', '')}", pixels=_beside(one)) for one in found
    ]
    note = (
        "Training images whose densities are least alike: the image with its fixations in orange, where the teacher "
        "says that people look, and where the student says so. The brighter, the likelier; each density is drawn up to "
        "its own largest number."
    )
    return [Panel("Where people look", [Text(note), Examples(examples)])]


def _beside(one: Figures) -> Any:
    """Image and densities as one image ``[height, width, 3]`` of numbers from 0 to 1."""
    densities = [_colored(np.asarray(one["densities"][kind], np.float64)) for kind in ("teacher", "student")]
    height, width = densities[0].shape[:2]
    image = np.asarray(one["image"], np.float64) if one.get("image") else np.zeros(0)
    seen = np.zeros((height, width, 3))
    if image.shape[:2] == (height, width):
        seen[:] = np.clip(image[..., None] if image.ndim == 2 else image, 0.0, 1.0)
    for row, column in one["fixations"]:
        if 0 <= row < height and 0 <= column < width:
            seen[row, column] = _MARK
    gap = np.ones((height, _GAP, 3))
    strips = [strip for drawn in (seen, *densities) for strip in (drawn, gap)][:-1]
    rows = np.round(np.concatenate(strips, axis=1), 3).tolist()
    return [[tuple(color) for color in row] for row in rows]


def _colored(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    places = np.linspace(0, 1, len(_COLORS))
    return np.stack([np.interp(shares, places, _COLORS[:, channel]) for channel in range(3)], axis=-1)
