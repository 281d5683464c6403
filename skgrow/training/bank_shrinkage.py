"""Trained branches scaled down: to what held-out rows ask for, or where they do harm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar

__all__ = ["mean_loss", "shrunk", "usable"]

LEAST_SCALE = 0.01  # growth needs branches whose outputs are not 0
UNIT = 0.5  # loss of the mean of a target whose deviation is 1; that of classes is more
FAR_ABOVE = 10.0  # losses of constant scores: too few passes leave less than that


def shrunk(bank, data, loss, device="cpu"):
    """A bank of replicas, shrunk by a factor that is fitted out of fold.

    Parameters
    ----------
    bank : BranchBank
        The mean of `data.n_replicas` networks, from `train_bank`.
    data : TrainingData
        The rows that they were trained on.
    loss : CrossEntropy or SquaredError
    device : str, default="cpu"

    Returns
    -------
    bank : BranchBank
        Its outputs multiplied by a number between `LEAST_SCALE` and 1.
    """
    n_each = bank.n_branches // data.n_replicas
    fresh = np.zeros((len(data.y), bank.n_outputs), dtype=bank.dtype)
    for r in range(data.n_replicas):
        left_out = np.flatnonzero(data.share[:, r] == 0)
        replica = bank.take(slice(r * n_each, (r + 1) * n_each))
        fresh[left_out] = data.n_replicas * replica.logits(data.X[left_out], device)

    return _scaled(bank, fresh, data, loss)


def _scaled(bank, logits, data, loss):
    """The bank times the number between `LEAST_SCALE` and 1 that costs least."""

    def cost(scale):
        losses = loss.of_rows(data.offset + scale * logits, data.y)
        return float(np.average(losses, weights=data.sample_weight))

    best = minimize_scalar(cost, bounds=(LEAST_SCALE, 1), method="bounded").x
    last = bank.weights[-1] * bank.dtype.type(best)
    return replace(bank, weights=(*bank.weights[:-1], last))


def usable(start, trained, data, plan, device, ended=None):
    """The trained bank, and None; or what is left where it does harm, and why.

    It does where the loss of the training rows is higher with it than without. Where
    training `ended` with a loss that is higher than before, and far above that of
    constant scores, it has diverged: the better of `start` and `trained` is scaled down
    to where the loss is lowest, and the second value is True. Elsewhere a single network
    is scaled down too, unless rows held out have chosen it (`ended` is then None) or this
    was one pass of many; for replicas see `shrunk`.
    """
    banks = {"with": trained, "before": start, "without": None}
    cost = {"with": mean_loss(trained, data, plan.loss, device)}
    cost["without"] = mean_loss(None, data, plan.loss)
    if cost["with"] <= cost["without"] + plan.tol:
        return trained, None
    best, cost["before"] = cost["with"], mean_loss(start, data, plan.loss, device)
    flat = replace(data, offset=np.zeros_like(data.offset[:1]))
    high = FAR_ABOVE * max(mean_loss(None, flat, plan.loss), UNIT)
    cost["with"] = cost["with"] if ended is None else ended
    problem = None
    if not cost["with"] <= max(cost["before"] + plan.tol, high):
        problem = (
            "training diverged: the loss of the training rows is {with:.3g} with the "
            "trained branches, {before:.3g} as they were before and {without:.3g} without"
        ).format(**cost)
    elif ended is None or data.share is not None:
        return trained, None
    kept = banks["with" if best <= cost["before"] else "before"]
    return _scaled(kept, kept.logits(data.X, device), data, plan.loss), problem


def mean_loss(bank, data, loss, device="cpu"):
    """Weighted mean loss of the rows, or that without any branch."""
    scores = data.offset
    if bank is not None:
        scores = scores + bank.logits(data.X, device)
    elif len(scores) == 1:
        scores = np.repeat(scores, len(data.y), axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        losses = loss.of_rows(scores, data.y)
    return float(np.average(losses, weights=data.sample_weight))
