"""Rounds of growth: propose, screen, verify, select, tune. Figure 5 of the paper."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from skgrow.growth.candidates import Candidates
from skgrow.growth.grown import GrownBranches
from skgrow.growth.matching import propose_matches
from skgrow.growth.qualification import qualify, scan_thresholds
from skgrow.growth.rows import loss_and_accuracy, residual
from skgrow.growth.screening import (
    candidate_outputs,
    screen_matched,
    screen_plain,
    threshold_values,
)
from skgrow.growth.selection import select_stagewise
from skgrow.growth.tuning import Masks, fit_masks
from skgrow.growth.voting import add_votes

__all__ = ["GrowthPlan", "grow_round", "grow_rounds", "n_search_rows"]

KEPT_PER_REGION = 64  # plain candidates that go on from one region
# A region's matched candidates take far longer to screen than its plain ones, and the
# best of them gain less (docs/tables/ranking.md): few regions of a round are matched.
MATCHED_REGIONS = {"both": 2, "clusters": 20}
MATCHES_PER_REGION = 200
MATCHING_ROWS = 4000  # of the search rows, to rank the matches
MAX_VERIFYING_ROWS = 30_000  # bounds the memory of verification
TUNING_STEPS = 30  # L-BFGS-B iterations of a round's masks
REFIT_STEPS = 10  # the same where all masks are then refitted together, as many again


@dataclass(frozen=True)
class GrowthPlan:
    """How to search: see the estimator's parameters of the same names.

    Attributes
    ----------
    regions : ndarray of int64 of shape (n_regions, region_size)
        Columns of each region that growth may use.
    clusters : Clusters or None
        None when no matched candidates are wanted.
    vote : bool
        Whether branches vote (transfer to another task) or are tuned (the same task).
    targets : ndarray of int64 or None
        Classes that may get branches; None for all.
    """

    regions: np.ndarray
    clusters: object
    matching: str
    round_size: int
    delta: float
    search_regions: int
    search_rows: int
    n_verified: int
    n_rounds_no_change: int
    max_time: float | None
    tol: float
    n_jobs: int | None
    refit: bool = False
    vote: bool = False
    targets: np.ndarray | None = None


def grow_rounds(network, logits, selection, plan, *, n_branches, seed, first_round):
    """Grow round by round until enough branches were added or growth should stop.

    Parameters
    ----------
    network : Network
    logits : ndarray of shape (n_samples, n_classes)
        Of the network on all selection rows.
    selection : SelectionSet
    plan : GrowthPlan
    n_branches : int
        Branches to add.
    seed : int
        With the number of the round it fixes all that is drawn in that round, so that
        two calls continue the sequence of one.
    first_round : int
        Number of rounds done before.

    Yields
    ------
    network : Network
        After the round; when growth stops by the held-out rows, the best so far.
    record : dict
        The round's row of the growth history.
    reason : str or None
        Why this is the last round although branches are missing.
    """
    wanted = len(network.grown) + n_branches
    best, best_loss = network, _scores(logits, selection)["held_out_loss"]
    start, round_number, n_stale = perf_counter(), first_round, 0
    while len(network.grown) < wanted:
        network, logits, record = grow_round(
            network,
            logits,
            selection,
            plan,
            n_picks=min(plan.round_size, wanted - len(network.grown)),
            round_number=round_number,
            random_state=np.random.RandomState([seed, round_number]),
        )
        round_number += 1
        if record["held_out_loss"] < best_loss - plan.tol:
            best, best_loss, n_stale = network, record["held_out_loss"], 0
        else:
            n_stale += 1
        if n_stale >= plan.n_rounds_no_change:
            reason = _why_stopped(record, plan.n_rounds_no_change)
            yield best, {**record, "n_branches": len(best.grown)}, reason
            return
        late = plan.max_time is not None and perf_counter() - start > plan.max_time
        if late and len(network.grown) < wanted:
            yield network, record, f"max_time={plan.max_time} seconds have passed"
            return
        yield network, record, None


def _why_stopped(record, n_rounds):
    if not record["n_qualified"]:
        return "no candidate qualifies any more"
    return (
        f"the held-out loss has not fallen for {n_rounds} rounds, and the network of "
        "the best round was kept"
    )


def grow_round(network, logits, selection, plan, *, n_picks, round_number, random_state):
    """Grow a network by one round.

    Parameters
    ----------
    network : Network
        It is not changed.
    logits : ndarray of shape (n_samples, n_classes)
        Of the network on all selection rows.
    selection : SelectionSet
    plan : GrowthPlan
    n_picks : int
        Branches to add at most.
    round_number : int
        From 0; the chance `delta` is shared out over the rounds.
    random_state : numpy.random.RandomState

    Returns
    -------
    network : Network
        Grown, or the same one when nothing qualified.
    logits : ndarray of shape (n_samples, n_classes)
    record : dict
        The round's row of the growth history.
    """
    start = perf_counter()
    search, verify = _draw_rows(selection.pool, plan.search_rows, random_state)
    screened, n_screened = _search(network, logits, selection, plan, search, random_state)
    # Shares of delta that sum to delta over all rounds: 1/2 + 1/6 + 1/12 + ... = 1
    n_tested = plan.n_verified * (round_number + 1) * (round_number + 2)
    asked = np.log(n_tested / plan.delta)
    if plan.targets is not None:
        screened = screened.take(np.isin(screened.target, plan.targets))
    short = _shortlist(screened, plan.n_verified)
    growth = len(verify) / len(search)
    short = _best_thresholds(
        network, logits, selection, plan, search, short, growth, asked
    )
    qualified = _verify(network, logits, selection, plan, verify, short, n_tested)
    add = add_votes if plan.vote else _add_tuned
    network, logits, n_picked = add(network, logits, selection, qualified, plan, n_picks)
    record = {
        "round": round_number,
        "n_screened": n_screened,
        "n_tested": len(short),
        "n_qualified": len(qualified.branches),
        "n_picked": n_picked,
        "n_branches": len(network.grown),
        **_scores(logits, selection),
        "seconds": perf_counter() - start,
    }
    return network, logits, record


def n_search_rows(n_pool, search_rows):
    """Rows of the pool to search on: a third at most, the others verify."""
    return min(search_rows, n_pool // 3)


def _draw_rows(pool, search_rows, random_state):
    """Rows to search on and fresh rows to verify on."""
    rows = random_state.permutation(pool)
    n_search = n_search_rows(len(rows), search_rows)
    verify = rows[n_search : n_search + MAX_VERIFYING_ROWS]
    return np.sort(rows[:n_search]), np.sort(verify)


def _residual(logits, selection, rows):
    return residual(logits[rows], selection.y[rows], selection.sample_weight[rows])


def _search(network, logits, selection, plan, rows, random_state):
    """Screened candidates of this round's regions, and how many were looked at."""
    bank = network.grown.bank
    n_regions = min(plan.search_regions, len(plan.regions))
    drawn = random_state.permutation(len(plan.regions))[:n_regions]
    drawn = np.sort(drawn)
    columns = plan.regions[drawn]
    features = selection.features_of(rows)
    now = _residual(logits, selection, rows)
    parts, n_looked_at = [], 0
    if plan.matching != "clusters":
        parts.append(
            screen_plain(
                bank, features, now, drawn, columns,
                n_keep=KEPT_PER_REGION, vote=plan.vote, n_jobs=plan.n_jobs,
            )
        )  # fmt: skip
        n_looked_at += n_regions * bank.n_branches * bank.n_outputs
    if plan.matching != "exhaustive":
        few = np.arange(0, len(rows), -(-len(rows) // MATCHING_ROWS))
        some = slice(None, None, -(-n_regions // MATCHED_REGIONS[plan.matching]))
        matched = propose_matches(
            bank, plan.clusters, features[:, few], selection.y[rows[few]], now.take(few),
            drawn[some], columns[some], n_proposals=MATCHES_PER_REGION,
            n_jobs=plan.n_jobs,
        )  # fmt: skip
        parts.append(
            screen_matched(
                bank, features, now, matched, vote=plan.vote, n_jobs=plan.n_jobs
            )
        )
        n_looked_at += len(matched)
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


def _best_thresholds(network, logits, selection, plan, rows, candidates, growth, asked):
    features = selection.features_of(rows)
    outputs = candidate_outputs(network.grown.bank, candidates, features)
    now = _residual(logits, selection, rows)
    threshold, gain = scan_thresholds(
        outputs, candidates.target, now, growth, asked, plan.vote
    )
    return replace(candidates, threshold=threshold, gain=gain).take(gain > 0)


@dataclass(frozen=True)
class Qualified:
    """Branches that passed on fresh rows, untuned, and what they say there.

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

    def take(self, index):
        return Qualified(self.branches.take(index), self.values[index], self.rows)


def _verify(network, logits, selection, plan, rows, candidates, n_tested):
    """Those of the candidates that pass on fresh rows."""
    bank = network.grown.bank
    values = threshold_values(bank, candidates, selection.features_of(rows))
    if plan.vote:
        values = (values > 0).astype(values.dtype)
    now = _residual(logits, selection, rows)
    found = qualify(values, candidates.target, now, n_tested=n_tested, delta=plan.delta)
    zeros = np.zeros(len(candidates), dtype=bank.dtype)
    proofs = (found.precision, found.recall, found.bound)
    branches = GrownBranches(bank, candidates, zeros, zeros, zeros, *proofs)
    return Qualified(branches, values, rows).take(found.passed)


def _add_tuned(network, logits, selection, qualified, plan, n_picks):
    """Pick, tune and add branches; others take the place of those that tuning drops."""
    n_before, n_picked = len(network.grown), 0
    while len(network.grown) < n_before + n_picks:
        rows = qualified.rows
        picks = select_stagewise(
            qualified.values, qualified.branches.uses.target,
            logits[rows], selection.y[rows], selection.sample_weight[rows],
            n_picks=n_before + n_picks - len(network.grown),
        )  # fmt: skip
        if not len(picks):
            break
        new = qualified.branches.take(picks)
        network, logits = _tune(network, logits, selection, new, plan)
        left = np.delete(np.arange(len(qualified.branches)), picks)
        qualified = qualified.take(left)
        n_picked += len(picks)
    if plan.refit and n_picked:
        network, logits = _refit(network, logits, selection, plan)
    return network, logits, n_picked


def _tune(network, logits, selection, new, plan):
    """Fit the masks of new branches, and drop those left at 0."""
    values = threshold_values(new.bank, new.uses, selection.features)
    span = values[:, selection.pool].max(axis=1)
    new = replace(new, span=np.maximum(span, np.finfo(values.dtype).tiny))
    values = new.normalised(values)
    start = Masks.zeros(len(new), logits.shape[1])
    steps = REFIT_STEPS if plan.refit else TUNING_STEPS
    masks = _fit(values, new, logits, selection, start, steps)
    new, values = _with_masks(new, masks, values)
    intercept = masks.intercept.astype(logits.dtype)
    network = replace(
        network,
        grown=network.grown.extended(new),
        intercept=network.intercept + intercept,
    )
    return network, logits + intercept + _added(new, values)


def _refit(network, logits, selection, plan):
    """All masks and the intercept together, a few steps from where they stand.

    Still convex, and still two numbers a branch; only masks and intercept change.
    """
    grown = network.grown
    values = threshold_values(grown.bank, grown.uses, selection.features)
    values = grown.normalised(values)
    offset = logits - _added(grown, values) - network.intercept
    start = Masks(grown.scale, grown.bias, network.intercept)
    masks = _fit(values, grown, offset, selection, start, REFIT_STEPS)
    grown, values = _with_masks(grown, masks, values)
    intercept = masks.intercept.astype(logits.dtype)
    network = replace(network, grown=grown, intercept=intercept)
    return network, offset + intercept + _added(grown, values)


def _fit(values, branches, offset, selection, start, max_iter):
    pool = selection.pool
    return fit_masks(
        values[:, pool], branches.uses.target,
        offset[pool], selection.y[pool], selection.sample_weight[pool],
        start=start, max_iter=max_iter,
    )  # fmt: skip


def _with_masks(branches, masks, values):
    """Branches with their masks; those whose two numbers are 0 are dropped."""
    dtype = branches.bank.dtype
    scale, bias = masks.scale.astype(dtype), masks.bias.astype(dtype)
    alive = (scale > 0) | (bias > 0)
    return replace(branches, scale=scale, bias=bias).take(alive), values[alive]


def _added(branches, values):
    """Logits `(n_rows, n_classes)` that masked values `(n_branches, n_rows)` add."""
    votes = branches.scale[:, None] * values + branches.bias[:, None] * (values > 0)
    to_class = np.eye(branches.bank.n_outputs, dtype=values.dtype)[branches.uses.target]
    return votes.T @ to_class


def _scores(logits, selection):
    """Loss and accuracy on the pool and on the held-out rows."""
    scores = {}
    for prefix, rows in (("", selection.pool), ("held_out_", selection.held_out)):
        if len(rows):
            scores[prefix + "loss"], scores[prefix + "accuracy"] = loss_and_accuracy(
                logits[rows], selection.y[rows], selection.sample_weight[rows]
            )
    return scores
