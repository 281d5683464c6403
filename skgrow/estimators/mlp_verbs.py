"""The verbs of a dense network that grows while it trains, shared by both estimators."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral, Real
from time import monotonic

import numpy as np
import torch
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skgrow.exceptions import GrowthStoppedWarning
from skgrow.growth.inside.growth_step import GrowthStep
from skgrow.inputs.checks import check_device, check_hidden_layers
from skgrow.inputs.reading import n_codes_of, read, read_first
from skgrow.inputs.scaling import fit_scaler
from skgrow.inputs.splits import CROSS_FIT_FOLDS, folds_of, stratified_split
from skgrow.networks.perceptron import Perceptron
from skgrow.runtime.progress import CallbackSupportMixin, Deadline, fit_task, warn_late
from skgrow.runtime.surroundings import changes
from skgrow.runtime.user_warnings import warn_user
from skgrow.training.dense_training import Rows, mean_loss, train_pass

__all__ = ["MLP_CONSTRAINTS", "MLPMixin"]

EARLY_STOPPING_ROWS = 1000  # "auto" holds rows out above this
FAR_ABOVE = 10.0  # losses of scores of 0: no single pass of a sound learning rate is
UNIT = np.sqrt(12)  # the quantile map is uniform on [-0.5, 0.5]; its deviation is then 1

POSITIVE = Interval(Integral, 1, None, closed="left")
MLP_CONSTRAINTS = {
    "hidden_layer_sizes": ["array-like"],
    "how": "no_validation",  # policies are checked by `GrowthStep.of`
    "where": "no_validation",
    "when": "no_validation",
    "growth_rate": [Interval(Real, 0, None, closed="neither")],
    "max_neurons": [POSITIVE, None],
    "max_layers": [POSITIVE, None],
    "max_parameters": [POSITIVE, None],
    "max_time": [Interval(Real, 0, None, closed="neither"), None],
    "max_iter": [POSITIVE],
    "batch_size": [POSITIVE],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "early_stopping": ["boolean", StrOptions({"auto"})],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [POSITIVE],
    "tol": [Interval(Real, 0, None, closed="left")],
    "warm_start": ["boolean"],
    "random_state": ["random_state"],
    "device": [str],
    "verbose": ["verbose"],
}


@dataclass
class _Course:
    """Where one call of `fit` stands: losses, growths, and the best network so far."""

    deadline: Deadline
    best: Perceptron  # at first, the network before all passes
    losses: list = field(default_factory=list)
    events: list = field(default_factory=list)
    best_loss: float = np.inf
    best_pass: int = 0

    def note(self, loss, net, tol):
        self.losses.append(loss)
        if loss < self.best_loss - tol:
            self.best, self.best_loss, self.best_pass = net, loss, len(self.losses)


class MLPMixin(CallbackSupportMixin):
    """`fit` and `grow`; the estimator says what a target is.

    It has `_learn_target(y, sample_weight)`, `_encode(X, y, sample_weight)` and
    `_n_outputs`.
    """

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
        fresh = not (self.warm_start and "_network" in vars(self))
        rows = self._rows(X, y, sample_weight, fresh)
        self._train(*rows)
        return self

    def _one_pass(self, X, y, sample_weight, fresh, classes=None):
        rows, _ = self._rows(X, y, sample_weight, fresh, False, classes)
        with fit_task(self, "training", 1) as step:
            net, loss = self._pass(self._network, rows)
            step()
        self._network = self._converged(net, loss, rows, FAR_ABOVE)
        self.loss_curve_ = [*self.loss_curve_, loss]
        self.n_iter_ += 1
        return self

    def _rows(self, X, y, sample_weight, fresh, hold_out=True, classes=None):
        """Training rows, and those held out or None; a fresh network where asked."""
        check_device(self.device)
        # What does not fit together is told at once.
        GrowthStep.of(self)
        if fresh:
            X, y = read_first(self, X, y, sample_weight, classes)
            if classes is None:
                self._learn_target(y, sample_weight)
        else:
            X, y = read(self, X, y)
            self._update_target(y, sample_weight)
        X, y, weight = self._encode(X, y, sample_weight)
        self._check_varied(y, is_whole=hold_out)
        scaled = self._start(X, y, weight) if fresh else self._scaled(X)
        stop = self.early_stopping
        if stop == "auto":
            stop = len(y) > EARLY_STOPPING_ROWS
        if not (hold_out and stop):
            return Rows.of(scaled, y, weight, self.device), None
        parts = stratified_split(self._strata(y), self.validation_fraction, self._seed)
        return tuple(Rows.of(scaled[p], y[p], weight[p], self.device) for p in parts)

    def _update_target(self, y, sample_weight):
        """What a regressor learns of the target from rows after the first."""

    def _start(self, X, y, weight):
        """A fresh network; the rows, scaled."""
        sizes = check_hidden_layers(self.hidden_layer_sizes)
        random_state = check_random_state(self.random_state)
        self._seed = random_state.randint(2**31 - 1)
        target = self._strata(y)
        self._scaler = fit_scaler(X, weight, False, target, n_codes_of(self))
        sizes = (X.shape[1], *sizes, self._n_outputs)
        drawn = Perceptron.random(sizes, random_state, X.dtype)
        self._network = GrowthStep.of(self).begin(drawn, random_state)
        self.growth_history_, self.loss_curve_, self.validation_curve_ = [], [], []
        self.n_iter_, self.n_training_multiply_adds_ = 0, 0
        fold = folds_of(len(X), CROSS_FIT_FOLDS, self._seed)
        return self._units(self._scaler.cross_fitted(X, target, weight, fold))

    def _scaled(self, X):
        return self._units(self._scaler.transform(X))

    def _units(self, scaled):
        # Another order in memory would be summed in another order, and round otherwise.
        return np.ascontiguousarray(scaled) * scaled.dtype.type(UNIT)

    def _train(self, rows, held_out):
        course = _Course(Deadline(self.max_time), self._network)
        try:
            self._passes(course, rows, held_out)
            course.best = self._converged(course.best, course.best_loss, rows)
            self._shrink(course, rows, held_out)
        except KeyboardInterrupt:
            if not course.losses:
                raise
            warn_user(
                f"training was interrupted after {len(course.losses)} passes; the best "
                "network so far was kept.",
                GrowthStoppedWarning,
            )
        if course.deadline.missed:
            warn_late(course.deadline)
        self._network = course.best

    def _passes(self, course, rows, held_out):
        """Passes over the rows, and growth between them."""
        when, net = GrowthStep.of(self).when, self._network
        with fit_task(self, "training", self.max_iter) as step:
            for n_done in range(1, self.max_iter + 1):
                net, loss = self._pass(net, rows)
                course.note(self._noted(loss, net, held_out), net, self.tol)
                self._tell(n_done, loss, net)
                stale = n_done - course.best_pass >= self.n_iter_no_change
                if step() or stale or n_done == self.max_iter:
                    break
                left = f"{self.max_iter - n_done} of {self.max_iter} passes"
                if course.deadline.leaves_out(left):
                    break
                if when.due(course.losses, course.events):
                    net = self._event(net, rows, course)

    def _converged(self, net, loss, rows, factor=1.0):
        """A trained network, or that of before where training has diverged.

        It has where the loss of the rows is more than it was, and more than `factor`
        times that of scores that are all 0. `loss` is what the passes have shown.
        """
        flat = factor * float(rows.loss(rows.X.new_zeros(len(rows), self._n_outputs)))
        if loss <= flat:
            return net
        after, before = (mean_loss(one, rows) for one in (net, self._network))
        if after <= max(before, flat) + self.tol:
            return net
        warn_user(
            f"training diverged: the loss of the rows rose from {before:.3g} to "
            f"{after:.3g}; the network of before was kept. Lower learning_rate_init="
            f"{self.learning_rate_init!r}.",
            ConvergenceWarning,
        )
        return self._network

    def _shrink(self, course, rows, held_out):
        """Smaller networks, if `how` makes any, for as long as the loss stays."""
        step, watched = GrowthStep.of(self), rows if held_out is None else held_out
        if not step.shrinks:
            return
        most = mean_loss(course.best, watched) + step.how.tol
        while (smaller := step.smaller(course.best)) is not None:
            start = monotonic()
            if course.deadline.leaves_out("smaller networks"):
                break
            for _ in range(step.how.n_retrain):
                smaller, loss = self._pass(smaller, rows)
                self._noted(loss, smaller, held_out)
            loss = mean_loss(smaller, watched)
            if loss > most:
                break
            most = min(most, loss + step.how.tol)
            seconds, seed = monotonic() - start, self._seed + self.n_iter_
            self._keep(step.record_smaller(course.best, smaller, rows, seed, seconds))
            course.best = smaller

    def _pass(self, net, rows):
        generator = torch.Generator().manual_seed(self._seed + self.n_iter_)
        self.n_training_multiply_adds_ += 3 * net.n_multiply_adds * len(rows)
        return train_pass(
            net, rows, generator, batch_size=self.batch_size,
            learning_rate=self.learning_rate_init, alpha=self.alpha,
        )  # fmt: skip

    def _noted(self, loss, net, held_out):
        self.n_iter_ += 1
        self.loss_curve_ = [*self.loss_curve_, loss]
        if held_out is None:
            return loss
        loss = mean_loss(net, held_out)
        self.validation_curve_ = [*self.validation_curve_, loss]
        return loss

    def _tell(self, n_done, loss, net):
        if self.verbose and n_done % max(1, self.max_iter // 10) == 0:
            print(
                f"[skgrow] pass {n_done}/{self.max_iter}: loss {loss:.4f}, "
                f"hidden layers {net.widths}"
            )

    def _event(self, net, rows, course):
        """The network, grown if the budgets allow it."""
        step = GrowthStep.of(self)
        n_new = step.size(net)
        if not n_new:
            return net
        grown, record = step.take(net, rows, n_new, self._seed + self.n_iter_)
        if self.max_parameters is not None and grown.n_parameters > self.max_parameters:
            return net
        course.events.append(len(course.losses))
        self._keep(record)
        return grown

    def _keep(self, record):
        self.n_training_multiply_adds_ += record["n_multiply_adds"]
        record = {"epoch": self.n_iter_, **record}
        self.growth_history_ = [*self.growth_history_, record]

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
        step = GrowthStep.of(self)
        n_new = step.asked(self._network, n_neurons, n_layers)
        X, y = read(self, X_sel, y_sel)
        if n_new:
            self._update_target(y, sample_weight)
        X, y, weight = self._encode(X, y, sample_weight)
        rows = Rows.of(self._scaled(X), y, weight, self.device)
        if not n_new:
            return self
        grown, record = step.take(self._network, rows, n_new, self._seed + self.n_iter_)
        most = self.max_parameters
        if most is not None and grown.n_parameters > most:
            raise ValueError(
                f"the network would have {grown.n_parameters} parameters, more than "
                f"max_parameters={most}; raise it or add less."
            )
        self._network = grown
        self._keep(record)
        return self

    @property
    def hidden_layer_sizes_(self):
        """Units of each hidden layer now, residual blocks included."""
        return self._fitted("_network").widths

    @property
    def n_parameters_(self):
        """Trained numbers."""
        return self._fitted("_network").n_parameters

    @property
    def _dtype(self):
        return self._network.dtype

    def _scores(self, X, device):
        return self._network.logits(self._scaled(X), device)
