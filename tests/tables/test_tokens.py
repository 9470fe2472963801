"""What sequences of tokens hold: how they are stacked, padded and checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from attar.errors import BadInput
from attar.tables.tokens import Tokens

TOKENS = Tokens(length=4, vocabulary=5, words=("-", "the", "cat", "sat", "down"))


def test_shorter_sequences_are_padded_with_tokens_that_do_not_count() -> None:
    rows = TOKENS.stacked([[1, 2, 3], [4]])
    assert rows.tolist() == [[[1, 2, 3, 0], [1, 1, 1, 0]], [[4, 0, 0, 0], [1, 0, 0, 0]]]
    assert rows.dtype == np.int64


def test_all_tokens_of_an_array_count_without_a_mask() -> None:
    assert TOKENS.stacked(np.array([[1, 2]]))[0, 1].tolist() == [1, 1, 0, 0]


def test_bools_are_a_mask() -> None:
    assert TOKENS.stacked(np.array([[1, 2]]), np.array([[False, True]]))[0, 1].tolist() == [0, 1, 0, 0]


def test_words_of_what_counts() -> None:
    assert TOKENS.in_words(TOKENS.stacked([[1, 2, 3]])[0]) == "the cat sat"
    assert Tokens(4, 5).in_words(TOKENS.stacked([[1, 2, 3]])[0]) == "1 2 3"


def test_the_description_comes_back_from_plain_values() -> None:
    for tokens in (TOKENS, Tokens(4, 5)):
        assert Tokens.from_json(tokens.to_json()) == tokens


@pytest.mark.parametrize(
    ("ids", "mask", "said"),
    [
        ([[1, 5]], None, "ids of the data must be from 0 to 4; got 5 in row 0 at position 1"),
        ([[1, -1]], None, "got -1 in row 0 at position 1"),
        ([[1, 2], [3, 4]], [[1, 1], [0, 0]], "mask of the data must be 1 for at least one token of each row; got only"),
        ([[1, 2]], [[1, 2]], "mask of the data must be 1 where a token counts and 0 for padding; got 2 in row 0"),
        ([[1, 2]], [[1]], "mask of the data must be of the shape of ids"),
        ([[1, 2, 3, 4, 1]], None, "ids of the data must be at most 4 tokens long; got 5"),
        (np.array([[1.5]]), None, "ids of the data must be whole numbers; got 1.5 in row 0 at position 0"),
        (np.array([1]), None, "ids of the data must be [n, positions] whole numbers; got [1] int64"),
    ],
)
def test_what_is_no_sequence_is_refused(ids: Any, mask: Any, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        TOKENS.stacked(ids, mask, "the data")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"length": 4, "vocabulary": 5}, "tokens of the document"),
        ({"length": 0, "vocabulary": 5, "words": None}, "length of Tokens"),
        ({"length": 4, "vocabulary": 2**40, "words": None}, "vocabulary of Tokens"),
        ({"length": 4, "vocabulary": 5, "words": ["a"]}, "words of Tokens"),
        ({"length": 4, "vocabulary": 5, "words": [1, 2, 3, 4, 5]}, "words of tokens"),
        ({"length": True, "vocabulary": 5, "words": None}, "length of Tokens"),
    ],
)
def test_a_file_describes_nothing_else(document: Any, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        Tokens.from_json(document)
    assert said in str(caught.value)
