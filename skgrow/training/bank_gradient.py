"""A bank in training: its gradient, in memory that is used again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from skgrow.training.pooled_readout import MaxReadout, MeanReadout
from skgrow.training.tensors import Workspace

__all__ = ["TrainableBank"]


class TrainableBank:
    """Branches with what a training step needs: gradients, and room for a batch.

    torch's own gradients would take new memory for each layer of every step, and handle
    each array on its own. All numbers are in one vector, so that an optimizer sees one
    parameter; layers are products of all branches at once.

    Parameters
    ----------
    bank : BranchBank
        It is not changed.
    n_replicas : int, default=1
        Networks that the branches make, equally many each, one after the other.
    device : str, default="cpu"
    dtype : dtype, default=None
        What to compute in; None for that of the bank.

    Attributes
    ----------
    parameters : Tensor of shape (n_parameters,)
        Weights of all layers, then biases. Its `grad` is where `backward` writes.
    penalty : Tensor of shape (n_weights,)
        The weights among them, whose squares a penalty sums.
    penalty_grad : Tensor of shape (n_weights,)
        Their gradients.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from skgrow.training.bank_gradient import TrainableBank
    >>> from skgrow.networks.bank import BranchBank
    >>> bank = BranchBank(
    ...     np.array([[0]]), (np.ones((1, 1, 2)), np.ones((1, 2, 1))), (np.zeros((1, 2)),)
    ... )
    >>> network = TrainableBank(bank)
    >>> network.logits(torch.tensor([[[3.0, -3.0]]]).double())    # relu(x) + relu(x)
    tensor([[[6., 0.]]], dtype=torch.float64)
    >>> network.backward(torch.ones((1, 1, 2)).double())
    >>> network.parameters.grad    # first layer, readout, biases
    tensor([3., 3., 3., 3., 1., 1.], dtype=torch.float64)
    """

    def __init__(self, bank, n_replicas=1, device="cpu", dtype=None):
        self._bank, self.n_replicas = bank, n_replicas
        self.dtype = dtype or bank.dtype
        weights = [w.transpose(0, 2, 1) for w in bank.weights]  # (branches, out, in)
        # (n_replicas, K, branches of one, width): all of a replica are one product.
        readout = weights[-1].reshape(n_replicas, -1, *weights[-1].shape[1:])
        weights[-1] = readout.transpose(0, 2, 1, 3)
        biases = [b[:, :, None] for b in bank.biases]
        arrays = [np.ascontiguousarray(array) for array in (*weights, *biases)]
        flat = np.concatenate([array.reshape(-1) for array in arrays]).astype(self.dtype)
        self.parameters = torch.tensor(flat, device=device)
        self.parameters.grad = torch.zeros_like(self.parameters)
        n_weights = sum(w.size for w in weights)
        self.penalty = self.parameters[:n_weights]
        self.penalty_grad = self.parameters.grad[:n_weights]
        shapes = [array.shape for array in arrays]
        self._weights, self._biases, self._readout = _layers(self.parameters, shapes)
        self._grads = _layers(self.parameters.grad, shapes)
        self._workspace = Workspace(self.parameters)
        self._pooled, window = None, bank.window
        if window.n_places > 1:
            kind = MaxReadout if window.takes_max else MeanReadout
            self._pooled = kind(self._readout, n_replicas, bank.n_branches, window)

    def logits(self, inputs):
        """Summed outputs of each replica, a Tensor `(n_replicas, n_outputs, rows)`.

        Parameters
        ----------
        inputs : Tensor of shape (branches, region_size, n_places * rows)
            Place by place.
        """
        self._inputs, self._hidden = inputs, []
        for i, (bias, weight) in enumerate(zip(self._biases, self._weights, strict=True)):
            out = self._room(i, weight, inputs.shape[2])
            torch.baddbmm(bias, weight, inputs, out=out)
            inputs = out.relu_()  # (branches, width, rows)
            self._hidden.append(inputs)
        if self._pooled is not None:
            return self._pooled.logits(inputs)
        return torch.bmm(self._readout, self._by_replica(inputs))

    def backward(self, grad):
        """Write the gradient of a loss to `parameters.grad`.

        Parameters
        ----------
        grad : Tensor of shape (n_replicas, n_outputs, rows)
            Of the loss, by the logits that `logits` gave last. Once only: what `logits`
            has kept for it is used up.
        """
        weight_grads, bias_grads, readout_grad = self._grads
        last = self._hidden[-1]
        back = self._room("even", last, last.shape[2])
        if self._pooled is not None:
            self._pooled.backward(grad, readout_grad, back)
        else:
            out = self._by_replica(last).transpose(1, 2)
            torch.bmm(grad, out, out=readout_grad)
            torch.bmm(self._readout.transpose(1, 2), grad, out=self._by_replica(back))
        layers = [self._inputs, *self._hidden]
        for i in reversed(range(len(self._hidden))):
            # Hidden values are not negative: their sign is the derivative of relu.
            back.mul_(layers[i + 1].sign_())
            torch.bmm(back, layers[i].transpose(1, 2), out=weight_grads[i])
            torch.sum(back, dim=2, keepdim=True, out=bias_grads[i])
            if i:
                name = "odd" if (len(self._hidden) - i) % 2 else "even"
                before = self._room(name, layers[i], last.shape[2])
                back = torch.bmm(self._weights[i].transpose(1, 2), back, out=before)

    def trained(self):
        """The network as it is now, a `BranchBank`: of replicas their mean.

        The outputs of replicas are divided by their number: their sum is the mean.
        """
        readout = self._readout.unflatten(2, (-1, self._weights[-1].shape[1]))
        readout = readout.transpose(1, 2).flatten(0, 1)  # (branches, K, width)
        weights = [*self._weights, readout / self.n_replicas]
        return replace(
            self._bank,
            weights=tuple(self._array(w.transpose(1, 2)) for w in weights),
            biases=tuple(self._array(b[:, :, 0]) for b in self._biases),
        )

    def _array(self, tensor):
        """A copy as the bank keeps it."""
        return np.array(tensor.cpu().numpy(), dtype=self._bank.dtype, order="C")

    def _by_replica(self, hidden):
        """Hidden values `(n_replicas, branches of one * width, rows)`."""
        return hidden.view(self.n_replicas, -1, hidden.shape[2])

    def _room(self, name, layer, n_rows):
        """Memory `(branches, width, n_rows)` for the outputs of a layer, under a name."""
        return self._workspace.room(name, *layer.shape[:2], n_rows)


def _layers(vector, shapes):
    """Views of the parts of a vector: hidden weights, biases, and the readout."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    parts = [
        part.view(shape) for part, shape in zip(vector.split(sizes), shapes, strict=True)
    ]
    n_hidden = len(parts) // 2
    return parts[:n_hidden], parts[n_hidden + 1 :], parts[n_hidden].flatten(2)
