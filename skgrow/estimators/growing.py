"""What the verbs of every growing estimator share: checking, growing, reporting."""

from __future__ import annotations

import numpy as np
from sklearn.utils import assert_all_finite

from skgrow.exceptions import GrowthStoppedWarning
from skgrow.files.checkpoint import Checkpoint, fitted_state
from skgrow.growth.reuse.clustering import find_clusters
from skgrow.growth.reuse.qualification import selection_too_small
from skgrow.growth.reuse.rounds import GrowthPlan, Progress, grow_rounds, n_search_rows
from skgrow.growth.reuse.selection_rows import SelectionSet
from skgrow.inputs.checks import check_labels, check_weights
from skgrow.inputs.reading import check_gaps
from skgrow.inputs.splits import CROSS_FIT_FOLDS, folds_of, stratified_split
from skgrow.networks.forward import features_major
from skgrow.runtime.progress import CallbackSupportMixin, fit_task
from skgrow.runtime.user_warnings import warn_user
from skgrow.training.losses import CROSS_ENTROPY

__all__ = ["GrowingMixin"]

# Growth keeps its rows in memory, and the values of its branches on them.
MAX_SELECTION_ROWS = 100_000
MAX_FEATURES_BYTES = 2**30


class GrowingMixin(CallbackSupportMixin):
    """Private steps of the verbs; the estimator holds the parameters.

    Fitted state is replaced, never changed in place: `_network`, `_scaler`, `_regions`,
    `_seed`, `_clusters` (found when first needed), and the public history.
    """

    def _encode(self, X, y, sample_weight):
        """Inputs, class numbers and weights; rows of weight 0 are gone."""
        y_numbers = check_labels(y, self.classes_)
        weight = check_weights(sample_weight, self.class_weight, X, y)
        used = weight > 0
        if not used.all():
            X, y_numbers, weight = X[used], y_numbers[used], weight[used]
        return X, y_numbers, weight

    def _check_varied(self, y):
        """Class numbers of the rows of positive weight must differ."""
        if len(self.classes_) < 2:
            raise ValueError(
                "The number of classes has to be greater than one; got 1 class: "
                f"{self.classes_[0]!r}."
            )
        if (y == y[0]).all():
            raise ValueError(
                "Rows of more than one class must have a positive weight; all are of "
                f"class {self.classes_[y[0]]!r}."
            )

    def _too_small(self, y):
        n_pool = len(y) - round(self._held_out_share(len(y)) * len(y))
        smallest = self._smallest_share(y)
        n_verify = n_pool - n_search_rows(n_pool, self.search_rows)
        return selection_too_small(n_verify, smallest, 2 * self.n_verified, self.delta)

    def _held_out_share(self, n_rows):
        """Of the rows, to stop growth by."""
        return self.validation_fraction

    def _patience(self):
        """Rounds without a fall of the held-out loss that end growth."""
        return self.n_rounds_no_change

    def _n_errors(self):
        """Standard errors that a fall of the held-out loss must be more than."""
        return 0.0

    @property
    def _loss(self):
        return CROSS_ENTROPY

    @property
    def _n_outputs(self):
        return len(self.classes_)

    def _smallest_share(self, y):
        """Of the rows of a class."""
        shares = np.bincount(y) / max(len(y), 1)
        return shares[shares > 0].min(initial=1.0)

    def _check_large_enough(self, y, name):
        problem = self._too_small(y)
        if problem:
            raise ValueError(f"{name}: {problem}.")

    def _grow(
        self, X, y, weight, n_branches, stand, checkpoint=None, *, vote=False,
        targets=None, time_spent=0.0,
    ):  # fmt: skip
        """Grow round by round; every finished round is kept whatever comes after.

        `stand` makes where growth stands out of the selection set and its raw inputs.
        Returns the indices of the rows that were held out.
        """
        rows = self._affordable(X, y)
        if len(rows) < len(y):  # of a memory map, no other row is touched
            X, y, weight = X[rows], y[rows], weight[rows]
        name = type(self).__name__
        assert_all_finite(X, allow_nan=True, estimator_name=name, input_name="X")
        check_gaps(self, X)
        file, progress, n_before = None, None, self.n_branches_
        if checkpoint is not None:
            file = Checkpoint(checkpoint, self, (X, y, weight), n_branches, targets)
            progress = file.resume(self)
            n_before = file.n_before
        share = self._held_out_share(len(y))
        pool, held_out = stratified_split(y, share, self._seed)
        # These may be the rows of `fit`, whose targets the order of categories has seen.
        fold = folds_of(len(y), CROSS_FIT_FOLDS, self._seed)
        scaled = self._scaler.cross_fitted(X, y, weight, fold)
        features = features_major(scaled, self.device)
        weight = weight / weight.mean()
        selection = SelectionSet(features, y, weight, pool, held_out, self._loss)
        if progress is None:
            progress = Progress.of(stand(selection, X))
        else:
            progress = progress.with_selection(selection)
        rounds = grow_rounds(
            progress,
            selection,
            self._growth_plan(vote=vote, targets=targets, time_spent=time_spent),
            wanted=n_before + n_branches,
            seed=self._seed,
            first_round=len(self.growth_history_),
        )
        reason = self._run(rounds, file)
        n_added = self.n_branches_ - n_before
        vars(self).pop("_unfinished", None)
        if file is not None and n_added < n_branches:
            self._unfinished = file.call
        if n_added < n_branches:
            reason = reason or "its checkpoint says that the held-out rows ended it"
            self._warn_stopped(n_added, n_branches, reason)
        return rows[held_out]

    def _sign_unfinished(self):
        """Note the state that a call of `grow` ends with, if its checkpoint has more."""
        call = vars(self).pop("_unfinished", None)
        if call is not None:
            self._unfinished = call, fitted_state(self)

    def _run(self, rounds, file):
        """Do the rounds; why they ended, if not because enough branches are there."""
        why = None
        try:
            with fit_task(self, "growth", None) as step:
                for progress, record, reason in rounds:
                    why = reason
                    self._network = progress.network
                    self.growth_history_ = [*self.growth_history_, record]
                    if file is not None:
                        file.write(self, progress)
                    self._report_round(record)
                    if step():
                        return "a callback asked to stop"
        except KeyboardInterrupt:
            return "it was interrupted"
        return why

    def _affordable(self, X, y):
        """Indices of the rows to grow on: a sample where not all fit into memory."""
        n_rows = min(MAX_SELECTION_ROWS, MAX_FEATURES_BYTES // (X[:1].nbytes + 1))
        if len(y) <= n_rows:
            return np.arange(len(y))
        return stratified_split(y, 1 - n_rows / len(y), self._seed)[0]

    def _growth_plan(self, **how):
        network = self._network
        # Replicas of a branch do the same: those of the first one serve as sources.
        n_sources = network.grown.bank.n_branches // vars(self).get("_n_replicas", 1)
        if self.matching != "exhaustive" and "_clusters" not in vars(self):
            self._clusters = find_clusters(
                network.grown.bank.take(slice(n_sources)),
                seed=self._seed,
                n_jobs=self.n_jobs,
                device=self.device,
            )
        return GrowthPlan(
            n_sources=n_sources,
            regions=self._regions.growth,
            signs=self._regions.signs,
            clusters=vars(self).get("_clusters"),
            matching=self.matching,
            round_size=self.round_size,
            delta=self.delta,
            search_regions=self.search_regions,
            search_rows=self.search_rows,
            n_verified=self.n_verified,
            n_rounds_no_change=self._patience(),
            max_time=self.max_time,
            tol=self.tol,
            n_errors=self._n_errors(),
            n_jobs=self.n_jobs,
            **how,
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
        warn_user(
            f"Growth added {n_added} of {n_asked} branches: {reason}.",
            GrowthStoppedWarning,
        )
