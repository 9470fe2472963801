"""Files that are there or not, and how much may be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from attar.data.datasets import load
from attar.data.limits import allowed, existing, printable
from attar.errors import BadInput


def test_what_is_allowed():
    assert allowed(7) == 7 and allowed() > 1 << 20


def test_names_as_they_can_be_written():
    assert printable("größe.csv") == "größe.csv"
    assert printable("\ud800\0.csv") == "\\ud800\\x00.csv"
    assert len(printable("a" * 5000)) < 200


def test_near_names_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "customers.csv").write_text("a")
    monkeypatch.chdir(tmp_path)
    assert existing("customers.csv", "data") == Path("customers.csv")
    with pytest.raises(
        BadInput, match=r"^data: there is no file 'custmers\.csv' in the working folder\. Did you mean 'customers"
    ):
        load("custmers.csv", target="y")
    with pytest.raises(
        BadInput, match=r"^data: there is no file 'customers\.cvs' in the working folder\. Did you mean 'customers"
    ):
        load("customers.cvs", target="y")
    with pytest.raises(BadInput, match=r"^data: there is no file 'none/x\.npz', and no folder 'none'"):
        load("none/x.npz")
    with pytest.raises(BadInput, match=r"^data\.test: there is no file 'tset\.csv'"):
        existing("tset.csv", "data.test")


def test_a_folder_where_a_file_belongs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "animals" / "cat").mkdir(parents=True)
    with pytest.raises(
        BadInput, match=r"^data: 'animals' is a folder without data that are read\. Name a \.npz, .* a folder with PNG"
    ):
        load("animals")
    (tmp_path / "animals" / "cat" / "1.JPG").write_bytes(b"")
    with pytest.raises(BadInput, match=r"^data\.test: 'animals' is a folder of images, which data\.use alone takes\."):
        existing("animals", "data.test")


@pytest.mark.parametrize("name", ["x\0.csv", "\ud800.csv", "a" * 5000 + ".csv", "a/" * 2500 + "x.npz", "\udcff", "x\0"])
def test_names_that_no_file_can_have(name: str):
    with pytest.raises(BadInput) as caught:
        load(name, **({"target": "y"} if name.endswith(".csv") else {}))
    assert len(str(caught.value)) < 700 and str(caught.value).encode("utf-8")
