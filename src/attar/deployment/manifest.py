"""The manifest of an artifact: what each file is, so that nothing is run that is not what was written."""

from __future__ import annotations

import difflib
import itertools
import math
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, get_args

from attar.deployment.backends import RUNTIMES, backend_of
from attar.deployment.weight_files import PACKED, WEIGHTS
from attar.errors import BadInput, CorruptFile, must, shown
from attar.named_inputs import NamedInputs
from attar.records import read_json, unsealed
from attar.tables.column import Unseen
from attar.tables.columns import Columns
from attar.tables.tokens import Tokens
from attar.tasks.target import Target
from attar.workspace import digest_of

MANIFEST = "manifest.json"
FORMAT = 4
"""Version of the manifest; raised when an older reader would misread a newer one. 4 has the edits of the network."""

FORMAT_WITH_ORIGIN = 5
"""Of an artifact that counts its values from an origin, which a reader has to add."""

LARGEST = 2**26
"""Bytes of a manifest at most; one of 100,000 classes and 10,000 columns has a tenth of it."""

_LABEL_DTYPES = ("str", "bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
                 *(f"float{bits}" for bits in (16, 32, 64)))  # fmt: skip
"""NumPy's names of the types that labels may have."""

_REMEDY = "Restore it, or deploy again."

_FORMATS = (FORMAT, FORMAT_WITH_ORIGIN)


def described(path: Path, needed: bool) -> dict[str, Any]:
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": digest_of(path), "needed": needed}


_LOOKED_AT = 1000
"""Entries of a folder that are looked at for what may have been meant."""


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest, with everything checked that later code relies on."""
    path = folder / MANIFEST
    if not os.path.lexists(path):
        raise must("path", "load", f"a folder with a {MANIFEST}", folder, _meant(folder))
    manifest = read_json(path, _REMEDY, follow=False, largest=LARGEST)
    if isinstance(manifest, dict) and type(manifest.get("format")) is int and manifest["format"] not in _FORMATS:
        remedy = (
            "Install a newer Attar"
            if manifest["format"] > max(_FORMATS)
            else "Deploy again: this one is of an older Attar"
        )
        raise must("format", str(path), f"{FORMAT} or {FORMAT_WITH_ORIGIN}", manifest["format"], remedy)
    manifest = unsealed(manifest, str(path), _REMEDY)
    problem = _problem(manifest)
    if problem:
        raise CorruptFile(f"{path} is not a manifest of an artifact: {problem}. {_REMEDY}")
    return manifest


def _meant(folder: Path) -> str:
    """What may have been meant by a path at which there is no artifact."""
    if os.path.lexists(folder.parent / MANIFEST):
        return f"Pass its folder, {str(folder.parent)!r}"
    within = _artifacts_in(folder)
    if within:
        return f"Pass one of those in it, such as {str(folder / within[0])!r}"
    beside = _artifacts_in(folder.parent)
    close = difflib.get_close_matches(folder.name, beside, n=1)
    if close:
        return f"Did you mean {str(folder.parent / close[0])!r}?"
    return "Pass the folder that `deploy` wrote"


def _artifacts_in(folder: Path) -> list[str]:
    try:
        found = sorted(itertools.islice(folder.iterdir(), _LOOKED_AT))
    except OSError:
        return []
    return [each.name for each in found if os.path.lexists(each / MANIFEST)]


def _problem(manifest: Mapping[str, Any]) -> str | None:
    """What is wrong with the form of a manifest; None when nothing is."""
    kinds: dict[str, type | tuple[type, ...]] = {
        "format": int,
        "candidate": str,
        "runtime": str,
        "precision": str,
        "settings": dict,
        "input": dict,
        "output": dict,
        "files": list,
        "network": dict,
        "checked": dict,
    }
    for key, kind in kinds.items():
        if key not in manifest or not isinstance(manifest[key], kind):
            return f"{key!r} is missing or of the wrong type"
    if manifest["runtime"] not in RUNTIMES:
        return f"unknown runtime {manifest['runtime']!r}"
    backend = backend_of(manifest["runtime"], manifest["precision"])
    if backend is None:
        return f"unknown precision {manifest['precision']!r}"
    if manifest["network"].get("weights") not in (WEIGHTS, PACKED):
        return f"'network.weights' is neither {WEIGHTS} nor {PACKED}"
    shape, classes = manifest["input"].get("shape"), manifest["output"].get("classes")
    if not isinstance(shape, list) or not all(type(size) is int and size > 0 for size in shape[1:]) or len(shape) < 2:
        return "'input.shape' is not a list of sizes"
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes) or not classes:
        return "'output.classes' is not a list of names"
    gives = manifest["output"].get("shape")
    sizes = gives[2:] if isinstance(gives, list) else [0]
    if not all(type(size) is int and size > 0 for size in sizes) or gives != ["batch", len(classes), *sizes]:
        return (
            f"'output.classes' has {len(classes)} names for outputs of shape {shown(manifest['output'].get('shape'))}"
        )
    if manifest["output"].get("kind") not in get_args(Target):
        return f"'output.kind' is none of {', '.join(map(repr, get_args(Target)))}"
    if manifest["output"].get("label_dtype", "str") not in _LABEL_DTYPES:
        return "'output.label_dtype' is no type of labels"
    origin = manifest["output"].get("origin")
    if origin is not None or manifest["format"] == FORMAT_WITH_ORIGIN:
        numbers = isinstance(origin, list) and all(type(one) is float and math.isfinite(one) for one in origin)
        if not numbers or len(origin) != len(classes) or manifest["output"]["kind"] != "values":
            return "'output.origin' is not a finite number for each value"
    if not _positive(manifest["checked"].get("tolerance")):
        return "'checked.tolerance' is no positive number"
    scale = manifest["input"].get("scale")
    if scale is not None and not _positive(scale):
        return "'input.scale' is neither a positive number nor null"
    if "columns" in manifest["input"]:
        try:
            columns = Columns.from_json(manifest["input"]["columns"])
        except BadInput as error:
            return f"'input.columns' cannot be read ({error})"
        if shape[1:] != [len(columns)]:
            return f"'input.columns' has {len(columns)} columns for inputs of shape {shape[1:]}"
        if manifest["input"].get("unseen") not in get_args(Unseen):
            return "'input.unseen' is neither 'error' nor 'missing'"
    if "tokens" in manifest["input"]:
        try:
            tokens = Tokens.from_json(manifest["input"]["tokens"])
        except BadInput as error:
            return f"'input.tokens' cannot be read ({error})"
        if shape[1:] != list(tokens.shape):
            return f"'input.tokens' has sequences of shape {list(tokens.shape)} for inputs of shape {shape[1:]}"
    if "named" in manifest["input"]:
        try:
            named = NamedInputs.from_json(manifest["input"]["named"])
        except BadInput as error:
            return f"'input.named' cannot be read ({error})"
        if shape[1:] != [named.width]:
            return f"'input.named' has {named.width} numbers for inputs of shape {shape[1:]}"
    for file in manifest["files"]:
        wanted = {"name": str, "bytes": int, "sha256": str, "needed": bool}
        if not isinstance(file, dict) or any(not isinstance(file.get(key), kind) for key, kind in wanted.items()):
            return "an entry of 'files' is incomplete"
    names = [file["name"] for file in manifest["files"]]
    if len(set(names)) < len(names):
        return "'files' names one file twice"
    model = backend.PRECISIONS[manifest["precision"]].file
    if model not in {file["name"] for file in manifest["files"] if file["needed"]}:
        return f"'files' does not name {model}"
    return None


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def verify(folder: Path, file: Mapping[str, Any]) -> None:
    """Refuse a name that leaves the folder, and a file that is not what was written."""
    name = file["name"]
    is_name = {PurePosixPath(name).name, PureWindowsPath(name).name} == {name} and name not in ("", ".", "..")
    path = folder / name
    if not is_name or path.is_symlink():
        raise must("files", str(folder / MANIFEST), "plain names inside the folder", name, "Do not use this artifact")
    if not path.is_file():
        if not file["needed"]:
            return  # weights kept for rebuilding may be left behind when an artifact is shipped
        raise CorruptFile(f"{path} is missing. Restore it, or deploy again.")
    if path.stat().st_size != file["bytes"]:
        raise CorruptFile(
            f"{path} has {path.stat().st_size} bytes where {file['bytes']} were written. Restore it, or deploy again."
        )
    if digest_of(path) != file["sha256"]:
        raise CorruptFile(f"{path} is not what was written (its SHA-256 differs). Restore it, or deploy again.")
