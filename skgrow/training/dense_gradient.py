"""A dense network in training: its gradient, in memory that is used again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from skgrow.networks.perceptron import Perceptron
from skgrow.training.tensors import Workspace

__all__ = ["TrainablePerceptron"]

ORDER = ("weight", "bias", "slope", "gate")  # of the arrays in the vector of all numbers


class TrainablePerceptron:
    """A `Perceptron` with what a training step needs: its gradient, and Adam.

    As of a bank in training, see `TrainableBank`, all numbers stand in one vector, so
    that Adam's update is one operation, and the layers are products written out.

    Parameters
    ----------
    net : Perceptron
        It is not changed.
    device : str, default="cpu"

    Attributes
    ----------
    layers, gradients : list of dict
        Of each layer, the arrays by their names; biases, slopes and gates are columns
        `(n_out, 1)`. They are views: a change of the vectors changes them.
    parameters, gradient : Tensor of shape (n_parameters,)
        All numbers: weights of all layers, then biases, slopes, gates.
    penalty, penalty_grad : Tensor of shape (n_weights,)
        The weights among them, of which a penalty wants the squares; their gradient.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from skgrow.networks.perceptron import Layer, Perceptron
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
        self._places = [
            (i, name)
            for name in ORDER
            for i, layer in enumerate(net.layers)
            if getattr(layer, name) is not None
        ]
        arrays = [getattr(net.layers[i], name) for i, name in self._places]
        self._shapes = [array.shape[1:] for array in arrays]
        self._sizes = [int(np.prod(shape)) for shape in self._shapes]
        planes = np.concatenate([array.reshape(3, -1) for array in arrays], axis=1)
        # A copy: torch must never share memory maps.
        self._planes = torch.tensor(planes, device=device)
        self.parameters = self._planes[0]
        self.gradient = torch.zeros_like(self.parameters)
        self.layers = self._views(self.parameters)
        self.gradients = self._views(self.gradient)
        n_weights = sum(layer.weight[0].size for layer in net.layers)
        self.penalty = self.parameters[:n_weights]
        self.penalty_grad = self.gradient[:n_weights]
        self._mask = self._connections(device)
        self._workspace = Workspace(self.parameters)

    def _views(self, vector):
        """The parts of a vector as arrays of the layers."""
        layers = [{} for _ in self._net.layers]
        parts = zip(self._places, vector.split(self._sizes), self._shapes, strict=True)
        for (i, name), part, shape in parts:
            layers[i][name] = part.view(*shape) if name == "weight" else part[:, None]
        return layers

    def _connections(self, device):
        """Which of the weights there are, as ones and zeros; None for all."""
        if all(layer.mask is None for layer in self._net.layers):
            return None
        parts = [layer.connections.reshape(-1) for layer in self._net.layers]
        dtype = self.parameters.dtype
        return torch.tensor(np.concatenate(parts), device=device, dtype=dtype)

    def logits(self, inputs):
        """Outputs, a Tensor `(n_outputs, rows)`.

        Parameters
        ----------
        inputs : Tensor of shape (n_features, rows)
        """
        self._kept, last, n_rows = [], len(self.layers) - 1, inputs.shape[1]
        for i, layer in enumerate(self.layers):
            z = self._workspace.room(("z", i), len(layer["bias"]), n_rows)
            torch.addmm(layer["bias"], layer["weight"], inputs, out=z)
            if i == last:
                self._kept.append((inputs, z, None, None))
                return z
            active, hidden = self._activation(i, z)
            self._kept.append((inputs, z, active, hidden))
            if "gate" in layer:
                out = self._workspace.room(("out", i), *z.shape)
                inputs = torch.addcmul(inputs, layer["gate"], hidden, out=out)
            else:
                inputs = hidden

    def _activation(self, i, z):
        """Derivatives of the activation, and its values `P_a(z)`, `(n_out, rows)`."""
        slope = self.layers[i].get("slope")
        if slope is None:
            active = self._workspace.room(("active", i), *z.shape)
            torch.ge(z, 0, out=active)  # 1 at 0 too, see `activation`
            return active, z.clamp_min_(0)
        active = torch.where(z < 0, slope, 1)
        hidden = self._workspace.room(("hidden", i), *z.shape)
        return active, torch.mul(z, active, out=hidden)

    def backward(self, output_gradient):
        """Write the gradient of a loss to `gradient`.

        Parameters
        ----------
        output_gradient : Tensor of shape (n_outputs, rows)
            Of the loss, by the logits that `logits` gave last. Once only: what `logits`
            has kept for it is used up.
        """
        back = output_gradient
        for i in reversed(range(len(self.layers))):
            inputs, above = self._kept[i][0], back
            if i < len(self.layers) - 1:
                back = self._through_activation(i, above)
            torch.mm(back, inputs.T, out=self.gradients[i]["weight"])
            torch.sum(back, dim=1, keepdim=True, out=self.gradients[i]["bias"])
            if i:
                weight = self.layers[i]["weight"].T
                below = self._workspace.room(("below", i % 2), *inputs.shape)
                if "gate" in self.layers[i]:
                    back = torch.addmm(above, weight, back, out=below)
                else:
                    back = torch.mm(weight, back, out=below)

    def _through_activation(self, i, above):
        """The gradient by a layer's sums, of that by its outputs, which it overwrites
        unless it has a gate; those of its slopes and gates are written.
        """
        layer, gradient = self.layers[i], self.gradients[i]
        _, z, active, hidden = self._kept[i]
        back = above
        if "gate" in layer:
            room = self._workspace.room("gated", *z.shape)
            product = torch.mul(above, hidden, out=room)
            torch.sum(product, dim=1, keepdim=True, out=gradient["gate"])
            back = torch.mul(above, layer["gate"], out=room)
        if "slope" in layer:
            product = z.clamp_max_(0).mul_(back)  # z is not needed any more
            torch.sum(product, dim=1, keepdim=True, out=gradient["slope"])
        return back.mul_(active)

    def adam(self, learning_rate):
        """Adam, going on with the moments that the network holds.

        It sees one vector, or one for each array where layers differ in the steps that
        Adam has taken.
        """
        steps = [self._net.layers[i].n_steps for i, _ in self._places]
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
        for layer in self.layers:
            if "slope" in layer:  # between a ReLU's and that of its mirror image
                layer["slope"].clamp_(0, 2)

    def trained(self):
        """The network as it is now, a `Perceptron`, with Adam's moments."""
        arrays = [{} for _ in self._net.layers]
        planes = self._planes.cpu().numpy()
        parts = np.split(planes, np.cumsum(self._sizes)[:-1], axis=1)
        for (i, name), part, shape in zip(self._places, parts, self._shapes, strict=True):
            arrays[i][name] = part.reshape(3, *shape).copy()
        layers = (
            replace(layer, **found, n_steps=layer.n_steps + self._n_steps)
            for layer, found in zip(self._net.layers, arrays, strict=True)
        )
        return Perceptron(tuple(layers))
