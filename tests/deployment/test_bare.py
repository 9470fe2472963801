"""An ONNX artifact runs where nothing is installed but NumPy and ONNX Runtime."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from attar import interpreter
from attar.deployment.deploy import deploy
from attar.network.spec import Spec
from attar.tables.columns import Columns
from attar.tasks.classification import Classification

BARE = """
import importlib.abc, sys

class Nothing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in ("attar", "numpy", "onnxruntime"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

sys.meta_path.insert(0, Nothing())
import numpy as np
import attar
"""
"""The beginning of a program in a process that finds Attar, NumPy, ONNX Runtime and the standard library alone."""

ROWS: list[dict[str, Any]] = [
    {"color": "red", "age": 3.5, "size": 1},
    {"color": None, "age": float("nan"), "size": 7},
    {"color": "blue", "age": -2.0, "size": 2},
] * 4
MANY = {name: [row[name] for row in ROWS] for name in ROWS[0]}


def run(program: str, *arguments: Path) -> str:
    """What a bare process prints."""
    command = [sys.executable, "-c", BARE + program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=interpreter.environment())
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Any:
    columns = Columns.infer(MANY)
    spec = Spec("attar.network.architectures:tabular", {"columns": columns.to_json(), "outputs": 2, "hidden": [8]})
    torch.manual_seed(0)
    rows = torch.from_numpy(columns.encode(MANY)).float()
    folder = tmp_path_factory.mktemp("table") / "artifact"
    return deploy(
        spec.build().eval(),
        "onnxruntime",
        folder,
        example=rows[:1],
        calibration=rows,
        task=Classification(("no", "yes")),
        spec=spec,
        columns=columns,
    )


def test_an_artifact_of_images(trained: Any, tmp_path: Path) -> None:
    made = deploy(
        trained.student,
        "onnxruntime",
        tmp_path / "artifact",
        example=trained.inputs[:1],
        task=Classification(("ant", "bee", "cat", "dog", "eel")),
        spec=trained.spec,
    )
    np.save(tmp_path / "rows.npy", trained.inputs.numpy())
    program = """
from pathlib import Path
folder = Path(sys.argv[1])
artifact = attar.load(folder / "artifact")
rows = np.load(folder / "rows.npy")
np.save(folder / "logits.npy", artifact(rows))
np.save(folder / "probabilities.npy", artifact.predict_proba(rows.astype(np.float64)))
print(artifact.predict(rows[:3].tolist()), artifact.size_bytes, artifact, sep="\\n")
for wrong in (lambda: artifact(rows[0]), lambda: artifact([{"age": 3}]), artifact.network):
    try:
        wrong()
    except attar.AttarError as error:
        print(type(error).__name__, error)
"""
    names, size_bytes, line, *errors = run(program, tmp_path).splitlines()
    assert_array_equal(np.load(tmp_path / "logits.npy"), made(trained.inputs))
    assert_array_equal(np.load(tmp_path / "probabilities.npy"), made.predict_proba(trained.inputs))
    assert names == str(made.predict(trained.inputs[:3]))
    assert (int(size_bytes), line) == (made.size_bytes, str(made))
    assert errors[0].startswith("BadInput inputs of artifact must be of shape (batch, 1, 8, 8); got (1, 8, 8). Add")
    assert errors[1].startswith("BadInput inputs of artifact must be an array or a tensor")
    assert errors[2] == (
        "MissingExtra The network of an artifact needs torch, which is not installed. Run: pip install attar."
    )


def test_an_artifact_of_rows_of_a_table(table: Any, tmp_path: Path) -> None:
    program = """
from pathlib import Path
artifact, out = attar.load(sys.argv[1]), Path(sys.argv[2])
rows = [{"color": "red", "age": 3.5, "size": 1}, {"color": None, "age": float("nan"), "size": 7},
        {"color": "blue", "age": -2.0, "size": 2}] * 4
lists = {name: [row[name] for row in rows] for name in rows[0]}
objects = np.array([list(row.values()) for row in rows], dtype=object)
forms = {"rows": rows, "lists": lists, "objects": objects, "encoded": artifact.encode(rows)}
for name, form in forms.items():
    np.save(out / f"{name}.npy", artifact(form))
np.save(out / "one.npy", artifact(rows[0]))
print(artifact.columns.names, sorted(set(sys.modules) & {"torch", "pyarrow", "pandas", "pydantic", "jaxtyping"}))
"""
    assert run(program, table.folder, tmp_path) == "('color', 'age', 'size') []\n"
    expected = table(ROWS)
    for name in ("rows", "lists", "objects", "encoded"):
        assert_array_equal(np.load(tmp_path / f"{name}.npy"), expected, err_msg=name)
    assert_array_equal(np.load(tmp_path / "one.npy"), table(ROWS[0]))


def test_what_torch_runs_says_that_it_needs_torch(trained: Any, tmp_path: Path) -> None:
    deploy(
        trained.student,
        "torch",
        tmp_path / "artifact",
        example=trained.inputs[:1],
        task=Classification(("ant", "bee", "cat", "dog", "eel")),
        spec=trained.spec,
    )
    program = """
try:
    attar.load(sys.argv[1])
except attar.AttarError as error:
    print(error)
"""
    said = run(program, tmp_path / "artifact")
    assert said == "Running 'torch fp32' needs torch, which is not installed. Run: pip install attar.\n"


def test_nothing_else_is_imported_where_everything_is_installed(table: Any) -> None:
    program = (
        "import sys, attar; attar.load(sys.argv[1])([{'color': 'red', 'age': 3.5, 'size': 1}]); "
        "print(sorted({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)))"
    )
    command = [sys.executable, "-c", program, str(table.folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=interpreter.environment(), check=True)
    heavy = {"torch", "pyarrow", "pydantic", "pandas", "scipy", "sklearn", "onnx", "jaxtyping", "altair", "joblib"}
    assert not heavy & set(ast.literal_eval(done.stdout))
