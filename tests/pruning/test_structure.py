"""Costs as functions of what is kept, against the cost of slim networks."""

import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from attar.network.cost import cost
from attar.network.spec import Spec
from attar.pruning.attention import open_attention_
from attar.pruning.edit import prune
from attar.pruning.group import Group, Groups, Slot
from attar.pruning.groups import find_groups
from attar.pruning.structure import Structure, costs

SIDE = 6


def ones(count: int, width: int = 1) -> tuple[tuple[int, ...], ...]:
    """For each unit the positions that go with it."""
    return tuple(tuple(range(width * unit, width * (unit + 1))) for unit in range(count))


def group(name: str, units: int, *slots: Slot, kind: str = "channels") -> Group:
    return Group(name, kind, units, slots, (), (name,))


def small(first: int = 4, second: int = 6) -> nn.Sequential:
    """Convolution, depthwise convolution, pointwise convolution, and a linear layer on what is flattened."""
    return nn.Sequential(
        nn.Conv2d(1, first, 3, padding=1),
        nn.BatchNorm2d(first),
        nn.Conv2d(first, first, 3, padding=1, stride=2, groups=first, bias=False),
        nn.ReLU(),
        nn.Conv2d(first, second, 1),
        nn.Flatten(),
        nn.Linear(second * 9, 3),
    )


GROUPS = Groups(
    (
        group(
            "0",
            4,
            *(Slot(name, 0, ones(4)) for name in ("0.weight", "0.bias", "1.weight", "1.bias", "2.weight")),
            Slot("4.weight", 1, ones(4)),
        ),
        group("4", 6, Slot("4.weight", 0, ones(6)), Slot("4.bias", 0, ones(6)), Slot("6.weight", 1, ones(6, 9))),
    ),
    {},
)
EXAMPLE = torch.zeros(1, 1, SIDE, SIDE)
STRUCTURE = Structure.of(small(), GROUPS, EXAMPLE)


@pytest.mark.parametrize("first", [1, 3, 4])
@pytest.mark.parametrize("second", [1, 5, 6])
def test_a_prediction_is_what_the_slim_network_costs(first: int, second: int):
    kept, slim = {"0": first, "4": second}, cost(small(first, second), EXAMPLE)
    assert STRUCTURE.macs().total(kept) == slim.macs
    assert STRUCTURE.parameters().total(kept) == slim.parameters
    assert STRUCTURE.bytes().total(kept) == 4 * slim.parameters
    assert STRUCTURE.activations().total(kept) == 4 * (first * 36 + first * 9 + second * 9 + 3)


def test_what_is_not_named_is_kept_whole():
    assert STRUCTURE.macs().total({}) == STRUCTURE.macs().total({"0": 4, "4": 6}) == cost(small(), EXAMPLE).macs


@given(first=st.integers(0, 4), second=st.integers(0, 6), now=st.integers(1, 4))
def test_a_curve_has_the_differences_of_totals(first: int, second: int, now: int):
    for one in costs(STRUCTURE).values():
        curve = one.curve("0", [first, now], {"4": second})
        change = one.total({"0": first, "4": second}) - one.total({"0": now, "4": second})
        assert curve[0] - curve[1] == pytest.approx(change)


def test_the_attention_of_torch_is_counted_by_its_projections_and_products():
    class Attends(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return self.attention(rows, rows, rows, need_weights=False)[0].mean(1)

    heads = tuple(tuple(third + 4 * head + k for third in (0, 8, 16) for k in range(4)) for head in range(2))
    both = group(
        "attention",
        2,
        Slot("attention.in_proj_weight", 0, heads),
        Slot("attention.out_proj.weight", 1, ones(2, 4)),
        kind="heads",
    )
    made = Structure.of(Attends(), Groups((both,), {}), torch.zeros(1, 5, 8))
    macs = made.macs()
    # 5 tokens through 4 matrices of 8x8, and twice 5x5 products of 8 numbers.
    assert macs.total({}) == 5 * 4 * 64 + 2 * 25 * 8
    assert macs.total({"attention": 1}) == macs.total({}) / 2
    assert [(one.shape.operator, one.shape.size) for one in made.layers] == [("MatMul", (5,))] * 2


def test_what_has_no_weights_goes_with_what_takes_from_it():
    class Multiplies(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right = nn.Linear(4, 6), nn.Linear(4, 6)

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return (self.left(rows) @ self.right(rows).T).sum(1, keepdim=True)

    slots = tuple(Slot(f"{side}.{tensor}", 0, ones(6)) for side in ("left", "right") for tensor in ("weight", "bias"))
    made = Structure.of(Multiplies(), Groups((group("left", 6, *slots),), {}), torch.zeros(1, 4))
    assert made.macs().total({"left": 2}) == 2 * (2 * 4) + 2


class BesideItsLayers(nn.Module):
    """Multiplies with the weights of a layer that it does not call, and with a matrix of its own."""

    def __init__(self):
        super().__init__()
        self.first, self.used, self.inner, self.last = (nn.Linear(a, b) for a, b in ((4, 6), (6, 5), (7, 8), (8, 2)))
        self.matrix = nn.Parameter(torch.ones(5, 7))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        seen = nn.functional.linear(torch.relu(self.first(rows)), self.used.weight)
        return self.last(torch.relu(self.inner(torch.relu(seen @ self.matrix))))


class Crossing(nn.Module):
    """Attention over fewer and narrower rows than those that ask."""

    def __init__(self):
        super().__init__()
        self.keys, self.last = nn.Linear(4, 6), nn.Linear(8, 2)
        self.attention = nn.MultiheadAttention(8, 2, kdim=6, vdim=6, batch_first=True)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        seen = self.keys(rows[:, :2, :4])
        return self.last(self.attention(rows, seen, seen)[0].mean(1))


@pytest.mark.parametrize(
    ("build", "example", "removed"),
    [(BesideItsLayers, torch.ones(1, 4), {"inner": [1, 4]}), (Crossing, torch.ones(1, 5, 8), {"attention": [0]})],
    ids=["beside", "crossing"],
)
def test_work_outside_of_layers_is_counted_once(
    build: type[nn.Module], example: torch.Tensor, removed: dict[str, list[int]]
):
    network = open_attention_(build())
    groups = find_groups(network, example)
    made = Structure.of(network, groups, example)
    assert made.macs().total({}) == pytest.approx(cost(network, example).macs)
    kept = {name: groups.named()[name].units - len(units) for name, units in removed.items()}
    slim = prune(network, groups, removed).apply(network)
    assert made.macs().total(kept) == pytest.approx(cost(slim, example).macs)
    names = [one.name for one in made.layers]
    assert names.count("attention.out_proj") == (build is Crossing)


def test_what_transposed_convolutions_and_embeddings_give_counts_among_activations():
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.ConvTranspose2d(4, 6, 2, stride=2),
        nn.ConvTranspose2d(6, 4, 3, groups=2),
        nn.Conv2d(4, 2, 3, padding="same"),
    )
    made = Structure.of(network, find_groups(network, EXAMPLE), EXAMPLE)
    assert made.activations().total({}) == 4 * (4 * 16 + 6 * 64 + 4 * 100 + 2 * 100)
    assert made.activations().total({"0": 3, "1": 1}) == 4 * (3 * 16 + 3 * 64 + 2 * 100 + 2 * 100)
    embedding = nn.Sequential(nn.Embedding(9, 6), nn.Linear(6, 2))
    ids = torch.zeros(1, 5, dtype=torch.int64)
    made = Structure.of(embedding, find_groups(embedding, ids), ids)
    assert made.activations().total({"0": 2}) == 4 * (2 * 5 + 2 * 5)


def test_a_weight_that_is_computed_from_others_stays():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 6)), nn.ReLU(), nn.Linear(6, 5), nn.Linear(5, 2))
    example = torch.ones(1, 4)
    groups = find_groups(network, example)
    assert [one.name for one in groups.groups] == ["2"]
    assert groups.untouched["0"].startswith("its weight is computed from other numbers")
    assert Structure.of(network, groups, example).macs().total({"2": 1}) == 24 + 6 + 2


def test_a_layer_that_is_called_twice_takes_twice_its_time():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return self.layer(self.layer(rows))

    made = Structure.of(Twice(), Groups((), {}), torch.zeros(1, 3))
    assert [one.name for one in made.layers] == ["layer", "layer"]
    assert (made.macs().total({}), made.parameters().total({})) == (18, 12)


def test_the_channels_of_a_parametrized_layer_are_found():
    network = small()
    nn.utils.parametrizations.weight_norm(network[4])
    slots = (Slot("4.parametrizations.weight.original1", 0, ones(6)), Slot("6.weight", 1, ones(6, 9)))
    made = Structure.of(network, Groups((group("4", 6, *slots),), {}), EXAMPLE)
    assert made.layers[2].outputs.at({"4": 2}) == 2


def test_all_numbers_of_a_parametrization_are_counted():
    network = small()
    before = Structure.of(network, Groups((), {}), EXAMPLE).parameters().total({})
    nn.utils.parametrizations.weight_norm(network[4])
    assert Structure.of(network, Groups((), {}), EXAMPLE).parameters().total({}) == before + len(network[4].weight)


def test_layers_say_what_their_time_depends_on():
    first, depthwise, pointwise, linear = (one.shape for one in STRUCTURE.layers)
    assert (first.size, first.kernel, first.padding, first.groups) == ((6, 6), (3, 3), (1, 1), 1)
    assert (depthwise.stride, depthwise.groups, depthwise.inputs, depthwise.outputs) == ((2, 2), 0, 4, 4)
    assert (pointwise.size, pointwise.inputs, pointwise.outputs) == ((3, 3), 4, 6)
    assert (linear.operator, linear.size, linear.inputs) == ("Gemm", (), 54)
    assert [one.inputs.at({"0": 3, "4": 2}) for one in STRUCTURE.layers] == [1, 3, 3, 18]


@pytest.mark.parametrize(
    ("function", "arguments", "example"),
    [
        ("convnet", {"classes": 3, "widths": [4, 6], "hidden": [5], "side": 8}, torch.zeros(1, 1, 8, 8)),
        ("resnet", {"classes": 3, "widths": [4, 6], "blocks": 1}, torch.zeros(1, 1, 8, 8)),
        (
            "token_encoder",
            {"vocabulary": 9, "length": 5, "outputs": 2, "width": 8, "heads": 4, "blocks": 1},
            torch.ones(1, 2, 5, dtype=torch.int64),
        ),
    ],
    ids=["convnet", "resnet", "token_encoder"],
)
def test_a_pruned_network_costs_what_was_predicted(function: str, arguments: dict[str, object], example: torch.Tensor):
    network = Spec(f"attar.network.architectures:{function}", arguments).build()
    groups = find_groups(network, example)
    made = Structure.of(network, groups, example)
    removed = {one.name: list(range(0, one.units - 1, 2)) for one in groups.groups if one.units > 1}
    kept = {name: groups.named()[name].units - len(units) for name, units in removed.items()}
    slim = cost(prune(network, groups, removed).apply(network), example)
    assert made.macs().total(kept) == slim.macs < made.macs().total({})
    assert made.parameters().total(kept) == slim.parameters
