"""Nodes are done once, finished whole or not at all, and by whoever comes first of several processes."""

from __future__ import annotations

import hashlib
import json
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from attar import processes
from attar.errors import CorruptFile
from attar.pipeline.nodes import RECORD, Nodes
from attar.records import to_text
from attar.workspace import LOCK, TEMPORARY, locked, write_file


class Work:
    """Work that writes a file and counts how often it was done."""

    def __init__(self, text: str = "result") -> None:
        self.text, self.times = text, 0

    def __call__(self, folder: Path) -> Mapping[str, Any]:
        self.times += 1
        write_file(folder / "result.txt", self.text)
        return {"length": len(self.text)}


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def altered(done: Path, **changes: Any) -> None:
    """A record changed together with its checksum."""
    record = json.loads(done.read_text(encoding="utf-8"))
    done.write_text(to_text({**record, **changes}), encoding="utf-8")


def test_a_node_is_done_once(tmp_path: Path) -> None:
    work = Work()
    first = Nodes(tmp_path).node("student/0", {"seed": 0}, work)
    nodes = Nodes(tmp_path)
    second = nodes.node("student/0", {"seed": 0}, work)
    assert nodes.done == [second]
    assert work.times == 1
    assert (first.reused, second.reused) == (False, True)
    assert first.result == second.result == {"length": 6}
    assert first.folder == second.folder
    assert names(second.folder) == [RECORD, "result.txt"]
    assert second.seconds == first.seconds  # of the work, not of finding it


def test_the_time_of_a_node_counts_once_however_often_it_is_asked_for(tmp_path: Path) -> None:
    nodes, work = Nodes(tmp_path), Work()
    found = [nodes.node("one", {}, work), nodes.node("one", {}, work), nodes.node("two", {}, work)]
    assert nodes.seconds == pytest.approx(found[0].seconds + found[2].seconds)


def test_all_that_a_node_depends_on_is_in_its_key(tmp_path: Path) -> None:
    work, nodes = Work(), Nodes(tmp_path)
    parent = nodes.node("parent", {}, work)
    other = nodes.node("parent", {"x": 1}, work)
    made = [
        nodes.node("a", {"x": 1}, work),
        nodes.node("a", {"x": 2}, work),
        nodes.node("b", {"x": 1}, work),
        nodes.node("a", {"x": 1}, work, version=2),
        nodes.node("a", {"x": 1}, work, parents=[parent]),
        nodes.node("a", {"x": 1}, work, parents=[other]),
    ]
    assert len({node.key for node in made}) == len({node.folder for node in made}) == 6
    assert work.times == 8
    assert nodes.node("a", {"x": 1}, work).reused, "what was done before stays"


def test_the_order_of_inputs_is_no_matter(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path)
    nodes.node("a", {"x": 1, "y": 2}, Work())
    assert nodes.node("a", {"y": 2, "x": 1}, Work()).reused


def test_what_is_recorded_is_json(tmp_path: Path) -> None:
    node = Nodes(tmp_path).node("a/b", {"x": [1, 2]}, Work(), version=3)
    record = json.loads((node.folder / RECORD).read_text(encoding="utf-8"))
    digest = hashlib.sha256((node.folder / "result.txt").read_bytes()).hexdigest()
    assert (record["name"], record["inputs"], record["version"], record["parents"]) == ("a/b", {"x": [1, 2]}, 3, [])
    assert record["files"] == {"result.txt": [6, digest]}


def test_only_what_is_resumable_survives_a_kill(tmp_path: Path) -> None:
    """What exporters and other libraries leave half written must not count as part of the result."""
    seen = []

    def killed(folder: Path) -> Mapping[str, Any]:
        for name in (
            "checkpoint",
            "store/part-0",
            f"store/{TEMPORARY}1-part-1",
            "model.onnx",
            "model.onnx.data",
            f".export/{TEMPORARY}2",
        ):
            write_file(folder / name, "half")
        raise KeyboardInterrupt

    def resumed(folder: Path) -> Mapping[str, Any]:
        seen.append(names(folder))
        write_file(folder / "model.onnx", "whole")
        return {}

    settings: dict[str, Any] = {"resumable": ["store"], "scratch": ["checkpoint"]}
    with pytest.raises(KeyboardInterrupt):
        Nodes(tmp_path).node("a", {}, killed, **settings)
    node = Nodes(tmp_path).node("a", {}, resumed, **settings)
    assert seen == [[LOCK, "checkpoint", "store/part-0"]]
    assert not node.reused
    assert names(node.folder) == ["model.onnx", RECORD, "store/part-0"], "a checkpoint is no part of the result"
    assert Nodes(tmp_path).node("a", {}, resumed, **settings).reused


def test_what_is_left_by_a_kill_right_after_the_record_is_swept(tmp_path: Path) -> None:
    node = Nodes(tmp_path).node("a", {}, Work(), scratch=["checkpoint"])
    for name in (LOCK, "checkpoint", f"{TEMPORARY}1-result.txt"):
        write_file(node.folder / name, "x")
    assert Nodes(tmp_path).node("a", {}, Work(), scratch=["checkpoint"]).reused
    assert names(node.folder) == [RECORD, "result.txt"]


# -- damage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"result": {}, "seconds": 1}',
        to_text({"result": {}, "files": {}}),
        to_text({"files": 3}),
    ],
)
def test_a_record_that_is_none_is_told_with_the_folder_to_delete(tmp_path: Path, content: str) -> None:
    node = Nodes(tmp_path).node("a", {}, Work())
    (node.folder / RECORD).write_text(content, encoding="utf-8")
    with pytest.raises(CorruptFile, match=f"Delete the folder {re.escape(str(node.folder))}"):
        Nodes(tmp_path).node("a", {}, Work())


@pytest.mark.parametrize(
    "changes",
    [{"result": None}, {"result": 3}, {"seconds": "long"}, {"files": {"result.txt": [6]}}, {"files": {"x": None}}],
)
def test_a_record_of_another_form_is_told(tmp_path: Path, changes: dict[str, Any]) -> None:
    node = Nodes(tmp_path).node("a", {}, Work())
    altered(node.folder / RECORD, **changes)
    with pytest.raises(CorruptFile, match="is not the record of a finished step"):
        Nodes(tmp_path).node("a", {}, Work())


def test_a_record_that_was_altered_is_told(tmp_path: Path) -> None:
    done = Nodes(tmp_path).node("a", {}, Work()).folder / RECORD
    done.write_text(done.read_text().replace('"seconds": ', '"seconds": 9'), encoding="utf-8")
    with pytest.raises(CorruptFile, match=r"is not what was written: its 'checksum' differs"):
        Nodes(tmp_path).node("a", {}, Work())


def test_the_whole_folder_of_another_node_is_told(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path)
    one, two = nodes.node("a", {"x": 1}, Work("one")), nodes.node("a", {"x": 2}, Work("two"))
    shutil.rmtree(one.folder)
    shutil.copytree(two.folder, one.folder)
    with pytest.raises(CorruptFile, match="is the record of another step"):
        nodes.node("a", {"x": 1}, Work())


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b", "."])
def test_a_record_that_names_files_elsewhere_is_told(tmp_path: Path, name: str) -> None:
    node = Nodes(tmp_path).node("a", {}, Work())
    altered(node.folder / RECORD, files={name: [1, "0"]})
    with pytest.raises(CorruptFile, match="which is not in its folder"):
        Nodes(tmp_path).node("a", {}, Work())


@pytest.mark.parametrize("damage", ["cut", "flip", "missing", "folder"])
def test_a_damaged_file_is_told_and_deleting_the_folder_mends_it(tmp_path: Path, damage: str) -> None:
    work = Work()
    node = Nodes(tmp_path).node("a", {}, work)
    file = node.folder / "result.txt"
    file.unlink()
    if damage == "folder":
        file.mkdir()
    elif damage != "missing":
        file.write_text({"cut": "resul", "flip": "resulu"}[damage], encoding="utf-8")
    with pytest.raises(CorruptFile, match=r"result\.txt is missing or not what was written\. Delete the folder"):
        Nodes(tmp_path).node("a", {}, work)
    shutil.rmtree(node.folder)
    assert not Nodes(tmp_path).node("a", {}, work).reused
    assert work.times == 2


def test_every_byte_of_a_large_file_counts(tmp_path: Path) -> None:
    def large(folder: Path) -> Mapping[str, Any]:
        with (folder / "large").open("wb") as file:
            file.truncate((1 << 26) + 5)
        return {}

    node = Nodes(tmp_path).node("a", {}, large)
    with (node.folder / "large").open("rb+") as file:
        file.seek(1 << 26)
        file.write(b"\1")
    with pytest.raises(CorruptFile, match="large is missing or not what was written"):
        Nodes(tmp_path).node("a", {}, large)


# -- other runs --------------------------------------------------------------------------------------------------------


def test_a_node_of_another_run_is_taken_over_whole(tmp_path: Path) -> None:
    work = Work()
    theirs = Nodes(tmp_path / "theirs").node("a", {}, work)
    unfinished = tmp_path / "mine" / "nodes" / theirs.folder.name / "litter"
    write_file(unfinished, "x")
    mine = Nodes(tmp_path / "mine", [tmp_path / "nowhere", tmp_path / "theirs"]).node("a", {}, work)
    assert work.times == 1
    assert mine.reused
    assert names(mine.folder) == names(theirs.folder) == [RECORD, "result.txt"]
    shutil.rmtree(tmp_path / "theirs")
    assert Nodes(tmp_path / "mine").node("a", {}, work).reused


def test_a_damaged_node_of_another_run_is_told_where_it_is(tmp_path: Path) -> None:
    theirs = Nodes(tmp_path / "theirs").node("a", {}, Work())
    (theirs.folder / "result.txt").write_text("resulu", encoding="utf-8")
    with pytest.raises(CorruptFile, match=re.escape(str(theirs.folder))):
        Nodes(tmp_path / "mine", [tmp_path / "theirs"]).node("a", {}, Work())
    assert not list((tmp_path / "mine").rglob(RECORD))


# -- several processes -------------------------------------------------------------------------------------------------

HOLDER = """
import sys, time
from pathlib import Path
from attar.pipeline.nodes import Nodes
from attar.workspace import write_file

def work(folder):
    write_file(folder / "checkpoint", "half")
    print("working", flush=True)
    if sys.argv[2] == "hang":
        time.sleep(600)
    sys.stdin.read()
    write_file(folder / "result.txt", "theirs")
    return {"by": "them"}

print(Nodes(Path(sys.argv[1])).node("a", {}, work, scratch=["checkpoint"]).reused, flush=True)
"""


@contextmanager
def holder(folder: Path, how: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that has begun with the node."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        try:
            yield process
        finally:
            process.kill()


def waiting(act: Callable[[], object]) -> Any:
    """A progress display that does something as soon as somebody waits, and knows about what."""

    @contextmanager
    def shown(title: str, total: int) -> Iterator[Callable[[int], None]]:
        assert title == "wait for a"
        act()
        yield lambda _: None

    return shown


def test_a_node_that_another_process_is_making_is_waited_for(tmp_path: Path) -> None:
    with holder(tmp_path, "finish") as process:
        assert process.stdin is not None
        node = Nodes(tmp_path, progress=waiting(process.stdin.close)).node("a", {}, Work(), scratch=["checkpoint"])
    assert node.reused
    assert node.result == {"by": "them"}
    assert names(node.folder) == [RECORD, "result.txt"]


def test_a_node_of_a_process_that_was_killed_is_taken_over(tmp_path: Path) -> None:
    seen = []

    def work(folder: Path) -> Mapping[str, Any]:
        seen.extend(names(folder))
        return {"by": "us"}

    with holder(tmp_path, "hang") as process:

        def kill() -> None:
            process.send_signal(signal.SIGKILL)
            process.wait()

        node = Nodes(tmp_path, progress=waiting(kill)).node("a", {}, work, scratch=["checkpoint"])
    assert not node.reused
    assert node.result == {"by": "us"}
    assert seen == [LOCK, "checkpoint"]
    assert names(node.folder) == [RECORD]


@pytest.mark.parametrize("collective", [True, False])
def test_of_several_ranks_the_first_decides_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collective: bool
) -> None:
    """Three threads in the place of three processes."""
    mine = threading.local()
    heard: list[queue.Queue[Any]] = [queue.Queue() for _ in range(3)]
    together = threading.Barrier(3)

    def broadcast(value: Any) -> Any:
        if mine.rank > 0:
            return heard[mine.rank].get(timeout=60)
        for one in heard[1:]:
            one.put(value)
        return value

    for name, put in (("rank", lambda: mine.rank), ("broadcast", broadcast), ("barrier", together.wait)):
        monkeypatch.setattr(f"attar.processes.{name}", put)
    worked: list[int] = []
    found: dict[int, list[Any]] = {}

    def rank(number: int) -> None:
        mine.rank = number

        def work(folder: Path) -> Mapping[str, Any]:
            worked.append(number)
            if number == 0:
                write_file(folder / "result.txt", "x")
            return {"rank": number}

        nodes = Nodes(tmp_path)
        made = [nodes.node("a", {}, work, collective=collective) for _ in range(2)]
        found[number] = [(node.result, node.reused) for node in made]

    threads = [threading.Thread(target=rank, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(worked) == ([0, 1, 2] if collective else [0])
    assert all(found[number] == [({"rank": 0}, False), ({"rank": 0}, True)] for number in range(3))


def test_what_one_rank_does_by_itself_knows_of_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    for name in ("broadcast", "barrier"):
        monkeypatch.setattr(f"attar.processes.{name}", lambda *_: None)

    def work(_: Path) -> Mapping[str, Any]:
        return {"processes": processes.world_size()}

    nodes = Nodes(tmp_path)
    assert nodes.node("a", {}, work).result == {"processes": 1}
    assert nodes.node("b", {}, work, collective=True).result == {"processes": 2}


def test_a_lock_of_a_folder_does_not_hold_up_its_finished_nodes_for_long(tmp_path: Path) -> None:
    """Whoever is just finishing has the lock for a moment; a node without one is not locked at all."""
    node = Nodes(tmp_path).node("a", {}, Work())
    with locked(tmp_path):
        assert Nodes(tmp_path).node("a", {}, Work()).reused
    assert not (node.folder / LOCK).exists()
    assert names(tmp_path) == [f"nodes/{node.folder.name}/{name}" for name in (RECORD, "result.txt")]
