"""The digest of an object's content."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier

from attar.errors import BadInput
from attar.teachers.digest import digest

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
values = st.recursive(
    leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner)
)


@given(values)
def test_copies_are_alike(value):
    assert digest(copy.deepcopy(value)) == digest(value) == digest(pickle.loads(pickle.dumps(value)))


def text(value) -> str:
    """Tells apart what equality does not: 1 and 1.0, 0.0 and -0.0."""
    return repr(value)


@given(values, values)
def test_others_are_not(one, other):
    assert (digest(one) == digest(other)) == (text(one) == text(other))


DIFFERENT = [
    np.zeros(2),
    np.zeros((2, 1)),
    np.zeros(2, np.float32),
    np.zeros(2, np.int64),
    np.zeros(2, [("a", "f8")]),
    np.zeros(2, [("b", "f8")]),
    np.array([None, None]),
    np.array([0.0, None]),
    np.float64(0),
    0.0,
    -0.0,
    0,
    "0",
    b"0",
    [],
    (),
    {},
    OrderedDict(),
    set(),
    {1},
    [[1], [2]],
    [[1, 2]],
    np.dtype("f4"),
    int,
    np.add,
    np.random.default_rng(0),
    np.random.default_rng(1),
    np.random.RandomState(0),
    lambda: 1,
    lambda x: x,
    len,
]


def test_different_things_differ():
    assert len({digest(value) for value in DIFFERENT}) == len(DIFFERENT)


def test_what_lies_between_fields_does_not_count():
    kind = np.dtype({"names": ["a", "b"], "formats": ["u1", "f8"], "offsets": [0, 8]})
    one, other = np.frombuffer(bytes(16), kind), np.frombuffer(bytes([0, *[7] * 7, *[0] * 8]), kind)
    assert one.tobytes() != other.tobytes() and digest(one) == digest(other)


def test_circle():
    def circle(length):
        first = []
        last = first
        for _ in range(length - 1):
            last.append([])
            last = last[0]
        last.append(first)
        return first

    assert digest(circle(1)) == digest(circle(1))
    assert digest(circle(2)) != digest(circle(1))


def test_every_number_of_an_estimator_counts():
    x, y = np.arange(40.0).reshape(10, 4), np.arange(10) % 3
    forest = RandomForestClassifier(3, random_state=0).fit(x, y)
    before = digest(forest)
    assert digest(copy.deepcopy(forest)) == before
    forest.estimators_[2].tree_.threshold[0] = np.nextafter(forest.estimators_[2].tree_.threshold[0], 100)
    assert digest(forest) != before


def test_what_cannot_be_taken_apart(tmp_path):
    with (tmp_path / "file").open("w") as file, pytest.raises(BadInput, match="must be one that can be saved; got"):
        digest([file])
