"""Strongest residual interactions of pairs: a cheap screen on coarse cells."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from skgrow.networks.forward import row_chunks
from skgrow.training.split_steps import quadrant_sums

__all__ = ["residual_interactions"]

N_CELLS = 8  # cells of a column at quantiles; missing values have one more
MAX_ROWS = 50_000
MAX_COLUMNS = 400  # bounds the memory of the sums: 0.1 GiB for each of two matrices
ROWS_PER_CHUNK = 4096
# Weight of the gain in all cells beside that in four quadrants: few rows make it mostly
# noise, and on many rows it sees what quadrants hardly do.
CELLS_SHARE = 1 / 16


def residual_interactions(scaled, residual, n_pairs):
    """Pairs of columns with the strongest interactions in the residual.

    Every pair divides the rows into cells, and a cut of either column divides the cells
    into four quadrants. The gain of one Newton step in each, beyond that of steps along
    either column, is the strength of the pair: the mean over all cuts, and a little of
    the gain of steps in the cells themselves. GA2M (Lou et al. 2013) screens with the
    best of such cuts; the mean has less variance where rows are few.

    Parameters
    ----------
    scaled : ndarray of shape (n_samples, n_features)
        Inputs in [-0.5, 0.5], and below it where missing, see `QuantileScaler`.
    residual : Residual
        Of the same rows.
    n_pairs : int
        Pairs to return at most.

    Returns
    -------
    pairs : ndarray of int64 of shape (n_found, 2)
        The strongest first; each with the smaller column first.
    """
    step = -(-len(scaled) // MAX_ROWS)
    scaled, residual = scaled[::step], residual.take(slice(None, None, step))
    columns = np.flatnonzero(np.ptp(scaled, axis=0) > 0)
    if len(columns) > MAX_COLUMNS:
        columns = np.sort(columns[_strongest(scaled[:, columns], residual)])
    pairs = np.array(list(combinations(range(len(columns)), 2)), dtype=np.int64)
    if not len(pairs):
        return np.zeros((0, 2), dtype=np.int64)
    cell = _cells(scaled[:, columns])
    classes = range(residual.gradient.shape[1])
    strength = sum(
        _strength(cell, residual.gradient[:, t], residual.curvature[:, t])
        for t in (classes if len(classes) > 2 else [1])
    )
    order = np.argsort(-strength[pairs[:, 0], pairs[:, 1]], kind="stable")
    return columns[pairs[order[:n_pairs]]]


def _strongest(scaled, residual):
    """Columns whose single cells have the largest gain."""
    gain = np.zeros(scaled.shape[1])
    for j in range(len(gain)):
        cell = _cells(scaled[:, j : j + 1])[:, 0]
        for grad, hess in zip(residual.gradient.T, residual.curvature.T, strict=True):
            grad, hess = (np.bincount(cell, weights=w) for w in (grad, hess))
            gain[j] += (grad**2 / np.maximum(hess, 1e-12)).sum()
    return np.argsort(-gain, kind="stable")[:MAX_COLUMNS]


def _cells(scaled):
    """Number of the cell of each value, the last one where it is missing."""
    cell = np.floor((scaled + 0.5) * N_CELLS).astype(np.int64)
    return np.where(cell < 0, N_CELLS, np.minimum(cell, N_CELLS - 1))


def _strength(cell, gradient, curvature):
    """Gain of each pair for one class, `(n_columns, n_columns)`."""
    n_columns, n_cells = cell.shape[1], N_CELLS + 1
    grad, hess = _sums(cell, gradient, curvature)
    least = 1e-6 * max(float(hess.max()), 1e-30)
    along = np.diag(grad) / np.maximum(np.diag(hess), least)  # steps along one column
    grad -= hess * (along[:, None] + along)
    shape = (n_columns, n_cells, n_columns, n_cells)
    strength = np.empty((n_columns, n_columns))
    for j, own in enumerate(zip(grad.reshape(shape), hess.reshape(shape), strict=True)):
        # Differences of long sums: they need more digits.
        own = [part.astype(np.float64) for part in own]
        own = [part.swapaxes(0, 1) for part in own]  # (n_columns, n_cells, n_cells)
        strength[j] = _of_quadrants(*own, least) + CELLS_SHARE * _of_cells(*own, least)
    return strength


def _sums(cell, gradient, curvature):
    """Of the rows in both of two cells, each of any column, `(n_cells, n_cells)`."""
    n_columns, n_cells = cell.shape[1], N_CELLS + 1
    grad, hess = np.zeros((2, n_columns * n_cells, n_columns * n_cells), np.float32)
    offset = np.arange(n_columns) * n_cells
    for rows in row_chunks(len(cell), ROWS_PER_CHUNK):
        where = cell[rows] + offset
        spread = np.zeros((len(where), n_columns * n_cells), np.float32)
        np.put_along_axis(spread, where, 1, axis=1)
        grad += spread.T @ (spread * gradient[rows, None].astype(np.float32))
        hess += spread.T @ (spread * curvature[rows, None].astype(np.float32))
    return grad, hess


def _of_cells(grad, hess, least):
    """Gain of a step in every cell, beyond what noise would gain (1/2 a cell)."""
    return (_gain(grad, hess, least) - (hess > least) / 2).sum(axis=(1, 2))


def _of_quadrants(grad, hess, least):
    """Gain of steps in four quadrants: mean over the cuts that leave rows in each."""
    grad, hess = quadrant_sums(grad), quadrant_sums(hess)
    full = (hess > least).all(axis=0)  # (n_columns, n_cells - 1, n_cells - 1)
    gain = np.where(full, _gain(grad, hess, least).sum(axis=0), 0)
    return gain.sum(axis=(1, 2)) / np.maximum(full.sum(axis=(1, 2)), 1)


def _gain(grad, hess, least):
    """Of a Newton step along a sum of gradients."""
    return np.where(hess > least, grad**2 / np.maximum(hess, least), 0) / 2
