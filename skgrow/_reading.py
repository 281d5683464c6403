"""Reading what the user passes in: arrays as they are, frames through their table."""

from __future__ import annotations

import numpy as np
from sklearn.base import is_regressor
from sklearn.utils import check_array, check_X_y
from sklearn.utils.validation import _check_sample_weight, validate_data

from skgrow._threads import make_threads_safe
from skgrow._validation import check_labels
from skgrow.tables import Table, is_frame

__all__ = ["DTYPES", "read", "read_first"]

DTYPES = [np.float64, np.float32]  # float32 stays float32, all else becomes float64
NO_LABELS = object()  # None may be what a user passes


def read_first(estimator, X, y, sample_weight=None, classes=None):
    """Checked inputs and labels of a first fit, which learns the table of a frame.

    Parameters
    ----------
    estimator : estimator
        Gets `n_features_in_`, `feature_names_in_` and `_table`, which is None where all
        columns are numbers and none is missing.
    X : array-like or frame of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    sample_weight : array-like of shape (n_samples,), default=None
    classes : array-like of shape (n_classes,), default=None
        All labels there will ever be; those of `y` where nothing is given.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        NaN where a frame has no value.
    y : ndarray of shape (n_samples,)
    """
    make_threads_safe()
    y = _numbers_of(estimator, y)
    estimator._table = None
    numeric = {"y_numeric": is_regressor(estimator)}
    if not is_frame(X) or not len(X) or not X.shape[1]:
        return validate_data(estimator, X, y, dtype=DTYPES, **numeric)
    validate_data(estimator, X, skip_check_array=True)
    name = type(estimator).__name__
    _, y = check_X_y(np.zeros((len(X), 1)), y, estimator=name, **numeric)
    table = Table.of(X, *_marks(estimator, y, classes, sample_weight))
    found = table.transform(X)
    if table.is_plain and not np.isnan(found).any():
        return validate_data(estimator, X, y, dtype=DTYPES, **numeric)
    estimator._table = table
    return check_X_y(found, y, estimator=name, ensure_all_finite="allow-nan")


def _marks(estimator, y, classes, sample_weight):
    """What categories are ordered by, and the weights of the rows."""
    weight = _check_sample_weight(sample_weight, y)
    if is_regressor(estimator):
        return y.astype(np.float64), weight
    number = np.unique(y if classes is None else classes)
    return check_labels(y, number), weight


def read(estimator, X, y=NO_LABELS, **checks):
    """Inputs of a fitted model in its dtype, checked, with labels if there are any.

    Raises
    ------
    ValueError
        As scikit-learn's `validate_data`, if the model knows categories and `X` is no
        frame, if `y` is None, and if the model's dtype cannot hold a value.
    """
    if y is NO_LABELS:
        return _converted(estimator, _checked(estimator, X, **checks))
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is "
            "None."
        )
    X, y = _checked(estimator, X, _numbers_of(estimator, y), **checks)
    return _converted(estimator, X), y


def _converted(estimator, X):
    """Inputs in the dtype of the model, or ValueError if it cannot hold one of them."""
    dtype = estimator._dtype
    with np.errstate(over="ignore"):
        found = X.astype(dtype, copy=False)
    if found is X:
        return X
    lost = np.isinf(found) & np.isfinite(X)  # no infinity that was there before
    if lost.any():
        raise ValueError(
            f"X holds {X[lost][0]:.3g}, a value too large for the {dtype} that this "
            f"{type(estimator).__name__} was fitted in; check that value, or fit in "
            "float64."
        )
    return found


def _numbers_of(estimator, y):
    """The target of a regressor in float64: scikit-learn checks it, then converts."""
    values = np.asarray(y) if isinstance(y, (list, tuple)) or hasattr(y, "dtype") else y
    kind = getattr(values, "dtype", None)
    if not is_regressor(estimator) or kind not in (object, np.longdouble):
        return y
    try:
        with np.errstate(over="ignore"):
            return values.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"y holds what is no number of float64 ({error}); a regressor needs a "
            "finite number for every row."
        ) from error


def _checked(estimator, X, y=None, **checks):
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
