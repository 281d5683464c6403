"""The labelled rows that growth looks at, and what the network still gets wrong there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import log_softmax, softmax

__all__ = ["Residual", "SelectionSet", "loss_and_accuracy", "residual"]


@dataclass(frozen=True)
class SelectionSet:
    """Selection rows: a pool to search, test and tune on, and held-out rows to stop by.

    Attributes
    ----------
    X : ndarray of shape (n_samples, n_features)
        Inputs as the user gave them; only the rows asked for are scaled.
    y : ndarray of int64 of shape (n_samples,)
        Class numbers.
    sample_weight : ndarray of shape (n_samples,)
        With a mean of 1.
    scaler : PixelScaler or QuantileScaler
    pool, held_out : ndarray of int64
        Row numbers of the two parts; `held_out` may be empty.
    device : str, default="cpu"
    """

    X: np.ndarray
    y: np.ndarray
    sample_weight: np.ndarray
    scaler: object
    pool: np.ndarray
    held_out: np.ndarray
    device: str = "cpu"

    def features(self, rows):
        """Scaled inputs of the given rows, a Tensor `(n_features, n_rows)`."""
        scaled = self.scaler.transform(self.X[rows])
        return torch.as_tensor(np.ascontiguousarray(scaled.T), device=self.device)


@dataclass(frozen=True)
class Residual:
    """What the present scores leave to be done on some rows.

    Attributes
    ----------
    gradient : ndarray of shape (n_rows, n_classes)
        The row weights of condition (9) in their gradient form, from (5) and (6):
        `w_jt = s_j (1[y_j = t] - p_jt)`, `p` being the softmax of the scores and `s` the
        sample weight. Positive where class `t` should rise.
    curvature : ndarray of shape (n_rows, n_classes)
        Diagonal of the Hessian, `s_j p_jt (1 - p_jt)`.
    membership : ndarray of shape (n_rows, n_classes)
        `s_j 1[y_j = t]`.
    """

    gradient: np.ndarray
    curvature: np.ndarray
    membership: np.ndarray

    def __len__(self):
        return len(self.gradient)

    def take(self, rows):
        """The residual of the rows at `rows`."""
        return Residual(self.gradient[rows], self.curvature[rows], self.membership[rows])


def residual(logits, y, sample_weight):
    """Gradient and curvature of the loss with respect to every class's logit.

    Parameters
    ----------
    logits : ndarray of shape (n_rows, n_classes)
    y : ndarray of int64 of shape (n_rows,)
    sample_weight : ndarray of shape (n_rows,)

    Returns
    -------
    residual : Residual
    """
    proba = softmax(logits, axis=1)
    weight = sample_weight.astype(logits.dtype)[:, None]
    membership = np.zeros_like(logits)
    membership[np.arange(len(y)), y] = sample_weight
    gradient = membership - weight * proba
    return Residual(gradient, weight * proba * (1 - proba), membership)


def loss_and_accuracy(logits, y, sample_weight):
    """Weighted mean cross-entropy in nats and weighted accuracy."""
    losses = -log_softmax(logits, axis=1)[np.arange(len(y)), y]
    hits = logits.argmax(axis=1) == y
    return (
        float(np.average(losses, weights=sample_weight)),
        float(np.average(hits, weights=sample_weight)),
    )
