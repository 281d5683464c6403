"""Gains: how far one Newton step on a candidate's scale would lower the mean loss."""

from __future__ import annotations

import numpy as np
import torch

__all__ = ["Scorer", "gain_and_step", "newton_gain"]

# Rows, weighed by its values, that a candidate must be active on: the gains of
# those active on a handful are the largest, and noise.
MIN_SUPPORT = 30  # of 300 rows or more; a tenth of fewer
# Columns of a product in whole vectors of the processor: narrower ones take no less time.
COLUMN_BLOCK = 16


def newton_gain(gradient, curvature):
    """Fall of the loss by one Newton step on a scale that may not be negative."""
    floor = np.finfo(np.asarray(curvature).dtype).tiny
    return np.maximum(gradient, 0) ** 2 / (2 * np.maximum(curvature, floor))


def gain_and_step(block, square, residual, t):
    """Newton gain and step of candidates of one target class, the intercept following.

    Parameters
    ----------
    block, square : Tensor of shape (n_candidates, n_rows)
        Activations of the candidates, and their squares.
    residual : Residual
        Of the same rows.
    t : int
        Target class.

    Returns
    -------
    gain, step : ndarray of float64 of shape (n_candidates,)
        In nats, and in logits per unit of value.
    """
    columns = np.column_stack([residual.gradient[:, t], residual.curvature[:, t]])
    columns = torch.as_tensor(columns)
    grad, mixed = (block @ columns).double().numpy().T
    slope_all, curve_all = columns.sum(dim=0).double().numpy()
    curve_all = max(curve_all, 1e-12)
    gradient = grad - slope_all / curve_all * mixed
    curvature = (square @ columns[:, 1].contiguous()).double().numpy()
    curvature = np.maximum(curvature - mixed**2 / curve_all, 1e-12)
    return newton_gain(gradient, curvature) / len(residual), gradient / curvature


class Scorer:
    """Gains of the activations of candidates, for all classes at once.

    Parameters
    ----------
    residual : Residual
        Gradient and Hessian of the loss on the screening rows.
    device : str or torch.device, default="cpu"
    """

    def __init__(self, residual, device="cpu"):
        parts = residual.gradient, residual.membership, residual.curvature
        ones = np.ones((len(residual), 1), dtype=parts[0].dtype)
        # What `v` and `v^2` are multiplied by: (n_rows, 3 K) and (n_rows, K + 1)
        self.linear, self.squared = (
            torch.as_tensor(_side_by_side(some), device=device)
            for some in (parts, (residual.curvature, ones))
        )
        self.n_rows = len(residual)
        self.totals = [part.sum(axis=0) for part in parts]

    def gains(self, chunks):
        """Gains `(m, n_classes)`, 0 where condition (3) or the support fails.

        Parameters
        ----------
        chunks : iterable of (slice, Tensor of shape (m, rows))
            Rows, and the activations there, which are overwritten.
        """
        sums = None
        for rows, values in chunks:
            parts = self.linear[rows], self.squared[rows]
            if sums is None:
                sums = [values.new_zeros((len(values), p.shape[1])) for p in parts]
            sums[0].addmm_(values, parts[0])
            sums[1].addmm_(values.square_(), parts[1])
        return self._of_sums(*(s.cpu().numpy() for s in sums))

    def _of_sums(self, linear, squared):
        gradient_sum, class_weight, curvature_sum = self.totals
        n_classes, n_rows = len(class_weight), self.n_rows
        gradient, by_class, curved = np.split(linear[:, : 3 * n_classes], 3, axis=-1)
        squared = squared[:, : n_classes + 1]
        total_curvature = np.maximum(curvature_sum, 1e-12)
        gradient = gradient - curved * (gradient_sum / total_curvature)
        variance = squared[:, :-1] - curved**2 / total_curvature
        gains = newton_gain(gradient / n_rows, variance / n_rows)
        support = by_class.sum(axis=-1) ** 2 / np.maximum(squared[:, -1], 1e-12)
        # (3): only the class with the highest mean contribution can be the target.
        means = by_class / np.maximum(class_weight, 1e-12)
        highest = means == means.max(axis=-1, keepdims=True)
        enough = min(MIN_SUPPORT, 0.1 * n_rows)
        # A variance that is all rounding would make the largest gain of all.
        sound = variance > 1e-4 * squared[:, :-1]
        return np.where(highest & sound & (support[:, None] >= enough), gains, 0)


def _side_by_side(parts):
    """Columns of all parts, and zeros up to a whole number of blocks."""
    n_columns = sum(part.shape[1] for part in parts)
    n_columns += -n_columns % COLUMN_BLOCK
    columns = np.zeros((len(parts[0]), n_columns), dtype=parts[0].dtype)
    start = 0
    for part in parts:
        columns[:, start : start + part.shape[1]] = part
        start += part.shape[1]
    return columns
