"""Tuning: the scale and the bias of every new branch, formula (16), as a convex fit."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from scipy.optimize import minimize

__all__ = ["Masks", "fit_masks", "mask_loss"]


@dataclass(frozen=True)
class Masks:
    """What tuning trains.

    Attributes
    ----------
    scale, bias : ndarray of float64 of shape (n_branches,)
        `a` and `b` of formula (16), in logits; never negative.
    intercept : ndarray of float64 of shape (n_classes,)
        Logits added to every row: branches can only raise their class, and this lets
        the level of a class follow.
    """

    scale: np.ndarray
    bias: np.ndarray
    intercept: np.ndarray

    @classmethod
    def zeros(cls, n_branches, n_classes):
        """Masks of branches that do nothing yet."""
        return cls(np.zeros(n_branches), np.zeros(n_branches), np.zeros(n_classes))

    def flat(self):
        """All numbers in one vector: scales, biases, intercepts."""
        return np.concatenate([self.scale, self.bias, self.intercept])

    @classmethod
    def from_flat(cls, vector, n_branches):
        """Back from the vector of `flat`."""
        return cls(*np.split(vector, [n_branches, 2 * n_branches]))


def mask_loss(masks, values, target, offset, y, sample_weight):
    """Weighted mean cross-entropy of masked branches, and its gradient.

    A branch adds `a v + b 1[v > 0]` to the logit of its target class, `v` being
    `relu((output - threshold) / span)`: formula (16) in the form of the authors' program.
    It is linear in `(a, b)`, so that the loss is convex in all of them together.

    Parameters
    ----------
    masks : Masks
    values : Tensor of shape (n_branches, n_rows)
        Sorted by target class.
    target : ndarray of int64 of shape (n_branches,)
        Ascending.
    offset : Tensor of shape (n_rows, n_classes)
        Logits that stay as they are.
    y : Tensor of int64 of shape (n_rows,)
    sample_weight : Tensor of shape (n_rows,)
        Summing to 1.

    Returns
    -------
    loss : float
        In nats.
    gradient : ndarray of float64 of shape (2 * n_branches + n_classes,)
        In the order of `Masks.flat`.
    """
    blocks = _blocks(target)
    a, b, c = (
        torch.as_tensor(part, dtype=values.dtype)
        for part in (masks.scale, masks.bias, masks.intercept)
    )
    logits = offset + c
    for t, block in blocks:
        logits[:, t] += a[block] @ values[block]
        logits[:, t] += b[block] @ (values[block] > 0).to(values.dtype)
    log_proba = logits.log_softmax(dim=1)
    loss = -float(sample_weight @ log_proba.gather(1, y[:, None])[:, 0])
    rest = log_proba.exp_()
    rest[torch.arange(len(y)), y] -= 1
    rest *= sample_weight[:, None]  # (n_rows, n_classes)
    gradient = torch.empty((2, len(target)), dtype=values.dtype)
    for t, block in blocks:
        column = rest[:, t].contiguous()
        gradient[0, block] = values[block] @ column
        gradient[1, block] = (values[block] > 0).to(values.dtype) @ column
    flat = torch.cat([gradient.flatten(), rest.sum(dim=0)])
    return loss, flat.numpy().astype(np.float64)


def fit_masks(values, target, offset, y, sample_weight, *, start, max_iter):
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
    start : Masks
        Where to start.
    max_iter : int
        L-BFGS-B iterations at most.

    Returns
    -------
    masks : Masks
    """
    order = np.argsort(target, kind="stable")
    back = np.argsort(order)
    n_branches, n_classes = len(target), offset.shape[1]
    data = (
        torch.as_tensor(values[order]),
        target[order],
        torch.as_tensor(offset),
        torch.as_tensor(y),
        torch.as_tensor((sample_weight / sample_weight.sum()).astype(offset.dtype)),
    )
    start = Masks(start.scale[order], start.bias[order], start.intercept)
    found = minimize(
        lambda x: mask_loss(Masks.from_flat(x, n_branches), *data),
        start.flat(),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * (2 * n_branches) + [(None, None)] * n_classes,
        options={"maxiter": max_iter},
    )
    masks = Masks.from_flat(found.x, n_branches)
    return Masks(masks.scale[back], masks.bias[back], masks.intercept)


def _blocks(target):
    """Slices of equal target in an ascending array, with their target."""
    edges = np.flatnonzero(np.diff(target, prepend=-1, append=-1))
    pairs = pairwise(edges)
    return [(int(target[i]), slice(int(i), int(j))) for i, j in pairs]
