"""Any document either is a recipe or is refused in one sentence; what was read can be written and read again."""

from __future__ import annotations

import copy
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.errors import BadInput
from attar.recipes.changes import apply
from attar.recipes.read import from_document, read
from attar.recipes.schema.recipe import Recipe
from attar.recipes.shipped import shipped

Document = dict[str, Any]
SHIPPED = {name: tomllib.loads(path.read_text(encoding="utf-8")) for name, path in shipped().items()}
BUDGET = settings(max_examples=int(os.environ.get("ATTAR_EXAMPLES", "120")), deadline=None)

scalars = st.one_of(
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 1, 2**63, 10**400]),
    st.floats(),
    st.text(max_size=12),
    st.dates(),
    st.sampled_from(["soft_targets", "student", "teacher", "digits", "cosine", "attar.network.architectures:mlp"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(
    sorted({*Recipe.model_fields, "use", "network", "training", "views", "epochs", "weight", "temperature", "mean"})
)
documents = st.dictionaries(
    keys | st.text(max_size=6),
    st.recursive(scalars, lambda inner: st.dictionaries(keys, inner, max_size=4), max_leaves=12),
    max_size=8,
)


def parsed_or_refused(document: Document) -> Recipe | None:
    """The recipe, or None after a refusal that was looked at."""
    try:
        return from_document(document, "mine.toml")
    except BadInput as error:
        said = str(error)
        assert said.startswith("mine.toml: ")
        assert "\n" not in said.replace("\\n", "")
        assert said.rstrip(")").endswith((".", "?"))
        assert len(said) < 700, said
        return None


def places(document: Document, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key of a document, as a path."""
    for key, value in document.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from places(value, (*path, key))


def table_at(document: Document, path: tuple[str, ...]) -> Document:
    for key in path:
        document = document[key]
    return document


@st.composite
def mutants(draw: st.DrawFn) -> Document:
    """A shipped recipe with one place spoilt: a key misspelt, a value replaced, a key or a table removed."""
    document = copy.deepcopy(SHIPPED[draw(st.sampled_from(sorted(SHIPPED)))])
    path = draw(st.sampled_from(list(places(document))))
    table, key = table_at(document, path[:-1]), path[-1]
    what = draw(st.sampled_from(["misspell", "replace", "remove", "add"]))
    if what == "misspell":
        spot = draw(st.integers(0, len(key) - 1))
        table[key[:spot] + draw(st.sampled_from("xq_-. ")) + key[spot + 1 :]] = table.pop(key)
    elif what == "replace":
        table[key] = draw(values)
    elif what == "remove":
        del table[key]
    else:
        table[draw(st.text(max_size=8))] = draw(values)
    return document


@BUDGET
@given(documents)
def test_any_document_is_a_recipe_or_is_refused_in_one_sentence(document: Document) -> None:
    parsed_or_refused(document)


@BUDGET
@given(mutants())
def test_a_spoilt_recipe_is_refused_in_one_sentence_or_survives_the_round_trip(document: Document) -> None:
    recipe = parsed_or_refused(document)
    if recipe is not None:
        assert from_document(tomllib.loads(tomli_w.dumps(recipe.document()))) == recipe


@BUDGET
@given(st.text(max_size=60))
def test_any_text_is_a_recipe_or_is_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(text, encoding="utf-8", errors="replace")
    with pytest.raises(BadInput):  # no text this short names data, teacher, student and objective
        read(path)


@BUDGET
@given(st.lists(st.text(max_size=20), min_size=1, max_size=4).map("=".join) | st.text(max_size=40))
def test_any_change_is_taken_or_refused(change: str) -> None:
    document = copy.deepcopy(SHIPPED["digits"])
    try:
        apply(document, change)
    except BadInput as error:
        assert "--set" in str(error)
    else:
        parsed_or_refused(document)


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_document_is_read_back_the_same_and_says_every_default(name: str) -> None:
    recipe = from_document(SHIPPED[name])
    again = from_document(tomllib.loads(tomli_w.dumps(recipe.document())))
    assert again == recipe
    assert again.document() == recipe.document()
    assert recipe.document()["artifacts"]["calibration"] == 512  # not in the file


def test_ramps_terms_and_milestones_survive_the_round_trip() -> None:
    document = copy.deepcopy(SHIPPED["digits"])
    document["objective"]["soft"] |= {
        "temperature": {"start": 8, "end": 2.0, "epochs": 10, "shape": "cosine"},
        "weight": {"start": 0.0, "end": 1.0, "epochs": 5},
        "start_epoch": 2,
        "end_epoch": 60,
    }
    document["objective"]["hard"] = {"use": "hard_labels"}
    document["student"]["training"] |= {"schedule": "multistep", "milestones": [20, 40]}
    recipe = from_document(document)
    assert recipe.objective["soft"].loss.temperature.at(5.0) == pytest.approx(5.0)  # half way of the cosine
    assert recipe.student.training.milestones == (20, 40)
    assert from_document(tomllib.loads(tomli_w.dumps(recipe.document()))) == recipe


def test_mistyped_keys_are_told_the_near_match_with_the_dotted_key() -> None:
    document = copy.deepcopy(SHIPPED["digits"])
    document["teacher"]["trianing"] = document["teacher"].pop("training")
    with pytest.raises(BadInput, match=r"^mine: unknown key teacher\.trianing\. Did you mean 'training'\?$"):
        from_document(document, "mine")


def test_keys_inside_training_and_terms_are_named_too() -> None:
    document = copy.deepcopy(SHIPPED["digits"])
    document["student"]["training"]["epoch"] = 3
    with pytest.raises(BadInput, match=r"student\.training: unknown key 'epoch'\. Did you mean 'epochs'"):
        from_document(document)
    document = copy.deepcopy(SHIPPED["digits"])
    document["objective"]["soft"]["temprature"] = 3.0
    with pytest.raises(BadInput, match=r"objective\.soft: unknown key 'temprature'\. Did you mean 'temperature'"):
        from_document(document)


def test_several_mistakes_are_counted() -> None:
    with pytest.raises(BadInput, match=r"\(1 more like this\.\)"):
        from_document({"name": "x"})


def test_changes_apply_in_order_and_bare_words_are_text() -> None:
    recipe = read("digits", ["seed=3", "budget.prefer=bytes", "seed = 4", "data.classes=['1', '2']"])
    assert (recipe.seed, recipe.budget.prefer, recipe.data.classes) == (4, "bytes", ["1", "2"])


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.toml"
    path.write_text("name = " + "[" * 5000 + "]" * 5000, encoding="utf-8")
    with pytest.raises(BadInput, match="must not be nested this deep"):
        read(path)
    with pytest.raises(BadInput, match="less deeply nested"):
        read("digits", ["data.classes=" + "[" * 5000 + "]" * 5000])


def test_files_that_are_not_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "not.toml"
    path.write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(BadInput, match=r"must be a TOML file"):
        read(path)


def test_a_file_goes_before_a_shipped_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").write_text(
        shipped()["digits"].read_text(encoding="utf-8").replace('name = "digits"', 'name = "mine"'), encoding="utf-8"
    )
    assert read("digits").name == "mine"
