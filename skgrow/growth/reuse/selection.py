"""Selection: the best of the qualified, stage by stage.

The best candidates are near copies of each other. Taking them all at once would pay many
times for one effect, so the scores move after every pick and the rest are judged anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from skgrow.growth.reuse.gains import gain_and_step
from skgrow.training.losses import CROSS_ENTROPY

__all__ = ["DAMPING", "Ballot", "select_stagewise", "select_votes", "vote_gains"]

# Share of the Newton step by which the scores move after a pick: a full step for every
# pick overshoots where picks overlap.
DAMPING = 0.5
# A pick moves the other classes' scores only through the softmax: their gains may be so
# many picks old.
PICKS_PER_REFRESH = 10
# How many times its gain a candidate is worth that needs no new trunk.
CHEAP = 2.0
TINY = np.finfo(np.float32).tiny
# Gains this near to each other, relatively, differ by rounding, which the number of
# threads may change. Of such the first is picked.
ROUNDING = 1e-9


def select_stagewise(
    values, target, trunk, logits, y, sample_weight, *, n_picks, loss=CROSS_ENTROPY
):
    """Pick candidates one at a time, each given what the earlier ones already do.

    One whose trunk is evaluated already, for the network or for an earlier pick, costs
    next to nothing when predicting, and is taken before a new one of `CHEAP` its gain.

    Parameters
    ----------
    values : ndarray of shape (n_candidates, n_rows)
        `relu(output - threshold)`.
    target : ndarray of int64 of shape (n_candidates,)
    trunk : ndarray of int64 of shape (n_candidates,)
        Number of the trunk of each, from 0; -1 where the network evaluates it already.
    logits : ndarray of shape (n_rows, n_classes)
        Scores before the round; not changed.
    y : ndarray of int64 of shape (n_rows,)
    sample_weight : ndarray of shape (n_rows,)
    n_picks : int
        How many to pick at most; fewer when no gain is left.
    loss : CrossEntropy or SquaredError

    Returns
    -------
    picks : ndarray of int64
        Candidates in the order they were picked.
    """
    members = {t: np.flatnonzero(target == t) for t in np.unique(target)}
    blocks = {t: torch.as_tensor(values[own]) for t, own in members.items()}
    squares = {t: block.square() for t, block in blocks.items()}
    logits = logits.copy()
    gain, step = np.zeros((2, len(target)))
    worth = np.where(trunk < 0, CHEAP, 1.0)
    picks = []
    for i in range(min(n_picks, len(target))):
        now = loss.residual(logits, y, sample_weight)
        stale = members if i % PICKS_PER_REFRESH == 0 else [target[picks[-1]]]
        for t in stale:
            own = members[t]
            gain[own], step[own] = gain_and_step(blocks[t], squares[t], now, t)
        gain[picks] = 0
        best = _first_best(gain * worth)
        if gain[best] <= 0:
            break
        picks.append(best)
        worth[trunk == trunk[best]] = CHEAP
        t = target[best]
        curve = now.curvature[:, t]
        level = curve @ values[best] / max(curve.sum(), TINY)
        logits[:, t] += DAMPING * step[best] * (values[best] - level)
    return np.array(picks, dtype=np.int64)


def select_votes(ballot, logits, y, sample_weight, *, step, n_picks):
    """Pick voters one at a time; one may be picked again, and then votes once more.

    Parameters
    ----------
    ballot : Ballot
    logits : ndarray of shape (n_rows, n_classes)
        Scores before the round; not changed.
    y : ndarray of int64 of shape (n_rows,)
    sample_weight : ndarray of shape (n_rows,)
        0 on rows that do not count.
    step : float
        Logits that a vote adds to its class, whose mean score stays.
    n_picks : int
        How many to pick at most; fewer when no gain is left.

    Returns
    -------
    picks : ndarray of int64
        Candidates in the order they were picked.
    gain : ndarray of float64 of shape (n_candidates,)
        What another vote of each would gain, or would have a few picks ago.
    """
    target, weight = ballot.target, sample_weight.astype(logits.dtype)
    boxes = {t: ballot.box(t, weight) for t in np.unique(target)}
    share = weight / weight.sum()
    logits = logits.copy()
    gain = np.zeros(len(target))
    picks = []
    for i in range(n_picks if len(target) else 0):
        now = CROSS_ENTROPY.residual(logits, y, sample_weight)
        stale = boxes if i % PICKS_PER_REFRESH == 0 else [target[picks[-1]]]
        for t in stale:
            gain[target == t] = boxes[t].gains(now, step)
        best = _first_best(gain)
        if gain[best] <= 0:
            break
        picks.append(best)
        vote = ballot.votes[best]
        logits[:, target[best]] += step * (vote - share @ vote)
    return np.array(picks, dtype=np.int64), gain


def vote_gains(ballot, logits, y, sample_weight, *, step):
    """Fall of the mean loss, in nats, by one vote of each candidate.

    Parameters
    ----------
    ballot, logits, y, sample_weight, step :
        As for `select_votes`.

    Returns
    -------
    gain : ndarray of float64 of shape (n_candidates,)
        To second order, on the rows it is judged on; negative where the vote would do
        harm.
    """
    now = CROSS_ENTROPY.residual(logits, y, sample_weight)
    weight = sample_weight.astype(logits.dtype)
    gain = np.zeros(len(ballot.target))
    for t in np.unique(ballot.target):
        gain[ballot.target == t] = ballot.box(t, weight).gains(now, step)
    return gain


@dataclass(frozen=True)
class Ballot:
    """Votes of candidates, and on which rows each of them is judged.

    A candidate was found because it is good on the rows of that search, by chance or not.
    There its gain is too high, and it is judged on the others alone.

    Attributes
    ----------
    target : ndarray of int64 of shape (n_candidates,)
    votes : ndarray of bool of shape (n_candidates, n_rows)
    search : ndarray of int64 of shape (n_candidates,)
        Number of the search, a row of `unseen`.
    unseen : ndarray of bool of shape (n_searches, n_rows)
        The rows that a search has not looked at.
    """

    target: np.ndarray
    votes: np.ndarray
    search: np.ndarray
    unseen: np.ndarray

    def box(self, t, sample_weight):
        """The votes for one class, a `_Box`."""
        own = self.target == t
        searches, search = np.unique(self.search[own], return_inverse=True)
        return _Box(self.votes[own], t, search, self.unseen[searches], sample_weight)


class _Box:
    """Votes for one class as numbers, 0 on the rows they are not judged on."""

    def __init__(self, votes, t, search, unseen, sample_weight):
        dtype = sample_weight.dtype
        self.t, self.search = t, search
        self.votes = torch.as_tensor((votes & unseen[search]).astype(dtype))
        self.unseen = torch.as_tensor(unseen.astype(dtype))
        weight = sample_weight[:, None]
        self.mean = (self._sums(self.votes, weight) / self._of_all(weight))[:, 0]
        self.n_rows = unseen.sum(axis=1)[search]

    def gains(self, now, step):
        columns = np.column_stack([now.gradient[:, self.t], now.curvature[:, self.t]])
        grad, hess = self._sums(self.votes, columns).T
        slope_all, bent_all = self._of_all(columns).T
        grad = grad - self.mean * slope_all
        hess = hess * (1 - 2 * self.mean) + self.mean**2 * bent_all
        return step * (grad - step * hess / 2) / self.n_rows

    def _of_all(self, columns):
        return self._sums(self.unseen, columns)[self.search]

    @staticmethod
    def _sums(block, columns):
        return (block @ torch.as_tensor(columns)).double().numpy()


def _first_best(gain):
    """The first of the largest gains, those that differ by rounding being equal."""
    return int((gain >= gain.max() * (1 - ROUNDING)).argmax())
