"""`fit`, `grow` and passes of additive networks: methods that estimators take."""

from __future__ import annotations

from dataclasses import replace

from sklearn.base import _fit_context
from sklearn.utils.validation import check_is_fitted

from skgrow.estimators.additive_steps import chooses_regions, start, train, wants_curves
from skgrow.estimators.reuse_steps import (
    MaskedUses,
    StoppingRule,
    check_large_enough,
    too_small,
    warn_stopped,
    with_unfinished,
)
from skgrow.estimators.reuse_steps import grow as grown
from skgrow.inputs.checks import check_device, check_n_branches
from skgrow.inputs.labelled_rows import labelled_rows
from skgrow.inputs.reading import read, read_first
from skgrow.inputs.splits import stratified_split
from skgrow.runtime.progress import Deadline, warn_late
from skgrow.runtime.surroundings import changes

__all__ = ["first_pass", "fit", "grow", "next_pass"]

SELECTION_FRACTION = 0.3  # rows that `fit` splits off to grow on
# What growth adds to curves is small: few rows would take noise for it. On inner
# divisions of small tables a tenth of the rows let harm pass, a quarter did not.
JUDGING_ROWS, JUDGING_SHARE = 1500, 1 / 4
# Rounds without a fall of the held-out loss. Beside pairs that a screen has chosen, what
# the first round does not find the next do not either; each gives noise one more chance.
PATIENCE, PATIENCE_BESIDE_PAIRS = 3, 1
# Standard errors that a fall of the held-out loss must be more than. On 800 rows of a
# table growth did harm without, beside chosen pairs; with two it missed the gain that
# magic_gamma has. On curves and a few pairs of the user's own it missed far more.
ERRORS_BESIDE_PAIRS = 1.0


@_fit_context(prefer_skip_nested_validation=True)
@changes
def fit(self, X, y, sample_weight=None):
    """Train the base branches, and grow `n_branches` if that is not 0.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
        Inputs on any scale, NaN where a value is missing. Columns of a frame or of
        an array of objects may hold text, categories and booleans too;
        neither with `ImagePatches`.
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
        If fewer than `n_branches` were added, or `max_time` passed before the end;
        the message says why, or what was left out.
    ConvergenceWarning
        If training diverged; the branches are then scaled down to where they do
        least harm.
    """
    check_n_branches(self.n_branches)
    if self.warm_start and self._is_fitted:
        return _fit_warm(self, X, y, sample_weight)
    X, y, table = read_first(self, X, y, sample_weight)
    target = self._learn_target(y, sample_weight)
    rows = labelled_rows(target, X, y, sample_weight, self._class_weight)
    target.check_varied(rows.y)
    rule = _rule(self, on_curves=wants_curves(self))
    base, selection = _split_for_growth(self, target, rows, rule)
    deadline = Deadline(self.max_time)
    self._state, base = start(self, table, target, base, deadline)
    self._state = train(self, self._state, base, deadline)
    if selection is not None and not deadline.leaves_out("growth"):
        rule, spent = _rule(self, on_curves=_has_curves(self)), deadline.spent
        joining = MaskedUses(self.refit)
        self._state, _ = grown(
            self, self._state, selection, self.n_branches, joining, rule, spent=spent
        )
    if deadline.missed:
        warn_late(deadline)
    return self


def _fit_warm(self, X, y, sample_weight):
    missing = self.n_branches - self.n_branches_
    if missing < 0:
        raise ValueError(
            f"n_branches={self.n_branches} must be larger than or equal to "
            f"n_branches_={self.n_branches_} when warm_start=True."
        )
    return self.grow(X, y, missing, sample_weight)


def _split_for_growth(self, target, rows, rule):
    """Rows to train on, and rows to grow on or None, as `n_branches` asks for it."""
    if not self.n_branches:
        return rows, None
    base, selection = stratified_split(rows.y, SELECTION_FRACTION, seed=0)
    problem = too_small(self, target, rows.y[selection], rule)
    if problem is None:
        return rows.take(base), rows.take(selection)
    warn_stopped(0, self.n_branches, problem)
    return rows, None


def first_pass(self, X, y, sample_weight, learn, classes=None):
    """The state of a new network after one pass, without curves.

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
    check_device(self.device)
    X, y, table = read_first(self, X, y, sample_weight, classes)
    target = learn(y, sample_weight)
    rows = labelled_rows(target, X, y, sample_weight, self._class_weight)
    target.check_varied(rows.y, is_whole=False)
    state, rows = start(self, table, target, rows)
    return train(self, state, rows, Deadline(), n_passes=1)


def next_pass(self, X, y, sample_weight):
    """The state after one more pass over new rows."""
    check_device(self.device)
    state = self._state
    X, y = read(self, state.inputs, X, y)
    state = replace(state, target=state.target.updated(y, sample_weight))
    rows = labelled_rows(state.target, X, y, sample_weight, self._class_weight)
    return train(self, state, rows, Deadline(), n_passes=1, fresh=False)


@changes
def grow(self, X_sel, y_sel, n_branches, sample_weight=None, checkpoint=None):
    """Add branches that pass the tests on labelled rows; train nothing else.

    Interrupting (Ctrl-C) keeps the rounds that are done.

    Parameters
    ----------
    X_sel : array-like of shape (n_samples, n_features)
        Selection rows. The training rows will do, fresh rows are better.
    y_sel : array-like of shape (n_samples,)
        Labels among `classes_`, or numbers for a regressor.
    n_branches : int
        Branches to add at most. Fewer are added, with a warning, when no more
        qualify or the held-out loss stops falling.
    sample_weight : array-like of shape (n_samples,), default=None
    checkpoint : str or path-like, default=None
        File that is written after each round. The same call made again, in another
        process too, goes on from the last round there and ends with the model of an
        unbroken run; after the last round it returns at once.

    Returns
    -------
    self : estimator

    Raises
    ------
    ValueError
        If an input cannot be used, or there are too few rows to test anything; the
        model is then left as it was.
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
    # Rows may be sampled; those that growth uses are checked there.
    X, y = read(self, self._state.inputs, X_sel, y_sel, ensure_all_finite=False)
    target = self._state.target
    if n_branches:
        target = target.updated(y, sample_weight)
    rows = labelled_rows(target, X, y, sample_weight, self._class_weight)
    if not n_branches:
        return self
    rule = _rule(self, on_curves=_has_curves(self))
    check_large_enough(self, target, rows.y, rule, "X_sel")
    self._state = replace(self._state, target=target)
    joining = MaskedUses(self.refit)
    self._state, _ = grown(self, self._state, rows, n_branches, joining, rule, checkpoint)
    self._state = with_unfinished(self)
    return self


def _has_curves(self):
    """`partial_fit` makes a network without, whatever the parameters are."""
    return self._state.network.curves is not None


def _rule(self, on_curves):
    """How much of the rows growth holds out, and when it stops."""
    # Whether the base has pairs that a screen chose, where rows allowed one.
    beside_pairs = chooses_regions(self) and on_curves
    n_rounds = self.n_rounds_no_change
    if n_rounds == "auto":
        # Without surfaces the pairs are left to branches, and rounds go on finding some.
        few = beside_pairs and self.surfaces
        n_rounds = PATIENCE_BESIDE_PAIRS if few else PATIENCE
    n_errors = ERRORS_BESIDE_PAIRS if beside_pairs else 0.0
    least = (JUDGING_ROWS, JUDGING_SHARE) if on_curves else (0, 0.0)
    return StoppingRule(self.validation_fraction, n_rounds, n_errors, *least)
