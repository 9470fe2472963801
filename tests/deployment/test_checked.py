from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor, nn
from torch.nn import functional

from attar.deployment.artifact import Artifact, load
from attar.deployment.checked import answers, checked
from attar.deployment.deploy import deploy
from attar.deployment.refused import DeploymentError
from attar.errors import BadInput
from attar.network.forward import forward
from attar.network.spec import Spec
from attar.tasks.classification import Classification

ROWS = torch.randn(20, 1, 6, 6, generator=torch.Generator().manual_seed(0))
TASK = Classification(("a", "b", "c"))


class Does(nn.Module):
    """A small network, with something wrong on the way."""

    def __init__(self, what: Callable[[Tensor], Tensor] = lambda rows: rows) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.what, self.out = what, nn.Linear(36, 3)

    def forward(self, rows: Tensor) -> Tensor:
        return self.out(self.what(rows.flatten(1)))  # type: ignore[no-any-return]


def batch_normalized() -> nn.Module:
    torch.manual_seed(0)
    norms = nn.BatchNorm2d(8, track_running_stats=False), nn.BatchNorm1d(16, track_running_stats=False)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), norms[0], nn.ReLU(), nn.Flatten(), nn.Linear(128, 16), norms[1], nn.Linear(16, 3)
    )


def built() -> nn.Module:
    return Does()


DEPENDENT: dict[str, Callable[[], nn.Module]] = {
    "batch normalization": batch_normalized,
    "a mean over the batch": lambda: Does(lambda rows: rows - rows.mean(0)),
    "a squeeze": lambda: nn.Sequential(Does(), nn.Unflatten(0, (-1, 1)), _Squeeze()),
    "a branch": lambda: Does(lambda rows: rows if len(rows) > 1 and rows.abs().max() > 0.5 else 2 * rows),
    "the largest of all": lambda: Does(lambda rows: rows / rows.abs().max()),
    "a softmax over rows": lambda: Does(lambda rows: rows.softmax(0)),
    "time where the batch is": lambda: _Recurrent(),
}


class _Squeeze(nn.Module):
    def forward(self, rows: Tensor) -> Tensor:
        return rows.squeeze()


class _Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.out = nn.LSTM(6, 4), nn.Linear(4, 3)  # batch_first was forgotten

    def forward(self, rows: Tensor) -> Tensor:
        return self.out(self.lstm(rows.squeeze(1))[0][:, -1])  # type: ignore[no-any-return]


RANDOM: dict[str, Callable[[], nn.Module]] = {
    "dropout": lambda: Does(lambda rows: functional.dropout(rows)),
    "noise": lambda: Does(lambda rows: rows + torch.randn_like(rows)),
}


def write(student: nn.Module, folder: Path, runtime: str = "onnxruntime", rows: Tensor | None = ROWS) -> Artifact:
    return deploy(student, runtime, folder / "it", example=ROWS[:1], task=TASK, calibration=rows)


@pytest.mark.parametrize(
    ("name", "rows"),
    # What squeezes has the wrong shape for an example alone.
    [(name, rows) for name in DEPENDENT for rows in (ROWS, None) if not (name == "a squeeze" and rows is None)],
)
def test_answers_that_depend_on_the_batch_are_refused_with_the_size(
    name: str, rows: Tensor | None, tmp_path: Path
) -> None:
    match = r"gives answers that depend on the rest of the batch: .*(differ by |cannot answer one row alone)"
    with pytest.raises(DeploymentError, match=match):
        write(DEPENDENT[name](), tmp_path, rows=rows)
    assert list(tmp_path.iterdir()) == []


def test_an_example_of_zeros_is_enough_to_see_it() -> None:
    with pytest.raises(DeploymentError, match="depend on the rest of the batch"):
        answers(batch_normalized(), torch.zeros(1, 1, 6, 6), (3,))


@pytest.mark.parametrize("name", RANDOM)
def test_answers_at_random_are_refused_with_the_size(name: str, tmp_path: Path) -> None:
    student, drawn = RANDOM[name](), torch.get_rng_state()
    with pytest.raises(
        DeploymentError, match=r"^Does answers at random: .* differ by \d.*Drop out and add noise in training"
    ):
        write(student, tmp_path)
    assert torch.equal(drawn, torch.get_rng_state())


def test_a_file_is_held_to_the_same() -> None:
    rows = np.arange(20, dtype=np.float32)[:, None] / 10
    for wrong in (lambda x: x - x.mean(0), lambda x: x[: max(1, len(x) - len(x) % 2)] if len(x) == 1 else x + len(x)):
        with pytest.raises(DeploymentError, match=r"^it gives answers that depend on the rest of the batch"):
            checked("it", wrong, rows, wrong(rows))
    seen = checked("it", lambda x: 2 * x, rows, 2 * rows)
    assert seen == {"rows": 20, "tolerance": 1e-3, "largest_difference": 0.0, "same_decision": 1.0}


def test_a_file_that_cannot_run_some_batches_is_refused() -> None:
    rows = np.arange(20, dtype=np.float32)[:, None]

    def fixed(x: np.ndarray) -> np.ndarray:
        if len(x) not in (1, 20):
            raise OSError("Got invalid dimensions")
        return x

    with pytest.raises(DeploymentError, match="differ by their shape, or in being finite"):
        checked("it", fixed, rows, rows)


# ---- students as they come -------------------------------------------------------------------------------------------


class Gives(nn.Module):
    def __init__(self, output: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.net, self.output = Does(), output

    def forward(self, rows: Tensor) -> object:
        return self.output(self.net(rows))


def giving(what: str) -> nn.Module:
    return Gives((lambda out: (out, 0)) if what == "tuple" else (lambda out: {"hidden": 2 * out, "logits": out}))


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
@pytest.mark.parametrize(
    "give", [lambda out: {"hidden": 2 * out, "logits": out}, lambda out: (out, 0)], ids=["mapping", "tuple"]
)
def test_the_logits_of_several_outputs_are_deployed(
    runtime: str, give: Callable[[Tensor], object], tmp_path: Path
) -> None:
    student = Gives(give)
    spec = Spec(f"{__name__}:giving", {"what": "tuple" if isinstance(give(ROWS), tuple) else "mapping"})
    deploy(student, runtime, tmp_path / "it", example=ROWS[:1], task=TASK, spec=spec)
    assert_allclose(load(tmp_path / "it", network=student)(ROWS), Does()(ROWS).detach(), atol=1e-6)


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_other_numbers_are_deployed_in_float32(kind: torch.dtype, tmp_path: Path) -> None:
    student = nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 3)).to(kind)
    result = write(student, tmp_path)
    assert f"numbers of {str(kind).removeprefix('torch.')}; it is deployed in float32" in result.manifest["note"]
    with torch.no_grad():
        assert_allclose(result(ROWS), student.float()(ROWS), atol=1e-6)


@pytest.mark.parametrize("kind", [torch.float64, torch.float16])
def test_a_torch_artifact_of_other_numbers_opens_as_it_was_deployed(kind: torch.dtype, tmp_path: Path) -> None:
    student = Does().to(kind)
    spec = Spec(f"{__name__}:built", {})
    result = deploy(student, "torch", tmp_path / "it", example=ROWS[:1], task=TASK, spec=spec)
    assert result.manifest["checked"]["rows"] == 1
    assert_allclose(
        load(result.folder, network=Does().to(kind))(ROWS), forward(student.float(), ROWS).detach(), atol=1e-6
    )


class Converts(nn.Module):
    """Computes in 16 bits itself."""

    def __init__(self, kind: torch.dtype) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kind, self.out = kind, nn.Linear(36, 3).to(kind)

    def forward(self, rows: Tensor) -> Tensor:
        return self.out(rows.flatten(1).to(self.kind))  # type: ignore[no-any-return]


def test_a_network_that_computes_in_16_bits_itself_is_deployed_so_or_refused_in_one_sentence(tmp_path: Path) -> None:
    student = Converts(torch.float16)
    assert_allclose(write(student, tmp_path)(ROWS), forward(student, ROWS).detach(), rtol=0, atol=5e-3)
    with pytest.raises(
        DeploymentError, match=r"^onnxruntime fp32 cannot run the student's graph: Could not find an impl"
    ):
        write(Converts(torch.bfloat16), tmp_path)


def test_weights_that_old_style_normalization_computes_are_deployed(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        student = nn.Sequential(nn.Flatten(), nn.utils.weight_norm(nn.Linear(36, 3)))
    student(ROWS).sum().backward()
    assert_allclose(write(student, tmp_path)(ROWS), student(ROWS).detach(), atol=1e-6)


def test_a_view_after_a_convolution_is_deployed(tmp_path: Path) -> None:
    class LeNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.out = nn.Conv2d(1, 4, 3), nn.Linear(64, 3)

        def forward(self, rows: Tensor) -> Tensor:
            maps = self.convolution(rows)
            return self.out(maps.view(maps.size(0), -1))  # type: ignore[no-any-return]

    student = LeNet()
    assert_allclose(write(student, tmp_path)(ROWS), student(ROWS).detach(), atol=1e-6)
    assert student.convolution.weight.is_contiguous()


def test_lazy_layers_without_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^Sequential has no weights yet in '1\.weight'.*Train it, or run it once"):
        write(nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), tmp_path)


def test_a_network_without_parameters_is_deployed(tmp_path: Path) -> None:
    class Means(nn.Module):
        def forward(self, rows: Tensor) -> Tensor:
            return rows.flatten(1).unflatten(1, (3, 12)).mean(2)

    assert_allclose(write(Means(), tmp_path)(ROWS), Means()(ROWS), atol=1e-6)


def test_an_example_that_the_student_does_not_take_is_told() -> None:
    with pytest.raises(BadInput, match=r"^Does cannot be run on inputs of shape \(2, 5\): mat1 and mat2 shapes"):
        answers(Does(), torch.zeros(2, 5), (3,))


def test_what_is_no_network_is_told(tmp_path: Path) -> None:
    bare = inspect.unwrap(deploy)
    with pytest.raises(
        BadInput, match=r"student of deploy must be a torch.nn.Module; got 'str'\. Pass the network itself"
    ):
        bare("net.pt", "torch", tmp_path / "it", example=ROWS[:1], task=TASK)


def test_what_may_have_been_meant_by_a_path_is_said(tmp_path: Path) -> None:
    spec = Spec(f"{__name__}:built", {})
    folder = deploy(Does(), "torch", tmp_path / "it", example=ROWS[:1], task=TASK, spec=spec).folder
    for given, reported in (
        (folder / "student.safetensors", f"Pass its folder, {str(folder)!r}."),
        (tmp_path, f"Pass one of those in it, such as {str(folder)!r}."),
        (tmp_path / "itt", f"Did you mean {str(folder)!r}?"),
        (tmp_path / "elsewhere" / "x", "Pass the folder that `deploy` wrote."),
    ):
        with pytest.raises(BadInput) as got:
            load(given)
        assert str(got.value).endswith(reported)
    with pytest.raises(BadInput, match="path of load must be the path of a folder; got 'int'"):
        getattr(load, "__wrapped__", load)(3)


@pytest.mark.parametrize(
    ("wrong", "reported"),
    [
        ({"candidate": 3}, "candidate of deploy must be a Candidate or a name; got 3"),
        ({"task": 3}, "task of deploy must be what the outputs mean; got 3"),
        ({"task": ["a", "b"]}, r"task of deploy must be .* Pass dataset.task, or attar.Classification"),
    ],
)
def test_wrong_types_are_told(wrong: dict[str, object], reported: str, tmp_path: Path) -> None:
    bare = inspect.unwrap(deploy)
    with pytest.raises(BadInput, match=reported):
        bare(
            Does(),
            **{"candidate": "torch", "folder": tmp_path / "it", "example": ROWS[:1], "task": TASK, **wrong},
        )


def test_recurrent_layers_that_stay_in_float_are_noted(tmp_path: Path) -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.out = nn.LSTM(6, 4, batch_first=True), nn.Linear(4, 3)

        def forward(self, rows: Tensor) -> Tensor:
            return self.out(self.lstm(rows.squeeze(1))[0][:, -1])  # type: ignore[no-any-return]

    result = write(Recurrent(), tmp_path, "onnxruntime int8 u8 reduced")
    assert "Recurrent layers (lstm) stay in float32" in result.manifest["note"]
