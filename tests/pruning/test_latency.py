"""Predicted milliseconds, with times of layers that are computed instead of measured."""

import numpy as np
import pytest

from attar.pruning.cost import Axis, Product, Products
from attar.pruning.latency import Latency, Layer, LayerShape, NetworkTime

SHAPE = LayerShape("Conv", (4, 4), (3, 3), (1, 1), (1, 1), (1, 1), 1, 4, 6)
A, B = Axis(4, (("a", 4, 1.0),)), Axis(6, (("b", 6, 1.0),))
LAYERS = [Layer("0", SHAPE, Axis(1), A), Layer("1", SHAPE, A, B), Layer("2", SHAPE, B, Axis(3))]
ACTIVATIONS = Products([Product(2, (A,)), Product(1, (B,))])


def product(shape: LayerShape, inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """The product of the channels, of which there are some."""
    assert (inputs > 0).all() and (outputs > 0).all()
    return inputs * outputs * 1.0


def latency(measured: NetworkTime) -> Latency:
    return Latency(LAYERS, ACTIVATIONS, product, [({}, measured)])


def alone(a: int, b: int) -> int:
    return a + a * b + 3 * b


def test_latency_is_the_sum_of_layers_calibrated_by_the_whole():
    # Alone 46, so that a unit of the table is 2 of the network's; activations are 14.
    predicted = latency(NetworkTime(total=105.0, layers=92.0, others=10.0, unit_ms=0.5))
    assert predicted.total({}) == pytest.approx(0.5 * 105)
    kept = {"a": 2, "b": 3}
    assert predicted.total(kept) == pytest.approx(0.5 * (2 * alone(2, 3) + 10 * 7 / 14 + 3))
    curve = predicted.curve("a", [2, 4], {"b": 3})
    assert curve[0] - curve[1] == pytest.approx(predicted.total(kept) - predicted.total({"b": 3}))
    assert predicted.neighbors("a") == predicted.neighbors("b") == {"a", "b"}
    assert predicted.error(NetworkTime(50.0, 50.0, 0.0, 0.9), kept) == pytest.approx(predicted.total(kept) / 25 - 1)


def test_a_layer_without_channels_takes_no_time_and_is_not_asked_for():
    predicted = latency(NetworkTime(total=46.0, layers=46.0, others=0.0, unit_ms=1.0))
    assert predicted.total({"b": 0}) == pytest.approx(4)
    assert predicted.curve("b", [0, 1], {}) == pytest.approx(np.array([0.0, 7.0]))


def test_measurements_of_pruned_networks_correct_the_prediction():
    # In truth a layer takes 1.5 times what it takes alone, and a call 20; the first division blames the layers alone.
    def true(kept: dict[str, int], unit_ms: float) -> NetworkTime:
        total = 1.5 * alone(kept.get("a", 4), kept.get("b", 6)) + 20
        return NetworkTime(total, total, 0.0, unit_ms)

    predicted = latency(true({}, 2.0))
    small, between = {"a": 1, "b": 1}, {"a": 2, "b": 3}
    assert predicted.error(true({}, 2.0), {}) == pytest.approx(0)
    assert predicted.error(true(small, 2.0), small) < -0.6
    # The clock is another now, a millisecond is not.
    better = predicted.calibrated(true(small, 3.0), small)
    assert better.total(between) == pytest.approx(2 * true(between, 2.0).total, rel=0.05)
    for kept in ({}, small, between):
        assert abs(better.error(true(kept, 3.0), kept)) < 0.05
