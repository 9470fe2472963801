"""A library of models: many kinds and settings, trained on the same rows, each with its predictions kept on disk.

A library is a folder. ``library.json`` says what it was trained on; each model has a folder of its own with
``model.skops``, ``predictions.npy`` (``[n, classes]`` float32) and, written last, ``done.json`` with the SHA-256 of
both. A model folder whose files are not those that its ``done.json`` names does not count: building again trains that
model anew. Nothing is ever unpickled (see `attar.teachers.estimator_file`).
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import ArrayLike, NDArray

from attar.errors import CorruptFile, StaleStore, Words, missing_extra, must, near, shown
from attar.records import LARGEST_FILE, read_bytes, read_record, to_text
from attar.tables.columns import Columns
from attar.teachers.digest import digest
from attar.teachers.estimator import EstimatorTeacher
from attar.teachers.estimator_file import from_bytes, to_bytes
from attar.teachers.families import FAMILIES
from attar.teachers.selected import SelectedEnsemble
from attar.teachers.selection import METRICS, Selection
from attar.training.progress import Progress, silent
from attar.workspace import LOCK, is_temporary, locked, new_file, new_folder, sweep, write_file

_log = logging.getLogger(__name__)

_FORMAT = 1
_ABOUT, _MODEL, _PREDICTIONS, _DONE = "library.json", "model.skops", "predictions.npy", "done.json"


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model of a library, as its ``done.json`` tells of it.

    Attributes:
        name: Its family and its parameters; also the name of its folder.
        family: A key of `FAMILIES`.
        parameters: Its settings.
        seconds: How long training took, in processor time: the same beside other work.
        size_bytes: The size of its file.
    """

    name: str
    family: str
    parameters: Mapping[str, Any]
    seconds: float
    size_bytes: int
    digests: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, eq=False)
class Library:
    """Models on disk that were trained on the same rows.

    Attributes:
        folder: Where they are.
        classes: The classes, in the order of the predictions; the models themselves know their positions only.
        models: What there is, ordered by name.
        predictions: ``[models, n, classes]`` float32, memory-mapped: probabilities of the validation rows.
        boosters: Whether models of XGBoost and LightGBM may be read; see `Library.open`.
    """

    folder: Path
    classes: tuple[Any, ...]
    models: tuple[Model, ...]
    predictions: NDArray[np.float32]
    boosters: bool

    @classmethod
    def open(cls, folder: str | Path, *, boosters: bool = False) -> Library:
        """Open a library that was built, or as much of it as is there.

        Args:
            folder: What `build_library` wrote.
            boosters: Whether `load` reads models of XGBoost and LightGBM, whose readers a file made to harm can crash:
                say True for a folder of your own.

        Raises:
            BadInput: If there is no library, or no whole model in it.
            CorruptFile: If ``library.json`` was altered.
        """
        folder = Path(folder)
        about = _read_about(folder)
        if about is None:
            raise must("folder", "Library.open", "one that build_library wrote", folder, "Build the library first")
        found = {entry.name: _read_model(folder, entry.name, about) for entry in folder.iterdir() if entry.is_dir()}
        broken = sorted(name for name, model in found.items() if model is None)
        if broken:
            _log.warning("Left out, for their files are not whole: %s", ", ".join(broken))
        return _opened(folder, about, [model for model in found.values() if model is not None], boosters)

    @property
    def names(self) -> tuple[str, ...]:
        """What the models are called, in the order of the predictions."""
        return tuple(model.name for model in self.models)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The size of each model's file in bytes, for `select(..., tie="smallest", sizes=...)`."""
        return tuple(model.size_bytes for model in self.models)

    def __len__(self) -> int:
        return len(self.models)

    def load(self, name: str) -> Any:
        """One of the models: a fitted scikit-learn `Pipeline` from codes and numbers to probabilities of class numbers.

        Raises:
            BadInput: If there is no such model, or it is one of XGBoost or LightGBM and `boosters` is off.
            CorruptFile: If its file is missing or not the one that was written.
        """
        model = next((model for model in self.models if model.name == name), None)
        if model is None:
            raise must("name", "Library.load", "a model of the library", name, near(name, self.names))
        path = self.folder / name / _MODEL
        data = read_bytes(path, "Build it again.", largest=LARGEST_FILE) if path.is_file() else b""
        if hashlib.sha256(data).hexdigest() != model.digests[_MODEL]:
            raise CorruptFile(
                f"model of {self!r} must be the file that was written; got {str(path)!r}, which is missing or altered. "
                "Build the library again: only this model is trained anew."
            )
        return from_bytes(data, str(path), boosters=self.boosters)

    def scores(self, metric: str, labels: ArrayLike) -> dict[str, float]:
        """The score of every model by a metric of `METRICS`, on the validation rows, by name.

        Args:
            metric: A key of `METRICS`.
            labels: ``[n]`` positions of the rows' classes in `classes`.
        """
        if metric not in METRICS:
            raise must("metric", "Library.scores", "a known metric", metric, near(metric, METRICS))
        truth = np.asarray(labels)
        return {
            name: METRICS[metric](np.asarray(predictions, np.float64), truth)
            for name, predictions in zip(self.names, self.predictions, strict=True)
        }

    def ensemble(self, selection: Selection, *, columns: Columns | None = None, threads: int = 1) -> SelectedEnsemble:
        """The models that a selection chose, loaded and averaged.

        Args:
            selection: What `select` made of `predictions` and `names`.
            columns: What the columns of the rows are, which the library was trained on as codes.
            threads: How many models predict at the same time.

        Raises:
            BadInput: If the selection is of other models.
            CorruptFile: As `load`.
        """
        if selection.names != self.names:
            remedy = "Pass names=library.names to select"
            raise must("selection", "Library.ensemble", "of this library's models", selection.names[:3], remedy)
        members = {
            name: EstimatorTeacher(self.load(name), columns=columns, classes=len(self.classes), decode=False)
            for name in selection.chosen
        }
        weights = list(selection.chosen.values())
        return SelectedEnsemble(list(members.values()), weights, names=list(members), threads=threads)

    def __repr__(self) -> str:
        return f"Library of {len(self)} models in {shown(self.folder)}"


def build_library(
    X: ArrayLike,
    y: ArrayLike,
    X_val: ArrayLike,
    folder: str | Path,
    *,
    families: Sequence[str] | Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    size: str = "small",
    nominal: ArrayLike | None = None,
    seed: int = 0,
    jobs: int | None = None,
    progress: Progress = silent,
) -> Library:
    """Train a library, or whatever is missing of it.

    Every model's seed follows from ``seed`` and its own name: a library is the same however many jobs train it, after
    whatever interruption. A larger library keeps the models of a smaller one in the same folder. Two builds must not
    write to one folder at the same time.

    Args:
        X: ``[n, columns]`` numbers: the training rows as numbers and codes of categories, NaN where missing.
        y: ``[n]`` classes: numbers, or names.
        X_val: Validation rows, on which every model's predictions are kept; labels are not needed.
        folder: A new or empty folder, or one that was built from the same rows.
        families: Which of `FAMILIES` to train; a mapping says the settings of each as well. None trains all whose
            packages are installed.
        size: ``"small"``, or ``"full"`` for several times as many models.
        nominal: ``[columns]`` bool, which columns hold codes of categories; None where none does.
        seed: Seed of all that is random.
        jobs: How many models are trained at the same time, each in a process of its own; None uses all cores.
        progress: Told about every model.

    Raises:
        BadInput: If a parameter breaks its rule, or the folder holds something else.
        StaleStore: If the folder holds a library of other rows, classes or another seed.
        MissingExtra: If a family was asked for whose package is not installed.
    """
    folder = Path(folder)
    rows, validation = _matrix(X, "X"), _matrix(X_val, "X_val")
    mask = np.zeros(rows.shape[1], bool) if nominal is None else np.asarray(nominal)
    labels = np.asarray(y)
    if labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels.reshape(-1)):
        labels = labels.astype(str)
    _check(rows, labels, validation, mask, jobs)
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise must("y", "build_library", "of at least two classes", classes.tolist(), "Give rows of all classes")
    wanted = _wanted(families, size)
    about = {
        "format": _FORMAT,
        "classes": classes.tolist(),
        "rows": len(validation),
        "seed": seed,
        "data": digest([rows, codes, validation, mask]),
    }
    _claim(folder, about)

    with locked(folder):
        sweep(folder)
        found = {name: _read_model(folder, name, about) for name in wanted}
        missing = [name for name, model in found.items() if model is None]
        if missing and len(missing) < len(wanted):
            _log.info("Going on with %s, which has %d of %d models", folder, len(wanted) - len(missing), len(wanted))
        with progress("train the library", total=len(wanted)) as advance:
            advance(len(wanted) - len(missing))
            tasks = (
                joblib.delayed(_train)(folder, name, *wanted[name], rows, codes, validation, mask, about)
                for name in missing
            )
            for name, model in joblib.Parallel(
                n_jobs=jobs if jobs is not None else -1, return_as="generator_unordered", pre_dispatch="2*n_jobs"
            )(tasks):
                found[name] = model
                advance(1)
    return _opened(folder, about, [model for model in found.values() if model is not None], True)


def _train(
    folder: Path,
    name: str,
    family: str,
    parameters: Mapping[str, Any],
    rows: NDArray[np.float64],
    codes: NDArray[np.intp],
    validation: NDArray[np.float64],
    nominal: NDArray[np.bool_],
    about: Mapping[str, Any],
) -> tuple[str, Model]:
    """Train one model and write its folder; runs in a process of its own."""
    from sklearn.exceptions import ConvergenceWarning

    seed = int.from_bytes(hashlib.sha256(f"{about['seed']} {name}".encode()).digest()[:4], "big") >> 1
    start = time.process_time()
    estimator = FAMILIES[family].estimator(parameters, seed, nominal)
    with warnings.catch_warnings():
        # A model that stopped early is a model like others; its predictions say how good it is.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # So is a network whose batch is all there is.
        warnings.filterwarnings("ignore", message="Got `batch_size` less than 1 or larger", category=UserWarning)
        estimator.fit(rows, codes)
    seconds = time.process_time() - start
    model = to_bytes(estimator)
    # What is kept is what the model says that will be read back, not the one in memory.
    predictions = from_bytes(model, name, boosters=True).predict_proba(validation).astype(np.float32)
    if predictions.shape != (len(validation), len(about["classes"])) or not np.isfinite(predictions).all():
        remedy = "Leave out these settings"
        raise must("output", repr(name), "finite probabilities of all classes", list(predictions.shape), remedy)
    array = io.BytesIO()
    np.save(array, predictions, allow_pickle=False)
    # Whole at once: should this build be killed, its workers may still be writing while the next one begins.
    with new_folder(folder / name) as place:
        document = {
            "family": family,
            "parameters": dict(parameters),
            "data": about["data"],
            "seed": about["seed"],
            "seconds": round(seconds, 3),
            "size_bytes": len(model),
            "versions": _versions(family),
            "digests": {
                _MODEL: write_file(place / _MODEL, model),
                _PREDICTIONS: write_file(place / _PREDICTIONS, array.getvalue()),
            },
        }
        write_file(place / _DONE, to_text(document))
    return name, _model(name, document)


def _read_model(folder: Path, name: str, about: Mapping[str, Any]) -> Model | None:
    """A model that is there and intact, or None."""
    try:
        document = read_record(folder / name / _DONE, "It is trained again.")
        valid = document["data"] == about["data"] and document["seed"] == about["seed"]
        valid = valid and _name(document["family"], document["parameters"]) == name
        for file in (_MODEL, _PREDICTIONS):
            data = read_bytes(folder / name / file, "It is trained again.", largest=LARGEST_FILE)
            valid = valid and hashlib.sha256(data).hexdigest() == document["digests"][file]
        return _model(name, document) if valid else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        # Whatever a killed or spoiled run left: it does not count, and is trained again.
        _log.debug("%s is not intact: %s", folder / name, error)
        return None


def _model(name: str, document: Mapping[str, Any]) -> Model:
    return Model(
        name=name,
        family=str(document["family"]),
        parameters=dict(document["parameters"]),
        seconds=float(document["seconds"]),
        size_bytes=int(document["size_bytes"]),
        digests={file: str(document["digests"][file]) for file in (_MODEL, _PREDICTIONS)},
    )


def _opened(folder: Path, about: Mapping[str, Any], models: Sequence[Model], boosters: bool) -> Library:
    """A library of some models, once their predictions lie in one file."""
    if not models:
        raise must("folder", "Library.open", "a library with at least one model", folder, "Build the library again")
    ordered = sorted(models, key=lambda model: model.name)
    shape = (about["rows"], len(about["classes"]))
    file = folder / _PREDICTIONS
    with new_file(file) as unfinished:
        stacked = np.lib.format.open_memmap(unfinished, "w+", np.float32, (len(ordered), *shape))
        for position, model in enumerate(ordered):
            data = read_bytes(folder / model.name / _PREDICTIONS, "Build the library again.", largest=LARGEST_FILE)
            predictions = np.load(io.BytesIO(data), allow_pickle=False)
            if hashlib.sha256(data).hexdigest() != model.digests[_PREDICTIONS] or predictions.shape != shape:
                raise CorruptFile(
                    f"predictions of {model.name!r} must be the file that was written; got another. Build the library "
                    "again: only this model is trained anew."
                )
            stacked[position] = predictions
        stacked.flush()
        del stacked
    predictions = np.load(file, mmap_mode="r", allow_pickle=False)
    classes = tuple(about["classes"])
    return Library(folder=folder, classes=classes, models=tuple(ordered), predictions=predictions, boosters=boosters)


def _wanted(
    families: Sequence[str] | Mapping[str, Sequence[Mapping[str, Any]]] | None, size: str
) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Family and parameters of each model to be trained, by its name."""
    if size not in ("small", "full"):
        raise must("size", "build_library", "'small' or 'full'", size, near(size, ["small", "full"]))
    asked = [name for name, family in FAMILIES.items() if family.installed] if families is None else list(families)
    if not asked:
        raise must("families", "build_library", "at least one", [], "Leave it out for all")
    wanted = {}
    for family in asked:
        if family not in FAMILIES:
            raise must("families", "build_library", "known ones", family, near(family, FAMILIES))
        if not FAMILIES[family].installed:
            raise missing_extra(str(FAMILIES[family].package), "tabular", f"The family {family!r}")
        if isinstance(families, Mapping):
            settings = list(families[family])
        else:
            settings = [*FAMILIES[family].small, *(FAMILIES[family].full if size == "full" else ())]
        wanted.update({_name(family, parameters): (family, parameters) for parameters in settings})
    return wanted


def _name(family: str, parameters: Mapping[str, Any]) -> str:
    """A model's name, which is also a folder's."""
    settings = [f"{key}={_spelled(value)}" for key, value in parameters.items()]
    name = ",".join([family, *settings])
    if not all(letter.isalnum() or letter in "_=,.+-" for letter in name):
        raise must("parameters", "build_library", "numbers, words or lists of numbers", name, "Use such values")
    return name


def _spelled(value: Any) -> str:
    return "-".join(map(_spelled, value)) if isinstance(value, list | tuple) else str(value)


def _claim(folder: Path, about: Mapping[str, Any]) -> None:
    """Make the folder this library's, or raise if it is another's."""
    known = _read_about(folder)
    if known is None:
        there = folder.iterdir() if folder.is_dir() else ()
        others = sorted(entry.name for entry in there if entry.name != LOCK and not is_temporary(entry))
        if others:
            rule = "empty, new or written by build_library"
            raise must(
                "folder", "build_library", rule, Words(f"{folder} with {others[0]} in it"), "Choose another folder"
            )
        write_file(folder / _ABOUT, to_text(about))
        return
    changed = [name for name in about if known.get(name) != about[name]]
    if changed:
        raise StaleStore(
            f"folder of a library must be about what is asked for; {str(folder)!r} has changed in: "
            f"{', '.join(changed)}. Choose another folder, or delete this one and build again."
        )


def _read_about(folder: Path) -> dict[str, Any] | None:
    path = folder / _ABOUT
    if not os.path.lexists(path):
        return None
    try:
        about = read_record(path, "Delete the folder and build the library again.")
        fine = about["format"] == _FORMAT and isinstance(about["classes"], list) and isinstance(about["rows"], int)
        fine = fine and isinstance(about["data"], str) and "seed" in about
    except (KeyError, TypeError) as error:
        raise CorruptFile(f"{str(path)!r} must be as it was written; got {error!r}. Delete the folder.") from error
    if not fine:
        raise CorruptFile(f"{str(path)!r} must be as it was written; got {shown(about)}. Delete the folder.")
    return dict(about)


def _versions(family: str) -> dict[str, str]:
    from importlib.metadata import version

    package = FAMILIES[family].package
    # The package says it itself: a build of XGBoost for CPUs alone is installed under another name.
    own = {} if package is None else {package: str(import_module(package).__version__)}
    return {**{name: version(name) for name in ("scikit-learn", "skops")}, **own}


def _matrix(given: ArrayLike, name: str) -> NDArray[np.float64]:
    try:
        matrix = np.ascontiguousarray(given, np.float64)
    except (ValueError, TypeError) as error:
        remedy = "Encode it first, with Columns.encode"
        raise must(name, "build_library", "a matrix of numbers", Words(type(given).__name__), remedy) from error
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise must(name, "build_library", "[rows, columns]", list(matrix.shape), "Give one row per example")
    if np.isinf(matrix).any():
        raise must(name, "build_library", "finite, or NaN where missing", np.inf, "Replace what is infinite")
    return matrix


def _check(
    rows: NDArray[Any], labels: NDArray[Any], validation: NDArray[Any], mask: NDArray[Any], jobs: int | None
) -> None:
    if labels.shape != (len(rows),) or labels.dtype.kind not in "iubU":
        got = Words(f"{labels.dtype} {list(labels.shape)}")
        remedy = "Give the class of each row, as a number or a name"
        raise must("y", "build_library", f"{len(rows)} classes", got, remedy)
    if validation.shape[1] != rows.shape[1]:
        remedy = "Give the columns that X has"
        raise must("X_val", "build_library", f"[rows, {rows.shape[1]}]", list(validation.shape), remedy)
    if mask.shape != (rows.shape[1],) or mask.dtype != bool:
        remedy = "Give True where a column holds codes: Columns.mask"
        raise must(
            "nominal", "build_library", f"{rows.shape[1]} bools", Words(f"{mask.dtype} {list(mask.shape)}"), remedy
        )
    if jobs is not None and jobs < 1:
        raise must("jobs", "build_library", "at least 1", jobs, "Leave it out for all cores")
