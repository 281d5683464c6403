"""Steps of an election: beginning, electing, counting, admitting classes.

`params` is the estimator, of which steps read parameters and report to callbacks.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.utils import check_random_state

from skgrow.estimators.readout_steps import add_rows, fitted_votes, read_out
from skgrow.estimators.reuse_steps import (
    StoppingRule,
    Votes,
    grow,
    too_small,
    warn_stopped,
)
from skgrow.estimators.state import FittedState
from skgrow.growth.transfer.source_banks import source_bank
from skgrow.growth.transfer.temperature import fit_temperature
from skgrow.inputs.checks import check_device
from skgrow.inputs.encoder import InputEncoder
from skgrow.inputs.regions import transfer_regions
from skgrow.networks.readout import Readout
from skgrow.networks.votes import Electorate, Tally
from skgrow.training.targets import ClassTarget

__all__ = ["admit", "begin", "count", "elect", "first_election", "stopping_rule"]


def stopping_rule(params):
    """How much of the rows an election holds out, and when it stops."""
    return StoppingRule(params.validation_fraction, params.n_rounds_no_change)


def begin(params, table, target, rows):
    """A state in which no branch votes yet, its inputs scaled for the new task."""
    check_device(params.device)
    bank = source_bank(params.source, params.use_grown, rows.X.dtype)
    if len(rows) < target.n_outputs:
        raise ValueError(
            f"X has {len(rows)} rows (n_samples={len(rows)}) for {target.n_outputs} "
            "classes; give at least one row of each class."
        )
    target.check_varied(rows.y)
    random_state = check_random_state(params.random_state)
    seed = random_state.randint(2**31 - 1)
    region_size = bank.regions.shape[1]
    regions = transfer_regions(params.regions, region_size, rows.X.shape[1], random_state)
    inputs = InputEncoder.fit(table, rows, regions.shared_scale)
    shares = np.bincount(rows.y, weights=rows.weight, minlength=target.n_outputs)
    if fitted_votes(params):
        network = Readout.empty(bank, shares)
    else:
        network = Electorate.empty(bank, shares, params.standardise)
    named = np.arange(bank.n_outputs)
    return FittedState(inputs, target, seed, network, regions, source_classes=named)


def first_election(params, state, rows):
    """The state after `n_branches` were elected, where rows are enough to test any."""
    if not params.n_branches:
        return state
    if isinstance(state.network, Readout):
        return read_out(params, state, rows, params.n_branches)
    problem = too_small(params, state.target, rows.y, stopping_rule(params))
    if problem is None:
        return elect(params, state, rows, params.n_branches, ())
    warn_stopped(0, params.n_branches, problem)
    return state


def elect(params, state, rows, n_branches, added, checkpoint=None):
    """Add branches; then count all votes on all rows and fit the temperature.

    Parameters
    ----------
    params : estimator
        It holds `state`.
    state : FittedState
    rows : LabelledRows
    n_branches : int
        To add at most.
    added : sequence of int
        Classes that are new, which alone get votes then.
    checkpoint : str or path-like, default=None

    Returns
    -------
    state : FittedState
    """
    before, targets = state.network, None
    if len(added):  # new classes have no share yet
        targets = np.asarray(added)
        state = replace(state, network=before.with_rows(rows.y, rows.weight))
        params._state = state
    state, held_out = grow(
        params, state, rows, n_branches, Votes(targets), stopping_rule(params), checkpoint
    )
    network = state.network
    sums = network.class_sums(rows.X, state.inputs.scaler, params.device)
    tally = Tally.of(sums, rows.y, rows.weight)
    if targets is not None:  # all other votes count as they did
        network = replace(network, tally=before.tally.replaced(tally, targets))
        return replace(state, network=network)
    network = replace(network, tally=tally)
    if len(network.grown):
        judges = rows.take(held_out)
        network = fit_temperature(network, sums[held_out], judges.y, judges.weight)
    return replace(state, network=network)


def count(params, state, rows):
    """Add rows to the statistics of the votes."""
    network = state.network
    if isinstance(network, Readout):
        return add_rows(params, state, rows)
    sums = network.class_sums(rows.X, state.inputs.scaler, params.device)
    tally = network.tally + Tally.of(sums, rows.y, rows.weight)
    return replace(state, network=replace(network, tally=tally))


def admit(state, y, new_classes):
    """The state with the classes of `y` that are new, which are added when allowed.

    Returns
    -------
    state : FittedState
    added : sequence of int
        Numbers of the new classes.
    """
    known = state.target.labels
    if new_classes == "error" or y.dtype.kind != known.dtype.kind:
        return state, ()
    labels = np.union1d(known, y)
    place = np.searchsorted(labels, known)
    added = np.setdiff1d(np.arange(len(labels)), place)
    if not len(added):
        return state, added
    network = state.network.with_classes(len(labels), place)
    return replace(state, target=ClassTarget(labels), network=network), added
