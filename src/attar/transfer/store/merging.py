"""Several teachers' stores averaged into one, without asking a teacher again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from jaxtyping import Float32
from torch import Tensor

from attar.errors import must
from attar.ops.top_k import dense
from attar.teachers.ensemble import MEANS, fingerprint_of, shares
from attar.training.progress import Progress, silent
from attar.transfer.store.coding import VALUES, Coding
from attar.transfer.store.fidelity import temperatures
from attar.transfer.store.filling import fill
from attar.transfer.store.manifest import Manifest, Part
from attar.transfer.store.parquet import Read, read_part
from attar.transfer.store.targets import Targets


def merge(
    stores: Sequence[str | Path | Targets],
    folder: str | Path,
    *,
    mean: str = "probabilities",
    weights: Sequence[float | int] | None = None,
    top_k: int | None = None,
    dtype: str = "float16",
    temperature: float | int = 1.0,
    batch_size: int = 256,
    rows_per_part: int = 8192,
    progress: Progress = silent,
) -> Targets:
    """Average what several teachers said about the same examples into one store, without asking them again.

    What comes out is the store of their `attar.Ensemble`, of which it has the fingerprint, up to what the stores had
    rounded away; `Targets.fidelity` holds what is stored against the mean of what the stores held. Of stores that kept
    their k likeliest classes alone, the classes that one did not keep count with an even share of its rest, before the
    likeliest are chosen again: a class that is likely for one teacher alone comes out with what the others' rest left
    it.

    The stores are read a part at a time, so that memory holds one part of each and not all of them. A folder that holds
    a part of the result is completed from the first missing part on.

    Args:
        stores: One store or more, or their folders, all of the same examples, views and classes.
        folder: Where to keep the result: a new or empty folder, or one that an earlier pass wrote.
        mean: What is averaged, as in `attar.Ensemble`: ``"probabilities"``, ``"geometric"`` or ``"logits"``.
        weights: One positive number per store, on any scale; None counts all the same.
        top_k: How many of the likeliest classes to keep; None keeps as many as the stores do: all where one of them
            keeps all, else the most that one of them keeps.
        dtype: As in `label`.
        temperature: As in `label`.
        batch_size: How many examples are averaged at once.
        rows_per_part: As in `label`.
        progress: Told about every example of every view.

    Raises:
        BadInput: If a parameter breaks its rule, a store is not finished, they differ in examples, views or classes, or
            the folder cannot be written or holds something else.
        StaleStore: If the folder holds other targets, or a mean of stores with other ``top_k`` or ``dtype``.
        CorruptFile: If a file of a store was truncated or altered.
    """
    members = [_Member(store.folder if isinstance(store, Targets) else Path(store)) for store in stores]
    if not members:
        raise must("stores", "merge", "one store or more", [], "Give the folders that label wrote")
    first = members[0].manifest
    for member in members[1:]:
        _check_alike(members[0], member)
    weighed = shares(len(members), mean, weights, "merge")
    values = first.dtype == VALUES
    if values and dtype == "float16":
        dtype = VALUES
    if top_k is None and all(member.manifest.top_k is not None for member in members):
        top_k = max(member.manifest.top_k or 0 for member in members)
    Coding(len(first.classes), top_k, dtype).check("merge")
    for name, number in (("batch_size", batch_size), ("rows_per_part", rows_per_part)):
        if number < 1:
            raise must(name, "merge", "at least 1", number, "Leave it out")
    teachers = [str(member.manifest.fingerprints["teacher"]) for member in members]
    wanted = Manifest(
        classes=first.classes,
        top_k=top_k,
        dtype=dtype,
        rows=first.rows,
        views=first.views,
        rows_per_part=rows_per_part,
        fingerprints={**first.fingerprints, "teacher": fingerprint_of(teachers, mean, weighed)},
        # In the order of the teachers, since that of the stores does not matter.
        sources=tuple(member.source for member in sorted(members, key=_Member.place)),
    )

    def said(part: Part) -> Iterator[Tensor]:
        for start in range(part.start, part.stop, batch_size):
            stop = min(start + batch_size, part.stop)
            yield MEANS["logits" if values else mean](
                torch.stack([member.logits(part.view, start, stop) for member in members]), weighed
            )

    fill(
        Path(folder),
        wanted,
        members[0].ids(),
        said,
        speaker="the mean of the stores",
        temperatures=temperatures(temperature, "merge"),
        of="merge",
        progress=progress,
    )
    return Targets.open(folder)


class _Member:
    """One store, of which one part at a time is in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = Manifest.read(folder, "merge")
        self.manifest.check_finished(folder, "merge")
        self._parts = {(part.view, part.number): part for part in self.manifest.parts()}
        self._held: tuple[Part, Read] | None = None

    @property
    def source(self) -> tuple[str, int | None]:
        """In what form it keeps what its teacher said."""
        return self.manifest.dtype, self.manifest.top_k

    def place(self) -> tuple[str, str, int]:
        """Where it stands among others, in whatever order they were given."""
        dtype, top_k = self.source
        return str(self.manifest.fingerprints["teacher"]), dtype, top_k or 0

    def ids(self) -> Tensor:
        """``[rows]`` int64, the identity of each row."""
        parts = [part for part in self._parts.values() if part.view == 0]
        return torch.cat([torch.from_numpy(self._read(part).ids.copy()) for part in parts])

    def logits(self, view: int, start: int, stop: int) -> Float32[Tensor, "rows classes"]:
        """What the teacher said about the rows from ``start`` up to ``stop`` in a view."""
        each = self.manifest.rows_per_part
        return torch.cat(
            [
                self._decoded(self._parts[view, number], start, stop)
                for number in range(start // each, (stop - 1) // each + 1)
            ]
        )

    def _decoded(self, part: Part, start: int, stop: int) -> Tensor:
        """Those rows of one part that are asked for, as logits."""
        rows = slice(max(start, part.start) - part.start, min(stop, part.stop) - part.start)
        # A copy, since what was read belongs to the file's buffer and may not be written to.
        columns = {name: torch.from_numpy(array[rows].copy()) for name, array in self._read(part).columns.items()}
        return dense(self.manifest.coding.decode(columns))

    def _read(self, part: Part) -> Read:
        if self._held is None or self._held[0] != part:
            self._held = None
            self._held = (part, read_part(self.folder, self.manifest, part, None))
        return self._held[1]


def _check_alike(one: _Member, other: _Member) -> None:
    """Raise BadInput, naming everything that differs, unless two stores are about the same."""
    names = {"data": "examples", "views": "views"}
    differences = [
        said for name, said in names.items() if one.manifest.fingerprints[name] != other.manifest.fingerprints[name]
    ]
    if one.manifest.classes != other.manifest.classes:
        differences.append("classes")
    if (one.manifest.dtype == VALUES) != (other.manifest.dtype == VALUES):
        differences.append("kind of numbers")
    if differences:
        rule, got = f"about the same {' and '.join(differences)}", f"{one.folder.name} and {other.folder.name}"
        raise must("stores", "merge", rule, got, "Label the same split with the same views for every teacher")
