"""`fit`, `grow` and passes of dense networks: methods that estimators take."""

from __future__ import annotations

from dataclasses import replace

from sklearn.base import _fit_context
from sklearn.utils.validation import check_is_fitted

from skgrow.estimators.dense_steps import (
    one_pass,
    start,
    take_growth,
    tensor_rows,
    train,
    training_rows,
)
from skgrow.growth.inside.growth_step import GrowthStep
from skgrow.inputs.checks import check_device
from skgrow.inputs.labelled_rows import labelled_rows
from skgrow.inputs.reading import read, read_first
from skgrow.runtime.surroundings import changes

__all__ = ["first_pass", "fit", "grow", "next_pass"]


@_fit_context(prefer_skip_nested_validation=True)
@changes
def fit(self, X, y, sample_weight=None):
    """Train a small network that grows while it trains.

    With `warm_start=True` training goes on from the present network. Interrupting
    (Ctrl-C) keeps the best network of the passes that are done.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
        Inputs on any scale, NaN where a value is missing. Columns of a frame or of
        an array of objects may hold text, categories and booleans too.
    y : array-like of shape (n_samples,)
        Class labels of any kind, or finite numbers for a regressor.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, 0 or more.

    Returns
    -------
    self : estimator

    Raises
    ------
    ValueError
        If an input or a parameter cannot be used; a model fitted before is then
        left as it was.

    Warns
    -----
    GrowthStoppedWarning
        If training was interrupted, or `max_time` passed before its end.
    ConvergenceWarning
        If training diverged; the network of before is then kept.
    """
    _check_parameters(self)
    if self.warm_start and self._is_fitted:
        self._state, rows = _read_more(self, X, y, sample_weight)
        self._state.target.check_varied(rows.y)
    else:
        self._state, rows = _begin(self, X, y, sample_weight, self._learn_target)
    rows, held_out = training_rows(self, self._state, rows)  # their arrays are free now
    self._state = train(self, self._state, rows, held_out)
    return self


def first_pass(self, X, y, sample_weight, learn, classes=None):
    """The state of a new network after one pass, in which nothing grows.

    Parameters
    ----------
    self : estimator
    X, y, sample_weight
        As `partial_fit` takes them.
    learn : callable
        `learn(y, sample_weight)` gives the target.
    classes : ndarray, default=None
        All labels there will ever be.
    """
    _check_parameters(self)
    state, rows = _begin(self, X, y, sample_weight, learn, classes, is_whole=False)
    return one_pass(self, state, tensor_rows(self, rows))


def next_pass(self, X, y, sample_weight):
    """The state after one more pass over new rows, in which nothing grows."""
    _check_parameters(self)
    state, rows = _read_more(self, X, y, sample_weight)
    return one_pass(self, state, tensor_rows(self, rows))


def _check_parameters(self):
    """Raise before anything is read, where parameters do not fit together."""
    check_device(self.device)
    GrowthStep.of(self)


def _begin(self, X, y, sample_weight, learn, classes=None, is_whole=True):
    """A state of an untrained network, and the rows that it is trained on."""
    X, y, table = read_first(self, X, y, sample_weight, classes)
    target = learn(y, sample_weight)
    rows = labelled_rows(target, X, y, sample_weight, self._class_weight)
    target.check_varied(rows.y, is_whole)
    return start(self, table, target, rows)


def _read_more(self, X, y, sample_weight):
    """The state with what a target learns of new rows, and these rows."""
    state = self._state
    X, y = read(self, state.inputs, X, y)
    state = replace(state, target=state.target.updated(y, sample_weight))
    rows = labelled_rows(state.target, X, y, sample_weight, self._class_weight)
    return state, state.inputs.scaled(rows)


@changes
def grow(self, X_sel, y_sel, n_neurons=None, n_layers=None, sample_weight=None):
    """One growth by hand, with `how` and `where`; nothing is trained but new parts.

    Parameters
    ----------
    X_sel : array-like of shape (n_samples, n_features)
        Rows that the policies look at.
    y_sel : array-like of shape (n_samples,)
    n_neurons : int, default=None
        Units to add, where `how` grows in width.
    n_layers : int, default=None
        Layers to add, where `how` grows in depth.
    sample_weight : array-like of shape (n_samples,), default=None

    Returns
    -------
    self : estimator

    Raises
    ------
    ValueError
        If an input cannot be used, if `how` grows the other way, or if a budget is
        spent; the model is then left as it was.
    """
    check_is_fitted(self)
    self._validate_params()
    check_device(self.device)
    n_new = GrowthStep.of(self).asked(self._state.network, n_neurons, n_layers)
    state, rows = _read_more(self, X_sel, y_sel, sample_weight)
    if not n_new:
        return self
    state = take_growth(self, state, tensor_rows(self, rows), n_new)
    n_parameters, most = state.network.n_parameters, self.max_parameters
    if most is not None and n_parameters > most:
        raise ValueError(
            f"the network would have {n_parameters} parameters, more than "
            f"max_parameters={most}; raise it or add less."
        )
    self._state = state
    return self
