"""The space without a word from the user: it fits the data, and nothing in it is larger than the teacher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from attar.data.split import Dataset, Split
from attar.errors import BadInput
from attar.network.spec import Spec
from attar.pipeline.steps import AnyStep
from attar.search.families import parameters_of
from attar.search.space import Choice, IntRange
from attar.search.spaces import FORMATS, PRUNING, default_space
from attar.tasks.classification import Classification

TEACHER = Spec("attar.network.architectures:convnet", {"classes": 10, "widths": [32, 64, 64], "pools": [1, 2, 1]})


def of_shape(*shape: int) -> Dataset:
    task = Classification(tuple("abcdefghij"))
    rows = Split(torch.rand(20, *shape), torch.arange(20) % 10, torch.arange(20), task)
    return Dataset("rows", rows, rows, rows, "drawn here")


def test_what_is_chosen_follows_from_data_and_teacher() -> None:
    space = default_space(of_shape(1, 8, 8), teacher=TEACHER, pruning=tuple(PRUNING))
    families = ("convnet", "convnet_flat", "convnet_strided", "depthwise_net", "mlp", "teacher's convnet")
    most = parameters_of(TEACHER)
    assert dict(space.dimensions) == {
        "family": Choice(families),
        "depth": Choice((1, 2, 3)),
        "parameters": IntRange(space.dimensions["parameters"].at(0.0), most, log=True),
        "format": Choice(tuple(FORMATS)),
        "pruning": Choice(tuple(PRUNING)),
    }
    assert most // 1000 <= space.dimensions["parameters"].at(0.0) < most / 100


def test_a_teacher_that_is_not_known_leaves_a_million_parameters() -> None:
    space = default_space(of_shape(6), formats=["float32"])
    assert list(space.dimensions) == ["depth", "parameters"]
    assert space.dimensions["parameters"].at(1.0) == 1_000_000
    assert default_space(of_shape(6), parameters=2000).dimensions["parameters"].at(1.0) == 2000


def test_a_small_budget_has_smaller_students_to_choose_from() -> None:
    """A thousandth of a large teacher may be far beyond what may be used: then nothing would be within."""

    def low(**about: Any) -> int:
        return int(default_space(of_shape(6), parameters=10**7, **about).dimensions["parameters"].at(0.0))

    assert (low(), low(within=2e5), low(within=12.5e3), low(within=5.0)) == (10_000, 10_000, 1250, 44)


@pytest.mark.parametrize(("shape", "most"), [((6,), 500), ((6,), 10**6), ((1, 8, 8), 3000), ((3, 32, 32), 200_000)])
def test_nothing_is_larger_than_the_teacher_and_all_can_be_built(shape: tuple[int, ...], most: int) -> None:
    space, random = default_space(of_shape(*shape), parameters=most), np.random.default_rng(0)
    sizes = []
    for _ in range(25):
        choices = space.draw(random)
        spec = space.proposal(choices).spec
        sizes.append(parameters_of(spec))
        assert sizes[-1] <= most
    assert min(sizes) < most / 10 and max(sizes) > most / 4


def test_choices_come_to_a_network_and_steps() -> None:
    space = default_space(of_shape(1, 8, 8), teacher=TEACHER, pruning=["none", "0.5x"])
    choices = {"family": "mlp", "depth": 2, "parameters": 2000, "format": "4 bits", "pruning": "0.5x"}
    proposal = space.proposal(choices)
    # 64 inputs and 10 classes: 64 w + w + w^2 + w + 10 w + 10 is 1930 for a width of 20, and 2047 for one of 21.
    assert proposal.spec.arguments == {"inputs": 64, "classes": 10, "hidden": [20, 20]}
    assert [step["use"] for step in proposal.steps] == ["prune", "quantize", "distill"]


@pytest.mark.parametrize("steps", [*FORMATS.values(), *PRUNING.values()])
def test_steps_are_tables_of_a_recipe(steps: list[Mapping[str, Any]]) -> None:
    read: TypeAdapter[Any] = TypeAdapter(AnyStep)
    assert [read.validate_python(dict(step)).use for step in steps] == [step["use"] for step in steps]


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(
        BadInput, match=r"formats of default_space must be names that there are; got '4bits'. Did you mea"
    ):
        default_space(of_shape(6), formats=["4bits"])
    with pytest.raises(BadInput, match=r"pruning of default_space must be at least one name; got \[\]. Use 'none'."):
        default_space(of_shape(6), pruning=[])
    with pytest.raises(
        BadInput, match=r"it has 20 parameters, and the smallest for these data has 44. Name the student"
    ):
        default_space(of_shape(6), parameters=20)
