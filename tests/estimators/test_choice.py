"""What a mimic learns from is chosen on rows that a copy of its teacher has not seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from attar.estimators import choice, trials
from attar.estimators.build import ROUNDS, cooled, judge_of, labels_in, mixed
from attar.estimators.choice import (
    HALF,
    Candidate,
    Choice,
    chosen,
    encodings,
    is_better_alone,
    lessons,
    no_longer_than_it_helps,
    without_teacher,
)
from attar.estimators.judging import cooled_losses
from attar.estimators.mimic import Mimic
from attar.estimators.plan import Plan, checked
from attar.estimators.trials import Given, Score, Trials
from attar.models.fresh import fresh
from attar.network.spec import Spec
from attar.pipeline.step import Result
from attar.tasks.classification import Classification
from attar.tasks.multilabel import MultiLabel
from attar.tasks.regression import Regression

CLASSES, LABELS, VALUES = Classification(("a", "b")), MultiLabel(("a", "b")), Regression(("a",))
SMALL: dict[str, Any] = {"hidden": (8,), "steps": 60, "batch_size": 64, "learning_rate": 0.03, "random_state": 0}


def _plan(**given: Any) -> Plan:
    return checked(seed=0, **Mimic(None).get_params(deep=False) | given)


def _score(temperature: float, loss: float, errors: float, apart: float = 0.0) -> Score:
    """With losses of four rows, each so far from their mean."""
    return Score(temperature, loss, errors, loss + apart * np.array([1.0, -1.0, 1.0, -1.0]), None, torch.zeros(4, 1))


def _with(kind: type, **attributes: Any) -> Any:
    """An object of a class, with these attributes and methods alone."""
    made: Any = object.__new__(kind)
    made.__dict__.update(attributes)
    return made


@pytest.fixture(scope="module")
def noisy() -> tuple[np.ndarray, np.ndarray]:
    """The sign of the first of four columns, a third of the time the other one."""
    draws = np.random.default_rng(0)
    x = draws.normal(size=(800, 4))
    return x, np.where(draws.random(800) < 1 / 3, x[:, 0] <= 0, x[:, 0] > 0).astype(int)


# -- temperature -------------------------------------------------------------------------------------------------------


def test_temperature_that_fits_the_labels() -> None:
    """Three of four rows are of a class that the answers call e^4 times likelier: 3 times is right, so T = 4 / ln 3."""
    sure = torch.tensor([[4.0, 0.0]] * 4000)
    truth = torch.tensor([0, 0, 0, 1] * 1000)
    temperature, losses = cooled_losses(CLASSES, sure, truth)
    assert 0.9 * 4 / np.log(3) < temperature <= 4 / np.log(3) * np.exp(0.05)
    assert losses.mean() == pytest.approx(0.75 * np.log(4 / 3) + 0.25 * np.log(4), abs=0.01)
    # The rule is the same for labels each by itself.
    of_each, _ = cooled_losses(LABELS, torch.tensor([[4.0, 4.0]] * 4000), (truth == 0).long()[:, None].expand(-1, 2))
    assert of_each == temperature


def test_temperature_is_one_where_it_is_no_better_than_by_chance() -> None:
    right = torch.tensor([[float(np.log(3)), 0.0]] * 400)
    assert cooled_losses(CLASSES, right, torch.tensor([0, 0, 0, 1] * 100))[0] == 1.0
    few = torch.tensor([[2.0, 0.0]] * 4)
    assert cooled_losses(CLASSES, few, torch.tensor([0, 0, 0, 1]))[0] == 1.0
    sure = torch.tensor([[4.0, 0.0]] * 4000)
    assert cooled_losses(CLASSES, sure, torch.tensor([0, 0, 0, 1] * 1000), fixed=True)[0] == 1.0


def test_temperature_fits_what_rows_count() -> None:
    sure, truth = torch.tensor([[4.0, 0.0]] * 4000), torch.tensor([0, 1] * 2000)
    temperature, _ = cooled_losses(CLASSES, sure, truth, np.array([3.0, 1.0] * 2000, np.float32))
    assert 0.9 * 4 / np.log(3) < temperature <= 4 / np.log(3) * np.exp(0.05), "as of three rows to one"
    assert cooled_losses(CLASSES, sure, truth)[0] > 1.2 * temperature, "half of them are of the other class"
    heavy = np.array([1e9] * 4000, np.float32)
    alike = cooled_losses(CLASSES, sure, torch.tensor([0, 0, 0, 1] * 1000), heavy)
    assert alike[0] == cooled_losses(CLASSES, sure, torch.tensor([0, 0, 0, 1] * 1000))[0]


def test_values_have_no_temperature_and_count_in_units_of_their_spread() -> None:
    temperature, losses = cooled_losses(VALUES, torch.tensor([[3.0], [3.0]]), torch.tensor([[1.0], [5.0]]))
    assert temperature == 1.0
    np.testing.assert_allclose(losses, [0.5, 0.5])  # errors of 2, in a spread of the square root of 8


def test_a_value_that_does_not_vary_does_not_decide_alone() -> None:
    both = Regression(("a", "b"))
    truth = torch.tensor([[1.0, 0.1], [5.0, 0.1], [3.0, 0.1]])
    off = truth + torch.tensor([2.0, 0.01])
    in_units = (2 / 2, 0.01)  # of the spread of a, which is 2, and of b itself
    np.testing.assert_allclose(cooled_losses(both, off, truth)[1], [np.square(in_units).mean()] * 3, rtol=1e-6)
    np.testing.assert_allclose(cooled_losses(VALUES, truth[:1, :1], off[:1, :1])[1], [4.0])
    tiny = cooled_losses(VALUES, 1e-30 * off[:, :1], 1e-30 * truth[:, :1])[1]
    np.testing.assert_allclose(tiny, [1.0] * 3, rtol=1e-6)


def test_a_network_is_cooled_by_its_last_layer() -> None:
    model = fresh(Spec("attar.network.architectures:mlp", {"inputs": 2, "classes": 3}), 0)
    inputs = torch.randn(5, 2)
    before = model.module(inputs)
    after = cooled(Result(model, {}), 2.0).model
    torch.testing.assert_close(after.module(inputs), before / 2)
    torch.testing.assert_close(model.module(inputs), before)  # the other one stays as it was
    assert after.spec == model.spec


# -- labels ------------------------------------------------------------------------------------------------------------


def test_labels_are_mixed_into_what_the_teacher_says() -> None:
    even = torch.zeros(1, 2)
    torch.testing.assert_close(mixed(CLASSES, even, torch.tensor([0]), 0.5).softmax(1), torch.tensor([[0.75, 0.25]]))
    torch.testing.assert_close(mixed(LABELS, even, torch.tensor([[1, 0]]), 0.5).sigmoid(), torch.tensor([[0.75, 0.25]]))
    torch.testing.assert_close(mixed(VALUES, torch.tensor([[2.0]]), torch.tensor([[4.0]]), 0.25), torch.tensor([[2.5]]))
    alone = mixed(CLASSES, even, torch.tensor([1]), 1.0)
    assert alone.isfinite().all()
    torch.testing.assert_close(alone.softmax(1)[0, 0], torch.tensor(1e-7), rtol=1e-3, atol=0)


# -- what is tried -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "known", "curves", "others"),
    [
        ({}, True, [None, 0], [(0, 0.5)]),
        ({}, False, [None, 0], [(0, 0.0)]),
        ({"curves": 3}, True, [3], [(0, 0.5)]),
        ({"labels": 0.2}, True, [None, 0], [(0, 0.2)]),
        ({"rows": 90}, True, [None, 0], [(90, 0.5)]),
        ({"rows": 90}, False, [None, 0], []),
        ({"loss": "logits"}, True, [None, 0], [(0, 0.0)]),
        ({"include_original": False}, True, [None, 0], []),
    ],
)
def test_what_is_given_is_not_chosen(given: dict[str, Any], known: bool, curves: list[Any], others: list[Any]) -> None:
    plan = _plan(**given)
    first = encodings(plan)
    assert [one.curves for one in first] == curves
    assert {(one.rows, one.labels) for one in first} == {(plan.rows, plan.labels or 0.0)}
    assert [(one.rows, one.labels) for one in lessons(first[0], plan, known)] == others


def test_labels_alone_are_tried_where_half_of_them_was_the_best_or_the_teacher_is_worse() -> None:
    plan = _plan()
    best = replace(plan, curves=0, rows=0, labels=HALF)
    alone = replace(best, labels=1.0)
    assert without_teacher(best, plan, dominated=False) == [alone]
    of_teacher = replace(best, rows=None, labels=0.0)
    assert without_teacher(of_teacher, plan, dominated=False) == []
    assert without_teacher(of_teacher, plan, dominated=True) == [alone]
    for given in ({"labels": HALF}, {"rows": 700}, {"loss": "logits"}):  # what is given is not chosen
        assert without_teacher(of_teacher, _plan(**given), dominated=True) == []


def test_what_is_learned_from_judges_an_epoch() -> None:
    assert judge_of(_plan(labels=0.0), "teacher") == "teacher"
    assert judge_of(_plan(labels=0.0), "truth") == "truth"
    assert judge_of(_plan(labels=HALF), "teacher") == "truth"
    assert judge_of(_plan(labels=1.0), "truth") == "teacher", "by the loss, as the labels have replaced what it says"


@pytest.mark.parametrize(
    ("labels", "few", "hurried", "steps", "temperature"),
    [
        (0.5, False, False, choice.ALONE, 1.1),  # the longer training was worse
        (0.5, True, False, choice.ALONE, 1.1),
        (0.5, False, True, None, 1.1),
        (1.0, False, False, None, 1.0),  # rows that no teacher has learned tell when to stop
        (1.0, True, False, None, 1.0),
        (1.0, False, True, None, 1.0),
    ],
)
def test_real_rows_are_learned_from_for_long_where_rows_to_judge_by_tell_when_to_stop(
    labels: float, few: bool, hurried: bool, steps: int | None, temperature: float
) -> None:
    def score(candidate: Plan, *, brief: bool, best: Score) -> Score:
        assert candidate == winner and not brief and best.loss == 0.3
        return _score(3.0, 0.4, 0.2)

    winner = replace(_plan(), rows=0, labels=labels)
    tried = _with(Trials, few=few, score=score)
    found = no_longer_than_it_helps(Candidate(plan=winner, score=_score(1.1, 0.3, 0.1)), tried, hurried=hurried)
    assert (found.plan, found.score.temperature) == (replace(winner, steps=steps), temperature)


@pytest.mark.parametrize(
    ("dominated", "then", "hurried", "steps", "rows", "temperature"),
    [
        (False, None, False, None, None, 2.0),  # it comes as close to its teacher as it can, and needs what that needs
        (True, None, True, ROUNDS[0], None, 1.1),
        (True, 0.25, False, ROUNDS[0], None, 3.0),
        (True, 0.35, False, trials.STEPS, trials.SYNTHETIC, 1.1),  # the longer training was worse
    ],
)
def test_a_teacher_that_is_worse_than_its_mimic_is_not_followed_for_long(
    dominated: bool, then: float | None, hurried: bool, steps: int | None, rows: int | None, temperature: float
) -> None:
    def score(candidate: Plan, *, brief: bool, best: Score) -> Score:
        assert then is not None and not brief and candidate.steps == ROUNDS[0] and best.loss == 0.3
        return _score(3.0, then, 0.1)

    def lasting(winner: Plan) -> tuple[Plan, float]:
        of_copies = _score(2.0, 0.3, 0.1 if dominated else 0.09)
        tried = _with(Trials, few=False, score=score, of_copies=of_copies)
        found = no_longer_than_it_helps(Candidate(plan=winner, score=_score(1.1, 0.3, 0.1)), tried, hurried=hurried)
        return found.plan, found.score.temperature

    winner = replace(_plan(), rows=None, labels=0.0)
    assert lasting(winner) == (replace(winner, steps=steps, rows=rows), temperature)
    mine = replace(winner, rows=700)
    assert lasting(mine)[0] == replace(mine, steps=steps), "rows that are given stay"
    given = {steps: lasting(replace(winner, steps=steps)) for steps in (trials.STEPS, trials.STEPS + 1)}
    assert [(one.steps, temperature) for one, temperature in given.values()] == [
        (trials.STEPS, 1.1),  # no longer than it was tried
        (trials.STEPS + 1, 2.0),
    ]


def test_half_of_the_labels_is_tried_briefly_and_labels_alone_as_long_as_they_will_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[int | None, float | None, bool]] = []

    def score(candidate: Plan, *, brief: bool, best: Score | None) -> Score:
        before = [losses[one] for one in seen]
        assert best is None if not before else best is not None and best.loss == min(before[:2])
        seen.append((candidate.rows, candidate.labels, brief))
        return _score(1.0, losses[seen[-1]], 0.1)

    losses = {(None, 0.0, True): 0.9, (0, HALF, True): 0.8, (0, 1.0, False): 0.7, (0, HALF, False): 0.75}
    losses[None, 1.0, True], losses[0, 1.0, True] = 0.9, 0.8

    tried = _with(Trials, few=False, score=score, of_copies=_score(1.0, 0.0, 0.0))
    monkeypatch.setattr(Trials, "of", lambda *_: tried)
    given = _with(Given, known=torch.zeros(300), matrix=np.zeros((300, 1)))
    assert chosen(_plan(curves=0), None, given).plan.labels == 1
    assert seen == [(None, 0.0, True), (0, HALF, True), (0, 1.0, False), (0, HALF, False)]
    losses[0, HALF, False] = 0.65
    seen.clear()
    assert chosen(_plan(curves=0), None, given).plan.labels == HALF, "which was tried for as long, too"
    seen.clear()
    assert chosen(_plan(curves=0, labels=1.0, steps=9), None, given).plan.rows == 0
    assert seen == [(None, 1.0, True), (0, 1.0, False)], "with synthetic rows it is no training of labels alone"


def test_what_is_surely_worse_on_the_first_rows_held_out_is_not_tried_on_the_others() -> None:
    def tried(name: str) -> Callable[..., torch.Tensor]:
        def answers(candidate: Plan, *, brief: bool) -> torch.Tensor:
            seen.append((name, candidate.labels))
            apart = torch.tensor(logits[name, candidate.labels])
            return torch.stack([apart, torch.zeros(4)], 1)

        return answers

    sure, unsure, wrong = [5.0] * 4, [1.0] * 4, [5.0, 5.0, 5.0, -5.0]  # the truth is the first class
    logits = {("first", 0.0): unsure, ("second", 0.0): sure, ("first", 0.5): wrong, ("second", 0.5): sure}
    logits |= {("first", 1.0): [0.0] * 4, ("second", 1.0): sure}
    folds = [_with(trials._Fold, held=torch.arange(4), answers=tried("first"))]
    folds += [_with(trials._Fold, held=torch.arange(4, 8), answers=tried("second"))]
    given: Any = _with(Given, task=CLASSES, weights=None, known=None)
    found = Trials(folds, given, torch.zeros(8, dtype=torch.long), few=True)
    seen: list[tuple[str, float | None]] = []
    first = found.score(_plan(labels=0.0))
    assert seen == [("first", 0.0), ("second", 0.0)] and first.complete

    half = found.score(_plan(labels=0.5), best=first)
    assert seen[2:] == [("first", 0.5), ("second", 0.5)] and half.complete, "its one error may be by chance"

    alone = found.score(_plan(labels=1.0), best=first)
    assert seen[4:] == [("first", 1.0)] and not alone.complete
    of_unsure, of_sure, of_none = math.log1p(math.exp(-1)), math.log1p(math.exp(-5)), math.log(2)
    assert first.loss == pytest.approx((of_unsure + of_sure) / 2)
    assert alone.loss == pytest.approx(first.loss + of_none - of_unsure), "as much worse on all rows"
    assert (alone.errors, len(alone.losses)) == (0.0, 4)


@pytest.mark.parametrize(
    ("copies", "of_labels", "apart", "few", "better"),
    [
        ((0.5, 0.2), 0.32, 0.1, True, True),  # worse by less than the standard error of the difference, .058
        ((0.5, 0.2), 0.32, 0.02, True, False),  # .012
        ((0.5, 0.2), 0.3, 0.0, True, True),
        ((0.5, 0.05), 0.32, 0.1, True, False),  # on few rows a teacher that makes fewer errors is no worse one
        ((0.5, 0.05), 0.32, 0.1, False, True),
        ((0.33, 0.2), 0.32, 0.1, False, False),  # it is worse than labels alone, but not by more than that
        ((0.2, 0.2), 0.32, 0.1, False, False),  # of a good teacher there is much to learn
        ((0.2, 0.2), 0.28, 0.1, False, True),
    ],
)
def test_a_teacher_that_is_surely_worse_than_labels_is_followed_only_where_that_is_surely_better(
    copies: tuple[float, float], of_labels: float, apart: float, few: bool, better: bool
) -> None:
    alone, imitator = _score(1.0, of_labels, 0.1, apart), _score(1.0, 0.3, 0.1)
    assert is_better_alone(alone, imitator, _score(1.0, *copies), few=few) is better


def test_numbers_that_cannot_be_shown_otherwise_are_not_tried_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two values each there is nothing between them that a network could be shown."""
    draws = np.random.default_rng(0)
    x = draws.integers(0, 2, (220, 4)).astype(float)
    report = Mimic(LogisticRegression(), **SMALL).fit(x, x[:, 0].astype(int)).report_
    assert [(one["curves"], one["rows"]) for one in report.candidates][:2] == [(None, None), (None, 0)]


# -- the whole of it ---------------------------------------------------------------------------------------------------


def test_of_a_teacher_that_knows_nothing_nothing_is_learned(noisy: tuple[np.ndarray, np.ndarray]) -> None:
    x, new_x = noisy[0][:240], noisy[0][400:]
    y, new_y = (x[:, 0] > 0).astype(int), (new_x[:, 0] > 0).astype(int)
    mimic = Mimic(DummyClassifier(strategy="prior"), **SMALL).fit(x, y)
    assert [one["labels"] for one in mimic.report_.candidates] == [0.0, 0.0, 0.5, 1.0]
    assert mimic.report_.labels == 1.0
    assert mimic.score(new_x, new_y) > mimic.teacher_.score(new_x, new_y)


@pytest.mark.parametrize("fitted", [True, False])
def test_a_teacher_that_knows_its_rows_by_heart_misleads_no_mimic(
    fitted: bool, noisy: tuple[np.ndarray, np.ndarray]
) -> None:
    """A full tree is right about each row that it has seen; of others it is as sure, and often wrong."""
    (x, y), (new_x, new_y) = ([one[:240] for one in noisy], [one[400:] for one in noisy])
    tree = DecisionTreeClassifier(random_state=0)
    mimic = Mimic(tree.fit(x, y) if fitted else tree, **SMALL).fit(x, y)
    assert mimic.teacher_.score(x, y) == 1.0
    # 0.64 is the least there can be, and 0.69 that of not knowing; the tree's is that of its least probability.
    assert -np.log(mimic.predict_proba(new_x)[np.arange(400), new_y]).mean() < 0.72
    assert mimic.score(new_x, new_y) > mimic.teacher_.score(new_x, new_y)
    assert [one["labels"] for one in mimic.report_.candidates] == [0.0, 0.0, 0.5, 1.0]
    assert mimic.report_.labels == 1.0, "which the tree says of these rows, too"
    assert "chosen of 4" in str(mimic.report_)


def test_the_same_mimic_from_the_same_seed_and_the_teacher_stays(noisy: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = noisy[0][:240], noisy[1][:240]
    tree = DecisionTreeClassifier(random_state=0).fit(x, y)
    before = tree.tree_
    one, other = (Mimic(tree, **SMALL, curves=0).fit(x, y).predict_proba(x) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert tree.tree_ is before


def test_values_are_chosen_too_and_rows_may_have_weights() -> None:
    draws = np.random.default_rng(0)
    x = draws.normal(size=(220, 3))
    y = x[:, 0] + draws.normal(size=220)
    forest = RandomForestRegressor(5, random_state=0)
    report = Mimic(forest, **SMALL, curves=0).fit(x, y, sample_weight=draws.integers(1, 3, 220)).report_
    assert [one["labels"] for one in report.candidates] == [0.0, 0.5, 1.0]
    assert report.temperature == 1.0


def test_several_labels_are_chosen_for_too(noisy: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = noisy[0][:220], noisy[1][:220]
    forest = RandomForestClassifier(5, random_state=0)
    report = Mimic(forest, **SMALL, curves=0).fit(x, np.stack([y, (x[:, 1] > 0).astype(int)], 1)).report_
    assert [one["labels"] for one in report.candidates] == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("why", ["few rows", "no time", "frozen", "not scikit-learn's", "nothing open"])
def test_nothing_is_chosen_where_nothing_can_be(why: str, noisy: tuple[np.ndarray, np.ndarray]) -> None:
    count = 199 if why == "few rows" else 220
    x, y = noisy[0][:count], noisy[1][:count]
    teacher: Any = LogisticRegression().fit(x, y)
    if why == "frozen":
        teacher = FrozenEstimator(teacher)
    elif why == "not scikit-learn's":
        teacher = type("Other", (), {"predict_proba": teacher.predict_proba, "classes_": np.array([0, 1])})()
    given = (
        {"time": 0} if why == "no time" else {"curves": 0, "labels": 0.0, "rows": 50} if why == "nothing open" else {}
    )
    report = Mimic(teacher, **SMALL, **given).fit(x, y).report_
    assert (report.candidates, report.temperature, report.labels) == ((), 1.0, 0.0)


def test_time_ends_the_choice(noisy: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = noisy[0][:220], noisy[1][:220]
    tried = Mimic(LogisticRegression(), **SMALL, time="0.001 s").fit(x, y).report_.candidates
    assert len(tried) == 1
    assert (tried[0]["curves"], tried[0]["rows"]) == (None, None), "the usual comes first"


def test_a_class_of_few_rows_among_many_stops_no_choice(
    noisy: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 800 rows 240 are used, by their shares none of a class of one."""
    monkeypatch.setattr(trials, "MOST", 240)
    x, y = noisy[0], noisy[1].copy()
    y[0] = 2
    report = Mimic(DecisionTreeClassifier(max_depth=3), **SMALL, curves=0).fit(x, y).report_
    assert [one["labels"] for one in report.candidates][:2] == [0.0, 0.5]


def test_a_copy_that_cannot_be_fitted_is_told(
    noisy: tuple[np.ndarray, np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    class Once(LogisticRegression):  # type: ignore[misc]
        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
            if len(X) < 220:
                raise RuntimeError("too few rows for me")
            return super().fit(X, y)

    report = Mimic(Once(), **SMALL).fit(noisy[0][:220], noisy[1][:220]).report_
    assert report.candidates == ()
    assert "too few rows for me" in caplog.text


def test_what_a_choice_says_of_itself() -> None:
    assert Choice(plan=_plan(labels=0.25)).facts == {"labels": 0.25, "temperature": 1.0, "candidates": ()}
    assert labels_in(LABELS, torch.tensor([[0.1, -0.1]])).tolist() == [[1, 0]]
