"""What notebooks show of an estimator: HTML tables that say what each name means."""

from __future__ import annotations

import re

__all__ = ["DisplayMixin"]

ADDRESS = re.compile(r'\s(?:href|rel|target)="[^"]*"')


class DisplayMixin:
    """Tooltips in the HTML tables of parameters and fitted attributes.

    scikit-learn shows a description only beside a link to pages that are online. Ours
    are not: the names have their descriptions all the same, and lead nowhere. Setting
    `_doc_link_template` gives them, and the estimator, an address.
    """

    _doc_link_module = "skgrow"
    _doc_link_template = ""  # or an address, in which "{estimator_name}" is filled in

    def _get_params_html(self, *args, **kwargs):
        return _described(super()._get_params_html(*args, **kwargs))

    def _get_fitted_attr_html(self, *args, **kwargs):  # from scikit-learn 1.9 on
        return _described(super()._get_fitted_attr_html(*args, **kwargs))


def _described(table):
    """The table with descriptions, and no address where it has none."""
    if getattr(table, "doc_link", None) == "":  # no such thing before scikit-learn 1.8
        draw = table._html_repr
        table.doc_link = "nowhere"
        table._html_repr = lambda: ADDRESS.sub("", draw())
    return table
