"""The teacher that is one network, and making teachers of what users have."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from attar.errors import BadInput
from attar.teachers import Ensemble, NetworkTeacher, Teacher, as_teacher
from attar.teachers.outputs import check_output
from attar.teachers.teacher import named


def network(activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), activation(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(4 * 36, 3)
    )


def pictures(count: int = 5) -> Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def test_predicts_the_logits_of_the_network_in_eval_mode():
    module = network()
    expected = copy.deepcopy(module).eval()(pictures())
    same_layout = copy.deepcopy(module).eval().to(memory_format=torch.channels_last)(pictures())
    said = NetworkTeacher(module, classes=3).predict(pictures())
    assert torch.equal(said, same_layout)
    torch.testing.assert_close(said, expected)


def test_is_frozen():
    teacher = NetworkTeacher(network(), classes=3)
    before = copy.deepcopy(teacher.module.state_dict())
    teacher.module.train()  # As somebody does who trains with the same module.
    one, other = teacher.predict(pictures()), teacher.predict(pictures())
    assert torch.equal(one, other), "dropout was active"
    assert not one.requires_grad
    after = teacher.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), "a buffer or weight moved"


def test_a_network_that_is_given_learns_on_as_before():
    module = network()
    module[0].requires_grad_(False)
    wanted = [parameter.requires_grad for parameter in module.parameters()]
    teacher = NetworkTeacher(module, classes=3, mean=0.5, std=0.25)
    teacher.predict(pictures())
    assert [parameter.requires_grad for parameter in module.parameters()] == wanted
    assert all(parameter.grad is None for parameter in module.parameters())


def test_is_a_teacher():
    assert isinstance(NetworkTeacher(network(), classes=3), Teacher)


def test_counts_classes_on_an_example():
    assert NetworkTeacher(network(), example=pictures(1)).classes == 3


def test_standardizes():
    module = network()
    plain = NetworkTeacher(module, classes=3).predict((pictures() - 0.5) / 0.25)
    teacher = NetworkTeacher(module, classes=3, mean=0.5, std=[0.25])
    torch.testing.assert_close(teacher.predict(pictures()), plain)
    torch.testing.assert_close(teacher.module(pictures()), plain)


def test_gives_float32_whatever_the_network_computes_in():
    teacher = NetworkTeacher(nn.Sequential(nn.Linear(2, 3), _Doubled()), classes=3)
    assert teacher.predict(torch.zeros(1, 2)).dtype == torch.float32


class _Doubled(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.double()


def test_fingerprint_tells_weights_buffers_statistics_and_layers_apart():
    moved, buffered = network(), network()
    with torch.no_grad():
        moved[0].weight[0, 0, 0, 0] += 1e-6
    buffered[1].running_mean[0] += 1e-6
    prints = [
        NetworkTeacher(network(), classes=3).fingerprint(),
        NetworkTeacher(moved, classes=3).fingerprint(),
        NetworkTeacher(buffered, classes=3).fingerprint(),
        NetworkTeacher(network(nn.GELU), classes=3).fingerprint(),
        NetworkTeacher(network(), classes=3, mean=0.0, std=1.0).fingerprint(),
        NetworkTeacher(network(), classes=3, mean=0.0, std=2.0).fingerprint(),
    ]
    assert len(set(prints)) == len(prints)
    assert prints[0] == NetworkTeacher(copy.deepcopy(network()), classes=3).fingerprint()


def test_fingerprint_is_not_changed_by_predicting():
    teacher = NetworkTeacher(network(), classes=3)
    before = teacher.fingerprint()
    teacher.predict(pictures())
    assert teacher.fingerprint() == before


class _Gives(nn.Module):
    """A network that gives what it is told to."""

    def __init__(self, output: object) -> None:
        super().__init__()
        self.output = output

    def forward(self, inputs: Tensor) -> object:
        return self.output


@pytest.mark.parametrize(
    ("output", "got"),
    [
        (torch.zeros(2, 4), "gives 4 numbers for each row, and 3 are needed"),
        (torch.zeros(2, 1), "gives 1 number for each row, and 3 are needed"),
        (torch.zeros(1, 3), r"gives an output of shape \[1, 3\] for 2 rows, where \[2, 3\] is needed"),
        (torch.zeros(2), "gives 1 number for each row"),
        (torch.zeros(2, 3, 2), r"gives an output of shape \[2, 3, 2\]"),
        ({"hidden": torch.zeros(2, 3), "features": torch.zeros(2, 3)}, "gives a dict without an entry 'logits'"),
        (None, "gives a NoneType where a tensor is needed"),
    ],
    ids=["classes", "one", "batch", "rank 1", "rank 3", "names", "no tensor"],
)
def test_wrong_output(output, got):
    teacher = NetworkTeacher(_Gives(output), classes=3)
    with pytest.raises(BadInput, match="The network _Gives " + got):
        teacher.predict(torch.zeros(2, 5))


def test_classes_that_contradict_the_example():
    with pytest.raises(BadInput, match="The network Sequential gives 3 numbers for each row, and 10 are needed"):
        NetworkTeacher(network(), classes=10, example=pictures(1))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({}, "classes of NetworkTeacher must be known, or an example given; got neither"),
        ({"example": pictures(0)}, "an empty example"),
        ({"classes": 0}, "classes of NetworkTeacher must be at least 1"),
        ({"classes": 3, "mean": 0.5}, "mean and std of NetworkTeacher must be given together"),
    ],
)
def test_bad_arguments(arguments, match):
    with pytest.raises(BadInput, match=match):
        NetworkTeacher(network(), **arguments)


class _Anything:
    """A teacher that inherits from nothing."""

    classes = 3

    def predict(self, inputs: Tensor) -> Tensor:
        return torch.zeros(len(inputs), 3)

    def fingerprint(self) -> str:
        return "zeros"


def test_as_teacher():
    anything = _Anything()
    assert as_teacher(anything) is anything
    assert isinstance(as_teacher(network(), classes=3), NetworkTeacher)
    both = as_teacher([network(), anything], classes=3)
    assert isinstance(both, Ensemble) and both.classes == 3 and both.members[1] is anything


@pytest.mark.parametrize("given", [7, len, None], ids=str)
def test_as_teacher_of_something_else(given):
    with pytest.raises(BadInput, match="teacher of as_teacher must be a module"):
        as_teacher(given)


def test_as_teacher_of_files_and_weights_says_what_to_load():
    with pytest.raises(
        BadInput, match=r"got 'teacher\.pt', which is a pickle, which can run code when it is read\. Load it where"
    ):
        as_teacher("teacher.pt")
    with pytest.raises(BadInput, match="weights without their network"):
        as_teacher(network().state_dict())


def test_what_cannot_be_put_into_evaluation_mode_is_told():
    program = torch.export.export(nn.Linear(4, 3), (torch.zeros(2, 4),)).module()
    with pytest.raises(BadInput, match=r"is a program that torch\.export made"):
        as_teacher(program, classes=3)


def test_an_object_that_does_not_say_what_it_is_is_called_by_its_class():
    assert named(_Anything()) == "The teacher _Anything"


def test_as_teacher_of_a_missing_onnx_file(tmp_path):
    with pytest.raises(BadInput, match=r"There is no ONNX file .*gone.onnx"):
        as_teacher(tmp_path / "gone.onnx")


# What networks do to their inputs, and what they give


class _Made(nn.Module):
    """A linear network whose output goes through a function."""

    def __init__(self, made: Callable[[Tensor], object], outputs: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(6, outputs)
        self.made = made

    def forward(self, inputs: Tensor) -> object:
        return self.made(self.linear(inputs))


class _Shifts(nn.Module):
    """Changes its inputs in place, as much user code does."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.linear = nn.Linear(6, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        inputs -= 5
        return self.linear(inputs)


class _Writes:
    """A teacher of the user's that changes its inputs in place."""

    classes = 3

    def predict(self, inputs: Tensor) -> Tensor:
        inputs *= 2
        return inputs[:, :3]

    def fingerprint(self) -> str:
        return "writes"


ROWS = torch.randn(40, 6, generator=torch.Generator().manual_seed(2))


def _logits() -> Tensor:
    with torch.no_grad():
        return _Made(lambda logits: logits)(ROWS)


@pytest.mark.parametrize(
    "first", [_Shifts, lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Linear(6, 3))], ids=["shift", "relu"]
)
def test_a_forward_in_place_changes_nobodys_numbers(first):
    one, two, rows = first(), _Made(lambda logits: logits), ROWS.clone()
    with torch.no_grad():
        right = (one(rows.clone()).softmax(1) + two(rows.clone()).softmax(1)) / 2
    for teacher in (as_teacher([one, two], classes=3), as_teacher([two, one], classes=3)):
        torch.testing.assert_close(teacher.predict(rows).softmax(1), right)
        assert torch.equal(rows, ROWS)
        torch.testing.assert_close(teacher.module(rows).softmax(1), right)
    rows = ROWS.clone()
    as_teacher(one, classes=3).predict(rows)
    assert torch.equal(rows, ROWS)


def test_a_teacher_of_the_users_that_writes_changes_nobodys_numbers():
    rows = ROWS.clone()
    both = as_teacher([_Writes(), _Writes()])
    torch.testing.assert_close(both.predict(rows).softmax(1), (2 * ROWS[:, :3]).softmax(1))
    as_teacher(_Writes(), size=lambda inputs: inputs.mul_(3)).predict(rows)
    as_teacher(_Writes(), knows=["a", "b", "c"], classes=["a", "b", "c"]).predict(rows)
    assert torch.equal(rows, ROWS)


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (lambda logits: logits.softmax(1), "probabilities"),
        (lambda logits: logits.log_softmax(1), "log_probabilities"),
        (lambda logits: logits.sigmoid(), "sigmoids"),
        (lambda logits: logits, "logits"),
        (lambda logits: {"logits": logits.softmax(-1)}, "probabilities"),
    ],
)
@pytest.mark.parametrize("rows", [1, 40])
def test_what_a_network_gives_is_found_out(made, kind, rows):
    teacher = NetworkTeacher(_Made(made), classes=3)
    said = teacher.predict(ROWS[:rows])
    assert teacher.output_reader.kind == kind
    torch.testing.assert_close(said.softmax(1), _logits()[:rows].softmax(1), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(teacher.module(ROWS[:rows]).softmax(1), said.softmax(1))
    assert bool(teacher.output_reader.remarks) == (kind in ("probabilities", "sigmoids"))


@pytest.mark.parametrize("layer", [nn.Softmax(1), nn.LogSoftmax(-1), nn.Sigmoid()], ids=repr)
def test_the_last_layer_says_what_a_network_gives(layer):
    inner = _Made(lambda logits: logits)
    plain = NetworkTeacher(inner, classes=3)
    teacher = NetworkTeacher(nn.Sequential(nn.Sequential(inner, layer), nn.Identity()), classes=3)
    assert teacher.output_reader.kind is not None, "without one example"
    torch.testing.assert_close(teacher.predict(ROWS).softmax(1), plain.predict(ROWS).softmax(1), rtol=1e-4, atol=1e-6)


def test_logits_that_happen_to_look_like_probabilities_stay_logits():
    # One-hot rows through the identity are probabilities, as far as these rows show.
    teacher = NetworkTeacher(nn.Identity(), classes=3)
    assert torch.equal(teacher.predict(torch.eye(3)), torch.eye(3)) and teacher.output_reader.kind == "logits"
    zeros = NetworkTeacher(_Gives(torch.zeros(2, 3)), classes=3)
    assert torch.equal(zeros.predict(torch.zeros(2, 5)), torch.zeros(2, 3))


def test_what_is_stated_is_not_found_out():
    stated = NetworkTeacher(_Made(lambda logits: logits.softmax(1)), classes=3, output="logits")
    torch.testing.assert_close(stated.predict(ROWS), _logits().softmax(1))
    apart = NetworkTeacher(_Made(lambda logits: logits.sigmoid()), classes=3, output="probabilities")
    torch.testing.assert_close(apart.predict(ROWS), _logits(), rtol=1e-4, atol=1e-5)
    with pytest.raises(BadInput, match=r"output of as_teacher must be what the teacher gives; got 'probs'"):
        check_output("probs", "as_teacher")


@pytest.mark.parametrize(
    ("made", "output", "found"),
    [
        (lambda logits: logits.softmax(1), "log_probabilities", "log probabilities, and gives 0."),
        (lambda logits: logits, "probabilities", "probabilities, and gives "),
        (lambda logits: logits.log_softmax(1), "probabilities", "probabilities, and gives -"),
    ],
)
def test_numbers_that_cannot_be_what_is_stated_are_refused(made, output, found):
    with pytest.raises(BadInput) as refused:
        NetworkTeacher(_Made(made), classes=3, output=output).predict(ROWS)
    assert f"is stated to give {found}" in str(refused.value) and "State what it gives" in str(refused.value)


def test_a_fingerprint_says_what_was_made_logits():
    teacher = NetworkTeacher(_Made(lambda logits: logits.softmax(1)), classes=3, example=ROWS)
    assert teacher.fingerprint() != NetworkTeacher(_Made(lambda logits: logits), classes=3, example=ROWS).fingerprint()


def test_probabilities_of_zero_are_finite_in_half_precision():
    teacher = NetworkTeacher(_Made(lambda logits: (1e4 * logits).softmax(1)), classes=3)
    assert teacher.predict(ROWS).half().isfinite().all()


@pytest.mark.parametrize(
    ("made", "logit"),
    [
        (lambda logits: logits, lambda z: z),
        (lambda logits: logits.squeeze(1), lambda z: z),
        (lambda logits: logits.sigmoid(), lambda z: z),
        (lambda logits: logits.sigmoid().squeeze(), lambda z: z),
    ],
)
def test_one_logit_for_two_classes(made, logit):
    teacher = NetworkTeacher(_Made(made, outputs=1), classes=2)
    with torch.no_grad():
        z = _Made(lambda logits: logits, outputs=1)(ROWS)[:, 0]
    said = teacher.predict(ROWS)
    torch.testing.assert_close(said[:, 1] - said[:, 0], logit(z), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(teacher.predict(ROWS[:1]), said[:1])
    torch.testing.assert_close(teacher.module(ROWS), said)


def test_masked_classes_get_a_finite_logit_and_a_word():
    def masked(logits: Tensor) -> Tensor:
        return torch.where(torch.tensor([False, False, True]), -torch.inf, logits)

    teacher = NetworkTeacher(_Made(masked), classes=3)
    said = teacher.predict(ROWS)
    largest = _logits()[:, :2].amax(1)
    torch.testing.assert_close(said[:, 2], largest - 30)
    assert ["minus infinity" in text for text in teacher.output_reader.remarks] == [True]


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_networks_of_other_numbers(kind):
    teacher = NetworkTeacher(_Made(lambda logits: logits).to(kind), classes=3)
    said = teacher.predict(ROWS)
    assert said.dtype == torch.float32
    torch.testing.assert_close(said, _logits(), rtol=0, atol=4e-2 if kind == torch.bfloat16 else 5e-3)
    torch.testing.assert_close(teacher.module(ROWS), said)


def _script() -> nn.Module:
    return torch.jit.script(nn.Sequential(_Made(lambda logits: logits).linear))


AWKWARD = {
    "tuple": lambda: _Made(lambda logits: (logits, logits * 2)),
    "batch axis lost at one row": lambda: _Made(lambda logits: logits[..., None].squeeze()),
    "axes of size 1": lambda: _Made(lambda logits: logits[..., None, None]),
    "traced": lambda: torch.jit.trace(_Made(lambda logits: logits), ROWS[:2]),
    "scripted": _script,
    "compiled": lambda: torch.compile(_Made(lambda logits: logits), backend="eager"),
    "data parallel": lambda: nn.DataParallel(_Made(lambda logits: logits)),
}


@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning", "ignore:`torch.jit:DeprecationWarning")
def test_networks_of_awkward_kinds(name):
    teacher = as_teacher(AWKWARD[name](), classes=3)
    for rows in (1, 40):
        torch.testing.assert_close(teacher.predict(ROWS[:rows]), _logits()[:rows])
    assert len(teacher.fingerprint()) == 64


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:torch.quantize_per_tensor:UserWarning")
def test_networks_quantized_by_torch_have_a_fingerprint():
    prints = set()
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        quantized = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(6, 3)), {nn.Linear})
        prints.add(as_teacher(quantized, classes=3).fingerprint())
    assert len(prints) == 2


class _Two(nn.Module):
    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return tokens * mask


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (_Two(), r"The network _Two takes 2 inputs \(tokens, mask\), and a teacher gets one"),
        (nn.LazyLinear(3), r"The network LazyLinear has layers whose weights are not made yet.*Run one batch"),
        (nn.Linear(6, 3, device="meta"), r"The network Linear has weights on the device 'meta'.*Load its weights"),
    ],
    ids=["two inputs", "lazy", "meta"],
)
def test_networks_that_cannot_be_asked(module, said):
    with pytest.raises(BadInput, match=said):
        as_teacher(module, classes=3)


def test_a_network_that_raises_is_named_with_what_it_said():
    with pytest.raises(BadInput, match=r"The network Linear cannot be run on inputs of shape \[2, 5\]: Runtime"):
        as_teacher(nn.Linear(6, 3), classes=3).predict(torch.zeros(2, 5))


class _Viewed(nn.Module):
    """A view after a convolution, which does not run channels last."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.out = nn.Conv2d(2, 4, 3), nn.Linear(4 * 36, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.conv(inputs)
        return self.out(hidden.view(hidden.size(0), -1))


def test_the_layout_changes_neither_what_runs_nor_the_callers_network():
    images = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    for module in (_Viewed(), nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 3))):
        expected = module(images)
        torch.testing.assert_close(as_teacher(module, classes=3).predict(images), expected)
        assert all(weight.is_contiguous() for weight in module.parameters())
        torch.testing.assert_close(module(images), expected)
