"""What a store says about itself."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from attar.errors import StaleStore, must, shown
from attar.records import read_record, to_text
from attar.transfer.store.coding import DTYPES, VALUES, Coding
from attar.transfer.store.fidelity import Fidelity
from attar.transfer.store.whole import corrupt, write_whole

MANIFEST = "manifest.json"

_FORMATS = {"float16": 1, "int8": 2, VALUES: 3}
"""The number of the format, by dtype: versions that know of float16 alone shall say that they are too old."""


_LARGEST, _MOST_PARTS = 2**28, 10**6
"""Bytes of a manifest and parts of a store at most; a part takes 200 bytes of the manifest."""


@dataclass(frozen=True, slots=True)
class Part:
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
class Manifest:
    """What a store says about itself.

    Attributes:
        classes: The name of each class.
        top_k: How many classes are kept of each example; None keeps all.
        dtype: How a number is kept.
        rows: Number of examples.
        views: Number of views of each.
        rows_per_part: How many examples one file holds, but perhaps the last of a view.
        fingerprints: Of ``teacher``, ``data`` and ``views``; plain JSON values.
        digests: SHA-256 of every part that is written, by its name. A part that is not named here is not there.
        sources: Of a merged store, the dtype and the number of classes of each store that went into it; None where a
            teacher was asked, and in a store of an earlier version.
        fidelities: What was lost in each part and how soft it was, once for each temperature, by the part's name; a
            store of an earlier version has none.
    """

    classes: tuple[str, ...]
    top_k: int | None
    dtype: str
    rows: int
    views: int
    rows_per_part: int
    fingerprints: Mapping[str, Any]
    digests: Mapping[str, str] = field(default_factory=dict)
    fidelities: Mapping[str, Sequence[Fidelity]] = field(default_factory=dict)
    sources: tuple[tuple[str, int | None], ...] | None = None

    @property
    def kind(self) -> str:
        if self.dtype == VALUES:
            return "values"
        return "logits" if self.top_k is None else "top-k"

    @property
    def coding(self) -> Coding:
        return Coding(len(self.classes), self.top_k, self.dtype)

    def parts(self) -> Iterator[Part]:
        for view in range(self.views):
            for number, start in enumerate(range(0, self.rows, self.rows_per_part)):
                yield Part(view, number, start, min(start + self.rows_per_part, self.rows))

    def write(self, folder: Path, of: str) -> None:
        document = {
            "format": _FORMATS[self.dtype],
            "kind": self.kind,
            "classes": list(self.classes),
            "top_k": self.top_k,
            "dtype": self.dtype,
            "rows": self.rows,
            "views": self.views,
            "rows_per_part": self.rows_per_part,
            "fingerprints": dict(self.fingerprints),
            **({} if self.sources is None else {"sources": [list(source) for source in self.sources]}),
            "parts": dict(self.digests),
            "fidelity": {name: [asdict(one) for one in found] for name, found in self.fidelities.items()},
        }
        write_whole(folder / MANIFEST, to_text(document).encode(), of)

    @classmethod
    def read(cls, folder: Path, of: str = "Targets.open") -> Manifest:
        path = folder / MANIFEST
        if not os.path.lexists(path):
            raise must("folder", of, f"a folder with a {MANIFEST}", folder, "Run label first")
        document = read_record(path, "Delete the folder and label again.", finite=False, largest=_LARGEST)
        if "format" not in document:
            raise corrupt(path, "it does not say what format it is", whole=True)
        if document["format"] not in _FORMATS.values():
            got, remedy = document["format"], "Use the version of attar that wrote it, or label into another folder"
            raise must("format", str(path), " or ".join(map(str, _FORMATS.values())), got, remedy)
        try:
            manifest = cls(
                classes=tuple(str(name) for name in document["classes"]),
                top_k=None if document["top_k"] is None else int(document["top_k"]),
                dtype=str(document.get("dtype", DTYPES[0])),
                rows=int(document["rows"]),
                views=int(document["views"]),
                rows_per_part=int(document["rows_per_part"]),
                fingerprints={name: document["fingerprints"][name] for name in ("teacher", "data", "views")},
                sources=_sources(document.get("sources")),
                digests=dict(document["parts"]),
                fidelities={
                    str(name): [Fidelity(**{key: float(value) for key, value in one.items()}) for one in found]
                    for name, found in document.get("fidelity", {}).items()
                },
            )
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise corrupt(path, f"an entry is missing or wrong ({error!r})", whole=True) from error
        if min(manifest.rows, manifest.views, manifest.rows_per_part, len(manifest.classes)) < 1:
            raise corrupt(path, "a number of it is below 1", whole=True)
        if manifest.views * -(-manifest.rows // manifest.rows_per_part) > _MOST_PARTS:
            raise corrupt(path, f"it has more than {_MOST_PARTS} parts", whole=True)
        if _FORMATS.get(manifest.dtype) != document["format"]:
            raise corrupt(path, f"its dtype {shown(manifest.dtype)} are not of its format", whole=True)
        if manifest.top_k is not None and not 1 <= manifest.top_k < len(manifest.classes):
            raise corrupt(path, f"it keeps {manifest.top_k} of {len(manifest.classes)} classes", whole=True)
        return manifest

    def check_fresh(self, folder: Path, asked: Mapping[str, object]) -> None:
        """Raise StaleStore, naming everything that differs, unless the store is what was asked for."""
        stored = {**self.fingerprints, "top_k": self.top_k, "dtype": self.dtype, "classes": self.classes}
        shorten = {"teacher": 16, "data": 16, "views": 200, "top_k": 16, "dtype": 16, "classes": 80}
        if self.sources is not None:
            stored["sources"], shorten["sources"] = self.sources, 80
        differences = [
            f"{name} (stored {shown(stored[name], limit)}, now {shown(asked[name], limit)})"
            for name, limit in shorten.items()
            if name in asked and stored[name] != asked[name]
        ]
        if differences:
            raise StaleStore(
                f"folder of targets must be about what is asked for; {str(folder)!r} has changed in: "
                f"{', '.join(differences)}. Choose another folder, or delete this one and label again."
            )

    def check_finished(self, folder: Path, of: str) -> None:
        """Raise BadInput unless every part is written."""
        parts = [part.name for part in self.parts()]
        done = sum(name in self.digests for name in parts)
        if done < len(parts):
            got = f"{folder} with {done} of {len(parts)} parts"
            raise must("folder", of, "a finished pass", got, "Run label again: it goes on where it stopped")

    def fidelity(self) -> dict[float, Fidelity]:
        """What was lost in all parts together, for every temperature at which each of them was measured."""
        parts = list(self.parts())
        found = [{one.temperature: one for one in self.fidelities.get(part.name, ())} for part in parts]
        everywhere = set(found[0]).intersection(*found[1:])
        return {
            temperature: Fidelity.over([(part.rows, one[temperature]) for part, one in zip(parts, found, strict=True)])
            for temperature in sorted(everywhere)
        }


def _sources(listed: Any) -> tuple[tuple[str, int | None], ...] | None:
    """What a manifest says of the stores that were merged."""
    if listed is None:
        return None
    return tuple((str(dtype), None if top_k is None else int(top_k)) for dtype, top_k in listed)
