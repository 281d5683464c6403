"""Tuning: the scale and the bias of every new branch, formula (16), as a convex fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize

__all__ = ["MaskFit", "fit_masks", "mask_loss"]


@dataclass(frozen=True)
class MaskFit:
    """Result of `fit_masks`: scales and biases `(n_branches,)`, loss in nats, steps."""

    scale: np.ndarray
    bias: np.ndarray
    loss: float
    n_iter: int


def mask_loss(scale, bias, values, target, offset, y, sample_weight, alpha=0.0):
    """Weighted mean cross-entropy of masked branches, and its gradient.

    A branch adds `a v + b 1[v > 0]` to the logit of its target class, `v` being
    `relu((output - threshold) / span)`: formula (16) in the authors' program's form, which
    is linear in `(a, b)`, so that the loss is convex in all of them together.

    Parameters
    ----------
    scale, bias : ndarray of shape (n_branches,)
        `a` and `b`.
    values : Tensor of shape (n_branches, n_rows)
        Sorted by target class.
    target : ndarray of int64 of shape (n_branches,)
        Ascending.
    offset : Tensor of shape (n_rows, n_classes)
        Logits that stay as they are.
    y : Tensor of int64 of shape (n_rows,)
    sample_weight : Tensor of shape (n_rows,)
        Summing to 1.
    alpha : float, default=0
        Strength of the penalty `alpha / 2 * (|a|^2 + |b|^2)`.

    Returns
    -------
    loss : float
        In nats.
    gradient : ndarray of float64 of shape (2, n_branches)
        With respect to `a` and `b`.
    """
    blocks = _blocks(target)
    a, b = (torch.as_tensor(m, dtype=values.dtype) for m in (scale, bias))
    logits = offset.clone()
    for t, block in blocks:
        logits[:, t] += a[block] @ values[block]
        logits[:, t] += b[block] @ (values[block] > 0).to(values.dtype)
    log_proba = logits.log_softmax(dim=1)
    loss = -float(sample_weight @ log_proba.gather(1, y[:, None])[:, 0])
    residual = log_proba.exp_()
    residual[torch.arange(len(y)), y] -= 1
    residual *= sample_weight[:, None]  # (n_rows, n_classes)
    gradient = torch.empty((2, len(target)), dtype=values.dtype)
    for t, block in blocks:
        column = residual[:, t].contiguous()
        gradient[0, block] = values[block] @ column
        gradient[1, block] = (values[block] > 0).to(values.dtype) @ column
    gradient = gradient.numpy().astype(np.float64) + alpha * np.stack([scale, bias])
    return loss + 0.5 * alpha * float(scale @ scale + bias @ bias), gradient


def fit_masks(values, target, offset, y, sample_weight, *, start=None, alpha=0.0, max_iter=50):
    """Minimise the cross-entropy over scales and biases that may not be negative.

    Parameters
    ----------
    values : ndarray of shape (n_branches, n_rows)
        `relu((output - threshold) / span)` of every branch to tune.
    target : ndarray of int64 of shape (n_branches,)
    offset : ndarray of shape (n_rows, n_classes)
        Logits of everything that is not tuned.
    y : ndarray of int64 of shape (n_rows,)
    sample_weight : ndarray of shape (n_rows,)
    start : tuple of two ndarray of shape (n_branches,), default=None
        Scales and biases to start from; zeros by default.
    alpha : float, default=0
        Strength of the L2 penalty.
    max_iter : int, default=50
        L-BFGS-B iterations at most.

    Returns
    -------
    fit : MaskFit
    """
    order = np.argsort(target, kind="stable")
    n_branches = len(target)
    x0 = np.zeros((2, n_branches)) if start is None else np.stack(start)[:, order]
    data = (
        torch.as_tensor(values[order]),
        target[order],
        torch.as_tensor(offset),
        torch.as_tensor(y),
        torch.as_tensor((sample_weight / sample_weight.sum()).astype(offset.dtype)),
    )

    def objective(x):
        loss, gradient = mask_loss(*x.reshape(2, n_branches), *data, alpha=alpha)
        return loss, gradient.ravel()

    found = minimize(
        objective,
        x0.ravel(),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * (2 * n_branches),
        options={"maxiter": max_iter, "maxcor": 20},
    )
    masks = np.empty((2, n_branches))
    masks[:, order] = found.x.reshape(2, n_branches)
    return MaskFit(masks[0], masks[1], float(found.fun), int(found.nit))


def _blocks(target):
    """Slices of equal target in an ascending array, with their target."""
    edges = np.flatnonzero(np.diff(target, prepend=-1, append=-1))
    pairs = zip(edges[:-1], edges[1:], strict=True)
    return [(int(target[i]), slice(int(i), int(j))) for i, j in pairs]
