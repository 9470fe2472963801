"""Stages of images: what is left of maps, and how soon those of large images are small."""

from __future__ import annotations

import pytest

from attar.search.image_stages import halvings_of, pooled_stages, strided_stages

SIDES = pytest.mark.parametrize(
    ("side", "left"), [(4, 2), (5, 2), (8, 4), (20, 5), (28, 3), (32, 4), (64, 4), (96, 3), (128, 4), (224, 3)]
)


def sides(side: int, strides: list[int], pools: list[int]) -> list[int]:
    """Pixels of a side after each layer."""
    found = []
    for stride, pool in zip(strides, pools, strict=True):
        side = ((side - 1) // stride + 1) // pool
        found.append(side)
    return found


@SIDES
def test_maps_are_halved_until_a_few_pixels_are_left(side: int, left: int) -> None:
    strides, pools = pooled_stages(side)
    assert sides(side, strides, pools)[-1] == left and (strides[-1], pools[-1]) == (1, 1)
    for depth in (halvings_of(side), halvings_of(side) + 1, halvings_of(side) + 3):
        if depth >= 2:
            assert len(pooled_stages(side, depth)[0]) == len(strided_stages(side, depth)) == depth
            assert sides(side, *pooled_stages(side, depth))[-1] == left
            assert sides(side, strided_stages(side, depth), [1] * depth)[-1] in (left, left + 1)  # which rounds up


@pytest.mark.parametrize("side", [64, 96, 128, 224])
def test_no_large_map_is_full_sized(side: int) -> None:
    for depth in (2, 4, 6):
        assert pooled_stages(side, depth)[0][0] == strided_stages(side, depth)[0] == 2
    assert pooled_stages(63, 4)[0][0] == strided_stages(63, 6)[0] == 1


def test_very_large_maps_are_a_quarter_of_their_side_for_the_second_layer_that_follows() -> None:
    for depth in (5, 6, 7):
        assert sides(224, *pooled_stages(224, depth))[0] == 56
        assert sides(224, strided_stages(224, depth), [1] * depth)[1] == 56


def test_with_few_layers_there_are_few_halvings() -> None:
    assert pooled_stages(28, 2) == ([1, 1], [2, 2]) and strided_stages(28, 2) == [2, 2]
    assert pooled_stages(8, 3) == ([1, 1, 1], [2, 1, 1]) and strided_stages(8, 3) == [1, 1, 2]
