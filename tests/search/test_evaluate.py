"""One proposal on a few digits: measured, refused, trained, scored, found again; and whole searches of such."""

from __future__ import annotations

import errno
import fcntl
import importlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_search
import torch
from tiny_search import GOAL, evaluator, perceptron, told

from attar import interpreter
from attar.budget import Limit
from attar.data.split import Dataset
from attar.models.fresh import fresh
from attar.network.copying import copied
from attar.network.spec import Spec
from attar.search.evaluate import Evaluator, begin_with_, lasting
from attar.search.proposal import Proposal
from attar.search.search import SearchResult
from attar.training.settings import Training


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Evaluator:
    return evaluator(tmp_path_factory.mktemp("evaluated"))


class Counted:
    """A progress that counts optimizer steps."""

    def __init__(self) -> None:
        self.steps = 0

    @contextmanager
    def __call__(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        def advance(count: int) -> None:
            self.steps += count

        yield advance


def test_it_is_measured_trained_scored_and_found_again(ready: Evaluator) -> None:
    progress, proposal = Counted(), perceptron(8)
    assert ready.found(proposal) is None
    outcome = ready(proposal, progress)
    assert outcome.state == "trained" and not outcome.reason and 0 < outcome.training_seconds < outcome.seconds
    parameters = 64 * 8 + 8 + 8 * 10 + 10
    assert outcome.figures["parameters"] == parameters and outcome.figures["macs"] == 64 * 8 + 8 * 10
    assert 4 * parameters < outcome.figures["bytes"] < 4 * parameters + 2000
    assert 0 < outcome.figures["latency"] < 100 and 0.2 < outcome.figures["score"] <= 1
    assert outcome.figures["quality_loss"] == pytest.approx(0.97 - outcome.figures["score"])
    assert progress.steps == ready.size(proposal) == 5 * 10
    assert ready(proposal, progress) == outcome == ready.found(proposal) and progress.steps == 50


def test_what_is_beyond_the_budget_is_never_trained(ready: Evaluator) -> None:
    progress, proposal = Counted(), perceptron(400)
    outcome = ready(proposal, progress)
    assert outcome.state == "over_budget" and progress.steps == 0 and outcome.score is None
    reason = outcome.reason.replace("\N{NO-BREAK SPACE}", " ")
    assert reason.startswith("Not trained: 120 kB on disk, 100 kB over the 20 kB that were asked for")
    assert "latency" not in outcome.figures  # nobody waits for a time that changes nothing


def test_what_a_smaller_one_is_to_be_made_of_is_trained_however_large_it_is(tmp_path: Path) -> None:
    """And all of it is measured, as what its figures are worth may be asked; by itself the same network is refused."""
    goal = replace(GOAL, limits=(*GOAL.limits, Limit.read("macs", 1000)))
    own, large = evaluator(tmp_path, goal=goal), replace(perceptron(400, epochs=1), intermediate=True)
    outcome = own(large)
    assert outcome.state == "trained" and outcome == own.found(large)
    assert outcome.figures.keys() == {"parameters", "macs", "bytes", "latency", "score", "quality_loss"}
    assert {limit.what for limit in goal.beyond(outcome.figures)} >= {"macs", "bytes"}
    small = own(perceptron(8, start=large.key))
    assert small.state == "trained" and large.key == perceptron(400, epochs=1).key
    assert own(perceptron(400, epochs=1)).state == "over_budget"


def test_what_is_beyond_the_budget_once_it_is_trained_is_measured_in_everything(tmp_path: Path) -> None:
    """By how much is what tells the nearest one: a limit whose figure is missing would be broken without a bound."""
    goal = replace(GOAL, limits=(*GOAL.limits, Limit.read("latency", "10 s")))
    pruned = perceptron(200, epochs=1, steps=[{"use": "prune", "to": {"macs": "0.5x"}}])
    outcome = evaluator(tmp_path, goal=goal)(pruned)
    assert outcome.state == "trained" and outcome.figures["latency"] < 10_000
    beyond = {
        limit.what: share for limit, share in goal.beyond(outcome.figures).items() if limit.what != "quality_loss"
    }
    assert beyond == {"bytes": pytest.approx(outcome.figures["bytes"] / 20_000 - 1)}


def test_what_is_counted_is_judged_before_anything_is_written(tmp_path: Path) -> None:
    goal = replace(GOAL, limits=(*GOAL.limits, Limit.read("macs", 1000)))
    outcome = evaluator(tmp_path, goal=goal)(perceptron(400))
    assert outcome.state == "over_budget" and outcome.figures.keys() == {"parameters", "macs"}
    assert "multiply-adds" in outcome.reason


def test_a_time_beyond_the_budget_is_enough(tmp_path: Path) -> None:
    goal = replace(GOAL, limits=(*GOAL.limits, Limit.read("latency", "1 ns")))
    outcome = evaluator(tmp_path, goal=goal)(perceptron(8))
    assert outcome.state == "over_budget" and "over the 1 ns that was asked for" in outcome.reason.replace(
        "\N{NO-BREAK SPACE}", " "
    )


def test_what_it_raises_is_what_comes_of_it(ready: Evaluator) -> None:
    no_width = ready(perceptron(-1))
    assert no_width.state == "failed" and "hidden" in no_width.reason
    no_start = ready(perceptron(8, start="0123456789abcdef"))
    assert no_start.reason == ("It is to begin with the weights of proposal 0123456789abcdef, which was not trained.")
    no_teacher = ready(perceptron(8, start="teacher"))
    assert no_teacher.state == "failed" and "the teacher is no network" in no_teacher.reason
    no_key = ready(perceptron(8, steps=[{"use": "quantize", "weights": {"use": "uniform"}, "bits": 4}]))
    assert no_key.reason == "A step of a proposal has the unknown key 'bits'. Leave it out."
    no_step = ready(perceptron(8, steps=[{"use": "quantise"}]))
    assert no_step.reason == (
        "use of a step of a proposal must be one of the steps; got 'quantise'. Did you mean 'quantize'?"
    )
    own = replace(ready, allow=("attar", "tiny_search"))(Proposal(spec=Spec("tiny_search:broken")))
    assert own.state == "failed" and "on purpose" in own.reason
    assert ready.found(perceptron(-1)) == no_width


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("it makes no sense", "ValueError: width must be even"),
        ("it reads a file", "FileNotFoundError: [Errno 2] No such file or directory: 'table.bin'"),
        ("it asks for too much", "MemoryError"),
        ("it ends the process", "SystemExit: 3"),
    ],
)
def test_whatever_a_network_raises_in_its_training_is_told_with_its_place(
    ready: Evaluator, kind: str, told: str
) -> None:
    own = replace(ready, allow=("attar", "tiny_search"))(Proposal(spec=Spec("tiny_search:raising", {"kind": kind})))
    assert own.state == "failed"
    assert re.fullmatch(rf"It raised {re.escape(told)} \(in \S+tiny_search\.py, line \d+\)\.", own.reason), own.reason


def test_what_failed_is_tried_again_once_the_code_of_its_network_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, runs = tmp_path / "corrected_later.py", tmp_path / "run"
    module.write_text("def net(width):\n    raise RuntimeError('not yet')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    proposal = Proposal(spec=Spec("corrected_later:net", {"width": 4}))

    def opened() -> Evaluator:
        return evaluator(runs, allow=("attar", "corrected_later"))

    outcome = opened()(proposal)
    assert outcome.state == "failed" and "not yet" in outcome.reason
    assert opened().found(proposal) == outcome
    module.write_text("from torch import nn\n\ndef net(width):\n    return nn.Linear(64, 10)\n", encoding="utf-8")
    assert opened().found(proposal) is None


def test_a_full_disk_is_nothing_that_comes_of_a_proposal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again where there is room; of what has failed nobody tries it again."""
    evaluate, proposal = evaluator(tmp_path, ("onnxruntime",)), perceptron(4)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr("torch.onnx.ONNXProgram.save", full)
        evaluate(proposal)
    assert evaluate.found(proposal) is None
    assert evaluate(proposal).state == "trained"


def test_low_bits_are_measured_as_the_files_that_would_ship(ready: Evaluator) -> None:
    quantize = {"use": "quantize", "weights": {"use": "uniform", "bits": 4}}
    outcome = ready(perceptron(8, steps=[quantize]))
    assert outcome.state == "trained"
    assert outcome.figures["bytes"] < 0.5 * ready(perceptron(8)).figures["bytes"]


def test_what_fits_in_int8_alone_is_trained_where_it_may_ship_so(tmp_path: Path) -> None:
    own = evaluator(tmp_path, runtimes=("onnxruntime",))
    in_int8 = replace(own, meter=replace(own.meter, int8=True))
    wide, narrow = perceptron(100, epochs=1), perceptron(8, epochs=1)
    refused, trained = own(wide), in_int8(wide)
    assert refused.state == "over_budget" and trained.state == "trained"
    assert 64 * 100 + 100 * 10 < trained.figures["bytes"] < 20_000 < refused.figures["bytes"]
    assert trained.figures["latency"] > 0
    assert in_int8(narrow).figures["bytes"] == own(narrow).figures["bytes"]  # which has no need of it
    assert in_int8(perceptron(400)).state == "over_budget"


@pytest.mark.parametrize("what", ["meter.cost", "meter.deploy_for", "evaluate._judged"])
def test_nobody_measures_while_a_network_runs_or_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    seen: list[bool] = []
    module, name = what.split(".")
    own = getattr(importlib.import_module(f"attar.search.{module}"), name)

    def watched(*arguments: Any, **rest: Any) -> Any:
        with (tmp_path / "times" / "turns").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                seen.append(True)
        return own(*arguments, **rest)

    monkeypatch.setattr(f"attar.search.{what}", watched)
    assert evaluator(tmp_path)(perceptron(8, epochs=1)).state == "trained" and seen == [True]


def test_what_a_network_takes_is_measured_anew_of_other_data(tmp_path: Path) -> None:
    """One that takes images of any size does less with smaller ones."""
    meter = evaluator(tmp_path).meter
    splits = [replace(one, inputs=one.inputs[:, :, :4, :4]) for one in meter.dataset.splits().values()]
    smaller = replace(meter, dataset=Dataset("smaller", *splits, meter.dataset.source), dataset_key="smaller")
    arguments = {"classes": 10, "widths": [4, 4], "pools": [1, 2]}
    model = fresh(Spec("attar.network.architectures:convnet", arguments), 0)
    large, small = (one.figures(model, trained=False).result["figures"] for one in (meter, smaller))
    assert small["parameters"] == large["parameters"] and small["macs"] < 0.3 * large["macs"]
    assert smaller.figures(model, trained=False).reused


def test_a_runtime_that_ships(tmp_path: Path) -> None:
    outcome = evaluator(tmp_path, runtimes=("onnxruntime",))(perceptron(8))
    assert outcome.state == "trained" and 0 < outcome.figures["latency"] < 10


def test_it_begins_with_the_weights_of_another_as_far_as_they_fit(ready: Evaluator) -> None:
    parent = ready(perceptron(8))
    child = ready(perceptron(8, start=perceptron(8).key))
    assert child.figures["score"] > parent.figures["score"] - 0.05 and child != parent
    own, other = (fresh(Spec(tiny_search.MLP, {"inputs": 6, "classes": 3, "hidden": [w]}), w).module for w in (4, 5))
    begun = begin_with_(copied(own), other, torch.rand(4, 6))
    rows = {tuple(row.tolist()) for row in other[1].weight}
    assert all(tuple(row.tolist()) in rows for row in begun[1].weight)  # of its five units the largest four


def test_what_need_not_see_all_examples_sees_a_part(tmp_path: Path) -> None:
    whole = tiny_search.evaluator(tmp_path)
    short = replace(whole, subset=whole.tools.subset(64))
    first, final = perceptron(8), perceptron(8, on_all=True)
    assert (short.size(first), short.size(final)) == (5 * 2, 5 * 10)
    progress = Counted()
    few = short(first, progress)
    assert progress.steps == 5 * 2 and short.found(first) == few and whole.found(first) is None
    assert short(final).figures["score"] > few.figures["score"]


def test_settings_for_other_epochs_keep_their_proportions() -> None:
    training = Training(epochs=100, warmup_epochs=10, schedule="multistep", milestones=(50, 75), patience=7)
    half = lasting(training, 50)
    assert (half.epochs, half.warmup_epochs, half.milestones, half.patience) == (50, 5.0, (25, 38), 7)
    assert lasting(training, 1).milestones == (1,)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """The whole search by this process, undisturbed."""
    return tiny_search.run(tmp_path_factory.mktemp("search") / "alone")


@pytest.mark.slow
def test_a_worker_comes_to_the_same_trials_as_this_process(tmp_path: Path, alone: SearchResult) -> None:
    """One: that two come to the same decisions, whoever is over first, is a test of recipes."""
    assert [one.state for one in alone.trials] == ["trained", "over_budget", "failed", "trained", "trained", "trained"]
    assert told(tiny_search.run(tmp_path / "there", workers=1)) == told(alone)
    assert (
        tiny_search.run(tmp_path / "there").trials == tiny_search.run(tmp_path / "there").trials
    )  # found, all of them


def test_a_search_that_was_killed_goes_on_to_the_same_trials(tmp_path: Path, alone: SearchResult) -> None:
    folder, script = tmp_path / "killed", Path(tiny_search.__file__)
    environment = interpreter.environment()
    ended = subprocess.run([sys.executable, str(script), str(folder), "175"], env=environment, capture_output=True)
    assert ended.returncode == -9, ended.stderr.decode()[-2000:]
    outcomes = sorted(folder.glob("nodes/search/*/outcome-*/node.json"))
    trained = sorted(folder.glob("nodes/search/*/model.safetensors"))
    before = {path: path.stat().st_mtime_ns for path in (*outcomes, *trained)}
    assert len(outcomes) == 3 and len(trained) == 1  # of the fourth, half of the training
    went_on = tiny_search.run(folder)
    assert told(went_on) == told(alone)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list(folder.glob("nodes/search/*/model.safetensors"))) == 4  # each once
