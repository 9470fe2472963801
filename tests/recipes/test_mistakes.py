"""What ships against the labels: which classes it takes for which, and where it errs alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from attar.data.split import Split
from attar.formatting import ABSENT
from attar.recipes.mistakes import confusion, mistakes
from attar.tables.columns import Columns
from attar.tasks.classification import Classification
from attar.tasks.regression import Regression


def split(inputs: Any, labels: list[int], names: Any = ("a", "b", "c"), columns: Columns | None = None) -> Split:
    given = {} if columns is None else {"columns": columns}
    rows = torch.arange(len(labels)) + 100
    return Split(torch.as_tensor(inputs), torch.tensor(labels), rows, Classification(tuple(names)), **given)


def sure_of(named: list[int], classes: int = 3, by: float = 4.0) -> np.ndarray:
    """Logits that name these classes."""
    return (by * np.eye(classes)[named]).astype(np.float32)


IMAGES = torch.rand(4, 1, 2, 2)


def test_each_pair_of_classes_is_counted() -> None:
    # Of class a one is right and one is taken for c; of b one is right; the label of the last is not known.
    assert confusion(split(IMAGES, [0, 0, 1, -1]), sure_of([0, 2, 1, 2])) == {
        "names": ["a", "b", "c"],
        "counts": [[1, 0, 1], [0, 1, 0], [0, 0, 0]],
    }


def test_of_many_classes_the_most_confused_pairs_are_kept() -> None:
    names = [f"class {number}" for number in range(1000)]
    labels = [5, 5, 5, 7, 9]
    found = confusion(split(torch.rand(5, 1, 2, 2), labels, names), sure_of([6, 6, 5, 8, 9], 1000))
    assert found == {
        "pairs": [
            {"true": "class 5", "named": "class 6", "count": 2, "of": 3},
            {"true": "class 7", "named": "class 8", "count": 1, "of": 1},
        ]
    }


def test_a_thousand_classes_that_are_all_confused_stay_a_short_table() -> None:
    draw = np.random.default_rng(0)
    names = [str(number) for number in range(1000)]
    labels, named = draw.integers(0, 1000, 5000), draw.integers(0, 1000, 5000)
    found = confusion(split(torch.zeros(5000, 1, 1, 1), labels.tolist(), names), sure_of(named.tolist(), 1000))
    assert found is not None and len(found["pairs"]) == 20


def test_the_examples_are_those_that_the_teacher_alone_gets_right_the_surest_first() -> None:
    student = sure_of([1, 2, 1, 0])
    student[1] *= 2  # surer of its mistake
    found = mistakes(split(IMAGES, [0, 0, 1, 1]), sure_of([0, 0, 0, 1]), student)
    assert found is not None
    assert (found["lost"], found["won"]) == (3, 1)
    assert [one["id"] for one in found["examples"]] == [101, 100, 103]
    first = found["examples"][0]
    assert (first["label"], first["named"]) == ("a", "c")
    assert first["image"] == IMAGES[1, 0].tolist()
    # softmax of 8, 0 and 0: 1 / (1 + 2 e^-8)
    name, share, is_label = first["bars"][0]
    assert (name, is_label) == ("c", False) and abs(share - 1 / (1 + 2 * np.exp(-8))) < 1e-6
    assert next(bar for bar in first["bars"] if bar[2])[0] == "a"


def test_a_row_of_a_table_is_shown_by_its_columns() -> None:
    columns = Columns.infer({"color": ["blue", "red"], "age": [1.5, 2.5]})
    rows = torch.tensor([[1.0, float("nan")], [0.0, 2.5]])
    found = mistakes(split(rows, [0, 1], columns=columns), sure_of([0, 1]), sure_of([1, 0]))
    assert found is not None
    assert [one["facts"] for one in found["examples"]] == [
        [("color", "red"), ("age", ABSENT)],
        [("color", "blue"), ("age", "2.5")],
    ]


def test_dates_are_dates_and_large_pictures_are_small() -> None:
    columns = Columns.infer({"seen": np.array(["2024-02-28", "2024-03-01"], "datetime64[D]")})
    found = mistakes(split(torch.tensor([[2.0]]), [0], columns=columns), sure_of([0]), sure_of([1]))
    assert found is not None and found["examples"][0]["facts"] == [("seen", "2024-03-01")]
    found = mistakes(split(torch.rand(1, 3, 300, 200), [0]), sure_of([0]), sure_of([1]))
    assert found is not None and np.shape(found["examples"][0]["image"]) == (96, 64, 3)


def test_other_tasks_have_neither() -> None:
    one = Split(torch.rand(3, 2), torch.rand(3, 1), torch.arange(3), Regression(("y",)))
    values = np.zeros((3, 1), np.float32)
    assert confusion(one, values) is None
    assert mistakes(one, values, values) is None
