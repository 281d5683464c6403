"""Qualification: does a candidate help, beyond chance? Arrays in, arrays out.

Everything here is computed on rows that the search has not seen, so the number of
candidates to answer for is the number tested here, not the millions screened before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import rel_entr
from scipy.stats import norm

from skgrow.growth.reuse.gains import gain_and_step
from skgrow.growth.reuse.screening import activation

# The standard error that condition (9) is tested by means nothing on fewer.
MIN_VERIFYING_ROWS = 30

__all__ = [
    "selection_too_small",
    "Qualification",
    "precision_bound",
    "qualify",
    "scan_thresholds",
    "surprise",
]

SCAN_QUANTILES = np.array([0.1, 0.3, 0.5, 0.7, 0.85, 0.95])
QUANTILE_ROWS = 1000  # enough to place a threshold
BISECTIONS = 40  # halvings of [0, precision]: to 1e-12
TINY = 1e-300
ROUNDING = 100  # outputs nearer than so many units of rounding are one and the same


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


def surprise(precision, prior, n):
    """Hoeffding's exponent: the log-probability bound of a mean above its expectation.

    The chance that the mean of `n` independent values in [0, 1] of expectation `prior`
    reaches `precision > prior` is at most `exp(-surprise)`. This is theorem 1 of
    Hoeffding (1963), of which the margin `sqrt(ln(1 / delta) / 2n)` of (2), (11), (12)
    and (A.2) is a weaker corollary: it takes every variance for 1/4, where at a prior of
    0.1 it is 0.09, and asks for margins nearly twice as wide.

    Parameters
    ----------
    precision, prior, n : ndarray or float
        In [0, 1], in (0, 1), and 0 or more.

    Returns
    -------
    surprise : ndarray or float
        `n KL(precision || prior)` in nats; 0 where the precision is not above the prior.

    Examples
    --------
    >>> from skgrow.growth.reuse.qualification import surprise
    >>> round(float(surprise(0.15, 0.1, n=1_000)), 2)
    12.24
    """
    above = np.maximum(precision, prior)
    divergence = rel_entr(above, prior) + rel_entr(1 - above, 1 - np.asarray(prior))
    return n * divergence


def precision_bound(precision, n, n_tested, delta):
    """Lower confidence bound of the precision of all tested candidates together.

    The smallest prior that chance could have lifted to this precision: where `surprise`
    falls to `ln(n_tested / delta)`.

    Parameters
    ----------
    precision, n : ndarray of shape (n_candidates,)
    n_tested : int
        Number of candidates that the confidence must cover.
    delta : float
        In (0, 1).

    Returns
    -------
    bound : ndarray of shape (n_candidates,)
        Below `precision`; 0 where no row was active.

    Examples
    --------
    >>> import numpy as np
    >>> from skgrow.growth.reuse.qualification import precision_bound
    >>> found = precision_bound(np.array([0.15]), np.array([5_000]), 4_000, delta=0.05)
    >>> found.round(3)
    array([0.127])
    """
    asked = np.log(n_tested / delta)
    low, high = np.zeros(len(precision)), np.array(precision, dtype=np.float64)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        too_high = surprise(precision, np.maximum(middle, TINY), n) < asked
        low, high = np.where(too_high, low, middle), np.where(too_high, middle, high)
    return low


def scan_thresholds(outputs, target, residual, growth, asked, vote=False):
    """Best threshold of every candidate, formula (10), on the rows of the search.

    Of half a dozen quantiles of the output, the one of highest gain at which the
    precision can be expected to pass (13) on `growth` times as many fresh rows.
    Each lies half way between two outputs: (16) jumps at the threshold, and rounding
    must not decide on which side a row falls.

    Parameters
    ----------
    outputs : ndarray of shape (n_candidates, n_rows)
        Minus infinity outside an input bound.
    target : ndarray of int64 of shape (n_candidates,)
    residual : Residual
        Of the same rows.
    growth : float
        How many fresh rows there will be for each of these.
    asked : float
        The `surprise` that (13) will ask for, `ln(n_tested / delta)`.
    vote : bool, default=False
        Whether a branch outputs 1 above its threshold, or how far above it is.

    Returns
    -------
    threshold : ndarray of shape (n_candidates,)
    gain : ndarray of shape (n_candidates,)
        0 where no threshold will do.
    """
    few = outputs[:, :: -(-len(residual) // QUANTILE_ROWS)]
    inside = np.isfinite(few)
    ordered = np.sort(np.where(inside, few, np.inf), axis=1)
    n_inside = inside.sum(axis=1)
    ranks = np.minimum((SCAN_QUANTILES[:, None] * n_inside).astype(int), few.shape[1] - 1)
    thresholds = np.take_along_axis(ordered, ranks.T, axis=1).T  # (n_quantiles, m)
    gains = np.zeros(thresholds.shape)
    for t in np.unique(target):
        own = np.flatnonzero(target == t)
        block = torch.as_tensor(outputs[own])
        rounding = _rounding(block)
        for q in range(len(thresholds)):
            threshold = _half_way(block, thresholds[q, own], rounding)
            thresholds[q, own] = threshold
            gains[q, own] = _gain_above(
                block, threshold, t, residual, growth, asked, vote
            )
    best = gains.argmax(axis=0)
    each = np.arange(len(target))
    return thresholds[best, each], gains[best, each]


def _rounding(block):
    """How far apart two outputs of a candidate must be to differ, `(m, 1)`."""
    largest = block.masked_fill(block.isinf(), 0).abs().amax(dim=1, keepdim=True)
    return ROUNDING * torch.finfo(block.dtype).eps * largest


def _half_way(block, threshold, rounding):
    """Half way from `threshold` to the next larger output; infinite if there is none."""
    threshold = torch.as_tensor(threshold)[:, None]
    larger = block.masked_fill(block <= threshold + rounding, torch.inf)
    return ((threshold + larger.amin(dim=1, keepdim=True)) / 2)[:, 0].numpy()


def _gain_above(block, threshold, t, residual, growth, asked, vote):
    """Gain of one class's candidates at one threshold each; 0 where (13) looks lost."""
    values = activation(block - torch.as_tensor(threshold)[:, None], vote)
    membership = torch.as_tensor(residual.membership)
    fired = (values > 0).to(values.dtype) @ torch.stack(
        [membership[:, t], membership.sum(dim=1)], dim=1
    )
    precision, n_fired = (fired[:, 0] / fired[:, 1].clip(min=1e-12)), fired[:, 1]
    means = (values @ membership / membership.sum(dim=0).clip(min=1e-12)).numpy()
    prior = float(membership[:, t].sum() / membership.sum())
    n_fresh = growth * n_fired.numpy().astype(np.float64)
    promising = surprise(precision.numpy().astype(np.float64), prior, n_fresh) > asked
    gain, _ = gain_and_step(values, values.square(), residual, t)
    return np.where(promising & (means.argmax(axis=1) == t), gain, 0)


def qualify(values, target, residual, *, n_tested, delta):
    """Test candidates on fresh rows by conditions (3), (9) and (13).

    A candidate passes when its mean is higher on the target class than on every other
    class, (3); when the mean of `w_j v_j` is positive with confidence `1 - delta`, (9);
    and when its precision, less Hoeffding's margin for all `n_tested` candidates
    together, lies above the target's share of the rows, (13).

    Parameters
    ----------
    values : ndarray of shape (n_candidates, n_rows)
        `relu(output - threshold)`, or votes; 0 where the branch is inactive.
    target : ndarray of int64 of shape (n_candidates,)
    residual : Residual
        Of the same rows.
    n_tested : int
        Number of candidates that the confidence must cover.
    delta : float
        Chance that any candidate at all passes (13) by chance.

    Returns
    -------
    qualification : Qualification
    """
    membership = residual.membership
    each = np.arange(len(values))
    class_weight = membership.sum(axis=0)  # (n_classes,)
    fired = (values > 0).astype(values.dtype)
    hits = fired @ membership  # weight of active rows, (n_candidates, n_classes)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.nan_to_num(hits[each, target] / hits.sum(axis=1))
        recall = np.nan_to_num(hits[each, target] / class_weight[target])
        means = values @ membership / class_weight  # nan: no row of that class
    n_fired = _effective_size(fired, membership.sum(axis=1))
    bound = precision_bound(precision, n_fired, n_tested, delta)
    profit = _profit(values, target, residual, delta)
    prior = (class_weight / class_weight.sum())[target]
    passed = _target_is_highest(means, target) & (profit > 0) & (bound > prior)
    return Qualification(passed, precision, recall, bound, profit)


def _effective_size(fired, sample_weight):
    """Kish's number of equally weighted rows that the active rows are worth."""
    squares = fired @ sample_weight**2
    return (fired @ sample_weight) ** 2 / np.maximum(squares, 1e-12)


def _target_is_highest(means, target):
    each = np.arange(len(means))
    own = means[each, target]
    others = np.nan_to_num(means, nan=-np.inf)
    others[each, target] = -np.inf
    return own > others.max(axis=1)


def _profit(values, target, residual, delta):
    """Lower confidence bound of the mean of `w_j v_j`, by its standard error.

    Hoeffding's bound would ask for a margin of `sqrt(2 ln(n_tested / delta) / n)`
    whatever the variance is; most `v_j` are 0 and the rest spread widely, so that
    nothing would ever pass it. This is the bound of the central limit theorem.
    """
    mean = np.empty(len(values))
    error = np.empty(len(values))
    for t in np.unique(target):
        own = target == t
        weight, curve = residual.gradient[:, t], residual.curvature[:, t]
        # The class's intercept takes what is constant: it is no merit and no noise.
        level = values[own] @ curve / max(curve.sum(), 1e-12)
        products = (values[own] - level[:, None]) * weight
        mean[own] = products.mean(axis=1)
        error[own] = products.std(axis=1) / np.sqrt(values.shape[1])
    return mean - norm.isf(delta) * error


def selection_too_small(n_verify, smallest_share, n_tested, delta):
    """Why `n_verify` rows cannot test any candidate; None when they can.

    Even a branch that is active on all of them and always right must exceed chance by
    Hoeffding's bound, condition (13).
    """
    if smallest_share == 1:
        return (
            "the selection set holds rows of one class only, and nothing can be told "
            "apart on it; pass rows of all classes"
        )
    asked = np.log(n_tested / delta)
    needed = int(asked / surprise(1.0, smallest_share, 1)) + 1
    needed = max(needed, MIN_VERIFYING_ROWS)
    if n_verify >= needed:
        return None
    return (
        f"the selection set is too small to test anything: {n_verify} rows are left to "
        f"verify {n_tested} candidates at delta={delta}, at least {needed} are "
        "needed; pass more rows"
    )
