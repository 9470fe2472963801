"""Small networks of several kinds, each with an example of what it takes."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attar.network.spec import Spec
from attar.search.n2n.describe import describe
from attar.search.n2n.layers import Layers, Rules


def vgg(classes: int = 4) -> nn.Module:
    layers: list[nn.Module] = []
    width = 3
    for size in (12, "pool", 16, 20, "pool"):
        if isinstance(size, str):
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [nn.Conv2d(width, size, 3, padding=1), nn.BatchNorm2d(size), nn.ReLU(inplace=True)]
        width = size
    head = [nn.Flatten(), nn.Linear(20 * 4, 24), nn.ReLU(), nn.Dropout(0.1), nn.Linear(24, classes)]
    return nn.Sequential(*layers, *head)


def lazy() -> nn.Module:
    return nn.Sequential(nn.LazyLinear(6), nn.ReLU(), nn.Linear(6, 3))


class Bottleneck(nn.Module):
    """Narrow inside, as ResNet-50 has it, and with a shortcut of its own where maps get smaller."""

    def __init__(self, taken: int, inner: int, made: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(taken, inner, 1, bias=False), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False), nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = nn.Conv2d(inner, made, 1, bias=False), nn.BatchNorm2d(made)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if taken != made:
            self.downsample = nn.Sequential(nn.Conv2d(taken, made, 1, stride, bias=False), nn.BatchNorm2d(made))

    def forward(self, x: Tensor) -> Tensor:
        beside = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(out)))))
        out += beside
        return self.relu(out)


def bottlenecks(classes: int = 4) -> nn.Module:
    start = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    blocks = [Bottleneck(16, 12, 16), Bottleneck(16, 14, 24, 2)]
    return nn.Sequential(*start, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, classes))


class Inception(nn.Module):
    """Three branches laid side by side."""

    def __init__(self, taken: int) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(taken, 12, 1), nn.ReLU())
        self.three = nn.Sequential(nn.Conv2d(taken, 11, 1), nn.ReLU(), nn.Conv2d(11, 14, 3, padding=1), nn.ReLU())
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(taken, 13, 1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.three(x), self.pooled(x)], 1)


def inception(classes: int = 4) -> nn.Module:
    start = [nn.Conv2d(3, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), Inception(12)]
    return nn.Sequential(*start, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(39, classes))


class Encoder(nn.Module):
    """Torch's encoder of sequences, on vectors."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.project = nn.Linear(6, 16)
        layer = nn.TransformerEncoderLayer(16, 4, 24, 0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.last = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.encoder(self.project(x)).mean(1))


def encoder(classes: int = 4) -> nn.Module:
    return Encoder(classes)


class Mobile(nn.Module):
    """Depthwise inside of a branch, and squeeze and excitation after it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 12, 3, 2, 1)
        self.wide, self.depthwise, self.narrow = (
            nn.Conv2d(12, 20, 1),
            nn.Conv2d(20, 20, 3, padding=1, groups=20),
            nn.Conv2d(20, 12, 1),
        )
        self.norm, self.down, self.up = nn.GroupNorm(4, 20), nn.Conv2d(12, 10, 1), nn.Conv2d(10, 12, 1)
        self.act, self.gate, self.last = nn.ReLU6(), nn.Sigmoid(), nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.act(self.first(x))
        seen = seen + self.narrow(self.act(self.norm(self.depthwise(self.wide(seen)))))
        gates = self.gate(self.up(F.relu(self.down(F.adaptive_avg_pool2d(seen, 1)))))
        return self.last((seen * gates).mean((2, 3)))


def mobile() -> nn.Module:
    return Mobile()


def in_groups() -> nn.Module:
    """The second convolution takes its channels in groups of eight, of which all go or none."""
    layers = [nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1, groups=4), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(32, 12, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4))


class Recurrent(nn.Module):
    """Of a recurrent layer nothing is known but that it is one."""

    def __init__(self) -> None:
        super().__init__()
        self.steps, self.last = nn.GRU(6, 24, batch_first=True), nn.Linear(24, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.steps(x)[0][:, -1])


def recurrent() -> nn.Module:
    return Recurrent()


def upward() -> nn.Module:
    """Makes maps larger, and then looks at much of them at once."""
    layers = [nn.Conv2d(2, 12, 1), nn.ConvTranspose2d(12, 12, 2, 2), nn.Conv2d(12, 12, 5), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(12 * 16, 3))


class Projected(nn.Module):
    """One branch beside another, which is called last; and a layer that is called by training alone."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 12, 1)
        self.inner = nn.Sequential(nn.Conv2d(12, 14, 3, padding=1), nn.BatchNorm2d(14), nn.ReLU())
        self.shortcut = nn.Sequential(nn.Conv2d(12, 14, 1), nn.BatchNorm2d(14))
        self.after, self.last, self.unused = nn.ReLU(), nn.Linear(14, 4), nn.Linear(14, 9)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.first(x)
        return self.last(self.after(self.inner(seen) + self.shortcut(seen)).mean((2, 3)))


def projected() -> nn.Module:
    return Projected()


def kernels() -> nn.Module:
    """Of several shapes, and with several things around their maps."""
    first = [nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(12, 12, (5, 1), padding=(2, 0))]
    others = [nn.Conv2d(12, 12, 3, padding=1, padding_mode="reflect"), nn.Conv2d(12, 12, 3, 2, 1), nn.Conv2d(12, 12, 2)]
    return nn.Sequential(*first, *others, nn.Flatten(), nn.Linear(12 * 9, 4))


class Opaque(nn.Module):
    """Computes all by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(8, 4))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.matrix


def opaque() -> nn.Module:
    return Opaque()


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


IMAGE = noise(1, 3, 8, 8)
ARCHITECTURES = "attar.network.architectures"

TOKENS = {"vocabulary": 9, "length": 5, "outputs": 3, "width": 12, "heads": 3, "blocks": 1}

NETWORKS: dict[str, tuple[Spec, Tensor]] = {
    "mlp": (Spec(f"{ARCHITECTURES}:mlp", {"inputs": 16, "classes": 4, "hidden": [24, 16, 12]}), noise(1, 16)),
    "vgg": (Spec("networks_to_shrink:vgg", mean=[0.5], std=[0.3]), IMAGE),
    "resnet": (Spec(f"{ARCHITECTURES}:resnet", {"classes": 4, "widths": [12, 16], "channels": 3}), IMAGE),
    "bottlenecks": (Spec("networks_to_shrink:bottlenecks"), IMAGE),
    "inception": (Spec("networks_to_shrink:inception"), IMAGE),
    "encoder": (Spec("networks_to_shrink:encoder"), noise(1, 5, 6)),
    "token_encoder": (
        Spec(f"{ARCHITECTURES}:token_encoder", TOKENS),
        torch.tensor([[[3, 1, 4, 1, 0], [1, 1, 1, 1, 0]]]),
    ),
    "mobile": (Spec("networks_to_shrink:mobile"), IMAGE),
}


ANY_SIZE = Rules(smaller=False)


@cache
def described(name: str) -> Layers:
    """One of the networks, whose students may be of any size."""
    return describe(*NETWORKS[name], ANY_SIZE)
