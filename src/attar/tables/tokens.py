"""What sequences of tokens hold: how long they are, how many different tokens there are, and what these are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.errors import Words, must

IDS, MASK = "ids", "mask"
NAMES = (IDS, MASK)
"""Of the two inputs of a sequence, in the order in which they are stacked along axis 1."""

OF_TOKENIZERS = {"input_ids": IDS, "attention_mask": MASK}
"""What tokenizers of Hugging Face call them."""

TYPES = "token_type_ids"
"""What these give beside them: which of two sentences a token is of, which a sequence does not hold."""

_INEXACT = 2**53
"""From here on floats skip whole numbers; no token has such a number."""

LONGEST, LARGEST = 2**20, 2**31
"""Positions of a sequence, and different tokens, at most: what a file may say."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the sequences of a data set have in common.

    A batch of sequences is one int64 array ``[n, 2, length]``: the numbers of the tokens, and a mask of the same shape,
    which is 1 where a position counts and 0 where it is padding. What the labels of a sequence mean is the task's, and
    any task may have sequences for inputs.

    Attributes:
        length: Positions of each sequence, padding among them.
        vocabulary: How many different tokens there are; their numbers are 0 to ``vocabulary - 1``.
        words: What each token is called; None where that is not known.

    Raises:
        BadInput: If a number is out of range, or there are not as many words as tokens.

    Example:
        >>> tokens = Tokens(length=3, vocabulary=4, words=("-", "a", "cat", "sat"))
        >>> rows = tokens.stacked([[1, 2, 3], [2, 3]])
        >>> rows.shape, tokens.in_words(rows[1])
        ((2, 2, 3), 'cat sat')
    """

    length: int
    vocabulary: int
    words: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name, least, most in (("length", 1, LONGEST), ("vocabulary", 2, LARGEST)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise must(name, "Tokens", f"a whole number from {least} to {most:,}", value, "Count them in the data")
        if self.words is not None and len(self.words) != self.vocabulary:
            rule = f"one for each of the {self.vocabulary} tokens"
            raise must("words", "Tokens", rule, Words(f"{len(self.words)} of them"), "Name each token once")

    def __str__(self) -> str:
        return f"sequences of up to {self.length} of {self.vocabulary:,} tokens"

    @property
    def shape(self) -> tuple[int, int]:
        """Of one sequence: ``(2, length)``."""
        return (len(NAMES), self.length)

    def to_json(self) -> dict[str, Any]:
        """The description as plain values."""
        words = None if self.words is None else list(self.words)
        return {"length": self.length, "vocabulary": self.vocabulary, "words": words}

    @classmethod
    def from_json(cls, document: object) -> Tokens:
        """Read what `to_json` gave.

        Raises:
            BadInput: If it is something else.
        """
        if not isinstance(document, Mapping) or document.keys() != {"length", "vocabulary", "words"}:
            rule = "a table of length, vocabulary and words, and of nothing else"
            raise must("tokens", "the document", rule, document, "Write it again")
        words = document["words"]
        if words is not None and not (isinstance(words, list) and all(isinstance(one, str) for one in words)):
            raise must("words", "tokens", "a list of texts, or null", words, "Write it again")
        return cls(document["length"], document["vocabulary"], None if words is None else tuple(words))

    def check(self, rows: NDArray[Any], of: str) -> None:
        """See that rows are sequences of these tokens.

        Args:
            rows: ``[n, 2, length]`` int64.
            of: What holds them; for the message.

        Raises:
            BadInput: Naming the first row that is none.
        """
        if rows.dtype != np.int64 or rows.ndim != 3 or rows.shape[1:] != self.shape:
            got = Words(f"{list(rows.shape)} {rows.dtype}")
            remedy = "Stack ids and mask along axis 1"
            raise must("ids and mask", of, f"[n, 2, {self.length}] int64", got, remedy)
        ids, mask = rows[:, 0], rows[:, 1]
        wrong = (ids < 0) | (ids >= self.vocabulary)
        if wrong.any():
            row, place = (int(one) for one in np.argwhere(wrong)[0])
            got = Words(f"{int(ids[row, place])} in row {row} at position {place}")
            remedy = "Number the tokens from 0, and give padding the number of some token"
            raise must("ids", of, f"from 0 to {self.vocabulary - 1}", got, remedy)
        wrong = (mask != 0) & (mask != 1)
        if wrong.any():
            row, place = (int(one) for one in np.argwhere(wrong)[0])
            got = Words(f"{int(mask[row, place])} in row {row} at position {place}")
            raise must("mask", of, "1 where a token counts and 0 for padding", got, "Give ones and zeros")
        empty = np.flatnonzero(~mask.any(axis=1))
        if len(empty):
            got = Words(f"only zeros in row {int(empty[0])}")
            raise must("mask", of, "1 for at least one token of each row", got, "Leave empty sequences out")

    def stacked(self, ids: object, mask: object = None, of: str = "the sequences") -> NDArray[np.int64]:
        """Sequences as one array; shorter ones are padded with tokens that do not count.

        Args:
            ids: ``[n, up to length]`` whole numbers, or a list of lists of different lengths.
            mask: The same shape, ones and zeros or bools; None where all tokens count.
            of: What holds them; for messages.

        Returns:
            ``[n, 2, length]`` int64.

        Raises:
            BadInput: If a sequence is too long, the shapes differ, or `check` refuses them.
        """
        if mask is None and isinstance(ids, Sequence) and ids and all(isinstance(one, Sequence) for one in ids):
            longest = max(len(one) for one in ids)
            mask = [[1] * len(one) + [0] * (longest - len(one)) for one in ids]
            ids = [[*one, *([0] * (longest - len(one)))] for one in ids]
        numbers = integers(IDS, of, ids)
        counts = np.ones_like(numbers) if mask is None else integers(MASK, of, mask)
        if counts.shape != numbers.shape:
            rule = f"of the shape of ids, {list(numbers.shape)}"
            raise must(MASK, of, rule, list(counts.shape), "Give one number for each token")
        if numbers.shape[1] > self.length:
            rule = f"at most {self.length} tokens long"
            raise must(IDS, of, rule, Words(f"{numbers.shape[1]}"), "Cut longer sequences first")
        rows = np.zeros((len(numbers), *self.shape), np.int64)
        rows[:, 0, : numbers.shape[1]], rows[:, 1, : numbers.shape[1]] = numbers, counts
        self.check(rows, of)
        return rows

    def in_words(self, row: NDArray[Any]) -> str:
        """The tokens of one sequence ``[2, length]`` that count, in words or as numbers."""
        ids = [int(one) for one, counts in zip(row[0], row[1], strict=True) if counts]
        return " ".join(str(one) if self.words is None else self.words[one] for one in ids)


def of_tokenizer(given: Mapping[str, Any], of: str) -> dict[str, Any]:
    """Inputs of a call by our names where they are called as tokenizers of Hugging Face call them.

    Args:
        given: By name.
        of: What is called; for the message.

    Raises:
        BadInput: If types of tokens are among them that are not 0 everywhere.
    """
    found = {OF_TOKENIZERS.get(str(name), str(name)): values for name, values in given.items()}
    if IDS in found and TYPES in found and np.any(np.asarray(found.pop(TYPES))):
        raise must(TYPES, of, "left out, or 0 everywhere", Words("others"), "Give one text for each row, and no pairs")
    return found


def integers(name: str, of: str, values: object) -> NDArray[np.int64]:
    """An array ``[n, positions]`` of whole numbers as int64.

    Raises:
        BadInput: If it is something else.
    """
    try:
        array = np.asarray(values)
    except ValueError:  # rows of different lengths
        array = np.empty(0, object)
    if array.ndim != 2 or not array.shape[1] or array.dtype.kind == "O":
        got = Words(f"{list(array.shape)} {array.dtype}" if array.dtype.kind != "O" else "rows of different lengths")
        raise must(name, of, "[n, positions] whole numbers", got, "Pad all sequences to one length, with a mask")
    if array.dtype.kind not in "iubf":
        raise must(name, of, "whole numbers", Words(f"{array.dtype}"), "Give the numbers of tokens, and 1 and 0")
    if array.dtype.kind in "uf":
        wrong = np.argwhere((np.abs(array) >= _INEXACT) | (array != np.rint(array)))
        if len(wrong):
            row, place = (int(one) for one in wrong[0])
            got = Words(f"{array[row, place]} in row {row} at position {place}")
            rule = "numbers of tokens" if abs(array[row, place]) >= _INEXACT else "whole numbers"
            raise must(name, of, rule, got, "Give the numbers of tokens, and 1 and 0")
    return array.astype(np.int64)
