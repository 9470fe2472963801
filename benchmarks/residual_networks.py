"""Networks that benchmarks of pruning begin with: ResNet-20 and LeNet-5 on Fashion-MNIST, trained once and kept.

    python benchmarks/residual_networks.py --network resnet20 --seeds 5 --out runs/pruning      # 8 minutes a seed

What is there already is not trained again.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor, nn

from attar.cli.progress import progress_bar
from attar.data.datasets import Dataset, load
from attar.data.transfer_set import TransferSet
from attar.data.views import Views
from attar.network.architectures import lenet5
from attar.network.weights import load_weights, save_weights
from attar.training.fit import fit
from attar.training.losses.outputs import HardLabels
from attar.training.objective import Objective, Term
from attar.training.settings import Training

SETTINGS = {
    "resnet20": Training(epochs=6, batch_size=64, learning_rate=0.1, weight_decay=5e-4, schedule="one_cycle"),
    "lenet5": Training(epochs=6, batch_size=64, learning_rate=0.05, weight_decay=5e-4, schedule="one_cycle"),
}
EXAMPLES = {"resnet20": 20_000, "lenet5": 10_000}


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al., *Deep Residual Learning*, 2016), 1x1 where it shrinks."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Identity() if stride == 1 and inputs == width else nn.Conv2d(inputs, width, 1, stride)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.relu(self.bn1(self.conv1(inputs)))
        return torch.relu(self.bn2(self.conv2(hidden)) + self.shortcut(inputs))


class ResNet20(nn.Module):
    """ResNet-20 for small images: 272,000 parameters at width 16."""

    def __init__(self, classes: int = 10, channels: int = 1, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        widths = (width, 2 * width, 4 * width)
        blocks, inputs = [], width
        for stage, size in enumerate(widths):
            for place in range(3):
                blocks.append(Block(inputs, size, 2 if stage and not place else 1))
                inputs = size
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(inputs)).mean((2, 3)))


NETWORKS = {"resnet20": ResNet20, "lenet5": lenet5}


def data(network: str, seed: int) -> Dataset:
    """Fashion-MNIST with 5,000 examples for validation, drawn from the seed."""
    return load("fashion-mnist", validation=5_000, seed=seed)


def rows_of(network: str, seed: int, dataset: Dataset) -> Tensor:
    """The training examples of a network, drawn from the seed."""
    order = torch.randperm(len(dataset.train), generator=torch.Generator().manual_seed(seed))
    return order[: EXAMPLES[network]]


def trained(network: str, seed: int, folder: Path, dataset: Dataset | None = None) -> nn.Module:
    """The network of a seed, read from the folder or trained."""
    torch.manual_seed(seed)
    module = NETWORKS[network]()
    path = folder / f"{network}-{seed}.safetensors"
    if path.exists():
        return load_weights(module, path).eval()
    dataset = dataset or data(network, seed)
    if network == "lenet5":
        module = module.to(memory_format=torch.channels_last)  # half as long again otherwise
    views = Views(count=6, shift=2, flip=True, seed=seed) if network == "resnet20" else Views(seed=seed)
    fitted = fit(
        module,
        Objective({"hard": Term(loss=HardLabels())}),
        TransferSet(dataset.train.rows(rows_of(network, seed, dataset)), views),
        settings=SETTINGS[network],
        validation=TransferSet(dataset.validation),
        checkpoint_file=folder / f"{network}-{seed}.checkpoint",
        progress=progress_bar,
        title=f"{network} {seed}",
    )
    print(network, seed, fitted, flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(fitted.model, path)
    return fitted.model


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=sorted(NETWORKS), default="resnet20")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/pruning"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    for seed in range(given.seeds):
        trained(given.network, seed, given.out)
