"""Whether a model that was read is one: its parts fit together, and it predicts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from sklearn.base import is_regressor

from skgrow.exceptions import ModelFileError
from skgrow.growth.reuse.mask_state import Masking
from skgrow.growth.transfer.vote_state import Counting
from skgrow.inputs.scaling import PixelScaler
from skgrow.networks.forward import BRANCHES_PER_CHUNK
from skgrow.networks.perceptron import Perceptron
from skgrow.networks.readout import Readout
from skgrow.networks.votes import Electorate

__all__ = ["check_model", "check_progress"]

ROW_BYTES = 32  # of each column of the row that is tried: read, scaled, turned


def check_model(model, budget):
    """Check a fitted model whose parts are each as declared.

    Parameters
    ----------
    model : estimator
    budget : Budget
        Gives the memory for a row to try.

    Raises
    ------
    ModelFileError
        If a part is missing, or parts do not fit together.
    """
    state, n_outputs = model._state, model._state.target.n_outputs
    _check_columns(model)
    _check_outputs(model)
    misfits = state.network.misfits(model.n_features_in_, n_outputs)
    if misfits:
        raise ModelFileError(
            f"the {' and '.join(misfits)} of the network do not fit to "
            f"{model.n_features_in_} columns and {n_outputs} outputs."
        )
    if not isinstance(state.network, Perceptron):
        _check_growth(model)
    try:
        torch.device(model.device)
    except (RuntimeError, TypeError) as error:
        raise ModelFileError(f"device={model.device!r} is no device.") from error
    _try(model, budget)


def _check_columns(model):
    n_columns, inputs = model.n_features_in_, model._state.inputs
    if not inputs.scaler.fits(n_columns):
        raise ModelFileError(f"the scaler is not one of {n_columns} columns.")
    table = inputs.table
    if table is not None and not table.fits(n_columns):
        raise ModelFileError("the columns and their categories do not fit together.")
    n_codes = 0 if table is None else table.n_codes
    scaled = 0 if isinstance(inputs.scaler, PixelScaler) else inputs.scaler.n_codes
    if np.any(scaled != n_codes):
        raise ModelFileError("the scaler has not the categories of the table.")
    names = vars(model).get("feature_names_in_")
    if names is not None and not (
        len(names) == n_columns and all(type(name) is str for name in names)
    ):
        raise ModelFileError(f"the names of the columns are not {n_columns} strings.")


def _check_outputs(model):
    target = model._state.target
    if is_regressor(model):
        if target.scale < 0:
            raise ModelFileError(f"{target.scale} is no deviation of a target.")
        return
    classes = target.labels
    if len(classes) < 2 or not (classes[:-1] < classes[1:]).all():
        raise ModelFileError("the classes are not two or more, each once, ascending.")


def _check_growth(model):
    """What `grow` reads: regions, clusters, replicas and the classes of a source."""
    state = model._state
    bank, n_replicas = state.network.grown.bank, state.n_replicas
    if n_replicas > max(bank.n_branches, 1):
        raise ModelFileError(f"{bank.n_branches} branches are no {n_replicas} replicas.")
    if not state.regions.fits(model.n_features_in_, bank.regions.shape[1]):
        raise ModelFileError("the regions do not fit the columns and branches.")
    if state.clusters is not None and not state.clusters.fits(
        bank.n_branches // n_replicas, bank.n_outputs, bank.regions.shape[1]
    ):
        raise ModelFileError("the clusters do not fit the branches.")
    named = state.source_classes
    if named is not None and len(named) != bank.n_outputs:
        raise ModelFileError("the classes of the source do not fit its branches.")


def check_progress(progress, model, n_rows):
    """Check where a stored growth stands.

    Parameters
    ----------
    progress : Progress
        Each part as declared.
    model : estimator
        It grows, and has been checked.
    n_rows : int
        Rows that it grows on.

    Raises
    ------
    ModelFileError
        If the progress is not one of such a model on so many rows.
    """
    state, standing = model._state, progress.standing
    is_vote = isinstance(state.network, Electorate)
    n_columns, n_outputs = model.n_features_in_, state.target.n_outputs
    if not isinstance(standing, Counting if is_vote else Masking):
        raise ModelFileError(f"a {type(model).__name__} does not grow so.")
    for network in (standing.network, progress.best):
        if (
            type(network) is not type(state.network)
            or network.misfits(n_columns, n_outputs)
            or network.grown.bank.dtype != state.inputs.dtype
        ):
            raise ModelFileError("the networks of the growth are not those of the model.")
    tables = (standing.counts, standing.sums) if is_vote else (standing.logits,)
    if any(table.shape != (n_rows, n_outputs) for table in tables):
        raise ModelFileError(f"the growth is not one on {n_rows} rows.")
    if not is_vote:
        return
    nominees = standing.nominees
    if not (
        (standing.targets < n_outputs).all()
        and nominees.votes.shape[1] == n_rows
        and (nominees.search < len(nominees.unseen)).all()
        and len(nominees.branches) == len(nominees.votes)
        and nominees.branches.fits(n_columns, n_outputs)
    ):
        raise ModelFileError("the nominees do not fit together.")


def _try(model, budget):
    """Predict one row: what the checks above have missed fails here, not later."""
    n_columns = model.n_features_in_
    budget.take(ROW_BYTES * n_columns)
    state, n_outputs = model._state, model._state.target.n_outputs
    scaler, table, dtype = state.inputs.scaler, state.inputs.table, state.inputs.dtype
    middle = scaler.middle if isinstance(scaler, PixelScaler) else 0.0
    with np.errstate(all="ignore"):
        row = np.full((1, n_columns), middle, dtype=dtype)
        if table is not None:
            row = _transformed(table).astype(dtype)
        network = _affordable(state.network, n_outputs, budget)
        scores = network.logits(row, scaler)
    if scores.shape != (1, n_outputs) or not np.isfinite(scores).all():
        raise ModelFileError("it does not predict a finite number for each output.")


def _affordable(network, n_outputs, budget):
    """A network with as many of its grown branches as there is memory for.

    Each use of a branch has weights of its own while it runs, which the file need not
    hold: a large branch, used many times, takes far more memory than its file.
    """
    if isinstance(network, Perceptron):
        return network
    bank = network.grown.bank
    n_numbers = sum(part[:1].size for part in (*bank.weights, *bank.biases))
    use_bytes = 4 * bank.dtype.itemsize * (n_numbers + 2 * n_outputs)
    n_uses = min(max(budget.left // use_bytes, 1), BRANCHES_PER_CHUNK)
    if isinstance(network, Readout):
        return network.take(slice(n_uses))
    return replace(network, grown=network.grown.take(slice(n_uses)))


def _transformed(table):
    """A row of the first category of each column, as the model reads it."""
    known = table.categories
    values = [0.0 if some is None else next(iter(some), None) for some in known]
    try:
        import pandas as pd
    except ImportError:  # nobody can pass it a frame of pandas then
        return np.zeros((1, len(values)))
    row = np.empty((1, len(values)), dtype=object)
    for j, value in enumerate(values):
        row[0, j] = value
    return table.transform(pd.DataFrame(row, columns=list(table.names)))
