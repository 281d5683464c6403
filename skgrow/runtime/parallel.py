"""Jobs of the search, given to workers by joblib: processes, threads or machines."""

from __future__ import annotations

import asyncio
from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import contextmanager
from time import sleep

from joblib import effective_n_jobs, parallel_config
from joblib.parallel import get_active_backend
from sklearn.utils.parallel import Parallel, delayed

from skgrow.runtime.threads import make_threads_safe, torch_threads

__all__ = ["run_jobs"]

# What is raised where a worker took a job, or the arrays of a job, along when it died.
LOST = (asyncio.CancelledError, CancelledError, BrokenExecutor, TimeoutError)
MAX_TRIES = 4
PAUSE = 1.0  # seconds before the next try: the cluster must notice, and start others


def run_jobs(function, shared, jobs, n_jobs=None, *, threads=False):
    """Results of `function(*shared, *job)` for every job, in order.

    A step whose workers died is begun again, so `function` must be pure. It may use
    joblib itself, but gets no other worker by that.

    Parameters
    ----------
    function : callable
        Of a module, so that workers can import it.
    shared : tuple
        What all jobs read. dask sends it to each worker once and not with each job;
        joblib's own processes share the memory of its large arrays.
    jobs : callable
        Returns an iterable of tuples, one a job; called again where workers were lost.
    n_jobs : int, default=None
        Workers; the results do not depend on it.
    threads : bool, default=False
        Whether threads of this process share the jobs where no other workers are asked
        for, as many as torch has. For jobs in which numpy and scipy do most, since these
        let other threads run.

    Returns
    -------
    results : list

    Raises
    ------
    RuntimeError
        If workers were lost in each of four tries.

    Examples
    --------
    >>> from skgrow.runtime.parallel import run_jobs
    >>> run_jobs(pow, (2,), lambda: ((i,) for i in range(4)))
    [1, 2, 4, 8]
    """
    for n_tries in range(MAX_TRIES):
        try:
            with _own_threads(n_jobs, threads) as n_workers:
                return _results(function, shared, jobs(), n_workers)
        except LOST as error:
            lost = error
        if n_tries < MAX_TRIES - 1:
            sleep(PAUSE)
    raise RuntimeError(
        f"Workers were lost in each of {MAX_TRIES} tries of one step of the search, last "
        f"with {lost!r}. The usual reason is memory: lower search_rows, take fewer "
        "workers on each machine, or look into the logs of the workers."
    ) from lost


def _results(function, shared, jobs, n_jobs):
    source = _sent(shared)
    with _threads_shared_out(n_jobs):
        # One job a batch: a larger one would be too much for a single message.
        return Parallel(n_jobs=n_jobs, batch_size=1)(
            # A tuple, since joblib would look into arrays and send them on its own;
            # what it sends so is lost with the worker, and then it waits for ever.
            delayed(_run)(function, source, job)
            for job in jobs
        )


def _sent(shared):
    """What a job gets of `shared`: with dask a future of it, which is then sent once."""
    client = getattr(get_active_backend()[0], "client", None)
    if client is None:
        return shared
    try:
        return client.scatter([shared], hash=False)[0]
    except OSError as error:  # the way to a worker that has just died
        raise CancelledError(str(error)) from error


def _run(function, source, job):
    """One job, on a worker."""
    make_threads_safe()
    # A future is still one where joblib found a single worker and came back here.
    shared = source if isinstance(source, tuple) else source.result()
    # dask would give inner loops, also those of n_jobs=1, to all its workers again.
    with parallel_config(backend="sequential"):
        return function(*shared, *job)


@contextmanager
def _own_threads(n_jobs, wanted):
    """How many workers: `n_jobs`, or where that is one and it is wanted, threads."""
    n_threads = torch_threads.count()
    if not wanted or n_threads == 1 or effective_n_jobs(n_jobs) > 1:
        yield n_jobs
        return
    with parallel_config(backend="threading"):
        yield n_threads


@contextmanager
def _threads_shared_out(n_jobs):
    """Where workers are threads of this process, each gets its share of the cores.

    Other workers have torch's threads set by joblib or dask.
    """
    n_workers = effective_n_jobs(n_jobs)
    backend = get_active_backend()[0]
    if n_workers == 1 or not getattr(backend, "supports_sharedmem", False):
        yield
        return
    with torch_threads.shared_out(n_workers):
        yield
