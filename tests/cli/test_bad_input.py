"""Whatever is wrong with what the user gives, the answer is one sentence with a remedy, exit code 2, and a way on."""

from __future__ import annotations

import copy
import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
import torch

from attar.cli.main import run
from attar.deployment.deploy import deploy
from attar.network.architectures import mlp
from attar.network.spec import Spec
from attar.network.weights import save_weights
from attar.recipes.folder import opened
from attar.recipes.read import from_document
from attar.records import to_text
from attar.tasks.classification import Classification

Document = dict[str, Any]

pytestmark = pytest.mark.usefixtures("hurried")


@dataclass
class Place:
    """Where one case is set up: a folder, a recipe that is right, arrays that are right."""

    path: Path
    recipe: Document
    arrays: Callable[..., dict[str, Any]]
    patch: pytest.MonkeyPatch

    def compress(self, recipe: Document | None = None, *more: str) -> list[str]:
        """The command on a recipe, into ``out``."""
        file = self.path / "recipe.toml"
        file.write_text(tomli_w.dumps(self.recipe if recipe is None else recipe), encoding="utf-8")
        return ["compress", str(file), "--out", str(self.path / "out"), *more]

    def changed(self, *path: str, to: Any) -> list[str]:
        """The command on a recipe with one value changed."""
        table = self.recipe
        for key in path[:-1]:
            table = table.setdefault(key, {})
        table[path[-1]] = to
        return self.compress()

    def data(self, **changes: Any) -> list[str]:
        """The command on other arrays; None leaves one out."""
        arrays = {**self.arrays(), **changes}
        np.savez(self.path / "mine.npz", **{key: value for key, value in arrays.items() if value is not None})
        return self.changed("data", "use", to=str(self.path / "mine.npz"))

    def file(self, name: str, content: bytes | str = b"nothing") -> str:
        """A file, and its path."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def module(self, code: str) -> str:
        """A module of the user's beside the recipe, and its name."""
        name = f"mine_{hashlib.sha256(code.encode()).hexdigest()[:8]}"
        self.file(f"{name}.py", code)
        return name

    def artifact(self) -> Path:
        """A deployed network of three classes."""
        spec = Spec("attar.network.architectures:mlp", {"inputs": 6, "classes": 3, "hidden": [4]})
        folder = self.path / "artifact"
        deploy(
            spec.build(),
            "torch",
            folder,
            task=Classification(("ant", "bee", "cat")),
            example=torch.zeros(1, 6),
            spec=spec,
        )
        return folder

    def measure(self, folder: Path, *more: str) -> list[str]:
        """The command that measures an artifact on the arrays."""
        np.savez(self.path / "mine.npz", **self.arrays())
        return ["measure", str(folder), "--data", str(self.path / "mine.npz"), *more]

    def weights(self) -> str:
        """Weights of the teacher, whole."""
        save_weights(mlp(6, 3, [24]), self.path / "weights.safetensors")
        return str(self.path / "weights.safetensors")


def nan(place: Place) -> list[str]:
    x = place.arrays()["x"]
    x[7, 2] = np.nan
    return place.data(x=x)


def empty_class(place: Place) -> list[str]:
    arrays = place.arrays()
    rows = arrays["y"] != 1
    return place.data(x=arrays["x"][rows], y=arrays["y"][rows])


def edit_manifest(place: Place, change: Callable[[dict[str, Any]], None]) -> list[str]:
    folder = place.artifact()
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    change(manifest)
    (folder / "manifest.json").write_text(to_text(manifest), encoding="utf-8")
    return place.measure(folder)


def other_file(manifest: dict[str, Any]) -> None:
    manifest["files"].append({**manifest["files"][0], "name": "../x"})


def other_package(manifest: dict[str, Any]) -> None:
    manifest["network"]["reference"] = "os:system"


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def damaged_artifact(place: Place) -> list[str]:
    folder = place.artifact()
    flipped(folder / "student.safetensors")
    return place.measure(folder)


def damaged_store(place: Place) -> list[str]:
    command = place.compress()
    assert run(["label", *command[1:]]) == 0
    flipped(next((place.path / "out").rglob("shard-*.parquet")))
    return command


def damaged_record(place: Place) -> list[str]:
    command = place.compress()
    assert run(["label", *command[1:]]) == 0
    next((place.path / "out").rglob("node.json")).write_text("[]", encoding="utf-8")
    return command


def other_recipes_folder(place: Place) -> list[str]:
    with opened(place.path / "out", from_document({**place.recipe, "name": "other"})):
        pass
    return place.compress()


def full_disk(place: Place) -> list[str]:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    place.patch.setattr(os, "fsync", full)
    return place.compress()


def truncated_idx(place: Place) -> list[str]:
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        place.file(f"fashion/{name}-ubyte", b"\0\0\x08\x03\0\0")
    place.patch.setenv("ATTAR_DATA", str(place.path / "fashion"))
    return place.changed("data", "use", to="fashion-mnist")


def other_images(place: Place) -> list[str]:
    place.file("fashion/train-images-idx3-ubyte", b"GIF89a")
    for name in ("train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        place.file(f"fashion/{name}-ubyte")
    place.patch.setenv("ATTAR_DATA", str(place.path / "fashion"))
    return place.changed("data", "use", to="fashion-mnist")


def weights_cut(place: Place) -> list[str]:
    path = Path(place.weights())
    path.write_bytes(path.read_bytes()[:60])
    return place.changed("teacher", "weights", to=[str(path)])


def weights_of_another(place: Place) -> list[str]:
    save_weights(mlp(6, 3, [9]), place.path / "other.safetensors")
    return place.changed("teacher", "weights", to=[str(place.path / "other.safetensors")])


def weights_of_another_kind(place: Place) -> list[str]:
    save_weights(torch.nn.Conv2d(1, 1, 3), place.path / "other.safetensors")
    return place.changed("teacher", "weights", to=[str(place.path / "other.safetensors")])


def as_onnx(place: Place, path: str) -> list[str]:
    return place.changed("teacher", to={"onnx": [path]})


def hidden_labels(place: Place) -> list[str]:
    return place.changed("transfer", "labels", to=False)


def judged_teacher(place: Place) -> list[str]:
    return place.changed("objective", "its", to={"use": "hard_labels", "of": "teacher"})


def data_function(place: Place, code: str) -> list[str]:
    return place.changed("data", "use", to=f"{place.module(code)}:data")


RAISING = "def data():\n    return 1 / 0"
EXITING = "def data():\n    raise SystemExit('enough')"


FAILING = """
from torch import nn

class Network(nn.Linear):
    def forward(self, x):
        return {}["x"]

def network():
    return Network(6, 3)
"""
NAN = """
from torch import nn

class Network(nn.Linear):
    def forward(self, x):
        return super().forward(x) / 0 * 0

def network():
    return Network(6, 3)
"""


SCANNED = """
from torch import nn

class Scanned(nn.Linear):
    def forward(self, x):
        return super().forward(x).cumsum(-1)

def network():
    return nn.Sequential(Scanned(6, 8), nn.ReLU(), Scanned(8, 3))
"""


def pruning(place: Place, protect: list[str] | None = None, **to: Any) -> list[str]:
    """A student whose second step is to prune."""
    step = {"use": "prune", "to": to, "protect": protect or []}
    return place.changed("student", "steps", to=[{"use": "distill"}, step])


def pruned(place: Place, code: str) -> list[str]:
    pruning(place, macs="0.5x")
    return network_function(place, code)


def estimator_to_prune(place: Place) -> list[str]:
    place.recipe["teacher"] = {"estimator": "sklearn.svm:SVC", "fit": True}
    return place.changed("student", to={"start": "teacher", "steps": [{"use": "prune", "to": {"macs": "0.5x"}}]})


def no_weight(place: Place) -> list[str]:
    for term in place.recipe["objective"].values():
        term["weight"] = 0.0
    return place.compress()


def milestones(place: Place, epochs: list[int]) -> list[str]:
    place.recipe["student"]["training"] |= {"schedule": "multistep", "milestones": epochs}
    return place.compress()


def argument(place: Place, name: str, value: Any) -> list[str]:
    return place.changed("student", "network", "arguments", name, to=value)


def huge_recipe(place: Place) -> list[str]:
    return ["compress", place.file("x.toml", b"#" * 1_000_001)]


def network_function(place: Place, code: str) -> list[str]:
    return place.changed("student", "network", to={"use": f"{place.module(code)}:network"})


def report_of(place: Place, evidence: str | None) -> list[str]:
    (place.path / "out").mkdir()
    if evidence is not None:
        place.file("out/evidence.json", evidence)
    return ["report", str(place.path / "out")]


def altered_evidence() -> str:
    return to_text({"verdict": {"difference": 0.01}}).replace("0.01", "0.91")


def removed(folder: Path, name: str) -> Path:
    (folder / name).unlink()
    return folder


Case = tuple[str, Callable[[Place], list[str]], tuple[str, ...]]

CASES: list[Case] = [
    # the recipe as a file
    ("no such recipe", lambda p: ["compress", "digit"], ("'digit'", "Did you mean 'digits'?")),
    ("not TOML", lambda p: ["compress", p.file("x.toml", "name = \nseed = 0")], ("must be a TOML file", "line 1")),
    ("not text", lambda p: ["compress", p.file("x.toml", b"\xff\xfe\0")], ("must be a TOML file",)),
    ("a folder as recipe", lambda p: ["compress", str(p.path)], ("is a folder", "attar copy digits")),
    ("a folder with a recipe", lambda p: ["compress", (p.compress(), str(p.path))[1]], ("It holds 'recipe.toml'",)),
    (
        "data as recipe",
        lambda p: ["compress", p.file("x.csv")],
        ("x.csv is data", "--teacher big.onnx", "data.target=COLUMN"),
    ),
    ("a model as recipe", lambda p: ["compress", p.file("x.onnx")], ("x.onnx is a model", "teacher.onnx")),
    (
        "a typo in a path",
        lambda p: ["compress", (p.compress(), str(p.path / "recpe.toml"))[1]],
        ("recpe.toml", "Did you mean", "recipe.toml'?"),
    ),
    (
        "a key of a table that is complete",
        lambda p: ["compress", p.file("x.toml", 'student = { start = "teacher" }\nstudent.training = { epochs = 9 }')],
        ("adds to student outside of its braces", "inside of the braces", "as a table [student]"),
    ),
    (
        "a study as recipe",
        lambda p: ["compress", "papers/fisher-pruning-2018"],
        ("a recipe, not a study; got 'papers/fisher-pruning-2018'", "Use attar study papers/fisher-pruning-2018"),
    ),
    ("a folder that is not there", lambda p: ["compress", "no/such.toml"], ("There is no folder 'no'",)),
    ("a huge recipe", huge_recipe, ("1,000,001 bytes", "at most 1,000,000")),
    ("a deep recipe", lambda p: ["compress", p.file("x.toml", "a = " + "[" * 100_000)], ("nested this deep",)),
    ("deep keys", lambda p: ["compress", p.file("x.toml", ".".join("a" * 5000) + " = 1")], ("nested deeper than 32",)),
    ("a long number", lambda p: ["compress", p.file("x.toml", f"seed = {'9' * 10_000}")], ("thousands of digits",)),
    ("a long hex", lambda p: ["compress", p.file("x.toml", f"seed = 0x{'9' * 9_000}")], ("seed", "at most 300 digits")),
    ("NUL in a recipe", lambda p: p.changed("data", "use", to="a\0.npz"), ("data.use holds a NUL",)),
    ("a long path in a recipe", lambda p: p.changed("data", "use", to="x" * 5000), ("data.use is too long",)),
    ("unknown key", lambda p: p.changed("student", "sedes", to=2), ("student.sedes", "'seeds'")),
    ("unknown table", lambda p: p.changed("objektive", to={}), ("objektive", "'objective'")),
    ("wrong type", lambda p: p.changed("seed", to="one"), ("seed must be a whole number", "'one'")),
    ("a bad unit", lambda p: p.changed("budget", "bytes", to="30 KB"), ("budget.bytes", "'30 KB'", "mean 'kB'?")),
    ("a number in quotes", lambda p: p.changed("seed", to="3"), ("seed must be", "got '3'. Leave the quotes out.")),
    (
        "a share in percent",
        lambda p: p.changed("transfer", "share", to="10%"),
        ("share must be a number", "Write 0.1 for 10%."),
    ),
    (
        "a text for a list",
        lambda p: p.changed("artifacts", "runtimes", to="torch"),
        ("artifacts.runtimes must be a list", 'Write ["torch"].'),
    ),
    ("a file for a table", lambda p: p.changed("data", to="mine.npz"), ("data must be a table; got 'mine.npz'",)),
    (
        "a misspelt choice",
        lambda p: p.changed("student", "training", "optimizer", to="adamm"),
        ("student.training: optimizer must be 'sgd'", "Did you mean 'adam' or 'adamw'?"),
    ),
    ("a step without use", lambda p: p.changed("student", "steps", to=[{}]), ("key student.steps.0.use is missing",)),
    (
        "a misspelt step",
        lambda p: p.changed("student", "steps", to=[{"use": "distil"}]),
        ("student.steps.0.use must be one of", "Did you mean 'distill'?"),
    ),
    ("missing key", lambda p: p.changed("data", to={}), ("data.use", "missing")),
    ("unknown loss", lambda p: p.changed("objective", "soft", "use", to="sof_targets"), ("'soft_targets'",)),
    (
        "NaN rate",
        lambda p: p.changed("student", "training", "learning_rate", to=float("nan")),
        ("learning_rate", "nan"),
    ),
    ("temperature 0", lambda p: p.changed("objective", "soft", "temperature", to=0), ("temperature", "greater than 0")),
    ("negative weight", lambda p: p.changed("objective", "soft", "weight", to=-1.0), ("weight", "-1.0")),
    ("no epochs", lambda p: p.changed("student", "training", "epochs", to=0), ("epochs", "greater than 0")),
    ("labels hidden", hidden_labels, ("hard_labels", "transfer.labels = true")),
    ("teacher judged", judged_teacher, ('of = "teacher"', "teacher.learns = true")),
    ("mean alone", lambda p: p.changed("student", "network", "mean", to=[0.5]), ("mean and std", "both or neither")),
    ("top_k too large", lambda p: p.changed("transfer", "top_k", to=9), ("transfer.top_k", "below 3", "got 9")),
    ("climbing name", lambda p: p.changed("name", to="a/../../b"), ("name must be of letters", "title")),
    # flags
    ("a long number in --set", lambda p: p.compress(None, "--set", "seed=" + "9" * 10_000), ("--set", "digits")),
    ("a deep --set", lambda p: p.compress(None, "--set", "seed=" + "[" * 100_000), ("--set", "deeply nested")),
    ("deep keys in --set", lambda p: p.compress(None, "--set", "a." * 5000 + "b=1"), ("--set", "at most 32 keys")),
    ("a surrogate", lambda p: ["compress", "\udcff.toml"], ("no UTF-8", "\\udcff.toml")),
    ("NUL", lambda p: ["compress", "a\0.toml"], ("NUL",)),
    (
        "a long path in place of a verb",
        lambda p: ["a" * 5000],
        ("An argument of the command line", "too long (5,000 characters)"),
    ),
    ("a long path", lambda p: ["compress", "a" * 5000], ("too long (5,000 characters)",)),
    ("a long folder", lambda p: p.compress(None, "--out", "a" * 5000), ("too long (5,000 characters)",)),
    ("a long file of a study", lambda p: ["study", "a" * 5000 + ".toml"], ("too long",)),
    ("a long file to copy to", lambda p: ["copy", "digits", "a" * 5000], ("too long",)),
    ("a surrogate in --out", lambda p: p.compress(None, "--out=\udcff"), ("no UTF-8",)),
    ("allow of a path", lambda p: p.compress(None, "--allow", "./x.py"), ("allow", "names of packages")),
    ("--set without value", lambda p: p.compress(None, "--set", "seed"), ("--set", "dotted.key=value", "'seed'")),
    ("--set below a value", lambda p: p.compress(None, "--set", "name.x=1"), ("--set", "'name' is a value")),
    ("--set unknown", lambda p: p.compress(None, "--set", "student.seed=1"), ("student.seed",)),
    ("no such device", lambda p: p.compress(None, "--device", "tpu"), ("device", "'tpu'", "cpu")),
    ("a number of the CPU", lambda p: p.compress(None, "--device", "cpu:3"), ("device", "'cpu:3'")),
    ("too many threads", lambda p: p.changed("threads", to=100_000), ("threads", "at most", "100000")),
    ("unknown flag", lambda p: p.compress(None, "--fast"), ("--fast", "attar --help")),
    ("no such verb", lambda p: ["distill"], ("distill", "attar --help")),
    ("no argument", lambda p: ["compress"], ("RECIPE", "attar --help")),
    ("negative seed", lambda p: p.compress(None, "--seed", "-1"), ("--seed", "attar --help")),
    # the run folder
    ("another recipe's folder", other_recipes_folder, ("--out", "'tiny'", "'other'")),
    ("a foreign folder", lambda p: (p.file("out/thesis.tex"), p.compress())[1], ("--out", "new or empty folder")),
    ("a file as folder", lambda p: (p.file("out"), p.compress())[1], ("--out", "a folder")),
    ("an unwritable folder", lambda p: [*p.compress()[:3], p.file("file") + "/run"], ("Not a directory", "--out")),
    ("a full disk", full_disk, ("No space left on device", "Free space")),
    ("a stage's record damaged", damaged_record, ("node.json", "Delete the folder")),
    ("a store's part damaged", damaged_store, ("shard-", ".parquet")),
    # data
    ("no such data", lambda p: p.changed("data", "use", to="digit"), ("'digit'", "Did you mean 'digits'?")),
    ("no such file", lambda p: p.changed("data", "use", to="none.npz"), ("'none.npz'", "there is no file")),
    ("not an archive", lambda p: p.changed("data", "use", to=p.file("x.npz")), ("x.npz", ".npz archive")),
    ("no labels in the archive", lambda p: p.data(y=None), ("arrays", "Add 'y'")),
    ("objects in the archive", lambda p: p.data(x=np.array([{}, {}], dtype=object)), ("mine.npz", "Python objects")),
    ("labels of another length", lambda p: p.data(y=np.zeros(7, dtype=int)), ("as long as x", "7 rows")),
    ("labels out of range", lambda p: p.data(y=np.arange(200) % 5), ("from 0 to 2", "got 4")),
    ("labels that are no numbers", lambda p: p.data(y=np.array(["a"] * 200)), ("y of", "Choose from 'ant'")),
    ("NaN in the data", nan, ("NaN or infinity in row 7", "Remove or repair")),
    ("an empty class", empty_class, ("of every class", "'bee'")),
    ("a flat input", lambda p: p.data(x=np.zeros(200, dtype="float32")), ("at least two axes", "(200,)")),
    ("a class that is not there", lambda p: p.changed("data", "classes", to=["ant", "be"]), ("classes", "'bee'")),
    ("too small a limit", lambda p: p.changed("data", "limit", to=2), ("limit", "at least 3")),
    ("truncated IDX", truncated_idx, ("train-images-idx3-ubyte", "bytes of header", "Delete the file")),
    ("another file as IDX", other_images, ("train-images-idx3-ubyte", "two zero bytes")),
    (
        "no such module",
        lambda p: p.changed("data", "use", to="no_such:data"),
        ("'no_such:data'", "not run", "--allow no_such"),
    ),
    ("no such function", lambda p: data_function(p, "def dta(): return 3"), (":data'", "Did you mean 'dta'?")),
    ("the system", lambda p: p.changed("data", "use", to="os:system"), ("data.use", "'os:system'", "--allow os")),
    ("the rest of Attar", lambda p: p.changed("data", "use", to="attar.cli.main:run"), ("data.use", "architectures")),
    ("a function that raises", lambda p: data_function(p, RAISING), ("ZeroDivisionError: division by zero", "line 2")),
    ("a function that exits", lambda p: data_function(p, EXITING), ("SystemExit: enough", "line 2")),
    ("a module that raises", lambda p: data_function(p, "1 / 0"), ("could not be imported: ZeroDivision", "line 1")),
    ("a module that is no Python", lambda p: data_function(p, "def data(:"), ("SyntaxError", "line 1")),
    ("a module that exits", lambda p: data_function(p, "raise SystemExit"), ("SystemExit", "line 1")),
    ("a function of nothing", lambda p: data_function(p, "def data(): return 3"), ("Dataset", "a int")),
    ("no row kept", lambda p: p.changed("transfer", "share", to=1e-9), ("share = 1e-09 of the examples leaves none",)),
    (
        "maps with a mark",
        lambda p: p.data(x=np.zeros((40, 1, 2, 2), "float32"), y=np.full((40, 2, 2), 255), classes=None),
        ("has 255, which is no class", "Write -1 where a position does not count"),
    ),
    (
        "no label known",
        lambda p: p.data(y=np.full(200, -1), classes=None),
        ("known for some rows of train; got no label",),
    ),
    # settings that cannot work
    (
        "a term that never starts",
        lambda p: p.changed("objective", "soft", "start_epoch", to=4),
        ("never start", "'soft'"),
    ),
    ("no weight", no_weight, ("weight", "greater than 0 for a term at least")),
    ("milestones in no order", lambda p: milestones(p, [3, 2]), ("milestones", "each after the one before", "[3, 2]")),
    ("a milestone twice", lambda p: milestones(p, [2, 2]), ("milestones", "each after the one before")),
    (
        "a runtime twice",
        lambda p: p.changed("artifacts", "runtimes", to=["torch", "torch"]),
        ("artifacts.runtimes", "'torch' twice"),
    ),
    ("very many epochs", lambda p: p.changed("student", "training", "epochs", to=10**18), ("epochs", "1,000,000")),
    ("very many views", lambda p: p.changed("transfer", to={"views": {"count": 10**9}}), ("transfer.views.count",)),
    ("very many members", lambda p: p.changed("teacher", "members", to=10**9), ("teacher.members", "1000")),
    (
        "flips of vectors",
        lambda p: p.changed("transfer", to={"views": {"flip": True}}),
        ("flip of transfer.views", "[6]"),
    ),
    ("shifts of vectors", lambda p: p.changed("teacher", "views", to={"shift": 1}), ("shift of teacher.views",)),
    ("a dropout of 1", lambda p: argument(p, "dropout", 1.0), ("student.network", "drops everything")),
    ("a hot temperature", lambda p: p.changed("objective", "soft", "temperature", to=1e30), ("temperature", "10,000")),
    ("a cold temperature", lambda p: p.changed("objective", "soft", "temperature", to=1e-30), ("temperature", "0.001")),
    ("a huge rate", lambda p: p.changed("student", "training", "learning_rate", to=1e9), ("learning_rate", "10,000")),
    ("a decay of 1", lambda p: p.changed("student", "training", "ema_decay", to=1.0), ("ema_decay", "between 0 and 1")),
    ("hours of timing", lambda p: p.changed("artifacts", "seconds", to=1e9), ("artifacts.seconds", "3600")),
    ("threads of timing", lambda p: p.changed("artifacts", "threads", to=100_000), ("artifacts.threads", "at most")),
    ("lr", lambda p: p.changed("student", "training", "lr", to=0.1), ("'lr'", "Did you mean 'learning_rate'?")),
    ("an empty name", lambda p: p.changed("name", to=""), ("name",)),
    ("a long name", lambda p: p.changed("name", to="a" * 300), ("name", "200")),
    (
        "a ramp that is over",
        lambda p: p.changed("objective", "soft", "weight", to={"start": 0.0, "end": 1.0, "epochs": 2.0, "begin": -3.0}),
        ("begin", "before the training begins"),
    ),
    # networks and teachers
    (
        "the name of a network alone",
        lambda p: p.changed("student", "network", "use", to="mlp"),
        (
            "student.network.use must be written package.module:function",
            "Did you mean 'attar.network.architectures:mlp'?",
        ),
    ),
    ("a width that is a slip", lambda p: argument(p, "hidden", [10**10]), ("more than half of the memory",)),
    ("a network that raises", lambda p: network_function(p, FAILING), ("student.network", "KeyError: 'x'", "line 6")),
    ("a network of NaN", lambda p: network_function(p, NAN), ("student.network", "NaN")),
    (
        "other inputs",
        lambda p: p.changed("student", "network", "arguments", "inputs", to=7),
        ("student.network", "inputs of shape (6,)"),
    ),
    (
        "other classes of the student",
        lambda p: p.changed("student", "network", "arguments", "classes", to=4),
        ("student.network", "gives 4 logits", "must give 3 logits"),
    ),
    (
        "other classes of the teacher",
        lambda p: p.changed("teacher", "network", "arguments", "classes", to=5),
        ("teacher.network", "gives 5 logits", "must give 3 logits"),
    ),
    (
        "an argument too many",
        lambda p: p.changed("student", "network", "arguments", "depth", to=5),
        ("arguments of attar.network.architectures:mlp", "'depth'"),
    ),
    (
        "a negative width",
        lambda p: p.changed("student", "network", "arguments", "hidden", to=[-4]),
        ("hidden of mlp", "-4"),
    ),
    ("a network that is none", lambda p: network_function(p, "def network(): return 3"), ("torch.nn.Module", "int")),
    (
        "weights missing",
        lambda p: p.changed("teacher", "weights", to=["no.safetensors"]),
        ("no.safetensors", "there is no file"),
    ),
    (
        "weights of torch.save",
        lambda p: p.changed("teacher", "weights", to=[p.file("mine.pt")]),
        ("mine.pt", "can run code", "save_file(torch.load('mine.pt', weights_only=True), 'mine.safetensors')"),
    ),
    ("weights cut", weights_cut, ("weights.safetensors", "whole safetensors file")),
    ("weights of another width", weights_of_another, ("other.safetensors", "of shape")),
    ("weights of another network", weights_of_another_kind, ("other.safetensors", "tensor names")),
    ("ONNX missing", lambda p: as_onnx(p, "no.onnx"), ("no.onnx", "there is no file")),
    ("ONNX that is none", lambda p: as_onnx(p, p.file("x.onnx")), ("x.onnx", "ONNX Runtime can read")),
    # pruning
    ("a target of nothing", pruning, ("student.steps.1.to", "must name one of latency, macs", "got none")),
    ("two targets", lambda p: pruning(p, macs="0.5x", bytes="0.5x"), ("student.steps.1.to", "got macs and bytes")),
    ("an unknown unit", lambda p: pruning(p, bytes="5 KB"), ("student.steps.1.to.bytes", "'5 KB'", "'kB'")),
    ("a latency without unit", lambda p: pruning(p, latency=2), ("student.steps.1.to.latency", "have a unit")),
    ("a target of 0", lambda p: pruning(p, macs="0x"), ("student.steps.1.to.macs", "greater than 0")),
    (
        "an impossible target",
        lambda p: pruning(p, macs="0.1x"),
        ("macs = '0.1x'", "Ask for macs = '0.", "x', which is"),
    ),
    ("a rule that protects none", lambda p: pruning(p, ["frist"], macs="0.5x"), ("student.steps.1", "'frist'")),
    ("channels that cannot be followed", lambda p: pruned(p, SCANNED), ("nothing that can be pruned", "0: ")),
    ("a pruned network that is none", lambda p: pruned(p, "def network(): return 3"), ("torch.nn.Module", "int")),
    ("an estimator to be pruned", estimator_to_prune, ("student.start", "one frozen network", "teacher.network")),
    # artifacts and evidence
    ("no artifact", lambda p: p.measure(p.path), ("manifest.json", "`deploy` wrote")),
    ("an artifact's byte", damaged_artifact, ("student.safetensors", "SHA-256 differs")),
    ("its file gone", lambda p: p.measure(removed(p.artifact(), "student.safetensors")), ("is missing",)),
    (
        "its manifest cut",
        lambda p: p.measure(Path(p.file("a/manifest.json", '{"a"')).parent),
        ("manifest.json", "not JSON at line 1"),
    ),
    ("its manifest climbing", lambda p: edit_manifest(p, other_file), ("plain names inside", "'../x'")),
    ("its manifest running code", lambda p: edit_manifest(p, other_package), ("os:system", "If you trust it")),
    ("data of other classes", lambda p: ["measure", str(p.artifact()), "--data", "digits"], ("--data", "'ant'")),
    ("a table alone", lambda p: ["measure", str(p.artifact()), "--data", "x.csv"], ("x.csv", "recipe.toml")),
    ("no such split", lambda p: p.measure(p.artifact(), "--split", "tset"), ("--split", "'tset'")),
    ("report before the end", lambda p: report_of(p, None), ("folder of a finished run", "attar compress")),
    ("evidence that is cut", lambda p: report_of(p, "{"), ("evidence.json", "not JSON")),
    ("evidence that is none", lambda p: report_of(p, "[1]"), ("evidence.json", "attar compress again")),
    ("evidence that was altered", lambda p: report_of(p, altered_evidence()), ("evidence.json", "'checksum' differs")),
    ("evidence without its sum", lambda p: report_of(p, '{"name": "x"}'), ("evidence.json", "has no 'checksum'")),
    (
        "evidence of another kind",
        lambda p: report_of(p, to_text({"models": [{"quality": {"accuracy": "93%"}}]})),
        ("no panels to draw", "attar compress again"),
    ),
    (
        "a page over the evidence",
        lambda p: ["compare", str(p.path), "--html", "run/evidence.json"],
        ("--html of attar compare", "an .html file"),
    ),
    ("a page without a name", lambda p: ["compare", str(p.path), "--html", ""], ("--html", "compared.html")),
    ("copy onto a file", lambda p: ["copy", "digits", p.file("mine.toml")], ("FILE", "exists already")),
    ("copy of nothing", lambda p: ["copy", "digit", "x.toml"], ("No shipped recipe", "Did you mean 'digits'?")),
    ("copy to nowhere", lambda p: ["copy", "digits", str(p.path / "no" / "x.toml")], ("No such file or directory",)),
]


@pytest.fixture
def place(
    tmp_path: Path, tiny: Document, arrays: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> Place:
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path, tiny, arrays, monkeypatch)


def test_the_table_is_long_and_names_each_case_once() -> None:
    assert len(CASES) >= 45
    assert len({name for name, _, _ in CASES}) == len(CASES)


@pytest.mark.parametrize(("case", "said"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_bad_input_is_told_in_one_line(
    case: Callable[[Place], list[str]], said: tuple[str, ...], place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    right = from_document(copy.deepcopy(place.recipe))
    command = case(place)
    capsys.readouterr()
    code = run(command)
    out, err = capsys.readouterr()
    err = re.sub(r"^\d/\d .*\n", "", err, flags=re.MULTILINE)  # the stages until there
    assert code == 2, err
    assert out == ""
    assert err.startswith("attar: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert err.rstrip().endswith((".", "?", ".)", "ubyte")), err
    for part in said:
        assert part in err
    # The corrected command is not in the way of what is left: the folder opens, whatever was not there before.
    folder = place.path / "out"
    if command[0] == "compress" and not {"--out", "new or empty folder", "a folder"} & set(said):
        place.patch.undo()
        with opened(folder, right):
            pass


def test_the_corrected_command_goes_through_after_a_full_disk(place: Place) -> None:
    with pytest.MonkeyPatch.context() as patch:
        place.patch = patch
        assert run(full_disk(place)) == 2
    assert run(place.compress()) == 0


def test_the_corrected_command_goes_through_after_damaged_stages(place: Place) -> None:
    command = damaged_store(place)
    assert run(command) == 2
    shutil.rmtree(next((place.path / "out" / "nodes").glob("targets-*")))
    assert run(command) == 0
