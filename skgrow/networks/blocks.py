"""Blocks of a dense network: layers, and series of blocks side by side.

A network is a series of blocks, see `perceptron.py`. A `Layer` is a leaf; a `Parallel`
has branches, each of them a series of blocks again, so that a network is a tree. Both
have `n_in`, `n_out`, `n_weights`, `arrays`, `n_steps`, `fits` and `tensors`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np
import torch

__all__ = [
    "Layer",
    "Parallel",
    "activation",
    "block_at",
    "block_outputs",
    "mapped",
    "parameters_of",
    "parts_of",
    "replaced_at",
    "series_fits",
    "with_moments",
]


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
        """Its arrays by name, without the mask and those that are None."""
        names = ("weight", "bias", "slope", "gate")
        found = {name: getattr(self, name) for name in names}
        return {name: array for name, array in found.items() if array is not None}

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

    def fits(self, n_in, dtype):
        """Whether the arrays fit together, and to so many inputs of a data type."""
        for name, planes in self.arrays.items():
            wanted = (3, self.n_out, n_in) if name == "weight" else (3, self.n_out)
            if planes.shape != wanted or planes.dtype != dtype:
                return False
        if self.gate is not None and self.n_out != n_in:
            return False
        wanted = (np.dtype(bool), (self.n_out, n_in))
        return self.mask is None or (self.mask.dtype, self.mask.shape) == wanted

    def tensors(self, device="cpu"):
        """The numbers as Tensors, by name."""
        return {
            name: torch.tensor(planes[0], device=device)
            for name, planes in self.arrays.items()
        }


@dataclass(frozen=True)
class Parallel:
    """Branches that read the same inputs; their outputs are added or concatenated.

    With a scale `h = sum_b scale_b f_b(x)`, the affine combination of NASH and, with
    equal scales, the motif of adding copies of path-level transformations. Without one
    `h` has the outputs of all branches, those of the first one first.

    Attributes
    ----------
    branches : tuple of tuple of Layer or Parallel
        Of each branch, its blocks in series.
    scale : ndarray of shape (3, n_branches), default=None
        Trained, with Adam's moments; None where outputs are concatenated.
    n_steps : int, default=0
        Steps that Adam has taken with the scale.
    """

    branches: tuple
    scale: np.ndarray | None = None
    n_steps: int = 0

    @property
    def merge(self):
        """How outputs of branches become one: "add" or "concat"."""
        return "concat" if self.scale is None else "add"

    @property
    def n_out(self):
        """Outputs."""
        widths = [branch[-1].n_out for branch in self.branches]
        return sum(widths) if self.scale is None else widths[0]

    @property
    def n_in(self):
        """Inputs."""
        return self.branches[0][0].n_in

    @property
    def arrays(self):
        """Arrays of its own by name, not those of its branches."""
        return {} if self.scale is None else {"scale": self.scale}

    @property
    def n_weights(self):
        """Weights that there are in all branches."""
        return sum(block.n_weights for branch in self.branches for block in branch)

    def fits(self, n_in, dtype):
        """As of a `Layer`: whether all fits together, and to so many inputs."""
        if not self.branches or not all(self.branches):
            return False
        if not all(series_fits(branch, n_in, dtype) for branch in self.branches):
            return False
        if self.scale is None:
            return True
        same_width = len({branch[-1].n_out for branch in self.branches}) == 1
        wanted = (dtype, (3, len(self.branches)))
        return same_width and (self.scale.dtype, self.scale.shape) == wanted

    def tensors(self, device="cpu"):
        """A dict of the branches, each a list of the Tensors of its blocks; the scale."""
        branches = [[b.tensors(device) for b in branch] for branch in self.branches]
        if self.scale is None:
            return {"branches": branches}
        return {
            "branches": branches,
            "scale": torch.tensor(self.scale[0], device=device),
        }


def with_moments(values):
    """Planes of numbers that Adam knows nothing of yet."""
    values = np.asarray(values)
    return np.stack([values, np.zeros_like(values), np.zeros_like(values)])


def series_fits(blocks, n_in, dtype):
    """Whether blocks in series fit together, and to so many inputs of a data type."""
    for block in blocks:
        if not isinstance(block, (Layer, Parallel)) or not block.fits(n_in, dtype):
            return False
        n_in = block.n_out
    return True


def parts_of(blocks):
    """Every layer and every parallel block, depth first, a block after its branches."""
    for block in blocks:
        if isinstance(block, Parallel):
            for branch in block.branches:
                yield from parts_of(branch)
        yield block


def mapped(blocks, change):
    """The blocks with every part changed by a function, in the order of `parts_of`."""
    found = []
    for block in blocks:
        if isinstance(block, Parallel):
            branches = tuple(mapped(branch, change) for branch in block.branches)
            block = replace(block, branches=branches)
        found.append(change(block))
    return tuple(found)


def block_at(blocks, path):
    """The block at a path: its index, then a branch and an index in that, and so on.

    Raises
    ------
    ValueError
        If there is no such block.
    """
    found = blocks
    for index in path:
        inside = found if isinstance(found, tuple) else getattr(found, "branches", ())
        if not isinstance(index, Integral) or not 0 <= index < len(inside):
            raise ValueError(_no_block(blocks, path))
        found = inside[index]
    if isinstance(found, tuple):  # a series, of a branch or the network
        raise ValueError(_no_block(blocks, path))
    return found


def _no_block(blocks, path):
    return (
        f"there is no block at path {tuple(path)} of a network of {len(blocks)} blocks, "
        "the readout included; a path is the index of a block from 0, or that of a "
        "parallel block, then a branch of it, an index in that branch, and so on."
    )


def replaced_at(blocks, path, block):
    """The blocks with another one at a path, see `block_at`."""
    at, *inner = path
    if inner:
        branches = list(blocks[at].branches)
        branches[inner[0]] = replaced_at(branches[inner[0]], inner[1:], block)
        block = replace(blocks[at], branches=tuple(branches))
    return (*blocks[:at], block, *blocks[at + 1 :])


def block_outputs(x, block, seen=None):
    """Outputs of a block given as Tensors.

    Parameters
    ----------
    x : Tensor of shape (n_rows, n_in)
    block : dict
        From `tensors` of a `Layer` or a `Parallel`.
    seen : list, default=None
        Gets the input, and the sum `z = x W^T + b` of a layer or the outputs of a
        parallel block; nothing of its branches.

    Returns
    -------
    outputs : Tensor of shape (n_rows, n_out)
    """
    if "branches" in block:
        z = outputs = _merged(x, block)
    else:
        z = torch.addmm(block["bias"], x, block["weight"].T)
        outputs = activation(z, block.get("slope"))
        if "gate" in block:
            outputs = x + block["gate"] * outputs
    if seen is not None:
        seen.append((x, z))
    return outputs


def _merged(x, block):
    """Outputs of a parallel block."""
    found = []
    for branch in block["branches"]:
        h = x
        for inner in branch:
            h = block_outputs(h, inner)
        found.append(h)
    if "scale" not in block:
        return torch.cat(found, dim=1)
    return sum(s * h for s, h in zip(block["scale"], found, strict=True))


def parameters_of(tensors):
    """All Tensors of blocks in series, in the order of `parts_of`."""
    found = []
    for block in tensors:
        for branch in block.get("branches", ()):
            found += parameters_of(branch)
        found += [tensor for name, tensor in block.items() if name != "branches"]
    return found


def activation(z, slope=None):
    """`P_a(z)`. Its derivative at 0 is 1, where torch's own ReLU has 0.

    Units that start with zero weights (GradMax) would otherwise never learn.
    """
    h = torch.where(z < 0, torch.zeros_like(z), z)
    return h if slope is None else slope * z + (1 - slope) * h
