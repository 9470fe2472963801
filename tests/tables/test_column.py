"""Columns as documents, and columns that cannot be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typed_tables import frame, table

from attar.errors import BadInput
from attar.tables.column import Column
from attar.tables.columns import Columns

NAN = float("nan")


class TestJson:
    def test_there_and_back(self):
        for rows in (frame(), table()):
            columns = Columns.infer(rows)
            assert Columns.from_json(json.loads(json.dumps(columns.to_json()))) == columns

    def test_types_of_names_survive(self):
        for categories in ((False, True), (0, 1), (0.0, 1.0), ("0", "1")):
            column = Column("a", "nominal", categories)
            again = Column.from_json(json.loads(json.dumps(column.to_json())))
            assert [type(value) for value in again.categories] == [type(value) for value in categories]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"kind": "numbre"}, "kind of column 'a' must be a kind of column; got 'numbre'. Did you mean 'number'"),
            ({"kind": 3}, "kind of Column must be str; got 3"),
            ({"center": "0"}, "center of Column must be float or int; got '0'"),
            ({"center": True}, "center of Column must be float or int; got True"),
            ({"center": NAN}, "center and scale of column 'a' must be finite, and scale positive"),
            ({"scale": 0.0}, "center and scale of column 'a' must be finite, and scale positive"),
            ({"missing": 1}, "missing of Column must be bool; got 1"),
            ({"low": 3.0}, r"column 'a' has low=3.0 and high=None"),
            ({"low": 3.0, "high": 2.0}, "column 'a' has low=3.0 above high=2.0"),
            ({"categories": ["x"]}, "column 'a' holds numbers, which have no categories"),
            ({"categories": [None]}, "categories of Column must be bools, numbers or strings"),
            (
                {"kind": "nominal", "categories": ["b", "a"]},
                "categories of column 'a' must be of one type, sorted, each",
            ),
            (
                {"kind": "nominal", "categories": ["a", "a"]},
                "categories of column 'a' must be of one type, sorted, each",
            ),
            ({"kind": "nominal", "categories": ["a", 1]}, "categories of column 'a' must be of one type, sorted, each"),
            ({"more": 1}, "document of Column must be an object of name, kind, .*; got"),
        ],
    )
    def test_documents_that_are_wrong(self, changes: dict[str, Any], message: str):
        with pytest.raises(BadInput, match=f"^{message}"):
            Columns.from_json([Column("a", "number").to_json() | changes])

    @pytest.mark.parametrize("document", [None, "abc", {"columns": []}, 3])
    def test_documents_that_are_no_list(self, document: Any):
        with pytest.raises(BadInput, match=r"^document of Columns must be a list of columns; got"):
            Columns.from_json(document)

    def test_a_list_of_something_else(self):
        with pytest.raises(BadInput, match=r"^document of Column must be an object of name"):
            Columns.from_json([3])

    def test_no_columns_and_one_twice(self):
        with pytest.raises(BadInput, match=r"^Columns needs at least one column"):
            Columns(())
        with pytest.raises(BadInput, match=r"^Two columns of the rows have one name"):
            Columns((Column("a", "number"), Column("a", "number")))
