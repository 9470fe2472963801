"""Data sets that the package `datasets` saved with `save_to_disk`: read from their Arrow files, without it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attar.data.arrays import from_arrays
from attar.data.arrow_files import ArrowFiles
from attar.data.division import ROLES, SPLITS
from attar.data.limits import allowed, is_file, is_folder, printable
from attar.data.nested import dense, is_list, is_number, padded
from attar.data.split import Dataset
from attar.data.tables import ALIKE, FEW_NAMES, Naming, from_tables
from attar.data.truth import truth_of
from attar.errors import BadInput, CorruptFile, Words, must, near
from attar.records import read_json
from attar.tables.read import read_cells

log = logging.getLogger(__name__)

_REMEDY = "Save it again with save_to_disk"
_DICT, _STATE, _INFO = "dataset_dict.json", "state.json", "dataset_info.json"
_IDS = (("ids", "mask"), ("input_ids", "attention_mask"))
_KEYS = {"train": "train", "validation": "val", "test": "test"}


def is_saved_dataset(path: Path) -> bool:
    """Whether a folder was written by ``save_to_disk``, of a Dataset or of a DatasetDict."""
    return is_folder(path) and (is_file(path / _DICT) or (is_file(path / _STATE) and is_file(path / _INFO)))


def load_saved(
    path: str | Path,
    *,
    target: str | Sequence[str] | None = None,
    task: str | None = None,
    nominal: Sequence[str] = (),
    ignore: Sequence[str] = (),
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    max_bytes: int | None = None,
) -> Dataset:
    """The data set in a folder that ``save_to_disk`` of the package `datasets` wrote.

    Its columns say what the inputs are. Numbers of tokens (``input_ids`` or ``ids``, and ``attention_mask`` or
    ``mask``) are sequences, beside which other columns are left out. Columns of lists or arrays are inputs, one as an
    array and several by their names, beside which texts are left out. All else is a table, read as `load_table` reads
    files of Arrow. What is left out is logged.

    Args:
        path: The folder, of a Dataset or of a DatasetDict, whose ``train``, ``validation`` and ``test`` are taken.
        target: The column with the labels, or the columns with values; the only one of type ClassLabel, ``label`` or
            ``labels`` if left out.
        task: As in `load`.
        nominal: Columns of a table of which numbers are mere names.
        ignore: Columns to leave out.
        validation: As in `load`.
        test: As in `load`.
        seed: As in `load`.
        max_bytes: As in `load`.

    Raises:
        CorruptFile: If a file is missing or damaged.
        BadInput: If there is no such column, or one holds what is not read: lists of different lengths, images, texts.
    """
    folder = Path(path)
    name = printable(folder.resolve().name)
    splits = {role: _Saved.of(place) for role, place in _folders(folder).items()}
    train = splits["train"]
    for role, saved in splits.items():
        _check_same(f"{name}/{role}", saved, train)
    targets = _targets(name, train, target)
    for one in ignore:
        if one not in train.files.names:
            raise must("ignore", name, "names of its columns", one, near(one, train.files.names))
    left = [one for one in train.files.names if one not in targets and one not in ignore]
    if not left:
        raise must("columns", name, "more than the target", train.files.names, "Give columns to predict it from")
    labels = {role: _labels(saved, targets) for role, saved in splits.items()}
    several = list(targets) if len(targets) > 1 else None
    classes = several if task == "multilabel" else None if several else train.classes(targets[0])
    names = None if task == "multilabel" else several
    shares: dict[str, Any] = {"validation": validation, "test": test, "seed": seed}
    found = _inputs(name, splits, left, allowed(max_bytes))
    if found is not None:
        if nominal:
            raise must("nominal", name, "left out where inputs are no table", list(nominal), "Leave it out")
        beside = {"classes": classes, "task": task, "names": names}
        arrays = {key: value for key, value in beside.items() if value is not None}
        for role, key in _KEYS.items():
            if role in splits:
                arrays |= {f"{one}_{key}": values for one, values in found[role].items()} | {f"y_{key}": labels[role]}
        return from_arrays(name, arrays, source=name, **shares)
    _refuse_texts(name, train, left, nominal)
    given = {role: (f"column {targets[0]!r} of {role}", one) for role, one in labels.items()}
    true, known_task = truth_of(name, given, task=task, classes=classes, names=names)
    numbered = [one for one in left if train.classes(one) is not None]
    tables = {role: saved.files.select(left) for role, saved in splits.items()}
    naming = Naming(nominal=tuple(dict.fromkeys([*nominal, *numbered])))
    return from_tables(name, tables, true, known_task, naming, source=name, **shares)


@dataclass(frozen=True)
class _Saved:
    """One saved Dataset.

    Attributes:
        name: What errors call it.
        files: Its rows.
        features: What its columns are, by their names.
    """

    name: str
    files: ArrowFiles
    features: Mapping[str, Any]

    @classmethod
    def of(cls, folder: Path) -> _Saved:
        """What a folder says.

        Raises:
            CorruptFile: If a file is missing or damaged.
            BadInput: If there is no row.
        """
        name = printable(folder.name)
        state, info = (_object(folder / one) for one in (_STATE, _INFO))
        listed, features = state.get("_data_files"), info.get("features")
        names: list[Any] = []
        if isinstance(listed, list):
            names = [one.get("filename") for one in listed if isinstance(one, dict)]
        if not names or not all(isinstance(one, str) and one == Path(one).name for one in names):
            raise CorruptFile(f"{_STATE} of {name} must name files of Arrow in its folder; got {listed!r}. {_REMEDY}.")
        if not isinstance(features, dict):
            raise CorruptFile(f"{_INFO} of {name} must have features; got {type(features).__name__}. {_REMEDY}.")
        if state.get("_indices_files"):
            raise BadInput(f"{name} is kept with indices into its rows. Save it again after flatten_indices().")
        paths = [folder / one for one in names]
        for one in paths:
            if not is_file(one):
                raise CorruptFile(f"{name} lacks the file {printable(one.name)!r}, which it names. {_REMEDY}.")
        return cls(name, ArrowFiles.of(paths, name), features)

    def classes(self, column: str) -> list[str] | None:
        """Names of the classes in a column; None where it is of another type."""
        feature = self.features.get(column)
        names = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
        usable = isinstance(names, list) and all(isinstance(one, str) for one in names)
        return list(names) if usable and names is not None else None


def _object(path: Path) -> dict[str, Any]:
    found = read_json(path, _REMEDY)
    if not isinstance(found, dict):
        raise CorruptFile(f"{printable(path.name)} must hold an object; got a {type(found).__name__}. {_REMEDY}.")
    return found


def _folders(folder: Path) -> dict[str, Path]:
    """The folder of each split.

    Raises:
        BadInput: If there is none for train, or two for one.
    """
    if not is_file(folder / _DICT):
        return {"train": folder}
    listed = _object(folder / _DICT).get("splits")
    names = listed if isinstance(listed, list) else []
    if not names or not all(isinstance(one, str) and one == Path(one).name for one in names):
        raise CorruptFile(f"{_DICT} must list splits; got {listed!r}. {_REMEDY}.")
    found: dict[str, Path] = {}
    others = []
    for one in names:
        role = ROLES.get(one.lower())
        if role is None:
            others.append(one)
        elif role in found:
            got = Words(f"{found[role].name!r} and {one!r}")
            raise must("splits", printable(folder.name), f"one for {role}", got, "Leave one of them out")
        else:
            found[role] = folder / one
    if "train" not in found:
        raise must(
            "splits", printable(folder.name), f"of {', '.join(SPLITS)}", names, "Call what is learned from train"
        )
    if others:
        log.warning("%s: the splits %s are not read", printable(folder.name), ", ".join(map(repr, others)))
    return found


def _check_same(name: str, saved: _Saved, train: _Saved) -> None:
    """See that a split has the columns of train.

    Raises:
        BadInput: Naming the first that is another one.
    """
    kinds, wanted = ({one.name: str(one.type) for one in each.files.schema} for each in (saved, train))
    for column in [*wanted, *kinds]:
        if kinds.get(column) != wanted.get(column):
            there = f"of {kinds[column]}" if column in kinds else "missing"
            right = f"of {wanted[column]}" if column in wanted else "there"
            got = Words(f"column {column} {there}, and not {right}" if column in wanted else f"{column} besides")
            raise must("columns", name, "those of train", got, "Cast or remove it")


def _targets(name: str, saved: _Saved, target: str | Sequence[str] | None) -> list[str]:
    """The columns with labels.

    Raises:
        BadInput: If they are not there, or nothing says which they are.
    """
    names = saved.files.names
    if target is None:
        labels = [one for one in names if saved.classes(one) is not None]
        if len(labels) != 1:
            labels = [str(one) for one in ("label", "labels") if one in names][:1]
        if not labels:
            rule = f"the name of a column of {name}"
            raise must("target", "the data", rule, None, f"Say which one holds the labels: {', '.join(names[:10])}")
        return labels
    chosen = [target] if isinstance(target, str) else list(target)
    for one in chosen:
        if one not in names:
            raise must("target", name, "one of its columns", one, near(one, names))
    if not chosen:
        raise must("target", name, "the name of a column", chosen, "Name one")
    return chosen


def _labels(saved: _Saved, targets: Sequence[str]) -> Any:
    """The labels of each row, as `truth_of` takes them."""
    found = []
    for one in targets:
        column = saved.files.select([one]).table().column(0)
        if is_list(column.type):
            found.append(dense(column, f"column {one!r} of {saved.name}"))
            continue
        (cells,) = read_cells(saved.files.select([one]).table())
        if cells.kind == "nominal":
            categories, codes = cells.nominals()
            values = np.array([*categories, None], object)[codes]
            found.append(values if cells.missing.any() or isinstance(categories[0], str) else values.astype(bool))
        elif cells.kind == "integer" and not cells.missing.any():
            found.append(cells.values.astype(np.int64))
        else:
            found.append(cells.numbers())
    return found[0] if len(found) == 1 else np.stack(found, axis=1)


def _inputs(
    name: str, splits: Mapping[str, _Saved], left: Sequence[str], most: int
) -> dict[str, dict[str, Any]] | None:
    """By role, inputs as `from_arrays` takes them; None where the columns are those of a table."""
    saved = splits["train"]
    for one in left:
        feature = saved.features.get(one)
        kind = feature.get("_type") if isinstance(feature, dict) else None
        if kind in ("Image", "Audio", "Video", "Translation", "Pdf"):
            remedy = "Leave it out with ignore"
            if kind == "Image":
                remedy = "Save the images as files, in a folder for each class, or as arrays of one shape"
            raise must(f"column {one!r}", name, "of numbers, names, lists or arrays", Words(f"type {kind}"), remedy)
    lists = [one for one in left if is_list(saved.files.schema.field(one).type)]
    if not lists:
        return None
    pair = next(((ids, mask) for ids, mask in _IDS if ids in lists), None)
    numbers = (
        [] if pair else [one for one in left if one not in lists and is_number(saved.files.schema.field(one).type)]
    )
    used = [one for one in left if one in (pair or (*lists, *numbers))]
    if dropped := [one for one in left if one not in used]:
        log.warning("%s: the columns %s are not read", name, ", ".join(map(repr, dropped)))
    result: dict[str, dict[str, Any]] = {}
    for role, split in splits.items():
        if pair is not None:
            result[role] = _sequences(split, pair, most)
            continue
        arrays = {key: _values(split, key, most) for key in used}
        result[role] = {"x": next(iter(arrays.values())) if len(arrays) == 1 else arrays}
    return result


def _sequences(saved: _Saved, pair: tuple[str, str], most: int) -> dict[str, Any]:
    """Numbers of tokens and their mask, ``[rows, length]``, padded."""
    ids, counts = padded(saved.files.select([pair[0]]).table().column(0), f"column {pair[0]!r} of {saved.name}", most)
    mask = np.arange(ids.shape[1]) < counts[:, None]
    if pair[1] in saved.files.names:
        where = f"column {pair[1]!r} of {saved.name}"
        given, lengths = padded(saved.files.select([pair[1]]).table().column(0), where, most)
        if not np.array_equal(lengths, counts):
            row = int(np.flatnonzero(lengths != counts)[0])
            rule = f"as long as {pair[0]} ({counts[row]} in row {row})"
            raise must(pair[1], saved.name, rule, Words(str(lengths[row])), "Give one number for each token")
        mask = mask & (given != 0)
    return {"ids": ids, "mask": mask.astype(np.int64)}


def _values(saved: _Saved, column: str, most: int) -> Any:
    files = saved.files.select([column])
    array = dense(files.table().column(0), f"column {column!r} of {saved.name}", most)
    feature = saved.files.schema.field(column).type
    array = array[:, None] if array.ndim == 1 else array
    return array.astype(np.float32) if array.dtype.kind == "f" or not is_list(feature) else array


def _refuse_texts(name: str, saved: _Saved, left: Sequence[str], nominal: Sequence[str]) -> None:
    """See that no column of a table is of texts that nobody repeats: those are to be cut into tokens."""
    few = next(saved.files.blocks())
    for one in left:
        if one in saved.files.texts and one not in nominal:
            different = len(few.column(one).unique())
            if different > FEW_NAMES and different >= ALIKE * len(few):
                raise BadInput(
                    f"Column {one!r} of {name} holds texts, {different} different ones in {len(few)} rows. Cut them "
                    "into tokens, so that there is a column input_ids, as in dataset.map(lambda row: "
                    f"tokenizer(row[{one!r}], truncation=True)).save_to_disk(...), or leave it out with ignore."
                )
