"""Curves of single columns: where they have knots, their values, how they are fitted."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from skgrow import GrowingNAMClassifier
from skgrow.networks.curves import N_BINS, N_VALUES, Curves, knots_of
from skgrow.training import curve_fitting, curve_problem
from skgrow.training.curve_fitting import FIXED, fit_curves
from skgrow.training.curve_problem import HUBER_DELTAS, RIDGE
from skgrow.training.losses import CROSS_ENTROPY, SQUARED_ERROR
from skgrow.training.pair_screen import residual_interactions
from skgrow.training.split_steps import CAUTION, LEAST_OF_SPLIT, SplitStep, accelerated

PLAIN = {"n_classes": 2, "n_replicas": 1, "seed": 0}


def rows(n=400, n_classes=2):
    rng = np.random.RandomState(0)
    X = np.column_stack([rng.randn(n), rng.randint(4, size=n), rng.randint(6, size=n)])
    X[rng.rand(n) < 0.1, 0] = np.nan
    y = rng.randint(n_classes, size=n)
    return X, y, rng.uniform(0.5, 2, size=n)


def some_curves(n_classes=3):
    X, _, weight = rows()
    curves = Curves.flat(X, weight, np.array([False, False, True]), n_classes)
    values = np.random.RandomState(1).randn(*curves.values.shape)
    return X, Curves(curves.knots, curves.start, values, curves.error)


def slow_term(curves, column, value):
    """One curve at one value, by the definition."""
    own = curves.points(column)
    knots, values = curves.knots[own], curves.values[own]
    if np.isnan(value):
        return values[-1]
    return np.array([np.interp(value, knots[:-1], v) for v in values[:-1].T])


def test_terms_are_interpolated_between_knots():
    X, curves = some_curves()
    X = np.vstack([X[:30], [[-99.0, 1.5, 9.0], [99.0, -1.0, np.nan]]])
    slow = [[slow_term(curves, j, v) for j, v in enumerate(row)] for row in X]
    np.testing.assert_allclose(curves.terms(X), slow, atol=1e-12)
    np.testing.assert_allclose(curves.logits(X), np.sum(slow, axis=1), atol=1e-12)


def test_curves_that_do_not_fit_together_are_known():
    _, curves = some_curves()
    assert curves.fits(3)
    assert not curves.fits(2)
    start = curves.start.copy()
    start[1] = start[2]
    assert not Curves(curves.knots, start, curves.values, curves.error).fits(3)
    assert not Curves(curves.knots[:-1], curves.start, curves.values, curves.error).fits(
        3
    )


def test_huge_values_are_no_trouble():
    X = np.array([[-1e308], [0.0], [1e308], [9e307]])
    curves = Curves.flat(X, np.ones(4), np.array([False]), 1)
    values = np.arange(5.0)[:, None]
    curves = Curves(curves.knots, curves.start, values, curves.error)
    assert np.isfinite(curves.terms(X)).all()
    np.testing.assert_allclose(curves.logits(X)[:, 0], [0, 1, 3, 2])


def test_a_column_of_many_values_has_knots_at_quantiles_and_beside_heavy_values():
    rng = np.random.RandomState(0)
    column = np.append(np.zeros(5000), rng.lognormal(size=1000))
    knots = knots_of(column, np.ones(6000), N_BINS)
    assert N_BINS <= len(knots) <= N_BINS + 5
    assert knots[0] == 0
    assert knots[1] == column[column > 0].min()  # free to jump right beside 0


@pytest.mark.parametrize("extra", [0, 1])
def test_a_column_of_few_values_has_a_knot_for_each(extra):
    values = np.arange(float(N_VALUES + extra))
    weight = np.append(1e4, np.ones(len(values) - 1))  # one is heavy, all others light
    is_codes = np.array([False])
    knots = Curves.flat(values[:, None], weight, is_codes, n_classes=1).knots[:-1]
    if extra:
        assert len(knots) <= N_BINS + 2
    else:
        np.testing.assert_array_equal(knots, values)


def test_a_column_of_heavy_values_alone_has_a_knot_for_each():
    column = np.repeat(np.arange(100.0), 3)  # each 1/100 of the rows
    found = knots_of(column, np.ones(300), 64, heavy=0.5)
    np.testing.assert_array_equal(found, np.arange(100))
    assert 64 <= len(knots_of(column, np.ones(300), 64)) <= 65


def test_weights_count_as_rows_in_knots():
    column = np.random.RandomState(0).randn(300)
    weight = np.random.RandomState(1).randint(1, 4, size=300)
    found = knots_of(column, weight.astype(float), 32)
    rows = np.repeat(column, weight)
    np.testing.assert_array_equal(found, knots_of(rows, np.ones(len(rows)), 32))


def plain_objective(point, curves, X, y, share, to_class, delta):
    """The penalised loss of all values, one term after the other."""
    level, values = np.split(point.reshape(-1, len(to_class)), [1])
    logits = np.tile(level, (len(X), 1))
    cost = 0.0
    for j, is_codes in enumerate([False, False, True]):
        own = curves.points(j)
        part = Curves(curves.knots, curves.start, values, values)
        found, place = np.unique(X[:, j], return_inverse=True)
        logits = logits + np.array([slow_term(part, j, v) for v in found])[place]
        steps = [] if is_codes else np.diff(values[own][:-1], axis=0).ravel()
        loose = values[own].ravel() if is_codes else values[own][-1]
        roots = (np.sqrt(1 + (s / delta) ** 2) - 1 for s in steps)
        cost += HUBER_DELTAS[0] * delta * sum(roots)
        cost += sum(RIDGE / 2 * v**2 for v in loose)
    return share @ CROSS_ENTROPY.of_rows(logits @ to_class, y) + FIXED * cost


@pytest.mark.parametrize(
    ("n_classes", "delta"),
    [(2, HUBER_DELTAS[0]), (3, HUBER_DELTAS[0]), (2, HUBER_DELTAS[1])],
)
def test_fit_reaches_the_optimum_of_the_penalised_loss(n_classes, delta, monkeypatch):
    X, y, weight = rows(120, n_classes)
    X[:, 0] = np.round(X[:, 0])
    categorical = np.array([False, False, True])
    initialise = curve_problem.CurveProblem.__init__

    def with_delta(problem, *args):
        initialise(problem, *args)
        problem.delta = delta

    monkeypatch.setattr(curve_problem.CurveProblem, "__init__", with_delta)
    curves, intercept, _ = fit_curves(
        X, y, weight, categorical, CROSS_ENTROPY, **{**PLAIN, "n_classes": n_classes}
    )
    to_class = np.array([[-0.5, 0.5]]) if n_classes == 2 else np.eye(n_classes)
    flat = Curves.flat(X, weight, categorical, n_classes)
    args = (flat, X, y, weight / weight.sum(), to_class, delta)
    start = np.zeros((1 + len(flat.knots)) * len(to_class))
    slow = minimize(plain_objective, start, args=args, method="L-BFGS-B",
                    options={"maxfun": 10**6})  # fmt: skip
    level, values = np.split(slow.x.reshape(-1, len(to_class)), [1])
    other = Curves(flat.knots, flat.start, values @ to_class, flat.error)
    expected = other.logits(X) + level @ to_class
    found = curves.logits(X) + intercept
    centred = [z - z.mean(axis=1, keepdims=True) for z in (found, expected)]
    np.testing.assert_allclose(*centred, atol=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("has_cliffs", [False, True])
def test_the_huber_delta_is_small_for_curves_with_cliffs_alone(has_cliffs, monkeypatch):
    rng = np.random.RandomState(0)
    X = rng.uniform(-1, 1, size=(12_000, 3))
    scores = 2 * (X > 0.3).sum(axis=1) if has_cliffs else (3 * np.sin(3 * X)).sum(axis=1)
    y = (scores + rng.logistic(size=len(X)) > 1).astype(int)
    losses = []
    for deltas in (HUBER_DELTAS[:1], HUBER_DELTAS):
        monkeypatch.setattr(curve_fitting, "HUBER_DELTAS", deltas)
        curves, intercept, _ = fit_curves(
            X[:6000], y[:6000], np.ones(6000), np.zeros(3, dtype=bool), CROSS_ENTROPY,
            **{**PLAIN, "n_replicas": 4},
        )  # fmt: skip
        logits = curves.logits(X[6000:]) + intercept
        losses.append(CROSS_ENTROPY.of_rows(logits, y[6000:]).mean())
    assert (losses[1] < losses[0] - 1e-4) if has_cliffs else (losses[1] == losses[0])


@pytest.mark.parametrize("is_code", [False, True])
def test_split_step_is_the_mean_over_cuts_of_newton_steps(is_code):
    _, curves = some_curves(2)
    rng = np.random.RandomState(2)
    grad = rng.randn(len(curves.knots))
    hess = rng.choice([0.0, 3.0], size=len(grad))
    categorical = np.full(3, is_code)
    found = SplitStep(curves, categorical, grad, hess)(grad, hess)
    mean = grad.sum() / hess.sum()
    expected = np.zeros(len(grad))
    for j in range(3):
        own = curves.points(j)
        order = list(range(own.start, own.stop))
        if is_code:  # ascending in their damped Newton steps; gaps stay last
            damped = (grad + CAUTION * mean) / (hess + CAUTION)
            order = [*sorted(order[:-1], key=lambda point: damped[point]), order[-1]]
        cuts = [(order[:cut], order[cut:]) for cut in range(1, len(order))]
        cuts = [c for c in cuts if min(hess[half].sum() for half in c) > LEAST_OF_SPLIT]
        for half in (half for cut in cuts for half in cut):
            expected[half] += grad[half].sum() / hess[half].sum() / len(cuts) / 3
    assert np.abs(expected).min() > 0
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_acceleration_comes_to_the_least_in_fewer_steps():
    rng = np.random.RandomState(0)
    design, target = rng.randn(50, 8) * np.logspace(0, -1, 8), rng.randn(50, 1)
    rate = 1 / np.linalg.norm(design, 2) ** 2

    def step(scores):
        return rate * design.T @ (target - scores)

    plain = np.zeros((8, 1))
    for values, scores in accelerated(step, design, np.zeros((8, 1))):
        np.testing.assert_allclose(scores, design @ values, atol=1e-10)
        plain = plain + step(design @ plain)
    least = np.linalg.lstsq(design, target, rcond=None)[0]
    far = [np.square(design @ (v - least)).sum() for v in (values, plain)]
    assert far[0] < far[1] / 100


def test_steps_are_blind_to_rows_left_out(monkeypatch):
    X, y, weight = rows(600)
    monkeypatch.setattr("skgrow.training.split_steps.MAX_STEPS", 1)
    categorical, left_out = np.array([False, False, True]), np.arange(0, 600, 4)
    found = []
    for answers in (y, np.where(np.isin(np.arange(600), left_out), 1 - y, y)):
        flat = Curves.flat(X, weight, categorical, 2)
        problem = curve_problem.CurveProblem(
            flat, X, answers, weight, categorical, CROSS_ENTROPY, 2
        )
        found.append(problem.stepped(left_out))
    assert found[0].any()
    np.testing.assert_array_equal(*found)


@pytest.mark.slow
@pytest.mark.parametrize("has_cliffs", [False, True])
def test_steps_are_taken_where_they_lower_the_held_out_loss(has_cliffs, monkeypatch):
    rng = np.random.RandomState(0)
    X = rng.uniform(-1, 1, size=(11_000, 12))
    waves, cliffs = 2 * np.sin(8 * X).sum(axis=1), 1.5 * (X > 0.3).sum(axis=1) - 6
    y = ((cliffs if has_cliffs else waves) + rng.logistic(size=len(X)) > 0).astype(int)
    args = X[:1000], y[:1000], np.ones(1000), np.zeros(12, bool), CROSS_ENTROPY
    losses = []
    for takes_steps in (True, False):
        if not takes_steps:
            monkeypatch.setattr(curve_fitting, "_try_steps", lambda _, fold, found: found)
        curves, level, _ = fit_curves(*args, **{**PLAIN, "n_replicas": 4})
        logits = curves.logits(X[1000:]) + level
        losses.append(CROSS_ENTROPY.of_rows(logits, y[1000:]).mean())
    assert losses[0] == losses[1] if has_cliffs else losses[0] < losses[1] - 0.01


@pytest.mark.slow
def test_of_a_large_table_strengths_are_tried_on_some_rows(monkeypatch):
    rng = np.random.RandomState(0)
    X = rng.uniform(-1, 1, size=(16_000, 3))
    scores = 3 * np.sin(4 * X[:, 0]) + 2 * np.abs(X[:, 1])
    y = (scores + rng.logistic(size=len(X)) > 1).astype(int)
    args = X[:8000], y[:8000], np.ones(8000), np.zeros(3, dtype=bool), CROSS_ENTROPY
    how = {**PLAIN, "n_replicas": 4}
    everything, level, _ = fit_curves(*args, **how)
    sizes, solve = [], curve_problem.CurveProblem.solve

    def watched(problem, *more):
        sizes.append(len(problem.y))
        return solve(problem, *more)

    monkeypatch.setattr(curve_problem.CurveProblem, "solve", watched)
    monkeypatch.setattr(curve_problem, "SEARCH_ENTRIES", 8000)
    monkeypatch.setattr(curve_problem, "SEARCH_ROWS", 1000)
    found, other, _ = fit_curves(*args, **how)
    assert sizes.count(8000) == 4  # each replica ends on all rows
    assert set(sizes) == {1334, 8000}
    loss, slow = (
        CROSS_ENTROPY.of_rows(curves.logits(X[8000:]) + intercept, y[8000:]).mean()
        for curves, intercept in ((found, other), (everything, level))
    )
    assert abs(loss - slow) < 0.002


@pytest.mark.parametrize("n", [4, 5, 7, 12])
def test_values_that_no_row_of_weight_has_are_no_trouble(n):
    X, y, weight = rows()
    number = np.arange(len(X))
    X[:, 1] = np.where(number < n, number, np.nan)
    weight[:n] = 1e-300
    curves, *_ = fit_curves(
        X,
        y,
        weight,
        np.array([False, False, True]),
        CROSS_ENTROPY,
        **{**PLAIN, "n_replicas": 4},
    )
    assert np.isfinite(curves.values).all()
    assert np.abs(curves.values).max() < 3


def test_each_curve_has_mean_zero_over_the_rows():
    X, y, weight = rows()
    curves, intercept, _ = fit_curves(
        X, y, weight, np.array([False, False, True]), CROSS_ENTROPY, **PLAIN
    )
    means = np.average(curves.terms(X), axis=0, weights=weight)
    np.testing.assert_allclose(means, 0, atol=1e-12)
    assert np.isclose(intercept.sum(), 0)
    assert np.isnan(curves.error).all()


def test_a_gap_that_fit_never_saw_is_taken_for_the_median():
    rng = np.random.RandomState(0)
    X = rng.randn(301, 1)
    y = (X[:, 0] > 0).astype(int)
    curves, *_ = fit_curves(X, y, np.ones(301), np.array([False]), CROSS_ENTROPY, **PLAIN)
    gap, median = curves.terms(np.array([[np.nan], [np.median(X)]]))
    np.testing.assert_allclose(gap, median, atol=0.1)


def test_errors_shrink_with_rows_and_cover_the_truth():
    widths = []
    for n in (500, 8000):
        rng = np.random.RandomState(0)
        X = rng.uniform(-1, 1, size=(n, 1))
        y = (np.sin(3 * X[:, 0]) + 0.5 * rng.randn(n)).astype(float)
        curves, *_ = fit_curves(
            X, y, np.ones(n), np.array([False]), SQUARED_ERROR,
            n_classes=2, n_replicas=4, seed=0,
        )  # fmt: skip
        grid = np.linspace(-0.9, 0.9, 50)
        error = 2 * curves.error_at(0, grid)[:, 1]
        widths.append(error.mean())
    assert widths[1] < 0.5 * widths[0]
    found = curves.terms(grid[:, None])[:, 0]
    gap = np.abs(found[:, 1] - found[:, 0] - np.sin(3 * grid))
    assert np.mean(gap < 3 * error) > 0.8


def test_a_jagged_column_is_learned():
    """The use of curves: one value holds most rows, and its neighbours differ."""
    rng = np.random.RandomState(0)
    gain = np.where(rng.rand(4000) < 0.9, 0.0, rng.lognormal(8, 1, size=4000))
    frame = pd.DataFrame({"gain": gain, "noise": rng.randn(4000)})
    chance = np.where(gain == 0, 0.2, np.where(gain < 3000, 0.02, 0.95))
    y = rng.rand(4000) < chance
    nam = GrowingNAMClassifier(max_iter=5, random_state=0).fit(frame[:3000], y[:3000])
    fresh = frame[3000:]
    error = np.abs(nam.predict_proba(fresh)[:, 1] - chance[3000:])
    assert error.mean() < 0.03


def test_the_true_pair_is_the_most_promising():
    rng = np.random.RandomState(0)
    X = rng.uniform(-0.5, 0.5, size=(3000, 8))
    y = (X[:, 2] * X[:, 5] + 0.05 * rng.randn(3000) > 0).astype(int)
    left = CROSS_ENTROPY.residual(np.zeros((3000, 2)), y, np.ones(3000))
    pairs = residual_interactions(X, left, 5)
    assert pairs.shape == (5, 2)
    assert pairs[0].tolist() == [2, 5]


def test_a_smooth_pair_is_found_on_few_rows(monkeypatch):
    """A sum over cells alone, with 8 rows in each, misses it more often."""

    def is_found(seed):
        rng = np.random.RandomState(seed)
        X = rng.uniform(-0.5, 0.5, size=(500, 12))
        y = (rng.rand(500) < expit(6 * X[:, 2] * X[:, 5])).astype(int)
        left = CROSS_ENTROPY.residual(np.zeros((500, 2)), y, np.ones(500))
        return [2, 5] in residual_interactions(X, left, 3).tolist()

    assert sum(map(is_found, range(30))) > 27
    monkeypatch.setattr("skgrow.training.pair_screen._of_quadrants", lambda *sums: 0)
    assert sum(map(is_found, range(30))) < 25


def test_a_checkered_pair_is_found_where_quadrants_hardly_differ(monkeypatch):
    def is_found(seed):
        rng = np.random.RandomState(seed)
        X = rng.uniform(-0.5, 0.5, size=(3000, 8))
        square = np.floor(8 * (X[:, 2] + 0.5)) + np.floor(8 * (X[:, 5] + 0.5))
        y = ((square % 2) == (rng.rand(3000) < 0.6)).astype(int)
        left = CROSS_ENTROPY.residual(np.zeros((3000, 2)), y, np.ones(3000))
        return residual_interactions(X, left, 1).tolist() == [[2, 5]]

    assert all(map(is_found, range(20)))
    monkeypatch.setattr("skgrow.training.pair_screen.CELLS_SHARE", 0)
    assert sum(map(is_found, range(20))) < 10


def test_pairs_of_gaps_count_too():
    rng = np.random.RandomState(0)
    X = rng.uniform(-0.5, 0.5, size=(3000, 5))
    gap = rng.rand(3000) < 0.3
    X[gap, 1] = -0.75
    y = (gap ^ (X[:, 3] > 0)).astype(int)
    left = CROSS_ENTROPY.residual(np.zeros((3000, 2)), y, np.ones(3000))
    assert residual_interactions(X, left, 1).tolist() == [[1, 3]]


def test_constant_columns_make_no_pairs():
    X = np.zeros((50, 3))
    X[:, 1] = np.linspace(-0.5, 0.5, 50)
    y = np.arange(50) % 2
    left = CROSS_ENTROPY.residual(np.zeros((50, 2)), y, np.ones(50))
    assert residual_interactions(X, left, 4).shape == (0, 2)
