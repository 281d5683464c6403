"""Which pairs of columns look worth a branch: a cheap screen on coarse cells."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from skgrow.networks.forward import row_chunks
from skgrow.training.split_steps import quarters

__all__ = ["promising_pairs"]

N_CELLS = 8  # cells of a column at quantiles; missing values have one more
MAX_ROWS = 50_000
MAX_COLUMNS = 400  # bounds the memory of the sums: 0.1 GiB for each of two matrices
ROWS_PER_CHUNK = 4096
# What steps in all cells gain counts so much beside steps in four quarters: few rows make
# it mostly noise, and on many rows it sees what quarters hardly do.
CELLS_SHARE = 1 / 16


def promising_pairs(scaled, residual, n_pairs):
    """Pairs of columns whose cells the present scores leave most to do in.

    Every pair divides the rows into cells, and a cut of either column divides the cells
    into four quarters. What one Newton step in each quarter would gain, beyond what steps
    along either column would, is the promise of the pair: the mean over all cuts, and a
    little of what steps in the cells themselves would gain. GA2M (Lou et al. 2013)
    screens with the best of such cuts; the mean is steadier where rows are few.

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
        The most promising first; each with the smaller column first.
    """
    step = -(-len(scaled) // MAX_ROWS)
    scaled, residual = scaled[::step], residual.take(slice(None, None, step))
    columns = np.flatnonzero(np.ptp(scaled, axis=0) > 0)
    if len(columns) > MAX_COLUMNS:
        columns = np.sort(columns[_loudest(scaled[:, columns], residual)])
    pairs = np.array(list(combinations(range(len(columns)), 2)), dtype=np.int64)
    if not len(pairs):
        return np.zeros((0, 2), dtype=np.int64)
    cell = _cells(scaled[:, columns])
    classes = range(residual.gradient.shape[1])
    promise = sum(
        _promise(cell, residual.gradient[:, t], residual.curvature[:, t])
        for t in (classes if len(classes) > 2 else [1])
    )
    order = np.argsort(-promise[pairs[:, 0], pairs[:, 1]], kind="stable")
    return columns[pairs[order[:n_pairs]]]


def _loudest(scaled, residual):
    """Columns of which single cells still have most to gain."""
    gain = np.zeros(scaled.shape[1])
    for j in range(len(gain)):
        cell = _cells(scaled[:, j : j + 1])[:, 0]
        for slope, bent in zip(residual.gradient.T, residual.curvature.T, strict=True):
            slope, bent = (np.bincount(cell, weights=w) for w in (slope, bent))
            gain[j] += (slope**2 / np.maximum(bent, 1e-12)).sum()
    return np.argsort(-gain, kind="stable")[:MAX_COLUMNS]


def _cells(scaled):
    """Number of the cell of each value, the last one where it is missing."""
    cell = np.floor((scaled + 0.5) * N_CELLS).astype(np.int64)
    return np.where(cell < 0, N_CELLS, np.minimum(cell, N_CELLS - 1))


def _promise(cell, gradient, curvature):
    """Gain of each pair for one class, `(n_columns, n_columns)`."""
    n_columns, n_cells = cell.shape[1], N_CELLS + 1
    slope, bent = _sums(cell, gradient, curvature)
    least = 1e-6 * max(float(bent.max()), 1e-30)
    along = np.diag(slope) / np.maximum(np.diag(bent), least)  # steps along one column
    slope -= bent * (along[:, None] + along)
    shape = (n_columns, n_cells, n_columns, n_cells)
    promise = np.empty((n_columns, n_columns))
    for j, own in enumerate(zip(slope.reshape(shape), bent.reshape(shape), strict=True)):
        # Differences of long sums: they need more digits.
        own = [part.astype(np.float64) for part in own]
        own = [part.swapaxes(0, 1) for part in own]  # (n_columns, n_cells, n_cells)
        promise[j] = _of_quarters(*own, least) + CELLS_SHARE * _of_cells(*own, least)
    return promise


def _sums(cell, gradient, curvature):
    """Of the rows in both of two cells, each of any column, `(n_cells, n_cells)`."""
    n_columns, n_cells = cell.shape[1], N_CELLS + 1
    slope, bent = np.zeros((2, n_columns * n_cells, n_columns * n_cells), np.float32)
    offset = np.arange(n_columns) * n_cells
    for rows in row_chunks(len(cell), ROWS_PER_CHUNK):
        where = cell[rows] + offset
        spread = np.zeros((len(where), n_columns * n_cells), np.float32)
        np.put_along_axis(spread, where, 1, axis=1)
        slope += spread.T @ (spread * gradient[rows, None].astype(np.float32))
        bent += spread.T @ (spread * curvature[rows, None].astype(np.float32))
    return slope, bent


def _of_cells(slope, bent, least):
    """Gain of a step in every cell, beyond what noise would gain (1/2 a cell)."""
    return (_gain(slope, bent, least) - (bent > least) / 2).sum(axis=(1, 2))


def _of_quarters(slope, bent, least):
    """Gain of steps in four quarters: mean over the cuts that leave rows in each."""
    slope, bent = quarters(slope), quarters(bent)
    full = (bent > least).all(axis=0)  # (n_columns, n_cells - 1, n_cells - 1)
    gain = np.where(full, _gain(slope, bent, least).sum(axis=0), 0)
    return gain.sum(axis=(1, 2)) / np.maximum(full.sum(axis=(1, 2)), 1)


def _gain(slope, bent, least):
    """Of a Newton step along a sum of gradients."""
    return np.where(bent > least, slope**2 / np.maximum(bent, least), 0) / 2
