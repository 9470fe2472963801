"""Letter Recognition: 16 whole numbers about each of 20,000 pictures of capital letters; a part of the package."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase

import numpy as np
import torch

from attar.data.division import TEST, VALIDATION
from attar.data.named import LETTER
from attar.data.split import Dataset, Split
from attar.data.stratify import stratified
from attar.errors import CorruptFile, must, near
from attar.tables.columns import Columns
from attar.tasks.classification import Classification

NAMES = (
    "x-box",
    "y-box",
    "width",
    "high",
    "onpix",
    "x-bar",
    "y-bar",
    "x2bar",
    "y2bar",
    "xybar",
    "x2ybr",
    "xy2br",
    "x-ege",
    "xegvy",
    "y-ege",
    "yegvx",
)
"""What the publisher calls the columns."""

PROBLEMS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = dict(
    zip(
        LETTER,
        (
            (tuple(ascii_uppercase), tuple(ascii_uppercase)),
            (("not O", "O"), tuple("O" if letter == "O" else "not O" for letter in ascii_uppercase)),
            (("N-Z", "A-M"), tuple("A-M" if letter <= "M" else "N-Z" for letter in ascii_uppercase)),
        ),
        strict=True,
    )
)
"""Name of a problem to its classes, and the class of each letter."""

FILE = Path(__file__).with_name("letter.npz")
DIGEST = "66b11288bd5840affabb75ffe8848361915a5a25876cde11044b72bced49f7c6"
"""SHA-256 of the file."""

_TRAIN = -4
"""Stream of the draw of the training rows."""


def load_letter(
    problem: str = "letter", *, train: int = 4000, validation: int = 1000, test: int = 14000, seed: int = 0
) -> Dataset:
    """One of three problems on the rows of Letter Recognition.

    The splits have the sizes of *Model Compression*, whose rows were not published: those of test are the same always,
    those of train and validation are drawn by ``seed`` out of the others, of which 1,000 are not used. All are
    stratified by letter, and are the same rows for all problems.

    Args:
        problem: ``"letter"``, 26 classes; ``"letter.p1"``, O (the second class) against the rest; ``"letter.p2"``, A to
            M (the second class) against N to Z.
        train: Rows to train on.
        validation: Rows to choose by.
        test: Rows to report on.
        seed: Draws train and validation.

    Raises:
        BadInput: If there is no such problem, or the sizes are not positive or more than the 20,000 rows.
        CorruptFile: If the file in the package was altered.

    Example:
        >>> load_letter("letter.p2")
        Dataset(letter.p2: train 4000, validation 1000, test 14000; inputs 16; 2 classes; from Letter Recognition, UCI)

    References:
        Slate, *Letter Recognition*, UCI Machine Learning Repository, 1991. doi:10.24432/C5ZP40 (CC BY 4.0)
        Frey, Slate, *Letter Recognition Using Holland-Style Adaptive Classifiers*, 1991.
        Bucila, Caruana, Niculescu-Mizil, *Model Compression*, KDD 2006, section 4 and table 1: problems and sizes.
    """
    if problem not in PROBLEMS:
        raise must("problem", "load_letter", "one that there is", problem, near(problem, PROBLEMS))
    values, letters = read()
    sizes = {"test": test, "validation": validation, "train": train}
    if min(sizes.values()) < 1 or sum(sizes.values()) > len(values):
        raise must("sizes", "load_letter", f"positive, and {len(values)} in all at most", sizes, "Use fewer rows")
    ids, labels = torch.arange(len(values)), torch.from_numpy(letters).long()
    left = torch.ones(len(ids), dtype=torch.bool)
    rows: dict[str, np.ndarray] = {}
    for role, drawn, stream in (("test", 0, TEST), ("validation", seed, VALIDATION), ("train", seed, _TRAIN)):
        free = ids[left]
        chosen = free[stratified(labels[left], free, sizes[role], seed=drawn, stream=stream)]
        left[chosen] = False
        rows[role] = chosen.numpy()
    classes, names = PROBLEMS[problem]
    numbers = np.array([classes.index(name) for name in names])[letters]
    columns = Columns.infer(values[rows["train"]], names=NAMES)
    splits = {
        role: Split(
            torch.from_numpy(columns.encode(values[chosen])).float(),
            torch.from_numpy(numbers[chosen]),
            torch.from_numpy(chosen),
            Classification(tuple(classes)),
            columns,
        )
        for role, chosen in rows.items()
    }
    source, by_chance = "Letter Recognition, UCI", ("validation", "test")
    return Dataset(problem, splits["train"], splits["validation"], splits["test"], source, by_chance)


def read(path: Path = FILE) -> tuple[np.ndarray, np.ndarray]:
    """The rows as they were published: ``[20000, 16]`` uint8 in 0..15, and ``[20000]`` uint8, 0 for A to 25 for Z.

    Raises:
        CorruptFile: If the file was altered.
    """
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != DIGEST:
        raise CorruptFile(
            f"{path.name} must be the file of the package, SHA-256 {DIGEST}; got {digest}. Install again."
        )
    with np.load(path, allow_pickle=False) as archive:
        return archive["x"], archive["y"]
