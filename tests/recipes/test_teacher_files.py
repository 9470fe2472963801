"""Recipes whose teacher is a file that another package wrote."""

from __future__ import annotations

from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
import pytest
import skops.io
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from attar.data.datasets import load
from attar.errors import BadInput
from attar.recipes.compress import label
from attar.recipes.plan import plan
from attar.recipes.schema.teacher import TeacherSection

DRAWS = np.random.default_rng(0)
FRAME = pd.DataFrame({"width": DRAWS.normal(size=120), "height": DRAWS.normal(size=120)})
PAID = FRAME["width"] + FRAME["height"] > 0


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a table, in which the user is."""
    monkeypatch.chdir(tmp_path)
    FRAME.assign(paid=np.where(PAID, "yes", "no")).to_csv("rows.csv", index=False)
    return tmp_path


def recipe(teacher: str) -> str:
    text = f'name = "mine"\ndata.use = "rows.csv"\ndata.target = "paid"\n{teacher}\n'
    Path("mine.toml").write_text(text)
    return "mine.toml"


def test_a_booster_whose_classes_are_numbers() -> None:
    """Its class 0 is yes, which the data name second."""
    rows = lightgbm.Dataset(FRAME[["height", "width"]], np.where(PAID, 0, 1))
    lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1}, rows, 10).save_model("model.txt")
    given = recipe('teacher.estimator = "model.txt"\nteacher.classes = ["yes", "no"]')
    text = str(plan(given))
    assert "1 model, given" in text and "has seen" in text and "teacher.fit" not in text
    stored = label(given, "run")
    logits = stored(None, torch.arange(len(stored)), 0)
    train = load("rows.csv", target="paid", validation=0.1, test=0.2, seed=0).train
    assert train.task.names == ("no", "yes")
    assert float((logits.argmax(1) == train.labels).float().mean()) > 0.9
    with pytest.raises(BadInput, match=r"^teacher.classes of the recipe must be one name for each of the 2 classes of"):
        plan(recipe('teacher.estimator = "model.txt"\nteacher.classes = ["yes", "no", "maybe"]'))
    rule = (
        r"^teacher.classes of the recipe must be the classes of the data, \['no', 'yes'\]; got \['Yes', 'No'\]\. Name"
    )
    with pytest.raises(BadInput, match=rule):
        plan(recipe('teacher.estimator = "model.txt"\nteacher.classes = ["Yes", "No"]'))


def test_an_estimator_of_a_function_whose_classes_are_numbers(folder: Path) -> None:
    Path("mine.py").write_text(
        "import pandas as pd\nfrom sklearn.linear_model import LogisticRegression\n\n\ndef numbered():\n"
        "    rows = pd.read_csv('rows.csv')\n"
        "    return LogisticRegression().fit(rows[['width', 'height']], (rows.paid == 'no').astype(int))\n"
    )
    with pytest.raises(BadInput, match=r"say which is which: in a recipe by teacher.classes, such as"):
        plan(recipe('teacher.estimator = "mine:numbered"'))
    stored = label(recipe('teacher.estimator = "mine:numbered"\nteacher.classes = ["yes", "no"]'), "run")
    train = load("rows.csv", target="paid", validation=0.1, test=0.2, seed=0).train
    agreed = stored(None, torch.arange(len(stored)), 0).argmax(1) == train.labels
    assert float(agreed.float().mean()) > 0.9


def test_a_file_of_skops_with_a_class_of_the_users(folder: Path) -> None:
    (folder / "own_steps.py").write_text("def doubled(rows):\n    return rows * 2\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        import own_steps  # type: ignore[import-not-found]

        model = make_pipeline(FunctionTransformer(own_steps.doubled), HistGradientBoostingClassifier(max_iter=5))
        model.fit(FRAME, np.where(PAID, "yes", "no"))
        skops.io.dump(model, "model.skops")
    assert "1 model, given" in str(plan(recipe('teacher.estimator = "model.skops"')))
    (folder / "own_steps.py").rename(folder / "other.py")
    with pytest.raises(BadInput, match=r"^'model.skops' holds own_steps.doubled, .* add --allow own_steps \(in Python"):
        plan(recipe('teacher.estimator = "model.skops"'))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"estimator": "model.pkl"}, r"must be a file that is read without running it; .*save the model with skops"),
        ({"estimator": "model"}, r"must be a file \(.skops, .txt, .json, .ubj, .cbm\) or package.module:function"),
        ({"estimator": "model.txt", "fit": True}, "a file holds a fitted model"),
        (
            {"estimator": "mine:make", "classes": ["a", "b"], "fit": True},
            "classes are for transformers, and for an estimator that is not fitted here",
        ),
    ],
)
def test_what_cannot_be(table: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TeacherSection.model_validate(table)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(
        BadInput, match=r"^teacher\.estimator: there is no file 'model\.txt' in the working folder\. Check the path\."
    ):
        plan(recipe('teacher.estimator = "model.txt"'))
