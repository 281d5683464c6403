"""Reading what the user passes in: arrays as they are, frames through their table."""

from __future__ import annotations

import numpy as np
from sklearn.base import is_regressor
from sklearn.utils import check_array, check_X_y
from sklearn.utils.validation import validate_data

from skgrow._threads import make_threads_safe
from skgrow.tables import Table, is_frame

__all__ = ["DTYPES", "n_codes_of", "read", "read_first"]

DTYPES = [np.float64, np.float32]  # float32 stays float32, all else becomes float64


def read_first(estimator, X, y):
    """Checked inputs and labels of a first fit, which learns the table of a frame.

    Parameters
    ----------
    estimator : estimator
        Gets `n_features_in_`, `feature_names_in_` and `_table`, which is None where all
        columns are numbers and none is missing.
    X : array-like or frame of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        NaN where a frame has no value.
    y : ndarray of shape (n_samples,)
    """
    make_threads_safe()
    estimator._table = None
    numeric = {"y_numeric": is_regressor(estimator)}
    if not is_frame(X) or not len(X) or not X.shape[1]:
        return validate_data(estimator, X, y, dtype=DTYPES, **numeric)
    validate_data(estimator, X, skip_check_array=True)
    name = type(estimator).__name__
    _, y = check_X_y(np.zeros((len(X), 1)), y, estimator=name, **numeric)
    table = Table.of(X)
    found = table.transform(X)
    if table.is_plain and not np.isnan(found).any():
        return validate_data(estimator, X, y, dtype=DTYPES, **numeric)
    estimator._table = table
    return check_X_y(found, y, estimator=name, ensure_all_finite="allow-nan")


def n_codes_of(estimator):
    """Categories of each column of a fitted table, 0 for a column of numbers."""
    table = vars(estimator).get("_table")
    n_columns = estimator.n_features_in_
    return np.zeros(n_columns, dtype=int) if table is None else table.n_codes


def read(estimator, X, y=None, **checks):
    """Checked inputs as the first fit has read them, with labels if there are any.

    Raises
    ------
    ValueError
        As scikit-learn's `validate_data`, and if the model knows categories and `X` is
        no frame.
    """
    make_threads_safe()
    table = vars(estimator).get("_table")
    labels = {} if y is None else {"y": y, "y_numeric": is_regressor(estimator)}
    if table is None:
        return validate_data(estimator, X, **labels, dtype=DTYPES, reset=False, **checks)
    checks = {"ensure_all_finite": "allow-nan", **checks}
    if not is_frame(X):
        if not table.is_plain:
            raise ValueError(
                f"{type(estimator).__name__} was fitted on a frame with categories; "
                f"pass a frame with the same columns, got a {type(X).__name__}."
            )
        return validate_data(estimator, X, **labels, dtype=DTYPES, reset=False, **checks)
    validate_data(estimator, X, reset=False, skip_check_array=True)
    found, name = table.transform(X), type(estimator).__name__
    if y is None:
        return check_array(found, estimator=name, **checks)
    return check_X_y(
        found, y, estimator=name, y_numeric=is_regressor(estimator), **checks
    )
