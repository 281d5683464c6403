"""Fitting curves: a convex problem, smoothed by what held-out folds choose."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

from skgrow.networks.curves import Curves
from skgrow.runtime.parallel import run_jobs
from skgrow.runtime.threads import one_blas_thread
from skgrow.training.curve_problem import (
    HUBER_DELTAS,
    STRENGTHS,
    CurveProblem,
    search_step,
)
from skgrow.training.losses import is_clear_fall

__all__ = ["LeftOut", "fit_curves"]

FIXED = 0.1  # a row's share, where there are too few rows to hold any out
MAX_ENTRIES = 2**26  # of the sparse matrix, 0.8 GiB; rows beyond that are thinned


@dataclass(frozen=True)
class LeftOut:
    """Out-of-fold scores of the curves.

    Attributes
    ----------
    step : int
        Every how many-th row was fitted, in a table too large for all.
    folds : list of ndarray
        Indices of the rows that each replica leaves out, among those fitted.
    logits : ndarray of shape (n_replicas, n_rows, n_classes)
        Of each replica for all rows that were fitted.
    """

    step: int
    folds: list
    logits: np.ndarray


@one_blas_thread
def fit_curves(
    X, y, sample_weight, categorical, loss, *, n_classes, n_replicas, seed, n_jobs=None
):
    """Curves and intercept that minimise the smoothed loss.

    The penalty is pseudo-Huber on the steps between neighbouring knots: quadratic for
    small steps and linear for large ones. Each replica leaves out a fold of the rows and
    takes the strength that predicts it best; their mean is the result, and their spread
    its standard error (the jackknife of left-out groups). All folds together choose the
    size from which a step is large (`HUBER_DELTAS`), and whether the mean of these curves
    and of curves in steps, see `SplitStep`, is better than they are. Of a large table,
    strengths are tried on some of the rows, and the best is then fitted to all: the
    penalty is one on the sum of the losses, so that it means the same for fewer rows.
    Steps are not tried there.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Numbers and codes, NaN where missing.
    y : ndarray of shape (n_samples,)
        As `loss` takes it.
    sample_weight : ndarray of shape (n_samples,)
        All positive.
    categorical : ndarray of bool of shape (n_features,)
    loss : CrossEntropy or SquaredError
    n_classes : int
    n_replicas : int
        With 1, all rows are fitted at a fixed strength, and there is no error.
    seed : int
        Of the folds.
    n_jobs : int, default=None
        Workers over replicas.

    Returns
    -------
    curves : Curves
    intercept : ndarray of shape (n_classes,)
        With a mean of 0.
    left_out : LeftOut or None
        None with one replica.
    """
    step = -(-2 * X.size // MAX_ENTRIES)
    X, y, weight = X[::step], y[::step], sample_weight[::step].astype(np.float64)
    curves = Curves.flat(X, weight, categorical, n_classes)
    problem = CurveProblem(curves, X, y, weight, categorical, loss, n_classes)
    if n_replicas == 1:
        found = np.array([problem.solve(weight, FIXED, problem.start())])
        return *problem.result(found), None
    folds = _folds(y, n_replicas, seed)
    found = np.array(_fit_folds(problem, search_step(*X.shape), folds, n_jobs))
    logits = np.array([problem.logits(point) for point in found])
    return *problem.result(found), LeftOut(step, folds, logits)


def _folds(y, n_folds, seed):
    kind = KFold
    if y.dtype.kind == "i":
        counts = np.bincount(y)
        kind = StratifiedKFold if counts[counts > 0].min() >= n_folds else KFold
    folds = kind(n_folds, shuffle=True, random_state=seed).split(y[:, None], y)
    return [held_out for _, held_out in folds]


def _fit_folds(problem, step, folds, n_jobs):
    """Parameters of each replica, with the Huber delta that all folds together choose."""
    attempts = [None] * len(folds)
    for delta in HUBER_DELTAS:
        other = problem.with_delta(delta)
        jobs = list(zip(folds, attempts, strict=True))
        tried = run_jobs(
            _try_replica, (other, step), lambda jobs=jobs: jobs, n_jobs, threads=True
        )
        if delta == HUBER_DELTAS[0] or _are_better(tried, attempts):
            problem, attempts = other, tried
    jobs = list(zip(folds, attempts, strict=True))
    if step == 1:
        tried = run_jobs(_try_steps, (problem,), lambda: jobs, n_jobs, threads=True)
        better = tried if _are_better(tried, attempts) else attempts
        return [attempt.point for attempt in better]
    return run_jobs(_fit_replica, (problem,), lambda: jobs, n_jobs, threads=True)


def _are_better(tried, attempts):
    """Whether the held-out loss is lower, by the one-standard-error rule."""
    losses = [np.concatenate([a.losses for a in some]) for some in (attempts, tried)]
    weight = np.concatenate([attempt.weight for attempt in tried])
    return is_clear_fall(losses[0] - losses[1], weight)


@one_blas_thread
def _try_replica(problem, step, held_out, before):
    """An attempt on every `step`-th row, that begins near the one before."""
    few = problem.thinned(step)
    return few.best(held_out[held_out % step == 0] // step, before)


@one_blas_thread
def _try_steps(problem, held_out, attempt):
    """The mean of an attempt and of curves in steps."""
    point = (attempt.point + problem.stepped(held_out)) / 2
    losses = problem.loss.of_rows(problem.logits(point, held_out), problem.y[held_out])
    return replace(attempt, point=point, losses=losses)


@one_blas_thread
def _fit_replica(problem, held_out, attempt):
    """Parameters for all rows but those left out."""
    strength = STRENGTHS[attempt.number] / len(problem.weight)
    return problem.solve(problem.weight_without(held_out), strength, attempt.point)
