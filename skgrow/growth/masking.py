"""Masking: a network between two rounds, and how qualified branches join it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from skgrow.growth.grown import Network
from skgrow.growth.rows import SelectionSet, scores_of
from skgrow.growth.screening import threshold_values
from skgrow.growth.selection import select_stagewise
from skgrow.growth.tuning import Masks, fit_masks

__all__ = ["Masking"]

TUNING_STEPS = 30  # L-BFGS-B iterations of a round's masks
REFIT_STEPS = 10  # the same where all masks are then refitted together, as many again
MAX_REFIT_BYTES = 2**29  # of the values of all branches: beyond, on fewer rows


@dataclass(frozen=True)
class Masking:
    """Where growth on the same task stands.

    Attributes
    ----------
    network : Network
    selection : SelectionSet
    logits : ndarray of shape (n_samples, n_classes)
        Of the network on all selection rows.
    refit : bool
        Whether all masks are fitted again after each round.
    """

    network: Network
    selection: SelectionSet
    logits: np.ndarray
    refit: bool

    def scores(self):
        """Loss and accuracy, as the growth history has them."""
        return scores_of(self.logits, self.selection)

    def add(self, qualified, n_picks):
        """Pick, tune and add branches; others take the place of those tuning drops.

        Parameters
        ----------
        qualified : Qualified
        n_picks : int
            Branches to add at most.

        Returns
        -------
        masking : Masking
        n_picked : int
        """
        now, n_before, n_picked = self, len(self.network.grown), 0
        while len(now.network.grown) < n_before + n_picks:
            rows = qualified.rows
            picks = select_stagewise(
                qualified.values, qualified.branches.uses.target, now.logits[rows],
                self.selection.y[rows], self.selection.sample_weight[rows],
                n_picks=n_before + n_picks - len(now.network.grown),
                loss=self.selection.loss,
            )  # fmt: skip
            if not len(picks):
                break
            now = now._tuned(qualified.branches.take(picks))
            left = np.delete(np.arange(len(qualified.branches)), picks)
            qualified = qualified.take(left)
            n_picked += len(picks)
        if self.refit and n_picked:
            now = now._refitted()
        return now, n_picked

    def _tuned(self, new):
        """Fit the masks of new branches, and drop those left at 0."""
        selection = self.selection
        values = threshold_values(new.bank, new.uses, selection.features)
        span = values[:, selection.pool].max(axis=1)
        new = replace(new, span=np.maximum(span, np.finfo(values.dtype).tiny))
        values = new.normalised(values)
        start = Masks.zeros(len(new), self.logits.shape[1])
        steps = REFIT_STEPS if self.refit else TUNING_STEPS
        pool = self.selection.pool
        masks = self._fit(values[:, pool], new, self.logits[pool], start, steps, pool)
        new, values = _with_masks(new, masks, values)
        intercept = masks.intercept.astype(self.logits.dtype)
        network = replace(
            self.network,
            grown=self.network.grown.extended(new),
            intercept=self.network.intercept + intercept,
        )
        logits = self.logits + intercept + _added(new, values)
        return replace(self, network=network, logits=logits)

    def _refitted(self):
        """All masks and the intercept together, a few steps from where they stand.

        Still convex, and still two numbers a branch; only masks and intercept change.
        """
        grown, intercept = self.network.grown, self.network.intercept
        offset = self.logits - self._spoken(grown) - intercept
        rows = self._affordable(len(grown))
        values = threshold_values(
            grown.bank, grown.uses, self.selection.features_of(rows)
        )
        values = grown.normalised(values)
        start = Masks(grown.scale, grown.bias, intercept)
        masks = self._fit(values, grown, offset[rows], start, REFIT_STEPS, rows)
        grown, _ = _with_masks(grown, masks, values[:, :0])
        intercept = masks.intercept.astype(self.logits.dtype)
        network = replace(self.network, grown=grown, intercept=intercept)
        logits = offset + intercept + self._spoken(grown)
        return replace(self, network=network, logits=logits)

    def _spoken(self, grown):
        """Logits `(n_samples, n_classes)` that all grown branches add."""
        runner = grown.runner(self.selection.features.device)
        return runner.logits(self.selection.features).T.cpu().numpy()

    def _affordable(self, n_branches):
        """Rows of the pool, or some of them where the values would be too many."""
        pool = self.selection.pool
        n_bytes = n_branches * len(pool) * self.logits.itemsize
        return pool[:: max(1, -(-n_bytes // MAX_REFIT_BYTES))]

    def _fit(self, values, branches, offset, start, max_iter, rows):
        return fit_masks(
            values, branches.uses.target, offset,
            self.selection.y[rows], self.selection.sample_weight[rows],
            start=start, max_iter=max_iter, loss=self.selection.loss,
        )  # fmt: skip


def _with_masks(branches, masks, values):
    """Branches with their masks; those whose two numbers are 0 are dropped."""
    dtype = branches.bank.dtype
    scale, bias = masks.scale.astype(dtype), masks.bias.astype(dtype)
    alive = (scale > 0) | (bias > 0)
    return replace(branches, scale=scale, bias=bias).take(alive), values[alive]


def _added(branches, values):
    """Logits `(n_rows, n_classes)` that masked values `(n_branches, n_rows)` add."""
    votes = branches.scale[:, None] * values + branches.bias[:, None] * (values > 0)
    to_class = np.eye(branches.bank.n_outputs, dtype=values.dtype)[branches.uses.target]
    return votes.T @ to_class
