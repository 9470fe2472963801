"""Stored targets, open for reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float32, Int64
from torch import Tensor

from attar.data.split import Split
from attar.data.store.coding import Coding
from attar.data.store.fidelity import Fidelity
from attar.data.store.manifest import MANIFEST, Manifest
from attar.data.store.parquet import read_all
from attar.data.views import Views
from attar.errors import must
from attar.ops.top_k import TopK
from attar.tasks.task import Task


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Targets:
    """Stored targets, open for reading: call it with a batch's rows and view.

    Attributes:
        folder: Where they are kept.
        task: What outputs mean.
        kind: ``"logits"``, ``"top-k"``, ``"log_odds"`` of several labels, or ``"values"`` of a regression.
        top_k: How many classes are kept of each example; None keeps all.
        dtype: How a number is kept: ``"float16"`` or ``"int8"``; ``"float32"`` for values.
        views: How many views of each example there are.
        ids: ``[rows]`` int64, the identity of each row.
        size_bytes: Size of all files of the store on disk.
        fingerprints: What they are about: of the ``teacher``, the ``data`` and the ``views``.
    """

    folder: Path
    task: Task
    kind: str
    top_k: int | None
    dtype: str
    views: int
    ids: Int64[Tensor, " rows"]
    size_bytes: int
    fingerprints: Mapping[str, Any]
    _columns: Mapping[str, Tensor]
    _coding: Coding
    _fidelity: Mapping[float, Fidelity]

    @classmethod
    def open(
        cls,
        folder: str | Path,
        split: Split | None = None,
        views: Views | None = None,
        teacher_fingerprint: str | None = None,
    ) -> Targets:
        """Read a store that `label` or `merge` finished.

        Args:
            folder: The folder that was given to `label`.
            split: The examples that it should be about; None takes whatever it is about.
            views: The views that it should have; None takes whatever it has.
            teacher_fingerprint: The teacher it should be of; None takes any.

        Raises:
            BadInput: If there is no store, or its pass was not finished.
            StaleStore: If it is about something else than what was asked for.
            CorruptFile: If one of its files is missing, truncated or altered.
        """
        folder = Path(folder)
        manifest = Manifest.read(folder)
        requested: dict[str, object] = {}
        if teacher_fingerprint is not None:
            requested["teacher"] = teacher_fingerprint
        if split is not None:
            requested |= {"data": split.fingerprint(), "task": split.task}
        if views is not None:
            requested["views"] = views.fingerprint()
        manifest.check_fresh(folder, requested)
        manifest.check_finished(folder, "Targets.open")
        ids, columns, size_bytes = read_all(folder, manifest, None if split is None else split.ids)
        return cls(
            folder=folder,
            task=manifest.task,
            kind=manifest.kind,
            top_k=manifest.top_k,
            dtype=manifest.dtype,
            views=manifest.views,
            ids=ids,
            size_bytes=size_bytes + (folder / MANIFEST).stat().st_size,
            fingerprints=manifest.fingerprints,
            _columns=columns,
            _coding=manifest.coding,
            _fidelity=manifest.fidelity(),
        )

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.ids)

    @property
    def bytes_per_example(self) -> float:
        """Bytes on disk of one view of one example."""
        return self.size_bytes / (len(self) * self.views)

    def fidelity(self, temperature: float | int = 1.0) -> Fidelity | None:
        """What storing lost of the teacher's outputs, and how soft these are.

        Args:
            temperature: 1, or the one that was given to `label`.

        Returns:
            None where it was not measured, at another temperature.
        """
        return self._fidelity.get(float(temperature))

    def __call__(
        self, inputs: Tensor | None, rows: Int64[Tensor, " batch"], view: int
    ) -> Float32[Tensor, "batch classes *size"] | TopK:
        """The teacher's targets for some examples in one view.

        Args:
            inputs: Not looked at: a live teacher needs them in this place.
            rows: Which examples, 0 <= row < len.
            view: Which view of them, 0 <= view < views.

        Returns:
            Centred logits, log-odds, or values; of kind ``top-k`` the classes that were kept, of which ``dense()``
            gives logits of all.
        """
        if not 0 <= view < self.views:
            raise must(
                "view", "Targets", f"from 0 to {self.views - 1}", view, "Label as many views as training asks for"
            )
        return self._coding.decode({name: column[view].index_select(0, rows) for name, column in self._columns.items()})

    def __repr__(self) -> str:
        what = self.kind if self.top_k is None else f"top {self.top_k} logits"
        dtype = f" in {self.dtype}" if self.dtype == "int8" else ""
        views = f"{self.views} view{'s' if self.views > 1 else ''}"
        return (
            f"{what}{dtype} of {len(self):,} examples in {views}, {self.task}, "
            f"{self.bytes_per_example:.1f} bytes per example, in {self.folder}"
        )
