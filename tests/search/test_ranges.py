"""Spaces as recipes describe them: a function, and ranges among its arguments."""

from __future__ import annotations

from typing import Any

import pytest

from attar.errors import BadInput
from attar.search.ranges import space_of
from attar.search.space import Choice, FloatRange, IntRange


def test_tables_are_ranges_lists_are_choices_and_all_else_is_fixed() -> None:
    space = space_of(
        "mine:net",
        {
            "width": {"from": 8, "to": 128, "log": True},
            "units": {"from": 4, "to": 16, "step": 4},
            "dropout": {"from": 0, "to": 0.5},
            "depth": [1, 2, 3],
            "classes": 10,
            "options": {"bias": False},
        },
        known={"inputs": 6, "classes": 3},
    )
    assert space.dimensions == {
        "width": IntRange(8, 128, log=True),
        "units": IntRange(4, 16, step=4),
        "dropout": FloatRange(0.0, 0.5),
        "depth": Choice((1, 2, 3)),
    }
    proposal = space.proposal({"width": 8, "units": 4, "dropout": 0.1, "depth": 2})
    assert proposal.spec.reference == "mine:net"
    assert proposal.spec.arguments == {
        "inputs": 6, "classes": 10, "options": {"bias": False}, "width": 8, "units": 4, "dropout": 0.1, "depth": 2
    }  # fmt: skip
    assert list(proposal.steps) == []


def test_what_is_known_of_the_data_gives_way_to_a_range() -> None:
    space = space_of("mine:net", {"outputs": [2, 3]}, known={"outputs": 5})
    assert space.proposal({"outputs": 3}).spec.arguments == {"outputs": 3}


def test_steps_are_a_dimension_where_there_are_alternatives() -> None:
    quantize = {"use": "quantize", "weights": {"use": "uniform", "bits": 4}}
    space = space_of("mine:net", {"width": [4, 8]}, steps={"float": [], "4 bits": [quantize]})
    assert space.dimensions["steps"] == Choice(("float", "4 bits"))
    assert [list(space.proposal(one).steps) for one in space.grid(2)] == [[], [quantize], [], [quantize]]
    assert space.proposal({"width": 4, "steps": "float"}).spec.arguments == {"width": 4}
    alone = space_of("mine:net", {"width": [4, 8]}, steps={"4 bits": [quantize]})
    assert list(alone.dimensions) == ["width"] and list(alone.proposal({"width": 4}).steps) == [quantize]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"width": {"from": 128, "to": 8}},
            "arguments.width.from of the search space must be at most arguments.width.to, which is 8; got 128. Swap",
        ),
        ({"width": {"from": 8}}, "arguments.width.to of the search space must be given; got {'from': 8}. Write for"),
        ({"width": {"to": 8}}, "arguments.width.from of the search space must be given; got {'to': 8}. Write for"),
        (
            {"width": {"from": "8", "to": 16}},
            "arguments.width.from of the search space must be a number; got '8'. Write for example { from = 8",
        ),
        (
            {"width": {"from": 8, "to": 16, "stpe": 2}},
            "arguments.width of the search space must be a range of from, to, step and log; got 'stpe'. Did you mean "
            "'step'?",
        ),
        ({"width": {"from": 8, "to": 16, "log": 1}}, "arguments.width.log of the search space must be true or false"),
        (
            {"rate": {"from": 0.1, "to": 0.9, "step": 1}},
            "arguments.rate.step of the search space must be a whole number between whole numbers; got 1. List the",
        ),
        ({"width": {"from": 8, "to": 16, "step": 0}}, "arguments.width.step of the search space must be at least 1"),
        ({"width": []}, "arguments.width of the search space must be a list of at least one value; got []."),
        (
            {"width": 8},
            "arguments of the search space must have a range or a list among them; got {'width': 8}. Write for example "
            "width = { from = 8, to = 128, log = true }, or depth = [1, 2, 3].",
        ),
        ({"steps": [1, 2]}, "arguments.steps of the search space must be fixed where steps are chosen too; got [1, 2]"),
    ],
)
def test_what_is_not_right_is_said_in_one_sentence_with_its_key(arguments: dict[str, Any], sentence: str) -> None:
    steps: Any = {"float": [], "pruned": [{"use": "prune"}]} if "steps" in arguments else None
    with pytest.raises(BadInput) as caught:
        space_of("mine:net", arguments, steps=steps)
    assert str(caught.value).startswith(sentence)
