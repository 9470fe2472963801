"""Records: what is written comes back, and what is damaged is refused in one sentence."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from attar.errors import CorruptFile
from attar.records import CHECKSUM, parse_json, read_bytes, read_json, read_record, sealed, to_text

REMEDY = "Write it again."


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "record.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "document",
    [{}, {"a": [1, 2.5, "ü", None, True, {"b": []}], "z": 1e-300}, {"order": {"b": 1, "a": 2}}, {"big": 2**64 - 1}],
)
def test_what_is_written_comes_back_in_its_order(tmp_path: Path, document: dict[str, Any]) -> None:
    found = read_record(written(tmp_path, to_text(document)), REMEDY)
    assert found == document
    assert json.dumps(found) == json.dumps(document)


def test_a_record_read_again_is_the_same_whatever_its_white_space(tmp_path: Path) -> None:
    text = to_text({"a": {"b": [1, 2]}})
    assert read_record(written(tmp_path, json.dumps(json.loads(text))), REMEDY) == {"a": {"b": [1, 2]}}
    assert sealed(sealed({"a": 1})) == sealed({"a": 1})


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d | {"a": 2},
        lambda d: d | {"a": 1.0},
        lambda d: d | {"c": 0},
        lambda d: {"a": 1, CHECKSUM: d[CHECKSUM]},
        lambda d: {"b": [1, 2], "a": 1, CHECKSUM: d[CHECKSUM]},
        lambda d: d | {"b": [2, 1]},
        lambda d: {"a": 1, "b": [1, 2]},
        lambda d: d | {CHECKSUM: 5},
    ],
)
def test_every_change_is_refused(tmp_path: Path, change: Any) -> None:
    document = json.loads(to_text({"a": 1, "b": [1, 2]}))
    with pytest.raises(CorruptFile, match=r"record\.json .*checksum.*Write it again\.$"):
        read_record(written(tmp_path, json.dumps(change(document))), REMEDY)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "not JSON at line 1, column 1"),
        (b'{"a": 1', "not JSON"),
        (b'{"a": 1}{', "not JSON"),
        (b'{"\xff": 1}', "not UTF-8 at byte 2"),
        ("[" * 100_000, "nested more than 100 levels"),
        ("[" * 100_000 + "]" * 100_000, "nested more than 100 levels"),
        ("[" * 101 + "]" * 101, "nested more than 100 levels"),
        ('{"a":' * 500 + "1" + "}" * 500, "nested more than 100 levels"),
        ("1" * 10_000, "a number of more than 4300 digits"),
        ("1" * 40, "beyond 64 bits"),
        ("[NaN]", "the number nan"),
        ("[-Infinity]", "the number -inf"),
        ("[1e999]", "the number inf"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' twice"),
        ('{"a": "\\ud800"}', "half a character"),
        ('{"\\udfff": 1}', "half a character"),
    ],
)
def test_damaged_json_is_refused_in_one_sentence(tmp_path: Path, text: str | bytes, why: str) -> None:
    with pytest.raises(CorruptFile) as caught:
        read_json(written(tmp_path, text), REMEDY)
    message = str(caught.value)
    assert why in message and message.startswith(f"{tmp_path}") and message.endswith(REMEDY) and len(message) < 400


def test_a_hundred_levels_pairs_of_surrogates_and_64_bits_are_fine() -> None:
    assert parse_json("[" * 100 + "]" * 100, "it", REMEDY)
    assert parse_json('"\\ud83d\\ude00"', "it", REMEDY) == "\N{GRINNING FACE}"
    assert parse_json(f"[{2**64 - 1}, {-(2**63)}]", "it", REMEDY) == [2**64 - 1, -(2**63)]
    assert parse_json("[-Infinity]", "it", REMEDY, finite=False) == [float("-inf")]


@pytest.mark.parametrize("text", ["[1]", "5", '"a"', "null", "true"])
def test_a_record_is_an_object(tmp_path: Path, text: str) -> None:
    with pytest.raises(CorruptFile, match=r"it holds (a list|a number|a text|nothing|a truth)"):
        read_record(written(tmp_path, text), REMEDY)


def test_half_a_character_from_a_file_name_is_written_as_a_question_mark(tmp_path: Path) -> None:
    found = read_record(written(tmp_path, to_text({"command": "attar compress bad\udcff.toml", "k\udcff": 1})), REMEDY)
    assert found == {"command": "attar compress bad?.toml", "k?": 1}


def test_only_a_regular_file_is_read_and_nothing_is_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(written(tmp_path, to_text({"a": 1})))
    for name, why in (("pipe", "it is a pipe"), (".", "it is a folder"), ("none", "No such file"), ("a\0b", "null")):
        with pytest.raises(CorruptFile, match=why):
            read_bytes(tmp_path / name, REMEDY)
    with pytest.raises(CorruptFile, match="it is a device"):
        read_bytes(Path("/dev/zero"), REMEDY)
    with pytest.raises(CorruptFile, match="File name too long"):
        read_bytes(tmp_path / ("a" * 5000), REMEDY)
    assert read_record(tmp_path / "link", REMEDY) == {"a": 1}
    with pytest.raises(CorruptFile, match="is a symbolic link"):
        read_record(tmp_path / "link", REMEDY, follow=False)


def test_a_larger_file_than_asked_for_is_not_read(tmp_path: Path) -> None:
    path = written(tmp_path, to_text({"a": "x" * 100}))
    with pytest.raises(CorruptFile, match="more than the 50 that are read"):
        read_record(path, REMEDY, largest=50)
