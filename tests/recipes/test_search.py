"""A student looked for by a recipe that names none: from the table to the report."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch
from whole_runs import assert_same_weights, reused

from attar.budget import Limit
from attar.deployment.artifact import load
from attar.errors import AttarError, BadInput
from attar.models.rebuild import spec_from_json
from attar.network.architectures import mlp
from attar.network.spec import Spec
from attar.network.weights import read_tensors
from attar.pipeline.nodes import Node, Nodes
from attar.pruning.edit import prune
from attar.pruning.groups import find_groups
from attar.recipes.compress import Run, compress
from attar.recipes.data import data_of
from attar.recipes.plan import plan
from attar.recipes.read import from_document, read
from attar.recipes.search import FOUND, POLICIES, _time_file, found_recipe, found_student
from attar.recipes.search_estimate import measuring_seconds
from attar.recipes.search_figures import binding
from attar.recipes.search_plan import search_lines
from attar.recipes.search_pool import pool_for, seconds_each
from attar.recipes.search_space import middle_of, space_for, strategy_for, untried_of, words_of
from attar.recipes.search_time import final_settings, in_fewer_views, seconds_before, shortened, time_for_search
from attar.recipes.start import open_run
from attar.recipes.teachers import first_model, teacher_model
from attar.search.evaluate import Evaluator
from attar.search.finalists import finalists
from attar.search.goal import Goal
from attar.search.n2n.describe import describe
from attar.search.n2n.layers import Invalid, Rules
from attar.search.n2n.surgery import student
from attar.search.pool import Here, Pool
from attar.search.processes import Processes
from attar.search.proposal import Proposal, Trial
from attar.search.search import search
from attar.search.space import IntRange, Space
from attar.search.strategies.n2n import N2N
from attar.search.time_limit import TimeLimit
from attar.teachers.teacher import NetworkTeacher
from attar.training.progress import silent

MLP = "attar.network.architectures:mlp"
SPACE = {"use": MLP, "arguments": {"inputs": 6, "classes": 3, "hidden": [[2], [4], [8]]}}

Document = dict[str, Any]


def searching(tiny: Document, **search: Any) -> Document:
    """The tiny recipe without its student, and with a search for it."""
    tiny["student"].pop("network", None)
    settings = {"strategy": "random", "proposals": 3, "epochs": 1, "finalists": 2, "seeds": 1, "pareto": 0}
    return tiny | {"search": settings | {"space": SPACE} | search}


@pytest.fixture(scope="module")
def finished(tiny_file: Path, tmp_path_factory: pytest.TempPathFactory, hurried: None) -> Run:
    """A run that looked for its student."""
    document = searching(tomllib.loads(tiny_file.read_text(encoding="utf-8")), pareto=2)
    document["budget"] |= {"bytes": "3 kB", "prefer": "bytes"}
    return compress(document, tmp_path_factory.mktemp("search") / "run", workers=1)


def test_the_student_that_was_found_is_trained_deployed_and_reported(finished: Run) -> None:
    found = finished.evidence["search"]
    assert [trial["state"] for trial in found["trials"]] == ["trained"] * 3
    assert sorted(trial["choices"]["hidden"] for trial in found["trials"]) == [[2], [4], [8]]
    assert {len(one["quality"]) for one in found["finalists"]} == {1} and len(found["finalists"]) == 2
    assert found["within"] and found["why"].startswith(f"Student #{found['winner']} is the smallest of 3 ")
    winner = found["trials"][found["winner"]]
    assert finished.evidence["recipe"]["student"]["network"]["arguments"]["hidden"] == winner["choices"]["hidden"]
    assert finished.artifact(torch.zeros(3, 6)).shape == (3, 3)
    assert "search" in [panel.get("name") for panel in finished.evidence["panels"]]
    # Of what is told as its quality nothing is a score of the search.
    (student,) = (one for one in finished.evidence["models"] if one["kind"] == "candidate")
    assert student["quality"]["examples"] == finished.evidence["task"]["test"]


def test_others_of_the_pareto_set_are_trained_deployed_and_measured_too(finished: Run) -> None:
    found = finished.evidence["search"]
    others = found["pareto"]
    assert 1 <= len(others) <= 2
    for one in others:
        trial = found["trials"][one["number"]]
        assert one["number"] != found["winner"] and not trial["beyond"]
        assert one["quality"]["examples"] == finished.evidence["task"]["test"] and one["size_bytes"] < 3000
        assert one["sentence"] and (one["outcome"] == "not met") is (one["refused"] is not None)
        # In milliseconds of the race of the winner: the ratio to the teacher is the one that was measured.
        teacher = next(model for model in finished.evidence["models"] if model["kind"] == "teacher")
        ratio = teacher["latency"]["1"]["median_ms"] / one["latency"]["1"]["median_ms"]
        assert ratio == pytest.approx(one["faster"]["1"]["ratio"])
        folder = finished.folder / one["folder"]
        assert load(folder / "artifact")(torch.zeros(3, 6)).shape == (3, 3)
        recipe = read(folder / "recipe.toml")
        assert recipe.network.arguments["hidden"] == trial["choices"]["hidden"]
        assert (recipe.name, recipe.search, recipe.baseline) == (f"tiny-{one['number']}", None, True)
        stages = [stage["name"] for stage in finished.evidence["stages"]]
        assert f"pareto/student-{one['number']}" in stages
    # Of layers both networks have those with parameters, which add up.
    layers = found["layers"]
    assert [layer["parameters"] for layer in layers["teacher"] if layer["parameters"]] == [6 * 24 + 24, 24 * 3 + 3]
    assert sum(layer["macs"] for layer in layers["student"]) == found["trials"][found["winner"]]["figures"]["macs"]


def test_one_that_cannot_be_trained_is_told_and_the_winner_ships(
    finished: Run, tmp_path: Path, undrawn: None, hurried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attar.recipes.pareto_set.train_students", _raising)
    run = compress(read(finished.folder / "recipe.toml"), tmp_path / "run", workers=1, reuse_from=[finished.folder])
    numbers = [one["number"] for one in finished.evidence["search"]["pareto"]]
    assert run.evidence["search"]["pareto"] == [
        {"number": number, "why_not": "It raised RuntimeError: no training here"} for number in numbers
    ]
    assert run.outcome == finished.outcome and not (run.folder / "pareto").exists()


def test_the_recipe_that_was_written_repeats_the_run_and_the_one_that_was_found_needs_no_search(
    finished: Run, tmp_path: Path
) -> None:
    again = compress(read(finished.folder / "recipe.toml"), finished.folder, workers=1)
    assert all(reused(again).values())
    assert again.evidence["search"]["trials"] == finished.evidence["search"]["trials"]
    found = read(finished.folder / FOUND)
    assert found.search is None and found.name == "tiny"
    run = compress(found, tmp_path / "found", workers=1)
    assert run.evidence["search"] is None
    (ours,) = run.folder.glob("nodes/student/0-*/model.safetensors")  # beside it lie others of the Pareto set
    theirs = finished.folder / ours.relative_to(run.folder)
    assert_same_weights(read_tensors(ours)[0], read_tensors(theirs)[0])


def test_policies_make_the_teacher_small(tiny: Document, tmp_path: Path, undrawn: None, hurried: None) -> None:
    document = searching(tiny, strategy={"use": "n2n", "rollouts": 2}, proposals=4)
    del document["search"]["space"]
    run = compress(document, tmp_path / "run", workers=1)
    found = run.evidence["search"]
    assert found["fewer_parameters"] > 1 and found["course"][0]["stage"] in ("removal", "shrinkage")
    assert list((run.folder / POLICIES).iterdir())
    assert found["stages"][0]["of"] == 2 and found["words"].count(" trainings the stage ") == 2
    network = read(run.folder / FOUND).network
    assert network.edits is not None and network.unedited.spec() == read(run.folder / FOUND).teacher.network.spec()  # type: ignore[union-attr]
    assert run.evidence["recipe"]["student"]["start"] == "teacher"


def test_the_nearest_is_the_one_that_is_least_beyond(
    tiny: Document, tmp_path: Path, undrawn: None, hurried: None
) -> None:
    document = searching(tiny)
    document["budget"] |= {"macs": 9}
    run = compress(document, tmp_path / "run", workers=1)
    found = run.evidence["search"]
    assert {trial["state"] for trial in found["trials"]} == {"over_budget"} and run.outcome == "not met"
    assert run.evidence["recipe"]["student"]["network"]["arguments"]["hidden"] == [2]
    assert found["why"].startswith(f"Student #{found['winner']} was taken untried, as none could be trained; ")
    assert "The tightest limit is that of at most 9 multiply-adds: 0 of " in found["why"]
    assert found["why"].replace("\xa0", " ").endswith("keep it; the least that was found is 18.")


def test_time_that_is_over_ends_the_search_with_a_model(
    tiny: Document, tmp_path: Path, undrawn: None, hurried: None
) -> None:
    run = compress(searching(tiny, time="1s", proposals=40, pareto=1), tmp_path / "run", workers=1)
    found = run.evidence["search"]
    assert run.artifact(torch.zeros(1, 6)).shape == (1, 3)
    assert all(one["why_not"] == "There was no time left for it." for one in found["pareto"])
    assert [trial["state"] for trial in found["trials"]][-1] == "skipped" and found["winner"] < len(
        found["trials"]
    ) <= 41
    assert run.evidence["recipe"]["student"]["network"]["arguments"]["hidden"] == [4], "from the middle"
    assert not run.evidence["recipe"]["baseline"] and " not held against a baseline" in found["why"]
    (late,) = [text for text in run.evidence["warnings"] if text.startswith("The run took ")]
    assert " more than search.time allows: teacher and targets alone took " in late
    (line,) = [
        one for one in plan(searching(tiny, time="1s")).search if "at most 1.0 s in all" in one.replace("\xa0", " ")
    ]
    assert "it is then trained for fewer epochs, and less of it is measured" in line


def test_of_a_limited_time_some_is_kept_for_the_finalists(
    tiny: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two finalists for an epoch of 5 s each: twice what they should take is not for proposals."""
    limits: dict[str, float] = {}

    def seen(name: str, does: Any) -> Any:
        def called(*given: Any, time: TimeLimit, **rest: Any) -> Any:
            limits[name] = time.seconds
            return does(*given, time=time, **rest)

        return called

    monkeypatch.setattr("attar.recipes.search.search", seen("search", search))
    monkeypatch.setattr("attar.recipes.search.finalists", seen("finalists", finalists))
    monkeypatch.setattr("attar.recipes.search.seconds_before", lambda *_: 0.0)
    monkeypatch.setattr("attar.recipes.search_time.epoch_seconds", lambda *_: 5.0)
    monkeypatch.setattr("attar.recipes.search_time.final_seconds", lambda *_: 40.0)
    with open_run(from_document(searching(tiny, time="100s")), tmp_path / "run", "cpu", silent, workers=1) as context:
        found_student(context)
    assert limits == {"search": 60 - 20, "finalists": 60}


@pytest.mark.parametrize(
    ("before", "seeds", "proposals", "expected"),
    [
        (0.0, 1, 3, (3600, 2 * 2 * 100)),
        (0.0, 1, 400, (3600, 2 * 2 * 100)),  # of which so many never begin
        (0.0, 6, 3, (3600, 1800)),  # a half at most
        (3200.0, 1, 3, (400, 200)),
        (3380.0, 1, 3, (220, 110)),
        (3450.0, 1, 3, (150, 0)),  # of which a half would not do for one proposal
        (3600.0, 1, 3, (0, 0)),  # a quarter of the rest, in which not one would end
        (5000.0, 1, 3, (0, 0)),
        (2000.0, 1, 3, (1600, 400)),
    ],
)
def test_the_time_of_a_search_is_what_the_others_leave(
    before: float,
    seeds: int,
    proposals: int,
    expected: tuple[float, float],
    tiny: Document,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 4000 s 400 are for the student itself; a proposal takes 100 s, and so does each seed of two finalists."""
    monkeypatch.setattr("attar.recipes.search_time.epoch_seconds", lambda *_: 100.0)
    monkeypatch.setattr("attar.recipes.search_time.final_seconds", lambda *_: 400.0)
    asked = from_document(searching(tiny, time="4000s", seeds=seeds, proposals=proposals))
    with open_run(asked, tmp_path / "run", "cpu", silent, workers=1) as context:
        of_search = time_for_search(context, asked, lambda: before)
        assert (of_search.seconds, of_search.finalists) == expected
        assert time_for_search(context, asked, lambda: 0.0) == of_search, "one that goes on has the time that it had"


@pytest.mark.parametrize(
    ("spent", "epoch", "busy", "expected", "note"),
    [
        (0.0, 2.0, 1.0, (3, 4, 1.0, True), ""),  # 58 s for six trainings of 8 s
        (50.0, 2.0, 1.0, (1, 4, 0.2, True), "trained from 1 of 3 seeds and"),  # 20.8 s
        (50.0, 2.0, 2.0, (1, 4, 0.2, False), "trained from 1 of 3 seeds, LESS,"),  # 12.5 s
        (80.0, 2.0, 1.0, (1, 4, 0.2, False), "trained from 1 of 3 seeds, LESS,"),  # 10 s
        (120.0, 2.0, 1.0, (1, 4, 0.2, False), "trained from 1 of 3 seeds, LESS,"),
        (120.0, 5.0, 1.0, (1, 2, 0.2, False), "trained for 2 of 4 epochs, trained from 1 of 3 seeds, LESS,"),
        (120.0, 99.0, 1.0, (1, 1, 0.2, False), "trained for 1 of 4 epochs, trained from 1 of 3 seeds, LESS,"),
    ],
)
def test_what_was_found_is_trained_for_as_long_as_there_is_time(
    spent: float,
    epoch: float,
    busy: float,
    expected: tuple[int, int, float, bool],
    note: str,
    tiny: Document,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 100 s eight forms take 10 + 8 (2 + 2), or 29.2 if timed for 0.2 s, and four of them 19.6.

    A quarter of what the search left is the student's, and 10 s in any case.
    """
    monkeypatch.setattr("attar.recipes.search_time.epoch_seconds", lambda *_: epoch)
    monkeypatch.setattr("attar.recipes.search_estimate.candidates", lambda *_: range(4))
    tiny["artifacts"] = {"seconds": 1.0}
    tiny["student"]["seeds"] = 3
    asked = from_document(tiny)
    with open_run(asked, tmp_path / "run", "cpu", silent, workers=1) as context:
        found = final_settings(context, 100.0, spent, "a search", busy=busy)
    settings = found.artifacts
    assert (found.student.seeds, found.student.training.epochs, settings.seconds, found.baseline) == expected
    assert (settings.runtimes == ["onnxruntime"], settings.int8) == (not found.baseline, found.baseline)
    less = "deployed in 1 of 3 runtimes, not tried in int8, not held against a baseline"
    assert shortened(asked, found).replace("\xa0", " ") == (
        f"For lack of time it is {note.replace('LESS,', less + ' and')} timed for 0.2 s in each form." if note else ""
    )


@pytest.mark.parametrize(
    ("time", "before", "views"), [("1h", 0.0, 3), ("1h", 3600.0, 1), ("1h", 9999.0, 1), (None, 9999.0, 3)]
)
def test_labels_take_a_share_of_a_limited_time(
    time: str | None, before: float, views: int, tiny: Document, tmp_path: Path
) -> None:
    document = searching(tiny, **({"time": time} if time else {}))
    document["transfer"] = {"views": {"count": 3, "noise": 0.1}}
    with open_run(from_document(document), tmp_path / "run", "cpu", silent, workers=1) as context:
        teacher = NetworkTeacher(mlp(6, 3, [24]), classes=3)
        found = in_fewer_views(context, teacher, None, lambda: before)
        assert found.transfer.views.model_dump() == {**context.recipe.transfer.views.model_dump(), "count": views}
        assert in_fewer_views(context, teacher, None, lambda: 0.0) == found, "one that goes on decides as it did"
        if views == 1:
            assert shortened(context.recipe, found) == "For lack of time it is trained on 1 of 3 views."


@pytest.mark.parametrize(("limit", "hidden"), [({}, 33), ({"bytes": 700}, 13), ({"macs": 5}, 33)])
def test_what_is_taken_untried_is_one_from_the_middle_or_a_smaller_one_within_the_budget(
    limit: Document, hidden: int, tiny: Document
) -> None:
    """Of 6 inputs and 3 classes: 10 h + 3 parameters of four bytes."""
    asked = from_document(searching(tiny))
    space = Space(
        dimensions={"hidden": IntRange(1, 64)},
        build=lambda chosen: (Spec(MLP, {"inputs": 6, "classes": 3, "hidden": [chosen["hidden"]]}), ()),
    )
    goal = Goal(limits=[Limit.read(what, most) for what, most in limit.items()], prefer="latency", teacher={})
    found = untried_of(asked, data_of(asked, silent), space, goal)
    assert found.spec.arguments["hidden"] == [hidden]


def test_on_a_busy_machine_deploying_takes_longer_and_a_timing_does_not(
    tiny: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight forms, each 2 s and twice 3 s of timing, and 10 s besides."""
    monkeypatch.setattr("attar.recipes.search_estimate.candidates", lambda *_: range(4))
    tiny["artifacts"]["seconds"] = 3.0
    recipe = from_document(tiny)
    assert [measuring_seconds(recipe, busy) for busy in (1.0, 4.0)] == [48 + 26, 48 + 4 * 26]


def test_what_was_over_before_the_search_counts_by_the_clock_and_what_is_found_as_long_as_it_took(
    tmp_path: Path,
) -> None:
    nodes = Nodes(tmp_path)
    for name, seconds, found in (("data", 2.0, False), ("teacher/0", 300.0, True), ("targets", 30.0, False)):
        nodes.done += [Node(name, "", tmp_path, {}, seconds, found), Node(name, "", tmp_path, {}, seconds, True)]
    assert seconds_before(nodes, 45.0) == 45 + 2 + 300


def test_policies_that_a_run_would_replace_are_no_beginning(tiny: Document, tmp_path: Path) -> None:
    document = searching(tiny, strategy={"use": "n2n", "policy": str(tmp_path / "run" / "x" / ".." / POLICIES)})
    del document["search"]["space"]
    (tmp_path / "run" / POLICIES).mkdir(parents=True)
    (tmp_path / "run" / "x").mkdir()
    (tmp_path / "run" / "recipe.toml").write_text('name = "tiny"', encoding="utf-8")
    (tmp_path / "run" / POLICIES / "removal.safetensors").write_bytes(b"")
    read_policy = "attar.search.strategies.n2n.load_policy"
    for do in (lambda: plan(document, tmp_path / "run"), lambda: compress(document, tmp_path / "run", workers=1)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(read_policy, lambda *_: None)
            with pytest.raises(
                BadInput, match=r"^search\.strategy\.policy of the recipe must be a folder that this run .*--out"
            ):
                do()
    assert [one.name for one in (tmp_path / "run" / POLICIES).iterdir()] == ["removal.safetensors"]


def test_rules_say_which_layers_a_policy_leaves_alone(tiny: Document, tmp_path: Path) -> None:
    def searched(rules: Any) -> N2N:
        document = searching(tiny, strategy={"use": "n2n", "rules": rules})
        del document["search"]["space"]
        with open_run(from_document(document), tmp_path / "run", "cpu", silent, workers=1) as context:
            strategy = strategy_for(context.recipe, context.dataset, None, Goal(limits=(), prefer="bytes", teacher={}))
        assert isinstance(strategy, N2N)
        return strategy

    assert searched("usual").layers.rules == Rules()
    assert searched({"min_channels": 3}).layers.rules == Rules(min_channels=3)
    with pytest.raises(BadInput, match=r"^No layer of the network can be removed or get narrower: "):
        searched({"fixed": ["first", "last", "*"], "fixed_widths": ["*"]})
    with pytest.raises(
        BadInput, match=r"let fewer than 24 channels stay \(min_channels of its rules\), or use another"
    ):
        searched({"min_channels": 24})
    with pytest.raises(
        BadInput, match=r"^The rules of n2n leave linear layers as they are, and no other .* Leave rules"
    ):
        searched("paper")
    with pytest.raises(BadInput, match=r"^fixed must fit a layer of the network; 'convv' fits none\."):
        searched({"fixed": ["convv"]})
    with pytest.raises(BadInput, match=r"^rules of the strategy n2n must be known rules, or a table; got 'papr'\."):
        searched("papr")


def test_of_what_failed_the_first_reason_is_told(tiny: Document, tmp_path: Path, undrawn: None) -> None:
    document = searching(tiny, finalists=1)
    document["search"]["space"] = {"use": MLP, "arguments": {**SPACE["arguments"], "dropout": [0.1, 0.2]}}  # type: ignore[dict-item]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("attar.search.evaluate.run_steps", _raising)
        with pytest.raises(AttarError, match=r"^No student could be tried: It raised RuntimeError: no training here "):
            compress(document, tmp_path / "run", workers=1)


def test_where_policies_draw_no_network_the_first_reason_is_told(
    tiny: Document, tmp_path: Path, undrawn: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = searching(tiny, strategy={"use": "n2n", "iterations": 1})
    del document["search"]["space"]
    monkeypatch.setattr("attar.search.n2n.actions.student", lambda *_: Invalid("It is too small."))
    with pytest.raises(
        AttarError,
        match=r"^No student could be tried: Nothing that its policies drew is a network\. It is too small\. Give "
        r"student\.network, or another search\.strategy\.$",
    ):
        compress(document, tmp_path / "run", workers=1)


def _raising(*_: Any, **__: Any) -> None:
    raise RuntimeError("no training here")


@pytest.mark.parametrize(
    ("search", "said"),
    [
        (
            {"strategy": "randm"},
            "search.strategy must be a strategy that there is; got 'randm'. Did you mean 'random'?",
        ),
        ({"strategy": 5}, "search.strategy must be the name of a strategy, or a table with use; got 5."),
        (
            {"strategy": {"use": "tpe", "batchh": 2}},
            "search.strategy must have settings of tpe; got 'batchh'. Did you mean 'batch'?",
        ),
        ({"time": "20"}, "search.time must be a time above nothing with its unit, at most a year; got '20'. Write for"),
        ({"time": "5m 1h"}, "search.time must be a time above nothing"),
        ({"proposals": 0}, "search.proposals must be at least 1; got 0"),
        ({"epochs": 10**12}, "search.epochs must be at most 1000000; got 1000000000000"),
        ({"proposal": 3}, "unknown key search.proposal. Did you mean 'proposals'?"),
        ({"formats": ["3 bits"]}, "search.formats must be names that there are; got '3 bits'. Did you mean "),
        ({"space": {"use": "mlp"}}, "search.space.use must"),
    ],
)
def test_what_is_wrong_in_the_table_is_named_by_its_key(search: Document, said: str, tiny: Document) -> None:
    with pytest.raises(BadInput) as found:
        from_document(searching(tiny, **search))
    assert str(found.value).startswith(f"the recipe: {said}"), found.value


@pytest.mark.parametrize(
    ("search", "said"),
    [
        (
            {"space": {"use": MLP, "arguments": {"hidden": {"from": 9, "to": 3}}}},
            "arguments.hidden.from of search.space of the recipe must be at most arguments.hidden.to, which is 3; got",
        ),
        (
            {"space": {"use": MLP, "arguments": {"inputs": 6, "classes": 4, "hidden": [[2], [4]]}}},
            "student.network of the recipe gives 4 logits for 4 examples of the data, which have 3 classes",
        ),
        ({"strategy": "n2n"}, "search.space of the recipe is not for n2n, which begins with the teacher's network."),
        ({"strategy": {"use": "tpe", "batch": "two"}}, "batch of the strategy tpe must be a whole number"),
    ],
)
def test_what_the_data_show_is_told_before_anything_is_trained(
    search: Document, said: str, tiny: Document, tmp_path: Path
) -> None:
    document = searching(tiny, **search)
    for do in (lambda: plan(document), lambda: compress(document, tmp_path / "run", workers=1)):
        with pytest.raises(BadInput) as found:
            do()
        assert str(found.value).startswith(said), found.value
    assert not (tmp_path / "run" / "nodes").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"student": {"network": {"use": MLP}}},
            "student.network says which student, and search looks for one; leave out student.network ",
        ),
        (
            {"student": {"network": "small"}},
            "student.network says which student, and search looks for one; leave out student.network ",
        ),
        (
            {"student": {"steps": [{"use": "distill"}]}},
            "student.steps says which student, and search looks for one; leave out student.steps, or search ",
        ),
        ({"transfer": {"cached": False}}, "search needs stored targets; leave teacher.learns and transfer.cached out"),
    ],
)
def test_a_search_is_for_a_student_that_is_not_named(change: Document, said: str, tiny: Document) -> None:
    with pytest.raises(BadInput, match=said):
        from_document(searching(tiny) | change)


def test_where_the_middle_of_a_space_is_no_network_another_one_stands_for_all(tiny: Document, tmp_path: Path) -> None:
    """Of a user's space some combinations are none: the search goes on without them, and so does what is before it."""
    space: Document = {"use": MLP, "arguments": {"inputs": 6, "classes": 3, "hidden": [[2], [0], [8]]}}
    document = searching(tiny, space=space)
    assert plan(document, tmp_path / "run").student_parameters in {23, 83}
    space["arguments"]["hidden"] = [[0], [-1]]
    with pytest.raises(BadInput, match=r"^hidden of mlp must be whole numbers of at least 1; got -1\."):
        plan(document, tmp_path / "run")


def test_the_dry_run_says_what_is_searched_and_what_it_takes(tiny: Document, tmp_path: Path) -> None:
    planned = plan(searching(tiny, time="5m", pareto=1), tmp_path / "run")
    assert planned.search[0].startswith("3 proposals by random, each trained for 1 epoch (about ")
    assert planned.search[1] == "in: hidden 2, 4 or 8"
    assert planned.search[2] == (
        "the best 2 again for 1 epoch from 1 seed, one of them then as the student, beside up to 1 other of the Pareto "
        "set"
    )
    assert " on one core; at most 5 min 0 s in all, of which about " in planned.search[3].replace("\xa0", " ")
    assert "\nsearch    3 proposals by random" in str(
        planned
    ) and "\nstudent   one from the middle of what is searched\n" in str(planned)
    assert not (tmp_path / "run").exists()
    tiny["student"]["network"] = "small"
    halved = plan(searching(tiny, strategy="halving", proposals=9), tmp_path / "run").search
    assert ", of which 3 go on to 3 epochs in all, 1 to 4, what is beyond the budget for none" in halved[0]
    assert halved[2].startswith("the best 2 again for 3 to 4 epochs from 1 seed, ")
    parts = plan(searching(tiny, examples=12), tmp_path / "run")
    assert parts.search[0].startswith("3 proposals by random, each trained for 1 epoch on 12 of the examples (about ")
    given = {"use": "given", "students": [{"hidden": [2]}]}
    listed = plan(searching(tiny, strategy=given, proposals=9), tmp_path / "run").search
    assert listed[0].startswith("1 proposal by given ") and listed[2].startswith("the best 1 again for 1 epoch ")


def test_short_trainings_may_see_a_part_of_the_examples(
    tiny: Document, tmp_path: Path, undrawn: None, hurried: None
) -> None:
    run = compress(searching(tiny, examples=12), tmp_path / "run", workers=1)
    assert ", 1 epoch each on 12 of the examples, in: " in run.evidence["search"]["words"]
    assert run.evidence["search"]["finalists"] and run.evidence["search"]["examples_each"] == 12


def test_a_found_student_with_edits_is_written_read_and_begins_with_what_was_kept_of_the_teacher(
    tiny: Document, tmp_path: Path
) -> None:
    """What a search takes away from the teacher's network stays away, and the rest begins with its weights."""
    spec = Spec(MLP, tiny["teacher"]["network"]["arguments"])
    network = spec.build()
    edit = prune(network, find_groups(network, torch.zeros(1, 6)), {"1": [0, 5, 7]})
    proposal = Proposal(spec=spec.with_edit(edit), start="teacher", epochs=2)
    asked = from_document(searching(tiny))
    dataset = data_of(asked, silent)
    found = found_recipe(asked, dataset, proposal)
    assert found.student.start == "teacher" and found.network.spec() == proposal.spec
    again = from_document(found.document())
    assert again == found
    assert spec_from_json(again.network.spec().to_json()) == proposal.spec
    with open_run(found, tmp_path / "run", "cpu", silent, workers=1) as context:
        teacher, first = teacher_model(context), first_model(context, 0)
    assert teacher is not None and isinstance(mlp(6, 3, [24]), type(teacher.module))
    rows = {tuple(row) for row in teacher.module[1].weight.tolist()}  # type: ignore[index, union-attr]
    kept = [tuple(row) for row in first.module[1].weight.tolist()]  # type: ignore[index, union-attr]
    assert len(kept) == len(set(kept)) == 21 and set(kept) < rows
    assert first.spec.edits == (edit,)
    new = found_recipe(asked, dataset, Proposal(spec=spec.with_edit(edit), epochs=2))
    assert new.student.start == "fresh" and new.network.edits is not None


def test_a_proposal_that_hangs_is_given_up_long_after_it_should_be_over(
    tiny: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attar.recipes.search_pool.epoch_seconds", lambda *_: 60.0)
    one, three = (Proposal(spec=Spec(MLP), epochs=epochs) for epochs in (1, 3))
    with open_run(from_document(searching(tiny)), tmp_path / "run", "cpu", silent, workers=1) as context:
        most = seconds_each(context, context.recipe)
        assert (most(one), most(three)) == (20 * 60, 3 * 20 * 60)
        monkeypatch.setattr("attar.recipes.search_pool.epoch_seconds", lambda *_: 0.01)
        assert seconds_each(context, context.recipe)(three) == 3 * 20 * 60, "one that goes on decides as it did"
        other = replace(context, recipe=from_document(searching(tiny, proposals=2)))
        assert seconds_each(other, other.recipe)(three) == 300
        given = replace(context, recipe=from_document(searching(tiny, epochs=2, time_each="90 s")))
        assert [seconds_each(given, given.recipe)(proposal) for proposal in (one, three)] == [90, 135]


@pytest.mark.parametrize(
    ("search", "device", "pool"),
    [
        ({}, "cpu", Here),
        ({"time": "30s"}, "cpu", Here),  # of which a process would take too much
        ({"time": "2m"}, "cpu", Processes),
        ({"time_each": "5s"}, "cpu", Processes),
        ({"time_each": "5s"}, "cuda", Here),
    ],
)
def test_of_a_search_with_a_limit_a_process_evaluates_that_can_be_ended(
    search: Document, device: str, pool: type[Pool], tiny: Document, tmp_path: Path
) -> None:
    """One that hangs is stopped with one worker, too; on a GPU, where it is not, the dry run says so."""
    with open_run(from_document(searching(tiny, **search)), tmp_path / "run", "cpu", silent, workers=1) as context:
        on = replace(context, device=device)
        with pool_for(on, Evaluator.__new__(Evaluator), context.recipe) as found:
            assert type(found) is pool and found.count == 1
        typical = found_recipe(
            context.recipe, context.dataset, Proposal(spec=Spec(MLP, SPACE["arguments"] | {"hidden": [4]}))
        )  # type: ignore[operator]
        assert any("hangs between two steps" in line for line in search_lines(on, typical, None)) == (device == "cuda")


@pytest.mark.slow
def test_two_workers_come_to_the_same_decisions_as_none(tiny: Document, tmp_path: Path) -> None:
    """What a strategy does next hangs on what came of the proposals before, not on whatever was over first."""
    strategy = {"use": "evolutionary", "population": 1, "batch": 2}
    document = searching(tiny, strategy=strategy, proposals=4, finalists=1)
    document["search"]["space"] = {"use": MLP, "arguments": {**SPACE["arguments"], "hidden": [[2], [3], [4], [5], [6]]}}  # type: ignore[dict-item]
    document["budget"]["prefer"] = "bytes"
    asked = from_document(document)
    found = []
    for workers in (1, 2):
        with open_run(asked, tmp_path / str(workers), "cpu", silent, workers=workers) as context:
            searched = found_student(context)
        trials = [
            (one["choices"], one["start"], one["state"], one["quality"], one["figures"]["bytes"])
            for one in searched.figures["trials"]
        ]
        found.append((trials, searched.figures["winner"], searched.context.recipe))
    assert found[0] == found[1]
    assert len(found[0][0]) == 4


def test_the_time_that_is_spent_is_that_of_one_search(tiny: Document, tmp_path: Path) -> None:
    """Other files in the folder are another search, which has all of its time."""
    with open_run(from_document(searching(tiny)), tmp_path / "run", "cpu", silent, workers=1) as context:
        (tmp_path / "removal.safetensors").write_bytes(b"one")
        strategy = {"use": "n2n", "policy": str(tmp_path)}
        begun = replace(context, recipe=from_document(searching(tiny, strategy=strategy, space=None)))
        one = _time_file(begun)
        assert one == _time_file(begun) != _time_file(context)
        (tmp_path / "removal.safetensors").write_bytes(b"other")
        assert _time_file(begun) != one
        (tmp_path / "removal.safetensors").write_bytes(b"one")
        assert _time_file(begun) == one
        for other in ("fingerprint", "teacher_fingerprint"):  # the same names of files, and others in them
            assert _time_file(replace(begun, **{other: "another"})) != one


def test_of_a_table_it_begins_with_the_teachers_weights_too(tmp_path: Path) -> None:
    """The data tell the networks of both what columns there are, and the recipe tells neither."""
    rows = [f"{place % 7},{'red' if place % 3 else 'blue'},{place % 2}" for place in range(60)]
    (tmp_path / "rows.csv").write_text("\n".join(["legs,color,wings", *rows]), encoding="utf-8")
    tabular = {"use": "attar.network.architectures:tabular", "arguments": {"hidden": [24, 24]}}
    asked = from_document(
        {
            "name": "rows",
            "data": {"use": str(tmp_path / "rows.csv"), "target": "wings", "validation": 0.25},
            "teacher": {"network": tabular, "training": {"epochs": 1}},
            "search": {"strategy": {"use": "n2n"}, "proposals": 1},
            "student": {"training": {"epochs": 1}},
        }
    )
    dataset = data_of(asked, silent)
    layers = describe(middle_of(asked, dataset, None).spec, dataset.train.floats(slice(0, 1)))
    spec = student(layers, [True] * len(layers.states), [0.5] * len(layers.states))
    assert isinstance(spec, Spec)
    first = Proposal(spec=layers.spec, start="teacher")
    trials = [Trial(number=0, proposal=first, state="trained", figures={"score": 0.5})]
    found = found_recipe(asked, dataset, Proposal(spec=spec, start=first.key), trials)
    assert found.student.start == "teacher" and found.network.arguments == {"hidden": [24, 24]}
    assert from_document(found.document()) == found
    with open_run(found, tmp_path / "run", "cpu", silent, workers=1) as context:
        assert context.network.spec() == spec
        teacher, begun = teacher_model(context), first_model(context, 0)
    assert teacher is not None
    biases = {name: set(one.tolist()) for name, one in teacher.module.state_dict().items() if name.endswith("bias")}
    kept = {name: one.tolist() for name, one in begun.module.state_dict().items() if name in biases}
    assert sorted(map(len, kept.values())) == [2, 12, 12] and all(set(kept[name]) <= biases[name] for name in kept)
    new = found_recipe(asked, dataset, Proposal(spec=replace(first.spec, edits=()), epochs=1))
    assert new.student.start == "fresh" and new.network.arguments == {"hidden": [24, 24]}
    assert from_document(tomllib.loads(tomli_w.dumps(new.document()))) == new


@pytest.mark.parametrize(("budget", "low"), [({}, "1,000"), ({"bytes": "8 kB"}, "200"), ({"macs": "500"}, "50")])
def test_a_budget_far_below_the_teacher_has_students_to_choose_from(
    budget: Document, low: str, tiny: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attar.recipes.search_space._teacher_size", lambda *_: (None, 1_000_000))
    document = searching(tiny | {"budget": budget})
    del document["search"]["space"]
    recipe = from_document(document)
    assert words_of(space_for(recipe, data_of(recipe, silent))).endswith(f"parameters {low} to 1,000,000")


def _tried(number: int, **figures: float) -> Trial:
    state = "trained" if "score" in figures else "over_budget"
    return Trial(number=number, proposal=Proposal(spec=Spec(MLP)), state=state, figures=figures)


def test_the_limit_that_binds_is_the_one_that_the_fewest_keep() -> None:
    goal = Goal(limits=(Limit("bytes", 1000.0), Limit("macs", 500.0)), prefer="bytes", teacher={"quality_loss": 0.9})
    tried = [_tried(place, score=0.8, bytes=size, macs=600.0) for place, size in enumerate((900.0, 1100.0))]
    assert binding(goal, tried).replace("\xa0", " ") == (
        "The tightest limit is that of at most 500 multiply-adds: 0 of 2 keep it; the least that was found is 600."
    )


def test_of_a_limit_those_count_of_which_the_figure_is_known() -> None:
    """What is too large was never trained: nothing says that its quality would not have been enough."""
    limits = (Limit("quality_loss", 0.01), Limit("bytes", 1000.0))
    goal = Goal(limits=limits, prefer="bytes", teacher={"quality_loss": 0.9})
    tried = [_tried(0, score=0.895, quality_loss=0.005, bytes=900.0), *(_tried(one, bytes=2000.0) for one in (1, 2))]
    assert binding(goal, tried).replace("\xa0", " ") == (
        "The tightest limit is that of at most 1 kB on disk: 1 of 3 keeps it."
    )
    lost = [_tried(0, score=0.8, quality_loss=0.1, bytes=900.0), *tried[1:]]
    assert binding(goal, lost).replace("\xa0", " ") == (
        "The tightest limit is that of at most 1 point of accuracy lost: 0 of 1 keep it; the least that was found is "
        "10 points."
    )
