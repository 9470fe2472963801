"""Formats on the layers of a network: which, how they train, and how they come off again."""

import copy

import pytest
import torch
from torch import nn

from attar.errors import BadInput, NothingMatched
from attar.network.architectures import convnet, mlp
from attar.network.layout import lay_out_
from attar.ops.granularity import PerAxis, PerTensor
from attar.quantization.attach import dequantize, encode, formats, input_formats, train_codebooks_only_
from attar.quantization.formats.affine import Affine
from attar.quantization.formats.clipped import Clipped
from attar.quantization.formats.codebook import Codebook
from attar.quantization.formats.power_of_two import PowerOfTwo
from attar.quantization.formats.ternary import Ternary
from attar.quantization.formats.uniform import Uniform
from attar.quantization.formats.wrpn import Wrpn
from attar.quantization.quantize import quantize

FORM = Uniform(2)


def network() -> nn.Module:
    torch.manual_seed(0)
    return convnet(classes=3, widths=[4, 5], pools=[2, 1], hidden=[6], side=8)  # layers 0, 4, 8 and 10 have weights


def images(count: int = 16) -> torch.Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def test_all_weights_are_quantized_and_the_student_is_not_changed():
    student = network()
    before = copy.deepcopy(student.state_dict())
    small = quantize(student, weights=FORM)
    assert list(formats(small)) == ["0.weight", "4.weight", "8.weight", "10.weight"]
    assert all(torch.equal(before[name], tensor) for name, tensor in student.state_dict().items())
    assert not formats(student)
    for place in (0, 4, 8, 10):
        weight = student[place].weight.detach()
        assert torch.equal(small[place].weight, FORM.decode(FORM.encode(weight)))
        assert torch.equal(small[place].parametrizations.weight.original, weight)
    # Biases and batch normalization stay.
    assert torch.equal(small[8].bias, student[8].bias) and torch.equal(small[1].weight, student[1].weight)


@pytest.mark.parametrize(
    "skip, left",
    [
        (["first"], ["4.weight", "8.weight", "10.weight"]),
        (["first", "last"], ["4.weight", "8.weight"]),
        (["8"], ["0.weight", "4.weight", "10.weight"]),
        (["8.weight", "1*"], ["0.weight", "4.weight"]),
        # The rule of the 2018 code: the first and last of all tensors, which spares the last bias and not its weights.
        (["first_parameter", "last_parameter"], ["4.weight", "8.weight", "10.weight"]),
    ],
)
def test_what_is_skipped_stays_as_it_is(skip, left):
    assert list(formats(quantize(network(), weights=FORM, skip=skip))) == left


def test_every_tensor_can_be_quantized():
    small = quantize(network(), weights=FORM, tensors="all", skip=["first_parameter", "last_parameter"])
    names = [name for name, _ in network().named_parameters()]
    assert list(formats(small)) == names[1:-1]
    assert small(images()).shape == (16, 3)
    assert len(small[8].bias.unique()) <= 4 and len(small[1].weight.unique()) <= 4


def test_each_layer_may_have_its_own_format():
    forms = {"0": Wrpn(8), "1*": Ternary(), "*": FORM}
    assert formats(quantize(network(), weights=forms)) == {
        "0.weight": Wrpn(8),
        "4.weight": FORM,
        "8.weight": FORM,
        "10.weight": Ternary(),
    }
    assert list(formats(quantize(network(), weights={"8": FORM}))) == ["8.weight"]


def test_a_pattern_that_fits_nothing_is_an_error():
    with pytest.raises(NothingMatched, match=r"skip of quantize must fit a layer; '8.wieght' fits none. Did you mean"):
        quantize(network(), weights=FORM, skip=["8.wieght"])
    with pytest.raises(NothingMatched, match="weights of quantize must fit a layer; 'head' fits none"):
        quantize(network(), weights={"head": FORM, "*": FORM})
    with pytest.raises(NothingMatched, match="weights of quantize must fit a layer; '8' fits none"):
        quantize(network(), weights={"8": FORM}, skip=["8"])
    with pytest.raises(NothingMatched, match=r"quantize must find weights in Sequential; .* 4 of them skipped"):
        quantize(network(), weights=FORM, skip=["*"])
    with pytest.raises(NothingMatched, match="must find layers with weights; got none in ReLU"):
        quantize(nn.ReLU(), weights=FORM)


class Odd(nn.Module):
    """A layer of a kind that is not known, beside one that is."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(3, 4))
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x @ self.table)


def test_layers_of_other_kinds_stay_float_and_are_named(caplog):
    assert list(formats(quantize(Odd(), weights=FORM))) == ["head.weight"]
    assert "quantize leaves 'table' (Odd) in float" in caplog.text
    assert "tensors='all' takes parameters of all kinds" in caplog.text
    caplog.clear()
    assert list(formats(quantize(Odd(), weights=FORM, skip=["table"]))) == ["head.weight"]
    assert list(formats(quantize(Odd(), weights={"head": FORM}))) == ["head.weight"]
    assert list(formats(quantize(Odd(), weights=FORM, tensors="all"))) == ["table", "head.weight", "head.bias"]
    assert caplog.text == ""
    with pytest.raises(BadInput, match=r"layer of 'table' of quantize must be one of Linear, .*; got 'Odd'. Skip it"):
        quantize(Odd(), weights={"table": FORM, "*": FORM})


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers_stay_float_and_are_named(kind, caplog):
    torch.manual_seed(0)
    both = nn.ModuleDict({"rows": kind(3, 4, num_layers=2), "head": nn.Linear(4, 2)})
    assert list(formats(quantize(both, weights=FORM))) == ["head.weight"]
    assert f"'rows.weight_ih_l0' ({kind.__name__}), 'rows.weight_hh_l0'" in caplog.text
    assert "tensors='all'" not in caplog.text
    small = quantize(both, weights=FORM, tensors="all")
    assert list(formats(small)) == ["head.weight", "head.bias"]
    with pytest.raises(BadInput, match=rf"layer of 'rows.weight_ih_l0' of quantize .*; got '{kind.__name__}'"):
        quantize(both, weights={"rows*": FORM})
    with pytest.raises(BadInput, match=rf"layer of 'weight_ih_l0' of quantize .*; got '{kind.__name__}'"):
        quantize(kind(3, 4), weights=FORM)


def test_embeddings_of_positions_stay_float():
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.position = nn.Parameter(torch.randn(1, 6, 8))
            self.first = nn.Parameter(torch.randn(1, 1, 8))
            self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
            self.out = nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            rows = torch.cat([self.first.expand(x.shape[0], -1, -1), x + self.position], 1)
            return self.out(self.encoder(rows)[:, 0])

    torch.manual_seed(0)
    small = quantize(Tokens(), weights=Uniform(8))
    assert [name for name in formats(small) if name in ("position", "first")] == []
    assert "out.weight" in formats(small) and "encoder.self_attn.in_proj_weight" in formats(small)
    small(torch.randn(2, 6, 8)).sum().backward()


def test_weights_that_two_layers_share_are_named():
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    with pytest.raises(
        BadInput, match=r"weights '0.weight' of quantize must be of one layer alone; got \['0.weight', '1"
    ):
        quantize(tied, weights=FORM)


def test_what_cannot_be_quantized_is_refused():
    with pytest.raises(BadInput, match="weights of quantize must be given, or activations"):
        quantize(network())
    with pytest.raises(BadInput, match="student of quantize must be not quantized yet"):
        quantize(quantize(network(), weights=FORM), weights=FORM)
    with pytest.raises(BadInput, match="weights of quantize must be a format that is made for weights; got Clipped"):
        quantize(network(), weights=Clipped())
    with pytest.raises(BadInput, match="activations of quantize must be a format that is made for activations"):
        quantize(network(), activations=Ternary())
    broken = network()
    with torch.no_grad():
        broken[8].weight[0, 0] = torch.nan
    with pytest.raises(BadInput, match=r"tensor of quantize, weights '8.weight', must be finite everywhere; got 1 of"):
        quantize(broken, weights=FORM)
    for verb in (dequantize, train_codebooks_only_):
        with pytest.raises(BadInput, match="student of"):
            verb(network())


class Adapted(nn.Linear):
    """A known layer with matrices of its own beside the weights."""

    def __init__(self) -> None:
        super().__init__(4, 4)
        self.down, self.up = nn.Parameter(torch.randn(1, 4)), nn.Parameter(torch.randn(4, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + x @ self.down.T @ self.up.T


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_a_matrix_that_stays_float_is_named(caplog):
    assert list(formats(quantize(Adapted(), weights=FORM))) == ["weight"]
    assert "'down' (Adapted), 'up' (Adapted)" in caplog.text
    spectral = nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 4)), nn.Linear(4, 2))
    with pytest.raises(BadInput, match=r"layer of '0.weight_orig'"):
        quantize(spectral, weights=FORM)
    normed = nn.utils.weight_norm(nn.Linear(4, 4))
    normed(torch.ones(1, 4))
    with pytest.raises(
        BadInput, match=r"layer of 'weight_g' .*must be one whose matrices are weight alone; got 'Linear'"
    ):
        quantize(normed, weights=FORM)
    caplog.clear()
    attention = nn.MultiheadAttention(8, 2, add_bias_kv=True)
    assert list(formats(quantize(attention, weights=FORM))) == ["in_proj_weight", "out_proj.weight"]
    assert caplog.text == ""


def test_what_would_do_nothing_is_an_error():
    with pytest.raises(NothingMatched, match="activations of quantize must find layers that multiply"):
        quantize(nn.Sequential(nn.Embedding(3, 2)), activations=Clipped(8))
    with pytest.raises(BadInput, match=r"'8' in weights of quantize must be before '\*', as the first pattern"):
        quantize(network(), weights={"*": FORM, "8": Wrpn(8)})


def test_what_a_format_cannot_do_is_said_with_the_name_of_the_tensor():
    with pytest.raises(BadInput, match=r"weights '1.weight': axis of PerAxis"):
        quantize(network(), weights=Uniform(4, granularity=PerAxis(1)), tensors="all")
    far = nn.Linear(4, 1)
    with torch.no_grad():
        far.weight[:] = torch.tensor([3e38, -3e38, 1, 2e38])
    for form in (Uniform(4), Affine(4), Codebook(2)):
        with pytest.raises(BadInput, match=r"weight"):
            quantize(far, weights=form)


def test_attention_is_quantized_where_its_weights_are():
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    small = quantize(attention, weights=Uniform(8))
    assert list(formats(small)) == ["in_proj_weight", "out_proj.weight"]
    dequantized, x = dequantize(small), torch.randn(2, 5, 8)
    for training in (True, False):
        torch.testing.assert_close(small.train(training)(x, x, x)[0], dequantized.train(training)(x, x, x)[0])
    with pytest.raises(BadInput, match="layer '' of quantize, activations must be one whose only input is its first"):
        quantize(attention, activations=Clipped())


@pytest.mark.parametrize(
    "form", [FORM, Codebook(2), Codebook(2, trains="both"), Ternary("learned"), PowerOfTwo()], ids=repr
)
def test_formats_come_off_again(form):
    student = network()
    small = quantize(student, weights=form, activations=Affine(8), calibration=images())
    dequantized = dequantize(small, leave="float")
    assert dequantized.state_dict().keys() == student.state_dict().keys()
    assert all(torch.equal(dequantized.state_dict()[name], tensor) for name, tensor in student.state_dict().items())
    remaining = dequantize(small)
    assert type(remaining[0]) is nn.Conv2d and not remaining[0]._forward_pre_hooks and formats(small)
    assert torch.equal(remaining[8].weight, small.eval()[8].weight)
    assert remaining.training == student.training
    assert all(parameter.requires_grad and parameter.is_leaf for parameter in remaining.parameters())
    weights_alone = quantize(student, weights=form)
    remaining = dequantize(weights_alone).eval()
    assert torch.equal(remaining(images()), weights_alone.eval()(images()))


def test_the_codes_are_those_of_the_weights_in_use():
    small = quantize(network(), weights={"0": FORM, "*": Codebook(3)}).eval()
    held = encode(small)
    for name, form in formats(small).items():
        assert torch.equal(form.decode(held[name]), small[int(name.split(".")[0])].weight)


def test_parametrizations_that_were_there_before_stay_where_they_were():
    student = network()
    nn.utils.parametrizations.weight_norm(student[8])
    with pytest.raises(BadInput, match=r"layer of '8.parametrizations.weight.original0' .*; got 'ParametrizationList'"):
        quantize(student, weights=FORM, tensors="all")
    small = quantize(student, weights=FORM, tensors="all", skip=["8.parametrizations*"])
    assert "8.bias" in formats(small)
    assert isinstance(student[8].bias, nn.Parameter) and len(small[8].bias.unique()) <= 4
    dequantized = dequantize(small)
    assert isinstance(dequantized[8].bias, nn.Parameter) and not isinstance(small[8].bias, nn.Parameter)
    assert torch.equal(dequantized.eval()(images()), small.eval()(images()))


def test_chance_is_for_training_alone():
    small = quantize(network(), weights=Uniform(2, rounding="stochastic"))
    one, other = small.train()[8].weight, small[8].weight
    assert not torch.equal(one, other)
    deterministic = small.eval()[8].weight
    assert torch.equal(deterministic, small[8].weight)
    assert torch.equal(deterministic, Uniform(2).decode(Uniform(2).encode(small[8].parametrizations.weight.original)))
    assert torch.equal(dequantize(small.train())[8].weight, deterministic)


def test_a_copy_has_weights_and_formats_of_its_own():
    small = quantize(network(), weights=Codebook(2), activations=Affine(4), calibration=images())
    twin = copy.deepcopy(small)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(2)
        twin[0].input_format.scale.mul_(2)
    fresh = quantize(network(), weights=Codebook(2), activations=Affine(4), calibration=images())
    assert torch.equal(small.eval()(images()), fresh.eval()(images()))
    assert not torch.equal(twin.eval()(images()), fresh(images()))
    twin.load_state_dict(small.state_dict())
    assert torch.equal(twin(images()), fresh(images()))


def test_only_what_formats_learn_goes_on_learning():
    student = train_codebooks_only_(quantize(network(), weights=Codebook(2)))
    learning = [name for name, parameter in student.named_parameters() if parameter.requires_grad]
    assert learning == [f"{place}.parametrizations.weight.0.points" for place in (0, 4, 8, 10)]
    # Weights that do not learn do not decay either; biases do go on unless told otherwise.
    student = quantize(network(), weights=Codebook(2))
    assert not student[8].parametrizations.weight.original.requires_grad and student[8].bias.requires_grad
    with pytest.raises(BadInput, match="student of train_codebooks_only_ must be a student whose formats have"):
        train_codebooks_only_(quantize(network(), weights=FORM))


def test_the_layout_of_images_changes_nothing_but_speed():
    for form in (FORM, Uniform(3, PerAxis(0)), Codebook(2), PowerOfTwo()):
        student = quantize(network(), weights=form).eval()
        last = lay_out_(copy.deepcopy(student))
        for place in (0, 4):
            assert torch.equal(last[place].weight, student[place].weight)
        outputs: list[torch.Tensor] = []
        handle = last[0].register_forward_hook(lambda _, __, output, remaining=outputs: remaining.append(output))
        laid = last(images().contiguous(memory_format=torch.channels_last))
        handle.remove()
        torch.testing.assert_close(laid, student(images()))
        # With one input channel the weights' strides decide in which layout everything after them is computed.
        assert outputs[0].stride() == outputs[0].to(memory_format=torch.channels_last).stride()
        assert outputs[0].stride()[1] == 1


def test_half_precision_sees_the_same_codes():
    student = quantize(network(), weights=Wrpn(4), activations=Clipped(8))
    with torch.autocast("cpu", torch.bfloat16):
        output = student(images())
    assert output.dtype == torch.bfloat16
    output.float().square().sum().backward()
    weights = [p for name, p in student.named_parameters() if name.endswith("original")]
    assert len(weights) == 4 and all(w.grad is not None and w.grad.dtype == torch.float32 for w in weights)


def test_the_root_itself_may_be_a_layer():
    small = quantize(nn.Linear(4, 2), weights=FORM, skip=())
    assert list(formats(small)) == ["weight"]
    assert list(input_formats(quantize(nn.Linear(4, 2), activations=Clipped()))) == [""]


def test_a_perceptron_per_tensor():
    small = quantize(mlp(5, 3, (7,)), weights=Uniform(3, PerTensor()))
    assert all(len(small[place].weight.unique()) <= 8 for place in (1, 3))
