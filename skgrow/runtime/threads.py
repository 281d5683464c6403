"""Thread counts: in a forked process, and where short products would wait for threads."""

from __future__ import annotations

import os
from contextlib import ContextDecorator, contextmanager
from threading import Lock

import torch
from threadpoolctl import threadpool_limits

__all__ = ["make_threads_safe", "one_blas_thread", "torch_threads"]

_process = os.getpid()


class _OneBlasThread(ContextDecorator):
    """For functions of many short products of vectors in numpy and scipy.

    L-BFGS has them: waking a second thread takes longer, and it spins on a core that
    torch's threads need. The count of BLAS is one for the process: the first of several
    threads that ask for it saves and sets it, and the last one restores it.
    """

    def __init__(self):
        self.lock, self._n_holders, self._limits = Lock(), 0, None

    def __enter__(self):
        with self.lock:
            if not self._n_holders:
                self._limits = threadpool_limits(1, user_api="blas")
            self._n_holders += 1

    def __exit__(self, *error):
        with self.lock:
            self._n_holders -= 1
            if not self._n_holders:
                self._limits.restore_original_limits()


class _TorchThreads:
    """torch's threads, and how workers that are threads themselves share them out.

    Whoever shares them out while others do would save a count that is lowered already:
    the one of before the first is kept until the last is done.
    """

    def __init__(self):
        self.lock, self._n_holders, self._before = Lock(), 0, None

    def count(self):
        """Threads that torch has where they are not shared out."""
        with self.lock:
            return self._before if self._n_holders else torch.get_num_threads()

    @contextmanager
    def shared_out(self, n_workers):
        """Leave each of so many workers its share."""
        with self.lock:
            if not self._n_holders:
                self._before = torch.get_num_threads()
            self._n_holders += 1
            n_threads = self._before
            torch.set_num_threads(max(1, n_threads // n_workers))
        try:
            yield
        finally:
            with self.lock:
                self._n_holders -= 1
                # Also while others share them out: torch counts for each thread too.
                torch.set_num_threads(n_threads)


one_blas_thread = _OneBlasThread()
torch_threads = _TorchThreads()


def _new_locks():
    """In a fork: the thread that holds a lock is not there to give it back."""
    one_blas_thread.lock, torch_threads.lock = Lock(), Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which knows no forks
    os.register_at_fork(after_in_child=_new_locks)


def make_threads_safe():
    """Compute with one thread from here on, if this process is a fork of another.

    A fork copies no threads, and GNU's OpenMP, which torch and scikit-learn use on
    Linux, waits for ever for those that it had started before. joblib's own workers
    ("loky"), threads and the processes of dask are no forks and keep what they have.
    """
    global _process
    if os.getpid() != _process:
        _process = os.getpid()
        torch.set_num_threads(1)  # MKL's too, which count apart
        threadpool_limits(1, user_api="openmp")  # scikit-learn may have a copy of its own
