"""What docs/own-data.md says of large tables and of data sets of others, done as it says."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from attar.data.datasets import load

PAGE = (Path(__file__).parents[2] / "docs" / "own-data.md").read_text(encoding="utf-8")


def blocks(section: str, language: str) -> list[str]:
    """The code below a heading."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    assert text, section
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_a_folder_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (recipe,) = blocks("Large tables", "toml")
    asked = tomllib.loads(recipe)["data"]
    folder = Path(asked["use"])
    folder.mkdir()
    for year in range(2):
        paid = [row % 2 for row in range(30)]
        rows = pa.table({"order_id": [f"{year}-{row}" for row in range(30)], "amount": np.arange(30.0), "paid": paid})
        pyarrow.parquet.write_table(rows, folder / f"{year}.parquet")
    dataset = load(asked.pop("use"), **asked)
    assert dataset.columns is not None and dataset.columns.names == ("amount",)
    assert sum(map(len, dataset.splits().values())) == 60


def test_a_data_set_of_pytorch(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("Data sets of PyTorch and Hugging Face", "python")
    exec(compile(code, "own-data.md", "exec"), {})
    assert "train 180, validation 20, test 100; inputs 1 x 8 x 8; 3 classes" in capsys.readouterr().out


def test_a_folder_of_hugging_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (recipe,) = blocks("Data sets of PyTorch and Hugging Face", "toml")
    asked = tomllib.loads(recipe)["data"]
    folder = Path(asked["use"])
    folder.mkdir()
    table = pa.table({"input_ids": [[1, 2], [3]] * 20, "label": [0, 1] * 20})
    with pa.ipc.new_stream(folder / "data-00000-of-00001.arrow", table.schema) as writer:
        writer.write_table(table)
    label = {"names": ["bad", "good"], "_type": "ClassLabel"}
    (folder / "dataset_info.json").write_text(json.dumps({"features": {"label": label}}), encoding="utf-8")
    state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}
    (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
    dataset = load(asked.pop("use"), **asked)
    assert dataset.tokens is not None and dataset.classes == ("bad", "good")
