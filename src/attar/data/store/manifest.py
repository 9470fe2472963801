"""The manifest of a store: what it holds, with checksums."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from attar.data.store.coding import DTYPES, VALUES, Coding
from attar.data.store.fidelity import Fidelity
from attar.data.store.files import corrupt, write_store_file
from attar.errors import BadInput, StaleStore, must, shown
from attar.records import read_record, to_text
from attar.tasks.known import task_from_json
from attar.tasks.task import Task

MANIFEST = "manifest.json"

_FORMAT = 4
"""The number of the format; since 4 a manifest has the task."""

_LARGEST, _MOST_SHARDS = 2**28, 10**6
"""Bytes of a manifest and shards of a store at most; a shard takes 200 bytes of the manifest."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Some consecutive rows of one view: one file."""

    view: int
    number: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        return f"shard-{self.view:03d}-{self.number:05d}.parquet"

    @property
    def rows(self) -> int:
        return self.stop - self.start

    @property
    def slice(self) -> slice:
        return slice(self.start, self.stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The manifest of a store.

    Attributes:
        task: What outputs mean.
        top_k: How many classes are kept of each example; None keeps all.
        dtype: How a number is kept.
        rows: Number of examples.
        views: Number of views of each.
        rows_per_shard: How many examples one file holds, but perhaps the last of a view.
        fingerprints: Of ``teacher``, ``data`` and ``views``; plain JSON values.
        digests: SHA-256 of every shard that is written, by its name. A shard that is not named here is not there.
        sources: Of a merged store, the dtype and the number of classes of each store that went into it; None where a
            teacher was asked.
        fidelities: What was lost in each shard and how soft it was, once for each temperature, by the shard's name.
    """

    task: Task
    top_k: int | None
    dtype: str
    rows: int
    views: int
    rows_per_shard: int
    fingerprints: Mapping[str, Any]
    digests: Mapping[str, str] = field(default_factory=dict)
    fidelities: Mapping[str, Sequence[Fidelity]] = field(default_factory=dict)
    sources: tuple[tuple[str, int | None], ...] | None = None

    @property
    def kind(self) -> str:
        if self.task.target != "logits":
            return self.task.target
        return "logits" if self.top_k is None else "top-k"

    @property
    def coding(self) -> Coding:
        return Coding(self.task.shape[0], self.top_k, self.dtype, self.task.target, tuple(self.task.shape[1:]))

    def shards(self) -> Iterator[Shard]:
        for view in range(self.views):
            for number, start in enumerate(range(0, self.rows, self.rows_per_shard)):
                yield Shard(view, number, start, min(start + self.rows_per_shard, self.rows))

    def write(self, folder: Path, of: str) -> None:
        document = {
            "format": _FORMAT,
            "kind": self.kind,
            "task": self.task.to_json(),
            "top_k": self.top_k,
            "dtype": self.dtype,
            "rows": self.rows,
            "views": self.views,
            "rows_per_shard": self.rows_per_shard,
            "fingerprints": dict(self.fingerprints),
            **({} if self.sources is None else {"sources": [list(source) for source in self.sources]}),
            "shards": dict(self.digests),
            "fidelity": {name: [asdict(one) for one in found] for name, found in self.fidelities.items()},
        }
        write_store_file(folder / MANIFEST, to_text(document).encode(), of)

    @classmethod
    def read(cls, folder: Path, of: str = "Targets.open") -> Manifest:
        path = folder / MANIFEST
        if not os.path.lexists(path):
            raise must("folder", of, f"a folder with a {MANIFEST}", folder, "Run label first")
        document = read_record(path, "Delete the folder and label again.", finite=False, largest=_LARGEST)
        if "format" not in document:
            raise corrupt(path, "it does not say what format it is", unusable=True)
        if (number := document["format"]) != _FORMAT:
            newer = isinstance(number, int) and number > _FORMAT
            remedy = "it is of an older Attar, so delete the folder, or name another, and label again"
            if newer:
                remedy = "it is of a newer Attar, so install that, or name another folder and label again"
            raise BadInput(f"{str(path)!r} must be of format {_FORMAT}, and is of {shown(number, 40)}: {remedy}.")
        try:
            manifest = cls(
                task=task_from_json(document["task"], str(path)),
                top_k=None if document["top_k"] is None else int(document["top_k"]),
                dtype=str(document["dtype"]),
                rows=int(document["rows"]),
                views=int(document["views"]),
                rows_per_shard=int(document["rows_per_shard"]),
                fingerprints={name: document["fingerprints"][name] for name in ("teacher", "data", "views")},
                sources=_sources(document.get("sources")),
                digests=dict(document["shards"]),
                fidelities={
                    str(name): [Fidelity(**{key: float(value) for key, value in one.items()}) for one in found]
                    for name, found in document["fidelity"].items()
                },
            )
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise corrupt(path, f"an entry is missing or wrong ({error!r})", unusable=True) from error
        if min(manifest.rows, manifest.views, manifest.rows_per_shard) < 1:
            raise corrupt(path, "a number of it is below 1", unusable=True)
        if manifest.views * -(-manifest.rows // manifest.rows_per_shard) > _MOST_SHARDS:
            raise corrupt(path, f"it has more than {_MOST_SHARDS} shards", unusable=True)
        if (manifest.dtype == VALUES) != (manifest.task.target == "values") or manifest.dtype not in (*DTYPES, VALUES):
            raise corrupt(path, f"its numbers are not kept as {shown(manifest.dtype)}", unusable=True)
        if manifest.top_k is not None and not 1 <= manifest.top_k < manifest.task.shape[0]:
            raise corrupt(path, f"it keeps {manifest.top_k} of {manifest.task.shape[0]} classes", unusable=True)
        return manifest

    def check_fresh(self, folder: Path, requested: Mapping[str, object]) -> None:
        """Raise StaleStore, naming everything that differs, unless the store is what was asked for."""
        stored = {**self.fingerprints, "top_k": self.top_k, "dtype": self.dtype, "task": self.task}
        shorten = {"teacher": 16, "data": 16, "views": 200, "top_k": 16, "dtype": 16, "task": 120}
        if self.sources is not None:
            stored["sources"], shorten["sources"] = self.sources, 80
        differences = [
            f"{name} (stored {shown(stored[name], limit)}, now {shown(requested[name], limit)})"
            for name, limit in shorten.items()
            if name in requested and stored[name] != requested[name]
        ]
        if differences:
            raise StaleStore(
                f"folder of targets must be about what is asked for; {str(folder)!r} has changed in: "
                f"{', '.join(differences)}. Choose another folder, or delete this one and label again."
            )

    def check_finished(self, folder: Path, of: str) -> None:
        """Raise BadInput unless every shard is written."""
        shards = [shard.name for shard in self.shards()]
        done = sum(name in self.digests for name in shards)
        if done < len(shards):
            raise BadInput(
                f"{of} needs complete targets, and {str(folder)!r} holds {done} of {len(shards)} shards. "
                "Run label again: it goes on where it stopped."
            )

    def fidelity(self) -> dict[float, Fidelity]:
        """What was lost in all shards together, for every temperature at which each of them was measured."""
        shards = list(self.shards())
        found = [{one.temperature: one for one in self.fidelities.get(shard.name, ())} for shard in shards]
        everywhere = set(found[0]).intersection(*found[1:])
        return {
            temperature: Fidelity.over(
                [(shard.rows, one[temperature]) for shard, one in zip(shards, found, strict=True)]
            )
            for temperature in sorted(everywhere)
        }


def _sources(listed: Any) -> tuple[tuple[str, int | None], ...] | None:
    """What a manifest holds of the stores that were merged."""
    if listed is None:
        return None
    return tuple((str(dtype), None if top_k is None else int(top_k)) for dtype, top_k in listed)
