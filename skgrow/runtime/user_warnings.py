"""Warnings that name the line of the user, however deep the call came from."""

from __future__ import annotations

import os
import sys
import warnings

import sklearn

__all__ = ["warn_user"]

# What a user calls runs through our verbs and through scikit-learn's wrappers of them.
PACKAGE = os.path.dirname(os.path.dirname(__file__))  # this file is two folders down
INNER = tuple(f + os.sep for f in (PACKAGE, os.path.dirname(sklearn.__file__)))


def warn_user(message, category):
    """Warn where the innermost call stands that is neither ours nor scikit-learn's.

    Python 3.12 has `skip_file_prefixes` for this; counting frames breaks with each one
    that a verb gets.

    Parameters
    ----------
    message : str
    category : type of Warning
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(INNER):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
