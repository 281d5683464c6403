"""How new units of a layer start.

Each policy takes a network and returns a larger one. `preserving` says whether the
outputs stay as they were.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.base import BaseEstimator

from skgrow.growth.inside.limits import COUNT, SIZE
from skgrow.growth.inside.surgery import (
    add_units,
    check_hidden,
    split_units,
)
from skgrow.networks.perceptron import forward, random_units

TIE = 1e-3  # entries of a direction that differ by less are equally large

__all__ = ["SWE", "GradMax", "Net2Wider", "RandomStart", "ZeroPad"]


@dataclass(repr=False, eq=False)
class RandomStart(BaseEstimator):
    """Units as a fresh network has them: the baseline of all others."""

    axis, preserving = "width", False

    def start(self, net, i, n_new, probe):
        """The network with `n_new` more units in hidden layer `i`.

        Parameters
        ----------
        net : Perceptron
        i : int
        n_new : int
        probe : Probe

        Returns
        -------
        net : Perceptron
        """
        draw, width = probe.random_state, net.widths[i] + n_new
        fan_in, bias = random_units(n_new, net.layers[i].n_in, draw, net.dtype)
        bound = width**-0.5
        fan_out = draw.uniform(-bound, bound, (net.layers[i + 1].n_out, n_new))
        return add_units(net, i, fan_in, bias, fan_out)


@dataclass(repr=False, eq=False)
class ZeroPad(BaseEstimator):
    """Units that change no output at first.

    Parameters
    ----------
    mode : {"out_zero", "in_zero", "near_zero"}, default="out_zero"
        Which weights are zero: those that read the units, those that the units read, or
        the former up to 1e-4. With both, "all_zero", no gradient would ever reach them,
        and that is refused.
    """

    mode: str = "out_zero"

    _parameter_constraints = {"mode": [str]}
    axis, preserving = "width", True

    def start(self, net, i, n_new, probe):
        """See `RandomStart.start`."""
        if self.mode not in ("out_zero", "in_zero", "near_zero"):
            why = "units with zero weights on both sides have zero gradients for ever"
            raise ValueError(
                f"ZeroPad has mode={self.mode!r}; it must be 'out_zero', 'in_zero' or "
                f"'near_zero'{f': {why}' if self.mode == 'all_zero' else ''}."
            )
        draw, n_in = probe.random_state, net.layers[i].n_in
        fan_in, bias = random_units(n_new, n_in, draw, net.dtype)
        fan_out = np.zeros((net.layers[i + 1].n_out, n_new))
        if self.mode == "near_zero":
            fan_out = 1e-4 * draw.normal(size=fan_out.shape)
        if self.mode == "in_zero":
            fan_in, bias = np.zeros_like(fan_in), np.zeros_like(bias)
            bound = (net.widths[i] + n_new) ** -0.5
            fan_out = draw.uniform(-bound, bound, fan_out.shape)
        return add_units(net, i, fan_in, bias, fan_out)


@dataclass(repr=False, eq=False)
class Net2Wider(BaseEstimator):
    """Copies of units drawn at random, which share its outgoing weights (Chen 2016).

    Parameters
    ----------
    noise : float, default=0.01
        Deviation of what is added to the inputs of copies, in deviations of the layer's
        weights; with 0 the copies would stay alike.
    """

    noise: float = 0.01

    _parameter_constraints = {"noise": SIZE}
    axis, preserving = "width", False

    def start(self, net, i, n_new, probe):
        """See `RandomStart.start`."""
        check_hidden(net, i, to_widen=True)
        draw, layer = probe.random_state, net.layers[i]
        parents = draw.randint(layer.n_out, size=n_new)
        spread = self.noise * layer.weight[0].std()
        shift = spread * draw.normal(size=(n_new, layer.n_in))
        return split_units(net, i, parents, shift.astype(net.dtype))


@dataclass(repr=False, eq=False)
class GradMax(BaseEstimator):
    """Units whose gradient is as large as can be (Evci 2022).

    With `M` from `Probe.missing_gradient`, the readers of the units become its first
    right singular vectors and their own inputs 0: no other choice of that size gives
    their inputs a gradient of larger norm. There are only as many directions as `M`
    has rank; further units start as `ZeroPad("out_zero")`.

    Parameters
    ----------
    scale : float, default=0.5
        Norm of the weights that read a unit, in mean norms of those of the others.
    """

    scale: float = 0.5

    _parameter_constraints = {"scale": SIZE}
    axis, preserving = "width", True

    def start(self, net, i, n_new, probe):
        """See `RandomStart.start`."""
        check_hidden(net, i, to_widen=True)
        M, reader = probe.missing_gradient(net, i), net.layers[i + 1]
        _, sigma, Vt = np.linalg.svd(M.astype(np.float64), full_matrices=False)
        # Below, a direction is what rounding has left: of two classes there is one only.
        least = np.finfo(M.dtype).eps ** 0.5 * sigma.max(initial=0)
        n_steep = min(n_new, int((sigma > least).sum()))
        fan_in, bias = random_units(n_new, len(M), probe.random_state, net.dtype)
        fan_in[:n_steep], bias[:n_steep] = 0, 0
        fan_out = np.zeros((reader.n_out, n_new))
        size = np.linalg.norm(reader.weight[0], axis=0).mean()
        fan_out[:, :n_steep] = self.scale * size * _one_sign(Vt[:n_steep]).T
        return add_units(net, i, fan_in, bias, fan_out)


def _one_sign(vectors):
    """Rows whose largest entry is positive: a decomposition leaves the sign open.

    Of entries that are as large but for rounding the first one is: those of two classes
    are always equal.
    """
    size = np.abs(vectors)
    largest = (size >= (1 - TIE) * size.max(axis=1, keepdims=True)).argmax(axis=1)
    return vectors * np.sign(np.take_along_axis(vectors, largest[:, None], axis=1))


@dataclass(repr=False, eq=False)
class SWE(BaseEstimator):
    """New units learn with old ones, so that fewer stay inactive (Chatzis 2025).

    New units start at random, with nothing that reads them. Then `delta[j, i]` moves
    weight from each old unit `i` to each new one `j`, their sum being kept; it is
    trained by Adam together with the weights that read them, all else being fixed. So
    a unit that is inactive on every row still moves, by the gradients of those it is
    tied to.

    Parameters
    ----------
    n_steps : int, default=20
        Steps of Adam, each on all rows of the probe.
    learning_rate : float, default=1e-3
        Of Adam, with a weight decay of 1e-4. With 1e-2, inactive units become active in
        so few steps, but networks that have none of them score lower.
    """

    n_steps: int = 20
    learning_rate: float = 1e-3

    _parameter_constraints = {"n_steps": COUNT, "learning_rate": SIZE}
    axis, preserving = "width", False

    def start(self, net, i, n_new, probe):
        """See `RandomStart.start`."""
        draw, n_old = probe.random_state, net.widths[i]
        wider = ZeroPad().start(net, i, n_new, probe)
        tensors = wider.tensors(probe.rows.X.device)
        weight, bias = tensors[i]["weight"], tensors[i]["bias"]
        delta = 1e-4 * draw.normal(size=(n_new, n_old, net.layers[i].n_in))
        delta = torch.tensor(delta.astype(net.dtype), device=weight.device)
        delta.requires_grad_()
        reading = tensors[i + 1]["weight"].requires_grad_()
        optimizer = torch.optim.Adam(
            [delta, reading], lr=self.learning_rate, weight_decay=1e-4
        )

        def coupled():
            old, new = weight[:n_old] - delta.sum(dim=0), weight[n_old:] + delta.sum(1)
            return {**tensors[i], "weight": torch.cat([old, new]), "bias": bias}

        for _ in range(self.n_steps):
            layers = [*tensors[:i], coupled(), *tensors[i + 1 :]]
            optimizer.zero_grad()
            probe.rows.loss(forward(probe.rows.X, layers)).backward()
            optimizer.step()
        return _with_values(wider, i, coupled()["weight"], reading)


def _with_values(net, i, weight, reading):
    """The network with other numbers in layer `i` and in what reads it."""
    for at, values in ((i, weight), (i + 1, reading)):
        planes = net.layers[at].weight.copy()
        planes[0] = values.detach().cpu().numpy()
        net = net.with_layers(at, 1, replace(net.layers[at], weight=planes))
    return net
