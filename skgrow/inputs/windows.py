"""Windows: the places of one image that a branch reads, and how it pools its outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["ONE_PLACE", "POOLINGS", "Window"]

POOLINGS = ("mean", "max")


@dataclass(frozen=True, eq=False)
class Window:
    """Places that a branch reads beside the columns of its region.

    Rows of pixels follow each other, so that a step inside the image is the same step
    in column numbers wherever it starts: all windows of one kind share their offsets.

    Attributes
    ----------
    offsets : ndarray of int64 of shape (n_places,)
        What is added to the columns of a region for each place; the first one is 0.
    pooling : {"mean", "max"}
        What is made of a branch's outputs at the places, before threshold and mask.

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow.inputs.windows import Window
    >>> window = Window(np.array([0, 1, 8, 9]), "mean")    # 2 x 2 places in rows of 8
    >>> window.places_of(np.array([[3, 4]]))
    array([[[ 3,  4, 11, 12],
            [ 4,  5, 12, 13]]])
    """

    offsets: np.ndarray
    pooling: str

    @property
    def n_places(self):
        """Number of places."""
        return len(self.offsets)

    @property
    def takes_max(self):
        """Whether the readout has to be done at each place."""
        return self.pooling == "max" and self.n_places > 1

    @property
    def reach(self):
        """Largest offset: how far beyond the columns of a region is read."""
        return int(self.offsets.max(initial=0))

    def fits(self):
        """Whether it has places, each once, the first one being the region itself."""
        is_ascending = bool((self.offsets[1:] > self.offsets[:-1]).all())
        return self.n_places > 0 and int(self.offsets[0]) == 0 and is_ascending

    def __eq__(self, other):
        if not isinstance(other, Window):
            return NotImplemented
        return self._key == other._key

    def __hash__(self):
        return hash(self._key)

    @property
    def _key(self):
        return self.takes_max, self.offsets.tobytes()

    def places_of(self, columns):
        """Columns of each place, `(..., region_size, n_places)`."""
        return columns[..., None] + self.offsets

    def seen(self, columns):
        """All columns that are read from each region, `(n, region_size * n_places)`."""
        n_seen = columns.shape[1] * self.n_places  # not -1: there may be no region
        return self.places_of(columns).reshape(len(columns), n_seen)

    def pooled(self, outputs):
        """Outputs of all places pooled; those of one place are what they are.

        Parameters
        ----------
        outputs : Tensor of shape (..., n_places * n_rows)
            Place by place.

        Returns
        -------
        pooled : Tensor of shape (..., n_rows)
        """
        if self.n_places == 1:
            return outputs
        apart = outputs.unflatten(-1, (self.n_places, -1))
        return apart.mean(dim=-2) if self.pooling == "mean" else apart.amax(dim=-2)


ONE_PLACE = Window(np.zeros(1, dtype=np.int64), "mean")
