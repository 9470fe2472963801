"""``attar study`` as its user types it."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomli_w

from attar.cli.main import run


def test_without_a_name_the_studies_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["study"]) == 0
    assert "papers/model-compression-2006  Model Compression" in capsys.readouterr().out


def test_a_misspelt_study_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["study", "papers/model-compresion-2006"]) == 2
    assert "papers/model-compression-2006" in capsys.readouterr().err


@pytest.fixture
def small(tiny_file: Path, tmp_path: Path) -> Path:
    asked = {
        "name": "small",
        "title": "A small study",
        "paper": {"citation": "Nobody, 2000"},
        "runs": [{"name": "first", "recipe": str(tiny_file)}, {"name": "second", "recipe": str(tiny_file)}],
        "tables": [
            {
                "title": "Errors",
                "columns": [{"key": "mimic", "title": "Mimic", "path": "seeds.rmse.student", "unit": "rmse"}],
            }
        ],
    }
    file = tmp_path / "small.toml"
    file.write_text(tomli_w.dumps(asked), encoding="utf-8")
    return file


@pytest.mark.usefixtures("hurried")
def test_a_study_leaves_a_page_and_says_what_came_out(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(["study", str(small), "--only", "second", "--out", str(out), "--set", "student.training.epochs=2"]) == 0
    said = capsys.readouterr().out
    assert "second: " in said and "torch fp32: " in said and "first:" not in said
    assert (out / "study.html").is_file() and (out / "runs" / "second" / "report.html").is_file()


def test_a_dry_run_plans_every_run_and_writes_nothing(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(["study", str(small), "--dry-run", "--out", str(out), "--set", "student.training.epochs=2"]) == 0
    said = capsys.readouterr().out
    assert said.count("nothing was trained or written") == 2 and "\nno sweeps besides" in said
    assert all(str(out / "runs" / name) in said for name in ("first", "second"))
    assert not out.exists()
