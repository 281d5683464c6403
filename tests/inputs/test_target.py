"""Targets of regressors: mean, deviation and what cannot be computed with."""

import math

import numpy as np
import pytest

from skgrow.inputs.target import FAR_TARGET, scaled_target, target_scale


def test_mean_and_deviation_are_weighted():
    rng = np.random.RandomState(0)
    y, weight = rng.randn(20) * 3 + 7, rng.uniform(0, 2, 20)
    y[4], weight[4] = 1e30, 0  # a row of weight 0 has no part
    total = sum(weight)
    mean = sum(w * v for w, v in zip(weight, y, strict=True)) / total
    square = sum(w * (v - mean) ** 2 for w, v in zip(weight, y, strict=True)) / total
    found = target_scale(y, weight)
    np.testing.assert_allclose(found, (mean, math.sqrt(square)))
    equal = target_scale(np.array([1, 3, 3, 5]), None)  # integers are fine
    np.testing.assert_allclose(equal, (3, math.sqrt(2)))


def test_numbers_whose_squares_overflow_have_a_deviation():
    found = target_scale(np.array([-1e300, 1e300, 1e300, -1e300]), None)
    np.testing.assert_allclose(found, (0, 1e300))


def test_a_constant_target_has_no_deviation():
    assert target_scale(np.full(5, 4.0), None) == (4.0, 0.0)
    assert target_scale(np.zeros(5), None) == (0.0, 0.0)


def test_what_is_known_stays_but_for_a_deviation_of_0():
    y = np.array([1.0, 2.0, 9.0])
    assert target_scale(y, None, known=(5.0, 2.0)) == (5.0, 2.0)
    mean, spread = target_scale(y, np.array([1.0, 1.0, 2.0]), known=(5.0, 0.0))
    assert mean == 5.0
    assert math.isclose(spread, math.sqrt((16 + 9 + 2 * 16) / 4))  # from the known mean


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_target_is_in_deviations_from_its_mean(dtype):
    found = scaled_target(np.array([1, 4, 10]), (4.0, 3.0), np.dtype(dtype))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, [-1, 0, 2])
    constant = scaled_target(np.array([4.0, 5.0]), (4.0, 0.0), np.dtype(dtype))
    np.testing.assert_allclose(constant, [0, 1])


@pytest.mark.parametrize(
    ("y", "target", "dtype", "match"),
    [
        ([0.0, 1e33], (0.0, 1e32), "float32", "1e[+]33, which float32"),
        ([0.0, 2 * FAR_TARGET], (0.0, 1.0), "float64", r"2e\+12.*deviation 1;"),
        ([-5.0, 0.0], (0.0, 1e-310), "float64", "-5, which float64"),
        ([3.0, 3.0], (3.0, 1e-40), "float32", "holds 3, which float32.*deviation 1e-40"),
        ([1e-40], (1e-40, 0.0), "float32", "1e-40, which float32"),
    ],
)
def test_what_a_dtype_cannot_compute_with_is_an_error(y, target, dtype, match):
    with pytest.raises(ValueError, match=match):
        scaled_target(np.array(y), target, np.dtype(dtype))


def test_the_bounds_are_no_wider_than_they_need_be():
    for dtype, y, target in [
        ("float32", [1e31], (0.0, 1e31)),
        ("float64", [1e33], (0.0, 1e32)),
        ("float64", [FAR_TARGET / 2], (0.0, 1.0)),
        ("float32", [3.0], (3.0, 1e-30)),
    ]:
        mean, spread = target
        found = scaled_target(np.array(y), target, np.dtype(dtype))
        np.testing.assert_allclose(found, (np.array(y) - mean) / spread, rtol=1e-6)
