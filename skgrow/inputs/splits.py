"""Divisions of the rows: folds, and two parts that are stratified by class."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import train_test_split

__all__ = ["CROSS_FIT_FOLDS", "folds_of", "stratified_split"]

CROSS_FIT_FOLDS = 5  # each has categories in an order learned from the others


def folds_of(n_rows, n_folds, seed):
    """Number of the fold of each row, `(n_rows,)`; folds are of equal size."""
    return np.random.RandomState(seed).permutation(n_rows) % n_folds


def stratified_split(y, fraction, seed):
    """Row numbers of two parts, the second `fraction` of the rows, both ascending.

    Stratified by class where `y` holds class numbers, and every class has a row for each
    part.
    """
    n_second = max(1, round(fraction * len(y)))
    possible = y.dtype.kind == "i"
    if possible:
        counts = np.bincount(y)
        counts = counts[counts > 0]
        possible = counts.min() > 1 and min(n_second, len(y) - n_second) >= len(counts)
    first, second = train_test_split(
        np.arange(len(y)),
        test_size=n_second,
        stratify=y if possible else None,
        random_state=seed,
    )
    return np.sort(first), np.sort(second)
