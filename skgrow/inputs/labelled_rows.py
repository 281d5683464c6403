"""Labelled rows that a verb works on, as every later step reads them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skgrow.inputs.checks import check_weights

__all__ = ["LabelledRows", "labelled_rows"]


@dataclass(frozen=True)
class LabelledRows:
    """Rows that a verb works on, all of positive weight.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_features)
        Numbers and codes, NaN where missing.
    y : ndarray of shape (n_rows,)
        Class numbers, or scaled numbers.
    weight : ndarray of float64 of shape (n_rows,)
    scaled : ndarray of shape (n_rows, n_features) or None
        `X` as the scaler of the model gives it, once there is one.
    """

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    scaled: np.ndarray | None = None

    def __len__(self):
        return len(self.y)

    def take(self, index):
        """The rows at `index`; a slice copies nothing."""
        arrays = (self.X, self.y, self.weight, self.scaled)
        return LabelledRows(*(None if a is None else a[index] for a in arrays))


def labelled_rows(target, X, y, sample_weight=None, class_weight=None):
    """Encoded labels and weights beside their inputs; rows of weight 0 are left out.

    Parameters
    ----------
    target : ClassTarget or NumberTarget
        Knows how labels become numbers.
    X : ndarray of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,)
    sample_weight : array-like of shape (n_samples,), default=None
    class_weight : dict, "balanced" or None, default=None

    Returns
    -------
    rows : LabelledRows

    Raises
    ------
    ValueError
        If a label was not seen before, a number is too far, or a weight is unusable.
    """
    weight = check_weights(sample_weight, class_weight, X, y)
    used = weight > 0
    encoded = target.encoded(y, used, X.dtype)
    if used.all():  # nothing is copied
        return LabelledRows(X, encoded, weight)
    return LabelledRows(X[used], encoded, weight[used])
