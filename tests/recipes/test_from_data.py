"""A recipe from data and a teacher alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from attar.errors import BadInput
from attar.recipes.compress import compress
from attar.recipes.files import check_recipe_file
from attar.recipes.from_data import asked_recipe, recipe_from_data, teacher_table
from attar.recipes.plan import plan


def test_data_and_a_teacher_are_a_recipe_with_a_search() -> None:
    recipe = recipe_from_data("data/my numbers.npz", "big.onnx", ["seed=3", "budget.bytes=50 kB"])
    assert (recipe.name, recipe.data.use, recipe.teacher.onnx) == ("my-numbers", "data/my numbers.npz", ["big.onnx"])
    assert (recipe.seed, str(recipe.budget.bytes)) == (3, "50 kB")
    assert recipe.search is not None and "network" not in recipe.document()["student"]


def test_several_files_are_an_ensemble_and_a_function_is_an_estimator() -> None:
    assert recipe_from_data("digits", [Path("a.onnx"), "b.ONNX"]).teacher.onnx == ["a.onnx", "b.ONNX"]
    recipe = recipe_from_data("letter.p1", "mine:forest")
    assert recipe_from_data("letter.p1", "forest.skops").teacher.estimator == "forest.skops"
    assert (recipe.name, recipe.teacher.estimator, recipe.trust.beside) == ("letter.p1", "mine:forest", Path.cwd())


@pytest.mark.parametrize(
    ("teacher", "remedy"),
    [
        ("big.safetensors", "Weights need their network: write a recipe with teacher.network and teacher.weights."),
        ("big.pt", "export the model to ONNX, or save its weights with safetensors.torch.save_file."),
        ("big.pkl", "save the model with skops.io.dump; one of LightGBM, XGBoost or CatBoost with its save_model."),
        (["a.onnx", "forest.skops"], "Of fitted models one alone can be the teacher."),
        ("big.keras", "Export it to ONNX."),
        (["a.onnx", "mine:forest"], "Of functions one alone can be the teacher."),
        ([], "Name an ONNX file."),
        (5, "Export it to ONNX, or write a recipe."),
    ],
)
def test_what_is_no_teacher_says_what_to_do(teacher: Any, remedy: str) -> None:
    with pytest.raises(BadInput, match=r"^teacher of attar compress must be ") as found:
        teacher_table(teacher)
    assert str(found.value).endswith(remedy)


def test_a_recipe_is_no_data() -> None:
    with pytest.raises(
        BadInput, match=r"^'mine.toml' is a recipe, which names its teacher itself. Leave the teacher out"
    ):
        recipe_from_data("mine.toml", "big.onnx")


def test_a_call_names_a_recipe_or_data_and_a_teacher(tiny: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"^attar.compress needs a recipe, or data and a teacher. Name a recipe"):
        compress()
    with pytest.raises(BadInput, match=r"^attar.compress needs a teacher. "):
        compress(data="digits")
    with pytest.raises(BadInput, match=r"^attar.compress needs data. "):
        compress(teacher="big.onnx")
    with pytest.raises(
        BadInput, match=r"^attar.compress takes a recipe, which says what teacher is, or teacher itself"
    ):
        compress(tiny, teacher="big.onnx")


def test_a_call_may_say_what_is_searched() -> None:
    recipe = asked_recipe(
        None,
        data="digits",
        teacher="big.onnx",
        search={"proposals": 5, "time": "1h 30m"},
        budget="bytes<=20kB, prefer=bytes",
    )
    assert recipe.search is not None and (recipe.search.proposals, recipe.search.time) == (5, 5400.0)
    assert (str(recipe.budget.bytes), recipe.budget.prefer) == ("20 kB", "bytes")
    assert asked_recipe(recipe, budget={"bytes": "10 kB"}).search == recipe.search
    assert asked_recipe(None, data="digits", teacher="big.onnx", student="tiny").search is None
    with pytest.raises(BadInput, match=r"unknown key search.proposal. Did you mean 'proposals'\?"):
        asked_recipe(None, data="digits", teacher="big.onnx", search={"proposal": 5})


def test_weights_beside_an_onnx_file_count_as_the_teachers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph alone is small: students would have to be smaller than that, and a share of it would be nothing."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    np.savez("my.npz", x=random.normal(size=(60, 6)).astype(np.float32), y=np.arange(60) % 3)
    first, second = (random.normal(size=shape).astype(np.float32) for shape in ((6, 500), (500, 3)))
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "first"], ["h"]), helper.make_node("MatMul", ["h", "second"], ["y"])],
        "two",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 3])],
        [numpy_helper.from_array(first, "first"), numpy_helper.from_array(second, "second")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, "big.onnx", save_as_external_data=True, location="big.bin", size_threshold=0)
    planned = plan(recipe_from_data("my.npz", "big.onnx", ["budget.bytes=0.1x"]))
    both = Path("big.onnx").stat().st_size + Path("big.bin").stat().st_size
    assert planned.search[1].endswith(f" to {both // 4:,}") and both > 4 * 4500
    assert "at most 0.1x the teacher's size on disk (about 1.8" in planned.budget


def test_data_without_a_teacher_are_told_the_whole_command(tmp_path: Path):
    (tmp_path / "mine.csv").write_text("age,paid\n1,yes\n")
    with pytest.raises(BadInput) as found:
        check_recipe_file(tmp_path / "mine.csv", [])
    command = f"attar compress {tmp_path / 'mine.csv'} --teacher big.onnx --set data.target=COLUMN"
    more = "; with --dry-run it says how the data are read. The first line of the data is 'age,paid'."
    assert str(found.value).endswith(f"Write {command}{more}")
