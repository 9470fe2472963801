"""Ensembles on many tables, the mimics that `Mimic` makes of them, and the same network on labels alone.

    python benchmarks/tables.py --r-files FOLDER                # all of it: hours
    python benchmarks/tables.py --tables boxes,tails --teachers forest --splits 0 --rows 20000 --steps 2000

Each pair of a table and a teacher, on each split, is written to the raw file as it comes; a run goes on where another
stopped, and the result is made of all that the raw file holds.
"""

from __future__ import annotations

import argparse
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
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from tables_bank import NAMES, Table, load

import attar
from attar.data.in_memory import outputs_of
from attar.estimators import teachers
from attar.estimators.build import MimicBuilder, task_of
from attar.estimators.mimic import Mimic
from attar.estimators.plan import checked
from attar.evidence.compare import mcnemar
from attar.network.evaluating import evaluating
from attar.tables.columns import Columns

TEACHERS = ("forest", "lightgbm", "stack", "xgboost", "hist")
LARGEST_LOG_LOSS = -math.log(1e-7)
"""A probability below 1e-7 counts as that: forests give 0."""

WHAT = (
    "For each table, teacher and split: the teacher, fitted on the training rows; 'net', Mimic's network in as many "
    "steps on these rows' labels alone, its best epoch chosen on a tenth of them; 'mimic', Mimic with its defaults but "
    "for 'settings'; and 'standardized', the same mimic with curves = 0, which is what Mimic did before it had curves. "
    "All on the same test rows. The share of the gain that is kept is (mimic - net) / (teacher - net), in accuracy, "
    "log-loss and RMSE, where the teacher is better than the net by more than chance: McNemar's test, or the normal "
    "test of the mean difference over rows, with Holm's correction over the pairs of a metric. Tables of fewer than "
    "690 rows are shown and not counted. 'cpu_s' is the process's CPU time for rows, labels and training. "
    "'deployed', where measured, has bytes on disk (ONNX Runtime; joblib for the teacher) and milliseconds of CPU time "
    "per call on DataFrames, medians of calls in turns."
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


class Pair:
    """One table and one teacher on one split."""

    def __init__(self, table: Table, teacher: str, split: int, rows: int | None, steps: int | None) -> None:
        self.table, self.split = table, split
        self.rows, self.test_rows, truth, test_truth = table.divided(split)
        clock = time.process_time()
        self.teacher = made(teacher, self.rows, table.classes).fit(self.rows, truth)
        self.teacher_cpu_s = time.process_time() - clock
        self.columns = Columns.infer(self.rows)
        self.matrix = self.columns.encode(self.rows)
        kind: Any = "classifier" if table.classes else "regressor"
        classes = teachers.classes_of(self.teacher) if table.classes else None
        self.wrapped = teachers.wrapped(self.teacher, kind, self.columns, self.rows[:1], classes)
        if table.classes:
            assert classes is not None
            places = {value: place for place, value in enumerate(classes.tolist())}
            truth, test_truth = (np.array([places[one] for one in each.tolist()]) for each in (truth, test_truth))
            hot = np.where(np.arange(len(classes)) == truth[:, None], 0.0, -LARGEST_LOG_LOSS)
            self.labels = torch.from_numpy(hot - hot.mean(1, keepdims=True)).float()
        else:
            self.labels = torch.from_numpy(truth[:, None]).float()
        self.truth = test_truth
        self.task = task_of(kind, classes, (), self.labels.shape[1])
        self.given = {"rows": rows} | ({} if steps is None else {"steps": steps})

    def builder(self, outputs: torch.Tensor, **given: Any) -> MimicBuilder:
        """A mimic of some outputs for the training rows."""
        plan = checked(seed=self.split, **Mimic(None).get_params(deep=False) | self.given | given)
        return MimicBuilder(plan, self.task, self.columns, self.wrapped, self.matrix, outputs)

    def run(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Outputs of all for the test rows; and CPU seconds, synthetic rows and the network of the mimic."""
        clock = time.process_time()
        outputs = outputs_of(self.wrapped, torch.from_numpy(self.matrix).float())
        builder = self.builder(outputs)
        synthetic = builder.synthetic(builder.tuned()[0])
        examples = builder.transfer_set(synthetic)
        mimic = builder.train(*examples).model
        spent = time.process_time() - clock
        alone = self.builder(self.labels, rows=0)
        net = alone.train(*alone.transfer_set(self.matrix[:0])).model
        standardized = self.builder(outputs, curves=0).train(*examples).model
        test = torch.from_numpy(self.columns.encode(self.test_rows, unseen="missing")).float()
        answers: dict[str, Any] = {"teacher": self._asked()}
        for name, one in (("net", net), ("mimic", mimic), ("standardized", standardized)):
            with evaluating(one.module):
                answers[name] = one.module(test).double().numpy()
            if self.table.classes:
                raised = np.exp(answers[name] - answers[name].max(1, keepdims=True))
                answers[name] = raised / raised.sum(1, keepdims=True)
        parameters = sum(each.numel() for each in mimic.module.parameters())
        facts = {"cpu_s": spent, "synthetic_rows": len(synthetic), "parameters": parameters}
        return answers, facts | {"model": mimic}

    def _asked(self) -> Any:
        if not self.table.classes:
            return self.teacher.predict(self.test_rows)[:, None]
        return self.teacher.predict_proba(self.test_rows)

    def losses(self, answers: Any) -> dict[str, Any]:
        """``[rows]`` each: what is lost, less is better."""
        if not self.table.classes:
            return {"rmse": (answers[:, 0] - self.truth) ** 2}
        likely = np.clip(answers[np.arange(len(self.truth)), self.truth], 1e-7, 1.0)
        return {"accuracy": (answers.argmax(1) != self.truth).astype(float), "log_loss": -np.log(likely)}

    def deployed(self, model: Any) -> dict[str, Any]:
        """Bytes, and CPU milliseconds per call of one row and of a thousand."""
        with tempfile.TemporaryDirectory() as folder:
            artifact = attar.deploy(
                model.module,
                "onnxruntime",
                Path(folder) / "mimic",
                example=torch.from_numpy(self.matrix[:1]).float(),
                task=self.task,
                spec=model.spec,
                columns=self.columns,
                unseen="missing",
            )
            size = sum(one.stat().st_size for one in artifact.folder.rglob("*") if one.is_file())
            run = artifact.open()
            ask = self.teacher.predict_proba if self.table.classes else self.teacher.predict
            callers: dict[str, Callable[[Any], Any]] = {
                "mimic": lambda rows: run(artifact.encode(rows)),
                "teacher": ask,
            }
            kept = io.BytesIO()
            joblib.dump(self.teacher, kept)
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


def record(table: Table, teacher: str, split: int, rows: int | None, steps: int | None, deploy: bool) -> dict[str, Any]:
    """All about one pair on one split, as plain values."""
    pair = Pair(table, teacher, split, rows, steps)
    answers, facts = pair.run()
    losses = {name: pair.losses(each) for name, each in answers.items()}
    found: dict[str, Any] = {"table": table.name, "teacher": teacher, "split": split, "counted": table.counted}
    found |= {"train": len(pair.rows), "test": len(pair.truth), "teacher_cpu_s": pair.teacher_cpu_s}
    model = facts.pop("model")
    found |= facts | {"figures": {}, "p_values": {}}
    for metric in losses["net"]:
        figures = {name: float(each[metric].mean()) for name, each in losses.items()}
        if metric == "accuracy":
            figures = {name: 1 - value for name, value in figures.items()}
        elif metric == "rmse":
            figures = {name: math.sqrt(value) for name, value in figures.items()}
        found["figures"][metric] = figures
        found["p_values"][metric] = {
            name: _p_value(metric, losses[name][metric], losses["net"][metric])
            for name in ("teacher", "mimic", "standardized")
        }
    if deploy:
        found["deployed"] = pair.deployed(model)
    return found


def _p_value(metric: str, one: Any, other: Any) -> float:
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


_FEWEST = 10
"""Pairs with a gain to keep, of which a median is claimed."""


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
            name: [gain(one, name) / gain(one, "teacher") for one in counted] for name in ("mimic", "standardized")
        }
        sure = holm([one["p_values"][metric]["mimic"] for one in pairs])
        worse = [one for one, yes in zip(pairs, sure, strict=True) if yes and gain(one, "mimic") < 0]
        medians = {name: float(np.median(each)) if each else None for name, each in shares.items()}
        found[metric] = {
            "pairs": len(pairs),
            "counted": [f"{one['table']}, {one['teacher']}, split {one['split']}" for one in counted],
            "shares": shares,
            "median_share": medians,
            "worse_than_net": [f"{one['table']}, {one['teacher']}, split {one['split']}" for one in worse],
        }
        reached = medians["mimic"]
        claims += [
            {
                "claim": f"median share of the teacher's gain that a mimic keeps, {metric}, {len(counted)} pairs",
                "aim": aim,
                "reached": "no pair to count" if reached is None else reached,
                "interval": None,
                # A median of fewer says nothing of tables in general.
                "met": len(counted) >= _FEWEST and reached is not None and reached >= aim,
            },
            {
                "claim": f"pairs of {len(pairs)} in which the mimic is worse than the net on labels, {metric}",
                "aim": 0,
                "reached": len(worse),
                "interval": None,
                "met": not worse,
            },
        ]
    return found, claims


def main() -> None:
    """Run what is asked for and has not been run, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", default=",".join(NAMES))
    parser.add_argument("--teachers", default="forest,lightgbm,stack")
    parser.add_argument("--splits", default="0,1,2")
    parser.add_argument("--rows", type=int, help="synthetic rows at most; by default as Mimic has it")
    parser.add_argument("--steps", type=int, help="of the optimizer; by default as Mimic has it")
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
                one = record(load(name, given.r_files), teacher, split, given.rows, given.steps, given.deploy)
                records.append(one)
                with given.raw.open("a") as raw:
                    raw.write(json.dumps(one) + "\n")
                print(name, teacher, split, json.dumps(one["figures"]), flush=True)
    found, claims = summary(records)
    settings = {"rows": given.rows, "steps": given.steps, "pairs": len(records)}
    packages = ("scikit-learn", "lightgbm", "xgboost")
    write(given.out, what=WHAT, seed=0, packages=packages, settings=settings, summary=found, claims=claims, raw=records)


if __name__ == "__main__":
    main()
