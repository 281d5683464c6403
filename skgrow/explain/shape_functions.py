"""Shapes: what the terms of one and two columns add to the scores, on a grid, purified.

A pair of columns can hold effects that depend on one of them alone. Purifying moves
those to the single terms: what is left of a pair has mean zero along either column,
weighted by how many rows lie at each point of the grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skgrow.networks.curves import knots_of
from skgrow.networks.forward import row_chunks

__all__ = ["Axis", "axes_of", "columns_needed", "described", "purified", "term_blocks"]

GRID_ROWS = 2**15  # points of a grid that are computed at a time
# Categories that represent all that are not shown, in means over the column: a pair of
# two columns of thousands then takes seconds less, and the mean is off by a fifteenth of
# the deviation among those that are not shown, at most.
N_OTHERS = 200


@dataclass(frozen=True)
class Axis:
    """Grid of one column.

    Attributes
    ----------
    points : ndarray of shape (n_points,)
        As the model reads them: numbers or codes, NaN last where values are missing.
    weight : ndarray of shape (n_points,)
        Share of the rows that each point stands for; sums to 1.
    shown : ndarray of int of shape (n_shown,)
        Points to give away; the others are there for means.
    labels : list
        The shown points for the user: numbers, categories, None for missing.
    kind : {"number", "category", "ordered"}
        "ordered" are categories with an order, which is that of their codes.
    n_values : int
        Values there are: more than shown, where categories are many.
    """

    points: np.ndarray
    weight: np.ndarray
    shown: np.ndarray
    labels: list
    kind: str
    n_values: int


def axes_of(X, columns, table, n_points, max_categories):
    """Grids of some columns of `X` as the model reads it, a dict by column.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        NaN where missing.
    columns : iterable of int
    table : Table or None
    n_points : int
        Points at most for a column of numbers: quantiles.
    max_categories : int or None
        Categories to show at most, the most frequent ones.
    """
    labels = [None] * X.shape[1] if table is None else table.labels
    ordered = getattr(table, "ordered", ()) or [False] * X.shape[1]
    axes = {}
    for j in columns:
        column, names = X[:, j], labels[j]
        if names is None or (not names and not np.isnan(column).all()):
            axes[j] = _of_numbers(column, n_points)
        else:
            kind = "ordered" if ordered[j] else "category"
            axes[j] = _of_categories(column, names, kind, max_categories)
    return axes


def _of_numbers(column, n_points):
    there = column[~np.isnan(column)]
    points = knots_of(there, np.ones(len(there)), max(n_points - 1, 1))
    nearest = np.searchsorted((points[1:] + points[:-1]) / 2, there)
    count = np.bincount(nearest, minlength=len(points)).astype(np.float64)
    every, labels = np.arange(len(points)), points.tolist()
    return _with_gap(column, points, count, every, labels, "number", len(points))


def _of_categories(column, names, kind, max_categories):
    codes = column[~np.isnan(column)].astype(np.int64)
    count = np.bincount(codes, minlength=len(names)).astype(np.float64)
    shown = np.arange(len(names))
    if max_categories is not None and len(names) > max_categories:
        shown = np.sort(np.argsort(-count, kind="stable")[:max_categories])
    labels = [names[code] for code in shown]
    points, count, shown = _standing_for(count, shown)
    return _with_gap(column, points, count, shown, labels, kind, len(names))


def _standing_for(count, shown):
    """Codes on the grid, the rows that each stands for, and where the shown ones are."""
    rest = count.copy()
    rest[shown] = 0
    if np.count_nonzero(rest) > N_OTHERS:
        place = (np.arange(N_OTHERS) + 0.5) / N_OTHERS * rest.sum()
        number = np.searchsorted(np.cumsum(rest), place, side="right")
        rest = np.bincount(number, minlength=len(rest)) * (rest.sum() / N_OTHERS)
    points = np.union1d(shown, np.flatnonzero(rest))
    mass = rest[points]
    where = np.searchsorted(points, shown)
    mass[where] = count[shown]
    return points, mass, where


def _with_gap(column, points, count, shown, labels, kind, n_values):
    """An axis, with a last point for missing values where there are any."""
    n_lost = np.count_nonzero(np.isnan(column))
    if n_lost:
        shown = np.append(shown, len(points))
        points = np.append(points, np.nan)
        labels, count = [*labels, None], np.append(count, n_lost)
    weight = count / count.sum()
    return Axis(points.astype(column.dtype), weight, shown, labels, kind, n_values)


def columns_needed(wanted, terms):
    """Columns whose grids the shapes of some terms take, ascending.

    A single column takes those of all pairs that it is in.
    """
    single = {term[0] for term in wanted if len(term) == 1}
    pairs = [term for term in terms if len(term) == 2 and single & set(term)]
    return sorted({j for term in (*wanted, *pairs) for j in term})


def term_blocks(network, scaler, term, grids, device):
    """Scores of one term on the product of the grids of its columns, in chunks.

    Yields
    ------
    part : slice
        Of the first grid.
    scores : ndarray of shape (n_part, ..., n_classes)
    """
    network, scaler = network.alone(term), scaler.take(list(term))
    n_rest = int(np.prod([len(grid) for grid in grids[1:]]))
    for part in row_chunks(len(grids[0]), max(1, GRID_ROWS // n_rest)):
        mesh = np.meshgrid(grids[0][part], *grids[1:], indexing="ij")
        rows = np.column_stack([values.ravel() for values in mesh])
        scores = network.logits(rows, scaler, device)
        yield part, scores.reshape(*mesh[0].shape, scores.shape[1])


def purified(wanted, terms, axes, blocks):
    """Shapes with the effects of single columns moved out of the pairs.

    Parameters
    ----------
    wanted : list of tuple
        Terms to compute: of the network, or a single column of one of its pairs.
    terms : iterable of tuple
        All terms of the network, of one or two columns.
    axes : dict of Axis
    blocks : callable
        `blocks(term, grids)` yields what a term adds, see `term_blocks`.

    Returns
    -------
    shapes : dict
        Of each wanted term `(n_points, ...)` or `(n_first, n_second, ...)`; all means
        are zero.
    level : ndarray
        What was taken from the terms that were computed, for the intercept.
    """
    shapes, level = dict.fromkeys(wanted, 0.0), 0.0
    for term in terms:
        singles = [(j,) for j in term if (j,) in shapes]
        if not singles and term not in shapes:
            continue
        grids = [axes[j].points for j in term]
        weights = [axes[j].weight for j in term]
        parts = blocks(term, grids)
        if len(term) == 1:
            shape = np.concatenate([block for _, block in parts])
            mean = np.tensordot(weights[0], shape, axes=(0, 0))
            shapes[term] = shapes[term] + shape - mean
        else:
            pure, along, mean = _pure(parts, weights, term in shapes)
            if term in shapes:
                shapes[term] = pure
            for j, part in zip(term, along, strict=True):
                if (j,) in shapes:
                    shapes[(j,)] = shapes[(j,)] + part - mean
        level = level + mean
    return shapes, level


def _pure(parts, weights, is_kept):
    """Interaction of a pair (or None), its effect along either column, and its mean."""
    kept, first, second = [], [], 0.0
    for part, block in parts:
        first.append(np.tensordot(weights[1], block, axes=(0, 1)))  # (n_part, ...)
        second = second + np.tensordot(weights[0][part], block, axes=(0, 0))
        if is_kept:
            kept.append(block)
    first = np.concatenate(first)
    mean = np.tensordot(weights[0], first, axes=(0, 0))
    pure = None
    if is_kept:
        pure = np.concatenate(kept)
        pure -= first[:, None]
        pure -= second[None] - mean
    return pure, (first, second), mean


def described(term, shape, axes, curves, contribution):
    """What is told of a term beside its name, a dict, see `explain_global`.

    Parameters
    ----------
    term : tuple of int
    shape : ndarray of shape (n_points, ...) or (n_first, n_second, ...)
    axes : dict of Axis
    curves : Curves or None
    contribution : callable
        Makes contributions of scores by class.
    """
    own = [axes[j] for j in term]
    return {
        "kinds": tuple(axis.kind for axis in own),
        "values": [axis.labels for axis in own],
        "n_values": tuple(axis.n_values for axis in own),
        "weights": [axis.weight[axis.shown] for axis in own],
        "contribution": shape[np.ix_(*(axis.shown for axis in own))],
        "error": _error(term, axes, curves, contribution),
    }


def _error(term, axes, curves, contribution):
    """Of a curve on its grid, from replicas; None where there is none."""
    if curves is None or len(term) > 1:
        return None
    if np.isnan(curves.error[curves.points(term[0])]).all():
        return None
    axis = axes[term[0]]
    error = curves.error_at(term[0], axis.points[axis.shown])
    if error.shape[1] > 2:
        return error
    return np.abs(contribution(error * np.array([-1, 1])))  # of the difference
