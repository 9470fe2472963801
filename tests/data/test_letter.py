"""Letter Recognition: the published rows, the three problems and their splits."""

from __future__ import annotations

import hashlib
from pathlib import Path
from string import ascii_uppercase

import numpy as np
import pytest
import torch

from attar.data.datasets import load
from attar.data.letter import FILE, NAMES, load_letter, read
from attar.errors import BadInput, CorruptFile


def test_the_rows_are_those_that_were_published():
    values, letters = read()
    lines = (
        f"{ascii_uppercase[letter]},{','.join(map(str, row))}\n"
        for letter, row in zip(letters, values.tolist(), strict=True)
    )
    # Of letter-recognition.data at the UCI Machine Learning Repository.
    published = "2b89f3602cf768d3c8355267d2f13f2417809e101fc2b5ceee10db19a60de6e2"
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == published


def test_its_license_is_beside_it():
    text = FILE.with_name("letter.LICENSE.txt").read_text()
    assert "Slate" in text and "CC BY 4.0" in text and FILE.stat().st_size < 200_000


@pytest.mark.parametrize("problem", ["letter", "letter.p1", "letter.p2"])
def test_labels_follow_the_letters(problem: str):
    dataset = load(problem)
    values, letters = read()
    for part in dataset.splits().values():
        assert np.array_equal(part.inputs.numpy(), values[part.ids])
        for label, letter in zip(part.labels.tolist(), letters[part.ids], strict=True):
            name = ascii_uppercase[letter]
            if problem == "letter":
                assert dataset.classes[label] == name
            elif problem == "letter.p1":
                assert label == (name == "O")
            else:
                assert label == (name in "ABCDEFGHIJKLM")


def test_sizes_of_the_paper_and_no_row_twice():
    dataset = load("letter.p1")
    assert [len(part) for part in dataset.splits().values()] == [4000, 1000, 14000]
    assert len(torch.cat([part.ids for part in dataset.splits().values()]).unique()) == 19000


def test_every_letter_keeps_its_share():
    _, letters = read()
    shares = np.bincount(letters) / len(letters)
    for part in load("letter.p2").splits().values():
        assert abs(np.bincount(letters[part.ids]) / len(part) - shares).max() < 0.001


def test_the_seed_draws_train_and_validation_and_never_test():
    one, other = load("letter.p1", seed=0), load("letter.p1", seed=1)
    assert one.test.ids.equal(other.test.ids)
    assert not one.train.ids.equal(other.train.ids) and not one.validation.ids.equal(other.validation.ids)
    assert load("letter.p1", seed=1).fingerprint() == other.fingerprint() != one.fingerprint()


def test_problems_have_the_same_rows():
    one, other = load("letter.p1", seed=3), load("letter", seed=3)
    for mine, theirs in zip(one.splits().values(), other.splits().values(), strict=True):
        assert mine.ids.equal(theirs.ids) and mine.inputs.equal(theirs.inputs)


def test_test_is_the_same_rows_in_every_version():
    # Frozen: a change of these rows would make results from before and after it incomparable.
    assert load("letter").test.ids[:8].tolist() == FIRST_TEST_IDS


FIRST_TEST_IDS = [0, 1, 5, 7, 8, 10, 11, 12]


def test_columns_are_whole_numbers_of_the_training_rows():
    dataset = load("letter.p1")
    columns = dataset.columns
    assert columns is not None and columns.names == NAMES
    assert not columns.mask.any() and {column.kind for column in columns} == {"integer"}
    train = dataset.train.inputs.double()
    for place, column in enumerate(columns):
        assert column.center == pytest.approx(train[:, place].mean().item(), abs=1e-9)
        assert column.scale == pytest.approx(train[:, place].std(correction=0).item(), abs=1e-9)
        assert (column.low, column.high) == (train[:, place].min().item(), train[:, place].max().item())


def test_classes_and_limit():
    dataset = load("letter", classes=["Q", "O"], limit=60)
    assert dataset.classes == ("Q", "O") and len(dataset.train) == 60 and dataset.columns is not None


def test_an_unknown_problem():
    with pytest.raises(BadInput, match=r"^problem of load_letter must be one .*; got 'letter\.p3'\. Did you mean"):
        load_letter("letter.p3")
    with pytest.raises(BadInput, match=r"^name of load must be 'digits', .* got 'leter'\. Did you mean 'letter'"):
        load("leter")


@pytest.mark.parametrize("sizes", [{"train": 0}, {"test": -1}, {"train": 5001, "validation": 1000}])
def test_sizes_that_cannot_be(sizes: dict[str, int]):
    with pytest.raises(BadInput, match=r"^sizes of load_letter must be positive, and 20000 in all at most; got "):
        load_letter("letter", **sizes)


def test_all_rows_may_be_used():
    dataset = load_letter("letter", train=5000)
    assert sum(len(part) for part in dataset.splits().values()) == 20000


def test_an_altered_file(tmp_path: Path):
    path = tmp_path / "letter.npz"
    path.write_bytes(FILE.read_bytes()[:-1])
    with pytest.raises(CorruptFile, match=r"^letter\.npz must be the file of the package, SHA-256 .*Install again"):
        read(path)
