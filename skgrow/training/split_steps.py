"""Newton steps of curves and surfaces over all cuts of columns and pairs."""

from __future__ import annotations

import numpy as np

__all__ = [
    "MAX_STEPS",
    "STEP_PATIENCE",
    "SplitStep",
    "QuadrantStep",
    "accelerated",
    "cheapest",
    "split_sums",
    "mean_steps",
    "quadrant_sums",
]

# Hessian of a quadrant or part that a step is made in: two rows, and eight, of a
# classifier at least. A column has few cuts that leave so little, a pair has many.
LEAST, LEAST_OF_SPLIT = 0.5, 2.0
CAUTION = 2.5  # curvature, ten rows at least: of the mean, beside that of a category
MAX_STEPS, STEP_PATIENCE = 150, 4  # steps without a better loss of rows left out


def split_sums(sums):
    """Sums below and above every cut of a column.

    Parameters
    ----------
    sums : ndarray of shape (..., n_points)
        Of the rows at each point.

    Returns
    -------
    sums : ndarray of shape (2, ..., n_points - 1)

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow.training.split_steps import split_sums
    >>> split_sums(np.array([1, 2, 4])).tolist()
    [[1, 3], [6, 4]]
    """
    total = sums.cumsum(axis=-1)
    return np.stack([total[..., :-1], total[..., -1:] - total[..., :-1]])


def quadrant_sums(sums):
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
    >>> from skgrow.training.split_steps import quadrant_sums
    >>> quadrant_sums(np.array([[1, 2], [3, 4]])).ravel()
    array([1, 2, 3, 4])
    """
    total = sums.cumsum(axis=-2).cumsum(axis=-1)
    first, second = total[..., :-1, -1:], total[..., -1:, :-1]  # below one of the cuts
    both = total[..., :-1, :-1]
    above = total[..., -1:, -1:] - first - second + both
    return np.stack([both, first - both, second - both, above])


class QuadrantStep:
    """The mean Newton step of surfaces, over all cuts of each of them.

    A cut of either column divides the rows into four quadrants, and each has a Newton
    step of its own: the step does not depend on the row count. See (T.5) in
    `docs/method.md`.

    Parameters
    ----------
    surfaces : Surfaces

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow.training.split_steps import QuadrantStep
    >>> from skgrow.networks.surfaces import Surfaces
    >>> X = np.array([[0.0, 5.0], [1.0, 5.0], [0.0, 7.0], [1.0, 7.0]])
    >>> surfaces = Surfaces.flat(np.array([[0, 1]]), X, np.ones(4), 2, n_bins=8)
    >>> grad = np.array([1.0, -1, 0, -1, 1, 0, 0, 0, 0])  # 3 x 3 points, the last: gaps
    >>> QuadrantStep(surfaces)(grad, np.abs(grad)).reshape(3, 3)[:2, :2]
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

    def __call__(self, grad, hess):
        """Step of every point; all surfaces together are one step.

        Parameters
        ----------
        grad : ndarray of shape (n_points,)
            Sum of the gradients of the rows at each point.
        hess : ndarray of shape (n_points,)
            And of their curvatures.

        Returns
        -------
        step : ndarray of shape (n_points,)
            In logits, or in the unit of the scaled target.
        """
        grad, hess = (quadrant_sums(self._grids(part)) for part in (grad, hess))
        full = (hess > LEAST).all(axis=0)  # (surfaces, n_first - 1, n_second - 1)
        step = np.where(full, grad / np.maximum(hess, LEAST), 0)
        n_cuts = np.maximum(full.sum(axis=(1, 2)), 1)
        step /= n_cuts[:, None, None] * len(full)
        return _spread(step).ravel()[self.place]

    def _grids(self, values):
        grids = np.zeros(self.shape)
        grids.ravel()[self.place] = values
        return grids


class SplitStep:
    """The mean Newton step of curves, over all cuts of each of them.

    A cut divides the rows of a column into two parts, and each has a Newton step of its
    own. Categories are cut in the order of their Newton steps at first. See (T.2) in
    `docs/method.md`.

    Parameters
    ----------
    curves : Curves
    categorical : ndarray of bool of shape (n_columns,)
    grad, hess : ndarray of shape (n_points,)
        What `__call__` takes, before the first step.
    rate : ndarray of shape (n_columns,), default=None
        Factor of the steps of each column, 1 by default.

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow.networks.curves import Curves
    >>> from skgrow.training.split_steps import SplitStep
    >>> X, is_code = np.array([[0.0], [1.0], [2.0]]), np.array([True])
    >>> curves = Curves.flat(X, np.ones(3), is_code, 2)
    >>> grad, hess = np.array([8.0, -8, 8, 0]), np.array([8.0, 8, 8, 0])  # 0: gaps
    >>> SplitStep(curves, is_code, grad, hess)(grad, hess)[:3]
    array([ 0.5, -0.5,  1. ])
    """

    def __init__(self, curves, categorical, grad, hess, rate=None):
        own = [curves.points(j) for j in range(len(curves))]
        self.shape = (len(own), max(points.stop - points.start for points in own))
        damped = grad + CAUTION * grad.sum() / max(hess.sum(), CAUTION)
        damped = damped / (hess + CAUTION)  # Newton steps, drawn to their mean
        self.rate = np.ones(len(own)) if rate is None else rate
        place = []  # of each point: its column, and its rank there; a gap is the last
        for j, (points, is_code) in enumerate(zip(own, categorical, strict=True)):
            rank = np.arange(points.stop - points.start)
            if is_code:
                rank[np.argsort(damped[points][:-1], kind="stable")] = rank[:-1].copy()
            place.append(j * self.shape[1] + rank)
        self.place = np.concatenate(place)
        # A column without a cut, such as a constant one, must not slow the others down.
        has_cut = self._full(split_sums(self._columns(hess))).any(axis=1)
        self.n_cut = max(np.count_nonzero(has_cut), 1)

    def __call__(self, grad, hess):
        """Step of every point; all curves together are one step.

        Parameters
        ----------
        grad, hess : ndarray of shape (n_points,)
            Sums of the gradients and of the curvatures of the rows at each point.

        Returns
        -------
        step : ndarray of shape (n_points,)
            In logits, or in the unit of the scaled target.
        """
        grad, hess = (split_sums(self._columns(part)) for part in (grad, hess))
        full = self._full(hess)
        step = np.where(full, grad / np.maximum(hess, LEAST_OF_SPLIT), 0)
        step *= (self.rate / np.maximum(full.sum(axis=1), 1))[:, None] / self.n_cut
        below, above = step
        total = np.zeros(self.shape)
        total[:, :-1] += _from_above(below, 1)
        total[:, 1:] += above.cumsum(axis=1)
        return total.ravel()[self.place]

    @staticmethod
    def _full(hess):
        """Whether either side of a cut has rows enough, `(n_columns, n_points - 1)`."""
        return (hess > LEAST_OF_SPLIT).all(axis=0)

    def _columns(self, values):
        columns = np.zeros(self.shape)
        columns.ravel()[self.place] = values
        return columns


def mean_steps(steps, sums):
    """A step of every value `(n_points, n_values)`, from sums of the same shape.

    Parameters
    ----------
    steps : list of SplitStep or of QuadrantStep
        One for each value of a point.
    sums : tuple of two ndarray of shape (n_points, n_values)
        Of the gradients and of the curvatures of the rows at each point.
    """
    # Classes pull on each other: twice as far could be too far.
    rate = 1.0 if len(steps) == 1 else 0.5
    columns = zip(steps, *(part.T for part in sums), strict=True)
    return rate * np.column_stack([step(*pair) for step, *pair in columns])


def accelerated(step, design, values):
    """Values and scores after one step more at a time, with Nesterov's acceleration.

    Parameters
    ----------
    step : callable
        `step(scores)` is the step from where the rows have these scores.
    design : sparse array of shape (n_rows, n_points)
        Its product with the values is the scores.
    values : ndarray of shape (n_points, n_values)
        To start with.

    Yields
    ------
    values : ndarray of shape (n_points, n_values)
    scores : ndarray of shape (n_rows, n_values)
    """
    ahead, scores = values, design @ values
    ahead_scores = scores
    for number in range(MAX_STEPS):
        moved = ahead + step(ahead_scores)
        moved_scores = design @ moved
        pace = number / (number + 3)
        ahead = moved + pace * (moved - values)
        ahead_scores = moved_scores + pace * (moved_scores - scores)
        values, scores = moved, moved_scores
        yield values, scores


def cheapest(tried, patience):
    """What costs least, of what is tried until `patience` in a row cost no less.

    Parameters
    ----------
    tried : iterable of tuple
        Its cost, and whatever else belongs to it.
    patience : int

    Returns
    -------
    best : tuple
        The first one of the least cost.

    Examples
    --------
    >>> from skgrow.training.split_steps import cheapest
    >>> cheapest([(3, "a"), (2, "b"), (4, "c"), (2, "d"), (1, "e")], patience=2)
    (2, 'b')
    """
    best, n_worse = None, 0
    for one in tried:
        n_worse = 0 if best is None or one[0] < best[0] else n_worse + 1
        best = one if n_worse == 0 else best
        if n_worse == patience:
            return best
    return best


def _spread(steps):
    """Sum at each point of the steps of all quadrants that it lies in."""
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
