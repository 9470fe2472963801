"""The page that shows a run: one HTML file that opens without a network and asks nothing of anybody.

`page` works out what is said, the template says it, and `standalone` makes one file of both.
Every part of the evidence document may be absent: it is left out, or its absence is said where it matters.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from attar.evidence import form, standalone
from attar.evidence.page import page


def render(document: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes the report of a run as one self-contained HTML file.

    The file is written whole or not at all. It makes no request when opened: styles, scripts, pictures and data are
    inside, and its Content-Security-Policy forbids everything else, scripts other than its own included.

    Args:
        document: The evidence document, plain JSON values; every part may be absent or None, and NaN is None.
        path: Where to write; folders on the way are made.

    Raises:
        BadInput: If the document holds something that JSON cannot, or the page reads another kind of value there.
    """
    plain = standalone.plain(document, "render")
    form.check(plain)
    standalone.write("report.html.jinja", page(plain), path)
