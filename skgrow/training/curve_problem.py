"""The convex problem of the curves: its objective, its penalties and its solution."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.optimize import minimize

from skgrow.inputs.category_order import FEW_CATEGORIES, reliability
from skgrow.training.band_preconditioner import BandedScale
from skgrow.training.split_steps import (
    STEP_PATIENCE,
    SplitStep,
    accelerated,
    cheapest,
    mean_steps,
)

__all__ = ["Attempt", "CurveProblem", "search_step"]

# Strengths of smoothing, tried from the first on while the held-out loss falls.
STRENGTHS = (300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3)
# In logits: larger steps cost in proportion, so that jumps stay possible. They cost the
# same with either delta, and small steps more with the second: curves with cliffs.
HUBER_DELTAS = (0.1, 0.01)
LEAST_VARIANCE = 1e-6  # between categories, in squared logits
RIDGE = 0.2  # on values that have no neighbours: categories and missing values
PATIENCE = 2  # strengths without a better held-out loss
FLOOR = 1e-6  # of the strength: curvature where no row with a weight is
MAX_ITER = 100
TOLERANCE = 1e-7  # a step that gains less than this share of the loss is the last
SEARCH_ENTRIES = 2**22  # of the rows that a strength is chosen on, and at least
SEARCH_ROWS = 4096
MAX_VALUES = 2  # a column of fewer values has none between others: it has categories


@dataclass(frozen=True)
class Attempt:
    """The best of `STRENGTHS` for a replica, by its number, and what it led to."""

    number: int
    point: np.ndarray
    losses: np.ndarray  # of the rows left out
    weight: np.ndarray


def search_step(n_rows, n_columns):
    """Every how many-th row strengths are tried on."""
    wanted = -(-2 * n_rows * n_columns // SEARCH_ENTRIES)
    return max(1, min(wanted, n_rows // SEARCH_ROWS))


class CurveProblem:
    """What is minimised, over a vector of intercepts and then the values.

    Of two classes only the difference matters: there is one value a knot then, and half
    of it goes to either class.
    """

    def __init__(self, curves, X, y, weight, categorical, loss, n_classes):
        self.curves, self.y, self.weight, self.loss = curves, y, weight, loss
        self.design = curves.design(X, np.float64)
        self.categorical = categorical
        self.steps, self.is_step = _penalised(curves, categorical)
        self.many = {
            j: _ridge_of(curves, j, self.steps) for j in _many(curves, categorical)
        }
        two = np.array([[-0.5, 0.5]])
        self.to_class = two if n_classes == 2 else np.eye(n_classes)
        self.delta = HUBER_DELTAS[0]

    def with_delta(self, delta):
        """The same with another Huber delta of the penalty."""
        other = copy(self)
        other.delta = delta
        return other

    def thinned(self, step):
        """The same of every `step`-th row."""
        few = copy(self)
        few.design = self.design[::step]
        few.y, few.weight = self.y[::step], self.weight[::step]
        return few

    def start(self):
        """Parameters of 0."""
        return np.zeros((1 + len(self.curves.knots)) * len(self.to_class))

    def solve(self, weight, strength, start):
        """Parameters that minimise the smoothed loss of weighted rows, by L-BFGS-B."""
        share = weight / weight.sum()
        ridge = self._ridge(share, strength)
        scale = BandedScale(self._hessian(share, strength, ridge, start))

        def objective(scaled):
            point = scale.point(scaled)
            total, gradient = self._objective(point, share, strength, ridge)
            return total, scale.grad(gradient)

        found = minimize(
            objective, scale.scaled(start), jac=True, method="L-BFGS-B",
            options={"maxiter": MAX_ITER, "maxcor": 20, "ftol": TOLERANCE},
        )  # fmt: skip
        return scale.point(found.x)

    def weight_without(self, held_out):
        """Weights of the rows, 0 for those left out."""
        weight = self.weight.copy()
        weight[held_out] = 0
        return weight

    def best(self, held_out, before=None):
        """Attempt with the strength that predicts the rows left out best.

        Strengths are tried from the first on, or from the neighbour of the best before.
        """
        share = self.weight[held_out]
        tried = self._strengths(held_out, before)
        _, *best = cheapest(((one[-1] @ share, *one) for one in tried), PATIENCE)
        return Attempt(*best, share)

    def _strengths(self, held_out, before):
        """Number, parameters and losses of the rows left out, for ever weaker ones."""
        weight = self.weight_without(held_out)
        first = 0 if before is None else max(before.number - 1, 0)
        point = self.start() if before is None else before.point
        for number in range(first, len(STRENGTHS)):
            point = self.solve(weight, STRENGTHS[number] / len(weight), point)
            logits = self.logits(point, held_out)
            yield number, point, self.loss.of_rows(logits, self.y[held_out])

    def stepped(self, held_out):
        """Parameters after as many split steps as predict the rows left out best."""
        share, y = self.weight[held_out], self.y[held_out]
        tried = (
            (self.loss.of_rows(scores[held_out] @ self.to_class, y) @ share, values)
            for values, scores in self._steps(held_out)
        )
        _, values = cheapest(tried, STEP_PATIENCE)
        return np.vstack([np.zeros(len(self.to_class)), values]).ravel()

    def _steps(self, held_out):
        """Values and scores of all rows after one step more at a time."""
        weight = self.weight_without(held_out)
        weight *= (len(weight) - len(held_out)) / weight.sum()
        n_values = len(self.to_class)

        def sums(scores):
            left = self.loss.residual(scores @ self.to_class, self.y, weight)
            return left.sums(self.design, n_values)

        none = np.zeros((len(self.curves.knots), n_values))
        rate = np.ones(len(self.curves))
        for column, (share, _) in self._spreads(weight).items():
            rate[column] = share
        steps = [
            SplitStep(self.curves, self.categorical, *one, rate)
            for one in zip(*(part.T for part in sums(self.design @ none)), strict=True)
        ]
        return accelerated(lambda at: mean_steps(steps, sums(at)), self.design, none)

    def logits(self, point, rows=slice(None)):
        """Logits `(n_rows, n_classes)` of some rows."""
        level, values = self._parts(point)
        return (self.design[rows] @ values + level) @ self.to_class

    def result(self, found):
        """Curves and intercept from the parameters of all replicas."""
        parts = [self._parts(point) for point in found]
        values = np.array([values @ self.to_class for _, values in parts])
        level = np.mean([level @ self.to_class for level, _ in parts], axis=0)
        values, means = self._centred(values)
        error = np.full_like(values[0], np.nan)
        if len(found) > 1:
            error = np.sqrt((len(found) - 1) * values.var(axis=0))
        dtype = self.curves.values.dtype
        level = level + means
        curves = replace(
            self.curves,
            values=values.mean(axis=0).astype(dtype),
            error=error.astype(dtype),
        )
        return curves, (level - level.mean()).astype(dtype)

    def _centred(self, values):
        """Values whose mean over the rows is 0 in each column, and what was taken."""
        mass = self.design.T @ (self.weight / self.weight.sum())  # (n_points,)
        total = 0
        for j in range(len(self.curves)):
            own = self.curves.points(j)
            share = mass[own] / mass[own].sum()
            mean = np.tensordot(values[:, own], share, axes=(1, 0))  # (n_replicas, K)
            if not share[-1]:  # no gap was seen: it is the median, or the mean category
                middle = own.start + np.searchsorted(share.cumsum(), 0.5)
                is_code = self.categorical[j]
                values[:, own.stop - 1] = mean if is_code else values[:, middle]
            values[:, own] -= mean[:, None]
            total = total + mean.mean(axis=0)
        return values, total

    def _parts(self, point):
        level, values = np.split(point.reshape(-1, len(self.to_class)), [1])
        return level[0], values

    def _ridge(self, share, strength):
        """Penalty of what has no neighbours, in units of the strength, `(n_steps,)`.

        Many categories have a variance of their own, estimated from these rows (empirical
        Bayes, `reliability`): the more of their spread is noise, the more they shrink.
        """
        ridge = np.full(len(self.is_step), RIDGE)
        n_rows = np.count_nonzero(share)
        for column, (_, variance) in self._spreads(n_rows * share).items():
            least = 1 / max(variance, LEAST_VARIANCE) / n_rows / strength
            ridge[self.many[column]] = max(RIDGE, least)
        return ridge

    def _spreads(self, weight):
        """`reliability` of the columns of many categories, by column."""
        if not self.many:
            return {}
        level = self.loss.constant(self.y, weight, len(self.to_class[0]))
        logits = np.broadcast_to(level, (len(self.y), len(level)))
        left = self.loss.residual(logits, self.y, weight)
        sums = left.sums(self.design, len(self.to_class))
        codes = [slice(*self.curves.start[j : j + 2] - [0, 1]) for j in self.many]
        return {
            j: reliability(*(part[own] for part in sums))
            for j, own in zip(self.many, codes, strict=True)
        }

    def _objective(self, point, share, strength, ridge):
        level, values = self._parts(point)
        logits = (self.design @ values + level) @ self.to_class
        total, grad = self.loss.value_and_grad(logits, self.y, share)
        grad = grad @ self.to_class.T
        cost, step_grad = self._penalty(values, ridge)
        gradient = self.design.T @ grad + strength * (self.steps.T @ step_grad)
        gradient = np.vstack([grad.sum(axis=0), gradient])
        return total + strength * cost, gradient.ravel()

    def _hessian(self, share, strength, ridge, point):
        """Diagonals of the second derivatives, without those between columns.

        Main and first lower diagonal `(2, 1 + n_points)`, mean over the values of a knot.
        Neighbouring knots share rows and a penalty; they are what is ill-conditioned.
        """
        level, values = self._parts(point)
        step = search_step(len(self.y), len(self.curves))
        design, y, share = self.design[::step], self.y[::step], step * share[::step]
        logits = (design @ values + level) @ self.to_class
        hess = self.loss.residual(logits, y, share).curvature.mean(axis=1)
        low, high = design.data.reshape(-1, 2).T  # (n_rows * n_columns,)
        product = low * high * np.repeat(hess, len(self.curves))
        below = np.bincount(design.indices[::2], product, len(values))
        steps = np.sqrt(1 + (self.steps @ values / self.delta) ** 2).mean(axis=1)
        hess_steps = HUBER_DELTAS[0] / self.delta / steps
        weight = strength * np.where(self.is_step, hess_steps, ridge)
        penalty = self.steps.T @ self.steps.multiply(weight[:, None])
        below[:-1] += penalty.diagonal(-1)
        main = design.power(2).T @ hess + penalty.diagonal()
        main = np.append(hess.sum(), main) + FLOOR * strength
        return np.array([main, np.append(0, below)])

    def _penalty(self, values, ridge):
        """Penalty of the values, and its gradient for every step."""
        steps, ridge = self.steps @ values, ridge[:, None]
        root = np.sqrt(1 + (steps / self.delta) ** 2)
        is_step = self.is_step[:, None]
        huber = HUBER_DELTAS[0] * self.delta * (root - 1)
        cost = np.where(is_step, huber, ridge / 2 * steps**2)
        grad = HUBER_DELTAS[0] / self.delta * steps / root
        return cost.sum(), np.where(is_step, grad, ridge * steps)


def _many(curves, categorical):
    """Columns of more than a few categories."""
    n_values = np.diff(curves.start) - 1  # the last place is that of gaps
    return np.flatnonzero(categorical & (n_values > FEW_CATEGORIES))


def _ridge_of(curves, column, steps):
    """Rows of `steps` that penalise the categories of a column."""
    own = np.arange(*curves.start[column : column + 2])[:-1]  # the last is that of gaps
    return np.flatnonzero(np.isin(steps.indices[steps.indptr[:-1]], own))


def _penalised(curves, categorical):
    """Matrix of what is penalised, and which of it are steps between neighbours."""
    first, second, is_step = [], [], []
    for j, is_codes in enumerate(categorical):
        own = np.arange(len(curves.knots))[curves.points(j)]
        n_values = len(own) - 1
        if not is_codes and n_values > MAX_VALUES:
            first += [*own[:-2]]
            second += [*own[1:-1]]
            is_step += [True] * (n_values - 1)
            own = own[-1:]
        first += [*own]
        second += [-1] * len(own)
        is_step += [False] * len(own)
    rows, sign = np.arange(len(first)), np.where(is_step, -1.0, 1.0)
    ahead = np.flatnonzero(is_step)
    entries = np.concatenate([sign, np.ones(len(ahead))])
    where = (np.append(rows, ahead), np.append(first, np.array(second)[ahead]))
    shape = (len(first), len(curves.knots))
    matrix = sparse.coo_array((entries, where), shape=shape).tocsr()
    return matrix, np.array(is_step)
