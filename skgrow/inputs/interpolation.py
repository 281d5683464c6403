"""How far numbers lie between their neighbours, of any size that floats have."""

from __future__ import annotations

import numpy as np

__all__ = ["between", "interpolated"]


def between(x, low, high):
    """Share of the way from `low` to `high` at which `x` lies, in [0, 1].

    Slopes, as `np.interp` takes them, overflow where neighbours are nearer to each other
    than about 1e-308, and distances where they are further apart than 1.8e308.

    Parameters
    ----------
    x, low, high : ndarray of one shape
        `low <= x <= high` and `low < high`.

    Returns
    -------
    share : ndarray

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow.inputs.interpolation import between
    >>> low, high = np.array([0.0, -1.5e308, 0]), np.array([8.0, 1.5e308, 1e-323])
    >>> between(np.array([2.0, 0, 5e-324]), low, high)
    array([0.25, 0.5 , 0.5 ])
    """
    # Half of a subnormal number is rounded, and half of any other is exact.
    size = np.where((np.abs(low) > 1) | (np.abs(high) > 1), 0.5, 1).astype(x.dtype)
    start = low * size
    return (x * size - start) / (high * size - start)


def interpolated(x, knots, values):
    """As `np.interp`, for knots as near to or far from each other as floats can be.

    A value that several knots have is in the middle of what they have.

    Parameters
    ----------
    x : ndarray of shape (n_rows,)
        NaN stays NaN.
    knots : ndarray of shape (n_knots,)
        Ascending; some may be equal.
    values : ndarray of shape (n_knots,)

    Returns
    -------
    found : ndarray of float64 of shape (n_rows,)

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow.inputs.interpolation import interpolated
    >>> knots, values = np.array([0.0, 1, 1, 3]), np.array([0.0, 1, 2, 3])
    >>> interpolated(np.array([-1.0, 0.5, 1, 2, 9, np.nan]), knots, values)
    array([0. , 0.5, 1.5, 2.5, 3. , nan])
    """
    distinct, first, count = np.unique(knots, return_index=True, return_counts=True)
    distinct, last = distinct.astype(np.float64), first + count - 1
    x = np.asarray(x, dtype=np.float64)
    below = (np.searchsorted(distinct, x, side="right") - 1).clip(min=0)
    found = (0.5 * (values[first] + values[last]))[below]
    inner = np.flatnonzero((x > distinct[below]) & (below < len(distinct) - 1))
    i = below[inner]
    share = between(x[inner], distinct[i], distinct[i + 1])
    found[inner] = values[last[i]] + share * (values[first[i + 1]] - values[last[i]])
    found[x < distinct[0]] = values[0]
    found[x > distinct[-1]] = values[-1]
    found[np.isnan(x)] = np.nan
    return found
