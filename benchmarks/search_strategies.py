"""N2N, halving, TPE, evolution and chance after as many epochs of training; N2N as published; policies handed on.

    python benchmarks/search_strategies.py digits letter --out runs/strategies         # half an hour on a core
    python benchmarks/search_strategies.py digits --seeds 1 --units 20 --out runs/try --result try.json
    python benchmarks/search_strategies.py digits --only transfer --out runs/strategies

All strategies are after the same: the reward of N2N's paper, compression times quality kept, on validation. The data,
the teacher and its stored targets are the same for all; N2N changes the teacher's network, the others choose from the
space that Attar makes for such data. What is in the folder is not trained again; each result is written as it comes.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from result import RESULTS, write

from attar.evidence.compare import spread
from attar.recipes.read import from_document
from attar.recipes.search import evaluator_of
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

PUBLISHED = {
    "inherit": False,
    "credit": "mean",
    "step_per_rollout": True,
    "constrained": False,
    "bound": 0.0,
    "blocks": False,
}
"""N2N as its authors' code does it: fresh students, each five times as long, every one of them trained again."""
LONGER = 5

WHAT = (
    "Best reward so far, C (2 - C) A / A_teacher on validation with C the share of parameters saved, over the epochs "
    "that students were trained for, in units of one short training (8 epochs of digits, about 72 steps; 1 of letter). "
    "The first claims compare the best reward after all units, seed by seed. 'published' is N2N with the settings of "
    "its authors' code: students begin afresh and are trained for five units, every rollout counts, and policies learn "
    "from the mean of all rewards at the paper's learning rates. The factor is how many times fewer units Attar's N2N "
    "needs to come to the best reward of the published procedure. Handed on: N2N on the same teacher with policies "
    "that were taught on a smaller one, against new ones; trainings until the reward that new ones have in the end."
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
    """A strategy that is asked until so many units of training are spent."""

    inner: Strategy
    units: float
    unit: int

    def propose(self, history: Sequence[Trial]) -> Sequence[Proposal]:
        if spent(history, self.unit)[-1:] >= [self.units]:
            return []
        return self.inner.propose(history)


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

    def curve(self, strategy: Strategy, units: float) -> dict[str, Any]:
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


def compared(bench: Bench, units: int) -> dict[str, Any]:
    """All strategies, after as many units."""
    found = {}
    # Of halving so many begin that its three rungs together take the units.
    count = {"n2n": units, "halving": max(3, round(units / 2.3))}
    for name, table in STRATEGIES.items():
        settings = {"trials": count[name]} if name in count else {}
        found[name] = bench.curve(
            bench.strategy(
                {**table, **({"rungs": 3} if name == "halving" else {})},
                **{key: value for key, value in settings.items() if key == "trials"},
            ),
            units,
        )
        print(bench.data, bench.seed, name, f"{found[name]['best'][-1]:.4f}", flush=True)
    return found


def as_published(bench: Bench, units: int) -> dict[str, Any]:
    """The published procedure. A network that was drawn before is trained again there: its rollout counts here."""
    rollouts = max(10, units // LONGER)
    strategy = bench.strategy({"use": "n2n", **PUBLISHED}, trials=rollouts, epochs=LONGER * UNIT[bench.data])
    assert isinstance(strategy, N2N)
    strategy = replace(strategy, iterations=max(1, rollouts // 10), removal_rate=0.003, shrinkage_rate=0.01)
    found = search(strategy, bench.evaluate, bench.goal)
    units_, best, top = [], [], -1.0
    for number, reward in enumerate(one for record in strategy.course(found.trials) for one in record["rewards"]):
        top = max(top, -1.0 if reward is None else reward)
        units_.append(float(LONGER * (number + 1)))
        best.append(top)
    print(bench.data, bench.seed, "published", f"{top:.4f}", flush=True)
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
    rows = {}
    for name, table in (("new", {}), ("handed-on", {"policy": str(policies)})):
        rows[name] = bench.curve(bench.strategy({**STRATEGIES["n2n"], **table}, trials=units), units)
        print(bench.data, bench.seed, name, f"{rows[name]['best'][-1]:.4f}", flush=True)
    return rows


def until(curve: Mapping[str, Any], reward: float) -> float | None:
    """Units until a reward is reached; None where it never is."""
    return next((u for u, best in zip(curve["units"], curve["best"], strict=True) if best >= reward), None)


def main() -> None:
    """Run what is asked for, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", choices=[*DATA])
    parser.add_argument("--only", nargs="+", default=["strategies", "published", "transfer"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--units", type=int, default=60, help="of training, for each strategy")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--result", type=Path, default=RESULTS / "search_strategies.json")
    asked = parser.parse_args()
    for data in asked.data:
        for seed in range(asked.seeds):
            folder = asked.out / f"{data}-{seed}"
            bench = Bench(data, seed, folder / "run")
            for part in asked.only:
                if part == "strategies":
                    keep(data, seed, compared(bench, asked.units), asked)
                elif part == "published":
                    keep(data, seed, {"published": as_published(bench, 4 * asked.units)}, asked)
                else:
                    keep(data, seed, {"transfer": handed_on(bench, folder, asked.units)}, asked)
            bench.close()


def keep(data: str, seed: int, found: Mapping[str, Any], asked: argparse.Namespace) -> None:
    """Write what was found beside what is there."""
    there = json.loads(asked.result.read_text(encoding="utf-8")) if asked.result.is_file() else {"raw": {}}
    raw = there["raw"]
    raw.setdefault(data, {}).setdefault(str(seed), {}).update(found)
    write(
        asked.result,
        what=WHAT,
        seed=0,
        packages=["optuna"],
        settings={"units": asked.units, "epochs of a unit": dict(UNIT), "published, units each": LONGER},
        claims=[claim for name, seeds in raw.items() for claim in claims(name, [*seeds.values()])],
        summary={name: ends([*seeds.values()]) for name, seeds in raw.items()},
        raw=raw,
    )


def ends(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The best reward of each strategy in the end, a number for each seed."""
    return {name: [one[name]["best"][-1] for one in seeds if name in one] for name in (*STRATEGIES, "published")}


def claims(name: str, seeds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What was aimed at, and what came out."""
    made = []
    for strategy in STRATEGIES:
        pairs = [(one[strategy]["best"][-1], one["random"]["best"][-1]) for one in seeds if "random" in one]
        if strategy != "random" and pairs:
            words = f"{name}: reward of {strategy} above random search after as many units, {len(pairs)} seeds"
            made.append(_claim(words, [a - b for a, b in pairs], 0.0))
    both = [one for one in seeds if "published" in one and "n2n" in one]
    if both:
        factors = []
        for one in both:
            needed = until(one["n2n"], one["published"]["best"][-1])
            took = until(one["published"], one["published"]["best"][-1])
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
