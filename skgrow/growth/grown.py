"""Grown branches: the table of added uses, and the network they make with the bank."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from skgrow.bank import BranchBank, features_major, row_chunks
from skgrow.growth.candidates import Candidates, FoldedBranches

__all__ = ["GrownBranches", "Network"]

BRANCHES_PER_CHUNK = 128
ROWS_PER_CHUNK = 2048  # rows scaled at a time when predicting


@dataclass(frozen=True)
class GrownBranches:
    """Uses of trained branches that have joined the network.

    Each adds `a v + b 1[v > 0]` to its target class, with
    `v = relu((output - threshold) / span)`, formula (16).

    Attributes
    ----------
    bank : BranchBank
        The branches that are used again, as they were when they were matched.
    uses : Candidates
    span : ndarray of shape (n_branches,)
        Largest output minus threshold on the selection rows.
    scale, bias : ndarray of shape (n_branches,)
        `a` and `b`, the two trained numbers of each branch, in logits.
    precision, recall, bound : ndarray of shape (n_branches,)
        From the branch's qualification.
    """

    bank: BranchBank
    uses: Candidates
    span: np.ndarray
    scale: np.ndarray
    bias: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    bound: np.ndarray

    @classmethod
    def empty(cls, bank):
        """No branch yet."""
        none = np.zeros(0, dtype=bank.dtype)
        uses = Candidates.empty(bank.regions.shape[1], bank.dtype)
        return cls(bank, uses, none, none, none, none, none, none)

    def __len__(self):
        return len(self.uses)

    @property
    def n_multiply_adds(self):
        """Multiply-adds to predict one row: the trunk, one output and the mask."""
        per_branch = sum(w[0].size for w in self.bank.weights[:-1])
        return len(self) * (per_branch + self.bank.weights[-1].shape[1] + 1)

    def take(self, index):
        """The branches at `index` (an index array, a mask or a slice)."""
        arrays = {n: getattr(self, n)[index] for n in self._array_names()}
        return replace(self, uses=self.uses.take(index), **arrays)

    def extended(self, other):
        """These branches and then those of `other`, which must use the same bank."""
        arrays = {
            n: np.concatenate([getattr(self, n), getattr(other, n)])
            for n in self._array_names()
        }
        return replace(
            self, uses=Candidates.concatenate([self.uses, other.uses]), **arrays
        )

    def records(self, classes, feature_names, source_classes=None):
        """One dict a branch, in the user's labels and column names.

        Branches of another task have classes of their own, `source_classes`.
        """
        named = classes if source_classes is None else source_classes
        uses = self.uses
        columns = uses.columns if feature_names is None else feature_names[uses.columns]
        arrays = {
            "region": columns.tolist(),
            "branch": uses.branch.tolist(),
            "branch_class": named[uses.branch_class].tolist(),
            "target_class": classes[uses.target].tolist(),
            "threshold": uses.threshold.tolist(),
            **{name: getattr(self, name).tolist() for name in self._array_names()},
        }
        return [
            dict(zip(arrays, values, strict=True))
            for values in zip(*arrays.values(), strict=True)
        ]

    def normalised(self, values):
        """`v` of formula (16) out of `relu(output - threshold)`, in place."""
        values /= self.span[:, None]
        return values

    def contributions(self, features):
        """What each branch adds to its target class.

        Parameters
        ----------
        features : Tensor of shape (n_features + 1, n_rows)
            Scaled inputs, see `bank.features_major`.

        Returns
        -------
        contributions : Tensor of shape (n_branches, n_rows)
            In logits.
        """
        n_rows = features.shape[1]
        added = features.new_empty((len(self), n_rows))
        with torch.inference_mode():
            for part in row_chunks(len(self), BRANCHES_PER_CHUNK):
                folded = FoldedBranches(self.bank, self.uses.take(part), features.device)
                for rows in row_chunks(n_rows):
                    outputs = folded.outputs(features[:, rows])
                    added[part, rows] = self._masked(outputs, part)
        return added

    def logits(self, features, n_classes=None):
        """Summed contributions by class, a Tensor `(n_classes, n_rows)`.

        As many classes as the branches have outputs, where nothing else is said.
        """
        total = features.new_zeros((n_classes or self.bank.n_outputs, features.shape[1]))
        target = torch.tensor(self.uses.target, device=features.device)  # copied
        return total.index_add_(0, target, self.contributions(features))

    def _masked(self, outputs, part):
        threshold, span, scale, bias = (
            # A copy: read-only arrays (memory maps) must never be shared with torch.
            torch.tensor(array[part][:, None], dtype=outputs.dtype).to(outputs.device)
            for array in (self.uses.threshold, self.span, self.scale, self.bias)
        )
        value = (outputs - threshold).relu_() / span
        return scale * value + bias * (value > 0)

    @staticmethod
    def _array_names():
        return [f.name for f in fields(GrownBranches) if f.name not in ("bank", "uses")]


@dataclass(frozen=True)
class Network:
    """All that predicts: the base bank, the grown branches and the intercept.

    Attributes
    ----------
    bank : BranchBank
        The base branches.
    grown : GrownBranches
    intercept : ndarray of shape (n_classes,)
        Logits added to every row.
    """

    bank: BranchBank
    grown: GrownBranches
    intercept: np.ndarray

    @property
    def n_multiply_adds(self):
        """Multiply-adds to predict one row."""
        return self.bank.n_multiply_adds + self.grown.n_multiply_adds

    def logits(self, X, scaler, device="cpu"):
        """Logits of raw inputs `X` (n_samples, n_features), in chunks of rows."""
        logits = np.empty((len(X), len(self.intercept)), dtype=self.bank.dtype)
        for rows in row_chunks(len(X), ROWS_PER_CHUNK):
            scaled = scaler.transform(X[rows])
            logits[rows] = self.bank.logits(scaled, device) + self.intercept
            if len(self.grown):
                added = self.grown.logits(features_major(scaled, device))
                logits[rows] += added.T.cpu().numpy()
        return logits
