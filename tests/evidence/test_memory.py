"""Peak memory of an artifact in another interpreter, and what is said when that one fails."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from attar.deployment.deploy import deploy
from attar.errors import AttarError, BadInput
from attar.evidence.memory import peak_memory
from attar.tasks.classification import Classification

linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from Linux's /proc")


def interpreter(folder: Path, script: str) -> str:
    """A program that stands in for the interpreter, so that its failures can be arranged."""
    path = folder / "interpreter"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@linux
def test_growth_is_that_of_the_model_and_not_of_its_parent(tmp_path):
    network = nn.Sequential(nn.Linear(16, 2000), nn.ReLU(), nn.Linear(2000, 2000), nn.ReLU(), nn.Linear(2000, 2))
    artifact = deploy(
        network, "onnxruntime", tmp_path / "big", example=torch.zeros(1, 16), task=Classification(("no", "yes"))
    )
    assert artifact.size_bytes > 16_000_000
    # The child must not inherit the peak of a parent that holds 400 MB.
    ballast = np.ones(50_000_000)
    peak = peak_memory(artifact.folder, batch=2)
    assert ballast[-1] == 1
    assert artifact.size_bytes < peak < 150_000_000


@linux
def test_folder_without_artifact_is_named(tmp_path):
    with pytest.raises(
        AttarError, match=r"memory of the artifact in .*nothing.* could not be measured: .*manifest\.json"
    ):
        peak_memory(tmp_path / "nothing")


@linux
@pytest.mark.parametrize(
    ("script", "match"),
    [
        ("echo 'Traceback' >&2; echo 'MemoryError: too big' >&2; exit 1", "measured: MemoryError: too big"),
        ("exit 3", "exit status 3 without a message"),
        ("kill -9 $$", "ended by SIGKILL; SIGKILL often means that memory ran out"),
        ("exec sleep 30", r"no answer in 0\.2 seconds"),
        ("echo hello", "its answer was not understood"),
        ("true", "its answer was not understood"),
    ],
)
def test_failures_of_the_other_interpreter(tmp_path, monkeypatch, script, match):
    monkeypatch.setattr(sys, "executable", interpreter(tmp_path, script))
    with pytest.raises(AttarError, match=match):
        peak_memory(tmp_path, timeout=0.2 if "sleep" in script else 60.0)


@linux
def test_chatter_before_the_answer_is_passed_over(tmp_path, monkeypatch):
    script = """echo 'loading plugins'; echo '{"peak_memory_bytes": 4096}'"""
    monkeypatch.setattr(sys, "executable", interpreter(tmp_path, script))
    assert peak_memory(tmp_path) == 4096


@linux
def test_other_interpreter_is_told_everything(tmp_path, monkeypatch):
    said = tmp_path / "said"
    script = f"""echo "$@" > {said}; echo "$PYTHONPATH" >> {said}; echo '{{"peak_memory_bytes": 1}}'"""
    monkeypatch.setattr(sys, "executable", interpreter(tmp_path, script))
    monkeypatch.syspath_prepend(str(tmp_path / "mine"))
    peak_memory(tmp_path / "folder", 64, threads=2, allow=("attar", "mine"))
    arguments, search = said.read_text().splitlines()
    expected = f"-P -m attar.evidence.memory {tmp_path}/folder 64 --threads 2 --allow attar,mine"
    assert arguments == expected
    assert str(tmp_path / "mine") in search.split(os.pathsep)


def test_elsewhere_memory_is_not_known(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert peak_memory(tmp_path) is None


@pytest.mark.parametrize("change", [{"batch": 0}, {"threads": 0}])
def test_refusals(tmp_path, change):
    with pytest.raises(BadInput, match="at least 1"):
        peak_memory(tmp_path, **change)


def test_importing_the_module_is_light():
    # What this interpreter imports before it measures must be its own choice, not this module's.
    code = "import sys, attar.evidence.memory; print({'torch', 'onnxruntime', 'numpy', 'openvino'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
