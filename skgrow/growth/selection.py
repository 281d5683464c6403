"""Selection: the best of the qualified, stage by stage.

The best candidates are near copies of each other. Taking them all at once would pay many
times for one effect, so the scores move after every pick and the rest are judged anew.
"""

from __future__ import annotations

import numpy as np
import torch

from skgrow.growth.rows import residuals
from skgrow.growth.screening import newton_gain

__all__ = ["select_stagewise"]


def select_stagewise(values, target, logits, y, sample_weight, *, n_picks, damping=0.5):
    """Pick candidates one at a time, each given what the earlier ones already do.

    Parameters
    ----------
    values : ndarray of shape (n_candidates, n_rows)
        `relu(output - threshold)`.
    target : ndarray of int64 of shape (n_candidates,)
    logits : ndarray of shape (n_rows, n_classes)
        Scores before the round; not changed.
    y : ndarray of int64 of shape (n_rows,)
    sample_weight : ndarray of shape (n_rows,)
    n_picks : int
        How many to pick at most; fewer when no gain is left.
    damping : float, default=0.5
        Share of the Newton step by which the scores move after a pick.

    Returns
    -------
    picks : ndarray of int64
        Candidates in the order they were picked.
    """
    order = np.argsort(target, kind="stable")
    blocks = np.split(order, np.flatnonzero(np.diff(target[order])) + 1)
    blocks = [(target[b[0]], b, torch.as_tensor(values[b])) for b in blocks if len(b)]
    squares = [block.square() for _, _, block in blocks]
    logits = logits.copy()
    picks = []
    taken = np.zeros(len(target), dtype=bool)
    for _ in range(min(n_picks, len(target))):
        weight, curve = residuals(logits, y, sample_weight)
        gain, step = _gains(blocks, squares, weight, curve, len(target))
        gain[taken] = 0
        best = int(gain.argmax())
        if gain[best] <= 0:
            break
        taken[best] = True
        picks.append(best)
        logits[:, target[best]] += damping * step[best] * values[best]
    return np.array(picks, dtype=np.int64)


def _gains(blocks, squares, weight, curve, n_candidates):
    """Newton gain and step of every candidate at the present scores."""
    gradient = np.zeros(n_candidates)
    curvature = np.zeros(n_candidates)
    for (t, members, block), square in zip(blocks, squares, strict=True):
        gradient[members] = (block @ torch.as_tensor(weight[:, t])).numpy()
        curvature[members] = (square @ torch.as_tensor(curve[:, t])).numpy()
    n_rows = len(weight)
    gain = newton_gain(gradient / n_rows, curvature / n_rows)
    return gain, gradient / np.maximum(curvature, 1e-12)
