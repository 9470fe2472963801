"""Claims of results that no benchmark of ours writes with claims: computed from the committed figures, which stay.

    python benchmarks/state_claims.py

Studies and runs write what they measured; what they are held against stands here, one function a file. An aim that was
written down after the measurement says so in its note: it is a paper's figure, or that an effect is there at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from result import RESULTS

from attar.records import CHECKSUM, to_text

AFTER = "the aim was written after the measurement"
PAPERS = "the aim is the paper's figure, on other data, and was written after the measurement"
REMEMBERED = "the aim is the paper's figure from memory, on other data, and was written after the measurement"

Claim = dict[str, Any]


def claim(
    words: str,
    reached: float | None,
    aim: float | None = None,
    *,
    interval: Sequence[float] | None = None,
    at_most: bool = False,
    surely: bool = False,
    note: str | None = AFTER,
) -> Claim:
    """One claim as a result holds it.

    Args:
        words: What is claimed.
        reached: The figure.
        aim: What it is held against; None where there was none.
        interval: Its 95% interval.
        at_most: Whether the aim is an upper bound; a lower one otherwise.
        surely: Whether the whole interval has to be beyond the aim.
        note: What there is to know of the aim.
    """
    met = None
    if aim is not None and reached is not None:
        end = reached if not surely or interval is None else interval[1 if at_most else 0]
        met = bool((end <= aim if at_most else end > aim if surely else end >= aim) and (interval or not surely))
    stated = {"claim": words, "aim": aim, "reached": reached, "interval": interval, "met": met}
    return stated if aim is None or note is None else {**stated, "note": note}


def above_zero(words: str, cell: Mapping[str, Any]) -> Claim:
    """That there is an effect: the interval over the seeds leaves out none."""
    return claim(f"{words}; the interval above 0", cell["mean"], 0.0, interval=cell["interval"], surely=True)


def _cells(study: Mapping[str, Any], title: str) -> dict[str, dict[str, Any]]:
    """The figures of a table, by row and column."""
    table = next(one for one in study["tables"] if one["title"] == title)
    return {row["name"]: row["cells"] for row in table["rows"]}


def _mean(cells: Mapping[str, Any], column: str) -> float:
    mean: float = cells[column]["mean"]
    return mean


def digits(run: Mapping[str, Any]) -> Iterator[Claim]:
    """The budget of the recipe, and whether the teacher helped."""
    for row in run["budget"]:
        at_most = "lost" in row["what"]
        yield claim(row["what"], row["reached"], row["asked"], at_most=at_most, note=None)
    verdict, closed = run["verdict"], run["seeds"]["gap_closed"]
    words = f"gain in accuracy over the baseline, {verdict['seeds']} seeds; the interval above 0"
    yield claim(words, verdict["difference"], 0.0, interval=verdict["interval"], surely=True)
    yield above_zero(f"part of the gap in accuracy that is closed, over {closed['seeds']} seeds", closed)


def apprentice(study: Mapping[str, Any]) -> Iterator[Claim]:
    """Whether the teacher wins back what few bits cost."""
    for title in ("Few bits from the start, without and with a teacher", "From float weights"):
        for name, cells in _cells(study, title).items():
            if cells["recovered"]["mean"] is not None:
                yield above_zero(
                    f"{name}: share of the loss of few bits that the teacher wins back", cells["recovered"]
                )


def distillation(study: Mapping[str, Any]) -> Iterator[Claim]:
    """The paper's four experiments, and what it left open."""
    for name, cells in _cells(study, "Plain, distilled, teacher").items():
        yield above_zero(f"{name}: share of the gap to the teacher that the student closes", cells["closed"])
    for name, cells in _cells(study, "Classes that the transfer set lacks").items():
        gain = _mean(cells, "after") - _mean(cells, "before")
        yield claim(f"{name}: accuracy that correcting the biases of absent classes adds", gain, 0.0)
        more = _mean(cells, "after") - _mean(cells, "labels_after")
        yield claim(f"{name}: accuracy of soft targets over labels, both corrected", more, 0.0)
    for name, cells in _cells(study, "Three in a hundred examples").items():
        words = f"{name}: accuracy of soft targets over labels; their intervals are apart"
        met = cells["soft"]["interval"][0] > cells["hard"]["interval"][1]
        yield {**claim(words, _mean(cells, "soft") - _mean(cells, "hard"), 0.0), "met": met}
    for name, cells in _cells(study, "Specialists").items():
        yield claim(f"{name}: relative gain of specialists", _mean(cells, "relative"), 0.044, note=PAPERS)
    students = _cells(study, "Students of the generalist, and of the generalist with its specialists")
    for with_specialists, alone in (("specialists", "glyphs-early"), ("specialists-late", "glyphs")):
        words = f"{with_specialists}: accuracy that specialists in the teacher add to the student"
        gain = _mean(students[with_specialists], "student") - _mean(students[alone], "student")
        yield claim(words, gain, 0.0)
    targets = _cells(study, "Targets of 583 classes in fewer bytes")
    for name in ("glyphs-top-10", "glyphs-int8"):
        lost = _mean(targets["glyphs"], "student") - _mean(targets[name], "student")
        yield claim(f"{name}: accuracy lost by targets in fewer bytes", lost, 0.01, at_most=True)


def compression(study: Mapping[str, Any]) -> Iterator[Claim]:
    """The gain of the ensemble that one net keeps, and what it costs."""
    for name, cells in _cells(study, "Ours beside the paper's").items():
        ratio = cells["ratio"]
        words = f"{name}: share of the ensemble's gain that the mimic keeps"
        yield claim(words, ratio["mean"], ratio["paper"], interval=ratio["interval"], note=PAPERS)
        yield claim(f"{name}: times smaller than the ensemble", _mean(cells, "smaller"), 1000.0, note=None)
        yield claim(f"{name}: times faster, batch 64", _mean(cells, "faster"), cells["faster"]["paper"], note=PAPERS)


def quantization(study: Mapping[str, Any]) -> Iterator[Claim]:
    """Points lost by few bits against the paper's, and whether the teacher helps where bits are few."""
    cases = (
        ("Bits, in buckets and over whole tensors", "quantized", "right after training"),
        ("Bits, in buckets and over whole tensors", "trained", "trained on"),
        ("Points that learn", "trained", "points learned"),
    )
    for title, column, when in cases:
        for name, cells in _cells(study, title).items():
            if None in (cells[column]["mean"], cells[column]["paper"]):
                continue
            lost = _mean(cells, "float") - _mean(cells, column)
            paper = round(cells["float"]["paper"] - cells[column]["paper"], 6)
            yield claim(f"{name}, {when}: accuracy lost against float", lost, paper, at_most=True, note=REMEMBERED)
    buckets = _cells(study, "Bits, in buckets and over whole tensors")
    for name in ("buckets-4-bits", "buckets-2-bits"):
        gain = _mean(buckets[name], "trained") - _mean(buckets[name], "control_trained")
        yield claim(f"{name}, trained on: accuracy that the teacher adds to labels alone", gain, 0.0)


def together(study: Mapping[str, Any]) -> Iterator[Claim]:
    """What pruning and four bits cost and save, alone and in both orders, against the distilled student as it is."""
    rows = _cells(study, "Each alone, and together")
    alone = rows.pop("distilled")
    for name, cells in rows.items():
        lost = _mean(alone, "accuracy") - _mean(cells, "accuracy")
        yield claim(f"{name}: accuracy lost against distilled, three seeds", lost)
        smaller = _mean(cells, "smaller") / _mean(alone, "smaller")
        yield claim(f"{name}: times smaller than distilled", smaller)


def autogluon(result: Mapping[str, Any]) -> Iterator[Claim]:
    """The mimic beside the students of AutoGluon's own distill()."""
    for name, found in result["summary"].items():
        contenders = found["contenders"]
        mimic = contenders["attar mimic"]
        times = contenders["ensemble"]["batch 1"]["times_as_long_as_mimic"]
        words = f"{name}: the ensemble takes more times as long as its mimic, batch 1"
        yield claim(words, times["ratio"], 1.0, interval=times["interval"], surely=True)
        for method in ("distill onehot", "distill spunge"):
            student = contenders[found["methods"][method]["best_student"]]
            gain = mimic["accuracy"] - student["accuracy"]
            yield claim(f"{name}: accuracy of the mimic less that of the best student of {method}", gain, 0.0)
            smaller = student["bytes"] / mimic["bytes"]
            yield claim(f"{name}: times smaller than the best student of {method}", smaller, 1.0)
        same = mimic["p_value_against_ensemble"]
        yield claim(f"{name}: p of McNemar's test of mimic against ensemble, no measurable loss", same, 0.05)


def top_k(result: Mapping[str, Any]) -> Iterator[Claim]:
    """Bytes of stored targets, and the cost of learning from the top k of many classes."""
    for name, found in result["summary"].items():
        smaller = found["stores"]["top 10 int8"]["times_smaller_than_float32"]
        yield claim(f"{name}: times smaller than dense float32, top 10 in int8", smaller, 10.0)
        cost = found["loss"]["top 10 spread"]["times_the_dense"]
        words = f"{name}: the loss on the top 10 and its gradient, times those of dense targets"
        yield claim(words, cost, 1.0, at_most=True)


def trials(result: Mapping[str, Any]) -> Iterator[Claim]:
    """What settings were chosen by; nothing was aimed at."""
    for name, found in result["summary"].items():
        yield claim(f"{name}: best accuracy on validation", max(found["validation_accuracy"]))


def dropped(result: Mapping[str, Any]) -> Iterator[Claim]:
    """What the choice of another teacher rests on; nothing was aimed at."""
    for seed, history in result["raw"].items():
        yield claim(f"seed {seed}: best accuracy on validation", max(epoch["score"] for epoch in history))


CLAIMS: Mapping[str, Callable[[Mapping[str, Any]], Iterator[Claim]]] = {
    "apprentice-2017": apprentice,
    "autogluon_distill": autogluon,
    "digits": digits,
    "distillation-2015": distillation,
    "fashion-mnist-dropped-teacher": dropped,
    "fashion-mnist-trials": trials,
    "model-compression-2006": compression,
    "quantization-2018": quantization,
    "side-by-side": together,
    "top_k_store": top_k,
}
"""The name of a result, and what gives its claims."""


def main() -> None:
    """Write the claims into their results, whose other keys stay as they are."""
    for name, claims_of in CLAIMS.items():
        path = RESULTS / f"{name}.json"
        text = path.read_text(encoding="utf-8")
        document = json.loads(text)
        stated = {
            **{key: value for key, value in document.items() if key != "claims"},
            "claims": [*claims_of(document)],
        }
        # Evidence has a checksum of itself, which is of the claims, too.
        new = to_text(stated) if CHECKSUM in document else json.dumps(stated, indent=1) + "\n"
        if new != text:
            path.write_text(new, encoding="utf-8")
            print(f"{name}: {len(stated['claims'])} claims")


if __name__ == "__main__":
    main()
