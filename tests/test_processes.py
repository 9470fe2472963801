"""Processes of one run: what torchrun says of them, and that they agree, with two real ones."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from attar.errors import BadInput
from attar.processes import barrier, broadcast, connect, local_world_size, rank, world_size

SCRIPT = """
import json, sys, time
from pathlib import Path
from attar.processes import barrier, broadcast, local_world_size, rank, world_size

folder = Path(sys.argv[1])
if rank() == 1:
    time.sleep(0.3)
    (folder / "late").touch()
barrier()
seen = (folder / "late").exists()
value = broadcast({"of": rank(), "text": "ü" * 1000} if rank() == 0 else None)
empty = broadcast(None if rank() == 0 else "other")
found = [rank(), world_size(), local_world_size(), seen, value["of"], value["text"] == "ü" * 1000, empty]
(folder / f"{rank()}.json").write_text(json.dumps(found))
"""


def test_one_process_is_alone_and_loads_nothing():
    assert (rank(), world_size(), local_world_size()) == (0, 1, 1)
    value = ("not", {"through": "JSON"})
    assert broadcast(value) is value
    connect()
    barrier()
    code = "import sys, attar.processes as p; p.barrier(); p.broadcast(1); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_world_size_without_torchrun_is_another_programs(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "3")
    assert (rank(), world_size()) == (0, 1)


def test_an_environment_without_numbers_is_refused(monkeypatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "two", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadInput, match="WORLD_SIZE must be a whole number, as torchrun sets it; got 'two'"):
        rank()


def test_two_processes_wait_for_each_other_and_agree(tmp_path, in_ranks):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    in_ranks(script, str(tmp_path), preload="")
    for one in (0, 1):
        assert json.loads((tmp_path / f"{one}.json").read_text()) == [one, 2, 2, True, 0, True, None]
