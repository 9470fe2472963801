"""What every task keeps to: one row for each, with figures worked out by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor

from attar.data.split import Split
from attar.errors import BadInput
from attar.pipeline.objective import LOSSES
from attar.tasks.classification import Classification
from attar.tasks.dense import Dense
from attar.tasks.gaze import Gaze
from attar.tasks.known import TASKS, AnyQuality, TaskName, task_from_json
from attar.tasks.multilabel import MultiLabel
from attar.tasks.regression import Regression
from attar.tasks.task import Task, first_metric, metric_of


@dataclass(frozen=True)
class Row:
    """One task, with examples.

    Attributes:
        task: The task.
        other: One that means something else.
        labels: ``[n, ...]``, something known of each.
        outputs: ``[n, *shape]``, for these labels.
        figures: What the metrics are for them, worked out by hand.
        wrong: Labels of two examples that are none, with what the sentence says.
        best: ``[n, *shape]``, as good as outputs can be.
        constant: ``[n, *shape]``, one answer for all.
        constant_score: The score of the best constant answer, worked out by hand.
    """

    task: Task
    other: Task
    labels: Tensor
    outputs: np.ndarray
    figures: Mapping[str, float]
    best: np.ndarray
    constant: np.ndarray
    constant_score: float
    wrong: list[tuple[Tensor, str]] = field(default_factory=list)


def said(*maps: list[int]) -> np.ndarray:
    """``[40, 2, 1, width]`` logits of which each says a class with a probability of 3/4; the maps come ten times."""
    return np.log(np.where(np.arange(2)[None, :, None, None] == np.array(maps * 10)[:, None, None], 3.0, 1.0))


LOOKED_AT = [[[1, 0, 0, 0]], [[0, 2, 0, -1]], [[0, 0, 2, 0]], [[1, 0, 0, 2]]]
SHARES = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [1 / 3, 0, 0, 2 / 3]] * 10)
LOG2_3 = math.log2(3)
"""Of a center bias of (1, 3, 3, 1) / 8, and densities that say twice as much or as little."""

ROWS = [
    Row(
        task=Classification(("no", "yes")),
        other=Classification(("yes", "no")),
        labels=torch.tensor([0, 1, 0, 1] * 10),
        outputs=np.log(np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.5, 0.5]] * 10)),
        figures={
            "accuracy": 0.5,
            "log_loss": -(math.log(0.9) + math.log(0.6) + math.log(0.2) + math.log(0.5)) / 4,
            "rmse": math.sqrt((0.1**2 + 0.4**2 + 0.8**2 + 0.5**2) / 4),
            # Each confidence has a bin of its own; of two equal logits the first counts, so that 0.5 is wrong.
            "calibration_error": (0.1 + 0.4 + 0.8 + 0.5) / 4,
        },
        best=np.eye(2)[[0, 1, 0, 1] * 10] * 50,
        constant=np.eye(2)[[1] * 40],
        constant_score=0.5,
        wrong=[
            (torch.zeros(2), "int64; got torch.float32"),
            (torch.zeros(3, dtype=torch.int64), "one for each of the 2 rows"),
            (torch.tensor([0, 2]), r"from 0 to 1 \(there are 2 classes\), or -1 where unknown; got 0 .. 2"),
        ],
    ),
    Row(
        task=Regression(("width", "height")),
        other=Regression(("height", "width")),
        labels=torch.tensor([[0.0, 2.0], [4.0, math.nan], [2.0, 4.0], [6.0, 8.0]] * 10),
        outputs=np.array([[1.0, 2.0], [4.0, 99.0], [2.0, 2.0], [9.0, 7.0]] * 10),
        figures={
            # Of each example the mean over what is known: 1/2, 0, 4/2, (9 + 1)/2.
            "rmse": math.sqrt((0.5 + 0 + 2 + 5) / 4),
            "mae": (0.5 + 0 + 1 + 2) / 4,
            # Widths: mean 3, squares 9 + 1 + 1 + 9, errors 1 + 9; heights: mean 14/3, squares 56/3, errors 4 + 1.
            "r2": ((1 - 10 / 20) + (1 - 5 / (56 / 3))) / 2,
        },
        best=np.array([[0.0, 2.0], [4.0, 5.0], [2.0, 4.0], [6.0, 8.0]] * 10),
        constant=np.full((40, 2), 4.0),
        # Of means of 3 and 14/3, by example.
        constant_score=-math.sqrt(((9 + 64 / 9) / 2 + 1 + (1 + 4 / 9) / 2 + (9 + 100 / 9) / 2) / 4),
        wrong=[
            (torch.zeros(2, 2, dtype=torch.float64), "float32; got torch.float64"),
            (torch.zeros(2), r"\[2, 2\], a number for each value of each row; got \(2,\)"),
            (torch.tensor([[0.0, 1.0], [math.inf, 0.0]]), "finite, or NaN where unknown; got infinity in row 1"),
        ],
    ),
    Row(
        task=MultiLabel(("red", "round", "soft")),
        other=MultiLabel(("round", "red", "soft")),
        labels=torch.tensor([[1, 1, 0], [0, 1, -1], [0, 0, 0], [1, 0, 1]] * 10),
        # Named: red; round (and soft, where nobody knows); none; red and round.
        outputs=np.log(np.array([[3, 1 / 3, 1 / 3], [1 / 3, 3, 9], [1 / 3] * 3, [3, 3, 1 / 3]] * 10)),
        figures={
            "f1": (2 / 3 + 1 + 1 + 2 / 4) / 4,
            "accuracy": (2 / 3 + 1 + 1 + 1 / 3) / 4,
            "exact_match": 0.5,
            # Right are 1, 1, 0 and 1; named 1, 1, 0 and 2; true 2, 1, 0 and 2.
            "micro_f1": 2 * 3 / (4 + 5),
            # What is said has 3/4, or where it is wrong 1/4: 1, 0, 0 and 2 times.
            "log_loss": -(math.log(3 / 4) + (math.log(1 / 4) - math.log(3 / 4)) * (1 / 3 + 2 / 3) / 4),
            "rmse": math.sqrt(1 / 16 + (9 / 16 - 1 / 16) * (1 / 3 + 2 / 3) / 4),
        },
        best=np.array([[9.0, 9, -9], [-9, 9, -9], [-9, -9, -9], [9, -9, 9]] * 10),
        constant=np.array([[9.0, 9, -9]] * 40),
        # All three labels.
        constant_score=(4 / 5 + 2 / 3 + 0 + 4 / 5) / 4,
        wrong=[
            (torch.zeros(2, 3), "int64; got torch.float32"),
            (torch.zeros(2, dtype=torch.int64), r"\[2, 3\], a row of 1 and 0 for each of the 2 rows"),
            (torch.tensor([[0, 1, 2]] * 2), "1 where a label holds, 0 where it does not, .*; got 0 .. 2"),
        ],
    ),
    Row(
        task=Dense(("ground", "sky"), (1, 4)),
        other=Dense(("sky", "ground"), (1, 4)),
        labels=torch.tensor([[[0, 0, 1, 1]], [[0, 1, 1, -1]], [[0, 0, 0, 0]], [[1, 1, 0, 0]]] * 10),
        outputs=said([0, 0, 0, 1], [0, 1, 1, 1], [0, 0, 0, 0], [0, 0, 1, 1]),
        figures={
            # Ground and sky: 2/3 and 1/2; 1 and 1; 1 alone; 0 and 0.
            "iou": (7 / 12 + 1 + 1 + 0) / 4,
            "accuracy": (3 / 4 + 1 + 1 + 0) / 4,
            # In all maps together ground has 2 + 1 + 4 + 0 of 3 + 1 + 4 + 4, sky 1 + 2 + 0 + 0 of 2 + 2 + 0 + 4.
            "mean_iou": (7 / 12 + 3 / 8) / 2,
            "log_loss": -(math.log(3 / 4) + (math.log(1 / 4) - math.log(3 / 4)) * (1 / 4 + 1) / 4),
            "rmse": math.sqrt(1 / 16 + (9 / 16 - 1 / 16) * (1 / 4 + 1) / 4),
        },
        best=50 * said([0, 0, 1, 1], [0, 1, 1, 0], [0, 0, 0, 0], [1, 1, 0, 0]),
        constant=said([0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]),
        # Ground everywhere, of which the sky has none.
        constant_score=(1 / 4 + 1 / 6 + 1 + 1 / 4) / 4,
        wrong=[
            (torch.zeros(2, 1, 4), "int64; got torch.float32"),
            (torch.zeros(2, 4, dtype=torch.int64), r"\[2, 1, 4\], a map for each of the 2 rows; got \(2, 4\)"),
            (torch.full((2, 1, 4), 2), "from 0 to 1 .*, or -1 where a position does not count; got 2 .. 2"),
        ],
    ),
    Row(
        task=Gaze((1, 4), (0.5, 0.5, 0.5, 0.25 / math.sqrt(math.log(3)))),
        other=Gaze((4, 1)),
        labels=torch.tensor(LOOKED_AT * 10),
        outputs=np.log(np.array([[4, 2, 1, 1], [1, 4, 2, 1], [1, 1, 2, 4], [4, 1, 1, 2]] * 10) / 8),
        figures={
            # Four times the center bias, 4/3 and 2/3 of it; once four times and twice the double.
            "information_gain": (2 + (2 - LOG2_3) + (1 - LOG2_3) + 4 / 3) / 4,
            # Below 1/2 are three pixels, below 1/4 two, and each lies beside itself.
            "auc": (3.5 + 3.5 + 2.5 + (3.5 + 2 * 2.5) / 3) / 4 / 4,
            # 1/2 is 1/4 above the mean, and 1/4 at it; the squares of all four are 1/16, 0, 1/64 and 1/64.
            "nss": 0.25 / math.sqrt(6 / 64 / 4) * (1 + 1 + 0 + 1 / 3) / 4,
            "log_loss": math.log(2) * (1 + 1 + 2 + 5 / 3) / 4,
            # Less the entropy of (1/3, 2/3), which is log 3 - 2/3 log 2; of the others it is 0.
            "kl": (math.log(2) * (1 + 1 + 2 + 7 / 3) - math.log(3)) / 4,
            "sim": (1 / 2 + 1 / 2 + 1 / 4 + (1 / 3 + 1 / 4)) / 4,
            "rmse": math.sqrt((11 / 32 + 11 / 32 + 27 / 32 + (1 / 36 + 1 / 32 + 25 / 144)) / 4),
        },
        best=np.log(np.maximum(SHARES, 1e-6)),
        constant=np.zeros((40, 4)),
        # All pixels alike: twice the center bias, or 2/3 of it; the fixations are spread evenly.
        constant_score=1 - LOG2_3 / 2,
        wrong=[
            (torch.zeros(2, 1, 4), "int64; got torch.float32"),
            (
                torch.zeros(2, 4, dtype=torch.int64),
                r"\[2, 1, 4\], a map of counts for each of the 2 rows; got \(2, 4\)",
            ),
            (torch.full((2, 1, 4), -2), "counts of fixations from 0, or -1 where none could be seen; got -2 .. -2"),
        ],
    ),
]

every_task = pytest.mark.parametrize("row", ROWS, ids=[row.task.use for row in ROWS])


def test_every_task_is_in_the_table():
    assert {row.task.use for row in ROWS} == set(TASKS) == set(get_args(TaskName))


@every_task
def test_metrics_are_those_worked_out_by_hand(row: Row):
    labels = row.labels.numpy()
    assert {name: one.figure(row.outputs, labels) for name, one in row.task.metrics.items()} == pytest.approx(
        dict(row.figures), rel=1e-9
    )
    quality: Any = row.task.quality(row.outputs, labels)
    assert quality.examples == len(labels)
    for name, figure in row.figures.items():
        assert getattr(quality, name) == pytest.approx(figure, rel=1e-9)
    first = row.figures[next(iter(row.task.metrics))]
    assert quality.interval[0] <= first <= quality.interval[1]


@every_task
def test_the_first_metric_and_rmse_can_be_compared_by_example(row: Row):
    assert first_metric(row.task).of_each is not None
    rmse = row.task.metrics["rmse"]
    assert rmse.root and rmse.of_each is not None and not rmse.higher_is_better


@every_task
def test_quality_comes_back_from_json(row: Row):
    quality, kind = row.task.quality(row.outputs, row.labels.numpy()), TypeAdapter(AnyQuality)
    written = json.loads(json.dumps(kind.dump_python(quality, mode="json")))
    assert kind.validate_python(written) == quality


@every_task
def test_scores_grow_with_quality_and_are_the_metric(row: Row):
    labels = row.labels.numpy()
    for metric in row.task.metrics.values():
        if metric.of_each is not None:
            assert (metric.scores(row.best, labels) >= metric.scores(row.outputs, labels)).all()
            mean = abs(metric.scores(row.outputs, labels).mean())
            assert (math.sqrt(mean) if metric.root else mean) == pytest.approx(row.figures[metric.name])
    scores = row.task.scores(row.outputs, labels)
    assert scores.tolist() == metric_of(row.task).scores(row.outputs, labels).tolist()


@every_task
def test_what_is_not_known_is_left_out(row: Row):
    unknown = row.task.unknown_labels(3)
    labels = torch.cat([row.labels, unknown])
    row.task.check_labels(labels, len(labels), "Split")
    assert row.task.known(labels).tolist() == [True] * len(row.labels) + [False] * 3
    outputs = np.concatenate([row.outputs, row.best[:3]])
    assert row.task.quality(outputs, labels.numpy()) == row.task.quality(row.outputs, row.labels.numpy())
    assert len(row.task.scores(outputs, labels.numpy())) == len(row.labels)
    for metric in row.task.metrics.values():
        if metric.of_each is not None:
            assert metric.of_each(outputs, labels.numpy())[-3:].tolist() == [0.0] * 3
    with pytest.raises(BadInput, match="known for at least one example"):
        row.task.quality(row.best[:3], unknown.numpy())


@every_task
def test_wrong_labels_are_told(row: Row):
    for labels, message in row.wrong:
        with pytest.raises(BadInput, match=f"labels of Split must be {message}"):
            Split(torch.zeros(2, 1), labels, torch.arange(2), row.task)


@every_task
def test_outputs_that_are_not_finite_are_told(row: Row):
    outputs = row.outputs.copy()
    outputs[1] = np.nan
    with pytest.raises(BadInput, match="must be finite; got row 1"):
        row.task.quality(outputs, row.labels.numpy())


@every_task
def test_a_constant_answer_is_chance_and_the_best_is_not(row: Row):
    labels = row.labels.numpy()
    found = row.task.chance(row.constant, labels, "validation")
    assert found.guessing and found.sentence is not None and "validation" in found.sentence
    assert row.task.chance(row.best, labels, "validation").sentence is None
    shuffled = row.best[np.random.default_rng(0).permutation(len(labels))]
    assert row.task.chance(shuffled, labels, "validation").guessing


@every_task
def test_the_best_constant_answer_is_the_one_worked_out_by_hand(row: Row):
    labels = torch.cat([row.labels, row.task.unknown_labels(2)]).numpy()
    constant = row.task.best_constant(labels)
    assert constant.name and constant.scores.shape == (len(row.labels),)
    assert first_metric(row.task).score(constant.scores) == pytest.approx(row.constant_score)
    outputs = np.concatenate([row.outputs, row.best[:2]])
    assert row.task.chance(outputs, labels, "test", constant) == row.task.chance(outputs, labels, "test")


@every_task
def test_it_comes_back_from_json_and_differs_from_others(row: Row):
    written = json.loads(json.dumps(row.task.to_json()))
    assert task_from_json(written, "the test") == row.task != row.other
    rows = torch.zeros(len(row.labels), 1), None, torch.arange(len(row.labels))
    assert Split(*rows, row.task).fingerprint() != Split(*rows, row.other).fingerprint()
    with pytest.raises(BadInput, match=r"^task of the test"):
        task_from_json(written | {"sorts": 3}, "the test")


@every_task
def test_names_and_the_size_of_maps_are_its_fields(row: Row):
    """So data are read for any task by what its labels are."""
    if row.task.label_kind == "fixations":
        assert isinstance(row.task, Gaze)
        assert TASKS[row.task.use](row.task.size, row.task.center) == row.task
        return
    size = (row.task.shape[1:],) if row.task.label_kind == "map" else ()
    assert TASKS[row.task.use](row.task.names, *size) == row.task
    assert (row.task.label_kind == "values") == (row.task.target == "values")


@every_task
def test_shape_names_and_losses_fit(row: Row):
    task = row.task
    assert row.outputs.shape[1:] == task.shape and len(task.names) == task.shape[0]
    assert {task.losses.labels["use"], task.losses.teacher["use"]} <= set(LOSSES)
    assert len(task.strata(row.labels)) == len(row.labels)
    assert task.label_in_words(row.labels[0]) and task.label_in_words(task.unknown_labels(1)[0])
    assert task.agreement(row.outputs, row.outputs) in (1.0, None)


def test_what_is_no_task_is_told():
    with pytest.raises(BadInput, match="task of the test must be a table with use; got 3"):
        task_from_json(3, "the test")
    with pytest.raises(BadInput, match=r"task of the test must be one of the tasks; got 'clasification'"):
        task_from_json({"use": "clasification"}, "the test")
    with pytest.raises(BadInput, match=r"choose_by of the recipe must be .*; got 'brier'"):
        metric_of(Classification(("no", "yes")), "brier")
