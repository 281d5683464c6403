"""GrowingNAMRegressor: the same network, for numbers. Orchestration only."""

from __future__ import annotations

from sklearn.base import BaseEstimator, RegressorMixin, _fit_context

from skgrow.estimators import additive_verbs, explaining, facts, predictions
from skgrow.estimators.additive_verbs import first_pass, next_pass
from skgrow.estimators.constraints import ADDITIVE
from skgrow.estimators.fitted import FittedMixin
from skgrow.runtime.surroundings import changes
from skgrow.training.targets import NumberTarget

__all__ = ["GrowingNAMRegressor"]


class GrowingNAMRegressor(FittedMixin, RegressorMixin, BaseEstimator):
    """Neural additive model for numbers, which grows by using its branches again.

    As `GrowingNAMClassifier`, with the squared error. The network has two outputs, "down"
    and "up", and predicts the second less the first. In the tests of growth a row is "up"
    where it lies above its prediction, and counts by its error: where a grown branch
    is active, its direction has a larger share of the errors than chance explains.

    Parameters
    ----------
    regions : {"auto", "features", "pairs"}, ImagePatches or list of index lists, \
            default="auto"
        Columns that each base branch sees: one column each, all pairs, patches of an
        image, or lists of equal length. "auto" takes the pairs of columns with the
        strongest residual interactions, two for each column and 64 at most
        (`residual_interactions`), and leaves single columns to the curves; on up to
        `batch_size` rows, and in `partial_fit`, every column alone and a ring of pairs.
    grow_regions : same as `regions`, default=None
        Where growth may look. None means all regions of the same kind: patches at
        stride 1, all ordered pairs; with "auto" the 500 strongest pairs in both
        orders.
    curves : bool or "auto", default="auto"
        Fit a curve for every column before the branches, see `Curves`. "auto" does so
        with `regions="auto"`.
    surfaces : bool or "auto", default="auto"
        Fit surfaces of pairs on top of the curves, where rows that a replica leaves out
        choose them, see `Surfaces`. "auto" does so with `regions="auto"`. They take most
        of the time of `fit`; without them pairs are left to branches and to growth.
    n_replicas : int, default=4
        Fits of the curves that leave out a fold of the rows each; their mean is taken,
        and their spread gives the bands of the plots. So it is with surfaces of pairs.
        With 1, or up to `batch_size` rows, there is one fit of all rows, no band and no
        surface.
    hidden_layer_sizes : tuple of int or "auto", default="auto"
        Width of each hidden layer of a branch. "auto" is (9, 9, 9, 9), and (16, 16) for
        branches of one or two columns.
    n_branches : int, default=0
        Branches to grow at the end of `fit`, on 30 % of the rows which are split off
        for it. With 0, call `grow`.
    matching : {"both", "clusters", "exhaustive"}, default="both"
        Candidates to look at: matched by clusters, every branch on every region as it
        is, or both.
    round_size : int, default=200
        Branches picked a round; their masks are fitted together and then frozen.
    delta : float, default=0.05
        Chance, over all rounds, that any branch passes condition (13) by chance.
    search_regions : int, default=200
        Growth regions drawn a round. All outputs of all branches are tried on each; with
        matched candidates, a few of the regions are matched too. A region of a table
        counts once for each direction in which its columns, three at most, are read.
    search_rows : int, default=16000
        Selection rows on which a round's candidates are screened; a third of the rows
        at most. Rows are worth more than regions: on few rows chance decides.
    n_verified : int, default=4000
        Candidates a round that are tested on fresh rows; 2,000 that pass are enough.
    refit : bool, default=False
        Fit the masks of all grown branches together after each round, instead of
        freezing those of earlier rounds. The fit is convex.
    max_iter : int, default=100
        Passes over the training rows.
    batch_size : int, default=256
        Rows a gradient step. A smaller training set is used whole.
    learning_rate_init : float, default=0.004
        Highest learning rate of Adam's one-cycle schedule.
    alpha : float, default=0.0
        L2 penalty: `alpha / 2` times the sum of the squared weights of the base
        branches is added to the mean loss of each batch. Biases are free.
    early_stopping : bool or "auto", default="auto"
        Stop when the loss of held-out rows does not fall, and take the best weights.
        Replicas are judged by the rows that each leaves out; a single network by
        `validation_fraction` of the training rows. "auto" does so above 10,000 rows,
        and with curves above `batch_size` rows.
    validation_fraction : float, default=0.1
        Rows held out by early stopping without replicas, and by `grow` to stop by. On
        curves, which leave little to be found, `grow` holds out 1,500 rows at least, or
        a quarter where that is less.
    n_iter_no_change : int, default=10
        Passes without a fall of the loss by `tol` before training stops.
    n_rounds_no_change : int or "auto", default="auto"
        Rounds without a fall of the held-out loss before growth stops. Rounds after
        the best one are then taken back. "auto" is 3, and 1 on curves with
        `regions="auto"` and surfaces, where the base holds the strongest pairs.
    max_time : float, default=None
        Seconds after which `fit` leaves out what it has not begun, and a call of `grow`
        begins no new round. Curves, the choice of pairs and one pass are always made; a
        warning says what was left out, and the best so far is kept.
    tol : float, default=1e-4
        Smallest fall of a loss that counts, in half variances of the target. For growth
        on curves with `regions="auto"`, that of the held-out loss must be larger than its
        standard error, too.
    warm_start : bool, default=False
        Let `fit` on a fitted model grow to `n_branches` and train nothing else.
    random_state : int, RandomState instance or None, default=None
    n_jobs : int, default=None
        Workers of the search; results do not depend on it.
    device : str, default="cpu"
        Where torch computes. The fitted state is numpy arrays wherever that is.
    verbose : int, default=0
        With 1, print a line for every tenth pass and every round.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, where `X` had names that are all strings.
    bank_ : BranchBank
        The base branches.
    intercept_ : float
        Prediction without any term, in units of the target.
    loss_curve_ : list of float
        Mean training loss of each pass: half the squared error of the target divided by
        its standard deviation.
    validation_curve_ : list of float
        Loss on the rows held out by early stopping.
    n_iter_ : int
        Passes over the training rows.
    growth_history_ : list of dict
        A row for every round: candidates screened, tested, qualified and picked,
        branches so far, loss and R2 on selection and held-out rows, seconds.

    See Also
    --------
    GrowingNAMClassifier : For classes.

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow import GrowingNAMRegressor
    >>> rng = np.random.RandomState(0)
    >>> X = rng.uniform(-1, 1, size=(2000, 4))
    >>> y = np.abs(X[:, 0]) + X[:, 1] * X[:, 2]
    >>> nam = GrowingNAMRegressor(random_state=0).fit(X[:1500], y[:1500])
    >>> bool(nam.score(X[1500:], y[1500:]) > 0.9)
    True
    """

    _parameter_constraints: dict = ADDITIVE

    def __init__(
        self,
        regions="auto",
        *,
        grow_regions=None,
        curves="auto",
        surfaces="auto",
        n_replicas=4,
        hidden_layer_sizes="auto",
        n_branches=0,
        matching="both",
        round_size=200,
        delta=0.05,
        search_regions=200,
        search_rows=16_000,
        n_verified=4000,
        refit=False,
        max_iter=100,
        batch_size=256,
        learning_rate_init=4e-3,
        alpha=0.0,
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=10,
        n_rounds_no_change="auto",
        max_time=None,
        tol=1e-4,
        warm_start=False,
        random_state=None,
        n_jobs=None,
        device="cpu",
        verbose=0,
    ):
        self.regions = regions
        self.grow_regions = grow_regions
        self.curves = curves
        self.surfaces = surfaces
        self.n_replicas = n_replicas
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_branches = n_branches
        self.matching = matching
        self.round_size = round_size
        self.delta = delta
        self.search_regions = search_regions
        self.search_rows = search_rows
        self.n_verified = n_verified
        self.refit = refit
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.alpha = alpha
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.n_rounds_no_change = n_rounds_no_change
        self.max_time = max_time
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.device = device
        self.verbose = verbose

    fit = additive_verbs.fit
    grow = additive_verbs.grow
    predict = predictions.predict_numbers
    eval_terms = explaining.eval_terms
    explain_global = explaining.explain_global
    explain_local = explaining.explain_local
    remove_terms = explaining.remove_terms
    term_importances = explaining.term_importances

    bank_ = facts.bank_
    grown_branches_ = facts.grown_branches_
    loss_curve_ = facts.loss_curve_
    n_branches_ = facts.n_branches_
    n_iter_ = facts.n_iter_
    term_features_ = explaining.term_features_
    term_names_ = explaining.term_names_
    validation_curve_ = facts.validation_curve_

    @property
    def intercept_(self):
        """Prediction without any term, in units of the target."""
        state = self._fitted()
        return state.target.level(state.network.intercept)

    @_fit_context(prefer_skip_nested_validation=True)
    @changes
    def partial_fit(self, X, y, sample_weight=None):
        """Train the base branches by one pass over more rows.

        Mean and scale of the target are those of the first call, or of `fit`; of a target
        that was constant there, the scale is that of the first rows where it is not.
        Curves and grown branches stay as they are; a model that was never fitted gets
        none.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Finite numbers.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : GrowingNAMRegressor

        Raises
        ------
        ValueError
            As `fit`.
        """
        if self._is_fitted:
            self._state = next_pass(self, X, y, sample_weight)
        else:
            self._state = first_pass(self, X, y, sample_weight, self._learn_target)
        return self

    def _learn_target(self, y, sample_weight):
        return NumberTarget.of(y, sample_weight, n_outputs=2)
