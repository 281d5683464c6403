"""The units of L-BFGS-B against dense matrices."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from skgrow.training.band_preconditioner import BandedScale


def hessian(n=6):
    """Two diagonals of a positive definite matrix, and the matrix."""
    rng = np.random.RandomState(0)
    main, below = rng.uniform(3, 5, n), rng.uniform(-1, 1, n - 1)
    dense = np.diag(main) + np.diag(below, -1) + np.diag(below, 1)
    return np.array([main, [*below, 0]]), dense


@pytest.mark.parametrize("n_values", [1, 3])
def test_points_and_gradients_are_those_of_the_dense_factor(n_values):
    bands, dense = hessian()
    scale, factor = BandedScale(bands), np.linalg.cholesky(dense)
    point = np.random.RandomState(1).randn(len(dense), n_values)
    scaled = scale.scaled(point.ravel())
    np.testing.assert_allclose(scaled, (factor.T @ point).ravel())
    np.testing.assert_allclose(scale.point(scaled), point.ravel())
    gradient = np.linalg.solve(factor, point)
    np.testing.assert_allclose(scale.grad(point.ravel()), gradient.ravel())


def test_the_quadratic_of_this_hessian_is_round():
    bands, dense = hessian()
    scale = BandedScale(bands)

    def cost(scaled):
        point = scale.point(scaled)
        return point @ dense @ point / 2

    scaled = np.random.RandomState(2).randn(len(dense))
    assert np.isclose(cost(scaled), scaled @ scaled / 2)
    slow = approx_fprime(scaled, cost)
    np.testing.assert_allclose(scale.grad(dense @ scale.point(scaled)), slow, atol=1e-6)
    np.testing.assert_allclose(slow, scaled, atol=1e-6)
