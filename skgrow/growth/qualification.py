"""Qualification: does a candidate help, beyond luck? Arrays in, arrays out.

Everything here is computed on rows that the search has not seen, so the number of
candidates to answer for is the number tested here, not the millions screened before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

__all__ = ["Qualification", "hoeffding_margin", "qualify"]


@dataclass(frozen=True)
class Qualification:
    """What the test found, one entry a candidate.

    Attributes
    ----------
    passed : ndarray of bool of shape (n_candidates,)
    precision : ndarray of shape (n_candidates,)
        Share of the target class among the rows above the threshold.
    recall : ndarray of shape (n_candidates,)
        Share of the target class's rows that are above the threshold.
    bound : ndarray of shape (n_candidates,)
        Lower confidence bound of the precision.
    profit : ndarray of shape (n_candidates,)
        Lower confidence bound of the mean of `w_j v_j`, condition (9).
    """

    passed: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    bound: np.ndarray
    profit: np.ndarray


def hoeffding_margin(n, n_tested, delta):
    """How far a mean of `n` values in [0, 1] may lie above its expectation.

    Formulas (2), (11), (12) and (A.2): `P(mean - E >= t) <= exp(-2 n t^2)`, asked to hold
    for all of `n_tested` candidates together with probability `1 - delta`.

    Parameters
    ----------
    n : ndarray or float
        Number of rows; 0 gives infinity.
    n_tested : int
        Number of candidates tested.
    delta : float
        In (0, 1).

    Returns
    -------
    margin : ndarray or float
        `sqrt(ln(n_tested / delta) / (2 n))`.

    Examples
    --------
    >>> from skgrow.growth.qualification import hoeffding_margin
    >>> round(float(hoeffding_margin(10_000, n_tested=4_000, delta=0.05)), 3)
    0.024
    """
    with np.errstate(divide="ignore"):
        return np.sqrt(np.log(n_tested / delta) / (2 * np.asarray(n, dtype=np.float64)))


def qualify(values, target, gradient, y, sample_weight, *, n_tested, delta, min_recall):
    """Test candidates on fresh rows by conditions (3), (9) and (13).

    Parameters
    ----------
    values : ndarray of shape (n_candidates, n_rows)
        `relu(output - threshold)`; 0 where the branch is silent.
    target : ndarray of int64 of shape (n_candidates,)
    gradient : ndarray of shape (n_rows, n_classes)
        `w_jt` of condition (9), from `rows.residuals`.
    y : ndarray of int64 of shape (n_rows,)
    sample_weight : ndarray of shape (n_rows,)
    n_tested : int
        Number of candidates that the confidence must cover.
    delta : float
        Chance that any candidate passes by luck.
    min_recall : float
        Smallest share of the target class that must be above the threshold.

    Returns
    -------
    qualification : Qualification
    """
    n_rows, n_classes = gradient.shape
    one_hot = np.zeros((n_rows, n_classes), dtype=values.dtype)
    one_hot[np.arange(n_rows), y] = sample_weight
    each = np.arange(len(values))
    class_weight = one_hot.sum(axis=0)  # (n_classes,)

    fired = values > 0
    hits = fired.astype(values.dtype) @ one_hot  # weight fired upon, (m, n_classes)
    n_fired = _effective_size(fired, sample_weight)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.nan_to_num(hits[each, target] / hits.sum(axis=1))
        recall = np.nan_to_num(hits[each, target] / class_weight[target])
        means = values @ one_hot / class_weight  # (m, n_classes), nan: class not drawn
    bound = precision - hoeffding_margin(n_fired, n_tested, delta)
    profit = _profit(values, target, gradient, n_tested, delta)
    prior = (class_weight / class_weight.sum())[target]
    passed = (
        _target_mean_is_largest(means, target)  # (3)
        & (profit > 0)  # (9)
        & (bound > prior)  # (13), with the class prior in place of 1 / K
        & (recall >= min_recall)
    )
    return Qualification(passed, precision, recall, bound, profit)


def _effective_size(fired, sample_weight):
    """Kish's number of equally weighted rows that the fired rows are worth."""
    weight = fired @ sample_weight
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(weight**2 / (fired @ sample_weight**2))


def _target_mean_is_largest(means, target):
    each = np.arange(len(means))
    own = means[each, target]
    others = means.copy()
    others[each, target] = -np.inf
    return own > np.nan_to_num(others, nan=-np.inf).max(axis=1)


def _profit(values, target, gradient, n_tested, delta):
    """Lower confidence bound of the mean of `w_j v_j`, by its standard error.

    Hoeffding's bound would ask for a margin of `sqrt(2 ln(n_tested / delta) / n)`
    whatever the variance is; most `v_j` are 0 and the rest spread widely, so that
    nothing would ever pass it. The normal bound is that of the central limit theorem.
    """
    n_rows = values.shape[1]
    mean = np.empty(len(values))
    square = np.empty(len(values))
    for t in np.unique(target):
        own = target == t
        mean[own] = values[own] @ gradient[:, t] / n_rows
        square[own] = values[own] ** 2 @ gradient[:, t] ** 2 / n_rows
    error = np.sqrt(np.maximum(square - mean**2, 0) / n_rows)
    return mean - norm.isf(delta / n_tested) * error
