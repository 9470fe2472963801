"""Simulated observers: images with fixations that are drawn from a density that is known, and not of people.

What draws the gaze of a simulated observer is what is measured of people's, and no more: contrast of brightness, color
that differs from what is around it, the color of skin, and the middle of the image. The log of the density is a sum of
maps of these (see `true_log_densities`), the same for all observers, so that the best score that any model can have is
known: that of the density itself. The images are photographs of Debian's packages, or are generated.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax  # type: ignore[import-untyped]

from attar.data.split import Dataset, Split
from attar.errors import Words, missing_extra, must
from attar.tasks.gaze import Gaze
from attar.tasks.metrics.gaze import center_bias, fitted_center

SIZE = (48, 64)
"""Height and width of images and densities."""

OBSERVERS, LOOKS = 8, 5
"""Simulated observers of each image, and fixations of each of them."""

CENTER = (0.5, 0.5, 0.28, 0.28)
"""Center bias of the simulated observers, as `attar.tasks.metrics.gaze.Center`."""

WEIGHTS = {"contrast": 0.9, "color": 0.7, "skin": 0.5}
"""How much a map counts in the log density, by standard deviations of it within the image."""

_MOST = 3.0
"""Standard deviations of a map at most."""

_SKIN = (0.45, 0.31, 0.05)
"""Shares of red and green in the color of skin, and how far around they are taken for it."""

DEBIAN = Path("/usr/share/backgrounds")
"""Where Debian's packages put their photographs."""

PACKAGES = ("mate-backgrounds", "lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04")
"""The Debian packages with the photographs."""

TRAIN = (
    "mate/nature/Aqua.jpg",
    "mate/nature/Dune.jpg",
    "mate/nature/FreshFlower.jpg",
    "mate/nature/Garden.jpg",
    "mate/nature/LadyBird.jpg",
    "mate/nature/RainDrops.jpg",
    "mate/nature/Wood.jpg",
    "mate/nature/YellowFlower.jpg",
    "Bridge_by_Sander_Klootwijk.jpg",
    "Dragonfly_by_Bolly.jpg",
    "Fossa_by_Jasper_Roks.jpg",
    "Kleiber_by_Lukas_Baubkus.jpg",
    "Painting-Colors_by__herobrine7gamer.jpg",
    "Picture_0B_by_freespace.jpg",
    "aitzgorri_by_Aitzol_Berasategi.jpg",
    "free_by_Peter_Nerlich.jpg",
    "friends_by_Aitzol_Berasategi.jpg",
    "life_by_Aitzol_Berasategi.jpg",
    "sunset_by_Aitzol_Berasategi.jpg",
)
VALIDATION = (
    "mate/nature/Blinds.jpg",
    "mate/nature/GreenMeadow.jpg",
    "Picture_1A_by_freespace.jpg",
    "greentock_by_Peter_Nerlich.jpg",
    "seeding_by_Clements_Engelhardt.jpg",
)
TEST = (
    "mate/nature/Storm.jpg",
    "mate/nature/TwoWings.jpg",
    "Infinite-Sea_by_Aury88.jpg",
    "Wine_by_Jakkub_Mede.jpg",
    "analogpattern_by_Peter_Nerlich.jpg",
    "picosdeeuropa_by_Aitzol_Berasategi.jpg",
    "umang_by_Abhishek_Mudgal.jpg",
)
"""Photographs of the three parts, below the folder: no photograph is in two of them."""

CROPS = {"train": 64, "validation": 40, "test": 48}
"""Crops of each photograph."""

_GENERATED = {"train": 400, "validation": 100, "test": 200}
"""Generated images of each part."""


def true_log_densities(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The log density that simulated fixations are drawn from, ``[n, height * width]``: the best that a model can say.

    Three maps are made of an image, smoothed, taken in standard deviations from their mean over the image, cut at 3,
    and added with `WEIGHTS` to the log of a Gaussian in the middle (`CENTER`): how far brightness is from what is
    around it, how far color is, as red against green and blue against yellow, and how near color is to that of skin.

    Args:
        images: ``[n, 3, height, width]`` red, green and blue, uint8.
    """
    pixels = images.astype(np.float64) / 255
    red, green, blue = pixels[:, 0], pixels[:, 1], pixels[:, 2]
    light = pixels.mean(axis=1)
    opponents = red - green, blue - (red + green) / 2
    sum_ = red + green + blue + 1e-3
    away = np.square(red / sum_ - _SKIN[0]) + np.square(green / sum_ - _SKIN[1])
    maps = {
        "contrast": np.abs(light - _smooth(light, 3.0)),
        "color": np.hypot(*(one - _smooth(one, 8.0) for one in opponents)),
        "skin": np.exp(-0.5 * away / _SKIN[2] ** 2) * (light > 0.15),
    }
    size = (images.shape[2], images.shape[3])
    logits = np.broadcast_to(center_bias(size, CENTER).reshape(size), light.shape).copy()
    for name, map_ in maps.items():
        smoothed = _smooth(map_, 2.0)
        apart = smoothed - smoothed.mean(axis=(1, 2), keepdims=True)
        spread = np.maximum(smoothed.std(axis=(1, 2), keepdims=True), 1e-3)
        logits += WEIGHTS[name] * np.clip(apart / spread, -_MOST, _MOST)
    densities: NDArray[np.float64] = log_softmax(logits.reshape(len(images), -1), axis=1)
    return densities


def observed(images: NDArray[np.uint8], seed: int) -> NDArray[np.int64]:
    """How many fixations of simulated observers each pixel has, ``[n, height, width]``.

    Args:
        images: ``[n, 3, height, width]`` red, green and blue, uint8.
        seed: Draws the fixations.
    """
    shares = np.exp(true_log_densities(images))
    shares /= shares.sum(axis=1, keepdims=True)
    counts = np.random.default_rng(seed).multinomial(OBSERVERS * LOOKS, shares)
    return counts.reshape(len(images), *images.shape[2:]).astype(np.int64)


def photographs(folder: str | Path | None = None) -> Dataset:
    """Crops of photographs with the fixations of simulated observers.

    Crops are 4 : 3, of a random place and of a quarter to the full height of a photograph. Those of one photograph are
    in one part only; within a part they are not independent of each other. The same versions of the packages and of
    Pillow give the same bytes.

    Args:
        folder: The folder of the photographs. None takes ``$ATTAR_PHOTOGRAPHS``, or else where Debian puts them.

    Raises:
        MissingExtra: If Pillow is not installed.
        BadInput: If a photograph is not there; the message names the Debian packages.
    """
    given = folder or os.environ.get("ATTAR_PHOTOGRAPHS")
    root = DEBIAN if given is None else Path(given)
    absent = [one for one in (*TRAIN, *VALIDATION, *TEST) if not (root / one).is_file()]
    if absent:
        rule = f"a folder with the photographs of Debian's packages {', '.join(PACKAGES)}"
        got = Words(f"{root} without {absent[0]}" + (f" and {len(absent) - 1} others" if len(absent) > 1 else ""))
        remedy = "Install them, or set ATTAR_PHOTOGRAPHS, or use simulated-gaze-generated"
        raise must("photographs", "simulated-gaze", rule, got, remedy)
    draw = np.random.default_rng(0)
    images = {
        role: np.concatenate([crops(root / one, CROPS[role], draw) for one in names])
        for role, names in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST))
    }
    return _dataset("simulated-gaze", images, "photographs of Debian's packages, simulated observers")


def generated() -> Dataset:
    """Generated images, colored patches on gradients, with the fixations of simulated observers."""
    draw = np.random.default_rng(0)
    images = {role: _scenes(count, draw) for role, count in _GENERATED.items()}
    return _dataset("simulated-gaze-generated", images, "generated images, simulated observers")


def _dataset(name: str, images: dict[str, NDArray[np.uint8]], source: str) -> Dataset:
    fixations = {role: observed(some, seed) for seed, (role, some) in enumerate(images.items())}
    task = Gaze(SIZE, fitted_center(fixations["train"]))
    splits, first = {}, 0
    for role, some in images.items():
        ids = torch.arange(first, first + len(some))
        splits[role] = Split(torch.from_numpy(some), torch.from_numpy(fixations[role]), ids, task)
        first += len(some)
    return Dataset(name, splits["train"], splits["validation"], splits["test"], source)


def _smooth(maps: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]  # it takes long to import

    smoothed: NDArray[np.float64] = gaussian_filter(maps, (0, deviation, deviation), mode="nearest")
    return smoothed


def crops(path: Path, count: int, draw: np.random.Generator) -> NDArray[np.uint8]:
    """Crops of one photograph: ``[count, 3, height, width]``.

    Args:
        path: The photograph.
        count: How many.
        draw: Places and sizes.
    """
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise missing_extra("pillow", "gaze", "Reading photographs") from error
    height, width = SIZE
    with Image.open(path) as opened:
        opened.draft("RGB", (8 * width, 8 * height))  # of a JPEG no more is read than is needed
        photograph = opened.convert("RGB")
        photograph.thumbnail((8 * width, 8 * height), Image.Resampling.BOX)
    found = np.empty((count, height, width, 3), np.uint8)
    fits = min(photograph.height, photograph.width * height / width)
    for crop in found:
        tall = fits * draw.uniform(0.25, 1.0)
        broad = tall * width / height
        top, left = draw.uniform(0, photograph.height - tall), draw.uniform(0, photograph.width - broad)
        box = (left, top, left + broad, top + tall)
        crop[:] = np.asarray(photograph.resize((width, height), Image.Resampling.BOX, box=box))
    return np.ascontiguousarray(found.transpose(0, 3, 1, 2))


def _scenes(count: int, draw: np.random.Generator) -> NDArray[np.uint8]:
    """Patches of random color, size and place on a gradient with fine noise: ``[count, 3, height, width]``."""
    down, across = (np.arange(side).reshape(shape) for side, shape in zip(SIZE, ((1, -1, 1), (1, 1, -1)), strict=True))

    def drawn(low: float | int, high: float | int, channels: Sequence[int] = ()) -> NDArray[np.float64]:
        return draw.uniform(low, high, (count, *channels, 1, 1))

    ramp = drawn(-1, 1) * (down / SIZE[0] - 0.5) + drawn(-1, 1) * (across / SIZE[1] - 0.5)
    images = drawn(0.2, 0.8, (3,)) + 0.4 * ramp[:, None]
    for _ in range(5):
        far = np.maximum(
            np.abs(down - drawn(0, SIZE[0])) / drawn(2, 8), np.abs(across - drawn(0, SIZE[1])) / drawn(2, 8)
        )
        images = np.where((far <= 1)[:, None], drawn(0, 1, (3,)), images)
    images = images + draw.normal(0, 0.03, images.shape)
    return np.round(255 * np.clip(images, 0, 1)).astype(np.uint8)
