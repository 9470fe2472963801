"""The documentation is built without a warning and without a network, and says what the code says."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import attar
from attar import interpreter
from attar.pipeline.objective import LOSSES
from attar.pipeline.steps import STEPS
from attar.quantization.formats.named import FORMATS
from attar.recipes.schema.recipe import Recipe
from attar.recipes.shipped import shipped

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What pages are filled by."""
    monkeypatch.syspath_prepend(DOCS)
    return importlib.import_module("generate.pages")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, built as CONTRIBUTING says, with warnings as errors; the notebook is run."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", str(folder / "doctrees")]
    done = subprocess.run(
        [*command, str(DOCS), str(folder / "html")], capture_output=True, text=True, env=interpreter.environment()
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.mark.slow
def test_every_page_is_built_and_can_be_reached(site: Path) -> None:
    index = (site / "index.html").read_text(encoding="utf-8")
    pages = {path.stem for path in [*DOCS.glob("*.md"), *DOCS.glob("*.ipynb")]}
    assert len(pages) > 12
    for page in pages - {"index"}:
        assert (site / f"{page}.html").is_file()
        assert f'href="{page}.html"' in index, f"{page} is in no table of contents"


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    for page in site.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|link|img|iframe)\b[^>]*(?:src|href)="(https?:[^"]*)"', text)
        assert not loaded, f"{page.name} loads {loaded}"


def test_the_notebook_was_run(site: Path) -> None:
    text = (site / "first-model.html").read_text(encoding="utf-8")
    assert re.search("[0-9.]+\u00d7 smaller", text), "what the run says"
    assert "<td>onnxruntime fp32</td>" in text or "onnxruntime fp32</th>" in text, "the table of its models"


def test_the_notebook_is_committed_without_outputs() -> None:
    notebook = json.loads((DOCS / "first-model.ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(code) > 4
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)


def test_the_api_has_every_public_name(site: Path) -> None:
    text = (site / "api.html").read_text(encoding="utf-8")
    for name in attar.__all__:
        assert f'id="attar.{name}"' in text or name == "__version__", name


def test_the_reference_has_every_key_of_a_recipe(generate: ModuleType) -> None:
    text = generate.PARTS["recipe keys"]()
    keys = importlib.import_module("generate.recipe_keys")
    tables = dict(keys.tables_of(Recipe))
    assert len(tables) > 12
    for path, section in [("", Recipe), *tables.items(), *STEPS.items()]:
        if path and path not in STEPS:
            assert f"### `[{path}]`" in text
        for key in section.model_fields:
            assert f"| `{key}` |" in text or key == "use", f"{path}.{key}"
    for name in [*LOSSES, *FORMATS, *shipped()]:
        assert f"`{name}`" in text, name
    assert '`"50 kB"`' not in text, "limits have no default but one"
    assert '| `quality_loss` | limit | `"1%"` |' in text


def test_a_key_says_its_type_bounds_and_default(generate: ModuleType) -> None:
    text = generate.PARTS["recipe keys"]()
    assert "| `seeds` | whole number, at least 1, at most 20 | `1` |" in text
    assert '| `start` | `"fresh"`, `"teacher"` | `"fresh"` |' in text
    assert "| `use` | text | must be given |" in text
    assert "| `temperature` | number or ramp | `4.0` |" in text


def test_claims_and_papers_are_those_of_the_results(generate: ModuleType) -> None:
    claims, escaped = generate.PARTS["claims"](), importlib.import_module("generate.markdown").escaped
    results = {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "benchmarks/results").glob("*.json")
    }
    for name, document in results.items():
        assert f"### {name}\n" in claims
        for claim in document["claims"]:
            assert escaped(claim["claim"]).replace("|", r"\|") in claims, claim["claim"]
    assert claims.count("| **no** |") == sum(
        one["met"] is False for document in results.values() for one in document["claims"]
    )


def test_figures_from_memory_are_marked(generate: ModuleType) -> None:
    studies = generate.PARTS["studies"]().replace("\N{NO-BREAK SPACE}", " ")
    assert "93.02% ± 0.05 (88.00%†)" in studies, "of the paper of 2018, which was not read"
    assert "90.19% ± 0.08 (99.26%)" in studies, "of the paper of 2015, which was"
    rows = [row for row in generate.PARTS["claims"]().splitlines() if "from memory" in row]
    assert len(rows) > 10 and all("†" in row.split(" | ")[1] for row in rows), "aims that are figures of a paper"


def test_text_of_results_is_no_markup(generate: ModuleType) -> None:
    results = importlib.import_module("generate.results")
    hostile = '<script>alert(1)</script> `a` *b* [c](javascript:d) "e" & | f'
    row = results.table(
        ("claim",), [results._claim({"claim": hostile, "note": hostile, "aim": 1, "reached": 1, "met": True})]
    )
    html = importlib.import_module("markdown_it").MarkdownIt("commonmark").enable("table").render(row)
    assert "<script" not in html and "<a " not in html and "<code" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt; `a` *b* [c](javascript:d)") == 2


def test_a_part_that_does_not_exist_is_an_error(generate: ModuleType) -> None:
    assert generate.filled("no mark") == "no mark"
    with pytest.raises(KeyError, match="nothing"):
        generate.filled("<!-- generated: nothing -->")
