"""One word for one thing: no name in the code, no key of a recipe or of evidence is one of the words that were "
"retired."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from attar.evidence import panel
from attar.recipes import schema
from attar.recipes.schema.recipe import Recipe

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "attar"

NOT_YET: frozenset[str] = frozenset()
"""Folders whose names are still being changed."""

WORDS = {
    "begun": "start",
    "control": "baseline, or callback",
    "corrected": "bias_correction",
    "halves": "float16",
    "hear": "output",
    "heard": "output, teacher_output",
    "hears": "teacher",
    "imitate": "distill, train",
    "imitated": "transfer_set",
    "learners": "train_module",
    "lenders": "reuse_from",
    "lesson": "transfer_set, labeled_rows",
    "listen": "label, targets",
    "made": "synthetic, built",
    "making": "build",
    "mend": "fix",
    "mended": "fixed",
    "opinion": "output, logits",
    "opinions": "outputs, logits",
    "outdone": "dominated",
    "part": "shard, split, subset, chunk",
    "parts": "shards, splits, subsets, chunks",
    "picture": "image, chart",
    "pictures": "images, charts",
    "plain": "named after its one meaning: as_json, uncompressed, digits_only",
    "said": "output, logits, predictions, probabilities; message; document, section",
    "standalone": "html",
    "taught": "trained, teachers",
    "tell": "report, log",
    "told": "message, report",
    "unquantized": "dequantize",
    "visiting": "read_only",
    "walked": "run_steps",
    "whole": "total, complete, integer",
    "wide": "at_least_float32, full_width",
}
"""Words that no name is made of, and what the field says."""

KEYS = {
    **WORDS,
    "codes": "dtype",
    "distil": "distill",
    "keep": "budget",
    "learn": "train",
    "start_at": "init",
    "statistics": "freeze_bn_stats",
}
"""What no key is called, and what the field says."""


def _pieces(name: str) -> Iterator[str]:
    """The words of a name: of ``_saidTwice`` and ``SAID_TWICE``, said and twice."""
    for piece in name.split("_"):
        yield from (word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", piece))


def _names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Where a file gives a name to something: functions, classes, arguments, variables, attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr


def _retired(name: str) -> str | None:
    """What the field says in the place of a name; None for a name that may stay."""
    return next((f"{piece} is retired: {WORDS[piece]}" for piece in _pieces(name) if piece in WORDS), None)


def _sources() -> list[Path]:
    return [path for path in sorted(SOURCE.rglob("*.py")) if path.relative_to(SOURCE).parts[0] not in NOT_YET]


@pytest.mark.parametrize("name", ["said", "_said", "Said", "is_said", "saidTwice", "SAID_TWICE"])
def test_a_retired_word_is_found_in_every_spelling(name: str) -> None:
    assert _retired(name) == f"said is retired: {WORDS['said']}"


@pytest.mark.parametrize("name", ["partition", "department", "apart", "wholesale", "telling", "width"])
def test_a_longer_word_is_another_word(name: str) -> None:
    assert _retired(name) is None


def test_every_kind_of_name_is_seen() -> None:
    tree = ast.parse("class A:\n    def b(self, c):\n        self.d = e = 1\n        for f in (g := c): pass\n")
    assert {name for _, name in _names(tree)} == {"A", "b", "self", "c", "d", "e", "f", "g"}


def test_no_name_in_the_code_is_made_of_a_retired_word() -> None:
    found = []
    for path in _sources():
        place = path.relative_to(ROOT)
        if (why := _retired(path.stem)) is not None:
            found.append(f"{place}: {why}")
        for line, name in _names(ast.parse(path.read_text(encoding="utf-8"))):
            if (why := _retired(name)) is not None:
                found.append(f"{place}:{line} {name}: {why}")
    assert not found, "\n".join(found)


def _models(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[type[BaseModel]]:
    """A section of the recipe and all sections in it."""
    if model in seen:
        return seen
    seen.add(model)
    for field in model.model_fields.values():
        for inner in _types(field.annotation):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                _models(inner, seen)
    return seen


def _types(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _types(inner)


def test_no_key_of_a_recipe_is_a_retired_word() -> None:
    sections = _models(Recipe, set())
    assert len(sections) > 10, schema
    found = [
        f"{section.__name__}.{key}: the field says {KEYS[key]}"
        for section in sections
        for key in section.model_fields
        if key in KEYS
    ]
    assert not found, "\n".join(sorted(found))


def _panel_keys() -> Iterator[str]:
    for kind in vars(panel).values():
        if isinstance(kind, type) and is_dataclass(kind):
            yield from (one.name for one in fields(kind))


def _document_keys(value: Any, above: str = "") -> Iterator[str]:
    """The keys of a document, but for those that are names of the user's: of layers, models, parts of the recipe."""
    if isinstance(value, list):
        for inner in value:
            yield from _document_keys(inner, above)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if key != "recipe":
                yield from _document_keys(inner, key)


@pytest.mark.parametrize("sample", ["panels", "sample_document.json", "sample_study.json"])
def test_no_key_of_evidence_is_a_retired_word(sample: str) -> None:
    if sample == "panels":
        keys = set(_panel_keys())
    else:
        text = (ROOT / "tests" / "report" / sample).read_text(encoding="utf-8")
        keys = set(_document_keys(json.loads(text)))
    assert len(keys) > 20
    found = [f"{key}: the field says {KEYS[key]}" for key in sorted(keys) if key in KEYS]
    assert not found, "\n".join(found)
