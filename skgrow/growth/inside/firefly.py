"""Firefly (Wu 2020): split or new units, whichever lowers the loss most."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.base import BaseEstimator

from skgrow.growth.inside.limits import COUNT, SIZE
from skgrow.growth.inside.surgery import add_units, check_hidden, split_units
from skgrow.networks.perceptron import forward

__all__ = ["Firefly"]

LARGEST_SHIFT, LARGEST_OUT = 0.1, 0.01


@dataclass(repr=False, eq=False)
class Firefly(BaseEstimator):
    """Candidates are a split `w +- d` of every unit, and as many new units.

    They are trained with all else fixed. The score of one is the change of the loss
    that it brings, to first order at half its size; the lowest join.

    Parameters
    ----------
    n_steps : int, default=30
        Steps of RMSprop, each on all rows of the probe.
    learning_rate : float, default=1e-3
        Of RMSprop, with momentum 0.1 and decay 0.9.
    penalty : float, default=1e-2
        Times the squares of `d`, and a hundredth of it times those of new inputs.
    """

    n_steps: int = 30
    learning_rate: float = 1e-3
    penalty: float = 1e-2

    _parameter_constraints = {"n_steps": COUNT, "learning_rate": SIZE, "penalty": SIZE}
    axis, preserving = "width", False

    def start(self, net, i, n_new, probe):
        """See `RandomStart.start`."""
        check_hidden(net, i, to_widen=True)
        scores, parts = self.candidates(net, i, n_new, probe)
        best = np.argsort(scores, kind="stable")[:n_new]
        width = net.widths[i]
        split, fresh = best[best < width], best[best >= width] - width
        shift, fan_in, bias, fan_out = parts
        wider = add_units(net, i, fan_in[fresh], bias[fresh], fan_out[:, fresh])
        if not len(split):
            return wider
        # Both halves move, in opposite ways.
        apart = split_units(wider, i, split, shift[split])
        weight = apart.layers[i].weight.copy()
        weight[0, split] -= shift[split]
        return apart.with_layers(i, 1, replace(apart.layers[i], weight=weight))

    def candidates(self, net, i, n_new, probe):
        """Scores of all candidates, splits first, and their numbers.

        Returns
        -------
        scores : ndarray of shape (width + n_fresh,)
            Predicted changes of the loss.
        parts : tuple of ndarray
            Shifts of splits `(width, n_in)`; inputs, biases and readers of new units.
        """
        tensors = net.tensors(probe.rows.X.device)
        parts = self._trained(tensors, i, self._drawn(net, i, n_new, probe), probe)
        half = torch.full(
            (net.widths[i] + len(parts[1]),), 0.5, dtype=parts[0].dtype,
            device=parts[0].device, requires_grad=True,
        )  # fmt: skip
        rows = probe.rows
        loss = rows.loss(forward(rows.X, _with_candidates(tensors, i, parts, half)))
        scores = torch.autograd.grad(loss, half)[0].cpu().numpy()
        return scores, tuple(part.detach().cpu().numpy() for part in parts)

    def _drawn(self, net, i, n_new, probe):
        draw, layer = probe.random_state, net.layers[i]
        n_fresh = max(n_new, layer.n_out)
        drawn = (
            draw.uniform(-LARGEST_SHIFT, LARGEST_SHIFT, (layer.n_out, layer.n_in)),
            0.1 * draw.normal(size=(n_fresh, layer.n_in)),
            np.zeros(n_fresh),
            draw.uniform(-LARGEST_OUT, LARGEST_OUT, (net.layers[i + 1].n_out, n_fresh)),
        )
        device = probe.rows.X.device
        return [torch.tensor(a.astype(net.dtype), device=device) for a in drawn]

    def _trained(self, tensors, i, parts, probe):
        parts = [part.requires_grad_() for part in parts]
        optimizer = torch.optim.RMSprop(
            parts, lr=self.learning_rate, momentum=0.1, alpha=0.9
        )
        for _ in range(self.n_steps):
            layers = _with_candidates(tensors, i, parts)
            penalty = parts[0].square().sum() + 0.01 * parts[1].square().sum()
            loss = probe.rows.loss(forward(probe.rows.X, layers)) + self.penalty * penalty
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return [part.detach() for part in parts]


def _with_candidates(tensors, i, parts, size=None):
    """Layers with every unit split and all new units, candidates times their `size`."""
    shift, fan_in, bias, fan_out = parts
    layer, reader = tensors[i], tensors[i + 1]
    if size is not None:
        shift = size[: len(shift), None] * shift
        fan_out = fan_out * size[len(shift) :]
    old, read = layer["weight"], reader["weight"] / 2
    wider = {
        **layer,
        "weight": torch.cat([old - shift, old + shift, fan_in]),
        "bias": torch.cat([layer["bias"], layer["bias"], bias]),
    }
    if "slope" in layer:
        slope = layer["slope"]
        wider["slope"] = torch.cat([slope, slope, torch.zeros_like(bias)])
    wide = {**reader, "weight": torch.cat([read, read, fan_out], dim=1)}
    return [*tensors[:i], wider, wide, *tensors[i + 2 :]]
