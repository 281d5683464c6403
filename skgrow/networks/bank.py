"""The bank: many small MLP branches of one shape, kept as stacked arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch

from skgrow.inputs.windows import ONE_PLACE, Window
from skgrow.networks.forward import (
    CHUNK_ROWS,
    MOST_CHUNK_ROWS,
    BankRunner,
    LayerStack,
    features_major,
    input_columns,
    row_chunks,
    rows_at_once,
)

__all__ = ["BranchBank"]


@dataclass(frozen=True)
class BranchBank:
    """A neural additive model: `logits(x) = sum_b f_b(x[regions[b]])`, formula (14).

    Every branch `f_b` is an MLP with ReLU after each hidden layer and a last linear
    layer without bias. The arrays are never changed in place: training returns a
    new bank.

    Parameters
    ----------
    regions : ndarray of int64 of shape (n_branches, region_size)
        Input columns of each branch.
    weights : tuple of ndarray of shape (n_branches, n_in, n_out)
        One array a layer, the last one being the linear output layer.
    biases : tuple of ndarray of shape (n_branches, n_out)
        One array a hidden layer.
    window : Window, default=ONE_PLACE
        The places that every branch reads from its region on: its outputs are those of
        all places pooled.

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow.networks.bank import BranchBank
    >>> regions = np.array([[0, 1], [1, 2], [2, 3]])
    >>> bank = BranchBank.random(regions, (9, 9), 2, np.random.RandomState(0), np.float64)
    >>> bank.n_parameters    # 3 branches of (2*9 + 9) + (9*9 + 9) + 9*2
    405
    >>> bank.logits(np.zeros((5, 4))).shape
    (5, 2)
    """

    regions: np.ndarray
    weights: tuple
    biases: tuple
    window: Window = ONE_PLACE

    @classmethod
    def random(
        cls, regions, hidden_layer_sizes, n_outputs, random_state, dtype,
        window=ONE_PLACE,
    ):  # fmt: skip
        """Draw a fresh bank, uniform in +-1/sqrt(n_in) like `torch.nn.Linear`."""
        sizes = [regions.shape[1], *hidden_layer_sizes, n_outputs]
        weights, biases = [], []
        for n_in, n_out in pairwise(sizes):
            bound = n_in**-0.5
            shape = (len(regions), n_in + 1, n_out)
            drawn = random_state.uniform(-bound, bound, size=shape).astype(dtype)
            weights.append(drawn[:, :-1].copy())
            biases.append(drawn[:, -1].copy())
        return cls(regions, tuple(weights), tuple(biases[:-1]), window)

    @property
    def n_branches(self):
        """Number of branches."""
        return len(self.regions)

    @property
    def seen(self):
        """All columns that each branch reads, `(n_branches, n_places * region_size)`."""
        return self.window.seen(self.regions)

    @property
    def n_outputs(self):
        """Outputs a branch, one a class."""
        return self.weights[-1].shape[2]

    @property
    def dtype(self):
        """Data type of the arrays."""
        return self.weights[0].dtype

    @property
    def n_parameters(self):
        """Trained numbers."""
        return sum(array.size for array in (*self.weights, *self.biases))

    @property
    def n_multiply_adds(self):
        """Multiply-adds to predict one row: hidden layers once a place.

        A mean over places is taken before the readout, a maximum behind it.
        """
        window = self.window
        n_readouts = window.n_places if window.takes_max else 1
        hidden = sum(array.size for array in self.weights[:-1])
        return window.n_places * hidden + n_readouts * self.weights[-1].size

    def fits(self, n_columns=None):
        """Whether the arrays fit together, and to so many columns if that is given."""
        layers = [*self.weights, *self.biases]
        n_inputs = [self.regions.shape[1], *(bias.shape[1] for bias in self.biases)]
        return (
            len(self.weights) == len(n_inputs)
            and [weight.shape[1] for weight in self.weights] == n_inputs
            and [w.shape[2] for w in self.weights[:-1]] == n_inputs[1:]
            and all(array.dtype == self.dtype for array in layers)
            and self.window.fits()
            and (n_columns is None or self._reads_only(n_columns))
        )

    def _reads_only(self, n_columns):
        return bool((self.regions < n_columns - self.window.reach).all())

    def take(self, index):
        """The branches at `index` (an index array, a mask or a slice)."""
        weights, biases = (
            tuple(a[index] for a in p) for p in (self.weights, self.biases)
        )
        return BranchBank(self.regions[index], weights, biases, self.window)

    def astype(self, dtype):
        """The same branches in another precision."""
        weights, biases = (
            tuple(a.astype(dtype, copy=False) for a in p)
            for p in (self.weights, self.biases)
        )
        return replace(self, weights=weights, biases=biases)

    def stack(self, device="cpu", scratch=None):
        """All branches made ready to run, a `LayerStack`."""
        return LayerStack(self.weights, self.biases, device, scratch)

    def runner(self, device="cpu"):
        """The sum of all branches made ready to run, a `BankRunner`."""
        return BankRunner(self, device)

    def logits(self, X, device="cpu"):
        """Sum of all branches.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Scaled inputs.
        device : str, default="cpu"
            Where to compute.

        Returns
        -------
        logits : ndarray of shape (n_samples, n_outputs)
        """
        runner = self.runner(device)
        logits = np.empty((len(X), self.n_outputs), dtype=self.dtype)
        n_rows = rows_at_once(MOST_CHUNK_ROWS, X[:1].nbytes, device)
        for rows in row_chunks(len(X), n_rows):
            found = runner.logits(features_major(X[rows], device))
            logits[rows] = found.T.cpu().numpy()
        return logits

    def terms(self, X, device="cpu"):
        """Output of every branch apart, `(n_samples, n_branches, n_outputs)`."""
        stack, window = self.stack(device), self.window
        terms = np.empty((len(X), self.n_branches, self.n_outputs), dtype=self.dtype)
        with torch.inference_mode():
            row_bytes = terms[:1].nbytes * window.n_places
            n_rows = rows_at_once(CHUNK_ROWS // window.n_places or 1, row_bytes, device)
            for rows in row_chunks(len(X), n_rows):
                features = features_major(X[rows], device)
                outputs = stack.pooled(
                    input_columns(features, self.regions, window), window
                )
                terms[rows] = outputs.permute(2, 0, 1).cpu().numpy()
        return terms
