"""How many bytes does a low-bit network take: in our packed file, in Brevitas' export, in torchao's?

    python benchmarks/packed_sizes.py    # some minutes on one thread; needs Brevitas and torchao, see README.md

One network (the student of the recipe fashion-mnist), lightly trained, is quantized without further training and
written in each way; all contenders get the same float weights in the same process. Then: what each entropy coder makes
of the same codes, how long decoding takes, and what packed files and few bits cost at batch 1 against float32 in the
same runtime.
"""

from __future__ import annotations

import argparse
import copy
import logging
import lzma
import os
import statistics
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import onnx
import torch
from result import RESULTS, write
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from attar.data.datasets import load
from attar.deployment.artifact import Artifact
from attar.deployment.candidate import Candidate
from attar.deployment.deploy import deploy
from attar.deployment.packed.ans import compress, expand
from attar.deployment.packed.container import read_packed, table_bytes, write_packed
from attar.deployment.packed.network import content
from attar.errors import AttarError
from attar.evidence.latency import race
from attar.network.spec import Spec
from attar.network.weights import save_weights
from attar.ops.entropy import entropy, histogram, huffman_bits
from attar.ops.granularity import PerAxis, PerTensor
from attar.ops.packing import pack
from attar.quantization.formats.affine import Affine
from attar.quantization.formats.power_of_two import PowerOfTwo
from attar.quantization.formats.ternary import Ternary
from attar.quantization.formats.uniform import Uniform
from attar.quantization.quantize import quantize
from attar.tasks.classification import Classification

WHAT = (
    "Bytes of files on disk. 'attar' is the packed file of a convolutional network of 209,050 parameters (torch, no "
    "graph), its codes in the bits of the format ('bits') and entropy coded ('smallest'); 'least' is the entropy of "
    "the codes and the bytes of tables and floats, without the index of the file. 'graph' is what the graph for ONNX "
    "Runtime and OpenVINO adds. Formats have one scale for a tensor, but 'buckets' one for 256 weights, as the paper. "
    "Brevitas: weights of QuantConv2d and QuantLinear, one scale for a tensor, export_onnx_qcdq; it has no weights "
    "that are powers of two. torchao: quantize_ with its weight-only configurations, which take linear layers alone, "
    "state dict by torch.save and by its safetensors support. 'coders': bytes of the codes of the largest layer. "
    "'decode': milliseconds from the file to the weights of the whole network. 'latency': batch 1, one thread, against "
    "float32 in the same runtime, taking turns; 'times' below 1 is slower. No accuracy is claimed: nothing is trained "
    "after quantization."
)
STUDENT = Spec(
    "attar.network.architectures:convnet",
    {"classes": 10, "widths": [16, 32, 64, 128], "pools": [2, 2, 2, 1], "hidden": [96], "side": 28},
)
PERCEPTRON = Spec("attar.network.architectures:mlp", {"inputs": 784, "classes": 10, "hidden": [1200, 1200]})
FORMATS: Mapping[str, Any] = {
    "8 bits": Uniform(8, PerTensor()),
    "4 bits": Uniform(4, PerTensor()),
    "4 bits, buckets": Uniform(4),
    "2 bits": Uniform(2, PerTensor()),
    "ternary": Ternary(),
    "power of two, 4 bits": PowerOfTwo(),
}
CLASSES = [str(digit) for digit in range(10)]


def trained(spec: Spec, seed: int, steps: int) -> tuple[nn.Module, Tensor]:
    """A network after some steps on Fashion-MNIST, and inputs of it."""
    torch.manual_seed(seed)
    split = load("fashion-mnist").train
    flat = "mlp" in spec.reference
    network = spec.build()
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    for step in range(steps):
        rows = slice(128 * step, 128 * (step + 1))
        inputs = split.floats(rows)
        optimizer.zero_grad()
        functional.cross_entropy(network(inputs.flatten(1) if flat else inputs), split.labels[rows]).backward()
        optimizer.step()
    inputs = split.floats(slice(0, 200))
    return network.eval(), inputs.flatten(1) if flat else inputs


def attar(network: nn.Module, form: Any, folder: Path) -> dict[str, Any]:
    """Bytes and seconds of the packed file."""
    packed = content(quantize(network, weights=form))
    bits = 0.0
    for _, codes in packed.codes.values():
        bits += entropy(histogram(codes.codes.numpy(), form.codes)) * codes.codes.numel()
    tables = sum(table_bytes(codes.table) for _, codes in packed.codes.values())
    floats = sum(tensor.numel() * tensor.element_size() for tensor in packed.tensors.values())
    sizes, seconds = {}, {}
    for name, settings in (
        ("bits", {"coder": "bits"}),
        ("smallest", {}),
        ("smallest, floats of 16 bits", {"floats": "float16"}),
    ):
        path = folder / name
        write_packed(packed, path, **settings)
        sizes[name] = path.stat().st_size
        seconds[name] = timed(lambda path=path: read_packed(path).state())
    least = bits / 8 + tables + floats
    return {
        **sizes,
        "least": round(least),
        "over_least": sizes["smallest"] / least - 1,
        "codes_entropy": round(bits / 8),
        "tables": tables,
        "floats": floats,
        "decode_ms": {name: 1000 * value for name, value in seconds.items()},
    }


def timed(work: Callable[[], object], times: int = 7) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def brevitas(network: nn.Module, folder: Path) -> dict[str, Any]:
    """Bytes of its export, by number of bits."""
    import brevitas.nn as qnn
    from brevitas.export import export_onnx_qcdq
    from brevitas.quant import Int8WeightPerTensorFloat, SignedTernaryWeightPerTensorConst

    found: dict[str, Any] = {}
    for name, bits in (("8 bits", 8), ("4 bits", 4), ("2 bits", 2), ("ternary", None)):
        how: dict[str, Any] = {"weight_quant": SignedTernaryWeightPerTensorConst}
        if bits is not None:
            how = {"weight_quant": Int8WeightPerTensorFloat, "weight_bit_width": bits}
        layers: list[nn.Module] = []
        for layer in network:  # type: ignore[attr-defined]  # a Sequential
            if isinstance(layer, nn.Conv2d):
                sizes = (layer.in_channels, layer.out_channels, layer.kernel_size)
                bias = layer.bias is not None
                made = qnn.QuantConv2d(*sizes, stride=layer.stride, padding=layer.padding, bias=bias, **how)
                made.load_state_dict(layer.state_dict(), strict=False)
            elif isinstance(layer, nn.Linear):
                made = qnn.QuantLinear(layer.in_features, layer.out_features, bias=layer.bias is not None, **how)
                made.load_state_dict(layer.state_dict(), strict=False)
            else:
                made = copy.deepcopy(layer)
            layers.append(made)
        path = folder / "brevitas.onnx"
        export_onnx_qcdq(nn.Sequential(*layers).eval(), args=torch.rand(1, 1, 28, 28), export_path=str(path))
        # It leaves a file of weights beside the graph, too, which the graph it writes last does not need.
        inside = onnx.load(path, load_external_data=False).graph.initializer
        assert not any(each.data_location == onnx.TensorProto.EXTERNAL for each in inside)
        found[name] = path.stat().st_size
    return found


def torchao(network: nn.Module, folder: Path) -> dict[str, Any]:
    """Bytes of its state dict, by number of bits, or why there is none."""
    from torchao.prototype.safetensors.safetensors_support import flatten_tensor_state_dict
    from torchao.quantization import Int4WeightOnlyConfig, IntxWeightOnlyConfig, quantize_
    from torchao.quantization.granularity import PerAxis as PerChannel

    configurations = {
        "8 bits": lambda: IntxWeightOnlyConfig(weight_dtype=torch.int8, granularity=PerChannel(0)),
        "4 bits": lambda: IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerChannel(0)),
        "4 bits, Int4WeightOnlyConfig": Int4WeightOnlyConfig,
        "2 bits": lambda: IntxWeightOnlyConfig(weight_dtype=torch.int2, granularity=PerChannel(0)),
    }
    found: dict[str, Any] = {}
    for name, configuration in configurations.items():
        small = copy.deepcopy(network)
        try:
            quantize_(small, configuration())
        except Exception as error:  # it raises whatever a missing kernel raises
            found[name] = f"{type(error).__name__}: {error}"[:200]
            continue
        torch.save(small.state_dict(), folder / "torchao.pt")
        tensors, about = flatten_tensor_state_dict(small.state_dict())
        save_file(tensors, folder / "torchao.safetensors", metadata=about)
        found[name] = {
            "torch.save": (folder / "torchao.pt").stat().st_size,
            "safetensors": (folder / "torchao.safetensors").stat().st_size,
            "quantized": sorted({type(each).__name__ for each in small.state_dict().values()} - {"Tensor"}),
        }
    return found


def coders(network: nn.Module) -> dict[str, Any]:
    """What each coder makes of the codes of the largest layer, and how long it takes to read them."""
    found: dict[str, Any] = {}
    for name, form in FORMATS.items():
        packed = content(quantize(network, weights=form)).codes
        _, codes = max(packed.values(), key=lambda each: each[1].codes.numel())
        flat = codes.codes.numpy().reshape(-1).astype(np.int64) - form.codes.start
        kinds, counts = len(form.codes), histogram(codes.codes.numpy(), form.codes)
        plain, ours = pack(flat, form.bits), compress(flat, kinds)
        one: dict[str, Any] = {
            "codes": len(flat),
            "entropy": round(entropy(counts) * len(flat) / 8),
            "bits": len(plain),
            "ans (attar)": len(ours),
            "huffman": -(-huffman_bits(counts) // 8),
            "zlib": len(zlib.compress(plain.tobytes(), 9)),
            "lzma": len(lzma.compress(plain.tobytes(), preset=9)),
            "ms": {
                "ans (attar)": 1000 * timed(lambda ours=ours, kinds=kinds, flat=flat: expand(ours, kinds, len(flat)))
            },
        }
        try:
            import zstandard

            one["zstd"] = len(zstandard.ZstdCompressor(level=22).compress(plain.tobytes()))
        except ImportError:
            one["zstd"] = None
        try:
            import constriction

            shares = np.maximum(counts / counts.sum(), 1e-9)
            model = constriction.stream.model.Categorical(shares, perfect=False)
            coder = constriction.stream.stack.AnsCoder()
            coder.encode_reverse(flat.astype(np.int32), model)
            words = coder.get_compressed()
            one["constriction"] = words.nbytes
            one["ms"]["constriction"] = 1000 * timed(
                lambda words=words, model=model, flat=flat: constriction.stream.stack.AnsCoder(words).decode(
                    model, len(flat)
                )
            )
        except ImportError:
            one["constriction"] = None
        found[name] = one
    return found


def latencies(seed: int, steps: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Packed files and few bits at batch 1, against float32 in the same runtime."""
    found: dict[str, Any] = {}
    network, inputs = trained(STUDENT, seed, steps)
    students = {
        "4 bits": quantize(network, weights=FORMATS["4 bits"]),
        "ternary, inputs of 8 bits": quantize(network, weights=Ternary(), activations=Affine(8), calibration=inputs),
    }
    for name, student in students.items():
        for runtime in ("torch", "onnxruntime", "openvino"):
            names = [f"{runtime} fp32", f"{runtime} packed"]
            found[f"convnet, {name}, {runtime}"] = raced(student, STUDENT, names, inputs, seconds, folder)
    wide, rows = trained(PERCEPTRON, seed, steps)
    for name, form, few in (
        ("4 bits", Affine(4, PerAxis(0), symmetric=True), "w4"),
        ("2 bits", Uniform(2, PerAxis(0)), "w2"),
        ("ternary", Ternary(), "w2"),
    ):
        names = ["onnxruntime fp32", "onnxruntime packed", f"onnxruntime {few}", "onnxruntime int8 u8 reduced"]
        student = quantize(wide, weights=form)
        found[f"perceptron, {name}, onnxruntime"] = raced(student, PERCEPTRON, names, rows, seconds, folder)
    return found


def raced(
    student: nn.Module, spec: Spec, names: list[str], inputs: Tensor, seconds: float, folder: Path
) -> dict[str, Any]:
    made: dict[str, Artifact] = {}
    refused: dict[str, str] = {}
    given: dict[str, Any] = {
        "example": inputs[:1],
        "task": Classification(tuple(CLASSES)),
        "calibration": inputs,
        "spec": spec,
    }
    for name in names:
        try:
            made[name] = deploy(student, name, folder / name, **given)
        except AttarError as error:
            refused[name] = str(error)
    exact = [Candidate("exact", "onnxruntime", n.split()[1], {"accuracy_level": 1}) for n in names if n.endswith("w4")]
    for candidate in exact:
        made["few bits, float inputs"] = deploy(student, candidate, folder / "exact", **given)
    runners = {name: artifact.open() for name, artifact in made.items()}
    said = race(runners, inputs[:1].numpy(), 1, threads=1, seconds=seconds)
    return {
        "bytes": {name: artifact.size_bytes for name, artifact in made.items()},
        "open_ms": {name: 1000 * timed(artifact.open, 3) for name, artifact in made.items()},
        "median_ms": {name: said.latencies[name].to_json() for name in made},
        "times": {name: said.ratio(names[0], name).to_json() for name in made if name != names[0]},
        "checked": {name: artifact.manifest["checked"] for name, artifact in made.items()},
        "refused": refused,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=150, help="of training, 128 pictures each")
    parser.add_argument("--seconds", type=float, default=2.0, help="of timing for each contender")
    parser.add_argument("--without-latency", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS / "packed_sizes.json")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    network, inputs = trained(STUDENT, chosen.seed, chosen.steps)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        save_weights(network, folder / "float")
        sizes = {name: attar(network, form, folder) for name, form in FORMATS.items()}
        student = quantize(network, weights=FORMATS["4 bits"])
        given: dict[str, Any] = {"example": inputs[:1], "task": Classification(tuple(CLASSES)), "spec": STUDENT}
        both = [deploy(student, f"{each} packed", folder / each, **given) for each in ("torch", "onnxruntime")]
        summary: dict[str, Any] = {
            "float32": (folder / "float").stat().st_size,
            "attar": sizes,
            "graph": both[1].size_bytes - both[0].size_bytes,
            "brevitas": brevitas(network, folder),
            "torchao": torchao(network, folder),
            "coders": coders(network),
        }
        if not chosen.without_latency:
            summary["latency"] = latencies(chosen.seed, chosen.steps, chosen.seconds, folder)
    written = write(
        chosen.out,
        what=WHAT,
        seed=chosen.seed,
        packages=("brevitas", "torchao", "constriction", "zstandard", "onnxruntime", "openvino", "onnxoptimizer"),
        settings={
            "steps": chosen.steps,
            "seconds": chosen.seconds,
            "formats": {n: repr(f) for n, f in FORMATS.items()},
        },
        summary=summary,
    )
    for name, row in sizes.items():
        print(f"{name}: {row['bits']} {row['smallest']} (least {row['least']}), {row['decode_ms']['smallest']:.0f} ms")
    print({name: summary[name] for name in ("float32", "graph", "brevitas", "torchao")})
    for name, row in summary.get("latency", {}).items():
        print(name, {each: round(ratio["ratio"], 2) for each, ratio in row["times"].items()}, row["refused"])
    print(written)


if __name__ == "__main__":
    main()
