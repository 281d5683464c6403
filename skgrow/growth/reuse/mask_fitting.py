"""Tuning: the scale and the bias of every new branch, formula (16), as a convex fit."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from scipy.optimize import minimize

from skgrow.networks.forward import row_chunks
from skgrow.runtime.threads import one_blas_thread
from skgrow.training.losses import CROSS_ENTROPY

__all__ = ["Masks", "fit_masks", "mask_loss"]

ROWS_PER_CHUNK = 16_384
# A branch that is active on a few rows of one class alone could take any scale. Masks
# have a prior of so many logits, which counts as much as one row.
PRIOR = 2.0


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


def mask_loss(masks, values, target, offset, y, sample_weight, loss_of=CROSS_ENTROPY):
    """Weighted mean loss of masked branches, and its gradient.

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
    y : Tensor of shape (n_rows,)
    sample_weight : Tensor of shape (n_rows,)
        Summing to 1.
    loss_of : CrossEntropy or SquaredError

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
    loss, gradient = 0.0, torch.zeros((2, len(target)), dtype=values.dtype)
    level = torch.zeros_like(c)
    # Chunk by chunk, so that the values are read from memory once a call.
    for rows in row_chunks(len(y), ROWS_PER_CHUNK):
        value = values[:, rows]
        is_active = (value > 0).to(values.dtype)
        logits = offset[rows].T + c[:, None]  # (n_classes, rows)
        for t, block in blocks:
            logits[t] += a[block] @ value[block] + b[block] @ is_active[block]
        losses, rest = loss_of.grad_by_class(logits, y[rows])
        loss += float(sample_weight[rows] @ losses)
        rest *= sample_weight[rows]
        for t, block in blocks:
            gradient[0, block] += value[block] @ rest[t]
            gradient[1, block] += is_active[block] @ rest[t]
        level += rest.sum(dim=1)
    flat = torch.cat([gradient.flatten(), level])
    return loss, flat.numpy().astype(np.float64)


@one_blas_thread
def fit_masks(
    values, target, offset, y, sample_weight, *, start, max_iter, loss=CROSS_ENTROPY
):
    """Minimise the loss over scales and biases that may not be negative.

    With a Gaussian prior on scales and biases, of standard deviation `PRIOR`.

    Parameters
    ----------
    values : ndarray of shape (n_branches, n_rows)
        `relu((output - threshold) / span)` of every branch to tune.
    target : ndarray of int64 of shape (n_branches,)
    offset : ndarray of shape (n_rows, n_classes)
        Logits of everything that is not tuned.
    y : ndarray of int64 of shape (n_rows,)
    sample_weight : ndarray of shape (n_rows,)
        Rows of weight 0 are as if they were not there.
    start : Masks
        Where to start.
    max_iter : int
        L-BFGS-B iterations at most.
    loss : CrossEntropy or SquaredError

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
    ridge = np.zeros(2 * n_branches + n_classes)
    ridge[: 2 * n_branches] = 1 / (PRIOR**2 * np.count_nonzero(sample_weight))

    def objective(x):
        value, gradient = mask_loss(Masks.from_flat(x, n_branches), *data, loss)
        return value + ridge @ x**2 / 2, gradient + ridge * x

    found = minimize(
        objective,
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
