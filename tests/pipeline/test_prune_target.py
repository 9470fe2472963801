"""How far a network is pruned: what to ask for where more was asked than can be reached."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from attar.budget import Limit
from attar.pipeline.prune_target import PruneTarget


@given(full=st.floats(1e-3, 1e12), share=st.floats(1e-6, 1, exclude_max=True), relative=st.booleans())
def test_the_target_to_ask_for_is_one_that_can_be_reached(full: float, share: float, relative: bool) -> None:
    least = full * share
    target = PruneTarget(latency="0.5x" if relative else "1 ms")
    if least < full:
        _, _, asked = target.nearest(full, least).partition(" = ")
        at = Limit.read("latency", asked.strip("'")).at(full)
        assert at is not None and least <= at * (1 + 1e-9) and at <= 1.11 * least
