"""Damaged and hostile files, thousands of them, through every reader: what was refused, what ran, and what must not be.

Each kind of file is read in a process of its own, case by case, with a limit on memory. A case ends in one of:

- ``refused``: one of our errors, or exit code 2 with one sentence;
- ``ran``: it was read; what has a checksum gave what it gave before;
- ``forged``: it was changed together with its checksums, as an attacker can, and was read: other results are fair;
- ``silent``: it has a checksum, was damaged, was read, and gives something else without a word;
- ``traceback``: any other exception, or another exit code;
- ``hang``: more than ten seconds of processor time, or no answer at all;
- ``crash``: the process died.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import os
import random
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import result
from mutators import changed, damaged, json_text, rearranged, toml_text

SECONDS = 10.0
"""Of processor time that a case may take."""

PATIENCE = 60.0
"""Seconds until a case that uses no processor counts as hanging; a busy machine may keep it waiting that long."""

MEMORY = 8 << 30
"""Bytes of address space that a worker may have."""

GROWTH = 1 << 30
"""Bytes by which a case may raise the peak of memory."""

ROWS = 12


@dataclass(frozen=True)
class Outcome:
    """How a case ended.

    Attributes:
        kind: See the top of this file.
        what: The message, or where the traceback came from.
    """

    kind: str
    what: str = ""


Case = Callable[[random.Random], Outcome]


# -- what is fuzzed --------------------------------------------------------------------------------------------------


def recipes(folder: Path) -> Case:
    """Recipes, read and planned as with --dry-run."""
    import tomllib

    arrays(folder / "blobs.npz")
    table(folder / "table.csv")
    (folder / "mine.py").write_text(
        "from torch import nn\n\ndef net(width=4):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 3))\n"
    )
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    mlp = {"use": "attar.network.architectures:mlp", "arguments": {"inputs": 6, "classes": 3, "hidden": [8]}}
    training = {"epochs": 2, "batch_size": 32}
    tiny = {
        "name": "tiny",
        "title": "A tiny run",
        "data": {"use": "blobs.npz", "validation": 0.25},
        "teacher": {"network": mlp, "training": training},
        "student": {"network": {"use": "mine:net", "arguments": {"width": 4}}, "training": training},
        "objective": {
            "soft": {"use": "soft_targets", "temperature": 2.0, "weight": 0.5},
            "hard": {"use": "hard_labels", "weight": 0.5},
        },
        "budget": {"quality_loss": "100%"},
        "artifacts": {"runtimes": ["torch"], "int8": False, "seconds": 0.01},
    }
    wide = {**mlp, "use": "attar.network.architectures:tabular", "arguments": {"hidden": [8]}}
    tables = {
        **tiny,
        "data": {"use": "table.csv", "target": "kind"},
        "teacher": {"network": {**mlp, "arguments": {"inputs": 3, "classes": 2}}, "training": training},
        "student": {"network": wide, "training": training},
    }
    steps = {
        **tiny,
        "student": {
            "network": mlp,
            "training": training,
            "steps": [
                {"use": "distill", "training": training},
                {"use": "quantize", "weights": {"use": "uniform", "bits": 4}},
            ],
        },
    }
    from attar.recipes.shipped import shipped

    digits = tomllib.loads(shipped()["digits"].read_text())
    bases = [tiny, tables, steps, digits]
    path = folder / "recipe.toml"
    for base in bases:
        path.write_bytes(toml_text(base, random.Random(0)))
        must_run(command(["compress", str(path), "--dry-run"]), str(base["data"]))

    def case(draw: random.Random) -> Outcome:
        base = draw.choice(bases)
        if draw.random() < 0.15:
            data = damaged(toml_text(base, random.Random(0)), draw)
        else:
            data = toml_text(changed(base, draw), draw)
        path.write_bytes(data)
        return command(["compress", str(path), "--dry-run"])

    return case


def artifacts(folder: Path) -> Case:
    """Artifacts, loaded and asked: their files and manifests damaged, forged, and put in each other's places."""
    import torch

    from attar.deployment.artifact import load
    from attar.deployment.deploy import deploy
    from attar.deployment.manifest import described
    from attar.network.spec import Spec
    from attar.quantization.formats.uniform import Uniform
    from attar.quantization.quantize import quantize
    from attar.tables.columns import Columns
    from attar.tasks.classification import Classification

    torch.manual_seed(0)
    draws = np.random.default_rng(0)
    pictures = torch.from_numpy(draws.random((ROWS, 1, 8, 8), np.float32))
    rows = np.array([[draws.choice(["red", "blue"]), float(draws.random())] for _ in range(ROWS)], object)
    columns = Columns.infer(rows)
    convnet = Spec("attar.network.architectures:convnet", {"classes": 3, "widths": [4, 4]})
    standardized = Spec(convnet.reference, convnet.arguments, [0.5], [0.25])
    described_columns = [column.to_json() for column in columns]
    tabular = Spec("attar.network.architectures:tabular", {"columns": described_columns, "outputs": 2, "hidden": [4]})
    few = quantize(convnet.build().eval(), weights=Uniform(bits=4))
    names = ("ant", "bee", "cat")
    encoded = torch.from_numpy(columns.encode(rows).astype(np.float32))
    wholes: list[tuple[Path, Any, Any]] = []
    for name, candidate, spec, network in (
        ("torch", "torch", convnet, convnet.build()),
        ("standardized", "torch", standardized, standardized.build()),
        ("onnxruntime", "onnxruntime", convnet, convnet.build()),
        ("int8", "onnxruntime int8 u8", convnet, convnet.build()),
        ("packed", "torch packed", convnet, few),
        ("packed graph", "onnxruntime packed", convnet, few),
    ):
        made = deploy(
            network,
            candidate,
            folder / name,
            example=pictures[:1],
            task=Classification(names),
            spec=spec,
            calibration=pictures,
        )
        wholes.append((made.folder, pictures.numpy(), (load(made.folder)(pictures), names, "logits")))
    made = deploy(
        tabular.build(),
        "torch",
        folder / "table",
        example=encoded[:1],
        task=Classification(("no", "yes")),
        spec=tabular,
        columns=columns,
    )
    wholes.append((made.folder, rows, (load(made.folder)(rows), ("no", "yes"), "logits")))
    others = [path.read_bytes() for whole, _, _ in wholes for path in whole.iterdir()]
    place = folder / "case"

    def case(draw: random.Random) -> Outcome:
        whole, inputs, expected = draw.choice(wholes)
        clean(place)
        shutil.copytree(whole, place)
        manifest = json.loads((place / "manifest.json").read_text())
        files = [path for path in sorted(place.iterdir()) if path.name != "manifest.json"]
        forged = False
        chance = draw.random()
        if chance < 0.2:
            path = draw.choice(files)
            path.write_bytes(damaged(path.read_bytes(), draw, others))
        elif chance < 0.3:
            (place / "manifest.json").write_bytes(damaged((place / "manifest.json").read_bytes(), draw, others))
        elif chance < 0.5:
            (place / "manifest.json").write_bytes(json_text(changed(manifest, draw), draw))
        elif chance < 0.7:
            forged = True
            (place / "manifest.json").write_bytes(resealed(changed(manifest, draw)))
        elif chance < 0.9:
            forged = True
            path = draw.choice(files)
            path.write_bytes(damaged(inner(path, draw), draw, others) if draw.random() < 0.6 else inner(path, draw))
            entries = [described(each, True) for each in files]
            (place / "manifest.json").write_bytes(resealed({**manifest, "files": entries}))
        else:
            rearranged(place, draw)

        def read() -> Any:
            artifact = load(place)
            return artifact(inputs), artifact.classes, artifact.manifest["output"]["kind"]

        return judged(read, expected, forged=forged)

    return case


def data(folder: Path) -> Case:
    """Files of users' data: raw, so that what is read may differ."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from attar.data.files import load_npz, load_table
    from attar.data.idx import read_idx

    arrays(folder / "x.npz")
    np.savez_compressed(folder / "z.npz", **np.load(folder / "x.npz"))
    table(folder / "x.csv")
    pq.write_table(
        pa.table({"a": list(range(60)), "b": ["x", "y", None] * 20, "kind": ["p", "q"] * 30}), folder / "x.parquet"
    )
    pixels = np.arange(40 * 16, dtype=np.uint8).tobytes()
    idx = bytes([0, 0, 8, 3, 0, 0, 0, 40, 0, 0, 0, 4, 0, 0, 0, 4]) + pixels
    (folder / "x.idx").write_bytes(idx)
    (folder / "x.idx.gz").write_bytes(gzip.compress(idx))
    bombs(folder)
    readers: Mapping[str, Callable[[Path], Any]] = {
        ".npz": load_npz,
        ".csv": lambda path: load_table(path, target="kind"),
        ".parquet": lambda path: load_table(path, target="kind"),
        ".idx": lambda path: read_idx(path, dimensions=3),
        ".gz": lambda path: read_idx(path, dimensions=3),
    }
    wholes = [(path, path.read_bytes()) for path in sorted(folder.iterdir()) if path.suffix in readers]
    others = [content for path, content in wholes if len(content) < 1 << 16]
    for path, _ in wholes:
        if not path.name.startswith("bomb"):
            must_run(judged(lambda path=path: readers[path.suffix](path), None, forged=False), path.name)  # type: ignore[misc]

    def case(draw: random.Random) -> Outcome:
        path, content = draw.choice(wholes)
        target = folder / f"case{path.suffix}"
        if path.name.startswith("bomb"):
            target.write_bytes(content if draw.random() < 0.5 else damaged(content, draw))
        elif path.suffix == ".csv" and draw.random() < 0.5:
            target.write_bytes(odd_table(content, draw))
        else:
            target.write_bytes(damaged(content, draw, others))
        return judged(lambda: readers[path.suffix](target), None, forged=False)

    return case


def evidence(folder: Path) -> Case:
    """Evidence, drawn by attar report."""
    from attar.evidence.panel_json import to_json
    from attar.records import to_text
    from attar.report.panels.run import run_panels

    sample = json.loads((Path(__file__).parents[1] / "tests" / "report" / "sample_document.json").read_text())
    # Charts are what takes time: one or two of a kind are as good as thirty.
    sample["models"], sample["examples"] = sample["models"][:3], sample["examples"][:2]
    sample["curves"] = {name: sample["curves"][name][:3] for name in ("teacher/0", "student/0")}
    sample["panels"] = to_json(run_panels(sample))
    path = folder / "evidence.json"

    def drawn() -> tuple[Outcome, bytes]:
        page = folder / "report.html"
        page.unlink(missing_ok=True)
        outcome = command(["report", str(folder)])
        return outcome, page.read_bytes() if page.is_file() else b""

    path.write_text(to_text(sample))
    outcome, whole = drawn()
    must_run(outcome, "the evidence")

    def case(draw: random.Random) -> Outcome:
        chance, forged = draw.random(), False
        if chance < 0.25:
            content = damaged(to_text(sample).encode(), draw)
        elif chance < 0.5:
            content = json_text(changed(json.loads(to_text(sample)), draw), draw)
        else:
            forged, content = True, resealed(changed(sample, draw))
        path.write_bytes(content)
        outcome, page = drawn()
        if outcome.kind == "ran" and page != whole:
            return Outcome("forged" if forged else "silent")
        return outcome

    return case


def records(folder: Path) -> Case:
    """Stored targets, checkpoints, saved ensembles of estimators, specialists' weights, policies of a search."""
    import torch
    from sklearn.naive_bayes import GaussianNB
    from sklearn.tree import DecisionTreeClassifier

    from attar.data.arrays import from_arrays
    from attar.data.store import Targets, label
    from attar.data.views import Views
    from attar.network.architectures import mlp
    from attar.network.weights import load_weights, save_weights
    from attar.search.n2n.policy import ShrinkagePolicy, generator, load_policy, save_policy
    from attar.teachers.estimator import EstimatorTeacher
    from attar.teachers.selected import SelectedEnsemble
    from attar.teachers.teacher import NetworkTeacher
    from attar.training.checkpoint import load_state, save_state

    arrays(folder / "blobs.npz")
    with np.load(folder / "blobs.npz") as archive:
        x, y = archive["x"], archive["y"]
    split = from_arrays("blobs", {"x": x, "y": y}).train
    torch.manual_seed(0)
    network = mlp(6, 3, [4])
    label(NetworkTeacher(network, classes=3), split, folder / "store", views=Views(count=2))
    save_state(
        {"a": torch.arange(6.0), "b": [1, {2: "x"}], "best": float("-inf")}, folder / "state" / "state.safetensors"
    )
    save_weights(network, folder / "weights" / "weights.safetensors", {"x": 1})
    save_policy(ShrinkagePolicy(3, hidden=4), folder / "policy" / "shrinkage.safetensors")
    members = [
        EstimatorTeacher(each.fit(x, y), classes=3) for each in (GaussianNB(), DecisionTreeClassifier(max_depth=3))
    ]
    SelectedEnsemble(members, [0.25, 0.75], names=["a", "b"]).save(folder / "ensemble")

    def stored(place: Path) -> Any:
        targets = Targets.open(place)
        return targets(None, torch.arange(len(targets)), 0), targets.classes

    def drawn(place: Path) -> Any:
        policy = ShrinkagePolicy(3, hidden=4)
        load_policy(policy, place / "shrinkage.safetensors")
        features, mask = torch.ones(2, 3, dtype=torch.float64), torch.ones(2, dtype=torch.bool)
        return policy.sample(features, mask, 2, generator("draws"))

    readers: Mapping[str, Callable[[Path], Any]] = {
        "store": stored,
        "policy": drawn,
        "state": lambda place: json.dumps(load_state(place / "state.safetensors"), default=lambda t: t.tolist()),
        "weights": lambda place: load_weights(mlp(6, 3, [4]), place / "weights.safetensors").state_dict()["1.weight"],
        "ensemble": lambda place: SelectedEnsemble.load(place).predict(torch.from_numpy(x[:ROWS])),
    }
    # Weights are raw: where they belong to something, its record has their sum.
    raw = ("weights", "policy")
    expected = {name: None if name in raw else read(folder / name) for name, read in readers.items()}
    others = [path.read_bytes() for name in readers for path in (folder / name).iterdir()]
    place = folder / "case"

    def case(draw: random.Random) -> Outcome:
        name = draw.choice(list(readers))
        clean(place)
        shutil.copytree(folder / name, place)
        path = draw.choice(sorted(place.iterdir()))
        chance, forged = draw.random(), False
        if path.suffix == ".json" and chance < 0.8:
            document = json.loads(path.read_text())
            forged = chance < 0.5
            path.write_bytes(resealed(changed(document, draw)) if forged else json_text(changed(document, draw), draw))
        elif chance < 0.9:
            content = inner(path, draw) if draw.random() < 0.3 else path.read_bytes()
            path.write_bytes(damaged(content, draw, others))
            about = place / ("manifest.json" if name == "store" else "ensemble.json")
            if about.is_file() and path != about and draw.random() < 0.6:
                forged = True
                rehash(about, path)
        else:
            rearranged(place, draw)
        return judged(lambda: readers[name](place), expected[name], forged=forged)

    return case


def nodes(folder: Path) -> Case:
    """The nodes of a run: their records, and what these name: weights, histories, stores, manifests of artifacts."""
    import attar.recipes.compress
    import attar.recipes.measured
    import attar.report.page
    from attar.pipeline.nodes import RECORD, Nodes
    from attar.recipes.read import from_document

    arrays(folder / "blobs.npz")
    mlp = {"use": "attar.network.architectures:mlp", "arguments": {"inputs": 6, "classes": 3, "hidden": [4]}}
    document = {
        "name": "tiny",
        "title": "A tiny run",
        "data": {"use": str(folder / "blobs.npz"), "validation": 0.25},
        "teacher": {"network": mlp, "training": {"epochs": 2, "batch_size": 32}},
        "student": {"network": mlp, "training": {"epochs": 2, "batch_size": 32}},
        "objective": {"soft": {"use": "soft_targets", "temperature": 2.0, "weight": 1.0}},
        "artifacts": {"runtimes": ["torch"], "int8": False, "seconds": 0.01},
    }
    attar.recipes.measured.peak_memory = lambda *_, **__: 123_456
    attar.report.page.render = lambda *_: None
    attar.recipes.compress.compress(from_document(document), folder / "run")
    run = Nodes(folder / "run")
    wholes = [path.parent for path in sorted((folder / "run" / "nodes").rglob(RECORD))]
    places = [folder / "whole" / str(number) for number in range(len(wholes))]
    for whole, place in zip(wholes, places, strict=True):
        shutil.copytree(whole, place)
    others = [path.read_bytes() for place in places for path in place.rglob("*") if path.is_file()]

    def case(draw: random.Random) -> Outcome:
        whole, place = draw.choice(list(zip(wholes, places, strict=True)))
        clean(whole)
        shutil.copytree(place, whole)
        record = json.loads((place / RECORD).read_text())
        path = draw.choice([whole / RECORD, *sorted(path for path in whole.rglob("*") if path.is_file())])
        chance, forged = draw.random(), False
        if path.suffix == ".json" and chance < 0.6:
            document = json.loads(path.read_text())
            if isinstance(document, dict) and path.name == RECORD and chance < 0.2:
                forged = True
                path.write_bytes(resealed(changed(document, draw)))
            else:
                path.write_bytes(json_text(changed(document, draw), draw))
        elif chance < 0.9:
            path.write_bytes(damaged(path.read_bytes(), draw, others))
            name = path.relative_to(whole).as_posix()
            if path.name != RECORD and draw.random() < 0.3:
                forged = True
                rehash(whole / RECORD, path, name)
        else:
            rearranged(whole, draw)

        def anew(target: Path) -> Mapping[str, Any]:
            shutil.copytree(place, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(RECORD))
            result: Mapping[str, Any] = record["result"]
            return result

        def read() -> Any:
            found = run.node(record["name"], record["inputs"], anew, version=record["version"])
            files = [(found.folder / name).read_bytes() for name in sorted(record["files"])]
            return json.dumps(found.result), found.seconds if found.reused else record["seconds"], files

        expected = (
            json.dumps(record["result"]),
            record["seconds"],
            [(place / n).read_bytes() for n in sorted(record["files"])],
        )
        return judged(read, expected, forged=forged)

    return case


def teachers(folder: Path) -> Case:
    """ONNX files given as teachers, and bytes of estimators: raw, so that what they say may differ."""
    import onnx
    import torch
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.svm import SVC

    from attar.deployment.export import to_onnx
    from attar.network.architectures import convnet, mlp
    from attar.teachers.estimator_file import from_bytes, to_bytes
    from attar.teachers.onnx import OnnxTeacher

    torch.manual_seed(0)
    draws = np.random.default_rng(0)
    x, y = draws.normal(size=(60, 6)).astype(np.float32), np.arange(60) % 3
    flat = torch.from_numpy(x[:ROWS])
    pictures = torch.from_numpy(draws.random((ROWS, 1, 8, 8), np.float32))
    to_onnx(mlp(6, 3, [8]), flat[:1], folder / "mlp.onnx")
    to_onnx(convnet(3, [4, 4]), pictures[:1], folder / "net.onnx")
    outside = onnx.load(str(folder / "mlp.onnx"))
    onnx.save_model(
        outside, str(folder / "parts.onnx"), save_as_external_data=True, location="parts.bin", size_threshold=0
    )
    onnx_files = {"mlp.onnx": flat, "net.onnx": pictures, "parts.onnx": flat}
    estimators = [
        to_bytes(each.fit(x, y)) for each in (RandomForestClassifier(3, random_state=0), SVC(probability=False))
    ]
    others = [(folder / name).read_bytes() for name in onnx_files] + estimators
    place = folder / "case"
    for name, inputs in onnx_files.items():
        OnnxTeacher(folder / name).predict(inputs)

    def case(draw: random.Random) -> Outcome:
        if draw.random() < 0.3:
            content = damaged(draw.choice(estimators), draw, others)
            return judged(lambda: from_bytes(content, "the model").predict(x), None, forged=False)
        name = draw.choice(list(onnx_files))
        clean(place)
        place.mkdir()
        for each in (name, "parts.bin"):
            shutil.copy(folder / each, place / each)
        chance = draw.random()
        if chance < 0.5:
            (place / name).write_bytes(damaged((folder / name).read_bytes(), draw, others))
        elif chance < 0.9:
            model = onnx.load(str(folder / ("parts.onnx" if draw.random() < 0.5 else name)), load_external_data=False)
            forge(model, draw)
            (place / name).write_bytes(model.SerializeToString())
        else:
            rearranged(place, draw)
        return judged(lambda: OnnxTeacher(place / name).predict(onnx_files[name]), None, forged=False)

    return case


SURFACES: Mapping[str, tuple[Callable[[Path], Case], int]] = {
    "recipes": (recipes, 3000),
    "artifacts": (artifacts, 3000),
    "data": (data, 1000),
    "evidence": (evidence, 300),
    "records": (records, 1000),
    "nodes": (nodes, 1000),
    "teachers": (teachers, 500),
}
"""How each is made, and how many cases it gets."""


# -- what they share -------------------------------------------------------------------------------------------------


def arrays(path: Path) -> None:
    draws = np.random.default_rng(0)
    y = np.arange(90) % 3
    x = (draws.normal(size=(3, 6))[y] + draws.normal(scale=0.7, size=(90, 6))).astype(np.float32)
    np.savez(path, x=x, y=y, classes=np.array(["ant", "bee", "cat"]))


def table(path: Path) -> None:
    draws = np.random.default_rng(0)
    lines = ["size,color,weight,kind"]
    lines += [
        f"{n % 7},{draws.choice(['red', 'blue', ''])},{draws.normal():.3f},{'yes' if n % 2 else 'no'}"
        for n in range(80)
    ]
    path.write_text("\n".join(lines) + "\n")


def odd_table(content: bytes, draw: random.Random) -> bytes:
    """Cells, columns and rows that tables of users have."""
    lines = [line.split(",") for line in content.decode().splitlines()]
    for _ in range(draw.choice((1, 3))):
        row, column = draw.randrange(len(lines)), draw.randrange(4)
        odd = (
            "",
            "1e999",
            "-inf",
            "nan",
            "9" * 400,
            "x" * 70_000,
            '"a',
            "1,5",
            "€ 3",
            "\0",
            "\ufeff",
            "True",
            "2020-01-01",
        )
        kind = draw.random()
        if kind < 0.5:
            lines[row][column % len(lines[row])] = draw.choice(odd)
        elif kind < 0.7:
            for line in lines:
                line[column % len(line)] = draw.choice(odd)
        elif kind < 0.8:
            lines[row] = lines[row] * draw.choice((2, 500))
        elif kind < 0.9:
            lines = lines * draw.choice((2, 20))
        else:
            lines = [line + ["1"] * 2000 for line in lines[:20]]
    text = "\n".join(",".join(line) for line in lines)
    return text.encode(draw.choice(("utf-8", "utf-8", "utf-16", "latin-1")), errors="replace")


def bombs(folder: Path) -> None:
    """Small files that say that they are, or inflate to, gigabytes."""
    import zipfile

    def header(shape: str) -> bytes:
        text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
        padded = text + " " * (-(len(text) + 11) % 64) + "\n"
        return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode()

    for name, content in (
        ("declares", header("(1000000000000, 6)")),
        ("inflates", header("(200000000, 2)") + bytes(1 << 28)),
        ("wraps", header("(4611686018427387904, 4)")),
    ):
        with zipfile.ZipFile(folder / f"bomb-{name}.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.npy", content)
            archive.writestr("y.npy", content)
    with zipfile.ZipFile(folder / "bomb-members.npz", "w") as archive:
        for number in range(20_000):
            archive.writestr(f"{number}.npy", b"")
    big = bytes([0, 0, 8, 3, 0, 0, 255, 255, 0, 0, 255, 255, 0, 0, 0, 4])
    (folder / "bomb.idx").write_bytes(big)
    (folder / "bomb.idx.gz").write_bytes(gzip.compress(big + bytes(1 << 28)))
    (folder / "bomb.csv").write_text(",".join(f"c{n}" for n in range(20_000)) + ",kind\n" + ("1," * 20_000 + "a\n") * 4)


def forge(model: Any, draw: random.Random) -> None:
    """Change an ONNX model as an attacker would: places, shapes and types of its tensors, names, nodes."""
    for _ in range(draw.choice((1, 2))):
        tensors = list(model.graph.initializer)
        tensor, kind = draw.choice(tensors), draw.randrange(7)
        if kind == 0:
            tensor.data_location = 1
            del tensor.external_data[:]
            entry = tensor.external_data.add()
            entry.key, entry.value = (
                "location",
                draw.choice(("../../etc/passwd", "/etc/passwd", "/dev/zero", "no", ".", "")),
            )
        elif kind == 1 and tensor.external_data:
            entry = draw.choice(list(tensor.external_data))
            entry.value = draw.choice(("-1", "99999999999", "x", "../parts.bin", "1e9"))
        elif kind == 2 and tensor.dims:
            tensor.dims[0] = draw.choice((-1, 0, 10**12, 2**62))
        elif kind == 3:
            tensor.data_type = draw.choice((0, 1, 7, 8, 10, 11, 99))
        elif kind == 4:
            node = draw.choice(list(model.graph.node))
            node.op_type = draw.choice(("Relu", "Softmax", "Loop", "Nothing", ""))
        elif kind == 5:
            model.graph.input[0].type.tensor_type.shape.dim[-1].dim_value = draw.choice((0, 1, 10**9, 2**62))
        else:
            del model.graph.output[:]


def inner(path: Path, draw: random.Random) -> bytes:
    """A safetensors or packed file with another header or index, its own sums right; any other file as it is."""
    content = path.read_bytes()
    if path.suffix != ".safetensors":
        return content
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    if "index" in header and "payload" in header:
        return packed(path, draw)
    text = json.dumps(changed(header, draw)).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def packed(path: Path, draw: random.Random) -> bytes:
    """A packed file with another index or payload, and the sum of these."""
    import zlib

    from attar.deployment.packed.container import _bytes, _digest
    from attar.network.weights import read_tensors, write_tensors

    tensors, about = read_tensors(path)
    index = json.loads(zlib.decompress(tensors["index"].numpy().tobytes()))
    if draw.random() < 0.7:
        tensors["index"] = _bytes(zlib.compress(json_text(changed(index, draw), draw)))
    else:
        tensors["payload"] = _bytes(damaged(tensors["payload"].numpy().tobytes(), draw))
    target = path.with_name("forged")
    write_tensors(tensors, target, {**about, "sha256": _digest(tensors)})
    content = target.read_bytes()
    target.unlink()
    return content


def resealed(document: Any) -> bytes:
    """A document with the checksum that it then has."""
    from attar.records import sealed

    try:
        return json.dumps(sealed(document), allow_nan=True).encode()
    except (ValueError, TypeError, AttributeError):
        return json.dumps(document).encode()


def rehash(about: Path, path: Path, name: str | None = None) -> None:
    """Write the sum of a file where a record has that of the file before."""
    import hashlib

    document = json.loads(about.read_text())
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if path.name in document.get("shards", {}):
        document["shards"][path.name] = found
    if name in document.get("files", {}):
        document["files"][name] = [path.stat().st_size, found]
    for member in document.get("members", []):
        if member["file"] == path.name:
            member["sha256"] = found
    about.write_bytes(resealed(document))


def must_run(outcome: Outcome, what: str) -> None:
    """What is damaged must be readable before: else everything would be refused, and nothing learned."""
    if outcome.kind != "ran":
        raise SystemExit(f"{what} is {outcome.kind} as it is: {outcome.what}")


def clean(place: Path) -> None:
    if place.is_symlink() or place.exists():
        shutil.rmtree(place)


def command(arguments: list[str]) -> Outcome:
    """Run the command line in this process."""
    from attar.cli.main import run

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = run(arguments)
        except BaseException as error:
            return traced(error)
    said = err.getvalue().strip()
    if code == 0:
        return Outcome("ran")
    fine = code == 2 and said.startswith("attar: ") and "\n" not in said
    return Outcome("refused" if fine else "traceback", said[-300:])


def judged(read: Callable[[], Any], expected: Any, *, forged: bool) -> Outcome:
    """Read, and compare with what was there before."""
    from attar.errors import AttarError

    try:
        found = read()
    except AttarError as error:
        return Outcome("refused", str(error)[:300])
    except BaseException as error:
        return traced(error)
    if forged:
        return Outcome("forged")
    return Outcome("ran" if expected is None or same(found, expected) else "silent")


def same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple | list):
        return isinstance(other, tuple | list) and len(one) == len(other) and all(map(same, one, other))
    if hasattr(one, "shape"):
        return tuple(one.shape) == tuple(other.shape) and bool(np.array_equal(np.asarray(one), np.asarray(other)))
    return bool(one == other)


def traced(error: BaseException) -> Outcome:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "attar" in frame.filename and "fuzz.py" not in frame.filename]
    place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "?"
    return Outcome("traceback", f"{place} {type(error).__name__}: {' '.join(str(error).split())[:200]}")


# -- workers ---------------------------------------------------------------------------------------------------------


def worker(surface: str, seed: int, start: int, stop: int) -> None:
    """Do some cases; a line for each before and after it."""
    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with tempfile.TemporaryDirectory() as place:
        case = SURFACES[surface][0](Path(place))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        for number in range(start, stop):
            print(json.dumps({"begins": number}), file=answers)
            peak, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
            outcome = case(random.Random(f"{seed} {surface} {number}"))
            seconds = time.process_time() - begun
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) * 1024
            kind, what = outcome.kind, outcome.what
            if seconds > SECONDS:
                kind, what = "hang", f"{seconds:.1f} s; {what}"
            elif grown > GROWTH:
                kind, what = "memory", f"{grown} bytes; {what}"
            line = {"number": number, "kind": kind, "what": what, "seconds": seconds, "grown": grown}
            print(json.dumps(line), file=answers)


def fuzz(surface: str, seed: int, cases: int, show: bool) -> dict[str, Any]:
    """Do the cases of one kind; a worker that hangs or dies is replaced."""
    counts: Counter[str] = Counter()
    bad: list[dict[str, Any]] = []
    slowest, largest, next_one = 0.0, 0, 0
    while next_one < cases:
        line = [sys.executable, __file__, "--worker", surface, str(next_one), str(cases), "--seed", str(seed)]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"})
        assert process.stdout is not None
        running, buffer, ended = -1, b"", ""
        while not ended:
            patience = PATIENCE if running >= 0 else 10 * PATIENCE
            if not select.select([process.stdout], [], [], patience)[0]:
                ended = "hang" if running >= 0 else "crash"
                break
            part = os.read(process.stdout.fileno(), 1 << 16)
            if not part:
                ended = "crash" if running >= 0 else "done"
                break
            buffer += part
            *lines, buffer = buffer.split(b"\n")
            for text in lines:
                answer = json.loads(text)
                if "begins" in answer:
                    running = answer["begins"]
                    continue
                running, next_one = -1, answer["number"] + 1
                counts[answer["kind"]] += 1
                slowest, largest = max(slowest, answer["seconds"]), max(largest, answer["grown"])
                if answer["kind"] in BAD:
                    bad.append({key: answer[key] for key in ("number", "kind", "what")})
                    if show:
                        print(f"{surface} {answer['number']} {answer['kind']}: {answer['what']}", flush=True)
        process.kill()
        code = process.wait()
        if ended in ("hang", "crash"):
            if running < 0:
                raise SystemExit(f"{surface}: a worker ended with {code} before its first case")
            counts[ended] += 1
            bad.append({"number": running, "kind": ended, "what": f"exit code {code}"})
            print(f"{surface} {running} {ended}: exit code {code}", flush=True)
            next_one = running + 1
        elif next_one < cases:
            raise SystemExit(f"{surface}: a worker ended with {code} and {next_one} of {cases} cases")
    return {
        "cases": cases,
        **dict(sorted(counts.items())),
        "slowest_seconds": slowest,
        "largest_growth_bytes": largest,
        "bad": bad,
    }


BAD = ("traceback", "hang", "memory", "crash", "silent")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(SURFACES), help="kinds of files; by default all")
    parser.add_argument("--share", type=float, default=1.0, help="share of the cases to do")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=result.RESULTS / "fuzz.json")
    parser.add_argument("--case", type=int, help="do this case of the one kind alone, in this process")
    parser.add_argument("--worker", nargs=3, metavar=("KIND", "FROM", "TO"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        worker(given.worker[0], given.seed, int(given.worker[1]), int(given.worker[2]))
        return
    if given.case is not None:
        with tempfile.TemporaryDirectory() as place:
            case = SURFACES[given.only[0]][0](Path(place))
            print(case(random.Random(f"{given.seed} {given.only[0]} {given.case}")))
        return
    found = {}
    for name in given.only:
        cases = max(1, round(SURFACES[name][1] * given.share))
        begun = time.time()
        found[name] = fuzz(name, given.seed, cases, True)
        print(
            name,
            {key: value for key, value in found[name].items() if key != "bad"},
            f"{time.time() - begun:.0f} s",
            flush=True,
        )
    totals = {kind: sum(one.get(kind, 0) for one in found.values()) for kind in BAD}
    claims: list[dict[str, Any]] = [
        {"claim": f"cases of {name}", "aim": aim, "reached": found[name]["cases"], "met": found[name]["cases"] >= aim}
        for name, (_, aim) in SURFACES.items()
        if name in found
    ]
    claims += [
        {"claim": f"cases that end in {kind}", "aim": 0, "reached": totals[kind], "met": totals[kind] == 0}
        for kind in BAD
    ]
    result.write(
        given.out,
        what="Damaged and forged files through every reader. 'refused' is one of our errors, or one sentence and exit "
        "code 2; 'ran' gave what it gave before, where there is a checksum; 'forged' was changed together with its "
        f"checksums and read. A hang is {SECONDS:g} s of processor time or {PATIENCE:g} s without an answer; 'memory' "
        f"is a peak raised by {GROWTH} bytes; a worker has {MEMORY} bytes of address space.",
        seed=given.seed,
        packages=["onnx", "onnxruntime", "pyarrow", "safetensors", "skops", "torch"],
        summary=found,
        claims=claims,
    )
    for claim in claims:
        print("met    " if claim["met"] else "NOT MET", claim["claim"], claim["reached"], "aim", claim["aim"])


if __name__ == "__main__":
    main()
