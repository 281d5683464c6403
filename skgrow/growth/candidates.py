"""Candidates: one table of possible new uses of trained branches.

A candidate says which branch, which of its classes, on which input columns and through
which affine map, and for which target class it would vote above which threshold. Plain
and cluster-matched candidates live in the same arrays and meet the same tests.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from skgrow.bank import LayerStack, input_columns

__all__ = ["Candidates", "FoldedBranches", "folded_layers"]


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
        weights, biases = folded_layers(bank, candidates)
        each = np.arange(len(candidates))
        readout = weights[-1][each, :, candidates.branch_class]  # (m, width)
        weights[-1] = readout[:, :, None]
        self.stack = LayerStack(weights, biases, device)
        self.bounds = None
        if candidates.bounded:
            both = (candidates.lower, candidates.upper)
            self.bounds = [self._tensor(bound[:, :, None]) for bound in both]

    def outputs(self, features):
        """Output of every candidate.

        Parameters
        ----------
        features : Tensor of shape (n_features + 1, rows)
            Scaled inputs, see `bank.features_major`.

        Returns
        -------
        outputs : Tensor of shape (n_candidates, rows)
            Minus infinity outside the input bound: below every threshold.
        """
        inputs = input_columns(features, self.columns)  # (m, region_size + 1, rows)
        outputs = self.stack.outputs(inputs)[:, 0]
        if self.bounds is not None:
            lower, upper = self.bounds
            inputs = inputs[:, :-1]
            outside = ((inputs < lower) | (inputs > upper)).any(dim=1)
            outputs.masked_fill_(outside, -torch.inf)
        return outputs

    def _tensor(self, array):
        return torch.tensor(np.ascontiguousarray(array), device=self.device)


def folded_layers(bank, candidates):
    """Weights and biases of the branches with their input maps folded in, (C.7).

    Returns
    -------
    weights, biases : lists of ndarray, one entry a candidate each
        As of `BranchBank`, all outputs included.
    """
    weights = [weight[candidates.branch] for weight in bank.weights]
    biases = [bias[candidates.branch] for bias in bank.biases]
    biases[0] = biases[0] + np.einsum("mi,mio->mo", candidates.shift, weights[0])
    weights[0] = weights[0] * candidates.scale[:, :, None]
    return weights, biases
