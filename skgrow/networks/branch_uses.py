"""Candidates: one table of possible new uses of trained branches.

A candidate is a branch, one of its classes, the input columns and the affine map that
it reads them through, a target class and a threshold. Plain and cluster-matched
candidates are in the same arrays and undergo the same tests.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from skgrow.inputs.windows import ONE_PLACE, Window
from skgrow.networks.forward import (
    MANY_READERS,
    Gather,
    LayerStack,
    branches_per_chunk,
    row_chunks,
)

__all__ = [
    "Candidates",
    "FoldedBranches",
    "count_trunks",
    "folded_layers",
    "new_trunks",
    "outputs_of",
    "trunk_chunks",
]

# What the hidden layers of a candidate depend on: the branch, what it reads and how.
TRUNK_OF = ("branch", "columns", "scale", "shift", "lower", "upper")


@dataclass(frozen=True)
class Candidates:
    """Struct of arrays, one entry a candidate.

    The branch reads `x_b = scale * x[columns] + shift`, (C.5) with the permutation of
    the dimensions already inside `columns`; outside `lower <= x[columns] <= upper` (the
    input bound) it is inactive.

    Attributes
    ----------
    region : ndarray of int64 of shape (n_candidates,)
        Number of the growth region.
    branch, branch_class, target : ndarray of int64 of shape (n_candidates,)
        Branch, the one of its outputs that is used, and the class it votes for.
    columns : ndarray of int64 of shape (n_candidates, region_size)
    scale, shift, lower, upper : ndarray of shape (n_candidates, region_size)
    threshold : ndarray of shape (n_candidates,)
        The branch is active where its output is above, formula (10).
    gain : ndarray of shape (n_candidates,)
        Estimated fall of the mean loss, in nats, that it was last ranked by.
    window : Window
        The places that all of them read from their columns on, through the same map:
        the output is that of all places pooled.
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
    window: Window = ONE_PLACE

    @classmethod
    def plain(cls, region, columns, branch, branch_class, dtype, window=ONE_PLACE):
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
            window=window,
        )

    @classmethod
    def empty(cls, region_size, dtype):
        """No candidate at all."""
        none = np.zeros(0, dtype=np.int64)
        columns = np.zeros((0, region_size), dtype=np.int64)
        return cls.plain(none, columns, none, none, dtype)

    @classmethod
    def concatenate(cls, parts):
        """One table out of several, which read the same window."""
        window = ([part.window for part in parts if len(part)] or [parts[0].window])[0]
        if not all(window == part.window for part in parts if len(part)):
            raise ValueError("uses of different windows do not make one table.")
        together = {
            n: np.concatenate([getattr(p, n) for p in parts]) for n in cls._array_names()
        }
        return cls(**together, window=window)

    def __len__(self):
        return len(self.region)

    def take(self, index):
        """The candidates at `index` (an index array, a mask or a slice)."""
        return replace(self, **{n: getattr(self, n)[index] for n in self._array_names()})

    def astype(self, dtype):
        """The same with maps, bounds, thresholds and gains in another precision."""
        arrays = {name: getattr(self, name) for name in self._array_names()}
        numbers = {n: a.astype(dtype) for n, a in arrays.items() if a.dtype.kind == "f"}
        return replace(self, **numbers)

    @property
    def seen(self):
        """All columns that each reads, `(n_candidates, n_places * region_size)`."""
        return self.window.seen(self.columns)

    @property
    def has_bound(self):
        """Whether each candidate has an input bound, `(n_candidates,)`."""
        return (np.isfinite(self.lower) | np.isfinite(self.upper)).any(axis=1)

    @staticmethod
    def _array_names():
        return [f.name for f in fields(Candidates) if f.name != "window"]


def trunk_chunks(candidates):
    """Index arrays that cover the candidates, those that share a trunk side by side.

    Candidates of one branch on the same columns, through the same map and bound, share
    its hidden layers, the *trunk*. A chunk has at most `branches_per_chunk` of them, and
    trunks with equally many outputs are adjacent, those with input bounds last.
    """
    first, trunk = _distinct(candidates, TRUNK_OF)
    needed = np.unique(np.column_stack([trunk, candidates.branch_class]), axis=0)
    n_outputs = np.bincount(needed[:, 0], minlength=len(first))
    trunks = candidates.take(first)
    _, region = np.unique(trunks.columns, axis=0, return_inverse=True)
    order = np.lexsort((region.reshape(-1), n_outputs, trunks.has_bound))
    place = np.argsort(order)[trunk]
    order = np.argsort(place, kind="stable")
    size = branches_per_chunk(candidates.window)
    starts = [part.start for part in row_chunks(len(first), size)]
    return np.split(order, np.searchsorted(place[order], starts[1:])) if starts else []


def outputs_of(candidates, n_outputs):
    """Every output of the candidates' trunks, as new plain or matched candidates."""
    first, _ = _distinct(candidates, TRUNK_OF)
    every = candidates.take(np.repeat(first, n_outputs))
    branch_class = np.tile(np.arange(n_outputs), len(first))
    return replace(every, branch_class=branch_class)


def new_trunks(candidates, present):
    """Number of each candidate's trunk, -1 for those that `present` have too."""
    both = Candidates.concatenate([present, candidates])
    trunk = _distinct(both, TRUNK_OF)[1]
    own = trunk[len(present) :]
    return np.where(np.isin(own, trunk[: len(present)]), -1, own)


def count_trunks(candidates):
    """How many different trunks the candidates have, and how many different outputs."""
    by = TRUNK_OF, (*TRUNK_OF, "branch_class")
    return tuple(len(_distinct(candidates, names)[0]) for names in by)


class FoldedBranches:
    """Candidates made ready to run: the input map folded into the first layer.

    `W' = W * scale`, `b' = b + shift @ W`, formula (C.7), so that `f'(x_r) == f(x_b)`.
    Those that share a trunk share its work, and trunks of one region its inputs.

    Parameters
    ----------
    bank : BranchBank
        Where the branches come from.
    candidates : Candidates
    device : str, default="cpu"
    scratch : Scratch, default=None
        As of `LayerStack`.
    lowered : bool, default=False
        Whether outputs are less by the threshold of their candidate.
    used : ndarray of int64 of shape (n_used,), default=None
        The columns that the features are, ascending; None for all.

    Attributes
    ----------
    output : ndarray of int64 of shape (n_candidates,)
        Number of each candidate's output among those of `every_output`.
    n_outputs : int
        How many those are.
    """

    def __init__(
        self, bank, candidates, device="cpu", scratch=None, lowered=False, used=None
    ):
        first, trunk = _distinct(candidates, TRUNK_OF)
        order, columns, n_readers = _by_region(candidates.columns[first])
        first, trunk = first[order], np.argsort(order)[trunk]
        kind = np.arange(len(candidates)) if lowered else candidates.branch_class
        representative, self.output = _outputs_of_trunks(trunk, kind)
        self.device, self.n_outputs = device, representative.size
        trunks = candidates.take(first)
        self.window = candidates.window
        self.inputs_of = Gather(columns, self.window, used)
        weights, biases = folded_layers(bank, trunks)
        each = np.arange(len(first))[:, None]
        classes = candidates.branch_class[representative]
        weights[-1] = weights[-1][each, :, classes].transpose(0, 2, 1)
        each, n_inputs = np.unique(n_readers, return_counts=True)
        readers = list(zip(n_inputs.tolist(), each.tolist(), strict=True))
        self.stack = LayerStack(weights, biases, device, scratch, readers)
        if lowered:
            threshold = self._tensor(candidates.threshold[representative])
            self.stack = self.stack.lowered(threshold)
        same = np.array_equal(self.output, np.arange(self.n_outputs))
        self.index = None if same else self._tensor(self.output)
        self.bounds = None
        own = np.flatnonzero(trunks.has_bound)
        if len(own):
            # Few have bounds where most candidates are plain: only these are looked at.
            both = (trunks.lower[own, :, None], trunks.upper[own, :, None])
            read = np.repeat(np.arange(len(columns)), n_readers)[own]
            self.bounds = tuple(map(self._tensor, (own, read, *both)))
            self.all_bounded = len(own) == len(trunks) == len(columns)

    def chunks(self, n_rows):
        """Slices of the rows to work on at once."""
        return self.stack.chunks(n_rows, self.window)

    def outputs(self, features):
        """Output of every candidate.

        Parameters
        ----------
        features : Tensor of shape (n_features + 1, rows)
            Scaled inputs, see `forward.features_major`.

        Returns
        -------
        outputs : Tensor of shape (n_candidates, rows)
            Minus infinity outside the input bound: below every threshold. Of a window's
            places, a maximum leaves out those, and a mean needs all inside. In scratch
            memory, as of `LayerStack.hidden`: the next call may write over it.
        """
        outputs = self.every_output(features)
        return outputs if self.index is None else outputs.index_select(0, self.index)

    def every_output(self, features):
        """The same in the order of the trunks, `(n_outputs, rows)`; some occur twice."""
        inputs = self.inputs_of(features)  # (regions, region_size + 1, places * rows)
        if self.bounds is None:
            return self.stack.pooled(inputs, self.window).flatten(0, 1)
        outputs = self.stack.outputs(inputs)  # (trunks, outputs of one, places * rows)
        self._silence(outputs, inputs[:, :-1])
        return self.window.pooled(outputs).flatten(0, 1)

    def _silence(self, outputs, inputs):
        """Minus infinity in the place of outputs outside the input bounds."""
        own, read, lower, upper = self.bounds
        seen = inputs if self.all_bounded else inputs.index_select(0, read)
        outside = ((seen < lower) | (seen > upper)).any(dim=1, keepdim=True)
        if self.all_bounded:
            outputs.masked_fill_(outside, -torch.inf)
        else:
            outputs[own] = outputs[own].masked_fill_(outside, -torch.inf)

    def _tensor(self, array):
        return torch.tensor(np.ascontiguousarray(array), device=self.device)


def _distinct(candidates, names):
    """First candidate of each distinct one by these names, and the number of each's."""
    parts = [getattr(candidates, name) for name in names]
    table = np.column_stack([part.astype(np.float64) for part in parts])
    _, first, number = np.unique(table, axis=0, return_index=True, return_inverse=True)
    return first, number.reshape(-1)


def _by_region(columns):
    """Trunks in the order of how many of them read the same inputs, and then of these.

    Inputs are shared where that makes products large, or many of one size: few of each
    size take longer than all trunks with inputs of their own.

    Returns
    -------
    order : ndarray of int64 of shape (n_trunks,)
    columns : ndarray of int64 of shape (n_inputs, region_size)
        What the trunks read, in their order.
    n_readers : ndarray of int64 of shape (n_inputs,)
        How many trunks in a row read each; ascending.
    """
    _, region, size = np.unique(columns, axis=0, return_inverse=True, return_counts=True)
    region = region.reshape(-1)
    n_of_size = np.bincount(size, minlength=1)
    shared = (n_of_size[size] >= MANY_READERS) | (size >= MANY_READERS)
    each = np.where(shared, size, 1)[region]  # (n_trunks,)
    order = np.lexsort((region, each))
    each, place, first = each[order], 0, []
    while place < len(order):  # the first reader of each input
        first.append(place)
        place += each[place]
    return order, columns[order[first]], each[first]


def _outputs_of_trunks(trunk, kind):
    """The outputs that each trunk needs, and where each candidate's output is.

    Candidates of one trunk and one kind share an output.

    Returns
    -------
    representative : ndarray of int64 of shape (n_trunks, n_outputs)
        A candidate of each; as many for each trunk as the one with most needs, the first
        of its own repeated.
    output : ndarray of int64 of shape (n_candidates,)
        Place among all outputs, trunk by trunk.
    """
    needed, first, which = np.unique(
        np.column_stack([trunk, kind]), axis=0, return_index=True, return_inverse=True
    )
    start = np.searchsorted(needed[:, 0], np.arange(trunk.max(initial=-1) + 1))
    place = np.arange(len(needed)) - start[needed[:, 0]]
    n_outputs = place.max(initial=0) + 1
    representative = np.repeat(first[start][:, None], n_outputs, axis=1)
    representative[needed[:, 0], place] = first
    return representative, (needed[:, 0] * n_outputs + place)[which.reshape(-1)]


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
