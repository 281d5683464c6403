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


NOT_OURS = {"add_note", "get_metadata_routing", "with_traceback"}


def skip_inherited(app, what, name, obj, skip, options):
    """Leave out what scikit-learn and Python write, and describe on pages of theirs."""
    is_request = name.startswith("set_") and name.endswith("_request")
    return skip or is_request or name in NOT_OURS


def setup(app):
    app.connect("autodoc-skip-member", skip_inherited)
