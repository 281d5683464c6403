"""Scores of many rows, chunk by chunk: what every network predicts with."""

from __future__ import annotations

import numpy as np

from skgrow.networks.forward import row_chunks, rows_at_once

__all__ = ["ROWS_PER_CHUNK", "scores_in_chunks"]

ROWS_PER_CHUNK = 384  # rows scaled at a time when predicting: some MB of pixels


def scores_in_chunks(score, X, scaler, n_outputs, dtype, device="cpu"):
    """Scores of inputs that are scaled a chunk at a time, not all at once.

    Parameters
    ----------
    score : callable
        `score(X, scaled)` gives an ndarray `(n_chunk, n_outputs)` for some rows, as the
        model reads them and scaled.
    X : ndarray of shape (n_rows, n_features)
        Numbers and codes, NaN where missing.
    scaler : PixelScaler or QuantileScaler or None
        None where `score` needs no scaled rows; it then gets None for them.
    n_outputs : int
    dtype : numpy dtype
    device : str, default="cpu"

    Returns
    -------
    scores : ndarray of shape (n_rows, n_outputs)
    """
    found = np.empty((len(X), n_outputs), dtype=dtype)
    n_rows = rows_at_once(ROWS_PER_CHUNK, X[:1].nbytes, device)
    for rows in row_chunks(len(X), n_rows):
        part = X[rows]
        found[rows] = score(part, None if scaler is None else scaler.transform(part))
    return found
