"""Inputs on any scale, mapped to [-0.5, 0.5]."""

import numpy as np
import pytest

from skgrow.inputs import scaling
from skgrow.inputs.scaling import fit_scaler


def fit_table(X, sample_weight=None):
    weight = np.ones(len(X)) if sample_weight is None else sample_weight
    return fit_scaler(X, weight, shared_scale=False)


def fit_pixels(X):
    return fit_scaler(X, np.ones(len(X)), shared_scale=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pixels_of_0_to_255(dtype):
    X = np.arange(256, dtype=dtype).reshape(16, 16)
    scaled = fit_pixels(X).transform(X)
    assert scaled.dtype == dtype
    np.testing.assert_allclose(scaled, X / 255 - 0.5, atol=1e-6)
    assert (scaled.min(), scaled.max()) == (-0.5, 0.5)


def test_pixels_share_one_map():
    X = np.array([[0.0, 10.0], [2.0, 10.0]])
    scaled = fit_pixels(X).transform(X)
    np.testing.assert_allclose(scaled, [[-0.5, 0.5], [-0.3, 0.5]])


def test_pixels_outside_the_fitted_range_go_on_straight():
    scaler = fit_pixels(np.array([[0.0], [1.0]]))
    np.testing.assert_allclose(scaler.transform(np.array([[2.0]])), [[1.5]])


@pytest.mark.parametrize("value", [0.0, 7.0, -1e300])
def test_constant_pixels_become_0(value):
    X = np.full((3, 2), value)
    np.testing.assert_array_equal(fit_pixels(X).transform(X), np.zeros((3, 2)))


def test_huge_pixels_do_not_overflow():
    X = np.array([[-5e307], [5e307]])
    np.testing.assert_array_equal(fit_pixels(X).transform(X), [[-0.5], [0.5]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pixels_of_all_that_the_dtype_holds(dtype):
    most = np.finfo(dtype).max
    X = np.array([[-most], [0], [most]], dtype=dtype)
    np.testing.assert_array_equal(fit_pixels(X).transform(X), [[-1], [0], [1]])
    narrow = fit_pixels(np.array([[0], [1e-30]], dtype=dtype))
    np.testing.assert_array_equal(narrow.transform(X), [[-1e6], [-0.5], [1e6]])


@pytest.mark.parametrize("size", [2.0**-1022, 5e-324])
def test_tiny_pixels_are_no_constant(size):
    X = size * np.array([[0.0], [2.0], [4.0]])
    np.testing.assert_array_equal(fit_pixels(X).transform(X), [[-0.5], [0], [0.5]])


@pytest.mark.parametrize("size", [5e-324, 1e-310, 1e-300, 1e300])
def test_tables_in_any_unit_fill_the_box(size):
    X = size * np.arange(300.0)[:, None]
    expected = fit_table(np.arange(300.0)[:, None]).transform(np.arange(300.0)[:, None])
    np.testing.assert_allclose(fit_table(X).transform(X), expected, rtol=1e-9)


def test_quantiles_fill_the_box_whatever_the_distribution():
    rng = np.random.RandomState(0)
    X = np.exp(3 * rng.normal(size=(4000, 1)))
    scaled = fit_table(X).transform(X)[:, 0]
    ranks = np.argsort(np.argsort(X[:, 0])) / (len(X) - 1) - 0.5
    # 129 knots with straight lines between them: within one step of the true rank.
    assert np.abs(scaled - ranks).max() < 1 / 128


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_quantile_map_is_monotone_and_bounded(dtype):
    rng = np.random.RandomState(0)
    # Column 1 has many ties.
    X = np.column_stack([rng.normal(size=500), rng.randint(5, size=500)])
    scaler = fit_table(X.astype(dtype))
    grid = np.linspace(-9, 9, 2001, dtype=dtype)
    scaled = scaler.transform(np.column_stack([grid, grid]))
    assert scaled.dtype == dtype
    assert (np.diff(scaled, axis=0) >= 0).all()
    np.testing.assert_array_equal(scaled[0], [-0.5, -0.5])
    np.testing.assert_array_equal(scaled[-1], [0.5, 0.5])


def test_outliers_are_bounded_and_have_no_leverage():
    rng = np.random.RandomState(0)
    clean = rng.normal(size=(1000, 1))
    dirty = np.concatenate([clean, [[1e300]], [[-1e300]]])
    scaled = fit_table(dirty).transform(dirty)
    assert np.isfinite(scaled).all()
    assert np.abs(scaled).max() == 0.5
    inner = np.abs(clean[:, 0]) < 1.5
    moved = scaled[:1000] - fit_table(clean).transform(clean)
    assert np.abs(moved[inner]).max() < 0.02


def test_tied_values_land_in_the_middle_of_their_ties():
    X = np.repeat([[0.0], [1.0], [2.0]], [100, 800, 100], axis=0)
    scaled = fit_table(X).transform(np.array([[0.0], [1.0], [2.0]]))[:, 0]
    assert abs(scaled[1]) < 0.01
    assert scaled[0] < -0.4
    assert scaled[2] > 0.4


def test_constant_column_becomes_0_even_for_other_values():
    X = np.column_stack([np.full(20, 3.0), np.arange(20.0)])
    scaler = fit_table(X)
    np.testing.assert_array_equal(scaler.transform(X)[:, 0], np.zeros(20))
    assert scaler.transform(np.array([[99.0, 5.0]]))[0, 0] == 0


def test_weights_equal_repeated_rows():
    rng = np.random.RandomState(0)
    X = np.column_stack([rng.normal(size=301), rng.randint(4, size=301)])
    weight = rng.randint(1, 4, size=301)
    weighted = fit_table(X, weight.astype(float))
    repeated = fit_table(np.repeat(X, weight, axis=0))
    np.testing.assert_array_equal(weighted.knots, repeated.knots)
    assert (weighted.knots != fit_table(X).knots).any()


def test_scaling_of_long_tables_is_thinned(monkeypatch):
    X = np.random.RandomState(0).uniform(size=(5000, 1))
    full = fit_table(X).transform(X)
    monkeypatch.setattr(scaling, "MAX_QUANTILE_ROWS", 1000)
    thinned = fit_table(X).transform(X)
    assert 0 < np.abs(full - thinned).max() < 0.1
