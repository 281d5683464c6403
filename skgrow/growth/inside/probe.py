"""What policies may ask of some rows: gradients and losses of a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from skgrow.networks.perceptron import forward
from skgrow.training.dense_training import Rows, mean_loss

__all__ = ["Probe"]


@dataclass(frozen=True)
class Probe:
    """Rows to look at, and the one source of randomness.

    Parameters
    ----------
    rows : Rows
        Inputs, as the first layer reads them, targets and weights, as Tensors.
    random_state : RandomState

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow.networks.perceptron import Perceptron
    >>> from skgrow.policies import Probe
    >>> from skgrow.training.dense_training import Rows
    >>> random_state = np.random.RandomState(0)
    >>> X, y = random_state.normal(size=(50, 4)), np.arange(50) % 3
    >>> probe = Probe(Rows.of(X, y, np.ones(50), "cpu"), random_state)
    >>> net = Perceptron.random((4, 8, 3), random_state, np.float64)
    >>> inputs, gradients = probe.signals(net)
    >>> [g.shape for g in gradients]
    [(50, 8), (50, 3)]
    """

    rows: Rows
    random_state: np.random.RandomState

    def signals(self, net):
        """Inputs of every layer, and the gradients of the loss by its sums `z`.

        Of a parallel block the gradients are by its outputs.

        Parameters
        ----------
        net : Perceptron

        Returns
        -------
        inputs : list of ndarray of shape (n_rows, n_in)
        gradients : list of ndarray of shape (n_rows, n_out)
            They sum to the gradient of the mean loss: weights and `1 / n_rows` are in.
        """
        tensors, seen = net.tensors(self.rows.X.device), []
        inputs = self.rows.X.detach().requires_grad_()  # else there is no graph
        loss = self.rows.loss(forward(inputs, tensors, seen))
        gradients = torch.autograd.grad(loss, [z for _, z in seen])
        inputs = [x.detach().cpu().numpy() for x, _ in seen]
        return inputs, [g.cpu().numpy() for g in gradients]

    def missing_gradient(self, net, i):
        """`M = sum_rows x g^T` of the weights that would skip hidden layer `i`.

        Parameters
        ----------
        net : Perceptron
        i : int

        Returns
        -------
        M : ndarray of shape (n_in, n_out)
            `x` is what layer `i` reads, `g` the gradient of the sums that read it.
        """
        inputs, gradients = self.signals(net)
        return inputs[i].T @ gradients[i + 1]

    def outputs(self, net):
        """Outputs of the network for the rows.

        Parameters
        ----------
        net : Perceptron

        Returns
        -------
        outputs : ndarray of shape (n_rows, n_outputs)
        """
        return net.outputs(self.rows.X.cpu().numpy(), self.rows.X.device)

    def loss(self, net):
        """Mean loss of the rows.

        Parameters
        ----------
        net : Perceptron

        Returns
        -------
        loss : float
        """
        return mean_loss(net, self.rows)

    def inactive(self, net, i, units):
        """Share of the given units of hidden layer `i` that are inactive on every row.

        A unit whose sum is 0 learns, see `activation`; one below 0 on all rows does not.

        Parameters
        ----------
        net : Perceptron
        i : int
        units : slice or ndarray of int

        Returns
        -------
        share : float
        """
        sums = self.pre_activations(net)[i][:, units]
        return float((sums < 0).all(axis=0).mean())

    def pre_activations(self, net):
        """The sums `z` of each layer; of a parallel block, its outputs.

        Parameters
        ----------
        net : Perceptron

        Returns
        -------
        sums : list of ndarray of shape (n_rows, n_out)
        """
        seen = []
        with torch.inference_mode():
            forward(self.rows.X, net.tensors(self.rows.X.device), seen)
        return [z.cpu().numpy() for _, z in seen]
