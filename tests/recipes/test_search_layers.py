"""Layers of a teacher and of a student, as evidence."""

from __future__ import annotations

import torch

from attar.network.spec import Spec
from attar.recipes.search_layers import layers_side_by_side
from attar.search.n2n.describe import describe
from attar.search.n2n.layers import Rules
from attar.search.n2n.surgery import student

CONVNET = "attar.network.architectures:convnet"
MLP = "attar.network.architectures:mlp"


def test_what_became_of_each_layer_of_the_teacher_is_told() -> None:
    teacher = Spec(MLP, {"inputs": 8, "classes": 3, "hidden": [30, 20, 20]})
    example = torch.zeros(1, 8)
    described = describe(teacher, example, Rules(min_channels=1))
    names = [state.name for state in described.states]
    gone, narrow = "5", "1"
    keep = [name != gone for name in names]
    shares = [0.5 if name == narrow else 1.0 for name in names]
    spec = student(described, keep, shares)
    assert isinstance(spec, Spec)
    sides = layers_side_by_side(teacher, spec, example)
    became = {layer["name"]: layer["became"] for layer in sides["teacher"] if layer["parameters"]}
    assert became == {"1": "narrower", "3": "fewer inputs", "5": "removed", "7": "kept"}
    ours = {layer["name"]: layer for layer in sides["student"] if layer["parameters"]}
    assert list(ours) == ["1", "3", "7"]
    assert (ours["1"]["parameters"], ours["1"]["macs"]) == (8 * 15 + 15, 8 * 15)
    assert (ours["3"]["inputs"], ours["3"]["outputs"], ours["3"]["macs"]) == (15, 20, 300)


def test_of_other_networks_it_is_not_told_what_became_of_their_layers() -> None:
    example = torch.zeros(1, 1, 8, 8)
    net = Spec(CONVNET, {"classes": 3, "widths": [4, 8], "pools": [1, 2], "side": 8})
    small = Spec(CONVNET, {"classes": 3, "widths": [2], "pools": [2], "side": 8})
    sides = layers_side_by_side(net, small, example)
    assert not any("became" in layer for layer in sides["teacher"])
    first = next(layer for layer in sides["teacher"] if layer["kind"] == "convolution")
    assert (first["kernel"], first["inputs"], first["outputs"], first["macs"]) == (3, 1, 4, 9 * 4 * 64)
    assert layers_side_by_side(None, small, example) == {"teacher": [], "student": sides["student"]}
