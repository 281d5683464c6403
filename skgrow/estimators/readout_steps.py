"""Steps of fitted votes: drawing uses of branches, and fitting their weights.

`params` is the estimator, of which steps read parameters.
"""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

import numpy as np

from skgrow.estimators.reuse_steps import warn_stopped
from skgrow.growth.transfer.drawn_uses import count_uses, draw_uses
from skgrow.inputs.splits import CROSS_FIT_FOLDS, folds_of
from skgrow.networks.forward import features_major, row_chunks
from skgrow.networks.readout import Readout, UseRunner
from skgrow.networks.row_scores import ROWS_PER_CHUNK
from skgrow.networks.value_sums import ValueSums
from skgrow.runtime.progress import fit_task
from skgrow.training.losses import CROSS_ENTROPY
from skgrow.training.ridge_head import (
    MAX_LOG_TEMPERATURE,
    Spectrum,
    best_left_out,
    best_of_sums,
    temperature_of,
)

__all__ = ["add_rows", "check_checkpoint", "check_votes", "fitted_votes", "read_out"]

MAX_USES = 100_000
MAX_SUMS = 2**26  # numbers that the sums of a model hold: 512 MiB
MAX_VALUES = 2**23  # of uses on rows at a time
MAX_LEFT_OUT = 2**25  # coordinates of rows that are left out, one after the other


def fitted_votes(params):
    """Whether the weights of votes are fitted in `fit`.

    On validation rows fitted votes were better with 20, 50, 200 and 1,000 rows a class,
    so that "auto" has no number of rows yet from which on it elects.
    """
    return params.votes in ("fitted", "auto")


def check_votes(params, state):
    """Raise ValueError where `votes` was changed since `fit`."""
    fitted = isinstance(state.network, Readout)
    if params.votes != "auto" and (params.votes == "fitted") != fitted:
        was = "fitted" if fitted else "equal"
        raise ValueError(
            f"votes={params.votes!r}, but this model was fitted with {was} votes; call "
            f"fit again, or set votes={was!r}."
        )


def check_checkpoint(checkpoint, reads_out):
    """Raise ValueError for a checkpoint where there is one fit and no round."""
    if checkpoint is not None and reads_out:
        raise ValueError(
            f"checkpoint={str(checkpoint)!r} cannot be used with fitted votes, whose "
            "weights come from one fit, not from rounds; leave checkpoint out."
        )


def read_out(params, state, rows, n_uses):
    """Draw more uses, and fit the weights of all on these rows alone.

    Parameters
    ----------
    params : estimator
    state : FittedState
        Its network is a `Readout`.
    rows : LabelledRows
    n_uses : int
        To add at most.

    Returns
    -------
    state : FittedState
    """
    start = perf_counter()
    _check_every_class(state, rows)
    before = state.network.grown
    n_added, reason = _affordable(state, len(rows), n_uses)
    grown = before.extended(
        draw_uses(before.bank, state.regions, state.seed, len(before), n_added)
    )
    network = replace(state.network, grown=grown)
    with fit_task(params, "growth", 1) as step:
        inputs = _cross_fitted(state, rows)
        sums = _sums(params, state, grown, inputs)
        network, scores = _fit(params, state, network, sums, inputs)
        step()
    record = {
        "round": len(state.history.growth),
        "n_picked": n_added,
        "n_branches": len(grown),
        **scores,
        "seconds": perf_counter() - start,
    }
    _report(params, record)
    if reason:
        warn_stopped(n_added, n_uses, reason)
    return replace(state, network=network, history=state.history.grown(record))


def add_rows(params, state, rows):
    """Add rows to the sums, and fit the weights on all rows so far.

    The strength is that of lowest generalised cross-validation error, which needs the
    sums alone, and the temperature follows this error: for a score of two classes with
    normal errors it is one over their variance.
    """
    network = state.network
    if not len(network.grown):
        weight = np.bincount(rows.y, rows.weight, len(network.intercept))
        class_weight = network.sums.class_weight + weight
        sums = replace(network.sums, class_weight=class_weight)
        return replace(state, network=replace(network, sums=sums))
    _check_room(network, len(rows))
    sums = network.sums + _sums(params, state, network.grown, rows)
    spectrum = Spectrum.of(sums)
    strength = best_of_sums(spectrum)
    error = max(spectrum.generalised_error(strength), 1e-6)
    log_temperature = np.log(network.temperature * network.error / error)
    limit = MAX_LOG_TEMPERATURE
    network = _weighted(
        replace(network, sums=sums), spectrum, strength,
        float(np.exp(np.clip(log_temperature, -limit, limit))),
    )  # fmt: skip
    return replace(state, network=replace(network, error=error))


def _check_every_class(state, rows):
    """Weights are fitted on these rows alone: a class without rows would be lost."""
    known = state.network.sums.class_weight > 0
    lost = known & (np.bincount(rows.y, minlength=len(known)) == 0)
    if lost.any():
        labels = state.target.labels[lost].tolist()
        raise ValueError(
            f"X_sel holds no row of the classes {labels[:10]}; fitted votes take their "
            "weights from these rows alone, so give rows of every class."
        )


def _affordable(state, n_rows, n_asked):
    """How many uses may be added, and why no more."""
    bank, n_before = state.network.grown.bank, len(state.network.grown)
    n_all = count_uses(bank, state.regions)
    most = min(MAX_USES, max(MAX_SUMS // n_rows, int(MAX_SUMS**0.5)))
    if n_before > most:
        raise _no_room(n_before, n_rows, "grow on")
    n_left = min(n_all, most) - n_before
    if n_asked <= n_left:
        return n_asked, None
    if n_all <= most:
        return n_left, f"these are all {n_all:,} uses of the source on these regions"
    return n_left, f"memory is for {most:,} uses on {n_rows:,} rows"


def _check_room(network, n_more):
    n_rows, n_uses = len(network.sums.root) + n_more, len(network.grown)
    if min(n_rows, n_uses) * n_uses > MAX_SUMS and not network.sums.products.size:
        raise _no_room(n_uses, n_rows, "add")


def _no_room(n_uses, n_rows, verb):
    return ValueError(
        f"The sums of {n_uses:,} uses on {n_rows:,} rows do not fit into memory; fit "
        f"with n_branches={int(MAX_SUMS**0.5)} or fewer to {verb} so many rows."
    )


def _cross_fitted(state, rows):
    """Rows, scaled where they must have no part in the order of their categories."""
    if not state.inputs.is_categorical(rows.X.shape[1]).any():
        return rows
    rows = state.inputs.scaled(rows)
    fold = folds_of(len(rows), CROSS_FIT_FOLDS, state.seed)
    return replace(rows, scaled=state.inputs.scaler.cross_fitted(rows, fold))


def _copies(rows):
    """How many equal rows each stands for, `(n_rows,)`, 1 or more.

    A weight of 2 is two rows, of which one is left out at a time. Where several rows are
    all of a class and weigh the same, that is the weight of the class, which makes no
    copies; nor does another unit of all weights, since the lightest row is one at most.
    """
    own, weight = np.full(len(rows), max(1.0, rows.weight.min())), rows.weight
    for number in np.unique(rows.y):
        of_class = np.flatnonzero(rows.y == number)
        largest, least = weight[of_class].max(), weight[of_class].min()
        if len(of_class) > 1 and largest - least <= 1e-9 * largest:
            own[of_class] = largest
    return weight / np.minimum(weight, own)


def _value_chunks(params, state, grown, rows):
    """Slices of the rows, and the values `(n_chunk, n_uses)` of the uses on them."""
    runner = UseRunner(grown, params.device)
    n_rows = max(min(ROWS_PER_CHUNK, MAX_VALUES // max(len(grown), 1)), 1)
    for part in row_chunks(len(rows), n_rows):
        if rows.scaled is None:
            scaled = state.inputs.scaler.transform(rows.X[part])
        else:
            scaled = rows.scaled[part]
        yield part, runner.values(features_major(scaled, params.device))


def _sums(params, state, grown, rows):
    sums = ValueSums.none(state.target.n_outputs, len(grown))
    copies = _copies(rows)
    for part, values in _value_chunks(params, state, grown, rows):
        own = rows.y[part], rows.weight[part], copies[part]
        sums = sums + ValueSums.of(values, *own, n_classes=state.target.n_outputs)
    return sums


def _fit(params, state, network, sums, rows):
    """The network with weights of the best strength, and its scores."""
    if not len(network.grown):
        return replace(network, sums=sums), {}
    spectrum = Spectrum.of(sums)
    most = max(MAX_LEFT_OUT // max(len(spectrum.eigenvalues), 1), 1)
    one = rows.weight / _copies(rows)
    if len(rows) > most:
        some = np.random.RandomState(state.seed).permutation(len(rows))[:most]
        some.sort()
        rows, one = rows.take(some), one[some]
    found = [
        spectrum.projected(values)
        for _, values in _value_chunks(params, state, network.grown, rows)
    ]
    projected = np.concatenate(found)
    strength, left_out = best_left_out(spectrum, projected, rows.y, rows.weight, one)
    log_share = np.log(np.maximum(spectrum.share, np.finfo(np.float64).tiny))
    temperature = temperature_of(left_out, rows.y, rows.weight, log_share)
    network = _weighted(replace(network, sums=sums), spectrum, strength, temperature)
    error = max(spectrum.generalised_error(strength), 1e-6)
    network, scores = replace(network, error=error), {"strength": strength}
    both = {"": spectrum.scores(projected, strength), "held_out_": left_out}
    for prefix, found in both.items():
        part = network.logits_of_scores(found), rows.y
        losses = CROSS_ENTROPY.of_rows(*part)
        scores[prefix + "loss"] = float(np.average(losses, weights=rows.weight))
        scores[prefix + "accuracy"] = CROSS_ENTROPY.score(*part, rows.weight)
    return network, scores


def _weighted(network, spectrum, strength, temperature):
    """The network with the weights of a strength."""
    weights, intercept = spectrum.solution(strength)
    uses = replace(network.grown.uses, target=weights.argmax(axis=1))
    return replace(
        network,
        grown=replace(network.grown, uses=uses),
        weights=weights.astype(network.dtype),
        intercept=intercept.astype(network.dtype),
        temperature=temperature,
    )


def _report(params, record):
    if params.verbose:
        print(
            f"[skgrow] {record['n_branches']} branches, strength "
            f"{record['strength']:.3g}, loss {record['loss']:.4f}, left out "
            f"{record['held_out_loss']:.4f}, {record['seconds']:.1f} s",
            flush=True,
        )
