"""Sphinx makes a site of these pages: `make docs`."""

import hyco

project = "hyco"
author = "The hyco developers"
project_copyright = author
version = release = hyco.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
# Pages link to the sources beside them, which are no pages of the site.
suppress_warnings = ["myst.xref_missing", "myst.header"]
exclude_patterns = ["make_reference.py"]
autodoc_member_order = "bysource"
autodoc_typehints = "description"
add_module_names = False

html_theme = "furo"
html_title = f"hyco {release}"
html_copy_source = False
