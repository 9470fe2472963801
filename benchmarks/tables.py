"""Ensembles on many tables, the mimics that `Mimic` makes of them, and the same network on labels alone.

    python benchmarks/tables.py --r-files FOLDER                # all of it: hours
    python benchmarks/tables.py --tables boxes,tails --teachers forest --splits 0

Each pair of a table and a teacher, on each split, is written to the raw file as it comes; a run goes on where another
stopped, and the result is made of all that the raw file holds.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import math
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import joblib
import numpy as np
import pandas as pd
import torch
from result import RESULTS, write
from scipy.stats import norm
from sklearn import ensemble, linear_model
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from tables_bank import NAMES, Table, load

from attar.estimators.build import MimicBuilder, task_of
from attar.estimators.mimic import Mimic
from attar.estimators.plan import checked
from attar.evidence.compare import mcnemar
from attar.network.evaluating import evaluating
from attar.teachers.ensemble_selection import EnsembleSelection

LARGEST_LOG_LOSS = -math.log(1e-7)
"""A probability below 1e-7 counts as that: forests give 0."""

ROWS, SECONDS = 10_000, 60.0
"""Tables of so many rows at most are aimed to have their mimic in so many seconds of CPU time."""

LEVEL, NETS = 0.05, 5
"""Of significance; and how many networks on labels a mimic is measured against where it is worse than the first."""

CHOSEN_ON = ("boxes", "tails", "friedman1", "friedman2", "names", "pima", "vehicle", "breast")
SEEN = ("hastie", "ticdata", "steps", "checkers", "rules", "dna", "blobs", "led", "waves")
"""Tables on which defaults of Mimic were chosen, on other splits; and those whose figures led to a change of them."""

WHAT = (
    "For each table, teacher and split: the teacher, fitted on the training rows; 'mimic', what Mimic gives with "
    "its defaults for the teacher, not fitted, and the rows and labels; 'net', the mimic's network on these labels "
    "alone, in as many steps at most and its best epoch chosen on a tenth of them; and, where measured, "
    "'without_labels', what Mimic gives for the fitted teacher and the rows. All on the same test rows. The share "
    "of the gain that is kept is (mimic - net) / (teacher - net), in accuracy, log-loss and RMSE, where the teacher"
    " is better than the net by more than chance: McNemar's test, or the normal test of the mean difference over "
    "rows, with Holm's correction over the pairs of a metric. A mimic that is worse than its net, with p <= 0.05, is "
    "measured against five nets of other seeds, too, which differ among themselves ('nets': how much more it loses "
    "than each); it counts as worse if it is so by both tests. Tables of fewer than 690 rows are shown and not "
    "counted. The defaults were chosen on some of the tables, or changed for what was seen of them, as 'settings' "
    "names them, so that only the others say how they do elsewhere. 'cpu_s' is the process's CPU time for the "
    "mimic, but for the fit of the teacher (that of its copy is in it). 'deployed', where measured, has bytes on "
    "disk (ONNX Runtime; joblib for the teacher) and milliseconds of CPU time per call on DataFrames, medians of "
    "calls in turns."
)


def made(name: str, rows: pd.DataFrame, classes: bool) -> Any:
    """A teacher, not fitted, that takes the rows as they are."""
    import lightgbm

    nominal = [one for one in rows.columns if not pd.api.types.is_numeric_dtype(rows[one])]
    numbers = [one for one in rows.columns if one not in nominal]
    gaps = SimpleImputer(strategy="constant", fill_value="?")
    names = make_pipeline(gaps, OneHotEncoder(handle_unknown="ignore", sparse_output=False))
    first = make_column_transformer((names, nominal), (SimpleImputer(), numbers))
    forest = ensemble.RandomForestClassifier if classes else ensemble.RandomForestRegressor
    boosted = lightgbm.LGBMClassifier if classes else lightgbm.LGBMRegressor
    light: dict[str, Any] = {"learning_rate": 0.06, "verbose": -1, "n_jobs": 1, "random_state": 0}
    if name == "selected":
        return make_pipeline(first, Selected())
    if name == "forest":
        return make_pipeline(first, forest(300, random_state=0))
    if name == "lightgbm":
        return make_pipeline(first, boosted(n_estimators=200, **light))
    if name == "stack":
        linear = linear_model.LogisticRegression(max_iter=1000) if classes else linear_model.RidgeCV()
        stacked = ensemble.StackingClassifier if classes else ensemble.StackingRegressor
        models = [
            ("forest", forest(100, random_state=0)),
            ("boosted", boosted(n_estimators=100, **light)),
            ("linear", make_pipeline(StandardScaler(), linear)),
        ]
        return make_pipeline(first, stacked(models, cv=3))
    if name == "xgboost":
        import xgboost

        kind = xgboost.XGBClassifier if classes else xgboost.XGBRegressor
        return make_pipeline(first, kind(n_estimators=200, learning_rate=0.1, n_jobs=1))
    kind = ensemble.HistGradientBoostingClassifier if classes else ensemble.HistGradientBoostingRegressor
    return make_pipeline(first, kind(max_iter=200, random_state=0))


class Selected(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An ensemble selected from a library of models, on a fifth of the rows that they do not learn from."""

    def fit(self, rows: Any, truth: Any) -> Selected:
        """Fit the models, and select."""
        import lightgbm

        learned, held, of_learned, of_held = train_test_split(
            rows, truth, test_size=0.2, random_state=0, stratify=truth
        )
        models: dict[str, Any] = {}
        for leaf in (1, 3, 10):
            models[f"forest {leaf}"] = ensemble.RandomForestClassifier(100, min_samples_leaf=leaf, random_state=0)
            models[f"extra {leaf}"] = ensemble.ExtraTreesClassifier(100, min_samples_leaf=leaf, random_state=0)
        for leaves in (7, 31):
            for rate in (0.03, 0.1):
                models[f"boosted {leaves} {rate}"] = lightgbm.LGBMClassifier(
                    num_leaves=leaves, learning_rate=rate, verbose=-1, n_jobs=1, random_state=0
                )
        for strength in (0.01, 1.0):
            models[f"linear {strength}"] = linear_model.LogisticRegression(C=strength, max_iter=1000)
        for count in (5, 25):
            models[f"near {count}"] = make_pipeline(StandardScaler(), KNeighborsClassifier(count))
        fitted = [(name, model.fit(learned, of_learned)) for name, model in models.items()]
        self.selected_ = EnsembleSelection(fitted).fit(held, of_held)
        self.classes_ = self.selected_.classes_
        return self

    def predict_proba(self, rows: Any) -> Any:
        """``[rows, classes]``."""
        return self.selected_.predict_proba(rows)

    def predict(self, rows: Any) -> Any:
        """``[rows]``."""
        return self.selected_.predict(rows)


class Pair:
    """One table and one teacher on one split."""

    def __init__(self, table: Table, teacher: str, split: int) -> None:
        self.table, self.split, self.name = table, split, teacher
        self.rows, self.test_rows, self.truth, self.test_truth = table.divided(split)

    def run(self, unlabelled: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        """Outputs of all for the test rows; and CPU seconds and what was chosen."""
        clock = time.process_time()
        teacher = made(self.name, self.rows, self.table.classes).fit(self.rows, self.truth)
        fitting = time.process_time() - clock
        clock = time.process_time()
        given = {"unseen": "missing", "random_state": self.split}
        mimic = Mimic(made(self.name, self.rows, self.table.classes), **given).fit(self.rows, self.truth)
        spent = time.process_time() - clock - fitting
        answers = {"teacher": self._asked(teacher), "mimic": self._asked(mimic)}
        clock = time.process_time()
        answers["net"] = self._net(mimic)
        net = time.process_time() - clock
        if unlabelled:
            answers["without_labels"] = self._asked(Mimic(teacher, **given).fit(self.rows))
        report = mimic.report_
        facts: dict[str, Any] = {"cpu_s": spent, "teacher_cpu_s": fitting, "net_cpu_s": net}
        for name in ("synthetic_rows", "parameters", "steps", "curves", "labels", "temperature"):
            facts[name] = getattr(report, name)
        return answers, facts | {"mimic": mimic, "teacher": teacher}

    def _net(self, mimic: Mimic, seed: int | None = None) -> Any:
        """What the mimic's network, in as many steps at most, says when it learns from the labels alone.

        Its seed, which sets a tenth of the rows aside, too, is another one than the mimic's.
        """
        if seed is None:
            seed = int(np.random.RandomState(self.split).randint(2**31 - 1))
        plan = checked(seed=seed, **mimic.get_params(deep=False))
        plan = dataclasses.replace(plan, curves=mimic.report_.curves, rows=0, labels=0.0)
        matrix = mimic.columns_.encode(self.rows)
        if self.table.classes:
            places = {value: place for place, value in enumerate(mimic.classes_.tolist())}
            numbers = np.array([places[one] for one in self.truth.tolist()])
            hot = np.where(np.arange(len(places)) == numbers[:, None], 0.0, -LARGEST_LOG_LOSS)
            labels = torch.from_numpy(hot - hot.mean(1, keepdims=True)).float()
        else:
            labels = torch.from_numpy(self.truth[:, None]).float()
        kind: Any = "classifier" if self.table.classes else "regressor"
        task = task_of(kind, getattr(mimic, "classes_", None), (), labels.shape[1])
        nobody: Any = None  # no row is made up that it would be asked about
        builder = MimicBuilder(plan, task, mimic.columns_, nobody, matrix, labels)
        net = builder.train(*builder.transfer_set(matrix[:0])).model.module
        with evaluating(net):
            test = torch.from_numpy(mimic.columns_.encode(self.test_rows, unseen="missing")).float()
            answers = net(test).double().numpy()
        if not self.table.classes:
            return answers
        raised = np.exp(answers - answers.max(1, keepdims=True))
        return raised / raised.sum(1, keepdims=True)

    def _asked(self, model: Any) -> Any:
        if not self.table.classes:
            return model.predict(self.test_rows)[:, None]
        return model.predict_proba(self.test_rows)

    def losses(self, answers: Any) -> dict[str, Any]:
        """``[rows]`` each: what is lost, less is better."""
        if not self.table.classes:
            return {"rmse": (answers[:, 0] - self.test_truth) ** 2}
        places = {value: place for place, value in enumerate(np.unique(self.truth).tolist())}
        truth = np.array([places[one] for one in self.test_truth.tolist()])
        likely = np.clip(answers[np.arange(len(truth)), truth], 1e-7, 1.0)
        return {"accuracy": (answers.argmax(1) != truth).astype(float), "log_loss": -np.log(likely)}

    def deployed(self, mimic: Mimic, teacher: Any) -> dict[str, Any]:
        """Bytes, and CPU milliseconds per call of one row and of a thousand."""
        with tempfile.TemporaryDirectory() as folder:
            artifact = mimic.save(Path(folder) / "mimic", "onnxruntime")
            size = sum(one.stat().st_size for one in artifact.folder.rglob("*") if one.is_file())
            run = artifact.open()
            ask = teacher.predict_proba if self.table.classes else teacher.predict
            callers: dict[str, Callable[[Any], Any]] = {
                "mimic": lambda rows: run(artifact.encode(rows)),
                "teacher": ask,
            }
            kept = io.BytesIO()
            joblib.dump(teacher, kept)
            found: dict[str, Any] = {"mimic": {"bytes": size}, "teacher": {"bytes": len(kept.getvalue())}}
            for batch, calls in ((1, 30), (1000, 5)):
                rows = self.test_rows.sample(batch, replace=True, random_state=0)
                times: dict[str, list[float]] = {name: [] for name in callers}
                for _ in range(calls + 1):
                    for name, call in callers.items():
                        clock = time.process_time()
                        call(rows)
                        times[name].append(1000 * (time.process_time() - clock))
                for name, each in times.items():
                    found[name][f"batch_{batch}_ms"] = float(np.median(each[1:]))
            return found


def record(table: Table, teacher: str, split: int, unlabelled: bool, deploy: bool) -> dict[str, Any]:
    """All about one pair on one split, as plain values."""
    pair = Pair(table, teacher, split)
    answers, facts = pair.run(unlabelled)
    losses = {name: pair.losses(each) for name, each in answers.items()}
    found: dict[str, Any] = {"table": table.name, "teacher": teacher, "split": split, "counted": table.counted}
    found |= {"train": len(pair.rows), "test": len(pair.test_rows)}
    mimic, its = facts.pop("mimic"), facts.pop("teacher")
    found |= facts | {"figures": {}, "p_values": {}}
    apart = {metric: p_value(metric, losses["mimic"][metric], net) for metric, net in losses["net"].items()}
    if any(p <= LEVEL and losses["mimic"][one].mean() > losses["net"][one].mean() for one, p in apart.items()):
        nets = [pair.losses(pair._net(mimic, seed)) for seed in range(NETS)]
        found["nets"] = {one: _against(losses["mimic"][one], [each[one] for each in nets]) for one in losses["net"]}
    for metric in losses["net"]:
        figures = {name: float(each[metric].mean()) for name, each in losses.items()}
        if metric == "accuracy":
            figures = {name: 1 - value for name, value in figures.items()}
        elif metric == "rmse":
            figures = {name: math.sqrt(value) for name, value in figures.items()}
        found["figures"][metric] = figures
        found["p_values"][metric] = {
            name: p_value(metric, losses[name][metric], losses["net"][metric]) for name in losses if name != "net"
        }
    if deploy:
        found["deployed"] = pair.deployed(mimic, its)
    return found


def _against(mimic: Any, nets: list[Any]) -> dict[str, Any]:
    """How much more a mimic loses on a row than each of some networks, and the p-value of its difference from all.

    That a network of another seed is another one counts for the p-value as much as that other rows are other ones.
    """
    more = [float((mimic - each).mean()) for each in nets]
    of_rows = mimic - np.mean(nets, axis=0)
    variance = of_rows.var(ddof=1) / len(of_rows) + np.var(more, ddof=1) * (1 + 1 / len(more))
    return {"more": more, "p_value": float(2 * norm.sf(abs(np.mean(more)) / math.sqrt(variance)))}


def p_value(metric: str, one: Any, other: Any) -> float:
    """Of losses ``[rows]`` of two on the same rows: McNemar's test of errors, the normal test of mean differences."""
    if metric == "accuracy":
        return mcnemar(one == 0, other == 0).p_value
    apart = one - other
    error = apart.std(ddof=1) / math.sqrt(len(apart))
    return float(2 * norm.sf(abs(apart.mean()) / error)) if error > 0 else 1.0


def holm(p_values: list[float], level: float = 0.05) -> list[bool]:
    """Which hypotheses are refused, by Holm's correction."""
    refused, going = [False] * len(p_values), True
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        going = going and p_values[place] <= level / (len(p_values) - rank)
        refused[place] = going
    return refused


def _below_nets(against: dict[str, Any]) -> bool:
    """Whether a mimic loses more than networks of several seeds do."""
    return bool(np.mean(against["more"]) > 0 and against["p_value"] <= LEVEL)


_FEWEST = 10
"""Pairs with a gain to keep, of tables that changed no default, for a claim to be met."""


def summary(records: list[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Shares of the gain that are kept, by metric; and what is claimed."""
    found: dict[str, Any] = {}
    claims = []
    for metric, aim in (("log_loss", 0.97), ("accuracy", 0.9), ("rmse", 0.97)):
        pairs = [one for one in records if one["counted"] and metric in one["figures"]]
        if not pairs:
            continue
        sign = 1 if metric == "accuracy" else -1

        def gain(one: dict[str, Any], name: str, metric: str = metric, sign: int = sign) -> float:
            return float(sign * (one["figures"][metric][name] - one["figures"][metric]["net"]))

        better = holm([one["p_values"][metric]["teacher"] for one in pairs])
        counted = [one for one, sure in zip(pairs, better, strict=True) if sure and gain(one, "teacher") > 0]
        shares = {
            name: [gain(one, name) / gain(one, "teacher") for one in counted if name in one["figures"][metric]]
            for name in ("mimic", "without_labels")
        }
        sure = holm([one["p_values"][metric]["mimic"] for one in pairs])
        below = [one for one, yes in zip(pairs, sure, strict=True) if yes and gain(one, "mimic") < 0]
        worse = [one for one in below if "nets" not in one or _below_nets(one["nets"][metric])]
        medians = {name: float(np.median(each)) if each else None for name, each in shares.items()}
        found[metric] = {
            "pairs": len(pairs),
            "counted": [f"{one['table']}, {one['teacher']}, split {one['split']}" for one in counted],
            "shares": shares,
            "median_share": medians,
            "worse_than_its_net": [f"{one['table']}, {one['teacher']}, split {one['split']}" for one in below],
            "worse_than_net": [f"{one['table']}, {one['teacher']}, split {one['split']}" for one in worse],
        }
        pairs_and_shares = zip(counted, shares["mimic"], strict=True)
        fresh = [share for one, share in pairs_and_shares if one["table"] not in (*CHOSEN_ON, *SEEN)]
        reached = float(np.median(fresh)) if fresh else None
        claims += [
            {
                "claim": f"median share of the teacher's gain that a mimic keeps, {metric}, {len(fresh)} pairs of "
                f"tables that changed no default, of {len(counted)} pairs with such a gain",
                "aim": aim,
                "reached": "no pair to count" if reached is None else reached,
                "interval": None,
                # A median of fewer says nothing of tables in general.
                "met": len(fresh) >= _FEWEST and reached is not None and reached >= aim,
            },
            {
                "claim": f"pairs of {len(pairs)} in which the mimic is worse than the net on labels and than those of "
                f"{NETS} other seeds, {metric}",
                "aim": 0,
                "reached": len(worse),
                "interval": None,
                "met": not worse,
            },
        ]
    few = [one["cpu_s"] for one in records if one["train"] <= ROWS]
    found["cpu_s"] = {"pairs": len(few), "median": float(np.median(few)), "most": max(few)}
    claims.append(
        {
            "claim": f"seconds of CPU time that a mimic takes at most, of {len(few)} pairs of at most {ROWS:,} rows, "
            "without the fit of the teacher",
            "aim": SECONDS,
            "reached": max(few),
            "interval": None,
            "met": max(few) <= SECONDS,
        }
    )
    return found, claims


def main() -> None:
    """Run what is asked for and has not been run, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", default=",".join(NAMES))
    parser.add_argument("--teachers", default="forest,lightgbm,stack")
    parser.add_argument("--splits", default="0,1,2")
    parser.add_argument("--unlabelled", action="store_true", help="mimics of the fitted teacher without labels, too")
    parser.add_argument("--deploy", action="store_true", help="measure bytes and latencies, too")
    parser.add_argument("--r-files", type=Path, help="folder with the unpacked r-cran-mlbench and r-cran-kernlab")
    parser.add_argument("--raw", type=Path, default=Path("tables.jsonl"))
    parser.add_argument("--out", type=Path, default=RESULTS / "tables.json")
    given = parser.parse_args()
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    torch.set_num_threads(1)
    records = [json.loads(line) for line in given.raw.read_text().splitlines()] if given.raw.exists() else []
    done = {(one["table"], one["teacher"], one["split"]) for one in records}
    for split in map(int, given.splits.split(",")):
        for name in given.tables.split(","):
            for teacher in given.teachers.split(","):
                if (name, teacher, split) in done:
                    continue
                one = record(load(name, given.r_files), teacher, split, given.unlabelled, given.deploy)
                records.append(one)
                with given.raw.open("a") as raw:
                    raw.write(json.dumps(one) + "\n")
                print(name, teacher, split, json.dumps(one["figures"]), flush=True)
    found, claims = summary(records)
    settings = {"pairs": len(records), "chosen_on": CHOSEN_ON, "seen": SEEN}
    packages = ("scikit-learn", "lightgbm", "xgboost")
    write(given.out, what=WHAT, seed=0, packages=packages, settings=settings, summary=found, claims=claims, raw=records)


if __name__ == "__main__":
    main()
