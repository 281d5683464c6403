"""Fitted votes: closed forms against refits, sums in any order, dual against primal."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.linear_model import Ridge, RidgeCV

from skgrow.networks.value_sums import ValueSums
from skgrow.training.losses import CROSS_ENTROPY
from skgrow.training.ridge_head import (
    Spectrum,
    best_left_out,
    best_of_sums,
    temperature_of,
)

N_CLASSES = 3


def problem(n_rows, n_uses, seed=0):
    """Values that have something to do with the classes, and uneven weights."""
    rng = np.random.RandomState(seed)
    y = rng.permutation(np.arange(n_rows) % N_CLASSES)
    values = 5 + rng.normal(size=(n_rows, n_uses)) @ rng.normal(size=(n_uses, n_uses))
    values[:, 0] += 3 * y
    return values, y, rng.uniform(0.5, 3, size=n_rows)


def sums_of(values, y, weight, copies=None):
    copies = np.ones(len(y)) if copies is None else copies
    return ValueSums.of(values, y, weight, copies, n_classes=N_CLASSES)


def plain_fit(values, y, weight, scale, strength):
    """Weights and intercepts of indicators, as one system of equations for each class."""
    n_uses = values.shape[1]
    design = np.column_stack([values / scale, np.ones(len(values))])
    penalty = np.diag([*np.full(n_uses, strength), 0.0])
    products = design.T @ (weight[:, None] * design) + penalty
    indicators = np.eye(N_CLASSES)[y]
    found = np.linalg.solve(products, design.T @ (weight[:, None] * indicators))
    return found[:-1] / scale[:, None], found[-1]


def scale_of(values, weight):
    """Half of the variance is that of the use, half the mean one."""
    mean = np.average(values, axis=0, weights=weight)
    variance = np.average((values - mean) ** 2, axis=0, weights=weight)
    return np.sqrt((variance + variance.mean()) / 2)


# Rows more than uses (primal) and fewer (dual).
sizes = pytest.mark.parametrize(("n_rows", "n_uses"), [(40, 6), (12, 30)])


@sizes
def test_weights_solve_the_equations(n_rows, n_uses):
    values, y, weight = problem(n_rows, n_uses)
    sums = sums_of(values, y, weight)
    assert bool(sums.products.size) == (n_rows > n_uses)
    spectrum = Spectrum.of(sums)
    scale = scale_of(values, weight)
    for strength in (0.1, 10.0):
        weights, intercept = spectrum.solution(strength)
        expected = plain_fit(values, y, weight, scale, strength)
        np.testing.assert_allclose(weights, expected[0], rtol=1e-7, atol=1e-10)
        shares = np.bincount(y, weights=weight) / weight.sum()
        np.testing.assert_allclose(intercept + shares, expected[1], rtol=1e-7)


@sizes
@pytest.mark.parametrize("whole", [True, False])
def test_left_out_scores_are_those_of_refits(n_rows, n_uses, whole):
    """Each row is left out, all of it or one of its copies, and all is fitted anew."""
    values, y, weight = problem(n_rows, n_uses)
    one = weight if whole else weight / 3
    spectrum = Spectrum.of(sums_of(values, y, weight))
    scale, strength = scale_of(values, weight), 2.0
    scores, error = spectrum.left_out(
        spectrum.projected(values), y, weight, one, strength
    )
    shares = np.bincount(y, weights=weight) / weight.sum()
    expected = np.empty((n_rows, N_CLASSES))
    for i in range(n_rows):
        rest = weight.copy()
        rest[i] -= one[i]
        weights, intercept = plain_fit(values, y, rest, scale, strength)
        expected[i] = values[i] @ weights + intercept - shares
    np.testing.assert_allclose(scores, expected, rtol=1e-6, atol=1e-9)
    square = ((np.eye(N_CLASSES)[y] - shares - expected) ** 2).sum(axis=1)
    assert error == pytest.approx(np.average(square, weights=weight))


def test_the_best_strength_has_the_lowest_error_of_all():
    values, y, weight = problem(60, 20)
    spectrum = Spectrum.of(sums_of(values, y, weight))
    projected = spectrum.projected(values)
    strength, scores = best_left_out(spectrum, projected, y, weight, weight)
    errors = {
        s: spectrum.left_out(projected, y, weight, weight, s)[1]
        for s in spectrum.strengths
    }
    assert errors[strength] == min(errors.values())
    again = spectrum.left_out(projected, y, weight, weight, strength)[0]
    np.testing.assert_array_equal(scores, again)


@sizes
def test_scikit_learn_finds_the_same(n_rows, n_uses):
    values, y, _ = problem(n_rows, n_uses)
    weight = np.ones(n_rows)
    spectrum = Spectrum.of(sums_of(values, y, weight))
    strength, _ = best_left_out(spectrum, spectrum.projected(values), y, weight, weight)
    scale = scale_of(values, weight)
    ridge = RidgeCV(spectrum.strengths).fit(values / scale, np.eye(3)[y])
    assert ridge.alpha_ == pytest.approx(strength)
    weights = spectrum.solution(strength)[0]
    np.testing.assert_allclose(weights.T * scale, ridge.coef_, atol=1e-7)


@sizes
def test_generalised_cross_validation_is_its_formula(n_rows, n_uses):
    values, y, _ = problem(n_rows, n_uses)
    spectrum = Spectrum.of(sums_of(values, y, np.ones(n_rows)))
    standard = (values - values.mean(axis=0)) / scale_of(values, np.ones(n_rows))
    indicators = np.eye(N_CLASSES)[y]
    for strength in (0.3, 30.0):
        ridge = Ridge(strength).fit(standard, indicators)
        rest = ((indicators - ridge.predict(standard)) ** 2).sum(axis=1).mean()
        products = standard @ standard.T
        hat = products @ np.linalg.inv(products + strength * np.eye(n_rows))
        free = 1 - (1 + np.trace(hat)) / n_rows
        found = spectrum.generalised_error(strength)
        assert found == pytest.approx(rest / free**2, rel=1e-6)
    errors = [spectrum.generalised_error(s) for s in spectrum.strengths]
    assert best_of_sums(spectrum) == spectrum.strengths[np.argmin(errors)]


def test_rows_and_products_give_the_same_fit():
    """The same sums, once as rows and once as products: dual and primal."""
    values, y, weight = problem(12, 30)
    dual = sums_of(values, y, weight)
    products = dual.root.T @ dual.root
    none = dual.root[:0], dual.root_weight[:0]
    primal = replace(dual, products=products, root=none[0], root_weight=none[1])
    both = [Spectrum.of(sums) for sums in (dual, primal)]
    for strength in both[0].strengths[8:]:
        found = [spectrum.solution(strength)[0] for spectrum in both]
        np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-8)
        errors = [spectrum.generalised_error(strength) for spectrum in both]
        assert errors[0] == pytest.approx(errors[1], rel=1e-5)


def test_weights_of_rows_are_repeated_rows():
    values, y, _ = problem(25, 8)
    times = np.random.RandomState(1).randint(1, 4, size=25)
    every = np.repeat(np.arange(25), times)
    one = np.ones(len(every))
    weighted = sums_of(values, y, times, times)
    repeated = sums_of(values[every], y[every], one)
    assert weighted.n_rows == repeated.n_rows == times.sum()
    found = []
    for sums, rows, weight in ((weighted, np.arange(25), times), (repeated, every, one)):
        spectrum = Spectrum.of(sums)
        projected = spectrum.projected(values[rows])
        ones = np.ones(len(rows))  # of a row, one copy is left out
        strength, _ = best_left_out(spectrum, projected, y[rows], weight, ones)
        found.append((strength, best_of_sums(spectrum), *spectrum.solution(strength)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("n_uses", [4, 25, 200])
def test_sums_do_not_depend_on_the_order_of_the_parts(n_uses):
    """Parts of few rows and of many, of all classes and of one."""
    values, y, weight = problem(90, n_uses)
    by_class = np.argsort(y, kind="stable")
    parts = [by_class[:30], by_class[30:35], by_class[35:]]
    whole = Spectrum.of(sums_of(values, y, weight)).solution(3.0)[0]
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        sums = ValueSums.none(N_CLASSES, n_uses)
        for i in order:
            sums = sums + sums_of(values[parts[i]], y[parts[i]], weight[parts[i]])
        assert bool(sums.products.size) == (n_uses < 90)
        found = Spectrum.of(sums).solution(3.0)[0]
        np.testing.assert_allclose(found, whole, rtol=1e-6, atol=1e-9)


def test_classes_may_come_later():
    values, y, weight = problem(30, 5)
    old = y != 1  # class 1 is new, and stands between the others
    first = ValueSums.of(values[old], y[old] // 2, weight[old], np.ones(old.sum()), 2)
    later = sums_of(values[~old], y[~old], weight[~old])
    sums = first.with_classes(3, np.array([0, 2])) + later
    whole = sums_of(values, y, weight)
    for name in ("class_weight", "class_total", "products"):
        np.testing.assert_allclose(getattr(sums, name), getattr(whole, name))


def test_uses_that_are_nearly_constant_stay_small():
    """One row of few is different: on others, the use must not decide alone."""
    values, y, weight = problem(30, 5)
    values[:, 2] = 1e-4 * (np.arange(30) == 7)
    spectrum = Spectrum.of(sums_of(values, y, weight))
    assert np.abs(spectrum.solution(1.0)[0][2]).max() < 0.01


def test_constant_uses_get_no_weight():
    values, y, weight = problem(30, 5)
    values[:, 2] = 0.1
    values[:, 3] = 0
    spectrum = Spectrum.of(sums_of(values, y, weight))
    weights, intercept = spectrum.solution(best_of_sums(spectrum))
    assert (weights[[2, 3]] == 0).all()
    assert np.isfinite(intercept).all()
    all_constant = Spectrum.of(sums_of(np.ones_like(values), y, weight))
    weights, _ = all_constant.solution(best_of_sums(all_constant))
    assert (weights == 0).all()


def test_the_temperature_has_the_lowest_cross_entropy():
    rng = np.random.RandomState(0)
    y = rng.randint(3, size=200)
    scores = 0.2 * np.eye(3)[y] + rng.normal(scale=0.1, size=(200, 3))
    weight, log_share = rng.uniform(size=200), np.log([0.2, 0.3, 0.5])

    def loss(temperature):
        losses = CROSS_ENTROPY.of_rows(temperature * scores + log_share, y)
        return np.average(losses, weights=weight)

    found = temperature_of(scores, y, weight, log_share)
    expected = minimize_scalar(loss, bounds=(0.1, 100), method="bounded")
    assert found == pytest.approx(expected.x, rel=1e-4)
    assert loss(found) <= expected.fun + 1e-12


@pytest.mark.parametrize(("sign", "bound"), [(1, 6.0), (-1, -6.0)])
def test_the_temperature_is_bounded(sign, bound):
    """Scores that are always right, or always wrong."""
    y = np.arange(30) % 3
    scores = sign * np.eye(3)[y]
    found = temperature_of(scores, y, np.ones(30), np.log(np.full(3, 1 / 3)))
    assert found == pytest.approx(np.exp(bound))
