"""Tables as they come: frames with categories and missing values as numbers.

A column of numbers stays as it is. The values of any other column become codes, in the
order of how the classes are mixed among their rows, so that values that lie side by side
mean alike. Missing values become NaN, which the scaler gives a place of their own.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from numbers import Real

import numpy as np

from skgrow._verbs import stack_level
from skgrow.exceptions import UnseenCategoryWarning

__all__ = ["Table", "is_frame"]

# Rows of the mean mixture of classes that are added to those of each category: the few
# rows of a rare one say little about it.
SMOOTHING = 10.0
# Columns of numbers that float32 holds to the last digit.
SINGLE = {"float32", "float16", "int16", "int8", "uint16", "uint8", "bool", "boolean"}
SHOWN = 5  # unseen values that a warning names


@dataclass(frozen=True)
class Table:
    """How the columns of a frame become numbers.

    Attributes
    ----------
    names : tuple of str
        Of the columns, for messages.
    categories : tuple
        For each column an ndarray of object, its values in the order of their codes;
        None for a column of numbers.
    """

    names: tuple
    categories: tuple

    @classmethod
    def of(cls, X, y, sample_weight):
        """Learn the codes of a frame.

        Parameters
        ----------
        X : pandas.DataFrame or polars.DataFrame of shape (n_samples, n_features)
        y : ndarray of shape (n_samples,)
            Class numbers, or targets of a regressor.
        sample_weight : ndarray of shape (n_samples,)

        Returns
        -------
        table : Table

        Raises
        ------
        TypeError
            If a column holds dates, complex numbers or values that are no category.
        """
        names = tuple(str(name) for name in X.columns)
        found = []
        for name, column in zip(names, _columns(X), strict=True):
            numbers, values = _read(name, column)
            if numbers is None:
                values = _ordered(name, values, y, sample_weight)
            found.append(values if numbers is None else None)
        return cls(names, tuple(found))

    @property
    def is_plain(self):
        """Whether all columns are numbers."""
        return all(values is None for values in self.categories)

    def transform(self, X):
        """Numbers `(n_samples, n_features)` of a frame, NaN where a value is missing.

        They are float32 where the frame holds some, and no numbers that need float64.
        Values of a categorical column that were not seen count as missing, with one
        warning (`UnseenCategoryWarning`).
        """
        result = np.empty((len(X), len(self.names)), dtype=self._dtype(X))
        unseen = {}
        columns = zip(self.names, self.categories, _columns(X), strict=True)
        for j, (name, categories, column) in enumerate(columns):
            numbers, values = _read(name, column)
            if categories is None:
                result[:, j] = _numbers(name, values) if numbers is None else numbers
                continue
            if numbers is not None:
                values = _as_objects(numbers)
            result[:, j], others = _codes(values, categories)
            if others:
                unseen[name] = others
        if unseen:
            _warn_unseen(unseen)
        return result

    def _dtype(self, X):
        columns = zip(_columns(X), self.categories, strict=True)
        kinds = {str(c.dtype).lower() for c, values in columns if values is None}
        return np.float32 if "float32" in kinds and kinds <= SINGLE else np.float64


def is_frame(X):
    """Whether `X` is a frame of pandas or polars."""
    return hasattr(X, "columns") and (hasattr(X, "iloc") or hasattr(X, "get_columns"))


def _columns(X):
    """The columns of a frame, one after the other."""
    if hasattr(X, "get_columns"):  # polars
        return X.get_columns()
    return (X.iloc[:, j] for j in range(X.shape[1]))


def _read(name, column):
    """Numbers, or None and the values as objects, None where missing."""
    if hasattr(column, "is_null"):  # polars
        kind = column.dtype
        if kind.is_numeric() or str(kind) == "Boolean":
            return column.cast(float).to_numpy(), None
        _refuse(name, column.dtype, kind.is_temporal() or kind.is_nested())
        return None, np.array(column.to_list(), dtype=object)
    kind = getattr(column.dtype, "kind", "O")
    if kind in "biuf":
        return column.to_numpy(dtype=np.float64, na_value=np.nan), None
    _refuse(name, column.dtype, kind in "mMc")
    values = column.astype(object).to_numpy(copy=True)
    values[column.isna().to_numpy()] = None
    if column.dtype == object and _are_numbers(values):
        return _numbers(name, values), None
    return None, values


def _refuse(name, dtype, is_wrong):
    if is_wrong:
        raise TypeError(
            f"column {name!r} is of type {dtype}, which is neither a number nor a "
            "category; turn it into numbers (a date into days, for example) or drop it."
        )


def _are_numbers(values):
    """Whether objects are numbers (or missing), and at least one is there."""
    kinds = {type(value) for value in values} - {type(None)}
    return bool(kinds) and all(issubclass(k, Real) and k is not bool for k in kinds)


def _numbers(name, values):
    """Objects of a column that held numbers, as those of a single row often are."""
    if not all(value is None or isinstance(value, Real) for value in values):
        raise TypeError(
            f"column {name!r} held numbers in fit; now it holds {_shown(values)}."
        )
    return np.array([np.nan if value is None else float(value) for value in values])


def _as_objects(numbers):
    values = numbers.astype(object)
    values[np.isnan(numbers)] = None
    return values


def _codes(values, categories):
    """Codes `(n_samples,)`, NaN for missing and unseen ones, and some unseen ones."""
    place = {value: code for code, value in enumerate(categories)}
    codes = np.array([place.get(value, np.nan) for value in values], dtype=np.float64)
    lost = {values[i] for i in np.flatnonzero(np.isnan(codes)) if values[i] is not None}
    return codes, lost


def _ordered(name, values, y, sample_weight):
    """Distinct values of a column, in the order of the mean target or mixture of classes.

    The smoothed shares of the classes, less those of all rows, are projected on the
    direction in which they differ most; with two classes that is the share of one.
    """
    try:
        distinct = sorted({v for v in values if v is not None}, key=_sorted_as)
        place = {value: code for code, value in enumerate(distinct)}
        known = np.array([value is not None for value in values])
        code = np.array([place[v] for v in values[known]], dtype=np.int64)
    except TypeError as error:
        raise TypeError(
            f"column {name!r} holds values that are no categories ({error}): "
            f"{_shown(values)}."
        ) from error
    y, weight = y[known], sample_weight[known]
    size = np.bincount(code, weights=weight, minlength=len(distinct))[:, None]
    if y.dtype.kind == "i":
        counts = np.zeros((len(distinct), y.max(initial=0) + 1))
        np.add.at(counts, (code, y), weight)
    else:
        counts = np.bincount(code, weights=weight * y, minlength=len(distinct))[:, None]
    prior = counts.sum(axis=0) / max(size.sum(), np.finfo(float).tiny)
    shift = (counts + SMOOTHING * prior) / (size + SMOOTHING) - prior
    order = np.arange(len(distinct))
    if len(distinct) > 1:
        direction = np.linalg.svd(np.sqrt(size) * shift, full_matrices=False)[2][0]
        direction = direction * (np.sign(direction[np.abs(direction).argmax()]) or 1)
        order = np.argsort(shift @ direction, kind="stable")
    ordered = np.empty(len(distinct), dtype=object)
    ordered[:] = [distinct[i] for i in order]
    return ordered


def _sorted_as(value):
    return str(type(value)), str(value)


def _shown(values):
    return ", ".join(repr(v) for v in [v for v in values if v is not None][:SHOWN])


def _warn_unseen(unseen):
    named = "; ".join(
        f"{name!r}: {_shown(sorted(others, key=_sorted_as))}"
        for name, others in unseen.items()
    )
    warnings.warn(
        f"Values that were not seen in fit are treated as missing, in column {named}.",
        UnseenCategoryWarning,
        stacklevel=stack_level(),
    )
