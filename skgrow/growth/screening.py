"""Screening: the outputs of very many candidates on a sample of rows, in chunks.

The hot loop. A candidate's worth is its *gain*: how far one Newton step on its scale,
with the class's intercept following, would lower the mean loss. With
`v = relu(output - threshold)` that is `max(g, 0)^2 / 2h`, where `g = mean w_t (v - m)`,
and `m` and `h` are the curvature-weighted mean and variance of `v`. A few products score
all target classes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from sklearn.utils.parallel import Parallel, delayed

from skgrow.bank import hidden_forward, row_chunks
from skgrow.growth.candidates import Candidates, FoldedBranches, input_columns

__all__ = [
    "gain_and_step",
    "candidate_outputs",
    "newton_gain",
    "screen_matched",
    "screen_plain",
    "threshold_values",
]

# Share of rows below the threshold. Three are enough to rank; tuning does the rest.
THRESHOLD_QUANTILES = (0.3, 0.6, 0.85)
# Rows, weighed by its values, that a candidate must speak on: the gains of those
# that speak on a handful are the largest, and noise.
MIN_SUPPORT = 30  # of 300 rows or more; a tenth of fewer
# Fixed sizes, so that chunking never depends on n_jobs.
REGIONS_PER_JOB = 16
CANDIDATES_PER_CHUNK = 128


def screen_plain(bank, features, residual, regions, columns, *, n_keep, n_jobs=None):
    """Every output of every branch on every given region, as it is.

    Parameters
    ----------
    bank : BranchBank
    features : Tensor of shape (n_features, n_rows)
        Scaled inputs of the screening rows.
    residual : Residual
        Of the same rows.
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
        for c in row_chunks(len(regions), REGIONS_PER_JOB)
    )
    empty = Candidates.empty(bank.regions.shape[1], bank.dtype)
    return Candidates.concatenate([empty, *Parallel(n_jobs=n_jobs)(jobs)])


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
        Workers over chunks of candidates; the result does not depend on it.

    Returns
    -------
    candidates : Candidates
        Those of positive gain, with target, threshold and gain filled in.
    """
    jobs = (
        delayed(_screen_folded)(bank, features, residual, candidates.take(c))
        for c in row_chunks(len(candidates), CANDIDATES_PER_CHUNK)
    )
    return Candidates.concatenate([candidates.take([]), *Parallel(n_jobs=n_jobs)(jobs)])


def candidate_outputs(bank, candidates, selection, rows):
    """Outputs of every candidate on many rows, in chunks.

    Parameters
    ----------
    bank : BranchBank
    candidates : Candidates
    selection : SelectionSet
    rows : ndarray of int64 of shape (n_rows,)

    Returns
    -------
    outputs : ndarray of shape (n_candidates, n_rows)
        Minus infinity outside an input bound.
    """
    outputs = np.empty((len(candidates), len(rows)), dtype=bank.dtype)
    parts = row_chunks(len(candidates), CANDIDATES_PER_CHUNK)
    folded = [FoldedBranches(bank, candidates.take(p), selection.device) for p in parts]
    with torch.inference_mode():
        for chunk in row_chunks(len(rows)):
            features = selection.features(rows[chunk])
            for part, branches in zip(parts, folded, strict=True):
                outputs[part, chunk] = branches.outputs(features).cpu().numpy()
    return outputs


def threshold_values(bank, candidates, selection, rows):
    """`relu(output - threshold)` of every candidate, as `candidate_outputs`."""
    values = candidate_outputs(bank, candidates, selection, rows)
    values -= candidates.threshold[:, None]
    return np.maximum(values, 0, out=values)


def newton_gain(gradient, curvature):
    """Fall of the loss by one Newton step on a scale that may not be negative."""
    floor = np.finfo(np.asarray(curvature).dtype).tiny
    return np.maximum(gradient, 0) ** 2 / (2 * np.maximum(curvature, floor))


def gain_and_step(block, square, residual, t):
    """Newton gain and step of candidates of one target class, the intercept following.

    Parameters
    ----------
    block, square : Tensor of shape (n_candidates, n_rows)
        Values `relu(output - threshold)`, and their squares.
    residual : Residual
        Of the same rows.
    t : int
        Target class.

    Returns
    -------
    gain, step : ndarray of float64 of shape (n_candidates,)
        In nats, and in logits per unit of value.
    """
    curve = torch.as_tensor(np.ascontiguousarray(residual.curvature[:, t]))
    weight = torch.as_tensor(np.ascontiguousarray(residual.gradient[:, t]))
    total = curve.sum()
    curved = block @ curve
    gradient = (block @ weight - curved * (weight.sum() / total)).double()
    curvature = (square @ curve - curved.square() / total).double().clip(min=1e-12)
    gradient, curvature = gradient.numpy(), curvature.numpy()
    return newton_gain(gradient, curvature) / len(residual), gradient / curvature


def _screen_regions(bank, features, residual, regions, columns, n_keep):
    weights, biases = bank.tensors(features.device)

    def outputs(rows, where):
        inputs = input_columns(features[:, rows], where)  # (region_size, rows)
        inputs = inputs.expand(bank.n_branches, *inputs.shape)
        hidden = hidden_forward(inputs, weights, biases)
        return torch.bmm(weights[-1], hidden).flatten(0, 1)  # (branches * K, rows)

    parts = []
    for region, where in zip(regions, columns, strict=True):
        gain, threshold = _best_thresholds(lambda r, w=where: outputs(r, w), residual)
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
    gain, threshold = _best_thresholds(
        lambda rows: folded.outputs(features[:, rows]), residual
    )
    target = gain.argmax(axis=1)
    each = np.arange(len(candidates))
    return _fill(candidates, target, threshold[each, target], gain[each, target])


def _fill(candidates, target, threshold, gain):
    filled = replace(candidates, target=target, threshold=threshold, gain=gain)
    return filled.take(gain > 0)


@torch.inference_mode()
def _best_thresholds(outputs, residual):
    """Gain `(m, n_classes)` at the best of a few thresholds, and that threshold."""
    chunks = row_chunks(len(residual))
    first = outputs(chunks[0])  # (m, rows)
    thresholds = _quantiles(first)  # (n_thresholds, m, 1)
    linear, squared = _score_columns(residual, first.device)
    shape = (len(thresholds), len(first))
    linear_sums = first.new_zeros((*shape, linear.shape[1]))
    squared_sums = first.new_zeros((*shape, squared.shape[1]))
    for rows in chunks:
        values = first if rows is chunks[0] else outputs(rows)
        for i, threshold in enumerate(thresholds):
            above = (values - threshold).relu_()
            linear_sums[i] += above @ linear[rows]
            squared_sums[i] += above.square_() @ squared[rows]
    gains = _gains(linear_sums.cpu().numpy(), squared_sums.cpu().numpy(), residual)
    best = gains.argmax(axis=0)  # (m, n_classes)
    gain = np.take_along_axis(gains, best[None], axis=0)[0]
    thresholds = thresholds[:, :, 0].cpu().numpy()
    return gain, thresholds[best, np.arange(len(gain))[:, None]]


def _quantiles(values):
    """Thresholds from the first rows; rows outside an input bound do not count."""
    ordered = values.sort(dim=1, descending=True).values
    n_inside = values.isfinite().sum(dim=1, keepdim=True)
    thresholds = []
    for q in THRESHOLD_QUANTILES:
        rank = ((1 - q) * n_inside).long().clip(max=values.shape[1] - 1)
        thresholds.append(ordered.gather(1, rank))
    thresholds = torch.stack(thresholds)
    # A candidate silent on all these rows gets a threshold that is never reached.
    return thresholds.masked_fill(thresholds == -torch.inf, torch.inf)


def _score_columns(residual, device):
    """What `v` and `v^2` are multiplied by: `(n_rows, 3 K)` and `(n_rows, K + 1)`."""
    ones = np.ones((len(residual), 1), dtype=residual.gradient.dtype)
    linear = np.hstack([residual.gradient, residual.membership, residual.curvature])
    squared = np.hstack([residual.curvature, ones])
    return (torch.as_tensor(columns, device=device) for columns in (linear, squared))


def _gains(linear, squared, residual):
    """Gains `(n_thresholds, m, K)`, 0 where condition (3) or the support fails."""
    gradient, by_class, curved = np.split(linear, 3, axis=-1)
    total_curvature = np.maximum(residual.curvature.sum(axis=0), 1e-12)
    gradient = gradient - curved * (residual.gradient.sum(axis=0) / total_curvature)
    variance = squared[..., :-1] - curved**2 / total_curvature
    gains = newton_gain(gradient / len(residual), variance / len(residual))
    support = by_class.sum(axis=-1) ** 2 / np.maximum(squared[..., -1], 1e-12)
    # (3): only the class with the highest mean contribution can be the target.
    means = by_class / np.maximum(residual.membership.sum(axis=0), 1e-12)
    highest = means == means.max(axis=-1, keepdims=True)
    enough = min(MIN_SUPPORT, 0.1 * len(residual))
    # A variance that is all rounding would make the largest gain of all.
    sound = variance > 1e-4 * squared[..., :-1]
    return np.where(highest & sound & (support[..., None] >= enough), gains, 0)
