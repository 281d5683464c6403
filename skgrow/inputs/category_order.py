"""Orders of categories: learned from the target, so never from rows that judge."""

from __future__ import annotations

import numpy as np

__all__ = ["FEW_CATEGORIES", "category_positions", "reliability"]

# Rows of the mean target that are added to those of each category: the mean of
# a rare one is mostly noise.
SMOOTHING = 10.0
# Of so few categories each has a cell of its own in every screen and grid, in whatever
# order they are.
FEW_CATEGORIES = 16
STANDARD_ERRORS = 2.0  # by which more categories must differ more than chance explains


def category_positions(codes, y, sample_weight, n_codes, along=None):
    """Place of each category in [-0.5, 0.5], ordered by the target.

    Categories are ordered by their smoothed mean target; of classes, by their smoothed
    shares, projected on the direction in which they differ most (with two classes that
    is the share of one). A position is the weighted quantile of the middle of the
    category. All positions are 0 where more than `FEW_CATEGORIES` differ no more than
    chance explains: Pearson's chi-squared, or the analysis of variance of a number, less
    its degrees of freedom must exceed `STANDARD_ERRORS` of its standard deviations.

    Parameters
    ----------
    codes : ndarray of int64 of shape (n_rows,)
    y : ndarray of shape (n_rows,)
        Class numbers (int), or targets of a regressor (float).
    sample_weight : ndarray of shape (n_rows,)
        All positive.
    n_codes : int
    along : ndarray of shape (n_codes,), default=None
        Other positions of these categories: of three classes and more the direction is
        known but for its sign, and is turned so that both orders agree.

    Returns
    -------
    positions : ndarray of float64 of shape (n_codes,)

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow.inputs.category_order import category_positions
    >>> codes, y = np.array([0, 0, 1, 1, 2, 2]), np.array([1, 1, 0, 0, 0, 1])
    >>> category_positions(codes, y, np.ones(6), 3).round(2)
    array([ 0.33, -0.33,  0.  ])
    """
    weight = sample_weight / sample_weight.mean()
    size = np.bincount(codes, weights=weight, minlength=n_codes)[:, None]
    total, spread = _sums(codes, y, weight, n_codes)
    prior = total.sum(axis=0) / size.sum()
    if (size > 0).sum() > FEW_CATEGORIES and not _differ(size, total, prior, spread):
        return np.zeros(n_codes)
    shift = (total + SMOOTHING * prior) / (size + SMOOTHING) - prior
    rank_by = shift[:, -1]
    if shift.shape[1] > 2:
        direction = np.linalg.svd(np.sqrt(size) * shift, full_matrices=False)[2][0]
        rank_by = shift @ (direction * (np.sign(direction[np.abs(direction).argmax()])))
        if along is not None and size[:, 0] @ (rank_by * along) < 0:
            rank_by = -rank_by
    order = np.argsort(rank_by, kind="stable")
    share = size[order, 0] / size.sum()
    positions = np.empty(n_codes)
    positions[order] = share.cumsum() - share / 2 - 0.5
    return positions


def reliability(grad, hess):
    """Share of the spread between categories that sampling noise does not explain.

    DerSimonian and Laird's (1986) moment estimator, for the Newton steps `grad / hess`
    of the categories of a column, each of variance `1 / hess`.

    Parameters
    ----------
    grad, hess : ndarray of shape (n_codes, n_values)
        Sums over the rows of each category of the gradient and the Hessian of the loss.

    Returns
    -------
    share : float
        In [0, 1]: 0 where the categories differ no more than noise would make them.
    variance : float
        Between the categories, in squared units of the scores.

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow.inputs.category_order import reliability
    >>> reliability(np.array([[8.0], [-8.0]]), np.array([[8.0], [8.0]]))
    (0.9375, 1.875)
    """
    hess = np.maximum(hess, np.finfo(np.float64).tiny)
    mean = grad.sum(axis=0) / hess.sum(axis=0)
    spread = float((hess * (grad / hess - mean) ** 2).sum())
    n_free = hess.size - hess.shape[1]
    if spread <= n_free:
        return 0.0, 0.0
    mass = hess.sum(axis=0)
    mass = float((mass - (hess**2).sum(axis=0) / mass).sum())
    return 1 - n_free / spread, (spread - n_free) / mass


def _sums(codes, y, weight, n_codes):
    """Target summed by category `(n_codes, n_values)`, and its variance per value."""
    if y.dtype.kind == "i":
        total = np.zeros((n_codes, y.max(initial=0) + 1))
        np.add.at(total, (codes, y), weight)
        return total, None
    total = np.bincount(codes, weights=weight * y, minlength=n_codes)[:, None]
    mean = np.average(y, weights=weight)
    return total, np.average((y - mean) ** 2, weights=weight)


def _differ(size, total, prior, variance):
    """Whether categories differ more than chance explains."""
    n_seen = int((size > 0).sum())
    seen = prior > 0 if variance is None else np.ones(1, dtype=bool)
    if variance is None:
        variance, n_free = prior[seen], (n_seen - 1) * (int(seen.sum()) - 1)
    else:
        n_free = n_seen - 1
    excess = (total - size * prior)[:, seen] ** 2
    scale = np.maximum(size * variance, np.finfo(np.float64).tiny)
    statistic = float((excess / scale).sum())
    return statistic > n_free + STANDARD_ERRORS * np.sqrt(2 * n_free)
