"""What people bring: does each way in work as the documents say, in how many lines and how long?

    python benchmarks/what_people_bring.py            # all rows
    python benchmarks/what_people_bring.py --rows "an image folder"

A row is what somebody has (made here, small) and what they write, which is taken from the pages of the documentation:
files, commands of attar and Python. Each row is done in an empty folder and a process of its own, which is forked from
one that has everything imported, and checked by what it leaves. What is in ``SHORT`` goes with every command that
trains, so that a row takes seconds; it is no line of the user's.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import io
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
import torch._dynamo  # which the first optimizer imports
from result import RESULTS, write
from torch import nn

MOST_LINES = 10

SHORT = (
    *("--set", "student.training.epochs=4", "--set", 'artifacts.runtimes=["onnxruntime"]'),
    *("--set", "artifacts.int8=false", "--set", "artifacts.seconds=0.05", "--budget", "quality_loss<=100%"),
)

WHAT = (
    "Things that people bring, each done in an empty folder with the lines that the pages of docs/ and the "
    "README have for it. 'lines' are those that the user writes: of files that are written for Attar, of Python and of "
    "the command line, without empty ones; what they have already, such as their data, model and its class, does not "
    "count. 'seconds' are those of a processor from the first line to the last, of small data and few epochs (options "
    "that make it short stand in 'short'), in a process that is forked from one with everything imported. 'errors' are "
    "tracebacks and refusals on the way, 'found' is what was seen at the end."
)


@dataclass
class Row:
    """Something that somebody brings.

    Attributes:
        has: Makes what they have, in the working folder.
        files: What they write, by the name of the file.
        does: Commands that begin with attar, and Python; in order.
        check: Sees that all is there, from what was printed; what it says goes into the results.
        page: Where the lines are from.
    """

    has: Callable[[], None]
    does: list[str]
    check: Callable[[str], str]
    page: str
    files: dict[str, str] = field(default_factory=dict)

    @property
    def lines(self) -> int:
        texts = [*self.files.values(), *self.does]
        return sum(bool(line.strip()) for text in texts for line in text.splitlines())


CLASS = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))

    def forward(self, x):
        return self.layers(x)
"""

SETS = """
import numpy
import torch
from torch.utils.data import TensorDataset, random_split


def data():
    arrays = numpy.load("my.npz")
    pairs = TensorDataset(torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"]))
    train, test = random_split(pairs, [480, 120], torch.Generator().manual_seed(0))
    return {"train": train, "test": test}
"""

MAPS = """
from torch import nn


def net():
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 1))
"""

TIMM = """
import torch
from torch import nn


def net():  # as timm.create_model("resnet18", checkpoint_path=..., num_classes=10) gives one
    torch.manual_seed(0)
    made = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 10))
    made.pretrained_cfg = {"input_size": (3, 16, 16), "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    return made
"""


def digits() -> tuple[Any, Any]:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return (x[:600] / 16).astype("float32").reshape(-1, 1, 8, 8), y[:600]


def arrays() -> None:
    x, y = digits()
    np.savez("my.npz", x=x, y=y)


def trained(net: nn.Module, x: Any, y: Any, loss: Any = nn.functional.cross_entropy, steps: int = 150) -> nn.Module:
    inputs, truth = torch.as_tensor(x), torch.as_tensor(y)
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(net(inputs), truth).backward()
        optimizer.step()
    return net.eval()


def own_class() -> None:
    from safetensors.torch import save_file

    arrays()
    Path("mine.py").write_text(CLASS, encoding="utf-8")
    names: dict[str, Any] = {}
    exec(CLASS, names)
    save_file(trained(names["Net"](), *digits()).state_dict(), "big.safetensors")


def own_onnx() -> None:
    arrays()
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    exported(trained(net, *digits()), torch.zeros(2, 1, 8, 8))


def exported(net: nn.Module, example: Any) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        batch = {"x": {0: torch.export.Dim("batch")}}
        names = {"input_names": ["x"], "output_names": ["y"]}
        torch.onnx.export(net, (example,), "big.onnx", dynamo=True, **names, dynamic_shapes=tuple(batch.values()))


def orders() -> Any:
    import pandas

    draws = np.random.default_rng(0)
    frame = pandas.DataFrame({
        "amount": draws.gamma(2, 50, 600).round(2), "items": draws.integers(1, 9, 600),
        "country": draws.choice(["DE", "FR", "PL"], 600),
    })  # fmt: skip
    frame["paid"] = np.where(frame.amount / frame["items"] + draws.normal(0, 3, 600) < 25, "yes", "no")
    return frame


def booster() -> None:
    import lightgbm

    frame = orders()
    frame.to_csv("orders.csv", index=False)
    rows = frame[["amount", "items", "country"]].astype({"country": "category"})
    model = lightgbm.LGBMClassifier(n_estimators=20, verbose=-1).fit(rows, (frame.paid == "yes").astype(int))
    model.booster_.save_model("model.txt")


def many_files() -> None:
    import pandas

    booster()
    Path("orders").mkdir()
    frame = pandas.read_csv("orders.csv")
    for number in range(3):
        frame[number * 200 : number * 200 + 200].to_parquet(Path("orders") / f"{number}.parquet", index=False)


def torch_sets() -> None:
    own_onnx()
    Path("mine.py").write_text(SETS, encoding="utf-8")


def pictures() -> None:
    from PIL import Image

    x, y = digits()
    for number, (image, label) in enumerate(zip(x, y, strict=True)):
        path = Path("images") / f"digit {label}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image[0] * 255).astype(np.uint8)).resize((11, 9 + number % 3)).save(path)
    own_onnx()


def texts() -> None:
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    words = ["good", "great", "fine", "bad", "poor", "dull", "the", "movie", "was", "and", "a", "plot"]
    Path("vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]), encoding="utf-8")
    BertTokenizerFast("vocab.txt").save_pretrained("sentiment-bert")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    labels = {0: "negative", 1: "positive"}
    config = BertConfig(vocab_size=17, max_position_embeddings=16, num_labels=2, id2label=labels, **sizes)
    BertForSequenceClassification(config).eval().save_pretrained("sentiment-bert")
    draws = np.random.default_rng(0)
    y = np.arange(400) % 2
    Path("reviews.json").write_text(json.dumps({
        "texts": [f"the movie was {words[(0 if one else 3) + draws.integers(3)]} and a plot" for one in y],
        "y": y.tolist(),
    }), encoding="utf-8")  # fmt: skip


def of_timm() -> None:
    x, y = digits()
    np.savez("images.npz", x=(x * 255).astype(np.uint8), y=y)
    Path("mine.py").write_text(TIMM, encoding="utf-8")


def houses() -> None:
    import skops.io
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = orders().drop(columns="paid")
    frame["price"] = (frame.amount * 2 + frame["items"] * 10.5).round(2)
    frame.to_csv("houses.csv", index=False)
    encoded = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["country"]), remainder="passthrough")
    forest = make_pipeline(encoded, RandomForestRegressor(20, random_state=0))
    skops.io.dump(forest.fit(frame.drop(columns="price"), frame.price), "forest.skops")


def labels() -> None:
    x, y = digits()
    several = np.stack([y % 2, y > 4, y % 3 == 0], 1).astype(np.int64)
    np.savez("several.npz", x=x, y=several)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 3))
    exported(
        trained(net, x, several.astype("float32"), nn.functional.binary_cross_entropy_with_logits),
        torch.zeros(2, 1, 8, 8),
    )


def maps() -> None:
    x, _ = digits()
    np.savez("maps.npz", x=x, y=np.where(x[:, 0] > 0.6, 2, (x[:, 0] > 0.2).astype(int)))
    from safetensors.torch import save_file

    Path("mine.py").write_text(MAPS, encoding="utf-8")
    names: dict[str, Any] = {}
    exec(MAPS, names)
    truth = torch.from_numpy(np.load("maps.npz")["y"])
    save_file(trained(names["net"](), x, truth, steps=60).state_dict(), "big.safetensors")


def finished() -> None:
    own_onnx()
    attar_("attar compress my.npz --teacher big.onnx --student tiny --out run")
    Path("run/artifact").rename("artifact")


def attar_(command: str) -> None:
    """A command of attar, as from the command line."""
    from attar.cli.main import run
    from attar.cli.outcome import DONE, NOT_MET, VALIDATION_ONLY

    words = shlex.split(command)[1:]
    code = run([*words, *(SHORT if words[0] == "compress" else ())])
    # After so few epochs a budget may be missed, which is no fault of the way in.
    if code not in (DONE, NOT_MET, VALIDATION_ONLY):
        raise RuntimeError(f"{command} ended with exit code {code}")


WITHOUT = """
import sys
for name in ("torch", "attar", "pandas", "sklearn"):
    sys.modules[name] = None  # as where they are not installed
import numpy as np
inputs = np.load("my.npz")["x"][:5]
"""


def without_attar(code: str) -> None:
    """Python in an interpreter that has NumPy, ONNX Runtime and the standard library."""
    done = subprocess.run([sys.executable, "-c", WITHOUT + code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    print(done.stdout)


def last(printed: str) -> str:
    """The last line that was printed."""
    return printed.strip().splitlines()[-1]


def shipped(folder: str) -> Callable[[str], str]:
    """That a run shipped something which answers, and what it answered."""

    def check(printed: str) -> str:
        evidence = json.loads((Path(folder) / "evidence.json").read_text(encoding="utf-8"))
        assert (Path(folder) / "artifact" / "manifest.json").is_file() and (Path(folder) / "report.html").is_file()
        return f"{evidence['winner']} ships; predict gives {last(printed)}"

    return check


def compared(printed: str) -> str:
    assert Path("compared.html").is_file() and all(f"runs/{one}" in printed for one in "abc"), printed
    return "a table of three rows, and compared.html"


def tracked(printed: str) -> str:
    import mlflow

    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    runs = mlflow.MlflowClient().search_runs([mlflow.get_experiment_by_name("attar").experiment_id])
    assert len(runs) == 1 and runs[0].data.metrics and runs[0].data.params
    return f"one run with {len(runs[0].data.params)} parameters and {len(runs[0].data.metrics)} figures in mlflow.db"


def predicting(folder: str, inputs: str) -> str:
    return f'import attar\nmodel = attar.load("{folder}/artifact")\nprint(model.predict({inputs}).tolist())'


FIVE = 'numpy.load("{file}")["x"][:5]'

NUMPY_AND_ONNX = """
import json
from pathlib import Path

import numpy as np
import onnxruntime

folder = Path("artifact")
manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
(logits,) = session.run(None, {session.get_inputs()[0].name: inputs.astype(np.float32)})
print([manifest["output"]["classes"][index] for index in logits.argmax(axis=1)])
"""

ROWS = {
    "own arrays and a torch class": Row(
        own_class,
        ["attar compress mine.toml", "import numpy\n" + predicting("runs/mine", FIVE.format(file="my.npz"))],
        shipped("runs/mine"),
        "own-teacher.md",
        {"mine.toml": 'name = "mine"\ndata.use = "my.npz"\nteacher.network.use = "mine:Net"\n'
                      'teacher.weights = ["big.safetensors"]\nstudent.network = "tiny"\n'},
    ),
    "a fitted LightGBM on a CSV": Row(
        booster,
        ["attar compress orders.csv --teacher model.txt --set data.target=paid --student tiny",
         predicting("runs/orders", '{"amount": 17.5, "items": 2, "country": "DE"}')],
        shipped("runs/orders"),
        "own-teacher.md",
    ),
    "a folder of Parquet files": Row(
        many_files,
        ["attar compress orders/ --teacher model.txt --set data.target=paid --student tiny",
         predicting("runs/orders", '{"amount": 17.5, "items": 2, "country": "DE"}')],
        shipped("runs/orders"),
        "own-data.md",
    ),
    "data sets of PyTorch from a function": Row(
        torch_sets,
        ["attar compress mine:data --teacher big.onnx --student tiny",
         "import numpy\n" + predicting("runs/mine-data", FIVE.format(file="my.npz"))],
        shipped("runs/mine-data"),
        "own-data.md",
    ),
    "an own ONNX file": Row(
        own_onnx,
        ['import attar\nrun = attar.compress(data="my.npz", teacher="big.onnx", student="tiny", '
         'budget="quality_loss<=50%, bytes<=50kB")\nprint(run)\n'
         'model = attar.load(run.folder / "artifact")\nimport numpy\n'
         'print(model.predict(numpy.load("my.npz")["x"][:5]))'],
        shipped("runs/my"),
        "README.md",
    ),
    "an image folder": Row(
        pictures,
        ["attar compress images/ --teacher big.onnx --set data.size=8 --student tiny",
         "attar measure runs/images/artifact --data images/",
         "import numpy\nfrom PIL import Image\n"
         'image = numpy.asarray(Image.open("images/digit 3/3.png").convert("L").resize((8, 8))).reshape(1, 1, 8, 8)\n'
         + predicting("runs/images", "image")],
        shipped("runs/images"),
        "own-data.md",
    ),
    "a Hugging Face classifier of texts": Row(
        texts,
        ["import json, numpy as np\nfrom transformers import AutoTokenizer\n"
         'texts, y = json.load(open("reviews.json")).values()\n'
         'tokenizer = AutoTokenizer.from_pretrained("sentiment-bert")\n'
         'np.savez("reviews.npz", **tokenizer(texts, padding=True, return_tensors="np"), y=y)',
         "attar compress reviews.npz --teacher sentiment-bert --student tiny",
         predicting("runs/reviews", 'tokenizer(["the movie was great"], return_tensors="np")')],
        shipped("runs/reviews"),
        "own-teacher.md",
    ),
    "a model of the kind of timm on images": Row(
        of_timm,
        ["attar compress images.npz --teacher mine:net --student tiny",
         "import numpy\n" + predicting("runs/images", FIVE.format(file="images.npz"))],
        shipped("runs/images"),
        "own-teacher.md",
    ),
    "regression": Row(
        houses,
        ["attar compress houses.csv --teacher forest.skops --set data.target=price --student tiny",
         predicting("runs/houses", '{"amount": 17.5, "items": 2, "country": "DE"}')],
        shipped("runs/houses"),
        "own-teacher.md",
    ),
    "several labels": Row(
        labels,
        ["attar compress several.npz --teacher big.onnx --set data.task=multilabel --student tiny",
         "import numpy\n" + predicting("runs/several", FIVE.format(file="several.npz"))],
        shipped("runs/several"),
        "own-data.md",
    ),
    "a class for each pixel": Row(
        maps,
        ["attar compress maps.toml", "import numpy\n" + predicting("runs/maps", FIVE.format(file="maps.npz")).replace(
            ".tolist()", ".shape")],
        shipped("runs/maps"),
        "own-data.md",
        {"maps.toml": 'name = "maps"\ndata.use = "maps.npz"\nteacher.network.use = "mine:net"\n'
                      'teacher.weights = ["big.safetensors"]\nstudent.network = "tiny"\n'},
    ),
    "deployment with NumPy and ONNX Runtime alone": Row(finished, [NUMPY_AND_ONNX], last, "deployment.md"),
    "three runs compared": Row(
        own_onnx,
        [*(f"attar compress my.npz --teacher big.onnx --student tiny --seed {seed} --out runs/{one}"
           for seed, one in enumerate("abc")),
         "attar compare runs/a runs/b runs/c --html compared.html"],
        compared,
        "recipes.md",
    ),
    "MLflow": Row(
        own_onnx,
        ["attar compress my.npz --teacher big.onnx --student tiny --set track=mlflow"],
        tracked,
        "recipes.md",
    ),
}  # fmt: skip


def taken() -> float:
    """Seconds of a processor that this process took, and those that it started."""
    return sum(one.ru_utime + one.ru_stime for one in map(resource.getrusage, _WHOSE))


_WHOSE = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def done(row: Row, place: Path) -> dict[str, Any]:
    """Do a row in a folder: lines, seconds, errors, and what was found."""
    place.mkdir(parents=True)
    os.chdir(place)
    sys.path.insert(0, str(place))
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    os.environ["XDG_CACHE_HOME"] = str(place / "cache")
    row.has()
    for name, text in row.files.items():
        Path(name).write_text(text, encoding="utf-8")
    printed, began, errors, found = io.StringIO(), taken(), [], ""
    session: dict[str, Any] = {}  # of Python, as in a notebook
    with contextlib.redirect_stdout(printed):
        try:
            for one in row.does:
                if one.startswith("attar "):
                    attar_(one)
                elif one is NUMPY_AND_ONNX:
                    without_attar(one)
                else:
                    exec(compile(one, "row", "exec"), session)
        except BaseException:
            errors.append(traceback.format_exc())
    seconds = round(taken() - began, 1)
    if not errors:
        try:
            found = row.check(printed.getvalue())
        except BaseException:
            errors.append(traceback.format_exc() + printed.getvalue()[-2000:])
    return {"lines": row.lines, "seconds": seconds, "errors": errors, "found": found, "page": row.page}


def started(row: Row, place: Path) -> int:
    """Start a row in a process of its own; its number."""
    sys.stdout.flush()
    process = os.fork()
    if process:
        return process
    try:
        written = done(row, place)
        (place / "row.json").write_text(json.dumps(written), encoding="utf-8")
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def warm() -> None:
    """Have imported what the rows import."""
    for name in (
        *("lightgbm", "onnxruntime", "pandas", "skops.io", "sklearn.ensemble", "transformers"),
        *("attar.cli.compare", "attar.cli.compress", "attar.cli.main", "attar.cli.measure"),
        *("attar.recipes.compress", "attar.recipes.plan", "attar.report.page"),
    ):
        importlib.import_module(name)
    import attar

    for name in attar.__all__:
        getattr(attar, name)
    gc.collect()
    gc.freeze()


def main() -> None:
    """Do the rows, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="*", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--at-once", type=int, default=1, help="rows that are done beside each other")
    parser.add_argument("--out", type=Path, default=RESULTS / "what_people_bring.json")
    asked = parser.parse_args()
    warm()
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as place:
        places = {name: Path(place).resolve() / f"row-{number}" for number, name in enumerate(asked.rows)}
        waiting, running = list(asked.rows), dict[int, str]()
        while waiting or running:
            while waiting and len(running) < asked.at_once:
                name = waiting.pop(0)
                running[started(ROWS[name], places[name])] = name
            name = running.pop(os.wait()[0])
            one = json.loads((places[name] / "row.json").read_text(encoding="utf-8"))
            one["errors"] = [error.replace(str(places[name]), "...") for error in one["errors"]]
            found[name] = one
            print(f"{name}: {one['lines']} lines, {one['seconds']} s, {one['found']}", *one["errors"], flush=True)
    found = {name: found[name] for name in asked.rows}
    claims = [
        {
            "claim": f"{name}: works in at most {MOST_LINES} lines, without an error",
            "aim": MOST_LINES,
            "reached": one["lines"],
            "met": one["lines"] <= MOST_LINES and not one["errors"],
        }
        for name, one in found.items()
    ]
    path = write(
        asked.out, what=WHAT, seed=0, packages=["lightgbm", "transformers"], settings={"short": list(SHORT)},
        claims=claims, summary=found, raw={"load_average": os.getloadavg()[0]},
    )  # fmt: skip
    print(f"claims met: {sum(claim['met'] for claim in claims)} of {len(claims)}; written to {path}")


if __name__ == "__main__":
    main()
