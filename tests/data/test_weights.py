"""What examples count in training: read, carried along with the examples, and refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

from attar.data.datasets import from_arrays, keep_classes, load, shrink
from attar.data.split import Dataset
from attar.data.subset import joined, with_synthetic
from attar.data.synthesis.synthesize import Synthesis
from attar.data.transfer_set import TransferSet
from attar.data.weights import weights_of
from attar.errors import BadInput

ROWS = 40
COUNTS = np.arange(ROWS) % 5 + 0.5
X = np.random.default_rng(0).normal(size=(ROWS, 2)).astype("float32")
Y = np.arange(ROWS) % 2


def expect(dataset: Dataset) -> None:
    """Examples that are learned from, and that choose the best epoch, have the weights of their rows."""
    for split in (dataset.train, dataset.validation):
        assert split.weights is not None
        ratio = split.weights.numpy() / COUNTS[split.ids.numpy()]
        np.testing.assert_allclose(ratio, 1 / COUNTS.mean(), rtol=1e-6)
    assert dataset.test.weights is None


@pytest.mark.parametrize("name", ["mine.csv", "mine.parquet", "mine.npz", "arrays", "frame"])
def test_weights_stay_with_their_rows(tmp_path: Path, name: str):
    table = pa.table({"a": X[:, 0], "b": X[:, 1], "count": COUNTS, "y": Y})
    path = tmp_path / name
    if name == "mine.npz":
        np.savez(path, x=X, y=Y, count=COUNTS)
        dataset = load(path, weights="count")
    elif name == "arrays":
        dataset = from_arrays("d", {"x": X, "y": Y, "weights": COUNTS})
    elif name == "frame":
        dataset = from_arrays("d", {"x": table.select(["a", "b"]).to_pandas(), "y": Y, "weights": COUNTS})
    else:
        if name == "mine.parquet":
            pyarrow.parquet.write_table(table, path)
        else:
            table.to_pandas().to_csv(path, index=False)
        dataset = load(path, target="y", weights="count")
        assert dataset.columns is not None and dataset.columns.names == ("a", "b")
    expect(dataset)
    expect(shrink(dataset, 20))
    names = list(reversed(dataset.classes))
    expect(keep_classes(dataset, names))
    assert dataset.train.fingerprint() != dataset.train.rows(torch.arange(3)).fingerprint()
    other = from_arrays("d", {"x": X, "y": Y, "weights": COUNTS + 1})
    assert other.train.fingerprint() != from_arrays("d", {"x": X, "y": Y, "weights": COUNTS}).train.fingerprint()


def test_weights_of_any_unit_have_a_mean_of_one():
    assert weights_of("w", "d", [1, 3], 2).tolist() == weights_of("w", "d", torch.tensor([100, 300]), 2).tolist()
    assert weights_of("w", "d", np.array([True, True, False, False]), 4).tolist() == [2, 2, 0, 0]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([1.0], r"w of d must be \[2\], one for each row; got \(1,\)"),
        ([[1.0, 1.0]], r"\[2\], one for each row"),
        ([1.0, -1.0], "finite and at least 0; got -1.0 in row 1"),
        ([1.0, float("nan")], "finite and at least 0; got nan in row 1"),
        ([0, 0], "above zero for a row at least; got 0 for all"),
        (["a", "b"], "numbers; got list of <U1"),
        (np.array([1, "b"], object), "numbers; got others"),
    ],
)
def test_what_is_no_weight_is_refused(given: Any, told: str):
    with pytest.raises(BadInput, match=told):
        weights_of("w", "d", given, 2)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"weights": "cuont"}, "weights of mine.csv must be one of its columns; got 'cuont'. Did you mean 'count'"),
        ({"weights": "b", "ignore": ["b"]}, "ignore of mine.csv must be columns other than the target, the split and"),
        ({"weights": "y"}, "weights of mine.csv must be a column other than the target"),
        ({"weights": "name"}, "weights column 'name' of mine.csv must be of numbers"),
        ({"weights": "gaps"}, "column 'gaps' of mine.csv must be finite and at least 0; got nan in row 3"),
    ],
)
def test_a_column_that_cannot_be_weights_is_refused(tmp_path: Path, settings: dict[str, Any], told: str):
    gaps = [None if row == 3 else 1.0 for row in range(ROWS)]
    names = ["ab"[row % 2] for row in range(ROWS)]
    table = pa.table({"a": X[:, 0], "b": X[:, 1], "count": COUNTS, "name": names, "gaps": gaps, "y": Y})
    table.to_pandas().to_csv(tmp_path / "mine.csv", index=False)
    with pytest.raises(BadInput, match=told):
        load(tmp_path / "mine.csv", target="y", **settings)


def test_data_without_a_column_for_weights_refuse_one():
    with pytest.raises(BadInput, match=r"weights of load must be for tables in files, \.npz files and functions alone"):
        load("digits", weights="w")


@pytest.mark.parametrize("rows", [80, 90])
def test_a_row_that_is_made_of_another_counts_what_that_one_does(rows: int):
    dataset = from_arrays("d", {"x": X, "y": Y, "weights": COUNTS, "columns": ["a", "b"]})
    train, columns = dataset.train, dataset.columns
    assert columns is not None and train.weights is not None
    synthesis = Synthesis(rows=rows, p=1e-12, s=1.0)  # changes nothing
    made = torch.from_numpy(synthesis.draw(train.inputs.double().numpy(), columns, seed=3)).float()
    assert len(train) == 29  # so that the last round is a part of one
    both = with_synthetic(train, made, synthesis, seed=3)
    assert both.weights is not None and len(both) == 29 + rows
    for row in range(rows):
        (origin,) = (train.inputs == made[row]).all(1).nonzero()[:, 0].tolist()
        assert both.weights[29 + row] == train.weights[origin]
    alone = with_synthetic(train, made, Synthesis(rows=rows, method="random"), seed=3, original=False).weights
    assert alone is not None and torch.equal(alone, train.weights.mean().expand(rows))
    assert joined(from_arrays("d", {"x": X, "y": Y}).train, torch.zeros(3, 2)).weights is None


def test_a_transfer_set_counts_relative_to_the_mean():
    train = from_arrays("d", {"x": X, "y": Y, "weights": COUNTS}).train
    assert train.weights is not None
    weights = TransferSet(train).batch(torch.arange(len(train)), 0).weights
    assert weights is not None and weights.mean().item() == pytest.approx(1.0)
    torch.testing.assert_close(weights / weights[0], train.weights / train.weights[0])
