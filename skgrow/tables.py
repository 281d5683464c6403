"""Tables as they come: frames with categories and missing values as numbers.

A column of numbers stays as it is. The values of any other column become codes, in the
order of how the classes are mixed among their rows, so that values that lie side by side
mean alike. Missing values become NaN, which the scaler gives a place of their own.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from skgrow.exceptions import UnseenCategoryWarning
from skgrow.frames import read_columns, shown

__all__ = ["Table", "plain_numbers"]

# Rows of the mean mixture of classes that are added to those of each category: the few
# rows of a rare one say little about it.
SMOOTHING = 10.0
# Columns of numbers that float32 holds to the last digit.
SINGLE = {"float32", "float16", "int16", "int8", "uint16", "uint8", "bool", "boolean"}


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
        X : frame or ndarray of object of shape (n_samples, n_features)
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
        columns = read_columns(X)
        return cls(
            tuple(column.name for column in columns),
            tuple(
                None if column.values is None else _ordered(column, y, sample_weight)
                for column in columns
            ),
        )

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
        columns = read_columns(X, [values is None for values in self.categories])
        result = np.empty((len(X), len(columns)), dtype=_dtype(columns))
        unseen = {}
        for j, (column, known) in enumerate(zip(columns, self.categories, strict=True)):
            if known is None:
                result[:, j] = column.numbers
                continue
            result[:, j], others = _codes(column.values, known)
            if others:
                unseen[column.name] = others
        if unseen:
            _warn_unseen(unseen)
        return result


def plain_numbers(X):
    """Numbers `(n_samples, n_features)` of a table in which `fit` saw nothing else."""
    columns = read_columns(X, [True] * X.shape[1])
    result = np.empty((len(X), len(columns)), dtype=_dtype(columns))
    for j, column in enumerate(columns):
        result[:, j] = column.numbers
    return result


def _dtype(columns):
    kinds = {column.dtype_name for column in columns if column.numbers is not None}
    return np.float32 if "float32" in kinds and kinds <= SINGLE else np.float64


def _codes(values, categories):
    """Codes `(n_samples,)`, NaN for missing and unseen ones, and some unseen ones."""
    place = {value: code for code, value in enumerate(categories)}
    codes = np.array([place.get(value, np.nan) for value in values], dtype=np.float64)
    lost = {values[i] for i in np.flatnonzero(np.isnan(codes)) if values[i] is not None}
    return codes, lost


def _ordered(column, y, sample_weight):
    """Distinct values of a column, in the order of the mean target or mixture of classes.

    The smoothed shares of the classes, less those of all rows, are projected on the
    direction in which they differ most; with two classes that is the share of one.
    Values of an ordered categorical keep their order.
    """
    values = column.values
    distinct = sorted({v for v in values if v is not None}, key=_sorted_as)
    if column.levels is not None:
        there = set(distinct)
        return np.array([v for v in column.levels if v in there], dtype=object)
    place = {value: code for code, value in enumerate(distinct)}
    known = np.array([value is not None for value in values])
    code = np.array([place[v] for v in values[known]], dtype=np.int64)
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


def _warn_unseen(unseen):
    named = "; ".join(
        f"{name!r}: {shown(sorted(others, key=_sorted_as))}"
        for name, others in unseen.items()
    )
    warnings.warn(
        f"Values that were not seen in fit are treated as missing, in column {named}.",
        UnseenCategoryWarning,
        stacklevel=6,  # whoever asked for predictions
    )
