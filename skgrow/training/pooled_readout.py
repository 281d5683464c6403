"""The readout of branches that pool their outputs over places, and its gradient."""

from __future__ import annotations

import torch

__all__ = ["MaxReadout", "MeanReadout"]


class MeanReadout:
    """Mean over places of the last hidden layer, then the readout, which is linear.

    Parameters
    ----------
    readout : Tensor of shape (n_replicas, n_outputs, branches of one * width)
        A view of the numbers in training.
    n_replicas, n_branches : int
    window : Window

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from skgrow.inputs.windows import Window
    >>> from skgrow.training.pooled_readout import MeanReadout
    >>> window = Window(np.array([0, 1]), "mean")
    >>> mean = MeanReadout(torch.tensor([[[2.0]]]), 1, 1, window)
    >>> mean.logits(torch.tensor([[[1.0, 5.0, 3.0, 7.0]]]))    # two places of two rows
    tensor([[[ 4., 12.]]])
    """

    def __init__(self, readout, n_replicas, n_branches, window):
        self.readout, self.n_places = readout, window.n_places
        self.n_replicas = n_replicas
        self._pooled = None

    def logits(self, hidden):
        """Summed outputs `(n_replicas, n_outputs, rows)`.

        Parameters
        ----------
        hidden : Tensor of shape (n_branches, width, n_places * rows)
        """
        pooled = hidden.unflatten(2, (self.n_places, -1)).mean(dim=2)
        self._pooled = pooled.view(self.n_replicas, -1, pooled.shape[2])
        return torch.bmm(self.readout, self._pooled)

    def backward(self, grad, readout_grad, back):
        """Write the gradients by the readout, and by what `logits` got last.

        Parameters
        ----------
        grad : Tensor of shape (n_replicas, n_outputs, rows)
        readout_grad : Tensor, as the readout
        back : Tensor of shape (n_branches, width, n_places * rows)
        """
        torch.bmm(grad, self._pooled.transpose(1, 2), out=readout_grad)
        one = torch.bmm(self.readout.transpose(1, 2), grad).div_(self.n_places)
        each = back.unflatten(2, (self.n_places, -1))
        each.copy_(one.view(*back.shape[:2], 1, -1).expand_as(each))


class MaxReadout:
    """The readout at every place, then the largest of each output.

    Parameters are those of `MeanReadout`, whose methods it has.
    """

    def __init__(self, readout, n_replicas, n_branches, window):
        self.readout, self.n_places = readout, window.n_places
        self.n_replicas, self.n_branches = n_replicas, n_branches
        self._hidden = self._first = None

    def logits(self, hidden):
        """Summed outputs `(n_replicas, n_outputs, rows)`, see `MeanReadout.logits`."""
        self._hidden = hidden
        outputs = torch.bmm(self._by_branch(), hidden)
        best, self._first = outputs.unflatten(2, (self.n_places, -1)).max(dim=2)
        return best.unflatten(0, (self.n_replicas, -1)).sum(dim=1)

    def backward(self, grad, readout_grad, back):
        """Write the gradients, see `MeanReadout.backward`; of equal places, of one."""
        n_outputs, n_rows = grad.shape[1:]
        n_each = self.n_branches // self.n_replicas
        by_branch = grad.repeat_interleave(n_each, dim=0)  # (n_branches, K, rows)
        spread = grad.new_zeros((self.n_branches, n_outputs, self.n_places, n_rows))
        spread.scatter_(2, self._first[:, :, None], by_branch[:, :, None])
        spread = spread.flatten(2)
        own = torch.bmm(spread, self._hidden.transpose(1, 2))  # (n_branches, K, width)
        own = own.unflatten(0, (self.n_replicas, -1)).transpose(1, 2)
        readout_grad.copy_(own.flatten(2))
        torch.bmm(self._by_branch().transpose(1, 2), spread, out=back)

    def _by_branch(self):
        """The readout of each branch, `(n_branches, n_outputs, width)`."""
        apart = self.readout.unflatten(2, (self.n_branches // self.n_replicas, -1))
        return apart.transpose(1, 2).flatten(0, 1)
