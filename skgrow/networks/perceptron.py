"""One dense network that can change its shape, see `growth/inside/surgery.py`.

It is a series of blocks, see `blocks.py`, that ends in a linear readout. A `BranchBank`
holds many branches of one shape as stacked arrays; here layers have any width, and Adam's
moments are kept beside each number, so that surgery changes both alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch

from skgrow.networks.blocks import (
    Layer,
    block_outputs,
    parts_of,
    series_fits,
)
from skgrow.networks.row_scores import scores_in_chunks

__all__ = ["Perceptron", "forward", "in_deviations", "random_units"]

UNIFORM = np.sqrt(12)  # one over the deviation of a column that is uniform on [-0.5, 0.5]


@dataclass(frozen=True)
class Perceptron:
    """Hidden blocks in series, and a linear readout as the last one.

    The arrays are never changed in place: training and surgery return a new network.

    Parameters
    ----------
    layers : tuple of Layer or Parallel
        The last one is a `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow.networks.perceptron import Perceptron
    >>> net = Perceptron.random((4, 8, 3), np.random.RandomState(0), np.float64)
    >>> net.widths, net.n_parameters    # 4*8 + 8 and 8*3 + 3
    ((8,), 67)
    """

    layers: tuple

    @classmethod
    def random(cls, sizes, random_state, dtype):
        """A fresh network of these sizes, inputs and outputs included."""
        layers = [
            Layer.of(*random_units(n_out, n_in, random_state, dtype))
            for n_in, n_out in pairwise(sizes)
        ]
        return cls(tuple(layers))

    @property
    def widths(self):
        """Units of each hidden layer; of a parallel block, its outputs."""
        return tuple(block.n_out for block in self.layers[:-1])

    @property
    def n_hidden(self):
        """Hidden layers; a parallel block counts as one."""
        return len(self.layers) - 1

    @property
    def n_units(self):
        """Hidden units, those in all branches included."""
        parts = parts_of(self.layers[:-1])
        return sum(part.n_out for part in parts if isinstance(part, Layer))

    @property
    def dtype(self):
        """Data type of the arrays."""
        first = next(parts_of(self.layers))  # a layer: a block follows its branches
        return first.weight.dtype

    @property
    def n_parameters(self):
        """Trained numbers."""
        return self.n_multiply_adds + sum(
            planes[0].size
            for part in parts_of(self.layers)
            for name, planes in part.arrays.items()
            if name != "weight"
        )

    @property
    def n_multiply_adds(self):
        """Multiply-adds to predict one row: as many as there are weights."""
        return sum(block.n_weights for block in self.layers)

    def is_sound(self):
        """Whether the arrays fit together: a file may have been forged."""
        if not isinstance(self.layers[-1], Layer):  # the readout
            return False
        first = next(parts_of(self.layers))
        if not isinstance(first, Layer) or first.weight.dtype.kind != "f":
            return False
        return series_fits(self.layers, first.n_in, first.weight.dtype)

    def misfits(self, n_columns, n_outputs):
        """Names of the parts that do not fit to so many columns and outputs."""
        if not self.layers or not self.is_sound():
            return ["layers"]
        moments = (
            planes[2] for part in parts_of(self.layers) for planes in part.arrays.values()
        )
        fits = {
            "inputs": self.layers[0].n_in == n_columns,
            "outputs": self.layers[-1].n_out == n_outputs,
            "second moments": all(bool((moment >= 0).all()) for moment in moments),
        }
        return [name for name, is_right in fits.items() if not is_right]

    def with_layers(self, first, n_replaced, *fresh):
        """The network with `fresh` blocks in place of `n_replaced` from `first` on."""
        last = first + n_replaced
        return replace(self, layers=(*self.layers[:first], *fresh, *self.layers[last:]))

    def tensors(self, device="cpu"):
        """A dict of Tensors for each block, to be trained."""
        return [block.tensors(device) for block in self.layers]

    def outputs(self, X, device="cpu"):
        """Outputs `(n_samples, n_outputs)` for rows as `in_deviations` gives them."""
        return self._in_chunks(X, None, device)

    def logits(self, X, scaler, device="cpu"):
        """Outputs `(n_samples, n_outputs)` for raw inputs, in chunks of rows."""
        return self._in_chunks(X, scaler, device)

    def _in_chunks(self, X, scaler, device):
        tensors = self.tensors(device)

        def score(X, scaled):
            inputs = X if scaled is None else in_deviations(scaled)
            with torch.inference_mode():
                found = forward(torch.tensor(inputs, device=device), tensors)
            return found.cpu().numpy()

        n_outputs = self.layers[-1].n_out
        return scores_in_chunks(score, X, scaler, n_outputs, self.dtype, device)


def in_deviations(scaled):
    """Rows scaled to [-0.5, 0.5] in standard deviations of a uniform column."""
    # Another order in memory would be summed in another order, and round otherwise.
    return np.ascontiguousarray(scaled) * scaled.dtype.type(UNIFORM)


def random_units(n_out, n_in, random_state, dtype):
    """Weights and biases uniform in +-1/sqrt(n_in), like `torch.nn.Linear`."""
    bound = max(n_in, 1) ** -0.5
    drawn = random_state.uniform(-bound, bound, size=(n_out, n_in + 1)).astype(dtype)
    return drawn[:, :-1].copy(), drawn[:, -1].copy()


def forward(x, tensors, seen=None):
    """Outputs of a network given as Tensors.

    Parameters
    ----------
    x : Tensor of shape (n_rows, n_features)
    tensors : list of dict
        From `Perceptron.tensors`.
    seen : list, default=None
        Gets of each block the input and the sum `z = x W^T + b`, see `block_outputs`.

    Returns
    -------
    logits : Tensor of shape (n_rows, n_outputs)
    """
    *hidden, readout = tensors
    for block in hidden:
        x = block_outputs(x, block, seen)
    z = torch.addmm(readout["bias"], x, readout["weight"].T)
    if seen is not None:
        seen.append((x, z))
    return z
