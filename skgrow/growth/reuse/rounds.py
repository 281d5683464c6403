"""Rounds of growth: propose, screen, verify, select, tune. Figure 5 of the paper."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
import torch

from skgrow.growth.reuse.matching import propose_matches
from skgrow.growth.reuse.qualification import qualify, scan_thresholds
from skgrow.growth.reuse.screening import (
    candidate_outputs,
    screen_matched,
    screen_plain,
    threshold_values,
)
from skgrow.networks.branch_uses import Candidates, outputs_of
from skgrow.networks.forward import row_chunks
from skgrow.networks.grown import GrownBranches
from skgrow.training.losses import is_clear_fall

__all__ = ["Progress", "grow_round", "grow_rounds", "n_search_rows"]

KEPT_PER_REGION = 64  # plain candidates that go on from one region
# A region's matched candidates take far longer to screen than its plain ones, and the
# best of them gain less (docs/tables/ranking.md): few regions of a round are matched.
MATCHED_REGIONS = {"both": 2, "clusters": 20}
MATCHES_PER_REGION = 200
MATCHING_ROWS = 4000  # of the search rows, to rank the matches
# Bounds of the memory of verification.
MAX_VERIFYING_ROWS = 30_000
CANDIDATES_AT_ONCE = 500
MAX_QUALIFIED = 2000
# What is searched, screened and tested in: rows are few, and sampling noise dominates
# rounding. What has passed is picked and tuned in the precision of the network.
PRECISION = np.dtype(np.float32)


@dataclass(frozen=True)
class Progress:
    """State of growth between two rounds.

    Attributes
    ----------
    standing : Masking or Counting
        The network, and what growth knows of it on the selection rows.
    best : Network or Electorate
        After the last round that counts, or the network before all rounds.
    best_losses : ndarray of shape (n_held_out,)
        Of the held-out rows, in nats, after that round.
    n_stale : int
        Rounds since then.
    stopped : bool
        Whether they were too many: growth is over, and the best network is kept.
    """

    standing: object
    best: object
    best_losses: np.ndarray
    n_stale: int = 0
    stopped: bool = False

    @classmethod
    def of(cls, standing):
        """Before the first round."""
        return cls(standing, standing.network, standing.held_out_losses())

    @property
    def network(self):
        """The one to keep if no other round is done."""
        return self.best if self.stopped else self.standing.network

    def after(self, standing, plan):
        """After one more round."""
        losses = standing.held_out_losses()
        falls, weight = self.best_losses - losses, standing.selection.held_out_weight
        if is_clear_fall(falls, weight, plan.stopping.n_errors, plan.stopping.tol):
            return Progress(standing, standing.network, losses)
        n_stale = self.n_stale + 1
        stopped = n_stale >= plan.stopping.n_rounds
        return replace(self, standing=standing, n_stale=n_stale, stopped=stopped)

    def with_selection(self, selection):
        """The same on other selection rows in memory; None to store it without."""
        return replace(self, standing=replace(self.standing, selection=selection))


def grow_rounds(progress, selection, plan, *, wanted, seed, first_round):
    """Grow round by round until enough branches are there or growth should stop.

    Parameters
    ----------
    progress : Progress
    selection : SelectionSet
    plan : GrowthPlan
    wanted : int
        Branches to have in the end.
    seed : int
        With the number of the round it fixes all that is drawn in that round, so that
        two calls continue the sequence of one.
    first_round : int
        Number of rounds done before.

    Yields
    ------
    progress : Progress
        After the round.
    record : dict
        The round's row of the growth history.
    reason : str or None
        Why this is the last round although branches are missing.
    """
    max_time, round_number = plan.stopping.max_time, first_round
    start = perf_counter() - plan.stopping.time_spent
    late = False
    while len(progress.network.grown) < wanted and not (progress.stopped or late):
        standing, record = grow_round(
            progress.standing,
            selection,
            plan,
            n_picks=min(plan.round_size, wanted - len(progress.network.grown)),
            round_number=round_number,
            random_state=np.random.RandomState([seed, round_number]),
        )
        progress = progress.after(standing, plan)
        round_number += 1
        late = max_time is not None and perf_counter() - start > max_time
        reason = None
        if progress.stopped:
            reason = _why_stopped(record, plan)
        elif late:
            reason = f"max_time={max_time} seconds have passed"
        yield progress, {**record, "n_branches": len(progress.network.grown)}, reason


def _why_stopped(record, plan):
    if not record["n_qualified"]:
        return "no candidate qualifies any more"
    n_rounds = plan.stopping.n_rounds
    rounds = "a round" if n_rounds == 1 else f"{n_rounds} rounds"
    clearly = " beyond its standard error" if plan.stopping.n_errors else ""
    return (
        f"the held-out loss has not fallen{clearly} for {rounds}, and the network of the "
        "best round was kept"
    )


def grow_round(standing, selection, plan, *, n_picks, round_number, random_state):
    """Grow a network by one round.

    Parameters
    ----------
    standing : Masking or Counting
        It is not changed.
    selection : SelectionSet
    plan : GrowthPlan
    n_picks : int
        Branches to add at most.
    round_number : int
        From 0; the chance `delta` is shared out over the rounds.
    random_state : numpy.random.RandomState

    Returns
    -------
    standing : Masking or Counting
        After the round; its network is the same one when nothing was added.
    record : dict
        The round's row of the growth history.
    """
    start = perf_counter()
    search, verify = _draw_rows(selection.pool, plan.search_rows, random_state)
    grown, logits = standing.network.grown, standing.logits
    bank = grown.bank.astype(PRECISION)
    now = selection.residual(logits, search).astype(PRECISION)
    sources = bank.take(slice(plan.space.n_sources))
    uses = grown.uses.astype(PRECISION)
    screened, n_screened = _search(
        sources, now, selection, plan, search, uses, random_state
    )
    # Shares of delta that sum to delta over all rounds: 1/2 + 1/6 + 1/12 + ... = 1
    n_tested = plan.n_verified * (round_number + 1) * (round_number + 2)
    asked = np.log(n_tested / plan.delta)
    if plan.targets is not None:
        screened = screened.take(np.isin(screened.target, plan.targets))
    short = _shortlist(screened, plan.n_verified)
    growth = len(verify) / len(search)
    short = _best_thresholds(bank, now, selection, plan, search, short, growth, asked)
    now = selection.residual(logits, verify).astype(PRECISION)
    qualified = _verify(bank, now, selection, plan, verify, short, n_tested)
    qualified = qualified.of(grown.bank)
    standing, n_picked = standing.add(qualified, n_picks)
    record = {
        "round": round_number,
        "n_screened": n_screened,
        "n_tested": len(short),
        "n_qualified": len(qualified.branches),
        "n_picked": n_picked,
        "n_branches": len(standing.network.grown),
        **standing.scores(),
        "seconds": perf_counter() - start,
    }
    return standing, record


def n_search_rows(n_pool, search_rows):
    """Rows of the pool to search on: a third at most, the others verify."""
    return min(search_rows, n_pool // 3)


def _draw_rows(pool, search_rows, random_state):
    """Rows to search on and fresh rows to verify on."""
    rows = random_state.permutation(pool)
    n_search = n_search_rows(len(rows), search_rows)
    verify = rows[n_search : n_search + MAX_VERIFYING_ROWS]
    return np.sort(rows[:n_search]), np.sort(verify)


def _features(selection, rows):
    """Features `(n_features + 1, len(rows))` of the given rows, to search on."""
    return selection.features_of(rows).to(getattr(torch, PRECISION.name))


def _search(bank, now, selection, plan, rows, uses, random_state):
    """Screened candidates of this round's regions, and how many were looked at.

    Among them are all outputs of the trunks that `uses` evaluate already: to use one
    more of those costs next to nothing when predicting.
    """
    space = plan.space
    n_readings = len(space.regions) * len(space.signs)
    drawn = np.sort(random_state.permutation(n_readings)[: plan.search_regions])
    regions, way = np.divmod(drawn, len(space.signs))
    features = _features(selection, rows)
    parts, n_looked_at = [], 0
    if space.matching != "clusters":
        parts.append(
            screen_plain(
                bank, features, now, regions, space.regions[regions], space.signs[way],
                n_keep=KEPT_PER_REGION, vote=plan.vote, n_jobs=plan.n_jobs,
                window=space.window,
            )
        )  # fmt: skip
        n_looked_at += len(drawn) * bank.n_branches * bank.n_outputs
    if space.matching != "exhaustive":
        few = np.arange(0, len(rows), -(-len(rows) // MATCHING_ROWS))
        some = np.unique(regions)
        some = some[:: -(-len(some) // MATCHED_REGIONS[space.matching])]
        matched = propose_matches(
            bank, space.clusters, features[:, few], now.classes[few], now.take(few),
            some, space.regions[some], n_proposals=MATCHES_PER_REGION,
            n_jobs=plan.n_jobs, window=space.window,
        )  # fmt: skip
        parts.append(
            screen_matched(
                bank, features, now, matched, vote=plan.vote, n_jobs=plan.n_jobs
            )
        )
        n_looked_at += len(matched)
    # Votes are cheap beside their search; "clusters" is for the paper's candidates alone.
    if len(uses) and not plan.vote and space.matching != "clusters":
        present = outputs_of(uses, bank.n_outputs)
        parts.append(
            screen_matched(
                bank, features, now, present, vote=plan.vote, n_jobs=plan.n_jobs
            )
        )
        n_looked_at += len(present)
    return Candidates.concatenate(parts), n_looked_at


def _shortlist(candidates, n_best):
    """The best of each target class in turn, so that no class takes all places."""
    order = np.argsort(-candidates.gain, kind="stable")
    target = candidates.target[order]
    place = np.empty(len(order), dtype=np.int64)
    for t in np.unique(target):
        own = target == t
        place[own] = np.arange(own.sum())
    return candidates.take(order[np.argsort(place, kind="stable")[:n_best]])


def _best_thresholds(bank, now, selection, plan, rows, candidates, growth, asked):
    features = _features(selection, rows)

    def scanned(part):
        outputs = candidate_outputs(bank, part, features)
        threshold, gain = scan_thresholds(
            outputs, part.target, now, growth, asked, plan.vote
        )
        return replace(part, threshold=threshold, gain=gain).take(gain > 0)

    parts = row_chunks(len(candidates), CANDIDATES_AT_ONCE)
    found = [scanned(candidates.take(part)) for part in parts]
    return Candidates.concatenate([candidates.take([]), *found])


@dataclass(frozen=True)
class Qualified:
    """Branches that passed on fresh rows, untuned, and their activations there.

    Attributes
    ----------
    branches : GrownBranches
    values : ndarray of shape (n_branches, n_rows)
    rows : ndarray of int64 of shape (n_rows,)
        The fresh rows.
    """

    branches: GrownBranches
    values: np.ndarray
    rows: np.ndarray

    def of(self, bank):
        """The same in the precision of the bank, whose branches they are."""
        uses = self.branches.uses.astype(bank.dtype)
        branches = replace(self.branches, bank=bank, uses=uses)
        return Qualified(branches, self.values.astype(bank.dtype), self.rows)

    def take(self, index):
        return Qualified(self.branches.take(index), self.values[index], self.rows)

    @classmethod
    def concatenate(cls, parts):
        branches = parts[0].branches
        for part in parts[1:]:
            branches = branches.extended(part.branches)
        values = np.concatenate([part.values for part in parts])
        return cls(branches, values, parts[0].rows)


def _verify(bank, now, selection, plan, rows, candidates, n_tested):
    """Those of the candidates that pass on fresh rows, the first of them if many do."""
    features = _features(selection, rows)
    none = GrownBranches.empty(bank)
    found = [Qualified(none, np.zeros((0, len(rows)), dtype=bank.dtype), rows)]
    n_left = MAX_QUALIFIED
    for part in row_chunks(len(candidates), CANDIDATES_AT_ONCE):
        if n_left > 0:
            passed = _passed(bank, now, plan, features, candidates.take(part), n_tested)
            found.append(Qualified(*passed, rows).take(slice(n_left)))
            n_left -= len(found[-1].values)
    return Qualified.concatenate(found)


def _passed(bank, now, plan, features, candidates, n_tested):
    """Those that pass, as branches, and their activations."""
    values = threshold_values(bank, candidates, features)
    if plan.vote:
        values = (values > 0).astype(values.dtype)
    found = qualify(values, candidates.target, now, n_tested=n_tested, delta=plan.delta)
    zeros = np.zeros(len(candidates), dtype=bank.dtype)
    proofs = (found.precision, found.recall, found.bound)
    branches = GrownBranches(bank, candidates, zeros, zeros, zeros, *proofs)
    return branches.take(found.passed), values[found.passed]
