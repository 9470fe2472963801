"""A store filled shard by shard, from the first shard that is missing on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

from attar.data.store.coding import VALUES
from attar.data.store.fidelity import Fidelity, measure
from attar.data.store.files import unwritable, write_store_file
from attar.data.store.manifest import MANIFEST, Manifest, Shard
from attar.data.store.parquet import read_shard, to_parquet
from attar.errors import StaleStore, Words, must
from attar.training.progress import Progress
from attar.workspace import LOCK, TEMPORARY, locked, sweep

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Block:
    """One shard as it is going to be written: it follows from the store's manifest and its own outputs alone.

    Attributes:
        data: All bytes of its file.
        fidelities: What is lost in it and how soft it is, once for each temperature.
    """

    data: bytes
    fidelities: Sequence[Fidelity]


Found = Callable[[Shard], Block | None]
"""Gives a block that somebody made ahead; None for one that is made when it is its turn."""

Ahead = Callable[[Manifest, Sequence[Shard]], Found]
"""Is told, before any is written, of all blocks that are missing, and may have them made by several at once."""


def fill(
    folder: Path,
    wanted: Manifest,
    ids: Int64[Tensor, " rows"],
    outputs: Callable[[Shard], Iterator[Tensor]],
    *,
    source: str,
    temperatures: tuple[float, ...],
    of: str,
    progress: Progress,
    begin: Callable[[], None] = lambda: None,
    ahead: Ahead = lambda manifest, shards: lambda shard: None,
) -> None:
    """Write what is missing of a store.

    Args:
        folder: Where it is, or shall be.
        wanted: What it shall be; in a folder that an earlier pass began, the ``rows_per_shard`` of then holds.
        ids: The identity of each row.
        outputs: The outputs ``[batch, classes, ...]`` float32 of a shard, a batch at a time.
        source: Where they come from; named in the error.
        temperatures: At which to measure what is lost.
        of: Name of the function that the user called.
        progress: Told about every row of every view.
        begin: Called before anything is written, where something is missing.
        ahead: Who may make blocks before it is their turn.

    Raises:
        BadInput: If the folder cannot be written or holds something else, or a logit cannot be kept.
        StaleStore: If the folder holds other targets.
        CorruptFile: If a file of it was truncated or altered.
    """
    found = _entries(folder, of)
    if MANIFEST in found:
        manifest = Manifest.read(folder, of)
        _check_fresh(folder, manifest, wanted)
        if all(shard.name in found and shard.name in manifest.digests for shard in manifest.shards()):
            _log.info("Reusing the targets in %s", folder)
            return
    elif others := sorted(found):
        rule = f"empty, new or written by {of}"
        raise must("folder", of, rule, Words(f"{folder} with {others[0]} in it"), "Choose another folder")
    begin()
    with _alone(folder, of):
        found = _entries(folder, of)  # while this one waited, another may have filled it
        if MANIFEST in found:
            manifest = Manifest.read(folder, of)
            _check_fresh(folder, manifest, wanted)
        else:
            manifest = wanted
            manifest.write(folder, of)
        digests = {name: digest for name, digest in manifest.digests.items() if name in found}
        fidelities = {name: one for name, one in manifest.fidelities.items() if name in digests}
        if len(digests) < len(manifest.digests):
            # Shards were deleted. Should this pass be killed, the old digests must not stand beside the new shards.
            replace(manifest, digests=digests, fidelities=fidelities).write(folder, of)
        _fill(
            folder,
            replace(manifest, digests=digests, fidelities=fidelities),
            ids,
            outputs,
            source,
            temperatures,
            of,
            progress,
            ahead,
        )


def _fill(
    folder: Path,
    manifest: Manifest,
    ids: Int64[Tensor, " rows"],
    outputs: Callable[[Shard], Iterator[Tensor]],
    source: str,
    temperatures: tuple[float, ...],
    of: str,
    progress: Progress,
    ahead: Ahead,
) -> None:
    """Write the shards that a manifest does not name yet, and name each in it as soon as it is written."""
    shards, digests, fidelities = list(manifest.shards()), dict(manifest.digests), dict(manifest.fidelities)
    if digests:
        _log.info("Going on with %s, which has %d of %d shards", folder, len(digests), len(shards))
    found = ahead(manifest, [shard for shard in shards if shard.name not in digests])
    with progress(of, total=len(ids) * manifest.views) as advance:
        for shard in shards:
            if shard.name in digests:
                read_shard(folder, manifest, shard, ids)
                advance(shard.rows)
                continue
            block = found(shard)
            if block is None:
                block = block_of(manifest, shard, ids, outputs(shard), source, temperatures, advance)
            else:
                advance(shard.rows)
            digests[shard.name] = write_store_file(folder / shard.name, block.data, of)
            fidelities[shard.name] = block.fidelities
            replace(manifest, digests=digests, fidelities=fidelities).write(folder, of)


def block_of(
    manifest: Manifest,
    shard: Shard,
    ids: Int64[Tensor, " rows"],
    outputs: Iterator[Tensor],
    source: str,
    temperatures: tuple[float, ...],
    advance: Callable[[int], None],
) -> Block:
    """One shard, made of its outputs.

    Args:
        manifest: Of the store.
        shard: Which.
        ids: The identity of each row of the store.
        outputs: ``[batch, classes, ...]`` float32, a batch at a time.
        source: Where they come from; named in the error.
        temperatures: At which to measure what is lost.
        advance: Told about every row.

    Raises:
        BadInput: If a logit cannot be kept.
    """
    coding = manifest.coding
    batches: list[dict[str, Tensor]] = []
    measured: list[tuple[int, list[Fidelity]]] = []
    for start, logits in _numbered(outputs, shard.start):

        def row_name(row: int, start: int = start) -> str:
            return f"{source} for the example with id {int(ids[start + row])}"

        batches.append(coding.encode(logits, row_name))
        if coding.dtype != VALUES:  # which have no distribution, and lose nothing
            back = coding.decode(batches[-1])
            measured.append((len(logits), measure(logits, back, temperatures, coding.target)))
        advance(len(logits))
    columns = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
    lost = [
        Fidelity.over([(rows, found[number]) for rows, found in measured])
        for number in range(len(temperatures) if measured else 0)
    ]
    return Block(to_parquet(ids[shard.slice], shard.view, columns), lost)


def _entries(folder: Path, of: str) -> set[str]:
    """The names in a folder, which need not exist, less what was only being written."""
    try:
        names = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    except OSError as error:
        raise unwritable(folder, error, of) from error
    return {name for name in names if name != LOCK and not name.startswith(TEMPORARY)}


@contextmanager
def _alone(folder: Path, of: str) -> Iterator[None]:
    """A folder that no other process fills meanwhile, without what a killed one left half written."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder))
            sweep(folder)
        except OSError as error:
            raise unwritable(folder, error, of) from error
        yield


def discard_stale(folder: Path, wanted: Manifest, of: str) -> None:
    """Delete the targets in a folder that are about something else than what is wanted; no other file is touched.

    Raises:
        CorruptFile: If the manifest is damaged.
        BadInput: If the folder cannot be written.
    """
    if not (folder / MANIFEST).is_file():
        return
    try:
        _check_fresh(folder, Manifest.read(folder, of), wanted)
    except StaleStore as error:
        changes = str(error).partition("has changed in: ")[2].partition(" Choose another folder")[0]
        _log.warning("The targets in %r are made again, since something has changed: %s", str(folder), changes)
        try:
            for shard in sorted(folder.glob("shard-*.parquet")):
                shard.unlink()
        except OSError as refused:
            raise unwritable(folder, refused, of) from refused
        wanted.write(folder, of)  # last: a pass that is killed before finds them stale again


def _check_fresh(folder: Path, manifest: Manifest, wanted: Manifest) -> None:
    requested: dict[str, object] = {"top_k": wanted.top_k, "dtype": wanted.dtype, "task": wanted.task}
    if wanted.sources is not None:
        requested["sources"] = wanted.sources
    manifest.check_fresh(folder, {**wanted.fingerprints, **requested})


def _numbered(batches: Iterator[Tensor], start: int) -> Iterator[tuple[int, Tensor]]:
    """Each batch with the position of its first row."""
    for batch in batches:
        yield start, batch
        start += len(batch)
