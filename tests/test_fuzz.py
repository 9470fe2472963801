"""Some of the damaged files that benchmarks/fuzz.py has by the thousand, through the readers that are quick."""

from __future__ import annotations

import importlib.util
import json
import random
import shutil
import tomllib
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from attar.data.files import load_npz, load_table
from attar.deployment.artifact import load
from attar.deployment.deploy import deploy
from attar.errors import BadInput, CorruptFile
from attar.network.spec import Spec
from attar.pipeline.nodes import Nodes
from attar.recipes.read import read
from attar.recipes.shipped import shipped
from attar.records import read_record, sealed, to_text
from attar.tasks.classification import Classification

MUTATORS = Path(__file__).parents[1] / "benchmarks" / "mutators.py"


@pytest.fixture(scope="module")
def mutators() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("mutators", MUTATORS)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_damaged_record_is_refused_or_the_same(mutators: types.ModuleType, tmp_path: Path) -> None:
    document = {"name": "x", "figures": [0.5, 1, 2e-9, None, True], "parts": {"a": {"b": "ü"}}}
    whole, path, same = to_text(document), tmp_path / "record.json", 0
    for number in range(300):
        draw = random.Random(number)
        changed = mutators.json_text(mutators.changed(json.loads(whole), draw), draw)
        path.write_bytes(mutators.damaged(whole.encode(), draw) if number % 2 else changed)
        try:
            assert read_record(path, "Write it again.") == document
            same += 1
        except CorruptFile as error:
            assert str(error).endswith("Write it again.")
    assert same < 60


def test_a_damaged_node_is_refused_or_the_same(mutators: types.ModuleType, tmp_path: Path) -> None:
    """Its record, and every file that it names; what nothing says is done is done anew."""
    names = ("history.json", "store/part", "weights")

    def work(folder: Path) -> dict[str, Any]:
        (folder / "store").mkdir(exist_ok=True)
        for name in names:
            (folder / name).write_text(f'["{name}", 0.5, 1]' * 20, encoding="utf-8")
        return {"score": 0.5, "classes": ["ant", "bee"]}

    def found() -> Any:
        node = Nodes(tmp_path).node("a", {"rows": 12}, work)
        return node, (dict(node.result), [(node.folder / name).read_bytes() for name in names])

    made, expected = found()
    whole, refused = shutil.copytree(made.folder, tmp_path / "whole"), 0
    for number in range(300):
        draw = random.Random(number)
        shutil.rmtree(made.folder)
        shutil.copytree(whole, made.folder)
        path = draw.choice([made.folder / "node.json", *sorted(made.folder.rglob("*.json")), made.folder / "weights"])
        if path.name == "node.json" and number % 2:
            document = mutators.changed(json.loads(path.read_text(encoding="utf-8")), draw)
            path.write_bytes(mutators.json_text(document, draw))
        elif number % 7:
            path.write_bytes(mutators.damaged(path.read_bytes(), draw))
        else:
            mutators.rearranged(made.folder, draw)
        try:
            assert found()[1] == expected
        except CorruptFile as error:
            refused += 1
            assert str(error).endswith(f"Delete the folder {made.folder} to do this step anew.")
    assert refused > 200


def test_a_damaged_artifact_is_refused_or_gives_the_same(mutators: types.ModuleType, tmp_path: Path) -> None:
    spec = Spec("attar.network.architectures:mlp", {"inputs": 4, "classes": 3, "hidden": [5]})
    rows = torch.arange(24.0).reshape(6, 4)
    made = deploy(
        spec.build(), "torch", tmp_path / "whole", example=rows[:1], task=Classification(("a", "b", "c")), spec=spec
    )
    expected, others = made(rows), [path.read_bytes() for path in made.folder.iterdir()]
    place, refused = tmp_path / "case", 0
    for number in range(150):
        draw = random.Random(number)
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(made.folder, place)
        path = place / draw.choice(["manifest.json", "student.safetensors"])
        forged = number % 3 == 0
        if forged:
            manifest = mutators.changed(json.loads((place / "manifest.json").read_text()), draw)
            try:
                (place / "manifest.json").write_text(json.dumps(sealed(manifest)))
            except (TypeError, ValueError, AttributeError):
                continue
        elif number % 3 == 1:
            path.write_bytes(mutators.damaged(path.read_bytes(), draw, others))
        else:
            mutators.rearranged(place, draw)
        try:
            artifact = load(place)
            found = artifact(rows)
        except BadInput:
            refused += 1
            continue
        assert forged or (artifact.classes == ("a", "b", "c")), number
        if not forged:
            assert_array_equal(found, expected)
    assert refused > 100


def test_a_damaged_recipe_is_read_or_refused(mutators: types.ModuleType, tmp_path: Path) -> None:
    whole, path = tomllib.loads(shipped()["digits"].read_text(encoding="utf-8")), tmp_path / "recipe.toml"
    refused = 0
    for number in range(150):
        draw = random.Random(number)
        text = mutators.toml_text(mutators.changed(whole, draw), draw)
        path.write_bytes(mutators.damaged(text, draw) if number % 4 == 0 else text)
        try:
            read(path)
        except BadInput:
            refused += 1
    assert 50 < refused < 150


@pytest.mark.parametrize("kind", ["npz", "csv"])
@pytest.mark.filterwarnings("ignore")
def test_damaged_data_is_read_or_refused(kind: str, mutators: types.ModuleType, tmp_path: Path) -> None:
    y = np.arange(60) % 3
    np.savez(tmp_path / "whole.npz", x=np.arange(120.0, dtype=np.float32).reshape(60, 2), y=y)
    lines = ["size,color,kind", *(f"{n},{'red' if n % 2 else 'blue'},{n % 3}" for n in range(60))]
    (tmp_path / "whole.csv").write_text("\n".join(lines))
    readers: dict[str, Callable[[Path], Any]] = {"npz": load_npz, "csv": lambda path: load_table(path, target="kind")}
    whole, path, refused = (tmp_path / f"whole.{kind}").read_bytes(), tmp_path / f"case.{kind}", 0
    for number in range(40):
        path.write_bytes(mutators.damaged(whole, random.Random(number)))
        try:
            readers[kind](path)
        except BadInput:
            refused += 1
    assert refused > 5
