"""Curves: the effect of each column of a table by itself, as values at knots."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from sklearn.utils import gen_batches

from skgrow.inputs.interpolation import between, interpolated

__all__ = ["Curves", "are_knots", "knots_of", "place"]

ROWS_PER_CHUNK = 4096
N_BINS = 64  # knots of a column at quantiles
# A column of no more values has a knot for each: in adult, every capital gain then has
# its own value, where quantiles would put some of them together.
N_VALUES = 128
HEAVY = 0.25  # of the rows of a bin: a value of more is a knot of its own


@dataclass(frozen=True)
class Curves:
    """One term a column: `f_j(x_j)`, linear between knots and level outside them.

    A branch sees its columns through smooth quantiles and cannot follow a jagged shape,
    as that of a column where one value holds most of the rows. A curve can.

    Attributes
    ----------
    knots : ndarray of shape (n_points,)
        Column by column: numbers or codes of categories, ascending, and then NaN, the
        place of missing values.
    start : ndarray of int64 of shape (n_columns + 1,)
        Where each column begins, and the end of the last.
    values : ndarray of shape (n_points, n_classes)
        In logits; the mean of each column over the training rows is 0.
    error : ndarray of shape (n_points, n_classes)
        Standard error of the values, from replicas; NaN where there is one only.
    """

    knots: np.ndarray
    start: np.ndarray
    values: np.ndarray
    error: np.ndarray

    @classmethod
    def flat(cls, X, sample_weight, categorical, n_classes):
        """Curves of value 0, with knots where the rows lie.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Numbers and codes, NaN where missing.
        sample_weight : ndarray of shape (n_samples,)
            All positive.
        categorical : ndarray of bool of shape (n_features,)
            Columns of codes, which get a knot for each.
        n_classes : int
        """
        # Of codes, as many as there are.
        most_values = np.where(categorical, len(X), N_VALUES)
        knots = [
            np.append(knots_of(column, sample_weight, N_BINS, most, HEAVY), np.nan)
            for column, most in zip(X.T, most_values, strict=True)
        ]
        start = np.cumsum([0, *map(len, knots)])
        values = np.zeros((start[-1], n_classes), dtype=X.dtype)
        knots = np.concatenate(knots).astype(X.dtype)
        return cls(knots, start, values, np.full_like(values, np.nan))

    def without(self, columns):
        """The same with curves of 0 for some columns."""
        values, error = self.values.copy(), self.error.copy()
        for column in columns:
            values[self.points(column)] = 0
            error[self.points(column)] *= 0  # NaN where there is none
        return replace(self, values=values, error=error)

    def alone(self, column):
        """The curve of one column, of inputs that hold no other."""
        own = self.points(column)
        start = np.array([0, own.stop - own.start])
        return Curves(self.knots[own], start, self.values[own], self.error[own])

    @property
    def active(self):
        """Columns whose curve is not 0 everywhere, ascending."""
        each = range(len(self))
        return [j for j in each if self.values[self.points(j)].any()]

    def __len__(self):
        return len(self.start) - 1

    def fits(self, n_columns):
        """Whether the arrays fit together and make so many columns."""
        return (
            len(self) == n_columns
            and are_knots(self.knots, self.start)
            and self.values.shape == self.error.shape
            and self.values.shape[:1] == self.knots.shape
        )

    @property
    def n_parameters(self):
        """Trained numbers."""
        return self.values.size

    def points(self, column):
        """Slice of the points of one column."""
        return slice(self.start[column], self.start[column + 1])

    def place(self, X):
        """Where each value lies between the knots, see `place`."""
        return place(self.knots, self.start, X)

    def error_at(self, column, values):
        """Standard error of one curve at some values, `(n_values, n_classes)`."""
        own = self.points(column)
        knots, error = self.knots[own][:-1], self.error[own]
        found = [interpolated(values, knots, one) for one in error[:-1].T]
        return np.where(np.isnan(values)[:, None], error[-1], np.column_stack(found))

    def design(self, X, dtype=None):
        """Sparse matrix `(n_rows, n_points)`: its product with the values sums terms.

        Two entries for each value, which are neighbours and of its own column. It is
        built a chunk of rows at a time: with 8-byte numbers it takes 24 bytes for each
        value of `X`, and little is needed beside it.
        """
        dtype = X.dtype if dtype is None else dtype
        index = np.empty((*X.shape, 2), dtype=np.int32)
        part = np.empty((*X.shape, 2), dtype=dtype)
        for rows in gen_batches(len(X), ROWS_PER_CHUNK):
            point, share = self.place(X[rows].astype(dtype, copy=False))
            # A gap is the last point of its column: the one after it is not its own.
            lost = point == self.start[1:] - 1
            index[rows, :, 0] = point - lost
            part[rows, :, 1] = np.where(lost, 1, share)
            part[rows, :, 0] = 1 - part[rows, :, 1]
        index[..., 1] = index[..., 0] + 1
        n_rows, n_entries = len(X), 2 * len(self)
        where = np.arange(0, n_rows * n_entries + 1, n_entries, dtype=np.int32)
        shape = (n_rows, len(self.knots))
        return sparse.csr_array((part.ravel(), index.ravel(), where), shape=shape)

    def logits(self, X):
        """Sum of all curves, `(n_rows, n_classes)`."""
        logits = np.empty((len(X), self.values.shape[1]), dtype=self.values.dtype)
        for rows in gen_batches(len(X), ROWS_PER_CHUNK):
            logits[rows] = self.design(X[rows]) @ self.values
        return logits

    def terms(self, X):
        """What each curve adds, `(n_rows, n_columns, n_classes)`."""
        point, share = self.place(X)
        low = self.values[point]
        high = self.values[np.minimum(point + 1, len(self.knots) - 1)]
        return low + share[..., None] * (high - low)


def are_knots(knots, start):
    """Whether knots are as `place` needs them: what it finds are indices of arrays."""
    if start.dtype.kind != "i" or not len(start) or start[0] != 0:
        return False
    if start[-1] != len(knots) or (start[1:] - start[:-1] < 2).any():
        return False
    is_gap = np.zeros(len(knots), dtype=bool)
    is_gap[start[1:] - 1] = True
    ascends = knots[1:] > knots[:-1]
    return bool(
        np.array_equal(np.isnan(knots), is_gap)
        and (ascends | is_gap[1:] | is_gap[:-1]).all()
    )


def place(all_knots, start, X):
    """Where each value lies between the knots of its column.

    Parameters
    ----------
    all_knots : ndarray of shape (n_points,)
        Column by column: ascending, and then NaN, the place of missing values.
    start : ndarray of int64 of shape (n_columns + 1,)
        Where each column begins, and the end of the last.
    X : ndarray of shape (n_rows, n_columns)

    Returns
    -------
    point : ndarray of int64 of shape (n_rows, n_columns)
        Number of the knot below.
    share : ndarray of shape (n_rows, n_columns)
        How far the value lies on the way to the next, in [0, 1).

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow.networks.curves import place
    >>> knots, start = np.array([0.0, 10.0, 20.0, np.nan]), np.array([0, 4])
    >>> point, share = place(knots, start, np.array([[12.5], [99.0], [np.nan]]))
    >>> point.ravel(), share.ravel()
    (array([1, 2, 3]), array([0.25, 0.  , 0.  ]))
    """
    point = np.empty(X.shape, dtype=np.int64)
    share = np.zeros(X.shape, dtype=X.dtype)
    for j in range(X.shape[1]):
        first, missing = start[j], start[j + 1] - 1
        knots, column = all_knots[first:missing], X[:, j]
        lost = np.isnan(column)
        below = np.searchsorted(knots, column, side="right") - 1
        point[:, j] = np.where(lost, missing, first + below.clip(min=0))
        inner = np.flatnonzero(~lost & (below >= 0) & (below < len(knots) - 1))
        below = below[inner]
        share[inner, j] = between(column[inner], knots[below], knots[below + 1])
    return point, share


def knots_of(column, sample_weight, n_bins, most_values=None, heavy=1.0):
    """Knots of one column: all its values if they are few, else quantiles.

    A value that holds many rows is a knot, and so are its neighbours, so that the curve
    is free there; quantiles are those of the other rows.

    Parameters
    ----------
    column : ndarray of shape (n_samples,)
        NaN where missing.
    sample_weight : ndarray of shape (n_samples,)
    n_bins : int
    most_values : int, default=None
        Up to so many values, each gets a knot; by default `n_bins`.
    heavy : float, default=1.0
        How many rows are many, in the mean number of rows of a bin.

    Returns
    -------
    knots : ndarray
        Ascending; a single 0 where all values are missing.

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow.networks.curves import knots_of
    >>> knots_of(np.array([3.0, 1.0, np.nan, 1.0]), np.ones(4), n_bins=64)
    array([1., 3.])
    >>> gains = np.array([0.0] * 80 + list(range(100, 120)))
    >>> knots_of(gains, np.ones(100), n_bins=4)
    array([  0., 100., 104., 109., 114., 119.])
    """
    there = ~np.isnan(column)
    column, weight = column[there], sample_weight[there]
    distinct, number = np.unique(column, return_inverse=True)
    if not len(distinct):
        return np.zeros(1, dtype=column.dtype)
    if len(distinct) <= (n_bins if most_values is None else most_values):
        return distinct
    mass = np.bincount(number, weights=weight)
    many = mass > heavy * weight.sum() / n_bins
    steps = np.linspace(0, 1, n_bins + 1)
    light = ~many[number]
    quantiles = distinct[:0]
    if light.any():
        quantiles = np.quantile(
            column[light], steps, weights=weight[light], method="inverted_cdf"
        )
    held = np.flatnonzero(many)[:, None] + np.array([-1, 0, 1])
    held = held[(held >= 0) & (held < len(distinct))]
    return np.unique(np.concatenate([quantiles, distinct[held]]))
