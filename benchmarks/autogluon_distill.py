"""AutoGluon's stack ensemble made small: by its own distill(), and by Attar's Mimic.

    python benchmarks/autogluon_distill.py      # needs AutoGluon, see README.md; up to half an hour
    python benchmarks/autogluon_distill.py --data breast-cancer --fit-seconds 30 --distill-seconds 30 --out ag.json

Both have the same teacher and the same training rows, and are judged on the same test rows, which are read once.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from autogluon.tabular import TabularPredictor
from forest import BARE, MIMIC, Contender, clocked, errors, judged, mimic, raced
from numpy.typing import NDArray
from result import RESULTS, write
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

DATA = {"digits": (load_digits, 540), "breast-cancer": (load_breast_cancer, 171)}
FAMILIES = ("GBM", "CAT", "RF", "XT", "NN_TORCH")
STUDENTS = ("GBM", "CAT", "RF", "NN_TORCH")
"""Those that distill() can train."""
FOLDS = 5
TARGET = "target"
TEACHER = "ensemble"
FRAME = "attar mimic, from a DataFrame"

WHAT = (
    "AutoGluon's bagged and stacked ensemble on two data sets of scikit-learn, and what is made of it: by its own "
    "distill() with augment_method 'spunge' and 'munge', and by Attar's Mimic (MUNGE, one hidden layer, deployed to "
    "ONNX Runtime), which is given no labels. 'distill onehot' is distill(teacher_preds='onehot'): the same students "
    "on the labels alone, without a teacher. 'without_teacher' is scikit-learn's MLPClassifier as wide as the mimic on "
    "the training rows and their labels. 'best_student' of a method is the one that AutoGluon's own validation score "
    "prefers. Accuracy (Wilson's 95% interval) and agreement with the ensemble are on test rows, read once; p-values "
    "are McNemar's exact. Latencies are milliseconds per call of one thread, models kept in memory (persist), all "
    "contenders in turns in one process, by CPU time and by wall time; 'times_as_long_as_mimic' is by CPU time. All "
    "are handed one array, of which AutoGluon is given a DataFrame, whose making is timed with it; 'from a DataFrame' "
    "is the mimic asked in that way. Bytes are those of the folder that clone_for_deployment writes for the model "
    "alone, or of the mimic's files. The students of a method are made in one call of distill(), whose time is given "
    "under 'methods'. Time limits count wall time and other work was on the machine: the CPU seconds say how much work "
    "was really done."
)

Rows = NDArray[np.float32]


class Ensemble:
    """The fitted predictor as scikit-learn has classifiers."""

    def __init__(self, predictor: TabularPredictor, model: str) -> None:
        self.predictor = predictor
        self.model = model
        self.classes_ = np.array(predictor.class_labels)

    def predict_proba(self, rows: pd.DataFrame) -> NDArray[Any]:
        """``[rows, classes]``, in the order of ``classes_``."""
        said = self.predictor.predict_proba(rows, model=self.model)
        return said[list(self.classes_)].to_numpy()


def families(names: tuple[str, ...], most_seconds: float | None = None) -> dict[str, dict[str, Any]]:
    """Models by family on one core; ``most_seconds`` keeps the first of them from using up all the time."""
    limit = {} if most_seconds is None else {"max_time_limit": most_seconds}
    return {name: {"ag_args_fit": {"num_cpus": 1} | limit} for name in names}


def distilled(predictor: TabularPredictor, method: str, seconds: float) -> tuple[list[str], dict[str, Any]]:
    """The students that one method gives, and what it took or why it failed."""
    how = {"teacher_preds": "onehot"} if method == "onehot" else {"augment_method": method}
    took: dict[str, Any] = {}
    names: list[str] = []
    try:
        with clocked(took):
            names = predictor.distill(
                time_limit=seconds,
                hyperparameters=families(STUDENTS, seconds / len(STUDENTS)),
                models_name_suffix=method,
                verbosity=1,
                **how,
            )
    except Exception as error:  # a rival that fails is a result
        return [], {"failed": errors(error)}
    return names, took | {"students": names}


def in_a_folder(predictor: TabularPredictor, model: str, folder: Path) -> list[Path]:
    """The files of one model, as AutoGluon cuts them out for deployment."""
    logging.disable(logging.WARNING)  # a line for each model that is left out
    predictor.clone_for_deployment(str(folder), model=model)
    logging.disable(logging.NOTSET)
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def compared(name: str, asked: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """All contenders on one data set: summary and raw rounds."""
    loader, count = DATA[name]
    given, labels = loader(return_X_y=True)
    named = [f"column {place}" for place in range(given.shape[1])]
    split = train_test_split(
        given.astype(np.float32), labels, test_size=count, stratify=labels, random_state=asked.seed
    )
    train, test, train_labels, test_labels = split

    def frame(rows: Rows) -> pd.DataFrame:
        return pd.DataFrame(rows, columns=named)

    def asking(predictor: TabularPredictor, model: str) -> Callable[[Rows], NDArray[Any]]:
        ensemble = Ensemble(predictor, model)
        return lambda rows: ensemble.predict_proba(frame(rows))

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        fitting: dict[str, Any] = {}
        with clocked(fitting):
            predictor = TabularPredictor(TARGET, path=str(folder / "predictor"), verbosity=1).fit(
                frame(train).assign(**{TARGET: train_labels}),
                time_limit=asked.fit_seconds,
                hyperparameters=families(FAMILIES),
                num_bag_folds=FOLDS,
                num_stack_levels=1,
                dynamic_stacking=False,
                num_cpus=1,
            )
        teacher = predictor.model_best
        print(f"{name}: {teacher} of {predictor.model_names()} in {fitting}", flush=True)
        # munge first, since it should not matter to it what else was distilled; the teacher must stay the same.
        methods, students = {}, {}
        for method in ("munge", "onehot", "spunge"):
            found, methods[f"distill {method}"] = distilled(predictor, method, asked.distill_seconds)
            students |= {student: f"distill {method}" for student in found}
            print(f"  {method}: {methods[f'distill {method}']}", flush=True)
            if predictor.model_best != teacher:
                methods[f"distill {method}"]["note"] = f"from here on AutoGluon prefers {predictor.model_best}"
        scores = predictor.leaderboard().set_index("model")["score_val"].to_dict()
        for method, said in methods.items():
            of_it = [student for student in students if students[student] == method]
            if of_it:
                said["best_student"] = max(of_it, key=lambda student: scores[student])
        predictor.persist([teacher, *students])
        contenders = {
            TEACHER: Contender(asking(predictor, teacher), in_a_folder(predictor, teacher, folder / "of teacher")),
            **{
                student: Contender(asking(predictor, student), in_a_folder(predictor, student, folder / student))
                for student in students
            },
        }
        if not asked.without_mimic:
            how = {"rows": asked.rows, "p": 0.5, "s": 1.0}
            ours = mimic(Ensemble(predictor, teacher), frame(train), folder / "mimic", asked.width, asked.seed, **how)
            print(f"  {MIMIC}: {ours.build}", flush=True)
            artifact = ours.notes["artifact"]
            contenders[MIMIC] = ours
            contenders[FRAME] = replace(ours, predict=lambda rows: artifact.predict_proba(frame(rows)))
            contenders[BARE] = replace(ours, predict=artifact.open(threads=1))
            methods[MIMIC] = ours.build | {"report": ours.notes["report"]}
        plain = make_pipeline(StandardScaler(), MLPClassifier((asked.width,), max_iter=300, random_state=asked.seed))
        plain.fit(train, train_labels)

        reference = contenders[TEACHER].predict(test)
        summary: dict[str, Any] = {}
        for each, contender in contenders.items():
            beside = None if each == TEACHER else reference
            judgement = {} if each in (FRAME, BARE) else judged(contender.predict(test), test_labels, beside, TEACHER)
            summary[each] = {"by": students.get(each), "score_val": scores.get(each), **judgement, **contender.sizes()}
        raw: dict[str, Any] = {}
        for batch in (1, len(train)):
            latencies, raw[f"batch {batch}"] = raced(contenders, train, batch, asked.seconds)
            for each, latency in latencies.items():
                summary[each][f"batch {batch}"] = latency
    for each, line in summary.items():
        accuracy, size = line.get("accuracy", float("nan")), line["bytes"]
        print(f"  {each:<34} accuracy {accuracy:.4f}  {size:>10,} bytes  {line['batch 1']['cpu_ms']:9.4f} ms")
    return {
        "rows": {"train": len(train), "test": len(test)},
        "teacher": {"model": teacher, "models": len(predictor.model_names()), "fit": fitting},
        "methods": methods,
        "contenders": summary,
        "without_teacher": judged(plain.predict_proba(test), test_labels, reference, TEACHER),
    }, raw


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=list(DATA))
    parser.add_argument("--fit-seconds", type=float, default=120.0, help="wall time for AutoGluon's fit")
    parser.add_argument("--distill-seconds", type=float, default=120.0, help="wall time for each call of distill()")
    parser.add_argument("--rows", type=int, default=10_000, help="synthetic rows of the mimic")
    parser.add_argument("--width", type=int, default=256, help="hidden units of the mimic")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each contender in each of four races")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without-mimic", action="store_true", help="the rivals alone")
    parser.add_argument("--out", type=Path, default=RESULTS / "autogluon_distill.json")
    asked = parser.parse_args()
    before = os.getloadavg()[0]
    found = {name: compared(name, asked) for name in asked.data}
    path = write(
        asked.out,
        what=WHAT,
        seed=asked.seed,
        packages=("autogluon.tabular", "lightgbm", "catboost", "scikit-learn", "pandas"),
        settings={
            "families": list(FAMILIES),
            "students": list(STUDENTS),
            "folds": FOLDS,
            "stack_levels": 1,
            "fit_seconds": asked.fit_seconds,
            "distill_seconds": asked.distill_seconds,
            "mimic": {"rows": asked.rows, "width": asked.width, "p": 0.5, "s": 1.0},
            "seconds": asked.seconds,
            "threads": 1,
            "load_average": {"before": before, "after": os.getloadavg()[0]},
        },
        summary={name: summary for name, (summary, _) in found.items()},
        raw={name: raw for name, (_, raw) in found.items()},
    )
    print(f"written to {path}")


if __name__ == "__main__":
    main()
