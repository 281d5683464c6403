"""Inputs on any scale, mapped to [-0.5, 0.5].

scikit-learn's `QuantileTransformer` takes no sample weights, and a statistic that
ignores them would break the promise that a row of weight 2 equals the row twice;
that is why the quantile map below is our own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["PixelScaler", "QuantileScaler", "fit_scaler"]

MISSING = -0.75  # beside the box [-0.5, 0.5], near enough to be learned
N_KNOTS = 129  # knots of the quantile map; finer steps hold under 1 % of the rows
MAX_QUANTILE_ROWS = 100_000  # rows beyond this are thinned before taking quantiles


@dataclass(frozen=True)
class PixelScaler:
    """One affine map for all columns, for pixels.

    Attributes
    ----------
    middle : float
        Half way between the smallest and the largest value seen in `fit`.
    spread : float
        Largest minus smallest value; 1 where all are equal.
    """

    middle: float
    spread: float

    def take(self, columns):
        """The map of some columns."""
        return self

    def transform(self, X):
        """Map `X` (n_samples, n_features) affinely; the fitted range to [-0.5, 0.5]."""
        X = np.asarray(X)
        scaled = X - X.dtype.type(self.middle)
        scaled /= X.dtype.type(self.spread)
        return scaled


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
    """

    knots: np.ndarray
    missing: np.ndarray

    def take(self, columns):
        """The map of some columns, in the order of `columns`."""
        return QuantileScaler(self.knots[:, columns], self.missing[columns])

    def transform(self, X):
        """Map each column of `X` (n_samples, n_features) to [-0.5, 0.5]."""
        X = np.asarray(X)
        steps = np.linspace(-0.5, 0.5, len(self.knots))
        scaled = np.zeros_like(X)
        for j in np.flatnonzero(self.knots[0] < self.knots[-1]):
            knots, column = self.knots[:, j], X[:, j]
            # The mean of both directions puts a tied value in the middle of its ties.
            upward = np.interp(column, knots, steps)
            downward = np.interp(-column, -knots[::-1], -steps[::-1])
            scaled[:, j] = 0.5 * (upward - downward)
        lost = np.isnan(X)
        return np.where(lost, self.missing, scaled) if lost.any() else scaled


def fit_scaler(X, sample_weight, shared_scale):
    """Learn the map of the inputs from the rows of positive weight.

    Parameters
    ----------
    X : ndarray of float of shape (n_samples, n_features)
        Only a table may hold NaN.
    sample_weight : ndarray of shape (n_samples,)
        All positive.
    shared_scale : bool
        True for pixels (one affine map), False for tables (a map a column).

    Returns
    -------
    scaler : PixelScaler or QuantileScaler

    Raises
    ------
    ValueError
        If pixels are missing.
    """
    if shared_scale:
        # Halved before adding: the sum of two huge values would overflow.
        low, high = float(X.min()) / 2, float(X.max()) / 2
        if np.isnan(low):
            raise ValueError(
                "X holds missing values, which only a table may have; image regions "
                "need a number for every pixel."
            )
        return PixelScaler(low + high, 2 * (high - low) or 1.0)
    step = -(-len(X) // MAX_QUANTILE_ROWS)
    rows, weight = X[::step], sample_weight[::step].astype(np.float64)
    knots = np.zeros((N_KNOTS, X.shape[1]), dtype=X.dtype)
    for j, column in enumerate(rows.T):  # all at once would take twelve copies of them
        there = ~np.isnan(column)
        if there.any():
            knots[:, j] = _quantiles(column[there], weight[there])
    some = np.isnan(X).any(axis=0)
    return QuantileScaler(knots, np.where(some, MISSING, 0).astype(X.dtype))


def _quantiles(x, sample_weight):
    steps = np.linspace(0, 1, N_KNOTS)
    return np.quantile(x, steps, weights=sample_weight, method="inverted_cdf")
