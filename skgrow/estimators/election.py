"""ElectionTransferClassifier: trained branches vote on a task they never saw."""

from __future__ import annotations

from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context, clone
from sklearn.utils.validation import check_is_fitted

from skgrow.estimators import facts, predictions
from skgrow.estimators.constraints import ELECTION
from skgrow.estimators.election_steps import (
    admit,
    begin,
    count,
    elect,
    first_election,
    stopping_rule,
)
from skgrow.estimators.fitted import FittedMixin
from skgrow.estimators.readout_steps import check_checkpoint, check_votes, read_out
from skgrow.estimators.reuse_steps import check_large_enough, with_unfinished
from skgrow.inputs.checks import (
    check_classes,
    check_device,
    check_n_branches,
    check_partial_class_weight,
)
from skgrow.inputs.labelled_rows import labelled_rows
from skgrow.inputs.reading import read, read_first
from skgrow.networks.readout import Readout
from skgrow.runtime.surroundings import changes
from skgrow.training.targets import ClassTarget

__all__ = ["ElectionTransferClassifier"]


class ElectionTransferClassifier(FittedMixin, ClassifierMixin, BaseEstimator):
    """Branches trained on one task vote on another, and are not trained again.

    The branches of a fitted network are tried on the columns of a new task. One that
    answers high on a class more often than by chance gets a vote for it wherever its
    output is above a threshold, formula (10). The class with the highest standardised
    number of votes wins, formula (17). One number is fitted: the temperature that turns
    scores into probabilities.

    With `votes="fitted"`, uses of branches are drawn instead, without a look at labels,
    and their outputs are taken as they are. The weights of these outputs for each class
    come from one convex problem in closed form, a ridge regression on indicators of the
    classes; its strength and the temperature come from predictions for rows that are left
    out, one by one. A few rows of each class are enough.

    ===============  ============================  ==========================
    verb             elected or drawn branches     statistics or weights
    ===============  ============================  ==========================
    `fit`            from scratch                  of all rows
    `partial_fit`    as they are (those of `fit`   rows are added
                     at the first call)
    `grow`           more of them                  anew, of these rows
    ===============  ============================  ==========================

    Parameters
    ----------
    source : estimator, BranchBank or list of them
        Where the branches come from: a fitted `GrowingNAMClassifier`, a `FrozenEstimator`
        around one, its `bank_`, or a list of these whose branches make one pool. Clones
        of this estimator keep the fitted source.
    regions : {"auto", "features", "pairs"}, ImagePatches or list of index lists, \
            default="auto"
        Columns on which branches are tried, as many at a time as the source's branches
        see: all patches of an image at stride 1, or lists of equal length. "auto" takes
        every column for branches of one column, and all ordered pairs (a column with
        itself too) for branches of two.
    n_branches : int, default=1000
        Branches to elect in `fit`, at most; of fitted votes, uses to draw. A use is one
        output of a branch at one region, with one weight a class. Fitting takes time
        and memory by the smaller of the numbers of rows and uses: memory bounds the uses
        to 8,192 on as many rows or more, and to 100,000 on few.
    use_grown : bool, default=False
        Whether grown branches of the source that have input maps of their own are
        candidates too. Those without are in its bank already.
    votes : {"equal", "fitted", "auto"}, default="equal"
        What votes count: one each, or weights that are fitted. "auto" is "fitted", which
        was better on validation rows at every number of labelled rows.
    standardise : {"pooled", "class", "vote"}, default="pooled"
        How equal votes are brought to mean 0 and deviation 1 on the rows: the number of
        votes of each class with one deviation for all classes, with its own, or each
        vote, as (17) is printed.
    new_classes : {"error", "add"}, default="error"
        What `grow` and `partial_fit` do with labels not seen before: refuse them, or add
        the classes and elect branches for them, leaving all other votes as they are.
        Fitted votes get the weights that they had if all rows of `fit` and `partial_fit`
        had come at once, in any order.
    matching : {"both", "clusters", "exhaustive"}, default="exhaustive"
        Candidates to look at: every branch on every region as it is, matched by
        clusters, or both. This and what follows, down to `tol`, is for equal votes.
    round_size : int, default=100
        Branches elected a round.
    delta : float, default=0.05
        Chance, over all rounds, that any branch passes condition (13) by chance.
    search_regions : int, default=100
        Regions drawn a round, those of a table once for each direction in which their
        columns, three at most, are read.
    search_rows : int, default=16000
        Rows on which a round's candidates are screened; a third of the rows at most.
    n_verified : int, default=2000
        Candidates a round that are tested on fresh rows.
    validation_fraction : float, default=0.1
        Rows held out to stop by and to fit the temperature on.
    n_rounds_no_change : int, default=3
        Rounds without a fall of the held-out loss before the election stops. Rounds
        after the best one are then taken back.
    max_time : float, default=None
        Seconds after which no new round begins.
    tol : float, default=1e-4
        Smallest fall of the held-out loss that counts, in nats.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, multiplied into `sample_weight`.
    random_state : int, RandomState instance or None, default=None
    n_jobs : int, default=None
        Workers of the search; results do not depend on it.
    device : str, default="cpu"
        Where torch computes. The fitted state is numpy arrays wherever that is.
    verbose : int, default=0
        With 1, print a line for every round.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels of the new task.
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, where `X` had names that are all strings.
    growth_history_ : list of dict
        A row for every round, as of `GrowingNAMClassifier`; of fitted votes, one for
        every fit, with its strength and the loss of rows left out, one by one.
    n_branches_ : int
        Number of branches that vote.
    n_parameters_ : int
        Numbers fitted: the temperature, once a branch votes. Of fitted votes, a weight
        for each branch and class, and an intercept for each class, too.
    n_multiply_adds_ : int
        Multiply-adds to predict one row.
    grown_branches_ : list of dict
        One record a vote: which branch, on which columns, for which class, and why.

    See Also
    --------
    GrowingNAMClassifier : Trains branches, and grows on its own task.

    References
    ----------
    .. [1] R. Tong, "Growing Neural Network with Shared Parameter", 2022.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgrow import (
    ...     ElectionTransferClassifier, GrowingNAMClassifier, ImagePatches
    ... )
    >>> X, y = load_digits(return_X_y=True)
    >>> small, large = y < 5, y >= 5
    >>> patches = ImagePatches((1, 8, 8), patch_size=3, stride=2)
    >>> nam = GrowingNAMClassifier(regions=patches, max_iter=20, random_state=0)
    >>> nam = nam.fit(X[small], y[small])              # digits 0 to 4
    >>> vote = ElectionTransferClassifier(nam, patches, n_branches=60, random_state=0)
    >>> vote = vote.fit(X[large][:600], y[large][:600])    # digits 5 to 9
    >>> vote.n_parameters_
    1
    >>> vote.score(X[large][600:], y[large][600:]) > 0.8
    True

    With ten rows a class, nothing passes the tests of an election, but weights can be
    fitted:

    >>> few = ElectionTransferClassifier(nam, patches, votes="fitted", random_state=0)
    >>> few = few.fit(X[large][:50], y[large][:50])
    >>> few.n_parameters_    # 1000 branches and an intercept for 5 classes, temperature
    5006
    >>> few.score(X[large][600:], y[large][600:]) > 0.8
    True
    """

    _parameter_constraints: dict = ELECTION

    def __init__(
        self,
        source,
        regions="auto",
        *,
        n_branches=1000,
        use_grown=False,
        votes="equal",
        standardise="pooled",
        new_classes="error",
        matching="exhaustive",
        round_size=100,
        delta=0.05,
        search_regions=100,
        search_rows=16_000,
        n_verified=2000,
        validation_fraction=0.1,
        n_rounds_no_change=3,
        max_time=None,
        tol=1e-4,
        class_weight=None,
        random_state=None,
        n_jobs=None,
        device="cpu",
        verbose=0,
    ):
        self.source = source
        self.regions = regions
        self.n_branches = n_branches
        self.use_grown = use_grown
        self.votes = votes
        self.standardise = standardise
        self.new_classes = new_classes
        self.matching = matching
        self.round_size = round_size
        self.delta = delta
        self.search_regions = search_regions
        self.search_rows = search_rows
        self.n_verified = n_verified
        self.validation_fraction = validation_fraction
        self.n_rounds_no_change = n_rounds_no_change
        self.max_time = max_time
        self.tol = tol
        self.class_weight = class_weight
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.device = device
        self.verbose = verbose

    def __sklearn_clone__(self):
        # scikit-learn would un-fit the source.
        parameters = self.get_params(deep=False)
        source = parameters.pop("source")
        cloned = type(self)(
            source, **{name: clone(p, safe=False) for name, p in parameters.items()}
        )
        for name in ("_metadata_request", "_sklearn_output_config"):
            if name in vars(self):
                setattr(cloned, name, clone(vars(self)[name], safe=False))
        return cloned

    decision_function = predictions.decision_function
    predict_log_proba = predictions.predict_log_proba
    predict_proba = predictions.predict_proba
    predict = predictions.predict_classes

    classes_ = facts.classes_
    grown_branches_ = facts.grown_branches_
    n_branches_ = facts.n_branches_

    @_fit_context(prefer_skip_nested_validation=True)
    @changes
    def fit(self, X, y, sample_weight=None):
        """Elect or draw `n_branches` branches of the source for the classes of `y`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs on any scale.
        y : array-like of shape (n_samples,)
            Class labels of any kind.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, 0 or more.

        Returns
        -------
        self : ElectionTransferClassifier

        Raises
        ------
        ValueError
            If an input, a parameter or the source cannot be used; a model fitted before
            is then left as it was.
        TypeError
            If the source is nothing that has branches.

        Warns
        -----
        GrowthStoppedWarning
            If fewer than `n_branches` were elected or drawn; the message says why.
        """
        return self._first(X, y, sample_weight)

    def _first(self, X, y, sample_weight, classes=None):
        X, y, table = read_first(self, X, y, sample_weight, classes)
        target = ClassTarget.of(y) if classes is None else ClassTarget(classes)
        rows = labelled_rows(target, X, y, sample_weight, self.class_weight)
        self._state = begin(self, table, target, rows)
        self._state = first_election(self, self._state, rows)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    @changes
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Count the votes of more rows; the branches that vote stay as they are.

        Fitted votes get new weights, those of all rows since `fit`, whose sums are kept;
        their strength comes from generalised cross-validation, which needs no row again.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        classes : array-like of shape (n_classes,), default=None
            All labels there will ever be; needed at the first call, which elects.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : ElectionTransferClassifier

        Raises
        ------
        ValueError
            As `fit`, for labels that are not in `classes` while `new_classes="error"`,
            if `votes` has changed since `fit`, and if the sums of fitted votes on so
            many rows do not fit into memory.
        """
        check_partial_class_weight(self.class_weight)
        check_device(self.device)
        if not self._is_fitted:
            return self._first(X, y, sample_weight, check_classes(classes, None))
        check_votes(self, self._state)
        check_classes(classes, self.classes_)
        X, y = read(self, self._state.inputs, X, y)
        self._state, added = admit(self._state, y, self.new_classes)
        target = self._state.target
        rows = labelled_rows(target, X, y, sample_weight, self.class_weight)
        if len(added) and not isinstance(self._state.network, Readout):
            check_large_enough(self, target, rows.y, stopping_rule(self), "X")
            share = self.n_branches_ / (target.n_outputs - len(added))
            n_branches = round(share) * len(added)
            self._state = elect(self, self._state, rows, n_branches, added)
        else:
            self._state = count(self, self._state, rows)
        return self

    @changes
    def grow(self, X_sel, y_sel, n_branches, sample_weight=None, checkpoint=None):
        """Elect or draw more, and take statistics or weights of all on these rows.

        Interrupting (Ctrl-C) an election keeps the rounds that are done.

        Parameters
        ----------
        X_sel : array-like of shape (n_samples, n_features)
        y_sel : array-like of shape (n_samples,)
            Labels among `classes_`, or new ones with `new_classes="add"`: all branches
            are then elected for the new classes.
        n_branches : int
            Branches to add at most.
        sample_weight : array-like of shape (n_samples,), default=None
        checkpoint : str or path-like, default=None
            File that is written after each round. The same call made again, in another
            process too, goes on from the last round there and ends with the model of an
            unbroken run; after the last round it returns at once. Fitted votes have no
            rounds: it must be None.

        Returns
        -------
        self : ElectionTransferClassifier

        Raises
        ------
        ValueError
            If an input cannot be used, there are too few rows to test anything, `votes`
            has changed since `fit`, or fitted votes get no row of a class that they
            know; the model is then left as it was.
        ModelFileError
            If `checkpoint` is a file that is no model of skgrow, or damaged.

        Warns
        -----
        GrowthStoppedWarning
            If fewer than `n_branches` were added; the message says why.
        """
        check_is_fitted(self)
        self._validate_params()
        check_device(self.device)
        n_branches = check_n_branches(n_branches)
        check_votes(self, self._state)
        reads_out = isinstance(self._state.network, Readout)
        check_checkpoint(checkpoint, reads_out)
        state, added = self._state, ()
        X, y = read(self, state.inputs, X_sel, y_sel)
        if n_branches:
            state, added = admit(state, y, self.new_classes)
        rows = labelled_rows(state.target, X, y, sample_weight, self.class_weight)
        if n_branches and reads_out:
            self._state = read_out(self, state, rows, n_branches)
        elif n_branches:
            check_large_enough(self, state.target, rows.y, stopping_rule(self), "X_sel")
            self._state = state
            self._state = elect(self, state, rows, n_branches, added, checkpoint)
            self._state = with_unfinished(self)
        return self
