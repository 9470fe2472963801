"""Signals on networks small enough for pencil and paper."""

import itertools

import pytest
import torch
from torch import nn

from attar.errors import BadInput, Diverged, NothingMatched
from attar.pruning.group import Consumer, Group, Groups, Slot
from attar.pruning.importance.group_fisher import GroupFisher
from attar.pruning.importance.named import IMPORTANCE
from attar.pruning.importance.weight_fisher import WeightFisher


def one_each(count: int) -> tuple[tuple[int, ...], ...]:
    return tuple((place,) for place in range(count))


def hidden_units(count: int) -> Groups:
    slots = (
        Slot("0.weight", 0, one_each(count)),
        Slot("0.bias", 0, one_each(count)),
        Slot("2.weight", 1, one_each(count)),
    )
    return Groups((Group("0", "units", count, slots, (Consumer("2", -1, one_each(count)),), ("0",)),), {})


def two_units() -> nn.Sequential:
    """One input, units relu(x) and relu(2x - 1), and their values times 3 and -1: y = 3 relu(x) - relu(2x - 1)."""
    network = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1, bias=False)).double()
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0], [2.0]]))
        network[0].bias.copy_(torch.tensor([0.0, -1.0]))
        network[2].weight.copy_(torch.tensor([[3.0, -1.0]]))
    return network


# Inputs 1 and 2; the loss is y itself, so that dy/dy = 1.
#   x = 1: units (1, 1), y = 3 - 1 = 2;  masks: dL/dm = (3, -1)
#   x = 2: units (2, 3), y = 6 - 3 = 3;  masks: dL/dm = (6, -3)
# Weights, as squared weight times squared gradient:
#   of unit 0: incoming  w = 1,  gradient 3x = 3, 6     -> 1 (9 + 36) = 45
#              bias      w = 0                          -> 0
#              outgoing  w = 3,  gradient = unit = 1, 2 -> 9 (1 + 4) = 45
#   of unit 1: incoming  w = 2,  gradient -x = -1, -2   -> 4 (1 + 4) = 20
#              bias      w = -1, gradient -1, -1        -> 1 (1 + 1) = 2
#              outgoing  w = -1, gradient = unit = 1, 3 -> 1 (1 + 9) = 10
BY_HAND = {
    "group_fisher": [(9 + 36) / 4, (1 + 9) / 4],
    "weight_fisher": [90 / 4, 32 / 4],
    "taylor": [(3 + 6) / 2, (1 + 3) / 2],
    "magnitude_l1": [1.0, 2.0],
    "magnitude_l2": [1.0, 2.0],
}


@pytest.mark.parametrize("name", BY_HAND)
def test_two_units(name):
    network = two_units()
    estimate = IMPORTANCE[name].start(network, hidden_units(2))
    (network(torch.tensor([[1.0], [2.0]]).double()).sum() / 2).backward()  # divided as the loop divides
    estimate.add(2)
    assert estimate.per_group()["0"].tolist() == pytest.approx(BY_HAND[name])


@pytest.mark.parametrize("name", ["group_fisher", "weight_fisher", "taylor"])
def test_what_a_layer_takes_by_name_is_what_it_takes(name):
    class ByName(nn.Sequential):
        def forward(self, x):
            return self[2](input=self[1](self[0](input=x)))

    network = ByName(*two_units())
    estimate = IMPORTANCE[name].start(network, hidden_units(2))
    (network(torch.tensor([[1.0], [2.0]]).double()).sum() / 2).backward()
    estimate.add(2)
    assert estimate.per_group()["0"].tolist() == pytest.approx(BY_HAND[name])


def test_single_weights_of_an_embedding_that_shortens_them_are_refused():
    network = nn.Sequential(nn.Embedding(5, 3, max_norm=1.0), nn.Linear(3, 1))
    slots = (Slot("0.weight", 1, one_each(3)), Slot("1.weight", 1, one_each(3)))
    groups = Groups((Group("0", "embedding", 3, slots, (Consumer("1", -1, one_each(3)),), ("0",)),), {})
    with pytest.raises(BadInput, match=r"gradient of each example for '0\.weight', as nothing is known of the gradien"):
        WeightFisher().start(network, groups)


def test_magnitude_is_the_length_of_the_incoming_weights():
    network = nn.Sequential(nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 1))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[3.0, -4.0]]))
    assert IMPORTANCE["magnitude_l1"].start(network, hidden_units(1)).per_group()["0"].item() == 7
    assert IMPORTANCE["magnitude_l2"].start(network, hidden_units(1)).per_group()["0"].item() == 5


def test_scales_of_batch_normalization_are_added_up():
    network = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([-2.0, 0.5]))
        network[1].weight.copy_(torch.tensor([1.0, 0.25]))
    slots = tuple(Slot(f"{place}.weight", 0, one_each(2)) for place in range(2))
    groups = Groups((Group("units", "units", 2, slots, (), ("elsewhere",)),), {})
    assert IMPORTANCE["bn_scale"].start(network, groups).per_group()["units"].tolist() == [3.0, 0.75]


def test_an_image_is_one_example_and_its_positions_are_what_counts():
    # A 1x1 convolution by 1, then one by 2: y = 2x at each of two positions, and the loss of a position is y.
    network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.Conv2d(1, 1, 1, bias=False)).double()
    with torch.no_grad():
        network[0].weight.fill_(1.0)
        network[1].weight.fill_(2.0)
    slots = (Slot("0.weight", 0, ((0,),)), Slot("1.weight", 1, ((0,),)))
    groups = Groups((Group("0", "channels", 1, slots, (Consumer("1", 1, ((0,),)),), ("0",)),), {})
    estimate = GroupFisher().start(network, groups)
    images = torch.tensor([[1.0, 3.0], [5.0, 0.0]]).double().reshape(2, 1, 1, 2)
    (network(images).sum() / 4).backward()  # two images of two positions
    estimate.add(4)
    # Derivatives of the images: 2 (1 + 3) = 8 and 2 (5 + 0) = 10; half of (64 + 100) / 4.
    assert estimate.per_group()["0"].item() == pytest.approx(164 / 8)


def test_an_input_that_needs_no_gradient_is_followed_all_the_same():
    network = two_units()
    network[0].requires_grad_(False)
    estimate = GroupFisher().start(network, hidden_units(2))
    (network(torch.tensor([[1.0], [2.0]]).double()).sum() / 2).backward()
    estimate.add(2)
    assert estimate.per_group()["0"].tolist() == pytest.approx(BY_HAND["group_fisher"])
    assert network[0].weight.grad is None


class Twice(nn.Module):
    """A layer that runs twice: y = u(u(x)) for one unit."""

    def __init__(self):
        super().__init__()
        self.before, self.twice = nn.Linear(1, 1), nn.Linear(1, 1)

    def forward(self, x):
        return self.twice(self.twice(self.before(x)))


def of_before() -> Groups:
    slots = (Slot("before.weight", 0, ((0,),)), Slot("twice.weight", 1, ((0,),)))
    return Groups((Group("before", "units", 1, slots, (Consumer("twice", -1, ((0,),)),), ("before",)),), {})


def test_a_layer_used_twice_is_followed_each_time():
    network = Twice().double()
    with torch.no_grad():
        for layer, weight in ((network.before, 1.0), (network.twice, 3.0)):
            layer.weight.fill_(weight)
            layer.bias.fill_(0.0)
    estimate = GroupFisher().start(network, of_before())
    network(torch.ones(1, 1).double()).sum().backward()
    estimate.add(1)
    # y = m 3 (m 3 x): the derivative with respect to m at 1 is 2 * 9.
    assert estimate.per_group()["before"].item() == pytest.approx(18**2 / 2)


def test_single_weights_of_a_layer_used_twice_are_refused():
    network = Twice()
    WeightFisher().start(network, of_before())
    with pytest.raises(BadInput, match=r"cannot judge the layer 'twice', which runs several times in a pass"):
        network(torch.ones(1, 1))


def test_passes_without_gradients_leave_no_trace():
    network = two_units()
    estimate = GroupFisher().start(network, hidden_units(2))
    with torch.no_grad():
        network(torch.ones(3, 1).double())
    with pytest.raises(BadInput, match="group_fisher saw no derivative in this step"):
        estimate.add(3)
    with pytest.raises(BadInput, match="group_fisher has seen no step"):
        estimate.per_group()


def test_a_step_in_which_nothing_counts_changes_nothing():
    network = two_units()
    estimate = GroupFisher().start(network, hidden_units(2))
    (network(torch.ones(1, 1).double()).sum()).backward()
    estimate.add(1)
    before = estimate.per_group()["0"]
    estimate.add(0)
    assert torch.equal(estimate.per_group()["0"], before)


class AroundTheLayer(nn.Module):
    """Uses the weights of a layer without calling it, as torch's attention does with its last one."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(1, 1), nn.Linear(1, 1), nn.Linear(1, 1)

    def forward(self, x):
        return self.third(nn.functional.linear(self.first(x), self.second.weight))


def chain(*layers: str) -> Groups:
    return Groups(
        tuple(
            Group(one, "units", 1, (Slot(f"{one}.weight", 0, ((0,),)),), (Consumer(after, -1, ((0,),)),), (one,))
            for one, after in itertools.pairwise(layers)
        ),
        {},
    )


def test_a_layer_that_is_never_called_is_named():
    network = AroundTheLayer()
    estimate = GroupFisher().start(network, chain("first", "second", "third"))
    network(torch.ones(1, 1)).sum().backward()
    estimate.add(1)
    with pytest.raises(BadInput, match="cannot judge what the layer 'second' computes from, as it was never called"):
        estimate.per_group()


class Folded(nn.Module):
    """Folds the positions of an example into rows of their own."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(1, 1), nn.Linear(1, 1)

    def forward(self, x):
        return self.second(self.first(x).flatten(0, 1))


@pytest.mark.parametrize("name", ["group_fisher", "taylor", "weight_fisher"])
def test_rows_that_are_no_examples_are_refused(name):
    network = Folded()
    groups = chain("first", "second")
    slots = (*groups.groups[0].slots, Slot("second.weight", 1, ((0,),)))
    group = Group("first", "units", 1, slots, groups.groups[0].consumers, ("first",))
    IMPORTANCE[name].start(network, Groups((group,), {}))
    with pytest.raises(BadInput, match=r"layer 'second' of \w+ must be \[4, ...\], one row an example; got \(12, 1\)"):
        network(torch.ones(4, 3, 1))


class Overwrites(nn.Module):
    """Changes what a frozen layer has read."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(1, 1), nn.Linear(1, 1).requires_grad_(False)

    def forward(self, x):
        hidden = self.first(x)
        answer = self.second(hidden)
        hidden += 1
        return answer + hidden


def test_an_input_changed_in_place_is_refused():
    network = Overwrites()
    GroupFisher().start(network, chain("first", "second"))
    with pytest.raises(BadInput, match="the input of the layer 'second' was changed in place"):
        network(torch.ones(2, 1)).sum().backward()


@pytest.mark.parametrize(
    ("name", "groups", "message"),
    [
        ("group_fisher", Groups((), {}), "groups of group_fisher must not be empty"),
        ("random", Groups((), {}), "groups of random must not be empty"),
        (
            "group_fisher",
            chain("0", "3"),
            "consumer of group_fisher must be the name of a layer of Sequential; got '3'",
        ),
        ("taylor", Groups((Group("0", "units", 2, (), (), ("0",)),), {}), "taylor of group '0' needs a layer that"),
        ("bn_scale", hidden_units(2), "bn_scale of group '0' needs batch normalization with a scale"),
        (
            "magnitude_l1",
            Groups((Group("0", "units", 2, (), (), ("0",)),), {}),
            "Magnitude of group '0' needs plain weights",
        ),
        ("weight_fisher", chain("5", "2"), "cannot have the gradient of each example for '5.weight'"),
    ],
)
def test_what_cannot_be_judged_is_said_at_the_start(name, groups, message):
    network = two_units()
    with pytest.raises(BadInput, match=message) as raised:
        IMPORTANCE[name].start(network, groups)
    assert isinstance(raised.value, NothingMatched) == (not groups.groups)
    assert not any(layer._forward_pre_hooks or layer._forward_hooks for layer in network.modules())


def test_attention_as_a_consumer_is_refused():
    network = nn.Sequential(nn.Linear(2, 2), nn.MultiheadAttention(2, 1))
    group = Group("0", "units", 2, (), (Consumer("1", -1, one_each(2)),), ("0",))
    with pytest.raises(BadInput, match="group_fisher cannot follow the inputs of the layer '1', which takes several"):
        GroupFisher().start(network, Groups((group,), {}))


def test_tied_weights_are_refused_one_by_one():
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    network[2].weight = network[0].weight
    with pytest.raises(BadInput, match="shared by several layers"):
        WeightFisher().start(network, hidden_units(2))


def test_a_gradient_that_is_not_finite_is_named():
    network = two_units()
    estimate = GroupFisher().start(network, hidden_units(2))
    (network(torch.ones(1, 1).double()).sum() * float("inf")).backward()
    estimate.add(1)
    with pytest.raises(Diverged, match="group_fisher of group '0' became NaN or infinite"):
        estimate.per_group()
