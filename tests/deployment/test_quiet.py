"""Nothing is printed, nothing is sent, and nobody else's messages are lost."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from attar.deployment.quiet import import_untracked, quiet
from attar.errors import MissingExtra

# Deploys every candidate, and writes down each attempt to reach another machine, also from forked processes.
DEPLOY = """
import os, sys, tempfile, time
home = os.environ["HOME"]
def audit(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request"):
        with open(home + "/attempts", "a") as file:
            file.write(event + "\\n")
sys.addaudithook(audit)
import torch
from attar.deployment.artifact import load
from attar.deployment.candidates import candidates
from attar.deployment.deploy import deploy
from attar.network.spec import Spec
from attar.tasks.classification import Classification
spec = Spec("attar.network.architectures:convnet", {"classes": 3, "widths": [4]})
rows = torch.rand(8, 1, 8, 8)
for index, candidate in enumerate(candidates()):
    folder = tempfile.mkdtemp()
    task = Classification(("a", "b", "c"))
    deploy(spec.build(), candidate, folder, task=task, example=rows[:1], calibration=rows, spec=spec)
    load(folder)(rows)
time.sleep(1)  # telemetry is sent in the background
assert {"onnxruntime", "nncf", "openvino"} <= sys.modules.keys()
assert "openvino_telemetry" not in sys.modules
assert "ORT_DISABLE_TELEMETRY" not in os.environ
import logging
assert not logging.getLogger().handlers, "the logging of the whole program was configured"
"""


def run(code: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a process that knows nothing of CI, with a home of its own."""
    unset = ("CI", "TF_BUILD", "JENKINS_URL", "NNCF_CI", "NNCF_DEV", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    environment = {key: value for key, value in os.environ.items() if key not in unset}
    environment |= {"HOME": str(home), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def left_by_telemetry(home: Path) -> list[str]:
    """Files by which the senders of the three packages know a machine again."""
    found = [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]
    return [name for name in found if name == "attempts" or "intel" in name.lower() or "microsoft" in name.lower()]


@pytest.mark.slow
def test_deploying_prints_nothing_sends_nothing_and_leaves_nothing_at_home(tmp_path: Path) -> None:
    done = run(DEPLOY, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert left_by_telemetry(tmp_path) == []


def test_onnxruntime_is_told_before_it_begins(tmp_path: Path) -> None:
    code = "from attar.deployment.quiet import import_untracked; import_untracked('onnxruntime', 'A test')"
    assert run(code, tmp_path).returncode == 0
    assert left_by_telemetry(tmp_path) == []


def test_drops_what_the_package_says_and_no_more(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture
) -> None:
    noisy, other = logging.getLogger("noisy.part"), logging.getLogger("other")
    with quiet("noisy"):
        noisy.warning("from the package")
        noisy.error("an error of the package")
        other.warning("from another")
        sys.stdout.write("printed")
        warnings.warn("warned", stacklevel=1)
    noisy.warning("afterwards")
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        "an error of the package",
        "from another",
        "afterwards",
    ]
    assert capsys.readouterr().out == ""


def test_drops_records_sent_through_the_root_by_the_package_only(caplog: pytest.LogCaptureFixture) -> None:
    root = logging.getLogger()

    def sent_from(path: str) -> None:
        root.handle(root.makeRecord("root", logging.WARNING, path, 1, path, (), None))

    with quiet("noisy"):
        sent_from("/site-packages/noisy/part.py")
        sent_from("/site-packages/noisy_neighbor/part.py")
    sent_from("/site-packages/noisy/part.py")
    assert [record.getMessage() for record in caplog.records] == [
        "/site-packages/noisy_neighbor/part.py",
        "/site-packages/noisy/part.py",
    ]


def test_everything_is_put_back_when_the_block_fails() -> None:
    root, named = logging.getLogger(), logging.getLogger("noisy")
    before = (list(root.handlers), list(root.filters), named.level, sys.stdout, sys.stderr, list(warnings.filters))
    with pytest.raises(ZeroDivisionError), quiet("noisy"):
        raise ZeroDivisionError
    after = (list(root.handlers), list(root.filters), named.level, sys.stdout, sys.stderr, list(warnings.filters))
    assert after == before


def test_an_absent_package_names_the_extra() -> None:
    with pytest.raises(MissingExtra, match=r"Flying needs the package 'not_there'.*attar\[openvino\]"):
        import_untracked("not_there", "Flying", "openvino")
    with pytest.raises(MissingExtra, match=r"Flying needs the package 'not_there'.* Run: pip install attar\.$"):
        import_untracked("not_there", "Flying")


def test_a_package_that_is_broken_inside_is_not_called_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_inside.py").write_text("import not_there_either")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_there_either"):
        import_untracked("broken_inside", "Flying")


def test_what_the_program_chose_about_telemetry_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    marker = type(sys)("openvino_telemetry")
    monkeypatch.setitem(sys.modules, "openvino_telemetry", marker)
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    import_untracked("json", "Reading")
    assert sys.modules["openvino_telemetry"] is marker
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "0"
