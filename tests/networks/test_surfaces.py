"""Surfaces of pairs: where they have knots, their values, which files are refused."""

from dataclasses import replace

import numpy as np
import pytest

from skgrow.networks.surfaces import Surfaces
from skgrow.training.split_steps import LEAST, QuadrantStep


def some_surfaces(n_classes=3, dtype=np.float64):
    """Rows of four columns, one of them with gaps, and surfaces of three pairs."""
    rng = np.random.RandomState(0)
    X = np.column_stack([rng.randn(300, 2), rng.randint(4, size=(300, 2))])
    X[rng.rand(300) < 0.1, 1] = np.nan
    pairs = np.array([[0, 1], [0, 3], [1, 3]])
    flat = Surfaces.flat(pairs, X.astype(dtype), np.ones(300), n_classes, n_bins=8)
    values = rng.randn(*flat.values.shape).astype(dtype)
    return X.astype(dtype), replace(flat, values=values)


def hat(knots, value):
    """Share of every knot of one column, by the definition."""
    found = np.zeros(len(knots))
    if np.isnan(value):
        found[-1] = 1
    else:
        found[:-1] = [np.interp(value, knots[:-1], one) for one in np.eye(len(knots) - 1)]
    return found


def slow_term(surfaces, number, row):
    sides = []
    for column in surfaces.pairs[number]:
        place = surfaces.columns.tolist().index(column)
        own = slice(*surfaces.start[place : place + 2])
        sides.append(hat(surfaces.knots[own], row[column]))
    begin = surfaces.begin[number]
    values = surfaces.values[begin : surfaces.begin[number + 1]]
    return np.einsum("i,j,ijk->k", *sides, values.reshape(*map(len, sides), -1))


def test_terms_are_bilinear_between_knots_and_level_outside():
    X, surfaces = some_surfaces()
    beside = [[-99.0, 99.0, 0.0, 1.5], [0.1, -99.0, 0.0, np.nan], [np.nan, 0, 0, 9]]
    X = np.vstack([X[:30], beside])
    slow = np.array([[slow_term(surfaces, s, row) for s in range(3)] for row in X])
    np.testing.assert_allclose(surfaces.terms(X), slow, atol=1e-12)
    np.testing.assert_allclose(surfaces.logits(X), slow.sum(axis=1), atol=1e-12)


def test_single_precision_stays_single():
    X, surfaces = some_surfaces(dtype=np.float32)
    assert surfaces.logits(X).dtype == surfaces.terms(X).dtype == np.float32
    assert surfaces.design(X).dtype == np.float32


def test_huge_values_are_no_trouble():
    X = np.array([[-1e308, 0], [0.0, 1], [1e308, 0], [9e307, 1]])
    surfaces = Surfaces.flat(np.array([[0, 1]]), X, np.ones(4), 1, n_bins=8)
    surfaces = replace(surfaces, values=np.ones((len(surfaces.values), 1)))
    np.testing.assert_allclose(surfaces.logits(X), 1)


def test_surfaces_of_some_pairs_can_be_left_out():
    X, surfaces = some_surfaces()
    fewer = surfaces.without([(0, 3), (2, 3), (1,)])
    assert fewer.pairs.tolist() == [[0, 1], [1, 3]]
    assert fewer.fits(4)
    expected = surfaces.terms(X)[:, [0, 2]].sum(axis=1)
    np.testing.assert_allclose(fewer.logits(X), expected, atol=1e-12)
    none = surfaces.without([(0, 1), (0, 3), (1, 3)])
    assert none.fits(4)
    assert not none.logits(X).any()


WRONG = {
    "pairs": [[0, 1], [0, 2], [1, 3]],  # no knots for column 2
    "columns": [0, 1, 1],
    "start": [0, 9, 9, 24],
    "knots": np.zeros(5),
    "values": np.zeros((7, 3)),
}


@pytest.mark.parametrize("name", WRONG)
def test_arrays_that_do_not_fit_together_are_known(name):
    _, surfaces = some_surfaces()
    assert surfaces.fits(4)
    assert not surfaces.fits(3)
    assert not replace(surfaces, **{name: np.array(WRONG[name])}).fits(4)


@pytest.mark.parametrize("pairs", [[[1, 0], [0, 3], [1, 3]], [[0, 1], [0, 1], [1, 3]]])
def test_pairs_are_in_order_and_of_one_surface_each(pairs):
    X, _ = some_surfaces()
    odd = Surfaces.flat(np.array(pairs), X, np.ones(300), 3, n_bins=8)
    assert not odd.fits(4)


def test_quadrant_step_is_the_mean_over_cuts_of_newton_steps():
    rng = np.random.RandomState(0)
    X = np.column_stack([rng.randint(n, size=400).astype(float) for n in (3, 6, 2)])
    X[::7, 1] = np.nan
    pairs = np.array([[0, 1], [0, 2], [1, 2]])
    surfaces = Surfaces.flat(pairs, X, np.ones(400), 2, n_bins=8)
    grad = rng.randn(len(surfaces.values))
    hess = rng.uniform(0.1, 2, size=len(grad))
    expected = np.zeros(len(grad))
    for number, begin in enumerate(surfaces.begin[:-1]):
        n_first, n_second = surfaces.grid(number)
        own = np.s_[begin : begin + n_first * n_second]
        i, j = np.divmod(np.arange(n_first * n_second), n_second)
        n_cuts, total = 0, np.zeros(len(i))
        for a in range(n_first - 1):
            for b in range(n_second - 1):
                parts = [(i <= a) == one for one in (True, False)]
                parts = [p & ((j <= b) == one) for p in parts for one in (True, False)]
                if all(hess[own][part].sum() > LEAST for part in parts):
                    n_cuts += 1
                    for part in parts:
                        total[part] += grad[own][part].sum() / hess[own][part].sum()
        assert n_cuts > 0
        expected[own] = total / n_cuts / len(pairs)
    np.testing.assert_allclose(QuadrantStep(surfaces)(grad, hess), expected, atol=1e-12)
