"""Where a branch class answers high: clusters of inputs, appendix B.

Nothing here looks at data: points are drawn in the input box of the branches, those
with the highest outputs are kept, and mean shift groups them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from sklearn import config_context
from sklearn.cluster import MeanShift, estimate_bandwidth
from sklearn.utils import check_random_state

from skgrow.inputs.windows import ONE_PLACE
from skgrow.runtime.parallel import run_jobs

__all__ = ["MIN_SPREAD", "Clusters", "find_clusters"]

# Inputs span [-0.5, 0.5]: a column of a smaller range is constant but for rounding.
MIN_SPREAD = 1e-6
MAX_SHIFTS = 5  # steps of one mean shift; 20 find about as many clusters
BANDWIDTH_SAMPLES = 100  # points that the bandwidth is estimated from


@dataclass(frozen=True)
class Clusters:
    """Clusters of all branch classes, and where each branch class lies as a whole.

    Attributes
    ----------
    branch, branch_class : ndarray of int64 of shape (n_clusters,)
        Ascending; each branch class has one cluster or more.
    centre : ndarray of shape (n_clusters, region_size)
        The point of highest output inside the cluster, in units of the input.
    peak : ndarray of shape (n_clusters,)
        Output of the branch class at the centre.
    mean, spread : ndarray of shape (n_branches, n_classes, region_size)
        Mean and range (largest minus smallest) of the points that were kept, (C.1).
    order : ndarray of int64 of shape (n_branches, n_classes, region_size)
        Dimensions by ascending mean, (C.1).
    """

    branch: np.ndarray
    branch_class: np.ndarray
    centre: np.ndarray
    peak: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    order: np.ndarray

    def __len__(self):
        return len(self.branch)

    def fits(self, n_branches, n_outputs, region_size):
        """Whether they are clusters of branches of this kind."""
        each = np.arange(region_size)
        return (
            self.mean.shape == self.spread.shape == self.order.shape
            and self.mean.shape == (n_branches, n_outputs, region_size)
            and self.centre.shape == (len(self), region_size)
            and bool((np.sort(self.order, axis=-1) == each).all())
            and bool((self.branch < n_branches).all())
            and bool((self.branch_class < n_outputs).all())
        )


def find_clusters(
    bank,
    *,
    n_points=1000,
    top_fraction=0.2,
    normalise="range",
    bandwidth_quantile=0.03,
    n_seeds=4,
    seed=0,
    n_jobs=None,
    device="cpu",
):
    """Cluster the inputs to which each class of each branch answers highest.

    Parameters
    ----------
    bank : BranchBank
    n_points : int, default=1000
        Points drawn uniformly in [-0.5, 0.5]^region_size, the same for all branches.
    top_fraction : float in (0, 1], default=0.2
        Share of the points to keep of each branch class, those of highest output.
    normalise : {"range", "std"}, default="range"
        What the kept points are divided by, a dimension at a time, before clustering.
    bandwidth_quantile : float in (0, 1], default=0.03
        Share of the kept points that a mean shift step averages over, on average:
        `sklearn.cluster.estimate_bandwidth`.
    n_seeds : int, default=4
        Kept points that mean shift starts from, an upper bound on the clusters of a
        branch class.
    seed : int, default=0
    n_jobs : int, default=None
        Workers over branches; the result does not depend on it.
    device : str, default="cpu"
        Where the outputs are computed.

    Returns
    -------
    clusters : Clusters

    Raises
    ------
    ValueError
        If `normalise` is not known.
    """
    if normalise not in ("range", "std"):
        raise ValueError(f"normalise={normalise!r} is not known; use 'range' or 'std'.")
    random_state = check_random_state(seed)
    region_size = bank.regions.shape[1]
    points = random_state.uniform(-0.5, 0.5, size=(n_points, region_size))
    points = points.astype(bank.dtype)
    seeds = random_state.randint(2**31 - 1, size=bank.n_branches)
    outputs = _outputs(bank, points, device)  # (branches, points, classes)
    n_top = max(1, round(top_fraction * n_points))
    shared = points, n_top, normalise, bandwidth_quantile, n_seeds
    found = run_jobs(
        _cluster_branch, shared, lambda: zip(outputs, seeds, strict=True), n_jobs
    )
    return _collect(found)


def _outputs(bank, points, device):
    """Outputs of all branches at the same points, `(branches, points, classes)`."""
    same = np.tile(np.arange(points.shape[1]), (bank.n_branches, 1))
    alone = replace(bank, regions=same, window=ONE_PLACE)
    return alone.terms(points, device).transpose(1, 0, 2)


def _cluster_branch(points, n_top, normalise, bandwidth_quantile, n_seeds, output, seed):
    """All classes of one branch: a list of (centre, peak, mean, spread)."""
    random_state = check_random_state(seed)
    found = []
    for values in output.T:  # (points,)
        top = np.argsort(-values, kind="stable")[:n_top]
        kept, kept_values = points[top], values[top]  # highest output first
        mean, spread = kept.mean(axis=0), np.ptp(kept, axis=0)
        divisor = spread if normalise == "range" else kept.std(axis=0)
        scaled = (kept - mean) / np.where(spread > MIN_SPREAD, divisor, 1)
        labels = _mean_shift(scaled, bandwidth_quantile, n_seeds, random_state)
        # The first member of a cluster is its highest, so no output is compared again.
        _, first = np.unique(labels, return_index=True)
        found.append((kept[first], kept_values[first], mean, spread))
    return found


def _mean_shift(scaled, bandwidth_quantile, n_seeds, random_state):
    """Cluster number of each point `(points, region_size)`."""
    one_cluster = np.zeros(len(scaled), dtype=np.int64)
    n_sampled = min(BANDWIDTH_SAMPLES, len(scaled))
    # The nearest neighbour of a point is the point itself: ask for two at least.
    quantile = min(1.0, max(bandwidth_quantile, 2 / n_sampled))
    # Thousands of tiny calls: checking their arguments would be most of the time.
    with config_context(skip_parameter_validation=True, assume_finite=True):
        bandwidth = estimate_bandwidth(
            scaled, quantile=quantile, n_samples=n_sampled, random_state=random_state
        )
        if bandwidth <= 0:
            return one_cluster
        starts = random_state.permutation(len(scaled))[:n_seeds]
        shift = MeanShift(
            bandwidth=bandwidth, seeds=scaled[starts], max_iter=MAX_SHIFTS, n_jobs=1
        )
        try:
            return shift.fit(scaled).labels_
        except ValueError as error:
            if "within bandwidth" not in str(error):
                raise
            return one_cluster


def _collect(found):
    """One `Clusters` out of the lists of all branches."""
    n_classes = len(found[0])
    flat = [one for branch in found for one in branch]  # branch by branch
    counts = [len(peak) for _, peak, _, _ in flat]
    branch, branch_class = np.divmod(np.repeat(np.arange(len(flat)), counts), n_classes)
    mean = np.stack([mean for _, _, mean, _ in flat]).reshape(len(found), n_classes, -1)
    spread = np.stack([spread for _, _, _, spread in flat]).reshape(mean.shape)
    return Clusters(
        branch=branch,
        branch_class=branch_class,
        centre=np.concatenate([centre for centre, _, _, _ in flat]),
        peak=np.concatenate([peak for _, peak, _, _ in flat]),
        mean=mean,
        spread=spread,
        order=np.argsort(mean, axis=2, kind="stable"),
    )
