"""The store of targets: what a teacher said about every view of every example, written once and read for nothing.

A store is a folder: ``manifest.json`` says whose targets they are, and ``part-VVV-PPPPP.parquet`` holds part P of view
V:

- ``id`` int64 and ``view`` int32, and then, of kind ``logits``:
- ``logits`` fixed-size list of float16, one per class: logits less their mean over the classes; or, of kind ``top-k``:
- ``index`` fixed-size list of int32, the k likeliest classes, the likeliest first; ``logit`` fixed-size list of
float16, their
  log-probabilities; and ``rest`` float32, the log of the probability that all other classes share.

Every file is written whole or not at all, and the manifest names every part that is written with the SHA-256 of its
bytes: a pass that was killed goes on at the first missing part, and no altered byte goes unnoticed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float16, Float32, Int32, Int64
from torch import Tensor

from attar.errors import BadInput, CorruptFile, StaleStore, must, shown
from attar.teachers.teacher import Teacher
from attar.training.progress import Progress, silent
from attar.transfer.datasets import Split
from attar.transfer.views import UNCHANGED, Views

_log = logging.getLogger(__name__)

_FORMAT = 1
_MANIFEST = "manifest.json"
_UNFINISHED = ".unfinished"
_LARGEST = 65504
"""The largest float16."""


def label(
    teacher: Teacher,
    split: Split,
    folder: str | Path,
    *,
    views: Views = UNCHANGED,
    top_k: int | None = None,
    batch_size: int = 256,
    rows_per_part: int = 8192,
    progress: Progress = silent,
) -> Targets:
    """Run a teacher once over every view of every example, and keep what it says in a folder.

    A folder that already holds these targets is reused; one that holds a part of them is completed from the first
    missing part on. Two passes must not write to one folder at the same time.

    Args:
        teacher: Whose targets they are.
        split: The examples; labels are not looked at.
        folder: Where to keep the targets: a new or empty folder, or one that an earlier pass wrote.
        views: How the looks at an example are drawn.
        top_k: Keep only so many of the likeliest classes, 1 <= top_k < classes, and the probability of the rest as one
            number; None keeps all logits.
        batch_size: How many examples the teacher sees at once.
        rows_per_part: How many examples one file holds: what a killed pass loses at most. In a folder that an earlier
            pass began, the number of then holds.
        progress: Told about every labelled example of every view.

    Raises:
        BadInput: If a parameter breaks its rule, the teacher gives anything but finite ``[batch, classes]`` logits, or
            the folder cannot be written or holds something else.
        StaleStore: If the folder holds targets of another teacher, other data, other views or another ``top_k``.
        CorruptFile: If a file of the folder was truncated or altered.
    """
    folder = Path(folder)
    _check(teacher, split, top_k, batch_size, rows_per_part)
    wanted = _Manifest(
        classes=tuple(split.classes),
        top_k=top_k,
        rows=len(split),
        views=views.count,
        rows_per_part=rows_per_part,
        fingerprints={"teacher": teacher.fingerprint(), "data": split.fingerprint(), "views": views.fingerprint()},
    )
    try:
        found = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    except OSError as error:
        raise _unwritable(folder, error) from error
    if _MANIFEST in found:
        manifest = _Manifest.read(folder)
        _check_fresh(folder, manifest, {**wanted.fingerprints, "top_k": top_k, "classes": wanted.classes})
    elif others := sorted(found - {_MANIFEST + _UNFINISHED}):
        rule = "empty, new or written by label"
        raise must("folder", "label", rule, f"{folder} with {others[0]} in it", "Choose another folder")
    else:
        manifest = wanted
        manifest.write(folder)
    parts = list(manifest.parts())
    digests = {name: digest for name, digest in manifest.digests.items() if name in found}
    if len(digests) < len(manifest.digests):
        # Parts were deleted. Should this pass be killed, the old digests must not stand beside the new parts.
        replace(manifest, digests=digests).write(folder)
    if len(digests) == len(parts):
        _log.info("Reusing the targets in %s", folder)
        return Targets.open(folder, split)
    if digests:
        _log.info("Going on with %s, which has %d of %d parts", folder, len(digests), len(parts))
    with progress("label", total=len(split) * views.count) as advance:
        for part in parts:
            if part.name in digests:
                _read_part(folder, manifest, part, split.ids)
                advance(part.rows)
                continue
            said = list(_said(teacher, split, views, part, batch_size, top_k, advance))
            columns = {name: torch.cat([batch[name] for batch in said]) for name in said[0]}
            digests[part.name] = _write(folder / part.name, _parquet(split.ids[part.slice], part.view, columns))
            replace(manifest, digests=digests).write(folder)
    return Targets.open(folder, split)


def round_through_store(logits: Tensor) -> Float32[Tensor, "batch classes"]:
    """Logits ``[batch, classes]`` as they come back from the store: less their mean over the classes, in float16.

    The softmax stays, up to the rounding: the log-odds of two classes move by at most ``2**-11`` of their centred
    logits.

    Raises:
        BadInput: If a logit is not finite, or is further than 65504 from the mean of its row.

    Example:
        >>> round_through_store(torch.tensor([[3.0, 1.0, 2.0]]))
        tensor([[ 1., -1.,  0.]])
    """
    return _halves(logits, lambda row: f"row {row} of round_through_store").float()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Targets:
    """Stored targets, open for reading: call it with a batch's rows and view.

    Attributes:
        folder: Where they are kept.
        classes: The name of each class.
        kind: ``"logits"`` or ``"top-k"``.
        top_k: How many classes are kept of each example; None keeps all.
        views: How many views of each example there are.
        ids: ``[rows]`` int64, the identity of each row.
        size_bytes: Size of all files of the store on disk.
        fingerprints: What they are about: of the ``teacher``, the ``data`` and the ``views``.
    """

    folder: Path
    classes: tuple[str, ...]
    kind: str
    top_k: int | None
    views: int
    ids: Int64[Tensor, " rows"]
    size_bytes: int
    fingerprints: Mapping[str, Any]
    _values: _Logits | _TopK

    @classmethod
    def open(
        cls,
        folder: str | Path,
        split: Split | None = None,
        views: Views | None = None,
        teacher_fingerprint: str | None = None,
    ) -> Targets:
        """Read a store that `label` finished.

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
        manifest = _Manifest.read(folder)
        asked: dict[str, object] = {}
        if teacher_fingerprint is not None:
            asked["teacher"] = teacher_fingerprint
        if split is not None:
            asked |= {"data": split.fingerprint(), "classes": tuple(split.classes)}
        if views is not None:
            asked["views"] = views.fingerprint()
        _check_fresh(folder, manifest, asked)
        parts = [part.name for part in manifest.parts()]
        done = sum(name in manifest.digests for name in parts)
        if done < len(parts):
            got = f"{folder} with {done} of {len(parts)} parts"
            raise must("folder", "Targets.open", "a finished pass", got, "Run label again: it goes on where it stopped")
        ids, values, size_bytes = _read_all(folder, manifest, None if split is None else split.ids)
        return cls(
            folder=folder,
            classes=manifest.classes,
            kind=manifest.kind,
            top_k=manifest.top_k,
            views=manifest.views,
            ids=ids,
            size_bytes=size_bytes,
            fingerprints=manifest.fingerprints,
            _values=values,
        )

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.ids)

    @property
    def bytes_per_example(self) -> float:
        """Bytes on disk of one view of one example."""
        return self.size_bytes / (len(self) * self.views)

    def __call__(
        self, inputs: Tensor | None, rows: Int64[Tensor, " batch"], view: int
    ) -> Float32[Tensor, "batch classes"]:
        """What the teacher said about some examples in one view.

        Args:
            inputs: Not looked at: a live teacher needs them in this place.
            rows: Which examples, 0 <= row < len.
            view: Which view of them, 0 <= view < views.

        Returns:
            Centred logits; of kind ``top-k``, log-probabilities of which the classes that were not kept share the rest
            evenly.
        """
        if not 0 <= view < self.views:
            raise must(
                "view", "Targets", f"from 0 to {self.views - 1}", view, "Label as many views as training asks for"
            )
        return self._values(rows, view)

    def __repr__(self) -> str:
        what = "logits" if self.top_k is None else f"top {self.top_k} logits"
        views = f"{self.views} view{'s' if self.views > 1 else ''}"
        return (
            f"{what} of {len(self):,} examples in {views}, {len(self.classes)} classes, "
            f"{self.bytes_per_example:.1f} bytes per example, in {self.folder}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Logits:
    """Kind ``logits``, as it is stored."""

    logits: Float16[Tensor, "views rows classes"]

    def __call__(self, rows: Tensor, view: int) -> Tensor:
        return self.logits[view].index_select(0, rows).float()


@dataclass(frozen=True, slots=True, eq=False)
class _TopK:
    """Kind ``top-k``: made dense a batch at a time, since all at once need not fit into memory."""

    index: Int32[Tensor, "views rows top_k"]
    kept: Float32[Tensor, "views rows top_k"]
    other: Float32[Tensor, "views rows"]
    classes: int

    @classmethod
    def of(cls, *, index: Tensor, logit: Tensor, rest: Tensor, classes: int) -> _TopK:
        """From the columns as they are stored."""
        # The rounded log-probabilities, scaled to what the rest leaves: log(1 - exp(rest)), exact for every rest < 0.
        kept = torch.log_softmax(logit.float(), dim=-1) + torch.log(-torch.expm1(rest))[..., None]
        return cls(index, kept, rest - math.log(classes - index.shape[-1]), classes)

    def __call__(self, rows: Tensor, view: int) -> Tensor:
        other = self.other[view].index_select(0, rows)[:, None].expand(-1, self.classes)
        index = self.index[view].index_select(0, rows).long()
        return other.scatter(1, index, self.kept[view].index_select(0, rows))


@dataclass(frozen=True, slots=True)
class _Part:
    """Some consecutive rows of one view: one file."""

    view: int
    number: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        return f"part-{self.view:03d}-{self.number:05d}.parquet"

    @property
    def rows(self) -> int:
        return self.stop - self.start

    @property
    def slice(self) -> slice:
        return slice(self.start, self.stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Manifest:
    """What a store says about itself.

    Attributes:
        fingerprints: Of ``teacher``, ``data`` and ``views``; plain JSON values.
        digests: SHA-256 of every part that is written, by its name. A part that is not named here is not there.
    """

    classes: tuple[str, ...]
    top_k: int | None
    rows: int
    views: int
    rows_per_part: int
    fingerprints: Mapping[str, Any]
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return "logits" if self.top_k is None else "top-k"

    def parts(self) -> Iterator[_Part]:
        for view in range(self.views):
            for number, start in enumerate(range(0, self.rows, self.rows_per_part)):
                yield _Part(view, number, start, min(start + self.rows_per_part, self.rows))

    def write(self, folder: Path) -> None:
        document = {
            "format": _FORMAT,
            "kind": self.kind,
            "classes": list(self.classes),
            "top_k": self.top_k,
            "rows": self.rows,
            "views": self.views,
            "rows_per_part": self.rows_per_part,
            "fingerprints": dict(self.fingerprints),
            "parts": dict(self.digests),
        }
        _write(folder / _MANIFEST, json.dumps(document, indent=1).encode())

    @classmethod
    def read(cls, folder: Path) -> _Manifest:
        path = folder / _MANIFEST
        if not path.is_file():
            raise must("folder", "Targets.open", f"a folder with a {_MANIFEST}", folder, "Run label first")
        try:
            document = json.loads(path.read_bytes())
        except ValueError as error:
            raise _corrupt(path, f"it is not JSON ({error})", whole=True) from error
        if not isinstance(document, dict) or "format" not in document:
            raise _corrupt(path, "it does not say what format it is", whole=True)
        if document["format"] != _FORMAT:
            got, remedy = document["format"], "Use the version of attar that wrote it, or label into another folder"
            raise must("format", str(path), f"{_FORMAT}", got, remedy)
        try:
            manifest = cls(
                classes=tuple(str(name) for name in document["classes"]),
                top_k=None if document["top_k"] is None else int(document["top_k"]),
                rows=int(document["rows"]),
                views=int(document["views"]),
                rows_per_part=int(document["rows_per_part"]),
                fingerprints={name: document["fingerprints"][name] for name in ("teacher", "data", "views")},
                digests=dict(document["parts"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _corrupt(path, f"an entry is missing or wrong ({error!r})", whole=True) from error
        if min(manifest.rows, manifest.views, manifest.rows_per_part, len(manifest.classes)) < 1:
            raise _corrupt(path, "a number of it is below 1", whole=True)
        return manifest


@dataclass(frozen=True, slots=True)
class _Read:
    """One part as it was read: its ids, its other columns as arrays, and its size."""

    ids: np.ndarray
    columns: dict[str, np.ndarray]
    size_bytes: int


def _check(teacher: Teacher, split: Split, top_k: int | None, batch_size: int, rows_per_part: int) -> None:
    """The rules about what `label` is given."""
    if len(split) < 1:
        raise must("split", "label", "at least one example", "none", "Give the examples that the teacher shall label")
    if teacher.classes != len(split.classes):
        got, remedy = teacher.classes, "Give the data with the classes, in the order, that the teacher was trained on"
        raise must("classes", repr(teacher), f"the {len(split.classes)} classes of the data", got, remedy)
    if top_k is not None and not 1 <= top_k < teacher.classes:
        rule = f"from 1 to {teacher.classes - 1}, for a teacher of {teacher.classes} classes"
        raise must("top_k", "label", rule, top_k, "Leave it out to keep the logits of all classes")
    if batch_size < 1:
        raise must("batch_size", "label", "at least 1", batch_size, "512 is usual")
    if rows_per_part < 1:
        raise must("rows_per_part", "label", "at least 1", rows_per_part, "Leave it out")


def _check_fresh(folder: Path, manifest: _Manifest, asked: Mapping[str, object]) -> None:
    """Raise StaleStore, naming everything that differs, unless the store is what was asked for."""
    stored = {**manifest.fingerprints, "top_k": manifest.top_k, "classes": manifest.classes}
    changed = [name for name, value in asked.items() if stored[name] != value]
    if not changed:
        return
    shorten = {"teacher": 16, "data": 16, "views": 200, "top_k": 16, "classes": 80}
    differences = [
        f"{name} (stored {shown(stored[name], shorten[name])}, now {shown(asked[name], shorten[name])})"
        for name in ("teacher", "data", "views", "top_k", "classes")
        if name in changed
    ]
    raise StaleStore(
        f"folder of targets must be about what is asked for; {str(folder)!r} has changed in: {', '.join(differences)}. "
        "Choose another folder, or delete this one and label again."
    )


def _said(
    teacher: Teacher,
    split: Split,
    views: Views,
    part: _Part,
    batch_size: int,
    top_k: int | None,
    advance: Callable[[int], None],
) -> Iterator[dict[str, Tensor]]:
    """The columns of one part, a batch at a time, in the order of the split."""
    for start in range(part.start, part.stop, batch_size):
        rows = slice(start, min(start + batch_size, part.stop))
        ids = split.ids[rows]
        logits = teacher.predict(views(split.floats(rows), ids, part.view))
        rule = f"a tensor [{len(ids)}, {teacher.classes}]"
        if not isinstance(logits, Tensor):
            raise must(
                "output", repr(teacher), rule, type(logits).__name__, "Let predict return a torch tensor of logits"
            )
        if logits.shape != (len(ids), teacher.classes):
            remedy = "Let predict return one row per example and one logit per class"
            raise must("output", repr(teacher), rule, list(logits.shape), remedy)
        logits = logits.detach().cpu().float()

        def whose(row: int, ids: Tensor = ids) -> str:
            return f"{teacher!r} for the example with id {int(ids[row])}"

        yield {"logits": _halves(logits, whose)} if top_k is None else _top_k(logits, top_k, whose)
        advance(len(ids))


def _halves(logits: Tensor, whose: Callable[[int], str]) -> Float16[Tensor, "batch classes"]:
    """Logits less their mean over the classes, in float16; ``whose`` names a row for the error."""
    halves = (logits - logits.mean(dim=1, keepdim=True)).to(torch.float16)
    _check_finite(halves.isfinite().all(dim=1), logits, whose)
    return halves


def _top_k(logits: Tensor, top_k: int, whose: Callable[[int], str]) -> dict[str, Tensor]:
    """The likeliest classes, their log-probabilities, and the log of the probability of the rest."""
    # float64: among very many classes the rest is so near to 1 that what it leaves drowns in float32's rounding.
    log_probabilities = torch.log_softmax(logits.double(), dim=1)
    kept, index = log_probabilities.topk(top_k, dim=1)
    rest = log_probabilities.scatter(1, index, -math.inf).logsumexp(dim=1).float()
    halves = kept.to(torch.float16)
    fine = halves.isfinite().all(dim=1) & rest.isfinite() & logits.isfinite().all(dim=1)
    _check_finite(fine, logits, whose)
    return {"index": index.int(), "logit": halves, "rest": rest}


def _check_finite(fine: Tensor, logits: Tensor, whose: Callable[[int], str]) -> None:
    if bool(fine.all()):
        return
    row = int((~fine).nonzero()[0])
    rule = f"finite and at most {_LARGEST} from their mean"
    remedy = "Check that the teacher was trained and gets the inputs it was trained on"
    raise must("logits", whose(row), rule, [round(value, 4) for value in logits[row].tolist()], remedy)


def _parquet(ids: Tensor, view: int, columns: Mapping[str, Tensor]) -> bytes:
    """One part as the bytes of a Parquet file."""
    arrays: dict[str, Any] = {
        "id": pa.array(ids.numpy()),
        "view": pa.array(np.full(len(ids), view, np.int32)),
    }
    for name, column in columns.items():
        flat = pa.array(column.reshape(-1).numpy())
        arrays[name] = flat if column.dim() == 1 else pa.FixedSizeListArray.from_arrays(flat, column.shape[1])
    sink = pa.BufferOutputStream()
    # Exponents and mantissas of the numbers apart: a fifth smaller than the plain encoding with the same compression.
    encoding = {"id": "DELTA_BINARY_PACKED", "view": "DELTA_BINARY_PACKED"}
    encoding |= {
        name if column.dim() == 1 else f"{name}.list.element": "BYTE_STREAM_SPLIT" for name, column in columns.items()
    }
    pq.write_table(pa.table(arrays), sink, compression="zstd", use_dictionary=False, column_encoding=encoding)
    return bytes(sink.getvalue())


def _write(path: Path, data: bytes) -> str:
    """Write a file whole or not at all, through to the disk; return the SHA-256 of its bytes."""
    unfinished = path.with_name(path.name + _UNFINISHED)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
        if os.name == "posix":  # Elsewhere a folder cannot be opened, and a rename is through to the disk by itself.
            entry = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(entry)
            finally:
                os.close(entry)
    except OSError as error:
        raise _unwritable(path.parent, error) from error
    return hashlib.sha256(data).hexdigest()


def _read_all(folder: Path, manifest: _Manifest, ids: Tensor | None) -> tuple[Tensor, _Logits | _TopK, int]:
    """All parts: the ids, the values, and the size of the store in bytes."""
    shape = (manifest.views, manifest.rows)
    classes, size_bytes = len(manifest.classes), (folder / _MANIFEST).stat().st_size
    arrays = {
        name: np.empty((*shape, width) if width else shape, dtype)
        for name, dtype, width in _columns(classes, manifest.top_k)
    }
    known = np.empty(manifest.rows, np.int64) if ids is None else ids.numpy()
    for part in manifest.parts():
        unknown = ids is None and part.view == 0
        read = _read_part(folder, manifest, part, None if unknown else torch.from_numpy(known))
        if unknown:
            known[part.slice] = read.ids
        for name, column in read.columns.items():
            arrays[name][part.view, part.slice] = column
        size_bytes += read.size_bytes
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    values = _Logits(**tensors) if manifest.top_k is None else _TopK.of(**tensors, classes=classes)
    return torch.from_numpy(known), values, size_bytes


def _read_part(folder: Path, manifest: _Manifest, part: _Part, ids: Tensor | None) -> _Read:
    """One part, once it is sure that it is what was written and holds what it should.

    Args:
        folder: The store.
        manifest: What the store says about itself.
        part: Which part.
        ids: ``[rows]`` int64, the ids of the whole split; None takes whatever ids there are.

    Raises:
        CorruptFile: If the part is missing, truncated, altered, or about other examples.
    """
    path = folder / part.name
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise _corrupt(path, "it is missing") from error
    if manifest.digests.get(part.name) != hashlib.sha256(data).hexdigest():
        raise _corrupt(path, "its bytes are not those that were written")
    try:
        table = pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        raise _corrupt(path, f"it is not a whole Parquet file ({error})") from error
    expected = _columns(len(manifest.classes), manifest.top_k)
    if set(table.column_names) != {"id", "view", *(name for name, _, _ in expected)} or table.num_rows != part.rows:
        raise _corrupt(path, f"it has {table.num_rows} rows of {table.column_names}")
    columns = {name: _array(path, table, name, dtype, width) for name, dtype, width in expected}
    own, view = _array(path, table, "id", np.dtype(np.int64), 0), _array(path, table, "view", np.dtype(np.int32), 0)
    if (view != part.view).any() or (ids is not None and not np.array_equal(own, ids[part.slice].numpy())):
        raise _corrupt(path, "it is about other examples or another view")
    if "index" in columns and not ((columns["index"] >= 0) & (columns["index"] < len(manifest.classes))).all():
        raise _corrupt(path, "it names classes that there are not")
    return _Read(own, columns, len(data))


def _columns(classes: int, top_k: int | None) -> list[tuple[str, np.dtype[Any], int]]:
    """The columns of a part beside id and view: name, type, and length of its lists (0: a plain number)."""
    half, single, whole = np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.int32)
    if top_k is None:
        return [("logits", half, classes)]
    return [("index", whole, top_k), ("logit", half, top_k), ("rest", single, 0)]


def _array(path: Path, table: Any, name: str, dtype: np.dtype[Any], width: int) -> np.ndarray:
    """A column as an array ``[rows]``, or ``[rows, width]`` where it is made of lists."""
    column = table[name].combine_chunks()
    item = pa.from_numpy_dtype(dtype)
    if column.type != (pa.list_(item, width) if width else item) or column.null_count:
        raise _corrupt(path, f"its column {name!r} has gaps or is of type {column.type}")
    if not width:
        return np.asarray(column.to_numpy(zero_copy_only=True))
    flat = column.flatten()
    if flat.null_count:
        raise _corrupt(path, f"its column {name!r} has gaps")
    return np.asarray(flat.to_numpy(zero_copy_only=True)).reshape(-1, width)


def _corrupt(path: Path, why: str, *, whole: bool = False) -> CorruptFile:
    remedy = "Delete the folder and label again"
    if not whole:
        remedy = "Delete this file if it is there, and label again: only this part is computed anew"
    return CorruptFile(f"file of stored targets must be as label wrote it; got {str(path)!r}: {why}. {remedy}.")


def _unwritable(folder: Path, error: OSError) -> BadInput:
    got = f"{folder} ({error.strerror or error})"
    remedy = "Free space or choose another folder, and label again: the parts that are there are kept"
    return must("folder", "label", "a folder that can be written to, with room", got, remedy)
