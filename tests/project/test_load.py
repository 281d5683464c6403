"""Under load: threads, forks, and memory that stays where it is."""

import copy
import multiprocessing
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from kill_growth import rows_and_model
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from skgrow import GrowingMLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::skgrow.GrowthStoppedWarning")


def dense():
    X, y = load_digits(return_X_y=True)
    return X, y, GrowingMLPClassifier((8,), max_iter=3, random_state=0).fit(X, y)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nam", "vote", "dense"])
def test_threads_predict_while_another_grows_a_copy(kind):
    X, y, model = dense() if kind == "dense" else rows_and_model(kind)
    n_before = model.n_multiply_adds_
    model.grow(X, y, 8)
    expected = model.predict_proba(X)
    twin = copy.deepcopy(model)
    with ThreadPoolExecutor(9) as pool:
        growing = pool.submit(twin.grow, X, y, 12)
        answers = [pool.submit(model.predict_proba, X) for _ in range(40)]
        for answer in answers:
            np.testing.assert_array_equal(answer.result(), expected)
        growing.result()
    assert twin.n_multiply_adds_ > model.n_multiply_adds_ > n_before
    np.testing.assert_array_equal(model.predict_proba(X), expected)
    alone = copy.deepcopy(model).grow(X, y, 12)
    np.testing.assert_array_equal(alone.predict_proba(X), twin.predict_proba(X))


@pytest.mark.slow
def test_threads_may_grow_one_copy_each():
    X, y, model = rows_and_model("nam")
    copies = [copy.deepcopy(model) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        grown = list(pool.map(lambda one: one.grow(X, y, 8), copies))
    for one in grown:
        np.testing.assert_array_equal(one.predict_proba(X), grown[0].predict_proba(X))


def _grown_answers():
    X, y, model = rows_and_model("nam")
    return model.grow(X, y, 8).predict_proba(X)


@pytest.mark.slow
def test_a_forked_process_does_not_hang():
    """After two threads have trained, searched and predicted in its parent."""
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=lambda: queue.put(_grown_answers()))
    with threadpool_limits(2, user_api="openmp"):
        expected = _grown_answers()
        child.start()
    try:
        np.testing.assert_allclose(queue.get(timeout=120), expected, atol=1e-9)
    finally:
        child.kill()
        child.join()


@pytest.mark.slow
def test_memory_stays_where_it_is():
    script = Path(__file__).parents[1] / "long" / "memory_cycles.py"
    done = subprocess.run(
        [sys.executable, str(script), "--cycles", "15"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


PREDICT = """
import numpy as np
from dataclasses import replace
from skgrow.networks.bank import BranchBank
from skgrow.networks.branch_uses import Candidates
from skgrow.networks.grown import GrownBranches
from skgrow.networks.votes import Electorate
from skgrow.inputs.scaling import PixelScaler

def peak():  # MiB, of this program alone
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(status["VmHWM"].split()[0]) / 1024

rng, dtype = np.random.RandomState(0), np.dtype(np.float32)
regions = rng.randint(784, size=(75, 9))
bank = BranchBank.random(regions, (9, 9, 9, 9), 10, rng, dtype)
n = 2500
uses = Candidates.plain(
    np.arange(n), rng.randint(784, size=(n, 9)), rng.randint(75, size=n),
    rng.randint(10, size=n), dtype,
)
uses = replace(uses, target=rng.randint(10, size=n))
ones = np.ones(n, dtype=dtype)
grown = GrownBranches(bank, uses, *[ones] * 6)
network = replace(Electorate.empty(bank, np.ones(10), "pooled"), grown=grown)
X = rng.uniform(size=(10_000, 784)).astype(dtype)
scaler = PixelScaler(0.5, 1.0)
network.logits(X[:100], scaler)
before = peak()
network.logits(X, scaler)
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_predicting_takes_a_bounded_memory():
    """10,000 rows of 784 columns by 2,500 branches: under 500 MiB above the input."""
    done = subprocess.run(
        [sys.executable, "-c", PREDICT], capture_output=True, text=True, check=True
    )
    print(done.stdout)
    assert float(done.stdout) < 500
