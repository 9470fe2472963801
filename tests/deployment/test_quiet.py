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

# A process that deploys every candidate while each attempt to reach another machine is an error that is counted.
DEPLOY = """
import sys, tempfile
attempts = []
def audit(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request"):
        attempts.append((event, arguments))
sys.addaudithook(audit)
import torch
from attar.deployment.artifact import candidates, deploy, load
from attar.network.describe import Spec
spec = Spec("attar.network.architectures:convnet", {"classes": 3, "widths": [4]})
rows = torch.rand(8, 1, 8, 8)
for index, candidate in enumerate(candidates()):
    folder = tempfile.mkdtemp()
    deploy(spec.build(), candidate, folder, example=rows[:1], classes=list("abc"), calibration=rows, spec=spec)
    load(folder)(rows)
import threading, time
time.sleep(1)  # telemetry is sent from threads
assert "nncf" in sys.modules and "openvino" in sys.modules
assert not attempts, attempts
assert "openvino_telemetry" not in sys.modules
import logging
assert not logging.getLogger().handlers, "the program's logging was configured"
"""


@pytest.mark.slow
def test_deploying_prints_nothing_sends_nothing_and_leaves_no_file_at_home(tmp_path: Path) -> None:
    unset = ("CI", "TF_BUILD", "JENKINS_URL", "NNCF_CI", "NNCF_DEV")
    environment = {key: value for key, value in os.environ.items() if key not in unset}
    environment |= {"HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", DEPLOY], capture_output=True, text=True, env=environment, timeout=300
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path for path in tmp_path.rglob("*") if "intel" in str(path).lower()] == []


def test_drops_what_the_package_says_and_no_more(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture
) -> None:
    noisy, other = logging.getLogger("noisy.part"), logging.getLogger("other")
    with quiet("noisy"):
        noisy.warning("from the package")
        noisy.error("an error of the package")
        other.warning("from another")
        print("printed")
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
        import_untracked("not_there", "Flying")


def test_a_package_that_is_broken_inside_is_not_called_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_inside.py").write_text("import not_there_either")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_there_either"):
        import_untracked("broken_inside", "Flying")


def test_a_telemetry_package_that_was_there_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    marker = type(sys)("openvino_telemetry")
    monkeypatch.setitem(sys.modules, "openvino_telemetry", marker)
    import_untracked("json", "Reading")
    assert sys.modules["openvino_telemetry"] is marker
