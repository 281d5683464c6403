"""How a branch reads a region that another one was trained on: appendix C."""

from __future__ import annotations

import numpy as np

from skgrow.growth.reuse.clustering import MIN_SPREAD

__all__ = ["transfer"]


def transfer(mean_b, spread_b, order_b, mean_r, spread_r, order_r):
    """Map a region onto the inputs of a branch class, dimensions matched by rank.

    Equating the normalised values of the dimensions of equal rank, (C.2), gives
    `x_b = spread_b * (x_r - mean_r) / spread_r + mean_b`, (C.5), here written as
    `x_b = scale * x_r[source] + shift`; folded into the first layer it is (C.7).

    Parameters
    ----------
    mean_b, spread_b, order_b : ndarray of shape (..., region_size)
        Mean, range and order of the dimensions of a branch class, (C.1).
    mean_r, spread_r, order_r : ndarray of shape (..., region_size)
        The same of a reference class on a region; leading axes are broadcast.

    Returns
    -------
    source : ndarray of int64 of shape (..., region_size)
        Dimension of the region that each dimension of the branch reads.
    scale, shift : ndarray of shape (..., region_size)
        Where either range is zero, the scale is 0 and the shift `mean_b`: a constant
        column is not informative, and dividing by its range would give a weight of 1e10.
    """
    shape = np.broadcast_shapes(mean_b.shape, mean_r.shape)
    rank = np.broadcast_to(np.argsort(order_b, axis=-1), shape)
    source = np.take_along_axis(np.broadcast_to(order_r, shape), rank, axis=-1)
    mean, spread = (
        np.take_along_axis(np.broadcast_to(array, shape), source, axis=-1)
        for array in (mean_r, spread_r)
    )
    varies = (spread > MIN_SPREAD) & (spread_b > MIN_SPREAD)
    scale = np.where(varies, spread_b / np.where(varies, spread, 1), 0)
    return source, scale, mean_b - scale * mean
