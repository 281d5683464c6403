"""Quarters: what a cut of either column divides the grid of a pair of columns into."""

from __future__ import annotations

import numpy as np

__all__ = ["MeanStep", "quarters"]

LEAST = 0.5  # curvature of a quarter that a step is made in: two rows of a classifier


def quarters(sums):
    """Sums below and above every cut of either column.

    Parameters
    ----------
    sums : ndarray of shape (..., n_first, n_second)
        Of the rows at each point of a grid.

    Returns
    -------
    sums : ndarray of shape (4, ..., n_first - 1, n_second - 1)
        Below both cuts, below that of the first column only, below that of the second
        only, and above both.

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow.quarters import quarters
    >>> quarters(np.array([[1, 2], [3, 4]])).ravel()
    array([1, 2, 3, 4])
    """
    total = sums.cumsum(axis=-2).cumsum(axis=-1)
    first, second = total[..., :-1, -1:], total[..., -1:, :-1]  # below one of the cuts
    both = total[..., :-1, :-1]
    above = total[..., -1:, -1:] - first - second + both
    return np.stack([both, first - both, second - both, above])


class MeanStep:
    """The mean Newton step of surfaces, over all cuts of each of them.

    A cut of either column divides the rows into four quarters, and each quarter has a
    Newton step of its own: one of few rows moves as far as one of many that asks for as
    much. See (T.4) in `docs/method.md`.

    Parameters
    ----------
    surfaces : Surfaces

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow.quarters import MeanStep
    >>> from skgrow.surfaces import Surfaces
    >>> X = np.array([[0.0, 5.0], [1.0, 5.0], [0.0, 7.0], [1.0, 7.0]])
    >>> surfaces = Surfaces.flat(np.array([[0, 1]]), X, np.ones(4), 2, n_bins=8)
    >>> slope = np.array([1.0, -1, 0, -1, 1, 0, 0, 0, 0])  # 3 x 3 points, the last: gaps
    >>> MeanStep(surfaces)(slope, np.abs(slope)).reshape(3, 3)[:2, :2]
    array([[ 1., -1.],
           [-1.,  1.]])
    """

    def __init__(self, surfaces):
        sides = surfaces.sides
        self.shape = (len(sides), *sides.max(axis=0))
        first, second = (
            np.arange(most) < own[:, None]
            for most, own in zip(self.shape[1:], sides.T, strict=True)
        )
        # Where each point lies among grids that are all as large as the largest.
        self.place = np.flatnonzero(first[:, :, None] & second[:, None])

    def __call__(self, slope, bent):
        """Step of every point; all surfaces together are one step.

        Parameters
        ----------
        slope : ndarray of shape (n_points,)
            Sum of the gradients of the rows at each point.
        bent : ndarray of shape (n_points,)
            And of their curvatures.

        Returns
        -------
        step : ndarray of shape (n_points,)
            In logits, or in the unit of the scaled target.
        """
        slope, bent = (quarters(self._grids(part)) for part in (slope, bent))
        full = (bent > LEAST).all(axis=0)  # (surfaces, n_first - 1, n_second - 1)
        step = np.where(full, slope / np.maximum(bent, LEAST), 0)
        n_cuts = np.maximum(full.sum(axis=(1, 2)), 1)
        step /= n_cuts[:, None, None] * len(full)
        return _spread(step).ravel()[self.place]

    def _grids(self, values):
        grids = np.zeros(self.shape)
        grids.ravel()[self.place] = values
        return grids


def _spread(steps):
    """Sum at each point of the steps of all quarters that it lies in."""
    _, n_surfaces, n_first, n_second = steps.shape
    total = np.zeros((n_surfaces, n_first + 1, n_second + 1))
    both, first, second, above = steps
    total[:, :-1, :-1] += _from_above(_from_above(both, 1), 2)
    total[:, :-1, 1:] += _from_above(first, 1).cumsum(axis=2)
    total[:, 1:, :-1] += _from_above(second, 2).cumsum(axis=1)
    total[:, 1:, 1:] += above.cumsum(axis=1).cumsum(axis=2)
    return total


def _from_above(steps, axis):
    """Sums of a step and all behind it."""
    return np.flip(np.flip(steps, axis).cumsum(axis=axis), axis)
