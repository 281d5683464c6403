"""Where a network grows: which hidden layers get how many units, or which a neighbour."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral

import numpy as np
import torch
from sklearn.base import BaseEstimator

from skgrow.growth.inside.limits import COUNT, SIZE
from skgrow.growth.inside.surgery import add_units, can_widen, check_hidden
from skgrow.networks.blocks import parameters_of
from skgrow.networks.perceptron import forward

__all__ = ["WHERE", "At", "Everywhere", "Gain", "SVoD", "Stages", "Top"]


def widenable(net):
    """Hidden layers that can get units, or ValueError when there is none."""
    found = [i for i in range(net.n_hidden) if can_widen(net, i)]
    if not found:
        raise ValueError(
            "no layer can get units: every one is a residual or a parallel block, or "
            "feeds one. These keep their width; grow in depth instead."
        )
    return found


@dataclass(repr=False, eq=False)
class Everywhere(BaseEstimator):
    """Every layer that can be widened, in proportion to its units."""

    axis = "width"

    def choose(self, net, n_new, probe):
        """New units of each layer.

        Parameters
        ----------
        net : Perceptron
        n_new : int
        probe : Probe

        Returns
        -------
        places : dict of int to int
            Units by hidden layer; they sum to `n_new`.
        """
        layers = widenable(net)
        widths = np.array([net.widths[i] for i in layers], dtype=float)
        ends = np.rint(np.cumsum(widths) / widths.sum() * n_new).astype(int)
        return _counted(dict(zip(layers, np.diff(ends, prepend=0), strict=True)))


@dataclass(repr=False, eq=False)
class Gain(BaseEstimator):
    """Where new units would learn fastest: the largest singular values of all layers.

    A unit along the k-th pair of singular vectors of the gradient `M` that skips layer
    `i` has a gradient of norm `sigma_k` (GradMax); each of the largest votes for its
    layer.
    """

    axis = "width"

    def choose(self, net, n_new, probe):
        """New units of each layer, see `Everywhere.choose`."""
        layers = widenable(net)
        sigmas = [
            np.linalg.svd(probe.missing_gradient(net, i), compute_uv=False)
            for i in layers
        ]
        return _votes(layers, [-s for s in sigmas], n_new)


@dataclass(repr=False, eq=False)
class SVoD(BaseEstimator):
    """Steepest Voting Distribution (Chatzis 2025): candidates compete for all layers.

    Twice `n_new` candidates join each layer of a clone, which is trained by some steps on
    the probe's rows. The value of a candidate is the derivative of the loss along its own
    sum, `v_j = sum_rows z_j dL/dz_j`; the `n_new` lowest vote for their layers.

    Parameters
    ----------
    n_steps : int, default=10
        Steps of RMSprop, each on all rows of the probe.
    learning_rate : float, default=1e-3
        Of RMSprop, with momentum 0.1 and decay 0.9.
    size : float, default=0.01
        Weights of candidates are uniform in +- this.
    """

    n_steps: int = 10
    learning_rate: float = 1e-3
    size: float = 1e-2

    _parameter_constraints = {"n_steps": COUNT, "learning_rate": SIZE, "size": SIZE}
    axis = "width"

    def choose(self, net, n_new, probe):
        """New units of each layer, see `Everywhere.choose`."""
        layers, clone, draw = widenable(net), net, probe.random_state.uniform
        n = 2 * n_new
        for i in layers:
            layer, reader = clone.layers[i], clone.layers[i + 1]
            shapes = ((n, layer.n_in), n, (reader.n_out, n))
            clone = add_units(clone, i, *(draw(-self.size, self.size, s) for s in shapes))
        all_units = _trained_derivatives(clone, probe, self.n_steps, self.learning_rate)
        derivatives = [all_units[i][net.widths[i] :] for i in layers]
        return _votes(layers, derivatives, n_new)


def _trained_derivatives(net, probe, n_steps, learning_rate):
    """`v_j` of every unit of each layer, after some steps of RMSprop."""
    tensors = net.tensors(probe.rows.X.device)
    parameters = [tensor.requires_grad_() for tensor in parameters_of(tensors)]
    optimizer = torch.optim.RMSprop(parameters, lr=learning_rate, momentum=0.1, alpha=0.9)
    rows, seen = probe.rows, []
    for _ in range(n_steps):
        optimizer.zero_grad()
        rows.loss(forward(rows.X, tensors)).backward()
        optimizer.step()
    loss = rows.loss(forward(rows.X, tensors, seen))
    sums = [z for _, z in seen]
    gradients = torch.autograd.grad(loss, sums)
    pairs = zip(sums, gradients, strict=True)
    return [(z * g).sum(dim=0).detach().cpu().numpy() for z, g in pairs]


def _votes(layers, values, n_new):
    """Each of the `n_new` lowest of all values is one vote for its layer."""
    voter = np.repeat(np.arange(len(layers)), [len(v) for v in values])
    lowest = np.argsort(np.concatenate(values), kind="stable")[:n_new]
    votes = np.bincount(voter[lowest], minlength=len(layers))
    votes[votes.argmax()] += n_new - votes.sum()  # fewer candidates than units
    return _counted(dict(zip(layers, votes, strict=True)))


def _counted(places):
    return {int(i): int(n) for i, n in places.items() if n}


@dataclass(repr=False, eq=False)
class At(BaseEstimator):
    """One hidden layer, by its number from 0 at the inputs.

    Parameters
    ----------
    index : int
    """

    index: int

    _parameter_constraints = {"index": [Integral]}
    axis = "both"

    def choose(self, net, n_new, probe):
        """New units of the layer, or the layer that gets a neighbour above."""
        check_hidden(net, self.index)
        return {int(self.index): n_new}


@dataclass(repr=False, eq=False)
class Top(BaseEstimator):
    """Above the last hidden layer."""

    axis = "depth"

    def choose(self, net, n_new, probe):
        """The layer that gets a neighbour above."""
        return {net.n_hidden - 1: n_new}


@dataclass(repr=False, eq=False)
class Stages(BaseEstimator):
    """In turn, above each run of layers of one width (AutoGrow, Wen 2020).

    The run with the fewest layers is next, of equal ones the lowest.
    """

    axis = "depth"

    def choose(self, net, n_new, probe):
        """The layer that gets a neighbour above."""
        last = [i for i, (a, b) in enumerate(pairwise((*net.widths, 0))) if a != b]
        lengths = np.diff(last, prepend=-1)
        return {last[lengths.argmin()]: n_new}


WHERE = {"all": Everywhere, "gain": Gain, "svod": SVoD, "top": Top, "stages": Stages}


def as_where(where):
    """A policy for a number of a layer, or the policy itself."""
    is_index = isinstance(where, Integral) and not isinstance(where, bool)
    return At(int(where)) if is_index else where
