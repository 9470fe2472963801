"""Data sets that have a name, and what is none: known before PyTorch is loaded."""

from __future__ import annotations

from pathlib import Path

from attar.data.limits import existing, folder, is_file, is_folder, printable
from attar.errors import BadInput, must, near

LETTER = ("letter", "letter.p1", "letter.p2")
"""The problems on the rows of Letter Recognition, see `attar.data.letter`."""

NAMED = ("digits", "fashion-mnist", "mnist", "glyphs", "simulated-gaze", "simulated-gaze-generated", *LETTER)
"""Data sets that have a name."""

_FILES = ".npz, .csv, .tsv, .parquet, .arrow or .feather"
"""Endings of the files that are read."""

_REMEDIES = {
    **dict.fromkeys((".gz", ".bz2", ".xz", ".zst", ".zip"), "Unpack it"),
    **dict.fromkeys((".txt", ".data", ".dat"), "If it is a table of texts, rename it to .csv"),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "Save its sheet as .csv"),
    ".arff": "Read it with scipy.io.arff and save it as .csv",
    **dict.fromkeys((".pq", ".parq"), "If it is in Parquet, rename it to .parquet"),
}
"""What to do about files of other endings."""


def unknown(name: str | Path) -> BadInput:
    """The error for what is no data set: which file or which name is near."""
    path, text = Path(name), str(name)
    if is_folder(path):
        return folder(path, "data")
    if is_file(path):
        remedy = _REMEDIES.get(path.suffix.lower(), "Convert it, for instance with pandas or numpy.savez")
        return must("data", "load", f"an {_FILES} file", printable(path.name), remedy)
    if path.suffix or len(path.parts) > 1:
        try:
            existing(path, "data")
        except BadInput as error:
            return error
    rule = (
        f"{', '.join(map(repr, NAMED))}, a path to an {_FILES} file, a folder of Parquet files, of images or one that "
        "save_to_disk wrote, that of MIT1003, CAT2000 or SALICON, or 'package.module:function'"
    )
    return must("name", "load", rule, printable(text), near(text[:200], NAMED))
