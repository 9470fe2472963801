"""Default students: for every kind of data a network that takes it, in three sizes, with a training that suits."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from attar.data.arrays import from_arrays
from attar.data.split import Dataset
from attar.data.transfer_set import TransferSet
from attar.data.views import Views
from attar.errors import BadInput
from attar.models.fresh import fresh
from attar.network.cost import cost
from attar.network.forward import forward
from attar.pipeline.data_arguments import data_arguments
from attar.pipeline.objective import against_labels, known_labels
from attar.search.default_training import default_training, default_views
from attar.search.kinds import DataKind, kind_of
from attar.search.students import SIZES, DefaultStudent, StudentSize, default_student
from attar.tasks.target import has_units
from attar.training.fit import fit

ROWS = 24


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ROWS, *shape)).astype("float32")


def classes(count: int = 3) -> np.ndarray:
    return np.arange(ROWS) % count


def images(channels: int, height: int, width: int) -> Callable[[], Dataset]:
    return lambda: from_arrays("images", {"x": drawn(channels, height, width), "y": classes()})


def pixels() -> Dataset:
    return from_arrays("pixels", {"x": (drawn(12, 12) > 0).astype("uint8") * 200, "y": classes()})


def table() -> Dataset:
    columns = {"x": drawn(2).astype("float64"), "columns": ["width", "height"], "y": classes(2)}
    return from_arrays("table", columns)


def tokens() -> Dataset:
    ids = np.random.default_rng(0).integers(0, 9, (ROWS, 5))
    return from_arrays("tokens", {"ids": ids, "mask": np.ones_like(ids), "y": classes(2), "vocabulary": 9})


def maps() -> Dataset:
    y = (drawn(9, 7) > 0).astype("int64")
    return from_arrays("maps", {"x": drawn(2, 9, 7), "y": y, "task": "dense"})


def gaze() -> Dataset:
    return from_arrays("gaze", {"x": drawn(3, 8, 12), "y": (drawn(8, 12) > 1).astype("int64"), "task": "gaze"})


def several_labels() -> Dataset:
    y = np.stack([classes(2), (np.arange(ROWS) % 3 > 0).astype(int)], axis=1)
    return from_arrays("labels", {"x": drawn(5), "y": y, "task": "multilabel"})


def values_of_images() -> Dataset:
    return from_arrays("slant", {"x": drawn(1, 8, 8), "y": drawn(2), "task": "regression"})


DATA: Mapping[str, tuple[Callable[[], Dataset], DataKind, str]] = {
    "rows": (lambda: from_arrays("rows", {"x": drawn(4), "y": classes()}), "vectors", "mlp"),
    "rows of series": (lambda: from_arrays("series", {"x": drawn(2, 10), "y": classes()}), "vectors", "mlp"),
    "a thin image": (images(1, 2, 30), "vectors", "mlp"),
    "several labels": (several_labels, "vectors", "mlp"),
    "values of rows": (
        lambda: from_arrays("values", {"x": drawn(4), "y": drawn(1), "task": "regression"}), "vectors", "mlp"
    ),
    "table": (table, "table", "tabular"),
    "images of 8": (images(1, 8, 8), "images", "convnet"),
    "pixels": (pixels, "images", "convnet"),
    "images of 4 in color": (images(3, 4, 5), "images", "convnet"),
    "images of 20": (images(1, 20, 20), "images", "convnet"),
    "images of 96 in color": (images(3, 96, 64), "images", "convnet"),
    "values of images": (values_of_images, "images", "convnet"),
    "tokens": (tokens, "tokens", "token"),
    "maps": (maps, "maps", "segmenter"),
    "gaze": (gaze, "gaze", "gaze_network"),
}  # fmt: skip
every_kind = pytest.mark.parametrize("name", DATA)


def complete(student: DefaultStudent, dataset: Dataset) -> DefaultStudent:
    spec, more = student.spec, data_arguments(student.spec.reference, dataset)
    return replace(student, spec=replace(spec, arguments={**more, **spec.arguments}))


@every_kind
def test_there_is_one_for_every_kind_of_data_which_trains(name: str) -> None:
    make, kind, family = DATA[name]
    dataset = make()
    assert kind_of(dataset) == kind
    task, example = dataset.task, dataset.train.floats(slice(0, 2))
    parameters = []
    for size in SIZES:
        student = complete(default_student(size, dataset), dataset)
        assert student.spec.reference.startswith(f"attar.network.architectures:{family}")
        assert str(student).startswith(f"{size}, the default for ")
        model = fresh(student.spec, 0, known_labels(dataset) if has_units(task.target) else None)
        assert forward(model.module.eval(), example).shape == (2, *task.shape)
        parameters.append(cost(model.module, example[:1]).parameters)
    assert all(one < after for one, after in itertools.pairwise(parameters)), parameters
    small = complete(default_student("tiny", dataset, given={"epochs": 1}), dataset)
    model = fresh(small.spec, 0, known_labels(dataset) if has_units(task.target) else None)
    fitted = fit(model.module, against_labels(task), TransferSet(dataset.train, small.views), settings=small.training)
    assert all(one.isfinite().all() for one in fitted.model.state_dict().values())


@pytest.mark.parametrize(("size", "hidden"), [("tiny", [32]), ("small", [64, 64]), ("medium", [256, 256])])
def test_a_perceptron_is_as_wide_as_its_size(size: StudentSize, hidden: list[int]) -> None:
    assert default_student(size, DATA["rows"][0]()).spec.arguments["hidden"] == hidden
    assert default_student(size, table()).spec.arguments == {"hidden": hidden}  # what the columns are, the data say


def test_an_image_is_averaged_for_a_class_and_flattened_for_a_number() -> None:
    assert "side" not in default_student("small", DATA["images of 8"][0]()).spec.arguments
    assert default_student("small", values_of_images()).spec.arguments["side"] == 8


def test_numbers_are_standardized_and_pixels_are_not() -> None:
    x = drawn(3) * np.float32([1, 1000, 0]) + np.float32([0, -5000, 7])
    dataset = from_arrays("rows", {"x": x, "y": classes()})
    spec = default_student("small", dataset).spec
    seen = dataset.train.floats().double()
    np.testing.assert_allclose(spec.mean, seen.mean(0), rtol=1e-3)
    np.testing.assert_allclose(spec.std[:2], seen.std(0, correction=0)[:2], rtol=1e-3)
    assert spec.std[2] == 1  # of what does not vary
    for name in ("pixels", "images of 8", "table", "tokens"):
        assert default_student("small", DATA[name][0]()).spec.mean is None
    far = from_arrays("heat", {"x": 300 + drawn(1, 8, 8), "y": classes()})
    assert default_student("small", far).spec.mean == pytest.approx([300], abs=0.5)


@pytest.mark.parametrize("kind", ["table", "vectors", "images", "tokens", "maps", "gaze"])
def test_few_examples_get_many_epochs_and_many_examples_few(kind: DataKind) -> None:
    counts = [10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000]
    trainings = [default_training(kind, count) for count in counts]
    assert all(one.epochs >= after.epochs for one, after in itertools.pairwise(trainings))
    assert all(one.batch_size <= after.batch_size for one, after in itertools.pairwise(trainings))
    assert all(one.learning_rate <= after.learning_rate for one, after in itertools.pairwise(trainings))
    assert all(one.weight_decay >= after.weight_decay for one, after in itertools.pairwise(trainings))
    assert trainings[0].epochs >= 40 and trainings[-1].epochs == 5


def test_what_is_given_stays_and_the_rest_goes_with_it() -> None:
    usual = default_training("images", 1000)
    given = default_training("images", 1000, {"optimizer": "adam", "batch_size": 500})
    assert given.optimizer == "adam" and given.learning_rate < usual.learning_rate / 5 and given.weight_decay == 0
    assert given.epochs == usual.epochs  # as many as there may be
    same = default_training("images", 1000, {"optimizer": usual.optimizer, "learning_rate": 1})
    assert same == replace(usual, learning_rate=1.0)
    assert default_training("images", 1000, {"warmup_epochs": 1.0}).schedule == "cosine"  # the usual one has its own
    assert default_training("tokens", 50_000, {"batch_size": 32}).epochs < default_training("tokens", 50_000).epochs
    with pytest.raises(BadInput, match="warmup_epochs of Training must be less than epochs"):
        default_training("images", 1000, {"warmup_epochs": 1000.0})


def test_images_are_moved_where_that_leaves_labels_what_they_are_and_never_mirrored() -> None:
    def views(name: str, examples: int = 1000, epochs: int = 60) -> Views:
        return default_views(DATA[name][1], DATA[name][0](), examples, epochs)

    assert views("images of 8") == Views(count=16, shift=1)
    assert views("images of 20") == Views(count=16, shift=2)
    assert views("images of 96 in color").shift == 4
    assert views("maps") == Views(count=16, shift=1)
    assert views("images of 8", epochs=3).count == 3
    assert views("images of 8", examples=100_000).count == 3
    assert views("images of 8", examples=200_000) == Views()
    assert {views(name) for name in ("rows", "table", "tokens", "values of images", "gaze")} == {Views()}


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (
            {"x": drawn(28, 28, 3), "y": classes()},
            r"inputs of shape \[28, 28, 3\], whose last axis looks like channels",
        ),
        ({"x": drawn(1, 4, 4, 4), "y": classes()}, r"inputs of shape \[1, 4, 4, 4\]"),
        (
            {"x": drawn(8), "y": (drawn(2, 4) > 0).astype(int), "task": "dense"},
            r"maps of shape \[2, 2, 4\] of inputs of shape \[8\]",
        ),
        ({"x": drawn(6), "y": (drawn(2, 3) > 0).astype(int), "task": "gaze"}, r"gaze at inputs of shape \[6\]"),
    ],
)
def test_data_without_a_default_are_told_what_to_give(arrays: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=rf"There is no default student for {said}\. Give student\.network = "):
        default_student("small", from_arrays("mine", arrays))
