"""The packed file: exact, small, and never trusted."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrize

from attar.deployment.packed import container
from attar.deployment.packed.container import Content, read_packed, write_packed
from attar.deployment.packed.network import content
from attar.deployment.packed.report import size_report
from attar.deployment.packed.settings import CODERS
from attar.deployment.refused import DeploymentError
from attar.errors import BadInput, CorruptFile
from attar.network.evaluating import evaluating
from attar.network.weights import digest, fill, read_tensors, write_tensors
from attar.ops.entropy import entropy, histogram
from attar.ops.granularity import PerAxis, PerGroup, PerTensor
from attar.quantization.attach import dequantize, input_formats
from attar.quantization.edit import Quantize
from attar.quantization.format import Encoded
from attar.quantization.formats.affine import Affine
from attar.quantization.formats.clipped import Clipped
from attar.quantization.formats.codebook import Codebook
from attar.quantization.formats.dorefa import DoReFa
from attar.quantization.formats.fixed_point import DynamicFixedPoint
from attar.quantization.formats.power_of_two import PowerOfTwo
from attar.quantization.formats.ternary import Ternary
from attar.quantization.formats.uniform import Uniform
from attar.quantization.formats.wrpn import Wrpn
from attar.quantization.quantize import quantize

WEIGHTS: list[Any] = [
    *(Uniform(bits) for bits in (1, 2, 3, 4, 5, 8, 11, 16)),
    Uniform(3, PerAxis(1), scaling="absmax", rounding="stochastic", gradient="exact"),
    Uniform(4, PerGroup(7), scaling="absnorm", gradient="truncated"),
    Affine(4, PerAxis(0), symmetric=True),
    Affine(8, range="percentile", percentile=99.0),
    Codebook(2),
    Codebook(levels=5, trains="weights", init="uniform"),
    Codebook(points=(0.1, 0.5, 0.8), granularity=PerTensor()),
    Ternary(),
    Ternary("learned", 0.5, PerAxis(0)),
    PowerOfTwo(),
    PowerOfTwo((-6, 2), "nearest", zero=True),
    DynamicFixedPoint(6),
    DynamicFixedPoint(8, granularity=PerAxis(0)),
    Wrpn(2),
    DoReFa(1),
    DoReFa(3),
]
INPUTS: list[Any] = [Affine(8), Affine(3, range="mse"), Clipped(4, "max"), DynamicFixedPoint(8), Clipped(2)]


class Small(nn.Module):
    """A convolution, batch normalization and two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 6, 3)
        self.norm = nn.BatchNorm2d(6)
        self.body = nn.Sequential(nn.Linear(6 * 36, 11), nn.ReLU(), nn.Linear(11, 5))

    def forward(self, inputs: Tensor) -> Tensor:
        hidden: Tensor = self.norm(self.first(inputs)).relu()
        logits: Tensor = self.body(hidden.flatten(1))
        return logits


@pytest.fixture(scope="module")
def inputs() -> Tensor:
    return torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network(inputs: Tensor) -> nn.Module:
    torch.manual_seed(0)
    artifact = Small()
    artifact(inputs)  # running statistics other than those of the beginning
    return artifact.eval()


# -- exactness -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", WEIGHTS, ids=repr)
@pytest.mark.parametrize("coder", ["smallest", "bits"])
def test_weights_come_back_bit_for_bit(
    form: Any, coder: Any, network: nn.Module, inputs: Tensor, tmp_path: Path
) -> None:
    student = quantize(network, weights=form)
    move_learned(student)
    before = digest(student)
    write_packed(content(student), tmp_path / "packed", coder=coder)
    back = filled(Small(), tmp_path / "packed")
    assert digest(student) == before
    with evaluating(student):
        weights = {name: student.get_submodule(name).weight for name in ("first", "body.0", "body.2")}
        assert all(torch.equal(back.get_submodule(name).weight, weight) for name, weight in weights.items())
        assert torch.equal(back(inputs), student(inputs))
    others = {name: tensor for name, tensor in network.state_dict().items() if "norm" in name or "bias" in name}
    assert all(torch.equal(back.state_dict()[name], tensor) for name, tensor in others.items())


def filled(network: nn.Module, path: Path) -> nn.Module:
    return fill(network, read_packed(path).state(), path).eval()


def move_learned(student: nn.Module) -> None:
    """As after training: learned entries are no longer where they began."""
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            if name.rpartition(".")[2] in ("points", "positive", "negative"):
                parameter.mul_(1.1).add_(0.01)


@pytest.mark.parametrize("form", INPUTS, ids=repr)
def test_formats_of_inputs_are_part_of_the_network(
    form: Any, network: nn.Module, inputs: Tensor, tmp_path: Path
) -> None:
    student = quantize(network, weights=Ternary(), activations=form, calibration=inputs)
    write_packed(content(student), tmp_path / "packed")
    back = filled(Quantize(inputs=input_formats(student)).apply(Small()), tmp_path / "packed")
    with evaluating(student), evaluating(back):
        assert torch.equal(back(inputs), student(inputs))
        assert not torch.equal(back(inputs), dequantize(student).eval()(inputs)), "the rounding of inputs is to be seen"


def test_formats_of_inputs_alone(network: nn.Module, inputs: Tensor, tmp_path: Path) -> None:
    student = quantize(network, activations=Affine(4), calibration=inputs)
    write_packed(content(student), tmp_path / "packed")
    back = filled(Quantize(inputs=input_formats(student)).apply(Small()), tmp_path / "packed")
    with evaluating(student):
        assert torch.equal(back(inputs), student(inputs))


def test_the_student_goes_on_running(network: nn.Module, inputs: Tensor) -> None:
    student = quantize(network, weights=Uniform(2), activations=Affine(8), calibration=inputs)
    with evaluating(student):
        before = student(inputs)
    for look in (content, dequantize, size_report):
        look(student)  # type: ignore[operator]
    with evaluating(student):
        assert torch.equal(student(inputs), before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_types_are_kept(dtype: torch.dtype, tmp_path: Path) -> None:
    student = quantize(nn.Linear(40, 3).to(dtype), weights=Uniform(4))
    write_packed(content(student), tmp_path / "packed")
    back = filled(nn.Linear(40, 3).to(dtype), tmp_path / "packed")
    assert back.weight.dtype == dtype
    assert torch.equal(back.weight, student.weight)
    assert torch.equal(back.bias, student.bias)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(WEIGHTS), st.integers(1, 9), st.integers(1, 70), st.sampled_from([0.0, 1e-20, 0.3, 50.0]))
def test_any_matrix_comes_back(
    tmp_path_factory: pytest.TempPathFactory, form: Any, rows: int, columns: int, size: float
) -> None:
    torch.manual_seed(rows * 100 + columns)
    layer = nn.Linear(columns, rows, bias=False)
    with torch.no_grad():
        layer.weight.copy_(size * torch.randn(rows, columns))
    student = quantize(layer, weights=form)
    path = tmp_path_factory.mktemp("any") / "packed"
    write_packed(content(student), path)
    student.eval()
    assert torch.equal(read_packed(path).state()["weight"], student.weight)


# -- size ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(256, 300), nn.Linear(300, 100))


@pytest.mark.parametrize(
    ("form", "bits"),
    [
        (Uniform(8, PerTensor()), 8),
        (Uniform(4, PerTensor()), 4),
        (Uniform(3, PerTensor()), 3),
        (Uniform(2, PerTensor()), 2),
        (Ternary(), 1.6),
        (PowerOfTwo(), 4),
    ],
    ids=repr,
)
def test_files_have_the_bits_of_the_format(form: Any, bits: float, large: nn.Module, tmp_path: Path) -> None:
    weights = 256 * 300 + 300 * 100
    write_packed(content(quantize(large, weights=form)), tmp_path / "packed", coder="bits")
    size = (tmp_path / "packed").stat().st_size
    assert weights * bits / 8 + 1600 <= size <= weights * bits / 8 + 1600 + 900


@pytest.mark.parametrize("form", [Uniform(8), Uniform(4), Ternary(), PowerOfTwo()], ids=repr)
def test_coded_files_are_near_the_entropy(form: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(300, 300, bias=False)
    with torch.no_grad():
        layer.weight.normal_()
    packed = content(quantize(layer, weights=form))
    _, codes = packed.codes["weight"]
    least = entropy(histogram(codes.codes.numpy(), form.codes)) * 90_000 / 8 + container.table_bytes(codes.table)
    write_packed(packed, tmp_path / "packed")
    assert least <= (tmp_path / "packed").stat().st_size <= 1.015 * least + 1100
    write_packed(packed, tmp_path / "plain", coder="bits")
    assert (tmp_path / "packed").stat().st_size <= (tmp_path / "plain").stat().st_size


def test_floats_of_sixteen_bits_halve_the_rest_and_round_it(network: nn.Module, inputs: Tensor, tmp_path: Path) -> None:
    packed = content(quantize(network, weights=Ternary()))
    for floats in ("float32", "float16"):
        write_packed(packed, tmp_path / floats, floats=floats)
    floating = sum(t.numel() for t in packed.tensors.values() if t.is_floating_point())
    saved = (tmp_path / "float32").stat().st_size - (tmp_path / "float16").stat().st_size
    assert abs(saved - 2 * floating) < 60
    back = read_packed(tmp_path / "float16")
    for name, tensor in packed.tensors.items():
        assert back.tensors[name].dtype == tensor.dtype
        torch.testing.assert_close(back.tensors[name], tensor, rtol=2**-11, atol=1e-7)
    assert all(torch.equal(back.state()[name], packed.state()[name]) for name in packed.codes)


def test_the_same_student_gives_the_same_bytes(network: nn.Module, tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_packed(content(quantize(network, weights=Codebook(2))), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.fixture
def path(network: nn.Module, inputs: Tensor, tmp_path: Path) -> Path:
    student = quantize(network, weights=Codebook(levels=5), activations=Affine(4), calibration=inputs)
    write_packed(content(student), tmp_path / "packed", coder="bits")
    return tmp_path / "packed"


def rewritten(
    path: Path, change: Callable[[dict[str, Any]], Any], payload: Callable[[Tensor], Tensor] | None = None
) -> None:
    """Change the index (and the payload), as someone would who also writes the checksum anew."""
    tensors, about = read_tensors(path)
    index = json.loads(zlib.decompress(tensors["index"].numpy().tobytes()))
    change(index)
    raw = zlib.compress(json.dumps(index).encode())
    tensors["index"] = torch.frombuffer(bytearray(raw), dtype=torch.uint8)
    if payload is not None:
        tensors["payload"] = payload(tensors["payload"])
    write_tensors(tensors, path, {**about, "sha256": container._digest(tensors)})


def entry(index: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in index[kind] if each["name"] == name)
    return found


@pytest.mark.parametrize("keep", [0, 7, 200, 900])
def test_a_truncated_file_is_told(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CorruptFile, match="is not a whole safetensors file"):
        read_packed(path)


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_an_altered_byte_is_told(tmp_path_factory: pytest.TempPathFactory, place: float, flip: int) -> None:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("altered") / "packed"
    write_packed(content(quantize(nn.Linear(30, 3), weights=Ternary())), path)
    complete = bytearray(path.read_bytes())
    header = 8 + int.from_bytes(complete[:8], "little")
    complete[header + int(place * (len(complete) - header))] ^= flip
    path.write_bytes(bytes(complete))
    with pytest.raises(CorruptFile, match=r"its SHA-256 differs"):
        read_packed(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="an existing safetensors file"):
        read_packed(tmp_path / "none")


def test_another_file_is_told(tmp_path: Path) -> None:
    write_tensors({"weight": torch.zeros(3)}, tmp_path / "other")
    with pytest.raises(CorruptFile, match="is not a packed network"):
        read_packed(tmp_path / "other")


def test_another_version_is_told(path: Path) -> None:
    tensors, about = read_tensors(path)
    write_tensors(tensors, path, {**about, "packed": container.VERSION + 1})
    with pytest.raises(BadInput, match=r"must be 2; got 3[.] Install a newer Attar"):
        read_packed(path)
    write_tensors(tensors, path, {**about, "packed": container.VERSION - 1})
    with pytest.raises(BadInput, match=r"must be 2; got 1[.] Deploy again"):
        read_packed(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i: entry(i, "codes", "first.weight").update(coder="zip"), "the coder 'zip' is unknown"),
        (
            lambda i: entry(i, "codes", "first.weight")["format"].update(use="magic"),
            "must be a known format; got 'magic'",
        ),
        (lambda i: entry(i, "codes", "first.weight")["format"].update(levels=1), "levels of Codebook must be from 2"),
        (lambda i: entry(i, "codes", "first.weight")["format"].update(levels="5"), "levels of format 'codebook' must"),
        (lambda i: entry(i, "codes", "first.weight")["format"].update(level=5), "must be known; got 'level'"),
        (lambda i: entry(i, "codes", "first.weight").update(shape=[6, 1, 3, 4]), "cannot be read"),
        (lambda i: entry(i, "codes", "first.weight").update(shape=[-6]), "the shape of 'first.weight'"),
        (lambda i: entry(i, "codes", "first.weight").update(shape=[2**60]), "cannot be read"),
        (lambda i: entry(i, "codes", "first.weight").update(dtype="int8"), "is no tensor for"),
        (lambda i: entry(i, "codes", "first.weight").update(dtype="complex"), "its index has another form"),
        (lambda i: entry(i, "codes", "first.weight")["table"].pop(), "the table of 'first.weight' has"),
        (lambda i: entry(i, "codes", "first.weight").pop("bytes"), "its index has another form"),
        (lambda i: entry(i, "codes", "first.weight").update(bytes=10**9), "is not there"),
        (lambda i: entry(i, "tensors", "norm.bias").update(shape=[7]), "'norm.bias' has 24 bytes"),
        (lambda i: i["tensors"].pop(), "belong to nothing"),
        (lambda i: i["tensors"].append(dict(i["tensors"][-1], bytes=0, shape=[0])), "a tensor is there twice"),
        (lambda i: i.pop("tensors"), "its index has another form"),
    ],
)
def test_an_index_that_cannot_be_is_told(path: Path, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    rewritten(path, change)
    with pytest.raises(CorruptFile, match=message):
        read_packed(path)


def test_codes_beyond_the_table_are_told(path: Path) -> None:
    # Three bits have room for eight codes, and there are five points.
    index = json.loads(zlib.decompress(read_tensors(path)[0]["index"].numpy().tobytes()))
    assert entry(index, "codes", "first.weight")["coder"] in ("bits", "digits")
    rewritten(path, lambda index: entry(index, "codes", "first.weight").update(coder="bits", bytes=21), widen)
    with pytest.raises(CorruptFile, match=r"a code of 'first.weight' is 7, beyond the 5 that"):
        read_packed(path)


def widen(payload: Tensor) -> Tensor:
    """The 54 codes of the first tensor in 21 bytes of ones, instead of 18 bytes of three digits each."""
    return torch.cat([torch.full((21,), 255, dtype=torch.uint8), payload[18:]])


def test_weights_that_are_no_numbers_are_told(path: Path) -> None:
    def spoiled(payload: Tensor) -> Tensor:
        changed = payload.clone()
        changed[-200:] = 255  # biases, statistics and ranges are the last
        return changed

    rewritten(path, lambda index: None, spoiled)
    with pytest.raises(CorruptFile, match="NaN"):
        read_packed(path)


def test_a_deflated_bomb_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "_LARGEST_INDEX", 100)
    with pytest.raises(CorruptFile, match="has no end, or more than 100 bytes"):
        read_packed(path)


def test_tables_and_codes_that_grow_beyond_measure_are_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_packed(content(quantize(nn.Linear(9, 3), weights=Ternary(granularity=PerAxis(0)))), path)

    def none(index: dict[str, Any]) -> None:
        (answer,) = index["codes"]
        (table,) = answer["table"]
        answer.update(shape=[2**40, 0], bytes=0, coder="bits")
        table.update(shape=[2**40], repeated=True, remaining="float32", bytes=4)

    rewritten(path, none, lambda payload: payload[:4])
    with pytest.raises(CorruptFile, match="bytes would grow to more than 67108864"):
        read_packed(path)
    write_packed(content(quantize(nn.Linear(300, 300), weights=Ternary())), path)
    monkeypatch.setattr(container, "_ALWAYS", 2**10)
    monkeypatch.setattr(container, "_LARGEST_GROWTH", 8)
    with pytest.raises(CorruptFile, match="would grow"):
        read_packed(path)


def test_what_cannot_be_read_is_not_written(tmp_path: Path) -> None:
    student = quantize(nn.Linear(9, 3), weights=Codebook(2))
    packed = content(student)
    ((_, codes),) = packed.codes.values()
    codes.table["points"][-1] = torch.inf
    with pytest.raises(BadInput, match=r"tensor 'weight points' of a packed file must be finite; got infinity"):
        write_packed(packed, tmp_path / "packed")
    assert not list(tmp_path.iterdir())


def test_tied_weights_are_written_once(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows, self.middle, self.head = nn.Embedding(50, 8), nn.Linear(8, 8), nn.Linear(8, 50, bias=False)
            self.head.weight = self.rows.weight

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.head(self.middle(self.rows(x)))
            return out

    torch.manual_seed(0)
    student = quantize(Tied(), weights=Uniform(4), skip=["rows", "head"])
    write_packed(content(student), tmp_path / "packed")
    assert (tmp_path / "packed").stat().st_size < 50 * 8 * 4 + 1200
    network = filled(Tied(), tmp_path / "packed")
    assert network.head.weight is network.rows.weight
    assert torch.equal(network(torch.arange(50)), student.eval()(torch.arange(50)))
    assert [each["name"] for each in size_report(student)] == ["middle.weight", "rows.weight", "middle.bias"]


def test_another_network_is_told(path: Path) -> None:
    with pytest.raises(BadInput, match=r"missing \['weight'\], unknown"):
        filled(nn.Linear(3, 3, bias=False), path)
    other = Small()
    other.body[2] = nn.Linear(11, 6)
    Quantize(inputs=dict.fromkeys(("first", "body.0", "body.2"), Affine(4))).apply(other)
    with pytest.raises(BadInput, match=r"'body.2.*must be of shape"):
        filled(other, path)


def test_a_missing_tensor_is_told(path: Path, network: nn.Module) -> None:
    packed = read_packed(path)
    fewer = Content(packed.codes, {name: t for name, t in packed.tensors.items() if name != "norm.bias"})
    write_packed(fewer, path)
    with pytest.raises(BadInput, match=r"missing \['norm.bias'\]"):
        filled(Small(), path)


def test_what_is_not_quantized_is_refused(network: nn.Module) -> None:
    with pytest.raises(BadInput, match=r"must be quantized; got 'Small'"):
        content(network)


def test_weights_that_are_nan_are_refused(network: nn.Module, tmp_path: Path) -> None:
    student = quantize(network, weights=Ternary())
    with torch.no_grad():
        student.get_parameter("norm.bias")[2] = torch.nan
    with pytest.raises(BadInput, match=r"'norm.bias' of a packed file must be numbers; got NaN"):
        write_packed(content(student), tmp_path / "packed")
    with torch.no_grad():
        student.get_submodule("first").parametrizations.weight.original[0] = torch.nan
    with pytest.raises(BadInput, match="NaN or infinite"):
        content(student)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"coder": "huffman"}, "coder of write_packed"), ({"floats": "float8"}, "floats of write_packed")],
)
def test_unknown_settings_are_refused(settings: Any, message: str, network: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message):
        write_packed(content(quantize(network, weights=Ternary())), tmp_path / "packed", **settings)


def test_floats_beyond_sixteen_bits_are_refused(network: nn.Module, tmp_path: Path) -> None:
    student = quantize(network, weights=Ternary())
    with torch.no_grad():
        student.get_parameter("norm.bias")[2] = 1e6
    with pytest.raises(BadInput, match=r"float16 for 'norm.bias'"):
        write_packed(content(student), tmp_path / "packed", floats="float16")


class Doubled(nn.Module):
    """A parametrization of the user's own."""

    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


def test_a_layer_whose_weights_are_changed_further_is_named(network: nn.Module) -> None:
    student = quantize(network, weights=Ternary())
    parametrize.register_parametrization(student.get_submodule("body.2"), "weight", Doubled(), unsafe=True)
    with pytest.raises(DeploymentError, match=r"'body.2.weight' of layer 'body.2' \(Linear\) are not what their codes"):
        content(student)


class Own(Ternary):
    """A format of the user's own."""


def test_a_format_of_ones_own_is_refused(network: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"format of a file must be one of .*; got 'Own'"):
        write_packed(content(quantize(network, weights=Own())), tmp_path / "packed")


@pytest.mark.parametrize("coder", CODERS)
def test_codes_that_are_all_the_same_can_be_read_again(
    coder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "_ALWAYS", 2**16)
    count = 2**20
    codes = Encoded(torch.zeros(count, dtype=torch.int8), {"scale": torch.ones(1)}, torch.float32)
    packed = Content({"weight": (Ternary(), codes)}, {})
    write_packed(packed, tmp_path / "packed", coder=coder)
    # Five digits of three kinds a byte, as the fewest bytes would be more than the reader takes for them.
    assert count / 5 < (tmp_path / "packed").stat().st_size < count / 4
    assert torch.equal(read_packed(tmp_path / "packed").codes["weight"][1].codes, codes.codes)


def test_a_file_that_would_grow_without_end_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = Encoded(torch.zeros(2**20, dtype=torch.int8), {"scale": torch.ones(1)}, torch.float32)
    write_packed(Content({"weight": (Ternary(), codes)}, {}), tmp_path / "packed")
    monkeypatch.setattr(container, "_ALWAYS", 2**16)
    with pytest.raises(CorruptFile, match=r"would grow to more than [0-9]+\. Restore it, or deploy again\.$"):
        read_packed(tmp_path / "packed")


def test_weights_beyond_their_own_type_are_refused(tmp_path: Path) -> None:
    codes = Encoded(torch.ones(4, dtype=torch.int8), {"scale": torch.full((1,), 7e4)}, torch.float16)
    rule = r"tensor 'weight' of a packed file must be finite when it is decoded to torch\.float16"
    with pytest.raises(BadInput, match=rule):
        write_packed(Content({"weight": (Ternary(), codes)}, {}), tmp_path / "packed")
    assert not list(tmp_path.iterdir())


# -- the report ------------------------------------------------------------------------------------------------------


def test_a_report_adds_up(network: nn.Module, tmp_path: Path) -> None:
    student = quantize(network, weights={"first": Uniform(8), "body.*": Codebook(2)})
    rows = size_report(student)
    assert json.loads(json.dumps(rows)) == rows
    by_name = {row["name"]: row for row in rows}
    assert by_name.keys() == network.state_dict().keys()
    for coder, key in (("bits", "bytes_packed"), ("smallest", "bytes_coded")):
        write_packed(content(student), tmp_path / "packed", coder=coder)
        payload = read_tensors(tmp_path / "packed")[0]["payload"]
        assert sum(row[key] for row in rows) == len(payload)
    row = by_name["body.0.weight"]
    assert (row["shape"], row["values"], row["bits"], row["bytes_float32"]) == ([11, 216], 2376, 2, 4 * 2376)
    assert row["format"]["use"] == "codebook"
    assert 0 < row["entropy_bits"] <= 2
    assert sum(row["weights"]["counts"]) == sum(row["numbers"]["counts"]) == 2376
    assert len(row["points"]) == 4
    assert row["numbers"]["lowest"][0] < row["numbers"]["mean"][0] < row["numbers"]["highest"][0]
    assert by_name["first.weight"]["numbers"] is None
    assert by_name["first.bias"]["format"] is None


def test_a_report_says_what_each_code_means() -> None:
    layer = nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.1, -0.2, 0.9, 1.1]]))
    (row,) = size_report(quantize(layer, weights=Ternary()))
    assert row["numbers"] == {"counts": [0, 2, 2], **{key: [None, 0.0, 1.0] for key in ("lowest", "mean", "highest")}}
    assert row["points"] is None


def test_a_report_says_what_goes_into_layers() -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    student = quantize(network, weights={"1": Ternary()}, activations=Clipped(bits=2))
    rows = {row["name"]: row["inputs"] for row in size_report(student)}
    assert (rows["0.weight"]["format"]["use"], rows["0.weight"]["bits"]) == ("clipped", 2)
    assert rows["0.weight"]["range"] == rows["1.weight"]["range"] == [0.0, 1.0]
    assert rows["0.bias"] is None and rows["1.bias"] is None
