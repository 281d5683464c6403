"""A dense network in training: all its numbers in one vector, its gradient, and Adam."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from skgrow.networks.blocks import Layer, Parallel, mapped, parts_of
from skgrow.networks.perceptron import Perceptron
from skgrow.training.dense_blocks import (
    TrainableLayer,
    TrainableParallel,
    TrainableSeries,
)
from skgrow.training.tensors import Workspace

__all__ = ["TrainablePerceptron"]

# Of the arrays in the vector of all numbers.
ORDER = ("weight", "bias", "slope", "gate", "scale")


class TrainablePerceptron:
    """A `Perceptron` with what a training step needs: its gradient, and Adam.

    As of a bank in training, see `TrainableBank`, all numbers are in one vector, so
    that Adam's update is one operation, and the blocks are products written out, see
    `dense_blocks.py`.

    Parameters
    ----------
    net : Perceptron
        It is not changed.
    device : str, default="cpu"

    Attributes
    ----------
    values, gradients : list of dict
        Of each part of the network, in the order of `parts_of`, the arrays by their
        names; all but weights are columns, as biases `(n_out, 1)`. They are views: a
        change of the vectors changes them.
    parameters, gradient : Tensor of shape (n_parameters,)
        All numbers: weights of all layers, then biases, slopes, gates, and scales of
        parallel blocks.
    penalty, penalty_grad : Tensor of shape (n_weights,)
        The weights among them, whose squares a penalty sums; their gradient.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from skgrow.networks.blocks import Layer
    >>> from skgrow.networks.perceptron import Perceptron
    >>> from skgrow.training.dense_gradient import TrainablePerceptron
    >>> hidden = Layer.of(np.ones((2, 1)), np.zeros(2))
    >>> readout = Layer.of(np.ones((1, 2)), np.zeros(1))
    >>> network = TrainablePerceptron(Perceptron((hidden, readout)))
    >>> network.logits(torch.tensor([[3.0, -3.0]]).double())    # relu(x) + relu(x)
    tensor([[6., 0.]], dtype=torch.float64)
    >>> network.backward(torch.ones((1, 2)).double())
    >>> network.gradient    # first layer, readout, their biases
    tensor([3., 3., 3., 3., 1., 1., 2.], dtype=torch.float64)
    """

    def __init__(self, net, device="cpu"):
        self._net, self._n_steps = net, 0
        self._parts = list(parts_of(net.layers))
        self._places = [
            (i, name)
            for name in ORDER
            for i, part in enumerate(self._parts)
            if name in part.arrays
        ]
        arrays = [self._parts[i].arrays[name] for i, name in self._places]
        self._shapes = [array.shape[1:] for array in arrays]
        self._sizes = [int(np.prod(shape)) for shape in self._shapes]
        planes = np.concatenate([array.reshape(3, -1) for array in arrays], axis=1)
        # A copy: torch must never share memory maps.
        self._planes = torch.tensor(planes, device=device)
        self.parameters = self._planes[0]
        self.gradient = torch.zeros_like(self.parameters)
        self.values = self._views(self.parameters)
        self.gradients = self._views(self.gradient)
        leaves = [part for part in self._parts if isinstance(part, Layer)]
        n_weights = sum(layer.weight[0].size for layer in leaves)
        self.penalty = self.parameters[:n_weights]
        self.penalty_grad = self.gradient[:n_weights]
        self._mask = self._connections(leaves)
        views = enumerate(zip(self.values, self.gradients, strict=True))
        self._series = _series(net.layers, views, Workspace(self.parameters))

    def _views(self, vector):
        """The slices of a vector as arrays of the parts of the network."""
        found = [{} for _ in self._parts]
        slices = zip(self._places, vector.split(self._sizes), self._shapes, strict=True)
        for (i, name), values, shape in slices:
            is_weight = name == "weight"
            found[i][name] = values.view(*shape) if is_weight else values[:, None]
        return found

    def _connections(self, leaves):
        """Which of the weights there are, as ones and zeros; None for all."""
        if all(layer.mask is None for layer in leaves):
            return None
        masks = np.concatenate([layer.connections.reshape(-1) for layer in leaves])
        like = self.parameters
        return torch.tensor(masks, device=like.device, dtype=like.dtype)

    def logits(self, inputs):
        """Outputs, a Tensor `(n_outputs, rows)`.

        Parameters
        ----------
        inputs : Tensor of shape (n_features, rows)
        """
        return self._series.forward(inputs)

    def backward(self, output_gradient):
        """Write the gradient of a loss to `gradient`.

        Parameters
        ----------
        output_gradient : Tensor of shape (n_outputs, rows)
            Of the loss, by the logits that `logits` gave last. Once only: what `logits`
            has kept for it is used up.
        """
        self._series.backward(output_gradient, wants_below=False)

    def adam(self, learning_rate):
        """Adam, going on with the moments that the network holds.

        It sees one vector, or one for each array where layers differ in the steps that
        Adam has taken.
        """
        steps = [self._parts[i].n_steps for i, _ in self._places]
        sizes, planes = self._sizes, self._planes
        if len(set(steps)) == 1:
            steps, sizes = steps[:1], [len(self.parameters)]
        vectors = (*planes.unbind(), self.gradient)
        parts = list(zip(*(vector.split(sizes) for vector in vectors), strict=True))
        optimizer = torch.optim.Adam(
            [numbers for numbers, *_ in parts], lr=learning_rate, fused=True
        )
        for n_steps, (numbers, first, second, grad) in zip(steps, parts, strict=True):
            numbers.grad = grad
            step = torch.tensor(float(n_steps), device=planes.device)
            state = {"step": step, "exp_avg": first, "exp_avg_sq": second}
            optimizer.state[numbers] = state
        return optimizer

    def step(self, optimizer, alpha=0.0):
        """A step of Adam, with the gradient of `alpha / 2` times the squared weights."""
        if alpha:
            self.penalty_grad.add_(self.penalty, alpha=alpha)
        if self._mask is not None:
            self.penalty_grad.mul_(self._mask)
        optimizer.step()
        self._n_steps += 1
        for values in self.values:
            if "slope" in values:  # between a ReLU's and that of its mirror image
                values["slope"].clamp_(0, 2)

    def trained(self):
        """The network as it is now, a `Perceptron`, with Adam's moments."""
        arrays = [{} for _ in self._parts]
        planes = self._planes.cpu().numpy()
        slices = np.split(planes, np.cumsum(self._sizes)[:-1], axis=1)
        places = zip(self._places, slices, self._shapes, strict=True)
        for (i, name), numbers, shape in places:
            arrays[i][name] = numbers.reshape(3, *shape).copy()
        found = iter(arrays)

        def changed(part):
            own = next(found)
            if not own:  # a concatenation, whose numbers are all in its branches
                return part
            return replace(part, **own, n_steps=part.n_steps + self._n_steps)

        return Perceptron(mapped(self._net.layers, changed))


def _series(blocks, numbered, workspace, depth=0):
    """Blocks in training, of numbered views in the order of `parts_of`."""
    found = []
    for k, block in enumerate(blocks):
        below = ("below", depth, k % 2)
        if isinstance(block, Parallel):
            branches = [
                _series(branch, numbered, workspace, depth + 1)
                for branch in block.branches
            ]
            number, views = next(numbered)  # after those of the branches
            found.append(TrainableParallel(branches, *views, workspace, number, below))
        else:
            number, views = next(numbered)
            is_readout = depth == 0 and k == len(blocks) - 1
            found.append(TrainableLayer(*views, workspace, number, below, is_readout))
    return TrainableSeries(found)
