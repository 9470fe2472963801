"""A study: its runs and sweeps are really done, and the paper's figures stand beside ours."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import tomli_w
from pydantic import ValidationError

from attar.errors import BadInput, CorruptFile
from attar.recipes.read import read
from attar.recipes.schema.study import Study
from attar.recipes.shipped import shipped, studies
from attar.recipes.study import read_study, study
from attar.recipes.study_tables import tables_of
from attar.tasks.known import TASKS
from attar.training import fit as training
from attar.training.results import Fitted

Document = dict[str, Any]

pytestmark = pytest.mark.usefixtures("hurried")


@pytest.fixture
def asked(tiny: Document, tmp_path: Path) -> Document:
    tiny["student"]["seeds"] = 2
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(tomli_w.dumps(tiny), encoding="utf-8")
    return {
        "name": "small",
        "title": "A small study",
        "paper": {"citation": "Nobody, Nothing, 2000"},
        "remarks": ["Made up."],
        "runs": [
            {"name": "as-it-is", "recipe": str(recipe), "paper": {"student": 0.2}},
            {"name": "hotter", "recipe": str(recipe), "changes": ["objective.soft.temperature=8"]},
        ],
        "tables": [
            {
                "title": "Errors",
                "columns": [
                    {
                        "key": "student",
                        "title": "Student",
                        "path": "seeds.rmse.student",
                        "unit": "rmse",
                        "better": "lower",
                    },
                    {"key": "teacher", "title": "Teacher", "path": "seeds.rmse.teacher", "unit": "rmse"},
                    {"key": "nothing", "title": "Nothing", "path": "seeds.none.such"},
                ],
            },
            {
                "title": "Of one run",
                "caption": "The second one.",
                "runs": ["hotter"],
                "columns": [
                    {"key": "right", "title": "Accuracy", "path": "seeds.student"},
                    {"key": "second", "title": "Of the second seed", "path": "seeds.student.1"},
                    {"key": "third", "title": "Of the third seed", "path": "seeds.student.2"},
                ],
            },
        ],
        "sweeps": [
            {
                "title": "By weight",
                "recipe": str(recipe),
                "measure": "accuracy",
                "x_title": "weight",
                "levels": {"teacher": "seeds.teacher"},
                "series": [
                    {"name": "soft", "inherit": {"objective.soft.temperature": "temperature"}},
                ],
                "points": [
                    {"x": 0.1, "changes": ["objective.soft.weight=0.1"]},
                    {"x": 0.5, "changes": ["objective.soft.weight=0.5"]},
                ],
            }
        ],
    }


def test_runs_and_sweeps_are_done_and_drawn(asked: Document, tmp_path: Path) -> None:
    done = study(Study.model_validate(asked), tmp_path / "out")
    assert json.loads((tmp_path / "out" / "study.json").read_text())["name"] == "small"
    page = done.page.read_text(encoding="utf-8")
    assert "Nobody, Nothing, 2000" in page and "A small study" in page
    table, other = done.document["tables"]
    assert [row["name"] for row in other["rows"]] == ["hotter"] and other["caption"] == "The second one."
    cells = other["rows"][0]["cells"]
    hotter = json.loads((tmp_path / "out" / "runs" / "hotter" / "evidence.json").read_text())
    assert cells["second"]["mean"] == hotter["seeds"]["student"][1] and cells["third"]["mean"] is None
    assert [row["name"] for row in table["rows"]] == ["as-it-is", "hotter"]
    ours = table["rows"][0]["cells"]
    evidence = json.loads((tmp_path / "out" / "runs" / "as-it-is" / "evidence.json").read_text())
    errors = evidence["seeds"]["rmse"]
    assert ours["student"]["mean"] == pytest.approx(sum(errors["student"]) / 2)
    assert (ours["student"]["n"], ours["student"]["paper"]) == (2, 0.2)
    assert ours["teacher"]["mean"] == pytest.approx(errors["teacher"])
    assert ours["nothing"]["mean"] is None
    assert [(tmp_path / "out" / run["report"]).is_file() for run in done.document["runs"]] == [True, True]
    (chart,) = done.document["charts"]
    points = chart["series"][0]["points"]
    assert chart["y"] == {"title": "accuracy", "unit": "accuracy"}
    # The point whose settings are the run's own is the run's own students, scored the same way.
    assert points[1]["y"] == pytest.approx(sum(evidence["seeds"]["student"]) / 2)
    assert chart["levels"] == [{"name": "teacher", "y": pytest.approx(evidence["seeds"]["teacher"])}]


def test_a_sweep_is_by_any_metric_of_the_task(asked: Document, tmp_path: Path) -> None:
    asked["runs"], asked["tables"] = asked["runs"][:1], asked["tables"][:1]
    asked["sweeps"][0] |= {"measure": "log_loss", "levels": {}}
    done = study(Study.model_validate(asked), tmp_path / "out")
    (chart,) = done.document["charts"]
    assert chart["y"] == {"title": "log loss", "unit": "nats"}
    assert all(0 < point["y"] < 2 for point in chart["series"][0]["points"])


def test_a_metric_that_there_is_not_is_told(asked: Document, tmp_path: Path) -> None:
    asked["sweeps"][0]["measure"] = "acuracy"
    with pytest.raises(ValidationError, match=r"must be a metric of the task\. Did you mean 'accuracy'"):
        Study.model_validate(asked)
    asked["runs"] = asked["runs"][:1]
    asked["tables"] = asked["tables"][:1]
    asked["sweeps"][0]["measure"] = "mae"
    with pytest.raises(BadInput, match=r"measure of sweep 'By weight' must be a metric of the task, .* got 'mae'"):
        study(Study.model_validate(asked), tmp_path / "out")


def test_every_metric_of_every_task_is_a_figure_of_its_quality() -> None:
    for task in TASKS.values():
        quality = get_type_hints(task.quality)["return"]
        metrics = (
            task((1, 2)).metrics if isinstance(task.metrics, property) else task.metrics
        )  # of gaze, of its own labels
        assert set(metrics) <= {one.name for one in fields(quality)}, task


def test_a_teacher_that_two_runs_have_is_trained_once(
    asked: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    fit = training.fit

    def noted(*given: Any, **settings: Any) -> Fitted:
        trained.append(settings["title"])
        return fit(*given, **settings)

    monkeypatch.setattr("attar.training.fit.fit", noted)
    asked["sweeps"] = []
    done = study(Study.model_validate(asked), tmp_path / "out")
    assert sorted(trained) == [
        "baseline/0",
        "baseline/1",
        "student/0",
        "student/0",
        "student/1",
        "student/1",
        "teacher/0",
    ]
    assert done.document["runs"][1]["name"] == "hotter"
    other = next((tmp_path / "out" / "runs" / "hotter" / "nodes" / "teacher").iterdir())
    next(other.glob("*.safetensors")).write_bytes(b"spoiled")
    with pytest.raises(CorruptFile, match="not what was written"):
        study(Study.model_validate(asked), tmp_path / "out")


def test_a_sweep_leaves_the_run_that_it_visits_as_it_was(asked: Document, tmp_path: Path) -> None:
    study(Study.model_validate(asked), tmp_path / "out")
    folder = tmp_path / "out" / "runs" / "as-it-is"
    assert read(folder / "recipe.toml").objective["soft"].weight == 0.5
    members = list((folder / "nodes" / "teacher").iterdir())
    assert len(members) == 1, "the sweep uses the run's teacher"


def test_a_study_goes_on_where_it_stopped(asked: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = study(Study.model_validate(asked), tmp_path / "out")
    monkeypatch.setattr("attar.training.fit.fit", lambda *_, **__: pytest.fail("trained again"))
    second = study(Study.model_validate(asked), tmp_path / "out")
    assert first.document["tables"] == second.document["tables"]
    assert first.document["charts"] == second.document["charts"]


def test_only_some_runs(asked: Document, tmp_path: Path) -> None:
    asked["sweeps"] = []
    done = study(Study.model_validate(asked), tmp_path / "out", only=["hotter"], changes=["student.seeds=1"])
    assert [run["name"] for run in done.document["runs"]] == ["hotter"]
    assert any("student.seeds=1" in remark for remark in done.document["remarks"])
    with pytest.raises(BadInput, match="hotter"):
        study(Study.model_validate(asked), tmp_path / "out", only=["hoter"])


def test_a_mistake_in_a_sweep_shows_before_anything_is_trained(asked: Document, tmp_path: Path) -> None:
    asked["sweeps"][0]["points"][1]["changes"] = ["objective.soft.wieght=1"]
    with pytest.raises(BadInput, match="weight"):
        study(Study.model_validate(asked), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", sorted(studies()))
def test_a_shipped_study_names_recipes_that_ship_and_settings_that_exist(name: str) -> None:
    found = read_study(name)
    assert found.name == name
    assert {run.recipe for run in found.runs} <= set(shipped())
    for run in found.runs:
        read(run.recipe, run.changes)
    for sweep in found.sweeps:
        assert sweep.recipe in {run.recipe for run in found.runs}
        for series in sweep.series:
            for point in sweep.points:
                read(sweep.recipe, [*sweep.changes, *series.changes, *point.changes])


def test_tables_and_papers_name_what_there_is(asked: Document) -> None:
    asked["tables"][1]["runs"] = ["hoter"]
    with pytest.raises(ValueError, match="Did you mean 'hotter'"):
        Study.model_validate(asked)
    asked["tables"][1]["runs"] = []
    asked["runs"][0]["paper"] = {"studnet": 1.0}
    with pytest.raises(ValueError, match="Did you mean 'student'"):
        Study.model_validate(asked)


def test_a_column_can_say_how_much_of_a_way_was_made(asked: Document, tmp_path: Path) -> None:
    runs = tmp_path / "runs.json"
    columns = [
        {"key": "own", "title": "Own", "path": "student", "way": ["baseline", "teacher"]},
        {"key": "other", "title": "Other", "path": "student", "way": ["baseline", "float:baseline"]},
        {"key": "back", "title": "Back", "path": "student", "way": ["baseline", "low:baseline"]},
        {"key": "none", "title": "None", "path": "student", "way": ["baseline", "absent"]},
        {"key": "uneven", "title": "Uneven", "path": "student", "way": ["three", "teacher"]},
    ]
    asked["runs"] = [{"name": name, "recipe": str(runs)} for name in ("low", "float")]
    asked["tables"] = [{"title": "Ways", "runs": ["low"], "columns": columns}]
    evidences = {
        "low": {"student": [0.85, 0.87], "baseline": [0.80, 0.82], "three": [0.80, 0.81, 0.82], "teacher": 0.91},
        "float": {"baseline": [0.88, 0.84]},
    }
    (table,) = tables_of(Study.model_validate(asked), Study.model_validate(asked).runs, evidences)
    cells = {key: cell["mean"] for key, cell in table["rows"][0]["cells"].items()}
    # .05 of .10 to the teacher, .05 of .05 to the other run's baseline; a way of no length has no share.
    assert cells == {
        "own": pytest.approx(0.5),
        "other": pytest.approx(1.0),
        "back": None,
        "none": None,
        "uneven": pytest.approx(0.5),
    }
    columns[1]["way"] = ["baseline", "flota:baseline"]
    with pytest.raises(ValueError, match="Did you mean 'float'"):
        Study.model_validate(asked)


def test_what_is_wrong_with_a_study_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="papers/model-compression-2006"):
        read_study("papers/model-compresion-2006")
    path = tmp_path / "study.toml"
    path.write_text("name = 'x'\nruns = []\n", encoding="utf-8")
    with pytest.raises(BadInput, match=r"study\.toml: key title is missing\. Add it\.$"):
        read_study(path)
    path.write_text("name = 'x'\ntitle = 'X'\ntables = []\nrun = []\n", encoding="utf-8")
    with pytest.raises(BadInput, match=r"study\.toml: (key runs is missing|unknown key run\. Did you mean 'runs'\?)"):
        read_study(path)
    path.write_text("name = 'x'\ntitle = 3\nruns = []\ntables = []\n", encoding="utf-8")
    with pytest.raises(BadInput, match=r"study\.toml: title must be a text; got 3"):
        read_study(path)
    path.write_text("name = ", encoding="utf-8")
    with pytest.raises(BadInput, match="must be a TOML file"):
        read_study(path)


@pytest.mark.parametrize("change", ["teacher.learns=true"])
def test_a_sweep_has_frozen_teachers_and_students_as_they_were_trained(
    asked: Document, tmp_path: Path, change: str
) -> None:
    asked["sweeps"][0]["changes"] = [change]
    with pytest.raises(BadInput, match=f"{change.partition('=')[0]} of sweep"):
        study(Study.model_validate(asked), tmp_path / "out")
