"""How Sphinx builds the docs."""

import skgrow

project = "skgrow"
author = "the skgrow developers"
copyright = "2026, the skgrow developers"
release = skgrow.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
myst_enable_extensions = ["dollarmath"]
exclude_patterns = ["_build"]
html_theme = "pydata_sphinx_theme"
# Members are documented with their class; a page for each would be nearly empty.
numpydoc_show_class_members = False
