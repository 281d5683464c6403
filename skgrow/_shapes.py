"""Shapes: what the terms of one and two columns say, on a grid, purified.

A pair of columns can say what its single columns could say as well. Purifying moves that
to the single terms: what is left of a pair has mean zero along either column, weighted by
how many rows lie at each point of the grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skgrow.curves import knots_of

__all__ = ["Axis", "axes_of", "purified", "shape_rows"]


@dataclass(frozen=True)
class Axis:
    """Grid of one column.

    Attributes
    ----------
    points : ndarray of shape (n_points,)
        As the model reads them: numbers or codes, NaN last where values are missing.
    labels : list
        The same for the user: numbers, categories, None for missing.
    weight : ndarray of shape (n_points,)
        Share of the rows nearest to each point; sums to 1.
    """

    points: np.ndarray
    labels: list
    weight: np.ndarray


def axes_of(X, columns, categories, n_points):
    """Grids of some columns of `X` as the model reads it, a dict by column.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        NaN where missing.
    columns : iterable of int
    categories : tuple or None
        Of each column, see `Table`.
    n_points : int
        Points at most for a column of numbers: quantiles.
    """
    known = categories or (None,) * X.shape[1]
    return {j: _axis(X[:, j], known[j], n_points) for j in columns}


def _axis(column, categories, n_points):
    there = column[~np.isnan(column)]
    if categories is not None:
        points = np.arange(len(categories), dtype=column.dtype)
        labels = categories.tolist()
    else:
        points = knots_of(there, np.ones(len(there)), max(n_points - 1, 1))
        labels = points.tolist()
    nearest = np.searchsorted((points[1:] + points[:-1]) / 2, there)
    count = np.bincount(nearest, minlength=len(points)).astype(np.float64)
    if len(there) < len(column):
        points = np.append(points, np.nan).astype(column.dtype)
        labels = [*labels, None]
        count = np.append(count, len(column) - len(there))
    return Axis(points, labels, count / count.sum())


def shape_rows(terms, axes, middle):
    """Rows to evaluate: for each term the product of its grids, all else at `middle`.

    Returns
    -------
    rows : ndarray of shape (n_rows, n_features)
    parts : list of slice
        Rows of each term.
    """
    blocks, parts, start = [], [], 0
    for term in terms:
        grids = np.meshgrid(*(axes[j].points for j in term), indexing="ij")
        block = np.tile(middle, (grids[0].size, 1))
        for j, grid in zip(term, grids, strict=True):
            block[:, j] = grid.ravel()
        blocks.append(block)
        parts.append(slice(start, start + len(block)))
        start += len(block)
    return np.concatenate(blocks), parts


def purified(shapes, axes):
    """Move what single columns can say out of the pairs, and means to the intercept.

    Parameters
    ----------
    shapes : dict
        Contributions by term: `(n_points, ...)` of one column, `(n_first, n_second,
        ...)` of two.
    axes : dict of Axis

    Returns
    -------
    shapes : dict
        The same, with a term for every column of a pair; all means are zero.
    level : ndarray
        What was taken from all of them, to be added to the intercept.
    """
    single = {term: shape for term, shape in shapes.items() if len(term) == 1}
    pairs, level = {}, 0.0
    for (i, j), shape in ((t, s) for t, s in shapes.items() if len(t) == 2):
        first = np.tensordot(axes[j].weight, shape, axes=(0, 1))  # (n_first, ...)
        second = np.tensordot(axes[i].weight, shape, axes=(0, 0))  # (n_second, ...)
        mean = np.tensordot(axes[i].weight, first, axes=(0, 0))
        pairs[i, j] = shape - first[:, None] - second[None] + mean
        for column, part in ((i, first), (j, second)):
            single[(column,)] = single.get((column,), 0) + part - mean
        level = level + mean
    for term, shape in single.items():
        mean = np.tensordot(axes[term[0]].weight, shape, axes=(0, 0))
        single[term] = shape - mean
        level = level + mean
    return {**dict(sorted(single.items())), **pairs}, level
