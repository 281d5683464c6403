"""One dense network that can change its shape, see `growth/inside/surgery.py`.

It is a bank of one branch that sees every column. A `BranchBank` stacks many branches of
one shape; here one branch has layers of any width, and keeps what Adam knows of each
number beside it, so that surgery can move both alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch

from skgrow.networks.row_scores import scores_in_chunks

__all__ = ["Layer", "Perceptron", "in_deviations"]

UNIFORM = np.sqrt(12)  # one over the deviation of a column that is uniform on [-0.5, 0.5]
ARRAYS = ("weight", "bias", "slope", "gate")


@dataclass(frozen=True)
class Layer:
    """`h = P_a(x W^T + b)`, or with a gate `h = x + gate * P_a(x W^T + b)`.

    `P_a(z) = a z + (1 - a) relu(z)` is the parametric activation of network morphism: a
    ReLU with `a = 0`, a line with 1, and with 2 `z - relu(-z)`, which bends the other
    way. Kept in [0, 1], most units stayed at 1: steeper ones lower the loss at first.
    Each array has three planes: the numbers, and Adam's first and second moments of
    them.

    Attributes
    ----------
    weight : ndarray of shape (3, n_out, n_in)
    bias : ndarray of shape (3, n_out)
    slope : ndarray of shape (3, n_out), default=None
        `a` of each unit, trained and kept in [0, 2]; None stands for 0, plain ReLUs.
    gate : ndarray of shape (3, n_out), default=None
        Trained; None where the layer is no residual block.
    n_steps : int, default=0
        Steps that Adam has taken.
    mask : ndarray of bool of shape (n_out, n_in), default=None
        Which weights there are; the others are 0 and stay so in training. None stands
        for all.
    """

    weight: np.ndarray
    bias: np.ndarray
    slope: np.ndarray | None = None
    gate: np.ndarray | None = None
    n_steps: int = 0
    mask: np.ndarray | None = None

    @classmethod
    def of(cls, weight, bias, slope=None, gate=None):
        """A fresh layer of these numbers, its moments zero."""
        arrays = (weight, bias, slope, gate)
        return cls(*(None if a is None else with_moments(a) for a in arrays))

    @property
    def n_out(self):
        """Units."""
        return self.weight.shape[1]

    @property
    def n_in(self):
        """Inputs."""
        return self.weight.shape[2]

    @property
    def arrays(self):
        """Names of the arrays that it has."""
        return [name for name in ARRAYS if getattr(self, name) is not None]

    @property
    def slopes(self):
        """`a` of each unit, also where it is None."""
        return np.zeros_like(self.bias[0]) if self.slope is None else self.slope[0]

    @property
    def n_weights(self):
        """Weights that there are."""
        return self.weight[0].size if self.mask is None else int(self.mask.sum())

    @property
    def connections(self):
        """The mask, also where it is None."""
        return np.ones(self.weight.shape[1:], bool) if self.mask is None else self.mask


def with_moments(values):
    """Planes of numbers that Adam knows nothing of yet."""
    values = np.asarray(values)
    return np.stack([values, np.zeros_like(values), np.zeros_like(values)])


@dataclass(frozen=True)
class Perceptron:
    """Hidden layers, and a linear readout as the last one.

    The arrays are never changed in place: training and surgery return a new network.

    Parameters
    ----------
    layers : tuple of Layer

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
        """Units of each hidden layer."""
        return tuple(layer.n_out for layer in self.layers[:-1])

    @property
    def n_hidden(self):
        """Hidden layers."""
        return len(self.layers) - 1

    @property
    def dtype(self):
        """Data type of the arrays."""
        return self.layers[0].weight.dtype

    @property
    def n_parameters(self):
        """Trained numbers."""
        return self.n_multiply_adds + sum(
            getattr(layer, name)[0].size
            for layer in self.layers
            for name in layer.arrays
            if name != "weight"
        )

    @property
    def n_multiply_adds(self):
        """Multiply-adds to predict one row: as many as there are weights."""
        return sum(layer.n_weights for layer in self.layers)

    def is_sound(self):
        """Whether the arrays fit together: a file may have been forged."""
        n_in = self.layers[0].n_in
        for layer in self.layers:
            for name in layer.arrays:
                planes = getattr(layer, name)
                wanted = (3, layer.n_out, n_in) if name == "weight" else (3, layer.n_out)
                if planes.shape != wanted or planes.dtype != self.dtype:
                    return False
            if layer.gate is not None and layer.n_out != n_in:
                return False
            mask = layer.mask
            if mask is not None and (mask.dtype, mask.shape) != (
                bool,
                (layer.n_out, n_in),
            ):
                return False
            n_in = layer.n_out
        return self.dtype.kind == "f"

    def misfits(self, n_columns, n_outputs):
        """Names of the parts that do not fit to so many columns and outputs."""
        if not self.layers or not self.is_sound():
            return ["layers"]
        squares = (getattr(ly, name)[2] for ly in self.layers for name in ly.arrays)
        fits = {
            "inputs": self.layers[0].n_in == n_columns,
            "outputs": self.layers[-1].n_out == n_outputs,
            "second moments": all(bool((moment >= 0).all()) for moment in squares),
        }
        return [name for name, is_right in fits.items() if not is_right]

    def with_layers(self, first, n_replaced, *fresh):
        """The network with `fresh` layers in place of `n_replaced` from `first` on."""
        last = first + n_replaced
        return replace(self, layers=(*self.layers[:first], *fresh, *self.layers[last:]))

    def tensors(self, device="cpu"):
        """A dict of Tensors for each layer, to be trained."""
        return [
            {
                name: torch.tensor(getattr(ly, name)[0], device=device)
                for name in ly.arrays
            }
            for ly in self.layers
        ]

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
        Gets the input and the sum `z = x W^T + b` of each layer.

    Returns
    -------
    logits : Tensor of shape (n_rows, n_outputs)
    """
    for i, layer in enumerate(tensors):
        z = torch.addmm(layer["bias"], x, layer["weight"].T)
        if seen is not None:
            seen.append((x, z))
        if i == len(tensors) - 1:
            return z
        h = activation(z, layer.get("slope"))
        x = x + layer["gate"] * h if "gate" in layer else h


def activation(z, slope=None):
    """`P_a(z)`. Its derivative at 0 is 1, where torch's own ReLU has 0.

    Units that start with zero weights (GradMax) would otherwise never learn.
    """
    h = torch.where(z < 0, torch.zeros_like(z), z)
    return h if slope is None else slope * z + (1 - slope) * h
