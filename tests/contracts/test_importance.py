"""What every signal of what a unit is worth must hold to. A new signal is one new row."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.errors import BadInput
from attar.network.architectures import token_encoder
from attar.pruning.group import Consumer, Group, Groups, Kind, Slot
from attar.pruning.groups import find_groups
from attar.pruning.importance.importance import Importance
from attar.pruning.importance.named import IMPORTANCE


@dataclass(frozen=True)
class Row:
    """One signal.

    Attributes:
        name: By which recipes know it.
        data: Whether it is of what the network does on data.
        dead: Whether a unit that changes nothing is worth nothing.
        oracle: The score of a unit, from the derivatives ``[examples, units]`` with respect to its mask.
        seeded: Whether it depends on the seed.
    """

    name: str
    data: bool = True
    dead: bool = True
    oracle: Callable[[Tensor], Tensor] | None = None
    seeded: bool = False

    @property
    def signal(self) -> Importance:
        return IMPORTANCE[self.name]


ROWS = [
    Row("group_fisher", oracle=lambda derivatives: derivatives.square().mean(0) / 2),
    Row("weight_fisher"),
    Row("taylor", oracle=lambda derivatives: derivatives.abs().mean(0)),
    Row("magnitude_l1", data=False, dead=False),
    Row("magnitude_l2", data=False, dead=False),
    Row("bn_scale", data=False, dead=False),
    Row("random", data=False, dead=False, seeded=True),
]


# -- networks, and the groups of their units by hand -------------------------------------------------------------------


def each(count: int, positions: int = 1) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(range(unit * positions, (unit + 1) * positions)) for unit in range(count))


def of(name: str, kind: Kind, units: int, *, made: Any, read: Any, also: Any = ()) -> Group:
    """A group of ``(layer, tensors)`` that make or follow it, and ``(layer, axis of inputs, positions)`` that read."""
    follow = [Slot(f"{layer}.{one}", 0, each(units)) for layer, tensors in (*made, *also) for one in tensors]
    weights = [Slot(f"{layer}.weight", 1, each(units, positions)) for layer, _, positions in read]
    consumers = tuple(Consumer(layer, axis, each(units, positions)) for layer, axis, positions in read)
    return Group(name, kind, units, (*follow, *weights), consumers, tuple(layer for layer, _ in made))


NORM = ("weight", "bias", "running_mean", "running_var")


def flat() -> tuple[nn.Module, Groups]:
    """Two convolutions, the maps of the second flattened into a linear layer, and one before the answer."""
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1, bias=False),
        nn.BatchNorm2d(3),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 9, 5),
        nn.BatchNorm1d(5),
        nn.Tanh(),
        nn.Linear(5, 3),
    )
    groups = (
        of("0", "channels", 3, made=[("0", ("weight",))], also=[("1", NORM)], read=[("4", 1, 1)]),
        of("4", "channels", 4, made=[("4", ("weight", "bias"))], also=[("5", NORM)], read=[("8", -1, 9)]),
        of("8", "units", 5, made=[("8", ("weight", "bias"))], also=[("9", NORM)], read=[("11", -1, 1)]),
    )
    return network, Groups(groups, {})


class Block(nn.Module):
    """A stem, a residual block, and an answer: the stem's maps are those of the block's second convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stem_norm = nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.inner, self.inner_norm = nn.Conv2d(4, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3)
        self.outer, self.outer_norm = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.answer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu_(self.stem_norm(self.stem(x)))
        inner = torch.relu_(self.inner_norm(self.inner(x)))
        x = torch.relu_(x + self.outer_norm(self.outer(inner)))
        answer: Tensor = self.answer(x.mean((2, 3)))
        return answer


def residual() -> tuple[nn.Module, Groups]:
    made = [("stem", ("weight",)), ("outer", ("weight",))]
    norms = [("stem_norm", NORM), ("outer_norm", NORM)]
    groups = (
        of("stem", "channels", 4, made=made, also=norms, read=[("inner", 1, 1), ("answer", -1, 1)]),
        of("inner", "channels", 3, made=[("inner", ("weight",))], also=[("inner_norm", NORM)], read=[("outer", 1, 1)]),
    )
    return Block(), Groups(groups, {})


def depthwise() -> tuple[nn.Module, Groups]:
    """A convolution, one of each map by itself, and a pointwise one."""
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU6(),
        nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU6(),
        nn.Conv2d(4, 5, 1, bias=False),
        nn.BatchNorm2d(5),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, 3),
    )
    also = [("1", NORM), ("3", ("weight",)), ("4", NORM)]
    groups = (
        of("0", "channels", 4, made=[("0", ("weight",))], also=also, read=[("6", 1, 1)]),
        of("6", "channels", 5, made=[("6", ("weight",))], also=[("7", NORM)], read=[("10", -1, 1)]),
    )
    return network, Groups(groups, {})


NETWORKS = {"flat": flat, "residual": residual, "depthwise": depthwise}
EXAMPLES = 11


def built(name: str) -> tuple[nn.Module, Groups, Tensor, Tensor]:
    """A network in evaluation mode whose batch normalization has learned something, its groups, inputs, and labels."""
    torch.manual_seed(0)
    network, groups = NETWORKS[name]()
    network.double()
    for layer in network.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.3)
    inputs = torch.randn(EXAMPLES, 1, 6, 6).double()
    network.train()(inputs)
    return network.eval(), groups, inputs, torch.arange(EXAMPLES) % 3


def losses(network: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(network(inputs), labels, reduction="none")


def step(network: nn.Module, inputs: Tensor, labels: Tensor, sizes: list[int] | None = None) -> int:
    """The backward passes of a step, in micro-batches; by how many examples their losses were divided."""
    for some, its in zip(inputs.split(sizes or len(inputs)), labels.split(sizes or len(labels)), strict=True):
        (losses(network, some, its).sum() / len(inputs)).backward()
    return len(inputs)


def scores(row: Row, network: nn.Module, groups: Groups, *steps: Any) -> dict[str, Tensor]:
    """What a signal says after some steps ``(inputs, labels, sizes of micro-batches)``."""
    estimate = row.signal.start(network, groups, seed=3)
    for one in steps:
        estimate.add(step(network, *one))
    found = estimate.per_group()
    estimate.remove()
    return found


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, rtol=1e-9, atol=1e-13)


table = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
networks = pytest.mark.parametrize("name", NETWORKS)


def test_every_signal_has_a_row() -> None:
    assert [row.name for row in ROWS] == list(IMPORTANCE)


# -- the contract ------------------------------------------------------------------------------------------------------


@networks
@table
def test_one_finite_score_a_unit_none_below_zero(row: Row, name: str) -> None:
    network, groups, inputs, labels = built(name)
    found = scores(row, network, groups, (inputs, labels))
    assert list(found) == [group.name for group in groups.groups]
    for group in groups.groups:
        assert found[group.name].shape == (group.units,)
        assert found[group.name].dtype == torch.float64
        assert bool((found[group.name] >= 0).all())
        assert len(set(found[group.name].tolist())) == group.units, "units differ, and so do their scores"


@networks
@table
def test_order_and_micro_batches_do_not_matter(row: Row, name: str) -> None:
    network, groups, inputs, labels = built(name)
    expected = scores(row, network, groups, (inputs, labels))
    order = torch.randperm(EXAMPLES)
    assert_same(scores(row, network, groups, (inputs[order], labels[order])), expected)
    assert_same(scores(row, network, groups, (inputs, labels, [5, 1, 3, 2])), expected)


@networks
@table
def test_steps_add_up_to_one_of_all_their_examples(row: Row, name: str) -> None:
    network, groups, inputs, labels = built(name)
    parts = [(inputs[:4], labels[:4]), (inputs[4:], labels[4:], [3, 4])]
    assert_same(scores(row, network, groups, *parts), scores(row, network, groups, (inputs, labels)))


@networks
@table
def test_groups_do_not_mix(row: Row, name: str) -> None:
    network, groups, inputs, labels = built(name)
    together = scores(row, network, groups, (inputs, labels))
    for group in groups.groups:
        alone = scores(row, network, Groups((group,), {}), (inputs, labels))
        assert_same(alone, {group.name: together[group.name]})


@networks
@table
def test_the_network_and_its_gradients_stay_as_they_are(row: Row, name: str) -> None:
    network, groups, inputs, labels = built(name)
    network.train()
    other = copy.deepcopy(network)
    estimate = row.signal.start(network, groups)
    for one in (network, other):
        step(one, inputs, labels, [6, 5])
    estimate.add(EXAMPLES)
    estimate.remove()
    for (key, found), expected in zip(network.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(found, expected), key
    for (key, one), two in zip(network.named_parameters(), other.parameters(), strict=True):
        assert one.grad is not None and two.grad is not None
        assert torch.equal(one.grad, two.grad), key
    assert not any(layer._forward_pre_hooks or layer._forward_hooks for layer in network.modules())


@table
def test_a_copy_of_the_network_is_another_one(row: Row) -> None:
    network, groups, inputs, labels = built("residual")
    estimate = row.signal.start(network, groups, seed=3)
    estimate.add(step(network, inputs, labels))
    expected = estimate.per_group()
    other = copy.deepcopy(network)
    step(other, 2 * inputs, labels)
    assert_same(estimate.per_group(), expected)
    estimate.add(step(network, inputs, labels))
    assert_same(estimate.per_group(), expected)


@networks
@table
def test_the_same_again_and_by_the_seed(row: Row, name: str) -> None:
    network, groups, inputs, labels = built(name)
    found = scores(row, network, groups, (inputs, labels))
    assert_same(scores(row, network, groups, (inputs, labels)), found)
    estimate = row.signal.start(network, groups, seed=4)
    estimate.add(step(network, inputs, labels))
    first = groups.groups[0].name
    assert torch.equal(estimate.per_group()[first], found[first]) == (not row.seeded)


@table
def test_killed_and_gone_on_with(row: Row) -> None:
    network, groups, inputs, labels = built("residual")
    estimate = row.signal.start(network, groups, seed=3)
    estimate.add(step(network, inputs[:4], labels[:4]))
    state = copy.deepcopy(estimate.state_dict())
    estimate.add(step(network, inputs[4:], labels[4:]))
    estimate.remove()

    other = row.signal.start(network, groups, seed=3)
    other.load_state_dict(state)
    other.add(step(network, inputs[4:], labels[4:]))
    assert_same(other.per_group(), estimate.per_group())
    assert other.state_dict().keys() == state.keys()

    fewer = row.signal.start(network, Groups(groups.groups[:1], {}), seed=3)
    with pytest.raises(BadInput, match=r"groups of the state of \w+ must be \['stem'\]; got \['stem', 'inner'\]"):
        fewer.load_state_dict(state)


def silence(network: nn.Module, group: Group, unit: int) -> None:
    """Let what the consumers make of a unit be nothing."""
    layers = dict(network.named_modules())
    with torch.no_grad():
        for consumer in group.consumers:
            weight = layers[consumer.layer].weight
            assert isinstance(weight, Tensor)
            weight[:, list(consumer.positions[unit])] = 0.0


@networks
@pytest.mark.parametrize("row", [row for row in ROWS if row.dead], ids=lambda row: row.name)
def test_a_unit_that_changes_nothing_is_worth_nothing(row: Row, name: str) -> None:
    network, groups, inputs, labels = built(name)
    group = groups.groups[-1]
    silence(network, group, 1)
    found = scores(row, network, groups, (inputs, labels))[group.name]
    assert found[1] == 0
    assert bool((found[[0, 2]] > 0).all())


# -- the derivatives themselves ----------------------------------------------------------------------------------------


class Masked(nn.Module):
    """A network whose units have masks, one for each group, multiplied into the inputs of all consumers."""

    def __init__(self, network: nn.Module, groups: Groups) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        self.masks: dict[str, Tensor] = {}
        layers = dict(self.network.named_modules())
        for group in groups.groups:
            for consumer in group.consumers:
                layers[consumer.layer].register_forward_pre_hook(self._masks(group, consumer))

    def _masks(self, group: Group, consumer: Consumer) -> Any:
        def multiply(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
            values = inputs[0]
            factors = torch.stack(
                [self.masks[group.name][unit] for unit, its in enumerate(consumer.positions) for _ in its]
            )
            shape = [1] * values.dim()
            shape[consumer.axis] = -1
            return (values * factors.reshape(shape),)

        return multiply

    def forward(self, masks: dict[str, Tensor], inputs: Tensor) -> Tensor:
        self.masks = masks
        output: Tensor = self.network(inputs)
        return output


def derivatives(network: nn.Module, groups: Groups, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """``[examples, units]`` of each group, by forward mode of another implementation: one example at a time."""
    masked = Masked(network, groups)
    masks = {group.name: torch.ones(group.units).double() for group in groups.groups}

    def loss(masks: dict[str, Tensor], one: Tensor, label: Tensor) -> Tensor:
        return functional.cross_entropy(masked(masks, one[None]), label[None])

    found = [torch.func.jacrev(loss)(masks, one, label) for one, label in zip(inputs, labels, strict=True)]
    return {name: torch.stack([one[name] for one in found]) for name in masks}


@networks
@pytest.mark.parametrize("row", [row for row in ROWS if row.oracle], ids=lambda row: row.name)
def test_derivatives_are_those_of_masks_for_each_example(row: Row, name: str) -> None:
    network, groups, inputs, labels = built(name)
    assert row.oracle is not None
    expected = {key: row.oracle(one) for key, one in derivatives(network, groups, inputs, labels).items()}
    assert_same(scores(row, network, groups, (inputs, labels, [4, 7])), expected)


def test_heads_of_attention_and_hidden_units_as_they_are_found() -> None:
    torch.manual_seed(0)
    network = token_encoder(vocabulary=9, length=5, outputs=3, width=6, heads=2, blocks=1).double().eval()
    inputs = torch.stack([torch.randint(9, (7, 5)), (torch.rand(7, 5) < 0.8) | (torch.arange(5) == 0)], 1)
    labels = torch.arange(7) % 3
    groups = find_groups(network, inputs[:2])
    assert [(group.kind, group.units) for group in groups.groups] == [("heads", 2), ("units", 12)]
    found = scores(ROWS[0], network, groups, (inputs, labels, [3, 4]))
    expected = derivatives(network, groups, inputs, labels)
    assert_same(found, {name: one.square().mean(0) / 2 for name, one in expected.items()})


@networks
def test_weight_fisher_has_the_gradient_of_each_example(name: str) -> None:
    network, groups, inputs, labels = built(name)
    found = scores(ROWS[1], network, groups, (inputs, labels))
    squares = {key: torch.zeros_like(one) for key, one in network.named_parameters()}
    for one, label in zip(inputs, labels, strict=True):
        network.zero_grad()
        losses(network, one[None], label[None]).sum().backward()
        for key, parameter in network.named_parameters():
            assert parameter.grad is not None
            squares[key] += (parameter.detach() * parameter.grad).square()
    for group in groups.groups:
        for unit in range(group.units):
            parts = [
                squares[slot.tensor].index_select(slot.axis, torch.tensor(slot.positions[unit])).sum()
                for slot in group.slots
                if slot.tensor in squares
            ]
            torch.testing.assert_close(found[group.name][unit], sum(parts) / (2 * EXAMPLES))


def test_group_fisher_is_the_rise_of_the_loss_to_second_order() -> None:
    """Softmax regression on fixed units, with labels as often as the network itself expects them.

    Logits are linear in the masks, so the Fisher information is the second derivative of the mean loss, of which the
    first is zero: with a mask of 1 - e on a unit the loss rises by its score times e².
    """
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 4, bias=False), nn.Linear(4, 3, bias=False)).double()
    # Weights by which the probabilities of the three classes are eighths on both inputs; so often is a label listed.
    often = torch.tensor([[1, 2, 5], [4, 1, 3]])
    inputs = torch.eye(2).double()
    with torch.no_grad():
        units = network[0](inputs)
        network[1].weight.copy_(torch.linalg.lstsq(units, often.double().log()).solution.T)
    rows = torch.repeat_interleave(torch.arange(2), 8)
    labels = torch.cat([torch.repeat_interleave(torch.arange(3), one) for one in often])
    slots = (Slot("0.weight", 0, each(4)), Slot("1.weight", 1, each(4)))
    groups = Groups((Group("0", "units", 4, slots, (Consumer("1", -1, each(4)),), ("0",)),), {})
    found = scores(ROWS[0], network, groups, (inputs[rows], labels))["0"]
    masked, before = Masked(network, groups), losses(network, inputs[rows], labels).mean()
    small = 1e-3
    for unit in range(4):
        masks = torch.ones(4).double()
        masks[unit] -= small
        after = functional.cross_entropy(masked({"0": masks}, inputs[rows]), labels)
        rise = (after - before).item() / small**2
        assert rise == pytest.approx(float(found[unit]), rel=5e-3)
        assert rise > 1e-3


@networks
@pytest.mark.parametrize("row", [row for row in ROWS if row.oracle], ids=lambda row: row.name)
def test_layouts_and_coarse_numbers(row: Row, name: str) -> None:
    network, groups, inputs, labels = built(name)
    expected = scores(row, network, groups, (inputs, labels))
    network.to(memory_format=torch.channels_last)
    assert_same(scores(row, network, groups, (inputs.to(memory_format=torch.channels_last), labels)), expected)
    network.float()
    in_float32 = scores(row, network, groups, (inputs.float(), labels))
    for key, values in expected.items():
        torch.testing.assert_close(in_float32[key], values, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("row", [row for row in ROWS if row.data], ids=lambda row: row.name)
def test_layers_that_compute_in_16_bits(row: Row) -> None:
    network, groups, inputs, labels = built("flat")
    network, inputs = network.float(), inputs.float()
    expected = scores(row, network, groups, (inputs, labels))
    with torch.autocast("cpu", torch.bfloat16):
        found = scores(row, network, groups, (inputs, labels))
    for key, values in expected.items():
        torch.testing.assert_close(found[key], values, rtol=0.1, atol=1e-2 * values.max().item())


@pytest.mark.parametrize("row", [row for row in ROWS if row.data], ids=lambda row: row.name)
def test_batch_normalization_in_training_mode_is_another_network(row: Row) -> None:
    network, groups, inputs, labels = built("residual")
    frozen = scores(row, network, groups, (inputs, labels))
    network.train()
    trained = scores(row, network, groups, (inputs, labels))
    assert bool((trained["stem"] > 0).all())
    assert not torch.allclose(trained["stem"], frozen["stem"])
