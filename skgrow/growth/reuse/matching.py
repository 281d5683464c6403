"""Which region suits a branch class: matching and parameter transfer, appendix C.

A region, seen through the rows of one reference class, is normalised like the points a
branch class answers high to; the branch class then reads the region through an affine
map. One match is proposed per region, reference class and branch class; a ranking picks
the few that are worth testing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import gen_batches

from skgrow.growth.reuse.clustering import MIN_SPREAD, Clusters
from skgrow.growth.reuse.gains import Scorer
from skgrow.growth.reuse.input_maps import transfer
from skgrow.growth.reuse.screening import screen_folded
from skgrow.inputs.windows import ONE_PLACE, Window
from skgrow.networks.bank import BranchBank
from skgrow.networks.branch_uses import Candidates
from skgrow.networks.forward import Gather, input_columns
from skgrow.runtime.parallel import run_jobs
from skgrow.training.losses import Residual

__all__ = ["RANKINGS", "partial_average_distance", "propose_matches"]

N_STEPS = 20  # the prefix of (15) grows in steps of 5 % of the rows
MIN_REFERENCE_SHARE = 0.3  # of the reference class that the prefix must hold
MATCHES_PER_CHUNK = 128  # outputs of so many on a chunk of rows stay in cache
MIN_CENTRE_WEIGHT = 1e-300  # (15) divides by it: far below, but not zero


def propose_matches(
    bank,
    clusters,
    features,
    y,
    residual,
    regions,
    columns,
    *,
    n_proposals=64,
    ranking="gain",
    capture_fraction=0.2,
    n_jobs=None,
    window=ONE_PLACE,
):
    """Propose the most promising matched candidates of each growth region.

    Parameters
    ----------
    bank : BranchBank
    clusters : Clusters
        Of the same bank, from `clustering.find_clusters`.
    features : Tensor of shape (n_features + 1, n_rows)
        Scaled inputs of a sample of labelled rows, see `forward.features_major`. On less
        than some thousands no ranking is much better than chance on fresh rows
        (`examples/benchmarks/ranking.py`).
    y : ndarray of int64 of shape (n_rows,)
        Class numbers. A class of fewer than two rows is no reference: one row has no
        range.
    residual : Residual
        Of the same rows; its gradient holds the row weights of condition (9).
    regions : ndarray of int64 of shape (n_regions,)
        Numbers of the regions.
    columns : ndarray of int64 of shape (n_regions, region_size)
    n_proposals : int, default=64
        Candidates to propose for each region, at most.
    ranking : {"gain", "capture", "distance"}, default="gain"
        "gain": the estimated fall of the loss, as in screening, on the given rows.
        "capture": the row weights that sum up among the rows nearest to a centre.
        "distance": minus the partial average distance, formula (15).
    capture_fraction : float in (0, 1], default=0.2
        Share of the rows that a centre captures; only used by "capture".
    n_jobs : int, default=None
        Workers over regions; the result does not depend on it.
    window : Window, default=ONE_PLACE
        The places that are read from each region: a region's rows are then those of all
        its places, and one map serves them all.

    Returns
    -------
    candidates : Candidates
        Region by region, the best first. The target is the reference class, the gain
        holds the score of the ranking, the threshold is 0, and the input bound is the
        bounding box of the prefix of (15). With a window there is no bound: the rows of
        the prefix are single places, and an output is pooled over all of them.

    Raises
    ------
    ValueError
        If `ranking` is not known.
    """
    if ranking not in RANKINGS:
        known = ", ".join(repr(name) for name in RANKINGS)
        raise ValueError(f"ranking={ranking!r} is not known; use one of {known}.")
    source = _Source.prepare(bank, clusters, capture_fraction)

    def jobs():  # a worker gets the columns of its region
        for region, where in zip(regions, columns, strict=True):
            used = np.unique(window.seen(where[None]))
            yield region, where, used, input_columns(features, used)

    shared = source, y, residual, n_proposals, ranking, window
    parts = run_jobs(_match_region, shared, jobs, n_jobs)
    if not parts:
        return Candidates.empty(bank.regions.shape[1], bank.dtype)
    return Candidates.concatenate(parts)


def partial_average_distance(distance, y, reference, n_classes):
    """Mean distance of the reference class over the nearest rows, formula (15).

    The `n` of the formula is the largest prefix of the rows sorted by distance, in
    steps of 5 %, in which the reference class has the smallest mean distance of all
    classes and which holds at least 30 % of that class; all rows if there is none.

    Parameters
    ----------
    distance : ndarray of shape (n_matches, n_rows)
        Distance of each row to its nearest centre, already divided by the weight of the
        centre. (The printed formula multiplies, but a centre of a higher output should
        attract from further away.)
    y : ndarray of int64 of shape (n_rows,)
        Class numbers.
    reference : ndarray of int64 of shape (n_matches,)
        Reference class of each match.
    n_classes : int

    Returns
    -------
    mean_distance : ndarray of shape (n_matches,)
        Infinite where the rows have none of the reference class.
    inside : ndarray of bool of shape (n_matches, n_rows)
        The rows of the prefix.
    """
    n_matches, n_rows = distance.shape
    each = np.arange(n_matches)
    ends = -(-n_rows * np.arange(1, N_STEPS + 1) // N_STEPS)  # rounded up
    order = np.argsort(distance, axis=1, kind="stable")
    step = np.searchsorted(ends, np.arange(n_rows), side="right")
    cell = (each[:, None] * N_STEPS + step) * n_classes + y[order]
    shape = (n_matches, N_STEPS, n_classes)
    ordered = np.take_along_axis(distance, order, axis=1).ravel()
    count, total = (
        np.bincount(cell.ravel(), weights, minlength=np.prod(shape)).reshape(shape)
        for weights in (None, ordered)
    )
    count, total = count.cumsum(axis=1), total.cumsum(axis=1)  # over the prefix
    mean = np.where(count > 0, total / np.maximum(count, 1), np.inf)
    own = mean[each, :, reference]  # (n_matches, N_STEPS)
    own_count = count[each, :, reference]
    enough = own_count >= MIN_REFERENCE_SHARE * own_count[:, -1:]
    holds = (own <= mean.min(axis=2)) & enough
    last = N_STEPS - 1 - np.argmax(holds[:, ::-1], axis=1)  # the last step if none holds
    inside = np.empty(distance.shape, dtype=bool)
    prefix = np.arange(n_rows) < ends[last, None]
    np.put_along_axis(inside, order, prefix, axis=1)
    return own[each, last], inside


@dataclass(frozen=True)
class _Rows:
    """The sample of labelled rows, see `propose_matches`.

    `tensor` (n_used + 1, n_rows) are the columns `used`, `inputs` (n_places * n_rows,
    region_size) what the region's columns are at each place, and `labels`
    (n_places * n_rows,) the class numbers of those.
    """

    tensor: torch.Tensor
    y: np.ndarray
    residual: Residual
    columns: np.ndarray
    used: np.ndarray
    window: Window

    @cached_property
    def inputs(self):
        inputs = Gather(self.columns, self.window, self.used)(self.tensor)
        return inputs[:-1].cpu().numpy().T

    @cached_property
    def labels(self):
        return np.tile(self.y, self.window.n_places)


@dataclass(frozen=True)
class _Source:
    """The bank as matching needs it; its branch classes are numbered b * K + c.

    `centres` (n_clusters, region_size) are normalised and ordered by (C.1), `weight`
    (n_clusters,) is that of (15), `owner` (n_clusters,) the branch class.
    """

    bank: BranchBank
    clusters: Clusters
    centres: np.ndarray
    weight: np.ndarray
    owner: np.ndarray
    capture_fraction: float

    @classmethod
    def prepare(cls, bank, clusters, capture_fraction):
        at = clusters.branch, clusters.branch_class
        centres = _normalise(
            clusters.centre, clusters.mean[at], clusters.spread[at], clusters.order[at]
        )
        owner = clusters.branch * bank.n_outputs + clusters.branch_class
        start = _starts(owner)
        # The largest is taken off before exp, so that nothing overflows.
        peak = clusters.peak.astype(np.float64)
        size = np.diff(start, append=len(owner))
        raised = np.exp(peak - np.repeat(np.maximum.reduceat(peak, start), size))
        weight = raised / np.repeat(np.add.reduceat(raised, start), size)
        weight = np.maximum(weight, MIN_CENTRE_WEIGHT)
        return cls(bank, clusters, centres, weight, owner, capture_fraction)


@dataclass(frozen=True)
class _View:
    """One region through the eyes of one reference class.

    `table` holds the match with every branch class, without input bound; `dim`
    (n_matches, region_size) the dimensions of the region that they read; `normalised`
    (n_places * n_rows, region_size) are all rows at all places by (C.1).
    """

    reference: int
    table: Candidates
    dim: np.ndarray
    normalised: np.ndarray


def _match_region(
    source, y, residual, n_proposals, ranking, window, region, columns, used, features
):
    """The best `n_proposals` of one region, read from the columns `used`: one job."""
    rows = _Rows(features, y, residual, columns, used, window)
    counts = np.bincount(rows.y)
    views = [
        _view(source, rows, region, reference)
        for reference in np.flatnonzero(counts >= 2)
    ]
    if not views:
        return Candidates.empty(len(columns), source.bank.dtype)
    score = np.stack([RANKINGS[ranking](source, rows, view) for view in views])
    top = np.argsort(-score, axis=None, kind="stable")[:n_proposals]
    top = top[np.isfinite(score.flat[top])]
    which, owner = np.unravel_index(top, score.shape)
    parts, places = [], []
    for i in np.unique(which):
        place = np.flatnonzero(which == i)
        place = place[np.argsort(owner[place])]
        found = views[i].table.take(owner[place])
        gain = score[i, owner[place]].astype(source.bank.dtype)
        found = replace(found, gain=gain)
        if window.n_places == 1:
            lower, upper = _input_bound(source, rows, views[i], owner[place])
            found = replace(found, lower=lower, upper=upper)
        parts.append(found)
        places.append(place)
    return Candidates.concatenate(parts).take(np.argsort(np.concatenate(places)))


def _view(source, rows, region, reference):
    inputs = rows.inputs
    own = inputs[rows.labels == reference]
    mean, spread = own.mean(axis=0), np.ptp(own, axis=0)
    order = np.argsort(mean, kind="stable")
    stats = source.clusters
    dim, scale, shift = transfer(
        stats.mean, stats.spread, stats.order, mean, spread, order
    )  # (branches, classes, region_size)
    dtype = source.bank.dtype
    n_matches = scale[..., 0].size
    branch, branch_class = np.divmod(np.arange(n_matches), source.bank.n_outputs)
    table = Candidates.plain(
        np.full(n_matches, region),
        rows.columns[dim].reshape(n_matches, -1),
        branch,
        branch_class,
        dtype,
        rows.window,
    )
    table = replace(
        table,
        target=np.full(n_matches, reference),
        scale=scale.reshape(n_matches, -1).astype(dtype),
        shift=shift.reshape(n_matches, -1).astype(dtype),
    )
    dim = dim.reshape(n_matches, -1)
    return _View(reference, table, dim, _normalise(inputs, mean, spread, order))


def _normalise(x, mean, spread, order):
    """(C.1): `(x - mean) / spread`, constant columns 0, then ordered by mean."""
    varies = spread > MIN_SPREAD
    scaled = np.where(varies, (x - mean) / np.where(varies, spread, 1), 0)
    return np.take_along_axis(scaled, np.broadcast_to(order, scaled.shape), axis=-1)


def _starts(owner):
    """Where each run of equal numbers begins."""
    return np.flatnonzero(np.diff(owner, prepend=-1))


def _nearest_centre(source, view, owners):
    """Distance to the nearest centre over its weight, as (15) sums it up.

    `owners` must ascend; returns `(len(owners), n_rows)`.
    """
    ours = np.flatnonzero(np.isin(source.owner, owners))
    distance = cdist(source.centres[ours], view.normalised)  # (centres, n_rows)
    distance /= source.weight[ours, None]
    return np.minimum.reduceat(distance, _starts(source.owner[ours]), axis=0)


def _partial_average(source, rows, view, owners):
    distance = _nearest_centre(source, view, owners)
    reference = np.full(len(owners), view.reference)
    return partial_average_distance(
        distance, rows.labels, reference, rows.residual.gradient.shape[1]
    )


def _input_bound(source, rows, view, owners):
    """Bounding box, in units of the input, of the prefix of (15) of each match."""
    _, inside = _partial_average(source, rows, view, owners)
    inputs = rows.inputs.T[view.dim[owners]]  # (matches, region_size, n_rows)
    where = np.broadcast_to(inside[:, None, :], inputs.shape)
    lower = inputs.min(axis=2, where=where, initial=np.inf)
    upper = inputs.max(axis=2, where=where, initial=-np.inf)
    return lower.astype(source.bank.dtype), upper.astype(source.bank.dtype)


def _rank_by_distance(source, rows, view):
    """Minus the partial average distance, formula (15)."""
    return -_partial_average(source, rows, view, np.arange(len(view.table)))[0]


def _rank_by_capture(source, rows, view):
    """Row weights of condition (9) summed over the rows nearest to the best centre."""
    n_nearest = max(1, round(source.capture_fraction * len(rows.labels)))
    search = NearestNeighbors(n_neighbors=n_nearest, algorithm="brute")
    search.fit(view.normalised)
    nearest = search.kneighbors(source.centres, return_distance=False)
    nearest %= len(rows.y)  # the row of a place
    captured = rows.residual.gradient[nearest, view.reference].sum(
        axis=1
    )  # (n_clusters,)
    return np.maximum.reduceat(captured, _starts(source.owner))


def _rank_by_gain(source, rows, view):
    """Newton gain of the branch itself, read through the match, for its best class."""
    features, used = rows.tensor, rows.used
    scorer = Scorer(rows.residual, features.device)
    score = [
        screen_folded(source.bank, view.table.take(chunk), features, scorer, used=used)[0]
        for chunk in gen_batches(len(view.table), MATCHES_PER_CHUNK)
    ]
    return np.concatenate(score).max(axis=1)


RANKINGS = {
    "gain": _rank_by_gain,
    "capture": _rank_by_capture,
    "distance": _rank_by_distance,
}
