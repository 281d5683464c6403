"""What the verbs of a trained base network share: starting, training, reporting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from skgrow.inputs.checks import check_device, check_hidden_layers
from skgrow.inputs.reading import n_codes_of
from skgrow.inputs.regions import Regions, resolve_regions
from skgrow.inputs.scaling import fit_scaler
from skgrow.inputs.splits import folds_of, stratified_split
from skgrow.networks.bank import BranchBank
from skgrow.networks.grown import GrownBranches, Network
from skgrow.runtime.progress import fit_task
from skgrow.runtime.user_warnings import warn_user
from skgrow.training.bank_shrinkage import shrunk
from skgrow.training.bank_training import TrainingData, TrainingPlan, train_bank
from skgrow.training.curve_fitting import fit_curves
from skgrow.training.pair_screen import residual_interactions
from skgrow.training.replicas import replica_inputs, replica_shares
from skgrow.training.surface_fitting import fit_surfaces

__all__ = ["TrainingMixin"]

# Hidden layers by default: those of the paper for patches of an image; for one or two
# columns of a table fewer and wider layers were better and faster.
NARROW, SHALLOW, FEW_COLUMNS = (9, 9, 9, 9), (16, 16), 2
SELECTION_FRACTION = 0.3  # rows that `fit` splits off to grow on
EARLY_STOPPING_ROWS = 10_000  # "auto" stops early above this, as scikit-learn does
PAIRS_PER_COLUMN, MAX_PAIRS = 2, 64  # that "auto" trains a branch for
LEAST_FOLDS = 4  # of which each has categories in an order learned from the others
MAX_GROWN_PAIRS = 500  # and those that growth looks at, in both orders


class TrainingMixin:
    """Private steps of the verbs that train, beside those of `GrowingMixin`."""

    def _start(self, X, y, weight, deadline, with_curves=True):
        """A fresh network for these rows, its branches untrained."""
        check_device(self.device)
        random_state = check_random_state(self.random_state)
        self._seed = random_state.randint(2**31 - 1)
        self._regions = resolve_regions(
            self.regions, self.grow_regions, X.shape[1], random_state
        )
        shared_scale = self._regions.shared_scale
        self._scaler = fit_scaler(X, weight, shared_scale, y, n_codes_of(self))
        curves = surfaces = None
        intercept = self._first_intercept(y, weight).astype(X.dtype)
        if with_curves and self._wants_curves():
            curves, surfaces, intercept = self._fit_shapes(X, y, weight, deadline)
            logits = curves.logits(X) + intercept
            if surfaces is not None:
                logits += surfaces.logits(X)
            self._regions = self._interaction_regions(X, y, weight, logits)
        sizes = self._hidden_layers(self._regions.base.shape[1])
        self._n_replicas = 1 if curves is None else self._affordable_replicas(y)
        columns = np.tile(self._regions.base, (self._n_replicas, 1))
        bank = BranchBank.random(columns, sizes, len(intercept), random_state, X.dtype)
        grown = GrownBranches.empty(bank)
        self._network = Network(bank, grown, intercept, curves, surfaces)
        vars(self).pop("_clusters", None)
        self.growth_history_ = []
        self.loss_curve_, self.validation_curve_ = [], []
        self.n_iter_ = 0

    def _hidden_layers(self, region_size):
        sizes = self.hidden_layer_sizes
        if isinstance(sizes, str):
            sizes = NARROW if region_size > FEW_COLUMNS else SHALLOW
        return check_hidden_layers(sizes)

    def _first_intercept(self, y, weight):
        shares = np.bincount(y, weights=weight, minlength=len(self.classes_)) + 1
        intercept = np.log(shares / shares.sum())
        return intercept - intercept.mean()

    def _affordable_replicas(self, y):
        """On few rows, none can be left out."""
        return self.n_replicas if len(y) > self.batch_size else 1

    def _chooses_regions(self):
        return isinstance(self.regions, str) and self.regions == "auto"

    def _wants_curves(self):
        return self._chooses_regions() if isinstance(self.curves, str) else self.curves

    def _fit_shapes(self, X, y, weight, deadline):
        """Curves of columns, surfaces of pairs or None, and the intercept."""
        categorical = n_codes_of(self) > 0
        curves, intercept, left_out = fit_curves(
            X, y, weight, categorical, self._loss,
            n_classes=self._n_outputs,
            n_replicas=self._affordable_replicas(y),
            seed=self._seed, n_jobs=self.n_jobs,
        )  # fmt: skip
        if not self._wants_pairs(X) or left_out is None:
            return curves, None, intercept
        if deadline.leaves_out("surfaces of pairs"):
            return curves, None, intercept
        surfaces, level = fit_surfaces(
            X, self._scaler, y, weight, categorical, self._loss, left_out,
            n_jobs=self.n_jobs,
        )  # fmt: skip
        return curves, surfaces, intercept + level

    def _wants_pairs(self, X):
        return self._chooses_regions() and X.shape[1] > 1

    def _interaction_regions(self, X, y, weight, logits):
        """Regions of the pairs of columns with the strongest residual interactions."""
        # On few rows the screen would be noise.
        if not self._wants_pairs(X) or len(y) <= self.batch_size:
            return self._regions
        scaled = self._cross_fitted(X, y, weight)
        left = self._loss.residual(logits, y, weight / weight.mean())
        pairs = residual_interactions(scaled, left, MAX_GROWN_PAIRS)
        if not len(pairs):
            return self._regions
        growth = self._regions.growth
        if self.grow_regions is None:
            growth = np.concatenate([pairs, pairs[:, ::-1]])
        n_base = min(PAIRS_PER_COLUMN * X.shape[1], MAX_PAIRS)
        return Regions(pairs[:n_base], growth, shared_scale=False)

    def _cross_fitted(self, X, y, weight):
        """Scaled rows of a first fit, see `QuantileScaler.cross_fitted`."""
        n_folds = max(self._affordable_replicas(y), LEAST_FOLDS)
        fold = folds_of(len(y), n_folds, self._seed)
        return self._scaler.cross_fitted(X, y, weight, fold)

    def _train(self, X, y, weight, deadline, n_passes=None, fresh=True):
        """Train the base branches; with `n_passes`, at a steady rate and to the end."""
        regions, train, validation = self._training_rows(X, y, weight, n_passes, fresh)
        plan = TrainingPlan(
            max_iter=n_passes or self.max_iter,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate_init,
            alpha=self.alpha,
            one_cycle=n_passes is None,
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            loss=self._loss,
        )
        network = self._network
        with fit_task(self, "training", plan.max_iter) as step:
            bank, record = train_bank(
                replace(network.bank, regions=regions),
                train,
                plan,
                validation=validation,
                seed=self._seed + self.n_iter_,
                device=self.device,
                report=lambda *news: self._report_training(plan, step, deadline, *news),
            )
        if record.problem is not None:
            warn_user(
                f"{record.problem}; those that were better were scaled down and kept. "
                f"Lower learning_rate_init={self.learning_rate_init!r} or give fewer "
                "regions.",
                ConvergenceWarning,
            )
        if train.share is not None:  # then it holds all rows
            beside = replace(train, offset=self._offset(X, network))
            bank = shrunk(bank, beside, self._loss, self.device)
        bank = replace(bank, regions=network.bank.regions)
        grown = network.grown
        if not len(grown):  # growth will use the branches as they are now
            grown = GrownBranches.empty(bank)
            vars(self).pop("_clusters", None)
        self._network = replace(network, bank=bank, grown=grown)
        self.loss_curve_ = [*self.loss_curve_, *record.loss_curve]
        self.validation_curve_ = [*self.validation_curve_, *record.validation_curve]
        self.n_iter_ += record.n_iter

    def _training_rows(self, X, y, weight, n_passes, fresh):
        """Regions of the branches in the training data, and rows to stop by or None.

        Where every row is left out by a replica, none has to be held out of all.
        """
        network, share = self._network, None
        regions = network.bank.regions
        if n_passes is None and self._n_replicas > 1:
            share = replica_shares(len(y), self._n_replicas, self._seed)
            scaled, regions = replica_inputs(self._scaler, X, y, weight, share, regions)
            # Beside surfaces, branches would learn no shapes that growth could use
            # again; their shrinkage there is fitted once they are trained.
            network = replace(network, surfaces=None)
        else:
            scaled = (
                self._cross_fitted(X, y, weight) if fresh else self._scaler.transform(X)
            )
        offset = self._offset(X, network)
        everything = TrainingData(scaled, y, weight, offset, share)
        stop = self.early_stopping
        if stop == "auto":
            few = self.batch_size if network.curves is not None else EARLY_STOPPING_ROWS
            stop = len(y) > few
        if n_passes is not None or not stop:
            return regions, everything, None
        if share is not None:
            return regions, everything, everything
        parts = stratified_split(y, self.validation_fraction, self._seed)
        return regions, *(everything.take(rows) for rows in parts)

    def _offset(self, X, network):
        """Logits of all that is not trained with the bank, or one row of them."""
        if len(network.grown) or network.curves is not None:
            return network.logits(X, self._scaler, self.device, with_bank=False)
        return network.intercept[None]

    def _report_training(self, plan, step, deadline, n_done, loss, validation_loss):
        if self.verbose and n_done % max(1, plan.max_iter // 10) == 0:
            held_out = (
                "" if validation_loss is None else f", held out {validation_loss:.4f}"
            )
            print(f"[skgrow] pass {n_done}/{plan.max_iter}: loss {loss:.4f}{held_out}")
        left = plan.max_iter - n_done
        late = left and deadline.leaves_out(f"{left} of {plan.max_iter} passes")
        return step() or late

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
