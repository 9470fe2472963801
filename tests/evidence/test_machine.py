"""The machine is described, and nobody can tell whose it is."""

import getpass
import json
import platform
import socket
from importlib import metadata
from pathlib import Path

from attar.evidence.machine import PACKAGES, machine

CPUINFO = """processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC 7B13
flags\t\t: fpu sse2 avx fma avx2 avx512_vnni_not_really f16c

processor\t: 1
model name\t: another
"""


def test_model_and_flags_are_read(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text(CPUINFO)
    found = machine(path)
    assert found["cpu"] == "AMD EPYC 7B13"
    # A flag counts as a whole word.
    assert found["flags"] == ["avx", "avx2", "fma", "f16c"]


def test_arm_calls_them_features(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\n")
    assert machine(path)["flags"] == ["asimddp", "i8mm"]


def test_without_cpuinfo_flags_are_not_known(tmp_path):
    found = machine(tmp_path / "absent")
    assert found["flags"] is None
    assert found["cpu"]


def test_figures_are_plain_and_plausible():
    found = machine()
    assert json.loads(json.dumps(found)) == found
    assert found["memory_bytes"] > 100e6
    assert found["threads"] >= 1
    assert found["python"] == platform.python_version()
    assert found["os"].startswith(platform.system())


def test_versions_are_those_installed(monkeypatch):
    found = machine()["versions"]
    assert set(found) == set(PACKAGES)
    assert found["numpy"] == metadata.version("numpy")

    def absent(package: str) -> str:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "version", absent)
    assert set(machine()["versions"].values()) == {None}


def test_nothing_personal(monkeypatch):
    monkeypatch.setattr(platform, "release", lambda: "6.1.0-13-built-by-erika")
    text = json.dumps(machine())
    assert machine()["os"] == f"{platform.system()} 6.1.0"
    assert str(Path.home()) not in text
    assert str(Path.cwd()) not in text
    names = {socket.gethostname(), platform.node(), getpass.getuser()}
    # A name such as "linux" would be found in any description.
    words = set(text.lower().replace('"', " ").replace(",", " ").split())
    assert not {name.lower() for name in names if name} & words - {"linux"}
