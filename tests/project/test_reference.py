"""The same answer tomorrow: predictions of small fits against stored ones.

What this can catch: a change of what is computed, in scaling, training, the search or
the sums, on purpose or not. What it cannot: an error that was there when the values were
stored, and changes smaller than the tolerance, which leaves room for another processor's
rounding. A stored value is no proof of being right; the formulas have tests of their own.

`python tests/project/test_reference.py` stores the values anew, when a change was meant.
"""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris

from skgrow import (
    ElectionTransferClassifier,
    GrowingNAMClassifier,
    GrowingNAMRegressor,
    GrowthStoppedWarning,
    ImagePatches,
)

STORED = Path(__file__).parents[1] / "data" / "reference.json"
ROWS = slice(None, None, 180)
# Curves are fitted by SciPy's L-BFGS-B. Versions of it end at other points of a flat
# optimum: 1.14 and 1.17 are 0.008 logits apart here, and 1e-4 units of the number.
LEEWAY = {"thirty terms": 0.03, "number": 0.01}
BACKENDS = ("loky", "threading", "multiprocessing")

pytestmark = pytest.mark.filterwarnings("ignore::skgrow.GrowthStoppedWarning")


def answers():
    """Scores (logits) of a few rows by four small models, in float64."""
    X, y = load_digits(return_X_y=True)
    patches = ImagePatches((1, 8, 8), patch_size=3, stride=2)
    small = {
        "hidden_layer_sizes": (6, 4), "max_iter": 4, "n_verified": 300, "round_size": 6,
        "search_regions": 12, "random_state": 0,
    }  # fmt: skip
    nam = GrowingNAMClassifier(patches, **small).fit(X, y)
    found = {"base": nam.decision_function(X[ROWS])}
    found["grown"] = nam.grow(X, y, 12).decision_function(X[ROWS])
    vote = ElectionTransferClassifier(
        nam, patches, n_branches=20, n_verified=300, round_size=10, search_regions=12,
        random_state=0,
    )  # fmt: skip
    found["elected"] = vote.fit(X[y < 5], y[y < 5]).decision_function(X[ROWS])
    X, y = load_iris(return_X_y=True)
    table = GrowingNAMClassifier(max_iter=5, n_branches=4, random_state=0).fit(X, y)
    found["table"] = table.decision_function(X[::15])
    X, y = load_breast_cancer(return_X_y=True)
    cells = GrowingNAMClassifier(max_iter=3, random_state=0)
    found["thirty terms"] = shapes(cells.fit(X[:, :10], y), X[:, :10])
    X, y = load_diabetes(return_X_y=True)
    number = GrowingNAMRegressor(max_iter=3, n_branches=2, n_verified=50, random_state=0)
    found["number"] = number.fit(X, y).predict(X[::40])
    return {name: scores.tolist() for name, scores in found.items()}


def shapes(nam, X):
    """All that pictures of a network of 30 terms or more draw, as one vector."""
    terms = nam.explain_global(X, n_points=3)["terms"]
    assert len(terms) >= 30
    return np.concatenate([term["contribution"].ravel() for term in terms])


def quick_answers(n_jobs=None):
    """Scores of smaller models still, by all that threads and workers compute.

    To be computed many times, where only their being equal counts. What is spread over
    workers makes two jobs at least: branches, regions, matches and folds.
    """
    X, y = load_digits(n_class=3, return_X_y=True)
    patches = ImagePatches((1, 8, 8), patch_size=3, stride=5)  # 4 branches
    small = {"n_verified": 60, "random_state": 0, "n_jobs": n_jobs}
    nam = GrowingNAMClassifier(
        patches, hidden_layer_sizes=(6, 4), max_iter=3, search_regions=12, **small
    ).fit(X, y)
    found = {"grown": nam.grow(X, y, 6).decision_function(X[::40])}
    vote = ElectionTransferClassifier(
        nam, patches, n_branches=5, search_regions=6, matching="clusters", **small
    ).fit(X, y)
    found["elected"] = vote.decision_function(X[::40])
    X, y = load_diabetes(return_X_y=True)
    number = GrowingNAMRegressor(max_iter=2, random_state=0, n_jobs=n_jobs)
    found["number"] = number.fit(X[:, 2:5], y).predict(X[::40, 2:5])
    return {name: scores.tolist() for name, scores in found.items()}


@pytest.fixture(scope="module")
def alone():
    """The quick answers of this process without workers, with one thread."""
    return with_threads(1)


def with_threads(n_threads):
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GrowthStoppedWarning)
            return quick_answers()
    finally:
        torch.set_num_threads(before)


def in_another_process():
    """The same with one thread and with two, in a process of its own."""
    program = "import json; from test_reference import with_threads; "
    program += "print(json.dumps([with_threads(1), with_threads(2)]))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parent,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.slow
def test_answers_are_the_stored_ones():
    found, stored = answers(), json.loads(STORED.read_text())
    assert set(found) == set(stored)
    for name, scores in stored.items():
        leeway = LEEWAY.get(name, 1e-6)
        np.testing.assert_allclose(found[name], scores, rtol=1e-6, atol=leeway)
    assert np.std(stored["grown"]) > 0.1
    assert not np.allclose(stored["grown"], stored["base"], atol=0.01)


@pytest.mark.slow
def test_processes_and_threads_agree(alone):
    again, two = in_another_process()
    assert alone == again
    for name, scores in alone.items():
        np.testing.assert_allclose(two[name], scores, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_backends_agree_to_the_bit(backend, alone):
    with joblib.parallel_config(backend=backend):
        assert quick_answers(n_jobs=2) == alone


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GrowthStoppedWarning)
        STORED.write_text(json.dumps(answers(), indent=0) + "\n")
