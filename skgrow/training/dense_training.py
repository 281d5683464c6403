"""Gradient training of a `Perceptron`, a pass at a time, so that it may grow between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from skgrow.networks.forward import row_chunks
from skgrow.networks.perceptron import Layer, Perceptron, forward

__all__ = ["Rows", "mean_loss", "train_pass"]


@dataclass(frozen=True)
class Rows:
    """Rows as Tensors, and the loss of each.

    Attributes
    ----------
    X : Tensor of shape (n_rows, n_features)
        Scaled inputs.
    y : Tensor of shape (n_rows,) of int64, or of shape (n_rows, n_outputs)
        Class numbers, or targets.
    weight : Tensor of shape (n_rows,)
    """

    X: torch.Tensor
    y: torch.Tensor
    weight: torch.Tensor

    @classmethod
    def of(cls, X, y, weight, device):
        """Copies of arrays: torch must never share memory maps."""
        arrays = (X, y, np.asarray(weight, dtype=X.dtype))
        return cls(*(torch.tensor(array, device=device) for array in arrays))

    def __len__(self):
        return len(self.y)

    def take(self, rows):
        """The given rows."""
        return Rows(self.X[rows], self.y[rows], self.weight[rows])

    def losses(self, outputs):
        """Loss of each row: nats of a class, or half the squared errors."""
        if self.y.ndim == 1:
            return torch.nn.functional.cross_entropy(outputs, self.y, reduction="none")
        return (outputs - self.y).square().sum(dim=1) / 2

    def loss(self, outputs):
        """Weighted mean of the losses."""
        return self.losses(outputs) @ self.weight / self.weight.sum()


def train_pass(net, rows, generator, *, batch_size, learning_rate, alpha=0.0):
    """One pass of Adam over the rows; it goes on with the moments that `net` holds.

    Returns
    -------
    net : Perceptron
    loss : float
        Weighted mean over the batches, as they came.
    """
    device = rows.X.device
    tensors = net.tensors(device)
    for layer in tensors:
        for tensor in layer.values():
            tensor.requires_grad_()
    optimizer, masks = _adam(net, tensors, learning_rate), _masks(net, tensors)
    total = mass = 0.0
    order = torch.randperm(len(rows), generator=generator).to(device)
    for index in order.split(batch_size):
        batch = rows.take(index)
        weight = float(batch.weight.sum())
        if not weight:
            continue
        loss = batch.loss(forward(batch.X, tensors))
        penalty = sum(layer["weight"].square().sum() for layer in tensors) * alpha / 2
        optimizer.zero_grad(set_to_none=True)
        (loss + penalty).backward()
        for sparse, mask in masks:
            sparse.grad *= mask
        optimizer.step()
        _keep_slopes(tensors)
        total, mass = total + weight * float(loss.detach()), mass + weight
    return _trained(net, tensors, optimizer), total / mass


def _adam(net, tensors, learning_rate):
    parameters = [t for layer in tensors for t in layer.values()]
    optimizer = torch.optim.Adam(parameters, lr=learning_rate)
    for layer, found in zip(net.layers, tensors, strict=True):
        for name, tensor in found.items():
            planes = getattr(layer, name)
            first, second = (torch.tensor(p, device=tensor.device) for p in planes[1:])
            step = torch.tensor(float(layer.n_steps), dtype=torch.float32)
            optimizer.state[tensor] = {
                "step": step, "exp_avg": first, "exp_avg_sq": second
            }  # fmt: skip
    return optimizer


def _masks(net, tensors):
    """Weights of layers that lack some, and which they have."""
    return [
        (found["weight"], torch.tensor(layer.mask, device=found["weight"].device))
        for layer, found in zip(net.layers, tensors, strict=True)
        if layer.mask is not None
    ]


def _keep_slopes(tensors):
    """Slopes stay between a ReLU's and that of its mirror image."""
    with torch.no_grad():
        for layer in tensors:
            if "slope" in layer:
                layer["slope"].clamp_(0, 2)


def _trained(net, tensors, optimizer):
    layers = []
    for layer, found in zip(net.layers, tensors, strict=True):
        arrays = {}
        for name, tensor in found.items():
            state = optimizer.state[tensor]
            planes = (tensor.detach(), state["exp_avg"], state["exp_avg_sq"])
            arrays[name] = torch.stack(planes).cpu().numpy()
        steps = int(optimizer.state[found["weight"]]["step"])
        layers.append(Layer(**arrays, n_steps=steps, mask=layer.mask))
    return Perceptron(tuple(layers))


def mean_loss(net, rows):
    """Weighted mean loss of a network, chunk by chunk."""
    tensors, total = net.tensors(rows.X.device), 0.0
    with torch.inference_mode():
        for chunk in row_chunks(len(rows)):
            part = rows.take(chunk)
            total += float(part.losses(forward(part.X, tensors)) @ part.weight)
    return total / float(rows.weight.sum())
