"""Candidates: one table of possible new uses of trained branches.

A candidate says which branch, which of its classes, on which input columns and through
which affine map, and for which target class it would vote above which threshold. Plain
and cluster-matched candidates live in the same arrays and meet the same tests.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from skgrow.bank import hidden_forward

__all__ = ["Candidates", "FoldedBranches", "input_columns"]


@dataclass(frozen=True)
class Candidates:
    """Struct of arrays, one entry a candidate.

    The branch reads `x_b = scale * x[columns] + shift`, (C.5) with the permutation of
    the dimensions already inside `columns`; outside `lower <= x[columns] <= upper` (the
    input bound) it is silent.

    Attributes
    ----------
    region : ndarray of int64 of shape (n_candidates,)
        Number of the growth region.
    branch, branch_class, target : ndarray of int64 of shape (n_candidates,)
        Branch, the one of its outputs that is used, and the class it votes for.
    columns : ndarray of int64 of shape (n_candidates, region_size)
    scale, shift, lower, upper : ndarray of shape (n_candidates, region_size)
    threshold : ndarray of shape (n_candidates,)
        The branch speaks where its output is above, formula (10).
    gain : ndarray of shape (n_candidates,)
        Estimated fall of the mean loss, in nats, that it was last ranked by.
    """

    region: np.ndarray
    branch: np.ndarray
    branch_class: np.ndarray
    target: np.ndarray
    columns: np.ndarray
    scale: np.ndarray
    shift: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    threshold: np.ndarray
    gain: np.ndarray

    @classmethod
    def plain(cls, region, columns, branch, branch_class, dtype):
        """Branches on regions as they are: the identity map and no input bound."""
        ones = np.ones(columns.shape, dtype=dtype)
        zeros = np.zeros(len(columns), dtype=dtype)
        return cls(
            region=region,
            branch=branch,
            branch_class=branch_class,
            target=np.zeros(len(columns), dtype=np.int64),
            columns=columns,
            scale=ones,
            shift=0 * ones,
            lower=-np.inf * ones,
            upper=np.inf * ones,
            threshold=zeros,
            gain=zeros.copy(),
        )

    @classmethod
    def empty(cls, region_size, dtype):
        """No candidate at all."""
        none = np.zeros(0, dtype=np.int64)
        columns = np.zeros((0, region_size), dtype=np.int64)
        return cls.plain(none, columns, none, none, dtype)

    @classmethod
    def concatenate(cls, parts):
        """One table out of several."""
        names = [field.name for field in fields(cls)]
        return cls(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})

    def __len__(self):
        return len(self.region)

    def take(self, index):
        """The candidates at `index` (an index array, a mask or a slice)."""
        return replace(
            self, **{f.name: getattr(self, f.name)[index] for f in fields(self)}
        )

    @property
    def bounded(self):
        """Whether any candidate has an input bound."""
        return bool(np.isfinite(self.lower).any() or np.isfinite(self.upper).any())


class FoldedBranches:
    """Candidates made ready to run: the input map folded into the first layer.

    `W' = W * scale`, `b' = b + shift @ W`, formula (C.7), so that `f'(x_r) == f(x_b)`.

    Parameters
    ----------
    bank : BranchBank
        Where the branches come from.
    candidates : Candidates
    device : str, default="cpu"
    """

    def __init__(self, bank, candidates, device="cpu"):
        self.columns = candidates.columns
        self.device = device
        branch = candidates.branch
        first = bank.weights[0][branch]  # (m, in, out)
        folded = first * candidates.scale[:, :, None]
        offset = np.einsum("mi,mio->mo", candidates.shift, first)
        weights = [folded] + [w[branch] for w in bank.weights[1:-1]]
        biases = [bank.biases[0][branch] + offset] + [b[branch] for b in bank.biases[1:]]
        readout = bank.weights[-1][branch, :, candidates.branch_class]  # (m, width)
        self.weights = [self._tensor(w.transpose(0, 2, 1)) for w in weights]
        self.weights.append(self._tensor(readout[:, None, :]))
        self.biases = [self._tensor(b[:, :, None]) for b in biases]
        self.bounds = None
        if candidates.bounded:
            both = (candidates.lower, candidates.upper)
            self.bounds = [self._tensor(bound[:, :, None]) for bound in both]

    def outputs(self, features):
        """Output of every candidate.

        Parameters
        ----------
        features : Tensor of shape (n_features, rows)
            Scaled inputs, features-major.

        Returns
        -------
        outputs : Tensor of shape (n_candidates, rows)
            Minus infinity outside the input bound: below every threshold.
        """
        inputs = input_columns(features, self.columns)  # (m, region_size, rows)
        hidden = hidden_forward(inputs, self.weights, self.biases)
        outputs = torch.bmm(self.weights[-1], hidden)[:, 0]
        if self.bounds is not None:
            lower, upper = self.bounds
            outside = ((inputs < lower) | (inputs > upper)).any(dim=1)
            outputs.masked_fill_(outside, -torch.inf)
        return outputs

    def _tensor(self, array):
        return torch.tensor(np.ascontiguousarray(array), device=self.device)


def input_columns(features, columns):
    """Gather `features[columns]`: (n_features, rows) -> (m, region_size, rows)."""
    index = torch.tensor(columns.reshape(-1), device=features.device)
    return features.index_select(0, index).reshape(*columns.shape, features.shape[1])
