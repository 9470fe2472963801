"""What is found out about a recipe before any training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from attar.errors import BadInput
from attar.recipes.checks import check_budget, check_paths
from attar.recipes.compress import compress
from attar.recipes.plan import plan
from attar.recipes.read import from_document, read, with_budget

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
    for name in ("mine.npz", "big.onnx"):
        (folder / name if name == file else tmp_path / name).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    recipe = read("beside/mine.toml")
    with pytest.raises(
        BadInput, match=rf"^{key} of the recipe: there is no file '{file}' in the working folder.*beside"
    ):
        check_paths(recipe)
    monkeypatch.chdir(folder)
    for name in ("mine.npz", "big.onnx"):
        (folder / name).write_bytes(b"")
    check_paths(read("mine.toml"))


LIBRARY, ESTIMATOR = {"library": {}}, {"estimator": "mine:forest"}
FILES = {"onnx": ["big.onnx"]}


@pytest.mark.parametrize(
    ("limit", "teacher", "runtimes", "said"),
    [
        ({"bytes": "0.1x"}, ESTIMATOR, ["torch"], "nothing is known of the size of what a function returns"),
        (
            {"macs": "0.1x"},
            FILES,
            ["onnxruntime"],
            "are known only where it is a torch network. Write them, such as '3 M'.",
        ),
        ({"macs": "0.1x"}, LIBRARY, ["torch"], "are known only where it is a torch network"),
        (
            {"memory": "0.5x"},
            None,
            ["torch"],
            "is measured only where it is a torch network, in onnxruntime or openvino",
        ),
        (
            {"memory": "0.5x"},
            FILES,
            ["onnxruntime"],
            "is measured only where it is a torch network, in onnxruntime or openvino",
        ),
        ({"latency": "0.1x"}, FILES, ["torch"], "ONNX files are measured in onnxruntime, which artifacts.runtimes"),
    ],
)
def test_a_limit_relative_to_what_is_not_measured_is_refused_before_anything(
    limit: dict[str, str], teacher: dict[str, Any] | None, runtimes: list[str], said: str, tiny: dict[str, Any]
) -> None:
    tiny["teacher"] = tiny["teacher"] if teacher is None else teacher
    tiny["artifacts"]["runtimes"] = runtimes
    ((what, text),) = limit.items()
    with pytest.raises(BadInput) as found:
        check_budget(from_document(tiny | {"budget": limit}))
    assert str(found.value).startswith(f'budget.{what} of the recipe: "{text}" cannot be judged; ')
    assert said in str(found.value)
    for absolute in (
        {"bytes": "1 MB"},
        {"macs": "1 M"},
        {"memory": "1 MB"},
        {"latency": "1 ms"},
        {"quality_loss": "0.1x"},
    ):
        check_budget(from_document(tiny | {"budget": absolute}))


def test_memory_is_refused_where_it_is_not_measured(tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attar.recipes.checks.measurable", lambda: False)
    with pytest.raises(
        BadInput, match=r'^budget.memory of the recipe: "20 MB" cannot be judged; the memory of a process'
    ):
        check_budget(from_document(tiny | {"budget": {"memory": "20 MB"}}))


def test_limits_of_a_call_go_over_those_of_the_recipe(tiny: dict[str, Any], tmp_path: Path) -> None:
    recipe = from_document(tiny | {"budget": {"quality_loss": "5%", "macs": 9}})
    changed = with_budget(recipe, {"bytes": "50 kB", "macs": "3 k"})
    assert [str(limit) for limit in changed.budget.limits] == ["5%", "50 kB", "3 k"]
    assert with_budget(recipe, None) is recipe
    for do in (plan, compress):
        with pytest.raises(BadInput, match=r"^the recipe: unknown key budget.byte. Did you mean 'bytes'\?$"):
            do(tiny, tmp_path / "run", budget={"byte": "50 kB"})
    assert "at most 3 k multiply-adds" in plan(tiny, tmp_path / "run", budget={"macs": "3 k"}).budget.replace(
        "\xa0", " "
    )
