"""The page that shows a run: one HTML file that opens without a network and loads nothing from elsewhere.

`page` works out what the page shows, the template lays it out, and `html` makes one file of both.
Every part of the evidence document may be absent: it is left out, or the page says that it is missing where that
matters.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from attar.evidence import form, html
from attar.evidence.page import page


def render(document: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes the report of a run as one self-contained HTML file.

    The file is written whole or not at all. It makes no request when opened: styles, scripts, images and data are
    inside, and its Content-Security-Policy forbids everything else, scripts other than its own included.

    Args:
        document: The evidence document, plain JSON values; every part may be absent or None, and NaN is None.
        path: Where to write; folders on the way are made.

    Raises:
        BadInput: If the document holds something that JSON cannot, or the page reads another kind of value there.
    """
    values = html.as_json(document, "render")
    form.check(values)
    html.write("report.html.jinja", page(values), path)
