"""How new parts of a network start. Widths first, then depths.

Each policy takes a network and returns a larger one. `preserving` says whether the
outputs stay as they were.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.base import BaseEstimator

from skgrow.perceptron import forward, random_units, with_moments
from skgrow.policies.firefly import Firefly
from skgrow.policies.nest import NeST
from skgrow.surgery import (
    add_units,
    fuse,
    insert_block,
    insert_decomposed,
    insert_identity,
    split_units,
)

__all__ = [
    "HOW", "SWE", "AutoGrow", "GradMax", "Morphism", "Net2Deeper", "Net2Wider",
    "RandomStart", "Stacking", "ZeroPad",
]  # fmt: skip


# ------------------------------------------------------------------------------- width


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
    """Units that say nothing at first.

    Parameters
    ----------
    mode : {"out_zero", "in_zero", "near_zero"}, default="out_zero"
        Which weights are zero: those that read the units, those that the units read, or
        the former up to 1e-4. With both, "all_zero", no gradient would ever reach them,
        and that is refused.
    """

    mode: str = "out_zero"

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
    """Copies of units drawn at random, which share what the unit said (Chen 2016).

    Parameters
    ----------
    noise : float, default=0.01
        Deviation of what is added to the inputs of copies, in deviations of the layer's
        weights; with 0 the copies would stay alike.
    """

    noise: float = 0.01

    axis, preserving = "width", False

    def start(self, net, i, n_new, probe):
        """See `RandomStart.start`."""
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

    axis, preserving = "width", True

    def start(self, net, i, n_new, probe):
        """See `RandomStart.start`."""
        M, reader = probe.missing_gradient(net, i), net.layers[i + 1]
        _, sigma, Vt = np.linalg.svd(M.astype(np.float64), full_matrices=False)
        n_steep = min(n_new, int((sigma > 1e-9 * sigma.max(initial=0)).sum()))
        fan_in, bias = random_units(n_new, len(M), probe.random_state, net.dtype)
        fan_in[:n_steep], bias[:n_steep] = 0, 0
        fan_out = np.zeros((reader.n_out, n_new))
        size = np.linalg.norm(reader.weight[0], axis=0).mean()
        fan_out[:, :n_steep] = self.scale * size * _one_sign(Vt[:n_steep]).T
        return add_units(net, i, fan_in, bias, fan_out)


def _one_sign(vectors):
    """Rows whose largest entry is positive: a decomposition leaves the sign open."""
    largest = np.abs(vectors).argmax(axis=1)
    return vectors * np.sign(np.take_along_axis(vectors, largest[:, None], axis=1))


@dataclass(repr=False, eq=False)
class SWE(BaseEstimator):
    """New units learn with old ones, which keeps them alive (Chatzis 2025).

    New units start at random, with nothing that reads them. Then `delta[j, i]` moves
    weight from each old unit `i` to each new one `j`, their sum being kept; it is
    trained by Adam together with the weights that read them, all else being fixed. So
    a unit that no row wakes up still moves, by the gradients of those it is tied to.

    Parameters
    ----------
    n_steps : int, default=20
        Steps of Adam, each on all rows of the probe.
    learning_rate : float, default=1e-3
        Of Adam, with a weight decay of 1e-4. With 1e-2 units that no row wakes up do wake
        up in so few steps, but networks that have none of them score lower.
    """

    n_steps: int = 20
    learning_rate: float = 1e-3

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


# ------------------------------------------------------------------------------- depth


@dataclass(repr=False, eq=False)
class Net2Deeper(BaseEstimator):
    """A layer that passes on what it gets (Chen 2016)."""

    axis, preserving = "depth", True

    def start(self, net, i, n_new, probe):
        """The network with `n_new` more layers above hidden layer `i`.

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
        for _ in range(n_new):
            net = insert_identity(net, i)
        return net


@dataclass(repr=False, eq=False)
class Morphism(BaseEstimator):
    """A layer split into two with a linear unit between, which learns to bend (Wei 2016).

    Parameters
    ----------
    width : int, default=None
        Units of the new layer; None for as many as the layer below has.
    straight : float in [0, 1], default=0.05
        A layer all of whose slopes `a` are within this of 1 when training has ended did
        not learn to bend, and is multiplied with the next one into one layer.
    tol : float, default=1e-3
        That layer stays if the loss would rise by more than this.
    """

    width: int | None = None
    straight: float = 0.05
    tol: float = 1e-3

    n_retrain = 0

    axis, preserving = "depth", True

    def start(self, net, i, n_new, probe):
        """See `Net2Deeper.start`."""
        for _ in range(n_new):
            width = self.width or net.widths[i]
            net = insert_decomposed(net, i, width, probe.random_state)
        return net

    def smaller(self, net):
        """The network without its uppermost layer that is straight, or None.

        Parameters
        ----------
        net : Perceptron

        Returns
        -------
        net : Perceptron or None
        """
        for i in reversed(range(net.n_hidden)):
            layer = net.layers[i]
            gated = layer.gate is not None or net.layers[i + 1].gate is not None
            bent = np.abs(1 - layer.slopes).max() > self.straight
            if gated or bent or net.n_hidden == 1:
                continue
            line = replace(layer, slope=with_moments(np.ones_like(layer.slopes)))
            fused = fuse(net.with_layers(i, 1, line), i)
            if fused.n_parameters < net.n_parameters:
                return fused
        return None


@dataclass(repr=False, eq=False)
class Stacking(BaseEstimator):
    """The upper layers once more on top of themselves (Gong 2019).

    The copied stack is the longest run of layers below that keep their width, the first
    layer never being part of it; copies are added until there are `n_new` more layers.

    Parameters
    ----------
    gate : {"none", "zero"}, default="none"
        As in the paper, or as residual blocks that start at 0, which is preserving.
    """

    gate: str = "none"

    axis, preserving = "depth", False
    doubles = True  # a growth is as many layers as there are

    def start(self, net, i, n_new, probe):
        """See `Net2Deeper.start`."""
        if self.gate not in ("none", "zero"):
            raise ValueError(
                f"Stacking has gate={self.gate!r}; it must be 'none' or 'zero'."
            )
        stack = [layer for layer in net.layers[1 : i + 1] if layer.n_in == layer.n_out]
        if not stack or stack[-1] is not net.layers[i]:
            raise ValueError(
                f"hidden layer {i} has {net.layers[i].n_in} inputs and "
                f"{net.layers[i].n_out} units; stacking copies layers that keep their "
                "width. Start with two hidden layers of equal size or more."
            )
        for k in range(n_new):
            copy = stack[k % len(stack)]
            if self.gate == "zero":
                zeros = np.zeros(copy.n_out, net.dtype)
                net = insert_block(net, i + k, copy.weight[0], copy.bias[0], zeros)
            else:
                net = net.with_layers(i + k + 1, 0, copy)
        return net


@dataclass(repr=False, eq=False)
class AutoGrow(BaseEstimator):
    """A fresh residual block; its gate starts as the paper's last norm does (Wen 2020).

    Parameters
    ----------
    gate : {"gaussian", "uniform", "zero", "adam"}, default="gaussian"
        N(0, 1), the paper's best; U(0, 1); 0, which is preserving; or N(0, 1) and then
        trained alone until the loss is within `tol` of the one before.
    n_adam : int, default=100
        Steps of Adam at most for "adam", each on all rows of the probe.
    learning_rate : float, default=0.03
        Of these steps.
    tol : float, default=0.005
        Share of the loss by which it may be higher than before.
    """

    gate: str = "gaussian"
    n_adam: int = 100
    learning_rate: float = 0.03
    tol: float = 5e-3

    axis, preserving = "depth", False

    @property
    def n_steps(self):
        """Steps on the probe's rows at most."""
        return self.n_adam if self.gate == "adam" else 0

    def start(self, net, i, n_new, probe):
        """See `Net2Deeper.start`."""
        draw, width = probe.random_state, net.widths[i]
        gates = {
            "gaussian": draw.normal, "uniform": draw.uniform, "adam": draw.normal,
            "zero": lambda size: np.zeros(size),
        }  # fmt: skip
        if self.gate not in gates:
            raise ValueError(
                f"AutoGrow has gate={self.gate!r}; it must be one of {sorted(gates)}."
            )
        for k in range(n_new):
            weight, bias = random_units(width, width, draw, net.dtype)
            before, gate = net, gates[self.gate](size=width)
            net = insert_block(net, i + k, weight, bias, gate)
            if self.gate == "adam":
                net = self._settled(net, i + k + 1, probe, probe.loss(before))
        return net

    def _settled(self, net, at, probe, loss_before):
        """The network with the gate of a block trained, all else fixed."""
        tensors, rows = net.tensors(probe.rows.X.device), probe.rows
        gate = tensors[at]["gate"].requires_grad_()
        optimizer = torch.optim.Adam([gate], lr=self.learning_rate, weight_decay=5e-4)
        for _ in range(self.n_adam):
            loss = rows.loss(forward(rows.X, tensors))
            if loss <= loss_before * (1 + self.tol):
                break
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        trained = with_moments(gate.detach().cpu().numpy())
        return net.with_layers(at, 1, replace(net.layers[at], gate=trained))


HOW = {
    "random": RandomStart, "zero": ZeroPad, "net2wider": Net2Wider, "gradmax": GradMax,
    "firefly": Firefly, "swe": SWE, "nest": NeST, "net2deeper": Net2Deeper,
    "morphism": Morphism, "stacking": Stacking, "autogrow": AutoGrow,
}  # fmt: skip
