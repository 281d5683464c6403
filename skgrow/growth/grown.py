"""Grown branches: the table of added uses, and the network they make with the bank."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from skgrow.bank import BranchBank, features_major, row_chunks
from skgrow.growth.candidates import Candidates, FoldedBranches

__all__ = ["GrownBranches", "GrownRunner", "Network"]

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

    def runner(self, device="cpu", n_classes=None):
        """These branches made ready to run, a `GrownRunner`.

        For as many classes as the branches have outputs, where nothing else is said.
        """
        return GrownRunner(self, device, n_classes or self.bank.n_outputs)

    @staticmethod
    def _array_names():
        return [f.name for f in fields(GrownBranches) if f.name not in ("bank", "uses")]


class GrownRunner:
    """Grown branches made ready to run, in chunks of branches and rows.

    Parameters
    ----------
    grown : GrownBranches
    device : str
    n_classes : int
    """

    def __init__(self, grown, device, n_classes):
        self.parts = [
            (part, FoldedBranches(grown.bank, grown.uses.take(part), device))
            for part in row_chunks(len(grown), BRANCHES_PER_CHUNK)
        ]
        self.threshold, self.scale, self.bias = (
            # A copy: read-only arrays (memory maps) must never be shared with torch.
            torch.tensor(array, device=device)
            for array in (grown.uses.threshold, grown.scale / grown.span, grown.bias)
        )
        target = torch.tensor(grown.uses.target, device=device)
        to_class = torch.nn.functional.one_hot(target, n_classes).T
        self.to_class = to_class.to(self.scale.dtype)  # (n_classes, n_branches)

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
        added = features.new_empty((len(self.scale), features.shape[1]))
        for part, rows, value in self._values(features):
            scale, bias = self.scale[part, None], self.bias[part, None]
            added[part, rows] = scale * value + bias * (value > 0)
        return added

    def logits(self, features):
        """Summed contributions by class, a Tensor `(n_classes, n_rows)`."""
        total = features.new_zeros((len(self.to_class), features.shape[1]))
        scale, bias = self.to_class * self.scale, self.to_class * self.bias
        for part, rows, value in self._values(features):
            total[:, rows] += scale[:, part] @ value
            total[:, rows] += bias[:, part] @ (value > 0).to(value.dtype)
        return total

    @torch.inference_mode()
    def _values(self, features):
        """`relu(output - threshold)`, chunk by chunk."""
        for rows in row_chunks(features.shape[1]):
            chunk = features[:, rows]
            for part, folded in self.parts:
                value = folded.outputs(chunk)
                yield part, rows, value.sub_(self.threshold[part, None]).relu_()


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
        runner = self.grown.runner(device)
        for rows in row_chunks(len(X), ROWS_PER_CHUNK):
            scaled = scaler.transform(X[rows])
            logits[rows] = self.bank.logits(scaled, device) + self.intercept
            if len(self.grown):
                added = runner.logits(features_major(scaled, device))
                logits[rows] += added.T.cpu().numpy()
        return logits
