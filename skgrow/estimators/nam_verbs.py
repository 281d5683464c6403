"""The verbs of a neural additive model, shared by classifier and regressor."""

from __future__ import annotations

from numbers import Integral, Real

from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skgrow.estimators.explaining import ExplainingMixin
from skgrow.estimators.growing import GrowingMixin
from skgrow.estimators.training_steps import TrainingMixin
from skgrow.growth.reuse.mask_state import Masking
from skgrow.inputs.checks import check_device, check_n_branches
from skgrow.inputs.reading import read, read_first
from skgrow.inputs.regions import ImagePatches
from skgrow.runtime.progress import Deadline, warn_late
from skgrow.runtime.surroundings import changes, reads

__all__ = ["CONSTRAINTS", "NAMMixin"]

CONSTRAINTS = {
    "regions": [
        StrOptions({"auto", "features", "pairs"}),
        ImagePatches,
        "array-like",
    ],
    "grow_regions": [
        StrOptions({"auto", "features", "pairs"}),
        ImagePatches,
        "array-like",
        None,
    ],
    "curves": ["boolean", StrOptions({"auto"})],
    "n_replicas": [Interval(Integral, 1, None, closed="left")],
    "hidden_layer_sizes": ["array-like", StrOptions({"auto"})],
    "n_branches": [Interval(Integral, 0, None, closed="left")],
    "matching": [StrOptions({"both", "clusters", "exhaustive"})],
    "round_size": [Interval(Integral, 1, None, closed="left")],
    "delta": [Interval(Real, 0, 1, closed="neither")],
    "search_regions": [Interval(Integral, 1, None, closed="left")],
    "search_rows": [Interval(Integral, 1, None, closed="left")],
    "n_verified": [Interval(Integral, 1, None, closed="left")],
    "refit": ["boolean"],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "early_stopping": ["boolean", StrOptions({"auto"})],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "n_rounds_no_change": [
        StrOptions({"auto"}),
        Interval(Integral, 1, None, closed="left"),
    ],
    "max_time": [Interval(Real, 0, None, closed="neither"), None],
    "tol": [Interval(Real, 0, None, closed="left")],
    "warm_start": ["boolean"],
    "random_state": ["random_state"],
    "n_jobs": [Integral, None],
    "device": [str],
    "verbose": ["verbose"],
}

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


class NAMMixin(GrowingMixin, TrainingMixin, ExplainingMixin):
    """`fit` and `grow`; the estimator says what a target is.

    It has `_learn_target(y, sample_weight)`, `_encode(X, y, sample_weight)` and
    `_check_varied(y)`, the loss `_loss`, `_n_outputs` and `_output_names`.
    """

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
        if self.warm_start and "_network" in vars(self):
            return self._fit_warm(X, y, sample_weight)
        vars(self).pop("_network", None)  # nor is its dtype kept
        X, y = read_first(self, X, y, sample_weight)
        self._learn_target(y, sample_weight)
        X, y, weight = self._encode(X, y, sample_weight)
        self._check_varied(y)
        base, selection = self._split_for_growth(y)
        deadline = Deadline(self.max_time)
        self._start(X[base], y[base], weight[base], deadline)
        self._train(X[base], y[base], weight[base], deadline)
        if len(selection) and not deadline.leaves_out("growth"):
            rows = (X[selection], y[selection], weight[selection])
            self._grow(*rows, self.n_branches, self._masking, time_spent=deadline.spent)
        if deadline.missed:
            warn_late(deadline)
        return self

    def _one_pass(self, X, y, sample_weight, fresh):
        check_device(self.device)
        X, y, weight = self._encode(X, y, sample_weight)
        if fresh:
            self._start(X, y, weight, Deadline(), with_curves=False)
        self._train(X, y, weight, Deadline(), n_passes=1, fresh=fresh)
        return self

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
            process too, continues where the file stands and ends with the model of an
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
        X, y = read(self, X_sel, y_sel, ensure_all_finite=False)
        if n_branches:
            self._update_target(y, sample_weight)
        X, y, weight = self._encode(X, y, sample_weight)
        if not n_branches:
            return self
        self._check_large_enough(y, "X_sel")
        self._grow(X, y, weight, n_branches, self._masking, checkpoint)
        self._sign_unfinished()
        return self

    def _update_target(self, y, sample_weight):
        """What a regressor learns of the target from rows after the first."""

    def _held_out_share(self, n_rows):
        share = super()._held_out_share(n_rows)
        if self._is_on_curves():
            share = max(share, min(JUDGING_SHARE, JUDGING_ROWS / max(n_rows, 1)))
        return share

    def _patience(self):
        if self.n_rounds_no_change != "auto":
            return self.n_rounds_no_change
        return PATIENCE_BESIDE_PAIRS if self._holds_chosen_pairs() else PATIENCE

    def _n_errors(self):
        return ERRORS_BESIDE_PAIRS if self._holds_chosen_pairs() else super()._n_errors()

    def _is_on_curves(self):
        network = vars(self).get("_network")  # `partial_fit` makes one without curves
        return self._wants_curves() if network is None else network.curves is not None

    def _holds_chosen_pairs(self):
        """Whether the base has the pairs that a screen chose, where rows allowed one."""
        return self._chooses_regions() and self._is_on_curves()

    def _masking(self, selection, X):
        logits = self._network.logits(X, self._scaler, self.device)
        return Masking(self._network, selection, logits, self.refit)

    @property
    def bank_(self):
        """The base branches, a `BranchBank`."""
        return self._fitted("_network").bank

    @property
    @reads
    def n_parameters_(self):
        """Trained numbers: branches, curves, surfaces, two a grown branch, intercepts."""
        network = self._fitted("_network")
        banks = {id(bank): bank for bank in (network.bank, network.grown.bank)}
        trained = sum(bank.n_parameters for bank in banks.values())
        trained += sum(part.n_parameters for part in network.shapes)
        fixed = not network.shapes and not self.n_branches_
        n_intercepts = 0 if fixed else self._n_outputs
        return trained + 2 * self.n_branches_ + n_intercepts
