"""ONNX files that take several inputs by the names of the data."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from attar.errors import BadInput
from attar.named_inputs import NamedInputs
from attar.teachers import as_teacher

TABLE = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
X: dict[str, Any] = {
    "image": np.zeros((6, 1, 2, 2), np.uint8),
    "age": np.linspace(0, 1, 6, dtype=np.float32),
    "ids": np.random.default_rng(1).integers(0, 9, (6, 4)),
    "mask": np.random.default_rng(2).random((6, 4)) < 0.6,
}
NAMED, ROWS = NamedInputs.of(X, "x")
EXPECTED = (TABLE[X["ids"]] * X["mask"][..., None]).sum(1) + X["age"][:, None]


def file(
    path: Path, batch: int | str = "batch", ids: str = "ids", length: int = 4, mask: int = TensorProto.INT64
) -> str:
    """Write the sum of what a table says of the tokens that count, and the age; the image is not looked at."""
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", ids], ["found"]),
            helper.make_node("Cast", ["mask"], ["counts"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["counts", "last"], ["each"]),
            helper.make_node("Mul", ["found", "each"], ["counted"]),
            helper.make_node("ReduceSum", ["counted", "middle"], ["sum"], keepdims=0),
            helper.make_node("Add", ["sum", "age"], ["logits"]),
        ],
        "several",
        [
            helper.make_tensor_value_info("mask", mask, [batch, length]),
            helper.make_tensor_value_info("age", TensorProto.FLOAT, [batch, 1]),
            helper.make_tensor_value_info(ids, TensorProto.INT64, [batch, length]),
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 3])],
        [
            numpy_helper.from_array(TABLE, "table"),
            numpy_helper.from_array(np.array([2]), "last"),
            numpy_helper.from_array(np.array([1]), "middle"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return str(path)


@pytest.mark.parametrize("batch", ["batch", 4])
@pytest.mark.parametrize("mask", [TensorProto.INT64, TensorProto.BOOL])
def test_each_input_goes_to_its_name_in_its_type(tmp_path: Path, batch: int | str, mask: int) -> None:
    teacher = as_teacher(file(tmp_path / "t.onnx", batch, mask=mask), named=NAMED)
    assert teacher.classes == 3
    for rows in (1, 6):
        found = teacher.predict(torch.from_numpy(ROWS[:rows]))
        np.testing.assert_allclose(found.numpy(), EXPECTED[:rows], rtol=1e-5)
    np.testing.assert_allclose(pickle.loads(pickle.dumps(teacher)).predict(torch.from_numpy(ROWS)), found)


def test_the_data_and_their_order_count(tmp_path: Path) -> None:
    path = file(tmp_path / "t.onnx")
    other, rows = NamedInputs.of(dict(reversed(X.items())), "x")
    teachers = [as_teacher(path, named=one) for one in (NAMED, other)]
    assert len({one.fingerprint() for one in teachers}) == 2
    np.testing.assert_allclose(teachers[1].predict(torch.from_numpy(rows)).numpy(), EXPECTED, rtol=1e-5)
    np.testing.assert_allclose(teachers[1].runner(1)(rows), EXPECTED, rtol=1e-5)  # type: ignore[attr-defined]
    with pytest.raises(BadInput, match=r"takes rows of .*, and gets inputs of shape \[3\]"):
        teachers[0].predict(torch.zeros(2, 3))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"ids": "idx"},
            r"'t.onnx' takes mask, age, idx, and the inputs of the data are called image, age, ids, mask\. Give",
        ),
        ({"length": 7}, r"'t.onnx' takes mask int64 \[7\], and mask of the data is bool \[4\] for each row"),
    ],
)
def test_a_file_of_other_inputs(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        as_teacher(file(tmp_path / "t.onnx", **wrong), named=NAMED)


def test_a_file_of_several_inputs_for_data_of_one(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"takes 3 inputs .* and the data have one\. .* arrays x\.mask and x\.age of an"):
        as_teacher(file(tmp_path / "t.onnx"), classes=3)
