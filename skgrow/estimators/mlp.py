"""GrowingMLPClassifier: a dense network that grows in training. Orchestration only."""

from __future__ import annotations

from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.utils._param_validation import StrOptions

from skgrow.estimators import dense_verbs, facts, predictions
from skgrow.estimators.constraints import DENSE
from skgrow.estimators.dense_verbs import first_pass, next_pass
from skgrow.estimators.fitted import FittedMixin
from skgrow.inputs.checks import check_classes, check_partial_class_weight
from skgrow.runtime.surroundings import changes
from skgrow.training.targets import ClassTarget

__all__ = ["GrowingMLPClassifier"]


class GrowingMLPClassifier(FittedMixin, ClassifierMixin, BaseEstimator):
    """Dense network that starts small and grows while it trains.

    A growth has three parts, each a name or an object: how new units or layers start,
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

    _parameter_constraints: dict = {  # noqa: RUF012, scikit-learn's way
        **DENSE,
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    def __init__(
        self,
        hidden_layer_sizes=(16,),
        *,
        how="gradmax",
        where="auto",
        when="periodic",
        growth_rate=0.25,
        max_neurons=256,
        max_layers=6,
        max_parameters=None,
        max_time=None,
        max_iter=200,
        batch_size=128,
        learning_rate_init=1e-3,
        alpha=1e-4,
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        class_weight=None,
        warm_start=False,
        random_state=None,
        device="cpu",
        verbose=0,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.how = how
        self.where = where
        self.when = when
        self.growth_rate = growth_rate
        self.max_neurons = max_neurons
        self.max_layers = max_layers
        self.max_parameters = max_parameters
        self.max_time = max_time
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.alpha = alpha
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    fit = dense_verbs.fit
    grow = dense_verbs.grow
    decision_function = predictions.decision_function
    predict_log_proba = predictions.predict_log_proba
    predict_proba = predictions.predict_proba
    predict = predictions.predict_classes

    classes_ = facts.classes_
    hidden_layer_sizes_ = facts.hidden_layer_sizes_
    loss_curve_ = facts.loss_curve_
    n_iter_ = facts.n_iter_
    n_training_multiply_adds_ = facts.n_training_multiply_adds_
    validation_curve_ = facts.validation_curve_

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
        if self._is_fitted:
            check_classes(classes, self.classes_)
            self._state = next_pass(self, X, y, sample_weight)
            return self
        classes = check_classes(classes, None)

        def learn(y, sample_weight):
            return ClassTarget(classes)

        self._state = first_pass(self, X, y, sample_weight, learn, classes)
        return self

    def _learn_target(self, y, sample_weight):
        return ClassTarget.of(y)
