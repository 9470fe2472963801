"""How networks are named, identified, saved and rebuilt; nothing runs but what may."""

import json
import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from attar.errors import BadInput, CorruptFile
from attar.network.describe import Spec, digest, load_weights, read_tensors, resolve, save_weights, write_tensors
from attar.network.standardize import Standardize

MLP = Spec("attar.network.architectures:mlp", {"inputs": 4, "classes": 3, "hidden": [5]})


def network(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 2).to(torch.float16))


# -- spec --------------------------------------------------------------------------------------------------------------


def test_a_spec_builds_its_network():
    built = MLP.build()
    assert built(torch.zeros(2, 4)).shape == (2, 3)
    assert [layer.out_features for layer in built if isinstance(layer, nn.Linear)] == [5, 3]


def test_statistics_go_before_the_network():
    built = Spec(MLP.reference, MLP.arguments, mean=[0.5], std=[0.25]).build()
    assert isinstance(built, Standardize)
    x = torch.rand(2, 4)
    assert torch.equal(built(x), built.network((x - 0.5) / 0.25))


@pytest.mark.parametrize(
    "spec", [MLP, Spec(MLP.reference, MLP.arguments, [0.5], [0.25]), Spec("attar.network.architectures:resnet")]
)
def test_a_spec_survives_json(spec):
    assert Spec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@pytest.mark.parametrize("statistics", [{"mean": [0.5]}, {"std": [0.5]}])
def test_half_of_the_statistics_is_refused(statistics):
    with pytest.raises(BadInput, match="mean and std of the spec must be given together"):
        Spec(MLP.reference, MLP.arguments, **statistics)
    with pytest.raises(BadInput, match="mean and std of the spec must be given together"):
        Spec.from_json(MLP.to_json() | statistics)


@pytest.mark.parametrize(
    "reference", ["evil:run", "os:system", "attar_evil:run", "builtins:eval", ".attar:x", ":attar"]
)
def test_a_file_cannot_choose_what_runs(reference, tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("raise SystemError('this was run')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BadInput, match=r"network of the file must be a function of attar; got '.*'\. If you trust it"):
        Spec.from_json({"reference": reference, "arguments": {}})
    assert "evil" not in sys.modules


def test_what_is_allowed_is_said_in_full():
    document = {"reference": "mine.nets:small", "arguments": {}}
    assert Spec.from_json(document, allow=["attar", "mine"]).reference == "mine.nets:small"
    with pytest.raises(BadInput, match="must be a function of no package"):
        Spec.from_json(document, allow=())


@pytest.mark.parametrize("document", [{}, {"reference": 3}, {"reference": "attar.a:b", "arguments": [1]}])
def test_what_is_no_spec_is_refused(document):
    with pytest.raises(BadInput, match="spec of the file must be a reference and its arguments; got"):
        Spec.from_json(document)


def test_wrong_arguments_name_the_function():
    with pytest.raises(
        BadInput, match=r"arguments of attar\.network\.standardize:Standardize must be what the function takes; got"
    ):
        Spec("attar.network.standardize:Standardize", {"depth": 3}).build()


def test_a_function_that_returns_something_else_is_refused():
    with pytest.raises(BadInput, match=r"network of builtins:dict must be a torch.nn.Module; got 'dict'"):
        Spec("builtins:dict").build()


# -- resolve -----------------------------------------------------------------------------------------------------------


def test_a_reference_is_found():
    assert resolve("attar.network.describe:resolve") is resolve


def test_a_module_of_the_users_own_is_found(tmp_path, monkeypatch):
    (tmp_path / "my_nets_for_this_test.py").write_text("def small():\n    return 'it'\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert resolve("my_nets_for_this_test:small")() == "it"


@pytest.mark.parametrize(
    "reference",
    [
        "attar.network",
        "attar.network:",
        ":mlp",
        "",
        "attar/network.py",
        "attar..network:f",
        ".attar:f",
        "..:f",
        "a:b.c",
    ],
)
def test_a_malformed_reference_is_refused(reference):
    with pytest.raises(BadInput, match=r"must be written package\.module:function; got"):
        resolve(reference)


@pytest.mark.parametrize("reference", ["no_such_package.x:f", "attar.no_such_module:f"])
def test_a_module_that_is_not_there_is_named(reference):
    with pytest.raises(
        BadInput, match=rf"The module of '{reference}' cannot be imported: No module named .*PYTHONPATH"
    ):
        resolve(reference)


def test_a_misspelt_function_is_told_the_near_ones():
    with pytest.raises(BadInput, match=r"must be a name in attar\.network\.architectures; .*Did you mean 'resnet'\?$"):
        resolve("attar.network.architectures:resnt")


def test_what_cannot_be_called_is_refused():
    with pytest.raises(BadInput, match=r"must be callable; got 'math:pi'\. It is a float\."):
        resolve("math:pi")


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
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
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


@pytest.mark.parametrize("reference", ["attar.network.describe:resolve", "attar.cli:main", "attarx.network:make"])
def test_a_file_may_name_the_architectures_of_attar_and_nothing_else_of_it(reference: str) -> None:
    with pytest.raises(BadInput, match="must be a function of attar"):
        Spec.from_json({"reference": reference, "arguments": {}})
    assert Spec.from_json({"reference": "attar.network.architectures:mlp", "arguments": {}}).arguments == {}
