"""Nominees: candidates that have passed the tests and may be elected, or once more."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from skgrow.growth.reuse.screening import threshold_values
from skgrow.growth.reuse.selection import Ballot, select_votes, vote_gains
from skgrow.networks.grown import GrownBranches

__all__ = ["Nominees"]

KEPT_PER_CLASS = 200
FRESH_PER_CLASS = 100
MAX_BYTES = 2**29  # of the votes as numbers, all classes together


@dataclass(frozen=True)
class Nominees:
    """Branches that may be elected, and their votes on the selection rows.

    Attributes
    ----------
    branches : GrownBranches
    votes : ndarray of bool of shape (n_nominees, n_samples)
    search : ndarray of int64 of shape (n_nominees,)
        Which search found the nominee, a row of `unseen`.
    unseen : ndarray of bool of shape (n_searches, n_samples)
        Rows on which the nominees of a search are judged: those they were tested on.
    """

    branches: GrownBranches
    votes: np.ndarray
    search: np.ndarray
    unseen: np.ndarray

    @classmethod
    def of(cls, branches, selection, tested):
        """Branches as nominees that are judged on the rows `tested`."""
        votes = threshold_values(branches.bank, branches.uses, selection.features) > 0
        unseen = np.isin(np.arange(len(selection.y)), tested)[None]
        return cls(branches, votes, np.zeros(len(branches), dtype=np.int64), unseen)

    def joined(self, qualified, logits, selection, step, targets):
        """These, and the best of those that have now qualified.

        Parameters
        ----------
        qualified : Qualified
        logits : ndarray of shape (n_samples, n_classes)
            From which a vote moves its class by `step`.
        selection : SelectionSet
        step : float
        targets : ndarray of int64
            Classes that may get votes.

        Returns
        -------
        nominees : Nominees
        """
        ballot, rows = _tested(qualified), qualified.rows
        weight = selection.sample_weight[rows]
        gain = vote_gains(ballot, logits[rows], selection.y[rows], weight, step=step)
        n_fresh = _affordable(FRESH_PER_CLASS, logits, targets)
        best = _best(ballot.target, gain, targets, n_fresh)
        fresh = Nominees.of(qualified.branches.take(best), selection, rows)
        return Nominees(
            self.branches.extended(fresh.branches),
            np.concatenate([self.votes, fresh.votes]),
            np.concatenate([self.search, len(self.unseen) + fresh.search]),
            np.concatenate([self.unseen, fresh.unseen]),
        )

    def elect(self, logits, selection, step, targets, n_picks):
        """Numbers of those that get a vote, and the best of all for the next round.

        Returns
        -------
        picks : ndarray of int64
            See `select_votes`.
        nominees : Nominees
        """
        target = self.branches.uses.target
        ballot = Ballot(target, self.votes, self.search, self.unseen)
        in_pool = np.isin(np.arange(len(logits)), selection.pool)
        weight = selection.sample_weight * in_pool
        picks, gain = select_votes(
            ballot, logits, selection.y, weight, step=step, n_picks=n_picks
        )
        n_kept = _affordable(KEPT_PER_CLASS, logits, targets)
        return picks, self._take(_best(target, gain, targets, n_kept))

    def _take(self, index):
        return replace(
            self,
            branches=self.branches.take(index),
            votes=self.votes[index],
            search=self.search[index],
        )


def _affordable(n, logits, targets):
    """So many of each class, or fewer where there are many rows."""
    n_bytes = logits.itemsize * len(logits) * len(targets)
    share = n / (KEPT_PER_CLASS + FRESH_PER_CLASS)
    return max(1, min(n, int(share * MAX_BYTES / n_bytes)))


def _tested(qualified):
    """Those that have qualified, on the rows that they were tested on."""
    target, votes = qualified.branches.uses.target, qualified.values > 0
    unseen = np.ones((1, votes.shape[1]), dtype=bool)
    return Ballot(target, votes, np.zeros(len(votes), dtype=np.int64), unseen)


def _best(target, gain, targets, n_kept):
    """Numbers of those, `n_kept` of each class, that would gain most."""
    order = np.argsort(-gain, kind="stable")
    own = [order[target[order] == t][:n_kept] for t in targets]
    return np.sort(np.concatenate(own))
