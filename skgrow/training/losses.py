"""Losses, their gradient and Hessian with respect to the scores, and when one is lower.

A network has an output for each class. A regressor has two, "down" and "up", and
predicts the second less the first: everything else in growth is the same for both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import log_softmax, softmax

__all__ = [
    "CROSS_ENTROPY",
    "CrossEntropy",
    "SQUARED_ERROR",
    "SQUARED_OUTPUT_ERROR",
    "Residual",
    "SquaredError",
    "SquaredOutputError",
    "is_clear_fall",
    "mean_and_error",
]


def mean_and_error(falls, sample_weight):
    """Weighted mean of paired per-row loss reductions, and its standard error.

    Parameters
    ----------
    falls : ndarray of shape (n_rows,)
        Loss of each row with one model, less its loss with another.
    sample_weight : ndarray of shape (n_rows,)
        Not negative, and not all 0.

    Returns
    -------
    mean : float
        In the unit of the losses: nats of a classifier.
    error : float
        `sqrt(sum_j s_j^2 (falls_j - mean)^2) / sum_j s_j`, in the same unit.

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow.training.losses import mean_and_error
    >>> mean_and_error(np.array([1.0, 1, 3, 3]), np.ones(4))
    (2.0, 0.5)
    """
    mean = np.average(falls, weights=sample_weight)
    left = sample_weight * (falls - mean)
    return float(mean), float(np.linalg.norm(left) / sample_weight.sum())


def is_clear_fall(falls, sample_weight, n_errors=1.0, tol=0.0):
    """Whether a loss falls by more than chance: the one-standard-error rule.

    Parameters
    ----------
    falls, sample_weight : ndarray of shape (n_rows,)
        As `mean_and_error` takes them.
    n_errors : float, default=1.0
        Standard errors that the mean fall must exceed.
    tol : float, default=0.0
        What it must exceed besides.

    Returns
    -------
    is_clear : bool

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow.training.losses import is_clear_fall
    >>> falls = np.array([1.0, 1, 3, 3])    # 2.0 in the mean, with an error of 0.5
    >>> is_clear_fall(falls, np.ones(4)), is_clear_fall(falls, np.ones(4), n_errors=4)
    (True, False)
    """
    mean, error = mean_and_error(falls, sample_weight)
    return mean > max(tol, n_errors * error)


@dataclass(frozen=True)
class Residual:
    """Negative gradient and Hessian of the loss with respect to the scores, by row.

    Attributes
    ----------
    gradient : ndarray of shape (n_rows, n_classes)
        The row weights of condition (9) in their gradient form, from (5) and (6):
        `w_jt = s_j (1[y_j = t] - p_jt)`, `p` being the softmax of the scores and `s` the
        sample weight. Positive where class `t` should rise.
    curvature : ndarray of shape (n_rows, n_classes)
        Diagonal of the Hessian, `s_j p_jt (1 - p_jt)`.
    membership : ndarray of shape (n_rows, n_classes)
        `s_j 1[y_j = t]`.
    """

    gradient: np.ndarray
    curvature: np.ndarray
    membership: np.ndarray

    def __len__(self):
        return len(self.gradient)

    def sums(self, design, n_values):
        """Gradients and curvatures at each point of a design, `(n_points, n_values)`.

        One value a point is that of the second of two classes.
        """
        parts = self.gradient[:, -n_values:], self.curvature[:, -n_values:]
        sums = design.T @ np.column_stack(parts)  # read once for both
        return sums[:, :n_values], sums[:, n_values:]

    def take(self, rows):
        """The residual of the rows at `rows`."""
        return Residual(self.gradient[rows], self.curvature[rows], self.membership[rows])

    def astype(self, dtype):
        """The same in another precision."""
        parts = self.gradient, self.curvature, self.membership
        return Residual(*(part.astype(dtype, copy=False) for part in parts))

    @property
    def classes(self):
        """Class number of each row."""
        return self.membership.argmax(axis=1)


@dataclass(frozen=True)
class CrossEntropy:
    """Loss of a classifier, in nats; `y` holds class numbers."""

    score_name = "accuracy"

    def residual(self, logits, y, sample_weight):
        """The `Residual` of rows with these scores `(n_rows, n_classes)`."""
        proba = softmax(logits, axis=1)
        weight = sample_weight.astype(logits.dtype)[:, None]
        membership = np.zeros_like(logits)
        membership[np.arange(len(y)), y] = sample_weight
        gradient = membership - weight * proba
        return Residual(gradient, weight * proba * (1 - proba), membership)

    def constant(self, y, sample_weight, n_outputs):
        """The constant scores `(n_outputs,)` of the lowest loss."""
        mass = np.bincount(y, weights=sample_weight, minlength=n_outputs)
        return np.log(np.maximum(mass / mass.sum(), np.finfo(np.float64).tiny))

    def of_rows(self, logits, y):
        """Loss of each row, `(n_rows,)`."""
        return -log_softmax(logits, axis=1)[np.arange(len(y)), y]

    def value_and_grad(self, logits, y, share):
        """Loss of rows that weigh `share`, and its gradient `(n_rows, n_classes)`."""
        if logits.shape[1] == 2:
            return _of_two_classes(logits, y, share)
        log_proba = log_softmax(logits, axis=1)
        rows = np.arange(len(y))
        value = -float(share @ log_proba[rows, y])
        grad = np.exp(log_proba)
        grad[rows, y] -= 1
        return value, grad * share[:, None]

    def of_tensors(self, logits, y):
        """As `of_rows`, of Tensors."""
        return torch.nn.functional.cross_entropy(logits, y, reduction="none")

    def grad_by_class(self, logits, y):
        """Loss and its gradient, of Tensors with the classes first; overwrites `logits`.

        Parameters
        ----------
        logits : Tensor of shape (n_classes, n_rows)
        y : Tensor of shape (n_rows,)

        Returns
        -------
        losses : Tensor of shape (n_rows,)
        grad : Tensor of shape (n_classes, n_rows)
            Of the loss of each row, with respect to its scores.
        """
        log_proba = logits.log_softmax(dim=0)
        losses = -log_proba.gather(0, y[None])[0]
        grad = log_proba.exp_()
        grad.scatter_add_(0, y[None], grad.new_full((1, len(y)), -1))
        return losses, grad

    def score(self, logits, y, sample_weight):
        """Weighted accuracy."""
        return float(np.average(logits.argmax(axis=1) == y, weights=sample_weight))


CROSS_ENTROPY = CrossEntropy()


@dataclass(frozen=True)
class SquaredError:
    """Loss of a regressor: half the squared error of the second output less the first.

    Rows above the prediction are the class "up", the others "down", and a row counts by
    its error: a branch that passes the tests is active where one direction has a larger
    share of all errors than elsewhere.
    """

    score_name = "r2"

    def residual(self, logits, y, sample_weight):
        """The `Residual` of rows with these outputs `(n_rows, 2)`."""
        weight = sample_weight.astype(logits.dtype)
        error = weight * (y - _difference(logits))
        gradient = np.column_stack([-error, error])
        scale = np.abs(error).mean() or 1
        membership = np.maximum(gradient, 0) / scale * weight.mean()
        return Residual(gradient, np.column_stack([weight, weight]), membership)

    def constant(self, y, sample_weight, n_outputs):
        """As `CrossEntropy.constant`: half the mean, once down and once up."""
        return np.average(y, weights=sample_weight) / 2 * np.array([-1.0, 1.0])

    def of_rows(self, logits, y):
        """Loss of each row, `(n_rows,)`."""
        return (y - _difference(logits)) ** 2 / 2

    def value_and_grad(self, logits, y, share):
        """Loss of rows that weigh `share`, and its gradient `(n_rows, 2)`."""
        error = y - _difference(logits)
        grad = share * error
        return float(grad @ error) / 2, np.column_stack([grad, -grad])

    def of_tensors(self, logits, y):
        """As `of_rows`, of Tensors."""
        return (y - _difference(logits)).square() / 2

    def grad_by_class(self, logits, y):
        """As `CrossEntropy.grad_by_class`."""
        error = y - (logits[1] - logits[0])
        return error.square() / 2, torch.stack([error, -error])

    def score(self, logits, y, sample_weight):
        """Weighted share of the variance that is explained."""
        left = np.average((y - _difference(logits)) ** 2, weights=sample_weight)
        mean = np.average(y, weights=sample_weight)
        total = np.average((y - mean) ** 2, weights=sample_weight)
        return float(1 - left / max(total, np.finfo(np.float64).tiny))


SQUARED_ERROR = SquaredError()


@dataclass(frozen=True)
class SquaredOutputError:
    """Loss of a dense regressor: half the squared errors, an output for each target.

    `y` has a column for each output.
    """

    def of_tensors(self, outputs, y):
        """Loss of each row, of Tensors `(n_rows, n_outputs)`."""
        return (outputs - y).square().sum(dim=1) / 2

    def grad_by_class(self, outputs, y):
        """As `CrossEntropy.grad_by_class`, with outputs `(n_outputs, n_rows)`."""
        error = outputs - y.T
        return error.square().sum(dim=0) / 2, error


SQUARED_OUTPUT_ERROR = SquaredOutputError()


def _of_two_classes(logits, y, share):
    """As `CrossEntropy.value_and_grad`, in a tenth of the time of a softmax."""
    sign = 2.0 * y - 1
    lead = sign * _difference(logits)
    small = np.exp(-np.abs(lead))
    value = float(share @ (np.log1p(small) - np.minimum(lead, 0)))
    wrong = np.where(lead > 0, small, 1) / (1 + small)  # probability of the other class
    grad = sign * share * wrong
    return value, np.column_stack([grad, -grad])


def _difference(logits):
    return logits[:, 1] - logits[:, 0]
