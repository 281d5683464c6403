"""The order of the columns of a table, and a column that is constant.

Curves and surfaces are minima of convex losses, whatever the order of the columns. The
folds of the replicas are drawn from the rows and the seed, so they are the same rows too.
Branches start from random weights that are drawn in the order of the branches and of
their columns: another order of columns is another draw. So the terms are the same to the
tolerance of the fits, the pairs that a screen chooses are the same ones, and the branches
are not compared.
"""

import numpy as np
import pytest
from sklearn.base import clone

from skgrow import GrowingNAMClassifier, GrowingNAMRegressor

N_ROWS = 320  # more than `batch_size`: with replicas, surfaces and a screen of pairs
ORDER = np.array([2, 0, 3, 1])  # column k of the other table is column ORDER[k] of this
X = np.random.RandomState(0).uniform(-1, 1, size=(N_ROWS, 4))
X[::9, 3] = np.nan
SCORE = 2 * np.abs(X[:, 0]) + X[:, 1] + 3 * X[:, 1] * X[:, 2]
NOISE = np.random.RandomState(1).normal(size=N_ROWS)
DEFAULT = {
    "classes": (GrowingNAMClassifier(random_state=0), (SCORE + NOISE > 1).astype(int)),
    "numbers": (GrowingNAMRegressor(random_state=0), SCORE + 0.3 * NOISE),
}
TOLERANCE = 1e-6  # of the fits, which end when a step gains next to nothing
NEAR = 5e-4  # on another way to the minimum
every_target = pytest.mark.parametrize("kind", DEFAULT)


FITTED = {}


def fitted(kind, rows):
    """Not to be changed."""
    key = kind, rows.tobytes()
    if key not in FITTED:
        model, y = DEFAULT[kind]
        FITTED[key] = clone(model).fit(rows, y)
    return FITTED[key]


def without_branches(nam, rows):
    return nam._state.network.logits(rows, nam._state.inputs.scaler, with_bank=False)


def shapes_of(nam, rows):
    """What curves and surfaces add, of each term, `(n_rows, n_classes)`."""
    network, found = nam._state.network, {}
    for term in nam.term_features_:
        alone = network.alone(term)
        parts = [part.logits(rows[:, list(term)]) for part in alone.shapes]
        found[term] = sum(parts, np.zeros((len(rows), len(network.intercept))))
    return found


def permuted(term):
    """A term of the table in the other order, as columns of this one."""
    return tuple(sorted(ORDER[list(term)].tolist()))


@pytest.mark.slow
@every_target
def test_permuting_the_columns_permutes_the_terms(kind):
    one, two = fitted(kind, X), fitted(kind, X[:, ORDER])
    assert {permuted(term) for term in two.term_features_} == set(one.term_features_)
    assert one._state.network.surfaces is not None
    mine, theirs = shapes_of(one, X), shapes_of(two, X[:, ORDER])
    for term, shape in theirs.items():
        np.testing.assert_allclose(shape, mine[permuted(term)], atol=TOLERANCE)
    assert max(np.ptp(shape) for shape in mine.values()) > 1
    np.testing.assert_allclose(
        without_branches(one, X), without_branches(two, X[:, ORDER]), atol=TOLERANCE
    )


# What is constant, or always missing, adds what the intercept adds, so the fits take
# another way to the minimum. It must not count as a column in the mean over all columns.
@pytest.mark.slow
@every_target
@pytest.mark.parametrize(("place", "value"), [(0, 0.0), (2, np.nan), (4, -7.5)])
def test_a_constant_column_changes_nothing(kind, place, value):
    """Whatever its place and value; with 4 columns every pair has its branch already."""
    rows = np.insert(X, place, value, axis=1)
    plain, more = fitted(kind, X), fitted(kind, rows)
    others = np.delete(np.arange(5), place)
    expected = {tuple(others[list(term)].tolist()) for term in plain.term_features_}
    assert set(more.term_features_) - {(place,)} == expected
    scores = without_branches(plain, X)
    np.testing.assert_allclose(without_branches(more, rows), scores, atol=NEAR)
    assert np.std(scores) > 0.3
