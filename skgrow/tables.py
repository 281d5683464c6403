"""Tables as they come: frames with categories and missing values as numbers.

A column of numbers stays as it is. The values of any other column become codes. The
target has no part in that: codes are the same whichever rows are held out, and what needs
an order of the categories learns it from its own rows, see `skgrow.category_order`.
Missing values become NaN, which the scaler gives a place of their own.
"""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass
from numbers import Real

import numpy as np

from skgrow.exceptions import IgnoredColumnWarning, UnseenCategoryWarning

__all__ = ["Table", "is_frame"]

# Of a column of more values, those of few rows are pooled: EBM's least number of rows a
# leaf is 2 to 4, and twice as many as that leave a mean with some worth.
MANY_VALUES, RARE_ROWS = 16, 10
# A column is left out whose values hardly repeat: values that are not rare hold less than
# this share of its rows, and a value has fewer rows than that on average.
LEAST_SHARE, HARDLY = 0.1, 3.0
# Columns of numbers that float32 holds to the last digit.
SINGLE = {"float32", "float16", "int16", "int8", "uint16", "uint8", "bool", "boolean"}
SHOWN = 5  # unseen values that a warning names


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
        X : pandas.DataFrame or polars.DataFrame of shape (n_samples, n_features)

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
        names = tuple(str(name) for name in X.columns)
        found = [_known(*pair) for pair in zip(names, _columns(X), strict=True)]
        categories, rare, ordered = zip(*found, strict=True)
        lost = [
            name
            for name, kept, pooled in zip(names, categories, rare, strict=True)
            if kept is not None and not len(kept) and len(pooled)
        ]
        if lost:
            _warn_ignored(lost)
        none = np.zeros(0, dtype=object)
        rare = [
            none if kept is None or not len(kept) else pooled
            for kept, pooled in zip(categories, rare, strict=True)
        ]
        return cls(names, tuple(categories), tuple(rare), tuple(ordered))

    @property
    def n_codes(self):
        """Categories of each column as the network sees them, 0 for one of numbers."""
        return np.array(
            [
                0 if kept is None or is_ordered else len(kept) + (len(rare) > 0)
                for kept, rare, is_ordered in self._columns()
            ]
        )

    @property
    def labels(self):
        """For each column a list of what its codes mean; None for a column of numbers."""
        return tuple(
            None
            if kept is None
            else [*kept.tolist(), *[f"{len(rare)} rare values"] * (len(rare) > 0)]
            for kept, rare, _ in self._columns()
        )

    def _columns(self):
        """Categories, rare values and whether they are ordered, of each column."""
        n_columns, none = len(self.names), np.zeros(0, dtype=object)
        rare = self.rare or (none,) * n_columns  # files before there were any
        ordered = self.ordered or (True,) * n_columns  # their codes were in an order
        return zip(self.categories, rare, ordered, strict=True)

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
        columns = zip(self.names, self._columns(), _columns(X), strict=True)
        for j, (name, (categories, rare, _), column) in enumerate(columns):
            numbers, values = _read(name, column)
            if categories is None:
                result[:, j] = _numbers(name, values) if numbers is None else numbers
                continue
            if not len(categories):
                result[:, j] = 0
                continue
            if numbers is not None:
                values = _as_objects(numbers)
            result[:, j], others = _codes(values, categories, rare)
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


def _codes(values, categories, rare):
    """Codes `(n_samples,)`, NaN for missing and unseen ones, and some unseen ones."""
    place = {value: code for code, value in enumerate(categories)}
    place.update(dict.fromkeys(rare, len(categories)))
    codes = np.array([place.get(value, np.nan) for value in values], dtype=np.float64)
    lost = {values[i] for i in np.flatnonzero(np.isnan(codes)) if values[i] is not None}
    return codes, lost


def _known(name, column):
    """Categories, rare values and whether they have an order, of one column."""
    none = np.zeros(0, dtype=object)
    numbers, values = _read(name, column)
    if numbers is not None:
        return None, none, False
    distinct, count = _counted(name, values)
    if len(distinct) <= MANY_VALUES:
        return distinct, none, False
    is_rare = count < RARE_ROWS
    hardly_repeat = count[~is_rare].sum() < LEAST_SHARE * count.sum()
    if hardly_repeat and count.sum() < HARDLY * len(distinct):
        return none, distinct, False
    if is_rare.sum() == 1:  # alone, it is what it is
        is_rare[:] = False
    return distinct[~is_rare], distinct[is_rare], False


def _counted(name, values):
    """Distinct values of a column, sorted, and how many rows have each."""
    try:
        rows = Counter(value for value in values if value is not None)
        known = sorted(rows, key=_sorted_as)
    except TypeError as error:
        raise TypeError(
            f"column {name!r} holds values that are no categories ({error}): "
            f"{_shown(values)}."
        ) from error
    distinct = np.empty(len(known), dtype=object)
    distinct[:] = known
    return distinct, np.array([rows[value] for value in known], dtype=np.int64)


def _sorted_as(value):
    return str(type(value)), str(value)


def _shown(values):
    return ", ".join(repr(v) for v in [v for v in values if v is not None][:SHOWN])


def _warn_ignored(names):
    shown = ", ".join(repr(name) for name in names)
    warnings.warn(
        f"Columns whose values hardly repeat are left out: {shown}. Such a column tells "
        "rows apart and says nothing of new ones; drop it, or make numbers or groups of "
        "its values.",
        IgnoredColumnWarning,
        stacklevel=6,  # whoever asked for a fit
    )


def _warn_unseen(unseen):
    named = "; ".join(
        f"{name!r}: {_shown(sorted(others, key=_sorted_as))}"
        for name, others in unseen.items()
    )
    warnings.warn(
        f"Values that were not seen in fit are treated as missing, in column {named}.",
        UnseenCategoryWarning,
        stacklevel=6,  # whoever asked for predictions
    )
