"""Families: every network takes the data's inputs, gives its outputs, and is as small as it is asked to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from attar.data.split import Dataset, Split
from attar.network.forward import forward
from attar.network.spec import Spec
from attar.search.families import families_for, parameters_of, scalings_of
from attar.tables.columns import Columns
from attar.tables.tokens import Tokens
from attar.tasks.classification import Classification
from attar.tasks.dense import Dense
from attar.tasks.gaze import Gaze
from attar.tasks.regression import Regression
from attar.tasks.task import Task

ARCHITECTURES = "attar.network.architectures"


def dataset(inputs: Tensor, labels: Tensor, task: Task, **described: Any) -> Dataset:
    rows = Split(inputs, labels, torch.arange(len(inputs)), task, **described)
    return Dataset("rows", rows, rows, rows, "drawn here")


def of_classes(*shape: int, classes: int = 3) -> Dataset:
    """Random inputs of a shape, of a few classes."""
    draws = torch.Generator().manual_seed(0)
    labels = torch.arange(12) % classes
    names = tuple("abcdefghij"[:classes])
    return dataset(2 + 3 * torch.randn(12, *shape, generator=draws), labels, Classification(names))


def of_table() -> Dataset:
    columns = Columns.infer(np.array([["red", 1.5], ["blue", 2.5], [None, 3.5]], dtype=object))
    rows = torch.tensor([[0.0, 1.5], [1.0, 2.5], [torch.nan, 3.5], [0.0, 2.0]])
    return dataset(rows, torch.tensor([[1.0], [2.0], [3.0], [4.0]]), Regression(("price",)), columns=columns)


def of_tokens() -> Dataset:
    tokens = Tokens(length=5, vocabulary=20)
    rows = torch.from_numpy(tokens.stacked([[1, 2, 3], [4, 5], [6], [7, 8, 9, 10, 11]]))
    return dataset(rows, torch.tensor([0, 1, 0, 1]), Classification(("a", "b")), tokens=tokens)


def of_maps() -> Dataset:
    return dataset(
        torch.rand(4, 3, 8, 8), torch.arange(8).remainder(2).expand(4, 8, 8).clone(), Dense(("a", "b"), (8, 8))
    )


def of_gaze() -> Dataset:
    return dataset(torch.rand(4, 3, 16, 16), torch.ones(4, 6, 8, dtype=torch.int64), Gaze((6, 8)))


IMAGES = ["convnet", "convnet_flat", "convnet_strided", "depthwise_net", "mlp"]

KINDS = {
    "vectors": (lambda: of_classes(6), ["mlp"]),
    "signals": (lambda: of_classes(2, 16), ["mlp"]),
    "thumbnails": (lambda: of_classes(3, 4, 4), IMAGES),
    "digits": (lambda: of_classes(1, 8, 8, classes=10), IMAGES),
    "images": (lambda: of_classes(3, 32, 32), IMAGES),
    "photos": (lambda: of_classes(3, 128, 128), IMAGES),
    "wide images": (lambda: of_classes(1, 12, 20), [one for one in IMAGES if one != "convnet_flat"]),
    "tables": (of_table, ["tabular"]),
    "sequences": (of_tokens, ["token_mean", "token_windows", "token_encoder"]),
    "maps": (of_maps, ["segmenter"]),
    "gaze": (of_gaze, ["gaze_vgg", "gaze_densenet"]),
}

kinds = pytest.mark.parametrize(("data", "names"), KINDS.values(), ids=KINDS)


@kinds
def test_every_network_takes_the_inputs_and_gives_the_outputs(data: Callable[[], Dataset], names: list[str]) -> None:
    rows = data()
    found = families_for(rows)
    assert [one.name for one in found] == names
    for family in found:
        for depth in family.depths:
            network = family.make(family.narrowest, depth).build().eval()
            with torch.no_grad():
                output = forward(network, rows.train.floats(slice(0, 2)))
            assert output.shape == (2, *rows.task.shape) and bool(output.isfinite().all())


@pytest.mark.parametrize("name", ["vectors", "digits", "sequences"])
def test_a_network_has_at_most_the_parameters_asked_and_hardly_fewer(name: str) -> None:
    data, _ = KINDS[name]
    for family in families_for(data()):
        for depth in family.depths:
            widths = (family.narrowest + 4, family.narrowest + 8)
            few, more = (parameters_of(family.make(width, depth)) for width in widths)
            assert few < more
            assert parameters_of(family.within(more, depth)) == more
            assert few <= parameters_of(family.within(more - 1, depth)) < more
        # What no network is small enough for is the smallest.
        assert parameters_of(family.within(1, family.depths[-1])) == family.smallest()


def test_parameters_are_those_of_the_network() -> None:
    # 6 inputs, 4 hidden units, 3 classes: 6 * 4 + 4 and 4 * 3 + 3.
    spec = Spec(f"{ARCHITECTURES}:mlp", {"inputs": 6, "classes": 3, "hidden": [4]}, [0.0] * 6, [1.0] * 6)
    assert parameters_of(spec) == 43
    assert parameters_of(spec) == sum(one.numel() for one in spec.build().parameters())


def test_maps_are_halved_as_long_as_they_are_large() -> None:
    by_name = {one.name: one for one in families_for(of_classes(1, 28, 28))}
    assert by_name["convnet"].depths == (2, 3, 4)
    pooled, strided = by_name["convnet"].make(8, 4).arguments, by_name["convnet_strided"].make(8, 4).arguments
    assert pooled["widths"] == [8, 16, 32, 64] and pooled["pools"] == [2, 2, 2, 1]
    assert strided["strides"] == [1, 2, 2, 2]
    assert by_name["depthwise_net"].make(8, 3).arguments["widths"] == [8, 16, 16, 32, 32]
    assert by_name["depthwise_net"].make(8, 3).arguments["strides"] == [2, 2, 1, 2, 1]


def test_large_images_are_halved_by_the_first_layer() -> None:
    by_name = {one.name: one for one in families_for(of_classes(3, 96, 96))}
    pooled, flat = (by_name[name].make(8, 5).arguments for name in ("convnet", "convnet_flat"))
    assert pooled["strides"] == flat["strides"] == [2, 1, 1, 1, 1] and pooled["pools"] == [1, 2, 2, 2, 2]
    assert by_name["convnet_strided"].make(8, 6).arguments["strides"] == [2, 1, 2, 2, 2, 2]
    assert by_name["depthwise_net"].make(8, 4).arguments["strides"][0] == 2


# -- the teacher's network, scaled -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "half"),
    [
        ("mlp", {"inputs": 6, "classes": 3, "hidden": [64, 32]}, {"hidden": [32, 16]}),
        ("mlp", {"inputs": 6, "classes": 3}, {"hidden": [64]}),
        ("convnet", {"classes": 3, "widths": [8, 16], "hidden": [10]}, {"widths": [4, 8], "hidden": [5]}),
        ("resnet", {"classes": 3, "widths": [8, 16], "blocks": 2}, {"widths": [4, 8], "blocks": 2}),
        ("lenet5", {}, {"widths": [10, 25, 250]}),
        ("token_mean", {"vocabulary": 9, "outputs": 2}, {"width": 8, "hidden": 16}),
        ("token_encoder", {"vocabulary": 9, "length": 4, "outputs": 2, "width": 24}, {"width": 12}),
    ],
)
def test_all_widths_are_scaled(name: str, arguments: dict[str, Any], half: dict[str, Any]) -> None:
    family = scalings_of(Spec(f"{ARCHITECTURES}:{name}", arguments))
    assert family is not None
    halved = family.make(32, 1)
    assert {key: halved.arguments[key] for key in half} == half
    full = parameters_of(Spec(f"{ARCHITECTURES}:{name}", arguments))
    assert parameters_of(family.make(64, 1)) == full > parameters_of(halved) > family.smallest() > 0
    for width in (1, 9, 37):
        assert parameters_of(family.make(width, 1)) > 0


def test_a_network_of_the_users_own_is_not_scaled() -> None:
    assert scalings_of(Spec("mine:net", {"hidden": [64]})) is None
