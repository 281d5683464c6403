"""Screening: the outputs of very many candidates on a sample of rows, in chunks.

The hot loop. A candidate's worth is its *gain*: how far one Newton step on its scale,
with the class's intercept following, would lower the mean loss. With
`v = relu(output - threshold)` that is `max(g, 0)^2 / 2h`, where `g = mean w_t (v - m)`,
and `m` and `h` are the curvature-weighted mean and variance of `v`. Two products score
all target classes.

What limits the search is noise, not the number of candidates: on 4,000 rows the best of
150,000 are best by chance, so that rows are worth more than regions (docs/method.md).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from skgrow.growth.reuse.gains import Scorer
from skgrow.inputs.windows import ONE_PLACE
from skgrow.networks.branch_uses import Candidates, FoldedBranches, trunk_chunks
from skgrow.networks.forward import (
    CHUNK_ROWS,
    Gather,
    branches_per_chunk,
    input_columns,
    own_tensor,
    row_chunks,
)
from skgrow.runtime.parallel import run_jobs

__all__ = [
    "candidate_outputs",
    "screen_folded",
    "screen_matched",
    "screen_plain",
    "activation",
    "threshold_values",
]

# Fixed sizes, so that chunking never depends on n_jobs.
REGIONS_PER_JOB = 4  # some MB of columns on 16,000 rows


def screen_plain(
    bank, features, residual, regions, columns, signs=None, *, n_keep, vote=False,
    n_jobs=None, window=ONE_PLACE,
):  # fmt: skip
    """Every output of every branch on every given region, as it is or reversed.

    Parameters
    ----------
    bank : BranchBank
    features : Tensor of shape (n_features + 1, n_rows)
        Scaled inputs of the screening rows, see `forward.features_major`.
    residual : Residual
        Of the same rows.
    regions : ndarray of int64 of shape (n_regions,)
        Numbers of the regions.
    columns : ndarray of int64 of shape (n_regions, region_size)
    signs : ndarray of shape (n_regions, region_size), default=None
        -1 for columns that are read reversed, `-x` in the place of `x`; None for none.
    n_keep : int
        Candidates to keep of each region, those of highest gain.
    vote : bool, default=False
        Whether a branch outputs 1 above its threshold, formula (10), or how far above
        it is.
    n_jobs : int, default=None
        Workers over regions; the result does not depend on it.
    window : Window, default=ONE_PLACE
        The places that are read from each region, the outputs being pooled.

    Returns
    -------
    candidates : Candidates
        With target, threshold and gain filled in; only positive gains.
    """
    signs = np.ones(columns.shape) if signs is None else signs
    signs = signs.astype(bank.dtype)

    def jobs():  # a worker gets the columns of its regions, not all features
        for c in row_chunks(len(regions), REGIONS_PER_JOB):
            used = np.unique(window.seen(columns[c]))
            inputs = input_columns(features, used)
            yield regions[c], columns[c], signs[c], used, inputs

    shared = bank, residual, n_keep, vote, window
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
    chunks = trunk_chunks(candidates)

    def jobs():  # matched candidates come from few regions, so from few columns
        for own in chunks:
            part = candidates.take(own)
            used = np.unique(part.window.seen(part.columns))
            yield part, used, input_columns(features, used)

    found = run_jobs(_screen_part, (bank, residual, vote), jobs, n_jobs)
    gain = np.zeros((len(candidates), residual.gradient.shape[1]), dtype=bank.dtype)
    threshold = np.zeros(len(candidates), dtype=bank.dtype)
    for own, scores in zip(chunks, found, strict=True):
        gain[own], threshold[own] = scores
    return _fill(candidates, gain, threshold)


@torch.inference_mode()
def screen_folded(bank, candidates, features, scorer, vote=False, used=None):
    """Gain of each candidate for every class, with its mean output as threshold.

    Parameters
    ----------
    bank : BranchBank
    candidates : Candidates
        A chunk of them: all are worked on at once.
    features : Tensor of shape (n_features + 1, n_rows)
        Scaled inputs of the screening rows, see `forward.features_major`.
    scorer : Scorer
        Of the same rows.
    vote : bool, default=False
        As for `screen_plain`.
    used : ndarray of int64 of shape (n_used,), default=None
        The columns that the features are, ascending; None for all.

    Returns
    -------
    gain : ndarray of shape (n_candidates, n_classes)
    threshold : ndarray of shape (n_candidates,)
    """
    folded = FoldedBranches(bank, candidates, features.device, used=used)
    first = features[:, :CHUNK_ROWS]
    if candidates.window.n_places == 1:
        first = folded.outputs(first)
    else:  # places take the room of rows
        parts = folded.chunks(first.shape[1])
        first = torch.cat([folded.outputs(first[:, rows]) for rows in parts], dim=1)
    threshold = _mean_inside(first)[:, None]
    values = (
        (rows, activation(folded.outputs(features[:, rows]).sub_(threshold), vote))
        for rows in folded.chunks(features.shape[1])
    )
    return scorer.gains(values), threshold[:, 0].cpu().numpy()


def activation(above, vote):
    """Activation of a branch whose output is so far above the threshold (a Tensor).

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
        for own in trunk_chunks(candidates):
            folded = FoldedBranches(bank, candidates.take(own), features.device)
            for rows in folded.chunks(n_rows):
                outputs[own, rows] = folded.outputs(features[:, rows]).cpu().numpy()
    return outputs


def threshold_values(bank, candidates, features):
    """`relu(output - threshold)` of every candidate, as `candidate_outputs`."""
    values = candidate_outputs(bank, candidates, features)
    values -= candidates.threshold[:, None]
    return np.maximum(values, 0, out=values)


def _screen_part(bank, residual, vote, candidates, used, features):
    scorer = Scorer(residual, features.device)
    return screen_folded(bank, candidates, features, scorer, vote, used)


@torch.inference_mode()
def _screen_regions(
    bank, residual, n_keep, vote, window, regions, columns, signs, used, features
):
    scorer = Scorer(residual, features.device)
    stacks = [
        bank.take(part).stack(features.device)
        for part in row_chunks(bank.n_branches, branches_per_chunk(window))
    ]
    parts = []
    for region, where, sign in zip(regions, columns, signs, strict=True):
        reading = _Reading(where, sign, window, used, features)
        found = [_screen_stack(stack, reading, scorer, vote) for stack in stacks]
        gain, threshold = (np.concatenate(part) for part in zip(*found, strict=True))
        output = np.argsort(-gain.max(axis=1), kind="stable")[:n_keep]
        branch, branch_class = np.divmod(output, bank.n_outputs)
        plain = Candidates.plain(
            np.full(len(output), region),
            np.broadcast_to(where, (len(output), len(where))),
            branch,
            branch_class,
            bank.dtype,
            window,
        )
        plain = replace(plain, scale=np.tile(sign, (len(output), 1)))
        parts.append(_fill(plain, gain[output], threshold[output]))
    return Candidates.concatenate(parts)


class _Reading:
    """One region, read in one way: the inputs that all branches share there.

    Those of one place are kept; those of many are gathered when they are needed.
    """

    def __init__(self, columns, sign, window, used, features):
        self.window, self.n_rows = window, features.shape[1]
        self._gather = Gather(columns, window, used)
        self._sign = own_tensor(sign[:, None], features.device)
        self._features, self._inputs = features, None
        if window.n_places == 1:
            self._inputs = self._gathered(features)

    def inputs(self, rows):
        """Inputs `(region_size + 1, n_places * rows)`."""
        if self._inputs is None:
            return self._gathered(self._features[:, rows])
        return self._inputs[:, rows]

    def _gathered(self, features):
        inputs = self._gather(features)
        inputs[:-1] *= self._sign
        return inputs


def _screen_stack(stack, reading, scorer, vote):
    """Gains `(branches * K, n_classes)` on one region, and the thresholds."""
    window, n_first = reading.window, min(CHUNK_ROWS, reading.n_rows)
    parts = [slice(0, n_first)]
    if window.n_places > 1:  # places take the room of rows
        parts = stack.chunks(n_first, window)
    first = [stack.pooled(reading.inputs(_cut(rows, n_first)), window) for rows in parts]
    first = first[0] if len(first) == 1 else torch.cat(first, dim=2)
    threshold = first.mean(dim=2)  # (branches, K)
    lowered = stack.lowered(threshold)
    values = (
        (rows, activation(_values(lowered, reading, rows), vote))
        for rows in stack.chunks(reading.n_rows, window)
    )
    return scorer.gains(values), threshold.flatten().cpu().numpy()


def _values(stack, reading, rows):
    return stack.pooled(reading.inputs(rows), reading.window).flatten(0, 1)


def _cut(rows, n_rows):
    return slice(rows.start, min(rows.stop, n_rows))


def _mean_inside(outputs):
    """Mean `(m,)` inside the input bound."""
    inside = outputs.isfinite()
    total = outputs.masked_fill(~inside, 0).sum(dim=1)
    # Inactive on all these rows: a threshold that is never reached.
    return (total / inside.sum(dim=1)).nan_to_num(nan=torch.inf)


def _fill(candidates, gain, threshold):
    """Candidates with their best target; those without any gain are left out."""
    target = gain.argmax(axis=1)
    gain = gain[np.arange(len(gain)), target]
    filled = replace(candidates, target=target, threshold=threshold, gain=gain)
    return filled.take(gain > 0)
