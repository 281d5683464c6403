"""Thread counts: in a forked process, and where short products would wait for threads."""

from __future__ import annotations

import os

import torch
from threadpoolctl import threadpool_limits

__all__ = ["make_threads_safe", "one_blas_thread"]

# For functions of many short products of vectors in numpy and scipy, as L-BFGS has them:
# waking a second thread takes longer, and it spins where torch's threads want to work.
# Both a job and its caller need it, lest jobs in threads restore what others still hold.
one_blas_thread = threadpool_limits.wrap(limits=1, user_api="blas")

_process = os.getpid()


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
