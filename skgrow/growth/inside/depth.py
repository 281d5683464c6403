"""How new layers start, see `width`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.base import BaseEstimator

from skgrow.growth.inside.limits import COUNT, POSITIVE, SHARE, SIZE
from skgrow.growth.inside.surgery import (
    can_widen,
    fuse,
    insert_block,
    insert_decomposed,
    insert_identity,
)
from skgrow.networks.blocks import Layer, with_moments
from skgrow.networks.perceptron import forward, random_units

__all__ = ["AutoGrow", "Morphism", "Net2Deeper", "Stacking"]


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
    """A layer split into two, linear between until training changes that (Wei 2016).

    Parameters
    ----------
    width : int, default=None
        Units of the new layer; None for as many as the layer below has.
    straight : float in [0, 1], default=0.05
        A layer all of whose slopes `a` are within this of 1 when training has ended is
        still linear, and is multiplied with the next one into one layer.
    tol : float, default=1e-3
        That layer stays if the loss would rise by more than this.
    """

    width: int | None = None
    straight: float = 0.05
    tol: float = 1e-3

    _parameter_constraints = {"width": [*POSITIVE, None], "straight": SHARE, "tol": SIZE}
    axis, preserving = "depth", True
    n_retrain = 0  # passes before the smaller network is judged

    def start(self, net, i, n_new, probe):
        """See `Net2Deeper.start`."""
        for _ in range(n_new):
            width = self.width or net.widths[i]
            net = insert_decomposed(net, i, width, probe.random_state)
        return net

    def smaller(self, net):
        """The network without its uppermost layer that is linear, or None.

        Parameters
        ----------
        net : Perceptron

        Returns
        -------
        net : Perceptron or None
        """
        for i in reversed(range(net.n_hidden)):
            layer = net.layers[i]
            if net.n_hidden == 1 or not can_widen(net, i):
                continue
            if np.abs(1 - layer.slopes).max() > self.straight:
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

    _parameter_constraints = {"gate": [str]}
    axis, preserving = "depth", False

    def growth_size(self, net):
        """As many layers as there are above the first, or one.

        Parameters
        ----------
        net : Perceptron

        Returns
        -------
        size : int
        """
        return max(1, net.n_hidden - 1)

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
                _check_copied(copy, i)
                zeros = np.zeros(copy.n_out, net.dtype)
                net = insert_block(net, i + k, copy.weight[0], copy.bias[0], zeros)
            else:
                net = net.with_layers(i + k + 1, 0, copy)
        return net


def _check_copied(block, i):
    """Raise ValueError unless a block can be copied as a residual one."""
    if not isinstance(block, Layer):
        raise ValueError(
            f"the stack below layer {i} has a parallel block, which has no copy as a "
            'residual block; take Stacking(gate="none").'
        )


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

    _parameter_constraints = {
        "gate": [str],
        "n_adam": COUNT,
        "learning_rate": SIZE,
        "tol": SIZE,
    }
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
