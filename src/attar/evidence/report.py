"""The page that shows a run: one HTML file that opens without a network and asks nothing of anybody.

`page` works out what is said, the template says it, and `render` binds both with the styles and scripts into one file.
Every part of the evidence document may be absent: it is left out, or its absence is said where it matters.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import vl_convert
from altair import SCHEMA_VERSION
from markupsafe import Markup

from attar.errors import must
from attar.evidence import units
from attar.evidence.page import ABSENT, page

_TEMPLATES = jinja2.PackageLoader("attar.evidence", "templates")


def render(document: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes the report of a run as one self-contained HTML file.

    The file is written whole or not at all. It makes no request when opened: styles, scripts, pictures and data are
    inside, and its Content-Security-Policy forbids everything else, scripts other than its own included.

    Args:
        document: The evidence document, plain JSON values; every part may be absent or None, and NaN is None.
        path: Where to write; folders on the way are made.

    Raises:
        BadInput: If the document holds something that JSON cannot.
    """
    try:
        # A round trip makes tuples lists, numbers that are keys text, NaN None, and a copy.
        plain = json.loads(json.dumps(document), parse_constant=lambda _: None)
    except (TypeError, ValueError) as error:
        remedy = "Turn arrays into lists and paths into text first"
        raise must("document", "render", f"made of plain JSON values ({error})", type(document), remedy) from error
    content = page(plain)
    environment = jinja2.Environment(
        loader=_TEMPLATES,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update({name: _or_absent(function) for name, function in _FILTERS.items()})
    scripts = (
        [_source("watch.js"), _chart_library(), _source("draw.js")] if content["charts"] else [_source("watch.js")]
    )
    html = environment.get_template("report.html.jinja").render(
        **content,
        absent=ABSENT,
        style=Markup(_source("report.css")),
        scripts=[Markup(script) for script in scripts],
        policy=_policy(scripts),
    )
    _write(Path(path), html)


_FILTERS: dict[str, Callable[..., str]] = {
    "percent": units.percent,
    "percent_interval": units.percent_interval,
    "points": units.points,
    "size": units.size,
    "count": units.count,
    "grouped": units.grouped,
    "milliseconds": units.milliseconds,
    "seconds": units.seconds,
    "small": units.small,
    "significant": units.significant,
}


def _or_absent(function: Callable[..., str]) -> Callable[..., str]:
    """The same formatter, that shows a dash for what is not there."""

    @functools.wraps(function)
    def format_or_dash(value: Any, *arguments: Any) -> str:
        return ABSENT if value is None else function(value, *arguments)

    return format_or_dash


def _source(name: str) -> str:
    source = resources.files("attar.evidence").joinpath("templates", name).read_text(encoding="utf-8")
    assert "</" not in source, f"{name} would end the element that it stands in"
    return source


@functools.cache
def _chart_library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, in the version whose schema Altair writes, else the newest."""
    wanted = ".".join(SCHEMA_VERSION.lstrip("v").split(".")[:2])
    carried = vl_convert.get_vegalite_versions()
    version = wanted if wanted in carried else carried[-1]
    library = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)
    # The characters of a script are what its hash is taken of, and a browser reads every line end as "\n".
    library = library.replace("\r\n", "\n").replace("\r", "\n")
    assert "</script" not in library.lower() and "<!--" not in library, "the library would end its own script element"
    return library


def _policy(scripts: Iterable[str]) -> str:
    """The Content-Security-Policy of the page: its own scripts by hash, inline styles, pictures as data, nothing else.

    References:
        *Content Security Policy Level 3*, W3C, sections 6.1 and 6.7.2.
    """
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace", newline="\n") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
