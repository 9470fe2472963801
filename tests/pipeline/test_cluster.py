"""Ray clusters that cannot be used, and what travels to workers and back; a real one: tests/recipes/test_ray.py."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from attar.errors import AttarError, BadInput, CorruptFile, MissingExtra
from attar.pipeline.cluster import Cluster, _modules
from attar.pipeline.cluster_worker import _Actor, _machine, _own_folder
from attar.pipeline.nodes import Nodes, NotFinished, PackedNode
from attar.pipeline.turns import Turns
from attar.training.progress import Progress


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_without_ray_it_is_told_which_extra_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"^A Ray cluster needs the package 'ray', .*pip install 'attar\[ray\]'\.$"):
        Cluster("auto")


def test_where_nobody_answers_it_is_told_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        start = time.monotonic()
        for one in (address, f"ray://{address}"):
            with pytest.raises(
                AttarError, match=rf"^No Ray cluster can be reached at '{one}': .*refused. Start one with"
            ):
                Cluster(one)
    assert time.monotonic() - start < 10


def test_what_an_environment_variable_names_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(AttarError, match=r"No Ray cluster can be reached at '127\.0\.0\.1:1'"):
        Cluster("auto")


@pytest.mark.parametrize("address", ["", "nonsense", "host:", ":6379", "host:six", "ray://host"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(BadInput, match=r"^--ray must be \"auto\", \"local\", host:port or ray://host:port; got "):
        Cluster(address)


def test_whoever_answers_and_is_no_cluster_is_waited_for_as_long_as_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "init", lambda **_: time.sleep(5))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(AttarError, match=r"did not connect within 0 seconds\. See with ray status whether it runs"):
            Cluster(address, connected=0.1)


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (
            ConnectionError("Could not find any"),
            r"No Ray cluster runs on this machine\. Start one with ray start --head,",
        ),
        (
            RuntimeError("Version\nmismatch"),
            r"The Ray cluster 'auto' cannot be used: RuntimeError: Version mismatch\. ",
        ),
    ],
    ids=["there is none", "another reason"],
)
def test_why_ray_refuses_is_told(raised: Exception, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")

    def refuses(**_: Any) -> None:
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
        raise raised

    monkeypatch.setattr(ray, "init", refuses)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    with pytest.raises(AttarError, match=f"^{told}"):
        Cluster("auto")
    assert "RAY_USAGE_STATS_ENABLED" not in os.environ


class Writes:
    """A task that makes one node, or fails."""

    def __call__(
        self,
        arguments: Mapping[str, Any],
        given: Mapping[str, bytes],
        nodes: Nodes,
        turns: Turns | None,
        progress: Progress,
    ) -> None:
        def work(folder: Path) -> dict[str, Any]:
            (folder / "a" / "b.txt").parent.mkdir()
            (folder / "a" / "b.txt").write_bytes(given["c"])
            assert torch.get_num_threads() == 1
            return {"waits": turns is not None}

        with progress("write", 3) as advance:
            advance(3)
        nodes.node("made", arguments, work)
        if arguments["fails"]:
            raise ValueError("on purpose")


@pytest.fixture
def actor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], _Actor]:
    """What Ray runs on a node, here, of a process on some machine."""
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "get", lambda reference: reference)
    return lambda machine: _Actor([Writes()], {}, str(tmp_path), machine)


def _never(_: Path) -> dict[str, Any]:
    raise AssertionError("it is there")


def test_what_was_made_comes_back_and_is_a_node_of_the_run(actor: Callable[[str], _Actor], tmp_path: Path) -> None:
    here, elsewhere = actor(_machine()), actor("another machine")
    raised, packed = elsewhere.do({"fails": False}, {"c": b"see"})
    assert raised is None and elsewhere.steps() == 3 and elsewhere.steps() == 0
    run = Nodes(tmp_path / "run")
    with pytest.raises(NotFinished):
        run.finished_only().node("made", {"fails": False}, _never)
    run.take_in(packed)
    node = run.node("made", {"fails": False}, _never)
    assert (node.folder / "a" / "b.txt").read_bytes() == b"see" and node.result == {"waits": False}
    raised, packed = here.do({"fails": True}, {"c": b"again"})
    assert raised == "ValueError: on purpose" and len(packed) == 1, "what was finished before comes back all the same"
    run.take_in(packed)
    assert run.node("made", {"fails": True}, _never).result == {"waits": True}
    assert not [one for one in _own_folder().iterdir() if one.is_dir()], "nothing is left on the node"


def test_a_worker_that_could_not_wait_while_something_is_timed_does_not_begin(actor: Any, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere cannot be seen, by which it would wait while something is timed"):
        _Actor([Writes()], {}, str(tmp_path / "nowhere"), _machine())


def test_what_is_there_stays_and_a_record_of_other_files_is_no_node(
    actor: Callable[[str], _Actor], tmp_path: Path
) -> None:
    _, (packed,) = actor("another").do({"fails": False}, {"c": b"first"})
    run = Nodes(tmp_path / "run")
    run.take_in([packed])
    run.take_in([PackedNode(packed.folder, {**packed.files, "a/b.txt": b"other"})])
    assert (run.node("made", {"fails": False}, _never).folder / "a" / "b.txt").read_bytes() == b"first"
    other = Nodes(tmp_path / "other")
    other.take_in([PackedNode(packed.folder, {**packed.files, "a/b.txt": b"other"})])
    with pytest.raises(CorruptFile, match="is missing or not what was written"):
        other.node("made", {"fails": False}, _never)


@pytest.mark.parametrize(("folder", "file"), [("../out", "a"), ("/out", "a"), ("made", "../../../a"), ("made", "/a")])
def test_nothing_is_written_outside_of_the_nodes(tmp_path: Path, folder: str, file: str) -> None:
    with pytest.raises(CorruptFile, match="which is none of a node"):
        Nodes(tmp_path / "run").take_in([PackedNode(folder, {file: b""})])
    assert not (tmp_path / "run").exists()


def test_modules_that_are_loaded_from_a_folder_go_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "package_for_ray").mkdir()
    (tmp_path / "package_for_ray" / "__init__.py").write_text("from package_for_ray import inner")
    (tmp_path / "package_for_ray" / "inner.py").write_text("value = 3")
    (tmp_path / "unused_by_ray.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("package_for_ray")
    assert _modules([tmp_path]) == {
        "package_for_ray/__init__.py": b"from package_for_ray import inner",
        "package_for_ray/inner.py": b"value = 3",
    }
    assert not any(name.startswith("attar") or "site-packages" in name for name in _modules([Path("/")]))
