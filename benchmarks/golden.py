"""Do two states of the code come to the same figures? Shrunk recipes are run with each, and all figures compared.

    python benchmarks/golden.py write --out old.json --src ../before/src    # a checkout's src; by default this one's
    python benchmarks/golden.py compare old.json new.json                   # exit code 1 where a figure differs
    python benchmarks/golden.py against main~3                              # a commit, checked out beside, and this one

Figures belong to a processor and its libraries, so both are written on one machine. Each recipe runs in a process of
its own, on one thread, with a clock that ticks at every look, so that no choice depends on how busy the machine is.
What is renamed between the two goes into `RENAMED`, what has to change into `EXPECTED`. A figure's name is its place,
``digits.models[onnxruntime fp32].quality.accuracy``; elements of a list go by their name where they have one.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

# -- what changes between two states of the code -----------------------------------------------------------------------

RENAMED: dict[str, str] = {
    "control": "baseline",
    "corrected": "bias_correction",
    "corrected.controls": "bias_correction.baselines",
    "corrected.seeds": "bias_correction.students",
    "distil": "distill",
    "start_at": "init",
    "targets.codes": "targets.dtype",
}
"""Old name to new name: a word (``control``), or several that follow each other (``targets.codes``).

Holds for names of figures and values that are names, of both files, and for keys of `RECIPES` that a checkout does not
know. A word is renamed wherever it stands alone: ``control`` in ``curves.control/0/3-distil`` too.
"""

EXPECTED: dict[str, str] = {
    r".*\.(met|budget\b.*)": "what became of the budget has another form",
    r".*\.targets\.(size_bytes|bytes_per_example)": "shard is a longer word than part, in the manifest of a store",
    r".*\.panels\b.*": "panels are what the page shows, and no figures of their own",
    r"scheme-.*quantize.*": "a network that no teacher took part in is quantized once, for student and baseline",
    r"absent\.(steps|weights).*": "correcting biases is a step of its own, with figures and a model",
    r".*packed.*size_bytes|.*files.*packed.*|.*ratios\.smaller.*": "the index of packed files is some bytes shorter",
    r".*\.task\.(use|metrics.*)": "the task says what outputs mean, and by what models are judged",
    r".*\.(choose_by|validation_rmse)": "scores are computed in float64, and brier is chosen by as rmse",
    r".*\.format\.trains": "what is trained of a codebook is called codebook, and no longer points",
}
"""Figures that differ on purpose, as a pattern of `re.fullmatch` on the new name, and why. Empty again once landed."""

LEFT_OUT = {
    r"recipe\b.*|asked\b.*|command|name|attar|allow": "what was asked and typed, no figure",
    r"created": "the date",
    r"machine\b.*": "the machine and its versions",
    r"checksum": "of all the other keys, these among them",
    r"artifact|how_to_load|task\.(data|source)": "where something lies",
    r"stages\b.*": "what was done, and how long it took",
    r"(.*[._])?seconds(_per_1000)?\b.*": "timings",
    r"models\[.*?\]\.latency\b.*|ratios\.faster_batch\d+\b.*": "timings",
    r"models\[.*?\]\.peak_memory_bytes": "memory, which is not measured here",
    r"panels\b.*": "what the page shows of all the other figures, timings among them",
    r"examples\[\d+\]\.image\b.*": "pixels by the thousand, of what training sees: weights tell of them",
    r"why|(.*\.)?sentence|budget\.asked": "prose, whose words are free",
    r"budget\.limits\[0\]\.(what|asked|reached|on_test)": "prose, whose words are free",
    r"budget\.limits\[[1-9]\]\..*": "sizes and times, which stand elsewhere",
}
"""Patterns of names of figures that are not written, and why."""

LEFT_OUT_OF = {
    "letter": {
        r"models\[(teacher python|best single model.*)\]\.size_bytes|selection\.library_bytes": "compressed files of "
        "scikit-learn's models hold numbers of objects in memory, and differ by some bytes from run to run",
        r"ratios\.smaller": "follows from these bytes",
    }
}
"""The same for one of `RECIPES` alone."""

COUNTED = {
    r"alerts|warnings": "sentences, whose words are free",
    r"models\[.*?\]\.refused": "a sentence or nothing",
}
"""Patterns of names of which is written only how many there are, and why."""

# -- what is run -------------------------------------------------------------------------------------------------------

Change = str | tuple[str, ...]
"""A change of a recipe, as of ``--set``; or several ways to say it, of which the first counts that is understood."""

ANY_LOSS: Change = ("budget.quality_loss=100%", "budget.accuracy_loss=1")
ANY_SIZE: Change = ("budget.bytes=1000x", "budget.smaller=0.001")
ANY_TIME: Change = ("budget.latency=1000x", "budget.faster=0.001")
SHORT: tuple[Change, ...] = (
    "threads=1",
    "teacher.training.epochs=6",
    "teacher.training.batch_size=32",
    "teacher.views.count=2",
    "transfer.views.count=2",
    "student.training.epochs=6",
    "student.training.batch_size=32",
    "student.seeds=2",
    "artifacts.seconds=0.02",
    ANY_LOSS,
)
TINY: tuple[Change, ...] = (
    "teacher.network.arguments.widths=[8, 8, 16, 16]",
    "teacher.network.arguments.hidden=[16]",
    "student.network.arguments.widths=[4, 8, 8, 16]",
    "student.network.arguments.hidden=[12]",
)
GLYPHS: tuple[Change, ...] = (
    *TINY,
    "data.use=PICTURES16",
    "teacher.network.arguments.classes=10",
    "student.network.arguments.classes=10",
)
LOW_BITS: tuple[Change, ...] = ("data.use=PICTURES28", *TINY)
TORCH = "artifacts.runtimes=['torch']"
BOTH = "artifacts.runtimes=['torch', 'onnxruntime']"
"""Exports to ONNX are most of what this takes, so not every recipe makes them."""

RECIPES: dict[str, tuple[str, tuple[Change, ...]]] = {
    "digits": (
        "digits",
        (
            *SHORT,
            "data.limit=300",
            "teacher.members=2",
            "student.training.epochs=12",
            BOTH,
            ANY_SIZE,
            ANY_TIME,
        ),
    ),
    "letter": (
        "papers/model-compression-2006/letter.p1",
        (
            "threads=1",
            "student.training.epochs=4",
            "student.seeds=2",
            "data.limit=400",
            "teacher.library.families=['tree', 'logistic', 'mlp']",
            "teacher.library.bags=2",
            "teacher.library.max_steps=3",
            "transfer.synthesis.rows=600",
            "student.network.arguments.hidden=[8]",
            TORCH,
            "artifacts.int8=false",
            "artifacts.seconds=0.02",
            ANY_LOSS,
            ANY_SIZE,
            ANY_TIME,
        ),
    ),
    "points": (
        "papers/quantization-2018/points",
        (
            *SHORT,
            *LOW_BITS,
            BOTH,
            "teacher.members=2",
            "student.steps.1.weights.bits=2",
            "student.steps.2.training.epochs=2",
        ),
    ),
    "scheme-a": ("papers/apprentice-2017/scheme-a", (*SHORT, *LOW_BITS, TORCH)),
    "scheme-c": (
        "papers/apprentice-2017/scheme-c",
        (*SHORT, *LOW_BITS, TORCH, "teacher.members=1", "student.steps.2.training.epochs=2"),
    ),
    "absent": (
        "papers/distillation-2015/perceptron",
        (
            *SHORT,
            "data.use=PICTURES28",
            TORCH,
            "teacher.network.arguments.hidden=[16]",
            "student.network.arguments.hidden=[12]",
            "transfer.without=['Dress']",
            ("student.shift_absent=true", "student.steps=[{use='distill'}, {use='correct'}]"),
        ),
    ),
    "specialists": (
        "papers/distillation-2015/specialists",
        (
            *SHORT,
            *GLYPHS,
            "teacher.specialists.clusters=2",
            "teacher.specialists.set_size=4",
            "teacher.specialists.training.epochs=2",
        ),
    ),
    "glyphs": (
        "papers/distillation-2015/glyphs",
        (*SHORT, *GLYPHS, ANY_SIZE, "artifacts.runtimes=['openvino']"),
    ),
}
"""What a run is called here, the shipped recipe, and how it is shrunk. Pictures are made up: see `pictures`."""

NAMED = ("t-shirt", "trouser", "pullover", "Dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")

HURRIED: dict[tuple[str, ...], Any] = {
    ("peak_memory",): lambda *_, **__: 123_456,  # measured in fresh interpreters, which take seconds each
    ("_TUNING_STEPS", "TUNING_STEPS"): 20,  # of the dozen trainings that choose the settings of a synthesis
}
"""What would take long is replaced, in every module that has it: its names, old and new, and what takes its place."""

WORK = ("nodes", "stages")
"""The folder of a run in which trained networks lie, new name and old."""

TICK = 2**-10
"""Seconds between two looks at the clock: a power of two, so that differences are the same everywhere."""


def pictures(path: Path, side: int) -> None:
    """Pictures of the form of data that need not be here: ten classes, each a noisy patch among much noise."""
    import numpy as np

    draws = np.random.default_rng(0)
    y = np.arange(600) % 10
    patches = draws.integers(0, 120, size=(10, side, side))
    x = (patches[y] + draws.integers(0, 136, size=(600, side, side))).astype("uint8")
    np.savez(path, x=x, y=y, classes=np.array(NAMED))


# -- one run, in a process of its own ----------------------------------------------------------------------------------


def steady() -> None:
    """A clock that ticks at every look: before Attar is imported, which binds it."""
    ticks = itertools.count()
    time.perf_counter = lambda: next(ticks) * TICK


def hurry() -> None:
    """Put `HURRIED` in place."""
    import attar

    _ = attar.compress  # imports all that a run calls
    modules = [module for name, module in sorted(sys.modules.items()) if name.split(".")[0] == "attar"]
    for names, stand_in in HURRIED.items():
        places = [(module, name) for module in modules for name in names if name in vars(module)]
        if not places:
            raise SystemExit(f"No module that a run imports has {' or '.join(names)}; correct HURRIED.")
        for module, name in places:
            setattr(module, name, stand_in)


def spellings(change: Change) -> Iterator[str]:
    """The ways to say a change: as it stands here, and with the new names."""
    for one in (change,) if isinstance(change, str) else change:
        key, _, value = one.partition("=")
        yield one
        if renamed(key) != key:
            yield f"{renamed(key)}={value}"


def understood(name: str, changes: Sequence[Change]) -> Any:
    """The shrunk recipe, each change in the first spelling that the checkout takes."""
    import attar

    taken: list[str] = []
    for change in changes:
        refusals = []
        for spelling in spellings(change):
            try:
                attar.read_recipe(name, [*taken, spelling])
            except attar.BadInput as error:
                refusals.append(str(error))
            else:
                taken.append(spelling)
                break
        else:
            raise SystemExit(f"{name} takes no spelling of {change!r}; extend RENAMED or RECIPES.\n{refusals[-1]}")
    return attar.read_recipe(name, taken)


def run(key: str, folder: Path, src: Path) -> dict[str, Any]:
    """Run one of `RECIPES` in a folder that is there, with the code in ``src``; its figures."""
    steady()
    hurry()
    import attar

    if not Path(str(attar.__file__)).is_relative_to(src):
        raise SystemExit(f"attar was imported from {attar.__file__}, not from {src}.")
    name, changes = RECIPES[key]
    for side in (16, 28):
        pictures(folder / f"{side}.npz", side)
    placed = [
        re.sub(r"PICTURES(\d+)", lambda side: f"'{folder}/{side[1]}.npz'", change)
        if isinstance(change, str)
        else change
        for change in changes
    ]
    out = folder / "run"
    attar.compress(understood(name, placed), out)
    evidence = json.loads((out / "evidence.json").read_text(encoding="utf-8"))
    found = {name: value for name, value in figures(evidence).items() if not fits(name, LEFT_OUT_OF.get(key, {}))}
    return {**found, **dict(weights(out)), **dict(sizes(out / "artifact"))}


def weights(out: Path) -> Iterator[tuple[str, str]]:
    """A digest of every trained network: of its tensors, whatever they are called."""
    from safetensors.numpy import load_file

    work = next((out / name for name in WORK if (out / name).is_dir()), None)
    if work is None:
        raise SystemExit(f"The run has no folder {' or '.join(WORK)}; correct WORK.")
    for file in sorted(work.rglob("*.safetensors")):
        place = file.relative_to(work)
        if place.parts[0] == "artifacts":
            continue
        tensors = load_file(file).values()
        parts = sorted(f"{one.dtype}{one.shape}".encode() + one.tobytes() for one in tensors)
        digest = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
        named = re.sub(r"-[0-9a-f]{8,}(?=/)", "", str(place)).removesuffix(".safetensors")
        yield f"weights.{named.removesuffix('/weights').removesuffix('/model')}", digest


def sizes(artifact: Path) -> Iterator[tuple[str, int]]:
    """Bytes of each file of what ships, but for the manifest, which describes them."""
    for file in sorted(artifact.rglob("*")):
        if file.is_file() and file.name != "manifest.json":
            yield f"files.{file.relative_to(artifact)}", file.stat().st_size


# -- documents ---------------------------------------------------------------------------------------------------------


def figures(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Name to value of all figures of an evidence document, but for those that are left out."""
    return {name: value for name, value in flat(evidence) if not fits(name, LEFT_OUT)}


def flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and plain values; elements of lists by their name where all have one of their own, or by number."""
    if fits(name, COUNTED):
        yield f"{name}.count", len(value) if isinstance(value, list) else int(value is not None)
    elif isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from flat(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and value:
        names = [str(one["name"]) for one in value if isinstance(one, Mapping) and "name" in one]
        own = len(set(names)) == len(value)
        for index, item in enumerate(value):
            yield from flat(item, f"{name}[{names[index] if own else index}]")
    else:
        yield name, value


def fits(name: str, patterns: Mapping[str, str]) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in patterns)


def renamed(name: str, names: Mapping[str, str] | None = None) -> str:
    """A name, or a value that is one, with every old word in it replaced by the new one."""
    names = RENAMED if names is None else names
    if not names:
        return name
    olds = "|".join(re.escape(old) for old in sorted(names, key=len, reverse=True))
    return re.sub(rf"(?<!\w)(?:{olds})(?!\w)", lambda old: names[old[0]], name)


def in_new_names(document: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The same figures under their new names.

    Raises:
        SystemExit: If two of them would have one name.
    """
    found: dict[str, Any] = {}
    for old, value in document.items():
        new = renamed(old, names)
        if new in found:
            raise SystemExit(f"RENAMED gives two figures the name {new}, one of them {old}.")
        found[new] = renamed(value, names) if isinstance(value, str) else value
    return found


@dataclass(frozen=True)
class Difference:
    """A figure that is not the same: ``what`` is missing, new or different."""

    name: str
    what: str
    old: Any = None
    new: Any = None

    def __str__(self) -> str:
        values = {"missing": f"{self.old!r}", "new": f"{self.new!r}"}.get(self.what, f"{self.old!r} -> {self.new!r}")
        return f"{self.what:<9} {self.name}: {values}"


def differences(
    old: Mapping[str, Any], new: Mapping[str, Any], names: Mapping[str, str] | None = None
) -> list[Difference]:
    """All figures in which two documents differ, to the last bit."""
    names = RENAMED if names is None else names
    one, other = in_new_names(old, names), in_new_names(new, names)
    found = []
    for name in dict.fromkeys([*one, *other]):
        if name not in other:
            found.append(Difference(name, "missing", old=one[name]))
        elif name not in one:
            found.append(Difference(name, "new", new=other[name]))
        elif one[name] != other[name] or type(one[name]) is not type(other[name]):
            found.append(Difference(name, "different", one[name], other[name]))
    return found


# -- commands ----------------------------------------------------------------------------------------------------------


def write(src: Path, out: Path, only: Sequence[str]) -> None:
    """Run the recipes one after the other with the code in ``src``, and write their figures."""
    src = src.resolve()
    found: dict[str, Any] = {}
    for key in only or RECIPES:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            result = Path(folder) / "figures.json"
            line = [sys.executable, __file__, "run", key, folder, "--src", str(src), "--out", str(result)]
            environment = {**os.environ, "PYTHONPATH": str(src), "OMP_NUM_THREADS": "1"}
            done = subprocess.run(line, env=environment, capture_output=True, text=True)
            if done.returncode != 0:
                raise SystemExit(f"{key} did not run with {src}:\n{(done.stdout + done.stderr)[-4000:]}")
            written = json.loads(result.read_text(encoding="utf-8"))
        found |= {f"{key}.{name}": value for name, value in written.items()}
        save(found, out)  # what is there can be compared while the rest runs
        print(f"{key}: {len(written)} figures, {time.monotonic() - began:.0f} s", flush=True)


def save(found: Mapping[str, Any], out: Path) -> None:
    out.write_text(json.dumps(found, indent=0) + "\n", encoding="utf-8")


def compare(old: Path, new: Path) -> int:
    """Print each difference; how many there are that nobody expected."""
    one, other = (json.loads(path.read_text(encoding="utf-8")) for path in (old, new))
    unexpected = 0
    for difference in differences(one, other):
        why = next((why for pattern, why in EXPECTED.items() if re.fullmatch(pattern, difference.name)), None)
        unexpected += why is None
        print(difference if why is None else f"expected: {difference} ({why})")
    print(f"{len(one)} and {len(other)} figures, {unexpected} differences that were not expected")
    return unexpected


def against(commit: str, only: Sequence[str]) -> int:
    """Compare a commit with this checkout as it stands."""
    with tempfile.TemporaryDirectory() as folder:
        tree, old, new = Path(folder) / "tree", Path(folder) / "old.json", Path(folder) / "new.json"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), commit], check=True)
        try:
            write(tree / "src", old, only)
            write(ROOT / "src", new, only)
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)
        return compare(old, new)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("write", help="run the recipes and write their figures")
    writing.add_argument("--out", type=Path, required=True)
    writing.add_argument("--src", type=Path, default=ROOT / "src", help="of the checkout whose code runs")
    comparing = commands.add_parser("compare", help="print what differs between two files")
    comparing.add_argument("old", type=Path)
    comparing.add_argument("new", type=Path)
    committed = commands.add_parser("against", help="write both, of a commit and of this checkout, and compare")
    committed.add_argument("commit")
    for one in (writing, committed):
        one.add_argument("--only", action="append", default=[], choices=list(RECIPES), help="may be repeated")
    running = commands.add_parser("run", help="one recipe in this process; what write does for each")
    running.add_argument("key", choices=list(RECIPES))
    running.add_argument("folder", type=Path)
    running.add_argument("--src", type=Path, required=True)
    running.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    if asked.command == "write":
        write(asked.src, asked.out, asked.only)
    elif asked.command == "run":
        save(run(asked.key, asked.folder, asked.src), asked.out)
    else:
        different = compare(asked.old, asked.new) if asked.command == "compare" else against(asked.commit, asked.only)
        raise SystemExit(1 if different else 0)


if __name__ == "__main__":
    main()
