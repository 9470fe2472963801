"""One shard of a store as a Parquet file, which any engine can read or write."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from attar.data.store.files import corrupt
from attar.data.store.manifest import MANIFEST, Manifest, Shard


@dataclass(frozen=True, slots=True)
class ShardData:
    """One shard as it was read: its ids, its other columns as arrays, and its size."""

    ids: np.ndarray
    columns: dict[str, np.ndarray]
    size_bytes: int


def to_parquet(ids: Tensor, view: int, columns: Mapping[str, Tensor]) -> bytes:
    """One shard as the bytes of a Parquet file."""
    arrays: dict[str, Any] = {
        "id": pa.array(ids.numpy()),
        "view": pa.array(np.full(len(ids), view, np.int32)),
    }
    encoding = {"id": "DELTA_BINARY_PACKED", "view": "DELTA_BINARY_PACKED"}
    for name, column in columns.items():
        flat = pa.array(column.reshape(-1).numpy())
        arrays[name] = flat if column.dim() == 1 else pa.FixedSizeListArray.from_arrays(flat, column.shape[1])
        # Exponents and mantissas of the numbers apart: a fifth smaller than the plain encoding with the same
        # compression. Parquet keeps a code of one byte in four, of which three are then nothing at all.
        encoding[name if column.dim() == 1 else f"{name}.list.element"] = "BYTE_STREAM_SPLIT"
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(arrays), sink, compression="zstd", use_dictionary=False, column_encoding=encoding)
    return bytes(sink.getvalue())


def read_all(folder: Path, manifest: Manifest, ids: Tensor | None) -> tuple[Tensor, dict[str, Tensor], int]:
    """All shards: the ids, the columns ``[views, rows, ...]``, and the size of the shards in bytes."""
    shape, size_bytes = (manifest.views, manifest.rows), 0
    _must_be_there(folder, manifest)
    arrays = {
        name: np.empty((*shape, width) if width else shape, dtype) for name, dtype, width in manifest.coding.columns
    }
    known = np.empty(manifest.rows, np.int64) if ids is None else ids.numpy()
    for shard in manifest.shards():
        unknown = ids is None and shard.view == 0
        read = read_shard(folder, manifest, shard, None if unknown else torch.from_numpy(known))
        if unknown:
            known[shard.slice] = read.ids
        for name, column in read.columns.items():
            arrays[name][shard.view, shard.slice] = column
        size_bytes += read.size_bytes
    return torch.from_numpy(known), {name: torch.from_numpy(array) for name, array in arrays.items()}, size_bytes


def _must_be_there(folder: Path, manifest: Manifest) -> None:
    """See that the files of a store can hold what its manifest lists, before memory is taken for it."""
    bytes_per_row = sum(dtype.itemsize * max(width, 1) for _, dtype, width in manifest.coding.columns)
    wanted = manifest.views * manifest.rows * bytes_per_row
    there = sum(path.stat().st_size for shard in manifest.shards() if (path := folder / shard.name).is_file())
    if wanted > _most(there):
        raise corrupt(folder / MANIFEST, f"its {there} bytes of shards cannot hold {manifest.rows} rows", unusable=True)


def _most(size_bytes: int) -> int:
    """Bytes that so many may grow to when they are read. Targets that are nearly all the same are packed best."""
    return max(_ALWAYS, _LARGEST_GROWTH * size_bytes)


_ALWAYS, _LARGEST_GROWTH = 2**28, 4096


def read_shard(folder: Path, manifest: Manifest, shard: Shard, ids: Tensor | None) -> ShardData:
    """One shard, once it is sure that it is what was written and holds what it should.

    Args:
        folder: The store.
        manifest: That of the store.
        shard: Which shard.
        ids: ``[rows]`` int64, the ids of the whole split; None takes whatever ids there are.

    Raises:
        CorruptFile: If the shard is missing, truncated, altered, or about other examples.
    """
    path = folder / shard.name
    if not path.is_file():
        raise corrupt(path, "it is missing")
    data = path.read_bytes()
    if manifest.digests.get(shard.name) != hashlib.sha256(data).hexdigest():
        raise corrupt(path, "its bytes are not those that were written")
    try:
        about = pq.ParquetFile(pa.BufferReader(data)).metadata
        grown = sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups))
        if about.num_rows != shard.rows or not 0 <= grown <= _most(len(data)):
            raise corrupt(path, f"it says that it has {about.num_rows} rows in {grown} bytes")
        table = pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError, MemoryError, OverflowError) as error:
        raise corrupt(path, f"it is not a whole Parquet file ({error})") from error
    expected = manifest.coding.columns
    if set(table.column_names) != {"id", "view", *(name for name, _, _ in expected)} or table.num_rows != shard.rows:
        raise corrupt(path, f"it has {table.num_rows} rows of {table.column_names}")
    columns = {name: _array(path, table, name, dtype, width) for name, dtype, width in expected}
    own, view = _array(path, table, "id", np.dtype(np.int64), 0), _array(path, table, "view", np.dtype(np.int32), 0)
    if (view != shard.view).any() or (ids is not None and not np.array_equal(own, ids[shard.slice].numpy())):
        raise corrupt(path, "it is about other examples or another view")
    if "index" in columns and not ((columns["index"] >= 0) & (columns["index"] < manifest.task.shape[0])).all():
        raise corrupt(path, "it names classes that there are not")
    return ShardData(own, columns, len(data))


def _array(path: Path, table: Any, name: str, dtype: np.dtype[Any], width: int) -> np.ndarray:
    """A column as an array ``[rows]``, or ``[rows, width]`` where it is made of lists."""
    column = table[name].combine_chunks()
    item = pa.from_numpy_dtype(dtype)
    if column.type != (pa.list_(item, width) if width else item) or column.null_count:
        raise corrupt(path, f"its column {name!r} has gaps or is of type {column.type}")
    if not width:
        return np.asarray(column.to_numpy(zero_copy_only=True))
    flat = column.flatten()
    if flat.null_count:
        raise corrupt(path, f"its column {name!r} has gaps")
    return np.asarray(flat.to_numpy(zero_copy_only=True)).reshape(-1, width)
