from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.network.layout import ChannelsLast, laid_out, lay_out_, suits_channels_last

IMAGES = torch.randn(3, 2, 6, 6, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """A convolution, and what a subclass does with its output."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.out = nn.Linear(4 * 6 * 6, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps = functional.relu(self.norm(self.convolution(images)))
        return self.out(self.flat(maps))  # type: ignore[no-any-return]

    def flat(self, maps: Tensor) -> Tensor:
        return maps.flatten(1)


class Viewed(Net):
    def flat(self, maps: Tensor) -> Tensor:
        return maps.view(maps.size(0), -1)


class Permuted(Net):
    def flat(self, maps: Tensor) -> Tensor:
        return maps.permute(0, 2, 3, 1).view(maps.size(0), -1)  # only channels last could do it


class Strided(Net):
    """Reads the memory as it lies: another layout gives other numbers and no error."""

    def flat(self, maps: Tensor) -> Tensor:
        return maps.as_strided((maps.size(0), 144), (144, 1))


class _Viewing(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        return maps.view(maps.size(0), -1)


class ViewedWhileTraining(Net):
    def flat(self, maps: Tensor) -> Tensor:
        return maps.view(maps.size(0), -1) if self.training else maps.flatten(1)


@pytest.mark.parametrize("kind", [Net, Viewed, Permuted, Strided])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("learns", [False, True])
def test_channels_last_is_for_networks_that_run_in_it_with_the_same_outputs(
    kind: type[Net], rows: int, learns: bool
) -> None:
    network = kind()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    drawn = torch.get_rng_state()
    assert suits_channels_last(network, IMAGES[:rows], learns=learns) is (kind is Net)
    assert network.training
    assert network.convolution.weight.is_contiguous()
    assert network.convolution.weight.grad is None
    assert torch.equal(drawn, torch.get_rng_state())
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_network_that_only_fails_while_it_learns_suits_asking_and_not_learning() -> None:
    assert suits_channels_last(ViewedWhileTraining(), IMAGES)
    assert not suits_channels_last(ViewedWhileTraining(), IMAGES, learns=True)


def test_chance_in_training_does_not_speak_against_a_layout() -> None:
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Dropout2d(), nn.Dropout(), nn.Flatten(), nn.Linear(64, 3))
    assert suits_channels_last(network, IMAGES, learns=True)


def test_images_of_one_channel_are_no_exception() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3))
    assert suits_channels_last(network, IMAGES[:, :1])
    network.append(_Viewing())
    assert not suits_channels_last(network, IMAGES[:, :1])


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_networks_of_other_numbers_are_asked_in_theirs(kind: torch.dtype) -> None:
    assert suits_channels_last(Net().to(kind), IMAGES)


def test_only_images_and_convolutions_have_a_layout() -> None:
    assert not suits_channels_last(nn.Sequential(nn.Flatten(), nn.Linear(72, 3)), IMAGES)
    assert not suits_channels_last(nn.Linear(6, 3), IMAGES[0, 0])
    assert laid_out(IMAGES[0]) is IMAGES[0] or torch.equal(laid_out(IMAGES[0]), IMAGES[0])


def test_a_network_that_fails_in_any_layout_is_left_as_it_is() -> None:
    assert not suits_channels_last(Net(), IMAGES[:, :1])


def test_laid_out_weights_and_inputs_hold_the_same_numbers() -> None:
    network, other = Net().eval(), lay_out_(Net().eval())
    assert other.convolution.weight.is_contiguous(memory_format=torch.channels_last)
    assert laid_out(IMAGES).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(other(laid_out(IMAGES)), network(IMAGES))


@pytest.mark.parametrize("inference", [False, True])
def test_a_lent_network_has_its_own_memory_again(inference: bool) -> None:
    network = Viewed().eval()
    place = network.convolution.weight.data_ptr()
    with pytest.raises(RuntimeError, match="view size"), torch.inference_mode(inference), ChannelsLast(network):
        assert network.convolution.weight.is_contiguous(memory_format=torch.channels_last)
        network(laid_out(IMAGES))
    assert network.convolution.weight.data_ptr() == place
    assert network.convolution.weight.is_contiguous()
    network.train()(IMAGES).sum().backward()
    assert network.convolution.weight.grad is not None
