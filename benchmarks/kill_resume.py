"""Kill a run again and again, let it go on, and compare what comes out with a run that was left alone.

    python benchmarks/kill_resume.py                     # the digits recipe, 20 kills
    python benchmarks/kill_resume.py --kills 3 --set teacher.members=1 --set student.training.epochs=10

The run that is left alone says how long each stage takes. The moments of the kills are drawn evenly over that time, as
(stage, seconds into it), and go forward: start, trainings, label pass, deployment, measuring, and writing the evidence.
Each kill is SIGKILL, and the same command follows it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from result import RESULTS, write

START, FINISH = "start", "finish"
"""What lies before the first stage, and after the last one."""

LEFT_OUT = {
    r"created": "the date",
    r"stages\[\d+\]\.(seconds|reused)": "how long a stage took, and whether it was found finished",
    r"targets\.seconds": "how long the label pass took",
    r"models\[\d+\]\.latency\b.*": "timings",
    r"checksum": "of all the other keys, these among them",
    r"models\[\d+\]\.peak_memory_bytes": "memory, which the system gives out",
    r"ratios\.faster_batch\d+\b.*": "ratios of timings",
}
"""Dotted keys of evidence.json that are not compared, and why."""

CHOICE = r"(winner|why|met|budget|ratios|models\[\d+\]\.refused)\b.*"
"""Dotted keys that follow from the timings too: compared, and reported apart."""

WHAT = (
    "One recipe is run twice: left alone, and killed with SIGKILL at moments drawn evenly over the first run's "
    "duration, each time started again with the same command. 'differences' are the dotted keys of evidence.json that "
    "are not equal, those of left_out aside; 'choice_differences' are those that depend on timings too, because "
    "candidates are chosen by latency; 'file_differences' are the files below stages/ (networks, targets, artifacts) "
    "whose bytes differ. Networks are checkpointed every second in both runs, so that kills fall between checkpoints "
    "as well."
)


@dataclass(frozen=True)
class Moment:
    """When to kill: so many seconds into a stage."""

    stage: str
    seconds: float


def command(recipe: str, folder: Path, changes: Sequence[str]) -> list[str]:
    often = [f"{who}.training.checkpoint_seconds=1" for who in ("teacher", "student")]
    sets = [part for change in (*often, *changes) for part in ("--set", change)]
    return [
        sys.executable, "-c", "from attar.cli import main; main()", "compress", recipe, "--out", str(folder), *sets,
    ]  # fmt: skip


def start(line: Sequence[str], said: Path) -> subprocess.Popen[bytes]:
    with said.open("ab") as file:
        return subprocess.Popen(line, stdout=file, stderr=file, env={**os.environ, "OMP_NUM_THREADS": "1"})


def finish(line: Sequence[str], folder: Path, said: Path) -> dict[str, Any]:
    """Let a run come to its end; its evidence."""
    code = start(line, said).wait()
    if code not in (0, 1):
        raise SystemExit(f"the run in {folder} ended with exit code {code}:\n{said.read_text()[-2000:]}")
    evidence: dict[str, Any] = json.loads((folder / "evidence.json").read_text(encoding="utf-8"))
    return evidence


def timeline(folder: Path, began: float, ended: float) -> list[tuple[str, float]]:
    """The stages of a run that was left alone, in order, each with its length in seconds; start and finish included."""
    stages = []
    for done in (folder / "stages").rglob("done.json"):
        end, seconds = done.stat().st_mtime, json.loads(done.read_text(encoding="utf-8"))["seconds"]
        name = str(done.parent.relative_to(folder / "stages")).rpartition("-")[0]
        stages.append((end - seconds, end, name))
    stages.sort()
    lengths = [(START, stages[0][0] - began)]
    lengths += [(name, end - beginning) for beginning, end, name in stages]
    return [*lengths, (FINISH, ended - stages[-1][1])]


def moments(lengths: Sequence[tuple[str, float]], kills: int, seed: int) -> Iterator[Moment]:
    """Evenly drawn over the whole duration, in order."""
    total = sum(length for _, length in lengths)
    draw = random.Random(seed)
    for at in sorted(draw.uniform(0, total) for _ in range(kills)):
        for stage, length in lengths:
            if at < length:
                yield Moment(stage, at)
                break
            at -= length


def reached(folder: Path, moment: Moment, last: str) -> bool:
    """Whether a run has come to a stage."""
    if moment.stage == START:
        return True
    if moment.stage == FINISH:
        return any((folder / "stages").glob(f"{last}-*/done.json"))
    return any((folder / "stages").glob(f"{moment.stage}-*"))


def kill(line: Sequence[str], folder: Path, said: Path, moment: Moment, last: str) -> dict[str, Any]:
    """Start a run and kill it at a moment; what happened.

    A run that ended before is started again, which goes through the finish once more, and killed in half the time.
    """
    log = folder / "log.txt"
    for attempt in range(6):
        size = log.stat().st_size if log.exists() else 0
        began = time.monotonic()
        running = start(line, said)
        awake = moment.stage == START
        deadline = None
        while running.poll() is None and (deadline is None or time.monotonic() < deadline):
            # The first line of its log says that a process is through with its imports.
            awake = awake or (log.exists() and log.stat().st_size > size)
            if deadline is None and awake and reached(folder, moment, last):
                deadline = time.monotonic() + moment.seconds / 2**attempt
            time.sleep(0.002)
        running.send_signal(signal.SIGKILL)
        if running.wait() == -signal.SIGKILL:
            return {**asdict(moment), "seconds_after_launch": time.monotonic() - began, "attempt": attempt}
    raise SystemExit(f"the run in {folder} could not be killed in {moment}:\n{said.read_text()[-2000:]}")


def flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and plain values of a document."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from flat(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from flat(item, f"{key}[{index}]")
    else:
        yield key, value


def compared(alone: dict[str, Any], killed: dict[str, Any]) -> dict[str, Any]:
    """What differs between the evidence of two runs."""
    one, other = dict(flat(alone)), dict(flat(killed))
    absent = object()
    differing = {
        key: [one.get(key, None), other.get(key, None)]
        for key in sorted(one.keys() | other.keys())
        if one.get(key, absent) != other.get(key, absent) and not any(re.fullmatch(p, key) for p in LEFT_OUT)
    }
    choice = {key: pair for key, pair in differing.items() if re.fullmatch(CHOICE, key)}
    return {
        "values_compared": sum(not any(re.fullmatch(p, key) for p in LEFT_OUT) for key in one),
        "differences": {key: pair for key, pair in differing.items() if key not in choice},
        "winner": {"left_alone": alone["winner"], "killed": killed["winner"]},
        "choice_differences": choice,
    }


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of everything that the stages made; their records hold timings, as does the race."""
    files = sorted(file for file in (folder / "stages").rglob("*") if file.is_file() and file.name != "done.json")
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def trial(recipe: str, changes: Sequence[str], kills: int, seed: int, folder: Path) -> dict[str, Any]:
    """Both runs and their comparison: ``timeline``, ``kills`` and what `compared` gives."""
    # Both have the same name, so that nothing that depends on it can differ.
    alone, killed = folder / "alone" / "run", folder / "killed" / "run"
    for run in (alone, killed):
        run.parent.mkdir(parents=True)
    line = command(recipe, alone, changes)
    began = time.time()
    expected = finish(line, alone, folder / "alone.txt")
    ended = time.time()
    lengths = timeline(alone, began, ended)
    line, said = command(recipe, killed, changes), folder / "killed.txt"
    began = time.time()
    happened = []
    for moment in moments(lengths, kills, seed):
        happened.append(kill(line, killed, said, moment, lengths[-2][0]))
        print(f"killed {len(happened)} of {kills}: {moment.seconds:.2f} s into {moment.stage}", flush=True)
    found = finish(line, killed, said)
    before, after = digests(alone), digests(killed)
    names = before.keys() | after.keys()
    return {
        **compared(expected, found),
        "files_compared": len(names),
        "file_differences": sorted(name for name in names if before.get(name) != after.get(name)),
        "seconds": {"left_alone": sum(length for _, length in lengths), "killed": time.time() - began},
        "timeline": [{"stage": stage, "seconds": length} for stage, length in lengths],
        "kills": happened,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="?", default="digits")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as of attar compress")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, default=RESULTS / "kill_resume.json")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = trial(asked.recipe, asked.set, asked.kills, asked.seed, Path(folder))
    raw = {key: found.pop(key) for key in ("timeline", "kills")}
    settings = {"recipe": asked.recipe, "set": asked.set, "kills": asked.kills}
    path = write(asked.out, what=WHAT, seed=asked.seed, settings=settings, left_out=LEFT_OUT, summary=found, raw=raw)
    print(f"{found['values_compared']} values compared, {len(found['differences'])} differ: {found['differences']}")
    print(f"{found['files_compared']} files compared, {len(found['file_differences'])} differ")
    print(f"winner: {found['winner']}; {len(found['choice_differences'])} other values follow from the timings")
    print(f"written to {path}")


if __name__ == "__main__":
    main()
