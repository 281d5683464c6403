"""The forward pass of very many small branches, in chunks that stay in cache."""

from __future__ import annotations

from copy import copy

import numpy as np
import torch

from skgrow.inputs.windows import ONE_PLACE

__all__ = [
    "BRANCHES_PER_CHUNK",
    "CHUNK_ROWS",
    "BankRunner",
    "Gather",
    "LayerStack",
    "MANY_READERS",
    "Scratch",
    "branches_per_chunk",
    "features_major",
    "input_columns",
    "own_tensor",
    "row_chunks",
    "rows_at_once",
]

# Rows of a training or validation step, and of samples that estimate a mean.
CHUNK_ROWS = 512
# What a forward pass works on at once: measured fastest where two layers of a chunk stay
# in the caches of two cores. It bounds the memory of every forward pass.
BRANCHES_PER_CHUNK = 128
LAYER_BYTES = 9 * 2**17
LEAST_CHUNK_ROWS, MOST_CHUNK_ROWS = 64, 2048
# With windows, places take the room of rows: fewer branches leave more rows at once.
WINDOWED_PER_CHUNK = 32
# Both for a GPU, which is done with small products before the next ones reach it.
GPU_CHUNK_ROWS, GPU_CHUNK_BYTES = 16_384, 2**28
# Branches that read the same inputs, or inputs with as many readers each: fewer are not
# worth a product of their own.
MANY_READERS = 16
ROWS_PER_BLOCK = 64  # of a transposition: few enough for a core's first cache


def features_major(X, device="cpu", out=None):
    """Inputs as the branches read them: one feature a row, and a row of ones below.

    The ones are the input that biases are weights of, see `LayerStack`.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Scaled inputs.
    device : str, default="cpu"
    out : ndarray of shape (n_features + 1, at least n_rows), default=None
        Memory to use again, which spares the system to hand out new one. Of the CPU.

    Returns
    -------
    features : Tensor of shape (n_features + 1, n_rows)
    """
    if torch.device(device).type != "cpu":
        rows = own_tensor(X, device)
        return torch.cat([rows.T, rows.new_ones((1, len(X)))])
    if out is None:
        out = np.empty((X.shape[1] + 1, len(X)), dtype=X.dtype)
    features = out[:, : len(X)]
    # Block by block: copied whole, a wide array takes far longer.
    for rows in row_chunks(len(X), ROWS_PER_BLOCK):
        features[:-1, rows] = X[rows].T
    features[-1] = 1
    return torch.as_tensor(features)


class Gather:
    """Gathers the inputs of branches, the row of ones below those of each.

    Parameters
    ----------
    columns : ndarray of int64 of shape (..., region_size)
    window : Window, default=ONE_PLACE
        The places that are read from each region.
    used : ndarray of int64 of shape (n_used,), default=None
        The columns that the features are, ascending; None for all.
    """

    def __init__(self, columns, window=ONE_PLACE, used=None):
        places = window.places_of(columns)  # (..., region_size, n_places)
        self.places = places if used is None else np.searchsorted(used, places)
        self._index = None

    def __call__(self, features):
        """Inputs of shape (..., region_size + 1, n_places * rows), place by place.

        Parameters
        ----------
        features : Tensor of shape (n_features + 1, rows)
            From `features_major`.
        """
        *leading, region_size, n_places = self.places.shape
        if self._index is None:  # made once, for all chunks of rows
            unit = np.full((*leading, 1, n_places), len(features) - 1)
            index = np.concatenate([self.places, unit], axis=-2)
            self._index = torch.tensor(index.reshape(-1), device=features.device)
        inputs = features.index_select(0, self._index)
        return inputs.reshape(*leading, region_size + 1, n_places * features.shape[1])


def input_columns(features, columns, window=ONE_PLACE):
    """Inputs `(..., region_size + 1, n_places * rows)`, as `Gather` has them."""
    return Gather(columns, window)(features)


def branches_per_chunk(window):
    """How many branches to work on at once."""
    return BRANCHES_PER_CHUNK if window.n_places == 1 else WINDOWED_PER_CHUNK


class LayerStack:
    """The layers of many branches, ready to run.

    Every layer gets one more unit that is always 1 and carries the next layer's bias:
    the small products then need no second pass to add biases. Hidden layers are written
    to scratch memory that is used again and stays in cache. Use one stack in one thread
    only.

    Parameters
    ----------
    weights : sequence of ndarray of shape (branches, n_in, n_out)
        The last one is the readout.
    biases : sequence of ndarray of shape (branches, n_out)
        One a hidden layer.
    device : str, default="cpu"
    scratch : Scratch, default=None
        Memory to share with stacks that run before or after, never at once.
    readers : list of tuple of int, default=None
        Where several branches in a row read the same inputs, `(n_inputs, n_branches)`
        for one run of inputs after the other: the next `n_inputs` have so many readers
        each. None: every branch has inputs of its own.

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow.networks.forward import LayerStack, features_major
    >>> weights = np.ones((3, 2, 4)), np.ones((3, 4, 1))
    >>> stack = LayerStack(weights, [np.ones((3, 4))])
    >>> inputs = features_major(np.array([[0.5, 0.25]]))    # (2 + 1, 1)
    >>> stack.outputs(inputs)[:, 0, 0]    # 4 * (0.5 + 0.25 + 1)
    tensor([7., 7., 7.], dtype=torch.float64)
    """

    def __init__(self, weights, biases, device="cpu", scratch=None, readers=None):
        self.hidden_layers = []  # (branches, n_out + 1, n_in + 1)
        for weight, bias in zip(weights[:-1], biases, strict=True):
            branches, n_in, n_out = weight.shape
            layer = np.zeros((branches, n_out + 1, n_in + 1), dtype=weight.dtype)
            layer[:, :-1, :-1] = weight.transpose(0, 2, 1)
            layer[:, :-1, -1] = bias
            layer[:, -1, -1] = 1
            self.hidden_layers.append(own_tensor(layer, device))
        readout = np.pad(weights[-1].transpose(0, 2, 1), ((0, 0), (0, 0), (0, 1)))
        self.readout = own_tensor(readout, device)  # (branches, n_outputs, n_in + 1)
        self.scratch = scratch or Scratch()
        self.readers = readers or [(len(readout), 1)]
        layers = (*self.hidden_layers, self.readout)
        self._widest = max(layer[..., 0].numel() for layer in layers)
        self._memory, self._n_rows, self._places = None, 0, []

    def chunks(self, n_rows, window=ONE_PLACE):
        """Slices of the rows to work on at once, each being read at so many places."""
        return row_chunks(n_rows, max(1, self.chunk_rows // window.n_places))

    @property
    def chunk_rows(self):
        """How many rows to work on at once."""
        row_bytes = self._widest * self.readout.element_size()
        n_rows = LAYER_BYTES // row_bytes
        n_rows -= n_rows % LEAST_CHUNK_ROWS
        n_rows = min(max(n_rows, LEAST_CHUNK_ROWS), MOST_CHUNK_ROWS)
        return rows_at_once(n_rows, row_bytes, self.readout.device)

    def hidden(self, inputs):
        """Last hidden layer, a Tensor `(branches, width + 1, rows)`.

        Parameters
        ----------
        inputs : Tensor of shape (n_inputs, region_size + 1, rows)
            Those of each branch, or of each of `readers`; or (region_size + 1, rows),
            when all branches read the same columns. First layers that read the same are
            one product.

        Returns
        -------
        hidden : Tensor of shape (branches, width + 1, rows)
            In scratch memory: the next call writes over it.
        """
        hidden = inputs
        places = self._places_of(inputs.shape[-1])
        for layer, out in zip(self.hidden_layers, places, strict=False):
            if layer is self.hidden_layers[0]:
                self._read(inputs, out)
            else:
                torch.bmm(layer, hidden, out=out)
            hidden = out.relu_()
        return hidden

    def _read(self, inputs, out):
        """The first layer, `(branches, n_out + 1, rows)`."""
        layer = self.hidden_layers[0]
        if inputs.dim() == 2:
            torch.mm(layer.flatten(0, 1), inputs, out=out.flatten(0, 1))
            return
        n_done = n_read = 0
        for n_inputs, n_each in self.readers:
            own = slice(n_done, n_done + n_inputs * n_each)
            weight = layer[own].view(n_inputs, n_each * layer.shape[1], layer.shape[2])
            place = out[own].view(n_inputs, n_each * out.shape[1], out.shape[2])
            some = inputs[n_read : n_read + n_inputs]
            if n_each < MANY_READERS:
                torch.bmm(weight, some, out=place)
            else:  # large products do better one by one
                for parts in zip(weight, some, place, strict=True):
                    torch.mm(*parts[:2], out=parts[2])
            n_done, n_read = own.stop, n_read + n_inputs

    def outputs(self, inputs):
        """Outputs `(branches, n_outputs, rows)`, see `hidden`; in scratch memory too."""
        out = self._places_of(inputs.shape[-1])[-1]
        return torch.bmm(self.readout, self.hidden(inputs), out=out)

    def pooled(self, inputs, window):
        """Outputs pooled over the places of a window.

        The readout is linear: a mean is taken before it, which reads out once a window.

        Parameters
        ----------
        inputs : Tensor of shape (n_inputs, region_size + 1, n_places * rows)
        window : Window

        Returns
        -------
        outputs : Tensor of shape (branches, n_outputs, rows)
        """
        if window.n_places == 1 or window.takes_max:
            return window.pooled(self.outputs(inputs))
        return torch.bmm(self.readout, window.pooled(self.hidden(inputs)))

    def lowered(self, threshold):
        """The same stack with outputs less by `threshold` (branches, n_outputs)."""
        lowered = copy(self)
        lowered.readout = self.readout.clone()
        lowered.readout[:, :, -1] = -threshold
        return lowered

    def _places_of(self, n_rows):
        """Where each layer is written; every second one shares its memory."""
        memory = self.scratch.of(self.readout, self._widest * n_rows)
        if self._memory is not memory or self._n_rows != n_rows:
            self._memory, self._n_rows = memory, n_rows
            layers = (*self.hidden_layers, self.readout)
            sizes = [layer[..., 0].numel() * n_rows for layer in layers]
            self._places = [
                memory[i % 2, :size].view(*layer.shape[:2], n_rows)
                for i, (layer, size) in enumerate(zip(layers, sizes, strict=True))
            ]
        return self._places


class Scratch:
    """Memory for two layers, which stacks that run in turn share."""

    def __init__(self):
        self._memory = None

    def of(self, like, size):
        """A Tensor `(2, at least size)` of the kind of another one."""
        if self._memory is None or self._memory.shape[1] < size:
            self._memory = like.new_empty((2, size))
        return self._memory


class BankRunner:
    """The sum of all branches of a bank, ready to run in chunks of branches and rows.

    Parameters
    ----------
    bank : BranchBank
    device : str, default="cpu"
    """

    def __init__(self, bank, device="cpu"):
        self.n_outputs, self.window = bank.n_outputs, bank.window
        self.chunks, scratch = [], Scratch()
        for part in row_chunks(bank.n_branches, branches_per_chunk(bank.window)):
            stack = bank.take(part).stack(device, scratch)
            readout = stack.readout.transpose(0, 1).flatten(1)  # all are one product
            inputs_of = Gather(bank.regions[part], bank.window)
            self.chunks.append((inputs_of, stack, readout))

    @torch.inference_mode()
    def logits(self, features):
        """Summed outputs, a Tensor `(n_outputs, n_rows)`.

        Parameters
        ----------
        features : Tensor of shape (n_features + 1, n_rows)
            Scaled inputs, see `features_major`.
        """
        total = features.new_zeros((self.n_outputs, features.shape[1]))
        for inputs_of, stack, readout in self.chunks:
            for rows in stack.chunks(features.shape[1], self.window):
                inputs = inputs_of(features[:, rows])
                if self.window.takes_max:
                    total[:, rows] += stack.pooled(inputs, self.window).sum(dim=0)
                else:
                    hidden = self.window.pooled(stack.hidden(inputs))
                    total[:, rows].addmm_(readout, hidden.flatten(0, 1))
        return total


def row_chunks(n_rows, size=CHUNK_ROWS):
    """Slices that cover `n_rows` rows, at most `size` at a time."""
    return [slice(start, start + size) for start in range(0, n_rows, size)]


def rows_at_once(n_rows, row_bytes, device):
    """How many rows to work on at once: `n_rows` on the CPU, and more on a GPU."""
    if torch.device(device).type == "cpu":
        return n_rows
    return max(n_rows, min(GPU_CHUNK_BYTES // max(row_bytes, 1), GPU_CHUNK_ROWS))


def own_tensor(array, device):
    """A Tensor with memory of its own."""
    # A copy: read-only arrays (memory maps) must never be shared with torch.
    return torch.tensor(np.ascontiguousarray(array), device=device)
