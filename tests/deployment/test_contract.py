"""What every candidate promises, in one table: a new one is one more row of `candidates`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from attar.deployment.artifact import Artifact, load
from attar.deployment.candidate import Candidate
from attar.deployment.candidates import candidates
from attar.deployment.deploy import deploy
from attar.network.evaluating import evaluating
from attar.network.weights import digest
from attar.tasks.classification import Classification
from attar.tasks.regression import Regression


class Deployed(NamedTuple):
    """An artifact read back, and what its student was before and after."""

    candidate: Candidate
    written: Artifact
    read: Artifact
    before: tuple[str, list[bool]]
    after: tuple[str, list[bool]]


@pytest.fixture(scope="module", params=candidates(), ids=str)
def deployed(request: pytest.FixtureRequest, trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """Each candidate once; the contracts share it."""

    def state() -> tuple[str, list[bool]]:
        return digest(trained.student), [part.training for part in trained.student.modules()]

    before = state()
    written = deploy(
        trained.student,
        request.param,
        tmp_path_factory.mktemp("artifacts") / "made here",
        example=trained.inputs[:1],
        task=Classification(("ant", "bee", "cat", "dog", "eel")),
        calibration=trained.inputs[:100],
        spec=trained.spec,
    )
    return Deployed(request.param, written, load(written.folder), before, state())


def torch_logits(trained: Any) -> np.ndarray:
    with evaluating(trained.student):
        return trained.student(trained.inputs).numpy()


def test_decides_as_torch_does(deployed: Deployed, trained: Any, saturating: frozenset[str]) -> None:
    expected = torch_logits(trained)
    for artifact in (deployed.written, deployed.read):
        logits = artifact(trained.inputs)
        if deployed.candidate.name.partition(" ")[2] in saturating:
            assert np.isfinite(logits).all()
            continue
        assert_array_equal(logits.argmax(1), expected.argmax(1))
        if deployed.candidate.precision == "fp32":
            assert_allclose(logits, expected, atol=1e-5, rtol=1e-5)
        else:
            assert np.abs(logits - expected).max() < 0.1 * np.abs(expected).max()


def test_takes_one_and_many_in_any_order(deployed: Deployed, trained: Any) -> None:
    run = deployed.read.open()
    rows = trained.inputs[:64].numpy()
    together = run(rows)
    alone = np.concatenate([run(rows[i : i + 1]) for i in range(3)])
    assert together.shape == (64, 5)
    assert together.dtype == np.float32
    assert np.isfinite(together).all()
    assert_allclose(alone, together[:3], atol=1e-4, rtol=1e-4)
    assert_array_equal(run(rows), together)


def test_results_are_not_overwritten_by_the_next_call(deployed: Deployed, trained: Any) -> None:
    run = deployed.read.open()
    first = run(trained.inputs[:1].numpy())
    remaining = first.copy()
    run(trained.inputs[1:2].numpy())
    assert_array_equal(first, remaining)


def test_two_threads_give_the_same_decisions(deployed: Deployed, trained: Any) -> None:
    before = torch.get_num_threads()
    logits = deployed.read.open(threads=2)(trained.inputs.numpy())
    assert torch.get_num_threads() == before
    assert_array_equal(logits.argmax(1), torch_logits(trained).argmax(1))


def test_leaves_the_student_alone(deployed: Deployed) -> None:
    assert deployed.after == deployed.before
    assert len(set(deployed.before[1])) == 2, "the student is to have parts in both modes"


def test_size_is_that_of_the_files_it_needs(deployed: Deployed) -> None:
    folder, manifest = deployed.written.folder, deployed.written.manifest
    on_disk = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert deployed.written.size_bytes == sum(on_disk[name] for name in deployed.written.files)
    assert set(on_disk) == {"manifest.json", *(file["name"] for file in manifest["files"])}
    assert {file["name"]: file["bytes"] for file in manifest["files"]}.items() <= on_disk.items()


def test_runs_with_only_the_files_it_needs(deployed: Deployed, trained: Any, tmp_path: Path) -> None:
    for name in ("manifest.json", *deployed.written.files):
        (tmp_path / name).write_bytes((deployed.written.folder / name).read_bytes())
    assert_array_equal(load(tmp_path)(trained.inputs), deployed.written(trained.inputs))


def test_says_what_it_is(deployed: Deployed) -> None:
    manifest = json.loads((deployed.written.folder / "manifest.json").read_text())
    assert manifest.pop("checksum").startswith("sha256:")
    assert manifest == deployed.written.manifest == deployed.read.manifest
    assert deployed.read.candidate == deployed.candidate
    assert manifest["input"]["shape"] == ["batch", 1, 8, 8]
    assert deployed.read.classes == ("ant", "bee", "cat", "dog", "eel")
    assert deployed.candidate.name in str(deployed.read)
    assert f"{deployed.read.size_bytes:,} bytes" in str(deployed.read)


def test_names_no_folder_of_the_machine_that_made_it(deployed: Deployed, trained: Any) -> None:
    for path in deployed.written.folder.iterdir():
        content = path.read_bytes()
        for private in (str(deployed.written.folder.parent), str(Path(torch.__file__).parent), "site-packages"):
            assert private.encode() not in content, path.name


def test_gives_back_the_network(deployed: Deployed, trained: Any) -> None:
    network = deployed.read.network()
    assert digest(network) == digest(trained.student)
    assert not network.training


def test_probabilities_and_names(deployed: Deployed, trained: Any) -> None:
    artifact, rows = deployed.read, trained.inputs[:10]
    assert_allclose(artifact.predict_proba(rows), softmax(artifact(rows)), atol=1e-6)
    assert artifact.predict(rows).tolist() == [artifact.classes[label] for label in trained.labels[:10].tolist()]
    assert_array_equal(artifact.logits(rows), artifact(rows))


def softmax(logits: np.ndarray) -> np.ndarray:
    return torch.from_numpy(logits).double().softmax(1).numpy()


def test_the_same_student_gives_the_same_files(deployed: Deployed, trained: Any, tmp_path: Path) -> None:
    again = deploy(
        trained.student,
        deployed.candidate,
        tmp_path / "again",
        example=trained.inputs[:1],
        task=Classification(deployed.written.classes),
        calibration=trained.inputs[:100],
        spec=trained.spec,
    )
    for name in again.files:
        assert (again.folder / name).read_bytes() == (deployed.written.folder / name).read_bytes(), name


@pytest.mark.parametrize(
    ("dtype", "names"),
    [("str", ("a", "b")), ("int8", ("3", "-1")), ("bool", ("False", "True")), ("float64", ("0", "2"))],
)
def test_predictions_have_the_type_of_the_labels(tmp_path: Path, dtype: str, names: tuple[str, str]) -> None:
    network = torch.nn.Linear(2, 2, bias=False)
    network.weight.data = torch.eye(2)
    task = Classification(names, dtype)
    deploy(network, "onnxruntime", tmp_path / "artifact", example=torch.zeros(1, 2), task=task)
    artifact = load(tmp_path / "artifact")
    found = artifact.predict([[0.0, 1.0], [1.0, 0.0]])
    assert found.dtype.kind == np.dtype(dtype).kind and (dtype == "str" or found.dtype == dtype)
    expected = {"str": ["b", "a"], "int8": [-1, 3], "bool": [True, False], "float64": [2.0, 0.0]}[dtype]
    assert found.tolist() == expected and artifact.classes == tuple(reversed(expected))


def test_one_value_is_a_column_to_nobody(tmp_path: Path) -> None:
    network = torch.nn.Linear(2, 1)
    deploy(network, "onnxruntime", tmp_path / "one", example=torch.zeros(1, 2), task=Regression(("price",)))
    assert load(tmp_path / "one").predict([[0.0, 1.0], [1.0, 0.0]]).shape == (2,)
