"""Functions that users call say how they are called."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import attar
from attar.errors import BadInput
from attar.network.entry_point import entry_point


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ((), {"rows": 1}, r"shrink has no 'rows'\. Did you mean 'row'\?"),
        (
            (1, 2, 3),
            {"rate": 1},
            r"shrink takes \(row, rate=\.\.\.\), and by name seed=\.\.\.; got 3 values by place\.",
        ),
        ((1,), {}, r"shrink takes .*; got no 'rate'\."),
        ((1,), {"row": 1, "rate": 1}, r"shrink takes .*; got multiple values for argument 'row'\."),
    ],
)
def test_a_call_that_does_not_fit(args: Any, kwargs: Any, text: str) -> None:
    def shrink(row: int, *, rate: int, seed: int = 0) -> int:
        return row * rate + seed

    called: Any = entry_point(shrink)
    assert called(3, rate=2, seed=1) == 7
    with pytest.raises(BadInput, match=f"^{text}$"):
        called(*args, **kwargs)


def test_any_name_is_given_on_where_a_function_takes_any() -> None:
    def count(first: int, **others: int) -> int:
        return first + len(others)

    called: Any = entry_point(count)
    assert called(1, a=1, b=2) == 3
    with pytest.raises(BadInput, match=r"^count takes \(first\); got no 'first'\.$"):
        called(a=1)


def test_a_call_that_does_not_fit_is_told_what_the_function_takes() -> None:
    quantize: Any = attar.quantize
    with pytest.raises(BadInput, match=r"^quantize takes \(student\), and by name weights=.*; got 2 values by place"):
        quantize(torch.nn.Linear(2, 2), attar.Uniform(bits=4))
    deploy: Any = attar.deploy
    with pytest.raises(BadInput, match=r"^deploy takes \(student, candidate, folder, task=\.\.\.\), .*; got no 'task'"):
        deploy(torch.nn.Linear(2, 2), "onnxruntime", "folder")
