"""Tables in files of Arrow and Parquet: looked at without being read, a few columns or a block of rows at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from attar.data.csv_file import corrupt
from attar.data.limits import is_folder, printable
from attar.errors import AttarError, BadInput, CorruptFile, Words, must, near
from attar.tables.names import distinct

ENDINGS = (".parquet", ".arrow", ".feather")
"""How the names of such files end."""

BLOCK = 1 << 17
"""Rows of a block, at most: enough for the work on it to be quick, few enough for its memory."""

MOST_TEXT = 1 << 30
"""Bytes of the texts that a column may have in one block: a file names a text once, however often it is used."""

_INDEX = re.compile(r"__index_level_\d+__")

_UNREADABLE = (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError, TypeError, KeyError, IndexError)
"""What Arrow raises for damaged files."""


@dataclass(frozen=True)
class ArrowFiles:
    """A table in one file or several, whose rows follow each other.

    Attributes:
        name: What errors call it.
        paths: The files: Parquet, or Arrow's own format, also as Feather and as a stream.
        schema: The columns, as a `pyarrow.Schema`.
        sizes: Rows of each file.
        stored: What the columns are called in the files, in the order of ``schema``.
    """

    name: str
    paths: tuple[Path, ...]
    schema: Any
    sizes: tuple[int, ...]
    stored: tuple[str, ...]

    @classmethod
    def of(cls, paths: Sequence[Path], name: str) -> ArrowFiles:
        """The table in some files, of which only what they say of themselves is read.

        The index that pandas stores beside the columns is left out.

        Raises:
            CorruptFile: If one is none.
            BadInput: If they have different columns, or no row at all.
        """
        described = [_described(path) for path in paths]
        first = described[0][0]
        names = distinct(first.names)
        for path, (schema, _) in zip(paths[1:], described[1:], strict=True):
            _same(path, schema, paths[0], first)
        sizes = tuple(rows for _, rows in described)
        if sum(sizes) == 0:
            raise must("the table", name, "of at least one row", Words("none"), "Give rows to learn from")
        # Not by position: the metadata of pandas name index columns like this.
        kept = tuple(one for one in names if not _INDEX.fullmatch(one))
        fields = pa.schema([first.field(one) for one in kept])
        return cls(name, tuple(paths), fields, sizes, kept)

    @property
    def names(self) -> list[str]:
        """What the columns are called."""
        return list(self.schema.names)

    @property
    def texts(self) -> list[str]:
        """The columns that hold texts."""
        texts = (pa.types.is_string, pa.types.is_large_string, lambda kind: str(kind) == "string_view")
        return [field.name for field in self.schema if any(is_one(field.type) for is_one in texts)]

    def __len__(self) -> int:
        return sum(self.sizes)

    def select(self, names: Sequence[str]) -> ArrowFiles:
        """The table with some of its columns, in this order.

        Raises:
            BadInput: If there is no such column.
        """
        for one in names:
            if one not in self.schema.names:
                raise must("a column", self.name, "one of those it has", one, near(one, self.names))
        stored = dict(zip(self.schema.names, self.stored, strict=True))
        fields = pa.schema([self.schema.field(one) for one in names])
        return replace(self, schema=fields, stored=tuple(stored[one] for one in names))

    def table(self) -> Any:
        """All rows, as a `pyarrow.Table`: for a column or two.

        Raises:
            CorruptFile: If a file is damaged.
        """
        return pa.Table.from_batches(list(self._batches()), self.schema)

    def blocks(self) -> Iterator[Any]:
        """The rows one block after the other, each a `pyarrow.Table` of up to `BLOCK` rows and at least one.

        Raises:
            CorruptFile: If a file is damaged.
        """
        waiting: list[Any] = []
        count = 0
        for batch in self._batches():
            start = 0
            while start < len(batch):
                piece = batch.slice(start, BLOCK - count)
                start += len(piece)
                count += len(piece)
                waiting.append(piece)
                if count == BLOCK:
                    yield pa.Table.from_batches(waiting, self.schema)
                    waiting, count = [], 0
        if waiting:
            yield pa.Table.from_batches(waiting, self.schema)

    def _batches(self) -> Iterator[Any]:
        for path, rows in zip(self.paths, self.sizes, strict=True):
            found = 0
            for batch in _guarded(path, lambda path=path: self._read(path)):  # type: ignore[misc]
                columns = [batch.column(batch.schema.get_field_index(one)) for one in self.stored]
                found += len(batch)
                yield pa.RecordBatch.from_arrays(columns, schema=self.schema)
            if found != rows:
                raise CorruptFile(
                    f"{printable(path.name)} must be of {rows:,} rows, as it says; got {found:,}. Write it again."
                )

    def _read(self, path: Path) -> Iterator[Any]:
        if path.suffix.lower() != ".parquet":
            with _opened(path) as reader:
                yield from _ipc_batches(reader)
            return
        stored = dict(zip(self.schema.names, self.stored, strict=True))
        texts = {stored[one]: self.schema.field(one).type for one in self.texts}
        with pyarrow.parquet.ParquetFile(path, memory_map=True, read_dictionary=list(texts)) as file:
            # Ahead of need, threads would fill the memory with what comes later.
            for batch in file.iter_batches(BLOCK, columns=list(self.stored), use_threads=False):
                yield _written_out(path, batch, texts)


def table_files(path: Path) -> list[Path]:
    """The files of a folder that is a table; none where it is another folder, or a file.

    Raises:
        BadInput: If its files are of different kinds, or lie in folders named after values, as in ``year=2024``.
    """
    if not is_folder(path):
        return []
    there = sorted(one for one in path.iterdir() if not one.name.startswith((".", "_")))
    files = [one for one in there if one.suffix.lower() in ENDINGS and one.is_file()]
    if not files:
        parted = [one for one in there if "=" in one.name and is_folder(one)]
        if parted and any(one.suffix.lower() in ENDINGS for one in parted[0].iterdir()):
            raise BadInput(
                f"{printable(path.name)} has its rows in folders such as {printable(parted[0].name)!r}, whose names "
                "are values of a column that the files lack. Write it as files beside each other, with that column."
            )
        return []
    endings = sorted({one.suffix.lower() for one in files})
    if len(endings) > 1:
        rule = "files of one kind"
        raise must("the table", printable(path.name), rule, Words(" and ".join(endings)), "Keep one of them there")
    return files


def kind_of(path: Path) -> str:
    """What errors call a file that is read by what its name says."""
    return "a whole Parquet file" if path.suffix.lower() == ".parquet" else "a whole file of Arrow"


def _described(path: Path) -> tuple[Any, int]:
    """Schema and number of rows of a file."""
    try:
        if path.suffix.lower() == ".parquet":
            with pyarrow.parquet.ParquetFile(path, memory_map=True) as file:
                schema, rows = file.schema_arrow, int(file.metadata.num_rows)
                held = sum(file.metadata.row_group(one).num_rows for one in range(file.metadata.num_row_groups))
            if rows < 0 or held != rows:
                raise ValueError(f"{rows} rows, and {held} in its groups")
            return schema.remove_metadata(), rows
        with _opened(path) as reader:
            return reader.schema.remove_metadata(), sum(len(batch) for batch in _ipc_batches(reader))
    except AttarError:
        raise
    except _UNREADABLE as error:
        raise corrupt(path, kind_of(path), error) from error


def _opened(path: Path) -> Any:
    """A reader of a file in Arrow's format, or of a stream."""
    source = pa.memory_map(str(path))
    begin = source.read(6)
    source.seek(0)
    if begin[:4] == b"FEA1":
        raise CorruptFile(
            f"{printable(path.name)} is in the first version of Feather. Write it again, for instance with pandas."
        )
    return pa.ipc.open_file(source) if begin == b"ARROW1" else pa.ipc.open_stream(source)


def _ipc_batches(reader: Any) -> Iterator[Any]:
    if hasattr(reader, "num_record_batches"):
        return (reader.get_batch(place) for place in range(reader.num_record_batches))
    return iter(reader)


def _written_out(path: Path, batch: Any, texts: Mapping[str, Any]) -> Any:
    """A block whose columns of texts, by name, have each text where it is used.

    Raises:
        BadInput: If that takes more than `MOST_TEXT`.
    """
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    for name, kind in texts.items():
        column = columns[name]
        if not pa.types.is_dictionary(column.type):
            continue
        column.validate(full=True)
        taken = pc.sum(pc.take(pc.cast(pc.binary_length(column.dictionary), pa.int64()), column.indices)).as_py() or 0
        if taken > MOST_TEXT:
            found = Words(f"{taken:,} in {len(column):,} rows")
            rule = f"at most {MOST_TEXT:,} bytes of text for {BLOCK:,} rows"
            raise must(f"column {name!r}", printable(path.name), rule, found, "Leave the column out, or shorten it")
        columns[name] = column.dictionary_decode().cast(kind)
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _guarded(path: Path, batches: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """Batches that were looked at, so that no damage goes further than here."""
    found = batches()
    while True:
        try:
            batch = next(found, None)
            if batch is None:
                return
            batch.validate(full=True)
        except AttarError:
            raise
        except _UNREADABLE as error:
            raise corrupt(path, kind_of(path), error) from error
        yield batch


def _same(path: Path, schema: Any, other: Path, first: Any) -> None:
    """See that two files have the same columns.

    Raises:
        BadInput: Naming the first in which they differ.
    """
    name, beside = printable(path.name), printable(other.name)
    distinct(schema.names)
    for field in first:
        if field.name not in schema.names:
            raise must("columns", name, f"those of {beside}, {field.name!r} among them", schema.names, "Add it")
        kind = schema.field(field.name).type
        if kind != field.type:
            rule, remedy = f"of {field.type}, as in {beside}", "Write all files with one type"
            raise must(f"column {field.name!r}", name, rule, Words(str(kind)), remedy)
    if extra := [one for one in schema.names if one not in first.names]:
        raise must("columns", name, f"those of {beside}", extra, "Leave it out")
