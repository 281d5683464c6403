"""What the verbs of a growing estimator share: checking, training, growing, reporting."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
from sklearn.utils import check_random_state

from skgrow._progress import CallbackSupportMixin, fit_task
from skgrow._validation import (
    check_device,
    check_hidden_layers,
    check_labels,
    check_weights,
    selection_too_small,
    stratified_split,
)
from skgrow.bank import BranchBank, features_major
from skgrow.exceptions import GrowthStoppedWarning
from skgrow.growth.clustering import find_clusters
from skgrow.growth.grown import GrownBranches, Network
from skgrow.growth.rounds import GrowthPlan, grow_rounds, n_search_rows
from skgrow.growth.rows import SelectionSet
from skgrow.regions import resolve_regions
from skgrow.scaling import fit_scaler
from skgrow.training import TrainingData, TrainingPlan, train_bank

__all__ = ["GrowingMixin"]

SELECTION_FRACTION = 0.3  # rows that `fit` splits off to grow on
# Growth keeps its rows in memory, and the values of its branches on them.
MAX_SELECTION_ROWS = 100_000
MAX_FEATURES_BYTES = 2**30
EARLY_STOPPING_ROWS = 10_000  # "auto" stops early above this, as scikit-learn does


class GrowingMixin(CallbackSupportMixin):
    """Private steps of the verbs; the estimator holds the parameters.

    Fitted state is replaced, never changed in place: `_network`, `_scaler`, `_regions`,
    `_seed`, `_clusters` (found when first needed), and the public history.
    """

    def _encode(self, X, y, sample_weight):
        """Inputs in the model's dtype, class numbers, weights; rows of weight 0 gone."""
        y_numbers = check_labels(y, self.classes_)
        weight = check_weights(sample_weight, self.class_weight, X, y)
        if "_network" in vars(self) and X.dtype != self._network.bank.dtype:
            X = X.astype(self._network.bank.dtype)
        used = weight > 0
        if not used.all():
            X, y_numbers, weight = X[used], y_numbers[used], weight[used]
        return X, y_numbers, weight

    def _start(self, X, y, weight):
        """A fresh, untrained network for these rows."""
        check_device(self.device)
        random_state = check_random_state(self.random_state)
        self._seed = random_state.randint(2**31 - 1)
        self._regions = resolve_regions(
            self.regions, self.grow_regions, X.shape[1], random_state
        )
        self._scaler = fit_scaler(X, weight, self._regions.shared_scale)
        sizes = check_hidden_layers(self.hidden_layer_sizes)
        bank = BranchBank.random(
            self._regions.base, sizes, len(self.classes_), random_state, X.dtype
        )
        shares = np.bincount(y, weights=weight, minlength=len(self.classes_)) + 1
        intercept = np.log(shares / shares.sum())
        intercept = (intercept - intercept.mean()).astype(X.dtype)
        self._network = Network(bank, GrownBranches.empty(bank), intercept)
        vars(self).pop("_clusters", None)
        self.growth_history_ = []
        self.loss_curve_, self.validation_curve_ = [], []
        self.n_iter_ = 0

    def _train(self, X, y, weight, n_passes=None):
        """Train the base branches; with `n_passes`, at a steady rate and to the end."""
        train, validation = self._training_rows(X, y, weight, n_passes)
        plan = TrainingPlan(
            max_iter=n_passes or self.max_iter,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate_init,
            alpha=self.alpha,
            one_cycle=n_passes is None,
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
        )
        network = self._network
        with fit_task(self, "training", plan.max_iter) as step:
            bank, record = train_bank(
                network.bank,
                train,
                plan,
                validation=validation,
                seed=self._seed + self.n_iter_,
                device=self.device,
                report=lambda *news: self._report_training(plan, step, *news),
            )
        grown = network.grown
        if not len(grown):  # growth will use the branches as they are now
            grown = GrownBranches.empty(bank)
            vars(self).pop("_clusters", None)
        self._network = replace(network, bank=bank, grown=grown)
        self.loss_curve_ = [*self.loss_curve_, *record.loss_curve]
        self.validation_curve_ = [*self.validation_curve_, *record.validation_curve]
        self.n_iter_ += record.n_iter

    def _training_rows(self, X, y, weight, n_passes):
        """Training data, and the rows of early stopping or None."""
        offset = self._network.intercept[None]
        scaled = self._scaler.transform(X)
        if len(self._network.grown):
            offset = self._network.logits(X, self._scaler, self.device)
            offset -= self._network.bank.logits(scaled, self.device)
        stop = self.early_stopping
        if stop == "auto":
            stop = len(y) > EARLY_STOPPING_ROWS
        if n_passes is not None or not stop:
            return TrainingData(scaled, y, weight, offset), None
        # Rows are drawn before training: growth has not begun, one offset serves all.
        parts = stratified_split(y, self.validation_fraction, self._seed)
        return tuple(
            TrainingData(scaled[rows], y[rows], weight[rows], offset) for rows in parts
        )

    def _report_training(self, plan, step, n_done, loss, validation_loss):
        if self.verbose and n_done % max(1, plan.max_iter // 10) == 0:
            held_out = (
                "" if validation_loss is None else f", held out {validation_loss:.4f}"
            )
            print(f"[skgrow] pass {n_done}/{plan.max_iter}: loss {loss:.4f}{held_out}")
        return step()

    def _fit_warm(self, X, y, sample_weight):
        missing = self.n_branches - self.n_branches_
        if missing < 0:
            raise ValueError(
                f"n_branches={self.n_branches} must be larger than or equal to "
                f"n_branches_={self.n_branches_} when warm_start=True."
            )
        return self.grow(X, y, missing, sample_weight)

    def _split_for_growth(self, y):
        """Rows to train on, and rows to grow on when `n_branches` asks for it."""
        everything = np.arange(len(y))
        if self.n_branches:
            base, selection = stratified_split(y, SELECTION_FRACTION, seed=0)
            problem = self._too_small(y[selection])
            if problem is None:
                return base, selection
            self._warn_stopped(0, self.n_branches, problem)
        return everything, everything[:0]

    def _too_small(self, y):
        n_pool = len(y) - round(self.validation_fraction * len(y))
        shares = np.bincount(y) / max(len(y), 1)
        smallest = shares[shares > 0].min(initial=1.0)
        n_verify = n_pool - n_search_rows(n_pool, self.search_rows)
        return selection_too_small(n_verify, smallest, 2 * self.n_verified, self.delta)

    def _grow(self, X, y, weight, n_branches):
        """Grow round by round; every finished round is kept whatever comes after."""
        X, y, weight = self._affordable(X, y, weight)
        pool, held_out = stratified_split(y, self.validation_fraction, self._seed)
        features = features_major(self._scaler.transform(X), self.device)
        weight = weight / weight.mean()
        selection = SelectionSet(features, y, weight, pool, held_out)
        before = self.n_branches_
        reason = None
        try:
            rounds = grow_rounds(
                self._network,
                self._network.logits(X, self._scaler, self.device),
                selection,
                self._growth_plan(),
                n_branches=n_branches,
                seed=self._seed,
                first_round=len(self.growth_history_),
            )
            with fit_task(self, "growth", None) as step:
                for network, record, reason in rounds:
                    self._network = network
                    self.growth_history_ = [*self.growth_history_, record]
                    self._report_round(record)
                    if step():
                        reason = "a callback asked to stop"
                        break
        except KeyboardInterrupt:
            reason = "it was interrupted"
        n_added = self.n_branches_ - before
        if reason is not None and n_added < n_branches:
            self._warn_stopped(n_added, n_branches, reason)
        return self

    def _affordable(self, X, y, weight):
        """A sample of rows where all of them would not fit into memory."""
        n_rows = min(MAX_SELECTION_ROWS, MAX_FEATURES_BYTES // (X[:1].nbytes + 1))
        if len(y) <= n_rows:
            return X, y, weight
        rows, _ = stratified_split(y, 1 - n_rows / len(y), self._seed)
        return X[rows], y[rows], weight[rows]

    def _growth_plan(self):
        network = self._network
        if self.matching != "exhaustive" and "_clusters" not in vars(self):
            self._clusters = find_clusters(
                network.grown.bank,
                seed=self._seed,
                n_jobs=self.n_jobs,
                device=self.device,
            )
        return GrowthPlan(
            regions=self._regions.growth,
            clusters=vars(self).get("_clusters"),
            matching=self.matching,
            round_size=self.round_size,
            delta=self.delta,
            search_regions=self.search_regions,
            search_rows=self.search_rows,
            n_verified=self.n_verified,
            refit=self.refit,
            n_rounds_no_change=self.n_rounds_no_change,
            max_time=self.max_time,
            tol=self.tol,
            n_jobs=self.n_jobs,
        )

    def _report_round(self, record):
        if self.verbose:
            print(
                f"[skgrow] round {record['round'] + 1}: {record['n_branches']} branches, "
                f"{record['n_qualified']} of {record['n_tested']} qualified, loss "
                f"{record['loss']:.4f}, held out {record['held_out_loss']:.4f}, "
                f"{record['seconds']:.1f} s",
                flush=True,
            )

    def _warn_stopped(self, n_added, n_asked, reason):
        warnings.warn(
            f"Growth added {n_added} of {n_asked} branches: {reason}.",
            GrowthStoppedWarning,
            stacklevel=3,
        )
