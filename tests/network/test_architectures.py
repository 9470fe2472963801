"""The shipped architectures: shapes, sizes, gradients everywhere, and refusals."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from attar.errors import BadInput
from attar.network.architectures import convnet, depthwise_net, lenet5, mlp, resnet, segmenter


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_a_perceptron_is_as_wide_as_asked():
    # 12 -> 5 -> 4 -> 3 with biases: 13*5 + 6*4 + 5*3 = 104.
    network = mlp(12, 3, hidden=(5, 4))
    assert parameters(network) == 104
    assert network(torch.zeros(2, 3, 2, 2)).shape == (2, 3)


def test_a_perceptron_without_hidden_layers_is_linear():
    network = mlp(4, 2, hidden=())
    x, y = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network(x + y), network(x) + network(y) - network(torch.zeros(3, 4)))


def test_a_convnet_is_as_wide_as_asked():
    # 3x3 without bias, two per batch norm: 1*4*9 + 8 + 4*6*9 + 12, and 6*10 + 10 for the logits.
    network = convnet(10, widths=[4, 6], strides=[1, 2])
    assert parameters(network) == 36 + 8 + 216 + 12 + 70
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_lenet_is_that_of_the_papers():
    # 5x5 with biases: 20*25 + 20 + 50*20*25 + 50; what is left of 28 pixels is 4x4; 800*500 + 500 + 500*10 + 10.
    network = lenet5()
    assert parameters(network) == 520 + 25_050 + 400_500 + 5_010
    assert network(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert lenet5(3, [2, 3, 4], channels=3, side=17)(torch.zeros(1, 3, 17, 17)).shape == (1, 3)
    with pytest.raises(BadInput, match=r"widths of lenet5 must be three; got \[4, 5\]"):
        lenet5(widths=[4, 5])
    with pytest.raises(BadInput, match="side of lenet5 must be from 16 to 1024; got 8"):
        lenet5(side=8)


def test_a_segmenter_gives_logits_for_each_pixel_of_images_of_any_size():
    # 3x3 without bias, two per batch norm: 1*4*9 + 8 + 4*6*9 + 12, and 6*3 + 3 for the logits of a pixel.
    network = segmenter(3, widths=[4, 6]).eval()
    assert parameters(network) == 36 + 8 + 216 + 12 + 21
    for size in ((8, 8), (5, 9)):
        assert network(torch.zeros(2, 1, *size)).shape == (2, 3, *size)
    # Taps one pixel apart, and then two: what is further than three pixels away is not seen.
    image = torch.randn(1, 1, 9, 9, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (seen,) = torch.autograd.grad(network(image)[0, :, 4, 4].sum(), image)
    places = seen[0, 0].nonzero()
    assert len(places) and places.min() >= 1 and places.max() <= 7
    with pytest.raises(BadInput, match="widths of segmenter must be not empty"):
        segmenter(3, [])


def test_strides_and_pools_shrink_the_map():
    maps: list[tuple[int, ...]] = []
    network = convnet(3, widths=[2, 2, 2], strides=[2, 1, 1], pools=[1, 2, 1], channels=3)
    for module in network.modules():
        if isinstance(module, nn.AdaptiveAvgPool2d):
            module.register_forward_pre_hook(lambda _, inputs: maps.append(tuple(inputs[0].shape)))
    network(torch.zeros(1, 3, 16, 16))
    assert maps == [(1, 2, 4, 4)]


def test_a_residual_network_has_its_blocks_after_the_first_stage():
    def blocks(network: nn.Module) -> int:
        return sum(type(module).__name__ == "Residual" for module in network.modules())

    assert blocks(resnet(4, widths=[3, 4, 5], blocks=2)) == 4
    assert blocks(resnet(4, widths=[3, 4], blocks=0)) == 0
    assert resnet(4, widths=[3, 4, 5], channels=2)(torch.zeros(2, 2, 8, 8)).shape == (2, 4)


def test_a_residual_block_that_does_nothing_passes_its_input_on():
    (block,) = (m for m in resnet(2, widths=[2, 3]).modules() if type(m).__name__ == "Residual")
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(block(x), x.relu())


NETWORKS = [
    lambda dropout: mlp(64, 5, hidden=(8, 8), dropout=dropout),
    lambda dropout: convnet(5, widths=[4, 6], pools=[2, 1], dropout=dropout),
    lambda dropout: resnet(5, widths=[4, 6], dropout=dropout),
    lambda dropout: depthwise_net(5, widths=[4, 6], dropout=dropout),
]


def inputs() -> Tensor:
    return torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("make", NETWORKS)
def test_every_parameter_is_trained(make):
    network = make(0.0)
    network(inputs()).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("make", NETWORKS)
def test_dropout_works_in_training_only(make):
    network = make(0.5)
    assert not torch.equal(network(inputs()), network(inputs()))
    network.eval()
    assert torch.equal(network(inputs()), network(inputs()))
    assert not any(isinstance(module, nn.Dropout) for module in make(0.0).modules())


@pytest.mark.parametrize(
    "widths_strides_pools", [((), None, None), ((4, 4), (1,), None), ((4, 4), None, (2, 2, 2))], ids=str
)
def test_a_convnet_needs_one_stride_and_pool_per_layer(widths_strides_pools):
    widths, strides, pools = widths_strides_pools
    with pytest.raises(BadInput, match=r"widths of convnet must be as long as strides and pools, and not empty; got"):
        convnet(3, widths, strides=strides, pools=pools)


def test_a_residual_network_needs_a_width():
    with pytest.raises(BadInput, match=r"widths of resnet must be not empty; got \(\)"):
        resnet(3, ())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: mlp(4, 3, hidden=[0]), r"hidden of mlp must be whole numbers of at least 1; got 0"),
        (lambda: mlp(4, 3, hidden=[1] * 1001), r"hidden of mlp must be a list of at most 1000 whole numbers"),
        (lambda: convnet(3, [4], strides=[0]), r"strides of convnet must be whole numbers of at least 1; got 0"),
        (lambda: convnet(3, [True]), r"widths of convnet must be whole numbers of at least 1; got True"),
        (lambda: depthwise_net(3, []), r"widths of depthwise_net must be as long as strides, and not empty"),
        (lambda: depthwise_net(3, [4, 4], strides=[1]), r"widths of depthwise_net must be as long as strides"),
        (lambda: depthwise_net(3, [4, 0]), r"widths of depthwise_net must be whole numbers of at least 1; got 0"),
        (lambda: depthwise_net(3, [4], strides=[0]), r"strides of depthwise_net must be whole numbers"),
        (lambda: resnet(3, [4, -4]), r"widths of resnet must be whole numbers of at least 1; got -4"),
        (lambda: resnet(3, [4, 4], blocks=10**9), r"blocks of resnet must be from 0 to 1000; got 1000000000"),
    ],
)
def test_layers_without_units_and_without_end_are_refused(build: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        build()


def test_a_depthwise_network_is_as_wide_as_asked() -> None:
    # 3x3 from one channel, a 3x3 filter for each of 4, 1x1 to 6, two per batch norm, and 6*10 + 10 for the logits.
    network = depthwise_net(10, widths=[4, 6], strides=[1, 2])
    assert parameters(network) == 36 + 8 + (36 + 8 + 24 + 12) + 70
    assert network(torch.zeros(2, 1, 9, 7)).shape == (2, 10)
    maps = [tuple(network[:stage](torch.zeros(1, 1, 8, 8)).shape) for stage in (3, 6, 9)]
    assert maps == [(1, 4, 8, 8), (1, 4, 4, 4), (1, 6, 4, 4)]
    assert [module.groups for module in network if isinstance(module, nn.Conv2d)] == [1, 4, 1]
    assert depthwise_net(3, [8], channels=3)(torch.zeros(1, 3, 5, 5)).shape == (1, 3)


def test_a_channel_of_a_depthwise_network_is_seen_by_itself() -> None:
    torch.manual_seed(0)
    middle = depthwise_net(2, [4, 6])[3]
    maps = torch.rand(1, 4, 6, 6)
    changed = maps.clone()
    changed[:, 2] += 1
    apart = (middle(changed) - middle(maps)).abs().amax((0, 2, 3))
    assert apart[2] > 0 and apart[[0, 1, 3]].max() == 0
