from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.data.split import Split
from attar.data.transfer_set import TransferSet
from attar.errors import BadInput
from attar.network.forward import forward
from attar.tasks.classification import Classification
from attar.training.batch import Batch
from attar.training.fit import fit
from attar.training.losses.features import HiddenMatch
from attar.training.losses.outputs import CenteredLogits, HardLabels, HardValues, SoftTargets, SquaredError
from attar.training.objective import Loss, Objective, Term
from attar.training.results import Fitted
from attar.training.settings import Training

HARD = Objective({"hard": Term(loss=HardLabels())})
ONCE = Training(epochs=2, batch_size=6, learning_rate=0.1)


class Rows:
    """A source that gives its own memory away: what works in place would change it."""

    def __init__(self, inputs: Tensor) -> None:
        self.inputs = inputs
        self.labels = torch.arange(len(inputs)) % 3

    def __len__(self) -> int:
        return len(self.inputs)

    def batch(self, rows: Tensor, epoch: int) -> Batch:
        everything = len(rows) == len(self)
        return Batch(self.inputs if everything else self.inputs[rows], self.labels if everything else self.labels[rows])


def rows_of(*shape: int, count: int = 12) -> Rows:
    return Rows(torch.randn(count, *shape, generator=torch.Generator().manual_seed(3)))


def perceptron(first: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(first or nn.Identity(), nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


def same(one: Fitted, other: Fitted) -> bool:
    mine, theirs = one.model.state_dict(), other.model.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in mine.items())


# -- in place ----------------------------------------------------------------------------------------------------------


class InPlace(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        inputs -= 1.5
        return inputs.mul_(2.0)


class Copying(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs - 1.5) * 2.0


def test_a_student_that_works_in_place_leaves_the_data_as_they_are_and_learns_the_same() -> None:
    one_batch = Training(epochs=3, batch_size=12)
    results = []
    for first in (InPlace(), Copying()):
        data = rows_of(4)
        before = data.inputs.clone()
        results.append(fit(perceptron(first), HARD, data, settings=one_batch, validation=data))
        assert torch.equal(data.inputs, before)
    assert same(*results)
    assert results[0].score == results[1].score


def test_a_live_teacher_and_a_feature_teacher_see_the_inputs_as_they_are() -> None:
    objective = Objective({"soft": Term(loss=SoftTargets()), "labels": Term(loss=HardLabels(), of="teacher")})
    results = [
        fit(perceptron(kind()), objective, rows_of(4), settings=ONCE, teacher=perceptron(kind()))
        for kind in (InPlace, Copying)
    ]
    assert same(*results)
    hint = Objective(
        {"hint": Term(loss=HiddenMatch(student_layer="1", teacher_layer="1")), "hard": Term(loss=HardLabels())}
    )
    results = [
        fit(perceptron(kind()), hint, rows_of(4), settings=ONCE, feature_teacher=perceptron(kind()))
        for kind in (InPlace, Copying)
    ]
    assert same(*results)


def test_the_steps_after_the_first_copy_nothing_where_nothing_works_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    from attar.training.train_module import TrainModule

    train_module = TrainModule(perceptron(), perceptron())
    inputs = rows_of(4).inputs
    got: list[Tensor] = []
    for network in train_module.networks:
        network.register_forward_pre_hook(lambda module, given: got.append(given[0]))
    for _ in range(2):
        train_module(inputs)
    assert [each is inputs for each in got] == [False, False, True, True]


# -- numbers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_a_student_of_other_numbers_is_trained_in_float32(kind: torch.dtype, caplog: pytest.LogCaptureFixture) -> None:
    student = perceptron().to(kind)
    with caplog.at_level(logging.INFO, logger="attar"):
        fitted = fit(student, HARD, rows_of(4), settings=ONCE, validation=rows_of(4))
    floats = perceptron().to(kind).float()
    assert same(fitted, fit(floats, HARD, rows_of(4), settings=ONCE, validation=rows_of(4)))
    assert {tensor.dtype for tensor in student.parameters()} == {kind}
    assert f"numbers of {str(kind).removeprefix('torch.')}; float32 is trained" in caplog.text


class Converts(nn.Module):
    def __init__(self, kind: torch.dtype) -> None:
        super().__init__()
        self.kind = kind
        self.layer = nn.Linear(4, 3).to(kind)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(inputs.to(self.kind))  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_weights_of_16_bits_that_only_run_as_such_are_refused(kind: str) -> None:
    student = Converts(getattr(torch, kind))
    with pytest.raises(
        BadInput, match=rf"^The student has weights of {kind} \('layer.weight'\), .*Keep weights in float32"
    ):
        fit(student, HARD, rows_of(4), settings=ONCE)
    student.layer.requires_grad_(False)
    head = nn.Sequential(student, nn.Flatten(), nn.Linear(3, 3))
    with pytest.raises(BadInput, match=r"Sequential cannot be run .*: RuntimeError: .*dtype"):
        fit(head, HARD, rows_of(4), settings=ONCE)


def test_float64_that_converts_its_inputs_itself_learns_in_float64() -> None:
    fitted = fit(Converts(torch.float64), HARD, rows_of(4), settings=ONCE, validation=rows_of(4))
    assert fitted.model.layer.weight.dtype == torch.float64


# -- outputs -----------------------------------------------------------------------------------------------------------


@dataclass
class Record:
    logits: Tensor


class Gives(nn.Module):
    def __init__(self, output: Callable[[Tensor, bool], object]) -> None:
        super().__init__()
        self.net, self.output = perceptron(), output

    def forward(self, inputs: Tensor) -> object:
        return self.output(self.net(inputs), self.training)


OUTPUTS: dict[str, Callable[[Tensor, bool], object]] = {
    "mapping": lambda logits, training: {"hidden": logits.detach(), "logits": logits},
    "tuple": lambda logits, training: (logits, 0),
    "dataclass": lambda logits, training: Record(logits),
    "auxiliary heads": lambda logits, training: (logits, logits * 2) if training else logits,
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_logits_among_several_outputs_are_trained(name: str, caplog: pytest.LogCaptureFixture) -> None:
    data = rows_of(4)
    reference = fit(Gives(lambda logits, training: logits), HARD, data, settings=ONCE, validation=data)
    with caplog.at_level(logging.INFO, logger="attar"):
        fitted = fit(Gives(OUTPUTS[name]), HARD, data, settings=ONCE, validation=data)
    assert same(fitted, reference)
    assert fitted.score == reference.score
    assert caplog.text.count("its logits are trained, and no other output of it") == 1


# -- layers that need care ---------------------------------------------------------------------------------------------


def test_lazy_layers_get_their_weights_from_the_data() -> None:
    lazy = nn.Sequential(nn.LazyLinear(6), nn.ReLU(), nn.LazyLinear(3))
    data = rows_of(4)
    first, again = (fit(lazy, HARD, data, settings=ONCE, validation=data) for _ in range(2))
    assert first.model[0].weight.shape == (6, 4)
    assert same(first, again)
    assert isinstance(lazy[0], nn.LazyLinear)


def test_weights_that_old_style_normalization_computes_are_no_obstacle() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        student = nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 6)), nn.Tanh(), nn.Linear(6, 3))
    student(rows_of(4).inputs)
    settings = Training(epochs=2, batch_size=6, ema_decay=0.5)
    fitted = fit(student, HARD, rows_of(4), settings=settings, validation=rows_of(4))
    assert not torch.equal(fitted.model[0].weight_g, student[0].weight_g)


class LeNet(nn.Module):
    def __init__(self, view: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.view = view
        self.convolution = nn.Conv2d(1, 4, 3, padding=1)
        self.out = nn.Linear(4 * 3 * 3, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        maps = functional.max_pool2d(functional.relu(self.convolution(inputs)), 2)
        return self.out(maps.view(maps.size(0), -1) if self.view else maps.flatten(1))  # type: ignore[no-any-return]


def test_a_view_after_a_convolution_learns_as_flatten_does() -> None:
    data = rows_of(1, 6, 6)
    results = [fit(LeNet(view), HARD, data, settings=ONCE, validation=data) for view in (True, False)]
    for (name, mine), theirs in zip(results[0].model.named_parameters(), results[1].model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, msg=name)
    objective = Objective({"soft": Term(loss=SoftTargets()), "labels": Term(loss=HardLabels(), of="teacher")})
    fit(LeNet(False), objective, data, settings=ONCE, teacher=LeNet(True))
    hint = Objective({"hint": Term(loss=HiddenMatch(student_layer="convolution", teacher_layer="convolution"))})
    fit(LeNet(False), hint, data, settings=ONCE, feature_teacher=LeNet(True))


@pytest.mark.parametrize(
    "settings", [Training(epochs=1, batch_size=1), Training(epochs=1, batch_size=6, micro_batch_size=1)]
)
def test_batch_normalization_needs_two_examples(settings: Training) -> None:
    student = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
    with pytest.raises(BadInput, match=r"^batch normalization cannot learn from 1 example, .* Raise batch_size"):
        fit(student, HARD, rows_of(4), settings=settings)


def test_a_last_step_of_one_example_says_where_it_comes_from() -> None:
    student = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
    with pytest.raises(BadInput, match="the 3 examples in 2 steps leave it at step 1"):
        fit(student, HARD, rows_of(4, count=3), settings=Training(epochs=1, batch_size=2))


# -- what could not be deployed ----------------------------------------------------------------------------------------


class Wrong(nn.Module):
    def __init__(self, wrong: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.wrong = perceptron(), wrong

    def forward(self, inputs: Tensor) -> Tensor:
        return self.net(self.wrong(inputs))  # type: ignore[no-any-return]


DEPENDENT: dict[str, Callable[[Tensor], Tensor]] = {
    "mean of the batch": lambda rows: rows - rows.mean(0),
    "batch normalization": lambda rows: functional.batch_norm(rows, None, None, training=True),
    "a branch": lambda rows: rows if rows.mean() > 0 else -rows,
    "a squeeze": lambda rows: rows.squeeze(),
    "other rows": lambda rows: rows.roll(1, 0),
}
RANDOM: dict[str, Callable[[Tensor], Tensor]] = {
    "dropout": lambda rows: functional.dropout(rows),
    "noise": lambda rows: rows + torch.randn_like(rows),
}


@pytest.mark.parametrize("name", DEPENDENT)
def test_a_student_whose_answers_depend_on_the_batch_is_refused_before_it_is_trained(name: str) -> None:
    with pytest.raises(BadInput, match=r"^The student gives answers that depend on the rest of the batch"):
        fit(Wrong(DEPENDENT[name]), HARD, rows_of(4), settings=Training(batch_size=12))


@pytest.mark.parametrize("name", RANDOM)
def test_a_student_that_answers_at_random_is_refused_before_it_is_trained(name: str) -> None:
    drawn = torch.get_rng_state()
    with pytest.raises(BadInput, match=r"^The student answers at random"):
        fit(Wrong(RANDOM[name]), HARD, rows_of(4), settings=ONCE)
    assert torch.equal(drawn, torch.get_rng_state())


def test_training_mode_may_do_what_evaluation_mode_may_not() -> None:
    student = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(), nn.Linear(6, 3))
    fitted = fit(student, HARD, rows_of(4), settings=ONCE)
    assert torch.isfinite(forward(fitted.model, rows_of(4).inputs)).all()


# -- what comes out ----------------------------------------------------------------------------------------------------


class Otherwise(nn.Module):
    """A linear layer, and something done with its answer."""

    def __init__(self, change: Callable[[Tensor, Tensor], Tensor], outputs: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.change = nn.Linear(4, outputs), change

    def forward(self, inputs: Tensor) -> Tensor:
        return self.change(self.layer(inputs), inputs)


@pytest.mark.parametrize(
    "student",
    [
        Otherwise(lambda output, inputs: inputs[:, :3]),
        Otherwise(lambda output, inputs: output.detach()),
        Otherwise(lambda output, inputs: torch.from_numpy(output.detach().numpy())),
    ],
    ids=["no weight", "detached", "numpy"],
)
def test_a_student_whose_weights_are_not_in_its_answers_is_refused(student: nn.Module) -> None:
    with pytest.raises(BadInput, match="answers depend on no weight that learns"):
        fit(student, HARD, rows_of(4), settings=ONCE)


@pytest.mark.parametrize(
    ("student", "found", "wanted"),
    [
        (Otherwise(lambda output, _: output, outputs=1), "[4, 1]", "[4, 3 or more]"),
        (Otherwise(lambda output, _: output[:, 0]), "[4]", "[4, 3 or more]"),
        (Otherwise(lambda output, _: output[:, :, None]), "[4, 3, 1]", "[4, 3 or more]"),
    ],
    ids=["one logit", "no axis of classes", "an axis too many"],
)
def test_answers_of_another_shape_are_refused_with_the_shape_that_is_needed(
    student: nn.Module, found: str, wanted: str
) -> None:
    with pytest.raises(BadInput) as refused:
        fit(student, HARD, rows_of(4), settings=ONCE)
    assert f"outputs of shape {found} for 4 rows, where {wanted} is needed: one logit for each class" in str(
        refused.value
    )


def test_more_logits_than_the_task_has_classes_are_refused_before_anything_is_trained() -> None:
    split = Split(torch.randn(6, 4), torch.arange(6) % 3, torch.arange(6), Classification(("a", "b", "c")))
    student = Otherwise(lambda output, _: output, outputs=5)
    with pytest.raises(BadInput, match=r"outputs of shape \[4, 5\] for 4 rows, where \[4, 3\] is needed: one logit"):
        fit(student, HARD, TransferSet(split), settings=ONCE)


def failing(output: Tensor, inputs: Tensor) -> Tensor:
    raise KeyError("lengths")


def test_a_student_that_raises_is_refused_with_what_it_raised() -> None:
    message = r"student Otherwise cannot be run in evaluation mode on inputs of shape \[4, 4\]: KeyError: 'lengths'\."
    with pytest.raises(BadInput, match=message):
        fit(Otherwise(failing), HARD, rows_of(4), settings=ONCE)


class Targeted(Rows):
    """Rows with targets of three numbers."""

    def batch(self, rows: Tensor, epoch: int) -> Batch:
        inputs = self.inputs[rows]
        return Batch(inputs, targets=inputs[:, :3], labels=inputs[:, :1])


@pytest.mark.parametrize(
    ("loss", "outputs", "wanted"),
    [
        (SoftTargets(), 2, "[4, 3] is needed: one logit for each class"),
        (CenteredLogits(), 2, "[4, 3] is needed: one logit for each class"),
        (SquaredError(kind="values"), 2, "[4, 3] is needed: one number for each value"),
        (HardValues(), 3, "[4, 1] is needed: one number for each value"),
    ],
    ids=["soft targets", "centered logits", "squared error", "values"],
)
def test_answers_must_have_the_shape_of_what_they_are_judged_by(loss: Loss, outputs: int, wanted: str) -> None:
    data = Targeted(rows_of(4).inputs)
    student = Otherwise(lambda output, _: output, outputs)
    with pytest.raises(BadInput, match=re.escape(wanted)):
        fit(student, Objective({"term": Term(loss=loss)}), data, settings=ONCE)


def test_a_label_without_a_logit_is_refused_wherever_it_comes() -> None:
    data = rows_of(4)
    data.labels = torch.zeros(12, dtype=torch.int64)
    data.labels[torch.randperm(12, generator=torch.Generator().manual_seed(0))[-1]] = 7
    with pytest.raises(BadInput) as refused:
        fit(perceptron(), HARD, data, settings=Training(epochs=1, batch_size=1))
    assert "3 logits for each row, and the labels go up to 7" in str(refused.value)


@pytest.mark.parametrize(
    ("change", "warned"),
    [
        (lambda output, _: output.softmax(1), True),
        (lambda output, _: output.sigmoid(), True),
        (lambda output, _: output.log_softmax(1), False),
        (lambda output, _: output, False),
        (lambda output, _: 0 * output, False),
        (lambda output, _: output.relu(), False),
    ],
    ids=["softmax", "sigmoid", "log softmax", "logits", "zeros", "relu"],
)
def test_probabilities_under_losses_on_logits_are_warned_of_once(
    change: Callable[[Tensor, Tensor], Tensor], warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    fit(Otherwise(change), HARD, rows_of(4), settings=ONCE)
    assert sum("gives probabilities, and the losses take logits" in text for text in caplog.messages) == warned


def test_a_sigmoid_may_end_a_regression(caplog: pytest.LogCaptureFixture) -> None:
    student = Otherwise(lambda output, _: output.sigmoid(), 1)
    fit(student, Objective({"values": Term(loss=HardValues())}), Targeted(rows_of(4).inputs), settings=ONCE)
    assert not caplog.messages
