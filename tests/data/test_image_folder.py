"""Images in one folder for each class: small ones, written here."""

from __future__ import annotations

import io
import os
import re
import resource
import signal
import struct
import sys
import threading
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from attar.data import image_cache
from attar.data.datasets import load
from attar.data.image_folder import is_image_folder, load_image_folder
from attar.data.image_listing import listing_of
from attar.errors import BadInput, CorruptFile, MissingExtra


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own place for decoded pixels."""
    place = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    return place


def save(path: Path, pixels: np.ndarray, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def shade(value: int, size: tuple[int, int] = (2, 3)) -> np.ndarray:
    return np.full(size, value, np.uint8)


def two_classes(root: Path, each: int = 5, size: tuple[int, int] = (2, 3)) -> Path:
    """Cats are 10, 11, ... and dogs 200, 201, ..., so that an image says which it is."""
    for number in range(each):
        save(root / "cat" / f"{number:03}.png", shade(10 + number, size))
        save(root / "dog" / f"{number:03}.png", shade(200 + number, size))
    return root


def files_of(cache: Path) -> list[str]:
    return sorted(str(one.relative_to(cache)) for one in cache.rglob("*") if one.is_file())


# -- what is read ------------------------------------------------------------------------------------------------------


def test_classes_are_folders_and_shares_are_drawn(tmp_path: Path):
    found = load(f"{two_classes(tmp_path / 'animals', 10)}/", validation=0.25, test=0.2)
    assert found.name == "animals" and found.classes == ("cat", "dog") and found.drawn == ("validation", "test")
    assert [len(one) for one in found.splits().values()] == [12, 4, 4]
    seen = []
    for split in found.splits().values():
        assert split.inputs.shape[1:] == (1, 2, 3) and split.inputs.dtype == torch.uint8
        values = split.inputs[:, 0, 0, 0].tolist()
        # Images are numbered class by class, ten cats first.
        assert values == [10 + one if one < 10 else 200 + one - 10 for one in split.ids.tolist()]
        assert split.labels.tolist() == [int(one >= 200) for one in values]
        seen += values
    assert sorted(seen) == [*range(10, 20), *range(200, 210)], "each is in one split"
    assert found.source == f"20 images in {tmp_path / 'animals'}"


def test_splits_are_the_same_rows_as_of_the_same_data_in_arrays(tmp_path: Path):
    root = two_classes(tmp_path / "animals", 20)
    folder = load(root, seed=3)
    pixels = np.concatenate([np.stack([shade(start + n) for n in range(20)]) for start in (10, 200)])
    np.savez(tmp_path / "a.npz", x=pixels, y=np.repeat(["cat", "dog"], 20))
    arrays = load(tmp_path / "a.npz", seed=3)
    for role, split in folder.splits().items():
        other = arrays.splits()[role]
        assert torch.equal(split.inputs, other.inputs) and torch.equal(split.ids, other.ids), role
        assert torch.equal(split.labels, other.labels)


@pytest.mark.parametrize(
    "names", [("train", "validation", "test"), ("Train", "val", "TEST"), ("train", "valid", "test")]
)
def test_splits_may_be_folders(names: tuple[str, str, str], tmp_path: Path):
    for place, name in enumerate(names):
        save(tmp_path / name / "cat" / "a.png", shade(10 * place))
        save(tmp_path / name / "dog" / "a.png", shade(10 * place + 1))
    (tmp_path / names[2] / "bird").mkdir()  # a class without images to test is none
    found = load(tmp_path)
    assert found.drawn == ()
    assert [split.inputs[:, 0, 0, 0].tolist() for split in found.splits().values()] == [[0, 1], [10, 11], [20, 21]]
    assert [split.ids.tolist() for split in found.splits().values()] == [[0, 1]] * 3


def test_what_is_missing_is_drawn_from_train(tmp_path: Path):
    two_classes(tmp_path / "train", 8)
    save(tmp_path / "test" / "dog" / "a.jpg", shade(7), quality=95)
    found = load(tmp_path, validation=4)
    assert [len(one) for one in found.splits().values()] == [12, 4, 1] and found.drawn == ("validation",)
    assert found.test.inputs[0, 0, 0, 0] == 7 and found.test.labels.tolist() == [1]


def test_a_class_may_be_called_train(tmp_path: Path):
    for name in ("bus", "train"):
        for number in range(4):
            save(tmp_path / name / f"{number}.png", shade(number))
    assert load(tmp_path, test=2, validation=2).classes == ("bus", "train")


def test_labels_predict_as_texts_and_classes_are_in_the_order_of_their_names(tmp_path: Path):
    for name in ("10", "9", "B", "a"):
        for number in range(3):
            save(tmp_path / name / f"{number}.png", shade(number))
    task = load(tmp_path, test=4, validation=4).task
    assert task.names == ("10", "9", "B", "a") and task.label_dtype == "str"


def test_links_are_followed_and_files_of_the_system_left_out(tmp_path: Path):
    root = two_classes(tmp_path / "animals")
    (tmp_path / "elsewhere").mkdir()
    (root / "dog").rename(tmp_path / "elsewhere" / "dogs")
    (root / "dog").symlink_to(tmp_path / "elsewhere" / "dogs")
    for name in (".DS_Store", "cat/Thumbs.db", "cat/._000.png", "dog/.hidden.png"):
        (root / name).write_bytes(b"x")
    (root / "__MACOSX").mkdir()
    (root / "README.txt").write_text("animals")
    (root / "cat" / "names.csv").write_text("a,b")
    found = load(root)
    assert sum(map(len, found.splits().values())) == 10 and found.classes == ("cat", "dog")
    assert found.source.endswith("where README.txt and 1 other files are left out")


# -- pixels ------------------------------------------------------------------------------------------------------------


def read_one(path: Path, **options: object) -> np.ndarray:
    """An image of a folder whose other images are like it."""
    two = path.parent.parent / "other" / f"b{path.suffix}"
    two.parent.mkdir(exist_ok=True)
    two.write_bytes(path.read_bytes())
    for number in range(2):
        for beside in (path, two):
            (beside.parent / f"{number}{path.suffix}").write_bytes(path.read_bytes())
    found = load_image_folder(path.parent.parent, validation=2, test=2, **options)
    return found.train.inputs[0].numpy()


def test_colors_are_those_of_the_files(tmp_path: Path):
    pixels = np.arange(18, dtype=np.uint8).reshape(2, 3, 3) * 10
    save(tmp_path / "a" / "x.png", pixels)
    np.testing.assert_array_equal(read_one(tmp_path / "a" / "x.png"), pixels.transpose(2, 0, 1))
    # ITU-R 601: 0.299 red + 0.587 green + 0.114 blue
    bright = np.rint(pixels @ np.array([0.299, 0.587, 0.114]))
    np.testing.assert_allclose(read_one(tmp_path / "a" / "x.png", channels=1)[0], bright, atol=1)


def test_one_image_with_colors_makes_all_of_them_colored(tmp_path: Path):
    root = two_classes(tmp_path / "animals")
    assert load(root, test=2, validation=2).train.inputs.shape[1] == 1
    save(root / "cat" / "new.png", np.zeros((2, 3, 3), np.uint8))
    found = load(root, test=2, validation=2)
    assert found.train.inputs.shape[1] == 3
    grey = found.train.inputs[found.train.labels == 1]
    assert bool((grey == grey[:, :1]).all()) and int(grey.max()) >= 200, "grey is as much of each color"
    assert load(root, test=2, validation=2, channels=1).train.inputs.shape[1] == 1


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA"])
def test_other_kinds_of_files(mode: str, tmp_path: Path):
    pixels = shade(0)
    pixels[:, 1:] = 255
    (tmp_path / "a").mkdir()
    Image.fromarray(pixels).convert(mode).save(tmp_path / "a" / "x.png")
    found = read_one(tmp_path / "a" / "x.png")
    assert found.shape == ((1, 2, 3) if mode in ("1", "LA") else (3, 2, 3))
    assert all((one == pixels).all() for one in found)


def test_colors_of_printing_become_red_green_and_blue(tmp_path: Path):
    (tmp_path / "a").mkdir()
    Image.new("CMYK", (3, 2), (0, 255, 255, 0)).save(tmp_path / "a" / "x.jpg")  # no cyan, all magenta and yellow
    found = read_one(tmp_path / "a" / "x.jpg")
    np.testing.assert_allclose(found, np.array([255, 0, 0])[:, None, None].repeat(2, 1).repeat(3, 2), atol=2)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_images_are_turned_as_the_camera_says(orientation: int, ending: str, tmp_path: Path):
    upright = np.zeros((16, 32), np.uint8)
    upright[:8, :8] = 250  # a corner, so that each of the eight is another image
    upright[:8, 8:16] = 120
    # What a camera held so has on its sensor: by the standard the 0th row and column are at ...
    stored = {
        1: upright,  # top, left
        2: upright[:, ::-1],  # top, right
        3: upright[::-1, ::-1],  # bottom, right
        4: upright[::-1],  # bottom, left
        5: upright.T,  # left, top
        6: upright.T[::-1],  # right, top: turned by 90 degrees clockwise it is upright
        7: upright.T[::-1, ::-1],  # right, bottom
        8: upright.T[:, ::-1],  # left, bottom
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100} if ending == "jpg" else {}
    save(tmp_path / "a" / f"x.{ending}", np.ascontiguousarray(stored), exif=exif, **options)
    found = read_one(tmp_path / "a" / f"x.{ending}")
    assert found.shape == (1, 16, 32)
    np.testing.assert_allclose(found[0].astype(int), upright.astype(int), atol=12)


def test_an_image_is_stretched_to_the_size(tmp_path: Path):
    pixels = np.repeat(np.repeat(np.array([[0, 100], [40, 240]], np.uint8), 8, 0), 8, 1)
    save(tmp_path / "a" / "x.png", pixels)
    with pytest.raises(
        BadInput, match=r"^size of \S+ must be height and width in pixels; got \[1\]\. Write \[48, 64\]"
    ):
        load_image_folder(tmp_path, size=[1])
    tall = read_one(tmp_path / "a" / "x.png", size=(4, 2))
    assert tall.shape == (1, 4, 2)
    # A line in four and a column in two: of the outer lines and columns nothing is mixed with others beyond half.
    assert tall[0, 0, 0] < tall[0, 3, 0] < tall[0, 0, 1] < tall[0, 3, 1]
    # Means of areas with linear weights: of all in one pixel the plain mean.
    assert abs(int(read_one(tmp_path / "a" / "x.png", size=1)[0, 0, 0]) - 95) <= 1


def test_pixels_are_what_the_line_of_the_documents_gives(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)
    save(tmp_path / "a" / "x.jpg", pixels, quality=90)
    found = read_one(tmp_path / "a" / "x.jpg", size=[12, 10])
    image = Image.open(tmp_path / "a" / "x.jpg").convert("RGB").resize((10, 12), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(found, np.asarray(image).transpose(2, 0, 1))


def test_threads_decode_large_images_to_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    draws = np.random.default_rng(0)
    for name in ("a", "b"):
        for number in range(6):
            save(tmp_path / "x" / name / f"{number}.png", draws.integers(0, 256, (8, 8, 3), np.uint8))
    alone = load(tmp_path / "x").fingerprint()
    monkeypatch.setattr(image_cache, "_WORTH_THREADS", 1)
    monkeypatch.setattr(image_cache, "_BLOCK_BYTES", 500)
    monkeypatch.setattr(image_cache, "_VERSION", -1)
    assert load(tmp_path / "x").fingerprint() == alone


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_pixels_of_any_folder_are_those_of_its_files(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("any")
    size = (data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5)))
    written: dict[tuple[str, str], np.ndarray] = {}
    for name in data.draw(st.lists(st.text("abxyzé 0_", min_size=1, max_size=4), min_size=2, max_size=4, unique=True)):
        for number in range(data.draw(st.integers(3, 6))):
            pixels = np.array(data.draw(st.lists(st.integers(0, 255), min_size=size[0] * size[1],
                                                 max_size=size[0] * size[1])), np.uint8).reshape(size)  # fmt: skip
            save(root / name / f"{number}.png", pixels)
            written[name, f"{number}.png"] = pixels
    seed = data.draw(st.integers(0, 3))
    found = load(root, seed=seed, validation=0.3, test=0.3)
    keys = sorted(written)
    assert found.classes == tuple(dict.fromkeys(name for name, _ in keys))
    ids = []
    for split in found.splits().values():
        for pixels, label, row in zip(split.inputs, split.labels, split.ids, strict=True):
            np.testing.assert_array_equal(pixels[0], written[keys[int(row)]])
            assert found.classes[int(label)] == keys[int(row)][0]
        ids += split.ids.tolist()
    assert sorted(ids) == list(range(len(keys)))


# -- the cache ---------------------------------------------------------------------------------------------------------


def count_decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    decoded: list[str] = []
    original = image_cache.pixels

    def counted(path: str, size: tuple[int, int], channels: int) -> np.ndarray:
        decoded.append(path)
        return original(path, size, channels)

    monkeypatch.setattr(image_cache, "pixels", counted)
    return decoded


def test_images_are_decoded_once(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    root = two_classes(tmp_path / "animals")
    decoded = count_decoded(monkeypatch)
    first = load(root)
    assert len(decoded) == 10
    assert load(root).fingerprint() == first.fingerprint() and len(decoded) == 10
    # Another seed draws other validation images: they are put in order anew, without being decoded.
    other = load(root, seed=5, test=0.4)
    assert len(decoded) == 10 and len(other.test) == 4
    both = [torch.cat([split.inputs for split in one.splits().values()]).sum() for one in (first, other)]
    assert both[0] == both[1]
    assert len(files_of(cache)) == 2, "the other order is gone"
    assert first.train.inputs.sum() > 0, "and stays with who had it"
    load(root, size=4)
    assert len(decoded) == 20 and len(files_of(cache)) == 4, "another size is beside it"


def test_changed_images_are_decoded_anew(tmp_path: Path, cache: Path):
    root = two_classes(tmp_path / "animals", 8)
    before = load(root)
    load(root, size=5)
    save(root / "cat" / "000.png", shade(99))
    os.utime(root / "cat" / "000.png", ns=(1, 1))
    after = load(root)
    assert after.fingerprint() != before.fingerprint()
    assert sum(int((split.inputs == 99).any()) for split in after.splits().values()) == 1
    assert len(files_of(cache)) == 2, "what was of the old images is gone, in each size"
    (root / "cat" / "000.png").unlink()
    assert sum(map(len, load(root).splits().values())) == 15


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"x" * 200])
def test_a_damaged_cache_is_made_anew(damage: bytes, tmp_path: Path, cache: Path):
    root = two_classes(tmp_path / "animals")
    good = load(root).fingerprint()
    (file,) = cache.rglob("images.npy")
    file.write_bytes(damage)
    assert load(root).fingerprint() == good
    (file,) = cache.rglob("images.npy")
    file.write_bytes(file.read_bytes()[:-3])  # cut off
    assert load(root, seed=1).fingerprint() != good and load(root).fingerprint() == good


def test_what_a_killed_process_left_counts_for_nothing(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    root = two_classes(tmp_path / "animals")
    killed = RuntimeError("killed")
    original = image_cache.pixels

    def stopping(path: str, size: tuple[int, int], channels: int) -> np.ndarray:
        if path.endswith("dog/002.png"):
            raise killed
        return original(path, size, channels)

    with monkeypatch.context() as patch:
        patch.setattr(image_cache, "pixels", stopping)
        with pytest.raises(RuntimeError, match="killed"):
            load(root)
    assert files_of(cache) == []
    load(root)
    (entry,) = [one.parent for one in cache.rglob("images.npy")]
    left = entry.with_name(".unfinished-0123-x")
    left.mkdir()
    (left / "images.npy").write_bytes(b"half of it")
    load(root, size=3)
    assert not left.exists()


def in_a_fork(work: Callable[[], object]) -> int:
    """How a process ends that does some work: 0, or less than 0 by a signal."""
    process = os.fork()
    if not process:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def test_a_process_that_is_killed_while_it_writes_leaves_nothing_that_counts(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    root = two_classes(tmp_path / "animals")
    original = image_cache._begin

    def killed(file: BinaryIO, shape: Sequence[int]) -> None:
        original(file, shape)
        file.write(b"half of it")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(image_cache, "_begin", killed)
        assert in_a_fork(lambda: load(root)) == -signal.SIGKILL
    (left,) = cache.rglob("images.npy")
    assert left.parent.name.startswith(".")
    decoded = count_decoded(monkeypatch)
    assert load(root).fingerprint() == load(root).fingerprint() and len(decoded) == 10 and not left.exists()


def test_a_disk_that_fills_while_the_cache_is_written_is_said(tmp_path: Path, cache: Path):
    root = two_classes(tmp_path / "animals")
    message = tmp_path / "message.txt"

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            load(root, size=40)
        except BadInput as error:
            message.write_text(str(error))

    assert in_a_fork(limited) == 0
    assert re.fullmatch(
        r"The pixels of '.*animals' cannot be kept in '.*' \(File too large\)\. Make room there, or set "
        r"XDG_CACHE_HOME to another folder\.",
        message.read_text(),
    )
    assert files_of(cache) == []


def test_of_two_at_once_one_decodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root = two_classes(tmp_path / "animals", 6)
    decoded = count_decoded(monkeypatch)
    found: list[str] = []
    both = [threading.Thread(target=lambda: found.append(load(root).fingerprint())) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert len(found) == 2 and found[0] == found[1] and len(decoded) == 12


def test_changes_in_memory_do_not_reach_the_cache(tmp_path: Path):
    root = two_classes(tmp_path / "animals")
    found = load(root)
    before = found.fingerprint()
    found.train.inputs.zero_()
    assert found.fingerprint() != before and load(root).fingerprint() == before


def test_a_full_disk_and_a_folder_that_cannot_be_written_are_said(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    root = two_classes(tmp_path / "animals")
    with pytest.raises(
        BadInput, match=r"10 images of '.*animals' would take .* at 50000 x 1000 pixels, and .* are free"
    ):
        monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
        load(root, size=[50000, 1000])
    monkeypatch.setenv("XDG_CACHE_HOME", str(root / "cat" / "000.png"))
    with pytest.raises(BadInput, match=r"cannot be kept in '.*' \(Not a directory\)\. Make room there, or set XDG"):
        load(root)


# -- what is refused ---------------------------------------------------------------------------------------------------


def empty(root: Path) -> None:
    (root / "bird").mkdir()


def stray(root: Path) -> None:
    save(root / "x.png", shade(1))
    save(root / "y.jpg", shade(1))


def nested(root: Path) -> None:
    save(root / "cat" / "black" / "1.png", shade(1))


def deeper(root: Path) -> None:
    (root / "cat").rename(root.parent / "cat")
    (root / "dog").rename(root.parent / "dog")
    for name in ("cat", "dog"):
        (root / "all").mkdir(exist_ok=True)
        (root.parent / name).rename(root / "all" / name)


def one_class(root: Path) -> None:
    for path in (root / "dog").iterdir():
        path.unlink()
    (root / "dog").rmdir()


def twice(root: Path) -> None:
    save(root / "cat" / "000.jpg", shade(1))


def linked(root: Path) -> None:
    (root / "puma").symlink_to(root / "cat")


def loop(root: Path) -> None:
    (root / "cat" / "again").symlink_to(root)


def itself(root: Path) -> None:
    (root / "cat" / "loop.png").symlink_to(root / "cat" / "loop.png")


def foreign(ending: str) -> Callable[[Path], None]:
    def work(root: Path) -> None:
        Image.fromarray(shade(1)).save(root / "dog" / f"a.{ending}")

    return work


def bytes_as_name(root: Path) -> None:
    os.mkdir(os.fsencode(root) + b"/\xff\xfe")  # noqa: PTH102


def line_break(root: Path) -> None:
    (root / "a\nb").mkdir()


def mixed(root: Path) -> None:
    two_classes(root / "train")


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty class": (empty, r"bird', the folder of the class 'bird', holds no PNG or JPEG image to train on\. Put some"),
    "stray images": (stray, r"^'x\.png' and 1 other images of '.*animals' lie beside the folders of the classes, so"),
    "nested": (nested, r"cat', which is taken for a class, holds the folder 'black'\. Put its images into one folder"),
    "one too high": (deeper, r"animals' holds nothing but the folder 'all', in which .* Name '.*/all' as the data\.$"),
    "one class": (one_class, r"holds images of one class to train on, 'cat', and two are needed to tell apart\. Add a"),
    "one stem": (twice, r"cat' holds '000\.jpg' and '000\.png': if that is one image twice, it could be both learned"),
    "one folder twice": (linked, r"cat' and '.*puma' are one and the same folder\. Remove the link\.$"),
    "a loop of folders": (loop, r"cat', which is taken for a class, holds the folder 'again'"),
    "a link to itself": (itself, r"loop\.png' is no file that can be opened\. Remove it\.$"),
    "GIF": (
        foreign("gif"),
        r"^'dog/a\.gif' of '.*animals' is neither PNG nor JPEG, which are the formats that are read",
    ),
    "WebP": (foreign("webp"), r"^'dog/a\.webp' of '.*animals' is neither PNG nor JPEG"),
    "no UTF-8": (bytes_as_name, r"holds a folder whose name is no printable text in UTF-8: '\\udcff\\udcfe'\. Rename"),
    "a line break": (line_break, r"holds a folder whose name is no printable text in UTF-8: 'a\\x0ab'\. Rename it"),
    "splits and classes": (mixed, r"holds 'train', in which folders of classes lie, and beside 'cat'\. Let it hold"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_folders_that_leave_something_open_are_refused(name: str, tmp_path: Path):
    work, message = REFUSED[name]
    root = two_classes(tmp_path / "animals")
    work(root)
    with pytest.raises(BadInput, match=message) as caught:
        load(root)
    assert len(str(caught.value)) < 500 and str(caught.value).encode()


def test_splits_that_leave_something_open_are_refused(tmp_path: Path):
    two_classes(tmp_path / "train")
    (tmp_path / "test").mkdir()
    with pytest.raises(
        BadInput, match=r"^The test split of '.*' holds no image\. Put some there, or remove its folder"
    ):
        load(tmp_path)
    save(tmp_path / "test" / "bird" / "1.png", shade(1))
    with pytest.raises(
        BadInput, match=r"^The class 'bird' has images in the test split of '.*' and none in train\. Add"
    ):
        load(tmp_path)
    save(tmp_path / "test" / "1.png", shade(1))
    with pytest.raises(BadInput, match=r"^'test/1\.png' of '.*' lies beside the folders of the classes"):
        load(tmp_path)
    (tmp_path / "train").rename(tmp_path / "val")
    with pytest.raises(BadInput, match=r"lies beside the folders of the classes"):
        load(tmp_path)
    (tmp_path / "test" / "1.png").unlink()
    with pytest.raises(BadInput, match=r"holds 'test' and 'val', and no folder 'train' to learn from\. Add it"):
        load(tmp_path)
    two_classes(tmp_path / "valid")
    with pytest.raises(
        BadInput, match=r"holds 'val' and 'valid', each as the validation split\. Make one folder of them"
    ):
        load(tmp_path)


def test_images_without_folders_of_classes_are_refused(tmp_path: Path):
    save(tmp_path / "loose" / "1.png", shade(1))
    with pytest.raises(BadInput, match=r"loose' holds images, and no folders that say of which class they are"):
        load(tmp_path / "loose")
    for name in ("train", "test"):
        save(tmp_path / "flat" / name / "1.png", shade(1))
    with pytest.raises(BadInput, match=r"holds 'test' and 'train', and these no folders that say of which class"):
        load(tmp_path / "flat")


def test_one_folder_for_train_and_test_is_seen(tmp_path: Path):
    two_classes(tmp_path / "train")
    (tmp_path / "test").symlink_to(tmp_path / "train")
    with pytest.raises(BadInput, match=r"train/cat' and '.*test/cat' are one and the same folder"):
        load(tmp_path)


def png(width: int, height: int, depth: int = 8, color: int = 0) -> bytes:
    """A PNG file without pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def cut_off() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()[:300]


def transparent() -> bytes:
    stream = io.BytesIO()
    Image.new("RGBA", (3, 2), (9, 9, 9, 254)).save(stream, "PNG")
    return stream.getvalue()


def moving(kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    frames = [Image.fromarray(shade(one)) for one in (1, 2)]
    frames[0].save(stream, kind, save_all=True, append_images=frames[1:])
    return stream.getvalue()


def one_frame(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(shade(1)).save(stream, kind)
    return stream.getvalue()


UNUSABLE: dict[str, tuple[bytes, str, type[BadInput]]] = {
    "empty": (b"", "cannot be read as PNG or JPEG. Get such files again, or remove them", CorruptFile),
    "text": (b"no image", "cannot be read as PNG or JPEG", CorruptFile),
    "cut off": (cut_off(), "cannot be read as PNG or JPEG", CorruptFile),
    "moving GIF": (moving("GIF"), "holds another format than PNG and JPEG, whatever its name says. Convert", BadInput),
    "BMP": (one_frame("BMP"), "holds another format than PNG and JPEG", BadInput),
    "TIFF": (one_frame("TIFF"), "holds another format than PNG and JPEG", BadInput),
    "WebP": (b"RIFF\x10\0\0\0WEBPVP8 ", "holds another format than PNG and JPEG", BadInput),
    "16 bits": (png(3, 2, 16), "has 16 bits a channel, and 8 are read. Save such images with 8 bits", BadInput),
    "16 bits of color": (png(3, 2, 16, 2), "has 16 bits a channel", BadInput),
    "transparent": (transparent(), "has transparent pixels, and nothing says what is behind them. Save such", BadInput),
    "a bomb": (png(20000, 20000), "has more than 89,478,485 pixels. Make such images smaller", BadInput),
    "half a bomb": (png(10000, 9000), "has more than 89,478,485 pixels", BadInput),
    "animated": (moving(), "has several frames. Save one frame", BadInput),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_images_that_cannot_be_used_are_named(name: str, tmp_path: Path, cache: Path):
    content, message, kind = UNUSABLE[name]
    root = two_classes(tmp_path / "animals")
    (root / "cat" / "bad.png").write_bytes(content)
    with pytest.raises(kind) as caught:
        load(root, size=4)
    assert str(caught.value).startswith(f"1 of the 11 images of '{root}' cannot be used. 'cat/bad.png': it {message}")
    assert files_of(cache) == []
    (root / "cat" / "bad.png").unlink()
    assert sum(map(len, load(root).splits().values())) == 10


def test_of_many_that_cannot_be_used_the_first_are_named_and_all_are_counted(tmp_path: Path):
    root = two_classes(tmp_path / "animals")
    for number in range(5):
        (root / "dog" / f"x{number}.png").write_bytes(b"")
    (root / "cat" / "deep.png").write_bytes(png(3, 2, 16))
    with pytest.raises(CorruptFile) as caught:
        load(root)
    assert str(caught.value) == (
        f"6 of the 16 images of '{root}' cannot be used. 'cat/deep.png': it has 16 bits a channel, and 8 are read; "
        "'dog/x0.png', 'dog/x1.png', 'dog/x2.png' and 2 more: each cannot be read as PNG or JPEG. Save such images "
        "with 8 bits a channel. Get such files again, or remove them."
    )


def test_images_of_several_sizes_need_one(tmp_path: Path):
    root = two_classes(tmp_path / "animals")
    save(root / "dog" / "large.png", shade(1, (4, 5)))
    with pytest.raises(BadInput) as caught:
        load(root)
    assert str(caught.value) == (
        f"The images of '{root}' must be of one size where data.size names none; got, height x width, 2 x 3 (10, such "
        "as 'cat/000.png'); 4 x 5 (1, such as 'dog/large.png'). Write size = [2, 3] below [data], or "
        "--set data.size=[2,3], and all of them are stretched to it."
    )
    for number in range(9):
        save(root / "dog" / f"a{number}.png", shade(1, (10 + number, 20 + number)))
    with pytest.raises(BadInput, match=r"and 8 other sizes\. Write size = \[2, 3\]"):
        load(root)
    for number in range(9):
        save(root / "cat" / f"a{number}.png", shade(1, (10 + number, 20 + number)))
    # Of 29 images 10 have 2 x 3 pixels, fewer than half: the middle of all heights, and of all widths.
    with pytest.raises(BadInput, match=r"Write size = \[11, 21\]"):
        load(root)
    assert load(root, size=4).train.inputs.shape[1:] == (1, 4, 4)


def test_settings_for_other_data_are_refused(tmp_path: Path):
    root = two_classes(tmp_path / "animals")
    with pytest.raises(BadInput, match=r"^size of load must be for folders of images alone; got 64\. Leave it out"):
        load("digits", size=64)
    with pytest.raises(BadInput, match=r"^channels of load must be for folders of images in one folder for each class"):
        load("digits", channels=3)
    with pytest.raises(BadInput, match=r"^channels of animals must be 1 for grey or 3 for colors; got 4"):
        load(root, channels=4)
    with pytest.raises(
        BadInput, match=r"^split, validation and test of load must be left out or shares \(0\.2\) for d"
    ):
        load(root, test=str(root))
    with pytest.raises(BadInput, match=r"^target, nominal and ignore of load must be for tables in files alone"):
        load(root, target="y")
    with pytest.raises(BadInput, match=r"^task of animals must be left out or 'classification'; got 'regression'"):
        load(root, task="regression")
    for size in (0, -1, [4], [4, 4, 4], [4, 0], True):
        with pytest.raises(BadInput, match=r"^size of animals must be height and width in pixels"):
            load_image_folder(root, size=size)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=r"^size of animals asks for 10,000,000,000 pixels an image"):
        load(root, size=100_000)
    assert len(load(root, classes=["dog", "cat"], limit=4).train) == 4


def test_which_folders_hold_images(tmp_path: Path):
    assert not is_image_folder(tmp_path) and not is_image_folder(tmp_path / "none")
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "x.csv").write_text("a")
    assert not is_image_folder(tmp_path)
    save(tmp_path / "a" / "b" / "c" / "1.png", shade(1))
    assert is_image_folder(tmp_path)
    listing = two_classes(tmp_path / "two")
    assert listing_of(listing).classes == ("cat", "dog")


def test_without_pillow_it_is_said_which_extra_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root = two_classes(tmp_path / "animals")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(
        MissingExtra, match=r"^Reading a folder of images needs the package 'pillow', .*'attar\[images\]'"
    ):
        load(root)
