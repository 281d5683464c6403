"""A ridge regression on indicators of classes, in closed form.

With values `z` of uses, brought to mean 0 and one scale on the weighted rows, and
indicators `y` less the shares of the classes, the weights are the solution `B` of

    minimise  sum_i w_i |y_i - B.T z_i|^2 + s |B|^2,

which is convex. One eigendecomposition serves every strength `s`: of the products of
values (primal), or of the products of rows (dual) where rows are fewer. Leaving row `i`
out changes its error from `e_i` to `e_i / (1 - h_i)`, `h_i` being its leverage (Hastie,
Tibshirani and Friedman, The Elements of Statistical Learning, 2nd edition, 7.51).
Generalised cross-validation (7.52 there) has the mean leverage in its place, and needs
the sums alone.

The variance that a use is scaled by is shrunk half way to the mean variance of all uses.
On few rows many uses are nearly constant, as those of pixels at the border: divided by
their own deviation they would be huge on other rows, which no row left out foretells.

scikit-learn's `RidgeCV` finds the same weights and left-out errors, but of all rows in
memory at once in float64, and neither from sums to which more rows can be added, nor with
left-out predictions for every strength of rows apart from those.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import brentq
from scipy.special import softmax

from skgrow.networks.forward import row_chunks

__all__ = ["STRENGTHS", "Spectrum", "best_left_out", "best_of_sums", "temperature_of"]

# Strengths that are tried, in shares of the sum of eigenvalues.
STRENGTHS = np.logspace(-8, 1, 37)
LEAST_REST = 1e-10  # of 1 less a leverage, below which rounding decides
MAX_LOG_TEMPERATURE = 6.0  # as of votes


@dataclass(frozen=True)
class Spectrum:
    """The problem in the coordinates in which every strength is a division.

    Attributes
    ----------
    n_rows : float
        Copies of rows, as of `ValueSums`.
    weight : float
        Of all rows.
    share : ndarray of shape (n_classes,)
    mean, scale : ndarray of shape (n_uses,)
        What values are centred and divided by; infinite where a use is constant.
    eigenvalues : ndarray of shape (rank,)
    basis : ndarray of shape (n_uses, rank)
        Eigenvectors of the products of scaled values.
    moments : ndarray of shape (rank, n_classes)
        Products of values and indicators, in the basis.
    """

    n_rows: float
    weight: float
    share: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    eigenvalues: np.ndarray
    basis: np.ndarray
    moments: np.ndarray

    @classmethod
    def of(cls, sums):
        """The problem of `ValueSums`."""
        mean, share, weight = sums.mean, sums.share, sums.weight
        scale = _scale(sums.mean_square - mean**2, mean)
        if sums.products.size:
            eigenvalues, basis = _primal(sums, mean, scale)
        else:
            eigenvalues, basis = _dual(sums, mean, scale)
        by_class = sums.class_total - sums.class_weight[:, None] * mean
        moments = basis.T @ (by_class / scale).T
        return cls(sums.n_rows, weight, share, mean, scale, eigenvalues, basis, moments)

    @property
    def strengths(self):
        """Strengths to try."""
        total = self.eigenvalues.sum()
        return STRENGTHS * (total if total > 0 else 1.0)

    def projected(self, values):
        """Values `(n_rows, n_uses)` in the coordinates, `(n_rows, rank)`."""
        return (values - self.mean) / self.scale @ self.basis

    def solution(self, strength):
        """Weights `(n_uses, n_classes)` of values as they are, and the intercepts."""
        shrunk = self.moments / (self.eigenvalues + strength)[:, None]
        weights = self.basis @ shrunk / self.scale[:, None]
        return weights, -self.mean @ weights

    def scores(self, projected, strength):
        """Scores `(n_rows, n_classes)` of projected rows, less shares of the classes."""
        return projected @ (self.moments / (self.eigenvalues + strength)[:, None])

    def left_out(self, projected, y, sample_weight, one, strength):
        """Scores of rows, each by the fit that it has no part in.

        Parameters
        ----------
        projected : ndarray of shape (n_rows, rank)
            Rows among those of the sums.
        y : ndarray of int64 of shape (n_rows,)
        sample_weight : ndarray of shape (n_rows,)
        one : ndarray of shape (n_rows,)
            Weight that is left out of each row: all of it, or that of one of its copies.
        strength : float

        Returns
        -------
        scores : ndarray of shape (n_rows, n_classes)
            Less the shares of the classes, which the row has a part in.
        error : float
            Mean squared error, the classes summed.
        """
        shrunk = 1 / (self.eigenvalues + strength)
        target = np.eye(len(self.share))[y] - self.share
        error = target - self.scores(projected, strength)
        parts = row_chunks(len(projected))
        squares = np.concatenate([projected[part] ** 2 @ shrunk for part in parts])
        leverage = one * (1 / self.weight + squares)
        error /= np.maximum(1 - leverage, LEAST_REST)[:, None]
        square = np.average((error**2).sum(axis=1), weights=sample_weight)
        return target - error, float(square)

    def generalised_error(self, strength):
        """Mean squared error by generalised cross-validation, the classes summed."""
        shrunk = self.eigenvalues / (self.eigenvalues + strength)
        explained = self.moments**2 / np.maximum(self.eigenvalues, 1e-300)[:, None]
        total = (self.share * (1 - self.share)).sum()
        rest = total - (shrunk * (2 - shrunk) @ explained).sum() / self.weight
        free = 1 - (1 + shrunk.sum()) / max(self.n_rows, 1.0)
        return float(max(rest, 0) / max(free, LEAST_REST) ** 2)


def best_left_out(spectrum, projected, y, sample_weight, one):
    """The strength of lowest left-out error, and the left-out scores of the rows.

    See `Spectrum.left_out`.

    Returns
    -------
    strength : float
    scores : ndarray of shape (n_rows, n_classes)
    """
    best = None
    for strength in spectrum.strengths[::-1]:  # of equal ones, the strongest
        scores, error = spectrum.left_out(projected, y, sample_weight, one, strength)
        if best is None or error < best[0]:
            best = error, float(strength), scores
    return best[1:]


def best_of_sums(spectrum):
    """The strength of lowest generalised cross-validation error."""
    strengths = spectrum.strengths[::-1]
    errors = [spectrum.generalised_error(strength) for strength in strengths]
    return float(strengths[int(np.argmin(errors))])


def temperature_of(scores, y, sample_weight, log_share):
    """What scores are multiplied by for the lowest cross-entropy of given rows.

    The loss is convex in it: the root of its slope is found, to the last digits.

    Parameters
    ----------
    scores : ndarray of shape (n_rows, n_classes)
        Of rows that had no part in them.
    y : ndarray of int64 of shape (n_rows,)
    sample_weight : ndarray of shape (n_rows,)
    log_share : ndarray of shape (n_classes,)

    Returns
    -------
    temperature : float
    """
    own = scores[np.arange(len(y)), y]

    def slope(log_temperature):
        proba = softmax(np.exp(log_temperature) * scores + log_share, axis=1)
        expected = (proba * scores).sum(axis=1)
        return float(np.average(expected - own, weights=sample_weight))

    if slope(-MAX_LOG_TEMPERATURE) >= 0:  # the scores are no better than chance
        return float(np.exp(-MAX_LOG_TEMPERATURE))
    if slope(MAX_LOG_TEMPERATURE) <= 0:
        return float(np.exp(MAX_LOG_TEMPERATURE))
    found = brentq(slope, -MAX_LOG_TEMPERATURE, MAX_LOG_TEMPERATURE, xtol=1e-13)
    return float(np.exp(found))


def _scale(variance, mean):
    # What rounding leaves of a use that is always the same is not spread.
    constant = variance <= 1e-9 * np.maximum(mean**2, 1e-12)
    variance = np.where(constant, 0, variance)
    typical = variance[~constant].mean() if not constant.all() else 0.0
    return np.where(constant, np.inf, np.sqrt((variance + typical) / 2))


def _primal(sums, mean, scale):
    products = sums.products - sums.weight * np.outer(mean, mean)
    products /= scale
    products /= scale[:, None]
    eigenvalues, basis = eigh(products, overwrite_a=True, driver="evd")
    return np.maximum(eigenvalues, 0), basis


def _dual(sums, mean, scale):
    centred = (sums.root - sums.root_weight[:, None] * mean) / scale
    eigenvalues, rows = eigh(centred @ centred.T, overwrite_a=True, driver="evd")
    kept = eigenvalues > 1e-10 * max(eigenvalues.max(initial=0), 1e-300)
    eigenvalues = eigenvalues[kept]
    return eigenvalues, centred.T @ (rows[:, kept] / np.sqrt(eigenvalues))
