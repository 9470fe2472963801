"""Images with maps of their classes beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.evidence.panel import Example, Examples, Panel, Text
from attar.report.panels.common import Figures, listed

_COLORS: Sequence[tuple[str, tuple[int, int, int]]] = (
    ("black", (0, 0, 0)),
    ("orange", (230, 159, 0)),
    ("sky blue", (86, 180, 233)),
    ("green", (0, 158, 115)),
    ("yellow", (240, 228, 66)),
    ("dark blue", (0, 114, 178)),
    ("red", (213, 94, 0)),
    ("pink", (204, 121, 167)),
)
"""Names and colors that people tell apart who do not see all colors (Okabe, Ito, *Color universal design*, 2008)."""

_UNKNOWN = (160, 160, 160)
_GAP = 1
"""Pixels between image and maps."""


def maps(found: Sequence[Figures], names: Sequence[str]) -> list[Panel]:
    """Images, what is true of each pixel, and what the teacher says, side by side.

    Args:
        found: Each ``maps`` (``true`` and ``teacher``, class numbers ``[height, width]``, -1 if not known), ``image``
            of the same size, if there is one, ``label`` and ``id``.
        names: Of the classes.
    """
    examples = [
        Example(title=str(one.get("label", "")), note=f"no. {one.get('id', '')}", pixels=_beside(one)) for one in found
    ]
    colors = [f"{name} is {_COLORS[number % len(_COLORS)][0]}" for number, name in enumerate(names)]
    note = (
        "Training images of which the teacher is least sure: the image, what is true of each pixel, and what the "
        f"teacher says. In colors: {listed(colors)}; what is not known is gray."
    )
    return [Panel("Maps", [Text(note), Examples(examples)])]


def _beside(one: Figures) -> Any:
    """Image and maps as one image ``[height, width, 3]`` of numbers from 0 to 1."""
    images = [_colored(np.asarray(one["maps"][kind], np.int64)) for kind in ("true", "teacher")]
    size = images[0].shape[:2]
    image = np.asarray(one["image"], np.float64) if one.get("image") else np.zeros(0)
    if image.shape[:2] == size:
        gray = image[..., None] if image.ndim == 2 else image
        images.insert(0, np.broadcast_to(np.clip(gray, 0.0, 1.0), (*size, 3)))
    gap = np.ones((size[0], _GAP, 3))
    strips = [strip for one_image in images for strip in (one_image, gap)][:-1]
    rows = np.round(np.concatenate(strips, axis=1), 3).tolist()
    return [[tuple(color) for color in row] for row in rows]


def _colored(numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    palette = np.array([color for _, color in _COLORS] + [_UNKNOWN], np.float64) / 255
    return palette[np.where(numbers < 0, len(_COLORS), numbers % len(_COLORS))]
