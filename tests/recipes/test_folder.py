"""The folder of a run is one recipe's, is written by one process at a time, and forgets nothing in a crash."""

from __future__ import annotations

import copy
import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from attar.errors import BadInput
from attar.pipeline.nodes import Nodes
from attar.recipes.folder import opened, still_says, unwritable, writing
from attar.recipes.read import from_document
from attar.recipes.schema.recipe import Recipe
from attar.workspace import LOCK, TEMPORARY, write_file

Document = dict[str, Any]


@pytest.fixture
def recipe(tiny: Document) -> Recipe:
    return from_document(tiny)


def full(_: object) -> Mapping[str, Any]:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_the_folder_says_what_the_last_one_to_open_it_asked_for(tmp_path: Path, tiny: Document) -> None:
    first, second = from_document(copy.deepcopy(tiny)), from_document({**copy.deepcopy(tiny), "seed": 7})
    with opened(tmp_path / "run", first):
        assert still_says(tmp_path / "run", first)
        with opened(tmp_path / "run", second):
            assert still_says(tmp_path / "run", second)
            assert not still_says(tmp_path / "run", first)
        with opened(tmp_path / "run", first, write_recipe=False):
            assert still_says(tmp_path / "run", second)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["recipe.toml"]


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
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(BadInput, match="No space left on device"), opened(tmp_path / "run", recipe):
            pass
    assert not (tmp_path / "run" / "recipe.toml").exists()
    for name in (LOCK, f"{TEMPORARY}1-recipe.toml"):  # as a kill leaves it
        (tmp_path / "run" / name).write_text("", encoding="utf-8")
    with opened(tmp_path / "run", recipe):
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["recipe.toml"]


def test_a_full_disk_inside_a_step_is_told_and_the_step_is_not_done(tmp_path: Path, recipe: Recipe) -> None:
    with pytest.raises(BadInput, match=r"No space left on device\. Free space"), opened(tmp_path, recipe):
        Nodes(tmp_path).node("a", {}, full)
    with opened(tmp_path, recipe):
        assert not Nodes(tmp_path).node("a", {}, lambda _: {}).reused


def test_other_system_errors_keep_their_own_words(tmp_path: Path, recipe: Recipe) -> None:
    def gone(_: Path) -> Mapping[str, Any]:
        raise FileNotFoundError(errno.ENOENT, "gone", "somewhere")

    with pytest.raises(FileNotFoundError), opened(tmp_path, recipe):
        Nodes(tmp_path).node("a", {}, gone)


def test_writing_leaves_nodes_alone_that_others_are_making(tmp_path: Path) -> None:
    theirs = tmp_path / "nodes" / "a" / f"{TEMPORARY}1-model.onnx"
    for path in (theirs, tmp_path / f"{TEMPORARY}2-report.html"):
        write_file(path, "half")
    with writing(tmp_path):
        assert theirs.is_file()
        assert sorted(path.name for path in tmp_path.iterdir()) == [LOCK, "nodes"]


def test_unwritable_names_place_and_reason() -> None:
    said = str(unwritable(Path("/x"), OSError(errno.EROFS, "Read-only file system")))
    assert said.startswith("/x must be a folder that can be written; Read-only file system.")
