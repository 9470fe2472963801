"""How a recipe has its targets kept, and what the evidence then says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from attar.data.store import Targets
from attar.errors import BadInput
from attar.recipes.compress import compress
from attar.recipes.compress import label as label_recipe
from attar.recipes.plan import plan
from attar.recipes.read import from_document

Document = dict[str, Any]

pytestmark = pytest.mark.usefixtures("hurried", "undrawn")


def stored(document: Document, out: Path) -> Targets:
    return label_recipe(from_document(document), out)


def stages(out: Path) -> set[str]:
    return {folder.name for folder in (out / "nodes").glob("*")}


def test_targets_may_be_kept_in_one_byte(tiny: Document, tmp_path: Path) -> None:
    whole = stored(tiny, tmp_path / "run")
    before = stages(tmp_path / "run")
    tiny["transfer"] = {"dtype": "int8"}
    coarse = stored(tiny, tmp_path / "run")
    assert (whole.dtype, coarse.dtype) == ("float16", "int8")
    added = stages(tmp_path / "run") - before
    assert len(added) == 1 and added.pop().startswith("targets-"), "the teacher was found again"
    tiny["transfer"] = {"dtype": "float16"}
    stored(tiny, tmp_path / "run")
    assert len(stages(tmp_path / "run")) == len(before) + 1, "what is the default changes no key"


def test_a_student_of_other_codes_is_another(tiny: Document, tmp_path: Path) -> None:
    compress(from_document(tiny), tmp_path / "run")
    tiny["transfer"] = {"dtype": "int8", "top_k": 2}
    run = compress(from_document(tiny), tmp_path / "run")
    reused = {stage["name"]: stage["reused"] for stage in run.evidence["stages"]}
    assert not reused["targets"] and not reused["student/0"]
    assert reused["baseline/0"] and reused["teacher/0"]


def test_the_evidence_says_what_was_lost_at_the_temperature_of_the_objective(tiny: Document, tmp_path: Path) -> None:
    tiny["transfer"] = {"dtype": "int8"}
    run = compress(from_document(tiny), tmp_path / "run")
    said = run.evidence["targets"]
    store = Targets.open(next(run.folder.glob("nodes/targets-*")) / "store")
    found = store.fidelity(2.0)
    assert found is not None and (said["temperature"], said["dtype"]) == (2.0, "int8")
    assert (said["kl_mean"], said["kl_largest"]) == (found.kl_mean, found.kl_largest)
    assert (said["top_probability"], said["entropy"]) == (found.top_probability, found.entropy)
    assert 0 < said["kl_mean"] <= said["kl_largest"] < 1e-3 and 1 / 3 < said["top_probability"] < 1


@pytest.mark.parametrize("change", [{"cached": False}, {}], ids=["live", "learning"])
def test_dtype_needs_a_store(tiny: Document, change: Document) -> None:
    tiny["transfer"] = {"dtype": "int8", **change}
    if not change:
        tiny["teacher"]["learns"] = True
    with pytest.raises(BadInput, match=r"transfer\.dtype needs stored targets"):
        from_document(tiny)


def test_unknown_dtype_name_the_key(tiny: Document) -> None:
    tiny["transfer"] = {"dtype": "int4"}
    with pytest.raises(BadInput, match=r"transfer\.dtype.*int4"):
        from_document(tiny)


def test_the_bucket_is_a_setting_of_the_objective(tiny: Document, tmp_path: Path) -> None:
    tiny["transfer"] = {"top_k": 1}
    tiny["objective"]["soft"]["rest"] = "bucket"
    recipe = from_document(tiny)
    assert recipe.objective["soft"].loss.rest == "bucket"
    assert recipe.document()["objective"]["soft"]["rest"] == "bucket"
    tiny["objective"]["soft"]["rest"] = "bin"
    with pytest.raises(BadInput, match=r"objective\.soft"):
        from_document(tiny)


@pytest.mark.parametrize(
    ("transfer", "each"), [({}, 6), ({"dtype": "int8"}, 5), ({"top_k": 2}, 16), ({"top_k": 2, "dtype": "int8"}, 16)]
)
def test_the_plan_counts_the_bytes_of_each(tiny: Document, transfer: Document, each: int) -> None:
    tiny["transfer"] = transfer
    planned = plan(from_document(tiny))
    assert planned.labels and planned.targets_bytes == planned.labels * each
