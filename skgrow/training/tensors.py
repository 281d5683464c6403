"""Tensors of a training step: of arrays, and memory that the next step uses again."""

from __future__ import annotations

from math import prod

import numpy as np
import torch

__all__ = ["Workspace", "as_tensors"]


def as_tensors(arrays, device):
    """Arrays as Tensors, which a step reads only.

    Copies read-only arrays (memory maps) and no others: torch must never share them.
    """
    arrays = (np.require(array, requirements="W") for array in arrays)
    return tuple(torch.as_tensor(array, device=device) for array in arrays)


class Workspace:
    """Named memory that grows when it must.

    New memory for each layer of every step would take longer than the sums of a small
    layer.

    Parameters
    ----------
    like : Tensor
        Of the device and data type that are wanted.

    Examples
    --------
    >>> import torch
    >>> from skgrow.training.tensors import Workspace
    >>> workspace = Workspace(torch.zeros(1))
    >>> hidden = workspace.room("hidden", 4, 128)
    >>> hidden.shape, workspace.room("hidden", 4, 128) is hidden
    (torch.Size([4, 128]), True)
    >>> workspace.room("hidden", 4, 20).data_ptr() == hidden.data_ptr()
    True
    """

    def __init__(self, like):
        self._like, self._memory, self._views = like, {}, {}

    def room(self, name, *shape):
        """A Tensor of a shape, with whatever was left in it.

        Parameters
        ----------
        name : hashable
            Tensors of one name share their memory.
        *shape : int
        """
        view = self._views.get((name, shape))
        if view is None:
            view = self._views[name, shape] = self._view(name, shape)
        return view

    def _view(self, name, shape):
        size, memory = prod(shape), self._memory.get(name)
        if memory is None or len(memory) < size:
            memory = self._memory[name] = self._like.new_empty(size)
            # Views of the smaller memory would keep it.
            self._views = {k: v for k, v in self._views.items() if k[0] != name}
        return memory[:size].view(shape)
