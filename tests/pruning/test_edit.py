"""The edit that takes units out: plain data, at a bounded cost, on any network that has what it cuts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from attar.errors import BadInput, NothingMatched
from attar.models.model import Model, load_model, save_model
from attar.models.rebuild import EDITS, spec_from_json
from attar.network.copying import copied
from attar.network.evaluating import evaluating
from attar.network.scaled_outputs import ScaleOutputs
from attar.network.shift_bias import shift_bias
from attar.network.spec import Spec
from attar.ops.granularity import PerAxis
from attar.pruning.edit import Cut, Prune, merged, prune
from attar.pruning.emptied import still_there
from attar.pruning.groups import find_groups
from attar.quantization.edit import Quantize
from attar.quantization.formats.codebook import Codebook
from attar.quantization.formats.uniform import Uniform
from attar.quantization.quantize import quantize

RESNET = Spec("attar.network.architectures:resnet", {"classes": 3, "widths": [4, 6], "blocks": 1})
IMAGES = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
ENCODER = Spec(
    "attar.network.architectures:token_encoder",
    {"vocabulary": 9, "length": 5, "outputs": 2, "width": 8, "heads": 4, "blocks": 1},
)
TOKENS = torch.stack([torch.randint(9, (2, 5), generator=torch.Generator().manual_seed(0)), torch.ones(2, 5).long()], 1)


def built(spec: Spec) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return spec.build().eval()


def output(network: nn.Module, inputs: Tensor) -> Tensor:
    with evaluating(network):
        return network(inputs)


def slim(spec: Spec, inputs: Tensor, removed: dict[str, list[int]]) -> Model:
    network = built(spec)
    edit = prune(network, find_groups(network, inputs), removed)
    return Model(edit.apply(network), spec.with_edit(edit))


# -- what is kept ------------------------------------------------------------------------------------------------------


@given(st.integers(1, 30), st.data())
def test_a_cut_holds_what_is_not_gone(size, data):
    gone = data.draw(st.sets(st.integers(0, size - 1), max_size=size - 1))
    cut = Cut.without(1, size, gone)
    assert cut.positions().tolist() == [place for place in range(size) if place not in gone]
    assert cut.count == size - len(gone)


def test_a_network_of_two_layers_by_hand():
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0, 2], [3, 4], [5, 6]]))
        network[2].weight.copy_(torch.tensor([[7.0, 8, 9]]))
    edit = prune(network, find_groups(network, torch.ones(1, 2)), {"0": [1]})
    assert edit.to_json() == {
        "use": "prune",
        "cuts": {"0.weight": [[0, 3, 0, 1, 2, 3]], "0.bias": [[0, 3, 0, 1, 2, 3]], "2.weight": [[1, 3, 0, 1, 2, 3]]},
        "sizes": {"0.out_features": 2, "2.in_features": 2},
        "emptied": [],
        "constant": [],
    }
    assert edit.apply(network) is network
    assert network[0].weight.tolist() == [[1, 2], [5, 6]] and network[2].weight.tolist() == [[7, 9]]
    assert network[0].out_features == network[2].in_features == 2


def test_what_is_frozen_stays_frozen():
    network = built(RESNET)
    network.requires_grad_(False)
    network[4].weight.requires_grad_(True)
    prune(network, find_groups(network, IMAGES), {"4": [0], "0": [1]}).apply(network)
    assert [name for name, parameter in network.named_parameters() if parameter.requires_grad] == ["4.weight"]


@pytest.mark.parametrize(
    ("spec", "inputs", "removed"),
    [
        (RESNET, IMAGES, {"0": [1], "4": [0, 5], "7.body.0": [2, 3]}),
        (ENCODER, TOKENS, {"network.blocks.0.queries_keys_values": [0, 2], "network.blocks.0.inner.0": [3]}),
    ],
)
def test_a_slim_network_is_rebuilt_from_its_spec_and_its_weights(spec, inputs, removed, tmp_path):
    model = slim(spec, inputs, removed)
    save_model(model, tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.spec == model.spec
    assert torch.equal(output(loaded.module, inputs), output(model.module, inputs))


def test_it_works_without_memory():
    model = slim(RESNET, IMAGES, {"0": [1], "4": [0, 5]})
    with torch.device("meta"):
        network = RESNET.called()
    edited = model.spec.edits[0].apply(network)
    shapes = {name: tensor.shape for name, tensor in edited.state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in model.module.state_dict().items()}


def test_one_edit_comes_on_top_of_another():
    model = slim(RESNET, IMAGES, {"4": [0, 5]})
    found = find_groups(model.module, IMAGES)
    assert found.named()["4"].units == 4
    again = prune(model.module, found, {"4": [3], "0": [0]})
    both = model.spec.with_edit(again)
    assert len(both.edits) == 2
    direct = slim(RESNET, IMAGES, {"4": [0, 4, 5], "0": [0]})
    assert torch.equal(output(again.apply(model.module), IMAGES), output(direct.module, IMAGES))
    assert both.build().state_dict().keys() == direct.module.state_dict().keys()


@pytest.mark.parametrize("emptied", [False, True])
def test_edits_one_after_the_other_are_merged_unless_layers_went(emptied: bool):
    network, edits = built(RESNET), []
    groups = find_groups(network, IMAGES)
    inside = range(6) if emptied else [0, 3]
    for removed in ({"0": [1]}, {"7.body.0": inside, "4": [1]}, {"0": [2]}, {"0": [0]}):
        edits.append(prune(network, groups, removed))
        network = edits[-1].apply(network)
        groups = still_there(groups.without(removed), network)
    found = merged(edits)
    assert len(found) == (2 if emptied else 1) < len(edits)
    spec = RESNET
    for edit in found:
        spec = spec.with_edit(edit)
    again = spec.build().eval()
    again.load_state_dict(network.state_dict())
    assert torch.equal(output(again, IMAGES), output(network, IMAGES))
    assert [repr(one) for one in again.modules()] == [repr(one) for one in network.modules()]


def test_it_works_behind_wrappers(tmp_path: Path):
    spec = Spec(RESNET.reference, RESNET.arguments, [0.5], [0.25], (ScaleOutputs(3),))
    model = slim(spec, IMAGES, {"network.network.4": [1]})
    save_model(model, tmp_path)
    assert torch.equal(output(load_model(tmp_path).module, IMAGES), output(model.module, IMAGES))


# -- with other edits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [Uniform(bits=4, granularity=PerAxis(0)), Codebook(bits=2)])
def test_what_is_pruned_can_be_quantized_and_shifted(form, tmp_path: Path):
    model = slim(RESNET, IMAGES, {"0": [1], "4": [0, 5]})
    shifted, shift = shift_bias(model.module, torch.tensor([1.0, 0.0, -1.0]), IMAGES[:1])
    small = quantize(shifted, weights=form)
    spec = model.spec.with_edit(shift).with_edit(Quantize.of(small))
    save_model(Model(small, spec), tmp_path)
    loaded = load_model(tmp_path)
    assert [type(edit) for edit in loaded.spec.edits] == [Prune, type(shift), Quantize]
    assert torch.equal(output(loaded.module, IMAGES), output(small.eval(), IMAGES))


def test_what_is_quantized_is_not_cut():
    model = slim(RESNET, IMAGES, {"4": [0]})
    small = quantize(built(RESNET), weights=Uniform(bits=4))
    with pytest.raises(BadInput, match=r"cuts of Prune .* '4.weight'\. Prune first, and quantize what is left"):
        model.spec.edits[0].apply(small)
    found = find_groups(small, IMAGES)
    assert found.groups == () and "a number format" in found.untouched["4"]


# -- what fits no network ----------------------------------------------------------------------------------------------


def perceptron() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 3))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Prune({"0.wait": (Cut(0, 3, (0, 2)),)}), r"names of the network's tensors; got '0.wait'. Did you mean '0.w"),
        (Prune({"0": (Cut(0, 3, (0, 2)),)}), "names of the network's tensors; got '0'"),
        (Prune({"9.weight": (Cut(0, 3, (0, 2)),)}), "names of the network's tensors; got '9.weight'"),
        (Prune({"0.weight": (Cut(0, 4, (0, 2)),)}), r"made for its shape \(3, 2\); got 4 positions along axis 0"),
        (Prune({"0.weight": (Cut(2, 3, (0, 2)),)}), "got 3 positions along axis 2"),
        (Prune({"0.weight": (Cut(1, 3, (0, 2)),)}), "got 3 positions along axis 1"),
        (Prune({}, {"0.width": 1}), "names of whole numbers that the network's modules have; got '0.width'"),
        (Prune({}, {"0.training": 1}), "names of whole numbers"),
        (Prune({}, {"0.forward": 1}), "names of whole numbers"),
        (Prune({}, {"0.weight": 1}), "names of whole numbers"),
        (
            Prune({}, {"0.out_features": 10**12}),
            "size '0.out_features' of Prune must be from 1 to 3, which it is; got 10",
        ),
        (Prune({}, {"0.out_features": 0}), "must be from 1 to 3"),
        (Prune({}, {}, ("9",)), "emptied of Prune must be names of layers with units; got '9'"),
        (Prune({}, {}, ("1",)), "emptied of Prune must be names of layers with units; got '1'"),
        (Prune({}, {}, ("",)), "emptied of Prune must be names of layers with units; got ''"),
        (Prune({}, {}, (), ("1",)), "constant of Prune must be names of layers that multiply inputs with weights"),
    ],
)
def test_an_edit_of_another_network_is_refused_and_changes_nothing(edit, message):
    network = perceptron()
    right = Prune({"2.weight": (Cut(0, 3, (0, 2)),)}, {"2.out_features": 2})
    both = Prune(right.cuts | edit.cuts, right.sizes | edit.sizes, edit.emptied, edit.constant)
    with pytest.raises(BadInput, match=message):
        both.apply(network)
    assert network[2].weight.shape == (3, 3) and network[2].out_features == 3


def test_what_two_layers_share_is_not_cut():
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    network[1].weight = network[0].weight
    with pytest.raises(BadInput, match=r"names of tensors that one layer has alone; got '0\.weight'"):
        Prune({"0.weight": (Cut(0, 3, (0, 2)),)}).apply(network)


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        ({"1": [0]}, r"removed of prune must be names of groups; got '1'. Choose from '0'"),
        ({"0": [3]}, r"removed\['0'\] of prune must be units from 0 to 2; got 3"),
        ({"0": [-1]}, "units from 0 to 2; got -1"),
        ({"0": [1, 1]}, "different units"),
    ],
)
def test_units_that_are_not_there_are_refused(removed, message):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = perceptron()
    with pytest.raises(BadInput, match=message):
        prune(network, find_groups(network, torch.ones(1, 2)), removed)


def test_heads_cannot_all_go():
    network = built(ENCODER)
    name = "network.blocks.0.queries_keys_values"
    with pytest.raises(BadInput, match=r"fewer units than the group has; got all 4\. Keep at least one"):
        prune(network, find_groups(network, TOKENS), {name: [0, 1, 2, 3]})


@pytest.mark.parametrize("removed", [{}, {"0": []}])
def test_nothing_to_remove_is_an_error(removed):
    network = perceptron()
    with pytest.raises(NothingMatched, match="removed of prune must name units"):
        prune(network, find_groups(network, torch.ones(1, 2)), removed)


# -- documents ---------------------------------------------------------------------------------------------------------

EDIT = Prune(
    {"0.weight": (Cut(0, 3, (0, 1, 2, 3)),), "2.weight": (Cut(1, 3, (1, 3)),)},
    {"0.out_features": 2},
    ("4",),
    ("5", "6"),
)


def test_an_edit_survives_json():
    assert Prune.from_json(json.loads(json.dumps(EDIT.to_json()))) == EDIT
    spec = RESNET.with_edit(EDIT)
    assert spec_from_json(json.loads(json.dumps(spec.to_json()))) == spec
    assert EDITS["prune"] is Prune


@pytest.mark.parametrize(
    "cut",
    [
        [],
        [[0, 3]],
        [[0, 3, 1]],
        [[0, 3, 1, 2, 3]],
        [[-1, 3, 0, 1]],
        [[0, 3, -1, 2]],
        [[0, 3, 0, 4]],
        [[0, 3, 1, 1]],
        [[0, 3, 2, 1]],
        [[0, 3, 0, 1, 1, 2]],
        [[0, 3, 0, 2, 1, 3]],
        [[0, 3, 0, 1], [0, 3, 1, 2]],
        [[True, 3, 0, 1]],
        [[0, 3.0, 0, 1]],
        [[0, 3, 0, "1"]],
        [["0", 3, 0, 1]],
        [3],
        {},
        "abc",
        None,
    ],
)
def test_a_hostile_cut_is_refused(cut):
    document = EDIT.to_json() | {"cuts": {"0.weight": cut}}
    with pytest.raises(BadInput, match=r"cut '0\.weight' of the spec must be lists of an axis, its length, and bounds"):
        Prune.from_json(document)


@pytest.mark.parametrize(
    "change",
    [
        {"cuts": []},
        {"cuts": None},
        {"sizes": [1]},
        {"more": 1},
        {"sizes": {"a": 0}},
        {"sizes": {"a": True}},
        {"sizes": {"a": "1"}},
    ],
)
def test_a_document_of_another_form_is_refused(change: dict[str, Any]):
    with pytest.raises(BadInput):
        Prune.from_json(EDIT.to_json() | change)


def test_a_large_number_in_a_document_costs_nothing():
    rest = {"sizes": {}, "emptied": [], "constant": []}
    edit = Prune.from_json({"use": "prune", "cuts": {"0.weight": [[0, 10**15, 0, 10**15]]}, **rest})
    with pytest.raises(BadInput, match="got 1000000000000000 positions along axis 0"):
        edit.apply(perceptron())


def test_the_network_of_the_groups_is_not_changed():
    network = built(RESNET)
    before = copied(network).state_dict()
    prune(network, find_groups(network, IMAGES), {"4": [0]})
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
