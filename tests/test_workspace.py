"""Files and folders are whole or not there, locks end with their holder, and what a killed process left is swept."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from attar.workspace import (
    LOCK,
    TEMPORARY,
    digest_of,
    is_temporary,
    locked,
    new_file,
    new_folder,
    scratch,
    sweep,
    write_file,
)


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def full(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("data", ["text, ü", b"\0bytes"])
def test_a_file_is_written_with_its_folder_and_its_digest(tmp_path: Path, data: str | bytes) -> None:
    path = tmp_path / "deep" / "file"
    digest = write_file(path, data)
    assert path.read_bytes() == (data.encode() if isinstance(data, str) else data)
    assert digest == digest_of(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert names(tmp_path) == ["deep", "deep/file"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(tmp_path / "file", "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_file(tmp_path / "file", "new")
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text(encoding="utf-8") == "old"


def test_what_a_library_wrote_can_be_read_by_others(tmp_path: Path) -> None:
    write_file(tmp_path / "ours", "x")
    with new_file(tmp_path / "theirs") as unfinished:
        unfinished.write_text("x", encoding="utf-8")
        unfinished.chmod(0o600)
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours", "theirs")}
    assert modes == {stat.S_IMODE((tmp_path / "ours").stat().st_mode)}


def test_a_name_as_long_as_a_system_takes_can_be_written(tmp_path: Path) -> None:
    write_file(tmp_path / ("ü" * 127), "x")
    assert names(tmp_path) == ["ü" * 127]


def test_a_folder_replaces_the_one_before_at_its_end_or_not_at_all(tmp_path: Path) -> None:
    for text in ("first", "second"):
        with new_folder(tmp_path / "it") as folder:
            assert is_temporary(folder)
            (folder / text).write_text(text, encoding="utf-8")
            assert not (tmp_path / "it" / text).exists()
        assert names(tmp_path) == ["it", f"it/{text}"]
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "it") as folder:
        (folder / "third").write_text("half", encoding="utf-8")
        raise KeyboardInterrupt
    assert names(tmp_path) == ["it", "it/second"]


def test_a_link_to_a_folder_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    write_file(tmp_path / "elsewhere" / "file", "x")
    (tmp_path / "it").symlink_to(tmp_path / "elsewhere")
    with new_folder(tmp_path / "it") as folder:
        (folder / "new").write_text("x", encoding="utf-8")
    assert names(tmp_path) == ["elsewhere", "elsewhere/file", "it", "it/new"]


def test_sweeping_takes_what_is_unfinished_and_leaves_the_rest(tmp_path: Path) -> None:
    for name in (
        "kept",
        "store/part",
        f"store/{TEMPORARY}1-part",
        f"{TEMPORARY}2-deep/file",
        f"{TEMPORARY}3-file",
        "checkpoint",
        "litter/model.onnx.data",
        LOCK,
    ):
        write_file(tmp_path / name, "x")
    (tmp_path / f"{TEMPORARY}4-link").symlink_to(tmp_path / "kept")
    sweep(tmp_path)
    assert names(tmp_path) == [
        ".lock",
        "checkpoint",
        "kept",
        "litter",
        "litter/model.onnx.data",
        "store",
        "store/part",
    ]
    write_file(tmp_path / "store" / f"{TEMPORARY}1-part", "x")
    sweep(tmp_path, all_but=("checkpoint", "store", "absent"))
    assert names(tmp_path) == [".lock", "checkpoint", "store", "store/part"]
    sweep(tmp_path / "nowhere")


def test_a_lock_keeps_threads_out_and_says_once_that_somebody_waits(tmp_path: Path) -> None:
    told, inside, most = [], 0, 0
    count = threading.Lock()

    @contextmanager
    def waiting() -> Iterator[None]:
        told.append(threading.get_ident())
        yield

    def work() -> None:
        nonlocal inside, most
        for _ in range(5):
            with locked(tmp_path / "it", waiting):
                with count:
                    inside += 1
                    most = max(most, inside)
                with count:
                    inside -= 1

    with locked(tmp_path / "it"):
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        while len(told) < 4:
            pass
        assert (tmp_path / "it" / LOCK).is_file()
    for thread in threads:
        thread.join()
    assert most == 1
    assert names(tmp_path) == ["it"]


def test_a_killed_holder_lets_go_also_where_the_folder_was_removed(tmp_path: Path) -> None:
    holder = (
        "import sys; from pathlib import Path; from attar.workspace import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()\n"
    )
    folder = tmp_path / "it"
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"

        @contextmanager
        def waiting() -> Iterator[None]:
            process.send_signal(signal.SIGKILL)
            process.wait()
            yield

        with locked(folder, waiting):
            assert process.returncode == -signal.SIGKILL
            write_file(folder / "file", "x")
    assert names(tmp_path) == ["it", "it/file"]


def test_a_scratch_folder_is_gone_afterwards_whatever_happens(tmp_path: Path) -> None:
    with scratch(tmp_path / "run") as folder:
        write_file(folder / "deep" / "file", "x")
        assert folder.parent == tmp_path / "run" and folder.name.startswith(TEMPORARY)
    with pytest.raises(KeyboardInterrupt), scratch(tmp_path / "run") as folder:
        write_file(folder / "file", "x")
        raise KeyboardInterrupt
    assert names(tmp_path) == ["run"]


def test_a_scratch_folder_in_use_stays_and_what_a_killed_process_left_goes(tmp_path: Path) -> None:
    holder = (
        "import sys; from pathlib import Path; from attar.workspace import scratch\n"
        "with scratch(Path(sys.argv[1])) as folder: print(folder, flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        theirs = Path(process.stdout.readline().strip())
        sweep(tmp_path, deep=False)
        with scratch(tmp_path) as ours:
            assert theirs.is_dir() and ours != theirs
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert theirs.is_dir()
    with scratch(tmp_path) as ours:
        assert list(tmp_path.iterdir()) == [ours]
    theirs.mkdir()
    write_file(theirs / LOCK, "")
    sweep(tmp_path, deep=False)
    assert names(tmp_path) == []
