"""Which images lie in a folder: their classes, their splits and their digest. No image is opened."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from attar.data.division import ROLES, SPLITS
from attar.data.limits import IMAGE_ENDINGS, printable
from attar.errors import BadInput

ENDINGS = (".png", ".jpg", ".jpeg")
"""How the names of images end that are read."""

_SYSTEM = ("thumbs.db", "desktop.ini", "__macosx", "@eadir")
"""What file managers leave in folders, besides names that begin with a dot."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image of a listing.

    Attributes:
        path: Relative to the folder of the listing.
        label: Number of its class.
        size_bytes: Of its file.
        changed: When the file was, in nanoseconds.
    """

    path: str
    label: int
    size_bytes: int
    changed: int


@dataclass(frozen=True)
class Listing:
    """The images of a folder.

    Attributes:
        folder: Where they lie.
        classes: Names of the folders of classes, in order.
        splits: By ``train``, and ``validation`` and ``test`` where these have folders of their own, the images in the
            order of their names.
        others: Files that are no images, relative to the folder, which are left out.
    """

    folder: Path
    classes: tuple[str, ...]
    splits: dict[str, list[Image]]
    others: tuple[str, ...]

    @property
    def images(self) -> list[Image]:
        """All of them, those to train on first."""
        return [image for images in self.splits.values() for image in images]

    def digest(self) -> str:
        """SHA-256 (hex) of names, sizes and times of change: of other images it is another."""
        digest = hashlib.sha256()
        for role, images in self.splits.items():
            digest.update(f"{role} {len(images)}\n".encode())
            for image in images:
                digest.update(os.fsencode(image.path) + f"\0{image.size_bytes} {image.changed}\n".encode())
        return digest.hexdigest()


def listing_of(folder: Path) -> Listing:
    """The images of a folder: one folder for each class, and above these perhaps one for each split.

    Files that are no images are left out, and so is what begins with a dot. Links are followed.

    Raises:
        BadInput: If the classes or splits of some images are open, a class has none to train on, or some could be in
            two splits.
    """
    top = _Folder(folder, "")
    others = list(top.others)
    if not top.folders:
        _refuse_without_folders(top)
    named = {name: ROLES[name.lower()] for name in top.folders if name.lower() in ROLES}
    if not any(top.inside(name).folders for name in named):
        if len(named) == len(top.folders):
            raise BadInput(
                f"{top} holds {_listed(named)}, and these no folders that say of which class their images are. Put "
                "them into one folder for each class, such as train/cat/1.png."
            )
        return _checked(folder, {"train": _of_classes(top, others)}, others)
    if unnamed := [name for name in top.folders if name not in named]:
        raise BadInput(
            f"{top} holds {_listed(named)}, in which folders of classes lie, and beside {_quoted(unnamed[0])}. Let it "
            "hold train, validation and test alone, or the folders of the classes."
        )
    _refuse_images_in(top, "the folders of the splits")
    found: dict[str, dict[str, _Class]] = {}
    for role in SPLITS:
        names = [name for name, its in named.items() if its == role]
        if len(names) > 1:
            raise BadInput(f"{top} holds {_listed(names)}, each as the {role} split. Make one folder of them.")
        if names:
            found[role] = _of_classes(top.inside(names[0]), others)
    if "train" not in found:
        raise BadInput(f"{top} holds {_listed(named)}, and no folder 'train' to learn from. Add it.")
    return _checked(folder, found, others)


class _Folder:
    """What lies in one folder, by kind and in the order of the names."""

    def __init__(self, root: Path, path: str) -> None:
        """Look into it.

        Args:
            root: The folder that the user named.
            path: Which folder of it, relative.

        Raises:
            BadInput: If it cannot be looked into, or a name of a folder in it is no text.
        """
        self.root, self.path = root, path
        self.folders: list[str] = []
        self.images: list[os.DirEntry[str]] = []
        self.foreign: list[str] = []
        self.others: list[str] = []
        try:
            with os.scandir(root / path) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
            status = (root / path).stat()
        except OSError as error:
            raise BadInput(
                f"{self} cannot be opened ({error.strerror}). Give yourself the right to read it."
            ) from error
        self.identity = (status.st_dev, status.st_ino)
        for entry in found:
            if entry.name.startswith(".") or entry.name.lower() in _SYSTEM:
                continue
            ending = Path(entry.name).suffix.lower()
            if _is_folder(entry):
                self.folders.append(entry.name)
            elif ending in ENDINGS:
                self.images.append(entry)
            elif ending in IMAGE_ENDINGS:
                self.foreign.append(entry.name)
            else:
                self.others.append(self.inner(entry.name))
        for name in self.folders:
            if any(0xD800 <= ord(one) <= 0xDFFF for one in name) or not name.isprintable():
                raise BadInput(
                    f"{self} holds a folder whose name is no printable text in UTF-8: '{printable(name)}'. Rename it, "
                    "as classes are called after their folders."
                )

    def inner(self, name: str) -> str:
        """A name in it, relative to the root."""
        return f"{self.path}/{name}" if self.path else name

    def inside(self, name: str) -> _Folder:
        """One of its folders."""
        return _Folder(self.root, self.inner(name))

    def __str__(self) -> str:
        return _shown(self.root / self.path)


@dataclass(frozen=True, slots=True)
class _Class:
    """The images of one class in one split: path, size and time of change of each, and what its folder is."""

    identity: tuple[int, int]
    path: str
    images: list[tuple[str, int, int]]


def _of_classes(folder: _Folder, others: list[str]) -> dict[str, _Class]:
    """The images of each class of a folder that holds one folder for each; files that are none go to the others.

    Raises:
        BadInput: If images or folders lie where they belong to no class, or there are two of one name.
    """
    _refuse_images_in(folder, "the folders of the classes")
    found: dict[str, _Class] = {}
    for name in folder.folders:
        one = folder.inside(name)
        if one.folders:
            if len(folder.folders) == 1 and any(_has_images(one.inside(name)) for name in one.folders):
                raise BadInput(
                    f"{folder} holds nothing but the folder {_quoted(name)}, in which folders with images lie. Name "
                    f"{one} as the data."
                )
            raise BadInput(
                f"{one}, which is taken for a class, holds the folder {_quoted(one.folders[0])}. Put its images into "
                "one folder for each class, without folders in it."
            )
        _refuse_foreign(one)
        _refuse_equal_stems(one)
        found[name] = _Class(one.identity, one.path, [_described(one, entry) for entry in one.images])
        others += one.others
    return found


def _has_images(folder: _Folder) -> bool:
    return bool(folder.images or folder.folders)


def _checked(folder: Path, found: dict[str, dict[str, _Class]], others: Sequence[str]) -> Listing:
    """The listing of what was found in each split.

    Raises:
        BadInput: If there is one class, one without images to train on, or one folder under two names.
    """
    train = found["train"]
    where = _shown(folder)
    for name, one in train.items():
        if not one.images:
            raise BadInput(
                f"{_shown(folder / one.path)}, the folder of the class {_quoted(name)}, holds no PNG or JPEG image to "
                "train on. Put some there, or remove the folder."
            )
    if len(train) < 2:
        raise BadInput(
            f"{where} holds images of one class to train on, {_listed(train)}, and two are needed to tell apart. Add "
            "a folder for each other class."
        )
    seen: dict[tuple[int, int], str] = {}
    for role, classes in found.items():
        for name, one in classes.items():
            if name not in train and one.images:
                raise BadInput(
                    f"The class {_quoted(name)} has images in the {role} split of {where} and none in train. Add some "
                    "to train, or remove the folder."
                )
            if (other := seen.setdefault(one.identity, one.path)) != one.path:
                raise BadInput(
                    f"{_shown(folder / other)} and {_shown(folder / one.path)} are one and the same folder. Remove "
                    "the link."
                )
        if not any(one.images for one in classes.values()):
            raise BadInput(f"The {role} split of {where} holds no image. Put some there, or remove its folder.")
    names = tuple(train)
    number = {name: place for place, name in enumerate(names)}
    splits = {
        role: [
            Image(path, number[name], size_bytes, changed)
            for name, one in classes.items()
            for path, size_bytes, changed in one.images
        ]
        for role, classes in found.items()
    }
    return Listing(folder, names, splits, tuple(others))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is one, or a link to one; a link that leads to itself leads nowhere."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _described(folder: _Folder, entry: os.DirEntry[str]) -> tuple[str, int, int]:
    """Path, size and time of change of an image."""
    try:
        status = entry.stat()
        if entry.is_file():
            return folder.inner(entry.name), status.st_size, status.st_mtime_ns
    except OSError:
        pass
    raise BadInput(f"{_shown(folder.root / folder.inner(entry.name))} is no file that can be opened. Remove it.")


def _refuse_without_folders(top: _Folder) -> None:
    if top.images or top.foreign:
        raise BadInput(
            f"{top} holds images, and no folders that say of which class they are. Put them into one folder for each "
            "class, such as cat/1.png and dog/1.png."
        )
    raise BadInput(f"{top} holds no folder with images. Put images into one folder for each class.")


def _refuse_images_in(folder: _Folder, beside: str) -> None:
    """Raise where images lie beside folders, so that nothing says what they are."""
    loose = [entry.name for entry in folder.images] + folder.foreign
    if loose:
        others = f" and {len(loose) - 1:,} other images" if len(loose) > 1 else ""
        verb = "lie" if others else "lies"
        raise BadInput(
            f"{_quoted(folder.inner(loose[0]))}{others} of {_shown(folder.root)} {verb} beside {beside}, so that "
            "nothing says of which class. Move them into one, or out."
        )


def _refuse_foreign(folder: _Folder) -> None:
    if folder.foreign:
        others = f" and {len(folder.foreign) - 1:,} others" if len(folder.foreign) > 1 else ""
        raise BadInput(
            f"{_quoted(folder.inner(folder.foreign[0]))}{others} of {_shown(folder.root)} {'are' if others else 'is'} "
            "neither PNG nor JPEG, which are the formats that are read. Convert them, for instance with "
            "PIL.Image.open(...).convert('RGB').save('1.png'), or move them out."
        )


def _refuse_equal_stems(folder: _Folder) -> None:
    """Raise where two files have one name but for the ending: one image twice could be in train and in test."""
    seen: dict[str, str] = {}
    for entry in folder.images:
        other = seen.setdefault(Path(entry.name).stem, entry.name)
        if other != entry.name:
            raise BadInput(
                f"{folder} holds {_quoted(other)} and {_quoted(entry.name)}: if that is one image twice, it could be "
                "both learned from and tested on. Remove one of them, or rename it if they differ."
            )


def _listed(names: Iterable[str]) -> str:
    return " and ".join(map(_quoted, names))


def _quoted(name: str) -> str:
    return f"'{printable(name)}'"


def _shown(path: Path) -> str:
    return _quoted(str(path))
