"""What a call of growth is told: where to search, how hard, and when to stop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skgrow.inputs.windows import ONE_PLACE, Window

__all__ = ["GrowthPlan", "SearchSpace", "Stopping"]


@dataclass(frozen=True)
class SearchSpace:
    """Which branches are tried, and on which columns.

    Attributes
    ----------
    n_sources : int
        Branches of the bank, the first ones, that are tried elsewhere.
    regions : ndarray of int64 of shape (n_regions, region_size)
        Columns of each region that growth may use.
    signs : ndarray of shape (n_ways, region_size)
        What these columns are multiplied by in each way to read a region.
    clusters : Clusters or None
        None when no matched candidates are wanted.
    matching : {"both", "clusters", "exhaustive"}
    window : Window, default=ONE_PLACE
        The places that are read from each region.
    """

    n_sources: int
    regions: np.ndarray
    signs: np.ndarray
    clusters: object
    matching: str
    window: Window = ONE_PLACE


@dataclass(frozen=True)
class Stopping:
    """When growth ends before enough branches are there.

    Attributes
    ----------
    n_rounds : int
        Rounds without a fall of the held-out loss that end it.
    tol : float
        Smallest fall that counts, in units of the loss.
    n_errors : float
        Standard errors that a fall must be more than to count.
    max_time : float or None
        Seconds after which no round is begun.
    time_spent : float, default=0.0
        Seconds of `max_time` that were spent before.
    """

    n_rounds: int
    tol: float
    n_errors: float
    max_time: float | None
    time_spent: float = 0.0


@dataclass(frozen=True)
class GrowthPlan:
    """How to search: see the estimator's parameters of the same names.

    Attributes
    ----------
    space : SearchSpace
    stopping : Stopping
    vote : bool
        Whether branches vote (transfer to another task) or are tuned (the same task).
    targets : ndarray of int64 or None
        Classes that may get branches; None for all.
    """

    space: SearchSpace
    stopping: Stopping
    round_size: int
    delta: float
    search_regions: int
    search_rows: int
    n_verified: int
    n_jobs: int | None
    vote: bool = False
    targets: np.ndarray | None = None
