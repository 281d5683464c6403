"""Uses of a source's branches that are drawn, without a look at any label.

What does not look at labels cannot fit to them: predictions for rows that are left out
of the fit of the weights stay honest, however few rows there are. Uses ranked by how well
they tell the classes of the same rows apart would flatter them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from skgrow.networks.branch_uses import Candidates
from skgrow.networks.grown import GrownBranches

__all__ = ["count_uses", "draw_uses"]

MAX_LISTED = 2**22  # of all uses, beyond which not all are put into an order


def count_uses(bank, regions):
    """Uses there are: each output of each branch on each region, in each direction."""
    n_readings = len(regions.growth) * len(regions.signs)
    return n_readings * bank.n_branches * bank.n_outputs


def draw_uses(bank, regions, seed, first, n_uses):
    """The uses from number `first` on, of a sequence that the seed fixes.

    Each use is in it once, and two calls continue the sequence of one. Outputs are drawn
    one by one: all outputs of one branch at one place have much in common.

    Parameters
    ----------
    bank : BranchBank
    regions : Regions
    seed : int
    first : int
    n_uses : int
        No more than there are left.

    Returns
    -------
    grown : GrownBranches
        With no mask and no proof.
    """
    number = _sequence(count_uses(bank, regions), seed, first + n_uses)[first:]
    rest, branch_class = np.divmod(number, bank.n_outputs)
    reading, branch = np.divmod(rest, bank.n_branches)
    region, way = np.divmod(reading, len(regions.signs))
    columns = regions.growth[region]
    uses = Candidates.plain(
        region, columns, branch, branch_class, bank.dtype, regions.growth_window
    )
    uses = replace(uses, scale=regions.signs[way].astype(bank.dtype))
    zeros = np.zeros(len(uses), dtype=bank.dtype)
    return GrownBranches(bank, uses, zeros + 1, *[zeros] * 5)


def _sequence(n_all, seed, n_wanted):
    """The first numbers, each once, of a sequence of those below `n_all`."""
    random_state = np.random.RandomState(seed)
    if n_all <= MAX_LISTED:
        return random_state.permutation(n_all)[:n_wanted]
    # A draw that was drawn before is left out; of so many, few are.
    drawn = random_state.randint(n_all, size=2 * n_wanted + 100, dtype=np.int64)
    first = np.sort(np.unique(drawn, return_index=True)[1])
    return drawn[first[:n_wanted]]
