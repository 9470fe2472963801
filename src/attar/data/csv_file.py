"""Reading CSV files as they come: their separator, their encoding, and how their numbers are written."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from attar.data.empty_rows import without_empty_rows
from attar.data.limits import allowed, printable, too_large
from attar.errors import BadInput, CorruptFile, Words, must
from attar.tables.cells import MISSING, Cells
from attar.tables.names import distinct
from attar.tables.notation import DEFAULT, Decimal, Reading, readings
from attar.tables.read import read_cells

RULE = "a CSV file in UTF-8 whose first line names the columns"

_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""How a file begins that says its encoding itself; UTF-32 before UTF-16, of which it is a case."""

_STATED = re.compile(rb"sep=([,;\t|])\r?\n")
"""What Excel writes before the header."""

_QUOTED = re.compile(rb'"[^"]*(?:"|$)')
"""What stands in quotes in a line, where separators separate nothing."""

_PACKED = {b"PK\x03\x04": "a zip archive, as .xlsx files are", b"\x1f\x8b": "compressed by gzip"}
"""How files begin that are no text, and what they are."""

_LOOKED_AT = 100
"""Rows by which it is told whether all end in a separator."""

_NO_TEXT = {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"}
"""Encodings of Python that are none of files."""


@dataclass(frozen=True)
class Table:
    """A table that was read.

    Attributes:
        rows: The `pyarrow.Table`; numbers that are not written plainly are still texts.
        decimal: What stands before fractions where a text could be read in two ways.
        doubt: Why the first line may be a row, and name no columns; None where it looks like names.
    """

    rows: Any
    decimal: Decimal | None = None
    doubt: str | None = None


def read_csv(
    path: Path,
    *,
    encoding: str | None = None,
    decimal: Decimal | None = None,
    skip: Sequence[str] = (),
    like: Any = None,
    header: bool = True,
    max_bytes: int | None = None,
) -> Table:
    """The table in a CSV file.

    The separator is the one of comma, semicolon, tab and bar that the first line has most of, or what a line of
    Excel's before it says (``sep=;``). What a comma in a number is,
    where that could be either, is decided by the other columns, and else by the separator: in a file with semicolons it
    stands before the fraction, otherwise between thousands. Columns without a name are left out where they are empty,
    or tell every row from the others and stand before all columns, as pandas and R write an index.

    Args:
        path: The file.
        encoding: How its text is encoded; None for UTF-8, or what its first bytes say.
        decimal: What stands before fractions, where that could be either.
        skip: Columns that are no numbers, whatever their texts look like.
        like: A `pyarrow.Schema` of a table read before: columns that are texts there are texts here.
        header: Whether the first line names the columns; without it they are ``column_1``, ``column_2`` and so on.
        max_bytes: Bytes that the file may have; None for half of the memory.

    Raises:
        CorruptFile: If it is no CSV file.
        BadInput: If it is in another encoding or larger than allowed, or a column is of numbers but for a few values.
    """
    size, most = path.stat().st_size, allowed(max_bytes)
    if size > most:
        raise too_large(f"{printable(path.name)} takes", size, most)
    content = _utf8(path, encoding)
    if stated := _STATED.match(content):
        content = content[stated.end() :]
    content = without_empty_rows(printable(path.name), content)
    first = content[: 1 << 20].split(b"\n", 1)[0]
    outside = _QUOTED.sub(b"", first)
    separator = (
        stated[1].decode() if stated else max((",", ";", "\t", "|"), key=lambda one: outside.count(one.encode()))
    )
    usual: Decimal = "," if separator == ";" else "."
    forced = {} if like is None else {field.name: pa.string() for field in like if pa.types.is_string(field.type)}
    names = None if header else _numbered(content, separator)
    if header and _rows_end_in_separator(content, separator):
        end = len(first.rstrip(b"\r"))
        content = content[:end] + separator.encode() + content[end:]
    table = _named_columns(_parsed(path, content, separator, forced, names))
    doubt = _doubt(path, table) if header else None
    _refuse_nameless(path, table, doubt)
    try:
        distinct(table.column_names)
    except BadInput as error:
        raise error if doubt is None else BadInput(f"{error} {doubt}.") from error
    if table.num_rows == 0:
        remedy = "Give rows below its header"
        raise must("the file", printable(path.name), "a table with rows", Words("a header alone"), remedy)
    read = _readings(table, skip, decimal, usual)
    floats = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    if any(one.notation != DEFAULT for one in read.values()) and floats:
        # A point in them may stand between thousands, if in other columns a comma stands before the fraction.
        texts = _parsed(path, content, separator, forced | {name: pa.string() for name in floats}, names)
        texts = texts.select(table.column_names)
        read = _readings(texts, skip, decimal, usual)
        for name in floats:
            if name in read and read[name].notation.group == ".":
                table = table.set_column(table.column_names.index(name), name, texts.column(name))
    _refuse_wrong(path, table, read)
    votes = Counter(one.notation.decimal for one in read.values())
    return Table(table, decimal or (votes.most_common(1)[0][0] if votes else usual), doubt)


def _numbered(content: bytes, separator: str) -> list[str]:
    """Names for the columns of a file that has none, by their places from 1."""
    start = io.StringIO(content[: 1 << 20].decode("utf-8", "replace"), newline="")
    first = next(csv.reader(start, delimiter=separator), [])
    return [f"column_{place + 1}" for place in range(len(first))]


def _named_columns(table: Any) -> Any:
    """A table less what stands in it by the way of writing: an index of pandas, and what follows a last separator.

    These are nameless: whole numbers or texts that are all different, in the first column, and columns that are empty.
    """

    def is_index(column: Any) -> bool:
        exact = pa.types.is_integer(column.type) or pa.types.is_string(column.type)
        return exact and column.null_count == 0 and len(column.unique()) == len(column)

    names = table.column_names
    left = [
        place
        for place, name in enumerate(names)
        if name or not (table.column(place).null_count == len(table) or (place == 0 and is_index(table.column(place))))
    ]
    return table if len(left) == len(names) else table.select(left)


def _refuse_nameless(path: Path, table: Any, doubt: str | None) -> None:
    """See that no more than one of the columns is without a name.

    Args:
        path: The file.
        table: What was read of it.
        doubt: What `_doubt` says of its first line.

    Raises:
        BadInput: Naming their places in what is left of the table.
    """
    names = table.column_names
    if names.count("") > 1:
        raise BadInput(
            f"The first line of {printable(path.name)} names {len(names) - names.count('')} of {len(names)} columns "
            f"({', '.join(map(printable, names))[:80]}). "
            + (
                "Name all of them there; if the names of the columns stand below, remove what is above them."
                if doubt is None
                else f"{doubt}."
            )
        )


def _doubt(path: Path, table: Any) -> str | None:
    """A sentence where all columns of numbers are called by a number, as if their first row was above them."""
    called = [
        field.name for field in table.schema if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
    ]
    if not called or any(DEFAULT.number(name) is None for name in called):
        return None
    first = ", ".join(map(printable, table.column_names[:4])) + (", ..." if len(table.column_names) > 4 else "")
    return (
        f"The first line of {printable(path.name)} ({first}) looks like a row and not like names of columns. If it is "
        "one, set data.header = false (header in Python); the columns are then called column_1, column_2 and so on"
    )


def _readings(table: Any, skip: Sequence[str], decimal: Decimal | None, usual: Decimal) -> dict[str, Reading]:
    texts = {}
    for name in table.column_names:
        if name not in skip and pa.types.is_string(table.schema.field(name).type):
            found = _cells(table, name).texts()
            if found is not None:
                texts[name] = found[0]
    return readings(texts, decimal=decimal, usual=usual)


def _cells(table: Any, name: str) -> Cells:
    (found,) = read_cells(table.select([name]))
    return found


def _refuse_wrong(path: Path, table: Any, read: Mapping[str, Reading]) -> None:
    """See that no column is of numbers but for a few values.

    Raises:
        BadInput: Naming the column, one such value and its row.
    """
    for name, one in read.items():
        if one.wrong and pa.types.is_string(table.schema.field(name).type):
            found = _cells(table, name).texts()
            assert found is not None, "it was read"
            row = int(np.flatnonzero(np.isin(found[1], one.wrong))[0])
            value = found[0][int(found[1][row])]
            more = f" and {len(one.wrong) - 1} more such values" if len(one.wrong) > 1 else ""
            raise BadInput(
                f"Column {name!r} of {printable(path.name)} holds numbers, but also {printable(value)!r} "
                f"(row {row + 1} below the header){more}. Repair them, leave them empty where the number is not "
                "known, or list the column in data.nominal (nominal in Python) if its values are names."
            )


def _parsed(path: Path, content: bytes, separator: str, types: Mapping[str, Any], names: Sequence[str] | None) -> Any:
    """The table of a file, with these names of its columns; None where its first line has them."""
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(content),
            # Types are inferred from the first block: all of it, as far as a block can be.
            read_options=pyarrow.csv.ReadOptions(
                block_size=min(max(len(content), 1 << 20), (1 << 31) - 1), column_names=names
            ),
            parse_options=pyarrow.csv.ParseOptions(delimiter=separator, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                null_values=list(MISSING),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                column_types={name: kind for name, kind in types.items() if names is None or name in names},
            ),
        )
    except (pa.ArrowException, OSError, ValueError) as error:
        rows = content.strip()
        found = error if b"\n" in rows else ValueError("no row below its first line" if rows else "empty lines alone")
        raise _uneven(path, content, separator) or corrupt(path, RULE, found) from error
    # A time of day, such as 14:30, is no type of a column: it stays the text that it is in the file.
    times = {field.name: pa.string() for field in table.schema if pa.types.is_time(field.type)}
    return _parsed(path, content, separator, {**types, **times}, names) if times else table


def _rows_end_in_separator(content: bytes, separator: str) -> bool:
    """Whether the first rows have one value more than there are names, and that one empty: no name was left out."""
    start = io.StringIO(content[: 1 << 20].decode("utf-8", "replace"), newline="")
    try:
        lines = [
            line for line, _ in zip(csv.reader(start, delimiter=separator), range(_LOOKED_AT), strict=False) if line
        ]
    except csv.Error:
        return False
    return len(lines) > 1 and all(len(line) == len(lines[0]) + 1 and not line[-1] for line in lines[1:])


def _uneven(path: Path, content: bytes, separator: str) -> CorruptFile | None:
    """The error for a file of rows of different length: which line it is, and what stands there."""
    reader = csv.reader(io.StringIO(content.decode("utf-8", "replace"), newline=""), delimiter=separator, strict=True)
    width, name, line = 0, printable(path.name), 1
    try:
        for row in reader:
            width = width or len(row)
            if row and len(row) != width:
                shown = printable(separator.join(row)[:80])
                above = ""
                if line == 2 and len(row) == width + 1 and row[-1]:
                    above = " If R wrote the names of rows without a name above them, write it with row.names = FALSE."
                elif line == 2:
                    above = " If the names of the columns stand below the first line, remove what is above them."
                many = f"{len(row)} value{'s' if len(row) > 1 else ''}"
                return CorruptFile(
                    f"{name} has {many} in line {line} ({shown!r}), where its first line has {width}, separated by "
                    f"{separator!r}. Repair that line: a value with {separator!r} in it stands in quotes.{above}"
                )
            line = reader.line_num + 1
    except csv.Error as error:
        if "unexpected end" in str(error):
            return CorruptFile(f"{name} has a quotation mark in line {line} that is never closed. Close or remove it.")
    return None


def _utf8(path: Path, encoding: str | None) -> bytes:
    """The content of a file in UTF-8.

    Raises:
        BadInput: If it is in another encoding than is said, or there is no such encoding.
    """
    content = path.read_bytes()
    for begin, what in _PACKED.items():
        if content.startswith(begin):
            raise CorruptFile(f"{printable(path.name)} must be {RULE}; it is {what}. Save it as a CSV file.")
    used = encoding or next((name for begin, name in _BOMS.items() if content.startswith(begin)), None)
    if used is None and b"\0" in content[:1000]:
        # Every second byte of Latin text in UTF-16 is 0.
        remedy = 'If it is in UTF-16, set data.encoding = "utf-16-le" or "utf-16-be" (encoding in Python)'
        raise CorruptFile(f"{printable(path.name)} must be {RULE}; got bytes that are 0. {remedy}.")
    try:
        codec = codecs.lookup(used or "utf-8")
        if not getattr(codec, "_is_text_encoding", True) or codec.name.replace("-", "_") in _NO_TEXT:
            raise LookupError(used)
    except (LookupError, ValueError) as error:
        remedy = "Use one that Python knows, such as 'utf-8', 'cp1252', 'latin-1', 'utf-16' or 'shift_jis'"
        raise must("encoding", printable(path.name), "the name of an encoding of text", used, remedy) from error
    try:
        text = content.decode(used or "utf-8")
    except (UnicodeError, ValueError) as error:
        raise _otherwise(path, content, used or "utf-8", error) from error
    return content if codec.name == "utf-8" else text.removeprefix("\ufeff").encode("utf-8")


def _otherwise(path: Path, content: bytes, used: str, error: Exception) -> BadInput:
    """The error for text that is not in its encoding: which bytes, and what they would be in western Europe."""
    name = printable(path.name)
    if not isinstance(error, UnicodeDecodeError):
        return BadInput(f"{name} is not in {used!r}: {error}. Set data.encoding (encoding in Python) to what it is in.")
    line = content[: error.start].count(b"\n") + 1
    start = content.rfind(b"\n", 0, error.start) + 1
    guess = content[max(start, error.start - 20) : error.start + 20].split(b"\n")[0].decode("cp1252", "replace").strip()
    return BadInput(
        f"{name} is not in {used.upper()}: byte 0x{content[error.start]:02x} in line {line}. Set data.encoding "
        f'(encoding in Python) to what it is in: with "cp1252" (western Europe) that place reads {guess!r}.'
    )


def corrupt(path: Path, rule: str, error: Exception) -> CorruptFile:
    """The error for a file that a reader refuses."""
    lines = str(error).strip().splitlines()
    reason = printable((lines[0] if lines else type(error).__name__)[:190].rstrip("."))
    return CorruptFile(f"{printable(path.name)} must be {rule}; got: {reason}. Write it again.")
