"""Masking: a network between two rounds, and how qualified branches join it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from skgrow.growth.reuse.mask_fitting import Masks, fit_masks
from skgrow.growth.reuse.screening import threshold_values
from skgrow.growth.reuse.selection import select_stagewise
from skgrow.growth.reuse.selection_rows import SelectionSet, scores_of
from skgrow.networks.branch_uses import new_trunks
from skgrow.networks.forward import row_chunks
from skgrow.networks.grown import Network

__all__ = ["Masking"]

TUNING_STEPS = 30  # L-BFGS-B iterations of a round's masks
REFIT_STEPS = 10  # the same where all masks are then refitted together, as many again
MAX_REFIT_BYTES = 2**29  # of the values of all branches: beyond, on fewer rows


@dataclass(frozen=True)
class Masking:
    """State of growth on the same task.

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

    def held_out_losses(self):
        """Loss of each held-out row, `(n_held_out,)`."""
        return self.selection.held_out_losses(self.logits)

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
            rows, uses = qualified.rows, qualified.branches.uses
            picks = select_stagewise(
                qualified.values, uses.target,
                new_trunks(uses, now.network.grown.uses), now.logits[rows],
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
        new = _with_masks(new, masks)
        added = _added(new, values)
        intercept = masks.intercept.astype(self.logits.dtype)
        network = replace(
            self.network,
            grown=self.network.grown.extended(_active(new)),
            intercept=self.network.intercept + intercept,
        )
        return replace(self, network=network, logits=self.logits + intercept + added)

    def _refitted(self):
        """All masks and the intercept fitted together, a few steps from where they are.

        Still convex, and still two numbers a branch; only masks and intercept change.
        """
        grown, intercept = self.network.grown, self.network.intercept
        rows = self._affordable(len(grown))
        values = threshold_values(
            grown.bank, grown.uses, self.selection.features_of(rows)
        )
        values = grown.normalised(values)

        def contribution(branches):
            whole = len(rows) == len(self.logits)
            return _added(branches, values) if whole else self._contribution(branches)

        offset = self.logits - contribution(grown) - intercept
        start = Masks(grown.scale, grown.bias, intercept)
        masks = self._fit(values, grown, offset[rows], start, REFIT_STEPS, rows)
        grown = _with_masks(grown, masks)
        intercept = masks.intercept.astype(self.logits.dtype)
        logits = offset + intercept + contribution(grown)
        grown = _active(grown)
        network = replace(self.network, grown=grown, intercept=intercept)
        return replace(self, network=network, logits=logits)

    def _contribution(self, grown):
        """Logits `(n_samples, n_classes)` that all grown branches add."""
        runner = grown.runner(self.selection.features.device)
        return runner.logits(self.selection.features).T.cpu().numpy()

    def _affordable(self, n_branches):
        """All rows, or some of the pool where the values would be too many."""
        n_bytes = n_branches * len(self.logits) * self.logits.itemsize
        if n_bytes <= MAX_REFIT_BYTES:
            return np.arange(len(self.logits))
        return self.selection.pool[:: -(-n_bytes // MAX_REFIT_BYTES)]

    def _fit(self, values, branches, offset, start, max_iter, rows):
        weight = np.zeros_like(self.selection.sample_weight)  # of rows held out
        weight[self.selection.pool] = self.selection.sample_weight[self.selection.pool]
        return fit_masks(
            values, branches.uses.target, offset, self.selection.y[rows], weight[rows],
            start=start, max_iter=max_iter, loss=self.selection.loss,
        )  # fmt: skip


def _with_masks(branches, masks):
    dtype = branches.bank.dtype
    return replace(
        branches, scale=masks.scale.astype(dtype), bias=masks.bias.astype(dtype)
    )


def _active(branches):
    """Without those whose two numbers are 0."""
    return branches.take((branches.scale > 0) | (branches.bias > 0))


def _added(branches, values):
    """Logits `(n_rows, n_classes)` that masked values `(n_branches, n_rows)` add."""
    to_class = np.eye(branches.bank.n_outputs, dtype=values.dtype)[branches.uses.target]
    scale, bias = (part[:, None] * to_class for part in (branches.scale, branches.bias))
    added = np.empty((values.shape[1], to_class.shape[1]), dtype=values.dtype)
    for rows in row_chunks(values.shape[1]):
        value = values[:, rows]
        added[rows] = value.T @ scale + (value > 0).astype(value.dtype).T @ bias
    return added
