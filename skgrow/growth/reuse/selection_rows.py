"""The labelled rows that growth looks at, and how good the scores are there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from skgrow.training.losses import CROSS_ENTROPY

__all__ = ["SelectionSet", "scores_of"]


@dataclass(frozen=True)
class SelectionSet:
    """Selection rows: a pool to search, test and tune on, and held-out rows to stop by.

    Attributes
    ----------
    features : Tensor of shape (n_features + 1, n_samples)
        Scaled inputs, see `forward.features_major`.
    y : ndarray of shape (n_samples,)
        Class numbers, or targets of a regressor.
    sample_weight : ndarray of shape (n_samples,)
        With a mean of 1.
    pool, held_out : ndarray of int64
        Row numbers of the two parts; `held_out` may be empty.
    loss : CrossEntropy or SquaredError
    """

    features: torch.Tensor
    y: np.ndarray
    sample_weight: np.ndarray
    pool: np.ndarray
    held_out: np.ndarray
    loss: object = CROSS_ENTROPY

    def features_of(self, rows):
        """Features `(n_features + 1, len(rows))` of the given rows."""
        index = torch.as_tensor(rows, device=self.features.device)
        return self.features.index_select(1, index)

    @property
    def held_out_weight(self):
        """Of the held-out rows, `(n_held_out,)`."""
        return self.sample_weight[self.held_out]

    def held_out_losses(self, logits):
        """Loss of each held-out row, given the scores of all."""
        return self.loss.of_rows(logits[self.held_out], self.y[self.held_out])

    def residual(self, logits, rows):
        """Gradient and Hessian of the loss at the scores, on the given rows."""
        return self.loss.residual(logits[rows], self.y[rows], self.sample_weight[rows])


def scores_of(logits, selection):
    """Loss and score on the pool and on the held-out rows, as a dict.

    Parameters
    ----------
    logits : ndarray of shape (n_samples, n_classes)
        Of all selection rows.
    selection : SelectionSet

    Returns
    -------
    scores : dict
        "loss" and "accuracy" (or what the loss calls its score); where rows are held
        out, "held_out_loss" and so on.
    """
    scores, loss = {}, selection.loss
    for prefix, rows in (("", selection.pool), ("held_out_", selection.held_out)):
        if len(rows):
            part = logits[rows], selection.y[rows]
            weight = selection.sample_weight[rows]
            mean = np.average(loss.of_rows(*part), weights=weight)
            scores[prefix + "loss"] = float(mean)
            scores[prefix + loss.score_name] = loss.score(*part, weight)
    return scores
