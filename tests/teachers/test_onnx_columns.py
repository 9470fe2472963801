"""ONNX files as scikit-learn's converter writes pipelines: the columns of a table go in, several labels come out."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from onnx import TensorProto, helper

from attar.errors import BadInput
from attar.estimators.mimic import Mimic
from attar.tables.columns import Columns
from attar.teachers import as_teacher

FLOAT, INT, TEXT = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING

FRAME = pd.DataFrame({
    "city": ["Ulm", None, "Kiel", "Ulm"], "rooms": [2, 3, 1, 4], "size (m2)": [50.5, None, 30.0, 90.0], "id": range(4),
})  # fmt: skip
COLUMNS = Columns.infer(FRAME)
ROWS = torch.from_numpy(COLUMNS.encode(FRAME)).float()


def saved(path: Path, nodes: list[Any], inputs: dict[str, int], outputs: list[Any], width: Any = 1) -> str:
    graph = helper.make_graph(
        nodes,
        "pipeline",
        [helper.make_tensor_value_info(name, kind, [None, width]) for name, kind in inputs.items()],
        outputs,
    )
    sets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=sets, ir_version=10), path)
    return str(path)


def coded(name: str, result: str) -> Any:
    """10 for Ulm, 20 for Kiel, 30 for an empty text and 99 for any other."""
    values: dict[str, Any] = {"keys_strings": ["Ulm", "Kiel", ""], "values_floats": [10.0, 20.0, 30.0]}
    return helper.make_node("LabelEncoder", [name], [result], domain="ai.onnx.ml", default_float=99.0, **values)


def pipeline(path: Path, size: str = "size__m2_", kind: int = TEXT) -> str:
    """A file that gives the code of the city, the rooms, and the size, 0 where it is missing."""
    zero = helper.make_tensor("zero", FLOAT, [], [0.0])
    nodes = [
        coded("city", "code") if kind == TEXT else helper.make_node("Identity", ["city"], ["code"]),
        helper.make_node("Cast", ["rooms"], ["counted"], to=FLOAT),
        helper.make_node("Constant", [], ["none"], value=zero),
        helper.make_node("IsNaN", [size], ["gap"]),
        helper.make_node("Where", ["gap", "none", size], ["filled"]),
        helper.make_node("Concat", ["code", "counted", "filled"], ["scores"], axis=1),
    ]
    outputs = [helper.make_tensor_value_info("scores", FLOAT, [None, 3])]
    return saved(path, nodes, {size: FLOAT, "city": kind, "rooms": INT}, outputs)


def test_columns_are_fed_by_their_names_in_the_types_that_a_file_takes(tmp_path: Path):
    teacher = as_teacher(pipeline(tmp_path / "p.onnx"), columns=COLUMNS, classes=3, output="logits")
    expected = [[10.0, 2.0, 50.5], [30.0, 3.0, 0.0], [20.0, 1.0, 30.0], [10.0, 4.0, 90.0]]
    assert teacher.predict(ROWS).tolist() == expected
    assert pickle.loads(pickle.dumps(teacher)).predict(ROWS).tolist() == expected
    assert teacher.runner(1)(ROWS.numpy()).tolist() == expected  # type: ignore[attr-defined]
    more = Columns.infer(pd.concat([FRAME, FRAME.assign(city="Aachen")]))
    again = as_teacher(pipeline(tmp_path / "p.onnx"), columns=more, classes=3, output="logits")
    assert again.predict(torch.from_numpy(more.encode(FRAME)).float()).tolist() == expected
    assert again.fingerprint() != teacher.fingerprint() and again.predict(ROWS)[0, 0] == 20, "Kiel has code 1 there"
    with pytest.raises(BadInput, match=r"'p.onnx' takes rows of 4 columns, and gets \[3\]"):
        teacher.predict(ROWS[:, :3])


def test_a_mimic_learns_from_such_a_file(tmp_path: Path):
    draws = np.random.default_rng(0)
    frame = pd.DataFrame({"city": draws.choice(["Bonn", "Ulm"], 60), "rooms": draws.integers(1, 9, 60)})
    frame["size (m2)"] = draws.normal(60, 20, 60)
    teacher = as_teacher(pipeline(tmp_path / "p.onnx"), columns=COLUMNS, classes=3, output="values")
    mimic = Mimic(teacher, hidden=(16,), rows=200, steps=300, curves=0, random_state=0).fit(frame)
    error = np.abs(mimic.predict(frame)[:, 0] - np.where(frame["city"] == "Ulm", 10, 99))
    assert error.mean() < 15, "codes are those of the rows that it was fitted on, in which Bonn stands before Ulm"


def test_a_matrix_of_texts(tmp_path: Path):
    table = FRAME[["city"]].assign(rooms=FRAME["rooms"])
    outputs = [helper.make_tensor_value_info("scores", FLOAT, [None, 2])]
    path = saved(tmp_path / "t.onnx", [coded("X", "scores")], {"X": TEXT}, outputs, width=2)
    columns = Columns.infer(table)
    teacher = as_teacher(path, columns=columns, output="logits")
    rows = torch.from_numpy(columns.encode(table)).float()
    assert teacher.predict(rows).tolist() == [[10.0, 99.0], [30.0, 99.0], [20.0, 99.0], [10.0, 99.0]]


def test_what_does_not_go_together_is_told(tmp_path: Path):
    with pytest.raises(BadInput, match=r"takes texts \('size', 'city', 'rooms'\), and the data are numbers"):
        as_teacher(pipeline(tmp_path / "p.onnx", "size"), classes=3)
    with pytest.raises(
        BadInput, match=r"has no column \['size'\], but \['city', 'rooms', .*Give the columns the names"
    ):
        as_teacher(pipeline(tmp_path / "p.onnx", "size"), columns=COLUMNS)
    teacher = as_teacher(pipeline(tmp_path / "p.onnx", kind=FLOAT), columns=COLUMNS, output="logits")
    with pytest.raises(BadInput, match=r"takes city float \[1\], and the column .* is nominal of 2 values"):
        teacher.predict(ROWS)
    gaps = FRAME.assign(rooms=[1, None, 2, 3])
    teacher = as_teacher(pipeline(tmp_path / "p.onnx"), columns=Columns.infer(gaps), output="logits")
    with pytest.raises(BadInput, match=r"for rooms takes int64 inputs, and the data are numbers that this type"):
        teacher.predict(torch.from_numpy(Columns.infer(gaps).encode(gaps)).float())


@pytest.mark.parametrize("listed", [False, True], ids=["one tensor", "a list"])
def test_no_and_yes_of_each_label(tmp_path: Path, listed: bool):
    """Forests give ``[labels, rows, 2]``, and `MultiOutputClassifier` a list of ``[rows, 2]``, beside the labels."""
    each = [
        *(helper.make_node("Sigmoid", ["X"], ["yes"]), helper.make_node("Neg", ["X"], ["minus"])),
        helper.make_node("Sigmoid", ["minus"], ["no"]),
        helper.make_node("Concat", ["no", "yes"], ["first"], axis=1),
        helper.make_node("Concat", ["yes", "no"], ["second"], axis=1),
        helper.make_node("Greater", ["X", "X"], ["label"]),
    ]
    label = helper.make_tensor_value_info("label", TensorProto.BOOL, [None, 1])
    if listed:
        each.append(helper.make_node("SequenceConstruct", ["first", "second"], ["probabilities"]))
        given = helper.make_tensor_sequence_value_info("probabilities", FLOAT, None)
    else:
        each += [
            helper.make_node("Constant", [], ["zero"], value_ints=[0]),
            *(helper.make_node("Unsqueeze", [one, "zero"], [f"{one}_"]) for one in ("first", "second")),
            helper.make_node("Concat", ["first_", "second_"], ["probabilities"], axis=0),
        ]
        given = helper.make_tensor_value_info("probabilities", FLOAT, [2, None, 2])
    path = saved(tmp_path / "t.onnx", each, {"X": FLOAT}, [label, given])
    odds = as_teacher(path, classes=2, output="log_odds").predict(torch.tensor([[0.5], [-1.0], [2.0]]))
    torch.testing.assert_close(odds, torch.tensor([[0.5, -0.5], [-1.0, 1.0], [2.0, -2.0]]), atol=1e-5, rtol=0)


def test_an_output_for_each_class_is_told_how_to_be_one(tmp_path: Path):
    nodes = [helper.make_node("Flatten", ["X"], ["flat"], axis=0)]
    nodes += [helper.make_node("Reshape", ["flat", "all"], [one]) for one in ("i0", "i1")]
    nodes.insert(0, helper.make_node("Constant", [], ["all"], value_ints=[-1]))
    outputs = [helper.make_tensor_value_info(one, FLOAT, [None]) for one in ("i0", "i1")]
    with pytest.raises(
        BadInput, match=r"a number for each class as an output of its own .*options=\{'zipmap': False\}"
    ):
        as_teacher(saved(tmp_path / "t.onnx", nodes, {"X": FLOAT}, outputs), classes=2)
