"""Many machines: the search over dask, with workers that die on the way."""

import copy
import os
import signal

import joblib
import numpy as np
import pytest
import torch
from kill_growth import rows_and_model
from threadpoolctl import threadpool_limits

from skgrow.growth.reuse import screening
from skgrow.networks.bank import BranchBank
from skgrow.runtime import parallel

distributed = pytest.importorskip(
    "distributed", reason="needs dask's scheduler: pip install skgrow[distributed]"
)
pytestmark = pytest.mark.filterwarnings("ignore::skgrow.GrowthStoppedWarning")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As dask's workers have: other thread counts differ by rounding."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def cluster():
    """Two processes of one thread each, on this machine."""
    import dask

    # A slow machine takes longer to start a worker again than dask waits for it.
    patient = {"distributed.deploy.lost-worker-timeout": "120s"}
    with (
        dask.config.set(patient),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address=":0",  # any free port
            silence_logs="CRITICAL",
        ) as cluster,
        distributed.Client(cluster),
    ):
        yield cluster


@pytest.fixture(scope="module")
def alone():
    """Rows, a base network, and what it grows to in this process alone."""
    X, y, model = rows_and_model("refit")  # both kinds of candidates
    return X, y, model, copy.deepcopy(model).grow(X, y, 8)


def grown_over_dask(alone):
    """Grow the same over dask, and compare to the bit."""
    X, y, model, expected = alone
    with joblib.parallel_config(backend="dask"):
        grown = copy.deepcopy(model).grow(X, y, 8)
    assert grown.n_branches_ == expected.n_branches_ == 8
    np.testing.assert_array_equal(grown.predict_proba(X), expected.predict_proba(X))


def _n_threads(job):
    return torch.get_num_threads()


@pytest.mark.slow
def test_workers_have_their_share_of_the_threads(cluster):
    with joblib.parallel_config(backend="dask"):
        found = parallel.run_jobs(_n_threads, (), lambda: ((i,) for i in range(6)))
    assert found == [1] * 6


@pytest.mark.slow
def test_shared_arrays_are_sent_once_a_step(cluster, alone, monkeypatch):
    sent, steps = [], []

    def reduce_ex(bank, protocol):
        if protocol >= 5:  # not a copy in this process
            sent.append(1)
        return object.__reduce_ex__(bank, protocol)

    def results(function, shared, jobs, n_jobs):
        jobs = list(jobs)
        steps.append((function.__name__, len(jobs)))
        return before(function, shared, jobs, n_jobs)

    before = parallel._results
    monkeypatch.setattr(BranchBank, "__reduce_ex__", reduce_ex)
    monkeypatch.setattr(parallel, "_results", results)
    grown_over_dask(alone)
    with_bank = [n for name, n in steps if name != "_cluster_branch"]
    # Twice screening, matching, screening; then also of the trunks that are there.
    assert len(with_bank) == 7
    assert sum(with_bank) >= 10
    assert len(sent) == len(with_bank)


@pytest.mark.slow
@pytest.mark.parametrize("n_job", [1, 3])
def test_a_killed_worker_changes_nothing(cluster, alone, monkeypatch, n_job):
    """Killed in the first round's screening, with jobs given out: by turns the two."""
    worker = cluster.workers[n_job // 2]
    victim, given_out = worker.pid, []

    def columns(*args):
        given_out.append(1)
        if len(given_out) == n_job:
            os.kill(victim, signal.SIGKILL)
        return input_columns(*args)

    input_columns = screening.input_columns
    monkeypatch.setattr(screening, "input_columns", columns)
    grown_over_dask(alone)
    assert len(given_out) >= n_job
