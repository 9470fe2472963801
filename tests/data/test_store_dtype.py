"""Targets in one byte: the bound of their error, how they combine with top k, and stores of earlier versions."""

import hashlib
import json
import math

import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled import NAMES, TWICE, Linear, Says, all_rows, logits, same, split, stored

from attar.data.split import Split
from attar.data.store import Targets, label
from attar.errors import BadInput, CorruptFile, StaleStore
from attar.ops.top_k import TopK
from attar.records import to_text
from attar.tasks.classification import Classification

pytestmark = pytest.mark.usefixtures("untried")


def step(said: torch.Tensor) -> torch.Tensor:
    """The longest that a step can be, ``[rows, 1]``: the range in 255 parts, rounded up to the next float16."""
    furthest = (said.amax(1) - said.amin(1)).double() / 255
    return (furthest * (1 + 2**-10) + 2**-24)[:, None]


def below(said: torch.Tensor) -> torch.Tensor:
    """How far each logit is below the largest of its row."""
    return said.amax(1, keepdim=True).double() - said.double()


# The error


@given(said=logits())
@settings(deadline=None, max_examples=60)
def test_a_logit_is_off_from_the_largest_by_at_most_half_a_step(said):
    read, targets = stored(said, dtype="int8")
    assert targets.dtype == "int8" and read.dtype == torch.float32
    rounding = 1e-6 * read.abs().amax(1, keepdim=True).double() + 1e-6 * said.abs().amax(1, keepdim=True)
    assert ((below(read) - below(said)).abs() <= step(said) / 2 + rounding).all()
    assert (read.gather(1, said.argmax(1, keepdim=True)) == read.amax(1, keepdim=True)).all(), "the largest stays it"
    torch.testing.assert_close(read.mean(1), torch.zeros(len(said)), rtol=0, atol=1e-6 * float(read.abs().max()) + 1e-9)


@given(said=logits(least_classes=2), data=st.data())
@settings(deadline=None, max_examples=60)
def test_of_the_top_k_a_log_probability_is_off_by_at_most_a_step(said, data):
    top_k = data.draw(st.integers(1, said.shape[1] - 1))
    read, targets = stored(said, top_k=top_k, dtype="int8")
    assert (targets.kind, targets.top_k, targets.dtype) == ("top-k", top_k, "int8")
    top = TopK.of(said, top_k)
    # Half a step from the likeliest, and as much again for the scaling of all together.
    error = step(top.log_probabilities) + 2e-5 * (1 + top.log_probabilities.abs())
    assert ((read.double().gather(1, top.index) - top.log_probabilities).abs() <= error).all()
    others = torch.ones_like(read, dtype=torch.bool).scatter(1, top.index, False)
    torch.testing.assert_close(read.double()[others], top.full()[others], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(read.exp().sum(1), torch.ones(len(said)), rtol=0, atol=1e-5)


def test_hand_worked():
    # The range is 2.55, so that a step is 0.01, rounded up to the float16 0.010002.
    said = torch.tensor([[1.0, 0.0, -1.55, 0.996]])
    read, _ = stored(said, dtype="int8")
    assert below(read).tolist()[0] == pytest.approx([0.0, 1.0002, 2.5506, 0.0], abs=1e-4)


def test_equal_logits_are_exact():
    read, _ = stored(torch.full((3, 4), 7.25), dtype="int8")
    assert torch.equal(read, torch.zeros(3, 4))


def test_the_largest_range_that_float16_can_hold():
    said = torch.tensor([[-65000.0, 65000.0]])
    read, _ = stored(said, dtype="int8")
    assert below(read)[0, 0].item() == pytest.approx(130_000, rel=2e-3)


@pytest.mark.parametrize("top_k", [None, 2])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 3e38, 1e6], ids=str)
def test_logits_that_cannot_be_kept_are_refused_as_in_float16(tmp_path, top_k, value):
    data, said = split(), torch.zeros(50, 5)
    said[33, 1], said[33, 2] = value, -value
    with pytest.raises(BadInput, match=rf"for the example with id {int(data.ids[33])} must be finite"):
        label(Says(said), data, tmp_path, top_k=top_k, dtype="int8", batch_size=8)


# What is on disk


@pytest.mark.parametrize(
    ("top_k", "dtype", "most"),
    [(None, "float16", 200), (None, "int8", 102), (5, "float16", 5 * 6 + 4), (5, "int8", 5 * 5 + 4 + 2)],
)
def test_bytes_per_example_are_those_of_the_files(tmp_path, top_k, dtype, most):
    data = Split(torch.randn(4000, 6), None, torch.arange(4000), Classification(tuple(map(str, range(100)))))
    targets = label(Linear(classes=100), data, tmp_path, top_k=top_k, dtype=dtype)
    on_disk = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert targets.size_bytes == on_disk and targets.bytes_per_example == on_disk / 4000
    assert targets.bytes_per_example < most + (tmp_path / "manifest.json").stat().st_size / 4000


def test_other_engines_can_read_the_codes(tmp_path):
    targets = label(Linear(), split(), tmp_path, dtype="int8")
    table = pq.read_table(tmp_path / "shard-000-00000.parquet")
    assert table.column_names == ["id", "view", "code", "scale"]
    code = torch.tensor(table["code"].to_pylist())
    scale = torch.tensor(table["scale"].to_pylist(), dtype=torch.float32)
    assert code.amin(1).tolist() == [0] * 50 and code.amax(1).tolist() == [255] * 50
    numbers = -code * scale[:, None]
    torch.testing.assert_close(all_rows(targets), numbers - numbers.mean(1, keepdim=True))


@pytest.mark.parametrize("top_k", [None, 2])
def test_reading_takes_rows_in_any_order(tmp_path, top_k):
    targets = label(Linear(), split(), tmp_path, views=TWICE, rows_per_shard=20, top_k=top_k, dtype="int8")
    rows = torch.tensor([49, 0, 20, 19, 0])
    said = targets(None, rows, 1)
    read = said.full() if isinstance(said, TopK) else said
    assert torch.equal(read, all_rows(targets, 1)[rows])


def test_what_it_says_about_itself(tmp_path):
    targets = label(Linear(), split(), tmp_path, dtype="int8", top_k=2)
    assert str(targets).startswith("top 2 logits in int8 of 50 examples in 1 view, 5 classes, ")
    assert same(targets, Targets.open(tmp_path))


def test_other_codes_make_a_store_stale(tmp_path):
    label(Linear(), split(), tmp_path, dtype="int8")
    with pytest.raises(StaleStore, match=r"has changed in: dtype \(stored 'int8', now 'float16'\)"):
        label(Linear(), split(), tmp_path, replace_stale=False)


def test_a_pass_that_died_goes_on(tmp_path):
    arguments = {"views": TWICE, "batch_size": 10, "rows_per_shard": 20, "dtype": "int8", "top_k": 2}
    with pytest.raises(KeyboardInterrupt):
        label(Linear(dies_after=4), split(), tmp_path / "a", **arguments)
    teacher = Linear()
    targets = label(teacher, split(), tmp_path / "a", **arguments)
    assert teacher.asked == 6
    assert same(targets, label(Linear(), split(), tmp_path / "b", **arguments))


def test_unknown_codes(tmp_path):
    with pytest.raises(BadInput, match=r"dtype of label must be 'float16' or 'int8'; got 'int4'. Did you mean 'int8'"):
        label(Linear(), split(), tmp_path, dtype="int4")
    assert not list(tmp_path.iterdir())


# Manifests


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"dtype": "int4"}, "its numbers are not kept as 'int4'"),
        ({"dtype": "float32"}, "its numbers are not kept as 'float32'"),
        ({"top_k": 5}, "it keeps 5 of 5 classes"),
        ({"fidelity": []}, "an entry is missing or wrong"),
        ({"fidelity": {"shard-000-00000.parquet": [{"kl": 1.0}]}}, "an entry is missing or wrong"),
        ({"fidelity": {"shard-000-00000.parquet": 7}}, "an entry is missing or wrong"),
    ],
    ids=str,
)
def test_a_manifest_that_contradicts_itself(tmp_path, change, why):
    label(Linear(), split(), tmp_path, dtype="int8")
    path = tmp_path / "manifest.json"
    path.write_text(to_text({**json.loads(path.read_text()), **change}))
    with pytest.raises(CorruptFile, match=why):
        Targets.open(tmp_path)


def test_a_part_in_other_codes_is_refused(tmp_path):
    label(Linear(), split(), tmp_path / "a")
    label(Linear(), split(), tmp_path / "b", dtype="int8")
    part = tmp_path / "b" / "shard-000-00000.parquet"
    part.write_bytes((tmp_path / "a" / part.name).read_bytes())
    document = json.loads((tmp_path / "b" / "manifest.json").read_text())
    document["shards"][part.name] = hashlib.sha256(part.read_bytes()).hexdigest()
    (tmp_path / "b" / "manifest.json").write_text(to_text(document))
    with pytest.raises(CorruptFile, match=r"it has 50 rows of \['id', 'view', 'logits'\]"):
        Targets.open(tmp_path / "b")


def test_names_are_those_of_the_split(tmp_path):
    assert label(Linear(), split(), tmp_path, dtype="int8").task.names == NAMES


def test_a_small_range_has_steps_as_coarse_as_a_float16_near_0():
    said = torch.linspace(0, 1e-5, 64).repeat(2, 1) * torch.tensor([[1.0], [100.0]])
    read, _ = stored(said, dtype="int8")
    off, ranges = (below(read) - below(said)).abs().amax(1), said.amax(1).double()
    assert off[0] > 0.00197 * ranges[0], "half a step of an exact scale"
    assert (off <= 0.00197 * ranges + 3.1e-8).all()
