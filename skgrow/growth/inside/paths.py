"""Exact changes of the paths through a network: a layer becomes branches side by side.

As in `surgery.py`, a function takes a `Perceptron` and returns another, the moments of
Adam are carried, and "preserving" means that the outputs stay, to rounding.
"""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral

import numpy as np

from skgrow.networks.blocks import Layer, Parallel, block_at, replaced_at, with_moments

__all__ = ["branch_layer"]


def branch_layer(net, path, n_branches=2, merge="add", shift=None):
    """Put branches in the place of a hidden layer. Preserving.

    "add" makes copies of the layer, of which each counts `1 / n_branches`; these scales
    are trained, as the affine combinations of NASH (Elsken 2017). "concat" shares the
    units among branches, in their order. Both are motifs of path-level transformations
    (Cai 2018). Every branch can be changed further: a path leads into it.

    With "add" the gradient of a copy is that of the layer divided by `n_branches`: Adam's
    moments are divided by `n_branches` and `n_branches^2`, as those of `split_units`.

    Parameters
    ----------
    net : Perceptron
    path : int or tuple of int
        Where the layer is: its index from 0, or that of a parallel block, then a branch,
        an index in that branch, and so on.
    n_branches : int, default=2
        At least 2, and for "concat" at most the units of the layer.
    merge : {"add", "concat"}, default="add"
        What is done with the outputs of the branches.
    shift : ndarray of shape (n_branches - 1, n_out, n_in), default=None
        Added to the weights of all copies but the first, which is not preserving. Without
        any, copies stay alike for ever. For "add" only.

    Returns
    -------
    net : Perceptron
        With a parallel block at `path`, of the same inputs and outputs.

    Raises
    ------
    ValueError
        If there is no layer at `path`, if it is the readout, or if it cannot be
        branched so.

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow.networks.perceptron import Perceptron
    >>> from skgrow.policies import branch_layer
    >>> net = Perceptron.random((4, 8, 3), np.random.RandomState(0), np.float64)
    >>> added = branch_layer(net, 0)
    >>> added.widths, added.n_units
    ((8,), 16)
    >>> inner = branch_layer(added, (0, 1, 0), merge="concat")    # in the second branch
    >>> X = np.random.RandomState(1).normal(size=(5, 4))
    >>> bool(np.abs(inner.outputs(X) - net.outputs(X)).max() < 1e-12)
    True
    """
    path = tuple(path) if isinstance(path, (tuple, list)) else (path,)
    layer = _hidden_layer(net, path)
    if isinstance(n_branches, bool) or not isinstance(n_branches, Integral):
        raise ValueError(f"n_branches must be a whole number, got {n_branches!r}.")
    if n_branches < 2:
        raise ValueError(f"n_branches={n_branches}; a parallel block has 2 or more.")
    if merge == "add":
        block = _copies(layer, int(n_branches), shift)
    elif merge == "concat":
        block = _groups(layer, int(n_branches), shift)
    else:
        raise ValueError(f"merge must be 'add' or 'concat', got {merge!r}.")
    return replace(net, layers=replaced_at(net.layers, path, block))


def _hidden_layer(net, path):
    """The layer at a path, or ValueError."""
    layer = block_at(net.layers, path)
    if path == (len(net.layers) - 1,):
        raise ValueError(
            f"block {path[0]} is the readout, which stays one layer; hidden blocks have "
            f"numbers from 0 to {net.n_hidden - 1}."
        )
    if not isinstance(layer, Layer):
        raise ValueError(
            f"the block at path {path} is a parallel one already; name a layer in one of "
            f"its branches, such as {(*path, 0, 0)}."
        )
    return layer


def _copies(layer, n, shift):
    """Copies of a layer, added with equal scales."""
    dtype = layer.weight.dtype
    # Of the planes: the numbers stay, the moments are those of smaller gradients.
    share = np.array([1, 1 / n, 1 / n**2], dtype=dtype)
    arrays = {
        name: planes * share.reshape(3, *[1] * (planes.ndim - 1))
        for name, planes in layer.arrays.items()
    }
    branches = [(replace(layer, **arrays),) for _ in range(n)]
    if shift is not None:
        wanted = (n - 1, layer.n_out, layer.n_in)
        if np.shape(shift) != wanted:
            raise ValueError(f"shift has shape {np.shape(shift)}, not {wanted}.")
        for k, moved in enumerate(np.asarray(shift, dtype=dtype), start=1):
            weight = arrays["weight"].copy()
            weight[0] += moved * layer.connections
            branches[k] = (replace(branches[k][0], weight=weight),)
    return Parallel(tuple(branches), with_moments(np.full(n, 1 / n, dtype=dtype)))


def _groups(layer, n, shift):
    """The units of a layer in groups, whose outputs are concatenated."""
    if layer.gate is not None:
        raise ValueError(
            "a residual block adds its input to the outputs of all its units, which "
            "cannot be shared among branches; take merge='add'."
        )
    if n > layer.n_out:
        raise ValueError(f"a layer of {layer.n_out} units has no {n} groups of units.")
    if shift is not None:
        raise ValueError("shift moves copies, and merge='concat' makes none.")
    branches = []
    for units in np.array_split(np.arange(layer.n_out), n):
        parts = {name: planes[:, units] for name, planes in layer.arrays.items()}
        mask = None if layer.mask is None else layer.mask[units]
        branches.append((replace(layer, **parts, mask=mask),))
    return Parallel(tuple(branches))
