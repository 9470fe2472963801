"""A library of models: many kinds and settings, trained on the same rows, each with its predictions kept on disk."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attar.errors import CorruptFile, must, near, shown
from attar.records import LARGEST_FILE, read_bytes
from attar.tables.columns import Columns
from attar.teachers.estimator import EstimatorTeacher
from attar.teachers.estimator_file import from_bytes
from attar.teachers.library_files import MODEL, PREDICTIONS, Model, read_about, read_model
from attar.teachers.selected import SelectedEnsemble
from attar.teachers.selection import Selection
from attar.teachers.selection_metrics import METRICS
from attar.workspace import new_file

_log = logging.getLogger(__name__)


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
        about = read_about(folder)
        if about is None:
            raise must("folder", "Library.open", "one that build_library wrote", folder, "Build the library first")
        found = {entry.name: read_model(folder, entry.name, about) for entry in folder.iterdir() if entry.is_dir()}
        broken = sorted(name for name, model in found.items() if model is None)
        if broken:
            _log.warning("Left out, for their files are not whole: %s", ", ".join(broken))
        return library_of(folder, about, [model for model in found.values() if model is not None], boosters)

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
        path = self.folder / name / MODEL
        data = read_bytes(path, "Build it again.", largest=LARGEST_FILE) if path.is_file() else b""
        if hashlib.sha256(data).hexdigest() != model.digests[MODEL]:
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


def library_of(folder: Path, about: Mapping[str, Any], models: Sequence[Model], boosters: bool) -> Library:
    """A library of some models, once their predictions lie in one file.

    Args:
        folder: Where it is.
        about: What ``library.json`` says.
        models: Those that are whole.
        boosters: See `Library.open`.

    Raises:
        BadInput: If there is no model.
        CorruptFile: If the predictions of one are not what was written.
    """
    if not models:
        raise must("folder", "Library.open", "a library with at least one model", folder, "Build the library again")
    ordered = sorted(models, key=lambda model: model.name)
    shape = (about["rows"], len(about["classes"]))
    file = folder / PREDICTIONS
    with new_file(file) as unfinished:
        stacked = np.lib.format.open_memmap(unfinished, "w+", np.float32, (len(ordered), *shape))
        for position, model in enumerate(ordered):
            data = read_bytes(folder / model.name / PREDICTIONS, "Build the library again.", largest=LARGEST_FILE)
            predictions = np.load(io.BytesIO(data), allow_pickle=False)
            if hashlib.sha256(data).hexdigest() != model.digests[PREDICTIONS] or predictions.shape != shape:
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
