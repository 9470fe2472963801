"""Stages are done once, finished whole or not at all, and the folder is one recipe's and one process's."""

from __future__ import annotations

import copy
import errno
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from attar.errors import BadInput, CorruptFile
from attar.recipes.folder import RunFolder, Stage, unwritable, write_whole
from attar.recipes.read import from_document
from attar.recipes.schema.recipe import Recipe
from attar.records import to_text

Document = dict[str, Any]


@pytest.fixture
def recipe(tiny: Document) -> Recipe:
    return from_document(tiny)


class Work:
    """Work that writes a file and counts how often it was done."""

    def __init__(self, text: str = "result") -> None:
        self.text, self.times = text, 0

    def __call__(self, folder: Path) -> Mapping[str, Any]:
        self.times += 1
        (folder / "result.txt").write_text(self.text, encoding="utf-8")
        return {"length": len(self.text)}


@contextmanager
def opened(path: Path, recipe: Recipe) -> Iterator[RunFolder]:
    folder = RunFolder(path)
    with folder.opened(recipe):
        yield folder


def test_a_stage_is_done_once(tmp_path: Path, recipe: Recipe) -> None:
    work = Work()
    with opened(tmp_path / "run", recipe) as folder:
        first = folder.stage("student/0", {"seed": 0}, work)
    with opened(tmp_path / "run", recipe) as folder:
        second = folder.stage("student/0", {"seed": 0}, work)
        assert folder.stages == [second]
    assert work.times == 1
    assert (first.reused, second.reused) == (False, True)
    assert first.said == second.said == {"length": 6}
    assert first.folder == second.folder
    assert (second.folder / "result.txt").read_text(encoding="utf-8") == "result"
    assert second.seconds == first.seconds  # of the work, not of finding it


def test_other_settings_are_another_stage_and_the_old_one_stays(tmp_path: Path, recipe: Recipe) -> None:
    work = Work()
    with opened(tmp_path / "run", recipe) as folder:
        stages = [
            folder.stage(name, depends, work)
            for name, depends in (("a", {"x": 1}), ("a", {"x": 2}), ("b", {"x": 1}), ("a", {"x": 1}))
        ]
    assert work.times == 3
    assert [stage.reused for stage in stages] == [False, False, False, True]
    assert len({stage.folder for stage in stages}) == 3


def test_the_order_of_what_a_stage_depends_on_is_no_matter(tmp_path: Path, recipe: Recipe) -> None:
    work = Work()
    with opened(tmp_path / "run", recipe) as folder:
        folder.stage("a", {"x": 1, "y": 2}, work)
        assert folder.stage("a", {"y": 2, "x": 1}, work).reused


def test_a_killed_stage_finds_what_it_left_and_is_not_taken_for_done(tmp_path: Path, recipe: Recipe) -> None:
    seen = []

    def killed(folder: Path) -> Mapping[str, Any]:
        (folder / "checkpoint").write_text("half", encoding="utf-8")
        raise KeyboardInterrupt

    def resumed(folder: Path) -> Mapping[str, Any]:
        seen.append((folder / "checkpoint").read_text(encoding="utf-8"))
        return {}

    with pytest.raises(KeyboardInterrupt), opened(tmp_path / "run", recipe) as folder:
        folder.stage("a", {}, killed)
    with opened(tmp_path / "run", recipe) as folder:
        stage = folder.stage("a", {}, resumed)
    assert seen == ["half"]
    assert not stage.reused


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"said": {}, "seconds": 1}', '{"said": {}, "files": {}}', '{"files": 3}'],
)
def test_a_record_that_is_none_is_told_with_the_folder_to_delete(tmp_path: Path, recipe: Recipe, content: str) -> None:
    with opened(tmp_path / "run", recipe) as folder:
        stage = folder.stage("a", {}, Work())
        (stage.folder / "done.json").write_text(content, encoding="utf-8")
        with pytest.raises(CorruptFile, match=f"Delete the folder {stage.folder}"):
            folder.stage("a", {}, Work())


@pytest.mark.parametrize("said", [None, 3, "text"])
def test_a_record_whose_words_are_no_table_is_told(tmp_path: Path, recipe: Recipe, said: object) -> None:
    with opened(tmp_path / "run", recipe) as folder:
        stage = folder.stage("a", {}, Work())
        record = {"said": said, "seconds": 1.0, "files": {}}
        (stage.folder / "done.json").write_text(to_text(record), encoding="utf-8")
        with pytest.raises(CorruptFile, match="is not the record of a stage"):
            folder.stage("a", {}, Work())


def test_a_record_that_was_altered_is_told(tmp_path: Path, recipe: Recipe) -> None:
    with opened(tmp_path / "run", recipe) as folder:
        done = folder.stage("a", {}, Work()).folder / "done.json"
        done.write_text(done.read_text().replace('"seconds": ', '"seconds": 9'), encoding="utf-8")
        with pytest.raises(CorruptFile, match=r"done\.json is not what was written: its 'checksum' differs"):
            folder.stage("a", {}, Work())


def test_a_missing_or_cut_file_is_told_and_deleting_the_folder_mends_it(tmp_path: Path, recipe: Recipe) -> None:
    work = Work()
    with opened(tmp_path / "run", recipe) as folder:
        stage = folder.stage("a", {}, work)
        (stage.folder / "result.txt").write_text("resul", encoding="utf-8")
        with pytest.raises(CorruptFile, match=r"result\.txt is missing or not what was written"):
            folder.stage("a", {}, work)
        (stage.folder / "result.txt").unlink()
        with pytest.raises(CorruptFile, match="is missing"):
            folder.stage("a", {}, work)
        (stage.folder / "done.json").unlink()
        stage.folder.rmdir()
        assert not folder.stage("a", {}, work).reused
    assert work.times == 2


def test_a_second_process_is_kept_out_and_gets_in_afterwards(tmp_path: Path, recipe: Recipe) -> None:
    holder = (
        "import fcntl, sys\n"
        "lock = open(sys.argv[1], 'w')\n"
        "fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    run = tmp_path / "run"
    with opened(run, recipe):
        pass
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(run / ".lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(BadInput, match="is in use by another run"), opened(run, recipe):
            pass
        process.kill()  # the kernel lets go of the lock however the process ends
        process.wait()
    with opened(run, recipe):
        pass


def test_a_locked_folder_keeps_the_recipe_of_who_holds_it(tmp_path: Path, tiny: Document) -> None:
    """The second one may have other settings; what is written must be those of the first."""
    first, second = copy.deepcopy(tiny), copy.deepcopy(tiny)
    second["seed"] = 7
    with opened(tmp_path / "run", from_document(first)):
        held = (tmp_path / "run" / "recipe.toml").read_text(encoding="utf-8")
        with (
            pytest.raises(BadInput, match="is in use by another run"),
            opened(tmp_path / "run", from_document(second)),
        ):
            pass
        assert (tmp_path / "run" / "recipe.toml").read_text(encoding="utf-8") == held


def test_another_recipes_folder_is_refused_and_other_settings_are_not(tmp_path: Path, tiny: Document) -> None:
    with opened(tmp_path / "run", from_document(tiny)):
        pass
    with opened(tmp_path / "run", from_document({**tiny, "seed": 5})):
        assert "seed = 5" in (tmp_path / "run" / "recipe.toml").read_text(encoding="utf-8")
    other = from_document({**tiny, "name": "other"})
    with pytest.raises(BadInput, match="must be a folder of recipe 'other'"), opened(tmp_path / "run", other):
        pass
    assert "seed = 5" in (tmp_path / "run" / "recipe.toml").read_text(encoding="utf-8")


def test_foreign_folders_and_files_are_not_touched(tmp_path: Path, recipe: Recipe) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x", encoding="utf-8")
    (tmp_path / "file").write_text("x", encoding="utf-8")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "recipe.toml").write_text("= nothing", encoding="utf-8")
    for name, said in (
        ("mine", "a new or empty folder"),
        ("file", "must be a folder"),
        ("broken", "is not a TOML file"),
    ):
        with pytest.raises(BadInput, match=said), opened(tmp_path / name, recipe):
            pass
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["broken", "file", "mine", "recipe.toml", "thesis.tex"]


def test_an_empty_folder_is_taken(tmp_path: Path, recipe: Recipe) -> None:
    (tmp_path / "run").mkdir()
    with opened(tmp_path / "run", recipe):
        assert (tmp_path / "run" / "recipe.toml").is_file()


def test_a_run_that_stopped_before_its_recipe_was_written_does_not_block_the_next(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(BadInput, match="No space left on device"), opened(tmp_path / "run", recipe):
            pass
    assert not (tmp_path / "run" / "recipe.toml").exists()
    with opened(tmp_path / "run", recipe):
        assert (tmp_path / "run" / "recipe.toml").is_file()


def test_a_full_disk_inside_a_stage_is_told_and_the_stage_is_not_done(tmp_path: Path, recipe: Recipe) -> None:
    def full(_: Path) -> Mapping[str, Any]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(BadInput, match=r"No space left on device\. Free space"), opened(tmp_path, recipe) as folder:
        folder.stage("a", {}, full)
    with opened(tmp_path, recipe) as folder:
        assert not folder.stage("a", {}, Work()).reused


def test_other_system_errors_keep_their_own_words(tmp_path: Path, recipe: Recipe) -> None:
    def gone(_: Path) -> Mapping[str, Any]:
        raise FileNotFoundError(errno.ENOENT, "gone", "somewhere")

    with pytest.raises(FileNotFoundError), opened(tmp_path, recipe) as folder:
        folder.stage("a", {}, gone)


def test_write_whole_leaves_the_old_file_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.json"
    write_whole(path, "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            write_whole(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    write_whole(path, "new")
    assert path.read_text(encoding="utf-8") == "new"


def test_unwritable_names_place_and_reason() -> None:
    said = str(unwritable(Path("/x"), OSError(errno.EROFS, "Read-only file system")))
    assert said.startswith("/x must be a folder that can be written; Read-only file system.")


def test_what_is_recorded_is_json(tmp_path: Path, recipe: Recipe) -> None:
    with opened(tmp_path / "run", recipe) as folder:
        stage: Stage = folder.stage("a/b", {"x": [1, 2]}, Work())
    record = json.loads((stage.folder / "done.json").read_text(encoding="utf-8"))
    assert record["depends"] == {"x": [1, 2]}
    digest = hashlib.sha256((stage.folder / "result.txt").read_bytes()).hexdigest()
    assert record["files"] == {"result.txt": [6, digest]}


def test_a_flipped_bit_is_told(tmp_path: Path, recipe: Recipe) -> None:
    work = Work()
    with opened(tmp_path / "run", recipe) as folder:
        stage = folder.stage("a", {}, work)
        (stage.folder / "result.txt").write_text("resulu", encoding="utf-8")
        with pytest.raises(CorruptFile, match=r"result\.txt is missing or not what was written"):
            folder.stage("a", {}, work)
