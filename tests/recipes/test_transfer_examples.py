"""Runs on other examples than all of the training data: a share, few labels, inputs without any, a class less."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from whole_runs import Document, assert_same_weights, reused, run_of, weights_of

from attar.deployment.artifact import load
from attar.errors import BadInput, CorruptFile
from attar.recipes.data import data_of
from attar.recipes.read import from_document
from attar.recipes.transfer_examples import without_synthesis
from attar.tasks.labels import ABSENT
from attar.training.progress import silent

pytestmark = pytest.mark.usefixtures("hurried", "undrawn")


def test_a_class_that_the_transfer_set_lacks_is_shifted_on_validation(tiny: Document, tmp_path: Path) -> None:
    tiny["transfer"] = {"without": ["cat"]}
    tiny["student"] |= {"seeds": 2, "steps": [{"use": "distill"}, {"use": "correct"}]}
    run = run_of(tiny, tmp_path / "run")
    found = run.evidence["bias_correction"]
    assert found["classes"] == ["cat"] and len(found["students"]) == len(found["baselines"]) == 2
    assert run.evidence["seeds"]["student"] == found["student"]["after"]
    assert run.evidence["seeds"]["baseline"] == found["baseline"]["after"]
    for one in (*found["students"], *found["baselines"]):
        assert one["validation_after"] >= one["validation_before"]
    # Baselines never heard of the class: unshifted, one that trained for long finds none of its examples.
    assert min(found["baseline"]["absent_before"]) < 0.5
    assert run.evidence["examples"] and all(one["label"] != "cat" for one in run.evidence["examples"])
    assert load(run.folder / "artifact", allow=["attar"]).classes == ("ant", "bee", "cat")


def test_a_shift_needs_a_class_that_is_absent(tiny: Document, tmp_path: Path) -> None:
    tiny["student"]["steps"] = [{"use": "distill"}, {"use": "correct"}]
    with pytest.raises(BadInput, match="correct of the recipe is for classes that the transfer set lacks"):
        run_of(tiny, tmp_path / "run")


def test_a_shift_is_judged_as_the_recipe_chooses(tiny: Document, tmp_path: Path) -> None:
    tiny["transfer"] = {"without": ["cat"]}
    tiny["student"] |= {"seeds": 2, "choose_by": "log_loss", "steps": [{"use": "distill"}, {"use": "correct"}]}
    found = run_of(tiny, tmp_path / "run").evidence["bias_correction"]["students"]
    assert all(0 <= one["validation_before"] <= one["validation_after"] <= 1 for one in found)


def test_a_share_of_the_examples_is_another_transfer_set_for_student_and_baseline(
    tiny: Document, tmp_path: Path
) -> None:
    whole = run_of(tiny, tmp_path / "run")
    tiny["transfer"] = {"share": 0.5}
    half = run_of(tiny, tmp_path / "run")
    assert reused(half) | {"measure": False} == {
        "teacher/0": True, "targets": False, "student/0": False, "baseline/0": False, "measure": False,
    } | {name: False for name in reused(half) if name.startswith("artifacts/") and "teacher" not in name} | {
        name: True for name in reused(half) if name.startswith("artifacts/teacher")
    }  # fmt: skip
    assert half.evidence["targets"]["rows"] == round(whole.evidence["targets"]["rows"] / 2)


def test_few_labels_are_few_for_student_and_baseline_and_the_student_imitates_on_all(
    tiny: Document, tmp_path: Path
) -> None:
    tiny["transfer"] = {"labeled_share": 0.25}
    recipe = from_document(tiny)
    train = data_of(recipe, silent).train
    part = without_synthesis(recipe, data_of(recipe, silent))
    assert part.transfer is not None and part.labeled is not None and train.labels is not None
    assert torch.equal(part.transfer.ids, train.ids) and torch.equal(part.transfer.inputs, train.inputs)
    known = part.transfer.labels != ABSENT
    assert int(known.sum()) == len(part.labeled) == round(0.25 * len(train))
    assert set(part.transfer.ids[known].tolist()) == set(part.labeled.ids.tolist())
    assert torch.equal(part.transfer.labels[known], train.labels[known])
    whole = run_of({**tiny, "transfer": {}}, tmp_path / "run")
    few = run_of(tiny, tmp_path / "run")
    assert few.evidence["targets"]["rows"] == whole.evidence["targets"]["rows"]
    ends = [few.evidence["curves"][name][-1]["epoch"] for name in ("baseline/0", "student/0")]
    assert ends[0] >= 3 * ends[1], "as many steps for the one as for the other"


def test_inputs_without_labels_are_imitated_too(tiny: Document, blobs: Path, tmp_path: Path) -> None:
    with np.load(blobs) as arrays:
        np.savez(tmp_path / "more.npz", x=arrays["x"][:30] + 1)
    tiny["transfer"] = {"unlabeled": str(tmp_path / "more.npz")}
    run = run_of(tiny, tmp_path / "run")
    plain = run.evidence["task"]["train"]
    assert run.evidence["targets"]["rows"] == plain + 30
    np.savez(tmp_path / "more.npz", x=np.zeros((3, 2), np.float32))
    with pytest.raises(BadInput, match=r"transfer\.unlabeled .*\[n, 6\] float32.*\(3, 2\) float32"):
        run_of(tiny, tmp_path / "run")
    np.savez(tmp_path / "more.npz", y=np.zeros(3))
    with pytest.raises(CorruptFile, match="array x"):
        run_of(tiny, tmp_path / "run")
    tiny["transfer"] = {"unlabeled": str(tmp_path / "none.npz")}
    with pytest.raises(BadInput, match="there is no file"):
        run_of(tiny, tmp_path / "run")
    (tmp_path / "more.csv").write_text("a\n1\n")
    tiny["transfer"] = {"unlabeled": str(tmp_path / "more.csv")}
    with pytest.raises(BadInput, match=r"transfer\.unlabeled .*more\.csv'.* an empty cell"):
        run_of(tiny, tmp_path / "run")


def test_labels_of_the_unchanged_examples_are_warned_of(tiny: Document, tmp_path: Path) -> None:
    tiny["transfer"] = {"views": {"count": 3, "noise": 3.0}, "label_views": False}
    run = run_of(tiny, tmp_path / "stored")
    assert run.evidence["targets"]["views"] == 1
    assert any("see different views" in text and " nats" in text for text in run.evidence["warnings"])
    tiny["transfer"]["cached"] = False
    live = run_of(tiny, tmp_path / "live")
    assert_same_weights(weights_of(run, "student/0"), weights_of(live, "student/0"))
    tiny["transfer"] = {"views": {"count": 3, "noise": 3.0}}
    same = run_of(tiny, tmp_path / "same")
    assert not any("see different views" in text for text in same.evidence["warnings"])


@pytest.mark.parametrize("how", ["words", "npy", "empty", "truncated"])
def test_files_of_inputs_that_are_none_are_said(how: str, tiny: Document, blobs: Path, tmp_path: Path) -> None:
    path = tmp_path / "more.npz"
    if how == "words":
        np.savez(path, x=np.array(["a", "b"]))
    elif how == "npy":
        with path.open("wb") as file:
            np.save(file, np.zeros((3, 6), np.float32))
    else:
        path.write_bytes(b"" if how == "empty" else blobs.read_bytes()[:200])
    tiny["transfer"] = {"unlabeled": str(path)}
    with pytest.raises(BadInput, match=r"more\.npz|transfer\.unlabeled"):
        run_of(tiny, tmp_path / "run")
    assert not list((tmp_path / "run").glob("nodes/*"))
