"""The step that prunes: it reaches its target, what is left is rebuilt from its spec, a crash changes nothing."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from attar.deployment.deploy import deploy
from attar.errors import BadInput, CorruptFile
from attar.models.fresh import fresh
from attar.models.model import Model, load_model, save_model
from attar.network.cost import cost
from attar.network.evaluating import evaluating
from attar.network.spec import Spec
from attar.network.weights import digest
from attar.pipeline.prune_panels import prune_panels, prune_warnings
from attar.pipeline.pruner import Plan
from attar.pipeline.step import Tools
from attar.pipeline.steps.distill import Distill
from attar.pipeline.steps.prune import Prune
from attar.pipeline.steps.quantize import Quantize
from attar.pipeline.turns import Turns
from attar.pruning.edit import Prune as PruneEdit
from attar.quantization.edit import Quantize as QuantizeEdit
from attar.records import to_text
from attar.training.losses.features import HiddenMatch
from attar.training.losses.outputs import HardLabels
from attar.training.objective import Objective, Term
from attar.training.progress import Progress
from attar.training.settings import Training

CONVNET = Spec("attar.network.architectures:convnet", {"classes": 10, "widths": [6, 8]})
OBJECTIVE = Objective({"hard": Term(loss=HardLabels())})
TRAINING = Training(epochs=2, batch_size=32, learning_rate=0.05, checkpoint_seconds=0.0)


@pytest.fixture
def model() -> Model:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Model(CONVNET.build().eval(), CONVNET)


def step(**fields: Any) -> Prune:
    table = {"use": "prune", "to": {"macs": "0.4x"}, "every": 3, **fields}
    return Prune.model_validate(table).completed(OBJECTIVE, TRAINING)  # type: ignore[return-value]


@pytest.mark.parametrize("what", ["macs", "bytes", "parameters", "activations"])
def test_it_comes_down_to_its_target_and_says_what_is_left(
    what: str, tools: Tools, model: Model, tmp_path: Path
) -> None:
    made = step(to={what: "0.6x"}).run(model, tools)
    facts = made.facts["prune"]
    assert facts["cost"] <= facts["target"] == pytest.approx(0.6 * facts["full"])
    assert sum(one["units"] for one in facts["course"]) == sum(one["units"] - one["kept"] for one in facts["groups"])
    save_model(made.model, tmp_path)
    again = load_model(tmp_path)
    with torch.no_grad():
        assert torch.equal(again.module(tools.example), made.model.module(tools.example))
    if what == "macs":
        assert cost(made.model.module, tools.example).macs == facts["cost"]
        assert cost(model.module, tools.example).macs == facts["full"]


@pytest.mark.parametrize("select", ["knapsack", "greedy"])
def test_a_stopped_training_goes_on_to_the_same_network(
    select: str, tools: Tools, model: Model, tmp_path: Path, stopped: Callable[[int], Progress]
) -> None:
    whole = step(select=select).run(model, replace(tools, folder=tmp_path / "whole"))
    for stop in (4, 11):  # between removals, and after the last one
        folder = tmp_path / str(stop)
        folder.mkdir()
        with pytest.raises(KeyboardInterrupt):
            step(select=select).run(model, replace(tools, folder=folder, progress=stopped(stop)))
        again = step(select=select).run(model, replace(tools, folder=folder))
        assert digest(again.model.module) == digest(whole.model.module)
        assert again.facts == whole.facts


@pytest.fixture
def timed(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Gives networks the time of their multiply-adds, the calls that are named one half longer; what it was asked."""
    from attar.pruning.latency import NetworkTime

    def set_up(disturbed: Sequence[int] = ()) -> list[int]:
        asked: list[int] = []

        def time(network: nn.Module) -> NetworkTime:
            asked.append(cost(network, tools.example).macs)
            longer = 1.5 if len(asked) - 1 in disturbed else 1.0
            return NetworkTime(total=longer * (1 + asked[-1] / 1e4), layers=asked[-1] / 1e4, others=0.0, unit_ms=1.0)

        monkeypatch.setattr("attar.pipeline.costs.Measured._timed", lambda _, network: time(network))
        return asked

    monkeypatch.setattr(
        "attar.evidence.layer_timer.LayerTimer.__call__",
        lambda _, shape, cells: [math.prod(shape.size) * max(1, a) * max(1, b) / 1e4 for a, b in cells],
    )
    return set_up


def test_measured_latency_is_predicted_from_a_table_that_the_run_keeps(
    tools: Tools, model: Model, tmp_path: Path, timed: Callable[..., list[int]]
) -> None:
    macs = timed()
    made = step(to={"latency": "0.7x"}).run(model, replace(tools, turns=Turns(tmp_path / "times")))
    facts = made.facts["prune"]
    assert facts["measured"][-1]["measured_ms"] <= 1.02 * facts["target"]
    assert len(macs) == len(facts["measured"]) >= 2
    assert [file.suffix for file in (tmp_path / "times").iterdir() if "turns" not in file.name] == [".json"]


def test_a_time_that_surprises_is_taken_again(tools: Tools, model: Model, timed: Callable[..., list[int]]) -> None:
    timed()
    calm = step(to={"latency": "0.7x"}).run(model, tools)
    macs = timed(disturbed=[1])
    shaken = step(to={"latency": "0.7x"}).run(model, tools)
    assert len(macs) == len(calm.facts["prune"]["measured"]) + 2
    assert shaken.facts == calm.facts and digest(shaken.model.module) == digest(calm.model.module)


def test_channels_that_save_no_time_stay(tools: Tools, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    from attar.pruning.latency import NetworkTime

    monkeypatch.setattr("attar.pipeline.pruner._SMALL", 0.0)  # the groups of this network are worth little
    always = NetworkTime(total=10.0, layers=9.0, others=0.0, unit_ms=1.0)
    monkeypatch.setattr("attar.pipeline.costs.Measured._timed", lambda *_: always)
    monkeypatch.setattr(
        "attar.evidence.layer_timer.LayerTimer.__call__", lambda _, shape, cells: [a * b for a, b in cells]
    )
    made = step(to={"latency": "0.9x"})
    pruned = made.run(model, tools)
    facts = pruned.facts["prune"]
    assert facts["course"][-1]["units"] == 0 and facts["measured"][-1]["measured_ms"] == 10
    assert min(one["kept"] for one in facts["groups"]) > 1, "no more than was planned"
    (told,) = prune_warnings(facts)
    assert "The target was not reached" in told and "hardly depends on its channels" in told


def test_what_cannot_be_reached_is_refused_before_anything_is_trained(tools: Tools, model: Model) -> None:
    beyond = r"macs = '0\.001x', and with no more than one unit .* of its 2 groups .* Ask for macs = '(.*)x', which"
    with pytest.raises(BadInput, match=beyond) as raised:
        step(to={"macs": "0.001x"}).run(model, tools)
    # What it says to ask for is reached, and hardly less is not.
    found = re.search(beyond, str(raised.value))
    assert found is not None
    step(to={"macs": f"{found[1]}x"}).check(CONVNET, tools.dataset)
    with pytest.raises(BadInput, match="Ask for"):
        step(to={"macs": f"{0.95 * float(found[1])}x"}).check(CONVNET, tools.dataset)
    with pytest.raises(
        BadInput, match=r"parameters = '20', and .* takes (\d+) parameters of 604 .* = '\1', which is as"
    ):
        step(to={"parameters": 20}).check(CONVNET, tools.dataset)
    with pytest.raises(BadInput, match=r"Ask for macs = '.*', or protect less"):
        step(to={"macs": "0.001x"}, protect=["3"]).check(CONVNET, tools.dataset)


def test_a_target_is_less_than_what_there_is(tools: Tools, model: Model) -> None:
    for limit in ("1x", "2x"):
        with pytest.raises(ValidationError, match="macs must be less than that of the network before the step, which"):
            step(to={"macs": limit})
    made = step(to={"macs": "3 T"}, training=replace(TRAINING, epochs=1)).run(model, tools)
    (said,) = prune_warnings(made.facts["prune"])
    assert said.startswith("Nothing had to go: ") and said.endswith("3.00\N{NO-BREAK SPACE}T were asked for.")


def test_what_a_term_reads_keeps_its_width(tools: Tools) -> None:
    hint = Term(loss=HiddenMatch(student_layer="1", teacher_layer="1"))
    table = {"use": "prune", "to": {"macs": "0.4x"}, "protect": ["3"]}
    reads = Prune.model_validate(table).completed(Objective({"hard": Term(loss=HardLabels()), "hint": hint}), TRAINING)
    with pytest.raises(BadInput, match=r"be pruned \(.*0: the term 'hint' of the objective reads '1', which it would"):
        reads.check(CONVNET, tools.dataset)


def test_what_the_signal_cannot_judge_is_said_before_anything_is_trained(tools: Tools) -> None:
    with pytest.raises(BadInput, match=r"must be \[16, .*one row an example"):
        step().check(Spec(f"{__name__}:FirstAlone"), tools.dataset)


class FirstAlone(nn.Module):
    """Looks at the first example of a batch alone."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 6, 3), nn.Linear(6 * 36, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.last(torch.relu(self.first(x[:1])).flatten(1))
        return found.expand(len(x), -1)


def test_a_rule_that_protects_nothing_and_a_network_without_groups_are_told(tools: Tools) -> None:
    with pytest.raises(BadInput, match="protect"):
        step(protect=["nothing.*"]).check(CONVNET, tools.dataset)
    with pytest.raises(BadInput, match=r"nothing that can be pruned .* Protect less, or leave the step out"):
        step(protect=["*"]).check(CONVNET, tools.dataset)


def test_low_bit_formats_are_taken_off_and_come_after_it(tools: Tools, model: Model) -> None:
    four_bits = Quantize.model_validate({"use": "quantize", "weights": {"use": "uniform", "bits": 4}})
    quantized = four_bits.run(model, tools).model
    pruned = step().run(quantized, tools).model
    assert digest(pruned.module) == digest(step().run(model, tools).model.module), "the float weights are pruned"
    assert {type(edit) for edit in pruned.spec.edits} == {PruneEdit}
    assert step().check(quantized.spec, tools.dataset) == model.spec
    edits = [type(edit) for edit in four_bits.run(pruned, tools).model.spec.edits]
    assert edits == [*[PruneEdit] * (len(edits) - 1), QuantizeEdit]


def test_depthwise_convolutions_lose_the_channels_that_they_get_and_are_packed(tools: Tools, tmp_path: Path) -> None:
    spec = Spec(
        "attar.network.architectures:depthwise_net", {"classes": 10, "widths": [6, 8, 10], "strides": [1, 2, 1]}
    )
    pruned = step(to={"macs": "0.6x"}).run(fresh(spec, 0), tools).model
    layers = [one for one in pruned.module.modules() if isinstance(one, nn.Conv2d)]
    assert [one.groups for one in layers] == [1, layers[1].in_channels, 1, layers[3].in_channels, 1]
    assert sum(one.out_channels for one in layers[::2]) < 6 + 8 + 10
    weights = {"use": "quantize", "weights": {"use": "uniform", "bits": 4}}
    few = Quantize.model_validate(weights).completed(OBJECTIVE, TRAINING).run(pruned, tools).model
    packed, plain = (
        deploy(one.module, name, tmp_path / name, example=tools.example, task=tools.dataset.task, spec=one.spec)
        for one, name in ((few, "onnxruntime packed"), (pruned, "onnxruntime"))
    )
    assert packed.size_bytes < plain.size_bytes
    with evaluating(few.module):
        np.testing.assert_allclose(packed(tools.example), few.module(tools.example), atol=1e-4)


def test_a_weight_that_is_computed_from_others_is_trained_and_stays(tools: Tools) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = nn.utils.weight_norm(nn.Linear(64, 12))
    network = nn.Sequential(nn.Flatten(), first, nn.ReLU(), nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 10))
    network(tools.example)  # whose computed weight torch does not copy
    objective = Objective({"hard": Term(loss=HardLabels())})
    distill = Distill.model_validate({"use": "distill"}).completed(objective, replace(TRAINING, epochs=1))
    trained = distill.run(Model(network, CONVNET), tools).model
    assert not torch.equal(trained.module[1].weight_v, first.weight_v)
    pruned = step(to={"macs": "0.8x"}, training={"epochs": 1, "batch_size": 32}).run(trained, tools).model.module
    assert pruned[1].weight_v.shape == (12, 64) and pruned[3].out_features < 16


def test_a_target_is_one_thing() -> None:
    for to in ({}, {"macs": "0.5x", "bytes": "0.5x"}):
        with pytest.raises(ValueError, match="must name one of latency, macs"):
            step(to=to)
    with pytest.raises(ValueError, match="beta is for"):
        step(beta=0.1)


def test_the_plan_takes_much_at_first_and_ends_at_the_target() -> None:
    plan = Plan.gradual(100.0, 20.0, last=40, every=10)
    assert plan.steps == (10, 20, 30, 40)
    assert plan.costs == pytest.approx((20 + 80 * 0.75**3, 20 + 80 * 0.5**3, 20 + 80 * 0.25**3, 20.0))
    assert Plan.gradual(100.0, 20.0, last=3, every=10).steps == (3,)


@pytest.mark.parametrize(("end", "again"), [(None, 10), (400, 10), (76, 6), (41, 1)])
def test_what_goes_after_the_plan_leaves_time_to_make_up_for_it(end: int | None, again: int) -> None:
    plan = Plan.gradual(100.0, 20.0, last=40, every=10, end=end)
    assert plan.again == again
    assert end is None or plan.times * plan.again <= max(plan.times, (end - 40) / 2)


# -- a loss of quality as the target -----------------------------------------------------------------------------------


def by_quality(loss: Any, **more: Any) -> dict[str, Any]:
    return {"quality_loss": loss, "of": "macs", "rounds": 4, **more}


def test_as_much_goes_as_keeps_the_loss_within_the_limit(tools: Tools, model: Model, tmp_path: Path) -> None:
    trained = replace(model, module=step(to={"macs": "3 T"}).run(model, tools).model.module)
    made = step(to=by_quality("4%")).run(trained, tools)
    facts = made.facts["prune"]
    taken = [one for one in facts["rounds"] if one["accepted"]]
    assert taken and facts["cost"] == taken[-1]["cost"] < facts["full"]
    assert made.facts["score_before"] - made.facts["score"] <= 0.04 + 1e-9
    assert made.facts["score"] == taken[-1]["score"] == tools.score(made.model.module)
    assert cost(made.model.module, tools.example).macs == facts["cost"]
    shares, now = [], facts["full"]
    for one in facts["rounds"]:
        shares.append(one["goal"] / now)
        now = one["cost"] if one["accepted"] else now
    assert shares[0] == pytest.approx(0.8) and shares == sorted(shares), "smaller cuts once one failed, not before"
    assert len(made.history) == TRAINING.epochs * len(taken)
    assert [entry["epoch"] for entry in made.history] == list(range(len(made.history)))
    save_model(made.model, tmp_path)
    assert digest(load_model(tmp_path).module) == digest(made.model.module)


def test_where_all_removals_lose_too_much_the_network_stays(
    tools: Tools, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attar.budget.Limit.keeps", lambda *_: False)
    made = step(to=by_quality("1%"), training={"epochs": 1, "batch_size": 64}).run(model, tools)
    facts = made.facts["prune"]
    goals = [one["goal"] / facts["full"] for one in facts["rounds"]]
    assert goals == pytest.approx([0.8, 0.8**0.5, 0.8**0.25]), "0.8, 0.89, 0.95 of the cost, and no less"
    assert made.model.spec == model.spec and digest(made.model.module) == digest(model.module)
    assert made.facts["score"] == made.facts["score_before"] and made.history == []
    text = repr(prune_panels(facts))
    assert "Nothing could go: after each training with removals it lost more than the 1 point of accuracy" in text


@pytest.mark.parametrize("stop", [4, 26])  # in the first round, in the second
def test_stopped_rounds_go_on_to_the_same_network(
    stop: int, tools: Tools, model: Model, tmp_path: Path, stopped: Callable[[int], Progress]
) -> None:
    def steps(folder: Path, after: int = 10**9) -> Any:
        folder.mkdir(exist_ok=True)
        asked = step(to=by_quality("9%", rounds=2))
        return asked.run(model, replace(tools, folder=folder, progress=stopped(after)))

    with pytest.raises(KeyboardInterrupt):
        steps(tmp_path / "killed", after=stop)
    again, complete = steps(tmp_path / "killed"), steps(tmp_path / "complete")
    assert digest(again.model.module) == digest(complete.model.module)
    assert again.facts == complete.facts and len(again.facts["prune"]["rounds"]) == 2


def test_of_and_rounds_are_for_a_loss_of_quality() -> None:
    with pytest.raises(ValueError, match="rounds is for quality_loss; leave it out where macs is the target"):
        step(to={"macs": "0.5x", "rounds": 3})
    assert step(to={"quality_loss": 0.003}).to.what == "latency"


def test_what_a_killed_attempt_left_is_refused_where_it_is_something_else(
    tools: Tools, model: Model, tmp_path: Path, timed: Callable[..., list[int]]
) -> None:
    timed()
    (tmp_path / "costs.json").write_text(to_text({"times": {"{}": {"total": 1.0}}}), encoding="utf-8")
    with pytest.raises(CorruptFile, match=r"costs\.json has no times of networks\. Delete .*costs\.json; it is"):
        step(to={"latency": "0.7x"}).run(model, replace(tools, folder=tmp_path))
    (tmp_path / "rounds" / "001").mkdir(parents=True)
    (tmp_path / "rounds" / "001" / "round.json").write_text(to_text({"edits": []}), encoding="utf-8")
    with pytest.raises(CorruptFile, match=r"round\.json is not the record of a round\. Delete the folder .*001\."):
        step(to=by_quality("1%")).run(model, replace(tools, folder=tmp_path))


def test_what_layers_can_lose_is_asked_of_the_network_before_the_step(tools: Tools, model: Model) -> None:
    found = step(to={"macs": "0.5x"}, sensitivity=True).run(model, tools).facts["prune"]["sensitivity"]
    assert [one["group"] for one in found["groups"]] == ["0", "3"] and found["examples"] == len(tools.validation)
    assert found["figure"] == tools.score(model.module)
    assert all(len(one["figures"]) == len(found["shares"]) == 9 for one in found["groups"])
