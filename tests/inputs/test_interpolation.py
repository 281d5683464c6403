"""Interpolation between numbers of any size."""

import numpy as np
import pytest

from skgrow.inputs.interpolation import between, interpolated

SIZES = [2.0**-1060, 2.0**-1020, 2.0**-300, 1.0, 2.0**1020]


@pytest.mark.parametrize("size", SIZES)
def test_it_does_not_depend_on_the_unit(size):
    """Of numbers of few binary digits, powers of two are exact units."""
    rng = np.random.RandomState(0)
    knots = np.sort(rng.randint(-64, 64, size=9)) / 16
    x, values = rng.randint(-99, 99, size=200) / 16, rng.randn(9)
    expected = interpolated(x, knots, values)
    np.testing.assert_array_equal(interpolated(x * size, knots * size, values), expected)


def test_ordinary_knots_give_what_numpy_gives():
    rng = np.random.RandomState(0)
    knots, values = np.sort(rng.randn(20)), rng.randn(20)
    x = np.concatenate([3 * rng.randn(500), knots])
    expected = np.interp(x, knots, values)
    np.testing.assert_allclose(interpolated(x, knots, values), expected, atol=1e-12)
    found = interpolated(x.astype(np.float32), knots.astype(np.float32), values)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_neighbours_at_both_ends_of_the_floats():
    most, least = np.finfo(float).max, np.nextafter(0.0, 1.0)
    knots = np.array([-most, 0.0, least, 2 * least, most])
    values = np.arange(5.0)
    x = np.array([-most, -most / 2, 0.0, least, most / 2, most, -np.inf, np.inf])
    expected = [0, 0.5, 1, 2, 3.5, 4, 0, 4]
    np.testing.assert_allclose(interpolated(x, knots, values), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shares_lie_between_0_and_1(dtype):
    rng = np.random.RandomState(0)
    bits = rng.randint(0, 2**31 - 1, size=(3, 4000)).astype(np.int64)
    numbers = bits.astype(np.uint32).view(np.float32) if dtype is np.float32 else (
        (bits << 31 | bits[::-1]).view(np.float64)
    )  # fmt: skip
    numbers = numbers[:, np.isfinite(numbers).all(axis=0)]
    signs = rng.choice([-1, 1], size=numbers.shape).astype(dtype)
    numbers = np.sort(numbers * signs, axis=0)
    low, x, high = numbers[:, numbers[0] < numbers[2]]
    share = between(x, low, high)
    assert share.dtype == dtype
    assert ((share >= 0) & (share <= 1)).all()
