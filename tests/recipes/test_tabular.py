"""Recipes on tables: a library and a selection from it, made rows, raw rows into the deployed file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attar.errors import BadInput
from attar.recipes.compress import compress, label
from attar.recipes.plan import plan
from attar.recipes.read import from_document

Document = dict[str, Any]

pytestmark = pytest.mark.usefixtures("hurried", "undrawn")


def rows(count: int = 240) -> pd.DataFrame:
    """Numbers, integers with gaps, and names; the class follows from all three."""
    draws = np.random.default_rng(0)
    size = draws.normal(size=count)
    legs = draws.integers(2, 9, size=count)
    color = draws.choice(["red", "green", "blue"], size=count)
    heavy = size + 0.4 * legs + (color == "red") * 1.5 + draws.normal(scale=0.3, size=count) > 2.6
    table = pd.DataFrame(
        {"size": size, "legs": legs.astype(float), "color": color, "weight": np.where(heavy, "much", "little")}
    )
    table.loc[::17, "legs"] = np.nan
    return table


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "beetles.csv"
    rows().to_csv(path, index=False)
    return path


@pytest.fixture
def document(csv: Path) -> Document:
    return {
        "name": "beetles",
        "title": "A table of beetles",
        "data": {"use": str(csv), "target": "weight", "validation": 0.25},
        "teacher": {"library": {"families": ["tree", "logistic"], "bags": 3, "max_steps": 5}},
        "transfer": {"synthesis": {"rows": 400, "p": 0.5, "s": 2.0}},
        "student": {
            "network": {"use": "attar.network.architectures:tabular", "arguments": {"hidden": [8]}},
            "training": {"epochs": 3, "batch_size": 64, "optimizer": "adam", "learning_rate": 0.02},
            "choose_by": "rmse",
        },
        "objective": {"soft": {"use": "soft_targets", "temperature": 1.0}},
        "budget": {"quality_loss": "100%"},
        "artifacts": {"runtimes": ["onnxruntime"], "int8": False, "seconds": 0.01},
    }


def test_a_library_is_selected_from_and_imitated_and_the_file_takes_raw_rows(
    document: Document, tmp_path: Path
) -> None:
    run = compress(from_document(document), tmp_path / "run")
    models = {model["kind"]: model for model in run.evidence["models"]}
    assert set(models) == {"candidate", "teacher", "member", "baseline"}
    assert models["teacher"]["size_bytes"] > 0 and models["member"]["size_bytes"] > 0
    assert run.evidence["ratios"]["smaller"] == models["teacher"]["size_bytes"] / models["candidate"]["size_bytes"]
    assert run.evidence["ratios"]["faster_batch1"]["ratio"] > 0
    selection = run.evidence["selection"]
    assert selection["models"] > len(selection["chosen"]) >= 1
    assert sum(selection["chosen"].values()) == pytest.approx(1)
    assert run.evidence["synthesis"]["rows"] == 400
    assert "the teacher as it is" in str(run)

    table = rows(5).drop(columns="weight")
    artifact = run.artifact
    assert artifact.columns is not None and artifact.columns.names == ("size", "legs", "color")
    coded = artifact.columns.encode(table).astype("float32")
    assert np.isnan(coded).any()
    np.testing.assert_array_equal(artifact(table), artifact(coded))
    np.testing.assert_array_equal(artifact(table[["color", "legs", "size"]]), artifact(coded))
    assert set(artifact.predict(table)) <= {"little", "much"}
    # A name that was never seen is taken as it was in the test rows: for missing.
    np.testing.assert_array_equal(artifact(table.assign(color="purple")), artifact(table.assign(color=None)))


def test_the_errors_of_the_probabilities_say_what_the_models_say(document: Document, tmp_path: Path) -> None:
    run = compress(from_document(document | {"student": document["student"] | {"seeds": 2}}), tmp_path / "run")
    errors = run.evidence["seeds"]["rmse"]
    models = {model["kind"]: model["quality"]["rmse"] for model in run.evidence["models"]}
    assert errors["teacher"] == pytest.approx(models["teacher"])
    assert errors["member"] == pytest.approx(models["member"])
    assert len(errors["student"]) == len(errors["baseline"]) == 2
    assert any(models["candidate"] == pytest.approx(one, abs=1e-5) for one in errors["student"])
    assert any(models["baseline"] == pytest.approx(one, abs=1e-5) for one in errors["baseline"])
    single = run.evidence["against_single"]
    shipped = next(model for model in run.evidence["models"] if model["name"] == run.evidence["winner"])
    difference = shipped["quality"]["rmse"] ** 2 - models["member"] ** 2
    assert single["squared_error"]["difference"] == pytest.approx(difference, abs=1e-5)
    worse = single["squared_error"]["interval"][0] > 0 or single["accuracy"]["interval"][1] < 0
    assert worse == any("worse than the best single model" in warning for warning in run.evidence["warnings"])


def test_the_baseline_takes_as_many_steps_as_the_student(document: Document, tmp_path: Path) -> None:
    run = compress(from_document(document), tmp_path / "run")
    steps = {}
    for role in ("student", "baseline"):
        (done,) = (tmp_path / "run" / "nodes" / role).glob("0-*/node.json")
        steps[role] = json.loads(done.read_text())["result"]["facts"]["steps"]
    train = run.evidence["task"]["train"]
    assert steps["student"] == 3 * -(-(400 + train) // 64)
    assert abs(steps["baseline"] - steps["student"]) <= 3 * -(-train // 64)


def test_p_and_s_are_chosen_on_validation_where_they_are_left_out(document: Document, tmp_path: Path) -> None:
    document["transfer"]["synthesis"] = {"rows": 100}
    run = compress(from_document(document), tmp_path / "run")
    made = run.evidence["synthesis"]
    best = max(made["tried"], key=lambda one: one["score"])
    assert len(made["tried"]) > 3
    assert (made["p"], made["s"]) == (best["p"], best["s"])


def test_a_second_run_finds_all_done(document: Document, tmp_path: Path) -> None:
    first = compress(from_document(document), tmp_path / "run")
    second = compress(from_document(document), tmp_path / "run")
    assert all(stage["reused"] for stage in second.evidence["stages"] if stage["name"] != "data")
    assert first.evidence["models"] == second.evidence["models"]


@pytest.mark.parametrize("method", ["random", "nbe"])
def test_other_ways_of_making_rows(document: Document, tmp_path: Path, method: str) -> None:
    document["transfer"]["synthesis"] = {"rows": 150, "method": method, "original": False}
    if method == "nbe":
        document["transfer"]["synthesis"]["components"] = 3
    targets = label(from_document(document), tmp_path / "run")
    assert len(targets) == 150


def test_an_estimator_of_ones_own_is_imitated(
    document: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "my_estimator.py"
    module.write_text(
        "import pandas as pd\n"
        "from sklearn.ensemble import RandomForestClassifier\n"
        "from sklearn.compose import make_column_transformer\n"
        "from sklearn.impute import SimpleImputer\n"
        "from sklearn.pipeline import make_pipeline\n"
        "from sklearn.preprocessing import OneHotEncoder\n"
        f"TABLE = pd.read_csv({document['data']['use']!r})\n"
        "def model():\n"
        "    parts = (SimpleImputer(), ['size', 'legs']), (OneHotEncoder(handle_unknown='ignore'), ['color'])\n"
        "    forest = RandomForestClassifier(20, random_state=0)\n"
        "    whole = make_pipeline(make_column_transformer(*parts), forest)\n"
        "    return whole.fit(TABLE.drop(columns='weight'), TABLE['weight'])\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    document["teacher"] = {"estimator": "my_estimator:model"}
    run = compress(document, tmp_path / "run", allow=["my_estimator"])
    teacher = next(model for model in run.evidence["models"] if model["kind"] == "teacher")
    assert teacher["quality"]["accuracy"] > 0.9  # it has seen the test rows: this is about the plumbing
    assert run.evidence["selection"] is None and run.evidence["against_single"] is None


def test_a_plan_counts_without_training(document: Document, tmp_path: Path) -> None:
    said = plan(from_document(document), tmp_path / "run")
    assert said.labels == 400 + 144
    assert said.student_macs > 0
    assert not (tmp_path / "run").exists()


def test_what_is_for_tables_needs_one(tiny: Document, tmp_path: Path) -> None:
    tiny["transfer"] = {"synthesis": {"rows": 10}}
    with pytest.raises(BadInput, match=r"transfer\.synthesis .* left out where the data are no table"):
        compress(from_document(tiny), tmp_path / "run")
    del tiny["transfer"], tiny["teacher"]["network"], tiny["teacher"]["training"]
    tiny["teacher"]["library"] = {}
    with pytest.raises(BadInput, match=r"teacher\.library .* left out where the data are no table"):
        compress(from_document(tiny), tmp_path / "run")


def test_a_misspelt_target_is_named(document: Document, tmp_path: Path) -> None:
    document["data"]["target"] = "wieght"
    with pytest.raises(BadInput, match="weight"):
        compress(from_document(document), tmp_path / "run")
