"""N2N, halving, TPE, evolution and chance after as many epochs of training; N2N as published; policies handed on.

    python benchmarks/search_strategies.py digits letter --out runs/strategies
    python benchmarks/search_strategies.py digits --seeds 1 --units 9 --out runs/try --result try.json
    python benchmarks/search_strategies.py digits --only transfer --out runs/strategies

The first takes some 90 minutes on one core: of each seed about 700 units of training, a third of them those of the
published procedure. What is found is a line of raw.jsonl in the folder as it comes; the same command goes on after the
last of them, and what is in the folder is not trained again.

All strategies are after the same: the reward of N2N's paper, compression times quality kept, on validation. The data,
the teacher and its stored targets are the same for all; N2N changes the teacher's network, the others choose from the
space that Attar makes for such data. Each may spend the same: 63 units, of which halving makes 27 + 9 + 3 trainings.
Rewards are compared with those of random draws at the largest number of units that both have reached: N2N has nothing
left to try where few layers can go, as of letter after 9.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from result import RESULTS, write

from attar.evidence.compare import spread
from attar.recipes.read import from_document
from attar.recipes.search_pool import evaluator_of
from attar.recipes.search_space import space_for
from attar.recipes.start import open_run
from attar.recipes.students import prepare_teacher, train_one
from attar.search.evaluate import Evaluator
from attar.search.goal import Goal
from attar.search.n2n.describe import describe
from attar.search.proposal import Outcome, Proposal, Trial
from attar.search.reward import CompressionReward
from attar.search.search import search
from attar.search.strategies.n2n import N2N
from attar.search.strategies.named import strategy_of
from attar.search.strategy import Strategy
from attar.training.progress import Progress, silent
from attar.workspace import write_file

CONVNET = "attar.network.architectures:convnet"
TABULAR = "attar.network.architectures:tabular"

DATA: Mapping[str, dict[str, Any]] = {
    "digits": {
        "data": {"use": "digits", "test": 0.5, "validation": 0.2},
        "teacher": {
            "network": {
                "use": CONVNET,
                "arguments": {"classes": 10, "widths": [16, 16, 32, 32], "pools": [1, 2, 1, 2]},
            },
            "views": {"count": 12, "shift": 1},
            "training": {"epochs": 12, "batch_size": 64, "learning_rate": 0.05, "schedule": "one_cycle"},
        },
        "transfer": {"views": {"count": 16, "shift": 1}},
        "student": {"training": {"epochs": 40, "batch_size": 64, "learning_rate": 0.05, "schedule": "one_cycle"}},
    },
    "letter": {
        "data": {"use": "letter"},
        "teacher": {
            "network": {"use": TABULAR, "arguments": {"hidden": [256, 256, 256]}},
            "training": {
                "epochs": 40,
                "batch_size": 64,
                "optimizer": "adamw",
                "learning_rate": 0.003,
                "schedule": "one_cycle",
                "weight_decay": 0.05,
            },
        },
        "transfer": {"synthesis": {"method": "munge", "rows": 8000, "p": 0.2, "s": 1.0}},
        "student": {
            "training": {
                "epochs": 40,
                "batch_size": 128,
                "optimizer": "adamw",
                "learning_rate": 0.005,
                "schedule": "one_cycle",
                "weight_decay": 0.01,
            }
        },
    },
}
"""Data, the teacher and how students are trained."""

SMALLER: Mapping[str, dict[str, Any]] = {
    "digits": {"classes": 10, "widths": [16, 32], "pools": [2, 2]},
    "letter": {"hidden": [128, 128]},
}
"""Arguments of a smaller teacher, whose policies are handed on."""

UNIT: Mapping[str, int] = {"digits": 8, "letter": 1}
"""Epochs of a short training, some 70 and 90 steps; what is counted is epochs over this."""

STRATEGIES: Mapping[str, dict[str, Any]] = {
    "n2n": {"use": "n2n", "constrained": False},
    "halving": {"use": "halving", "rungs": 3},
    "tpe": {"use": "tpe"},
    "evolutionary": {"use": "evolutionary"},
    "random": {"use": "random"},
}

PARTS: Mapping[str, Sequence[str]] = {
    "strategies": [*STRATEGIES],
    "published": ["published"],
    "transfer": ["transfer"],
}
"""What can be asked for, and what each of these finds."""

RAW = "raw.jsonl"
"""In the folder: what was found, a line each."""

PUBLISHED = {
    "inherit": False,
    "credit": "mean",
    "baseline": "running",
    "step_per_rollout": True,
    "constrained": False,
    "bound": 0.0,
    "entropy": 0.0,
    "blocks": False,
    "removal_rate": 0.003,
    "shrinkage_rate": 0.01,
}
"""N2N as its authors' code does it: fresh students, each five times as long, every one of them trained again."""
LONGER, MORE = 5, 4
"""Units of each of its trainings, and how many times the units of the others it may spend."""

BEGINNINGS = 4
"""Seeds from which N2N begins, one after the other, as long as its policies draw what was not drawn before."""

WHAT = (
    "Best reward so far, C (2 - C) A / A_teacher on validation with C the share of parameters saved, over the epochs "
    "that students were trained for, in units of one short training (8 epochs of digits, about 72 steps; 1 of "
    "letter). Every training counts, those that failed as well, and each strategy may spend the same: what it "
    "proposes beyond is not trained. Where the policies of N2N draw nothing new it begins anew with others, up to "
    "four times; networks that were trained before cost nothing again. Halving trains its last ones for nine units in "
    "all; those of N2N begin with the teacher's weights. The first claims compare the best reward with that of random "
    "draws, seed by seed, at the largest number of units that both have reached. 'published' is N2N with the settings "
    "of its authors' code, but with the actions of Attar's: students begin afresh and are trained for five units, "
    "every rollout that comes to a network is a training, and policies learn from the mean of all rewards against the "
    "code's baseline, at the paper's learning rates. The factor is how many times fewer units Attar's N2N needs to "
    "come to the best reward of the published procedure. Handed on: N2N on the same teacher with policies that were "
    "taught on a smaller one, against new ones; trainings until the reward that new ones have in the end. Those on "
    "the smaller teacher are told (taught) and not counted."
)


@dataclass
class Rewarding:
    """Evaluates as a run does, and says of each trial what of the reward is lost."""

    inner: Evaluator
    reward: CompressionReward
    teacher: Mapping[str, float]

    def __call__(self, proposal: Proposal, progress: Progress = silent) -> Outcome:
        return self._with(self.inner(proposal, progress))

    def found(self, proposal: Proposal) -> Outcome | None:
        known = self.inner.found(proposal)
        return None if known is None else self._with(known)

    def give_up(self, proposal: Proposal, reason: str) -> Outcome:
        return self._with(self.inner.give_up(proposal, reason))

    def size(self, proposal: Proposal) -> int:
        return self.inner.size(proposal)

    def _with(self, outcome: Outcome) -> Outcome:
        lost = 1 - self.reward(outcome.figures, self.teacher, 0) if outcome.score is not None else 2.0
        return replace(outcome, figures={**outcome.figures, "lost": lost})


@dataclass
class UntilSpent:
    """A strategy that is asked until so many units of training are spent, and of whose last batch no more is done."""

    inner: Strategy
    units: int
    unit: int

    def propose(self, history: Sequence[Trial]) -> Sequence[Proposal]:
        done = (spent(history, self.unit) or [0.0])[-1]
        batch = self.inner.propose(history) if done < self.units else []
        after = done + np.cumsum([one.epochs / self.unit for one in batch])
        return [one for one, units in zip(batch, after, strict=True) if units <= self.units]


@dataclass
class BegunAnew:
    """Strategies of other seeds, one after the other: where one has nothing left to try, the next one goes on.

    Each knows what came of the trials of all before it, and proposes none of them again.
    """

    made: Callable[[int], Strategy]
    _known: list[Strategy] = field(default_factory=list)

    def propose(self, history: Sequence[Trial]) -> Sequence[Proposal]:
        for place in range(BEGINNINGS):
            if place == len(self._known):
                self._known.append(self.made(place))
            if batch := self._known[place].propose(history):
                return batch
        return []


@dataclass
class Updates:
    """N2N until its updates are over: no procedure of the paper's trains what policies draw after them."""

    inner: N2N

    def propose(self, history: Sequence[Trial]) -> Sequence[Proposal]:
        updates = sum(one["updates"] for one in self.inner.spent(history))
        return [] if updates == len(self.inner.stages) * self.inner.iterations else self.inner.propose(history)


def spent(history: Sequence[Trial], unit: int) -> list[float]:
    """Units after each trial."""
    return np.cumsum([trial.proposal.epochs / unit for trial in history]).tolist() if history else []


class Bench:
    """One data set and seed: its teacher, and what evaluates."""

    def __init__(self, data: str, seed: int, folder: Path, smaller: bool = False) -> None:
        document = json.loads(json.dumps(DATA[data]))
        if smaller:
            document["teacher"]["network"]["arguments"] = SMALLER[data]
        document |= {
            "name": data,
            "seed": seed,
            "threads": 1,
            "search": {"proposals": 1, "epochs": UNIT[data]},
            "budget": {"quality_loss": "100%"},
            "artifacts": {"runtimes": ["onnxruntime"]},
        }
        self.data, self.seed = data, seed
        self._run = open_run(from_document(document), folder, "cpu", silent, workers=1)
        self.context = context = self._run.__enter__()
        train_one(context, "teacher", 0)
        inner = evaluator_of(context, prepare_teacher(context))
        inner = replace(inner, goal=replace(inner.goal, limits=()))
        self.goal = Goal(limits=(), prefer=cast("Any", "lost"), teacher=inner.goal.teacher, score=inner.goal.score)
        assert inner.teacher is not None, "one network"
        self.layers = describe(inner.teacher.spec, context.example)
        self.figures = {"parameters": float(self.layers.parameters), "score": inner.goal.teacher["quality_loss"]}
        self.evaluate = Rewarding(inner, CompressionReward(), self.figures)
        self.space = space_for(context.recipe, context.dataset)

    def close(self) -> None:
        """Leave the run."""
        self._run.__exit__(None, None, None)

    def strategy(self, table: Mapping[str, Any], **settings: Any) -> Strategy:
        """One of those that there are, for so many trainings as it likes."""
        given = {
            "space": self.space,
            "goal": self.goal,
            "trials": 100_000,
            "epochs": UNIT[self.data],
            "seed": self.seed,
            "layers": self.layers,
            "teacher": self.figures,
        }
        return strategy_of(dict(table), {**given, **settings})

    def curve(self, strategy: Strategy, units: int) -> dict[str, Any]:
        """Units and the best reward so far, after each training."""
        found = search(UntilSpent(strategy, units, UNIT[self.data]), self.evaluate, self.goal)
        rewards = [1 - trial.figures.get("lost", 2.0) for trial in found.trials]
        best = int(np.argmax(rewards))
        figures = found.trials[best].figures
        return {
            "units": spent(found.trials, UNIT[self.data]),
            "best": np.maximum.accumulate(rewards).tolist(),
            "fewer": self.figures["parameters"] / figures["parameters"],
            "score": figures["score"],
            "teacher": self.figures["score"],
        }


def compared(bench: Bench, name: str, units: int) -> dict[str, Any]:
    """A strategy, and what it comes to for so many units."""
    table = STRATEGIES[name]
    strategy: Strategy = bench.strategy(table)
    if name == "halving":
        strategy = bench.strategy(table, trials=halved(units, table["rungs"]))
    elif name == "n2n":
        strategy = BegunAnew(lambda place: bench.strategy(table, trials=units, seed=bench.seed + 100 * place))
    found = bench.curve(strategy, units)
    print(bench.data, bench.seed, name, f"{found['units'][-1]:g} units", f"{found['best'][-1]:.4f}", flush=True)
    return found


def halved(units: int, rungs: int, eta: int = 3) -> int:
    """Of halving so many begin that its rungs together take the units, or little less.

    >>> halved(63, 3)  # 27 for 1, 9 of these for 2 more, 3 for 6 more
    27
    """

    def taken(count: int) -> int:
        total = more = count
        for rung in range(1, rungs):
            more = max(1, more // eta)
            total += more * eta ** (rung - 1) * (eta - 1)
        return total

    return max((count for count in range(2, units + 1) if taken(count) <= units), key=taken, default=2)


def as_published(bench: Bench, units: int) -> dict[str, Any]:
    """The published procedure. A network that was drawn before is trained again there: its rollout counts here.

    Actions that lead to no network have no training.
    """
    rollouts = max(10, units // LONGER)
    strategy = bench.strategy({"use": "n2n", **PUBLISHED}, trials=rollouts, epochs=LONGER * UNIT[bench.data])
    assert isinstance(strategy, N2N)
    strategy = replace(strategy, iterations=max(1, rollouts // (len(strategy.stages) * strategy.rollouts)))
    found = search(Updates(strategy), bench.evaluate, bench.goal)
    course = strategy.course(found.trials)
    drawn = [pair for record in course for pair in zip(record["rewards"], record["keys"], strict=True)]
    assert {one.proposal.key for one in found.trials} <= {key for _, key in drawn}, "every training is of a rollout"
    rewards = [reward for reward, key in drawn if key is not None]
    best = np.maximum.accumulate([-1.0 if reward is None else reward for reward in rewards]).tolist()
    units_ = [float(LONGER * (number + 1)) for number in range(len(rewards))]
    print(bench.data, bench.seed, "published", f"{units_[-1]:g} units", f"{best[-1]:.4f}", flush=True)
    return {"units": units_, "best": best}


def handed_on(bench: Bench, folder: Path, units: int) -> dict[str, Any]:
    """N2N with policies of a smaller teacher, and with new ones; rewards of every training in order."""
    policies = folder / "policies"
    small = Bench(bench.data, bench.seed, folder / "smaller", smaller=True)
    strategy = small.strategy(STRATEGIES["n2n"], trials=units)
    assert isinstance(strategy, N2N)
    found = search(strategy, small.evaluate, small.goal)
    strategy.save(policies, found.trials)
    small.close()
    rows: dict[str, Any] = {"taught": spent(found.trials, UNIT[bench.data])[-1]}
    for name, table in (("new", {}), ("handed-on", {"policy": str(policies)})):
        rows[name] = bench.curve(bench.strategy({**STRATEGIES["n2n"], **table}, trials=units), units)
        print(bench.data, bench.seed, name, f"{rows[name]['best'][-1]:.4f}", flush=True)
    return rows


def until(curve: Mapping[str, Any], reward: float) -> float | None:
    """Units until a reward is reached; None where it never is."""
    return next((u for u, best in zip(curve["units"], curve["best"], strict=True) if best >= reward), None)


def reached(curve: Mapping[str, Any], units: float) -> float:
    """The best reward once so many units are spent: of trainings that are over by then."""
    return max(best for u, best in zip(curve["units"], curve["best"], strict=True) if u <= units)


def main() -> None:
    """Run what is asked for and is not there, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", choices=[*DATA])
    parser.add_argument("--only", nargs="+", choices=[*PARTS], default=[*PARTS])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--units", type=int, default=63, help="of training, for each strategy")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--result", type=Path, default=RESULTS / "search_strategies.json")
    asked = parser.parse_args()
    for data in asked.data:
        for seed in range(asked.seeds):
            folder, done = asked.out / f"{data}-{seed}", known(asked).get(data, {}).get(str(seed), {})
            missing = [name for part in asked.only for name in PARTS[part] if name not in done]
            if not missing:
                continue
            bench = Bench(data, seed, folder / "run")
            for name in missing:
                if name == "published":
                    found = as_published(bench, MORE * asked.units)
                elif name == "transfer":
                    found = handed_on(bench, folder, asked.units)
                else:
                    found = compared(bench, name, asked.units)
                keep(data, seed, name, found, asked)
            bench.close()
    write_result(asked)


def keep(data: str, seed: int, name: str, found: Mapping[str, Any], asked: argparse.Namespace) -> None:
    """Add a line to what is there, and write the result of all of it."""
    line = {"data": data, "seed": seed, "units": asked.units, "name": name, "found": found}
    write_file(asked.out / RAW, "".join(json.dumps(one) + "\n" for one in (*lines_of(asked), line)))
    write_result(asked)


def lines_of(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """All that was found in the folder, in order."""
    path = asked.out / RAW
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def known(asked: argparse.Namespace) -> dict[str, dict[str, dict[str, Any]]]:
    """What was found of as many units: by data, seed and name."""
    there: dict[str, dict[str, dict[str, Any]]] = {}
    for one in lines_of(asked):
        if one["units"] == asked.units:
            there.setdefault(one["data"], {}).setdefault(str(one["seed"]), {})[one["name"]] = one["found"]
    return there


def write_result(asked: argparse.Namespace) -> None:
    """Write all that is there."""
    raw = known(asked)
    write(
        asked.result,
        what=WHAT,
        seed=0,
        packages=["optuna"],
        settings={
            "units": asked.units,
            "epochs of a unit": dict(UNIT),
            "published, units each": LONGER,
            "published, units": MORE * asked.units,
        },
        claims=[claim for name, seeds in raw.items() for claim in claims(name, [*seeds.values()])],
        summary={name: ends([*seeds.values()]) for name, seeds in raw.items()},
        raw=raw,
    )


def both_reached(one: Mapping[str, Any], strategy: str) -> float:
    """The units that a strategy and random draws have reached, of one seed."""
    return float(min(one[name]["units"][-1] for name in (strategy, "random")))


def ends(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What each came to in the end: units and the best reward, a number for each seed."""
    names = [name for name in (*STRATEGIES, "published") if any(name in one for one in seeds)]
    return {
        name: {which: [one[name][which][-1] for one in seeds if name in one] for which in ("units", "best")}
        for name in names
    }


def claims(name: str, seeds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What was aimed at, and what came out."""
    made = []
    for strategy in STRATEGIES:
        pairs = [one for one in seeds if strategy in one and "random" in one]
        if strategy == "random" or not pairs:
            continue
        after = [both_reached(one, strategy) for one in pairs]
        units = " or ".join(f"{at:g}" for at in sorted(set(after)))
        words = f"{name}: reward of {strategy} above random search, both after {units} units, {len(pairs)} seeds"
        above = [reached(one[strategy], at) - reached(one["random"], at) for one, at in zip(pairs, after, strict=True)]
        made.append(_claim(words, above, 0.0))
    both = [one for one in seeds if "published" in one and "n2n" in one]
    if both:
        factors = []
        for one in both:
            needed, took = (until(one[which], one["published"]["best"][-1]) for which in ("n2n", "published"))
            factors.append(0.0 if needed is None or took is None else took / needed)
        words = f"{name}: times fewer units of N2N until the best reward of the published procedure (0: never)"
        made.append(_claim(f"{words}, {len(both)} seeds", factors, 5.0))
    moved = [one["transfer"] for one in seeds if "transfer" in one]
    if moved:
        factors = []
        for one in moved:
            needed, took = (until(one[which], one["new"]["best"][-1]) for which in ("handed-on", "new"))
            factors.append(0.0 if needed is None or took is None else took / needed)
        words = f"{name}: times fewer trainings with policies handed on, until the best reward of new ones (0: never)"
        made.append(_claim(f"{words}, {len(moved)} seeds", factors, 1.0))
    return made


def _claim(words: str, each: Sequence[float], aim: float) -> dict[str, Any]:
    interval = list(spread(each).interval or []) or None if len(each) > 1 else None
    met = interval is not None and interval[0] >= aim
    return {
        "claim": words,
        "aim": aim,
        "reached": float(np.mean(each)),
        "each": list(each),
        "interval": interval,
        "met": met,
    }


if __name__ == "__main__":
    main()
