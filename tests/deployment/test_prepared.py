from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attar.deployment import prepared as module
from attar.deployment.candidate import Candidate
from attar.deployment.candidates import candidates
from attar.deployment.deploy import deploy
from attar.deployment.export import to_onnx
from attar.deployment.packed import container
from attar.deployment.packed import content as content_module
from attar.deployment.packed.report import size_report
from attar.deployment.prepared import prepared
from attar.deployment.refused import DeploymentError
from attar.network.architectures import mlp
from attar.network.spec import Spec
from attar.quantization.formats.affine import Affine
from attar.quantization.formats.uniform import Uniform
from attar.quantization.quantize import quantize
from attar.tasks.classification import Classification

TASK = Classification(("ant", "bee", "cat"))
SPEC = Spec("attar.network.architectures:mlp", {"inputs": 6, "classes": 3, "hidden": [8]})
ROWS = torch.rand(20, 6, generator=torch.Generator().manual_seed(0))
HALF = {"floats": "float16"}


def quantized() -> nn.Module:
    torch.manual_seed(0)
    return quantize(mlp(6, 3, [8]), weights=Uniform(4), activations=Affine(8), calibration=ROWS)


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """One entry for each export: whether it folded."""
    seen: list[bool] = []

    def counted(network: nn.Module, example: Tensor, path: Path, *, fold: bool = True) -> None:
        seen.append(fold)
        to_onnx(network, example, path, fold=fold)

    monkeypatch.setattr(module, "to_onnx", counted)
    return seen


def test_all_candidates_share_one_graph_of_each_form_and_files_are_those_of_each_alone(
    exports: list[bool], tmp_path: Path
) -> None:
    student = quantized()
    given: dict[str, Any] = {"task": TASK, "calibration": ROWS, "spec": SPEC}
    names = ["torch", "torch packed", "onnxruntime int8 u8", "onnxruntime", "openvino", "onnxruntime w4"]
    names += ["onnxruntime packed"]
    with prepared(student, ROWS[:1], tmp_path) as ready:
        together = {}
        for name in names:
            together[name] = deploy(ready, name, tmp_path / "together" / name, **given)
            if name.startswith("torch"):
                assert exports == []
    assert exports == [True, False]
    assert [path.name for path in tmp_path.iterdir()] == ["together"]
    for name in ("onnxruntime", "onnxruntime packed"):
        alone = deploy(student, name, tmp_path / "alone" / name, example=ROWS[:1], **given)
        files = sorted(path.name for path in alone.folder.iterdir())
        assert files == sorted(path.name for path in together[name].folder.iterdir())
        for file in files:
            assert (alone.folder / file).read_bytes() == (together[name].folder / file).read_bytes(), (name, file)


def test_what_cannot_be_exported_is_tried_once(exports: list[bool], tmp_path: Path) -> None:
    class Branching(nn.Module):
        def forward(self, rows: Tensor) -> Tensor:
            return rows[:, :3] if float(rows.sum()) > 1e9 else rows[:, 3:]

    with prepared(Branching(), ROWS[:1], tmp_path) as ready:
        for name in ("onnxruntime", "openvino", "onnxruntime"):
            with pytest.raises(DeploymentError, match="Branching cannot be deployed to ONNX"):
                deploy(ready, name, tmp_path / "made", task=TASK)
    assert len(exports) == 1


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime"])
def test_what_rounds_inputs_is_stored_as_it_is_among_numbers_of_16_bits(runtime: str, tmp_path: Path) -> None:
    half = Candidate("half", runtime, "packed", HALF)
    student = quantized()
    made = deploy(student, half, tmp_path / "made", example=ROWS[:1], task=TASK, spec=SPEC)
    state, whole = made.network().state_dict(), student.state_dict()
    ranges = [name for name in state if ".scale" in name or ".zero_point" in name]
    assert ranges
    for name in ranges:
        assert torch.equal(state[name], whole[name]), name
    assert not torch.equal(state["1.bias"], whole["1.bias"])


def test_codes_are_computed_once_and_decoded_once_for_all_candidates_and_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[str] = Counter()

    def counted(name: str, does: Any) -> Any:
        def call(*given: Any) -> Any:
            # Asking the student rounds its weights anew each time: that is the student, and not its codes.
            calls[name] += sys._getframe(1).f_code.co_name != "straight_through"
            return does(*given)

        return call

    student = quantized()
    tensors = 2
    monkeypatch.setattr(Uniform, "encode", counted("encode", Uniform.encode))
    monkeypatch.setattr(Uniform, "decode", counted("decode", Uniform.decode))
    monkeypatch.setattr(content_module, "compress", counted("compress", content_module.compress))
    monkeypatch.setattr(container, "read_packed", counted("read", container.read_packed))
    monkeypatch.setattr("attar.deployment.rebuilt.read_packed", container.read_packed)
    given: dict[str, Any] = {"task": TASK, "calibration": ROWS, "spec": SPEC}
    with prepared(student, ROWS[:1], tmp_path) as ready:
        offered = candidates(int8=False, student=ready)
        made = [deploy(ready, one, tmp_path / one.name, **given) for one in offered]
    assert {one.candidate.precision for one in made} == {"fp32", "packed", "w4"}
    report = size_report(ready)
    packed_files = sum(one.candidate.precision == "packed" for one in made)
    # A file that was written is read once, to see that it holds what was meant.
    assert calls == {
        "encode": tensors, "compress": tensors, "read": packed_files, "decode": tensors * (1 + packed_files)
    }  # fmt: skip
    assert report == size_report(student)


def test_nothing_is_left_in_the_folder_for_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "system").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "system"))
    seen: list[Path] = []

    def interrupted(network: nn.Module, example: Tensor, path: Path, *, fold: bool = True) -> None:
        seen.append(path)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "to_onnx", interrupted)
    with pytest.raises(KeyboardInterrupt):
        deploy(mlp(6, 3, [8]), "onnxruntime", tmp_path / "made" / "it", task=TASK, example=ROWS[:1])
    assert seen[0].is_relative_to(tmp_path / "made")
    assert list((tmp_path / "made").iterdir()) == list((tmp_path / "system").iterdir()) == []
