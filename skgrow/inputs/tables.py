"""Tables as they come: frames with categories and missing values as numbers.

A column of numbers stays as it is. The values of any other column become codes. The
target has no part in that: codes are the same whichever rows are held out, and what needs
an order of the categories learns it from its own rows, see `category_order.py`. Missing
values become NaN, which the scaler gives a place of their own.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from skgrow.exceptions import IgnoredColumnWarning, UnseenCategoryWarning
from skgrow.inputs.frames import read_columns, shown
from skgrow.runtime.user_warnings import warn_user

__all__ = ["Table", "plain_numbers"]

# Of a column of more values, those of fewer rows are pooled.
MANY_VALUES, RARE_ROWS = 16, 10
# A column is left out whose values hardly repeat: values that are not rare hold less than
# this share of its rows, and a value has fewer rows than that on average.
LEAST_SHARE, HARDLY = 0.1, 3.0
# Columns of numbers that float32 holds to the last digit.
SINGLE = {"float32", "float16", "int16", "int8", "uint16", "uint8", "bool", "boolean"}


@dataclass(frozen=True)
class Table:
    """How the columns of a frame become numbers, without a look at the target.

    Attributes
    ----------
    names : tuple of str
        Of the columns, for messages.
    categories : tuple
        For each column an ndarray of object, its values in the order of their codes;
        None for a column of numbers. A column that was left out has none.
    rare : tuple, default=()
        For each column an ndarray of object, the values that share the code behind those
        of `categories`; empty where there are none.
    ordered : tuple of bool, default=()
        Columns of categories with an order of their own: their codes are read as numbers.
    """

    names: tuple
    categories: tuple
    rare: tuple = ()
    ordered: tuple = ()

    @classmethod
    def of(cls, X):
        """Learn the codes of a frame.

        Of a column with more than `MANY_VALUES` values, those of fewer than `RARE_ROWS`
        rows are pooled. A column of text whose values hardly repeat is left out.

        Parameters
        ----------
        X : frame or ndarray of object of shape (n_samples, n_features)

        Returns
        -------
        table : Table

        Raises
        ------
        TypeError
            If a column holds dates, complex numbers or values that are no category.

        Warns
        -----
        IgnoredColumnWarning
            If columns are left out.
        """
        columns = read_columns(X)
        names = tuple(column.name for column in columns)
        categories, rare, ordered = zip(*map(_known, columns), strict=True)
        lost = [
            name
            for name, kept, pooled in zip(names, categories, rare, strict=True)
            if pooled is not None and not len(kept)
        ]
        if lost:
            _warn_ignored(lost)
        rare = tuple(
            pooled if pooled is not None and len(kept) else np.zeros(0, dtype=object)
            for kept, pooled in zip(categories, rare, strict=True)
        )
        return cls(names, categories, rare, ordered)

    @property
    def n_codes(self):
        """Categories of each column as the network sees them, 0 for one of numbers."""
        return np.array(
            [
                0 if kept is None or is_ordered else len(kept) + (len(rare) > 0)
                for kept, rare, is_ordered in self._each()
            ]
        )

    @property
    def labels(self):
        """For each column a list of what its codes mean; None for a column of numbers."""
        return tuple(
            None
            if kept is None
            else [*kept.tolist(), *[f"{len(rare)} rare values"] * (len(rare) > 0)]
            for kept, rare, _ in self._each()
        )

    def _each(self):
        """Categories, rare values and whether they are ordered, of each column."""
        n_columns, none = len(self.names), np.zeros(0, dtype=object)
        rare = self.rare or (none,) * n_columns  # files before there were any
        ordered = self.ordered or (True,) * n_columns  # their codes were in an order
        return zip(self.categories, rare, ordered, strict=True)

    def fits(self, n_columns):
        """Whether it reads so many columns, and tells the values of each apart."""
        if not len(self.names) == len(self.categories) == n_columns:
            return False
        if not {len(self.rare), len(self.ordered)} <= {0, n_columns}:
            return False
        known = [[*kept, *rare] for kept, rare, _ in self._each() if kept is not None]
        return all(len(set(values) - {None}) == len(values) for values in known)

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
        result = np.zeros((len(X), len(columns)), dtype=_dtype(columns))
        unseen = {}
        for j, (column, known) in enumerate(zip(columns, self._each(), strict=True)):
            categories, rare, _ = known
            if categories is None:
                result[:, j] = column.numbers
            elif len(categories):  # others are left out
                result[:, j], others = _codes(column.values, categories, rare)
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


def _codes(values, categories, rare):
    """Codes `(n_samples,)`, NaN for missing and unseen ones, and some unseen ones."""
    place = {value: code for code, value in enumerate(categories)}
    place.update(dict.fromkeys(rare, len(categories)))
    codes = np.array([place.get(value, np.nan) for value in values], dtype=np.float64)
    lost = {values[i] for i in np.flatnonzero(np.isnan(codes)) if values[i] is not None}
    return codes, lost


def _known(column):
    """Categories of a column, rare values or None, and whether they have an order."""
    if column.values is None:
        return None, None, False
    distinct, count = _counted(column)
    if column.levels is not None:
        return distinct, None, True
    if len(distinct) <= MANY_VALUES:
        return distinct, None, False
    is_rare = count < RARE_ROWS
    hardly_repeat = count[~is_rare].sum() < LEAST_SHARE * count.sum()
    if hardly_repeat and count.sum() < HARDLY * len(distinct):
        return distinct[:0], distinct, False
    if is_rare.sum() < 2:  # alone, it is what it is
        return distinct, None, False
    return distinct[~is_rare], distinct[is_rare], False


def _counted(column):
    """Values of a column in the order of their codes, and how many rows have each."""
    rows = Counter(value for value in column.values if value is not None)
    known = sorted(rows, key=_sorted_as)
    if column.levels is not None:
        known = [value for value in column.levels if value in rows]
    distinct = np.empty(len(known), dtype=object)
    distinct[:] = known
    return distinct, np.array([rows[value] for value in known], dtype=np.int64)


def _sorted_as(value):
    return str(type(value)), str(value)


def _warn_ignored(names):
    named = ", ".join(map(repr, names))
    warn_user(
        f"Columns whose values hardly repeat are left out: {named}. Such a column "
        "identifies rows and does not help to predict new ones; drop it, or make numbers "
        "or groups of its values.",
        IgnoredColumnWarning,
    )


def _warn_unseen(unseen):
    named = "; ".join(
        f"{name!r}: {shown(sorted(others, key=_sorted_as))}"
        for name, others in unseen.items()
    )
    warn_user(
        f"Values that were not seen in fit are treated as missing, in column {named}.",
        UnseenCategoryWarning,
    )
