"""Training a library of models, or whatever is missing of it."""

from __future__ import annotations

import hashlib
import io
import logging
import time
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import ArrayLike, NDArray

from attar.errors import StaleStore, Words, missing_extra, must, near
from attar.records import to_text
from attar.teachers.digest import digest
from attar.teachers.estimator_file import from_bytes, to_bytes
from attar.teachers.families import FAMILIES
from attar.teachers.library import Library, library_of
from attar.teachers.library_files import (
    ABOUT,
    DONE,
    FORMAT,
    MODEL,
    PREDICTIONS,
    Model,
    model_name,
    model_of,
    read_about,
    read_model,
)
from attar.training.progress import Progress, silent
from attar.workspace import LOCK, is_temporary, locked, new_folder, sweep, write_file

_log = logging.getLogger(__name__)


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
        "format": FORMAT,
        "classes": classes.tolist(),
        "rows": len(validation),
        "seed": seed,
        "data": digest([rows, codes, validation, mask]),
    }
    _claim(folder, about)

    with locked(folder):
        sweep(folder)
        found = {name: read_model(folder, name, about) for name in wanted}
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
    return library_of(folder, about, [model for model in found.values() if model is not None], True)


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
                MODEL: write_file(place / MODEL, model),
                PREDICTIONS: write_file(place / PREDICTIONS, array.getvalue()),
            },
        }
        write_file(place / DONE, to_text(document))
    return name, model_of(name, document)


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
        wanted.update({model_name(family, parameters): (family, parameters) for parameters in settings})
    return wanted


def _claim(folder: Path, about: Mapping[str, Any]) -> None:
    """Make the folder this library's, or raise if it is another's."""
    known = read_about(folder)
    if known is None:
        there = folder.iterdir() if folder.is_dir() else ()
        others = sorted(entry.name for entry in there if entry.name != LOCK and not is_temporary(entry))
        if others:
            rule = "empty, new or written by build_library"
            raise must(
                "folder", "build_library", rule, Words(f"{folder} with {others[0]} in it"), "Choose another folder"
            )
        write_file(folder / ABOUT, to_text(about))
        return
    changed = [name for name in about if known.get(name) != about[name]]
    if changed:
        raise StaleStore(
            f"folder of a library must be about what is asked for; {str(folder)!r} has changed in: "
            f"{', '.join(changed)}. Choose another folder, or delete this one and build again."
        )


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
