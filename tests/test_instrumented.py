"""Under the tests, types and shapes of Attar are checked whenever anything of it is called: see conftest.py."""

from __future__ import annotations

from typing import Any

import jaxtyping
import pytest
import torch
from beartype.roar import BeartypeCallHintViolation

from attar.errors import BadInput
from attar.network.cost import Cost
from attar.ops.divergence import centered_squared_error
from attar.pipeline.worker import Job

ANY: Any = "text"


def test_shapes_hold_within_a_call_and_not_beyond_it() -> None:
    one, other = torch.zeros(2, 3), torch.zeros(1, 3)
    for _ in range(2):
        with pytest.raises(BeartypeCallHintViolation):
            centered_squared_error(one, other)
        centered_squared_error(one, one)
        centered_squared_error(other, other)


def test_types_of_arguments_and_of_fields_are_checked() -> None:
    with pytest.raises(BeartypeCallHintViolation):
        centered_squared_error(ANY, torch.zeros(1, 3))
    with pytest.raises(BeartypeCallHintViolation):
        Job(name=3, function="", arguments={}, size=1)  # type: ignore[arg-type]
    with pytest.raises(BeartypeCallHintViolation):
        Cost(parameters=ANY, macs=1, by_layer={})


def test_a_test_can_see_what_users_see() -> None:
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(BadInput, match="centered_squared_error"):
            centered_squared_error(torch.zeros(2, 3), torch.zeros(1, 3))
        assert Job(name=ANY, function="", arguments={}, size=ANY).size == "text"  # type: ignore[comparison-overlap]
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)
