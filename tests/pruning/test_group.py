"""Groups of which units are gone: what is left is numbered anew, on every axis, whoever shares it."""

from __future__ import annotations

from attar.pruning.group import Consumer, Group, Groups, Slot

FIRST = Group(
    "a", "channels", 3, (Slot("a.weight", 0, ((0,), (1,), (2,))),), (Consumer("c", 1, ((0,), (1,), (2,))),), ("a",)
)
SECOND = Group("b", "channels", 2, (Slot("c.weight", 1, ((3, 4), (5, 6))),), (Consumer("c", 1, ((3,), (4,))),), ("b",))
GROUPS = Groups((FIRST, SECOND), {})


def test_positions_of_all_groups_on_an_axis_move_up() -> None:
    first, second = GROUPS.without({"a": [1], "b": [0]}).groups
    assert first.units == 2
    assert first.slots[0].positions == ((0,), (1,))
    assert first.consumers[0].positions == ((0,), (1,))
    assert second.slots[0].positions == ((3, 4),)
    assert second.consumers[0].positions == ((2,),)


def test_a_group_that_lost_all_its_units_is_gone() -> None:
    left = GROUPS.without({"a": [0, 1, 2]}).groups
    assert [group.name for group in left] == ["b"]
    assert left[0].consumers[0].positions == ((0,), (1,))


def test_without_a_removal_nothing_changes() -> None:
    assert GROUPS.without({}) == GROUPS
