"""Labels that are a row or a map for each example: how they are given, and how they go through views and stores."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attar.data.datasets import from_arrays, load
from attar.data.split import Split
from attar.data.store import Targets, label, merge
from attar.data.transfer_set import Live, TransferSet
from attar.data.views import Views
from attar.errors import BadInput
from attar.ops.binary import binary_kl
from attar.tasks.dense import Dense
from attar.tasks.multilabel import MultiLabel
from attar.teachers.as_teacher import as_teacher
from attar.teachers.ensemble import Ensemble
from attar.teachers.teacher import NetworkTeacher

HEIGHT, WIDTH, CLASSES = 4, 5, 3


def numbers(seed: int, *shape: int) -> Tensor:
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rows_of(seed: int = 0, rows: int = 30) -> dict[str, np.ndarray]:
    x = numbers(seed, rows, 4).numpy()
    return {"x": x, "y": (x[:, :3] > 0).astype("int64")}


def maps_of(seed: int = 0, rows: int = 30) -> dict[str, np.ndarray]:
    x = numbers(seed, rows, 1, HEIGHT, WIDTH).numpy()
    return {"x": x, "y": np.digitize(x[:, 0], [-1, 1]).astype("int64")}


def test_a_matrix_of_labels_is_taken_where_the_task_says_so():
    given = rows_of()
    given["y"][0, 1] = -1
    data = from_arrays("rows", {**given, "task": "multilabel", "classes": ["a", "b", "c"]})
    assert data.task == MultiLabel(("a", "b", "c"))
    bools = from_arrays("rows", {**rows_of(), "task": "multilabel"})
    assert bools.task == MultiLabel(("label 0", "label 1", "label 2"))
    with pytest.raises(BadInput, match=r'y of rows must be .*task "multilabel" where any of several labels may hold'):
        from_arrays("rows", rows_of())


def test_maps_are_taken_as_they_are(tmp_path: Path):
    data = from_arrays("maps", maps_of())
    assert data.task == Dense(("0", "1", "2"), (HEIGHT, WIDTH))
    np.savez(tmp_path / "maps.npz", **maps_of(), classes=np.array(["low", "middle", "high"]))
    loaded = load(tmp_path / "maps.npz", task="dense")
    assert loaded.task == Dense(("low", "middle", "high"), (HEIGHT, WIDTH))
    assert loaded.train.labels is not None and data.train.labels is not None
    assert torch.equal(loaded.train.labels, data.train.labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "multilabel", "y": np.full((30, 3), 2)}, "y of it must be of 1, 0, or -1 where not known; got 2"),
        ({"task": "multilabel", "y": np.zeros(30)}, r"must be \[n, labels\], a column of 1 and 0 for each label"),
        ({"task": "multilabel", "y": np.full((30, 3), 0.5)}, "whole numbers: 1, 0, .*; got numbers with a fraction"),
        ({"task": "multilabel", "classes": ["a"]}, "classes of it must be 3 names, one for each column of y"),
        ({"task": "multilabel", "y": np.ones((30, 3), int)}, "'label 0', which holds for every example"),
        ({"task": "dense"}, r"y of it must be \[n, height, width\], maps of class numbers of one size"),
    ],
)
def test_other_arrays_are_refused(change: dict[str, object], message: str):
    with pytest.raises(BadInput, match=message):
        from_arrays("it", {**rows_of(), **change})


def test_labels_are_columns_of_a_table(tmp_path: Path):
    lines = ["size,red,round"] + [f"{row / 7},{row % 2},{row // 3 % 2}" for row in range(60)]
    (tmp_path / "fruit.csv").write_text("\n".join(lines))
    data = load(tmp_path / "fruit.csv", target=["red", "round"], task="multilabel")
    assert data.task == MultiLabel(("red", "round")) and len(data.train.inputs[0]) == 1
    assert data.train.labels is not None and set(data.train.labels.unique().tolist()) == {0, 1}


def test_maps_move_with_the_pixels():
    inputs = torch.arange(2.0 * HEIGHT * WIDTH).view(2, 1, HEIGHT, WIDTH) + 1
    views, ids = Views(count=4, flip=True, shift=1), torch.tensor([3, 9])
    for view in range(4):
        seen = views(inputs, ids, view)[:, 0].long()
        found = views.of_maps(inputs[:, 0].long(), ids, view)
        assert torch.equal(found, torch.where(seen == 0, -1, seen))


def test_a_batch_of_maps_counts_what_is_known():
    labels = torch.zeros(2, HEIGHT, WIDTH, dtype=torch.int64)
    labels[0, 0] = -1
    labels[1] = -1
    split = Split(torch.ones(2, 1, HEIGHT, WIDTH), labels, torch.arange(2), Dense(("a", "b"), (HEIGHT, WIDTH)))
    batch = TransferSet(split).batch(torch.arange(2), 0)
    # Of the second nothing is known: a teacher may say something of all of it.
    assert batch.mask is not None and batch.count() == (HEIGHT - 1) * WIDTH + HEIGHT * WIDTH
    moved = TransferSet(split, Views(shift=1)).batch(torch.arange(2), 0)
    assert moved.labels is not None and not torch.equal(moved.labels, labels)


class Fixed(nn.Module):
    """Gives numbers that depend on the input's first value alone."""

    def __init__(self, seed: int, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(numbers(seed, *shape))

    def forward(self, x: Tensor) -> Tensor:
        first = x.flatten(1)[:, :1].reshape(-1, *[1] * self.weight.dim())
        return self.weight * (1 + first.tanh())


def labelled(folder: Path, teacher: NetworkTeacher, split: Split) -> Targets:
    return label(teacher, split, folder, temperature=2.0, rows_per_shard=7)


def test_log_odds_come_back_as_they_were(tmp_path: Path):
    split = from_arrays("rows", {**rows_of(), "task": "multilabel"}).train
    network = Fixed(1, 3)
    teacher = NetworkTeacher(network, classes=3, output="log_odds")
    stored = labelled(tmp_path, teacher, split)
    rows = torch.arange(len(split))
    given = network(split.inputs).detach()
    torch.testing.assert_close(stored(None, rows, 0), given, rtol=1e-3, atol=1e-3)
    assert torch.equal(stored(None, rows, 0), Live(teacher)(split.floats(), rows, 0))
    assert (stored.kind, stored.dtype) == ("log_odds", "float16")
    assert torch.equal(Targets.open(tmp_path, split)(None, rows, 0), stored(None, rows, 0))
    fidelity = stored.fidelity(2.0)
    lost = binary_kl(stored(None, rows, 0).double(), given.double(), temperature=2.0)
    assert fidelity is not None and fidelity.kl_mean == pytest.approx(float(lost.mean()), rel=0.1, abs=1e-9)


def test_probabilities_of_labels_are_read_as_log_odds(tmp_path: Path):
    split = from_arrays("rows", {**rows_of(), "task": "multilabel"}).train
    sigmoids = NetworkTeacher(nn.Sequential(Fixed(1, 3), nn.Sigmoid()), classes=3, output="log_odds")
    hidden = as_teacher(lambda_(Fixed(1, 3)), classes=3, output="log_odds")
    plain = NetworkTeacher(Fixed(1, 3), classes=3, output="log_odds")
    for teacher in (sigmoids, hidden):
        torch.testing.assert_close(teacher.predict(split.inputs), plain.predict(split.inputs), rtol=1e-3, atol=1e-3)
    assert sigmoids.fingerprint() != plain.fingerprint()


def lambda_(network: nn.Module) -> nn.Module:
    """A network that ends in a sigmoid without saying so."""

    class Ends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Tensor) -> Tensor:
            return torch.sigmoid(self.network(x))

    return Ends()


def test_what_a_teacher_gives_must_be_what_the_task_means(tmp_path: Path):
    split = from_arrays("rows", {**rows_of(), "task": "multilabel"}).train
    teacher = NetworkTeacher(Fixed(1, 3), classes=3)
    message = "gives logits of classes, and the task is multilabel, whose outputs are log-odds of labels. .*'log_odds'"
    with pytest.raises(BadInput, match=message):
        label(teacher, split, tmp_path)
    with pytest.raises(BadInput, match=message):
        TransferSet(split, targets=Live(teacher))


def test_maps_come_back_centered_over_the_classes(tmp_path: Path):
    split = from_arrays("maps", maps_of()).train
    network = Fixed(1, CLASSES, HEIGHT, WIDTH)
    teacher = NetworkTeacher(network, example=split.floats(slice(0, 1)))
    assert teacher.classes == CLASSES and teacher.module is network
    stored = labelled(tmp_path, teacher, split)
    rows = torch.arange(len(split))
    given = network(split.inputs).detach()
    centered = given - given.mean(1, keepdim=True)
    torch.testing.assert_close(stored(None, rows, 0), centered, rtol=1e-3, atol=1e-2)
    assert torch.equal(stored(None, rows, 0), Live(teacher)(split.floats(), rows, 0))
    batch = TransferSet(split, targets=stored).batch(rows[:3], 0)
    assert isinstance(batch.targets, Tensor) and batch.targets.shape == (3, CLASSES, HEIGHT, WIDTH)


@pytest.mark.parametrize("setting", [{"top_k": 2}, {"dtype": "int8"}])
def test_what_is_for_one_class_of_each_example_is_refused(tmp_path: Path, setting: dict[str, object]):
    split = from_arrays("maps", maps_of()).train
    teacher = NetworkTeacher(Fixed(1, CLASSES, HEIGHT, WIDTH), example=split.floats(slice(0, 1)))
    with pytest.raises(BadInput, match=f"{next(iter(setting))} of label must be .* for maps"):
        label(teacher, split, tmp_path, **setting)  # type: ignore[arg-type]


def test_an_ensemble_averages_probabilities_of_what_it_is_of(tmp_path: Path):
    split = from_arrays("rows", {**rows_of(), "task": "multilabel"}).train
    members = [NetworkTeacher(Fixed(seed, 3), classes=3, output="log_odds") for seed in (1, 2)]
    both = Ensemble(members)
    expected = torch.stack([one.predict(split.inputs).sigmoid() for one in members]).mean(0)
    torch.testing.assert_close(both.predict(split.inputs).sigmoid(), expected)
    assert both.module is not None
    torch.testing.assert_close(both.module(split.inputs), both.predict(split.inputs))
    for number, one in enumerate(members):
        label(one, split, tmp_path / str(number))
    merged = merge([tmp_path / "0", tmp_path / "1"], tmp_path / "both")
    found = merged(None, torch.arange(len(split)), 0)
    assert isinstance(found, Tensor)
    torch.testing.assert_close(found.sigmoid(), expected, rtol=1e-2, atol=1e-3)

    maps = from_arrays("maps", maps_of()).train
    pair = Ensemble([NetworkTeacher(Fixed(s, CLASSES, HEIGHT, WIDTH), classes=CLASSES) for s in (1, 2)])
    expected = torch.stack([one.predict(maps.inputs).softmax(1) for one in pair.members]).mean(0)
    torch.testing.assert_close(pair.predict(maps.inputs).softmax(1), expected)
