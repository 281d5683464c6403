"""Screening: the outputs of very many candidates on a sample of rows, in chunks.

The hot loop. A candidate's worth is its *gain*: how far one Newton step on its scale,
with the class's intercept following, would lower the mean loss. With
`v = relu(output - threshold)` that is `max(g, 0)^2 / 2h`, where `g = mean w_t (v - m)`,
and `m` and `h` are the curvature-weighted mean and variance of `v`. Two products score
all target classes.

What limits the search is noise, not the number of candidates: on 4,000 rows the best of
150,000 are mostly lucky, so that rows are worth more than regions (docs/method.md).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from skgrow.bank import CHUNK_ROWS, input_columns, row_chunks
from skgrow.growth.candidates import Candidates, FoldedBranches
from skgrow.growth.parallel import run_jobs

__all__ = [
    "gain_and_step",
    "candidate_outputs",
    "newton_gain",
    "screen_folded",
    "screen_matched",
    "screen_plain",
    "spoken",
    "threshold_values",
]

# Rows, weighed by its values, that a candidate must speak on: the gains of those
# that speak on a handful are the largest, and noise.
MIN_SUPPORT = 30  # of 300 rows or more; a tenth of fewer
# Fixed sizes, so that chunking never depends on n_jobs.
REGIONS_PER_JOB = 4  # some MB of columns on 16,000 rows
CANDIDATES_PER_CHUNK = 128


def screen_plain(
    bank, features, residual, regions, columns, *, n_keep, vote=False, n_jobs=None
):
    """Every output of every branch on every given region, as it is.

    Parameters
    ----------
    bank : BranchBank
    features : Tensor of shape (n_features + 1, n_rows)
        Scaled inputs of the screening rows, see `bank.features_major`.
    residual : Residual
        Of the same rows.
    regions : ndarray of int64 of shape (n_regions,)
        Numbers of the regions.
    columns : ndarray of int64 of shape (n_regions, region_size)
    n_keep : int
        Candidates to keep of each region, those of highest gain.
    vote : bool, default=False
        Whether a branch says 1 above its threshold, formula (10), or how far above it is.
    n_jobs : int, default=None
        Workers over regions; the result does not depend on it.

    Returns
    -------
    candidates : Candidates
        With target, threshold and gain filled in; only positive gains.
    """

    def jobs():  # a worker gets the columns of its regions, not all features
        for c in row_chunks(len(regions), REGIONS_PER_JOB):
            yield regions[c], columns[c], input_columns(features, columns[c])

    shared = bank, residual, n_keep, vote
    empty = Candidates.empty(bank.regions.shape[1], bank.dtype)
    return Candidates.concatenate(
        [empty, *run_jobs(_screen_regions, shared, jobs, n_jobs)]
    )


def screen_matched(bank, features, residual, candidates, *, vote=False, n_jobs=None):
    """Candidates with input maps of their own, each at its best threshold and target.

    Parameters
    ----------
    bank : BranchBank
    features, residual, vote :
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
    chunks = row_chunks(len(candidates), CANDIDATES_PER_CHUNK)
    parts = [candidates.take(chunk) for chunk in chunks]

    def jobs():  # matched candidates come from few regions, so from few columns
        for part in parts:
            used, place = np.unique(part.columns, return_inverse=True)
            place = place.reshape(part.columns.shape)
            yield replace(part, columns=place), input_columns(features, used)

    found = run_jobs(_screen_part, (bank, residual, vote), jobs, n_jobs)
    filled = [_fill(part, *scores) for part, scores in zip(parts, found, strict=True)]
    return Candidates.concatenate([candidates.take([]), *filled])


@torch.inference_mode()
def screen_folded(bank, candidates, features, residual, vote=False):
    """Gain of each candidate for every class, with its mean output as threshold.

    Parameters
    ----------
    bank : BranchBank
    candidates : Candidates
        A chunk of them: all are worked on at once.
    features, residual, vote :
        As for `screen_plain`.

    Returns
    -------
    gain : ndarray of shape (n_candidates, n_classes)
    threshold : ndarray of shape (n_candidates,)
    """
    folded = FoldedBranches(bank, candidates, features.device)
    threshold = _mean_inside(folded.outputs(features[:, :CHUNK_ROWS]))[:, None]
    values = (
        spoken(folded.outputs(features[:, rows]) - threshold, vote)
        for rows in row_chunks(len(residual))
    )  # (candidates, rows)
    gain = _gains(values, residual, features.device)
    return gain, threshold[:, 0].cpu().numpy()


def spoken(above, vote):
    """What a branch says, given how far its output is above the threshold (a Tensor).

    `relu(above)`, in place, or the vote `1[above > 0]`, formula (10).
    """
    return (above > 0).to(above.dtype) if vote else above.relu_()


def candidate_outputs(bank, candidates, features):
    """Outputs of every candidate on many rows, in chunks.

    Parameters
    ----------
    bank : BranchBank
    candidates : Candidates
    features : Tensor of shape (n_features + 1, n_rows)

    Returns
    -------
    outputs : ndarray of shape (n_candidates, n_rows)
        Minus infinity outside an input bound.
    """
    n_rows = features.shape[1]
    outputs = np.empty((len(candidates), n_rows), dtype=bank.dtype)
    with torch.inference_mode():
        for part in row_chunks(len(candidates), CANDIDATES_PER_CHUNK):
            folded = FoldedBranches(bank, candidates.take(part), features.device)
            for rows in row_chunks(n_rows):
                outputs[part, rows] = folded.outputs(features[:, rows]).cpu().numpy()
    return outputs


def threshold_values(bank, candidates, features):
    """`relu(output - threshold)` of every candidate, as `candidate_outputs`."""
    values = candidate_outputs(bank, candidates, features)
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
        What the candidates say, and its squares.
    residual : Residual
        Of the same rows.
    t : int
        Target class.

    Returns
    -------
    gain, step : ndarray of float64 of shape (n_candidates,)
        In nats, and in logits per unit of value.
    """
    columns = np.column_stack([residual.gradient[:, t], residual.curvature[:, t]])
    columns = torch.as_tensor(columns)
    slope, mixed = (block @ columns).double().numpy().T
    slope_all, curve_all = columns.sum(dim=0).double().numpy()
    curve_all = max(curve_all, 1e-12)
    gradient = slope - slope_all / curve_all * mixed
    curvature = (square @ columns[:, 1].contiguous()).double().numpy()
    curvature = np.maximum(curvature - mixed**2 / curve_all, 1e-12)
    return newton_gain(gradient, curvature) / len(residual), gradient / curvature


def _screen_part(bank, residual, vote, candidates, features):
    return screen_folded(bank, candidates, features, residual, vote)


@torch.inference_mode()
def _screen_regions(bank, residual, n_keep, vote, regions, columns, all_inputs):
    stack = bank.stack(all_inputs.device)
    parts = []
    # inputs: (region_size + 1, n_rows)
    for region, where, inputs in zip(regions, columns, all_inputs, strict=True):
        first = stack.outputs(inputs[:, :CHUNK_ROWS])
        threshold = first.mean(dim=2)  # (branches, K)
        lowered = stack.lowered(threshold)
        values = (
            spoken(lowered.outputs(chunk).flatten(0, 1), vote)
            for chunk in inputs.split(CHUNK_ROWS, dim=1)
        )  # (branches * K, rows)
        gain = _gains(values, residual, inputs.device)
        output = np.argsort(-gain.max(axis=1), kind="stable")[:n_keep]
        branch, branch_class = np.divmod(output, bank.n_outputs)
        found = Candidates.plain(
            np.full(len(output), region),
            np.broadcast_to(where, (len(output), len(where))),
            branch,
            branch_class,
            bank.dtype,
        )
        threshold = threshold.flatten().cpu().numpy()
        parts.append(_fill(found, gain[output], threshold[output]))
    return Candidates.concatenate(parts)


def _mean_inside(outputs):
    """Mean `(m,)` inside the input bound."""
    inside = outputs.isfinite()
    total = outputs.masked_fill(~inside, 0).sum(dim=1)
    # Silent on all these rows: a threshold that is never reached.
    return (total / inside.sum(dim=1)).nan_to_num(nan=torch.inf)


def _fill(candidates, gain, threshold):
    """Candidates with their best target; those without any gain are left out."""
    target = gain.argmax(axis=1)
    gain = gain[np.arange(len(gain)), target]
    filled = replace(candidates, target=target, threshold=threshold, gain=gain)
    return filled.take(gain > 0)


def _gains(values, residual, device):
    """Gains `(m, n_classes)` of values that come in row chunks `(m, rows)`.

    The chunks are overwritten. A gain is 0 where condition (3) or the support fails.
    """
    linear, squared = _score_columns(residual, device)
    linear_sums = squared_sums = 0
    for rows, chunk in zip(row_chunks(len(residual)), values, strict=True):
        linear_sums = chunk @ linear[rows] + linear_sums
        squared_sums = chunk.square_() @ squared[rows] + squared_sums
    return _gains_of_sums(linear_sums.cpu().numpy(), squared_sums.cpu().numpy(), residual)


def _score_columns(residual, device):
    """What `v` and `v^2` are multiplied by: `(n_rows, 3 K)` and `(n_rows, K + 1)`."""
    ones = np.ones((len(residual), 1), dtype=residual.gradient.dtype)
    linear = np.hstack([residual.gradient, residual.membership, residual.curvature])
    squared = np.hstack([residual.curvature, ones])
    return (torch.as_tensor(columns, device=device) for columns in (linear, squared))


def _gains_of_sums(linear, squared, residual):
    gradient, by_class, curved = np.split(linear, 3, axis=-1)
    total_curvature = np.maximum(residual.curvature.sum(axis=0), 1e-12)
    gradient = gradient - curved * (residual.gradient.sum(axis=0) / total_curvature)
    variance = squared[:, :-1] - curved**2 / total_curvature
    gains = newton_gain(gradient / len(residual), variance / len(residual))
    support = by_class.sum(axis=-1) ** 2 / np.maximum(squared[:, -1], 1e-12)
    # (3): only the class with the highest mean contribution can be the target.
    means = by_class / np.maximum(residual.membership.sum(axis=0), 1e-12)
    highest = means == means.max(axis=-1, keepdims=True)
    enough = min(MIN_SUPPORT, 0.1 * len(residual))
    # A variance that is all rounding would make the largest gain of all.
    sound = variance > 1e-4 * squared[:, :-1]
    return np.where(highest & sound & (support[:, None] >= enough), gains, 0)
