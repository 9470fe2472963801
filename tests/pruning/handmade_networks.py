"""Networks as people write them, and inputs of some."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Inverted(nn.Module):
    """MobileNet's block: wide in the middle, where each channel is filtered alone."""

    def __init__(self, taken: int, made: int, stride: int = 1) -> None:
        super().__init__()
        wide = 2 * taken
        self.body = nn.Sequential(
            nn.Conv2d(taken, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(inplace=True),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(inplace=True),
            nn.Conv2d(wide, made, 1, bias=False),
            nn.BatchNorm2d(made),
        )
        self.adds = stride == 1 and taken == made

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.adds else self.body(x)


class Gate(nn.Module):
    """Squeeze and excitation: each channel times a number that all of them decide."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))


def mobile() -> nn.Module:
    start = [nn.Conv2d(1, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU6()]
    blocks = [Inverted(4, 4), Inverted(4, 6, 2), Gate(6, 3)]
    return nn.Sequential(*start, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4))


class Dense(nn.Module):
    """Each layer sees all that came before it."""

    def __init__(self, taken: int, growth: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, growth, 3, padding=1, bias=False))
            for width in range(taken, taken + growth * layers, growth)
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


def dense() -> nn.Module:
    first = [nn.Conv2d(1, 4, 3, padding=1), Dense(4, 3, 2), nn.BatchNorm2d(10), nn.ReLU(), nn.Conv2d(10, 4, 1)]
    return nn.Sequential(*first, nn.AvgPool2d(2), Dense(4, 2, 1), nn.Flatten(), nn.Linear(6 * 16, 3))


class Preactivated(nn.Module):
    """Normalizes before it adds, so that what it adds is never normalized itself."""

    def __init__(self, taken: int, made: int, stride: int = 1) -> None:
        super().__init__()
        self.norm, self.first = nn.BatchNorm2d(taken), nn.Conv2d(taken, made, 3, stride, 1, bias=False)
        self.inner_norm, self.second = nn.BatchNorm2d(made), nn.Conv2d(made, made, 3, 1, 1, bias=False)
        self.shortcut = nn.Conv2d(taken, made, 1, stride, bias=False) if taken != made else None

    def forward(self, x: Tensor) -> Tensor:
        seen = F.relu(self.norm(x))
        beside = x if self.shortcut is None else self.shortcut(seen)
        return beside + self.second(F.relu(self.inner_norm(self.first(seen))))


def preactivated() -> nn.Module:
    blocks = [Preactivated(4, 4), Preactivated(4, 6, 2)]
    last = [nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)]
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), *blocks, *last)


class UNet(nn.Module):
    """Down and up again, beside which maps of the way down are laid, and the image itself."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.middle = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)
        self.up = nn.ConvTranspose2d(6, 3, 2, 2)
        self.joined, self.act, self.last = nn.Conv2d(3 + 4 + 2, 5, 3, padding=1), nn.PReLU(5), nn.Conv2d(5, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        down = F.relu(self.down(x))
        up = self.up(F.relu(self.middle(F.max_pool2d(down, 2))))
        return self.last(self.act(self.joined(torch.cat([up, down, x], 1))))


def normalized() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 8, 3),
        nn.GroupNorm(4, 8),
        nn.ReLU(),
        nn.Conv2d(8, 6, 3),
        nn.InstanceNorm2d(6, affine=True),
        nn.Conv2d(6, 12, 3, groups=3),
        nn.InstanceNorm2d(12),
        nn.GELU(),
        nn.ConvTranspose2d(12, 6, 3, groups=3),
        nn.Conv2d(6, 4, 1),
        nn.GroupNorm(2, 4, affine=False),
        nn.Flatten(),
        nn.Linear(4 * 16, 3),
    )


class Direct(nn.Module):
    """Uses parameters of its own: one for all, one for each unit, a matrix, and one for each position."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(7, 2)
        self.scale, self.shift = nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.randn(1, 6))
        self.matrix, self.places = nn.Parameter(torch.randn(6, 7)), nn.Parameter(torch.randn(3, 6))

    def forward(self, x: Tensor) -> Tensor:
        seen = torch.tanh(self.first(x) * self.scale + self.shift + self.places)
        return self.last(torch.relu(self.second(seen).mean(1) @ self.matrix))


class Gated(nn.Module):
    """A half of the units decides over the other half."""

    def __init__(self) -> None:
        super().__init__()
        self.both, self.last = nn.Linear(4, 12), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        values, gates = self.both(x).chunk(2, -1)
        return self.last(values * torch.sigmoid(gates))


class Counting(nn.Module):
    """Knows its width in a number of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 6
        self.conv, self.last = nn.Conv2d(1, 6, 3), nn.Linear(6 * 4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.conv(x)).view(-1, self.width * 4))


class Shuffled(nn.Module):
    """Channels change places between the groups of two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.grouped = nn.Conv2d(1, 8, 1), nn.Conv2d(8, 8, 3, groups=4, padding=1)
        self.last = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.first(x)
        mixed = seen.view(len(x), 2, seen.shape[1] // 2, *seen.shape[2:]).transpose(1, 2).reshape(seen.shape)
        return self.last(F.relu(self.grouped(F.relu(mixed)))).mean((2, 3))


class Several(nn.Module):
    """Gives its features beside its logits."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(4, 6), nn.Linear(6, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = torch.relu(self.second(torch.relu(self.first(x))))
        return {"logits": self.last(features), "features": features}


@dataclass
class Logits:
    logits: Tensor


class Described(nn.Sequential):
    """Gives an object that holds its logits."""

    def forward(self, x: Tensor) -> Logits:
        return Logits(super().forward(x))


class PaddedShortcut(nn.Module):
    """Adds maps of 4 channels to maps of 6, with nothing in the other 2."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)
        self.third, self.last = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen = F.relu(self.first(x))
        return self.last(F.pad(seen, (0, 0, 0, 0, 1, 1)) + self.third(F.relu(self.second(seen)))).mean((2, 3))


class Twice(nn.Module):
    """Uses one layer twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again, self.inner, self.last = (nn.Linear(a, b) for a, b in ((4, 6), (6, 6), (6, 5), (5, 2)))

    def forward(self, x: Tensor) -> Tensor:
        seen = torch.relu(self.again(torch.relu(self.again(torch.relu(self.first(x))))))
        return self.last(torch.relu(self.inner(seen)))


class Tied(nn.Module):
    """Two layers with one matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.one, self.other, self.last = (nn.Linear(a, b) for a, b in ((4, 6), (6, 6), (6, 6), (6, 2)))
        self.other.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.other(torch.relu(self.one(self.first(x))))))


class Recurrent(nn.Module):
    """A recurrent layer in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.memory = nn.Linear(4, 6), nn.GRU(6, 5, batch_first=True)
        self.inner, self.last = nn.Linear(5, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.inner(self.memory(self.first(x))[0].mean(1))))


class Sliced(nn.Module):
    """Takes the first four maps apart by their numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.all, self.some, self.last = nn.Conv2d(1, 12, 1), nn.Conv2d(4, 6, 1), nn.Conv2d(14, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen = F.relu(self.all(x))
        return self.last(torch.cat([seen[:, 4:], F.relu(self.some(seen[:, :4]))], 1)).mean((2, 3))


class Branching(nn.Module):
    """Leaves a layer out where its input is small, as it is with the weights that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 6)
        self.third, self.last = nn.Linear(6, 5), nn.Linear(5, 2)
        nn.init.constant_(self.first.bias, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        seen = torch.relu(self.first(x))
        if bool(seen.mean() > 0.4):
            seen = torch.relu(self.second(seen))
        return self.last(torch.relu(self.third(seen)))


class ByExample(nn.Module):
    """Takes another layer for dark examples: of a batch, as all of them are on average."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.bright, self.dark = nn.Linear(4, 6), nn.Linear(6, 5), nn.Linear(6, 5)
        self.last = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        seen = torch.relu(self.first(x))
        return self.last(torch.relu(self.bright(seen) if bool(x.mean() > 0) else self.dark(seen)))


class Noisy(nn.Module):
    """Adds noise, also where it is not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(x + 0.1 * torch.randn_like(x))))


class Experts(nn.Module):
    """Sends each example to one of its layers, by what another layer says."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.choice = nn.Linear(4, 6), nn.Linear(6, 2)
        self.experts = nn.ModuleList(nn.Linear(6, 5) for _ in range(2))
        self.inner, self.last = nn.Linear(5, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        seen = torch.relu(self.first(x))
        chosen = self.choice(seen).argmax(1)
        made = seen.new_zeros(len(seen), 5)
        for place, expert in enumerate(self.experts):
            if bool((chosen == place).any()):
                made[chosen == place] = expert(seen[chosen == place])
        return self.last(torch.relu(self.inner(made)))


class ByName(nn.Module):
    """Gives its layers what they take by name."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(input=torch.relu(self.first(input=x)))


class Auxiliary(nn.Module):
    """Has a second output while it is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner = nn.Linear(4, 6), nn.Linear(6, 5)
        self.last, self.other = nn.Linear(5, 2), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        seen = torch.relu(self.first(x))
        logits: Tensor = self.last(torch.relu(self.inner(seen)))
        return logits + self.other(seen) if self.training else logits


class Odd(nn.Linear):
    """A layer that does more than its class does."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).cumsum(-1)


def tokens() -> Tensor:
    ids = torch.randint(0, 12, (2, 7), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, 5:] = 0
    return torch.stack([ids, mask], 1)


def rows() -> tuple[list[dict[str, object]], Tensor]:
    number = {"name": "a", "kind": "number", "center": 0.0, "scale": 1.0, "missing": True}
    nominal = {"name": "b", "kind": "nominal", "categories": ["x", "y", "z"]}
    return [number, nominal, nominal | {"name": "c"}], torch.tensor([[1.0, 0.0, 1.0], [torch.nan, 2.0, 0.0]])


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))
