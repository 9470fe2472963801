"""How Sphinx builds the documentation: ``python -m sphinx -W docs OUT``, without a network."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from generate import mathml, pages  # noqa: E402

project = "Attar"
author = "The authors of Attar"
copyright = author
release = version_of("attar")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["generate"]
templates_path = ["_templates"]
default_role = "code"  # what stands in single backticks in a docstring is a name

html_theme = "pydata_sphinx_theme"
html_title = "Attar"
html_static_path = ["_static"]
html_css_files = ["attar.css"]
html_copy_source = False
html_show_sourcelink = False
html_math_renderer = "mathml"
html_sidebars = {"**": ["pages"]}
html_theme_options = {
    "navbar_center": [],
    "navbar_end": ["theme-switcher"],
    "article_header_start": [],
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
    "footer_start": [],
    "footer_end": [],
    "navigation_with_keys": False,
    "show_toc_level": 2,
}

myst_enable_extensions = ["attrs_inline"]
myst_heading_anchors = 3

nb_execution_mode = "force"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_execution_in_temp = True

autodoc_typehints = "none"  # signatures have the annotations
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_attr_annotations = False  # shapes are no reStructuredText
napoleon_use_ivar = True
napoleon_use_rtype = False


def _of_others(_: Any, __: str, name: str, *rest: Any) -> bool | None:
    """Leave out what scikit-learn gives each estimator: its docstrings refer to its own site."""
    return True if name.endswith("_request") else None


def setup(app: Any) -> None:
    """Pages of which a part follows from code or from committed results get it while they are read."""
    mathml.setup(app)
    pages.setup(app)
    app.connect("autodoc-skip-member", _of_others)
