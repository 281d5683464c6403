"""Replicas: networks side by side, each of which leaves out a fold of the rows."""

from __future__ import annotations

import numpy as np

from skgrow.inputs.labelled_rows import LabelledRows
from skgrow.inputs.splits import folds_of

__all__ = ["replica_inputs", "replica_shares"]


def replica_shares(n_rows, n_replicas, seed):
    """What the weight of each row is multiplied by for each replica.

    Parameters
    ----------
    n_rows, n_replicas, seed : int

    Returns
    -------
    shares : ndarray of float32 of shape (n_rows, n_replicas)
        1, or 0 where a replica leaves out a row; every row is left out by one.

    Examples
    --------
    >>> from skgrow.training.replicas import replica_shares
    >>> replica_shares(6, 3, seed=0).sum(axis=0)
    array([4., 4., 4.], dtype=float32)
    """
    fold = folds_of(n_rows, n_replicas, seed)
    return (fold[:, None] != np.arange(n_replicas)).astype(np.float32)


def replica_inputs(scaler, rows, shares, regions):
    """Scaled rows in which each replica reads categories in an order of its own.

    The order comes from the rows that the replica is trained on, so that those it leaves
    out are as new to it as any other row.

    Parameters
    ----------
    scaler : QuantileScaler
    rows : LabelledRows
        With `scaled` as the scaler gives it.
    shares : ndarray of shape (n_rows, n_replicas)
    regions : ndarray of int64 of shape (n_branches, region_size)
        The branches of one replica after those of the other.

    Returns
    -------
    scaled : ndarray of shape (n_rows, n_features + n_replicas * n_categorical)
        Behind the columns of all those of categories, once more for each replica.
    regions : ndarray of int64 of shape (n_branches, region_size)
        Columns of `scaled`.
    """
    if not len(scaler.categorical):
        return rows.scaled, regions
    columns, n_columns, n_replicas = scaler.categorical, rows.X.shape[1], shares.shape[1]
    few = LabelledRows(rows.X[:, columns], rows.y, rows.weight, rows.scaled[:, columns])
    own = scaler.take(columns)
    parts, places = [rows.scaled], []
    for r, share in enumerate(shares.T):
        kept = few.take(share > 0)
        order = own.with_order(kept.X, kept.y, kept.weight)
        parts.append(order.ordered(few.X, few.scaled.copy()))
        place = np.arange(n_columns)
        place[columns] = n_columns + r * len(columns) + np.arange(len(columns))
        places.append(place)
    owner = np.repeat(np.arange(n_replicas), len(regions) // n_replicas)
    return np.hstack(parts), np.array(places)[owner[:, None], regions]
