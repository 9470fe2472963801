"""Metrics of maps: counts against their definition, and how much memory they take."""

import tracemalloc

import numpy as np
import pytest

from attar.tasks.dense import Dense
from attar.tasks.metrics import metric
from attar.tasks.metrics.dense import class_maps, image_ious, overlaps

CLASSES = 4


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    labels = draw.integers(-1, draw.integers(1, CLASSES + 1), (9, 3, 5))
    labels[2] = -1
    return draw.normal(size=(9, CLASSES, 3, 5)), labels


@pytest.fixture(params=[1, 2**22], ids=["one map at once", "all at once"])
def at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metric, "AT_ONCE", request.param)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("seed", range(5))
def test_counts_are_those_of_positions_one_by_one(seed: int):
    logits, labels = drawn(seed)
    found, named = overlaps(class_maps(logits), labels, CLASSES), logits.argmax(axis=1)
    known = labels != -1
    for one in range(CLASSES):
        mine, true = (named == one) & known, labels == one
        assert found.named[:, one].tolist() == mine.sum(axis=(1, 2)).tolist()
        assert found.true[:, one].tolist() == true.sum(axis=(1, 2)).tolist()
        assert found.both[:, one].tolist() == (mine & true).sum(axis=(1, 2)).tolist()
        union, both = (mine | true).sum(), (mine & true).sum()
        assert found.class_ious()[one] == pytest.approx(both / union if union else np.nan, nan_ok=True)


def test_a_map_is_counted_as_by_hand():
    named, labels = np.array([[[0, 0, 1, 2]]]), np.array([[[0, 1, 1, -1]]])
    found = overlaps(named, labels, 3)
    assert (found.named.tolist(), found.true.tolist()) == ([[2, 1, 0]], [[1, 2, 0]])
    assert found.both.tolist() == [[1, 1, 0]] and found.image_ious().tolist() == [0.5]
    assert found.class_ious().tolist() == pytest.approx([0.5, 0.5, np.nan], nan_ok=True)


def test_class_maps_take_a_byte_a_position_and_the_first_of_equals():
    named = class_maps(np.array([[[[1.0, 0.0]], [[1.0, 2.0]]]]))
    assert named.dtype == np.uint8 and named.tolist() == [[[0, 1]]]
    assert class_maps(np.zeros((1, 300, 1, 1))).dtype == np.uint16


def test_large_sets_take_little_beside_their_logits(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metric, "AT_ONCE", 2**16)
    classes, size = 21, (32, 32)
    task = Dense(tuple(map(str, range(classes))), size)
    labels = np.random.default_rng(0).integers(0, classes, (160, *size))
    labels[3] = -1  # a copy of all others would take as much as they do
    logits = np.random.default_rng(1).random((160, classes, *size), np.float32)
    tracemalloc.start()
    try:
        image_ious(logits, labels)
        task.scores(logits, labels)
        task.chance(logits, labels, "test", task.best_constant(labels))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert logits.nbytes > 13e6 and peak < 5e6
