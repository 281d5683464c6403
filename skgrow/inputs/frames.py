"""Reading a table's columns, whatever library holds it: numbers, or categories.

Frames are read through narwhals. A column of text that holds numbers and nothing else is
a column of numbers, and so is one of decimals.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real

import narwhals as nw
import numpy as np
from scipy import sparse

__all__ = [
    "SHOWN",
    "Column",
    "as_objects",
    "is_frame",
    "is_tabular",
    "opened",
    "read_columns",
    "shown",
]

SHOWN = 5  # values that a message names
# A leading zero marks a code, such as the postcode "02139"; float() would also take
# "1_000", "nan" and digits of other scripts.
NUMBER = re.compile(
    r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
)
CATEGORY = (str, bool, np.bool_, Real, Decimal)  # kinds of values that are told apart
PLAIN = {str, bool, int, type(None)}  # of these, what is as it shall be
GAPS = {"NoneType", "NAType", "NaTType"}  # kinds of what stands for a missing value

# Their rows are in no order that those of y could follow, or on many machines.
LAZY = (
    nw.dependencies.is_dask_dataframe,
    nw.dependencies.is_duckdb_relation,
    nw.dependencies.is_ibis_table,
    nw.dependencies.is_pyspark_connect_dataframe,
    nw.dependencies.is_pyspark_dataframe,
    nw.dependencies.is_sqlframe_dataframe,
)


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name : str
        For messages: of the frame's column, or "x0", "x1", ... in an array.
    numbers : ndarray of float64 of shape (n_samples,) or None
        NaN where missing; None for a column of categories.
    values : ndarray of object of shape (n_samples,) or None
        None where missing; None for a column of numbers.
    levels : tuple or None
        The values in their order, of an ordered categorical.
    dtype_name : str
        In lower case, such as "float32".
    """

    name: str
    numbers: np.ndarray | None
    values: np.ndarray | None
    levels: tuple | None
    dtype_name: str


def opened(X, name="X"):
    """What the user passed, in memory; lists as arrays, gaps of a masked array as NaN.

    Parameters
    ----------
    X : frame, array-like or anything else
    name : str, default="X"
        Of the argument, for messages.

    Returns
    -------
    X : frame, ndarray or anything else

    Raises
    ------
    TypeError
        If it is sparse, or a lazy frame whose rows are not in memory.
    ValueError
        If columns of a frame have the same name.
    """
    if sparse.issparse(X):
        raise TypeError(
            f"{name} is sparse, a {type(X).__name__} of shape {X.shape}, but dense data "
            f"is required: pass {name}.toarray()."
        )
    if is_frame(X):
        X = nw.to_native(X, pass_through=True)
        _names(X, name)
        return X
    if isinstance(X, (list, tuple)):
        return _of_list(X)
    if np.ma.is_masked(X) and X.dtype.kind in "biuf":
        dtype = X.dtype if X.dtype.kind == "f" else np.float64
        return X.astype(dtype).filled(np.nan)
    return _collected(nw.to_native(X, pass_through=True), name)


def is_frame(X):
    """Whether `X` is a frame in memory, of any library that narwhals knows."""
    return nw.dependencies.is_into_dataframe(X)


def is_tabular(X):
    """Whether columns of `X` may differ: a frame, or an array that may hold text."""
    if is_frame(X):
        return True
    return isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "OUS"


def _of_list(X):
    try:
        found = np.asarray(X)
    except ValueError:  # rows of several lengths, which scikit-learn tells
        return X
    # Beside text numpy would make text of numbers and gaps.
    return np.asarray(X, dtype=object) if found.dtype.kind in "US" else found


def _collected(X, name):
    """A lazy frame in memory, where that keeps the order of its rows."""
    if nw.dependencies.is_polars_lazyframe(X):
        return opened(X.collect(), name)
    if any(is_lazy(X) for is_lazy in LAZY):
        kind = type(X)
        library = kind.__module__.split(".")[0]
        raise TypeError(
            f"{name} is a {kind.__name__} of {library}, whose rows are not in memory; "
            "collect it first, as X.compute() does in dask."
        )
    return X


def _names(X, argument="X"):
    """Names of the columns of a frame, no two alike."""
    names = list(getattr(X, "column_names", X.columns))  # the former in pyarrow
    if len(set(names)) < len(names):
        again = sorted({repr(str(name)) for name in names if names.count(name) > 1})
        raise ValueError(
            f"{argument} has more than one column of the name {', '.join(again)}; rename "
            "or drop all but one."
        )
    return names


def read_columns(X, are_numbers=None):
    """Columns of a frame or of an array.

    Parameters
    ----------
    X : frame or ndarray of shape (n_samples, n_features)
    are_numbers : sequence of bool, default=None
        What each column was in `fit`, and must be again. Without it a column is numbers
        if its dtype or all its values are: as numbers, decimals or text.

    Returns
    -------
    columns : list of Column

    Raises
    ------
    TypeError
        If a column holds values that are neither numbers nor categories, or one of
        numbers in `fit` holds others now.
    ValueError
        If columns of a frame have the same name.
    """
    if is_frame(X):
        found = _of_frame(X)
    else:
        found = [_of_array(f"x{j}", X[:, j]) for j in range(X.shape[1])]
    known = [None] * len(found) if are_numbers is None else are_numbers
    return [_decided(*parts, wanted) for parts, wanted in zip(found, known, strict=True)]


def _of_frame(X):
    names = _names(X)
    columns = nw.from_native(X, eager_only=True).iter_columns()
    return [_of_series(str(n), c) for n, c in zip(names, columns, strict=True)]


def _of_series(name, series):
    """The column as its dtype says, and whether its values may still be numbers."""
    dtype, native = series.dtype, series.to_native()
    told = getattr(native, "dtype", dtype)  # the library's own name of the type
    kind = getattr(told, "kind", "O")
    if dtype.is_temporal() or dtype.is_nested() or kind in "mMc":
        raise TypeError(
            f"column {name!r} is of type {told}, which is neither a number nor a "
            "category; turn it into numbers (a date into days, for example) or drop it."
        )
    dtype_name = str(dtype).lower()
    if dtype.is_numeric() or dtype == nw.Boolean:
        numbers = series.cast(nw.Float64()).to_numpy()
        return Column(name, numbers, None, None, dtype_name), False
    if dtype == nw.Unknown and kind in "biuf":  # sparse, or of more digits
        numbers = np.asarray(native, dtype=np.float64)
        return Column(name, numbers, None, None, str(told).lower()), False
    values = _categories(name, series.to_list())
    # Narwhals calls the ordered categoricals of pandas enums too.
    levels = tuple(_categories(name, dtype.categories)) if dtype == nw.Enum else None
    is_text = dtype != nw.Categorical and levels is None
    return Column(name, None, values, levels, dtype_name), is_text


def _of_array(name, column):
    if column.dtype.kind in "biuf":
        numbers = column.astype(np.float64)
        return Column(name, numbers, None, None, str(column.dtype)), False
    values = _categories(name, column.tolist())
    return Column(name, None, values, None, str(column.dtype)), True


def _decided(column, is_text, wanted):
    """The column as numbers or categories, as `wanted` or as its values are."""
    name, numbers, values = column.name, column.numbers, column.values
    if wanted is None:
        wanted = numbers is not None or (is_text and _are_numbers(values))
    if wanted == (numbers is not None):
        return column
    if wanted:
        numbers, values = _as_numbers(name, values), None
        return Column(name, numbers, None, None, "float64")
    return Column(name, None, as_objects(numbers), None, column.dtype_name)


def _categories(name, values):
    """Values as an array of those kinds that a file can hold, None where missing."""
    kinds = set(map(type, values))  # few, where values are many
    wrong = {k for k in kinds if not (issubclass(k, CATEGORY) or k.__name__ in GAPS)}
    if wrong:
        value = next(value for value in values if type(value) in wrong)
        raise TypeError(
            f"column {name!r} holds values that are no categories, such as {value!r} of "
            f"type {type(value).__name__}; an argument must be a string, a bool or a "
            "number. Turn the column into text or numbers, or drop it."
        )
    plain = values if kinds <= PLAIN else map(_plain, values)
    return np.fromiter(plain, dtype=object, count=len(values))


def _plain(value):
    if type(value) in PLAIN:
        return value
    if _is_missing(value):
        return None
    if isinstance(value, (np.bool_, np.integer)):
        return value.item()
    return value if isinstance(value, (str, int, float)) else float(value)


def _is_missing(value):
    if isinstance(value, (float, np.floating)):
        return value != value
    return type(value).__name__ in GAPS or (isinstance(value, Decimal) and value.is_nan())


def _are_numbers(values):
    """Whether all values are numbers, as such or as text, and at least one is there."""
    if bool in set(map(type, values)):
        return False
    found = [v for v in set(values) if not (v is None or _is_blank(v))]
    return bool(found) and all(map(_is_number, found))


def _is_number(value):
    """Of all that is neither a bool nor missing."""
    if not isinstance(value, str):
        return True
    text = value.strip()
    return NUMBER.fullmatch(text) is not None and math.isfinite(float(text))


def _is_blank(value):
    return isinstance(value, str) and not value.strip()


def _as_numbers(name, values):
    """Numbers of a column that held such in fit, whatever its dtype is now."""
    place = {}
    for value in dict.fromkeys(values):  # each once, the first to fail first
        if isinstance(value, str) and not (_is_blank(value) or _is_number(value)):
            raise TypeError(
                f"column {name!r} held numbers in fit; now it holds {value!r}."
            )
        is_gap = value is None or _is_blank(value)
        place[value] = np.nan if is_gap else _float(value)
    return np.array([place[value] for value in values], dtype=np.float64)


def _float(value):
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return np.inf


def as_objects(numbers):
    """Numbers as an array of objects, None where missing."""
    values = numbers.astype(object)
    values[np.isnan(numbers)] = None
    return values


def shown(values):
    """Some of the values that are there, for a message."""
    return ", ".join(repr(v) for v in [v for v in values if v is not None][:SHOWN])
