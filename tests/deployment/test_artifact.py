"""What `deploy` refuses, and what `load` refuses to trust."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import Tensor, nn

import attar
from attar.deployment.artifact import load
from attar.deployment.backends import RUNTIMES, onnxruntime
from attar.deployment.candidate import Candidate
from attar.deployment.candidates import candidate_of, candidates
from attar.deployment.deploy import deploy
from attar.deployment.refused import DeploymentError
from attar.errors import BadInput, CorruptFile, MissingExtra
from attar.network.spec import Spec
from attar.network.standardize import Standardize
from attar.records import to_text
from attar.tasks.classification import Classification

Deploy = Callable[..., Any]
CLASSES = ["ant", "bee", "cat", "dog", "eel"]
TASK = Classification(tuple(CLASSES))


@pytest.fixture
def write(trained: Any, tmp_path: Path) -> Deploy:
    """`deploy` with everything given that a test does not care about."""

    def deploying(candidate: Candidate | str = "torch", student: nn.Module | None = None, **changed: Any) -> Any:
        given = {"example": trained.inputs[:1], "task": TASK, "spec": trained.spec, **changed}
        folder = given.pop("folder", tmp_path / "made")
        return deploy(trained.student if student is None else student, candidate, folder, **given)

    return deploying


@pytest.fixture(scope="module")
def built(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One artifact of each runtime, to be copied before it is damaged."""
    return {
        runtime: deploy(
            trained.student,
            runtime,
            tmp_path_factory.mktemp("whole") / runtime,
            example=trained.inputs[:1],
            task=TASK,
            spec=trained.spec,
        ).folder
        for runtime in ("torch", "onnxruntime", "openvino")
    }


@pytest.fixture
def edit(built: dict[str, Path], tmp_path: Path) -> Callable[..., Path]:
    """A copy of a whole artifact with its manifest changed, and its checksum with it."""

    def editing(change: Callable[[dict[str, Any]], Any], runtime: str = "torch", *, seal: bool = True) -> Path:
        folder = shutil.copytree(built[runtime], tmp_path / f"edited {len(list(tmp_path.iterdir()))}")
        manifest = json.loads((folder / "manifest.json").read_text())
        change(manifest)
        (folder / "manifest.json").write_text(to_text(manifest) if seal else json.dumps(manifest))
        return folder

    return editing


# ---- candidates ------------------------------------------------------------------------------------------------------


def test_candidates_have_unique_names_and_can_be_found_by_them() -> None:
    every = candidates()
    assert len({candidate.name for candidate in every}) == len(every)
    assert {candidate.runtime for candidate in every} == set(RUNTIMES)
    assert len(candidates(["torch", "onnxruntime", "openvino"])) == 8
    assert [candidate_of(candidate.name) for candidate in every] == every
    assert candidate_of("onnxruntime") == Candidate("onnxruntime fp32", "onnxruntime")


def test_candidates_without_int8() -> None:
    assert [candidate.precision for candidate in candidates(int8=False)] == ["fp32"] * len(RUNTIMES)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: candidates(["onnxruntim"]), "'onnxruntime'"),
        (lambda: candidates([]), "at least one runtime"),
        (lambda: Candidate("x", "torch", "int8"), "precision of Candidate must be what torch can do; got 'int8'"),
        (lambda: Candidate("x", "onnxruntime", "int8", {"activation": "uint8"}), "'activations'"),
        (lambda: Candidate("x", "onnxruntime", "fp32", {"threads": 2}), "got 'threads'"),
    ],
)
def test_unknown_choices_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        make()


# ---- deploy refuses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"candidate": "onnx runtime"}, "candidate of deploy must be a known name; got 'onnx runtime'"),
        ({"candidate": "onnxruntime int8 u8"}, "calibration of deploy must be given for 'onnxruntime int8 u8'"),
        (
            {"task": Classification(("ant", "bee", "cat", "dog"))},
            r"logits of Sequential must be of shape \(1, 4\); got \(1, 5\)",
        ),
        ({"example": torch.zeros(2, 1, 8, 8)}, r"example of deploy must be a single input"),
        ({"example": torch.zeros(1, 1, 8, 8, dtype=torch.uint8)}, "example of deploy must be float32"),
        ({"calibration": torch.zeros(3, 1, 9, 9)}, r"calibration of deploy must be \[rows, ...\] like the example"),
        ({"calibration": torch.full((3, 1, 8, 8), torch.nan)}, "calibration of deploy must be finite"),
        ({"calibration": torch.zeros(0, 1, 8, 8)}, "calibration of deploy must be float32"),
    ],
)
def test_deploy_refuses(write: Deploy, tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        write(**changed)
    assert list(tmp_path.iterdir()) == []


def test_torch_without_a_spec_is_a_clear_refusal(write: Deploy) -> None:
    with pytest.raises(DeploymentError, match="cannot be deployed to torch without a spec"):
        write("torch", spec=None)


def test_onnx_without_a_spec_ships_and_says_so(write: Deploy, trained: Any) -> None:
    built = write("onnxruntime", spec=None)
    read = load(built.folder)
    assert "cannot be rebuilt" in read.manifest["note"]
    assert read(trained.inputs).shape == (200, 5)
    with pytest.raises(BadInput, match=r"network of .* must be given, because the student was deployed without a spec"):
        read.network()


def test_weights_that_give_no_number_are_refused(write: Deploy, trained: Any) -> None:
    student = trained.spec.build()
    with torch.no_grad():
        next(student.parameters())[0] = torch.nan
    with pytest.raises(DeploymentError, match="finite"):
        write("torch", student=student)


class Noisy(nn.Module):
    """Adds chance even in evaluation mode, so that an export cannot equal it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 5)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.linear(inputs.flatten(1))
        return logits + torch.randn_like(logits)


class Branching(nn.Module):
    """Goes one of two ways by the values that it is given, which a graph cannot say."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1)[:, :5] * (1.0 if inputs.sum().item() > 0 else 2.0)


def test_a_student_that_answers_at_random_is_refused(write: Deploy, tmp_path: Path) -> None:
    with pytest.raises(
        DeploymentError, match=r"^Noisy answers at random: asked twice .* differ by [\d.]+ of the largest"
    ):
        write("onnxruntime", student=Noisy())
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_differs_from_torch_is_refused(
    write: Deploy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = onnxruntime.open_onnxruntime
    monkeypatch.setattr(onnxruntime, "open_onnxruntime", lambda *given: lambda inputs: opened(*given)(inputs) + 0.5)
    with pytest.raises(DeploymentError, match=r"onnxruntime fp32 differs from torch by 0\.5 where"):
        write("onnxruntime")
    assert list(tmp_path.iterdir()) == []


def test_a_student_that_branches_on_values_is_refused(write: Deploy, tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match=r"^Branching (gives answers that depend on the rest|cannot be)") as got:
        write("onnxruntime", student=Branching())
    assert len(str(got.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_openvino_absent_names_the_extra(write: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtra, match=r"pip install 'attar\[openvino\]'"):
        write("openvino")


# ---- deploy is whole or nothing --------------------------------------------------------------------------------------


def test_replaces_an_artifact_whole(write: Deploy, tmp_path: Path) -> None:
    write("onnxruntime")
    built = write("torch")
    assert sorted(path.name for path in built.folder.iterdir()) == ["manifest.json", "student.safetensors"]
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_does_not_touch_a_folder_of_something_else(write: Deploy, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("words")
    with pytest.raises(BadInput, match="folder of deploy must be new, empty or an artifact"):
        write("torch", folder=tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "words"


def test_a_refusal_keeps_the_artifact_that_was_there(write: Deploy, trained: Any) -> None:
    built = write("torch")
    before = built(trained.inputs)
    with pytest.raises(DeploymentError):
        write("onnxruntime", student=Noisy())
    assert_array_equal(load(built.folder)(trained.inputs), before)


def test_fits_into_an_empty_folder(write: Deploy, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    assert load(write("torch").folder).size_bytes > 0


# ---- load trusts nothing ---------------------------------------------------------------------------------------------

COMPLETE = [
    ("torch", "student.safetensors"),
    ("onnxruntime", "model.onnx"),
    ("onnxruntime", "student.safetensors"),
    ("openvino", "model.xml"),
    ("openvino", "model.bin"),
]


@pytest.mark.parametrize(("runtime", "name"), COMPLETE)
@pytest.mark.parametrize("damage", ["truncated", "changed", "longer"])
def test_damaged_files_are_named(built: dict[str, Path], tmp_path: Path, runtime: str, name: str, damage: str) -> None:
    folder = shutil.copytree(built[runtime], tmp_path / "damaged")
    content = bytearray((folder / name).read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "changed":
        content[len(content) // 2] ^= 1
    else:
        content += b"\0"
    (folder / name).write_bytes(content)
    with pytest.raises(CorruptFile, match=name):
        load(folder)


def test_a_missing_file_is_named(built: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(built["openvino"], tmp_path / "damaged")
    (folder / "model.bin").unlink()
    with pytest.raises(CorruptFile, match=r"model\.bin is missing"):
        load(folder)


def test_weights_kept_for_rebuilding_may_stay_behind(built: dict[str, Path], tmp_path: Path, trained: Any) -> None:
    folder = shutil.copytree(built["onnxruntime"], tmp_path / "shipped")
    (folder / "student.safetensors").unlink()
    read = load(folder)
    assert read(trained.inputs).shape == (200, 5)
    with pytest.raises(CorruptFile, match=r"student\.safetensors is missing"):
        read.network()


@pytest.mark.parametrize("text", ["", "{", "[]", '"manifest"', '{"format": 4}', "\x00\xff"])
def test_a_damaged_manifest_is_named(built: dict[str, Path], tmp_path: Path, text: str) -> None:
    folder = shutil.copytree(built["torch"], tmp_path / "damaged")
    (folder / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(CorruptFile, match=r"manifest\.json"):
        load(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.pop("files"),
        lambda m: m.update(runtime="numpy"),
        lambda m: m.update(files=[]),
        lambda m: m["files"][0].pop("sha256"),
        lambda m: m["files"].append("model.onnx"),
        lambda m: m["input"].update(shape="any"),
        lambda m: m["output"].update(classes=[1, 2]),
        lambda m: m["output"].update(classes=[]),
        lambda m: m["output"]["classes"].append("one more"),
        lambda m: m["output"].update(shape=["batch", 4]),
        lambda m: m["output"].pop("kind"),
        lambda m: m["input"].update(shape=["batch", -1]),
        lambda m: m["input"].update(shape=["batch", True]),
        lambda m: m["input"].update(scale=0),
        lambda m: m.pop("checked"),
        lambda m: m["checked"].update(tolerance=True),
        lambda m: m["network"].update(weights="model.onnx"),
        lambda m: m["input"].update(scale="255"),
        lambda m: m["input"].update(shape=["batch"]),
        lambda m: m.update(precision="fp16"),
        lambda m: m["files"].append(m["files"][0]),
        lambda m: m.update(network="attar:thing"),
    ],
)
def test_an_odd_manifest_is_refused(edit: Callable[..., Path], change: Callable[[dict[str, Any]], Any]) -> None:
    with pytest.raises(CorruptFile, match=r"manifest\.json is not a manifest"):
        load(edit(change))


def test_a_manifest_of_the_future_is_refused(edit: Callable[..., Path]) -> None:
    with pytest.raises(BadInput, match="Install a newer Attar"):
        load(edit(lambda m: m.update(format=6)))
    with pytest.raises(BadInput, match=r"format of .*manifest\.json must be 4 or 5; got 3\. Deploy again"):
        load(edit(lambda m: m.update(format=3), "onnxruntime"))


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["output"]["classes"].reverse(),
        lambda m: m["output"]["classes"].__setitem__(0, "ent"),
        lambda m: m["output"].update(kind="values"),
        lambda m: m["input"]["shape"].append(1),
        lambda m: m.pop("checksum"),
        lambda m: m.update(checksum=m["checksum"][:-1] + "x"),
    ],
)
def test_a_manifest_that_was_altered_is_refused(
    edit: Callable[..., Path], change: Callable[[dict[str, Any]], Any]
) -> None:
    with pytest.raises(CorruptFile, match=r"manifest\.json .*'checksum'.*Restore it, or deploy again"):
        load(edit(change, seal=False))


def test_a_link_in_place_of_the_manifest_and_a_pipe_are_refused(built: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(built["torch"], tmp_path / "linked")
    (folder / "manifest.json").rename(tmp_path / "elsewhere")
    (folder / "manifest.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CorruptFile, match=r"manifest\.json is a symbolic link"):
        load(folder)
    (folder / "manifest.json").unlink()
    os.mkfifo(folder / "manifest.json")
    with pytest.raises(CorruptFile, match="it is a pipe"):
        load(folder)
    (folder / "manifest.json").unlink()
    (tmp_path / "elsewhere").rename(folder / "manifest.json")
    (folder / "student.safetensors").unlink()
    os.mkfifo(folder / "student.safetensors")
    with pytest.raises(CorruptFile, match=r"student\.safetensors is missing"):
        load(folder)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"classes": 5, "widths": [4, 900_000_000]}, r"tensor .* must be of shape|more than half of the memory"),
        ({"classes": 10**9, "widths": [4, 8]}, r"tensor .* must be of shape|more than half of the memory"),
        ({"classes": 5, "widths": [4, 8], "hidden": [2**62, 2**62]}, "overflowed"),
        ({"classes": 5, "widths": [1] * 1000}, "must be one of .* tensors, as its weights are"),
        (
            {"classes": 5, "widths": [4, 8], "strides": [0, 0], "side": 8},
            "strides of convnet must be whole numbers of at least 1; got 0",
        ),
        ({"classes": 5, "widths": [4, 8], "strides": [[[1]], "1"], "side": 8}, "convnet"),
        ({"classes": 5, "widths": 8}, "convnet"),
        ({"classes": 5, "widths": [4, 8], "more": 1}, "more"),
    ],
)
def test_a_spec_that_wants_another_network_is_refused_before_memory_is_taken(
    edit: Callable[..., Path], arguments: dict[str, Any], why: str
) -> None:
    artifact = load(edit(lambda m: m["network"].update(arguments=arguments)))
    with pytest.raises(BadInput, match=why):
        artifact.network()


def test_blocks_without_end_are_refused(edit: Callable[..., Path]) -> None:
    spec = {"reference": "attar.network.architectures:resnet", "arguments": {"classes": 5, "widths": [4, 8]}}
    spec["arguments"]["blocks"] = 1000  # type: ignore[index]
    artifact = load(edit(lambda m: m["network"].update(spec)))
    with pytest.raises(BadInput, match=r"must be one of .* tensors, as its weights are"):
        artifact.network()


@pytest.mark.parametrize("name", ["nn", "must", "near", "Rows", "Residual", "Sequence", "Any", "torch", "none"])
def test_what_architectures_need_is_no_architecture(edit: Callable[..., Path], name: str) -> None:
    with pytest.raises(BadInput, match="must be a function of attar"):
        load(edit(lambda m: m["network"].update(reference=f"attar.network.architectures:{name}")))


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime", "openvino"])
def test_other_counts_of_classes_than_there_are_logits_are_refused_when_opened(
    edit: Callable[..., Path], runtime: str
) -> None:
    more = {"shape": ["batch", 6], "classes": ["a", "b", "c", "d", "e", "f"]}
    artifact = load(edit(lambda m: m["output"].update(more), runtime))
    with pytest.raises(CorruptFile, match=r"outputs of shape \[1, 5\], and its manifest\.json has 6 names for outputs"):
        artifact.open()


def test_a_shape_that_the_network_cannot_take_is_refused_when_opened(edit: Callable[..., Path]) -> None:
    artifact = load(edit(lambda m: m["input"].update(shape=["batch", 7])))
    with pytest.raises(CorruptFile, match=r"cannot run an input of shape \[7\]"):
        artifact.open()


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "sub/secret", "..", "", "..\\secret", "C:\\secret"])
def test_a_name_outside_of_the_folder_is_refused(edit: Callable[..., Path], tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("x")
    entry = {"name": name, "bytes": 1, "sha256": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}
    folder = edit(lambda m: m["files"].append({**entry, "needed": True}))
    (folder / "sub").mkdir()
    (folder / "sub" / "secret").write_text("x")
    with pytest.raises(BadInput, match="plain names inside the folder"):
        load(folder)


def test_a_link_out_of_the_folder_is_refused(built: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(built["torch"], tmp_path / "linked")
    (folder / "student.safetensors").rename(tmp_path / "elsewhere")
    (folder / "student.safetensors").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match="plain names inside the folder"):
        load(folder)


@pytest.mark.parametrize(
    "reference", ["os:system", "subprocess:run", "never_imported:make", "attarx.a:b", "builtins:eval"]
)
def test_a_foreign_function_is_neither_imported_nor_called(
    edit: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    touched = tmp_path / "touched"
    (tmp_path / "never_imported.py").write_text(f"open({str(touched)!r}, 'w').close()")
    monkeypatch.syspath_prepend(tmp_path)
    folder = edit(lambda m: m["network"].update(reference=reference, arguments={"command": f"touch {touched}"}))
    with pytest.raises(BadInput, match="pass allow="):
        load(folder)
    assert not touched.exists()
    assert "never_imported" not in sys.modules


def test_a_trusted_package_is_allowed_by_name(trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_networks.py").write_text(
        "from torch import nn\ndef make(width):\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, width))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    spec = Spec("my_networks:make", {"width": 5})
    student = spec.build()
    built = deploy(student, "torch", tmp_path / "made", example=trained.inputs[:1], task=TASK, spec=spec)
    expected = built(trained.inputs)
    with pytest.raises(BadInput, match=r"allow=\['my_networks'\]"):
        load(built.folder)
    assert_array_equal(load(built.folder, allow=["my_networks"])(trained.inputs), expected)
    given = spec.build()
    before = [parameter.clone() for parameter in given.parameters()]
    assert_array_equal(load(built.folder, network=given)(trained.inputs), expected)
    assert all(torch.equal(now, then) for now, then in zip(given.parameters(), before, strict=True))


def test_another_network_is_refused(built: dict[str, Path], trained: Any) -> None:
    with pytest.raises(BadInput, match="names"):
        load(built["torch"], network=nn.Linear(2, 2))(trained.inputs)


def test_no_artifact_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"path of load must be a folder with a manifest\.json"):
        load(tmp_path)


def test_the_manifest_itself_names_the_artifact(built: dict[str, Path], trained: Any) -> None:
    assert load(built["torch"] / "manifest.json").folder == built["torch"]


def test_nothing_in_deployment_can_unpickle() -> None:
    folder = Path(attar.__file__).parent
    rooms = [*(folder / "deployment").rglob("*.py"), *(folder / "models").rglob("*.py")]
    sources = [*rooms, folder / "network" / "weights.py", folder / "network" / "spec.py"]
    assert len(sources) >= 6
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name.split(".")[0] for alias in node.names} | {getattr(node, "module", None)}
                assert not names & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}, source
            if isinstance(node, ast.Attribute):
                called = ast.unparse(node)
                assert called not in {"torch.load", "torch.jit.load", "np.load", "numpy.load", "torch.hub.load"}, source


# ---- calling ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.zeros((1, 8, 8), np.float32), r"got \(1, 8, 8\). Add the batch dimension"),
        (
            np.zeros((2, 1, 8, 9), np.float32),
            r"inputs of torch must be of shape \(batch, 1, 8, 8\); got \(2, 1, 8, 9\)",
        ),
        (np.zeros((2, 8, 8, 1), np.float32), r"got \(2, 8, 8, 1\). .* those of the inputs last: give np.moveaxis"),
        (np.zeros((8, 8, 1), np.float32), r"got \(8, 8, 1\). Put its channels first and add the batch dimension"),
        (np.zeros((2, 8, 8), np.float32), r"got \(2, 8, 8\). Add the one channel: inputs\[:, None\]"),
        (np.zeros((2, 64), np.float32), r"got \(2, 64\). .* inputs.reshape\(-1, 1, 8, 8\)"),
        (np.zeros((2, 1, 8, 8), np.uint8), "floating numbers; got 'uint8'. Scale"),
        ([[1.0, 2.0], [3.0]], r"of one shape; got lists of different lengths. Pad"),
    ],
)
def test_inputs_of_another_form_are_refused(built: dict[str, Path], inputs: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load(built["torch"])(inputs)


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime", "openvino"])
def test_takes_what_lies_in_memory_in_any_way(built: dict[str, Path], trained: Any, runtime: str) -> None:
    read, rows = load(built[runtime]), trained.inputs[:8]
    expected = read(rows)
    reversed_twice = np.ascontiguousarray(rows.numpy()[:, :, ::-1])[:, :, ::-1]
    frozen = rows.numpy().copy()
    frozen.flags.writeable = False
    for same in (rows.numpy().astype(np.float64), reversed_twice, frozen, rows.clone().requires_grad_()):
        assert_array_equal(read(same), expected)


def test_pixels_are_divided_by_the_scale_that_the_manifest_says(write: Deploy, trained: Any) -> None:
    made = load(write("onnxruntime", scale=255).folder)
    pixels = (trained.inputs * 255).round().to(torch.uint8)
    assert made.manifest["input"]["scale"] == 255
    assert_array_equal(made(pixels), made(pixels.float() / 255))
    assert_array_equal(made(pixels.numpy()), made(pixels))
    with pytest.raises(BadInput, match=r"floating numbers; got 'int64'\. Give uint8, or divide by 255 first"):
        made(pixels.long())
    with pytest.raises(BadInput, match="scale of deploy must be a positive number; got 0"):
        write("onnxruntime", scale=0)


def test_statistics_of_inputs_are_in_the_graph_and_the_manifest_says_so(write: Deploy, trained: Any) -> None:
    mean, std = [0.25], [0.5]
    spec = dataclasses.replace(trained.spec, mean=mean, std=std)
    student = Standardize(trained.student, mean, std)
    made = load(write("onnxruntime", student=student, spec=spec).folder)
    assert made.manifest["input"]["in_graph"] == {"mean": mean, "std": std}
    plain = load(write("onnxruntime").folder)
    assert plain.manifest["input"]["in_graph"] == {}
    assert plain.manifest["input"]["scale"] is None
    session = onnxruntime.open_onnxruntime(plain.folder / "model.onnx")
    rows = trained.inputs[:8].numpy()
    write("onnxruntime", student=student, spec=spec)
    alone = onnxruntime.open_onnxruntime(made.folder / "model.onnx")  # the file itself takes raw inputs
    assert_allclose(alone(rows), session((rows - 0.25) / 0.5), atol=1e-4)
    by_module = write("onnxruntime", student=student, spec=None)
    assert by_module.manifest["input"]["in_graph"] == {"mean": mean, "std": std}


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime", "openvino"])
def test_no_threads_are_refused(built: dict[str, Path], runtime: str) -> None:
    with pytest.raises(BadInput, match=f"threads of open_{runtime} must be at least 1; got 0"):
        load(built[runtime]).open(threads=0)
