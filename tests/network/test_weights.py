"""Files of weights: what is written comes back to the last bit, what is damaged is named; and digests of networks."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from attar.errors import BadInput, CorruptFile
from attar.network.weights import digest, load_weights, read_tensors, save_weights, write_tensors


def network(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 2).to(torch.float16))


# -- digest ------------------------------------------------------------------------------------------------------------


def test_equal_networks_have_equal_digests():
    assert digest(network()) == digest(network()) != digest(network(1))
    assert len(digest(network())) == 64


def test_layout_mode_and_gradients_do_not_matter():
    other = network().to(memory_format=torch.channels_last).eval().requires_grad_(False)
    assert digest(other) == digest(network())


def test_every_change_matters():
    changed = []
    for change in (
        lambda n: n[0].weight.data[0, 0, 0].add_(1e-6),
        lambda n: n[1].running_var.mul_(2),
        lambda n: n[1].num_batches_tracked.add_(1),
        lambda n: n[3].to(torch.float32),
        lambda n: n.add_module("more", nn.Linear(1, 1)),
        lambda n: n[0].bias.data.copy_(n[0].bias.data.flip(0)),
    ):
        other = network()
        change(other)
        changed.append(digest(other))
    assert len({digest(network()), *changed}) == 7


def test_names_types_and_shapes_matter_where_bytes_are_equal():
    def holding(name: str, tensor: torch.Tensor) -> str:
        module = nn.Module()
        module.register_buffer(name, tensor)
        return digest(module)

    zeros = torch.zeros(4)
    parts = [("a", zeros), ("b", zeros), ("a", zeros.view(2, 2)), ("a", zeros.int()), ("a", torch.zeros(2).double())]
    assert len({holding(*part) for part in parts}) == 5


# -- weights -----------------------------------------------------------------------------------------------------------


def test_weights_come_back_to_the_last_bit(tmp_path):
    save_weights(network(), tmp_path / "new" / "weights.safetensors", {"accuracy": 0.5})
    other = network(1)
    assert load_weights(other, tmp_path / "new" / "weights.safetensors") is other
    assert digest(other) == digest(network())
    assert read_tensors(tmp_path / "new" / "weights.safetensors")[1] == {"accuracy": 0.5}
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["weights.safetensors"]


def test_shared_weights_are_saved(tmp_path):
    tied = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    tied[1].weight = tied[0].weight
    save_weights(tied, tmp_path / "it")
    other = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    other[1].weight = other[0].weight
    assert digest(load_weights(other, tmp_path / "it")) == digest(tied)


def test_weights_of_others_are_read(tmp_path):
    """A file that another program wrote has no header of ours."""
    save_file({"weight": torch.ones(1, 2), "bias": torch.zeros(1)}, tmp_path / "it")
    assert load_weights(nn.Linear(2, 1), tmp_path / "it").weight.tolist() == [[1.0, 1.0]]


def test_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    save_weights(network(), tmp_path / "it")

    def crash(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        save_weights(network(1), tmp_path / "it")
    assert digest(load_weights(network(1), tmp_path / "it")) == digest(network())


def test_other_names_are_refused_and_nothing_is_changed(tmp_path):
    save_weights(nn.Sequential(nn.Linear(4, 3)), tmp_path / "it")
    into = nn.Linear(4, 3)
    before = digest(into)
    with pytest.raises(
        BadInput, match=r"missing \['bias', 'weight'\], unknown \['0.bias', '0.weight'\] \(2 and 2 in all\)"
    ):
        load_weights(into, tmp_path / "it")
    assert digest(into) == before


def test_other_shapes_are_refused_and_nothing_is_changed(tmp_path):
    save_weights(nn.Linear(4, 3), tmp_path / "it")
    into = nn.Linear(4, 2)
    before = digest(into)
    with pytest.raises(BadInput, match=r"tensor 'bias' of .* must be of shape \(2,\); got \(3,\)\. Build the network"):
        load_weights(into, tmp_path / "it")
    assert digest(into) == before


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_named(share, tmp_path):
    path = tmp_path / "it"
    save_weights(network(), path)
    complete = path.read_bytes()
    path.write_bytes(complete[: int(share * len(complete))])
    with pytest.raises(CorruptFile, match=r"it is not a whole safetensors file .*Restore it, or write it again\."):
        load_weights(network(), path)


def test_a_file_of_another_kind_is_named(tmp_path):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "it.pt")
    with pytest.raises(
        BadInput, match=r"it\.pt is a file of torch\.save, which is not read here.*save_file\(torch\.load"
    ):
        read_tensors(tmp_path / "it.pt")
    save_file({"x": torch.zeros(1)}, tmp_path / "broken", metadata={"attar": "{"})
    with pytest.raises(CorruptFile, match=r"header of .*broken is damaged: it is not JSON"):
        read_tensors(tmp_path / "broken")


@pytest.mark.parametrize("where", ["none", "."])
def test_a_missing_file_is_named(where, tmp_path):
    with pytest.raises(BadInput, match=r"path of the weights must be an existing safetensors file; got"):
        load_weights(network(), Path(tmp_path / where))


def test_no_tensors_at_all_can_be_written(tmp_path):
    write_tensors({}, tmp_path / "it", {"only": "words"})
    assert read_tensors(tmp_path / "it") == ({}, {"only": "words"})
