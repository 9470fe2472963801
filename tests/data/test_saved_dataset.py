"""Data sets as the package `datasets` saves them: folders with its layout, written here without it."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from attar.data.datasets import load
from attar.errors import BadInput, CorruptFile

ROWS = 40
VALUE: dict[str, Any] = {"dtype": "int64", "_type": "Value"}
LABEL = {"names": ["bad", "good"], "_type": "ClassLabel"}
IDS = [list(range(1, 2 + row % 4)) for row in range(ROWS)]


def saved(folder: Path, columns: dict[str, Any], features: dict[str, Any] | None = None, files: int = 2) -> Path:
    """One Dataset, as ``save_to_disk`` of datasets 4 lays it out: streams of Arrow, and two files of JSON."""
    folder.mkdir(parents=True)
    table = pa.table(columns)
    names = [f"data-{place:05d}-of-{files:05d}.arrow" for place in range(files)]
    step = -(-table.num_rows // files)
    for place, name in enumerate(names):
        with pa.ipc.new_stream(folder / name, table.schema) as writer:
            writer.write_table(table.slice(place * step, step), max_chunksize=7)
    said = {name: VALUE for name in columns} | ({"label": LABEL} if "label" in columns else {}) | (features or {})
    (folder / "dataset_info.json").write_text(json.dumps({"features": said, "citation": ""}), encoding="utf-8")
    state = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "1", "_format_type": None}
    (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
    return folder


def saved_dict(folder: Path, parts: dict[str, dict[str, Any]], features: dict[str, Any] | None = None) -> Path:
    """A DatasetDict."""
    folder.mkdir()
    for name, columns in parts.items():
        saved(folder / name, columns, features)
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(parts)}), encoding="utf-8")
    return folder


def labels(count: int = ROWS) -> list[int]:
    return [row % 2 for row in range(count)]


def test_a_table(tmp_path: Path):
    columns = {
        "age": [row + 0.5 for row in range(ROWS)],
        "town": [("Ulm", "Bonn", None)[row % 3] for row in range(ROWS)],
        "branch": [row % 3 for row in range(ROWS)],
        "label": labels(),
    }
    branch = {"names": ["a", "b", "c"], "_type": "ClassLabel"}
    dataset = load(saved(tmp_path / "people", columns, {"branch": branch}), target="label")
    assert dataset.classes == ("bad", "good") and dataset.name == "people"
    assert dataset.columns is not None and dataset.columns["town"].categories == ("Bonn", "Ulm")
    assert dataset.columns["branch"].kind == "nominal" and dataset.columns["age"].kind == "number"
    for split in dataset.splits().values():
        assert torch.equal(split.inputs[:, 0].long(), split.ids) and torch.equal(split.labels, split.ids % 2)
    values = load(tmp_path / "people", target="age")
    assert values.task.use == "regression" and "label" in str(values.columns)


def test_splits_and_those_that_are_not_read(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    part = {"a": [float(row) for row in range(20)], "label": labels(20)}
    folder = saved_dict(tmp_path / "all", {"train": part, "validation": part, "test": part, "unsupervised": part})
    dataset = load(folder)
    assert [len(split) for split in dataset.splits().values()] == [20, 20, 20] and dataset.drawn == ()
    assert "all: the splits 'unsupervised' are not read" in caplog.text
    two = load(saved_dict(tmp_path / "two", {"train": part, "test": part}))
    assert [len(split) for split in two.splits().values()] == [18, 2, 20]


@pytest.mark.parametrize("ids", ["ids", "input_ids"])
@pytest.mark.parametrize("masked", [True, False])
def test_sequences_of_tokens(tmp_path: Path, ids: str, masked: bool, caplog: pytest.LogCaptureFixture):
    mask = {
        "mask" if ids == "ids" else "attention_mask": pa.array([[1] * len(one) for one in IDS], pa.list_(pa.int8()))
    }
    columns = {
        "text": [f"text {row}" for row in range(ROWS)],
        ids: pa.array(IDS, pa.list_(pa.int32())),
        **(mask if masked else {}),
        "label": labels(),
    }
    with caplog.at_level(logging.WARNING):
        dataset = load(saved(tmp_path / "texts", columns))
    assert "texts: the columns 'text' are not read" in caplog.text
    assert dataset.tokens is not None and dataset.tokens.length == 4 and dataset.tokens.vocabulary == 5
    for row, one, label in zip(dataset.train.ids.tolist(), dataset.train.inputs, dataset.train.labels, strict=True):
        length = 1 + row % 4
        assert one[0].tolist() == [*IDS[row], *[0] * (4 - length)] and one[1].sum() == length and label == row % 2


def test_arrays_and_several_inputs(tmp_path: Path):
    flat = np.arange(ROWS * 6, dtype=np.float64).reshape(ROWS, 6)
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), 6)
    one = load(saved(tmp_path / "one", {"x": fixed, "label": labels()}))
    assert torch.equal(one.train.inputs, torch.from_numpy(flat).float()[one.train.ids])
    nested = pa.array(flat.reshape(ROWS, 2, 3).tolist(), pa.list_(pa.list_(pa.float32())))
    two = load(saved(tmp_path / "two", {"map": nested, "age": [1.0] * ROWS, "label": labels()}))
    assert two.named is not None and two.named.names == ("map", "age") and two.named.width == 7
    assert torch.equal(two.train.inputs[:, :6], torch.from_numpy(flat).float()[two.train.ids])
    many = {"x": fixed, "tags": pa.array([[row % 2, 1 - row % 2] for row in range(ROWS)])}
    several = load(saved(tmp_path / "many", many), target="tags", task="multilabel")
    assert torch.equal(several.train.labels[:, 0], several.train.ids % 2)


def test_the_types_of_arrays_that_the_package_registers(tmp_path: Path):
    class Array2D(pa.ExtensionType):
        def __init__(self) -> None:
            super().__init__(pa.list_(pa.list_(pa.float32())), "test.array2d")

        def __arrow_ext_serialize__(self) -> bytes:
            return b""

        @classmethod
        def __arrow_ext_deserialize__(cls, storage: Any, serialized: bytes) -> Any:
            return cls()

    flat = np.arange(ROWS * 6, dtype=np.float32).reshape(ROWS, 2, 3)
    storage = pa.array(flat.tolist(), pa.list_(pa.list_(pa.float32())))
    folder = saved(tmp_path / "a", {"x": pa.ExtensionArray.from_storage(Array2D(), storage), "label": labels()})
    assert load(folder).train.inputs.shape == (29, 2, 3)
    pa.register_extension_type(Array2D())
    try:
        assert load(folder).train.inputs.shape == (29, 2, 3)
    finally:
        pa.unregister_extension_type("test.array2d")


@pytest.mark.parametrize(
    ("columns", "features", "arguments", "message"),
    [
        ({"x": IDS, "label": labels()}, {}, {},
         r"^lists of column 'x' of d must be of one length, 1 as in row 0; got 2 in row 1\. Pad or cut"),
        ({"x": [None, *[[1.0]] * 39], "label": labels()}, {}, {},
         r"^a value of column 'x' of d must be there in every row; got none in row 0"),
        ({"x": [["a"]] * ROWS, "label": labels()}, {}, {}, r"^the values of column 'x' of d must be numbers"),
        ({"input_ids": [["a"]] * ROWS, "label": labels()}, {}, {}, r"column 'input_ids' of d must be lists of whole"),
        ({"input_ids": IDS, "attention_mask": [[1]] * ROWS, "label": labels()}, {}, {},
         r"^attention_mask of d must be as long as input_ids \(2 in row 1\); got 1"),
        ({"text": [f"It was {row}." for row in range(ROWS)], "label": labels()}, {}, {},
         r"^Column 'text' of d holds texts, 40 different ones in 40 rows\. Cut them into tokens"),
        ({"image": [{"bytes": b"", "path": None}] * ROWS, "label": labels()},
         {"image": {"_type": "Image"}}, {}, r"^column 'image' of d must be of numbers.+got type Image\. Save"),
        ({"a": [1.0] * ROWS, "b": labels()}, {}, {}, r"^target of the data must be .+ of d; got None"),
        ({"a": [1.0] * ROWS, "label": labels()}, {}, {"target": "labl"}, r"^target of d must be one of .+got 'labl'"),
        ({"a": [1.0] * ROWS, "label": labels()}, {}, {"ignore": ["c"]}, r"^ignore of d must be names of its columns"),
        ({"label": labels()}, {}, {}, r"^columns of d must be more than the target"),
        ({"a": [], "label": []}, {}, {}, r"^the table of d must be of at least one row; got none"),
        ({"input_ids": IDS, "label": labels()}, {}, {"max_bytes": 100}, r"^column 'input_ids' of d takes 1,280 bytes"),
    ],
)  # fmt: skip
def test_what_is_refused(
    tmp_path: Path, columns: dict[str, Any], features: dict[str, Any], arguments: dict[str, Any], message: str
):
    with pytest.raises(BadInput, match=message):
        load(saved(tmp_path / "d", columns, features), **arguments)


def test_damaged_folders(tmp_path: Path):
    def anew(name: str) -> Path:
        return saved(tmp_path / name, {"a": [float(row) for row in range(ROWS)], "label": labels()})

    def state(folder: Path, **changes: Any) -> Path:
        file = folder / "state.json"
        file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **changes}), encoding="utf-8")
        return folder

    one = anew("cut")
    file = one / "data-00001-of-00002.arrow"
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(CorruptFile, match=r"^data-00001-of-00002\.arrow must be a whole file of Arrow; got"):
        load(one)
    two = anew("gone")
    (two / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(CorruptFile, match=r"^gone lacks the file 'data-00001-of-00002\.arrow', which it names"):
        load(two)
    three = anew("text")
    (three / "state.json").write_text("[", encoding="utf-8")
    with pytest.raises(CorruptFile):
        load(three)
    with pytest.raises(CorruptFile, match=r"must name files of Arrow in its folder; got"):
        load(state(anew("outside"), _data_files=[{"filename": "../cut/data-00000-of-00002.arrow"}]))
    with pytest.raises(BadInput, match=r"kept with indices into its rows\. Save it again after flatten_indices"):
        load(state(anew("indices"), _indices_files=[{"filename": "indices.arrow"}]))
    with pytest.raises(BadInput, match=r"^split, validation and test of load must be left out or shares"):
        load(anew("other"), test="file.parquet")
    part = {"a": [1.0] * ROWS, "label": labels()}
    with pytest.raises(BadInput, match=r"^splits of no train must be of train, validation, test; got \['test'\]"):
        load(saved_dict(tmp_path / "no train", {"test": part}))
    with pytest.raises(BadInput, match=r"^splits of twice must be one for validation; got 'dev' and 'val'"):
        load(saved_dict(tmp_path / "twice", {"train": part, "dev": part, "val": part}))
    with pytest.raises(BadInput, match=r"^columns of differ/test must be .+; got column a of int64, and not of double"):
        load(saved_dict(tmp_path / "differ", {"train": part, "test": {**part, "a": [1] * ROWS}}))
