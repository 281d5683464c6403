"""Fitting surfaces of pairs on top of curves: convex, and chosen by rows left out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from scipy import sparse
from scipy.optimize import minimize

from skgrow.networks.surfaces import Surfaces
from skgrow.runtime.parallel import run_jobs
from skgrow.runtime.threads import one_blas_thread
from skgrow.training.losses import is_clear_fall
from skgrow.training.pair_screen import residual_interactions
from skgrow.training.split_steps import (
    STEP_PATIENCE,
    QuadrantStep,
    accelerated,
    cheapest,
    mean_steps,
)
from skgrow.training.surface_mean import mean_surfaces, to_class_of

__all__ = ["fit_surfaces"]

MAX_SURFACES = 40  # a replica
COARSE, FINE = 16, 48  # bins of a column
# Strengths of smoothing, tried from the first on while the held-out loss falls.
STRENGTHS = (300.0, 170.0, 100.0, 60.0, 30.0, 17.0, 10.0, 5.0)
PATIENCE = 2  # strengths without a better held-out loss
HUBER_DELTA = (
    0.3  # logits; a larger surface is penalised in proportion and not as the square
)
RIDGE = 1.0  # on the mean square of a surface of numbers, or on that of each category
FLOOR = 1e-12  # curvature where no row is and nothing is penalised
MAX_ITER, TOLERANCE = 40, 3e-6
MAX_VALUES = 2  # a column of fewer values has none between others: it has categories
MAX_CELLS = 2**16  # of the grid of a pair, on which each of many categories has a place
MAX_ENTRIES = 2**24  # of the sparse matrix, 0.2 GiB; rows beyond that are thinned
# Rows times columns squared that a replica screens, and rows of very wide tables: as many
# replicas as there are by default cost no more than one screen of all rows.
SCREEN_PRODUCTS, SCREEN_ROWS = 2**29, 4096


@one_blas_thread
def fit_surfaces(
    X, scaler, y, sample_weight, categorical, loss, left_out, *, n_jobs=None
):
    """Surfaces of the strongest residual interactions, on top of curves.

    Each replica does all of it without the rows of its fold: it takes the curves that
    were fitted without them, screens the pairs, fits, and keeps what predicts the fold
    best, or no surface at all. The mean of the replicas is the result: a pair that few of
    them choose has small values.

    There are two ways to fit. Steps over quadrants, see `QuadrantStep`, are made with
    Nesterov's acceleration until the fold is predicted no better. Smoothed surfaces have
    a penalty, pseudo-Huber in the norm of the steps between neighbouring knots, of the
    strength that predicts the fold best: large surfaces are smoothed less than small
    ones. All folds together choose between steps, the mean of steps and of smoothed
    surfaces, and smoothed surfaces on a finer grid. That grid takes longest, and is not
    tried where steps lead smoothed surfaces by the one-standard-error rule.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Numbers and codes, NaN where missing.
    scaler : QuantileScaler
        Of these rows, for the screen.
    y : ndarray of shape (n_samples,)
        As `loss` takes it.
    sample_weight : ndarray of shape (n_samples,)
        All positive.
    categorical : ndarray of bool of shape (n_features,)
    loss : CrossEntropy or SquaredError
    left_out : LeftOut
        From `fit_curves`; its rows are every `left_out.step`-th of these.
    n_jobs : int, default=None
        Workers over replicas; the result does not depend on it.

    Returns
    -------
    surfaces : Surfaces or None
        None where no replica chooses any.
    level : ndarray of shape (n_classes,)
        What the intercept takes over; the mean of every surface is 0.
    """
    thin = -(-4 * MAX_SURFACES * left_out.logits.shape[1] // MAX_ENTRIES)
    step, n_classes = thin * left_out.step, left_out.logits.shape[2]
    rows = _Rows(
        X[::step], X[::step], y[::step], sample_weight[::step].astype(np.float64),
        categorical, loss, scaler,
    )  # fmt: skip
    folds = [fold[fold % thin == 0] // thin for fold in left_out.folds]
    jobs = list(zip(folds, left_out.logits[:, ::thin], strict=True))
    found = run_jobs(_fit_coarse, (rows,), lambda: jobs, n_jobs, threads=True)
    stepped, smoothed, mean = zip(*found, strict=True)
    ways, n_bins = [stepped, mean], [COARSE, COARSE]
    weight = rows.weight[np.concatenate(folds)]
    if not is_clear_fall(_gains(stepped, folds) - _gains(smoothed, folds), weight):
        jobs = list(zip(folds, left_out.logits[:, ::thin], smoothed, strict=True))
        fine = run_jobs(_fit_fine, (rows,), lambda: jobs, n_jobs, threads=True)
        ways, n_bins = [*ways, fine], [*n_bins, FINE]
    best = _best([_gains(way, folds) for way in ways], weight)
    if best is None:
        return None, np.zeros(n_classes, X.dtype)
    fitted = [replica for replica in ways[best] if replica.values is not None]
    return mean_surfaces(rows, fitted, len(folds), n_bins[best], n_classes)


def _gains(attempts, folds):
    """By how much the loss of each row falls, of the rows left out by each replica."""
    return np.concatenate(
        [
            np.zeros(len(fold)) if attempt.values is None else attempt.gains
            for attempt, fold in zip(attempts, folds, strict=True)
        ]
    )


def _best(gains, weight):
    """Number of the way with the lowest held-out loss, None where none lowers it.

    Steps are the first way. Another one must be better by the one-standard-error rule.
    """
    total = [np.average(one, weights=weight) for one in gains]
    best = 1 + int(np.argmax(total[1:]))
    if not is_clear_fall(gains[best] - gains[0], weight):
        best = 0
    return best if total[best] > 0 else None


@dataclass(frozen=True)
class _Rows:
    """What replicas share: rows as numbers and `codes`, and as surfaces read them.

    `X` has the codes of categories, or for a replica their positions: in the order of
    the rows that it keeps.
    """

    codes: np.ndarray
    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    categorical: np.ndarray
    loss: object
    scaler: object

    def ordered_by(self, kept):
        """The same with categories in the order that some rows give them."""
        scaler = self.scaler.with_order(self.codes[kept], self.y[kept], self.weight[kept])
        return replace(self, X=scaler.ordered(self.codes), scaler=scaler)


@dataclass(frozen=True)
class _Attempt:
    """Values for some pairs, and by how much they lower the loss of rows left out.

    `grid` has the knots of these values, with categories where `scaler` puts them. Of
    smoothed surfaces, `strength` is the number of the strength that was best.
    """

    pairs: np.ndarray
    grid: Surfaces | None = None
    scaler: object = None
    values: np.ndarray | None = None
    gains: np.ndarray | None = None
    strength: int | None = None


@one_blas_thread
def _fit_coarse(rows, fold, logits):
    """Attempts on the coarse grid: in steps, smoothed, and the mean of these."""
    kept = np.delete(np.arange(len(rows.y)), fold)
    rows = rows.ordered_by(kept)
    pairs = _screened(rows, kept, logits)
    if not len(pairs):
        return [_Attempt(pairs)] * 3
    problem = _Problem.of(rows, fold, logits, pairs, COARSE)
    stepped, smoothed = problem.stepped(), problem.smoothed()
    mean = smoothed
    if stepped.values is not None and smoothed.values is not None:
        mean = problem.mean(stepped, smoothed)
    return stepped, smoothed, mean


@one_blas_thread
def _fit_fine(rows, fold, logits, smoothed):
    """Smoothed on the fine grid, where smoothing the pairs on the coarse one gains."""
    if smoothed.values is None:
        return smoothed
    rows = rows.ordered_by(np.delete(np.arange(len(rows.y)), fold))
    problem = _Problem.of(rows, fold, logits, smoothed.pairs, FINE)
    return problem.smoothed(smoothed.strength)


def _screened(rows, kept, logits):
    """Strongest pairs of columns, for the rows at `kept`."""
    most = max(SCREEN_ROWS, SCREEN_PRODUCTS // rows.X.shape[1] ** 2)
    kept = kept[:: -(-len(kept) // most)]
    weight = rows.weight[kept]
    left = rows.loss.residual(logits[kept], rows.y[kept], weight / weight.mean())
    scaled = rows.scaler.transform(rows.codes[kept])
    pairs = np.unique(residual_interactions(scaled, left, MAX_SURFACES), axis=0)
    sides = rows.scaler.n_codes[pairs].clip(min=FINE)
    return pairs[sides.prod(axis=1) <= MAX_CELLS]


class _Problem:
    """What is minimised: the loss of the rows that are kept, and the penalty."""

    @classmethod
    def of(cls, rows, fold, logits, pairs, n_bins):
        """Of surfaces of these pairs on a grid of so many bins."""
        surfaces = Surfaces.flat(pairs, rows.X, rows.weight, logits.shape[1], n_bins)
        return cls(surfaces, rows, fold, logits)

    def __init__(self, surfaces, rows, fold, logits):
        self.surfaces, self.fold, self.logits = surfaces, fold, logits
        self.scaler = rows.scaler
        self.y, self.loss = rows.y, rows.loss
        self.losses = self.loss.of_rows(logits[fold], self.y[fold])  # without surfaces
        self.design = surfaces.design(rows.X, np.float64)
        self.weight = rows.weight[fold] / rows.weight[fold].sum()
        share = rows.weight.copy()
        share[fold] = 0
        self.share = share / share.sum()
        self.n_rows = len(share)
        self.to_class = to_class_of(logits.shape[1])
        self.penalty = _Penalty(surfaces, rows.categorical)
        hess = self.loss.residual(logits, self.y, self.share).curvature.mean(axis=1)
        self.hess = self.design.power(2).T @ hess

    def stepped(self):
        """The attempt after as many quadrant steps as are best."""
        return replace(self._best_of(self._steps(), STEP_PATIENCE), strength=None)

    def smoothed(self, first=0):
        """The attempt with the strength that is best, tried from number `first` on."""
        return self._best_of(self._strengths(first), PATIENCE)

    def _best_of(self, tried, patience):
        """The attempt that gains most; one without values where nothing gains."""
        gains = ((*one, self._gains(scores)) for *one, scores in tried)
        costs = ((-one[-1] @ self.weight, *one) for one in gains)
        _, number, *best = cheapest(chain([(0.0, None, None, None)], costs), patience)
        return self._attempt(*best, number)

    def _strengths(self, first):
        """Number, values and scores of the fold for one strength after the other."""
        values = np.zeros((len(self.hess), len(self.to_class)))
        held_out = self.design[self.fold]
        for number in range(first, len(STRENGTHS)):
            values = self._solve(STRENGTHS[number] / self.n_rows, values)
            yield number, values, held_out @ values

    def _steps(self):
        """Number, values and scores of the fold for one step after the other."""
        steps = [QuadrantStep(self.surfaces)] * len(self.to_class)
        start = np.zeros((len(self.hess), len(self.to_class)))
        path = accelerated(lambda scores: self._step(steps, scores), self.design, start)
        for number, (values, scores) in enumerate(path):
            yield number, values, scores[self.fold]

    def _step(self, steps, scores):
        """A step of every value, from where rows have these scores."""
        share = self.share * (self.n_rows - len(self.fold))
        left = self.loss.residual(self.logits + scores @ self.to_class, self.y, share)
        return mean_steps(steps, left.sums(self.design, len(self.to_class)))

    def mean(self, *attempts):
        """The attempt with the mean values of some."""
        values = np.mean([attempt.values for attempt in attempts], axis=0)
        gains = self._gains(self.design[self.fold] @ values)
        return self._attempt(values, gains)

    def _attempt(self, values, gains, strength=None):
        surfaces = self.surfaces
        return _Attempt(surfaces.pairs, surfaces, self.scaler, values, gains, strength)

    def _gains(self, scores):
        """By how much such scores lower the loss of each row of the fold."""
        logits = self.logits[self.fold] + scores @ self.to_class
        return self.losses - self.loss.of_rows(logits, self.y[self.fold])

    def _solve(self, strength, start):
        hess = self.hess + strength * self.penalty.diagonal(start) + FLOOR
        unit = 1 / np.sqrt(hess)[:, None]

        def objective(scaled):
            values = scaled.reshape(start.shape) * unit
            logits = self.logits + self.design @ values @ self.to_class
            total, grad = self.loss.value_and_grad(logits, self.y, self.share)
            cost, pull = self.penalty.value_and_grad(values)
            grad = self.design.T @ (grad @ self.to_class.T) + strength * pull
            return total + strength * cost, (grad * unit).ravel()

        found = minimize(
            objective, (start / unit).ravel(), jac=True, method="L-BFGS-B",
            options={"maxiter": MAX_ITER, "ftol": TOLERANCE},
        )  # fmt: skip
        return found.x.reshape(start.shape) * unit


class _Penalty:
    """Pseudo-Huber in the norm of each surface, which its steps and its size make up."""

    def __init__(self, surfaces, categorical):
        self.n_surfaces = len(surfaces)
        self.owner = np.repeat(np.arange(len(surfaces)), np.diff(surfaces.begin))
        first, second, ridge = [], [], []
        for number, (pair, begin) in enumerate(
            zip(surfaces.pairs, surfaces.begin, strict=False)
        ):
            grid = begin + np.arange(np.prod(surfaces.grid(number)))
            grid = grid.reshape(surfaces.grid(number))
            weights = []
            for column, points in zip(pair, (grid, grid.T), strict=True):
                n_values = len(points) - 1
                is_ordered = n_values > MAX_VALUES and not categorical[column]
                if is_ordered:
                    first.append(points[:-2].ravel())
                    second.append(points[1:-1].ravel())
                each = np.full(n_values, 1 / n_values if is_ordered else 1.0)
                weights.append(np.append(each, 1.0))
            ridge.append(np.outer(*weights).ravel())
        none = np.zeros(0, dtype=np.int64)
        first, second = (np.concatenate([none, *part]) for part in (first, second))
        self.ridge = RIDGE * np.concatenate(ridge)
        self.step_owner = self.owner[first]
        each, ones = np.arange(len(first)), np.ones(len(first))
        entries = np.concatenate([-ones, ones])
        where = np.tile(each, 2), np.concatenate([first, second])
        shape = (len(first), len(self.owner))
        self.steps = sparse.coo_array((entries, where), shape=shape).tocsr()

    def value_and_grad(self, values):
        """Penalty of the values `(n_points, n_values)`, and its gradient."""
        steps = self.steps @ values
        norm = self._norm(steps, values)
        pull = self.steps.T @ (steps / norm[self.step_owner, None])
        pull += (self.ridge / norm[self.owner])[:, None] * values
        return HUBER_DELTA**2 * float((norm - 1).sum()), pull

    def diagonal(self, values):
        """Diagonal of the second derivatives, less what is of the norm, `(n_points,)`."""
        norm = self._norm(self.steps @ values, values)
        hess = abs(self.steps).T @ np.ones(self.steps.shape[0]) + self.ridge
        return hess / norm[self.owner]

    def _norm(self, steps, values):
        ridge = self.ridge * (values**2).sum(axis=1)
        size = np.bincount(self.owner, ridge, self.n_surfaces)
        if len(steps):
            size += np.bincount(self.step_owner, (steps**2).sum(axis=1), self.n_surfaces)
        return np.sqrt(1 + size / HUBER_DELTA**2)
