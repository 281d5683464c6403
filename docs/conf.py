"""How Sphinx builds the docs."""

import warnings

import skgrow
from skgrow.estimators.fitted import FittedMixin

project = "skgrow"
author = "the skgrow developers"
copyright = "2026, the skgrow developers"
release = skgrow.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 2
templates_path = ["_templates"]
exclude_patterns = ["_build", "api/backreferences"]
html_theme = "pydata_sphinx_theme"
html_theme_options = {
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
}
# Members are documented with their class; a page for each would be nearly empty.
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "ignore_pattern": r"quickstart\.py",
    "doc_module": ("skgrow",),
    "reference_url": {"skgrow": None},
    "backreferences_dir": "api/backreferences",
    "download_all_examples": False,
    "write_computation_times": False,
    "min_reported_time": 60,
    "remove_config_comments": True,
    "within_subsection_order": "FileNameSortKey",
}
# The pictures of an estimator in the gallery link to the API pages beside it.
FittedMixin._doc_link_template = "../api/skgrow.{estimator_name}.html"
warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")

NOT_OURS = {"add_note", "get_metadata_routing", "set_callbacks", "with_traceback"}


def skip_inherited(app, what, name, obj, skip, options):
    """Leave out what scikit-learn and Python write, and describe on pages of theirs."""
    is_request = name.startswith("set_") and name.endswith("_request")
    return skip or is_request or name in NOT_OURS


def setup(app):
    app.connect("autodoc-skip-member", skip_inherited)
