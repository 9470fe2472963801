"""N2N as a strategy: it replays, spends what it may, hands on from stage to stage, and is better than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from attar.budget import Limit
from attar.errors import BadInput
from attar.network.spec import Spec
from attar.search.goal import Goal
from attar.search.n2n import actions
from attar.search.n2n.describe import describe
from attar.search.n2n.layers import Invalid, Layers
from attar.search.proposal import Proposal, State, Trial
from attar.search.reward import CompressionReward
from attar.search.strategies.n2n import N2N

SCORE = 0.9


def _layers(depth: int) -> Layers:
    arguments = {"inputs": 16, "classes": 4, "hidden": [24] * depth}
    return describe(Spec("attar.network.architectures:mlp", arguments), torch.zeros(1, 16))


@pytest.fixture(scope="module")
def layers() -> Layers:
    return _layers(4)


def _teacher(layers: Layers) -> dict[str, float]:
    return {"parameters": float(layers.parameters), "score": SCORE}


def _tried(layers: Layers, number: int, proposal: Proposal) -> Trial:
    """As if it had been trained: each activation that goes costs a share of the score, and so does width."""
    removed, shares = proposal.choices.get("removed", []), proposal.choices.get("outputs", {})
    kinds = {state.name: state.kind for state in layers.states}
    gone = [kinds[name] for name in removed]
    parameters = layers.parameters - 600 * gone.count("linear")
    for share in shares.values():
        parameters -= int((1 - share) * 300)
    score = SCORE * 0.85 ** gone.count("activation") * 0.97 ** len(shares)
    return Trial(
        number=number,
        proposal=proposal,
        state="trained",
        figures={"parameters": float(parameters), "score": score},
    )


def _mixed(layers: Layers, number: int, proposal: Proposal) -> Trial:
    """Some were beyond the budget, and some failed; it hangs on the proposal alone."""
    trial = _tried(layers, number, proposal)
    state: State = ("trained", "trained", "trained", "over_budget", "failed")[int(proposal.key, 16) % 5]  # type: ignore[assignment]
    figures = {name: value for name, value in trial.figures.items() if state == "trained" or name != "score"}
    return Trial(number=number, proposal=proposal, state=state, figures=figures)


def _search(strategy: N2N, layers: Layers, tried: Any = _tried) -> list[list[Trial]]:
    """All batches until there is nothing more."""
    batches: list[list[Trial]] = []
    while batch := strategy.propose([trial for one in batches for trial in one]):
        start = sum(map(len, batches))
        batches.append([tried(layers, start + place, proposal) for place, proposal in enumerate(batch)])
    return batches


def _history(batches: Sequence[Sequence[Trial]]) -> list[Trial]:
    return [trial for batch in batches for trial in batch]


def test_what_is_still_to_be_shrunk_is_trained_however_large_and_judged_by_what_it_would_take(layers: Layers) -> None:
    teacher = {**_teacher(layers), "bytes": 1000.0}
    limits = (Limit.read("quality_loss", "90%"), Limit.read("bytes", 250))
    goal = Goal(limits=limits, prefer="bytes", teacher={"quality_loss": SCORE, "bytes": 1000.0})

    def tried(layers: Layers, number: int, proposal: Proposal) -> Trial:
        trial = _tried(layers, number, proposal)
        return replace(trial, figures={**trial.figures, "bytes": 500.0})

    strategy = N2N(layers=layers, teacher=teacher, goal=goal, trials=10, iterations=1, seed=2)
    history = _history(_search(strategy, layers, tried))
    assert {trial.proposal.intermediate: trial.proposal.choices["stage"] for trial in history} == {
        True: "removal",
        False: "shrinkage",
    }
    for stage, trial in zip(strategy._reached, (history[0], history[-1]), strict=True):
        seen, first = stage.seen_as(trial).figures, trial.proposal.intermediate
        assert (seen["bytes"] < 250 < trial.figures["bytes"]) if first else seen == trial.figures
        assert seen["score"] == trial.figures["score"]
        assert (stage.reward(seen, teacher, 15) > 0) is first  # nothing is forgiven any more
    alone = N2N(layers=layers, teacher=teacher, goal=goal, trials=6, iterations=1, stages=("removal",), seed=2)
    assert not any(proposal.intermediate for proposal in alone.propose([]))


def _keys(proposals: Sequence[Proposal]) -> list[str]:
    return [proposal.key for proposal in proposals]


def test_a_fresh_strategy_goes_on_where_another_one_was_killed(layers: Layers) -> None:
    def fresh() -> N2N:
        return N2N(layers=layers, teacher=_teacher(layers), trials=24, iterations=6, seed=3)

    first = fresh()
    batches = _search(first, layers, _mixed)
    assert {trial.state for trial in _history(batches)} == {"trained", "over_budget", "failed"}
    assert {trial.proposal.choices["stage"] for trial in _history(batches)} == {"removal", "shrinkage"}
    for done in (0, 1, len(batches) - 1, len(batches)):
        expected = [trial.proposal.key for trial in batches[done]] if done < len(batches) else []
        assert _keys(fresh().propose(_history(batches[:done]))) == expected
        assert _keys(first.propose(_history(batches[:done]))) == expected  # it has seen more, which is not so here
    assert fresh().course(_history(batches)) == first.course(_history(batches))


def test_trainings_are_spent_once_each_and_no_more_than_asked_for(layers: Layers) -> None:
    strategy = N2N(layers=layers, teacher=_teacher(layers), trials=9, seed=1)
    history = _history(_search(strategy, layers))
    stages = [trial.proposal.choices["stage"] for trial in history]
    assert len({trial.proposal.key for trial in history}) == len(history) == 9
    assert stages == ["removal"] * 4 + ["shrinkage"] * 5
    spent = [(one["stage"], one["trainings"], one["of"], one["ended"]) for one in strategy.spent(history)]
    assert spent == [("removal", 4, 4, "trainings"), ("shrinkage", 5, 5, "trainings")]
    (stopped,) = strategy.spent(history[:2])
    assert stopped["ended"] is None and stopped["trainings"] == 2
    over = _history(_search(N2N(layers=layers, teacher=_teacher(layers), trials=6, seed=1), layers, _mixed))
    assert sum(trial.state != "over_budget" for trial in over) == 6 < len(over)


def test_the_second_stage_begins_with_the_best_student_of_the_first(layers: Layers) -> None:
    teacher, reward = _teacher(layers), CompressionReward()
    strategy = N2N(layers=layers, teacher=teacher, trials=16, epochs=2, seed=2)
    history = _history(_search(strategy, layers))
    first = [trial for trial in history if trial.proposal.choices["stage"] == "removal"]
    best = max(first, key=lambda trial: reward(trial.figures, teacher, 0))
    assert {trial.proposal.start for trial in first} == {"teacher"}
    assert {trial.proposal.epochs for trial in history} == {2}
    second = [trial for trial in history if trial not in first]
    assert {trial.proposal.start for trial in second} == {best.proposal.key}
    gone = best.proposal.choices["removed"]
    assert gone
    for trial in second:
        assert not set(gone) & set(trial.proposal.choices["outputs"])
        network = dict(trial.proposal.spec.build().named_modules())
        assert all(not hasattr(network.get(name), "weight") for name in gone)


def test_rewards_of_the_second_stage_are_held_against_teacher_or_student(layers: Layers) -> None:
    teacher, reward = _teacher(layers), CompressionReward()
    for relative_to in ("teacher", "student"):
        strategy = N2N(layers=layers, teacher=teacher, trials=12, relative_to=relative_to, inherit=False, seed=2)
        history = _history(_search(strategy, layers))
        assert {trial.proposal.start for trial in history} == {None}
        known = {trial.proposal.key: trial for trial in history}
        first = [trial for trial in history if trial.proposal.choices["stage"] == "removal"]
        best = max(first, key=lambda trial: reward(trial.figures, teacher, 0))
        against = teacher if relative_to == "teacher" else best.figures
        found = [one for one in strategy.course(history) if one["stage"] == "shrinkage"]
        assert found
        for record in found:
            for key, worth, times in zip(record["keys"], record["rewards"], record["compression"], strict=True):
                if key is None:
                    assert worth == -1
                else:
                    assert worth == pytest.approx(reward(known[key].figures, against, 0))
                    assert times == pytest.approx(teacher["parameters"] / known[key].figures["parameters"])


def test_what_was_drawn_before_is_not_tried_again_and_its_reward_counts(layers: Layers) -> None:
    strategy = N2N(layers=layers, teacher=_teacher(layers), stages=["removal"], trials=200, iterations=12, seed=0)
    history = _history(_search(strategy, layers))
    course = strategy.course(history)
    assert [record["iteration"] for record in course] == list(range(12))
    drawn = [key for record in course for key in record["keys"] if key is not None]
    assert {trial.proposal.key for trial in history} >= set(drawn) and len(history) < len(drawn)
    worth = {}
    for record in course:
        for key, reward in zip(record["keys"], record["rewards"], strict=True):
            assert key is None or worth.setdefault(key, reward) == reward
        assert record["mean"] == pytest.approx(sum(record["rewards"]) / 5)
    assert course[-1]["trained"] == len(set(drawn))
    assert strategy.spent(history) == [
        {"stage": "removal", "trainings": len(history), "of": 200, "updates": 12, "ended": "updates"}
    ]
    assert 0 < course[0]["entropy"] < 8


def test_actions_that_lead_to_no_network_are_punished_and_nothing_is_tried(
    layers: Layers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "student", lambda *_: Invalid("It is too small."))
    strategy = N2N(layers=layers, teacher=_teacher(layers), iterations=3)
    assert strategy.propose([]) == []
    course = strategy.course([])
    assert [record["rewards"] for record in course] == [[-1.0] * 5] * 6
    assert course[0]["invalid"] == ["It is too small."] * 5


@pytest.mark.slow
def test_it_finds_what_chance_does_not() -> None:
    # What costs the score when it goes are activations, and what costs parameters are linear layers: the best
    # networks keep all of the ones and none of the others, which chance does once in millions of draws.
    layers = _layers(12)
    teacher, reward = _teacher(layers), CompressionReward()
    free = torch.tensor([state.removable for state in layers.states])
    activation = torch.tensor([state.kind == "activation" for state in layers.states]) & free
    linear = torch.tensor([state.kind == "linear" for state in layers.states]) & free
    draws = torch.rand(100, 200, len(free), generator=torch.Generator().manual_seed(0)) < 0.5
    saved = 600.0 * (draws & linear).sum(-1) / layers.parameters
    chance = (saved * (2 - saved) * 0.85 ** (draws & activation).sum(-1)).amax(-1)
    strategy = N2N(layers=layers, teacher=teacher, stages=["removal"], blocks=False, trials=200, iterations=60, seed=0)
    history = _history(_search(strategy, layers))
    assert len(history) <= 200
    found = max(reward(trial.figures, teacher, 0) for trial in history)
    assert found > chance.mean() + 4 * chance.std()
    assert found > chance.max()


def test_policies_are_saved_and_begun_with(layers: Layers, tmp_path: Path) -> None:
    first = N2N(layers=layers, teacher=_teacher(layers), trials=12, seed=0)
    history = _history(_search(first, layers))
    first.save(tmp_path, history)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["removal.safetensors", "shrinkage.safetensors"]
    larger = _layers(6)
    drawn = [
        _keys(N2N(layers=larger, teacher=_teacher(larger), policy=policy, seed=seed).propose([]))
        for policy, seed in ((str(tmp_path), 0), (str(tmp_path), 0), (None, 0))
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    with pytest.raises(BadInput, match=r"policy of the strategy n2n must be a folder with removal\.safetensors or"):
        N2N(layers=layers, teacher=_teacher(layers), policy=str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trials": 0}, "trials of the strategy n2n must be at least 1; got 0"),
        ({"stages": ["shrinkage", "removal"]}, "stages of the strategy n2n must be 'removal', 'shrinkage', or both"),
        ({"bound": -1.0}, "bound of the strategy n2n must be at least 0 and finite; got -1"),
        ({"sizes": []}, "sizes of the strategy n2n must be 'outputs', 'kernels', or both; got"),
        ({"teacher": {"macs": 1.0}}, "score of the teacher must be known to the reward; got None"),
        ({"size": "latency"}, "latency of the teacher must be known to the reward; got None"),
        ({"removal_rate": 0.0}, "learning_rate of N2N must be greater than 0; got 0"),
        ({"multipliers": [2.0]}, "multipliers of N2N must be numbers greater than 0 and at most 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(layers: Layers, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        N2N(**{"layers": layers, "teacher": _teacher(layers), **settings})
