"""GrowingMLPClassifier and GrowingMLPRegressor: dense networks that grow in training."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    check_classification_targets,
)

from skgrow.estimators.mlp_parameters import ClassifierParameters, Parameters
from skgrow.estimators.predicting import FittedMixin, PredictingMixin
from skgrow.inputs.checks import check_labels, check_partial_class_weight, check_weights
from skgrow.inputs.target import scaled_target, target_scale
from skgrow.runtime.surroundings import changes, reads

__all__ = ["GrowingMLPClassifier", "GrowingMLPRegressor"]


class GrowingMLPClassifier(
    ClassifierParameters, PredictingMixin, ClassifierMixin, BaseEstimator
):
    """Dense network that starts small and grows while it trains.

    A growth has three parts, each a word or an object: how new units or layers start,
    where they go, and when. Weights that were there are kept, and so is what Adam knows
    of them.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(16,)
        Units of the hidden layers to start with.
    how : str or policy, default="gradmax"
        How new parts start. In width "random", "zero", "net2wider", "gradmax",
        "firefly", "swe" or "nest"; in depth "net2deeper", "morphism", "stacking" or
        "autogrow"; or an object of `skgrow.policies`, whose parameters a search can reach
        (`how__scale`).
    where : str, int or policy, default="auto"
        In width "all", "gain" or "svod", in depth "top" or "stages"; or the number of
        a hidden layer. "auto" is "all" or "top".
    when : {"plateau", "periodic", "never"} or policy, default="periodic"
        When growth happens, at the end of passes; "periodic" is after every third one,
        12 times.
    growth_rate : float, default=0.25
        New units of one growth, as a share of those there are. In depth a growth
        is one layer.
    max_neurons : int or None, default=256
        Hidden units at most.
    max_layers : int or None, default=6
        Hidden layers at most.
    max_parameters : int or None, default=None
        Trained numbers at most; a growth beyond it does not happen.
    max_time : float or None, default=None
        Seconds of training, after which it ends with the pass that runs, and a warning.
    max_iter : int, default=200
        Passes over the rows at most. "nest" prunes after them, with passes of its own.
    batch_size : int, default=128
        Rows of one step of Adam.
    learning_rate_init : float, default=1e-3
        Of Adam, the same throughout.
    alpha : float, default=1e-4
        L2 penalty: `alpha / 2` times the sum of the squared weights is added to the
        mean loss of each batch. Biases are free. scikit-learn's `MLPClassifier` divides
        it by the rows of a batch: its `alpha` is `batch_size` times this one.
    early_stopping : bool or "auto", default="auto"
        Whether to stop by rows held out. "auto" does above 1,000 rows. Training ends
        when their loss, else that of training, has not fallen for
        `n_iter_no_change` passes; the best network is kept, be it a smaller one.
    validation_fraction : float, default=0.1
        Share of the rows that are held out.
    n_iter_no_change : int, default=10
        Passes to wait for a lower loss.
    tol : float, default=1e-4
        Smallest fall of the loss that counts.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, multiplied into `sample_weight`.
    warm_start : bool, default=False
        Whether `fit` goes on from the present network.
    random_state : int, RandomState or None, default=None
        Seed of weights, order of rows and policies.
    device : str, default="cpu"
        Where torch computes, such as "cuda".
    verbose : int, default=0
        Whether to print about ten lines of progress.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels seen in `fit`.
    n_features_in_ : int
        Columns of the inputs.
    feature_names_in_ : ndarray of str
        Their names, where a frame was given.
    hidden_layer_sizes_ : tuple of int
        Units of each hidden layer now, residual blocks included.
    n_parameters_ : int
        Trained numbers.
    n_multiply_adds_ : int
        Multiply-adds to predict one row, those of missing connections left out.
    n_training_multiply_adds_ : int
        Multiply-adds of all training so far, three times those of a prediction for each
        row and pass, and of the steps that policies take.
    loss_curve_, validation_curve_ : list of float
        Loss of each pass, in training and on held-out rows; nats.
    growth_history_ : list of dict
        A record a growth: epoch, how, where, places (units or layers by hidden layer),
        n_new of them (below 0 where a network was made smaller), n_parameters_before,
        n_parameters, max_change of the outputs on up to 1,024 rows, their loss_before
        and loss, the predicted_change of the loss to first order, the share of new units
        that are inactive on all of them, the n_multiply_adds of the steps that the
        policies took, and seconds.
    n_iter_ : int
        Passes over the rows.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgrow import GrowingMLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> mlp = GrowingMLPClassifier((8,), max_neurons=24, random_state=0)
    >>> mlp.fit(X[:1350], y[:1350]).hidden_layer_sizes_
    (24,)
    >>> mlp.score(X[1350:], y[1350:]) > 0.9
    True
    """

    @_fit_context(prefer_skip_nested_validation=True)
    @changes
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train by one pass over more rows; nothing grows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        classes : array-like of shape (n_classes,), default=None
            All labels there will ever be; needed at the first call.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : GrowingMLPClassifier

        Raises
        ------
        ValueError
            As `fit`, and for labels that are not in `classes`.
        """
        check_partial_class_weight(self.class_weight)
        fresh = _check_partial_fit_first_call(self, classes)
        known = self.classes_ if fresh else None
        return self._one_pass(X, y, sample_weight, fresh, known)

    def _learn_target(self, y, sample_weight):
        check_classification_targets(y)
        self.classes_ = np.unique(y)

    def _encode(self, X, y, sample_weight):
        """Inputs, class numbers and weights; rows of weight 0 are gone."""
        numbers = check_labels(y, self.classes_)
        weight = check_weights(sample_weight, self.class_weight, X, y)
        used = weight > 0
        return X[used], numbers[used], weight[used]

    def _check_varied(self, y, is_whole):
        """A part of the rows, as `partial_fit` gets it, may be of one class."""
        if (len(np.unique(y)) if is_whole else len(self.classes_)) < 2:
            raise ValueError(
                f"y holds one class only, {self.classes_[y[:1]].tolist()[0]!r}; a "
                "classifier needs rows of 2 classes or more, with positive weights."
            )

    def _strata(self, y):
        return y

    @property
    def _n_outputs(self):
        return len(self.classes_)


class GrowingMLPRegressor(Parameters, FittedMixin, RegressorMixin, BaseEstimator):
    """Dense network for numbers that starts small and grows while it trains.

    As `GrowingMLPClassifier`, with the squared error of the target in its standard
    deviations.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(16,)
        Units of the hidden layers to start with.
    how : str or policy, default="gradmax"
        How new parts start. In width "random", "zero", "net2wider", "gradmax",
        "firefly", "swe" or "nest"; in depth "net2deeper", "morphism", "stacking" or
        "autogrow"; or an object of `skgrow.policies`, whose parameters a search can reach
        (`how__scale`).
    where : str, int or policy, default="auto"
        In width "all", "gain" or "svod", in depth "top" or "stages"; or the number of
        a hidden layer. "auto" is "all" or "top".
    when : {"plateau", "periodic", "never"} or policy, default="periodic"
        When growth happens, at the end of passes; "periodic" is after every third one,
        12 times.
    growth_rate : float, default=0.25
        New units of one growth, as a share of those there are. In depth a growth
        is one layer.
    max_neurons : int or None, default=256
        Hidden units at most.
    max_layers : int or None, default=6
        Hidden layers at most.
    max_parameters : int or None, default=None
        Trained numbers at most; a growth beyond it does not happen.
    max_time : float or None, default=None
        Seconds of training, after which it ends with the pass that runs, and a warning.
    max_iter : int, default=200
        Passes over the rows at most. "nest" prunes after them, with passes of its own.
    batch_size : int, default=128
        Rows of one step of Adam.
    learning_rate_init : float, default=1e-3
        Of Adam, the same throughout.
    alpha : float, default=1e-4
        L2 penalty: `alpha / 2` times the sum of the squared weights is added to the
        mean loss of each batch. Biases are free. scikit-learn's `MLPRegressor` divides
        it by the rows of a batch: its `alpha` is `batch_size` times this one.
    early_stopping : bool or "auto", default="auto"
        Whether to stop by rows held out. "auto" does above 1,000 rows. Training ends
        when their loss, else that of training, has not fallen for
        `n_iter_no_change` passes; the best network is kept, be it a smaller one.
    validation_fraction : float, default=0.1
        Share of the rows that are held out.
    n_iter_no_change : int, default=10
        Passes to wait for a lower loss.
    tol : float, default=1e-4
        Smallest fall of the loss that counts.
    warm_start : bool, default=False
        Whether `fit` goes on from the present network.
    random_state : int, RandomState or None, default=None
        Seed of weights, order of rows and policies.
    device : str, default="cpu"
        Where torch computes, such as "cuda".
    verbose : int, default=0
        Whether to print about ten lines of progress.

    Attributes
    ----------
    n_features_in_ : int
        Columns of the inputs.
    feature_names_in_ : ndarray of str
        Their names, where a frame was given.
    hidden_layer_sizes_ : tuple of int
        Units of each hidden layer now, residual blocks included.
    n_parameters_ : int
        Trained numbers.
    n_multiply_adds_ : int
        Multiply-adds to predict one row, those of missing connections left out.
    n_training_multiply_adds_ : int
        Multiply-adds of all training so far, three times those of a prediction for each
        row and pass, and of the steps that policies take.
    loss_curve_, validation_curve_ : list of float
        Loss of each pass, in training and on held-out rows; half the squared
        error in variances of the target.
    growth_history_ : list of dict
        A record a growth: epoch, how, where, places (units or layers by hidden layer),
        n_new of them (below 0 where a network was made smaller), n_parameters_before,
        n_parameters, max_change of the outputs on up to 1,024 rows, their loss_before
        and loss, the predicted_change of the loss to first order, the share of new units
        that are inactive on all of them, the n_multiply_adds of the steps that the
        policies took, and seconds.
    n_iter_ : int
        Passes over the rows.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skgrow import GrowingMLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> mlp = GrowingMLPRegressor((4,), how="firefly", random_state=0)
    >>> mlp.fit(X[:300], y[:300]).score(X[300:], y[300:]) > 0.3
    True
    """

    @_fit_context(prefer_skip_nested_validation=True)
    @changes
    def partial_fit(self, X, y, sample_weight=None):
        """Train by one pass over more rows; nothing grows.

        Mean and scale of the target are those of the first call, or of `fit`; of a target
        that was constant there, the scale is that of the first rows where it is not.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Finite numbers.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : GrowingMLPRegressor

        Raises
        ------
        ValueError
            As `fit`.
        """
        return self._one_pass(X, y, sample_weight, "_network" not in vars(self))

    @reads
    def predict(self, X):
        """Predicted numbers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,)
            In units of the target.
        """
        scores = self._logits(X)[:, 0]
        mean, spread = self._target
        return mean + spread * scores

    def _learn_target(self, y, sample_weight):
        self._target = target_scale(y, sample_weight)

    def _update_target(self, y, sample_weight):
        """A deviation, where the target was constant so far."""
        self._target = target_scale(y, sample_weight, self._target)

    def _encode(self, X, y, sample_weight):
        """Inputs, scaled targets and weights; rows of weight 0 are gone."""
        weight = check_weights(sample_weight, None, X, y)
        used = weight > 0
        scaled = scaled_target(y[used], self._target, X.dtype)
        return X[used], scaled[:, None], weight[used]

    def _check_varied(self, y, is_whole):
        if len(y) < 2:
            raise ValueError(
                f"n_samples={len(y)} with a positive weight is too few; give at least 2."
            )

    def _strata(self, y):
        return y[:, 0]

    @property
    def _n_outputs(self):
        return 1
