"""Exact changes of a network's shape, of its weights and of what Adam knows of them.

Every function takes a `Perceptron` and returns another; the old one is not changed.
Moments of what stays are kept, those of what is new are zero. "Preserving" means that
the outputs stay as they were, to rounding. Layers are counted along the outer series of
the network, where a parallel block counts as one; what needs a `Layer` at a place refuses
such a block. `paths.py` reaches into them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from skgrow.networks.blocks import Layer, mapped, with_moments
from skgrow.networks.perceptron import Perceptron

__all__ = [
    "add_units",
    "can_widen",
    "connect_used",
    "drop_idle_units",
    "fuse",
    "insert_block",
    "insert_decomposed",
    "insert_identity",
    "keep_connections",
    "remove_units",
    "split_units",
]


def can_widen(net, i):
    """Whether hidden layer `i` can get units: it, and what reads it, are plain layers.

    Residual blocks keep their width, and units of parallel blocks are in their branches.
    """
    both = net.layers[i : i + 2]
    return all(isinstance(block, Layer) and block.gate is None for block in both)


def check_hidden(net, i, to_widen=False):
    """Raise ValueError unless `i` is a hidden layer, and one that can get units."""
    if not 0 <= i < net.n_hidden:
        raise ValueError(
            f"layer {i} does not exist: the network has {net.n_hidden} hidden layers, "
            f"numbered from 0 to {net.n_hidden - 1}."
        )
    if to_widen and not can_widen(net, i):
        raise ValueError(
            f"layer {i} cannot get units: it, or what reads it, is a residual block, "
            "which adds its output to its input, or a parallel one. These keep the "
            "width of their inputs and outputs."
        )


def add_units(net, i, fan_in, bias, fan_out):
    """Append units to hidden layer `i`. Preserving where they add nothing.

    Parameters
    ----------
    net : Perceptron
    i : int
    fan_in : ndarray of shape (n_new, n_in)
    bias : ndarray of shape (n_new,)
    fan_out : ndarray of shape (n_out, n_new)
        Weights of the next layer; with zeros the operation is preserving.

    Returns
    -------
    net : Perceptron

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow.networks.perceptron import Perceptron
    >>> from skgrow.policies import add_units
    >>> net = Perceptron.random((4, 8, 3), np.random.RandomState(0), np.float64)
    >>> add_units(net, 0, np.ones((2, 4)), np.zeros(2), np.zeros((3, 2))).widths
    (10,)
    """
    check_hidden(net, i, to_widen=True)
    layer, reader = net.layers[i], net.layers[i + 1]
    wider = replace(
        layer,
        weight=_joined(layer.weight, fan_in, axis=1),
        bias=_joined(layer.bias, bias, axis=1),
        mask=_joined_mask(layer.mask, len(bias), axis=0),
        slope=_joined_slopes(layer.slope, len(bias)),
    )
    reading = replace(
        reader,
        weight=_joined(reader.weight, fan_out, axis=2),
        mask=_joined_mask(reader.mask, len(bias), axis=1),
    )
    return net.with_layers(i, 2, wider, reading)


def _joined(planes, values, axis):
    fresh = with_moments(np.asarray(values, dtype=planes.dtype))
    return np.concatenate([planes, fresh], axis=axis)


def _joined_slopes(slope, n_new):
    """New units are plain ReLUs."""
    return None if slope is None else _joined(slope, np.zeros(n_new), axis=1)


def _joined_mask(mask, n_new, axis):
    """New units have all connections."""
    after = [(0, 0), (0, 0)]
    after[axis] = (0, n_new)
    return None if mask is None else np.pad(mask, after, constant_values=True)


def split_units(net, i, parents, shift=None):
    """Net2Wider: append copies of units, which share the outgoing weights.

    With `m` copies of a unit, its weights in the next layer are divided by `m`. So is
    the gradient of its inputs: Adam's moments of them are divided by `m` and `m^2`.

    Parameters
    ----------
    net : Perceptron
    i : int
    parents : ndarray of int of shape (n_new,)
        Unit that each new one copies.
    shift : ndarray of shape (n_new, n_in), default=None
        Added to the inputs of the copies; None is preserving. Without any the copies
        of a unit stay alike for ever.

    Returns
    -------
    net : Perceptron
    """
    check_hidden(net, i, to_widen=True)
    layer, reader = net.layers[i], net.layers[i + 1]
    index = np.concatenate([np.arange(layer.n_out), parents])
    copies = np.bincount(index, minlength=layer.n_out)[index].astype(net.dtype)
    ones = np.ones_like(copies)
    inner = np.stack([ones, 1 / copies, 1 / copies**2])  # planes: value and moments
    weight = layer.weight[:, index] * inner[:, :, None]
    if shift is not None:
        weight[0, layer.n_out :] += shift * layer.connections[parents]
    outer = np.stack([1 / copies, ones, ones])[:, None]
    wider, reading = _chosen(layer, reader, index)
    slope = None if wider.slope is None else wider.slope * inner
    wider = replace(wider, weight=weight, bias=wider.bias * inner, slope=slope)
    return net.with_layers(i, 2, wider, replace(reading, weight=reading.weight * outer))


def _chosen(layer, reader, index):
    """Both layers with the units at `index`, which may repeat."""
    return (
        replace(
            layer,
            weight=layer.weight[:, index],
            bias=layer.bias[:, index],
            slope=None if layer.slope is None else layer.slope[:, index],
            mask=None if layer.mask is None else layer.mask[index],
        ),
        replace(
            reader,
            weight=reader.weight[:, :, index],
            mask=None if reader.mask is None else reader.mask[:, index],
        ),
    )


def remove_units(net, i, keep):
    """Only the units of hidden layer `i` at `keep`: indices or a mask."""
    check_hidden(net, i, to_widen=True)
    return net.with_layers(i, 2, *_chosen(net.layers[i], net.layers[i + 1], keep))


def keep_connections(net, i, mask):
    """Only the weights of layer `i` where `mask`; the others are 0 and not trained."""
    layer = net.layers[i]
    if not isinstance(layer, Layer):
        raise ValueError(f"block {i} is a parallel one; only a layer has connections.")
    return net.with_layers(i, 1, replace(layer, weight=layer.weight * mask, mask=mask))


def connect_used(net):
    """The network with a connection wherever a weight is not 0. Preserving."""

    def connected(part):
        if not isinstance(part, Layer) or part.mask is None:
            return part
        return replace(part, mask=part.mask | (part.weight[0] != 0))

    return Perceptron(mapped(net.layers, connected))


def drop_idle_units(net):
    """Without hidden units that lack incoming or outgoing connections. Preserving.

    Of layers that can get units only, see `can_widen`.

    The output of a unit without incoming connections is the same for every row: it is
    moved to the biases of the next layer. Each layer keeps a unit.
    """
    for i in [*range(net.n_hidden), *reversed(range(net.n_hidden))]:
        if not can_widen(net, i):
            continue
        layer, reader = net.layers[i], net.layers[i + 1]
        keep = layer.connections.any(axis=1) & reader.connections.any(axis=0)
        keep[0] |= not keep.any()
        if keep.all():
            continue
        constant = layer.bias[0] * np.where(layer.bias[0] > 0, 1, layer.slopes)
        bias = reader.bias.copy()
        bias[0] += reader.weight[0][:, ~keep] @ constant[~keep]
        net = remove_units(net.with_layers(i + 1, 1, replace(reader, bias=bias)), i, keep)
    return net


def insert_identity(net, i):
    """Net2Deeper: a layer of weights I after hidden layer `i`. Preserving.

    What follows a ReLU is not negative and passes another one unchanged; elsewhere the
    new layer starts linear (`a = 1`) and trains its slopes.
    """
    check_hidden(net, i)
    below = net.layers[i]
    is_layer = isinstance(below, Layer)
    positive = is_layer and below.slope is None and below.gate is None
    slope = None if positive else np.ones(below.n_out, net.dtype)
    eye = np.eye(below.n_out, dtype=net.dtype)
    fresh = Layer.of(eye, np.zeros(below.n_out, net.dtype), slope)
    return net.with_layers(i + 1, 0, fresh)


def insert_decomposed(net, i, width, random_state):
    """Network morphism: replace the weights `G` that read layer `i` by `F2 F1`.

    The new layer between them is linear at first (`a = 1`). Preserving where `width`
    is at least the rank of `G`: with random orthonormal columns in `F1` and
    `F2 = G F1^T`, or by the singular values of `G` where `width` is smaller than its
    inputs. Both factors get one Frobenius norm. A Gaussian `F1`, as in the paper, is
    badly conditioned where it is square, and trained worse than what it came from.

    Raises
    ------
    ValueError
        If `width` is below the rank of `G`: no product of such factors is `G`.
    """
    check_hidden(net, i)
    reader = net.layers[i + 1]
    if not isinstance(reader, Layer) or reader.gate is not None:
        raise ValueError(
            f"what reads layer {i} is a residual block or a parallel one, whose input "
            "cannot be decomposed."
        )
    first, second = _factors(reader.weight[0].astype(np.float64), width, random_state)
    ratio = np.sqrt(np.linalg.norm(second) / (np.linalg.norm(first) or 1.0)) or 1.0
    zeros = np.zeros(width, net.dtype)
    inner = Layer.of((first * ratio).astype(net.dtype), zeros, np.ones_like(zeros))
    weight = with_moments((second / ratio).astype(net.dtype))
    return net.with_layers(i + 1, 1, inner, replace(reader, weight=weight, mask=None))


def _factors(G, width, random_state):
    """`(F1, F2)` of shapes `(width, n_in)` and `(n_out, width)` with `F2 F1 = G`."""
    n_in = G.shape[1]
    if width >= n_in:
        first, _ = np.linalg.qr(random_state.normal(size=(width, n_in)))
        return first, G @ first.T
    rank = np.linalg.matrix_rank(G)
    if width < rank:
        raise ValueError(
            f"width={width} is smaller than the rank {rank} of the weights; no two "
            f"layers with {width} units between them compute the same."
        )
    U, s, Vt = np.linalg.svd(G, full_matrices=False)
    R, _ = np.linalg.qr(random_state.normal(size=(width, rank)))
    root = np.sqrt(s[:rank])
    return R * root @ Vt[:rank], (U[:, :rank] * root) @ R.T


def insert_block(net, i, weight, bias, gate):
    """A residual block `h + gate * relu(h W^T + b)` after hidden layer `i`.

    Preserving where `gate` is 0.

    Parameters
    ----------
    net : Perceptron
    i : int
    weight : ndarray of shape (width, width)
    bias : ndarray of shape (width,)
    gate : ndarray of shape (width,)

    Returns
    -------
    net : Perceptron

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow.networks.perceptron import Perceptron
    >>> from skgrow.policies import insert_block
    >>> net = Perceptron.random((4, 8, 3), np.random.RandomState(0), np.float64)
    >>> insert_block(net, 0, np.eye(8), np.zeros(8), np.zeros(8)).widths
    (8, 8)
    """
    check_hidden(net, i)
    values = (np.asarray(a, dtype=net.dtype) for a in (weight, bias))
    return net.with_layers(
        i + 1, 0, Layer.of(*values, gate=np.asarray(gate, dtype=net.dtype))
    )


def fuse(net, i):
    """Take out hidden layer `i` where it is linear (`a = 1`): `W = F2 F1`. Preserving.

    Raises
    ------
    ValueError
        If the layer is not linear, or one of both is a residual or parallel block.
    """
    check_hidden(net, i)
    layer, reader = net.layers[i], net.layers[i + 1]
    if not can_widen(net, i):
        raise ValueError(
            f"layer {i} or the one above is a residual block or a parallel one, which "
            "is not fused."
        )
    if (layer.slopes != 1).any():
        farthest = layer.slopes[np.abs(1 - layer.slopes).argmax()]
        raise ValueError(
            f"layer {i} is not linear: a is {farthest:.3g} in one of its units; only a "
            "layer with a=1 in all can be fused with the next."
        )
    weight = reader.weight[0] @ layer.weight[0]
    bias = reader.bias[0] + reader.weight[0] @ layer.bias[0]
    fused = Layer(with_moments(weight), with_moments(bias), reader.slope, reader.gate)
    return net.with_layers(i, 2, replace(fused, n_steps=0))
