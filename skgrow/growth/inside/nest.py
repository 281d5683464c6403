"""NeST (Dai 2019): a sparse network grows connections and units, then is pruned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator

from skgrow.growth.inside.limits import COUNT, OPEN_SHARE, SHARE, SIZE
from skgrow.growth.inside.surgery import (
    add_units,
    check_hidden,
    drop_idle_units,
    keep_connections,
)
from skgrow.networks.blocks import Layer
from skgrow.networks.perceptron import random_units

__all__ = ["NeST"]


@dataclass(repr=False, eq=False)
class NeST(BaseEstimator):
    """Connections and units join where the gradient asks for them; then small ones go.

    The network starts with a share of its connections. At each growth the missing ones
    with the largest gradients join, with weight 0. A new unit bridges the pairs `(m, n)`
    of a layer's readers and inputs with the largest gradient `B[m, n]`: for each pair
    `w_out[m] += s` and `w_in[n] -= sign(B) s` with `s = +-sqrt(|B|)`. When training has
    ended, the smallest weights go, step by step, with some passes of training after
    each, for as long as the loss stays.

    Parameters
    ----------
    density : float in (0, 1], default=0.5
        Share of the connections to start with.
    connect : float in [0, 1], default=0.3
        Share of the missing connections that join at a growth.
    bridge : float in (0, 1], default=0.1
        Share of the pairs that a new unit bridges.
    birth_strength : float, default=0.3
        Mean size of a new unit's weights, in mean sizes of those of the layer.
    prune : float in [0, 1), default=0.1
        Share of each layer's weights that go at a step; with 0 none do.
    n_retrain : int, default=5
        Passes over the rows after a step of pruning.
    tol : float, default=0.01
        The loss may be higher by this than before pruning; in units of the loss.
    """

    density: float = 0.5
    connect: float = 0.3
    bridge: float = 0.1
    birth_strength: float = 0.3
    prune: float = 0.1
    n_retrain: int = 5
    tol: float = 1e-2

    _parameter_constraints = {
        "density": OPEN_SHARE,
        "connect": SHARE,
        "bridge": OPEN_SHARE,
        "birth_strength": SIZE,
        "prune": SHARE,
        "n_retrain": COUNT,
        "tol": SIZE,
    }
    axis, preserving = "width", False

    def begin(self, net, random_state):
        """The network with some of its connections, each unit with one on either side.

        Parameters
        ----------
        net : Perceptron
        random_state : RandomState

        Returns
        -------
        net : Perceptron
        """
        for i, layer in enumerate(net.layers):
            mask = random_state.uniform(size=(layer.n_out, layer.n_in)) < self.density
            sources = random_state.randint(layer.n_in, size=layer.n_out)
            mask[np.arange(layer.n_out), sources] = True
            targets = random_state.randint(layer.n_out, size=layer.n_in)
            mask[targets, np.arange(layer.n_in)] = True
            net = keep_connections(net, i, mask)
        return net

    def start(self, net, i, n_new, probe):
        """More connections as well, see `RandomStart.start`."""
        check_hidden(net, i, to_widen=True)
        inputs, gradients = probe.signals(net)
        is_last = i == net.n_hidden - 1
        for k in (i, i + 1) if is_last else (i,):
            net = self._connected(net, k, gradients[k].T @ inputs[k])
        return self._bridged(net, i, n_new, gradients[i + 1].T @ inputs[i], probe)

    def _connected(self, net, i, gradient):
        """Layer `i` with the missing connections of the largest gradients."""
        mask = net.layers[i].connections.copy()
        size = np.where(mask, -1.0, np.abs(gradient)).ravel()
        n_joining = round(self.connect * int((~mask).sum()))
        mask.flat[_largest(size, n_joining)] = True
        return keep_connections(net, i, mask)

    def _bridged(self, net, i, n_new, B, probe):
        draw, layer, reader = probe.random_state, net.layers[i], net.layers[i + 1]
        n_pairs = max(1, round(self.bridge * B.size))
        pairs = _largest(np.abs(B), n_pairs)
        m, n = np.unravel_index(pairs, B.shape)
        s = np.sqrt(np.abs(B[m, n])) * draw.choice([-1.0, 1.0], size=(n_new, n_pairs))
        fan_in, fan_out = np.zeros((layer.n_in, n_new)), np.zeros((reader.n_out, n_new))
        np.add.at(fan_out, m, s.T)
        np.add.at(fan_in, n, -(np.sign(B[m, n]) * s).T)
        _, bias = random_units(n_new, layer.n_in, draw, net.dtype)
        fan_in, fan_out = self._scaled(fan_in, layer), self._scaled(fan_out, reader)
        wider = add_units(net, i, fan_in.T, self.birth_strength * bias, fan_out)
        incoming, outgoing = (wider.layers[k].connections.copy() for k in (i, i + 1))
        incoming[layer.n_out :], outgoing[:, layer.n_out :] = fan_in.T != 0, fan_out != 0
        return keep_connections(keep_connections(wider, i, incoming), i + 1, outgoing)

    def _scaled(self, fan, layer):
        """Weights of new units in the sizes of those around."""
        around = np.abs(layer.weight[0][layer.connections]).mean()
        size = np.abs(fan[fan != 0])
        return fan * (self.birth_strength * around / size.mean()) if len(size) else fan

    def smaller(self, net):
        """The network without its smallest weights, see `Morphism.smaller`."""
        pruned = net
        for i, layer in enumerate(net.layers):
            if not isinstance(layer, Layer):
                continue
            size = np.where(layer.connections, np.abs(layer.weight[0]), np.inf)
            n_going = min(round(self.prune * layer.n_weights), layer.n_weights - 1)
            mask = layer.connections.copy()
            mask.flat[np.argsort(size, axis=None, kind="stable")[:n_going]] = False
            pruned = keep_connections(pruned, i, mask)
        pruned = drop_idle_units(pruned)
        return pruned if pruned.n_parameters < net.n_parameters else None


def _largest(size, n_largest):
    """Places of the largest, of equal ones the first.

    Gradients of the two outputs of a classifier are always equal, but for rounding.
    """
    grain = np.finfo(size.dtype).eps ** 0.5 * size.max(initial=0)
    rounded = np.rint(size / grain) if grain else size
    return np.argsort(-rounded, axis=None, kind="stable")[:n_largest]
