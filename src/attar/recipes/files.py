"""Files that describe a run, which may come from anywhere: their size, their depth and their texts are bounded."""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from attar.data.limits import holds_images
from attar.errors import BadInput, must, near, shown

MOST_BYTES = 1_000_000
"""Size of a recipe, at most; the longest that ship have some thousand bytes."""

DEEPEST = 32
"""Tables and lists inside of each other, at most."""

LONGEST = 4096
"""Characters of one text in a recipe, at most: that of the longest path that a system takes."""

MOST_DIGITS = 300
"""Digits of an integer, at most: more do not fit into a float."""

DIGITS = "integer string conversion"
"""What Python says of a number that has too many digits to be read."""

DIGITS_RULE = "number of thousands of digits"

_DATA = (".csv", ".parquet", ".npz", ".npy", ".xlsx", ".json", ".jsonl", ".tsv", ".feather", ".arrow")
_MODELS = (".onnx", ".pt", ".pth", ".bin", ".safetensors", ".pkl", ".joblib", ".keras", ".h5", ".ckpt", ".tflite")


def usable(path: str | Path, what: str = "RECIPE") -> Path:
    """A path that the system can take.

    Raises:
        BadInput: If it is empty or too long, or holds what no path or no text in UTF-8 can hold.
    """
    text = os.fspath(path)
    why = unusable(text)
    if why is not None:
        raise BadInput(f"{what} cannot be a path: it {why}; got {shown(text, 60)}. Name another.")
    return Path(path)


def unusable(text: str) -> str | None:
    """What is wrong with a text as a path; None if nothing is."""
    return (no_text(text) or too_long(text)) if text else "is empty"


def no_text(text: str) -> str | None:
    """What it holds that no path and no text in UTF-8 can hold; None if nothing."""
    if "\0" in text:
        return "holds a NUL character"
    if any(0xD800 <= ord(one) <= 0xDFFF for one in text):
        return "holds bytes that are no UTF-8"
    return None


def too_long(path: str) -> str | None:
    """That a path without what `no_text` finds is too long for a system; None if it is not."""
    if len(path) > LONGEST or any(len(name.encode()) > 255 for name in path.split("/")):
        return f"is too long ({len(path):,} characters)"
    return None


def named_after(name: str) -> str:
    """What a run is called after a file or a data set: what no folder may be called so gives way to hyphens.

    Example:
        >>> named_after("my data"), named_after(".hidden"), named_after("letter.p1"), named_after("images/")
        ('my-data', 'hidden', 'letter.p1', 'images')
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip("._-").rstrip("-") or "recipe"


_COMPLETE = re.compile(r"^Cannot mutate immutable namespace \((.*)\) \(at .*\)$")
"""What the parser says of a key of a table in braces that stands outside of them."""


def check_recipe_file(file: Path, ready: Iterable[str], verb: str = "attar compress") -> None:
    """See that a file may be a recipe.

    Args:
        file: What was given.
        ready: Names that may be given in place of a file.
        verb: By which it was given.

    Raises:
        BadInput: If it is not there, is a folder, or is something else than text of a fitting size.
    """
    begin = "Begin with `attar copy digits mine.toml`"
    if file.suffix.lower() in _DATA + _MODELS:
        key = (
            'data.use = "..."'
            if file.suffix.lower() in _DATA
            else 'teacher.onnx = ["..."] or teacher.weights = ["..."]'
        )
        what = "data" if file.suffix.lower() in _DATA else "a model"
        if verb == "attar compress" and what == "data":
            raise BadInput(_data_alone(file))
        if verb == "attar compress":
            begin = "Name data and teacher: attar compress my.npz --teacher big.onnx"
        raise BadInput(f"{file} is {what}, and {verb} needs a recipe, which names it as {key}. {begin}.")
    if file.is_dir():
        inside = sorted(one.name for one in file.glob("*.toml"))[:3]
        if not inside and holds_images(file):
            if verb == "attar compress":
                begin = f"Name data and teacher: attar compress {shlex.quote(str(file))} --teacher big.onnx"
            key = f"data.use = {json.dumps(str(file))}"
            raise BadInput(
                f"{file} is a folder of images, and {verb} needs a recipe, which names it as {key}. {begin}."
            )
        hint = f"It holds {' and '.join(map(repr, inside))}" if inside else begin
        raise BadInput(f"{file} is a folder, and {verb} needs a recipe, which is a TOML file. {hint}.")
    if not file.is_file():
        raise must("RECIPE", verb, "a TOML file or the name of a shipped recipe", str(file), _near_files(file, ready))
    size = file.stat().st_size
    if size > MOST_BYTES:
        raise BadInput(f"{file} has {size:,} bytes, and a recipe at most {MOST_BYTES:,}. Is it the file that you mean?")


def _data_alone(file: Path) -> str:
    """What to write where data are named without a teacher, and for a table of texts with which columns."""
    suffix, target, begins = file.suffix.lower(), "", ""
    if suffix in (".csv", ".tsv", ".parquet", ".feather", ".arrow"):
        target = " --set data.target=COLUMN"
    if suffix in (".csv", ".tsv") and file.is_file():
        with file.open("rb") as opened:
            line = opened.readline(2000).decode("utf-8", "replace").strip()
        begins = f" The first line of the data is {shown(line, 200)}."
    return (
        f"{file} is data, and attar compress needs the model that is to be made small, too. Write attar compress "
        f"{shlex.quote(str(file))} --teacher big.onnx{target}; with --dry-run it says how the data are read.{begins}"
    )


def _near_files(file: Path, ready: Iterable[str]) -> str:
    """What may have been meant by a path that leads nowhere."""
    folder = file.parent
    there = [one.name for one in folder.glob("*.toml")] if folder.is_dir() else []
    close = difflib.get_close_matches(file.name, there, n=2) or [n for n in there if Path(n).stem == file.name]
    if close:
        return f"Did you mean {' or '.join(repr(str(folder / name)) for name in close)}?"
    if file.suffix == ".toml" or len(file.parts) > 1:
        if not folder.is_dir():
            return f"There is no folder {str(folder)!r}"
        return f"There is no such file; the folder has {', '.join(map(repr, sorted(there)[:5])) or 'no TOML file'}"
    return near(str(file), ready)


def parsed(file: Path) -> dict[str, Any]:
    """The document in a TOML file.

    Raises:
        BadInput: If it is not TOML, or not as a person would write it.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise BadInput(f"{file} must not be nested this deep. Flatten it.") from error
    except ValueError as error:  # of which those of the parser and of the decoder are
        if DIGITS in str(error):
            raise BadInput(f"{file} has a {DIGITS_RULE}. Shorten it.") from error
        if found := _COMPLETE.search(str(error)):
            keys = ".".join(re.findall(r"'([^']*)'", found[1]))
            raise BadInput(
                f"{file} adds to {keys} outside of its braces, and what stands in braces is complete in TOML. Write it "
                f"inside of the braces, or the braces as a table [{keys}]."
            ) from error
        raise BadInput(f"{file} must be a TOML file; {error}. Correct that place.") from error


def check_values(document: Mapping[str, Any], where: str) -> None:
    """See that a document is as deep, and its texts and numbers as long, as a person would write them.

    Raises:
        BadInput: Naming the dotted key.
    """
    left: list[tuple[tuple[str, ...], Any]] = [((), document)]
    while left:
        path, value = left.pop()
        key = ".".join(one if one.isprintable() and 0 < len(one) <= 60 else shown(one, 60) for one in path[:DEEPEST])
        if len(path) > DEEPEST:
            raise BadInput(f"{where}: {shown(key, 80)} must not be nested deeper than {DEEPEST} tables. Flatten it.")
        if isinstance(value, Mapping):
            for name in value:
                if not isinstance(name, str):
                    raise BadInput(f"{where}: {key or 'the recipe'} must have texts as keys; got {shown(name, 60)}.")
                if (why := _unusual(name)) is not None:
                    raise BadInput(f"{where}: a key of {key or 'the recipe'} {why}; got {shown(name, 60)}. Correct it.")
            left += [((*path, name), item) for name, item in value.items()]
        elif isinstance(value, list | tuple):
            left += [((*path, str(place)), item) for place, item in enumerate(value)]
        elif isinstance(value, str) and (why := _unusual(value)) is not None:
            raise BadInput(f"{where}: {key} {why}; got {shown(value, 60)}. Correct it.")
        elif isinstance(value, int) and value.bit_length() > 1000:
            raise BadInput(f"{where}: {key} must be a number of at most {MOST_DIGITS} digits; got a larger one.")


def _unusual(text: str) -> str | None:
    return no_text(text) or (too_long(text) if len(text) > LONGEST else None)
