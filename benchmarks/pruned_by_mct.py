"""ResNet-20 made as small as Sony's Model Compression Toolkit makes it: its latency against the unpruned network.

    python -m venv mct && mct/bin/pip install model-compression-toolkit==2.6.1 'torchvision==0.28.*' .
    mct/bin/python benchmarks/pruned_by_mct.py

An environment of its own, as the toolkit wants older versions of what Attar uses; of torchvision, which it imports,
three operators are declared here, as the wheel for GPUs does not load beside torch for CPUs. A minute.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from pruned_residual import export, ratio_of
from residual_networks import ResNet20
from result import RESULTS, write
from torch import Tensor, nn

_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width, "
    "int sampling_ratio, bool aligned) -> Tensor",
)

WHAT = (
    "ResNet-20 (width 16, 28 pixels) pruned by Sony's Model Compression Toolkit 2.6.1 with its default platform, whose "
    "channels go in groups of 32, to the least weights that it can: it refuses targets below and names the least. The "
    "latency (ONNX Runtime, one thread, one image) is the ratio to the unpruned network raced in the same process. "
    "Weights are untrained, which changes which channels go and not how many."
)


class First(nn.Module):
    """The one output of a network that gives it in a list."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = self.network(inputs)
        first: Tensor = outputs[0] if isinstance(outputs, list | tuple) else outputs
        return first


def pruned(toolkit: Any, module: nn.Module, share: float) -> nn.Module:
    """The network with about this share of its weights."""
    rows = torch.randn(128, 1, 28, 28, generator=torch.Generator().manual_seed(0))

    def examples() -> Iterator[list[Tensor]]:
        yield from ([part] for part in rows.split(64))

    size = 4 * sum(tensor.numel() for tensor in module.state_dict().values())
    network, _ = toolkit.pruning.pytorch_pruning_experimental(
        model=module,
        target_resource_utilization=toolkit.core.ResourceUtilization(weights_memory=share * size),
        representative_data_gen=examples,
        pruning_config=toolkit.pruning.PruningConfig(num_score_approximations=1),
    )
    return First(network)


def main() -> None:
    """Find the least, race it, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS / "pruned_by_mct.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    library = torch.library.Library("torchvision", "DEF")
    for operator in _OPERATORS:
        library.define(operator)
    import model_compression_toolkit as toolkit

    module = ResNet20().eval()
    try:
        pruned(toolkit, module, 0.05)
        raise SystemExit("it went below, so .05 is not the least")
    except Exception as error:
        found = re.search(r"current memory ([\d.]+)", str(error))
        if found is None:
            raise
    size = 4 * sum(tensor.numel() for tensor in module.state_dict().values())
    least = float(found[1]) / size
    with tempfile.TemporaryDirectory() as folder:
        whole = export(module, Path(folder) / "whole.onnx")
        small = export(pruned(toolkit, module, least * 1.001), Path(folder) / "small.onnx")
        ratio = ratio_of(small, whole, seconds=2.0)
    claims = [
        {"claim": "share of the weights that stays at least", "aim": None, "reached": least, "met": None},
        {"claim": "times the latency of the unpruned network, then", "aim": None, "reached": ratio, "met": None},
    ]
    write(given.out, what=WHAT, seed=0, packages=["model-compression-toolkit"], claims=claims)
    print(f"{least:.3f} of the weights, {ratio:.3f} of the latency")


if __name__ == "__main__":
    main()
