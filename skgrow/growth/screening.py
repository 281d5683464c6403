"""Screening: the outputs of very many candidates on a sample of rows, in chunks.

The hot loop. A candidate's worth is its *gain*: how far one Newton step on its scale
would lower the mean loss, `max(g, 0)^2 / 2h` with `g = mean w_t v`, `h = mean h_t v^2`
and `v = relu(y - threshold)`. All target classes are scored by two products.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from sklearn.utils import gen_batches
from sklearn.utils.parallel import Parallel, delayed

from skgrow.bank import hidden_forward, row_chunks
from skgrow.growth.candidates import Candidates, FoldedBranches, input_columns

__all__ = ["THRESHOLD_QUANTILES", "newton_gain", "screen_matched", "screen_plain"]

# Share of rows below the threshold. Three are enough to rank; tuning does the rest.
THRESHOLD_QUANTILES = (0.3, 0.6, 0.85)
# Rows, weighed by their values, that a candidate must speak on: the gains of those
# that speak on a handful are the largest, and noise.
MIN_SUPPORT = 30
REGIONS_PER_JOB = 16  # fixed, so that chunking never depends on n_jobs


def screen_plain(bank, features, residual, regions, columns, *, n_keep, n_jobs=None):
    """Every output of every branch on every given region, as it is.

    Parameters
    ----------
    bank : BranchBank
    features : Tensor of shape (n_features, n_rows)
        Scaled inputs of the screening rows.
    residual : tuple of ndarray of shape (n_rows, n_classes)
        Gradient and curvature, from `rows.residuals`.
    regions : ndarray of int64 of shape (n_regions,)
        Numbers of the regions.
    columns : ndarray of int64 of shape (n_regions, region_size)
    n_keep : int
        Candidates to keep of each region, those of highest gain.
    n_jobs : int, default=None
        Workers over regions; the result does not depend on it.

    Returns
    -------
    candidates : Candidates
        With target, threshold and gain filled in; only positive gains.
    """
    jobs = (
        delayed(_screen_regions)(bank, features, residual, regions[c], columns[c], n_keep)
        for c in gen_batches(len(regions), REGIONS_PER_JOB)
    )
    parts = Parallel(n_jobs=n_jobs)(jobs)
    return _concatenate(parts, bank)


def screen_matched(bank, features, residual, candidates, *, n_jobs=None):
    """Candidates with input maps of their own, each at its best threshold and target.

    Parameters
    ----------
    bank : BranchBank
    features, residual :
        As for `screen_plain`.
    candidates : Candidates
        From `matching.propose_matches`.
    n_jobs : int, default=None

    Returns
    -------
    candidates : Candidates
        Those of positive gain, with target, threshold and gain filled in.
    """
    jobs = (
        delayed(_screen_folded)(bank, features, residual, candidates.take(c))
        for c in gen_batches(len(candidates), 1024)
    )
    parts = Parallel(n_jobs=n_jobs)(jobs)
    return _concatenate(parts, bank)


def newton_gain(gradient, curvature):
    """Fall of the loss by one Newton step on a scale that may not be negative."""
    return gradient.clip(min=0) ** 2 / (2 * curvature + 1e-12)


def _screen_regions(bank, features, residual, regions, columns, n_keep):
    weights, biases = bank.tensors(features.device)
    parts = []
    with torch.inference_mode():
        for region, where in zip(regions, columns, strict=True):

            def outputs(rows, where=where):
                inputs = input_columns(features[:, rows], where)  # (region_size, rows)
                inputs = inputs.expand(bank.n_branches, *inputs.shape)
                hidden = hidden_forward(inputs, weights, biases)
                return torch.bmm(weights[-1], hidden).flatten(0, 1)  # (B * K, rows)

            gain, threshold = _best_thresholds(outputs, features.shape[1], residual)
            top = np.argsort(-gain, axis=None, kind="stable")[:n_keep]
            output, target = np.unravel_index(top, gain.shape)
            branch, branch_class = np.divmod(output, bank.n_outputs)
            found = Candidates.plain(
                np.full(len(top), region),
                np.tile(where, (len(top), 1)),
                branch,
                branch_class,
                bank.dtype,
            )
            parts.append(_fill(found, target, threshold[output, target], gain.flat[top]))
    return Candidates.concatenate(parts)


def _screen_folded(bank, features, residual, candidates):
    folded = FoldedBranches(bank, candidates, features.device)
    with torch.inference_mode():
        gain, threshold = _best_thresholds(
            lambda rows: folded.outputs(features[:, rows]), features.shape[1], residual
        )
    target = gain.argmax(axis=1)
    each = np.arange(len(candidates))
    return _fill(candidates, target, threshold[each, target], gain[each, target])


def _best_thresholds(outputs, n_rows, residual):
    """Gain `(m, n_classes)` at the best of a few thresholds, and that threshold."""
    chunks = row_chunks(n_rows)
    first = outputs(chunks[0])  # (m, rows)
    thresholds = _quantiles(first)  # (n_thresholds, m, 1)
    sums = None
    for rows in chunks:
        values = first if rows is chunks[0] else outputs(rows)
        weight, curve = (_with_ones(r[rows], values.device) for r in residual)
        parts = [_moments(values, t, weight, curve) for t in thresholds]
        parts = torch.stack(parts)  # (n_thresholds, 2, m, n_classes)
        sums = parts if sums is None else sums + parts
    first, second = sums.cpu().numpy().swapaxes(0, 1)  # (n_thresholds, m, n_classes + 1)
    gains = newton_gain(first[..., :-1] / n_rows, second[..., :-1] / n_rows)
    support = first[..., -1] ** 2 / (second[..., -1] + 1e-12)  # rows it is worth
    gains[support < MIN_SUPPORT] = 0
    best = gains.argmax(axis=0)
    thresholds = thresholds[:, :, 0].cpu().numpy()
    gain = np.take_along_axis(gains, best[None], axis=0)[0]
    return gain, thresholds[best, np.arange(best.shape[0])[:, None]]


def _with_ones(residual, device):
    """A column of ones more: the same product then sums the values themselves."""
    ones = np.ones((len(residual), 1), dtype=residual.dtype)
    return torch.as_tensor(np.hstack([residual, ones]), device=device)


def _moments(values, threshold, weight, curve):
    above = (values - threshold).relu_()
    gradient = above @ weight
    return torch.stack([gradient, above.square_() @ curve])


def _quantiles(values):
    """Thresholds from the first rows; rows outside an input bound do not count."""
    ordered = values.sort(dim=1, descending=True).values
    n_inside = values.isfinite().sum(dim=1, keepdim=True)
    thresholds = []
    for q in THRESHOLD_QUANTILES:
        rank = ((1 - q) * n_inside).long().clip(max=values.shape[1] - 1)
        thresholds.append(ordered.gather(1, rank))
    # A candidate silent on all these rows gets an unreachable threshold.
    thresholds = torch.stack(thresholds)
    return thresholds.masked_fill(thresholds == -torch.inf, torch.inf)


def _fill(candidates, target, threshold, gain):
    filled = replace(candidates, target=target, threshold=threshold, gain=gain)
    return filled.take(gain > 0)


def _concatenate(parts, bank):
    if not parts:
        return Candidates.empty(bank.regions.shape[1], bank.dtype)
    return Candidates.concatenate(parts)
