"""Where people looked at photographs: MIT1003, CAT2000 and SALICON, in the folders in which they are handed out.

They are read where the user has them, and not fetched. Which of them a folder holds is told by what lies in it:

- MIT1003: ``ALLSTIMULI/NAME.jpeg`` and ``ALLFIXATIONMAPS/NAME_fixPts.jpg``, a black image with a white pixel for each
  fixation. Two fixations on one pixel count once, and whether the first one of each observer, at the middle, is among
  them is not known here. The traces of ``DATA`` are not read: MATLAB code of the authors makes fixations of them.
- CAT2000: ``Stimuli/CATEGORY/NAME.jpg`` and ``FIXATIONLOCS/CATEGORY/NAME.mat``, whose ``fixLocs`` is 1 where somebody
  looked; ``trainSet`` may be above both. The test images come without fixations.
- SALICON: ``images/train/NAME.jpg`` and ``fixations/train/NAME.mat``, whose ``gaze`` has the ``fixations`` of each
  observer, columns and rows counted from 1; the same in ``val``, which become the test data. The mouse was followed,
  not the eye.
- any of them as pysaliency keeps it: ``stimuli.hdf5`` and ``fixations.hdf5``, or both for ``_train`` and ``_val``.

None of these data could be seen while this was written: the layouts are as pysaliency and other public programs read
them, which agree. Files that are called otherwise, as in another edition, are refused with a sentence.

References:
    Judd, Ehinger, Durand, Torralba, *Learning to predict where humans look*, 2009. Borji, Itti, *CAT2000: a large scale
    fixation dataset for boosting saliency research*, 2015. arXiv:1505.03581. Jiang, Huang, Duan, Zhao, *SALICON:
    saliency in context*, 2015.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.data.arrays import from_arrays
from attar.data.gaze_hdf5 import from_pysaliency
from attar.data.gaze_images import SIZE, Images, gray, places_of, read_images
from attar.data.limits import DEFLATED, allowed, is_file, is_folder, printable, too_large
from attar.data.split import Dataset
from attar.errors import BadInput, CorruptFile, Words, must
from attar.tasks.gaze import Gaze
from attar.training.progress import Progress, silent

_WHITE = 128
"""A pixel of at least this brightness was fixated; JPEG makes those beside it less than black and white."""


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """How one set of data lies in a folder.

    Attributes:
        name: What it is called.
        signs: What it is told by, relative to the folder: one of them is enough.
        read: Its images by ``train`` and ``test``; without ``test`` they are drawn.
    """

    name: str
    signs: tuple[str, ...]
    read: Callable[[Path, int], dict[str, Images]]


def is_gaze_folder(folder: Path) -> bool:
    """Whether a folder looks like one of those that `load_gaze` reads."""
    return is_folder(folder) and _layout_of(folder) is not None


def load_gaze(
    folder: str | Path,
    *,
    size: Sequence[int] | None = None,
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    max_bytes: int | None = None,
    progress: Progress = silent,
) -> Dataset:
    """Photographs with the fixations of people, all scaled to one size.

    An image is stretched to that size, and its fixations with it; one that fell outside of it is left out.

    Args:
        folder: Where the data lie, see above.
        size: Height and width of images and densities; None for 48 x 64.
        validation: What is taken from train for validation: a share (float) or a number of images (int).
        test: The same for test, where the data have none.
        seed: Draws the validation split.
        max_bytes: Bytes that the data may take in memory; None for half of what there is.
        progress: Told the images as they are read.

    Raises:
        BadInput: If something is not there, or more than may be read.
        CorruptFile: If a file is damaged.
        MissingExtra: If Pillow, or h5py for what pysaliency keeps, is not installed.
    """
    place = Path(folder)
    layout = _layout_of(place) if is_folder(place) else None
    if layout is None:
        names = ", ".join(f"{one.name} ({' or '.join(one.signs)})" for one in _LAYOUTS)
        raise must("folder", "load_gaze", f"one of {names}", printable(place), "Check the path")
    asked: Any = SIZE if size is None else tuple(size) if isinstance(size, Sequence) else size
    task = Gaze(asked)
    most = allowed(max_bytes)
    found = layout.read(place, most)
    count = sum(len(one.files) for one in found.values())
    height, width = task.size
    if (needed := count * height * width * (3 + 2 * np.dtype(np.int64).itemsize)) > most:
        raise too_large(f"{printable(place)} would take", needed, most)
    arrays: dict[str, Any] = {"task": Gaze.use}
    with progress(f"read {layout.name}", total=count) as advance:
        for role, images in found.items():
            ending = f"_{role}" if len(found) > 1 else ""
            arrays[f"x{ending}"], arrays[f"y{ending}"] = read_images(images, task.size, advance)
    source = f"{layout.name} in {printable(place)}"
    return from_arrays(layout.name, arrays, source=source, validation=validation, test=test, seed=seed)


def _layout_of(folder: Path) -> _Layout | None:
    return next((one for one in _LAYOUTS if any((folder / sign).exists() for sign in one.signs)), None)


def _paired(
    name: str, images: Path, pattern: str, other: Callable[[Path], Path]
) -> tuple[Sequence[Path], Sequence[Path]]:
    """Images of a folder in the order of their names, and the file of each with its fixations.

    Raises:
        BadInput: If there are none, or one has no such file.
    """
    # A Mac puts files beside others that are called as they are, with "._" before.
    files = [one for one in sorted(images.glob(pattern)) if not one.name.startswith(".")] if is_folder(images) else []
    if not files:
        raise must("folder", name, f"one with images {images.name}/{pattern}", Words(f"none in {printable(images)}"),
                   "Unpack them there")  # fmt: skip
    others = [other(one) for one in files]
    absent = [one for one in others if not is_file(one)]
    if absent:
        others_too = f" and {len(absent) - 1} others" if len(absent) > 1 else ""
        raise must("folder", name, "one with the fixations of each image", Words(
            f"{len(files)} images without {printable(absent[0])}{others_too}"), "Unpack the fixations, too"
        )  # fmt: skip
    return files, others


# -- MIT1003 -----------------------------------------------------------------------------------------------------------


def _mit1003(folder: Path, most: int) -> dict[str, Images]:
    maps = folder / "ALLFIXATIONMAPS"
    files, points = _paired("MIT1003", folder / "ALLSTIMULI", "*.jpeg", lambda one: maps / f"{one.stem}_fixPts.jpg")

    def places(number: int, size: tuple[int, int]) -> NDArray[np.float64]:
        pixels = gray(points[number])
        rows, columns = np.nonzero(pixels >= _WHITE)
        return places_of(rows, columns, pixels.shape)

    return {"train": Images(files, places)}


# -- CAT2000 -----------------------------------------------------------------------------------------------------------


def _cat2000(folder: Path, most: int) -> dict[str, Images]:
    folder = folder / "trainSet" if (folder / "trainSet").is_dir() else folder
    locations = folder / "FIXATIONLOCS"
    files, matrices = _paired(
        "CAT2000", folder / "Stimuli", "*/*.jpg", lambda one: locations / one.parent.name / f"{one.stem}.mat"
    )

    def places(number: int, size: tuple[int, int]) -> NDArray[np.float64]:
        found = _variable(matrices[number], "fixLocs", most)
        if found.ndim != 2 or found.dtype.kind not in "biuf":
            rule = "a matrix that is 1 where somebody looked"
            raise must("fixLocs", printable(matrices[number]), rule, Words(f"{found.dtype} {list(found.shape)}"),
                       "Use the files as they were handed out")  # fmt: skip
        rows, columns = np.nonzero(found > 0)
        return places_of(rows, columns, found.shape)

    return {"train": Images(files, places)}


# -- SALICON -----------------------------------------------------------------------------------------------------------


def _salicon(folder: Path, most: int) -> dict[str, Images]:
    return {"train": _salicon_split(folder, "train", most), "test": _salicon_split(folder, "val", most)}


def _salicon_split(folder: Path, split: str, most: int) -> Images:
    fixations = folder / "fixations" / split
    files, matrices = _paired("SALICON", folder / "images" / split, "*.jpg", lambda one: fixations / f"{one.stem}.mat")

    def places(number: int, size: tuple[int, int]) -> NDArray[np.float64]:
        path = matrices[number]
        gaze = _variable(path, "gaze", most)
        if gaze.dtype.names is None or "fixations" not in gaze.dtype.names:
            rule = "a structure with the fixations of each observer"
            raise must("gaze", printable(path), rule, Words(f"{gaze.dtype}"), "Use the files as they were handed out")
        found = [np.asarray(one["fixations"]) for one in gaze.ravel()]
        if any(one.dtype.kind not in "iuf" or (one.size and one.shape[1:] != (2,)) for one in found):
            rule = "[n, 2] columns and rows, for each observer"
            raise must("gaze.fixations", printable(path), rule, Words(str([list(one.shape) for one in found][:5])),
                       "Use the files as they were handed out")  # fmt: skip
        points = np.concatenate([np.zeros((0, 2)), *(one for one in found if one.size)])
        return places_of(points[:, 1] - 1, points[:, 0] - 1, size)  # MATLAB counts from 1

    return Images(files, places)


def _variable(path: Path, name: str, most: int) -> NDArray[Any]:
    """A variable of a MATLAB file; nothing of such a file is run.

    Raises:
        BadInput: If it has none of this name, or is larger than may be read.
        CorruptFile: If it is damaged.
    """
    from scipy.io import loadmat  # type: ignore[import-untyped]  # it takes long to import

    if (size := path.stat().st_size * DEFLATED) > most:
        raise too_large(f"{printable(path)} could take", size, most)
    try:
        found = loadmat(path, variable_names=[name])
    except NotImplementedError:
        rule = "a MATLAB file of version 5 to 7"
        raise must("fixations", printable(path), rule, Words("one of version 7.3"), "Save it anew with -v7") from None
    except MemoryError:
        raise
    except Exception as error:  # damaged files make it raise anything
        raise CorruptFile(f"{printable(path)} cannot be read as a MATLAB file. Get it again.") from error
    if name not in found:
        raise BadInput(f"{printable(path)} has no variable {name!r}. Use the files as they were handed out.")
    array: NDArray[Any] = np.asarray(found[name])
    return array


_LAYOUTS = (
    _Layout(name="MIT1003", signs=("ALLSTIMULI", "ALLFIXATIONMAPS"), read=_mit1003),
    _Layout(name="CAT2000", signs=("Stimuli", "FIXATIONLOCS", "trainSet"), read=_cat2000),
    _Layout(name="SALICON", signs=("fixations",), read=_salicon),
    _Layout(name="gaze", signs=("fixations.hdf5", "fixations_train.hdf5"), read=from_pysaliency),
)
"""Those of pysaliency come last: it puts images into a folder of their own, ``stimuli``."""
