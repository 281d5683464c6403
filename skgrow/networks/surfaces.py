"""Surfaces: the joint effect of pairs of columns of a table, as values on grids."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from sklearn.utils import gen_batches

from skgrow.networks.curves import ROWS_PER_CHUNK, are_knots, knots_of, place

__all__ = ["Surfaces"]

HEAVY = 0.25  # of the rows of a bin: a value of more is a knot of its own
CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))  # of the rectangle that a row lies in


@dataclass(frozen=True)
class Surfaces:
    """One term a pair of columns: `f_ij(x_i, x_j)`, bilinear between the knots of both.

    Outside the knots it is level. Categories are knots, and missing values have one of
    their own, behind the others.

    Attributes
    ----------
    pairs : ndarray of int64 of shape (n_surfaces, 2)
        Columns of each, the smaller one first.
    columns : ndarray of int64 of shape (n_used,)
        All columns of these pairs, ascending.
    knots : ndarray of shape (n_knots,)
        Those of one of `columns` after the other: ascending, and then NaN.
    start : ndarray of int64 of shape (n_used + 1,)
        Where the knots of each of `columns` begin, and the end of the last.
    values : ndarray of shape (n_points, n_classes)
        In logits, one grid after the other, row by row; the mean of each over the
        training rows is 0.

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow.networks.surfaces import Surfaces
    >>> X = np.array([[0.0, 5.0], [1.0, 5.0], [0.0, 7.0], [1.0, 7.0]])
    >>> flat = Surfaces.flat(np.array([[0, 1]]), X, np.ones(4), 2, n_bins=8)
    >>> flat.grid(0), flat.n_parameters    # two knots a side and one for gaps; classes
    ((3, 3), 18)
    >>> flat.logits(X).tolist() == np.zeros((4, 2)).tolist()
    True
    """

    pairs: np.ndarray
    columns: np.ndarray
    knots: np.ndarray
    start: np.ndarray
    values: np.ndarray

    @classmethod
    def flat(cls, pairs, X, sample_weight, n_classes, n_bins, categorical=None):
        """Surfaces of value 0, with knots where the rows lie.

        Parameters
        ----------
        pairs : ndarray of int64 of shape (n_surfaces, 2)
        X : ndarray of shape (n_samples, n_features)
            Numbers and codes, NaN where missing.
        sample_weight : ndarray of shape (n_samples,)
            All positive.
        n_classes : int
        n_bins : int
            Of a column; one of fewer values has a knot for each.
        categorical : ndarray of bool of shape (n_features,), default=None
            Columns of codes, which get a knot for each.
        """
        columns = np.unique(pairs)
        most = np.full(X.shape[1], n_bins)
        if categorical is not None:
            most[categorical] = len(X)
        knots = [
            np.append(
                knots_of(X[:, j], sample_weight, n_bins, most[j], heavy=HEAVY), np.nan
            )
            for j in columns
        ]
        start = np.cumsum([0, *map(len, knots)])
        none = np.zeros(0, X.dtype)
        knots = np.concatenate([none, *knots]).astype(X.dtype)
        made = cls(pairs, columns, knots, start, np.zeros((0, n_classes), X.dtype))
        return replace(made, values=np.zeros((made.begin[-1], n_classes), X.dtype))

    def __len__(self):
        return len(self.pairs)

    @property
    def n_parameters(self):
        """Trained numbers."""
        return self.values.size

    @property
    def sides(self):
        """Knots of either column of each pair, `(n_surfaces, 2)`."""
        return np.diff(self.start)[np.searchsorted(self.columns, self.pairs)]

    @property
    def begin(self):
        """Where the values of each surface begin, and the end of the last."""
        return np.cumsum([0, *self.sides.prod(axis=1)])

    def grid(self, surface):
        """Shape of the grid of one surface."""
        return tuple(self.sides[surface].tolist())

    def without(self, terms):
        """The same less the surfaces of some pairs, given as tuples of columns."""
        lost = set(terms)
        kept = np.array([tuple(pair) not in lost for pair in self.pairs.tolist()], bool)
        values = self.values[np.repeat(kept, np.diff(self.begin))]
        return replace(self, pairs=self.pairs[kept], values=values)

    def alone(self, pair):
        """The surface of one pair, of inputs that hold no other columns; None if none."""
        found = np.flatnonzero((self.pairs == pair).all(axis=1)) if len(pair) == 2 else []
        if not len(found):
            return None
        values = self.values[self.begin[found[0]] : self.begin[found[0] + 1]]
        own = np.searchsorted(self.columns, pair)
        knots = [self.knots[self.start[k] : self.start[k + 1]] for k in own]
        start, columns = np.cumsum([0, *map(len, knots)]), np.arange(2)
        return Surfaces(columns[None], columns, np.concatenate(knots), start, values)

    def fits(self, n_columns):
        """Whether the arrays fit together and to so many columns."""
        columns = self.columns
        return (
            self.pairs.shape == (len(self.pairs), 2)
            and bool((np.diff(self.pairs, axis=1) > 0).all())
            and len(np.unique(self.pairs, axis=0)) == len(self)
            and bool((np.diff(columns, prepend=-1, append=n_columns) > 0).all())
            and bool(np.isin(self.pairs, columns).all())
            and self.start.shape == (len(columns) + 1,)
            and are_knots(self.knots, self.start)
            and len(self.values) == self.begin[-1]
        )

    def design(self, X, dtype=None):
        """Sparse matrix `(n_rows, n_points)`: its product with the values sums terms.

        Four entries for each surface and row, the corners around the row. Built a chunk
        of rows at a time: with 8-byte numbers it takes 48 bytes for each surface and
        row, and little is needed beside it.
        """
        dtype = X.dtype if dtype is None else dtype
        index = np.empty((len(X), len(self), 4), dtype=np.int32)
        share = np.empty((len(X), len(self), 4), dtype=dtype)
        for rows in gen_batches(len(X), ROWS_PER_CHUNK):
            some = X[rows].astype(dtype, copy=False)
            index[rows], share[rows] = self._corners(some)
        where = 4 * len(self) * np.arange(len(X) + 1, dtype=np.int32)
        shape = (len(X), len(self.values))
        return sparse.csr_array((share.ravel(), index.ravel(), where), shape=shape)

    def logits(self, X):
        """Sum of all surfaces, `(n_rows, n_classes)`."""
        logits = np.empty((len(X), self.values.shape[1]), dtype=self.values.dtype)
        for rows in gen_batches(len(X), ROWS_PER_CHUNK):
            logits[rows] = self.design(X[rows]) @ self.values
        return logits

    def terms(self, X):
        """What each surface adds, `(n_rows, n_surfaces, n_classes)`."""
        index, share = self._corners(X)
        return np.einsum("rsc,rsck->rsk", share, self.values[index])

    def _corners(self, X):
        """Points around each row, and its share of them: `(n_rows, n_surfaces, 4)`."""
        point, share = place(self.knots, self.start, X[:, self.columns])
        below = point - self.start[:-1]  # (n_rows, n_used)
        above = np.where(share > 0, below + 1, below)  # a gap has no neighbour
        knot = np.stack([below, above])
        part = np.stack([1 - share, share])
        first, second = np.searchsorted(self.columns, self.pairs).T
        index = np.empty((len(X), len(self), 4), dtype=np.int64)
        found = np.empty(index.shape, dtype=share.dtype)
        for c, (a, b) in enumerate(CORNERS):
            index[..., c] = knot[a][:, first] * self.sides[:, 1] + knot[b][:, second]
            found[..., c] = part[a][:, first] * part[b][:, second]
        return index + self.begin[:-1, None], found
