"""The promises of scikit-learn's interface."""

import copy
import os
import string
import subprocess
import sys
import warnings
from functools import cache

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.fixes import parse_version

from skgrow import (
    GrowingMLPClassifier,
    GrowingMLPRegressor,
    GrowingNAMClassifier,
    GrowingNAMRegressor,
    GrowthStoppedWarning,
    ImagePatches,
)

MATCHINGS = ["both", "clusters", "exhaustive"]
PATCHES = ImagePatches((1, 8, 8), patch_size=3, stride=5)
X_DIGITS, Y_DIGITS = load_digits(return_X_y=True)


def digits_nam(**parameters):
    small = {
        "hidden_layer_sizes": (8, 8),
        "matching": "exhaustive",
        "max_iter": 5,
        "batch_size": 64,
        "n_verified": 300,
        "search_regions": 20,
        "round_size": 5,
        "random_state": 0,
    }
    return GrowingNAMClassifier(PATCHES, **{**small, **parameters})


def table_nam(**parameters):
    small = {
        "hidden_layer_sizes": (6, 6),
        "matching": "exhaustive",
        "max_iter": 30,
        "learning_rate_init": 0.02,
        "n_replicas": 2,
        "n_verified": 100,
        "search_regions": 20,
        "round_size": 5,
        "random_state": 0,
    }
    return GrowingNAMClassifier(**{**small, **parameters})


def blobs(n_classes=2, n_features=4, n_rows=400, noise=0.5, seed=0):
    rng = np.random.RandomState(seed)
    y = np.arange(n_rows) % n_classes
    centres = rng.normal(size=(n_classes, n_features))
    return centres[y] + noise * rng.normal(size=(n_rows, n_features)), y


def crossed(n_rows=900, seed=0):
    """Two classes that no column tells apart alone: growth on pairs has work to do.

    With `curves=False` it has; by default, surfaces often leave it nothing.
    """
    rng = np.random.RandomState(seed)
    X = rng.uniform(-1, 1, size=(n_rows, 4))
    return X, (X[:, 0] * X[:, 2] > 0).astype(int)


# ------------------------------------------------------------------ estimator checks


# random_state=None draws from numpy's global state, as everywhere in scikit-learn.
@pytest.mark.slow
@pytest.mark.changes_global_state
@parametrize_with_checks([GrowingNAMClassifier()])
def test_default_estimator(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.changes_global_state
@pytest.mark.filterwarnings("ignore::skgrow.GrowthStoppedWarning")
@parametrize_with_checks(
    [GrowingNAMClassifier(n_branches=5, max_iter=20, n_verified=100)]
)
def test_growing_estimator(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.8"),
    reason="scikit-learn 1.7 has no such checks for estimators of NumPy arrays",
)
def test_array_api_checks_with_scipy_array_api():
    """The switch is read when scipy is imported: a process of its own."""
    program = """
import warnings
from sklearn.utils.estimator_checks import estimator_checks_generator
from skgrow import GrowingNAMClassifier, GrowthStoppedWarning
warnings.simplefilter("error")
warnings.simplefilter("ignore", GrowthStoppedWarning)
n_run = 0
for n_branches in (0, 5):
    nam = GrowingNAMClassifier(n_branches=n_branches, max_iter=5, n_verified=100)
    for estimator, check in estimator_checks_generator(nam):
        if "array_api" in getattr(check, "func", check).__name__:
            check(estimator)
            n_run += 1
print("ran", n_run)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["ran", "2"]


# ------------------------------------------------------- inside scikit-learn's tools


def test_pipeline_with_a_scaler():
    X, y = blobs(3)
    pipeline = make_pipeline(StandardScaler(), table_nam()).fit(X[:300], y[:300])
    assert pipeline.score(X[300:], y[300:]) > 0.8


@pytest.mark.parametrize("estimator", [GrowingNAMClassifier, GrowingNAMRegressor])
def test_fit_computes_in_the_dtype_of_its_own_rows(estimator):
    X, y = blobs(n_features=2, n_rows=60)
    nam = estimator(max_iter=1, n_replicas=2, random_state=0)
    for dtype in (np.float64, np.float32, np.float64):
        nam.fit(X.astype(dtype), y)
        assert nam.bank_.dtype == dtype
    nam.partial_fit(X.astype(np.float32), y)  # goes on with what there is
    assert nam.bank_.dtype == np.float64


@pytest.mark.slow
def test_grid_search_in_two_processes():
    grid = {"n_branches": [0, 5], "learning_rate_init": [1e-6, 4e-3]}
    search = GridSearchCV(
        digits_nam(), grid, cv=2, n_jobs=2, scoring="neg_log_loss", error_score="raise"
    )
    search.fit(X_DIGITS, Y_DIGITS)
    results = search.cv_results_
    score = {
        (n, rate): mean
        for n, rate, mean in zip(
            results["param_n_branches"],
            results["param_learning_rate_init"],
            results["mean_test_score"],
            strict=True,
        )
    }
    # Both parameters count: an untrained base is no better than chance, growth helps it.
    assert score[0, 1e-6] < -2.2
    assert score[0, 4e-3] > score[0, 1e-6] + 0.1
    assert score[5, 1e-6] > score[0, 1e-6] + 0.1
    assert search.best_score_ == max(score.values())
    assert search.best_estimator_.n_branches_ == search.best_params_["n_branches"]


@pytest.mark.slow
def test_cross_val_predict():
    X, y = blobs(3)
    proba = cross_val_predict(table_nam(), X, y, cv=3, method="predict_proba")
    assert proba.shape == (400, 3)
    assert np.mean(proba.argmax(axis=1) == y) > 0.8


def test_calibrated_classifier():
    X, y = blobs(3)
    calibrated = CalibratedClassifierCV(table_nam(), cv=2).fit(X[:300], y[:300])
    assert calibrated.score(X[300:], y[300:]) > 0.8


def test_clone_is_unfitted_and_alike():
    nam = digits_nam(class_weight={1: 2.0}, grow_regions=PATCHES).fit(
        X_DIGITS[:200], Y_DIGITS[:200]
    )
    copied = clone(nam)
    assert repr(copied.get_params()) == repr(nam.get_params())
    assert not hasattr(copied, "classes_")
    copied.fit(X_DIGITS[:200], Y_DIGITS[:200])
    np.testing.assert_array_equal(
        copied.predict_proba(X_DIGITS), nam.predict_proba(X_DIGITS)
    )


@pytest.mark.parametrize(
    ("matching", "way"),
    [("both", "joblib"), ("both", "deepcopy"), ("exhaustive", "joblib")],
)
def test_copies_predict_alike_and_grow_on(matching, way, tmp_path):
    nam = digits_nam(n_branches=5, matching=matching).fit(X_DIGITS, Y_DIGITS)
    assert nam.n_branches_ == 5
    if way == "joblib":
        joblib.dump(nam, tmp_path / "nam.joblib")
        other = joblib.load(tmp_path / "nam.joblib")
    else:
        other = copy.deepcopy(nam)
    before = nam.predict_proba(X_DIGITS)
    np.testing.assert_array_equal(other.predict_proba(X_DIGITS), before)
    other.grow(X_DIGITS, Y_DIGITS, 5)
    assert (nam.n_branches_, other.n_branches_) == (5, 10)
    np.testing.assert_array_equal(nam.predict_proba(X_DIGITS), before)
    nam.grow(X_DIGITS, Y_DIGITS, 5)
    np.testing.assert_array_equal(
        other.predict_proba(X_DIGITS), nam.predict_proba(X_DIGITS)
    )


# --------------------------------------------------------------------- kinds of data


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_with_names(library):
    frames = pytest.importorskip(library)
    X, y = crossed()
    names = ["north", "east", "south", "west"]
    frame = frames.DataFrame(dict(zip(names, X.T, strict=True)))
    nam = table_nam(n_branches=5, curves=False).fit(frame, y)
    assert nam.feature_names_in_.tolist() == names
    regions = [record["region"] for record in nam.grown_branches_]
    assert regions
    assert all(len(region) == 2 and set(region) <= set(names) for region in regions)
    columns = nam._state.network.grown.uses.columns
    assert regions == [[names[j] for j in row] for row in columns]
    bare = table_nam(n_branches=5, curves=False).fit(X, y)
    assert not hasattr(bare, "feature_names_in_")
    assert [record["region"] for record in bare.grown_branches_] == columns.tolist()
    np.testing.assert_array_equal(nam.predict_proba(frame), bare.predict_proba(X))
    with pytest.raises(ValueError, match="feature names should match"):
        nam.predict(frame[names[::-1]])


@cache
def numbered(n_classes):
    return table_nam(n_branches=5, curves=False).fit(*blobs(n_classes))


@pytest.mark.parametrize(
    "labels",
    [["no", "yes", "perhaps"], [-7, 3, 400], [False, True], [0.0, 2.0, 5.0]],
    ids=["strings", "negative with gaps", "bool", "whole floats"],
)
def test_labels_of_any_kind(labels):
    X, numbers = blobs(len(labels))
    y = np.sort(np.array(labels))[numbers]
    nam = table_nam(n_branches=5, curves=False).fit(X, y)
    plain = numbered(len(labels))
    np.testing.assert_array_equal(nam.classes_, np.unique(y))
    assert nam.predict(X).dtype == y.dtype
    np.testing.assert_array_equal(nam.predict_proba(X), plain.predict_proba(X))
    assert nam.score(X, y) > 0.8
    for record, other in zip(nam.grown_branches_, plain.grown_branches_, strict=True):
        assert record["target_class"] == nam.classes_[other["target_class"]]
        assert record["branch_class"] == nam.classes_[other["branch_class"]]


def test_two_classes():
    X, y = crossed()
    nam = table_nam(n_branches=5, curves=False).fit(X, y)
    assert nam.n_branches_ == 5
    proba, scores = nam.predict_proba(X), nam.decision_function(X)
    assert proba.shape == (900, 2)
    assert scores.shape == (900,)
    np.testing.assert_allclose(1 / (1 + np.exp(-scores)), proba[:, 1])
    np.testing.assert_allclose(np.exp(nam.predict_log_proba(X)), proba)
    np.testing.assert_array_equal(nam.predict(X), (scores > 0).astype(int))


@pytest.mark.slow
@pytest.mark.parametrize("matching", MATCHINGS)
def test_twenty_six_classes(matching):
    X, numbers = blobs(26, n_features=4, n_rows=26 * 60, noise=0.1)
    y = np.array(list(string.ascii_lowercase))[numbers]
    nam = table_nam(matching=matching, regions=[[0, 1], [2, 3]], grow_regions="pairs")
    nam.fit(X, y)
    before = log_loss(y, nam.predict_proba(X))
    nam.grow(X, y, 10)
    assert nam.classes_.tolist() == list(string.ascii_lowercase)
    assert nam.predict_proba(X).shape == (len(X), 26)
    assert nam.n_branches_ == 10
    assert log_loss(y, nam.predict_proba(X)) < before
    assert nam.score(X, y) > 0.7


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_compute_dtype_is_that_of_x(dtype):
    X = X_DIGITS.astype(dtype)
    nam = digits_nam(n_branches=5).fit(X, Y_DIGITS)
    expected = np.float32 if dtype == np.float32 else np.float64
    assert nam.n_branches_ == 5
    assert nam.bank_.dtype == expected
    assert nam.predict_proba(X).dtype == expected
    grown = nam._state.network.grown
    for array in (grown.uses.scale, grown.uses.threshold, grown.scale, grown.span):
        assert array.dtype == expected


# ------------------------------------------------------------------------- the verbs


def test_class_weight_is_sample_weight():
    X, y = blobs(2, noise=2.0)
    y[:100] = 0
    weighted = table_nam(class_weight={0: 1.0, 1: 5.0}).fit(X, y)
    by_hand = table_nam().fit(X, y, sample_weight=np.where(y == 1, 5.0, 1.0))
    plain = table_nam().fit(X, y)
    np.testing.assert_array_equal(weighted.predict_proba(X), by_hand.predict_proba(X))
    assert weighted.predict(X).mean() > plain.predict(X).mean() + 0.1
    balanced = table_nam(class_weight="balanced").fit(X, y)
    assert abs(balanced.predict(X).mean() - 0.5) < abs(plain.predict(X).mean() - 0.5)


def test_warm_start_grows_and_trains_nothing():
    nam = digits_nam(n_branches=5, warm_start=True).fit(X_DIGITS, Y_DIGITS)
    bank, n_iter = nam.bank_, nam.n_iter_
    nam.set_params(n_branches=10).fit(X_DIGITS, Y_DIGITS)
    assert nam.n_branches_ == 10
    assert nam.bank_ is bank
    assert nam.n_iter_ == n_iter
    np.testing.assert_array_equal(
        nam.fit(X_DIGITS, Y_DIGITS).predict_proba(X_DIGITS),
        nam.predict_proba(X_DIGITS),
    )
    with pytest.raises(ValueError, match=r"n_branches=4 must be larger.*n_branches_=10"):
        nam.set_params(n_branches=4).fit(X_DIGITS, Y_DIGITS)
    assert nam.n_branches_ == 10


def test_fit_without_warm_start_forgets():
    nam = digits_nam(n_branches=5).fit(X_DIGITS, Y_DIGITS)
    nam.grow(X_DIGITS, Y_DIGITS, 5).set_params(n_branches=0)
    nam.fit(X_DIGITS, Y_DIGITS)
    fresh = digits_nam().fit(X_DIGITS, Y_DIGITS)
    assert (nam.n_branches_, nam.growth_history_) == (0, [])
    np.testing.assert_array_equal(
        nam.predict_proba(X_DIGITS), fresh.predict_proba(X_DIGITS)
    )


def test_constructor_growth_writes_no_parameter():
    nam = digits_nam(n_branches=5)
    before = repr(nam.get_params())
    nam.fit(X_DIGITS, Y_DIGITS).grow(X_DIGITS, Y_DIGITS, 5)
    assert repr(nam.get_params()) == before
    assert nam.n_branches_ == 10


def test_fitted_facts():
    nam = digits_nam().fit(X_DIGITS, Y_DIGITS)
    branch = 9 * 8 + 8 + 8 * 8 + 8 + 8 * 10
    multiply_adds = 9 * 8 + 8 * 8 + 8 * 10
    assert nam.n_parameters_ == 4 * branch
    assert nam.n_multiply_adds_ == 4 * multiply_adds
    assert len(nam.loss_curve_) == nam.n_iter_ == 5
    assert nam.loss_curve_[-1] < nam.loss_curve_[0]
    nam.grow(X_DIGITS, Y_DIGITS, 7)
    assert nam.n_branches_ == len(nam.grown_branches_) == 7
    assert nam.n_parameters_ == 4 * branch + 2 * 7 + 10
    # Trunks once each, outputs and masks; the other outputs are dropped.
    uses = nam.grown_branches_
    trunks = {(use["branch"], *use["region"]) for use in uses}
    outputs = {(use["branch"], *use["region"], use["branch_class"]) for use in uses}
    added = len(trunks) * (9 * 8 + 8 * 8) + len(outputs) * 8 + 7
    assert nam.n_multiply_adds_ == 4 * multiply_adds + added
    keys = "region branch branch_class target_class threshold span scale bias"
    assert set(nam.grown_branches_[0]) == {*keys.split(), "precision", "recall", "bound"}
    keys = "round n_screened n_tested n_qualified n_picked n_branches loss accuracy"
    keys = {*keys.split(), "held_out_loss", "held_out_accuracy", "seconds"}
    assert all(set(row) == keys for row in nam.growth_history_)
    assert [row["round"] for row in nam.growth_history_] == [0, 1]
    assert [row["n_branches"] for row in nam.growth_history_] == [5, 7]


def test_partial_fit_needs_classes_first():
    X, y = blobs(3)
    nam = table_nam()
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        nam.partial_fit(X, y)
    assert "classes_" not in vars(nam)
    two = y < 2
    nam.partial_fit(X[two], y[two], classes=[2, 0, 1])
    assert nam.classes_.tolist() == [0, 1, 2]
    assert nam.predict_proba(X).shape == (400, 3)
    for _ in range(30):
        nam.partial_fit(X, y)
    assert nam.n_iter_ == len(nam.loss_curve_) == 31
    assert nam.score(X, y) > 0.8
    with pytest.raises(ValueError, match=r"classes=\[0, 1\] are not those of"):
        nam.partial_fit(X, y, classes=[0, 1])


def test_partial_fit_leaves_the_structure():
    nam = digits_nam(n_branches=5).fit(X_DIGITS, Y_DIGITS)
    network = nam._state.network
    nam.partial_fit(X_DIGITS, Y_DIGITS)
    assert (
        nam._state.network.grown is network.grown
    )  # with the weights it was matched with
    assert nam._state.network.grown.bank is network.bank
    assert not np.array_equal(nam.bank_.weights[0], network.bank.weights[0])
    assert nam.n_branches_ == 5
    # Both sets of weights are trained numbers of the model now.
    assert nam.n_parameters_ == 2 * network.bank.n_parameters + 2 * 5 + 10


def test_growth_matches_the_branches_as_they_are_now():
    """Clusters found before `partial_fit` are of weights that are gone."""
    X, y = load_digits(n_class=4, return_X_y=True)  # each class takes time to cluster
    noise = np.random.RandomState(0).permutation(y)
    nam = digits_nam(matching="clusters").fit(X[:400], y[:400])
    with pytest.warns(GrowthStoppedWarning):
        nam.grow(X[400:], noise[400:], 1)
    assert nam.n_branches_ == 0
    nam.partial_fit(X, y)
    other = copy.deepcopy(nam)
    vars(other).pop("_clusters", None)
    for each in (nam, other):
        each.grow(X, y, 5)
    assert nam.n_branches_ == 5
    np.testing.assert_array_equal(nam.predict_proba(X), other.predict_proba(X))


def test_early_stopping_restores_the_best_weights(monkeypatch):
    """The held-out loss of the fitted model is the lowest of its curve."""
    from skgrow.estimators import additive_steps as module

    held_out = []

    def spy(*args, **kwargs):
        held_out.append(kwargs["validation"])
        return train_bank(*args, **kwargs)

    train_bank = module.train_bank
    monkeypatch.setattr(module, "train_bank", spy)
    X, y = blobs(2, noise=3.0)
    nam = table_nam(
        early_stopping=True,
        max_iter=200,
        n_iter_no_change=5,
        batch_size=32,
        n_replicas=1,
    ).fit(X, y)
    curve = nam.validation_curve_
    assert len(curve) == nam.n_iter_ < 200
    assert np.argmin(curve) < len(curve) - 1
    (rows,) = held_out
    assert len(rows.y) == 40
    logits = nam.bank_.logits(rows.X) + rows.offset
    losses = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(40), rows.y]
    assert np.isclose(losses.mean(), min(curve))


@pytest.mark.filterwarnings("ignore::skgrow.GrowthStoppedWarning")
@pytest.mark.parametrize(
    ("curves", "fraction", "n_held_out"),
    [(False, 0.1, 90), (True, 0.1, 225), (True, 0.3, 270)],
)
def test_growth_on_curves_is_judged_by_more_rows(
    monkeypatch, curves, fraction, n_held_out
):
    from skgrow.estimators import reuse_steps as module

    seen = []

    def spy(*args):
        seen.append(args)
        return selection_set(*args)

    selection_set = module.SelectionSet
    monkeypatch.setattr(module, "SelectionSet", spy)
    X, y = crossed()
    nam = table_nam(curves=curves, validation_fraction=fraction).fit(X, y)
    nam.grow(X, y, 5)
    (_, _, _, pool, held_out, _) = seen[0]
    assert len(held_out) == n_held_out
    assert len(pool) + len(held_out) == 900


OWN_PAIRS = {"regions": [[0, 1], [2, 3]], "grow_regions": "pairs", "curves": True}


@pytest.mark.parametrize(
    ("parameters", "n_rounds", "is_grown"),
    [
        ({}, 1, False),  # surfaces leave it nothing
        ({"curves": False}, 3, True),
        (OWN_PAIRS, 3, True),
        ({"n_rounds_no_change": 2}, 2, False),
    ],
)
def test_growth_beside_chosen_pairs_ends_after_one_round_for_nothing(
    monkeypatch, parameters, n_rounds, is_grown
):
    # Any fall counts.
    monkeypatch.setattr("skgrow.estimators.additive_verbs.ERRORS_BESIDE_PAIRS", 0)
    X, y = crossed()
    nam = table_nam(tol=0, **parameters).fit(X, y)
    with pytest.warns(GrowthStoppedWarning):
        nam.grow(X, y, 500)
    # What came after the best round is taken back, so its branches are those left.
    n_branches = [0, *(record["n_branches"] for record in nam.growth_history_)]
    best = n_branches.index(nam.n_branches_)
    assert len(n_branches) - 1 - best == n_rounds
    losses = [record["held_out_loss"] for record in nam.growth_history_]
    assert (best > 0) == is_grown
    if is_grown:
        assert losses[best - 1] == min(losses)


@pytest.mark.parametrize(
    ("parameters", "is_strict"),
    [({}, True), ({"curves": False}, False), (OWN_PAIRS, False)],
)
def test_growth_beside_chosen_pairs_must_be_better_by_more_than_the_error(
    monkeypatch, parameters, is_strict
):
    # Nothing is enough.
    monkeypatch.setattr("skgrow.estimators.additive_verbs.ERRORS_BESIDE_PAIRS", 1e3)
    X, y = crossed()
    nam = table_nam(**parameters).fit(X, y)
    with pytest.warns(GrowthStoppedWarning) as warned:
        nam.grow(X, y, 500)
    assert (nam.n_branches_ == 0) == is_strict
    assert ("beyond its standard error" in str(warned[0].message)) == is_strict


def test_random_state_makes_runs_alike():
    X, y = X_DIGITS[:300], Y_DIGITS[:300]
    one, two = (digits_nam().fit(X, y).predict_proba(X) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    other = digits_nam(random_state=1).fit(X, y).predict_proba(X)
    assert not np.allclose(one, other)
    instances = (np.random.RandomState(0) for _ in range(2))
    a, b = (digits_nam(random_state=r).fit(X, y).predict_proba(X) for r in instances)
    np.testing.assert_array_equal(a, b)


def test_verbose_prints_a_line_a_round(capsys):
    digits_nam(n_branches=10).fit(X_DIGITS, Y_DIGITS)
    assert capsys.readouterr().out == ""
    digits_nam(n_branches=10, verbose=1).fit(X_DIGITS, Y_DIGITS)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:14] for line in lines] == [
        *(f"[skgrow] pass {i}"[:14] for i in range(1, 6)),
        *["[skgrow] round"] * 2,
    ]
    assert "round 2: 10 branches" in lines[-1]


# ------------------------------------------------------------------------- callbacks


class Recorder:
    """A callback that counts its hooks, and asks to stop after some steps of a task."""

    def __init__(self, stop_after=np.inf, fail_at=np.inf):
        self.stop_after, self.fail_at = stop_after, fail_at
        self.calls = []
        self.n_steps = 0

    def setup(self, estimator, context):
        self.calls.append(("setup", context.task_name))
        self.n_steps = 0

    def teardown(self, estimator, context):
        self.calls.append(("teardown", context.task_name))

    def on_fit_task_begin(self, estimator, context):
        self.calls.append(("begin", context.task_name))

    def on_fit_task_end(self, estimator, context):
        self.calls.append(("end", context.task_name))
        self.n_steps += context.task_name == "step"
        if self.n_steps >= self.fail_at:
            raise RuntimeError("a faulty callback")
        return self.n_steps >= self.stop_after


def expected_calls(task, n_steps):
    steps = [("begin", "step"), ("end", "step")] * n_steps
    return [("setup", task), ("begin", task), *steps, ("end", task), ("teardown", task)]


@pytest.fixture
def callbacks():
    return pytest.importorskip("sklearn.callback")


def test_callbacks_see_every_pass_and_every_round(callbacks):
    recorder = Recorder()
    nam = digits_nam(n_branches=10).set_callbacks(recorder).fit(X_DIGITS, Y_DIGITS)
    training, growth = expected_calls("training", 5), expected_calls("growth", 2)
    assert recorder.calls == training + growth
    recorder.calls.clear()
    keys = set(vars(nam))
    nam.grow(X_DIGITS, Y_DIGITS, 5)
    assert recorder.calls == expected_calls("growth", 1)
    assert set(vars(nam)) == keys
    recorder.calls.clear()
    nam.partial_fit(X_DIGITS, Y_DIGITS)
    assert recorder.calls == expected_calls("training", 1)
    assert not [name for name in vars(nam) if "callback" in name and "_skl" not in name]


def test_a_callback_can_stop_training(callbacks):
    nam = digits_nam().set_callbacks(Recorder(stop_after=3)).fit(X_DIGITS, Y_DIGITS)
    assert nam.n_iter_ == len(nam.loss_curve_) == 3


def test_a_callback_can_stop_growth(callbacks):
    nam = digits_nam().fit(X_DIGITS, Y_DIGITS).set_callbacks(Recorder(stop_after=2))
    with pytest.warns(GrowthStoppedWarning, match="10 of 30 .*callback asked to stop"):
        nam.grow(X_DIGITS, Y_DIGITS, 30)
    assert nam.n_branches_ == 10


def test_a_stop_request_after_the_last_round_is_no_news(callbacks):
    nam = digits_nam().fit(X_DIGITS, Y_DIGITS).set_callbacks(Recorder(stop_after=2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nam.grow(X_DIGITS, Y_DIGITS, 10)
    assert nam.n_branches_ == 10


def test_callbacks_are_torn_down_when_fit_fails(callbacks):
    recorder = Recorder(fail_at=2)
    nam = digits_nam().set_callbacks(recorder)
    keys = set(vars(nam))
    with pytest.raises(RuntimeError, match="a faulty callback"):
        nam.fit(X_DIGITS, Y_DIGITS)
    assert recorder.calls[-1] == ("teardown", "training")
    assert set(vars(nam)) == keys


@pytest.mark.parametrize("kind", [GrowingMLPClassifier, GrowingMLPRegressor])
def test_callbacks_see_the_passes_of_dense_networks(callbacks, kind):
    recorder = Recorder()
    mlp = kind((4,), max_iter=3, random_state=0).set_callbacks(recorder)
    keys = set(vars(mlp.fit(X_DIGITS, Y_DIGITS)))
    assert recorder.calls == expected_calls("training", 3)
    recorder.calls.clear()
    mlp.partial_fit(X_DIGITS, Y_DIGITS)
    assert recorder.calls == expected_calls("training", 1)
    assert set(vars(mlp)) == keys
    assert mlp.set_callbacks(Recorder(stop_after=2)).fit(X_DIGITS, Y_DIGITS).n_iter_ == 2
