"""Gradient training of a `Perceptron`, a pass at a time, so that it may grow between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from skgrow.networks.forward import row_chunks
from skgrow.networks.perceptron import forward
from skgrow.training.dense_gradient import TrainablePerceptron
from skgrow.training.losses import CROSS_ENTROPY, SQUARED_OUTPUT_ERROR
from skgrow.training.tensors import as_tensors

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
        """Of arrays, which must not change while these rows are used."""
        return cls(*as_tensors((X, y, np.asarray(weight, dtype=X.dtype)), device))

    def __len__(self):
        return len(self.y)

    def take(self, rows):
        """The given rows."""
        return Rows(self.X[rows], self.y[rows], self.weight[rows])

    @property
    def criterion(self):
        """The loss: nats of a class, or half the squared errors."""
        return CROSS_ENTROPY if self.y.ndim == 1 else SQUARED_OUTPUT_ERROR

    def losses(self, outputs):
        """Loss of each row."""
        return self.criterion.of_tensors(outputs, self.y)

    def loss(self, outputs):
        """Weighted mean of the losses."""
        return self.losses(outputs) @ self.weight / self.weight.sum()


def train_pass(net, rows, generator, *, batch_size, learning_rate, alpha=0.0):
    """One pass of Adam over the rows; it goes on with the moments that `net` holds.

    Parameters
    ----------
    net : Perceptron
        It is not changed.
    rows : Rows
    generator : torch.Generator
        Shuffles the rows.
    batch_size : int
    learning_rate : float
    alpha : float, default=0.0
        `alpha / 2` times the squares of the weights is added to the loss of a batch.

    Returns
    -------
    net : Perceptron
    loss : float
        Weighted mean over the batches, as they came.
    """
    network = TrainablePerceptron(net, rows.X.device)
    optimizer = network.adam(learning_rate)
    losses, weights = [], []
    for index, y, weight, share in _batches(rows, generator, batch_size):
        outputs = network.logits(rows.X.index_select(0, index).T)
        of_rows, grad = rows.criterion.grad_by_class(outputs, y)
        network.backward(grad.mul_(share))
        network.step(optimizer, alpha)
        losses.append(of_rows)
        weights.append(weight)
    # Together, for a GPU would be waited for after each step.
    losses, weights = torch.cat(losses).double(), torch.cat(weights).double()
    return network.trained(), float(losses @ weights / weights.sum())


def _batches(rows, generator, batch_size):
    """Row indices, targets, weights and shares of the weight, of each shuffled batch.

    Those whose rows weigh nothing are left out.
    """
    n_rows = len(rows)
    order = torch.randperm(n_rows, generator=generator).to(rows.X.device)
    y, weight = rows.y[order], rows.weight[order]
    size = min(batch_size, n_rows)
    padded = torch.nn.functional.pad(weight, (0, -n_rows % size))
    masses = padded.view(-1, size).sum(dim=1)
    share = weight / masses.repeat_interleave(size)[:n_rows]
    parts = (vector.split(size) for vector in (order, y, weight, share))
    for mass, *batch in zip(masses.tolist(), *parts, strict=True):
        if mass:
            yield batch


def mean_loss(net, rows):
    """Weighted mean loss of a network, chunk by chunk."""
    tensors, total = net.tensors(rows.X.device), 0.0
    with torch.inference_mode():
        for chunk in row_chunks(len(rows)):
            part = rows.take(chunk)
            total += float(part.losses(forward(part.X, tensors)) @ part.weight)
    return total / float(rows.weight.sum())
