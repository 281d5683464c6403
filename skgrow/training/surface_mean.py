"""The mean of the surfaces that replicas have fitted, each on a grid of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.utils import gen_batches

from skgrow.networks.curves import ROWS_PER_CHUNK, place
from skgrow.networks.surfaces import Surfaces

__all__ = ["mean_surfaces", "to_class_of"]


def to_class_of(n_classes):
    """Of two classes only the difference matters, and half of it goes to either."""
    return np.array([[-0.5, 0.5]]) if n_classes == 2 else np.eye(n_classes)


def mean_surfaces(rows, fitted, n_replicas, n_bins, n_classes):
    """Mean of the replicas' surfaces, on one grid that every category has a place on.

    Each replica has categories in an order of its own, and many of them in bins. The
    value of a category is that of the place where the replica has it.

    Parameters
    ----------
    rows : object
        Has `codes`, numbers and codes of shape (n_rows, n_features), `weight` and
        `categorical`.
    fitted : list of object
        Replicas with surfaces. Each has `pairs`, `grid` (`Surfaces` with its knots),
        `scaler` and `values` of shape (n_points, n_values).
    n_replicas : int
        Those without surfaces count as 0.
    n_bins : int
        Of a column of numbers.
    n_classes : int

    Returns
    -------
    surfaces : Surfaces
        The mean of each over the rows is 0.
    level : ndarray of shape (n_classes,)
        What the intercept takes over.
    """
    dtype = rows.codes.dtype
    pairs = np.unique(np.concatenate([one.pairs for one in fitted]), axis=0)
    surfaces = Surfaces.flat(
        pairs, rows.codes, rows.weight, n_classes, n_bins, rows.categorical
    )
    total = np.zeros((surfaces.begin[-1], len(to_class_of(n_classes))))
    number = {tuple(pair): i for i, pair in enumerate(pairs.tolist())}
    for one in fitted:
        maps = _maps(surfaces, one, rows.categorical)
        for i, pair in enumerate(one.pairs.tolist()):
            own = slice(*surfaces.begin[number[tuple(pair)] :][:2])
            total[own] += _on_grid(one, i, maps) / n_replicas
    values = _with_gaps(surfaces, total, rows) @ to_class_of(n_classes)
    means = _means(replace(surfaces, values=values), rows)
    owner = np.repeat(np.arange(len(pairs)), np.diff(surfaces.begin))
    values = (values - means[owner]).astype(dtype)
    return replace(surfaces, values=values), means.sum(axis=0).astype(dtype)


def _maps(surfaces, one, categorical):
    """What each knot of a column of categories takes of a replica's knots, by column.

    Matrices `(n_knots, n_knots_of_replica)`, whose rows sum to 1.
    """
    maps = {}
    for column in np.intersect1d(one.grid.columns, np.flatnonzero(categorical)):
        knots = _knots_of(surfaces, column)
        codes = np.full((len(knots), len(categorical)), np.nan)
        codes[:, column] = knots
        positions = one.scaler.ordered(codes)[:, [column]].astype(one.grid.knots.dtype)
        own = _knots_of(one.grid, column)
        point, share = place(own, np.array([0, len(own)]), positions)
        each = np.arange(len(knots))
        maps[column] = np.zeros((len(knots), len(own)))
        maps[column][each, point[:, 0]] = 1 - share[:, 0]
        above = np.minimum(point[:, 0] + 1, len(own) - 1)
        maps[column][each, above] += share[:, 0]
    return maps


def _knots_of(surfaces, column):
    """Knots of a column, and NaN, the place of gaps."""
    number = np.searchsorted(surfaces.columns, column)
    return surfaces.knots[slice(*surfaces.start[number : number + 2])]


def _on_grid(one, i, maps):
    """Values of the `i`-th surface of a replica, `(n_points, n_values)`."""
    values = one.values[slice(*one.grid.begin[i : i + 2])]
    grid = values.reshape(*one.grid.grid(i), -1)  # (first, second, n_values)
    first, second = one.pairs[i]
    if first in maps:
        grid = np.tensordot(maps[first], grid, axes=1)
    if second in maps:
        grid = np.tensordot(maps[second], grid, axes=(1, 1)).swapaxes(0, 1)
    return grid.reshape(-1, grid.shape[-1])


def _with_gaps(surfaces, values, rows):
    """The values, a gap being taken for the median where no row has one.

    Of categories it is taken for the mean, since they have no order.
    """
    share = {}  # of each knot in what a gap is taken for, by column
    for column in surfaces.columns:
        found = rows.codes[:, column]
        if np.isnan(found).any():
            continue
        knots = _knots_of(surfaces, column)[:-1]
        if rows.categorical[column]:
            mass = np.bincount(found.astype(np.int64), rows.weight, len(knots))
            share[column] = mass / mass.sum()
            continue
        middle = np.quantile(found, 0.5, weights=rows.weight, method="inverted_cdf")
        # Halved: the distance of two huge numbers would overflow.
        share[column] = np.eye(len(knots))[np.abs(knots / 2 - middle / 2).argmin()]
    values = values.copy()
    for number, (first, second) in enumerate(surfaces.pairs):
        own = slice(*surfaces.begin[number : number + 2])
        grid = values[own].reshape(*surfaces.grid(number), -1)  # a view
        if first in share:
            grid[-1] = np.tensordot(share[first], grid[:-1], axes=1)
        if second in share:
            grid[:, -1] = np.tensordot(share[second], grid[:, :-1], axes=(0, 1))
    return values


def _means(surfaces, rows):
    """Mean of each surface over the rows, `(n_surfaces, n_classes)`."""
    total = 0
    for part in gen_batches(len(rows.weight), ROWS_PER_CHUNK):
        terms = surfaces.terms(rows.codes[part])
        total = total + np.tensordot(rows.weight[part], terms, axes=1)
    return total / rows.weight.sum()
