"""Counting: an election between two rounds, and how nominees become votes.

Candidates that pass the tests are *nominees*. They stay nominees in later rounds, also
once they are elected: a branch may get a second vote. During the search a vote is worth
a fixed number of logits, which falls as votes become more. It is a little less than the
votes so far deserve, so strong patterns are elected again and again, and their many
smaller votes leave room for fine ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from skgrow.growth.reuse.selection_rows import SelectionSet, scores_of
from skgrow.growth.transfer.nominees import Nominees
from skgrow.growth.transfer.temperature import fit_temperature
from skgrow.networks.votes import Electorate, Tally

__all__ = ["Counting", "vote_step"]

# During the search the score of a class is VOTE_SCALE times the share of its branches
# that vote for it, shrunk towards 0 while they are few.
VOTE_SCALE, SHRINKAGE = 50.0, 40.0


def vote_step(votes_per_class):
    """Logits that a vote adds to its class during the search.

    Examples
    --------
    >>> from skgrow.growth.transfer.vote_state import vote_step
    >>> [round(vote_step(n), 2) for n in (1, 9, 100, 400)]
    [1.0, 1.0, 0.36, 0.11]
    """
    return min(1.0, VOTE_SCALE / (SHRINKAGE + votes_per_class))


@dataclass(frozen=True)
class Counting:
    """State of an election between two rounds.

    Attributes
    ----------
    network : Electorate
    selection : SelectionSet
    targets : ndarray of int64
        Classes that may get votes; the scores of all others stay as they are.
    counts : ndarray of shape (n_samples, n_classes)
        Votes for each class on all selection rows.
    sums : ndarray of shape (n_samples, n_classes)
        The same with what each vote weighs.
    nominees : Nominees
    """

    network: Electorate
    selection: SelectionSet
    targets: np.ndarray
    counts: np.ndarray
    sums: np.ndarray
    nominees: Nominees

    @classmethod
    def of(cls, network, selection, targets, X, scaler, device="cpu"):
        """State before the first round, from the raw inputs `X` of the selection rows."""
        sums = counts = network.class_sums(X, scaler, device)
        if network.standardise == "vote":
            equal = replace(network.grown, bias=np.ones_like(network.grown.bias))
            counts = replace(network, grown=equal).class_sums(X, scaler, device)
        if targets is None:
            targets = np.arange(counts.shape[1])
        may_win = np.isin(network.nominees.uses.target, targets)
        nominees = network.nominees.take(may_win)
        nominees = Nominees.of(nominees, selection, selection.pool)
        return cls(network, selection, targets, counts, sums, nominees)

    @property
    def logits(self):
        """What the search starts from, `(n_samples, n_classes)`."""
        return self._logits(self._step(0))

    def scores(self):
        """Loss and accuracy, as the growth history has them."""
        return scores_of(self.network.logits_of_sums(self.sums), self.selection)

    def held_out_losses(self):
        """Loss of each held-out row, `(n_held_out,)`."""
        return self.selection.held_out_losses(self.network.logits_of_sums(self.sums))

    def add(self, qualified, n_picks):
        """Nominate what has qualified, elect, count the votes and fit the temperature.

        Parameters
        ----------
        qualified : Qualified
        n_picks : int
            Votes to add at most.

        Returns
        -------
        counting : Counting
        n_picked : int
        """
        step = self._step(n_picks)
        logits = self._logits(step)
        rows = (logits, self.selection, step, self.targets)
        nominees = self.nominees.joined(qualified, *rows)
        picks, kept = nominees.elect(*rows, n_picks)
        network = replace(self.network, nominees=kept.branches)
        now = replace(self, network=network, nominees=kept)
        if len(picks):
            now = now._elected(nominees.branches.take(picks), nominees.votes[picks])
        return now, len(picks)

    def _step(self, n_picks):
        uses = self.network.grown.uses
        n_votes = np.isin(uses.target, self.targets).sum() + n_picks
        return vote_step(n_votes / len(self.targets))

    def _logits(self, step):
        """Of classes that may get votes, each vote being worth `step` logits."""
        logits = self.network.logits_of_sums(self.sums)
        pool, own = self.selection.pool, self.targets
        share = self.selection.sample_weight[pool]
        mean = np.average(self.counts[pool], axis=0, weights=share)
        prior = self.network.tally.log_prior
        logits[:, own] = (step * (self.counts - mean) + prior)[:, own]
        return logits

    def _elected(self, new, votes):
        """With more branches that vote, `votes` `(n_new, n_samples)` on all rows."""
        weights = self._weights(votes).astype(new.bank.dtype)
        new = replace(new, bias=weights, span=np.ones_like(weights))
        counts, sums = self.counts.copy(), self.sums.copy()
        for t in np.unique(new.uses.target):
            own = new.uses.target == t
            counts[:, t] += votes[own].sum(axis=0)
            sums[:, t] += weights[own] @ votes[own]
        network = replace(self.network, grown=self.network.grown.extended(new))
        network = self._tallied(network, sums)
        return replace(self, network=network, counts=counts, sums=sums)

    def _weights(self, votes):
        """What each vote weighs: 1, or one over its standard deviation on the pool."""
        if self.network.standardise != "vote":
            return np.ones(len(votes))
        pool = self.selection.pool
        weight = self.selection.sample_weight[pool]
        share = votes[:, pool] @ weight / weight.sum()
        return 1 / np.sqrt(np.maximum(share * (1 - share), 1e-12))

    def _tallied(self, network, sums):
        """The electorate with its statistics from the pool."""
        pool = self.selection.pool
        rows = sums[pool], self.selection.y[pool], self.selection.sample_weight[pool]
        tally, kept = Tally.of(*rows), network.tally
        if len(self.targets) == len(kept.total):
            return fit_temperature(replace(network, tally=tally), *rows)
        tally = replace(
            kept.replaced(tally, self.targets), class_weight=kept.class_weight
        )
        return replace(network, tally=tally)  # all other scores stay as they are
