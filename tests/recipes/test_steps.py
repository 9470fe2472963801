"""Students that go through steps: what is reused, what each step leaves, and that baselines go the same way."""

from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch
from torch import nn

from attar.data.datasets import Dataset
from attar.deployment.artifact import load
from attar.deployment.torch_runner import open_torch
from attar.errors import BadInput, NothingMatched
from attar.evidence.measure import predict_all
from attar.pipeline.steps.distill import Distill, freeze_bn_stats_
from attar.pipeline.steps.quantize import Quantize
from attar.quantization.attach import encode, formats, input_formats
from attar.quantization.formats.codebook import Codebook
from attar.quantization.formats.named import FORMATS, from_table, to_table
from attar.quantization.formats.uniform import Uniform
from attar.recipes.compress import Run, compress
from attar.recipes.data import data_of
from attar.recipes.plan import plan
from attar.recipes.read import from_document, read
from attar.recipes.schema.recipe import Recipe
from attar.recipes.start import open_run
from attar.recipes.students import Trainings, train_all
from attar.recipes.study import read_study
from attar.training import fit as fitting

Document = dict[str, Any]

pytestmark = pytest.mark.usefixtures("hurried", "undrawn")

DISTIL: Document = {"use": "distill"}
GENTLY: Document = {"use": "distill", "training": {"epochs": 2, "learning_rate": 0.01}}
TWO_BITS: Document = {"use": "quantize", "weights": {"use": "uniform", "bits": 2, "granularity": "tensor"}}
PRUNE: Document = {"use": "prune", "to": {"macs": "0.6x"}}
POINTS: Document = {"use": "quantize", "weights": {"use": "codebook", "bits": 2}}


@pytest.fixture
def stepped(tiny: Document) -> Callable[..., Document]:
    """The tiny recipe with steps for its student, and other tables as they are given."""

    def made(*steps: Document, **tables: Document) -> Document:
        document = copy.deepcopy(tiny)
        document["student"]["steps"] = [copy.deepcopy(step) for step in steps]
        for key, table in tables.items():
            document[key] = {**document.get(key, {}), **table} if isinstance(table, dict) else table
        return document

    return made


def stages(run: Run) -> dict[str, bool]:
    """Which stages there were, and whether they were found done."""
    return {stage["name"]: stage["reused"] for stage in run.evidence["stages"] if stage["name"] != "data"}


def taught_by(document: Document, out: Path) -> Trainings:
    with open_run(from_document(document), out, "cpu", fitting.silent) as context:
        return train_all(context)


def state(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


# -- what is reused ----------------------------------------------------------------------------------------------------


def test_one_distil_is_what_a_student_without_steps_is(
    stepped: Callable[..., Document], tiny: Document, tmp_path: Path
) -> None:
    compress(from_document(tiny), tmp_path / "run")
    again = compress(from_document(stepped(DISTIL)), tmp_path / "run")
    assert all(stages(again).values())
    assert "steps" not in from_document(tiny).document()["student"]


def test_steps_go_on_from_what_is_there_and_are_found_again(stepped: Callable[..., Document], tmp_path: Path) -> None:
    compress(from_document(stepped(DISTIL)), tmp_path / "run")
    document = stepped(DISTIL, TWO_BITS, GENTLY)
    first = stages(compress(from_document(document), tmp_path / "run"))
    assert first["student/0"]
    assert first["baseline/0"]
    assert not first["student/0/2-quantize"]
    assert not first["student/0/3-distill"]
    assert not first["baseline/0/3-distill"]
    assert all(stages(compress(from_document(document), tmp_path / "run")).values())
    document["student"]["steps"][2]["training"]["learning_rate"] = 0.02
    changed = stages(compress(from_document(document), tmp_path / "run"))
    assert changed["student/0/2-quantize"]
    assert not changed["student/0/3-distill"]
    document["student"]["steps"][1]["weights"]["bits"] = 3
    changed = stages(compress(from_document(document), tmp_path / "run"))
    assert changed["student/0"]
    assert not changed["student/0/2-quantize"]
    assert not changed["student/0/3-distill"]


def test_a_step_that_was_killed_goes_on_to_the_same_weights(
    stepped: Callable[..., Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = stepped(DISTIL, POINTS, {**GENTLY, "train": "codebook"})
    whole = taught_by(document, tmp_path / "whole")
    finish, calls = fitting._Run._finish_epoch, 0

    def killed(run: Any) -> None:
        nonlocal calls
        finish(run)
        calls += 1
        if calls == 9:  # four epochs of the teacher, four of the student, one of its points
            run._save(run.job.checkpoint_file)
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fitting._Run, "_finish_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            taught_by(document, tmp_path / "killed")
    assert list((tmp_path / "killed").rglob("checkpoint.safetensors"))
    again = taught_by(document, tmp_path / "killed")
    assert same(state(again.student.network), state(whole.student.network))


def test_a_student_that_hears_nobody_is_the_baseline(stepped: Callable[..., Document], tmp_path: Path) -> None:
    alone = {"use": "distill", "objective": {"hard": {"use": "hard_labels"}}}
    run = compress(from_document(stepped(alone, TWO_BITS, GENTLY)), tmp_path / "run")
    assert "student/0" not in stages(run)
    told = run.evidence["steps"]
    assert told["student"]["1-distill"] == told["baseline"]["1-distill"]
    assert told["student"]["1-distill"]["names"] == ["baseline/0"]
    assert set(run.evidence["curves"]) == {"teacher/0", "baseline/0", "student/0/3-distill", "baseline/0/3-distill"}


# -- what steps leave --------------------------------------------------------------------------------------------------


def test_every_step_is_scored_with_quantized_weights(stepped: Callable[..., Document], tmp_path: Path) -> None:
    document = stepped(DISTIL, TWO_BITS, GENTLY)
    with open_run(from_document(document), tmp_path / "run", "cpu", fitting.silent) as context:
        trainings = train_all(context)
        validation = context.dataset.validation
        assert validation.labels is not None
        for one in (*trainings.student.earlier, trainings.student):
            right = predict_all(open_torch(one.network), validation).argmax(1) == validation.labels.numpy()
            assert one.score == pytest.approx(float(right.mean()), abs=1e-6)
    names = [(one.name, one.use) for one in (*trainings.student.earlier, trainings.student)]
    assert names == [("student/0", "distill"), ("student/0/2-quantize", "quantize"), ("student/0/3-distill", "distill")]
    plain, rounded, trained = (one.network for one in (*trainings.student.earlier, trainings.student))
    assert not formats(plain)
    assert all(
        form == Uniform(bits=2, granularity=rounded_form.granularity)
        for rounded_form in formats(rounded).values()
        for form in formats(trained).values()
    )
    originals = {
        name.replace("parametrizations.", "").replace(".original", ""): t for name, t in state(rounded).items()
    }
    assert same(originals, state(plain)), "quantizing leaves the float weights as they were"
    assert not same(state(rounded), state(trained))
    assert all(len(trained.get_submodule(name.rpartition(".")[0]).weight.unique()) <= 4 for name in formats(trained))


def test_only_points_learn_and_every_weight_goes_to_its_nearest(
    stepped: Callable[..., Document], tmp_path: Path
) -> None:
    trainings = taught_by(
        stepped(DISTIL, POINTS, {**GENTLY, "train": "codebook", "teacher": "float_student"}), tmp_path / "run"
    )
    for last in (trainings.students[0], trainings.baselines[0]):
        before, after = state(last.earlier[1].network), state(last.network)
        moved = {name for name in before if not torch.equal(before[name], after[name])}
        assert moved
        assert all(name.endswith(".points") for name in moved)
        for name, codes in encode(last.network).items():
            weight = last.earlier[0].network.state_dict()[name]
            scaled = (weight - weight.min()) / (weight.max() - weight.min())
            nearest = (scaled[..., None] - codes.table["points"]).abs().min(-1).values
            chosen = (scaled - codes.table["points"][codes.codes.long()]).abs()
            torch.testing.assert_close(chosen, nearest, atol=1e-6, rtol=0)


def test_itself_is_another_teacher_than_the_teacher(stepped: Callable[..., Document], tmp_path: Path) -> None:
    ways = [
        taught_by(stepped(DISTIL, POINTS, {**GENTLY, "teacher": who}), tmp_path / "run")
        for who in ("teacher", "float_student")
    ]
    assert not same(state(ways[0].student.network), state(ways[1].student.network))
    assert same(state(ways[0].baselines[0].network), state(ways[1].baselines[0].network)), "a baseline hears neither"


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.BatchNorm2d])
def test_restored_statistics_stay_while_batches_are_normalized_by_their_own(kind: type[nn.Module]) -> None:
    draws = torch.Generator().manual_seed(0)
    inputs = torch.randn(8, 3, *([] if kind is nn.BatchNorm1d else [4, 4]), generator=draws) * 3 + 1
    plain, still = kind(3), freeze_bn_stats_(kind(3))
    before = state(still)
    torch.testing.assert_close(still.train()(inputs), plain.train()(inputs))
    after = state(still)
    assert torch.equal(before["running_mean"], after["running_mean"])
    assert torch.equal(before["running_var"], after["running_var"])
    assert not torch.equal(plain.state_dict()["running_mean"], after["running_mean"])


def test_activations_are_rounded_in_ranges_of_training_inputs(stepped: Callable[..., Document], tmp_path: Path) -> None:
    quantize = {**TWO_BITS, "activations": {"use": "affine", "bits": 4}, "skip": ["last"], "calibration": 20}
    trainings = taught_by(stepped(DISTIL, quantize, GENTLY), tmp_path / "run")
    network = trainings.student.network
    assert len(formats(network)) == len(input_formats(network)) == 1
    assert same(
        {name: t for name, t in state(network).items() if "input_format" in name},
        {name: t for name, t in state(trainings.student.earlier[1].network).items() if "input_format" in name},
    )


def test_a_range_of_other_examples_is_measured_again(stepped: Callable[..., Document], tmp_path: Path) -> None:
    def measured(count: int, out: str) -> dict[str, torch.Tensor]:
        quantize = {**TWO_BITS, "activations": {"use": "affine", "bits": 4}, "calibration": count}
        network = taught_by(stepped(DISTIL, quantize), tmp_path / out).student.network
        return {name: tensor for name, tensor in state(network).items() if "input_format" in name}

    few = measured(3, "run")
    many = measured(60, "run")
    assert same(many, measured(60, "other")) and not same(few, many)


def test_bits_go_down_step_by_step(stepped: Callable[..., Document], tmp_path: Path) -> None:
    eight = {"use": "quantize", "weights": {"use": "uniform", "bits": 8}}
    trainings = taught_by(stepped(DISTIL, eight, GENTLY, TWO_BITS, GENTLY), tmp_path / "run")
    bits = [
        {form.bits for form in formats(one.network).values()} for one in (*trainings.student.earlier, trainings.student)
    ]
    assert bits == [set(), {8}, {8}, {2}, {2}]


def test_layers_have_the_formats_that_their_patterns_say(stepped: Callable[..., Document], tmp_path: Path) -> None:
    weights = {"last": {"use": "uniform", "bits": 8}, "*": {"use": "ternary", "granularity": "channel"}}
    trainings = taught_by(stepped(DISTIL, {"use": "quantize", "weights": weights}), tmp_path / "run")
    first, last = formats(trainings.student.network).values()
    assert to_table(first)["use"] == "ternary"
    assert (to_table(last)["use"], last.bits) == ("uniform", 8)


def test_points_may_be_shared_or_allotted(stepped: Callable[..., Document], tmp_path: Path) -> None:
    together = taught_by(
        stepped(DISTIL, {**POINTS, "share_codebook": True}, {**GENTLY, "train": "codebook"}), tmp_path / "run"
    )
    one, other = (codes.table["points"] for codes in encode(together.student.network).values())
    assert torch.equal(one, other)
    alone = taught_by(stepped(DISTIL, POINTS, {**GENTLY, "train": "codebook"}), tmp_path / "run")
    one, other = (codes.table["points"] for codes in encode(alone.student.network).values())
    assert not torch.equal(one, other), "points of their own are not those that were shared"
    allotted = taught_by(stepped(DISTIL, {**POINTS, "allocation": "gradient"}), tmp_path / "run")
    forms = formats(allotted.student.network).values()
    assert sum(len(form.codes) for form in forms) == 8
    assert all(isinstance(form, Codebook) for form in forms)


def test_a_teacher_learns_beside_a_student_of_few_bits(stepped: Callable[..., Document], tmp_path: Path) -> None:
    document = stepped(
        {"use": "quantize", "weights": {"use": "wrpn"}, "activations": {"use": "clipped"}},
        DISTIL,
        teacher={"learns": True},
        objective={"teacher": {"use": "hard_labels", "of": "teacher"}},
    )
    run = compress(from_document(document), tmp_path / "run")
    assert {"baseline/0/1-quantize", "student/0/2-distill", "baseline/0/2-distill"} <= set(stages(run))
    (file,) = (tmp_path / "run" / "nodes" / "student" / "0").glob("2-distill-*/teacher.safetensors")
    assert file.stat().st_size


# -- what ships, and what is told --------------------------------------------------------------------------------------


def test_what_ships_is_packed_and_says_what_the_student_says(stepped: Callable[..., Document], tmp_path: Path) -> None:
    document = stepped(DISTIL, TWO_BITS, GENTLY, artifacts={"runtimes": ["torch"]})
    document["student"]["seeds"] = 2
    run = compress(from_document(document), tmp_path / "run")
    names = [model["name"] for model in run.evidence["models"]]
    assert names[:3] == ["torch fp32", "torch packed", "teacher torch"]
    assert "baseline torch packed" in names[3:], "what few bits are held against has few bits"
    packed = next((tmp_path / "run" / "nodes" / "artifacts").glob("torch-packed-*"))
    trainings = taught_by(document, tmp_path / "run")
    inputs = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted = trainings.student.network(inputs).numpy()
    assert (load(packed / "artifact")(inputs) == wanted).all()
    told = run.evidence["steps"]
    assert list(told["student"]) == list(told["baseline"]) == ["1-distill", "2-quantize", "3-distill"]
    assert told["student"]["3-distill"]["accuracy"] == run.evidence["seeds"]["student"]
    assert told["baseline"]["3-distill"]["accuracy"] == run.evidence["seeds"]["baseline"]
    assert len(told["student"]["2-quantize"]["accuracy"]) == 2
    layers = {layer["name"]: layer["bits"] for layer in run.evidence["precision"]}
    assert {layers[name] for name in formats(trainings.student.network)} == {2}
    assert json.loads((tmp_path / "run" / "evidence.json").read_text(encoding="utf-8"))["precision"]


def test_the_plan_counts_all_trainings_and_names_packed_files(stepped: Callable[..., Document]) -> None:
    once, thrice = (plan(from_document(stepped(*steps))) for steps in ((DISTIL,), (DISTIL, TWO_BITS, GENTLY)))
    assert thrice.student_steps == once.student_steps * 6 // 4
    assert "torch packed" in thrice.candidates
    assert "torch packed" not in once.candidates
    assert once.steps == [], "a student that is distilled and no more needs no words"
    line = next(one for one in str(thrice).splitlines() if one.startswith("steps"))
    assert line.startswith('steps     distill; then quantize (weights.use = "uniform", weights.bits = 2')
    assert line.endswith("); then distill"), "how it is trained is no part of what is done"


def test_the_plan_says_what_steps_do_by_default_too(stepped: Callable[..., Document]) -> None:
    clipped = {"use": "quantize", "activations": {"use": "affine"}, "skip": ["first"]}
    gradient = {"use": "quantize", "weights": {"use": "uniform", "bits": 4}, "allocation": "gradient"}
    pruned = {"use": "prune", "to": {"macs": "0.5x"}, "every": 7}
    _, fewer, four, two = plan(from_document(stepped(DISTIL, pruned, gradient, clipped))).steps
    assert two.endswith('skip = ["first"]; by default tensors = "weights", calibration = 512, allocation = "equal")')
    assert four.endswith('allocation = "gradient"; by default tensors = "weights", allocation_batches = 5)')
    assert fewer.startswith('prune (to.macs = "0.5x", every = 7; by default importance = "group_fisher", select = ')
    assert "every" not in fewer.partition("by default")[2] and "sensitivity" not in fewer


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([TWO_BITS], "add a distill step before them, or let it start as a network"),
        ([], "student.steps must have at least 1 entry; got []"),
        (
            [{"use": "quantise"}],
            "student.steps.0.use must be one of 'distill', 'prune', 'sparsify', 'quantize', 'correct'; got 'quantise'",
        ),
        (
            [{"weights": {}}],
            "key student.steps.0.use is missing. Choose from 'distill', 'prune', 'sparsify', 'quantize', 'correct'",
        ),
        ([DISTIL, {"use": "correct", "classes": []}], "student.steps.1.classes must have at least 1 entry; got []"),
        ([DISTIL, {"use": "quantize"}], "give weights or activations a format"),
        ([DISTIL, {**TWO_BITS, "wieghts": 1}], "unknown key student.steps.1.wieghts. Did you mean 'weights'?"),
        (
            [{**DISTIL, "training": {"epoch": 1}}],
            "student.steps.0.training: unknown key 'epoch'. Did you mean 'epochs'?",
        ),
        ([{**DISTIL, "train": "codebook"}], "needs a quantize step before it"),
        ([{"use": "correct"}, DISTIL], "steps.0: the biases of an untrained student cannot be corrected"),
        ([POINTS, {**DISTIL, "teacher": "float_student"}], "needs a distill and a quantize step before it"),
        (
            [{**TWO_BITS, "activations": {"use": "affine"}}, DISTIL],
            "ranges of activations must be measured on a trained",
        ),
        (
            [DISTIL, {"use": "quantize", "weights": {"use": "clipped"}}],
            "a format that is made for weights; got 'clipped'",
        ),
        ([DISTIL, {"use": "quantize", "activations": {"use": "ternary"}}], "made for activations; got 'ternary'"),
        ([DISTIL, {"use": "quantize", "weights": {"use": "uniform", "bit": 3}}], "got 'bit'. Did you mean 'bits'?"),
        ([DISTIL, {"use": "quantize", "weights": {"use": "unifrom"}}], "Did you mean 'uniform'?"),
        ([DISTIL, {"use": "quantize", "weights": {"use": "uniform", "bits": 99}}], "bits of Uniform must be"),
        ([DISTIL, {"use": "quantize", "weights": {"use": "uniform", "bits": "4"}}], "must be a whole number; got '4'"),
        ([DISTIL, {"use": "quantize", "weights": {"use": "uniform", "bits": True}}], "must be a whole number"),
        ([DISTIL, {"use": "quantize", "weights": {}}], "got an empty table"),
        (
            [DISTIL, {"use": "quantize", "weights": {"bits": 4}}],
            "1.weights must say with use which format it is",
        ),
        ([DISTIL, {"use": "quantize", "activations": {"0": "affine", "*": {"use": "affine"}}}], "got 'affine'"),
        ([DISTIL, {**TWO_BITS, "share_codebook": True}], "share_codebook needs one codebook"),
        ([DISTIL, TWO_BITS, PRUNE], "steps.2: prune takes the number formats of an earlier step off"),
        (
            [DISTIL, {**TWO_BITS, "weights": {"use": "ternary"}, "allocation": "gradient"}],
            "needs one codebook or uniform",
        ),
        ([DISTIL, {**POINTS, "share_codebook": True, "allocation": "gradient"}], "its own points"),
        (
            [{**DISTIL, "objective": {"hard": {"use": "hard_labels", "of": "teacher"}}}],
            "in a step needs a teacher that learns",
        ),
    ],
)
def test_steps_that_make_no_sense_are_refused_with_their_place(
    steps: list[Document], said: str, stepped: Callable[..., Document]
) -> None:
    with pytest.raises(BadInput) as caught:
        from_document(stepped(*steps))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_teacher_that_learns_along_has_one_distil_step(stepped: Callable[..., Document]) -> None:
    with pytest.raises(BadInput, match="one distill step where the teacher learns along"):
        from_document(stepped(DISTIL, TWO_BITS, GENTLY, teacher={"learns": True}))


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([DISTIL, {**TWO_BITS, "skip": ["frist"]}], "'frist' fits none"),
        ([DISTIL, TWO_BITS, {**GENTLY, "train": "codebook"}], "formats have a learned codebook"),
        (
            [DISTIL, {"use": "correct", "classes": ["ant", "bee", "cat"]}],
            "must be some of the data's classes, not all; got",
        ),
        (
            [DISTIL, {**TWO_BITS, "activations": {"use": "affine", "granularity": "channel"}}],
            "granularity of quantize, activations must be the whole tensor",
        ),
    ],
)
def test_what_does_not_fit_the_network_is_refused_before_any_training(
    steps: list[Document], said: str, stepped: Callable[..., Document], tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=r"^student\.steps\.\d of the recipe: .*" + said):
        compress(from_document(stepped(*steps)), tmp_path / "run")
    assert not (tmp_path / "run" / "nodes").exists()


def test_an_allocation_needs_labels_before_any_training(
    stepped: Callable[..., Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = from_document(stepped(DISTIL, {**POINTS, "allocation": "gradient"}, baseline=False))

    def unlabeled(*given: Any) -> Dataset:
        found = data_of(*given)
        assert found.train.labels is not None
        return replace(found, train=replace(found.train, labels=torch.full_like(found.train.labels, -1)))

    monkeypatch.setattr("attar.recipes.start.data_of", unlabeled)
    with pytest.raises(BadInput, match=r"student\.steps\.1 of the recipe: allocation .* no labels"):
        compress(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / "nodes").exists()


def test_the_kind_of_error_stays_what_it_is(stepped: Callable[..., Document], tmp_path: Path) -> None:
    with pytest.raises(NothingMatched):
        compress(from_document(stepped(DISTIL, {**TWO_BITS, "skip": ["frist"]})), tmp_path / "run")


# -- documents ---------------------------------------------------------------------------------------------------------


def test_what_a_step_leaves_out_is_as_the_students(stepped: Callable[..., Document]) -> None:
    recipe = from_document(stepped(DISTIL, TWO_BITS, GENTLY))
    first, last = (settings for _, settings in recipe.trainings)
    assert (first.epochs, first.learning_rate, first.batch_size) == (4, 0.1, 32)
    assert (last.epochs, last.learning_rate, last.batch_size) == (2, 0.01, 32)


def test_a_recipe_with_steps_is_read_back_the_same(stepped: Callable[..., Document]) -> None:
    weights = {
        "first": {"use": "codebook", "points": [0.0, 0.5, 1.0]},
        "*": {"use": "power_of_two", "exponents": [-6, 0]},
    }
    recipe = from_document(stepped(DISTIL, {**TWO_BITS, "weights": weights}, {**GENTLY, "train": "codebook"}))
    assert from_document(tomllib.loads(tomli_w.dumps(recipe.document()))) == recipe


def test_a_change_counts_into_the_steps() -> None:
    recipe = read(
        "papers/quantization-2018/quantized", ["student.steps.1.weights.bits=2", "student.steps.2.training.epochs=3"]
    )
    step = recipe.student.all_steps[1]
    assert isinstance(step, Quantize)
    assert step.weights.bits == 2
    assert recipe.trainings[-1][1].epochs == 3
    for change in ("student.steps.3.use=distill", "student.steps.one.use=distill", "student.steps.-1.use=distill"):
        with pytest.raises(BadInput, match="a number from 0 to 2 after 'steps'"):
            read("papers/quantization-2018/quantized", [change])


@pytest.mark.parametrize("use", sorted(FORMATS))
def test_every_format_is_said_and_read_back(use: str) -> None:
    assert from_table(to_table(FORMATS[use]())) == FORMATS[use]()


def test_granularity_is_said_in_a_word_or_a_table() -> None:
    for said in ("tensor", "channel", {"group_size": 32}, {"axis": 1}):
        assert to_table(from_table({"use": "uniform", "granularity": said}))["granularity"] == said
    for wrong in ("row", 4, {"group_size": 0}, {"group_size": True}, {"axis": 0, "group_size": 4}, None):
        with pytest.raises(BadInput):
            from_table({"use": "uniform", "granularity": wrong})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"exponents": [1, 2, 3]},
            r"must have at most 2 entries; got \(1, 2, 3\)\. Leave it out",
        ),
        ({"exponents": ["a", 1]}, r"must be a whole number; got \('a', 1\)\. Leave it out"),
        ({"rounding": "down"}, "must be 'log', 'nearest' or 'stochastic'; got 'down'"),
    ],
)
def test_settings_of_a_format_of_another_type_are_told(settings: dict[str, Any], said: str) -> None:
    (key,) = settings
    with pytest.raises(BadInput, match=f"^{key} of format 'power_of_two' {said}"):
        from_table({"use": "power_of_two", **settings})


STUDIES = [
    (study, run.name, run.recipe, tuple(run.changes))
    for study in ("papers/quantization-2018", "papers/apprentice-2017", "papers/fisher-pruning-2018", "side-by-side")
    for run in read_study(study).runs
]


@pytest.fixture(scope="module")
def shrunk(tmp_path_factory: pytest.TempPathFactory, blobs: Path) -> Iterator[Callable[[Recipe], Recipe]]:
    """A paper's recipe with its steps, on the small task with small networks."""

    def made(recipe: Recipe) -> Recipe:
        document = recipe.document()
        network = {"use": "attar.network.architectures:mlp"}
        teacher = [6, 5] if recipe.student.start == "teacher" else [8]
        for who, hidden in (("teacher", teacher), ("student", [6, 5])):
            document[who]["network"] = {**network, "arguments": {"inputs": 6, "classes": 3, "hidden": hidden}}
            document[who]["training"] |= {"epochs": 1, "batch_size": 64}
        document["teacher"] |= {"members": 1, "views": {}}
        document["name"] = "shrunk"
        document["student"]["seeds"] = 1
        for step in document["student"]["steps"]:
            if step["use"] == "prune":
                step["to"] = {"macs": "0.5x"}
            if "training" in step:
                step["training"] |= {"epochs": 1, "batch_size": 64}
        document |= {"data": {"use": str(blobs), "validation": 0.25}, "transfer": {}}
        document["artifacts"] |= {"runtimes": ["torch"], "seconds": 0.01}
        return from_document(document)

    return made


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all these runs: a teacher or a first step that several have alike is trained once."""
    return tmp_path_factory.mktemp("papers") / "run"


@pytest.mark.slow
@pytest.mark.parametrize(("study", "name", "recipe", "changes"), STUDIES, ids=[f"{s[0]}-{s[1]}" for s in STUDIES])
def test_every_run_of_the_papers_goes_through_when_it_is_shrunk(
    study: str, name: str, recipe: str, changes: tuple[str, ...], shrunk: Callable[[Recipe], Recipe], papers: Path
) -> None:
    asked = read(recipe, list(changes))
    steps = [step.use for step in asked.student.all_steps]
    run = compress(shrunk(asked), papers)
    assert list(run.evidence["steps"]["student"]) == [f"{place}-{use}" for place, use in enumerate(steps, start=1)]
    figures = {
        column.path
        for table in read_study(study).tables
        if table.runs is None or name in table.runs
        for column in table.columns
    }
    for path in figures:
        value: Any = run.evidence
        for key in path.split("."):
            value = None if value is None else value.get(key)
        untrained = "steps.baseline" in path and not asked.baseline
        assert value is not None or "3-distill" in path or untrained, path


def test_steps_that_are_left_out_are_one_distill(tiny: Document) -> None:
    assert from_document(tiny).student.all_steps == [Distill(use="distill")]
