"""Ensemble selection."""

from __future__ import annotations

import math
import tracemalloc
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.errors import BadInput
from attar.teachers.selection import average, select
from attar.teachers.selection_metrics import METRICS

LOWER = ("log_loss", "rmse", "brier")


class TestHandWorked:
    """Each value is worked out in the comment beside it."""

    def test_two_that_err_in_opposite_ways(self):
        # Errors of the first two: (0, .6) and (.6, 0), mean square .18 each; together (.3, .3), mean square .09. The
        # third has errors (.4, .4), mean square .16, and is best alone.
        said = [[1.0, 0.4], [0.4, 1.0], [0.6, 0.6]]
        selection = select(said, [1, 1], metric="brier", bags=0, sorted_init=0, max_steps=4)
        # Step 1: model 2 (.16). Step 2: with 0 the errors are (.2, .5), .145; with 1 the same: the first wins.
        # Step 3: 2, 0 and 1 give errors (1/3, 1/3), 1/9. Step 4: 2, 0, 1 and again 0: (.25, .4), .11125; the same
        # with 1; with 2: (.35, .35), .1225. The best is step 3.
        assert selection.by_bag[0].models == (2, 0, 1)
        assert selection.curve == pytest.approx([0.16, 0.145, 1 / 9, 0.11125])
        assert selection.score == pytest.approx(1 / 9)
        np.testing.assert_allclose(selection.weights, [1 / 3, 1 / 3, 1 / 3])
        assert selection.best == 2 and selection.single == pytest.approx(0.16)

    def test_sorted_start_gets_out_of_that(self):
        # Sorted: 2 (.16), 0 (.18), 1 (.18). Of the first 1, 2 and 3 the means score .16, .145 and 1/9: three it is.
        said = [[1.0, 0.4], [0.4, 1.0], [0.6, 0.6]]
        selection = select(said, [1, 1], metric="brier", bags=0, max_steps=2)
        # Then as above: 0 (.11125), and 1: the errors of 2, 0, 1, 0, 1 are (.32, .32), .1024.
        assert selection.by_bag[0].start == 3
        assert selection.by_bag[0].models == (2, 0, 1, 0, 1)
        assert selection.curve == pytest.approx([1 / 9, 0.11125, 0.1024])
        np.testing.assert_allclose(selection.weights, [0.4, 0.4, 0.2])

    def test_log_loss(self):
        # Log losses alone: -(ln .9 + ln .4) / 2 = .5108 each; together -ln .65 = .4308. The third never helps: ln .5.
        said = np.array([[0.9, 0.4], [0.4, 0.9], [0.5, 0.5]])
        selection = select(said, [1, 1], bags=0, max_steps=3)
        assert selection.score == pytest.approx(-math.log(0.65))
        np.testing.assert_allclose(selection.weights, [0.5, 0.5, 0])
        assert selection.single == pytest.approx(-(math.log(0.9) + math.log(0.4)) / 2)

    def test_model_is_chosen_again(self):
        # Errors of .1 and -.5: the best share s of the first has .1 s - .5 (1 - s) = 0, s = 5/6.
        said = [[0.1], [-0.5]]
        selection = select(said, [0.0], metric="rmse", bags=0, sorted_init=0, max_steps=10)
        np.testing.assert_allclose(selection.weights, [5 / 6, 1 / 6])
        assert selection.score == pytest.approx(0, abs=1e-12)
        assert len(selection.by_bag[0].models) == 6, "the first of the best steps"

    def test_three_classes(self):
        # Brier: the mean over classes too. Right everywhere with .5, .25, .25: (.25 + .0625 + .0625) / 3 = .125.
        said = np.array([[[0.5, 0.25, 0.25]] * 2, [[0.25, 0.5, 0.25]] * 2])
        assert select(said, [0, 0], metric="brier", bags=0).score == pytest.approx(0.125)
        assert select(said, [1, 1], metric="accuracy", bags=0).weights.tolist() == [0, 1]

    def test_values(self):
        # Means of 0 and 4, of which 1 is wanted: three of the first, one of the second.
        said = np.array([np.zeros((5, 2)), np.full((5, 2), 4.0)])
        selection = select(said, np.ones((5, 2)), metric="rmse", bags=0, max_steps=8)
        np.testing.assert_allclose(selection.weights, [0.75, 0.25])

    def test_area_under_the_curve(self):
        # Scores .1 .4 | .35 .8: of four pairs three are in order. The second model orders all of them.
        said = [[0.1, 0.4, 0.35, 0.8], [0.1, 0.2, 0.3, 0.4]]
        selection = select(said, [0, 0, 1, 1], metric="auc", bags=0)
        assert selection.score == 1 and selection.weights.tolist() == [0, 1]
        assert METRICS["auc"](np.array(said[0]), np.array([0, 0, 1, 1])) == 0.75

    def test_everything_printed(self):
        said = np.array([[0.9, 0.4], [0.4, 0.9], [0.5, 0.5]])
        selection = select(said, [1, 1], bags=0, names=["a", "b", "c"])
        assert selection.chosen == {"a": 0.5, "b": 0.5}
        assert str(selection) == "2 of 3 models: log_loss 0.4308, against 0.5108 of the best single one, 'a'"


def loss_of(metric, predictions, labels):
    """The loss of one set of predictions, from scratch and one row at a time."""
    rows = [np.atleast_1d(row) for row in np.asarray(predictions, float)]
    full = [np.array([1 - row[0], row[0]]) if len(row) == 1 else row for row in rows]
    if metric == "log_loss":
        return sum(-math.log(max(row[label], 1e-7)) for row, label in zip(full, labels, strict=True)) / len(rows)
    if metric in ("brier", "rmse"):
        return sum(
            sum((chance - (place == label)) ** 2 for place, chance in enumerate(row)) / len(row)
            for row, label in zip(full, labels, strict=True)
        ) / len(rows)
    if metric == "accuracy":
        return sum(int(row.argmax()) != label for row, label in zip(full, labels, strict=True)) / len(rows)
    pairs = [
        (a[1], b[1]) for a, x in zip(full, labels, strict=True) for b, y in zip(full, labels, strict=True) if x < y
    ]
    return 1 - sum(1.0 if b > a else 0.5 if b == a else 0.0 for a, b in pairs) / len(pairs)


def first_best(losses):
    lowest = min(losses)
    return next(place for place, loss in enumerate(losses) if loss <= lowest + 1e-12 * max(1, abs(lowest)))


def brute_force(said, labels, metric, models, start, steps):
    """Ensemble selection as the paper tells it: every candidate of every step averaged and scored anew."""

    def loss(chosen):
        return loss_of(metric, np.mean([said[model] for model in chosen], axis=0), labels)

    chosen, curve = [], []
    if start:
        alone = {model: loss([model]) for model in models}
        ranking = sorted(models, key=lambda model: round(alone[model] / 1e-12))
        head = ranking[: 25 if start == "best" else start]
        together = [loss(head[: count + 1]) for count in range(len(head))]
        count = first_best(together) + 1 if start == "best" else len(head)
        chosen, curve = head[:count], [together[count - 1]]
    first = len(chosen)
    for _ in range(steps):
        tried = [loss([*chosen, model]) for model in models]
        chosen.append(models[first_best(tried)])
        curve.append(min(tried))
    best = first_best(curve)
    return tuple(chosen[: first + best if first else best + 1]), first, curve


@st.composite
def libraries(draw, metric):
    """Few models that say eighths: sums are exact, and equal ensembles are equal to the last bit."""
    models, rows = draw(st.integers(1, 5)), draw(st.integers(2, 6))
    classes = 2 if metric == "auc" else draw(st.integers(2, 3))
    flat = classes == 2 and draw(st.booleans())
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=rows, max_size=rows))
    if metric == "auc":
        labels[:2] = [0, 1]
    cuts = st.lists(st.integers(0, 8), min_size=classes - 1, max_size=classes - 1).map(sorted)
    drawn = draw(st.lists(cuts, min_size=models * rows, max_size=models * rows))
    said = np.array([np.diff([0, *cut, 8]) / 8 for cut in drawn]).reshape(models, rows, classes)
    return (said[:, :, 1] if flat else said), np.array(labels)


@pytest.mark.parametrize("start", [0, 2, "best"])
@pytest.mark.parametrize("metric", [*METRICS, "own"])
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_against_brute_force(metric, start, data):
    said, labels = data.draw(libraries("accuracy" if metric == "own" else metric))
    known = "brier" if metric == "own" else metric

    def own(predictions, labels):
        return -loss_of("brier", predictions, labels)

    found = select(
        said, labels, metric=own if metric == "own" else metric, sorted_init=start, max_steps=5, bags=0
    ).by_bag[0]
    models, first, curve = brute_force(said, labels, known, list(range(len(said))), start, 5)
    assert found.models == models
    assert found.start == first
    shown = {"rmse": math.sqrt, "accuracy": lambda loss: 1 - loss, "auc": lambda loss: 1 - loss}.get(metric, float)
    expected = [-loss if metric == "own" else shown(loss) for loss in curve]
    assert found.curve == pytest.approx(expected, abs=1e-6 if metric == "rmse" else 1e-9)


@pytest.mark.parametrize("metric", METRICS)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_bags_are_selections_from_parts(metric, data):
    said, labels = data.draw(libraries(metric))
    seed = data.draw(st.integers(0, 5))
    selection = select(said, labels, metric=metric, max_steps=3, bags=3, bag_fraction=0.6, seed=seed)
    kept = max(1, round(0.6 * len(said)))
    weights = np.zeros(len(said))
    for bag, found in enumerate(selection.by_bag):
        part = sorted(np.random.default_rng([seed, bag]).choice(len(said), kept, replace=False).tolist())
        models, _, _ = brute_force(said, labels, metric, part, "best", 3)
        assert found.models == models
        weights += np.bincount(models, minlength=len(said)) / len(models) / 3
    np.testing.assert_allclose(selection.weights, weights)
    assert selection.score == pytest.approx(METRICS[metric](average(said, weights), labels), abs=1e-9)


def library(models=30, rows=80, classes=3, seed=0):
    draws = np.random.default_rng(seed)
    labels = draws.integers(0, classes, rows)
    skill = draws.uniform(0, 2, models)[:, None, None]
    logits = draws.normal(size=(models, rows, classes)) + skill * np.eye(classes)[labels]
    chances = np.exp(logits)
    return chances / chances.sum(-1, keepdims=True), labels


@pytest.mark.parametrize("metric", [name for name in METRICS if name != "auc"])
@pytest.mark.parametrize("bags", [0, 5])
def test_no_worse_than_the_best_single_model(metric, bags):
    said, labels = library()
    selection = select(said, labels, metric=metric, bags=bags, bag_fraction=1.0, max_steps=20)
    sign = 1 if metric in LOWER else -1
    assert sign * selection.score <= sign * selection.single + 1e-12
    assert all(
        sign * bag.score <= sign * min(bag.curve, key=lambda score: sign * score) + 1e-9 for bag in selection.by_bag
    )


def test_best_step_is_kept():
    said, labels = library(models=4)
    bag = select(said, labels, bags=0, sorted_init=0, max_steps=40).by_bag[0]
    assert len(bag.curve) == 40 and len(bag.models) < 40
    assert bag.score == min(bag.curve) == bag.curve[len(bag.models) - 1]


@pytest.mark.parametrize("metric", METRICS)
def test_first_of_equals(metric):
    said, labels = library(models=3, classes=2)
    selection = select(np.concatenate([said, said]), labels, metric=metric, bags=0, sorted_init=0, max_steps=30)
    assert not selection.weights[3:].any()
    assert selection.best < 3


@pytest.mark.parametrize("metric", METRICS)
def test_smallest_of_equals(metric):
    said, labels = library(models=3, classes=2)
    twice = np.concatenate([said, said])
    settings = {"metric": metric, "bags": 0, "sorted_init": 0, "max_steps": 30}
    first = select(twice, labels, **settings)
    small = select(twice, labels, **settings, tie="smallest", sizes=[9, 9, 9, 5, 5, 5])
    np.testing.assert_array_equal(small.weights[3:], first.weights[:3])
    assert not small.weights[:3].any()


def test_seed_says_all():
    said, labels = library()
    one, again, other = (select(said, labels, max_steps=10, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.weights, again.weights)
    assert one.by_bag == again.by_bag and one.curve == again.curve
    assert not np.array_equal(one.weights, other.weights)
    fewer = select(said, labels, max_steps=10, seed=3, bags=4)
    assert fewer.by_bag == one.by_bag[:4], "a bag depends on the seed and its own number alone"


def test_probabilities_of_two_classes_may_come_either_way():
    said, labels = library(classes=2)
    for metric in METRICS:
        both, second = (select(each, labels, metric=metric, max_steps=10) for each in (said, said[:, :, 1]))
        np.testing.assert_allclose(both.weights, second.weights)
        assert both.score == pytest.approx(second.score)


def test_inputs_stay_as_they_are():
    said, labels = library()
    before = said.copy()
    for metric in ("log_loss", "brier", "accuracy"):
        select(said, labels, metric=metric, max_steps=3, bags=2)
    np.testing.assert_array_equal(said, before)


def test_confident_and_wrong_is_finite():
    selection = select([[0.0, 1.0], [0.0, 0.0]], [1, 1], bags=0)
    assert selection.score == pytest.approx(-math.log(1e-7) / 2)


def test_average_reads_what_it_needs():
    said, _ = library(models=3)
    said[1] = np.nan
    np.testing.assert_allclose(average(said, [1, 0, 3]), (said[0] + 3 * said[2]) / 4)


def test_tells_its_steps():
    said, labels = library()
    seen = []

    @contextmanager
    def progress(title, total):
        yield lambda steps: seen.append((title, total, steps))

    select(said, labels, max_steps=4, bags=3, progress=progress)
    assert seen == [("select", 12, 1)] * 12


@pytest.mark.parametrize("metric", ["log_loss", "rmse", "brier"])
def test_large_library_on_disk(tmp_path, metric):
    """2,000 models of 1,000 rows: read from the disk in pieces, and in little memory."""
    path = tmp_path / "predictions.npy"
    draws = np.random.default_rng(0)
    labels = draws.integers(0, 2, 1000)
    file = np.lib.format.open_memmap(path, "w+", np.float32, (2000, 1000, 2))
    for model in range(2000):
        second = 1 / (1 + np.exp(-(draws.normal(scale=2, size=1000) + (2 * labels - 1) * draws.uniform(0, 2))))
        file[model] = np.stack([1 - second, second], 1)
    file.flush()
    said = np.load(path, mmap_mode="r")
    tracemalloc.start()
    selection = select(said, labels, metric=metric, max_steps=20, bags=4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # One float64 per model and row, 16 MB, and the pieces; the library as float64 would be 32 MB. Twice that is room.
    assert peak < 64 * 2**20
    assert selection.score < selection.single
    sure = select(np.array(said[:50]), labels, metric=metric, max_steps=20, bags=0)
    disk = select(said[:50], labels, metric=metric, max_steps=20, bags=0)
    np.testing.assert_array_equal(sure.weights, disk.weights)


GOOD = np.array([[0.9, 0.4], [0.4, 0.9]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": "log_los"}, "metric of select must be a known metric or a function; .* Did you mean 'log_loss'"),
        ({"sorted_init": -1}, "sorted_init of select must be at least 0, or 'best'"),
        ({"sorted_init": "bets"}, "sorted_init of select must be at least 0, or 'best'; got 'bets'"),
        ({"sorted_init": 0, "max_steps": 0}, "max_steps of select must be at least 1"),
        ({"bags": -1}, "bags of select must be at least 0"),
        ({"bag_fraction": 0.0}, "bag_fraction of select must be greater than 0"),
        ({"tie": "smalest"}, "tie of select must be 'first' or 'smallest'.*Did you mean 'smallest'"),
        ({"tie": "smallest"}, "sizes of select must be one number for each of the 2 models; got none"),
        ({"names": ["a", "a"]}, "names of select must be 2 different ones"),
        ({"predictions": [0.5, 0.5]}, r"predictions of select must be numbers \[models, n, classes\]"),
        ({"predictions": np.empty((0, 2))}, "predictions of select must be numbers"),
        ({"predictions": [["a", "b"]]}, "predictions of select must be numbers"),
        ({"predictions": [[0.5, 0.5], [0.5, 1.5]]}, "predictions of 'model 1' must be probabilities, also for row 1"),
        ({"predictions": [[0.5, np.nan]]}, "must be probabilities, also for row 1"),
        ({"predictions": np.full((2, 2, 3), 0.5)}, "must be probabilities, also for row 0"),
        ({"predictions": [[0.5, np.inf]], "metric": "rmse"}, "must be finite, also for row 1"),
        ({"predictions": [[0.5, np.nan]], "names": ["svm"]}, "predictions of 'svm' must be"),
        ({"labels": [1]}, "labels of select must be 2 class numbers from 0 to 1"),
        ({"labels": [1, 2]}, r"labels of select must be 2 class numbers from 0 to 1; got \[1, 2\]"),
        ({"labels": [0.5, 1.0]}, "labels of select must be 2 class numbers"),
        ({"labels": ["a", "b"]}, "labels of select must be 2 class numbers"),
        ({"labels": [1, 1], "metric": "auc"}, "needs labels of two classes, both present"),
        ({"labels": [1.0, np.nan], "metric": "rmse"}, "labels of select must be 2 finite numbers"),
        ({"labels": [1.0], "metric": "rmse"}, "labels of select must be 2 finite numbers"),
        ({"metric": lambda predictions, labels: np.nan}, "metric of select must be finite"),
    ],
    ids=lambda value: str(value).partition(" at 0x")[0][:40],
)
def test_rules(changes, message):
    with pytest.raises(BadInput, match=message):
        select(**{"predictions": GOOD, "labels": [1, 1], **changes})
