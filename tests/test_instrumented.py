"""Under the tests, types and shapes of Attar are checked whenever anything of it is called: see conftest.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jaxtyping
import pytest
import torch
from beartype import beartype
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import Float
from torch import Tensor

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


def test_an_inner_function_is_checked_each_time_that_it_is_made() -> None:
    check = jaxtyping.jaxtyped(typechecker=beartype)  # what the import hook writes above it

    def made_by(own: str) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
        @check
        def repeated(times: int, *, more: str = "") -> str:
            return own * times + more

        @check
        def paired(one: Float[Tensor, " rows"], other: Float[Tensor, " rows"]) -> tuple[str, int]:
            return own, len(one) + len(other)

        @check
        def unsaid(anything):  # type: ignore[no-untyped-def]
            return own, anything

        return repeated, paired, unsaid

    for own in ("one", "other", "third"):
        repeated, paired, unsaid = made_by(own)
        assert repeated(2, more="!") == f"{own}{own}!" and repeated.__name__ == "repeated"
        assert paired(torch.zeros(2), torch.zeros(2)) == (own, 4) and unsaid(None) == (own, None)
        for function, given in (
            (repeated, (ANY,)),
            (paired, (torch.zeros(2), ANY)),
            (paired, (torch.ones(2), torch.ones(3))),
        ):
            with pytest.raises(BeartypeCallHintViolation):
                function(*given)
        with pytest.raises(BeartypeCallHintViolation):
            repeated(1, more=3)


def test_a_test_can_see_what_users_see() -> None:
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(BadInput, match="centered_squared_error"):
            centered_squared_error(torch.zeros(2, 3), torch.zeros(1, 3))
        assert Job(name=ANY, function="", arguments={}, size=ANY).size == "text"  # type: ignore[comparison-overlap]
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)
