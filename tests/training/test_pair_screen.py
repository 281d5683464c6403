"""The screen of pairs against loops over cells, cuts and quadrants."""

from itertools import combinations

import numpy as np
import pytest

from skgrow.training import pair_screen
from skgrow.training.losses import CROSS_ENTROPY, SQUARED_ERROR
from skgrow.training.pair_screen import CELLS_SHARE, N_CELLS, residual_interactions

KINDS = {"two classes": 2, "three classes": 3, "number": None}


def draw(kind, n_rows=400, n_columns=6):
    """Scaled rows, some of them missing, and the residual of scores that know nothing."""
    rng = np.random.RandomState(0)
    X = rng.uniform(-0.5, 0.5, size=(n_rows, n_columns))
    X[rng.rand(*X.shape) < 0.1] = -0.75
    weight = rng.uniform(0.5, 2, n_rows)
    n_classes = KINDS[kind]
    if n_classes is None:
        y, loss, n_outputs = rng.randn(n_rows) + 2 * X[:, 1] * X[:, 4], SQUARED_ERROR, 2
    else:
        y, loss, n_outputs = rng.randint(n_classes, size=n_rows), CROSS_ENTROPY, n_classes
        y[(X[:, 1] > 0) == (X[:, 4] > 0)] = 0
    return X, loss.residual(rng.randn(n_rows, n_outputs), y, weight)


def cell_of(value):
    if value < -0.5:
        return N_CELLS
    return min(int((value + 0.5) * N_CELLS), N_CELLS - 1)


def plain_strength(first, second, grad, hess, least):
    """Of one pair and class, by definition (T.3)."""
    n = N_CELLS + 1
    G, H = np.zeros((2, n, n))
    for a, b, g, h in zip(map(cell_of, first), map(cell_of, second), grad, hess,
                          strict=True):  # fmt: skip
        G[a, b] += g
        H[a, b] += h
    steps = [G.sum(axis=k) / np.maximum(H.sum(axis=k), least) for k in (1, 0)]
    for a in range(n):
        for b in range(n):
            G[a, b] -= H[a, b] * (steps[0][a] + steps[1][b])
    cells = sum((G[c] ** 2 / H[c] - 1) / 2 for c in np.ndindex(n, n) if H[c] > least)
    gains = []
    for i in range(1, n):
        for j in range(1, n):
            parts = [(slice(i), slice(j)), (slice(i), slice(j, n)),
                     (slice(i, n), slice(j)), (slice(i, n), slice(j, n))]  # fmt: skip
            if all(H[part].sum() > least for part in parts):
                gains.append(sum(G[p].sum() ** 2 / H[p].sum() / 2 for p in parts))
    return np.mean(gains) + CELLS_SHARE * cells


def plain_order(X, residual):
    """All pairs, the strongest first."""
    n_classes = residual.gradient.shape[1]
    strength = {}
    for pair in combinations(range(X.shape[1]), 2):
        strength[pair] = 0
        for t in range(n_classes) if n_classes > 2 else [1]:
            grad, hess = residual.gradient[:, t], residual.curvature[:, t]
            mass = [hess[[cell_of(v) == c for v in column]].sum()
                    for column in X.T for c in range(N_CELLS + 1)]  # fmt: skip
            columns = X[:, pair[0]], X[:, pair[1]]
            strength[pair] += plain_strength(*columns, grad, hess, 1e-6 * max(mass))
    return [list(pair) for pair in sorted(strength, key=lambda p: -strength[p])]


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_come_in_the_order_of_their_strengths(kind):
    X, residual = draw(kind)
    expected = plain_order(X, residual)
    assert len(expected) == 15
    found = residual_interactions(X, residual, 100)
    assert found.dtype == np.int64
    assert found.tolist() == expected
    assert residual_interactions(X, residual, 4).tolist() == expected[:4]


def test_a_constant_column_is_in_no_pair_and_others_keep_their_numbers():
    X, residual = draw("two classes")
    more = np.insert(X, 2, 0.0, axis=1)
    moved = residual_interactions(X, residual, 100)
    expected = moved + (moved >= 2)
    np.testing.assert_array_equal(residual_interactions(more, residual, 100), expected)


def test_of_many_rows_every_few_are_read(monkeypatch):
    X, residual = draw("two classes", n_rows=1000)
    some = residual_interactions(X[::3], residual.take(slice(None, None, 3)), 15)
    assert some.tolist() != residual_interactions(X, residual, 15).tolist()
    monkeypatch.setattr(pair_screen, "MAX_ROWS", 400)
    np.testing.assert_array_equal(residual_interactions(X, residual, 15), some)


def test_of_many_columns_those_of_the_largest_gain_are_paired(monkeypatch):
    X, residual = draw("three classes")
    gains = []
    for column in X.T:
        cell = np.array([cell_of(value) for value in column])
        sums = [(grad[cell == c].sum() ** 2 / hess[cell == c].sum())
                for c in np.unique(cell)
                for grad, hess in zip(residual.gradient.T, residual.curvature.T,
                                      strict=True)]  # fmt: skip
        gains.append(sum(sums))
    best = set(np.argsort(gains)[-3:].tolist())
    monkeypatch.setattr(pair_screen, "MAX_COLUMNS", 3)
    found = residual_interactions(X, residual, 100)
    assert {tuple(pair) for pair in found.tolist()} == set(combinations(sorted(best), 2))
