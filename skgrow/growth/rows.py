"""The labelled rows that growth looks at, and what the network still gets wrong there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import log_softmax, softmax

__all__ = ["Residual", "SelectionSet", "loss_and_accuracy", "residual", "scores_of"]


@dataclass(frozen=True)
class SelectionSet:
    """Selection rows: a pool to search, test and tune on, and held-out rows to stop by.

    Attributes
    ----------
    features : Tensor of shape (n_features + 1, n_samples)
        Scaled inputs, see `bank.features_major`.
    y : ndarray of int64 of shape (n_samples,)
        Class numbers.
    sample_weight : ndarray of shape (n_samples,)
        With a mean of 1.
    pool, held_out : ndarray of int64
        Row numbers of the two parts; `held_out` may be empty.
    """

    features: torch.Tensor
    y: np.ndarray
    sample_weight: np.ndarray
    pool: np.ndarray
    held_out: np.ndarray

    def features_of(self, rows):
        """Features `(n_features + 1, len(rows))` of the given rows."""
        index = torch.as_tensor(rows, device=self.features.device)
        return self.features.index_select(1, index)


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


def scores_of(logits, selection):
    """Loss and accuracy on the pool and on the held-out rows, as a dict.

    Parameters
    ----------
    logits : ndarray of shape (n_samples, n_classes)
        Of all selection rows.
    selection : SelectionSet

    Returns
    -------
    scores : dict
        "loss", "accuracy"; where rows are held out, "held_out_loss" and so on.
    """
    scores = {}
    for prefix, rows in (("", selection.pool), ("held_out_", selection.held_out)):
        if len(rows):
            scores[prefix + "loss"], scores[prefix + "accuracy"] = loss_and_accuracy(
                logits[rows], selection.y[rows], selection.sample_weight[rows]
            )
    return scores
