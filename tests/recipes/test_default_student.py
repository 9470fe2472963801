"""Recipes that name no network for their student: the data tell it, and the resolved recipe repeats it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from whole_runs import reused, run_of

from attar.errors import BadInput
from attar.recipes.completed import completed
from attar.recipes.data import data_of
from attar.recipes.plan import plan
from attar.recipes.read import from_document, read, with_budget
from attar.recipes.schema.network import NetworkSection
from attar.recipes.schema.recipe import Recipe
from attar.training.progress import silent

Document = dict[str, Any]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    drawn = np.random.default_rng(0)
    path = tmp_path / "images.npz"
    np.savez(path, x=drawn.random((60, 1, 8, 8), dtype="float32"), y=np.arange(60) % 3)
    return path


@pytest.fixture
def left_out(tiny: Document) -> Document:
    """A recipe without a word about its student."""
    del tiny["student"]
    return tiny


def finished(document: Document) -> Recipe:
    recipe = from_document(document)
    return completed(recipe, data_of(recipe, silent))[0]


@pytest.mark.parametrize(
    ("student", "hidden"),
    [
        (None, [64, 64]),
        ("tiny", [32]),
        ({"network": "medium"}, [256, 256]),
        ({"training": {"epochs": 3}}, [64, 64]),
    ],
)
def test_a_size_or_nothing_picks_a_network(student: Any, hidden: list[int], left_out: Document) -> None:
    if student is not None:
        left_out["student"] = student
    recipe = finished(left_out)
    assert isinstance(recipe.student.network, NetworkSection)
    assert recipe.network.use == "attar.network.architectures:mlp"
    assert recipe.network.arguments == {"inputs": 6, "classes": 3, "hidden": hidden}
    assert len(recipe.network.mean or []) == 6
    assert recipe.student.training.epochs == (3 if isinstance(student, dict) and "training" in student else 100)
    assert finished(recipe.document()) == recipe  # nothing is open any more


def test_other_keys_of_the_student_are_kept_and_go_to_its_steps(left_out: Document) -> None:
    weights = {"use": "uniform", "bits": 4}
    left_out["student"] = {
        "network": "tiny",
        "seeds": 2,
        "training": {"optimizer": "sgd", "learning_rate": 0.02},
        "steps": [
            {"use": "distill"},
            {"use": "quantize", "weights": weights},
            {"use": "distill", "training": {"epochs": 2}},
        ],
    }
    recipe = finished(left_out)
    assert recipe.student.seeds == 2
    first, last = recipe.all_training
    assert (first.optimizer, first.learning_rate, first.schedule, first.epochs) == ("sgd", 0.02, "one_cycle", 100)
    assert (last.optimizer, last.learning_rate, last.schedule, last.epochs) == ("sgd", 0.02, "one_cycle", 2)


def test_images_get_views_unless_the_recipe_has_its_own(left_out: Document, images: Path) -> None:
    left_out["data"]["use"] = str(images)
    left_out["teacher"]["network"]["arguments"]["inputs"] = 64
    found = finished(left_out)
    assert found.network.use.endswith(":convnet") and (found.transfer.views.count, found.transfer.views.shift) == (
        16,
        1,
    )
    assert not found.transfer.views.flip
    with_limits = with_budget(from_document(left_out), {"bytes": "50 kB"})
    assert completed(with_limits, data_of(with_limits, silent))[0].transfer.views == found.transfer.views
    for given in ({"count": 1}, {"count": 2, "noise": 0.1}):
        left_out["transfer"] = {"views": given}
        kept = finished(from_document(left_out).document()).transfer.views
        assert (
            kept.model_dump() == found.transfer.views.model_copy(update={"shift": 0, "noise": 0.0} | given).model_dump()
        )
    left_out["transfer"] = {"label_views": False}  # what is labelled once would not be what is seen
    assert finished(left_out).transfer.views.count == 1


def test_made_rows_count_as_examples(left_out: Document, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(90, 2))
    table = tmp_path / "table.csv"
    table.write_text("a,b,c\n" + "\n".join(f"{a:.3f},{b:.3f},{int(a > b)}" for a, b in rows), encoding="utf-8")
    left_out["data"] |= {"use": str(table), "target": "c"}
    left_out["teacher"] = {"library": {"families": ["tree"]}}
    many = finished(left_out | {"transfer": {"synthesis": {"rows": 300_000, "p": 0.5, "s": 1.0}}})
    assert many.network.use.endswith(":tabular") and many.network.arguments == {"hidden": [64, 64]}
    assert many.student.training.epochs < finished(left_out).student.training.epochs == 100


@pytest.mark.usefixtures("hurried")
def test_the_resolved_recipe_says_what_was_picked_and_repeats_it(left_out: Document, tmp_path: Path) -> None:
    left_out |= {"student": {"network": "tiny", "training": {"epochs": 2}}, "baseline": False}
    del left_out["objective"]
    first = run_of(left_out, tmp_path / "run")
    written = tomllib.loads((first.folder / "recipe.toml").read_text(encoding="utf-8"))
    assert written["student"]["network"]["arguments"]["hidden"] == [32]
    assert written["student"]["training"]["optimizer"] and written["objective"]
    log = (first.folder / "log.txt").read_text(encoding="utf-8")
    assert "student: tiny, the default for rows of numbers: mlp, hidden [32]; 2 epochs with" in log
    assert "A run with other settings" not in log
    again = run_of(written, tmp_path / "run")
    assert all(reused(again).values())
    assert again.evidence["recipe"] == first.evidence["recipe"]


def test_the_dry_run_says_what_would_be_picked(left_out: Document) -> None:
    found = plan(from_document(left_out))
    assert "student   small, the default for rows of numbers: mlp, hidden [64, 64]; 100 epochs with" in str(found)
    assert found.student_parameters == 6 * 64 + 64 + 64 * 64 + 64 + 64 * 3 + 3
    assert json.dumps(found.to_json())
    assert plan(from_document(left_out | {"student": finished(left_out).document()["student"]})).default_student == ""


@pytest.mark.parametrize(
    ("student", "said"),
    [
        ("smal", r"student must be one of 'tiny', 'small', 'medium', or a table; got 'smal'\. Did you mean 'small'\?"),
        ("large", r"student must be one of 'tiny', 'small', 'medium', or a table; got 'large'\."),
        ("mine:net", r"student must be .*; got 'mine:net'\. Write student\.network = \{ use = \"mine:net\" \}\."),
        ({"network": "huge"}, r"student\.network must be one of .*, or a table with use; got 'huge'\."),
        ({"network": "mine:net"}, r"student\.network must be .*; got 'mine:net'\. Write \{ use = \"mine:net\" \}\."),
        ({"network": 3}, r"student\.network must be a table; got 3\."),
        ({"network": {"use": "mine:net", "widht": 3}}, r"unknown key student\.network\.widht"),
        ({"network": {"use": "mine"}}, r"student\.network\.use must be written package\.module:function"),
        ({"network": {}}, r"key student\.network\.use is missing"),
        ({"network": "small", "training": {"epohcs": 3}}, r"student\.training: unknown key 'epohcs'"),
        ({"network": "small", "start": "teacher"}, r"student\.network must be the teacher's where student\.start"),
        (3, r"student must be a table; got 3\."),
    ],
)
def test_what_is_no_student_is_told(student: Any, said: str, tiny: Document) -> None:
    with pytest.raises(BadInput, match=said):
        from_document(tiny | {"student": student}, "mine.toml")


def test_data_without_a_default_say_so_before_anything_is_trained(left_out: Document, tmp_path: Path) -> None:
    np.savez(tmp_path / "cubes.npz", x=np.zeros((40, 1, 4, 4, 4), "float32"), y=np.arange(40) % 2)
    left_out["data"]["use"] = str(tmp_path / "cubes.npz")
    with pytest.raises(
        BadInput, match=r"no default student for inputs of shape \[1, 4, 4, 4\]\. Give student\.network"
    ):
        plan(from_document(left_out))


def test_three_lines_and_no_student_are_a_recipe(tmp_path: Path, blobs: Path, tiny: Document) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(tomli_w.dumps({"data": tiny["data"], "teacher": tiny["teacher"]}), encoding="utf-8")
    assert plan(read(file)).default_student.startswith("small")
    assert plan(read(file, ["student=tiny"])).default_student.startswith("tiny")
    assert plan(read(file, ["student.network=medium"])).default_student.startswith("medium")
