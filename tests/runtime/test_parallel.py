"""Jobs and their workers: the order, the threads, and workers that die."""

import asyncio
import os
import signal
import threading
from concurrent.futures import CancelledError

import joblib
import pytest
import torch
from joblib.externals.loky import get_reusable_executor
from sklearn.utils.parallel import Parallel, delayed
from threadpoolctl import ThreadpoolController, threadpool_limits

from skgrow.runtime import parallel
from skgrow.runtime.parallel import run_jobs
from skgrow.runtime.threads import one_blas_thread, torch_threads


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(parallel, "PAUSE", 0.0)


def numbers(n):
    return lambda: ((i,) for i in range(n))


@pytest.mark.parametrize("backend", ["sequential", "threading", "loky"])
def test_results_come_in_the_order_of_the_jobs(backend):
    with joblib.parallel_config(backend=backend):
        assert run_jobs(pow, (2,), numbers(9), n_jobs=2) == [2**i for i in range(9)]
        assert run_jobs(pow, (2,), numbers(0), n_jobs=2) == []


def _n_threads(job):
    return torch.get_num_threads()


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_workers_take_no_more_threads_than_there_are_cores(backend):
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        with joblib.parallel_config(backend=backend):
            found = run_jobs(_n_threads, (), numbers(4), n_jobs=2)
        most = 4 if backend == "threading" else os.cpu_count()
        assert len(found) == 4
        assert all(2 * n <= max(2, most) for n in found)
        assert run_jobs(_n_threads, (), numbers(2), n_jobs=1) == [4, 4]
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def _thread_and_its_share(job):
    return threading.get_ident(), torch.get_num_threads()


@pytest.mark.parametrize("n_jobs", [None, 1])
def test_threads_share_the_jobs_where_no_workers_are_asked_for(n_jobs):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = run_jobs(_thread_and_its_share, (), numbers(9), n_jobs, threads=True)
        alone = run_jobs(_thread_and_its_share, (), numbers(9), n_jobs)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    here = threading.get_ident()
    assert all(thread != here and n_threads == 1 for thread, n_threads in found)
    assert alone == [(here, 2)] * 9


def test_workers_that_are_asked_for_are_no_threads():
    pids = run_jobs(_pid, (), numbers(4), n_jobs=2, threads=True)
    assert os.getpid() not in pids


def _pid(job):
    return os.getpid()


def test_one_thread_stays_one():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = run_jobs(_thread_and_its_share, (), numbers(3), threads=True)
    finally:
        torch.set_num_threads(before)
    assert found == [(threading.get_ident(), 1)] * 3


def _n_blas_threads():
    pools = ThreadpoolController().select(user_api="blas").info()
    return max((pool["num_threads"] for pool in pools), default=1)


@one_blas_thread
def _n_blas_threads_of_job(job):
    return _n_blas_threads()


@pytest.mark.parametrize("backend", ["sequential", "threading", "loky"])
def test_short_products_have_one_thread_and_the_count_is_restored(backend):
    with threadpool_limits(2, user_api="blas"):
        before = _n_blas_threads()
        with joblib.parallel_config(backend=backend), one_blas_thread:
            assert run_jobs(_n_blas_threads_of_job, (), numbers(4), n_jobs=2) == [1] * 4
        assert _n_blas_threads() == before
        with pytest.raises(ValueError, match="job 3"):
            one_blas_thread(_fails)(3)
        assert _n_blas_threads() == before


def _fails(job):
    raise ValueError(f"job {job}")


def test_a_job_that_fails_gives_the_threads_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with (
            joblib.parallel_config(backend="threading"),
            pytest.raises(ValueError, match="job"),
        ):
            run_jobs(_fails, (), numbers(2), n_jobs=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def _inner_backend(job):
    with joblib.parallel_config(n_jobs=2):
        return Parallel()(delayed(os.getpid)() for _ in range(2)) == 2 * [os.getpid()]


def test_a_job_gets_no_workers_of_its_own():
    assert run_jobs(_inner_backend, (), numbers(2), n_jobs=1) == [True, True]


def _dies_once(marker, job):
    """The process that comes first to the second job is killed."""
    if job == 1:
        try:
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return job
        os.kill(os.getpid(), signal.SIGKILL)
    return job


@pytest.mark.slow
def test_a_killed_process_changes_nothing(tmp_path):
    with joblib.parallel_config(backend="loky"):
        found = run_jobs(_dies_once, (str(tmp_path / "died"),), numbers(5), n_jobs=2)
    assert (tmp_path / "died").exists()
    assert found == list(range(5))
    get_reusable_executor().shutdown()


@pytest.mark.parametrize("error", [CancelledError, asyncio.CancelledError, TimeoutError])
def test_lost_workers_are_tried_again_and_then_reported(error, monkeypatch):
    calls = []

    def lost(*args):
        calls.append(1)
        if len(calls) % 4:  # lost three times, then found
            raise error("gone")
        return ["found"]

    monkeypatch.setattr(parallel, "_results", lost)
    assert run_jobs(pow, (2,), numbers(1)) == ["found"]
    monkeypatch.setattr(parallel, "MAX_TRIES", 3)
    with pytest.raises(RuntimeError, match=r"lost in each of 3 tries .*gone"):
        run_jobs(pow, (2,), numbers(1))
    assert len(calls) == 7


def test_an_error_of_a_job_is_not_tried_again():
    calls = []

    def jobs():
        calls.append(1)
        return [(1,)]

    with pytest.raises(ValueError, match="job 1"):
        run_jobs(_fails, (), jobs)
    assert calls == [1]


def overlapping(first, second):
    """Enter two contexts, and leave the first one before the second, each in a thread."""
    entered, left = threading.Event(), threading.Event()

    def begins_first():
        with first:
            entered.set()
            assert both.wait(60)
        left.set()

    both, thread = threading.Event(), threading.Thread(target=begins_first)
    thread.start()
    assert entered.wait(60)
    with second:
        both.set()
        assert left.wait(60)
    thread.join()


def test_jobs_that_overlap_give_the_threads_of_blas_back():
    with threadpool_limits(2, user_api="blas"):
        before = _n_blas_threads()
        overlapping(one_blas_thread, one_blas_thread)
        assert _n_blas_threads() == before


def test_jobs_that_overlap_give_the_threads_of_torch_back():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    found = []
    try:
        overlapping(torch_threads.shared_out(2), torch_threads.shared_out(2))
        for _ in range(2):  # also in threads that start later
            thread = threading.Thread(target=lambda: found.append(_n_threads(0)))
            thread.start()
            thread.join()
        assert [_n_threads(0), *found] == [4, 4, 4]
    finally:
        torch.set_num_threads(before)
