"""Rows set aside, rows synthesized, units: what happens around the step that distills."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression

from attar.data.in_memory import outputs_of
from attar.estimators.build import MimicBuilder
from attar.estimators.mimic import Mimic
from attar.estimators.plan import LOSSES, checked
from attar.models.model import Model
from attar.network.scaled_outputs import ScaledOutputs
from attar.pipeline import tuning
from attar.pipeline.step import Result, Tools
from attar.pipeline.steps.distill import Distill
from attar.pipeline.tuning import Tuning
from attar.tables.columns import Columns
from attar.tasks.classification import Classification
from attar.tasks.regression import Regression
from attar.teachers.teacher import NetworkTeacher

DEFAULTS = Mimic(None).get_params(deep=False)


def _builder(size: int = 100, task: str = "classes", rare: int = 10, **given: Any) -> MimicBuilder:
    """Rows of which the first ``rare`` are of the first class: the teacher gives column 0, and less of it."""
    first = np.where(np.arange(size) < rare, 1.0, -1.0)
    matrix = np.stack([first, np.linspace(0, 9, size)], axis=1)
    network = torch.nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    classes = task == "classes"
    teacher = NetworkTeacher(network, classes=2, output="logits" if classes else "values")
    outputs = outputs_of(teacher, torch.from_numpy(matrix).float())
    of = Classification(("a", "b")) if classes else Regression(("a", "b"))
    truth, by = given.pop("truth", None), given.pop("by", "teacher")
    plan = checked(seed=0, **DEFAULTS | given)
    return MimicBuilder(plan, of, Columns.infer(matrix), teacher, matrix, outputs, truth=truth, by=by)


@pytest.mark.parametrize(("validation", "amount"), [(0.1, 10), (0.2, 20), (30, 30), (0.001, 1)])
def test_validation_rows_are_set_aside(validation: float, amount: int) -> None:
    builder = _builder(validation=validation)
    assert len(builder.validation_rows) == amount
    assert sorted([*builder.validation_rows, *builder.training_rows]) == list(range(100))


def test_every_class_has_its_share_of_the_validation_rows() -> None:
    assert (_builder(validation=0.2, rare=10).validation_rows < 10).sum() == 2


@pytest.mark.parametrize(("size", "asked", "synthetic"), [(100, None, 2250), (10_000, None, 50_000), (100, 7, 7)])
def test_how_many_rows_are_made_up(size: int, asked: int | None, synthetic: int) -> None:
    synthesis, trials = _builder(size, rows=asked, p=0.5, s=2.0).tuned()
    assert synthesis is not None
    assert (synthesis.rows, synthesis.p, synthesis.s) == (synthetic, 0.5, 2.0)
    assert trials == []


def test_tuning_is_that_of_recipes_in_a_tenth_of_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tuning] = []

    def best(search: Tuning, *_: object) -> Any:
        seen.append(search)
        return search.synthesis, []

    monkeypatch.setattr(Tuning, "best", best)
    monkeypatch.setattr(tuning, "TUNING_STEPS", 2000)  # other tests hurry all session long
    for steps in (100, 10_000, 100_000):
        synthesis, _ = _builder(1000, p=None, s=3.0, steps=steps, batch_size=90).tuned()
        assert synthesis is not None
        assert synthesis.rows == 22_500
    assert {one.synthesis.rows for one in seen} == {900 * tuning.TUNING_ROWS}
    assert {(one.synthesis.p, one.synthesis.s) for one in seen} == {(None, 3.0)}
    assert [one.training.epochs for one in seen] == [1, 1000 // 40, 2000 // 40]


def test_synthetic_rows_are_made_from_the_rows_that_are_kept() -> None:
    builder = _builder(validation=50, p=1e-12, s=1.0, rows=500)  # a p that changes nothing
    synthesis, _ = builder.tuned()
    synthetic = builder.synthetic(synthesis)
    assert synthetic.shape == (500, 2)
    training_rows = np.linspace(0, 9, 100)[builder.training_rows]
    assert set(synthetic[:, 1].tolist()) == set(training_rows.tolist())
    np.testing.assert_array_equal(synthetic, builder.synthetic(synthesis), "and the seed says which")


def test_lesson_holds_what_the_teacher_gives_for_each_row() -> None:
    builder = _builder(p=0.5, s=1.0, rows=60)
    examples, targets = builder.transfer_set(builder.synthetic(builder.tuned()[0]))
    assert len(examples) == len(targets.outputs) == 60 + 90
    torch.testing.assert_close(targets.outputs[:, 0], examples.inputs[:, 0])
    assert len(_builder(include_original=False).transfer_set(builder.synthetic(builder.tuned()[0]))[0]) == 60


def test_values_are_learned_in_units_of_their_own() -> None:
    builder = _builder(task="values", rare=50, validation=20)
    network, outputs = builder.model.module, builder.transfer_set(builder.synthetic(None))[1].outputs
    assert isinstance(network, ScaledOutputs)
    torch.testing.assert_close(network.center, outputs.mean(0))
    torch.testing.assert_close(network.scale, outputs.std(0, correction=0))
    assert builder.objective.terms["distill"].loss.scale == tuple(network.scale.tolist())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("rows", "steps", "epochs"),
    [(110, 40, 10), (110, 41, 10), (110, 1, 1), (60, 40, 13)],  # 200 or 150 rows in all
)
def test_epochs_come_nearest_to_the_steps(rows: int, steps: int, epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Distill] = []

    def run(step: Distill, model: Model, _: Tools) -> Result:
        seen.append(step)
        return Result(model, {})

    monkeypatch.setattr(Distill, "run", run)
    builder = _builder(p=0.5, s=1.0, rows=rows, steps=steps, batch_size=50)
    builder.train(*builder.transfer_set(builder.synthetic(builder.tuned()[0])))
    assert seen[0].settings.epochs == epochs


@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("by", ["teacher", "truth"])
def test_learns_the_outputs_of_the_teacher_and_keeps_the_best_epoch(loss: str, by: str) -> None:
    truth = (torch.arange(100) >= 50).long()
    small = {"rows": 0, "steps": 180, "batch_size": 30, "learning_rate": 0.05, "hidden": (8,)}
    builder = _builder(rare=50, loss=loss, by=by, truth=truth, **small)
    result = builder.train(*builder.transfer_set(builder.synthetic(None)))
    inputs = builder.dataset.train.inputs
    probabilities = result.model.module(inputs).softmax(1)[:, 0]
    # The truth is surer than the teacher, and so is the epoch that it chooses.
    tolerance = 0.1 if by == "teacher" else 0.2
    torch.testing.assert_close(probabilities, torch.sigmoid(2 * inputs[:, 0]), atol=tolerance, rtol=0)
    assert result.facts["score"] == max(entry["score"] for entry in result.history)
    assert len(result.history) == 60


@pytest.mark.parametrize(
    ("scores", "rounds", "best"),
    [
        ([-1.0, -0.99, -0.5], 2, 1),  # 1 % better: the last round, and it is taken
        ([-1.0, -1.2, -0.5], 2, 0),  # worse: the last round, and it is not
        ([-1.0, -0.9, -0.8], 3, 2),
    ],
)
@pytest.mark.parametrize("rows", [0, 60])
def test_rounds_end_when_one_betters_the_mimic_no_more(
    scores: list[float], rounds: int, best: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Distill] = []

    def run(step: Distill, model: Model, _: Tools) -> Result:
        place = len(seen)
        seen.append(step)
        facts = {"score": scores[place], "steps": 10 * (place + 1), "best_epoch": 1}
        return Result(Model(model.module, model.spec, key=str(place)), facts, [{"score": scores[place]}] * 2)

    monkeypatch.setattr(Distill, "run", run)
    builder = _builder(p=0.5, s=1.0, rows=rows, batch_size=50)
    result = builder.train(*builder.transfer_set(builder.synthetic(builder.tuned()[0])))
    assert len(seen) == rounds
    assert result.model.key == str(best)
    assert result.facts["best_epoch"] == 2 * best + 1, "counted over all rounds"
    assert (result.facts["steps"], len(result.history)) == (sum(range(10, 10 * rounds + 1, 10)), 2 * rounds)
    assert seen[1].settings.learning_rate == seen[0].settings.learning_rate / 2


@pytest.mark.parametrize(("validation", "checkpoint"), [(5, "last"), (6, "best")])
def test_few_rows_do_not_choose_an_epoch(validation: int, checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Distill] = []

    def run(step: Distill, model: Model, _: Tools) -> Result:
        seen.append(step)
        return Result(model, {})

    monkeypatch.setattr(Distill, "run", run)
    builder = _builder(validation=validation, rows=0, steps=1)
    builder.train(*builder.transfer_set(builder.synthetic(None)))
    assert seen[0].settings.checkpoint == checkpoint


def test_a_mimic_of_few_rows_and_many_columns_has_learned_something() -> None:
    draws = np.random.default_rng(0)
    rows = draws.normal(size=(30, 200))
    forest = RandomForestClassifier(20, random_state=0).fit(rows, rows[:, 0] + rows[:, 1] > 0)
    settings: dict[str, Any] = {"hidden": (16,), "rows": 0, "steps": 40}
    for curves in (0, None):
        mimic = Mimic(forest, **settings, curves=curves, random_state=0).fit(rows)
        assert mimic.report_.best_epoch == mimic.report_.epochs - 1
        assert np.mean(mimic.predict(rows) == forest.predict(rows)) > 0.85  # 0.53 with the best of three rows


def test_what_never_varies_is_given_as_it_is() -> None:
    rows = np.random.default_rng(0).normal(size=(60, 2))
    values = np.stack([rows[:, 0], np.full(60, 7.0), np.zeros(60)], axis=1)
    linear = LinearRegression().fit(rows, values)
    linear.coef_[1:] = 0.0
    answers = Mimic(linear, hidden=(8,), rows=100, steps=20, random_state=0).fit(rows).predict(rows)
    assert (answers[:, 1] == np.float32(linear.intercept_[1])).all() and (answers[:, 2] == linear.intercept_[2]).all()
    assert answers[:, 0].std() > 0.1
