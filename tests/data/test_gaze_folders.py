"""Photographs with fixations of people, in folders as their authors and pysaliency leave them; written here, tiny."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from attar.data.datasets import load
from attar.data.gaze_folders import is_gaze_folder, load_gaze
from attar.errors import AttarError, BadInput, CorruptFile

SIZE = (6, 8)
TALL, WIDE = 60, 80
"""Of the images: a pixel of what is read is ten of theirs."""
POINTS = np.array([[5, 5], [25, 44], [59, 79], [25, 46]])
"""Rows and columns of fixations, counted from 0; the second and the last become one pixel."""


def expected() -> np.ndarray:
    counts = np.zeros(SIZE, np.int64)
    for row, column in ((0, 0), (2, 4), (2, 4), (5, 7)):
        counts[row, column] += 1
    return counts


def photograph(path: Path, shade: int, size: tuple[int, int] = (TALL, WIDE)) -> None:
    """Left dark, right bright."""
    pixels = np.full((*size, 3), shade, np.uint8)
    pixels[:, size[1] // 2 :] += 100
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=95)


def mask(size: tuple[int, int] = (TALL, WIDE)) -> np.ndarray:
    found = np.zeros(size, np.uint8)
    found[tuple((POINTS * np.array(size) // (TALL, WIDE)).T)] = 1
    return found


def mit1003(root: Path) -> Path:
    for number in range(6):
        size = (TALL, WIDE) if number % 2 else (WIDE, TALL)
        photograph(root / "ALLSTIMULI" / f"i{number}.jpeg", 20 + number, size)
        maps = root / "ALLFIXATIONMAPS"
        maps.mkdir(exist_ok=True)
        Image.fromarray(255 * mask(size)).save(maps / f"i{number}_fixPts.jpg", quality=75)
        Image.fromarray(mask(size)).save(maps / f"i{number}_fixMap.jpg")
    return root


def cat2000(root: Path) -> Path:
    for number in range(6):
        category = ("Action", "Art")[number % 2]
        photograph(root / "trainSet/Stimuli" / category / f"{number:03}.jpg", 20 + number)
        photograph(root / "trainSet/Stimuli" / category / "Output" / f"{number:03}_SaliencyMap.jpg", 0)
        locations = root / "trainSet/FIXATIONLOCS" / category
        locations.mkdir(parents=True, exist_ok=True)
        savemat(locations / f"{number:03}.mat", {"fixLocs": mask()}, do_compression=True)
    return root


def salicon(root: Path) -> Path:
    for split, count in (("train", 5), ("val", 2)):
        for number in range(count):
            name = f"COCO_{split}2014_{number:012}"
            photograph(root / "images" / split / f"{name}.jpg", 20 + number)
            gaze = np.zeros((3, 1), [("location", object), ("timestamp", object), ("fixations", object)])
            seen = (POINTS[:, ::-1] + 1).astype(np.uint16)
            beside = np.array([[WIDE + 1, 3], [0, 3]], np.uint16)
            for observer, fixations in enumerate((seen[:2], np.zeros((0, 2)), np.concatenate([seen[2:], beside]))):
                gaze[observer, 0] = (np.ones((4, 2)), np.arange(4.0)[:, None], fixations)
            (root / "fixations" / split).mkdir(parents=True, exist_ok=True)
            savemat(root / "fixations" / split / f"{name}.mat", {"gaze": gaze, "resolution": [[TALL, WIDE]]})
    return root


FOLDERS: dict[str, Callable[[Path], Path]] = {"MIT1003": mit1003, "CAT2000": cat2000, "SALICON": salicon}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_is_read_at_one_size(name: str, tmp_path: Path):
    root = FOLDERS[name](tmp_path / "data")
    assert is_gaze_folder(root) and not is_gaze_folder(tmp_path)
    found = load(root, size=SIZE, validation=1, test=1)
    assert found.name == name and found.task.use == "gaze" and found.task.size == SIZE
    drawn = [4, 1, 1] if name != "SALICON" else [4, 1, 2]
    assert [len(split) for split in found.splits().values()] == drawn
    for split in found.splits().values():
        assert split.inputs.shape[1:] == (3, *SIZE) and str(split.inputs.dtype) == "torch.uint8"
        assert all((counts == expected()).all() for counts in split.labels.numpy())
        left, right = split.inputs[..., :4].float(), split.inputs[..., 4:].float()
        assert left.mean() == pytest.approx(23, abs=4) and right.mean() == pytest.approx(123, abs=4)
    assert found.task.center is not None


def test_what_a_mac_puts_beside_photographs_is_none(tmp_path: Path):
    root = mit1003(tmp_path / "data")
    (root / "ALLSTIMULI" / "._i1.jpeg").write_bytes(b"Mac OS X")
    assert sum(map(len, load_gaze(root, size=SIZE, validation=1, test=1).splits().values())) == 6


def test_without_a_size_images_are_48_by_64_and_sizes_are_for_these_folders_alone(tmp_path: Path):
    assert load(mit1003(tmp_path / "data"), validation=1, test=1).task.size == (48, 64)
    with pytest.raises(BadInput, match=r"^size of load must be for folders of images alone"):
        load("digits", size=SIZE)
    with pytest.raises(BadInput, match=r"^size of a task of gaze must be height and width of densities"):
        load(tmp_path / "data", size=[1, 1])


def remove(pattern: str) -> Callable[[Path], None]:
    def work(root: Path) -> None:
        for path in sorted(root.glob(pattern), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()

    return work


def overwrite(pattern: str, content: bytes) -> Callable[[Path], None]:
    def work(root: Path) -> None:
        for path in root.glob(pattern):
            path.write_bytes(content)

    return work


def variable(pattern: str, **named: Any) -> Callable[[Path], None]:
    def work(root: Path) -> None:
        for path in root.glob(pattern):
            savemat(path, named)

    return work


HDF5 = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400)
BROKEN: list[tuple[str, Callable[[Path], None], type[AttarError], str]] = [
    ("MIT1003", remove("ALLSTIMULI/*"), BadInput, r"one with images ALLSTIMULI/\*\.jpeg; got none in .*ALLSTIMULI\."),
    ("MIT1003", remove("ALLFIXATIONMAPS/**/*"), BadInput, r"got 6 images without .*i0_fixPts\.jpg and 5 others\. Unpa"),
    ("MIT1003", remove("ALLFIXATIONMAPS/i3_fixPts.jpg"), BadInput, r"6 images without .*i3_fixPts\.jpg\. Unpack the"),
    ("MIT1003", overwrite("ALLSTIMULI/i2.jpeg", b"no"), CorruptFile, r"i2\.jpeg cannot be read as an image\. Get it"),
    ("MIT1003", overwrite("ALLFIXATIONMAPS/i2_fixPts.jpg", b""), CorruptFile, r"i2_fixPts\.jpg cannot be read as an"),
    ("CAT2000", remove("trainSet/FIXATIONLOCS/Art/*"), BadInput, r"6 images without .*Art/001\.mat and 2 others"),
    ("CAT2000", overwrite("**/000.mat", b"no"), CorruptFile, r"000\.mat cannot be read as a MATLAB file\. Get it"),
    ("CAT2000", overwrite("**/000.mat", HDF5), BadInput, r"a MATLAB file of version 5 to 7; got one of version 7\.3"),
    ("CAT2000", variable("**/000.mat", other=1), BadInput, r"000\.mat has no variable 'fixLocs'\. Use the files as"),
    ("CAT2000", variable("**/000.mat", fixLocs="a"), BadInput, r"must be a matrix that is 1 where somebody looked"),
    ("SALICON", remove("images/val/*"), BadInput, r"one with images val/\*\.jpg; got none in .*images/val\. Unpack"),
    ("SALICON", remove("fixations/val/*"), BadInput, r"got 2 images without .*000000\.mat and 1 others\. Unpack"),
    ("SALICON", variable("fixations/val/*", gaze=1), BadInput, r"must be a structure with the fixations of each obs"),
    ("SALICON", variable("fixations/val/*", gaze={"fixations": np.ones((2, 3))}), BadInput, r"got \[\[2, 3\]\]"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "kind", "words"), BROKEN)
def test_what_is_missing_or_damaged_is_said_in_a_sentence(
    name: str, change: Callable[[Path], None], kind: type[AttarError], words: str, tmp_path: Path
):
    root = FOLDERS[name](tmp_path / "data")
    change(root)
    with pytest.raises(kind, match=words) as raised:
        load_gaze(root, size=SIZE, validation=1, test=1)
    assert type(raised.value) is kind and "\n" not in str(raised.value)


def test_more_than_may_be_read_is_not_read(tmp_path: Path):
    root = cat2000(tmp_path / "data")
    with pytest.raises(BadInput, match=r"would take 5,472 bytes in memory, and 5,000 are allowed"):
        load_gaze(root, size=SIZE, max_bytes=5_000)
    with pytest.raises(BadInput, match=r"00.\.mat could take [\d,]+ bytes in memory, and 6,000 are allowed"):
        load_gaze(root, size=SIZE, max_bytes=6_000)
    with pytest.raises(BadInput, match=r"^folder of load_gaze must be one of MIT1003 \(ALLSTIMULI or .*; got '.*none'"):
        load_gaze(tmp_path / "none")


# -- as pysaliency keeps them ------------------------------------------------------------------------------------------


def write_hdf5(h5py: Any, root: Path, kind: str) -> Path:
    """What pysaliency writes, by the same names."""
    names = [f"stimuli/i{number}.jpeg" for number in range(6)]
    root.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        photograph(root / name, 20 + number)
    with h5py.File(root / "stimuli.hdf5", "w") as file:
        file.attrs.update({"type": np.bytes_("FileStimuli"), "version": np.bytes_("2.1"), "size": 6})
        file.create_dataset("filenames", data=[name.encode() for name in names], dtype=h5py.string_dtype())
    rows, columns = np.tile(POINTS + 0.4, (6, 1)).T
    with h5py.File(root / "fixations.hdf5", "w") as file:
        file.attrs.update({"type": np.bytes_(kind), "version": np.bytes_("1.0")})
        if kind == "Fixations":
            file.update({"x": columns, "y": rows, "n": np.repeat(np.arange(6), 4)})
            return root
        xs, ys = (np.full((12, 3), np.nan) for _ in range(2))
        xs[:, :2], ys[:, :2] = columns.reshape(12, 2), rows.reshape(12, 2)
        ns = np.repeat(np.arange(6), 2)
        if kind == "FixationTrains":
            file.update({"train_xs": xs, "train_ys": ys, "train_ns": ns})
        else:
            group = file.create_group("scanpaths")
            group.update({"xs": xs, "ys": ys, "n": ns, "lengths": np.full(12, 2)})
    return root


def columns_of(h5py: Any, root: Path) -> np.ndarray:
    with h5py.File(root / "fixations.hdf5") as file:
        return np.asarray(file["x"])


@pytest.mark.parametrize("kind", ["Fixations", "FixationTrains", "ScanpathFixations"])
def test_files_of_pysaliency_are_read(kind: str, tmp_path: Path):
    h5py = pytest.importorskip("h5py", reason="it reads what pysaliency keeps")
    root = write_hdf5(h5py, tmp_path, kind)
    found = load(root, size=SIZE, validation=1, test=1)
    for split in found.splits().values():
        assert all((counts == expected()).all() for counts in split.labels.numpy())
    if kind == "Fixations":
        for key, values in (("y", columns_of(h5py, root)[:-1]), ("x", np.array([b"a"] * 24)), ("n", np.zeros((24, 1)))):
            other = write_hdf5(h5py, tmp_path / key, kind)
            with h5py.File(other / "fixations.hdf5", "a") as file:
                del file[key]
                file[key] = values
            with pytest.raises(BadInput, match=r"^x, y and n of .*must be one number for each fixation; got "):
                load(other)
    (root / "stimuli" / "i3.jpeg").unlink()
    with pytest.raises(BadInput, match=r"must be images that are there; got none in .*i3\.jpeg"):
        load(root)
    (root / "stimuli.hdf5").write_bytes(b"no")
    with pytest.raises(CorruptFile, match=r"stimuli\.hdf5 is not what pysaliency writes"):
        load(root)
    (root / "stimuli.hdf5").unlink()
    with pytest.raises(BadInput, match=r"must be one with stimuli\.hdf5; got"):
        load(root)


def test_pysaliency_writes_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("h5py", reason="it reads what pysaliency keeps")
    pysaliency = pytest.importorskip("pysaliency", reason="it is built from source")
    monkeypatch.setattr(
        np, "string_", np.bytes_, raising=False
    )  # NumPy 2 has it no more, and version 0.2.22 asks for it
    names = [tmp_path / "stimuli" / f"i{number}.jpeg" for number in range(6)]
    for number, name in enumerate(names):
        photograph(name, 20 + number)
    stimuli = pysaliency.FileStimuli([str(one) for one in names], shapes=[(TALL, WIDE, 3)] * 6)
    stimuli.to_hdf5(str(tmp_path / "stimuli.hdf5"))
    rows, columns = [list(one) for one in (POINTS + 0.4).T]
    trains = pysaliency.FixationTrains.from_fixation_trains(
        [columns] * 6, [rows] * 6, [range(4)] * 6, range(6), range(6)
    )
    trains.to_hdf5(str(tmp_path / "fixations.hdf5"))
    found = load(tmp_path, size=SIZE, validation=1, test=1)
    assert all((counts == expected()).all() for counts in found.train.labels.numpy())


def test_without_h5py_what_brings_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("stimuli", "fixations"):
        (tmp_path / f"{name}.hdf5").write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(AttarError, match=r"needs the package 'h5py', which is not installed\. Run: pip install 'attar"):
        load(tmp_path)


def test_a_photograph_that_is_a_program_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def run(*_: object, **__: object) -> None:
        raise AssertionError("Pillow would start Ghostscript, which runs PostScript")

    folder = mit1003(tmp_path / "m")
    Image.new("RGB", (8, 6)).save(folder / "ALLSTIMULI" / "i0.jpeg", format="EPS")
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", run)
    with pytest.raises(CorruptFile, match=r"i0\.jpeg cannot be read as an image") as caught:
        load_gaze(folder, size=SIZE)
    assert not isinstance(caught.value.__cause__, AssertionError)
