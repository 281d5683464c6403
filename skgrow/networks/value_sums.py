"""Sums over rows that a ridge regression on uses of branches needs, which add up.

Rows may come in any order and any parts: the sums are the same, but for rounding, and so
is what is fitted on them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["ValueSums"]


@dataclass(frozen=True)
class ValueSums:
    """Weighted sums of the values of uses, of their products, and of both by class.

    Attributes
    ----------
    n_rows : float
        Copies of rows that were added.
    class_weight : ndarray of float64 of shape (n_classes,)
        Weight of the rows of each class.
    class_total : ndarray of float64 of shape (n_classes, n_uses)
        Weighted sum of the values over the rows of each class.
    root : ndarray of float64 of shape (n_kept, n_uses)
        `root.T @ root` is the weighted sum of products of values, while it is not in
        `products`: values of rows, each times the root of its weight. While rows are
        fewer than uses that is the smaller of both.
    root_weight : ndarray of float64 of shape (n_kept,)
        Root of the weight of each of these rows.
    products : ndarray of float64 of shape (n_uses, n_uses), or (0, 0)
        The sum of products, once rows are more than uses.

    Examples
    --------
    Two parts of the rows add up:

    >>> import numpy as np
    >>> from skgrow.networks.value_sums import ValueSums
    >>> values, y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0, 1])
    >>> one = np.ones(1)
    >>> first = ValueSums.of(values[:1], y[:1], one, one, n_classes=2)
    >>> both = first + ValueSums.of(values[1:], y[1:], one, one, n_classes=2)
    >>> both.mean
    array([2., 3.])
    """

    n_rows: float
    class_weight: np.ndarray
    class_total: np.ndarray
    root: np.ndarray
    root_weight: np.ndarray
    products: np.ndarray

    @classmethod
    def none(cls, n_classes, n_uses):
        """Of no row."""
        counts, totals = np.zeros(n_classes), np.zeros((n_classes, n_uses))
        return cls(
            0.0, counts, totals, np.zeros((0, n_uses)), np.zeros(0), np.zeros((0, 0))
        )

    @classmethod
    def of(cls, values, y, sample_weight, copies, n_classes):
        """Of rows of values `(n_rows, n_uses)` and their class numbers.

        `copies` (n_rows,) says how many rows each stands for, `sample_weight` what these
        weigh together.
        """
        values = values.astype(np.float64, copy=False)
        weight = sample_weight.astype(np.float64)
        of_class = np.zeros((n_classes, len(y)))
        of_class[y, np.arange(len(y))] = weight
        root_weight = np.sqrt(weight)
        sums = cls(
            n_rows=float(np.sum(copies)),
            class_weight=of_class.sum(axis=1),
            class_total=of_class @ values,
            root=root_weight[:, None] * values,
            root_weight=root_weight,
            products=np.zeros((0, 0)),
        )
        return sums._compact()

    def __add__(self, other):
        both = replace(
            self,
            n_rows=self.n_rows + other.n_rows,
            class_weight=self.class_weight + other.class_weight,
            class_total=self.class_total + other.class_total,
        )
        if not (self.products.size or other.products.size):
            root = np.concatenate([self.root, other.root])
            root_weight = np.concatenate([self.root_weight, other.root_weight])
            return replace(both, root=root, root_weight=root_weight)._compact()
        return both._summed(self._all_products() + other._all_products())

    def with_classes(self, n_classes, place):
        """The same among more classes; class `i` is now number `place[i]`."""
        class_weight = np.zeros(n_classes)
        class_total = np.zeros((n_classes, self.n_uses))
        class_weight[place], class_total[place] = self.class_weight, self.class_total
        return replace(self, class_weight=class_weight, class_total=class_total)

    @property
    def n_uses(self):
        """Uses whose values were summed."""
        return self.class_total.shape[1]

    @property
    def weight(self):
        """Weight of all rows."""
        return float(self.class_weight.sum())

    @property
    def share(self):
        """Share `(n_classes,)` of each class."""
        return self.class_weight / self.weight

    @property
    def mean(self):
        """Mean value `(n_uses,)` of each use."""
        return self.class_total.sum(axis=0) / self.weight

    @property
    def mean_square(self):
        """Mean squared value `(n_uses,)` of each use."""
        if self.products.size:
            return self.products.diagonal() / self.weight
        return np.einsum("ij,ij->j", self.root, self.root) / self.weight

    def fits(self, n_classes, n_uses):
        """Whether the arrays are those of so many classes and uses."""
        kept = self.products.shape == (n_uses, n_uses) and not len(self.root)
        return (
            self.class_total.shape == (n_classes, n_uses)
            and self.root.shape[1] == n_uses
            and len(self.class_weight) == n_classes
            and (kept or self.products.shape == (0, 0))
        )

    def _compact(self):
        if len(self.root) <= self.n_uses:
            return self
        return self._summed(self._all_products())

    def _summed(self, products):
        root, root_weight = self.root[:0], self.root_weight[:0]
        return replace(self, root=root, root_weight=root_weight, products=products)

    def _all_products(self):
        return self.products if self.products.size else self.root.T @ self.root
