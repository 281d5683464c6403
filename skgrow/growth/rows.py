"""The labelled rows that growth looks at, and what the network still gets wrong there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import log_softmax, softmax

__all__ = ["SelectionSet", "loss_and_accuracy", "residuals"]


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
    scaler : PixelScaler or QuantileScaler
    pool, held_out : ndarray of int64
        Row numbers of the two parts.
    device : str
    """

    X: np.ndarray
    y: np.ndarray
    sample_weight: np.ndarray
    scaler: object
    pool: np.ndarray
    held_out: np.ndarray
    device: str = "cpu"

    def features(self, rows):
        """Scaled inputs of the given rows, features-major `(n_features, n_rows)`."""
        scaled = self.scaler.transform(self.X[rows])
        return torch.as_tensor(np.ascontiguousarray(scaled.T), device=self.device)


def residuals(logits, y, sample_weight):
    """Gradient and curvature of the loss with respect to every class's logit.

    The gradient form of the row weights of condition (9), from (5) and (6):
    `w_jt = s_j (1[y_j = t] - p_jt)`, and the diagonal of the Hessian,
    `h_jt = s_j p_jt (1 - p_jt)`, with `s` scaled to a mean of 1.

    Parameters
    ----------
    logits : ndarray of shape (n_rows, n_classes)
    y : ndarray of int64 of shape (n_rows,)
    sample_weight : ndarray of shape (n_rows,)

    Returns
    -------
    gradient, curvature : ndarray of shape (n_rows, n_classes)
    """
    proba = softmax(logits, axis=1)
    weight = (sample_weight / sample_weight.mean()).astype(logits.dtype)[:, None]
    gradient = -proba
    gradient[np.arange(len(y)), y] += 1
    return weight * gradient, weight * proba * (1 - proba)


def loss_and_accuracy(logits, y, sample_weight):
    """Weighted mean cross-entropy in nats and weighted accuracy."""
    losses = -log_softmax(logits, axis=1)[np.arange(len(y)), y]
    hits = logits.argmax(axis=1) == y
    return (
        float(np.average(losses, weights=sample_weight)),
        float(np.average(hits, weights=sample_weight)),
    )
