"""The table of layers' times, with timers that compute instead of measuring."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attar.errors import CorruptFile
from attar.evidence.layer_times import LayerTimes
from attar.pruning.latency import LayerShape
from attar.records import to_text

SHAPE = LayerShape("Conv", (8, 8), (3, 3), (1, 1), (1, 1), (1, 1), 1, 512, 512)
SMALL = replace(SHAPE, inputs=32, outputs=32)
HERE = {"runtime": "none", "threads": 1, "batch": 1}


class Fake:
    """Counts what it is asked."""

    def __init__(self, time: Callable[[int, int], float]):
        self.time = time
        self.asked: list[tuple[int, int]] = []

    def __call__(self, shape: LayerShape, cells: Sequence[tuple[int, int]]) -> list[float]:
        assert len(set(cells)) == len(cells)
        self.asked += cells
        return [self.time(*cell) for cell in cells]


def product(inputs: int, outputs: int) -> float:
    return 5.0 + inputs * outputs


def stairs(inputs: int, outputs: int) -> float:
    """Eights of output channels, and three times as slow where the inputs are no multiple of four."""
    return (3.0 if inputs % 4 else 1.0) * (10 + inputs * -(-outputs // 8))


def bent(inputs: int, outputs: int) -> float:
    """Slower from 300 channels on, where a cache is full."""
    return (inputs + 4 * max(0, inputs - 300)) * (1.0 + outputs)


def ask(table: LayerTimes, shape: LayerShape, *cells: tuple[int, int]) -> list[float]:
    inputs, outputs = np.array(cells, np.int64).T
    return table(shape, inputs, outputs).tolist()


def test_a_small_layer_is_measured_once_where_it_is_asked_for():
    timer = Fake(stairs)
    table = LayerTimes(timer, HERE)
    cells = [(3, 7), (32, 32), (3, 7)]
    assert ask(table, SMALL, *cells) == [stairs(*cell) for cell in cells]
    assert ask(table, SMALL, (32, 32), (1, 1)) == [stairs(32, 32), stairs(1, 1)]
    assert timer.asked == [(3, 7), (32, 32), (1, 1)]
    assert table.measured == 3


@pytest.mark.parametrize("time", [product, stairs, bent], ids=["product", "stairs", "bent"])
def test_a_large_layer_is_known_from_few_measurements(time: Callable[[int, int], float]):
    timer = Fake(time)
    table = LayerTimes(timer, HERE)
    draw = np.random.default_rng(0)
    cells = [tuple(one) for one in draw.integers(1, 513, (400, 2)).tolist()]
    found = np.array(ask(table, SHAPE, *cells))
    right = np.array([time(*cell) for cell in cells])
    assert np.abs(found / right - 1).max() <= 0.05
    assert len(timer.asked) < 512 * 512 / 50


def test_the_counts_that_a_runtime_likes_are_found():
    timer = Fake(stairs)
    times = np.array(ask(LayerTimes(timer, HERE), SHAPE, *((512, count) for count in range(1, 513))))
    cheaper = [count for count in range(1, 512) if times[count - 1] < times[count:].min() * (1 - 1e-9)]
    assert cheaper == list(range(8, 512, 8))
    assert len(timer.asked) < 200


def test_a_depthwise_layer_has_one_count():
    timer = Fake(lambda inputs, outputs: 1.0 + inputs)
    table = LayerTimes(timer, HERE)
    shape = replace(SHAPE, groups=0, outputs=1024)
    assert ask(table, shape, (7, 14), (333, 666)) == pytest.approx([8.0, 334.0])
    assert all(outputs == 2 * inputs for inputs, outputs in timer.asked)


def test_groups_get_whole_channels():
    timer = Fake(product)
    assert ask(LayerTimes(timer, HERE), replace(SMALL, groups=4), (5, 9)) == [product(8, 12)]


def test_a_table_is_kept_for_other_runs_under_the_same_conditions(tmp_path: Path):
    first = LayerTimes(Fake(stairs), HERE, tmp_path)
    ask(first, SMALL, (3, 5))
    second = LayerTimes(Fake(stairs), HERE, tmp_path)
    ask(second, SMALL, (4, 4))
    ask(first, replace(SMALL, stride=(2, 2)), (4, 4))
    again = Fake(stairs)
    table = LayerTimes(again, HERE, tmp_path)
    assert ask(table, replace(SMALL, inputs=64), (3, 5), (4, 4)) == [stairs(3, 5), stairs(4, 4)]
    ask(table, replace(SMALL, stride=(2, 2)), (4, 4))
    assert again.asked == []
    other = Fake(stairs)
    ask(LayerTimes(other, {**HERE, "batch": 64}, tmp_path), SMALL, (3, 5))
    assert other.asked == [(3, 5)]
    assert len(list(tmp_path.iterdir())) == 2, "a file for each set of conditions"


def test_what_another_process_measured_meanwhile_is_believed(tmp_path: Path):
    first, second = (LayerTimes(Fake(time), HERE, tmp_path) for time in (stairs, product))
    assert ask(first, SMALL, (3, 5)) == [stairs(3, 5)]
    assert ask(second, SMALL, (3, 5), (4, 4)) == [stairs(3, 5), product(4, 4)]
    assert second.measured == 1
    assert ask(first, SMALL, (4, 4)) == [product(4, 4)]


def test_a_damaged_table_is_refused(tmp_path: Path):
    table = LayerTimes(Fake(stairs), HERE, tmp_path)
    ask(table, SMALL, (3, 5))
    (file,) = tmp_path.iterdir()
    file.write_text(file.read_text().replace("3, 5", "3, 6").replace("3,5", "3,6"))
    with pytest.raises(CorruptFile, match=r"is not what was written.*Remove it; it is measured again"):
        LayerTimes(Fake(stairs), HERE, tmp_path)


@pytest.mark.parametrize(
    "layers",
    [
        None,
        "text",
        [3],
        [{"layer": {}}],
        [{"layer": {}, "times": [[1, 2]]}],
        [{"layer": {}, "times": [[1, 2, 0.0]]}],
        [{"layer": {}, "times": [[1, 2, "nan"]]}],
        [{"layer": {}, "times": [["x", 2, 1.0]]}],
    ],
)
def test_a_record_of_something_else_is_refused(tmp_path: Path, layers: object):
    table = LayerTimes(Fake(stairs), HERE, tmp_path)
    ask(table, SMALL, (3, 5))
    (file,) = tmp_path.iterdir()
    file.write_text(to_text({"layers": layers}))
    with pytest.raises(CorruptFile, match=r"is no table of times of layers\. Remove it; it is measured again\."):
        LayerTimes(Fake(stairs), HERE, tmp_path)


def test_others_are_kept_away_only_while_something_is_measured():
    entered = 0

    @contextmanager
    def alone() -> Iterator[None]:
        nonlocal entered
        entered += 1
        yield

    table = LayerTimes(Fake(stairs), HERE, alone=alone)
    ask(table, SMALL, (3, 5), (4, 4))
    ask(table, SMALL, (3, 5))
    assert entered == 1
