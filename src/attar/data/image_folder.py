"""Images in folders, one for each class, as a data set whose pixels stay on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from attar.data.division import shares_of
from attar.data.image_cache import Wanted, mapped_images
from attar.data.image_files import MOST_PIXELS
from attar.data.image_listing import listing_of
from attar.data.limits import holds_images, is_folder, printable
from attar.data.split import Dataset, Split
from attar.errors import BadInput, must
from attar.formatting import grouped
from attar.tasks.classification import Classification
from attar.training.progress import Progress, silent


def is_image_folder(path: Path) -> bool:
    """Whether a folder holds images, itself or in folders."""
    return is_folder(path) and holds_images(path)


def load_image_folder(
    folder: str | Path,
    *,
    size: int | Sequence[int] | None = None,
    channels: int | None = None,
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    progress: Progress = silent,
) -> Dataset:
    """The PNG and JPEG images of a folder, which holds one folder for each class.

    Above the classes there may be folders ``train``, ``validation`` and ``test``, of which train must be there. Classes
    are called after their folders, and numbered in the order of their names; the images of a split are numbered class
    by class, in the order of theirs.

    Inputs are ``[images, channels, height, width]`` bytes. They are decoded once into a file in the user's cache, from
    which they are mapped: what is not looked at takes no memory. Names, sizes and times of change of the images tell
    whether it is still of them.

    Args:
        folder: Where they lie.
        size: Height and width to which all are stretched, or one number for both; None where they have one size.
        channels: 1 for grey, 3 for colors; None for colors where any image has some.
        validation: What is taken from train for validation, where that has no folder: a share (float) or a number of
            images (int).
        test: The same for test, taken first.
        seed: Draws the validation split.
        progress: Told the images as they are read.

    Raises:
        BadInput: If nothing says what some images are, they are of several sizes, or too many for the disk.
        CorruptFile: If a file is no image, or damaged.
        MissingExtra: If Pillow is not installed.
    """
    place = Path(folder)
    name = printable(place.resolve().name) or "images"
    wanted = Wanted(_checked_size(size, name), channels)
    if channels not in (None, 1, 3):
        raise must("channels", name, "1 for grey or 3 for colors", channels, "Leave it out to go by the images")
    if not is_folder(place):
        raise must("folder", "load_image_folder", "one with images", str(place), "Check the path")
    listing = listing_of(place)
    task = Classification(listing.classes)
    labels = {role: torch.tensor([one.label for one in images]) for role, images in listing.splits.items()}
    shares, drawn = shares_of(name, task, labels, validation, test, seed, None)
    first, begin = {}, 0
    for role, images in listing.splits.items():
        first[role] = begin
        begin += len(images)
    order = torch.cat([first[origin] + rows for origin, rows in shares.values()])
    # All splits are slices of one mapping: to choose rows would copy them into memory.
    mapped = torch.from_numpy(mapped_images(listing, wanted, order.numpy().astype(np.int64), progress))
    splits, begin = {}, 0
    for role, (origin, rows) in shares.items():
        inputs = mapped[begin : begin + len(rows)]
        splits[role] = Split(inputs, labels[origin][rows], rows, task)
        begin += len(rows)
    source = f"{grouped(begin)} images in {printable(place)}"
    if listing.others:
        source += f", where {printable(listing.others[0])}"
        source += f" and {grouped(len(listing.others) - 1)} other files are" if len(listing.others) > 1 else " is"
        source += " left out"
    return Dataset(name, splits["train"], splits["validation"], splits["test"], source, drawn)


def _checked_size(size: object, name: str) -> tuple[int, int] | None:
    """Height and width.

    Raises:
        BadInput: If they are no such numbers.
    """
    if size is None:
        return None
    pair = (size, size) if isinstance(size, int) else tuple(size) if isinstance(size, list | tuple) else ()
    if len(pair) != 2 or not all(isinstance(one, int) and not isinstance(one, bool) and one > 0 for one in pair):
        raise must("size", name, "height and width in pixels", size, "Write [48, 64], or 64 for both")
    if pair[0] * pair[1] > MOST_PIXELS:
        raise BadInput(f"size of {name} asks for {grouped(pair[0] * pair[1])} pixels an image. Use a smaller one.")
    return pair[0], pair[1]
