"""The teacher that is an ONNX file."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from attar.errors import BadInput, CorruptFile
from attar.teachers import Teacher, as_teacher
from attar.teachers.onnx import OnnxTeacher

WEIGHT = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
INPUTS = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))


def linear(
    path: Path,
    *,
    batch: int | str = "batch",
    classes: int | str = 3,
    kind: int = TensorProto.FLOAT,
    inputs: int = 1,
    outputs: int = 1,
    external: bool = False,
) -> Path:
    """Write the model ``inputs @ WEIGHT``, or a spoiled one."""
    nodes = [helper.make_node("MatMul", ["input", "weight"], ["logits"])]
    if inputs > 1:
        nodes = [
            helper.make_node("Add", ["input", "input1"], ["sum"]),
            helper.make_node("MatMul", ["sum", "weight"], ["logits"]),
        ]
    if isinstance(classes, str):
        # Keep the columns whose sum equals itself: all of them, though no inference of shapes can know it.
        nodes = [
            helper.make_node("MatMul", ["input", "weight"], ["all"]),
            helper.make_node("ReduceSum", ["all", "axes"], ["sums"], keepdims=0),
            helper.make_node("Equal", ["sums", "sums"], ["keep"]),
            helper.make_node("Compress", ["all", "keep"], ["logits"], axis=1),
        ]
    if outputs > 1:
        nodes.append(helper.make_node("Identity", ["logits"], ["logits1"]))
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("input" + (str(i) if i else ""), kind, [batch, 6]) for i in range(inputs)],
        [
            helper.make_tensor_value_info("logits" + (str(i) if i else ""), kind, [batch, classes])
            for i in range(outputs)
        ],
        [
            numpy_helper.from_array(WEIGHT.astype(helper.tensor_dtype_to_np_dtype(kind)), "weight"),
            numpy_helper.from_array(np.array([0]), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    if external:
        onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    else:
        onnx.save(model, path)
    return path


def test_predicts_what_the_file_computes(tmp_path):
    teacher = OnnxTeacher(linear(tmp_path / "t.onnx"))
    assert isinstance(teacher, Teacher) and teacher.classes == 3
    for batch in (1, 5):
        torch.testing.assert_close(teacher.predict(INPUTS[:batch]), INPUTS[:batch] @ torch.from_numpy(WEIGHT))


def test_as_teacher_opens_a_path(tmp_path):
    path = linear(tmp_path / "t.onnx")
    assert as_teacher(str(path)).classes == as_teacher(path).classes == 3


def test_classes_that_the_file_leaves_open(tmp_path):
    path = linear(tmp_path / "t.onnx", classes="classes")
    with pytest.raises(BadInput, match=r"'t.onnx' leaves open how many numbers it gives for each row. Pass classes=10"):
        OnnxTeacher(path)
    assert OnnxTeacher(path, classes=3).predict(INPUTS).shape == (5, 3)
    with pytest.raises(BadInput, match=r"'t.onnx' gives 3 numbers for each row, and 4 are needed"):
        OnnxTeacher(path, classes=4).predict(INPUTS)


def test_classes_that_contradict_the_file(tmp_path):
    with pytest.raises(BadInput, match=r"'t.onnx' gives 3 numbers for each row, and 4 are needed"):
        OnnxTeacher(linear(tmp_path / "t.onnx"), classes=4)


@pytest.mark.parametrize("shape", [(5, 7), (5, 6, 1), (30,)], ids=str)
def test_inputs_of_another_shape(tmp_path, shape):
    teacher = OnnxTeacher(linear(tmp_path / "t.onnx"))
    with pytest.raises(BadInput, match=r"'t.onnx' takes inputs of shape \[6\] for each row, and gets \["):
        teacher.predict(torch.zeros(shape))


def test_fixed_batch_dimension(tmp_path):
    for batch in (1, 2, 4, 7):
        teacher = OnnxTeacher(linear(tmp_path / f"{batch}.onnx", batch=batch))
        for rows in (0, 1, 5):
            torch.testing.assert_close(teacher.predict(INPUTS[:rows]), INPUTS[:rows] @ torch.from_numpy(WEIGHT))
        assert [f"batches of {batch}" in text for text in teacher.output_reader.remarks] == [True]


@pytest.mark.parametrize(
    ("spoiled", "match"),
    [
        ({"inputs": 2}, r"'t.onnx' takes 2 inputs \('input', 'input1'\), and the data have one"),
    ],
)
def test_file_of_another_form(tmp_path, spoiled, match):
    with pytest.raises(BadInput, match=match):
        OnnxTeacher(linear(tmp_path / "t.onnx", **spoiled))


@pytest.mark.parametrize("content", [b"", b"not a model"], ids=["empty", "text"])
def test_file_that_is_no_model(tmp_path, content):
    (tmp_path / "t.onnx").write_bytes(content)
    with pytest.raises(CorruptFile, match=r"no file that ONNX Runtime can read|is no ONNX graph"):
        OnnxTeacher(tmp_path / "t.onnx")


def test_truncated_file(tmp_path):
    path = linear(tmp_path / "t.onnx")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(CorruptFile, match=r"no file that ONNX Runtime can read|is no ONNX graph"):
        OnnxTeacher(path)


def test_missing_file_and_bad_threads(tmp_path):
    with pytest.raises(BadInput, match="There is no ONNX file"):
        OnnxTeacher(tmp_path / "t.onnx")
    with pytest.raises(BadInput, match="threads of OnnxTeacher must be at least 1"):
        OnnxTeacher(linear(tmp_path / "t.onnx"), threads=0)


def test_fingerprint_covers_the_file_and_its_external_data(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    inside, outside = linear(tmp_path / "a" / "t.onnx"), linear(tmp_path / "b" / "t.onnx", external=True)
    assert OnnxTeacher(inside).fingerprint() == OnnxTeacher(inside).fingerprint()
    teacher = OnnxTeacher(outside)
    before, data = teacher.fingerprint(), tmp_path / "b" / "weights.bin"
    changed = bytearray(data.read_bytes())
    changed[0] ^= 1
    data.write_bytes(changed)
    assert teacher.fingerprint() != before
    data.unlink()
    with pytest.raises(CorruptFile, match=r"weights\.bin', which is gone"):
        teacher.fingerprint()


@pytest.mark.parametrize("external", [False, True], ids=["one file", "weights beside it"])
def test_it_travels_to_where_its_file_is_not(tmp_path, external):
    teacher = OnnxTeacher(linear(tmp_path / "t.onnx", external=external), threads=64)
    sent = pickle.dumps(teacher)
    for file in tmp_path.iterdir():
        file.unlink()
    there = pickle.loads(sent)
    assert torch.equal(there.predict(INPUTS), teacher.predict(INPUTS))
    assert there.threads <= torch.get_num_threads() and there.classes == 3
