"""Signals in the loop that trains: micro-batches, what counts, maps, a crash, and several processes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.network.weights import read_tensors
from attar.pruning.group import Consumer, Group, Groups, Slot
from attar.pruning.importance.importance import Estimate
from attar.pruning.importance.named import IMPORTANCE
from attar.training.batch import Batch
from attar.training.callbacks import Callback, TrainState
from attar.training.checkpoint import load_state, save_state
from attar.training.fit import fit
from attar.training.losses.outputs import HardLabels, SoftTargets
from attar.training.objective import Objective, Term
from attar.training.settings import Training

UNITS = tuple((unit,) for unit in range(4))


class Rows:
    """A source of batches from tensors."""

    def __init__(self, inputs: Tensor, **parts: Tensor | None) -> None:
        self.inputs = inputs
        self.parts = {name: part for name, part in parts.items() if part is not None}

    def __len__(self) -> int:
        return len(self.inputs)

    def batch(self, rows: Tensor, epoch: int) -> Batch:
        return Batch(self.inputs[rows], ids=rows, **{name: part[rows] for name, part in self.parts.items()})


class Accumulate(Callback):
    """What a step that prunes does with a signal."""

    def __init__(self, name: str, groups: Groups) -> None:
        self.name, self.groups = name, groups
        self.estimate: Estimate | None = None
        self.state: dict = {}

    def on_start(self, state: TrainState) -> None:
        self.estimate = IMPORTANCE[self.name].start(state.model, self.groups)
        if self.state:
            self.estimate.load_state_dict(self.state)

    def before_step(self, state: TrainState) -> None:
        self.estimate.add(state.count)

    def state_dict(self) -> dict:
        return self.estimate.state_dict()

    def load_state_dict(self, state: dict) -> None:
        self.state = state


def trained(network: nn.Module, groups: Groups, data: Rows, objective: Objective, name: str, **settings) -> Tensor:
    """The scores of the first group after one epoch at a rate so small that the weights stay where they are."""
    rides = Accumulate(name, groups)
    settings = {"epochs": 1, "batch_size": len(data), "schedule": "constant", "learning_rate": 1e-12, **settings}
    fit(network, objective, data, settings=Training(**settings), callbacks=[rides])
    assert rides.estimate is not None
    return rides.estimate.per_group()[groups.groups[0].name]


def group(kind, tensors, consumer, axis) -> Groups:
    slots = tuple(Slot(tensor, where, UNITS) for tensor, where in tensors)
    return Groups((Group("0", kind, 4, slots, (Consumer(consumer, axis, UNITS),), ("0",)),), {})


def classifier() -> tuple[nn.Module, Groups]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    return network, group("units", [("0.weight", 0), ("0.bias", 0), ("2.weight", 1)], "2", -1)


def segmenter() -> tuple[nn.Module, Groups]:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(4, 3, 3, padding=1)
    ).double()
    return network, group("channels", [("0.weight", 0), ("0.bias", 0), ("2.weight", 1)], "2", 1)


def by_example(network: nn.Module, losses, inputs: Tensor) -> Tensor:
    """``[examples, units]`` derivatives of each example's loss with respect to masks, one example at a time."""
    rows = []
    for place, one in enumerate(inputs):
        hidden = network[1](network[0](one[None]))
        mask = torch.ones(4).double().requires_grad_()
        output = network[2](hidden * mask.reshape(-1, *[1] * (hidden.dim() - 2)))
        (found,) = torch.autograd.grad(losses(output, place).sum(), mask)
        rows.append(found)
    return torch.stack(rows)


HARD = Objective({"hard": Term(loss=HardLabels())})


@pytest.mark.parametrize("settings", [{}, {"micro_batch_size": 3}, {"batch_size": 4}, {"max_gradient_norm": 1e-3}])
def test_fit_gives_each_example_its_derivative(settings):
    network, groups = classifier()
    inputs, labels = torch.randn(10, 5).double(), torch.arange(10) % 3
    found = trained(network, groups, Rows(inputs, labels=labels), HARD, "group_fisher", **settings)
    each = by_example(
        network, lambda output, place: functional.cross_entropy(output, labels[place : place + 1]), inputs
    )
    torch.testing.assert_close(found, each.square().mean(0) / 2, rtol=1e-8, atol=0.0)


def test_the_loss_is_the_weighted_sum_of_the_terms_of_what_counts():
    """Some examples have no label, and some do not count."""
    network, groups = classifier()
    inputs, targets = torch.randn(10, 5).double(), torch.randn(10, 3).double()
    labels, mask = torch.arange(10) % 3, torch.arange(10) % 4 > 0
    labels[::3] = -1
    objective = Objective(
        {"hard": Term(loss=HardLabels(), weight=0.3), "soft": Term(loss=SoftTargets(temperature=2.0), weight=0.7)}
    )

    def losses(output: Tensor, place: int) -> Tensor:
        batch = Batch(inputs[place : place + 1], labels[place : place + 1], targets[place : place + 1])
        hard, soft = (term.loss(output, batch) for term in objective.at(0.0))
        return (0.3 * hard + 0.7 * soft) * mask[place]

    data = Rows(inputs, labels=labels, targets=targets, mask=mask)
    found = trained(network, groups, data, objective, "group_fisher", micro_batch_size=4)
    each = by_example(network, losses, inputs)
    assert mask.sum() == 7
    torch.testing.assert_close(found, each.square().sum(0) / (2 * 7), rtol=1e-8, atol=0.0)


@pytest.mark.parametrize(("name", "fold", "factor"), [("group_fisher", Tensor.square, 0.5), ("taylor", Tensor.abs, 1)])
def test_a_map_is_one_example(name, fold, factor):
    """Its derivative is that of all its positions; what is divided by is how many of these count."""
    network, groups = segmenter()
    images, labels = torch.randn(5, 1, 4, 4).double(), torch.randint(0, 3, (5, 4, 4))
    mask = torch.rand(5, 4, 4) < 0.6

    def losses(output: Tensor, place: int) -> Tensor:
        return functional.cross_entropy(output, labels[place : place + 1], reduction="none")[0][mask[place]]

    data = Rows(images, labels=labels, mask=mask)
    found = trained(network, groups, data, HARD, name, micro_batch_size=2)
    expected = fold(by_example(network, losses, images)).sum(0) * factor / mask.sum()
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=0.0)


@pytest.mark.parametrize("name", ["group_fisher", "weight_fisher", "taylor"])
def test_what_is_trained_is_the_same_with_a_signal(name):
    network, groups = classifier()
    data = Rows(torch.randn(8, 5).double(), labels=torch.arange(8) % 3)
    settings = Training(epochs=2, batch_size=4, learning_rate=0.1, ema_decay=0.5)
    plain = fit(network, HARD, data, settings=settings, validation=data)
    watched = fit(network, HARD, data, settings=settings, validation=data, callbacks=[Accumulate(name, groups)])
    assert watched.history == plain.history
    for key, value in plain.model.state_dict().items():
        assert torch.equal(watched.model.state_dict()[key], value), key


@pytest.mark.parametrize("name", [name for name in IMPORTANCE if name != "bn_scale"])
def test_a_training_that_was_killed_goes_on_with_what_it_had_seen(name, tmp_path):
    network, groups = classifier()
    data = Rows(torch.randn(12, 5).double(), labels=torch.arange(12) % 3)
    settings = Training(epochs=2, batch_size=4, learning_rate=0.1, checkpoint_seconds=0)

    @contextmanager
    def killed(title: str, total: int) -> Iterator[Callable[[int], None]]:
        calls = iter(range(5))

        def advance(steps: int) -> None:
            if next(calls, None) is None:
                raise KeyboardInterrupt

        yield advance

    whole, first, resumed = (Accumulate(name, groups) for _ in range(3))
    fit(network, HARD, data, settings=settings, callbacks=[whole])
    file = tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        fit(network, HARD, data, settings=settings, callbacks=[first], checkpoint_file=file, progress=killed)
    fit(network, HARD, data, settings=settings, callbacks=[resumed], checkpoint_file=file)
    assert torch.equal(resumed.estimate.per_group()["0"], whole.estimate.per_group()["0"])
    save_state(whole.state_dict(), file)
    resumed.estimate.load_state_dict(load_state(file))
    assert torch.equal(resumed.estimate.per_group()["0"], whole.estimate.per_group()["0"])


def scores_of_ten(**more) -> dict[str, Tensor]:
    """The scores of two epochs over ten examples, of which one does not count, in micro-batches."""
    network, groups = classifier()
    draw = torch.Generator().manual_seed(0)
    inputs, labels = torch.randn(10, 5, generator=draw, dtype=torch.float64), torch.arange(10) % 3
    data = Rows(inputs, labels=labels, mask=torch.arange(10) != 2)
    settings = Training(epochs=2, batch_size=7, micro_batch_size=2, learning_rate=0.1)
    found = {}
    for name in ("group_fisher", "weight_fisher", "taylor"):
        rides = Accumulate(name, groups)
        fit(network, HARD, data, settings=settings, callbacks=[rides], **more)
        found[name] = rides.estimate.per_group()["0"]
    return found


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_in_training import scores_of_ten
from attar.network.weights import write_tensors
from attar.training.fabric import make_fabric

fabric = make_fabric()
write_tensors(scores_of_ten(fabric=fabric), Path(sys.argv[1]) / f"{fabric.global_rank}.safetensors", {})
"""


@pytest.mark.slow
def test_two_processes_see_what_one_sees(tmp_path, request, in_ranks):
    script = tmp_path / "training.py"
    script.write_text(SCRIPT)
    in_ranks(script, str(tmp_path), str(request.path.parent))
    first, second = (read_tensors(tmp_path / f"{rank}.safetensors")[0] for rank in range(2))
    for name, value in scores_of_ten().items():
        torch.testing.assert_close(first[name], value, rtol=1e-8, atol=0.0)
        assert torch.equal(first[name], second[name])
