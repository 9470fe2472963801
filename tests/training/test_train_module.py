"""Terms that read hidden layers in the loop: feature teachers, projectors, stages, crashes, processes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_training import Killed, killed_at
from torch import Tensor, nn

from attar.errors import BadInput
from attar.network.architectures import convnet
from attar.network.weights import digest, read_tensors
from attar.training.batch import Batch
from attar.training.callbacks import Callback, TrainState
from attar.training.checkpoint import load_state
from attar.training.features import Features
from attar.training.fit import fit
from attar.training.losses.features import AttentionMaps, HiddenMatch
from attar.training.losses.outputs import HardLabels, SoftTargets
from attar.training.losses.relations import RelationalAngles, RelationalDistances
from attar.training.objective import Objective, Term
from attar.training.settings import Training
from attar.training.train_module import reads_layers

EXAMPLES = 11


@dataclass
class Rows:
    """A source of batches from tensors."""

    inputs: Tensor
    targets: Tensor
    asked: int = 0

    def __len__(self) -> int:
        return len(self.inputs)

    def batch(self, rows: Tensor, epoch: int) -> Batch:
        self.asked += 1
        targets = self.targets[rows]
        return Batch(self.inputs[rows], targets.argmax(-1), targets, rows)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def rows_of(dtype: torch.dtype = torch.float32) -> Rows:
    return Rows(normal(EXAMPLES, 4, dtype=dtype), 2 * normal(EXAMPLES, 3, seed=1, dtype=dtype))


def perceptron(width: int, seed: int = 1, dropout: float = 0.0) -> nn.Module:
    """4 values in, 3 logits out; layer "2" has ``width`` values."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(4, width), nn.BatchNorm1d(width), nn.ReLU(inplace=True), nn.Dropout(dropout), nn.Linear(width, 3)
        )


def tanh(width: int, seed: int = 1) -> nn.Module:
    """The same without what depends on the rest of a batch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 3))


HINT = Term(loss=HiddenMatch(student_layer="2", teacher_layer="2"))
SOFT = Term(loss=SoftTargets())
SETTINGS = Training(epochs=2, batch_size=4, learning_rate=0.05, momentum=0.0, schedule="constant", checkpoint="last")
"""Three steps an epoch on eleven examples."""


class Watch(Callback):
    """A callback that stores what the optimizer holds after each step."""

    def __init__(self) -> None:
        self.held: list[list[Tensor]] = []

    def after_step(self, state: TrainState) -> None:
        self.held.append([p.detach().clone() for group in state.optimizer.param_groups for p in group["params"]])


def same(one: nn.Module, other: nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


# -- one step, by hand -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("micro", [None, 4])
@pytest.mark.parametrize("width", [9, 6])
def test_a_step_is_the_one_done_by_hand(width, micro):
    data = rows_of(torch.float64)
    student, feature_teacher = tanh(6).double(), tanh(width, seed=2).double()
    settings = replace(SETTINGS, epochs=1, batch_size=EXAMPLES, micro_batch_size=micro, learning_rate=0.3, seed=7)
    hint = Term(loss=HiddenMatch(student_layer="1", teacher_layer="1"), weight=2.0)
    watch = Watch()
    fitted = fit(
        student,
        Objective({"soft": SOFT, "a.hint": hint}),
        data,
        settings=settings,
        feature_teacher=feature_teacher,
        callbacks=[watch],
    )

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        # The projector is drawn from the seed of the training, and is there only where the widths differ.
        projector = nn.Linear(6, width).double() if width != 6 else nn.Identity()
    hidden = student[1](student[0](data.inputs))
    loss = SoftTargets()(student[2](hidden), data.batch(torch.arange(EXAMPLES), 0)).mean()
    loss = loss + 2 * (projector(hidden) - feature_teacher[1](feature_teacher[0](data.inputs)).detach()).square().mean()
    weights = [*student.parameters(), *projector.parameters()]
    expected = [w - 0.3 * g for w, g in zip(weights, torch.autograd.grad(loss, weights), strict=True)]
    assert len(watch.held[0]) == len(expected)
    for found, right in zip(watch.held[0], expected, strict=True):
        torch.testing.assert_close(found, right.detach(), rtol=1e-12, atol=1e-14)
    assert [tuple(p.shape) for p in fitted.model.parameters()] == [tuple(p.shape) for p in student.parameters()]
    for found, right in zip(fitted.model.parameters(), expected, strict=False):
        torch.testing.assert_close(found, right.detach(), rtol=1e-12, atol=1e-14)


def test_relations_are_those_of_micro_batches():
    data, student, feature_teacher = rows_of(torch.float64), tanh(6).double(), tanh(9, seed=2).double()
    term = RelationalDistances(student_layer="1", teacher_layer="1")
    settings = replace(SETTINGS, epochs=1, batch_size=EXAMPLES, micro_batch_size=6, learning_rate=1e-30)
    (entry,) = fit(
        student, Objective({"it": Term(loss=term)}), data, settings=settings, feature_teacher=feature_teacher
    ).history
    order = torch.randperm(EXAMPLES, generator=torch.Generator().manual_seed(0))
    total = 0.0
    for rows in (order[:5], order[5:]):
        features = Features(*(network[1](network[0](data.inputs[rows])) for network in (student, feature_teacher)))
        total += term(torch.zeros(len(rows), 3), Batch(data.inputs[rows], features=features)).sum().item()
    assert entry.terms["it"] == pytest.approx(total / EXAMPLES, rel=1e-6)


# -- the feature teacher -----------------------------------------------------------------------------------------------


def test_the_callers_feature_teacher_is_unchanged_and_runs_in_evaluation_mode():
    feature_teacher = perceptron(9, seed=2, dropout=0.5).train()
    before = digest(feature_teacher)
    results = []
    for mode in (True, False):
        feature_teacher.train(mode)
        results.append(
            fit(perceptron(6), Objective({"hint": HINT}), rows_of(), settings=SETTINGS, feature_teacher=feature_teacher)
        )
        assert all(part.training is mode for part in feature_teacher.modules())
    assert digest(feature_teacher) == before
    assert all(p.grad is None and p.requires_grad for p in feature_teacher.parameters())
    assert same(results[0].model, results[1].model)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in feature_teacher.modules())
    assert not any(part._forward_hooks for part in results[0].model.modules())


def test_the_student_comes_to_give_what_the_feature_teacher_gives():
    feature_teacher, data = tanh(9, seed=2), rows_of()
    hint = Objective({"hint": Term(loss=HiddenMatch(student_layer="1", teacher_layer="1"))})
    settings = replace(SETTINGS, epochs=60, learning_rate=0.5, momentum=0.9)
    history = fit(tanh(6), hint, data, settings=settings, feature_teacher=feature_teacher).history
    assert history[-1].loss < history[0].loss / 20


def test_the_dry_run_leaves_no_trace_in_the_student():
    student = perceptron(6).eval()
    before = digest(student)
    fitted = fit(
        student, Objective({"hint": HINT}), rows_of(), settings=SETTINGS, feature_teacher=perceptron(9, seed=2)
    )
    assert digest(student) == before
    assert int(fitted.model[1].num_batches_tracked) == fitted.steps == 6


def test_maps_are_matched_whatever_their_layout_and_size():
    images = Rows(normal(EXAMPLES, 1, 8, 8), normal(EXAMPLES, 3, seed=1))
    student, feature_teacher = convnet(3, [4, 6], strides=[2, 1]), convnet(3, [8, 12])
    layers = {"student_layer": "4", "teacher_layer": "4"}
    objective = Objective(
        {
            "hint": Term(loss=HiddenMatch(**layers)),
            "where": Term(loss=AttentionMaps(**layers), weight=100.0),
            "far": Term(loss=RelationalDistances(**layers)),
            "corner": Term(loss=RelationalAngles(student_layer="5", teacher_layer="7")),
        }
    )
    fitted = fit(student, objective, images, settings=replace(SETTINGS, epochs=4), feature_teacher=feature_teacher)
    assert fitted.history[-1].loss < fitted.history[0].loss
    assert all(p.is_contiguous() for p in fitted.model.parameters())
    assert fitted.model.state_dict().keys() == student.state_dict().keys()


def test_bf16_reads_layers_too(monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    settings = replace(SETTINGS, precision="bf16-mixed")
    objective = Objective({"hint": HINT, "soft": SOFT})
    fitted = fit(perceptron(6), objective, rows_of(), settings=settings, feature_teacher=perceptron(9, seed=2))
    reference = fit(perceptron(6), objective, rows_of(), settings=SETTINGS, feature_teacher=perceptron(9, seed=2))
    assert fitted.history[0].terms["hint"] == pytest.approx(reference.history[0].terms["hint"], rel=0.05)
    assert all(p.dtype == torch.float32 for p in fitted.model.parameters())


# -- a teacher that learns beside --------------------------------------------------------------------------------------


@pytest.mark.parametrize("detach", [True, False])
def test_a_teacher_that_learns_is_read_and_left_alone_if_asked(detach):
    teacher = tanh(9, seed=2)
    hint = Term(loss=HiddenMatch(student_layer="1", teacher_layer="1"))
    own = Term(loss=HardLabels(), of="teacher", weight=0.0)
    fitted = fit(
        tanh(6),
        Objective({"hint": hint, "own": own}),
        rows_of(),
        settings=SETTINGS,
        teacher=teacher,
        detach_teacher=detach,
    )
    assert fitted.teacher is not None
    assert same(fitted.teacher, teacher) is detach


def test_a_feature_teacher_goes_before_a_teacher():
    hint = Term(loss=HiddenMatch(student_layer="1", teacher_layer="2"))
    own = Term(loss=HardLabels(), of="teacher")
    objective = Objective({"hint": hint, "own": own})
    both = fit(tanh(6), objective, rows_of(), settings=SETTINGS, teacher=tanh(9), feature_teacher=perceptron(5, seed=2))
    alone = fit(tanh(6), Objective({"hint": hint}), rows_of(), settings=SETTINGS, feature_teacher=perceptron(5, seed=2))
    assert both.history[0].terms["hint"] == alone.history[0].terms["hint"]


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("term", "feature_teacher", "message"),
    [
        (
            HINT,
            None,
            "feature_teacher of fit must be the network whose layer '2' term 'it' reads; got None. "
            "Pass feature_teacher= to fit",
        ),
        (
            SOFT,
            perceptron(9),
            "feature_teacher of fit must be left out where no term reads hidden layers; got 'Sequential'",
        ),
        (replace(HINT, of="teacher"), perceptron(9), "of of term 'it' must be 'student' where it reads hidden layers"),
        (
            Term(loss=HiddenMatch(student_layer="9", teacher_layer="2")),
            perceptron(9),
            "student_layer of term 'it' must be the name of a layer of Sequential; got '9'. Choose from '0', '1'",
        ),
        (
            Term(loss=HiddenMatch(student_layer="2", teacher_layer="body")),
            perceptron(9),
            "teacher_layer of term 'it' must be the name of a layer of Sequential; got 'body'",
        ),
        (
            Term(loss=AttentionMaps(student_layer="2", teacher_layer="2")),
            perceptron(9),
            "features of attention must be maps or sequences",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(term, feature_teacher, message):
    with pytest.raises(BadInput, match=message):
        fit(perceptron(6), Objective({"it": term}), rows_of(), settings=SETTINGS, feature_teacher=feature_teacher)


def test_relations_of_outputs_need_no_feature_teacher():
    objective = Objective({"far": Term(loss=RelationalDistances())})
    assert not reads_layers(objective) and reads_layers(Objective({"soft": SOFT, "hint": HINT}))
    assert fit(perceptron(6), objective, rows_of(), settings=SETTINGS).steps == 6


def test_a_loss_of_the_users_own_may_read_layers():
    class Largest:
        student_layer = "2"
        teacher_layer = "2"

        def __call__(self, output: Tensor, batch: Batch) -> Tensor:
            assert batch.features is not None and not batch.features.teacher.requires_grad
            return (batch.features.student.amax(1) - batch.features.teacher.amax(1)).square()

    fitted = fit(
        perceptron(6),
        Objective({"it": Term(loss=Largest())}),
        rows_of(),
        settings=SETTINGS,
        feature_teacher=perceptron(9),
    )
    assert fitted.history[1].loss != fitted.history[0].loss


# -- stages, and what is not used --------------------------------------------------------------------------------------


class Counting(nn.Module):
    """A network that counts how often it runs."""

    runs = 0

    def __init__(self) -> None:
        super().__init__()
        self.body = perceptron(9, seed=2)

    def forward(self, x: Tensor) -> Tensor:
        type(self).runs += 1
        output: Tensor = self.body(x)
        return output


def test_the_feature_teacher_runs_only_while_a_term_reads_it():
    hint = Term(loss=HiddenMatch(student_layer="2", teacher_layer="body.2"), start_epoch=1, end_epoch=2)
    Counting.runs = 0
    objective = Objective({"soft": SOFT, "hint": hint})
    fit(perceptron(6), objective, rows_of(), settings=replace(SETTINGS, epochs=3), feature_teacher=Counting())
    assert Counting.runs == 1 + 3, "one dry run, and the three steps of the second epoch"


def test_layers_first_and_outputs_then():
    """The two stages of FitNets in one training."""
    stages = Objective({"hint": replace(HINT, end_epoch=1), "soft": replace(SOFT, start_epoch=1)})
    student = perceptron(6)
    heads = []

    class Head(Watch):
        def after_epoch(self, state: TrainState) -> None:
            heads.append(state.model[4].weight.detach().clone())

    fitted = fit(
        student, stages, rows_of(), settings=SETTINGS, feature_teacher=perceptron(9, seed=2), callbacks=[Head()]
    )
    assert torch.equal(heads[0], student[4].weight) and not torch.equal(heads[1], student[4].weight)
    assert [set(entry.terms) for entry in fitted.history] == [{"hint"}, {"soft"}]


def test_without_such_terms_nothing_is_asked_or_stored_that_was_not_before(tmp_path):
    data = rows_of()
    settings = replace(SETTINGS, checkpoint_seconds=0.0)
    fit(perceptron(6), Objective({"soft": SOFT}), data, settings=settings, checkpoint_file=tmp_path / "it")
    assert data.asked == 6
    state = load_state(tmp_path / "it")
    assert "feature_teacher" not in state["identity"]
    assert state["train_module"].keys() == {f"student.{name}" for name in perceptron(6).state_dict()}


# -- surviving a crash -------------------------------------------------------------------------------------------------


STAGES = Objective(
    {"soft": SOFT, "hint": replace(HINT, end_epoch=3), "far": Term(loss=RelationalDistances(), start_epoch=1)}
)


def interrupted(path: Path | None, feature_teacher: int = 2, stop: int | None = None) -> Any:
    settings = Training(
        epochs=4, batch_size=4, optimizer="adamw", learning_rate=0.02, ema_decay=0.7, checkpoint_seconds=0.0
    )
    data = rows_of()
    return fit(
        perceptron(6, dropout=0.3),
        STAGES,
        data,
        settings=settings,
        validation=data,
        feature_teacher=perceptron(9, seed=feature_teacher),
        checkpoint_file=path,
        **({} if stop is None else {"progress": killed_at(stop)}),
    )


def test_a_killed_training_ends_with_the_same_weights(tmp_path):
    unbroken = interrupted(None)
    for stop in (2, 5, 10):
        with pytest.raises(Killed):
            interrupted(tmp_path / "it", stop=stop)
    assert "projectors.1.weight" in load_state(tmp_path / "it")["train_module"]
    resumed = interrupted(tmp_path / "it")
    assert same(resumed.model, unbroken.model) and resumed.history == unbroken.history


def test_the_checkpoint_knows_its_feature_teacher(tmp_path):
    with pytest.raises(Killed):
        interrupted(tmp_path / "it", stop=4)
    with pytest.raises(BadInput, match="feature_teacher of the checkpoint"):
        interrupted(tmp_path / "it", feature_teacher=3)


# -- several processes -------------------------------------------------------------------------------------------------

SCRIPT = """
import sys
from pathlib import Path
import torch
from torch import nn
from attar.network.weights import save_weights
from attar.training.batch import Batch
from attar.training.fabric import make_fabric
from attar.training.fit import fit
from attar.training.losses.features import HiddenMatch
from attar.training.losses.outputs import SoftTargets
from attar.training.objective import Objective, Term
from attar.training.settings import Training

class Rows:
    def __init__(self, count):
        draw = torch.Generator().manual_seed(0)
        self.inputs = torch.randn(count, 4, generator=draw, dtype=torch.float64)
        self.targets = torch.randn(count, 3, generator=draw, dtype=torch.float64)
    def __len__(self):
        return len(self.inputs)
    def batch(self, rows, epoch):
        return Batch(self.inputs[rows], None, self.targets[rows], rows)

def network(width, seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 3)).double()

folder, fabric = Path(sys.argv[1]), make_fabric()
hint = HiddenMatch(student_layer="1", teacher_layer="1")
# An epoch of layers alone, one of both, one in which a projector waits, and one without any layers.
objective = Objective({
    "hint": Term(loss=hint, end_epoch=2),
    "soft": Term(loss=SoftTargets(), start_epoch=1),
    "late": Term(loss=hint, start_epoch=2, end_epoch=3),
})
settings = Training(epochs=4, batch_size=7, micro_batch_size=2, learning_rate=0.1, weight_decay=0.01, checkpoint="last")
fitted = fit(network(6, 1), objective, Rows(20), settings=settings, fabric=fabric, feature_teacher=network(9, 2))
save_weights(fitted.model, folder / f"{fabric.world_size}-{fabric.global_rank}.safetensors",
             {"history": [entry.to_json() for entry in fitted.history]})
"""


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path, in_ranks):
    script = tmp_path / "training.py"
    script.write_text(SCRIPT)
    in_ranks(script, str(tmp_path), alone=True)
    one, first, second = (read_tensors(tmp_path / f"{name}.safetensors") for name in ("1-0", "2-0", "2-1"))
    for name, value in one[0].items():
        torch.testing.assert_close(first[0][name], value, rtol=1e-9, atol=1e-12)
        assert torch.equal(first[0][name], second[0][name])
    for mine, theirs in zip(one[1]["history"], first[1]["history"], strict=True):
        assert mine["terms"] == pytest.approx(theirs["terms"], rel=1e-5)
