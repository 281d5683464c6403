"""Units for an optimiser, in which neighbouring values hardly depend on each other."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cholesky_banded, solve_banded

__all__ = ["BandedScale"]


class BandedScale:
    """Units in which a Hessian `L L^T` of two diagonals `(2, n)` is the identity.

    L-BFGS needs a fraction of its steps in them.
    """

    def __init__(self, hessian):
        self.factor = cholesky_banded(hessian, lower=True)

    def scaled(self, point):
        """`L^T` times a point."""
        main, below = self.factor[:, :, None]
        point = point.reshape(len(main), -1)
        found = main * point
        found[:-1] += below[:-1] * point[1:]
        return found.ravel()

    def point(self, scaled):
        """The point again."""
        main, below = self.factor
        upper = np.array([np.roll(below, 1), main])
        scaled = scaled.reshape(len(main), -1)
        return solve_banded((0, 1), upper, scaled).ravel()

    def grad(self, gradient):
        """Gradient along the scaled point, from that along the point."""
        gradient = gradient.reshape(self.factor.shape[1], -1)
        return solve_banded((1, 0), self.factor, gradient).ravel()
