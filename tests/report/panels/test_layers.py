"""The panel of teacher's and student's layers."""

from __future__ import annotations

from typing import Any

from attar.evidence.panel import Beside, Cell, Folded, Stack, Table, Text
from attar.evidence.panel_json import to_json
from attar.report.panels.layers import layers


def linear(name: str, inputs: int, outputs: int, **more: Any) -> dict[str, Any]:
    parameters = inputs * outputs + outputs
    sizes = {"kernel": 0, "stride": 0, "inputs": inputs, "outputs": outputs}
    return {"name": name, "kind": "linear", **sizes, "parameters": parameters, "macs": inputs * outputs, **more}


RELU = {
    "name": "relu",
    "kind": "activation",
    "kernel": 0,
    "stride": 0,
    "inputs": 0,
    "outputs": 0,
    "parameters": 0,
    "macs": 0,
}


def texts(table: Table) -> list[list[str]]:
    rows = [[cell.text if isinstance(cell, Cell) else str(cell) for cell in row] for row in table.rows]
    return [[cell.replace("\xa0", " ") for cell in row] for row in rows]


def test_without_layers_there_is_no_panel() -> None:
    assert layers({}) == layers({"layers": {"teacher": [RELU], "student": []}}) == []


def test_each_layer_of_the_teacher_stands_beside_what_is_left_of_it() -> None:
    teacher = [
        linear("a", 6, 20, became="narrower"),
        {**RELU, "became": "removed"},
        linear("b", 20, 20, became="removed"),
        linear("c", 20, 3, became="fewer inputs"),
    ]
    (panel,) = layers({"layers": {"teacher": teacher, "student": [linear("a", 6, 5), linear("c", 5, 3)]}})
    to_json([panel])  # that it can be written
    text, table = panel.blocks
    assert isinstance(text, Text) and isinstance(table, Table)
    assert text.text.replace("\xa0", " ") == (
        "The teacher has 623 parameters and 580 multiply-adds; the student 53 parameters and 45 multiply-adds. Of 4 "
        "layers 2 are removed. 1 layer without weights is not shown; removed of these: 'relu'."
    )
    arrow = "\N{RIGHTWARDS ARROW}"
    assert texts(table) == [
        ["a", f"6 {arrow} 20", "140", "120", f"6 {arrow} 5", "35", "30", "narrower"],
        ["b", f"20 {arrow} 20", "420", "400", "", "", "", "removed"],
        ["c", f"20 {arrow} 3", "63", "60", f"5 {arrow} 3", "18", "15", "fewer inputs"],
    ]
    assert table.refused == [1]


def test_networks_that_have_nothing_to_do_with_each_other_have_a_table_each() -> None:
    (panel,) = layers({"layers": {"teacher": [linear("a", 6, 20), RELU], "student": [linear("0", 6, 3)]}})
    beside = panel.blocks[0]
    assert isinstance(beside, Beside) and all(isinstance(one, Stack) for one in beside.blocks)
    tables = [one.blocks[1] for one in beside.blocks if isinstance(one, Stack)]
    assert [len(one.rows) for one in tables if isinstance(one, Table)] == [1, 1]


def test_a_student_alone_has_one_and_many_layers_are_folded() -> None:
    many = [linear(str(number), 6, 20) for number in range(30)]
    (panel,) = layers({"layers": {"teacher": [], "student": many}})
    assert panel.title == "The student, layer by layer" and isinstance(panel.blocks[0], Stack)
    (folded,) = (block for block in panel.blocks[0].blocks if isinstance(block, Folded))
    assert folded.summary == "6 more layers"
