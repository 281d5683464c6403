"""`max_time` bounds a fit: what was not begun is left out, and a warning says so."""

import time

import numpy as np
import pytest

from skgrow import GrowingNAMClassifier, GrowingNAMRegressor, GrowthStoppedWarning
from skgrow.estimators import additive_steps as steps
from skgrow.estimators import additive_verbs as verbs

X = np.random.RandomState(0).normal(size=(400, 3))
Y = np.abs(X[:, 0]) + X[:, 1] * X[:, 2]


@pytest.fixture
def slow_curves(monkeypatch):
    """Curves that take longer than the time there is."""
    whole = steps.fit_curves

    def fit_curves(*args, **kwargs):
        time.sleep(0.05)
        return whole(*args, **kwargs)

    monkeypatch.setattr(steps, "fit_curves", fit_curves)


@pytest.mark.usefixtures("slow_curves")
@pytest.mark.parametrize("n_branches", [0, 8])
def test_what_there_is_no_time_for_is_left_out(monkeypatch, n_branches):
    def never(*args, **kwargs):
        raise AssertionError("there was no time for it")

    monkeypatch.setattr(steps, "fit_surfaces", never)
    nam = GrowingNAMRegressor(
        n_replicas=2, max_time=0.05, n_branches=n_branches, random_state=0
    )
    monkeypatch.setattr(verbs, "grown", never)
    growth = ", growth" if n_branches else ""
    left_out = f"left out: surfaces of pairs, 99 of 100 passes{growth}\\.$"
    with pytest.warns(GrowthStoppedWarning, match=f"max_time=0.05 .*{left_out}"):
        nam.fit(X, Y)
    assert nam.n_iter_ == 1
    assert nam.n_branches_ == 0
    assert nam.score(X, Y) > 0.2  # the curves are there
    nam.partial_fit(X, Y)  # one pass, without a warning


def test_a_fit_with_time_enough_says_nothing():
    settings = {"n_replicas": 2, "max_iter": 3, "random_state": 0}
    free = GrowingNAMClassifier(**settings).fit(X, Y > 1)
    bounded = GrowingNAMClassifier(max_time=1e6, **settings).fit(X, Y > 1)
    assert bounded.n_iter_ == free.n_iter_ == 3
    np.testing.assert_array_equal(bounded.predict_proba(X), free.predict_proba(X))


def test_growth_in_fit_gets_the_time_that_training_left(monkeypatch):
    nam = GrowingNAMClassifier(
        "pairs", n_branches=8, max_time=100.0, max_iter=1, random_state=0
    )
    found = []

    def grow(params, state, *args, spent):
        found.append(spent)
        return state, ()

    monkeypatch.setattr(verbs, "grown", grow)
    begin = time.monotonic()
    nam.fit(X, Y > 1)
    assert 0 < found[0] < time.monotonic() - begin
