"""Inputs on any scale, mapped to [-0.5, 0.5].

scikit-learn's `QuantileTransformer` takes no sample weights, and a statistic that
ignores them would break the promise that a row of weight 2 equals the row twice;
that is why the quantile map below is our own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from skgrow.inputs.category_order import category_positions
from skgrow.inputs.interpolation import interpolated

__all__ = ["PixelScaler", "QuantileScaler", "check_pixels", "fit_scaler"]

MISSING = -0.75  # beside the box [-0.5, 0.5], near enough to be learned
N_KNOTS = 129  # knots of the quantile map; finer steps hold under 1 % of the rows
MAX_SPREADS = 1e6  # of pixels: float32 holds what layers and squares make of it
MAX_QUANTILE_ROWS = 100_000  # rows beyond this are thinned before taking quantiles


@dataclass(frozen=True)
class PixelScaler:
    """One affine map for all columns, for pixels.

    It goes on straight outside the fitted range, up to `MAX_SPREADS` times that range:
    the layers of a branch would overflow with larger numbers.

    Attributes
    ----------
    middle : float
        Half way between the smallest and the largest value seen in `fit`.
    spread : float
        Largest minus smallest value, or the largest number there is if that is larger; 1
        where all are equal.
    """

    middle: float
    spread: float

    def cross_fitted(self, rows, fold):
        """The scaled rows as they are: pixels have no categories."""
        return rows.scaled

    def take(self, columns):
        """The map of some columns."""
        return self

    def fits(self, n_columns):
        """Whether it maps so many columns: any."""
        return True

    def transform(self, X):
        """Map `X` (n_samples, n_features) affinely; the fitted range to [-0.5, 0.5]."""
        X = np.asarray(X)
        with np.errstate(over="ignore"):
            scaled = X - X.dtype.type(self.middle)
            scaled /= X.dtype.type(self.spread)
        return np.clip(scaled, -MAX_SPREADS, MAX_SPREADS, out=scaled)


@dataclass(frozen=True)
class QuantileScaler:
    """Each column through its own weighted quantiles, for tables.

    Heavy tails and outliers lose their leverage, and every column fills the box
    that clustering draws from. A constant column becomes 0. A missing value (NaN) gets a
    place of its own beside the box, where branches learn what it means; in a column that
    had none in `fit` it becomes the median, 0.

    Attributes
    ----------
    knots : ndarray of shape (n_knots, n_features)
        Weighted quantiles of each column at equal steps of probability.
    missing : ndarray of shape (n_features,)
        What NaN becomes.
    start : ndarray of int64 of shape (n_features + 1,), default=None
        Where the positions of each column begin, and the end of the last; a column of
        numbers has none. None where all columns are numbers.
    positions : ndarray of shape (n_positions,), default=None
        Of the codes 0, 1, ... of a column of categories, see `category_positions`.
    """

    knots: np.ndarray
    missing: np.ndarray
    start: np.ndarray | None = None
    positions: np.ndarray | None = None

    @property
    def categorical(self):
        """Numbers of the columns of categories."""
        return np.flatnonzero(self.n_codes)

    @property
    def n_codes(self):
        """Categories of each column, 0 for a column of numbers."""
        if self.start is None:
            return np.zeros(len(self.missing), dtype=np.int64)
        return np.diff(self.start)

    def with_order(self, X, y, sample_weight):
        """The same with categories in the order that these rows give them.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Numbers and codes, NaN where missing.
        y : ndarray of shape (n_samples,)
            Class numbers, or targets of a regressor.
        sample_weight : ndarray of shape (n_samples,)
            All positive.

        Returns
        -------
        scaler : QuantileScaler
        """
        if not len(self.categorical):
            return self
        positions = np.zeros_like(self.positions)
        for j in self.categorical:
            own = slice(*self.start[j : j + 2])
            there = ~np.isnan(X[:, j])
            if there.any():
                positions[own] = category_positions(
                    X[there, j].astype(np.int64), y[there], sample_weight[there],
                    own.stop - own.start, along=self.positions[own],
                )  # fmt: skip
        return replace(self, positions=positions)

    def cross_fitted(self, rows, fold):
        """Scaled rows, each by an order of categories that its own fold had no part in.

        Training on codes that contain the target of the row itself would be training on
        the target (target encoding, Micci-Barreca 2001, as scikit-learn's
        `TargetEncoder.fit_transform` does it).

        Parameters
        ----------
        rows : LabelledRows
            With `scaled` as `transform` gives it.
        fold : ndarray of int of shape (n_rows,)

        Returns
        -------
        scaled : ndarray of shape (n_rows, n_features)
            That of the rows itself, where no column has categories.
        """
        if not len(self.categorical):
            return rows.scaled
        scaled = rows.scaled.copy()
        for number in np.unique(fold):
            own, others = fold == number, fold != number
            if others.any():
                learned = (rows.X[others], rows.y[others], rows.weight[others])
                order = self.with_order(*learned)
                scaled[own] = order.ordered(rows.X[own], scaled[own])
        return scaled

    def ordered(self, X, out=None):
        """`X` with the positions of its categories for their codes, NaN where missing.

        With `out` they are written there, and what is missing to its own place.
        """
        found = X.copy() if out is None else out
        for j in self.categorical:
            positions = self.positions[slice(*self.start[j : j + 2])]
            lost = np.isnan(X[:, j])
            code = np.where(lost, 0, X[:, j]).astype(np.int64)
            missing = np.nan if out is None else self.missing[j]
            found[:, j] = np.where(lost, missing, positions[code])
        return found

    def take(self, columns):
        """The map of some columns, in the order of `columns`."""
        knots, missing = self.knots[:, columns], self.missing[columns]
        if self.start is None:
            return QuantileScaler(knots, missing)
        own = [self.positions[slice(*self.start[j : j + 2])] for j in columns]
        start = np.cumsum([0, *map(len, own)])
        return QuantileScaler(knots, missing, start, np.concatenate(own))

    def fits(self, n_columns):
        """Whether it maps so many columns, each by ascending quantiles."""
        return (
            len(self.knots) > 1
            and self.knots.shape[1:] == self.missing.shape == (n_columns,)
            and bool((self.knots[1:] >= self.knots[:-1]).all())
            and self._fits_codes(n_columns)
        )

    def _fits_codes(self, n_columns):
        if self.start is None or self.positions is None:
            return self.start is self.positions
        return (
            self.start.shape == (n_columns + 1,)
            and self.start[0] == 0
            and self.start[-1] == len(self.positions)
            and bool((self.start[1:] >= self.start[:-1]).all())
        )

    def transform(self, X):
        """Map each column of `X` (n_samples, n_features) to [-0.5, 0.5]."""
        X = np.asarray(X)
        steps = np.linspace(-0.5, 0.5, len(self.knots))
        scaled = np.zeros_like(X)
        has_steps = self.knots[0] < self.knots[-1]
        has_steps[self.categorical] = False
        for j in np.flatnonzero(has_steps):
            scaled[:, j] = interpolated(X[:, j], self.knots[:, j], steps)
        lost = np.isnan(X)
        if lost.any():
            scaled = np.where(lost, self.missing, scaled)
        return self.ordered(X, scaled)


def fit_scaler(X, sample_weight, shared_scale, y=None, n_codes=None):
    """Learn the map of the inputs from the rows of positive weight.

    Parameters
    ----------
    X : ndarray of float of shape (n_samples, n_features)
        Only a table may hold NaN.
    sample_weight : ndarray of shape (n_samples,)
        All positive.
    shared_scale : bool
        True for pixels (one affine map), False for tables (a map a column).
    y : ndarray of shape (n_samples,), default=None
        Class numbers, or targets of a regressor: categories are ordered by them.
    n_codes : ndarray of int of shape (n_features,), default=None
        Categories of each column, 0 for one of numbers.

    Returns
    -------
    scaler : PixelScaler or QuantileScaler

    Raises
    ------
    ValueError
        If pixels are missing.
    """
    if shared_scale:
        low, high = float(X.min()), float(X.max())
        if np.isnan(low):
            raise ValueError(
                "X holds missing values, which only a table may have; image regions "
                "need a number for every pixel."
            )
        # Halved before adding: the sum of two huge values would overflow.
        middle = low / 2 + high / 2
        spread = min(high - low, float(np.finfo(X.dtype).max)) or 1.0
        return PixelScaler(middle, spread)
    step = -(-len(X) // MAX_QUANTILE_ROWS)
    rows, weight = X[::step], sample_weight[::step].astype(np.float64)
    knots = np.zeros((N_KNOTS, X.shape[1]), dtype=X.dtype)
    for j, column in enumerate(rows.T):  # all at once would take twelve copies of them
        there = ~np.isnan(column)
        if there.any():
            knots[:, j] = _quantiles(column[there], weight[there])
    some = np.isnan(X).any(axis=0)
    scaler = QuantileScaler(knots, np.where(some, MISSING, 0).astype(X.dtype))
    if n_codes is None or not n_codes.any():
        return scaler
    start = np.cumsum([0, *n_codes])
    scaler = replace(scaler, start=start, positions=np.zeros(start[-1], X.dtype))
    return scaler.with_order(X, y, sample_weight)


def check_pixels(X):
    """Raise ValueError if a pixel is missing."""
    if np.isnan(X.min()):
        raise ValueError(
            "X holds missing values (NaN), which only a table may have; image regions "
            "need a number for every pixel."
        )


def _quantiles(x, sample_weight):
    steps = np.linspace(0, 1, N_KNOTS)
    return np.quantile(x, steps, weights=sample_weight, method="inverted_cdf")
