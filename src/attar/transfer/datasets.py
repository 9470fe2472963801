"""Data sets in memory: examples with labels and ids, in three splits, and where they come from."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import sklearn.datasets
import torch
from torch import Tensor

from attar.errors import CorruptFile, NothingMatched, must, near
from attar.network.describe import resolve
from attar.training.batch import ABSENT
from attar.training.progress import Progress, silent
from attar.transfer import fashion_mnist
from attar.transfer.stratify import stratified

_TEST, _VALIDATION, _LIMIT = -1, -2, -3
"""Streams of the draws that divide a data set; those of the views are 0 and above."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Split:
    """Examples that are used for one purpose.

    Attributes:
        inputs: ``[n, ...]``, float32, or uint8 for pixels, which `floats` scales to 0..1.
        labels: ``[n]`` int64 class numbers, `ABSENT` (-1) where unknown; None without labels.
        ids: ``[n]`` int64, all different: the row of each example in the file or array it came from. They stay with
            the example through every subset.
        classes: Names of the classes; a label is the index of its name.

    Raises:
        BadInput: If shapes, types or values break these rules, or an input is NaN or infinite.
    """

    inputs: Tensor
    labels: Tensor | None
    ids: Tensor
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.inputs.dtype not in (torch.float32, torch.uint8):
            remedy = "Convert them, for instance with .float()"
            raise must("inputs", "Split", "float32, or uint8 for pixels", self.inputs.dtype, remedy)
        if self.inputs.dim() < 2:
            remedy = "Give each example at least one value, for instance with .reshape(n, -1)"
            raise must("inputs", "Split", "[n, ...] with at least two axes", tuple(self.inputs.shape), remedy)
        if self.inputs.is_floating_point() and not self.inputs.isfinite().all():
            row = int((~self.inputs.isfinite()).flatten(1).any(1).nonzero()[0])
            raise must("inputs", "Split", "finite", f"NaN or infinity in row {row}", "Remove or repair such rows")
        for name, column in (("ids", self.ids), ("labels", self.labels)):
            if column is None:
                continue
            if column.dtype != torch.int64:
                raise must(name, "Split", "int64", column.dtype, "Convert them with .long()")
            if column.shape != (len(self),):
                raise must(
                    name, "Split", f"one for each of the {len(self)} rows", tuple(column.shape), "Leave none out"
                )
        repeated = int((self.ids.sort().values.diff() == 0).sum())
        if repeated:
            remedy = "Number the rows, for instance with torch.arange(n)"
            raise must("ids", "Split", "all different", f"{repeated} repeated", remedy)
        if (
            self.labels is not None
            and len(self)
            and not -1 <= self._extreme(min) <= self._extreme(max) < len(self.classes)
        ):
            got = f"{self._extreme(min)} .. {self._extreme(max)}"
            rule = f"from 0 to {len(self.classes) - 1} (there are {len(self.classes)} classes), or -1 where unknown"
            raise must("labels", "Split", rule, got, "Number the classes from 0, or name all of them in classes")

    def __len__(self) -> int:
        return self.inputs.shape[0]

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.inputs.shape[1:]))
        kind = str(self.inputs.dtype).removeprefix("torch.")
        return f"Split({len(self)} examples of {shape} {kind}, {len(self.classes)} classes)"

    def rows(self, indices: Tensor | slice) -> Split:
        """A part of the split, with the same ids; a slice shares its memory.

        Args:
            indices: Positions (int64, each at most once), a bool mask, or a slice.
        """
        labels = None if self.labels is None else self.labels[indices]
        return Split(self.inputs[indices], labels, self.ids[indices], self.classes)

    def floats(self, indices: Tensor | slice | None = None) -> Tensor:
        """The inputs as float32, pixels scaled to 0..1.

        Args:
            indices: Positions (int64), a bool mask, or a slice; None for all. Float inputs share their memory where a
                slice or all are asked for.
        """
        if indices is None:
            chosen = self.inputs
        elif isinstance(indices, Tensor) and indices.dtype == torch.int64:
            chosen = self.inputs.index_select(0, indices)
        else:
            chosen = self.inputs[indices]
        return chosen.float().div_(255.0) if chosen.dtype == torch.uint8 else chosen

    def fingerprint(self) -> str:
        """SHA-256 (hex) of everything in the split."""
        digest = hashlib.sha256()
        for name in ("inputs", "labels", "ids"):
            tensor: Tensor | None = getattr(self, name)
            if tensor is None:
                digest.update(f"{name} absent\n".encode())
                continue
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().data)
        digest.update(repr(self.classes).encode())
        return digest.hexdigest()

    def _extreme(self, which: Callable[[Sequence[int]], int]) -> int:
        assert self.labels is not None
        return which([int(value) for value in self.labels.aminmax()])


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Dataset:
    """A task: examples to train on, to choose by, and to report on.

    Attributes:
        name: What it is called in reports.
        train: What is learned from; labels may be unknown for some or all rows.
        validation: What every choice is made on; labeled.
        test: What is read once, at the end; labeled.
        classes: Names of the classes, the same in every split.
        source: Where the data came from, in words.

    Raises:
        BadInput: If the splits do not fit each other, or a class has no example to learn from.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    source: str

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise must("classes", self.name, "two or more different names", self.classes, "Name each class once")
        expected = (tuple(self.train.inputs.shape[1:]), str(self.train.inputs.dtype))
        for role, split in self.splits().items():
            of = f"the {role} split of {self.name}"
            if split.classes != self.classes:
                raise must("classes", of, f"those of the data set, {self.classes}", split.classes, "Use the same names")
            if len(split) == 0:
                raise must("inputs", of, "at least one example", "none", "Give more rows or another share")
            got = (tuple(split.inputs.shape[1:]), str(split.inputs.dtype))
            if got != expected:
                remedy = "Bring all splits into one form"
                raise must("inputs", of, f"of shape {expected[0]} and type {expected[1]} as in train", got, remedy)
            if role != "train" and (split.labels is None or bool((split.labels == ABSENT).any())):
                remedy = "Label every row, or leave the unlabeled rows to train"
                raise must("labels", of, "known for every row", "unknown ones", remedy)
        if self.train.labels is not None and bool((self.train.labels != ABSENT).any()):
            counts = torch.bincount(self.train.labels[self.train.labels != ABSENT], minlength=len(self.classes))
            empty = [name for name, count in zip(self.classes, counts.tolist(), strict=True) if count == 0]
            if empty:
                remedy = "Leave the class out of classes, or give examples of it"
                raise must("labels", f"the train split of {self.name}", "of every class", f"none of {empty}", remedy)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{role} {len(split)}" for role, split in self.splits().items())
        shape = " x ".join(map(str, self.train.inputs.shape[1:]))
        return f"Dataset({self.name}: {sizes}; inputs {shape}; {len(self.classes)} classes; from {self.source})"

    def splits(self) -> dict[str, Split]:
        """The three splits by their names."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def fingerprint(self) -> str:
        """SHA-256 (hex) of the three splits."""
        return hashlib.sha256("".join(split.fingerprint() for split in self.splits().values()).encode()).hexdigest()


def load(
    name: str | Path,
    *,
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    limit: int | None = None,
    progress: Progress = silent,
) -> Dataset:
    """The data set of a name, a file or a function.

    Args:
        name: ``"digits"``, ``"fashion-mnist"``, a path that ends in ``.npz`` (see `load_npz`), or
            ``"package.module:function"`` (see `load_function`).
        validation: What is taken from train for validation, stratified by class: a share (float) or a number of
            examples (int). Not used if the source has a validation split.
        test: The same for test, taken first. Not used if the source has a test split. It does not depend on ``seed``.
        seed: Draws the validation split.
        classes: Keep the examples of these classes only, numbered in this order. Done after the splits are drawn, so
            that each split is a part of what it is without the filter.
        limit: Keep at most so many examples of each split, stratified; for trying things out.
        progress: Shown while something is downloaded.

    Raises:
        NothingMatched: If a class is not in the data.
        CorruptFile: If a file is damaged.
        BadInput: If the name is not known, or the data break a rule of `Split` or `Dataset`.

    Example:
        >>> load("digits", classes=["3", "8"], limit=50)
        Dataset(digits: train 50, validation 29, test 50; inputs 1 x 8 x 8; 2 classes; from scikit-learn's digits)
    """
    text = str(name)
    if text.endswith(".npz"):
        dataset = load_npz(Path(name), validation=validation, test=test, seed=seed)
    elif text == "digits":
        dataset = load_digits(validation=validation, test=test, seed=seed)
    elif text == "fashion-mnist":
        dataset = load_fashion_mnist(validation=validation, seed=seed, progress=progress)
    elif ":" in text:
        dataset = load_function(text, validation=validation, test=test, seed=seed)
    else:
        rule = "'digits', 'fashion-mnist', a path to an .npz file, or 'package.module:function'"
        raise must("name", "load", rule, text, near(text, ["digits", "fashion-mnist"]))
    if classes is not None:
        dataset = keep_classes(dataset, classes)
    return dataset if limit is None else shrink(dataset, limit)


def load_digits(*, validation: float | int = 0.1, test: float | int = 0.2, seed: int = 0) -> Dataset:
    """Handwritten digits of 8 x 8 pixels (float32, 0..1), 1797 of them; they come with scikit-learn.

    References:
        Alpaydin, Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning Repository, 1998; the
        part for testing.
    """
    digits = sklearn.datasets.load_digits()
    images = torch.from_numpy(digits.images).float().div_(16.0).unsqueeze(1)
    everything = _split(images, torch.from_numpy(digits.target).long(), tuple(map(str, range(10))))
    return _divided("digits", "scikit-learn's digits", {"train": everything}, validation, test, seed)


def load_fashion_mnist(
    folder: str | Path | None = None,
    download: bool = True,
    progress: Progress = silent,
    *,
    validation: float | int = 0.1,
    seed: int = 0,
    addresses: Sequence[str] = fashion_mnist.ADDRESSES,
) -> Dataset:
    """Pictures of clothes, 28 x 28 pixels (uint8), 60,000 to train on and 10,000 for test.

    Args:
        folder: The folder with the four files. None looks in ``$ATTAR_DATA/fashion-mnist``, ``$ATTAR_DATA``, the folder
            of the Debian package ``dataset-fashion-mnist`` and the user's cache.
        download: Whether to download what is not there.
        progress: Told the bytes as they arrive.
        validation: What is taken from train for validation: a share (float) or a number of examples (int).
        seed: Draws the validation split.
        addresses: Where to download from.

    Raises:
        BadInput: If the files are nowhere and cannot be downloaded.
        CorruptFile: If a file is not the published one.

    References:
        Xiao, Rasul, Vollgraf, *Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms*,
        2017. arXiv:1708.07747
    """
    where = None if folder is None else Path(folder)
    files = fashion_mnist.read(fashion_mnist.find(where, download=download, addresses=addresses, progress=progress))
    splits = {
        "train": _split(files.train_images.unsqueeze(1), files.train_labels.long(), fashion_mnist.CLASSES),
        "test": _split(files.test_images.unsqueeze(1), files.test_labels.long(), fashion_mnist.CLASSES),
    }
    return _divided("fashion-mnist", "Fashion-MNIST by Zalando Research", splits, validation, 0.0, seed)


def load_npz(path: str | Path, *, validation: float | int = 0.1, test: float | int = 0.2, seed: int = 0) -> Dataset:
    """The data set in a NumPy archive.

    Args:
        path: An ``.npz`` file with the arrays that `from_arrays` takes. Nothing in it is ever unpickled.
        validation: As in `load`.
        test: As in `load`.
        seed: As in `load`.

    Raises:
        CorruptFile: If it is not an ``.npz`` file, is truncated, or holds Python objects.
        BadInput: If there is no such file, or the arrays break a rule.
    """
    path = Path(path)
    if not path.is_file():
        raise must("path", "load_npz", "an existing file", path, "Check the path; it is relative to the working folder")
    remedy = "Write it again with numpy.savez, with plain numbers and strings only"
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            single = isinstance(archive, np.ndarray)
            arrays = {} if single else {key: archive[key] for key in archive.files}
    except _UNREADABLE as error:
        raise CorruptFile(
            f"{path.name} must be a whole .npz archive without Python objects; got: {error}. {remedy}."
        ) from error
    if single:
        raise CorruptFile(f"{path.name} must be an .npz archive; got a single array. {remedy}.")
    return from_arrays(path.stem, arrays, source=path.name, validation=validation, test=test, seed=seed)


def load_function(reference: str, *, validation: float | int = 0.1, test: float | int = 0.2, seed: int = 0) -> Dataset:
    """The data set that a function of the user's gives.

    Args:
        reference: ``"package.module:function"``. The function takes no argument and returns a `Dataset`, a dict of
            arrays as `from_arrays` takes it, or a pair ``(x, y)``.
        validation: As in `load`.
        test: As in `load`.
        seed: As in `load`.

    Raises:
        BadInput: If there is no such function, it returns something else, or the arrays break a rule.
    """
    result = resolve(reference)()
    if isinstance(result, Dataset):
        return result
    if isinstance(result, tuple) and len(result) == 2:
        result = dict(zip(("x", "y"), result, strict=True))
    if not isinstance(result, Mapping):
        rule = "a Dataset, a dict of arrays, or a pair (x, y)"
        got = f"a {type(result).__name__}" + (f" of {len(result)}" if isinstance(result, tuple) else "")
        raise must("the result", reference, rule, got, "Return one of these")
    return from_arrays(reference, result, source=reference, validation=validation, test=test, seed=seed)


def from_arrays(
    name: str,
    arrays: Mapping[str, object],
    *,
    source: str = "arrays in memory",
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
) -> Dataset:
    """The data set in NumPy arrays or tensors.

    Args:
        name: What the data set is called.
        arrays: Either ``x`` and ``y``, or ``x_train`` and ``y_train`` and, where they exist, ``x_val``, ``y_val``,
            ``x_test``, ``y_test``; also ``classes``, the names. Inputs are ``[n, ...]`` floats, or uint8 pixels (one of
            ``[n, height, width]`` gets a channel axis); labels are ``[n]`` integers, in train -1 where unknown. Without
            names the classes are called by their numbers.
        source: Where the data came from, in words.
        validation: As in `load`.
        test: As in `load`.
        seed: As in `load`.

    Raises:
        BadInput: If an array is missing, not known or breaks a rule of `Split` or `Dataset`.

    Example:
        >>> x, y = np.zeros((40, 3), dtype="float32"), np.arange(40) % 2
        >>> from_arrays("zeros", {"x": x, "y": y})
        Dataset(zeros: train 29, validation 3, test 8; inputs 3; 2 classes; from arrays in memory)
    """
    pairs = {"train": ("x", "y")} if "x" in arrays else {role: (f"x_{key}", f"y_{key}") for role, key in _KEYS.items()}
    given = {role: keys for role, keys in pairs.items() if role == "train" or not arrays.keys().isdisjoint(keys)}
    needed = {key for keys in given.values() for key in keys}
    if missing := sorted(needed - arrays.keys()):
        remedy = f"Add {' and '.join(map(repr, missing))}"
        raise must("arrays", name, f"complete: {', '.join(sorted(needed))}", sorted(arrays), remedy)
    if unknown := sorted(arrays.keys() - needed - {"classes"}):
        rule = "x and y, or x_train, y_train, x_val, y_val, x_test and y_test, with or without classes"
        raise must("arrays", name, rule, unknown, f"Leave out {' and '.join(map(repr, unknown))}")
    inputs = {role: _inputs(x, name, arrays[x]) for role, (x, _) in given.items()}
    labels = {role: _labels(y, name, arrays[y]) for role, (_, y) in given.items()}
    for role, (x, y) in given.items():
        if len(labels[role]) != len(inputs[role]):
            rule = f"as long as {x} ({len(inputs[role])} rows)"
            raise must(y, name, rule, f"{len(labels[role])} rows", "Give one label for each row, -1 where unknown")
    classes = _class_names(name, arrays.get("classes"), labels["train"])
    for role, (_, y) in given.items():
        least = ABSENT if role == "train" else 0
        for label in (int(labels[role].min()), int(labels[role].max())) if len(labels[role]) else ():
            if not least <= label < len(classes):
                rule = f"from {least} to {len(classes) - 1} (there are {len(classes)} classes)"
                raise must(y, name, rule, label, "Number the classes from 0, or name all of them in classes")
    splits = {role: _split(inputs[role], labels[role], classes) for role in given}
    return _divided(name, source, splits, validation, test, seed)


def keep_classes(dataset: Dataset, classes: Sequence[str]) -> Dataset:
    """The examples of some classes only, numbered in the order given; unlabeled examples are left out.

    Raises:
        NothingMatched: If a class is not in the data set.
        BadInput: If fewer than two classes are named, or one twice.
    """
    for name in classes:
        if name not in dataset.classes:
            remedy = near(str(name), dataset.classes)
            raise NothingMatched(str(must("classes", dataset.name, "classes of the data", name, remedy)))
    kept = tuple(classes)
    renumbered = torch.full((len(dataset.classes) + 1,), ABSENT)
    for label, name in enumerate(kept):
        renumbered[dataset.classes.index(name)] = label

    def part(split: Split) -> Split:
        # The last entry is never renumbered: it is where the label -1 of an unknown class points.
        labels = torch.full((len(split),), ABSENT) if split.labels is None else renumbered[split.labels]
        rows = labels != ABSENT
        return Split(split.inputs[rows], labels[rows], split.ids[rows], kept)

    train, validation, test = map(part, (dataset.train, dataset.validation, dataset.test))
    return replace(dataset, train=train, validation=validation, test=test, classes=kept)


def shrink(dataset: Dataset, limit: int) -> Dataset:
    """At most ``limit`` examples of each split, stratified, with at least one of each class that is there.

    Raises:
        BadInput: If ``limit`` leaves no room for one of each class (and one unlabeled example, where there are some).
    """

    def part(split: Split) -> Split:
        labels = split.ids.new_zeros(len(split)) if split.labels is None else split.labels
        strata = int((labels.sort().values.diff() != 0).sum()) + 1
        if limit < strata:
            rule = f"at least {strata}, one for each class"
            raise must("limit", dataset.name, rule, limit, "Use more, or fewer classes")
        if len(split) <= limit:
            return split
        return split.rows(stratified(labels, split.ids, limit, seed=0, stream=_LIMIT, least=1))

    train, validation, test = map(part, (dataset.train, dataset.validation, dataset.test))
    return replace(dataset, train=train, validation=validation, test=test)


_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)
"""What NumPy and zipfile raise for damaged archives; the last two for a compression or encryption they do not know."""

_KEYS = {"train": "train", "validation": "val", "test": "test"}


def _split(inputs: Tensor, labels: Tensor, classes: tuple[str, ...]) -> Split:
    """A split whose rows are numbered as they come."""
    return Split(inputs, labels, torch.arange(len(inputs)), classes)


def _divided(
    name: str, source: str, splits: Mapping[str, Split], validation: float | int, test: float | int, seed: int
) -> Dataset:
    """The data set of the given splits; test and validation are taken from train where they are missing."""
    parts = dict(splits)
    if "test" not in parts:
        parts["train"], parts["test"] = _carved(name, "test", parts["train"], test, 0, _TEST)
    if "validation" not in parts:
        parts["train"], parts["validation"] = _carved(name, "validation", parts["train"], validation, seed, _VALIDATION)
    return Dataset(name=name, classes=parts["train"].classes, source=source, **parts)


def _carved(name: str, role: str, split: Split, share: float | int, seed: int, stream: int) -> tuple[Split, Split]:
    """What is left of a split, and what was taken from its labeled rows."""
    assert split.labels is not None
    labeled = (split.labels != ABSENT).nonzero().flatten()
    amount = share if isinstance(share, int) else round(share * len(labeled))
    right = 0 < share < 1 if isinstance(share, float) else share >= 1
    if not right or isinstance(share, bool) or not 0 < amount < len(labeled):
        rule = f"a share between 0 and 1, or a number of examples, that leaves some of the {len(labeled)} labeled ones"
        raise must(role, name, rule, share, "Use 0.1 for a tenth")
    taken = stratified(split.labels[labeled], split.ids[labeled], amount, seed=seed, stream=stream)
    mask = torch.zeros(len(split), dtype=torch.bool)
    mask[labeled[taken]] = True
    return split.rows(~mask), split.rows(mask)


def _inputs(key: str, name: str, values: object) -> Tensor:
    """An array of inputs as a Split takes it: float32 or uint8, pictures with a channel axis."""
    tensor = _tensor(key, name, values)
    if tensor.is_floating_point():
        tensor = tensor.float()
        if not tensor.isfinite().all():
            row = int((~tensor.isfinite()).reshape(len(tensor), -1).any(1).nonzero()[0])
            raise must(key, name, "finite in float32", f"NaN or infinity in row {row}", "Remove or repair such rows")
    elif tensor.dtype != torch.uint8:
        remedy = "Convert it, for instance with .astype('float32')"
        raise must(key, name, "floats, or uint8 for pixels", str(tensor.dtype).removeprefix("torch."), remedy)
    shape = tuple(tensor.shape)
    if len(shape) < 2:
        raise must(key, name, "[n, ...] with at least two axes", shape, "Give each example at least one value")
    if tensor.dtype == torch.uint8 and len(shape) == 3:
        return tensor.unsqueeze(1)
    if tensor.dtype == torch.uint8 and len(shape) == 4 and shape[1] > 4 >= shape[3]:
        remedy = "Move the channels with .transpose(0, 3, 1, 2)"
        raise must(key, name, "[n, channels, height, width]", shape, remedy)
    return tensor


def _labels(key: str, name: str, values: object) -> Tensor:
    """An array of labels as int64."""
    tensor = _tensor(key, name, values)
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        got = str(tensor.dtype).removeprefix("torch.")
        raise must(key, name, "whole numbers", got, "Number the classes from 0 and convert with .astype('int64')")
    if tensor.dim() != 1:
        remedy = "Use .argmax(1) for one-hot rows, .reshape(-1) for a column"
        raise must(key, name, "[n], one number for each row", tuple(tensor.shape), remedy)
    return tensor.long()


def _tensor(key: str, name: str, values: object) -> Tensor:
    """An array or tensor as a tensor on the CPU, without a copy where possible."""
    if isinstance(values, Tensor):
        return values.detach().cpu()
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise must(
            key, name, "an array of numbers", f"{type(values).__name__} of {array.dtype}", "Convert it to numbers"
        )
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _class_names(name: str, given: object, labels: Tensor) -> tuple[str, ...]:
    """The names given, or the numbers up to the largest label in train."""
    if given is None:
        return tuple(map(str, range(int(labels.max()) + 1 if len(labels) else 0)))
    if isinstance(given, str) or np.ndim(given) != 1:  # type: ignore[arg-type]
        raise must("classes", name, "a list of names", given, "Name the classes in the order of their numbers")
    return tuple(map(str, np.asarray(given).tolist()))
