"""GrowingNAMRegressor: the estimator contract, and what a regressor does differently."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import approx_fprime
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

import skgrow
from skgrow import GrowingMLPRegressor, GrowingNAMRegressor, GrowthStoppedWarning
from skgrow.plotting import GrowthDisplay, ImportanceDisplay, TermDisplay
from skgrow.training.losses import CROSS_ENTROPY, SQUARED_ERROR

pytestmark = pytest.mark.filterwarnings("ignore::skgrow.GrowthStoppedWarning")


@pytest.mark.slow
@pytest.mark.changes_global_state
@parametrize_with_checks(
    [GrowingNAMRegressor(n_branches=5, max_iter=10, n_replicas=2, n_verified=100)]
)
def test_estimator(estimator, check):
    check(estimator)


def table(n=2400):
    rng = np.random.RandomState(0)
    frame = pd.DataFrame(
        {
            "size": rng.uniform(20, 200, n), "age": rng.uniform(0, 90, n),
            "town": rng.choice(["Bern", "Oslo", "Rome"], n), "noise": rng.randn(n),
        }
    )  # fmt: skip
    frame.loc[rng.rand(n) < 0.1, "age"] = None
    in_town = frame["town"].map({"Bern": 3.0, "Oslo": 1.0, "Rome": 0.2})
    price = 1e6 + 1000 * frame["size"] * in_town + 5e4 * (frame["age"] > 50)
    return frame, (price + 1e4 * rng.randn(n)).to_numpy()


FRAME, PRICE = table()


@pytest.fixture(scope="module")
def nam():
    nam = GrowingNAMRegressor(n_verified=200, round_size=10, random_state=0)
    return nam.fit(FRAME[:1800], PRICE[:1800])


@pytest.fixture(scope="module")
def grown(nam):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GrowthStoppedWarning)
        return pickle.loads(pickle.dumps(nam)).grow(FRAME[:1800], PRICE[:1800], 20)


def test_a_table_of_everything_is_learned(nam):
    assert nam.score(FRAME[1800:], PRICE[1800:]) > 0.98
    plain = Ridge().fit(FRAME[["size", "noise"]][:1800], PRICE[:1800])
    assert plain.score(FRAME[["size", "noise"]][1800:], PRICE[1800:]) < 0.7


def test_growth_helps_where_a_pair_was_not_trained():
    rng = np.random.RandomState(0)
    X = rng.uniform(-1, 1, size=(6000, 4))
    y = X[:, 0] * X[:, 1] + X[:, 2] * X[:, 3] + 0.05 * rng.randn(6000)
    nam = GrowingNAMRegressor(
        [[0, 1]], grow_regions="pairs", curves=True, n_verified=500, random_state=0
    )
    nam.fit(X[:5000], y[:5000])
    before = nam.score(X[5000:], y[5000:])
    nam.grow(X[:5000], y[:5000], 60)
    assert 0.4 < before < 0.6  # it knows one of the two products
    assert nam.score(X[5000:], y[5000:]) > before + 0.2
    assert nam.n_parameters_ - nam.bank_.n_parameters < 1000
    # Branches only add to an output: both are needed.
    assert {use["target_class"] for use in nam.grown_branches_} == {"up", "down"}


def test_terms_sum_to_the_prediction(grown):
    rows = FRAME[:50]
    terms = grown.eval_terms(rows)
    assert terms.shape == (50, len(grown.term_names_))
    total = terms.sum(axis=1) + grown.intercept_
    np.testing.assert_allclose(total, grown.predict(rows), rtol=1e-9)
    [row] = grown.explain_local(rows[:1])
    found = sum(term["contribution"] for term in row) + grown.intercept_
    assert np.isclose(found, grown.predict(rows[:1])[0])


def test_shapes_are_in_units_of_the_target(grown):
    found = grown.explain_global(FRAME[:1800])
    assert np.isclose(found["intercept"], PRICE[:1800].mean(), rtol=0.01)
    age = next(t for t in found["terms"] if t["term"] == "age")
    numbers = np.array([v for v in age["values"][0] if v is not None])
    shape = age["contribution"][: len(numbers)]
    jump = shape[numbers > 55].mean() - shape[numbers < 45].mean()
    assert abs(jump - 5e4) < 5e3
    assert (age["error"] > 0).all()
    assert age["error"].mean() < 5e3


def test_displays_draw_a_regressor(grown):
    from matplotlib import pyplot as plt

    assert TermDisplay.from_estimator(grown, FRAME, "age").ax_.get_ylabel()
    ImportanceDisplay.from_estimator(grown, FRAME)
    GrowthDisplay.from_estimator(grown)
    plt.close("all")


@pytest.fixture(scope="module")
def diabetic():
    X, y = load_diabetes(return_X_y=True)
    return X, y, GrowingNAMRegressor(max_iter=5, n_replicas=2, random_state=0).fit(X, y)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, -1e9])
@pytest.mark.parametrize("scale", [1e-9, 1e12])
def test_the_unit_of_the_target_does_not_matter(diabetic, scale, shift):
    X, y, one = diabetic
    other = clone(one).fit(X, (y + shift) * scale)
    found = other.predict(X) / scale - shift
    np.testing.assert_allclose(found, one.predict(X), rtol=1e-3)


REGRESSORS = [
    GrowingNAMRegressor(max_iter=2, random_state=0),
    GrowingMLPRegressor(max_iter=4, random_state=0),
    GrowingMLPRegressor(how="random", max_iter=4, random_state=0),
    GrowingMLPRegressor(how="autogrow", max_iter=4, random_state=0),
]


@pytest.mark.parametrize("value", [0.0, 7.5, 1e-6, -1e-300, 1e300])
@pytest.mark.parametrize("estimator", REGRESSORS)
def test_a_constant_target_is_predicted(estimator, value, tmp_path):
    X = np.random.RandomState(0).randn(100, 3)
    model = clone(estimator).fit(X, np.full(100, value), np.arange(100))
    np.testing.assert_array_equal(model.predict(X), np.full(100, value))
    model.partial_fit(X, np.full(100, value))
    skgrow.save(model, tmp_path / "model")
    found = skgrow.load(tmp_path / "model").predict(X + 1)
    np.testing.assert_array_equal(found, np.full(100, value))


@pytest.mark.slow
@pytest.mark.parametrize("estimator", REGRESSORS)
def test_a_target_that_varies_after_it_was_constant_is_learned(estimator):
    """As in the first rows of a sorted table, or of many zeros."""
    X = np.random.RandomState(0).randn(200, 3)
    y = 1e6 * (1 + X[:, 0])
    model = clone(estimator).set_params(learning_rate_init=0.005, batch_size=20)
    model.partial_fit(X, np.full(200, 1e6))
    grown = clone(model).partial_fit(X, np.full(200, 1e6))
    for _ in range(100):
        model.partial_fit(X, y)
    assert model.score(X, y) > 0.9
    target = model._state.target
    model.partial_fit(X, 1000 * y)
    assert model._state.target == target  # that of the first rows
    more = {"n_layers": 1} if estimator.get_params().get("how") == "autogrow" else {}
    if not more:
        name = "n_branches" if isinstance(model, GrowingNAMRegressor) else "n_neurons"
        more = {name: 1}
    np.testing.assert_array_equal(grown.predict(X), np.full(200, 1e6))
    grown.set_params(**({"n_verified": 40} if "n_branches" in more else {}))
    assert np.abs(grown.grow(X, y, **more).predict(X) - 1e6).max() < 1e7


@pytest.mark.parametrize("estimator", [GrowingNAMRegressor, GrowingMLPRegressor])
def test_targets_too_small_for_the_dtype_of_the_rows_are_refused(estimator):
    """float32 would hold 0 instead."""
    X = np.random.RandomState(0).randn(80, 2)
    model = estimator(max_iter=2, random_state=0)
    for y in (1e-50 * X[:, 0], np.full(80, 1e-50)):
        with pytest.raises(ValueError, match=r"which float32 cannot .* scale it"):
            model.fit(X.astype(np.float32), y)
        assert np.abs(model.fit(X, y).predict(X)).max() < 1e-48


def test_saved_and_loaded_predicts_to_the_bit(grown, tmp_path):
    skgrow.save(grown, tmp_path / "nam")
    loaded = skgrow.load(tmp_path / "nam")
    assert type(loaded) is GrowingNAMRegressor
    np.testing.assert_array_equal(loaded.predict(FRAME), grown.predict(FRAME))


def test_partial_fit_learns_in_passes():
    X, y = load_diabetes(return_X_y=True)
    nam = GrowingNAMRegressor(random_state=0)
    scores = [nam.partial_fit(X, y).score(X, y) for _ in range(60)]
    assert scores[-1] > scores[0]
    assert scores[-1] > 0.3


@pytest.mark.slow
def test_grid_search_chooses_the_number_of_branches():
    X, y = load_diabetes(return_X_y=True)
    nam = GrowingNAMRegressor(max_iter=5, n_verified=50, random_state=0)
    search = GridSearchCV(nam, {"n_branches": [0, 3]}, cv=2).fit(X, y)
    assert np.isfinite(search.best_score_)


@pytest.mark.parametrize("wrong", [["a"] * 100, [np.nan] * 100, [np.inf] * 100])
def test_targets_that_are_no_numbers_are_refused(wrong):
    X = np.random.RandomState(0).randn(100, 3)
    with pytest.raises(ValueError, match=r"could not convert|NaN|infinity|string"):
        GrowingNAMRegressor().fit(X, wrong)


WRONG_TARGETS = {
    "None": ([None, 1.0], "Input y contains NaN"),
    "objects": (np.array([np.nan, 1.0], dtype=object), "Input y contains NaN"),
    "NA": (pd.Series([pd.NA, 1.0], dtype="Float64"), "Input y contains NaN"),
    "frame": (pd.DataFrame({"y": [None, 1.0]}, dtype=object), "Input y contains NaN"),
    "no number": (np.array(["abc", 1.0], dtype=object), "y holds .*'abc'"),
    "integer": (np.array([10**400, 1.0], dtype=object), "y holds .*int too large"),
    "long double": (np.array([1, 1]) * np.longdouble("1e400"), "infinity .*float64"),
}
if np.finfo(np.longdouble).max == np.finfo(np.float64).max:
    del WRONG_TARGETS["long double"]


@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
@pytest.mark.parametrize("wrong", WRONG_TARGETS)
@pytest.mark.parametrize("frame", [False, True])
@pytest.mark.parametrize("estimator", [GrowingNAMRegressor, GrowingMLPRegressor])
def test_targets_are_checked_as_the_numbers_that_they_become(estimator, frame, wrong):
    """scikit-learn checks objects and long doubles before it converts them."""
    X = np.random.RandomState(0).randn(100, 2)
    X = pd.DataFrame({"a": X[:, 0], "b": X[:, 1]}) if frame else X
    y, match = WRONG_TARGETS[wrong]
    if isinstance(y, list):
        y = y * 50
    else:
        y = pd.concat([y] * 50) if hasattr(y, "index") else np.tile(y, 50)
    fresh = estimator(max_iter=1, random_state=0)
    for verb in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match=match):
            getattr(fresh, verb)(X, y)
    model = clone(fresh).fit(X, np.arange(100.0))
    before = model.predict(X)
    more = {"n_branches": 1} if estimator is GrowingNAMRegressor else {"n_neurons": 1}
    for verb, others in (("fit", {}), ("partial_fit", {}), ("grow", more)):
        with pytest.raises(ValueError, match=match):
            getattr(model, verb)(X, y, **others)
    np.testing.assert_array_equal(model.predict(X), before)


def test_a_warm_start_trains_nothing():
    X = np.random.RandomState(0).uniform(-1, 1, size=(900, 4))
    y = X[:, 0] * X[:, 1] + X[:, 2] * X[:, 3]
    nam = GrowingNAMRegressor(
        [[0, 1]], grow_regions="pairs", n_verified=50, max_iter=20, warm_start=True,
        round_size=2, random_state=0,
    )  # fmt: skip
    bank = nam.fit(X, y).bank_
    nam.set_params(n_branches=2).fit(X, y)
    assert nam.bank_ is bank
    assert (nam.n_iter_, nam.n_branches_) == (20, 2)
    with pytest.raises(ValueError, match="n_branches=1 must be larger than or equal"):
        nam.set_params(n_branches=1).fit(X, y)


@pytest.mark.parametrize("estimator", [GrowingNAMRegressor, GrowingMLPRegressor])
@pytest.mark.parametrize(("dtype", "size"), [("f4", 1e39), ("f8", 1.7e308)])
def test_targets_beyond_the_dtype_of_the_rows_are_refused(estimator, dtype, size):
    X = np.random.RandomState(0).randn(80, 2).astype(dtype)
    y = np.sign(X[:, 0].astype(float))
    model, match = estimator(max_iter=2, random_state=0), "y holds .* scale it first"
    with pytest.raises(ValueError, match=match):
        model.fit(X, y * size)
    # A millionth of a millionth is fine; so is such a row that has no weight.
    y = y * size * 1e-12
    expected = model.fit(X[1:], y[1:]).predict(X)
    assert np.isfinite(expected).all()
    y[0] = size
    model.fit(X, y, sample_weight=np.sign(np.arange(80)))
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-4)
    with pytest.raises(ValueError, match=match):
        model.partial_fit(X, y)
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-4)


@pytest.mark.parametrize("loss", [CROSS_ENTROPY, SQUARED_ERROR])
def test_gradients_and_residuals_are_derivatives_of_the_loss(loss):
    rng = np.random.RandomState(0)
    n_rows, n_classes = 5, 2
    logits, weight = rng.randn(n_rows, n_classes), rng.uniform(0.5, 2, n_rows)
    y = rng.randint(2, size=n_rows) if loss is CROSS_ENTROPY else rng.randn(n_rows)

    def total(flat):
        return loss.of_rows(flat.reshape(n_rows, n_classes), y) @ weight

    slow = approx_fprime(logits.ravel(), total).reshape(n_rows, n_classes)
    value, grad = loss.value_and_grad(logits, y, weight)
    assert np.isclose(value, total(logits.ravel()))
    np.testing.assert_allclose(grad, slow, atol=1e-5)
    np.testing.assert_allclose(
        loss.residual(logits, y, weight).gradient, -slow, atol=1e-5
    )


def test_a_row_counts_by_its_error():
    """Shares of a direction are shares of all errors (the docstring of SquaredError)."""
    logits, y = np.zeros((4, 2)), np.array([1.0, -3.0, 0.5, -0.5])
    membership = SQUARED_ERROR.residual(logits, y, np.ones(4)).membership
    np.testing.assert_allclose(membership.sum(), 4)
    np.testing.assert_allclose(membership[:, 1] / membership.sum(), [0.2, 0, 0.1, 0])


def test_many_columns_and_few_rows_do_no_harm():
    """1,200 branches move the score by hundreds of deviations at each step."""
    X = np.random.RandomState(0).randn(40, 600)
    nam = GrowingNAMRegressor(random_state=0).fit(X, X[:, 0])
    assert nam.score(X, X[:, 0]) > 0.99


def test_training_that_diverges_is_reported():
    X = np.random.RandomState(0).randn(40, 4)
    nam = GrowingNAMRegressor(
        "features", curves=False, learning_rate_init=1e3, max_iter=10, random_state=0
    )
    for verb in (nam.fit, nam.partial_fit):
        with pytest.warns(ConvergenceWarning, match="diverged.*Lower learning_rate_init"):
            verb(X, X[:, 0])
        assert nam.score(X, X[:, 0]) > -0.1
