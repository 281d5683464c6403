"""Replicas: networks side by side, each of which leaves out a fold of the rows."""

from __future__ import annotations

import numpy as np

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


def replica_inputs(scaler, X, y, sample_weight, shares, regions):
    """Scaled rows in which each replica reads categories in an order of its own.

    The order comes from the rows that the replica is trained on, so that those it leaves
    out are as new to it as any other row.

    Parameters
    ----------
    scaler : QuantileScaler
    X : ndarray of shape (n_rows, n_features)
        Numbers and codes, NaN where missing.
    y : ndarray of shape (n_rows,)
    sample_weight : ndarray of shape (n_rows,)
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
    columns, n_replicas = scaler.categorical, shares.shape[1]
    scaled = scaler.transform(X)
    if not len(columns):
        return scaled, regions
    parts, places = [scaled], []
    for r, share in enumerate(shares.T):
        kept = share > 0
        own = scaler.with_order(X[kept], y[kept], sample_weight[kept])
        parts.append(own.ordered(X, scaled.copy())[:, columns])
        place = np.arange(X.shape[1])
        place[columns] = X.shape[1] + r * len(columns) + np.arange(len(columns))
        places.append(place)
    owner = np.repeat(np.arange(n_replicas), len(regions) // n_replicas)
    return np.hstack(parts), np.array(places)[owner[:, None], regions]
