"""Ensembles on tables, their mimics, and what others make of the same ensembles and rows, side by side.

    python benchmarks/tables_rivals.py --python trees=../trees/bin/python --python autogluon=../tables/bin/python \\
        --python deepbridge=../deepbridge/bin/python --python pytabkit=../nets/bin/python     # see README.md
    python benchmarks/tables_rivals.py --tables hastie --teachers lightgbm --out quick.json

Each group of contenders works in a process of its own, by the Python that it is given, and leaves what it found in the
folder ``--raw``: figures as JSON, answers as NumPy's arrays. A run goes on where another stopped. A group without a
Python is reported as absent.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import warnings
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import joblib
import numpy as np
import pandas as pd
import torch
from forest import Contender, clocked, errors, hummingbird, judged, raced
from result import RESULTS, write
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from state_claims import claim
from tables import Pair, holm, made, p_value
from tables_bank import load

TEACHER, MIMIC, NET = "teacher", "mimic", "net on labels"
SAME_BYTES = "LightGBM of the same bytes"
RIVALS = (NET, "scikit-learn's MLP", SAME_BYTES, "AutoGluon distill", "deepbridge-distillation", "RealMLP", "TabM")
"""Those that say something else than the teacher does, so that their quality is held against the mimic's."""
ENCODED, DICT = "encoded rows", "a dict"
BATCHES = (1, 1000)
SPLIT = 0

WHAT = (
    "Tables of the bank in tables_bank.py, one split, each with a forest of 300 trees and with LightGBM (200 rounds) "
    "as the teacher. 'mimic' is what Mimic gives with its defaults for the teacher, not fitted, and the rows and "
    "labels, saved for ONNX Runtime; 'net on labels' is the mimic's network on the labels alone, in as many steps at "
    "most, so that its files and times are the mimic's. scikit-learn's MLPClassifier is as wide and stops early. "
    "'LightGBM of the same bytes' has at most the mimic's bytes in its text file; its leaves, learning rate and "
    "rounds were chosen on a tenth of the training rows. m2cgen's C of the teacher's trees is compiled by gcc, with "
    "-O2 and, where that takes more CPU time than 'settings' says or 8 GB of memory, with -O0; it and Hummingbird "
    "(torch.jit, onnx) are given rows by the teacher's own preprocessing, which is timed with them. AutoGluon's "
    "distill() (SPUNGE) takes AutoGluon's own predictors alone as teachers: a model of the same kind with as many "
    "trees, fitted on the same rows; of its students the one that its validation score prefers. deepbridge- "
    "distillation is its KnowledgeDistillation with XGBoost as the student and ten trials; it fits the student on "
    "labels, and what the teacher says only chooses its parameters. RealMLP and TabM, with pytabkit's defaults, learn "
    "from the labels. Accuracy (Wilson's 95% interval) and log-loss "
    "(mean and its 95% interval) are on the same test rows, read once; 'against_mimic' is what is lost on a row (log- "
    "loss; for accuracy, 1 for an error) minus what the mimic loses on it: mean, 95% interval, p-value (of accuracy, "
    "McNemar's). All are asked on DataFrames, as users ask them, where not said otherwise: ', a dict' is one row as a "
    "dict (of which the teacher is given a DataFrame), ', encoded rows' leaves out what makes numbers of a DataFrame. "
    "Milliseconds are per call of one thread. Every group of contenders ran in a process of its own, since their "
    "packages do not go together, and was timed in turns with the same teacher, fitted anew there: "
    "'times_as_long_as_teacher' (CPU time; median over rounds with its 95% interval) can be compared between groups, "
    "milliseconds cannot. 'bytes' is what is on disk: the mimic's whole folder (its ONNX file, its manifest, and its "
    "weights once more, from which the network can be built again), joblib's file for models of scikit-learn, else "
    "what each library writes, without the preprocessing; 'deflated_bytes' the same under zlib. 'build' has the CPU "
    "seconds from the fitted teacher, or from the rows for what learns without it, to the files, gcc's included."
)

Ask = Callable[[Any], Any]


@dataclass
class Found:
    """The contenders of a group, which take DataFrames; further forms of asking them, each with what makes the form."""

    contenders: dict[str, Contender]
    failed: dict[str, str] = field(default_factory=dict)
    forms: dict[tuple[str, str], tuple[Ask, Ask]] = field(default_factory=dict)


def record_of(rows: pd.DataFrame) -> dict[str, Any]:
    """The first row as a dict."""
    return rows.iloc[0].to_dict()


def dumped(model: Any, folder: Path, name: str) -> list[Path]:
    """The file that joblib writes."""
    return [Path(one) for one in joblib.dump(model, folder / f"{name}.joblib")]


def of_teacher(teacher: Any, folder: Path) -> Contender:
    """The teacher as it is."""
    return Contender(teacher.predict_proba, dumped(teacher, folder, "teacher"))


def fitted(pair: Pair) -> Any:
    """The pair's teacher."""
    return made(pair.name, pair.rows, pair.table.classes).fit(pair.rows, pair.truth)


# -- the groups --------------------------------------------------------------------------------------------------------


def ours(pair: Pair, folder: Path, asked: argparse.Namespace) -> Found:
    """The mimic, its network on labels, and what needs no environment of its own."""
    import attar

    answers, facts = pair.run(unlabelled=False)
    teacher, mimic = facts["teacher"], facts["mimic"]
    mimic.save(folder / "mimic", "onnxruntime")
    artifact = attar.load(folder / "mimic")
    files = [one for one in artifact.folder.rglob("*") if one.is_file()]
    build = {"cpu_s": facts["cpu_s"]}
    about = {name: facts[name] for name in ("parameters", "synthetic_rows", "labels", "curves", "steps")}
    found = Found(
        {
            TEACHER: of_teacher(teacher, folder),
            MIMIC: Contender(artifact.predict_proba, files, build, about),
            NET: Contender(lambda rows: answers["net"], files, {"cpu_s": facts["net_cpu_s"]}),
        }
    )
    found.contenders["scikit-learn's MLP"] = perceptron(pair, mimic.hidden, folder)
    found.contenders[SAME_BYTES] = boosted(pair, found.contenders[MIMIC].sizes()["bytes"], folder)
    found.forms = {
        (MIMIC, DICT): (record_of, artifact.predict_proba),
        (TEACHER, DICT): (record_of, lambda record: teacher.predict_proba(pd.DataFrame([record]))),
        (MIMIC, ENCODED): (artifact.encode, artifact.open(threads=1)),
    }
    return found


def perceptron(pair: Pair, hidden: Sequence[int], folder: Path) -> Contender:
    """scikit-learn's own network, as wide as the mimic, on the labels."""
    first = made(pair.name, pair.rows, pair.table.classes)[0]
    build: dict[str, float] = {}
    with clocked(build):
        net = MLPClassifier(tuple(hidden), max_iter=300, early_stopping=True, random_state=pair.split)
        model = make_pipeline(first, StandardScaler(), net).fit(pair.rows, pair.truth)
        files = dumped(model, folder, "perceptron")
    return Contender(model.predict_proba, files, build)


def boosted(pair: Pair, most: int, folder: Path) -> Contender:
    """LightGBM on the labels in a file of ``most`` bytes at most."""

    def grown(leaves: int, rate: float, rounds: int, rows: pd.DataFrame, truth: Any) -> tuple[Any, int]:
        """A model, and how many of its rounds go into the file."""
        model = made("lightgbm", rows, pair.table.classes)
        model[-1].set_params(num_leaves=leaves, learning_rate=rate, n_estimators=rounds)
        booster = model.fit(rows, truth)[-1].booster_

        def size(count: int) -> int:
            return len(booster.model_to_string(num_iteration=count).encode())

        return model, bisect_right(range(1, rounds + 1), most, key=size)

    build: dict[str, float] = {}
    with clocked(build):
        inner, held, truth, held_truth = train_test_split(
            pair.rows, pair.truth, test_size=0.1, random_state=pair.split, stratify=pair.truth
        )
        tried: list[tuple[float, int, float, int]] = []
        for leaves in (3, 7, 15, 31):
            for rate in (0.1, 0.3):
                # A tree of so many leaves takes more bytes than this.
                rounds = min(300, max(1, most // (len(np.unique(truth)) * 60 * leaves)))
                model, count = grown(leaves, rate, rounds, inner, truth)
                for fewer in {count, count // 2} - {0}:
                    loss = log_loss(held_truth, model.predict_proba(held, num_iteration=fewer))
                    tried.append((loss, leaves, rate, fewer))
        _, leaves, rate, rounds = min(tried)
        model, count = grown(leaves, rate, rounds, pair.rows, pair.truth)
        model[-1].booster_.save_model(folder / "boosted.txt", num_iteration=count)
    about = {"num_leaves": leaves, "learning_rate": rate, "rounds": count}
    asking = lambda rows: model.predict_proba(rows, num_iteration=count)  # noqa: E731
    return Contender(asking, [folder / "boosted.txt"], build, about)


def compilers(pair: Pair, folder: Path, asked: argparse.Namespace) -> Found:
    """m2cgen and Hummingbird, of the teacher's trees."""
    teacher = fitted(pair)
    first, trees = teacher[:-1].transform, teacher[-1]
    example = np.asarray(first(pair.rows.iloc[:1]), np.float32)
    found = Found({TEACHER: of_teacher(teacher, folder)})
    recipes: dict[str, Callable[[], tuple[Contender, Ask]]] = {
        "m2cgen": lambda: (in_c(trees, folder, asked.gcc_seconds), lambda rows: np.ascontiguousarray(first(rows))),
        **{
            f"Hummingbird {backend}": lambda backend=backend: (
                hummingbird(trees, backend, example, folder),
                lambda rows: np.asarray(first(rows), np.float32),
            )
            for backend in ("torch.jit", "onnx")
        },
    }
    for name, build in recipes.items():
        try:
            of_numbers, encode = build()
            of_numbers.predict(encode(pair.rows.iloc[:2]))
        except Exception as error:  # a rival that fails is a result
            found.failed[name] = errors(error)
            continue
        run = of_numbers.predict
        asking = lambda rows, run=run, encode=encode: run(encode(rows))  # noqa: E731
        found.contenders[name] = Contender(asking, of_numbers.files, of_numbers.build, of_numbers.notes)
        found.forms[name, ENCODED] = (encode, run)
    return found


LOOP = """
void score_rows(double *inputs, double *outputs, long rows, long columns, long classes) {
    for (long row = 0; row < rows; row++) score(inputs + row * columns, outputs + row * classes);
}
"""


def in_c(trees: Any, folder: Path, seconds: int) -> Contender:
    """m2cgen's C of trees, as a library with a loop over rows; gcc has so many CPU seconds, and 8 GB of memory."""
    import m2cgen

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))

    sys.setrecursionlimit(100_000)
    library = folder / "trees.so"
    build: dict[str, float] = {}
    notes: dict[str, Any] = {}
    with clocked(build):
        code = m2cgen.export_to_c(trees) + LOOP
        (folder / "trees.c").write_text(code)
        notes["bytes_of_c"] = len(code)
        for level in ("-O2", "-O0"):
            gcc = ["gcc", level, "-shared", "-fPIC", "-o", str(library), str(folder / "trees.c"), "-lm"]
            took: dict[str, float] = {}
            with clocked(took):
                done = subprocess.run(gcc, preexec_fn=limited, capture_output=True, check=False)
            notes[f"gcc {level}"] = {**took, "finished": done.returncode == 0}
            if done.returncode == 0:
                break
    if not library.exists():
        raise RuntimeError(
            f"gcc did not compile {len(code) / 1e6:.1f} MB of C in {seconds} s of CPU time, neither with -O2 nor -O0"
        )
    score_rows = ctypes.CDLL(str(library)).score_rows
    score_rows.argtypes = [ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_long] * 3]
    score_rows.restype = None
    classes = len(trees.classes_)

    def predict(rows: Any) -> Any:
        answers = np.empty((len(rows), classes))
        score_rows(rows.ctypes.data, answers.ctypes.data, *rows.shape, classes)
        return answers

    return Contender(predict, [library], build, notes)


def autogluon(pair: Pair, folder: Path, asked: argparse.Namespace) -> Found:
    """AutoGluon's distill() of a predictor of its own that is of the teacher's kind."""
    from autogluon.tabular import TabularPredictor
    from autogluon_distill import TARGET, Ensemble, distilled, in_a_folder

    teacher = fitted(pair)
    found = Found({TEACHER: of_teacher(teacher, folder)})
    settings = {"forest": {"RF": {"n_estimators": 300}}, "lightgbm": {"GBM": {"num_boost_round": 200}}}[pair.name]
    for one in settings.values():
        one |= {"ag_args_fit": {"num_cpus": 1}}
    build: dict[str, float] = {}
    with clocked(build):
        predictor = TabularPredictor(TARGET, path=str(folder / "predictor"), verbosity=0).fit(
            pair.rows.assign(**{TARGET: pair.truth}),
            hyperparameters=settings,
            fit_weighted_ensemble=False,
            dynamic_stacking=False,
            num_cpus=1,
        )
    theirs = predictor.model_best
    students, took = distilled(predictor, "spunge", asked.distill_seconds)
    if not students:
        return Found(found.contenders, {"AutoGluon distill": took["failed"]})
    scores = predictor.leaderboard().set_index("model")["score_val"].to_dict()
    student = max(students, key=lambda one: scores[one])
    predictor.persist([theirs, student])
    for name, model, costs in ((f"AutoGluon's {theirs}", theirs, build), ("AutoGluon distill", student, took)):
        files = in_a_folder(predictor, model, folder / model)
        asking = Ensemble(predictor, model).predict_proba
        found.contenders[name] = Contender(asking, files, {"cpu_s": costs["cpu_s"]}, {"model": model})
    found.contenders["AutoGluon distill"].notes["students"] = {one: scores[one] for one in students}
    return found


def deepbridge(pair: Pair, folder: Path, asked: argparse.Namespace) -> Found:
    """deepbridge-distillation's KnowledgeDistillation of the teacher, on rows that the teacher has encoded."""
    from deepbridge.utils.model_registry import ModelType
    from deepbridge_distillation.techniques.knowledge_distillation import KnowledgeDistillation

    teacher = fitted(pair)
    first = teacher[:-1].transform
    found = Found({TEACHER: of_teacher(teacher, folder)})
    places = {value: place for place, value in enumerate(np.unique(pair.truth).tolist())}
    truth = np.array([places[one] for one in pair.truth.tolist()])
    build: dict[str, float] = {}
    try:
        with clocked(build), contextlib.redirect_stdout(None):
            student = KnowledgeDistillation(
                teacher_model=teacher[-1], student_model_type=ModelType.XGB, n_trials=10, random_state=pair.split
            ).fit(np.asarray(first(pair.rows)), truth, verbose=False)
            files = dumped(student.student_model, folder, "student")
        asking = lambda rows: student.predict_proba(np.asarray(first(rows)))  # noqa: E731
        asking(pair.rows.iloc[:2])
    except Exception as error:  # a rival that fails is a result
        return Found(found.contenders, {"deepbridge-distillation": errors(error)})
    found.contenders["deepbridge-distillation"] = Contender(asking, files, build, {"parameters": student.best_params})
    return found


def pytabkit(pair: Pair, folder: Path, asked: argparse.Namespace) -> Found:
    """RealMLP and TabM with their defaults, on the labels: networks that win on tables."""
    from pytabkit import RealMLP_TD_Classifier, TabM_D_Classifier

    found = Found({TEACHER: of_teacher(fitted(pair), folder)})
    for name, kind in (("RealMLP", RealMLP_TD_Classifier), ("TabM", TabM_D_Classifier)):
        build: dict[str, float] = {}
        try:
            with clocked(build), contextlib.redirect_stdout(None):
                net = kind(device="cpu", n_threads=1, random_state=pair.split).fit(pair.rows, pair.truth)
                files = dumped(net, folder, name)
            net.predict_proba(pair.rows.iloc[:2])
        except Exception as error:  # a rival that fails is a result
            found.failed[name] = errors(error)
            continue
        found.contenders[name] = Contender(net.predict_proba, files, build)
    return found


GROUPS: Mapping[str, tuple[Callable[[Pair, Path, argparse.Namespace], Found], Sequence[str]]] = {
    "attar": (ours, ("scikit-learn", "lightgbm", "pandas")),
    "trees": (compilers, ("scikit-learn", "lightgbm", "m2cgen", "hummingbird-ml", "onnxruntime", "torch")),
    "autogluon": (autogluon, ("scikit-learn", "lightgbm", "autogluon.tabular", "catboost")),
    "pytabkit": (pytabkit, ("scikit-learn", "lightgbm", "pytabkit", "torch")),
    "deepbridge": (deepbridge, ("scikit-learn", "lightgbm", "deepbridge", "deepbridge-distillation", "xgboost-cpu")),
}
"""What each group makes, and the packages whose versions matter. All but the first need an environment of their own."""


# -- one group on one pair ---------------------------------------------------------------------------------------------


def work(group: str, pair: Pair, stem: Path, asked: argparse.Namespace) -> None:
    """Make the contenders of a group, ask and time them, and write what was found beside ``stem``."""
    make, packages = GROUPS[group]
    with tempfile.TemporaryDirectory() as name:
        found = make(pair, Path(name), asked)
        answers = {each: np.asarray(one.predict(pair.test_rows)) for each, one in found.contenders.items()}
        summary: dict[str, Any] = {
            each: {**one.sizes(), "build": one.build, "notes": one.notes} for each, one in found.contenders.items()
        }
        raw: dict[str, Any] = {}
        rows = pair.test_rows.sample(max(BATCHES), replace=True, random_state=0)
        for batch in BATCHES:
            forms = {each: (lambda frame: frame, one.predict) for each, one in found.contenders.items() if each != NET}
            forms |= {f"{each}, {form}": way for (each, form), way in found.forms.items() if batch == 1 or form != DICT}
            runners = {each: Contender(_asking(*way, rows.iloc[:batch])) for each, way in forms.items()}
            timed, raw[f"batch {batch}"] = raced(runners, np.zeros((1, 1), np.float32), batch, asked.seconds, TEACHER)
            for each, latency in timed.items():
                summary.setdefault(each, {})[f"batch {batch}"] = latency
    document = {
        "contenders": summary,
        "failed": found.failed,
        "versions": {one: metadata.version(one) for one in packages},
        "load_average": os.getloadavg()[0],
        "raw": raw,
    }
    np.savez(stem.with_suffix(".npz"), **{each: one.astype(np.float64) for each, one in answers.items()})
    stem.with_suffix(".json").write_text(json.dumps(document))


def _asking(form: Ask, predict: Ask, rows: pd.DataFrame) -> Ask:
    """A call as a race makes it: whatever it is handed, these rows in that form."""
    given = form(rows)
    return lambda _: predict(given)


# -- all of them -------------------------------------------------------------------------------------------------------


def brought(group: str, pair: Pair, asked: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a group found, from its files or by letting it work: its document, and its answers by name."""
    stem = asked.raw / f"{pair.table.name}-{pair.name}-{pair.split}-{group}"
    python = dict([("attar", sys.executable), *(one.split("=", 1) for one in asked.python)]).get(group)
    if not stem.with_suffix(".json").exists():
        if python is None or asked.gather:
            why = "not run on this pair" if asked.gather else "no environment was given for it"
            return {"contenders": {}, "failed": {group: why}}, {}
        handed = [f"--seconds={asked.seconds}", f"--raw={asked.raw}"]
        handed += [f"--gcc-seconds={asked.gcc_seconds}", f"--distill-seconds={asked.distill_seconds}"]
        handed += ["--r-files", str(asked.r_files)] if asked.r_files else []
        which = ["--work", group, "--tables", pair.table.name, "--teachers", pair.name]
        with stem.with_suffix(".log").open("w") as log:
            done = subprocess.run([python, __file__, *which, *handed], stderr=log, check=False)
        print(f"{stem.name}: {'done' if done.returncode == 0 else 'failed'}", flush=True)
        if done.returncode:
            last = stem.with_suffix(".log").read_text().splitlines() or [f"ended with {done.returncode}"]
            return {"contenders": {}, "failed": {group: errors(RuntimeError(last[-1]))}}, {}
    with np.load(stem.with_suffix(".npz")) as answers:
        return json.loads(stem.with_suffix(".json").read_text()), dict(answers)


def compared(pair: Pair, asked: argparse.Namespace) -> dict[str, Any]:
    """All groups on one pair: figures on test rows, those beside the mimic's, and what each group measured."""
    documents, answers = {}, {}
    for group in GROUPS:
        documents[group], answers[group] = brought(group, pair, asked)
    places = {value: place for place, value in enumerate(np.unique(pair.truth).tolist())}
    truth = np.array([places[one] for one in pair.test_truth.tolist()])
    losses = {group: {name: pair.losses(one) for name, one in found.items()} for group, found in answers.items()}
    mimic = losses["attar"][MIMIC]
    for group, found in losses.items():
        for name, its in found.items():
            line = documents[group]["contenders"][name]
            beside = answers[group][TEACHER] if name != TEACHER else None
            line |= judged(answers[group][name], truth, beside, TEACHER) | {"log_loss": _mean(its["log_loss"])}
            if name != MIMIC:
                line["against_mimic"] = {
                    metric: {**_mean(one - mimic[metric]), "p_value": p_value(metric, one, mimic[metric])}
                    for metric, one in its.items()
                }
        if TEACHER in found and group != "attar":
            same = np.abs(answers[group][TEACHER] - answers["attar"][TEACHER]).max()
            documents[group]["contenders"][TEACHER]["differs_from_teacher_of_attar_by"] = float(same)
    about = {"table": pair.table.name, "teacher": pair.name, "split": pair.split}
    return about | {"train": len(pair.rows), "test": len(pair.test_rows), "groups": documents}


def _mean(values: Any) -> dict[str, Any]:
    """Mean of ``[rows]`` and its 95% interval."""
    mean, half = float(values.mean()), 1.96 * float(values.std(ddof=1)) / math.sqrt(len(values))
    return {"mean": mean, "interval": [mean - half, mean + half]}


def claims(pairs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Bytes and times beside the teacher's, and quality beside each rival's."""
    found = []
    for one in pairs:
        lines = one["groups"]["attar"]["contenders"]
        teacher, mimic = lines[TEACHER], lines[MIMIC]
        where = f"{one['table']}, {one['teacher']}"
        aim = 100.0 if one["teacher"] == "forest" else 1.0
        found.append(claim(f"{where}: times smaller", teacher["bytes"] / mimic["bytes"], aim, note=None))
        for batch, form in ((1, ""), (1, f", {DICT}"), (1000, "")):
            took = lines[f"{MIMIC}{form}"][f"batch {batch}"]["times_as_long_as_teacher"]
            if form:  # of the teacher asked in that form
                beside = lines[f"{TEACHER}{form}"][f"batch {batch}"]["times_as_long_as_teacher"]["ratio"]
            else:
                beside = 1.0
            low, high = took["interval"]
            words = f"{where}: times faster, {batch} row{'s' * (batch > 1)} from {form[2:] or 'a DataFrame'}"
            least = aim if batch == 1 else 1.0
            interval = [beside / high, beside / low]
            found.append(claim(words, beside / took["ratio"], least, interval=interval, note=None))
    for rival in RIVALS:
        lines = [
            {"mimic_bytes": one["groups"]["attar"]["contenders"][MIMIC]["bytes"], **document["contenders"][rival]}
            for one in pairs
            for document in one["groups"].values()
            if rival in document["contenders"]
        ]
        for metric in ("log_loss", "accuracy") if lines else ():
            found.append(_not_worse(rival, metric, lines))
    return found


def _not_worse(rival: str, metric: str, lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """In how many pairs the mimic is worse than a rival by more than chance."""
    apart = [one["against_mimic"][metric] for one in lines]
    sure = holm([one["p_value"] for one in apart])
    worse = sum(yes and one["mean"] < 0 for yes, one in zip(sure, apart, strict=True))
    sizes = [one["bytes"] / one["mimic_bytes"] for one in lines]
    words = (
        f"pairs of {len(lines)} in which the mimic is worse than {rival} ({min(sizes):.2g} to {max(sizes):.2g} times "
        f"its bytes) by more than chance, {metric}"
    )
    return claim(words, worse, 0, at_most=True, note=None)


def main() -> None:
    """Let each group work on each pair that it has not worked on, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", default="names,blobs,hastie")
    parser.add_argument("--teachers", default="forest,lightgbm")
    parser.add_argument("--python", action="append", default=[], metavar="GROUP=PATH", help="Python of an environment")
    parser.add_argument("--seconds", type=float, default=0.3, help="for each contender in each of four races")
    parser.add_argument("--gcc-seconds", type=int, default=120, help="CPU time for each call of gcc")
    parser.add_argument("--distill-seconds", type=float, default=40.0, help="wall time for AutoGluon's distill()")
    parser.add_argument("--r-files", type=Path, help="as of tables.py")
    parser.add_argument("--raw", type=Path, default=Path("tables_rivals"), help="folder for what each group found")
    parser.add_argument("--gather", action="store_true", help="make the result of what --raw holds, and run nothing")
    parser.add_argument("--out", type=Path, default=RESULTS / "tables_rivals.json")
    parser.add_argument("--work", choices=list(GROUPS), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    asked.raw.mkdir(parents=True, exist_ok=True)
    pairs = []
    for name in asked.tables.split(","):
        for teacher in asked.teachers.split(","):
            pair = Pair(load(name, asked.r_files), teacher, SPLIT)
            if asked.work:
                torch.set_num_threads(1)
                stem = asked.raw / f"{name}-{teacher}-{SPLIT}-{asked.work}"
                return work(asked.work, pair, stem, asked)
            pairs.append(compared(pair, asked))
    raw = [document.pop("raw", {}) for one in pairs for document in one["groups"].values()]
    settings = {name: getattr(asked, name) for name in ("seconds", "gcc_seconds", "distill_seconds")}
    settings |= {"threads": 1}
    path = write(asked.out, what=WHAT, seed=SPLIT, settings=settings, summary=pairs, claims=claims(pairs), raw=raw)
    for one in pairs:
        print(f"{one['table']}, {one['teacher']}")
        for document in one["groups"].values():
            for name, line in document["contenders"].items():
                print("  " + _shown(name, line))
            for name, why in document["failed"].items():
                print(f"  {name}: {why}")
    print(f"written to {path}")


def _shown(name: str, line: Mapping[str, Any]) -> str:
    """A contender in a line, times as shares of its teacher's."""
    shown = [f"{name:<40}"]
    if "accuracy" in line:
        shown.append(
            f"accuracy {line['accuracy']:.4f}  log-loss {line['log_loss']['mean']:.4f}  {line['bytes']:>10,} bytes"
        )
        shown.append(f"build {line['build'].get('cpu_s', 0):6.1f} s")
    for batch in BATCHES:
        timed = line.get(f"batch {batch}")
        if timed is not None:
            against = timed.get("times_as_long_as_teacher", {"ratio": 1.0})["ratio"]
            shown.append(f"batch {batch}: {timed['cpu_ms']:9.4f} ms, {1 / against:8.2f} times as fast")
    return "  ".join(shown)


if __name__ == "__main__":
    main()
