"""Private steps of the verbs of an election: electing, counting, admitting classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.utils import check_random_state

from skgrow.estimators.growing import GrowingMixin
from skgrow.growth.transfer.source_banks import source_bank
from skgrow.growth.transfer.temperature import fit_temperature
from skgrow.growth.transfer.vote_state import Counting
from skgrow.inputs.checks import check_device
from skgrow.inputs.reading import n_codes_of
from skgrow.inputs.regions import transfer_regions
from skgrow.inputs.scaling import fit_scaler
from skgrow.networks.votes import Electorate, Tally

__all__ = ["ElectingMixin"]


class ElectingMixin(GrowingMixin):
    """What `fit`, `partial_fit` and `grow` do once their input is read."""

    def _forget(self):
        """What an earlier fit left, so that nothing of it is taken up again."""
        for name in ("_network", "_clusters"):
            vars(self).pop(name, None)

    def _first_election(self, X, y, sample_weight):
        """Learn regions and scale of a new task, and elect `n_branches` for it."""
        check_device(self.device)
        bank = source_bank(self.source, self.use_grown, X.dtype)
        if len(X) < len(self.classes_):
            raise ValueError(
                f"X has {len(X)} rows (n_samples={len(X)}) for {len(self.classes_)} "
                "classes; give at least one row of each class."
            )
        X, y, weight = self._encode(X, y, sample_weight)
        self._check_varied(y)
        random_state = check_random_state(self.random_state)
        self._seed = random_state.randint(2**31 - 1)
        region_size = bank.regions.shape[1]
        self._regions = transfer_regions(
            self.regions, region_size, X.shape[1], random_state
        )
        self._scaler = fit_scaler(
            X, weight, self._regions.shared_scale, y, n_codes_of(self)
        )
        shares = np.bincount(y, weights=weight, minlength=len(self.classes_))
        self._network = Electorate.empty(bank, shares, self.standardise)
        self._source_classes = np.arange(bank.n_outputs)
        self.growth_history_ = []
        if not self.n_branches:
            return
        problem = self._too_small(y)
        if problem is None:
            self._elect(X, y, weight, self.n_branches, ())
        else:
            self._warn_stopped(0, self.n_branches, problem)

    def _elect(self, X, y, weight, n_branches, targets, checkpoint=None):
        """Add branches; then count all votes on all rows and fit the temperature."""
        before = self._network
        targets = np.asarray(targets) if len(targets) else None
        if targets is not None:  # new classes have no share yet
            self._network = before.with_rows(y, weight)

        def counting(selection, X):
            return Counting.of(
                self._network, selection, targets, X, self._scaler, self.device
            )

        held_out = self._grow(
            X, y, weight, n_branches, counting, checkpoint, vote=True, targets=targets
        )
        network = self._network
        sums = network.class_sums(X, self._scaler, self.device)
        tally = Tally.of(sums, y, weight)
        if targets is not None:  # all other votes count as they did
            tally = before.tally.replaced(tally, targets)
            self._network = replace(network, tally=tally)
            return
        network = replace(network, tally=tally)
        if len(network.grown):
            network = fit_temperature(
                network, sums[held_out], y[held_out], weight[held_out]
            )
        self._network = network

    def _count(self, X, y, weight):
        """Add rows to the statistics of the votes."""
        network = self._network
        sums = network.class_sums(X, self._scaler, self.device)
        tally = network.tally + Tally.of(sums, y, weight)
        self._network = replace(network, tally=tally)

    def _admit(self, y):
        """Numbers of the classes of `y` that are new, which are added when allowed."""
        if self.new_classes == "error" or y.dtype.kind != self.classes_.dtype.kind:
            return ()
        classes = np.union1d(self.classes_, y)
        place = np.searchsorted(classes, self.classes_)
        added = np.setdiff1d(np.arange(len(classes)), place)
        if len(added):
            self._network = self._network.with_classes(len(classes), place)
            self.classes_ = classes
        return added
