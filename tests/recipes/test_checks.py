"""What is found out about a recipe before any training."""

from __future__ import annotations

from pathlib import Path

import pytest

from attar.errors import BadInput
from attar.recipes.checks import check_paths
from attar.recipes.read import read

RECIPE = """
name = "mine"
data.use = "mine.npz"
teacher.onnx = ["big.onnx"]
student.network.use = "attar.network.architectures:mlp"
student.network.arguments = { inputs = 2, classes = 2, hidden = [2] }
objective.soft.use = "soft_targets"
"""


@pytest.mark.parametrize(("key", "file"), [("data.use", "mine.npz"), ("teacher.onnx", "big.onnx")])
def test_a_file_beside_the_recipe_and_not_here_is_found(
    key: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "beside"
    folder.mkdir()
    (folder / "mine.toml").write_text(RECIPE, encoding="utf-8")
    (folder / file).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    recipe = read("beside/mine.toml")
    with pytest.raises(
        BadInput, match=rf"^{key} of the recipe: there is no file '{file}' in the working folder.*beside"
    ):
        check_paths(recipe)
    monkeypatch.chdir(folder)
    check_paths(read("mine.toml"))
