"""One self-contained HTML file: it opens without a network, loads nothing else, and runs its own scripts only.

What every page of Attar shares: the look, the library of the charts, the policy, the escaping and the way to the disk.
What a page shows is the business of its own file and template.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import vl_convert
from altair import SCHEMA_VERSION
from markupsafe import Markup

from attar import formatting
from attar.errors import must
from attar.workspace import write_file

_TEMPLATES = jinja2.PackageLoader("attar.report", "templates")


def as_json(document: Mapping[str, Any], of: str) -> dict[str, Any]:
    """A copy of a document as JSON has it: lists for tuples, text for keys, None for what is not a number.

    Args:
        document: What to copy.
        of: The function that was given it, for the message of the error.

    Raises:
        BadInput: If the document holds something that JSON cannot.
    """
    try:
        copy: dict[str, Any] = json.loads(json.dumps(document), parse_constant=lambda _: None)
    except (TypeError, ValueError) as error:
        remedy = "Turn arrays into lists and paths into text first"
        raise must("document", of, f"made of JSON values ({error})", type(document), remedy) from error
    return copy


def text_of(document: Mapping[str, Any], key: str, of: str) -> str | None:
    """A text of a document; None where it is absent.

    Args:
        document: Where it stands.
        key: Its name.
        of: What the document is, for the message of the error.

    Raises:
        BadInput: If it is no text.
    """
    value = document.get(key)
    if value is not None and not isinstance(value, str):
        raise must(key, of, "text", value, "Run attar compress again: it writes the evidence anew")
    return value


def write(template: str, content: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Binds a template with its content, the styles and the scripts, and writes them whole or not at all.

    The page makes no request when opened, and its Content-Security-Policy forbids everything that is not inside,
    scripts other than its own included.

    Args:
        template: Name of the template in the folder ``templates``.
        content: What it prints; ``charts`` are the Vega-Lite specifications, without which no library is put in.
        path: Where to write; folders on the way are made.
    """
    drawing = [_chart_library(), _source("draw.js")] if content["charts"] else []
    scripts = [_source("watch.js"), *drawing, _source("tables.js")]
    html = (
        _environment()
        .get_template(template)
        .render(
            **content,
            absent=formatting.ABSENT,
            style=Markup(_source("report.css")),
            scripts=[Markup(script) for script in scripts],
            policy=_policy(scripts),
        )
    )
    write_file(Path(path), html.encode("utf-8", errors="replace"))


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=_TEMPLATES,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update({name: _or_absent(function) for name, function in _FILTERS.items()})
    return environment


_FILTERS: dict[str, Callable[..., str]] = {
    "percent": formatting.percent,
    "percent_interval": formatting.percent_interval,
    "points": formatting.points,
    "size": formatting.size,
    "count": formatting.count,
    "grouped": formatting.grouped,
    "milliseconds": formatting.milliseconds,
    "seconds": formatting.seconds,
    "small": formatting.small,
    "significant": formatting.significant,
}


def _or_absent(function: Callable[..., str]) -> Callable[..., str]:
    """The same formatter, that shows a dash for what is not there."""

    @functools.wraps(function)
    def format_or_dash(value: Any, *arguments: Any) -> str:
        return formatting.ABSENT if value is None else function(value, *arguments)

    return format_or_dash


def _source(name: str) -> str:
    source = resources.files("attar.report").joinpath("templates", name).read_text(encoding="utf-8")
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
    """The Content-Security-Policy of the page: its own scripts by hash, inline styles, images as data, nothing else.

    References:
        *Content Security Policy Level 3*, W3C, sections 6.1 and 6.7.2.
    """
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
