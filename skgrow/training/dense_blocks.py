"""Blocks of a dense network in training: products written out, in memory used again.

Each block has `forward(inputs)` and `backward(above, wants_below)`, which writes the
gradients of its own numbers. The tree of blocks is that of `networks/blocks.py`.
"""

from __future__ import annotations

import torch

__all__ = ["TrainableLayer", "TrainableParallel", "TrainableSeries"]


class TrainableSeries:
    """Blocks one after the other.

    Parameters
    ----------
    blocks : list of TrainableLayer or TrainableParallel
    """

    def __init__(self, blocks):
        self._blocks = blocks

    def forward(self, inputs):
        """Outputs, a Tensor `(n_out, rows)`, of inputs `(n_in, rows)`."""
        for block in self._blocks:
            inputs = block.forward(inputs)
        return inputs

    def backward(self, above, wants_below):
        """Write the gradients of all blocks.

        Parameters
        ----------
        above : Tensor of shape (n_out, rows)
            Gradient by the outputs that `forward` gave last; it is overwritten, and what
            `forward` has kept is used up.
        wants_below : bool
            Whether the gradient by the inputs is needed.

        Returns
        -------
        below : Tensor of shape (n_in, rows) or None
            Gradient by the inputs, in memory that the next but one block of the series
            below uses again.
        """
        for i in reversed(range(len(self._blocks))):
            above = self._blocks[i].backward(above, wants_below or i > 0)
        return above


class TrainableLayer:
    """A `Layer`, or the readout, in training.

    Parameters
    ----------
    values, gradients : dict of Tensor
        Weights `(n_out, n_in)`; biases, slopes and gates as columns `(n_out, 1)`.
        Gradients are written there.
    workspace : Workspace
    number : int
        Of this part of the network: names the memory of what `forward` keeps.
    below : hashable
        Name of the memory of the gradient by the inputs.
    is_linear : bool, default=False
        Whether it puts out its sums, as the readout does.
    """

    def __init__(self, values, gradients, workspace, number, below, is_linear=False):
        self._weight, self._bias = values["weight"], values["bias"]
        self._weight_T = self._weight.T
        self._slope, self._gate = values.get("slope"), values.get("gate")
        self._gradients, self._is_linear = gradients, is_linear
        self._room, self._below = workspace.room, below
        self._names = [(name, number) for name in ("z", "active", "hidden", "out")]

    def forward(self, inputs):
        """Outputs, see `TrainableSeries.forward`."""
        z_name, _, _, out_name = self._names
        z = self._room(z_name, len(self._bias), inputs.shape[1])
        torch.addmm(self._bias, self._weight, inputs, out=z)
        if self._is_linear:
            self._kept = inputs, z, None, None
            return z
        active, hidden = self._activation(z)
        self._kept = inputs, z, active, hidden
        if self._gate is None:
            return hidden
        out = self._room(out_name, *z.shape)
        return torch.addcmul(inputs, self._gate, hidden, out=out)

    def _activation(self, z):
        """Derivatives of the activation, and its values `P_a(z)`, `(n_out, rows)`."""
        _, active_name, hidden_name, _ = self._names
        if self._slope is None:
            active = self._room(active_name, *z.shape)
            torch.ge(z, 0, out=active)  # 1 at 0 too, see `activation`
            return active, z.clamp_min_(0)
        active = torch.where(z < 0, self._slope, 1)
        hidden = self._room(hidden_name, *z.shape)
        return active, torch.mul(z, active, out=hidden)

    def backward(self, above, wants_below):
        """Write the gradients, see `TrainableSeries.backward`."""
        inputs = self._kept[0]
        back = above if self._is_linear else self._through_activation(above)
        torch.mm(back, inputs.T, out=self._gradients["weight"])
        torch.sum(back, dim=1, keepdim=True, out=self._gradients["bias"])
        if not wants_below:
            return None
        below = self._room(self._below, *inputs.shape)
        if self._gate is None or self._is_linear:
            return torch.mm(self._weight_T, back, out=below)
        return torch.addmm(above, self._weight_T, back, out=below)

    def _through_activation(self, above):
        """The gradient by the sums, of that by the outputs, which it overwrites
        unless there is a gate; those of slopes and gates are written.
        """
        gradients, back = self._gradients, above
        _, z, active, hidden = self._kept
        if self._gate is not None:
            room = self._room("gated", *z.shape)
            product = torch.mul(above, hidden, out=room)
            torch.sum(product, dim=1, keepdim=True, out=gradients["gate"])
            back = torch.mul(above, self._gate, out=room)
        if self._slope is not None:
            product = z.clamp_max_(0).mul_(back)  # z is not needed any more
            torch.sum(product, dim=1, keepdim=True, out=gradients["slope"])
        return back.mul_(active)


class TrainableParallel:
    """A `Parallel` in training.

    Parameters
    ----------
    branches : list of TrainableSeries
        Their gradients with respect to the inputs are in other memory than `below`.
    values, gradients : dict of Tensor
        The scale as a column `(n_branches, 1)`, where outputs are added.
    workspace : Workspace
    number : int
    below : hashable
        See `TrainableLayer`.
    """

    def __init__(self, branches, values, gradients, workspace, number, below):
        self._branches, self._room, self._below = branches, workspace.room, below
        self._scale, self._scale_grad = values.get("scale"), gradients.get("scale")
        self._out, self._scaled = ("out", number), ("scaled", number)

    def forward(self, inputs):
        """Outputs, see `TrainableSeries.forward`."""
        self._inputs = inputs
        self._outputs = [branch.forward(inputs) for branch in self._branches]
        n_rows = inputs.shape[1]
        if self._scale is None:
            n_out = sum(len(output) for output in self._outputs)
            return torch.cat(self._outputs, out=self._room(self._out, n_out, n_rows))
        out = self._room(self._out, len(self._outputs[0]), n_rows)
        torch.mul(self._outputs[0], self._scale[0], out=out)
        for output, scale in zip(self._outputs[1:], self._scale[1:], strict=True):
            out.addcmul_(output, scale)
        return out

    def backward(self, above, wants_below):
        """Write the gradients of all branches, see `TrainableSeries.backward`."""
        total = None
        for k, branch in enumerate(self._branches):
            below = branch.backward(self._share(above, k), wants_below)
            if not wants_below:
                continue
            if total is None:
                total = self._room(self._below, *self._inputs.shape).copy_(below)
            else:
                total.add_(below)
        return total

    def _share(self, above, k):
        """The gradient by the outputs of a branch; that of its scale is written."""
        if self._scale is None:
            return above.split([len(output) for output in self._outputs])[k]
        room = self._room(self._scaled, *above.shape)
        product = torch.mul(above, self._outputs[k], out=room)
        self._scale_grad[k] = product.sum()
        return torch.mul(above, self._scale[k], out=room)
