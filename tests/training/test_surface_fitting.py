"""Fitting surfaces: the optimum, the choice by rows left out, what users see of it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from sklearn.base import clone

import skgrow
from skgrow import GrowingNAMClassifier, GrowingNAMRegressor
from skgrow.estimators import additive_steps
from skgrow.inputs.scaling import QuantileScaler, fit_scaler
from skgrow.networks.surfaces import Surfaces
from skgrow.training import surface_fitting
from skgrow.training.curve_fitting import fit_curves
from skgrow.training.losses import CROSS_ENTROPY
from skgrow.training.split_steps import QuadrantStep
from skgrow.training.surface_fitting import (
    HUBER_DELTA,
    MAX_SURFACES,
    RIDGE,
    _Attempt,
    _best,
    _Penalty,
    _Problem,
    _Rows,
    fit_surfaces,
)
from skgrow.training.surface_mean import mean_surfaces


def jagged(n=4000, seed=0):
    """Rows whose answer depends on the square of a chess board they lie in."""
    rng = np.random.RandomState(seed)
    X = rng.uniform(-1, 1, size=(n, 4))
    dark = (np.floor(2 * X[:, 0]) + np.floor(2 * X[:, 2])) % 2
    return X, dark


def products(n=6000):
    """Rows whose answer depends on many smooth pairs."""
    rng = np.random.RandomState(0)
    X = rng.uniform(-1, 1, size=(n, 8))
    pairs = [(0, 1), (0, 2), (1, 5), (3, 6), (2, 7), (4, 6)]
    truth = sum(3 * X[:, i] * X[:, j] for i, j in pairs)
    return X, (rng.uniform(size=n) < 1 / (1 + np.exp(-truth))).astype(int)


def table(n=1500, n_classes=2, seed=0):
    """A frame with categories and gaps, where a pair matters."""
    rng = np.random.RandomState(seed)
    frame = pd.DataFrame(
        {
            "age": rng.uniform(20, 80, n),
            "town": rng.choice(["Bern", "Oslo", "Rome"], n),
            "size": rng.randn(n),
        }
    )
    signal = np.where(frame["town"] == "Oslo", -1, 1) * (frame["age"] - 50) / 10
    frame.loc[::9, "age"] = np.nan
    frame.loc[5::11, "town"] = None
    y = np.digitize(signal + 0.3 * rng.randn(n), np.linspace(-1, 1, n_classes + 1)[1:-1])
    return frame, y


def fitted(X, y, **how):
    """Surfaces and level for the curves of these rows."""
    weight = how.pop("sample_weight", np.ones(len(y)))
    categorical = np.zeros(X.shape[1], dtype=bool)
    n_classes = int(y.max()) + 1
    *_, left_out = fit_curves(
        X,
        y,
        weight,
        categorical,
        CROSS_ENTROPY,
        n_classes=n_classes,
        n_replicas=4,
        seed=0,
    )
    scaler = fit_scaler(X, weight, shared_scale=False)
    return fit_surfaces(X, scaler, y, weight, categorical, CROSS_ENTROPY, left_out, **how)


def small_problem(n_classes):
    rng = np.random.RandomState(0)
    X = np.column_stack([np.round(rng.randn(150)), rng.randint(3, size=(150, 2))])
    X[rng.rand(150) < 0.1, 0] = np.nan
    y = rng.randint(n_classes, size=150)
    weight = rng.uniform(0.5, 2, size=150)
    rows = _Rows(X, X, y, weight, np.array([False, True, False]), CROSS_ENTROPY, None)
    pairs = np.array([[0, 1], [0, 2]])
    surfaces = Surfaces.flat(pairs, X, weight, n_classes, n_bins=8)
    logits = rng.randn(150, n_classes)
    return _Problem(surfaces, rows, np.arange(0, 150, 4), logits), rows


def slow_penalty(surfaces, categorical, values):
    """The penalty by its definition, one surface after the other."""
    total = 0.0
    for number, (a, b) in enumerate(surfaces.pairs):
        own = slice(*surfaces.begin[number : number + 2])
        grid = values[own].reshape(*surfaces.grid(number), -1)
        first, second = (len(grid) - 1), (grid.shape[1] - 1)
        loose = [categorical[a] or first <= 2, categorical[b] or second <= 2]
        size = 0.0
        if not loose[0]:
            size += (np.diff(grid[:-1], axis=0) ** 2).sum()
        if not loose[1]:
            size += (np.diff(grid[:, :-1], axis=1) ** 2).sum()
        for i in range(first + 1):
            for j in range(second + 1):
                share = 1.0
                share /= 1 if loose[0] or i == first else first
                share /= 1 if loose[1] or j == second else second
                size += RIDGE * share * (grid[i, j] ** 2).sum()
        total += HUBER_DELTA**2 * (np.sqrt(1 + size / HUBER_DELTA**2) - 1)
    return total


@pytest.mark.parametrize("n_classes", [2, 3])
def test_penalty_is_as_defined_and_its_gradient_is_its_gradient(n_classes):
    problem, rows = small_problem(n_classes)
    values = np.random.RandomState(1).randn(len(problem.hess), len(problem.to_class))
    penalty = _Penalty(problem.surfaces, rows.categorical)
    cost, grad = penalty.value_and_grad(values)
    np.testing.assert_allclose(
        cost, slow_penalty(problem.surfaces, rows.categorical, values)
    )
    step = 1e-6 * np.random.RandomState(2).randn(*values.shape)
    ahead, behind = (penalty.value_and_grad(values + s)[0] for s in (step, -step))
    np.testing.assert_allclose((ahead - behind) / 2, (grad * step).sum(), rtol=1e-5)


@pytest.mark.parametrize("n_classes", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_solve_reaches_the_optimum_of_the_penalised_loss(n_classes):
    problem, rows = small_problem(n_classes)
    surfaces, strength = problem.surfaces, 0.02

    def slow(point):
        values = point.reshape(-1, len(problem.to_class))
        told = replace(surfaces, values=values @ problem.to_class)
        losses = CROSS_ENTROPY.of_rows(problem.logits + told.logits(rows.X), rows.y)
        cost = slow_penalty(surfaces, rows.categorical, values)
        return problem.share @ losses + strength * cost

    start = np.zeros((len(problem.hess), len(problem.to_class)))
    found = problem._solve(strength, start)
    best = minimize(slow, start.ravel(), method="L-BFGS-B", options={"maxfun": 10**6})
    assert slow(found.ravel()) < best.fun + 1e-4
    assert not problem.share[problem.fold].any()  # rows left out count for nothing


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_step_lowers_the_loss_of_the_rows_it_is_made_for(n_classes):
    problem, _ = small_problem(n_classes)
    steps = [QuadrantStep(problem.surfaces)] * len(problem.to_class)

    def loss(scores):
        logits = problem.logits + scores @ problem.to_class
        return problem.share @ CROSS_ENTROPY.of_rows(logits, problem.y)

    scores = np.zeros((len(problem.y), len(problem.to_class)))
    losses = [loss(scores)]
    for _ in range(20):
        scores = scores + problem.design @ problem._step(steps, scores)
        losses.append(loss(scores))
    assert (np.diff(losses) < 0).all()
    assert losses[-1] < losses[0] - 0.05


@pytest.mark.slow
def test_many_smooth_pairs_are_fitted_in_steps():
    X, y = products()
    half = np.s_[:3000], np.s_[3000:]
    surfaces, level = fitted(X[half[0]], y[half[0]])
    attempts, fit = [], surface_fitting._fit_coarse

    def only_smoothed(*job):
        stepped, smoothed, _ = fit(*job)
        attempts.append(stepped)
        return _Attempt(stepped.pairs), smoothed, smoothed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surface_fitting, "_fit_coarse", only_smoothed)
        smoothed, smooth_level = fitted(X[half[0]], y[half[0]])
    assert all(attempt.gains.mean() > 0.1 for attempt in attempts)
    losses = [
        CROSS_ENTROPY.of_rows(found.logits(X[half[1]]) + level, y[half[1]]).mean()
        for found, level in ((surfaces, level), (smoothed, smooth_level))
    ]
    assert losses[0] < losses[1]  # of rows that no fit has seen


def test_other_ways_must_be_ahead_of_steps_by_more_than_their_error():
    noise = np.random.RandomState(0).randn(100)
    noise -= noise.mean()
    steps, weight = np.full(100, 0.5), np.ones(100)
    error = np.linalg.norm(noise) / 100
    assert _best([steps, steps + 0.9 * error + noise, steps - 1], weight) == 0
    assert _best([steps, steps + 1.1 * error + noise, steps - 1], weight) == 1
    assert _best([steps, steps - 1, steps + 1.1 * error + noise], weight) == 2
    assert _best([steps, steps + 1.1 * error + noise], weight) == 1
    assert _best([-steps, -steps, -steps], weight) is None


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "n_tried"), [(jagged, 4), (products, 0)])
def test_a_fine_grid_is_tried_unless_steps_lead_smoothed_surfaces(
    monkeypatch, rows, n_tried
):
    X, y = rows()
    tried, fit = [], surface_fitting._fit_fine

    def watched(*job):
        tried.append(job)
        return fit(*job)

    monkeypatch.setattr(surface_fitting, "_fit_fine", watched)
    surfaces, _ = fitted(X, (y > 0).astype(int))
    assert [0, 2] in surfaces.pairs.tolist()
    assert len(tried) == n_tried


def test_a_jagged_pair_is_found_and_drawn():
    X, dark = jagged()
    surfaces, _ = fitted(X, (dark > 0).astype(int))
    size = surfaces.terms(X)[..., 1].std(axis=0)
    assert surfaces.pairs[size.argmax()].tolist() == [0, 2]
    fresh, dark = jagged(seed=1)
    assert ((surfaces.logits(fresh)[:, 1] > 0) == dark).mean() > 0.93


def test_no_surface_where_single_columns_explain_all():
    rng = np.random.RandomState(0)
    X = rng.randn(1200, 4)
    y = (X[:, 0] + np.abs(X[:, 1]) + rng.logistic(size=1200) > 1).astype(int)
    surfaces, level = fitted(X, y)
    if surfaces is not None:  # chance may keep some, but small ones only
        assert surfaces.terms(X)[..., 1].std(axis=0).max() < 0.15
    assert level.shape == (2,)


def test_each_surface_has_mean_zero_over_the_rows():
    X, dark = jagged(1500)
    weight = np.random.RandomState(0).uniform(0.5, 2, size=1500)
    surfaces, _ = fitted(X, dark.astype(int), sample_weight=weight)
    means = np.average(surfaces.terms(X), axis=0, weights=weight)
    np.testing.assert_allclose(means, 0, atol=1e-10)


def test_a_pair_has_the_share_of_the_replicas_that_choose_it():
    X, dark = jagged(200)
    ones = np.ones(200)
    rows = _Rows(X, X, dark, ones, np.zeros(4, dtype=bool), CROSS_ENTROPY, None)
    attempts = []
    for pairs in ([[0, 1], [0, 2]], [[0, 2], [1, 3]], [[0, 2]]):
        flat = Surfaces.flat(np.array(pairs), X, ones, 2, n_bins=8)
        grids = np.random.RandomState(len(attempts)).randn(len(flat.values), 1)
        attempts.append(_Attempt(flat.pairs, flat, None, grids))
    surfaces, level = mean_surfaces(rows, attempts, 4, 8, 2)  # one replica has none
    assert surfaces.pairs.tolist() == [[0, 1], [0, 2], [1, 3]]
    taken = 0
    first, second, third = (a.values[:, 0] for a in attempts)
    sizes = [np.prod(surfaces.grid(number)) for number in range(3)]
    shared = first[sizes[0] :] + second[: sizes[1]] + third
    for number, values in enumerate([first[: sizes[0]], shared, second[sizes[1] :]]):
        inside = np.arange(sizes[number]).reshape(surfaces.grid(number))[:-1, :-1]
        found = surfaces.values[surfaces.begin[number] + inside.ravel(), 1]
        expected = values[inside.ravel()] / 4 / 2  # one of four replicas; half a class
        np.testing.assert_allclose(np.diff(found), np.diff(expected), atol=1e-12)
        taken += expected[0] - found[0]
    np.testing.assert_allclose(taken, level[1], atol=1e-12)


def test_the_mean_has_every_category_where_its_replicas_have_it():
    """Two replicas with four categories in other orders, in two bins and in four."""
    codes = np.array([[code, number] for code in range(4) for number in (0.0, 1)] * 5)
    codes[:, 0] = np.roll(codes[:, 0], 3)
    ones, categorical = np.ones(len(codes)), np.array([True, False])
    rows = _Rows(codes, codes, ones, ones, categorical, CROSS_ENTROPY, None)
    orders, fitted, wanted = [[2, 0, 3, 1], [0, 1, 2, 3]], [], np.zeros((4, 2))
    for order, n_bins in zip(orders, (2, 4), strict=True):
        positions = np.argsort(order) / 4.0  # of the codes
        start = np.array([0, 4, 4])
        scaler = QuantileScaler(np.zeros((2, 2)), np.zeros(2), start, positions)
        own = Surfaces.flat(
            np.array([[0, 1]]), scaler.ordered(codes), ones, 2, n_bins=n_bins
        )
        values = np.random.RandomState(n_bins).randn(len(own.values), 1)
        fitted.append(_Attempt(own.pairs, own, scaler, values))
        both = replace(own, values=values @ np.array([[-0.5, 0.5]]))
        grid = [[code, number] for code in range(4) for number in (0.0, 1)]
        terms = both.terms(scaler.ordered(np.array(grid)))[:, 0, 1]
        wanted += terms.reshape(4, 2) / 2
    surfaces, level = mean_surfaces(rows, fitted, 2, 4, 2)
    assert surfaces.grid(0) == (5, 3)
    found = surfaces.values[:, 1].reshape(5, 3)
    np.testing.assert_allclose(found[:4, :2], wanted - level[1], atol=1e-12)
    np.testing.assert_allclose(found[4], found[:4].mean(axis=0), atol=1e-12)


@pytest.mark.slow
def test_result_does_not_depend_on_workers():
    X, dark = jagged(800)
    one, other = (fitted(X, dark.astype(int), n_jobs=n)[0] for n in (None, 2))
    np.testing.assert_array_equal(one.pairs, other.pairs)
    np.testing.assert_array_equal(one.values, other.values)


@pytest.mark.slow
def test_of_a_large_table_some_rows_are_fitted(monkeypatch):
    X, dark = jagged(3000)
    sizes, design = [], Surfaces.design

    def watched(surfaces, X, dtype=None):
        sizes.append(len(X))
        return design(surfaces, X, dtype)

    monkeypatch.setattr(Surfaces, "design", watched)
    monkeypatch.setattr(surface_fitting, "MAX_ENTRIES", 4 * MAX_SURFACES * 1000)
    surfaces, _ = fitted(X, dark.astype(int))
    assert set(sizes) == {1000}
    assert [0, 2] in surfaces.pairs.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [2, 3])
def test_terms_sum_up_and_can_be_removed(n_classes):
    frame, y = table(n_classes=n_classes)
    nam = GrowingNAMClassifier(max_iter=3, random_state=0).fit(frame, y)
    assert len(nam._state.network.surfaces)
    total = nam.eval_terms(frame).sum(axis=1)
    scores = nam.decision_function(frame)
    level = nam._state.target.level(nam.intercept_)
    np.testing.assert_allclose(total + level, scores, atol=1e-9)
    place = nam.term_names_.index("age & town")
    expected = scores - nam.eval_terms(frame)[:, place]
    nam.remove_terms("age & town")
    assert "age & town" not in nam.term_names_
    np.testing.assert_allclose(nam.decision_function(frame), expected, atol=1e-9)
    assert [0, 1] not in nam._state.network.surfaces.pairs.tolist()


def test_grid_of_an_explanation_sums_up_too():
    frame, y = table(600)
    nam = GrowingNAMClassifier(max_iter=3, random_state=0).fit(frame, y)
    told = nam.explain_global(frame)
    names = [term["term"] for term in told["terms"]]
    pair = told["terms"][names.index("age & town")]
    assert pair["contribution"].std() > 0.3
    assert pair["values"][1][-1] is None  # gaps have a place


@pytest.mark.slow
def test_numbers_weights_and_single_precision():
    X, dark = jagged(1500)
    single = X.astype(np.float32)
    y = 100 + 30 * dark
    for inputs in (X, single):
        nam = GrowingNAMRegressor(max_iter=3, random_state=0).fit(
            inputs, y, np.ones(1500)
        )
        assert nam._state.network.surfaces.values.dtype == inputs.dtype
        assert nam.score(inputs, y) > 0.7
    weight = np.where(X[:, 1] > 0, 1.0, 0.0)  # rows of weight 0 are as if they were not
    some = GrowingNAMRegressor(max_iter=3, random_state=0).fit(
        X[weight > 0], y[weight > 0]
    )
    nam = GrowingNAMRegressor(max_iter=3, random_state=0).fit(X, y, weight)
    np.testing.assert_array_equal(nam.predict(X), some.predict(X))


def test_branches_learn_beside_curves_and_are_shrunk_beside_surfaces(monkeypatch):
    X, dark = jagged(600)
    seen = {}
    for name in ("train_bank", "shrunk"):
        step = getattr(additive_steps, name)

        def watched(bank, data, *args, name=name, step=step, **how):
            seen[name] = data.offset
            return step(bank, data, *args, **how)

        monkeypatch.setattr(additive_steps, name, watched)
    nam = GrowingNAMClassifier(max_iter=2, random_state=0).fit(X, dark)
    network = nam._state.network
    curves = network.curves.logits(X) + network.intercept
    np.testing.assert_allclose(seen["train_bank"], curves, atol=1e-12)
    np.testing.assert_allclose(
        seen["shrunk"], curves + network.surfaces.logits(X), atol=1e-12
    )


@pytest.mark.slow
def test_files_hold_surfaces_to_the_bit(tmp_path):
    frame, y = table(600)
    nam = GrowingNAMClassifier(max_iter=3, random_state=0).fit(frame, y)
    skgrow.save(nam, tmp_path / "nam.safetensors")
    again = skgrow.load(tmp_path / "nam.safetensors")
    np.testing.assert_array_equal(
        again.decision_function(frame), nam.decision_function(frame)
    )
    twin = clone(nam).fit(frame, y)
    np.testing.assert_array_equal(
        twin.decision_function(frame), nam.decision_function(frame)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrong",
    [
        {"values": np.zeros((3, 2))},
        {"pairs": np.array([[0, 7]])},
        {"start": np.array([0, 2, 4])},
    ],
)
def test_files_whose_surfaces_do_not_fit_are_refused(tmp_path, wrong):
    frame, y = table(600)
    nam = GrowingNAMClassifier(max_iter=3, random_state=0).fit(frame, y)
    surfaces = replace(nam._state.network.surfaces, **wrong)
    nam._state = replace(
        nam._state, network=replace(nam._state.network, surfaces=surfaces)
    )
    skgrow.files.persistence.write([nam], tmp_path / "nam.safetensors")
    with pytest.raises(skgrow.exceptions.ModelFileError, match="surfaces"):
        skgrow.load(tmp_path / "nam.safetensors")


def test_unseen_categories_count_as_missing():
    frame, y = table(600)
    nam = GrowingNAMClassifier(max_iter=3, random_state=0).fit(frame, y)
    odd, gap = frame[:20].copy(), frame[:20].copy()
    odd["town"], gap["town"] = "Paris", None
    with pytest.warns(skgrow.exceptions.UnseenCategoryWarning):
        found = nam.decision_function(odd)
    np.testing.assert_array_equal(found, nam.decision_function(gap))


@pytest.mark.slow
def test_a_gap_that_fit_never_saw_is_taken_for_the_median():
    X, dark = jagged(1500)
    X[::7, 3] = np.nan
    surfaces, _ = fitted(X, dark.astype(int))
    gaps = np.column_stack([np.full(50, np.nan), X[:50, 1:]])
    knots = surfaces.knots[slice(*surfaces.start[:2])][:-1]
    gaps[:, 1] = np.nan
    median = gaps.copy()
    median[:, 0] = knots[np.abs(knots - np.median(X[:, 0])).argmin()]
    assert surfaces.logits(median).any()
    without = surfaces.without([(0, 1), (1, 2), (1, 3)])
    np.testing.assert_allclose(without.logits(gaps), without.logits(median), atol=1e-12)


def test_one_replica_and_named_regions_have_no_surfaces():
    X, dark = jagged(600)
    for how in ({"n_replicas": 1}, {"regions": "pairs", "curves": True}):
        nam = GrowingNAMClassifier(max_iter=2, random_state=0, **how).fit(X, dark)
        assert nam._state.network.surfaces is None


@pytest.mark.parametrize(
    ("parameters", "has_them"),
    [
        ({}, True),
        ({"surfaces": False}, False),
        ({"regions": [[0, 1]], "curves": True}, False),
        ({"regions": [[0, 1]], "curves": True, "surfaces": True}, True),
        ({"regions": [[0, 1]], "curves": False, "surfaces": True}, False),  # no curves
    ],
)
def test_surfaces_are_fitted_where_they_are_asked_for(parameters, has_them):
    X, dark = jagged(800)
    settings = {"max_iter": 2, "n_replicas": 2, "random_state": 0, **parameters}
    network = GrowingNAMClassifier(**settings).fit(X, dark)._state.network
    assert (network.surfaces is not None) == has_them
    if has_them:
        assert [0, 2] in network.surfaces.pairs.tolist()
    if parameters == {"surfaces": False}:  # its branches read the pair all the same
        assert [0, 2] in np.sort(network.bank.regions, axis=1).tolist()
