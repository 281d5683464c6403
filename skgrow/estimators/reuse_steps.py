"""Steps of growth by using branches again, of the same task or another.

`params` is the estimator, of which steps read parameters and report to callbacks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from sklearn.utils import assert_all_finite

from skgrow.exceptions import GrowthStoppedWarning
from skgrow.files.checkpoint import Checkpoint, fitted_state
from skgrow.growth.reuse.clustering import find_clusters
from skgrow.growth.reuse.mask_state import Masking
from skgrow.growth.reuse.plan import GrowthPlan, SearchSpace, Stopping
from skgrow.growth.reuse.qualification import selection_too_small
from skgrow.growth.reuse.rounds import Progress, grow_rounds, n_search_rows
from skgrow.growth.reuse.selection_rows import SelectionSet
from skgrow.growth.transfer.vote_state import Counting
from skgrow.inputs.splits import CROSS_FIT_FOLDS, folds_of, stratified_split
from skgrow.networks.forward import features_major
from skgrow.runtime.progress import fit_task
from skgrow.runtime.user_warnings import warn_user

__all__ = [
    "MaskedUses",
    "StoppingRule",
    "Votes",
    "check_large_enough",
    "grow",
    "too_small",
    "warn_stopped",
    "with_unfinished",
]

# Growth keeps its rows in memory, and the values of its branches on them.
MAX_SELECTION_ROWS = 100_000
MAX_FEATURES_BYTES = 2**30


@dataclass(frozen=True)
class StoppingRule:
    """Rows held out of growth, and when their loss ends it.

    Attributes
    ----------
    fraction : float
        Of the rows that is held out.
    n_rounds : int
        Rounds without a fall of the held-out loss that end growth.
    n_errors : float, default=0.0
        Standard errors that a fall must be more than.
    least_rows, least_fraction : default=0
        More is held out, up to so many rows and this fraction, where that is more.
    """

    fraction: float
    n_rounds: int
    n_errors: float = 0.0
    least_rows: int = 0
    least_fraction: float = 0.0

    def share(self, n_rows):
        """Of so many rows."""
        least = min(self.least_fraction, self.least_rows / max(n_rows, 1))
        return max(self.fraction, least)


@dataclass(frozen=True)
class MaskedUses:
    """Branches join the network of their own task, with two trained numbers each."""

    refit: bool
    vote = False
    targets = None

    def begin(self, state, selection, X, device):
        """The state of growth before its first round."""
        logits = state.network.logits(X, state.inputs.scaler, device)
        return Masking(state.network, selection, logits, self.refit)


@dataclass(frozen=True)
class Votes:
    """Branches vote on another task, for some of its classes or (None) for all."""

    targets: np.ndarray | None = None
    vote = True

    def begin(self, state, selection, X, device):
        """The state of an election before its first round."""
        scaler = state.inputs.scaler
        return Counting.of(state.network, selection, self.targets, X, scaler, device)


def too_small(params, target, y, rule):
    """Why labelled rows are too few to test anything on, or None."""
    n_pool = len(y) - round(rule.share(len(y)) * len(y))
    n_verify = n_pool - n_search_rows(n_pool, params.search_rows)
    smallest = target.smallest_share(y)
    return selection_too_small(n_verify, smallest, 2 * params.n_verified, params.delta)


def check_large_enough(params, target, y, rule, name):
    """Raise ValueError if rows, which the user calls `name`, are too few to grow on."""
    problem = too_small(params, target, y, rule)
    if problem:
        raise ValueError(f"{name}: {problem}.")


def grow(params, state, rows, n_branches, joining, rule, checkpoint=None, spent=0.0):
    """Grow round by round; every finished round is kept whatever comes after.

    Parameters
    ----------
    params : estimator
        It holds `state`, and gets the state of each round, for callbacks and the
        checkpoint.
    state : FittedState
    rows : LabelledRows
    n_branches : int
        To add at most.
    joining : MaskedUses or Votes
    rule : StoppingRule
    checkpoint : str or path-like, default=None
    spent : float, default=0.0
        Seconds of `max_time` that were spent before.

    Returns
    -------
    state : FittedState
    held_out : ndarray of int64
        Indices of the rows that were held out.
    """
    chosen = _affordable(rows, state.seed)
    if len(chosen) < len(rows):  # of a memory map, no other row is touched
        rows = rows.take(chosen)
    _check_rows(params, state, rows.X)
    share = rule.share(len(rows))
    pool, held_out = stratified_split(rows.y, share, state.seed)
    file, progress, n_before = None, None, len(state.network.grown)
    if checkpoint is not None:
        arrays = (rows.X, rows.y, rows.weight)
        file = Checkpoint(
            checkpoint, params, arrays, n_branches, joining.targets, len(held_out)
        )
        state, progress = file.resume(params)
        n_before = file.n_before
    selection = _selection(params, state, rows, pool, held_out)
    if progress is None:
        progress = Progress.of(joining.begin(state, selection, rows.X, params.device))
    else:
        progress = progress.with_selection(selection)
    state = _with_clusters(params, state)
    rounds = grow_rounds(
        progress,
        selection,
        _plan(params, state, joining, rule, spent),
        wanted=n_before + n_branches,
        seed=state.seed,
        first_round=len(state.history.growth),
    )
    state, reason = _run(params, replace(state, unfinished=None), rounds, file)
    n_added = len(state.network.grown) - n_before
    if n_added < n_branches:
        reason = reason or "its checkpoint says that the held-out rows ended it"
        warn_stopped(n_added, n_branches, reason)
        if file is not None:
            state = replace(state, unfinished=(file.call, None))
    return state, chosen[held_out]


def with_unfinished(params):
    """The state of an estimator at the end of a call of `grow`.

    If the checkpoint of that call has more to do, it notes the state that it left.
    """
    state = params._state
    if state.unfinished is None:
        return state
    call, _ = state.unfinished
    return replace(state, unfinished=(call, fitted_state(params)))


def _check_rows(params, state, X):
    name = type(params).__name__
    assert_all_finite(X, allow_nan=True, estimator_name=name, input_name="X")
    state.inputs.check_gaps(X)


def _affordable(rows, seed):
    """Indices of the rows to grow on: a sample where not all fit into memory."""
    most = min(MAX_SELECTION_ROWS, MAX_FEATURES_BYTES // (rows.X[:1].nbytes + 1))
    if len(rows) <= most:
        return np.arange(len(rows))
    return stratified_split(rows.y, 1 - most / len(rows), seed)[0]


def _selection(params, state, rows, pool, held_out):
    # These may be the rows of `fit`, whose targets the order of categories has seen.
    fold = folds_of(len(rows), CROSS_FIT_FOLDS, state.seed)
    rows = state.inputs.scaled(rows)
    scaled = state.inputs.scaler.cross_fitted(rows, fold)
    features = features_major(scaled, params.device)
    weight = rows.weight / rows.weight.mean()
    return SelectionSet(features, rows.y, weight, pool, held_out, state.target.loss)


def _run(params, state, rounds, file):
    """Do the rounds; why they ended, if not because enough branches are there."""
    why = None
    try:
        with fit_task(params, "growth", None) as step:
            for progress, record, reason in rounds:
                why = reason
                history = state.history.grown(record)
                state = replace(state, network=progress.network, history=history)
                params._state = state
                if file is not None:
                    file.write(params, progress)
                _report(params, record)
                if step():
                    return state, "a callback asked to stop"
    except KeyboardInterrupt:
        return state, "it was interrupted"
    return state, why


def _n_sources(state):
    """Replicas of a branch do the same: those of the first one serve as sources."""
    return state.network.grown.bank.n_branches // state.n_replicas


def _with_clusters(params, state):
    if params.matching == "exhaustive" or state.clusters is not None:
        return state
    clusters = find_clusters(
        state.network.grown.bank.take(slice(_n_sources(state))),
        seed=state.seed,
        n_jobs=params.n_jobs,
        device=params.device,
    )
    return replace(state, clusters=clusters)


def _plan(params, state, joining, rule, spent):
    regions = state.regions
    space = SearchSpace(
        _n_sources(state), regions.growth, regions.signs, state.clusters,
        params.matching, regions.growth_window,
    )  # fmt: skip
    stopping = Stopping(rule.n_rounds, params.tol, rule.n_errors, params.max_time, spent)
    return GrowthPlan(
        space,
        stopping,
        round_size=params.round_size,
        delta=params.delta,
        search_regions=params.search_regions,
        search_rows=params.search_rows,
        n_verified=params.n_verified,
        n_jobs=params.n_jobs,
        vote=joining.vote,
        targets=joining.targets,
    )


def _report(params, record):
    if params.verbose:
        print(
            f"[skgrow] round {record['round'] + 1}: {record['n_branches']} branches, "
            f"{record['n_qualified']} of {record['n_tested']} qualified, loss "
            f"{record['loss']:.4f}, held out {record['held_out_loss']:.4f}, "
            f"{record['seconds']:.1f} s",
            flush=True,
        )


def warn_stopped(n_added, n_asked, reason):
    """Warn that growth has added fewer branches than were asked for."""
    warn_user(
        f"Growth added {n_added} of {n_asked} branches: {reason}.", GrowthStoppedWarning
    )
