"""The bank: many small MLP branches of one shape, kept as stacked arrays."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

__all__ = ["BranchBank", "hidden_forward", "row_chunks"]

# Rows a product works on at once: measured fastest where one layer of all branches
# stays in a core's cache, and it bounds the memory of every forward pass.
CHUNK_ROWS = 512


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

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow.bank import BranchBank
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

    @classmethod
    def random(cls, regions, hidden_layer_sizes, n_outputs, random_state, dtype):
        """Draw a fresh bank, uniform in +-1/sqrt(n_in) like `torch.nn.Linear`."""
        sizes = [regions.shape[1], *hidden_layer_sizes, n_outputs]
        weights, biases = [], []
        for n_in, n_out in pairwise(sizes):
            bound = n_in**-0.5
            shape = (len(regions), n_in + 1, n_out)
            drawn = random_state.uniform(-bound, bound, size=shape).astype(dtype)
            weights.append(drawn[:, :-1].copy())
            biases.append(drawn[:, -1].copy())
        return cls(regions, tuple(weights), tuple(biases[:-1]))

    @property
    def n_branches(self):
        """Number of branches."""
        return len(self.regions)

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
        """Multiply-adds to predict one row."""
        return sum(array.size for array in self.weights)

    def tensors(self, device="cpu"):
        """Weights and biases as lists of torch tensors on `device`, in features-major
        form: weights `(branches, out, in)`, biases `(branches, out, 1)`.
        """
        weights = [_tensor(w.transpose(0, 2, 1), device) for w in self.weights]
        biases = [_tensor(b[:, :, None], device) for b in self.biases]
        return weights, biases

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
        weights, biases = self.tensors(device)
        logits = np.empty((len(X), self.n_outputs), dtype=self.dtype)
        with torch.inference_mode():
            for rows in row_chunks(len(X)):
                inputs = _tensor(X[rows].T[self.regions], device)
                logits[rows] = bank_logits(inputs, weights, biases).T.cpu().numpy()
        return logits

    def terms(self, X, device="cpu"):
        """Output of every branch apart, `(n_samples, n_branches, n_outputs)`."""
        weights, biases = self.tensors(device)
        terms = np.empty((len(X), self.n_branches, self.n_outputs), dtype=self.dtype)
        with torch.inference_mode():
            for rows in row_chunks(len(X)):
                inputs = _tensor(X[rows].T[self.regions], device)
                outputs = torch.bmm(weights[-1], hidden_forward(inputs, weights, biases))
                terms[rows] = outputs.permute(2, 0, 1).cpu().numpy()
        return terms


def hidden_forward(inputs, weights, biases):
    """Run the hidden layers of a stack of branches.

    Parameters
    ----------
    inputs : Tensor of shape (branches, region_size, rows)
    weights, biases : lists of Tensor
        As from `BranchBank.tensors`; the last weight (the output layer) is not used.

    Returns
    -------
    hidden : Tensor of shape (branches, width, rows)
    """
    hidden = inputs
    for weight, bias in zip(weights[:-1], biases, strict=True):
        hidden = torch.baddbmm(bias, weight, hidden).relu_()  # (branches, width, rows)
    return hidden


def bank_logits(inputs, weights, biases):
    """Summed logits `(n_outputs, rows)`: the output layers are one product."""
    hidden = hidden_forward(inputs, weights, biases)
    branches, width, rows = hidden.shape
    readout = weights[-1].transpose(0, 1).reshape(-1, branches * width)
    return readout @ hidden.reshape(branches * width, rows)  # (n_outputs, rows)


def row_chunks(n_rows, size=CHUNK_ROWS):
    """Slices that cover `n_rows` rows, at most `size` at a time."""
    return [slice(start, start + size) for start in range(0, n_rows, size)]


def _tensor(array, device):
    # A copy: read-only arrays (memory maps) must never be shared with torch.
    return torch.tensor(np.ascontiguousarray(array), device=device)
