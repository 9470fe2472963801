"""Checkpoint files: whatever nests comes back the same, and a damaged file is noticed."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.errors import BadInput, CorruptFile
from attar.network.weights import write_tensors
from attar.training.checkpoint import load_state, save_state

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
KEYS = st.text(max_size=4) | st.integers() | st.booleans()
NESTED = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        # Keys that the file format itself uses must not be taken for it.
        | st.fixed_dictionaries({"__tensor__": inner, "__pairs__": inner, "__tuple__": inner})
    ),
    max_leaves=8,
)


def alike(one: object, other: object) -> bool:
    """Equal in value and in type, all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return list(map(type, one)) == list(map(type, other)) and alike(
            [*one.keys(), *one.values()], [*other.keys(), *other.values()]
        )
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    return one == other


@settings(deadline=None, max_examples=50)
@given(state=NESTED)
def test_plain_state_comes_back_the_same(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("state") / "it"
    save_state(state, path)
    assert alike(load_state(path), state)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor(3.5, dtype=torch.float64),
        torch.arange(6, dtype=torch.uint8),
        torch.tensor([True, False]),
        torch.zeros(0, 3),
        torch.full((2, 2), math.nan),
        torch.arange(6.0).view(2, 3).t(),
        torch.arange(4, dtype=torch.bfloat16),
        torch.zeros(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
        torch.get_rng_state(),
        torch.nn.Parameter(torch.ones(2)),
    ],
    ids=lambda tensor: f"{str(tensor.dtype)[6:]}-{tuple(tensor.shape)}",
)
def test_tensors_come_back_the_same(tensor, tmp_path):
    save_state({"deep": [(tensor, 1)], 7: tensor}, tmp_path / "it")
    back = load_state(tmp_path / "it")
    for found in (back["deep"][0][0], back[7]):
        assert found.dtype == tensor.dtype and found.shape == tensor.shape
        torch.testing.assert_close(found, tensor.detach(), rtol=0, atol=0, equal_nan=True)


def test_numbers_that_json_does_not_know_come_back(tmp_path):
    save_state([math.inf, -math.inf, math.nan], tmp_path / "it")
    up, down, neither = load_state(tmp_path / "it")
    assert (up, down) == (math.inf, -math.inf) and math.isnan(neither)


def test_what_is_saved_is_a_copy(tmp_path):
    tensor = torch.zeros(3)
    save_state([tensor, tensor[1:]], tmp_path / "it")
    tensor += 1
    one, part = load_state(tmp_path / "it")
    assert torch.equal(one, torch.zeros(3)) and torch.equal(part, torch.zeros(2))


def test_a_new_state_takes_the_place_of_the_old_and_leaves_nothing_else(tmp_path):
    for value in (1, 2):
        save_state({"value": value, "tensor": torch.full((100,), value)}, tmp_path / "deep" / "it")
    assert load_state(tmp_path / "deep" / "it")["value"] == 2
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["it"]


def test_a_crash_while_writing_leaves_the_old_state(tmp_path, monkeypatch):
    save_state({"value": 1}, tmp_path / "it")

    def crash(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        save_state({"value": 2}, tmp_path / "it")
    assert load_state(tmp_path / "it") == {"value": 1}


@pytest.mark.parametrize("value", [{1, 2}, object(), b"bytes", 1j])
def test_other_values_are_refused(value, tmp_path):
    with pytest.raises(TypeError, match="a checkpoint holds tensors and plain values; got"):
        save_state({"it": [value]}, tmp_path / "it")
    assert not (tmp_path / "it").exists()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"must be an existing safetensors file; got '.*none'"):
        load_state(tmp_path / "none")


@settings(deadline=None, max_examples=60)
@given(share=st.floats(0, 1, exclude_max=True), flip=st.none() | st.integers(0, 7))
def test_any_damage_is_noticed(share, flip, tmp_path_factory):
    """Cut off anywhere, or with one bit turned anywhere."""
    path = tmp_path_factory.mktemp("damage") / "it"
    save_state({"weights": torch.arange(20.0), "step": 12345, "rate": 0.125}, path)
    content = bytearray(path.read_bytes())
    at = int(share * len(content))
    if flip is None:
        del content[at:]
    else:
        content[at] ^= 1 << flip
    path.write_bytes(bytes(content))
    with pytest.raises(CorruptFile, match="Delete it to start that training anew"):
        load_state(path)


@pytest.mark.parametrize("about", [{}, {"state": 1}, {"state": 1, "sha256": "0"}, {"state": {"__tensor__": "x"}}])
def test_a_safetensors_file_of_another_kind_is_noticed(about, tmp_path):
    write_tensors({"x": torch.zeros(2)}, tmp_path / "it", about)
    with pytest.raises(CorruptFile, match="it is not a checkpoint of Attar"):
        load_state(tmp_path / "it")
