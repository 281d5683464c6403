"""Steps of `fit` of a dense network that grows while it trains.

`params` is the estimator, of which steps read parameters and report to callbacks.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from time import monotonic

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from skgrow.estimators.state import FittedState
from skgrow.exceptions import GrowthStoppedWarning
from skgrow.growth.inside.growth_step import GrowthStep
from skgrow.inputs.checks import check_hidden_layers
from skgrow.inputs.encoder import InputEncoder
from skgrow.inputs.splits import CROSS_FIT_FOLDS, folds_of, stratified_split
from skgrow.networks.perceptron import Perceptron, in_deviations
from skgrow.runtime.progress import Deadline, fit_task, warn_late
from skgrow.runtime.user_warnings import warn_user
from skgrow.training.dense_training import Rows, mean_loss, train_pass
from skgrow.training.early_stopping import MANY_STEADY_ROWS, LossWatch, holds_out

__all__ = ["one_pass", "start", "take_growth", "tensor_rows", "train", "training_rows"]

FAR_ABOVE = 10.0  # losses of scores of 0: no single pass of a sound learning rate is


def start(params, table, target, rows):
    """A state of an untrained network.

    Parameters
    ----------
    params : estimator
    table : Table or None
    target : ClassTarget or NumberTarget
    rows : LabelledRows

    Returns
    -------
    state : FittedState
    rows : LabelledRows
        With scaled inputs, categories by orders that each fold had no part in.
    """
    sizes = check_hidden_layers(params.hidden_layer_sizes)
    random_state = check_random_state(params.random_state)
    seed = random_state.randint(2**31 - 1)
    inputs = InputEncoder.fit(table, rows)
    sizes = (rows.X.shape[1], *sizes, target.n_outputs)
    drawn = Perceptron.random(sizes, random_state, rows.X.dtype)
    network = GrowthStep.of(params).begin(drawn, random_state)
    fold = folds_of(len(rows), CROSS_FIT_FOLDS, seed)
    scaled = inputs.scaler.cross_fitted(inputs.scaled(rows), fold)
    return FittedState(inputs, target, seed, network), replace(rows, scaled=scaled)


def tensor_rows(params, rows):
    """Labelled rows, with scaled inputs, as training and policies read them."""
    y = rows.y if rows.y.dtype.kind == "i" else rows.y[:, None]  # (rows, outputs)
    return Rows.of(in_deviations(rows.scaled), y, rows.weight, params.device)


def training_rows(params, state, rows):
    """Rows to train on, and rows to stop by or None."""
    if not holds_out(params.early_stopping, len(rows), MANY_STEADY_ROWS):
        return tensor_rows(params, rows), None
    parts = stratified_split(rows.y, params.validation_fraction, state.seed)
    return tuple(tensor_rows(params, rows.take(part)) for part in parts)


@dataclass
class _Course:
    """Where one call of `fit` is: its state, growths, and the best network so far."""

    state: FittedState
    deadline: Deadline
    watch: LossWatch
    best: Perceptron  # at first, the network before all passes
    losses: list = field(default_factory=list)
    events: list = field(default_factory=list)

    def note(self, loss, net):
        """After one more pass, by the loss that early stopping looks at."""
        self.losses.append(loss)
        if self.watch.falls(loss):
            self.best = net


def train(params, state, rows, held_out):
    """Train a network, and grow it by the policies of the parameters.

    Parameters
    ----------
    params : estimator
    state : FittedState
    rows, held_out : Rows
        `held_out` is None where training stops by the training loss.

    Returns
    -------
    state : FittedState
    """
    watch = LossWatch(params.tol, params.n_iter_no_change)
    course = _Course(state, Deadline(params.max_time), watch, state.network)
    try:
        _passes(params, course, rows, held_out)
        course.best = _converged(params, state, course.best, watch.best_loss, rows)
        _shrink(params, course, rows, held_out)
    except KeyboardInterrupt:
        if not course.losses:
            raise
        warn_user(
            f"training was interrupted after {len(course.losses)} passes; the best "
            "network so far was kept.",
            GrowthStoppedWarning,
        )
    if course.deadline.missed:
        warn_late(course.deadline)
    return replace(course.state, network=course.best)


def one_pass(params, state, rows):
    """The state after one pass, without growth."""
    with fit_task(params, "training", 1) as step:
        net, loss, n_multiply_adds = _pass(params, state, state.network, rows)
        step()
    network = _converged(params, state, net, loss, rows, FAR_ABOVE)
    history = state.history.trained([loss], n_multiply_adds=n_multiply_adds)
    return replace(state, network=network, history=history)


def take_growth(params, state, rows, n_new):
    """The state after one growth, by `how` and `where` of the parameters."""
    seed = state.seed + state.history.n_iter
    network, record = GrowthStep.of(params).take(state.network, rows, n_new, seed)
    return _with_record(replace(state, network=network), record)


def _with_record(state, record):
    history = state.history
    cost = history.n_training_multiply_adds + record["n_multiply_adds"]
    history = replace(history, n_training_multiply_adds=cost)
    history = history.grown({"epoch": history.n_iter, **record})
    return replace(state, history=history)


def _pass(params, state, net, rows):
    """The network after a pass, its loss, and the multiply-adds of that."""
    generator = torch.Generator().manual_seed(state.seed + state.history.n_iter)
    cost = 3 * net.n_multiply_adds * len(rows)
    net, loss = train_pass(
        net, rows, generator, batch_size=params.batch_size,
        learning_rate=params.learning_rate_init, alpha=params.alpha,
    )  # fmt: skip
    return net, loss, cost


def _passes(params, course, rows, held_out):
    """Passes over the rows, and growth between them."""
    when, net = GrowthStep.of(params).when, course.best
    with fit_task(params, "training", params.max_iter) as step:
        for n_done in range(1, params.max_iter + 1):
            net, loss, judged = _judged_pass(params, course, net, rows, held_out)
            course.note(judged, net)
            _report(params, n_done, loss, net)
            if step() or course.watch.is_over or n_done == params.max_iter:
                break
            left = f"{params.max_iter - n_done} of {params.max_iter} passes"
            if course.deadline.leaves_out(left):
                break
            if when.due(course.losses, course.events):
                net = _grown(params, course, net, rows)


def _judged_pass(params, course, net, rows, held_out):
    """The network after a pass that is noted, its loss, and that to stop by."""
    net, loss, cost = _pass(params, course.state, net, rows)
    judged = [] if held_out is None else [mean_loss(net, held_out)]
    history = course.state.history.trained([loss], judged, cost)
    course.state = replace(course.state, history=history)
    return net, loss, judged[0] if judged else loss


def _grown(params, course, net, rows):
    """The network, grown if the budgets allow it."""
    n_new, most = GrowthStep.of(params).size(net), params.max_parameters
    if not n_new:
        return net
    grown = take_growth(params, replace(course.state, network=net), rows, n_new)
    if most is not None and grown.network.n_parameters > most:
        return net
    course.events.append(len(course.losses))
    course.state = grown
    return grown.network


def _converged(params, state, net, loss, rows, factor=1.0):
    """A trained network, or that of before where training has diverged.

    It has where the loss of the rows is more than it was, and more than `factor`
    times that of scores that are all 0. `loss` is what the passes have shown.
    """
    zeros = rows.X.new_zeros(len(rows), state.target.n_outputs)
    flat = factor * float(rows.loss(zeros))
    if loss <= flat:
        return net
    after, before = (mean_loss(one, rows) for one in (net, state.network))
    if after <= max(before, flat) + params.tol:
        return net
    warn_user(
        f"training diverged: the loss of the rows rose from {before:.3g} to "
        f"{after:.3g}; the network of before was kept. Lower learning_rate_init="
        f"{params.learning_rate_init!r}.",
        ConvergenceWarning,
    )
    return state.network


def _shrink(params, course, rows, held_out):
    """Smaller networks, if `how` makes any, for as long as the loss stays."""
    step, watched = GrowthStep.of(params), rows if held_out is None else held_out
    if not step.shrinks:
        return
    state = course.state
    most = mean_loss(course.best, watched) + step.how.tol
    while (smaller := step.smaller(course.best)) is not None:
        start = monotonic()
        if course.deadline.leaves_out("smaller networks"):
            break
        for _ in range(step.how.n_retrain):
            smaller, *_ = _judged_pass(params, course, smaller, rows, held_out)
        loss = mean_loss(smaller, watched)
        if loss > most:
            break
        most = min(most, loss + step.how.tol)
        seconds, seed = monotonic() - start, state.seed + course.state.history.n_iter
        record = step.record_smaller(course.best, smaller, rows, seed, seconds)
        course.state, course.best = _with_record(course.state, record), smaller


def _report(params, n_done, loss, net):
    if params.verbose and n_done % max(1, params.max_iter // 10) == 0:
        print(
            f"[skgrow] pass {n_done}/{params.max_iter}: loss {loss:.4f}, "
            f"hidden layers {net.widths}"
        )
