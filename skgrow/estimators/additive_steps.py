"""Steps of `fit` of an additive network: from labelled rows to a fitted state.

`params` is the estimator, of which steps read parameters and report to callbacks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from skgrow.estimators.state import FittedState
from skgrow.inputs.checks import check_device, check_hidden_layers
from skgrow.inputs.encoder import InputEncoder
from skgrow.inputs.regions import Regions, resolve_regions
from skgrow.inputs.splits import folds_of, stratified_split
from skgrow.networks.bank import BranchBank
from skgrow.networks.curves import Curves
from skgrow.networks.grown import GrownBranches, Network
from skgrow.networks.surfaces import Surfaces
from skgrow.runtime.progress import fit_task
from skgrow.runtime.user_warnings import warn_user
from skgrow.training.bank_shrinkage import shrunk
from skgrow.training.bank_training import TrainingData, TrainingPlan, train_bank
from skgrow.training.curve_fitting import fit_curves
from skgrow.training.early_stopping import MANY_ROWS, holds_out
from skgrow.training.pair_screen import residual_interactions
from skgrow.training.replicas import replica_inputs, replica_shares
from skgrow.training.surface_fitting import fit_surfaces

__all__ = ["chooses_regions", "start", "train", "wants_curves"]

# Hidden layers by default: those of the paper for patches of an image; for one or two
# columns of a table fewer and wider layers were better and faster.
NARROW, SHALLOW, FEW_COLUMNS = (9, 9, 9, 9), (16, 16), 2
PAIRS_PER_COLUMN, MAX_PAIRS = 2, 64  # that "auto" trains a branch for
LEAST_FOLDS = 4  # of which each has categories in an order learned from the others
MAX_GROWN_PAIRS = 500  # and those that growth looks at, in both orders


def chooses_regions(params):
    """Whether the pairs that branches read are found by a screen."""
    return isinstance(params.regions, str) and params.regions == "auto"


def wants_curves(params):
    """Whether curves of the columns come before the branches."""
    return chooses_regions(params) if isinstance(params.curves, str) else params.curves


def _wants_surfaces(params, n_columns):
    auto = isinstance(params.surfaces, str)
    return n_columns > 1 and (chooses_regions(params) if auto else params.surfaces)


def start(params, table, target, rows, deadline=None):
    """A state of untrained branches, beside fitted curves and surfaces.

    Parameters
    ----------
    params : estimator
    table : Table or None
    target : ClassTarget or NumberTarget
    rows : LabelledRows
    deadline : Deadline, default=None
        Without one there are neither curves nor surfaces.

    Returns
    -------
    state : FittedState
    rows : LabelledRows
        With scaled inputs, where a screen of pairs has needed them.
    """
    check_device(params.device)
    random_state = check_random_state(params.random_state)
    seed = random_state.randint(2**31 - 1)
    regions = resolve_regions(
        params.regions, params.grow_regions, rows.X.shape[1], random_state
    )
    inputs = InputEncoder.fit(table, rows, regions.shared_scale)
    shapes = _Shapes(target.first_intercept(rows.y, rows.weight).astype(rows.X.dtype))
    n_replicas = 1
    if deadline is not None and wants_curves(params):
        n_replicas = _affordable_replicas(params, len(rows))
        shapes = _fit_shapes(params, inputs, target, rows, seed, deadline)
        if _screens_pairs(params, rows):
            rows, logits = inputs.scaled(rows), shapes.logits(rows.X)
            scaled = _cross_fitted(params, inputs, rows, seed)
            left = target.loss.residual(logits, rows.y, rows.weight / rows.weight.mean())
            regions = _interaction_regions(params, regions, scaled, left)
    sizes = _hidden_layers(params, regions.base.shape[1])
    columns = np.tile(regions.base, (n_replicas, 1))
    bank = BranchBank.random(
        columns, sizes, target.n_outputs, random_state, rows.X.dtype, regions.base_window
    )
    grown, parts = GrownBranches.empty(bank), (shapes.curves, shapes.surfaces)
    network = Network(bank, grown, shapes.intercept, *parts)
    return FittedState(inputs, target, seed, network, regions, n_replicas), rows


@dataclass(frozen=True)
class _Shapes:
    """What is fitted before the branches."""

    intercept: np.ndarray
    curves: Curves | None = None
    surfaces: Surfaces | None = None

    def logits(self, X):
        found = self.curves.logits(X) + self.intercept
        return found if self.surfaces is None else found + self.surfaces.logits(X)


def _hidden_layers(params, region_size):
    sizes = params.hidden_layer_sizes
    if isinstance(sizes, str):
        sizes = NARROW if region_size > FEW_COLUMNS else SHALLOW
    return check_hidden_layers(sizes)


def _affordable_replicas(params, n_rows):
    """On few rows, none can be left out."""
    return params.n_replicas if n_rows > params.batch_size else 1


def _fit_shapes(params, inputs, target, rows, seed, deadline):
    """Curves of columns, surfaces of pairs or None, and the intercept."""
    n_columns = rows.X.shape[1]
    categorical = inputs.is_categorical(n_columns)
    curves, intercept, left_out = fit_curves(
        rows.X, rows.y, rows.weight, categorical, target.loss,
        n_classes=target.n_outputs,
        n_replicas=_affordable_replicas(params, len(rows)),
        seed=seed, n_jobs=params.n_jobs,
    )  # fmt: skip
    alone = _Shapes(intercept, curves)
    if not _wants_surfaces(params, n_columns) or left_out is None:
        return alone
    if deadline.leaves_out("surfaces of pairs"):
        return alone
    surfaces, level = fit_surfaces(
        rows.X, inputs.scaler, rows.y, rows.weight, categorical, target.loss, left_out,
        n_jobs=params.n_jobs,
    )  # fmt: skip
    return _Shapes(intercept + level, curves, surfaces)


def _screens_pairs(params, rows):
    """On few rows the screen would be noise."""
    n_columns = rows.X.shape[1]
    return chooses_regions(params) and n_columns > 1 and len(rows) > params.batch_size


def _interaction_regions(params, regions, scaled, left):
    """Regions of the pairs of columns with the strongest residual interactions."""
    pairs = residual_interactions(scaled, left, MAX_GROWN_PAIRS)
    if not len(pairs):
        return regions
    growth = regions.growth
    if params.grow_regions is None:
        growth = np.concatenate([pairs, pairs[:, ::-1]])
    n_base = min(PAIRS_PER_COLUMN * scaled.shape[1], MAX_PAIRS)
    return Regions(pairs[:n_base], growth, shared_scale=False)


def _cross_fitted(params, inputs, rows, seed):
    """Scaled rows of a first fit, see `QuantileScaler.cross_fitted`."""
    n_folds = max(_affordable_replicas(params, len(rows)), LEAST_FOLDS)
    fold = folds_of(len(rows), n_folds, seed)
    return inputs.scaler.cross_fitted(rows, fold)


def train(params, state, rows, deadline, n_passes=None, fresh=True):
    """Train the base branches of a state.

    Parameters
    ----------
    params : estimator
    state : FittedState
    rows : LabelledRows
    deadline : Deadline
    n_passes : int, default=None
        So many passes at a steady rate and to the end; None for one cycle of
        `max_iter`, with early stopping.
    fresh : bool, default=True
        Whether the encoder has learned from these rows.

    Returns
    -------
    state : FittedState
    """
    rows = state.inputs.scaled(rows)
    regions, data, validation = _training_rows(params, state, rows, n_passes, fresh)
    rows = replace(rows, scaled=None)  # what training does not need is free
    plan = _plan(params, state.target.loss, n_passes)
    network, history = state.network, state.history
    with fit_task(params, "training", plan.max_iter) as step:
        bank, record = train_bank(
            replace(network.bank, regions=regions),
            data,
            plan,
            validation=validation,
            seed=state.seed + history.n_iter,
            device=params.device,
            report=lambda *news: _report(params, plan, step, deadline, *news),
        )
    if record.problem is not None:
        _warn_diverged(params, record.problem)
    if data.share is not None:  # then it holds all rows
        beside = replace(data, offset=_offset(params, state, network, rows.X))
        bank = shrunk(bank, beside, state.target.loss, params.device)
    bank = replace(bank, regions=network.bank.regions)
    grown, clusters = network.grown, state.clusters
    if not len(grown):  # growth will use the branches as they are now
        grown, clusters = GrownBranches.empty(bank), None
    network = replace(network, bank=bank, grown=grown)
    history = history.trained(record.loss_curve, record.validation_curve)
    return replace(state, network=network, clusters=clusters, history=history)


def _plan(params, loss, n_passes):
    return TrainingPlan(
        max_iter=n_passes or params.max_iter,
        batch_size=params.batch_size,
        learning_rate=params.learning_rate_init,
        alpha=params.alpha,
        one_cycle=n_passes is None,
        tol=params.tol,
        n_iter_no_change=params.n_iter_no_change,
        loss=loss,
    )


def _training_rows(params, state, rows, n_passes, fresh):
    """Regions of the branches in the training data, and rows to stop by or None.

    Where every row is left out by a replica, none has to be held out of all.
    """
    network, share, scaler = state.network, None, state.inputs.scaler
    regions = network.bank.regions
    if n_passes is None and state.n_replicas > 1:
        share = replica_shares(len(rows), state.n_replicas, state.seed)
        scaled, regions = replica_inputs(scaler, rows, share, regions)
        # Beside surfaces, branches would learn no shapes that growth could use
        # again; their shrinkage there is fitted once they are trained.
        network = replace(network, surfaces=None)
    elif fresh:
        scaled = _cross_fitted(params, state.inputs, rows, state.seed)
    else:
        scaled = rows.scaled
    offset = _offset(params, state, network, rows.X)
    everything = TrainingData(scaled, rows.y, rows.weight, offset, share)
    many = MANY_ROWS if network.curves is None else params.batch_size
    stops = n_passes is None and holds_out(params.early_stopping, len(rows), many)
    if not stops:
        return regions, everything, None
    if share is not None:
        return regions, everything, everything
    parts = stratified_split(rows.y, params.validation_fraction, state.seed)
    return regions, *(everything.take(part) for part in parts)


def _offset(params, state, network, X):
    """Logits of all that is not trained with the bank, or one row of them."""
    if len(network.grown) or network.curves is not None:
        return network.logits(X, state.inputs.scaler, params.device, with_bank=False)
    return network.intercept[None]


def _report(params, plan, step, deadline, n_done, loss, validation_loss):
    if params.verbose and n_done % max(1, plan.max_iter // 10) == 0:
        held_out = "" if validation_loss is None else f", held out {validation_loss:.4f}"
        print(f"[skgrow] pass {n_done}/{plan.max_iter}: loss {loss:.4f}{held_out}")
    left = plan.max_iter - n_done
    late = left and deadline.leaves_out(f"{left} of {plan.max_iter} passes")
    return step() or late


def _warn_diverged(params, problem):
    warn_user(
        f"{problem}; those that were better were scaled down and kept. Lower "
        f"learning_rate_init={params.learning_rate_init!r} or give fewer regions.",
        ConvergenceWarning,
    )
