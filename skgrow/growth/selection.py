"""Selection: the best of the qualified, stage by stage.

The best candidates are near copies of each other. Taking them all at once would pay many
times for one effect, so the scores move after every pick and the rest are judged anew.
"""

from __future__ import annotations

import numpy as np
import torch

from skgrow.growth.rows import residual
from skgrow.growth.screening import gain_and_step

__all__ = ["DAMPING", "select_stagewise"]

# Share of the Newton step by which the scores move after a pick: a full step for every
# pick overshoots where picks overlap.
DAMPING = 0.5
# A pick moves the other classes' scores only through the softmax: their gains may be so
# many picks old.
PICKS_PER_REFRESH = 10


def select_stagewise(values, target, logits, y, sample_weight, *, n_picks, steps=None):
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
    steps : ndarray of shape (n_classes,), default=None
        Logits by which a vote moves its class. Picks are those of highest Newton gain
        among the ones for which that is not too loud. None takes `DAMPING` times the
        Newton step, for scales that tuning will fit.

    Returns
    -------
    picks : ndarray of int64
        Candidates in the order they were picked.
    """
    members = {t: np.flatnonzero(target == t) for t in np.unique(target)}
    blocks = {t: torch.as_tensor(values[own]) for t, own in members.items()}
    squares = {t: block.square() for t, block in blocks.items()}
    voted = np.ptp(logits, axis=0) > 0  # the spread of such scores stays as it is
    logits = logits.copy()
    gain, step = np.zeros((2, len(target)))
    picks = []
    for i in range(min(n_picks, len(target))):
        now = residual(logits, y, sample_weight)
        stale = members if i % PICKS_PER_REFRESH == 0 else [target[picks[-1]]]
        for t in stale:
            own = members[t]
            free = steps is None or not voted[t]
            follow = None if free else _level_and_scale(logits[:, t])
            gain[own], step[own] = gain_and_step(blocks[t], squares[t], now, t, follow)
            if steps is not None:  # a vote that is too loud would do harm
                gain[own] *= step[own] > steps[t] / 2
        gain[picks] = 0
        best = int(gain.argmax())
        if gain[best] <= 0:
            break
        picks.append(best)
        t = target[best]
        if steps is None:
            curve = now.curvature[:, t]
            level = curve @ values[best] / curve.sum()
            logits[:, t] += DAMPING * step[best] * (values[best] - level)
        else:
            vote = steps[t] * values[best]
            logits[:, t] = _one_more_vote(logits[:, t], vote, sample_weight, voted[t])
    return np.array(picks, dtype=np.int64)


def _level_and_scale(scores):
    """What the standardisation of a class's votes takes away: `(n_rows, 2)`."""
    return np.column_stack([np.ones_like(scores), scores])


def _one_more_vote(scores, vote, sample_weight, keep_spread):
    """Scores `(n_rows,)` with a vote added, of the mean they had before."""
    mean = np.average(scores, weights=sample_weight)
    moved = scores + vote
    moved -= np.average(moved, weights=sample_weight)
    if keep_spread:
        before = np.average((scores - mean) ** 2, weights=sample_weight)
        moved *= np.sqrt(before / np.average(moved**2, weights=sample_weight))
    return mean + moved
