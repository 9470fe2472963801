"""Small networks to begin with: what the shipped recipes train. Any torch module serves as well."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import nn

from attar.errors import must, near
from attar.network.blocks import Residual, convolution, separable
from attar.network.gaze import GazeNetwork, densenet_features, readout_layers, vgg_features
from attar.network.named import Named
from attar.network.rows import Rows
from attar.network.sequences import TokenEncoder, TokenMean

_DEEPEST = 1000
"""Layers of one kind at most: a few bytes of a file can ask for any number, and deeper ones are not trained."""


_FURTHEST = 16
"""Pixels between the taps of a convolution, at most."""

_LARGEST = 1024
"""Pixels of a side, at most, of images that a network sees in one layer of all places."""


def _check_widths(name: str, of: str, widths: Sequence[int]) -> None:
    if not isinstance(widths, Sequence) or len(widths) > _DEEPEST:
        got = f"{len(widths)} of them" if isinstance(widths, Sequence) else widths
        raise must(name, of, f"a list of at most {_DEEPEST} whole numbers", got, "Build deeper networks by a function")
    for width in widths:
        if isinstance(width, bool) or not isinstance(width, int) or width < 1:
            raise must(name, of, "whole numbers of at least 1", width, "Leave a layer out that is to have no units")


def mlp(
    inputs: int, classes: int, hidden: Sequence[int] = (128,), dropout: float = 0.0, input_dropout: float = 0.0
) -> nn.Module:
    """A perceptron on flattened inputs: ReLU layers of the ``hidden`` widths, then logits.

    Args:
        inputs: Values per example.
        classes: Logits per example.
        hidden: Width of each hidden layer.
        dropout: Probability of dropping a hidden unit.
        input_dropout: Probability of dropping an input.
    """
    _check_widths("hidden", "mlp", hidden)
    layers: list[nn.Module] = [nn.Flatten(), *([nn.Dropout(input_dropout)] if input_dropout else [])]
    width = inputs
    for size in hidden:
        layers += [nn.Linear(width, size), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
        width = size
    return nn.Sequential(*layers, nn.Linear(width, classes))


def convnet(
    classes: int,
    widths: Sequence[int],
    channels: int = 1,
    strides: Sequence[int] | None = None,
    pools: Sequence[int] | None = None,
    hidden: Sequence[int] = (),
    side: int | None = None,
    dropout: float = 0.0,
) -> nn.Module:
    """A plain convolutional network: 3x3 convolutions with batch normalization, then fully connected layers.

    Args:
        classes: Logits per example.
        widths: Output channels of each convolution.
        channels: Channels of the input.
        strides: Stride of each convolution; 1 everywhere if None.
        pools: Size of the max pooling after each convolution, 1 for none; none at all if None.
        hidden: Widths of ReLU layers between the convolutions and the logits.
        side: Height and width of the inputs in pixels: the last map is then flattened, which keeps where things are.
            None averages over the map, which takes inputs of any size.
        dropout: Probability of dropping a feature before the last layer.
    """
    strides = strides or [1] * len(widths)
    pools = pools or [1] * len(widths)
    if not widths or not len(widths) == len(strides) == len(pools):
        raise must(
            "widths",
            "convnet",
            "as long as strides and pools, and not empty",
            (widths, strides, pools),
            "Give one each per layer",
        )
    for name, widths_of in (("widths", widths), ("strides", strides), ("pools", pools), ("hidden", hidden)):
        _check_widths(name, "convnet", widths_of)
    layers: list[nn.Module] = []
    width = channels
    for size, stride, pool in zip(widths, strides, pools, strict=True):
        layers += convolution(width, size, stride=stride)
        if pool > 1:
            layers.append(nn.MaxPool2d(pool))
        width = size
        if side is not None:
            side = ((side - 1) // stride + 1) // pool
    if side is None:
        layers.append(nn.AdaptiveAvgPool2d(1))
    else:
        width *= side * side
    layers.append(nn.Flatten())
    for size in hidden:
        layers += [nn.Linear(width, size), nn.ReLU()]
        width = size
    head = [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, *head, nn.Linear(width, classes))


def depthwise_net(
    classes: int, widths: Sequence[int], channels: int = 1, strides: Sequence[int] | None = None, dropout: float = 0.0
) -> nn.Module:
    """A network of depthwise-separable convolutions: few multiply-adds and weights for its width; inputs of any size.

    The first layer is a plain 3x3 convolution; each one after it is a 3x3 convolution of each channel by itself and a
    1x1 convolution over all channels. The last map is averaged.

    Args:
        classes: Logits per example.
        widths: Output channels of each layer.
        channels: Channels of the input.
        strides: Stride of each layer; 1 everywhere if None.
        dropout: Probability of dropping a feature before the last layer.

    Raises:
        BadInput: If there are no widths, or not as many strides.

    References:
        Howard et al., *MobileNets*, 2017, table 1. arXiv:1704.04861
    """
    strides = strides or [1] * len(widths)
    for name, numbers in (("widths", widths), ("strides", strides)):
        _check_widths(name, "depthwise_net", numbers)
    if not widths or len(widths) != len(strides):
        rule = "as long as strides, and not empty"
        raise must("widths", "depthwise_net", rule, (widths, strides), "Give one each per layer")
    layers = convolution(channels, widths[0], stride=strides[0])
    for (width, size), stride in zip(itertools.pairwise(widths), strides[1:], strict=True):
        layers += separable(width, size, stride)
    head = [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), *head, nn.Linear(widths[-1], classes))


def lenet5(classes: int = 10, widths: Sequence[int] = (20, 50, 500), channels: int = 1, side: int = 28) -> nn.Module:
    """The network of LeCun's digits, as papers on pruning have it: two 5x5 convolutions, each halved, and a layer.

    Args:
        classes: Logits per example.
        widths: Maps of the first and of the second convolution, and units of the layer after them.
        channels: Channels of the input.
        side: Height and width of the inputs in pixels, at least 16.

    Raises:
        BadInput: If there are not three widths, or the inputs are too small.

    References:
        LeCun, Bottou, Bengio, Haffner, *Gradient-Based Learning Applied to Document Recognition*, 1998; with 20, 50 and
        500 units and ReLU as in Caffe's example.
    """
    _check_widths("widths", "lenet5", widths)
    if len(widths) != 3:
        raise must("widths", "lenet5", "three", list(widths), "Use [20, 50, 500]")
    if not 16 <= side <= _LARGEST:
        raise must("side", "lenet5", f"from 16 to {_LARGEST}", side, "Use convnet for other images")
    first, second, units = widths
    left = ((side - 4) // 2 - 4) // 2
    return nn.Sequential(
        nn.Conv2d(channels, first, 5),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(first, second, 5),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(second * left * left, units),
        nn.ReLU(inplace=True),
        nn.Linear(units, classes),
    )


def segmenter(classes: int, widths: Sequence[int], channels: int = 1, dropout: float = 0.0) -> nn.Module:
    """A fully convolutional network: logits for each pixel of images of any size.

    Each width is a 3x3 convolution with batch normalization; from the second on its taps lie twice as far apart as
    before, so that each pixel is seen with ever more of what is around it, up to 16 pixels apart.

    Args:
        classes: Logits per pixel.
        widths: Output channels of each convolution.
        channels: Channels of the input.
        dropout: Probability of dropping a whole map before the last layer.

    Raises:
        BadInput: If there are no widths.
    """
    if not widths:
        raise must("widths", "segmenter", "not empty", widths, "Give the channels of each convolution")
    _check_widths("widths", "segmenter", widths)
    layers: list[nn.Module] = []
    width = channels
    for place, size in enumerate(widths):
        layers += convolution(width, size, apart=min(2**place, _FURTHEST))
        width = size
    head = [nn.Dropout2d(dropout)] if dropout else []
    return nn.Sequential(*layers, *head, nn.Conv2d(width, classes, 1))


def resnet(classes: int, widths: Sequence[int], channels: int = 1, blocks: int = 1, dropout: float = 0.0) -> nn.Module:
    """A small residual network: per width a convolution, halving the map, and ``blocks`` residual blocks.

    Args:
        classes: Logits per example.
        widths: Channels of each stage.
        channels: Channels of the input.
        blocks: Residual blocks per stage; the first stage has none, as its maps are the largest.
        dropout: Probability of dropping a feature before the last layer.

    Raises:
        BadInput: If there are no widths.
    """
    if not widths:
        raise must("widths", "resnet", "not empty", widths, "Give the channels of each stage")
    _check_widths("widths", "resnet", widths)
    if not 0 <= blocks <= _DEEPEST:
        raise must("blocks", "resnet", f"from 0 to {_DEEPEST}", blocks, "Build deeper networks by a function")
    layers: list[nn.Module] = []
    width = channels
    for stage, size in enumerate(widths):
        layers += convolution(width, size)
        if stage < len(widths) - 1:
            layers.append(nn.MaxPool2d(2))
        if stage:
            layers += [Residual(size) for _ in range(blocks)]
        width = size
    head = [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), *head, nn.Linear(width, classes))


_BACKBONES = {"vgg": vgg_features, "densenet": densenet_features}


def gaze_network(
    size: Sequence[int],
    widths: Sequence[int] = (16, 32, 64),
    backbone: str = "vgg",
    depth: int = 1,
    readout: Sequence[int] = (16,),
    blur: float = 0.02,
    spread: Sequence[float] = (0.25, 0.25),
    channels: int = 3,
) -> nn.Module:
    """A network of gaze: log densities over the pixels of an image, ``[batch, height * width]``, row by row.

    The readout is applied where features are small, and its one map is scaled up, which costs far less than the other
    way round. Blur and center bias have no channels, so that pruning leaves them.

    Args:
        size: Height and width of the density; images of any size are taken.
        widths: Of ``"vgg"`` the channels of the convolutions of each stage, of ``"densenet"`` what each layer of a
            stage adds. Between stages maps are halved.
        backbone: ``"vgg"`` (convolutions one after the other) or ``"densenet"`` (each sees all before it of its stage).
        depth: Layers of each stage.
        readout: Channels of the 1 x 1 convolutions between the features and the one map.
        blur: Standard deviation of the Gaussian that smooths the map, as a share of the longer side; 0 for none.
        spread: Standard deviations, down and across, of the center bias that it starts from, as shares of the size.
        channels: Of the images.

    Raises:
        BadInput: If an argument is out of its range.

    References:
        Theis, Korshunova, Tejani, Huszár, *Faster gaze prediction with dense networks and Fisher pruning*, 2018.
        arXiv:1801.05787
    """
    _check_widths("size", "gaze_network", size)
    _check_widths("widths", "gaze_network", widths)
    _check_widths("readout", "gaze_network", readout)
    _check_widths("depth", "gaze_network", [depth])
    if len(size) != 2:
        raise must("size", "gaze_network", "height and width", size, "Write for example [48, 64]")
    if not widths or depth > _DEEPEST:
        rule = f"not empty, with at most {_DEEPEST} layers a stage"
        raise must("widths", "gaze_network", rule, widths, "Give the channels of each stage")
    if backbone not in _BACKBONES:
        raise must("backbone", "gaze_network", "one that there is", backbone, near(backbone, _BACKBONES))
    if not 0 <= blur <= 1:
        raise must("blur", "gaze_network", "a share of the longer side, from 0 to 1", blur, "Use 0.02")
    if len(spread) != 2 or not all(0 < one < math.inf for one in spread):
        raise must("spread", "gaze_network", "two standard deviations above 0", spread, "Use [0.25, 0.25]")
    features, width = _BACKBONES[backbone](channels, widths, depth)
    return GazeNetwork(features, readout_layers(width, readout), (size[0], size[1]), blur, (spread[0], spread[1]))


_ACTIVATIONS: Mapping[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


def tabular(
    columns: Sequence[Mapping[str, Any]],
    outputs: int,
    hidden: Sequence[int] = (256,),
    embed: int | None = None,
    activation: Literal["relu", "tanh", "sigmoid"] = "relu",
    dropout: float = 0.0,
    curves: int = 0,
) -> nn.Module:
    """A perceptron on the rows of a table, which scales numbers and spreads out categories by itself (see `Rows`).

    Args:
        columns: What each column holds, as ``attar.tables.column.Column.to_json`` says it.
        outputs: Numbers per row: logits, or values.
        hidden: Width of each hidden layer.
        embed: Numbers per nominal column that training chooses; None for one number per category, 1 or 0.
        activation: What hidden units compute: ``"relu"``, ``"tanh"`` or ``"sigmoid"``.
        dropout: Probability of dropping a hidden unit.
        curves: Piecewise linear functions of each column of numbers that training chooses; columns must then come as
            ``attar.tables.knots.with_knots`` says them. 0 for none.

    Raises:
        BadInput: If a column is described wrongly, or there is no such activation.
    """
    if activation not in _ACTIVATIONS:
        raise must("activation", "tabular", "one that there is", activation, near(str(activation), _ACTIVATIONS))
    _check_widths("hidden", "tabular", hidden)
    rows = Rows(columns, embed=embed, curves=curves)
    layers: list[nn.Module] = [rows]
    width = rows.features
    for size in hidden:
        layers += [nn.Linear(width, size), _ACTIVATIONS[activation]()]
        if dropout:
            layers.append(nn.Dropout(dropout))
        width = size
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def token_mean(
    vocabulary: int, outputs: int, width: int = 16, hidden: int = 32, window: int = 1, dropout: float = 0.0
) -> nn.Module:
    """A small network on sequences of tokens: what stands in each window of them, averaged over those that count.

    Args:
        vocabulary: How many different tokens there are.
        outputs: Numbers per sequence: logits, or values.
        width: Numbers per token that training chooses.
        hidden: Numbers per window.
        window: Tokens that are seen together, an odd number; 1 for words in any order.
        dropout: Probability of dropping a number of the average.

    Raises:
        BadInput: If a number is out of range.
    """
    _check_widths(
        "vocabulary, outputs, width, hidden and window", "token_mean", (vocabulary, outputs, width, hidden, window)
    )
    if window % 2 == 0:
        raise must("window", "token_mean", "an odd number", window, "Use 3 for a token with both of its neighbors")
    return Named(TokenMean(vocabulary, outputs, width, hidden, window, dropout), ("ids", "mask"))


def token_encoder(
    vocabulary: int,
    length: int,
    outputs: int,
    width: int = 64,
    heads: int = 4,
    blocks: int = 2,
    dropout: float = 0.0,
) -> nn.Module:
    """An encoder of sequences of tokens: blocks of self-attention, then an average over the tokens that count.

    Args:
        vocabulary: How many different tokens there are.
        length: Positions of a sequence.
        outputs: Numbers per sequence: logits, or values.
        width: Numbers per position, a multiple of ``heads``.
        heads: How many attentions each block has.
        blocks: How many blocks.
        dropout: Probability of dropping a number that a block adds.

    Raises:
        BadInput: If a number is out of range.

    References:
        Vaswani et al., *Attention Is All You Need*, 2017. arXiv:1706.03762; normalized before each part.
    """
    sizes = (vocabulary, length, outputs, width, heads, blocks)
    _check_widths("vocabulary, length, outputs, width, heads and blocks", "token_encoder", sizes)
    if width % heads or blocks > _DEEPEST:
        got = {"width": width, "heads": heads, "blocks": blocks}
        rule = f"a width that is a multiple of heads, and at most {_DEEPEST} blocks"
        raise must("width, heads and blocks", "token_encoder", rule, got, "Use width 64 and heads 4")
    return Named(TokenEncoder(vocabulary, length, outputs, width, heads, blocks, dropout), ("ids", "mask"))
