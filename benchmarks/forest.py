"""A random forest made fast: compiled by Hummingbird, TL2cgen, treelite and skl2onnx, or imitated by Attar's Mimic.

    python benchmarks/forest.py             # needs the compilers, see README.md; gcc alone takes some minutes
    python benchmarks/forest.py --trees 20 --seconds 0.3 --out quick.json

A compiler keeps what the forest says and can only make it faster; a mimic says something slightly else, in another
form. So all of them are judged on the same test rows, which are read once, and timed in turns in one process on one
thread.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import resource
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import joblib
import numpy as np
from numpy.typing import NDArray
from result import RESULTS, write
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from attar.evidence.compare import mcnemar
from attar.evidence.latency import race
from attar.tasks.intervals import wilson

WIDTHS = (64, 256)
MUNGE = {"p": 0.5, "s": 1.0}
"""How the mimic's rows are made up; not tuned."""
TEST, VALIDATION = 540, 257
MIMIC, BARE = "attar mimic", "attar mimic, bare runner"

WHAT = (
    "A random forest on scikit-learn's digits (1,797 rows of 64 numbers, 10 classes), fitted on the training rows, and "
    "what is made of it. 'accuracy' with Wilson's 95% interval and 'agrees_with_forest' are on the test rows, read "
    "once; 'p_value_against_forest' is McNemar's exact test. Latencies are milliseconds per call of one thread, all "
    "contenders in turns in one process (attar.evidence.latency.race), once by the clock of the process's CPU time and "
    "once by wall time; on a machine with other work CPU time is the one to read. 'times_as_long_as_mimic' is the "
    "median over rounds of the ratio within a round, with its 95% interval, of CPU time. Every contender gives "
    f"probabilities, but for '{BARE}', the same file without the library's checks and the softmax. 'bytes' is what "
    "each library writes, 'deflated_bytes' the same files under zlib (a zip that is one already hardly shrinks). "
    "'build' is from the fitted forest to those files, gcc's processes included. The width of the mimic was chosen on "
    "validation rows (accuracy, then agreement with the forest, then size); the others are reported under 'widths'. "
    "The mimic never saw a label but through the forest; the network 'without_teacher' is scikit-learn's MLPClassifier "
    "of the same width on the training rows and their labels, which is judged but not timed."
)

Rows = NDArray[np.float32]
Predict = Callable[[Rows], NDArray[Any]]
"""Probabilities ``[rows, classes]``."""


@dataclass
class Contender:
    """Something that answers, the files that it consists of, and what making them took."""

    predict: Predict
    files: list[Path] = field(default_factory=list)
    build: dict[str, float] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    def sizes(self) -> dict[str, int]:
        """Bytes as written, and after zlib."""
        contents = [path.read_bytes() for path in self.files]
        return {"bytes": sum(map(len, contents)), "deflated_bytes": sum(len(zlib.compress(each)) for each in contents)}


@contextlib.contextmanager
def clocked(into: dict[str, float]) -> Iterator[None]:
    """Wall seconds, and CPU seconds of this process and of those that it waited for."""

    def cpu() -> float:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(each.ru_utime + each.ru_stime for each in used)

    wall, spent = time.perf_counter(), cpu()
    yield
    into |= {"wall_s": time.perf_counter() - wall, "cpu_s": cpu() - spent}


def judged(
    said: NDArray[Any], truth: NDArray[Any], reference: NDArray[Any] | None = None, name: str = "forest"
) -> dict[str, Any]:
    """Accuracy of probabilities with its interval and, beside a reference, how the two differ."""
    right = said.argmax(1) == truth
    found = {"accuracy": float(right.mean()), "interval": list(wilson(int(right.sum()), len(truth))), "n": len(truth)}
    if reference is not None:
        found |= {
            f"agrees_with_{name}": float((said.argmax(1) == reference.argmax(1)).mean()),
            f"largest_difference_from_{name}": float(np.abs(said - reference).max()),
            f"p_value_against_{name}": mcnemar(right, reference.argmax(1) == truth).p_value,
        }
    return found


def raced(
    contenders: Mapping[str, Contender], example: Rows, batch: int, seconds: float, against: str = MIMIC
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Latencies by both clocks: a summary for each contender, and the raw rounds."""
    ratio = f"times_as_long_as_{against.removeprefix('attar ')}"
    runners = {name: each.predict for name, each in contenders.items()}
    summary: dict[str, Any] = {name: {} for name in runners}
    raw: dict[str, Any] = {}
    for clock, tick in {"cpu": time.process_time, "wall": time.perf_counter}.items():
        found = race(runners, example, batch, seconds=seconds, rounds=20, clock=tick)
        for name, latency in found.latencies.items():
            summary[name] |= {f"{clock}_ms": latency.median_ms, f"{clock}_p90_ms": latency.p90_ms}
            if clock == "cpu" and against in runners and name != against:
                summary[name][ratio] = found.ratio(name, against).to_json()
        raw[clock] = {name: np.round(rounds, 5).tolist() for name, rounds in found.rounds_ms.items()}
    return summary, raw


def hummingbird(forest: RandomForestClassifier, backend: str, example: Rows, folder: Path) -> Contender:
    """Hummingbird's tensors for trees. Its ONNX export predates torch's new exporter, so it is given the old one."""
    import torch
    from hummingbird import ml

    former = torch.onnx.export
    torch.onnx.export = functools.partial(former, dynamo=False)
    build: dict[str, float] = {}
    try:
        with clocked(build), contextlib.redirect_stdout(None):
            model = ml.convert(forest, backend, example, extra_config={"n_threads": 1})
            model.save(str(folder / backend))
    finally:
        torch.onnx.export = former
    model = ml.load(str(folder / backend), override_flag=True)
    return Contender(model.predict_proba, [folder / f"{backend}.zip"], build)


def treelite_model(forest: RandomForestClassifier) -> Any:
    """The forest as treelite reads it."""
    import treelite

    return treelite.sklearn.import_model(forest)


def gtil(forest: RandomForestClassifier, folder: Path) -> Contender:
    """treelite's own interpreter of trees."""
    import treelite

    build: dict[str, float] = {}
    with clocked(build):
        model = treelite_model(forest)
        model.serialize(folder / "forest.treelite")

    def predict(rows: Rows) -> NDArray[Any]:
        return treelite.gtil.predict(model, rows, nthread=1).reshape(len(rows), -1)

    return Contender(predict, [folder / "forest.treelite"], build)


def tl2cgen(forest: RandomForestClassifier, folder: Path, parts: int) -> Contender:
    """Trees as C, compiled by gcc with TL2cgen's options (-O3), in as many source files as there are parts."""
    import tl2cgen

    library = folder / "forest.so"
    build: dict[str, float] = {}
    with clocked(build):
        model = treelite_model(forest)
        tl2cgen.export_lib(model, "gcc", library, params={"parallel_comp": parts}, nthread=os.cpu_count())
    predictor = tl2cgen.Predictor(library, nthread=1)

    def predict(rows: Rows) -> NDArray[Any]:
        return predictor.predict(tl2cgen.DMatrix(rows)).reshape(len(rows), -1)

    return Contender(predict, [library], build, {"parallel_comp": parts, "gcc_at_once": os.cpu_count()})


def skl2onnx(forest: RandomForestClassifier, example: Rows, folder: Path) -> Contender:
    """The forest as ONNX's operator for trees, in ONNX Runtime."""
    import onnxruntime
    from skl2onnx import to_onnx

    path = folder / "forest.onnx"
    build: dict[str, float] = {}
    with clocked(build):
        path.write_bytes(to_onnx(forest, example, options={id(forest): {"zipmap": False}}).SerializeToString())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    takes = session.get_inputs()[0].name
    return Contender(lambda rows: session.run(["probabilities"], {takes: rows})[0], [path], build)


def mimic(teacher: Any, table: Any, folder: Path, width: int, seed: int, **how: Any) -> Contender:
    """Attar's network that imitates the teacher, deployed to ONNX Runtime and read back.

    Args:
        teacher: Fitted.
        table: Training rows; labels are not given.
        folder: Where to write.
        width: Of the one hidden layer.
        seed: Of the fit.
        how: Further parameters of `Mimic`.
    """
    import attar
    from attar.estimators.mimic import Mimic

    build: dict[str, float] = {}
    with clocked(build):
        fitted = Mimic(teacher, hidden=(width,), random_state=seed, **how).fit(table)
        fitted.save(folder)
    artifact = attar.load(folder)
    files = [artifact.folder / name for name in (*artifact.files, "manifest.json")]
    return Contender(artifact.predict_proba, files, build, {"report": fitted.report_.to_json(), "artifact": artifact})


def errors(error: Exception) -> str:
    """Kind and first line of an error, without paths."""
    first = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {' '.join(word for word in first.split() if '/' not in word)}"[:300]


def compiled(
    forest: RandomForestClassifier, example: Rows, folder: Path, parts: int
) -> tuple[dict[str, Contender], dict[str, str]]:
    """All compilers, and what went wrong with those that failed."""
    recipes: dict[str, Callable[[], Contender]] = {
        **{
            f"hummingbird {backend}": functools.partial(hummingbird, forest, backend, example, folder)
            for backend in ("torch", "torch.jit", "onnx")
        },
        "treelite gtil": functools.partial(gtil, forest, folder),
        "skl2onnx": functools.partial(skl2onnx, forest, example, folder),
        "tl2cgen": functools.partial(tl2cgen, forest, folder, parts),
    }
    found, failed = {}, {}
    for name, make in recipes.items():
        try:
            found[name] = make()
            found[name].predict(example)
        except Exception as error:  # a rival that fails is a result
            found.pop(name, None)
            failed[name] = errors(error)
        print(f"  {name}: {failed.get(name) or found[name].build}", flush=True)
    return found, failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trees", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each contender in each of four races")
    parser.add_argument("--parts", type=int, default=50, help="source files that TL2cgen divides the trees into")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without-mimic", action="store_true", help="the compilers alone")
    parser.add_argument("--out", type=Path, default=RESULTS / "forest.json")
    asked = parser.parse_args()
    before = os.getloadavg()[0]

    rows, labels = load_digits(return_X_y=True)
    rows = rows.astype(np.float32)
    split = functools.partial(train_test_split, random_state=asked.seed)
    rest, test, rest_labels, test_labels = split(rows, labels, test_size=TEST, stratify=labels)
    train, val, train_labels, val_labels = split(rest, rest_labels, test_size=VALIDATION, stratify=rest_labels)

    forest = RandomForestClassifier(asked.trees, random_state=asked.seed, n_jobs=1).fit(train, train_labels)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        joblib.dump(forest, folder / "forest.joblib")
        contenders = {"forest": Contender(forest.predict_proba, [folder / "forest.joblib"])}
        found, failed = compiled(forest, train[:1], folder, asked.parts)
        contenders |= found
        widths = () if asked.without_mimic else WIDTHS
        mimics = {
            width: mimic(forest, train, folder / f"mimic-{width}", width, asked.seed, **MUNGE) for width in widths
        }
        chances = {
            width: judged(each.predict(val), val_labels, forest.predict_proba(val)) for width, each in mimics.items()
        }
        width = max(
            widths,
            key=lambda each: (chances[each]["accuracy"], chances[each]["agrees_with_forest"], -each),
            default=WIDTHS[-1],
        )
        if mimics:
            chosen = mimics[width]
            contenders |= {MIMIC: chosen, BARE: replace(chosen, predict=chosen.notes["artifact"].open(threads=1))}
        plain = make_pipeline(StandardScaler(), MLPClassifier((width,), max_iter=300, random_state=asked.seed))
        plain.fit(train, train_labels)

        said = forest.predict_proba(test)
        summary: dict[str, Any] = {}
        for name, each in contenders.items():
            beside = None if name == "forest" else said
            judgement = {} if name == BARE else judged(each.predict(test), test_labels, beside)
            summary[name] = {**judgement, **each.sizes(), "build": each.build}
        raw: dict[str, Any] = {}
        for batch in (1, len(train)):
            latencies, raw[f"batch {batch}"] = raced(contenders, train, batch, asked.seconds)
            for name, latency in latencies.items():
                summary[name][f"batch {batch}"] = latency
        by_width = {
            str(each): {
                "validation": chances[each],
                "test": judged(made.predict(test), test_labels, said),
                **made.sizes(),
                "build": made.build,
                "report": made.notes["report"],
            }
            for each, made in mimics.items()
        }
        notes = {name: each.notes for name, each in found.items() if each.notes}
    path = write(
        asked.out,
        what=WHAT,
        seed=asked.seed,
        packages=("scikit-learn", "hummingbird-ml", "treelite", "tl2cgen", "skl2onnx", "onnxconverter-common"),
        settings={
            "trees": asked.trees,
            "rows": {"train": len(train), "validation": len(val), "test": len(test)},
            "mimic": {"widths": list(WIDTHS), **MUNGE},
            "seconds": asked.seconds,
            "threads": 1,
            "notes": notes | {"hummingbird onnx": {"torch.onnx.export": "dynamo=False"}},
            "load_average": {"before": before, "after": os.getloadavg()[0]},
        },
        summary={
            "width": width,
            "contenders": summary,
            "failed": failed,
            "widths": by_width,
            "without_teacher": judged(plain.predict_proba(test), test_labels, said),
        },
        raw=raw,
    )
    for name, line in summary.items():
        print(f"{name:<26} accuracy {line.get('accuracy', float('nan')):.4f}  {line['bytes']:>9,} bytes", end="")
        for batch in (1, len(train)):
            print(f"  batch {batch}: {line[f'batch {batch}']['cpu_ms']:9.4f} ms", end="")
        print(f"  build {line['build'].get('cpu_s', 0):7.1f} s")
    print(f"written to {path}")


if __name__ == "__main__":
    main()
