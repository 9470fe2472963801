"""Several teachers' stores averaged into one, without running a teacher again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from jaxtyping import Float32
from torch import Tensor

from attar.data.store.coding import VALUES, Coding
from attar.data.store.fidelity import temperatures
from attar.data.store.filling import fill
from attar.data.store.manifest import Manifest, Shard
from attar.data.store.parquet import ShardData, read_shard
from attar.data.store.targets import Targets
from attar.errors import BadInput, must
from attar.network.entry_point import entry_point
from attar.ops.top_k import full
from attar.teachers.ensemble import averaged, fingerprint_of, mean_for, shares
from attar.training.progress import Progress, silent


@entry_point
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
    rows_per_shard: int = 8192,
    progress: Progress = silent,
) -> Targets:
    """Average the outputs of several teachers for the same examples into one store, without running them again.

    What comes out is the store of their `attar.Ensemble`, of which it has the fingerprint, up to what the stores had
    rounded away; `Targets.fidelity` holds what is stored against the mean of what the stores held. Of stores that kept
    their k likeliest classes alone, the classes that one did not keep count with an even share of its rest, before the
    likeliest are chosen again: a class that is likely for one teacher alone comes out with what the others' rest left
    it.

    The stores are read a shard at a time, so that memory holds one shard of each and not all of them. A folder that
    holds some shards of the result is completed from the first missing shard on.

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
        rows_per_shard: As in `label`.
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
    Coding(first.task.shape[0], top_k, dtype, first.task.target, tuple(first.task.shape[1:])).check("merge")
    for name, number in (("batch_size", batch_size), ("rows_per_shard", rows_per_shard)):
        if number < 1:
            raise must(name, "merge", "at least 1", number, "Leave it out")
    teachers = [str(member.manifest.fingerprints["teacher"]) for member in members]
    wanted = Manifest(
        task=first.task,
        top_k=top_k,
        dtype=dtype,
        rows=first.rows,
        views=first.views,
        rows_per_shard=rows_per_shard,
        fingerprints={**first.fingerprints, "teacher": fingerprint_of(teachers, mean, weighed)},
        # In the order of the teachers, since that of the stores does not matter.
        sources=tuple(member.source for member in sorted(members, key=_Member.place)),
    )

    def outputs(shard: Shard) -> Iterator[Tensor]:
        for start in range(shard.start, shard.stop, batch_size):
            stop = min(start + batch_size, shard.stop)
            outputs_of = torch.stack([member.logits(shard.view, start, stop) for member in members])
            yield averaged(mean_for(mean, first.task.target), outputs_of, weighed)

    fill(
        Path(folder),
        wanted,
        members[0].ids(),
        outputs,
        source="the mean of the stores",
        temperatures=temperatures(temperature, "merge"),
        of="merge",
        progress=progress,
    )
    return Targets.open(folder)


class _Member:
    """One store, of which one shard at a time is in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = Manifest.read(folder, "merge")
        self.manifest.check_finished(folder, "merge")
        self._shards = {(shard.view, shard.number): shard for shard in self.manifest.shards()}
        self._held: tuple[Shard, ShardData] | None = None

    @property
    def source(self) -> tuple[str, int | None]:
        """In what form it keeps its teacher's outputs."""
        return self.manifest.dtype, self.manifest.top_k

    def place(self) -> tuple[str, str, int]:
        """Where it stands among others, in whatever order they were given."""
        dtype, top_k = self.source
        return str(self.manifest.fingerprints["teacher"]), dtype, top_k or 0

    def ids(self) -> Tensor:
        """``[rows]`` int64, the identity of each row."""
        shards = [shard for shard in self._shards.values() if shard.view == 0]
        return torch.cat([torch.from_numpy(self._read(shard).ids.copy()) for shard in shards])

    def logits(self, view: int, start: int, stop: int) -> Float32[Tensor, "rows classes *size"]:
        """The teacher's logits for the rows from ``start`` up to ``stop`` in a view."""
        each = self.manifest.rows_per_shard
        return torch.cat(
            [
                self._decoded(self._shards[view, number], start, stop)
                for number in range(start // each, (stop - 1) // each + 1)
            ]
        )

    def _decoded(self, shard: Shard, start: int, stop: int) -> Tensor:
        """Those rows of one shard that are asked for, as logits."""
        rows = slice(max(start, shard.start) - shard.start, min(stop, shard.stop) - shard.start)
        # A copy, since what was read belongs to the file's buffer and may not be written to.
        columns = {name: torch.from_numpy(array[rows].copy()) for name, array in self._read(shard).columns.items()}
        return full(self.manifest.coding.decode(columns))

    def _read(self, shard: Shard) -> ShardData:
        if self._held is None or self._held[0] != shard:
            self._held = None
            self._held = (shard, read_shard(self.folder, self.manifest, shard, None))
        return self._held[1]


def _check_alike(one: _Member, other: _Member) -> None:
    """Raise BadInput, naming everything that differs, unless two stores are about the same."""
    names = {"data": "examples", "views": "views"}
    differences = [
        label for name, label in names.items() if one.manifest.fingerprints[name] != other.manifest.fingerprints[name]
    ]
    if one.manifest.task != other.manifest.task:
        differences.append("task")
    if (one.manifest.dtype == VALUES) != (other.manifest.dtype == VALUES):
        differences.append("kind of numbers")
    if differences:
        raise BadInput(
            f"merge needs stores of the same {' and '.join(differences)}, and those in {one.folder.name} and "
            f"{other.folder.name} differ. Label the same split with the same views for every teacher."
        )
