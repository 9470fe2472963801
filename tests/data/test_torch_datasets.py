"""Data sets of PyTorch as ours: what their items become, and what is refused."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from attar.data import matrices
from attar.data.datasets import load
from attar.data.torch_datasets import from_torch
from attar.errors import BadInput

X, Y = torch.arange(240, dtype=torch.float64).reshape(40, 2, 3), torch.arange(40) % 2


class Items(Dataset):
    """What a function gives for each number."""

    def __init__(self, item: Any, count: int = 40) -> None:
        self.item, self.count = item, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int) -> Any:
        return self.item(place)


def rows_of(dataset: Any) -> dict[int, Any]:
    """Inputs and label by the row they came from."""
    return {
        int(one): (inputs, label)
        for split in dataset.splits().values()
        for one, inputs, label in zip(split.ids, split.inputs, split.labels, strict=True)
    }


@pytest.mark.parametrize(
    "given",
    [
        TensorDataset(X, Y),
        Items(lambda row: (X[row], Y[row])),
        Items(lambda row: (X[row].numpy(), int(Y[row]))),
        Items(lambda row: {"image": X[row], "label": int(Y[row])}),
        Subset(TensorDataset(torch.cat([X, X]).flip(0), torch.cat([Y, Y]).flip(0)), range(79, 39, -1)),
        Subset(Items(lambda row: [X[row - 2], Y[row - 2]], 42), range(2, 42)),
    ],
    ids=["tensors", "pairs", "arrays", "dicts", "some tensors", "some items"],
)
@pytest.mark.parametrize("large", [1 << 28, 0])
def test_items_become_rows(given: Any, large: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(matrices, "LARGE", large)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    dataset = from_torch(given)
    assert [len(one) for one in dataset.splits().values()] == [29, 3, 8] and dataset.classes == ("0", "1")
    assert dataset.train.inputs.dtype == torch.float32
    for row, (inputs, label) in rows_of(dataset).items():
        assert torch.equal(inputs, X[row].float()) and label == Y[row]


def test_splits_images_and_names_of_classes():
    class Pictures(Items):
        classes = ["cat", "dog"]  # as torchvision has it

    def colors(row: int) -> Any:
        return PIL.Image.fromarray(np.full((4, 5, 3), row, np.uint8)), row % 2

    dataset = from_torch(Pictures(colors), validation=Pictures(colors, 6), test=Subset(Pictures(colors), [7, 9]))
    assert dataset.classes == ("cat", "dog") and dataset.train.inputs.shape == (40, 3, 4, 5)
    assert dataset.train.inputs.dtype == torch.uint8 and [len(one) for one in dataset.splits().values()] == [40, 6, 2]
    assert dataset.test.inputs[:, 0, 0, 0].tolist() == [7, 9] and dataset.drawn == ()
    grey = from_torch(Items(lambda row: (PIL.Image.new("L", (5, 4), row), row % 2)))
    assert grey.train.inputs.shape == (29, 1, 4, 5)


def test_images_of_a_palette_become_colors_and_black_and_white_becomes_grey():
    image = PIL.Image.new("P", (5, 4), 1)
    image.putpalette([0, 0, 0, 250, 20, 30])
    found = from_torch(Items(lambda row: (image, row % 2)))
    assert found.train.inputs.shape[1:] == (3, 4, 5) and found.train.inputs[0, :, 0, 0].tolist() == [250, 20, 30]
    found = from_torch(Items(lambda row: (PIL.Image.new("1", (5, 4), 1), row % 2)))
    assert found.train.inputs.dtype == torch.uint8 and found.train.inputs[0].unique().tolist() == [255]


def test_short_floats_become_long_ones():
    short = X.bfloat16()
    for given in (TensorDataset(short, Y), Items(lambda row: (short[row], Y[row]))):
        dataset = from_torch(given)
        assert dataset.train.inputs.dtype == torch.float32
        assert all(torch.equal(one, short[row].float()) for row, (one, _) in rows_of(dataset).items())


class Length(Items):
    """Items of which nobody knows how many there are."""

    def __len__(self) -> int:
        return -1


def test_several_inputs_and_tokens():
    named = from_torch(Items(lambda row: {"image": X[row], "age": float(row), "labels": row % 3}))
    assert named.named is not None and named.named.names == ("image", "age")
    tokens = from_torch(Items(lambda row: {"input_ids": [row, 1, 0], "attention_mask": [1, 1, 0], "labels": row % 2}))
    assert tokens.tokens is not None and tokens.tokens.length == 3
    assert tokens.train.inputs[0].tolist() == [[int(tokens.train.ids[0]), 1, 0], [1, 1, 0]]
    item = {"input_ids": [1, 2], "attention_mask": [1, 1], "token_type_ids": [0, 0], "label": 0}
    typed = from_torch(Items(lambda row: item | {"label": row % 2}))
    assert typed.tokens is not None and typed.tokens.length == 2
    with pytest.raises(BadInput, match=r"^token_type_ids_train of data must be left out, or 0 everywhere"):
        from_torch(Items(lambda row: item | {"token_type_ids": [0, 1], "label": row % 2}))
    beside = from_torch(Items(lambda row: item | {"stars": float(row), "label": row % 2}))
    assert beside.named is not None, "what stands beside tokens is not lost"
    assert beside.named.names == ("input_ids", "attention_mask", "token_type_ids", "stars")


def test_values_and_inputs_without_labels():
    values = from_torch(Items(lambda row: (X[row], row + 0.5)))
    assert values.task.use == "regression"
    alone = from_torch(Items(lambda row: X[row]), validation=TensorDataset(X, Y), test=TensorDataset(X, Y),
                       classes=["no", "yes"])  # fmt: skip
    assert alone.train.labels is not None and alone.train.labels.tolist() == [-1] * 40
    with pytest.raises(BadInput, match=r"^the train items of data must be pairs .+; got inputs alone"):
        from_torch(Items(lambda row: X[row]))
    with pytest.raises(BadInput, match=r"^the validation items of data must be pairs of input and label; got inputs"):
        from_torch(TensorDataset(X, Y), validation=TensorDataset(X))


def test_what_changes_each_time_is_told(caplog: pytest.LogCaptureFixture):
    draws = iter(range(1000))
    with caplog.at_level(logging.WARNING):
        from_torch(Items(lambda row: (X[row] + next(draws), row % 2)))
    assert "the train items of data come out differently each time" in caplog.text
    caplog.clear()
    from_torch(Items(lambda row: (X[row], float("nan") if row == 0 else row + 0.5)))
    assert not caplog.records, "a value that is not known is the same each time"


class Stream(IterableDataset):
    """Items without numbers."""

    def __iter__(self) -> Any:
        return iter([])


def _fails(row: int) -> Any:
    raise FileNotFoundError(f"no picture {row}")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Stream(), r"must be a map-style torch\.utils\.data\.Dataset; got a Stream, whose items come in a stream"),
        (7, r"must be a map-style torch\.utils\.data\.Dataset; got a int"),
        (Items(lambda row: (X[row], 0), 0), r"^the data set of the train items of data must be of at least one item"),
        (Items(lambda row: (X[row, : 1 + (row != 9)], 0)),
         r"^the input of item 9 of the train items of data must be of shape \[2, 3\] float32.+got \[1, 3\] float32"),
        (Items(lambda row: {"a": 1, "b": 2, "label": 0} if row < 3 else {"b": 1, "c": 2, "label": 0}),
         r"^input a of item 3 of the train items of data must be there, as in item 0"),
        (Items(_fails), r"^Item 0 of the train items of data cannot be read: FileNotFoundError: no picture 0\. Repair"),
        (Items(lambda row: (X[row], object())), r"^what is read of item 0 of .+ must be tensors, .+got a object"),
        (Items(lambda row: (1, 2, 3)), r"^what is read of item 0 of .+ must be a pair .+; got 3 values"),
        (Items(lambda row: (X[row], 1) if row else X[row]),
         r"^the label of the train items of data must be there in all items, or in none; got one in"),
        (Length(lambda row: X[row]), r"must be of a known length; got ValueError: __len__\(\) should return >= 0\."),
        (Items(lambda row: (X[row].to_sparse(), 0)), r"^what is read of item 0 .+ must be tensors with all of their"),
        (TensorDataset(X.to("meta"), Y), r"must be tensors with all .+; got a tensor of torch\.float64 on"),
        (Subset(TensorDataset(X, Y), [0, 99]), r"^Item 1 of the train items of data cannot be read: IndexError: index"),
        ({"train": TensorDataset(X, Y)}, r"must be a map-style .+; got a dict of train\. Give each by its name"),
        (Items(lambda row: {"label": 1}), r"^the inputs of item 0 of .+ must be there beside the label"),
    ],
    ids=["stream", "number", "empty", "shapes", "names", "raises", "object", "three", "labels of some",
         "length", "sparse", "meta", "indices", "splits", "label alone"],
)  # fmt: skip
def test_what_is_refused(given: Any, message: str):
    with pytest.raises(BadInput, match=message):
        from_torch(given)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "torch_sets.py").write_text(
        "import torch\nfrom torch.utils.data import TensorDataset\n"
        "def one(): return TensorDataset(torch.rand(40, 3), torch.arange(40) % 2)\n"
        "def three(): return {'train': one(), 'validation': one(), 'test': one()}\n"
        "def none(): return {'test': one()}\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    return "torch_sets"


def test_functions_of_recipes_return_them(module: str):
    assert len(load(f"{module}:one").train) == 29
    assert [len(one) for one in load(f"{module}:three").splits().values()] == [40, 40, 40]
    with pytest.raises(BadInput, match=r"a dict of train, validation and test"):
        load(f"{module}:none")
