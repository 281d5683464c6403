"""What the verbs of a trained base network share: starting, training, reporting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.utils import check_random_state

from skgrow._progress import fit_task
from skgrow._validation import check_device, check_hidden_layers, stratified_split
from skgrow.bank import BranchBank
from skgrow.growth.grown import GrownBranches, Network
from skgrow.regions import resolve_regions
from skgrow.scaling import fit_scaler
from skgrow.training import TrainingData, TrainingPlan, train_bank

__all__ = ["TrainingMixin"]

SELECTION_FRACTION = 0.3  # rows that `fit` splits off to grow on
EARLY_STOPPING_ROWS = 10_000  # "auto" stops early above this, as scikit-learn does


class TrainingMixin:
    """Private steps of the verbs that train, beside those of `GrowingMixin`."""

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
        if self.n_branches:
            base, selection = stratified_split(y, SELECTION_FRACTION, seed=0)
            problem = self._too_small(y[selection])
            if problem is None:
                return base, selection
            self._warn_stopped(0, self.n_branches, problem)
        return slice(None), np.arange(0)  # a slice copies nothing
