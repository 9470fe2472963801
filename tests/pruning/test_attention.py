"""Torch's attention in a form that can lose heads: the same numbers, and the same slim as masked."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from attar.models.model import Model, load_model, save_model
from attar.network.copying import copied
from attar.network.evaluating import evaluating
from attar.network.spec import Spec
from attar.pruning.attention import Attention, open_attention_
from attar.pruning.edit import prune
from attar.pruning.groups import find_groups
from attar.pruning.verify import masked, stirred


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


class Encoder(nn.Module):
    """An encoder of torch's own layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.places = nn.Linear(5, 8), nn.Parameter(torch.randn(6, 8))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 4, 12, batch_first=True), 2)
        self.last = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.encoder(self.first(x) + self.places).mean(1))


EXAMPLE = noise(2, 6, 5)
NAMES = [f"encoder.layers.{block}.{part}" for block in (0, 1) for part in ("self_attn", "linear1")]


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("mask", [None, "bool", "float", "heads"])
@pytest.mark.parametrize("padding", [False, True])
@pytest.mark.parametrize("settings", [{}, {"bias": False}, {"kdim": 5, "vdim": 6}])
def test_it_gives_what_torch_gives(need_weights, batch_first, mask, padding, settings):
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(8, 2, batch_first=batch_first, **settings).eval()
    shapes = (3, 4, 8), (3, 5, settings.get("kdim", 8)), (3, 5, settings.get("vdim", 8))
    inputs = [torch.randn(shape) if batch_first else torch.randn(shape).transpose(0, 1) for shape in shapes]
    given = {None: None, "bool": torch.randn(4, 5) > 0.5, "float": torch.randn(4, 5), "heads": torch.randn(6, 4, 5)}[
        mask
    ]
    hidden = torch.tensor([[False] * (5 - count) + [True] * count for count in range(3)]) if padding else None
    if hidden is not None and given is not None and given.dtype != torch.bool:
        hidden = torch.zeros(3, 5).masked_fill(hidden, float("-inf"))
    more = {"attn_mask": given, "key_padding_mask": hidden, "need_weights": need_weights}
    wanted = attention(*inputs, **more)
    got = open_attention_(copied(attention))(*inputs, **more)
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-6, equal_nan=True)


def test_inputs_without_a_batch():
    attention = nn.MultiheadAttention(8, 2).eval()
    rows = noise(4, 8)
    torch.testing.assert_close(open_attention_(copied(attention))(rows, rows, rows), attention(rows, rows, rows))


def test_its_weights_keep_their_names():
    network = Encoder()
    opened = open_attention_(copied(network))
    assert opened.state_dict().keys() == network.state_dict().keys()
    assert sum(isinstance(layer, Attention) for layer in opened.modules()) == 2


def test_attention_with_keys_of_its_own_stays():
    assert type(open_attention_(nn.MultiheadAttention(4, 2, add_bias_kv=True))) is nn.MultiheadAttention
    assert type(open_attention_(nn.MultiheadAttention(4, 2, add_zero_attn=True))) is nn.MultiheadAttention


def test_heads_are_found_where_they_can_be_seen():
    found = find_groups(Encoder(), EXAMPLE)
    assert [group.name for group in found.groups] == [NAMES[1], NAMES[3]]
    assert found.untouched[NAMES[0]] == "its heads cannot be seen before open_attention_ has opened it"
    opened = find_groups(open_attention_(Encoder()), EXAMPLE)
    assert {group.name: (group.kind, group.units) for group in opened.groups} == {
        NAMES[0]: ("heads", 4),
        NAMES[1]: ("units", 12),
        NAMES[2]: ("heads", 4),
        NAMES[3]: ("units", 12),
    }
    assert NAMES[0] not in find_groups(open_attention_(Encoder()), EXAMPLE, [NAMES[0]]).named()


def test_a_slim_encoder_gives_what_the_masked_one_gives_and_is_rebuilt_from_torchs_own(tmp_path: Path):
    torch.manual_seed(0)
    network = stirred(open_attention_(Encoder()))
    found = find_groups(network, EXAMPLE)
    removed = {NAMES[0]: [0, 3], NAMES[1]: [1, 5], NAMES[2]: [2]}
    with masked(network, found, removed), evaluating(network):
        wanted = network(EXAMPLE)
    edit = prune(network, found, removed)
    slim = edit.apply(network)
    with evaluating(slim):
        torch.testing.assert_close(slim(EXAMPLE), wanted, rtol=1e-5, atol=1e-5)
    assert slim.encoder.layers[0].self_attn.in_proj_weight.shape == (3 * 4, 8)
    spec = Spec(f"{__name__}:Encoder", edits=(edit,))
    save_model(Model(slim, spec), tmp_path)
    again = load_model(tmp_path, allow=[__name__]).module
    with evaluating(slim), evaluating(again):
        assert torch.equal(again(EXAMPLE), slim(EXAMPLE))


def test_a_block_whose_hidden_units_are_gone_is_asked_without_gradients() -> None:
    torch.manual_seed(0)
    network = Encoder().eval()
    groups = find_groups(open_attention_(copied(network)), EXAMPLE)
    name, units = NAMES[1], range(12)
    with masked(opened := open_attention_(copied(network)), groups, {name: units}), torch.inference_mode():
        expected = opened(EXAMPLE)
    slim = prune(network, groups, {name: units}).apply(network)
    with torch.inference_mode():  # in which torch's layer looks at the weights of its parts
        torch.testing.assert_close(slim(EXAMPLE), expected, rtol=0, atol=1e-5)
