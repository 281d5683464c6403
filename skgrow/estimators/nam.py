"""GrowingNAMClassifier: a neural additive model that grows. Orchestration only."""

from __future__ import annotations

from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.utils._param_validation import StrOptions

from skgrow.estimators import additive_verbs, explaining, facts, predictions
from skgrow.estimators.additive_verbs import first_pass, next_pass
from skgrow.estimators.constraints import ADDITIVE
from skgrow.estimators.fitted import FittedMixin
from skgrow.inputs.checks import check_classes, check_partial_class_weight
from skgrow.runtime.surroundings import changes
from skgrow.training.targets import ClassTarget

__all__ = ["GrowingNAMClassifier"]


class GrowingNAMClassifier(FittedMixin, ClassifierMixin, BaseEstimator):
    """Neural additive model that grows by using its trained branches again.

    The network is a sum of small MLP branches, each on a few input columns, formula
    (14). `fit` trains them. `grow` uses them again on other columns: candidates are
    found by search, must pass a statistical test on rows of their own, and join with
    two trained numbers each, formula (16).

    ================  =====================  =========================
    verb              base branches          grown branches
    ================  =====================  =========================
    `fit`             trained from scratch   none, or `n_branches` new
    `partial_fit`     one more pass          as they are
    `grow`            as they are            more of them
    `fit`, warm       as they are            up to `n_branches`
    ================  =====================  =========================

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
        Smallest fall of a loss that counts, in nats. For growth on curves with
        `regions="auto"`, that of the held-out loss must be larger than its standard
        error, too.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, multiplied into `sample_weight`.
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
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, where `X` had names that are all strings.
    bank_ : BranchBank
        The base branches.
    intercept_ : ndarray of shape (n_classes,)
        Logits of an empty row: the log class shares, then trained by growth.
    loss_curve_ : list of float
        Mean training loss of each pass, in nats.
    validation_curve_ : list of float
        Loss on the rows held out by early stopping, in nats.
    n_iter_ : int
        Passes over the training rows.
    growth_history_ : list of dict
        A row for every round: candidates screened, tested, qualified and picked,
        branches so far, loss and accuracy on selection and held-out rows, seconds.
    n_branches_ : int
        Number of grown branches.
    n_parameters_ : int
        Trained numbers: branches, two a grown branch, intercepts once they train.
    n_multiply_adds_ : int
        Multiply-adds to predict one row.
    grown_branches_ : list of dict
        One record a grown branch: what is used where, for which class, and why.
    term_features_ : list of tuple of int
        Columns of each term.
    term_names_ : list of str
        Name of each term, as "age" or "age & town".

    See Also
    --------
    skgrow.ImagePatches : Regions for images.
    ElectionTransferClassifier : Branches of a fitted network vote on another task.

    Notes
    -----
    The weights of rows enter every statistic and every loss. A row of weight 2 equals
    the row twice where training is full-batch, that is up to `batch_size` rows.

    References
    ----------
    .. [1] R. Tong, "Growing Neural Network with Shared Parameter", 2022.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgrow import GrowingNAMClassifier, ImagePatches
    >>> X, y = load_digits(return_X_y=True)
    >>> patches = ImagePatches((1, 8, 8), patch_size=3, stride=5)
    >>> nam = GrowingNAMClassifier(regions=patches, max_iter=20, random_state=0)
    >>> nam.fit(X[:900], y[:900]).n_parameters_    # 4 branches of 450
    1800
    >>> before = nam.score(X[1350:], y[1350:])
    >>> nam = nam.grow(X[:1350], y[:1350], n_branches=20)
    >>> nam.n_branches_, nam.n_parameters_         # 2 a branch and 10 intercepts
    (20, 1850)
    >>> nam.score(X[1350:], y[1350:]) > before
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012, scikit-learn's way
        **ADDITIVE,
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

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
        class_weight=None,
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
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.device = device
        self.verbose = verbose

    fit = additive_verbs.fit
    grow = additive_verbs.grow
    decision_function = predictions.decision_function
    predict_log_proba = predictions.predict_log_proba
    predict_proba = predictions.predict_proba
    predict = predictions.predict_classes
    eval_terms = explaining.eval_terms
    explain_global = explaining.explain_global
    explain_local = explaining.explain_local
    remove_terms = explaining.remove_terms
    term_importances = explaining.term_importances

    bank_ = facts.bank_
    classes_ = facts.classes_
    grown_branches_ = facts.grown_branches_
    loss_curve_ = facts.loss_curve_
    n_branches_ = facts.n_branches_
    n_iter_ = facts.n_iter_
    term_features_ = explaining.term_features_
    term_names_ = explaining.term_names_
    validation_curve_ = facts.validation_curve_

    @property
    def intercept_(self):
        """Logits of the classes without any term, `(n_classes,)`."""
        return self._fitted().network.intercept

    @_fit_context(prefer_skip_nested_validation=True)
    @changes
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train the base branches by one pass over more rows.

        Grown branches stay as they are: they keep using the weights they were matched
        with, and their contribution is taken into account.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        classes : array-like of shape (n_classes,), default=None
            All labels there will ever be; needed at the first call.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : GrowingNAMClassifier

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
