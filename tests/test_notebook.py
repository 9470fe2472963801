"""What a prompt and a notebook show of runs, artifacts and evidence: one line, and a small table without scripts."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from attar import notebook
from attar.data.datasets import from_arrays
from attar.deployment.artifact import load
from attar.deployment.deploy import deploy
from attar.evidence.document import EvidenceDocument
from attar.evidence.measure import measure
from attar.recipes.compress import Run
from attar.tasks.classification import Classification

HOSTILE = "<script>alert('x')</script>"


class Tags(HTMLParser):
    """The tags of a page, all of them closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open, self.seen, self.text = list[str](), set[str](), ""
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not attrs
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def document() -> EvidenceDocument:
    file = Path(__file__).parent / "report" / "sample_document.json"
    figures = json.loads(file.read_text(encoding="utf-8"))
    metric = {"name": "accuracy", "title": "accuracy", "higher_is_better": True, "unit": "share"}
    return EvidenceDocument({**figures, "task": {**figures["task"], "metrics": [metric]}})


def test_cells_are_escaped() -> None:
    page = Tags(notebook.table(HOSTILE, [[HOSTILE, HOSTILE], ["b", "c"]], [HOSTILE, ""], marked=[0]))
    assert page.seen == {"table", "caption", "thead", "tbody", "tr", "th", "td", "strong"}
    assert page.text.count(HOSTILE) == 4


def test_a_run_and_its_evidence_are_one_line_and_one_table(document: EvidenceDocument) -> None:
    run = Run(Path("runs/sample"), document)
    assert repr(run).startswith(f"Run({document['name']}: {document['winner']} ") and len(repr(run)) < 120
    assert "\n" not in repr(run) + repr(document) and len(repr(document)) < 160
    assert f"{len(document['models'])} models" in repr(document)
    page = Tags(run._repr_html_())
    assert page.text.count("ships") == 1 and all(one["name"] in page.text for one in document["models"])
    hostile = EvidenceDocument({**document, "models": [{**document["models"][0], "name": HOSTILE}], "winner": HOSTILE})
    assert "script" not in Tags(hostile._repr_html_()).seen


def test_evidence_that_is_no_run_has_a_line_too() -> None:
    assert repr(EvidenceDocument(winner="a", models=[])) == "EvidenceDocument(winner, models)"


def test_an_artifact_and_what_is_measured_of_it(tmp_path: Path) -> None:
    task = Classification(("0", HOSTILE))
    deploy(torch.nn.Linear(2, 2), "onnxruntime", tmp_path / "artifact", example=torch.zeros(1, 2), task=task)
    artifact = load(tmp_path / "artifact")
    assert repr(artifact).startswith("Artifact(onnxruntime fp32: ") and "[batch, 2] -> 2 classes" in repr(artifact)
    assert HOSTILE in Tags(artifact._repr_html_()).text
    data = from_arrays(np.eye(2, dtype="float32")[np.arange(40) % 2], np.arange(40) % 2)
    found = measure(artifact, data.test, seconds=0.01, memory=False)
    assert repr(found).startswith("Evidence(") and "% right" in repr(found) and "\n" not in repr(found)
    assert "95% interval" in Tags(found._repr_html_()).text
