"""Which trials nobody beats: by hand, and against the definition."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from attar.network.spec import Spec
from attar.search.pareto import pareto
from attar.search.proposal import Proposal, Trial

PROPOSAL = Proposal(spec=Spec("attar.network.architectures:mlp"))


def trial(number: int, score: float, latency: float | None, size: float) -> Trial:
    figures = {"score": score, "bytes": size} | ({} if latency is None else {"latency": latency})
    return Trial(number=number, proposal=PROPOSAL, state="trained", figures=figures)


def test_by_hand() -> None:
    trials = [
        trial(0, 0.9, 2.0, 100),
        trial(1, 0.9, 1.0, 100),  # beats 0
        trial(2, 0.8, 1.0, 100),  # beaten by 1
        trial(3, 0.8, 1.0, 50),
        trial(4, 0.95, None, 100),  # the best score; what was not measured counts as worst
        trial(5, 0.8, 1.0, 50),  # as 3 is
        Trial(number=6, proposal=PROPOSAL, state="over_budget", figures={"bytes": 1.0}),
    ]
    assert [one.number for one in pareto(trials)] == [4, 1, 3]
    assert [one.number for one in pareto(trials, by=("bytes",))] == [4, 3]


triples = st.lists(st.tuples(*(st.integers(0, 3) for _ in range(3))), max_size=12)


@settings(max_examples=40)
@given(triples)
def test_everybody_else_is_beaten_by_one_of_them(drawn: list[tuple[int, int, int]]) -> None:
    trials = [trial(number, float(s), float(t), float(b)) for number, (s, t, b) in enumerate(drawn)]
    best = pareto(trials)

    def at_least(one: Trial) -> Callable[[Trial], bool]:
        return lambda other: (
            other.figures["score"] >= one.figures["score"]
            and other.figures["latency"] <= one.figures["latency"]
            and other.figures["bytes"] <= one.figures["bytes"]
        )

    assert all(any(map(at_least(one), best)) for one in trials)
    for one in best:
        assert not any(at_least(one)(other) for other in best if other is not one)
