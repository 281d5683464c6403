"""Reading what the user passes in: arrays as they are, tables by their columns."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from sklearn.base import is_classifier, is_regressor
from sklearn.utils import check_array, check_X_y
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from skgrow.inputs.checks import check_labels, check_weights
from skgrow.inputs.frames import is_tabular, opened
from skgrow.inputs.image_patches import ImagePatches
from skgrow.inputs.scaling import check_pixels
from skgrow.inputs.tables import Table, plain_numbers
from skgrow.runtime.threads import make_threads_safe

__all__ = ["DTYPES", "is_for_pixels", "read", "read_first"]

DTYPES = [np.float64, np.float32]  # float32 stays float32, all else becomes float64
FINITE = {"ensure_all_finite": "allow-nan"}
NO_LABELS = object()  # None may be what a user passes


def read_first(estimator, X, y, sample_weight=None, classes=None):
    """Checked inputs and labels of a first fit, and the table that reads more of them.

    Labels and weights are checked before anything is learned from them.

    Parameters
    ----------
    estimator : estimator
        Gets `n_features_in_` and `feature_names_in_`.
    X : array-like or frame of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    sample_weight : array-like of shape (n_samples,), default=None
    classes : array-like of shape (n_classes,), default=None
        All labels there will ever be; those of `y` where nothing is given.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        NaN where a value is missing.
    y : ndarray of shape (n_samples,)
    table : Table or None
        None where all columns are numbers.
    """
    make_threads_safe()
    X, y = opened(X), _numbers_of(estimator, _one_column(estimator, y))
    table = None
    name, numeric = type(estimator).__name__, is_regressor(estimator)
    if is_tabular(X) and len(X) and X.shape[1]:
        validate_data(estimator, X, skip_check_array=True)
        _, y = check_X_y(np.zeros((len(X), 1)), y, estimator=name, y_numeric=numeric)
        _check_before_learning(estimator, y, sample_weight, classes)
        table = Table.of(X)
        X = check_array(table.transform(X), estimator=name, input_name="X", **FINITE)
        table = None if table.is_plain else table
    else:
        X, y = validate_data(
            estimator, X, y, dtype=DTYPES, y_numeric=numeric, **FINITE
        )  # fmt: skip
        _check_before_learning(estimator, y, sample_weight, classes)
    if is_for_pixels(estimator):
        check_pixels(X)
    return X, y, table


def is_for_pixels(estimator):
    """Whether the parameters ask for pixels, none of which may be missing."""
    return isinstance(getattr(estimator, "regions", None), ImagePatches)


def _one_column(estimator, y):
    """Labels as they are, or an error that says what to do with several columns."""
    if sparse.issparse(y):
        raise TypeError("y is sparse; pass a dense column, as y.toarray().ravel() is.")
    y = y if isinstance(y, (list, tuple)) else opened(y, "y")
    shape = _shape(y)
    if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
        cure = "MultiOutputRegressor"
        if is_classifier(estimator):
            cure = "MultiOutputClassifier, or take y.argmax(axis=1) where it is one-hot"
        raise ValueError(
            f"y should be a 1d array, got an array of shape {shape} instead. Pass one "
            f"column; for several targets use sklearn.multioutput.{cure}."
        )
    return y


def _shape(y):
    if not isinstance(y, (list, tuple)):
        return tuple(getattr(y, "shape", None) or ())
    try:
        return np.shape(y)
    except ValueError:  # rows of several lengths, which scikit-learn tells
        return ()


def _check_before_learning(estimator, y, sample_weight, classes):
    if is_classifier(estimator):
        check_classification_targets(y)
    if classes is not None:
        check_labels(y, np.asarray(classes))
    check_weights(sample_weight, getattr(estimator, "class_weight", None), y, y)


def read(estimator, encoder, X, y=NO_LABELS, **checks):
    """Inputs of a fitted model in its dtype, checked, with labels if there are any.

    Parameters
    ----------
    estimator : estimator
    encoder : InputEncoder
        That of the fitted model.
    X : array-like or frame of shape (n_samples, n_features)
    y : array-like of shape (n_samples,), optional
    **checks
        As scikit-learn's `validate_data` takes them.

    Raises
    ------
    ValueError
        As `validate_data`, if the model knows categories and `X` is no frame, if pixels
        are missing, if `y` is None, and if the model's dtype cannot hold a value.
    """
    if y is NO_LABELS:
        return encoder.numbers(_checked(estimator, encoder, X, **checks))
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is "
            "None."
        )
    y = _numbers_of(estimator, _one_column(estimator, y))
    X, y = _checked(estimator, encoder, X, y, **checks)
    return encoder.numbers(X), y


def _numbers_of(estimator, y):
    """The target of a regressor in float64: scikit-learn checks it, then converts."""
    known = isinstance(y, (list, tuple)) or hasattr(y, "__array__")
    values = np.asarray(y) if known else y
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


def _checked(estimator, encoder, X, y=None, **checks):
    """Checked inputs as the first fit has read them, with labels if there are any."""
    make_threads_safe()
    X = opened(X)
    checks = {**FINITE, **checks, "estimator": estimator}
    labels = {} if y is None else {"y": y, "y_numeric": is_regressor(estimator)}
    if is_tabular(X) and len(X):
        validate_data(estimator, X, reset=False, skip_check_array=True)
        table = encoder.table
        found = plain_numbers(X) if table is None else table.transform(X)
        check = check_array if y is None else check_X_y
        result = check(found, **labels, **checks)
    else:
        checks.pop("estimator")
        _check_no_categories(estimator, encoder, X)
        result = validate_data(
            estimator, X, **labels, dtype=DTYPES, reset=False, **checks
        )
    if checks["ensure_all_finite"]:
        encoder.check_gaps(result if y is None else result[0])
    return result


def _check_no_categories(estimator, encoder, X):
    if not (encoder.table is None or encoder.table.is_plain):
        raise ValueError(
            f"{type(estimator).__name__} was fitted on a table with categories; pass a "
            "frame with the same columns, or an array of objects, got a "
            f"{type(X).__name__} of numbers."
        )
