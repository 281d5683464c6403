"""Orders of categories: what they are, what they must not see, what noise costs."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from skgrow import (
    GrowingMLPClassifier,
    GrowingNAMClassifier,
    GrowingNAMRegressor,
    IgnoredColumnWarning,
)
from skgrow.inputs.category_order import FEW_CATEGORIES, category_positions, reliability
from skgrow.inputs.labelled_rows import LabelledRows
from skgrow.inputs.scaling import MISSING, fit_scaler
from skgrow.training.replicas import replica_inputs, replica_shares

pytestmark = pytest.mark.filterwarnings("ignore::skgrow.GrowthStoppedWarning")


def test_categories_lie_in_the_order_of_their_shares():
    codes = np.repeat([0, 1, 2], 50)
    y = np.array([1] * 50 + [0] * 50 + [0, 1] * 25)
    positions = category_positions(codes, y, np.ones(150), 3)
    np.testing.assert_allclose(positions, [1 / 3, -1 / 3, 0])


def test_numbers_order_categories_by_their_mean():
    codes = np.repeat([0, 1, 2], [20, 60, 20])
    y = np.repeat([5.0, -1, 2], [20, 60, 20])
    positions = category_positions(codes, y, np.ones(100), 3)
    np.testing.assert_allclose(positions, [0.4, -0.2, 0.2])


def test_rare_categories_are_shrunk_to_the_middle_of_the_order():
    codes = np.repeat([0, 1, 2, 3], [100, 100, 1, 2])
    y = np.concatenate([np.arange(100) < 20, np.arange(100) < 80, [1], [0, 0]])
    positions = category_positions(codes, y.astype(int), np.ones(203), 4)
    assert positions.argsort().tolist() == [0, 3, 2, 1]


def test_of_three_classes_both_orders_agree_in_direction():
    rng = np.random.RandomState(0)
    codes = rng.randint(5, size=3000)
    y = (codes + rng.randint(3, size=3000)) // 3
    first = category_positions(codes, y, np.ones(3000), 5)
    turned = category_positions(codes[1000:], y[1000:], np.ones(2000), 5, along=-first)
    assert np.corrcoef(first, turned)[0, 1] < -0.9


@pytest.mark.parametrize("kind", ["classes", "numbers"])
@pytest.mark.parametrize("n_codes", [30, 300])
def test_many_categories_of_noise_have_no_order(n_codes, kind):
    rng = np.random.RandomState(0)
    codes, ones = rng.randint(n_codes, size=4000), np.ones(4000)
    y = rng.randint(2, size=4000) if kind == "classes" else rng.randn(4000)
    assert not category_positions(codes, y, ones, n_codes).any()
    few = category_positions(codes % FEW_CATEGORIES, y, ones, FEW_CATEGORIES)
    assert len(np.unique(few)) == FEW_CATEGORIES  # each has a place of its own anyway
    effect = rng.randn(n_codes)[codes]
    y = (effect > rng.randn(4000)).astype(int) if kind == "classes" else y + effect
    assert len(np.unique(category_positions(codes, y, ones, n_codes))) == n_codes


def test_reliability_against_its_definition():
    rng = np.random.RandomState(0)
    hess = rng.uniform(1, 5, size=(12, 1))
    step = 1.5 * rng.randn(12, 1)
    mean = np.average(step, weights=hess)
    spread = (hess * (step - mean) ** 2).sum()
    mass = hess.sum() - (hess**2).sum() / hess.sum()
    share, variance = reliability(hess * step, hess)
    np.testing.assert_allclose([share, variance], [1 - 11 / spread, (spread - 11) / mass])
    assert reliability(hess * 0.01 * step, hess) == (0, 0)


def coded(seed=0, n=400, n_codes=5):
    rng = np.random.RandomState(seed)
    X = np.column_stack([rng.randint(n_codes, size=n), rng.randn(n)])
    X[rng.rand(n) < 0.1, 0] = np.nan
    y = (rng.rand(n) < 0.2 + 0.15 * np.nan_to_num(X[:, 0])).astype(int)
    return X, y, rng.uniform(0.5, 2, size=n)


def test_a_row_has_no_part_in_its_own_position():
    """The rows of a fold are placed alike whatever their targets are."""
    X, y, weight = coded()
    fold = np.arange(400) % 4
    scaler = fit_scaler(X, weight, False, y, np.array([5, 0]))
    rows = LabelledRows(X, y, weight, scaler.transform(X))
    scaled = scaler.cross_fitted(rows, fold)
    other = np.where(fold == 1, 1 - y, y)
    again = scaler.cross_fitted(replace(rows, y=other), fold)
    np.testing.assert_array_equal(rows.scaled, scaler.transform(X))  # not changed
    np.testing.assert_array_equal(scaled[fold == 1], again[fold == 1])
    assert (scaled[fold != 1] != again[fold != 1]).any()
    assert (scaled[np.isnan(X[:, 0]), 0] == MISSING).all()
    slow = scaler.with_order(*(a[fold != 1] for a in (X, y, weight)))
    np.testing.assert_array_equal(scaled[fold == 1], slow.transform(X[fold == 1]))


def test_what_a_replica_leaves_out_has_no_part_in_what_it_reads():
    X, y, weight = coded()
    scaler = fit_scaler(X, weight, False, y, np.array([5, 0]))
    shares = replica_shares(400, 3, seed=0)
    regions = np.array([[0, 1], [1, 0]] * 3)
    rows = LabelledRows(X, y, weight, scaler.transform(X))
    scaled, places = replica_inputs(scaler, rows, shares, regions)
    assert places.tolist() == [[2, 1], [1, 2], [3, 1], [1, 3], [4, 1], [1, 4]]
    np.testing.assert_array_equal(scaled[:, :2], scaler.transform(X))
    left_out = shares[:, 1] == 0
    other = replace(rows, y=np.where(left_out, 1 - y, y))
    again, _ = replica_inputs(scaler, other, shares, regions)
    np.testing.assert_array_equal(scaled[:, 3], again[:, 3])
    assert (scaled[:, 2] != again[:, 2]).any()
    kept = ~left_out
    slow = scaler.with_order(X[kept], y[kept], weight[kept]).transform(X)
    np.testing.assert_array_equal(scaled[:, 3], slow[:, 0])


def table(n_values, n=2000, n_fresh=8000, seed=0):
    """Two columns that matter and one of noise, with so many values; training, fresh."""
    rng = np.random.RandomState(seed)
    a, b = rng.randn(2, n + n_fresh)
    y = (rng.rand(n + n_fresh) < 1 / (1 + np.exp(-1.6 * np.sin(2 * a) - 1.5 * b))) * 1
    X = pd.DataFrame({"a": a, "b": b})
    if n_values == "all different":
        X["noise"] = [f"id {i}" for i in rng.permutation(len(X))]
    elif n_values:
        X["noise"] = [f"v{v}" for v in rng.randint(n_values, size=len(X))]
    return X[:n], y[:n], X[n:], y[n:]


def fresh_auc(model, n_values, grow):
    X, y, X_fresh, y_fresh = table(n_values)
    model.fit(X, y)
    if grow:
        model.grow(X, y, 50)
    if n_values == "all different":
        X_fresh = X_fresh.assign(noise="new")
    return roc_auc_score(y_fresh, model.predict_proba(X_fresh)[:, 1])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::skgrow.IgnoredColumnWarning")
@pytest.mark.filterwarnings("ignore::skgrow.UnseenCategoryWarning")
@pytest.mark.parametrize("n_values", [50, 200, 1000, "all different"])
def test_a_column_of_noise_costs_next_to_nothing(n_values):
    """It cost .007 to .10 when the order of categories had seen every row."""
    found = fresh_auc(GrowingNAMClassifier(random_state=0), n_values, grow=True)
    without = fresh_auc(GrowingNAMClassifier(random_state=0), 0, grow=True)
    assert found > without - 0.003


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::skgrow.IgnoredColumnWarning")
@pytest.mark.filterwarnings("ignore::skgrow.UnseenCategoryWarning")
@pytest.mark.parametrize("n_values", [50, 1000, "all different"])
def test_noise_costs_a_dense_network_little(n_values):
    found = fresh_auc(GrowingMLPClassifier(random_state=0), n_values, grow=False)
    without = fresh_auc(GrowingMLPClassifier(random_state=0), 0, grow=False)
    assert found > without - 0.01


@pytest.mark.slow
@pytest.mark.parametrize("regions", ["auto", "features"])
def test_many_categories_that_matter_keep_their_worth(regions):
    """Two hundred towns on 4,000 rows, 20 of each; growth on these rows does no harm.

    It did: the held-out rows had a part in the order that the towns were read in, and
    11 branches raised the log loss of fresh rows by .008.
    """
    rng = np.random.RandomState(0)
    town, x = rng.randint(200, size=12000), rng.randn(12000)
    z = rng.randint(60, size=12000)
    effect = rng.randn(200)[town]
    y = (rng.rand(12000) < 1 / (1 + np.exp(-effect - x))).astype(int)
    X = pd.DataFrame({"town": [f"t{t}" for t in town], "x": x, "z": [f"z{v}" for v in z]})
    nam = GrowingNAMClassifier(regions, random_state=0).fit(X[:4000], y[:4000])

    def scores():
        proba = nam.predict_proba(X[4000:])[:, 1]
        return roc_auc_score(y[4000:], proba), log_loss(y[4000:], proba)

    auc, loss = scores()
    assert auc > roc_auc_score(y[4000:], effect[4000:] + x[4000:]) - 0.03
    nam.grow(X[:4000], y[:4000], 100)
    assert scores()[1] < loss + 0.001


def test_a_regressor_shrinks_noise_too():
    rng = np.random.RandomState(0)
    x = rng.randn(9000)
    X = pd.DataFrame({"x": x, "noise": [f"v{v}" for v in rng.randint(150, size=9000)]})
    y = np.sin(2 * x) + rng.randn(9000)
    scores = [
        GrowingNAMRegressor(random_state=0)
        .fit(some[:1500], y[:1500])
        .score(some[1500:], y[1500:])
        for some in (X, X[["x"]])
    ]
    assert scores[0] > scores[1] - 0.005


def test_columns_left_out_are_named_once_and_have_no_term():
    X, y, *_ = table("all different")
    nam = GrowingNAMClassifier(random_state=0)
    with pytest.warns(IgnoredColumnWarning, match="left out: 'noise'") as caught:
        nam.fit(X, y)
    assert len(caught) == 1
    assert "test_category_order" in caught[0].filename
    assert not any("noise" in name for name in nam.term_names_)
    other = X.assign(noise="anything")
    np.testing.assert_array_equal(nam.predict_proba(other), nam.predict_proba(X))
