"""Data sets by name, and what is done to whole ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attar.data import fashion_mnist
from attar.data.arrays import from_arrays as from_arrays
from attar.data.arrow_files import table_files
from attar.data.digits import load_digits as load_digits
from attar.data.division import divided, numbered
from attar.data.files import TABLES, load_table
from attar.data.files import load_npz as load_npz
from attar.data.gaze_folders import is_gaze_folder, load_gaze
from attar.data.glyphs import load_glyphs
from attar.data.image_folder import is_image_folder
from attar.data.image_folder import load_image_folder as load_image_folder
from attar.data.letter import PROBLEMS, load_letter
from attar.data.limits import holds_images, is_file, is_folder
from attar.data.mnist import load_mnist
from attar.data.named import NAMED, unknown
from attar.data.narrowing import keep_classes as keep_classes
from attar.data.narrowing import shrink as shrink
from attar.data.saved_dataset import is_saved_dataset
from attar.data.saved_dataset import load_saved as load_saved
from attar.data.simulated_gaze import generated, photographs
from attar.data.split import Dataset as Dataset
from attar.data.split import Split as Split
from attar.data.split import renamed as renamed
from attar.data.torch_datasets import from_torch as from_torch
from attar.data.torch_datasets import is_torch_dataset
from attar.data.truth import known_task
from attar.errors import Words, must, near
from attar.network.entry_point import entry_point
from attar.network.references import call
from attar.tables.notation import Decimal
from attar.tasks.classification import Classification
from attar.training.progress import Progress, silent


@entry_point
def load(
    name: str | Path,
    *,
    validation: float | int | str = 0.1,
    test: float | int | str = 0.2,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    limit: int | None = None,
    target: str | Sequence[str] | None = None,
    task: str | None = None,
    nominal: Sequence[str] = (),
    ignore: Sequence[str] = (),
    split: str | None = None,
    weights: str | None = None,
    encoding: str | None = None,
    decimal: Decimal | None = None,
    header: bool = True,
    max_bytes: int | None = None,
    size: int | Sequence[int] | None = None,
    channels: int | None = None,
    progress: Progress = silent,
) -> Dataset:
    """The data set of a name, a file, a folder or a function.

    Args:
        name: ``"digits"``, ``"fashion-mnist"``, ``"mnist"`` (where the user has it), ``"letter"``, ``"letter.p1"``,
            ``"letter.p2"``, ``"glyphs"``, ``"simulated-gaze"`` or ``"simulated-gaze-generated"``, a path that ends in
            ``.npz`` (see `load_npz`), ``.csv``, ``.parquet``, ``.arrow`` or ``.feather``, a folder of such files (see
            `load_table`), of images (see `load_image_folder`) or one that ``save_to_disk`` wrote (see `load_saved`),
            that of MIT1003, CAT2000 or SALICON (see `load_gaze`), or ``"package.module:function"`` (see
            `load_function`).
        validation: What is taken from train for validation, stratified by class: a share (float) or a number of
            examples (int). Not used if the source has a validation split. Of a file or a function also the name of
            another one (str), whose rows it then is.
        test: The same for test, taken first. Not used if the source has a test split. It does not depend on ``seed``.
        seed: Draws the validation split.
        classes: Keep the examples of these classes only, numbered in this order. Done after the splits are drawn, so
            that each split is a part of what it is without the filter.
        limit: Keep at most so many examples of each split, stratified; for trying things out.
        target: The column with the classes, or the columns with the values of a regression; for tables in files alone,
            which need it.
        task: What the labels mean, a name of `attar.tasks.known.TASKS`; None for what they themselves say, see
            `from_arrays` and `load_table`.
        nominal: Columns of which numbers are mere names; for tables in files alone.
        ignore: Columns to leave out; likewise.
        split: The column (or the array of an archive) that says for each row ``train``, ``validation`` or ``test``.
        weights: The column (or the array) of what each row counts in training; for tables in files, archives and
            functions.
        encoding: Of a ``.csv`` file, see `load_table`.
        decimal: What stands before fractions in a ``.csv`` file, where that could be either, see `load_table`.
        header: Whether its first line names the columns, see `load_table`.
        max_bytes: Bytes that a file may take in memory; None for half of what there is. Of Parquet and Arrow, which are
            read in blocks, these are 64 for each row. The images of a folder lie in none that counts.
        size: Height and width to which the images of a folder are stretched, or one number for both; see
            `load_image_folder` and `load_gaze`.
        channels: Of the images of a folder, see `load_image_folder`.
        progress: Shown while something is downloaded, or many files are read.

    Raises:
        NothingMatched: If a class is not in the data.
        CorruptFile: If a file is damaged.
        BadInput: If the name is not known, or the data break a rule of `Split` or `Dataset`.

    Example:
        >>> load("digits", classes=["3", "8"], limit=50)
        Dataset(digits: train 50, validation 29, test 50; inputs 1 x 8 x 8; 2 classes; from scikit-learn's digits)
    """
    text = str(name)
    ending = Path(text).suffix.lower()
    saved = is_saved_dataset(Path(name))
    table = not saved and (ending in TABLES or bool(table_files(Path(name))))
    if not table and ending and target is not None and not is_file(Path(name)):
        raise unknown(name)
    if table and target is None:
        raise must(
            "target",
            "the data",
            f"the name of a column of {text}",
            None,
            "Set data.target (target in Python) to the one that holds what is to be predicted",
        )
    given = {"target": target, "nominal": list(nominal), "ignore": list(ignore)}
    if ending and not table and ending != ".npz" and is_file(Path(name)):
        raise unknown(name)
    if not (table or saved) and any(given.values()):
        if is_folder(Path(name)) and not (holds_images(name) or is_gaze_folder(Path(name))):
            raise unknown(name)
        remedy = "Leave them out; in an .npz file, nominal and ignore are arrays of names"
        got = {key: value for key, value in given.items() if value}
        raise must("target, nominal and ignore", "load", "for tables in files alone", got, remedy)
    of_csv: Any = {"encoding": encoding, "decimal": decimal, "header": header}
    if ending not in (".csv", ".tsv") and (encoding or decimal or not header):
        raise must("encoding, decimal and header", "load", "for .csv files alone", of_csv, "Leave them out")
    named = text in NAMED
    photographed = not named and is_gaze_folder(Path(text))
    images = not (named or photographed or saved or table or ending == ".npz") and is_image_folder(Path(text))
    if size is not None and not (photographed or images):
        raise must("size", "load", "for folders of images alone", size, "Leave it out")
    if channels is not None and not images:
        raise must("channels", "load", "for folders of images in one folder for each class", channels, "Leave it out")
    if (named or photographed or saved or images) and (
        split is not None or isinstance(validation, str) or isinstance(test, str)
    ):
        rule = "left out or shares (0.2) for data sets that have their splits"
        remedy = "Put images into folders train, validation and test" if images else "Name them for files"
        asked = {"split": split, "validation": validation, "test": test}
        raise must("split, validation and test", "load", rule, asked, remedy)
    if weights is not None and (named or photographed or saved or images):
        rule = "for tables in files, .npz files and functions alone"
        raise must("weights", "load", rule, weights, "Leave it out")
    shares: Any = {"validation": validation, "test": test}
    if table and target is not None:
        dataset = load_table(
            Path(name),
            target=target,
            task=task,
            nominal=nominal,
            ignore=ignore,
            split=split,
            weights=weights,
            **of_csv,
            seed=seed,
            max_bytes=max_bytes,
            **shares,
        )
    elif saved:
        dataset = load_saved(
            Path(name),
            target=target,
            task=task,
            nominal=nominal,
            ignore=ignore,
            seed=seed,
            max_bytes=max_bytes,
            **shares,
        )
    elif ending == ".npz":
        dataset = load_npz(
            Path(name), seed=seed, task=task, split=split, weights=weights, max_bytes=max_bytes, **shares
        )
    elif text == "digits":
        dataset = load_digits(seed=seed, **shares)
    elif text == "fashion-mnist":
        dataset = load_fashion_mnist(validation=shares["validation"], seed=seed, progress=progress)
    elif text == "mnist":
        dataset = load_mnist(validation=shares["validation"], seed=seed)
    elif text in PROBLEMS:
        dataset = load_letter(text, seed=seed)
    elif text == "glyphs":
        dataset = load_glyphs()
    elif text == "simulated-gaze":
        dataset = photographs()
    elif text == "simulated-gaze-generated":
        dataset = generated()
    elif photographed:
        both = [size, size] if isinstance(size, int) else size
        dataset = load_gaze(Path(text), size=both, seed=seed, max_bytes=max_bytes, progress=progress, **shares)
    elif images:
        dataset = load_image_folder(Path(text), size=size, channels=channels, seed=seed, progress=progress, **shares)
    elif ":" in text and not any(one in text for one in "/\\"):
        dataset = load_function(text, seed=seed, task=task, split=split, weights=weights, **shares)
    else:
        raise unknown(name)
    if task is not None and dataset.task.use != task:
        known_task(task, dataset.name)
        raise must("task", dataset.name, f"left out or {dataset.task.use!r}", task, "Its labels mean nothing else")
    if classes is not None:
        dataset = keep_classes(dataset, classes)
    return dataset if limit is None else shrink(dataset, limit)


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
    task = Classification(fashion_mnist.CLASSES)
    splits = {
        "train": numbered(files.train_images.unsqueeze(1), files.train_labels.long(), task),
        "test": numbered(files.test_images.unsqueeze(1), files.test_labels.long(), task),
    }
    return divided("fashion-mnist", "Fashion-MNIST by Zalando Research", splits, validation, 0.0, seed)


def load_function(
    reference: str,
    *,
    validation: float | int | str = 0.1,
    test: float | int | str = 0.2,
    seed: int = 0,
    task: str | None = None,
    split: str | None = None,
    weights: str | None = None,
) -> Dataset:
    """The data set that a function of the user's gives.

    Args:
        reference: ``"package.module:function"``. The function takes no argument and returns a `Dataset`, a dict of
            arrays as `from_arrays` takes it, a pair ``(x, y)``, a map-style data set of PyTorch, or a dict of such for
            ``train``, ``validation`` and ``test`` (see `from_torch`).
        validation: As in `load`; another function returns the pair ``(x, y)``, or a dict with these.
        test: The same for test.
        seed: As in `load`.
        task: What the labels mean, as in `load`; not of a `Dataset`, which says it itself.
        split: The array that says for each row ``train``, ``validation`` or ``test``; ``split`` if left out.
        weights: The array of what each row counts in training; ``weights`` if left out.

    Raises:
        BadInput: If there is no such function, it returns something else, or the arrays break a rule.
    """
    result = call(reference)
    if weights is not None and (
        isinstance(result, Dataset) or not isinstance(result, Mapping) or weights not in result
    ):
        got = sorted(map(str, result)) if isinstance(result, Mapping) else Words(f"a {type(result).__name__}")
        rule = f"a dict of arrays, {weights!r} among them, as data.weights names it"
        raise must("the result", reference, rule, got, "Return such a dict, or leave weights out")
    torch_sets: Any = result if isinstance(result, Mapping) else {"train": result}
    if (
        torch_sets
        and torch_sets.keys() <= {"train", "validation", "test"}
        and all(map(is_torch_dataset, torch_sets.values()))
    ):
        if "train" not in torch_sets or split is not None:
            rule = "a data set of PyTorch, or a dict of train, validation and test, without data.split"
            raise must("the result", reference, rule, sorted(torch_sets), "Return train, and leave split out")
        around: dict[str, Any] = {"validation": validation, "test": test, **torch_sets}
        return from_torch(name=reference, seed=seed, task=task, **around)
    shares: dict[str, Any] = {"validation": validation, "test": test}
    if isinstance(result, Dataset):
        if split is not None or any(isinstance(share, str) for share in shares.values()):
            remedy = "Leave them out: it has its splits"
            raise must("split, validation and test", reference, "shares for a function that returns a Dataset",
                       {"split": split, **shares}, remedy)  # fmt: skip
        return result
    arrays = _arrays_of(reference, result)
    if task is not None:
        arrays["task"] = task
    if split is not None:
        if split not in arrays:
            raise must("split", reference, "the name of one of its arrays", split, near(split, arrays))
        arrays["split"] = arrays.pop(split)
    if weights is not None:
        arrays["weights"] = arrays.pop(weights)
    for key, role in (("val", "validation"), ("test", "test")):
        share = shares[role]
        if isinstance(share, str):
            beside = _arrays_of(share, call(share))
            if missing := sorted({"x", "y"} - beside.keys()):
                raise must(
                    "the result", share, "a pair (x, y), or a dict with x and y", sorted(beside), f"Add {missing[0]}"
                )
            arrays |= {f"x_{key}": beside["x"], f"y_{key}": beside["y"]}
            shares[role] = 0.1
    return from_arrays(reference, arrays, source=reference, seed=seed, **shares)


def _arrays_of(reference: str, result: object) -> dict[str, object]:
    """What a function returned, as arrays by their names."""
    if isinstance(result, tuple) and len(result) == 2:
        result = dict(zip(("x", "y"), result, strict=True))
    if not isinstance(result, Mapping):
        rule = "a Dataset, a dict of arrays, a pair (x, y) or a data set of PyTorch"
        got = f"a {type(result).__name__}" + (f" of {len(result)}" if isinstance(result, tuple) else "")
        raise must("the result", reference, rule, got, "Return one of these")
    return dict(result)
