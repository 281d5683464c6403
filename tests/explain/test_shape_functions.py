"""Purification: main effects are moved out of the pairs, and once is enough."""

from functools import partial
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skgrow import GrowingNAMClassifier
from skgrow.estimators import explaining
from skgrow.explain.shape_functions import Axis, axes_of, purified
from skgrow.explain.terms import terms_of

N_COLUMNS = 3
TERMS = [(0,), (1,), *combinations(range(N_COLUMNS), 2)]  # column 2 is in pairs alone
WANTED = [(0,), (1,), (2,), *TERMS[2:]]


def some_axes(rng):
    """Grids of 2 to 5 points; a point may stand for no row."""
    axes = {}
    for j in range(N_COLUMNS):
        n = rng.randint(2, 6)
        weight = rng.uniform(size=n) * (rng.uniform(size=n) > 0.2)
        weight[rng.randint(n)] = 1.0
        points = np.arange(float(n))
        axes[j] = Axis(
            points, weight / weight.sum(), np.arange(n), points.tolist(), "number", n
        )
    return axes


def blocks_of(shapes, rng=None):
    """As `term_blocks` gives them: in one part, or cut at a random place."""

    def blocks(term, grids):
        n = len(grids[0])
        cut = n if rng is None else rng.randint(1, n + 1)
        for part in (slice(0, cut), slice(cut, n)):
            if part.start < part.stop:
                yield part, shapes[term][part].copy()

    return blocks


def score_at(shapes, place):
    return sum(shape[tuple(place[j] for j in term)] for term, shape in shapes.items())


@given(st.integers(0, 2**20), st.floats(1e-3, 1e3))
def test_purified_twice_is_purified_once(seed, size):
    """Exact but for the rounding of sums, so the tolerance is that of the size."""
    rng = np.random.RandomState(seed)
    axes = some_axes(rng)
    shapes = {
        term: size * rng.normal(size=[*(len(axes[j].points) for j in term), 2])
        for term in TERMS
    }
    once, level = purified(WANTED, TERMS, axes, blocks_of(shapes, rng))
    twice, rest = purified(WANTED, WANTED, axes, blocks_of(once, rng))
    close = {"rtol": 0, "atol": 1e-12 * size}
    assert once.keys() == twice.keys() == set(WANTED)
    for term in WANTED:
        np.testing.assert_allclose(twice[term], once[term], **close)
    np.testing.assert_allclose(rest, 0, **close)
    # Once changes much, and the scores are those of before at every point of the grid.
    assert np.abs(once[(0, 1)] - shapes[(0, 1)]).max() > 0.01 * size
    for place in np.ndindex(*(len(axes[j].points) for j in range(N_COLUMNS))):
        found = score_at(once, place) + level
        np.testing.assert_allclose(found, score_at(shapes, place), **close)
    # A pair has mean 0 along either column, a column mean 0.
    for term, shape in once.items():
        for axis, j in enumerate(term):
            mean = np.tensordot(axes[j].weight, shape, axes=(0, axis))
            np.testing.assert_allclose(mean, 0, **close)


def test_a_fitted_network_purified_twice_is_purified_once():
    rng = np.random.RandomState(0)
    X = rng.uniform(-1, 1, size=(300, 3))
    X[::7, 1] = np.nan
    y = (X[:, 0] * X[:, 2] + 0.3 * rng.normal(size=300) > 0).astype(int)
    nam = GrowingNAMClassifier("pairs", curves=True, max_iter=3, random_state=0)
    nam.fit(X, y)
    terms = list(terms_of(nam._state.network))
    axes = axes_of(X, range(3), None, 8, None)
    once, level = purified(terms, terms, axes, partial(explaining._blocks, nam))
    twice, rest = purified(terms, terms, axes, blocks_of(once))
    assert np.abs(level) > 1e-6
    assert rest == pytest.approx(0, abs=1e-12)
    for term in terms:
        np.testing.assert_allclose(twice[term], once[term], rtol=0, atol=1e-12)
